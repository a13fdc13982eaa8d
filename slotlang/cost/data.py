"""What is known of the data that errors are predicted for: weights and scalars, and a sample of the inputs.

What is not given is as ``random_data`` of the runner makes it: inputs are standard normal, weights normal with a
variance of one over their last dimension, scalars 1; all as large as their bounds allow where these exclude that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import sqrt
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang.meaning.program import Bound, Program
from slotlang.meaning.value import Chain, TensorForm
from slotlang.proof.field import pattern_mask
from slotlang_runtime.module import root_mean_square

Floats: TypeAlias = npt.NDArray[np.float64]

Assumed: TypeAlias = Literal["unit", "bounds", "weights", "weights and bounds", "weights and inputs"]
"""What a prediction is about: data of unit variance, these weights with inputs of unit variance, or these weights and
inputs; where bounds exclude unit variance, data as large as they allow."""

SEED = 7
"""Of random data."""


def assumed_text(assumed: Assumed) -> str:
    """As it is said wherever a promise is shown."""
    return {
        "unit": "for inputs of variance 1 and weights of variance 1/(last size)",
        "bounds": "for inputs and weights as large as their bounds allow, at most of unit variance",
        "weights": "for these weights and inputs of unit variance",
        "weights and bounds": "for these weights and inputs as large as their bounds allow, at most of unit variance",
        "weights and inputs": "for these weights and inputs",
    }[assumed]


@dataclass(frozen=True, eq=False)
class DataPowers:
    """``weights``: weights and scalars by name. ``inputs``: samples by name; the first axis is the input's, and others
    may be longer or shorter, as of all tokens of a file. ``signals``: mean squares of results, where they are not those
    of the weights: the program is a part of another one. ``squares``: mean squares of elements, and squares of scalars,
    of what is not given and can't have unit variance within its bounds (``within_bounds``)."""

    weights: Mapping[str, Floats] = field(default_factory=dict, repr=False)
    inputs: Mapping[str, Floats] = field(default_factory=dict, repr=False)
    signals: Mapping[str, float] = field(default_factory=dict)
    squares: Mapping[str, float] = field(default_factory=dict)

    @property
    def drawn(self) -> bool:
        """Whether nothing is given: all elements of a tensor are alike."""
        return self is UNIT or (bool(self.squares) and not self.weights and not self.inputs)

    @property
    def assumed(self) -> Assumed:
        """What is known."""
        if self.drawn:
            return "bounds" if self.squares else "unit"
        if self.inputs:
            return "weights and inputs"
        return "weights and bounds" if self.squares else "weights"

    @cached_property
    def channels(self) -> Mapping[str, Floats]:
        """For each given input, the mean square of each channel: the mean over all axes but the first."""
        return {
            name: np.mean(np.asarray(values, np.float64).reshape(len(values), -1) ** 2, axis=1)
            for name, values in self.inputs.items()
            if np.ndim(values)
        }

    def of_unit_inputs(self) -> DataPowers:
        """The same without the inputs, and without bounds."""
        if self.drawn:
            return UNIT
        return DataPowers(self.weights) if self.inputs or self.squares else self

    def scalar(self, name: str) -> float:
        """The value of a scalar; where it is not given 1, or the largest within its bounds."""
        if name in self.weights:
            return float(self.weights[name])
        return sqrt(self.squares.get(name, 1.0))


UNIT = DataPowers()
"""Nothing is known."""


class Moments(NamedTuple):
    """Means and variances of the elements of a tensor expression, as matrices; one number where all are equal."""

    mean: Floats
    variance: Floats

    def times(self, other: Moments) -> Moments:
        """The product of matrices whose elements are independent."""
        mean = self.mean @ other.mean
        if not self.variance.any() and not other.variance.any():
            return Moments(mean, np.zeros((1, 1)))
        squares = (self.variance + self.mean**2) @ (other.variance + other.mean**2)
        return Moments(mean, np.maximum(squares - self.mean**2 @ other.mean**2, 0.0))


def unit_variance(program: Program, name: str) -> float:
    """What is called unit variance of a tensor's element that may be nonzero, and the square of a scalar."""
    decl = program.tensors.get(name)
    return 1.0 if decl is None or decl.kind == "input" else 1.0 / decl.shape[-1]


def checked_bounds(program: Program) -> list[Bound]:
    """The bounds as they are checked. Clients take norms of inputs along their first dimension alone: any other norm is
    a bound on each element to them, and data of unit variance within that are taken (``planning.limits``)."""
    return [
        replace(bound, kind="entry", axis=None)
        if bound.axis and bound.name in program.tensors and program.tensors[bound.name].kind == "input"
        else bound
        for bound in program.bounds
    ]


def within_bounds(program: Program, data: DataPowers) -> DataPowers:
    """The data with ``squares`` of what is not given, where bounds exclude its unit variance: the largest mean squares
    that all of them allow."""
    squares: dict[str, float] = {}
    for bound in checked_bounds(program):
        name = bound.name
        if name in data.weights or name in data.inputs:
            continue
        most = float(bound.limit) ** 2
        if bound.kind == "norm" and bound.axis is not None:
            mask = pattern_mask(program, name)
            # of elements that may be nonzero, in the line that has most of them
            shape = program.tensors[name].shape
            length = shape[bound.axis] if mask is None else mask.reshape(shape).sum(axis=bound.axis).max(initial=0)
            most /= max(int(length), 1)
        if most < squares.get(name, unit_variance(program, name)):
            squares[name] = most
    return replace(data, squares=squares) if squares else data


def tensor_variance(program: Program, tensor: str, data: DataPowers = UNIT) -> float:
    """Variance of an element of a tensor that is not given; of one that may be nonzero, where a pattern is declared."""
    return data.squares[tensor] if tensor in data.squares else unit_variance(program, tensor)


def given_sizes(program: Program, data: DataPowers) -> dict[str, float]:
    """The rms of the elements that may be nonzero, of all inputs, weights and scalars that are given."""
    sizes = {}
    for name, values in (*data.inputs.items(), *data.weights.items()):
        mask = pattern_mask(program, name) if name in program.tensors else None
        array = np.asarray(values, np.float64)
        sizes[name] = root_mean_square(array if mask is None else array.ravel()[np.asarray(mask, bool).ravel()])
    return sizes


def form_variance(program: Program, form: TensorForm, data: DataPowers = UNIT) -> float:
    """Variance of an element of a tensor expression of which no tensor is given, the mean over all of them."""
    total = 0.0
    for chain in form.chains:
        variance = coefficient(chain, data) ** 2
        for place, factor in enumerate(chain.factors):
            shape = program.tensors[factor.tensor].shape
            mask = pattern_mask(program, factor.tensor)
            variance *= tensor_variance(program, factor.tensor, data) * (1.0 if mask is None else float(mask.mean()))
            # every factor but the first is summed over its rows
            if place:
                variance *= shape[-1] if factor.transposed else shape[0]
        total += variance
    return total


def tensor_moments(program: Program, tensor: str, data: DataPowers) -> Moments:
    """Means and variances of the elements of a declared tensor, as a matrix; a vector is a column."""
    shape = program.tensors[tensor].shape
    matrix = (shape[0], shape[1] if len(shape) == 2 else 1) if shape else (1, 1)
    if tensor in data.weights:
        return Moments(np.asarray(data.weights[tensor], np.float64).reshape(matrix), np.zeros(matrix))
    if tensor in data.channels:
        return Moments(np.zeros(matrix), np.broadcast_to(data.channels[tensor][:, None], matrix))
    mask = pattern_mask(program, tensor)
    variance = np.full(matrix, tensor_variance(program, tensor, data))
    return Moments(np.zeros(matrix), variance if mask is None else variance * mask.reshape(matrix))


def form_moments(program: Program, form: TensorForm, data: DataPowers) -> Moments:
    """Means and variances of the elements of a tensor expression: sums and products of independent ones."""
    mean, variance = np.zeros((1, 1)), np.zeros((1, 1))
    for chain in form.chains:
        found: Moments | None = None
        for factor in chain.factors:
            part = tensor_moments(program, factor.tensor, data)
            part = Moments(part.mean.T, part.variance.T) if factor.transposed else part
            found = part if found is None else found.times(part)
        assert found is not None, "a chain has a factor"
        times = coefficient(chain, data)
        mean, variance = mean + times * found.mean, variance + times**2 * found.variance
    return Moments(mean, variance)


def drawn_tensor(
    program: Program, name: str, data: DataPowers, rng: np.random.Generator, count: int, *, whole: bool = False
) -> Floats:
    """Samples of a tensor whose elements are not given, the first axis theirs: normal, elements cut off at their bound
    and lines scaled down to bounds of their norms. Or the ``whole`` of each sample is scaled down to these, as the
    random data of a run is."""
    shape = program.tensors[name].shape
    if name in data.channels:
        channels = np.sqrt(data.channels[name]).reshape(-1, *[1] * (len(shape) - 1))
        return rng.standard_normal((count, *shape)) * channels
    elementwise = any((bound.name, bound.kind) == (name, "entry") for bound in checked_bounds(program))
    deviation = sqrt(unit_variance(program, name) if elementwise else tensor_variance(program, name, data))
    mask = pattern_mask(program, name)
    drawn = rng.standard_normal((count, *shape)) * (deviation if mask is None else deviation * mask.reshape(shape))
    for bound in checked_bounds(program):
        if bound.name == name:
            times = np.maximum(_sizes(drawn, bound) / float(bound.limit), 1.0)
            scaled = whole and bound.kind == "norm"
            drawn = drawn / (times.max(axis=tuple(range(1, drawn.ndim)), keepdims=True) if scaled else times)
    return drawn


def _sizes(values: Floats, bound: Bound) -> Floats:
    """The sizes of a tensor's samples that a bound is about."""
    if bound.kind == "entry":
        return np.abs(values)
    assert bound.axis is not None, "a norm is along an axis"
    norms: Floats = np.sqrt(np.sum(values**2, axis=1 + bound.axis, keepdims=True))
    return norms


def coefficient(chain: Chain, data: DataPowers) -> float:
    """The number that a chain is multiplied with: its own, times its scalars."""
    number = float(chain.coefficient)
    for scalar in chain.scalars:
        number *= data.scalar(scalar)
    return number
