"""What keeps a program from running whatever its parameters are: no ring has vectors of its length."""

from __future__ import annotations

from slotlang.diagnostics import Diagnostic
from slotlang.meaning.program import Program
from slotlang.planning.parameters import MAX_MODULUS_BITS
from slotlang_runtime.amounts import count_of

MOST_SLOTS = max(MAX_MODULUS_BITS) // 2
"""Slots of the largest ring with a 128-bit modulus."""


def ring_note(program: Program) -> Diagnostic | None:
    """SL409 about a program that may be proved and that no ring can run; None where one can. It changes no verdict."""
    slots = program.slots
    if slots > MOST_SLOTS:
        message = f"no ring has these {count_of(slots, 'slot')}: the largest has {MOST_SLOTS:,}, so it can't run"
        hint = "take smaller sizes, or split the layout over several ciphertexts"
    elif slots & (slots - 1):
        message = f"no ring has these {count_of(slots, 'slot')}: pad to {1 << slots.bit_length():,} to run it"
        hint = "choose a power of two of slots and read with `else 0`"
    else:
        return None
    return Diagnostic("SL409", message, program.span, hint=hint)
