"""What slots hold, as exact polynomials in named elements, many slots at once.

The terms of a value (``slotlang.proof.terms``) are evaluated on arrays of slots: every product becomes a row
of element numbers, equal rows of a slot are added up, and what is left is the slot's content. An element of a
product of tensors, such as ``(B @ x)[3, 1]``, stays one named element.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import lcm, prod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang.meaning.deep import Steps
from slotlang.meaning.integers import Int, IntConst, IntVar, evaluate, holds, variables, within
from slotlang.meaning.program import Claim, Program
from slotlang.meaning.value import Permuted, TensorForm, Value
from slotlang.proof.terms import ONE, Expander, Term, product_name
from slotlang.refusals import GaveUp

__all__ = ["Atoms", "Ints", "Named", "Polynomial", "Polynomials", "points", "polynomials"]

Ints: TypeAlias = npt.NDArray[np.int64]

Polynomial: TypeAlias = list[tuple[tuple[int, ...], Fraction, Fraction]]
"""Element numbers of a product, ascending, with the real and imaginary part of its coefficient."""

CHUNK_POINTS = 1 << 20
"""Products evaluated at a time: about a hundred megabytes."""
_SAFE = 1 << 62


class Named(Expander):
    """Terms in which elements of tensor products keep their names and permutations are looked up in tables.

    ``shapes``: everything that has elements; ``used``: the claims that expansions went through; ``followed``: how many
    members were followed to their claims or definitions, ``most`` of them before it gives up.
    """

    def __init__(self, program: Program, claims: Sequence[Claim] = (), most: int | None = None) -> None:
        super().__init__(program)
        self.most = most
        self.followed = 0
        self.shapes: dict[str, tuple[int, ...]] = dict.fromkeys(program.scalars, ())
        self.shapes.update((name, t.shape) for name, t in sorted(program.tensors.items()))
        self.tables: dict[str, tuple[Ints, Int]] = {}
        self.used: list[Claim] = []
        for claim in claims:
            self.learn(claim)

    def _terms(self, value: Value, env: Mapping[str, Int], slot: Int) -> Steps[list[Term]]:
        # what a permutation brings to a slot is looked up in its table
        if not isinstance(value, Permuted):
            return (yield from super()._terms(value, env, slot))
        table = self.program.permutations[value.permutation].destination
        if not value.inverse:
            source = np.empty_like(table)
            source[table] = np.arange(len(table))
            table = source
        name = self._name("u", self.program.slots_expr)
        self.tables[name] = table, slot
        terms: list[Term] = yield self._expand(value.value, env, IntVar(name))
        return terms

    def _read_member(self, name: str, indices: tuple[Int, ...], slot: Int) -> Steps[list[Term]]:
        self.followed += 1
        if self.most is not None and self.followed > self.most:
            raise GaveUp(f"more than {self.most:,} members")
        return super()._read_member(name, indices, slot)

    def _claimed(self, claim: Claim, env: Mapping[str, Int], slot: Int) -> Steps[list[Term]]:
        if claim not in self.used:
            self.used.append(claim)
        return (yield from super()._claimed(claim, env, slot))

    def element(self, form: TensorForm, indices: tuple[Int, ...], else_zero: bool = False) -> list[Term]:
        """One term per chain of the tensor expression, its inner sums left unopened."""
        inside = ONE
        if else_zero:
            inside = replace(ONE, conds=within(indices, tuple(map(IntConst, form.shape))))
        terms = []
        for chain in form.chains:
            if not chain.coefficient:
                continue
            if len(chain.factors) == 1:
                (factor,) = chain.factors
                read = self._read(factor.tensor, indices[::-1] if factor.transposed else indices, False)
            else:
                name, transposed = product_name(self.program, chain.factors)
                at = indices[::-1] if transposed else indices
                self.shapes[name] = form.shape[::-1] if transposed else form.shape
                read = replace(ONE, reads=((name, at),))
            terms.append(
                replace(
                    read,
                    re=chain.coefficient,
                    scalars=tuple(sorted(chain.scalars)),
                    conds=read.conds + inside.conds,
                )
            )
        return terms


class Atoms:
    """A number for every element of every tensor, product of tensors, and scalar."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.names = list(shapes)
        self.shapes = [shapes[name] for name in self.names]
        sizes = [prod(shape) for shape in self.shapes]
        self.first = {name: sum(sizes[:n]) for n, name in enumerate(self.names)}
        self._starts = list(self.first.values())
        self.count = sum(sizes)

    def text(self, atom: int, compact: bool = False) -> str:
        """``scale``, ``x[3, 0]``, ``(B @ x)[3, 1]``; ``x[3,0]`` and ``(B@x)[3,1]`` when compact."""
        at = int(np.searchsorted(self._starts, atom, side="right")) - 1
        name, shape = self.names[at], self.shapes[at]
        if not shape:
            return name
        rest, indices = atom - self._starts[at], []
        for size in reversed(shape):
            rest, index = divmod(rest, size)
            indices.append(str(index))
        text = f"{name}[{', '.join(reversed(indices))}]"
        return text.replace(" ", "") if compact else text


@dataclass(frozen=True, eq=False)
class Polynomials:
    """Contents of several slots. Slot k has the products ``begin[k]:begin[k + 1]``: row ``monomial`` of
    ``rows`` (element numbers, ascending, padded with -1) times ``(re + im*i) / denominator``."""

    atoms: Atoms
    begin: Ints = field(repr=False)
    monomial: Ints = field(repr=False)
    re: npt.NDArray[Any] = field(repr=False)
    im: npt.NDArray[Any] = field(repr=False)
    denominator: int
    rows: Ints = field(repr=False)

    def size(self, k: int) -> int:
        """How many products slot k holds."""
        return int(self.begin[k + 1] - self.begin[k])

    def polynomial(self, k: int, limit: int | None = None) -> Polynomial:
        """What slot k holds: real coefficients first, then by element; the first ``limit`` of them."""
        here = slice(int(self.begin[k]), int(self.begin[k + 1]))
        order = np.lexsort((self.monomial[here], self.re[here] == 0))[:limit]
        return [
            (
                tuple(int(a) for a in self.rows[self.monomial[here][n]] if a >= 0),
                Fraction(int(self.re[here][n]), self.denominator),
                Fraction(int(self.im[here][n]), self.denominator),
            )
            for n in order
        ]

    def groups(self) -> Ints:
        """Numbers that are equal for slots that hold the same, counted by first appearance; -1 for empty slots."""
        parts = (self.monomial, self.re, self.im)
        exact = self.re.dtype != object
        table = np.stack(parts, axis=1) if exact else None
        known: dict[object, int] = {}
        result = np.full(len(self.begin) - 1, -1, np.int64)
        for k, (start, stop) in enumerate(zip(self.begin[:-1], self.begin[1:], strict=True)):
            if start == stop:
                continue
            key: object
            if table is not None:
                key = table[start:stop].tobytes()
            else:
                key = tuple(tuple(part[start:stop].tolist()) for part in parts)
            result[k] = known.setdefault(key, len(known))
        return result


def points(named: Named, terms: Sequence[Term]) -> int:
    """Most products that are evaluated for one slot."""
    return sum(prod(extent for _, extent in _loops(named, term)[0]) for term in terms)


def polynomials(
    named: Named, terms: Sequence[Term], slots: Ints, binders: Mapping[str, int] | None = None
) -> Polynomials:
    """The contents of ``slots``; the terms' free variables are the slot, its digits and ``binders``."""
    atoms = Atoms(named.shapes)
    width = max((len(t.scalars) + len(t.reads) for t in terms), default=0)
    denominator = lcm(1, *(c.denominator for t in terms for c in (t.re, t.im)))
    blocks: list[tuple[Ints, Ints, int, int]] = []
    for term in terms:
        loops, factor = _loops(named, term)
        re, im = int(term.re * factor * denominator), int(term.im * factor * denominator)
        for owner, rows in _rows(named, atoms, term, loops, slots, binders or {}):
            padded = np.full((len(owner), width), -1, np.int64)
            padded[:, width - rows.shape[1] :] = np.sort(rows, axis=1)
            blocks.append((owner, padded, re, im))
    blocks = blocks or [(np.zeros(0, np.int64), np.zeros((0, width), np.int64), 0, 0)]
    owners = np.concatenate([f[0] for f in blocks])
    numbers, rows = _numbered(np.concatenate([f[1] for f in blocks]), atoms)
    largest = max(max(abs(re), abs(im)) for _, _, re, im in blocks)
    kind: Any = np.int64 if largest * (len(owners) + 1) < _SAFE else object
    parts = [
        np.concatenate([np.full(len(f[0]), number, kind) for f, number in zip(blocks, side, strict=True)])
        for side in ([f[2] for f in blocks], [f[3] for f in blocks])
    ]
    order = np.lexsort((numbers, owners))
    owners, numbers = owners[order], numbers[order]
    starts = np.flatnonzero(np.r_[True, (np.diff(owners) != 0) | (np.diff(numbers) != 0)][: len(owners)])
    if len(starts):
        re_sum, im_sum = (np.add.reduceat(part[order], starts) for part in parts)
    else:
        re_sum, im_sum = parts
    kept = (re_sum != 0) | (im_sum != 0)
    owners, numbers = owners[starts][kept], numbers[starts][kept]
    begin = np.searchsorted(owners, np.arange(len(slots) + 1))
    return Polynomials(atoms, begin, numbers, re_sum[kept], im_sum[kept], denominator, rows)


def _loops(named: Named, term: Term) -> tuple[list[tuple[str, int]], int]:
    """The bound variables that matter, and how often the others repeat each product."""
    used: set[str] = set()
    for _, indices in term.reads:
        used = used.union(*map(variables, indices))
    used = used.union(*map(variables, term.conds))
    for name, (_, place) in reversed(named.tables.items()):
        if name in used:
            used |= variables(place)
    kept = [(name, extent) for name, extent in term.bound if name in used]
    return kept, prod(extent for name, extent in term.bound if name not in used)


def _rows(
    named: Named,
    atoms: Atoms,
    term: Term,
    loops: Sequence[tuple[str, int]],
    slots: Ints,
    binders: Mapping[str, int],
) -> Iterator[tuple[Ints, Ints]]:
    """The products of one term: which of ``slots`` holds each, and its element numbers."""
    program = named.program
    extents = [extent for _, extent in loops]
    total = prod(extents)
    grid = np.indices(extents, np.int64).reshape(len(extents), 1, total)
    step = max(1, CHUNK_POINTS // total)
    for start in range(0, len(slots), step):
        here: dict[str, Any] = {**program.slot_env(slots[start : start + step, None]), **binders}
        here.update((name, grid[n]) for n, (name, _) in enumerate(loops))
        for name, (table, place) in named.tables.items():
            if variables(place) <= here.keys():
                here[name] = table[evaluate(place, program.sizes, here)]
        shape = (min(step, len(slots) - start), total)
        keep = np.ones(shape, bool)
        for cond in term.conds:
            keep &= holds(cond, program.sizes, here)
        owner = np.nonzero(keep)[0] + start
        columns = [np.full(len(owner), atoms.first[name]) for name in term.scalars]
        for name, indices in term.reads:
            flat: Any = 0
            for index, size in zip(indices, named.shapes[name], strict=True):
                flat = flat * size + evaluate(index, program.sizes, here)
            columns.append(np.broadcast_to(flat, shape)[keep] + atoms.first[name])
        rows = np.stack(columns, axis=1) if columns else np.zeros((len(owner), 0), np.int64)
        yield owner, rows.astype(np.int64)


def _numbered(rows: Ints, atoms: Atoms) -> tuple[Ints, Ints]:
    """A number for every different row, in lexicographic order, and the rows by number."""
    base = atoms.count + 1
    key, bound = np.zeros(len(rows), np.int64), 1
    for column in rows.T:
        if bound * base >= _SAFE:
            key = np.unique(key, return_inverse=True)[1]
            bound = len(rows) + 1
        key, bound = key * base + (column + 1), bound * base
    _, first, number = np.unique(key, return_index=True, return_inverse=True)
    return number.reshape(-1), rows[first]
