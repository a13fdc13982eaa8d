"""Slots to residues and back, for many vectors at once: by transforms of numpy and of the kernels.

What SEAL's encoder does, on the runtime's own arrays: coefficients of the slots times the scale, rounded to integers,
modulo each prime, transformed. A vector of n slots that fills the ring with its copies has 2n coefficients, which stand
N/2n apart. Without kernels SEAL's encoder does it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang_runtime import embedding, precise
from slotlang_runtime.kernels.library import Kernels, kernels
from slotlang_runtime.kernels.residues import ResidueRing
from slotlang_runtime.kernels.selftest import tested
from slotlang_runtime.kernels.unavailable import Unavailable
from slotlang_runtime.residues import Words, added
from slotlang_runtime.seal.coefficients import transformed, untransformed
from slotlang_runtime.seal.memory import plaintext_of, residues_of
from slotlang_runtime.seal.ring import Ring

Numbers: TypeAlias = npt.NDArray[np.float64]

_LEAST = 4
"""Slots whose coefficients fill a vector of the kernels. One slot alone would not have one value at all roots."""
_WHOLE = 62
"""Bits of integers that are held as such."""
_HALF = 53
"""Bits of a double: larger integers are cut there."""


class Coder:
    """Encodes and decodes for a ring. Never changes but for memory it keeps, so threads share it."""

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self._own: ResidueRing | None = None
        with suppress(Unavailable):
            self._own, self._integers = tested(ring), _Integers(kernels("bytes"))

    def encode(self, values: Any, level: int = 0, products: int = 0, added: bool = False) -> Words | None:
        """The residues of ``Ring.encode``, primes x degree; None for zero. Raises Rejected."""
        return self.encode_all([values], level, products, added)[0]

    def encode_all(
        self, vectors: Sequence[Any], level: int = 0, products: int = 0, added: bool = False
    ) -> list[Words | None]:
        """``encode`` of each vector."""
        ring, scale = self.ring, self.ring.plaintext_scale(level, products, added)
        if self._own is None:
            plains = [ring.encode(values, level, products, added) for values in vectors]
            return [None if plain is None else residues_of(ring, plain) for plain in plains]
        found: list[Words | None] = [None] * len(vectors)
        whole = []
        for number, values in enumerate(vectors):
            content = ring.checked(values)
            if content is not None and (content.ndim or content.imag):
                whole.append((number, np.tile(np.broadcast_to(content, (ring.slots,)), -(-_LEAST // ring.slots))))
            elif content is not None:
                found[number] = self._constant(float(content.real), level, scale)
        if whole:
            rounded = np.rint(embedding.coefficients(np.array([values for _, values in whole])) * scale)
            for (number, values), row in zip(whole, rounded, strict=True):
                ring.check_size(float(np.abs(row).max()), level, values)
                if row.any():
                    found[number] = self._residues(row, level)
        return found

    def _constant(self, value: float, level: int, scale: float) -> Words | None:
        """A number in all slots is one coefficient, and the same residue everywhere. Halves are rounded away from 0."""
        size = abs(value) * scale
        self.ring.check_size(size, level, value)
        number = math.trunc(size) + (size - math.trunc(size) >= 0.5)
        if not number:
            return None
        moduli = self.ring.primes(level)
        column = np.array([(number if value > 0 else -number) % prime for prime in moduli], np.uint64)
        return np.repeat(column[:, None], self.ring.degree, axis=1)

    def _residues(self, rounded: Numbers, level: int) -> Words:
        """The residues of a polynomial of integers, 2n of them that stand apart, transformed."""
        own, moduli = self._own, self.ring.primes(level)
        assert own is not None
        words = np.zeros((len(moduli), self.ring.degree), np.uint64)
        for row, prime in zip(words[:, :: self.ring.degree // len(rounded)], moduli, strict=True):
            row[:] = self._integers.modulo(rounded, prime)
        return own.transformed(words)

    def transformed(self, words: Words, level: int) -> Words:
        """The residues of a polynomial at a level, primes x degree, from those of its coefficients."""
        return transformed(self.ring, words, level) if self._own is None else self._own.transformed(words)

    def decode_all(self, residues: Words, level: int, scale: float) -> tuple[npt.NDArray[np.complex128], Numbers]:
        """All slots, vectors x N/2, and the largest |coefficient| of each, of residues, vectors x primes x degree."""
        own = self._own
        if own is None:
            plains = [plaintext_of(self.ring, words, level, scale) for words in residues]
            slots = np.array([self.ring.decode_copies(plain) for plain in plains])
            return slots, scale * np.abs(embedding.coefficients(slots)).max(axis=-1)
        moduli = self.ring.primes(level)
        rows = np.stack([own.untransformed(words) for words in residues], axis=1)
        found = self._integers.centred(list(rows), moduli)
        return embedding.values(found / scale), np.abs(found).max(axis=-1)

    def decode_precisely(self, words: Words, level: int, scale: float) -> tuple[npt.NDArray[np.complex128], float]:
        """``decode_all`` of one message, primes x degree, in which masks are so large that rounding them as doubles
        are would show."""
        own, primes = self._own, self.ring.primes(level)
        if own is not None:
            numbers = self._integers.precisely(list(own.untransformed(words)), primes)
        else:
            modulus, total = math.prod(primes), np.zeros(words.shape[-1], object)
            for row, prime in zip(untransformed(self.ring, words, level), primes, strict=True):
                others = modulus // prime
                total = total + row.astype(object) * (others * pow(others, -1, prime))
            numbers = precise.from_integers(((total + modulus // 2) % modulus - modulus // 2).tolist())
        return precise.values(numbers, scale), float(np.abs(numbers.high).max())

    def encode_precisely(self, values: npt.NDArray[np.complex128], level: int, scale: float) -> Words:
        """The residues, primes x degree, of N/2 values some of which are large: what is zero is zero in them, up to the
        rounding to integers."""
        numbers, primes = precise.scaled_coefficients(values, scale), self.ring.primes(level)
        if self._own is None:
            integers = precise.to_integers(numbers)
            words = np.array([[number % prime for number in integers] for prime in primes], np.uint64)
        else:
            modulo = self._integers.modulo
            words = np.array([added(modulo(numbers.high, p), modulo(numbers.low, p), p) for p in primes])
        return self.transformed(words, level)


class _Integers:
    """Integers modulo primes, and back, by kernels."""

    def __init__(self, bits: Kernels) -> None:
        self._bits = bits

    def modulo(self, integers: Numbers, prime: int) -> Words:
        """Integers in doubles modulo a prime, exactly. Those beyond words are cut in two, which a double does
        exactly."""
        if np.abs(integers).max(initial=0.0) < 2.0**_WHOLE:
            whole, out = integers.astype(np.int64), np.empty(len(integers), np.uint64)
            self._bits.signed(whole.ctypes.data, out.ctypes.data, len(whole), prime, (1 << 64) // prime)
            return out
        high = np.rint(integers * 2.0**-_HALF)
        low = self.modulo(integers - high * 2.0**_HALF, prime)
        shifted = self._multiplied(self.modulo(high, prime), np.zeros_like(low), (1 << _HALF) % prime, prime, 0)
        return added(shifted, low, prime)

    def _multiplied(self, x: Words, less: Words, factor: int, prime: int, lift: int) -> Words:
        out = np.empty_like(x)
        at = x.ctypes.data, less.ctypes.data, out.ctypes.data, x.size
        self._bits.multiplied(*at, factor, (factor << 64) // prime, prime, lift)
        return out

    def centred(self, rows: Sequence[Words], moduli: Sequence[int]) -> Numbers:
        """Integers within half of the product of the primes around 0 (less the product over the last prime: there the
        sign is not sure), from their residues modulo each: exact while integers fit words, then rounded as doubles
        are."""
        digits = self._digits(rows, moduli)
        whole = digits[-1].astype(np.int64)
        whole -= np.int64(moduli[-1]) * (whole > moduli[-1] // 2)
        number = whole.astype(np.float64)
        for prime, digit in zip(moduli[-2::-1], digits[-2::-1], strict=True):
            # modulo 2^64 where it does not fit
            whole = whole * np.int64(prime) + digit.view(np.int64)
            number = number * float(prime) + digit
            number = np.where(np.abs(number) < 2.0**_WHOLE, whole, number)
        return number

    def precisely(self, rows: Sequence[Words], moduli: Sequence[int]) -> precise.Two:
        """``centred`` with twice the digits."""
        return precise.from_digits(self._digits(rows, moduli), moduli)

    def _digits(self, rows: Sequence[Words], moduli: Sequence[int]) -> list[Words]:
        """Digits of mixed radix (Garner)."""
        digits: list[Words] = []
        for prime, row in zip(moduli, rows, strict=True):
            digit = row
            for other, below in zip(moduli, digits, strict=False):
                # lifted by a multiple of the prime, so that the difference is not negative
                lift = -(-other // prime) * prime
                digit = self._multiplied(digit, below, pow(other, -1, prime), prime, lift)
            digits.append(digit)
        return digits
