"""Levels and scales: rescales are placed, and operands of a sum are brought to the same scale.

The scale of a ciphertext grows with every product, and shrinks where a prime is dropped after one. In any case only
ciphertexts with the same number of products behind them can be added, so the one with fewer is multiplied by the
constant 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import takewhile

from slotlang.diagnostics import error
from slotlang.meaning.value import Const
from slotlang.schedule import ops
from slotlang.schedule.ops import Encoding, State
from slotlang.source import Span


class _Levels:
    def __init__(self, schedule: ops.Schedule, fresh: Callable[[str], str]) -> None:
        self.schedule = schedule
        self.fresh = fresh
        self.states: dict[str, State] = {}
        self.plains: dict[str, ops.PlainFamily] = {}
        self._encoded: dict[tuple[str, Encoding], str] = {}
        self._one: str | None = None
        self.turns_fresh = False

    def family(self, family: ops.CipherFamily) -> ops.CipherFamily:
        if family.body is None:
            self.states[family.name] = State(0, 0)
            return family
        body, state = self.settled(*self.op(family.body, family.span))
        self.states[family.name] = state
        return replace(family, body=body)

    def settled(self, op: ops.Op, state: State) -> tuple[ops.Op, State]:
        """Rescaled where the schedule rescales: before the value is rotated, multiplied or named."""
        if self.schedule.depth_of(state) not in self._due(state.level):
            return op, state
        return ops.Rescale(op), State(state.level + 1, 0)

    def _due(self, level: int) -> Sequence[int]:
        """The product after which the next prime is dropped, if any is."""
        return self.schedule.drops[level : level + 1]

    def plain(self, ref: ops.PlainRef, encoding: Encoding) -> ops.PlainRef:
        key = (ref.family, encoding)
        name = self._encoded.get(key)
        if name is None:
            family = self.schedule.plains.get(ref.family) or self.plains[ref.family]
            name = ref.family if ref.family not in self.plains else self.fresh(ref.family)
            self._encoded[key] = name
            self.plains[name] = replace(
                family,
                name=name,
                encoding=encoding,
                # a second encoding of a declared family is not that family any more, only its content
                declared=family.declared and name == ref.family,
            )
        return ops.PlainRef(name, ref.indices)

    def times(self, op: ops.Op, state: State, ref: ops.PlainRef) -> tuple[ops.Op, State]:
        op, state = self.settled(op, state)
        plain = self.plain(ref, Encoding(state.level, state.pending, False))
        return ops.MulPlain(op, plain), State(state.level, state.pending + 1)

    def raised(self, op: ops.Op, state: State, span: Span) -> tuple[ops.Op, State]:
        """One product more behind it: times the constant 1."""
        if self._one is None:
            self._one = self.fresh("one")
        ref = ops.PlainRef(self._one, ())
        one = Const(Fraction(1), Fraction(0), span)
        known = dict(self.schedule.plains)
        if self._one not in known:
            known[self._one] = ops.PlainFamily(self._one, (), one, (), span)
            self.schedule = replace(self.schedule, plains=known)
        return self.times(op, state, ref)

    def aligned(self, parts: list[tuple[ops.Op, State]], span: Span) -> tuple[list[ops.Op], State]:
        """Operands with equal state."""
        depth = self.schedule.depth_of
        total = max(depth(s) for _, s in parts)
        raised = []
        for op, state in parts:
            while depth(state) < total:
                op, state = self.raised(op, state, span)
            raised.append((op, state))
        if len({s for _, s in raised}) > 1:
            raised = [self.settled(op, state) for op, state in raised]
        return [op for op, _ in raised], raised[0][1]

    def key_switched(self, op: ops.Op, span: Span) -> tuple[ops.Op, State]:
        """An operand of key switches."""
        op, state = self.settled(*self.op(op, span))
        self.turns_fresh = self.turns_fresh or state == State(0, 0)
        return op, state

    def op(self, op: ops.Op, span: Span) -> tuple[ops.Op, State]:
        match op:
            case ops.Ref(name):
                return op, self.states[name]
            case ops.Add(operands):
                values, state = self.aligned([self.op(o, span) for _, o in operands], span)
                return ops.Add(tuple((s, v) for (s, _), v in zip(operands, values, strict=True))), state
            case ops.AddPlain(value, plain, sign):
                inner, state = self.op(value, span)
                ref = self.plain(plain, Encoding(state.level, state.pending, True))
                return ops.AddPlain(inner, ref, sign), state
            case ops.MulPlain(value, plain):
                return self.times(*self.op(value, span), plain)
            case ops.Mul(left, right):
                (a, x), (b, y) = self._factors([self.op(o, span) for o in (left, right)], span)
                return ops.Mul(a, b), State(x.level, x.pending + y.pending + 1)
            case ops.Rescale():
                raise AssertionError("rescales are placed here and nowhere before")
            case _:
                (operand,) = ops.children(op)
                enter = self.key_switched if isinstance(op, ops.SwitchesKeys) else self.op
                inner, state = enter(operand, span)
                return ops.rebuilt(op, lambda _: inner), state

    def _factors(self, parts: list[tuple[ops.Op, State]], span: Span) -> list[tuple[ops.Op, State]]:
        """Two ciphertexts to multiply, at one level. Their product carries the scales of both: where that is more than
        a prime is dropped for, they are brought to the next level before."""
        parts = [self.settled(op, state) for op, state in parts]
        level = max(s.level for _, s in parts)
        parts = [self._lowered(op, state, level, span) for op, state in parts]
        carried = State(level, sum(s.pending for _, s in parts) + 1)
        if any(self.schedule.depth_of(carried) > due for due in self._due(level)):
            parts = [self._lowered(op, state, level + 1, span) for op, state in parts]
        return parts

    def _lowered(self, op: ops.Op, state: State, level: int, span: Span) -> tuple[ops.Op, State]:
        while state.level < level:
            op, state = self.settled(*self.raised(op, state, span))
        return op, state


def assign_levels(schedule: ops.Schedule, fresh: Callable[[str], str]) -> ops.Schedule:
    """The schedule with rescales, equal scales in every sum, and the encoding of every plaintext. Of its ``drops``
    those are left that some ciphertext comes to."""
    levels = _Levels(schedule, fresh)
    ciphers = tuple(levels.family(f) for f in schedule.ciphers)
    assigned = replace(
        schedule,
        ciphers=ciphers,
        plains=levels.plains,
        states=levels.states,
        turns_fresh=levels.turns_fresh,
    )
    return replace(assigned, drops=tuple(takewhile(lambda product: product <= assigned.depth, schedule.drops)))


def drops_results(schedule: ops.Schedule) -> bool:
    """Whether what is returned can drop primes as the last thing that is done: all of it has the same products behind
    it, as many as any ciphertext, and is computed for nothing else."""
    returned = {output.family.name for output in schedule.outputs}
    bodies = [family.body for family in schedule.ciphers if family.name in returned]
    if any(body is None or isinstance(body, ops.Ladder) for body in bodies):
        return False
    if not returned.isdisjoint(name for family in schedule.ciphers for name in ops.references(family.body)):
        return False
    states = {schedule.states[name] for name in returned}
    return len(states) == 1 and schedule.depth_of(*states) == schedule.depth > 0


def with_results_dropped(schedule: ops.Schedule, count: int) -> ops.Schedule:
    """The schedule that drops ``count`` primes more of what is returned. Raises SL404 where it can't."""
    if not count:
        return schedule
    if not drops_results(schedule):
        raise error(
            "SL404",
            f"the results of '{schedule.program.name}' can't drop primes",
            schedule.program.span,
            notes=["they can where all are computed, have the same products behind them, and nothing else reads them"],
            hint="leave out `results`, and the drops that it counts",
        )
    returned = {output.family.name for output in schedule.outputs}
    (state,) = {schedule.states[name] for name in returned}

    def dropped(family: ops.CipherFamily) -> ops.CipherFamily:
        body = family.body
        if family.name not in returned or body is None:
            return family
        for _ in range(count):
            body = ops.Rescale(body)
        return replace(family, body=body)

    below = State(state.level + count, 0)
    return replace(
        schedule,
        ciphers=tuple(map(dropped, schedule.ciphers)),
        states={**schedule.states, **dict.fromkeys(returned, below)},
        drops=(*schedule.drops, *[schedule.depth] * count),
        results=count,
    )
