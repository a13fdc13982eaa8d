"""Every index of a program that has to stay inside a tensor or a family, for the methods that show it for all sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from slotlang.meaning.integers import Int
from slotlang.meaning.program import Claim, Family, Program
from slotlang.meaning.value import (
    Const,
    Element,
    FamilyRef,
    Iverson,
    Operator,
    Read,
    ScalarRef,
    SumOver,
    Value,
    children,
)


@dataclass(frozen=True, slots=True)
class Place:
    """``0 <= index < extent`` is due for all values of the variables (given with extents) and all slots."""

    index: Int
    extent: Int
    variables: Mapping[str, Int]
    line: int


def inside(program: Program) -> Iterator[Place]:
    """Every read without ``else 0`` and every mention of a family's member."""
    for step in program.steps:
        variables = {b.name: b.extent for b in step.binders}
        value = step.body if isinstance(step, Family) else step.value
        for index, extent, known in _places(program, value, variables):
            yield Place(index, extent, known, step.span.line)
        if isinstance(step, Claim):
            for index, binder in zip(step.indices, program.families[step.family].binders, strict=True):
                yield Place(index, binder.extent, variables, step.span.line)
    for output in program.outputs:
        for index, extent, known in _places(program, output.family, {b.name: b.extent for b in output.binders}):
            yield Place(index, extent, known, output.span.line)
    for theorem in program.theorems.values():
        own = dict(zip(theorem.indices, theorem.extents, strict=True))
        for index, extent, known in _places(program, theorem.value, own):
            yield Place(index, extent, known, theorem.span.line)


def _places(
    program: Program, value: Value, variables: Mapping[str, Int]
) -> Iterator[tuple[Int, Int, Mapping[str, Int]]]:
    """Every index that must stay inside, the extent it must stay in, and the variables it depends on."""
    if isinstance(value, SumOver):
        variables = {**variables, value.var: value.extent}
    if isinstance(value, Operator):
        for operand in children(value):
            yield from _places(program, operand, variables)
        return
    match value:
        case Read(tensor, indices, padded):
            if not padded:
                for index, extent in zip(indices, program.tensors[tensor].extents, strict=True):
                    yield index, extent, variables
        case Element(form, indices, padded):
            if not padded:
                for index, extent in zip(indices, program.extents(form), strict=True):
                    yield index, extent, variables
        case FamilyRef(name, indices):
            for index, binder in zip(indices, program.families[name].binders, strict=True):
                yield index, binder.extent, variables
        case Const() | ScalarRef() | Iverson():
            pass
