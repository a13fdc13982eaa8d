"""No intermediate of a kernel passes what its arithmetic holds, whatever the residues are.

The text of the kernels runs here on bounds in place of vectors: each operation checks what it asks of its operands and
returns the bound of its result, as ``docs/kernels.md`` argues. No kernel branches on a residue, so one run covers all.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction
from types import ModuleType
from typing import Any

import pytest

from slotlang_runtime.kernels import arithmetic, products, switching, transforms
from slotlang_runtime.kernels.arithmetic import MOST, Arithmetic
from slotlang_runtime.kernels.lanes import PICKS
from slotlang_runtime.kernels.residues import DOUBLE_BITS

Bound = Fraction
DEGREES = [4096, 8192, 16384, 32768]
STRIDE = 1 << 20

PRIME = Fraction(2**DOUBLE_BITS)
"""The largest prime of doubles, at most: bounds are in units of the prime."""

ULP = Fraction(1, 2**53)
"""Rounding of a double, relative."""

HALF = Fraction(1, 2) + 1 / PRIME
"""A residue around 0 as it is stored: rounding of the quotient may be off by one at a tie."""


def exact(x: Bound) -> Bound:
    """A sum of integers of this bound is exact in doubles."""
    assert x * PRIME <= 2**53
    return x


def magic(x: Bound) -> None:
    """1.5 * 2^52 rounds products of this bound to integers."""
    assert x <= 2**51


class Memory:
    """What kernels read and write: bounds, and words of tables, by address."""

    def __init__(self) -> None:
        self.cells: dict[int, Any] = {}
        self.default: Any = None

    def load(self, address: int, index: int = 0) -> Any:
        return self.cells.get(address + 8 * index, self.default)

    def store(self, address: int, index: int, value: Any) -> int:
        self.cells[address + 8 * index] = value
        return 0


def doubles(memory: Memory) -> Arithmetic:
    """Bounds of |x| / p."""

    def red(x: Bound, *_: Any) -> Bound:
        magic(exact(x) * (1 + ULP))
        return HALF

    def mul(a: Bound, *_: Any) -> Bound:
        # the factor and its quotient: at most half, so off by half of its last place, 2^-55; and the product's rounding
        exact(a)
        product = a * PRIME / 2
        assert product <= 2**52, "the quotient is rounded to an integer"
        return exact(Fraction(1, 2) + a * PRIME / 2**55 + product * ULP)

    def four(*given: Any) -> list[Bound]:
        out = []
        for a in given[:4]:
            product = exact(a) * PRIME / 2
            assert product <= 2**52
            out.append(exact(Fraction(1, 2) + 3 * product * ULP))
        return out

    def add(x: Bound, y: Bound) -> Bound:
        return exact(x + y)

    def same(x: Bound, *_: Any) -> Bound:
        return x

    def gather(s: tuple[Bound, int], x: Bound, k: Bound) -> tuple[Bound, int]:
        assert x <= HALF and k <= HALF and s[1] < MOST
        return s[0] + x * k, s[1] + 1

    def fold(s: tuple[Bound, int], c: Any) -> Bound:
        # high: below half of the constant; low: a rounding of its last place for each product
        assert s[0] * PRIME**2 <= 2 ** (2 * DOUBLE_BITS + 1) * (1 + 8 / PRIME)
        low = s[1] * Fraction(2 ** (2 * DOUBLE_BITS + 2), 2**53) / PRIME
        rest = exact(exact(Fraction(1, 2) + 2 * ULP * s[0] * PRIME) + exact(low))
        assert rest <= 2**51
        return HALF

    return Arithmetic(
        "doubles",
        **memory_of(memory),
        give=lambda address, n, x, v, p: exact(x),
        take=lambda address, n, v, p: HALF,
        factor=same,
        add=add,
        sub=lambda x, y, p: add(x, y),
        mul=mul,
        four=four,
        red=red,
        enter=same,
        ease=same,
        tidy=red,
        calm=red,
        final=red,
        last=red,
        centred=lambda x, p, v, other: red(x),
        lowered=lambda x, p, v, other: red(x),
        begin=lambda c: (Fraction(0), 0),
        gather=gather,
        fold=fold,
    )


def words(memory: Memory) -> Arithmetic:
    """Bounds of x / p: x is below them. p < 2^60, so 16p < 2^64."""

    def word(x: Bound) -> Bound:
        assert x <= 16
        return x

    def below(most: int) -> Callable[..., Bound]:
        def reduced(x: Bound, *_: Any) -> Bound:
            assert x <= most
            return min(x, Fraction(4)) if most > 4 else Fraction(1)

        return reduced

    def final(x: Bound, *_: Any) -> Bound:
        assert x <= 8
        return Fraction(1)

    def mul(a: Bound, *_: Any) -> Bound:
        word(a)
        return Fraction(4)

    def sub(x: Bound, y: Bound, p: Any) -> Bound:
        assert y <= 4, "4p - y is not below 0"
        return word(x + 4)

    def gather(s: int, x: Bound, k: Bound) -> int:
        assert x <= 1 and k <= 1 and s < MOST
        assert 2 * MOST * (2**30 - 1) ** 2 < 2**64
        return s + 1

    def moved(x: Bound, *_: Any) -> Bound:
        # to another prime, from a coefficient of any
        assert x <= 1
        return Fraction(5)

    return Arithmetic(
        "words",
        **memory_of(memory),
        give=lambda address, n, x, v, p: below(1)(x),
        take=lambda address, n, v, p: Fraction(1),
        factor=lambda x: below(1)(x),
        add=lambda x, y: word(x + y),
        sub=sub,
        mul=mul,
        four=lambda *given: [mul(a) for a in given[:4]],
        red=below(16),
        enter=below(16),
        ease=below(8),
        tidy=below(8),
        calm=lambda x, *_: x,
        final=final,
        last=below(4),
        centred=moved,
        lowered=moved,
        begin=lambda c: 0,
        gather=gather,
        fold=lambda s, c: Fraction(4),
    )


def memory_of(memory: Memory) -> dict[str, Any]:
    return {
        "vector": None,
        "load": memory.load,
        "store": memory.store,
        "peek": lambda address, index: Fraction(1),
        "splat": lambda x: x,
        "moved": lambda address, index, order: memory.load(address, index),
        "picks": {name: picked(name) for name in PICKS},
    }


def picked(name: str) -> Callable[[Bound, Bound], Bound]:
    """A move of lanes: any of both vectors may come."""
    return lambda x, y: max(x, y)


ARITHMETICS = {"doubles": doubles, "words": words}


@dataclasses.dataclass
class Bounds:
    """Kernels of a kind that run on bounds, and their memory."""

    memory: Memory
    arithmetic: Arithmetic
    kernels: dict[str, Any]
    forward: Any
    inverse: Any
    stored: Bound


@pytest.fixture(params=list(ARITHMETICS))
def bounds(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bounds:
    memory = Memory()
    o = ARITHMETICS[request.param](memory)
    tables: dict[int, int] = defaultdict(int)
    changes: dict[str, Any] = {
        "inlined": lambda f: f,
        "kernel": lambda count: lambda f: f,
        "operation": lambda *_: lambda *given: 0,
        "A": int,
        "N": int,
        "word": lambda address, index: memory.cells.get(address + 8 * index, tables[address + 8 * index]),
        "ahead": lambda address, index: 0,
        "row": lambda x, stride, j: x + 8 * stride * j,
        "constants_of": lambda o: lambda tables, j: (Fraction(1),) * 6,
    }
    patched: list[ModuleType] = [arithmetic, transforms, switching, products]
    for module in patched:
        for name, value in changes.items():
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)
    forward, inverse = transforms.transforms(o)
    kernels = switching.kernels(o) | products.kernels(o)
    return Bounds(memory, o, kernels, forward, inverse, Fraction(1) if o.kind == "words" else HALF)


def row(number: int) -> int:
    """The address of a row of its own, away from tables."""
    return 1 << 40 | number * 8 * STRIDE


@pytest.mark.parametrize("degree", DEGREES)
def test_transforms(bounds: Bounds, degree: int) -> None:
    # from what ``centred`` and ``lowered`` leave
    bounds.memory.default = bounds.arithmetic.centred(bounds.stored, None, None, None)
    bounds.forward(row(0), row(1), degree, 0)
    written = [bounds.memory.load(row(1), n) for n in range(0, degree, 8)]
    assert max(written) <= bounds.stored


@pytest.mark.parametrize("degree", DEGREES)
def test_inverse_transforms(bounds: Bounds, degree: int) -> None:
    # of what is stored, and in place of the lazy sums of key switches
    bounds.memory.default = bounds.arithmetic.red(bounds.stored)
    if bounds.arithmetic.kind == "words":
        bounds.memory.default = Fraction(4)
    bounds.inverse(row(0), row(1), degree, 0)
    written = [bounds.memory.load(row(1), n) for n in range(0, degree, 8)]
    assert max(written) <= bounds.stored
