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
from functools import cached_property
from math import prod
from typing import Any

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
    Read,
    SumOver,
    Value,
    free_variables,
    nodes,
)

Slots = npt.NDArray[np.bool_]

MAX_WORK = 1 << 22
"""Slots times products of a family that is looked at: showing the zeros takes validation some seconds. Beyond, slots
are masked."""


def with_zeros(program: Program) -> tuple[Program, frozenset[str]]:
    """The program with zeros in the last plaintexts, and the returned families that are zero in all slots that no
    output reads, whether they were so before or not."""
    families, zero = dict(program.families), set[str]()
    for name in dict.fromkeys(output.family.name for output in program.outputs):
        read = _Read.of(program, name)
        if read is None or read.everywhere:
            continue
        changed = _Zeros(replace(program, families=families), read).family()
        if changed is not None:
            families.update(changed)
            zero.add(name)
    steps = tuple(families[s.name] if isinstance(s, Family) else s for s in program.steps)
    return replace(program, families=families, steps=steps), frozenset(zero)


@dataclass(frozen=True)
class _Read:
    """Slots of a returned family that are read: ``where``, over its binders and the slot, and of each member."""

    family: Family
    where: Cond
    slots: Mapping[tuple[int, ...], Slots]

    @property
    def everywhere(self) -> bool:
        return all(slots.all() for slots in self.slots.values())

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
    """One returned family, made zero where it is not read."""

    def __init__(self, program: Program, read: _Read) -> None:
        self.program, self.read = program, read
        self.changed: dict[str, Family] = {}

    @cached_property
    def _uses(self) -> Counter[Value]:
        """How often each value is written; of mentions of families, whatever the indices are."""
        bodies = [family.body for family in self.program.families.values()]
        found: Counter[Value] = Counter(node for body in bodies for node in nodes(body))
        return found

    @cached_property
    def _mentions(self) -> Counter[str]:
        names = [node.name for node in self._uses.elements() if isinstance(node, FamilyRef)]
        return Counter([*names, *{output.family.name for output in self.program.outputs}])

    def family(self) -> dict[str, Family] | None:
        """The families that change; None where slots that are not read can't be made zero for nothing."""
        family = self.read.family
        if self._mentions[family.name] != 1:
            return None
        body = self._encrypted(family.body, self.read.where, {b.name: IntVar(b.name) for b in family.binders}, 1)
        if body is None:
            return None
        return {**self.changed, family.name: replace(family, body=body)}

    def _encrypted(self, value: Value, where: Cond, env: Mapping[str, Int], times: int) -> Value | None:
        """A value that holds a ciphertext, zero where ``where`` does not hold. ``env``: the family's binders in the
        variables that are in force here; ``times``: values of the variables of sums around it."""
        program = self.program
        match value:
            case Negate(inner) | Conj(inner):
                new = self._encrypted(inner, where, env, times)
                return None if new is None else replace(value, value=new)
            case SumOver(var, extent, how, _, body) if how in (None, "tree") and var not in variables(where):
                size = int(evaluate(extent, program.sizes, {}))
                outside = {name: index for name, index in env.items() if index != IntVar(var)}
                new = self._encrypted(body, where, outside, times * size)
                return None if new is None else replace(value, body=new)
            case Arith("*", left, right):
                if program.encrypted(left) and program.encrypted(right):
                    return None
                cipher, plain = (left, right) if program.encrypted(left) else (right, left)
                factor = self._plain(plain, where, env, times)
                if factor is not None:
                    return replace(value, right=factor) if cipher is left else replace(value, left=factor)
                operand = self._encrypted(cipher, where, env, times)
                if operand is None:
                    return None
                return replace(value, left=operand) if cipher is left else replace(value, right=operand)
            case Arith(_, left, right):
                first, second = (
                    (self._encrypted if program.encrypted(side) else self._plain)(side, where, env, times)
                    for side in (left, right)
                )
                return None if first is None or second is None else replace(value, left=first, right=second)
            case FamilyRef(name, indices):
                return self._mentioned(value, program.families[name], indices, where, env, times)
            case _:
                return None

    def _mentioned(
        self, value: Value, family: Family, indices: tuple[Int, ...], where: Cond, env: Mapping[str, Int], times: int
    ) -> Value | None:
        """A family of ciphertexts that is mentioned here alone: its own products."""
        if family.kind != "compute" or self._mentions[family.name] != 1:
            return None
        back = {i.name: IntVar(b.name) for b, i in zip(family.binders, indices, strict=True) if isinstance(i, IntVar)}
        if not self._bound(where) <= back.keys():
            return None
        there = {name: back[at.name] for name, at in env.items() if isinstance(at, IntVar) and at.name in back}
        body = self._encrypted(family.body, substitute_cond(where, back.get), there, times)
        if body is None:
            return None
        self.changed[family.name] = replace(family, body=body)
        return value

    def _bound(self, where: Cond) -> frozenset[str]:
        """Variables of a condition that are not given by the slot."""
        return variables(where) - self.program.slot_extents().keys()

    def _plain(self, value: Value, where: Cond, env: Mapping[str, Int], times: int) -> Value | None:
        """A plaintext, zero where ``where`` does not hold; None where that takes another plaintext than before, or one
        that varies between slots in place of a number."""
        if self._is_zero(value, env):
            return value
        members = prod(self.program.families[n.name].size for n in nodes(value) if isinstance(n, FamilyRef))
        free = self._bound(where) <= free_variables(value) and self._uses[value] == 1
        if isinstance(value, FamilyRef):
            free = free and self._mentions[value.name] == 1
        small = max(times, members) * self.read.family.size * self.program.slots <= MAX_WORK
        if not (free and small and vector_shape(self.program, value).varies):
            return None
        return Arith("*", Iverson(where, value.span), value, value.span)

    def _is_zero(self, value: Value, env: Mapping[str, Int]) -> bool:
        """Whether a plaintext is seen to be zero in all slots that are not read."""
        at = self.program.slot_env(np.arange(self.program.slots))
        for point, read in self.read.slots.items():
            known: dict[str, Any] = {**at}
            for name, index in self.read.family.env(point).items():
                inside = env.get(name)
                if isinstance(inside, IntVar):
                    known[inside.name] = index
            if not (read | self._zeros(value, known)).all():
                return False
        return True

    def _zeros(self, value: Value, env: Mapping[str, Any]) -> Slots:
        """Slots in which a plaintext is zero, as far as brackets, padding and constants tell."""
        match value:
            case Const(re, im):
                return np.full(self.program.slots, not re and not im)
            case Iverson(condition):
                return self._fails(condition, env)
            case Read(tensor, indices, True):
                return self._fails(And(within(indices, self.program.tensors[tensor].extents)), env)
            case Element(form, indices, True):
                return self._fails(And(within(indices, self.program.extents(form))), env)
            case Arith("*", left, right):
                return self._zeros(left, env) | self._zeros(right, env)
            case Arith(_, left, right):
                return self._zeros(left, env) & self._zeros(right, env)
            case Negate(inner) | Conj(inner):
                return self._zeros(inner, env)
            case SumOver(var, _, _, _, body):
                return self._zeros(body, {name: v for name, v in env.items() if name != var})
            case FamilyRef(name, indices):
                family = self.program.families[name]
                digits = self.program.slot_extents().keys()
                known = {n: v for n, v in env.items() if n in digits}
                for binder, index in zip(family.binders, indices, strict=True):
                    if variables(index) <= env.keys():
                        known[binder.name] = evaluate(index, self.program.sizes, env)
                return self._zeros(family.body, known)
            case _:
                return np.zeros(self.program.slots, bool)

    def _fails(self, condition: Cond, env: Mapping[str, Any]) -> Slots:
        """Slots in which a condition does not hold; none where it depends on variables that are not given."""
        failing = np.zeros(self.program.slots, bool)
        for part in _parts(condition):
            if variables(part) <= env.keys():
                failing |= ~np.asarray(holds(part, self.program.sizes, env), bool)
        return failing
