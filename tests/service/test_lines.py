"""Connections of a service, by themselves: who does not read."""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from slotlang.service.connections import Connections
from slotlang.service.gate import Late
from slotlang.service.lines import protocol


def test_an_answer_that_nobody_reads_is_given_up() -> None:
    """More than the system holds for a reader, who asked and then reads nothing."""
    ended: list[BaseException] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            for _ in range(64):
                await send({"type": "http.response.body", "body": bytes(1 << 20), "more_body": True})
        except BaseException as problem:
            ended.append(problem)
            raise

    async def main() -> None:
        config = uvicorn.Config(app, http=protocol(0.2, Connections(9)), lifespan="off", log_config=None)
        config.load()
        loop, state = asyncio.get_running_loop(), ServerState()
        server = await loop.create_server(lambda: config.http_protocol_class(config, state, {}), "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), limit=1)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        for _ in range(500):
            if ended:
                break
            await asyncio.sleep(0.02)
        writer.close()
        server.close()

    asyncio.run(main())
    assert [type(problem) for problem in ended] == [Late]
