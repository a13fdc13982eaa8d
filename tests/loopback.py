"""A server on the loopback that answers as a test wants it, by HTTP or not, with TLS or without."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

import httpx

PROTOCOL = b"Slotlang-Protocol: 1\r\n"


@dataclass(frozen=True)
class Asked:
    """A request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


def whole(body: bytes, status: str = "200 OK", headers: bytes = PROTOCOL) -> bytes:
    """An answer with its length."""
    return b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s" % (status.encode(), headers, len(body), body)


def chunked(pieces: Iterable[bytes], status: str = "200 OK", headers: bytes = PROTOCOL) -> Iterable[bytes]:
    """An answer without its length."""
    yield b"HTTP/1.1 %s\r\n%sTransfer-Encoding: chunked\r\n\r\n" % (status.encode(), headers)
    for piece in pieces:
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


class Loopback:
    """``answer``: what is sent for a request, whole or in pieces, after which the connection serves again unless there
    is no answer. ``certificate``: files of a certificate and its key, for TLS; with ``proxies`` after a request to
    connect, which is answered by it. ``greets``: what is sent before any
    request, in place of all else. ``sent``: bytes that were sent."""

    def __init__(
        self,
        answer: Callable[[Asked], bytes | Iterable[bytes] | None],
        certificate: tuple[str, str] | None = None,
        greets: bytes | None = None,
        proxies: bytes | None = None,
    ) -> None:
        self.answer, self.greets, self.proxies = answer, greets, proxies
        self.asked, self.sent = list[Asked](), 0
        self._security = None
        if certificate is not None:
            self._security = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._security.load_cert_chain(*certificate)
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._socket.getsockname()[1])
        self.url = f"http{'s' if certificate and proxies is None else ''}://127.0.0.1:{self.port}"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self._open.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, ValueError), connection:
            if self.proxies is not None:
                with connection.makefile("rb") as stream:
                    asked = _read(stream)
                assert asked is not None
                self.asked.append(asked)
                connection.sendall(self.proxies)
            if self._security is not None:
                connection = self._security.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as stream:
                if self.greets is not None:
                    connection.sendall(self.greets)
                    return
                while (asked := _read(stream)) is not None:
                    self.asked.append(asked)
                    answer = self.answer(asked)
                    if answer is None:
                        return
                    for piece in [answer] if isinstance(answer, bytes) else answer:
                        connection.sendall(piece)
                        self.sent += len(piece)

    def __enter__(self) -> Loopback:
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._socket, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def _read(stream: object) -> Asked | None:
    first = stream.readline(1 << 16).decode("latin-1").split()  # type: ignore[attr-defined]
    if len(first) != 3:
        return None
    headers = dict[str, str]()
    while line := stream.readline(1 << 16).decode("latin-1").strip():  # type: ignore[attr-defined]
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", 0)))  # type: ignore[attr-defined]
    return Asked(first[0], first[1], headers, body)


def passed_on(asked: Asked, url: str) -> bytes:
    """What a service answers to a request."""
    headers = {name: value for name, value in asked.headers.items() if name not in ("host", "content-length")}
    answer = httpx.request(
        asked.method, f"{url}{asked.path}", content=asked.body, headers=headers, trust_env=False, timeout=60
    )
    status = f"{answer.status_code} Status"
    return whole(answer.content, status, PROTOCOL) if answer.status_code != 204 else whole(b"", status)
