"""A text that changes, and the places in it as editors count them."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

Unit: TypeAlias = Literal["utf-8", "utf-16", "utf-32"]
"""What an editor counts on a line: bytes, pairs of bytes, or characters."""

_END = re.compile(r"\r\n?|\n")
_ASCII = re.compile(r"[\x00-\x7f]*\Z")


@dataclass(frozen=True, slots=True)
class Place:
    """A place as an editor counts it: a 0-based line, and units of that line before it."""

    line: int
    column: int


def _units(text: str, unit: Unit) -> int:
    if unit == "utf-32" or _ASCII.match(text):
        return len(text)
    encoded = len(text.encode("utf-16-le" if unit == "utf-16" else "utf-8", "surrogatepass"))
    return encoded // 2 if unit == "utf-16" else encoded


class Text:
    """A text as an editor has it. ``plain`` is the same with ``\\n`` at the ends of all lines, as the compiler reads
    it; offsets are characters of ``plain``.

    Places beyond the end of a line or of the text are taken as that end: an editor may be ahead.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def plain(self) -> str:
        """The text with one kind of line end."""
        return _END.sub("\n", self.text) if "\r" in self.text else self.text

    @cached_property
    def _starts(self) -> list[int]:
        return _starts(self.text)

    @cached_property
    def _plain_starts(self) -> list[int]:
        return self._starts if self.plain is self.text else _starts(self.plain)

    def changed(self, start: Place, end: Place, new: str, unit: Unit) -> Text:
        """The text with another one between two places."""
        first = self._offset(start, unit)
        last = max(first, self._offset(end, unit))
        return Text(self.text[:first] + new + self.text[last:])

    def _offset(self, place: Place, unit: Unit) -> int:
        return _offset(self.text, self._starts, place, unit)

    def offset(self, place: Place, unit: Unit) -> int:
        """The offset of a place."""
        return _offset(self.plain, self._plain_starts, place, unit)

    def place(self, offset: int, unit: Unit) -> Place:
        """The place of an offset."""
        offset = max(0, min(offset, len(self.plain)))
        line = bisect_right(self._plain_starts, offset) - 1
        return Place(line, _units(self.plain[self._plain_starts[line] : offset], unit))

    def end(self, unit: Unit) -> Place:
        """Where the text ends."""
        return self.place(len(self.plain), unit)


def _starts(text: str) -> list[int]:
    return [0, *(match.end() for match in _END.finditer(text))]


def _offset(text: str, starts: list[int], place: Place, unit: Unit) -> int:
    if place.line < 0:
        return 0
    if place.line >= len(starts):
        return len(text)
    start = starts[place.line]
    stop = starts[place.line + 1] if place.line + 1 < len(starts) else len(text)
    line = text[start:stop].rstrip("\r\n")
    if unit == "utf-32" or _ASCII.match(line):
        return start + max(0, min(place.column, len(line)))
    used = 0
    for at, character in enumerate(line):
        if used >= place.column:
            return start + at
        used += _units(character, unit)
    return start + len(line)
