"""Which of several repairs hold at other sizes too, and not by chance at those of the program."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from slotlang.diagnostics import SlotError
from slotlang.meaning.bind import bind
from slotlang.meaning.program import Program
from slotlang.mutation.mutants import Mutation
from slotlang.proof.goals import goals
from slotlang.proof.polyhedral import Polyhedral
from slotlang.proof.verdict import Status
from slotlang.syntax import tree

__all__ = ["general", "proof_status"]

LOOKED_AT = 3
"""Other sizes at which repairs are compared, at most."""


def general(program: Program, changes: Sequence[Mutation], operations: int, stop: float) -> list[bool]:
    """Whether each change is to be kept: not where it fails at other sizes at which another one proves.

    ``operations``: isl operations for each goal; nothing is looked at after the processor time ``stop``.
    """
    kept = [True] * len(changes)
    looked = 0
    for sizes in _other_sizes(program):
        if looked == LOOKED_AT or kept.count(True) < 2:
            break
        found: list[Status | None] = []
        for change, still in zip(changes, kept, strict=True):
            if time.process_time() > stop:
                return kept
            found.append(_at(change.program, sizes, operations) if still else None)
        if "proved" in found:
            looked += 1
            kept = [still and status != "refuted" for still, status in zip(kept, found, strict=True)]
    return kept


def _other_sizes(program: Program) -> Iterator[Mapping[str, int]]:
    """Sizes near the program's own that it admits: all of them doubled, one of them doubled, one larger by 1."""
    own = {name: program.sizes[name] for name in program.parameters}
    if len(own) > 1:
        yield from _admitted(program, {name: 2 * value for name, value in own.items()})
    for name, value in own.items():
        yield from _admitted(program, {**own, name: 2 * value})
    for name, value in own.items():
        yield from _admitted(program, {**own, name: value + 1})


def _admitted(program: Program, sizes: Mapping[str, int]) -> Iterator[Mapping[str, int]]:
    try:
        bind(program.syntax, sizes)
    except (SlotError, RecursionError):
        return
    yield sizes


def _at(changed: tree.Program, sizes: Mapping[str, int], operations: int) -> Status:
    """Refuted where the changed program has no meaning at these sizes: the program itself has one."""
    try:
        return proof_status(bind(changed, sizes), operations)
    except SlotError:
        return "refuted"
    except RecursionError:
        return "unknown"


def proof_status(program: Program, operations: int) -> Status:
    """The verdict of the polyhedral method on all goals and on whether the results are complete."""
    prover = Polyhedral(program, operations)
    for goal in goals(program):
        if (status := prover.prove(goal).status) != "proved":
            return status
    for name in program.theorems:
        if (status := prover.covered(name).status) != "proved":
            return status
    return "proved"
