"""The exact method: every slot of every node of the graph as a polynomial over tensor elements and scalars.

It needs no index map to be affine, so it decides programs with permutation tables and sparse patterns, and
it cross-checks the polyhedral method at sizes that fit. A proved claim cuts the graph: from there on its node
holds what the claim says, in which an element of a product such as ``B @ x`` is one *opaque* atom, as it is where
a definition reads one. What is compared with such a value is written in the same atoms. Two values that differ in
them are expanded to tensor elements before anything is called wrong.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import lcm, prod
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from slotlang.graph.graph import Graph, Node
from slotlang.graph.ring import PlainEvaluator, Slots, plain_vector
from slotlang.meaning.checks import leaves
from slotlang.meaning.integers import Cond, Int, evaluate, holds
from slotlang.meaning.program import (
    Chain,
    Claim,
    Element,
    Factor,
    FamilyRef,
    Output,
    Program,
    TensorForm,
    Value,
)
from slotlang.proof.field import TooLarge, pattern_mask
from slotlang.proof.polyhedral import in_range
from slotlang.proof.polynomials import MAX_BYTES, ZERO, Ids, Part, Polynomials, chunks, narrow
from slotlang.proof.verdict import Goal, Monomial, Outcome, Uncovered, Wrong

T = TypeVar("T")
Factors: TypeAlias = tuple[Factor, ...]

MAX_SLOTS = 1 << 24
"""Most slots of a vector that the method looks at."""
FEW, MANY = 8, 256
"""So many slots are compared first where there are many: a wrong value can be cheap to tell at one slot, and the
right values at all slots too large."""
MAX_ELEMENTS = 1 << 28
"""Largest result whose elements are counted."""
MAX_READ = 1 << 30
"""Most slots, of all members of an output together, that are counted: a minute or two."""


class Vector:
    """A polynomial's number for every slot (or one for all); or a product or a signed sum of rotated vectors.

    Sums wait to be added up: chains of additions and rotations, such as Horner's, are added up once.
    """

    __slots__ = ("factor", "ids", "terms")

    def __init__(self, ids: Ids | None, factor: Ids | None = None, terms: tuple[Term, ...] = ()) -> None:
        self.ids = ids
        self.factor = factor
        self.terms = terms

    def parts(self) -> Iterator[tuple[int, int, Ids, Ids | None]]:
        """(sign, rotation, vector, factor or None) of what is to be added up."""
        stack = [(1, 0, self)]
        while stack:
            sign, step, vector = stack.pop()
            if vector.ids is not None:
                yield sign, step, vector.ids, vector.factor
            stack.extend((sign * s, step + more, v) for s, more, v in vector.terms)


Term: TypeAlias = tuple[int, int, Vector]
"""Sign, rotation and vector."""


def _sum(*terms: Term) -> Vector:
    return Vector(None, None, terms)


@dataclass(frozen=True, slots=True)
class _Matrix:
    """Part of a chain as a matrix of atoms: element (i, j) is ``offset + i*down + j*right``."""

    offset: int
    down: int
    right: int
    columns: int
    alive: npt.NDArray[np.bool_] | None


class PolynomialRing:
    """Vectors of polynomials, for ``PlainEvaluator``. Chains in ``opaque`` have atoms for their elements."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.polynomials = Polynomials()
        self.opaque: frozenset[Factors] = frozenset()
        self.journal: list[tuple[Vector, Ids | None, Ids | None, tuple[Term, ...]]] = []
        """Vectors that were added up, as they were before."""
        self._ranges: list[tuple[int, str | Factors, tuple[int, ...]]] = []
        self._offsets: dict[str | Factors, int] = {}
        self._end = 0
        for name in program.scalars:
            self._register(name, ())
        for name, decl in program.tensors.items():
            self._register(name, decl.shape)
        self.first_opaque = self._end
        self._patterns = {name: pattern_mask(program, name) for name in program.tensors}

    # atoms

    def _register(self, owner: str | Factors, shape: tuple[int, ...]) -> int:
        if owner not in self._offsets:
            if self._end + prod(shape) >= 1 << 31:
                raise TooLarge("the tensors have more than 2^31 elements")
            self._offsets[owner] = self._end
            self._ranges.append((self._end, owner, shape))
            self._end += prod(shape)
        return self._offsets[owner]

    def _owner(self, atom: int) -> tuple[str | Factors, tuple[int, ...]]:
        position = bisect_right(self._ranges, atom, key=lambda r: r[0]) - 1
        # an empty range can't be: shapes have extents of at least 1
        offset, owner, shape = self._ranges[position]
        return owner, tuple(int(i) for i in np.unravel_index(atom - offset, shape))

    def monomial(self, number: int) -> Monomial:
        """A monomial without opaque atoms in the program's terms."""
        scalars, reads = [], []
        for atom in self.polynomials.monomials.atoms(np.array([number])).ravel().tolist():
            owner, indices = self._owner(atom)
            assert isinstance(owner, str)
            if owner in self.program.tensors:
                reads.append((owner, indices))
            else:
                scalars.append(owner)
        return tuple(sorted(scalars)), tuple(sorted(reads))

    def _dims(self, factor: Factor) -> tuple[int, int]:
        shape = self.program.tensors[factor.tensor].shape
        if len(shape) == 1:
            return shape[0], 1
        return (shape[1], shape[0]) if factor.transposed else (shape[0], shape[1])

    def canonical(self, factors: Factors) -> tuple[Factors, bool]:
        """A chain and its transpose have the same elements: the one of the two that names them."""
        if len(self.program.tensors[factors[-1].tensor].shape) == 1:
            return factors, False
        turned = tuple(Factor(f.tensor, not f.transposed) for f in reversed(factors))
        if [(f.tensor, f.transposed) for f in turned] < [(f.tensor, f.transposed) for f in factors]:
            return turned, True
        return factors, False

    def _matrix(self, factors: Factors) -> _Matrix:
        rows, columns = self._dims(factors[0])[0], self._dims(factors[-1])[1]
        if len(factors) == 1:
            name = factors[0].tensor
            offset, turned, alive = self._offsets[name], factors[0].transposed, self._patterns[name]
        else:
            owner, turned = self.canonical(factors)
            offset, alive = self._register(owner, (columns, rows) if turned else (rows, columns)), None
        down, right = (1, rows) if turned else (columns, 1)
        return _Matrix(offset, down, right, columns, alive)

    def _matrices(self, factors: Factors) -> list[_Matrix]:
        """The chain cut into its longest opaque parts, and single tensors between them."""
        for length in range(len(factors), 1, -1):
            for start in range(len(factors) - length, -1, -1):
                part = factors[start : start + length]
                if self.canonical(part)[0] in self.opaque:
                    before, after = factors[:start], factors[start + length :]
                    return [*self._matrices(before), self._matrix(part), *self._matrices(after)]
        return [self._matrix((f,)) for f in factors]

    def chains_of(self, value: Value) -> frozenset[Factors]:
        """Chains of several factors that a value reads elements of."""
        forms = [leaf.form for leaf in leaves(value) if isinstance(leaf, Element)]
        chains = [c.factors for form in forms for c in form.chains if len(c.factors) > 1]
        return frozenset(self.canonical(factors)[0] for factors in chains)

    def chains_in(self, ids: Ids) -> frozenset[Factors]:
        """Chains whose opaque atoms occur in some of the polynomials."""
        found: set[Factors] = set()
        if self._end == self.first_opaque:
            return frozenset()
        _, keys, _ = self.polynomials.entries(np.unique(ids))
        rest = np.unique(keys >> 1)
        while rest.size:
            rest, highest = self.polynomials.monomials.split(rest)
            hidden = highest >= self.first_opaque
            rest = np.unique(rest[hidden])
            for offset, owner, shape in self._ranges:
                if isinstance(owner, tuple) and owner not in found:
                    if ((highest >= offset) & (highest < offset + prod(shape))).any():
                        found.add(owner)
        return frozenset(found)

    @contextmanager
    def hiding(self, chains: frozenset[Factors]) -> Iterator[None]:
        """Within it these chains are opaque."""
        before, self.opaque = self.opaque, chains
        try:
            yield
        finally:
            self.opaque = before

    # the ring

    def ids(self, vector: Vector) -> Ids:
        """The vector multiplied and added up."""
        if vector.ids is None or vector.factor is not None:
            parts = [(s, _rolled(a, step), b if b is None else _rolled(b, step)) for s, step, a, b in vector.parts()]
            ids = self.polynomials.total(parts)
            self.journal.append((vector, vector.ids, vector.factor, vector.terms))
            vector.ids, vector.factor, vector.terms = ids, None, ()
        return vector.ids

    def const(self, re: Fraction, im: Fraction) -> Vector:
        """A constant."""
        return Vector(np.array([self.polynomials.constant(re, im)], np.int64))

    def scalar(self, name: str) -> Vector:
        """A scalar is an atom."""
        return Vector(self.polynomials.atoms(np.array([self._offsets[name]])))

    def gather(self, tensor: str, flat: Slots) -> Vector:
        """Elements of a tensor are atoms, or 0 by its declared pattern."""
        atoms = flat + self._offsets[tensor]
        alive = self._patterns[tensor]
        return Vector(self.polynomials.atoms(atoms if alive is None else np.where(alive[flat], atoms, -1)))

    def element(self, form: TensorForm, flat: Slots) -> Vector:
        """Elements of a tensor expression, multiplied out except for opaque chains."""
        distinct, inverse = np.unique(flat, return_inverse=True)
        chains = [(c, self._matrices(c.factors)) for c in form.chains if c.coefficient]
        denominator = lcm(*(c.coefficient.denominator for c, _ in chains))
        terms = sum(prod(m.columns for m in matrices[:-1]) for _, matrices in chains)
        result = np.zeros(len(distinct), np.int64)
        for chunk in chunks(np.full(len(distinct), terms)):
            here = distinct[chunk]
            i, j = divmod(here, form.shape[1]) if len(form.shape) == 2 else (here, np.zeros_like(here))
            parts = [self._chain(c, matrices, i, j, denominator) for c, matrices in chains]
            if parts:
                rows, keys, numbers = (np.concatenate(column) for column in zip(*parts, strict=True))
                result[chunk] = self.polynomials.collected(len(here), rows, keys, numbers, denominator)
        return Vector(result[inverse])

    def _chain(self, chain: Chain, matrices: list[_Matrix], i: Ids, j: Ids, denominator: int) -> tuple[Ids, Ids, Any]:
        """(row, key, numerator) of every term of the elements (i, j) of a chain."""
        count = prod(m.columns for m in matrices[:-1])
        inner, left, stride = np.arange(count), i[:, None], count
        atoms = np.empty((len(i), count, len(matrices) + len(chain.scalars)), np.int32)
        alive = np.ones((len(i), count), bool)
        for position, matrix in enumerate(matrices):
            right = j[:, None]
            if position < len(matrices) - 1:
                stride //= matrix.columns
                right = inner[None, :] // stride % matrix.columns
            flat = left * matrix.down + right * matrix.right
            atoms[:, :, position] = flat + matrix.offset
            if matrix.alive is not None:
                alive &= matrix.alive[flat]
            left = right
        for position, name in enumerate(chain.scalars, len(matrices)):
            atoms[:, :, position] = self._offsets[name]
        keys = self.polynomials.monomials.of(atoms[alive]) * 2
        number = narrow([int(chain.coefficient * denominator)])
        return np.nonzero(alive)[0], keys, np.repeat(number, len(keys))

    def add(self, a: Vector, b: Vector) -> Vector:
        """a + b, later."""
        return _sum((1, 0, a), (1, 0, b))

    def sub(self, a: Vector, b: Vector) -> Vector:
        """a - b, later."""
        return _sum((1, 0, a), (-1, 0, b))

    def mul(self, a: Vector, b: Vector) -> Vector:
        """a * b, later."""
        return Vector(self.ids(a), self.ids(b))

    def conj(self, a: Vector) -> Vector:
        """Complex conjugate; atoms are real."""
        return Vector(self.polynomials.conj(self.ids(a)))

    def masked(self, a: Vector, mask: npt.NDArray[np.bool_]) -> Vector:
        """``a`` where the mask holds."""
        return Vector(np.where(mask, self.ids(a), ZERO))

    def expanded(self, number: int) -> int:
        """A polynomial with its opaque atoms multiplied out."""
        polynomials = self.polynomials
        while True:
            _, keys, codes = polynomials.entries(np.array([number]))
            rest, highest = polynomials.monomials.split(keys >> 1)
            hidden = highest >= self.first_opaque
            if not hidden.any():
                return number
            plain = polynomials.single(keys[~hidden], codes[~hidden])
            factors = polynomials.single(rest[hidden] * 2 + (keys[hidden] & 1), codes[hidden])
            parts: list[Part] = [(1, np.array([p]), None) for p in plain.tolist()]
            for p, q in zip(factors.tolist(), self._revealed(highest[hidden]).tolist(), strict=True):
                parts.append((1, np.array([p]), np.array([q])))
            number = int(polynomials.total(parts)[0])

    def _revealed(self, atoms: Ids) -> Ids:
        """Opaque atoms as polynomials over elements of tensors."""
        values = []
        with self.hiding(frozenset()):
            for atom in atoms.tolist():
                owner, indices = self._owner(atom)
                assert isinstance(owner, tuple)
                shape = self._dims(owner[0])[0], self._dims(owner[-1])[1]
                form = TensorForm((Chain(Fraction(1), (), owner),), shape, "")
                flat = np.array([np.ravel_multi_index(indices, shape)])
                values.append(int(self.ids(self.element(form, flat))[0]))
        return np.array(values, np.int64)


def _rolled(ids: Ids, step: int) -> Ids:
    return np.roll(ids, -step) if step and len(ids) > 1 else ids


class _Evaluator(PlainEvaluator):
    """Evaluates a reference to a ciphertext family by what the graph's node holds, where that is known."""

    def __init__(self, prover: _Prover) -> None:
        super().__init__(prover.program, prover.ring)
        self.prover = prover

    def value(self, value: Value, env: Mapping[str, int], slots: Slots) -> Any:
        if not isinstance(value, FamilyRef) or self.program.families[value.name].kind == "plain":
            return super().value(value, env, slots)
        indices = tuple(int(evaluate(i, self.program.sizes, env)) for i in value.indices)
        ids = self.prover.ring.ids(self.prover.member((value.name, indices)))
        return Vector(ids if len(ids) == 1 else ids[slots])


Key: TypeAlias = tuple[str, tuple[int, ...]]
"""A family's name and the indices of a member."""
Point: TypeAlias = tuple[int, dict[str, int]]
"""A goal by its position, and values of its binders."""


class _Prover:
    def __init__(self, graph: Graph, goals: Sequence[Goal]) -> None:
        self.graph = graph
        self.goals = goals
        self.program = graph.schedule.program
        self.ring = PolynomialRing(self.program)
        self.evaluator = _Evaluator(self)
        self.slot_env = self.program.slot_env(self.evaluator.all_slots)
        self.found = [Outcome("proved")] * len(goals)
        self.values: dict[int, Vector | str] = {}
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
            for env in _points(goal.statement):
                key = self._target(goal, env)
                if key in self.graph.values:
                    at.setdefault(self.graph.values[key], []).append((position, env))
                else:
                    without.append(((position, env), key))
        kept = self._kept({key[0] for _, key in without})
        needed = self._needed(at, kept)
        uses = Counter(operand for number in needed for operand in nodes[number].operands)
        shared = Counter(nodes[number].plain for number in needed)
        for number, node in enumerate(nodes):
            if number not in needed:
                continue
            value = self.values[number] = self._evaluated(node, uses[number] > 1 or number in kept)
            if isinstance(value, str):
                self._give_up(number, at, value)
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
        return self.found

    def _target(self, goal: Goal, env: Mapping[str, int]) -> Key:
        statement = goal.statement
        name = statement.family if isinstance(statement, Claim) else statement.family.name
        indices = statement.indices if isinstance(statement, Claim) else statement.family.indices
        return name, tuple(int(evaluate(i, self.program.sizes, env)) for i in indices)

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
        open_ = {n for n, points in at.items() if any(self.found[p].status != "unknown" for p, _ in points)}
        return self.graph.ancestors(open_ | kept)

    def _give_up(self, number: int, at: Mapping[int, list[Point]], reason: str) -> None:
        """A node's value is not known: neither are goals that depend on it."""
        lost = {number}
        for later, node in enumerate(self.graph.nodes):
            if not lost.isdisjoint(node.operands):
                lost.add(later)
        for position in {p for n in lost for p, _ in at.get(n, ())}:
            if self.found[position].status == "proved":
                what = self.goals[position].what
                self.found[position] = Outcome("unknown", reason=f"{what}: {reason}")

    # values

    def _evaluated(self, node: Node, added_up: bool) -> Vector | str:
        operands: list[Vector] = []
        for operand in node.operands:
            value = self.values[operand]
            if isinstance(value, str):
                return value
            operands.append(value)

        def compute() -> Vector:
            with self.ring.hiding(self.written):
                result = self._node(node, operands)
            return Vector(self.ring.ids(result)) if added_up else result

        try:
            return self._attempt(compute)
        except TooLarge as problem:
            return str(problem)

    def _node(self, node: Node, operands: list[Vector]) -> Vector:
        match node.kind:
            case "cipher":
                assert node.plain is not None
                return self._defined(node.plain)
            case "rotate":
                return _sum((1, node.step, operands[0]))
            case "conj":
                return self.ring.conj(operands[0])
            case "mul":
                return self.ring.mul(*operands)
            case "neg":
                return _sum((-1, 0, operands[0]))
            case "rescale":
                return operands[0]
            case "sum":
                return _sum(*((s, 0, o) for s, o in zip(node.signs, operands, strict=True)))
            case "mul_plain":
                return self.ring.mul(operands[0], self._plain(node))
            case "add_plain":
                return _sum((1, 0, operands[0]), (node.signs[0], 0, self._plain(node)))
            case "plain":
                return _sum((node.signs[0], 0, self._plain(node)))
            case kind:
                raise AssertionError(kind)

    def _plain(self, node: Node) -> Vector:
        assert node.plain is not None
        if node.plain not in self.plains:
            family = self.graph.schedule.plains[node.plain[0]]
            vector = plain_vector(self.graph.schedule, self.evaluator, family, node.plain[1])
            self.plains[node.plain] = Vector(self.ring.ids(vector))
        return self.plains[node.plain]

    def _defined(self, key: Key) -> Vector:
        family = self.program.families[key[0]]
        env = {b.name: v for b, v in zip(family.binders, key[1], strict=True)}
        vector: Vector = self.evaluator.value(family.body, env, self.evaluator.all_slots)
        return vector

    def member(self, key: Key) -> Vector:
        """A member of a family: what its node holds, else by the program's definition."""
        if key not in self.members:
            value = self.values.get(self.graph.values.get(key, -1))
            if isinstance(value, str):
                raise TooLarge(value)
            if value is not None:
                return value
            self.members[key] = Vector(self.ring.ids(self._defined(key)))
        return self.members[key]

    def _attempt(self, action: Callable[[], T]) -> T:
        """``action()``; where it raises ``TooLarge``, everything is as it was before it."""
        polynomials = self.ring.polynomials
        polynomials.held = 8 * self.program.slots * (len(self.values) + len(self.members) + len(self.plains))
        if polynomials.bytes > self.sweep_at:
            polynomials.keep(self._live())
            self.sweep_at = max(MAX_BYTES // 2, polynomials.bytes * 3 // 2)
        count, members, plains = polynomials.monomials.count(), len(self.members), len(self.plains)
        self.ring.journal.clear()
        try:
            return action()
        except TooLarge:
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
        goal = self.goals[position]
        statement = goal.statement
        status = self.found[position].status
        if status == "unknown" or (status == "refuted" and isinstance(statement, Output)):
            return False
        key = self._target(goal, env)

        def held() -> Ids:
            value = self.member(key) if number is None else self.values[number]
            if isinstance(value, str):
                raise TooLarge(value)
            return np.broadcast_to(self.ring.ids(value), (self.program.slots,))

        try:
            wrong = self._attempt(lambda: self._wrong(goal, env, held()))
        except TooLarge as problem:
            if status == "proved":
                self.found[position] = Outcome("unknown", reason=f"{goal.what}: {problem}")
            return status == "proved"
        if wrong is not None:
            if status != "refuted":
                self.found[position] = Outcome("refuted", wrong)
        elif isinstance(statement, Claim):
            with suppress(TooLarge):
                value = self._attempt(lambda: self._cut(statement, env, held()))
                if number is None:
                    self.members[key] = value
                else:
                    self.values[number] = value
        return False

    def _wrong(self, goal: Goal, env: dict[str, int], held: Ids) -> Wrong | None:
        """Where a goal fails, of what its family's member holds: a few slots are tried before all of them."""
        statement = goal.statement
        condition = statement.where if isinstance(statement, Claim) else in_range(self.program, statement)
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
                form = self.program.theorems[statement.name].form
                here = {**self.slot_env, **env}
                vector = ring.element(form, _flat(self.program, statement.indices, form.shape, here)[slots])
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
        except TooLarge:
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


def _flat(program: Program, indices: tuple[Int, ...], shape: tuple[int, ...], env: Mapping[str, Any]) -> Slots:
    flat: Any = 0
    for index, size in zip(indices, shape, strict=True):
        flat = flat * size + evaluate(index, program.sizes, env)
    return np.broadcast_to(np.asarray(flat, np.int64), (program.slots,))


def _points(statement: Claim | Output) -> Iterator[dict[str, int]]:
    names = [b.name for b in statement.binders]
    for values in product(*(range(b.size) for b in statement.binders)):
        yield dict(zip(names, values, strict=True))


def prove_exact(graph: Graph, goals: Sequence[Goal]) -> list[Outcome]:
    """Decide goals, given in the order of the program, on its unrolled graph: one outcome each.

    proved, refuted with a slot that is wrong and a monomial that is, or unknown where the values
    would take more than ``polynomials.MAX_BYTES`` or ``polynomials.MAX_WORK``.
    """
    try:
        if graph.schedule.program.slots > MAX_SLOTS:
            raise TooLarge(f"vectors of {graph.schedule.program.slots:,} slots are too long")
        prover = _Prover(graph, goals)
    except TooLarge as problem:
        return [Outcome("unknown", reason=f"{goal.what}: {problem}") for goal in goals]
    return prover.run()


def covered_exact(program: Program, name: str) -> Outcome:
    """Whether every element of result ``name`` is carried by exactly one slot, by counting."""
    shape = program.theorems[name].form.shape
    if prod(shape) > MAX_ELEMENTS:
        return Outcome("unknown", reason=f"output {name}: {prod(shape):,} elements are too many to count")
    outputs = [o for o in program.outputs if o.name == name]
    read = program.slots * sum(prod(b.size for b in o.binders) for o in outputs)
    if read > MAX_READ or program.slots > MAX_SLOTS:
        return Outcome("unknown", reason=f"output {name}: {read:,} slots are too many to count")
    count = np.zeros(prod(shape), np.int32)
    for _, _, flat, _ in _carried(program, outputs, shape):
        np.add.at(count, flat, 1)
    wrong = np.flatnonzero(count != 1)
    if not wrong.size:
        return Outcome("proved")
    # an element carried twice tells more than one that is missing because of it
    twice = np.flatnonzero(count > 1)
    place = int(twice[0] if twice.size else wrong[0])
    carriers: list[tuple[Output, Mapping[str, int], int]] = []
    for output, env, flat, slots in _carried(program, outputs, shape):
        carriers.extend((output, env, slot) for slot in slots[flat == place].tolist())
    element = tuple(int(i) for i in np.unravel_index(place, shape))
    return Outcome("refuted", Uncovered(name, element, tuple(carriers)))


def _carried(
    program: Program, outputs: Sequence[Output], shape: tuple[int, ...]
) -> Iterator[tuple[Output, dict[str, int], Ids, Slots]]:
    """For each member of each output: the slots that are read, and the flat elements they carry."""
    slot_env = program.slot_env(np.arange(program.slots))
    for output in outputs:
        condition = in_range(program, output)
        for env in _points(output):
            here = {**slot_env, **env}
            read = np.broadcast_to(np.asarray(holds(condition, program.sizes, here), bool), (program.slots,))
            slots = np.flatnonzero(read)
            yield output, env, _flat(program, output.indices, shape, here)[slots], slots


__all__ = ["PolynomialRing", "TooLarge", "covered_exact", "prove_exact"]
