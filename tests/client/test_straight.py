"""The client's own connections: used again, and right about answers of every form and those that do not end."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from slotlang.client.straight import Exchange, Straight

OK = b"HTTP/1.1 200 OK\r\nX-Name: value\r\n"


class Answers:
    """A server that gives these answers, in order, over as many connections as it gets: ``accepted`` of them."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.ends, self.reads = False, True
        self.accepted, self.requests = 0, list[bytes]()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            while self.answers:
                data = b""
                while b"\r\n\r\n" not in data or (self.reads and not data.endswith(b"END")):
                    more = connection.recv(1 << 16)
                    if not more:
                        return
                    data += more
                self.requests.append(data)
                connection.sendall(self.answers.pop(0))
                if self.ends:
                    return
            connection.settimeout(5)
            connection.recv(1)

    def close(self) -> None:
        with suppress(OSError):
            # wakes the thread that waits
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def server() -> Iterator[Answers]:
    found = Answers()
    yield found
    found.close()


def same(found: Any) -> Any:
    return found


def posts(
    server: Answers, count: int = 1, body: bytes = b"body END", timeout: float = 5.0, pause: float = 0.0
) -> list[tuple[Any, ...]]:
    async def main() -> list[tuple[Any, ...]]:
        straight = Straight("127.0.0.1", server.port, None, [("Authorization", "Bearer x")], timeout)
        try:
            found = []
            for number in range(count):
                await asyncio.sleep(pause * bool(number))
                key = [("X-Key", "k")]
                read = lambda status, headers, pieces: (status, headers["x-name"], b"".join(pieces))  # noqa: E731
                found.append(await straight.post(Exchange("/path", lambda: body, key, read, same)))
            return found
        finally:
            straight.close()

    return asyncio.run(main())


def test_a_connection_is_used_again_for_answers_of_every_form(server: Answers) -> None:
    whole = bytes(range(256)) * 40
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (whole[:10], whole[10:9000], whole[9000:]))
    server.answers = [
        OK + b"Content-Length: %d\r\n\r\n" % len(whole) + whole,
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n",
        OK + b"Content-Length: 0\r\n\r\n",
        OK + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(whole) + whole,
        OK + b"Content-Length: 2\r\n\r\nno",
    ]
    found = posts(server, 5)
    assert [body for _, _, body in found] == [whole, whole, b"", whole, b"no"]
    assert {status for status, _, _ in found} == {200} and {value for _, value, _ in found} == {"value"}
    # the fourth answer said that nothing comes after it
    assert server.accepted == 2
    head = server.requests[0].lower()
    assert b"authorization: bearer x\r\n" in head and b"x-key: k\r\n" in head and b"content-length: 8\r\n" in head


def test_pieces_count_and_not_a_length_beside_them(server: Answers) -> None:
    chunked = OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    server.answers = [chunked] * 2
    assert [body for _, _, body in posts(server, 2)] == [b"ok"] * 2 and server.accepted == 1


def test_what_follows_an_answer_is_not_the_next_one(server: Answers) -> None:
    first = OK + b"Content-Length: 2\r\n\r\nok"
    server.answers = [first + OK + b"Content-Length: 2\r\n\r\n", first]
    assert [body for _, _, body in posts(server, 2)] == [b"ok"] * 2 and server.accepted == 2


def test_a_connection_that_is_given_up_with_the_end_of_its_answer_is_not_used(server: Answers) -> None:
    server.answers = [OK + b"Content-Length: 2\r\n\r\nok"] * 2

    async def main() -> bytes:
        straight = Straight("127.0.0.1", server.port, None, [], 30.0)
        read, reading, ended = lambda *a: b"".join(a[2]), threading.Event(), threading.Event()

        def slow(*answer: Any) -> bytes:
            found = read(*answer)
            reading.set()
            ended.wait(10)
            return found

        first = asyncio.create_task(straight.post(Exchange("/path", lambda: b"END", [], slow, same)))
        await asyncio.to_thread(reading.wait, 10)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        ended.set()
        # the thread has put away the line
        await asyncio.to_thread(straight._threads.shutdown)
        try:
            return straight.post_here(Exchange("/path", lambda: b"END", [], read, same))
        finally:
            straight.close()

    assert asyncio.run(main()) == b"ok" and server.accepted == 2


def test_a_connection_that_the_other_side_has_ended_is_not_used(server: Answers) -> None:
    server.answers, server.ends = [OK + b"Content-Length: 2\r\n\r\nok"] * 3, True
    # the end is seen when it has come
    assert [body for _, _, body in posts(server, 3, pause=0.2)] == [b"ok"] * 3 and server.accepted == 3


@pytest.mark.parametrize("cut", [b"", OK, OK + b"Content-Length: 5\r\n\r\nabc"])
def test_an_answer_that_ends_too_early_is_none(server: Answers, cut: bytes) -> None:
    server.answers, server.ends = [cut], True
    with pytest.raises(httpx.TransportError):
        posts(server)
    server.answers, server.ends = [cut], False
    start = time.monotonic()
    with pytest.raises(httpx.ReadTimeout):
        posts(server, timeout=0.3)
    assert time.monotonic() - start < 2


@pytest.mark.parametrize("answer", [b"nonsense\r\n\r\n", OK + b"Content-Length: x\r\n\r\n", b"\0" * 100_000])
def test_what_is_not_http_is_refused(server: Answers, answer: bytes) -> None:
    server.answers, server.ends = [answer], True
    with pytest.raises(httpx.TransportError):
        posts(server)


def test_a_refusal_is_read_though_the_body_was_not_taken(server: Answers) -> None:
    server.reads = False
    server.answers, server.ends = [b"HTTP/1.1 413 No\r\nX-Name: n\r\nContent-Length: 3\r\n\r\nbig"], False
    found = []

    async def main() -> None:
        straight = Straight("127.0.0.1", server.port, None, [], 1.0)
        read = lambda status, headers, pieces: (status, b"".join(pieces))  # noqa: E731
        found.append(await straight.post(Exchange("/path", lambda: bytes(1 << 16), [], read, same)))
        straight.close()

    asyncio.run(main())
    assert found == [(413, b"big")]


def test_a_request_that_is_given_up_ends_at_once(server: Answers) -> None:
    server.answers = [b""]

    async def main() -> None:
        straight = Straight("127.0.0.1", server.port, None, [], 30.0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await straight.post(Exchange("/path", lambda: b"END", [], lambda *a: b"".join(a[2]), same))
        straight.close()

    start = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - start < 3


def test_a_call_that_is_given_up_after_its_answer_leaves_the_connection_to_others(server: Answers) -> None:
    server.answers = [OK + b"Content-Length: 2\r\n\r\nok"] * 2
    began, ended = threading.Event(), threading.Event()

    def slow(found: bytes) -> bytes:
        began.set()
        ended.wait(10)
        return found

    async def main() -> bytes:
        straight = Straight("127.0.0.1", server.port, None, [], 30.0)
        read = lambda *a: b"".join(a[2])  # noqa: E731
        first = asyncio.create_task(straight.post(Exchange("/path", lambda: b"END", [], read, slow)))
        await asyncio.to_thread(began.wait, 10)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        try:
            return await straight.post(Exchange("/path", lambda: b"END", [], read, same))
        finally:
            ended.set()
            straight.close()

    assert asyncio.run(main()) == b"ok" and server.accepted == 1


def test_nobody_there_is_said_so(server: Answers) -> None:
    server.close()
    with pytest.raises(httpx.ConnectError):
        posts(server)
