"""What is known of the data that errors are predicted for: weights and scalars, and a sample of the inputs.

What is not given is as ``random_data`` of the runner makes it: inputs are standard normal, weights normal with a
variance of one over their last dimension, scalars 1; all as large as their bounds allow where these exclude that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod, sqrt
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang.graph.numbers import elements
from slotlang.graph.ring import evaluations
from slotlang.meaning.program import Bound, Program, Theorem
from slotlang.meaning.value import Chain, Factor, TensorForm
from slotlang.proof.field import pattern_mask
from slotlang_runtime.magnitudes import row_norms
from slotlang_runtime.module import root_mean_square

Floats: TypeAlias = npt.NDArray[np.float64]

Assumed: TypeAlias = Literal["unit", "bounds", "weights", "weights and bounds", "weights and inputs"]
"""What a prediction is about: data of unit variance, these weights with inputs of unit variance, or these weights and
inputs; where bounds exclude unit variance, data as large as they allow."""

BLOCK = 1 << 22
"""Elements of a product of weights that are worked out at once."""

SAMPLED = range(1 << 6, 1 << 12)
"""Elements of a result whose mean square is taken for that of all: few where each takes long."""
SAMPLING = 1 << 23
"""Operations on numbers that they take together, about, where they are not the fewest."""
MOST_DRAWS = 64
"""Most random data that a result's mean square is the mean over."""

SEED = 7
"""Of the values that are drawn for it."""


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


def within_bounds(program: Program, data: DataPowers) -> DataPowers:
    """The data with ``squares`` of what is not given, where bounds exclude its unit variance: the largest mean squares
    that all of them allow."""
    squares: dict[str, float] = {}
    for bound in program.bounds:
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
        variance = _number(chain, data) ** 2
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
        times = _number(chain, data)
        mean, variance = mean + times * found.mean, variance + times**2 * found.variance
    return Moments(mean, variance)


class Size(NamedTuple):
    """How large a result is: the mean square of its elements, and for inputs of unit variance, the largest mean square
    of one of them; None where the latter is not known."""

    mean_square: float
    largest: float | None


def result_size(program: Program, name: str, data: DataPowers) -> Size:
    """The size of a theorem's result, for what is known of the data.

    Where the result is linear in one input, the product of the weights is worked out: their rows may be aligned, and
    terms may cancel.
    """
    form = program.theorems[name].form
    own = data.signals.get(name)
    if form is None:
        return Size(_sampled(program, program.theorems[name], data) if own is None else own, None)
    if not data.weights and not data.inputs:
        return Size(form_variance(program, form, data) if own is None else own, None)
    if not data.weights:
        found = form_moments(program, form, data)
        return Size(own if own is not None else float(np.mean(found.mean**2 + found.variance)), None)
    if all(f.tensor in data.weights for chain in form.chains for f in chain.factors):
        value = float(np.mean(form_moments(program, form, data).mean ** 2))
        return Size(value if own is None else own, None)
    linear = _linear_input(program, form, data)
    if linear is None:
        given = all(
            f.tensor in data.weights
            or (f.tensor in data.inputs and np.shape(data.inputs[f.tensor]) == program.tensors[f.tensor].shape)
            for chain in form.chains
            for f in chain.factors
        )
        known = DataPowers({**data.weights, **data.inputs}, squares=data.squares) if given else data
        found = form_moments(program, form, known)
        return Size(own if own is not None else float(np.mean(found.mean**2 + found.variance)), None)
    squares = _row_squares(program, form, linear, data)
    largest = float(squares.max(initial=0.0))
    sample = data.inputs.get(linear)
    if sample is not None:
        applied = _applied(program, form, np.asarray(sample, np.float64).reshape(len(sample), -1), data)
        squares = np.mean(applied**2, axis=1)
        return Size(float(np.mean(squares)) if own is None else own, largest)
    smaller = data.squares.get(linear, 1.0)
    return Size(smaller * (float(np.mean(squares)) if own is None else own), largest)


def drawn_tensor(
    program: Program, name: str, data: DataPowers, rng: np.random.Generator, count: int, *, whole: bool = False
) -> Floats:
    """Samples of a tensor whose elements are not given, the first axis theirs: normal, and cut off at its bounds. Or
    the ``whole`` of each sample is scaled down to the bounds, as the random data of a run is."""
    shape = program.tensors[name].shape
    if name in data.channels:
        channels = np.sqrt(data.channels[name]).reshape(-1, *[1] * (len(shape) - 1))
        return rng.standard_normal((count, *shape)) * channels
    elementwise = any((bound.name, bound.kind) == (name, "entry") for bound in program.bounds)
    deviation = sqrt(unit_variance(program, name) if elementwise else tensor_variance(program, name, data))
    mask = pattern_mask(program, name)
    drawn = rng.standard_normal((count, *shape)) * (deviation if mask is None else deviation * mask.reshape(shape))
    for bound in program.bounds:
        if bound.name == name:
            times = np.maximum(_sizes(drawn, bound) / float(bound.limit), 1.0)
            drawn = drawn / (times.max(axis=tuple(range(1, drawn.ndim)), keepdims=True) if whole else times)
    return drawn


def _sizes(values: Floats, bound: Bound) -> Floats:
    """The sizes of a tensor's samples that a bound is about."""
    if bound.kind == "entry":
        return np.abs(values)
    assert bound.axis is not None, "a norm is along an axis"
    norms: Floats = np.sqrt(np.sum(values**2, axis=1 + bound.axis, keepdims=True))
    return norms


def _sampled(program: Program, theorem: Theorem, data: DataPowers) -> float:
    """The mean square of a result that is not a sum of products of matrices, at random elements and random values of
    what is not given."""
    rng = np.random.default_rng(SEED)
    count = prod(theorem.shape)
    most = min(max(SAMPLING // evaluations(program, theorem.value, {}), SAMPLED.start), SAMPLED.stop)
    # a result of few elements for several draws
    size = sum(prod(decl.shape) for decl in program.tensors.values())
    draws = max(1, min(most // count, MOST_DRAWS, SAMPLING // max(size, 1)))
    squares = []
    for _ in range(draws):
        values: dict[str, Any] = {name: data.scalar(name) for name in program.scalars}
        for name, decl in program.tensors.items():
            if name in data.weights:
                values[name] = np.asarray(data.weights[name], np.float64).reshape(decl.shape)
            elif name in data.inputs:
                # other axes than the first may be longer or shorter
                sample = np.asarray(data.inputs[name], np.float64).reshape(decl.shape[0], -1)
                columns = np.arange(prod(decl.shape) // decl.shape[0]) % sample.shape[1]
                values[name] = sample[:, columns].reshape(decl.shape)
            else:
                values[name] = drawn_tensor(program, name, data, rng, 1, whole=True)[0]
        flat = np.arange(count) if count <= most else rng.integers(0, count, most)
        squares.append(np.mean(elements(program, theorem, values, flat) ** 2))
    return float(np.mean(squares))


def _number(chain: Chain, data: DataPowers) -> float:
    number = float(chain.coefficient)
    for scalar in chain.scalars:
        number *= data.scalar(scalar)
    return number


def _linear_input(program: Program, form: TensorForm, data: DataPowers) -> str | None:
    """The input that every chain ends with, not transposed, behind nothing but known weights; None otherwise."""
    last = {chain.factors[-1] for chain in form.chains}
    if len(last) != 1:
        return None
    (factor,) = last
    if factor.transposed or program.tensors[factor.tensor].kind != "input":
        return None
    weights = (f for chain in form.chains for f in chain.factors[:-1])
    return factor.tensor if all(f.tensor in data.weights for f in weights) else None


def _matrix(program: Program, factor: Factor, data: DataPowers) -> Floats:
    values = tensor_moments(program, factor.tensor, data).mean
    return values.T if factor.transposed else values


def _applied(program: Program, form: TensorForm, sample: Floats, data: DataPowers) -> Floats:
    """The linear form of a sample: rows x tokens."""
    total = np.zeros((form.shape[0], sample.shape[1]))
    for chain in form.chains:
        value = sample
        for factor in reversed(chain.factors[:-1]):
            value = _matrix(program, factor, data) @ value
        total += _number(chain, data) * value
    return total


def _row_squares(program: Program, form: TensorForm, name: str, data: DataPowers) -> Floats:
    """For each row of the matrix that the input is multiplied with, the sum of the squares of its elements."""
    if len(form.chains) == 1:
        (chain,) = form.chains
        rows = row_norms([_matrix(program, factor, data) for factor in chain.factors[:-1]])
        return (_number(chain, data) * np.broadcast_to(rows, form.shape[:1])) ** 2
    count, width = form.shape[0], program.tensors[name].shape[0]
    step = max(1, BLOCK // width)
    squares = []
    for start in range(0, count, step):
        total = np.zeros((min(step, count - start), width))
        for chain in form.chains:
            if len(chain.factors) == 1:
                own = np.arange(len(total))
                rows = np.zeros_like(total)
                rows[own, own + start] = 1.0
            else:
                rows = _matrix(program, chain.factors[0], data)[start : start + step]
                for factor in chain.factors[1:-1]:
                    rows = rows @ _matrix(program, factor, data)
            total += _number(chain, data) * rows
        squares.append((total**2).sum(axis=1))
    return np.concatenate(squares)
