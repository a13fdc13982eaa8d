"""Functions of integers that no rule is about: exclusive ors, and powers of what is not a number.

Binding shows at its sizes that each has a value wherever it is looked at. No rule shows it for all sizes.
"""

from __future__ import annotations

from collections.abc import Iterator

from slotlang.meaning.integers import Cond, Int, IntCall, IntConst, parts, show, variables
from slotlang.meaning.program import Claim, Program
from slotlang.meaning.value import Element, FamilyRef, Iverson, Read, Shift, Value, nodes


def partial(program: Program) -> str:
    """Why nothing can be said for all sizes: a power or an exclusive or with a variable in it; empty when there is
    none."""
    for line, e in _integers(program):
        calls = (inner for inner in _inside(e) if isinstance(inner, IntCall) and inner.name in ("**", "^"))
        found = next((call for call in calls if variables(call) and not _exponential(call)), None)
        if found is not None:
            return f"line {line}: {show(found)} is decided at numbers alone"
    return ""


def _exponential(call: IntCall) -> bool:
    match call:
        case IntCall("**", (IntConst(base), _)):
            return base > 1
        case _:
            return False


def _inside(e: Int | Cond) -> Iterator[Int | Cond]:
    yield e
    for part in parts(e):
        yield from _inside(part)


def _integers(program: Program) -> Iterator[tuple[int, Int | Cond]]:
    """Every integer and condition of a program that may hold a variable, with its line."""
    for tensor in program.tensors.values():
        if tensor.pattern is not None:
            yield tensor.span.line, tensor.pattern
    for permutation in program.permutations.values():
        if permutation.expression is not None:
            yield permutation.span.line, permutation.expression
    for step in program.steps:
        value = step.value if isinstance(step, Claim) else step.body
        yield from ((step.span.line, e) for e in _of_value(value))
        if isinstance(step, Claim):
            yield from ((step.span.line, e) for e in (*step.indices, *([] if step.where is None else [step.where])))
    for output in program.outputs:
        for e in (*output.indices, *output.family.indices, *([] if output.where is None else [output.where])):
            yield output.span.line, e


def _of_value(value: Value) -> Iterator[Int | Cond]:
    for node in nodes(value):
        match node:
            case Read(indices=indices) | Element(indices=indices) | FamilyRef(indices=indices):
                yield from indices
            case Iverson(condition):
                yield condition
            case Shift(amount=amount):
                yield amount
            case _:
                pass
