"""The polyhedral method with sizes left open: isl parameters stand for the symbols that sizes are linear in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import islpy as isl

from slotlang.meaning.integers import SLOT, Cmp, Int, IntConst, IntVar, Or, evaluate
from slotlang.meaning.program import Family, Output, Program
from slotlang.proof.forall.index_obligations import Place, earlier, inside, not_earlier
from slotlang.proof.forall.polynomials import Poly
from slotlang.proof.forall.size_solver import Symbols
from slotlang.proof.goals import goals
from slotlang.proof.induction import recursive
from slotlang.proof.polyhedral import Polyhedral, _element_map
from slotlang.proof.sets import Box, whole_number
from slotlang.proof.terms import Term, drop_unused
from slotlang.proof.verdict import Failure, Goal, Outcome
from slotlang.refusals import GaveUp


class RefutedAt(Exception):
    """Something fails at these values of the symbols."""

    def __init__(self, point: Mapping[str, int]) -> None:
        super().__init__(str(dict(point)))
        self.point = dict(point)


def linear(symbols: Symbols) -> bool:
    """Whether every size, and all that is known of the symbols, is linear in them, with whole coefficients."""
    polynomials = [*symbols.sizes.values(), *symbols.domain.facts]
    return all(p.whole() and sum(e for _, e in monomial) <= 1 for p in polynomials for monomial in p.terms)


class _OpenBox(Box):
    """A box whose extents are linear in parameters."""

    def __init__(
        self,
        program: Program,
        context: isl.Context,
        free: Sequence[tuple[str, int]],
        bound: Sequence[tuple[str, int]],
        symbols: Symbols,
        extents: Mapping[str, Int],
        with_slot: bool = True,
    ) -> None:
        self.symbols = symbols
        self.parameters = sorted(symbols.domain.least)
        self.extents = dict(extents)
        if with_slot:
            self.extents.update((name, digit.extent) for name, digit in program.digits.items())
            self.extents[SLOT] = program.slots_expr
        super().__init__(program, context, free, bound, with_slot)

    def _space(self, context: isl.Context) -> isl.Space:
        space = isl.Space.set_alloc(context, len(self.parameters), len(self.dims))
        for position, name in enumerate(self.parameters):
            space = space.set_dim_name(isl.dim_type.param, position, name)
        return space

    def _polynomial(self, p: Poly) -> isl.PwAff:
        result = self._constant(int(p.terms.get((), 0)))
        for monomial, c in p.terms.items():
            if monomial:
                position = self.parameters.index(monomial[0][0])
                symbol = isl.PwAff.from_aff(isl.Aff.var_on_domain(self._local, isl.dim_type.param, position))
                result = result.add(symbol.scale_val(isl.Val.int_from_si(self._local.get_ctx(), int(c))))
        return result

    def _size(self, name: str) -> isl.PwAff:
        return self._polynomial(self.symbols.sizes[name])

    def _extent(self, name: str, extent: int) -> isl.PwAff:
        return self.aff(self.extents[name])

    def _greatest(self, e: Int) -> int:
        raise GaveUp("an exclusive or, which is decided at numbers alone")

    def _number(self, e: Int) -> Any:
        known = {name: int(n) for name, p in self.symbols.sizes.items() if (n := p.number()) is not None}
        try:
            value = int(evaluate(e, known, {}))
        except KeyError:
            return None
        return isl.Val.int_from_si(self._local.get_ctx(), value)

    def _box(self) -> isl.Set:
        result = super()._box()
        zero = self._constant(0)
        for name, least in self.symbols.domain.least.items():
            result = result & self._polynomial(Poly.symbol(name)).ge_set(self._constant(least))
        for fact in self.symbols.domain.facts:
            result = result & self._polynomial(fact).ge_set(zero)
        return result


class OpenPolyhedral(Polyhedral):
    """Decides the goals of a program for all values of the symbols at once."""

    def __init__(self, program: Program, symbols: Symbols) -> None:
        super().__init__(program)
        self.symbols = symbols
        self.extents: dict[str, Int] = {}

    def run(self) -> list[tuple[str, Outcome]]:
        """Every goal in order, up to the first that is not proved. Raises ``RefutedAt``."""
        results: list[tuple[str, Outcome]] = []
        for what, decide in [
            ("reads stay inside", partial(self._inside, inside(self.program))),
            *((f"{f.name} reads members before its own", partial(self._earlier, f)) for f in recursive(self.program)),
            *((f"permutation {p}", partial(self._bijective, p)) for p in self.program.permutations),
        ]:
            try:
                results.append((what, decide()))
            except (GaveUp, isl.Error) as problem:
                results.append((what, Outcome("unknown", reason=f"{what}: {problem}")))
            if results[-1][1].status != "proved":
                return results
        for goal in goals(self.program):
            self.extents = {b.name: b.extent for b in goal.statement.binders}
            results.append((goal.what, self.prove(goal)))
            if results[-1][1].status != "proved":
                return results
        for name in self.program.theorems:
            results.append((f"{name} complete", self.covered(name)))
        return results

    def _box(self, free: Sequence[tuple[str, int]], bound: Sequence[tuple[str, int]]) -> Box:
        extents = {**self.expander.extents, **self.extents}
        return _OpenBox(self.program, self.context, free, bound, self.symbols, extents)

    def _open(self, name: str) -> bool:
        """Whether the extent of a bound variable may differ from what it is at the sizes the program is bound at."""
        extent = self.symbols.value(self.expander.extents[name])
        return extent is None or extent.number() != evaluate(self.expander.extents[name], self.program.sizes, {})

    def _dropped(self, term: Term) -> Term:
        dropped = drop_unused(term)
        gone = {name for name, _ in term.bound} - {name for name, _ in dropped.bound}
        # its extent as a factor is known at one size only; kept, it makes the map of the term not injective
        return term if any(self._open(name) for name in gone) else dropped

    def _unrollable(self, term: Term) -> Sequence[tuple[str, int]]:
        return [(name, extent) for name, extent in term.bound if not self._open(name)]

    def _shorter(self, box: object, piece: object) -> None:
        """Loops are not cut: their extents are those of the sizes, whatever a term says."""

    def _failure(self, goal: Goal, free: object, term: object, region: Any) -> Any:
        raise self._refuted(region.points)

    def _refuted(self, points: isl.Set) -> RefutedAt:
        point = points.sample_point()
        names = sorted(self.symbols.domain.least)
        return RefutedAt(
            {n: whole_number(point.get_coordinate_val(isl.dim_type.param, i)) for i, n in enumerate(names)}
        )

    def _inside(self, places: Iterable[Place]) -> Outcome:
        for place in places:
            self.extents = dict(place.variables)
            box = self._box([(name, 0) for name in place.variables], ())
            outside = Or((Cmp("<", place.index, IntConst(0)), Cmp(">=", place.index, place.extent)))
            points = box.points((*place.given, outside))
            if not points.is_empty():
                raise self._refuted(points)
        return Outcome("proved")

    def _earlier(self, family: Family) -> Outcome:
        try:
            return self._inside(earlier(self.program, family))
        except RefutedAt:
            # by several indices together it may
            return Outcome("unknown", reason=not_earlier(family))

    def _bijective(self, name: str) -> Outcome:
        expression = self.program.permutations[name].expression
        if expression is None:
            return Outcome("proved")
        box = self._box([], ())
        outside = Or((Cmp("<", expression, IntConst(0)), Cmp(">=", expression, self.program.slots_expr)))
        points = box.points((outside,))
        if not points.is_empty():
            raise self._refuted(points)
        relation = isl.Map.from_pw_aff(box.aff(expression)).intersect_domain(box.points(()))
        if not relation.is_injective():
            return Outcome("unknown", reason=f"permutation {name}: two slots meet at some sizes")
        return Outcome("proved")

    def _covered(self, name: str, outputs: list[Output], shape: tuple[int, ...]) -> Failure | None:
        extents = self.program.theorems[name].extents
        names = [(f"e{n}", size) for n, size in enumerate(shape)]
        named = {f"e{n}": extent for n, extent in enumerate(extents)}
        whole = _OpenBox(self.program, self.context, (), names, self.symbols, named, with_slot=False)
        left_over = whole.map((), [IntVar(n) for n, _ in names]).range()
        for output in outputs:
            self.extents = {b.name: b.extent for b in output.binders}
            box = self._box([(b.name, b.size) for b in output.binders], ())
            relation = _element_map(box, output, self.program.read_where(output))
            if not relation.is_injective():
                raise GaveUp("some element is carried twice at some sizes")
            image = relation.range()
            doubled = image - left_over
            if not doubled.is_empty():
                raise self._refuted(doubled)
            left_over = left_over - image
        if not left_over.is_empty():
            raise self._refuted(left_over)
        return None


__all__ = ["OpenPolyhedral", "RefutedAt", "linear"]
