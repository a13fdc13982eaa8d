"""Every index of a program that has to stay inside a tensor or a family, for the methods that show it for all sizes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from slotlang.meaning.integers import Cmp, Cond, Int, IntCall, IntIf, IntVar, Not, add, neg, parts
from slotlang.meaning.integers import IntConst as Number
from slotlang.meaning.program import Claim, Family, Program
from slotlang.meaning.value import Arith, Element, FamilyRef, Iverson, Operator, Read, Shift, SumOver, Value, children
from slotlang.proof.induction import falling

ZERO = Number(0)


@dataclass(frozen=True, slots=True)
class Place:
    """``0 <= index < extent`` is due for all values of the variables (given with extents) and all slots at which the
    conditions ``given`` hold."""

    index: Int
    extent: Int
    variables: Mapping[str, Int]
    line: int
    given: tuple[Cond, ...] = ()


def inside(program: Program) -> Iterator[Place]:
    """Every read without ``else 0`` and every mention of a family's member; that a sum has a term, where its extent
    depends on variables; and that exponents are not negative."""
    for step in program.steps:
        variables = {b.name: b.extent for b in step.binders}
        value = step.body if isinstance(step, Family) else step.value
        yield from _places(program, value, variables, step.span.line)
        if isinstance(step, Claim):
            for index, binder in zip(step.indices, program.families[step.family].binders, strict=True):
                yield Place(index, binder.extent, variables, step.span.line)
            yield from _exponents(
                (*step.indices, *_condition(step.where)), Place(ZERO, ZERO, variables, step.span.line)
            )
    for output in program.outputs:
        variables = {b.name: b.extent for b in output.binders}
        yield from _places(program, output.family, variables, output.span.line)
        here = Place(ZERO, ZERO, variables, output.span.line)
        yield from _exponents((*output.indices, *_condition(output.where)), here)
    for tensor in program.tensors.values():
        own = dict(zip(tensor.indices, tensor.extents, strict=False))
        yield from _exponents(_condition(tensor.pattern), Place(ZERO, ZERO, own, tensor.span.line))
    for permutation in program.permutations.values():
        if permutation.expression is not None:
            yield from _exponents((permutation.expression,), Place(ZERO, ZERO, {}, permutation.span.line))
    for theorem in program.theorems.values():
        own = dict(zip(theorem.indices, theorem.extents, strict=True))
        yield from _places(program, theorem.value, own, theorem.span.line)


def earlier(program: Program, family: Family) -> Iterator[Place]:
    """Of a family that reads its own members: that these stand before the one that reads them."""
    position = falling(family)
    own = family.binders[position].name
    for part, variables, given in _parts(family.body, {b.name: b.extent for b in family.binders}, ()):
        if isinstance(part, FamilyRef) and part.name == family.name:
            yield Place(part.indices[position], IntVar(own), variables, family.span.line, given)


def not_earlier(family: Family) -> str:
    """The words for what ``earlier`` asks and is not shown."""
    own = family.binders[falling(family)].name
    line = family.span.line
    return f"line {line}: it is not shown that each member of its own that '{family.name}' reads has a smaller {own}"


def _places(program: Program, value: Value, variables: Mapping[str, Int], line: int) -> Iterator[Place]:
    """Every index that must stay inside, with what is known where it is looked at."""
    for part, known, given in _parts(value, variables, ()):
        pairs: Iterator[tuple[Int, Int]] = iter(())
        match part:
            case Read(tensor, indices, False):
                pairs = zip(indices, program.tensors[tensor].extents, strict=True)
            case Element(form, indices, False):
                pairs = zip(indices, program.extents(form), strict=True)
            case FamilyRef(name, indices):
                pairs = zip(indices, (b.extent for b in program.families[name].binders), strict=True)
            case SumOver(extent=extent, cut=cut) if cut is not None:
                pairs = iter([(add(cut, neg(Number(1))), extent)])
            case _:
                pass
        for index, extent in pairs:
            yield Place(index, extent, known, line, given)
        yield from _exponents(_integers(part), Place(ZERO, ZERO, known, line, given))


def _integers(part: Value) -> tuple[Int | Cond, ...]:
    """The integers and conditions that a value itself has, without its operands."""
    match part:
        case Read(indices=indices) | Element(indices=indices) | FamilyRef(indices=indices):
            return indices
        case Iverson(condition):
            return (condition,)
        case Shift(amount=amount):
            return (amount,)
        case SumOver(extent=extent, cut=cut):
            return (extent,) if cut is None else (extent, cut)
        case _:
            return ()


def _condition(where: Cond | None) -> tuple[Cond, ...]:
    return () if where is None else (where,)


def _exponents(integers: Iterable[Int | Cond], here: Place) -> Iterator[Place]:
    """That the exponents in some integers are not negative where these are looked at."""
    for e in integers:
        match e:
            case IntIf(cond, yes, no):
                for branch, given in ((cond, ()), (yes, (cond,)), (no, (Not(cond),))):
                    yield from _exponents((branch,), replace(here, given=(*here.given, *given)))
                continue
            case IntCall("**", (_, exponent)):
                yield replace(here, index=exponent, extent=add(exponent, Number(1)))
            case _:
                pass
        yield from _exponents(parts(e), here)


def _parts(
    value: Value, variables: Mapping[str, Int], given: tuple[Cond, ...]
) -> Iterator[tuple[Value, Mapping[str, Int], tuple[Cond, ...]]]:
    """Everything inside a value, with the loop variables in force and the guards around it."""
    yield value, variables, given
    match value:
        case SumOver(var, extent, cut=cut):
            variables = {**variables, var: extent}
            given = given if cut is None else (*given, Cmp("<", IntVar(var), cut))
        case Arith("*", Iverson(condition, guard=True), inner):
            yield from _parts(inner, variables, (*given, condition))
            return
        case _:
            pass
    if isinstance(value, Operator):
        for operand in children(value):
            yield from _parts(operand, variables, given)
