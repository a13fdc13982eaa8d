"""Tensor expressions, ``scale * A @ B @ x + W @ x.T``: multiplied out into sums of chains."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from slotlang.diagnostics import SlotError, error
from slotlang.meaning.program import Chain, Factor, TensorForm
from slotlang.meaning.scope import Scope, unknown_name
from slotlang.source import Span
from slotlang.syntax import tree

MAX_CHAINS = 64
"""Products of sums multiply out; more chains than this is an error, not a wait."""


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


def tensor_form(scope: Scope, e: tree.Expr) -> TensorForm:
    """The multiplied-out form of a tensor expression.

    Raises SL220 when shapes clash, SL221 when something in it is no tensor, SL222 when it multiplies out to more
    than ``MAX_CHAINS`` products.
    """
    result = _expand(scope, e)
    if result.shape is None:
        raise error("SL221", "a tensor expression is needed here, and this is a number", e.span)
    return TensorForm(result.chains, result.shape, " ".join(e.span.text.split()))


def is_tensor_expression(scope: Scope, e: tree.Expr) -> bool:
    """Whether ``e``, as the base of an index, is built from declared tensors rather than a family."""
    match e:
        case tree.Name(name):
            return name in scope.tensors
        case tree.Binary(_, left, right):
            return is_tensor_expression(scope, left) or is_tensor_expression(scope, right)
        case tree.Unary(_, operand):
            return is_tensor_expression(scope, operand)
        case tree.Transpose():
            return True
        case _:
            return False


def _shape_text(shape: tuple[int, ...] | None) -> str:
    return "a number" if shape is None else " x ".join(map(str, shape)) or "a number"


def _clash(op: str, left: tree.Expr, a: _Sum, right: tree.Expr, b: _Sum, span: Span) -> SlotError:
    return error(
        "SL220",
        f'the shapes on both sides of "{op}" do not fit',
        span,
        notes=[
            f"left:  {_shape_text(a.shape)}   ({left.span.text.strip()})",
            f"right: {_shape_text(b.shape)}   ({right.span.text.strip()})",
        ],
    )


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
                raise error("SL220", f".T needs a matrix, and this is {_shape_text(inner.shape)}", span)
            chains = tuple(
                Chain(
                    c.coefficient,
                    c.scalars,
                    tuple(Factor(f.tensor, not f.transposed) for f in reversed(c.factors)),
                )
                for c in inner.chains
            )
            return _Sum(chains, (inner.shape[1], inner.shape[0]))
        case tree.Unary("-", operand):
            inner = _expand(scope, operand)
            return _Sum(
                tuple(Chain(-c.coefficient, c.scalars, c.factors) for c in inner.chains), inner.shape
            )
        case tree.Binary("+" | "-" as op, left, right, span):
            a, b = _expand(scope, left), _expand(scope, right)
            if a.shape != b.shape:
                raise _clash(op, left, a, right, b, span)
            sign = 1 if op == "+" else -1
            more = tuple(Chain(sign * c.coefficient, c.scalars, c.factors) for c in b.chains)
            return _limited(_Sum(a.chains + more, a.shape), span)
        case tree.Binary("*" | "/" as op, left, right, span):
            return _scaled(scope, op, left, right, span)
        case tree.Binary("@", left, right, span):
            return _product(scope, left, right, span)
        case _:
            raise error(
                "SL221",
                "this can't be part of a tensor expression",
                e.span,
                hint="tensor expressions are built from declared tensors with @ + - .T and numbers or scalars with *",
            )


def _name(scope: Scope, name: str, span: Span) -> _Sum:
    if name in scope.tensors:
        shape = scope.tensors[name].shape
        if len(shape) > 2:
            raise error(
                "SL220", f"'{name}' has {len(shape)} dimensions; tensor expressions take vectors and matrices", span
            )
        return _Sum((Chain(Fraction(1), (), (Factor(name, False),)),), shape)
    if name in scope.scalars:
        return _Sum((Chain(Fraction(1), (name,), ()),), None)
    if name in scope.sizes:
        return _Sum((Chain(Fraction(scope.sizes[name]), (), ()),), None)
    if name in scope.declared:
        raise error("SL221", f"'{name}' is {scope.declared[name][0]}, not a tensor", span)
    raise unknown_name(scope, name, span)


def _limited(result: _Sum, span: Span) -> _Sum:
    if len(result.chains) > MAX_CHAINS:
        raise error("SL222", f"this multiplies out to more than {MAX_CHAINS} products", span)
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
            hint='the matrix product is "@"',
        )
    return _limited(_Sum(a.scaled(b), a.shape if b.shape is None else b.shape), span)


def _product(scope: Scope, left: tree.Expr, right: tree.Expr, span: Span) -> _Sum:
    a, b = _expand(scope, left), _expand(scope, right)
    if a.shape is None or b.shape is None:
        raise error("SL220", '"@" multiplies tensors; scale by a number with "*"', span)
    if a.shape[-1] != b.shape[0]:
        raise _clash("@", left, a, right, b, span)
    if len(a.shape) == 1 and len(b.shape) == 1:
        raise error("SL220", "a product of two vectors is a number; write a sum", span)
    shape = a.shape[:-1] + b.shape[1:]
    return _limited(_Sum(a.scaled(b), shape), span)
