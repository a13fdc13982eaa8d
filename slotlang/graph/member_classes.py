"""Members of a family of vectors that are alike: all that they read lies inside its tensor, or outside where that is
zero, in the same slots, and so do conditions hold. Which numbers of a tensor they read is another matter, and what does
not depend on that can be found for one of them and is true of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from slotlang.meaning.deep import Steps, walked
from slotlang.meaning.integers import (
    And,
    Cmp,
    Cond,
    Int,
    IntConst,
    Not,
    Or,
    evaluate,
    holds,
    interval,
    substitute,
    substitute_cond,
    variables,
)
from slotlang.meaning.places import check_place, summed
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
from slotlang.refusals import GaveUp
from slotlang.schedule.ops import PlainFamily

MOST_ROTATED = 16
"""Rotations of which the slots' digits are kept."""


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
        self._envs: dict[int, Mapping[str, Any]] = {}
        self._tests: list[_Test] | None = []
        if isinstance(family, PlainFamily) and family.masks:
            self._tests = None
        elif family.body is not None:
            try:
                found = walked(_tests(program, family.body, {}, IntConst(0), {}))
                self._tests = [self._test(*test) for test in dict.fromkeys(found)]
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
        inside: Any
        if isinstance(test.what, Cmp | And | Or | Not):
            inside = holds(test.what, program.sizes, {**self._rotated(test.turn, env), **env})
        else:
            least, most = interval(test.what, program.sizes, {**self._ranges, **{n: (v, v) for n, v in env.items()}})
            inside = least >= 0 and most < test.size
            if not inside and least < test.size and most >= 0:
                at = evaluate(test.what, program.sizes, {**self._rotated(test.turn, env), **env})
                inside = (at >= 0) & (at < test.size)
        pattern = np.packbits(np.broadcast_to(np.asarray(inside, bool), self._slots.shape)).tobytes()
        return self._patterns.setdefault(pattern, len(self._patterns))

    @cached_property
    def _ranges(self) -> Mapping[str, tuple[int, int]]:
        """What a slot's number and its digits are, whichever slot it is."""
        return {name: (0, extent - 1) for name, extent in self.program.slot_extents().items()}

    def _rotated(self, turn: Int, env: Mapping[str, int]) -> Mapping[str, Any]:
        """Numbers and digits of all slots, rotated."""
        program = self.program
        step = int(evaluate(turn, program.sizes, env)) % program.slots
        if step not in self._envs:
            if len(self._envs) == MOST_ROTATED:
                self._envs.clear()
            self._envs[step] = program.slot_env((self._slots + step) % program.slots)
        return self._envs[step]


_Found: TypeAlias = tuple[Int | Cond, int, Int]
_Place: TypeAlias = tuple[str, tuple[Int, ...], Int]
"""A family's name, the indices of a member, and the rotation at which it is read."""

MAX_PLACES = 1 << 12
"""Members at rotations that are looked through for one family; beyond, its members are taken for unlike."""


def _tests(
    program: Program, value: Value, env: Mapping[str, Int], turn: Int, known: dict[_Place, list[_Found]]
) -> Steps[list[_Found]]:
    """Everything in a value that holds in some slots and not in others, over its own family's indices. ``known``: of
    members, which may be read along many ways. Raises ``_Unlike`` where it matters which numbers are read, or in which
    slot."""

    def inside(indices: Sequence[Int], shape: Sequence[int]) -> list[_Found]:
        return [(substitute(i, env.get), size, turn) for i, size in zip(indices, shape, strict=True)]

    found: list[_Found] = []
    match value:
        case Const() | ScalarRef():
            pass
        case Iverson(condition):
            found.append((substitute_cond(condition, env.get), 0, turn))
        case Read(tensor, indices, else_zero):
            if program.tensors[tensor].pattern is not None:
                raise _Unlike
            if else_zero:
                found += inside(indices, program.tensors[tensor].shape)
        case Element(form, indices, else_zero):
            if any(program.tensors[f.tensor].pattern is not None for chain in form.chains for f in chain.factors):
                raise _Unlike
            if else_zero:
                found += inside(indices, form.shape)
        case FamilyRef(name, indices):
            family = program.families[name]
            places = [substitute(i, env.get) for i in indices]
            try:
                for place in places:
                    check_place(place)
            except GaveUp:
                raise _Unlike from None
            key = name, tuple(places), turn
            if key not in known:
                if len(known) >= MAX_PLACES:
                    raise _Unlike
                tests = yield _tests(program, family.body, family.env(places), turn, known)
                known[key] = list(dict.fromkeys(tests))
            found += known[key]
        case Shift(part, amount):
            found += yield _tests(program, part, env, summed(turn, substitute(amount, env.get)), known)
        case _:
            for part in children(value):
                found += yield _tests(program, part, env, turn, known)
            if found and not isinstance(value, Slotwise):
                raise _Unlike
    return found
