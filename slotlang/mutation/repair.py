"""The single changes that would make a refuted program prove."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import islice
from typing import Any, TypeAlias

import numpy as np

from slotlang.diagnostics import SlotError
from slotlang.meaning.bind import bind
from slotlang.meaning.integers import SLOT, holds
from slotlang.meaning.program import Claim, Program
from slotlang.meaning.rebind import Rebinder
from slotlang.mutation.generality import general, proof_status
from slotlang.mutation.mutants import Mutation, mutants, one_line
from slotlang.mutation.witness import Witness, claims_before
from slotlang.proof.check import Report
from slotlang.proof.polyhedral import Polyhedral
from slotlang.proof.verdict import Uncovered
from slotlang.syntax import tree
from slotlang.syntax.printer import expression_text
from slotlang.syntax.walk import nodes, rebuilt

SECONDS = 0.75
"""Processor time for a search, about: a change that is being checked is checked to its end."""
OPERATIONS = 60_000
"""isl operations for each goal of a changed program: a third of a second, most often. Most proofs take less."""

MAX_STATEMENTS = 64
"""Statements that are changed, at most: those nearest to what fails. A longer program has a change for each pair of its
statements, which takes longer to list than to try those near by."""

ENOUGH = 4
"""Repairs found, after which no more are looked for."""
FOR_OTHER_SIZES = 0.2
"""The part of the time that is kept for what several repairs are at other sizes."""

MAX_ENVS = 64
"""Members of a family at which a claim's condition is tried."""

_SLIPS = ("shift direction", "sign", "conjugate", "part", "permutation", "rotation", "where")
_SMALL = (
    "shift amount",
    "index",
    "family index",
    "modulus",
    "output map",
    "scale",
    "mask",
    "tensor",
    "layout",
    "choice",
)
_USUAL = (_SLIPS, _SMALL, (), ("forgotten",), ("left out",))
_NEVER = ("theorem", "sparsity", "order", "evaluation")
"""A weaker theorem, weights with more zeros, and what keeps the meaning, repair nothing."""


@dataclass(frozen=True, slots=True)
class Repair:
    """A change that makes the program prove, at its sizes; ``of_claim`` when it is a claim that changes, and
    nothing of the program. ``change`` says what it is: no two repairs of a program say the same."""

    mutation: Mutation
    change: str

    @property
    def of_claim(self) -> bool:
        """Whether a claim changes, and not a computation."""
        return self.mutation.kind == "claim"

    def description(self) -> str:
        """``"with `<<` for `>>` in line 14 this proves"``."""
        with_ = self.change if self.change.startswith("without") else f"with {self.change}"
        return f"{with_} this proves" + (" (the claim changes, not the program)" if self.of_claim else "")

    def before(self) -> str:
        """The statement before the change, on one line."""
        return one_line(self.mutation.whole.text)

    def after(self) -> str:
        """The statement as it would be, on one line; nothing where it is taken away."""
        return one_line("\n".join(self.mutation.lines()))

    def to_json(self) -> dict[str, object]:
        """An entry of ``repairs`` in ``check --json``."""
        return {
            "kind": self.mutation.kind,
            "line": self.mutation.span.line,
            "change": self.change,
            "before": self.before(),
            "after": self.after(),
            "of_claim": self.of_claim,
        }


def nearest_repairs(program: Program, report: Report, seconds: float = SECONDS, count: int = 3) -> list[Repair]:
    """The single changes with which a refuted program proves at its sizes, best first: those nearest to what
    fails, and of these the smallest.

    The theorem, its tensors and what the program requires stay as they are. Claims are changed only when nothing
    else is found. Empty when nothing is found in about ``seconds`` of processor time.
    """
    if report.failure is None:
        return []
    stop = time.process_time() + seconds
    early = stop - FOR_OTHER_SIZES * seconds
    seen: set[Any] = set()
    witness, rebinder = Witness(program, report.failure), Rebinder(program)
    repairs: list[tuple[_Rank, Mutation]] = []
    for rank, mutation in _candidates(program, report):
        done = len(repairs) == ENOUGH or (rank[0] and repairs)
        if done or time.process_time() > (early if len(repairs) > 1 else stop):
            break
        statements = mutation.program.statements
        # nothing stands there where the last statement is left out
        ordered = (len(statements), *map(_ordered, statements[mutation.statement :][:1]))
        if ordered not in seen and _proves(program, mutation, witness, rebinder):
            seen.add(ordered)
            repairs.append((rank, mutation))
    kept = general(program, [change for _, change in repairs], OPERATIONS, stop)
    repairs = [entry for entry, keep in zip(repairs, kept, strict=True) if keep]
    changes = [change for _, change in repairs]
    repairs.sort(key=lambda entry: _order(entry, changes))
    return _titled([change for _, change in repairs[:count]])


def _titled(changes: Sequence[Mutation]) -> list[Repair]:
    """The changes with words that tell them apart: which occurrence is changed, or what the statement becomes."""
    words = [change.description for change in changes]
    for more in (
        lambda c: c.described(c.occurrence),
        lambda c: f"{c.description} (`{one_line(chr(10).join(c.lines()))}`)",
    ):
        times = Counter(words)
        words = [more(c) if times[said] > 1 else said for c, said in zip(changes, words, strict=True)]
    return [Repair(change, said) for change, said in zip(changes, words, strict=True)]


_Rank: TypeAlias = tuple[bool, int, int]
"""Whether a claim changes; how usual a slip; how far from what fails."""


def _ordered(node: Any) -> Any:
    """A tree in which the operands of sums and products stand in one order: `X * Y` and `Y * X` are one repair."""
    found = rebuilt(node, _ordered)
    if isinstance(found, tree.Binary) and found.op in ("+", "*"):
        left, right = sorted((found.left, found.right), key=expression_text)
        return replace(found, left=left, right=right)
    return found


def _order(entry: tuple[_Rank, Mutation], changes: Sequence[Mutation]) -> tuple[bool, bool, bool, int, int, int]:
    """What is typed least comes first, but for another number where the program proves without any: `f` for `2*f` says
    more than `3` for `2`. One slot that carries an element, chosen by `where`, says more than places that are changed
    so that all others lie beyond the result."""
    (claim, _, distance), change = entry
    needless = any(_does_without(other, change) for other in changes)
    return claim, needless, change.kind != "where", change.size, len(change.after), distance


def _does_without(simpler: Mutation, change: Mutation) -> bool:
    """Whether a change takes away what another one gives another number."""
    if not (change.after.isdigit() and one_line(change.span.text).isdigit()):
        return False
    inside = simpler.span.start <= change.span.start and change.span.end <= simpler.span.end
    return inside and simpler.span != change.span and len(simpler.after) < len(one_line(simpler.span.text))


def _candidates(program: Program, report: Report) -> list[tuple[_Rank, Mutation]]:
    """Changes of statements that what fails depends on, the likeliest first."""
    distance = distances(program, report)
    near = frozenset(sorted(distance, key=lambda number: distance[number])[:MAX_STATEMENTS])
    candidates = []
    for mutation in mutants(program.syntax, forgotten=True, only=near):
        if mutation.kind not in _NEVER and not _says_nothing(program, mutation):
            # what is left out tells an author the least
            kind = "left out" if not mutation.after else mutation.kind
            usual = next((n for n, kinds in enumerate(_USUAL) if kind in kinds), 2)
            candidates.append(((mutation.kind == "claim", usual, distance[mutation.statement]), mutation))
    return sorted(candidates, key=lambda entry: entry[0])


def _says_nothing(program: Program, mutation: Mutation) -> bool:
    """Whether a changed comparison has no variable left, or holds one against itself: `h - h < 8` proves as no
    condition would. A digit is a part of the slot."""
    before, after = (
        # a statement that is left out may have been the last one
        [part for s in p.statements[mutation.statement :][:1] for part in nodes(s) if isinstance(part, tree.Compare)]
        for p in (program.syntax, mutation.program)
    )
    gone = [c for c in before if c not in after]
    known = _variables(program, gone[0]) if gone else Counter[str]()
    for comparison in (c for c in after if c not in before):
        used = _variables(program, comparison)
        if (known and not used) or any(times > max(1, known[name]) for name, times in used.items()):
            return True
        if used[SLOT] and not known[SLOT] and used.keys() & program.digits.keys():
            return True
    return False


def _variables(program: Program, comparison: tree.Compare) -> Counter[str]:
    """How often each variable stands in a comparison; sizes are numbers."""
    found = (part.name for part in nodes(comparison) if isinstance(part, tree.Name))
    return Counter(name for name in found if name not in program.sizes)


def _proves(original: Program, mutation: Mutation, witness: Witness, rebinder: Rebinder) -> bool:
    """Whether a change makes the program prove. What usually tells that it does not comes first."""
    try:
        changed = rebinder.bind(mutation.program, mutation.statement)
        if not witness.gone(changed) or not _failing_goal_proves(changed, witness):
            return False
        program = bind(mutation.program, rebinder.sizes)
    except (SlotError, RecursionError):
        return False
    if program.tensors != original.tensors or program.theorems != original.theorems:
        return False
    if mutation.kind == "claim" and _claims_nothing(original, program):
        return False
    return proof_status(program, OPERATIONS) == "proved"


def _claims_nothing(before: Program, after: Program) -> bool:
    """Whether a claim's condition was changed to one that never holds: it proves, and says nothing."""
    claims = ([step for step in program.steps if isinstance(step, Claim)] for program in (before, after))
    slots = after.slot_env(np.arange(after.slots))
    for old, new in zip(*claims, strict=False):
        if new.where is not None and new.where != old.where:
            envs = islice(new.envs(), MAX_ENVS)
            if not any(np.any(holds(new.where, after.sizes, {**slots, **env})) for env in envs):
                return True
    return False


def _failing_goal_proves(program: Program, witness: Witness) -> bool:
    """Whether the goal that fails is right in a changed program, if the claims before it are true."""
    goal = witness.same_goal(program)
    prover = Polyhedral(program, OPERATIONS)
    if goal is not None:
        for claim in claims_before(program, goal):
            prover.expander.learn(claim)
        outcome = prover.prove(goal)
        witness.learn(outcome.failure)
        return outcome.status == "proved"
    failure = witness.failure
    return not isinstance(failure, Uncovered) or prover.covered(failure.output).status == "proved"


def distances(program: Program, report: Report) -> dict[int, int]:
    """How many definitions lie between each statement and the goal that fails, for those it depends on.

    A family with a proved claim is not at fault: it holds what the claim says. What the claim mentions may be.
    """
    statements = program.syntax.statements
    assert report.failure is not None
    if isinstance(report.failure, Uncovered):
        start = [n for n, s in enumerate(statements) if isinstance(s, tree.Output) and s.name == report.failure.output]
    else:
        at = report.failure.goal.span.start
        start = [n for n, s in enumerate(statements) if s.span.start == at]
    proved = _proved_claims(program, report)
    defined: dict[str, list[int]] = {}
    for number, statement in enumerate(statements):
        for name in _defines(statement):
            defined.setdefault(name, []).append(number)
        if statement.span.start in proved:
            defined[proved[statement.span.start]] = [number]
    distance = dict.fromkeys(start, 0)
    layer = start
    while layer:
        following = []
        for number in layer:
            for name in sorted(set(_names(statements[number]))):
                for other in defined.get(name, ()):
                    if other not in distance:
                        distance[other] = distance[number] + 1
                        following.append(other)
        layer = following
    return {number: far for number, far in distance.items() if statements[number].span.start not in proved}


def _proved_claims(program: Program, report: Report) -> dict[int, str]:
    """Claims that are proved of every slot of every member of a family: where each starts, and the family."""
    claims = [s for s in program.steps if isinstance(s, Claim)]
    statuses = [status for _, status in report.steps]
    return {
        claim.span.start: claim.family
        for claim, status in zip(claims, statuses, strict=False)
        if status == "proved" and claim.every and claim.where is None
    }


def _defines(statement: tree.Statement) -> tuple[str, ...]:
    match statement:
        case tree.Let(name) | tree.NameTensor(name) | tree.Define(_, name) | tree.DefinePermutation(name):
            return (name,)
        case tree.Axes(_, binders):
            return tuple(binder.name for binder in binders)
        case _:
            return ()


def _names(node: Any) -> Iterator[str]:
    """Every name used in a tree."""
    if isinstance(node, tree.Name):
        yield node.name
    elif isinstance(node, tree.Permute):
        yield node.permutation
    if isinstance(node, tuple):
        for part in node:
            yield from _names(part)
    elif is_dataclass(node):
        for part in fields(node):
            if part.compare:
                yield from _names(getattr(node, part.name))
