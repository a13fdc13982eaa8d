"""Mean squares of what vectors hold, slot by slot, for data as ``random_data`` of the runner makes it.

Inputs are standard normal, weights normal with a variance of one over their last dimension, scalars 1, all of them
independent. A vector is an array of four rows over slots (or one column, when all slots are alike): mean of the real
and of the imaginary part, variance of the real and of the imaginary part.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang.graph.ring import PlainEvaluator, plain_vector
from slotlang.meaning.program import Family, Program
from slotlang.meaning.value import TensorForm
from slotlang.proof.field import pattern_mask
from slotlang.schedule.ops import PlainFamily, Schedule

Power: TypeAlias = npt.NDArray[np.float64]
"""Mean squares of real and imaginary part: two rows, a column for each slot or one for all."""

Moments: TypeAlias = npt.NDArray[np.float64]


class _Moments:
    """Means and variances as a ring. Products and sums take their operands to be independent."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._masks: dict[str, npt.NDArray[np.bool_] | None] = {}

    def const(self, re: Fraction, im: Fraction) -> Moments:
        return np.array([[float(re)], [float(im)], [0.0], [0.0]])

    def scalar(self, name: str) -> Moments:
        return self.const(Fraction(1), Fraction(0))

    def gather(self, tensor: str, flat: npt.NDArray[np.int64]) -> Moments:
        moments = self._real(tensor_variance(self.program, tensor))
        if tensor not in self._masks:
            self._masks[tensor] = pattern_mask(self.program, tensor)
        mask = self._masks[tensor]
        return moments if mask is None else self.masked(moments, mask[flat])

    def element(self, form: TensorForm, flat: npt.NDArray[np.int64]) -> Moments:
        return self._real(form_variance(self.program, form))

    def _real(self, variance: float) -> Moments:
        return np.array([[0.0], [0.0], [variance], [0.0]])

    def add(self, a: Moments, b: Moments) -> Moments:
        return a + b

    def sub(self, a: Moments, b: Moments) -> Moments:
        return np.concatenate(np.broadcast_arrays(a[:2] - b[:2], a[2:] + b[2:]))

    def mul(self, a: Moments, b: Moments) -> Moments:
        (ar, ai, var, vai), (br, bi, vbr, vbi) = a, b

        def variance(m: Power, v: Power, n: Power, w: Power) -> Power:
            return v * w + m * m * w + n * n * v

        re = variance(ar, var, br, vbr) + variance(ai, vai, bi, vbi)
        im = variance(ar, var, bi, vbi) + variance(ai, vai, br, vbr)
        return np.array(np.broadcast_arrays(ar * br - ai * bi, ar * bi + ai * br, re, im))

    def conj(self, a: Moments) -> Moments:
        return np.concatenate([a[:1], -a[1:2], a[2:]])

    def masked(self, a: Moments, mask: npt.NDArray[np.bool_]) -> Moments:
        return a if mask.all() else a * mask


def tensor_variance(program: Program, tensor: str) -> float:
    """Variance of an element of a tensor; of one that may be nonzero, where a pattern is declared."""
    decl = program.tensors[tensor]
    return 1.0 if decl.kind == "input" else 1.0 / decl.shape[-1]


def form_variance(program: Program, form: TensorForm) -> float:
    """Variance of an element of a tensor expression, the mean over all of them."""
    total = 0.0
    for chain in form.chains:
        variance = float(chain.coefficient) ** 2
        for place, factor in enumerate(chain.factors):
            shape = program.tensors[factor.tensor].shape
            mask = pattern_mask(program, factor.tensor)
            variance *= tensor_variance(program, factor.tensor) * (1.0 if mask is None else float(mask.mean()))
            # every factor but the first is summed over its rows
            if place:
                variance *= shape[-1] if factor.transposed else shape[0]
        total += variance
    return total


class Contents:
    """Mean squares of packed inputs and of plaintexts."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self._evaluator = PlainEvaluator(schedule.program, _Moments(schedule.program))

    def packed(self, family: Family, indices: tuple[int, ...]) -> Power:
        """Mean squares of a ciphertext that the client packs."""
        return self._power(self._evaluator.value(family.body, family.env(indices), self._evaluator.all_slots))

    def plain(self, family: PlainFamily, indices: tuple[int, ...]) -> Power:
        """Mean squares of a plaintext."""
        return self._power(self._moments(family, indices))

    def constant(self, family: PlainFamily) -> complex | None:
        """The number that every slot of every member holds whatever the weights; None where there is none."""
        if family.masks:
            return None
        moments = self._moments(family, tuple(0 for _ in family.loops))
        if moments.shape[1] > 1 or moments[2:].any():
            return None
        return complex(moments[0, 0], moments[1, 0])

    def _moments(self, family: PlainFamily, indices: tuple[int, ...]) -> Moments:
        moments: Moments = plain_vector(self.schedule, self._evaluator, family, indices)
        return moments

    def _power(self, moments: Moments) -> Power:
        return uniform(moments[:2] ** 2 + moments[2:])


def uniform(power: Power) -> Power:
    """One column when all are alike."""
    return power[:, :1] if power.shape[1] > 1 and bool((power == power[:, :1]).all()) else power
