"""Profiles in which some primitives cost what a test says, and others nothing."""

from __future__ import annotations

from collections.abc import Callable

from slotlang.cost.primitives import BY_SLOTS, OF_KERNELS, PRIMITIVES
from slotlang.cost.profile import Machine, Profile

Price = Callable[[str, int], float]


def priced(price: Price, *, parts: bool = False) -> Profile:
    """A profile in which a primitive at a number of primes takes what ``price`` says, at every degree it has; with
    ``parts``, the parts of a key switch too."""
    machine = Machine("none", "none", 1, "none")
    table = {d: {p: {k: price(p, k) for k in range(1, 9)} for p in PRIMITIVES} for d in (8192, 16384)}
    for d, primitives in table.items():
        primitives.update({p: {d // 2: price(p, 1)} for p in BY_SLOTS})
    kernels = {d: {p: {k: price(p, k) for k in range(1, 9)} for p in OF_KERNELS} for d in table} if parts else {}
    return Profile("priced", machine, "2026-01-01", 0.0, table, kernels=kernels)


def only(*names: str, parts: bool = False) -> Profile:
    """1 ms for some primitives, nothing for all others; ``parts`` as of ``priced``."""
    return priced(lambda name, _: 1e-3 if name in names else 0.0, parts=parts)
