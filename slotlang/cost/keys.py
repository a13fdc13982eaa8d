"""The size of keys."""

from __future__ import annotations


def key_bytes(degree: int, primes: int) -> int:
    """Bytes of one key-switching key (a Galois key, or the one for products) as SEAL holds it in memory: residues of 8
    bytes of two polynomials of ``degree`` coefficients, modulo each of ``primes`` primes, the key prime among them, for
    each of the others."""
    return 16 * degree * primes * (primes - 1)
