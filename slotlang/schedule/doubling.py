"""Rotate-and-add: ``sum f < count: v << f*step`` in stages that add up a few rotated copies each.

The graph, formulas and searches ask this module; ``slotlang_runtime.operations.Evaluation.doubling`` does the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import isqrt
from typing import Literal

RADIX = 2
"""Of ``by doubling`` without a number."""

RADICES = (RADIX, 4, 8)
"""Those that searches try where key switches are executed in parts."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One sum of rotated copies, ``t`` being what was added up so far, and ``b`` what it was after the last ``repeat``
    with ``marks``, or at first.

    ``repeat``: ``t = t + (t << unit) + ... + (t << (copies - 1)*unit)``. ``append``: ``t = b + (b << unit) + ... +
    (b << (copies - 1)*unit) + (t << copies*unit)``. Units are multiples of the sum's step. ``marks``: this stage and
    those before it are what the digits that follow begin with.
    """

    kind: Literal["repeat", "append"]
    unit: int
    copies: int
    marks: bool = False

    @property
    def additions(self) -> int:
        """Of ciphertexts, one for each rotated copy."""
        return self.copies - (self.kind == "repeat")

    @property
    def multiples(self) -> range:
        """The multiples of the sum's step that it rotates by; for ``append``, all but the last rotate ``b``."""
        return range(self.unit, self.unit * (self.additions + 1), self.unit)


@lru_cache(maxsize=1 << 12)
def stages(count: int, radix: int = RADIX) -> tuple[Stage, ...]:
    """How ``t = sum f < count: v << f*step`` is built from ``t = v``, at most ``radix`` copies at a time.

    While what is left of the count has a divisor from 2 to the radix, a stage repeats the largest; the widest rotations
    go first, so that what remains repeats ever more often. The rest goes by its digits in base ``radix``: the first
    digit d repeats d copies; every other one repeats ``radix`` copies, and is appended with d copies of what was there
    before the digits.
    """
    found = []
    rest = count
    while rest > 1 and (copies := _largest_divisor(rest, radix)):
        rest //= copies
        found.append(Stage("repeat", rest, copies))
    if rest == 1:
        return tuple(found)
    first, *others = _digits(rest, radix)
    if found:
        found[-1] = Stage("repeat", found[-1].unit, found[-1].copies, marks=True)
    if first > 1:
        found.append(Stage("repeat", 1, first))
    done = first
    for digit in others:
        found.append(Stage("repeat", done, radix))
        done *= radix
        if digit:
            found.append(Stage("append", 1, digit))
            done += digit
    return tuple(found)


def _largest_divisor(count: int, radix: int) -> int:
    """The largest divisor from 2 to ``radix``, or 0."""
    if count <= radix:
        return count
    pairs = ((d, count // d) for d in range(2, min(radix, isqrt(count)) + 1) if count % d == 0)
    return max((d for pair in pairs for d in pair if d <= radix), default=0)


def _digits(count: int, radix: int) -> list[int]:
    """The digits of a positive number in a base, first one first."""
    digits = []
    while count:
        count, digit = divmod(count, radix)
        digits.append(digit)
    return digits[::-1]


def additions(count: int, radix: int = RADIX) -> int:
    """Of ciphertexts, as many as there are rotations where none occurs twice."""
    return sum(stage.additions for stage in stages(count, radix))


@lru_cache(maxsize=1 << 12)
def _turned(count: int, radix: int) -> tuple[tuple[int, int], ...]:
    """The rotations of each stage in turn: how many stages lie behind what is rotated, and by which multiple."""
    found: list[tuple[int, int]] = []
    base = 0
    for now, stage in enumerate(stages(count, radix)):
        *others, last = stage.multiples
        found += [(now if stage.kind == "repeat" else base, k) for k in others] + [(now, last)]
        base = now + 1 if stage.marks else base
    return tuple(found)


def turns(count: int, radix: int = RADIX) -> frozenset[tuple[int, int]]:
    """The different rotations: how many stages lie behind what is rotated, and by which multiple of the step."""
    return frozenset(_turned(count, radix))


def mod_downs(count: int, radix: int = RADIX) -> int:
    """Of pending sums (``slotlang.cost.key_switching``): one for each stage, the last one's included, and one for each
    rotation that a second stage adds."""
    return len(stages(count, radix)) + len(_turned(count, radix)) - len(turns(count, radix))
