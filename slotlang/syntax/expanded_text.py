"""A program whose definitions are expanded, as a text of its own.

All that comes later speaks of a program's text: hashes, certificates and modules hold it, changes are cut into it. So
the expansion is printed and read again, what it did not touch sign by sign, and the text remembers where its parts were
written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from slotlang.diagnostics import SlotError, error
from slotlang.source import Origin, Source, Span
from slotlang.syntax import items, tree
from slotlang.syntax.expand import Expansion, Place
from slotlang.syntax.printer import statement_text
from slotlang.syntax.statements import parse_file
from slotlang.syntax.walk import parts


class ExpandedText:
    """The text of one program, put together from the part ``start:end`` of a file's."""

    def __init__(self, source: Source, start: int, end: int) -> None:
        self._source = source
        self._next, self._stop = start, end
        self._parts: list[str] = []
        self._length = 0
        self._origins: list[Origin] = []

    def _add(self, text: str, origin: Origin | None) -> None:
        self._parts.append(text)
        self._length += len(text)
        if origin is not None:
            self._origins.append(origin)

    def _copy(self, end: int) -> None:
        start, at = self._next, self._length
        if start < end:
            self._add(self._source.text[start:end], Origin(at, at + end - start, Span(self._source, start, end)))
            self._next = end

    def leave_out(self, item: items.Item) -> None:
        """Drop a definition or an import, with the comment behind it and the line that it leaves empty."""
        text, span = self._source.text, item.span
        self._copy(span.start)
        end = text.find("\n", span.end)
        end = len(text) if end < 0 else end
        rest = text[span.end : end].strip()
        if not rest or rest.startswith("#"):
            own_line = text.rfind("\n", 0, span.start) + 1 == span.start
            self._next = min(end + own_line, len(text))
        else:
            self._next = span.end

    def put(self, statement: tree.Statement, made: Sequence[tree.Statement], expansion: Expansion) -> None:
        """Write what a statement was expanded to, on lines of its own."""
        if len(made) == 1 and made[0] is statement:
            return
        self._copy(statement.span.start)
        for number, one in enumerate(made):
            if number:
                self._add("\n", None)
            text = statement_text(one)
            again = _read_again(text, one, statement)
            at = self._length
            place = expansion.places.get(id(one)) or Place(statement.span, ())
            inner = tuple(_origins(one, again, at, expansion))
            self._add(text, Origin(at, at + len(text), place.span, place.definitions, inner))
        self._next = statement.span.end

    def source(self) -> Source:
        """The text with its origins. It has no folder: nothing is imported any more."""
        self._copy(self._stop)
        return replace(self._source, text="".join(self._parts), folder=None, program=None, origins=tuple(self._origins))


def _read_again(text: str, made: tree.Statement, use: tree.Statement) -> items.Item:
    """The statement as its text is read. Raises SL116 where that says something else, SL115 where it can't be read."""
    try:
        (again,) = parse_file(Source("expansion", text)).statements
    except SlotError as problem:
        first = problem.diagnostics[0]
        raise error(
            "SL115", "what the definitions stand for can't be written", use.span, notes=[first.message]
        ) from None
    if again != made:
        raise error(
            "SL116",
            "what the definitions stand for can't stand here",
            use.span,
            notes=[f"it would read: {text[:200]}"],
            hint="a condition is no extent",
        )
    return again


def _origins(made: Any, again: Any, at: int, expansion: Expansion) -> Iterable[Origin]:
    waiting = list(zip(parts(made), parts(again), strict=True))
    while waiting:
        one, other = waiting.pop()
        place = expansion.places.get(id(one)) or Place(one.span, ())
        yield Origin(other.span.start + at, other.span.end + at, place.span, place.definitions)
        waiting += zip(parts(one), parts(other), strict=True)


__all__ = ["ExpandedText"]
