"""Polynomials modulo primes in Python's integers, in SEAL's order of a transform: what kernels are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import tenseal.sealapi as seal

from slotlang_runtime.kernels.library import kernels
from slotlang_runtime.kernels.processor import processor
from slotlang_runtime.kernels.residues import ResidueRing

Integers = npt.NDArray[Any]
"""Python's integers."""


@cache
def primes(degree: int, bits: tuple[int, ...]) -> list[int]:
    """The primes that SEAL chooses, of any number and size: kernels do not ask for security."""
    return [modulus.value() for modulus in seal.CoeffModulus.Create(degree, list(bits))]


def residue_ring(degree: int, bits: tuple[int, ...], kind: str = "") -> ResidueRing:
    """The kernels of a ring with these primes, the key prime last; of another kind than this processor's."""
    return _residue_ring(degree, bits, kind or processor().kind(max(bits)))


@cache
def _residue_ring(degree: int, bits: tuple[int, ...], kind: str) -> ResidueRing:
    ring: Any = SimpleNamespace(degree=degree, moduli=primes(degree, bits))
    return ResidueRing(ring, kernels(kind))


def integers(values: Any) -> Integers:
    """As Python's integers."""
    return np.array(np.asarray(values).tolist(), object)


def reversed_bits(number: int, bits: int) -> int:
    return int(f"{number:0{bits}b}"[::-1], 2)


@cache
def root(p: int, n: int) -> int:
    """The smallest number of order 2n modulo p: SEAL's choice."""
    return min(pow(pow(a, (p - 1) // (2 * n), p), k, p) for a in [generator(p, n)] for k in range(1, 2 * n, 2))


def generator(p: int, n: int) -> int:
    return next(a for a in range(2, p) if pow(a, (p - 1) // 2, p) == p - 1)


@cache
def powers(p: int, n: int) -> tuple[Integers, Integers]:
    """Powers of the root and of its inverse by the reversed bits of their exponents."""
    bits = n.bit_length() - 1
    order = [reversed_bits(k, bits) for k in range(n)]
    both = []
    for base in (root(p, n), pow(root(p, n), -1, p)):
        ladder = [1]
        for _ in range(n - 1):
            ladder.append(ladder[-1] * base % p)
        both.append(np.array([ladder[k] for k in order], object))
    return both[0], both[1]


def transformed(x: Integers, p: int) -> Integers:
    """The values of a polynomial at odd powers 2k + 1 of the root, by the reversed bits of k."""
    n = len(x)
    w, x = powers(p, n)[0], x % p
    blocks = 1
    while blocks < n:
        pairs = x.reshape(blocks, 2, n // (2 * blocks))
        a, b = pairs[:, 0], pairs[:, 1] * w[blocks : 2 * blocks, None] % p
        x = np.stack([a + b, a - b], 1).reshape(n) % p
        blocks *= 2
    return x


def coefficients(x: Integers, p: int) -> Integers:
    """The polynomial with these values."""
    n = len(x)
    w, blocks = powers(p, n)[1], n // 2
    while blocks:
        pairs = x.reshape(blocks, 2, n // (2 * blocks))
        a, b = pairs[:, 0], pairs[:, 1]
        x = np.stack([a + b, (a - b) * w[blocks : 2 * blocks, None]], 1).reshape(n) % p
        blocks //= 2
    return x * pow(n, -1, p) % p


def centred(x: Integers, p: int) -> Integers:
    """The residues around 0: from -(p - 1)/2 to (p - 1)/2."""
    return (x + p // 2) % p - p // 2


def substituted(x: Integers, element: int) -> Integers:
    """The polynomial x(X^element), modulo X^n + 1."""
    n = len(x)
    to = np.arange(n) * element % (2 * n)
    out = np.zeros(n, object)
    out[to % n] = np.where(to < n, x, -x)
    return out


@cache
def sources(n: int, element: int) -> npt.NDArray[np.int64]:
    """Where each value comes from when X becomes X^element."""
    bits = n.bit_length() - 1
    order = np.array([reversed_bits(k, bits) for k in range(n)])
    return order[((2 * order + 1) * element % (2 * n) - 1) // 2]


def moved(x: Integers, element: int) -> Integers:
    """The same on values: that at the root's power 2k + 1 becomes that at the power (2k + 1)·element."""
    return x[sources(len(x), element)]


def without_last(rows: Sequence[Integers], moduli: Sequence[int]) -> list[Integers]:
    """A polynomial by its values modulo each prime, divided by the last prime and rounded: SEAL's rescaling."""
    *kept, last = moduli
    rest = centred(coefficients(rows[-1], last), last)
    return [(x - transformed(rest, p)) * pow(last, -1, p) % p for x, p in zip(rows, kept, strict=False)]


PATTERNS = ["random", "zero", "one", "largest", "middle", "halves", "near"]
"""Residues for ``filled``: ``middle`` and its neighbour are the largest around 0."""


def filled(pattern: str, moduli: Sequence[int], degree: int, rng: np.random.Generator) -> npt.NDArray[np.uint64]:
    """Residues, primes x degree."""
    rows = []
    for p in moduli:
        choices = {
            "random": lambda p=p: rng.integers(0, p, degree, np.uint64),
            "zero": lambda: np.zeros(degree, np.uint64),
            "one": lambda: np.ones(degree, np.uint64),
            "largest": lambda p=p: np.full(degree, p - 1, np.uint64),
            "middle": lambda p=p: np.full(degree, p // 2, np.uint64),
            "halves": lambda p=p: rng.choice(np.array([p // 2, p // 2 + 1], np.uint64), degree),
            "near": lambda p=p: rng.choice(
                np.array([0, 1, p // 2 - 1, p // 2, p // 2 + 1, p - 2, p - 1], np.uint64), degree
            ),
        }
        rows.append(choices[pattern]())
    return np.array(rows, np.uint64)
