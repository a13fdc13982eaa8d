"""What follows from a word of the language that is declared as a name: each use of it is an error of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence

from slotlang.diagnostics import Diagnostic

__all__ = ["without_uses"]

_SYNTAX = ("SL102", "SL103", "SL105", "SL106")


def without_uses(problems: Sequence[Diagnostic]) -> list[Diagnostic]:
    """The problems of a text in its order, without those of lines that use such a word as a name."""
    kept: list[Diagnostic] = []
    words: set[str] = set()
    for problem in problems:
        if problem.code in _SYNTAX and any(_names(problem, word) for word in words):
            continue
        kept.append(problem)
        if problem.code == "SL105" and problem.span is not None:
            words.add(problem.span.text)
    return kept


def _names(problem: Diagnostic, word: str) -> bool:
    """Whether the line of a problem uses a word as a name, at the problem's place or before. A name is followed by an
    index, an operator or the end; the word itself by an operand."""
    if problem.span is None:
        return False
    text = problem.span.source.text
    start = text.rfind("\n", 0, problem.span.start) + 1
    end = text.find("\n", problem.span.end)
    line = text[start : end if end >= 0 else len(text)].partition("#")[0]
    uses = re.finditer(rf"\b{re.escape(word)}\b[ \t]*(?=[\[\])+*/,=<>@]|$)", line)
    return any(start + use.start() < problem.span.end for use in uses)
