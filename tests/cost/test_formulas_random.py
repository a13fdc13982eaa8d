"""Formulas of random programs: what is not refused is right, at the program's own sizes and at others."""

from __future__ import annotations

from random import Random

import pytest
from amounts import ALL, drawn, one_in
from generate import random_program
from generate_families import random_families
from repository import bind_text

from slotlang.cost.counts import Counts
from slotlang.cost.symbolic.formulas import Formulas
from slotlang.cost.symbolic.sizes import AllSizes
from slotlang.diagnostics import SlotError
from slotlang.meaning.program import Program
from slotlang.planning.formulas import formulas
from slotlang.planning.parameters import UNRESCALED_DEPTH
from slotlang.planning.plan import Draft
from slotlang.proof.forall import size_points
from slotlang.schedule.build import EVERY, schedule

MAX_SIZE = 64
OTHERS = 4


def _counts(program: Program) -> Counts:
    drops = EVERY if schedule(program).depth > UNRESCALED_DEPTH else ()
    return Draft.of(program, "mask", drops).counts


def _others(every: AllSizes, seed: int) -> list[dict[str, int]]:
    """Small sizes that a program admits."""
    found: list[dict[str, int]] = []
    for family in every.families[:3]:
        names = sorted(family.names() | family.domain.least.keys())
        for point in size_points.small(family.domain, names, OTHERS, seed):
            sizes = {name: int(family.sizes[name].value(point)) for name in every.parameters}
            if max(sizes.values()) <= MAX_SIZE and every.conditions.hold(sizes):
                found.append(sizes)
    return found[:OTHERS]


def _compare(text: str, sizes: dict[str, int], seed: int) -> int:
    """The number of sizes at which formulas of a program were compared."""
    program = bind_text(text, sizes)
    try:
        found = formulas(program)
    except SlotError as problem:
        assert problem.diagnostics[0].code in ("SL401", "SL402", "SL403", "SL447")
        return 0
    own = {name: program.sizes[name] for name in program.parameters}
    for given in (own, *_others(AllSizes(program.syntax), seed)):
        try:
            counts = _counts(bind_text(text, given))
        except SlotError:
            continue
        said = {name: number for name, number in found.at(given).items() if number is not None}
        assert said == {name: getattr(counts, name) for name in said}, (text, given)
        assert given is not own or set(said) == set(found.counts)
    return 1


@drawn
@pytest.mark.parametrize("kind", ["schemes", "families"])
def test_random_programs(kind: str) -> None:
    compared = 0
    for seed in range(60 if ALL else 6):
        rng = Random(seed)
        if kind == "schemes":
            text, sizes = random_program(rng)
        else:
            program = random_families(rng)
            text, sizes = program.text, program.defaults
        try:
            bind_text(text, sizes)
        except SlotError:
            continue
        compared += _compare(text, sizes, seed)
    assert compared


PRODUCTS = """program p(n = 8, m = 4, w = 3)
input x[m, n], z[m, n]
weight a[w, n]
axes (i < n)
cipher X[c < m] = x[c, i]
cipher Z[c < m] = z[c, i]
plain A[v < w] = a[v, i]
"""


@pytest.mark.parametrize(
    ("statements", "relinearized"),
    [
        ("Y = sum c < m: X[c] * Z[c]\noutput y[i] = Y", "1"),
        ("Y = (sum c < m: X[c] * Z[c]) << 1\noutput y[i] = Y", "1"),
        ("Y[c < m] = X[c] * Z[c]\noutput y[c, i] = Y[c]", "m"),
        ("Y[c < m] = X[c] * X[c]\noutput y[c, i] = Y[c]", "m"),
        ("Y[v < w] = sum c < m: (X[c] << v) * Z[c]\noutput y[v, i] = Y[v]", "w"),
        ("P[c < m] = X[c] * Z[c]\nY[c < m] = P[c] + (P[c] << 1)\noutput y[c, i] = Y[c]", "m"),
        ("P[c < m] = X[c] * Z[c]\nY[c < m] = (P[c] << 1) + (P[c] << 2)\noutput y[c, i] = Y[c]", "m"),
        ("P[c < m] = X[c] * Z[c]\nY[c < m, v < w] = P[c] * A[v]\noutput y[c, v, i] = Y[c, v]", "m"),
        ("P[c < m] = X[c] * Z[c]\nY[v < w] = sum c < m: P[c] * A[v]\noutput y[v, i] = Y[v]", ""),
        ("P[c < m] = X[c] * Z[c]\nY = P[0] << 1\noutput y[i] = Y", ""),
        ("Y[v < w] = sum c < m: X[c] * Z[c]\noutput y[v, i] = Y[v]", "1"),
        ("Y[c < m, e < m] = X[c] * X[e]\noutput y[c, e, i] = Y[c, e]", ""),
        ("Y[c < m] = (X[c] * Z[c]) * Z[c]\noutput y[c, i] = Y[c]", ""),
        ("Y[c < m] = (sum q < n: X[c] << (c + q)) * Z[0]\noutput y[c, i] = Y[c]", ""),
        ("Y[c < m, e < m] = (X[c] + X[e]) * Z[0]\noutput y[c, e, i] = Y[c, e]", ""),
        ("Y[v < w] = sum c < m: (X[c] * Z[c]) * A[v]\noutput y[v, i] = Y[v]", ""),
    ],
)
def test_products_of_ciphertexts(statements: str, relinearized: str) -> None:
    """Relinearisations have a formula where no others could be fewer, and none elsewhere."""
    text = _complete(PRODUCTS, statements)
    tried = [
        {"n": n, "m": m, "w": w} for n, m, w in ((8, 4, 3), (8, 1, 3), (8, 2, 1), (4, 3, 2), (16, 5, 4), (2, 2, 2))
    ]
    known = None
    for sizes in tried:
        found = _found(text, sizes)
        if sizes is tried[0]:
            assert (found is not None) == bool(relinearized)
            known = found
        for formula in (known, found):
            if formula is not None:
                said = {name: number for name, number in formula.at(sizes).items() if number is not None}
                counts = _counts(bind_text(text, sizes))
                assert said == {name: getattr(counts, name) for name in said}, sizes
    if known is not None:
        assert str(known.counts["relinearizations"].expr) == relinearized


def _complete(start: str, statements: str) -> str:
    """With a theorem about the result, which is not asked to be true."""
    extents = {"c": "m", "e": "m", "v": "w", "i": "n"}
    names = statements.rpartition("y[")[2].partition("]")[0].split(", ")
    binders = ", ".join(f"{name} < {extents[name]}" for name in names)
    return f"{start}{statements}\nprove y[{binders}] == 0\n"


def _found(text: str, sizes: dict[str, int]) -> Formulas | None:
    try:
        return formulas(bind_text(text, sizes))
    except SlotError as problem:
        assert problem.diagnostics[0].code == "SL447"
        return None


SIZES = ((4, 3, 5), (4, 5, 3), (3, 1, 2), (2, 2, 3), (5, 4, 4), (4, 2, 1), (3, 2, 2))
FUNCTIONS = """program p(k = 4, m = 3, r = 5)
let n = 2**k
let few = min(m, r)
let many = max(m, r) if m > 1 else 1
input x[n]
weight a[few, n]
axes (i < n)
cipher X = x[i]
plain A[q < few] = a[q, i]
"""


@drawn
@pytest.mark.parametrize(
    ("statements", "rotations"),
    one_in(
        2,
        [
            ("Y = sum q < min(m, r): (X << q) * A[q]\noutput y[i] = Y", "Min(m, r) - 1"),
            ("Y = sum q < few: (X << q) * A[q]\noutput y[i] = Y", "few - 1"),
            ("S = sum f < n/2 by doubling: X << f*2\noutput y[i] = S", None),
            ("S = sum f < log2(n) by horner: X << f\noutput y[i] = S", "log2(n) - 1"),
            ("S = sum f < many by horner: X << f\noutput y[i] = S", "many - 1"),
            ("S = X + (X << 2**(k - 1))\noutput y[i] = S", "1"),
            ("S[j < k] = (X if j == 0 else S[j - 1] + (S[j - 1] << 2**(j - 1)))\noutput y[i] = S[k - 1]", None),
            ("S = sum f < m: (X if f == 0 else (X << f) * A[0])\noutput y[i] = S", None),
            ("S[j < m] = X << (j if m > 3 else j + 1)\nT = sum f < m: S[m - 1 - f]\noutput y[i] = T", None),
            ("S[j < m] = (X if j == 0 else S[j - 1] * A[0])\nT = sum f < m: S[f]\noutput y[i] = T", None),
            ("S[j < m] = (X if j == 0 else S[j - 1] * S[j - 1])\noutput y[i] = S[m - 1]", None),
            ("S = sum f < m: X << (f + 1)\noutput y[i] = S", "m"),
            ("S = sum f < m: X << (2*f + 2)\noutput y[i] = S", "m"),
            ("S = (sum f < m: X << f) + (sum g < r: (X << (g + 1)) * A[0])\noutput y[i] = S", None),
            ("S = (sum f < m: X << -f) + (X << 2)\noutput y[i] = S", None),
            ("S = (sum f < m: (X << f*r) * A[0]) + (sum f < k: X << f)\noutput y[i] = S", None),
            ("S = (sum f < m by horner: X << f*r) + (sum f < k by horner: X << f)\noutput y[i] = S", None),
            ("S = (sum f < m by doubling: X << f*r) + (sum f < k: (X << f) * A[0])\noutput y[i] = S", None),
            ("S = (X << r) + (sum f < k: (X << f) * A[0])\noutput y[i] = S", None),
            ("S = (X << n - 1) + (sum f < m: (X << -f) * A[0])\noutput y[i] = S", None),
            ("S = sum f < m: X >> (f + 1)\noutput y[i] = S", None),
            ("S = sum f < m: X << (f - 1)\noutput y[i] = S", None),
            ("S = sum f < m: X << (1 - f)\noutput y[i] = S", None),
            ("S = sum f < m: X << (m - 1 - f)\noutput y[i] = S", None),
            ("S = sum f < m: X << (f - m)\noutput y[i] = S", None),
            ("S = (sum f < m: X << f) + (sum g < r: X << (g + 1))\noutput y[i] = S", None),
            ("S = sum f < m: (X << (1 if f == 0 else f + 1))\noutput y[i] = S", None),
            ("S = sum f < m: X << (f ^ 1)\noutput y[i] = S", None),
            ("S = sum f < m: X << (m ^ 1)\noutput y[i] = S", None),
            ("S = sum f < m: X << max(f, 1)\noutput y[i] = S", None),
        ],
        lambda case: case[0],
    ),
)
def test_functions_of_integers(statements: str, rotations: str | None) -> None:
    """Sizes go through functions; what depends on a loop by one is refused, or right, at the sizes of its own and at
    others."""
    text = _complete(FUNCTIONS, statements)
    tried = [{"k": k, "m": m, "r": r} for k, m, r in (SIZES if ALL else SIZES[:4])]
    found = [formula for sizes in tried if (formula := _found(text, sizes)) is not None]
    for sizes in tried if found else []:
        counts = _counts(bind_text(text, sizes))
        for formula in found:
            said = {name: number for name, number in formula.at(sizes).items() if number is not None}
            assert said == {name: getattr(counts, name) for name in said}, (sizes, formula.sizes)
    if rotations is not None:
        assert str(found[0].counts["rotations"].expr) == rotations
