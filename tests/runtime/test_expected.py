"""Errors that are larger than promised: who is warned, and whether the numbers are those of real runs."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import slotlang
from worlds import DIAGONALS, PAIRS, ROOMY, World, emitted, relabeled

from slotlang import api
from slotlang.cost.data import DataPowers
from slotlang.lower import lower
from slotlang.planning.target import Target
from slotlang.run.runner import load_module
from slotlang.source import Source
from slotlang.validation.check import check_module
from slotlang_runtime import (
    BelowPrecision,
    BeyondPromise,
    Client,
    EvaluationKeys,
    Module,
    Pool,
    Rejected,
    Server,
    Weights,
    main,
)
from slotlang_runtime.data import random_data, random_inputs
from slotlang_runtime.expected import Noisy, NoisyOperations, expected_errors
from slotlang_runtime.magnitudes import Inputs, MagnitudeOperations
from slotlang_runtime.module import root_mean_square, small_results
from slotlang_runtime.noise import dropped_variance
from slotlang_runtime.ranges import levels_of

TIMES = """program times(d = 8, slots = 8)
input x[d]
scalar s
bound |x| <= 1/1000
cipher X = x[slot]
Y = X * s
output y[slot] = Y
prove y == s * x
"""

DENSE = """program dense(d = 64, r = 4, slots = 64)
input x[d]
weight A[d, r], B[r, d]
bound norm(x) <= 16
axes (h < d)
cipher X = x[h]
plain W[q < r] = B[q, h]
S[q < r] = sum f < d by doubling: (X * W[q]) << f
plain V[q < r] = A[h, q]
Y = sum q < r: S[q] * V[q]
output y[h] = re Y
prove y == A @ B @ x
"""

POWERS = """program powers(n = 8, slots = 8)
input x[n]
scalar s
bound |x| <= 1
axes (h < n)
cipher X = x[h]
S = X * X
T = S * X
U = S * S
Y = s * T + s * U
output y[h] = Y
prove y[i < n] == s * (x[i]**3 + x[i]**4)
"""


def unit(module: Module) -> dict[str, Any]:
    return random_data(module, 1)[1]


def encoded(module: Module, weights: Mapping[str, Any]) -> tuple[Weights, list[str]]:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        found = Weights.encode(module, **weights)
    assert all(w.category is BeyondPromise for w in seen)
    return found, [str(w.message) for w in seen]


def measured(module: Module, weights: Mapping[str, Any], runs: int = 8) -> float:
    """Rms error of runs with new keys and inputs."""
    rng = np.random.default_rng(5)
    server = Server(encoded(module, weights)[0])
    squares = []
    for _ in range(runs):
        client, inputs = Client(module), random_inputs(module, rng)
        keys = EvaluationKeys.from_bytes(client.evaluation_keys())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BelowPrecision)
            found = client.decrypt(server.evaluate(client.encrypt(**inputs), keys).data)
        squares.append(root_mean_square(found - module.reference(inputs, weights)["y"]))
    return root_mean_square(squares)


@pytest.fixture(scope="module")
def dense() -> Module:
    return load_module(emitted(DENSE).text)


@pytest.mark.parametrize(("size", "times"), [(1.0, 0), (1.6, 0), (3.0, 4), (1e9, 2.0**30), (-1e9, 2.0**30), (0.0, 0)])
def test_a_large_scalar_is_warned_of_and_the_client_is_told(size: float, times: float) -> None:
    module = load_module(emitted(TIMES).text)
    weights, said = encoded(module, {"s": size})
    assert weights.grown == ({"y": times} if times else {})
    assert len(said) == bool(times)
    client, x = Client(module), np.full(8, 1e-11)
    data = Server(weights).evaluate(client.encrypt(x=x), EvaluationKeys.from_bytes(client.evaluation_keys())).data
    if not times:
        return
    assert said[0].startswith("[SL538] with these weights the error of y can be")
    assert f"the rms of s is {abs(size):.1e}, and 1.0e+00 is assumed" in said[0]
    # the result is above the threshold of what was promised, and wrong by as much as it is large
    with pytest.warns(BelowPrecision, match=r"\[SL535\] y is below .* larger than promised for"):
        result = client.decrypt(data)
    if abs(size) == 1e9:
        assert not list(small_results(module, {"y": result}))
        assert np.abs(result - size * x).max() > 0.1 * abs(size) * 1e-11


def test_the_second_encoding_and_bytes_say_so_too() -> None:
    module = load_module(emitted(TIMES).text)
    assert not encoded(module, {"s": 1.0})[1]
    large, said = encoded(module, {"s": 1e6})
    assert said
    assert encoded(module, {"s": 1e6})[1] == said
    again = Weights.from_bytes(module, large.to_bytes())
    assert again.grown == large.grown and large.grown
    assert not encoded(module, {"s": 1.0})[1]
    for grown in ({"y": 0.5}, {"z": 4.0}, {"y": "4"}, [4.0], {"y": float("inf")}, {"y": 10**400}):
        with pytest.raises(Rejected):
            Weights.from_bytes(module, relabeled("weights", large.to_bytes(), grown=grown))


def test_a_label_of_results_is_checked() -> None:
    world = World(PAIRS, ROOMY)
    for grown in ({"y": 0.5}, {"z": 4.0}, {"y": True}, 4.0, {"y": 10**400}):
        with pytest.raises(Rejected) as refused:
            world.client.decrypt(relabeled("results", world.answer().data, grown=grown))
        assert refused.value.code == "SL543"
    with pytest.warns(BelowPrecision, match="SL535"):
        world.client.decrypt(relabeled("results", world.answer().data, grown={"y": 2.0**60}))


@pytest.mark.parametrize("kind", ["unit", "large matrix", "both", "outliers", "aligned", "small"])
def test_what_is_expected_is_what_is_measured(dense: Module, kind: str) -> None:
    """Within what the rms of a few runs scatters, and warned of exactly where it is more than twice the promise. Where
    rows are aligned the error of a run is about one number; where one row is large, about that row: of 60
    measurements, what was expected was 0.65 to 2.0 times as large."""
    weights = unit(dense)
    rng = np.random.default_rng(3)
    match kind:
        case "large matrix":
            weights["A"] = weights["A"] * 30
        case "both":
            weights = {name: 3 * value for name, value in weights.items()}
        case "outliers":
            weights["A"] = weights["A"] * np.where(np.arange(64) == 7, 60.0, 1.0)[:, None]
        case "aligned":
            weights = {"A": np.full((64, 4), 0.5), "B": np.outer(np.ones(4), rng.choice([-1, 1], 64)) / 8}
        case "small":
            weights = {name: value / 100 for name, value in weights.items()}
    known = expected_errors(dense, levels_of(dense), weights)["y"]
    found = measured(dense, weights)
    scatter = {"aligned": 5, "outliers": 5}.get(kind, 2)
    assert found / scatter < known < scatter * found
    grown = encoded(dense, weights)[0].grown
    assert bool(grown) == (2.5 * known > 2 * dense.error["y"])
    assert bool(grown) == (kind in ("large matrix", "both", "outliers"))
    if grown:
        # what the client is told holds
        assert found < dense.error["y"] * grown["y"]


def test_near_misses_are_not_warned_of(dense: Module) -> None:
    weights = unit(dense)
    one = {**weights, "A": weights["A"] * np.where(np.arange(64) == 7, 6.0, 1.0)[:, None]}
    for near in (
        {**weights, "A": 1.5 * weights["A"]},
        {**weights, "A": 1.5 * weights["A"], "B": weights["B"] / 2},
        one,
    ):
        assert not encoded(dense, near)[1]


def test_weights_that_a_module_was_lowered_for(tmp_path: Path, capsys: Any) -> None:
    weights = {name: 20 * value for name, value in unit(load_module(emitted(DENSE).text)).items()}
    text = lower(api.loads(DENSE), target=Target(data=DataPowers(weights))).text
    module = load_module(text)
    assert set(module.sizes) == {"A", "B"}
    assert module.sizes["A"] == pytest.approx(root_mean_square(weights["A"]), rel=0.01)
    assert check_module(Source("/nowhere/module.py", text)).validation.proved
    assert not encoded(module, weights)[1]
    # random data of the same size keep the promise
    assert main(module, []) == 0
    assert capsys.readouterr().err == ""
    (said,) = encoded(module, {**weights, "B": 5 * weights["B"]})[1]
    assert "the rms of B is" in said and "the rms of A" not in said
    np.savez(tmp_path / "data.npz", **{**weights, "A": 5 * weights["A"]})
    main(module, ["--data", str(tmp_path / "data.npz")])
    assert "warning[SL538]: with these weights" in capsys.readouterr().err


def test_sizes_that_are_none_are_refused() -> None:
    weights = {name: 20 * value for name, value in unit(load_module(emitted(DENSE).text)).items()}
    text = lower(api.loads(DENSE), target=Target(data=DataPowers(weights))).text
    size = f'"A": {load_module(text).sizes["A"]!r}'
    assert text.count(size) == 2
    for new in ('"A": -1.0', '"A": "x"', '"C": 1.0', '"A": 1'):
        with pytest.raises(api.SlotError, match="SL745"):
            check_module(Source("/nowhere/module.py", text.replace(size, new)))
    unit_text = emitted(DENSE).text.replace('"precision": 0.001,', '"precision": 0.001, "sizes": {"A": 9.0},')
    assert '"sizes"' in unit_text
    with pytest.raises(api.SlotError, match="SL745"):
        check_module(Source("/nowhere/module.py", unit_text))


def test_a_run_is_about_its_weights_and_says_where_it_is_not(tmp_path: Path) -> None:
    (tmp_path / "times.slot").write_text(TIMES)
    np.savez(tmp_path / "data.npz", x=np.full(8, 1e-3), s=1e6)
    ended = slotlang("run", str(tmp_path / "times.slot"), "--data", str(tmp_path / "data.npz"), "--json")
    found = json.loads(ended.out)
    assert ended.status == 0 and found["warnings"] == [] and "SL538" not in ended.err
    # rows of ones are aligned, which a promise does not count
    rows = np.ones((64, 16))
    text = DENSE.replace("r = 4", "r = 16")
    (tmp_path / "dense.slot").write_text(text)
    np.savez(tmp_path / "rows.npz", x=np.tile([1.0, -0.9], 32), A=rows / 4, B=rows.T / 8)
    ended = slotlang("run", str(tmp_path / "dense.slot"), "--data", str(tmp_path / "rows.npz"), "--json")
    codes = [warning["code"] for warning in json.loads(ended.out)["warnings"]]
    module = load_module(lower(api.loads(text), target=Target(data=DataPowers({"A": rows / 4, "B": rows.T / 8}))).text)
    assert ("SL538" in codes) == bool(encoded(module, {"A": rows / 4, "B": rows.T / 8})[1])


def test_products_that_drop_a_prime_before_they_are_relinearised() -> None:
    """Their third polynomial is rounded too, and multiplied with the square of the secret key."""
    made = emitted(POWERS)
    module, weights = load_module(made.text), {"s": 1.0}
    graph = made.plan.graph
    assert any(node.operands[0] in graph.open for node in graph.of_kind("rescale"))
    found = measured(module, weights)
    assert found / 3 < expected_errors(module, levels_of(module), weights)["y"] < 3 * found
    assert found < module.error["y"]


def test_the_noise_of_a_third_polynomial() -> None:
    """Variance of a coefficient of r0 + r1 s + r2 s^2, with rounding r and ternary s, modulo X^n + 1."""
    degree, rng = 64, np.random.default_rng(0)

    def times(a: Any, b: Any) -> Any:
        full = np.convolve(a, b)
        return full[:degree] - np.append(full[degree:], 0)

    for polynomials in (2, 3):
        squares = []
        for _ in range(2000):
            secret, total, power = rng.integers(-1, 2, degree), 0.0, np.eye(degree)[0]
            for _ in range(polynomials):
                total = total + times(rng.uniform(-0.5, 0.5, degree), power)
                power = times(power, secret)
            squares.append(np.mean(np.square(total)))
        assert np.mean(squares) == pytest.approx(dropped_variance(degree, polynomials), rel=0.1)
    module = load_module(emitted(TIMES).text)
    bounds = MagnitudeOperations(Inputs({}, 8, {}, {}), levels_of(module), 8192, lambda *_: None)
    assert bounds.dropped_open > dropped_variance(8192, 3) ** 0.5 > 50 * bounds.dropped


def test_large_inputs_that_cancel_are_warned_of_in_any_order() -> None:
    """Their error is as large as they are, and the result is not. Only the client knows."""
    made = emitted(DIAGONALS, target=Target(precision=1e-3))
    module, rng = load_module(made.text), np.random.default_rng(0)
    w = rng.standard_normal((8, 8)) / 8**0.5
    w[:, 1] = -w[:, 0]
    small = rng.standard_normal(8)
    large = small + 1e6 * (1 - 1e-5) * (np.arange(8) < 2)
    client = Client(module)
    keys = EvaluationKeys.from_bytes(client.evaluation_keys())
    server = Server(encoded(module, {"w": w})[0])
    uploads = [client.encrypt(x=x) for x in (large, small)]
    with Pool(server, keys, 2) as pool:
        answers = [answer.data for answer in pool.evaluate(uploads)]
    assert answers[0] != answers[1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client.decrypt(answers[1])
    for own in (client, Client(module, client.secret)):
        with pytest.warns(BelowPrecision, match="inputs or weights are larger than promised for"):
            result = own.decrypt(answers[0])
    wanted = w @ large
    assert root_mean_square(result - wanted) > root_mean_square(wanted)
    assert not list(small_results(module, {"y": result}))
    # large ones that do not cancel keep the relative error
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client.decrypt(server.evaluate(client.encrypt(x=small * 1e5), keys).data)
    with pytest.raises(Rejected):
        client.encrypt(x=small * 1e9)


def test_uploads_are_remembered_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slotlang_runtime.client.REMEMBERED", 2)
    secret = World(PAIRS, ROOMY).client.secret
    for name in "abc":
        secret.remember(name, {"x": 4.0})
    assert [bool(secret.sizes_of(name)) for name in ("a", "b", "c", None, ["b"])] == [False, True, True, False, False]


def test_what_is_large_is_what_the_reading_program_does_not_assume() -> None:
    """One upload of the client of a program that was lowered for inputs of its size, and another one's result."""
    rng = np.random.default_rng(0)
    w = rng.standard_normal((8, 8)) / 8**0.5
    w[:, 1] = -w[:, 0]
    x = rng.standard_normal(8) + 1e5 * (np.arange(8) < 2)
    made = emitted(DIAGONALS, target=Target(precision=1e-3))
    unit, parameters = load_module(made.text), made.plan.parameters
    sized = load_module(emitted(DIAGONALS, parameters, Target(data=DataPowers({"x": x, "w": w}))).text)
    assert sized.sizes["x"] > 1e4 and "x" not in unit.sizes
    reader = Client(unit)
    sender = Client(sized, reader.secret)
    keys = EvaluationKeys.from_bytes(reader.evaluation_keys())
    answer = Server(encoded(unit, {"w": w})[0]).evaluate(sender.encrypt(x=x), keys)
    with pytest.warns(BelowPrecision, match="inputs or weights are larger than promised for"):
        result = reader.decrypt(answer.data)
    assert root_mean_square(result - w @ x) > 10 * unit.error["y"] and not list(small_results(unit, {"y": result}))


def test_scales_whose_squares_are_beyond_a_double() -> None:
    """Products without a rescale at degree 32768 have such scales."""
    world = World(DIAGONALS, ROOMY)
    operations = NoisyOperations(levels_of(world.module), world.ring.degree, 1, 8)
    zero = np.zeros(operations.shape, np.complex128)
    held = Noisy(np.ones((1, 1, 8), np.complex128), zero, 0, 2.0**600)
    for found in (operations.rotate(held, 1), operations.conjugate(held)):
        assert 0 <= np.abs(found.error).max() < 2.0**-500
    assert np.abs(operations.rounded(np.arange(8) + 0j, 2.0**600)).max() < 1e-14
