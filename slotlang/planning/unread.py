"""Slots of results that no output reads, as zeros in the last plaintexts: exact, free, and then no mask is needed.

Where a returned family is a sum of products with plaintexts that nothing else uses, each of these plaintexts is
multiplied by 1 in the slots that are read and by 0 in the others. No ciphertext operation is added, no plaintext is
encoded more, and nothing changes in slots that are read. What is done here is not believed: ``validation.mask_check``
shows of the emitted module that the slots are zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from math import prod
from operator import or_
from typing import assert_never

import numpy as np
import numpy.typing as npt

from slotlang.cost.vectors import vector_shape
from slotlang.meaning.integers import (
    And,
    Cmp,
    Cond,
    Int,
    IntVar,
    Or,
    evaluate,
    holds,
    substitute_cond,
    variables,
    within,
)
from slotlang.meaning.program import Family, Output, Program
from slotlang.meaning.value import (
    Arith,
    Conj,
    Const,
    Element,
    FamilyRef,
    Iverson,
    Negate,
    Permuted,
    Read,
    ScalarRef,
    Shift,
    SumOver,
    Value,
    free_variables,
    nodes,
)

Slots = npt.NDArray[np.bool_]

MAX_WORK = 1 << 26
"""Slots times values that are looked at: a second. Beyond, slots are masked."""
MAX_PRODUCTS = 1 << 22
"""Slots times products that get other plaintexts: validation compares them one by one, in some seconds."""


def with_zeros(program: Program, share: float = 1.0) -> tuple[Program, frozenset[str]]:
    """The program with zeros in the last plaintexts, and the returned families that are zero in all slots that no
    output reads, whether they were so before or not. ``share``: of the products of a program that this one is a part
    of, and that it stands for."""
    zero: set[str] = set()
    for name in dict.fromkeys(output.family.name for output in program.outputs):
        read = _Read.of(program, name)
        if read is None or read.everywhere:
            continue
        changed = _Zeros(program, read.family).families(_parts(read.where))
        for families in ({}, changed):
            tried = _with(program, families)
            work = program.slots * sum(_products(program, family) for family in families.values())
            if work <= share * MAX_PRODUCTS and read.holds_all(tried, share):
                program = tried
                zero.add(name)
                break
    return program, frozenset(zero)


def _products(program: Program, family: Family) -> int:
    """At least as many products as a family's members have."""
    sums = [node.extent for node in nodes(family.body) if isinstance(node, SumOver)]
    return family.size * prod(int(evaluate(extent, program.sizes, {})) for extent in sums)


def _with(program: Program, families: Mapping[str, Family]) -> Program:
    """The program with other families of these names."""
    if not families:
        return program
    every = {**program.families, **families}
    steps = tuple(every[s.name] if isinstance(s, Family) else s for s in program.steps)
    return replace(program, families=every, steps=steps)


@dataclass(frozen=True)
class _Read:
    """Slots of a returned family that are read: ``where``, over its binders and the slot, and of each member."""

    family: Family
    where: Cond
    slots: Mapping[tuple[int, ...], Slots]

    @property
    def everywhere(self) -> bool:
        return all(slots.all() for slots in self.slots.values())

    def holds_all(self, program: Program, share: float) -> bool:
        """Whether the family, in a program, is zero in all slots that are not read."""
        support = _Support(program, share * MAX_WORK)
        family = program.families[self.family.name]
        try:
            return not any((support.member(family, m) & ~slots).any() for m, slots in self.slots.items())
        except _TooMuch:
            return False

    @classmethod
    def of(cls, program: Program, name: str) -> _Read | None:
        """None where no condition says it, where parts of a member are read in slots that differ, or where there is too
        much to look at."""
        family = program.families[name]
        outputs = [output for output in program.outputs if output.family.name == name]
        if family.kind != "compute" or family.size * program.slots > MAX_WORK:
            return None
        conditions = [_condition(program, family, output) for output in outputs]
        found = [c for c in conditions if c is not None]
        if len(found) < len(conditions):
            return None
        at = program.slot_env(np.arange(program.slots))
        parts: dict[tuple[int, ...], dict[str, Slots]] = {}
        for output in outputs:
            for env in output.envs():
                member = tuple(int(evaluate(i, program.sizes, env)) for i in output.family.indices)
                inside = program.read_slots(output, env, at)
                for part in ("re", "im") if output.part is None else (output.part,):
                    known = parts.setdefault(member, {})
                    known[part] = known.get(part, np.zeros(program.slots, bool)) | inside
        slots: dict[tuple[int, ...], Slots] = {}
        for point in family.points():
            apart = [one for one in parts.get(point, {}).values() if one.any()]
            slots[point] = np.any([np.zeros(program.slots, bool), *apart], axis=0)
            if any((one != slots[point]).any() for one in apart):
                return None
        where = found[0] if len(found) == 1 else Or(tuple(found))
        return cls(family, where, slots)


def _condition(program: Program, family: Family, output: Output) -> Cond | None:
    """Where an output reads a family, over the family's binders; None where its own binders do not follow from them."""
    env: dict[str, Int] = {}
    own = {binder.name: binder for binder in output.binders}
    parts: list[Cond] = []
    for binder, index in zip(family.binders, output.family.indices, strict=True):
        here = IntVar(binder.name)
        if isinstance(index, IntVar) and index.name in own and index.name not in env:
            env[index.name] = here
            parts.append(Cmp("<", here, own[index.name].extent))
        elif not variables(index):
            parts.append(Cmp("==", here, index))
        else:
            return None
    if env.keys() != own.keys():
        return None
    parts += _parts(substitute_cond(program.read_where(output), env.get))
    needed = tuple(part for part in dict.fromkeys(parts) if not _always(program, family, part))
    return needed[0] if len(needed) == 1 else And(needed)


def _parts(condition: Cond) -> list[Cond]:
    """Conditions that hold together."""
    if not isinstance(condition, And):
        return [condition]
    return [part for inner in condition.parts for part in _parts(inner)]


def _always(program: Program, family: Family, condition: Cond) -> bool:
    """Whether a condition holds in all slots of all members."""
    at = program.slot_env(np.arange(program.slots))
    return all(np.all(holds(condition, program.sizes, {**at, **env})) for env in family.envs())


class _Zeros:
    """One returned family, with zeros in its last plaintexts where they cost nothing."""

    def __init__(self, program: Program, family: Family) -> None:
        self.program, self.returned = program, family
        self.changed: dict[str, Family] = {}

    @cached_property
    def _uses(self) -> Counter[Value]:
        """How often each value is written."""
        bodies = [family.body for family in self.program.families.values()]
        return Counter(node for body in bodies for node in nodes(body))

    @cached_property
    def _mentions(self) -> Counter[str]:
        """How often each family is mentioned, outputs counted once."""
        names = [node.name for node in self._uses.elements() if isinstance(node, FamilyRef)]
        return Counter([*names, *{output.family.name for output in self.program.outputs}])

    def families(self, where: list[Cond]) -> dict[str, Family]:
        """The families that change. ``where``: conditions that hold together in slots that are read."""
        if self._mentions[self.returned.name] == 1:
            self._within(self.returned, where)
        return self.changed

    def _within(self, family: Family, where: list[Cond]) -> None:
        body = self._encrypted(family.body, where)
        if body != family.body:
            self.changed[family.name] = replace(family, body=body)

    def _encrypted(self, value: Value, where: list[Cond]) -> Value:
        """A value that holds a ciphertext, its last plaintexts zero where a condition fails, as far as they may be."""
        program = self.program
        match value:
            case Negate(inner) | Conj(inner):
                return replace(value, value=self._encrypted(inner, where))
            case SumOver(var, _, how, _, body) if how in (None, "tree"):
                return replace(value, body=self._encrypted(body, [c for c in where if var not in variables(c)]))
            case Arith("*", left, right) if program.encrypted(left) and program.encrypted(right):
                return value
            case Arith(op, left, right):
                sides: list[Value] = []
                for side, other in ((left, right), (right, left)):
                    if not program.encrypted(side):
                        sides.append(self._plain(side, where))
                    elif op != "*" or self._plain(other, where) is other:
                        sides.append(self._encrypted(side, where))
                    else:
                        sides.append(side)
                return replace(value, left=sides[0], right=sides[1])
            case FamilyRef(name, indices):
                self._mentioned(program.families[name], indices, where)
                return value
            case _:
                return value

    def _mentioned(self, family: Family, indices: tuple[Int, ...], where: list[Cond]) -> None:
        """A family of ciphertexts that is mentioned here alone: its own products."""
        if family.kind == "compute" and self._mentions[family.name] == 1:
            back = {
                i.name: IntVar(b.name) for b, i in zip(family.binders, indices, strict=True) if isinstance(i, IntVar)
            }
            known = [substitute_cond(c, back.get) for c in where if self._bound(c) <= back.keys()]
            self._within(family, known)

    def _bound(self, condition: Cond) -> frozenset[str]:
        """Variables of a condition that are not given by the slot."""
        return variables(condition) - self.program.slot_extents().keys()

    def _plain(self, value: Value, where: list[Cond]) -> Value:
        """A plaintext, zero where a condition fails; as it is where that would take more plaintexts than before, or a
        vector in place of a number."""
        alone = self._uses[value] == 1 and (not isinstance(value, FamilyRef) or self._mentions[value.name] == 1)
        free = [c for c in where if self._bound(c) <= free_variables(value)]
        if not (alone and free and vector_shape(self.program, value).varies):
            return value
        return Arith("*", Iverson(free[0] if len(free) == 1 else And(tuple(free)), value.span), value, value.span)


class _TooMuch(Exception):
    """There is too much to look at."""


class _Support:
    """Slots in which values may not be zero, by brackets, padding and constants, whatever inputs and weights are."""

    def __init__(self, program: Program, most: float) -> None:
        self.program = program
        self.at = program.slot_env(np.arange(program.slots))
        self.known: dict[tuple[str, tuple[int, ...]], Slots] = {}
        self.left = most

    def member(self, family: Family, indices: tuple[int, ...]) -> Slots:
        """Those of a member of a family. Raises ``_TooMuch``."""
        if (family.name, indices) not in self.known:
            self.known[family.name, indices] = self._of(family.body, family.env(indices))
        return self.known[family.name, indices]

    def _of(self, value: Value, env: Mapping[str, int]) -> Slots:
        self.left -= self.program.slots
        if self.left < 0:
            raise _TooMuch
        sizes, everywhere = self.program.sizes, np.ones(self.program.slots, bool)

        def where(*conditions: Cond) -> Slots:
            found: Slots = everywhere & np.asarray(holds(And(conditions), sizes, {**self.at, **env}), bool)
            return found

        match value:
            case Const(re, im):
                return everywhere & bool(re or im)
            case Iverson(condition):
                return where(condition)
            case Read(tensor, indices, True):
                return where(*within(indices, self.program.tensors[tensor].extents))
            case Element(form, indices, True):
                return where(*within(indices, self.program.extents(form)))
            case Read() | Element() | ScalarRef():
                return everywhere
            case FamilyRef(name, indices):
                member = tuple(int(evaluate(i, sizes, env)) for i in indices)
                return self.member(self.program.families[name], member)
            case Arith("*", left, right):
                return self._of(left, env) & self._of(right, env)
            case Arith(_, left, right):
                return self._of(left, env) | self._of(right, env)
            case Negate(inner) | Conj(inner):
                return self._of(inner, env)
            case Shift(inner, amount):
                return np.roll(self._of(inner, env), -int(evaluate(amount, sizes, env)))
            case SumOver(var, extent, _, _, body):
                terms = (self._of(body, {**env, var: v}) for v in range(int(evaluate(extent, sizes, {}))))
                return reduce(or_, terms, ~everywhere)
            case Permuted(inner, name, inverse):
                destination = self.program.permutations[name].destination
                moved: Slots = self._of(inner, env)[destination if inverse else np.argsort(destination)]
                return moved
            case _:
                assert_never(value)
