"""Connections of a service, by themselves: who does not read, who reads slowly, and bodies in pieces of any size."""

from __future__ import annotations

import asyncio
import hashlib
import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from slotlang.service import lines
from slotlang.service.connections import LINE, Connections
from slotlang.service.gate import Late
from slotlang.service.lines import protocol

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
MEGABYTES = 16


@asynccontextmanager
async def serving(app: Any, idle: float) -> AsyncIterator[tuple[str, int]]:
    """The address of an app on connections of the service."""
    config = uvicorn.Config(app, http=protocol(idle, Connections(9)), lifespan="off", log_config=None)
    config.load()
    loop, state = asyncio.get_running_loop(), ServerState()
    server = await loop.create_server(lambda: config.http_protocol_class(config, state, {}), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield host, port
    server.close()


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Return when it holds, or so many seconds later."""
    for _ in range(round(seconds / 0.02)):
        if condition():
            return
        await asyncio.sleep(0.02)


async def start(send: Any, size: int) -> None:
    headers = [(b"content-length", b"%d" % size)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def whole(receive: Any) -> bytes:
    """A request's body."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def test_an_answer_that_nobody_reads_is_given_up() -> None:
    """More than the system holds for a reader, who asked and then reads nothing."""
    ended: list[BaseException] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await start(send, 64 << 20)
        try:
            for _ in range(64):
                await send({"type": "http.response.body", "body": bytes(1 << 20), "more_body": True})
        except BaseException as problem:
            ended.append(problem)
            raise

    async def main() -> None:
        async with serving(app, 0.2) as (host, port):
            _, writer = await asyncio.open_connection(host, port, limit=1)
            writer.write(GET)
            await until(lambda: ended)
            writer.close()

    asyncio.run(main())
    assert [type(problem) for problem in ended] == [Late]


def test_who_reads_slowly_has_the_whole_answer() -> None:
    """So slowly that this process hands the system nothing for longer than it waits for a reader."""
    data = random.Random(1).randbytes(1 << 20) * MEGABYTES

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await start(send, len(data))
        await send({"type": "http.response.body", "body": data})

    async def main() -> bytes:
        loop, came = asyncio.get_running_loop(), bytearray()
        async with serving(app, 2.0) as address:
            with socket.create_connection(address) as line:
                line.setblocking(False)
                await loop.sock_sendall(line, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
                for _ in range(60):
                    came += await loop.sock_recv(line, 1 << 15)
                    await asyncio.sleep(0.1)
                while more := await loop.sock_recv(line, 1 << 20):
                    came += more
        return bytes(came)

    assert asyncio.run(main()).partition(b"\r\n\r\n")[2] == data


def test_a_further_request_is_no_sign_that_the_answer_is_read() -> None:
    """Whoever sent two at once, and reads nothing, is given up while the second waits."""
    left: list[object] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if not left:
            left.append("answered")
            await start(send, MEGABYTES << 20)
            await send({"type": "http.response.body", "body": bytes(MEGABYTES << 20)})
            return
        while (await receive())["type"] != "http.disconnect":
            pass
        left.append("lost")

    async def main() -> None:
        async with serving(app, 0.2) as (host, port):
            _, writer = await asyncio.open_connection(host, port, limit=1)
            writer.write(GET + GET)
            await until(lambda: len(left) == 2)
            writer.close()

    asyncio.run(main())
    assert left == ["answered", "lost"]


@pytest.mark.parametrize("behind", [b"", b"\r\n", b"\r\n" * 3, GET, b"\0" * 100])
def test_nothing_behind_a_last_request_changes_its_answer(behind: bytes) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = await whole(receive)
        await start(send, len(body))
        await send({"type": "http.response.body", "body": body})

    async def main() -> bytes:
        async with serving(app, 5.0) as (host, port):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc" + behind)
            answer = await reader.read()
            writer.close()
            return answer

    answer = asyncio.run(main())
    assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"\r\n\r\nabc") and answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("gathered", [False, True])
@pytest.mark.parametrize("past", [True, False], ids=["past h11", "by h11"])
def test_bodies_come_whole_in_pieces_of_any_size(past: bool, gathered: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several requests on a connection, cut anywhere; a version of h11 that does not tell what is left reads them."""
    if not past:
        monkeypatch.setattr(lines._Incoming, "left", 0)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if gathered:
            scope["state"][LINE].gather()
        body = await whole(receive)
        await start(send, 64)
        await send({"type": "http.response.body", "body": hashlib.sha256(body).hexdigest().encode()})

    async def asked(rng: random.Random) -> None:
        bodies = [rng.randbytes(rng.choice([0, 1, 1000, 70_000, 300_000])) for _ in range(4)]
        sent = b"".join(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(b), b) for b in bodies)
        cuts = sorted(rng.randrange(len(sent)) for _ in range(rng.choice([0, 3, 40])))
        async with serving(app, 5.0) as (host, port):
            reader, writer = await asyncio.open_connection(host, port)
            for begin, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
                writer.write(sent[begin:end])
                await writer.drain()
                await asyncio.sleep(0.001 if rng.random() < 0.5 else 0)
            for body in bodies:
                await reader.readuntil(b"\r\n\r\n")
                assert (await reader.readexactly(64)).decode() == hashlib.sha256(body).hexdigest()
            writer.close()

    async def main() -> None:
        for seed in range(12):
            await asked(random.Random(seed))

    asyncio.run(asyncio.wait_for(main(), 120))
