"""Vectors, families and refutations drawn in the terminal; complete without colour."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.text import Text

from slotlang.meaning.program import member_text
from slotlang.show.colours import TERMINAL
from slotlang.show.content import SlotContents
from slotlang.show.grid import Grid, Stretch, grid_of, marks_of, picked, row_period, stretches
from slotlang.show.overview import FamilyRow
from slotlang.show.wrong import Neighbour, Refutation
from slotlang_runtime.amounts import count_of

__all__ = ["Drawing", "draw", "draw_overview", "draw_refutation"]

GAP = 2
"""Spaces between columns."""


def draw(contents: SlotContents, rows: int = 9) -> RenderableType:
    """A vector: what it is, its slots in a grid of at most ``rows`` rows, and how they repeat."""
    return Drawing(contents, rows)


@dataclass(frozen=True)
class _Indented:
    """A line of prose, wrapped below its own start, or not at all where the console wraps nothing."""

    text: str
    by: int
    style: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if options.no_wrap:
            yield Text(" " * self.by + self.text, self.style)
        else:
            yield Padding(Text(self.text, self.style), (0, 0, 0, self.by), expand=False)


def _indented(text: str, by: int, style: str = "") -> RenderableType:
    return _Indented(text, by, style)


@dataclass(frozen=True)
class _Cell:
    text: str
    style: str


@dataclass(frozen=True)
class Drawing:
    """A vector as something rich prints at any width."""

    contents: SlotContents
    rows: int = 9

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Header, grid, summary."""
        yield from self._header()
        yield Text()
        yield from _Table(self.contents, self.rows, options.max_width, options.ascii_only).lines()
        yield Text()
        yield from self._footer()

    def _header(self) -> Iterator[RenderableType]:
        c = self.contents
        kind = {"cipher": "packed by the client", "plain": "plaintext"}.get(c.kind, "computed")
        digits = ", ".join(f"{name} < {extent}" for name, extent in c.axes)
        yield Text.assemble(
            (c.title, "bold"), f"  {kind}, {count_of(c.slots, 'slot')}", f" ({digits})" if digits else "", style=""
        )
        yield _indented(c.definition, 2)
        for line, text in c.claims:
            yield _indented(f"as claimed in line {line}: {text}", 2, "dim")

    def _footer(self) -> Iterator[Text]:
        c = self.contents
        yield Text(c.summary())
        first = next((s for s in range(min(c.slots, 64)) if c.groups is None or c.groups[s] >= 0), None)
        if first is not None:
            (held,) = c.holdings([first])
            if held.products > 1 and "e.g." in held.text:
                yield Text(f"slot {first}: {held.text}")
        if c.wrong is not None:
            yield Text(c.wrong_sentence(), style="bold red" if c.wrong.any() else "")


class _Table:
    """The grid at one width: which rows and columns are drawn, and their cells."""

    def __init__(self, contents: SlotContents, rows: int, width: int, ascii_only: bool) -> None:
        self.contents = contents
        self.grid: Grid = grid_of(contents)
        self.width = width
        self.dots, self.empty, self.cross, self.down = ("...", ".", "!", ":") if ascii_only else ("…", "·", "✗", "⋮")
        self.ascii_only = ascii_only
        self.marks = marks_of(contents, self.grid)
        self.row_stretches = stretches(self.marks, self.grid.rows)
        across = None if self.marks is None else self.marks.T
        self.column_stretches = stretches(across, self.grid.columns)
        self.affordable = contents.describer.affordable
        self.counts = None if contents.groups is None else np.bincount(contents.groups + 1)
        wrong = [] if contents.wrong is None else np.flatnonzero(contents.wrong)[:1].tolist()
        self.wrong_slot: int | None = wrong[0] if wrong else None
        self.row_numbers = self._chosen_rows(rows)

    def _chosen_rows(self, limit: int) -> list[int | None]:
        count = len(self.row_stretches)
        if self.affordable < self.contents.slots:
            limit = min(limit, self.affordable // 2)
        limit = max(2, limit)
        around = None
        if self.wrong_slot is not None:
            row = self.wrong_slot // self.grid.columns
            around = next(n for n, s in enumerate(self.row_stretches) if s.start <= row < s.stop)
        self.period = row_period(self.marks) if self.marks is not None else self.grid.rows
        repeated = next((n + 1 for n, s in enumerate(self.row_stretches) if s.stop == self.period), count)
        if repeated < limit < count and repeated < count - 1 and (around is None or around < repeated):
            return [*range(repeated), None, count - 1]
        return picked(count, limit, around)

    def _cells(self, rows: Sequence[Stretch], columns: Sequence[Stretch]) -> list[list[_Cell]]:
        slots = [[r.start * self.grid.columns + c.start for c in columns] for r in rows]
        inside = [s for line in slots for s in line if s < self.contents.slots]
        held = dict(zip(inside, self.contents.holdings(inside), strict=True))
        return [[self._cell(s, held[s].short) if s in held else _Cell("", "") for s in line] for line in slots]

    def _cell(self, slot: int, text: str) -> _Cell:
        c = self.contents
        group = None if c.groups is None else int(c.groups[slot])
        if group is not None and group < 0:
            text = self.empty
        if c.wrong is not None and c.wrong[slot]:
            return _Cell(f"{self.cross} {text}", "bold red")
        if group is None or self.counts is None:
            return _Cell(text, "")
        if group < 0:
            return _Cell(text, "dim")
        return _Cell(text, TERMINAL[group % len(TERMINAL)] if self.counts[group + 1] > 1 else "")

    def lines(self) -> Iterator[Text]:
        """Column labels, rows, and a line where rows are left out."""
        rows = [self.row_stretches[n] for n in self.row_numbers if n is not None]
        labels = [self._plain(self.grid.row_label(r)) for r in rows]
        margin = max(map(len, labels))
        most = max(2, min(self.width // 3, 40))
        if self.affordable < self.contents.slots:
            most = max(2, min(most, self.affordable // len(rows)))
        around = None if self.wrong_slot is None else self._must_see(self.column_stretches)
        candidates = picked(len(self.column_stretches), most, around)
        shown = [self.column_stretches[n] for n in candidates if n is not None]
        cells = self._cells(rows, shown)
        heads = [self._plain(self.grid.column_label(c)) for c in shown]
        widths = [max(len(head), *(len(line[k].text) for line in cells)) for k, head in enumerate(heads)]
        gap = GAP + len(self.dots)
        widths = [min(w, self.width - margin - GAP - 2 * gap) for w in widths]
        order = self._fitting(shown, widths, self.width - margin)

        head = Text(" " * margin)
        for k in order:
            head.append(" " * GAP)
            head.append(self.dots if k is None else heads[k].ljust(widths[k]), style="dim")
        yield self._trimmed(head)
        at = 0
        for number in self.row_numbers:
            if number is None:
                yield Text(f"{self.down:>{margin}}  {self._left_out(at)}", style="dim")
                continue
            line = Text(labels[at].rjust(margin), style="")
            line.stylize("dim")
            for k in order:
                line.append(" " * GAP)
                if k is None:
                    line.append(self.dots, style="dim")
                    continue
                cell = cells[at][k]
                text = cell.text
                if len(text) > widths[k]:
                    text = text[: widths[k] - len(self.dots)] + self.dots
                line.append(text.ljust(widths[k]), style=cell.style)
            yield self._trimmed(line)
            at += 1

    def _left_out(self, at: int) -> str:
        """What the gap after ``at`` drawn rows leaves out."""
        numbers = [n for n in self.row_numbers if n is not None]
        following = self.row_stretches[numbers[at]] if at < len(numbers) else Stretch(self.grid.rows, 0)
        before = self.row_stretches[numbers[at - 1]].stop if at else 0
        left = following.start - before
        if at and self.period < self.grid.rows and before == self.period:
            times = self.grid.rows // self.period
            what = "this row" if self.period == 1 else f"these {count_of(self.period, 'row')}"
            return f"{what} again, {times:,} times in all"
        return count_of(left, "more row")

    def _fitting(self, shown: Sequence[Stretch], widths: Sequence[int], room: int) -> list[int | None]:
        """As many columns from the left as fit, and the one that must be seen; None for those left out."""
        must = self._must_see(shown)
        for kept in range(len(shown), 1, -1):
            order = self._with_gaps(shown, sorted({*range(kept - 1), must}))
            if sum(GAP + (len(self.dots) if k is None else widths[k]) for k in order) <= room:
                return order
        return self._with_gaps(shown, [must if self.wrong_slot is not None else 0])

    def _with_gaps(self, shown: Sequence[Stretch], chosen: Sequence[int]) -> list[int | None]:
        order: list[int | None] = []
        reached = 0
        for k in chosen:
            if shown[k].start != reached:
                order.append(None)
            order.append(k)
            reached = shown[k].stop
        return order if reached == self.grid.columns else [*order, None]

    def _must_see(self, shown: Sequence[Stretch]) -> int:
        """The column of the first wrong slot, else the last one."""
        if self.wrong_slot is None:
            return len(shown) - 1
        column = self.wrong_slot % self.grid.columns
        return next(k for k, s in enumerate(shown) if s.start <= column < s.stop)

    def _plain(self, label: str) -> str:
        return label.replace("–", "-") if self.ascii_only else label

    @staticmethod
    def _trimmed(line: Text) -> Text:
        line.rstrip()
        line.no_wrap = True
        line.overflow = "ellipsis"
        return line


def draw_overview(program: str, slots: int, rows: Sequence[FamilyRow]) -> RenderableType:
    """A table of families: kind, members, ciphertexts, distinct contents, and what a slot holds."""
    return _Overview(program, slots, rows)


@dataclass(frozen=True)
class _Overview:
    program: str
    slots: int
    rows: Sequence[FamilyRow]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        heads = ("family", "kind", "vectors", "ciphertexts", "distinct", "empty")
        lines = [
            (
                member_text(r.family, [f"{name} < {extent}" for name, extent in r.binders]),
                {"compute": "computed"}.get(r.kind, r.kind),
                f"{r.members:,}",
                f"{r.ciphertexts:,}" if r.ciphertexts else "-",
                "?" if r.distinct is None else f"{r.distinct:,}",
                "?" if r.empty is None else f"{r.empty:,}",
            )
            for r in self.rows
        ]
        widths = [max(len(line[k]) for line in [heads, *lines]) for k in range(len(heads))]
        fits = sum(widths) + GAP * (len(widths) - 1) <= options.max_width

        def line_of(cells: Sequence[str], style: str) -> Text:
            sized = zip(cells, widths, strict=True)
            texts = [cell.ljust(w) if k < 2 else cell.rjust(w) for k, (cell, w) in enumerate(sized)]
            return Text((" " * GAP).join(texts), style)

        yield Text.assemble((self.program, "bold"), f"  {count_of(self.slots, 'slot')}")
        yield Text()
        if fits:
            yield line_of(heads, "dim")
        for row, cells in zip(self.rows, lines, strict=True):
            if fits:
                yield line_of(cells, "")
            else:
                # too narrow for a table
                yield Text((" " * GAP).join(cells[:2]))
                yield _indented(", ".join(f"{head} {cell}" for head, cell in zip(heads[2:], cells[2:], strict=True)), 4)
            yield _indented(row.definition, 4, "dim")
            for line, claim in row.claims:
                yield _indented(f"claimed in line {line}: {claim}", 4, "dim")
        yield Text()
        yield Text("distinct and empty: contents of the slots of a family's first vector", "dim")
        if any(r.distinct is None for r in self.rows):
            yield Text("?: too long a sum to be multiplied out here; draw the family by name", "dim")


def draw_refutation(refutation: Refutation, words: bool = True) -> RenderableType:
    """The counterexample, in words unless these are said already, the slots around it, and how many slots of its
    vector are wrong."""
    return _Refuted(refutation, words)


BINS = 64
_HEIGHTS = "·▁▂▃▄▅▆▇█"
_ASCII_HEIGHTS = ".:::+++##"


@dataclass(frozen=True)
class _Refuted:
    refutation: Refutation
    words: bool

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        refutation, ascii_only = self.refutation, options.ascii_only
        if self.words:
            yield Text.assemble((refutation.statement, "bold"), f" is refuted (line {refutation.line})")
            yield Text()
            for line in refutation.lines:
                yield _indented(line.lstrip(), 2 + len(line) - len(line.lstrip()))
        if refutation.around:
            yield Text()
            yield from self._around(options.max_width, ascii_only)
        elif refutation.left_out:
            yield Text()
            yield _indented(refutation.left_out, 2)
        if refutation.wrong is not None:
            yield Text()
            sentence = refutation.wrong.sentence()
            yield Text(sentence.replace("–", "-") if ascii_only else sentence, "bold red")
            last = f"{len(refutation.wrong.wrong) - 1:,}"
            bins = min(BINS, options.max_width - 12 - len(last))
            yield Text(f"  slot 0  {strip(refutation.wrong.wrong, bins, ascii_only)}  {last}", no_wrap=True)

    def _around(self, width: int, ascii_only: bool) -> Iterator[Text]:
        refutation = self.refutation
        cross = "!" if ascii_only else "✗"
        heads = ["", "slot", *(name for name, _ in refutation.axes), "should hold", "holds"]
        rows = [
            [
                cross if n.wrong else "",
                str(n.slot),
                *map(str, n.digits),
                n.should.short if n.claimed else "anything",
                self._holds(n),
            ]
            for n in refutation.around
        ]
        widths = [max(len(line[k]) for line in [heads, *rows]) for k in range(len(heads))]
        # the two texts share what the numbers leave
        room = width - sum(widths[:-2]) - GAP * len(widths)
        if widths[-2] + widths[-1] > room:
            widths[-2] = max(min(widths[-2], room // 2), room - widths[-1])
        for number, line in enumerate([heads, *rows]):
            cells = [
                cell.rjust(w) if k < len(line) - 2 else _cut(cell, w, ascii_only).ljust(w)
                for k, (cell, w) in enumerate(zip(line, widths, strict=True))
            ]
            style = "dim" if not number else "red" if refutation.around[number - 1].wrong else ""
            overflow = "crop" if ascii_only else "ellipsis"
            text = Text("  " + (" " * GAP).join(cells).rstrip(), style, no_wrap=True)
            text.overflow = overflow  # type: ignore[assignment]
            yield text

    @staticmethod
    def _holds(n: Neighbour) -> str:
        return "as it should" if n.wrong is False and n.claimed else n.holds.short


def _cut(text: str, width: int, ascii_only: bool) -> str:
    dots = "..." if ascii_only else "…"
    return text if len(text) <= width else text[: max(0, width - len(dots))] + dots


def strip(mask: npt.NDArray[np.bool_], bins: int, ascii_only: bool = False) -> str:
    """Where the wrong slots are: at most ``bins`` signs, each as high as its share of wrong slots."""
    heights = _ASCII_HEIGHTS if ascii_only else _HEIGHTS
    parts = np.array_split(mask, max(1, min(bins, len(mask))))
    return "".join(heights[-(-int(part.sum()) * (len(heights) - 1) // len(part))] for part in parts)
