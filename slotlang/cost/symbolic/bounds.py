"""The lower bounds of ``docs/bounds.md`` as formulas, for programs with one input whose packing is read off its text.

Each bound is that of ``bounds_of`` wherever its conditions hold. Where a packing, or what rotations do to tokens, is
not of the forms below, there is no formula and a reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sympy

from slotlang.cost.bound_cases import token_axis
from slotlang.cost.symbolic.counting import Counting, Formula
from slotlang.cost.symbolic.functions import function
from slotlang.cost.symbolic.sizes import Decisions, NoFormula, plain
from slotlang.cost.symbolic.steps import ONE, ZERO
from slotlang.cost.symbolic.values import extent
from slotlang.meaning.integers import Cmp, Int, IntConst, IntOp, IntVar, holds, mul, variables
from slotlang.meaning.program import Family, Program
from slotlang.meaning.value import Chain, Const, Element, Read, nodes
from slotlang.refusals import GaveUp
from slotlang.schedule import ops


@dataclass(frozen=True)
class BoundFormula:
    """A lower bound on a count, as ``theorems.Bound``."""

    of: str
    theorem: str
    proved: bool
    at_least: Formula
    gap: Formula


@dataclass(frozen=True)
class _Spec:
    """A product of different dense weights, those next to the input first, and the dimensions that channels pass."""

    weights: tuple[str, ...]
    sizes: tuple[Int, ...]


@dataclass(frozen=True)
class _Packing:
    """``channels``: of one token in a ciphertext; ``crowd``: elements in a slot; ``groups`` of tokens kept apart;
    ``copies``: places of one element; ``imaginary``: slots may be complex."""

    channels: Any
    crowd: int
    groups: Int
    copies: Any
    imaginary: bool


class Bounds:
    """The bounds of one program; ``missing`` says why there is none, by theorem."""

    def __init__(self, program: Program, counting: Counting, counts: Mapping[str, Formula]) -> None:
        self.program, self.counting, self.counts = program, counting, counts
        self.schedule = counting.walk.schedule
        self.missing: dict[str, str] = {}

    def all(self) -> list[BoundFormula]:
        """Every bound that has a formula."""
        found: list[BoundFormula] = []
        own = self.counting.decisions.branch()
        try:
            specs = self._specs()
            packing = self._packing(own)
        except (NoFormula, GaveUp) as problem:
            return self._none(str(problem), "spread", "products", "two-products")
        filled = sympy.ceiling(packing.channels / packing.crowd)
        found.append(self._bound("rotations", "spread", function("clog2")(filled), own, [self.counts["rotations"]]))
        dimension = self._dimension(specs, own)
        slots = own.expr(self.program.slots_expr)
        least = sympy.ceiling(own.expr(packing.groups) * dimension / (2 * slots))
        found.append(self._bound("plain_products", "products", least, own, [self.counts["plain_products"]]))
        try:
            found += self._two_products(specs, packing, own)
        except NoFormula as problem:
            self._none(str(problem), "two-products")
        return found

    def _none(self, reason: str, *theorems: str) -> list[BoundFormula]:
        self.missing.update(dict.fromkeys(theorems, reason))
        return []

    def _bound(
        self, of: str, theorem: str, least: Any, own: Decisions, spent: list[Formula], proved: bool = True
    ) -> BoundFormula:
        conditions = tuple({**self.counting.decisions.conditions, **own.conditions})
        total = sum((f.expr for f in spent), sympy.Integer(0))
        both = tuple(dict.fromkeys([*conditions, *(c for f in spent for c in f.conditions)]))
        return BoundFormula(of, theorem, proved, Formula(least, conditions), Formula(sympy.expand(total - least), both))

    # what is computed

    def _specs(self) -> dict[str, _Spec]:
        inputs = [t for t in self.program.tensors.values() if t.kind == "input"]
        if len(inputs) != 1:
            raise NoFormula("there is more than one input")
        if self.counting.of("mul"):
            raise NoFormula("ciphertexts are multiplied")
        specs: dict[str, _Spec] = {}
        for name, theorem in self.program.theorems.items():
            if theorem.form is None:
                raise NoFormula("a theorem is not one product")
            specs[name] = self._spec(theorem.form.chains)
        return specs

    def _spec(self, chains: tuple[Chain, ...]) -> _Spec:
        if len(chains) != 1 or not chains[0].coefficient or len(chains[0].factors) < 2:
            raise NoFormula("a theorem is not one product")
        factors = chains[0].factors
        kinds = [self.program.tensors[f.tensor].kind for f in factors]
        if kinds[-1] == "input":
            near, left = factors[-2::-1], False
        elif kinds[0] == "input":
            near, left = factors[1:], True
        else:
            raise NoFormula("the input is not on one side of all weights")
        sizes: list[Int] = []
        for factor in near:
            weight = self.program.tensors[factor.tensor]
            if weight.kind != "weight" or len(weight.shape) != 2 or weight.sparse:
                raise NoFormula(f"'{weight.name}' is not a dense matrix")
            shape = weight.extents[::-1] if factor.transposed else weight.extents
            inside, outside = shape if left else shape[::-1]
            sizes += [outside] if sizes else [inside, outside]
        names = tuple(f.tensor for f in near)
        if len(set(names)) < len(names):
            raise NoFormula("a weight occurs twice")
        return _Spec(names, tuple(sizes))

    def _dimension(self, specs: Mapping[str, _Spec], own: Decisions) -> Any:
        """Of all results together: the sum where they share no weight, and otherwise the largest."""
        each = []
        for spec in specs.values():
            rank = self._least(spec.sizes, own)
            d_in, d_out, r = (own.expr(e) for e in (spec.sizes[0], spec.sizes[-1], rank))
            each.append(r * (d_in + d_out - r))
        names = [w for spec in specs.values() for w in spec.weights]
        return sum(each) if len(set(names)) == len(names) else sympy.Max(*each)

    @staticmethod
    def _least(sizes: tuple[Int, ...], own: Decisions) -> Int:
        least = min(sizes, key=own.value)
        for size in sizes:
            if plain(size) != plain(least):
                own.compare(least, "<=", size)
        return least

    # how it is packed

    def _packing(self, own: Decisions) -> _Packing:
        (tensor,) = (t for t in self.program.tensors.values() if t.kind == "input")
        axis = token_axis(self.program, tensor.name)
        families = [f for f in self.program.families.values() if f.kind == "cipher"]
        if len(families) != 1:
            raise NoFormula("the input is packed in several ways")
        (family,) = families
        body = list(nodes(family.body))
        reads = [node for node in body if isinstance(node, Read)]
        if not reads or any(isinstance(node, Element) for node in body) or len(tensor.shape) > 2:
            raise NoFormula("an input ciphertext holds other than elements of the input")
        channel = 0 if axis is None else 1 - axis
        spread, digits = self._progression([r.indices[channel] for r in reads], own)
        everything = set(digits)
        groups: Int = ONE
        alike = 1
        if axis is not None:
            alike, by = self._progression([r.indices[axis] for r in reads], own)
            if len(by) != 1 or set(by) & everything or by[0] not in self.program.digits:
                raise NoFormula("tokens are not told by one digit of the slot")
            digit = self.program.digits[by[0]]
            own.need(mul(digit.extent, IntConst(alike)), "==", tensor.extents[axis], "some tokens are not packed")
            self._kept_apart(mul(digit.stride, digit.extent), own)
            groups = digit.extent
            everything |= set(by)
        if alike * spread != len(reads):
            raise NoFormula("reads of the input overlap")
        binders = {b.name for b in family.binders}
        if not binders <= everything:
            raise NoFormula("an element is packed into several ciphertexts")
        inside = [n for n in digits if n in self.program.digits]
        held: Int = IntConst(spread)
        for name in inside:
            held = mul(held, self.program.digits[name].extent)
        if any(r.else_zero for r in reads):
            own.need(held, "<=", tensor.extents[channel], "a ciphertext has room for more channels than there are")
        axes = next((a for a in self.program.axes if everything & set(a)), ())
        copies = [self.program.digits[n].extent for n in axes if n not in everything]
        imaginary = any(isinstance(node, Const) and node.im for node in body)
        return _Packing(
            own.expr(held),
            len(reads),
            groups,
            sympy.prod([own.expr(c) for c in copies]) if copies else sympy.Integer(1),
            imaginary,
        )

    def _progression(self, indices: list[Int], own: Decisions) -> tuple[int, tuple[str, ...]]:
        """Indices ``k*e + i`` for i < k: k and the variables of e, of which e is a number by its digits."""
        found: dict[int, Int] = {}
        base = indices[0]
        names = tuple(sorted(variables(base)))
        if not names:
            raise NoFormula("an index of the input is the same in all slots")
        offsets = set()
        for index in indices:
            rest, parts = index, []
            for name in names:
                split = ops.linear(rest, name)
                if split is None:
                    raise NoFormula("an index of the input is not linear")
                parts.append(split[0])
                rest = split[1]
            if variables(rest):
                raise NoFormula("reads of the input use different variables")
            offsets.add(own.value(rest))
            if not isinstance(rest, IntConst):
                own.compare(rest, "==", IntConst(own.value(rest)))
            for place, part in enumerate(parts):
                known = found.setdefault(place, part)
                own.need(known, "==", part, "reads of the input differ in their strides")
        k = len(offsets)
        if offsets != set(range(k)):
            raise NoFormula("reads of the input leave elements out")
        order = sorted(range(len(names)), key=lambda n: own.value(found[n]))
        reach: Int = IntConst(k)
        for n in order:
            own.need(found[n], "==", reach, "an index of the input is not a number by its digits")
            reach = mul(reach, self._extent(names[n]))
        return k, names

    def _extent(self, name: str) -> Int:
        if name in self.program.digits:
            return self.program.digits[name].extent
        found = [b.extent for f in self._ciphers() for b in f.binders if b.name == name]
        if not found:
            raise NoFormula("the input is packed by the slot's index and not by its digits")
        return found[0]

    def _ciphers(self) -> Iterator[Family]:
        return (f for f in self.program.families.values() if f.kind == "cipher")

    def _kept_apart(self, period: Int, own: Decisions) -> None:
        """Every rotation moves by whole periods of the tokens' digit."""
        if self.schedule.networks:
            raise NoFormula("a permutation moves tokens")
        for site in self.counting.turning():
            assert site.steps is not None
            for step in (site.steps.first, site.steps.step):
                if step != ZERO and not own.all.multiple(step, period):
                    raise NoFormula("rotations are not by whole periods of the tokens' digit")

    # two products

    def _two_products(self, specs: Mapping[str, _Spec], packing: _Packing, own: Decisions) -> Iterator[BoundFormula]:
        outputs = self.counting.returned(own)
        inputs = self.counting.inputs(own)
        cases = []
        for name, spec in specs.items():
            families = {o.family.name for o in self.program.outputs if o.name == name}
            if len(spec.weights) != 2 or not self._factored(families, spec):
                continue
            imaginary = any(o.part == "im" for o in self.program.outputs if o.name == name)
            width = sympy.ceiling(own.expr(self.program.slots_expr) / own.expr(packing.groups))
            sizes = [own.expr(e) for e in (spec.sizes[0], spec.sizes[2], spec.sizes[1])]
            parts = (2, 1 + packing.imaginary, 1 + imaginary)
            returned = sum(outputs[f] for f in families)
            cases.append((spec, (inputs, returned, *sizes, width, packing.copies, *parts)))
        if not cases:
            raise NoFormula("results are not computed by two products, one with each weight")
        spent = [self.counts["rotations"], self.counts["conjugations"]]
        of = "rotations" if self.counts["conjugations"].expr == 0 else "key_switches"
        least = [function("two_products")(*case) for _, case in cases]
        proved = least[0] if len(least) == 1 else sympy.Max(*least)
        yield self._bound(of, "two-products", proved, own, spent)
        if len(cases) == 1 and not packing.imaginary and cases[0][1][-2:] == (1, 1):
            known = self._best_known(cases[0][0], packing, own)
            if known is not None:
                yield self._bound(of, "two-products", known, own, spent, proved=False)

    def _best_known(self, spec: _Spec, packing: _Packing, own: Decisions) -> Any | None:
        """The rotations of the best structure known for a packing that is full, conjectured to be the least."""
        slots = self.program.slots_expr
        width, rank = IntOp("//", slots, packing.groups), IntOp("//", spec.sizes[1], IntConst(2))
        (packed,) = self._ciphers()
        (family,) = {o.family.name for o in self.program.outputs}
        returned = next(o for o in self.program.outputs if o.family.name == family)
        inputs, outputs = (_members([b.extent for b in f.binders]) for f in (packed, returned))
        wanted = [
            Cmp("==", IntOp("%", slots, packing.groups), ZERO),
            Cmp("==", IntOp("%", spec.sizes[1], IntConst(2)), ZERO),
            Cmp(">=", rank, ONE),
            Cmp("==", IntOp("%", width, rank), ZERO),
            Cmp("==", mul(inputs, width), spec.sizes[0]),
            Cmp("==", mul(outputs, width), spec.sizes[2]),
        ]
        # the divisions first: others are read with them
        for cond in wanted:
            if not holds(cond, own.sizes, {}):
                return None
            own.compare(cond.left, cond.op, cond.right)
        w, r, k, m = (own.expr(e) for e in (width, rank, inputs, outputs))
        split, one = function("split"), sympy.Integer(1)
        whole = w / r
        return sympy.Min(split(r, k, one) + function("clog2")(whole) + split(r, one, m), split(w, k, m))

    def _factored(self, families: set[str], spec: _Spec) -> bool:
        """Whether every path has two products with plaintexts, the first without the outer weight, the second without
        the inner one; and every member of every family is on some path."""
        bodies = {f.name: f for f in self.schedule.ciphers}
        depths: dict[str, int | None] = {}

        def depth(op: ops.Op, loops: tuple[ops.Loop, ...]) -> int | None:
            match op:
                case ops.Ref(name, indices):
                    family = bodies[name]
                    by_name = {loop.var: loop for loop in loops}
                    for index, loop in zip(indices, family.loops, strict=True):
                        if not isinstance(index, IntVar) or index.name not in by_name:
                            return None
                        if plain(extent(by_name[index.name])) != plain(extent(loop)):
                            return None
                    if name not in depths:
                        depths[name] = 0 if family.body is None else depth(family.body, family.loops)
                    return depths[name]
                case ops.MulPlain(value, ref):
                    before = depth(value, loops)
                    body = self.schedule.plains[ref.family].body
                    leaves = [] if body is None else list(self.program.leaves(body))
                    read = {leaf.tensor for leaf in leaves if isinstance(leaf, Read)}
                    read |= {
                        f.tensor
                        for leaf in leaves
                        if isinstance(leaf, Element)
                        for c in leaf.form.chains
                        for f in c.factors
                    }
                    if before is None or before > 1 or spec.weights[1 - before] in read:
                        return None
                    return before + 1
                case ops.Mul():
                    return None
                case _:
                    inner = (*loops, op.loop) if isinstance(op, ops.Sum | ops.Horner) else loops
                    found = {depth(child, inner) for child in ops.children(op)}
                    return found.pop() if len(found) == 1 else None

        for name in families:
            family = bodies[name]
            if family.body is None or depth(family.body, family.loops) != 2:
                return False
        return True


def _members(extents: list[Int]) -> Int:
    """How many members a family of these extents has."""
    result: Int = ONE
    for e in extents:
        result = mul(result, e)
    return result
