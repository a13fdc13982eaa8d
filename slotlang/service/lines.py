"""Connections: HTTP as uvicorn speaks it, on which nobody holds a place with half of a request's head, and nobody all
others with many small parts: what is read at once has one head of bounded size, and no body in chunks.

Bodies of evaluations, once they are wanted, are gathered before whoever reads them is woken: uvicorn stops reading at
every 64 kB until then, which takes as long as the evaluation of a small module. And bodies go past h11, which copies
them three times: it is told how much of them came.
"""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import suppress
from typing import Any

import h11
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol

from slotlang.service.connections import GATHERED, LINE, Connections, waiting_in
from slotlang.service.gate import Late, response_of
from slotlang.service.problems import MALFORMED, Refusal
from slotlang.service.protocol import HEADER, VERSION

_LOG = logging.getLogger("slotlang.service.http")
_LOG.setLevel(logging.ERROR)

_HEAD, _LINES, _HEAD_ENDS = 1 << 14, 100, re.compile(rb"\n\r?\n")
"""Bytes and lines of a request's head, and where it ends."""
_NO_MORE = (h11.MUST_CLOSE, h11.CLOSED, h11.ERROR)
"""States of a client that sends no further request."""
_TAKEN = 0.005
"""Seconds after which somebody looks whether an answer was taken."""
_SOON = 0.1
"""Seconds after which whoever waits for a body is told that some of it came: time limits are for pieces that don't.
And after which it is looked again whether an answer that is complete was taken."""


class _Incoming(h11.Connection):
    """Requests as they come. No client of the service needs chunks for its body, and of one-byte chunks h11 makes tens
    of thousands of events, for seconds, of what was read at once. So nothing is read of a request that has them: it is
    refused by its head (``gate``). One that has a length, too, is none."""

    _in_chunks = False
    status = 400
    """With which what is no request is refused."""

    def next_event(self) -> Any:
        """The next event. Raises ``h11.RemoteProtocolError``."""
        if self._in_chunks or self.their_state in _NO_MORE:
            # behind the last request of a connection nothing is looked at
            return h11.PAUSED
        if self.their_state is h11.IDLE:
            # h11's own limit is for heads that have not ended
            here, _ = self.trailing_data
            end = _HEAD_ENDS.search(here, 0, _HEAD)
            if len(here) > _HEAD if end is None else here.count(b"\n", 0, end.end()) > _LINES:
                self.status = 431
                raise h11.RemoteProtocolError("this head is too long")
        event = super().next_event()
        if isinstance(event, h11.Request):
            names = {name for name, _ in event.headers}
            self._in_chunks = b"transfer-encoding" in names
            if self._in_chunks and b"content-length" in names:
                raise h11.RemoteProtocolError("a body has a length or comes in chunks")
        return event

    @property
    def left(self) -> int:
        """Bytes that are still to come of a body whose length is known, where h11 tells."""
        return getattr(self._reader, "_remaining", 0) if self.their_state is h11.SEND_BODY else 0

    def passed(self, size: int) -> None:
        """So many of them came and were not ``receive_data``'s."""
        self._reader._remaining -= size  # type: ignore[union-attr]


class _Flow(FlowControl):
    """Stops reading where a request has to be answered first, or enough of its body was read. Whoever reads an answer
    takes some of it within ``idle`` seconds."""

    def __init__(self, of: HTTP) -> None:
        super().__init__(of.transport)
        self._of = of

    async def drain(self) -> None:
        left = self._of.untaken + 1
        while self.write_paused:
            if self._of.untaken >= left:
                raise Late
            left = self._of.untaken
            with suppress(TimeoutError):
                async with asyncio.timeout(self._of.idle):
                    await super().drain()

    def pause_reading(self) -> None:
        if self._of.gathering is None or self._of.gathering.enough:
            super().pause_reading()


class _Gathering(asyncio.Event):
    """Set when a request's body is whole, or so large that it is taken in parts, or else soon after some of it came."""

    def __init__(self, of: HTTP) -> None:
        super().__init__()
        self._of, self._cycle, self._loop = of, of.cycle, of.loop
        self._timer: asyncio.TimerHandle | None = None

    @property
    def enough(self) -> bool:
        """Whether nothing is gained by reading more first."""
        of = self._cycle
        return not of.more_body or of.disconnected or of.response_complete or self._of.held >= GATHERED

    def set(self) -> None:
        if self.enough:
            self._now()
        elif self._timer is None:
            self._timer = self._loop.call_later(_SOON, self._now)

    def _now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._of.give()
        super().set()


class HTTP(H11Protocol):
    """HTTP on a connection. A head has to be whole within ``idle`` seconds. ``below``: the transport of its socket,
    where TLS has another."""

    idle: float
    all: Connections
    below: asyncio.Transport | None = None
    _head: asyncio.TimerHandle | None = None
    _look: asyncio.TimerHandle | None = None
    _place: asyncio.TimerHandle | None = None
    gathering: _Gathering | None = None
    _lost = False

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.conn: _Incoming = _Incoming(h11.SERVER, _HEAD)
        # it would warn of what strangers send
        self.logger = _LOG
        self._pieces, self._held = list[bytes](), 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.below is None:
            self.below = transport
            self.all.opened(transport)
        self.flow = _Flow(self)
        self._await_head()
        if self.all.stopping:
            self.shutdown()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self.conn.their_state is h11.IDLE and (head := _HEAD_ENDS.search(data, 0, _HEAD)) is not None:
            super().data_received(data[: head.end()])
            data = data[head.end() :]
        if left := min(len(data), self.conn.left):
            self._unset_keepalive_if_required()
            self._body_received(data[:left])
            data = data[left:]
        if data:
            super().data_received(data)
        self._await_head()

    def _body_received(self, piece: bytes) -> None:
        """As uvicorn does with what h11 says came of a body."""
        self.conn.passed(len(piece))
        if self.conn.our_state is not h11.DONE:
            self._pieces.append(piece)
            self._held += len(piece)
            if self.gathering is None:
                self.give()
        if not self.conn.left:
            # h11 says its end
            self.handle_events()
        elif self.conn.our_state is not h11.DONE:
            if self.held > HIGH_WATER_LIMIT:
                self.flow.pause_reading()
            self.cycle.message_event.set()

    def handle_events(self) -> None:
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            # a request's head has come: nobody has begun with it, and who sends it has the answer before
            self.gathering, self._place = None, _off(self._place)
            if not self.unsent:
                self._look = _off(self._look)
            self._pieces, self._held = [], 0
            self.cycle.scope["state"][LINE] = self

    def send_400_response(self, msg: str) -> None:
        # nothing is under way: what follows a request that is, is not looked at
        text = "these are not requests of HTTP" if self.conn.status == 400 else "the head of this request is too long"
        answer = response_of(Refusal(MALFORMED, text, status=self.conn.status))
        headers = [*answer.raw_headers, (HEADER.encode(), b"%d" % VERSION), (b"connection", b"close")]
        for event in (
            h11.Response(status_code=self.conn.status, headers=headers),
            h11.Data(data=bytes(answer.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        self._watch()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._watch()

    def on_response_complete(self) -> None:
        self._answered()
        # before the next request begins, which may have come with this one
        self._watch()
        super().on_response_complete()
        if self.conn.trailing_data[0]:
            # and of whose head a part may be there
            self._await_head()
        if self.all.stopping and self.cycle.response_complete:
            if not self.transport.is_closing():
                self.transport.close()
            self._look = _off(self._look) or self.loop.call_later(_SOON, self._watch)

    def shutdown(self) -> None:
        if (self.cycle is None or self.cycle.response_complete) and not self.unsent:
            self.socket.abort()
        else:
            super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self.all.closed(self.socket)
        super().connection_lost(exc)
        self._head, self._look, self._place = _off(self._head), _off(self._look), _off(self._place)

    # Of a connection

    @property
    def socket(self) -> asyncio.Transport:
        """The transport of its socket."""
        return self.below or self.transport

    @property
    def unsent(self) -> int:
        """Bytes that the system has not taken from this process."""
        if self._lost:
            return 0
        below = self.socket
        try:
            size = self.transport.get_write_buffer_size()
        except AttributeError:
            # TLS of asyncio that was closed twice has forgotten what it had
            size = 0
        return size if below is self.transport else size + below.get_write_buffer_size()

    @property
    def untaken(self) -> int:
        """Bytes that the client's system has not taken: this process hands over megabytes at a time."""
        return self.unsent + waiting_in(self.socket)

    def _await_head(self) -> None:
        # after an answer uvicorn's own time begins, until the next byte
        if self.cycle is not None and not self.cycle.response_complete:
            self._head = _off(self._head)
        elif self._head is None:
            self._head = self.loop.call_later(self.idle, self._give_up)

    def _answered(self) -> None:
        """The connection may give way to others: its answer was taken, but for what the system holds."""
        if self.unsent:
            self._place = self.loop.call_later(_SOON, self._answered)
        else:
            self._place = None
            self.all.answered(self.socket)

    def _give_up(self) -> None:
        self.transport.close()
        self._watch()

    def _watch(self, left: int | None = None) -> None:
        """Look whether the client takes what it was sent, and end a connection that was closed when it has: TLS would
        wait for its last word."""
        self._look = _off(self._look)
        if not self.unsent:
            if self.transport.is_closing():
                self.socket.abort()
        elif left is not None and self.untaken >= left:
            self.socket.abort()
        else:
            self._look = self.loop.call_later(self.idle, self._watch, self.untaken)

    # Of its request

    @property
    def held(self) -> int:
        """Bytes of the request's body that nobody has read."""
        return len(self.cycle.body) + self._held

    def give(self) -> None:
        """Whoever reads the body finds all that came of it."""
        cycle, pieces = self.cycle, self._pieces
        self._pieces, self._held = [], 0
        if cycle.body:
            cycle.body += b"".join(pieces)
        elif pieces:
            # as bytes: whoever reads them makes no copy
            cycle.body = pieces[0] if len(pieces) == 1 else b"".join(pieces)  # type: ignore[assignment]

    def begun(self, tenant: str) -> None:
        """As ``Line``."""
        self.all.begun(self.socket, tenant)

    def gather(self) -> None:
        """As ``Line``."""
        cycle = self.cycle
        came = cycle.message_event.is_set()
        cycle.message_event = self.gathering = _Gathering(self)
        if came:
            self.gathering.set()
        if not self.gathering.enough:
            self.flow.resume_reading()

    async def taken(self) -> None:
        """As ``Line``."""
        pause = _TAKEN
        while self.unsent > HIGH_WATER_LIMIT and not self._lost:
            await asyncio.sleep(pause)
            pause = min(2 * pause, 1.0)

    def end(self) -> None:
        """As ``Line``."""
        # uvicorn is not to say so, too
        self.cycle.disconnected = True
        self.socket.abort()


def _off(timer: asyncio.TimerHandle | None) -> asyncio.TimerHandle | None:
    """No timer."""
    if timer is not None:
        timer.cancel()
    return None


def protocol(idle: float, connections: Connections) -> type[HTTP]:
    """The protocol of these connections."""

    class Protocol(HTTP):
        pass

    Protocol.idle, Protocol.all = idle, connections
    return Protocol
