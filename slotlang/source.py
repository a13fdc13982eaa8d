"""Source texts and places in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class Source:
    """A program text with the name shown in messages (a path, or ``<string>``)."""

    name: str
    text: str = field(repr=False)

    @cached_property
    def line_starts(self) -> tuple[int, ...]:
        """Offset of the first character of every line."""
        starts = [0]
        starts.extend(i + 1 for i, ch in enumerate(self.text) if ch == "\n")
        return tuple(starts)

    def line_text(self, line: int) -> str:
        """Text of the 1-based line, without its newline."""
        start = self.line_starts[line - 1]
        end = self.text.find("\n", start)
        return self.text[start:] if end < 0 else self.text[start:end]


@dataclass(frozen=True, slots=True)
class Span:
    """Half-open range of offsets in a source; lines and columns are derived when asked for."""

    source: Source = field(repr=False)
    start: int
    end: int

    def _position(self, offset: int) -> tuple[int, int]:
        from bisect import bisect_right

        line = bisect_right(self.source.line_starts, offset)
        return line, offset - self.source.line_starts[line - 1] + 1

    @property
    def line(self) -> int:
        """1-based line of the first character."""
        return self._position(self.start)[0]

    @property
    def column(self) -> int:
        """1-based column of the first character."""
        return self._position(self.start)[1]

    @property
    def text(self) -> str:
        """The characters covered."""
        return self.source.text[self.start : self.end]

    def to(self, other: Span) -> Span:
        """The span from the start of this one to the end of ``other``."""
        return Span(self.source, self.start, max(self.end, other.end))

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.column}"
