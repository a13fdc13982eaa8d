"""Mean squares of results that are not sums of products of matrices: compared with what can be worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from repository import bind_text

from slotlang.cost import sampled_sizes
from slotlang.cost.data import UNIT, DataPowers, drawn_tensor
from slotlang.cost.sampled_sizes import sampled_size
from slotlang.meaning.program import Program


def program_of(theorem: str, declared: str = "input x[n]\nweight M[n, n]", n: int = 32) -> Program:
    return bind_text(
        f"program q(n = {n}, slots = {n})\n{declared}\ncipher X = x[slot]\noutput y[slot] = X\nprove {theorem}\n"
    )


ORTHOGONAL = "y == M * (ones(n, n) - eye(n)) @ x - ones(n, n) @ x"
"""Each element is about -sum(x): 32 elements of one draw are one number, more or less."""


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("theorem", "expected"),
    [
        (ORTHOGONAL, 31 / 32 + 32),
        ("y[i < n] == sum j < n: x[j]", 32.0),
        # the fourth moment of a normal number is 3
        ("y[i < n] == x[i]**2 - x[i]", 3 + 1),
        ("y[i < n] == M[0, 0] * x[i]", 1 / 32),
    ],
)
def test_mean_squares_that_are_known(theorem: str, expected: float, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampled_sizes, "SEED", seed)
    found = sampled_size(program_of(theorem), program_of(theorem).theorems["y"], UNIT)
    # a thousand draws of the square of a normal number have a mean that is 5 % off, and one such error is taken off
    assert 0.75 * expected < found < 1.15 * expected


def test_given_data_are_not_sampled() -> None:
    program, rng = program_of(ORTHOGONAL), np.random.default_rng(1)
    m, x = rng.standard_normal((32, 32)), rng.standard_normal(32)
    expected = (m * (1 - np.eye(32))) @ x - x.sum()
    found = sampled_size(program, program.theorems["y"], DataPowers({"M": m}, {"x": x}))
    assert found == pytest.approx(np.mean(expected**2))


def test_given_weights_count_for_what_they_are() -> None:
    program = program_of("y[i < n] == M[i, 0] * x[i] ** 2")
    m = np.zeros((32, 32))
    m[::2, 0] = 4.0
    found = sampled_size(program, program.theorems["y"], DataPowers({"M": m}))
    # half of the elements are not zero, with the mean square 16 times 3
    assert found == pytest.approx(16 * 3 / 2, rel=0.2)


def test_tensor_expressions_and_scalars_of_each_draw() -> None:
    program = program_of("y[i < n] == s * (B @ A @ x)[i] * x[0]", "input x[n]\nweight B[n, 2], A[2, n]\nscalar s", 8)
    # x[0]^2 times a sum over j of (BA)[i, j]^2 x[j]^2, of mean square 1/8 each: 3 for j = 0, 1 for the others
    found = sampled_size(program, program.theorems["y"], DataPowers(squares={"s": 4.0}))
    assert found == pytest.approx(4 * (3 + 7) / 8, rel=0.3)
    assert found == pytest.approx(4 * sampled_size(program, program.theorems["y"], UNIT), rel=1e-9)


def test_large_programs_are_sampled_less(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def counted(*arguments: Any, **more: Any) -> Any:
        found = drawn_tensor(*arguments, **more)
        drawn.append(found.size)
        return found

    monkeypatch.setattr("slotlang.cost.sampled_sizes.drawn_tensor", counted)
    program = program_of(ORTHOGONAL, n=1024)
    sampled_size(program, program.theorems["y"], UNIT)
    assert sum(drawn) <= 4 * (1024 + 1) * 1024
    assert max(drawn) <= 1 << 20
