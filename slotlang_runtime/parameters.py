"""Parameters of CKKS, checked: no ring below 128-bit security. Imports neither tenseal nor numba."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from slotlang_runtime.amounts import count_of
from slotlang_runtime.errors import NOT_EVALUATED, Rejected

MAX_MODULUS_BITS: Mapping[int, int] = {1024: 27, 2048: 54, 4096: 109, 8192: 218, 16384: 438, 32768: 881}
"""Bits of modulus by degree, the key prime included, that keep 128-bit security: the standard of
homomorphicencryption.org, as in SEAL's ``CoeffModulus::MaxBitCount``."""

LARGEST_PRIME = 60
"""Bits of the largest primes that SEAL has."""

LEAST_DEGREE = 4096
"""The smallest degree that compiled kernels compute with."""

DOUBLE_BITS = 50
"""Bits of the largest primes that compiled kernels compute with as doubles, or as words of 52 bits."""

LAZY_BITS = 45
"""Bits of primes so small that a transform in words of 52 bits takes no reductions."""

SUMS_TOGETHER = 8
"""Sums of products of the same ciphertexts that compiled kernels compute together."""

LEAST_SENT = 8
"""Bits of a coefficient that are sent at least."""

RELINEARIZATION = 1
"""The element under which the key for products of ciphertexts stands: no rotation has it."""

Hide: TypeAlias = Literal["mask", "exact", "none"]
"""How slots that are not part of the result are hidden: by random plaintexts, by adding conjugates, or not at all."""


def _whole(values: Iterable[object], low: int, high: int) -> bool:
    return all(type(v) is int and low <= v < high for v in values)


@dataclass(frozen=True, slots=True)
class RingParameters:
    """What a secret key belongs to: the degree, and the bits of each prime, the key prime last."""

    degree: int
    prime_bits: tuple[int, ...]

    def __str__(self) -> str:
        return f"degree {self.degree} with primes of {', '.join(map(str, self.prime_bits))} bits"

    def check(self) -> None:
        """Raise Rejected for a ring that SEAL does not have, or that is below 128-bit security."""
        degree, primes = self.degree, self.prime_bits
        if type(degree) is not int or degree not in MAX_MODULUS_BITS:
            raise Rejected(
                f"there is no ring of degree {degree}; degrees are {', '.join(map(str, MAX_MODULUS_BITS))}",
                NOT_EVALUATED,
            )
        if type(primes) is not tuple or not _whole(primes, 2, 61) or len(primes) < 2:
            raise Rejected(
                f"prime_bits are two or more sizes of primes up to {LARGEST_PRIME} bits, not {primes}", NOT_EVALUATED
            )
        limit = MAX_MODULUS_BITS[degree]
        if sum(primes) > limit:
            raise Rejected(
                f"{count_of(sum(primes), 'bit')} of modulus at degree {degree} are "
                f"below 128-bit security; the limit is {limit}",
                NOT_EVALUATED,
            )


@dataclass(frozen=True)
class Parameters:
    """A ring, and how a program uses it.

    ``scale_bits``: of the inputs, and of the plaintexts of each product in a row where these have scales of their own.
    ``drops``: products after which a prime is dropped; the last ``results`` of these primes are dropped of results
    alone, as the last thing that ``evaluate`` does. ``cut``: how many last bits of results' coefficients are not sent,
    of c0 (or h) and of c1, where one prime is left; empty where all are. ``rotations``: steps that have a Galois key.
    ``routes``: other steps, and the steps they are composed of. ``doubled``: families whose results arrive with their
    conjugates added. ``key_levels``: how many primes are gone where a key is first used, by its Galois element, of keys
    that are not used at the top.
    """

    degree: int
    prime_bits: tuple[int, ...]
    scale_bits: tuple[int, ...]
    drops: tuple[int, ...] = ()
    rotations: tuple[int, ...] = ()
    routes: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    conjugation: bool = False
    relinearization: bool = False
    hide: Hide = "mask"
    doubled: tuple[str, ...] = ()
    results: int = 0
    cut: tuple[int, ...] = ()
    key_levels: Mapping[int, int] = field(default_factory=dict)

    @property
    def ring(self) -> RingParameters:
        """The ring that keys belong to."""
        return RingParameters(self.degree, self.prime_bits)

    @property
    def galois_elements(self) -> tuple[int, ...]:
        """Galois elements of the keys in use, ascending. Python ints: with a numpy integer among them SEAL would read
        steps."""
        elements = {pow(3, step, 2 * self.degree) for step in self.rotations}
        return tuple(sorted(elements | ({2 * self.degree - 1} if self.conjugation else set())))

    @property
    def first_levels(self) -> dict[int, int]:
        """The keys in use by element, relinearisation first, and how many primes are gone where each is first used."""
        elements = [*([RELINEARIZATION] if self.relinearization else []), *self.galois_elements]
        return {element: self.key_levels.get(element, 0) for element in elements}

    def check(self, slots: int) -> None:
        """Raise Rejected for parameters that no compiler writes: below 128-bit security, or out of range."""
        self.ring.check()
        half = self.degree // 2
        if type(slots) is not int or not 0 < slots <= half or slots & (slots - 1):
            raise Rejected(f"there is no ring of degree {self.degree} with {count_of(slots, 'slot')}", NOT_EVALUATED)
        if not self.scale_bits or not _whole(self.scale_bits, 1, sum(self.prime_bits)):
            raise Rejected(f"scale_bits {self.scale_bits} do not fit the primes", NOT_EVALUATED)
        if not _whole(self.drops, 0, 1 << 16) or len(self.drops) > len(self.prime_bits) - 2:
            raise Rejected(
                f"drops {self.drops} do not fit {count_of(len(self.prime_bits) - 1, 'prime')} of data", NOT_EVALUATED
            )
        if not _whole([self.results], 0, len(self.drops) + 1):
            raise Rejected(f"results drop {self.results} of {count_of(len(self.drops), 'prime')}", NOT_EVALUATED)
        if self.cut and (
            len(self.cut) != 2
            or len(self.drops) != len(self.prime_bits) - 2
            or not _whole(self.cut, 0, self.prime_bits[0] - LEAST_SENT + 1)
        ):
            raise Rejected(f"bits {self.cut} can't be cut off results with these primes", NOT_EVALUATED)
        if not _whole(self.rotations, 1, half) or self.hide not in ("mask", "exact", "none"):
            raise Rejected("the parameters hold rotations, or a way of hiding, that do not exist", NOT_EVALUATED)
        keys = {*self.galois_elements, *([RELINEARIZATION] if self.relinearization else [])}
        if not keys.issuperset(self.key_levels) or not _whole(self.key_levels.values(), 1, len(self.drops) + 1):
            raise Rejected("the parameters name keys, or levels of keys, that do not exist", NOT_EVALUATED)
        for step, route in self.routes.items():
            if step in self.rotations or not set(route) <= set(self.rotations):
                raise Rejected(
                    f"the rotation by {step} has a key, or is composed of some that have none", NOT_EVALUATED
                )
            if sum(route) % slots != step:
                raise Rejected(f"rotations by {route} do not make one by {step}", NOT_EVALUATED)


class Levels:
    """Scales of ciphertexts and plaintexts at each level, for given primes: the same for the client, the server and the
    checker. ``moduli``: the primes, the key prime last."""

    def __init__(self, parameters: Parameters, moduli: Sequence[int]) -> None:
        self.moduli = list(moduli)
        self.count = len(self.moduli) - 1
        # the level at which results are complete: what is dropped from there on is dropped last
        self.complete = len(parameters.drops) - parameters.results
        self._cut = parameters.cut
        self._degree, self._key_levels = parameters.degree, parameters.key_levels
        self.factors = [2.0**bits for bits in parameters.scale_bits]
        # for a ciphertext that has just come to a level: the products done so far, and its scale
        self._products = [0, *parameters.drops]
        self.scales = self.factors[:1]
        for level, product in enumerate(parameters.drops):
            scale = self.scale(level, product - self._products[level])
            self.scales.append(scale / self.moduli[self.count - 1 - level])

    def primes(self, level: int) -> list[int]:
        """The primes of a ciphertext at a level."""
        return self.moduli[: self.count - level]

    def cut(self, level: int) -> tuple[int, int] | None:
        """How many last bits of the coefficients of results at a level are not sent, of c0 and of c1; None where they
        are sent as they are."""
        return (self._cut[0], self._cut[1]) if self._cut and len(self.primes(level)) == 1 else None

    def check_rotation(self, step: int, level: int) -> None:
        """As ``check_switch``, for the key of a rotation."""
        # most programs have all keys at the top
        if self._key_levels:
            self.check_switch(pow(3, step, 2 * self._degree), level, f"a rotation by {step}")

    def check_conjugation(self, level: int) -> None:
        """As ``check_switch``, for the key of conjugation."""
        self.check_switch(2 * self._degree - 1, level, "conjugation")

    def check_relinearization(self, level: int) -> None:
        """As ``check_switch``, for the key for products of ciphertexts."""
        self.check_switch(RELINEARIZATION, level, "products of ciphertexts")

    def check_switch(self, element: int, level: int, what: str) -> None:
        """Raise Rejected where a ciphertext at a level is switched by a key that has no residues there."""
        first = self._key_levels.get(element, 0)
        if level < first:
            raise Rejected(
                f"the key for {what} is for level {first} on, and a ciphertext at level {level} is switched",
                NOT_EVALUATED,
            )

    def scale(self, level: int, products: int = 0) -> float:
        """Scale of a ciphertext at a level with this number of products not yet rescaled."""
        return math.prod([self.scales[level], *(self.factor(level, k) for k in range(products))])

    def factor(self, level: int, products: int = 0) -> float:
        """Scale of a plaintext that multiplies a ciphertext at a level with this number of products: its own where it
        has one; else the scale of the ciphertext without products, so that all ciphertexts have the same scale after a
        rescale."""
        if len(self.factors) > 1:
            return self.factors[self._products[level] + products + 1]
        return self.scales[level]

    def plaintext_scale(self, level: int, products: int, added: bool) -> float:
        """Scale of a plaintext that is multiplied with, or added to, a ciphertext at a level."""
        return self.scale(level, products) if added else self.factor(level, products)
