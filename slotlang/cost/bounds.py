"""A lower bound on rotations, by how far a layout spreads what an output needs.

Spread bound. t rotations generate at most 2^t distinct shifts (each path from an input ciphertext to an output
composes a subset of them), and a slot of the output reads one slot of the input per shift. If an output
slot depends, for generic weights, on elements that fill at least m slots of one input ciphertext and stand in
no other ciphertext, then 2^t >= m. The bound speaks of the layout and the specification, not of the schedule.
"""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import product
from typing import Any

import numpy as np

from slotlang.meaning.integers import SLOT, evaluate, holds, variables
from slotlang.meaning.program import Output, Program
from slotlang.proof.polyhedral import in_range
from slotlang.proof.terms import Expander, Term, TooComplex

MAX_POINTS = 1 << 22
MAX_PACKED = 1 << 25


def rotation_lower_bound(program: Program) -> int | None:
    """The spread bound over the first slot of every output statement; None when the layout is too large to
    enumerate or is not made of single reads."""
    try:
        where, crowd = _packed(program)
        best = 0
        for output in program.outputs:
            needed = _needed(program, output)
            if needed is None:
                continue
            per_cipher: dict[int, int] = defaultdict(int)
            for tensor, flats in needed.items():
                owners = where[tensor][flats]
                for owner, times in zip(*np.unique(owners[owners >= 0], return_counts=True), strict=True):
                    per_cipher[int(owner)] += int(times)
            most = max((math.ceil(n / crowd[c]) for c, n in per_cipher.items()), default=0)
            best = max(best, math.ceil(math.log2(most)) if most > 1 else 0)
        return best
    except TooComplex:
        return None


def _packed(program: Program) -> tuple[dict[str, Any], dict[int, int]]:
    """Which input ciphertext alone holds each element (-1: none, -2: several), and how many elements a slot
    of each ciphertext holds at most."""
    expander = Expander(program)
    where = {
        t.name: np.full(int(np.prod(t.shape)), -1, np.int64) for t in program.tensors.values() if t.kind == "input"
    }
    crowd: dict[int, int] = {}
    slots = np.arange(program.slots, dtype=np.int64)
    number = 0
    families = [f for f in program.families.values() if f.kind == "cipher"]
    members = sum(int(np.prod([b.size for b in f.binders], dtype=np.int64)) for f in families)
    if members * program.slots > MAX_PACKED:
        raise TooComplex("the layout is too large to enumerate")
    from slotlang.meaning.integers import IntVar

    base = program.slot_env(slots)
    for family in families:
        terms = expander.expand(family.body, {}, IntVar(SLOT))
        for point in product(*(range(b.size) for b in family.binders)):
            env = {**base, **{b.name: v for b, v in zip(family.binders, point, strict=True)}, SLOT: slots}
            crowd[number] = 0
            for term in terms:
                if term.bound:
                    raise TooComplex("a packed ciphertext holds sums")
                crowd[number] += len(term.reads)
                keep = np.ones(program.slots, bool)
                for cond in term.conds:
                    keep &= np.broadcast_to(holds(cond, program.sizes, env), keep.shape)
                for tensor, indices in term.reads:
                    flat = _flat(program, tensor, indices, env, program.slots)[keep]
                    before = where[tensor][flat]
                    where[tensor][flat] = np.where((before == -1) | (before == number), number, -2)
            number += 1
    return where, crowd


def _flat(program: Program, tensor: str, indices: tuple[Any, ...], env: dict[str, Any], count: int) -> Any:
    flat: Any = 0
    for index, size in zip(indices, program.tensors[tensor].shape, strict=True):
        flat = flat * size + np.clip(evaluate(index, program.sizes, env), 0, size - 1)
    return np.broadcast_to(np.asarray(flat, np.int64), (count,))


def _needed(program: Program, output: Output) -> dict[str, Any] | None:
    """Input elements that the first carried slot of an output depends on, for generic weights."""
    slots = np.arange(program.slots, dtype=np.int64)
    first = {b.name: 0 for b in output.binders}
    env = {**program.slot_env(slots), **first, SLOT: slots}
    inside = np.broadcast_to(holds(in_range(program, output), program.sizes, env), slots.shape)
    found = np.flatnonzero(inside)
    if not found.size:
        return None
    slot = int(found[0])
    here = {**program.slot_env(slot), **first, SLOT: slot}
    needed: dict[str, list[Any]] = defaultdict(list)
    for term in Expander(program).element(program.theorems[output.name].form, output.indices):
        for tensor, flat in _inputs(program, term, here):
            needed[tensor].append(flat)
    return {tensor: np.unique(np.concatenate(flats)) for tensor, flats in needed.items()}


def _inputs(program: Program, term: Term, here: dict[str, Any]) -> list[tuple[str, Any]]:
    reads = [(t, i) for t, i in term.reads if program.tensors[t].kind == "input"]
    used = frozenset().union(
        *(variables(i) for _, indices in reads for i in indices), *(variables(c) for c in term.conds)
    )
    bound = [(name, extent) for name, extent in term.bound if name in used]
    total = int(np.prod([e for _, e in bound], dtype=np.int64)) if bound else 1
    if total > MAX_POINTS:
        raise TooComplex("too many elements")
    grid = np.indices([e for _, e in bound] or [1]).reshape(max(1, len(bound)), -1)
    env = {**here, **{name: grid[n] for n, (name, _) in enumerate(bound)}}
    keep = np.ones(total, bool)
    for cond in term.conds:
        keep &= np.broadcast_to(holds(cond, program.sizes, env), keep.shape)
    return [(tensor, _flat(program, tensor, indices, env, total)[keep]) for tensor, indices in reads]
