"""A secret key with all evaluation keys, and the operations of an evaluation by kernels and by SEAL."""

from __future__ import annotations

import math
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tenseal.sealapi as seal
from exact_residues import Integers, centred, coefficients, integers

from slotlang_runtime.client import SecretKey
from slotlang_runtime.kernels.engine import arranged_key
from slotlang_runtime.kernels.operations import ResidueOperations, Value
from slotlang_runtime.kernels.residues import Ciphertext, Plaintext, ResidueRing
from slotlang_runtime.keys import EvaluationKeys
from slotlang_runtime.parameters import Parameters
from slotlang_runtime.seal.operations import SealOperations
from slotlang_runtime.seal.ring import Ring
from slotlang_runtime.seal.saved import Saved, ciphertext_limit, plaintext_limit, residues_of, saved

STEPS = tuple(range(1, 21))
SLOTS = 2048


WORDS, DOUBLES = (27, 27, 55), (36, 36, 37)
"""Bits of primes."""

KINDS = pytest.mark.parametrize("bits", [WORDS, DOUBLES], ids=["words", "doubles"])

DEVIATION = 3.2
"""Of the errors in keys."""

WORST = 12
"""A slot's noise is a sum of products of two normal numbers: among 2,048 slots none has more than this many deviations,
but once in a hundred thousand runs. Digits that are not around 0 would pass a hundred."""


class World:
    """A secret key with all evaluation keys, and both kinds of operations with them."""

    def __init__(self, bits: tuple[int, ...], degree: int) -> None:
        given = Parameters(degree, bits, (20,), (1,), rotations=STEPS, conjugation=True, relinearization=True)
        self.parameters, self.ring = given, Ring(given, SLOTS)
        self.secret = SecretKey(given.ring)
        module: Any = SimpleNamespace(name="test", parameters=given)
        self.keys = EvaluationKeys.from_bytes(self.secret.evaluation_keys(module))
        self.own = ResidueRing(self.ring)
        self.kernels = ResidueOperations(self.own, lambda element: arranged_key(self.own, self.keys, element))
        self.seal = SealOperations(self.ring, self.keys.galois, self.keys.relin)
        self.rng = np.random.default_rng(3)
        context = self.secret.context
        record = Saved(context, saved(self.secret._key), plaintext_limit(context, len(context.moduli)))
        self.p = self.ring.moduli[0]
        self.s = integers(record.plaintext(context.key_level, context.moduli, 1.0)[0])

    def plain(self, level: int = 0, scale: float = 2.0**20) -> tuple[Any, Plaintext]:
        """A plaintext of random slots, for both."""
        made = seal.Plaintext()
        values = self.rng.standard_normal(self.ring.degree // 2).tolist()
        self.ring.encoder.encode(values, self.ring.levels[level], scale, made)
        return made, self.own.plaintext(residues_of(self.ring, made), level, scale, False)

    def added(self, level: int = 0, scale: float = 2.0**20) -> tuple[Any, Plaintext]:
        """The same, to be added."""
        made, _ = self.plain(level, scale)
        return made, self.own.plaintext(residues_of(self.ring, made), level, scale, True)

    def cipher(self, level: int = 0, scale: float = 2.0**20) -> tuple[Any, Ciphertext]:
        """A ciphertext of random slots, for both."""
        plain, _ = self.plain(level, scale)
        made = seal.Ciphertext()
        self.secret.encryptor.encrypt_symmetric(plain, made)
        return made, self.own.taken(self.words(made, level), level, scale)

    def words(self, cipher: Any, level: int | None = None) -> Any:
        """The residues of SEAL's ciphertext, of any number of polynomials."""
        level = self.ring.levels.index(cipher.parms_id()) if level is None else level
        moduli, size = self.ring.primes(level), cipher.size()
        record = Saved(self.ring.shared, saved(cipher), 2 * ciphertext_limit(self.ring.shared, len(moduli)))
        record.expect("parameters", "4Q", *self.ring.levels[level])
        record.expect("shape", "BQQQ", 1, size, self.ring.degree, len(moduli))
        record.take("dQ")
        return record.array(size, moduli)

    def given(self, a: Value) -> Any:
        """The residues of a value."""
        return self.own.given(self.kernels.settled(a))

    def phase(self, words: Any) -> Integers:
        """What residues decrypt to, modulo the first prime, as values of a polynomial."""
        total: Any = 0
        for polynomial in reversed(words):
            total = (total * self.s + integers(polynomial[0])) % self.p
        return total

    def noise(self, words: Any, expected: Integers) -> Any:
        """The difference from what should be there, by slots."""
        n = self.ring.degree
        rest = centred(coefficients((self.phase(words) - expected) % self.p, self.p), self.p).astype(float)
        # at odd powers of a complex root: half of these are the others' conjugates
        return np.abs(np.fft.fft(rest * np.exp(-1j * np.pi * np.arange(n) / n)))

    def check(self, words: Any, expected: Integers, switches: float, divisions: float) -> None:
        """The noise is that of so many key switches, and divisions by the key prime."""
        found = self.noise(words, expected)
        deviation = math.sqrt(self.ring.degree * (switches * self.of_a_switch() + divisions * self.of_a_division()))
        assert 0.6 < math.sqrt((found**2).mean()) / deviation < 1.5
        assert found.max() < WORST * deviation

    def of_a_switch(self) -> float:
        """The variance of a coefficient: digits, uniform around 0, times errors of the key, over the key prime."""
        *data, last = self.ring.moduli
        return sum(p**2 / 12 for p in data) * self.ring.degree * DEVIATION**2 / last**2

    def of_a_division(self) -> float:
        """Rounding of both polynomials, one of them times the secret, of which two thirds are not zero."""
        return (1 + self.ring.degree * 2 / 3) / 12

    def element(self, step: int) -> int:
        return pow(3, step, 2 * self.ring.degree)


@cache
def world(bits: tuple[int, ...], degree: int = 4096) -> World:
    return World(bits, degree)


def same(w: World, ours: Value, theirs: Any) -> None:
    """Equal residues, level and scale."""
    settled = w.kernels.settled(ours)
    assert w.ring.levels[settled.level] == theirs.parms_id() and settled.scale == theirs.scale
    assert np.array_equal(w.own.given(settled), w.words(theirs))
