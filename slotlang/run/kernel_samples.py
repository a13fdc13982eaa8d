"""The primitives of compiled kernels that ``calibrate`` measures, on random residues of one ring.

What rotations of one ciphertext and sums of them take says what the parts of a key switch take (``parts``).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from slotlang.cost.primitives import FAR_MEGABYTE, FAR_MEGABYTES
from slotlang.run.primitives import OPERANDS, PLAINTEXT_BYTES, SCALE, SUMS, Sample, sums_of, sums_of_products
from slotlang_runtime.amounts import count_of
from slotlang_runtime.kernels.operations import ResidueOperations
from slotlang_runtime.kernels.residues import ResidueRing
from slotlang_runtime.masks import uniform
from slotlang_runtime.operations import Evaluation
from slotlang_runtime.parameters import RELINEARIZATION, Parameters
from slotlang_runtime.seal.ring import Ring

ROTATED = 1, 5
"""Rotations of one ciphertext in the sums that are measured: one more is a key product more."""


def rotations(count: int) -> str:
    """Name of a sum of rotations of one ciphertext, whose digits are there, while it is measured."""
    return f"sum of {count_of(count, 'rotation')}"


class KernelSamples:
    """Operands of one ring: ``prime_bits`` with the key prime last. Raises Unavailable where it has no kernels."""

    def __init__(self, degree: int, prime_bits: tuple[int, ...]) -> None:
        self.degree, self.top = degree, len(prime_bits) - 1
        steps = tuple(range(1, max(ROTATED) + 1))
        parameters = Parameters(degree, prime_bits, (round(np.log2(SCALE)),), rotations=steps, relinearization=True)
        self.ring = Ring(parameters, degree // 2)
        # a program without rescales stays at the first level, and what is measured does not
        self.ring.scales = [SCALE] * self.top
        self.own = ResidueRing(self.ring)
        words = np.array(
            [[[uniform(p, degree) for p in self.ring.moduli] for _ in range(2)] for _ in range(self.top)], np.uint64
        )
        # each rotation its own key: one that is read again and again would stay in the nearest cache
        keys = [self.own.key(words) for _ in range(max(ROTATED))]
        elements = {pow(3, step, 2 * degree): keys[step - 1] for step in steps}
        self.operations = ResidueOperations(self.own, {RELINEARIZATION: keys[0], **elements}.__getitem__)
        self.evaluation: Evaluation[Any, Any] = Evaluation(self.operations, parameters, degree // 2)

    def samples(self, primes: tuple[int, ...]) -> Iterator[Sample]:
        """Every primitive at every number of primes."""
        for k in primes:
            yield from self._at(k)
        yield self._far(max(primes))

    def _at(self, primes: int) -> Iterator[Sample]:
        level, own, ops, ev = self.top - primes, self.own, self.operations, self.evaluation
        scale = self.ring.scale(level)
        rows = np.array([[uniform(p, self.degree) for p in self.ring.primes(level)] for _ in range(3)], np.uint64)
        # all different: what cancels is refused
        ciphers = [own.taken(np.roll(rows[:2], n, axis=2), level, scale) for n in range(OPERANDS)]
        count = max(OPERANDS, PLAINTEXT_BYTES // (8 * self.degree * primes))
        factors = [own.plaintext(rows[0], level, scale, added=False) for _ in range(count)]
        added = [own.plaintext(rows[0], level, scale, added=True) for _ in range(OPERANDS)]
        turn, factor, constant = itertools.cycle(ciphers), itertools.cycle(factors), itertools.cycle(added)
        summed = sums_of_products(ev, ciphers, factors)
        three = own.taken(rows, level, scale)
        total = own.taken(rows[:2], level, scale)

        def settle(made: Any) -> None:
            ops.settled(made)

        def rotated(count: int) -> None:
            source = next(turn)
            settle(ev.sum(ev.rotate(source, step) for step in range(1, count + 1)))

        def relinearized() -> None:
            three.digits = None
            settle(ev.relinearize(three))

        def dots(count: int, terms: int) -> None:
            # else the last ones wait for others
            settle(summed(count, terms))

        def sample(primitive: str, calls: int, action: Callable[[], object]) -> Sample:
            return Sample(primitive, self.degree, primes, calls, lambda _: action())

        def decomposed() -> None:
            source = next(turn)
            source.digits = None
            ops.digits(source)

        yield sample("decompose", 4, decomposed)
        for cipher in ciphers:
            ops.digits(cipher)
        # of ciphertexts that have their digits
        for count in ROTATED:
            yield sample(rotations(count), 2, partial(rotated, count))
        yield sample("relinearize", 2, relinearized)
        yield sample("multiply_plain", 16, lambda: ev.multiply(next(turn), next(factor)))
        for count, terms in SUMS:
            yield sample(sums_of(count, terms), 4, partial(dots, count, terms))
        yield sample("add_plain", 8, lambda: ev.add_plain(next(turn), next(constant)))
        yield sample("add", 8, lambda: ev.sum_of(next(turn), next(turn)))
        yield sample("sub", 8, lambda: ev.combine("+-", next(turn), next(turn)))
        yield sample("negate", 8, lambda: ev.negate(next(turn)))
        yield sample("add_inplace", 16, lambda: ops.add(total, next(turn), 1, owned=True))
        yield sample("multiply", 2, lambda: ev.product(next(turn), next(turn)))
        if primes > 1:
            yield sample("rescale", 2, lambda: self._rescaled(next(turn), level))

    def _far(self, primes: int) -> Sample:
        """Sums of products whose plaintexts are so many that no cache holds them."""
        level, (count, terms) = self.top - primes, SUMS[-1]
        scale = self.ring.scale(level)
        words = np.array([uniform(p, self.degree) for p in self.ring.primes(level)], np.uint64)
        ciphers = [
            self.own.taken(np.array([np.roll(words, n), np.roll(words, -n)]), level, scale) for n in range(OPERANDS)
        ]

        def made() -> Callable[[int, int], Any]:
            # made for each measurement: memory for all rings at once would be too much
            number = (FAR_MEGABYTES << 20) // (8 * self.degree * primes)
            factors = [self.own.plaintext(words, level, scale, added=False) for _ in range(number)]
            return sums_of_products(self.evaluation, ciphers, factors)

        def dots(summed: Callable[[int, int], Any]) -> None:
            self.operations.settled(summed(count, terms))

        return Sample(FAR_MEGABYTE, self.degree, primes, 1, dots, made)

    def _rescaled(self, a: Any, level: int) -> None:
        scales = self.ring.scales
        before, scales[level + 1] = scales[level + 1], a.scale / self.ring.primes(level)[-1]
        self.evaluation.rescale(a)
        scales[level + 1] = before


def parts(measured: Mapping[str, Mapping[int, float]]) -> dict[str, Mapping[int, float]]:
    """Times by primitive, with the parts of a key switch in place of the sums of rotations that were measured."""
    (one, several), rest = ROTATED, dict(measured)
    few, many = (rest.pop(rotations(count)) for count in (one, several))
    product = {k: max(many[k] - few[k], 0.0) / (several - one) for k in few}
    return {**rest, "key_product": product, "mod_down": {k: max(few[k] - one * product[k], 0.0) for k in few}}
