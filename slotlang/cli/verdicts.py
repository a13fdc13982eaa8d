"""What ``slotlang check`` says of one file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slotlang.cli.output import BAD_INPUT, FAILED, OK, problems, report
from slotlang.diagnostics import Diagnostic

if TYPE_CHECKING:
    from slotlang.meaning.program import Program
    from slotlang.mutation.repair import Repair
    from slotlang.proof.check import Method, Report


@dataclass(frozen=True)
class FileVerdict:
    """A report, or the diagnostics that kept it from being made."""

    path: Path
    program: str | None
    report: Report | None
    diagnostics: tuple[Diagnostic, ...]
    repairs: tuple[Repair, ...] = ()

    @property
    def exit_status(self) -> int:
        """0 proved, 1 refuted, tested or unknown, 2 bad input."""
        if self.report is None:
            return BAD_INPUT
        return OK if self.report.proved else FAILED

    def to_json(self) -> dict[str, object]:
        """An entry of ``files`` in ``check --json``; every entry has the same keys."""
        r = self.report
        example = r.counterexample if r else None
        return {
            "file": str(self.path),
            "program": self.program,
            "verdict": r.status if r else "error",
            "method": r.method if r else None,
            "seconds": round(r.seconds, 6) if r else None,
            "random_error_bound": r.random_error_bound if r else None,
            "counterexample": example.to_json() if example else None,
            "reason": r.reason if r else "",
            "steps": [{"goal": goal, "verdict": status} for goal, status in r.steps] if r else [],
            "notes": list(r.notes) if r else [],
            "repairs": [repair.to_json() for repair in self.repairs],
            "diagnostics": [d.to_json() for d in self.diagnostics],
        }


def check_file(
    path: Path, sizes: Mapping[str, int], method: Method, seed: int | None, repair: bool = False
) -> FileVerdict:
    """Read, bind and check one file; bad input becomes diagnostics. With ``repair``, single changes that would make
    a refuted program prove are looked for, which takes some seconds at most."""
    from slotlang.meaning.bind import bind
    from slotlang.proof.check import check
    from slotlang.syntax.parser import parse, read_source

    try:
        program = bind(parse(read_source(path)), sizes)
        verdict = check(program, method, seed)
        return FileVerdict(path, program.name, verdict, (), _repairs(program, verdict) if repair else ())
    except Exception as problem:
        diagnostics = problems(problem, str(path))
        if diagnostics is None:
            raise
        return FileVerdict(path, None, None, diagnostics)


def _repairs(program: Program, verdict: Report) -> tuple[Repair, ...]:
    if verdict.status != "refuted":
        return ()
    from slotlang.mutation.repair import nearest_repairs

    return tuple(nearest_repairs(program, verdict))


_COLOURS = {"proved": "green", "refuted": "red", "tested": "yellow", "unknown": "yellow", "error": "red"}


def print_line(verdict: FileVerdict) -> None:
    """One line about one of several files; diagnostics go to standard error."""
    import typer

    r = verdict.report
    status = r.status if r else "error"
    word = typer.style(f"{status:8}", fg=_COLOURS[status], bold=True)
    if r is None:
        codes = ", ".join(dict.fromkeys(d.code for d in verdict.diagnostics))
        typer.echo(f"{word} {verdict.path}  ({codes})")
        report(verdict.diagnostics)
        return
    detail = f"{r.method}, {r.seconds * 1000:.0f} ms"
    if r.counterexample:
        detail += f"; {r.counterexample.statement}, line {r.counterexample.line}"
    elif r.reason:
        detail += f"; {r.reason}"
    typer.echo(f"{word} {verdict.path}  ({detail})")


def print_verdict(verdict: FileVerdict) -> None:
    """All about a file, for a person; diagnostics go to standard error."""
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
    for repair in verdict.repairs:
        print(f"  {repair.description()}:")
        print(f"    {repair.after()}")
    if r.proved:
        for goal, status in r.steps:
            print(f"  {status}  {goal}")
        print(f"  {SCOPE}")
    if r.random_error_bound is not None:
        chance = f"{r.random_error_bound:.0e}"
        if r.status == "tested":
            print("  right at random points, which is no proof;")
            print(f"  a wrong program passes with probability {chance} at most")
        elif r.status != "refuted":
            print(f"  the unrolled schedule agrees at random points (wrong with probability {chance} at most)")
    if r.reason:
        print(f"  {r.reason}")
    for note in r.notes:
        print(f"  note: {note}")
