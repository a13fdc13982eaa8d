"""Given weights in the noise model: sizes of results against numpy, contents element by element."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from repository import bind_text

from slotlang.cost import result_sizes
from slotlang.cost.data import UNIT, DataPowers, form_variance
from slotlang.cost.result_sizes import result_size
from slotlang.cost.variances import Contents
from slotlang.schedule.build import schedule

rng = np.random.default_rng(4)
A, B, C = rng.standard_normal((8, 4)) / 50, rng.standard_normal((4, 8)), rng.standard_normal((8, 8)) / 20
X = rng.standard_normal((8, 400)) * np.arange(1, 9)[:, None]
WEIGHTS = {"A": A, "B": B, "C": C, "s": np.array(3.0)}

PROGRAM = """program p(n = 8, r = 4, slots = 8)
input x[n]
weight A[n, r], B[r, n], C[n, n]
scalar s
cipher X = x[slot]
plain W[q < 4] = {plain}
Y = sum q < 4: X * W[q]
output y[slot] = Y
prove y == {form}
"""

FORMS = {
    "s * A @ B @ x": 3 * A @ B,
    "C @ x": C,
    "x - C @ x": np.eye(8) - C,
    "A @ B @ x - 2 * s * C @ x": A @ B - 6 * C,
    "C.T @ A @ B @ x": C.T @ A @ B,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("block", [1 << 22, 16])
def test_a_result_is_as_large_as_the_product_of_the_weights(
    form: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_sizes, "BLOCK", block)
    program = bind_text(PROGRAM.format(plain="A[slot, q]", form=form))
    found = result_size(program, "y", DataPowers(WEIGHTS))
    squares = (FORMS[form] ** 2).sum(axis=1)
    assert found.mean_square == pytest.approx(squares.mean())
    assert found.largest == pytest.approx(squares.max())
    sampled = result_size(program, "y", DataPowers(WEIGHTS, {"x": X}))
    assert sampled.mean_square == pytest.approx(np.mean((FORMS[form] @ X) ** 2))
    assert sampled.largest == found.largest


def test_what_is_not_linear_is_worked_out_where_everything_is_given() -> None:
    text = """program q(n = 8, slots = 8)
input x[n, n], z[n]
weight C[n, n]
cipher Z = z[slot]
output y[slot] = Z
prove y == x @ C @ z
"""
    program = bind_text(text)
    x, z = rng.standard_normal((8, 8)), rng.standard_normal(8)
    found = result_size(program, "y", DataPowers({"C": C}, {"x": x, "z": z}))
    assert found.mean_square == pytest.approx(np.mean((x @ C @ z) ** 2))
    # inputs that are not given are independent
    drawn = [np.mean((rng.standard_normal((8, 8)) @ C @ rng.standard_normal(8)) ** 2) for _ in range(4000)]
    assert result_size(program, "y", DataPowers({"C": C})).mean_square == pytest.approx(np.mean(drawn), rel=0.1)


def test_without_weights_nothing_changes() -> None:
    program = bind_text(PROGRAM.format(plain="A[slot, q]", form="s * A @ B @ x"))
    assert result_size(program, "y", UNIT).mean_square == form_variance(program, program.theorems["y"].form)


@pytest.mark.parametrize(
    ("plain", "wanted"),
    [
        ("A[slot, q]", A[:, 1]),
        ("s * A[slot, q] * (1 - 1i)", 3 * A[:, 1] * (1 - 1j)),
        ("(A @ B)[slot, q]", (A @ B)[:, 1]),
        ("A[slot, q] + 1i * C[q, slot]", A[:, 1] + 1j * C[1]),
    ],
)
def test_given_weights_are_constants(plain: str, wanted: np.ndarray) -> None:
    made = Contents(schedule(bind_text(PROGRAM.format(plain=plain, form="x"))), DataPowers(WEIGHTS))
    found = made.plain(made.schedule.plains["W"], (1,))
    np.testing.assert_allclose(np.broadcast_to(found[0], 8), wanted.real**2, atol=1e-15)
    np.testing.assert_allclose(np.broadcast_to(found[1], 8), np.imag(wanted) ** 2, atol=1e-15)


def test_given_inputs_have_the_mean_squares_of_their_channels() -> None:
    made = Contents(schedule(bind_text(PROGRAM.format(plain="A[slot, q]", form="x"))), DataPowers(WEIGHTS, {"x": X}))
    found = made.packed(made.schedule.program.families["X"], ())
    np.testing.assert_allclose(found[0], (X**2).mean(axis=1))


def test_a_scalar_is_known_and_a_weight_is_not() -> None:
    third = replace(DataPowers(WEIGHTS), weights={**WEIGHTS, "s": np.array(1 / 3)})
    scalar = Contents(schedule(bind_text(PROGRAM.format(plain="s", form="x"))), third)
    assert scalar.constant(scalar.schedule.plains["W"]) == 1 / 3
    # each member of the family has another weight
    weight = Contents(schedule(bind_text(PROGRAM.format(plain="A[0, q]", form="x"))), third)
    assert weight.constant(weight.schedule.plains["W"]) is None
