"""Whether every element of a result is carried by exactly one slot, by counting them all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np
import numpy.typing as npt

from slotlang.graph.ring import Slots
from slotlang.meaning.program import Output, Program
from slotlang.proof.verdict import Outcome, Uncovered
from slotlang_runtime.amounts import count_of

Ids = npt.NDArray[np.int64]

MAX_SLOTS = 1 << 24
"""Most slots of a vector that are counted."""
MAX_ELEMENTS = 1 << 28
"""Largest result whose elements are counted."""
MAX_PLACE = 1 << 62
"""Largest number of an element."""
MAX_READ = 1 << 30
"""Most slots, of all members of an output together, that are counted: a minute or two."""


def covered_exact(program: Program, name: str) -> Outcome:
    """Whether every element of result ``name`` is carried by exactly one slot, by counting."""
    shape = program.theorems[name].shape
    if prod(shape) > MAX_ELEMENTS:
        return Outcome("unknown", reason=f"output {name}: {count_of(prod(shape), 'element')} are too many to count")
    outputs = [o for o in program.outputs if o.name == name]
    read = program.slots * sum(o.size for o in outputs)
    if read > MAX_READ or program.slots > MAX_SLOTS:
        return Outcome("unknown", reason=f"output {name}: {count_of(read, 'slot')} are too many to count")
    count = np.zeros(prod(shape), np.int32)
    # a number of the array's own type: one that numpy has to convert takes forty times as long
    one = count.dtype.type(1)
    for _, _, flat, _ in _carried(program, outputs):
        np.add.at(count, flat, one)
    wrong = np.flatnonzero(count != 1)
    if not wrong.size:
        return Outcome("proved")
    # an element carried twice tells more than one that is missing because of it
    twice = np.flatnonzero(count > 1)
    place = int(twice[0] if twice.size else wrong[0])
    element = tuple(int(i) for i in np.unravel_index(place, shape))
    return Outcome("refuted", Uncovered(name, element, carriers(program, name, element)))


def carriers(program: Program, name: str, element: tuple[int, ...]) -> tuple[tuple[Output, dict[str, int], int], ...]:
    """Every slot that carries an element of a result: output statement, values of its binders, slot."""
    shape = program.theorems[name].shape
    place = int(np.ravel_multi_index(element, shape)) if shape else 0
    places: list[tuple[Output, dict[str, int], int]] = []
    for output, env, flat, slots in _carried(program, [o for o in program.outputs if o.name == name]):
        places.extend((output, env, slot) for slot in slots[flat == place].tolist())
    return tuple(places)


def confirmed_uncovered(program: Program, failure: Uncovered) -> bool | None:
    """Whether an element is carried by no slot or by several, by looking at all of them; None when there are more than
    ``MAX_READ``, or more elements than 64 bits count."""
    outputs = [o for o in program.outputs if o.name == failure.output]
    if prod(program.theorems[failure.output].shape) > MAX_PLACE:
        return None
    if program.slots > MAX_SLOTS or program.slots * sum(o.size for o in outputs) > MAX_READ:
        return None
    many = len(carriers(program, failure.output, failure.element))
    return many > 1 if failure.carriers else many == 0


def _carried(program: Program, outputs: Sequence[Output]) -> Iterator[tuple[Output, dict[str, int], Ids, Slots]]:
    """For each member of each output: the slots that are read, and the flat elements they carry."""
    slot_env = program.slot_env(np.arange(program.slots))
    for output in outputs:
        for env in output.envs():
            slots = np.flatnonzero(program.read_slots(output, env, slot_env))
            yield output, env, program.read_elements(output, env, slot_env)[slots], slots
