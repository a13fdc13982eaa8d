"""Claims about all members of a family that reads its own members, by induction.

A family that is kept whole has cases. Where each of its own members that a case reads has a smaller index, a claim
holds of all members if in each case it holds of a member when it holds of those that the case reads. A case that reads
none is a base, each other one a step. docs/for-all.md has the argument.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from slotlang.meaning.integers import (
    And,
    Cmp,
    Cond,
    Int,
    IntConst,
    IntVar,
    Not,
    evaluate,
    holds,
    show,
    show_cond,
    substitute_cond,
)
from slotlang.meaning.kept import Case
from slotlang.meaning.program import Claim, Family, Program, member_text
from slotlang.meaning.value import FamilyRef, Value, leaves, renamed
from slotlang.proof.verdict import Goal, Induction
from slotlang.refusals import GaveUp

MAX_UNFOLDED = 12
"""Members up to this one are what their cases say, without a claim: each may read two or more others."""


def by_induction(program: Program, claim: Claim) -> bool:
    """Whether a claim speaks of all slots of all members of a family that reads its own."""
    return bool(program.families[claim.family].cases) and claim.every and claim.where is None


def inductive_goals(program: Program, claim: Claim) -> Iterator[Goal]:
    """The bases and steps of a claim, in the order of the family's cases."""
    family = program.families[claim.family]
    env = family.env(claim.indices)
    for number, case in enumerate(family.cases):
        where = substitute_cond(case.condition, env.get)
        read = [member_text(family.name, [show(i) for i in m.indices]) for m in own_members(family, case, env)]
        kind = "step" if read else "base"
        what = f"claim {member_text(claim.family, [show(i) for i in claim.indices])}, {kind} {_text(where)}"
        what += f", from {', '.join(dict.fromkeys(read))}" if read else ""
        yield Goal(replace(claim, where=where), what, Induction(claim, case, number, len(family.cases)))


def own_members(family: Family, case: Case, env: Mapping[str, Int] | None = None) -> list[FamilyRef]:
    """The members of its own family that a case reads, ``env`` in place of the family's indices."""
    body = renamed(case.body, env or {})
    return [leaf for leaf in leaves(body) if isinstance(leaf, FamilyRef) and leaf.name == family.name]


def recursive(program: Program) -> list[Family]:
    """The families that are kept whole and read their own members."""
    return [step for step in program.steps if isinstance(step, Family) and step.cases]


def falling(family: Family) -> int:
    """The position of the index that falls from a member to those of its own family that it reads: the first one that
    is not the same in all of them."""
    members = [m for case in family.cases for m in own_members(family, case)]
    kept = [all(m.indices[p] == IntVar(b.name) for m in members) for p, b in enumerate(family.binders)]
    return kept.index(False) if False in kept else 0


def taken(family: Family, indices: Sequence[Int]) -> Value:
    """The body of a member of a family that reads its own, at indices that are small numbers. Raises ``GaveUp`` at
    others: what these members are takes a claim about all of them."""
    try:
        env = {b.name: int(evaluate(i, {}, {})) for b, i in zip(family.binders, indices, strict=True)}
        if max(env.values()) <= MAX_UNFOLDED:
            return next(case.body for case in family.cases if holds(case.condition, {}, env))
    except KeyError:
        # what they are depends on sizes
        pass
    one, every = (member_text(family.name, i) for i in ([show(i) for i in indices], [b.name for b in family.binders]))
    raise GaveUp(
        f"{one} is read here, and '{family.name}' reads its own members (line {family.span.line}): a claim about all "
        f"of them, {every} == ..., has to stand between"
    )


_OPPOSITE = {"<": ">=", ">=": "<", ">": "<=", "<=": ">", "==": "!=", "!=": "=="}


def _text(cond: Cond) -> str:
    """A condition for a person, comparisons turned around in place of ``not``; an index that is not 0 is at least 1."""
    match cond:
        case And(parts):
            return " and ".join(map(_text, parts)) or "always"
        case Not(Cmp("==", IntVar(name), IntConst(0))):
            return f"{name} >= 1"
        case Not(Cmp(op, a, b)):
            return show_cond(Cmp(_OPPOSITE[op], a, b))
        case _:
            return show_cond(cond)


__all__ = ["by_induction", "falling", "inductive_goals", "own_members", "recursive", "taken"]
