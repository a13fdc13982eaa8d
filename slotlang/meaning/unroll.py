"""Families and sums that are written out: their members or terms differ by more than their index.

A choice by a loop variable, an exponent made of one, and a member of a written-out family at an index with a loop
variable say so by ``Unroll``. What binds that variable catches it, and binds its body again at each of the variable's
values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import TypeVar

from slotlang.diagnostics import SlotError, error
from slotlang.meaning.integers import Int, IntVar, show, variables
from slotlang.meaning.program import Binder
from slotlang.meaning.scope import Local, Scope
from slotlang.source import Span

MAX_UNROLLED = 1 << 12
"""Most members or terms that one statement is written out to."""

T = TypeVar("T")

BRANCH = "which branch is taken"


class Unroll(Exception):
    """An expression is bound only where these loop variables have values; ``what`` depends on them."""

    def __init__(self, names: frozenset[str], span: Span, what: str = BRANCH) -> None:
        super().__init__(", ".join(sorted(names)))
        self.names, self.span, self.what = names, span, what


@dataclass
class Split:
    """A family that is written out: its members at values of some indices are families of their own.

    ``positions`` are those of the indices with values; ``point`` their values in the member that is being defined, None
    when all are.
    """

    name: str
    binders: tuple[Binder, ...]
    positions: tuple[int, ...] = ()
    point: tuple[int, ...] | None = ()

    def member(self, values: Sequence[int]) -> str:
        """The name of a member, ``S[2]``, or of a family of members, ``S[2, :]``."""
        known = dict(zip(self.positions, values, strict=True))
        return f"{self.name}[{', '.join(str(known.get(p, ':')) for p in range(len(self.binders)))}]"

    def values(self, scope: Scope, places: Sequence[Int], span: Span) -> tuple[int, ...]:
        """The values of the indices that have one, in a mention of the family. Raises ``Unroll``."""
        indices = [places[p] for p in self.positions]
        used = frozenset[str]().union(*map(variables, indices))
        if used:
            raise Unroll(used, span)
        return tuple(map(scope.value, indices))

    def earlier(self, scope: Scope, places: Sequence[Int], span: Span) -> tuple[int, ...]:
        """``values`` in the family's own definition, of a member that stands before the one defined. Raises ``Unroll``
        where more indices need values, SL241 where the recursion does not go down."""
        values = self.values(scope, places, span)
        assert self.point is not None
        if self.positions and values < self.point:
            return values
        more = [p for p, b in enumerate(self.binders) if p not in self.positions and places[p] != IntVar(b.name)]
        if values == self.point and more:
            raise Unroll(frozenset([self.binders[more[0]].name]), span)
        if not self.positions:
            raise error("SL241", f"'{self.name}' reads the member that it defines", span, hint=self._down())
        raise error(
            "SL241",
            "a family reads only those of its own members that stand before",
            span,
            label=f"{self.member(self.point)} would read {self.member(values)}",
            hint=self._down(),
        )

    def _down(self) -> str:
        """How the family's own recursion would go down."""
        if not self.binders:
            return f"give it members, of which each reads the one before: {self.name}[k < n] = (... if k == 0 else ...)"
        first = self.positions[0] if self.positions else 0
        index = self.binders[first].name
        own = ", ".join(f"{b.name} < {show(b.extent)}" for b in self.binders)
        before = ", ".join(f"{b.name} - 1" if p == first else b.name for p, b in enumerate(self.binders))
        example = f"{self.name}[{own}] = (... if {index} == 0 else ... {self.name}[{before}] ...)"
        return f"go down from a first member, by the first index that differs: {example}"


def at_each_value(
    local: Local,
    binders: Sequence[Binder],
    build: Callable[[Local, tuple[int, ...]], T],
    restart: Callable[[tuple[int, ...]], None] | None = None,
) -> list[T]:
    """What ``build`` makes at the values of those binders that have to have one: ``(local, values)``, once with none
    if none has to. ``restart`` is told the positions of these before each attempt.

    Raises ``Unroll`` for other variables, SL309 when there are too many values.
    """
    positions: tuple[int, ...] = ()
    while True:
        if restart is not None:
            restart(positions)
        chosen = [binders[p] for p in positions]
        points = product(*(range(b.size) for b in chosen))
        try:
            return [build(local.at({b.name: v for b, v in zip(chosen, p, strict=True)}), p) for p in points]
        except Unroll as needed:
            new = [p for p, b in enumerate(binders) if b.name in needed.names and p not in positions]
            if not new:
                raise
            positions = tuple(sorted((*positions, *new)))
            number = prod(binders[p].size for p in positions)
            if number > MAX_UNROLLED:
                raise too_many(number, needed.span) from None


def too_many(number: int, span: Span) -> SlotError:
    """SL309 for a statement that is written out."""
    return error(
        "SL309",
        f"this is written out {number:,} times, and {MAX_UNROLLED:,} is the limit",
        span,
        hint="let the choice, the exponent, or the recursion, depend on fewer loop variables",
    )
