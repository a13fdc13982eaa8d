"""What the slots of a value hold, as a small table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from slotlang.diagnostics import SlotError
from slotlang.meaning.program import Claim, Program
from slotlang.show.content import contents
from slotlang_runtime.amounts import count_of

__all__ = ["LayoutTable", "layout_table"]

ROWS = 4
COLUMNS = 4
MAX_SLOTS = 1 << 16
"""Slots of a vector up to which its layout is drawn while somebody types."""


@dataclass(frozen=True, slots=True)
class LayoutTable:
    """``title``: the member. ``heads``: of the columns; ``rows``: each its head and cells. ``summary``: how contents
    repeat, where that was compared. ``claims``: lines of the claims that were taken at their word."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    summary: str
    claims: tuple[int, ...]

    def markdown(self) -> str:
        """The table as Markdown."""
        lines = ["| " + " | ".join(self.heads) + " |", "|" + " --- |" * len(self.heads)]
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in self.rows]
        return "\n".join(lines)


def layout_table(
    program: Program, name: str, member: tuple[int, ...] = (), claims: Sequence[Claim] = ()
) -> LayoutTable | str:
    """The first slots of a member, a row for each value of the outer digit and a column for each of the inner one; or
    why there is no table. ``claims``: those that may be taken at their word."""
    if program.slots > MAX_SLOTS:
        return f"{count_of(program.slots, 'slot')} are too many to draw here: slotlang show draws them"
    try:
        held = contents(program, name, member, claims=claims, compare=False)
    except SlotError as problem:
        return problem.diagnostics[0].message
    axes = list(held.axes) or [("slot", held.slots)]
    inner_name, inner = axes[-1]
    outer = axes[:-1]
    outer_size = prod(extent for _, extent in outer)
    if prod(extent for _, extent in axes) != held.slots:
        outer, outer_size, inner_name, inner = [], 1, "slot", held.slots
    columns, rows = min(inner, COLUMNS), min(outer_size, ROWS)
    if outer_size == 1:
        # one digit: its values go down
        rows, columns, inner_name, outer = min(inner, 2 * ROWS), 1, "holds", [(inner_name, inner)]
        outer_size, inner = inner, 1
    wanted = [row * inner + column for row in range(rows) for column in range(columns)]
    if len(wanted) > held.describer.affordable:
        return "its sums are too long to write out here"
    cells = [h.short for h in held.holdings(wanted)]
    more_columns = [f"… {inner:,}"] if columns < inner else []
    corner = ", ".join(n for n, _ in outer)
    if inner_name == "holds":
        heads = [corner, "holds"]
    else:
        heads = [f"{corner} \\ {inner_name}", *map(str, range(columns)), *more_columns]
    table = []
    for row in range(rows):
        label = ", ".join(map(str, _digits(row, [extent for _, extent in outer])))
        part = cells[row * columns : (row + 1) * columns]
        table.append((label, *part, *("…" for _ in more_columns)))
    if rows < outer_size:
        table.append((f"… {outer_size:,}", *("" for _ in heads[1:])))
    repetition = held.repetition
    summary = "" if repetition is None else repetition.sentence()
    return LayoutTable(held.title, tuple(heads), tuple(table), summary, tuple(line for line, _ in held.claims))


def _digits(value: int, extents: list[int]) -> list[int]:
    found = []
    for extent in reversed(extents):
        value, digit = divmod(value, extent)
        found.append(digit)
    return found[::-1]
