"""Exponents of powers, which are whole numbers."""

from __future__ import annotations

from slotlang.diagnostics import SlotError, error
from slotlang.meaning.integers import Int
from slotlang.meaning.scope import Local, Scope, integer, text_of
from slotlang.syntax import tree

__all__ = ["WHOLE_POWERS", "exponent_of"]

WHOLE_POWERS = (
    "write a whole exponent, as in v ** 2; roots and reciprocals are no operations of CKKS: approximate them by a "
    "polynomial, or give what they come to as a weight or a scalar"
)
"""What to do in place of a power that is none."""


def exponent_of(scope: Scope, local: Local, e: tree.Expr) -> Int:
    """``e`` as the exponent of a power: an integer expression. Raises SL240 for a fraction, and as ``integer``."""
    try:
        return integer(scope, local, e)
    except SlotError as problem:
        first = problem.diagnostics[0]
        whole = "a power has an exponent that is a whole number, 0 or more"
        match e:
            case tree.Number():
                label = f"is {text_of(e.span)}"
            case tree.Binary("/") if first.code == "SL204":
                label = first.label
            case _:
                raise
        if first.code not in ("SL203", "SL204"):
            raise
        raise error("SL240", whole, e.span, label=label, hint=WHOLE_POWERS) from None
