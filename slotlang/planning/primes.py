"""SEAL's primes: which numbers the primes of given parameters are, without SEAL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

_BASES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
"""Bases for which the test of Miller and Rabin is exact below 2^64."""


def _is_prime(n: int) -> bool:
    if n < 2 or any(n % p == 0 for p in _BASES):
        return n in _BASES
    odd, twos = n - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in _BASES:
        x = pow(base, odd, n)
        if x in (1, n - 1):
            continue
        for _ in range(twos - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


@lru_cache(maxsize=1024)
def largest_primes(degree: int, bits: int, count: int) -> tuple[int, ...]:
    """The largest primes of this many bits that leave 1 modulo twice the degree, descending; fewer where there are
    fewer."""
    step, found = 2 * degree, list[int]()
    value = ((1 << bits) - 1) // step * step + 1
    while len(found) < count and value > 1 << (bits - 1):
        if _is_prime(value):
            found.append(value)
        value -= step
    return tuple(found)


def moduli(degree: int, prime_bits: Sequence[int]) -> list[int]:
    """The primes of parameters, in their order, as SEAL's ``CoeffModulus::Create`` has them: of several primes of one
    size the smallest comes first. Where SEAL has none, the least number of that size stands for it."""
    left = Counter(prime_bits)
    tables = {bits: largest_primes(degree, bits, count) for bits, count in left.items()}
    found = []
    for bits in prime_bits:
        left[bits] -= 1
        table = tables[bits]
        found.append(table[left[bits]] if left[bits] < len(table) else 1 << (bits - 1))
    return found
