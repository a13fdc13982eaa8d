"""Connections: HTTP as uvicorn speaks it, on which nobody holds a place with half of a request's head."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


def protocol(idle: float) -> type[H11Protocol]:
    """The protocol of connections on which a head has to be whole within this many seconds."""

    class Protocol(H11Protocol):
        _head: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._look()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._look()

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
