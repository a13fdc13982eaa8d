"""From a proved program to its emitted module."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version

from slotlang.diagnostics import error
from slotlang.emit.module import Lowering, emit
from slotlang.meaning.program import Program
from slotlang.planning.parameters import Parameters
from slotlang.planning.plan import Plan
from slotlang.planning.planner import plan
from slotlang.planning.target import Target
from slotlang.proof.check import check
from slotlang.proof.report import Method, Report
from slotlang.proof.verdict import Disagreement
from slotlang.validation.check import validate


def package_version() -> str:
    """Version of the installed package."""
    try:
        return version("slotlang")
    except PackageNotFoundError:
        return "0+unknown"


@dataclass(frozen=True)
class Lowered:
    """An emitted module with what it was made from, and what its validation found."""

    text: str
    plan: Plan
    report: Report
    validation: Report


def lower(
    program: Program,
    parameters: Parameters | None = None,
    *,
    unproved: bool = False,
    method: Method = "auto",
    target: Target = Target(),
) -> Lowered:
    """Prove a program, emit the module that runs it, and prove that the module computes what the program says;
    ``parameters`` and ``target`` as in ``plan``.

    Raises ``SlotError`` SL406 when the program is not proved, unless ``unproved``, which is written into the module, as
    is a validation that came to no end; what ``plan`` raises; and ``Disagreement`` when the module is wrong.
    """
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
    planned = plan(program, parameters, target=target)
    lowering = Lowering(package_version(), report.status, report.method, validated=True)
    text = emit(planned, lowering)
    validation = validate(text, planned, proved=report.proved)
    if validation.status == "refuted":
        raise Disagreement(f"the module lowered from '{program.name}' is wrong: {validation.what}")
    if validation.status != "proved":
        text = emit(planned, replace(lowering, validated=False))
    return Lowered(text, planned, report, validation)
