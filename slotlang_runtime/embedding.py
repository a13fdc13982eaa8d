"""Slots and coefficients of polynomials, in floating point. Imports neither tenseal nor numba.

Slot j of a real polynomial m of degree below N is its value at the root of unity z^e with z = exp(i*pi/N) and
e = 3^j mod 2N. Of each pair of conjugate roots one exponent is 4t + 1. As (z^(4t+1))^(N/2) = i, the value there is the
sum over k < N/2 of (m_k + i*m_(k+N/2)) z^k w^(tk) with w = exp(4*pi*i/N): a complex transform of N/2 numbers.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np


def coefficients(slots: Any) -> Any:
    """Coefficients, ... x 2n, of the real polynomials that hold these n values in their slots, ... x n."""
    slots = np.asarray(slots)
    where, mirrored, turn = places(slots.shape[-1])
    held = np.empty(slots.shape, np.complex128)
    held[..., where] = np.where(mirrored, np.conj(slots), slots)
    found = np.fft.fft(held, norm="forward") * np.conj(turn)
    return np.concatenate([found.real, found.imag], axis=-1)


def values(polynomials: Any) -> Any:
    """The slots, ... x n, of real polynomials with these coefficients, ... x 2n."""
    polynomials = np.asarray(polynomials, np.float64)
    half = polynomials.shape[-1] // 2
    where, mirrored, turn = places(half)
    found = np.fft.ifft((polynomials[..., :half] + 1j * polynomials[..., half:]) * turn, norm="forward")[..., where]
    return np.where(mirrored, np.conj(found), found)


def largest_coefficient(slots: Any) -> float:
    """The largest |coefficient| of the real polynomial that holds these values in its slots."""
    return float(np.abs(coefficients(slots)).max())


@lru_cache(maxsize=16)
def places(slots: int) -> tuple[Any, Any, Any]:
    """For this many slots: t of each slot's root, or of its conjugate; whether it is the conjugate; powers of z."""
    exponents = np.array([pow(3, j, 4 * slots) for j in range(slots)])
    mirrored = exponents % 4 == 3
    turn = np.exp(0.5j * math.pi / slots * np.arange(slots))
    return np.where(mirrored, 4 * slots - exponents, exponents) // 4, mirrored, turn
