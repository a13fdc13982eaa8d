"""What is known of a program's drafts, whatever precision and keys are asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import log2
from typing import TypeAlias

from slotlang.cost.data import within_bounds
from slotlang.cost.gains import gains
from slotlang.cost.keys import key_bytes
from slotlang.cost.matrix import MatrixForm, matrix_form
from slotlang.cost.noise import Gains, Wider
from slotlang.cost.variances import Contents
from slotlang.meaning.program import Program
from slotlang.planning.messages import State
from slotlang.planning.modulus import Fit, Modulus
from slotlang.planning.plan import Draft
from slotlang.planning.target import Target
from slotlang.schedule.build import EVERY
from slotlang_runtime.parameters import LARGEST_PRIME

Shape: TypeAlias = tuple[int, int, int, int]
"""Degree, data primes, number of the draft, and bits of the largest prime: small ones have kernels of their own."""

Keys: TypeAlias = tuple[int, ...]
"""Steps that have a key; none, for all."""


class Known:
    """What is known of a program's drafts, each a way to drop primes, whatever precision and keys are asked for: gains,
    the best parameters and key sets, found when they are first needed."""

    def __init__(self, program: Program, target: Target, wider: Wider, share: float) -> None:
        self.program = program
        self.target = target
        self.wider = wider
        self.share = share
        never = Draft.meeting(target, program, share=share)
        form = matrix_form(never.graph, [LARGEST_PRIME], [1])
        never.kernel(form, target.kernel)
        self.matrices = form if isinstance(form, MatrixForm) and target.kernel in ("auto", "matrix") else None
        drops: list[Sequence[int]] = [EVERY] if (depth := never.built.depth) else []
        if depth > 1 and not never.built.multiplies_ciphertexts:
            # between the products, and after the last one only
            drops += [tuple(range(1, depth)), (depth,)]
        if target.kernel == "matrix":
            # matrices only add up
            drops = []
        self.drafts = [never, *(never.dropping(after) for after in drops)]
        # what is looked through; drafts whose results drop primes come behind them when they are asked for
        self.looked_through = len(self.drafts)
        self._results: dict[tuple[int, int], int] = {}
        self._drafts: dict[tuple[int, Keys], Draft] = {}
        self._gains: dict[tuple[int, int, Keys], Gains] = {}
        # drafts differ in where they drop primes, not in what their plaintexts hold
        data = within_bounds(program, target.data)
        self._contents = never.contents if never.contents.data is data else Contents(never.built, data)
        self._best: dict[tuple[Shape, Keys], Fit | None] = {}
        self._first: dict[tuple[Shape, Keys], Fit | None] = {}
        self.sets: dict[tuple[int, int, tuple[float, ...]], tuple[float, Keys]] = {}

    def serves(self, program: Program, target: Target, wider: Wider, share: float) -> bool:
        """Whether it is what a search for this target would find."""
        own = self.target
        same = self.program is program and own.data is target.data
        ways = [(one.hide, one.kernel, one.standalone, one.doubles) for one in (own, target)]
        return same and ways[0] == ways[1] and (self.wider, self.share) == (wider, share)

    def draft(self, shape: Shape, keys: Keys) -> Draft:
        """The draft with these keys; none, for a key for every step."""
        number = shape[2]
        if (number, keys) not in self._drafts:
            self._drafts[number, keys] = self.drafts[number].keyed(keys)
        return self._drafts[number, keys]

    def best(self, shape: Shape, keys: Keys) -> Fit | None:
        """The smallest error and its parameters; None when nothing fits."""
        if (shape, keys) not in self._best:
            fit = self.modulus(shape, keys).held(self.first(shape, keys))
            self._best[shape, keys] = fit and fit._replace(parameters=replace(fit.parameters, keys=keys))
        return self._best[shape, keys]

    def first(self, shape: Shape, keys: Keys) -> Fit | None:
        """As ``best``, whether or not messages leave room for their noise: no larger an error."""
        if (shape, keys) not in self._first:
            self._first[shape, keys] = self.modulus(shape, keys).best()
        return self._first[shape, keys]

    def modulus(self, shape: Shape, keys: Keys) -> Modulus:
        degree, k, number, largest = shape
        draft = self.draft(shape, keys)
        if (number, degree, keys) not in self._gains:
            own = gains(
                draft.graph,
                degree,
                draft.doubled,
                masked=self.target.hide != "none",
                zero=draft.zero,
                bits=draft.hiding.bits,
                whole=draft.whole,
                doubles=draft.doubles,
                contents=self._contents,
            )
            self._gains[number, degree, keys] = own.widened(self.wider)
        found = self._gains[number, degree, keys]
        return Modulus(draft, degree, k, found, self._needs(number), self._masks(number), largest=largest)

    def dropping(self, shape: Shape, results: int) -> Shape:
        """The shape whose results drop this many primes. Raises SL404 where they can't."""
        degree, k, number, largest = shape
        if (number, results) not in self._results:
            early = tuple(self.drafts[number].built.drops)
            self.drafts.append(self.drafts[number].dropping(early, results))
            self._results[number, results] = len(self.drafts) - 1
        return degree, k, self._results[number, results], largest

    def message_bits(self, draft: Draft) -> float:
        # of sums with this many times as many terms
        wider = 0.0 if draft.needs is None else log2(self.wider.first * self.wider.later)
        return draft.message_bits + wider

    def _needs(self, number: int) -> Mapping[State, float] | None:
        """Those of a draft, whatever its keys. Where sums are longer, all terms of it may be as large as bounds say."""
        found = self.drafts[number].needs
        more = log2(self.wider.first * self.wider.later)
        return None if found is None else {state: bits + more for state, bits in found.items()}

    def _masks(self, number: int) -> Mapping[State, float]:
        """Bits that masks of a draft need, whatever its keys; of longer sums they hide more."""
        more = log2(self.wider.first * self.wider.later)
        return {state: bits + more for state, bits in self.drafts[number].mask_rooms.items()}

    def steps(self, shape: Shape) -> frozenset[int]:
        return frozenset(node.step for node in self.drafts[shape[2]].graph.of_kind("rotate"))

    def key_bytes(self, shape: Shape, keys: Keys, *, whole: bool) -> int:
        """Bytes of all keys with Galois keys for these steps, as the server holds them; ``whole``: for all levels."""
        levels = self.draft(shape, keys).key_levels
        held = (levels.whole() if whole else levels).switching
        return sum(count * _key_bytes(shape, level) for level, count in held.items())

    def least_key_bytes(self, shape: Shape, most: int) -> int:
        """What keys take at least, ``most`` of them for rotations: each may be used at the last level alone."""
        levels = self.drafts[shape[2]].key_levels
        single = [level for level in (levels.conjugation, levels.relinearization) if level is not None]
        last = max(levels.steps.values(), default=0)
        return most * _key_bytes(shape, last) + sum(_key_bytes(shape, level) for level in single)


_LATELY: deque[Known] = deque(maxlen=1)
"""What the last search knew: refusals, pages and tests ask for several precisions of one program in a row."""


def known_of(program: Program, target: Target, wider: Wider, share: float) -> Known:
    """What is known already, or what is found out from now on. Raises as ``Draft``."""
    found = next((known for known in _LATELY if known.serves(program, target, wider, share)), None)
    if found is None:
        found = Known(program, target, wider, share)
        _LATELY.append(found)
    return found


def _key_bytes(shape: Shape, level: int) -> int:
    """Bytes of one evaluation key that is used from a level on, as the server holds it."""
    degree, k, _, _ = shape
    return key_bytes(degree, k + 1 - level)
