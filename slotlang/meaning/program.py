"""A program with a meaning: names resolved, sizes bound, every expression of a known kind."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from slotlang.displayed import Pictured
from slotlang.meaning.integers import SLOT, And, Cond, Int, IntConst, IntOp, IntVar, evaluate, holds, within
from slotlang.meaning.kept import Case
from slotlang.meaning.value import Chain, Element, FamilyRef, Leaf, TensorForm, Value, leaves
from slotlang.source import Span
from slotlang.syntax import tree

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = [
    "Binder",
    "Bound",
    "ChosenParameters",
    "Claim",
    "Digit",
    "Family",
    "Output",
    "Permutation",
    "Program",
    "TensorDecl",
    "Theorem",
    "member_text",
    "of_member",
    "program_hash",
    "written_name",
]

T = TypeVar("T")


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
class Bound:
    """What is assumed of an input, a weight or a scalar.

    ``entry``: every element's magnitude is at most ``limit``. ``norm``: so is the Euclidean norm of every line of the
    tensor along dimension ``axis``: of each column ``x[:, t]`` for axis 0 of a matrix, of each row ``B[q, :]`` for axis
    1.
    """

    name: str
    kind: Literal["entry", "norm"]
    axis: int | None
    limit: Fraction
    span: Span = field(compare=False, repr=False)

    @property
    def written(self) -> str:
        """``|x| <= 4 * d``, as the program writes it."""
        return " ".join(re.sub(r"#[^\n]*", " ", self.span.text).split()).removeprefix("bound").strip()

    @property
    def fixed(self) -> bool:
        """Whether the limit is a number and not computed from sizes."""
        return re.fullmatch(r"[0-9.]+(/[0-9]+)?", self.written.rpartition("<=")[2].strip()) is not None

    @property
    def text(self) -> str:
        """As the program writes it, with the limit's value where that is computed."""
        return self.written if self.fixed else f"{self.written} = {self.limit}"

    def to_json(self, *, at_all_sizes: bool = False) -> dict[str, object]:
        """Plain data. The limit is exact and so a text; null where it differs ``at_all_sizes``."""
        known = self.fixed or not at_all_sizes
        return {
            "of": self.name,
            "kind": self.kind,
            "axis": self.axis,
            "limit": str(self.limit) if known else None,
            "text": self.text if known else self.written,
        }

    def same(self, other: Bound) -> bool:
        """Whether another bound is about the same magnitudes."""
        return (self.name, self.kind, self.axis) == (other.name, other.kind, other.axis)


@dataclass(frozen=True, slots=True)
class Binder:
    """``name < extent`` with the extent's bound value."""

    name: str
    extent: Int
    size: int


class _Indexed:
    """What has binders, and so members: one for each value of them all."""

    __slots__ = ()
    binders: tuple[Binder, ...]

    @property
    def size(self) -> int:
        """The number of members."""
        return prod(b.size for b in self.binders)

    def env(self, indices: Sequence[T]) -> dict[str, T]:
        """The environment of a member: the binders' names with the member's indices."""
        return {b.name: index for b, index in zip(self.binders, indices, strict=True)}

    def points(self) -> Iterator[tuple[int, ...]]:
        """The indices of every member, the last index running fastest."""
        return product(*(range(b.size) for b in self.binders))

    def envs(self) -> Iterator[dict[str, int]]:
        """The environment of every member, in the order of ``points``."""
        return map(self.env, self.points())


@dataclass(frozen=True, slots=True)
class Family(_Indexed):
    """A family of vectors. ``kind`` is cipher (packed by the client), plain or compute. One that reads its own members
    and is kept whole has ``cases``, of which its body is the sum."""

    kind: str
    name: str
    binders: tuple[Binder, ...]
    body: Value
    span: Span = field(compare=False, repr=False)
    cases: tuple[Case, ...] = ()


@dataclass(frozen=True, slots=True)
class Claim(_Indexed):
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
class Output(_Indexed):
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
    """``prove name == ...``: the element at ``indices``, names that stand in nothing else, is ``value``, a value of
    tensors and scalars that does not depend on the slot. ``text``: the right side as the program writes it."""

    name: str
    indices: tuple[str, ...]
    extents: tuple[Int, ...]
    shape: tuple[int, ...]
    value: Value
    text: str = field(compare=False)
    span: Span = field(compare=False, repr=False)

    @property
    def form(self) -> TensorForm | None:
        """The sum of products of matrices that the result is, element for element; None when it is something else: also
        where it has other elements of such a sum, or the same ones in another order."""
        match self.value:
            case Element(form, places, False) if form.shape == self.shape and places == tuple(
                map(IntVar, self.indices)
            ):
                return form
        return None

    @property
    def chains(self) -> tuple[Chain, ...]:
        """The products of matrices that the result is made of."""
        return tuple(chain for leaf in leaves(self.value) if isinstance(leaf, Element) for chain in leaf.form.chains)

    def env(self, output: Output) -> dict[str, Int]:
        """The indices of the element that a slot of an output carries."""
        return dict(zip(self.indices, output.indices, strict=True))

    def at(self, flat: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.int64]]:
        """The indices of elements at flat positions."""
        env: dict[str, npt.NDArray[np.int64]] = {}
        for name, size in zip(self.indices[::-1], self.shape[::-1], strict=True):
            flat, env[name] = flat // size, flat % size
        return env


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


@dataclass(frozen=True, slots=True)
class ChosenParameters:
    """The CKKS parameters that a program says it was chosen for, as written. ``scales``: one for all factors, or one
    for each. What they mean, and whether they are secure, is planning's to say."""

    degree: int
    primes: tuple[int, ...]
    scales: tuple[int, ...]
    drops: tuple[int, ...]
    keys: tuple[int, ...]
    results: int
    cut: tuple[int, ...]
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class Program(Pictured):
    """Everything later stages need, sizes both symbolic and bound.

    ``parameters`` are the names of its sizes that can be set, ``bounds`` what it assumes of magnitudes, in the order of
    the text: nothing that is proved of exact slots rests on them. ``chosen_parameters`` are those of CKKS that it
    names.
    """

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
    bounds: tuple[Bound, ...] = ()
    chosen_parameters: ChosenParameters | None = None

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} = {self.sizes[name]}" for name in self.parameters)
        return f"<Program {self.name}({sizes})>"

    @property
    def span(self) -> Span:
        """The program's header: where messages about the program as a whole point."""
        return self.syntax.header.span

    def encrypted(self, value: Value) -> bool:
        """Whether a value holds a ciphertext: some leaf is a member of a family that is not plain."""
        return any(isinstance(leaf, FamilyRef) and self.families[leaf.name].kind != "plain" for leaf in leaves(value))

    def leaves(self, value: Value) -> Iterator[Leaf]:
        """Every leaf of a value, those of the definition of each family it mentions in place of the first mention."""
        seen: set[str] = set()
        # a list in place of Python's stack: families may read each other many times in a row
        waiting = [leaves(value)]
        while waiting:
            leaf = next(waiting[-1], None)
            if leaf is None:
                waiting.pop()
            elif not isinstance(leaf, FamilyRef):
                yield leaf
            elif leaf.name not in seen:
                seen.add(leaf.name)
                waiting.append(leaves(self.families[leaf.name].body))

    def read_where(self, output: Output) -> Cond:
        """The condition, over the output's binders and the slot, that a slot carries an element: the element lies
        inside the result, and the output's own condition holds."""
        shape = self.theorems[output.name].extents
        own = () if output.where is None else (output.where,)
        return And((*within(output.indices, shape), *own))

    def read_slots(
        self, output: Output, env: Mapping[str, int], at: Mapping[str, Any] | None = None
    ) -> npt.NDArray[np.bool_]:
        """Which slots of an output's member carry an element, shape (slots,). ``env``: the output's binders; ``at``:
        ``slot_env`` of all slots, for those who ask about many members."""
        import numpy as np

        here = {**(at or self.slot_env(np.arange(self.slots))), **env}
        return np.broadcast_to(np.asarray(holds(self.read_where(output), self.sizes, here), bool), (self.slots,))

    def read_elements(
        self, output: Output, env: Mapping[str, int], at: Mapping[str, Any] | None = None
    ) -> npt.NDArray[np.int64]:
        """The flat position, in the result, of the element that each slot carries, shape (slots,); of no meaning at
        slots that carry none (see ``read_slots``)."""
        import numpy as np

        here = {**(at or self.slot_env(np.arange(self.slots))), **env}
        flat: Any = 0
        for index, size in zip(output.indices, self.theorems[output.name].shape, strict=True):
            flat = flat * size + evaluate(index, self.sizes, here)
        return np.broadcast_to(np.asarray(flat, np.int64), (self.slots,))

    def digit_of(self, slot: Int, name: str) -> Int | None:
        """What variable ``name`` becomes when the slot is the given expression; None for other variables."""
        if name == SLOT:
            return slot
        digit = self.digits.get(name)
        return None if digit is None else digit.of(slot)

    def extents(self, form: TensorForm) -> tuple[Int, ...]:
        """The shape of a tensor expression over the names of sizes."""
        return form_extents(self.tensors, form)

    def slot_env(self, slot: npt.NDArray[np.int64] | int) -> dict[str, npt.NDArray[np.int64] | int]:
        """Values of ``slot`` and of every digit at the given slot indices."""
        env: dict[str, npt.NDArray[np.int64] | int] = {SLOT: slot}
        for name, digit in self.digits.items():
            env[name] = evaluate(digit.of(IntVar(SLOT)), self.sizes, {SLOT: slot})
        return env

    def slot_extents(self) -> dict[str, int]:
        """Extents of ``slot`` and of every digit."""
        return {SLOT: self.slots, **{name: digit.size for name, digit in self.digits.items()}}


def form_extents(tensors: Mapping[str, TensorDecl], form: TensorForm) -> tuple[Int, ...]:
    """The shape of a tensor expression over the names of sizes."""
    first, last = form.chains[0].factors[0], form.chains[0].factors[-1]
    rows, columns = tensors[first.tensor].extents, tensors[last.tensor].extents
    if first.transposed:
        rows = rows[::-1]
    if last.transposed:
        columns = columns[::-1]
    return (rows[0], columns[-1]) if len(form.shape) == 2 else rows[:1]


def member_text(name: str, indices: Sequence[object]) -> str:
    """A member of a family, or an element of a tensor, as the program writes it: ``Z[0, 3]``, and ``S`` without
    indices; ``S[2, 3]`` for the member 3 of ``S[2, :]``."""
    if ":" in name:
        for index in indices:
            name = name.replace(":", str(index), 1)
        return name
    return f"{name}[{', '.join(map(str, indices))}]" if len(indices) else name


def written_name(name: str) -> str:
    """The name of the family in the program's text: ``S`` for ``S[2]``, a member of one that is written out."""
    return name.partition("[")[0]


def of_member(program: Program, name: str, indices: tuple[int, ...]) -> tuple[Family, tuple[int, ...]] | None:
    """The family that holds a member under the name in the text, with the indices it has there: ``S[2, :]`` and (3,)
    for ``S[2, 3]``, or the first family of that name without indices. None where there is none."""
    for family in program.families.values():
        places = family.name[len(name) + 1 : -1].split(", ") if family.name != name else []
        if written_name(family.name) != name:
            continue
        if not places or not indices:
            return family, indices
        if len(places) == len(indices) and all(p in (":", str(i)) for p, i in zip(places, indices, strict=True)):
            return family, tuple(i for p, i in zip(places, indices, strict=True) if p == ":")
    return None


def program_hash(program: Program) -> str:
    """SHA-256 of the program's text and the sizes it is bound to."""
    sizes = ",".join(f"{name}={program.sizes[name]}" for name in program.parameters)
    return hashlib.sha256(f"{program.syntax.source.text}\n{sizes}".encode()).hexdigest()
