"""Times by formula: what each number of a structure's counts costs in a ring."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from slotlang.cost.link import Link
from slotlang.cost.primitives import SLOT_BLOCK
from slotlang.cost.profile import Profile
from slotlang.search.estimate import Half, stage_seconds
from slotlang.search.structure import Packing

Floats = npt.NDArray[np.float64]

ASSUMED_PRIMES = 2
"""Data primes by which structures are compared before parameters are chosen: what two products in a row take."""

ASSUMED_BITS = 40
"""Bits of a prime by which bytes are compared before parameters are chosen."""

DROPS: tuple[tuple[int, ...], ...] = ((), (1,), (2,))
"""Ways to drop a prime by which structures are compared: never, between two products, and after the last."""


@dataclass(frozen=True, eq=False)
class Prices:
    """Seconds by a profile: of a server, which reads requests, evaluates and writes results. ``whole``: of the client
    and of the ``link`` too."""

    profile: Profile
    whole: bool = False
    link: Link | None = None
    _known: dict[tuple[int, int], Floats] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def parts(self) -> bool:
        """Whether key switches are priced in their parts."""
        return bool(self.profile.kernels)

    def of_stages(self, degree: int, stages: int) -> Floats:
        """Seconds of each number of this many stages, one after the other, for each of ``DROPS``: a column each."""
        if (degree, stages) not in self._known:
            columns = []
            for drops in DROPS:
                primes, column = ASSUMED_PRIMES, list[float]()
                for product in range(1, stages + 1):
                    dropped = product in drops
                    column += stage_seconds(self.profile, degree, primes, rescaled=dropped)
                    primes -= dropped
                columns.append(column)
            self._known[degree, stages] = np.array(columns).T
        return self._known[degree, stages]

    def up(self, degree: int, packing: Packing) -> Floats:
        """Seconds for each ciphertext of x, for each of ``DROPS``."""
        names = ["load_input"]
        if self.whole:
            names.append("send_complex" if packing in ("tokens", "channels") else "send_real")
        seconds = sum(self.profile.seconds(name, degree, ASSUMED_PRIMES) for name in names)
        if self.whole:
            # of a program that fills the ring
            slots = degree // 2 // SLOT_BLOCK
            seconds += slots * self.profile.seconds(f"{names[-1]}_slots", degree, ASSUMED_PRIMES)
        if self.whole and self.link is not None:
            seconds += self.link.seconds(degree * ASSUMED_PRIMES * ASSUMED_BITS / 8, 0) - self.link.round_trip
        return np.full(len(DROPS), seconds)

    def down(self, degree: int, packing: Packing, depth: int) -> Floats:
        """Seconds for each ciphertext of y, for each of ``DROPS``, after this many products in a row."""
        half = packing == "pairs"
        names = ["save_part" if half else "save_ciphertext"]
        if self.whole:
            names.append("receive_part" if half else "receive")

        def seconds(primes: int) -> float:
            work = sum(self.profile.seconds(name, degree, primes) for name in names)
            if self.whole:
                work += self.profile.seconds("collect", degree, degree // 2)
            if self.whole and self.link is not None:
                polynomials = 1.5 if half else 2.0
                work += self.link.seconds(0, polynomials * degree * primes * ASSUMED_BITS / 8) - self.link.round_trip
            return work

        left = (ASSUMED_PRIMES - sum(product <= depth for product in drops) for drops in DROPS)
        return np.array([seconds(primes) for primes in left])

    def seconds(self, halves: list[Half], degree: int, each: Floats) -> Floats:
        """Seconds of halves, a row each, by ``DROPS``; ``each``: of a ciphertext that goes up, or down."""
        rows = np.array([sum(half.stages, ()) for half in halves], np.float64)
        many = np.array([half.ciphertexts for half in halves], np.float64)
        return rows @ self.of_stages(degree, len(halves[0].stages)) + many[:, None] * each
