"""Room for bodies and answers under way."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import socket
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import numpy as np
import pytest
from repository import ROOT
from served import LAYERS, SIZES, TOKENS, D, Process, build, in_blocks, weights_of

from slotlang.api import load, lower
from slotlang.client import Session
from slotlang.client.adapter import Adapter, Crypto
from slotlang.diagnostics import SlotError
from slotlang.emit.loaded import load_module
from slotlang.planning.target import Target
from slotlang.service.gate import TENANT, Gate
from slotlang.service.interface import most_bytes
from slotlang.service.limits import Limits
from slotlang.service.metrics import Metrics
from slotlang.service.problems import BUSY, Refusal
from slotlang.service.protocol import Item, Request
from slotlang.service.room import Room
from slotlang_runtime import Client, EvaluationKeys, SecretKey, Server, Weights

MEGA = 1 << 20


def refused(room: Room, tenant: str, size: int) -> bool:
    """Whether there is no room for so much."""
    before = room.taken
    try:
        with room.take(tenant, size):
            assert room.taken == before + size
    except Refusal as problem:
        assert (problem.code, problem.status, problem.retry_after) == ("SL575", 503, 1.0)
        assert room.taken == before
        return True
    assert room.taken == before
    return False


def test_a_tenant_has_half() -> None:
    room = Room(100)
    with room.take("a", 40) as first:
        assert not refused(room, "a", 10) and refused(room, "a", 11)
        assert not refused(room, "b", 50)
        first.more(10)
        assert refused(room, "a", 1)
        with room.take("b", 50):
            assert refused(room, "c", 1)
    assert room.taken == 0


def test_whoever_holds_it_keeps_it() -> None:
    room, others = Room(100), ExitStack()
    with room.take("a", 30) as taken:
        others.enter_context(taken.hold())
    assert room.taken == 30
    others.close()
    assert room.taken == 0


def test_a_request_that_can_never_have_room_is_too_large() -> None:
    """Also where the tenant has no other."""
    room = Room(80)
    assert not refused(room, "a", 40)
    with pytest.raises(Refusal, match="SL573: this request needs 41 bytes of memory") as problem, room.take("a", 41):
        pass
    assert problem.value.status == 413
    with room.take("a", 1) as taken:
        assert refused(room, "a", 40)
        with pytest.raises(Refusal, match=r"SL573: .* 401 bytes .* a tenant has 40 here"):
            taken.more(400)
    assert room.taken == 0


def test_what_was_read_of_a_refused_body_is_held_by_nobody() -> None:
    """While the rest of it is read and the refusal sent: others have its room by then."""

    class Held:
        """What was read."""

    kept, left, sent = list[weakref.ref[Held]](), list[bool](), list[Any]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        held = Held()
        kept.append(weakref.ref(held))
        try:
            await receive()
            raise KeyError
        except KeyError:
            raise Refusal(BUSY, "no room") from None

    async def receive() -> Any:
        if kept and sent == ["first"]:
            left.append(kept[0]() is not None)
        sent.append("first")
        return {"type": "http.request", "body": b"12345", "more_body": len(sent) < 2}

    async def send(message: Any) -> None:
        left.append(kept[0]() is not None)

    def admit(scope: Any) -> None:
        scope["state"][TENANT] = "alice"

    scope = {"type": "http", "path": "/v1/x/evaluate", "method": "POST", "state": {}}
    scope["headers"] = [(b"content-length", b"10")]
    asyncio.run(Gate(app, Limits(), Metrics(), admit)(scope, receive, send))
    # the rest, head and body of the answer
    assert left == [False] * 3


@pytest.mark.parametrize(("body", "keys"), [(26, 1), (1, 51)])
def test_a_limit_that_leaves_no_room_for_the_largest_is_refused_at_the_start(body: int, keys: int) -> None:
    Limits(body=25, keys=50, requests_memory=100).check()
    with pytest.raises(SlotError, match="SL005") as problem:
        Limits(body=body, keys=keys, requests_memory=100).check()
    assert problem.value.diagnostics[0].hint.startswith(f"give it {max(4 * body, 2 * keys)},")
    Limits().check()


def test_results_have_at_most_the_bytes_that_are_counted_for_them() -> None:
    """And not many times fewer: what is counted for nothing keeps others out."""
    programs = in_blocks(), load(str(ROOT / "programs/rank_complex.slot"), SIZES)
    for program, precision in itertools.product(programs, (None, 1e-3)):
        module, own = load_module(lower(program, target=Target(precision=precision)).text), weights_of(LAYERS[0])
        client = Client(module)
        weights = dict(zip((*module.weights, *module.scalars), (own["A"], own["B"], 0.5), strict=True))
        upload = client.encrypt(**{name: np.ones(shape) for name, shape in module.inputs.items()})
        keys = EvaluationKeys.from_bytes(client.secret.evaluation_keys(module))
        answer = Server(Weights.encode(module, **weights)).evaluate(upload, keys)
        assert len(answer.data) <= most_bytes(module) <= 2 * len(answer.data)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("service") / "adapters"
    build(folder)
    process = Process(folder, "--max-body", "8M", "--max-keys", "16M", "--requests-memory", "32M", "--idle", "1000")
    yield process
    process.close()


def figure(served: Process, name: str) -> float:
    """One of the service's."""
    headers = {"Authorization": f"Bearer {served.token('root', admin=True)}"}
    text = httpx.get(f"{served.url}/metrics", headers=headers, trust_env=False).text
    return float(next(line for line in text.splitlines() if line.startswith(f"{name} ")).split()[1])


def under_way(served: Process) -> float:
    """Bytes that have room."""
    return figure(served, "slotlang_requests_bytes")


@contextmanager
def lines(served: Process, count: int) -> Iterator[list[socket.socket]]:
    """Connections; in the end no room is taken."""
    url = httpx.URL(served.url)
    with ExitStack() as stack:
        place = url.host, url.port or 0
        yield [stack.enter_context(socket.create_connection(place, timeout=30)) for _ in range(count)]
    assert given_back(served)


def head_of(method: str, path: str, token: str, size: int) -> bytes:
    """The head of a request whose client waits for a word before it sends the body."""
    return (
        f"{method} /v1/sessions/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        f"Idempotency-Key: {'k' * 16}\r\nExpect: 100-continue\r\nContent-Length: {size}\r\n\r\n"
    ).encode()


def test_bodies_of_evaluations_have_room_for_what_may_come_at_once(served: Process) -> None:
    token = served.token("alice")
    with Session(served.url, token) as session:
        name = session.keys()["id"]
    head = head_of("POST", f"{name}/evaluate", token, 8 * MEGA)
    with lines(served, 4) as opened:
        for line in opened[:3]:
            line.sendall(head)
            assert line.recv(1000).startswith(b"HTTP/1.1 100")
        assert under_way(served) == 12 * MEGA
        opened[3].sendall(head)
        answer = opened[3].recv(1000)
        # nothing of it was asked for
        assert answer.startswith(b"HTTP/1.1 503") and b"SL575" in answer and b"retry-after: 1" in answer.lower()
        with Session(served.url, served.token("bob")) as other:
            other.keys()


def new_session(served: Process, token: str, keys: bytes) -> str:
    """A session for keys that come later."""
    about = {"model": "tiny", "keys": {"sha256": hashlib.sha256(keys).hexdigest(), "bytes": len(keys)}}
    headers = {"Authorization": f"Bearer {token}"}
    made = httpx.post(f"{served.url}/v1/sessions", json=about, headers=headers, trust_env=False)
    return str(made.json()["id"])


def test_keys_have_room_as_they_come(served: Process) -> None:
    """And not as their client says they will."""
    token = served.token("dave")
    name = new_session(served, token, bytes(16 * MEGA))
    with lines(served, 6) as opened:
        for line in opened[:4]:
            line.sendall(head_of("PUT", f"{name}/keys?offset=0", token, 16 * MEGA))
            assert line.recv(1000).startswith(b"HTTP/1.1 100")
        assert under_way(served) == 0
        for line, offset, size, wanted in (opened[4], 1, 1, b"409"), (opened[5], 0, 16 * MEGA + 1, b"413"):
            line.sendall(head_of("PUT", f"{name}/keys?offset={offset}", token, size))
            assert line.recv(1000).startswith(b"HTTP/1.1 " + wanted)
        for line, size in (opened[0], 3 * MEGA), (opened[1], 5 * MEGA):
            line.sendall(bytes(size))
        assert in_the_end(lambda: under_way(served) == 8 * MEGA)


def test_keys_are_checked_where_all_of_them_have_room(served: Process) -> None:
    token = served.token("erin")
    slow, keys = new_session(served, token, bytes(16 * MEGA)), b"1" * (8 * MEGA)
    name = new_session(served, token, keys)
    with httpx.Client(base_url=served.url, headers={"Authorization": f"Bearer {token}"}, trust_env=False) as http:

        def sent(offset: int) -> httpx.Response:
            path = f"/v1/sessions/{name}/keys?offset={offset}"
            return http.put(path, content=keys[offset : offset + 4 * MEGA], timeout=30)

        with lines(served, 1) as (line,):
            line.sendall(head_of("PUT", f"{slow}/keys?offset=0", token, 16 * MEGA))
            assert line.recv(1000).startswith(b"HTTP/1.1 100")
            line.sendall(bytes(10 * MEGA))
            assert in_the_end(lambda: under_way(served) == 10 * MEGA)
            assert sent(0).json()["received"] == 4 * MEGA
            last = sent(4 * MEGA)
            assert (last.status_code, last.json()["error"]["code"]) == (503, "SL575")
            assert http.get(f"/v1/sessions/{name}").json()["received"] == 4 * MEGA
        # as it was: these are no keys
        assert sent(4 * MEGA).status_code == 422


def in_the_end(holds: Callable[[], bool]) -> bool:
    """Whether something holds at some time."""
    end = time.monotonic() + 30
    while not (held := holds()) and time.monotonic() < end:
        time.sleep(0.02)
    return held


def given_back(served: Process) -> bool:
    """Whether no room is taken in the end."""
    return in_the_end(lambda: not under_way(served))


def test_an_answer_has_room_until_it_is_taken(served: Process) -> None:
    """Of a request that was evaluated, and whose client reads nothing for a while."""
    token, url, items = served.token("carol"), httpx.URL(served.url), 40
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=served.url, headers=headers, trust_env=False, timeout=30) as http:
        adapter = Adapter.from_bytes(http.get("/v1/models/tiny/client").content)
        crypto = Crypto(adapter, SecretKey(adapter.ring))
        keys = crypto.evaluation_keys()
        about = {"model": "tiny", "keys": {"sha256": hashlib.sha256(keys).hexdigest(), "bytes": len(keys)}}
        name = http.post("/v1/sessions", json=about).json()["id"]
        assert http.put(f"/v1/sessions/{name}/keys?offset=0", content=keys).json()["ready"]
    upload = crypto.encrypt(adapter.groups[0], np.zeros((D, TOKENS)))
    wanted = tuple(Item("0", (LAYERS[0],)) for _ in range(items))
    body = Request("tiny", adapter.version, wanted, {"0": upload}).to_bytes()
    head = (
        f"POST /v1/sessions/{name}/evaluate HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        f"Connection: close\r\nIdempotency-Key: {'k' * 16}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        line.connect((url.host, url.port or 0))
        line.sendall(head + body)
        before, end = figure(served, "slotlang_evaluations_total"), time.monotonic() + 30
        while figure(served, "slotlang_evaluations_total") < before + items and time.monotonic() < end:
            time.sleep(0.02)
        size = under_way(served)
        answer = b""
        while more := line.recv(1 << 20):
            answer += more
        assert size > len(answer) + len(body) - MEGA / 4
    assert given_back(served)
