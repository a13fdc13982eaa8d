"""Mean squares of packed inputs and plaintexts, against the mean over many samples of the data that they are for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from repository import bind_text

from slotlang.cost.data import form_variance, tensor_variance
from slotlang.cost.variances import Contents, uniform
from slotlang.schedule.build import schedule

SAMPLES = 40_000
rng = np.random.default_rng(11)
X = rng.normal(size=(SAMPLES, 8))
A = rng.normal(size=(SAMPLES, 8, 4)) / 2
B = rng.normal(size=(SAMPLES, 4, 8)) / np.sqrt(8)
Z = rng.normal(size=(SAMPLES, 8, 8)) / np.sqrt(8) * (np.arange(8)[:, None] // 4 == np.arange(8) // 4)

PROGRAM = """program p(n = 8, r = 4, slots = 8)
input x[n]
weight A[n, r], B[r, n], Z[i < n, j < n] sparse where i // 4 == j // 4
scalar s
cipher X = {packed}
plain W[q < 4] = {plain}
Y = sum q < 4: X * W[q]
output y[slot] = Y
prove y == x
"""
S = np.arange(8)

PACKED: dict[str, Any] = {
    "x[slot]": X,
    "3 * x[slot] + 1": 3 * X + 1,
    "x[slot] * [slot < 4] + 2i * x[7 - slot]": X * (S < 4) + 2j * X[:, 7 - S],
    "x[slot + 3] else 0": np.pad(X, ((0, 0), (0, 3)))[:, 3:],
    "conj (x[slot] * (1 + 2i)) << 1": np.roll(X * (1 - 2j), -1, axis=1),
}
PLAIN: dict[str, Any] = {
    "A[slot, q]": A[:, :, 1],
    "s * A[slot, q] * (1 - 1i) - 2": A[:, :, 1] * (1 - 1j) - 2,
    "A[slot, q] * B[q, slot]": A[:, :, 1] * B[:, 1, :],
    "A[slot, q] + 1i * B[q, slot]": A[:, :, 1] + 1j * B[:, 1, :],
    "(A[slot, q] + 1) * (B[q, slot] - 2i)": (A[:, :, 1] + 1) * (B[:, 1, :] - 2j),
    "(1i * A[slot, q]) * (2 + 1i * B[q, slot])": 1j * A[:, :, 1] * (2 + 1j * B[:, 1, :]),
    "Z[slot, q]": Z[:, :, 1],
    "(A @ B)[slot, q]": (A @ B)[:, :, 1],
}


def close(found: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> None:
    """Mean squares of 40,000 samples: their standard error is below 1.5 % of them, products have longer tails."""
    for row, part in zip(found, (values.real, values.imag), strict=True):
        wanted = (part**2).mean(axis=0)
        np.testing.assert_allclose(np.broadcast_to(row, (8,)), wanted, rtol=0.08, atol=1e-12)


def contents(packed: str = "x[slot]", plain: str = "A[slot, q]") -> Contents:
    return Contents(schedule(bind_text(PROGRAM.format(packed=packed, plain=plain))))


@pytest.mark.parametrize("packed", PACKED)
def test_packed(packed: str) -> None:
    made = contents(packed=packed)
    close(made.packed(made.schedule.program.families["X"], ()), PACKED[packed])


@pytest.mark.parametrize("plain", PLAIN)
def test_plain(plain: str) -> None:
    made = contents(plain=plain)
    close(made.plain(made.schedule.plains["W"], (1,)), PLAIN[plain])


def test_constants() -> None:
    assert contents(plain="2 - 3i").constant(contents(plain="2 - 3i").schedule.plains["W"]) == 2 - 3j
    for other in ("A[0, q]", "[slot < 3]", "2 + 0 * A[slot, 0] + [slot == 1]"):
        made = contents(plain=other)
        assert made.constant(made.schedule.plains["W"]) is None


def test_products_of_tensors() -> None:
    """Each element of A @ B is a sum of r products; of Z @ x, half of Z is zero."""
    text = PROGRAM.format(packed="x[slot]", plain="A[slot, q]")
    for expression, values in (
        ("3 * A @ B @ x", 3 * np.einsum("sir,srj,sj->si", A, B, X)),
        ("Z @ x", np.einsum("sij,sj->si", Z, X)),
    ):
        program = bind_text(text.replace("prove y == x", f"prove y == {expression}"))
        wanted = (values**2).mean()
        assert form_variance(program, program.theorems["y"].form) == pytest.approx(wanted, rel=0.05)
    program = bind_text(text)
    assert [tensor_variance(program, name) for name in ("x", "A", "B")] == [1, 1 / 4, 1 / 8]


def test_uniform() -> None:
    assert uniform(np.ones((2, 5))).shape == (2, 1)
    assert uniform(np.array([[1.0, 1.0], [0.0, 1.0]])).shape == (2, 2)
