"""The emitted module is proved too: what it computes is what the program says.

Nothing of a module is executed. All but the bodies of its editable functions is compared with what its program and
parameters are emitted as, and these bodies are interpreted on expressions in place of weights: the slots that it
arranges into results are compared, as normal forms, with the program's outputs read literally. With the proof of the
program this gives: what runs is the specification. Not covered: the runtime, which has tests of its own, TenSEAL and
SEAL, and noise.
"""

from __future__ import annotations

import ast
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slotlang.diagnostics import SlotError
from slotlang.meaning.program import Program
from slotlang.planning.plan import Plan
from slotlang.planning.ranges import Range
from slotlang.proof.check import check
from slotlang.proof.report import Method, Report, WrongElement
from slotlang.proof.verdict import Status
from slotlang.refusals import GaveUp
from slotlang.source import Source
from slotlang.validation.bundle import check_beside
from slotlang.validation.comparison import Different, SymbolicRun
from slotlang.validation.interpreted import check_outputs, interpreted
from slotlang.validation.language import Outside
from slotlang.validation.module_file import read_module
from slotlang.validation.numbers import wrong_element
from slotlang.validation.packing_check import too_large
from slotlang.validation.reemission import compare, editable
from slotlang.validation.scopes import Failed


@dataclass(frozen=True)
class ModuleReport:
    """The program that a module carries, the verdict on it, the verdict on the module, and its range theorem."""

    program: Program
    report: Report
    validation: Report
    range: Range


def check_module(source: Source, method: Method = "auto", seed: int | None = None) -> ModuleReport:
    """Check the program that an emitted module carries, and that the module computes what it says.

    Raises ``SlotError`` SL741 to SL746, and what checking and planning raise. No code of the module is executed.
    """
    from slotlang.validation.changed import changed_constant
    from slotlang.validation.emission import emitted_anew

    check_beside(Path(source.name))
    file = read_module(source)
    program = file.program()
    emitted, found = emitted_anew(file, program)
    try:
        same = compare(source, file.tree, emitted)
    except SlotError as problem:
        raise changed_constant(file, program) or problem from None
    report = check(program, method, seed)
    validation = validate_tree(file.tree, editable(emitted), program, proved=report.proved, edited=not same)
    if not same:
        # both are about the schedule that is emitted
        found = found.given_up("bodies of this module were edited; PROMISE is not about them either")
    return ModuleReport(program, report, validation, found.unless_proved(report.status))


def validate(text: str, plan: Plan, *, proved: bool = True) -> Report:
    """Prove that a module that was just emitted for a plan computes what its program says, or show an element that it
    gets wrong. ``proved``: the program is known to be its specification."""
    tree = ast.parse(text)
    return validate_tree(tree, editable(tree), plan.program, proved=proved, edited=False)


def validate_tree(tree: ast.Module, names: frozenset[str], program: Program, *, proved: bool, edited: bool) -> Report:
    """What a module computes, compared with its program; everything but the bodies of ``names`` is as emitted.

    ``proved``: the program is known to be its specification, so that a wrong element can be told by computing that.
    ``edited``: some body is not the emitted one; then a proof is checked on numbers too.
    """
    start = time.perf_counter()
    run: SymbolicRun | None = None

    def ended(status: Status, reason: str = "", wrong: WrongElement | None = None) -> Report:
        steps, found, members = (0, 0, 0) if run is None else run.figures
        return Report(
            status,
            "numeric" if status == "refuted" else "symbolic",
            time.perf_counter() - start,
            counterexample=wrong,
            reason=reason,
            subject="module",
            examined={"operations": steps, "members_found": found, "members": members},
        )

    reason = ""
    with np.errstate(all="ignore"):
        try:
            module = interpreted(tree, names)
            check_outputs(module)
        except Outside as problem:
            return ended("unknown", str(problem))
        except Failed as problem:
            return ended("refuted", str(problem))
        try:
            run = SymbolicRun.of(module, program)
            run.compare(merging=False)
        except (Outside, Failed, Different, GaveUp) as problem:
            reason = str(problem)
        if proved and (reason or edited):
            try:
                wrong = wrong_element(module, program)
            except Failed as problem:
                return ended("refuted", str(problem))
            except (Outside, GaveUp) as problem:
                return ended("unknown", reason or str(problem))
            if wrong is not None:
                return ended("refuted", "", wrong)
        if run is None:
            return ended("unknown", reason)
        if edited and (large := too_large(module, run.packed)):
            return ended("unknown", large)
        if not reason:
            return ended("proved")
        try:
            # a module may share no values with the program, or use others than it computes: all is multiplied out
            run.compare(merging=True)
        except Different as problem:
            return ended("unknown", str(problem))
        except GaveUp:
            return ended("unknown", reason)
        return ended("proved")
