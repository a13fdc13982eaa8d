"""The client against a real service: tokens, keys in files, faults of the network, models."""

from __future__ import annotations

import asyncio
import json
import linecache
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from served import LAYERS, TOKENS, D, Process, update_of

from slotlang.client import AsyncSession, ServiceProblem, Session
from slotlang.client.adapter import Adapter, Crypto
from slotlang.client.connection import Connection, Evaluation
from slotlang.client.tokens import Tokens
from slotlang.diagnostics import SlotError, error
from slotlang.integrations.peft import attach
from slotlang.service.protocol import KEY_HEADER
from slotlang_runtime import BelowPrecision, Rejected, SecretKey
from slotlang_runtime.limits import Limit
from slotlang_runtime.parameters import RingParameters

X = np.random.default_rng(4).standard_normal((3, D))


@pytest.fixture(scope="module")
def token(served: Process) -> str:
    return served.token("alice")


class Lossy:
    """A proxy before the service that loses requests, or answers after so many bytes."""

    def __init__(self, url: str) -> None:
        self.faults: list[tuple[str, int]] = []
        self.seen: list[tuple[str, str, bytes]] = []
        self.keys: list[str | None] = []
        lossy = self
        self.upstream = upstream = httpx.Client(base_url=url, trust_env=False, timeout=30)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                lossy.seen.append((self.command, self.path, body))
                lossy.keys.append(self.headers.get(KEY_HEADER))
                kind, size = "", 0
                if lossy.faults and self.command in ("POST", "PUT"):
                    kind, size = lossy.faults.pop(0)
                if kind == "request":
                    self.close_connection = True
                    self.connection.close()
                    return
                if kind == "busy":
                    self.send_response(503)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "content-length")}
                answer = upstream.request(self.command, self.path, content=body, headers=headers)
                self.send_response(answer.status_code)
                for name, value in answer.headers.items():
                    if name.lower() not in ("transfer-encoding", "content-length", "date"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                if kind == "answer":
                    self.wfile.write(answer.content[:size])
                    self.close_connection = True
                    self.connection.close()
                else:
                    self.wfile.write(answer.content)

            do_GET = do_POST = do_PUT = do_DELETE = handle_any

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def lossy(served: Process) -> Iterator[Lossy]:
    found = Lossy(served.url)
    yield found
    found.server.shutdown()
    found.server.server_close()
    found.upstream.close()


LOST = [("request", 0), ("answer", 100), ("busy", 0), ("answer", 0)]


def check_sent_again(lossy: Lossy, y: Any) -> None:
    """The same bytes under the same key: four times lost, once answered."""
    assert np.abs(y - update_of(LAYERS[0], X[:2])).max() < 1e-5
    bodies = [body for _, path, body in lossy.seen if path.endswith("/evaluate")]
    assert len(bodies) == 5 and len(set(bodies)) == 1
    assert len(lossy.keys) == 5 and len(set(lossy.keys)) == 1 and lossy.keys[0]


def test_a_token_that_is_too_large_has_its_number_among_all(served: Process, token: str) -> None:
    """A program takes a few tokens at a time; whoever gave x knows nothing of these."""
    x = np.zeros((3 * TOKENS, D))
    x[2 * TOKENS + 1] = 1e9
    with (
        Session(served.url, token) as session,
        pytest.raises(Rejected, match=rf"the norm of token {2 * TOKENS + 1} of x(, equalized,)? is "),
    ):
        session.update(LAYERS[0], x)


def test_what_is_lost_is_sent_again_as_it_was(lossy: Lossy, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """First by the thread that calls, then by the session's own."""
    threads, plain = list[str](), Crypto.encrypt

    def encrypt(self: Crypto, *arguments: Any) -> bytes:
        threads.append(threading.current_thread().name)
        return plain(self, *arguments)

    monkeypatch.setattr(Crypto, "encrypt", encrypt)
    with Session(lossy.url, token) as session:
        session.keys()
        lossy.seen.clear()
        lossy.keys.clear()
        lossy.faults = [*LOST]
        check_sent_again(lossy, session.update(LAYERS[0], X[:2]))
    assert threads == [threading.current_thread().name]


def test_what_asyncio_loses_is_sent_again_as_it_was(lossy: Lossy, token: str) -> None:
    async def main() -> Any:
        async with AsyncSession(lossy.url, token) as session:
            await session.keys()
            lossy.seen.clear()
            lossy.keys.clear()
            lossy.faults = [*LOST]
            return await session.update(LAYERS[0], X[:2])

    check_sent_again(lossy, asyncio.run(main()))


def test_a_call_of_a_closed_session_is_refused(served: Process, token: str) -> None:
    session = Session(served.url, token)
    session.update(LAYERS[0], X[:2])
    session.close()
    with pytest.raises(RuntimeError, match="closed"):
        session.update(LAYERS[0], X[:2])


def test_a_call_that_waits_ends_with_its_session(served: Process, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    began, ended = threading.Event(), list[BaseException]()

    async def json(*_: Any, **__: Any) -> Any:
        began.set()
        await asyncio.Event().wait()

    def call() -> None:
        try:
            session.models()
        except BaseException as problem:
            ended.append(problem)

    session = Session(served.url, token)
    monkeypatch.setattr(Connection, "json", json)
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    assert began.wait(30)
    session.close()
    thread.join(30)
    assert [str(problem) for problem in ended] == ["this session is closed"]
    session.close()


def test_a_close_that_is_interrupted_ends_all_the_same() -> None:
    """The next close waits for the same end, and so does the end of a process without another one."""
    program = """
import asyncio, os, signal, threading
from slotlang.client import AsyncSession, Session

session, plain = Session("http://127.0.0.1:9", "token"), AsyncSession.close
released, closed = threading.Event(), []

def once(*_):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt

async def close(self):
    # one that comes just before the wait does not end it
    while not released.is_set():
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0.01)
    await plain(self)
    closed.append(self)

signal.signal(signal.SIGINT, once)

AsyncSession.close = close
try:
    session.close()
    raise SystemExit("not interrupted")
except KeyboardInterrupt:
    released.set()
session.close()
assert closed and session._loop.is_closed(), "still open"
assert not [t for t in threading.enumerate() if t.name == "slotlang session"], "still a thread"
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_keys_go_on_where_the_network_failed(lossy: Lossy, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import slotlang.client.sessions as module

    monkeypatch.setattr(module, "_CHUNK", 300_000)
    with Session(lossy.url, token) as session:
        # the session is made, one part arrives, one is lost, of one the answer is lost
        lossy.faults = [("", 0), ("", 0), ("request", 0), ("answer", 10)]
        state = session.keys()
        assert state["ready"]
        parts = [body for method, _, body in lossy.seen if method == "PUT"]
        # of the lost one nothing arrived, and the one whose answer was lost is not sent again
        assert parts[1] == parts[2] and b"".join([*parts[:1], *parts[2:]]) == session._inner._evaluation_keys


def test_a_service_that_stays_away_ends_in_a_message(token: str) -> None:
    with Session("http://127.0.0.1:9", token, tries=2) as session, pytest.raises(ServiceProblem, match="SL580"):
        session.keys()


def test_something_else_at_the_address_is_noticed(token: str) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *_: Any) -> None:
            pass

    other = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=other.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{other.server_port}"
    with Session(url, token) as session, pytest.raises(ServiceProblem, match="SL581"):
        session.models()
    other.shutdown()
    other.server_close()


@pytest.mark.parametrize("url", ["http://example.com", "http://10.0.0.1:8400", "http://0.0.0.0:1"])
def test_a_token_never_travels_in_the_clear(url: str) -> None:
    with pytest.raises(SlotError, match="SL563"):
        Session(url, "slot_x")


@pytest.mark.parametrize("url", ["", "127.0.0.1:8400", "ftp://127.0.0.1", "http://", "http://[::1"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(SlotError, match="SL005"):
        Connection(url, "slot_x")


def ids(served: Process, token: str) -> set[str]:
    """The tenant's sessions at the service."""
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx.get(f"{served.url}/v1/sessions", headers=headers, trust_env=False).json()
    return {one["id"] for one in answer["data"]}


def test_a_secret_file_is_its_owners_alone_and_serves_again(served: Process, token: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    with Session(served.url, token, secret=file) as session:
        first = session.keys()
    assert file.stat().st_mode & 0o777 == 0o600
    before = ids(served, token)
    with Session(served.url, token, secret=file) as session:
        assert session.keys()["id"] == first["id"]
        assert np.abs(session.update(LAYERS[0], X) - update_of(LAYERS[0], X)).max() < 1e-5
        rotated = session.rotate()
        assert rotated["id"] != first["id"] and rotated["keys"] != first["keys"]
        assert ids(served, token) == before - {first["id"]} | {rotated["id"]}
    # the file has the new key
    with Session(served.url, token, secret=file) as session:
        assert session.keys()["id"] == rotated["id"]
        assert np.abs(session.update(LAYERS[0], X) - update_of(LAYERS[0], X)).max() < 1e-5
    file.chmod(0o640)
    with Session(served.url, token, secret=file) as session, pytest.raises(SlotError, match=r"SL582.*0640"):
        session.keys()
    file.chmod(0o600)
    file.write_bytes(b"no key")
    with Session(served.url, token, secret=file) as session, pytest.raises(SlotError, match="SL582"):
        session.keys()


def test_a_session_that_the_service_ended_is_made_anew(served: Process, token: str) -> None:
    with Session(served.url, token) as session:
        before = session.keys()["id"]
        headers = {"Authorization": f"Bearer {token}"}
        assert httpx.delete(f"{served.url}/v1/sessions/{before}", headers=headers, trust_env=False).status_code == 204
        assert np.abs(session.update(LAYERS[0], X) - update_of(LAYERS[0], X)).max() < 1e-5
        assert session.keys()["id"] != before


@pytest.mark.parametrize("call", [Session.keys, Session.rotate])
def test_keys_are_made_anew_for_a_session_that_the_service_ended(
    served: Process, token: str, call: Callable[[Session], dict[str, Any]]
) -> None:
    with Session(served.url, token) as session:
        before = session.keys()["id"]
        headers = {"Authorization": f"Bearer {token}"}
        assert httpx.delete(f"{served.url}/v1/sessions/{before}", headers=headers, trust_env=False).status_code == 204
        after = call(session)
        assert after["ready"] and after["id"] != before
        assert np.abs(session.update(LAYERS[0], X) - update_of(LAYERS[0], X)).max() < 1e-5


def test_keys_that_were_lost_are_sent_by_the_next_call(lossy: Lossy, token: str) -> None:
    with Session(lossy.url, token, tries=1) as session:
        # the session is made, and its keys are lost
        lossy.faults = [("", 0), ("request", 0)]
        with pytest.raises(ServiceProblem, match="SL580"):
            session.keys()
        assert session.keys()["ready"]


@pytest.mark.parametrize("lost", ["answer", "file"])
def test_a_rotation_that_fails_when_the_service_has_the_new_keys_leaves_the_old_ones_in_use(
    served: Process, lossy: Lossy, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    import slotlang.client.rotation as module

    def write(path: Path, _: Any) -> None:
        raise error("SL582", "the disk is full", file=str(path))

    file = tmp_path / "secret"
    with Session(lossy.url, token, secret=file, tries=1) as session:
        session.keys()
        before, there = file.read_bytes(), ids(served, token)
        if lost == "answer":
            lossy.faults = [("", 0), ("answer", 10)]
        else:
            monkeypatch.setattr(module, "write_secret", write)
        with pytest.raises(SlotError, match=r"SL580|SL582"):
            session.rotate()
        monkeypatch.undo()
        assert file.read_bytes() == before
        # whoever starts now, and this session
        with Session(lossy.url, token, secret=file) as other:
            assert np.abs(other.update(LAYERS[0], X) - update_of(LAYERS[0], X)).max() < 1e-5
        assert np.abs(session.update(LAYERS[0], X) - update_of(LAYERS[0], X)).max() < 1e-5
        assert ids(served, token) == there


def test_nothing_is_sent_after_decryption_began(served: Process, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what decryption says stays here: a failure is the caller's alone."""
    import slotlang.client.requests as module

    monkeypatch.setattr(module, "_REQUEST_ITEMS", 1)
    sent: list[str] = []
    plain = Evaluation.sent

    async def evaluate(self: Evaluation[Any], *arguments: Any) -> Any:
        sent.append("begins")
        found = await plain(self, *arguments)
        sent.append("ends")
        return found

    def decrypt(self: Crypto, *_: Any) -> Any:
        sent.append("decrypts")
        raise Rejected("out of range", "SL533")

    monkeypatch.setattr(Evaluation, "sent", evaluate)
    monkeypatch.setattr(Crypto, "decrypt", decrypt)
    with Session(served.url, token) as session, pytest.raises(Rejected, match="out of range"):
        session.update(LAYERS[0], np.ones((6, D)))
    assert sorted(sent[:-1]) == ["begins"] * 3 + ["ends"] * 3 and sent[-1] == "decrypts"


def test_what_decryption_says_of_one_upload_stays_here_too(
    lossy: Lossy, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decrypt(self: Crypto, *_: Any) -> Any:
        lossy.seen.append(("decrypts", "", b""))
        raise Rejected("out of range", "SL533")

    with Session(lossy.url, token) as session:
        session.keys()
        monkeypatch.setattr(Crypto, "decrypt", decrypt)
        lossy.seen.clear()
        lossy.faults = [("answer", 100)]
        with pytest.raises(Rejected, match="out of range"):
            session.update(LAYERS[0], X[:2])
        assert [what for what, _, _ in lossy.seen] == ["POST", "POST", "decrypts"]


def test_a_call_that_is_given_up_while_it_encrypts_sends_nothing(
    lossy: Lossy, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, ended, plain = threading.Event(), threading.Event(), Crypto.encrypt

    def encrypt(self: Crypto, *arguments: Any) -> bytes:
        began.set()
        assert ended.wait(30)
        return plain(self, *arguments)

    async def main() -> None:
        async with AsyncSession(lossy.url, token) as session:
            await session.keys()
            lossy.seen.clear()
            monkeypatch.setattr(Crypto, "encrypt", encrypt)
            call = asyncio.create_task(session.update(LAYERS[0], X[:2]))
            await asyncio.to_thread(began.wait, 30)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            ended.set()
            monkeypatch.setattr(Crypto, "encrypt", plain)
            # of the same connection's threads
            assert np.abs(await session.update(LAYERS[0], X[:2]) - update_of(LAYERS[0], X[:2])).max() < 1e-5

    asyncio.run(main())
    assert [method for method, _, _ in lossy.seen] == ["POST"]


def test_many_at_a_time(served: Process, token: str) -> None:
    async def main() -> list[Any]:
        async with AsyncSession(served.url, token) as session:
            return await asyncio.gather(*(session.update(layer, X * n) for layer in LAYERS for n in (1, 2)))

    found = asyncio.run(main())
    for y, (layer, n) in zip(found, [(layer, n) for layer in LAYERS for n in (1, 2)], strict=True):
        assert np.abs(y - update_of(layer, X * n)).max() < 1e-5


def test_inputs_that_do_not_fit_are_refused_here(served: Process, token: str) -> None:
    with Session(served.url, token) as session:
        for x, match in (
            (np.ones(D + 1), "32 columns"),
            (np.full(D, np.nan), "NaN"),
            (np.full(D, 1e6), "norm"),
            (np.full(D, 1 << 60), "bit patterns"),
            (np.ones(D, complex), "real numbers"),
            (np.float64(1), "32 columns"),
        ):
            with pytest.raises(Rejected, match=match):
                session.update(LAYERS[0], x)
        for name, hint in (
            ("layers.0.q_porj", f"did you mean '{LAYERS[0]}'"),
            ("q_proj", f"the whole name is needed: {LAYERS[0]}, {LAYERS[2]}"),
            ("v_proj", f"did you mean '{LAYERS[1]}'"),
            ("zzz", "client modules"),
        ):
            with pytest.raises(ServiceProblem, match=hint):
                session.update(name, X)
        with pytest.raises(SlotError, match="SL005") as found:
            session.updates(LAYERS[0], X)
        assert "list of modules" in str(found.value)


WRONG: dict[str, Callable[[Any], Any]] = {
    "several for one": lambda session: session.update(LAYERS, X),
    "one for several": lambda session: session.updates(LAYERS[0], X),
    "a number for a name": lambda session: session.updates([3], X),
    "none for a name": lambda session: session.update(None, X),
    "none for several": lambda session: session.updates(None, X),
    "ranks of nobody": lambda session: session.updates(LAYERS[:1], X, ranks=[0]),
}


@pytest.mark.parametrize("name", WRONG)
def test_calls_that_name_no_modules_are_refused(name: str) -> None:
    with Session("http://127.0.0.1:9", "token") as session, pytest.raises(SlotError, match="SL005"):
        WRONG[name](session)

    async def main() -> None:
        async with AsyncSession("http://127.0.0.1:9", "token") as session:
            with pytest.raises(SlotError, match="SL005"):
                await WRONG[name](session)

    asyncio.run(main())


@pytest.mark.parametrize("options", [{"secret": 3}, {"secret": b"secret"}, {"certificates": 3}])
def test_what_is_no_file_is_refused(options: Any) -> None:
    """A secret that is not taken would be another one, in memory."""
    for kind in (Session, AsyncSession):
        with pytest.raises(SlotError, match=r"SL005.*are files"):
            kind("http://127.0.0.1:9", "token", **options)


def test_a_token_is_taken_as_a_file_has_it(served: Process, token: str) -> None:
    with Session(served.url, f"{token}\n") as session:
        assert session.models()
    with Session(served.url, f"{token[:-1]}~") as session, pytest.raises(ServiceProblem, match="SL570") as found:
        session.models()
    assert "not known here" in str(found.value)


@pytest.mark.parametrize("count", [1, 5], ids=["one upload", "several"])
def test_small_results_warn_at_the_line_that_asked(served: Process, token: str, count: int) -> None:
    x = np.full((count, D), 1e-9)

    def checked(found: Any) -> None:
        (warning,) = {(w.filename, w.lineno) for w in found}
        assert warning[0] == __file__ and linecache.getline(*warning).endswith("# asks\n")

    async def main(each: bool) -> None:
        async with AsyncSession(served.url, token) as session:
            for _ in range(2):
                with pytest.warns(BelowPrecision) as found:
                    if each:
                        await session.update(LAYERS[0], x)  # asks
                    else:
                        await session.updates(LAYERS[:2], x)  # asks
                checked(found)

    with Session(served.url, token) as session:
        # the first call has keys to send
        for _ in range(2):
            with pytest.warns(BelowPrecision) as found:
                session.update(LAYERS[0], x)  # asks
            checked(found)
            with pytest.warns(BelowPrecision) as found:
                session.updates(LAYERS[:2], x)  # asks
            checked(found)
    for each in (True, False):
        asyncio.run(main(each))


def test_nothing_is_said_of_modules_that_nobody_asked_for(served: Process, token: str) -> None:
    """One program computes the updates of both."""
    with Session(served.url, token) as session:
        adapter = session.adapter()
        first, *others = adapter.groups
        both = (*first.updates, replace(first.updates[0], name="beside"))
        session._inner._adapter = replace(adapter, groups=(replace(first, updates=both), *others))
        with pytest.warns(BelowPrecision) as found:
            session.update(LAYERS[0], np.full((2, D), 1e-9))
        assert [LAYERS[0] in str(warning.message) for warning in found] == [True]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_tokens_that_fill_up_a_batch_make_nothing_small(served: Process, token: str, count: int) -> None:
    x = X[:1]
    with Session(served.url, token) as session:
        (program,) = session.adapter().programs.values()
        least = max(program.error.values()) / program.precision
        at_least = x * least / np.sqrt(np.mean(update_of(LAYERS[0], x) ** 2))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            session.update(LAYERS[0], np.repeat(1.2 * at_least, count, axis=0))
        with pytest.warns(BelowPrecision, match=rf"the update of {LAYERS[0]} .* rms is {0.8 * least:.1e}"):
            session.update(LAYERS[0], np.repeat(0.8 * at_least, count, axis=0))


@pytest.mark.parametrize(("count", "size"), [(0, 2), (1, 2), (5, 2), (6, 3), (1, 1), (7, 8)])
def test_tokens_are_split_padded_and_joined(count: int, size: int) -> None:
    x = np.arange(count * 3, dtype=np.float32).reshape(count, 3)
    tokens = Tokens.of(x, 3, "m")
    batches = tokens.batches(size)
    assert [b.shape for b in batches] == [(3, size)] * -(-count // size)
    assert all((b[:, count % size :] == 0).all() for b in batches[-1:] if count % size)
    joined = tokens.joined([2 * b for b in batches], 3)
    assert joined.dtype == np.float32 and (joined == 2 * x).all()


def test_a_ring_below_128_bits_is_refused(served: Process, token: str) -> None:
    """Whatever a service says: the client makes no key for it."""
    headers = {"Authorization": f"Bearer {token}"}
    data = httpx.get(f"{served.url}/v1/models/tiny/client", headers=headers, trust_env=False).content
    from slotlang_runtime.wire import pack, unpack

    box = unpack("client", data)
    program = unpack("program", bytes(box.records["program square"] or b""))
    label: dict[str, Any] = json.loads(json.dumps(program.label))
    label["parameters"]["prime_bits"] = [60] * 4
    weak = pack("program", label, program.records)
    with pytest.raises(ServiceProblem, match="128-bit"):
        Adapter.from_bytes(pack("client", box.label, {**box.records, "program square": weak}))
    assert RingParameters(8192, (60, 60, 60)) == Adapter.from_bytes(data).ring


class Linear:
    """A module as torch has it, as far as ``attach`` goes."""

    def __init__(self, seed: int) -> None:
        self.weight = np.random.default_rng(seed).standard_normal((D, D))

    def forward(self, x: Any) -> Any:
        return x @ self.weight.T


class Model:
    def __init__(self) -> None:
        self.modules = {f"model.{layer}": Linear(n) for n, layer in enumerate(LAYERS)}

    def named_modules(self) -> Any:
        return [("", self), *self.modules.items()]


def test_a_model_adds_the_updates_of_a_service(served: Process, token: str) -> None:
    model = Model()
    with Session(served.url, token) as session:
        before = {name: m.forward(X) for name, m in model.modules.items()}
        with attach(model, session):
            for layer in LAYERS:
                y = model.modules[f"model.{layer}"].forward(X)
                assert np.abs(y - before[f"model.{layer}"] - update_of(layer, X)).max() < 1e-5
        for name, module in model.modules.items():
            assert "forward" not in vars(module) and (module.forward(X) == before[name]).all()


class Counted:
    """A session that counts, with updates in the clear."""

    def __init__(self, inner: Session) -> None:
        self.inner, self.calls = inner, list[list[str]]()

    def adapter(self) -> Adapter:
        from dataclasses import replace

        found = self.inner.adapter()
        # all in one group
        updates = tuple(update for group in found.groups for update in group.updates)
        return replace(found, groups=(replace(found.groups[0], updates=updates),))

    def updates(self, modules: list[str], x: Any) -> dict[str, Any]:
        self.calls.append(modules)
        return {name: update_of(name, x) for name in modules}


def test_modules_of_one_group_share_a_request(served: Process, token: str) -> None:
    model = Model()
    with Session(served.url, token) as session:
        counted = Counted(session)
        with attach(model, counted):
            modules = [model.modules[f"model.{layer}"] for layer in LAYERS]
            x = X.copy()
            for module in modules:
                module.forward(x)
            assert counted.calls == [list(LAYERS)]
            # another x, and the same array with other values
            modules[0].forward(X + 1)
            x += 1
            modules[1].forward(x)
            assert len(counted.calls) == 2
            modules[1].forward(X)
            assert len(counted.calls) == 3


def test_a_model_that_does_not_fit_is_left_as_it_was(served: Process, token: str) -> None:
    model = Model()
    model.modules[f"model.{LAYERS[1]}"].weight = np.ones((D, D + 1))
    with Session(served.url, token) as session:
        with pytest.raises(SlotError, match=r"SL583.*32 x 33"):
            attach(model, session)
        with pytest.raises(SlotError, match="SL571"):
            attach(model, session, ["nothing"])
        del model.modules[f"model.{LAYERS[1]}"]
        with pytest.raises(SlotError, match="is not in the model"):
            attach(model, session)
    assert all("forward" not in vars(module) for module in model.modules.values())


def test_limits_are_those_of_the_groups_that_read_an_upload(served: Process, token: str) -> None:
    with Session(served.url, token, model="tiny") as session:
        adapter = session.adapter()
    narrow, wide = adapter.groups[:2]
    program, x = adapter.programs["square"], np.ones((D, 2))
    programs = {"square": replace(program, limits={"x": Limit(entry=0.5)}), "wide": program}
    wide = replace(wide, program="wide")
    crypto = Crypto(replace(adapter, programs=programs, groups=(narrow, wide)), SecretKey(adapter.ring))
    # both pack alike, and could share an upload: they don't where only one is asked for
    assert narrow.upload == wide.upload and crypto.encrypt(wide, x)
    for groups in ((narrow,), (wide, narrow), (narrow, wide)):
        with pytest.raises(Rejected, match=r"takes elements up to 0\.5"):
            crypto.encrypt(groups[0], x, *groups[1:])
