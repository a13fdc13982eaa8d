"""Bounds that exclude data of unit variance: promises are about data as large as the bounds allow, and hold for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from slotlang import api
from slotlang.cost.data import UNIT, DataPowers, within_bounds
from slotlang.diagnostics import SlotError
from slotlang.lower import lower
from slotlang.planning.target import Target
from slotlang.run.runner import load_module, random_data
from slotlang.source import Source
from slotlang.validation.check import check_module
from slotlang_runtime import Client, EvaluationKeys, Server, Weights
from slotlang_runtime.data import relative_error

PRODUCT = """program mul(n = 8, slots = 64)
input x[n, 1], z[n, 1]
axes (i < n, j < n)
cipher X = x[i, 0]
cipher Z = z[j, 0]
P = X * Z
output y[i, j] = P
prove y == x @ z.T
bound |x| <= 1 / 2**{k}
bound |z| <= 1 / 2**{k}
"""

LAYER = """program layer(n = 8, slots = 8)
input x[n]
weight w[n, n]
scalar s
axes (h < n)
cipher X = x[h]
plain W[q < n] = s * w[h, (h + q) % n]
Y = sum q < n: (X << q) * W[q]
output y[h] = Y
prove y == s * w @ x
"""


def text_of(bounds: str) -> str:
    return LAYER + "".join(f"bound {bound.strip()}\n" for bound in bounds.split(";") if bound.strip())


@pytest.mark.parametrize(
    ("bounds", "squares"),
    [
        ("", {}),
        # these leave room for data of unit variance: n inputs of norm sqrt(n), weights of variance 1/n
        ("|x| <= 1; |w| <= 1/2; |s| <= 1", {}),
        ("norm(x) <= 3; norm(w[q, :]) <= 1; norm(w[:, q]) <= 1", {}),
        ("|x| <= 1/4", {"x": 1 / 16}),
        ("norm(x) <= 2", {"x": 4 / 8}),
        ("|x| <= 1/2; norm(x) <= 1", {"x": 1 / 8}),
        ("|w| <= 1/4", {"w": 1 / 16}),
        ("norm(w[q, :]) <= 1/2", {"w": 1 / 32}),
        ("|s| <= 1/8", {"s": 1 / 64}),
    ],
)
def test_what_bounds_exclude(bounds: str, squares: dict[str, float]) -> None:
    program = api.loads(text_of(bounds))
    found = within_bounds(program, UNIT)
    assert found.squares == pytest.approx(squares)
    # and otherwise nothing changes at all
    assert (found is UNIT) == (not squares)
    assert found.drawn and found.assumed == ("bounds" if squares else "unit")
    # what is given is as it is
    given = within_bounds(program, DataPowers({"w": np.ones((8, 8)), "s": np.array(1.0)}, {"x": np.ones((8, 1))}))
    assert not given.squares and given.assumed == "weights and inputs"


def test_zeros_of_a_pattern_leave_room_for_the_others() -> None:
    text = LAYER.replace("w[n, n]", "w[i < n, j < n] sparse where i == j") + "bound norm(w[q, :]) <= 1/4\n"
    assert within_bounds(api.loads(text), UNIT).squares == {"w": 1 / 16}


def test_norms_along_other_dimensions_of_inputs_bound_elements_alone() -> None:
    """A client takes norms along the first dimension, and nothing refuses an input of unit variance here."""
    text = PRODUCT.replace("{k}", "0").replace("bound |x| <= 1 / 2**0", "bound norm(x[i, :]) <= {limit}")
    assert within_bounds(api.loads(text.format(limit="1")), UNIT) is UNIT
    assert within_bounds(api.loads(text.format(limit="1/2")), UNIT).squares == {"x": 1 / 4}


def test_random_inputs_are_as_large_as_promises_take_them() -> None:
    """Norms along rows of inputs, which are not checked, make neither smaller."""
    text = """program dot(samples = 8, features = 64)
input x[samples, features]
weight w[features]
bound norm(x[j, :]) <= 1
axes (k < features, j < samples)
cipher X = x[j, k]
plain W = w[k]
U = sum f < features by doubling: X * W << f * samples
output y[j] = U where k == 0
prove y[a < samples] == (x @ w)[a]
"""
    program = api.loads(text)
    inputs, _ = random_data(program, 0)
    # each element is within the bound, as the client asks, and the rows are not
    assert np.abs(inputs["x"]).max() <= 1 < np.linalg.norm(inputs["x"], axis=1).min()
    assert api.plan(program).data.drawn and not api.plan(program).data.squares


def signs(rng: Any, shape: tuple[int, ...], size: float) -> Any:
    """As large as a bound allows."""
    return size * rng.choice([-1.0, 1.0], shape)


def error_of(text: str, inputs: dict[str, Any], weights: dict[str, Any]) -> float:
    module = load_module(text)
    client, server = Client(module), Server(Weights.encode(module, **weights))
    answer = server.evaluate(client.encrypt(**inputs), EvaluationKeys.from_bytes(client.evaluation_keys()))
    return relative_error(client.decrypt(answer.data), module.reference(inputs, weights)["y"])


@pytest.mark.parametrize("k", [0, 20, 90])
@pytest.mark.parametrize("precision", [None, 1e-3])
def test_a_promise_holds_for_inputs_at_their_bounds(k: int, precision: float | None) -> None:
    lowered = lower(api.loads(PRODUCT.format(k=k)), target=Target(precision=precision))
    promise = lowered.plan.promise
    assert promise.assumed == ("bounds" if k else "unit")
    assert "as large as their bounds allow" in " ".join(lowered.text.split()) or not k
    if precision is not None:
        assert promise.relative_error <= precision
    rng = np.random.default_rng(1)
    inputs = {name: signs(rng, (8, 1), 2.0**-k) for name in ("x", "z")}
    if promise.relative_error < 0.1:
        assert error_of(lowered.text, inputs, {}) <= promise.relative_error
        # random data are large enough for it, too
        assert error_of(lowered.text, *random_data(lowered.plan.program, 0)) <= promise.precision
    else:
        # fixed parameters do not reach such inputs, and say so
        assert precision is None and k == 90
    assert check_module(Source("/nowhere/module.py", lowered.text)).validation.proved
    changed = lowered.text.replace('"assumed": "bounds"', '"assumed": "unit"')
    if changed != lowered.text:
        with pytest.raises(SlotError, match="SL745"):
            check_module(Source("/nowhere/module.py", changed))


@pytest.mark.parametrize(
    "bounds",
    [
        "|w| <= 1/1000000",
        "|s| <= 1/1000000",
        "norm(w[q, :]) <= 1/1000000",
        "|x| <= 1/1000; |w| <= 1/1000; |s| <= 1/1000",
        "norm(x) <= 1/1000000",
    ],
)
def test_a_promise_holds_for_weights_at_their_bounds(bounds: str) -> None:
    lowered = lower(api.loads(text_of(bounds)), target=Target(precision=1e-3))
    promise, squares = lowered.plan.promise, lowered.plan.data.squares
    assert promise.assumed == "bounds"
    rng = np.random.default_rng(2)
    w = signs(rng, (8, 8), squares.get("w", 1 / 8) ** 0.5)
    x, s = signs(rng, (8,), squares.get("x", 1.0) ** 0.5), squares.get("s", 1.0) ** 0.5
    # a norm is as large as its bound but for the last bit
    inputs, weights = {"x": x * (1 - 1e-12)}, {"w": w * (1 - 1e-12), "s": s}
    assert error_of(lowered.text, inputs, weights) <= 1e-3
    # with the parameters for data of unit variance it would not be
    at_unit = lower(api.loads(text_of("")), target=Target(precision=1e-3))
    assert error_of(at_unit.text, inputs, weights) > 1e-3


def test_given_weights_and_bounded_inputs() -> None:
    program = api.loads(text_of("|x| <= 1/1000000"))
    rng = np.random.default_rng(3)
    weights = {"w": rng.standard_normal((8, 8)), "s": np.array(2.0)}
    lowered = lower(program, target=Target(precision=1e-3, data=DataPowers(weights)))
    assert lowered.plan.promise.assumed == "weights and bounds"
    assert "for these weights and inputs as large as their bounds allow" in " ".join(lowered.text.split())
    assert error_of(lowered.text, {"x": signs(rng, (8,), 1e-6)}, weights) <= 1e-3
    assert check_module(Source("/nowhere/module.py", lowered.text)).validation.proved
