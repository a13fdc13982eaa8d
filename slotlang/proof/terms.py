"""Vector values as finite lists of terms, at the level of the program: loops kept, nothing unrolled.

A term is ``coefficient * scalars * product of tensor reads``, summed over bound variables that run over
boxes cut by conditions. Its index expressions are over the free variables (a family's indices, ``slot``) and the
bound ones. ``<<`` composes the slot, ``sum`` adds a bound variable, ``*`` multiplies term lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from slotlang.meaning.deep import Steps, walked
from slotlang.meaning.integers import (
    SLOT,
    And,
    Cmp,
    Cond,
    Int,
    IntConst,
    IntVar,
    Not,
    evaluate,
    substitute,
    substitute_cond,
    variables,
    within,
)
from slotlang.meaning.places import check_place, shifted, short
from slotlang.meaning.program import Claim, Program
from slotlang.meaning.value import (
    Arith,
    Conj,
    Const,
    Element,
    Factor,
    FamilyRef,
    Iverson,
    Negate,
    Operator,
    Permuted,
    Read,
    ScalarRef,
    Shift,
    SumOver,
    TensorForm,
    Value,
    leaves,
)
from slotlang.proof.induction import taken
from slotlang.proof.verdict import Goal, Induction
from slotlang.refusals import GaveUp

MAX_TERMS = 4096
MAX_FACTORS = 1024
"""Elements and scalars in one product, at most: a family that is squared again and again doubles them every time."""
MAX_BITS = 1 << 16
"""Bits of a coefficient, at most."""
MAX_WORK = 1 << 20
"""Terms that are made for one value, at most, those of what it reads among them: some seconds."""
MANY = 256
"""Terms from which on equal ones are added up: looking for them takes as long as making them."""
MAX_CYCLE_POINTS = 64


@dataclass(frozen=True, slots=True)
class Term:
    """One term. ``re`` and ``im`` are its exact coefficient; ``bound`` lists (variable, extent)."""

    re: Fraction
    im: Fraction
    scalars: tuple[str, ...]
    bound: tuple[tuple[str, int], ...]
    conds: tuple[Cond, ...]
    reads: tuple[tuple[str, tuple[Int, ...]], ...]

    @property
    def signature(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Scalars and tensors of the term's monomials: terms of different signature never cancel."""
        return self.scalars, tuple(sorted(t for t, _ in self.reads))


ONE = Term(Fraction(1), Fraction(0), (), (), (), ())


class Expander:
    """Expands values to terms, with the claims proved so far in force.

    ``facts`` maps a family to its proved claims (see ``learn``); a reference to it then means what they say. While
    ``opaque``, elements of products of matrices stay whole, as if the product were a tensor.
    ``extents`` has the extent of every bound variable made so far, over the names of sizes.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.facts: dict[str, list[Claim]] = {}
        self.extents: dict[str, Int] = {}
        self.opaque = False
        self._order: list[Claim] = []
        self._cases: dict[int, set[int]] = {}
        self._assumed: Claim | None = None
        self._known = 0
        self._fresh = 0
        self._work = 0
        self._members: dict[tuple[object, ...], list[Term]] = {}

    def learn(self, claim: Claim) -> None:
        """Take a proved claim for what it says from now on."""
        self.facts.setdefault(claim.family, []).append(claim)
        self._order.append(claim)
        self._known = len(self._order)

    def proved(self, goal: Goal) -> None:
        """Take what a proved goal claims for what it says from now on; by induction, once all its cases are proved."""
        if goal.induction is not None:
            done = self._cases.setdefault(id(goal.induction.claim), set())
            done.add(goal.induction.number)
            if len(done) == goal.induction.of:
                self.learn(goal.induction.claim)
        elif isinstance(goal.statement, Claim):
            self.learn(goal.statement)

    def case(self, induction: Induction, slot: Int) -> list[Term]:
        """Terms of the members of one case, when the claim holds of those of their own family that they read: of these
        mentions alone, for which it is shown that they stand before."""
        claim, members = induction.claim, self._members
        # what members say under this assumption is not kept for another one
        self._assumed, self._members = claim, {}
        try:
            return self.expand(induction.case.body, self.program.families[claim.family].env(claim.indices), slot)
        finally:
            self._assumed, self._members = None, members

    def _name(self, stem: str, extent: Int) -> str:
        self._fresh += 1
        name = f"{stem.partition('$')[0]}${self._fresh}"
        self.extents[name] = extent
        return name

    def expand(self, value: Value, env: Mapping[str, Int], slot: Int) -> list[Term]:
        """Terms of ``value`` at slot ``slot``; ``env`` replaces loop variables.

        Raises ``GaveUp`` when there are more than ``MAX_TERMS``, or one has more than ``MAX_FACTORS``.
        """
        self._work = 0
        return walked(self._expand(value, env, slot))

    def _expand(self, value: Value, env: Mapping[str, Int], slot: Int) -> Any:
        """A walk to the terms of a value; the terms themselves where it is a leaf that reads no family."""
        if isinstance(value, Operator | FamilyRef):
            return self._checked(value, env, slot)
        return self._leaf(value, env, slot)

    def _checked(self, value: Value, env: Mapping[str, Int], slot: Int) -> Steps[list[Term]]:
        result = yield from self._terms(value, env, slot)
        self._work += len(result) + 1
        if self._work > MAX_WORK:
            raise GaveUp(f"more than {MAX_WORK:,} terms on the way")
        if len(result) > MANY:
            result = collected(result)
        if len(result) > MAX_TERMS:
            raise GaveUp(f"more than {MAX_TERMS} terms")
        return result

    def _getter(self, env: Mapping[str, Int], slot: Int):  # type: ignore[no-untyped-def]
        program = self.program

        def get(name: str) -> Int | None:
            if name in env:
                return env[name]
            if slot == IntVar(SLOT):
                return None
            return program.digit_of(slot, name)

        return get

    def _leaf(self, value: Value, env: Mapping[str, Int], slot: Int) -> list[Term]:
        match value:
            case Const(re, im):
                return [replace(ONE, re=re, im=im)] if re or im else []
            case ScalarRef(name):
                return [replace(ONE, scalars=(name,))]
            case Iverson(cond):
                return [replace(ONE, conds=(substitute_cond(cond, self._getter(env, slot)),))]
            case Read(tensor, indices, else_zero):
                get = self._getter(env, slot)
                return [self._read(tensor, tuple(substitute(i, get) for i in indices), else_zero)]
            case Element(form, indices, else_zero):
                get = self._getter(env, slot)
                return self.element(form, tuple(substitute(i, get) for i in indices), else_zero)
            case _:
                raise AssertionError(value)

    def _terms(self, value: Value, env: Mapping[str, Int], slot: Int) -> Steps[list[Term]]:
        match value:
            case FamilyRef(name, indices):
                get = self._getter(env, slot)
                terms = yield self._read_member(name, tuple(substitute(i, get) for i in indices), slot)
                return list(terms)
            case Negate(inner):
                terms = yield self._expand(inner, env, slot)
                return [replace(t, re=-t.re, im=-t.im) for t in terms]
            case Conj(inner):
                terms = yield self._expand(inner, env, slot)
                return [replace(t, im=-t.im) for t in terms]
            case Arith(op, left, right):
                first = yield self._expand(left, env, slot)
                second = yield self._expand(right, env, slot)
                if op == "*":
                    return self._product(first, second)
                return [*first, *(second if op == "+" else (replace(t, re=-t.re, im=-t.im) for t in second))]
            case Shift(inner, amount):
                step = substitute(amount, self._getter(env, slot))
                terms = yield self._expand(inner, env, shifted(self.program.slots_expr, slot, step))
                return list(terms)
            case SumOver(var, extent, _, _, body, cut=cut):
                size = int(evaluate(extent, self.program.sizes, {}))
                fresh = self._name(var, extent)
                terms = yield self._expand(body, {**env, var: IntVar(fresh)}, slot)
                below = () if cut is None else (Cmp("<", IntVar(fresh), substitute(cut, self._getter(env, slot))),)
                return [replace(t, bound=((fresh, size), *t.bound), conds=(*below, *t.conds)) for t in terms]
            case Permuted(inner, name, inverse):
                return (yield from self._permuted(inner, name, inverse, env, slot))
            case _:
                raise AssertionError(value)

    def _product(self, left: list[Term], right: list[Term]) -> list[Term]:
        if len(left) * len(right) > MAX_TERMS:
            left, right = collected(left), collected(right)
        if len(left) * len(right) > MAX_TERMS:
            raise GaveUp(f"products of terms, {len(left)} by {len(right)}")
        products = []
        for a in left:
            for b in right:
                if (factors := sum(len(t.reads) + len(t.scalars) for t in (a, b))) > MAX_FACTORS:
                    raise GaveUp(f"products of {factors:,} factors")
                # the two lists share no bound variables: every expansion makes fresh ones
                products.append(
                    Term(
                        a.re * b.re - a.im * b.im,
                        a.re * b.im + a.im * b.re,
                        tuple(sorted(a.scalars + b.scalars)),
                        a.bound + b.bound,
                        # a family that is squared again and again has the same ones twice as often every time
                        tuple(dict.fromkeys(a.conds + b.conds)),
                        a.reads + b.reads,
                    )
                )
        numbers = (n for t in products for c in (t.re, t.im) for n in (c.numerator, c.denominator))
        if any(n.bit_length() > MAX_BITS for n in numbers):
            raise GaveUp(f"coefficients of more than {MAX_BITS:,} bits")
        return products

    def _read(self, tensor: str, indices: tuple[Int, ...], else_zero: bool) -> Term:
        decl = self.program.tensors[tensor]
        conds: list[Cond] = []
        if else_zero:
            conds += within(indices, decl.extents)
        if decl.pattern is not None:
            names = dict(zip(decl.indices, indices, strict=True))
            conds.append(substitute_cond(decl.pattern, names.get))
        return replace(ONE, conds=tuple(conds), reads=((tensor, indices),))

    def element(self, form: TensorForm, indices: tuple[Int, ...], else_zero: bool = False) -> list[Term]:
        """Terms of one element of a tensor expression: inner dimensions are summed over."""
        padding = within(indices, self.program.extents(form)) if else_zero else ()
        terms = []
        for chain in form.chains:
            if not chain.coefficient:
                continue
            if self.opaque and len(chain.factors) > 1:
                name, transposed = product_name(self.program, chain.factors)
                reads = ((name, indices[::-1] if transposed else indices),)
                terms.append(replace(ONE, re=chain.coefficient, scalars=chain.scalars, conds=padding, reads=reads))
                continue
            bound: list[tuple[str, int]] = []
            term = replace(ONE, re=chain.coefficient, scalars=chain.scalars)
            decls = [self.program.tensors[f.tensor] for f in chain.factors]
            pending = list(indices)
            if len(decls[0].shape) == 2:
                link: Int | None = pending.pop(0)
            else:
                link = None
            for position, (factor, decl) in enumerate(zip(chain.factors, decls, strict=True)):
                last = position == len(decls) - 1
                if last:
                    right = pending.pop(0) if pending else None
                else:
                    axis = 0 if (len(decl.shape) == 1 or factor.transposed) else 1
                    name = self._name("m", decl.extents[axis])
                    bound.append((name, decl.shape[axis]))
                    right = IntVar(name)
                here = [i for i in (link, right) if i is not None]
                if factor.transposed:
                    here.reverse()
                read = self._read(factor.tensor, tuple(here), False)
                term = replace(term, conds=term.conds + read.conds, reads=term.reads + read.reads)
                link = right
            terms.append(replace(term, bound=tuple(bound), conds=term.conds + padding))
        return terms

    def member(self, name: str, indices: tuple[Int, ...], slot: Int) -> list[Term]:
        """Terms of a family's member at a slot: its latest claim where that speaks of it, else its body."""
        return walked(self._read_member(name, indices, slot))

    def _read_member(self, name: str, indices: tuple[Int, ...], slot: Int) -> Steps[list[Term]]:
        for place in (*indices, slot):
            check_place(place)
        # what a member says here depends on nothing else
        key = (name, indices, slot, self._known, self.opaque, self._assumed is None)
        if key in self._members:
            return self._members[key]
        known = self._order[: self._known]
        terms = yield from self._member(name, indices, slot, [c for c in self.facts.get(name, []) if c in known])
        # every expansion has bound variables of its own
        if not any(t.bound for t in terms):
            self._members[key] = terms
        return terms

    def _claimed(self, claim: Claim, env: Mapping[str, Int], slot: Int) -> Steps[list[Term]]:
        """The value of a claim that is proved or assumed. Inside it only earlier claims count, and no assumption: it
        may speak of its own family."""
        before, assumed = self._known, self._assumed
        if claim in self._order:
            self._known = self._order.index(claim)
        self._assumed = None
        try:
            terms: list[Term] = yield self._expand(claim.value, env, slot)
            return terms
        finally:
            self._known, self._assumed = before, assumed

    def _member(self, name: str, indices: tuple[Int, ...], slot: Int, facts: list[Claim]) -> Steps[list[Term]]:
        family = self.program.families[name]
        if self._assumed is not None and self._assumed.family == name:
            named = zip(self._assumed.indices, indices, strict=True)
            here = {i.name: at for i, at in named if isinstance(i, IntVar)}
            return (yield from self._claimed(self._assumed, here, slot))
        if not facts:
            body = taken(family, indices) if family.cases else family.body
            terms = yield self._expand(body, family.env(indices), slot)
            return list(terms)
        claim = facts[-1]
        own = {b.name for b in claim.binders}
        env: dict[str, Int] = {}
        rest_of_places: list[tuple[Int, Int]] = []
        for place, index in zip(claim.indices, indices, strict=True):
            # the first place that is a bare name binds it; every other place is a condition
            if isinstance(place, IntVar) and place.name in own and place.name not in env:
                env[place.name] = index
            else:
                rest_of_places.append((place, index))
        match_conds: list[Cond] = [Cmp("==", index, substitute(place, env.get)) for place, index in rest_of_places]
        if claim.where is not None:
            match_conds.append(substitute_cond(claim.where, self._getter(env, slot)))
        terms = yield from self._claimed(claim, env, slot)
        if not match_conds:
            return terms
        inside = And(tuple(match_conds))
        rest = yield self._member(name, indices, slot, facts[:-1])
        return [replace(t, conds=(*t.conds, inside)) for t in terms] + [
            replace(t, conds=(*t.conds, Not(inside))) for t in rest
        ]

    def _permuted(self, inner: Value, name: str, inverse: bool, env: Mapping[str, Int], slot: Int) -> Steps[list[Term]]:
        permutation = self.program.permutations[name]
        if permutation.expression is None:
            return (yield from self._cycled(inner, permutation.moved, inverse, env, slot))
        program = self.program

        def at(place: Int) -> Int:
            assert permutation.expression is not None
            return substitute(permutation.expression, lambda n: program.digit_of(place, n))

        if inverse and short(slot):
            terms: list[Term] = yield self._expand(inner, env, at(slot))
            return terms
        # out[s] = v[u] for the only u with p(u) = s, or with u = p(s)
        source = IntVar(self._name("u", program.slots_expr))
        terms = yield self._expand(inner, env, source)
        link = Cmp("==", source, at(slot)) if inverse else Cmp("==", at(source), slot)
        return [replace(t, bound=((source.name, program.slots), *t.bound), conds=(*t.conds, link)) for t in terms]

    def _cycled(
        self,
        inner: Value,
        moved: tuple[tuple[int, int], ...],
        inverse: bool,
        env: Mapping[str, Int],
        slot: Int,
    ) -> Steps[list[Term]]:
        if len(moved) > MAX_CYCLE_POINTS:
            raise GaveUp(f"a permutation by cycles of many slots, {len(moved)}")
        terms: list[Term] = []
        for source, target in moved:
            if inverse:
                source, target = target, source
            here = Cmp("==", slot, IntConst(target))
            brought = yield self._expand(inner, env, IntConst(source))
            terms += [replace(t, conds=(*t.conds, here)) for t in brought]
        elsewhere = tuple(Cmp("!=", slot, IntConst(s)) for s, _ in moved)
        stayed = yield self._expand(inner, env, slot)
        return terms + [replace(t, conds=t.conds + elsewhere) for t in stayed]


def collected(terms: list[Term]) -> list[Term]:
    """The terms, equal ones without bound variables added up, and those left out that cancel."""
    found: dict[object, Term] = {}
    for n, term in enumerate(terms):
        key = n if term.bound else (term.scalars, term.conds, term.reads)
        old = found.get(key)
        found[key] = term if old is None else replace(old, re=old.re + term.re, im=old.im + term.im)
    return [term for term in found.values() if term.re or term.im]


def product_name(program: Program, factors: tuple[Factor, ...]) -> tuple[str, bool]:
    """``(B @ x)`` for a product, and whether its indices are swapped: (B @ x)[i, t] is (x.T @ B.T)[t, i]."""
    transposed = tuple(
        replace(f, transposed=not f.transposed and len(program.tensors[f.tensor].shape) == 2) for f in reversed(factors)
    )
    forward, backward = _product_text(factors), _product_text(transposed)
    swap = (backward.count(".T"), backward) < (forward.count(".T"), forward)
    return (backward, True) if swap else (forward, False)


def _product_text(factors: tuple[Factor, ...]) -> str:
    return f"({' @ '.join(f.tensor + '.T' * f.transposed for f in factors)})"


def products(program: Program, value: Value) -> frozenset[str]:
    """The products of matrices whose elements a value reads, by name."""
    forms = [leaf.form for leaf in leaves(value) if isinstance(leaf, Element)]
    return frozenset(product_name(program, c.factors)[0] for form in forms for c in form.chains if len(c.factors) > 1)


def drop_unused(term: Term) -> Term:
    """A bound variable that no read and no condition mentions only multiplies by its extent."""
    used: set[str] = set()
    for _, indices in term.reads:
        for index in indices:
            used |= variables(index)
    for cond in term.conds:
        used |= variables(cond)
    factor = 1
    kept = []
    for name, extent in term.bound:
        if name in used:
            kept.append((name, extent))
        else:
            factor *= extent
    if factor == 1 and len(kept) == len(term.bound):
        return term
    return replace(term, re=term.re * factor, im=term.im * factor, bound=tuple(kept))


__all__ = ["Expander", "Term", "collected", "drop_unused", "product_name", "products"]
