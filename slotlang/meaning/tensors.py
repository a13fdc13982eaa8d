"""Tensor expressions, ``scale * A @ B @ x + W @ x.T``: multiplied out into sums of chains."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from slotlang.diagnostics import error
from slotlang.meaning.scope import Scope, text_of, unknown_definition, unknown_name
from slotlang.meaning.value import Chain, Factor, TensorForm
from slotlang.source import Span
from slotlang.syntax import tree

MAX_CHAINS = 64
"""Products of sums multiply out; more chains than this is an error, not a wait."""
_BUILT_FROM = "tensor expressions are built from declared tensors with @ + - .T, and numbers or scalars with *"


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


def tensor_form(scope: Scope, e: tree.Expr) -> TensorForm:
    """The multiplied-out form of a tensor expression.

    Raises SL220 when shapes clash, SL221 when something in it is not a tensor, SL222 when it multiplies out to
    more than ``MAX_CHAINS`` products.
    """
    result = _expand(scope, e)
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
            return name in scope.tensors
        case tree.Binary("@") | tree.Transpose():
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


def _sides(left: tree.Expr, a: _Sum, right: tree.Expr, b: _Sum) -> list[str]:
    return [
        f"left:  {shape_text(a.shape)}   ({text_of(left.span)})",
        f"right: {shape_text(b.shape)}   ({text_of(right.span)})",
    ]


def _expand(scope: Scope, e: tree.Expr) -> _Sum:
    match e:
        case tree.Number(value, imaginary, span):
            if imaginary:
                raise error("SL221", "a tensor expression has real constants only", span)
            return _Sum((Chain(value, (), ()),), None)
        case tree.Name(name, span):
            return _name(scope, name, span)
        case tree.Transpose(base, span):
            inner = _expand(scope, base)
            if inner.shape is None or len(inner.shape) != 2:
                what = "a number" if inner.shape is None else f"a vector of {inner.shape[0]}"
                raise error("SL220", f'".T" transposes a matrix, and this is {what}', span)
            return inner.transposed()
        case tree.Unary("-", operand):
            inner = _expand(scope, operand)
            return _Sum(tuple(Chain(-c.coefficient, c.scalars, c.factors) for c in inner.chains), inner.shape)
        case tree.Binary("+" | "-" as op, left, right, span):
            a, b = _expand(scope, left), _expand(scope, right)
            if a.shape != b.shape:
                raise error(
                    "SL220",
                    f'"{op}" needs equal shapes on both sides',
                    span,
                    notes=_sides(left, a, right, b),
                )
            sign = 1 if op == "+" else -1
            more = tuple(Chain(sign * c.coefficient, c.scalars, c.factors) for c in b.chains)
            return _limited(_merged(_Sum(a.chains + more, a.shape)), span)
        case tree.Binary("*" | "/" as op, left, right, span):
            return _scaled(scope, op, left, right, span)
        case tree.Binary("@", left, right, span):
            return _product(scope, left, right, span)
        case tree.Call():
            raise unknown_definition(e)
        case _:
            raise error("SL221", "this can't be part of a tensor expression", e.span, hint=_BUILT_FROM)


def _name(scope: Scope, name: str, span: Span) -> _Sum:
    scope.sure(name)
    if name in scope.tensors:
        shape = scope.tensors[name].shape
        if len(shape) > 2:
            raise error(
                "SL220",
                f"'{name}' has {len(shape)} dimensions; tensor expressions take vectors and matrices",
                span,
                label=f"its shape is {shape_text(shape)}",
            )
        return _Sum((Chain(Fraction(1), (), (Factor(name, False),)),), shape)
    if name in scope.scalars:
        return _Sum((Chain(Fraction(1), (name,), ()),), None)
    if name in scope.sizes:
        return _Sum((Chain(Fraction(scope.sizes[name]), (), ()),), None)
    if name in scope.declared or name in scope.loops:
        what = scope.what_is(name) if name in scope.declared else "a loop variable"
        raise error("SL221", f"'{name}' is {what}, not a tensor", span, hint=_BUILT_FROM)
    raise unknown_name(scope, name, span, [*scope.tensors, *scope.scalars, *scope.sizes])


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
        raise error(
            "SL222",
            f"this multiplies out to {len(result.chains)} products, and {MAX_CHAINS} is the limit",
            span,
            hint="write it with fewer sums inside products",
        )
    return result


def _scaled(scope: Scope, op: str, left: tree.Expr, right: tree.Expr, span: Span) -> _Sum:
    a, b = _expand(scope, left), _expand(scope, right)
    if op == "/":
        if b.shape is not None or len(b.chains) != 1 or b.chains[0].scalars or not b.chains[0].coefficient:
            raise error("SL221", 'the right side of "/" must be a nonzero number', right.span)
        inverse = _Sum((Chain(1 / b.chains[0].coefficient, (), ()),), None)
        return _Sum(a.scaled(inverse), a.shape)
    if a.shape is not None and b.shape is not None:
        raise error(
            "SL220",
            '"*" scales a tensor by a number; these are two tensors',
            span,
            notes=_sides(left, a, right, b),
            hint='the matrix product is "@"',
        )
    return _limited(_merged(_Sum(a.scaled(b), a.shape if b.shape is None else b.shape)), span)


def _product(scope: Scope, left: tree.Expr, right: tree.Expr, span: Span) -> _Sum:
    a, b = _expand(scope, left), _expand(scope, right)
    if a.shape is None or b.shape is None:
        raise error(
            "SL220",
            '"@" multiplies two tensors',
            span,
            notes=_sides(left, a, right, b),
            hint='scale by a number with "*"',
        )
    if a.shape[-1] != b.shape[0]:
        raise error(
            "SL220",
            '"@" needs as many columns on its left as there are rows on its right',
            span,
            label=f"{a.shape[-1]} columns, {b.shape[0]} rows",
            notes=_sides(left, a, right, b),
        )
    if len(a.shape) == 1 and len(b.shape) == 1:
        raise error(
            "SL220",
            "the product of two vectors is a number, and a tensor is needed",
            span,
            notes=_sides(left, a, right, b),
            hint="declare one of them as a matrix with one row or column",
        )
    if len(a.shape) == 1:
        # v @ M = M.T @ v, so that a vector stands last in its chain and products need no brackets
        return _limited(_Sum(b.transposed().scaled(a), b.shape[1:]), span)
    return _limited(_Sum(a.scaled(b), a.shape[:-1] + b.shape[1:]), span)
