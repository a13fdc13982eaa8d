"""Whether a program meets the goal of its puzzle, and a hint where it does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from slotlang.api import check, cost
from slotlang.diagnostics import closest, error
from slotlang.meaning.bind import bind
from slotlang.proof.check import Report
from slotlang.proof.forall.check import check_for_all
from slotlang.puzzles.book import PUZZLES, Count, Puzzle, count_text, puzzle_named
from slotlang.puzzles.frozen import changed_parts
from slotlang.syntax import tree
from slotlang.syntax.parser import parse
from slotlang.syntax.program_file import read_program


@dataclass(frozen=True)
class Judged:
    """What is said of a solution.

    ``changed``: frozen parts that it changes, in words; then nothing is proved. ``report``: of the proof, for
    every size where the goal asks for that and the program is proved at its own. ``counts``: of a proved program,
    those that the goal limits. ``hint``: empty where the goal is met.
    """

    puzzle: Puzzle
    changed: tuple[str, ...] = ()
    report: Report | None = None
    counts: Mapping[Count, int] = field(default_factory=dict)
    hint: str = ""

    @property
    def solved(self) -> bool:
        """Whether the goal is met."""
        return not self.changed and self.report is not None and self.report.proved and not self.over

    @property
    def over(self) -> tuple[Count, ...]:
        """The counts that are over their limits, in the order of the goal."""
        return tuple(count for count, most in self.puzzle.limits.items() if self.counts.get(count, 0) > most)

    def lines(self) -> list[str]:
        """What keeps the goal from being met, or what was reached."""
        if self.changed:
            return list(self.changed)
        assert self.report is not None, "a program whose frozen parts are whole has a verdict"
        if not self.report.proved:
            return [f"{self.report.status}:", *(f"  {line}" for line in self.report.lines())]
        said = []
        for count, number in self.counts.items():
            most = self.puzzle.limits[count]
            said.append(f"{count_text(count, number)}, {'more than' if count in self.over else 'at most'} {most}")
        return ["proved for every size" if self.puzzle.every_size else "proved", *said]

    def to_json(self) -> dict[str, object]:
        """Plain data; keys as in ``puzzle check --json``."""
        return {
            "puzzle": self.puzzle.name,
            "goal": self.puzzle.goal,
            "solved": self.solved,
            "changed": list(self.changed),
            "verdict": self.report.status if self.report else None,
            "report": self.report.to_json() if self.report else None,
            "counts": dict(self.counts),
            "limits": dict(self.puzzle.limits),
            "hint": self.hint,
            "tutorial": self.puzzle.link,
        }


def _quiet(_: str) -> None:
    """Nobody watches."""


def judge_file(path: Path, progress: Callable[[str], None] = _quiet) -> Judged:
    """Judge a file; the name of its program says which puzzle it is of. ``progress`` is told of each step, with counts.

    Raises ``SlotError``: SL011 when that is not a puzzle's name, and what reading, parsing, binding and counting raise.
    """
    syntax = parse(read_program(path))
    name = syntax.header.name
    puzzle = puzzle_named(name)
    if puzzle is None:
        names = [p.name for p in PUZZLES]
        hint = closest(name, names) or f"puzzles are {', '.join(names)}: the program keeps the puzzle's name"
        raise error("SL011", f"there is no puzzle '{name}'", syntax.header.span, hint=hint)
    return judge(puzzle, syntax, progress)


def judge(puzzle: Puzzle, syntax: tree.Program, progress: Callable[[str], None] = _quiet) -> Judged:
    """Judge a program; ``progress`` as in ``judge_file``. Raises ``SlotError`` for one that can't be bound or
    counted."""
    changed = tuple(changed_parts(puzzle.syntax, syntax, puzzle.yours))
    if changed:
        hint = f"`slotlang puzzle show {puzzle.name}` has the puzzle as it was"
        return Judged(puzzle, changed, hint=hint)
    steps = ["proving", *["proving for all sizes"] * puzzle.every_size, *["counting"] * bool(puzzle.limits)]

    def step(name: str) -> None:
        progress(f"{name}: step {steps.index(name) + 1} of {len(steps)}")

    program = bind(syntax, {})
    step("proving")
    report = check(program)
    if report.proved and puzzle.every_size:
        step("proving for all sizes")
        report = check_for_all(syntax, ["all"])
    if not report.proved:
        return Judged(puzzle, report=report, hint=_hint(puzzle, report.status))
    if puzzle.limits:
        step("counting")
    found = cost(program).counts if puzzle.limits else None
    counts: dict[Count, int] = {count: getattr(found, count) for count in puzzle.limits}
    judged = Judged(puzzle, report=report, counts=counts)
    return Judged(puzzle, report=report, counts=counts, hint=puzzle.hints[judged.over[0]]) if judged.over else judged


def _hint(puzzle: Puzzle, status: str) -> str:
    return puzzle.hints.get("refuted" if status in ("refuted", "tested") else "unknown") or (
        "this could be neither proved nor refuted: a claim about a value in between makes the steps smaller"
    )
