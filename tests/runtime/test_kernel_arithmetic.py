"""Each operation on eight residues keeps what ``test_kernel_bounds.py`` takes from it, up to the largest operands."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from exact_residues import primes

from slotlang_runtime.kernels.arithmetic import MOST
from slotlang_runtime.kernels.entry import Entry
from slotlang_runtime.kernels.processor import processor
from slotlang_runtime.kernels.tables import Arithmetic, Tables, aligned

COUNT = 4096
"""Operands at a time."""

BITS = {
    "words": (60, 45, 30, 60),
    "doubles": (50, 42, 26, 50),
    "ifma50": (50, 42, 26, 50),
    "ifma45": (45, 42, 26, 45),
}
KINDS = [kind for kind in BITS if processor().ifma or "ifma" not in kind]
REDUCTIONS = ("red", "lead", "back", "enter", "ease", "tidy", "calm", "final", "last", "loose", "light")
REPEATED = (2, 4, 8)


def sources(kind: str) -> dict[str, Any]:
    """Kernels of one operation each."""
    from slotlang_runtime.kernels import compiler, lanes

    o = compiler.arithmetic_of(kind, processor())
    load, store, splat, peek = o.load, o.store, o.splat, o.peek
    mul, begin, gather, fold, factor = o.mul, o.begin, o.gather, o.fold, o.factor
    centred, lowered = o.centred, o.lowered
    count, most = COUNT, MOST
    made: dict[str, Any] = {}

    def kernel(arguments: int) -> Any:
        def taken(function: Any) -> Any:
            made[function.__name__] = lanes.kernel(arguments)(function)
            return function

        return taken

    @kernel(5)
    def product(x, w, w1, out, c):  # type: ignore[no-untyped-def]
        p = splat(peek(c, 0))
        for b in range(0, count, 8):
            store(out, b, mul(load(x, b), load(w, b), load(w1, b), p))

    def rows(each: int, four: Any) -> None:
        def products(x, w, out, c):  # type: ignore[no-untyped-def]
            # by rows of a table as the transforms have, of four times as many factors
            p, v = splat(peek(c, 0)), splat(peek(c, 1))
            for b in range(0, count, 32):
                y = four(load(x, b), load(x, b + 8), load(x, b + 16), load(x, b + 24), w, b * each // 8, v, p)
                store(out, b, y[0])
                store(out, b + 8, y[1])
                store(out, b + 16, y[2])
                store(out, b + 24, y[3])

        made[f"products{each}"] = lanes.kernel(4)(products)

    for each in REPEATED:
        rows(each, o.four[each])

    @kernel(4)
    def sums(x, k, out, c):  # type: ignore[no-untyped-def]
        constants = (
            splat(peek(c, 0)), splat(peek(c, 1)), splat(peek(c, 2)), splat(peek(c, 3)), splat(peek(c, 4)),
            splat(peek(c, 5)),
        )  # fmt: skip
        for b in range(0, count, 8):
            s = begin(constants)
            for r in range(most):
                s = gather(s, load(x, count * r + b), factor(load(k, count * r + b)))
            store(out, b, fold(s, constants))

    @kernel(5)
    def others(x, out, c, pair, side):  # type: ignore[no-untyped-def]
        p, v = splat(peek(c, 0)), splat(peek(c, 1))
        of = (
            splat(peek(pair, 0)), splat(peek(pair, 1)), splat(peek(pair, 2)), splat(peek(pair, 3)),
            splat(peek(pair, 4)), splat(peek(pair, 5)),
        )  # fmt: skip
        for b in range(0, count, 8):
            if side:
                store(out, b, lowered(load(x, b), p, v, of))
            else:
                store(out, b, centred(load(x, b), p, v, of))

    def reduction(name: str, reduce: Any) -> None:
        def reduced(x, out, c):  # type: ignore[no-untyped-def]
            p, v = splat(peek(c, 0)), splat(peek(c, 1))
            for b in range(0, count, 8):
                store(out, b, reduce(load(x, b), v, p))

        made[name] = lanes.kernel(3)(reduced)

    for name in REDUCTIONS:
        reduction(name, getattr(o, name))
    return made


@cache
def compiled(kind: str) -> tuple[Any, dict[str, Any]]:
    """The kernels, and what owns them."""
    from slotlang_runtime.kernels import compiler

    here = processor()
    machine = compiler.machine_of(here)
    code = {
        Entry(name, len(function.signatures[0])): compiler._object(compiler._text(name, function), machine)
        for name, function in sources(kind).items()
    }
    engine, addresses = compiler.loaded(code, here)
    room = (ctypes.c_uint64 * 2)()
    at = ctypes.addressof(room)
    functions: dict[str, Any] = {}
    for entry, address in addresses.items():
        call = ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_uint64] * (entry.words + 2))(address)
        functions[entry.name] = lambda *given, call=call: call(at, at + 8, *given)
    return (engine, room), functions


class Lab:
    """The operations of a kind modulo the first of some primes; the second is another one."""

    def __init__(self, kind: str, first: int = 0, second: int = 1) -> None:
        self.kind, self.random = kind, random.Random(first)
        moduli = primes(4096, BITS[kind])
        self.p, self.other = moduli[first], moduli[second]
        self.half = self.p // 2
        self.arithmetic = Arithmetic(kind)
        self.tables = Tables(kind, 4096, moduli)
        self.constants = int(self.tables.addresses[first, 4])
        # a number modulo the other prime comes to this one
        self.pair = int(self.tables.pairs[second, first].ctypes.data)
        _, self.functions = compiled(kind)

    def array(self, values: Sequence[int]) -> Any:
        out = aligned((len(values),), self.arithmetic.type)
        out[:] = np.array(list(values), object).astype(self.arithmetic.type)
        return out

    def run(self, name: str, *given: Any, extra: Sequence[int] = ()) -> list[int]:
        """The results of a kernel on arrays."""
        out = aligned((COUNT,), self.arithmetic.type)
        self.functions[name](*(a.ctypes.data for a in given), out.ctypes.data, self.constants, *extra)
        assert (out == np.rint(out)).all() if self.kind == "doubles" else True
        return [int(value) for value in out.tolist()]

    def near(self, most: int) -> list[int]:
        """Integers of a magnitude up to ``most``, many beside multiples and odd halves of the prime, and the ends; not
        negative in words."""
        low = -most if self.kind == "doubles" else 0
        ends = [low, low + 1, most - 1, most, 0, 1]
        halves = (low // self.half, most // self.half)
        some = range(halves[0], halves[1] + 1) if most < 20 * self.p else self.random.sample(range(*halves), 40)
        edges = [k * self.p // 2 + d for k in some for d in (-2, -1, 0, 1, 2)]
        kept = [x for x in ends + edges if low <= x <= most]
        return kept + [self.random.randint(low, most) for _ in range(COUNT - len(kept))]

    def factors(self) -> list[int]:
        """Factors modulo the prime, as tables have them."""
        return [w - self.p if self.kind == "doubles" and w > self.half else w for w in self.residues()]

    def residues(self) -> list[int]:
        p, half = self.p, self.half
        ends = [0, 1, 2, half - 1, half, half + 1, p - 2, p - 1]
        return [self.random.choice(ends) if n % 2 else self.random.randrange(p) for n in range(COUNT)]

    def stored(self) -> list[int]:
        """Residues as they are stored."""
        return self.factors()


@pytest.fixture(params=[(kind, first) for kind in KINDS for first in range(3)], ids=str)
def lab(request: pytest.FixtureRequest) -> Lab:
    kind, first = request.param
    return Lab(kind, first, (first + 1) % 3)


def lazy(lab: Lab) -> int:
    """The largest operand of a product with a constant."""
    return {"words": 2**64 - 1, "doubles": 13 * lab.p // 2}.get(lab.kind, 2**52 - 1)


def bound(lab: Lab) -> float:
    """What a product with a constant is below, in words."""
    return 4 if lab.kind == "words" else 2


def fits(lab: Lab, found: list[int], exact: list[int], most: float) -> None:
    """Residues that are congruent, and within so many times the prime."""
    if "ifma" in lab.kind:
        # lazy residues are what the low bits say
        found = [x % 2**52 for x in found]
    assert all((x - y) % lab.p == 0 for x, y in zip(found, exact, strict=True))
    low = -most * lab.p if lab.kind == "doubles" else 0
    assert low <= min(found) and max(found) <= most * lab.p


def test_products_with_constants(lab: Lab) -> None:
    x, w = lab.near(lazy(lab)), lab.factors()
    pairs = [lab.arithmetic.twice(factor % lab.p, lab.p) for factor in w]
    found = lab.run("product", lab.array(x), lab.array([a for a, _ in pairs]), quotients(lab, pairs))
    # as the walk on bounds has it: 1/2 + 6.5/32 + 6.5/16
    fits(lab, found, [a * b for a, b in zip(x, w, strict=True)], 1.11 if lab.kind == "doubles" else bound(lab))


def quotients(lab: Lab, pairs: list[tuple[Any, Any]]) -> Any:
    out = aligned((len(pairs),), lab.arithmetic.type)
    out[:] = np.array([w1 for _, w1 in pairs], lab.arithmetic.type)
    return out


@pytest.mark.parametrize("each", REPEATED)
def test_products_with_rows_of_a_table(lab: Lab, each: int) -> None:
    x, w = lab.near(lazy(lab)), lab.factors()[: COUNT * each // 8]
    pairs = np.array([lab.arithmetic.twice(factor % lab.p, lab.p) for factor in w], lab.arithmetic.type)
    sides = 1 if lab.kind == "doubles" else 2
    table = aligned((len(w) // each, sides, each), lab.arithmetic.type)
    table[:] = pairs.reshape(-1, each, 2)[..., :sides].swapaxes(1, 2)
    found = lab.run(f"products{each}", lab.array(x), table)
    factors = np.tile(np.array(w, object).reshape(-1, each), 8 // each).ravel()
    fits(lab, found, list(np.array(x, object) * factors), 0.5 + 9 / 8 if sides == 1 else bound(lab))


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(lab: Lab, name: str) -> None:
    to = {"red": (16, 4), "lead": (16, 4), "enter": (16, 4), "ease": (8, 4), "tidy": (8, 4), "loose": (8, 4)}
    to |= {"final": (8, 1), "light": (8, 1), "last": (4, 1)}
    if "ifma" in lab.kind:
        x = lab.near(2 * lab.p - 1 if name == "last" else 2**52 - 1)
        found = lab.run(name, lab.array(x))
        same = {"ifma50": ["calm"], "ifma45": ["lead", "back", "enter", "ease", "light"]}[lab.kind]
        least = {"final": 1, "last": 1}.get(name, 2**52 / lab.p if name in same else 2)
        fits(lab, found, x, least)
        # nothing above 52 bits where it would be seen
        assert name not in ("red", "final", "last") or max(found) < least * lab.p
        assert name in ("red", "final", "last") or name in same or max(found) >= 2**52
    elif lab.kind == "words":
        most, least = to.get(name, (8, 8))
        x = lab.near(most * lab.p - 1)
        found = lab.run(name, lab.array(x))
        fits(lab, found, x, least)
        assert max(found) < least * lab.p
    else:
        x = lab.near(min(8 * lab.p, 2**53))
        found = lab.run(name, lab.array(x))
        fits(lab, found, x, 8 if name in ("back", "enter", "ease") else 0.5 + 1 / lab.p)


def test_what_is_stored_is_around_0() -> None:
    # exactly: divisions are rounded by it
    lab = Lab("doubles")
    x = lab.near(4 * lab.p - 1)
    for name in ("red", "last"):
        assert lab.run(name, lab.array(x)) == [(a + lab.half) % lab.p - lab.half for a in x]


def test_sums_of_products(lab: Lab) -> None:
    columns = [[lab.stored() for _ in range(MOST)] for _ in range(2)]
    largest = lab.half if lab.kind == "doubles" else lab.p - 1
    # digits of key switches are not reduced as far
    lighter = {"ifma50": 2 * lab.p - 1, "ifma45": 2**52 - 1}.get(lab.kind, largest)
    for n in range(16):
        # all products at their largest, and of one sign
        for r in range(MOST):
            columns[0][r][n] = lighter
            columns[1][r][n] = -largest if n % 2 and lab.kind == "doubles" else largest
    x, k = (lab.array([value for row in side for value in row]) for side in columns)
    found = lab.run("sums", x, k)
    exact = [sum(a[n] * b[n] for a, b in zip(*columns, strict=True)) for n in range(COUNT)]
    fits(lab, found, exact, 0.5 + 1 / lab.p if lab.kind == "doubles" else bound(lab))


@pytest.mark.parametrize("side", [0, 1], ids=["centred", "lowered"])
def test_coefficients_come_to_another_prime_around_0(lab: Lab, side: int) -> None:
    q, half = lab.other, lab.other // 2
    ends = [0, 1, half - 1, half, half + 1, half + 2, q - 2, q - 1]
    x = [lab.random.choice(ends) if n % 2 else lab.random.randrange(q) for n in range(COUNT)]
    around = [a - q if a > half else a for a in x]
    given = lab.array(around if lab.kind == "doubles" else x)
    found = lab.run("others", given, extra=(lab.pair, side))
    fits(lab, found, around, 0.5 + 1 / lab.p if lab.kind == "doubles" else bound(lab) + 1)
