"""Values far larger than those that parameters are usually chosen for: refused before anything is sent, or right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from worlds import SCORE

from slotlang import api
from slotlang.planning.target import Target
from slotlang.run.runner import load_module
from slotlang_runtime.client import Client
from slotlang_runtime.errors import BelowPrecision, Rejected
from slotlang_runtime.keys import EvaluationKeys
from slotlang_runtime.server import Server
from slotlang_runtime.weights import Weights

PRODUCT = """program mul(n = 8, slots = 64)
input  x[n, 1], z[n, 1]
axes (i < n, j < n)
cipher X = x[i, 0]
cipher Z = z[j, 0]
P = X * Z
output y[i, j] = P
prove y == x @ z.T
"""


def table() -> dict[str, Any]:
    """Rows of a table: ages, flags, and a column of incomes in units."""
    x = np.tile(np.linspace(0, 1, 16)[:, None], (1, 4))
    x[3], x[7] = [23, 41, 65, 38], [31_000, 52_000, 87_000, 0]
    return {"x": x, "w": np.linspace(-1.5, 1.5, 16)[None, :]}


def both(value: float) -> dict[str, Any]:
    return {"x": np.full((8, 1), value), "z": np.full((8, 1), value)}


def answer(text: str, bounds: dict[str, Any], data: dict[str, Any], precision: float | None) -> Any:
    """What the module returns for this data, and the expected values. Raises Rejected."""
    made = api.lower(api.loads(text, bounds=bounds), target=Target(precision=precision))
    module = load_module(made.text)
    client = Client(module)
    server = Server(Weights.encode(module, **{name: data[name] for name in [*module.weights, *module.scalars]}))
    keys = EvaluationKeys.from_bytes(client.evaluation_keys())
    sent = client.encrypt(**{name: data[name] for name in module.inputs})
    found = client.decrypt(server.evaluate(sent, keys).data)
    return found, module.reference(data, data)["y"]


@pytest.mark.parametrize("precision", [None, 1e-2, 1e-3, 1e-6])
@pytest.mark.parametrize(
    ("text", "data"),
    [(SCORE, table()), (PRODUCT, both(100.0)), (PRODUCT, both(1e6))],
    ids=["a row with an income", "hundreds", "millions"],
)
def test_without_bounds_they_are_refused(text: str, data: dict[str, Any], precision: float | None) -> None:
    with pytest.raises(Rejected) as caught:
        answer(text, {}, data, precision)
    assert caught.value.code == "SL531"


@pytest.mark.parametrize(
    "precision", [None, pytest.param(1e-2, marks=pytest.mark.slow), pytest.param(1e-3, marks=pytest.mark.slow), 1e-6]
)
@pytest.mark.parametrize(
    ("text", "bounds", "data"),
    [
        (SCORE, {"x": 90_000, "w": 2}, table()),
        (SCORE, {"norm(x)": 90_000, "norm(w)": 4}, table()),
        (PRODUCT, {"x": 100, "z": 100}, both(100.0)),
        (PRODUCT, {"norm(x)": 300, "z": 100}, both(100.0)),
        (PRODUCT, {"x": "1e6", "z": "1e6"}, both(1e6)),
        (PRODUCT, {"x": 7, "z": 7}, both(-7.0)),
    ],
    ids=["elements of rows", "norms of rows", "hundreds", "by norms", "millions", "sevens"],
)
def test_within_bounds_they_are_right(
    text: str, bounds: dict[str, Any], data: dict[str, Any], precision: float | None
) -> None:
    found, wanted = answer(text, bounds, data, precision)
    # the promise is about the bounds' own magnitude here: all values are near them
    assert np.abs(found - wanted).max() <= (precision or 1e-3) * np.abs(wanted).max()


def test_sevens_are_right_without_bounds() -> None:
    found, wanted = answer(PRODUCT, {}, both(7.0), 1e-3)
    assert np.abs(found - wanted).max() <= 0.049


def test_one_per_cent_beyond_a_bound_is_refused() -> None:
    for text, bounds, data in [(PRODUCT, {"x": 100, "z": 100}, both(101.0)), (SCORE, {"x": 87_000, "w": 2}, table())]:
        scaled = {"w": data.get("w"), **{name: data[name] * 1.01 for name in data if name != "w"}}
        with pytest.raises(Rejected) as caught:
            answer(text, bounds, scaled, 1e-3)
        assert caught.value.code == "SL531"


def test_weights_beyond_a_bound_are_refused() -> None:
    with pytest.raises(Rejected) as caught:
        answer(SCORE, {"x": 90_000, "w": 1}, table(), 1e-3)
    assert caught.value.code == "SL534"


CHAIN = """program chain(d = 8, r = 2, slots = 8)
input x[d]
weight A[d, r], B[r, d]
scalar s
axes (h < d)
cipher X = x[h]
plain W[q < d] = s * (A @ B)[h, (h + q) % d]
Y = sum q < d: (X << q) * W[q]
output y[h] = Y
prove y == s * A @ B @ x
"""


@pytest.mark.parametrize(("s", "a", "b"), [(1.0, 1e-170, 1e170), (1.0, 1e170, 1e-170), (1e200, 1e-200, 1.0)])
def test_factors_whose_squares_vanish(s: float, a: float, b: float) -> None:
    """Only the product of the factors counts, however small one of them is."""
    module = load_module(api.lower(api.loads(CHAIN)).text)
    plain, extreme = (
        {"s": s, "A": np.full((8, 2), a), "B": np.full((2, 8), b)} for s, a, b in ((1.0, 1.0, 1.0), (s, a, b))
    )
    rooms = [found.room for weights in (plain, extreme) if (found := Weights.encode(module, **weights).ranges)]
    assert rooms[0] == pytest.approx(rooms[1], abs=0.01)
    too_large = 2.0 ** (rooms[0] + 1)
    with pytest.raises(Rejected, match="bits more than the modulus") as caught:
        Weights.encode(module, **{**extreme, "A": extreme["A"] * too_large})
    assert caught.value.code == "SL532"


TWICE = """program twice(d = 8, r = 2, slots = 8)
input x[d]
scalar s, t
axes (h < d)
cipher X = x[h]
Y = (X * s) * t
output y[h] = Y
prove y == t * s * x
"""


def test_a_scalar_whose_square_vanishes_is_below_the_precision() -> None:
    """It is encoded as zero, and a warning says that it is lost."""
    module = load_module(api.lower(api.loads(TWICE), target=Target(precision=1e-3)).text)
    with pytest.warns(BelowPrecision, match="rounding"):
        Weights.encode(module, s=1e-200, t=1.0)
