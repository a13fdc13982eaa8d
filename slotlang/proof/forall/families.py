"""Families of sizes, each bound at sizes of its own.

Within a family a size that is used as a number is constant; from family to family it differs. So the program that a
family is proved with is bound at sizes of this family, and so are the programs that a proof is checked with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest

from slotlang.diagnostics import SlotError
from slotlang.meaning.bind import bind, bind_kept
from slotlang.meaning.program import Program
from slotlang.proof.forall import size_points
from slotlang.proof.forall.condition_kinds import Conditions
from slotlang.proof.forall.coverage_report import values_text
from slotlang.proof.forall.size_solver import Symbols
from slotlang.refusals import GaveUp
from slotlang.syntax import tree

SAMPLES = 24
"""Small sizes that are looked at for a counterexample, of all families together."""
MIN_SAMPLES = 4
"""At least so many of each."""
LARGE_SAMPLES = 8
MAX_POINT = 1 << 12
"""Sizes beyond this are looked at only where a family has no smaller ones."""
MAX_WRITTEN_OUT = 1 << 4
"""The same where sizes say how many members are written out."""
LIMITS = frozenset({"SL206", "SL210", "SL306", "SL309"})
"""Where the front end gives up on a program because of the magnitude of its sizes."""

Sizes = dict[str, int]


@dataclass(frozen=True)
class Family:
    """Sizes in independent symbols, and concrete ones among them.

    ``small`` are values of the free sizes, the smallest first, ``large`` others, the largest first. ``program`` is
    bound at some of them; None where the front end takes none of them.
    """

    symbols: Symbols
    small: tuple[Sizes, ...]
    large: tuple[Sizes, ...]
    program: Program | None

    @property
    def text(self) -> str:
        """Its sizes for a person: ``n = C*K, r = 32``."""
        return values_text(self.symbols.parametrization(tuple((self.small or self.large or ({},))[0])))

    def leak(self, found: Conditions) -> str:
        """Why the terms of ``program`` are not those of every program of the family; empty when they are."""
        for name, span, why in found.valued:
            value = self.symbols.sizes[name].number()
            if value is None:
                return f"line {span.line}: '{name}' {why}, and it is open"
            if self.program is not None and value != self.program.sizes[name]:
                return f"line {span.line}: '{name}' {why}, and it differs from {value}"
        return ""


def family(
    syntax: tree.Program,
    fixed: Mapping[str, int],
    free: tuple[str, ...],
    found: Conditions,
    symbols: Symbols,
    seed: int,
    samples: int = SAMPLES,
    kept: bool = False,
) -> Family:
    """A family of sizes with up to so many small sizes of its own, and the program bound at the first of these that it
    can be bound at, ``kept`` whole or not. Raises ``GaveUp`` where it can't be kept."""
    names = sorted(symbols.names() | symbols.domain.least.keys())
    points = size_points.small(symbols.domain, names, 4 * samples, seed)
    most = MAX_WRITTEN_OUT if kept else MAX_POINT
    drawn = sorted(_sizes(found, free, symbols, points), key=_sum)
    small = tuple([s for s in drawn if max(s.values()) <= most] or drawn)[:samples]
    points = size_points.large(symbols.domain, names, 4 * LARGE_SAMPLES, seed)
    others = (s for s in _sizes(found, free, symbols, points) if max(s.values()) <= most and s not in small)
    large = tuple(sorted(islice(others, LARGE_SAMPLES), key=_sum, reverse=True))
    return Family(symbols, small, large, next(_bound(syntax, fixed, small, kept), None))


def families_of(
    syntax: tree.Program,
    fixed: Mapping[str, int],
    free: tuple[str, ...],
    found: Conditions,
    cases: Sequence[Symbols],
    seed: int,
    *,
    kept: bool = False,
) -> list[Family]:
    """Each of several families, with sizes of its own."""
    samples = max(MIN_SAMPLES, SAMPLES // len(cases))
    return [family(syntax, fixed, free, found, symbols, seed, samples, kept) for symbols in cases]


def _sum(sizes: Sizes) -> int:
    return sum(sizes.values())


def _sizes(
    found: Conditions, free: tuple[str, ...], symbols: Symbols, points: Iterator[dict[str, int]]
) -> Iterator[Sizes]:
    """The free sizes at values of the symbols, each choice once, where they meet all conditions."""
    seen: set[tuple[int, ...]] = set()
    for point in points:
        sizes = {name: int(symbols.sizes[name].value(point)) for name in free}
        key = tuple(sizes.values())
        if key not in seen:
            seen.add(key)
            if found.hold(sizes):
                yield sizes


def _bound(syntax: tree.Program, fixed: Mapping[str, int], points: Sequence[Sizes], kept: bool) -> Iterator[Program]:
    for sizes in points:
        known = {**fixed, **sizes}
        try:
            program = bind(syntax, known)
        except SlotError:
            continue
        try:
            yield bind_kept(syntax, known) if kept else program
        except SlotError as problem:
            first = problem.diagnostics[0]
            line = f"line {first.span.line}: " if first.span else ""
            raise GaveUp(f"{line}with its loops kept, {first.message}") from None


def in_turn(families: Sequence[Family]) -> list[Sizes]:
    """Sizes of all families, one of each family in turn, the smallest of each first."""
    rows = zip_longest(*(family.small for family in families))
    return [sizes for row in rows for sizes in row if sizes is not None]
