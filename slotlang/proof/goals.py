"""What has to be shown of a program, in order: its claims, its outputs, and that results are complete."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from slotlang.meaning.integers import Int, evaluate, show
from slotlang.meaning.program import Claim, Output, Program, member_text
from slotlang.proof.induction import by_induction, inductive_goals
from slotlang.proof.verdict import Goal, Status


def goals(program: Program) -> list[Goal]:
    """Claims in the program's order, then its output statements."""
    claims: list[Goal] = []
    proved = set[str]()
    for s in program.steps:
        if isinstance(s, Claim) and s.family not in proved and by_induction(program, s):
            proved.add(s.family)
            claims += inductive_goals(program, s)
        elif isinstance(s, Claim):
            claims.append(Goal(s, f"claim {claim_target(s)}"))
    return claims + [Goal(o, f"output {output_target(o)}") for o in program.outputs]


def decided(program: Program, steps: Iterable[tuple[str, Status]]) -> list[tuple[Goal, Status]]:
    """The program's goals with the verdicts on them, as far as ``steps``, those of a report, have come. Two claims may
    be worded alike: they are told apart by their order. A report may have goals of its own between them, claims that it
    found."""
    found: list[tuple[Goal, Status]] = []
    left = list(steps)
    for goal in goals(program):
        at = next((n for n, (what, _) in enumerate(left) if what == goal.what), None)
        if at is not None:
            found.append((goal, left[at][1]))
            del left[: at + 1]
    return found


def claim_target(claim: Claim) -> str:
    """``S`` or ``P[q]``."""
    return member_text(claim.family, [show(i) for i in claim.indices])


def output_target(output: Output) -> str:
    """``y[c*C + h, t]``."""
    return member_text(output.name, [show(i) for i in output.indices])


def target(statement: Claim | Output) -> tuple[str, tuple[Int, ...]]:
    """The family a statement speaks of, and the index expressions of its member."""
    if isinstance(statement, Claim):
        return statement.family, statement.indices
    return statement.family.name, statement.family.indices


def member(program: Program, statement: Claim | Output, env: Mapping[str, int]) -> tuple[str, tuple[int, ...]]:
    """The member of a family that a statement speaks of at values of its binders."""
    family, indices = target(statement)
    return family, tuple(int(evaluate(i, program.sizes, env)) for i in indices)
