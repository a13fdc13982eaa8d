"""The predicted error against measured ones, and against what the formulas say where it can be worked out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
from small_programs import LORA

from slotlang import api
from slotlang.cost.gains import gains
from slotlang.cost.key_switch_peaks import peaks
from slotlang.cost.mean_squares import Powers
from slotlang.cost.noise import SPIKE_SAFETY, Place, variance
from slotlang.cost.promise import predicted_error
from slotlang.cost.variances import Power
from slotlang.graph.member_classes import Likeness
from slotlang.planning.parameters import Parameters
from slotlang.planning.plan import Draft, Plan
from slotlang.planning.target import Target
from slotlang.run.runner import execute, random_data
from slotlang.search.structure import Shape, Structure
from slotlang.search.text import text
from slotlang_runtime.noise import SAFETY, peak_shape

DENSE = """program dense(n = 64, slots = 64)
input x[n]
weight A[n, n]
cipher X = x[slot]
plain W[q < n] = A[slot, (slot + q) % n]
Y = sum q < n by bsgs(n/8): (X << q) * W[q]
output y[slot] = Y
prove y == A @ x
"""
MIRRORED = """program mirrored(n = 512, slots = 512)
input a[n], b[n]
cipher Z = a[slot] + 1i * b[slot]
F = 1i * conj Z
output u[slot] = re F
output v[slot] = im F
prove u == b
prove v == a
"""
PROGRAMS = {
    # of random tokens the norm is 32; the narrowest parameters have no room for the default limit, 128
    "lora": api.loads(LORA, {"d": 1024, "r": 4, "batch": 4, "slots": 1024}, bounds={"norm(x)": 40}),
    "dense": api.loads(DENSE),
    "large": api.loads(DENSE, {"n": 128, "slots": 128}),
    "mirrored": api.loads(MIRRORED),
}
SETS = (
    Parameters(4096, (36, 36, 37), 20),
    Parameters(4096, (40, 40, 29), 22),
    Parameters(8192, (60, 60, 60), 34),
    Parameters(8192, (60, 40, 40, 60), 40, (1, 2)),
    Parameters(8192, (60, 60, 60), 44, (1,), (44, 46, 20)),
    Parameters(8192, (60, 50, 40, 60), 46, (1, 2), (46, 38, 50)),
    Parameters(8192, (60, 60, 60), 42, (2,), (42, 36, 33)),
    Parameters(4096, (41, 32, 36), 22, (2,), (22, 23, 19)),
)


RUNS = {"dense": 24, "large": 24}
"""Most of its error is one real number for each key: the rms of 8 of them is less than half of what is expected once in
50 times, that of 24 once in 20,000."""


def cases() -> Iterator[Any]:
    """Every program with every set. The largest program is slow, and so are the sets at 8192, which run always with the
    smallest program only."""
    for name, parameters in product(PROGRAMS, SETS):
        slow = name == "large" or (name != "mirrored" and parameters in (SETS[2], SETS[4], SETS[5], SETS[6]))
        slow = slow or (name == "dense" and parameters not in SETS[:1])
        slow = slow or (name == "lora" and parameters not in (SETS[0], SETS[7]))
        yield pytest.param(name, parameters, id=f"{name}-{parameters.text()}", marks=[pytest.mark.slow] * slow)


@pytest.mark.parametrize(("name", "parameters"), list(cases()))
def test_measured_errors_lie_below_and_near(name: str, parameters: Parameters) -> None:
    # most of a key switch's noise is one complex number in slot 0: one run's error scatters as that does, by a factor
    # of 8 and more, and only several keys together say what is to be expected
    # kernels take digits around 0, and have less noise than the model, which is SEAL's: the next test
    made = api.lower(PROGRAMS[name], parameters, target=Target(kernel="seal"))
    errors = []
    for seed in range(RUNS.get(name, 8)):
        inputs, weights = random_data(PROGRAMS[name], seed)
        errors.append(execute(made.text, made.plan.counts.executed(), inputs, weights).relative_error)
    measured = math.sqrt(sum(e * e for e in errors) / len(errors))
    # a key's number times a sum of weights has a long tail, and one of many runs may lie in it (docs/cost.md)
    allowed = len(errors) // 24
    predicted = predicted_error(made.plan)
    assert sum(error > predicted for error in errors) <= allowed
    assert measured <= predicted <= 8 * measured


@pytest.mark.parametrize("name", ["lora", "mirrored"])
def test_compiled_kernels_err_less(name: str) -> None:
    for parameters in (SETS[0], SETS[1]):
        made = api.lower(PROGRAMS[name], parameters, target=Target(kernel="compiled"))
        for seed in range(2):
            inputs, weights = random_data(PROGRAMS[name], seed)
            report = execute(made.text, made.plan.counts.executed(), inputs, weights)
            assert report.note == "" and report.relative_error <= predicted_error(made.plan)


def test_errors_of_a_key_that_is_used_over_and_over() -> None:
    # the noise of 256 key switches with one key, whose own prime is small
    parameters = Parameters(4096, (40, 40, 29), 22, keys=(4,))
    made = api.lower(PROGRAMS["lora"], parameters, target=Target(kernel="seal"))
    errors = []
    for seed in range(6):
        inputs, weights = random_data(PROGRAMS["lora"], seed)
        errors.append(execute(made.text, made.plan.counts.executed(), inputs, weights).relative_error)
    measured = math.sqrt(sum(e * e for e in errors) / len(errors))
    assert max(errors) <= predicted_error(made.plan) <= 8 * measured


def test_peaks_of_one_key_add_up_where_they_meet() -> None:
    text = """program sums(slots = 8)
input x[slots]
cipher X = x[slot]
Y = sum f < 4 by doubling: X << f
output y[slot] = Y
prove y == x
"""
    program = api.loads(text)
    keyed = api.plan(program, Parameters(4096, (36, 36, 37), 20, keys=(1,)))
    (there,) = peaks(keyed.graph, [0] * len(keyed.graph.nodes), 8, coarse=False)[keyed.graph.outputs[0].node].values()
    # X << 2 has peaks at 0 and, moved on, at 7; those of the sum meet them when it is added to itself moved by one
    assert there.tolist() == [4, 0, 0, 0, 0, 0, 1, 4]
    own = api.plan(program, Parameters(4096, (36, 36, 37), 20))
    (there,) = peaks(own.graph, [0] * len(own.graph.nodes), 8, coarse=False)[own.graph.outputs[0].node].values()
    assert there.tolist() == [2, 0, 0, 0, 0, 0, 0, 1]


def test_a_sum_of_residues_is_largest_where_its_polynomial_is() -> None:
    degree = 64
    points = np.exp(1j * np.pi * np.array([pow(3, j, 2 * degree) for j in range(degree // 2)]) / degree)
    expected = np.abs(np.polyval(np.ones(degree), points)) ** 2 / degree
    assert peak_shape(degree) == pytest.approx(expected)
    assert peak_shape(degree).mean() == pytest.approx(1)


def test_numbers_that_a_scale_holds_are_not_rounded() -> None:
    setting = Parameters(8192, (60, 60), 40, (), (40, 10))
    assert variance(Place("factor", 0, 0, 0.75 + 0j), setting) == 0
    third = abs(round(1024 / 3) / 1024 - 1 / 3)
    assert math.sqrt(variance(Place("factor", 0, 0, complex(1 / 3)), setting)) == pytest.approx(third)
    # i is (X^(N/4) + X^(3N/4)) / sqrt 2 in the order of SEAL's slots
    root = abs(round(1024 / math.sqrt(2)) / 1024 * math.sqrt(2) - 1)
    assert math.sqrt(variance(Place("factor", 0, 0, 1j), setting)) == pytest.approx(root)


def _sources(made: Plan) -> dict[str, float]:
    found = gains(made.graph, made.parameters.degree, made.hiding.doubled, masked=False)
    total: dict[str, float] = {}
    for place, gain in found.sources.items():
        total[place.kind] = total.get(place.kind, 0.0) + gain * variance(place, made.parameters) / found.signal
    return total


def test_each_source_goes_by_the_scale_it_has() -> None:
    def sources(*scales: int) -> dict[str, float]:
        return _sources(api.plan(PROGRAMS["lora"], Parameters(8192, (60, 60, 60), scales[0], scales=scales)))

    low, fresh, plain = sources(30, 30, 30), sources(33, 30, 30), sources(30, 33, 33)
    assert fresh["fresh"] == pytest.approx(low["fresh"] / 64)
    assert fresh["factor"] == pytest.approx(low["factor"])
    assert plain["factor"] == pytest.approx(low["factor"] / 64)
    assert plain["fresh"] == pytest.approx(low["fresh"])
    assert plain["switch"] < low["switch"] / 60


def test_a_larger_key_prime_makes_key_switches_quieter() -> None:
    quiet, loud = (
        _sources(api.plan(PROGRAMS["dense"], Parameters(8192, (40, 40, key), 30)))["spike"] for key in (50, 40)
    )
    assert quiet == pytest.approx(loud / 2**20)


def test_a_peak_counts_for_more_than_what_scatters_little() -> None:
    made = api.plan(PROGRAMS["mirrored"], Parameters(8192, (60, 60, 60), 34))
    found = gains(made.graph, made.parameters.degree, made.hiding.doubled, masked=False)
    parts = {"peak": 0.0, "rest": 0.0}
    for place, gain in found.sources.items():
        parts["peak" if place.kind == "spike" else "rest"] += gain * variance(place, made.parameters) / found.signal
    assert found.expected(made.parameters) == pytest.approx(math.sqrt(sum(parts.values())), rel=1e-6)
    wanted = math.sqrt(SPIKE_SAFETY**2 * parts["peak"] + SAFETY**2 * parts["rest"])
    assert found.error(made.parameters) == pytest.approx(wanted, rel=1e-6)
    assert SPIKE_SAFETY > SAFETY


UNREAD = """program unread(n = {n}, slots = 1024)
input x[n]
cipher X = x[slot] else 0
Y = 2 * X
output y[slot] = Y
prove y == 2 * x
"""


def test_masks_disturb_by_their_size_and_number() -> None:
    roomy, tight = (Parameters(8192, (60, 60, 60), s, (), (s, s)) for s in (50, 57))
    gain = {n: _mask_gain(api.loads(UNREAD.format(n=n)), roomy) for n in (256, 512, 1024)}
    # a quarter and a half of the slots are read, by as many as there are of the rest
    assert gain[1024] == 0
    assert gain[256] == pytest.approx(gain[512] * 3 / 4)
    # 20 bits of room above scale and margin are more than the largest mask has, 6 bits are less
    place = Place("mask", 0, 1)
    assert variance(place, roomy) == pytest.approx(variance(place, tight) * 4 ** (16 - (120 - 114 - 3)))


def _mask_gain(program: api.Program, parameters: Parameters) -> float:
    """Of the masks of unread slots: slots read times the share of those that are not."""
    made = api.plan(program, parameters)
    found = gains(made.graph, made.parameters.degree, made.hiding.doubled, masked=True)
    return (
        sum(gain for place, gain in found.sources.items() if place.kind == "mask") / found.signal * program.sizes["n"]
    )


def test_operations_that_are_alike_count_as_each_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is found for one operation and said of many against every operation for itself."""
    structures = (
        Structure(Shape(75, 90, 5, 3), 64, 1, "pairs", False, ranks=4, up=2),
        Structure(Shape(75, 90, 5, 3), 64, 2, "channels", False, ranks=8, down=3),
        Structure(Shape(64, 64, 4, 8), 64, 4, "tokens", False, ranks=4),
    )
    graphs = [
        Draft.of(program, hide, (1,)).graph
        for program in (PROGRAMS["lora"], PROGRAMS["mirrored"], *(api.loads(text(s)) for s in structures))
        for hide in ("mask", "exact")
    ]
    together = [gains(graph, 4096, frozenset(), masked=True) for graph in graphs]

    def apart(powers: Powers, power: Power, **_: bool) -> int:
        powers._all.append(power)
        return len(powers._all) - 1

    monkeypatch.setattr(Powers, "number", apart)
    monkeypatch.setattr(Powers, "sum", lambda self, numbers: self.number(sum(self[n] for n in numbers)))
    monkeypatch.setattr(Likeness, "of", lambda self, indices: indices)
    for graph, found in zip(graphs, together, strict=True):
        each = gains(graph, 4096, frozenset(), masked=True)
        assert found.sources == pytest.approx(each.sources)
        assert (found.signal, found.peaks) == (each.signal, pytest.approx(each.peaks))
