"""What to say of a verdict for all sizes that does not settle the matter: what was not decided, and what to try."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod

from slotlang.diagnostics import SlotError
from slotlang.meaning.integers import evaluate, variables
from slotlang.meaning.program import Program
from slotlang.meaning.value import Shift, SumOver, Value, children
from slotlang.proof.forall.conditions import conditions
from slotlang.proof.forall.coverage_report import values_text
from slotlang.proof.forall.families import Family, families_of
from slotlang.proof.forall.parametric import OpenPolyhedral, RefutedAt, linear
from slotlang.proof.forall.size_solver import Empty, Unsolved, cases
from slotlang.refusals import GaveUp
from slotlang.syntax import tree

__all__ = ["of_sizes_not_meant", "of_unknown"]

MAX_POINTS = 1 << 12
"""Values of loop variables at which the amount of a rotation is looked at, at most."""
MAX_SECONDS = 1.5
"""Processor time after which no other sizes are left open, to see whether they can be."""
_AT_SOME_SIZES = ("is not shown to stay below", "at some sizes")
"""Parts of reasons that a condition on the sizes can take away."""


def of_unknown(
    syntax: tree.Program, program: Program, fixed: Mapping[str, int], free: Sequence[str], reason: str
) -> tuple[str, ...]:
    """Notes on a verdict that is unknown for a ``reason``: that it is none, and what to try."""
    tries: list[str] = []
    used = re.search(r"'(\w+)' .*and it is open", reason)
    if used and used[1] in free and len(free) > 1:
        tries.append(f"take {used[1]} out of --for-all")
    elif len(free) > 1 and (easier := _proved_alone(syntax, program, fixed, free)):
        tries.append(f"fix some of the sizes: {' or '.join(f'--for-all {name}' for name in easier)}")
    if "%" in reason:
        lines = sorted({line for line, amount in _amounts(program) if amount < 0})
        tries += [f"rotate by amounts that are not negative in line {', '.join(map(str, lines))}"] if lines else []
    if any(part in reason for part in _AT_SOME_SIZES):
        tries.append("state a `require` in the program, where it is meant for some of these sizes alone")
    said = "neither proved nor refuted: nothing says that the program is wrong at any of these sizes"
    return (said, *([f"to try: {'; '.join(tries)}"] if tries else []))


def of_sizes_not_meant(own: Mapping[str, int], at: Mapping[str, int]) -> str:
    """A note on a refutation ``at`` some sizes of a program that is proved at its ``own``."""
    other = {name: value for name, value in at.items() if own.get(name) != value}
    return (
        f"proved at the program's own sizes, {values_text(own)}: "
        f"where {values_text(other)} {'is' if len(other) == 1 else 'are'} not meant, "
        "say so by a `require` in the program"
    )


def _proved_alone(syntax: tree.Program, program: Program, fixed: Mapping[str, int], free: Sequence[str]) -> list[str]:
    """Sizes for all of which the program is proved where they alone are open and all others are linear in them."""
    found = []
    start = time.process_time()
    for name in free:
        others = {**fixed, **{n: program.sizes[n] for n in free if n != name}}
        try:
            known = conditions(syntax, others, (name,))
            families = families_of(syntax, others, (name,), known, cases(known), 0)
            if time.process_time() - start < MAX_SECONDS and all(_proved(family) for family in families):
                found.append(name)
        except (SlotError, GaveUp, Empty, Unsolved, RefutedAt):
            continue
    return found


def _proved(family: Family) -> bool:
    if family.program is None or not linear(family.symbols):
        return False
    results = OpenPolyhedral(family.program, family.symbols).run()
    return all(outcome.status == "proved" for _, outcome in results)


def _amounts(program: Program) -> Iterator[tuple[int, int]]:
    """The least amount of each rotation that goes to both sides, with its line."""
    waiting: list[tuple[Value, Mapping[str, int]]] = [
        (family.body, {b.name: b.size for b in family.binders}) for family in program.families.values()
    ]
    while waiting:
        value, extents = waiting.pop()
        if isinstance(value, SumOver):
            extents = {**extents, value.var: int(evaluate(value.extent, program.sizes, {}))}
        waiting.extend((child, extents) for child in children(value))
        if not isinstance(value, Shift):
            continue
        used = [name for name in extents if name in variables(value.amount)]
        if prod(extents[name] for name in used) > MAX_POINTS:
            continue
        points = product(*(range(extents[name]) for name in used))
        amounts = [int(evaluate(value.amount, program.sizes, dict(zip(used, at, strict=True)))) for at in points]
        if amounts and min(amounts) < 0 < max(amounts):
            yield value.span.line, min(amounts)
