"""All wrong slots of a refuted program's vector, and what the slots around a wrong one hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import prod

import islpy as isl
import numpy as np
import numpy.typing as npt

from slotlang.diagnostics import SlotError
from slotlang.meaning.integers import holds as truth
from slotlang.meaning.program import Claim, Program, member_text
from slotlang.proof.check import CROSS_CHECK_WORK, Checker, Report
from slotlang.proof.explain import Counterexample
from slotlang.proof.field import PRIMES, random_field
from slotlang.proof.goals import decided, member
from slotlang.proof.polyhedral import Polyhedral, sides
from slotlang.proof.random import DEFAULT_SEED
from slotlang.proof.random import wrong_slots as differing
from slotlang.proof.sets import members
from slotlang.proof.verdict import Failure, Goal, Status, Wrong
from slotlang.refusals import GaveUp
from slotlang.show.content import Describer, SlotContents, contents, numbered
from slotlang.show.holding import Holding
from slotlang.show.symbolic import Named
from slotlang_runtime.amounts import count_of

__all__ = [
    "Neighbour",
    "Refutation",
    "WrongSlots",
    "held",
    "left_out",
    "mark_wrong",
    "refutation",
    "wrong_contents",
    "wrong_slots",
]

Mask = npt.NDArray[np.bool_]

MAX_RANGES = 4
MAX_SET_OPERATIONS = 100_000
"""isl operations for the set of wrong slots, at most: some tenths of a second."""


@dataclass(frozen=True, eq=False)
class WrongSlots:
    """The slots of a family's member that do not hold what ``goal`` says. ``claimed``: the slots it speaks
    of."""

    goal: Goal
    family: str
    member: tuple[int, ...]
    axes: tuple[tuple[str, int], ...]
    wrong: Mask = field(repr=False)
    claimed: Mask = field(repr=False)

    @property
    def title(self) -> str:
        """``Y[0]``."""
        return member_text(self.family, self.member)

    @property
    def slots(self) -> int:
        """How many slots the vector has."""
        return len(self.wrong)

    @property
    def count(self) -> int:
        """How many slots are wrong."""
        return int(self.wrong.sum())

    def sentence(self) -> str:
        """``4,032 of 4,096 slots of S are wrong: exactly those with h = 1–511``."""
        claimed = int(self.claimed.sum())
        about = ""
        if claimed < len(self.claimed):
            are = "is" if claimed == 1 else "are"
            about = f" that {are} {'claimed' if isinstance(self.goal.statement, Claim) else 'output'}"
        text = f"{self.count:,} of {count_of(claimed, 'slot')} of {self.title}{about} "
        if self.count == claimed == 1:
            text = f"the one slot of {self.title}{about} "
        elif self.count == claimed:
            text = f"all {count_of(claimed, 'slot')} of {self.title}{about} "
        text += "is wrong" if self.count == 1 else "are wrong"
        where = self.where()
        return f"{text}: exactly those with {where}" if where else text

    def where(self) -> str:
        """The digit that decides which slots are wrong, with its values: ``h = 1–511``; empty when none
        does."""
        extents = [extent for _, extent in self.axes]
        if prod(extents) != len(self.wrong) or self.count in (0, int(self.claimed.sum())):
            return ""
        digits = np.unravel_index(np.arange(len(self.wrong)), extents)
        for (name, extent), digit in zip(self.axes, digits, strict=True):
            bad = np.zeros(extent, bool)
            bad[digit[self.wrong]] = True
            if extent < len(self.wrong) and bool((self.wrong == (self.claimed & bad[digit])).all()):
                ranges = _ranges(np.flatnonzero(bad).tolist())
                if len(ranges) <= MAX_RANGES:
                    return f"{name} = {', '.join(ranges)}"
        return ""


def _ranges(numbers: list[int]) -> list[str]:
    ranges: list[list[int]] = []
    for n in numbers:
        if ranges and n == ranges[-1][1] + 1:
            ranges[-1][1] = n
        else:
            ranges.append([n, n])
    return [str(a) if a == b else f"{a}–{b}" for a, b in ranges]


def wrong_slots(
    program: Program, failure: Failure | None, held: Sequence[Claim] = (), *, sets: bool = True
) -> WrongSlots | None:
    """Every wrong slot of the member that a failure names: as a set, where the polyhedral method finds it with the
    claims that are ``held`` proved, else by evaluation at a random point, where a wrong slot is right by chance with
    ``error_bound`` for one prime. Without ``sets`` this alone is done.

    None when no slot is wrong (an element of a result that no slot carries), or the program is too large to be
    evaluated or can't be scheduled.
    """
    if not isinstance(failure, Wrong):
        return None
    found = (as_set(program, failure, held) if sets else None) or at_random(program, failure)
    if found is None:
        return None
    wrong, claimed = found
    wrong = wrong.copy()
    wrong[failure.slot] = True
    family, place = member(program, failure.goal.statement, failure.binders)
    return WrongSlots(failure.goal, family, place, _axes(program), wrong, claimed)


def as_set(program: Program, failure: Wrong, held: Sequence[Claim] = ()) -> tuple[Mask, Mask] | None:
    """The wrong slots, and those that the statement speaks of, by the polyhedral method; None where that gives up."""
    prover = Polyhedral(program, MAX_SET_OPERATIONS)
    for claim in held:
        prover.expander.learn(claim)
    statement = failure.goal.statement
    slots = np.arange(program.slots)
    where = statement.where if isinstance(statement, Claim) else program.read_where(statement)
    env = {**program.slot_env(slots), **failure.binders}
    claimed = np.ones(program.slots, bool)
    if where is not None:
        claimed &= np.asarray(truth(where, program.sizes, env), bool)
    digits = [slots] if not program.axes else [np.asarray(env[name]) for name in program.axes[0]]
    try:
        return members(prover.wrong_slots(failure.goal, failure.binders), digits), claimed
    except (GaveUp, isl.Error, RecursionError):
        return None


def at_random(program: Program, failure: Wrong, seed: int = DEFAULT_SEED) -> tuple[Mask, Mask] | None:
    """The same at a random point; None where the program is too large for that, or can't be scheduled."""
    checker = Checker(program)
    try:
        if checker.work() > 4 * CROSS_CHECK_WORK:
            return None
        point = random_field(program, PRIMES[:1], seed)
        return differing(checker.graph, failure.goal, failure.binders, point)
    except (SlotError, GaveUp):
        return None


def _axes(program: Program) -> tuple[tuple[str, int], ...]:
    return tuple((axis, program.digits[axis].size) for system in program.axes[:1] for axis in system)


def mark_wrong(contents: SlotContents, wrong: WrongSlots | None) -> SlotContents:
    """The contents with wrong slots marked, when they are about the same vector."""
    if wrong is None or (wrong.family, wrong.member) != (contents.family, contents.member):
        return contents
    return replace(contents, wrong=wrong.wrong)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A slot near a wrong one. ``claimed``: whether the statement speaks of it; ``wrong``: None when not
    known."""

    slot: int
    digits: tuple[int, ...]
    holds: Holding
    should: Holding
    claimed: bool
    wrong: bool | None


@dataclass(frozen=True, slots=True)
class Refutation:
    """Why a program is refuted, to be drawn. ``lines``: the counterexample in words; ``slot``: the wrong slot
    that it names, None when it names none; ``around``: that slot and its neighbours; ``left_out``: why there are none,
    where what they hold can't be told."""

    program: str
    statement: str
    line: int
    lines: tuple[str, ...]
    title: str
    axes: tuple[tuple[str, int], ...]
    slot: int | None
    around: tuple[Neighbour, ...]
    wrong: WrongSlots | None
    left_out: str = ""

    def to_json(self) -> dict[str, object]:
        """Plain data. Keys: ``program``, ``statement``, ``line``, ``lines``, ``vector``, ``slot``, ``wrong``
        and ``of`` (how many slots of the vector are wrong and are spoken of, or null), ``sentence``,
        ``around`` (list of ``slot``, ``digits``, ``holds``, ``should_hold``, ``wrong``)."""
        return {
            "program": self.program,
            "statement": self.statement,
            "line": self.line,
            "lines": list(self.lines),
            "vector": self.title,
            "slot": self.slot,
            "wrong": None if self.wrong is None else self.wrong.count,
            "of": None if self.wrong is None else int(self.wrong.claimed.sum()),
            "sentence": "" if self.wrong is None else self.wrong.sentence(),
            "around": [
                {
                    "slot": n.slot,
                    "digits": dict(zip((name for name, _ in self.axes), n.digits, strict=True)),
                    "holds": n.holds.text,
                    "should_hold": n.should.text if n.claimed else None,
                    "wrong": n.wrong,
                }
                for n in self.around
            ],
        }


def refutation(program: Program, report: Report, wrong: WrongSlots | None = None, reach: int = 3) -> Refutation:
    """A refuted report with the slots around the wrong one, ``reach`` on each side.

    ``wrong`` is computed unless given. Raises ``ValueError`` for a report that refutes nothing.
    """
    failure, example = report.failure, report.counterexample
    if report.status != "refuted" or failure is None or not isinstance(example, Counterexample):
        raise ValueError("nothing is refuted")
    lines = tuple(example.lines())
    axes = _axes(program)
    if not isinstance(failure, Wrong):
        return Refutation(program.name, example.statement, example.line, lines, example.family, axes, None, (), None)
    # what was refuted at random points was too large for sets
    wrong = wrong or wrong_slots(program, failure, held(program, report.steps), sets=report.method != "random")
    family, place = member(program, failure.goal.statement, failure.binders)
    title = member_text(family, place)
    around: tuple[Neighbour, ...] = ()
    reason = ""
    try:
        around = _around(program, report, failure, wrong, reach)
    except (GaveUp, RecursionError) as problem:
        reason = left_out("what the slots around it hold", problem)
    slot = failure.slot
    return Refutation(program.name, example.statement, example.line, lines, title, axes, slot, around, wrong, reason)


def left_out(what: str, problem: Exception) -> str:
    """A line about a part of an explanation that can't be made. The refutation stands without it."""
    reason = "values nest too deeply to follow them" if isinstance(problem, RecursionError) else problem
    return f"left out: {what} ({reason})"


def _around(
    program: Program, report: Report, failure: Wrong, wrong: WrongSlots | None, reach: int
) -> tuple[Neighbour, ...]:
    named = Named(program, [c for c in held(program, report.steps) if c != failure.goal.statement])
    slots = range(max(0, failure.slot - reach), min(program.slots, failure.slot + reach + 1))
    left, right, where = sides(program, named, failure.goal)
    if not numbered(named):
        raise GaveUp("tensors have too many elements")
    holds = Describer(named, left, failure.binders)
    should = Describer(named, right, failure.binders)
    if holds.affordable < len(slots):
        slots = range(failure.slot, failure.slot + 1)
    claimed = {}
    for slot in slots:
        env = {**program.slot_env(slot), **failure.binders}
        claimed[slot] = where is None or bool(truth(where, program.sizes, env))
    carried = [s for s in slots if claimed[s]]
    wanted = dict(zip(carried, should.holdings(carried), strict=True))
    extents = [extent for _, extent in axes] if (axes := _axes(program)) else []
    lines = []
    for slot, holding in zip(slots, holds.holdings(list(slots)), strict=True):
        digits = tuple(int(d) for d in np.unravel_index(slot, extents)) if extents else ()
        bad = (slot == failure.slot or None) if wrong is None else bool(wrong.wrong[slot])
        lines.append(Neighbour(slot, digits, holding, wanted.get(slot, Holding(0, "", "")), claimed[slot], bad))
    return tuple(lines)


def wrong_contents(program: Program, report: Report, wrong: WrongSlots) -> SlotContents:
    """What the vector with the wrong slots holds, as far as proved claims tell, the wrong slots marked."""
    claims = [c for c in held(program, report.steps) if c != wrong.goal.statement]
    return mark_wrong(contents(program, wrong.family, wrong.member, claims=claims), wrong)


def held(program: Program, steps: Iterable[tuple[str, Status]]) -> list[Claim]:
    """The claims that a report with these ``steps`` found to hold."""
    return [
        goal.statement
        for goal, status in decided(program, steps)
        if status in ("proved", "tested") and isinstance(goal.statement, Claim)
    ]
