"""Integers as texts that isl and Python read, ``((h_0 + q_3) % 8)``, and products of tensor elements there."""

# fmt: off
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import prod
from operator import add, floordiv, mod, mul, sub
from typing import Any

import islpy as isl

from .reader import need

MAX_TEXT, MAX_TERMS, MAX_POINTS, MAX_SIZE, MAX_INDEX = 1 << 16, 4096, 1 << 22, 1 << 40, 1 << 62
OPERATIONS = 50_000_000  # of isl, for one goal: some seconds
Extents = list[tuple[str, int]]  # of variables, each from 0 to below its extent

@dataclass(frozen=True)
class Int:
    """An integer: its text, its least and greatest value, and the variables in it with their extents."""
    text: str
    low: int
    high: int
    used: frozenset[tuple[str, int]] = frozenset()

    def __str__(self) -> str: return self.text

def number(value: int) -> Int:
    return Int(str(value), value, value)

def variable(name: str, extent: int) -> Int:
    return Int(name, 0, extent - 1, frozenset([(name, extent)]))

def arith(op: str, a: Int, b: Int) -> Int:
    used, apply = a.used | b.used, {"+": add, "-": sub, "*": mul, "%": mod}.get(op, floordiv)
    need(op in "+-*" or (not b.used and b.low > 0), f"the right side of {op} is not a positive constant")
    need(op != "/" or (not a.used and a.low % b.low == 0), f"{a} / {b} is not known to leave nothing")
    ends = [apply(x, y) for x in (a.low, a.high) for y in (b.low, b.high)]
    low, high = (0, b.low - 1) if op == "%" and a.low // b.low != a.high // b.low else (min(ends), max(ends))
    large = max(-low, high) > (MAX_INDEX if used else MAX_SIZE) or len(a.text + b.text) > MAX_TEXT
    need(not large, f"an integer is too large: {a} {op} {b}"[:80])
    return Int(f"floord({a}, {b})" if op == "//" else f"({a} {op} {b})", low, high, used) if used else number(low)

def every(conditions: Iterable[str]) -> str:
    return f"({' and '.join(['(0 = 0)', *conditions])})"

def within(indices: Sequence[Int | str], extents: Sequence[int]) -> str:
    return every(f"(0 <= {i}) and ({i} < {n})" for i, n in zip(indices, extents, strict=True))

def function(text: str, variables: Iterable[str]) -> Callable[..., Any]:
    python = f"lambda {', '.join(variables)}: {text}".replace(" = ", " == ").replace("floord(", "int.__floordiv__(")
    return eval(python, {"__builtins__": {}, "int": int, "min": min, "max": max})  # type: ignore[no-any-return]

def limited() -> isl.Context:
    context = isl.Context()
    context.set_max_operations(OPERATIONS)
    return context

def never(condition: str, box: Extents) -> bool:
    """Whether a condition holds nowhere in a box."""
    names = [name for name, _ in box]
    text = f"{{ [{', '.join(names)}] : {within(names, [n for _, n in box])} and {condition} }}"
    try: return bool(isl.Set.read_from_str(limited(), text).is_empty())
    except isl.Error: need(prod(n for _, n in box) <= MAX_POINTS, "whether an index stays inside can't be told")
    holds = function(condition, names)
    return not any(holds(*point) for point in product(*(range(n) for _, n in box)))

@dataclass(frozen=True)
class Term:
    """Coefficient * scalars * reads, summed over ``loops`` where ``where`` holds; there ``inside`` has to hold too."""
    re: Fraction = Fraction(1)
    im: Fraction = Fraction(0)
    scalars: tuple[str, ...] = ()
    loops: tuple[tuple[str, int], ...] = ()
    where: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()
    reads: tuple[tuple[str, tuple[Int, ...]], ...] = ()

    def __mul__(self, o: Term) -> Term:
        re, im = self.re * o.re - self.im * o.im, self.re * o.im + self.im * o.re
        reads = sorted(self.reads + o.reads, key=lambda r: r[0])
        lists = (self.loops + o.loops, self.where + o.where, self.inside + o.inside, tuple(reads))
        return Term(re, im, tuple(sorted(self.scalars + o.scalars)), *lists)

Terms = list[Term]

def times(a: Terms, b: Terms) -> Terms:
    need(len(a) * len(b) <= MAX_TERMS, "there are too many terms")
    return [x * y for x in a for y in b]
