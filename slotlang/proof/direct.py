"""Values of single slots by the definitions of a program, in one ring of numbers.

Neither terms nor sets nor the schedule take part, so that a counterexample is confirmed by other means than it was
found by. Points, each a slot with values of loop variables, are evaluated side by side: a sum has a point for each of
its values, and a member of a family is evaluated once at each slot, however many points read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from slotlang.graph.ring import PlainEvaluator
from slotlang.meaning.deep import Steps
from slotlang.meaning.integers import SLOT, Int, IntVar, evaluate, holds
from slotlang.meaning.program import Claim, Family, Output, Program
from slotlang.meaning.value import FamilyRef, Shift, SumOver, TensorForm, Value
from slotlang.proof.field import Array, Field
from slotlang.proof.goals import target
from slotlang.refusals import GaveUp
from slotlang_runtime.amounts import count_of

MAX_POINTS = 1 << 21
"""Most points evaluated side by side: some 200 MB."""

CALL = 1 << 8
"""Points that take as much time as it takes to have one more member evaluated."""

Ints = npt.NDArray[np.int64]


class _Here(dict[str, Any]):
    """Loop variables with the slot; digits are computed when they are asked for."""

    def __init__(self, program: Program, env: Mapping[str, Any], slots: Ints) -> None:
        super().__init__(env)
        self.program = program
        self[SLOT] = slots

    def __missing__(self, name: str) -> Any:
        digit = self.program.digit_of(IntVar(SLOT), name)
        if digit is None:
            raise KeyError(name)
        self[name] = evaluate(digit, self.program.sizes, self)
        return self[name]


class Direct(PlainEvaluator):
    """Evaluates values of a program at points. A result is an array (primes, roots, points) or broadcasts to one."""

    def __init__(self, program: Program, field: Field) -> None:
        super().__init__(program, field)
        self.field = field
        self._spent: dict[str, int] = {}
        self._members: dict[tuple[str, int], Array] = {}

    def steps(self, value: Value, env: Mapping[str, Any], slots: Ints) -> Any:
        """``value`` at each of ``slots``, with the loop variables' values there. Raises ``GaveUp`` beyond
        ``MAX_POINTS``."""
        match value:
            case FamilyRef(name, indices):
                return self._member(name, [self._integer(i, env, slots) for i in indices], slots)
            case Shift(inner, amount):
                moved = (slots + self._integer(amount, env, slots)) % self.program.slots
                return self.steps(inner, env, moved)
            case SumOver():
                return self._sum(value, env, slots)
            case _:
                return super().steps(value, env, slots)

    def _here(self, env: Mapping[str, Any], slots: Ints) -> Mapping[str, Any]:
        return _Here(self.program, env, slots)

    def _elements(self, form: TensorForm, flat: Ints) -> Array:
        return self.field.elements(form, flat)

    def _sum(self, value: SumOver, env: Mapping[str, Ints], slots: Ints) -> Steps[Array]:
        extent, points = int(evaluate(value.extent, self.program.sizes, {})), len(slots)
        if extent * points > MAX_POINTS:
            raise GaveUp(count_of(extent * points, "point"))
        inner = {name: np.repeat(values, extent) for name, values in env.items()}
        inner[value.var] = np.tile(np.arange(extent), points)
        parts = yield self.steps(value.body, inner, np.repeat(slots, extent))
        every = np.broadcast_to(parts, (*parts.shape[:2], extent * points))
        # fewer than 2^32 numbers below 2^31
        total: Array = self.field.reduced(every.reshape(*every.shape[:2], points, extent).sum(axis=-1))
        return total

    def _member(self, name: str, indices: list[Ints], slots: Ints) -> Steps[Array]:
        family = self.program.families[name]
        members: Any = np.zeros(1, np.int64)
        for binder, index in zip(family.binders, indices, strict=True):
            members = members * binder.size + index
        places, first, again = np.unique(members * self.program.slots + slots, return_index=True, return_inverse=True)
        # a family that others read along many ways has its members evaluated whole, once
        self._spent[name] = self._spent.get(name, 0) + len(places) + CALL
        if self._spent[name] > 2 * family.size * self.program.slots + CALL:
            whole = yield from self._whole(family, places)
            return whole[..., again]
        values: Array = yield self.steps(family.body, family.env([index[first] for index in indices]), slots[first])
        return values if values.shape[-1] == 1 else values[..., again]

    def _whole(self, family: Family, places: Ints) -> Steps[Array]:
        """A family at places, which are ascending numbers of a member and a slot."""
        every = np.arange(self.program.slots)
        parts = []
        for number in np.unique(places // self.program.slots).tolist():
            values = self._members.get((family.name, number))
            if values is None:
                point = np.unravel_index(number, [b.size for b in family.binders]) if family.binders else ()
                env = family.env([np.full(len(every), index, np.int64) for index in point])
                values = self._members[family.name, number] = yield self.steps(family.body, env, every)
            here = places[places // self.program.slots == number] % self.program.slots
            some = np.broadcast_to(values, (*values.shape[:2], len(every)))[..., here]
            parts.append(np.broadcast_to(some, (len(some), self.field.i.shape[1], len(here))))
        return np.concatenate(parts, axis=-1)

    def _integer(self, e: Int, env: Mapping[str, Ints], slots: Ints) -> Ints:
        return np.broadcast_to(np.asarray(evaluate(e, self.program.sizes, env), np.int64), slots.shape)


def wrong_at(program: Program, statement: Claim | Output, binders: Mapping[str, int], slot: int, field: Field) -> bool:
    """Whether a statement speaks of a slot of its family's member, and the slot then holds something else, at one point
    of the fields. Raises ``GaveUp``."""
    direct = Direct(program, field)
    slots = np.array([slot], np.int64)
    env = {name: np.array([value], np.int64) for name, value in binders.items()}
    where = statement.where if isinstance(statement, Claim) else program.read_where(statement)
    if where is not None and not np.all(holds(where, program.sizes, _Here(program, env, slots))):
        return False
    family, indices = target(statement)
    actual = direct.value(FamilyRef(family, indices, statement.span), env, slots)
    if isinstance(statement, Claim):
        expected = direct.value(statement.value, env, slots)
    else:
        actual = field.part(actual, statement.part)
        theorem = program.theorems[statement.name]
        here = _Here(program, env, slots)
        element = {
            n: np.asarray(evaluate(i, program.sizes, here)).reshape(1) for n, i in theorem.env(statement).items()
        }
        expected = direct.value(theorem.value, element, slots)
    return bool((actual != expected).any())
