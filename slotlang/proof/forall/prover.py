"""The mixed-radix method: every goal of a program for all sizes at once, by rewriting sums into each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product

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
    show,
)
from slotlang.meaning.program import Binder, Output, Program, member_text
from slotlang.proof.forall.index_obligations import Place, earlier, inside, not_earlier
from slotlang.proof.forall.inequalities import Domain, NotNormal
from slotlang.proof.forall.own_terms import in_own_terms, own_names
from slotlang.proof.forall.polynomials import Poly
from slotlang.proof.forall.size_solver import Symbols
from slotlang.proof.forall.sum_equality import collected, joined, term_by_term
from slotlang.proof.forall.sums import Given, Rules, Sum, solved_for
from slotlang.proof.goals import goals
from slotlang.proof.induction import recursive
from slotlang.proof.polyhedral import sides
from slotlang.proof.terms import Expander, Term
from slotlang.proof.verdict import Goal, Outcome
from slotlang.refusals import GaveUp

MAX_ALTERNATIVES = 64
"""Disjoint cases that a condition falls into, at most."""


class _Question:
    """Index expressions and conditions as polynomials over one domain, with the slot as its first digits."""

    def __init__(self, program: Program, symbols: Symbols) -> None:
        self.program, self.sizes = program, symbols.sizes
        self.domain = Domain(dict(symbols.domain.least), symbols.domain.facts)
        self.domain.points = symbols.domain.points
        self.domain.known_powers = list(symbols.domain.known_powers)
        self.rules = Rules(self.domain)
        self.free: list[str] = []
        self.digits: dict[str, str] = {}
        slot = Poly()
        for name in self.program.axes[0] if program.axes else ():
            extent = self.poly(program.digits[name].extent)
            self.domain.extents[name] = extent
            slot = slot * extent + Poly.symbol(name)
            self.free.append(name)
        if not program.axes:
            self.domain.extents[SLOT] = self.poly(program.slots_expr)
            self.free.append(SLOT)
            slot = Poly.symbol(SLOT)
        self.slot = slot

    def bind(self, name: str, extent: Int) -> None:
        """Let a variable run over [0, extent)."""
        self.domain.bind(name, self.poly(extent))

    def poly(self, e: Int) -> Poly:
        """The normal form of an index expression. Raises ``NotNormal``."""
        match e:
            case IntConst(value):
                return Poly.const(value)
            case IntSize(name):
                return self.sizes[name]
            case IntVar(name):
                if name in self.domain.extents:
                    return Poly.symbol(name)
                if name == SLOT:
                    return self.slot
                return self.poly(self.program.digits[name].of(IntVar(SLOT)))
            case IntOp(op, a, b):
                return self.domain.combined(op, self.poly(a), self.poly(b))
            case IntCall("**", (IntConst(base), exponent)) if base > 1:
                return self.domain.power(base, self.poly(exponent))
            case IntCall() | IntIf():
                raise NotNormal(f"{show(e)}, which is decided at numbers alone")

    def cases(self, cond: Cond, positive: bool = True) -> list[list[Given]]:
        """Disjoint alternatives, of which one holds exactly where the condition does."""
        match cond:
            case Cmp(op, a, b):
                atom = self._compared(op, self.poly(a), self.poly(b), positive)
                parts = self.rules.simplified(atom)
                return [] if parts is None else [parts]
            case Not(part):
                return self.cases(part, not positive)
            case And(parts) | Or(parts):
                if isinstance(cond, And) == positive:
                    return self._all([self.cases(part, positive) for part in parts])
                found: list[list[Given]] = []
                for n, part in enumerate(parts):
                    before = [self.cases(other, not positive) for other in parts[:n]]
                    found += self._all([*before, self.cases(part, positive)])
                return found

    @staticmethod
    def _compared(op: str, a: Poly, b: Poly, positive: bool) -> Given:
        if not positive:
            op = {"<": ">=", ">=": "<", ">": "<=", "<=": ">", "==": "!=", "!=": "=="}[op]
        match op:
            case "<":
                return "ge", b - a - 1
            case "<=":
                return "ge", b - a
            case ">":
                return "ge", a - b - 1
            case ">=":
                return "ge", a - b
            case _:
                return ("eq" if op == "==" else "ne"), a - b

    @staticmethod
    def _all(parts: list[list[list[Given]]]) -> list[list[Given]]:
        result: list[list[Given]] = [[]]
        for alternatives in parts:
            result = [a + b for a, b in product(result, alternatives)]
            if len(result) > MAX_ALTERNATIVES:
                raise NotNormal("a condition of too many cases")
        return result

    def sums(self, term: Term, extents: Mapping[str, Int]) -> list[Sum]:
        """A term of the program as sums."""
        for name, _ in term.bound:
            self.bind(name, extents[name])
        reads = tuple((t, tuple(self.poly(i) for i in indices)) for t, indices in term.reads)
        bound = tuple(name for name, _ in term.bound)
        sums = [
            Sum(term.re, term.im, term.scalars, bound, tuple(conds), reads) for conds in self.cases(And(term.conds))
        ]
        self.powers_of_others(bound)
        return sums

    def powers_of_others(self, bound: Iterable[str]) -> None:
        """Raises ``NotNormal`` for a power that differs from term to term of a sum: to the rules it is a size."""
        for name, (_, exponent) in self.domain.powers.items():
            if not self.rules.mentions(exponent).isdisjoint(bound):
                raise NotNormal(f"{name}, which differs from term to term of a sum")

    def equal(self, left: list[Sum], right: list[Sum], where: list[Given]) -> str:
        """Why two lists of sums are not shown to be equal where the conditions hold; empty when they are."""
        for _ in range(20):
            polynomials = [p for _, p in where] + [p for s in left + right for p in s.polynomials()]
            digit = self.rules.split(p for p in polynomials)
            if digit is None:
                break
            variable, m = digit
            high, low = self.rules.digits(variable, m)
            value = m * Poly.symbol(high) + Poly.symbol(low)
            self.digits |= {high: f"({variable} // ({m}))", low: f"({variable} % ({m}))"}
            left, right = ([self._replaced(s, variable, value, (high, low)) for s in side] for side in (left, right))
            where = [(kind, self.rules.substituted(p, variable, value)) for kind, p in where]
        single = [v for v in self.domain.extents if self.domain.extents[v] == Poly.const(1)]
        for variable in single:
            left, right = ([self.rules.with_value(s, variable, Poly()) for s in side] for side in (left, right))
            where = [(kind, self.rules.substituted(p, variable, Poly())) for kind, p in where]
        left, right = self._under(left, right, where)
        found = collected(self.rules, [n for s in left for n in self.rules.normals(s)])
        wanted = collected(self.rules, [n for s in right for n in self.rules.normals(s)])
        if self._same(found, wanted):
            return ""
        found, wanted = joined(self.rules, found), joined(self.rules, wanted)
        if self._same(found, wanted):
            return ""
        each = [term_by_term(self.rules, side.values()) for side in (found, wanted)]
        if self._same(*each):
            return ""
        odd = next((s for k, s in found.items() if not self._has(wanted, k, s)), None)
        if odd is not None:
            return f"{self.text(odd)} is not shown to be part of what it should be"
        odd = next(s for k, s in wanted.items() if not self._has(found, k, s))
        return f"{self.text(odd)} is not shown to be there"

    @staticmethod
    def _has(sums: Mapping[object, Sum], name: object, s: Sum) -> bool:
        return name in sums and (sums[name].re, sums[name].im) == (s.re, s.im)

    def _same(self, found: Mapping[object, Sum], wanted: Mapping[object, Sum]) -> bool:
        return found.keys() == wanted.keys() and all(self._has(wanted, k, s) for k, s in found.items())

    def _replaced(self, s: Sum, variable: str, value: Poly, digits: tuple[str, str]) -> Sum:
        s = self.rules.with_value(s, variable, value)
        if variable not in s.bound:
            return s
        return replace(s, bound=(*(b for b in s.bound if b != variable), *digits))

    def _under(self, left: list[Sum], right: list[Sum], where: list[Given]) -> tuple[list[Sum], list[Sum]]:
        """Both sides where the conditions hold: equations solved for free variables, inequalities kept as facts."""
        pending = list(where)
        while pending:
            simple = self.rules.simplified(pending.pop(0))
            if simple is None:
                return [], []
            for kind, p in simple:
                if kind != "eq":
                    self.assume((kind, p))
                    continue
                for name in sorted(p.names() & self.domain.extents.keys()):
                    value = solved_for(self.rules, p, name)
                    if value is not None:
                        left, right = ([self.rules.with_value(s, name, value) for s in side] for side in (left, right))
                        pending = [(k, self.rules.substituted(q, name, value)) for k, q in pending]
                        pending += [("ge", value), ("ge", self.domain.extents[name] - 1 - value)]
                        break
        return left, right

    def assume(self, given: Given) -> None:
        """Take an inequality for granted; what is not 0 and never negative is at least 1."""
        for kind, p in self.rules.simplified(given) or ():
            for fact in [p] if kind == "ge" else [p - 1, -p - 1] if kind == "ne" else []:
                if kind == "ge" or self.domain.nonnegative(fact + 1):
                    self.domain.assume(fact)
        self.domain.compare_powers()

    def under(self, polynomials: list[Poly], where: list[Given]) -> list[Poly] | None:
        """Polynomials where conditions hold; None where these never hold together."""
        whole = Sum(Fraction(1), Fraction(0), (), (), (), (("", tuple(polynomials)),))
        found, _ = self._under([whole], [], where)
        return list(found[0].reads[0][1]) if found else None

    def text(self, s: Sum) -> str:
        """A sum for a person."""
        factors = [*s.scalars, *(member_text(t, indices) for t, indices in s.reads)]
        loops = ", ".join(f"{name} < {self.domain.extents[name]}" for name in s.bound)
        signs = {"ge": ">=", "eq": "==", "ne": "!="}
        factors = [f"[{p} {signs[kind]} 0]" for kind, p in s.conds] + factors
        body = " * ".join(factors) or "1"
        return in_own_terms(f"sum {loops}: {body}" if loops else body, self.program, self.sizes, self.digits)


class MixedRadix:
    """Proves the goals of a program, bound at some sizes, for all sizes that ``symbols`` stand for."""

    def __init__(self, program: Program, symbols: Symbols) -> None:
        self.program, self.symbols = program, symbols
        self.expander = Expander(program)

    def prove(self) -> list[tuple[str, Outcome]]:
        """Every goal in order, up to the first that is not proved."""
        results: list[tuple[str, Outcome]] = []
        for what, reason in self._reasons():
            outcome = Outcome("unknown", reason=f"{what}: {reason}") if reason else Outcome("proved")
            results.append((what, outcome))
            if reason:
                break
        return results

    def _reasons(self) -> Iterator[tuple[str, str]]:
        yield "reads stay inside", self._tried(lambda: self._inside(inside(self.program)))
        for f in recursive(self.program):
            shown = not self._tried(lambda f=f: self._inside(earlier(self.program, f)))
            yield f"{f.name} reads members before its own", "" if shown else not_earlier(f)
        for name in self.program.permutations:
            yield f"permutation {name}", self._tried(lambda name=name: self._bijective(name))
        for goal in goals(self.program):
            yield goal.what, (reason := self._tried(lambda goal=goal: self._goal(goal)))
            if not reason:
                self.expander.proved(goal)
        for name in self.program.theorems:
            yield f"{name} complete", self._tried(lambda name=name: self._complete(name))

    def _tried(self, prove) -> str:  # type: ignore[no-untyped-def]
        try:
            return str(prove())
        except (NotNormal, GaveUp) as problem:
            return own_names(str(problem), self.program)

    def _question(self, binders: Sequence[Binder]) -> _Question:
        question = _Question(self.program, self.symbols)
        for binder in binders:
            question.bind(binder.name, binder.extent)
        return question

    def _goal(self, goal: Goal) -> str:
        left, right, where = sides(self.program, self.expander, goal)
        for n in range(MAX_ALTERNATIVES):
            # each case of the condition in a domain of its own: its facts hold nowhere else
            question = self._question(goal.statement.binders)
            cases = question.cases(And(()) if where is None else where)
            if n == len(cases):
                return ""
            for given in cases[n]:
                # normal forms are simpler where more is known; equations are solved later
                question.assume(given)
            sums = [
                [s for t in side if t.re or t.im for s in question.sums(t, self.expander.extents)]
                for side in (left, right)
            ]
            reason = question.equal(sums[0], sums[1], cases[n])
            if reason:
                return reason
        return "too many cases"

    def _complete(self, name: str) -> str:
        """Every element is carried once: counted by sums of a tensor that stands for the result."""
        outputs = [o for o in self.program.outputs if o.name == name]
        question = self._question([])
        left: list[Sum] = []
        for n, output in enumerate(outputs):
            left += self._carried(question, output, n)
        question.powers_of_others(question.domain.extents)
        return question.equal(left, [self._whole(question, name)], [])

    def _carried(self, question: _Question, output: Output, number: int) -> list[Sum]:
        rename = {name: f"{name}!{number}" for name in [*question.free, *(b.name for b in output.binders)]}
        for binder in output.binders:
            question.bind(binder.name, binder.extent)
        sums = []
        for conds in question.cases(self.program.read_where(output)):
            indices = tuple(question.poly(i) for i in output.indices)
            sums.append(Sum(Fraction(1), Fraction(0), (), tuple(rename), tuple(conds), ((output.name, indices),)))
        renamed = []
        for s in sums:
            for old, new in rename.items():
                question.domain.extents[new] = question.domain.extents[old]
                s = question.rules.with_value(s, old, Poly.symbol(new))
            renamed.append(replace(s, bound=tuple(rename.values())))
        return renamed

    def _whole(self, question: _Question, name: str) -> Sum:
        indices = []
        for extent in self.program.theorems[name].extents:
            indices.append(question.rules.variable(question.poly(extent)))
        reads = ((name, tuple(Poly.symbol(i) for i in indices)),)
        return Sum(Fraction(1), Fraction(0), (), tuple(indices), (), reads)

    def _bijective(self, name: str) -> str:
        permutation = self.program.permutations[name]
        if permutation.expression is None:
            return ""
        question = self._question([])
        reads = ((name, (question.poly(permutation.expression),)),)
        question.powers_of_others(question.free)
        moved = Sum(Fraction(1), Fraction(0), (), tuple(question.free), (), reads)
        slot = question.rules.variable(question.poly(self.program.slots_expr))
        every = Sum(Fraction(1), Fraction(0), (), (slot,), (), ((name, (Poly.symbol(slot),)),))
        return question.equal([moved], [every], [])

    def _inside(self, places: Iterable[Place]) -> str:
        """Why some read is not shown to stay inside its tensor, or some member inside its family."""
        for place in places:
            for n in range(MAX_ALTERNATIVES):
                # each case of what is given in a domain of its own
                question = self._question([])
                for name, range_ in place.variables.items():
                    question.bind(name, range_)
                cases = question.cases(And(place.given))
                if n == len(cases):
                    break
                if reason := self._stays(question, place, cases[n]):
                    return f"line {place.line}: {reason}"
            else:
                return f"line {place.line}: too many cases"
        return ""

    def _stays(self, question: _Question, place: Place, given: list[Given]) -> str:
        index, extent = place.index, place.extent
        if isinstance(index, IntOp) and index.op == "%":
            # whatever is divided, the remainder is below the divisor, which is positive
            if question.domain.within(question.poly(index.right) - 1, question.poly(extent)):
                return ""
        found = question.under([question.poly(index), question.poly(extent)], given)
        if found is None:
            return ""
        p, bound = found
        while not question.domain.within(p, bound):
            digit = question.rules.split([p])
            if digit is None:
                return f"index {show(index)} is not shown to stay below {show(extent)}"
            high, low = question.rules.digits(*digit)
            p = question.rules.substituted(p, digit[0], digit[1] * Poly.symbol(high) + Poly.symbol(low))
        return ""
