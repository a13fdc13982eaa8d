"""What an operation of a schedule computes, as a shape that all members share and the indices that tell them apart.

The graph has one node for equal operations. Two members of an operation are one node exactly where their indices agree,
and two operations can only meet in a node where their shapes agree, or would if some sum had a single term.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sympy

from slotlang.cost.symbolic.sizes import Decisions, NoFormula, plain
from slotlang.cost.symbolic.steps import ONE, ZERO, difference
from slotlang.meaning.integers import Cond, Int, IntConst, IntVar, add, mul, neg, parts, substitute, variables
from slotlang.schedule import ops
from slotlang.source import Span

Box = tuple[ops.Loop, ...]


@dataclass(frozen=True)
class Coordinate:
    """An index that members differ by; ``modular``: a rotation, which counts modulo slots."""

    index: Int
    modular: bool = False

    def at(self, env: dict[str, Int]) -> Coordinate:
        """With variables replaced."""
        return Coordinate(substitute(self.index, env.get), self.modular)


@dataclass(frozen=True)
class Value:
    """A shape, by its number, and the indices."""

    shape: int
    coordinates: tuple[Coordinate, ...] = ()

    def at(self, env: dict[str, Int]) -> Value:
        """With variables replaced."""
        return Value(self.shape, tuple(c.at(env) for c in self.coordinates))

    def variables(self) -> frozenset[str]:
        """Loop variables that members differ by, those that sums inside run over left out."""
        found = frozenset[str]().union(*(variables(c.index) for c in self.coordinates))
        return frozenset(v for v in found if not v.startswith("#"))


@dataclass(frozen=True)
class Layer:
    """A shape: its kind with what belongs to it, the shape inside it, and, where it may be no operation at all, the
    number of terms (or the amount) that tells."""

    key: tuple[Hashable, ...]
    inner: int | None = None
    terms: Int | None = None


class Shapes:
    """Every shape once, by number."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []
        self._numbers: dict[tuple[Hashable, ...], int] = {}

    def number(self, key: tuple[Hashable, ...], inner: int | None = None, terms: Int | None = None) -> int:
        """The number of a shape. ``inner`` only where the operation may turn out to be none."""
        known = self._numbers.get(key)
        if known is None:
            known = self._numbers[key] = len(self.layers)
            self.layers.append(Layer(key, inner, terms))
        return known

    def through(self, shape: int) -> Iterator[int]:
        """The shape, and what it is where operations on its outside are none."""
        at: int | None = shape
        while at is not None:
            yield at
            at = self.layers[at].inner

    def may_meet(self, a: int, b: int) -> bool:
        """Whether values of two shapes could be one node at some sizes."""
        return not set(self.through(a)).isdisjoint(self.through(b))


def canonical(coordinates: Sequence[Coordinate], box: Box) -> tuple[object, ...]:
    """Indices and the extents of their variables, by other names: equal for what runs over the same members."""
    names: dict[str, Int] = {}
    extents: list[Int] = []
    by_name = {loop.var: loop for loop in box}
    found = []
    for c in coordinates:
        for var in sorted(variables(c.index), key=lambda v: _position(c.index, v)):
            if var in by_name and var not in names:
                names[var] = IntVar(f"@{len(names)}")
                extents.append(plain(extent(by_name[var])))
        found.append(Coordinate(plain(substitute(c.index, names.get)), c.modular))
    return tuple(found), tuple(extents)


def _position(e: Int, var: str) -> int:
    """Where a variable first occurs."""
    order: list[str] = []

    def visit(part: Int | Cond) -> None:
        if isinstance(part, IntVar):
            order.append(part.name)
        for inner in parts(part):
            visit(inner)

    visit(e)
    return order.index(var)


def extent(loop: ops.Loop) -> Int:
    """The size of a loop as its schedule knows it."""
    return IntConst(loop.size) if loop.extent is None else loop.extent


@dataclass(frozen=True)
class Linear:
    """``base`` plus the sum of each variable times its factor, the largest factor first."""

    base: Int
    parts: tuple[tuple[ops.Loop, Int], ...]


def linear(e: Int, loops: Sequence[ops.Loop], decisions: Decisions) -> Linear | None:
    """An index as a linear expression in some loops' variables; None where it is not one."""
    rest, parts = e, []
    for loop in loops:
        split = ops.linear(rest, loop.var)
        if split is None:
            return None
        factor, rest = split
        parts.append((loop, factor))
    parts.sort(key=lambda part: -abs(decisions.value(part[1])))
    return Linear(rest, tuple(parts))


def members(value: Value, box: Box, decisions: Decisions, slots: Int, span: Span) -> tuple[ops.Loop, ...]:
    """The loops whose product is the number of different members. Raises ``NoFormula`` where members that differ in a
    variable may be the same."""
    by_name = {loop.var: loop for loop in box}
    wanted = {v for v in value.variables() if v in by_name}
    unknown = set(wanted)
    more = True
    while unknown and more:
        more = False
        for c in value.coordinates:
            open_ = [by_name[v] for v in sorted(variables(c.index) & unknown)]
            if open_ and _apart(c, open_, decisions, slots):
                unknown -= {loop.var for loop in open_}
                more = True
    if unknown:
        raise NoFormula(f"members that differ in '{min(unknown)}' may be the same vector", span)
    return tuple(loop for loop in box if loop.var in wanted)


def _apart(c: Coordinate, loops: Sequence[ops.Loop], decisions: Decisions, slots: Int) -> bool:
    """Whether an index differs for all values of some variables, the others fixed."""
    found = linear(c.index, loops, decisions)
    if found is None or variables(found.base) & {loop.var for loop in loops}:
        return False
    trial = decisions.branch()
    reach: Int = ZERO
    for loop, factor in reversed(found.parts):
        size = factor if decisions.value(factor) >= 0 else neg(factor)
        # each factor exceeds all that the smaller ones add up to
        if decisions.value(size) <= decisions.value(reach):
            return False
        trial.compare(plain(reach), "<", plain(size))
        reach = add(reach, mul(size, difference(extent(loop), ONE)))
    if c.modular:
        if decisions.value(reach) >= decisions.value(slots):
            return False
        trial.compare(plain(reach), "<", slots)
    decisions.conditions.update(trial.conditions)
    return True


def product(loops: Sequence[ops.Loop], decisions: Decisions) -> Any:
    """The product of the sizes of some loops."""
    result = sympy.Integer(1)
    for loop in loops:
        result *= decisions.expr(extent(loop))
    return result
