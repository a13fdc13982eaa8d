"""Ranks by request over real HTTP: right results, what is skipped, what is refused, and that a gate is part of what an
idempotency key stands for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from command_line import Ended, slotlang
from served import LAYERS, RANK, TOKENS, D, Process, build, update_of

from slotlang.client import AsyncSession, ServiceProblem, Session
from slotlang.client.adapter import Adapter, Crypto
from slotlang.integrations.peft import attach
from slotlang.service.protocol import Frames, Item, Request
from slotlang_runtime import Rejected, SecretKey
from slotlang_runtime.wire import pack, unpack

X = np.random.default_rng(8).standard_normal((3, D))
FIRST = LAYERS[0]
PRODUCTS = 8
"""Of an evaluation with all ranks: 2 ciphertexts of x and 2 of the result, 2 intermediate results, 1 rank in each."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("gates") / "service"
    build(folder, "gated", gates=True)
    build(folder, "plain")
    found = Process(folder)
    yield found
    found.close()


@pytest.fixture(scope="module")
def token(service: Process) -> str:
    return service.token("alice")


@pytest.fixture(scope="module")
def session(service: Process, token: str) -> Iterator[Session]:
    with Session(service.url, token, model="gated") as found:
        yield found


def figures(service: Process) -> dict[str, float]:
    headers = {"Authorization": f"Bearer {service.token('operations', admin=True)}"}
    text = httpx.get(f"{service.url}/metrics", headers=headers, trust_env=False).text
    return {n: float(v) for n, v in re.findall(r"^(slotlang_\w+(?:\{[^}]*\})?) (\S+)$", text, re.MULTILINE)}


@pytest.mark.parametrize("ranks", [[0], [3, 1], [0, 1], [2, 0], [0, 1, 2], [0, 1, 2, 3], []], ids=str)
def test_updates_are_those_of_the_ranks_that_are_on(session: Session, ranks: list[int]) -> None:
    y = session.update(FIRST, X, ranks=ranks)
    assert y.shape == (3, D)
    assert np.abs(y - update_of(FIRST, X, ranks=ranks)).max() < 1e-3
    assert len(ranks) == RANK or np.abs(y - update_of(FIRST, X)).max() > 0.05


def test_whole_modules_and_gates_of_several_in_one_request(session: Session) -> None:
    found = session.updates(LAYERS, X, ranks={LAYERS[1]: np.array([1, 2]), LAYERS[2]: []})
    for layer, ranks in zip(LAYERS, (slice(None), [1, 2], []), strict=True):
        assert np.abs(found[layer] - update_of(layer, X, ranks=ranks)).max() < 1e-3


def test_the_session_for_asyncio_has_ranks_too(service: Process, token: str) -> None:
    async def main() -> Any:
        async with AsyncSession(service.url, token, model="gated") as session:
            return await session.update(FIRST, X, ranks=(2,))

    assert np.abs(asyncio.run(main()) - update_of(FIRST, X, ranks=[2])).max() < 1e-3


def test_half_of_the_products_is_left_out_and_weights_are_held(service: Process, session: Session) -> None:
    session.update(FIRST, X[:TOKENS], ranks=[1, 2])
    before = figures(service)
    session.update(FIRST, X[:TOKENS], ranks=[1, 2])
    session.update(FIRST, X[:TOKENS])
    after = figures(service)

    def more(name: str) -> float:
        return after.get(name, 0.0) - before.get(name, 0.0)

    assert more("slotlang_gated_total") == 1 and more("slotlang_evaluations_total") == 2
    assert more("slotlang_skipped_total") == PRODUCTS / 2
    assert more('slotlang_cache_total{kind="weights",result="hit"}') == 2
    assert more('slotlang_cache_total{kind="weights",result="miss"}') == 0


@pytest.mark.parametrize(
    ("ranks", "message"),
    [
        ([4], "has no rank 4"),
        ([-1], "has no rank -1"),
        ([1, 1], "twice"),
        ([1.5], "is not a rank"),
        ([True], "is not a rank"),
        (range(5), "has 4 ranks, not 5"),
        ("01", "are a list"),
        (2, "are a list"),
    ],
    ids=str,
)
def test_the_client_refuses_what_is_no_gate(session: Session, ranks: Any, message: str) -> None:
    with pytest.raises(Rejected, match=message) as caught:
        session.update(FIRST, X, ranks=ranks)
    assert caught.value.code == "SL586"


def test_the_client_asks_only_where_ranks_can_be_chosen(service: Process, token: str, session: Session) -> None:
    with Session(service.url, token, model="plain") as plain:
        with pytest.raises(ServiceProblem, match=r"SL586.*can't be chosen"):
            plain.update(FIRST, X, ranks=[0])
        # all of them are no choice
        y = plain.update(FIRST, X, ranks=[0, 1, 2, 3])
        assert np.abs(y - update_of(FIRST, X)).max() < 1e-3
    with pytest.raises(ServiceProblem, match=r"SL586.*is not asked for"):
        session.updates(LAYERS[:1], X, ranks={LAYERS[1]: [0]})


class Raw:
    """Requests as somebody writes them who does not use the client."""

    def __init__(self, service: Process, token: str, model: str) -> None:
        self.http = httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
        self.adapter = Adapter.from_bytes(self.http.get(f"/v1/models/{model}/client").content)
        crypto = Crypto(self.adapter, SecretKey(self.adapter.ring))
        with Session(service.url, token, model=model, secret=crypto.secret) as session:
            self.session = session.keys()["id"]
        self.crypto, self.group = crypto, self.adapter.place(FIRST)[0]
        self.upload = crypto.encrypt(self.group, np.ascontiguousarray(X[:TOKENS].T))

    def body(self, **item: Any) -> bytes:
        items = [{"upload": "0", "modules": [FIRST], **item}]
        label = {"adapter": self.adapter.name, "version": self.adapter.version, "items": items}
        return pack("requests", label, {"0": self.upload})

    def post(self, body: bytes, key: str) -> httpx.Response:
        headers = {"Idempotency-Key": key.rjust(16, "k")}
        return self.http.post(f"/v1/sessions/{self.session}/evaluate", content=body, headers=headers)

    def result(self, answer: httpx.Response) -> tuple[dict[str, Any], Any]:
        """The label of the first part, and the decrypted update."""
        (kind, box), (end, _) = Frames().take(answer.content)
        assert (answer.status_code, kind, end) == (200, "answer", "end")
        (data,) = box.exactly(["results"])
        assert data is not None
        return dict(box.label), self.crypto.decrypt(self.group, data)[0].T


@pytest.fixture(scope="module")
def raw(service: Process, token: str) -> Raw:
    return Raw(service, token, "gated")


BAD: list[tuple[Any, str]] = [
    ({FIRST: [4]}, "SL586"),
    ({FIRST: [-1]}, "SL586"),
    ({FIRST: [1, 1]}, "SL586"),
    ({FIRST: [2, 1]}, "SL586"),
    ({FIRST: [0, 1, 2, 3, 4]}, "SL586"),
    ({FIRST: list(range(100_000))}, "SL586"),
    ({FIRST: [1.0]}, "SL586"),
    ({FIRST: ["1"]}, "SL586"),
    ({FIRST: [True]}, "SL586"),
    ({FIRST: [None]}, "SL586"),
    ({FIRST: [1 << 70]}, "SL586"),
    ({FIRST: 1}, "SL586"),
    ({FIRST: None}, "SL586"),
    ({LAYERS[1]: [0]}, "SL586"),
    ({"no such module": [0]}, "SL586"),
    ([0, 1], "SL572"),
    (None, "SL572"),
]


@pytest.mark.parametrize(("ranks", "code"), BAD, ids=lambda value: str(value)[:40])
def test_the_service_refuses_what_is_no_gate(raw: Raw, ranks: Any, code: str) -> None:
    answer = raw.post(raw.body(ranks=ranks), "bad")
    assert answer.status_code in (400, 422)
    error = answer.json()["error"]
    assert error["code"] == code and 10 < len(error["message"]) < 600
    # nothing was begun under this key
    assert raw.post(raw.body(ranks={FIRST: [1]}), f"after{hash(str(ranks))}").status_code == 200


def test_an_item_has_nothing_that_nobody_knows(raw: Raw) -> None:
    """A later field would change what is meant, and must not be passed over."""
    answer = raw.post(raw.body(rank=[0]), "unknown")
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "SL572"


def test_a_module_without_gates_is_refused(service: Process, token: str) -> None:
    plain = Raw(service, token, "plain")
    answer = plain.post(plain.body(ranks={FIRST: [0]}), "plain")
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "SL586")


def test_another_gate_under_one_key_is_another_request(raw: Raw) -> None:
    first = raw.post(raw.body(ranks={FIRST: [1]}), "same")
    label, y = raw.result(first)
    assert label["ranks"] == {FIRST: [1]}
    assert np.abs(y - update_of(FIRST, X[:TOKENS], ranks=[1])).max() < 1e-3
    again = raw.post(raw.body(ranks={FIRST: [1]}), "same")
    assert again.content == first.content
    for other in (raw.body(ranks={FIRST: [2]}), raw.body(ranks={FIRST: []}), raw.body()):
        refused = raw.post(other, "same")
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "SL576")


def test_no_rank_is_an_answer_without_ciphertexts(raw: Raw) -> None:
    answer = raw.post(raw.body(ranks={FIRST: []}), "none")
    label, y = raw.result(answer)
    assert label["ranks"] == {FIRST: []} and y.shape == (TOKENS, D) and not y.any()
    (_, box), _ = Frames().take(answer.content)
    (data,) = box.exactly(["results"])
    assert set(unpack("results", data).records.values()) == {None}


def test_an_answer_to_other_ranks_is_not_taken(service: Process, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As from a service that passes ranks over."""
    plain = Request.to_bytes
    monkeypatch.setattr(
        Request,
        "to_bytes",
        lambda self: plain(
            Request(self.adapter, self.version, tuple(Item(i.upload, i.modules) for i in self.items), self.uploads)
        ),
    )
    with Session(service.url, token, model="gated") as session:
        session.update(FIRST, X)
        with pytest.raises(ServiceProblem, match="SL581"):
            session.update(FIRST, X, ranks=[0])


class Linear:
    """What ``attach`` needs of a module of torch."""

    def __init__(self) -> None:
        self.weight = np.eye(D)

    def forward(self, x: Any) -> Any:
        return x @ self.weight.T


class Model:
    def __init__(self) -> None:
        self.layers = {layer: Linear() for layer in LAYERS}

    def named_modules(self) -> list[tuple[str, Any]]:
        return [("", self), *((f"base.{name}", module) for name, module in self.layers.items())]


def test_a_model_chooses_ranks_for_each_input(session: Session) -> None:
    model, asked = Model(), list[str]()

    def gate(name: str, x: Any) -> Sequence[int] | None:
        asked.append(name)
        return None if name == LAYERS[1] else [0, 3] if x.mean() > 0 else [2]

    up, down = np.abs(X), -np.abs(X)
    with attach(model, session, gate=gate):
        for x, ranks in ((up, [0, 3]), (down, [2])):
            assert np.abs(model.layers[FIRST].forward(x) - x - update_of(FIRST, x, ranks=ranks)).max() < 1e-3
        assert np.abs(model.layers[LAYERS[1]].forward(up) - up - update_of(LAYERS[1], up)).max() < 1e-3
    assert asked == [FIRST, FIRST, LAYERS[1]]
    assert np.array_equal(model.layers[FIRST].forward(up), up)


def test_the_command_takes_ranks(service: Process, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLOTLANG_TOKEN", token)
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)

    def run(*options: str) -> Ended:
        names = ",".join(LAYERS[:2])
        return slotlang("client", "update", service.url, names, "x.npy", "-o", "y.npz", "--model", "gated", *options)

    ended = run("--ranks", f"{FIRST}=3,0", "--ranks", f"{LAYERS[1]}=none")
    assert (ended.status, ended.err) == (0, "")
    found = np.load("y.npz")
    assert np.abs(found[FIRST] - update_of(FIRST, X, ranks=[0, 3])).max() < 1e-3 and not found[LAYERS[1]].any()
    assert run("--ranks", "1,2").status == 0
    assert np.abs(np.load("y.npz")[FIRST] - update_of(FIRST, X, ranks=[1, 2])).max() < 1e-3
    for options, code in ((["4"], "SL586"), (["nothing=1"], "SL586"), (["a"], "SL005"), (["1", "2"], "SL005")):
        refused = run(*(word for option in options for word in ("--ranks", option)))
        assert refused.status == 2 and refused.err.startswith(f"error[{code}]"), refused.err
