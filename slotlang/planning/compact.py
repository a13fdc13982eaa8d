"""What a program's weights take in their compact form: integer coefficients, which compiled kernels expand in each
evaluation (docs/kernels.md)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from slotlang.cost.profile import Profile
from slotlang.cost.vectors import plain_shape
from slotlang.planning.plan import Plan
from slotlang.schedule.ops import PlainFamily
from slotlang_runtime.kernels.tables import MOST_BITS, compact_bytes
from slotlang_runtime.parameters import DOUBLE_BITS

SIGMAS = 6.0
"""The largest coefficient of a plaintext of many values, in standard deviations."""


@dataclass(frozen=True, slots=True)
class CompactForm:
    """Bytes of compact weights, and seconds by which an evaluation with them takes longer than with expanded ones."""

    weight_bytes: int
    expanding: float


def compact_form(plan: Plan, profile: Profile) -> CompactForm | None:
    """The compact form of a plan's weights, for weights of rms 1: coefficients of larger ones have more bits. None
    where there is no such form: with other kernels than compiled ones, and where the profile has no times of theirs."""
    p, graph = plan.parameters, plan.graph
    priced = profile.of_primes(p.primes)
    if plan.kernel != "compiled" or not priced.kernels:
        return None
    most = MOST_BITS["doubles" if max(p.primes) <= DOUBLE_BITS else "words"]
    forms = {name: _form(plan, family, most) for name, family in graph.schedule.plains.items()}
    held = 0
    for (name, *_), level in graph.plaintexts():
        bits, share = forms[name]
        held += compact_bytes(bits, p.degree // share) if bits else p.plaintext_bytes(level)
    expanding = 0.0
    for node, level in zip(graph.nodes, graph.levels, strict=True):
        if node.plain is not None and node.kind != "cipher":
            bits, share = forms[node.plain[0]]
            expanding += priced.transforms(p.degree, p.data_primes - level) / share if bits else 0.0
    return CompactForm(held, expanding)


def _form(plan: Plan, family: PlainFamily, most: int) -> tuple[int, int]:
    """Bits of a coefficient of a plaintext, 0 where they are too many for kernels; and which part of the coefficients
    is kept: real slots have half of them."""
    p, how = plan.parameters, family.encoding
    assert how is not None, "levels are assigned"
    shape = plain_shape(plan.program, family)
    scale = p.carried_bits(how.level, how.products) if how.added else p.plain_bits(how.level, how.products)
    size = 1.0 if shape.constant else SIGMAS * math.sqrt(2 / p.degree)
    bits = max(math.ceil(scale + math.log2(min(size, 1.0))), 1) + 1
    return (bits if bits <= most else 0), (1 if shape.imaginary else 2)
