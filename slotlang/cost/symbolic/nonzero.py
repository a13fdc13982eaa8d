"""Whether no plaintext of a schedule is zero whatever the weights: a slot of each that is not, for all members.

A slot is looked for among the first and the last values of the digits and those of the loop variables. What has to hold
there is shown for all sizes, or, where it is only true at some, kept as a condition.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product
from typing import TypeAlias

from slotlang.cost.symbolic.ranges import ends
from slotlang.cost.symbolic.sizes import Decisions, NoFormula, plain
from slotlang.cost.symbolic.steps import ONE, ZERO, difference
from slotlang.cost.symbolic.values import extent
from slotlang.cost.vanishing import Vanishing
from slotlang.meaning.deep import Steps, walked
from slotlang.meaning.integers import (
    SLOT,
    And,
    Cmp,
    Cond,
    Int,
    IntCall,
    IntConst,
    IntIf,
    IntOp,
    IntSize,
    IntVar,
    Not,
    Or,
    add,
    holds,
    mul,
    show,
    substitute,
    substitute_cond,
    variables,
    within,
)
from slotlang.meaning.program import Output
from slotlang.meaning.value import (
    Arith,
    Conj,
    Const,
    Element,
    FamilyRef,
    Iverson,
    Negate,
    Read,
    ScalarRef,
    Shift,
    SumOver,
    Value,
    nodes,
    renamed,
)
from slotlang.proof.forall.inequalities import Domain, NotNormal
from slotlang.proof.forall.polynomials import Poly
from slotlang.proof.forall.size_solver import Symbols
from slotlang.schedule import ops

MAX_SLOTS = 64
"""Slots looked at for one family."""
MAX_ALTERNATIVES = 256
"""Sets of conditions looked at for one slot: any one of them would do."""
MAX_MEMBERS = 1 << 12
"""Members at rotations that are looked at for one slot; of others none is known not to be zero."""
_OPPOSITE = {"<": ">=", ">=": "<", ">": "<=", "<=": ">", "==": "!=", "!=": "=="}

Extents = Mapping[str, Int]
_Known: TypeAlias = dict[tuple[str, tuple[Int, ...], Int], list[list[Cond]]]


class Nonzero:
    """The plaintexts of one schedule."""

    def __init__(self, schedule: ops.Schedule, decisions: Decisions) -> None:
        self.schedule, self.program, self.decisions = schedule, schedule.program, decisions
        self._last: dict[str, set[str]] = defaultdict(set)
        for returned, name in _last(schedule):
            self._last[name].add(returned)
        self._known: dict[object, bool] = {}
        self._vanishing = Vanishing(self.program)

    def check(self, names: Sequence[str]) -> None:
        """Raises ``NoFormula`` unless no member of these families is zero; what that takes is kept."""
        partly = [o for o in self.schedule.outputs if not self._everywhere(o)]
        for name in dict.fromkeys(names):
            family = self.schedule.plains[name]
            read = [[o for o in partly if o.family.name == returned] for returned in sorted(self._last[name])]
            read = [outputs for outputs in read if outputs]
            if family.body is None:
                if len(family.masks) > 1:
                    raise NoFormula(f"whether masks of '{name}' overlap depends on a permutation", family.span)
                continue
            if family.masks:
                raise NoFormula(f"whether '{name}' vanishes depends on a permutation", family.span)
            vanishing = any(self._vanishing.may_vanish(family.body))
            if vanishing or read:
                self._witness(family, read)

    def _everywhere(self, output: Output) -> bool:
        """Whether an output reads every slot of every member of its family."""
        family = self.program.families.get(output.family.name)
        if family is None:
            return False
        extents = {b.name: b.extent for b in output.binders}
        read = {i.name for i in output.family.indices if isinstance(i, IntVar)}
        covered = len(read) == len(family.binders) and all(
            isinstance(i, IntVar) and self._shown(Cmp("==", extents[i.name], b.extent), {})
            for i, b in zip(output.family.indices, family.binders, strict=True)
        )
        # more than all slots: digits of several axes as if they were independent
        slots = {SLOT: self.program.slots_expr, **{name: d.extent for name, d in self.program.digits.items()}}
        return covered and self._shown(self.program.read_where(output), {**extents, **slots})

    def _witness(self, family: ops.PlainFamily, read: Sequence[Sequence[Output]]) -> None:
        """A slot in which no member is zero, and which outputs read of each returned family that members are in."""
        assert family.body is not None
        extents = {loop.var: extent(loop) for loop in family.loops}
        somewhere: list[list[Cond]] = []
        for outputs in read:
            somewhere.append([self._read(output) for output in outputs])
            for output in outputs:
                extents |= {f"{b.name}!": b.extent for b in output.binders}
        for digits in islice(self._slots(family.body, extents), MAX_SLOTS):
            for parts in self._alternatives(family.body, digits):
                for choice in product(*somewhere):
                    trial = self.decisions.branch()
                    where = substitute_cond(And(choice), self._place(digits))
                    wanted = And((*parts, self._inside(digits), where))
                    if self._seen_to_hold(wanted, extents) and self._holds(wanted, extents, trial):
                        self.decisions.conditions.update(trial.conditions)
                        return
        raise NoFormula(f"some members of '{family.name}' may be zero whatever the weights", family.span)

    def _read(self, output: Output) -> Cond:
        """Where an output reads its family, by other names of its binders, which stand for all members."""
        reason = f"some members of '{output.family.name}' may be read nowhere"
        own = {b.name: b.extent for b in output.binders}
        for i, b in zip(output.family.indices, self.program.families[output.family.name].binders, strict=True):
            if not isinstance(i, IntVar):
                raise NoFormula(reason, output.span)
            self.decisions.need(own[i.name], "==", b.extent, reason, output.span)
        return substitute_cond(self.program.read_where(output), {name: IntVar(f"{name}!") for name in own}.get)

    # slots

    def _slots(self, body: Value, loops: Extents) -> Iterator[dict[str, Int]]:
        """Digits of slots to look at, in the axes that a definition uses."""
        used = {v for node in nodes(body) for v in _mentioned(node)}
        axes = next((a for a in self.program.axes if used & set(a)), self.program.axes[0] if self.program.axes else ())
        choices: list[list[Int]] = []
        for name in axes:
            last = difference(self.program.digits[name].extent, ONE)
            own: list[Int] = (
                [ZERO, *(IntVar(v) for v in loops if not v.endswith("!")), last] if name in used else [ZERO]
            )
            choices.append(own)
        for choice in product(*choices):
            yield dict(zip(axes, choice, strict=True))

    def _inside(self, digits: Mapping[str, Int]) -> Cond:
        names = list(digits)
        return And(within([digits[n] for n in names], [self.program.digits[n].extent for n in names]))

    def _place(self, digits: Mapping[str, Int], shift: Int = ZERO):  # type: ignore[no-untyped-def]
        """What variables of the slot stand for, at the slot of some digits, or so many slots further."""
        slot: Int = shift
        for name, value in digits.items():
            slot = add(slot, mul(value, self.program.digits[name].stride))
        if shift != ZERO:
            slot = IntOp("%", slot, self.program.slots_expr)

        def get(name: str) -> Int | None:
            if shift == ZERO and name in digits:
                return digits[name]
            return slot if name == SLOT else self.program.digit_of(slot, name)

        return get

    def _alternatives(self, value: Value, digits: Mapping[str, Int]) -> list[list[Cond]]:
        """Conditions each of which makes a value not zero in a slot, for weights in general position; at most
        ``MAX_ALTERNATIVES`` of them."""
        return walked(self._found(value, digits, ZERO, {}))

    def _found(self, value: Value, digits: Mapping[str, Int], shift: Int, known: _Known) -> Steps[list[list[Cond]]]:
        """``known``: of members, which may be read along many ways."""
        place = self._place(digits, shift)
        match value:
            case Const(re, im):
                return [[]] if re or im else []
            case ScalarRef():
                return [[]]
            case Iverson(condition):
                return [[substitute_cond(condition, place)]]
            case Read(tensor, indices, padded):
                at = tuple(substitute(i, place) for i in indices)
                decl = self.program.tensors[tensor]
                parts = list(within(at, decl.extents)) if padded else []
                if decl.pattern is not None:
                    parts.append(substitute_cond(decl.pattern, dict(zip(decl.indices, at, strict=True)).get))
                return [parts]
            case Element(form, indices, padded):
                if any(self.program.tensors[f.tensor].pattern is not None for c in form.chains for f in c.factors):
                    return []
                at = tuple(substitute(i, place) for i in indices)
                return [list(within(at, self.program.extents(form))) if padded else []]
            case FamilyRef(name, indices):
                family, key = self.program.families[name], (name, indices, shift)
                if key not in known and len(known) >= MAX_MEMBERS:
                    return []
                if key not in known:
                    known[key] = yield self._found(renamed(family.body, family.env(indices)), digits, shift, known)
                return known[key]
            case Negate(inner) | Conj(inner):
                of: list[list[Cond]] = yield self._found(inner, digits, shift, known)
                return of
            case Shift(inner, amount):
                moved: list[list[Cond]] = yield self._found(inner, digits, add(shift, amount), known)
                return moved
            case Arith("*", left, right):
                a = yield self._found(left, digits, shift, known)
                b = yield self._found(right, digits, shift, known)
                pairs = islice(product(a, b), MAX_ALTERNATIVES)
                # a member that is multiplied by itself has the same conditions twice
                return [list(dict.fromkeys((*x, *y))) for x, y in pairs]
            case Arith(_, left, right):
                if not self._cannot_cancel(left, right):
                    return []
                a = yield self._found(left, digits, shift, known)
                b = yield self._found(right, digits, shift, known)
                return [*a, *b][:MAX_ALTERNATIVES]
            case SumOver(var, body=body):
                reads = [n for n in nodes(body) if isinstance(n, Read) and IntVar(var) in n.indices]
                first = renamed(body, {var: ZERO})
                return (yield self._found(first, digits, shift, known)) if len(reads) == 1 else []
            case _:
                return []

    def _cannot_cancel(self, left: Value, right: Value) -> bool:
        """Whether two values that are added cancel at no general weights."""
        phases = {self._vanishing.phase(left), self._vanishing.phase(right)}
        if phases == {1, 1j}:
            return True
        tensors = [{leaf.tensor for leaf in self.program.leaves(v) if isinstance(leaf, Read)} for v in (left, right)]
        return bool(tensors[0] and tensors[1]) and not tensors[0] & tensors[1]

    # conditions

    def _seen_to_hold(self, cond: Cond, extents: Extents) -> bool:
        """Whether a condition holds at both ends of all variables, at these sizes: saves looking for a reason."""
        values = self.decisions.value
        for part in range(2):
            env = {name: part * (values(size) - 1) for name, size in extents.items()}
            if not holds(cond, self.decisions.sizes, env):
                return False
        return True

    def _holds(self, cond: Cond, extents: Extents, trial: Decisions) -> bool:
        """Whether a condition holds for all values of the variables, which may take comparisons of sizes."""
        match cond:
            case And(parts):
                return all(self._holds(part, extents, trial) for part in parts)
            case Or(parts):
                return any(self._holds(part, extents, trial) for part in parts)
            case Not(Cmp(op, a, b)):
                return self._holds(Cmp(_OPPOSITE[op], a, b), extents, trial)
            case Cmp():
                by_ends = trial.branch()
                if self._by_ends(cond, extents, by_ends) and not by_ends.conditions:
                    return True
                if self._shown(cond, extents):
                    return True
                trial.conditions.update(by_ends.conditions)
                return bool(by_ends.conditions)
            case _:
                return False

    def _by_ends(self, cond: Cmp, extents: Extents, trial: Decisions) -> bool:
        left, right = (ends(plain(e), extents) for e in (cond.left, cond.right))
        if left is None or right is None:
            return False
        (low, high), (low2, high2) = left, right
        match cond.op:
            case "<" | "<=":
                sides = [(high, low2)]
            case ">" | ">=":
                sides = [(low, high2)]
            case "==":
                sides = [(low, high2), (high, low2)]
            case _:
                return False
        if not all(holds(Cmp(cond.op, a, b), self.decisions.sizes, {}) for a, b in sides):
            return False
        for a, b in sides:
            trial.compare(a, cond.op, b)
        return True

    def _shown(self, cond: Cond, extents: Extents) -> bool:
        """Whether a condition is shown for all sizes and all values of the variables."""
        families = self.decisions.all.families
        key = (cond, tuple(sorted((v, extents[v]) for v in variables(cond))))
        if key not in self._known:
            self._known[key] = bool(families) and all(self._shown_in(cond, extents, family) for family in families)
        return self._known[key]

    def _shown_in(self, cond: Cond, extents: Extents, family: Symbols) -> bool:
        match cond:
            case And(parts):
                return all(self._shown_in(part, extents, family) for part in parts)
            case Or(parts):
                return any(self._shown_in(part, extents, family) for part in parts)
            case Cmp(op, a, b):
                domain = Domain(dict(family.domain.least), family.domain.facts)
                domain.points = family.domain.points
                try:
                    for name in variables(cond):
                        size = extents[name]
                        domain.bind(name, _poly(plain(size), domain, family))
                    x, y = _poly(plain(a), domain, family), _poly(plain(b), domain, family)
                    return _compared(op, x, y, domain)
                except NotNormal:
                    return False
            case _:
                return False


def _compared(op: str, a: Poly, b: Poly, domain: Domain) -> bool:
    nonnegative, one = domain.nonnegative, Poly.const(1)
    match op:
        case "<=":
            return nonnegative(b - a)
        case ">=":
            return nonnegative(a - b)
        case "<":
            return nonnegative(b - a - one)
        case ">":
            return nonnegative(a - b - one)
        case "==":
            return not (a - b) or (nonnegative(a - b) and nonnegative(b - a))
        case _:
            return nonnegative(a - b - one) or nonnegative(b - a - one)


def _poly(e: Int, domain: Domain, family: Symbols) -> Poly:
    """The normal form of an expression. Raises ``NotNormal``."""
    match e:
        case IntConst(value):
            return Poly.const(value)
        case IntSize(name):
            return family.sizes[name]
        case IntVar(name):
            if name not in domain.extents:
                raise NotNormal(name)
            return Poly.symbol(name)
        case IntOp(op, a, b):
            return domain.combined(op, _poly(a, domain, family), _poly(b, domain, family))
        case IntCall() | IntIf():
            raise NotNormal(show(e))


def _mentioned(value: Value) -> frozenset[str]:
    match value:
        case Read(indices=indices) | Element(indices=indices) | FamilyRef(indices=indices):
            return frozenset[str]().union(*map(variables, indices))
        case Iverson(condition):
            return variables(condition)
        case _:
            return frozenset()


def _last(schedule: ops.Schedule) -> Iterator[tuple[str, str]]:
    """Families of ciphertexts that are returned, each with the families of plaintexts behind which it is only added up:
    hiding may put zeros into these."""
    bodies = {f.name: f.body for f in schedule.ciphers}

    def behind(name: str) -> Iterator[str]:
        seen, waiting = {name}, [bodies[name]]
        while waiting:
            match waiting.pop():
                case ops.Ref(read):
                    # a member may be read along many ways
                    if read not in seen:
                        seen.add(read)
                        waiting.append(bodies[read])
                case ops.MulPlain(value, ref) | ops.AddPlain(value, ref):
                    yield ref.family
                    waiting.append(value)
                case ops.Sum() | ops.Add() | ops.Neg() | ops.Conjugate() | ops.Rescale() as op:
                    waiting.extend(reversed(list(ops.children(op))))
                case _:
                    pass

    for name in dict.fromkeys(output.family.name for output in schedule.outputs):
        yield from ((name, found) for found in behind(name))
