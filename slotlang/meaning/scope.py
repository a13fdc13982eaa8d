"""Names in force while a program is bound, and integer expressions and conditions over them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, assert_never

from slotlang.diagnostics import SlotError, closest, error
from slotlang.meaning.circles import circle, circle_hint
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
    bounds,
    evaluate,
    variables,
)
from slotlang.meaning.program import Binder, Digit, Family, Permutation, TensorDecl
from slotlang.source import Span
from slotlang.syntax import tree
from slotlang.words import COMMENTS, OTHER_COMMENT

if TYPE_CHECKING:
    from slotlang.meaning.kept import Kept
    from slotlang.meaning.unroll import Split

MAX_INTEGER = 1 << 40
"""Largest size or constant in an index: far above any real one."""
MAX_VALUE = 1 << 62
"""No integer expression has a value beyond this at any step, so 64-bit arrays can hold it."""


MAX_EFFORT = 1 << 25
"""Most index values tried for the reads of one program, times the length of the index."""


DIGIT = "a slot digit"
"""What a digit is declared as."""


class Poisoned(Exception):
    """A statement uses a name whose own definition was wrong: no message of its own."""


@dataclass
class Scope:
    """Everything declared so far.

    ``poisoned`` holds names with a failed definition, be it a second one; ``loops`` every loop variable
    met with its first place; ``later`` the places of all declarations, for messages about use before them;
    ``effort`` is what is left of ``MAX_EFFORT``; ``splits`` are the families that are written out, and the one that is
    being defined; ``named`` holds the expressions of named tensors; ``kept`` is there where nothing is written out;
    ``defining`` is the kind of the family that is being defined.
    """

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
    loops: dict[str, Span] = field(default_factory=dict)
    later: Mapping[str, Span] = field(default_factory=dict)
    effort: int = MAX_EFFORT
    splits: dict[str, Split] = field(default_factory=dict)
    named: dict[str, tree.Expr] = field(default_factory=dict)
    kept: Kept | None = None
    defining: str = ""

    def copy(self) -> Scope:
        """One to which more can be declared, while this one stays."""
        return replace(self, **{f.name: copy(getattr(self, f.name)) for f in fields(self)})

    def binders(self, family: str) -> tuple[Binder, ...] | None:
        """The indices of a family, one that is written out or that is being defined as well; None for other names."""
        if family in self.splits:
            return self.splits[family].binders
        return self.families[family].binders if family in self.families else None

    def free(self, name: str, span: Span) -> None:
        """Raises SL202 when the name is taken, ``Poisoned`` when its first definition was wrong."""
        if name in self.declared:
            kind, first = self.declared[name]
        elif name in self.loops:
            kind, first = "a loop variable", self.loops[name]
        else:
            self.sure(name)
            return
        raise error(
            "SL202",
            f"'{name}' is already {kind}",
            span,
            notes=[f"first declared in line {first.line}"],
            hint="choose another name",
        )

    def declare(self, name: str, what: str, span: Span) -> None:
        """Take a name for good, once its meaning is known. Raises SL202 when it is taken."""
        self.free(name, span)
        self.declared[name] = (what, span)

    def loop(self, name: str, span: Span) -> None:
        """Use a name as a loop variable; other statements may use it again. Raises SL202."""
        if name not in self.loops:
            self.free(name, span)
            self.loops[name] = span

    def sure(self, name: str) -> None:
        """Raises ``Poisoned`` when a definition of the name was wrong, so that its uses tell nothing."""
        if name in self.poisoned:
            raise Poisoned(name)

    def value(self, e: Int) -> int:
        """The value of an integer expression without variables."""
        return int(evaluate(e, self.sizes, {}))

    def digit(self, name: str, slot: int) -> int:
        """The value of a slot digit at a slot."""
        return int(evaluate(self.digits[name].of(IntVar(SLOT)), self.sizes, {SLOT: slot}))

    def what_is(self, name: str) -> str:
        """A declared name's kind, in words."""
        return self.declared[name][0]


@dataclass(frozen=True)
class Local:
    """Variables in force inside one statement: loop variables with their extents, and whether the
    expression may depend on the slot. Made for every loop of every member, so without ``replace``."""

    extents: Mapping[str, int]
    slotwise: bool
    why: str = ""
    values: Mapping[str, int] = field(default_factory=dict)
    """Loop variables that have one value here: their loops are unrolled."""
    given: tuple[Cond, ...] = ()
    """What holds where this expression is looked at: the conditions of the choices around it."""

    def fixed(self, why: str) -> Local:
        """This environment without slot digits; ``why`` completes "... can't depend on the slot"."""
        return Local(self.extents, False, why, self.values, self.given)

    def bind(self, name: str, extent: int) -> Local:
        """With one more loop variable."""
        return Local({**self.extents, name: extent}, self.slotwise, self.why, self.values, self.given)

    def at(self, values: Mapping[str, int]) -> Local:
        """With values of some loop variables."""
        return Local(self.extents, self.slotwise, self.why, {**self.values, **values}, self.given)

    def where(self, condition: Cond) -> Local:
        """Inside a branch that a condition takes."""
        return Local(self.extents, self.slotwise, self.why, self.values, (*self.given, condition))

    @property
    def point(self) -> str:
        """``k = 0, c = 2``: the values there are."""
        return ", ".join(f"{name} = {value}" for name, value in self.values.items())


def name_span(name: str, span: Span) -> Span:
    """The place of the first mention of ``name`` inside ``span``, where it is declared."""
    match = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", span.text)
    return Span(span.source, span.start + match.start(), span.start + match.end()) if match else span


def last_mention(name: str, span: Span) -> Span:
    """The place of the last mention of ``name`` inside ``span``."""
    start = span.start + span.text.rindex(name)
    return Span(span.source, start, start + len(name))


def text_of(span: Span) -> str:
    """The program text at a place on one line, without comments."""
    return " ".join(re.sub(r"#[^\n]*", " ", span.text).split())


def _moved(span: Span, name: str, line: int) -> str:
    """Where a statement has to go that uses a name too early."""
    word = re.match(r"\s*([a-z]*)", span.source.line_text(span.line))
    if word and word[1] == "bound":
        return f"move the bound below line {line}"
    return f"move the declaration of '{name}' above line {span.line}"


def unknown_name(scope: Scope, name: str, span: Span, candidates: Iterable[str], *, digits: bool = False) -> SlotError:
    """SL201; raises ``Poisoned`` when the name's own definition was already reported.

    ``candidates`` are the names that would be right here. ``digits``: so would the name of a digit.
    """
    scope.sure(name)
    known = list(dict.fromkeys(candidates))
    hint = closest(name, known)
    if not hint and OTHER_COMMENT.search(span.source.text[: span.start]):
        hint = COMMENTS
    elif digits and not scope.digits:
        axes = f"axes ({name} < ..., ...) names the digits of a slot, and no axes statement stands above"
        hint = f"{axes}; {hint}" if hint else axes
    elif not hint and 0 < len(known) <= 8:
        hint = f"known here: {', '.join(known)}"
    defined = re.search(rf"^def[ \t]+{re.escape(name)}[ \t]*(\([^)\n]*\))", span.written.source.text, re.MULTILINE)
    if defined:
        hint = f"'{name}' is a definition, which is written with its arguments: {name}{defined[1]}"
    if name in scope.loops:
        hint = "a loop variable is known only inside its own statement or sum"
    elif name in scope.later:
        place = scope.later[name]
        own = place.start <= span.start < place.end
        around = [] if own else circle(scope.later, name, span)
        if own:
            hint = f"'{name}' can't be used in its own definition"
        elif around:
            hint = circle_hint(around, families=not place.text.startswith(("let", "tensor", "def")))
        else:
            hint = f"'{name}' is declared in line {place.line}, after this use: {_moved(span, name, place.line)}"
    return error("SL201", f"'{name}' is not known", span, hint=hint)


_INTEGER_HINT = (
    "integers are built from sizes, loop variables, slot digits and constants with + - * / // % ** (a ^ b), "
    "min, max, log2 and (a if c else b)"
)


def integer(scope: Scope, local: Local, e: tree.Expr) -> Int:
    """``e`` as an integer expression.

    Raises SL201 and SL203 (names and kinds), SL204 (inexact division), SL205 (divisors), SL206 (too large),
    SL207 (depends on the slot where it must not), SL240 (a function that has no value).
    """
    from slotlang.meaning.functions import function  # it is made of integer expressions itself

    match e:
        case tree.Number(value, imaginary, span):
            if imaginary or value.denominator != 1:
                raise error("SL203", "an integer is needed here", span, label="is not an integer", hint=_INTEGER_HINT)
            if value > MAX_INTEGER:
                raise error("SL206", f"{value} is beyond the largest integer, 2^40", span)
            return IntConst(int(value))
        case tree.Name(name, span):
            return _variable(scope, local, name, span)
        case tree.Unary("-", operand):
            inner = integer(scope, local, operand)
            return IntConst(-inner.value) if isinstance(inner, IntConst) else IntOp("-", IntConst(0), inner)
        case tree.Binary("+" | "-" | "*" | "//" | "%" | "/" as op, left, right, span):
            a, b = integer(scope, local, left), integer(scope, local, right)
            result = _arithmetic(scope, op, a, b, right, span)
            _check_range(scope, local, result, span)
            return result
        case tree.Binary("**" | "^") | tree.Call() | tree.Choice():
            result = function(scope, local, e)
            _check_range(scope, local, result, e.span)
            return result
        case _:
            raise error(
                "SL203",
                "an integer is needed here",
                e.span,
                label="is not an integer expression",
                hint=_INTEGER_HINT,
            )


def _variable(scope: Scope, local: Local, name: str, span: Span) -> Int:
    if name in local.values:
        return IntConst(local.values[name])
    if name in local.extents:
        return IntVar(name)
    scope.sure(name)
    if name in scope.sizes:
        return IntSize(name)
    if name == SLOT or name in scope.digits:
        if not local.slotwise:
            raise error(
                "SL207",
                f"{local.why} can't depend on the slot",
                span,
                label=f"'{name}' differs from slot to slot",
            )
        return IntVar(name)
    if name in scope.declared:
        raise error(
            "SL203",
            f"'{name}' is {scope.what_is(name)}, and an integer is needed here",
            span,
            hint=_INTEGER_HINT,
        )
    digits = [*scope.digits, SLOT] if local.slotwise else []
    candidates = [*local.extents, *scope.sizes, *digits]
    raise unknown_name(scope, name, span, candidates, digits=local.slotwise)


def _arithmetic(scope: Scope, op: str, a: Int, b: Int, divisor: tree.Expr, span: Span) -> Int:
    if op in ("//", "%", "/"):
        if variables(b):
            raise error(
                "SL205",
                f'the right side of "{op}" must be made of sizes and constants',
                divisor.span,
                label=f"depends on {', '.join(sorted(variables(b)))}",
            )
        value = scope.value(b)
        if value <= 0:
            raise not_positive(op, value, divisor.span)
    if op == "/":
        _check_exact(scope, a, b, span)
        op = "//"
    if isinstance(a, IntConst) and isinstance(b, IntConst):
        return IntConst(evaluate(IntOp(op, a, b), {}, {}))
    return IntOp(op, a, b)


def not_positive(op: str, value: int, span: Span) -> SlotError:
    """SL205 for a divisor that is 0 or less."""
    return error("SL205", f'the right side of "{op}" must be positive', span, label=f"is {value}")


def _check_exact(scope: Scope, a: Int, b: Int, span: Span) -> None:
    if variables(a):
        raise error(
            "SL204",
            '"/" must divide exactly, which is not known of a variable',
            span,
            label=f"depends on {', '.join(sorted(variables(a)))}",
            hint='use "//" (floor) and "%" (remainder)',
        )
    numerator, denominator = scope.value(a), scope.value(b)
    if numerator % denominator:
        raise error(
            "SL204",
            f"{numerator} is not a multiple of {denominator}",
            span,
            label=f"{numerator} / {denominator} leaves {numerator % denominator}",
            hint='choose other sizes, or use "//" for the floor and "%" for the remainder',
        )


def _check_range(scope: Scope, local: Local, e: Int, span: Span) -> None:
    """Raises SL206 when a value of ``e`` lies so far out that 64-bit arithmetic would wrap."""
    names = variables(e)
    if not names:
        value = scope.value(e)
        if abs(value) > MAX_INTEGER:
            raise error("SL206", f"this comes to {value}, beyond the largest integer, 2^40", span)
        return
    extents = dict(local.extents)
    for name in names - extents.keys():
        assert scope.slots is not None
        extents[name] = scope.value(scope.slots) if name == SLOT else scope.digits[name].size
    low, high = bounds(e, scope.sizes, extents)
    if low < -MAX_VALUE or high > MAX_VALUE:
        raise error(
            "SL206",
            "values of this expression can lie beyond 2^62",
            span,
            label=f"lies between {low} and {high}",
            hint="take remainders before multiplying: (a % n) * b",
        )


def constant(scope: Scope, e: tree.Expr, why: str) -> int:
    """The value of ``e``, made of sizes and constants; ``why`` completes "... can't depend on the slot"."""
    return scope.value(integer(scope, Local({}, False, why), e))


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
        case tree.Bracket(inner):
            raise error(
                "SL208",
                "a condition is needed here, and a bracket is 1 or 0",
                e.span,
                hint=f"drop the brackets: {text_of(inner.span)}",
            )
        case (
            tree.Number()
            | tree.Name()
            | tree.Index()
            | tree.Transpose()
            | tree.Constant()
            | tree.Unary()
            | tree.Binary()
            | tree.Sum()
            | tree.Permute()
            | tree.Choice()
            | tree.Call()
        ):
            raise error(
                "SL208",
                "a condition is needed here, and this is a value",
                e.span,
                hint="compare it, as in `h < 16` or `C % R == 0`",
            )
        case _:
            assert_never(e)
