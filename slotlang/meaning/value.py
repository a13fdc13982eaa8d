"""Slot values, what a vector holds at every slot: their nodes, and how to walk them.

A walk that has nothing to say of most kinds of values goes through ``children``, ``rebuilt`` or ``leaves``, so that a
new operator changes only what depends on its meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TypeAlias, assert_never

from slotlang.meaning.integers import Cond, Int, IntVar, substitute, substitute_cond, variables
from slotlang.source import Span

# Tensor expressions


@dataclass(frozen=True, slots=True)
class Factor:
    """A declared tensor in a product, transposed or not."""

    tensor: str
    transposed: bool


@dataclass(frozen=True, slots=True)
class Chain:
    """``coefficient * scalars * F1 @ F2 @ ...``, the factors' shapes checked."""

    coefficient: Fraction
    scalars: tuple[str, ...]
    factors: tuple[Factor, ...]


@dataclass(frozen=True, slots=True)
class TensorForm:
    """A tensor expression multiplied out: a sum of chains of one shape."""

    chains: tuple[Chain, ...]
    shape: tuple[int, ...]
    text: str


# Slot values


@dataclass(frozen=True, slots=True)
class Const:
    """The exact constant ``re + im*i`` in every slot."""

    re: Fraction
    im: Fraction
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Read:
    """Slot s holds ``tensor[indices(s)]``; 0 outside the tensor when ``else_zero``."""

    tensor: str
    indices: tuple[Int, ...]
    else_zero: bool
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Element:
    """Slot s holds the element at ``indices(s)`` of a tensor expression."""

    form: TensorForm
    indices: tuple[Int, ...]
    else_zero: bool
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ScalarRef:
    """A declared scalar, in every slot."""

    name: str
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Iverson:
    """1 where the condition holds, else 0. As the ``guard`` of a choice: where it is 0, what it is multiplied by is not
    looked at."""

    condition: Cond
    span: Span = field(compare=False, repr=False)
    guard: bool = field(default=False, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class FamilyRef:
    """A member of a family of vectors; the indices do not depend on the slot."""

    name: str
    indices: tuple[Int, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Arith:
    """Slotwise ``+``, ``-`` or ``*``."""

    op: str
    left: Value
    right: Value
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Negate:
    """Slotwise ``-v``."""

    value: Value
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Shift:
    """``(v << amount)[s] = v[(s + amount) mod slots]``; ``>>`` arrives here with its amount negated."""

    value: Value
    amount: Int
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Conj:
    """Complex conjugate in every slot."""

    value: Value
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class SumOver:
    """Sum over ``0 <= var < extent``; ``how`` is None, tree, horner, doubling or bsgs. ``argument`` is the number of
    baby steps of bsgs, or the radix of doubling where the program gives one; ``written`` has it as it is written. The
    terms from ``cut`` on, which depends on other variables, are left out."""

    var: str
    extent: Int
    how: str | None
    argument: int | None
    body: Value
    span: Span = field(compare=False, repr=False)
    written: Int | None = field(default=None, compare=False, repr=False)
    cut: Int | None = None


@dataclass(frozen=True, slots=True)
class Permuted:
    """What slot s holds moves to slot p(s), or back when ``inverse``."""

    value: Value
    permutation: str
    inverse: bool
    span: Span = field(compare=False, repr=False)


Leaf: TypeAlias = Const | Read | Element | ScalarRef | Iverson | FamilyRef
"""Values without operands."""

Linear: TypeAlias = Negate | Shift | Conj | SumOver | Permuted
"""Operators of one operand that are linear over the real numbers."""

Operator: TypeAlias = Arith | Linear
"""Values with operands."""

Value: TypeAlias = Leaf | Operator

Injective: TypeAlias = Negate | Shift | Conj | Permuted
"""Linear operators that give zero for zero alone."""

Slotwise: TypeAlias = Arith | Negate | Conj
"""Operators whose slot s depends on slot s of their operands alone."""


# Walks


def children(value: Value) -> tuple[Value, ...]:
    """The operands of a value, in the order in which they are written."""
    match value:
        case Const() | Read() | Element() | ScalarRef() | Iverson() | FamilyRef():
            return ()
        case Arith(_, left, right):
            return (left, right)
        case Negate(inner) | Conj(inner) | Shift(inner) | Permuted(inner) | SumOver(body=inner):
            return (inner,)
        case _:
            assert_never(value)


def rebuilt(value: Value, change: Callable[[Value], Value]) -> Value:
    """The value with every operand replaced by what ``change`` gives for it."""
    match value:
        case Arith(_, left, right):
            return replace(value, left=change(left), right=change(right))
        case SumOver(body=body):
            return replace(value, body=change(body))
        case Negate(inner) | Conj(inner) | Shift(inner) | Permuted(inner):
            return replace(value, value=change(inner))
        case _:
            return value


def nodes(value: Value) -> Iterator[Value]:
    """The value and everything inside it, each before its operands, in the order in which they are written."""
    yield value
    for child in children(value):
        yield from nodes(child)


def leaves(value: Value) -> Iterator[Leaf]:
    """Every leaf of a value, in the order in which they are written."""
    return (node for node in nodes(value) if isinstance(node, Leaf))


def renamed(value: Value, env: Mapping[str, Int]) -> Value:
    """``value`` with loop variables replaced; ``env`` must not mention variables of the value's own sums."""
    if all(v == IntVar(k) for k, v in env.items()):
        return value

    def index(e: Int) -> Int:
        return substitute(e, env.get)

    def visit(v: Value) -> Value:
        match v:
            case Read(indices=indices) | Element(indices=indices) | FamilyRef(indices=indices):
                return replace(v, indices=tuple(map(index, indices)))
            case Iverson(cond):
                return replace(v, condition=substitute_cond(cond, env.get))
            case Shift(inner, amount):
                return replace(v, value=visit(inner), amount=index(amount))
            case _:
                return rebuilt(v, visit)

    return visit(value)


def free_variables(value: Value) -> frozenset[str]:
    """Variables that occur in a value, slot digits included, the variables of its own sums not."""
    inside = frozenset[str]().union(*map(free_variables, children(value)))
    match value:
        case Read(indices=indices) | Element(indices=indices) | FamilyRef(indices=indices):
            return inside.union(*map(variables, indices))
        case Iverson(cond):
            return inside | variables(cond)
        case Shift(_, amount):
            return inside | variables(amount)
        case SumOver(var):
            return inside - {var}
        case _:
            return inside


def sum_variables(value: Value) -> frozenset[str]:
    """Variables that sums inside a value run over."""
    return frozenset(node.var for node in nodes(value) if isinstance(node, SumOver))
