"""Errors of products of ciphertexts that depend on the same data: powers, products of what is correlated."""

from __future__ import annotations

import math

import pytest

from slotlang import api
from slotlang.cost import moments
from slotlang.cost.data import UNIT, within_bounds
from slotlang.cost.gains import gains
from slotlang.cost.moments import Dependence
from slotlang.cost.noise import Gains, Place
from slotlang.cost.promise import plan_gains
from slotlang.cost.variances import Contents
from slotlang.planning.parameters import Parameters
from slotlang.planning.plan import Plan
from slotlang.planning.target import Target
from slotlang.run.runner import load_module, random_data
from slotlang_runtime import Client, EvaluationKeys, Server, Weights
from slotlang_runtime.expected import expected_errors
from slotlang_runtime.module import root_mean_square
from slotlang_runtime.ranges import levels_of

ROOMY = Parameters(8192, (54, 54, 60), 21)
"""Room for the scales of four factors. The key prime is large, so that no error is one number for each key."""


def of_inputs(statements: str, reference: str, bounds: str = "") -> api.Program:
    """A program of inputs x and k alone, with no weights."""
    return api.loads(
        f"""program inputs(n = 64, slots = 64)
input x[n], k[n]
{bounds}
cipher X = x[slot]
cipher K = k[slot]
{statements}
output y[slot] = Y
prove y[i < n] == {reference}
"""
    )


LAYER = """program layer(n = 16, slots = 64)
input x[n, 4]
weight M[n, n]
axes (h < n, t < 4)
cipher X = x[h, t]
plain D[q < n] = M[h, (h + q) % n]
U = sum q < n: (X << 4*q) * D[q]
Y = U * U
output y[h, t] = Y
prove y == (M @ x) ** 2
"""
POWERS = {
    # derivatives by x and k, whose mean squares are moments of normal variables: 1, 3 and 15
    "square": (of_inputs("Y = X * X + K", "x[i] ** 2 + k[i]"), 4 + 1),
    "cube": (of_inputs("S = X * X\nY = S * X + K", "x[i] ** 3 + k[i]"), 9 * 3 + 1),
    "fourth": (of_inputs("S = X * X\nY = S * S + K", "x[i] ** 4 + k[i]"), 16 * 15 + 1),
    "around": (of_inputs("S = X * K\nY = S * X", "x[i] * k[i] * x[i]"), 4 + 3),
    "cubic": (of_inputs("S = X * X\nY = S * X - 3 * X + K", "x[i] ** 3 - 3 * x[i] + k[i]"), 9 * (3 - 2 + 1) + 1),
    "of sums": (of_inputs("S = X + 2 * K\nY = S * S", "(x[i] + 2 * k[i]) ** 2"), 5 * 4 * 5),
    "independent": (of_inputs("Y = X * K", "x[i] * k[i]"), 2),
    # x * x - (x + k) * (x - k): that of x is 0
    "cancelling": (of_inputs("Y = X * X - (X + K) * (X - K)", "k[i] ** 2"), 4),
}


def plan_of(name: str) -> Plan:
    return api.plan(POWERS[name][0], ROOMY)


def fresh(found: Gains) -> float:
    """The gain of encryption's noise, for each element of the result."""
    return sum(gain for place, gain in found.sources.items() if place.kind == "fresh") / found.elements


@pytest.mark.parametrize("name", POWERS)
def test_gains_are_moments(name: str) -> None:
    assert fresh(plan_gains(plan_of(name))) == pytest.approx(POWERS[name][1], rel=0.1)


def test_products_of_independent_inputs_are_not_sampled() -> None:
    found = {name: Dependence(plan_of(name).graph, UNIT).shared for name in POWERS}
    assert [name for name, shared in found.items() if not shared] == ["independent"]
    assert fresh(plan_gains(plan_of("independent"))) == pytest.approx(2, rel=1e-12)


def test_weights_that_meet_again_are_shared_until_they_are_known() -> None:
    text = """program tied(n = 8, slots = 8)
input x[n], k[n]
weight w[n]
cipher X = x[slot]
cipher K = k[slot]
plain W = w[slot]
S = X * W
T = K * W
Y = S * T
output y[slot] = Y
prove y[i < n] == w[i] * x[i] * w[i] * k[i]
"""
    program = api.loads(text)
    _, weights = random_data(program, 0)
    assert Dependence(api.plan(program).graph, UNIT).shared
    assert not Dependence(api.plan(program).graph, api.DataPowers(weights)).shared


@pytest.mark.parametrize("name", ["fourth", "around", "cubic", "of sums", "cancelling", "layer", "given"])
def test_errors_are_those_of_an_evaluation_with_noise(name: str) -> None:
    """The runtime's simulation shares no code with gains."""
    program = api.loads(LAYER) if name in ("layer", "given") else POWERS[name][0]
    _, weights = random_data(program, 0)
    data = api.DataPowers(weights) if name == "given" else UNIT
    made = api.lower(program, ROOMY, target=Target(kernel="seal", data=data))
    module = load_module(made.text)
    wanted = expected_errors(module, levels_of(module), weights)["y"]
    found = made.plan.gains
    size = math.sqrt(found.signal / found.elements)
    assert wanted / 1.5 <= found.expected(made.plan.parameters) * size <= 1.5 * wanted


@pytest.mark.parametrize("name", ["fourth", "cancelling"])
def test_measured_errors_lie_below_and_near(name: str) -> None:
    made = api.lower(POWERS[name][0], ROOMY, target=Target(kernel="seal"))
    module = load_module(made.text)
    server = Server(Weights.encode(module))
    squares = []
    for seed in range(8):
        client = Client(module)
        keys = EvaluationKeys.from_bytes(client.evaluation_keys())
        inputs, _ = random_data(POWERS[name][0], seed)
        found = client.decrypt(server.evaluate(client.encrypt(**inputs), keys).data)
        squares.append(root_mean_square(found - module.reference(inputs, {})["y"]) ** 2)
    measured = math.sqrt(sum(squares) / len(squares))
    assert measured <= made.plan.promise.error["y"] <= 8 * measured


def test_elements_within_a_bound_have_no_long_tails() -> None:
    program = of_inputs("S = X * X\nY = S * S + K", "x[i] ** 4 + k[i]", "bound |x| <= 1/2")
    found = fresh(plan_gains(api.plan(program, ROOMY))) - 1
    # at most where all are as large as the bound; of a normal variable of that size it is 15 times as much
    assert 0.5 * 16 / 64 <= found <= 16 / 64


def test_graphs_of_one_schedule_share_what_was_sampled() -> None:
    made = plan_of("fourth")
    contents = Contents(made.graph.schedule, within_bounds(made.program, UNIT))
    for degree in (4096, 8192):
        alone = gains(made.graph, degree, frozenset(), masked=False)
        shared = gains(made.graph, degree, frozenset(), masked=False, contents=contents)
        assert shared.sources == alone.sources


@pytest.mark.parametrize("name", POWERS)
def test_what_is_too_large_for_samples_is_bounded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = plan_of(name)
    sampled = plan_gains(made).sources
    monkeypatch.setattr(moments, "MOST_NUMBERS", 0)
    bounded = plan_gains(made).sources
    # samples scatter
    assert all(gain <= 1.1 * bounded.get(place, 0.0) for place, gain in sampled.items())
    fresh_place = Place("fresh", 0, 0)
    assert (bounded[fresh_place] == pytest.approx(sampled[fresh_place])) == (name == "independent")
