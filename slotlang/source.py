"""Source texts and places in them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property


@dataclass(frozen=True)
class Source:
    """A program text with the name shown in messages (a path, or ``<string>``).

    ``folder``: where its imports look for files; None for a text that is in none. ``program``: the one that is meant,
    of several in the text. ``origins``: of a text that definitions were expanded in, where its parts were written, in
    order; none where it is what somebody wrote.
    """

    name: str
    text: str = field(repr=False)
    folder: str | None = field(default=None, repr=False)
    program: str | None = field(default=None, repr=False)
    origins: tuple[Origin, ...] = field(default=(), repr=False, compare=False)

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

    @cached_property
    def _starts(self) -> tuple[int, ...]:
        return tuple(origin.start for origin in self.origins)

    def origin(self, start: int, end: int) -> Origin | None:
        """The smallest part around a range whose origin is known."""
        at = bisect_right(self._starts, start) - 1
        if at < 0 or self.origins[at].end < end:
            return None
        whole = self.origins[at]
        around = [o for o in whole.inner if o.start <= start and end <= o.end]
        return min(around, key=lambda o: o.end - o.start, default=whole)

    def edited(self, edits: Sequence[tuple[int, int, str]]) -> Source:
        """The text with other ones at some ranges, in order. What is beside them keeps its origin; an expanded part
        that is changed inside has none any more."""
        parts, done = list[str](), 0
        for start, end, new in edits:
            parts += [self.text[done:start], new]
            done = end
        origins = tuple(kept for origin in self.origins for kept in origin.after(edits))
        return replace(self, text="".join(parts) + self.text[done:], origins=origins)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a part of an expanded text was written: ``span`` of a program's file, and the places in the definitions
    that it passed through, outermost first, with their names. ``inner``: its own parts."""

    start: int
    end: int
    span: Span
    definitions: tuple[tuple[str, Span], ...] = ()
    inner: tuple[Origin, ...] = ()

    @property
    def verbatim(self) -> bool:
        """Whether it was copied, sign by sign."""
        return not self.inner and not self.definitions and self.end - self.start == self.span.end - self.span.start

    def moved(self, by: int) -> Origin:
        """The same part further on in the text."""
        inner = tuple(o.moved(by) for o in self.inner)
        return replace(self, start=self.start + by, end=self.end + by, inner=inner) if by else self

    def after(self, edits: Sequence[tuple[int, int, str]]) -> list[Origin]:
        """What is left of the part in an edited text."""

        def shift(at: int) -> int:
            return sum(len(new) - (end - start) for start, end, new in edits if end <= at)

        inside = [(start, end) for start, end, _ in edits if start < self.end and end > self.start]
        if not inside:
            return [self.moved(shift(self.start))]
        if not self.verbatim:
            return []
        starts, ends = [self.start, *(end for _, end in inside)], [*(start for start, _ in inside), self.end]
        to, source = self.span.start - self.start, self.span.source
        return [
            Origin(a + shift(a), b + shift(a), Span(source, a + to, b + to))
            for a, b in zip(starts, ends, strict=True)
            if a < b
        ]


@dataclass(frozen=True, slots=True)
class Span:
    """Half-open range of offsets in a source; lines and columns are derived when asked for."""

    source: Source = field(repr=False)
    start: int
    end: int

    def _position(self) -> tuple[int, int]:
        line = bisect_right(self.source.line_starts, self.start)
        return line, self.start - self.source.line_starts[line - 1] + 1

    @property
    def written(self) -> Span:
        """The place that somebody wrote: of what a definition was expanded to, that of its use."""
        if not self.source.origins:
            return self
        origin = self.source.origin(self.start, self.end)
        if origin is None:
            return self
        if not origin.verbatim:
            return origin.span
        offset = origin.span.start - origin.start
        return Span(origin.span.source, self.start + offset, self.end + offset)

    @property
    def definitions(self) -> tuple[tuple[str, Span], ...]:
        """The definitions that the text was expanded from, outermost first, with the places in them."""
        origin = self.source.origin(self.start, self.end) if self.source.origins else None
        return origin.definitions if origin is not None else ()

    @property
    def row(self) -> int:
        """1-based line in the source's own text, expanded or not."""
        return self._position()[0]

    @property
    def line(self) -> int:
        """1-based line of the first character, as it was written."""
        return self.written._position()[0]

    @property
    def column(self) -> int:
        """1-based column of the first character, as it was written."""
        return self.written._position()[1]

    @property
    def text(self) -> str:
        """The characters covered."""
        return self.source.text[self.start : self.end]

    def to(self, other: Span) -> Span:
        """The span from the start of this one to the end of ``other``."""
        return Span(self.source, self.start, max(self.end, other.end))

    def __str__(self) -> str:
        return f"{self.written.source.name}:{self.line}:{self.column}"
