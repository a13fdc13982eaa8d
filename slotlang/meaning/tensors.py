"""Tensor expressions, ``scale * A @ B @ x + W @ x.T``: multiplied out into sums of chains, or by their elements where
they are not sums of products of matrices."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from slotlang.diagnostics import SlotError, error
from slotlang.meaning import elements
from slotlang.meaning.elements import MAX_CHAINS, MAX_POWER, Elements
from slotlang.meaning.exponents import WHOLE_POWERS, exponent_of
from slotlang.meaning.integers import Int
from slotlang.meaning.program import form_extents
from slotlang.meaning.scope import Local, Scope, integer, name_span, text_of, unknown_name
from slotlang.meaning.value import Arith, Chain, Const, Element, Factor, ScalarRef, TensorForm, Value
from slotlang.source import Span
from slotlang.syntax import tree
from slotlang_runtime.amounts import count_of

_BUILT_FROM = "tensor expressions are built from declared tensors, ones(n) and eye(n) with @ + - * ** .T, and numbers"
_REAL = "prove the real and the imaginary part as two outputs, of re and im"
_DIVIDE = "multiply by a number, a scalar or a weight that holds the reciprocal"
_BY_ELEMENTS = "what differs in shape is said by elements: prove y[i < n, t < m] == x[i, t] * b[i]"


@dataclass(frozen=True, slots=True)
class _Sum:
    chains: tuple[Chain, ...]
    shape: tuple[int, ...] | None  # None: a number

    def scaled(self, other: _Sum) -> tuple[Chain, ...]:
        return tuple(
            Chain(
                a.coefficient * b.coefficient,
                tuple(sorted(a.scalars + b.scalars)),
                a.factors + b.factors,
            )
            for a in self.chains
            for b in other.chains
        )

    def transposed(self) -> _Sum:
        """The transpose; the sum is of matrices."""
        assert self.shape is not None
        chains = tuple(
            Chain(c.coefficient, c.scalars, tuple(Factor(f.tensor, not f.transposed) for f in c.factors[::-1]))
            for c in self.chains
        )
        return _Sum(chains, self.shape[::-1])


def tensor_form(scope: Scope, e: tree.Expr) -> TensorForm | Elements:
    """The multiplied-out form of a tensor expression; by its elements where it is not a sum of products.

    Raises SL220 when shapes clash, SL221 when something in it is not a tensor, SL222 when it multiplies out to
    more than ``MAX_CHAINS`` products, or has elements that are too long.
    """
    result = _expand(scope, e)
    if isinstance(result, Elements):
        return result
    if result.shape is None:
        raise error(
            "SL221",
            "a tensor expression is needed here, and this is a number",
            e.span,
            hint="name a declared tensor in it, as in scale * A @ B @ x",
        )
    return TensorForm(result.chains, result.shape, text_of(e.span))


def is_tensor_expression(scope: Scope, e: tree.Expr) -> bool:
    """Whether ``e``, as the base of an index, is built from declared tensors rather than a family.

    Raises ``Poisoned`` when that depends on a name whose definition was wrong.
    """
    match e:
        case tree.Name(name):
            scope.sure(name)
            return name in scope.tensors or name in scope.named
        case tree.Binary("@") | tree.Transpose() | tree.Constant():
            return True
        case tree.Binary(_, left, right):
            return is_tensor_expression(scope, left) or is_tensor_expression(scope, right)
        case tree.Unary(_, operand):
            return is_tensor_expression(scope, operand)
        case _:
            return False


def shape_text(shape: tuple[int, ...] | None) -> str:
    """A shape as it is read aloud: ``4096 x 16``; None is a number's."""
    return "a number" if shape is None else " x ".join(map(str, shape))


_Tensor: TypeAlias = _Sum | Elements


def _sides(left: tree.Expr, a: _Tensor, right: tree.Expr, b: _Tensor) -> list[str]:
    return [
        f"left:  {shape_text(a.shape or None)}   ({text_of(left.span)})",
        f"right: {shape_text(b.shape or None)}   ({text_of(right.span)})",
    ]


def _by_elements(scope: Scope, tensor: _Tensor, e: tree.Expr) -> Elements:
    """A sum of products by its elements: products of matrices stay whole."""
    if isinstance(tensor, Elements):
        return tensor
    span, chains = e.span, tensor.chains
    if tensor.shape is None:
        return Elements((), (), lambda _: _number(chains, span), _factors(chains), 0, len(chains), span)
    form = TensorForm(chains, tensor.shape, text_of(span))
    match chains:
        case (Chain(1, (), (Factor(name, transposed),)),):
            one = elements.declared(scope.tensors[name], span)
            return one.swapped(span) if transposed else one
        case _:
            return Elements(
                form.shape,
                form_extents(scope.tensors, form),
                lambda at: Element(form, tuple(at), False, span),
                _factors(chains),
                0,
                len(chains),
                span,
            )


def _factors(chains: tuple[Chain, ...]) -> int:
    return max(len(chain.factors) + len(chain.scalars) for chain in chains)


def _number(chains: tuple[Chain, ...], span: Span) -> Value:
    """The value of a number, which is a sum of products of scalars."""
    total: Value | None = None
    for chain in chains:
        part: Value = Const(chain.coefficient, Fraction(0), span)
        for name in chain.scalars:
            scalar = ScalarRef(name, span)
            part = scalar if part == Const(Fraction(1), Fraction(0), span) else Arith("*", part, scalar, span)
        total = part if total is None else Arith("+", total, part, span)
    assert total is not None, "a number has a term"
    return total


def _expand(scope: Scope, e: tree.Expr) -> _Tensor:
    match e:
        case tree.Number(value, imaginary, span):
            if imaginary:
                raise error("SL221", "a tensor expression has real constants only", span, hint=_REAL)
            return _Sum((Chain(value, (), ()),), None)
        case tree.Name(name, span):
            return _name(scope, name, span)
        case tree.Transpose():
            return _transposed(scope, e)
        case tree.Constant():
            return _constant(scope, e)
        case tree.Unary("-", operand):
            inner = _expand(scope, operand)
            if isinstance(inner, Elements):
                return inner.negated(e.span)
            return _Sum(tuple(Chain(-c.coefficient, c.scalars, c.factors) for c in inner.chains), inner.shape)
        case tree.Binary("+" | "-" as op, left, right, span):
            a, b = _expand(scope, left), _expand(scope, right)
            if (a.shape or None) != (b.shape or None):
                raise error(
                    "SL220",
                    f'"{op}" needs equal shapes on both sides',
                    span,
                    notes=_sides(left, a, right, b),
                    hint=_BY_ELEMENTS if a.shape and b.shape else "",
                )
            if isinstance(a, Elements) or isinstance(b, Elements):
                return elements.combined(op, _by_elements(scope, a, left), _by_elements(scope, b, right), span)
            sign = 1 if op == "+" else -1
            more = tuple(Chain(sign * c.coefficient, c.scalars, c.factors) for c in b.chains)
            return _limited(_merged(_Sum(a.chains + more, a.shape)), span)
        case tree.Binary("*" | "/" as op, left, right, span):
            return _scaled(scope, op, left, right, span)
        case tree.Binary("@", left, right, span):
            return _product(scope, left, right, span)
        case tree.Binary("**", left, right):
            return _power(scope, _expand(scope, left), whole_power(scope, right), e, left)
        case _:
            raise no_tensor_expression(e)


def no_tensor_expression(e: tree.Expr) -> SlotError:
    """SL221 for an expression of another kind."""
    by_elements = isinstance(e, tree.Index | tree.Sum | tree.Bracket)
    hint = "elements stand in a theorem by elements: prove y[i < n] == ..." if by_elements else _BUILT_FROM
    return error("SL221", "this can't be part of a tensor expression", e.span, hint=hint)


def whole_power(scope: Scope, e: tree.Expr) -> int:
    """An exponent. Raises SL221 when it is not between 1 and ``MAX_POWER``."""
    exponent = scope.value(exponent_of(scope, Local({}, False, "an exponent"), e))
    if not 1 <= exponent <= MAX_POWER:
        hint = f"write a whole exponent from 1 to {MAX_POWER}; x ** 0 is a tensor of ones: ones(n)"
        if exponent < 0:
            hint = WHOLE_POWERS
        raise error("SL221", f"an exponent is between 1 and {MAX_POWER}", e.span, label=f"is {exponent}", hint=hint)
    return exponent


def _power(scope: Scope, a: _Tensor, exponent: int, e: tree.Expr, base: tree.Expr) -> _Tensor:
    if isinstance(a, Elements) or a.shape is not None:
        return elements.power(_by_elements(scope, a, base), exponent, e.span)
    result = a
    for _ in range(exponent - 1):
        result = _limited(_merged(_Sum(result.scaled(a), None)), e.span)
    return result


def _transposed(scope: Scope, e: tree.Transpose) -> _Tensor:
    inner = _expand(scope, e.base)
    dimensions = len(inner.shape or ())
    if dimensions < 2 or (dimensions > 2 and e.word == "T"):
        what = ("a number", f"a vector of {(inner.shape or (0,))[0]}")[dimensions] if dimensions < 2 else ""
        described = f"is {what}" if what else f"has {count_of(dimensions, 'dimension')}"
        raise error(
            "SL220",
            f'".{e.word}" transposes a matrix, and this {described}',
            e.span,
            label="" if what else f"its shape is {shape_text(inner.shape)}",
            hint="" if what else '".mT" exchanges the last two dimensions',
        )
    return inner.swapped(e.span) if isinstance(inner, Elements) else inner.transposed()


def _constant(scope: Scope, e: tree.Constant) -> Elements:
    square = e.kind == "eye"
    if square and len(e.arguments) != 1:
        raise error(
            "SL221",
            f'"eye" is a square matrix, and it has {count_of(len(e.arguments), "argument")} here',
            e.span,
            hint="write eye(n)",
        )
    extents = [_extent(scope, argument) for argument in e.arguments] * (2 if square else 1)
    return elements.constant(e.kind, tuple(n for _, n in extents), tuple(extent for extent, _ in extents), e.span)


def _extent(scope: Scope, e: tree.Expr) -> tuple[Int, int]:
    """The length of a dimension, symbolic and bound. Raises SL209 when it is empty."""
    extent = integer(scope, Local({}, False, "a shape"), e)
    if (size := scope.value(extent)) < 1:
        raise error("SL209", f"this dimension would have {count_of(size, 'element')}", e.span, label=f"is {size}")
    return extent, size


def _name(scope: Scope, name: str, span: Span) -> _Tensor:
    scope.sure(name)
    if name in scope.tensors:
        shape = scope.tensors[name].shape
        if len(shape) > 2:
            return elements.declared(scope.tensors[name], span)
        return _Sum((Chain(Fraction(1), (), (Factor(name, False),)),), shape)
    if name in scope.named:
        return _expand(scope, scope.named[name])
    if name in scope.scalars:
        return _Sum((Chain(Fraction(1), (name,), ()),), None)
    if name in scope.sizes:
        return _Sum((Chain(Fraction(scope.sizes[name]), (), ()),), None)
    if name in scope.declared or name in scope.loops:
        what = scope.what_is(name) if name in scope.declared else "a loop variable"
        raise error("SL221", f"'{name}' is {what}, not a tensor", span, hint=_BUILT_FROM)
    raise unknown_name(scope, name, span, [*scope.tensors, *scope.named, *scope.scalars, *scope.sizes])


def name_tensor(scope: Scope, statement: tree.NameTensor) -> None:
    """``tensor u = M @ x``. Raises SL202 where the name is taken, SL221 for a number, and what ``tensor_form`` does."""
    place = name_span(statement.name, statement.span)
    scope.free(statement.name, place)
    if not tensor_form(scope, statement.value).shape:
        raise error(
            "SL221",
            "a tensor is needed here, and this is a number",
            statement.value.span,
            hint="a number needs no name: write it where it is used",
        )
    scope.declare(statement.name, "a named tensor", place)
    scope.named[statement.name] = statement.value


def _merged(result: _Sum) -> _Sum:
    """A number with its like terms added up, so that ``n + m`` is one constant."""
    if result.shape is not None:
        return result
    terms: dict[tuple[str, ...], Fraction] = {}
    for c in result.chains:
        terms[c.scalars] = terms.get(c.scalars, Fraction(0)) + c.coefficient
    chains = tuple(Chain(value, scalars, ()) for scalars, value in terms.items() if value)
    return _Sum(chains or (Chain(Fraction(0), (), ()),), None)


def _limited(result: _Sum, span: Span) -> _Sum:
    if len(result.chains) > MAX_CHAINS:
        raise elements.too_many(len(result.chains), span)
    return result


def _scaled(scope: Scope, op: str, left: tree.Expr, right: tree.Expr, span: Span) -> _Tensor:
    a, b = _expand(scope, left), _expand(scope, right)
    if op == "/":
        if (
            isinstance(b, Elements)
            or b.shape is not None
            or len(b.chains) != 1
            or b.chains[0].scalars
            or not b.chains[0].coefficient
        ):
            raise error("SL221", 'the right side of "/" must be a nonzero number', right.span, hint=_DIVIDE)
        if isinstance(a, Elements):
            return a.scaled(1 / b.chains[0].coefficient, span)
        inverse = _Sum((Chain(1 / b.chains[0].coefficient, (), ()),), None)
        return _Sum(a.scaled(inverse), a.shape)
    if a.shape and b.shape and a.shape != b.shape:
        raise error(
            "SL220",
            f"operands could not be broadcast together with shapes {a.shape} {b.shape}",
            span,
            label='"*" multiplies tensors of equal shape, element by element',
            notes=_sides(left, a, right, b),
            hint='the matrix product is "@"' if a.shape[-1] == b.shape[0] else _BY_ELEMENTS,
        )
    if isinstance(a, Elements) or isinstance(b, Elements) or (a.shape and b.shape):
        return elements.combined("*", _by_elements(scope, a, left), _by_elements(scope, b, right), span)
    return _limited(_merged(_Sum(a.scaled(b), a.shape if b.shape is None else b.shape)), span)


def _product(scope: Scope, left: tree.Expr, right: tree.Expr, span: Span) -> _Tensor:
    a, b = _expand(scope, left), _expand(scope, right)
    if not a.shape or not b.shape:
        raise error(
            "SL220",
            '"@" multiplies two tensors',
            span,
            notes=_sides(left, a, right, b),
            hint='scale by a number with "*"',
        )
    rows = b.shape[-2:][0]
    if a.shape[-1] != rows:
        raise error(
            "SL220",
            '"@" needs as many columns on its left as there are rows on its right',
            span,
            label=f"{count_of(a.shape[-1], 'column')}, {count_of(rows, 'row')}",
            notes=_sides(left, a, right, b),
        )
    if len(a.shape) > 1 and len(b.shape) > 1 and a.shape[:-2] != b.shape[:-2]:
        raise error(
            "SL220",
            '"@" acts on the last two dimensions, and needs the others to be equal',
            span,
            notes=_sides(left, a, right, b),
            hint=_BY_ELEMENTS,
        )
    if isinstance(a, Elements) or isinstance(b, Elements) or (len(a.shape) == 1 and len(b.shape) == 1):
        first, second = _by_elements(scope, a, left), _by_elements(scope, b, right)
        return elements.product(first, second, span)
    if len(a.shape) == 1:
        # v @ M = M.T @ v, so that a vector stands last in its chain and products need no brackets
        return _limited(_Sum(b.transposed().scaled(a), b.shape[1:]), span)
    return _limited(_Sum(a.scaled(b), a.shape[:-1] + b.shape[1:]), span)
