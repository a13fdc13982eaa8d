"""Room for bodies and answers under way."""

from __future__ import annotations

import hashlib
import itertools
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

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
from slotlang.service.interface import most_bytes
from slotlang.service.limits import Limits
from slotlang.service.problems import Refusal
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


@pytest.mark.parametrize("keys", [False, True], ids=["evaluations", "keys"])
def test_bodies_have_room_before_they_come(keys: bool, served: Process) -> None:
    token, url = served.token("alice"), httpx.URL(served.url)
    with Session(served.url, token) as session:
        name = session.keys()["id"]
    method, path = ("PUT", "keys?offset=0") if keys else ("POST", "evaluate")
    head = (
        f"{method} /v1/sessions/{name}/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        f"Idempotency-Key: {'k' * 16}\r\nExpect: 100-continue\r\nContent-Length: {8 * MEGA}\r\n\r\n"
    ).encode()
    with ExitStack() as lines:
        first, second, third = [
            lines.enter_context(socket.create_connection((url.host, url.port or 0), timeout=30)) for _ in range(3)
        ]
        for line in first, second:
            line.sendall(head)
            assert line.recv(1000).startswith(b"HTTP/1.1 100")
        assert under_way(served) == 16 * MEGA
        third.sendall(head)
        answer = third.recv(1000)
        # nothing of it was asked for
        assert answer.startswith(b"HTTP/1.1 503") and b"SL575" in answer and b"retry-after: 1" in answer.lower()
        with Session(served.url, served.token("bob")) as other:
            other.keys()
    assert given_back(served)


def given_back(served: Process) -> bool:
    """Whether no room is taken in the end."""
    end = time.monotonic() + 30
    while (left := under_way(served)) and time.monotonic() < end:
        time.sleep(0.02)
    return not left


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
