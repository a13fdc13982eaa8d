"""Whether a plaintext could be zero whatever the weights, as far as its definition tells."""

from __future__ import annotations

from slotlang.meaning.deep import in_order
from slotlang.meaning.program import Program
from slotlang.meaning.value import (
    Arith,
    Conj,
    Const,
    Element,
    FamilyRef,
    Injective,
    Iverson,
    Linear,
    Negate,
    Permuted,
    Read,
    ScalarRef,
    Shift,
    SumOver,
    Value,
    children,
)


class Vanishing:
    """What may make values zero; families, which may mention each other often, are looked at once."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._vanishing: dict[str, tuple[bool, bool]] = {}
        self._phases: dict[str, complex | None] = {}

    def may_vanish(self, value: Value) -> tuple[bool, bool]:
        """Whether some brackets, padding, pattern or constant may make a value zero; whether a difference may."""
        self._enter(value)
        return self._may_vanish(value)

    def _enter(self, value: Value) -> None:
        """Look at the families that a value mentions: those of which the answers are known are in ``_vanishing``."""
        families = self.program.families
        for name in in_order(families, value, self._vanishing):
            self._phases[name] = self._phase(families[name].body)
            self._vanishing[name] = self._may_vanish(families[name].body)

    def _may_vanish(self, value: Value) -> tuple[bool, bool]:
        program = self.program
        if isinstance(value, Linear):
            (operand,) = children(value)
            vanishing, cancelling = self._may_vanish(operand)
            return vanishing, cancelling or not isinstance(value, Injective)
        match value:
            case Const(re, im):
                return not re and not im, False
            case Iverson():
                return True, False
            case Read(tensor, _, else_zero):
                return else_zero or program.tensors[tensor].pattern is not None, False
            case Element(form, _, else_zero):
                factors = [f for chain in form.chains for f in chain.factors]
                sparse = any(program.tensors[f.tensor].pattern is not None for f in factors)
                return else_zero or sparse, len(form.chains) > 1
            case ScalarRef():
                return False, False
            case FamilyRef(name):
                return self._vanishing[name]
            case Arith(op, left, right):
                a, b = self._may_vanish(left), self._may_vanish(right)
                apart = op == "*" or {self._phase(left), self._phase(right)} == {1, 1j}
                return a[0] or b[0], not apart or a[1] or b[1]

    def phase(self, value: Value) -> complex | None:
        """1 for a value that is real in all slots, 1j for one that is imaginary, None for one that is neither so far as
        can be seen: a real and an imaginary part do not cancel."""
        self._enter(value)
        return self._phase(value)

    def _phase(self, value: Value) -> complex | None:
        match value:
            case Const(re, im):
                return 1 if not im else 1j if not re else None
            case Read() | Element() | ScalarRef() | Iverson():
                return 1
            case FamilyRef(name):
                return self._phases[name]
            case Arith(op, left, right):
                a, b = self._phase(left), self._phase(right)
                if op != "*":
                    return a if a == b else None
                return None if a is None or b is None else 1j if a != b else 1
            case Negate(inner) | Conj(inner) | Shift(inner) | Permuted(inner) | SumOver(body=inner):
                return self._phase(inner)
            case _:
                return None
