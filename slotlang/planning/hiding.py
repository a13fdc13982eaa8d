"""What a result ciphertext carries besides the result, and how it is hidden from the key holder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import floor
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang.cost.noise import MASK_MARGIN
from slotlang.diagnostics import SlotError, error
from slotlang.graph.graph import Graph, Member
from slotlang.meaning.integers import IntVar
from slotlang.meaning.program import Family, Program
from slotlang.meaning.value import Arith, Conj, FamilyRef
from slotlang.planning.parameters import Parameters
from slotlang.planning.target import Hide
from slotlang.schedule.ops import State
from slotlang_runtime.amounts import count_of
from slotlang_runtime.messages import DOUBLE_MASK_BITS, HIDING_BITS, mask_bits
from slotlang_runtime.noise import DOUBLE

Slots: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Hiding:
    """What is hidden in results, and how.

    ``doubled``: families that return twice one part and zero in the other, because the conjugate was added.
    ``halves``: result ciphertexts of which one part is read, and half of c0 is sent. ``slots``: those with slots that
    are masked, as no output reads them. ``zero``: families that are zero in all such slots, and so have no masks.
    ``held``: by family of results, a bound on what its masked slots hold, which masks are made for. ``assumed``: these
    are assumed, and weights with which slots hold more are refused when they are encoded. ``whole``: whole ciphertexts
    are sent, also those of ``halves``, whose part that is not read is masked as slots are. ``doubles``: results are
    decoded in double precision.
    """

    mode: Hide
    doubled: frozenset[str] = frozenset()
    halves: frozenset[Member] = frozenset()
    slots: frozenset[Member] = frozenset()
    zero: frozenset[str] = frozenset()
    held: Mapping[str, float] = field(default_factory=dict, hash=False)
    assumed: bool = False
    whole: bool = False
    doubles: bool = False

    @property
    def precise(self) -> bool:
        """Whether masks are encoded, and what is read beside them decoded, with twice the digits of a double."""
        return not self.doubles and any(bits > DOUBLE_MASK_BITS for bits in self.bits.values())

    @property
    def masked(self) -> frozenset[Member]:
        """Results that have a mask."""
        return self.slots | self.halves if self.whole else self.slots

    @property
    def bits(self) -> dict[str, int]:
        """Bits of the masks of slots, by family."""
        return {name: mask_bits(size) for name, size in sorted(self.held.items())}

    def holding(self, hidden: Mapping[str, float], most: Mapping[str, float]) -> dict[str, float]:
        """What masks are made for, by family: a bound on what the slots that are masked hold (``hidden``), or where
        parts are masked on what any slot holds (``most``)."""
        parts = {name for name, _ in self.halves} if self.whole else set()
        return {name: most[name] if name in parts else hidden[name] for name, _ in self.masked}

    def hidden_in(self, name: str) -> str:
        """What masks hide in results of a family."""
        return "slots and parts" if self.whole and any(name == family for family, _ in self.halves) else "slots"

    @property
    def masks(self) -> int:
        """Random plaintexts added in an evaluation."""
        return len(self.masked)

    def masks_note(self) -> list[str]:
        """What masks of slots cost, for whoever does not reach a precision with them."""
        if not self.bits:
            return []
        name = max(sorted(self.bits), key=lambda name: self.bits[name])
        bits = self.bits[name]
        found = [
            f"random values up to 2^{bits} stand in the {self.hidden_in(name)} of '{name}' that no output reads; a "
            "last plaintext that is 0 in these slots, or --hide none, needs none"
        ]
        if self.doubles and bits > DOUBLE_MASK_BITS:
            found.append(
                f"in double precision such values show by some {2.0**bits * DOUBLE:.1e} in what is read; a module with "
                "the runtime, on its own wire, has twice the digits"
            )
        return found

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
            least, most = min(self.bits.values()), max(self.bits.values())
            sizes = f"2^{most}" if least == most else f"2^{least} to 2^{most}"
            guarded = ", which is checked when weights are encoded" if self.assumed else ""
            found.append(
                f"slots not read of {count_of(len(self.slots), 'ciphertext')}, by random values up to {sizes} in each, "
                f"2^{HIDING_BITS} times what it may hold{guarded}"
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


def masked_parts(read: Slots) -> Slots:
    """The parts of slots that are masked where these are read (both 2 x slots): those of a part that is read in other
    slots."""
    found: Slots = ~read & read.any(axis=1, keepdims=True)
    return found


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
    check_masks(hidden, hidden.bits, graph, parameters)
    for name in sorted({name for name, _ in hidden.halves} | hidden.doubled):
        room = _room(parameters, graph.schedule.states[name])
        if room < MASK_MARGIN:
            raise error(
                "SL407",
                "there is no room in the modulus to return twice the part that is read",
                graph.schedule.program.families[name].span,
                notes=[f"{_bits_left(room)} above the scale of '{name}', and {MASK_MARGIN} are needed"],
                hint="choose smaller scales, or return everything as it is with --hide none",
            )


LARGEST_ASSUMED = 32
"""Bits of the largest masks that take room which is there: of larger ones too much shows in double precision."""


def with_all_room(hidden: Hiding, graph: Graph, parameters: Parameters) -> Hiding:
    """Where what slots hold is assumed, masks take the room that there is, up to a bit: then weights are not refused
    for masks that could have been larger. Not where results are decoded in double precision: larger masks make them
    less precise."""
    if not hidden.assumed or hidden.doubles:
        return hidden
    held = {}
    for name, size in hidden.held.items():
        bits = floor(_room(parameters, graph.schedule.states[name])) - MASK_MARGIN - 1
        held[name] = max(size, 2.0 ** (min(bits, LARGEST_ASSUMED) - HIDING_BITS))
    return replace(hidden, held=held)


def check_masks(hidden: Hiding, bits: Mapping[str, int], graph: Graph, parameters: Parameters) -> None:
    """Raises SL407 where the modulus has no room for masks of these bits, by family of results."""
    name = without_room(bits, graph, parameters)
    if name:
        raise no_room(hidden, bits[name], graph, parameters, name)


def without_room(bits: Mapping[str, int], graph: Graph, parameters: Parameters) -> str:
    """The family of results whose masks, of these bits, lack the most; empty where there is room for all."""
    lacking = {n: more + MASK_MARGIN - _room(parameters, graph.schedule.states[n]) for n, more in bits.items()}
    worst = max(sorted(lacking), key=lambda name: lacking[name], default="")
    return worst if lacking.get(worst, 0.0) > 0 else ""


def no_room(
    hidden: Hiding,
    bits: int,
    graph: Graph,
    parameters: Parameters,
    name: str,
    notes: Sequence[str] = (),
    hint: str = "",
) -> SlotError:
    """SL407 about the masks of a family of results, with further notes."""
    assumed = "are assumed to" if hidden.assumed else "may"
    held = hidden.held.get(name, 2.0 ** (bits - HIDING_BITS))
    room = floor(_room(parameters, graph.schedule.states[name]))
    return error(
        "SL407",
        f"there is no room in the modulus to mask {hidden.hidden_in(name)} that no output reads",
        graph.schedule.program.families[name].span,
        notes=[
            f"{hidden.hidden_in(name)} of '{name}' {assumed} hold up to {held:,.6g}, and masks are 2^{HIDING_BITS} "
            f"times that: 2^{bits}",
            f"{_bits_left(max(room, 0))} above the scale of '{name}', and {bits + MASK_MARGIN} are needed",
            *notes,
        ],
        hint=hint
        or "choose smaller scales or more primes, multiply the result by a plaintext that is 0 in these slots, or "
        "return everything as it is with --hide none",
    )


def _bits_left(room: float) -> str:
    number = round(room)
    return f"{count_of(number, 'bit')} {'is' if number == 1 else 'are'} left"


def _room(parameters: Parameters, state: State) -> float:
    """Bits of modulus above the scale of a ciphertext."""
    modulus = sum(parameters.primes[: parameters.data_primes - state.level])
    return modulus - parameters.carried_bits(state.level, state.pending)
