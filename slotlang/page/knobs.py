"""Sizes and a precision that somebody sets on the page, the values of sizes that a program admits, and the shape that
it computes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from math import isfinite, log
from typing import Any

from slotlang.diagnostics import SlotError
from slotlang.editor.analysis import Analysis, ProgramView
from slotlang.meaning.bind import bind
from slotlang.meaning.program import Program
from slotlang.planning.given_parameters import program_parameters
from slotlang.refusals import GaveUp
from slotlang.run.roles import roles
from slotlang.source import Source
from slotlang.syntax import tree
from slotlang.syntax.parser import parse
from slotlang.syntax.statements import parse_broken

__all__ = ["Knobs", "admitted_sizes", "known_sizes", "shape_of"]

LARGEST = 1 << 20
"""Values of sizes up to which they are tried."""
SECONDS = 1.0
"""For all sizes of a program together: values that were not reached are not offered."""
MOST = 64
"""Sizes that are set at once, at most."""


@dataclass(frozen=True)
class Knobs:
    """``sizes`` in place of those in the text, for the programs that have them. ``precision``: the largest relative rms
    error, for which parameters are searched; None for those of the program, or the fixed ones."""

    sizes: Mapping[str, int] = field(default_factory=dict)
    precision: float | None = None

    @classmethod
    def asked(cls, sizes: object, precision: object) -> Knobs:
        """What a page sent. Raises ``ValueError`` for anything else than whole numbers by names and a precision."""
        if not isinstance(sizes, dict) or len(sizes) > MOST:
            raise ValueError("sizes are whole numbers by their names")
        for name, value in sizes.items():
            if not isinstance(name, str) or type(value) is not int or not 0 <= value < 1 << 40:
                raise ValueError("sizes are whole numbers by their names")
        if precision is None:
            return cls(dict(sizes))
        if type(precision) not in (int, float) or not isfinite(precision) or not 0 < precision < 1:  # type: ignore[arg-type,operator]
            raise ValueError("a precision lies between 0 and 1")
        return cls(dict(sizes), float(precision))  # type: ignore[arg-type]


def known_sizes(source: Source, sizes: Mapping[str, int]) -> dict[str, int]:
    """Those of ``sizes`` that some program of a text has: one that was set stays set while its program is rewritten."""
    with suppress(SlotError):
        headers = [s for s in parse_broken(source)[0].statements if isinstance(s, tree.Header)]
        names = {size.name for header in headers for size in header.sizes}
        return {name: value for name, value in sizes.items() if name in names}
    return {}


def admitted_sizes(analysis: Analysis, view: ProgramView) -> dict[str, list[int]]:
    """For each size of a program the values with which it is one, the others as they are, ascending: powers of two,
    divisors and small multiples of the value that it has. Nearer ones are tried first."""
    program = view.bound
    assert program is not None, "a right program is bound"
    syntax = _syntax(analysis, view)
    given = {name: program.sizes[name] for name in program.parameters}
    found = {}
    for name, value in given.items():
        end = time.monotonic() + SECONDS / len(given)
        values = {value}
        for other in _candidates(value):
            if time.monotonic() > end:
                break
            with suppress(SlotError, GaveUp):
                program_parameters(bind(syntax, {**given, name: other}))
                values.add(other)
        found[name] = sorted(values)
    return found


def _candidates(value: int) -> Iterator[int]:
    powers = {1 << e for e in range(LARGEST.bit_length())}
    around = {value * n for n in (2, 3, 4)} | {value // n for n in range(2, 65) if value % n == 0}
    few = set(range(1, 9))
    found = {n for n in powers | around | few if 1 <= n <= LARGEST} - {value}
    return iter(sorted(found, key=lambda n: (abs(log(n / max(1, value))), n)))


def shape_of(analysis: Analysis, view: ProgramView) -> dict[str, int] | None:
    """The shape of a program with the one theorem ``y == scale * A @ B @ x``; None for others."""
    program = view.bound
    assert program is not None, "a right program is bound"
    with suppress(SlotError):
        found = roles(_syntax(analysis, view))
        if len(found) == 1:
            return _shape(program, found[0].input.name, found[0].down.name, found[0].up.name)
    return None


def _shape(program: Program, x: str, down: str, up: str) -> dict[str, int] | None:
    shapes: dict[str, Any] = {name: program.tensors[name].shape for name in (x, down, up)}
    if len(shapes[x]) not in (1, 2) or len(shapes[down]) != 2 or len(shapes[up]) != 2:
        return None
    batch = shapes[x][1] if len(shapes[x]) == 2 else 1
    return {"d_in": shapes[x][0], "d_out": shapes[up][0], "rank": shapes[down][0], "batch": batch}


def _syntax(analysis: Analysis, view: ProgramView) -> tree.Program:
    source = analysis.source
    return parse(source if len(analysis.programs) == 1 else replace(source, program=view.name))
