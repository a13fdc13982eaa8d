"""The syntax tree: what the text says, before any name or size is looked up.

Expressions are of one type here; whether one is an index, a condition, a slot value or a matrix identity
follows from where it stands and is settled in ``slotlang.meaning``. Every node holds its span, which takes
no part in comparison, so two programs that say the same are equal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

from slotlang.diagnostics import error
from slotlang.source import Source, Span


def _span() -> Span:
    return field(compare=False, repr=False)  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Number:
    """A constant as written, ``3``, ``0.125`` or ``2i``; exact."""

    value: Fraction
    imaginary: bool
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Name:
    """A name standing alone."""

    name: str
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Index:
    """``base[i, j]``; with ``else_zero``, reads outside the tensor are 0."""

    base: Expr
    indices: tuple[Expr, ...]
    else_zero: bool
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Transpose:
    """``base.T``, or ``base.mT``, by its ``word``."""

    base: Expr
    span: Span = _span()
    word: str = "T"


@dataclass(frozen=True, slots=True)
class Constant:
    """``ones(n, m)``, ``zeros(n)`` or ``eye(n)``: a tensor of ones and zeros, with its shape as it is written."""

    kind: str
    arguments: tuple[Expr, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Unary:
    """``-``, ``not`` or a word of ``PART_WORDS`` before an operand."""

    op: str
    operand: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Binary:
    """``+ - * / // % @ ** ^ << >>``, ``and``, ``or``."""

    op: str
    left: Expr
    right: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Compare:
    """A chain of comparisons, ``a <= b < c``: one operator fewer than operands."""

    ops: tuple[str, ...]
    operands: tuple[Expr, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Bracket:
    """Iverson bracket ``[cond]``: 1 where the condition holds, else 0."""

    condition: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Binder:
    """``name < extent``: an index that runs over 0 <= name < extent."""

    name: str
    extent: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class How:
    """How a sum is evaluated: ``tree``, ``horner``, ``doubling``, ``doubling(k)`` or ``bsgs(n)``."""

    name: str
    argument: Expr | None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Sum:
    """``sum q < R [by HOW]: body``."""

    binders: tuple[Binder, ...]
    how: How | None
    body: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Permute:
    """``permute(value, p)`` or ``permute(value, inverse(p))``."""

    value: Expr
    permutation: str
    inverse: bool
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Choice:
    """``yes if condition else no``: the branch that the condition does not take is not looked at."""

    condition: Expr
    yes: Expr
    no: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Call:
    """``name(argument, ...)``: a definition, whose name may be one of an import's, ``l.diagonal``, or a function of
    integers, ``INTEGER_FUNCTIONS`` of ``slotlang.words``."""

    name: str
    arguments: tuple[Expr, ...]
    span: Span = _span()


Expr: TypeAlias = (
    Number | Name | Index | Transpose | Constant | Unary | Binary | Compare | Bracket | Sum | Permute | Choice | Call
)


@dataclass(frozen=True, slots=True)
class Size:
    """A size parameter of the program, with or without a default."""

    name: str
    default: Expr | None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Header:
    """``program NAME(size = default, ...)``."""

    name: str
    sizes: tuple[Size, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Let:
    """``let NAME = expr``."""

    name: str
    value: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Require:
    """``require cond``."""

    condition: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Tensor:
    """A declared tensor. ``indices`` name its positions where the declaration does (``B[i < r, k < d]``),
    for use in the zero pattern of ``sparse where``."""

    name: str
    shape: tuple[Expr, ...]
    indices: tuple[str | None, ...]
    sparse: bool
    pattern: Expr | None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Declare:
    """``input`` or ``weight`` with its tensors."""

    kind: str
    tensors: tuple[Tensor, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class NameTensor:
    """``tensor name = value``: a name for a tensor expression."""

    name: str
    value: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Scalars:
    """``scalar s, ...``: plaintext numbers."""

    names: tuple[Name, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Bound:
    """``bound |name| <= limit`` (``kind`` is ``entry``), or ``bound norm(name[places]) <= limit`` (``norm``).

    ``places``, where there are brackets: the name of an index, which stands for each of its values, or None for the
    ``:`` that the norm goes along.
    """

    kind: str
    name: Name
    places: tuple[Name | None, ...]
    limit: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Axes:
    """Mixed-radix names for the digits of a slot index, outermost first."""

    name: str | None
    binders: tuple[Binder, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Define:
    """A family of vectors. ``kind`` is ``cipher`` (packed by the client), ``plain`` or ``compute``."""

    kind: str
    name: str
    binders: tuple[Binder, ...]
    body: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class DigitPermutation:
    """``(h, t) -> (t, h)``."""

    source: tuple[Name, ...]
    target: tuple[Expr, ...]
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class SlotPermutation:
    """``slot -> expr``: where the content of each slot goes."""

    source: Name
    target: Expr
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class CyclePermutation:
    """``cycles (0, 1, 2), (5, 7)``: slot 0 moves to 1, 1 to 2, 2 to 0; slots not named stay."""

    cycles: tuple[tuple[Expr, ...], ...]
    span: Span = _span()


PermutationForm: TypeAlias = DigitPermutation | SlotPermutation | CyclePermutation


@dataclass(frozen=True, slots=True)
class DefinePermutation:
    """``perm NAME: form``."""

    name: str
    form: PermutationForm
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Claim:
    """``claim target == value [where cond]``."""

    target: Expr
    value: Expr
    where: Expr | None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Output:
    """``output NAME[indices] = value [where cond]``: which element each slot carries. A number has no indices."""

    name: str
    indices: tuple[Expr, ...]
    value: Expr
    where: Expr | None
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Prove:
    """``prove NAME == value``, or by elements, ``prove NAME[binders] == value``."""

    name: str
    value: Expr
    span: Span = _span()
    binders: tuple[Binder, ...] = ()


@dataclass(frozen=True, slots=True)
class Parameters:
    """``parameters degree N primes N, ... scales N, ... drops N, ... keys N, ... results N cut N, N``: what it was
    chosen for. ``results`` has one number, or none."""

    degree: int
    primes: tuple[int, ...]
    scales: tuple[int, ...]
    drops: tuple[int, ...]
    keys: tuple[int, ...]
    results: tuple[int, ...]
    cut: tuple[int, ...]
    span: Span = _span()


Statement: TypeAlias = (
    Header
    | Let
    | Require
    | Declare
    | NameTensor
    | Scalars
    | Bound
    | Axes
    | Define
    | DefinePermutation
    | Claim
    | Output
    | Prove
    | Parameters
)


@dataclass(frozen=True, slots=True)
class Comment:
    """A ``#`` comment; ``own_line`` when nothing but blanks stands before it."""

    text: str
    own_line: bool
    span: Span = _span()


@dataclass(frozen=True, slots=True)
class Program:
    """One program: its statements in order, without definitions and imports, and its comments."""

    source: Source = field(compare=False, repr=False)
    statements: tuple[Statement, ...]
    comments: tuple[Comment, ...] = field(compare=False)

    @property
    def header(self) -> Header:
        """The header. Raises SL211 for a text without one: no name in it means anything."""
        for statement in self.statements:
            if isinstance(statement, Header):
                return statement
        raise error(
            "SL211",
            "a program starts with its header",
            self.statements[0].span,
            label="stands where the header is due",
            hint="write `program NAME(size = default, ...)` above it",
        )
