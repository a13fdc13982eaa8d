"""An evaluation as matrices. It runs on records in place of ciphertexts: each result is a sum of inputs, or of other
sums, each times a constant."""

from __future__ import annotations

import math
from typing import Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang_runtime.amounts import count_of
from slotlang_runtime.errors import NOT_EVALUATED, Rejected
from slotlang_runtime.matrix.constants import Constant, Constants, Impossible
from slotlang_runtime.module import Module, Name
from slotlang_runtime.operations import Evaluation

LEAST_PIECE = 7
"""Bits of a piece of a residue, at least: see ``products``."""

MAX_ENTRIES = 1 << 27
"""Coefficients of a matrix, at most."""

Term: TypeAlias = "tuple[Sum, int, Constant | None]"
"""A ciphertext, its sign, and the constant it is multiplied by (None: by 1)."""


class Sum:
    """A ciphertext to be: the terms it is the sum of, and how many sums deep it stands. An input has no terms, but a
    name. ``used``: it has a place of its own, so what uses it refers to it."""

    __slots__ = ("depth", "name", "scale", "terms", "used")

    def __init__(self, terms: list[Term], scale: float, name: Name | None = None) -> None:
        self.terms, self.scale, self.name, self.used = terms, scale, name, name is not None
        self.depth: int = 1 + max(term[0].depth for term in terms) if terms else 0

    def taken(self, sign: int) -> list[Term]:
        """The terms that stand for this one in another sum: one that is used once is written into what uses it, any
        other is computed for itself."""
        if self.used:
            return [(self, sign, None)]
        self.used = True
        return [(term, s * sign, constant) for term, s, constant in self.terms]


class Recording:
    """``Operations`` that only record of which terms each result is the sum."""

    def __init__(self, ring: Constants) -> None:
        self.ring = ring

    def multiply_plain(self, a: Sum, plain: Constant) -> Sum:
        """Ciphertext times constant."""
        a.used = True
        scale = a.scale * plain.scale
        if math.log2(scale) >= self.ring.modulus_bits[plain.level]:
            raise Rejected("a product's scale is larger than the modulus", NOT_EVALUATED)
        return Sum([(a, 1, plain)], scale)

    def negate(self, a: Sum) -> Sum:
        """The terms with other signs."""
        return Sum(a.taken(-1), a.scale)

    def add(self, total: Sum, term: Sum, sign: int, *, owned: bool) -> Sum:
        """The terms of both."""
        if term.scale != total.scale:
            raise Rejected("the terms of a sum have different scales", NOT_EVALUATED)
        if not owned:
            return Sum(total.taken(1) + term.taken(sign), total.scale)
        more = term.taken(sign)
        total.terms += more
        total.depth = max(total.depth, 1 + max(of.depth for of, _, _ in more))
        return total

    def dot(self, pairs: list[tuple[Sum, Constant]]) -> None:
        """Products and additions one by one: nothing is computed here."""

    def _other(self, *operands: Any) -> NoReturn:
        raise Impossible("an operation that is neither a product with a constant nor a sum")

    rotate = conjugate = multiply = relinearize = rescale = add_plain = zero = _other


class Stage:
    """Sums that are computed together: rows are sums, columns the ciphertexts they are made of."""

    def __init__(self, sums: list[Sum], place: dict[int, int]) -> None:
        self.sums = sums
        self.sources = list({id(of): of for s in sums for of, _, _ in s.terms}.values())
        self.at = [place[id(of)] for of in self.sources]

    def matrix(self) -> npt.NDArray[np.float64]:
        """The coefficients. Raises ``Impossible`` where they or their sums are too large to be exact."""
        if len(self.sums) * len(self.sources) > MAX_ENTRIES:
            raise Impossible(f"a matrix of {len(self.sums)} x {count_of(len(self.sources), 'coefficient')}")
        column = {id(of): n for n, of in enumerate(self.sources)}
        coefficients = np.zeros((len(self.sums), len(self.sources)))
        for row, one in zip(coefficients, self.sums, strict=True):
            size = 0
            for of, sign, constant in one.terms:
                number = 1 if constant is None else constant.number
                size += abs(number)
                row[column[id(of)]] += sign * number
            if size > 1 << 53 - LEAST_PIECE:
                raise Impossible(f"coefficients that add up to 2^{math.log2(size):.1f}")
        return coefficients


class Plan:
    """What ``evaluate`` computes with given constants, in stages: sums of inputs, sums of those, and so on.

    Raises ``Impossible`` when it has no such form, and Rejected where a result is not at the scale it has.
    """

    def __init__(self, module: Module, ring: Constants, plain: dict[Name, Constant | None]) -> None:
        ev: Evaluation[Sum, Constant] = Evaluation(Recording(ring), module.parameters, module.slots)
        self.inputs = [Sum([], ring.scale(0), name) for name in module.packed()]
        self.results: dict[Name, Sum | None] = module.evaluate(ev, {i.name: i for i in self.inputs}, plain)
        self.counts = ev.counts
        families = module.returned()
        for name, value in self.results.items():
            if value is not None and value.scale != ring.scale(families[name].level, families[name].products):
                raise Rejected(f"the result {name!r} is not at the scale this program has there", NOT_EVALUATED)
        levels: dict[int, list[Sum]] = {}
        seen: set[int] = set()
        waiting = [value for value in self.results.values() if value is not None]
        while waiting:
            value = waiting.pop()
            if id(value) not in seen and value.terms:
                seen.add(id(value))
                levels.setdefault(value.depth, []).append(value)
                waiting += [of for of, _, _ in value.terms]
        place = {id(value): n for n, value in enumerate(self.inputs)}
        self.stages: list[Stage] = []
        for depth in sorted(levels):
            self.stages.append(Stage(levels[depth], place))
            for value in levels[depth]:
                place[id(value)] = len(place)
        self.at = {name: None if value is None else place[id(value)] for name, value in self.results.items()}
