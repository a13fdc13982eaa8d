"""Why a run failed, and the parameters that would do: values too large for the modulus, or below the noise."""

from __future__ import annotations

from dataclasses import replace
from math import inf, prod, sqrt

from slotlang.cost.promise import DEFAULT_PRECISION
from slotlang.diagnostics import Diagnostic, SlotError
from slotlang.planning.choose import choose
from slotlang.planning.given_parameters import OPTION, statement_of
from slotlang.planning.plan import Plan
from slotlang.planning.target import Target
from slotlang.refusals import Unreachable
from slotlang.run.runner import RunReport
from slotlang_runtime.data import SCATTER
from slotlang_runtime.errors import BELOW_PRECISION, BEYOND_PROMISE, WEIGHTS_TOO_LARGE

FOR_THESE_WEIGHTS = "the program for these weights"
"""What the runtime advises to lower where weights are too large: it knows only the module."""


def failure(plan: Plan, report: RunReport, target: Target, verdict: str) -> Diagnostic | None:
    """Why a run's result has not the precision that was asked for; None where it has, and where the ``verdict`` on the
    program is reason enough. ``target``: with the run's data."""
    if report.relative_error <= report.allowed_error or verdict != "proved":
        return None
    name = max(report.errors, key=lambda n: report.errors[n])
    size, wanted = report.rms[name], report.allowed_error
    off, promised = report.errors[name] * (size or 1.0), plan.promise.error[name]
    least = promised / wanted if wanted else inf
    elements = max(prod(report.shapes[name]) * report.evaluations, 1)
    noise = max(promised, plan.promise.relative_error * size) * (1 + SCATTER / sqrt(2 * elements))
    measured = f"its rms is {size:.1e}, and its rms error {off:.1e}: a relative error of {report.errors[name]:.1e}"
    if off <= noise:
        return Diagnostic(
            "SL536",
            f"{name} is below the noise: a relative error of {wanted:.1e} needs an rms of {least:.1e} with "
            "these parameters",
            plan.program.span,
            notes=(measured, f"the parameters promise an rms error of at most {promised:.1e}, {plan.promise.about}"),
            hint=_would_do(plan, target, wanted),
        )
    return Diagnostic(
        "SL537",
        f"{name} is wrong by more than noise explains: values are too large for these parameters",
        plan.program.span,
        notes=(measured, f"the parameters promise an rms error of at most {noise:.1e}, {plan.promise.about}"),
        hint=_would_do(plan, target, wanted),
    )


def below_precision(plan: Plan, report: RunReport) -> list[Diagnostic]:
    """A warning for each result that decryption warned of."""
    promise = plan.promise
    return [
        Diagnostic(
            BELOW_PRECISION,
            f"{name} is below the precision of these parameters: its rms is {report.rms[name]:.1e}, and a relative "
            f"error of {promise.precision:.1e} needs {promise.error[name] / promise.precision:.1e}",
            notes=(f"the rms error is at most {promise.error[name]:.1e}",),
            hint="give the inputs with --data too, and --precision: then parameters are searched for them",
        )
        for name in report.below
    ]


def beyond_promise(report: RunReport) -> list[Diagnostic]:
    """A warning for each result whose error can be larger than promised with the weights of the run."""
    return [
        Diagnostic(
            BEYOND_PROMISE,
            f"with these weights the error of {name} can be {times:.3g} times as large as promised",
            notes=(f"its relative error in this run is {report.errors[name]:.1e}",),
            hint="ask for a smaller error with --precision, or give larger weights' bounds with --bound",
        )
        for name, times in report.beyond.items()
    ]


def with_parameters(problem: SlotError, plan: Plan, target: Target) -> SlotError:
    """The refusal of weights that are too large, with the parameters that would do for them."""
    if [d.code for d in problem.diagnostics] != [WEIGHTS_TOO_LARGE]:
        return problem
    precision = target.precision or DEFAULT_PRECISION
    hint = _would_do(plan, target, precision) or "scale the weights down and the result up"
    found = []
    for d in problem.diagnostics:
        # the runtime does not know that the program was lowered for these weights
        _, advice, others = d.hint.partition(FOR_THESE_WEIGHTS)
        note = others.removeprefix(", or ").removeprefix("with smaller bounds ").partition("), or scale")
        notes = (f"smaller bounds would do: {note[0].removeprefix('(')}",) if note[1] else ()
        found.append(replace(d, notes=(*d.notes, *notes), hint=hint) if advice else d)
    return SlotError(found)


def _would_do(plan: Plan, target: Target, precision: float) -> str:
    """The parameters that have a precision for the data of a target, in words."""
    try:
        found = choose(plan.program, replace(target, precision=precision))
    except SlotError:
        return ""
    if isinstance(found, Unreachable):
        best = f"; the best is {found.best:.1e}" if found.best < 1 else ""
        return f"no parameters have a relative error of {precision:.1e} for this data{best}"
    if found.plan.parameters == plan.parameters:
        return ""
    text = statement_of(found.plan.parameters).removeprefix("parameters").strip()
    return f'for this data, {OPTION} "{text}" would do: --precision {precision:g} finds them'
