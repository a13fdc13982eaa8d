"""What ``slotlang check`` says of one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slotlang.cli.output import BAD_INPUT, FAILED, OK, problems, report
from slotlang.diagnostics import Diagnostic

if TYPE_CHECKING:
    from slotlang.proof.check import Method, Report
    from slotlang.syntax import tree


@dataclass(frozen=True)
class FileVerdict:
    """A report, or the diagnostics that kept it from being made."""

    path: Path
    program: str | None
    report: Report | None
    diagnostics: tuple[Diagnostic, ...]

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
            "for_all": r.for_all.to_json() if r and r.for_all else None,
            "diagnostics": [d.to_json() for d in self.diagnostics],
        }


def check_file(
    path: Path, sizes: Mapping[str, int], method: Method, seed: int | None, open_sizes: Sequence[str] | None = None
) -> FileVerdict:
    """Read, bind and check one file, for all values of ``open_sizes`` if given; bad input becomes diagnostics."""
    from slotlang.meaning.bind import bind
    from slotlang.proof.check import check
    from slotlang.syntax.parser import parse, read_source

    try:
        syntax = parse(read_source(path))
        if open_sizes is not None:
            from slotlang.proof.forall.check import check_for_all

            return FileVerdict(path, program_name(syntax), check_for_all(syntax, open_sizes, sizes, seed or 0), ())
        program = bind(syntax, sizes)
        return FileVerdict(path, program.name, check(program, method, seed), ())
    except Exception as problem:
        diagnostics = problems(problem, str(path))
        if diagnostics is None:
            raise
        return FileVerdict(path, None, None, diagnostics)


def program_name(syntax: tree.Program) -> str:
    """The name in a program's header."""
    from slotlang.syntax import tree

    return next(s.name for s in syntax.statements if isinstance(s, tree.Header))


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
    for line in r.for_all.lines(r.proved) if r.for_all else ():
        print(f"  {line}")
    if r.counterexample:
        print(f"  {r.counterexample.statement}, line {r.counterexample.line}")
        for line in r.counterexample.lines():
            print(f"  {line}")
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
