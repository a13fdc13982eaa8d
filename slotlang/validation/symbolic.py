"""Arrays of expressions in tensor elements: what the numpy text of an emitted module computes on, not numbers.

A ``Tensor`` is a whole tensor, or a tensor expression such as ``A @ B``, that is only indexed. A ``Vector`` has
for each of its places a sum of terms: a complex coefficient times elements of tensors. Coefficients and positions
are numpy arrays over the places, so a vector of 4096 slots costs a few array operations, not 4096.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang_runtime.amounts import count_of

Ints: TypeAlias = npt.NDArray[np.int64]
Numbers: TypeAlias = npt.NDArray[np.complex128]

Atom: TypeAlias = tuple[str, ...]
"""A tensor that is read: one factor after the other, ``A.T`` for a transposed one. Positions in it are flat."""

Chain: TypeAlias = tuple[complex, tuple[str, ...], Atom]
"""One summand of a tensor expression: coefficient, scalars, factors."""


MAX_WHOLE = 1 << 24
"""Elements of a tensor that takes part in arithmetic as a whole."""


class Unsupported(Exception):
    """Something this arithmetic has no meaning for; the message says what."""


@dataclass(frozen=True, slots=True)
class Term:
    """``coefficient * product of reads``; arrays are broadcast over the vector's places."""

    coefficient: npt.NDArray[np.complexfloating[Any, Any]] = field(repr=False)
    reads: tuple[tuple[Atom, Ints], ...] = field(repr=False)


def _product(a: Term, b: Term) -> Term:
    return Term(a.coefficient * b.coefficient, a.reads + b.reads)


class Vector:
    """An array of expressions. Supports what bodies of a module do: arithmetic, indexing, and asking for its shape."""

    __array_ufunc__ = None
    """Numpy's operators leave operations with a Vector to the Vector."""
    __hash__ = None  # type: ignore[assignment]
    dtype = np.dtype(np.complex128)

    def __init__(self, shape: tuple[int, ...], terms: Sequence[Term]) -> None:
        self.shape = shape
        self.terms = tuple(terms)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of places."""
        return math.prod(self.shape)

    def map(self, change: Any) -> Vector:
        """A structural change (indexing, rolling, broadcasting) of every array, given as a function of one."""
        shape = change(np.broadcast_to(np.int64(0), self.shape)).shape
        return Vector(
            shape,
            [
                Term(
                    change(np.broadcast_to(t.coefficient, self.shape)),
                    tuple((atom, change(np.broadcast_to(at, self.shape))) for atom, at in t.reads),
                )
                if self.shape
                else Term(
                    np.asarray(change(t.coefficient)), tuple((atom, np.asarray(change(at))) for atom, at in t.reads)
                )
                for t in self.terms
            ],
        )

    def scaled(self, factor: Any) -> Vector:
        """Every term times a number or an array of numbers."""
        factor = np.asarray(factor, np.complex128)
        shape = np.broadcast_shapes(self.shape, factor.shape)
        return Vector(shape, [Term(t.coefficient * factor, t.reads) for t in self.terms])

    def __getitem__(self, index: Any) -> Vector:
        return self.map(lambda array: np.asarray(array[index]))

    def __neg__(self) -> Vector:
        return self.scaled(-1)

    def __add__(self, other: Any) -> Vector:
        other = vector(other)
        shape = np.broadcast_shapes(self.shape, other.shape)
        return Vector(shape, self.terms + other.terms)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Vector:
        return self + vector(other).scaled(-1)

    def __rsub__(self, other: Any) -> Vector:
        return vector(other) + self.scaled(-1)

    def __mul__(self, other: Any) -> Vector:
        if not isinstance(other, Vector | Tensor):
            return self.scaled(other)
        other = vector(other)
        shape = np.broadcast_shapes(self.shape, other.shape)
        return Vector(shape, [_product(a, b) for a in self.terms for b in other.terms])

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Vector:
        if isinstance(other, Vector | Tensor):
            raise Unsupported("a division by weights")
        return self.scaled(1 / np.asarray(other, np.complex128))

    def conj(self) -> Vector:
        """Complex conjugate; tensors are real."""
        return Vector(self.shape, [Term(t.coefficient.conj(), t.reads) for t in self.terms])

    def any(self) -> bool:
        """Whether some coefficient is not zero."""
        return any(bool(t.coefficient.any()) for t in self.terms)


class Tensor:
    """A tensor expression that is only indexed: sums of chains of products, shape as numpy would have it.

    ``pattern``: where a declared sparse weight may differ from zero.
    """

    __array_ufunc__ = None
    dtype = np.dtype(np.float64)

    def __init__(
        self, shape: tuple[int, ...], chains: Sequence[Chain], pattern: npt.NDArray[np.bool_] | None = None
    ) -> None:
        self.shape = shape
        self.chains = tuple(chains)
        self.pattern = pattern

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def at(self, flat: Any) -> Vector:
        """The elements at flat positions."""
        flat = np.asarray(flat, np.int64)
        terms = []
        for coefficient, scalars, atom in self.chains:
            reads = ((atom, flat), *(((name,), np.int64(0)) for name in scalars))
            value = np.asarray(coefficient, np.complex128)
            if self.pattern is not None:
                value = value * self.pattern.reshape(-1)[flat]
            terms.append(Term(value, reads))
        return Vector(flat.shape, terms)

    def __getitem__(self, index: Any) -> Vector:
        places = index if isinstance(index, tuple) else (index,)
        if len(places) != len(self.shape):
            raise Unsupported(f"{count_of(len(places), 'index')} into a tensor of shape {self.shape}")
        flat: Any = np.int64(0)
        for place, size in zip(places, self.shape, strict=True):
            place = np.asarray(place)
            if place.dtype.kind not in "iu":
                raise Unsupported("an index that is no integer")
            if ((place < -size) | (place >= size)).any():
                raise IndexError(f"an index is out of bounds for an axis of size {size}")
            flat = flat * size + np.where(place < 0, place + size, place)
        return self.at(flat)

    def item(self) -> Vector:
        """A scalar as a vector of one place."""
        return self.at(np.int64(0))

    def _whole(self) -> Vector:
        if math.prod(self.shape) > MAX_WHOLE:
            raise Unsupported(f"arithmetic with a tensor of {count_of(math.prod(self.shape), 'element')}")
        return self.at(np.arange(math.prod(self.shape)).reshape(self.shape))

    @property
    def T(self) -> Tensor:  # noqa: N802
        """Transpose of a matrix that is declared."""
        if len(self.shape) != 2 or any(len(atom) != 1 or atom[0].endswith(".T") for _, _, atom in self.chains):
            raise Unsupported("the transpose of a tensor expression")
        return Tensor(
            self.shape[::-1],
            [(c, s, (f"{atom[0]}.T",)) for c, s, atom in self.chains],
            None if self.pattern is None else self.pattern.T,
        )

    def __matmul__(self, other: Any) -> Tensor:
        if not isinstance(other, Tensor) or self.shape[-1] != other.shape[0]:
            raise Unsupported("a matrix product of these operands")
        chains = [(c * d, tuple(sorted(s + t)), a + b) for c, s, a in self.chains for d, t, b in other.chains]
        return Tensor(self.shape[:-1] + other.shape[1:], chains)

    def __add__(self, other: Any) -> Any:
        if isinstance(other, Tensor) and other.shape == self.shape and self.pattern is None and other.pattern is None:
            return Tensor(self.shape, self.chains + other.chains)
        return self._whole() + other

    def __radd__(self, other: Any) -> Any:
        return self._whole() + other

    def __sub__(self, other: Any) -> Any:
        return self + (-1) * other

    def __rsub__(self, other: Any) -> Any:
        return other + (-1) * self

    def __neg__(self) -> Any:
        return self * -1

    def __mul__(self, other: Any) -> Any:
        if _is_scalar(other) and self.pattern is None:
            return (
                Tensor(
                    self.shape,
                    [(c * d, tuple(sorted((*s, *t, *b))), a) for c, s, a in self.chains for d, t, b in other.chains],
                )
                if self.shape
                else self.item() * other.item()
            )
        if isinstance(other, Tensor) and _is_scalar(self):
            return other * self
        if isinstance(other, int | float | complex):
            return Tensor(self.shape, [(c * other, s, a) for c, s, a in self.chains], self.pattern)
        return self._whole() * other

    __rmul__ = __mul__

    def __truediv__(self, other: float | complex) -> Tensor:
        return Tensor(self.shape, [(c / other, s, a) for c, s, a in self.chains], self.pattern)


def _is_scalar(value: Any) -> bool:
    """Whether a value is a declared scalar. A product of two vectors has no axes either, and is not a product of their
    first elements."""
    return isinstance(value, Tensor) and value.shape == () and all(len(atom) == 1 for _, _, atom in value.chains)


def vector(value: Any) -> Vector:
    """Numbers, tensors and vectors as vectors."""
    if isinstance(value, Vector):
        return value
    if isinstance(value, Tensor):
        return value._whole() if value.shape else value.item()
    number = np.asarray(value)
    if number.dtype.kind not in "biufc":
        raise Unsupported(f"arithmetic with {type(value).__name__}")
    return Vector(number.shape, [Term(number.astype(np.complex128), ())])
