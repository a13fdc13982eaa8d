"""The polyhedral method: exact, deterministic, on the program, at a cost that does not depend on the sizes.

Two term lists over the same points are equal when, for every point and every monomial, the coefficients add
up to the same. Each term maps its points to (point, monomial). Where that map is injective a monomial gets the
term's coefficient exactly on the map's image, so equality is a question about finitely many sets: the images
are cut into regions, each with the sum of the coefficients that reach it, and every region of nonzero
sum must be empty. All of it is decided by isl.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypeAlias

import islpy as isl

from slotlang.meaning.integers import SLOT, Cmp, Cond, IntConst, IntVar
from slotlang.meaning.program import Claim, Output, Program
from slotlang.proof.loops import fixed, nonlinear, one_period
from slotlang.proof.monomials import canonical
from slotlang.proof.sets import Box, coordinates
from slotlang.proof.terms import Expander, Term, drop_unused, products
from slotlang.proof.verdict import Failure, Goal, Outcome, Uncovered, Wrong
from slotlang.refusals import GaveUp
from slotlang_runtime.amounts import count_of

MAX_OPERATIONS = 300_000
"""isl operations per question before the answer is "unknown" (some ten seconds); proofs of the corpus take a third."""
MAX_UNROLLED = 512
MAX_REGIONS = 400
MAX_FACTORS, MAX_LOOPS = 128, 64
"""Elements in a product, and loops that it is added up over, at most. Each is a dimension of a set, and isl counts an
operation on a set as one however many dimensions it has."""


def real_part(terms: Sequence[Term], part: str | None) -> list[Term]:
    """Terms of the part of a value that an output reads; tensors and scalars are real."""
    if part is None:
        return list(terms)
    if part == "re":
        return [replace(t, im=Fraction(0)) for t in terms if t.re]
    return [replace(t, re=t.im, im=Fraction(0)) for t in terms if t.im]


def sides(program: Program, expander: Expander, goal: Goal) -> tuple[list[Term], list[Term], Cond | None]:
    """Both sides of a goal as terms over (its binders, slot), and where they must agree."""
    here = IntVar(SLOT)
    statement = goal.statement
    if isinstance(statement, Claim):
        if goal.induction is None:
            left = expander.member(statement.family, statement.indices, here)
        else:
            left = expander.case(goal.induction, here)
        right = expander.expand(statement.value, {}, here)
        return left, right, statement.where
    left = real_part(expander.expand(statement.family, {}, here), statement.part)
    theorem = program.theorems[statement.name]
    right = expander.expand(theorem.value, theorem.env(statement), here)
    return left, right, program.read_where(statement)


Coefficient: TypeAlias = tuple[Fraction, Fraction]
_ZERO: Coefficient = (Fraction(0), Fraction(0))


@dataclass(frozen=True, slots=True)
class Region:
    """Points at which the left side has one coefficient and the right side another (real, imaginary)."""

    points: isl.Set
    left: Coefficient
    right: Coefficient


def overlay(regions: list[Region], new: Region) -> list[Region]:
    """Disjoint regions with one more added to them: where it meets another the coefficients add up."""
    result: list[Region] = []
    rest = new.points
    for region in regions:
        common = region.points & rest
        if common.is_empty():
            result.append(region)
            continue
        left = (region.left[0] + new.left[0], region.left[1] + new.left[1])
        right = (region.right[0] + new.right[0], region.right[1] + new.right[1])
        result.append(Region(common.coalesce(), left, right))
        remaining = region.points - common
        if not remaining.is_empty():
            result.append(Region(remaining.coalesce(), region.left, region.right))
        rest = rest - common
    if not rest.is_empty():
        result.append(Region(rest.coalesce(), new.left, new.right))
    return result


class Polyhedral:
    """Proves goals in order; proved claims become facts for the goals after them.

    ``operations`` of isl for each goal, after which it is unknown.
    """

    def __init__(self, program: Program, operations: int = MAX_OPERATIONS) -> None:
        self.program = program
        self.expander = Expander(program)
        self.context = isl.Context()
        self.context.set_max_operations(operations)

    def prove(self, goal: Goal) -> Outcome:
        """Decide one goal: proved, refuted with a place, or unknown with the reason."""
        self.context.reset_operations()
        try:
            wrong = None if self._whole(goal) else self._failed(goal)
        except GaveUp as problem:
            return Outcome("unknown", reason=f"{goal.what}: {problem}")
        except isl.Error:
            return Outcome("unknown", reason=f"{goal.what}: the question is too large for the polyhedral method")
        except RecursionError:
            return Outcome("unknown", reason=f"{goal.what}: families that read each other too many times in a row")
        if wrong is not None:
            return Outcome("refuted", wrong)
        self.expander.proved(goal)
        return Outcome("proved")

    def _failed(self, goal: Goal) -> Failure | None:
        """Where a goal fails."""
        left, right, where = sides(self.program, self.expander, goal)
        free = [(b.name, b.size) for b in goal.statement.binders]
        return self._equal(goal, free, left, right, () if where is None else (where,))

    def _whole(self, goal: Goal) -> bool:
        """Whether both sides agree already while the products of matrices that the goal speaks of stay whole, where
        proved claims speak of them too. (M @ x)[h] ** 4 is one product then, and n^4 multiplied out."""
        statement, program = goal.statement, self.program
        value = statement.value if isinstance(statement, Claim) else program.theorems[statement.name].value
        wanted = products(program, value)
        known = [c.value for claims in self.expander.facts.values() for c in claims]
        if not wanted or not wanted <= frozenset[str]().union(*(products(program, v) for v in known)):
            return False
        self.expander.opaque = True
        try:
            return self._failed(goal) is None
        except (GaveUp, isl.Error):
            return False
        finally:
            self.expander.opaque = False
            self.context.reset_operations()

    def _equal(
        self,
        goal: Goal,
        free: list[tuple[str, int]],
        left: Sequence[Term],
        right: Sequence[Term],
        where: tuple[Cond, ...],
    ) -> Failure | None:
        for members in self._groups(left, right, where):
            for region in self._regions(free, members):
                if region.left != region.right:
                    if self.expander.opaque:
                        raise GaveUp("the products of matrices differ, multiplied out they may agree")
                    return self._failure(goal, free, members[0][0], region)
        return None

    def _groups(
        self, left: Sequence[Term], right: Sequence[Term], where: tuple[Cond, ...]
    ) -> list[list[tuple[Term, int]]]:
        """The terms of both sides (1, -1) that can cancel each other: those of one signature."""
        groups: dict[object, list[tuple[Term, int]]] = {}
        for side, terms in ((1, left), (-1, right)):
            for term in terms:
                if not (term.re or term.im):
                    continue
                if len(term.reads) > MAX_FACTORS or len(term.bound) > MAX_LOOPS:
                    what = count_of(len(term.reads), "factor"), count_of(len(term.bound), "loop")
                    raise GaveUp(f"a product of {' in '.join(what)} is too large for this method")
                for part in canonical(self._dropped(replace(term, conds=where + term.conds))):
                    groups.setdefault(part.signature, []).append((part, side))
        return list(groups.values())

    def _regions(self, free: list[tuple[str, int]], members: list[tuple[Term, int]]) -> list[Region]:
        """Add up the coefficients of both sides on every part of (point, monomial) space that some term reaches."""
        regions: list[Region] = []
        # the right side first: it has the fewest and simplest images
        for term, side in sorted(members, key=lambda m: m[1]):
            for piece, image in self._images(free, term):
                value = (piece.re, piece.im)
                regions = overlay(regions, Region(image, value, _ZERO) if side > 0 else Region(image, _ZERO, value))
                if len(regions) > MAX_REGIONS:
                    raise GaveUp("too many regions")
        return regions

    def wrong_slots(self, goal: Goal, binders: Mapping[str, int]) -> isl.Set:
        """Every slot at which a goal is wrong, at values of its binders: a set over the digits, or the slot where the
        program has none. Raises ``GaveUp`` and ``isl.Error``."""
        self.context.reset_operations()
        left, right, where = sides(self.program, self.expander, goal)
        free = [(b.name, b.size) for b in goal.statement.binders]
        conds = tuple(Cmp("==", IntVar(name), IntConst(value)) for name, value in binders.items())
        digits = len(self._box(free, ()).fixed) - len(free)
        wrong = isl.Set.empty(isl.Space.set_alloc(self.context, 0, digits))
        for members in self._groups(left, right, conds if where is None else (*conds, where)):
            for region in self._regions(free, members):
                if region.left != region.right:
                    points = region.points.project_out(isl.dim_type.set, 0, len(free))
                    beyond = points.dim(isl.dim_type.set) - digits
                    wrong = wrong | points.project_out(isl.dim_type.set, digits, beyond)
        return wrong.compute_divs().coalesce()

    def _images(self, free: list[tuple[str, int]], term: Term) -> list[tuple[Term, isl.Set]]:
        """Images of the term's maps, each injective; loops that repeat themselves are cut to one period, small
        ones unrolled where that is needed."""
        pending, done, unrolled = [term], [], 0
        while pending:
            piece = self._dropped(pending.pop())
            box = self._box(free, piece.bound)
            targets = [index for _, indices in piece.reads for index in indices]
            looped = {name for name, _ in piece.bound}
            bent = looped & nonlinear(piece)
            if bent:
                unrolled += self._unroll(piece, bent, pending, unrolled)
                continue
            relation = box.map(piece.conds, targets)
            if relation.is_empty():
                continue
            if relation.is_injective():
                # without existential variables, which would pile up in the differences of images
                image = relation.range().compute_divs().coalesce().detect_equalities()
                done.append((piece, image))
                continue
            if not piece.bound:
                raise GaveUp("a map without loop variables is not injective")
            shorter = self._shorter(box, piece)
            if shorter is not None:
                pending.append(shorter)
                continue
            unrolled += self._unroll(piece, looped, pending, unrolled)
        return done

    def _unroll(self, piece: Term, names: set[str], pending: list[Term], before: int) -> int:
        """Put the parts of a term at each value of the shortest of some loops into ``pending``; how many."""
        loops = [v for v in self._unrollable(piece) if v[0] in names]
        name, extent = min(loops, key=lambda v: v[1], default=("", MAX_UNROLLED))
        if not name or before + extent > MAX_UNROLLED:
            raise GaveUp("a product is added up several times, which this method does not count")
        pending.extend(fixed(piece, name, value) for value in range(extent))
        return extent

    def _box(self, free: Sequence[tuple[str, int]], bound: Sequence[tuple[str, int]]) -> Box:
        return Box(self.program, self.context, free, bound)

    def _dropped(self, term: Term) -> Term:
        return drop_unused(term)

    def _shorter(self, box: Box, piece: Term) -> Term | None:
        return one_period(box, piece)

    def _unrollable(self, term: Term) -> Sequence[tuple[str, int]]:
        return term.bound

    def _failure(
        self,
        goal: Goal,
        free: list[tuple[str, int]],
        term: Term,
        region: Region,
    ) -> Wrong:
        values = coordinates(region.points.sample_point(), region.points.dim(isl.dim_type.set))
        fixed = self._box(free, ()).fixed
        named = dict(zip((name for name, _ in fixed), values, strict=False))
        binders = {name: named[name] for name, _ in free}
        if self.program.axes:
            slot = 0
            for name in self.program.axes[0]:
                slot = slot * self.program.digits[name].size + named[name]
        else:
            slot = named[SLOT]
        rest = values[len(fixed) :]
        reads = []
        for tensor, indices in term.reads:
            reads.append((tensor, tuple(rest[: len(indices)])))
            rest = rest[len(indices) :]
        return Wrong(goal, binders, slot, (term.scalars, tuple(sorted(reads))), region.left, region.right)

    # every element of a result is carried exactly once

    def covered(self, name: str) -> Outcome:
        """Whether every element of result ``name`` is carried by exactly one slot."""
        self.context.reset_operations()
        outputs = [o for o in self.program.outputs if o.name == name]
        shape = self.program.theorems[name].shape
        try:
            failure = self._covered(name, outputs, shape)
        except GaveUp as problem:
            return Outcome("unknown", reason=f"output {name}: {problem}")
        except isl.Error:
            return Outcome("unknown", reason=f"output {name}: the question is too large for this method")
        return Outcome("refuted", failure) if failure else Outcome("proved")

    def _covered(self, name: str, outputs: list[Output], shape: tuple[int, ...]) -> Failure | None:
        space = isl.Space.set_alloc(self.context, 0, len(shape))
        left_over = isl.Set.universe(space)
        for position, size in enumerate(shape):
            left_over = left_over.lower_bound_val(
                isl.dim_type.set, position, isl.Val.int_from_si(self.context, 0)
            ).upper_bound_val(isl.dim_type.set, position, isl.Val.int_from_si(self.context, size - 1))
        seen: list[tuple[Output, isl.Map, Box]] = []
        for output in outputs:
            box = self._box([(b.name, b.size) for b in output.binders], ())
            relation = _element_map(box, output, self.program.read_where(output))
            image = relation.range()
            if not relation.is_injective():
                return self._doubled(name, output, relation, box)
            doubled = image - left_over
            if not doubled.is_empty():
                element = tuple(coordinates(doubled.sample_point(), len(shape)))
                carriers = [
                    (o, *self._carrier(m, b, element))
                    for o, m, b in [*seen, (output, relation, box)]
                    if self._carries(m, element)
                ]
                return Uncovered(name, element, tuple(carriers))
            left_over = left_over - image
            seen.append((output, relation, box))
        if left_over.is_empty():
            return None
        return Uncovered(name, tuple(coordinates(left_over.sample_point(), len(shape))), ())

    def _doubled(self, name: str, output: Output, relation: isl.Map, box: Box) -> Failure:
        first, last = relation.reverse().lexmin().reverse(), relation.reverse().lexmax().reverse()
        differs = first.subtract(last).range()
        element = tuple(coordinates(differs.sample_point(), relation.dim(isl.dim_type.out)))
        carriers = [(output, *self._carrier(m, box, element)) for m in (first, last)]
        return Uncovered(name, element, tuple(carriers))

    def _carries(self, relation: isl.Map, element: tuple[int, ...]) -> bool:
        return not relation.intersect_range(_point(relation.range(), element)).is_empty()

    def _carrier(self, relation: isl.Map, box: Box, element: tuple[int, ...]) -> tuple[dict[str, int], int]:
        domain = relation.intersect_range(_point(relation.range(), element)).domain()
        values = coordinates(domain.sample_point(), len(box.dims))
        named = dict(zip((n for n, _ in box.dims), values, strict=True))
        slot = named.get(SLOT, 0)
        if self.program.axes:
            for digit in self.program.axes[0]:
                slot = slot * self.program.digits[digit].size + named.pop(digit)
        named.pop(SLOT, None)
        return named, slot


def _element_map(box: Box, output: Output, cond: Cond) -> isl.Map:
    result: isl.Map | None = None
    for index in output.indices:
        part = isl.Map.from_pw_aff(box.aff(index))
        result = part if result is None else result.flat_range_product(part)
    points = box.points((cond,))
    # a number has one element, which has no indices
    return isl.Map.from_domain(points) if result is None else result.intersect_domain(points)


def _point(like: isl.Set, element: Sequence[int]) -> isl.Set:
    result = isl.Set.universe(like.get_space())
    for position, value in enumerate(element):
        result = result.fix_val(isl.dim_type.set, position, isl.Val.int_from_si(like.get_ctx(), value))
    return result
