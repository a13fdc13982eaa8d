"""Counts of a structure by formula, for one group of tokens: what its graph has when no operations coincide and no
plaintext is zero. The search prunes by them; where a graph would be too large they are the result."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from slotlang.cost.predict import Calls
from slotlang.search.structure import Structure


@dataclass(frozen=True, slots=True)
class Early:
    """Operations before the first product is rescaled, and how many sums of it are."""

    rotations: int = 0
    products: int = 0
    additions: int = 0
    first_additions: int = 0
    rescales: int = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """Numbers of operations; ``steps`` are the distinct rotations. ``early``: those among them at the level of the
    inputs where the schedule rescales between its products."""

    rotations: int
    conjugations: int
    steps: frozenset[int]
    products: int
    additions: int
    first_additions: int
    inputs: int
    outputs: int
    early: Early

    @property
    def keys(self) -> int:
        """Galois keys."""
        return len(self.steps) + (self.conjugations > 0)

    @property
    def key_switches(self) -> int:
        """Rotations and conjugations."""
        return self.rotations + self.conjugations

    @property
    def nodes(self) -> int:
        """Operations altogether, about."""
        return self.rotations + self.products + self.additions

    def calls(self, primes: int, *, between: bool = False) -> Calls:
        """Primitives of an evaluation, without rescaling or with it ``between`` products, where there are two."""
        early = self.early if between else Early()
        late = primes - (early.rescales > 0)
        firsts = self.first_additions - early.first_additions
        calls: Calls = Counter(
            {
                ("rotate", late): self.rotations - early.rotations,
                ("conjugate", late): self.conjugations,
                ("multiply_plain", late): self.products - early.products,
                ("add", late): firsts,
                ("add_inplace", late): self.additions - early.additions - firsts,
            }
        )
        calls.update(
            {
                ("rotate", primes): early.rotations,
                ("multiply_plain", primes): early.products,
                ("add", primes): early.first_additions,
                ("add_inplace", primes): early.additions - early.first_additions,
                ("rescale", primes): early.rescales,
            }
        )
        return calls


@lru_cache(maxsize=1 << 16)
def doubling_steps(count: int, step: int) -> tuple[int, ...]:
    """Of a sum by doubling over a power of two of terms."""
    return tuple(step << k for k in range((count - 1).bit_length()))


def _ladders(turn: int, baby: int, giants: int) -> set[int]:
    """Steps of baby and of giant steps: each made from the one before."""
    return {step for step, many in ((turn, baby), (turn * baby, giants)) if many > 1}


def _giant_sums(terms: int, baby: int) -> int:
    """Sums of several terms among those of the giant steps."""
    full, rest = divmod(terms, baby)
    return full * (baby > 1) + (rest > 1)


def estimate(s: Structure) -> Estimate:
    """Counts for one group of tokens."""
    sums = doubling_steps(s.positions // s.ranks, s.ranks * s.tokens)
    blocks, inputs, diagonals = s.blocks, s.inputs, s.diagonals
    first = inputs * diagonals * blocks
    steps = set(sums)
    rotations = blocks * len(sums)
    # a sum of several terms is one operation with that many operands, and its first addition makes a ciphertext
    firsts = blocks * len(sums)
    additions = first - blocks + firsts
    turn = s.copies * s.tokens
    # products are added up to so many sums, each rescaled; then these are turned and added one by one
    giants = -(-diagonals // s.down) if s.down else diagonals
    early_firsts = blocks * diagonals * (inputs > 1)
    early_rotations = 0
    if diagonals > 1:
        if s.down:
            early_rotations = inputs * (s.down - 1)
            steps.update(_ladders(turn, s.down, giants))
            early_firsts += blocks * _giant_sums(diagonals, s.down)
        else:
            steps.add(turn)
        rotations += early_rotations + blocks * (giants - 1)
        firsts += blocks * (giants - 1)
    firsts += early_firsts
    conjugations = blocks if s.packing == "channels" else 0
    additions += conjugations
    firsts += conjugations
    if s.dense:
        return Estimate(rotations, conjugations, frozenset(steps), first, additions, firsts, inputs, blocks, Early())
    early = Early(early_rotations, first, first - blocks * giants, early_firsts, blocks * giants)
    views, outputs = s.views, s.outputs
    turn = s.shares * s.tokens
    if s.up:
        giants = -(-views // s.up)
        rotations += blocks * (s.up - 1) + outputs * (giants - 1)
        steps.update(_ladders(turn, s.up, giants))
        firsts += outputs * ((views if blocks > 1 else 0) + _giant_sums(views, s.up) + giants - 1)
    else:
        rotations += blocks * (views - 1)
        if views > 1:
            steps.add(turn)
        firsts += outputs * ((views if blocks > 1 else 0) + (views > 1))
    second = views * outputs * blocks
    shares = doubling_steps(s.shares, s.tokens)
    rotations += outputs * len(shares)
    steps.update(shares)
    firsts += outputs * len(shares)
    additions += second - outputs + outputs * len(shares)
    return Estimate(
        rotations, conjugations, frozenset(steps), first + second, additions, firsts, inputs, outputs, early
    )
