"""A program's text in pieces: the words that have a colour, and the statements that can be chosen."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from slotlang.editor.analysis import Analysis, statements_of
from slotlang.editor.marks import own
from slotlang.editor.tokens import tokens
from slotlang.meaning.program import Claim, Family, Output, Program, written_name
from slotlang.meaning.value import FamilyRef
from slotlang.page.speaks import spoken
from slotlang.source import Span
from slotlang.syntax import tree

__all__ = ["line_at", "pieces", "statements"]

_COLOURED = ("comment", "keyword", "number", "string")


def statements(analysis: Analysis) -> list[dict[str, Any]]:
    """Every statement with its lines, counted from 1, its place, and the program and the stage that it is about.
    ``shows`` and ``says``: for those without a stage the one that shows best what they speak of, and a line on it."""
    found = []
    for item in statements_of(analysis.file):
        start, end = item.span.start, item.span.end
        view = next((n for n, v in enumerate(analysis.programs) if v.start <= start <= v.end), None)
        stage, kind = None, type(item).__name__.lower()
        shows, says = None, ""
        if view is not None and (program := analysis.programs[view].bound) is not None:
            stage = _stage(analysis, program, item)
            shows, says = spoken(program, item)
        found.append(
            {
                "start": start,
                "end": end,
                "first": line_at(analysis, start),
                "last": line_at(analysis, end),
                "kind": kind,
                "program": view,
                "stage": stage,
                "shows": shows,
                "says": says,
            }
        )
    return found


def line_at(analysis: Analysis, offset: int) -> int:
    """The line of a place in the text, counted from 1."""
    return Span(analysis.source, offset, offset).row


def _stage(analysis: Analysis, program: Program, item: Any) -> str | None:
    """The name that a statement defines or speaks of; of a claim or an output, the family's."""
    start, end = item.span.start, item.span.end
    if isinstance(item, tree.Define) and any(written_name(f) == item.name for f in program.families):
        return item.name
    for step in (*program.steps, *program.outputs):
        place = step.span.written
        if own(place, analysis.source) and start <= place.start and place.end <= end:
            match step:
                case Family(name=name) | Claim(family=name) | Output(family=FamilyRef(name=name)):
                    return written_name(name)
    return None


def pieces(analysis: Analysis, listed: list[dict[str, Any]]) -> list[list[Any]]:
    """The whole text, in order: a piece, its colour or nothing, and the statement that it is part of, or -1."""
    text = analysis.source.text
    colours: list[tuple[int, int, str]] = [(t.start, t.end, t.kind) for t in tokens(text) if t.kind in _COLOURED]
    owner = [(s["start"], s["end"], n) for n, s in enumerate(listed)]
    cuts = sorted(
        {0, len(text), *(p for a, b, _ in colours for p in (a, b)), *(p for a, b, _ in owner for p in (a, b))}
    )
    kinds = {start: (end, kind) for start, end, kind in colours}
    found: list[list[Any]] = []
    colour, colour_end = "", 0
    # statements inside of definitions come after these, and win
    at = [-1] * len(cuts)
    places = {cut: n for n, cut in enumerate(cuts)}
    for start, end, number in owner:
        for n in range(places[start], places[end]):
            at[n] = number
    for n, (start, end) in enumerate(pairwise(cuts)):
        if start in kinds:
            colour_end, colour = kinds[start]
        found.append([text[start:end], colour if start < colour_end else "", at[n]])
    return found
