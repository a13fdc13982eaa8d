"""What a result ciphertext carries besides the result, and how it is hidden from the key holder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang.cost.noise import MASK_MARGIN
from slotlang.diagnostics import error
from slotlang.graph.graph import Graph, Member
from slotlang.meaning.integers import IntVar
from slotlang.meaning.program import Family, Program
from slotlang.meaning.value import Arith, Conj, FamilyRef
from slotlang.planning.parameters import Parameters
from slotlang.planning.target import Hide
from slotlang.schedule.ops import State

Slots: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Hiding:
    """What is hidden in results, and how.

    ``doubled``: families that return twice one part and zero in the other, because the conjugate was added. ``parts``
    and ``slots``: result ciphertexts whose other part is masked, and those that have slots which no output reads,
    masked too.
    """

    mode: Hide
    doubled: frozenset[str] = frozenset()
    parts: frozenset[Member] = frozenset()
    slots: frozenset[Member] = frozenset()

    @property
    def masks(self) -> int:
        """Random plaintexts added in an evaluation."""
        return len(self.parts) + len(self.slots)

    def sentence(self) -> str:
        """The sentence in the module's header."""
        if self.mode == "none":
            return (
                "Hidden from the key holder: nothing (--hide none). Every slot and both parts are returned as they are."
            )
        found = []
        if self.doubled:
            found.append(f"the part not read, exactly, by adding the conjugate ({', '.join(sorted(self.doubled))})")
        if self.parts:
            found.append(f"the part not read of {len(self.parts)} ciphertexts, by a uniform mask")
        if self.slots:
            found.append(
                f"slots not read of {len(self.slots)} ciphertexts, by masks as large as modulus and precision allow"
            )
        return f"Hidden from the key holder (--hide {self.mode}): {'; '.join(found) or 'nothing, as all is result'}."


def with_conjugates(program: Program) -> tuple[Program, frozenset[str]]:
    """The program that returns ``Y + conj Y``, or ``Y - conj Y``, where only a part of Y is read; and the new families.

    These hold twice the part, so unpacking halves them. A family with a member that is read whole, or in both parts,
    stays as it is, and its other members are masked.
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


def hiding(graph: Graph, parameters: Parameters, mode: Hide, doubled: frozenset[str]) -> Hiding:
    """What a module with this graph hides. Raises SL407 where the modulus has no room for it."""
    if mode == "none":
        return Hiding(mode)
    masked: tuple[set[Member], set[Member]] = set(), set()
    for member, read in read_slots(graph).items():
        family = member[0]
        parts = [slots for slots in read if slots.any()]
        alone = len(parts) == 1
        unread = not all(slots.all() for slots in parts)
        for wanted, found in zip((alone and family not in doubled, unread), masked, strict=True):
            if wanted:
                found.add(member)
        if unread or alone:
            room = _room(parameters, graph.schedule.states[family])
            if room < MASK_MARGIN + 1:
                raise error(
                    "SL407",
                    "there is no room in the modulus to hide slots that are not part of the result",
                    graph.schedule.program.families[family].span,
                    notes=[f"{room:.0f} bits are left above the scale, and {MASK_MARGIN + 1} are needed"],
                    hint="choose smaller scales, or return everything as it is with --hide none",
                )
    return Hiding(mode, doubled, *map(frozenset, masked))


def _room(parameters: Parameters, state: State) -> float:
    """Bits of modulus above the scale of a ciphertext."""
    modulus = sum(parameters.primes[: parameters.data_primes - state.level])
    return modulus - parameters.carried_bits(state.level, state.pending)
