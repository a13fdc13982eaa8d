"""A backend of the runtime's operations that computes no residues: on the steps of a trace, or on exact slots.

It refuses what SEAL refuses, with ``Rejected``: operands at different levels or scales, a scale above the modulus, a
rescale below the last prime. Primes stand for themselves as numbers near the powers of two that they are near to, all
different in a way that no product of scales makes equal by chance. Ciphertexts and plaintexts can't be changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from slotlang.refusals import GaveUp
from slotlang.validation.trace import Step, Trace
from slotlang_runtime.errors import NOT_EVALUATED, Rejected
from slotlang_runtime.module import Kernel
from slotlang_runtime.parameters import Levels, Parameters

MAX_OPERATIONS = 1_000_000
"""Of one evaluation."""

ROUNDING = 2.0**-40
"""Relative difference of two scales that is rounding of doubles."""


@dataclass(frozen=True, slots=True, eq=False)
class Cipher:
    """A ciphertext: ``content`` is the number of the step that made it, or its slots."""

    content: Any
    level: int
    scale: float
    polynomials: int = 2
    """Three from a product of ciphertexts on, until that, or a sum of such, is relinearised."""


@dataclass(frozen=True, slots=True, eq=False)
class Plain:
    """An encoded vector: ``content`` is its number with the recorder, or its slots. ``constant``: one real number in
    all slots."""

    content: Any
    level: int
    scale: float
    constant: bool


class Algebra(Protocol):
    """What values do, without levels and scales."""

    def rotate(self, a: Any, step: int) -> Any:
        """``a << step``."""

    def conjugate(self, a: Any) -> Any:
        """Complex conjugate."""

    def multiply_plain(self, a: Any, plain: Any) -> Any:
        """Ciphertext times plaintext."""

    def multiply(self, a: Any, b: Any) -> Any:
        """Ciphertext times ciphertext."""

    def add(self, a: Any, b: Any, sign: int) -> Any:
        """``a + sign * b``."""

    def add_plain(self, a: Any, plain: Any, sign: int) -> Any:
        """``a + sign * plain``."""

    def negate(self, a: Any) -> Any:
        """``-a``."""

    def zero(self) -> Any:
        """Zeros."""


class Steps:
    """Values are numbers of steps in a trace."""

    def __init__(self, slots: int) -> None:
        self.trace = Trace(slots)

    def fresh(self, content: int) -> int:
        """An input."""
        return self.trace.add(Step("fresh", content=content))

    def rotate(self, a: int, step: int) -> int:
        """``a << step``."""
        return self.trace.add(Step("rotate", (a,), amount=step))

    def conjugate(self, a: int) -> int:
        """Complex conjugate."""
        return self.trace.add(Step("conj", (a,)))

    def multiply_plain(self, a: int, plain: int) -> int:
        """Ciphertext times plaintext."""
        return self.trace.add(Step("plain_product", (a,), content=plain))

    def multiply(self, a: int, b: int) -> int:
        """Ciphertext times ciphertext."""
        return self.trace.add(Step("product", (a, b)))

    def add(self, a: int, b: int, sign: int) -> int:
        """``a + sign * b``."""
        return self.trace.add(Step("add", (a, b), (1, sign)))

    def add_plain(self, a: int, plain: int, sign: int) -> int:
        """``a + sign * plain``."""
        return self.trace.add(Step("add_plain", (a,), (sign,), content=plain))

    def negate(self, a: int) -> int:
        """``-a``."""
        return self.trace.add(Step("neg", (a,)))

    def zero(self) -> int:
        """The empty sum."""
        return self.trace.add(Step("add"))


class ExactSlots:
    """Values are arrays of slots."""

    def __init__(self, slots: int) -> None:
        self.slots = slots

    def rotate(self, a: Any, step: int) -> npt.NDArray[np.complex128]:
        """``a << step``."""
        return np.roll(a, -step)

    def conjugate(self, a: Any) -> Any:
        """Complex conjugate."""
        return np.conj(a)

    def multiply_plain(self, a: Any, plain: Any) -> Any:
        """Slot by slot."""
        return a * plain

    def multiply(self, a: Any, b: Any) -> Any:
        """Slot by slot."""
        return a * b

    def add(self, a: Any, b: Any, sign: int) -> Any:
        """``a + sign * b``."""
        return a + sign * b

    def add_plain(self, a: Any, plain: Any, sign: int) -> Any:
        """``a + sign * plain``."""
        return a + sign * plain

    def negate(self, a: Any) -> Any:
        """``-a``."""
        return -a

    def zero(self) -> npt.NDArray[np.complex128]:
        """Zeros."""
        return np.zeros(self.slots, np.complex128)


def nominal(parameters: Parameters) -> Levels:
    """Levels and scales for primes of these sizes, each a little below its power of two, by amounts of its own."""
    # the golden ratio's multiples: as far from each other, and from each other's sums, as can be
    offsets = [(1 + n * (math.sqrt(5) - 1) / 2) % 1 for n in range(1, len(parameters.prime_bits) + 1)]
    primes = [
        2**bits - 1 - round(2.0 ** (bits - 12) * (1 + o))
        for bits, o in zip(parameters.prime_bits, offsets, strict=True)
    ]
    return Levels(parameters, primes)


class CheckedOperations:
    """``Operations`` on values of an algebra. ``kernel``: a module that is evaluated as matrix products has additions
    and products with constants alone."""

    def __init__(self, algebra: Algebra, levels: Levels, kernel: Kernel) -> None:
        self.algebra = algebra
        self.levels = levels
        self.kernel = kernel
        self.done = 0

    def rotate(self, a: Cipher, step: int) -> Cipher:
        """``a << step``."""
        self._ciphers(a)
        self._count()
        self._only("a rotation")
        self._relinearised(a)
        self.levels.check_rotation(step, a.level)
        return Cipher(self.algebra.rotate(a.content, step), a.level, a.scale)

    def conjugate(self, a: Cipher) -> Cipher:
        """Complex conjugate."""
        self._ciphers(a)
        self._count()
        self._only("a conjugation")
        self._relinearised(a)
        self.levels.check_conjugation(a.level)
        return Cipher(self.algebra.conjugate(a.content), a.level, a.scale)

    def multiply_plain(self, a: Cipher, plain: Plain) -> Cipher:
        """Ciphertext times plaintext."""
        self._ciphers(a)
        self._plain(plain)
        self._same_level(a, plain)
        if self.kernel == "matrix" and not plain.constant:
            raise Rejected("a vector to encode does not hold one real number in all slots", NOT_EVALUATED)
        return self._product(a, plain, self.algebra.multiply_plain)

    def multiply(self, a: Cipher, b: Cipher) -> Cipher:
        """Ciphertext times ciphertext."""
        self._ciphers(a, b)
        self._only("a product of ciphertexts")
        self._relinearised(a, b)
        self._same_level(a, b)
        return replace(self._product(a, b, self.algebra.multiply), polynomials=3)

    def relinearize(self, a: Cipher) -> Cipher:
        """The same value, of two polynomials."""
        self._ciphers(a)
        self._count()
        if a.polynomials == 2:
            return a
        self.levels.check_relinearization(a.level)
        return replace(a, polynomials=2)

    def rescale(self, a: Cipher) -> Cipher:
        """The same value at the next level."""
        self._ciphers(a)
        self._only("a rescale")
        level = a.level + 1
        if level >= self.levels.count:
            raise Rejected("there is no prime left to drop", NOT_EVALUATED)
        scale = a.scale / self.levels.primes(a.level)[-1]
        if level >= len(self.levels.scales) or abs(scale / self.levels.scales[level] - 1) > ROUNDING:
            raise Rejected(
                f"a ciphertext that is rescaled to level {level} does not come to the scale there", NOT_EVALUATED
            )
        return replace(a, level=level, scale=self.levels.scales[level])

    def negate(self, a: Cipher) -> Cipher:
        """``-a``."""
        self._ciphers(a)
        self._count()
        return replace(a, content=self.algebra.negate(a.content))

    def add(self, total: Cipher, term: Cipher, sign: int, *, owned: bool) -> Cipher:
        """``total + term`` or ``total - term``."""
        self._ciphers(total, term)
        self._count()
        self._same_level(total, term)
        self._same_scale(total, term)
        content = self.algebra.add(total.content, term.content, sign)
        return Cipher(content, total.level, total.scale, max(total.polynomials, term.polynomials))

    def dot(self, pairs: list[tuple[Cipher, Plain]]) -> Cipher | None:
        """Left to ``multiply_plain`` and ``add``."""
        return None

    def add_plain(self, a: Cipher, plain: Plain, sign: int) -> Cipher:
        """``a + plain`` or ``a - plain``."""
        self._ciphers(a)
        self._plain(plain)
        self._count()
        self._only("a sum with a plaintext")
        self._same_level(a, plain)
        self._same_scale(a, plain)
        return replace(a, content=self.algebra.add_plain(a.content, plain.content, sign))

    def zero(self, like: Cipher | Plain) -> Cipher:
        """Zeros at the level and scale of a plaintext."""
        self._plain(like)
        return Cipher(self.algebra.zero(), like.level, like.scale)

    def _count(self) -> None:
        self.done += 1
        if self.done > MAX_OPERATIONS:
            raise GaveUp(f"more than {MAX_OPERATIONS:,} operations")

    def _only(self, what: str) -> None:
        if self.kernel == "matrix":
            raise Rejected(f"{what} can't be evaluated as matrix products", NOT_EVALUATED)

    def _product(self, a: Cipher, b: Any, combine: Callable[[Any, Any], Any]) -> Cipher:
        self._count()
        scale = a.scale * b.scale
        if int(math.log2(scale)) >= math.prod(self.levels.primes(a.level)).bit_length():
            raise Rejected("scale out of bounds", NOT_EVALUATED)
        return replace(a, content=combine(a.content, b.content), scale=scale)

    def _ciphers(self, *values: object) -> None:
        """SEAL's own functions take nothing else."""
        for value in values:
            if not isinstance(value, Cipher):
                raise TypeError(f"a {type(value).__name__} where a ciphertext is expected")

    def _relinearised(self, *values: Cipher) -> None:
        if any(value.polynomials > 2 for value in values):
            raise Rejected("a product of ciphertexts is used before it is relinearised", NOT_EVALUATED)

    def _plain(self, value: object) -> None:
        if not isinstance(value, Plain):
            raise TypeError(f"a {type(value).__name__} where a plaintext is expected")

    def _same_level(self, a: Cipher, b: Any) -> None:
        if a.level != b.level:
            raise Rejected(f"operands at levels {a.level} and {b.level}", NOT_EVALUATED)

    def _same_scale(self, a: Cipher, b: Any) -> None:
        if not close(a.scale, b.scale):
            raise Rejected(
                f"operands at scales 2^{math.log2(a.scale):.2f} and 2^{math.log2(b.scale):.2f}", NOT_EVALUATED
            )


def close(a: float, b: float) -> bool:
    """Whether two scales differ by rounding alone."""
    return abs(a / b - 1) <= ROUNDING
