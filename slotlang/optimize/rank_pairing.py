"""The rule that puts two ranks into one complex slot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from slotlang.optimize.rewriting import (
    Rewrite,
    Subject,
    binary,
    claim_of,
    fresh,
    inlined,
    mapped,
    name,
    nowhere,
    number,
    product,
    substituted,
    times,
)
from slotlang.syntax import tree
from slotlang.syntax.walk import names, nodes
from slotlang.words import PART_WORDS


def ranks_paired(subject: Subject) -> Iterator[Rewrite]:
    """Two ranks in one complex slot: weights ``B_a + i*B_b`` on the way down, ``A_a - i*A_b`` on the way up, and the
    real part read. Every loop over the ranks becomes half as long; what the client packs stays."""
    if _complex_already(subject):
        return
    for ranks in _rank_sizes(subject):
        # where the client packs a copy for every rank, sums over channels stay as long
        for shorter in (True, False):
            program = _Pairing(subject, ranks, fresh(subject.program, "RHE"), shorter).program()
            if program is not None:
                yield Rewrite("ranks paired", "two ranks in every complex slot", program)


def why_not_paired(subject: Subject) -> str:
    """Why the rule proposes nothing."""
    if _complex_already(subject):
        return "slots are complex already"
    if not _rank_sizes(subject):
        return "no loop over plaintexts has an even size with a name for its extent"
    return "no plaintexts, of an index over an even size, multiply what other such plaintexts gave"


def _complex_already(subject: Subject) -> bool:
    parts = list(nodes(subject.program.statements))
    return any(isinstance(p, tree.Number) and p.imaginary for p in parts) or any(
        isinstance(p, tree.Unary) and p.op in PART_WORDS for p in parts
    )


def _rank_sizes(subject: Subject) -> list[str]:
    """Even sizes that plaintexts are numbered by."""
    extents = dict.fromkeys(
        b.extent.name
        for s in subject.program.statements
        if isinstance(s, tree.Define) and s.kind == "plain"
        for b in s.binders
        if isinstance(b.extent, tree.Name)
    )
    return [n for n in extents if (size := subject.sizes.get(n)) is not None and size >= 2 and size % 2 == 0]


@dataclass(frozen=True)
class _Pairing:
    """``shorter``: sums by doubling, and sizes made from the number of ranks, change with it."""

    subject: Subject
    ranks: str
    half: str
    shorter: bool

    def program(self) -> tree.Program | None:
        """The program with half as many complex ranks; None where no plaintexts stand on the way up."""
        statements: list[tree.Statement] = []
        families = self.subject.families
        plains = [f for f in families.values() if f.kind == "plain" and self._ranked(f.body, self._loops(f.binders))]
        down: frozenset[str] = frozenset()
        known = up = False
        for s in self.subject.program.statements:
            if not known and not isinstance(s, tree.Header | tree.Let | tree.Require):
                value = binary("/", name(self.ranks, s), number(2, name(self.ranks, s)))
                statements.append(tree.Let(self.half, value, nowhere(s.span)))
                known = True
            match s:
                case tree.Define("plain"):
                    body, loops = s.body, self._loops(s.binders)
                    for family in reversed(plains):
                        # products of what is paired pair up as a whole: their factors are written out
                        body = inlined(body, family) if family.name in names(body) else body
                    read = names(body) & frozenset(self._shapes)
                    ranked = self._ranked(body, loops)
                    down = down or (read if ranked else down)
                    up |= ranked and not down & read
                    body = self._halves(body if ranked else s.body, loops, "+" if down & read else "-")
                    statements.append(replace(s, binders=self._renamed(s.binders), body=body))
                case tree.Define("compute"):
                    statements.append(replace(s, binders=self._renamed(s.binders), body=self._computed(s.body)))
                case tree.Claim():
                    where = None if s.where is None else self._renamed(s.where)
                    about = families.get(claim_of(s) or "")
                    loops = frozenset() if about is None else self._loops(about.binders)
                    statements.append(replace(s, value=self._halves(s.value, loops, "+"), where=where))
                case tree.Output():
                    statements.append(replace(s, value=tree.Unary("re", s.value, nowhere(s.value.span))))
                case _:
                    statements.append(s)
        return replace(self.subject.program, statements=tuple(statements)) if up else None

    @cached_property
    def _lets(self) -> Mapping[str, tree.Expr]:
        """Sizes made from the number of ranks, written out."""
        lets: dict[str, tree.Expr] = {}
        if self.shorter:
            for s in self.subject.program.statements:
                if isinstance(s, tree.Let) and names(s.value) & {self.ranks, *lets}:
                    lets[s.name] = substituted(s.value, lets)
        return lets

    @cached_property
    def _shapes(self) -> Mapping[str, tuple[tree.Expr, ...]]:
        statements = self.subject.program.statements
        return {t.name: t.shape for s in statements if isinstance(s, tree.Declare) for t in s.tensors}

    @cached_property
    def _digits(self) -> Mapping[str, tree.Expr]:
        """Digits of a slot's number, with their extents."""
        statements = self.subject.program.statements
        return {b.name: b.extent for s in statements if isinstance(s, tree.Axes) for b in s.binders}

    def _counts_ranks(self, e: tree.Expr) -> bool:
        return isinstance(e, tree.Name) and e.name == self.ranks

    def _renamed(self, node: Any) -> Any:
        """With half as many ranks."""
        renamed = {self.ranks: name(self.half, self.subject.program.header)}
        return substituted(substituted(node, self._lets), renamed)

    def _computed(self, e: tree.Expr) -> tree.Expr:
        match e:
            case tree.Sum(_, tree.How("doubling"), tree.Binary("<<" | ">>", value) as turn) if not self.shorter:
                return replace(e, body=replace(turn, left=self._computed(value)))
            case tree.Sum(binders, _, body):
                return replace(e, binders=self._renamed(binders), body=self._computed(body))
            case tree.Binary("+" | "-" | "*", left, right):
                return replace(e, left=self._computed(left), right=self._computed(right))
            case _:
                return self._renamed(e)  # type: ignore[no-any-return]

    def _at(self, e: tree.Expr, loops: frozenset[str], *, upper: bool) -> tree.Expr:
        """The expression for one half of the ranks: ``k % r`` is ``k % R``, or ``k % R + R``. Where there is none, what
        numbers a rank, a loop or a digit, numbers one half, and is read R further for the other."""

        def rank(low: tree.Expr, half: tree.Expr) -> tree.Expr:
            return binary("+", low, half) if upper else low

        def remainders(part: Any) -> Any:
            match part:
                case tree.Binary("%", left, right):
                    whole = substituted(right, self._lets)
                    if isinstance(whole, tree.Binary) and whole.op == "/":
                        whole = whole.left
                    if self._counts_ranks(whole):
                        half = self._renamed(right)
                        return rank(binary("%", left, half), half)
                case tree.Bracket():
                    return self._renamed(part)
            return part

        def indices(part: Any) -> Any:
            if not isinstance(part, tree.Index):
                return part
            half = name(self.half, part)
            second = {n: rank(name(n, part), half) for n in loops}

            def own(index: tree.Expr) -> tree.Expr:
                if isinstance(index, tree.Name) and index.name in self._digits:
                    counts = self._counts_ranks(self._digits[index.name])
                    return rank(binary("%", index, half) if counts else index, half)
                return substituted(index, second)  # type: ignore[no-any-return]

            sizes = self._dimensions(part.base)
            new = [own(i) if names(n) - self._sent else i for i, n in zip(part.indices, sizes, strict=False)]
            return replace(part, indices=(*new, *part.indices[len(new) :]))

        new = mapped(e, remainders)
        return mapped(e, indices) if new == e else new  # type: ignore[no-any-return]

    @cached_property
    def _sent(self) -> frozenset[str]:
        """Sizes of the tensors that the client encrypts, which are not ranks."""
        declared = [s for s in self.subject.program.statements if isinstance(s, tree.Declare) and s.kind == "input"]
        return names(tuple(t.shape for s in declared for t in s.tensors))

    def _loops(self, binders: tuple[tree.Binder, ...]) -> frozenset[str]:
        return frozenset(b.name for b in binders if self._counts_ranks(b.extent))

    def _dimensions(self, e: tree.Expr) -> tuple[tree.Expr, ...]:
        """Extents of a tensor or a product of tensors, as declared."""
        match e:
            case tree.Name(tensor):
                return self._shapes.get(tensor, ())
            case tree.Transpose(base):
                return self._dimensions(base)[::-1]
            case tree.Binary("@", left, right):
                return (*self._dimensions(left)[:-1], *self._dimensions(right)[1:])
            case tree.Binary("*", left, right):
                return self._dimensions(left) or self._dimensions(right)
            case _:
                return ()

    def _ranked(self, e: tree.Expr, loops: frozenset[str]) -> bool:
        return self._at(e, loops, upper=True) != self._at(e, loops, upper=False)

    def _halves(self, e: tree.Expr, loops: frozenset[str], sign: str) -> tree.Expr:
        factors = product(e)
        common = [self._at(f, loops, upper=False) for f in factors if not self._ranked(f, loops)]
        own = [f for f in factors if self._ranked(f, loops)]
        if not own:
            return self._at(e, loops, upper=False)
        low, high = (self._at(times(own), loops, upper=upper) for upper in (False, True))
        pair = binary(sign, low, binary("*", number(1, low, imaginary=True), high))
        return times([*common, pair])
