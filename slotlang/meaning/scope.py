"""Names in force while a program is bound, and integer expressions and conditions over them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

from slotlang.diagnostics import SlotError, closest, error
from slotlang.meaning.integers import (
    SLOT,
    And,
    Cmp,
    Cond,
    Int,
    IntConst,
    IntOp,
    IntSize,
    IntVar,
    Not,
    Or,
    evaluate,
    variables,
)
from slotlang.meaning.program import Digit, Family, Permutation, TensorDecl
from slotlang.source import Span
from slotlang.syntax import tree

MAX_INTEGER = 1 << 40
"""Largest size or constant in an index: far above any real one, far below overflow in 64 bits."""


class Poisoned(Exception):
    """A statement uses a name whose own definition was wrong: no message of its own."""


@dataclass
class Scope:
    """Everything declared so far. ``poisoned`` holds names whose definition failed."""

    sizes: dict[str, int] = field(default_factory=dict)
    slots: Int | None = None
    digits: dict[str, Digit] = field(default_factory=dict)
    axes: list[tuple[str, ...]] = field(default_factory=list)
    tensors: dict[str, TensorDecl] = field(default_factory=dict)
    scalars: dict[str, Span] = field(default_factory=dict)
    families: dict[str, Family] = field(default_factory=dict)
    permutations: dict[str, Permutation] = field(default_factory=dict)
    declared: dict[str, tuple[str, Span]] = field(default_factory=dict)
    poisoned: set[str] = field(default_factory=set)

    def declare(self, name: str, what: str, span: Span) -> None:
        """Take a name for good. Raises SL202 when it is taken."""
        if name in self.declared:
            kind, first = self.declared[name]
            raise error(
                "SL202",
                f"'{name}' is already {kind}",
                span,
                notes=[f"first declared in line {first.line}"],
                hint="choose another name",
            )
        self.declared[name] = (what, span)

    def candidates(self) -> list[str]:
        """Every name that could have been meant."""
        return [*self.declared, SLOT]


@dataclass(frozen=True)
class Local:
    """Variables in force inside one statement: loop variables with their extents, and whether the
    expression may depend on the slot."""

    extents: Mapping[str, int]
    slotwise: bool
    why: str = ""

    def fixed(self, why: str) -> Local:
        """The same without slot digits; ``why`` completes "... can't depend on the slot"."""
        return replace(self, slotwise=False, why=why)

    def bind(self, name: str, extent: int) -> Local:
        """With one more loop variable."""
        return replace(self, extents={**self.extents, name: extent})


def unknown_name(scope: Scope, name: str, span: Span, extra: Iterable[str] = (), what: str = "") -> SlotError:
    """SL201, or ``Poisoned`` when the name's own definition was already reported."""
    if name in scope.poisoned:
        raise Poisoned(name)
    candidates = [*scope.candidates(), *extra]
    return error(
        "SL201",
        f"'{name}' is not known{what}",
        span,
        hint=closest(name, candidates),
    )


def _misused(scope: Scope, name: str, span: Span) -> SlotError:
    kind = scope.declared[name][0]
    return error(
        "SL203",
        f"'{name}' is {kind}, and an integer is needed here",
        span,
        hint="indices are built from sizes, loop variables, slot digits and integer constants",
    )


def integer(scope: Scope, local: Local, e: tree.Expr) -> Int:
    """``e`` as an integer expression. Raises SL201, SL203, SL204 (inexact division), SL205 (divisors)."""
    match e:
        case tree.Number(value, imaginary, span):
            if imaginary or value.denominator != 1:
                raise error("SL203", "an index needs an integer", span, label="not an integer")
            if value > MAX_INTEGER:
                raise error("SL206", f"{value} is beyond the largest integer, 2^40", span)
            return IntConst(int(value))
        case tree.Name(name, span):
            return _variable(scope, local, name, span)
        case tree.Unary("-", operand):
            inner = integer(scope, local, operand)
            return IntConst(-inner.value) if isinstance(inner, IntConst) else IntOp("-", IntConst(0), inner)
        case tree.Binary("+" | "-" | "*" | "//" | "%" | "/" as op, left, right, span):
            return _arithmetic(scope, op, integer(scope, local, left), integer(scope, local, right), right, span)
        case _:
            raise error(
                "SL203",
                "an integer is needed here",
                e.span,
                label="not an integer expression",
                hint="indices are built from sizes, loop variables, slot digits, integers and + - * // %",
            )


def _variable(scope: Scope, local: Local, name: str, span: Span) -> Int:
    if name in local.extents:
        return IntVar(name)
    if name in scope.sizes:
        return IntSize(name)
    if name == SLOT or name in scope.digits:
        if name == SLOT and scope.slots is None:
            raise error("SL210", "the number of slots is not known yet", span, hint="declare axes first")
        if not local.slotwise:
            raise error(
                "SL207", f"{local.why} can't depend on the slot", span, label=f"'{name}' differs from slot to slot"
            )
        return IntVar(name)
    if name in scope.declared:
        raise _misused(scope, name, span)
    raise unknown_name(scope, name, span, local.extents)


def _arithmetic(scope: Scope, op: str, a: Int, b: Int, divisor: tree.Expr, span: Span) -> Int:
    if op in ("//", "%", "/"):
        if variables(b):
            raise error(
                "SL205",
                f'the right side of "{op}" must be made of sizes',
                divisor.span,
                label=f"depends on {', '.join(sorted(variables(b)))}",
            )
        value = evaluate(b, scope.sizes, {})
        if value <= 0:
            raise error("SL205", f'the right side of "{op}" must be positive', divisor.span, label=f"is {value}")
    if op == "/":
        if variables(a):
            raise error(
                "SL204",
                '"/" must divide exactly, which is not known of a variable',
                span,
                hint='use "//" (floor) and "%" (remainder)',
            )
        numerator, denominator = evaluate(a, scope.sizes, {}), evaluate(b, scope.sizes, {})
        if numerator % denominator:
            raise error(
                "SL204",
                f"{numerator} is not a multiple of {denominator}",
                span,
                label=f"{numerator} / {denominator} leaves {numerator % denominator}",
                hint='"/" must divide exactly; choose other sizes, or use "//" for the floor and "%" for the remainder',
            )
        op = "//"
    if isinstance(a, IntConst) and isinstance(b, IntConst):
        result = IntConst(evaluate(IntOp(op, a, b), {}, {}))
    else:
        result = IntOp(op, a, b)  # type: ignore[assignment]
    if not variables(result) and abs(value := evaluate(result, scope.sizes, {})) > MAX_INTEGER:
        raise error("SL206", f"this comes to {value}, beyond the largest integer, 2^40", span)
    return result


def constant(scope: Scope, e: tree.Expr, why: str) -> int:
    """``e`` evaluated; only sizes and constants may occur."""
    expression = integer(scope, Local({}, False, why), e)
    return int(evaluate(expression, scope.sizes, {}))


def condition(scope: Scope, local: Local, e: tree.Expr) -> Cond:
    """``e`` as a condition. Raises SL208 when it is a value."""
    match e:
        case tree.Compare(ops, operands):
            values = [integer(scope, local, operand) for operand in operands]
            parts = tuple(Cmp(op, a, b) for op, a, b in zip(ops, values, values[1:], strict=False))
            return parts[0] if len(parts) == 1 else And(parts)
        case tree.Binary("and", left, right):
            return And((condition(scope, local, left), condition(scope, local, right)))
        case tree.Binary("or", left, right):
            return Or((condition(scope, local, left), condition(scope, local, right)))
        case tree.Unary("not", operand):
            return Not(condition(scope, local, operand))
        case (
            tree.Number()
            | tree.Name()
            | tree.Index()
            | tree.Transpose()
            | tree.Unary()
            | tree.Binary()
            | tree.Bracket()
            | tree.Sum()
            | tree.Permute()
        ):
            raise error("SL208", "a condition is needed here", e.span, hint="such as `h < 16` or `C % R == 0`")
        case _:
            assert_never(e)
