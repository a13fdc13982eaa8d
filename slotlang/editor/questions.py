"""What can be asked about a text, by name: each question with its answer as plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from slotlang.diagnostics import SlotError
from slotlang.editor.analysis import Analysis, analyse
from slotlang.editor.completion import completions, signature
from slotlang.editor.hovering import Known, hover
from slotlang.editor.marks import Mark
from slotlang.editor.measures import Measures, measure
from slotlang.editor.names import CantRename, mention_at, mentions, renamed
from slotlang.editor.outline import colours, folds, outline
from slotlang.editor.verdicts import Verdict, explained, prove
from slotlang.syntax.formatter import format_program
from slotlang.syntax.statements import parse_file

__all__ = ["QUESTIONS", "answer", "background", "check_text"]

LARGE = 200_000
"""Characters of a text beyond which its words are not coloured by what they mean: that answer alone is megabytes."""


def definition(analysis: Analysis, offset: int) -> tuple[str | None, int, int, int, int] | None:
    """Where the name at a place is declared: file, whole range, range of the name."""
    at = mention_at(mentions(analysis), offset)
    if at is None:
        return None
    s = at.symbol
    return s.file, *s.whole, s.start, s.end


def references(analysis: Analysis, offset: int) -> list[tuple[int, int, bool]]:
    """Every place of the name at a place, and whether it declares it."""
    found = mentions(analysis)
    at = mention_at(found, offset)
    return [] if at is None else [(m.start, m.end, m.declares) for m in found if m.symbol == at.symbol]


def rename(analysis: Analysis, offset: int, new: str | None) -> tuple[str, list[tuple[int, int, str]]]:
    """An error's text, or an empty one with the edits; without ``new`` the range of the name that would be changed."""
    try:
        return "", renamed(analysis, offset, new)[1]
    except CantRename as no:
        return str(no), []


def formatted(analysis: Analysis) -> str | None:
    """The canonical text; None for one that does not parse."""
    try:
        return format_program(parse_file(analysis.source))
    except SlotError:
        return None


def coloured(analysis: Analysis) -> Any:
    """``colours``, of a text that is not too large."""
    return [] if len(analysis.source.text) > LARGE else colours(analysis)


QUESTIONS: Mapping[str, Callable[..., Any]] = {
    "hover": hover,
    "definition": definition,
    "references": references,
    "rename": rename,
    "outline": outline,
    "folds": folds,
    "colours": coloured,
    "completions": completions,
    "signature": signature,
    "formatted": formatted,
}


def answer(analysis: Analysis, question: str, *arguments: Any) -> Any:
    """The answer to one of ``QUESTIONS``."""
    return QUESTIONS[question](analysis, *arguments)


def background(analysis: Analysis) -> Iterator[Verdict | Measures]:
    """What takes longer than a keystroke, the most wanted first: each program's verdict, what it costs, and for refuted
    ones a second verdict with what was lost and repairs."""
    proved = []
    # the verdicts of all programs are there before anything else is looked for
    for view in analysis.programs:
        if (found := prove(analysis, view)) is not None:
            yield found[0]
            proved.append((view, found))
    for view in analysis.programs:
        if (measures := measure(analysis, view)) is not None:
            yield measures
    for view, (verdict, report) in proved:
        if verdict.status == "refuted":
            yield explained(analysis, view, verdict, report)


def check_text(text: str, name: str = "<editor>", folder: str | None = None) -> tuple[tuple[Mark, ...], Known]:
    """All that is known of a text, at once: for whoever can wait."""
    analysis = analyse(text, name, folder)
    verdicts: dict[str, Verdict] = {}
    measures: dict[str, Measures] = {}
    if analysis.right:
        for found in background(analysis):
            if isinstance(found, Verdict):
                verdicts[found.program] = found
            else:
                measures[found.program] = found
    marks = analysis.marks + tuple(v.mark for v in verdicts.values() if v.mark is not None)
    return marks, Known(tuple(verdicts.values()), tuple(measures.values()))
