"""What a counterexample does not say: where the slot's content came from, and what was lost."""

from __future__ import annotations

from slotlang.meaning.program import Program
from slotlang.proof.goals import member
from slotlang.proof.information_loss import Loss
from slotlang.proof.report import Report
from slotlang.proof.verdict import Wrong
from slotlang.show.trace import trace

__all__ = ["explanation"]


def explanation(program: Program, report: Report, loss: Loss | None) -> list[str]:
    """The slot's way back to the client's ciphertexts, and the statement that lost what the result needs."""
    lines = []
    failure = report.failure
    if isinstance(failure, Wrong):
        lines.append("where it came from")
        place = member(program, failure.goal.statement, failure.binders)
        lines += [f"  {line}" for line in trace(program, *place, failure.slot)]
    return lines + (loss.lines() if loss else [])
