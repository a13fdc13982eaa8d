"""``bound`` statements: what a program assumes of the magnitudes of its inputs, weights and scalars."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Literal

from slotlang.diagnostics import SlotError, error
from slotlang.meaning.bind_value import count, given
from slotlang.meaning.exponents import exponent_of
from slotlang.meaning.program import Bound
from slotlang.meaning.scope import Local, Scope, text_of, unknown_name
from slotlang.meaning.tensors import shape_text
from slotlang.syntax import tree
from slotlang.syntax.printer import bounded_text

MAX_LIMIT_BITS = 128
"""A limit lies between 2^-128 and 2^128: beyond these no parameters hold a message, and squares stay finite."""

MAX_LIMIT_TEXT = 120
"""Longest limit, in characters without blanks; what it comes to is computed exactly."""


def bind_bound(scope: Scope, statement: tree.Bound, others: Iterable[Bound]) -> Bound:
    """The meaning of a ``bound`` statement; ``others`` are those above it.

    Raises SL201 (name), SL202 (an index's name), SL217 (limit), SL218 (bounded twice), SL219 (what has no bound),
    SL223 (norm), SL303 (number of indices).
    """
    axis = _axis(scope, statement)
    kind: Literal["entry", "norm"] = "entry" if axis is None else "norm"
    limit = _limit(scope, statement.limit)
    bound = Bound(statement.name.name, kind, axis, limit, statement.span)
    for other in others:
        if other.same(bound):
            about = bounded_text(statement)
            raise error(
                "SL218",
                f"{about} is bounded twice",
                statement.span,
                label=f"by {number_text(limit)}",
                notes=[f"line {other.span.line} bounds it by {number_text(other.limit)}"],
                hint="keep one of the two: the smaller one implies the other",
            )
    return bound


def _axis(scope: Scope, statement: tree.Bound) -> int | None:
    """The dimension that a norm goes along; None for a bound of all elements."""
    name, place = statement.name.name, statement.name.span
    scope.sure(name)
    scalar = name in scope.scalars
    if not scalar and name not in scope.tensors:
        if name not in scope.declared:
            raise unknown_name(scope, name, place, [*scope.tensors, *scope.scalars])
        raise error(
            "SL219",
            f"'{name}' can't be bounded",
            place,
            label=f"is {scope.what_is(name)}",
            hint="a bound is about an input, a weight or a scalar",
        )
    if statement.kind == "entry":
        return None
    if scalar:
        raise error(
            "SL223",
            f"'{name}' is one number, and has no norm",
            place,
            label="is a scalar",
            hint=f"bound its magnitude: bound |{name}| <= {text_of(statement.limit.span)}",
        )
    shape, places = scope.tensors[name].shape, statement.places or (None,)
    about = f"'{name}' has {count(len(shape), 'dimension')}"
    if len(places) != len(shape):
        raise error(
            "SL303",
            f"{about}, and {given(statement.places)}",
            place,
            notes=[f"its shape is {shape_text(shape)}"],
            hint=_form(name, len(shape)),
        )
    along = [axis for axis, index in enumerate(places) if index is None]
    if len(along) != 1:
        raise error(
            "SL223",
            f'a norm goes along one dimension, and {f"{len(along)} are" if along else "none is"} given as ":"',
            place,
            label=f"its shape is {shape_text(shape)}",
            hint=_form(name, len(shape)),
        )
    _check_indices(scope, [index for index in places if index is not None])
    return along[0]


def _check_indices(scope: Scope, indices: list[tree.Name]) -> None:
    """Raises SL202 for an index whose name is another's, or means something that has one value."""
    seen: set[str] = set()
    for index in indices:
        fixed = index.name in scope.declared and index.name not in scope.digits
        if fixed or index.name in seen:
            raise error(
                "SL202",
                f"'{index.name}' is already {scope.what_is(index.name) if fixed else 'an index here'}",
                index.span,
                hint="give the index a name of its own: the bound holds for each of its values",
            )
        seen.add(index.name)


def _form(name: str, dimensions: int) -> str:
    """How norms of a tensor are written."""
    if dimensions == 1:
        return f"write norm({name})"
    free = [c for c in "ijklmnop" if c != name][:dimensions]
    forms = [f"norm({name}[{', '.join([*free[:k], ':', *free[k + 1 :]])}])" for k in range(dimensions)]
    return f"write {', '.join(forms[:-1])} or {forms[-1]}"


def _limit(scope: Scope, e: tree.Expr) -> Fraction:
    """The value of a limit, exactly. Raises SL217 and SL201."""
    if len(text_of(e.span).replace(" ", "")) > MAX_LIMIT_TEXT:
        raise _wrong(e, f"a limit has at most {MAX_LIMIT_TEXT} characters", "")
    limit = _rational(scope, e)
    if limit <= 0:
        raise _wrong(e, "a limit is positive", f"is {number_text(limit)}")
    if not Fraction(1, 1 << MAX_LIMIT_BITS) <= limit <= 1 << MAX_LIMIT_BITS:
        span = f"2^-{MAX_LIMIT_BITS} and 2^{MAX_LIMIT_BITS}"
        raise _wrong(e, f"a limit lies between {span}", f"is about {power_text(limit)}")
    return limit


def _rational(scope: Scope, e: tree.Expr) -> Fraction:
    match e:
        case tree.Number(value, False):
            return value
        case tree.Name(name, span):
            scope.sure(name)
            if name in scope.sizes:
                return Fraction(scope.sizes[name])
            if name in scope.declared:
                raise _wrong(e, "a limit is made of numbers and sizes", f"is {scope.what_is(name)}")
            raise unknown_name(scope, name, span, scope.sizes)
        case tree.Unary("-", operand):
            return -_rational(scope, operand)
        case tree.Binary("**", left, right):
            exponent = scope.value(exponent_of(scope, Local({}, False, "an exponent"), right))
            if not 0 <= exponent <= MAX_LIMIT_BITS:
                raise _wrong(right, f"an exponent is 0 to {MAX_LIMIT_BITS}", f"is {exponent}")
            return _rational(scope, left) ** exponent
        case tree.Binary("+" | "-" | "*" | "/" as op, left, right):
            a, b = _rational(scope, left), _rational(scope, right)
            if op == "/" and not b:
                raise _wrong(right, "a limit divides by zero", "is 0")
            return a + b if op == "+" else a - b if op == "-" else a * b if op == "*" else a / b
        case _:
            raise _wrong(e, "a limit is a real number", "is not one made of numbers and sizes with + - * / **")


def _wrong(e: tree.Expr, message: str, label: str) -> SlotError:
    return error("SL217", message, e.span, label=label, hint="for example 8, 0.25, 1/64 or 4*d, where d is a size")


def power_text(value: Fraction) -> str:
    """A positive number by the nearest power of two, ``2^-130``."""
    return f"2^{value.numerator.bit_length() - value.denominator.bit_length()}"


def number_text(value: Fraction) -> str:
    """A limit as it is read: ``8``, ``0.25``, or ``1/3`` where decimals do not end soon."""
    for places in range(7):
        scaled = value * 10**places
        if scaled.denominator == 1:
            digits = str(abs(scaled.numerator)).rjust(places + 1, "0")
            whole = f"{digits[:-places]}.{digits[-places:]}" if places else digits
            return f"-{whole}" if value < 0 else whole
    return str(value)
