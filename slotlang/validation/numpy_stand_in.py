"""``numpy`` for an emitted module that computes on expressions: the few functions it calls accept them too."""

from __future__ import annotations

from typing import Any

import numpy as np

from slotlang.validation.symbolic import Filling, Tensor, Unsupported, Vector, vector


class Places:
    """Slots of decrypted vectors, arranged in an array: where each element of a result comes from.

    ``step`` is the number of the decrypted ciphertext, -1 where the element is zero; ``part`` is r or i for a part, c
    for the whole complex number, R for the real part as a complex number, and I for the imaginary part times i;
    ``factor`` is what it is multiplied by.
    """

    __array_ufunc__ = None

    def __init__(self, step: Any, slot: Any, part: Any, factor: Any) -> None:
        self.step, self.slot, self.part, self.factor = step, slot, part, factor

    @classmethod
    def zeros(cls, shape: Any) -> Places:
        """Elements that nothing was written to."""
        return cls(np.full(shape, -1), np.zeros(shape, np.int64), np.full(shape, "c"), np.ones(shape))

    @classmethod
    def whole(cls, step: int, slots: int) -> Places:
        """All slots of one decrypted vector."""
        return cls(np.full(slots, step), np.arange(slots), np.full(slots, "c"), np.ones(slots))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        found: tuple[int, ...] = self.step.shape
        return found

    def alone(self, part: str) -> Places:
        """One part of complex numbers, as complex numbers: ``re`` or ``im``."""
        return self._of("c", {"re": "R", "im": "I"}[part])

    def _of(self, source: str, part: str) -> Places:
        if not np.isin(self.part, list(source)).all():
            raise Unsupported("the real or imaginary part of a part")
        return Places(self.step, self.slot, np.full(self.shape, part), self.factor)

    @property
    def real(self) -> Places:
        """Real parts."""
        return self._of("cR", "r")

    @property
    def imag(self) -> Places:
        """Imaginary parts."""
        return self._of("cI", "i")

    def __mul__(self, factor: float) -> Places:
        return Places(self.step, self.slot, self.part, self.factor * factor)

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> Places:
        return self * (1 / divisor)

    def __neg__(self) -> Places:
        return self * -1

    def __getitem__(self, index: Any) -> Places:
        return Places(self.step[index], self.slot[index], self.part[index], self.factor[index])

    def __setitem__(self, index: Any, value: Any) -> None:
        if not isinstance(value, Places):
            raise Unsupported("a result that is no decrypted slot")
        self.step[index], self.slot[index] = value.step, value.slot
        self.part[index], self.factor[index] = value.part, value.factor


_SYMBOLIC = (Vector, Tensor, Places, Filling)


class Numpy:
    """Every name of numpy; functions of expressions where an argument is one."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def asarray(self, value: Any, *rest: Any, **options: Any) -> Any:
        """The value itself when it is an expression."""
        return value if isinstance(value, _SYMBOLIC) else np.asarray(value, *rest, **options)

    def array(self, value: Any, *rest: Any, **options: Any) -> Any:
        """The value itself when it is an expression."""
        return value if isinstance(value, _SYMBOLIC) else np.array(value, *rest, **options)

    def zeros(self, shape: Any, dtype: Any = float) -> Any:
        """Results start as zeros of numbers; decrypted slots are put into them."""
        return Places.zeros(shape) if dtype in (float, complex) else np.zeros(shape, dtype)

    def isfinite(self, value: Any) -> Any:
        """Weights are finite: that is checked where they come in."""
        return np.True_ if isinstance(value, _SYMBOLIC) else np.isfinite(value)

    def iscomplexobj(self, value: Any) -> bool:
        """Whether a coefficient may have an imaginary part."""
        return isinstance(value, Vector) or (not isinstance(value, _SYMBOLIC) and np.iscomplexobj(value))

    def broadcast_to(self, value: Any, shape: Any) -> Any:
        """Broadcasting of an expression."""
        if not isinstance(value, _SYMBOLIC):
            return np.broadcast_to(value, shape)
        return vector(value).map(lambda array: np.broadcast_to(array, shape))

    def roll(self, value: Any, shift: int) -> Any:
        """Rotation of an expression."""
        if not isinstance(value, _SYMBOLIC):
            return np.roll(value, shift)
        return vector(value).map(lambda array: np.roll(array, shift))

    def conj(self, value: Any) -> Any:
        """Conjugate of an expression."""
        return vector(value).conj() if isinstance(value, _SYMBOLIC) else np.conj(value)

    def where(self, condition: Any, a: Any, b: Any) -> Any:
        """Choice between expressions."""
        if not isinstance(a, _SYMBOLIC) and not isinstance(b, _SYMBOLIC):
            return np.where(condition, a, b)
        return vector(a).scaled(condition) + vector(b).scaled(np.logical_not(condition))
