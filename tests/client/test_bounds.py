"""What a client holds of a service that sends without end, or bytes that become many."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import slotlang
from loopback import PROTOCOL, Asked, Loopback, chunked, passed_on, whole
from served import LAYERS, D, Process, update_of

from slotlang.client import AsyncSession, ServiceProblem, Session
from slotlang.client.connection import Connection
from slotlang.service.protocol import LENGTH

X = np.random.default_rng(4).standard_normal((2, D))
PIECE = b" " * (1 << 16)
ENDLESS = 1 << 28
"""Bytes after which the other side gives up: what lies in the system's buffers is far less."""
FEW = 1 << 26

Answer = Callable[[Asked], bytes | Iterable[bytes] | None]


def endless() -> Iterator[bytes]:
    for _ in range(ENDLESS // len(PIECE)):
        yield PIECE


@pytest.fixture
def token(served: Process) -> str:
    return served.token("alice")


def between(served: Process, evaluation: Answer) -> Loopback:
    """A service that answers requests for evaluation in its own way."""
    return Loopback(
        lambda asked: evaluation(asked) if asked.path.endswith("/evaluate") else passed_on(asked, served.url)
    )


CALLS: dict[str, Callable[[Session], Any]] = {
    "models": Session.models,
    "adapter": Session.adapter,
    "keys": Session.keys,
}


@pytest.mark.parametrize("status", ["200 OK", "404 No", "503 No", "302 No"])
@pytest.mark.parametrize("call", ["models", "adapter"])
def test_an_answer_without_end_is_not_read_to_the_end(call: str, status: str) -> None:
    with Loopback(lambda _: chunked(endless(), status)) as server:
        with (
            Session(server.url, "token", model="tiny", tries=1) as session,
            pytest.raises(ServiceProblem, match=r"SL58[01]"),
        ):
            CALLS[call](session)
        # as much as an adapter may have, at most
        assert server.sent < ENDLESS - FEW / 2


def evaluated(url: str, token: str, way: str) -> Any:
    async def main() -> Any:
        async with AsyncSession(url, token, tries=1) as session:
            await session.keys()
            if way == "proxy":
                # as where no connection of its own goes
                session._connection.straight = None
            return await session.update(LAYERS[0], X)

    if way != "session":
        return asyncio.run(main())
    with Session(url, token, tries=1) as session:
        session.keys()
        return session.update(LAYERS[0], X)


WAYS = pytest.mark.parametrize("way", ["session", "asyncio", "proxy"])


@WAYS
@pytest.mark.parametrize("status", ["200 OK", "404 No", "503 No"])
def test_an_evaluation_without_end_is_not_read_to_the_end(served: Process, token: str, way: str, status: str) -> None:
    with between(served, lambda _: chunked(endless(), status)) as server:
        with pytest.raises(ServiceProblem, match=r"SL58[01]"):
            evaluated(server.url, token, way)
        assert server.sent < FEW


@WAYS
def test_an_answer_has_no_more_bytes_than_results_can_have(served: Process, token: str, way: str) -> None:
    # a frame of a length that some other request's answer could have
    head = LENGTH.pack(1 << 27)
    with between(served, lambda _: chunked([head, *endless()])) as server:
        with pytest.raises(ServiceProblem, match="SL581"):
            evaluated(server.url, token, way)
        assert server.sent < FEW
    with between(served, lambda asked: passed_on(asked, served.url)) as server:
        assert np.abs(evaluated(server.url, token, way) - update_of(LAYERS[0], X)).max() < 1e-5


COMPRESSED = PROTOCOL + b"Content-Encoding: gzip\r\n"
BOMB = gzip.compress(bytes(1 << 24))


@WAYS
def test_a_compressed_answer_is_refused(served: Process, token: str, way: str) -> None:
    with (
        between(served, lambda _: whole(BOMB, headers=COMPRESSED)) as server,
        pytest.raises(ServiceProblem, match=r"SL581.*is compressed \(gzip\)"),
    ):
        evaluated(server.url, token, way)


def test_nothing_that_is_compressed_is_decoded() -> None:
    with Loopback(lambda _: whole(BOMB, headers=COMPRESSED)) as server, Session(server.url, "token") as session:
        for call in (Session.models, Session.keys):
            with pytest.raises(ServiceProblem, match=r"SL581.*is compressed \(gzip\)") as found:
                call(session)
            assert "proxy" in found.value.diagnostics[0].hint
        assert all(asked.headers["accept-encoding"] == "identity" for asked in server.asked)


def test_a_refusal_that_is_compressed_counts_by_its_status() -> None:
    body = gzip.compress(json.dumps({"error": {"code": "SL571", "message": "no"}}).encode())
    with (
        Loopback(lambda _: whole(body, "503 No", COMPRESSED)) as server,
        Session(server.url, "token", tries=1) as session,
        pytest.raises(ServiceProblem, match="status 503"),
    ):
        session.models()


def test_cookies_are_neither_held_nor_sent() -> None:
    cookie = PROTOCOL + b"Set-Cookie: a=b; Path=/\r\n"
    with Loopback(lambda _: whole(b'{"data": []}', headers=cookie)) as server:
        with Session(server.url, "token") as session:
            session.models()
            session.models()
        assert len(server.asked) == 2 and not any("cookie" in asked.headers for asked in server.asked)


def test_programs_together_have_no_more_tables_than_one_may(
    served: Process, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their bytes are compressed."""
    import slotlang.service.interface as module
    from slotlang.client.adapter import Adapter
    from slotlang_runtime.wire import pack, unpack

    async def read() -> bytes:
        connection = Connection(served.url, token)
        try:
            return await connection.data("/v1/models/tiny/client")
        finally:
            await connection.close()

    data = asyncio.run(read())
    box = unpack("client", data)
    program = bytes(box.records["program square"] or b"")
    entries = sum(
        len(zlib.decompress(record)) // 4
        for record in unpack("program", program).records.values()
        if record is not None
    )
    monkeypatch.setattr(module.Room.__init__, "__defaults__", (2 * entries - 1,))
    assert Adapter.from_bytes(data).programs
    twice = pack("client", box.label, {**box.records, "program other": program})
    with pytest.raises(ServiceProblem, match=r"SL581.*too large"):
        Adapter.from_bytes(twice)


def test_what_nests_without_end_is_refused(served: Process, token: str) -> None:
    from slotlang.client.adapter import Adapter
    from slotlang_runtime.wire import pack

    label = {"name": "tiny", "version": "0", "base_model": None}
    with pytest.raises(ServiceProblem, match="SL581"):
        Adapter.from_bytes(pack("client", label, {"groups": b"[" * 100_000}))


def test_what_a_service_calls_things_is_shown_without_what_terminals_obey(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLOTLANG_TOKEN", "token")
    name = "a\x1b[31m\nb"
    body = json.dumps({"data": [{"id": name, "version": name, "parent": name}]}).encode()
    with Loopback(lambda _: whole(body)) as server:
        ended = slotlang("client", "models", server.url)
        assert ended.status == 0 and ended.out == "a [31m b a [31m b  of a [31m b\n"
        assert json.loads(slotlang("client", "models", server.url, "--json").out)["models"][0]["id"] == name
    with Loopback(lambda _: whole(b'{"data": []}')) as server:
        ended = slotlang("client", "models", server.url)
        assert (ended.status, ended.out, ended.err) == (0, "", "the token may use no adapter\n")


@pytest.mark.parametrize("expires", ["1e300", "253402300800", "-1", "NaN", '"x"'])
def test_a_session_ends_on_a_day_that_there_is(
    served: Process, token: str, monkeypatch: pytest.MonkeyPatch, expires: str, tmp_path: Path
) -> None:
    monkeypatch.setenv("SLOTLANG_TOKEN", token)

    def answer(asked: Asked) -> bytes:
        found = passed_on(asked, served.url)
        head, _, body = found.partition(b"\r\n\r\n")
        if not asked.path.startswith("/v1/sessions"):
            return found
        edited = re.sub(rb'"expires": ?[0-9.e+]+', b'"expires": ' + expires.encode(), body)
        return whole(edited, head.split(b" ", 2)[1].decode() + " Status")

    with Loopback(answer) as server:
        ended = slotlang("client", "keys", server.url, "--secret", f"{tmp_path}/secret")
        assert ended.status == 2 and ended.err.startswith("error[SL581]"), ended.err
