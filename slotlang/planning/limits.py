"""The largest inputs that a module takes: what a program bounds, or a default that does not depend on the weights."""

from __future__ import annotations

from math import exp2, inf, log2, prod, sqrt

from slotlang.meaning.program import Program
from slotlang.meaning.value import Arith, Chain, Element, Read, Value, children
from slotlang_runtime.limits import Limit

DEFAULT_NORM = 4
"""Without a bound, a token of d elements may have a Euclidean norm of this many times sqrt(d): elements of a root mean
square of 4."""

LEAST_NORM = 32
"""The least of these: in a short token, a few large elements are not levelled out by the others."""


def default_limit(shape: tuple[int, ...]) -> Limit:
    """The limit of an input without a bound. ``shape``: its first axis is what a token is."""
    return Limit(norm=max(DEFAULT_NORM * sqrt(shape[0] if shape else 1), float(LEAST_NORM)))


def limits(program: Program) -> dict[str, Limit]:
    """The limit of each input: what the program bounds, or else the default."""
    found = {}
    for name, decl in program.tensors.items():
        if decl.kind != "input":
            continue
        norm = entry = inf
        for bound in program.bounds:
            if bound.name != name:
                continue
            # the double of whoever writes the same number; above the limit by less than bounds are rounded up
            limit = float(bound.limit)
            if bound.kind == "norm" and bound.axis == 0:
                norm = min(norm, limit)
            else:
                # no element exceeds the norm of its line
                entry = min(entry, limit)
        found[name] = Limit(norm, entry) if min(norm, entry) < inf else default_limit(decl.shape)
    return found


def assumptions(program: Program) -> list[tuple[str, int | None, float]]:
    """What is assumed of weights and scalars: the name, the dimension along which norms are taken (None for each
    element), and the limit."""
    return [
        (bound.name, bound.axis if bound.kind == "norm" else None, float(bound.limit))
        for bound in program.bounds
        if bound.name in program.scalars or program.tensors[bound.name].kind == "weight"
    ]


def largest_spread(program: Program) -> float:
    """How many times as large as for inputs of unit variance the root mean square of a ciphertext of the client can be:
    a token's norm, where all of the token is in one of the ciphertexts that share it."""
    members = max((family.size for family in program.families.values() if family.kind == "cipher"), default=1)
    found = 1.0
    for name, limit in limits(program).items():
        shape = program.tensors[name].shape
        rows = shape[0] if shape else 1
        found = max(found, limit.within(rows).norm / sqrt(rows))
    return found * sqrt(members)


GUARD_BITS = 4
"""Bits of the modulus above the largest message with weights of unit variance: for the sign, for the doubling of a part
that is read alone, for the half that stays empty (``Client.decrypt`` looks there), and one for larger weights."""


SPARE_BITS = 5
"""By how much values in slots that are masked may exceed what weights of unit variance make of the largest inputs,
where the weights have no bounds: ``Weights.encode`` refuses larger ones."""


def assumed_values(program: Program) -> float:
    """A bound on what masked slots hold that is assumed where weights have none."""
    return exp2(min(message_bits(program) - GUARD_BITS + SPARE_BITS, 1000.0))


def message_bits(program: Program) -> float:
    """Bits of modulus above the root mean square of what slots hold.

    A value that is linear in the inputs is at most the norm of its row times the norm of a token, and its root mean
    square is the norm of its row: the limit on norms is their ratio. Ratios of factors multiply.
    """
    shapes = {name: decl.shape for name, decl in program.tensors.items() if decl.kind == "input"}
    norms = {name: limit.within(shapes[name][0] if shapes[name] else 1).norm for name, limit in limits(program).items()}
    inner: dict[str, float] = {}
    for name, shape in shapes.items():
        # a factor in the middle is bounded by its Frobenius norm
        inner[name] = norms[name] * sqrt(prod(shape[1:]))

    def ratio(value: Value) -> float:
        match value:
            case Read(name):
                return norms.get(name, 1.0)
            case Element(form):
                return max(map(of_chain, form.chains), default=1.0)
            case Arith("*", left, right):
                return ratio(left) * ratio(right)
            case _:
                return max(map(ratio, children(value)), default=1.0)

    def of_chain(chain: Chain) -> float:
        return prod((norms if f is chain.factors[-1] else inner)[f.tensor] for f in chain.factors if f.tensor in norms)

    # beyond what a double holds no modulus is large enough
    largest = max([1.0, *(ratio(theorem.value) for theorem in program.theorems.values())])
    return min(log2(largest) if largest < inf else 1024.0, 1024.0) + GUARD_BITS
