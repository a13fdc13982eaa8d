"""How large a result is that is not a sum of products of matrices: the mean square of its elements for random data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import prod, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from slotlang.cost.data import SEED, DataPowers, Floats, drawn_tensor
from slotlang.cost.vectors import forms_of
from slotlang.graph.numbers import TermsTogether
from slotlang.graph.ring import Evaluations, Operators, Slots
from slotlang.meaning.program import Program, Theorem
from slotlang.meaning.value import TensorForm

WORK = 1 << 23
"""Operations on numbers that all draws of a result take together, about, where they are not the fewest."""
DRAWING = 5
"""Operations that take as long as drawing a number."""
DRAWS = range(4, 1 << 10)
"""Fewest and most random data that a mean square is the mean over."""
KEPT = 1 << 20
"""Random numbers that are kept at once."""


@dataclass(frozen=True)
class _Draws(Operators):
    """Doubles for several draws of random data side by side. Of each, ``each`` elements of the result are evaluated;
    vectors hold those of the first draw, then those of the next, as often as a sum has terms side by side."""

    program: Program
    data: DataPowers
    tensors: Mapping[str, Floats]
    count: int
    each: int

    def const(self, re: Fraction, im: Fraction) -> Any:
        assert not im, "a theorem is real"
        return np.float64(re)

    def scalar(self, name: str) -> Any:
        return self.data.scalar(name)

    def _draws(self, flat: Slots) -> Slots:
        return np.arange(len(flat)) % (self.count * self.each) // self.each

    def gather(self, tensor: str, flat: Slots) -> Any:
        values = self.tensors[tensor]
        return (
            values.reshape(-1)[flat] if len(values) == 1 else values.reshape(len(values), -1)[self._draws(flat), flat]
        )

    def element(self, form: TensorForm, flat: Slots) -> Any:
        total: Any = 0.0
        for chain in form.chains:
            value: Any = None
            for factor in reversed(chain.factors):
                matrix = self.tensors[factor.tensor]
                matrix = matrix[..., None] if matrix.ndim == 2 else matrix
                matrix = matrix.swapaxes(1, 2) if factor.transposed else matrix
                value = matrix if value is None else matrix @ value
            number = float(chain.coefficient) * prod(self.data.scalar(name) for name in chain.scalars)
            total = total + number * value
        values = np.asarray(total).reshape(len(total), -1)
        return values[0, flat] if len(values) == 1 else values[self._draws(flat), flat]

    def conj(self, a: Any) -> Any:
        return a

    def masked(self, a: Any, mask: npt.NDArray[np.bool_]) -> Any:
        return np.where(mask, a, 0.0)


def sampled_size(program: Program, theorem: Theorem, data: DataPowers) -> float:
    """The mean square of an element of a result, at random elements and for random values of what is not given, less
    the standard error of that mean: predictions are relative to it and must not be too small.

    Elements of one draw depend on each other. ``x[i] - sum(x)`` is about the same number for each i, which no number of
    elements tells the mean square of, so there are as many draws as the work allows. For v the variance between draws,
    w that within one, D draws of E elements have the error ``sqrt((v + w/E) / D)``. With c operations for a draw and e
    for an element, v = w has the least error for the work at E = sqrt(c/e).
    """
    rng = np.random.default_rng(SEED)
    count = prod(theorem.shape)
    given = {
        name: _given(program, name, data) for name in program.tensors if name in data.weights or name in data.inputs
    }
    drawn = [name for name in program.tensors if name not in given]
    of_element = Evaluations(program).of(theorem.value)

    def squares(tensors: Mapping[str, Floats], flat: Slots, draws: int) -> Floats:
        ring = _Draws(program, data, tensors, draws, len(flat) // draws)
        values = TermsTogether(program, ring).value(theorem.value, theorem.at(flat), flat)
        means: Floats = np.mean(np.broadcast_to(values, flat.shape).reshape(draws, -1) ** 2, axis=1)
        return means

    if not drawn and count * of_element <= WORK:
        return float(squares(given, np.arange(count), 1)[0])
    size = sum(prod(program.tensors[name].shape) for name in drawn)
    products, largest = _products(program, theorem)
    of_draw = DRAWING * size + products
    each = min(max(round(sqrt(of_draw / of_element)), 1), count)
    draws = min(max(WORK // (of_draw + each * of_element), DRAWS.start), DRAWS.stop)
    found: list[Floats] = []
    for first in range(0, draws, most := max(1, KEPT // max(size, largest, each))):
        together = min(most, draws - first)
        tensors = {name: drawn_tensor(program, name, data, rng, together, whole=True) for name in drawn}
        flat = np.tile(np.arange(count), together) if each == count else rng.integers(0, count, together * each)
        found.append(squares({**given, **tensors}, flat, together))
    means = np.concatenate(found)
    return float(np.mean(means) - np.std(means, ddof=1) / sqrt(draws))


def _products(program: Program, theorem: Theorem) -> tuple[int, int]:
    """Operations that multiplying out the tensor expressions of a result takes, and the elements of the largest."""
    work, largest = 0, 0
    for form in forms_of(program, theorem.value):
        largest = max(largest, prod(form.shape))
        for chain in form.chains:
            shapes = [program.tensors[f.tensor].shape[:: -1 if f.transposed else 1] for f in chain.factors]
            columns = shapes[-1][1] if len(shapes[-1]) > 1 else 1
            work += sum(prod(shape) for shape in shapes[:-1]) * columns
    return work, largest


def _given(program: Program, name: str, data: DataPowers) -> Floats:
    """A tensor that is given, as the only draw. Axes of inputs but the first may be longer or shorter."""
    shape = program.tensors[name].shape
    if name in data.weights:
        return np.asarray(data.weights[name], np.float64).reshape(1, *shape)
    sample = np.asarray(data.inputs[name], np.float64).reshape(shape[0], -1)
    return sample[:, np.arange(prod(shape) // shape[0]) % sample.shape[1]].reshape(1, *shape)
