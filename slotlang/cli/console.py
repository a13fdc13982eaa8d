"""Where tables and drawings are printed, and tables that stay readable at any width."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TextIO, cast

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from slotlang.cli.lines import has_colours

GAP = 2
"""Blanks between columns."""
ENDLESS = 100_000
"""Columns of a file or a pipe: no table is as wide."""
_BLANKS = re.compile(r"[ \t]+(?=(?:\x1b\[[0-9;]*m)*\n)")


class _WithoutBlanks:
    """A stream whose lines end where their text does: cells of tables are filled up with blanks."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write whole lines, as rich does."""
        return self._stream.write(_BLANKS.sub("", text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def console_for_tables(*, stderr: bool = False) -> Console:
    """Standard output, or standard error. Lines end with their text. On a terminal tables fit, and prose is wrapped; in
    a file or a pipe a table is as wide as it is, or as COLUMNS says, and prose is not wrapped."""
    file = sys.stderr if stderr else sys.stdout
    width = None if file.isatty() or "COLUMNS" in os.environ else ENDLESS
    return _console(file, width=width)


def console_for_drawings() -> Console:
    """Standard output, whose width a drawing fills: of a file or a pipe 80 columns. Prose is wrapped on a terminal."""
    return _console(sys.stdout)


def _console(file: TextIO, width: int | None = None) -> Console:
    return Console(
        highlight=False,
        soft_wrap=not file.isatty(),
        width=width,
        color_system="auto" if has_colours(file) else None,
        file=cast("TextIO", _WithoutBlanks(file)),
    )


@dataclass(frozen=True)
class SideBySide:
    """Entries to compare: one in each row of a table, or, where that is too wide, one in each column of as many tables
    below each other as are needed. Names are never cut.

    ``heads``: of the names, and of what is compared. ``entries``: each the name and the texts below the other heads.
    ``left``: how many columns, the names among them, hold words. ``numbered``: rows have numbers.
    """

    heads: Sequence[str]
    entries: Sequence[Sequence[Text]]
    left: int = 1
    numbered: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table that fits."""
        wide = self._rows()
        # a measure is at most as wide as what it is asked for
        if Measurement.get(console, options.update(max_width=10_000), wide).maximum <= options.max_width:
            yield wide
        else:
            yield from self._columns(options.max_width)

    def _rows(self) -> Table:
        table = Table(box=None, header_style="bold", pad_edge=False)
        if self.numbered:
            table.add_column("", justify="right", no_wrap=True)
        for number, head in enumerate(self.heads):
            table.add_column(head, justify="left" if number < self.left else "right", no_wrap=True)
        for number, entry in enumerate(self.entries, 1):
            table.add_row(*([Text(str(number), entry[0].style)] if self.numbered else []), *entry)
        return table

    def _columns(self, width: int) -> Iterator[Table | Text]:
        names = [entry[0] for entry in self.entries]
        label = max(map(len, self.heads[1:]))
        widths = [max(len(cell) for cell in entry[1:]) for entry in self.entries]
        whole = label + sum(GAP + max(len(name), w) for name, w in zip(names, widths, strict=True))
        if whole <= width:
            yield self._block(range(len(names)), names)
            return
        digits = len(str(len(names)))
        for number, name in enumerate(names, 1):
            line = Text(f"{number:{digits}}  ", "bold")
            yield line.append_text(name)
        titles = [Text(str(number), name.style) for number, name in enumerate(names, 1)]
        block: list[int] = []
        room = width - label
        for number, w in enumerate(widths):
            if block and room < GAP + max(digits, w):
                yield Text()
                yield self._block(block, titles)
                block, room = [], width - label
            block.append(number)
            room -= GAP + max(digits, w)
        yield Text()
        yield self._block(block, titles)

    def _block(self, numbers: Sequence[int], titles: Sequence[Text]) -> Table:
        table = Table(box=None, header_style="bold", pad_edge=False)
        table.add_column("")
        for number in numbers:
            table.add_column(titles[number], justify="right", overflow="fold")
        for row, head in enumerate(self.heads[1:], 1):
            table.add_row(Text(head), *(self.entries[number][row] for number in numbers))
        return table
