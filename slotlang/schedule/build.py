"""From a program to its schedule: sums evaluated as their ``by`` says, permutations as networks."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from slotlang.diagnostics import error
from slotlang.meaning.integers import (
    Cmp,
    Int,
    IntConst,
    IntOp,
    IntVar,
    add,
    evaluate,
    mul,
    neg,
    substitute,
    variables,
)
from slotlang.meaning.program import Family, Program
from slotlang.meaning.value import (
    Arith,
    Conj,
    Const,
    FamilyRef,
    Negate,
    Permuted,
    Shift,
    SumOver,
    Value,
    free_variables,
    nodes,
    renamed,
    sum_variables,
)
from slotlang.schedule import doubling, ops
from slotlang.schedule.fusion import fused
from slotlang.schedule.hoist import free_loops, hoist
from slotlang.schedule.levels import assign_levels, with_results_dropped
from slotlang.schedule.permutation import Network, plan
from slotlang.schedule.relinearization import relinearised
from slotlang.schedule.simpler import added, needed, rotate
from slotlang.source import Span

MAX_NETWORK_LEVELS = 12
"""Deepest permutation network considered: what 128-bit parameters of degree 32768 can hold."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """Loops in force, what loop variables of the source stand for, and a pending rotation (``by bsgs``
    moves rotations from sums to leaves)."""

    loops: tuple[ops.Loop, ...]
    env: Mapping[str, Int]
    shift: Int

    def index(self, e: Int) -> Int:
        return substitute(e, self.env.get)


class _Builder:
    def __init__(self, program: Program, max_levels: int) -> None:
        self.program = program
        self.max_levels = max_levels
        self.plains: dict[str, ops.PlainFamily] = {}
        self.ciphers: list[ops.CipherFamily] = []
        self.networks: dict[str, Network] = {}
        self.decided: list[Cmp] = []
        self._known: dict[tuple[object, ...], str] = {}
        self._taken = {*program.families, *program.tensors, *program.sizes, *program.digits, *program.scalars}
        for family in program.families.values():
            self._taken.update(b.name for b in family.binders)
            self._taken.update(sum_variables(family.body))
        self._stem = ""

    def fresh(self, stem: str) -> str:
        name, n = stem, 1
        while name in self._taken:
            n += 1
            name = f"{stem}{n}"
        self._taken.add(name)
        return name

    def run(self) -> None:
        for step in self.program.steps:
            if isinstance(step, Family):
                self._family(step)

    def _family(self, family: Family) -> None:
        loops = tuple(ops.Loop(b.name, b.size, b.extent) for b in family.binders)
        if family.kind == "plain":
            self.plains[family.name] = ops.PlainFamily(family.name, loops, family.body, (), family.span, declared=True)
            return
        body = None
        if family.kind == "compute":
            self._stem = family.name
            frame = _Frame(loops, {loop.var: IntVar(loop.var) for loop in loops}, IntConst(0))
            body = self.op(family.body, frame)
        self.ciphers.append(ops.CipherFamily(family.name, loops, body, family.name, family.span))

    # plain operands

    def is_plain(self, value: Value) -> bool:
        return not self.program.encrypted(value)

    def plain(self, value: Value, frame: _Frame) -> ops.PlainRef:
        """A plain operand as a member of a plain family, made for it when it is not simply one."""
        value = renamed(value, frame.env)
        if frame.shift != IntConst(0):
            value = Shift(value, frame.shift, value.span)
        if isinstance(value, FamilyRef):
            return ops.PlainRef(value.name, value.indices)
        return self._plain_family(value, (), frame.loops, value.span)

    def _plain_family(
        self,
        body: Value | None,
        masks: tuple[tuple[ops.MaskOf, Int], ...],
        loops: tuple[ops.Loop, ...],
        span: Span,
    ) -> ops.PlainRef:
        used = free_variables(body) if body is not None else frozenset()
        for mask, shift in masks:
            used |= variables(mask.index) | variables(shift)
        own = tuple(loop for loop in loops if loop.var in used)
        key = (body, masks, own)
        name = self._known.get(key)
        if name is None:
            name = self._known[key] = self.fresh(f"{self._stem}_{'mask' if masks else 'plain'}")
            self.plains[name] = ops.PlainFamily(name, own, body, masks, span)
        return ops.PlainRef(name, tuple(IntVar(loop.var) for loop in own))

    def _content(self, ref: ops.PlainRef) -> tuple[Value | None, tuple[tuple[ops.MaskOf, Int], ...]]:
        """What a plain reference holds, as a value to build others from."""
        family = self.plains[ref.family]
        if family.declared:
            return FamilyRef(ref.family, ref.indices, family.span), ()
        env = {loop.var: index for loop, index in zip(family.loops, ref.indices, strict=True)}
        body = None if family.body is None else renamed(family.body, env)
        masks = tuple((replace(m, index=substitute(m.index, env.get)), substitute(s, env.get)) for m, s in family.masks)
        return body, masks

    def merged(
        self, a: ops.PlainRef, b: ops.PlainRef, b_shift: Int, loops: tuple[ops.Loop, ...], span: Span
    ) -> ops.PlainRef:
        """The plaintext ``a * (b << b_shift)``."""
        body_a, masks_a = self._content(a)
        body_b, masks_b = self._content(b)
        if b_shift != IntConst(0):
            body_b = None if body_b is None else Shift(body_b, b_shift, span)
            masks_b = tuple((m, add(s, b_shift)) for m, s in masks_b)
        body = body_a if body_b is None else body_b if body_a is None else Arith("*", body_a, body_b, span)
        return self._plain_family(body, masks_a + masks_b, loops, span)

    # ciphertext operations

    def rotated(self, op: ops.Op, amount: Int) -> ops.Op:
        return rotate(op, amount, self.program.sizes, self.decided)

    def op(self, value: Value, frame: _Frame) -> ops.Op:
        """The operations that compute a value that holds a ciphertext."""
        match value:
            case FamilyRef(name, indices):
                return self.rotated(ops.Ref(name, tuple(frame.index(i) for i in indices)), frame.shift)
            case Negate(inner):
                return ops.Neg(self.op(inner, frame))
            case Conj(inner):
                return ops.Conjugate(self.op(inner, frame))
            case Shift(inner, amount):
                return self._shift(inner, frame.index(amount), frame)
            case Arith("*", left, right):
                return self._product(left, right, frame, value.span)
            case Arith(sign, left, right):
                return self._added(1 if sign == "+" else -1, left, right, frame)
            case SumOver():
                return self._sum(value, frame)
            case Permuted(inner, name, inverse):
                return self._permuted(inner, name, inverse, frame, value.span)
            case _:
                raise AssertionError(f"{type(value).__name__} holds no ciphertext")

    def _shift(self, inner: Value, amount: Int, frame: _Frame) -> ops.Op:
        if frame.shift != IntConst(0):
            # a rotation being moved to the leaves meets one on its way: they add up
            return self.op(inner, replace(frame, shift=add(frame.shift, amount)))
        return self.rotated(self.op(inner, frame), amount)

    def _added(self, sign: int, left: Value, right: Value, frame: _Frame) -> ops.Op:
        if self.is_plain(right):
            return ops.AddPlain(self.op(left, frame), self.plain(right, frame), sign)
        if self.is_plain(left):
            other = self.op(right, frame)
            return ops.AddPlain(other if sign > 0 else ops.Neg(other), self.plain(left, frame), 1)
        return added([(1, self.op(left, frame)), (sign, self.op(right, frame))])

    def _product(self, left: Value, right: Value, frame: _Frame, span: Span) -> ops.Op:
        if self.is_plain(right):
            cipher, plain = left, right
        elif self.is_plain(left):
            cipher, plain = right, left
        else:
            return ops.Mul(self.op(left, frame), self.op(right, frame))
        operand = self.op(cipher, frame)
        if isinstance(plain, Const) and not plain.im and abs(plain.re) == 1:
            return operand if plain.re > 0 else ops.Neg(operand)
        factor = self.plain(plain, frame)
        changes = frozenset().union(*map(variables, factor.indices))
        if changes <= free_loops(operand):
            pushed = self.push(operand, factor, IntConst(0), frame.loops, span)
            if pushed is not None:
                return pushed
        # a factor that changes in a loop in which the operand does not would multiply its products
        return ops.MulPlain(operand, factor)

    def push(
        self, op: ops.Op, factor: ops.PlainRef, shift: Int, loops: tuple[ops.Loop, ...], span: Span
    ) -> ops.Op | None:
        """``op * (factor << shift)`` with the factor merged into plaintexts that ``op`` multiplies by anyway:
        a product and a level less. None when some part of ``op`` has no such plaintext."""
        match op:
            case ops.MulPlain(value, plain):
                return ops.MulPlain(value, self.merged(plain, factor, shift, loops, span))
            case ops.Neg(value):
                inner = self.push(value, factor, shift, loops, span)
                return None if inner is None else ops.Neg(inner)
            case ops.Add(operands):
                parts = [(s, self.push(o, factor, shift, loops, span)) for s, o in operands]
                if any(p is None for _, p in parts):
                    return None
                return ops.Add(tuple((s, p) for s, p in parts if p is not None))
            case ops.Sum(loop, body, tree):
                inner = self.push(body, factor, shift, (*loops, loop), span)
                return None if inner is None else ops.Sum(loop, inner, tree)
            case ops.Rotate(value, amount, None):
                inner = self.push(value, factor, add(shift, neg(amount)), loops, span)
                return None if inner is None else ops.Rotate(inner, amount)
            case _:
                return None

    def _permuted(self, inner: Value, name: str, inverse: bool, frame: _Frame, span: Span) -> ops.Op:
        if frame.shift != IntConst(0):
            raise error(
                "SL403",
                "`by bsgs` can't move a rotation across a permutation",
                span,
                hint="name the permuted vector in a statement of its own",
            )
        key = f"inverse({name})" if inverse else name
        if key not in self.networks:
            self.networks[key] = self._network(name, inverse, span)
        current = self.op(inner, frame)
        for number, stage in enumerate(self.networks[key].stages):
            if not stage.levels:
                current = self.rotated(current, IntConst(stage.steps[0]))
                continue
            current = self._named(current, frame, span)
            var = self.fresh("k")
            loop = ops.Loop(var, len(stage.steps))
            mask = (ops.MaskOf(key, number, IntVar(var)), IntConst(0))
            plain = self._plain_family(None, (mask,), (*frame.loops, loop), span)
            rotated = ops.Rotate(current, IntVar(var), stage.steps)
            current = ops.Sum(loop, ops.MulPlain(rotated, plain), False)
        return current

    def _network(self, name: str, inverse: bool, span: Span) -> Network:
        import numpy as np

        destination = self.program.permutations[name].destination
        if inverse:
            back = np.empty_like(destination)
            back[destination] = np.arange(destination.size)
            destination = back
        try:
            return plan(destination, self.max_levels)
        except ValueError as problem:
            raise error("SL402", f"permutation '{name}' can't be lowered: {problem}", span) from None

    def _named(self, op: ops.Op, frame: _Frame, span: Span) -> ops.Op:
        """``op`` under a name of its own, since it is used several times."""
        if isinstance(op, ops.Ref):
            return op
        name = self.fresh(f"{self._stem}_step")
        loops = tuple(loop for loop in frame.loops if loop.var in free_loops(op))
        self.ciphers.append(ops.CipherFamily(name, loops, op, self._stem, span))
        return ops.Ref(name, tuple(IntVar(loop.var) for loop in loops))

    # sums

    def _sum(self, value: SumOver, frame: _Frame) -> ops.Op:
        size = self._int(value.extent)
        var = value.var
        if any(loop.var == var for loop in frame.loops):
            var = self.fresh(var)
        loop = ops.Loop(var, size, value.extent)
        inner = replace(frame, loops=(*frame.loops, loop), env={**frame.env, value.var: IntVar(var)})
        match value.how:
            case None | "tree":
                return ops.Sum(loop, self.op(value.body, inner), value.how == "tree")
            case "horner":
                body, written, base = self._stepping(value, inner, var)
                moved = replace(inner, shift=IntConst(0))
                result: ops.Op = ops.Horner(loop, self.op(body, moved), self._int(written), written)
                return self.rotated(result, add(base, frame.shift))
            case "doubling":
                body, written, base = self._stepping(value, inner, var)
                if value.var in free_variables(body):
                    raise error(
                        "SL401",
                        "`by doubling` adds rotations of one vector, and this one depends on the loop",
                        body.span,
                        hint="`by horner` or `by tree` take a vector that changes with the loop variable",
                    )
                op = self.op(body, replace(frame, shift=IntConst(0)))
                radix = value.argument or doubling.RADIX
                texts = (written, value.extent, value.written or IntConst(radix))
                return self.rotated(ops.Doubling(op, self._int(written), size, radix, texts), add(base, frame.shift))
            case _:
                return self._bsgs(value, frame, size)

    def _int(self, e: Int) -> int:
        return int(evaluate(e, self.program.sizes, {}))

    def _stepping(self, value: SumOver, inner: _Frame, var: str) -> tuple[Value, Int, Int]:
        """``sum v: body << (base + v*step)`` taken apart."""
        body = value.body
        if not isinstance(body, Shift):
            raise error(
                "SL401",
                f"`by {value.how}` needs a sum of rotations",
                value.body.span,
                hint=f"sum {value.var} < ... by {value.how}: (...) << {value.var}*step",
            )
        step, base = self._linear(inner.index(body.amount), var, body.span, str(value.how))
        return body.value, step, base

    def _linear(self, amount: Int, var: str, span: Span, how: str) -> tuple[Int, Int]:
        split = ops.linear(amount, var)
        if split is None:
            raise error(
                "SL401",
                f"`by {how}` needs rotations in equal steps",
                span,
                hint=f"the amount must be a multiple of {var} plus what does not depend on it",
            )
        return split

    def _bsgs(self, value: SumOver, frame: _Frame, size: int) -> ops.Op:
        """Baby steps rotate the operands, giant steps the partial sums:
        sum_q E(q) = sum_g (sum_b E(g*n + b) >> g*n*k) << g*n*k, the inner shift moved to the leaves."""
        n = min(value.argument or 1, size)
        wanted = IntConst(value.argument or 1) if value.written is None else value.written
        written = wanted if n == value.argument else value.extent
        step = self._step_of(value, frame)
        full, rest = divmod(size, n)
        self.decided.append(Cmp("<=" if n == value.argument else ">", wanted, value.extent))
        self.decided.append(Cmp(">=" if rest else "==", IntOp("%", value.extent, written), IntConst(int(rest > 0))))
        babies = IntConst(n, written)
        whole = IntConst(full, IntOp("//", value.extent, written))
        giant_step = mul(babies, step)
        assert isinstance(giant_step, IntConst)

        def part(giant: Int, extent: IntConst, loops: tuple[ops.Loop, ...]) -> ops.Op:
            var = self.fresh(f"{value.var}_baby")
            loop = ops.Loop(var, extent.value, extent)
            q = add(mul(giant, babies), IntVar(var))
            turn = mul(giant, giant_step)
            inner = _Frame((*loops, loop), {**frame.env, value.var: q}, add(frame.shift, neg(turn)))
            return ops.Sum(loop, self.op(value.body, inner), False)

        parts: list[ops.Op] = []
        if full:
            var = self.fresh(f"{value.var}_giant")
            loop = ops.Loop(var, full, whole)
            inside = part(IntVar(var), babies, (*frame.loops, loop))
            parts.append(ops.Horner(loop, inside, giant_step.value, giant_step))
        if rest:
            left = IntConst(rest, IntOp("%", value.extent, written))
            parts.append(self.rotated(part(whole, left, frame.loops), mul(whole, giant_step)))
        return added([(1, p) for p in parts])

    def _step_of(self, value: SumOver, frame: _Frame) -> IntConst:
        steps: dict[int, Int] = {}

        for node in nodes(value.body):
            match node:
                case Shift(inner, amount) if value.var in variables(amount) and not self.is_plain(inner):
                    written = self._linear(amount, value.var, node.span, "bsgs")[0]
                    steps.setdefault(self._int(written), written)

        if len(steps) != 1:
            raise error(
                "SL401",
                "`by bsgs` needs rotations in equal steps"
                if not steps
                else f"`by bsgs` needs one step, and this sum has {', '.join(map(str, steps))}",
                value.body.span,
                hint=f"sum {value.var} < ... by bsgs(n): (v << {value.var}*step) * w",
            )
        return next(IntConst(step, written) for step, written in steps.items())


EVERY = range(1, sys.maxsize)
"""Drops a prime after every product, whatever their number."""


def schedule(
    program: Program, drops: Sequence[int] = (), results: int = 0, *, max_levels: int = MAX_NETWORK_LEVELS
) -> ops.Schedule:
    """The operations that evaluate a program.

    ``drops``: after which of the products in a row a prime is dropped, counted from 1, ascending; more than there are
    do no harm. ``results``: how many primes more are dropped of what is returned, as the last thing that is done.
    ``max_levels`` bounds the depth of permutation networks.
    Raises ``SlotError`` SL401 to SL403 when a sum can't be evaluated as its ``by`` says or a permutation has
    no network within ``max_levels``, and SL404 where what is returned can drop no primes (``drops_results``).
    """
    builder = _Builder(program, max_levels)
    builder.run()
    ciphers = relinearised(hoist(needed(tuple(builder.ciphers), program), builder.fresh, program), program)
    built = ops.Schedule(program, builder.plains, ciphers, program.outputs, builder.networks, drops)
    built = replace(built, decided=tuple(dict.fromkeys(builder.decided)))
    return fused(with_results_dropped(assign_levels(built, builder.fresh), results), builder.fresh)
