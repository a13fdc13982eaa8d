"""Which element of a result each slot of a value is proved to hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, TypeAlias

import numpy as np

from slotlang.meaning.program import Output, Program
from slotlang.page.columns import column
from slotlang.proof.goals import decided, member
from slotlang.proof.verdict import Status

__all__ = ["Results", "elements", "proved_results"]

MOST_MEMBERS = 1 << 12
"""Members of outputs that are looked up, at most: some hundredths of a second."""

Results: TypeAlias = Mapping[tuple[str, tuple[int, ...]], Sequence[tuple[Output, Mapping[str, int]]]]
"""The proved outputs that read a family's member, each with the values of its binders."""


def proved_results(program: Program, steps: Iterable[tuple[str, Status]]) -> Results:
    """The outputs that a report with these ``steps`` found proved, by the members that they read."""
    found: dict[tuple[str, tuple[int, ...]], list[tuple[Output, Mapping[str, int]]]] = {}
    for goal, status in decided(program, steps):
        output = goal.statement
        if status != "proved" or not isinstance(output, Output):
            continue
        for env in islice(output.envs(), MOST_MEMBERS):
            found.setdefault(member(program, output, env), []).append((output, env))
    return found


def elements(program: Program, found: Sequence[tuple[Output, Mapping[str, int]]]) -> list[list[Any]]:
    """For each output that reads one value: the result's name, the part that is read (``re``, ``im`` or null), its
    shape, and the column of flat positions in it, -1 at slots that carry none."""
    at = program.slot_env(np.arange(program.slots))
    listed = []
    for output, env in found:
        places = np.where(program.read_slots(output, env, at), program.read_elements(output, env, at), -1)
        shape = program.theorems[output.name].shape
        listed.append([output.name, output.part, list(shape), column(places)])
    return listed
