"""Sessions that end at the service while a call needs them: the call starts anew."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from served import LAYERS, D, Process, build, update_of

from slotlang.client import AsyncSession, ServiceProblem, Session
from slotlang.client.connection import Connection
from slotlang.client.straight import Straight
from slotlang.diagnostics import SlotError

X = np.random.default_rng(8).standard_normal((2, D))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("anew") / "adapters"
    build(folder)
    process = Process(folder)
    yield process
    process.close()


def end(service: Process, token: str, name: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.delete(f"{service.url}/v1/sessions/{name}", headers=headers, trust_env=False).status_code == 204


def right(session: Session) -> bool:
    return bool(np.abs(session.update(LAYERS[0], X) - update_of(LAYERS[0], X)).max() < 1e-2)


@pytest.mark.parametrize("call", [Session.keys, Session.rotate, right])
@pytest.mark.parametrize("kept", [True, False], ids=["with a file", "in memory"])
def test_a_session_that_ends_during_its_upload(
    service: Process, alice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Any, kept: bool
) -> None:
    plain, ended = Connection.put, list[str]()

    async def put(self: Connection, path: str, data: Any) -> Any:
        if len(ended) < 2:
            ended.append(path.split("/")[3])
            end(service, alice, ended[-1])
        return await plain(self, path, data)

    with Session(service.url, alice, secret=tmp_path / "secret" if kept else None) as session:
        monkeypatch.setattr(Connection, "put", put)
        assert call(session)
        assert len(set(ended)) == 2 and session.keys()["id"] not in ended
        assert right(session)


def test_a_session_that_always_ends_is_given_up(service: Process, alice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from slotlang.client.keyed import ROUNDS

    plain, ended = Connection.put, list[str]()

    async def put(self: Connection, path: str, data: Any) -> Any:
        ended.append(path.split("/")[3])
        end(service, alice, ended[-1])
        return await plain(self, path, data)

    with Session(service.url, alice) as session:
        with monkeypatch.context() as patch:
            patch.setattr(Connection, "put", put)
            patch.setattr("slotlang.client.keyed._PAUSE", 0.0)
            with pytest.raises(ServiceProblem, match="SL571"):
                session.keys()
        assert len(ended) == ROUNDS
        assert right(session)


@pytest.mark.parametrize("when", [0, 1])
def test_a_session_that_ends_while_keys_asks_for_it(
    service: Process, alice: str, monkeypatch: pytest.MonkeyPatch, when: int
) -> None:
    """Before it is known to be there, and after."""
    plain, asked = Connection.json, list[str]()

    async def request(self: Connection, method: str, path: str, *arguments: Any) -> Any:
        if method == "GET":
            if len(asked) == when:
                end(service, alice, path.split("/")[3])
            asked.append(path)
        return await plain(self, method, path, *arguments)

    with Session(service.url, alice) as session:
        gone = session.keys()["id"]
        monkeypatch.setattr(Connection, "json", request)
        state = session.keys()
        assert len(asked) > 1 and state["ready"] and state["id"] != gone
        assert right(session)


@pytest.mark.parametrize("said", ["SL578", "SL571"])
def test_a_session_that_ends_after_a_refusal(
    service: Process, alice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    """Another process rotates between the service's word that keys are damaged and the question which."""
    plain, refused = Straight.post_here, list[str]()
    with (
        Session(service.url, alice, secret=tmp_path / "secret") as session,
        Session(service.url, alice, secret=tmp_path / "secret") as other,
    ):
        session.keys()
        other.keys()

        def post_here(self: Straight, *arguments: Any) -> Any:
            if not refused:
                refused.append(other.rotate()["id"])
                raise ServiceProblem(said, "of this session")
            return plain(self, *arguments)

        monkeypatch.setattr(Straight, "post_here", post_here)
        assert right(session)
        assert refused == [session.keys()["id"]]


def test_sessions_that_end_each_other(service: Process, tmp_path: Path) -> None:
    """The quota has room for one: each of three clients finds its own evicted."""
    folder = tmp_path / "adapters"
    build(folder)
    process = Process(folder, "--sessions", "1", "--rate", "10000")
    try:
        token, barrier = process.token("alice"), threading.Barrier(3)

        def call(_: int) -> bool:
            barrier.wait(30)
            with Session(process.url, token) as session:
                return right(session)

        with ThreadPoolExecutor(3) as threads:
            assert all(threads.map(call, range(6)))
    finally:
        process.close()


def test_keys_are_sent_anew_where_nobody_has_those_that_the_service_lost(tmp_path: Path) -> None:
    """A session goes on with one of an earlier process, whose evaluation keys are damaged at the service."""
    folder, file = tmp_path / "adapters", tmp_path / "secret"
    build(folder)
    process = Process(folder, "--keys-memory", "0")
    try:
        token = process.token("alice")
        with Session(process.url, token, secret=file) as session:
            session.keys()
        with Session(process.url, token, secret=file) as session:
            before = session.keys()["id"]
            (keys,) = [path for path in (folder / ".state" / "keys").glob("*/*") if path.is_file()]
            data = bytearray(keys.read_bytes())
            data[len(data) // 2] ^= 1
            keys.write_bytes(data)
            # the service notices
            with Session(process.url, token, secret=file) as other, pytest.MonkeyPatch.context() as patch:
                patch.setattr("slotlang.client.keyed.ROUNDS", 1)
                with pytest.raises(ServiceProblem, match="SL578"):
                    other.update(LAYERS[0], X)
            state = session.keys()
            assert state["ready"] and state["id"] != before
            assert right(session)
    finally:
        process.close()


# What is no answer, and no argument


class Liar:
    """A service of one answer for each path."""

    def __init__(self, answers: dict[str, tuple[int, bytes]]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, body = answers[self.path]
                self.send_response(status)
                self.send_header("Slotlang-Protocol", "1")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_PUT = do_DELETE = do_GET

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self) -> Liar:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


STATE = {"id": "A" * 22, "ready": False, "coming": "ab", "received": 0, "expires": 1}


@pytest.mark.parametrize(
    "session",
    [
        (200, json.dumps({**STATE, "expires": 10**400}).encode()),
        (200, json.dumps({**STATE, "id": "\ud800" * 22}).encode()),
        (200, json.dumps({**STATE, "received": -1}).encode()),
        (422, json.dumps({"error": {"code": ["SL572"], "message": 1, "hint": {}}}).encode()),
        (422, json.dumps({"error": {"code": {"a": 1}}}).encode()),
        (422, json.dumps({"error": {"code": 10**400}}).encode()),
    ],
    ids=["a long number", "half a character", "a negative number", "a list", "an object", "a number"],
)
def test_an_odd_answer_about_a_session_is_said_to_be_one(service: Process, alice: str, session: Any) -> None:
    headers = {"Authorization": f"Bearer {alice}"}
    client = httpx.get(f"{service.url}/v1/models/tiny/client", headers=headers, trust_env=False).content
    answers = {"/v1/models/tiny/client": (200, client), "/v1/sessions": session}
    with (
        Liar(answers) as liar,
        Session(liar.url, "token", model="tiny") as of,
        pytest.raises(ServiceProblem, match="SL581"),
    ):
        of.keys()


@pytest.mark.parametrize("name", ["\ud800", 10**400, ["a"], {}])
def test_an_odd_name_of_an_adapter_is_said_to_be_one(name: Any) -> None:
    models = {"data": [{"id": name, "version": "x"}]}
    with (
        Liar({"/v1/models": (200, json.dumps(models).encode())}) as liar,
        Session(liar.url, "token") as session,
        pytest.raises(ServiceProblem, match="SL581"),
    ):
        session.keys()


@pytest.mark.parametrize(
    "options",
    [
        *({"timeout": timeout} for timeout in (0, -1, float("inf"), float("nan"), 1e12, None, "1", True)),
        *({"tries": tries} for tries in (1.5, None, "3", True)),
        *({"model": model} for model in (5, b"tiny", "\ud800")),
    ],
    ids=repr,
)
def test_options_of_another_kind_are_refused_by_name(options: Any) -> None:
    with pytest.raises(SlotError, match=rf"SL005.*({'|'.join(options)}|adapter)"):
        Session("http://127.0.0.1:9", "token", **options)


@pytest.mark.parametrize("token", [None, b"token", 5, "", "a b", "\ud800"])
def test_what_is_no_token_is_refused(token: Any) -> None:
    with pytest.raises(SlotError, match="SL570"):
        Session("http://127.0.0.1:9", token)


@pytest.mark.parametrize("timeout", [1e9, np.float64(30.0), np.int64(30), 30])
def test_any_number_of_seconds_will_do(service: Process, alice: str, timeout: Any) -> None:
    with Session(service.url, alice, timeout=timeout) as session:
        assert right(session) and right(session)


def test_a_timeout_that_is_very_short_is_one(service: Process, alice: str) -> None:
    """The system takes none at all for no limit."""
    from slotlang.client.straight import _Line

    address = httpx.URL(service.url)
    line = _Line(str(address.host), int(address.port or 0), None, 1e-9)
    with pytest.raises(httpx.ReadTimeout):
        line.received(1)
    line.close()


def test_a_session_belongs_to_one_event_loop(service: Process, alice: str) -> None:
    session, loop = AsyncSession(service.url, alice), asyncio.new_event_loop()
    loop.run_until_complete(session.keys())
    for call in (session.keys, session.rotate, lambda: session.update(LAYERS[0], X)):
        with pytest.raises(RuntimeError, match=r"another event loop's: each `asyncio\.run`"):
            asyncio.run(call())
    loop.run_until_complete(session.close())
    loop.close()
