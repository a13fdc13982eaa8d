"""Which slot of those that a slot is made of brought a product of tensor elements there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import combinations, product

from slotlang.meaning.integers import SLOT, IntConst, IntVar
from slotlang.meaning.program import Claim, Program
from slotlang.proof.coefficients import coefficient
from slotlang.proof.monomials import canonical
from slotlang.proof.terms import Expander, Term
from slotlang.proof.verdict import Monomial
from slotlang.refusals import GaveUp

__all__ = ["Carriers", "Place"]

Place = tuple[str, tuple[int, ...], int]
"""A family, the indices of a member, a slot."""

MAX_LOOKED_AT = 256
"""Slots that are looked at for one product, at most: about a tenth of a second."""
MAX_PARTS = 64
"""Parts of a product that are looked for in a slot, at most."""


class Carriers:
    """Follows one product back, through sums to the summand that has it, through products to a factor that has a part
    of it. ``claims``: those that are proved, which say what a family's members hold. ``excess``: elements that are
    followed rather than others."""

    def __init__(
        self,
        program: Program,
        claims: Sequence[Claim],
        wanted: Monomial,
        excess: Sequence[tuple[str, tuple[int, ...]]] = (),
    ) -> None:
        self.program = program
        self.wanted = wanted
        self._excess = Counter(excess)
        self._expander = Expander(program)
        for claim in claims:
            self._expander.learn(claim)
        self._terms: dict[tuple[str, tuple[int, ...]], list[Term]] = {}
        self._left = MAX_LOOKED_AT

    def first(self, places: Sequence[Place]) -> Place | None:
        """The first of the places that holds the most of the product, which is what is followed from there on. None
        where none of them has a part of it, or that would take too long to find."""
        best: Place | None = None
        most: Monomial = ((), ())
        for place in places:
            if not self._left:
                break
            self._left -= 1
            try:
                part = self._part(place)
            except (GaveUp, RecursionError):
                continue
            if part is not None and self._rank(part) > self._rank(most):
                best, most = place, part
            if most[1] == self.wanted[1]:
                break
        if best is not None:
            self.wanted = most
        return best

    def _rank(self, part: Monomial) -> tuple[int, int]:
        """How many elements a part of the product has, and how many of these are in excess."""
        return len(part[1]), (Counter(part[1]) & self._excess).total()

    def _part(self, place: Place) -> Monomial | None:
        """The longest part of the product that a slot holds: the product itself, or factors of it."""
        name, member, slot = place
        if (name, member) not in self._terms:
            indices = tuple(IntConst(i) for i in member)
            made = self._expander.member(name, indices, IntVar(SLOT))
            self._terms[name, member] = [part for term in made for part in canonical(term)]
        terms = self._terms[name, member]
        base = {**self.program.slot_env(slot), SLOT: slot}
        parts = {part for term in terms for part in _parts(self.wanted, term)}
        for part in sorted(parts, key=lambda part: (*(-n for n in self._rank(part)), part))[:MAX_PARTS]:
            if any(coefficient(self.program, terms, base, part)):
                return part
        return None


def _parts(whole: Monomial, term: Term) -> list[Monomial]:
    """Parts of a product that are of a term's tensors and scalars."""
    scalars, reads = whole
    tensors = [tensor for tensor, _ in term.reads]
    if not tensors or any(term.scalars.count(s) > scalars.count(s) for s in term.scalars):
        return []
    choices = []
    for tensor in dict.fromkeys(tensors):
        mine = [read for read in reads if read[0] == tensor]
        choices.append(list(combinations(mine, tensors.count(tensor))))
    return [(term.scalars, tuple(sorted(sum(chosen, ())))) for chosen in product(*choices)]
