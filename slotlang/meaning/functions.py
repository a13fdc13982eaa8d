"""Powers, exclusive ors, functions and choices of integers: shown to have a value wherever they are looked at."""

from __future__ import annotations

from slotlang.diagnostics import error
from slotlang.meaning.exponents import exponent_of
from slotlang.meaning.integer_functions import LARGEST_POWER
from slotlang.meaning.integers import And, Cond, Int, IntCall, IntConst, IntIf, Not, evaluate, holds, variables
from slotlang.meaning.ranges import Escape, escape
from slotlang.meaning.scope import MAX_VALUE, Local, Scope, condition, integer, text_of
from slotlang.refusals import GaveUp
from slotlang.source import Span
from slotlang.syntax import tree
from slotlang.syntax.definitions import unknown_definition
from slotlang.words import INTEGER_FUNCTIONS


def function(scope: Scope, local: Local, e: tree.Expr) -> Int:
    """A power, an exclusive or, a call or a choice as an integer.

    Raises SL240 where it has no value, SL306 where that can't be told, SL111 for a function that is not known, and what
    ``integer`` raises of its parts.
    """
    match e:
        case tree.Binary("**", left, right, span):
            base, exponent = integer(scope, local, left), exponent_of(scope, local, right)
            _whole_power(scope, local, exponent, right.span, span)
            return _folded(IntCall("**", (base, exponent)))
        case tree.Binary("^", left, right):
            args = integer(scope, local, left), integer(scope, local, right)
            for arg, part in zip(args, (left, right), strict=True):
                _not_negative(scope, local, arg, part.span)
            return _folded(IntCall("^", args))
        case tree.Choice(cond, yes, no):
            return _choice(scope, local, cond, yes, no)
        case tree.Call(name, arguments, span):
            if name not in INTEGER_FUNCTIONS:
                raise unknown_definition(e, INTEGER_FUNCTIONS)
            return _call(scope, local, name, arguments, span)
        case _:
            raise AssertionError("not a function of integers")


def taken(scope: Scope, cond: Cond) -> bool:
    """Which way a condition without variables goes."""
    return bool(holds(cond, scope.sizes, {}))


def _choice(scope: Scope, local: Local, cond: tree.Expr, yes: tree.Expr, no: tree.Expr) -> Int:
    test = condition(scope, local, cond)
    if not variables(test):
        return integer(scope, local, yes if taken(scope, test) else no)
    return IntIf(test, integer(scope, local.where(test), yes), integer(scope, local.where(Not(test)), no))


def _call(scope: Scope, local: Local, name: str, arguments: tuple[tree.Expr, ...], span: Span) -> Int:
    args = tuple(integer(scope, local, argument) for argument in arguments)
    if name != "log2":
        return _folded(IntCall(name, args))
    if len(args) != 1:
        raise error("SL240", "log2 takes one integer", span, label=f"{len(args)} are given", hint="write log2(n)")
    if used := variables(args[0]):
        raise error(
            "SL240",
            "log2 takes an integer made of sizes and constants",
            arguments[0].span,
            label=f"depends on {', '.join(sorted(used))}",
            hint="take log2 of a size, or of a constant",
        )
    number = scope.value(args[0])
    if number < 1 or number & (number - 1):
        near = number.bit_length() - 1
        raise error(
            "SL240",
            f"{number} is not a power of two, so log2 of it is not whole",
            span,
            label=_where(local, f"`{text_of(arguments[0].span)}` is {number}"),
            hint=f"{1 << near} and {2 << near} are" if number > 0 else "powers of two are 1, 2, 4, ...",
        )
    return _folded(IntCall(name, args))


def _folded(e: IntCall) -> Int:
    """A function of numbers is a number."""
    return IntConst(int(evaluate(e, {}, {}))) if all(isinstance(a, IntConst) for a in e.args) else e


def _where(local: Local, label: str) -> str:
    return f"{label}, at {local.point}" if local.values else label


def _escape(scope: Scope, local: Local, e: Int, size: int, span: Span) -> Escape | None:
    """Where ``e``, looked at, leaves [0, size)."""
    if local.given:
        e = IntIf(And(local.given), e, IntConst(0))
    try:
        return escape(scope, local, e, size)
    except GaveUp as problem:
        raise error(
            "SL306",
            f"can't tell whether this stays between 0 and {size - 1}",
            span,
            notes=[problem.reason],
            hint="write it more simply",
        ) from None


def _whole_power(scope: Scope, local: Local, exponent: Int, place: Span, span: Span) -> None:
    """Raises SL240 for an exponent below 0, SL206 for one that is too large."""
    bad = _escape(scope, local, exponent, LARGEST_POWER + 1, place)
    if bad is None:
        return
    at = f" at {bad.at}" if bad.at else ""
    label = _where(local, f"is {bad.value}{at}")
    if bad.value < 0:
        raise error(
            "SL240",
            "a power has an exponent that is a whole number, 0 or more",
            place,
            label=label,
            hint=f"choose by the exponent: ({text_of(span)} if {text_of(place)} >= 0 else ...)",
        )
    raise error("SL206", f"the exponent of a power is at most {LARGEST_POWER}", place, label=label)


def _not_negative(scope: Scope, local: Local, e: Int, place: Span) -> None:
    bad = _escape(scope, local, e, MAX_VALUE, place)
    if bad is not None:
        at = f" at {bad.at}" if bad.at else ""
        raise error(
            "SL240",
            "an exclusive or is of the bits of numbers that are 0 or more",
            place,
            label=_where(local, f"is {bad.value}{at}"),
            hint="wrap it around: (...) % n" if bad.value < 0 else "",
        )
