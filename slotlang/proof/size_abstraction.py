"""Facts that a program at smaller sizes must share with the program at its own, so that findings carry over.

At sizes too small a condition that picks one of several blocks never holds, a rotation goes all the way round, or a
loop runs once: findings then say nothing about the program at its own sizes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations, product
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang.meaning.integers import And, Cond, evaluate, holds, within
from slotlang.meaning.program import Program
from slotlang.meaning.value import Element, Iverson, Read, Shift, SumOver, Value, children

Fact: TypeAlias = tuple[bool, bool] | int
"""Whether a condition holds anywhere, and everywhere; whether a size is smaller than another, and the same; or a
number, ``MANY`` standing for more."""

MANY = 3
"""With three blocks one is neither the first nor the last; with two a program may use them all, and leave a third
empty."""

Loops: TypeAlias = tuple[tuple[str, int], ...]
"""Variables with their numbers of values."""


def order(sizes: Mapping[str, int]) -> list[Fact]:
    """How any two sizes compare: fewer sums than summands may lose information that more sums keep."""
    values = [sizes[name] for name in sorted(sizes)]
    return [(a < b, a == b) for a, b in combinations(values, 2)]


def few(sizes: Mapping[str, int]) -> list[Fact]:
    """The numbers of values of sizes, by which an outline starts."""
    return [min(sizes[name], MANY) for name in sorted(sizes)]


def outline(program: Program) -> list[Fact]:
    """Facts in the order of the program's text: the numbers of values of sizes, digits and loops; and, for each
    condition, index that may leave its tensor, and rotation that may be by whole turns, whether it holds anywhere, and
    whether it holds everywhere, over all slots and over the first two and the last values of the loops around it."""
    return list(_Outline(program).facts())


class _Outline:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.slot = program.slot_env(np.arange(program.slots))

    def facts(self) -> Iterator[Fact]:
        program = self.program
        yield from few(program.sizes)
        yield from (min(digit.size, MANY) for digit in program.digits.values())
        for family in program.families.values():
            loops = tuple((b.name, b.size) for b in family.binders)
            yield from (min(size, MANY) for _, size in loops)
            yield from self.value(family.body, loops)
        for output in program.outputs:
            loops = tuple((b.name, b.size) for b in output.binders)
            yield from (min(size, MANY) for _, size in loops)
            yield self.seen(program.read_where(output), loops)

    def value(self, value: Value, loops: Loops) -> Iterator[Fact]:
        program = self.program
        match value:
            case Iverson(condition):
                yield self.seen(condition, loops)
            case Read(tensor, indices, True):
                yield self.seen(And(within(indices, program.tensors[tensor].extents)), loops)
            case Element(form, indices, True):
                yield self.seen(And(within(indices, program.extents(form))), loops)
            case Shift(inner, amount):
                turns = [int(evaluate(amount, program.sizes, env)) % program.slots == 0 for env in _samples(loops)]
                yield any(turns), all(turns)
                yield from self.value(inner, loops)
            case SumOver(var=var, extent=extent, body=body):
                size = int(evaluate(extent, program.sizes, {}))
                yield min(size, MANY)
                yield from self.value(body, (*loops, (var, size)))
            case _:
                for child in children(value):
                    yield from self.value(child, loops)

    def seen(self, condition: Cond, loops: Loops) -> tuple[bool, bool]:
        truths: list[npt.NDArray[np.bool_]] = [
            np.asarray(holds(condition, self.program.sizes, {**self.slot, **env}), bool) for env in _samples(loops)
        ]
        return any(bool(f.any()) for f in truths), all(bool(f.all()) for f in truths)


def _samples(loops: Loops) -> Iterator[dict[str, int]]:
    values = [sorted({0, 1, size - 1} & set(range(size))) for _, size in loops]
    return (dict(zip((name for name, _ in loops), chosen, strict=True)) for chosen in product(*values))
