"""Mean squares of what vectors hold, slot by slot, for what is known of the data.

Weights that are given are constants. All other elements are independent, with the moments of ``data``. A vector is an
array of four rows over slots (or one column, when all slots are alike): mean of the real and of the imaginary part,
variance of the real and of the imaginary part.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang.cost.data import UNIT, DataPowers, form_moments, form_variance, tensor_variance
from slotlang.cost.data import Moments as Matrices
from slotlang.cost.moments import Sampled
from slotlang.cost.result_sizes import Size, result_size
from slotlang.graph.member_classes import Likeness
from slotlang.graph.ring import PlainEvaluator, plain_vector
from slotlang.meaning.program import Family, Output, Program
from slotlang.meaning.value import TensorForm
from slotlang.proof.field import pattern_mask
from slotlang.schedule.ops import PlainFamily, Schedule

if TYPE_CHECKING:
    from slotlang.cost.memory import Memory
    from slotlang.cost.slot_classes import SlotClasses

Power: TypeAlias = npt.NDArray[np.float64]
"""Mean squares of real and imaginary part: two rows, a column for each slot or one for all."""

Moments: TypeAlias = npt.NDArray[np.float64]

Slots: TypeAlias = npt.NDArray[np.bool_]


class _Moments:
    """Means and variances as a ring. Products and sums take their operands to be independent."""

    def __init__(self, program: Program, data: DataPowers = UNIT) -> None:
        self.program = program
        self.data = data
        self._masks: dict[str, npt.NDArray[np.bool_] | None] = {}
        self._forms: dict[TensorForm, Matrices] = {}

    def const(self, re: Fraction, im: Fraction) -> Moments:
        return np.array([[float(re)], [float(im)], [0.0], [0.0]])

    def scalar(self, name: str) -> Moments:
        if name in self.data.squares:
            # not the number at the bound, which may be a power of two, that nothing rounds
            return self._real(self.data.squares[name])
        return np.array([[self.data.scalar(name)], [0.0], [0.0], [0.0]])

    def gather(self, tensor: str, flat: npt.NDArray[np.int64]) -> Moments:
        if tensor in self.data.weights:
            return self._known(np.asarray(self.data.weights[tensor], np.float64).reshape(-1)[flat])
        if tensor in self.data.channels:
            channels = self.data.channels[tensor]
            elements = math.prod(self.program.tensors[tensor].shape)
            return self._real(channels[flat // (elements // len(channels))])
        moments = self._real(tensor_variance(self.program, tensor, self.data))
        if tensor not in self._masks:
            self._masks[tensor] = pattern_mask(self.program, tensor)
        mask = self._masks[tensor]
        return moments if mask is None else self.masked(moments, mask[flat])

    def element(self, form: TensorForm, flat: npt.NDArray[np.int64]) -> Moments:
        if self.data.drawn:
            return self._real(form_variance(self.program, form, self.data))
        if form not in self._forms:
            self._forms[form] = form_moments(self.program, form, self.data)
        mean, variance = (part.reshape(-1) for part in self._forms[form])
        known = self._known(mean[flat] if mean.size > 1 else mean)
        return known + self._real(variance[flat]) if variance.size > 1 else known

    def _known(self, values: npt.NDArray[np.float64]) -> Moments:
        return np.stack([values, *np.zeros((3, len(values)))])

    def _real(self, variance: float | npt.NDArray[np.float64]) -> Moments:
        row = np.atleast_1d(np.asarray(variance, np.float64))
        return np.stack([*np.zeros((2, len(row))), row, np.zeros(len(row))])

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


class Contents:
    """Mean squares of packed inputs and of plaintexts, for given data."""

    def __init__(self, schedule: Schedule, data: DataPowers = UNIT) -> None:
        self.schedule = schedule
        self.data = data
        self._evaluator = PlainEvaluator(schedule.program, _Moments(schedule.program, data))
        scalars = {name: data.weights[name] for name in schedule.program.scalars if name in data.weights}
        self.known: dict[tuple[object, ...], Power] = {}
        """Mean squares of members that were found before (``Members``)."""
        self.likeness: dict[str, Likeness] = {}
        """Which members of a family are alike, as far as it was asked (``Members``)."""
        self.memory: dict[object, Memory] = {}
        """What passes over graphs share, by how slots are told apart."""
        self.classes: dict[object, SlotClasses] = {}
        """Which slots are alike, by what graphs read."""
        self._read: dict[tuple[object, ...], tuple[Output, Slots]] = {}
        self.sampled = Sampled(schedule.program, data)
        """Totals of graphs whose ciphertext products share data."""
        self._fixed = PlainEvaluator(
            schedule.program, _Moments(schedule.program, DataPowers(scalars, squares=data.squares))
        )

    @cached_property
    def of_unit_inputs(self) -> Contents:
        """For inputs of unit variance, and without bounds."""
        data = self.data
        return Contents(self.schedule, data.of_unit_inputs()) if data.inputs or data.squares else self

    @cached_property
    def sizes(self) -> Mapping[str, Size]:
        """How large each result is."""
        program = self.schedule.program
        return {name: result_size(program, name, self.data) for name in program.theorems}

    def read_slots(self, output: Output, binders: Mapping[str, int]) -> Slots:
        """Which slots of an output's member carry an element, found once for all graphs of the program."""
        key = (id(output), *binders.items())
        if key not in self._read:
            # the output is kept, and so is its identity
            self._read[key] = output, self.schedule.program.read_slots(output, binders, self._slots)
        return self._read[key][1]

    @cached_property
    def _slots(self) -> Mapping[str, npt.NDArray[np.int64] | int]:
        program = self.schedule.program
        return program.slot_env(np.arange(program.slots))

    def packed(self, family: Family, indices: tuple[int, ...]) -> Power:
        """Mean squares of a ciphertext that the client packs."""
        return self._power(self._evaluator.value(family.body, family.env(indices), self._evaluator.all_slots))

    def plain(self, family: PlainFamily, indices: tuple[int, ...]) -> Power:
        """Mean squares of a plaintext."""
        return self._power(self._moments(self._evaluator, family, indices))

    def constant(self, family: PlainFamily) -> complex | None:
        """The number that every slot of every member holds whatever the weights are; None where there is none."""
        if family.masks:
            return None
        moments = self._moments(self._fixed, family, tuple(0 for _ in family.loops))
        if moments.shape[1] > 1 or moments[2:].any():
            return None
        return complex(moments[0, 0], moments[1, 0])

    def _moments(self, evaluator: PlainEvaluator, family: PlainFamily, indices: tuple[int, ...]) -> Moments:
        moments: Moments = plain_vector(self.schedule, evaluator, family, indices)
        return moments

    def _power(self, moments: Moments) -> Power:
        return uniform(moments[:2] ** 2 + moments[2:])


def uniform(power: Power) -> Power:
    """One column when all are alike."""
    return power[:, :1] if power.shape[1] > 1 and bool((power == power[:, :1]).all()) else power
