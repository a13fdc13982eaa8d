"""Claims for a program that has too few: found at a random point, used only once they are proved.

A value is a candidate when each of its slots is, at a random point of a prime field, an element of a partial
product of what the program proves (``B @ x`` where ``scale * A @ B @ x`` is proved), times a constant: in its real
and its imaginary part, which the two square roots of -1 tell apart. Which element a slot holds becomes an index
expression (``index_maps``), and the claim a line of text, bound as if it stood in the program. The random point
makes a claim likely; nothing here makes it true.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import product
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from slotlang.graph.graph import Graph
from slotlang.meaning.bind import bind
from slotlang.meaning.integers import SLOT, Int, IntConst, evaluate, show
from slotlang.meaning.program import Claim, Family, Program, member_text, written_name
from slotlang.meaning.value import Chain, Const, Factor, TensorForm, leaves
from slotlang.proof.field import PRIMES, Field, random_field
from slotlang.proof.graph_values import evaluate_graph
from slotlang.proof.index_maps import Names, fit
from slotlang.syntax.parser import parse

MAX_VALUES = 1 << 24
"""Most slots that are evaluated, of all members of all families together."""
MAX_ELEMENTS = 1 << 22
"""Largest partial product whose elements are looked up."""
MAX_FACTOR = 16
"""Whole numbers up to this are tried as constant factors of elements."""
PROBES = 64
"""Slots of a family that the constant factor is estimated from."""
SEED = 20_240_301

Numbers = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]
Flat = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Part:
    """The real or imaginary part of a value, matched: it holds ``text``, or the negative of it, where ``claimed``."""

    text: str
    negative: bool
    claimed: Mask

    @property
    def signed(self) -> str:
        """The text with its sign."""
        return f"-{self.text}" if self.negative else self.text


def propose(graph: Graph, seed: int = SEED) -> tuple[str, ...]:
    """Lines like ``claim S == (B @ x)[h % r, t]``, in the order of the program, for families that have no claim
    about all their members and slots. Raises ``field.GaveUp`` and ``SlotError`` as the random method does."""
    program = graph.schedule.program
    finder = _Finder(program, random_field(program, PRIMES[:1], seed))
    families = list(_candidates(program, graph))
    if not families or program.slots * sum(f.size for f in families) > MAX_VALUES:
        return ()
    numbers = {key: graph.values[key] for f in families for key in _keys(f) if key in graph.values}
    values = evaluate_graph(graph, finder.field, set(numbers.values()))
    lines: list[str] = []
    for family in families:
        keys = _keys(family)
        if all(key in numbers for key in keys):
            lines += finder.claims(family, [values[numbers[key]] for key in keys])
    return tuple(lines)


def with_claims(program: Program, lines: Sequence[str]) -> Program:
    """The program with claims written into its text, each after the family it speaks of. Raises ``SlotError``
    when one of them can't stand there."""
    source = program.syntax.source
    ends = {}
    for family in program.families.values():
        end = source.text.find("\n", family.span.end)
        ends[written_name(family.name)] = len(source.text) if end < 0 else end
    places = [(ends[_family_of(line)], line) for line in reversed(lines)]
    edits = [(end, end, f"\n{line}") for end, line in sorted(places, key=lambda place: place[0])]
    return bind(parse(source.edited(edits)), {name: program.sizes[name] for name in program.parameters})


def _family_of(line: str) -> str:
    return written_name(line.removeprefix("claim ").partition(" ==")[0])


def _keys(family: Family) -> list[tuple[str, tuple[int, ...]]]:
    return [(family.name, indices) for indices in family.points()]


def _candidates(program: Program, graph: Graph) -> Iterator[Family]:
    """Families in the graph without a claim. Families that an output reads directly are left out: the output is their
    goal."""
    said = {o.family.name for o in program.outputs if o.part is None}
    said |= {s.family for s in program.steps if isinstance(s, Claim) and s.every and s.where is None}
    present = {name for name, _ in graph.values}
    for family in program.families.values():
        if family.kind == "compute" and family.name in present and family.name not in said:
            yield family


class _Partial:
    """A partial product at the point: its elements, sorted to be looked up."""

    def __init__(self, field: Field, factors: tuple[Factor, ...], shape: tuple[int, ...]) -> None:
        self.shape = shape
        base = " @ ".join(f.tensor + ".T" * f.transposed for f in factors)
        self.base = f"({base})" if len(factors) > 1 or factors[0].transposed else base
        self._form = TensorForm((Chain(Fraction(1), (), factors),), shape, base)
        self._field = field
        self.p = field.primes[0]

    @cached_property
    def elements(self) -> Numbers:
        """All elements, flat."""
        return np.asarray(self._field.form(self._form)[0], np.uint64)

    @cached_property
    def _order(self) -> Flat:
        return np.argsort(self.elements, kind="stable").astype(np.int64)

    @cached_property
    def _sorted(self) -> Numbers:
        return np.asarray(self.elements[self._order])

    def look_up(self, values: Numbers) -> tuple[Flat, Mask]:
        """The flat position of each value, and whether it is an element at all."""
        at = np.minimum(np.searchsorted(self._sorted, values), len(self._sorted) - 1)
        hit = (self._sorted[at] == values) & (values != 0)
        return self._order[at], hit


def _constants(program: Program) -> list[Fraction]:
    """Constant factors that are tried: 1 first, quotients of the program's sizes and small numbers, which is
    how often something is added up, and the constants that the program writes."""
    numbers = {*range(1, MAX_FACTOR + 1), *(v for v in program.sizes.values() if v > 0)}
    constants = {Fraction(a, b) for a in numbers for b in (1, *(v for v in program.sizes.values() if v > 0))}
    for family in program.families.values():
        written = (part for leaf in leaves(family.body) if isinstance(leaf, Const) for part in (leaf.re, leaf.im))
        constants |= {part for part in written if part}
    constants |= {1 / f for f in constants}
    return sorted(constants | {-f for f in constants}, key=lambda f: (f != 1, f.denominator, abs(f), f < 0))


class _Finder:
    def __init__(self, program: Program, field: Field) -> None:
        self.program = program
        self.field = field
        self.names = Names(program)
        self.slot_env = program.slot_env(np.arange(program.slots))
        self.partials = [_Partial(field, *product) for product in _partial_products(program)]
        self.constants = _constants(program)
        p = field.primes[0]
        self.inverses = np.array([f.denominator * pow(f.numerator, -1, p) % p for f in self.constants], np.uint64)
        self.scalars = sorted({c.scalars for t in program.theorems.values() for c in t.chains if c.scalars})

    def claims(self, family: Family, members: list[Any]) -> list[str]:
        """Claims about one family, given what its members hold."""
        vectors = [np.broadcast_to(v, (*v.shape[:2], self.program.slots)) for v in members]
        real, imaginary = (np.stack([self.field.part(v, part)[0, 0] for v in vectors]) for part in ("re", "im"))
        target = member_text(family.name, [b.name for b in family.binders])
        lines, open_ = [], np.ones(real.shape, bool)
        for a in self._parts(family, real, open_):
            if not imaginary[a.claimed].any():
                value = a.signed
            else:
                b = next(iter(self._parts(family, np.where(a.claimed, imaginary, 0), a.claimed)), None)
                if b is None or not bool((b.claimed >= a.claimed).all()):
                    continue
                value = f"{a.signed} - 1i * {b.text}" if b.negative else f"{a.signed} + 1i * {b.text}"
            where = self._where(family, a.claimed)
            if where is None:
                continue
            lines.append(f"claim {target} == {value}{where}")
            open_ &= ~a.claimed
            if not open_.any():
                break
        return lines

    def _parts(self, family: Family, values: Numbers, open_: Mask) -> Iterator[_Part]:
        nonzero = np.flatnonzero((values != 0) & open_)
        if not nonzero.size:
            return
        for partial in self.partials:
            for scalars in ((), *self.scalars):
                part = self._part(family, values, open_, partial, scalars)
                if part is not None:
                    yield part
                    open_ = open_ & ~part.claimed

    def _part(
        self, family: Family, values: Numbers, open_: Mask, partial: _Partial, scalars: tuple[str, ...]
    ) -> _Part | None:
        p = partial.p
        nonzero = np.flatnonzero((values != 0) & open_)
        if not nonzero.size:
            return None
        unit = 1
        for name in scalars:
            unit = unit * pow(int(self.field.scalars[name][0]), -1, p) % p
        scaled = values * np.uint64(unit) % np.uint64(p) if unit != 1 else values
        which = self._factor(partial, scaled, nonzero)
        if which is None:
            return None
        factor = self.constants[which]
        flat, hit = partial.look_up(scaled * self.inverses[which] % np.uint64(p))
        claimed = self._region(family, (hit | (values == 0)) & open_, hit)
        if claimed is None:
            return None
        hit = hit & claimed
        indices = self._indices(family, partial, flat, hit)
        if indices is None:
            return None
        text = f"{partial.base}[{', '.join(map(show, indices))}]"
        inside = self._inside(family, indices, partial.shape)
        if not bool((inside == hit)[claimed].all()):
            return None
        if not bool(inside.all()):
            text = f"({text} else 0)"
        for name in reversed(scalars):
            text = f"{name} * {text}"
        if factor != 1:
            text = f"{abs(factor)} * {text}" if abs(factor) != 1 else text
        return _Part(text, factor < 0, claimed)

    def _factor(self, partial: _Partial, values: Numbers, nonzero: Flat) -> int | None:
        """The position of the constant that explains the most of a few slots, two of them at least."""
        probes = values.reshape(-1)[nonzero[:: max(1, nonzero.size // PROBES)][:PROBES]]
        _, hits = partial.look_up(probes[:, None] * self.inverses % np.uint64(partial.p))
        counts = hits.sum(axis=0)
        best = int(np.argmax(counts))
        return best if counts[best] >= min(2, nonzero.size) else None

    # where a claim speaks

    def _variables(self, family: Family) -> list[tuple[str, int]]:
        axes = [(name, self.program.digits[name].size) for name in self.program.axes[0]] if self.program.axes else []
        return [*((b.name, b.size) for b in family.binders), *(axes or [(SLOT, self.program.slots)])]

    def _region(self, family: Family, good: Mask, hit: Mask) -> Mask | None:
        """Slots a claim can speak of: all, or those where one digit has the first value or is below a bound."""
        if good.all():
            return good
        variables = self._variables(family)
        shape = tuple(size for _, size in variables)
        table = good.reshape(shape)
        for axis in range(len(family.binders), len(variables)):
            others = tuple(n for n in range(len(variables)) if n != axis)
            line: Mask = np.asarray(table.all(axis=others))
            if line.any() and hit.reshape(shape)[np.broadcast_to(_along(line, axis, len(shape)), shape)].any():
                return np.array(np.broadcast_to(_along(line, axis, len(shape)), shape)).reshape(good.shape)
        return None

    def _where(self, family: Family, claimed: Mask) -> str | None:
        """`` where h < r``; empty when a claim speaks of every slot, None when no condition says where."""
        if claimed.all():
            return ""
        variables = self._variables(family)
        table = claimed.reshape(tuple(size for _, size in variables))
        for axis in range(len(family.binders), len(variables)):
            name, extent = variables[axis]
            line: Mask = np.asarray(table.all(axis=tuple(n for n in range(len(variables)) if n != axis)))
            if not bool((np.broadcast_to(_along(line, axis, len(variables)), table.shape) == table).all()):
                continue
            values = np.flatnonzero(line)
            first, last = int(values[0]), int(values[-1])
            if last - first + 1 != values.size:
                continue
            if first == last:
                return f" where {name} == {show(self.names('+', first) if first > 1 else IntConst(first))}"
            if first == 0:
                return f" where {name} < {show(self.names('%', last + 1))}"
            if last == extent - 1:
                return f" where {name} >= {show(self.names('+', first))}"
        return None

    # which element a slot holds

    def _indices(self, family: Family, partial: _Partial, flat: Flat, hit: Mask) -> list[Int] | None:
        variables = self._variables(family)
        shape = tuple(size for _, size in variables)
        known = hit.reshape(shape)
        indices = []
        for coordinate in np.unravel_index(flat, partial.shape):
            index = fit(np.asarray(coordinate, np.int64).reshape(shape), known, variables, self.names)
            if index is None:
                return None
            indices.append(index)
        return indices

    def _inside(self, family: Family, indices: Sequence[Int], shape: tuple[int, ...]) -> Mask:
        """Whether the indices lie inside the product, for each member (row) and slot."""
        env = dict(self.slot_env)
        if family.binders:
            rows = np.unravel_index(np.arange(family.size)[:, None], [b.size for b in family.binders])
            env.update(family.env(rows))
        inside: Any = np.ones((family.size, self.program.slots), bool)
        for index, size in zip(indices, shape, strict=True):
            at = evaluate(index, self.program.sizes, env)
            inside = inside & (at >= 0) & (at < size)
        return np.asarray(inside)


def _along(line: Mask, axis: int, dimensions: int) -> Mask:
    return line.reshape([-1 if n == axis else 1 for n in range(dimensions)])


def _partial_products(program: Program) -> Iterator[tuple[tuple[Factor, ...], tuple[int, ...]]]:
    """Contiguous parts of the proved chains that hold an input, the longest first."""
    products: dict[tuple[Factor, ...], tuple[int, ...]] = {}
    for theorem in program.theorems.values():
        for chain in theorem.chains:
            for start, end in product(range(len(chain.factors)), range(1, len(chain.factors) + 1)):
                part = chain.factors[start:end]
                shape = _shape(program, part)
                encrypted = any(program.tensors[f.tensor].kind == "input" for f in part)
                if encrypted and shape is not None and prod(shape) <= MAX_ELEMENTS:
                    products[part] = shape
    return iter(sorted(products.items(), key=lambda item: -len(item[0])))


def _shape(program: Program, factors: tuple[Factor, ...]) -> tuple[int, ...] | None:
    """The shape of a product, None when it is none: a vector is written last only."""
    shapes = [program.tensors[f.tensor].shape[:: -1 if f.transposed else 1] for f in factors]
    if not shapes or any(len(s) == 1 for s in shapes[:-1]):
        return None
    return (shapes[0][0], shapes[-1][1]) if len(shapes[-1]) == 2 else (shapes[0][0],)


__all__ = ["propose", "with_claims"]
