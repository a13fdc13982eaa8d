"""Results without the last bits of their coefficients, which are noise.

Residues at the points of a transform have no last bits. So both polynomials of a result at one prime are transformed
back, and each coefficient v from 0 to p - 1 is sent as its high bits: u = v / 2^t, rounded, stands for 2^t u. Where one
part is read, h = c0 + C(c0) has C(h) = h (for ``im``: C(h) = -h), so half of its coefficients say the rest
(``seal.halves``). By a compiled kernel, and by numpy where there is none. Imports neither tenseal nor numba.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np

from slotlang_runtime.residues import Words, byte_kernels

Transform: TypeAlias = Callable[[Words, int], Words]
"""Residues of a polynomial at a level, primes x degree, transformed or back."""


def bound(prime: int, bits: int) -> int:
    """What is sent of a coefficient is below this number."""
    return ((prime - 1) >> bits) + 1


def cut(coefficients: Words, prime: int, bits: int) -> Words:
    """Each coefficient without its last bits, rounded, half to even: off by at most 2^(bits - 1), around 0 and modulo
    the prime. Were halves rounded up, coefficients would be off by 1/2 in the mean, and what all have in common comes
    to one slot."""
    found, compiled = coefficients, byte_kernels()
    if bits and compiled is not None:
        given, sent = np.ascontiguousarray(coefficients), np.empty(coefficients.shape, np.uint64)
        compiled.cut(given.ctypes.data, sent.ctypes.data, given.size, bits, bound(prime, bits))
        return sent
    if bits:
        shift = np.uint64(bits)
        even = coefficients >> shift & np.uint64(1)
        found = (coefficients + np.uint64((1 << bits - 1) - 1) + even) >> shift
    # those nearest to the prime stand for 0
    return np.where(found < np.uint64(bound(prime, bits)), found, np.uint64(0))


def restored(sent: Words, bits: int) -> Words:
    """The coefficients that ``cut`` sends, each below its prime."""
    found: Words = sent << np.uint64(bits)
    return found


def half(coefficients: Words, part: Literal["re", "im"]) -> Words:
    """The coefficients of h that say all others: from the first one, or for ``im`` from the second one on."""
    count, start = coefficients.shape[-1] // 2, int(part == "im")
    return np.ascontiguousarray(coefficients[..., start : start + count])


def whole(known: Words, prime: int, part: Literal["re", "im"]) -> Words:
    """All coefficients of h, from those of ``half``: C takes X to the power of k to minus that of N - k."""
    count = known.shape[-1]
    found = np.zeros((*known.shape[:-1], 2 * count), np.uint64)
    if part == "re":
        found[..., :count] = known
        found[..., count + 1 :] = np.where(known > 0, np.uint64(prime) - known, np.uint64(0))[..., :0:-1]
    else:
        found[..., 1 : count + 1] = known
        found[..., count + 1 :] = known[..., -2::-1]
    return found
