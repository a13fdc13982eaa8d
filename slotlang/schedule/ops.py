"""The schedule: which ciphertext operation is done when, loops kept.

A schedule is what the graph is unrolled from and what code is emitted from, so both agree by construction on
what is executed. Every plaintext operand is a member of a plain family, encoded before the evaluation starts.
Operation nodes compare by identity: each is one place in the emitted code.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import ClassVar, TypeAlias

from slotlang.meaning.integers import Cmp, Int, IntConst, IntOp, IntVar, add, mul, neg, variables
from slotlang.meaning.program import Output, Program
from slotlang.meaning.value import Value
from slotlang.schedule import doubling
from slotlang.schedule.permutation import Network
from slotlang.source import Span


@dataclass(frozen=True, slots=True)
class Loop:
    """``for var in range(size)``; ``extent`` is the size as the program writes it, or a number that knows how it
    follows from that."""

    var: str
    size: int
    extent: Int | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class MaskOf:
    """The 0/1 mask of step number ``index`` of one stage of a permutation's network."""

    network: str
    stage: int
    index: Int


@dataclass(frozen=True, slots=True)
class State:
    """Where a ciphertext stands: primes dropped, and products whose scale it still carries."""

    level: int
    pending: int


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a plaintext is encoded: at the level of a ciphertext that carries the scale of ``products`` products, either
    to be multiplied with it, or, at its scale, to be ``added``."""

    level: int
    products: int
    added: bool


@dataclass(frozen=True, slots=True)
class PlainFamily:
    """Plaintext vectors over loop variables: ``body`` (1 when None) times the masks."""

    name: str
    loops: tuple[Loop, ...]
    body: Value | None
    masks: tuple[tuple[MaskOf, Int], ...]
    """Each mask with the shift it is read at: the vector holds ``mask << shift``."""
    span: Span = field(compare=False, repr=False)
    declared: bool = field(compare=False, default=False)
    encoding: Encoding | None = None


@dataclass(frozen=True, slots=True)
class PlainRef:
    """A member of a plain family."""

    family: str
    indices: tuple[Int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Ref:
    """A member of a ciphertext family."""

    family: str
    indices: tuple[Int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Add:
    """``+-a +-b ...``: signed operands, at least one of them positive and first."""

    operands: tuple[tuple[int, Op], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Neg:
    """``-a``."""

    kind: ClassVar = "neg"
    value: Op


@dataclass(frozen=True, slots=True, eq=False)
class AddPlain:
    """``a + p`` or ``a - p``."""

    value: Op
    plain: PlainRef
    sign: int


@dataclass(frozen=True, slots=True, eq=False)
class MulPlain:
    """``a * p``; one unit of scale."""

    value: Op
    plain: PlainRef


@dataclass(frozen=True, slots=True, eq=False)
class Mul:
    """Ciphertext product. It has three polynomials until it, or a sum that it is part of, is relinearised."""

    left: Op
    right: Op


@dataclass(frozen=True, slots=True, eq=False)
class Relinearize:
    """Back to two polynomials; one key switch."""

    kind: ClassVar = "relinearize"
    value: Op


@dataclass(frozen=True, slots=True, eq=False)
class Rotate:
    """``(a << amount)``; one key switch unless the amount is 0 modulo slots. ``table`` maps the value of
    ``amount`` to a step (the steps of a permutation's stage)."""

    value: Op
    amount: Int
    table: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Ladder:
    """The body of a family ``F[..., var, ...] = value << var*step``, each member rotated from the one before:
    as many key switches as rotating ``value`` each time, and one key instead of many. ``written`` here and below:
    the step (and the count) as the program writes them; ``base``: what ``value`` has been rotated by before."""

    value: Op
    var: str
    step: int
    written: Int | None = field(default=None, repr=False)
    base: Int = field(default=IntConst(0), repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Conjugate:
    """Complex conjugate; one key switch."""

    kind: ClassVar = "conj"
    value: Op


@dataclass(frozen=True, slots=True, eq=False)
class Rescale:
    """Drop one prime, dividing the scale by it."""

    value: Op


@dataclass(frozen=True, slots=True, eq=False)
class Sum:
    """Sum of ``body`` over a loop: a chain, or a balanced tree of additions."""

    loop: Loop
    body: Op
    tree: bool


@dataclass(frozen=True, slots=True, eq=False)
class Horner:
    """``sum v: body(v) << v*step`` as ``(body(n-1) << step) + body(n-2)``, turned by ``step`` again, and so
    on: one step, one key."""

    loop: Loop
    body: Op
    step: int
    written: Int | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Doubling:
    """``sum f < count: value << f*step`` by rotate-and-add, up to ``radix`` copies at a time; see
    ``slotlang.schedule.doubling``. ``written``: step, count and radix."""

    value: Op
    step: int
    count: int
    radix: int = 2
    written: tuple[Int, Int, Int] | None = field(default=None, repr=False)


Op: TypeAlias = (
    Ref
    | Add
    | Neg
    | AddPlain
    | MulPlain
    | Mul
    | Relinearize
    | Rotate
    | Ladder
    | Conjugate
    | Rescale
    | Sum
    | Horner
    | Doubling
)


Unary: TypeAlias = Neg | Conjugate | Relinearize
"""Operations that are one node of the graph, of their ``kind``, and work slot by slot."""

SwitchesKeys: TypeAlias = Rotate | Ladder | Conjugate | Horner | Doubling
"""Operations that switch the keys of their operand, which is rescaled before if it is to be."""


@dataclass(frozen=True, slots=True)
class CipherFamily:
    """Ciphertexts over loop variables. ``body`` is None for those the client packs. ``source`` names the
    family of the program that this one is, or was lifted out of."""

    name: str
    loops: tuple[Loop, ...]
    body: Op | None
    source: str
    span: Span = field(compare=False, repr=False)

    @property
    def size(self) -> int:
        """The number of members."""
        return prod(loop.size for loop in self.loops)


@dataclass(frozen=True, slots=True)
class Group:
    """Families computed in turns: for each turn of ``loops``, which all have, the members of the first family, then of
    the next. Only the last family is read outside; of the others a turn reads its own members, and the next turn's take
    their place. A family alone is a group without loops."""

    loops: tuple[Loop, ...]
    families: tuple[CipherFamily, ...]

    def within(self, family: CipherFamily) -> tuple[Loop, ...]:
        """The loops of a family inside of a turn."""
        shared = {loop.var for loop in self.loops}
        return tuple(loop for loop in family.loops if loop.var not in shared)

    def is_local(self, family: CipherFamily) -> bool:
        """Whether a turn's members take the place of the last one's."""
        return family is not self.families[-1]

    def held(self, family: CipherFamily) -> int:
        """How many members of a family are there in the end."""
        return prod(loop.size for loop in self.within(family)) if self.is_local(family) else family.size


@dataclass(frozen=True)
class Schedule:
    """A program as ciphertext operations. ``drops``: the products in a row after which a prime is dropped, counted from
    1; the last ``results`` of them are dropped of results alone. ``turns_fresh``: some ciphertext is rotated or
    conjugated before any product, at the smallest scale. ``routes``: rotations by steps that have no Galois key, each
    composed of several by steps that have one.
    ``decided``: comparisons of sizes that are true here and that the operations would be others without.
    ``groups``: the families in the order in which they are computed, which is that of ``ciphers``."""

    program: Program
    plains: Mapping[str, PlainFamily]
    ciphers: tuple[CipherFamily, ...]
    outputs: tuple[Output, ...]
    networks: Mapping[str, Network]
    drops: Sequence[int]
    states: Mapping[str, State] = field(default_factory=dict)
    turns_fresh: bool = False
    routes: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    groups: tuple[Group, ...] = ()
    decided: tuple[Cmp, ...] = ()
    results: int = 0

    @property
    def depth(self) -> int:
        """Most products that lie behind one ciphertext: the levels, or the powers of the scale, needed."""
        return max(map(self.depth_of, self.states.values()), default=0)

    def depth_of(self, state: State) -> int:
        """The number of products behind a ciphertext in this state."""
        return (self.drops[state.level - 1] if state.level else 0) + state.pending

    @cached_property
    def multiplies_ciphertexts(self) -> bool:
        """Whether some product is of two ciphertexts."""

        def inside(op: Op) -> bool:
            return isinstance(op, Mul) or any(map(inside, children(op)))

        return any(inside(f.body) for f in self.ciphers if f.body is not None)


def children(op: Op) -> tuple[Op, ...]:
    """Operand operations."""
    match op:
        case Ref():
            return ()
        case Add(operands):
            return tuple(o for _, o in operands)
        case Mul(left, right):
            return (left, right)
        case (
            Neg(value)
            | AddPlain(value)
            | MulPlain(value)
            | Relinearize(value)
            | Rotate(value)
            | Ladder(value)
            | Conjugate(value)
            | Rescale(value)
            | Doubling(value)
        ):
            return (value,)
        case Sum(_, body) | Horner(_, body):
            return (body,)


def references(op: Op | None) -> Iterator[str]:
    """Names of the families that an operation reads; none for what the client sends."""
    if isinstance(op, Ref):
        yield op.family
    for child in () if op is None else children(op):
        yield from references(child)


def rebuilt(op: Op, change: Callable[[Op], Op]) -> Op:
    """The operation with every operand replaced by what ``change`` gives for it."""
    match op:
        case Ref():
            return op
        case Add(operands):
            return Add(tuple((sign, change(o)) for sign, o in operands))
        case Mul(left, right):
            return Mul(change(left), change(right))
        case Sum(_, body) | Horner(_, body):
            return replace(op, body=change(body))
        case _:
            return replace(op, value=change(op.value))


def executions(op: Op) -> int:
    """Operations executed for one member of a family, shared or not."""
    inside = sum(map(executions, children(op)))
    if isinstance(op, Doubling):
        return inside + doubling.additions(op.count, op.radix)
    return 1 + inside * (op.loop.size if isinstance(op, Sum | Horner) else 1)


def sum_of_products(op: Op, shared: Container[Op]) -> tuple[tuple[Loop, ...], MulPlain] | None:
    """The loops and the product of a sum of named ciphertexts, each times a plaintext, which can be computed in one
    pass; None for any other operation. ``shared``: operations whose results are remembered, and so computed alone."""
    loops: list[Loop] = []
    while isinstance(op, Sum) and not op.tree and op not in shared:
        loops.append(op.loop)
        op = op.body
    if loops and isinstance(op, MulPlain) and isinstance(op.value, Ref) and op not in shared:
        return tuple(loops), op
    return None


def linear(e: Int, var: str) -> tuple[Int, Int] | None:
    """``e = step*var + base`` with step and base free of ``var`` and step free of variables, or None."""
    if var not in variables(e):
        return IntConst(0), e
    match e:
        case IntVar():
            return IntConst(1), IntConst(0)
        case IntOp("+" | "-" as op, a, b):
            left, right = linear(a, var), linear(b, var)
            if left is None or right is None:
                return None
            if op == "-":
                right = (neg(right[0]), neg(right[1]))
            return add(left[0], right[0]), add(left[1], right[1])
        case IntOp("*", a, b):
            scale, inner = (a, b) if not variables(a) else (b, a)
            split = linear(inner, var)
            if split is None or variables(scale):
                return None
            return mul(scale, split[0]), mul(scale, split[1])
        case _:
            return None
