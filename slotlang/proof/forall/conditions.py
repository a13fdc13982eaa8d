"""What a program asks of its sizes, read off its text: exactly the sizes at which it has a meaning.

The front end checks these at one choice of sizes. Here they are kept as conditions on names, in the order of the
text: divisions that must be exact, requirements, extents of at least 1, shapes that must agree.
Its limits of magnitude (2^40 for a size, 2^20 slots of a permutation) are no part of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from slotlang.meaning.integers import (
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
    add,
    evaluate,
    holds,
    mul,
    neg,
    show,
    show_cond,
)
from slotlang.meaning.scope import not_positive, text_of
from slotlang.source import Span
from slotlang.syntax import tree


@dataclass(frozen=True, slots=True)
class Defined:
    """A ``let``, or a size of the header that follows from others by its default."""

    name: str
    value: Int
    text: str


@dataclass(frozen=True, slots=True)
class Divides:
    """``dividend / divisor`` leaves nothing. Divisors are positive by a condition of their own."""

    dividend: Int
    divisor: Int
    text: str


@dataclass(frozen=True, slots=True)
class Positive:
    """``value >= 1``: an extent, a divisor."""

    value: Int
    text: str


@dataclass(frozen=True, slots=True)
class Required:
    """A ``require``, or what else must hold of sizes. ``written`` when the program says it in these words."""

    condition: Cond
    text: str
    written: bool = False


Condition: TypeAlias = Defined | Divides | Positive | Required


@dataclass
class Conditions:
    """The conditions of a program in the order of its text.

    ``parameters`` are the sizes of its header. ``valued`` are sizes whose value enters the program as a
    number and not only by way of indices and extents, with the places.
    """

    parameters: tuple[str, ...] = ()
    all: list[Condition] = field(default_factory=list)
    valued: list[tuple[str, Span]] = field(default_factory=list)

    def names(self) -> set[str]:
        """Every size that some condition or definition mentions."""
        found: set[str] = set()
        for condition in self.all:
            match condition:
                case Defined(_, value) | Positive(value):
                    found |= sizes_in(value)
                case Divides(a, b):
                    found |= sizes_in(a) | sizes_in(b)
                case Required(cond):
                    found |= sizes_in(cond)
        return found | {name for name, _ in self.valued}

    def hold(self, sizes: Mapping[str, int]) -> bool:
        """Whether values of the header's sizes meet all conditions."""
        known = dict(sizes)
        if any(value < 0 for value in known.values()):
            return False
        for condition in self.all:
            match condition:
                case Defined(name, value):
                    known[name] = int(evaluate(value, known, {}))
                case Divides(a, b):
                    if evaluate(a, known, {}) % evaluate(b, known, {}):
                        return False
                case Positive(value):
                    if evaluate(value, known, {}) < 1:
                        return False
                case Required(cond):
                    if not holds(cond, known, {}):
                        return False
        return True


def sizes_in(e: Int | Cond) -> set[str]:
    """Names of the sizes in an expression or condition."""
    match e:
        case IntSize(name):
            return {name}
        case IntOp(_, a, b) | Cmp(_, a, b):
            return sizes_in(a) | sizes_in(b)
        case And(parts) | Or(parts):
            return set().union(*map(sizes_in, parts))
        case Not(part):
            return sizes_in(part)
        case IntConst() | IntVar():
            return set()


def conditions(syntax: tree.Program, fixed: Mapping[str, int], free: tuple[str, ...]) -> Conditions:
    """The conditions of a program whose sizes ``free`` are open and whose others are ``fixed`` or as defaults say.

    The program must be one that the front end accepts at some sizes; raises SL205 for a divisor that is never positive.
    """
    return _Reader(fixed, free).read(syntax)


class _Reader:
    def __init__(self, fixed: Mapping[str, int], free: tuple[str, ...]) -> None:
        self.fixed, self.free = fixed, free
        self.found = Conditions()
        self.sizes: set[str] = set()
        self.tensors: dict[str, tuple[Int, ...]] = {}
        self.slots: Int | None = None

    def read(self, syntax: tree.Program) -> Conditions:
        for statement in syntax.statements:
            self._statement(statement)
        return self.found

    def _add(self, condition: Condition) -> None:
        if condition not in self.found.all:
            self.found.all.append(condition)

    def _size(self, name: str) -> None:
        self.sizes.add(name)
        if name == "slots":
            self.slots = IntSize("slots")
            self._add(Positive(self.slots, "slots >= 1"))

    def _statement(self, statement: tree.Statement) -> None:
        match statement:
            case tree.Header(_, sizes):
                self.found.parameters = tuple(s.name for s in sizes)
                for size in sizes:
                    if size.name in self.free:
                        pass
                    elif size.name in self.fixed:
                        value = self.fixed[size.name]
                        self._add(Defined(size.name, IntConst(value), f"{size.name} = {value}"))
                    elif size.default is not None:
                        default = self._int(size.default)
                        self._add(Defined(size.name, default, f"{size.name} = {text_of(size.default.span)}"))
                    self._size(size.name)
            case tree.Let(name, value, _):
                self._add(Defined(name, self._int(value), f"{name} = {text_of(value.span)}"))
                self._size(name)
            case tree.Require(condition):
                self._add(Required(self._cond(condition), text_of(condition.span), True))
            case tree.Declare(_, tensors):
                for tensor in tensors:
                    self.tensors[tensor.name] = tuple(self._extent(e) for e in tensor.shape)
                    if tensor.pattern is not None:
                        self._cond(tensor.pattern)
            case tree.Scalars() | tree.Parameters():
                pass
            case tree.Bound(limit=limit):
                positive = mul(*self._ratio(limit))
                if sizes_in(positive):
                    self._add(Positive(positive, f"the limit {text_of(limit.span)} is positive"))
            case tree.Axes(_, binders):
                total: Int = IntConst(1)
                for binder in binders:
                    total = mul(total, self._extent(binder.extent))
                if self.slots is None:
                    self.slots = total
                else:
                    self._equal(total, self.slots)
            case tree.Define(_, _, binders, body):
                for binder in binders:
                    self._extent(binder.extent)
                self._value(body)
            case tree.DefinePermutation(_, form):
                self._permutation(form)
            case tree.Claim(target, value, where):
                self._value(target)
                self._value(value)
                if where is not None:
                    self._cond(where)
            case tree.Output(_, indices, value, where):
                for index in indices:
                    self._int(index)
                self._value(value)
                if where is not None:
                    self._cond(where)
            case tree.Prove(_, value):
                self._shape(value)

    def _equal(self, a: Int, b: Int) -> None:
        if a != b:
            self._add(Required(Cmp("==", a, b), f"{show(a)} == {show(b)}"))

    def _extent(self, e: tree.Expr) -> Int:
        extent = self._int(e)
        self._positive(extent)
        return extent

    def _positive(self, e: Int) -> None:
        if isinstance(e, IntConst) and e.value >= 1:
            return
        self._add(Positive(e, f"{show(e)} >= 1"))

    def _int(self, e: tree.Expr) -> Int:
        match e:
            case tree.Number(value):
                return IntConst(int(value))
            case tree.Name(name):
                return IntSize(name) if name in self.sizes else IntVar(name)
            case tree.Unary("-", operand):
                inner = self._int(operand)
                return IntConst(-inner.value) if isinstance(inner, IntConst) else IntOp("-", IntConst(0), inner)
            case tree.Binary(op, left, right):
                a, b = self._int(left), self._int(right)
                if op in ("/", "//", "%"):
                    if isinstance(b, IntConst) and b.value <= 0:
                        raise not_positive(op, b.value, right.span)
                    self._positive(b)
                if op == "/":
                    op = "//"
                    self._add(Divides(a, b, f"{show(b, 2)} divides {show(a)}"))
                if isinstance(a, IntConst) and isinstance(b, IntConst):
                    return IntConst(int(evaluate(IntOp(op, a, b), {}, {})))
                return IntOp(op, a, b)
            case _:
                raise AssertionError("not an integer expression")

    def _ratio(self, e: tree.Expr) -> tuple[Int, Int]:
        """The limit of a bound as a quotient; both have the same sign where the limit is positive."""
        match e:
            case tree.Number(value):
                return IntConst(value.numerator), IntConst(value.denominator)
            case tree.Name(name):
                return IntSize(name), IntConst(1)
            case tree.Unary(_, operand):
                above, below = self._ratio(operand)
                return neg(above), below
            case tree.Binary("*" | "/" as op, left, right):
                (a, b), (c, d) = self._ratio(left), self._ratio(right)
                return (mul(a, c), mul(b, d)) if op == "*" else (mul(a, d), mul(b, c))
            case tree.Binary(op, left, right):
                (a, b), (c, d) = self._ratio(left), self._ratio(right)
                more = mul(c, b)
                return add(mul(a, d), neg(more) if op == "-" else more), mul(b, d)
            case _:
                raise AssertionError("not a limit")

    def _cond(self, e: tree.Expr) -> Cond:
        match e:
            case tree.Compare(ops, operands):
                values = [self._int(operand) for operand in operands]
                parts = tuple(Cmp(op, a, b) for op, a, b in zip(ops, values, values[1:], strict=False))
                return parts[0] if len(parts) == 1 else And(parts)
            case tree.Binary("and", left, right):
                return And((self._cond(left), self._cond(right)))
            case tree.Binary("or", left, right):
                return Or((self._cond(left), self._cond(right)))
            case tree.Unary("not", operand):
                return Not(self._cond(operand))
            case _:
                raise AssertionError("not a condition")

    def _value(self, e: tree.Expr) -> None:
        match e:
            case tree.Name(name, span):
                if name in self.sizes:
                    self.found.valued.append((name, span))
            case tree.Index(base, indices):
                for index in indices:
                    self._int(index)
                if not isinstance(base, tree.Name):
                    self._shape(base)
            case tree.Binary("<<" | ">>", left, right):
                self._value(left)
                self._int(right)
            case tree.Binary(_, left, right):
                self._value(left)
                self._value(right)
            case tree.Unary(_, operand) | tree.Transpose(operand):
                self._value(operand)
            case tree.Bracket(inner):
                self._cond(inner)
            case tree.Sum(binders, how, body):
                for binder in binders:
                    self._extent(binder.extent)
                if how is not None and how.argument is not None:
                    self._positive(self._int(how.argument))
                self._value(body)
            case tree.Permute(value):
                self._value(value)
            case tree.Number():
                pass
            case tree.Compare() | tree.Call():
                raise AssertionError("not a value of a slot")

    def _shape(self, e: tree.Expr) -> tuple[Int, ...] | None:
        """Shape of a tensor expression, None of a number; what it asks of shapes becomes conditions."""
        match e:
            case tree.Name(name, span):
                if name in self.sizes:
                    self.found.valued.append((name, span))
                return self.tensors.get(name)
            case tree.Transpose(base):
                inner = self._shape(base)
                return None if inner is None else inner[::-1]
            case tree.Unary(_, operand):
                return self._shape(operand)
            case tree.Binary("+" | "-", left, right):
                a, b = self._shape(left), self._shape(right)
                for m, n in zip(a or (), b or (), strict=False):
                    self._equal(m, n)
                return a
            case tree.Binary("@", left, right):
                a, b = self._shape(left), self._shape(right)
                assert a is not None and b is not None
                self._equal(a[-1], b[0])
                return b[1:] if len(a) == 1 else a[:-1] + b[1:]
            case tree.Binary(_, left, right):
                a, b = self._shape(left), self._shape(right)
                return b if a is None else a
            case tree.Number():
                return None
            case tree.Index() | tree.Compare() | tree.Bracket() | tree.Sum() | tree.Permute() | tree.Call():
                raise AssertionError("not a tensor expression")

    def _permutation(self, form: tree.PermutationForm) -> None:
        match form:
            case tree.DigitPermutation(_, targets):
                for target in targets:
                    self._int(target)
            case tree.SlotPermutation(_, target):
                self._int(target)
            case tree.CyclePermutation(cycles):
                points = [self._int(e) for cycle in cycles for e in cycle]
                for e, point in zip((e for cycle in cycles for e in cycle), points, strict=True):
                    self.found.valued += [(name, e.span) for name in sorted(sizes_in(point))]
                assert self.slots is not None
                for point in points:
                    inside = And((Cmp(">=", point, IntConst(0)), Cmp("<", point, self.slots)))
                    self._add(Required(inside, show_cond(inside)))
                for n, point in enumerate(points):
                    for other in points[:n]:
                        if not (isinstance(point, IntConst) and isinstance(other, IntConst)):
                            differ = Cmp("!=", other, point)
                            self._add(Required(differ, show_cond(differ)))


def integer_parts(cond: Cond) -> Iterator[Cmp]:
    """The comparisons that a condition is the conjunction of, as far as it is one."""
    match cond:
        case Cmp():
            yield cond
        case And(parts):
            for part in parts:
                yield from integer_parts(part)
        case Or() | Not():
            pass
