"""What a proof attempt says: verdicts, and counterexamples in the program's own terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, TypeAlias

from slotlang.meaning.kept import Case
from slotlang.meaning.program import Claim, Output
from slotlang.source import Span

Status: TypeAlias = Literal["proved", "refuted", "tested", "unknown"]

Monomial: TypeAlias = tuple[tuple[str, ...], tuple[tuple[str, tuple[int, ...]], ...]]
"""Scalars, then (tensor, indices) of each read, sorted."""


@dataclass(frozen=True, slots=True)
class Induction:
    """One case, ``number`` of ``of``, of a ``claim`` about all members of a family that reads its own: the claim is to
    be shown of the members of this case, and stands for those that they read."""

    claim: Claim
    case: Case
    number: int
    of: int


@dataclass(frozen=True, slots=True)
class Goal:
    """One thing to prove: a claim, or one case of it by ``induction``, or one ``output`` line of a theorem."""

    statement: Claim | Output
    what: str
    induction: Induction | None = None

    @property
    def span(self) -> Span:
        """Where the statement stands."""
        return self.statement.span


@dataclass(frozen=True, slots=True)
class Wrong:
    """Where a goal fails: member and slot of the statement's family, the values of its binders, and, when the
    method tells, a monomial with the coefficient it has and the one it should have."""

    goal: Goal
    binders: Mapping[str, int]
    slot: int
    monomial: Monomial | None = None
    holds: tuple[Fraction, Fraction] | None = None
    should: tuple[Fraction, Fraction] | None = None


@dataclass(frozen=True, slots=True)
class Uncovered:
    """An element of a result that no slot carries, or that two slots carry."""

    output: str
    element: tuple[int, ...]
    carriers: tuple[tuple[Output, Mapping[str, int], int], ...]


Failure: TypeAlias = Wrong | Uncovered


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one method found. ``reason`` says what could not be decided."""

    status: Status
    failure: Failure | None = None
    reason: str = ""
    notes: tuple[str, ...] = field(default=())


class Disagreement(Exception):
    """Two methods contradict each other, or a module the program it was made from: a bug in slotlang, never in the
    program."""
