"""Products of ciphertexts are relinearised as seldom as sums allow, and what runs is what is counted."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from random import Random

import numpy as np
import pytest
from amounts import drawn, one_in, some
from exact_slots import Run, meant
from small_programs import GRID_FOOT, GRID_HEAD

from slotlang import api
from slotlang.cost.counts import Counts, count
from slotlang.emit.head import Lowering
from slotlang.emit.module import emit
from slotlang.graph.unroll import unroll
from slotlang.meaning.program import Program
from slotlang.planning.hiding import Hiding
from slotlang.planning.parameters import Parameters
from slotlang.planning.plan import Plan
from slotlang.planning.zeros import zero_plaintexts
from slotlang.refusals import GaveUp
from slotlang.schedule import relinearization
from slotlang.schedule.build import EVERY, schedule

CASES: dict[str, tuple[str, int, int]] = {
    # statements, products, relinearisations
    "one product each": ("Y[i < n] = X[i] * Z[i]", 8, 8),
    "a sum of products": ("Y[i < n] = sum j < n: X[j] * (Z[j] << i)", 64, 8),
    "a tree": ("Y[i < n] = sum j < n by tree: X[j] * (Z[j] << i)", 64, 8),
    "sums in a sum": ("Y[i < n] = sum j < n: W[i, j] * (sum k < 2: X[j] * (Z[k] << i))", 128, 8),
    "named products": ("P[i < n, j < n] = X[j] * (Z[j] << i)\nY[i < n] = sum j < n: P[i, j]", 64, 8),
    "named sums": (
        "P[i < n, j < n] = X[j] * (Z[j] << i)\nQ[i < n, k < 4] = P[i, k] - P[i, k + 4]\nY[i < n] = sum k < 4: Q[i, k]",
        64,
        8,
    ),
    "two sums of names": ("P[i < n] = X[i] * X[i]\nQ[i < n] = Z[i] * Z[i]\nY[i < n] = P[i] + Q[i]", 16, 8),
    "signs, plaintexts and other terms": (
        "Y[i < n] = -(X[i] * Z[i]) * W[i, 0] + Z[i] * W[i, 1] - X[i] * X[i] * W[0, i] + W[1, 1]",
        16,
        8,
    ),
    # 8 products are fewer than 8 sums of them and 8 more
    "products in several sums": (
        "P[j < n] = X[j] * Z[j]\nA[i < n] = sum j < n: P[j] * W[i, j]\nB[i < n] = sum j < n: P[j] * W[j, i]\n"
        "Y[i < n] = (A[i] << 1) + (B[i] << 2)",
        8,
        8,
    ),
    # without names: 3 products in 8 different sums
    "few products in many sums": ("Y[i < n] = (sum j < 3: X[j] * Z[j] * W[i, j]) << 1", 3, 3),
    "fewer sums than products, each used twice": (
        "P[j < n] = X[j] * Z[j]\nA = sum j < n: P[j]\nB = sum j < n: P[j] * W[0, j]\nY[i < n] = X[i] * A + Z[i] * B",
        8 + 16,
        2 + 8,
    ),
    "rotated products": ("Y[i < n] = sum j < 2: (X[j] * Z[i]) << j", 16, 16),
    "sums that are rotated": ("Y[i < n] = (sum j < n: X[j] * (Z[j] << i)) << i", 64, 8),
    "by horner": ("Y[i < n] = sum j < 4 by horner: (X[j] * Z[i]) << j", 32, 32),
    "products of sums": ("P = sum j < n: X[j] * Z[j]\nY[i < n] = P * X[i]", 8 + 8, 1 + 8),
    "the same product in a sum": ("Y[i < n] = X[i] * Z[i] + Z[i] * X[i]", 8, 8),
    "named, and also read alone": ("P[i < n] = X[i] * Z[i]\nQ = sum i < n: P[i]\nY[i < n] = P[i] * Z[i] + Q", 16, 16),
}

MODES: dict[str, Sequence[int]] = {"scales grow": (), "rescale": EVERY, "rescale after 2": (2,)}


def executed(program: Program, drops: Sequence[int], seed: int = 0) -> tuple[Run, Counts]:
    """The emitted module on exact slots: what it holds is what the program means."""
    made = schedule(program, drops)
    graph = unroll(made, zero_plaintexts(made))
    counts = count(graph)
    parameters = Parameters(2 * program.slots, (*[60] * (2 * made.depth + 4), 60), 40, tuple(made.drops))
    if made.drops:
        primes = (*[60] * (2 * made.depth + 2), *[40] * len(made.drops), 60)
        parameters = Parameters(2 * program.slots, primes, 40, tuple(made.drops))
    plan = Plan(program, graph, parameters, counts, Hiding("none"), GaveUp("not asked for"), "seal")
    run = Run(emit(plan, Lowering("0", "proved", "exact", validated=True)), program, seed)
    for name, value in meant(graph, run).items():
        assert np.allclose(run.values[name], value, rtol=1e-9, atol=1e-9), name
    return run, counts


@pytest.mark.parametrize(
    # of each program's modes at least one
    ("case", "mode"),
    one_in(len(MODES) - 1, product(CASES, MODES), " ".join),
)
def test_relinearisations(case: str, mode: str) -> None:
    statements, products, relinearizations = CASES[case]
    run, counts = executed(api.loads(GRID_HEAD + statements + GRID_FOOT, {}), MODES[mode])
    assert (counts.cipher_products, counts.relinearizations) == (products, relinearizations)
    assert run.counts == counts.executed()
    assert counts.key_switches == counts.rotations + counts.conjugations + relinearizations


def test_large_programs_are_counted_by_their_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the recognition of equal operations, each is counted as often as it is executed."""
    monkeypatch.setattr(relinearization, "MAX_NUMBERED", 0)
    for case in ("a sum of products", "named sums", "products in several sums", "products of sums"):
        statements, products, relinearizations = CASES[case]
        run, counts = executed(api.loads(GRID_HEAD + statements + GRID_FOOT, {}), ())
        assert (counts.cipher_products, counts.relinearizations) == (products, relinearizations)
        assert run.counts == counts.executed()


class _Statements:
    """Random statements of families over i, with at most ``DEEPEST`` products in a row."""

    DEEPEST = 3

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.families = {"X": 0, "Z": 0}
        lines = [self._statement(name) for name in ("P", "Q", "R", "Y")]
        self.text = GRID_HEAD.replace("n = 8", "n = 4") + "\n".join(lines) + GRID_FOOT

    def _statement(self, name: str) -> str:
        value, depth = self._value(4, "i")
        self.families[name] = depth
        return f"{name}[i < n] = {value}"

    def _value(self, size: int, index: str) -> tuple[str, int]:
        rng = self.rng
        if size == 0:
            name = rng.choice(list(self.families))
            return f"{name}[({index} + {rng.randrange(3)}) % n]", self.families[name]
        value, depth = self._value(size - 1, index)
        match rng.choice([*["sum"] * 4, *["product"] * 3, "add", "weight", "negative", "rotate", "conj", "plain"]):
            case "sum" if "j" not in index:
                value, depth = self._value(size - 1, f"{index} + j")
                how = rng.choice(["", "", " by tree", " by horner"])
                return f"(sum j < {rng.randint(2, 4)}{how}: ({value}){' << j' if 'horner' in how else ''})", depth
            case "product":
                other, more = self._value(rng.randrange(size), index)
                if depth + more + 1 <= self.DEEPEST:
                    return f"({value} * {other})", depth + more + 1
            case "add":
                other, more = self._value(rng.randrange(size), index)
                return f"({value} {rng.choice('+-')} {other})", max(depth, more)
            case "weight" if depth < self.DEEPEST:
                return f"({value} * W[i, {rng.randrange(4)}])", depth + 1
            case "plain":
                return f"({value} + W[i, {rng.randrange(4)}])", depth
            case "negative":
                return f"(-{value})", depth
            case "rotate":
                return f"(({value}) << {rng.randrange(1, 4)})", depth
            case "conj":
                return f"(conj {value})", depth
            case _:
                pass
        return value, depth


@drawn
def test_random_programs_with_products_of_ciphertexts() -> None:
    """Never more relinearisations than products, which is what one for each product would take; seldom as many."""
    products = relinearizations = 0
    for seed in range(some(100)):
        program = api.loads(_Statements(Random(seed)).text, {})
        run, counts = executed(program, MODES[sorted(MODES)[seed % len(MODES)]], seed)
        assert counts.relinearizations <= counts.cipher_products
        assert run.vanished or run.counts == counts.executed()
        products, relinearizations = products + counts.cipher_products, relinearizations + counts.relinearizations
    assert relinearizations < products
