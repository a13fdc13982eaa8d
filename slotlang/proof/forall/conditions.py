"""What a program asks of its sizes, read off its text: exactly the sizes at which it has a meaning.

The front end checks these at one choice of sizes. Here they are kept as conditions on names, in the order of the
text: divisions that must be exact, requirements, extents of at least 1, shapes that must agree.
Its limits of magnitude (2^40 for a size, 2^20 slots of a permutation) are no part of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from slotlang.diagnostics import error
from slotlang.meaning.integers import (
    And,
    Cmp,
    Cond,
    Int,
    IntCall,
    IntConst,
    IntIf,
    IntOp,
    IntSize,
    IntVar,
    Not,
    Or,
    add,
    evaluate,
    mul,
    neg,
    show,
    show_cond,
    variables,
)
from slotlang.meaning.scope import not_positive, text_of
from slotlang.meaning.tensors import no_tensor_expression
from slotlang.proof.forall.condition_kinds import (
    NUMBER,
    WRITTEN_OUT,
    Condition,
    Conditions,
    Defined,
    Divides,
    Positive,
    PowerOfTwo,
    Required,
    sizes_in,
)
from slotlang.proof.forall.written_out import WrittenOut
from slotlang.syntax import tree
from slotlang.syntax.walk import by_elements


def conditions(
    syntax: tree.Program, fixed: Mapping[str, int], free: tuple[str, ...], *, kept: bool = False
) -> Conditions:
    """The conditions of a program whose sizes ``free`` are open and whose others are ``fixed`` or as defaults say.
    ``kept``: nothing is written out (``meaning.kept``).

    The program must be one that the front end accepts at some sizes; raises SL205 for a divisor that is never positive.
    """
    return _Reader(fixed, free, kept).read(syntax)


class _Reader:
    def __init__(self, fixed: Mapping[str, int], free: tuple[str, ...], kept: bool) -> None:
        self.fixed, self.free, self.kept = fixed, free, kept
        self.found = Conditions()
        self.sizes: set[str] = set()
        self.tensors: dict[str, tuple[Int, ...]] = {}
        self.slots: Int | None = None
        self.written_out = WrittenOut()

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
        self.written_out.take(statement)
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
                        default = self._int(size.default, kept=True)
                        self._add(Defined(size.name, default, f"{size.name} = {text_of(size.default.span)}"))
                    self._size(size.name)
            case tree.Let(name, value, _):
                self._add(Defined(name, self._int(value, kept=True), f"{name} = {text_of(value.span)}"))
                self._size(name)
            case tree.Require(condition):
                self._add(Required(self._cond(condition), text_of(condition.span), True))
            case tree.Declare(_, tensors):
                for tensor in tensors:
                    self.tensors[tensor.name] = tuple(self._extent(e) for e in tensor.shape)
                    if tensor.pattern is not None:
                        self._cond(tensor.pattern)
            case tree.NameTensor(name, value):
                self.tensors[name] = self._shape(value) or ()
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
                    self._loop(binder)
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
            case tree.Prove(_, value, binders=binders):
                for binder in binders:
                    self._extent(binder.extent)
                if by_elements(statement):
                    self._value(value)
                else:
                    self._shape(value)

    def _equal(self, a: Int, b: Int) -> None:
        if a != b:
            self._add(Required(Cmp("==", a, b), f"{show(a)} == {show(b)}"))

    def _extent(self, e: tree.Expr) -> Int:
        extent = self._int(e)
        if not self.kept or not variables(extent):
            self._positive(extent, e)
        return extent

    def _loop(self, binder: tree.Binder) -> None:
        extent = self._extent(binder.extent)
        if binder.name in self.written_out.names:
            self._written_out(extent, binder.extent)

    def _written_out(self, e: Int, at: tree.Expr) -> None:
        if not self.kept:
            self._valued(e, at, WRITTEN_OUT)

    def _valued(self, e: Int | Cond, at: tree.Expr, why: str = NUMBER) -> None:
        self.found.valued += [(name, at.span, why) for name in sorted(sizes_in(e))]

    def _positive(self, e: Int, at: tree.Expr | None = None) -> None:
        if isinstance(e, IntConst) and e.value >= 1:
            return
        if at is not None and variables(e):
            # a loop variable, which has one value after the other where its loop is written out
            self.found.undecided = self.found.undecided or (
                f"line {at.span.line}: `{show(e)} >= 1` is asked for at each value of a loop that is written out"
            )
            return
        self._add(Positive(e, f"{show(e)} >= 1"))

    def _int(self, e: tree.Expr, *, kept: bool = False) -> Int:
        """An integer; ``kept`` where a name stands for all of it, so that a choice by sizes is part of no program."""
        match e:
            case tree.Choice(condition, yes, no):
                cond = self._cond(condition)
                if not kept:
                    self._valued(cond, condition)
                before = len(self.found.all)
                branches = self._int(yes, kept=kept), self._int(no, kept=kept)
                self._unchanged(before, e)
                return IntIf(cond, *branches)
            case tree.Call(name, arguments):
                args = tuple(self._int(argument) for argument in arguments)
                if name == "log2":
                    self._add(PowerOfTwo(args[0], f"{show(args[0])} is a power of two"))
                return IntCall(name, args)
            case tree.Binary("**" | "^" as op, left, right):
                args = (self._int(left), self._int(right))
                if op == "**" and not variables(args[1]) and not isinstance(args[1], IntConst):
                    self._add(Required(Cmp(">=", args[1], IntConst(0)), f"{show(args[1])} >= 0"))
                return IntCall(op, args)
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
                    self._positive(b, right)
                if op == "/":
                    op = "//"
                    self._add(Divides(a, b, f"{show(b, 2)} divides {show(a)}"))
                if isinstance(a, IntConst) and isinstance(b, IntConst):
                    return IntConst(int(evaluate(IntOp(op, a, b), {}, {})))
                return IntOp(op, a, b)
            case _:
                raise AssertionError("not an integer expression")

    def _unchanged(self, before: int, choice: tree.Choice) -> None:
        """A condition that holds where one branch is taken is not kept."""
        if len(self.found.all) > before and not self.found.undecided:
            self.found.undecided = (
                f"line {choice.span.line}: `{self.found.all[-1].text}` is asked for in one branch of a choice only"
            )

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
            case tree.Binary("**", left, right):
                (a, b), exponent = self._ratio(left), self._int(right)
                return IntCall("**", (a, exponent)), IntCall("**", (b, exponent))
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
                    self.found.valued.append((name, span, NUMBER))
            case tree.Choice(condition, yes, no):
                cond = self._cond(condition)
                if not self.kept:
                    self._valued(cond, condition)
                before = len(self.found.all)
                self._value(yes)
                self._value(no)
                self._unchanged(before, e)
            case tree.Call() | tree.Binary("^"):
                self._valued(self._int(e), e)
            case tree.Binary("**", left, right):
                self._value(left)
                self._valued(self._int(right), right)
            case tree.Index(base, indices):
                for index in indices:
                    place = self._int(index)
                    if isinstance(base, tree.Name) and base.name in self.written_out.families:
                        self._written_out(place, index)
                if not isinstance(base, tree.Name):
                    self._shape(base)
            case tree.Binary("<<" | ">>", left, right):
                self._value(left)
                self._int(right)
            case tree.Binary("@"):
                # a number, in a theorem
                self._shape(e)
            case tree.Binary(_, left, right):
                self._value(left)
                self._value(right)
            case tree.Unary(_, operand) | tree.Transpose(operand):
                self._value(operand)
            case tree.Bracket(inner):
                self._cond(inner)
            case tree.Sum(binders, how, body):
                for binder in binders:
                    self._loop(binder)
                if how is not None and how.argument is not None:
                    number = self._int(how.argument)
                    self._positive(number)
                    if how.name == "doubling":
                        self._add(Required(Cmp(">=", number, IntConst(2)), f"{show(number)} >= 2"))
                self._value(body)
            case tree.Permute(value):
                self._value(value)
            case tree.Number():
                pass
            case tree.Compare() | tree.Constant() | tree.Call():
                raise AssertionError("not a value of a slot")

    def _exponent(self, e: tree.Expr) -> None:
        """An exponent says how often a value is written down."""
        self.found.valued += [(name, e.span, NUMBER) for name in sorted(sizes_in(self._int(e)))]

    def _shape(self, e: tree.Expr) -> tuple[Int, ...] | None:
        """Shape of a tensor expression, None or empty of a number; what it asks of shapes becomes conditions."""
        match e:
            case tree.Name(name, span):
                if name in self.sizes:
                    self.found.valued.append((name, span, NUMBER))
                return self.tensors.get(name)
            case tree.Transpose(base):
                inner = self._shape(base)
                return None if inner is None else (*inner[:-2], inner[-1], inner[-2])
            case tree.Constant(kind, arguments):
                return tuple(self._extent(argument) for argument in arguments) * (2 if kind == "eye" else 1)
            case tree.Unary(_, operand):
                return self._shape(operand)
            case tree.Binary("+" | "-", left, right):
                a, b = self._shape(left), self._shape(right)
                for m, n in zip(a or (), b or (), strict=False):
                    self._equal(m, n)
                return a
            case tree.Binary("@", left, right, span):
                a, b = self._shape(left), self._shape(right)
                if not a or not b:
                    hint = 'scale by a number with "*"'
                    raise error("SL220", '"@" multiplies two tensors', span, hint=hint)
                self._equal(a[-1], b[-2:][0])
                for m, n in zip(a[:-2], b[:-2], strict=False):
                    self._equal(m, n)
                return (*(a[:-1] if len(a) > 1 else b[:-2]), *(b[-1:] if len(b) > 1 else ()))
            case tree.Binary("**", left, right):
                self._exponent(right)
                return self._shape(left)
            case tree.Binary(_, left, right):
                a, b = self._shape(left), self._shape(right)
                for m, n in zip(a or (), b or (), strict=False):
                    self._equal(m, n)
                return a or b
            case tree.Number():
                return None
            case tree.Call():
                self._valued(self._int(e), e)
                return None
            case tree.Index() | tree.Compare() | tree.Bracket() | tree.Sum() | tree.Permute() | tree.Choice():
                raise no_tensor_expression(e)

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
                    self.found.valued += [(name, e.span, NUMBER) for name in sorted(sizes_in(point))]
                assert self.slots is not None
                for point in points:
                    inside = And((Cmp(">=", point, IntConst(0)), Cmp("<", point, self.slots)))
                    self._add(Required(inside, show_cond(inside)))
                for n, point in enumerate(points):
                    for other in points[:n]:
                        if not (isinstance(point, IntConst) and isinstance(other, IntConst)):
                            differ = Cmp("!=", other, point)
                            self._add(Required(differ, show_cond(differ)))
