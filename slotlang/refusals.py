"""How one part of slotlang says no to another: a question left open, or a demand that nothing meets.

What is wrong with a program, a file or an argument is said to its author instead, by a ``SlotError``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import inf

from slotlang.diagnostics import Diagnostic, SlotError, error
from slotlang_runtime.errors import FOR_DATA, LOWER, Rejected


class GaveUp(Exception):
    """A method leaves a question open: it does not decide questions of this form, or not within its limits, which says
    nothing about the answer. ``reason``: why, in words that fit into a sentence of a message."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The answer "no" to a precision or a bound. ``best``: the smallest relative error that can be had, rounded up so
    that it can be asked for; infinite when nothing can. ``fewest_key_bytes``: the smallest bound on keys with which the
    precision can be had; None when none does, or keys are not bounded. ``problem`` says all this to a person."""

    problem: Diagnostic
    best: float = inf
    fewest_key_bytes: int | None = None

    def error(self) -> SlotError:
        """For whoever can't go on without a yes."""
        return SlotError([self.problem])


def refused(problem: Rejected, doing: str = LOWER, message: str = "{}") -> SlotError:
    """What the runtime refuses, as an error of a command, with its code, fact and hint.

    ``doing``: what the command does to the program, in place of lowering it; empty where nobody has a program at hand,
    so that no bounds of one are advised. ``message``: what stands around the fact.
    """
    hint = problem.hint.replace(LOWER, doing)
    if doing != LOWER:
        hint = hint.replace(FOR_DATA, "")
    if not doing:
        hint = re.sub(rf"{LOWER}[^;]*, or |(, or )?{LOWER}[^;]*", "", problem.hint)
    return error(problem.code, message.format(problem.what), hint=hint)
