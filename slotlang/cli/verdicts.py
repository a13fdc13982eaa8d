"""What ``slotlang check`` says of one file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slotlang.cli.output import BAD_INPUT, FAILED, OK, report
from slotlang.diagnostics import Diagnostic, SlotError


@dataclass(frozen=True)
class FileVerdict:
    """A report, or the diagnostics that kept it from being made."""

    path: Path
    program: str
    report: Any
    diagnostics: tuple[Diagnostic, ...]

    @property
    def exit_status(self) -> int:
        """0 proved, 1 refuted, tested or unknown, 2 bad input."""
        if self.report is None:
            return BAD_INPUT
        return OK if self.report.proved else FAILED

    def to_json(self) -> dict[str, object]:
        """An entry of ``files`` in ``check --json``."""
        if self.report is None:
            return {
                "file": str(self.path),
                "verdict": "error",
                "method": None,
                "seconds": None,
                "random_error_bound": None,
                "counterexample": None,
                "diagnostics": [d.to_json() for d in self.diagnostics],
            }
        r = self.report
        return {
            "file": str(self.path),
            "program": self.program,
            "verdict": r.status,
            "method": r.method,
            "seconds": round(r.seconds, 6),
            "random_error_bound": r.random_error_bound,
            "counterexample": r.counterexample.to_json() if r.counterexample else None,
            "reason": r.reason,
            "steps": [{"goal": goal, "verdict": status} for goal, status in r.steps],
            "notes": list(r.notes),
            "diagnostics": [],
        }


def check_file(path: Path, sizes: Mapping[str, int], method: Any, seed: int | None) -> FileVerdict:
    """Read, bind and check one file; bad input becomes diagnostics."""
    from slotlang.meaning.bind import bind
    from slotlang.proof.check import check
    from slotlang.proof.disagreement import Disagreement
    from slotlang.syntax.parser import parse, read_source

    try:
        program = bind(parse(read_source(path)), sizes)
        return FileVerdict(path, program.name, check(program, method, seed), ())
    except SlotError as problem:
        return FileVerdict(path, "", None, problem.diagnostics)
    except Disagreement as problem:
        message = f"two methods contradict each other: {problem}"
        hint = "this is a bug in slotlang; please report it with the program"
        return FileVerdict(path, "", None, (Diagnostic("SL901", message, hint=hint, file=str(path)),))
    except MemoryError:
        diagnostic = Diagnostic("SL309", "memory ran out", hint="choose smaller sizes with --set", file=str(path))
        return FileVerdict(path, "", None, (diagnostic,))


_COLOURS = {"proved": "green", "refuted": "red", "tested": "yellow", "unknown": "yellow"}


def print_verdict(verdict: FileVerdict, verbose: bool) -> None:
    """For a person; diagnostics go to standard error."""
    if verdict.report is None:
        report(verdict.diagnostics)
        return
    import typer

    from slotlang.proof.check import SCOPE

    r = verdict.report
    word = typer.style(r.status, fg=_COLOURS[r.status], bold=True)
    typer.echo(f"{word}  {verdict.path}  ({r.method}, {r.seconds * 1000:.0f} ms)")
    if r.counterexample:
        print(f"  {r.counterexample.statement}, line {r.counterexample.line}")
        for line in r.counterexample.lines():
            print(f"  {line}")
    if verbose and r.proved:
        for goal, status in r.steps:
            print(f"  {status}  {goal}")
        print(f"  {SCOPE}")
    if r.status == "tested":
        print(
            f"  right at random points, which is no proof; a wrong program passes with probability {r.random_error_bound:.0e} at most"
        )
    elif r.random_error_bound is not None and verbose:
        print(
            f"  the unrolled schedule agrees at random points (wrong with probability {r.random_error_bound:.0e} at most)"
        )
    if r.reason:
        print(f"  {r.reason}")
    for note in r.notes:
        print(f"  note: {note}")
