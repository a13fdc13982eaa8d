"""The kinds of operations of a graph, and what later stages need to know of each.

Stages ask this table instead of listing kinds by name, so that a new kind is described once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

Key: TypeAlias = Literal["step", "conjugation", "relinearization"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of operation.

    ``noun``: what messages call it. ``counter``: the field of ``Counts`` that an execution adds one to, if any.
    ``primitives``: those of a profile that one execution takes at the primes of its result. ``key``: the key that it
    switches with, if it does: that of its ``step``, or the only one of that name. ``adds``: its result is a sum of
    multiples of its operands by factors that are the same for all its slots, or could be. ``mixes``: the noise of its
    result is independent of other noise made with the same keys: factors are random, and a conjugate has another phase.
    ``colour``: of its node in drawings.
    """

    noun: str
    counter: str | None = None
    primitives: tuple[str, ...] = ()
    key: Key | None = None
    adds: bool = False
    mixes: bool = False
    colour: str = "white"


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "cipher": Kind("ciphertext of the client", "ciphertexts_in", adds=True, colour="lightblue"),
        "rotate": Kind("rotation", "rotations", ("rotate",), key="step", colour="orange"),
        "conj": Kind("conjugation", "conjugations", ("conjugate",), key="conjugation", mixes=True, colour="orange"),
        "mul": Kind(
            "product of ciphertexts",
            "cipher_products",
            ("multiply",),
            mixes=True,
            colour="salmon",
        ),
        "relinearize": Kind(
            "relinearisation", "relinearizations", ("relinearize",), key="relinearization", colour="orange"
        ),
        "mul_plain": Kind(
            "product with a plaintext",
            "plain_products",
            ("multiply_plain",),
            adds=True,
            mixes=True,
            colour="palegreen",
        ),
        "add_plain": Kind("sum with a plaintext", "additions", ("add_plain",)),
        "plain": Kind("sum with a plaintext"),
        "sum": Kind("sum", adds=True),
        "neg": Kind("negation", "negations", ("negate",), adds=True),
        "rescale": Kind("rescale", "rescales"),
    }
)
