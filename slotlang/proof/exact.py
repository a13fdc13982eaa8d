"""The exact method: every slot of every node of the graph as a polynomial over tensor elements and scalars.

It needs no index map to be affine, so it decides programs with permutation tables and sparse patterns, and
it cross-checks the polyhedral method at sizes that fit. A proved claim cuts the graph: from there on its node
holds what the claim says, in which an element of a product such as ``B @ x`` is one *opaque* atom, as it is where
a definition reads one. What is compared with such a value is written in the same atoms. Two values that differ in
them are expanded to tensor elements before anything is called wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar

import numpy as np

from slotlang.graph.graph import Graph, Node
from slotlang.graph.ring import PlainEvaluator, Slots, plain_vector, unary
from slotlang.meaning.deep import Steps, walked
from slotlang.meaning.integers import Cond, evaluate, holds
from slotlang.meaning.program import Claim, Output
from slotlang.meaning.value import FamilyRef, Value, leaves
from slotlang.proof.coverage import MAX_SLOTS
from slotlang.proof.goals import member
from slotlang.proof.polynomial_ring import Factors, PolynomialRing, Vector, signed_sum
from slotlang.proof.polynomials import MAX_BYTES, ZERO, Ids
from slotlang.proof.verdict import Goal, Outcome, Wrong
from slotlang.refusals import GaveUp
from slotlang_runtime.amounts import count_of

T = TypeVar("T")

FEW, MANY = 8, 256
"""The number of slots compared first where a vector has more than ``MANY``: one wrong value may be cheap to compute
where the right values of all slots are too large."""


class _Evaluator(PlainEvaluator):
    """Evaluates a reference to a ciphertext family by what the graph's node holds, where that is known."""

    def __init__(self, prover: _Prover) -> None:
        super().__init__(prover.program, prover.ring)
        self.prover = prover

    def steps(self, value: Value, env: Mapping[str, Any], slots: Slots) -> Any:
        if not isinstance(value, FamilyRef) or self.program.families[value.name].kind == "plain":
            return super().steps(value, env, slots)
        return self._held(value, env, slots)

    def _once(self, name: str, indices: tuple[int, ...], slots: Slots) -> Steps[Vector]:
        value: Vector = yield from super()._once(name, indices, slots)
        # a sum that waits to be added up is gone through once for each way along which it is read
        self.prover.ring.ids(value)
        return value

    def _held(self, value: FamilyRef, env: Mapping[str, Any], slots: Slots) -> Steps[Vector]:
        indices = tuple(int(evaluate(i, self.program.sizes, env)) for i in value.indices)
        held = yield self.prover.member_steps((value.name, indices))
        ids = self.prover.ring.ids(held)
        return Vector(ids if len(ids) == 1 else ids[slots])


Key: TypeAlias = tuple[str, tuple[int, ...]]
"""A family's name and the indices of a member."""
Point: TypeAlias = tuple[int, dict[str, int]]
"""A goal by its position, and values of its binders."""


class _Prover:
    def __init__(self, graph: Graph, goals: Sequence[Goal], known: Container[int] = ()) -> None:
        self.graph = graph
        self.goals = goals
        self.known = {n for n, goal in enumerate(goals) if n in known and _usable(goal)}
        self.facts: dict[int, tuple[Claim, dict[str, int]]] = {}
        self.program = graph.schedule.program
        self.ring = PolynomialRing(self.program)
        self.evaluator = _Evaluator(self)
        self.slot_env = self.program.slot_env(self.evaluator.all_slots)
        self.outcomes = [Outcome("proved")] * len(goals)
        self.values: dict[int, Vector | GaveUp] = {}
        """What nodes hold, or why that is not known."""
        self.members: dict[Key, Vector] = {}
        self.plains: dict[Key, Vector] = {}
        bodies = (self.ring.chains_of(f.body) for f in self.program.families.values())
        self.written = frozenset[Factors]().union(*bodies)
        self.sweep_at = MAX_BYTES // 2

    def run(self) -> list[Outcome]:
        """Walk over the nodes. Each goal is decided where its node is reached, goals without a node last."""
        nodes = self.graph.nodes
        at: dict[int, list[Point]] = {}
        without: list[tuple[Point, Key]] = []
        for position, goal in enumerate(self.goals):
            for env in goal.statement.envs():
                key = member(self.program, goal.statement, env)
                if key in self.graph.values:
                    number = self.graph.values[key]
                    at.setdefault(number, []).append((position, env))
                    if position in self.known and isinstance(goal.statement, Claim):
                        self.facts[number] = goal.statement, env
                else:
                    without.append(((position, env), key))
        kept = self._kept({key[0] for _, key in without})
        needed = self._needed(at, kept)
        uses = Counter(operand for number in needed for operand in nodes[number].operands)
        shared = Counter(nodes[number].plain for number in needed)
        for number, node in enumerate(nodes):
            if number not in needed:
                continue
            if number in self.facts:
                value = self._told(*self.facts[number])
            else:
                value = self._evaluated(node, uses[number] > 1 or number in kept)
            self.values[number] = value
            if isinstance(value, GaveUp):
                self._give_up(number, at, value.reason)
                needed = self._needed(at, kept)
                continue
            for point in at.get(number, ()):
                if self._decide(point, number):
                    needed = self._needed(at, kept)
            uses.subtract(node.operands)
            for done in (*node.operands, number):
                if not uses[done] and done not in kept:
                    self.values.pop(done, None)
            if node.plain is not None:
                shared[node.plain] -= 1
                if shared[node.plain] <= 0:
                    self.plains.pop(node.plain, None)
        for point, _ in without:
            self._decide(point, None)
        return self.outcomes

    def _kept(self, pruned: set[str]) -> set[int]:
        """Nodes of families that claims, and definitions of families that are not in the graph, refer to."""
        values = [g.statement.value for g in self.goals if isinstance(g.statement, Claim)]
        values += [self.program.families[name].body for name in sorted(pruned)]
        in_graph = {name for name, _ in self.graph.values}
        names: set[str] = set()
        while values:
            for leaf in leaves(values.pop()):
                if isinstance(leaf, FamilyRef) and leaf.name not in names:
                    names.add(leaf.name)
                    if leaf.name not in in_graph:
                        values.append(self.program.families[leaf.name].body)
        return {number for (name, _), number in self.graph.values.items() if name in names}

    def _needed(self, at: Mapping[int, list[Point]], kept: set[int]) -> set[int]:
        """Nodes that goals still open depend on."""
        done = {n for n in range(len(self.goals)) if n in self.known or self.outcomes[n].status == "unknown"}
        open_ = {n for n, points in at.items() if any(p not in done for p, _ in points)}
        return self.graph.ancestors(open_ | kept, self.facts)

    def _give_up(self, number: int, at: Mapping[int, list[Point]], reason: str) -> None:
        """A node's value is not known: neither are goals that depend on it."""
        lost = {number}
        for later, node in enumerate(self.graph.nodes):
            if not lost.isdisjoint(node.operands):
                lost.add(later)
        for position in {p for n in lost for p, _ in at.get(n, ())}:
            if self.outcomes[position].status == "proved":
                what = self.goals[position].what
                self.outcomes[position] = Outcome("unknown", reason=f"{what}: {reason}")

    # values

    def _told(self, claim: Claim, env: dict[str, int]) -> Vector | GaveUp:
        """What a member holds by a claim that is known."""
        try:
            return self._attempt(lambda: self._cut(claim, env, np.zeros(self.program.slots, np.int64)))
        except GaveUp as problem:
            return GaveUp(problem.reason)

    def _evaluated(self, node: Node, added_up: bool) -> Vector | GaveUp:
        operands: list[Vector] = []
        for operand in node.operands:
            value = self.values[operand]
            if isinstance(value, GaveUp):
                return value
            operands.append(value)

        def compute() -> Vector:
            with self.ring.hiding(self.written):
                result = self._node(node, operands)
            return Vector(self.ring.ids(result)) if added_up else result

        try:
            return self._attempt(compute)
        except GaveUp as problem:
            return GaveUp(problem.reason)

    def _node(self, node: Node, operands: list[Vector]) -> Vector:
        match node.kind:
            case "cipher":
                assert node.plain is not None
                vector: Vector = walked(self._defined(node.plain))
                return vector
            case "rotate":
                return signed_sum((1, node.step, operands[0]))
            case "mul":
                return self.ring.mul(*operands)
            case "neg":
                return signed_sum((-1, 0, operands[0]))
            case "rescale":
                return operands[0]
            case "sum":
                return signed_sum(*((s, 0, o) for s, o in zip(node.signs, operands, strict=True)))
            case "mul_plain":
                return self.ring.mul(operands[0], self._plain(node))
            case "add_plain":
                return signed_sum((1, 0, operands[0]), (node.signs[0], 0, self._plain(node)))
            case "plain":
                return signed_sum((node.signs[0], 0, self._plain(node)))
            case kind:
                return unary(self.ring, kind, operands[0])  # type: ignore[no-any-return]

    def _plain(self, node: Node) -> Vector:
        assert node.plain is not None
        if node.plain not in self.plains:
            family = self.graph.schedule.plains[node.plain[0]]
            vector = plain_vector(self.graph.schedule, self.evaluator, family, node.plain[1])
            self.plains[node.plain] = Vector(self.ring.ids(vector))
        return self.plains[node.plain]

    def _defined(self, key: Key) -> Any:
        """A walk to what a member's definition says, or the value."""
        family = self.program.families[key[0]]
        return self.evaluator.steps(family.body, family.env(key[1]), self.evaluator.all_slots)

    def member(self, key: Key) -> Vector:
        """A member of a family: what its node holds, else by the program's definition."""
        return walked(self.member_steps(key))

    def member_steps(self, key: Key) -> Steps[Vector]:
        """The same as a walk."""
        if key not in self.members:
            value = self.values.get(self.graph.values.get(key, -1))
            if isinstance(value, GaveUp):
                raise GaveUp(value.reason)
            if value is not None:
                return value
            vector = yield self._defined(key)
            self.members[key] = Vector(self.ring.ids(vector))
        return self.members[key]

    def _attempt(self, action: Callable[[], T]) -> T:
        """``action()``; where it raises ``GaveUp``, everything is as it was before it."""
        polynomials = self.ring.polynomials
        polynomials.held = 8 * self.program.slots * (len(self.values) + len(self.members) + len(self.plains))
        if polynomials.bytes > self.sweep_at:
            polynomials.keep(self._live())
            self.sweep_at = max(MAX_BYTES // 2, polynomials.bytes * 3 // 2)
        count, members, plains = polynomials.monomials.count(), len(self.members), len(self.plains)
        self.ring.journal.clear()
        try:
            return action()
        except GaveUp:
            for vector, ids, factor, terms in reversed(self.ring.journal):
                vector.ids, vector.factor, vector.terms = ids, factor, terms
            while len(self.members) > members:
                self.members.popitem()
            while len(self.plains) > plains:
                self.plains.popitem()
            polynomials.keep(self._live())
            polynomials.monomials.forget(count)
            raise
        finally:
            self.ring.journal.clear()

    def _live(self) -> Iterator[Ids]:
        stack = [v for v in self.values.values() if isinstance(v, Vector)]
        stack += [*self.members.values(), *self.plains.values()]
        seen: set[int] = set()
        while stack:
            vector = stack.pop()
            if id(vector) not in seen:
                seen.add(id(vector))
                yield from (ids for ids in (vector.ids, vector.factor) if ids is not None)
                stack.extend(term for _, _, term in vector.terms)

    # goals

    def _decide(self, point: Point, number: int | None) -> bool:
        """Decide a goal at one point, where its family's member is a node or, without one, a definition.

        A claim that holds cuts what the member holds. True when the goal is given up here.
        """
        position, env = point
        if position in self.known:
            return False
        goal = self.goals[position]
        statement = goal.statement
        status = self.outcomes[position].status
        if status == "unknown" or (status == "refuted" and isinstance(statement, Output)):
            return False
        key = member(self.program, goal.statement, env)

        def held() -> Ids:
            value = self.member(key) if number is None else self.values[number]
            if isinstance(value, GaveUp):
                raise GaveUp(value.reason)
            return np.broadcast_to(self.ring.ids(value), (self.program.slots,))

        try:
            wrong = self._attempt(lambda: self._wrong(goal, env, held()))
        except GaveUp as problem:
            if status == "proved":
                self.outcomes[position] = Outcome("unknown", reason=f"{goal.what}: {problem}")
            return status == "proved"
        if wrong is not None:
            if status != "refuted":
                self.outcomes[position] = Outcome("refuted", wrong)
        elif isinstance(statement, Claim):
            with suppress(GaveUp):
                value = self._attempt(lambda: self._cut(statement, env, held()))
                if number is None:
                    self.members[key] = value
                else:
                    self.values[number] = value
        return False

    def _wrong(self, goal: Goal, env: dict[str, int], held: Ids) -> Wrong | None:
        """Where a goal fails, of what its family's member holds: a few slots are tried before all of them."""
        statement = goal.statement
        condition = statement.where if isinstance(statement, Claim) else self.program.read_where(statement)
        slots = self._slots(condition, env)
        if slots.size > MANY:
            few = np.unique(np.arange(FEW) * 2654435761 % slots.size)
            wrong = self._wrong_at(goal, env, held, slots[few])
            if wrong is not None:
                return wrong
        return self._wrong_at(goal, env, held, slots) if slots.size else None

    def _wrong_at(self, goal: Goal, env: dict[str, int], held: Ids, slots: Slots) -> Wrong | None:
        """The first of the given slots at which a goal fails."""
        ring, statement = self.ring, goal.statement
        left = held[slots]
        if isinstance(statement, Output) and statement.part is not None:
            left = ring.polynomials.part(left, statement.part)
        with ring.hiding(ring.chains_in(left)):
            if isinstance(statement, Claim):
                vector = self.evaluator.value(statement.value, env, slots)
            else:
                theorem = self.program.theorems[statement.name]
                elements = self.program.read_elements(statement, env, self.slot_env)
                vector = self.evaluator.value(theorem.value, theorem.at(elements[slots]), slots)
            right = np.broadcast_to(ring.ids(vector), slots.shape)
        bad = np.flatnonzero(left != right)
        if not bad.size:
            return None
        difference = ring.polynomials.total([(1, left[bad], None), (-1, right[bad], None)])
        zeros = {ZERO}
        for place, number in zip(bad.tolist(), difference.tolist(), strict=True):
            if number not in zeros:
                full = ring.expanded(number)
                if full != ZERO:
                    return self._failure(goal, env, int(slots[place]), full, int(right[place]))
                zeros.add(number)
        return None

    def _failure(self, goal: Goal, env: dict[str, int], slot: int, difference: int, right: int) -> Wrong:
        polynomials = self.ring.polynomials
        _, keys, _ = polynomials.entries(np.array([difference]))
        monomial = int(keys[0]) >> 1
        try:
            should = polynomials.coefficient(self.ring.expanded(right), monomial)
        except GaveUp:
            return Wrong(goal, env, slot)
        more = polynomials.coefficient(difference, monomial)
        holds_ = (should[0] + more[0], should[1] + more[1])
        return Wrong(goal, env, slot, self.ring.monomial(monomial), holds_, should)

    def _cut(self, claim: Claim, env: dict[str, int], held: Ids) -> Vector:
        """What a claim's member holds, as the claim says it, with every chain in it opaque."""
        slots = self._slots(claim.where, env)
        ids = held.copy()
        with self.ring.hiding(self.ring.chains_of(claim.value)):
            if slots.size:
                ids[slots] = self.ring.ids(self.evaluator.value(claim.value, env, slots))
        return Vector(ids)

    def _slots(self, condition: Cond | None, env: Mapping[str, int]) -> Slots:
        """The slots where a condition holds."""
        if condition is None:
            return self.evaluator.all_slots
        truth = np.asarray(holds(condition, self.program.sizes, {**self.slot_env, **env}), bool)
        return np.flatnonzero(np.broadcast_to(truth, (self.program.slots,)))


def _usable(goal: Goal) -> bool:
    """Whether a goal that is known can be taken for granted: an output, or a claim that says all there is to say
    of its member without speaking of other families."""
    statement = goal.statement
    if isinstance(statement, Output):
        return True
    return statement.where is None and not any(isinstance(leaf, FamilyRef) for leaf in leaves(statement.value))


def prove_exact(graph: Graph, goals: Sequence[Goal], known: Container[int] = ()) -> list[Outcome]:
    """Decide goals, given in the order of the program, on its unrolled graph: one outcome each. ``known`` are
    positions of goals that are proved already: they are used, and not decided once more where that can be helped.

    proved, refuted with a slot that is wrong and a monomial that is, or unknown where the values
    would take more than ``polynomials.MAX_BYTES`` or ``polynomials.MAX_WORK``.
    """
    try:
        if graph.schedule.program.slots > MAX_SLOTS:
            raise GaveUp(f"vectors of {count_of(graph.schedule.program.slots, 'slot')} are too long")
        prover = _Prover(graph, goals, known)
    except GaveUp as problem:
        return [Outcome("unknown", reason=f"{goal.what}: {problem}") for goal in goals]
    return prover.run()
