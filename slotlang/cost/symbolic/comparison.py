"""From which sizes on one program has fewer of an operation than another, by their formulas.

One size changes and the others stay. Every value that both programs admit is looked at, all up to ``EVERY`` and powers
of two up to ``MOST``, so that what is said is exact for these values; it is not said of others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, TypeAlias

from slotlang.cost.symbolic.formulas import Formulas
from slotlang.cost.symbolic.functions import value

EVERY = 512
MOST = 1 << 16

Less: TypeAlias = Literal["first", "second", "equal"]
"""Which of two programs has fewer."""

COMPARED = ("rotations", "key_switches", "galois_keys", "plain_products", "cipher_products", "additions")
SENT = ("ciphertexts_in", "ciphertexts_out")


@dataclass(frozen=True)
class Run:
    """Neighbouring values of a size, of those looked at, for which one program has fewer."""

    less: Less
    first: int
    last: int

    def to_json(self) -> dict[str, object]:
        """Plain data."""
        return {"less": self.less, "from": self.first, "to": self.last}


@dataclass(frozen=True)
class Compared:
    """One count of two programs: at the sizes they have, and along each size that both have, the others fixed. None
    where a formula does not hold. ``gaps``: sizes with values that both programs admit and for which a formula does not
    hold: nothing is said of these."""

    count: str
    values: tuple[int | None, int | None]
    along: Mapping[str, tuple[Run, ...]]
    gaps: frozenset[str]

    def to_json(self) -> dict[str, object]:
        """Plain data."""
        return {
            "count": self.count,
            "values": list(self.values),
            "along": {name: [run.to_json() for run in runs] for name, runs in self.along.items()},
        }


def compared(first: Formulas, second: Formulas) -> list[Compared]:
    """Every count that the formulas of two programs tell apart, or that some size changes."""
    common = [name for name in first.parameters if name in second.parameters]
    points = {name: list(_admitted(first, second, name)) for name in common}
    found = []
    for count in (*COMPARED, *SENT):
        here = (first.at({})[count], second.at({})[count])
        along = {name: tuple(_runs(first, second, count, name, sizes)) for name, sizes in points.items()}
        if here != (0, 0) or any(run.less != "equal" for runs in along.values() for run in runs):
            a, b = first.counts[count], second.counts[count]
            gaps = (n for n, sizes in points.items() if not all(a.holds(x) and b.holds(y) for _, x, y in sizes))
            found.append(Compared(count, here, along, frozenset(gaps)))
    return found


def _admitted(first: Formulas, second: Formulas, name: str) -> Iterator[tuple[int, dict[str, int], dict[str, int]]]:
    """Values of a size that both programs admit, ascending, each with all sizes of both."""
    powers = (1 << e for e in range(MOST.bit_length()))
    for number in sorted({*range(1, EVERY + 1), *(p for p in powers if p > EVERY)}):
        sizes = [f.admitted({name: number}) for f in (first, second)]
        if sizes[0] is not None and sizes[1] is not None:
            yield number, sizes[0], sizes[1]


def _runs(
    first: Formulas, second: Formulas, count: str, name: str, sizes: list[tuple[int, dict[str, int], dict[str, int]]]
) -> Iterator[Run]:
    a, b = first.counts[count], second.counts[count]
    told: list[tuple[Less, int]] = []
    for number, mine, other in sizes:
        if a.holds(mine) and b.holds(other):
            x, y = value(a.expr, mine), value(b.expr, other)
            told.append(("first" if x < y else "second" if y < x else "equal", number))
    for less, group in groupby(told, key=lambda entry: entry[0]):
        numbers = [number for _, number in group]
        yield Run(less, numbers[0], numbers[-1])
