"""Whether both sides of a goal agree: by regions of points and products, or product by product."""

# fmt: off
from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import prod
from typing import Any

import islpy as isl

from .magnitudes import range_claim
from .program import Program
from .reader import Rejected, need
from .terms import Extents, Term, Terms, every, function, limited, within

FORMAT, VERSION = "slotlang certificate", 1
MAX_BYTES, MAX_PRODUCTS = 1 << 24, 1 << 22

Decide = Callable[[int, Extents, dict[str, Terms]], Any]

def image(context: isl.Context, over: Extents, t: Term) -> tuple[int, isl.Set]:
    """Where a term's products are, over the goal's variables: each is reached once, and counts so many times."""
    to, where = [n for n, _ in over] + [str(i) for _, at in t.reads for i in at], every(t.where)
    used = [loop for loop in t.loops if re.search(rf"\b{loop[0]}\b", f"{to} {where}")]
    whole, some = ([n for n, _ in [*over, *loops]] for loops in (t.loops, used))
    box = f"{within(whole, [n for _, n in [*over, *t.loops]])} and {where}"
    outside = f"{{ [{', '.join(whole)}] : {box} and not {every(t.inside)} }}"
    need(isl.Set.read_from_str(context, outside).is_empty(), "an index leaves its tensor or family")
    box = f"{within(some, [n for _, n in [*over, *used]])} and {where}"
    relation = isl.Map.read_from_str(context, f"{{ [{', '.join(some)}] -> [{', '.join(to)}] : {box} }}")
    need(relation.is_injective(), "a product is added up several times")
    return prod(n for _, n in t.loops) // prod(n for _, n in used), relation.range().compute_divs().coalesce()

def by_sets(over: Extents, sides: dict[str, Terms], regions: list[dict[str, Any]]) -> dict[str, Any]:
    """The regions are disjoint, hold all products of both sides, and the coefficients agree on each."""
    context, found = limited(), dict[str, list[Any]]()
    for side, t in ((side, t) for side, terms in sides.items() for t in terms if t.re or t.im):
        key = json.dumps([t.scalars, [tensor for tensor, _ in t.reads]])
        n, points = image(context, over, t)
        found.setdefault(key, []).append((side, t.re * n, t.im * n, points))
    covered: dict[str, Any] = {}
    for region in regions:
        key, points = json.dumps([region["scalars"], region["tensors"]]), isl.Set.read_from_str(context, region["set"])
        need(len(region) == 4 and not points.is_empty() and key in found, "a region without products")
        need(key not in covered or points.is_disjoint(covered[key]), "two regions meet")
        covered[key], sums = covered.get(key, points) | points, {"left": [0, 0], "right": [0, 0]}
        for side, real, imaginary, held in found[key]:
            if not points.is_disjoint(held):
                need(points.is_subset(held), "a region holds products and others")
                sums[side] = [sums[side][0] + real, sums[side][1] + imaginary]
        need(all(region["coefficient"] == [*map(str, s)] for s in sums.values()), f"{region['set']}: {sums}")
    for key, held in ((key, part[-1]) for key, parts in found.items() for part in parts if not part[-1].is_empty()):
        need(key in covered and held.is_subset(covered[key]), "products outside all regions")
    return {"regions": [{**region, "set": region["set"].split("}")[0] + "}"} for region in regions]}

def by_products(over: Extents, sides: dict[str, Terms]) -> dict[str, Any]:
    """Add up every product at every point; how many there are."""
    totals: dict[Any, Fraction] = {}
    for sign, t in ((1 if side == "left" else -1, t) for side, terms in sides.items() for t in terms):
        need(prod(n for _, n in [*over, *t.loops]) <= MAX_PRODUCTS, "there are too many products")
        at = "".join(f"({', '.join(map(str, [repr(tensor), *at]))}), " for tensor, at in t.reads)
        f = function(f"{every(t.where)} and ({every(t.inside)}, ({at}))", [n for n, _ in [*over, *t.loops]])
        for point in product(*(range(n) for _, n in [*over, *t.loops])):
            if read := f(*point):
                need(read[0], "an index leaves its tensor or family")
                key = (point[: len(over)], t.scalars, tuple(sorted(read[1])))
                for part, c in (("re", t.re), ("im", t.im)): totals[key, part] = totals.get((key, part), 0) + sign * c
    need(not any(totals.values()), "the two sides differ")
    return {"products": len(totals) // 2}

@dataclass(frozen=True)
class Proof:
    """What a certificate proves: all goals of a program at these sizes; ``sha256`` is of the text and the sizes.
    ``range``: bits of the modulus and of results within declared bounds, where the program has all that this needs."""
    program: str
    sizes: dict[str, int]
    sha256: str
    goals: list[str]
    range: dict[str, int] | None = None

    def lines(self) -> list[str]:
        program = f"{self.program}({', '.join(f'{name} = {n}' for name, n in self.sizes.items())})"
        lines = [f"  program {program}", f"  sha256 {self.sha256}", *(f"  proved  {goal}" for goal in self.goals)]
        return lines if self.range is None else [*lines, f"  range   {self.range_text(self.range)}"]

    @staticmethod
    def range_text(bits: dict[str, int]) -> str:
        size, left, masks = bits["result_bits"], bits["left_bits"], bits.get("mask_bits")
        room = f"{max(left, 1 - left)} bit{'s' * (left not in (0, 1))}"
        if left < 1: return f"not shown: by this looser estimate results could reach 2^{size}, {room} too many"
        more = f"; masks of slots that no output reads are at most 2^{masks}" if masks else ""
        return f"within the bounds results stay below 2^{size}, which leaves {room} for noise and masks{more}"

def certificate(text: str, sizes: dict[str, int], decide: Decide) -> str:
    """The text of a certificate. ``decide`` gives a goal's "regions", or its number of "products"; it may reject."""
    return written(text, sizes, decide)[0]

def written(text: str, sizes: dict[str, int], decide: Decide) -> tuple[str, Proof]:
    program, goals = Program(text, sizes), list[dict[str, Any]]()
    for number, (name, over, sides) in enumerate(program.goals()):
        terms = [{"side": side, "coefficient": [str(t.re), str(t.im)], "scalars": t.scalars, "loops": t.loops,
                  "reads": [f"{tensor}[{', '.join(map(str, at))}]" for tensor, at in t.reads],
                  "where": every(t.where), "inside": every(t.inside)} for side, ts in sides.items() for t in ts]
        goals.append({"goal": name, "variables": over, "terms": terms, **decide(number, over, sides)})
    method = "exact" if any("products" in goal for goal in goals) else "polyhedral"
    digest = hashlib.sha256(f"{text}\n{','.join(f'{name}={n}' for name, n in sizes.items())}".encode()).hexdigest()
    whole = {"format": FORMAT, "version": VERSION, "method": method, "program": text, "sizes": sizes, "sha256": digest}
    proof = Proof(program.name, sizes, digest, [goal["goal"] for goal in goals], range_claim(program))
    claim = {} if proof.range is None else {"range": proof.range}
    return json.dumps({**whole, **claim, "goals": goals}, indent=1) + "\n", proof

def recheck(data: bytes) -> Proof:
    """What a certificate proves. Raises ``Rejected``."""
    try: found = json.loads(data.decode()) if len(data) <= MAX_BYTES else None
    except (ValueError, RecursionError): found = None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise Rejected("this is no certificate, or not all of one", "SL701", 2)
    if (version := json.dumps(found.get("version"))[:40]) != str(VERSION):
        raise Rejected(f"a certificate of version {version}; version {VERSION} is checked here", "SL702", 2)
    def decide(number: int, over: Extents, sides: dict[str, Terms]) -> dict[str, Any]:
        goal = found["goals"][number]
        return by_products(over, sides) if "products" in goal else by_sets(over, sides, goal["regions"])
    try: text, proof = written(found["program"], found["sizes"], decide)
    except (Rejected, MemoryError): raise
    except Exception as problem: raise Rejected(f"{type(problem).__name__}: {problem}"[:300], "SL703", 1) from None
    need(text == data.decode(), "it is not what its program, sizes and regions make it")
    return proof
