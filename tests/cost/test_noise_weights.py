"""Promises for weights that are given, against measured errors; ``make noise`` has more programs and more runs."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from amounts import one_in
from small_programs import LORA

from benchmarks.noise_weights import MOST, measured, small_weights
from slotlang import api
from slotlang.cost import members
from slotlang.cost.data import DataPowers
from slotlang.cost.gains import gains
from slotlang.planning.plan import Draft
from slotlang.planning.target import Target

SEVERAL = """program several(d = 64, slots = 64)
input x[d]
weight A[d, d], B[d, d]
cipher X = x[slot]
plain V[q < d] = A[slot, (slot + q) % d]
plain W[q < d] = B[slot, (slot + q) % d]
Y = sum q < d by bsgs(8): (X << q) * V[q]
Z = sum q < d by bsgs(8): (X << q) * W[q]
output y[slot] = Y
output z[slot] = Z
prove y == A @ x
prove z == B @ x
"""
PROGRAMS = {
    "lora": api.loads(LORA, {"d": 256, "r": 4, "batch": 4, "slots": 256}),
    "several": api.loads(SEVERAL),
}


@pytest.mark.parametrize(
    ("name", "scale"), one_in(2, product(PROGRAMS, [0.02, 1e-3, 1e-4]), lambda case: f"{case[0]}-{case[1]}")
)
def test_promises_hold_for_small_weights(name: str, scale: float) -> None:
    program = PROGRAMS[name]
    weights = small_weights(program, scale)
    made = api.plan(program, target=Target(precision=1e-3, data=DataPowers(weights)))
    promise = made.promise
    assert promise.assumed == "weights"
    assert promise.relative_error <= promise.precision == 1e-3
    parts = made.gains.results or {"y": made.gains}
    for result, error in measured(made, weights, 10).items():
        predicted = parts[result].error(made.parameters)
        assert error <= predicted <= MOST * error
        # absolute and relative errors are of one kind
        size = math.sqrt(parts[result].signal / parts[result].elements)
        assert promise.error[result] == pytest.approx(predicted * size, rel=0.01)


def test_a_small_result_has_a_promise_of_its_own() -> None:
    """One result a thousand times smaller than the other: the promise is about both."""
    program = PROGRAMS["several"]
    _, weights = api_data(program)
    small = {**weights, "B": weights["B"] / 1000}
    one, other = (api.plan(program, target=Target(data=DataPowers(w))) for w in (weights, small))
    assert one.parameters == other.parameters
    assert other.promise.relative_error > 100 * one.promise.relative_error
    assert other.promise.error["y"] == one.promise.error["y"]
    assert other.promise.error["z"] <= one.promise.error["z"]


def api_data(program: api.Program) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    from slotlang.run.runner import random_data

    inputs, weights = random_data(program, 3)
    return dict(inputs), dict(weights)


def test_weights_of_unit_variance_are_predicted_as_unknown_ones_are() -> None:
    for program in PROGRAMS.values():
        _, weights = api_data(program)
        known = api.plan(program, target=Target(data=DataPowers(weights))).promise
        unknown = api.plan(program).promise
        assert unknown.assumed == "unit"
        assert known.relative_error == pytest.approx(unknown.relative_error, rel=0.25)


def test_large_graphs_take_the_mean_of_members_that_are_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    program = PROGRAMS["lora"]
    weights = small_weights(program, 1e-3)
    graph = Draft.of(program, "mask").graph
    each = gains(graph, 4096, frozenset(), masked=True, data=DataPowers(weights))
    monkeypatch.setattr(members, "MOST_EACH", 0)
    mean = gains(graph, 4096, frozenset(), masked=True, data=DataPowers(weights))
    assert mean.signal == each.signal
    assert mean.sources.keys() == each.sources.keys()
    for place, gain in mean.sources.items():
        # peaks are in slot 0, whose own weights are a few
        assert gain == pytest.approx(each.sources[place], rel=2.0 if place.kind == "spike" else 0.5), place
    # what must fit the modulus is the largest
    assert all(mean.peaks[state] >= peak * (1 - 1e-9) for state, peak in each.peaks.items())


def test_weights_that_are_zero_give_a_result_that_is_right() -> None:
    program = PROGRAMS["lora"]
    _, weights = api_data(program)
    made = api.plan(program, target=Target(precision=1e-3, data=DataPowers({**weights, "A": 0 * weights["A"]})))
    assert made.promise.relative_error <= 1e-3
