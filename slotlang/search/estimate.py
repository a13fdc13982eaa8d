"""Counts of a structure by formula, for one group of tokens: what its graph has when no operations coincide and no
plaintext is zero. The search prunes by them; where a graph would be too large they are the result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from slotlang.cost import matrix
from slotlang.cost.matrix import ADD, DOT, DOT_PRODUCT, PRODUCT, MatrixForm, weighed
from slotlang.cost.predict import Calls
from slotlang.cost.profile import Profile
from slotlang.schedule import doubling
from slotlang.search.structure import Structure
from slotlang_runtime.parameters import SUMS_TOGETHER


class Stage(NamedTuple):
    """The operations with equally many products behind them, up to the next products and the sums of these. ``shared``:
    rotations whose operand another one has decomposed before, in a sum that they share the mod-down with; ``joined``:
    those that share the mod-down alone, of different ciphertexts. ``sums``: the number of sums of products; each is
    rescaled where a prime is dropped after the product. ``dots``: the sums of several products, which are computed in
    one pass, ``dot_products`` the products in them, and ``dot_operands`` the ciphertexts that are read for them;
    ``additions``: additions of two other ciphertexts."""

    rotations: int = 0
    conjugations: int = 0
    products: int = 0
    additions: int = 0
    sums: int = 0
    dots: int = 0
    dot_products: int = 0
    dot_operands: int = 0
    shared: int = 0
    joined: int = 0


@dataclass(frozen=True, slots=True)
class Half:
    """The operations before the intermediate result, or after it, in the stages that they belong to; the steps of their
    rotations; and the ciphertexts that go up, or down."""

    stages: tuple[Stage, ...]
    steps: frozenset[int]
    ciphertexts: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """Numbers of operations, by the products behind them; ``steps`` are the distinct rotations."""

    stages: tuple[Stage, ...]
    steps: frozenset[int]
    inputs: int
    outputs: int

    @property
    def rotations(self) -> int:
        """Rotations of all stages."""
        return sum(stage.rotations for stage in self.stages)

    @property
    def conjugations(self) -> int:
        """Conjugations of all stages."""
        return sum(stage.conjugations for stage in self.stages)

    @property
    def products(self) -> int:
        """Products with plaintexts of all stages."""
        return sum(stage.products for stage in self.stages)

    @property
    def additions(self) -> int:
        """Additions of all stages."""
        return sum(stage.additions + stage.dot_products - stage.dots for stage in self.stages)

    @property
    def keys(self) -> int:
        """Galois keys."""
        return len(self.steps) + (self.conjugations > 0)

    @property
    def key_switches(self) -> int:
        """Rotations and conjugations."""
        return self.rotations + self.conjugations

    @property
    def decompositions(self) -> int:
        """Of ciphertexts whose keys are switched."""
        return self.key_switches - sum(stage.shared for stage in self.stages)

    @property
    def mod_downs(self) -> int:
        """Of sums of key switches."""
        return self.decompositions - sum(stage.joined for stage in self.stages)

    @property
    def nodes(self) -> int:
        """Operations altogether, about."""
        return self.rotations + self.products + self.additions

    def calls(self, primes: int, drops: Sequence[int] = (), *, parts: bool = False) -> Calls:
        """Primitives of an evaluation that drops a prime after the products ``drops`` in a row, counted from 1;
        ``parts``: with key switches in their parts."""
        calls: Calls = Counter()
        for product, stage in enumerate(self.stages, 1):
            for name, number in _primitives(stage, parts, product in drops):
                calls[name, primes] += number
            if product in drops:
                calls["rescale", primes] += stage.sums
                primes -= 1
        return calls


def _primitives(stage: Stage, parts: bool, rescaled: bool) -> Iterator[tuple[str, int]]:
    """Primitives of a stage, which are linear in its numbers, and how often each is used; without the rescales.
    ``rescaled``: its sums are, each before the next is computed."""
    switches, together = stage.rotations + stage.conjugations, stage.shared + stage.joined
    if parts:
        yield "decompose", switches - stage.shared
        yield "key_product", switches
        yield "mod_down", switches - together
    else:
        yield "rotate", stage.rotations
        yield "conjugate", stage.conjugations
    yield "multiply_plain", stage.products - stage.dot_products
    yield "dot", stage.dots
    yield "dot_product", stage.dot_products
    yield "dot_operand", stage.dot_products if rescaled else stage.dot_operands
    # what a rotation is added to that shares the sum of another is there already
    yield "add", stage.additions - together
    yield "add_inplace", together


def stage_seconds(profile: Profile, degree: int, primes: int, *, rescaled: bool) -> tuple[float, ...]:
    """Seconds that each number of a ``Stage`` stands for; ``rescaled``: a prime is dropped after its products."""
    parts = bool(profile.kernels)

    def seconds(field: str) -> float:
        one = _primitives(Stage(**{field: 1}), parts, rescaled)
        return sum(times * profile.seconds(name, degree, primes) for name, times in one if times)

    rescale = profile.seconds("rescale", degree, primes) if rescaled else 0.0
    return tuple(rescale if field == "sums" else seconds(field) for field in Stage._fields)


@lru_cache(maxsize=1 << 16)
def _doubling(count: int, step: int, radix: int) -> tuple[tuple[int, ...], int]:
    """Steps of the rotations of a sum by doubling, over a power of two, and in how many stages they are added."""
    stages = doubling.stages(count, radix)
    return tuple(step * multiple for stage in stages for multiple in stage.multiples), len(stages)


def _ladders(turn: int, baby: int, giants: int) -> set[int]:
    """Steps of baby and of giant steps: each made from the one before."""
    steps = {turn} if baby > 1 else set()
    if giants > 1:
        steps.add(turn * baby)
    return steps


def _dots(times: int, terms: int, baby: int, products: int, *, apart: bool = False) -> tuple[int, int, int]:
    """For ``times`` sums over ``terms`` in groups of ``baby`` steps: the number of sums of several products, that of
    products in them, and that of ciphertexts that are read for them: those of sums that are computed together, once.
    ``apart``: sums of groups are all computed before the first is rotated; else each is added as soon as it is there.
    """
    full, rest = divmod(terms, baby)
    width = baby * products
    several = full if width > 1 else 0
    inside, read = several * width, 0
    if several:
        # the last two groups are there before anything is rotated
        together = -(-full * times // SUMS_TOGETHER) if apart or terms <= baby else times * (full - (rest == 0))
        read = width * together
    if rest * products > 1:
        several, inside = several + 1, inside + rest * products
        read += rest * products * (times if full else -(-times // SUMS_TOGETHER))
    return times * several, times * inside, read


def first_half(s: Structure) -> Half:
    """What the copies and the baby steps of the first sum decide: of the inputs, the products with the first matrix,
    and the sums of these up to the sums by doubling."""
    blocks, inputs, diagonals = s.blocks, s.inputs, s.diagonals
    steps: set[int] = set()
    turn = s.copies * s.tokens
    # products are added up to this many sums, which are then rotated and added one by one
    giants = -(-diagonals // s.down) if s.down else diagonals
    baby_steps = 0
    if diagonals > 1:
        if s.down:
            baby_steps = s.down - 1
            steps = _ladders(turn, s.down, giants)
        else:
            steps = {turn * q for q in range(1, diagonals)} if s.direct else {turn}
    dots = _dots(blocks, diagonals, s.down or 1, inputs, apart=not s.down)
    before = Stage(inputs * baby_steps, 0, inputs * diagonals * blocks, 0, blocks * giants, *dots)
    rotated = blocks * (giants - 1)
    joined = blocks * (giants - 2) if s.direct else 0
    after = Stage(rotated, additions=rotated, joined=joined)
    return Half((before, after) if s.dense else (before, after, Stage()), frozenset(steps), inputs)


def second_half(s: Structure) -> Half:
    """What the radix, the shares and the baby steps of the second sum decide: all after the first sum."""
    sums, stages = _doubling(s.positions // s.ranks, s.ranks * s.tokens, s.radix)
    blocks = s.blocks
    steps = set(sums)
    rotated = blocks * len(sums)
    conjugations = blocks if s.packing == "channels" else 0
    added = rotated + conjugations
    together = blocks * (len(sums) - stages)
    if s.dense:
        between = Stage(rotated, conjugations, additions=added, shared=together)
        return Half((Stage(), between), frozenset(steps), blocks)
    views, outputs = s.views, s.outputs
    turn = s.shares * s.tokens
    dots = _dots(outputs, views, s.up or views, blocks)
    if s.up:
        giants, baby_steps = -(-views // s.up), s.up - 1
        steps.update(_ladders(turn, s.up, giants))
    else:
        giants, baby_steps = 1, views - 1
        if views > 1:
            steps.add(turn)
    rotations = rotated + blocks * baby_steps
    between = Stage(rotations, conjugations, views * outputs * blocks, added, outputs * giants, *dots, together)
    shares, stages = _doubling(s.shares, s.tokens, s.radix)
    steps.update(shares)
    rotated = outputs * (giants - 1 + len(shares))
    after = Stage(rotated, additions=rotated, shared=outputs * (len(shares) - stages))
    return Half((Stage(), between, after), frozenset(steps), outputs)


def estimate(s: Structure) -> Estimate:
    """Counts for one group of tokens."""
    first, second = first_half(s), second_half(s)
    stages = tuple(
        Stage(*(a + b for a, b in zip(before, after, strict=True)))
        for before, after in zip(first.stages, second.stages, strict=True)
    )
    return Estimate(stages, first.steps | second.steps, first.ciphertexts, second.ciphertexts)


def estimated_matrix(s: Structure, primes: Sequence[int], scales: Sequence[int]) -> MatrixForm:
    """Column packing as matrices, for one group of tokens; ``primes`` and ``scales`` as of ``matrix_form``."""
    counts = estimate(s)
    sizes = [(s.blocks, s.inputs)] if s.dense else [(s.blocks, s.inputs), (s.outputs, s.blocks)]
    matrices = tuple(matrix.Stage(*size, depth) for depth, size in enumerate(sizes, 1))
    operations = sum(
        DOT * stage.dots
        + DOT_PRODUCT * stage.dot_products
        + PRODUCT * (stage.products - stage.dot_products)
        + ADD * stage.additions
        for stage in counts.stages
    )
    return weighed(matrices, operations, primes, scales)
