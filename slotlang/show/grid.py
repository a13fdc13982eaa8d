"""Slots in rows and columns: outer digits down, inner digits across; equal neighbours drawn once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Protocol

import numpy as np

from slotlang.show.content import SlotContents
from slotlang.show.repetition import divisors
from slotlang.show.symbolic import Ints

__all__ = ["MAX_COLUMNS", "Digits", "Grid", "Stretch", "grid_of", "marks_of", "picked", "row_period", "stretches"]

MAX_COLUMNS = 8
"""Most columns that more than one digit is spread over."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Neighbouring rows or columns ``start`` to ``stop - 1``."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Grid:
    """Slot ``row * columns + column`` stands there; ``down`` and ``across`` are the digits of each."""

    rows: int
    columns: int
    down: tuple[tuple[str, int], ...]
    across: tuple[tuple[str, int], ...]

    def row_label(self, rows: Stretch) -> str:
        """``h = 5``, ``h = 0–7``; the slot a row starts with, where it has no digits."""
        if self.down:
            return _label(self.down, rows)
        last = rows.stop * self.columns - 1 if rows.stop > rows.start + 1 else None
        first = rows.start * self.columns
        return f"slot {first}" if last is None else f"slots {first}–{last}"

    def column_label(self, columns: Stretch) -> str:
        """``t = 5``; ``+5`` where columns have no digits."""
        if self.across:
            return _label(self.across, columns)
        return f"+{columns.start}" + (f"–{columns.stop - 1}" if columns.stop > columns.start + 1 else "")


def _label(digits: Sequence[tuple[str, int]], stretch: Stretch) -> str:
    first, last = _digits(digits, stretch.start), _digits(digits, stretch.stop - 1)
    names = [name for name, _ in digits]
    if len(digits) == 1:
        (low,), (high,) = first, last
        return f"{names[0]} = {low}" + (f"–{high}" if high != low else "")
    low_text, high_text = ",".join(map(str, first)), ",".join(map(str, last))
    return f"{','.join(names)} = {low_text}" + (f" – {high_text}" if low_text != high_text else "")


def _digits(digits: Sequence[tuple[str, int]], number: int) -> list[int]:
    values = []
    for _, extent in reversed(digits):
        number, value = divmod(number, extent)
        values.append(value)
    return values[::-1]


class Digits(Protocol):
    """Anything about the slots of a vector."""

    @property
    def slots(self) -> int:
        """How many there are."""

    @property
    def axes(self) -> tuple[tuple[str, int], ...]:
        """The digits of the slot index."""


def grid_of(contents: Digits, width: int = 8) -> Grid:
    """The grid of a vector's digits; rows of about ``width`` slots when it has fewer than two."""
    axes = contents.axes
    if len(axes) < 2:
        columns = max(w for w in range(1, width + 1) if contents.slots % w == 0)
        if columns * 2 < width:
            columns = min(width, contents.slots)
        return Grid(-(-contents.slots // columns), columns, (), ())
    cut = len(axes) - 1
    while cut > 1 and prod(extent for _, extent in axes[cut - 1 :]) <= MAX_COLUMNS:
        cut -= 1
    down, across = axes[:cut], axes[cut:]
    return Grid(prod(e for _, e in down), prod(e for _, e in across), down, across)


def marks_of(contents: SlotContents, grid: Grid) -> Ints | None:
    """Content and wrongness of every slot as one number, in rows and columns; None when not compared."""
    if contents.groups is None:
        return None
    marks = contents.groups * 2
    if contents.wrong is not None:
        marks = marks + contents.wrong
    missing = grid.rows * grid.columns - contents.slots
    return np.append(marks, np.full(missing, -9)).reshape(grid.rows, grid.columns)


def row_period(marks: Ints) -> int:
    """After how many rows they repeat; their number when they do not."""
    count = len(marks)
    return next(p for p in divisors(count) if bool((marks[p:] == marks[: count - p]).all()))


def stretches(marks: Ints | None, count: int) -> list[Stretch]:
    """Neighbours along the first axis of ``marks`` that are equal; ``count`` single ones without marks."""
    if marks is None:
        return [Stretch(n, n + 1) for n in range(count)]
    changes = np.flatnonzero((marks[1:] != marks[:-1]).any(axis=1)) + 1
    edges = [0, *changes.tolist(), count]
    return [Stretch(a, b) for a, b in pairwise(edges)]


def picked(count: int, limit: int, around: int | None = None) -> list[int | None]:
    """Which of ``count`` things are drawn: the first, the last, those around one; None for a gap."""
    if count <= limit:
        return list(range(count))
    chosen = {count - 1}
    if around is None or around < limit - 1:
        chosen.update(range(limit - 1))
    else:
        half = (limit - 1) // 2
        chosen.update(range(max(0, limit - 2 - half)))
        start = min(around - half // 2, count - 1 - half)
        chosen.update(range(start, start + half))
        chosen.add(around)
    result: list[int | None] = []
    for n in sorted(chosen):
        if result and result[-1] is not None and n > result[-1] + 1:
            result.append(None)
        result.append(n)
    if result[0] != 0:
        result.insert(0, None)
    return result
