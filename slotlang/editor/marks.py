"""Messages about a text as an editor shows them: plain data with offsets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from slotlang.diagnostics import Diagnostic
from slotlang.editor.tokens import tokens
from slotlang.source import Source, Span

Weight: TypeAlias = Literal["error", "warning", "information"]


@dataclass(frozen=True, slots=True)
class Related:
    """Another place that a message speaks of. ``file``: None for the text itself."""

    file: str | None
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Fix:
    """A change that would answer a message: ``edits`` are ranges of the text with what takes their place."""

    title: str
    edits: tuple[tuple[int, int, str], ...]
    preferred: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A message at a place of the text. ``code``: one of slotlang's, or a verdict."""

    start: int
    end: int
    weight: Weight
    code: str
    message: str
    related: tuple[Related, ...] = ()
    fixes: tuple[Fix, ...] = ()
    unused: bool = False


_LINE = re.compile(r"\bin line (\d+)")
_CLOSER = re.compile(r'add "([)\]])" before the statement ends')
_MEANT = re.compile(r"did you mean '([^']+)'\?")
UNUSED = ("SL331", "SL332")


def mark_of(found: Diagnostic, source: Source, imports: Sequence[Span], weight: Weight = "error") -> Mark:
    """A diagnostic as a mark. One about an imported file stands at the import, with the place in that file."""
    text = [found.message, *([found.label] if found.label else []), *found.notes]
    message = "\n".join([*text, *([f"hint: {found.hint}"] if found.hint else [])])
    span = found.span
    if span is None:
        return Mark(0, line_end(source.text, 0), weight, found.code, message)
    if not own(span, source):
        place = imports[0] if imports else Span(source, 0, line_end(source.text, 0))
        return Mark(place.start, place.end, weight, found.code, message, (elsewhere(span, found.message),))
    related = tuple(
        Related(None, *line_range(source, int(match[1])), note)
        for note in found.notes
        for match in _LINE.finditer(note)
        if int(match[1]) <= len(source.line_starts)
    )
    fixes: tuple[Fix, ...] = ()
    if (meant := _MEANT.search(found.hint)) and re.fullmatch(r"[\w.]+", span.text):
        fixes = (Fix(f"change to '{meant[1]}'", ((span.start, span.end, meant[1]),), True),)
    elif _CLOSER.fullmatch(found.hint):
        fixes = _closed(source, span.start)
    elif found.code in UNUSED:
        fixes = _left_out(found, source)
    end = max(span.end, min(span.start + 1, len(source.text)))
    return Mark(span.start, end, weight, found.code, message, related, fixes, found.code in UNUSED)


def own(span: Span, source: Source) -> bool:
    """Whether a place is in the text itself, and not in a file that it imports."""
    return span.source.name == source.name and span.source.text == source.text


def elsewhere(span: Span, text: str) -> Related:
    """A place in another file."""
    folder = span.source.folder
    path = str(Path(folder) / Path(span.source.name).name) if folder is not None else span.source.name
    return Related(path, span.start, span.end, text)


def _left_out(found: Diagnostic, source: Source) -> tuple[Fix, ...]:
    """The whole lines of a statement taken away, where it starts one: what stands beside it in a line stays."""
    assert found.span is not None
    start, end = found.span.start, found.span.end
    first = source.text.rfind("\n", 0, start) + 1
    last = line_end(source.text, end)
    if source.text[first:start].strip() or source.text[end:last].strip():
        return ()
    return (Fix("leave it out", ((first, min(last + 1, len(source.text)), ""),)),)


def _closed(source: Source, opened: int) -> tuple[Fix, ...]:
    """What closes the bracket at a place, and the others of its statement that are open: at its end. Lines that stand
    further in go on with the statement above them."""
    text = source.text
    start = text.rfind("\n", 0, opened) + 1
    while start and text[start].isspace():
        start = text.rfind("\n", 0, start - 1) + 1
    end = line_end(text, opened)
    while (following := text[end + 1 : line_end(text, end + 1)])[:1].isspace() and following.strip():
        end = line_end(text, end + 1)
    missing: list[str] = []
    last = start
    for token in tokens(text, start, end):
        if token.kind == "comment":
            continue
        last = token.end
        if token.text in ("(", "["):
            missing.append(")" if token.text == "(" else "]")
        elif missing and token.text == missing[-1]:
            missing.pop()
        elif token.text in (")", "]") or (token.text == "=" and missing):
            # another one is closed than was opened last, or what is defined ends inside: only a person can tell
            return ()
    closers = "".join(reversed(missing))
    return (Fix(f"add {closers}", ((last, last, closers),), True),) if closers else ()


def line_end(text: str, start: int) -> int:
    """Where the line around a place ends."""
    end = text.find("\n", start)
    return len(text) if end < 0 else end


def line_range(source: Source, line: int) -> tuple[int, int]:
    """Where a line, counted from 1, starts and ends."""
    start = source.line_starts[line - 1]
    return start, line_end(source.text, start)
