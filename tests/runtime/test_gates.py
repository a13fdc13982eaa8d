"""Ranks that are chosen for each evaluation: results are those of numpy, and what belongs to other ranks is skipped."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
from served import RANK, SCALING, TOKENS, D, in_blocks
from worlds import relabeled

from slotlang.api import load, loads, lower
from slotlang.emit.loaded import load_module
from slotlang_runtime import Client, EvaluationKeys, Gates, Pool, Rejected, SecretKey, Server, Weights
from slotlang_runtime.module import Module
from slotlang_runtime.ranks import ranked
from slotlang_runtime.server import Answer
from slotlang_runtime.wire import unpack

RNG = np.random.default_rng(11)
A, B, X = RNG.standard_normal((D, RANK)) / 4, RNG.standard_normal((RANK, D)) / 4, RNG.standard_normal((D, TOKENS))


@cache
def module() -> Module:
    return load_module(lower(in_blocks()).text)


class World:
    """A client and a server of a program whose ranks 0 and 2 lie in one block, 1 and 3 in another."""

    def __init__(self, of: Module | None = None, **weights: Any) -> None:
        self.module = of or module()
        self.given = weights or {"A0": A, "B0": B, "s0": SCALING}
        secret = SecretKey(self.module.parameters.ring)
        self.keys = EvaluationKeys.from_bytes(secret.evaluation_keys(self.module))
        self.client = Client(self.module, secret)
        self.gates = Gates(self.module, **self.given)
        self.server = Server(Weights.encode(self.module, **self.given), gates=self.gates)
        self.upload = self.client.encrypt(x=X)

    def answer(self, ranks: Any = None) -> Answer:
        return self.server.evaluate(self.upload, self.keys, ranks=ranks)

    def result(self, ranks: Any = None) -> Any:
        return self.client.decrypt(self.answer(ranks).data)


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def update(on: Sequence[int]) -> Any:
    return SCALING * A[:, on] @ (B[on] @ X)


@pytest.mark.parametrize("on", [[], [0], [3], [0, 1], [0, 2], [1, 3], [2, 3], [0, 1, 3], [0, 1, 2, 3]], ids=str)
def test_results_are_those_of_the_ranks_that_are_on(world: World, on: list[int]) -> None:
    got, want = world.result({"y0": on}), update(on)
    assert np.abs(got - want).max() < 1e-3
    # the other ranks would show
    others = [rank for rank in range(RANK) if rank not in on]
    assert not others or np.abs(got - update(range(RANK))).max() > 0.05


@pytest.mark.parametrize("on", [[0], [3], [0, 1], [0, 2], [1, 2]], ids=str)
def test_half_of_the_ranks_take_half_of_the_work_whichever_they_are(world: World, on: list[int]) -> None:
    whole, half = world.answer().counts, world.answer({"y0": on}).counts
    assert whole["plain_products"] == len(module().encoded())
    assert half["plain_products"] == whole["plain_products"] // 2
    # rotations by doubling of one of two intermediate results
    assert half["rotations"] == whole["rotations"] // 2 > 0


def test_many_evaluations_share_one_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a row and in threads: the answers are those of one by one, and weights are encoded once."""
    world, encoded = World(), list[Any]()
    uploads = [world.client.encrypt(x=X * factor) for factor in (1.0, 0.5, -1.0)]
    encode = world.gates.encoded
    monkeypatch.setattr(world.gates, "encoded", lambda gate: encoded.append(gate) or encode(gate))
    # not even where no gate is kept
    world.gates.memory = 0
    ranks = {"y0": [0, 2]}
    row = world.server.evaluate_many(uploads, world.keys, ranks=ranks)
    assert encoded == [(("y0", (0, 2)),)]
    world.gates.weights((("y0", (1,)),))
    with Pool(world.server, world.keys, 2) as pool:
        threads = pool.evaluate(uploads, ranks=ranks)
        assert len(encoded) == 3
        # the next call has all ranks again
        assert pool.evaluate(uploads[:1])[0].counts == world.answer().counts
    alone = [world.server.evaluate(upload, world.keys, ranks=ranks) for upload in uploads]
    for answers in (row, threads, alone):
        for factor, answer in zip((1.0, 0.5, -1.0), answers, strict=True):
            assert np.abs(world.client.decrypt(answer.data) - factor * update([0, 2])).max() < 1e-3
            assert answer.counts == alone[0].counts != world.answer().counts


def test_many_evaluations_refuse_ranks_that_are_not_there(world: World) -> None:
    with Pool(world.server, world.keys, 1) as pool:
        for evaluate in (lambda **more: world.server.evaluate_many([], world.keys, **more), partial(pool.evaluate, [])):
            assert evaluate(ranks=None) == []
            with pytest.raises(Rejected, match="has no rank 4"):
                evaluate(ranks={"y0": [4]})


def test_three_ranks_of_four_need_all_blocks(world: World) -> None:
    assert world.answer({"y0": [0, 1, 2]}).counts == world.answer().counts


def test_no_rank_is_a_zero_that_nothing_was_computed_for(world: World) -> None:
    answer = world.answer({"y0": []})
    assert not answer.counts
    assert set(unpack("results", answer.data).records.values()) == {None}
    assert not world.client.decrypt(answer.data).any()


def test_weights_of_a_gate_are_those_of_zeros_in_place_of_ranks(world: World) -> None:
    """Ranks that stay in their places are encoded as weights with zeros are, bit for bit."""
    kept = np.array([1.0, 0.0, 1.0, 0.0])
    zeros = Weights.encode(module(), A0=A * kept, B0=B * kept[:, None], s0=SCALING)
    assert world.gates.encoded(world.gates.gate({"y0": [0, 2]})).to_bytes() == zeros.to_bytes()


def test_arranged_weights_have_the_product_of_the_ranks_that_are_on(world: World) -> None:
    """Exactly, and no bound on a row of A or B is larger."""
    for on in ([1], [3], [1, 3], [0, 1, 3], [1, 2, 3]):
        made = world.gates.arranged((("y0", tuple(on)),))
        columns = [rank for rank in range(RANK) if made["A0"][:, rank].any()]
        pairs = {(made["A0"][:, r].tobytes(), made["B0"][r].tobytes()) for r in columns}
        assert pairs == {(A[:, r].tobytes(), B[r].tobytes()) for r in on}
        for name, axis, whole in (("A0", 1, A), ("B0", 1, B), ("A0", 0, A)):
            largest = np.linalg.norm(made[name], axis=axis).max()
            assert largest <= np.linalg.norm(whole, axis=axis).max() * (1 + 1e-12)


def test_the_range_is_checked_for_each_gate(world: World) -> None:
    for on in ((), (0,), (1, 3), (0, 1, 3)):
        found, whole = world.gates.encoded((("y0", on),)).ranges, world.server.weights.ranges
        assert found is not None and whole is not None
        assert found.room >= whole.room


def test_weights_for_a_gate_are_kept_up_to_a_bound() -> None:
    gates = Gates(module(), A0=A, B0=B, s0=SCALING)
    first, second, third = ((("y0", on),) for on in ((0,), (1,), (2,)))
    made = gates.weights(first)
    assert gates.weights(first) is made
    gates.memory = 2 * made.memory_bytes
    others = [gates.weights(second), gates.weights(third)]
    assert gates.weights(third) is others[1] and gates.weights(first) is not made


def test_bytes_hold_the_weights_exactly(world: World) -> None:
    short = A.astype(np.float16)
    kept = Gates(module(), A0=short, B0=B, s0=SCALING, equalize={"x": np.arange(D) % 3})
    data = kept.to_bytes()
    again = Gates.from_bytes(module(), data)
    assert all(np.array_equal(again.arrays[name], kept.arrays[name]) for name in ("A0", "B0", "s0"))
    assert np.array_equal(again.exponents["x"], np.arange(D) % 3) and again.to_bytes() == data
    # A in half precision, B in double precision
    assert 2 * A.size + 8 * B.size < len(data) < 2 * A.size + 8 * B.size + 2000
    with pytest.raises(Rejected, match="damaged"):
        Gates.from_bytes(module(), data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(Rejected, match="expected gates"):
        Gates.from_bytes(module(), world.server.weights.to_bytes())
    with pytest.raises(Rejected, match="do not say what they hold"):
        Gates.from_bytes(module(), relabeled("gates", data, equalize={"x": [[0], 0]}))
    with pytest.raises(Rejected, match="equalized otherwise"):
        Server(world.server.weights, gates=kept)


BAD: list[tuple[Any, str]] = [
    ({"y0": [4]}, "has no rank 4"),
    ({"y0": [-1]}, "has no rank -1"),
    ({"y0": [1, 1]}, "rank 1 of y0 stands twice"),
    ({"y0": [2, 1]}, "rank 1 of y0 stands behind rank 2"),
    ({"y0": [0, 1, 2, 3, 3]}, "has 4 ranks, not 5"),
    ({"y0": [True]}, "True is not a rank"),
    ({"y0": [1.0]}, "1.0 is not a rank"),
    ({"y0": ["1"]}, "'1' is not a rank"),
    ({"y0": 1}, "are a list, not int"),
    ({"y0": "01"}, "are a list, not str"),
    ({"y0": None}, "are a list, not NoneType"),
    ({"y1": [0]}, "has no result 'y1' with ranks"),
    ([0, 1], "by result, not as list"),
]


@pytest.mark.parametrize(("ranks", "message"), BAD, ids=lambda value: str(value)[:30])
def test_what_is_no_gate_is_refused(world: World, ranks: Any, message: str) -> None:
    with pytest.raises(Rejected, match=message) as caught:
        world.answer(ranks)
    assert caught.value.code == "SL586"


def test_a_server_without_gates_says_so(world: World) -> None:
    with pytest.raises(Rejected, match="no gates") as caught:
        Server(world.server.weights).evaluate(world.upload, world.keys, ranks={"y0": [0]})
    assert caught.value.code == "SL586"


SHARED = """program shared(d = 4, r = 2, slots = 4)
input x[d]
weight A[d, r], B[r, d]
axes (h < d)
cipher X = x[h]
plain W[q < r, g < d] = B[q, (h + g) % d]
S[q < r] = sum g < d: (X << g) * W[q, g]
plain V[q < r] = A[h, q]
plain U[q < r] = 2 * A[h, q]
Y = sum q < r: S[q] * V[q]
Z = sum q < r: S[q] * U[q]
output y[h] = Y
output z[h] = Z
prove y == A @ B @ x
prove z == 2 * A @ B @ x
"""


def test_weights_that_two_results_have_can_not_be_chosen_for_one(world: World) -> None:
    made = load_module(lower(loads(SHARED)).text)
    assert ranked(made) == {}
    with pytest.raises(Rejected, match="no ranks that can be chosen"):
        Gates(made, A=np.ones((4, 2)), B=np.ones((2, 4)))


def test_a_program_of_one_block_is_right_too() -> None:
    """No plaintext is zero everywhere there, and those that are in part are encoded anew."""
    sizes = {"d": D, "r": RANK, "batch": TOKENS, "slots": 32}
    world = World(load_module(lower(load("programs/rank_complex.slot", sizes)).text), A=A, B=B, scale=SCALING)
    assert np.abs(world.result({"y": [1]}) - update([1])).max() < 1e-3
    assert world.answer({"y": [1]}).counts == world.answer().counts
