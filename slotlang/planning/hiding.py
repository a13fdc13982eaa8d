"""What a result ciphertext carries besides the result, and how it is hidden from the key holder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang.cost.noise import MASK_BITS, MASK_MARGIN
from slotlang.diagnostics import error
from slotlang.graph.graph import Graph, Member
from slotlang.meaning.integers import IntVar
from slotlang.meaning.program import Family, Program
from slotlang.meaning.value import Arith, Conj, FamilyRef
from slotlang.planning.parameters import Parameters
from slotlang.planning.target import Hide
from slotlang.schedule.ops import State
from slotlang_runtime.amounts import count_of

Slots: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Hiding:
    """What is hidden in results, and how.

    ``doubled``: families that return twice one part and zero in the other, because the conjugate was added.
    ``halves``: result ciphertexts of which one part is read, and half of c0 is sent. ``slots``: those with slots that
    are masked, as no output reads them. ``zero``: families that are zero in all such slots, and so have no masks.
    """

    mode: Hide
    doubled: frozenset[str] = frozenset()
    halves: frozenset[Member] = frozenset()
    slots: frozenset[Member] = frozenset()
    zero: frozenset[str] = frozenset()

    @property
    def masks(self) -> int:
        """Random plaintexts added in an evaluation."""
        return len(self.slots)

    def sentence(self) -> str:
        """The sentence in the module's header."""
        if self.mode == "none":
            return (
                "Hidden from the key holder: nothing (--hide none). Every slot and both parts are returned as they are."
            )
        found = []
        if self.doubled:
            found.append(f"the part not read, exactly, by adding the conjugate ({', '.join(sorted(self.doubled))})")
        if self.halves:
            found.append(
                f"the part not read of {count_of(len(self.halves), 'ciphertext')}, exactly, as half of c0 is sent"
            )
        if self.zero:
            found.append(f"slots not read of {', '.join(sorted(self.zero))}, exactly, as zeros in the last weights")
        if self.slots:
            found.append(
                f"slots not read of {count_of(len(self.slots), 'ciphertext')}, by "
                f"random values up to 2^{MASK_BITS} in each"
            )
        return f"Hidden from the key holder (--hide {self.mode}): {'; '.join(found) or 'nothing, as all is result'}."


def with_conjugates(program: Program) -> tuple[Program, frozenset[str]]:
    """The program that returns ``Y + conj Y``, or ``Y - conj Y``, where only a part of Y is read; and the new families.

    These hold twice the part, so unpacking halves them. A family with a member that is read whole, or in both parts,
    stays as it is; of its members of which one part is read, half of c0 is sent.
    """
    parts: dict[str, set[str | None]] = {}
    for output in program.outputs:
        parts.setdefault(output.family.name, set()).add(output.part)
    families, steps = dict(program.families), list(program.steps)
    renamed: dict[str, str] = {}
    taken = {*program.sizes, *program.tensors, *program.scalars, *program.digits, *families, *program.permutations}
    for name, found in parts.items():
        if len(found) != 1 or None in found:
            continue
        (part,) = found
        family = program.families[name]
        fresh = f"{name}_{part}"
        while fresh in taken:
            fresh += "_"
        ref = FamilyRef(name, tuple(IntVar(b.name) for b in family.binders), family.span)
        body = Arith("+" if part == "re" else "-", ref, Conj(ref, family.span), family.span)
        families[fresh] = Family("compute", fresh, family.binders, body, family.span)
        steps.append(families[fresh])
        renamed[name] = fresh
    outputs = tuple(
        replace(o, family=replace(o.family, name=renamed.get(o.family.name, o.family.name))) for o in program.outputs
    )
    changed = replace(program, families=families, steps=tuple(steps), outputs=outputs)
    return changed, frozenset(renamed.values())


def read_slots(graph: Graph) -> dict[Member, tuple[Slots, Slots]]:
    """For each returned ciphertext, the slots whose real part and those whose imaginary part an output reads."""
    program = graph.schedule.program
    slot = program.slot_env(np.arange(program.slots))
    read: dict[Member, tuple[Slots, Slots]] = {}
    for node in graph.outputs:
        inside = program.read_slots(node.output, node.binders, slot)
        empty = np.zeros(program.slots, np.bool_), np.zeros(program.slots, np.bool_)
        for part, slots in zip(("re", "im"), read.setdefault(node.member, empty), strict=True):
            if node.output.part in (None, part):
                slots |= inside
    return read


def hiding(graph: Graph, mode: Hide, doubled: frozenset[str], zero: frozenset[str]) -> Hiding:
    """What a module with this graph hides. ``doubled`` and ``zero`` as in ``Hiding``."""
    if mode == "none":
        return Hiding(mode)
    halves, slots = set[Member](), set[Member]()
    for member, read in read_slots(graph).items():
        parts = [inside for inside in read if inside.any()]
        if len(parts) == 1 and member[0] not in doubled:
            halves.add(member)
        if not all(inside.all() for inside in parts) and member[0] not in zero:
            slots.add(member)
    return Hiding(mode, doubled, frozenset(halves), frozenset(slots), zero)


def check_room(hidden: Hiding, graph: Graph, parameters: Parameters) -> None:
    """Raises SL407 where the modulus has no room for the masks, or for twice a part."""
    families = graph.schedule.program.families
    twice = {name for name, _ in hidden.halves} | hidden.doubled
    for what, names, needed in (
        ("mask slots that no output reads", {name for name, _ in hidden.slots}, MASK_BITS + MASK_MARGIN),
        ("return twice the part that is read", twice, MASK_MARGIN),
    ):
        for name in sorted(names):
            room = _room(parameters, graph.schedule.states[name])
            if room < needed:
                raise error(
                    "SL407",
                    f"there is no room in the modulus to {what}",
                    families[name].span,
                    notes=[f"{room:.0f} bits are left above the scale of '{name}', and {needed} are needed"],
                    hint=_hint(needed),
                )


def _hint(needed: int) -> str:
    if needed == MASK_MARGIN:
        return "choose smaller scales, or return everything as it is with --hide none"
    return (
        "choose smaller scales or more primes, multiply the result by a plaintext that is 0 in these slots, or return "
        "everything as it is with --hide none"
    )


def _room(parameters: Parameters, state: State) -> float:
    """Bits of modulus above the scale of a ciphertext."""
    modulus = sum(parameters.primes[: parameters.data_primes - state.level])
    return modulus - parameters.carried_bits(state.level, state.pending)
