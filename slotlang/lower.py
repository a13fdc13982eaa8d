"""From a proved program to its emitted module."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import slotlang_runtime
from slotlang import __version__
from slotlang.diagnostics import error
from slotlang.displayed import Displayed
from slotlang.emit.fitted import fitted_plan
from slotlang.emit.head import Lowering
from slotlang.emit.module import emit
from slotlang.emit.standalone import emit_standalone
from slotlang.meaning.program import Program
from slotlang.planning.parameters import Parameters
from slotlang.planning.plan import Plan
from slotlang.planning.ranges import Range
from slotlang.planning.target import Target
from slotlang.proof.check import check
from slotlang.proof.report import Method, Report
from slotlang.proof.verdict import Disagreement
from slotlang.validation.bundle import IMPORTED
from slotlang.validation.check import validate
from slotlang_runtime.amounts import count_of


def standalone_target(target: Target) -> Target:
    """The target of a standalone module, which has no kernels. Raises SL472 where another kernel is asked for."""
    if target.kernel not in ("auto", "seal"):
        raise error(
            "SL472",
            f"a standalone module has no kernel '{target.kernel}': it calls SEAL's operations one by one",
            hint="leave out --kernel, or --standalone",
        )
    return replace(target, kernel="seal", standalone=True)


@dataclass(frozen=True)
class Lowered(Displayed):
    """An emitted module with what it was made from, what its validation found, and the range theorem."""

    text: str
    plan: Plan
    report: Report
    validation: Report
    range: Range

    def __repr__(self) -> str:
        lines = self.text.count("\n")
        return (
            f"<Lowered {self.plan.program.name}: {self.report.status}, "
            f"{self.plan.parameters.text()}, {count_of(lines, 'line')}>"
        )


def lower(
    program: Program,
    parameters: Parameters | None = None,
    *,
    unproved: bool = False,
    method: Method = "auto",
    target: Target = Target(),
    standalone: bool = False,
    look: Callable[[Plan], None] = lambda _: None,
    progress: Callable[[str], None] = lambda _: None,
) -> Lowered:
    """Prove a program, emit the module that runs it, and prove that the module computes what the program says;
    ``parameters`` and ``target`` as in ``fitted_plan``. ``standalone``: one file of direct TenSEAL calls, without the
    runtime, whose kernel is ``seal``. ``look`` as in ``fitted_plan``.
    ``progress`` is told of each step, with its number.

    Raises ``SlotError`` SL406 when the program is not proved, unless ``unproved``, which is written into the module, as
    is a validation that came to no end; what ``plan`` raises; and ``Disagreement`` when the module is wrong.
    """
    progress("proving: step 1 of 3")
    report = check(program, method)
    if not report.proved and not unproved:
        notes = report.counterexample.lines() if report.counterexample else []
        raise error(
            "SL406",
            f"'{program.name}' is {report.status}, and only proved programs are lowered",
            program.span,
            notes=[report.reason] if report.reason else notes,
            hint="--unproved lowers it all the same and says so in the module",
        )
    if standalone:
        target = standalone_target(target)
    emission = emit_standalone if standalone else emit
    progress("planning: step 2 of 3")
    planned = fitted_plan(program, parameters, target=target, look=look)
    found = planned.range.unless_proved(report.status)
    if standalone:
        found = found.standalone(whole=bool(planned.hiding.halves))
    status, method = report.status, report.method
    lowering = Lowering(__version__, status, method, validated=True, range=found.status, wire=planned.wire)
    text = emission(planned, lowering)
    progress("validating: step 3 of 3")
    validation = validate(text, planned, proved=report.proved)
    if validation.status == "refuted":
        raise Disagreement(f"the module lowered from '{program.name}' is wrong: {validation.what}")
    if validation.status != "proved":
        text = emission(planned, replace(lowering, validated=False))
    return Lowered(text, planned, report, validation, found)


def write_bundle(lowered: Lowered, folder: Path) -> list[Path]:
    """Write a module and the runtime that it was emitted for into a new or empty folder, all of it or nothing: it runs
    where only tenseal and numpy are installed. Returns the files.

    Raises SL007 for a folder that holds something else, SL004 when it can't be written.
    """
    runtime = Path(slotlang_runtime.__file__).parent
    name = lowered.plan.program.name
    if name in IMPORTED or name == "slotlang_runtime":
        # a script's folder comes first where Python looks for modules
        name += "_module"
    files = {f"{name}.py": lowered.text.encode()}
    for source in [*sorted(runtime.rglob("*.py")), *sorted(runtime.rglob("*.xz")), runtime / "py.typed"]:
        files[f"slotlang_runtime/{source.relative_to(runtime).as_posix()}"] = source.read_bytes()
    temporary = folder.parent / f".slotlang.{os.getpid()}.{os.urandom(6).hex()}"
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise error(
                "SL007",
                f"{folder} is not an empty folder",
                file=str(folder),
                hint="name a new folder: a bundle is written whole, and replaces nothing",
            )
        folder.parent.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        if folder.exists():
            folder.rmdir()
        temporary.rename(folder)
    except OSError as problem:
        raise error(
            "SL004", f"can't write {folder}: {problem.strerror or problem}", file=str(problem.filename or folder)
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return [folder / name for name in files]
