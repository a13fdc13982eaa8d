"""What a counterexample does not say: where the slot's content came from, and what was lost."""

from __future__ import annotations

from slotlang.meaning.program import Program
from slotlang.proof.information_loss import Loss
from slotlang.proof.report import Report
from slotlang.proof.verdict import Wrong
from slotlang.show.trace import trace_of
from slotlang.show.wrong import left_out
from slotlang_runtime.amounts import count_of

__all__ = ["explanation"]

FIRST, LAST = 20, 5
"""Steps of a long way back that are listed: from the wrong slot, and to what the client packed."""


def explanation(program: Program, report: Report, loss: Loss | None) -> list[str]:
    """The slot's way back to the client's ciphertexts, and the statement that lost what the result needs."""
    lines = []
    if isinstance(report.failure, Wrong):
        lines.append("where it came from")
        try:
            steps = [step.text for step in trace_of(program, report)]
        except RecursionError as problem:
            steps = [left_out("its way back", problem)]
        if len(steps) > FIRST + LAST + 1:
            steps[FIRST:-LAST] = [f"… {count_of(len(steps) - FIRST - LAST, 'step')}"]
        lines += [f"  {line}" for line in steps]
    return lines + (loss.lines() if loss else [])
