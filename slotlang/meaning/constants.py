"""Constants in slot values: folded, and made from sizes."""

from __future__ import annotations

from fractions import Fraction

from slotlang.diagnostics import error
from slotlang.meaning.elements import MAX_FACTORS, MAX_POWER, power_of, too_many_factors
from slotlang.meaning.exponents import WHOLE_POWERS, exponent_of
from slotlang.meaning.integer_functions import LARGEST_POWER
from slotlang.meaning.integers import show, variables
from slotlang.meaning.scope import Local, Scope, integer, text_of
from slotlang.meaning.unroll import Unroll
from slotlang.meaning.value import Arith, Const, Iverson, Value, children
from slotlang.refusals import GaveUp
from slotlang.source import Span
from slotlang.syntax import tree
from slotlang.syntax.definitions import unknown_definition
from slotlang.words import INTEGER_FUNCTIONS

MAX_CONSTANT_BITS = 512
"""Constants are folded while they are shorter than this; longer ones stay expressions."""


def arithmetic(op: str, a: Value, b: Value, span: Span) -> Value:
    """``a op b``, with short constants folded."""
    if not (isinstance(a, Const) and isinstance(b, Const)) or not (_short(a) and _short(b)):
        return Arith(op, a, b, span)
    if op == "*":
        return Const(a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re, span)
    sign = 1 if op == "+" else -1
    return Const(a.re + sign * b.re, a.im + sign * b.im, span)


def _short(c: Const) -> bool:
    parts = (c.re.numerator, c.re.denominator, c.im.numerator, c.im.denominator)
    return all(part.bit_length() < MAX_CONSTANT_BITS for part in parts)


def power(scope: Scope, local: Local, base: Value, e: tree.Binary) -> Value:
    """A value to a whole power, which ``e`` writes.

    Raises SL240 (negative), SL206 (too large), and where the exponent depends on a loop variable ``Unroll``, or
    ``GaveUp`` where loops are kept."""
    place = e.right.span
    written = exponent_of(scope, local.fixed("an exponent"), e.right)
    if used := variables(written):
        if scope.kept is not None:
            raise GaveUp(f"line {place.line}: the exponent {show(written)} depends on {', '.join(sorted(used))}")
        raise Unroll(used, place, "an exponent")
    exponent = scope.value(written)
    most = LARGEST_POWER if isinstance(base, Const) else MAX_POWER
    label = f"is {exponent}" + (f" at {local.point}" if local.values else "")
    if exponent < 0:
        what = "a power has an exponent that is a whole number, 0 or more"
        raise error("SL240", what, place, label=label, hint=WHOLE_POWERS)
    if exponent > most:
        raise error("SL206", f"the exponent of a power is at most {most}", place, label=label)
    if not isinstance(base, Const):
        if (many := exponent * _factors(base)) > MAX_FACTORS:
            raise too_many_factors(many, e.span)
        return power_of(base, exponent, e.span)
    result: Value = Const(Fraction(1), Fraction(0), e.span)
    for _ in range(exponent):
        result = arithmetic("*", result, base, e.span)
    return result


def _factors(value: Value) -> int:
    """Tensors, scalars and families in a product of a value, at most."""
    match value:
        case Const() | Iverson():
            return 0
        case Arith("*", left, right):
            return _factors(left) + _factors(right)
        case _:
            return max(map(_factors, children(value)), default=1)


def number(scope: Scope, local: Local, e: tree.Call) -> Value:
    """A function of sizes as a constant. Raises SL302 for one of an index, SL111 for what is not a function."""
    if e.name in INTEGER_FUNCTIONS:
        value = integer(scope, local, e)
        if not variables(value):
            return Const(Fraction(scope.value(value)), Fraction(0), e.span)
        raise error("SL302", "this is an index, not a value", e.span, hint="use it in indices and conditions")
    if scope.binders(e.name):
        indices = ", ".join(text_of(argument.span) for argument in e.arguments)
        raise error("SL302", f"'{e.name}' is not a function", e.span, hint=f"a member is written {e.name}[{indices}]")
    raise unknown_definition(e, INTEGER_FUNCTIONS)
