"""How large results can be within declared bounds, and what that leaves of the modulus for noise and masks, which are
not counted. Sound, and looser than the front end's theorem; bounds are exact fractions, rounded up."""

# fmt: off
from __future__ import annotations

from collections import Counter
from fractions import Fraction
from math import ceil, isqrt, prod
from typing import Any

from .program import Program
from .terms import Term, never, within

HIDING_BITS = 16

def products(program: Program, e: Any) -> int:
    """No fewer than the products in a row in a value, apart from permutations; -1 where there is no ciphertext."""
    match getattr(e, "data", ""), getattr(e, "children", ()):
        case ("name" | "index"), [name, *_]:
            name = name.children[0] if hasattr(name, "children") else name
            kind = program.kind(name)
            return products(program, program.names[name][1][1]) if kind == "compute" else (kind == "cipher") - 1
        case "binary", [a, ("*" | "/") as op, b]:
            left, right = products(program, a), products(program, b) if op == "*" else -1
            return -1 if left == right == -1 else max(left, 0) + max(right, 0) + 1
        case "binary", [a, ("<<" | ">>"), _]: return products(program, a)
        case _, children: return max((products(program, child) for child in children), default=-1)

def root(square: Fraction) -> Fraction:
    whole = isqrt(n := ceil(square * 4**40))
    return Fraction(whole + (whole**2 < n), 2**40)

class Sizes:
    """Bounds by name, of elements and scalars (axis -1) and of norms along an axis."""
    def __init__(self, program: Program) -> None:
        self.limits, self.given = dict[tuple[str, int], Fraction](), dict[str, list[int]]()
        for kind, meaning in program.names.values():
            if kind == "bound": self.limits[meaning[0], meaning[1]] = meaning[2]
            if kind == "parameters": self.given = meaning

    def entry(self, name: str) -> Fraction | None:
        return min((limit for (of, _), limit in self.limits.items() if of == name), default=None)

    def by_elements(self, t: Term) -> Fraction:
        names = (*t.scalars, *(name for name, _ in t.reads))
        return (abs(t.re) + abs(t.im)) * prod(self.entry(n) or 0 for n in names) * prod(n for _, n in t.loops)

    def by_norms(self, t: Term) -> Fraction:
        """A sum over indices that occur in two factors each is at most the product of the factors' norms."""
        inside = [[{v for v, _ in i.used} & {v for v, _ in t.loops} for i in at] for _, at in t.reads]
        plain = all({i.text} == used for (_, at), own in zip(t.reads, inside, strict=True)
                    for i, used in zip(at, own, strict=True) if used)
        times = Counter(v for own in inside for v in set().union(*own))
        if not plain or any(times[v] < 2 for v, _ in t.loops): return self.by_elements(t)
        size, extents = (abs(t.re) + abs(t.im)) * prod(self.entry(n) or 0 for n in t.scalars), dict(t.loops)
        for (name, _), own in zip(t.reads, inside, strict=True):
            lengths = [prod(extents[v] for v in used) for used in own]
            squares = [(self.entry(name) or 0) ** 2 * prod(lengths)]
            squares += [limit**2 * prod(lengths) / lengths[axis] for (of, axis), limit in self.limits.items()
                        if of == name and axis >= 0 and own[axis]]
            size *= root(Fraction(min(squares)))
        return min(size, self.by_elements(t))

def range_claim(program: Program) -> dict[str, int] | None:
    """Of a program that bounds everything and names parameters under which no prime is dropped but of results, last:
    division leaves the ratio of modulus and scale as it is."""
    sizes = Sizes(program)
    kinds = [(name, kind) for name, (kind, _) in program.names.items()]
    bare = any(kind in ("input", "weight", "scalar") and sizes.entry(name) is None for name, kind in kinds)
    scales, permuted = sizes.given.get("scales", []), any(kind == "perm" for _, kind in kinds)
    early = len(sizes.given.get("drops", [])) - sum(sizes.given.get("results", []))
    if bare or not scales or early or (permuted and len(scales) == 1): return None
    largest, depth, hidden = Fraction(1), 0, Fraction(0)
    for family, indices, free, where, (result, places, _) in program.outputs:
        (_, env), top = program.named(free), len(program.claims)
        (shape, f), at = program.theorems[result], [program.integer(i, env, program.here) for i in places]
        over = [*{v for i in at for v in i.used}]
        # what is in all slots is known where all carry an element; else what leads there bounds them
        if not where and never(f"(not {within(at, shape)})", over): size = sum(map(sizes.by_norms, f(at)), Fraction())
        else:
            own = program.member(family, [program.integer(i, env, None) for i in indices], program.here, top, top)
            size = sum(map(sizes.by_elements, own), Fraction())
            hidden = max(hidden, size, Fraction(1))
        largest, depth = max(largest, size), max(depth, products(program, program.names[family][1][1]))
    scale = sum(scales) if len(scales) > 1 else scales[0] * (depth + 1)
    # one bit for the sign, and one for twice a part that is read alone
    left = Fraction(prod(primes(sizes.given["degree"][0], sizes.given["primes"])), 2 ** (scale + 2)) / largest
    bits = left.numerator.bit_length() - left.denominator.bit_length()
    # where slots are not read, and not zero: 2^16 times what they may hold
    masks = {"mask_bits": HIDING_BITS + (ceil(hidden) - 1).bit_length()} if hidden else {}
    return {"result_bits": (ceil(largest) - 1).bit_length(), "left_bits": bits - (left < Fraction(2) ** bits), **masks}

def prime(p: int) -> bool:
    """The test of Miller and Rabin, exact below 2^64."""
    odd = (p - 1) // (twos := (p - 1) & (1 - p))
    return all(pow(b, odd, p) == 1 or any(pow(b, odd << i, p) == p - 1 for i in range(twos.bit_length() - 1))
               for b in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37))

def primes(degree: int, bits: list[int]) -> list[int]:
    """No more than the primes that SEAL takes for the data: the largest ones that are 1 modulo twice the degree."""
    found: dict[int, list[int]] = {}
    for n, count in Counter(bits).items():
        candidates = (p for p in range(((1 << n) - 1) // (2 * degree) * 2 * degree + 1, 1 << (n - 1), -2 * degree)
                      if prime(p))
        found[n] = [next(candidates, 1 << (n - 1)) for _ in range(count)]
    return [found[n].pop() for n in bits][:-1]
