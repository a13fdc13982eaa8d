"""A ring's kernels compared with Python's integers, at some places, when a process first uses them.

Polynomials are geometric series: their residues look random, and their values have a formula.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator

import numpy as np

from slotlang_runtime.kernels.residues import Ciphertext, ResidueRing, addresses
from slotlang_runtime.kernels.tables import Array, reversed_bits, smallest_root
from slotlang_runtime.kernels.unavailable import Unavailable
from slotlang_runtime.residues import Words
from slotlang_runtime.seal.ring import Ring

PLACES = 4
PRIMES = 2
"""Primes of data that are tested: all kernels, in the time of small rings."""

TERMS = 9
"""Products that are added up: more than are added before they are reduced."""

_TESTED: set[tuple[str, int, tuple[int, ...]]] = set()
_LOCK = threading.Lock()


def tested(ring: Ring) -> ResidueRing:
    """A ring whose kernels were tested here. Raises Unavailable, also where they were wrong."""
    made = ResidueRing(ring)
    name = made.kernels.kind, ring.degree, tuple(ring.moduli)
    with _LOCK:
        if name not in _TESTED:
            for what in _wrong(made):
                raise Unavailable(f"{what} of compiled kernels is wrong on this machine")
            _TESTED.add(name)
    return made


def _wrong(ring: ResidueRing) -> Iterator[str]:
    """What is wrong."""
    degree, level = ring.degree, max(0, ring.count - 1 - PRIMES)
    data, order = ring.ring.moduli[: ring.primes(level)], reversed_bits(degree)
    moduli = [*data, ring.ring.moduli[-1]]
    # a geometric series modulo each prime: its first element and its ratio
    series = [(p // 3, p // 5 * 2 + 1) for p in data]
    words = np.array([[_series(*given, p, degree) for given, p in zip(series, data, strict=True)]], np.uint64)
    places = [degree * k // PLACES + 5 * k for k in range(PLACES)]
    roots = [smallest_root(p, degree) for p in moduli]

    def point(j: int, place: int, element: int = 1) -> int:
        """Where a polynomial modulo prime j is evaluated."""
        return pow(roots[j], (2 * int(order[place]) + 1) * element, moduli[j])

    there, back = ring.taken(words, level, 1.0), ring.taken(words, level, 1.0)
    for j in range(len(data)):
        at = (8 * ring.stride * j, ring.table + 40 * j)
        ring.kernels.transform(there.rows.at + at[0], there.rows.at + at[0], degree, at[1])
        ring.kernels.untransform(there.rows.at + at[0], back.rows.at + at[0], degree, at[1])
    values = ring.given(there)[0]
    exact = [[_sum(*series[j], point(j, at), p, degree) for at in places] for j, p in enumerate(data)]
    if values[:, places].tolist() != exact:
        yield "a transform"
    if not np.array_equal(ring.given(back), words):
        yield "an inverse transform"

    squares = [[TERMS * int(x) ** 2 % p for x in row[places]] for row, p in zip(values, data, strict=True)]
    if _products(ring, values, level)[:, places].tolist() != squares:
        yield "a sum of products"

    place, element = places[1], 2 * degree - 1
    digits = [_around(row, p) for row, p in zip(words[0], data, strict=True)]
    if len(data) > 1:
        *_, last = data
        quotient = (int(values[0, place]) - _value(digits[-1], point(0, place), data[0])) * pow(last, -1, data[0])
        if int(_divided(ring, there)[0, place]) != quotient % data[0]:
            yield "a division"

    key = np.resize(words[0], (len(data), 2, len(moduli), degree)) % np.array(moduli, np.uint64)[:, None]
    sums = _switched(ring, there, key, element)
    for j, p in ((0, data[0]), (len(data), moduli[-1])):
        exact_sum = sum(
            _value(digit, point(j, place, element), p) * int(key[i, 0, j, place]) for i, digit in enumerate(digits)
        )
        found = sums[j, place].item()
        if not math.isfinite(found) or int(found) != found or (int(found) - exact_sum) % p:
            yield "a key switch"
            break


def _series(first: int, ratio: int, p: int, count: int) -> list[int]:
    out = [first]
    for _ in range(count - 1):
        out.append(out[-1] * ratio % p)
    return out


def _sum(first: int, ratio: int, x: int, p: int, count: int) -> int:
    """The value at x of the polynomial whose coefficients are a series."""
    step = ratio * x % p
    return first * (pow(step, count, p) - 1) * pow(step - 1, -1, p) % p


def _around(row: Words, p: int) -> list[int]:
    return [x - p if x > p // 2 else x for x in row.tolist()]


def _value(coefficients: list[int], x: int, p: int) -> int:
    total = 0
    for coefficient in reversed(coefficients):
        total = (total * x + coefficient) % p
    return total


def _products(ring: ResidueRing, values: Words, level: int) -> Words:
    """TERMS squares, added up."""
    both, plain = ring.taken(np.array([values, values]), level, 1.0), ring.plaintext(values, level, 1.0, False)
    out = ring.ciphertext(2, level, 1.0)
    lists = [addresses([rows.at] * TERMS) for rows in (both.rows, plain.rows)] + [addresses([out.rows.at])]
    ring.kernels.dotted(
        lists[0][1], lists[1][1], TERMS, lists[2][1], 1, ring.primes(level), ring.degree, ring.stride, ring.table
    )
    return np.asarray(ring.given(out)[1])


def _divided(ring: ResidueRing, a: Ciphertext) -> Words:
    out, room = ring.ciphertext(1, a.level + 1, 1.0), ring.rows(2)
    shape = ring.primes(a.level), ring.count, ring.degree, ring.stride, ring.table, ring.pairs
    ring.kernels.divided(a.rows.at, out.rows.at, 1, *shape, room.at)
    return np.asarray(ring.given(out)[0])


def _switched(ring: ResidueRing, a: Ciphertext, words: Words, element: int) -> Array:
    """The first sums of one key switch, lazily reduced."""
    primes, shape = ring.primes(a.level), (ring.primes(a.level), ring.count, ring.degree, ring.stride, ring.table)
    digits, sums, room = ring.rows(primes * (primes + 1)), ring.rows(2 * (primes + 1)), ring.rows(primes)
    key = ring.key(words)
    ring.kernels.decomposed(a.rows.at, digits.at, *shape, ring.pairs, room.at)
    lists = [addresses([number]) for number in (key.at, key.digits, *ring.tables.move(element))]
    ring.kernels.switched(a.rows.at, digits.at, *(at for _, at in lists), 1, sums.at, 0, *shape)
    return ring.view(sums)[: primes + 1, : ring.degree].copy()
