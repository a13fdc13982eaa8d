"""Whether products of ciphertexts are relinearised in the same places at all sizes.

Where relinearisations are fewest is searched for at numbers (``schedule.relinearization``). Here are the programs in
which no other place could take fewer: one statement multiplies ciphertexts, no two of its products are equal, and each
sum of them, or each product, is needed with two polynomials.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from slotlang.cost.symbolic.sizes import Decisions, NoFormula, plain
from slotlang.cost.symbolic.values import Box, extent, members
from slotlang.cost.symbolic.walk import Site, Walk
from slotlang.meaning.integers import IntVar, variables
from slotlang.schedule import ops

_KEEPS = (ops.Neg, ops.MulPlain, ops.AddPlain, ops.Add, ops.Rescale)
"""What a product is relinearised before, for it costs less after it; a rescale is placed later."""
_NEEDS = (ops.Rotate, ops.Ladder, ops.Conjugate, ops.Horner, ops.Doubling, ops.Mul)
"""What needs two polynomials."""
_OTHERWISE = "where products of ciphertexts are relinearised is found for numbers"


class Relinearized:
    """The relinearisations of one schedule."""

    def __init__(self, walk: Walk, decisions: Decisions) -> None:
        self.walk, self.decisions = walk, decisions
        self.families = {family.name: family for family in walk.schedule.ciphers}
        self.returned = {output.family.name for output in walk.schedule.outputs}
        self.above: dict[ops.Op, ops.Op] = {}
        self.reads: dict[str, list[tuple[ops.Ref, str, Box]]] = defaultdict(list)
        self.places: list[tuple[ops.Relinearize, str]] = []
        for family in walk.schedule.ciphers:
            if family.body is not None:
                self._enter(family.body, family.name, family.loops)

    def _enter(self, op: ops.Op, family: str, box: Box) -> None:
        if isinstance(op, ops.Ref):
            self.reads[op.family].append((op, family, box))
        elif isinstance(op, ops.Relinearize):
            self.places.append((op, family))
        inner = (*box, op.loop) if isinstance(op, ops.Sum | ops.Horner) else box
        for child in ops.children(op):
            self.above[child] = op
            self._enter(child, family, inner)

    def check(self) -> None:
        """Raises ``NoFormula`` unless the places are shown to be the same wherever the conditions hold, which grow."""
        if not self.places:
            return
        products = [site for site in self.walk.sites if site.kind == "mul"]
        if len(products) != 1:
            raise NoFormula(f"{_OTHERWISE}, unless one statement multiplies them", products[-1].span)
        before = self.walk.sites[: self.walk.sites.index(products[0])]
        self._different(products[0], [site for site in before if site.kind == "add"])
        for op, family in self.places:
            inner = op.value
            while isinstance(inner, ops.Sum | ops.Rescale):
                inner = inner.body if isinstance(inner, ops.Sum) else inner.value
            if not isinstance(inner, ops.Mul) or not self._needed(op, family):
                raise NoFormula(_OTHERWISE, products[0].span)

    def _different(self, product: Site, sums: Sequence[Site]) -> None:
        """All products differ, also where the order of terms does not count, so that fewer are no products."""
        loops = {loop.var for loop in product.box}
        shapes = self.walk.shapes
        for c in product.value.coordinates:
            # rotations that a sum goes through may be the same, turned
            if c.modular and variables(c.index) & loops and any(v.startswith("#") for v in variables(c.index)):
                raise NoFormula(_OTHERWISE, product.span)
        for site in sums:
            parts = [value.shape for value in site.operands]
            if any(shapes.may_meet(a, b) for n, a in enumerate(parts) for b in parts[:n]):
                raise NoFormula(f"{_OTHERWISE}, unless they differ", product.span)
        if len(members(product.value, product.box, self.decisions, self.walk.slots, product.span)) < len(loops):
            raise NoFormula(f"{_OTHERWISE}, unless they differ", product.span)

    def _needed(self, op: ops.Op, family: str) -> bool:
        """Whether the result is needed with two polynomials, each member of it."""
        over = self.above.get(op)
        while isinstance(over, _KEEPS):
            over = self.above.get(over)
        if over is not None:
            return isinstance(over, _NEEDS)
        if family in self.returned:
            return True
        reads = self.reads[family]
        return any(self._all(ref, family, box) for ref, _, box in reads) and all(
            self._needed(ref, reader) for ref, reader, _ in reads
        )

    def _all(self, ref: ops.Ref, name: str, box: Box) -> bool:
        """Whether a place reads every member of a family."""
        by_name = {loop.var: loop for loop in box}
        found = [by_name[i.name] for i in ref.indices if isinstance(i, IntVar) and i.name in by_name]
        own = self.families[name].loops
        same = [plain(extent(a)) == plain(extent(b)) for a, b in zip(found, own, strict=False)]
        return len(found) == len(own) == len({loop.var for loop in found}) and all(same)
