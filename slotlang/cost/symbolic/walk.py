"""The operations of a schedule with what each computes, loops kept: one entry for each place, none for its members."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Literal, TypeAlias

from slotlang.cost.symbolic.sizes import Decisions, NoFormula, plain
from slotlang.cost.symbolic.steps import ONE, ZERO, Steps, difference, numbers, single
from slotlang.cost.symbolic.values import Box, Coordinate, Shapes, Value, extent, linear
from slotlang.meaning.integers import Cmp, Int, IntConst, IntOp, IntSize, IntVar, add, mul, neg, substitute, variables
from slotlang.proof.forall.condition_kinds import sizes_in
from slotlang.schedule import ops
from slotlang.source import Span

Kind: TypeAlias = Literal[
    "mul_plain",
    "add_plain",
    "mul",
    "relinearize",
    "neg",
    "conj",
    "rescale",
    "rotate",
    "ladder",
    "sum",
    "tree",
    "horner",
    "doubling",
    "add",
]


_OVERLAP = "rotations of one vector by several statements overlap"


@dataclass(frozen=True)
class Site:
    """One operation of the schedule. ``value``: what it computes; ``operands``: of what; ``box``: the loops around it;
    ``terms``: how many it adds up, or rotates one from the other; ``steps``: what it rotates by;
    ``signs``: those of its operands, where they are added and subtracted."""

    kind: Kind
    value: Value
    operands: tuple[Value, ...]
    box: Box
    span: Span
    terms: Int = ONE
    steps: Steps | None = None
    plain: ops.PlainRef | None = None
    signs: tuple[int, ...] = ()


class Walk:
    """Every operation of a schedule, at the sizes of ``decisions``. Raises ``NoFormula`` for what it does not cover."""

    def __init__(self, schedule: ops.Schedule, decisions: Decisions) -> None:
        self.schedule, self.decisions = schedule, decisions
        self.slots = schedule.program.slots_expr
        self.shapes = Shapes()
        self.sites: list[Site] = []
        self.values: dict[str, Value] = {}
        # of each shape, how many primes its vectors have dropped
        self.levels: dict[int, int] = {}
        self._loops: dict[str, Box] = {}
        self._span = schedule.program.span
        if schedule.networks:
            self._pin()
        for cond in schedule.decided:
            decisions.compare(plain(cond.left), cond.op, plain(cond.right))
        for family in schedule.ciphers:
            self._span, self._loops[family.name] = family.span, family.loops
            if family.body is None:
                indices = tuple(Coordinate(IntVar(loop.var)) for loop in family.loops)
                value = Value(self.shapes.number(("cipher", family.name)), indices)
                self.levels[value.shape] = 0
            else:
                value = self._op(family.body, family.loops)
            self.values[family.name] = value

    def _pin(self) -> None:
        """A network is found for a permutation of numbers: it holds where the sizes that make it are the same."""
        program = self.schedule.program
        expressions = [program.slots_expr]
        for permutation in program.permutations.values():
            if permutation.expression is not None:
                expressions.append(permutation.expression)
        digits = [program.digits[v] for e in expressions for v in sorted(variables(e)) if v in program.digits]
        expressions += [e for digit in digits for e in (digit.extent, digit.stride)]
        names = sorted({name for e in expressions for name in sizes_in(e)})
        for name in names:
            self.decisions.compare(IntSize(name), "==", IntConst(program.sizes[name]))

    def member(self, name: str, indices: tuple[Int, ...]) -> Value:
        """A member of a family of ciphertexts."""
        return self.values[name].at({loop.var: i for loop, i in zip(self._loops[name], indices, strict=True)})

    def _site(self, kind: Kind, value: Value, operands: tuple[Value, ...], box: Box, **others: object) -> Value:
        self.sites.append(Site(kind, value, operands, box, self._span, **others))  # type: ignore[arg-type]
        self.levels.setdefault(value.shape, self.levels[operands[0].shape] + (kind == "rescale"))
        return value

    def _op(self, op: ops.Op, box: Box) -> Value:
        match op:
            case ops.Ref(name, indices):
                return self.member(name, indices)
            case ops.MulPlain(inner, ref):
                return self._with_plain("mul_plain", self._op(inner, box), ref, 0, box)
            case ops.AddPlain(inner, ref, sign):
                return self._with_plain("add_plain", self._op(inner, box), ref, sign, box)
            case ops.Mul(left, right):
                a, b = self._op(left, box), self._op(right, box)
                if a.shape == b.shape and a != b:
                    raise NoFormula("products of ciphertexts of one shape may be equal in either order", self._span)
                if a.shape > b.shape:
                    a, b = b, a
                number = self.shapes.number(("mul", a.shape, b.shape))
                return self._site("mul", Value(number, a.coordinates + b.coordinates), (a, b), box)
            case ops.Neg(inner) | ops.Conjugate(inner) | ops.Relinearize(inner) | ops.Rescale(inner):
                value = self._op(inner, box)
                kind: Kind = "rescale" if isinstance(op, ops.Rescale) else op.kind  # type: ignore[assignment]
                return self._site(
                    kind, Value(self.shapes.number((kind, value.shape)), value.coordinates), (value,), box
                )
            case ops.Rotate(inner, amount, None):
                return self._rotated(self._op(inner, box), amount, box)
            case ops.Rotate(inner, amount, table):
                assert table is not None
                return self._stage(self._op(inner, box), amount, table, box)
            case ops.Ladder():
                return self._ladder(op, box)
            case ops.Sum(loop, body, tree):
                return self._sum(loop, self._op(body, (*box, loop)), "tree" if tree else "sum", box)
            case ops.Horner(loop, body, _, written):
                assert written is not None
                return self._horner(loop, self._op(body, (*box, loop)), written, box)
            case ops.Doubling(inner, written=written):
                assert written is not None
                return self._doubling(self._op(inner, box), *written, box)
            case ops.Add(operands):
                return self._add([(sign, self._op(o, box)) for sign, o in operands], box)

    def _with_plain(self, kind: Kind, value: Value, ref: ops.PlainRef, sign: int, box: Box) -> Value:
        number = self.shapes.number((kind, value.shape, ref.family, sign))
        coordinates = value.coordinates + tuple(Coordinate(i) for i in ref.indices)
        return self._site(kind, Value(number, coordinates), (value,), box, plain=ref)

    # rotations

    def _rotated(self, value: Value, amount: Int, box: Box) -> Value:
        loops = [loop for loop in box if loop.var in variables(amount)]
        steps = self._constant(amount) if not loops else self._steps(amount, loops)
        if steps is None:
            return value
        along = [loop.var for loop in loops if loop.var in value.variables()]
        # by 0, it would be the vector itself
        by_zero = bool(loops) and self.decisions.value(steps.count) < prod(loop.size for loop in loops)
        if len(loops) == 1 and not along:
            if by_zero and steps.first == steps.step:
                return self._few(value, loops[0], steps, box)
            if not by_zero:
                self._no_ladder(loops[0])
        if along and len(loops) > 1:
            raise NoFormula("a rotation goes with several variables, one of them of its vector", self._span)
        number = self.shapes.number(("rotate", value.shape, by_zero), value.shape if by_zero else None)
        turned = Value(number, (*value.coordinates, Coordinate(amount, True)))
        return self._site("rotate", turned, (value,), box, steps=steps, terms=steps.count)

    def _few(self, value: Value, loop: ops.Loop, steps: Steps, box: Box) -> Value:
        if loop.size > 2:
            raise NoFormula(_OVERLAP, self._span)
        return self._rungs(value, loop, steps.step, box)

    def _no_ladder(self, loop: ops.Loop) -> None:
        """Rotations in equal steps that are not a ladder: three and more would be one, if nothing is in the way."""
        self.decisions.need(extent(loop), "<=", IntConst(2), _OVERLAP, self._span)

    def _stage(self, value: Value, index: Int, table: tuple[int, ...], box: Box) -> Value:
        """Rotations by the steps of a network's stage, which are numbers."""
        slots = self.decisions.value(self.slots)
        steps = tuple(sorted({k % slots for k in table} - {0}))
        by_zero = len(steps) < len(table)
        number = self.shapes.number(("stage", value.shape, table), value.shape if by_zero else None)
        turned = Value(number, (*value.coordinates, Coordinate(index)))
        found = numbers(steps)
        return self._site("rotate", turned, (value,), box, steps=found, terms=found.count)

    def _constant(self, amount: Int) -> Steps | None:
        """None for a rotation by a multiple of slots."""
        step, slots = self.decisions.value(amount), self.decisions.value(self.slots)
        if step % slots == 0:
            self.decisions.compare(IntOp("%", plain(amount), self.slots), "==", ZERO)
            return None
        self._between(amount, amount)
        return single(amount)

    def _between(self, first: Int, last: Int) -> None:
        """All steps from the least to the largest lie between 0 and slots, or between -slots and 0."""
        decisions = self.decisions
        reason = "rotations may go past a full turn, where some vanish or are equal"
        first, last = plain(first), plain(last)
        if decisions.value(first) > 0:
            decisions.need(first, ">", ZERO, reason, self._span)
            decisions.need(last, "<", self.slots, reason, self._span)
        else:
            decisions.need(last, "<", ZERO, reason, self._span)
            decisions.need(neg(first), "<", self.slots, reason, self._span)

    def _steps(self, amount: Int, loops: list[ops.Loop]) -> Steps | None:
        """The steps of a rotation by an amount that changes with loops, 0 left out."""
        decisions = self.decisions
        found = linear(amount, loops, decisions)
        if found is None:
            raise NoFormula("a rotation is not linear in its loop variables", self._span)
        *outer, (loop, step) = found.parts
        count = extent(loop)
        for other, factor in reversed(outer):
            # digits of one number: the amount is a multiple of it
            if decisions.value(factor) != decisions.value(mul(step, count)):
                raise NoFormula("rotations by sums of several loop variables may be equal", self._span)
            decisions.compare(plain(factor), "==", plain(mul(step, count)))
            count = mul(extent(other), count)
        self._sign(step)
        fewer = difference(count, ONE)
        last = add(found.base, mul(step, fewer))
        if decisions.value(found.base) == 0:
            decisions.compare(found.base, "==", ZERO)
            self._whole_turn(step, fewer)
            return Steps("range", step, step, fewer)
        if decisions.value(last) == 0:
            decisions.compare(plain(last), "==", ZERO)
            self._whole_turn(step, fewer)
            return Steps("range", found.base, step, fewer)
        self._between(*((found.base, last) if decisions.value(step) > 0 else (last, found.base)))
        return Steps("range", found.base, step, count)

    def _sign(self, step: Int) -> None:
        if not self.decisions.compare(plain(step), ">", ZERO):
            self.decisions.need(plain(step), "<", ZERO, "a rotation by 0 vanishes", self._span)

    def _whole_turn(self, step: Int, times: Int) -> None:
        """A rotation repeated this often is less than a full turn."""
        size = step if self.decisions.value(step) > 0 else neg(step)
        reason = "rotations may go past a full turn, where some vanish or are equal"
        self.decisions.need(plain(mul(size, times)), "<", self.slots, reason, self._span)

    def _turning(self, terms: Int, step: Int, times: Int) -> None:
        """What is asked of a sum whose terms are rotated one from the other; nothing of a single term."""
        if self.decisions.value(terms) > 1:
            self._sign(step)
            # that all together are less than a full turn is often shown where that each is, is not: of a single term
            every = Cmp("<", plain(mul(step, difference(terms, ONE))), self.slots)
            if not self.decisions.all.always(every):
                self._whole_turn(step, times)
        else:
            self.decisions.compare(plain(terms), "<=", ONE)

    def _ladder(self, op: ops.Ladder, box: Box) -> Value:
        value = self._op(op.value, box)
        assert op.written is not None
        loop = next(loop for loop in box if loop.var == op.var)
        fewer = difference(extent(loop), ONE)
        self._sign(op.written)
        if op.base == ZERO:
            self._whole_turn(op.written, fewer)
        else:
            self.decisions.need(extent(loop), ">", IntConst(2), _OVERLAP, self._span)
            self.decisions.need(op.base, "!=", op.written, _OVERLAP, self._span)
            ends = op.base, add(op.base, mul(op.written, fewer))
            self._between(*(ends if op.step > 0 else ends[::-1]))
        return self._rungs(value, loop, op.written, box)

    def _rungs(self, value: Value, loop: ops.Loop, step: Int, box: Box) -> Value:
        # rotations one from the other are those of the vector itself only up to the first
        number = self.shapes.number(("ladder", value.shape, plain(step)), value.shape, extent(loop))
        turned = Value(number, (*value.coordinates, Coordinate(mul(step, IntVar(loop.var)), True)))
        return self._site("ladder", turned, (value,), box, steps=single(step), terms=extent(loop))

    # sums

    def _sum(self, loop: ops.Loop, body: Value, kind: Kind, box: Box) -> Value:
        value = self._closed(body, loop, (kind,))
        return self._site(kind, value, (body,), (*box, loop), terms=extent(loop))

    def _closed(self, body: Value, loop: ops.Loop, key: tuple[object, ...]) -> Value:
        """What a sum over a loop computes."""
        number = self.shapes.number((*key, body.shape, plain(extent(loop))), body.shape, extent(loop))
        depth = len({v for c in body.coordinates for v in variables(c.index) if v.startswith("#")})
        return Value(number, body.at({loop.var: IntVar(f"#{depth}")}).coordinates)

    def _horner(self, loop: ops.Loop, body: Value, step: Int, box: Box) -> Value:
        self._turning(extent(loop), step, ONE)
        value = self._closed(body, loop, ("horner", plain(step)))
        return self._site("horner", value, (body,), (*box, loop), terms=extent(loop), steps=single(step))

    def _doubling(self, value: Value, step: Int, count: Int, radix: Int, box: Box) -> Value:
        self._turning(count, step, difference(count, ONE))
        key = ("doubling", value.shape, plain(step), plain(count), plain(radix))
        number = self.shapes.number(key, value.shape, count)
        doubled = Value(number, value.coordinates)
        steps = Steps("doubling", step, step, count, radix=radix)
        return self._site("doubling", doubled, (value,), box, terms=count, steps=steps)

    def _add(self, operands: list[tuple[int, Value]], box: Box) -> Value:
        for sign, value in operands:
            for other, subtracted in operands:
                if sign > 0 > other and self.shapes.may_meet(value.shape, subtracted.shape):
                    raise NoFormula("what is subtracted may be what is added", self._span)
        signs = tuple(sign for sign, _ in operands)
        number = self.shapes.number(("add", signs, *(value.shape for _, value in operands)))
        coordinates = tuple(c for _, value in operands for c in value.coordinates)
        values = tuple(value for _, value in operands)
        return self._site("add", Value(number, coordinates), values, box, terms=IntConst(len(operands)), signs=signs)


def renamed_last(value: Value, loop: ops.Loop) -> Value:
    """A value at the last round of a loop."""
    last = difference(extent(loop), ONE)
    return Value(
        value.shape, tuple(Coordinate(substitute(c.index, {loop.var: last}.get), c.modular) for c in value.coordinates)
    )


def plain_refs(sites: list[Site]) -> Iterator[ops.PlainRef]:
    """Every mention of a plaintext."""
    return (site.plain for site in sites if site.plain is not None)
