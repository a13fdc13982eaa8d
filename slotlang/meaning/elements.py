"""Tensors by their elements: what can't be written as a sum of matrix products, such as squares and masks.

A tensor is a function from its indices to a slot value. Sums inside it run over variables that no program can name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypeAlias

from slotlang.diagnostics import SlotError, error
from slotlang.meaning.integers import And, Cmp, Int, IntVar, within
from slotlang.meaning.program import TensorDecl
from slotlang.meaning.value import (
    Arith,
    Const,
    Element,
    Iverson,
    Negate,
    Read,
    SumOver,
    Value,
    rebuilt,
)
from slotlang.source import Span
from slotlang_runtime.amounts import count_of

MAX_CHAINS = 64
"""Products of sums multiply out; more chains than this is an error, not a wait."""
MAX_FACTORS = 64
"""Products of more tensors and scalars are an error, not a wait."""
MAX_POWER = 64
"""Largest exponent."""

Indices: TypeAlias = Sequence[Int]


@dataclass(frozen=True, slots=True)
class Elements:
    """A tensor of shape ``shape``, over the names of sizes ``extents``: ``at`` gives the value of an element, which
    multiplies out to ``terms`` products of up to ``factors`` tensors and scalars, with sums nested ``depth`` deep. A
    number has no dimensions."""

    shape: tuple[int, ...]
    extents: tuple[Int, ...]
    at: Callable[[Indices], Value]
    factors: int
    depth: int
    terms: int
    span: Span

    def limited(self) -> Elements:
        """Itself. Raises SL222 for an element of too many products, or of products of too many factors."""
        if self.terms > MAX_CHAINS:
            raise too_many(self.terms, self.span)
        if self.factors > MAX_FACTORS:
            raise too_many_factors(self.factors, self.span)
        return self

    def swapped(self, span: Span) -> Elements:
        """The last two dimensions exchanged; there are two or more."""

        def order(items: Sequence[Int]) -> tuple[Int, ...]:
            return (*items[:-2], items[-1], items[-2])

        shape = (*self.shape[:-2], self.shape[-1], self.shape[-2])
        return replace(self, shape=shape, extents=order(self.extents), at=lambda at: self.at(order(at)), span=span)

    def negated(self, span: Span) -> Elements:
        """The tensor times -1."""
        return replace(self, at=lambda at: Negate(self.at(at), span), span=span)

    def scaled(self, factor: Fraction, span: Span) -> Elements:
        """The tensor times a number."""
        const = Const(factor, Fraction(0), span)
        return replace(self, at=lambda at: Arith("*", const, self.at(at), span), span=span)


def too_many_factors(factors: int, span: Span) -> SlotError:
    """SL222 for a product of this many factors."""
    return error(
        "SL222",
        f"an element of this is a product of {count_of(factors, 'factor')}, and {MAX_FACTORS} is the limit",
        span,
        hint="write it with smaller powers",
    )


def too_many(terms: int, span: Span) -> SlotError:
    """SL222 for a tensor expression that multiplies out to this many products."""
    return error(
        "SL222",
        f"this multiplies out to {count_of(terms, 'product')}, and {MAX_CHAINS} is the limit",
        span,
        hint="write it with fewer sums inside products",
    )


def declared(decl: TensorDecl, span: Span) -> Elements:
    """A declared tensor."""
    return Elements(decl.shape, decl.extents, lambda at: Read(decl.name, tuple(at), False, span), 1, 0, 1, span)


def constant(kind: str, shape: tuple[int, ...], extents: tuple[Int, ...], span: Span) -> Elements:
    """``ones``, ``zeros`` or ``eye`` of a shape."""

    def at(indices: Indices) -> Value:
        if kind == "eye":
            return Iverson(Cmp("==", indices[0], indices[1]), span)
        return Const(Fraction(kind == "ones"), Fraction(0), span)

    return Elements(shape, extents, at, 0, 0, 1, span)


def combined(op: str, a: Elements, b: Elements, span: Span) -> Elements:
    """``+``, ``-`` or ``*`` of two tensors of one shape, element by element; one of the two may be a number."""
    whole = a if a.shape else b

    def at(indices: Indices) -> Value:
        left, right = (side.at(indices if side.shape else ()) for side in (a, b))
        return Arith(op, left, right, span)

    factors = a.factors + b.factors if op == "*" else max(a.factors, b.factors)
    terms = a.terms * b.terms if op == "*" else a.terms + b.terms
    return Elements(whole.shape, whole.extents, at, factors, max(a.depth, b.depth), terms, span).limited()


def power(a: Elements, exponent: int, span: Span) -> Elements:
    """A whole power of every element, 1 or more."""

    def at(indices: Indices) -> Value:
        return power_of(a.at(indices), exponent, span)

    return replace(a, at=at, factors=exponent * a.factors, terms=a.terms**exponent, span=span).limited()


def power_of(value: Value, exponent: int, span: Span) -> Value:
    """A value times itself, halved again and again: of a ciphertext, equal halves are computed once."""
    if exponent == 0:
        return Const(Fraction(1), Fraction(0), span)
    if exponent == 1:
        return value
    half = exponent // 2
    return Arith("*", power_of(value, exponent - half, span), power_of(value, half, span), span)


def product(a: Elements, b: Elements, span: Span) -> Elements:
    """``a @ b``: the sum over the last dimension of ``a``, which is as long as the last but one of ``b``, or its only
    one. Dimensions before these are equal."""
    depth = max(a.depth, b.depth) + 1
    # no program can use this name, and no sum inside has it
    variable = f"m'{depth}"
    extent, link = a.extents[-1], IntVar(variable)
    left, right = len(a.shape) > 1, len(b.shape) > 1
    batch = max(len(a.shape), len(b.shape)) - 2 if left or right else 0

    def at(indices: Indices) -> Value:
        front, rest = tuple(indices[:batch]), list(indices[batch:])
        row = (*front, rest.pop(0), link) if left else (link,)
        column = (*front, link, rest.pop(0)) if right else (link,)
        body = Arith("*", a.at(row), b.at(column), span)
        return SumOver(variable, extent, None, None, body, span)

    extents = (*(a.extents[:-1] if left else b.extents[:-2]), *(b.extents[-1:] if right else ()))
    sizes = (*(a.shape[:-1] if left else b.shape[:-2]), *(b.shape[-1:] if right else ()))
    return Elements(sizes, extents, at, a.factors + b.factors, depth, a.terms * b.terms, span).limited()


def padded(tensor: Elements, indices: Indices, span: Span) -> Value:
    """An element where the indices lie inside the tensor, and zero elsewhere."""

    def inside(value: Value) -> Value:
        if isinstance(value, Read | Element):
            return replace(value, else_zero=True)
        return rebuilt(value, inside)

    holds = Iverson(And(within(indices, tensor.extents)), span)
    return Arith("*", holds, inside(tensor.at(indices)), span)
