"""Values of a program at many points at once, for the random method.

numpy takes about as long to start on an array as to work through a thousand numbers, and what does not fit the caches
is several times slower. So vectors of few slots are evaluated several at a time, a sum several terms at a time, and
vectors of many slots piece by piece, always about ``PIECE`` points at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from slotlang.graph.ring import PlainEvaluator, Slots
from slotlang.meaning.deep import Steps
from slotlang.meaning.integers import SLOT, IntVar, evaluate
from slotlang.meaning.program import Program
from slotlang.meaning.value import FamilyRef, Iverson, Shift, SumOver, Value, children
from slotlang.proof.field import Array, Field

PIECE = 1 << 12
"""Points that are evaluated at once."""
MAX_NODES = 100
"""Most nodes of a value with the families that it reads written out; of a larger one, members that are read often are
worth remembering, which ``PlainEvaluator`` does."""


class _Here(dict[str, Any]):
    """Loop variables with the slot; digits are computed when they are asked for, and kept in ``digits``."""

    def __init__(self, program: Program, env: Mapping[str, Any], digits: dict[str, Any]) -> None:
        super().__init__(env)
        self._program = program
        self._digits = digits

    def __missing__(self, name: str) -> Any:
        if name not in self._digits:
            digit = self._program.digit_of(IntVar(SLOT), name)
            if digit is None:
                raise KeyError(name)
            self._digits[name] = evaluate(digit, self._program.sizes, self._digits)
        return self._digits[name]


class Points(PlainEvaluator):
    """Evaluates values in prime fields; ``vectors`` many of them side by side."""

    def __init__(self, program: Program, field: Field) -> None:
        super().__init__(program, field)
        self.field = field
        self._aside = _Aside(program, field)

    def vectors(self, value: Value, envs: Sequence[Mapping[str, Any]]) -> Iterator[Array]:
        """``value`` at all slots for each of ``envs``, which give the same variables a number or a number for every
        slot. Shapes (primes, roots, slots), or such that broadcast to it."""
        if self._nodes(value) > MAX_NODES:
            for env in envs:
                yield self.value(value, env, self.all_slots)
            return
        together = max(1, PIECE // self.program.slots)
        for start in range(0, len(envs), together):
            yield from self._aside.side_by_side(value, envs[start : start + together])

    def _nodes(self, value: Value) -> int:
        """Nodes of a value, the families that it reads written out; more than ``MAX_NODES`` where members should be
        evaluated one by one: behind a guard, or by a sum in a family."""
        count = 0
        waiting = [(value, False)]
        while waiting and count <= MAX_NODES:
            part, inner = waiting.pop()
            count += 1
            if (isinstance(part, Iverson) and part.guard) or (inner and isinstance(part, SumOver)):
                return MAX_NODES + 1
            if isinstance(part, FamilyRef):
                waiting.append((self.program.families[part.name].body, True))
            waiting += [(child, inner) for child in children(part)]
        return count


class _Aside(PlainEvaluator):
    """Evaluates values at points, each a slot with values of the loop variables. Results are (primes, roots, points),
    or such that broadcast to it."""

    def __init__(self, program: Program, field: Field) -> None:
        super().__init__(program, field)
        self.field = field
        self._digits_at: dict[int, tuple[Slots, dict[str, Any]]] = {}
        self._tiles: dict[int, list[Slots]] = {}

    def side_by_side(self, value: Value, envs: Sequence[Mapping[str, Any]]) -> Array:
        """``value`` at all slots for each of ``envs``, (envs, primes, roots, slots)."""
        slots, count = self.program.slots, len(envs)
        env: Mapping[str, Any] = envs[0]
        if count > 1:
            env = {name: np.concatenate([np.broadcast_to(e[name], slots) for e in envs]) for name in env}
        parts, start = [], 0
        for piece in self._pieces(count):
            end = start + len(piece)
            here = {name: values[start:end] if np.ndim(values) else values for name, values in env.items()}
            part = self.value(value, here, piece)
            parts.append(np.broadcast_to(part, (*part.shape[:2], len(piece))))
            start = end
        values = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)
        return values.reshape(*values.shape[:2], count, slots).transpose(2, 0, 1, 3)

    def _pieces(self, count: int) -> list[Slots]:
        """All slots ``count`` times, cut to pieces, whose digits are kept."""
        if count not in self._tiles:
            slots = np.tile(self.all_slots, count)
            self._tiles[count] = np.split(slots, range(PIECE, len(slots), PIECE))
            for piece in self._tiles[count]:
                self._digits_at[id(piece)] = (piece, {SLOT: piece})
        return self._tiles[count]

    def steps(self, value: Value, env: Mapping[str, Any], slots: Slots) -> Any:
        """``value`` at each of ``slots``, with the loop variables' values there."""
        match value:
            case FamilyRef(name, indices):
                family = self.program.families[name]
                at = [evaluate(i, self.program.sizes, env) for i in indices]
                return self.steps(family.body, family.env(at), slots)
            case Shift(inner, amount):
                step = np.asarray(evaluate(amount, self.program.sizes, env), np.int64)
                return self.steps(inner, env, (slots + step) % self.program.slots)
            case SumOver():
                return self._sum(value, env, slots)
            case _:
                return super().steps(value, env, slots)

    def _sum(self, value: SumOver, env: Mapping[str, Any], slots: Slots) -> Steps[Array]:
        extent, points = int(evaluate(value.extent, self.program.sizes, {})), len(slots)
        together = min(max(1, PIECE // points), extent)
        ends = range(0, extent, together)
        total: Any = None
        for first in ends:
            terms = range(first, min(first + together, extent))
            copies = len(terms)
            inner = {name: np.tile(v, copies) if np.ndim(v) else v for name, v in env.items()}
            inner[value.var] = np.repeat(np.arange(terms.start, terms.stop), points)
            part = yield self.steps(value.body, inner, np.tile(slots, copies))
            every = np.broadcast_to(part, (*part.shape[:2], copies * points)).reshape(*part.shape[:2], copies, points)
            # fewer than 2^32 numbers below 2^31
            part = every.sum(axis=2)
            total = part if total is None else total + part
        return self.field.reduced(total)

    def _here(self, env: Mapping[str, Any], slots: Slots) -> Mapping[str, Any]:
        known = self._digits_at.get(id(slots))
        digits = known[1] if known is not None else {SLOT: slots}
        return _Here(self.program, env, digits)


__all__ = ["PIECE", "Points"]
