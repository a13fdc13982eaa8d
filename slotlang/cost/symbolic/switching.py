"""Decompositions and mod-downs as formulas, by the rule of ``slotlang.cost.key_switching``.

A place of the schedule is told what the others do with its result. Where all uses settle it, each member takes a
mod-down; where a sum adds it once and nothing else reads it, the sum's does. What lies between has no formula.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy

from slotlang.cost.symbolic.counting import Counting, Formula, least_terms, of_site
from slotlang.cost.symbolic.sizes import Decisions, NoFormula, plain
from slotlang.cost.symbolic.values import Value, canonical, members, product
from slotlang.cost.symbolic.walk import Site

SUMS = ("sum", "tree", "add")
SWITCHING = ("rotate", "ladder", "conj", "relinearize", "horner", "doubling")


class Switching:
    """The counts of one schedule. ``missing``: those that have no formula, and why."""

    def __init__(self, counting: Counting, decisions: Decisions) -> None:
        self.counting, self.decisions = counting, decisions
        self.missing: dict[str, str] = {}
        self._pending: set[int] = set()

    def formulas(self) -> dict[str, Formula]:
        """Those that there are."""
        counts: dict[str, Callable[[Decisions], Any]] = {
            "decompositions": self._decompositions,
            "mod_downs": self._mod_downs,
        }
        found = {}
        for name, count in counts.items():
            own = self.decisions.branch()
            try:
                expr = sympy.expand(count(own))
            except NoFormula as problem:
                self.missing[name] = str(problem)
            else:
                found[name] = Formula(expr, tuple({**self.decisions.conditions, **own.conditions}))
        return found

    # decompositions

    def _decompositions(self, decisions: Decisions) -> Any:
        total = sympy.Integer(0)
        sites = self.counting.of(*SWITCHING)
        for n, site in enumerate(sites):
            if not any(self._decomposed_before(site, other, decisions) for other in sites[:n]):
                total += self._sources(site, decisions)
        return total

    def _sources(self, site: Site, decisions: Decisions) -> Any:
        """How many ciphertexts a place switches the keys of."""
        if site.kind in ("conj", "relinearize"):
            return self.counting.members_of(site.value, site, decisions)
        if site.kind == "doubling":
            stages = of_site("doubling_stages", site, decisions)
            return self.counting.members_of(site.value, site, decisions) * stages
        if site.kind == "rotate" and not self._along(site):
            if not self._switches(site, decisions):
                return sympy.Integer(0)
            return self.counting.members_of(site.operands[0], site, decisions)
        return self.counting.turns(site, (), decisions)

    def _along(self, site: Site) -> bool:
        """Whether a rotation goes with a variable of its vector, so that each is of another one. Only rotations have an
        amount; the last index of a conjugate or a product is a member's, if it has one."""
        return site.kind == "rotate" and not self.counting.stepping(site).isdisjoint(site.operands[0].variables())

    def _decomposed_before(self, site: Site, other: Site, decisions: Decisions) -> bool:
        """Whether another place has decomposed the same ciphertexts. Raises ``NoFormula`` where it may have some."""
        a, b = self.counting.first(site), self.counting.first(other)
        if not self.counting.walk.shapes.may_meet(a.shape, b.shape) or self.counting.inner(site, other):
            return False
        if a.shape != b.shape and self.counting.between(a.shape, b.shape, (site, other), decisions):
            return False
        same = a.shape == b.shape and canonical(a.coordinates, site.box) == canonical(b.coordinates, other.box)
        whole = ("conj", "relinearize", "rotate")
        if same and site.kind in whole and other.kind in whole and not self._along(site) and not self._along(other):
            return True
        raise NoFormula("two statements may switch the keys of the same vector", site.span)

    # mod-downs

    def _mod_downs(self, decisions: Decisions) -> Any:
        total = sympy.Integer(0)
        turning = self.counting.turning()
        for n, site in enumerate(turning):
            if any(self.counting.shared(site, other, decisions) != 0 for other in turning[:n]):
                raise NoFormula("two statements rotate the same vector by the same steps", site.span)
        waiting = []
        for site in self.counting.sites:
            summed = site.kind in SUMS and any(self._made_of(v, s) for v in site.operands for s in self._pending)
            if summed or (site.kind in SWITCHING and self._switches(site, decisions)):
                self._pending.add(site.value.shape)
                waiting.append(site)
        for site in waiting:
            inside, last = self._waiting(site, decisions)
            total += inside
            if not self._merges(site, last, decisions):
                total += last
        return total

    def _switches(self, site: Site, decisions: Decisions) -> bool:
        """Whether a place switches keys at all: a sum of one term is that term, and a rotation by 0 its vector."""
        if site.kind in ("conj", "relinearize"):
            return True
        count = site.steps.count if site.kind == "rotate" and site.steps is not None else site.terms
        return decisions.compare(plain(count), ">=", least_terms(site))

    def _waiting(self, site: Site, decisions: Decisions) -> tuple[Any, Any]:
        """How many pending ciphertexts a place settles itself, and how many it leaves to others."""
        once = self.counting.members_of(site.value, site, decisions) if site.kind != "rotate" else None
        match site.kind:
            case "rotate":
                return sympy.Integer(0), self.counting.turns(site, (), decisions)
            case "ladder":
                # each is rotated for the next one; the last is left
                return sympy.Integer(0), self.counting.turns(site, (), decisions)
            case "horner" | "doubling":
                assert once is not None
                if site.kind == "horner":
                    body = site.operands[0]
                    if any(self._made_of(body, other.value.shape) for other in self.counting.of(*SWITCHING)):
                        raise NoFormula("Horner's rule adds up what is pending", site.span)
                    return once * (decisions.expr(site.terms) - 2), once
                return once * (of_site("doubling_mod_downs", site, decisions) - 1), once
            case _:
                return sympy.Integer(0), once

    def _made_of(self, value: Value, shape: int) -> bool:
        """Whether a value may be one of these results, and not what a pending sum makes of them."""
        shapes = self.counting.walk.shapes
        for at in shapes.through(value.shape):
            if at == shape:
                return True
            if at in self._pending and shapes.layers[at].key[0] in SUMS:
                # a sum of one term is that term, and is settled as it would be
                return False
        return False

    def _merges(self, site: Site, last: Any, decisions: Decisions) -> bool:
        """Whether a sum holds what a place leaves pending. Raises ``NoFormula`` where that differs between members."""
        walk, shape = self.counting.walk, site.value.shape
        uses = [
            (other, value, sign)
            for other in walk.sites
            if other is not site
            for value, sign in zip(other.operands, other.signs or (1,) * len(other.operands), strict=True)
            if self._made_of(value, shape)
        ]
        returned = any(self._made_of(walk.values[o.family.name], shape) for o in walk.schedule.outputs)
        adding = [(other, value) for other, value, sign in uses if other.kind in (*SUMS, "horner") and sign > 0]
        if not adding:
            if not returned and not any(self._covers(o, v, site, last, decisions) for o, v, _ in uses):
                raise NoFormula("a pending ciphertext may be used nowhere", site.span)
            return False
        if len(uses) > 1 or returned or adding[0][0].kind == "horner" or site.kind == "ladder":
            raise NoFormula("what a key switch makes is added to a sum and used beside it", site.span)
        (other, value), *_ = adding
        used = members(value, other.box, decisions, self.counting.slots, other.span)
        if len(used) != len(other.box) or not self._covers(other, value, site, last, decisions):
            raise NoFormula("what a key switch makes may be added more than once", site.span)
        return True

    def _covers(self, other: Site, value: Value, site: Site, last: Any, decisions: Decisions) -> bool:
        """Whether a use reads every member that is pending."""
        used = product(members(value, other.box, decisions, self.counting.slots, other.span), decisions)
        if site.kind in ("rotate", "ladder"):
            # what is rotated by 0 is read too
            made = product(members(site.value, site.box, decisions, self.counting.slots, site.span), decisions)
            return bool(sympy.expand(used - made) == 0)
        return bool(sympy.expand(used - last) == 0)
