"""Index expressions and conditions as isl sets over a named box of integer points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any, assert_never

import islpy as isl
import numpy as np
import numpy.typing as npt

from slotlang.meaning.integers import (
    SLOT,
    And,
    Cmp,
    Cond,
    Int,
    IntCall,
    IntConst,
    IntIf,
    IntOp,
    IntSize,
    IntVar,
    Not,
    Or,
    bounds,
    evaluate,
)
from slotlang.meaning.program import Program
from slotlang.refusals import GaveUp


class Box:
    """The integer points ``0 <= v_i < extent_i``, with the slot given by the digits of one axes system.

    The dimensions are, in order, ``free`` (family indices), the digits of the program's first axes
    system (or ``slot`` itself when there is none), and ``bound``.
    """

    def __init__(
        self,
        program: Program,
        context: isl.Context,
        free: Sequence[tuple[str, int]],
        bound: Sequence[tuple[str, int]],
        with_slot: bool = True,
    ) -> None:
        self.program = program
        self.sizes: Mapping[str, int] = program.sizes
        digits: list[tuple[str, int]] = []
        if with_slot:
            if program.axes:
                digits = [(name, program.digits[name].size) for name in program.axes[0]]
            else:
                digits = [(SLOT, program.slots)]
        self.fixed = [*free, *digits]
        self.dims = [*self.fixed, *bound]
        self.space = self._space(context)
        self._local = isl.LocalSpace.from_space(self.space)
        self._affs: dict[Int, isl.PwAff] = {}
        for position, (name, _) in enumerate(self.dims):
            self._affs[IntVar(name)] = isl.PwAff.from_aff(
                isl.Aff.var_on_domain(self._local, isl.dim_type.set, position)
            )
        if with_slot and program.axes:
            slot: Int = IntConst(0)
            for name in program.axes[0]:
                slot = IntOp("+", IntOp("*", slot, program.digits[name].extent), IntVar(name))
            self._affs[IntVar(SLOT)] = self.aff(slot)
        self._bounds = self._box()

    def _box(self) -> isl.Set:
        result = isl.Set.universe(self.space)
        for name, extent in self.dims:
            v = self._affs[IntVar(name)]
            result = result & v.ge_set(self._constant(0)) & v.lt_set(self._extent(name, extent))
        return result

    def _space(self, context: isl.Context) -> isl.Space:
        return isl.Space.set_alloc(context, 0, len(self.dims))

    def _extent(self, name: str, extent: int) -> isl.PwAff:
        return self._constant(extent)

    def _size(self, name: str) -> isl.PwAff:
        return self._constant(self.sizes[name])

    def _constant(self, value: int) -> isl.PwAff:
        return isl.PwAff.from_aff(isl.Aff.val_on_domain(self._local, isl.Val.int_from_si(self._local.get_ctx(), value)))

    def aff(self, e: Int) -> isl.PwAff:
        """The expression as a piecewise quasi-affine function of the box. Raises ``GaveUp``."""
        aff = self._affs.get(e)
        if aff is None:
            aff = self._affs[e] = self._aff(e)
        return aff

    def _aff(self, e: Int) -> isl.PwAff:
        match e:
            case IntConst(value):
                return self._constant(value)
            case IntSize(name):
                return self._size(name)
            case IntVar(name):
                digit = self.program.digits.get(name)
                if digit is None:
                    raise GaveUp(f"'{name}' is not in scope")
                return self.aff(digit.of(IntVar(SLOT)))
            case IntOp(op, a, b):
                if op == "+":
                    return self.aff(a).add(self.aff(b))
                if op == "-":
                    return self.aff(a).sub(self.aff(b))
                left, right = self._number(a), self._number(b)
                if op == "*":
                    if right is not None:
                        return self.aff(a).scale_val(right)
                    if left is not None:
                        return self.aff(b).scale_val(left)
                    raise GaveUp("a product of two variables")
                if right is None:
                    raise GaveUp("a division by a variable")
                if op == "//":
                    return self.aff(a).scale_down_val(right).floor()
                return self.aff(a).mod_val(right)
            case IntCall(name, args):
                number = self._number(e)
                return self._call(name, args) if number is None else self._constant(whole_number(number))
            case IntIf(cond, yes, no):
                here = self.where(cond)
                chosen = self.aff(yes).intersect_domain(here)
                return chosen.union_add(self.aff(no).intersect_domain(here.complement()))
            case _:
                assert_never(e)

    def _call(self, name: str, args: tuple[Int, ...]) -> isl.PwAff:
        match name:
            case "min":
                return reduce(isl.PwAff.min, map(self.aff, args))
            case "max":
                return reduce(isl.PwAff.max, map(self.aff, args))
            case "^":
                # a bit of it is the sum of the two bits, modulo 2
                low = self._constant(0)
                for bit in range(max(self._greatest(a) for a in args).bit_length()):
                    power = self._value(1 << bit)
                    bits = [self.aff(a).scale_down_val(power).floor() for a in args]
                    low = low.add(bits[0].add(bits[1]).mod_val(self._value(2)).scale_val(power))
                return low
            case _:
                raise GaveUp("a power with a variable in it")

    def _greatest(self, e: Int) -> int:
        """A number that no value of ``e`` in the box is beyond."""
        ranges = {**self.program.slot_extents(), **dict(self.dims)}
        return max(bounds(e, self.sizes, ranges)[1], 0)

    def _value(self, value: int) -> isl.Val:
        return isl.Val.int_from_si(self._local.get_ctx(), value)

    def _number(self, e: Int) -> Any:
        try:
            value = int(evaluate(e, self.sizes, {}))
        except KeyError:
            return None
        return isl.Val.int_from_si(self._local.get_ctx(), value)

    def where(self, cond: Cond) -> isl.Set:
        """The points of the whole space at which the condition holds."""
        match cond:
            case Cmp(op, a, b):
                x, y = self.aff(a), self.aff(b)
                if op == "==":
                    return x.eq_set(y)
                if op == "!=":
                    return x.ne_set(y)
                if op == "<":
                    return x.lt_set(y)
                if op == "<=":
                    return x.le_set(y)
                return x.gt_set(y) if op == ">" else x.ge_set(y)
            case And(parts):
                result = isl.Set.universe(self.space)
                for part in parts:
                    result = result & self.where(part)
                return result
            case Or(parts):
                result = isl.Set.empty(self.space)
                for part in parts:
                    result = result | self.where(part)
                return result
            case Not(part):
                return self.where(part).complement()
            case _:
                assert_never(cond)

    def points(self, conds: Sequence[Cond]) -> isl.Set:
        """The points of the box at which every condition holds."""
        result = self._bounds
        for cond in conds:
            result = result & self.where(cond)
        return result

    def map(self, conds: Sequence[Cond], targets: Sequence[Int]) -> isl.Map:
        """The map from points that satisfy ``conds`` to (fixed dimensions, then ``targets``)."""
        outputs = [IntVar(name) for name, _ in self.fixed]
        result: isl.Map | None = None
        for target in [*outputs, *targets]:
            part = isl.Map.from_pw_aff(self.aff(target))
            result = part if result is None else result.flat_range_product(part)
        points = self.points(conds)
        if result is None:
            return isl.Map.from_domain_and_range(points, isl.Set.universe(isl.Space.set_alloc(points.get_ctx(), 0, 0)))
        return result.intersect_domain(points)


def whole_number(value: isl.Val) -> int:
    """A whole number of isl's. Raises isl.Error where isl has none to give, as its operations have run out."""
    try:
        found: int = value.to_python()
    except TypeError:
        raise isl.Error("isl has no number to give") from None
    return found


def coordinates(point: isl.Point, count: int) -> list[int]:
    """The first ``count`` coordinates of a point of a set."""
    return [whole_number(point.get_coordinate_val(isl.dim_type.set, i)) for i in range(count)]


def members(points: isl.Set, coordinates: Sequence[npt.NDArray[np.int64]]) -> npt.NDArray[np.bool_]:
    """Which points lie in a set: an array of the points' values for each of its dimensions. The constraints are
    evaluated on whole arrays, with what isl divides by written out."""
    inside = np.zeros(np.broadcast_shapes(*(c.shape for c in coordinates)), bool)
    for basic in points.compute_divs().get_basic_sets():
        values = list(coordinates)
        for n in range(basic.dim(isl.dim_type.div)):
            quotient = basic.get_div(n)
            denominator = whole_number(quotient.get_denominator_val())
            # coefficients of an affine expression are fractions of its denominator
            total = _affine(quotient.scale_val(quotient.get_denominator_val()), isl.dim_type.in_, values)
            values.append(total // denominator)
        here = np.ones_like(inside)
        for constraint in basic.get_constraints():
            total = _affine(constraint, isl.dim_type.set, values)
            here &= total == 0 if constraint.is_equality() else total >= 0
        inside |= here
    return inside


def _affine(form: isl.Aff | isl.Constraint, kind: isl.dim_type, values: Sequence[Any]) -> Any:
    """An affine form over the dimensions and the quotients that isl has defined so far."""
    total: Any = whole_number(form.get_constant_val())
    dims = form.dim(kind)
    for n, value in enumerate(values):
        place = (kind, n) if n < dims else (isl.dim_type.div, n - dims)
        factor = whole_number(form.get_coefficient_val(*place))
        if factor:
            total = total + factor * value
    return total
