"""Counts of a schedule as formulas, from its operations with their loops kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sympy

from slotlang.cost.symbolic.functions import Doubled, of_doubling
from slotlang.cost.symbolic.sizes import Decisions, NoFormula, plain
from slotlang.cost.symbolic.steps import ONE, Steps, difference, disjoint, distinct, inside
from slotlang.cost.symbolic.values import Coordinate, Value, canonical, members, product
from slotlang.cost.symbolic.walk import Site, Walk, renamed_last
from slotlang.meaning.integers import Cmp, IntConst, IntSize, mul, variables
from slotlang.meaning.program import Output
from slotlang.proof.forall.condition_kinds import sizes_in
from slotlang.schedule import ops

COUNTS = (
    "rotations",
    "conjugations",
    "key_switches",
    "galois_keys",
    "plain_products",
    "cipher_products",
    "relinearizations",
    "additions",
    "negations",
    "rescales",
    "ciphertexts_in",
    "ciphertexts_out",
    "plaintexts",
)
"""What has formulas, as ``Counts`` names it."""


@dataclass(frozen=True)
class Formula:
    """A count, and the comparisons of sizes under which it is this one."""

    expr: Any
    conditions: tuple[Cmp, ...]


class Counting:
    """The counts of one schedule. Raises ``NoFormula``."""

    def __init__(self, walk: Walk, decisions: Decisions) -> None:
        self.walk, self.decisions = walk, decisions
        self.slots = walk.slots
        known: dict[object, Site] = {}
        for site in walk.sites:
            # the same shape over the same members: the graph has these nodes once
            known.setdefault((site.value.shape, canonical(site.value.coordinates, site.box)), site)
        self.sites = list(known.values())
        self._loops: dict[int, Any] = {}
        turning = self.of("rotate", "ladder")
        for one in turning:
            for other in turning:
                if one.kind == "ladder" and one is not other:
                    self._stays(one, other)

    def formulas(self) -> dict[str, Formula]:
        """Every count of ``COUNTS``."""
        found: dict[str, Callable[[Decisions], Any]] = {
            "rotations": self._rotations,
            "conjugations": lambda d: self._once("conj", d),
            "plain_products": self._products,
            "cipher_products": lambda d: self._once("mul", d),
            "relinearizations": lambda d: self._once("relinearize", d),
            "additions": self._additions,
            "negations": lambda d: self._once("neg", d),
            "rescales": lambda d: self._once("rescale", d),
            "galois_keys": self._keys,
            "ciphertexts_in": self.inputs,
            "ciphertexts_out": self._outputs,
            "plaintexts": self._plaintexts,
        }
        formulas: dict[str, Formula] = {}
        for name, count in found.items():
            own = self.decisions.branch()
            expr = sympy.expand(count(own))
            formulas[name] = Formula(expr, tuple({**self.decisions.conditions, **own.conditions}))
        # what one count has decided holds for what it is part of
        parts = [formulas[n] for n in ("rotations", "conjugations", "relinearizations")]
        conditions = tuple(dict.fromkeys(c for part in parts for c in part.conditions))
        formulas["key_switches"] = Formula(sympy.expand(sum(part.expr for part in parts)), conditions)
        return {name: formulas[name] for name in COUNTS}

    # members

    def members_of(self, value: Value, site: Site, decisions: Decisions) -> Any:
        """How many different members a value has in the loops around a place."""
        return product(members(value, site.box, decisions, self.slots, site.span), decisions)

    def of(self, *kinds: str) -> list[Site]:
        """The operations of some kinds, each once."""
        return [site for site in self.sites if site.kind in kinds]

    def _once(self, kind: str, decisions: Decisions) -> Any:
        """Operations of one node for each member."""
        sites = self.of(kind)
        self._apart(sites, lambda site: [v.shape for v in site.operands])
        return sum((self.members_of(s.value, s, decisions) for s in sites), sympy.Integer(0))

    def _apart(self, sites: Sequence[Site], parts: Callable[[Site], list[int]]) -> None:
        """Raises ``NoFormula`` where operations of two places may be one node of the graph for some members."""
        for n, site in enumerate(sites):
            for other in sites[:n]:
                a, b = parts(site), parts(other)
                if len(a) == len(b) and all(map(self.walk.shapes.may_meet, a, b)):
                    raise NoFormula("two statements may compute the same for some members", site.span)

    def _products(self, decisions: Decisions) -> Any:
        by_plain: dict[str, list[Site]] = defaultdict(list)
        for site in self.of("mul_plain"):
            assert site.plain is not None
            by_plain[site.plain.family].append(site)
        for sites in by_plain.values():
            self._apart(sites, lambda site: [site.operands[0].shape])
        return sum((self.members_of(s.value, s, decisions) for s in self.of("mul_plain")), sympy.Integer(0))

    def _additions(self, decisions: Decisions) -> Any:
        total = self._once("add_plain", decisions)
        sums = self.of("sum", "tree", "horner", "doubling", "add")
        self._sums_apart(sums)
        for site in sums:
            if site.kind == "tree":
                # sums of two are shared inside a tree too, unless all terms differ
                inner = members(site.operands[0], site.box, decisions, self.slots, site.span)
                if site.box[-1] not in inner:
                    raise NoFormula("a tree adds equal terms, and so shares sums", site.span)
            once = self.members_of(site.value, site, decisions)
            total += once * _fewer(site, decisions)
        return total

    def _sums_apart(self, sums: Sequence[Site]) -> None:
        """Raises ``NoFormula`` where an addition of two places may be one node of the graph."""
        meet = self.walk.shapes.may_meet
        for n, site in enumerate(sums):
            for other in sums[:n]:
                parts = [v.shape for v in (*site.operands, *other.operands)]
                if all(meet(parts[0], part) for part in parts[1:]) and not self._sum_apart(site, other):
                    raise NoFormula("two sums may add the same for some members", site.span)

    def _sum_apart(self, a: Site, b: Site) -> bool:
        """Whether two sums of vectors that may be equal still add different ones."""
        through = self.walk.shapes.through
        for one, two in ((a, b), (b, a)):
            # what is computed from a sum is one of its terms only where the sum has one, and then it adds nothing
            if any(one.value.shape in through(v.shape) for v in two.operands):
                return True
            if one.kind in ("horner", "doubling") and two.kind not in ("horner", "doubling"):
                # one of the two that are added is a rotation
                inside = [self.walk.shapes.layers[shape].key[0] for v in two.operands for shape in through(v.shape)]
                if not {"rotate", "ladder", "stage"}.intersection(inside):
                    return True
        return a.kind != b.kind and {a.kind, b.kind} == {"horner", "doubling"} and self._turn_apart(a, b)

    @staticmethod
    def _turn_apart(a: Site, b: Site) -> bool:
        """Horner adds another term to a rotated one, doubling the same."""
        horner = a if a.kind == "horner" else b
        return any(horner.box[-1].var in variables(c.index) for c in horner.operands[0].coordinates)

    # rotations

    def _rotations(self, decisions: Decisions) -> Any:
        total = sympy.Integer(0)
        sites = self.turning()
        for n, site in enumerate(sites):
            total += self.turns(site, sites[:n], decisions)
        return total

    def turns(self, site: Site, before: Sequence[Site], decisions: Decisions) -> Any:
        """The rotations of one place that no place before has."""
        times = decisions.expr(site.terms) if site.kind == "rotate" else _turned(site, decisions)
        if site.kind == "rotate":
            loops = members(site.value, site.box, decisions, self.slots, site.span)
            own = self.stepping(site)
            once = product([loop for loop in loops if loop.var not in own], decisions)
        else:
            value = site.operands[0] if site.kind == "ladder" else site.value
            once = self.members_of(value, site, decisions)
        shared = sympy.Integer(0)
        for other in before:
            shared += self.shared(site, other, decisions)
        return once * (times - shared)

    def stepping(self, site: Site) -> frozenset[str]:
        """Variables that the amount of a rotation goes with."""
        return frozenset(variables(site.value.coordinates[-1].index))

    def first(self, site: Site) -> Value:
        """The vector that is rotated first, or the only one."""
        return renamed_last(site.operands[0], site.box[-1]) if site.kind == "horner" else site.operands[0]

    def shared(self, site: Site, other: Site, decisions: Decisions) -> Any:
        """How many of the rotations of each vector another place has made before."""
        a, b = self.first(site), self.first(other)
        if not self.walk.shapes.may_meet(a.shape, b.shape) or self.inner(site, other):
            return sympy.Integer(0)
        assert site.steps is not None and other.steps is not None
        for one in (site, other):
            if decisions.value(one.terms) < least_terms(one).value:
                decisions.compare(one.terms, "<", least_terms(one))
                return sympy.Integer(0)
        if self._disjoint(site, other, decisions):
            return sympy.Integer(0)
        if a.shape != b.shape and self.between(a.shape, b.shape, (site, other), decisions):
            return sympy.Integer(0)
        same = a.shape == b.shape and canonical(a.coordinates, site.box) == canonical(b.coordinates, other.box)
        if same and {site.kind, other.kind} <= {"rotate", "ladder"}:
            for one in (site, other):
                decisions.compare(one.terms, ">=", least_terms(one))
            if site.kind == other.kind == "ladder" and inside(site.steps, other.steps, decisions):
                if decisions.compare(site.terms, "<=", other.terms):
                    return decisions.expr(site.terms) - 1
                return decisions.expr(other.terms) - 1
            if inside(site.steps, other.steps, decisions):
                return site.steps.size(decisions)
            if inside(other.steps, site.steps, decisions):
                return other.steps.size(decisions)
        raise NoFormula("two statements may rotate the same vector by the same steps", site.span)

    def _disjoint(self, site: Site, other: Site, decisions: Decisions) -> bool:
        trial = decisions.branch()
        assert site.steps is not None and other.steps is not None
        if not disjoint(site.steps, other.steps, trial, self.slots):
            return False
        decisions.conditions.update(trial.conditions)
        return True

    def _stays(self, ladder: Site, other: Site) -> None:
        """A ladder stays one while no other statement rotates by its further steps. Raises ``NoFormula``."""
        decisions = self.decisions
        if not self.walk.shapes.may_meet(ladder.operands[0].shape, other.operands[0].shape):
            return
        assert ladder.steps is not None and other.steps is not None
        step, steps = ladder.steps.first, other.steps
        if other.kind == "ladder":
            if decisions.value(step) == decisions.value(steps.first):
                decisions.compare(step, "==", steps.first)
                return
            steps = Steps("range", steps.first, steps.first, difference(other.terms, ONE))
        if decisions.value(other.terms) < least_terms(other).value:
            decisions.compare(other.terms, "<", least_terms(other))
            return
        two = IntConst(2)
        if decisions.value(ladder.terms) <= two.value:
            decisions.compare(ladder.terms, "<=", two)
            return
        further = Steps("range", mul(two, step), step, difference(ladder.terms, two))
        trial = decisions.branch()
        if disjoint(further, steps, trial, self.slots):
            decisions.conditions.update(trial.conditions)
            return
        # between each other's steps, as numbers: the schedule has it as a ladder here
        parts = [plain(e) for s in (further, steps) for e in (s.first, s.step, s.count)]
        for name in sorted({name for e in (*parts, self.slots) for name in sizes_in(e)}):
            decisions.compare(IntSize(name), "==", IntConst(decisions.sizes[name]))

    def between(self, a: int, b: int, sites: tuple[Site, Site], decisions: Decisions) -> bool:
        """Whether one of two shapes is computed from the other by a sum of two terms and more. That it is one is kept,
        unless there is no rotation otherwise."""
        shapes = self.walk.shapes
        outer, inner = (a, b) if b in shapes.through(a) else (b, a)
        if inner not in shapes.through(outer):
            return False
        layers = []
        for shape in shapes.through(outer):
            if shape == inner:
                break
            layer = shapes.layers[shape]
            if layer.terms is not None and layer.key[0] in ("sum", "tree", "horner", "doubling"):
                layers.append(layer.terms)
        many = [terms for terms in layers if decisions.value(terms) > 1]
        if any(plain(terms) == plain(site.terms) for terms in many for site in sites if site.kind != "rotate"):
            return True
        return bool(many) and decisions.compare(plain(many[0]), ">", ONE)

    def inner(self, site: Site, other: Site) -> bool:
        """Whether one place computes, by sums, what the other rotates: where these are none, it rotates nothing."""
        through = self.walk.shapes.through
        for one, two in ((site, other), (other, site)):
            if one.kind in ("horner", "doubling") and one.value.shape in through(self.first(two).shape):
                return True
        return False

    def _keys(self, decisions: Decisions) -> Any:
        return distinct(self._stepped(self.turning(), decisions), decisions, self.slots) + (1 if self.of("conj") else 0)

    def turning(self) -> list[Site]:
        """The places that rotate."""
        return self.of("rotate", "ladder", "horner", "doubling")

    def _stepped(self, sites: Sequence[Site], decisions: Decisions) -> list[Steps]:
        """The steps that places rotate by."""
        sets: list[Steps] = []
        for site in sites:
            assert site.steps is not None
            if site.kind not in ("ladder", "horner") or decisions.compare(site.terms, ">=", IntConst(2)):
                sets.append(site.steps.plain())
        return sets

    def level(self, site: Site) -> int:
        """How many primes are dropped before an operation."""
        return self.walk.levels[site.operands[0].shape]

    def keys_by_level(self, decisions: Decisions) -> dict[int, Any]:
        """How many Galois keys are first used at each level."""
        turning, found, before = self.turning(), dict[int, Any](), sympy.Integer(0)
        for level in sorted(set(map(self.level, turning))):
            upto = self._stepped([site for site in turning if self.level(site) <= level], decisions)
            count = distinct(upto, decisions, self.slots)
            found[level] = count - before
            before = count
        conjugations = list(map(self.level, self.of("conj")))
        if conjugations:
            found[min(conjugations)] = found.get(min(conjugations), sympy.Integer(0)) + 1
        return found

    def relinearized(self) -> int | None:
        """The first level at which products are relinearised; None where none is."""
        return min(map(self.level, self.of("relinearize")), default=None)

    # what is sent

    def inputs(self, decisions: Decisions) -> Any:
        """The ciphertexts that are sent by the client."""
        families = [f for f in self.walk.schedule.ciphers if f.body is None]
        return sum((product(f.loops, decisions) for f in families), sympy.Integer(0))

    def _outputs(self, decisions: Decisions) -> Any:
        return sum(self.returned(decisions).values(), sympy.Integer(0))

    def returned(self, decisions: Decisions) -> dict[str, Any]:
        """The ciphertexts of each family that are sent back."""
        by_family: dict[str, list[Output]] = defaultdict(list)
        for output in self.walk.schedule.outputs:
            by_family[output.family.name].append(output)
        found: dict[str, Any] = {}
        for name, outputs in by_family.items():
            images = []
            for output in outputs:
                box = tuple(ops.Loop(b.name, b.size, b.extent) for b in output.binders)
                value = Value(-1, tuple(map(Coordinate, output.family.indices)))
                images.append((canonical(value.coordinates, box), value, box, output))
            if any(image[0] != images[0][0] for image in images):
                raise NoFormula("outputs of one family read members that differ", images[-1][3].span)
            _, value, box, output = images[0]
            found[name] = product(members(value, box, decisions, self.slots, output.span), decisions)
        return found

    def _plaintexts(self, decisions: Decisions) -> Any:
        return sum(self.used(decisions).values(), sympy.Integer(0))

    def used(self, decisions: Decisions) -> dict[str, Any]:
        """The plaintexts of each family that are used."""
        seen: dict[str, dict[object, tuple[Value, Site]]] = defaultdict(dict)
        for site in self.of("mul_plain", "add_plain"):
            assert site.plain is not None
            value = Value(-1, tuple(map(Coordinate, site.plain.indices)))
            seen[site.plain.family].setdefault(canonical(value.coordinates, site.box), (value, site))
        found: dict[str, Any] = {}
        for name, uses in seen.items():
            (value, site), *others = uses.values()
            if others:
                raise NoFormula("two statements use different members of one family of plaintexts", others[0][1].span)
            found[name] = self.members_of(value, site, decisions)
        return found


def least_terms(site: Site) -> IntConst:
    """How many terms a place has that rotates at all."""
    return IntConst(1 if site.kind == "rotate" else 2)


def _fewer(site: Site, decisions: Decisions) -> Any:
    """The additions of a sum."""
    return _times("doubling_additions", site, decisions)


def _turned(site: Site, decisions: Decisions) -> Any:
    """The rotations of a sum whose terms are rotated one from the other."""
    return _times("doubling_rotations", site, decisions)


def _times(what: Doubled, site: Site, decisions: Decisions) -> Any:
    return of_site(what, site, decisions) if site.kind == "doubling" else decisions.expr(site.terms) - 1


def of_site(what: Doubled, site: Site, decisions: Decisions) -> Any:
    """A number of one sum by doubling."""
    assert site.steps is not None
    return of_doubling(what, decisions.expr(site.terms), decisions.expr(site.steps.radix))
