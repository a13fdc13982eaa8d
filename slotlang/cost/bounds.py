"""A lower bound on rotations, by how far a layout spreads what an output needs.

Spread bound. t rotations generate at most 2^t distinct shifts (each path from an input ciphertext to an output
composes a subset of them), and a slot of the output reads one slot of the input per shift. If an output
slot depends, for generic weights, on elements that fill at least m slots of one input ciphertext and stand in
no other ciphertext, then 2^t >= m. The bound speaks of the layout and the specification, not of the schedule.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang.graph.ring import PlainEvaluator, Slots
from slotlang.meaning.integers import evaluate
from slotlang.meaning.program import Output, Program
from slotlang.meaning.value import Chain, TensorForm
from slotlang.proof.field import PRIMES, Field, random_field
from slotlang.refusals import GaveUp

MAX_ELEMENTS = 1 << 25
"""Most elements of a tensor that are inspected one by one."""
MAX_PACKED = 1 << 25
"""Most slots of all input ciphertexts together."""

Flat: TypeAlias = npt.NDArray[np.int64]
Mask: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Held:
    """What slots hold: where that may be something at all, and the tensor elements it is made of there."""

    alive: Mask
    reads: tuple[tuple[str, Flat, Mask], ...] = ()

    def where(self, mask: Mask) -> Held:
        return Held(self.alive & mask, tuple((t, flat, old & mask) for t, flat, old in self.reads))


class Reads:
    """A ring in which the value of a slot is the list of the tensor elements it is made of."""

    def __init__(self, slots: int) -> None:
        self.everywhere = np.ones(slots, bool)

    def const(self, re: Any, im: Any) -> Held:
        return Held(self.everywhere & bool(re or im))

    def scalar(self, name: str) -> Held:
        return Held(self.everywhere)

    def gather(self, tensor: str, flat: Slots) -> Held:
        return Held(self.everywhere, ((tensor, flat, self.everywhere),))

    def element(self, form: TensorForm, flat: Slots) -> Held:
        raise GaveUp("an input ciphertext holds elements of a tensor expression")

    def add(self, a: Held, b: Held) -> Held:
        return Held(a.alive | b.alive, a.reads + b.reads)

    def sub(self, a: Held, b: Held) -> Held:
        return self.add(a, b)

    def mul(self, a: Held, b: Held) -> Held:
        return Held(a.alive & b.alive, a.where(b.alive).reads + b.where(a.alive).reads)

    def conj(self, a: Held) -> Held:
        return a

    def masked(self, a: Held, mask: Mask) -> Held:
        return a.where(mask)


def rotation_lower_bound(program: Program) -> int | None:
    """The spread bound over the first slot of every output statement; None when the layout is too large to
    look at every slot, or packs elements of tensor expressions."""
    elements = sum(prod(t.shape) for t in program.tensors.values())
    members = sum(f.size for f in program.families.values() if f.kind == "cipher")
    if elements > MAX_ELEMENTS or members * program.slots > MAX_PACKED:
        return None
    try:
        where, crowd = _packed(program)
        field = random_field(program, PRIMES[:1], 3)
        best = 0
        for output in program.outputs:
            filled = np.zeros(len(crowd))
            for tensor, flats in _needed(program, output, field).items():
                owners = where[tensor][flats]
                filled += np.bincount(owners[owners >= 0], minlength=len(crowd))
            most = int(np.ceil(filled / np.maximum(crowd, 1)).max(initial=0))
            best = max(best, (most - 1).bit_length() if most > 1 else 0)
        return best
    except GaveUp:
        return None


def _packed(program: Program) -> tuple[dict[str, Flat], npt.NDArray[np.int64]]:
    """Which input ciphertext alone holds each element (-1: none, -2: several), and how many elements a slot
    of each ciphertext holds at most."""
    where = {t.name: np.full(prod(t.shape), -1, np.int64) for t in program.tensors.values() if t.kind == "input"}
    evaluator = PlainEvaluator(program, Reads(program.slots))
    crowd: list[int] = []
    for family in program.families.values():
        if family.kind != "cipher":
            continue
        for env in family.envs():
            held = np.zeros(program.slots, np.int64)
            number = len(crowd)
            for tensor, flat, mask in evaluator.value(family.body, env, evaluator.all_slots).reads:
                held += mask
                flat = flat[mask]
                before = where[tensor][flat]
                where[tensor][flat] = np.where((before == -1) | (before == number), number, -2)
            crowd.append(int(held.max()))
    return where, np.array(crowd, np.int64)


def _needed(program: Program, output: Output, field: Field) -> dict[str, Flat]:
    """Input elements that the first carried slot of an output depends on, for generic weights: those in which
    its derivative at a random point of a prime field is not zero."""
    first = dict.fromkeys((b.name for b in output.binders), 0)
    read = np.flatnonzero(program.read_slots(output, first))
    if not read.size:
        return {}
    here: dict[str, Any] = {**program.slot_env(int(read[0])), **first}
    place = [int(evaluate(i, program.sizes, here)) for i in output.indices]
    total: dict[str, Any] = {}
    form = program.theorems[output.name].form
    if form is None:
        # less is known: what a result by elements needs is not looked for
        return {}
    for chain in form.chains:
        for tensor, derivative in _derivatives(program, chain, place, field):
            before = total.get(tensor)
            total[tensor] = derivative if before is None else (before + derivative) % field.primes[0]
    return {tensor: np.flatnonzero(derivative) for tensor, derivative in total.items()}


def _derivatives(
    program: Program, chain: Chain, place: list[int], field: Field
) -> list[tuple[str, npt.NDArray[np.uint64]]]:
    """Derivatives of one element of a product by the elements of each input in it, flat: each is the outer product of
    the row on the input's left and the column on its right."""
    p = field.primes[0]
    matrices = []
    for factor in chain.factors:
        decl = program.tensors[factor.tensor]
        array = field.tensors[factor.tensor][0].reshape(decl.shape).astype(np.uint64)
        matrix = array[:, None] if array.ndim == 1 else array
        matrices.append(matrix.T if factor.transposed else matrix)
    factor_value = chain.coefficient.numerator * pow(chain.coefficient.denominator, -1, p) % p
    for scalar in chain.scalars:
        factor_value = factor_value * int(field.scalars[scalar][0]) % p
    rows = [_unit(matrices[0].shape[0], place[0])]
    for matrix in matrices[:-1]:
        rows.append(_times(rows[-1], matrix, p))
    # a vector is one column
    columns = [_unit(matrices[-1].shape[1], place[1] if len(place) > 1 else 0)]
    for matrix in reversed(matrices[1:]):
        columns.append(_times(columns[-1], matrix.T, p))
    result = []
    for factor, row, column in zip(chain.factors, rows, reversed(columns), strict=True):
        if program.tensors[factor.tensor].kind == "input":
            outer = row[:, None] * (column * np.uint64(factor_value) % np.uint64(p))[None, :] % np.uint64(p)
            result.append((factor.tensor, (outer.T if factor.transposed else outer).reshape(-1)))
    return result


def _unit(size: int, at: int) -> npt.NDArray[np.uint64]:
    vector = np.zeros(size, np.uint64)
    vector[at] = 1
    return vector


def _times(row: npt.NDArray[np.uint64], matrix: npt.NDArray[np.uint64], p: int) -> npt.NDArray[np.uint64]:
    """``row @ matrix`` modulo p, for entries below 2^31; zeros of the row are left out."""
    some = np.flatnonzero(row)
    total = np.zeros(matrix.shape[1], np.uint64)
    for start in range(0, some.size, 1 << 10):
        part = some[start : start + (1 << 10)]
        total += (row[part, None] * matrix[part] % np.uint64(p)).sum(axis=0) % np.uint64(p)
    return total % np.uint64(p)
