"""Requests with large bodies over connections of our own, where no proxy stands between.

Each runs in a thread from the making of its body to the end of what is made of its answer: an event loop that is woken
for every piece of an answer takes as long as an evaluation of a small module, and so do threads that wake each other.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import h11
import httpx

Result = TypeVar("Result")
Given = TypeVar("Given")
Read = Callable[[int, httpx.Headers, Iterator[bytes]], Result]
"""What makes a result of an answer: its status, its headers, and its body in pieces."""

CONNECT = 10.0
"""Seconds for a connection to be there."""
_HEAD, _PIECE = 1 << 12, 1 << 22
"""Bytes that are asked for at a time, before the head has come and after."""


def silent(seconds: float) -> str:
    """What is said of a connection on which no byte travelled for so long."""
    return f"nothing came or was taken for {seconds:.3g} s"


@dataclass(frozen=True)
class Exchange(Generic[Given, Result]):
    """A request and what becomes of its answer: ``body`` makes the one, ``read`` takes the other, and ``then`` makes
    something of what that gives, when the connection is free for others."""

    path: str
    body: Callable[[], bytes]
    headers: Sequence[tuple[str, str]]
    read: Read[Given]
    then: Callable[[Given], Result]


class _Line:
    """A connection, in a thread at a time."""

    def __init__(self, host: str, port: int, security: ssl.SSLContext | None, timeout: float) -> None:
        self._timeout = timeout
        plain = socket.create_connection((host, port), CONNECT)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket = plain if security is None else security.wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise
        # the system waits for all of a piece, where it can
        self._flags = 0
        self.socket.settimeout(timeout)
        if security is None and sys.platform != "win32":
            self.socket.settimeout(None)
            self._flags = socket.MSG_WAITALL
            # none at all would be no limit
            time = struct.pack("ll", *divmod(max(1, int(timeout * 1e6)), 1_000_000))
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, time)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, time)

    @property
    def quiet(self) -> bool:
        """Whether nothing came since the last answer, not even an end."""
        found = select.poll()
        found.register(self.socket, select.POLLIN)
        return not found.poll(0)

    def send(self, head: bytes, body: bytes) -> None:
        """Send a request. What refuses it may close the connection before all was sent: its answer is there then."""
        with suppress(ConnectionError, ssl.SSLError):
            if isinstance(self.socket, ssl.SSLSocket) or not hasattr(self.socket, "sendmsg"):
                self.socket.sendall(head)
                self.socket.sendall(body)
                return
            # together: who reads is woken once
            sent = self.socket.sendmsg([head, body])
            for rest in (head[sent:], memoryview(body)[max(0, sent - len(head)) :]):
                self.socket.sendall(rest)

    def received(self, size: int, flags: int = 0) -> bytes:
        """Up to this many bytes; none at the end. Raises OSError."""
        try:
            return self.socket.recv(size, flags)
        except (TimeoutError, BlockingIOError):
            raise httpx.ReadTimeout(silent(self._timeout)) from None

    def rest(self, size: int) -> Iterator[bytes]:
        """This many bytes. Raises ``httpx.ReadError`` and OSError."""
        while size:
            data = self.received(min(size, _PIECE), self._flags)
            if not data:
                raise httpx.ReadError("the connection ended within an answer")
            size -= len(data)
            yield data

    def exchange(self, request: h11.Request, body: bytes, read: Read[Result]) -> tuple[Result, bool]:
        """The result of an answer, and whether the connection serves again. Raises ``httpx.TransportError`` and
        OSError."""
        state = h11.Connection(h11.CLIENT)
        self.send(state.send(request) or b"", body)
        state.send_with_data_passthrough(h11.Data(data=body))
        state.send(h11.EndOfMessage())
        event = self._event(state)
        while isinstance(event, h11.InformationalResponse):
            event = self._event(state)
        if not isinstance(event, h11.Response):
            raise httpx.ReadError("the connection ended before an answer")
        headers = httpx.Headers(list(event.headers))
        whole = [False]

        def pieces() -> Iterator[bytes]:
            # beside pieces of its own a length says nothing
            length = headers.get("content-length") if "transfer-encoding" not in headers else None
            if length is None or not length.isdigit():
                while not isinstance(more := self._event(state), h11.EndOfMessage):
                    if not isinstance(more, h11.Data):
                        raise httpx.ReadError("the connection ended within an answer")
                    yield bytes(more.data)
            else:
                here, _ = state.trailing_data
                if here:
                    yield here[: int(length)]
                yield from self.rest(max(0, int(length) - len(here)))
                if len(here) > int(length):
                    # nobody asked for what follows: it would be taken for the next answer's
                    return
            whole[0] = True

        result = read(event.status_code, headers, pieces())
        return result, whole[0] and "close" not in headers.get("connection", "").lower()

    def _event(self, state: h11.Connection) -> object:
        while True:
            event = state.next_event()
            if event is not h11.NEED_DATA:
                return event
            data = self.received(_HEAD if state.their_state is h11.SEND_RESPONSE else _PIECE)
            if not data and state.their_state is h11.SEND_RESPONSE:
                raise httpx.ReadError("the connection ended before an answer")
            state.receive_data(data)

    def close(self) -> None:
        """End it; a thread that waits is woken."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class _Work:
    """A request under way, which another thread may give up."""

    def __init__(self) -> None:
        self._lock, self._given_up = threading.Lock(), False
        self._line: _Line | None = None

    def goes_over(self, line: _Line) -> None:
        """The line that is closed when it is given up. Raises ``httpx.WriteError`` where it was given up before."""
        with self._lock:
            if self._given_up:
                raise httpx.WriteError("the request was given up before it was sent")
            self._line = line

    def left(self) -> bool:
        """The line is no longer this request's. Whether others may have it: it was not given up, which closes it."""
        with self._lock:
            self._line = None
            return not self._given_up

    @property
    def given_up(self) -> bool:
        """Whether nobody waits for it any more."""
        return self._given_up

    def give_up(self) -> None:
        """Send nothing more, and wait for nothing more."""
        with self._lock:
            self._given_up = True
            if self._line is not None:
                self._line.close()


class Straight:
    """Connections to one address, each used again, by the process that made them. ``headers`` of all requests;
    ``timeout``: seconds without any byte; ``most``: requests at a time."""

    def __init__(
        self,
        host: str,
        port: int,
        security: ssl.SSLContext | None,
        headers: Sequence[tuple[str, str]],
        timeout: float,
        most: int = 8,
    ) -> None:
        self._place = host, port, security, timeout
        shown = f"[{host}]" if ":" in host else host
        self._headers = [("Host", f"{shown}:{port}"), *headers]
        self._free: list[_Line] = []
        self._under_way = set[_Work]()
        self._lock, self._closed = threading.Lock(), False
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="slotlang connection")

    async def post(self, exchange: Exchange[Given, Result]) -> Result:
        """All of an exchange in one thread. Raises what its parts raise, and ``httpx.TransportError``."""
        work = _Work()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self.post_here, exchange, work)
        except asyncio.CancelledError:
            work.give_up()
            raise

    def post_here(self, exchange: Exchange[Given, Result], work: _Work | None = None) -> Result:
        """As ``post``, in the caller's thread."""
        work = work or _Work()
        with self._lock:
            if self._closed:
                raise httpx.WriteError("the connection is closed")
            self._under_way.add(work)
        try:
            given = self._posted(exchange, exchange.body(), work)
        finally:
            with self._lock:
                self._under_way.discard(work)
        return exchange.then(given)

    def _posted(self, exchange: Exchange[Given, Any], body: bytes, work: _Work) -> Given:
        length = ("Content-Length", str(len(body)))
        headers = [*self._headers, *exchange.headers, length]
        request = h11.Request(method="POST", target=exchange.path, headers=headers)
        again, line = False, None
        try:
            line = self._line()
            work.goes_over(line)
            result, again = line.exchange(request, body, exchange.read)
            return result
        except h11.RemoteProtocolError as problem:
            raise httpx.RemoteProtocolError(str(problem)) from None
        except OSError as problem:
            late = isinstance(problem, TimeoutError | BlockingIOError)
            if line is None:
                raise (httpx.ConnectTimeout if late else httpx.ConnectError)(str(problem)) from problem
            if late:
                raise httpx.WriteTimeout(silent(self._place[3])) from None
            raise httpx.ReadError(str(problem)) from problem
        except ValueError as problem:
            if not work.given_up:
                raise
            # of TLS that another thread has ended
            raise httpx.ReadError(str(problem)) from problem
        finally:
            if line is not None:
                self._given_back(line, work.left() and again)

    def _line(self) -> _Line:
        while True:
            with self._lock:
                line = self._free.pop() if self._free else None
            if line is None:
                return _Line(*self._place)
            if line.quiet:
                return line
            line.close()

    def _given_back(self, line: _Line, again: bool) -> None:
        with self._lock:
            if again and not self._closed:
                self._free.append(line)
                return
        line.close()

    def close(self) -> None:
        """Close all connections, and give up what is under way."""
        with self._lock:
            self._closed, free, under_way = True, list(self._free), list(self._under_way)
            self._free.clear()
        for work in under_way:
            work.give_up()
        for line in free:
            line.close()
        self._threads.shutdown(wait=False)
