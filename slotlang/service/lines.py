"""Connections: HTTP as uvicorn speaks it, on which nobody holds a place with half of a request's head.

Bodies of evaluations are gathered before whoever reads them is woken: uvicorn stops reading at every 64 kB until then,
which takes as long as the evaluation of a small module.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from slotlang.service.gate import Late

_GATHERED = 1 << 22
"""Bytes of a body that are read before they are asked for."""
_SOON = 0.1
"""Seconds after which whoever waits for a body is told that some of it came: time limits are for pieces that don't."""


class _Flow(FlowControl):
    """Stops reading where a request has to be answered first, or ``enough`` of its body was read. Whoever reads an
    answer takes some of it within ``idle`` seconds."""

    def __init__(self, transport: asyncio.Transport, idle: float, enough: Callable[[], bool]) -> None:
        super().__init__(transport)
        self._idle, self._enough = idle, enough

    async def drain(self) -> None:
        try:
            async with asyncio.timeout(self._idle):
                await super().drain()
        except TimeoutError:
            raise Late from None

    def pause_reading(self) -> None:
        if self._enough():
            super().pause_reading()


class _Gathering(asyncio.Event):
    """Set when a request's body is whole, or so large that it is taken in parts, or else soon after some of it came."""

    def __init__(self, cycle: RequestResponseCycle, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._cycle, self._loop = cycle, loop
        self._timer: asyncio.TimerHandle | None = None

    @property
    def enough(self) -> bool:
        """Whether nothing is gained by reading more first."""
        of = self._cycle
        return not of.more_body or of.disconnected or of.response_complete or len(of.body) >= _GATHERED

    def set(self) -> None:
        if self.enough:
            self._now()
        elif self._timer is None:
            self._timer = self._loop.call_later(_SOON, self._now)

    def _now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        super().set()


def protocol(idle: float, gathered: Callable[[Mapping[str, Any]], bool]) -> type[H11Protocol]:
    """The protocol of connections on which a head has to be whole within this many seconds. ``gathered``: which
    requests' bodies are."""

    class Protocol(H11Protocol):
        _head: asyncio.TimerHandle | None = None
        _gathering: _Gathering | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.flow = _Flow(transport, idle, lambda: self._gathering is None or self._gathering.enough)
            self._look()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._look()

        def handle_events(self) -> None:
            before = self.cycle
            super().handle_events()
            if self.cycle is not before:
                self._begun(self.cycle)

        def _begun(self, cycle: RequestResponseCycle) -> None:
            """A request's head has come. Nobody has waited for its body yet."""
            self._gathering = None
            if gathered(cycle.scope):
                came = cycle.message_event.is_set()
                cycle.message_event = self._gathering = _Gathering(cycle, self.loop)
                if came:
                    self._gathering.set()
                if not self._gathering.enough:
                    # at its first piece nothing was known of it
                    self.flow.resume_reading()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self._ended()

        def _look(self) -> None:
            # after an answer uvicorn's own time begins, until the next byte
            if self.cycle is not None and not self.cycle.response_complete:
                self._ended()
            elif self._head is None:
                self._head = self.loop.call_later(idle, self.transport.close)

        def _ended(self) -> None:
            if self._head is not None:
                self._head.cancel()
                self._head = None

    return Protocol
