"""No intermediate of a kernel passes what its arithmetic holds, whatever the residues are.

The text of the kernels runs here on bounds in place of vectors: each operation checks what it asks of its operands and
returns the bound of its result, as ``docs/kernels.md`` argues. No kernel branches on a residue, so one run covers all.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

import pytest

from slotlang_runtime.kernels import arithmetic, compacting, products, switching, transforms
from slotlang_runtime.kernels.arithmetic import MOST, Arithmetic
from slotlang_runtime.kernels.lanes import PICKS
from slotlang_runtime.kernels.tables import MOST_BITS
from slotlang_runtime.parameters import DOUBLE_BITS

Bound = float
DEGREES = [4096, 8192, 16384, 32768]
STRIDE = 1 << 20

PRIME = 2.0**DOUBLE_BITS
"""The largest prime of doubles, at most: bounds are in units of the prime."""

ULP = 2.0**-53
"""Rounding of a double, relative."""

OUTWARD = 1 + 2.0**-40
"""More than what the bounds themselves are rounded by."""

HALF = 0.5 + 1 / PRIME
"""A residue around 0 as it is stored: rounding of the quotient may be off by one at a tie."""


def exact(x: Bound) -> Bound:
    """A sum of integers of this bound is exact in doubles."""
    assert x * OUTWARD * PRIME <= 2**53
    return x * OUTWARD


def magic(x: Bound) -> None:
    """1.5 * 2^52 rounds products of this bound to integers."""
    assert x <= 2**51


class Memory:
    """What kernels read and write: bounds of eight residues each, and words of tables, by address."""

    def __init__(self) -> None:
        self.cells: dict[int, Any] = {}
        self.default: Any = None

    def load(self, address: int, index: int = 0) -> Any:
        return self.cells.get(address + 8 * index, self.default)

    def store(self, address: int, index: int, value: Any) -> int:
        self.cells[address + 8 * index] = value
        return 0

    def among(self, address: int, index: int, value: Bound) -> int:
        """One of eight."""
        at = address + 8 * (index - index % 8)
        self.cells[at] = max(value, self.cells.get(at, value))
        return 0

    def put_back(self, address: int, index: int, value: Bound) -> int:
        """Eight that end at an index."""
        if index % 8 == 7:
            return self.store(address, index - 7, value)
        return self.among(address, index - 7, value) + self.among(address, index, value)


def doubles(memory: Memory) -> Arithmetic:
    """Bounds of |x| / p."""

    def red(x: Bound, *_: Any) -> Bound:
        magic(exact(x) * (1 + ULP))
        return HALF

    def last(x: Bound, *_: Any) -> Bound:
        assert x < 4, "what is stored is around 0 exactly"
        return red(x)

    def mul(a: Bound, *_: Any) -> Bound:
        # the factor and its quotient: at most half, so off by half of its last place, 2^-55; and the product's rounding
        exact(a)
        product = a * PRIME / 2
        assert product <= 2**52, "the quotient is rounded to an integer"
        return exact(0.5 + a * PRIME / 2**55 + product * ULP)

    def four(*given: Any) -> list[Bound]:
        out = []
        for a in given[:4]:
            product = exact(a) * PRIME / 2
            assert product <= 2**52
            out.append(exact(0.5 + 3 * product * ULP))
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
        low = s[1] * 2.0 ** (2 * DOUBLE_BITS + 2) * ULP / PRIME
        rest = exact(exact(0.5 + 2 * ULP * s[0] * PRIME) + exact(low))
        assert rest <= 2**51
        return HALF

    def shifted(number: Any, *_: Any) -> Bound:
        # an integer of a coefficient's bits, which may be many times as large as a prime
        assert 2**52 + 2 ** MOST_BITS["doubles"] <= 2**53
        magic(2.0 ** (MOST_BITS["doubles"] - 1) * (1 + ULP))
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
        four=dict.fromkeys((2, 4, 8), four),
        red=red,
        lead=red,
        back=same,
        loose=red,
        light=red,
        enter=same,
        ease=same,
        tidy=red,
        calm=red,
        final=red,
        last=last,
        centred=lambda x, p, v, other: red(x),
        lowered=lambda x, p, v, other: red(x),
        shift=lambda c, bits: 0,
        shifted=shifted,
        begin=lambda c: (0.0, 0),
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
            return min(x, 4.0) if most > 4 else 1.0

        return reduced

    def final(x: Bound, *_: Any) -> Bound:
        assert x <= 8
        return 1.0

    def mul(a: Bound, *_: Any) -> Bound:
        word(a)
        return 4.0

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
        return 5.0

    return Arithmetic(
        "words",
        **memory_of(memory),
        give=lambda address, n, x, v, p: below(1)(x),
        take=lambda address, n, v, p: 1.0,
        factor=lambda x: below(1)(x),
        add=lambda x, y: word(x + y),
        sub=sub,
        mul=mul,
        four=dict.fromkeys((2, 4, 8), lambda *given: [mul(a) for a in given[:4]]),
        red=below(16),
        lead=below(16),
        back=lambda x, *_: x,
        loose=below(8),
        light=final,
        enter=below(16),
        ease=below(8),
        tidy=below(8),
        calm=lambda x, *_: x,
        final=final,
        last=below(4),
        centred=moved,
        lowered=moved,
        shift=lambda c, bits: 0,
        # a product of any word with the constant 1, and at most p
        shifted=lambda number, p, v, s: word(4.0 + 1.0),
        begin=lambda c: 0,
        gather=gather,
        fold=lambda s, c: 4.0,
    )


def ifma(memory: Memory, lazy: bool) -> Arithmetic:
    """Bounds of x / p, for what the low 52 bits of a word hold: x is below them."""
    bits, room = (45, 8.0) if lazy else (50, 2.0)
    # the largest prime that is 1 more than a multiple of 2^13
    prime = 2**bits - 2**13 + 1

    def held(x: Bound) -> Bound:
        assert x * prime <= 2**52
        return x

    def same(x: Bound, *_: Any) -> Bound:
        return x

    def lighter(x: Bound, *_: Any) -> Bound:
        held(x)
        return 2.0

    def final(x: Bound, *_: Any) -> Bound:
        held(x)
        return 1.0

    def last(x: Bound, *_: Any) -> Bound:
        assert x <= 2, "one difference is enough"
        return 1.0

    def sub(x: Bound, y: Bound, p: Any) -> Bound:
        assert y <= room, "the difference is not below 0"
        return held(x + room)

    def gather(s: tuple[Bound, int], x: Bound, k: Bound) -> tuple[Bound, int]:
        assert held(x) and k <= 1 and s[1] < MOST
        return s[0] + x * k, s[1] + 1

    def fold(s: tuple[Bound, int], c: Any) -> Bound:
        # the high halves, and what the low ones carry: a factor; the two parts of the sum are below 2p
        assert int(s[0]) * prime**2 // 2**52 + s[1] < 2**52 and s[1] * 2**52 <= 2**64
        return lighter(held(2.0 + 2.0))

    def moved(x: Bound, *_: Any) -> Bound:
        # to another prime, from a coefficient of any below 2^50; half of it is added first
        assert x <= 1
        return 3.0

    def shifted(number: Any, *_: Any) -> Bound:
        # any 52 bits reduced, and at most p
        assert MOST_BITS["ifma45"] == MOST_BITS["ifma50"] <= 52
        return held(2.0 + 1.0)

    return Arithmetic(
        "ifma45" if lazy else "ifma50",
        **memory_of(memory),
        give=lambda address, n, x, v, p: held(x),
        take=lambda address, n, v, p: 1.0,
        factor=same,
        add=lambda x, y: held(x + y),
        sub=sub,
        mul=lighter,
        four=dict.fromkeys((2, 4, 8), lambda *given: [lighter(a) for a in given[:4]]),
        red=lighter,
        lead=same if lazy else lighter,
        back=same if lazy else lighter,
        enter=same if lazy else lighter,
        ease=same if lazy else lighter,
        tidy=lighter,
        calm=lighter if lazy else same,
        final=final,
        last=last,
        loose=lighter,
        light=same if lazy else lighter,
        centred=moved,
        lowered=moved,
        shift=lambda c, bits: 0,
        shifted=shifted,
        begin=lambda c: (0.0, 0),
        gather=gather,
        fold=fold,
    )


def memory_of(memory: Memory) -> dict[str, Any]:
    return {
        "vector": None,
        "load": memory.load,
        "store": memory.store,
        "peek": lambda address, index: 1.0,
        "splat": lambda x: x,
        "moved": lambda address, index, order: memory.load(address, index),
        "put_back": memory.put_back,
        "put_first": lambda address, index, value: memory.among(address, index, value),
        "without_first": lambda x: x,
        "picks": {name: picked(name) for name in PICKS},
    }


def picked(name: str) -> Callable[[Bound, Bound], Bound]:
    """A move of lanes: any of both vectors may come."""
    return lambda x, y: max(x, y)


ARITHMETICS = {
    "doubles": doubles,
    "words": words,
    "ifma50": lambda memory: ifma(memory, False),
    "ifma45": lambda memory: ifma(memory, True),
}

DIGITS = {"doubles": HALF, "words": 1.0, "ifma50": 2.0, "ifma45": 128.0}
"""What digits are stored below."""


@dataclasses.dataclass
class Bounds:
    """Kernels of a kind that run on bounds, and their memory."""

    memory: Memory
    arithmetic: Arithmetic
    kernels: dict[str, Any]
    forward: Any
    inverse: Any
    stored: Bound


def in_one_part(kernel: Any) -> Any:
    """All the work of a kernel that can be split."""

    @wraps(kernel)
    def whole(*words: Any) -> Any:
        return kernel(*words, 0, 1)

    return whole


@pytest.fixture(params=list(ARITHMETICS))
def bounds(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bounds:
    memory = Memory()
    o = ARITHMETICS[request.param](memory)
    tables: dict[int, int] = defaultdict(int)
    changes: dict[str, Any] = {
        "inlined": lambda f: f,
        "kernel": lambda count: lambda f: f,
        "split": lambda count: in_one_part,
        "operation": lambda *_: lambda *given: 0,
        "A": int,
        "N": int,
        "word": lambda address, index: memory.cells.get(address + 8 * index, tables[address + 8 * index]),
        "ahead": lambda address, index: 0,
        "row": lambda x, stride, j: x + 8 * stride * j,
        "share": lambda n, part, parts: (n // parts * part, n // parts * (part + 1)),
        "constants_of": lambda o: lambda tables, j: (1.0,) * 6,
    }
    patched: list[ModuleType] = [arithmetic, transforms, switching, products, compacting]
    for module in patched:
        for name, value in changes.items():
            if hasattr(module, name):
                monkeypatch.setattr(module, name, value)
    forward_of, _, inverse = transforms.transforms(o)
    forward = forward_of(o.final, lambda x, j, p, v, other: memory.load(x, j))
    kernels = switching.kernels(o) | products.kernels(o) | compacting.kernels(o)
    return Bounds(memory, o, kernels, forward, inverse, HALF if o.kind == "doubles" else 1.0)


def row(number: int) -> int:
    """The address of a row of its own, away from tables."""
    return 1 << 40 | number * 8 * STRIDE


def largest(bounds: Bounds, first: int, rows: int, degree: int) -> Bound:
    """The largest bound in rows that a kernel has written."""
    return max(bounds.memory.cells[row(first + k) + 8 * n] for k in range(rows) for n in range(0, degree, 8))


@pytest.mark.parametrize("degree", DEGREES)
def test_transforms(bounds: Bounds, degree: int) -> None:
    # from what ``centred`` and ``lowered`` leave
    bounds.memory.default = bounds.arithmetic.centred(bounds.stored, None, None, None)
    bounds.forward(row(0), row(1), degree, 0, 0)
    assert largest(bounds, 1, 1, degree) <= bounds.stored


@pytest.mark.parametrize("degree", DEGREES)
def test_inverse_transforms(bounds: Bounds, degree: int) -> None:
    # of what is stored, and in place of the lazy sums of key switches
    bounds.memory.default = lazy(bounds)
    bounds.inverse(row(0), row(1), degree, 0)
    assert largest(bounds, 1, 1, degree) <= bounds.stored


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("degree", DEGREES)
def test_expanded_plaintexts(bounds: Bounds, degree: int, half: bool) -> None:
    bits = row(90)
    bounds.memory.store(bits, 0, 20 + (half << 8))
    bounds.kernels["expanded"](row(0), bits, row(10), 1, 1, 1, degree, STRIDE, 0)
    assert largest(bounds, 10, 1, degree) <= bounds.stored


def lazy(bounds: Bounds) -> Bound:
    """What sums of key switches are stored below."""
    return {"doubles": HALF, "words": 4.0}.get(bounds.arithmetic.kind, 2.0)


@pytest.mark.parametrize("primes", [1, 3])
def test_key_switches(bounds: Bounds, primes: int) -> None:
    # 20 terms; ``more``: to sums that are there
    bounds.memory.default = bounds.stored
    for k in range(primes * (primes + 1)):
        bounds.memory.store(row(10 + k), 0, DIGITS[bounds.arithmetic.kind])
    for more in (0, 1):
        bounds.kernels["switched"](row(0), row(10), 0, 0, 0, 0, 20, row(40), more, primes, primes + 1, 128, STRIDE, 0)
        assert largest(bounds, 40, 2 * (primes + 1), 128) <= lazy(bounds)


def test_digits(bounds: Bounds) -> None:
    bounds.memory.default = bounds.stored
    bounds.kernels["decomposed"](row(0), row(10), 1, 2, 4096, STRIDE, 0, 0, row(40))
    assert largest(bounds, 11, 1, 4096) <= DIGITS[bounds.arithmetic.kind]


def test_divisions_by_the_key_prime(bounds: Bounds) -> None:
    bounds.memory.default = bounds.stored
    for k in range(4):
        for n in range(0, 4096, 8):
            bounds.memory.store(row(40 + k), n, lazy(bounds))
    bounds.kernels["settled"](row(40), 0, 0, 0, 20, 0, 20, 0, 20, row(50), 1, 2, 4096, STRIDE, 0, 0)
    assert largest(bounds, 50, 2, 4096) <= bounds.stored


def test_divisions(bounds: Bounds) -> None:
    bounds.memory.default = bounds.stored
    bounds.kernels["divided"](row(0), row(10), 2, 2, 3, 4096, STRIDE, 0, 0, row(40))
    assert largest(bounds, 10, 2, 4096) <= bounds.stored


@pytest.mark.parametrize("terms", [1, 8, 9, 300])
def test_products_and_sums(bounds: Bounds, terms: int) -> None:
    memory, kernels = bounds.memory, bounds.kernels
    memory.default = bounds.stored
    for number in range(2):
        # where the sums go
        memory.store(row(90), number, row(60 + 2 * number))
    kernels["dotted"](0, 0, terms, row(90), 2, 1, 128, STRIDE, 0)
    assert largest(bounds, 60, 4, 128) <= bounds.stored
    kernels["multiplied_plain"](row(0), row(5), row(20), 3, 1, 128, STRIDE, 0)
    kernels["multiplied"](row(0), row(5), row(30), 1, 128, STRIDE, 0)
    kernels["added"](row(0), row(5), row(40), 3, 1, 128, STRIDE, 0)
    kernels["subtracted"](row(0), row(5), row(50), 3, 1, 128, STRIDE, 0)
    kernels["negated"](row(0), row(70), 3, 1, 128, STRIDE, 0)
    for first in (20, 30, 40, 50, 70):
        assert largest(bounds, first, 3, 128) <= bounds.stored


def test_a_bound_that_is_passed_is_seen(bounds: Bounds) -> None:
    # residues beyond those that transforms take
    bounds.memory.default = 200.0
    with pytest.raises(AssertionError):
        bounds.forward(row(0), row(1), 4096, 0, 0)
