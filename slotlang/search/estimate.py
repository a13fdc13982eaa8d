"""Counts of a structure by formula, for one group of tokens: what its graph has when no operations coincide and no
plaintext is zero. The search prunes by them; where a graph would be too large they are the result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from slotlang.cost import matrix
from slotlang.cost.matrix import ADD, DOT, DOT_PRODUCT, PRODUCT, MatrixForm, weighed
from slotlang.cost.predict import Calls
from slotlang.schedule import doubling
from slotlang.search.structure import Structure


@dataclass(frozen=True, slots=True)
class Stage:
    """The operations with equally many products behind them, up to the next products and the sums of these. ``shared``:
    rotations whose operand another one has decomposed before, in a sum that they share the mod-down with. ``sums``:
    the number of those sums; each is rescaled where a prime is dropped after the product. ``dots``: the sums of several
    products, which are computed in one pass, and ``dot_products`` the products in them; ``additions``: additions of two
    other ciphertexts."""

    rotations: int = 0
    conjugations: int = 0
    products: int = 0
    additions: int = 0
    sums: int = 0
    dots: int = 0
    dot_products: int = 0
    shared: int = 0


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
        """Of ciphertexts whose keys are switched, and as many mod-downs."""
        return self.key_switches - sum(stage.shared for stage in self.stages)

    @property
    def nodes(self) -> int:
        """Operations altogether, about."""
        return self.rotations + self.products + self.additions

    def calls(self, primes: int, drops: Sequence[int] = (), *, parts: bool = False) -> Calls:
        """Primitives of an evaluation that drops a prime after the products ``drops`` in a row, counted from 1;
        ``parts``: with key switches in their parts."""
        calls: Calls = Counter()
        for product, stage in enumerate(self.stages, 1):
            if parts:
                switches = stage.rotations + stage.conjugations
                calls["decompose", primes] += switches - stage.shared
                calls["key_product", primes] += switches
                calls["mod_down", primes] += switches - stage.shared
            else:
                calls["rotate", primes] += stage.rotations
                calls["conjugate", primes] += stage.conjugations
            calls["multiply_plain", primes] += stage.products - stage.dot_products
            calls["dot", primes] += stage.dots
            calls["dot_product", primes] += stage.dot_products
            # what a rotation is added to that shares the sum of another is there already
            calls["add", primes] += stage.additions - stage.shared
            calls["add_inplace", primes] += stage.shared
            if product in drops:
                calls["rescale", primes] += stage.sums
                primes -= 1
        return calls


@lru_cache(maxsize=1 << 16)
def _doubling(count: int, step: int, radix: int) -> tuple[tuple[int, ...], int]:
    """Steps of the rotations of a sum by doubling, over a power of two, and in how many stages they are added."""
    stages = doubling.stages(count, radix)
    return tuple(step * multiple for stage in stages for multiple in stage.multiples), len(stages)


def _ladders(turn: int, baby: int, giants: int) -> set[int]:
    """Steps of baby and of giant steps: each made from the one before."""
    return {step for step, many in ((turn, baby), (turn * baby, giants)) if many > 1}


def _dots(times: int, terms: int, baby: int, products: int) -> tuple[int, int]:
    """For ``times`` sums over ``terms`` in groups of ``baby`` steps: the number of sums of several products, and the
    number of products in them."""
    full, rest = divmod(terms, baby)
    groups = [(full, baby * products), (1, rest * products)]
    several = [(number, size) for number, size in groups if size > 1]
    return times * sum(number for number, _ in several), times * sum(number * size for number, size in several)


def estimate(s: Structure) -> Estimate:
    """Counts for one group of tokens."""
    sums, stages = _doubling(s.positions // s.ranks, s.ranks * s.tokens, s.radix)
    blocks, inputs, diagonals = s.blocks, s.inputs, s.diagonals
    dots = _dots(blocks, diagonals, s.down or 1, inputs)
    steps = set(sums)
    turn = s.copies * s.tokens
    # products are added up to this many sums, which are then rotated and added one by one
    giants = -(-diagonals // s.down) if s.down else diagonals
    baby_steps = 0
    if diagonals > 1:
        if s.down:
            baby_steps = s.down - 1
            steps.update(_ladders(turn, s.down, giants))
        else:
            steps.add(turn)
    before = Stage(inputs * baby_steps, 0, inputs * diagonals * blocks, 0, blocks * giants, *dots)
    rotated = blocks * (giants - 1 + len(sums))
    conjugations = blocks if s.packing == "channels" else 0
    added = rotated + conjugations
    together = blocks * (len(sums) - stages)
    if s.dense:
        after = Stage(rotated, conjugations, additions=added, shared=together)
        return Estimate((before, after), frozenset(steps), inputs, blocks)
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
    return Estimate((before, between, after), frozenset(steps), inputs, outputs)


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
