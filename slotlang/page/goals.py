"""The goal of a puzzle whose program is in the page: judged by what ``slotlang puzzle check`` asks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from slotlang.diagnostics import SlotError
from slotlang.puzzles.book import PUZZLES, Puzzle, puzzle_named
from slotlang.puzzles.judge import judge
from slotlang.refusals import GaveUp
from slotlang.source import Source
from slotlang.syntax.parser import parse

__all__ = ["goal", "judged"]


def goal(name: str) -> dict[str, Any]:
    """What a page says of a puzzle before anything is judged; nothing of how it is solved."""
    puzzle = _named(name)
    rest = PUZZLES[PUZZLES.index(puzzle) + 1 :]
    return {
        "name": puzzle.name,
        "goal": puzzle.goal,
        "teaches": puzzle.teaches,
        "tutorial": puzzle.link,
        "section": puzzle.section,
        "next": rest[0].name if rest else "",
    }


def judged(name: str, text: str, file: str, folder: str) -> Iterator[dict[str, Any]]:
    """Whether a text meets a puzzle's goal: ``solved``, ``lines``, which say what is missing or was reached, and the
    ``hint`` that the terminal gives, empty where there is none."""
    try:
        found = judge(_named(name), parse(Source(file, text, folder)))
    except SlotError as refused:
        first = refused.diagnostics[0]
        row = f", line {first.span.row}" if first.span is not None else ""
        yield {"solved": False, "lines": [f"not a program: {first.code}{row}: {first.message}"], "hint": ""}
    except GaveUp as gave_up:
        yield {"solved": False, "lines": [f"not decided: {gave_up.reason}"], "hint": ""}
    else:
        yield {"solved": found.solved, "lines": found.lines(), "hint": found.hint}


def _named(name: str) -> Puzzle:
    puzzle = puzzle_named(name)
    assert puzzle is not None, "the command has asked for one that there is"
    return puzzle
