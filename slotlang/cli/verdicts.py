"""What ``slotlang check`` says of one file."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from slotlang.cli.lines import has_colours, print_lines
from slotlang.cli.output import BAD_INPUT, FAILED, OK, emit_json, problems, report, write_file
from slotlang.cli.progress import working
from slotlang.diagnostics import Diagnostic, SlotError, closest, error
from slotlang.files import path_text, read_regular, read_stdin

if TYPE_CHECKING:
    from slotlang.meaning.program import Program
    from slotlang.mutation.repair import Repair
    from slotlang.planning.ranges import Range
    from slotlang.proof.check import Method, Report
    from slotlang.proof.information_loss import Loss
    from slotlang.syntax import tree


@dataclass(frozen=True)
class FileVerdict:
    """A report, or the diagnostics that kept it from being made."""

    path: Path
    program: str | None
    report: Report | None
    diagnostics: tuple[Diagnostic, ...]
    bound: Program | None = field(default=None, repr=False)
    module: Report | None = None
    """For an emitted module: whether it computes what its program says."""
    repair: bool = False
    """Whether changes are looked for that would make a refuted program prove."""
    range: Range | None = None
    """For an emitted module: its range theorem."""
    warnings: tuple[Diagnostic, ...] = ()
    """What the program declares and does not need."""
    ring: Diagnostic | None = None
    """Why no ring can run it, where none can."""

    @cached_property
    def _loss(self) -> tuple[Loss | None, float]:
        """The statement that lost something, and the processor time that it took to find it."""
        from slotlang.proof.information_loss import find_loss
        from slotlang.proof.verdict import Wrong

        if self.bound is None or self.report is None or not isinstance(self.report.failure, Wrong):
            return None, 0.0
        start = time.process_time()
        return find_loss(self.bound), time.process_time() - start

    @property
    def loss(self) -> Loss | None:
        """The statement of a refuted program that lost what its result needs, where that can be told."""
        return self._loss[0]

    @cached_property
    def repairs(self) -> tuple[Repair, ...]:
        """Single changes with which a refuted program proves. The search for what was lost is taken from its time."""
        if not self.repair or self.bound is None or self.report is None or self.report.status != "refuted":
            return ()
        from slotlang.mutation.repair import SECONDS, nearest_repairs

        return tuple(nearest_repairs(self.bound, self.report, max(0.4 * SECONDS, SECONDS - self._loss[1])))

    @property
    def refuted(self) -> tuple[Program, Report] | None:
        """The program and its report where it is refuted."""
        if self.bound is None or self.report is None or self.report.counterexample is None:
            return None
        return self.bound, self.report

    @property
    def exit_status(self) -> int:
        """0 proved, 1 refuted, tested or unknown, 2 bad input."""
        if self.report is None:
            return BAD_INPUT
        return OK if self.status == "proved" else FAILED

    @property
    def status(self) -> str:
        """The verdict; a module's is that on its program unless it does not compute what that says."""
        if self.report is None:
            return "error"
        if self.module is None or self.report.status == "refuted" or self.module.proved:
            return self.report.status
        return self.module.status

    def to_json(self) -> dict[str, object]:
        """An entry of ``files`` in ``check --json``; every entry has the same keys."""
        return {
            "file": path_text(self.path),
            "program": self.program,
            "verdict": self.status,
            "report": self.report.to_json() if self.report else None,
            "module": self.module.to_json() if self.module else None,
            "range": self.range.to_json() if self.range else None,
            "loss": self.loss.to_json() if self.loss else None,
            "repairs": [repair.to_json() for repair in self.repairs],
            "diagnostics": [d.to_json() for d in self.diagnostics],
            "warnings": [d.to_json() for d in (*self.warnings, *([self.ring] if self.ring else []))],
        }


def programs_in(path: Path, sizes: Mapping[str, int]) -> list[tuple[Path, Mapping[str, int]]]:
    """All programs of a file as ``FILE:name``, each with the sizes that it has; a file of one program as it is, with
    all sizes. What is wrong with the file is left to ``check_file``.

    Raises ``SlotError`` SL212 for a size that none of several programs has.
    """
    from slotlang.syntax import tree
    from slotlang.syntax.parser import parse_file, program_names
    from slotlang.syntax.program_file import read_program

    try:
        source = read_program(path)
        names = program_names(source) if path.suffix != ".py" and source.program is None else ()
    except SlotError:
        return [(path, sizes)]
    if len(names) < 2:
        return [(path, sizes)]
    headers = [s for s in parse_file(source).statements if isinstance(s, tree.Header)]
    own = [{size.name for size in header.sizes} for header in headers]
    for name in sizes:
        if not any(name in known for known in own):
            hint = closest(name, {size for known in own for size in known})
            raise error("SL212", f"no program of {path} has a size '{name}' to set", hint=hint, file=str(path))
    return [
        (Path(f"{path}:{name}"), {n: value for n, value in sizes.items() if n in known})
        for name, known in zip(names, own, strict=True)
    ]


def check_file(
    path: Path,
    sizes: Mapping[str, int],
    method: Method,
    seed: int | None,
    open_sizes: Sequence[str] | None = None,
    bounds: Mapping[str, str] = MappingProxyType({}),
    *,
    repair: bool = False,
) -> FileVerdict:
    """Read, bind and check one program, for all values of ``open_sizes`` if given, or one module that ``lower``
    wrote; bad input becomes diagnostics. ``bounds`` take the place of the program's own. With ``repair``, single
    changes that would make a refuted program prove are looked for, which takes some seconds at most."""
    from slotlang.meaning.bind import bind
    from slotlang.meaning.outside_bounds import with_bound_statements
    from slotlang.meaning.unused import unused
    from slotlang.planning.ring import ring_note
    from slotlang.proof.check import check
    from slotlang.syntax.definitions import unused_definitions
    from slotlang.syntax.parser import parse
    from slotlang.syntax.program_file import read_program

    try:
        if path.suffix == ".py":
            return _check_module(path, sizes, method, seed, open_sizes, bounds)
        source = read_program(path)
        syntax = with_bound_statements(parse(source), bounds)
        if open_sizes is not None:
            from slotlang.proof.forall.check import check_for_all

            found = check_for_all(syntax, open_sizes, sizes, seed or 0)
            own, ring = _remarks_at_any_size(syntax, sizes)
            warnings = (*unused_definitions(source), *own)
            return FileVerdict(path, program_name(syntax), found, (), warnings=warnings, ring=ring)
        program = bind(syntax, sizes)
        if program.chosen_parameters is not None:
            from slotlang.planning.given_parameters import program_parameters

            program_parameters(program)
        found = check(program, method, seed)
        warnings = (*unused_definitions(source), *unused(program))
        ring = ring_note(program)
        return FileVerdict(path, program.name, found, (), program, repair=repair, warnings=warnings, ring=ring)
    except Exception as problem:
        diagnostics = problems(problem, str(path))
        if diagnostics is None:
            raise
        return FileVerdict(path, None, None, diagnostics)


def _remarks_at_any_size(
    syntax: tree.Program, sizes: Mapping[str, int]
) -> tuple[tuple[Diagnostic, ...], Diagnostic | None]:
    """Warnings of a program that is proved for all sizes, and why it can't run at those that it has; nothing where it
    has none without further ones."""
    from slotlang.meaning.bind import bind
    from slotlang.meaning.unused import unused
    from slotlang.planning.ring import ring_note

    try:
        program = bind(syntax, sizes)
    except SlotError:
        return (), None
    return unused(program), ring_note(program)


def _check_module(
    path: Path,
    sizes: Mapping[str, int],
    method: Method,
    seed: int | None,
    open_sizes: Sequence[str] | None,
    bounds: Mapping[str, str],
) -> FileVerdict:
    from slotlang.syntax.parser import read_source
    from slotlang.validation.check import check_module

    if sizes or open_sizes is not None:
        raise error("SL743", f"{path} is a module for fixed sizes", hint="--set and --for-all are for .slot programs")
    if bounds:
        what = "a module keeps the bounds that it was lowered with"
        raise error("SL743", f"{path}: {what}", hint="--bound and --bound-norm are for .slot programs")
    found = check_module(read_source(path), method, seed)
    return FileVerdict(path, found.program.name, found.report, (), found.program, found.validation, range=found.range)


def write_certificate(path: Path, verdict: FileVerdict, quiet: bool) -> bool:
    """Write the certificate of a proved program; nothing, and a note that says so, for any other.

    Raises ``SlotError`` SL705 when the proof can't be re-checked, SL004 when the file can't be written.
    """
    if verdict.bound is None or verdict.report is None or not verdict.report.proved:
        status = verdict.report.status if verdict.report else "an error"
        print(f"{path} is not written: the verdict is {status}", file=sys.stderr)
        return False
    from slotlang.proof.certificate import certificate

    write_file(path, certificate(verdict.bound, verdict.report))
    if not quiet:
        print(f"  certificate: {path}, re-checked")
    return True


def recheck_file(path: Path, *, json: bool) -> int:
    """Re-check a certificate and print of which program, sizes and hash it proves what; the exit status.

    Raises ``SlotError`` SL001 when it can't be read, SL701 when it is none, SL702 when it has another version.
    """
    from slotlang.recheck import MAX_BYTES, Rejected, recheck

    try:
        with working("re-checking"):
            proof = recheck(read_stdin(MAX_BYTES) if str(path) == "-" else read_regular(path, MAX_BYTES))
    except OSError as problem:
        raise error("SL001", f"can't read {path}: {problem.strerror or problem}", file=str(path)) from None
    except Rejected as problem:
        message, code, status = problem.args
        if status != FAILED:
            hint = "`slotlang check FILE --certificate OUT` writes one"
            raise error(code, message, file=str(path), hint=hint) from None
        reason = f"{code}: {message}"
        nothing: dict[str, object] = {"program": None, "sizes": {}, "sha256": None, "goals": [], "range": None}
        if json:
            emit_json("recheck", {"file": str(path), "holds": False, **nothing, "reason": reason})
        else:
            print(f"rejected  {path}\n  {reason}")
        return FAILED
    if json:
        emit_json("recheck", {"file": str(path), "holds": True, **asdict(proof), "reason": ""})
    else:
        print("\n".join([f"holds  {path}", *proof.lines()]))
    return OK


def program_name(syntax: tree.Program) -> str:
    """The name in a program's header."""
    return syntax.header.name


_COLOURS = {"proved": "green", "refuted": "red", "tested": "yellow", "unknown": "yellow", "error": "red"}


def _coloured(text: str, status: str) -> str:
    """A verdict in its colour, unless the environment asks for none (no-color.org) or the terminal has none."""
    import typer

    if not has_colours(sys.stdout):
        return text
    return typer.style(text, fg=_COLOURS[status], bold=True)


def print_line(verdict: FileVerdict) -> None:
    """One line about one of several files; diagnostics go to standard error."""
    import typer

    r = verdict.report
    word = _coloured(f"{verdict.status:8}", verdict.status)
    if r is None:
        codes = ", ".join(dict.fromkeys(d.code for d in verdict.diagnostics))
        typer.echo(f"{word} {path_text(verdict.path)}  ({codes})")
        report(verdict.diagnostics)
        return
    what = r.what or (verdict.module.what if verdict.module else "")
    detail = f"{r.method}, {r.seconds * 1000:.0f} ms" + (f"; {what}" if what else "")
    typer.echo(f"{word} {path_text(verdict.path)}  ({detail})")
    _print_note(verdict)
    if verdict.warnings:
        report(verdict.warnings, "warning")


def print_verdict(verdict: FileVerdict) -> None:
    """All about a file, for a person; diagnostics go to standard error."""
    if verdict.report is None:
        report(verdict.diagnostics)
        return
    import typer

    from slotlang.cli.refuted import print_refuted

    r = verdict.report
    word = _coloured(verdict.status, verdict.status)
    typer.echo(f"{word}  {path_text(verdict.path)}  ({r.method}, {r.seconds * 1000:.0f} ms)")
    if verdict.module:
        print(f"  program {verdict.program} {r.status}")
    for report_ in (verdict.module, r):
        for line in report_.lines() if report_ else ():
            print(f"  {line}")
    if verdict.range:
        print(f"  {verdict.range.line()}")
    _print_note(verdict)
    # what follows takes a second or two
    sys.stdout.flush()
    if verdict.refuted:
        print_refuted(*verdict.refuted, verdict.loss)
    for repair in verdict.repairs:
        # nothing is left of a line that is taken away
        after = repair.after()
        print(f"  {repair.description()}{':' if after else ''}")
        if after:
            print(f"    {after}")
    if verdict.warnings:
        report(verdict.warnings, "warning")


def _print_note(verdict: FileVerdict) -> None:
    """What is said of a program that no ring can run."""
    if verdict.ring is not None:
        print_lines([f"  note: {verdict.ring.message} ({verdict.ring.code})"])
