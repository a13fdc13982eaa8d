"""How large the results of a program are, for what is known of the data."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from slotlang.cost.data import DataPowers, Floats, coefficient, form_moments, form_variance, tensor_moments
from slotlang.cost.sampled_sizes import sampled_size
from slotlang.meaning.program import Program
from slotlang.meaning.value import Factor, TensorForm
from slotlang_runtime.magnitudes import row_norms

BLOCK = 1 << 22
"""Elements of a product of weights that are worked out at once."""


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
        return Size(sampled_size(program, program.theorems[name], data) if own is None else own, None)
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
        total += coefficient(chain, data) * value
    return total


def _row_squares(program: Program, form: TensorForm, name: str, data: DataPowers) -> Floats:
    """For each row of the matrix that the input is multiplied with, the sum of the squares of its elements."""
    if len(form.chains) == 1:
        (chain,) = form.chains
        rows = row_norms([_matrix(program, factor, data) for factor in chain.factors[:-1]])
        return (coefficient(chain, data) * np.broadcast_to(rows, form.shape[:1])) ** 2
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
            total += coefficient(chain, data) * rows
        squares.append((total**2).sum(axis=1))
    return np.concatenate(squares)
