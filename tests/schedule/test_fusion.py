"""Families computed in turns: fewer ciphertexts alive, as many as predicted, and the same results."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
import worlds
from amounts import drawn, some
from exact_slots import Run, meant
from repository import PROGRAMS
from small_programs import GRID_FOOT, GRID_HEAD

from slotlang import api
from slotlang.cost.counts import count
from slotlang.graph.unroll import unroll
from slotlang.planning.plan import Draft
from slotlang.schedule.build import schedule
from slotlang.schedule.fusion import apart

CASES: dict[str, tuple[str, int]] = {
    # statements, and the ciphertexts that an order by hand keeps: inputs, a turn's members, results, and two at hand
    "rotations of each": ("Y[i < n] = sum j < n: X[j] * (Z[j] << i)", 16 + 8 + 8 + 2),
    "named products": ("P[i < n, j < n] = X[j] * W[i, j]\nY[i < n] = sum j < n: P[i, j] << j", 16 + 8 + 8 + 2),
    "other names": ("P[a < n, i < n] = X[a] * W[i, a]\nY[k < n] = sum i < n: P[i, k] << i", 16 + 8 + 8 + 2),
    "names that collide": (
        "P[j < n, k < n] = sum i < n: X[i] * W[(j + i) % n, k]\nY[i < n] = sum k < n: P[k, i] << k",
        16 + 8 + 8 + 2,
    ),
    "a chain": (
        "P[i < n, j < n] = X[j] * W[i, j]\nQ[i < n, j < n] = P[i, j] << j\nR[i < n, j < n] = Q[i, j] + (Q[i, j] << 1)\n"
        "Y[i < n] = sum j < n: R[i, j] << i",
        16 + 3 * 8 + 8 + 2,
    ),
    "both loops": (
        "P[i < n, j < n] = X[j] * W[i, j]\nQ[i < n, j < n] = P[i, j] << i\nY[i < n] = sum j < n: Q[i, j]",
        36,
    ),
    "by one of two": (
        "P[i < 4, j < 8] = X[j] * W[i, j]\nQ[j < 8, i < 4] = P[i, j] + (P[i, j] << 1)\nY[i < n] = sum j < 4: Q[i, j]",
        16 + 8 + 4 + 4 + 2,
    ),
}


def run_of(text: str) -> tuple[Run, int]:
    """The emitted module on exact slots, with the peak predicted."""
    made = worlds.emitted(text)
    run = Run(made.text, made.plan.program)
    for name, value in meant(made.plan.graph, run).items():
        assert np.allclose(run.values[name], value, rtol=1e-9, atol=1e-9), name
    assert run.counts == made.plan.counts.executed()
    return run, made.plan.counts.peak_ciphertexts


@pytest.mark.parametrize("case", CASES)
def test_peaks(case: str) -> None:
    statements, most = CASES[case]
    run, predicted = run_of(GRID_HEAD + statements + GRID_FOOT)
    assert abs(run.peak - predicted) <= 2
    assert predicted <= most


@pytest.mark.parametrize(
    ("statements", "why"),
    [
        ("P[i < n] = X[i] << 1\nY[i < n] = P[i] + P[(i + 1) % n]", "a turn reads the members of another"),
        ("P[i < n] = X[i] << 1\nA = sum i < n: P[i]\nY[i < n] = P[i] + A", "two statements read it"),
        ("P = (sum j < n: X[j] << j)\nY[i < n] = P << i", "one ciphertext"),
    ],
)
def test_what_stays_apart(statements: str, why: str) -> None:
    made = schedule(api.loads(GRID_HEAD + statements + GRID_FOOT, {}))
    joined = [family.name for group in made.groups for family in group.families[:-1]]
    assert "P" not in joined, why
    run, predicted = run_of(GRID_HEAD + statements + GRID_FOOT)
    assert abs(run.peak - predicted) <= 2


@pytest.mark.parametrize(("name", "before", "most"), [("column_scores", 2194, 200), ("column_scores_steps", 1186, 200)])
def test_scores_by_columns(name: str, before: int, most: int) -> None:
    made = schedule(api.load(PROGRAMS / f"{name}.slot"))
    found, one_by_one = count(unroll(made)), count(unroll(apart(made)))
    assert found.peak_ciphertexts <= most < before <= one_by_one.peak_ciphertexts
    assert found.executed() == one_by_one.executed()


def test_composed_rotations_are_not_more() -> None:
    """Where steps have no keys, one ciphertext's rotations share parts of their routes if they follow each other."""
    text = GRID_HEAD + "P[j < n, i < n] = X[j] << i * i\nY[i < n] = sum j < n: P[j, i] * W[i, j]" + GRID_FOOT
    draft = Draft.of(api.loads(text, {}), "none")
    assert any(group.loops for group in draft.built.groups)
    keyed = draft.keyed((1, 4))
    alone = Draft.of(api.loads(text, {}), "none")
    for built in (keyed.built, apart(keyed.built)):
        assert keyed.counts.rotations <= count(unroll(built)).rotations
    assert alone.counts.rotations <= keyed.counts.rotations


class _Statements:
    """Random statements of families with two loops."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.names = ["A"]
        lines = ["A[i < n, j < n] = X[j] * W[i, j]"]
        for name in ("B", "C", "D", "E"):
            first, second = rng.choice(["ij", "ji", "ab", "ji"])
            lines.append(f"{name}[{first} < n, {second} < n] = {self._value(first, second, 2)}")
            self.names.append(name)
        lines.append(f"Y[i < n] = sum {rng.choice('jk')} < n: {{}}")
        var = lines[-1].split("sum ")[1][0]
        lines[-1] = lines[-1].format(self._value("i", var, 2))
        self.text = GRID_HEAD.replace("n = 8", "n = 3") + "\n".join(lines) + GRID_FOOT

    def _value(self, first: str, second: str, size: int) -> str:
        rng = self.rng
        pair = [first, second] if rng.random() < 0.7 else [second, first]
        if rng.random() < 0.1:
            pair[0] = f"({pair[0]} + 1) % n"
        leaf = f"{rng.choice(self.names[-2:])}[{pair[0]}, {pair[1]}]"
        if size == 0:
            return leaf
        match rng.choice(["rotate", "rotate", "add", "plain", "sum", "leaf"]):
            case "rotate":
                return f"({self._value(first, second, size - 1)} << {rng.choice([first, second, '2'])})"
            case "add":
                return f"({self._value(first, second, size - 1)} + {leaf})"
            case "plain":
                return f"({leaf} + W[{first}, {second}])"
            case "sum":
                return f"(sum {rng.choice('lm')}{size} < n: VALUE << 1)".replace("VALUE", self._value(first, second, 0))
            case _:
                return leaf


@drawn
def test_random_families_in_turns() -> None:
    turns = 0
    for seed in range(some(60)):
        text = _Statements(Random(seed)).text
        made = schedule(api.loads(text, {}))
        turns += any(group.loops for group in made.groups)
        run, predicted = run_of(text)
        # what is written more than once counts until the end, and may go before
        assert run.peak - 2 <= predicted <= 1.5 * run.peak + 2
        alone = count(unroll(apart(made)))
        assert predicted <= alone.peak_ciphertexts + 2 and run.counts == alone.executed()
    assert turns
