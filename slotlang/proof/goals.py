"""What has to be shown of a program, in order: its claims, its outputs, and that results are complete."""

from __future__ import annotations

from slotlang.meaning.integers import show
from slotlang.meaning.program import Claim, Output, Program
from slotlang.proof.verdict import Goal


def goals(program: Program) -> list[Goal]:
    """Claims in the program's order, then its output statements."""
    found = [Goal(s, f"claim {claim_target(s)}") for s in program.steps if isinstance(s, Claim)]
    return found + [Goal(o, f"output {output_target(o)}") for o in program.outputs]


def claim_target(claim: Claim) -> str:
    """``S`` or ``P[q]``."""
    indices = ", ".join(show(i) for i in claim.indices)
    return f"{claim.family}[{indices}]" if indices else claim.family


def output_target(output: Output) -> str:
    """``y[c*C + h, t]``."""
    return f"{output.name}[{', '.join(show(i) for i in output.indices)}]"
