"""Errors as data: a diagnostic names a code, a place, the values that clash and a way out.

A stage returns or raises diagnostics; one renderer draws them. Codes are stable: a code once given
keeps its meaning. ``EXPLANATIONS`` is what ``slotlang explain CODE`` prints.
"""

from __future__ import annotations

import difflib
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from slotlang.codes import EXPLANATIONS
from slotlang.hints import HINTS
from slotlang.source import Span

__all__ = ["EXPLANATIONS", "Diagnostic", "SlotError", "closest", "error", "pick", "render"]


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One message.

    ``code`` is a key of ``EXPLANATIONS``; ``message`` is one sentence; ``label`` stands under the caret;
    ``notes`` give the values that clash; ``hint`` says what to do, and is that of ``HINTS`` where none is given.
    ``file`` names the place of messages about something that is not program text (an adapter, an array).
    """

    code: str
    message: str
    span: Span | None = None
    label: str = ""
    notes: tuple[str, ...] = ()
    hint: str = ""
    file: str = ""

    def __post_init__(self) -> None:
        if self.code not in EXPLANATIONS:
            raise KeyError(f"diagnostic code {self.code} has no explanation")
        if not self.hint and self.code in HINTS:
            object.__setattr__(self, "hint", HINTS[self.code])
        if self.span is not None and self.span.source.origins:
            # what was expanded is shown where it was written: its use, and below it what the definitions say there
            notes = (*self.notes, *map(_definition_note, self.span.definitions))
            object.__setattr__(self, "notes", notes)
            object.__setattr__(self, "span", self.span.written)

    def to_json(self) -> dict[str, object]:
        """The shape used by every command's ``--json``."""
        place: dict[str, object] | None = None
        if self.span is not None:
            place = {"file": self.span.source.name, "line": self.span.line, "column": self.span.column}
        elif self.file:
            place = {"file": self.file}
        return {
            "code": self.code,
            "message": self.message,
            "place": place,
            "label": self.label,
            "notes": list(self.notes),
            "hint": self.hint,
        }


def _definition_note(place: tuple[str, Span]) -> str:
    name, span = place
    text = " ".join(re.sub(r"#[^\n]*", " ", span.text).split())
    text = text if len(text) <= 80 else text[:77] + "..."
    return f"in the definition of '{name}', {span}: {text}"


class SlotError(Exception):
    """Bad input. Carries one or more diagnostics; the command line turns it into exit status 2."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(f"{d.code}: {d.message}" for d in self.diagnostics))

    def __str__(self) -> str:
        """All messages as the command line shows them, each from its code on: with place, notes and hint."""
        return "\n\n".join(re.sub(r"^error\[(\w+)\]", r"\1", render(d)) for d in self.diagnostics)


def error(
    code: str,
    message: str,
    span: Span | None = None,
    *,
    label: str = "",
    notes: Iterable[str] = (),
    hint: str = "",
    file: str = "",
) -> SlotError:
    """A ``SlotError`` with a single diagnostic; ``raise error("SL201", ...)``."""
    return SlotError([Diagnostic(code, message, span, label, tuple(notes), hint, file)])


def closest(name: str, candidates: Iterable[str], alike: float = 0.6) -> str:
    """``did you mean 'x'?`` for the most similar candidate, or an empty string. One that differs in case alone comes
    first. ``alike``: the least similarity, up to 1."""
    known = list(candidates)
    found = [other for other in known if other.lower() == name.lower()]
    found = found or difflib.get_close_matches(name, known, n=1, cutoff=alike)
    return f"did you mean '{found[0]}'?" if found else ""


Choice = TypeVar("Choice", bound=str)


def pick(name: str, choices: Sequence[Choice], code: str, what: str, all_of_them: str) -> Choice:
    """The choice of that name. Raises ``code``: there is no ``what`` of that name, with the closest one, or else
    ``all_of_them``, as in "ways", and their names."""
    for choice in choices:
        if choice == name:
            return choice
    hint = closest(name, choices) or f"{all_of_them} are {', '.join(choices)}"
    raise error(code, f"there is no {what} '{name}'", hint=hint)


_MAX_SHOWN = 120


def _excerpt(span: Span, label: str, columns: int) -> list[str]:
    """The source line and a caret line with the label; long lines are cut around the place. ``columns``: of a terminal,
    below which a label goes where it has no room beside the carets; 0 for none."""
    line, column = span.line, span.column
    most = min(_MAX_SHOWN, max(20, columns - len(str(line)) - 4)) if columns else _MAX_SHOWN
    text = span.source.line_text(line)
    width = max(1, min(span.end - span.start, len(text) - column + 1))
    start = 0
    if len(text) > most:
        start = max(0, min(column - 1 - most // 3, len(text) - most))
        text = text[start : start + most]
        width = max(1, min(width, most - (column - 1 - start)))
    text = "".join(ch if ch.isprintable() else " " for ch in text)
    number = str(line)
    pad = " " * len(number)
    carets = f" {pad} | {' ' * (column - 1 - start)}{'^' * width}"
    found = [f" {pad} |", f" {number} | {text}", f"{carets} {label}".rstrip()]
    if columns and label and len(found[-1]) > columns:
        room = max(20, columns - len(pad) - 4)
        found[-1:] = [carets, *(f" {pad} | {part}" for part in textwrap.wrap(label, room, break_long_words=False))]
    return found


def render(diagnostic: Diagnostic, kind: str = "error", columns: int = 0) -> str:
    """The message as plain text, several lines, caret under the place; no trailing newline. ``kind``: error or
    warning. ``columns``: of the terminal that shows it; 0 where excerpts need not fit one."""
    lines = [f"{kind}[{diagnostic.code}]: {diagnostic.message}"]
    if diagnostic.span is not None:
        lines.append(f"  --> {diagnostic.span}")
        lines.extend(_excerpt(diagnostic.span, diagnostic.label, columns))
    elif diagnostic.file:
        lines.append(f"  --> {diagnostic.file}")
    lines.extend(f"  note: {note}" for note in diagnostic.notes)
    if diagnostic.hint:
        lines.append(f"  hint: {diagnostic.hint}")
    return "\n".join(lines)
