"""What computing the vector of a slot value takes, as emitted modules do it with numpy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from math import ceil
from operator import or_

import numpy as np

from slotlang.meaning.deep import in_order
from slotlang.meaning.integers import (
    SLOT,
    And,
    Cmp,
    Cond,
    Int,
    IntCall,
    IntIf,
    IntOp,
    Not,
    Or,
    evaluate,
    holds,
    variables,
)
from slotlang.meaning.integers import parts as integer_parts
from slotlang.meaning.program import Program
from slotlang.meaning.value import (
    Const,
    Element,
    FamilyRef,
    Iverson,
    Permuted,
    Read,
    ScalarRef,
    Shift,
    SumOver,
    TensorForm,
    Value,
    children,
    leaves,
)
from slotlang.schedule.ops import PlainFamily

GUARDED = 10
"""Operations that an index takes whose element is zero outside the tensor: compared twice, cut to the inside, put
together."""
TURNED = 2
"""Operations that a rotation of a vector takes."""
ORDERED = 5
"""Operations that inverting a table of places takes."""
PRODUCT = 1 << 18
"""Multiplications that the primitive ``tensor_product`` stands for, where writing an element counts as 64."""


@dataclass(frozen=True, slots=True)
class VectorShape:
    """What computing and encoding a vector takes: tensors read at places of their own for each slot, operations on
    all slots, whether it is complex, whether slots differ, and remainders, for each of which numpy takes as long as for
    ten other operations."""

    reads: int = 0
    operations: int = 0
    imaginary: bool = False
    varies: bool = False
    remainders: int = 0

    def __or__(self, other: VectorShape) -> VectorShape:
        return VectorShape(
            self.reads + other.reads,
            self.operations + other.operations,
            self.imaginary or other.imaginary,
            self.varies or other.varies,
            self.remainders + other.remainders,
        )

    @property
    def constant(self) -> bool:
        """Whether it is one real number: a complex one is encoded like any vector."""
        return not (self.imaginary or self.varies)

    def repeated(self, times: int) -> VectorShape:
        """The shape of so many, one after the other."""
        each = self.reads * times, self.operations * times, self.remainders * times
        return replace(self, reads=each[0], operations=each[1], remainders=each[2])

    def more(self, operations: int) -> VectorShape:
        """The shape with ``operations`` more on the result, where that is an array; those on complex arrays count
        twice."""
        return replace(self, operations=self.operations + operations * (1 + self.imaginary) * self.varies)


def is_constant(program: Program, value: Value | None) -> bool:
    """Whether a plaintext (1 when None) holds one real number in all slots, whatever the weights."""
    return value is None or vector_shape(program, value).constant


def plain_shape(program: Program, family: PlainFamily) -> VectorShape:
    """What computing and encoding a member of a plaintext family takes."""
    shape = VectorShape() if family.body is None else vector_shape(program, family.body)
    if family.masks:
        # a step is compared with a table's, and multiplied in, turned where it is read so
        shape = replace(shape, varies=True).more(len(family.masks) * (4 + TURNED))
    return shape


def uniform_members(program: Program, family: PlainFamily, members: Iterable[Sequence[int]]) -> int:
    """How many members of a family hold one number in all slots, as their conditions on slots hold everywhere: the tap
    in the middle of a convolution, whose window never leaves the image. Members that read tensors at places of their
    own for each slot are taken to vary, whatever they read."""
    shape = plain_shape(program, family)
    if shape.reads or shape.imaginary or family.masks or family.body is None:
        return 0
    held = _Held(program)
    names = [loop.var for loop in family.loops]
    return sum(held.uniform(family.body, dict(zip(names, indices, strict=True))) for indices in members)


class _Held:
    """Whether values hold one number in all slots. A condition is evaluated once for members that it treats alike."""

    def __init__(self, program: Program) -> None:
        self.program = program
        # by identity: comparing conditions would take longer than all the rest
        self._known: dict[tuple[int, tuple[int, ...]], bool] = {}
        self._read: dict[int, list[str]] = {}
        self._here = program.slot_env(np.arange(program.slots))

    def uniform(self, value: Value, env: Mapping[str, int]) -> bool:
        match value:
            case Iverson(condition):
                return self._everywhere(condition, env)
            case FamilyRef(name, indices):
                family = self.program.families[name]
                if any(variables(i) - env.keys() for i in indices):
                    return False
                places = [int(evaluate(i, self.program.sizes, env)) for i in indices]
                return self.uniform(family.body, family.env(places))
            case SumOver():
                return not any(isinstance(leaf, Iverson | FamilyRef) for leaf in leaves(value))
            case _:
                return all(self.uniform(child, env) for child in children(value))

    def _everywhere(self, condition: Cond, env: Mapping[str, int]) -> bool:
        read = self._read.get(id(condition))
        if read is None:
            read = self._read[id(condition)] = sorted(variables(condition) - self._here.keys())
        key = id(condition), tuple(env[name] for name in read)
        if key not in self._known:
            truth = np.asarray(holds(condition, self.program.sizes, {**self._here, **env}))
            self._known[key] = bool(truth.all() or not truth.any())
        return self._known[key]


def vector_shape(program: Program, value: Value) -> VectorShape:
    """What computing and encoding the vector of a value takes."""
    return _Shapes(program).of(value)


def index_shape(program: Program, e: Int | Cond) -> VectorShape:
    """Operations and remainders on arrays over slots that an index or a condition takes."""
    return _Shapes(program).index(e)


class _Shapes:
    def __init__(self, program: Program) -> None:
        self.program = program
        self._families: dict[str, VectorShape] = {}
        self.slotwise = {SLOT, *(name for name, digit in program.digits.items() if digit.size > 1)}

    def of(self, value: Value) -> VectorShape:
        families = self.program.families
        for name in in_order(families, value, self._families):
            self._families[name] = self._of(families[name].body)
        return self._of(value)

    def _of(self, value: Value) -> VectorShape:
        program = self.program
        match value:
            case Const(_, im):
                return VectorShape(imaginary=bool(im))
            case Read(_, indices, else_zero) | Element(_, indices, else_zero):
                varies = any(self.slotwise & variables(i) for i in indices)
                guard = GUARDED * len(indices) * else_zero * varies
                return VectorShape(int(varies), guard, varies=varies) | self._indices(indices)
            case Iverson(condition):
                return VectorShape(operations=1, varies=True) | self.index(condition)
            case ScalarRef():
                return VectorShape()
            case FamilyRef(name):
                return self._families[name]
            case Shift(inner):
                return self._of(inner).more(TURNED)
            case Permuted(inner, _, inverse):
                shape = self._of(inner).more(0 if inverse else ORDERED)
                return replace(shape, reads=shape.reads + shape.varies)
            case SumOver(extent=extent, body=body):
                term, times = self._of(body), int(evaluate(extent, program.sizes, {}))
                return term.repeated(times).more(times)
            case _:
                return reduce(or_, map(self._of, children(value))).more(1)

    def index(self, e: Int | Cond) -> VectorShape:
        if not self.slotwise & variables(e):
            return VectorShape()
        match e:
            case And(parts) | Or(parts):
                return VectorShape(operations=len(parts) - 1) | self._indices(parts)
            case Not(part):
                return VectorShape(operations=1) | self.index(part)
            case IntOp("%", left, right):
                return VectorShape(remainders=1) | self._indices((left, right))
            case IntOp() | Cmp() | IntCall() | IntIf():
                return VectorShape(operations=1) | self._indices(integer_parts(e))
            case _:
                return VectorShape()

    def _indices(self, parts: Iterable[Int | Cond]) -> VectorShape:
        return reduce(or_, map(self.index, parts), VectorShape())


def product_work(rows: int, inner: int, columns: int) -> int:
    """How many ``tensor_product`` a product of matrices is: bound by memory where ``inner`` is small, a rank."""
    return ceil(rows * columns * (inner + 64) / PRODUCT)


def form_work(program: Program, form: TensorForm) -> int:
    """How many ``tensor_product`` the products of a tensor expression are, computed from the right."""
    total = 0
    for chain in form.chains:
        shapes = [program.tensors[f.tensor].shape[:: -1 if f.transposed else 1] for f in chain.factors]
        columns = shapes[-1][1] if len(shapes[-1]) > 1 else 1
        total += sum(product_work(rows, inner, columns) for rows, inner in shapes[:-1])
    return total


def forms_of(program: Program, value: Value) -> set[TensorForm]:
    """Tensor expressions that are computed before a vector is made of their elements."""
    return {leaf.form for leaf in program.leaves(value) if isinstance(leaf, Element)}
