"""Parameters for a candidate: the cheapest that reach a precision."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import TypeAlias

from slotlang.cost.predict import predict
from slotlang.cost.profile import Profile
from slotlang.diagnostics import SlotError
from slotlang.lowering.lower import Plan, plan
from slotlang.lowering.parameters import Parameters
from slotlang.meaning.program import Program

Settle: TypeAlias = Callable[[Program, float, Profile], tuple[Plan, float] | float]
"""Plan and relative rms error for a program and a precision; where it can't be reached, the best error that can."""

_MENU = (
    Parameters(4096, (36, 36, 37), 22, False, (22, 22, 20)),
    Parameters(8192, (60, 60, 60), 36, False, (40, 34, 32)),
    Parameters(16384, (60, 60, 60), 36, False, (40, 34, 32)),
)


def settle(program: Program, precision: float, profile: Profile) -> tuple[Plan, float] | float:
    best = 1.0
    for parameters in _MENU:
        if parameters.slots != program.slots:
            continue
        error = 12 * sqrt(parameters.degree) * 64 / 2 ** parameters.scales[1]
        best = min(best, error)
        if error > precision:
            continue
        try:
            return plan(program, parameters), error
        except SlotError:
            continue
    return best


__all__ = ["Settle", "predict", "settle"]
