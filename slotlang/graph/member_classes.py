"""Members of a family of vectors that are alike: all that they read lies inside its tensor, or outside where that is
zero, in the same slots, and so do conditions hold. Which numbers of a tensor they read is another matter, and what does
not depend on that can be found for one of them and is true of all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from slotlang.meaning.integers import (
    And,
    Cmp,
    Cond,
    Int,
    IntConst,
    Not,
    Or,
    add,
    evaluate,
    holds,
    substitute,
    substitute_cond,
    variables,
)
from slotlang.meaning.program import Family, Program
from slotlang.meaning.value import (
    Const,
    Element,
    FamilyRef,
    Iverson,
    Read,
    ScalarRef,
    Shift,
    Slotwise,
    Value,
    children,
)
from slotlang.schedule.ops import PlainFamily


class _Unlike(Exception):
    """Members do not fall into classes: each must be evaluated by itself."""


@dataclass(frozen=True, slots=True)
class _Test:
    """A condition, or the question whether an index is inside a dimension of ``size``, at slots rotated by ``turn``.
    ``used``: positions of the family's indices that the answer depends on. ``known``: answers by their values."""

    what: Int | Cond
    size: int
    turn: Int
    used: tuple[int, ...]
    known: dict[tuple[int, ...], int] = field(default_factory=dict, compare=False)


class Likeness:
    """Classes of the members of one family that vanish in the same slots."""

    def __init__(self, program: Program, family: Family | PlainFamily) -> None:
        self.program = program
        loops = family.binders if isinstance(family, Family) else family.loops
        self.names = [b.name if isinstance(family, Family) else b.var for b in loops]  # type: ignore[union-attr]
        self._patterns: dict[bytes, int] = {}
        self._slots = np.arange(program.slots, dtype=np.int64)
        self._tests: list[_Test] | None = []
        if isinstance(family, PlainFamily) and family.masks:
            self._tests = None
        elif family.body is not None:
            try:
                self._tests = [self._test(*test) for test in _tests(program, family.body, {}, IntConst(0))]
            except _Unlike:
                self._tests = None

    def of(self, indices: tuple[int, ...]) -> tuple[int, ...]:
        """A value that is the same for members that are alike."""
        if self._tests is None:
            return indices
        answers = []
        for test in self._tests:
            values = tuple([indices[n] for n in test.used])
            pattern = test.known.get(values)
            if pattern is None:
                pattern = test.known[values] = self._pattern(test, values)
            answers.append(pattern)
        return tuple(answers)

    def _test(self, what: Int | Cond, size: int, turn: Int) -> _Test:
        used = variables(what) | variables(turn)
        return _Test(what, size, turn, tuple(n for n, name in enumerate(self.names) if name in used))

    def _pattern(self, test: _Test, values: Sequence[int]) -> int:
        """Number of the set of slots where it holds."""
        program = self.program
        env = {self.names[n]: value for n, value in zip(test.used, values, strict=True)}
        slots = (self._slots + int(evaluate(test.turn, program.sizes, env))) % program.slots
        here = {**program.slot_env(slots), **env}
        if isinstance(test.what, Cmp | And | Or | Not):
            inside = holds(test.what, program.sizes, here)
        else:
            at = evaluate(test.what, program.sizes, here)
            inside = (at >= 0) & (at < test.size)
        pattern = np.packbits(np.broadcast_to(np.asarray(inside, bool), self._slots.shape)).tobytes()
        return self._patterns.setdefault(pattern, len(self._patterns))


def _tests(program: Program, value: Value, env: Mapping[str, Int], turn: Int) -> Iterator[tuple[Int | Cond, int, Int]]:
    """Everything in a value that holds in some slots and not in others, over its own family's indices. Raises
    ``_Unlike`` where it matters which numbers are read, or in which slot."""

    def inside(indices: Sequence[Int], shape: Sequence[int]) -> Iterator[tuple[Int | Cond, int, Int]]:
        return ((substitute(i, env.get), size, turn) for i, size in zip(indices, shape, strict=True))

    match value:
        case Const() | ScalarRef():
            pass
        case Iverson(condition):
            yield substitute_cond(condition, env.get), 0, turn
        case Read(tensor, indices, else_zero):
            if program.tensors[tensor].pattern is not None:
                raise _Unlike
            if else_zero:
                yield from inside(indices, program.tensors[tensor].shape)
        case Element(form, indices, else_zero):
            if any(program.tensors[f.tensor].pattern is not None for chain in form.chains for f in chain.factors):
                raise _Unlike
            if else_zero:
                yield from inside(indices, form.shape)
        case FamilyRef(name, indices):
            family = program.families[name]
            inner = family.env([substitute(i, env.get) for i in indices])
            yield from _tests(program, family.body, inner, turn)
        case Shift(part, amount):
            yield from _tests(program, part, env, add(turn, substitute(amount, env.get)))
        case _:
            inside_parts = (test for part in children(value) for test in _tests(program, part, env, turn))
            if isinstance(value, Slotwise):
                yield from inside_parts
            elif any(True for _ in inside_parts):
                raise _Unlike
