"""Values in doubles, for given tensors and scalars: a ring for ``PlainEvaluator``, and the results of theorems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from slotlang.graph.ring import Operators, PlainEvaluator, Slots
from slotlang.meaning.deep import Steps
from slotlang.meaning.integers import evaluate
from slotlang.meaning.program import Program, Theorem
from slotlang.meaning.value import SumOver, TensorForm, Value

Floats = npt.NDArray[np.float64]

BLOCK = 1 << 20
"""Elements of a result that are evaluated at once."""
BESIDE = 1 << 15
"""Elements of the terms of a sum that are evaluated at once, unless the result has more."""


class Doubles(Operators):
    """Arithmetic on doubles. ``data``: tensors, which have their declared shapes, and scalars, by name; all real, and
    what is evaluated has no imaginary constants."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data
        self._forms: dict[TensorForm, Floats] = {}

    def const(self, re: Fraction, im: Fraction) -> Any:
        """A constant."""
        assert not im, "a theorem is real"
        return np.float64(re)

    def scalar(self, name: str) -> Any:
        """A declared scalar."""
        return self.data[name]

    def gather(self, tensor: str, flat: Slots) -> Any:
        """Elements of a tensor."""
        return np.asarray(self.data[tensor]).reshape(-1)[flat]

    def element(self, form: TensorForm, flat: Slots) -> Any:
        """Elements of a tensor expression, which is multiplied out once."""
        if form not in self._forms:
            self._forms[form] = np.broadcast_to(self.product(form), form.shape).reshape(-1)
        return self._forms[form][flat]

    def product(self, form: TensorForm) -> Any:
        """A tensor expression."""
        total: Any = 0.0
        for chain in form.chains:
            value: Any = None
            for factor in reversed(chain.factors):
                matrix = np.asarray(self.data[factor.tensor])
                matrix = matrix.T if factor.transposed else matrix
                value = matrix if value is None else matrix @ value
            for scalar in chain.scalars:
                value = value * self.data[scalar]
            total = total + float(chain.coefficient) * value
        return total

    def conj(self, a: Any) -> Any:
        """Real numbers are their own conjugates."""
        return a

    def masked(self, a: Any, mask: npt.NDArray[np.bool_]) -> Any:
        """``a`` where the mask holds, else 0."""
        return np.where(mask, a, 0.0)


class TermsTogether(PlainEvaluator):
    """Evaluates terms of a theorem's sums side by side: theorems may have a million of them."""

    def steps(self, value: Value, env: Mapping[str, Any], slots: Slots) -> Any:
        """As a sum one term after the other, but for the order of additions."""
        if not isinstance(value, SumOver):
            return super().steps(value, env, slots)
        return self._beside(value, env, slots)

    def _beside(self, value: SumOver, env: Mapping[str, Any], slots: Slots) -> Steps[Any]:
        extent = int(evaluate(value.extent, self.program.sizes, {}))
        most = max(1, BESIDE // max(1, slots.size))
        total: Any = 0.0
        for first in range(0, extent, most):
            terms = np.arange(first, min(first + most, extent))
            shape = (len(terms), slots.size)
            here = {name: np.broadcast_to(at, shape).reshape(-1) for name, at in env.items()}
            here[value.var] = np.repeat(terms, slots.size)
            found = yield self.steps(value.body, here, np.broadcast_to(slots, shape).reshape(-1))
            total = total + np.broadcast_to(found, len(here[value.var])).reshape(shape).sum(axis=0)
        return total


def result(program: Program, theorem: Theorem, data: Mapping[str, Any]) -> Floats:
    """What a theorem says that its result is, for these tensors and scalars."""
    parts = list(_parts(program, theorem, data, np.arange(prod(theorem.shape))))
    return np.concatenate(parts).reshape(theorem.shape)


def elements(program: Program, theorem: Theorem, data: Mapping[str, Any], flat: Slots) -> Floats:
    """Elements of a theorem's result at flat positions."""
    return np.concatenate(list(_parts(program, theorem, data, flat)))


def _parts(program: Program, theorem: Theorem, data: Mapping[str, Any], flat: Slots) -> Iterator[Floats]:
    evaluator = TermsTogether(program, Doubles(data))
    for start in range(0, len(flat), BLOCK):
        here = flat[start : start + BLOCK]
        yield np.broadcast_to(evaluator.value(theorem.value, theorem.at(here), here), here.shape)
