"""A program with a meaning: names resolved, sizes bound, every expression of a known kind."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

from slotlang.meaning.integers import SLOT, Cond, Int, IntConst, IntOp, IntVar, evaluate
from slotlang.source import Span
from slotlang.syntax import tree

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


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


# Slot values: what a vector holds at every slot


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
    """1 where the condition holds, else 0."""

    condition: Cond
    span: Span = field(compare=False, repr=False)


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
    """Sum over ``0 <= var < extent``; ``how`` is None, tree, horner, doubling or bsgs with ``argument``."""

    var: str
    extent: Int
    how: str | None
    argument: int | None
    body: Value
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Permuted:
    """What slot s holds moves to slot p(s), or back when ``inverse``."""

    value: Value
    permutation: str
    inverse: bool
    span: Span = field(compare=False, repr=False)


Value: TypeAlias = (
    Const | Read | Element | ScalarRef | Iverson | FamilyRef | Arith | Negate | Shift | Conj | SumOver | Permuted
)


# Declarations and steps


@dataclass(frozen=True, slots=True)
class TensorDecl:
    """A real tensor. ``pattern``, over the variables ``indices``, says where it may be nonzero."""

    name: str
    kind: str
    shape: tuple[int, ...]
    extents: tuple[Int, ...]
    indices: tuple[str, ...]
    sparse: bool
    pattern: Cond | None
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Binder:
    """``name < extent`` with the extent's bound value."""

    name: str
    extent: Int
    size: int


@dataclass(frozen=True, slots=True)
class Family:
    """A family of vectors. ``kind`` is cipher (packed by the client), plain or compute."""

    kind: str
    name: str
    binders: tuple[Binder, ...]
    body: Value
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Claim:
    """``family[indices] == value where condition`` for all binders and slots; ``every`` when the claim names
    the family's members by bare names, each once, so that it speaks of all of them."""

    family: str
    binders: tuple[Binder, ...]
    indices: tuple[Int, ...]
    value: Value
    where: Cond | None
    every: bool
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Output:
    """Which element of result ``name`` each slot of a family's members carries. ``part`` is re, im or
    None (the complex value itself)."""

    name: str
    binders: tuple[Binder, ...]
    indices: tuple[Int, ...]
    part: str | None
    family: FamilyRef
    where: Cond | None
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Theorem:
    """``prove name == form``."""

    name: str
    form: TensorForm
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class Permutation:
    """A proved bijection of slot indices. ``destination[s]`` is where the content of slot s goes.

    ``expression`` gives it over ``slot`` and the digits; None for one given by cycles, whose moved slots are
    in ``moved``.
    """

    name: str
    expression: Int | None
    moved: tuple[tuple[int, int], ...]
    destination: npt.NDArray[np.int64] = field(compare=False, repr=False)
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Digit:
    """A named digit of the slot index: ``slot // stride % extent``; ``outermost`` ones need no remainder."""

    name: str
    extent: Int
    stride: Int
    size: int
    outermost: bool

    def of(self, slot: Int) -> Int:
        """The digit of a slot given as an expression in [0, slots)."""
        if self.stride == IntConst(1):
            quotient = slot
        else:
            quotient = IntOp("//", slot, self.stride)
        return quotient if self.outermost else IntOp("%", quotient, self.extent)


@dataclass(frozen=True)
class Program:
    """Everything later stages need, sizes both symbolic and bound."""

    syntax: tree.Program = field(repr=False)
    name: str
    sizes: Mapping[str, int]
    parameters: tuple[str, ...]
    slots: int
    slots_expr: Int
    digits: Mapping[str, Digit]
    axes: tuple[tuple[str, ...], ...]
    tensors: Mapping[str, TensorDecl]
    scalars: tuple[str, ...]
    permutations: Mapping[str, Permutation]
    steps: tuple[Family | Claim, ...]
    families: Mapping[str, Family]
    outputs: tuple[Output, ...]
    theorems: Mapping[str, Theorem]

    def digit_of(self, slot: Int, name: str) -> Int | None:
        """What variable ``name`` becomes when the slot is the given expression; None for other variables."""
        if name == SLOT:
            return slot
        digit = self.digits.get(name)
        return None if digit is None else digit.of(slot)

    def extents(self, form: TensorForm) -> tuple[Int, ...]:
        """The shape of a tensor expression over the names of sizes."""
        first, last = form.chains[0].factors[0], form.chains[0].factors[-1]
        rows, columns = self.tensors[first.tensor].extents, self.tensors[last.tensor].extents
        if first.transposed:
            rows = rows[::-1]
        if last.transposed:
            columns = columns[::-1]
        return (rows[0], columns[-1]) if len(form.shape) == 2 else rows[:1]

    def slot_env(self, slot: npt.NDArray[np.int64] | int) -> dict[str, npt.NDArray[np.int64] | int]:
        """Values of ``slot`` and of every digit at the given slot indices."""
        env: dict[str, npt.NDArray[np.int64] | int] = {SLOT: slot}
        for name, digit in self.digits.items():
            env[name] = evaluate(digit.of(IntVar(SLOT)), self.sizes, {SLOT: slot})
        return env

    def slot_extents(self) -> dict[str, int]:
        """Extents of ``slot`` and of every digit."""
        return {SLOT: self.slots, **{name: digit.size for name, digit in self.digits.items()}}


def program_hash(program: Program) -> str:
    """SHA-256 of the program's text and the sizes it is bound to."""
    sizes = ",".join(f"{name}={program.sizes[name]}" for name in program.parameters)
    return hashlib.sha256(f"{program.syntax.source.text}\n{sizes}".encode()).hexdigest()
