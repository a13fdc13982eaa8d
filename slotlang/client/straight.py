"""Requests with large bodies over connections of our own: what goes through no proxy needs asyncio and h11 alone.

httpx takes answers in pieces of 64 kB, each through four layers: as long as an evaluation of a small module.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import h11
import httpx

_CONNECT = 10.0
"""Seconds for a connection to be there."""
_AHEAD = 1 << 20
"""Bytes that are taken before somebody wants them."""


class _Line(asyncio.Protocol):
    """A connection, and what has come."""

    def __init__(self) -> None:
        self.state = h11.Connection(h11.CLIENT)
        self.transport: asyncio.Transport
        self.ended, self.problem = False, ""
        self._parts, self._size = deque[bytes](), 0
        self._waiting: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Some bytes."""
        self._parts.append(data)
        self._size += len(data)
        if self._size > _AHEAD:
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """Nothing more comes."""
        self.ended = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self.ended, self.problem = True, self.problem or ("" if exc is None else str(exc))
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def read(self, timeout: float) -> bytes:
        """What has come; empty at the end. Raises ``httpx.ReadTimeout`` after this many seconds in which nothing came
        and nothing went."""
        while not self._parts and not self.ended:
            left, self._waiting = self.transport.get_write_buffer_size(), asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(timeout):
                    await self._waiting
            except TimeoutError:
                if self.transport.get_write_buffer_size() >= left:
                    raise httpx.ReadTimeout(f"nothing came for {timeout:.0f} s") from None
            finally:
                self._waiting = None
        if not self._parts:
            return b""
        data = self._parts.popleft()
        if self._size > _AHEAD >= self._size - len(data):
            self.transport.resume_reading()
        self._size -= len(data)
        return data

    async def event(self, timeout: float) -> object:
        """The next event. Raises ``httpx.TransportError``."""
        while True:
            try:
                event = self.state.next_event()
                if event is not h11.NEED_DATA:
                    return event
                data = await self.read(timeout)
                if not data and self.state.their_state is h11.SEND_RESPONSE:
                    raise httpx.ReadError(self.problem or "the connection ended before an answer")
                self.state.receive_data(data)
            except h11.RemoteProtocolError as problem:
                raise httpx.RemoteProtocolError(str(problem)) from None


@dataclass(frozen=True)
class Answer:
    """An answer that begins."""

    status_code: int
    headers: httpx.Headers
    _line: _Line
    _timeout: float

    async def parts(self) -> AsyncIterator[bytes]:
        """Its body. Raises ``httpx.TransportError``."""
        while not isinstance(event := await self._line.event(self._timeout), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                raise httpx.ReadError("the connection ended within an answer")
            yield bytes(event.data)

    async def body(self, most: int) -> bytes:
        """All of it, or more than ``most`` bytes of it."""
        data = bytearray()
        async for part in self.parts():
            data += part
            if len(data) > most:
                break
        return bytes(data)


class Straight:
    """Connections to one address, each used again. ``headers`` of all requests; ``timeout``: seconds without any
    byte."""

    def __init__(
        self,
        host: str,
        port: int,
        security: ssl.SSLContext | None,
        headers: Sequence[tuple[str, str]],
        timeout: float,
    ) -> None:
        self._host, self._port, self._ssl, self._timeout = host, port, security, timeout
        shown = f"[{host}]" if ":" in host else host
        self._headers = [("Host", f"{shown}:{port}"), *headers]
        self._free: list[_Line] = []

    @asynccontextmanager
    async def post(self, path: str, body: bytes, headers: Sequence[tuple[str, str]]) -> AsyncIterator[Answer]:
        """Send a request. Raises ``httpx.TransportError``."""
        line = await self._line()
        try:
            length = ("Content-Length", str(len(body)))
            request = h11.Request(method="POST", target=path, headers=[*self._headers, *headers, length])
            line.transport.write(line.state.send(request) or b"")
            for piece in line.state.send_with_data_passthrough(h11.Data(data=body)) or []:
                line.transport.write(piece)
            line.state.send(h11.EndOfMessage())
            event = await line.event(self._timeout)
            while isinstance(event, h11.InformationalResponse):
                event = await line.event(self._timeout)
            if not isinstance(event, h11.Response):
                raise httpx.ReadError("the connection ended before an answer")
            yield Answer(event.status_code, httpx.Headers(list(event.headers)), line, self._timeout)
            if line.state.our_state is h11.DONE and line.state.their_state is h11.DONE and not line.ended:
                line.state.start_next_cycle()
                self._free.append(line)
        finally:
            if line not in self._free:
                line.transport.abort()

    async def _line(self) -> _Line:
        while self._free:
            line = self._free.pop()
            if not line.ended:
                return line
            line.transport.abort()
        try:
            async with asyncio.timeout(_CONNECT):
                _, line = await asyncio.get_running_loop().create_connection(
                    _Line, self._host, self._port, ssl=self._ssl
                )
        except TimeoutError:
            raise httpx.ConnectTimeout(f"no connection within {_CONNECT:.0f} s") from None
        except OSError as problem:
            raise httpx.ConnectError(str(problem)) from None
        return line

    def close(self) -> None:
        """Close all connections."""
        while self._free:
            self._free.pop().transport.close()
