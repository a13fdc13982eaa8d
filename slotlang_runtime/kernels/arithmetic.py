"""What kernels are written with, for three ways to hold residues. Imports numba; only compilation does.

``doubles`` holds a residue modulo p < 2^50 as a double, centred: within p/2 of 0 when it is stored. ``words`` holds one
modulo p < 2^60 as a word, below p when it is stored, lazily below 16p in between. ``ifma`` holds one modulo p < 2^50 as
a word, below p when it is stored, lazily modulo 2^52 in between. ``docs/kernels.md`` argues for the bounds that make
each exact.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from llvmlite import ir

from slotlang_runtime.kernels.lanes import (
    INDEX,
    LANES,
    PICKS,
    WORD,
    A,
    N,
    U,
    inlined,
    loaded,
    moved,
    operation,
    picked,
    place,
    splat,
    stored,
    stored_back,
    stored_first,
    without_first,
    word,
)


@dataclass(frozen=True)
class Arithmetic:
    """Functions on vectors of eight residues. ``p`` and ``v`` are the first two constants of a prime's table, in all
    lanes.

    Memory: ``load(address, index)``, ``store(address, index, x)``, ``peek(address, index)`` of one number,
    ``splat(number)``, ``moved(address, index, order)``; ``take`` and ``give`` read and write words in the place of
    residues; ``factor`` reads words as factors of ``gather``. Moves of lanes: ``picks`` by name. ``put_back(address,
    index, x)``: eight numbers that end at an index, the first one last; ``put_first``: the first one alone;
    ``without_first(x)``: with 0 in its place.

    Residues: ``add(x, y)``; ``sub(x, y, p)``; ``mul(x, w, w1, p)``, of a constant and its quotient; ``four``: four
    products with 8, 4 or 2 factors of a table, repeated in the lanes. Reductions of lazy residues: ``red`` of sums of
    four products; ``lead``, ``back``, ``enter``, ``ease``, ``tidy``, ``calm`` in transforms; ``final`` and ``last`` to
    what is stored, ``loose`` to what ``sub`` subtracts, ``light`` to what ``gather`` takes.
    ``centred(x, p, v, other)``: a coefficient modulo another prime, taken around 0, modulo p. ``lowered(x, p, v,
    other)``: what a division by the other prime subtracts, from coefficients modulo the divisor. ``other``: a row of
    the table of pairs (``tables.py``).
    ``shifted(number, p, v, s)``: the integer number - 2^(bits-1) modulo p, of words below 2^bits, where s is
    ``shift(c, bits)`` in all lanes, of the prime's constants at address c.

    Sums of products: ``begin(c)``, ``gather(sum, x, factor)`` at most MOST times, ``fold(sum, c)``: a residue for
    ``red``.
    """

    kind: str
    vector: Any
    load: Any
    store: Any
    peek: Any
    splat: Any
    moved: Any
    put_back: Any
    put_first: Any
    without_first: Any
    take: Any
    give: Any
    factor: Any
    add: Any
    sub: Any
    mul: Any
    four: dict[int, Any]
    red: Any
    lead: Any
    back: Any
    enter: Any
    ease: Any
    tidy: Any
    calm: Any
    final: Any
    last: Any
    loose: Any
    light: Any
    centred: Any
    lowered: Any
    shift: Any
    shifted: Any
    begin: Any
    gather: Any
    fold: Any
    picks: dict[str, Any] = field(default_factory=dict)


MOST = 8
"""Products that ``gather`` adds up before ``fold``."""


def repeated(b: Any, table: Any, k: Any, n: int, count: int, kind: Any, each: int) -> Any:
    """The n-th ``count`` numbers, repeated in eight lanes, from ``each`` times k numbers after the start of a table."""
    at = place(b, table, b.add(b.mul(k, WORD(each)), WORD(n * count)), ir.VectorType(kind, count))
    value = b.load(at, align=8)
    lanes = ir.Constant(ir.VectorType(INDEX, LANES), [lane % count for lane in range(LANES)])
    return b.shuffle_vector(value, value, lanes)


def memory(vector: Any, kind: Any, scalar: Any, avx512: bool) -> dict[str, Any]:
    """Operations on memory that both ways have, and the moves of lanes."""
    return {
        "vector": vector,
        "load": operation(vector, (A, N), loaded(vector.vector)),
        "store": operation(N, (A, N, vector), stored),
        "peek": operation(scalar, (A, N), loaded(kind)),
        "splat": operation(vector, (scalar,), splat),
        "moved": operation(vector, (A, N, U), moved(kind, avx512)),
        "put_back": operation(N, (A, N, vector), stored_back),
        "put_first": operation(N, (A, N, vector), stored_first),
        "without_first": operation(vector, (vector,), without_first(kind)),
        "picks": {name: operation(vector, (vector, vector), picked(lanes)) for name, lanes in PICKS.items()},
    }


def words_as_they_are(load: Any, store: Any) -> dict[str, Any]:
    """``take`` and ``give`` of residues that are held as they travel."""

    @inlined
    def take(address: Any, n: Any, v: Any, p: Any) -> Any:
        return load(address, n)

    @inlined
    def give(address: Any, n: Any, x: Any, v: Any, p: Any) -> Any:
        store(address, n, x)

    return {"take": take, "give": give}


@inlined
def row(x: Any, stride: Any, j: Any) -> Any:
    """The address of row j."""
    return x + A(8 * stride * j)


@inlined
def shift(c: Any, bits: Any) -> Any:
    """What residues that are words add in place of subtracting 2^(bits-1): from 1 to p, of a prime's constants."""
    p = word(c, 0)
    return p - (A(1) << (bits - A(1))) % p


@inlined
def share(n: Any, part: Any, parts: Any) -> Any:
    """From where to where in a row this part works. Parts are so many as divide rows into strips."""
    size = n // parts
    return size * part, size * (part + 1)


def constants_of(o: Arithmetic) -> Any:
    """A function for the first six constants of prime j, in all lanes."""
    splat, peek = o.splat, o.peek

    @inlined
    def constants(tables: Any, j: Any) -> Any:
        c = word(tables, 5 * j + 4)
        return (
            splat(peek(c, 0)),
            splat(peek(c, 1)),
            splat(peek(c, 2)),
            splat(peek(c, 3)),
            splat(peek(c, 4)),
            splat(peek(c, 5)),
        )

    return constants
