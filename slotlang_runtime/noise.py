"""The sizes of noise: deviations of what is random, and bounds of what is rounded, which hold for every input.

Encoding a plaintext adds e, a polynomial whose n coefficients are at most 1/2 each. Its Euclidean norm |e| is the root
mean square of its values at the roots of unity, and so is that of a message m. No coefficient of m*e exceeds |m| |e|,
by Cauchy and Schwarz, and inputs along the conjugate of e reach that. Imports neither tenseal nor numba.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

ERROR_VARIANCE = 21 / 2
"""Variance of a coefficient of fresh noise: SEAL draws it from a centred binomial distribution of 42 bits."""

SECRET_VARIANCE = 2 / 3
"""Variance of a coefficient of the secret key, uniform among -1, 0 and 1."""

ROUNDING = 1 / 12
"""Variance of what rounding to an integer adds."""

LARGEST_ROUNDING = 1 / 4
"""The largest square of what rounding to an integer adds."""

SIGMAS = 12
"""Noise is taken to be at most this many times its standard deviation. A normal variable exceeds that with a
probability below 2^-106."""

TRANSFORM = 2.0**-46
"""A bound on the norm of what a transform in double precision adds, relative to its result: 15 steps of some operations
with a relative error of 2^-53 each."""


SAFETY = 2.5
"""By how much a promise exceeds the expected error where many independent numbers make it up: a run has one draw of
noise and of data. Fitted to runs of the tuning half of ``benchmarks/noise.py``, and checked on the other."""

DOUBLE = 2.0**-51.2
"""Relative error of encoding or decoding a vector, which are transforms in double precision."""

MORE_DIGITS = 45
"""By how many bits less is lost where twice the digits are kept (``precise``)."""


@cache
def peak_shape(degree: int) -> npt.NDArray[np.float64]:
    """Mean square of ``1 + X + ... + X^(N-1)`` over SEAL's slots, relative to the mean; read-only. Residues are not
    centred, so three quarters of a key switch's noise are a multiple of it, and most of that is in slot 0."""
    exponents = np.array([pow(3, j, 2 * degree) for j in range(degree // 2)], dtype=np.float64)
    shape: npt.NDArray[np.float64] = 1 / (degree * np.sin(np.pi * exponents / (2 * degree)) ** 2)
    shape.flags.writeable = False
    return shape


def dropped_variance(degree: int, polynomials: int = 2) -> float:
    """Variance of a coefficient of the noise of dropping a prime: all polynomials are rounded. The second is multiplied
    with the secret key s, and the third of a product with s*s, whose values have a mean square of twice that of s,
    squared."""
    secret = degree * SECRET_VARIANCE
    return ROUNDING * (1 + secret + (2 * secret**2 if polynomials > 2 else 0.0))


def cut_variance(bits: int) -> float:
    """Of what rounding a whole number without its last bits adds, half to even."""
    return ROUNDING * (4.0**bits + 2) if bits else 0.0


def cut_variances(degree: int, bits: tuple[int, int], *, halved: bool) -> tuple[float, float]:
    """Variances of a coefficient of the noise of a result whose coefficients are sent without their last ``bits``, of
    c0 and of c1, which is multiplied with the secret key. ``halved``: half of h is sent for c0. What is rounded of h is
    symmetric as h is, and h is twice as large: half of the variance, as only one part is read."""
    first, second = map(cut_variance, bits)
    return first / (2 if halved else 1), second * degree * SECRET_VARIANCE


@dataclass(frozen=True, slots=True)
class Rounding:
    """``norm``: a bound on the Euclidean norm of the coefficients of e. ``total``: on the sum of their sizes, and so on
    each of its values at the roots of unity."""

    norm: float
    total: float


def vector_rounding(coefficients: int, size: float) -> Rounding:
    """Of a vector that takes this many coefficients. ``size``: scale times the root mean square of its slots."""
    norm = math.sqrt(coefficients * LARGEST_ROUNDING) + TRANSFORM * size
    return Rounding(norm, math.sqrt(coefficients) * norm)


def constant_rounding(value: complex, scale: float) -> Rounding:
    """Of one number ``a + b*i`` in all slots, which has the coefficients ``a``, ``b/sqrt(2)`` and again
    ``b/sqrt(2)``."""
    re, im = (_rounded(part * scale) for part in (value.real, value.imag / math.sqrt(2)))
    # a complex number is encoded as any vector
    more = TRANSFORM * scale * math.hypot(value.real, value.imag) if value.imag else 0.0
    # no squares, which vanish for weights below 1e-154
    return Rounding(math.hypot(re, im, im) + more, re + 2 * im + math.sqrt(3) * more)


def _rounded(number: float) -> float:
    # what is beyond a double is refused elsewhere
    return abs(number - round(number)) if math.isfinite(number) else 0.0
