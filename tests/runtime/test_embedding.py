"""Slots and coefficients: by the definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from slotlang_runtime.embedding import coefficients, largest_coefficient, values


def slots_of(polynomial: Any) -> Any:
    """Slot j is the value at the root of unity with exponent 3^j."""
    half = len(polynomial) // 2
    roots = np.exp(1j * np.pi * np.array([pow(3, j, 4 * half) for j in range(half)]) / (2 * half))
    return sum(c * roots**k for k, c in enumerate(polynomial))


@pytest.mark.parametrize("half", [1, 2, 4, 64])
def test_coefficients_are_those_of_the_polynomial_with_these_slots(half: int) -> None:
    wanted = np.random.default_rng(0).standard_normal((3, 2, 2 * half))
    slots = np.array([[slots_of(row) for row in rows] for rows in wanted])
    np.testing.assert_allclose(coefficients(slots), wanted, atol=1e-12)
    np.testing.assert_allclose(values(wanted), slots, atol=1e-12)
    assert largest_coefficient(slots[0, 0]) == pytest.approx(np.abs(wanted[0, 0]).max(), rel=1e-12)


def test_real_slots_and_one_number_in_all_slots() -> None:
    slots = np.arange(8.0)
    assert np.abs(values(coefficients(slots)) - slots).max() < 1e-13
    # 3^j is 1 or 3 modulo 8, so that i is (X^(N/4) + X^(3N/4)) / sqrt(2) in every slot
    wanted = np.eye(16)[0] * 3 - (np.eye(16)[4] + np.eye(16)[12]) * np.sqrt(2)
    assert np.abs(coefficients(np.full(8, 3.0 - 2.0j)) - wanted).max() < 1e-14


@pytest.mark.parametrize("half", [2048, 16384])
def test_both_ways_round_as_little_as_doubles_allow(half: int) -> None:
    rng = np.random.default_rng(half)
    slots = rng.standard_normal(half) + 1j * rng.standard_normal(half)
    # the root mean square of slots is the Euclidean norm of coefficients
    assert np.sqrt(np.mean(np.abs(values(coefficients(slots)) - slots) ** 2)) < 2.0**-50 * np.sqrt(2)
