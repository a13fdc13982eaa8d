"""Bounds of what slots hold, from bounds of tensors and scalars."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import prod
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang.graph.ring import PlainEvaluator
from slotlang.meaning.program import Family, Program
from slotlang.meaning.value import (
    Arith,
    Conj,
    Const,
    Element,
    FamilyRef,
    Iverson,
    Negate,
    Permuted,
    Read,
    Shift,
    TensorForm,
    Value,
)
from slotlang.proof.field import pattern_mask

Sizes: TypeAlias = npt.NDArray[np.float64]
"""Bounds on |real part| and |imaginary part|: two rows, a column for each slot or one for all."""


class SizeRing:
    """``graph.ring.Ring`` of bounds. ``entries``: for each tensor and scalar, a bound on every |element|. ``form``: on
    every |element| of a tensor expression, where there is a better one than ``form_size``."""

    def __init__(
        self, program: Program, entries: Mapping[str, float], form: Callable[[TensorForm], float] | None = None
    ) -> None:
        self.program, self.entries = program, entries
        self._form = form or (lambda f: form_size(program, f, entries))
        self._patterns: dict[str, npt.NDArray[np.bool_] | None] = {}

    def const(self, re: Fraction, im: Fraction) -> Sizes:
        return np.array([[abs(float(re))], [abs(float(im))]])

    def scalar(self, name: str) -> Sizes:
        return np.array([[self.entries[name]], [0.0]])

    def gather(self, tensor: str, flat: npt.NDArray[np.int64]) -> Sizes:
        size = np.array([[self.entries[tensor]], [0.0]])
        if tensor not in self._patterns:
            self._patterns[tensor] = pattern_mask(self.program, tensor)
        mask = self._patterns[tensor]
        return size if mask is None else self.masked(size, mask[flat])

    def element(self, form: TensorForm, flat: npt.NDArray[np.int64]) -> Sizes:
        return np.array([[self._form(form)], [0.0]])

    def add(self, a: Sizes, b: Sizes) -> Sizes:
        return a + b

    def sub(self, a: Sizes, b: Sizes) -> Sizes:
        return a + b

    def mul(self, a: Sizes, b: Sizes) -> Sizes:
        return np.array(np.broadcast_arrays(a[0] * b[0] + a[1] * b[1], a[0] * b[1] + a[1] * b[0]))

    def conj(self, a: Sizes) -> Sizes:
        return a

    def masked(self, a: Sizes, mask: npt.NDArray[np.bool_]) -> Sizes:
        return a if mask.all() else a * mask


def form_size(program: Program, form: TensorForm, entries: Mapping[str, float]) -> float:
    """A bound on |element| of a tensor expression: in each chain, the products of the bounds of scalars and factors,
    times the length of each sum."""
    total = 0.0
    for chain in form.chains:
        names = [*chain.scalars, *(factor.tensor for factor in chain.factors)]
        size = abs(float(chain.coefficient)) * prod(entries[name] for name in names)
        for factor in chain.factors[1:]:
            shape = program.tensors[factor.tensor].shape
            size *= shape[-1] if factor.transposed else shape[0]
        total += size
    return total


LARGEST_GAIN = 2.0**1000
"""Stands for all that is larger: no modulus has as many bits."""


def packing_gain(program: Program, family: Family, limits: Mapping[str, float]) -> float | None:
    """None where each slot of a packed family holds an element of an input, or an element plus i times another one, or
    zero. Otherwise the factor by which |slot| can exceed the largest |element| of all inputs, for elements within these
    ``limits``: constants, and products of inputs, do not grow as inputs do."""
    if _element(program, family.body) or _complex_element(program, family.body):
        return None
    ring = SizeRing(program, limits)
    evaluator = PlainEvaluator(program, ring)
    most = 0.0
    for indices in np.ndindex(*(binder.size for binder in family.binders)):
        size = evaluator.value(family.body, family.env(indices), evaluator.all_slots)
        with np.errstate(over="ignore"):
            most = max(most, float(np.hypot(size[0], size[1]).max()))
    return min(most / max(limits.values()), LARGEST_GAIN)


def _element(program: Program, value: Value) -> bool:
    """Whether each slot holds a real element, up to its sign, or zero."""
    match value:
        case Read():
            return True
        case Element(form):
            return [len(chain.factors) for chain in form.chains] == [1] and abs(form.chains[0].coefficient) == 1
        case Negate(inner) | Conj(inner) | Shift(inner) | Permuted(inner):
            return _element(program, inner)
        case Arith("*", Iverson(), inner) | Arith("*", inner, Iverson()):
            return _element(program, inner)
        case FamilyRef(name):
            return _element(program, program.families[name].body)
        case _:
            return False


def _imaginary(program: Program, value: Value) -> bool:
    """Whether each slot holds i times a real element, up to its sign, or zero."""
    match value:
        case Arith("*", Const(re, im), inner) | Arith("*", inner, Const(re, im)):
            return re == 0 and abs(im) == 1 and _element(program, inner)
        case Negate(inner) | Shift(inner) | Permuted(inner) | Conj(inner):
            return _imaginary(program, inner)
        case Arith("*", Iverson(), inner) | Arith("*", inner, Iverson()):
            return _imaginary(program, inner)
        case _:
            return False


def _complex_element(program: Program, value: Value) -> bool:
    match value:
        case Arith("+" | "-", left, right):
            pairs = ((left, right), (right, left))
            return any(_element(program, a) and _imaginary(program, b) for a, b in pairs)
        case Negate(inner) | Conj(inner) | Shift(inner) | Permuted(inner):
            return _complex_element(program, inner)
        case FamilyRef(name):
            return _complex_element(program, program.families[name].body)
        case _:
            return _imaginary(program, value)
