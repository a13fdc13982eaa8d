"""The fold of more diagonals than rows: where it is taken, what it makes, where it is not taken and why."""

from __future__ import annotations

from math import ceil

import oracle
import pytest
from repository import PROGRAMS

from slotlang import api
from slotlang.cost.profile import find_profile
from slotlang.meaning.bind import bind
from slotlang.optimize import search
from slotlang.optimize.blocks import Blocks
from slotlang.optimize.folding import why_not_folded
from slotlang.optimize.optimized import Optimized, optimize_program
from slotlang.optimize.rewriting import Subject, integer
from slotlang.schedule.doubling import turns
from slotlang.source import Source
from slotlang.syntax import tree
from slotlang.syntax.parser import parse

FLAT = """program flat(d = {d}, m = {m}, n = {n})
input  x[d]
weight M[m, d]
axes (h < n)
{body}
output y[h] = Y where h < m
prove  y == M @ x
"""
SCHEDULES = 'import "std/schedules.slot" as s\n'
PADDED = "cipher X = x[h] else 0\nplain D[q < n] = M[h, (h + q) % n] else 0\n"
AROUND = "cipher X = x[h % d]\nplain D[q < d] = M[h, (h + q) % d] else 0\nY = sum q < d: (X << q) * D[q]"


def flat(d: int, m: int, n: int, body: str) -> str:
    return FLAT.format(d=d, m=m, n=n, body=body)


SUM = "Y = sum q < n: (X << q) * D[q]"
TOKENS = """program tokens(d = 14, m = 4, n = 16, b = 4)
input  x[d, b]
weight M[m, d]
axes (h < n, t < b)
cipher X = x[h, t] else 0
plain  D[q < n] = M[h, (h + q) % n] else 0
Y = sum q < n: (X << q*b) * D[q]
output y[h, t] = Y where h < m
prove  y == M @ x
"""
COPIES = """program copies(d = 14, m = 4, n = 16, slots = 64)
input  x[d]
weight M[m, d]
axes (h < slots)
cipher X = x[h % n] else 0
plain  D[q < n] = M[h, (h + q) % n] else 0
Y = sum q < n: (X << q) * D[q]
output y[h] = Y where h < m
prove  y == M @ x
"""
TWO_HALVES = """program halves(n = 16, m = 4)
input  x[n]
weight M[m, n], N[m, n]
axes (c < 2, h < n)
cipher X = x[h]
plain  D[q < n] = [c == 0] * (M[h, (h + q) % n] else 0) + [c == 1] * (N[h, (h + q) % n] else 0)
Y = sum q < n: (X << q) * D[q]
output y[h] = Y where c == 0 and h < m
output z[h] = Y where c == 1 and h < m
prove  y == M @ x
prove  z == N @ x
"""
CIPHERTEXTS = """program ciphertexts(K = 3, n = 16, m = 4)
input  x[K*n]
weight M[m, K*n]
axes (h < n)
cipher X[c < K] = x[c*n + h]
plain  D[c < K, q < n] = M[h, c*n + (h + q) % n] else 0
{body}
output y[h] = Y where h < m
prove  y == M @ x
"""
PARTS = """program parts(n = 32, m = 4, K = 3)
input  x[n]
weight M[K*m, n], bias[K*m]
axes (h < n)
cipher X = x[h]
plain  D[c < K, q < n] = [h < m] * (M[c*m + h, (h + q) % n] else 0)
plain  b[c < K] = [h < m] * (bias[c*m + h] else 0)
Y[c < K] = (sum q < n: (X << q) * D[c, q]) + b[c]
output y[c*m + h] = Y[c] where h < m
prove  y == M @ x + bias
"""
REPEATED = """program repeated(d = 16, r = 3)
input  x[d - 2]
weight B[r, d - 2]
axes (h < d)
cipher X = x[h] else 0
plain  D[q < d] = B[h, (h + q) % d] else 0
T = sum q < d by bsgs(4): (X << q) * D[q]
Y = T * T
output y[h] = Y where h < r
prove  y == (B @ x) * (B @ x)
"""


def rotations(rows: int, blocks: int) -> int:
    """The best baby and giant steps for the rows, then the fold."""
    steps = min(b + ceil(rows / b) - 2 for b in range(1, rows + 1))
    return steps + len(turns(blocks))


FOLDED = {
    "8 rows in 64": (flat(60, 8, 64, PADDED + SUM), 8, 8),
    "6 rows in 64, a number that does not divide": (flat(60, 6, 64, PADDED + SUM), 8, 8),
    "1 row": (flat(64, 1, 64, PADDED + SUM), 1, 64),
    "48 diagonals, 6 rows": (flat(48, 6, 64, AROUND), 6, 8),
    "49 diagonals, 7 rows": (flat(49, 7, 64, AROUND), 7, 7),
    "45 diagonals, 10 rows: the last block is half empty": (flat(45, 10, 64, AROUND), 10, 5),
    "baby and giant steps": (flat(60, 8, 64, PADDED + SUM.replace(": (", " by bsgs(8): (")), 8, 8),
    "by Horner's rule": (flat(60, 8, 64, PADDED + "Y = sum q < n by horner: X * (D[q] >> q) << q"), 8, 8),
    "products in a family": (flat(60, 8, 64, PADDED + "P[q < n] = (X << q) * D[q]\nY = sum q < n: P[q]"), 8, 8),
    "plaintexts without a family": (
        flat(60, 8, 64, "cipher X = x[h] else 0\nY = sum q < n: (X << q) * (M[h, (h + q) % n] else 0)"),
        8,
        8,
    ),
    "plaintexts rotated ahead": (
        flat(
            60,
            8,
            64,
            "cipher X = x[h] else 0\nplain D[q < n] = M[(h - q) % n, h] else 0\nP[q < n] = X * D[q]\n"
            "Y = sum q < n by horner: P[q] << q",
        ),
        8,
        8,
    ),
    "to the right": (flat(60, 8, 64, (PADDED + SUM).replace("h + q", "h - q").replace("X <<", "X >>")), 8, 8),
    "the library's diagonals": (SCHEDULES + flat(60, 8, 64, PADDED + "Y = s.diagonal_product(X, D, n)"), 8, 8),
    "the library's baby and giant steps": (
        SCHEDULES + flat(60, 8, 64, PADDED + "Y = s.bsgs_product(X, D, n, 8)"),
        8,
        8,
    ),
    "tokens side by side": (TOKENS, 4, 4),
    "copies of the input": (COPIES, 4, 4),
    "halves that hold different results": (TWO_HALVES, 4, 4),
    "several ciphertexts, one sum": (
        CIPHERTEXTS.format(body="Y = sum q < n, c < K: (X[c] << q) * D[c, q]"),
        4,
        4,
    ),
    "several ciphertexts, sums of sums": (
        CIPHERTEXTS.format(body="P[c < K] = sum q < n: (X[c] << q) * D[c, q]\nY = sum c < K: P[c]"),
        4,
        4,
    ),
    "before a square": (REPEATED, 4, 4),
    "several ciphertexts of twice the size": (
        CIPHERTEXTS.format(body="Y = sum q < n, c < K: (X[c] << q) * D[c, q]").replace("n = 16", "n = 32"),
        4,
        8,
    ),
    "before a square, twice the size": (REPEATED.replace("d = 16", "d = 32"), 4, 8),
}
ALIKE = {
    "plaintexts rotated ahead",
    "49 diagonals, 7 rows",
    "plaintexts without a family",
    "products in a family",
    "copies of the input",
    "1 row",
    "6 rows in 64, a number that does not divide",
    "48 diagonals, 6 rows",
    "45 diagonals, 10 rows: the last block is half empty",
    "to the right",
    "the library's diagonals",
    "the library's baby and giant steps",
    "several ciphertexts, sums of sums",
    "several ciphertexts of twice the size",
    "before a square, twice the size",
}
"""Other numbers, and other ways to write what another one writes: slow."""


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """What these programs need of a search comes early."""
    monkeypatch.setattr(search, "WORK", 150_000)


def optimized(text: str) -> Optimized:
    return optimize_program(parse(Source("small", text)), None, "rotations", find_profile())


def right(text: str) -> bool:
    """By brute force, at the sizes of the text."""
    return oracle.judge(parse(Source("again", text)), {}).correct


def rules(found: Optimized) -> list[str]:
    return [rule for rule, _ in found.changes]


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in ALIKE)) for name in FOLDED])
def test_folded(name: str) -> None:
    text, rows, blocks = FOLDED[name]
    found = optimized(text)
    assert "fold" in rules(found)
    counts = api.cost(found.after).counts
    # a sum over ciphertexts shares its giant steps, and not its baby steps
    assert counts.rotations <= rotations(rows, blocks) + (name.startswith("several"))
    assert found.report.proved and right(found.text)
    assert found.why_not["fold"] is None


def test_every_member_is_folded() -> None:
    """Members share the rotations of x, so no giant steps: 3 rotations, and 3 for each of 3 folds."""
    found = optimized(PARTS)
    assert api.cost(found.after).counts.rotations == 3 + 3 * 3
    assert right(found.text)


@pytest.mark.parametrize(
    ("d", "m", "n"), [(60, 8, 64), pytest.param(100, 16, 128, marks=pytest.mark.slow), (50, 8, 64)]
)
def test_halevi_and_shoup_as_gazelle(d: int, m: int, n: int) -> None:
    """The diagonals become those that the hybrid is written with by hand, and cost as much."""
    sizes = {"d": d, "m": m, "n": n, "steps": 4}
    wanted = api.cost(api.load(PROGRAMS / "flat_hybrid.slot", sizes)).predicted.evaluation
    found = api.optimize(PROGRAMS / "flat_diagonals.slot", sizes)
    assert "plain  D[q < m] = M[h % m, (h + q) % n] else 0" in found.text.splitlines()
    assert api.cost(found.after).predicted.evaluation < 1.1 * wanted


@pytest.mark.slow
@pytest.mark.parametrize("how", [" by bsgs(steps)", "", " by horner"])
def test_784_to_128(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    wanted = api.cost(api.load(PROGRAMS / "flat_hybrid.slot")).predicted.evaluation
    text = (PROGRAMS / "flat_diagonals.slot").read_text(encoding="utf-8").replace(" by bsgs(steps)", how)
    if how == " by horner":
        text = text.replace("(X << q) * D[q]", "X * (D[q] >> q) << q")
    found = optimize_program(parse(Source("flat", text)), None, "time", find_profile())
    assert api.cost(found.after).predicted.evaluation < 1.1 * wanted


SPREAD = """program spread(n = 32, m = 4)
input  x[n]
weight M[m, n]
axes (h < n)
cipher X = x[h]
plain  D[q < n] = [h % 8 == 0] * M[h // 8, (h + q) % n]
Y = sum q < n by bsgs(4): (X << q) * D[q]
output y[h // 8] = Y where h % 8 == 0
prove  y == M @ x
"""
KEYS = """program keys(n = 32, m = 4)
input  x[n], k[m, n]
axes (h < n)
cipher X = x[h]
cipher K[q < n] = k[h, (h + q) % n] else 0
Y = sum q < n: (X << q) * K[q]
output y[h] = Y where h < m
prove  y == k @ x
"""
NOT_FOLDED = {
    "as many rows as diagonals": (
        flat(64, 64, 64, PADDED + SUM.replace(": (", " by bsgs(8): (")),
        "the sum over q in Y has 64 diagonals, and fewer do not hold 64 results",
    ),
    "results in other slots": (SPREAD, "refuted"),
    "diagonals that the client encrypts": (
        KEYS,
        "a ciphertext in the sum is not rotated by the sum's index: the sum over q in Y",
    ),
    "no diagonals": (
        flat(64, 1, 64, "cipher X = x[h]\nT = X * M[0, h]\nY = sum q < n by doubling: T << q"),
        "no plaintext depends on the index: the sum over q in Y",
    ),
    "no sum": (
        flat(4, 4, 4, "cipher X = x[0]\nY = X").replace("prove  y == M @ x", "prove  y[i < m] == x[0]"),
        "no sum rotates ciphertexts by its index times a step",
    ),
}


@pytest.mark.parametrize("name", NOT_FOLDED)
def test_not_folded(name: str) -> None:
    text, reason = NOT_FOLDED[name]
    found = optimized(text)
    assert "fold" not in rules(found)
    assert reason in (found.why_not["fold"] or "")
    assert found.report.proved


def test_permuted_plaintexts_stay() -> None:
    body = PADDED + "Y = sum q < n: (X << q) * permute(D[q], p)"
    text = flat(16, 2, 16, body).replace("axes (h < n)", "axes (h < n)\nperm p: slot -> slot * 3 % n")
    program = parse(Source("small", text))
    bound = bind(program)
    reason = why_not_folded(Subject(program, bound.sizes, bound.slots))
    assert reason == "a plaintext is permuted: the sum over q in Y"


def test_claims_about_all_slots_go_and_others_stay() -> None:
    for where, stays in (("", False), (" where h < m", True)):
        claim = f"claim Y == sum k < n: (X << k) * (M[h, (h + k) % n] else 0){where}"
        found = optimized(flat(60, 8, 64, PADDED + f"{SUM}\n{claim}"))
        assert "fold" in rules(found)
        assert (claim in found.text) is stays


@pytest.mark.parametrize("axes", ["h < 32", "h < 8, t < 4", "c < 2, h < 8, t < 2"])
@pytest.mark.parametrize(("rows", "step", "count"), [(2, 4, 4), (3, 2, 4), (4, 4, 2), (5, 1, 3), (2, 1, 16)])
@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize(
    "text", ["h + q", "(h + q) % 8", "h*3 - q", "(q - h) % 8", "(h - q) % 8", "slot // 8", "slot + 4*q", "h % 4 - q*2"]
)
def test_blocks(axes: str, rows: int, step: int, count: int, right: bool, text: str) -> None:
    """Each slot says what the slot of equal place in the first block says at the block's own index."""
    source = f"program blocks(e = 1)\ninput x[32]\naxes ({axes})\nlet a = {text}\n"
    program = parse(Source("blocks", source))
    expression = next(s.value for s in program.statements if isinstance(s, tree.Let))
    if right and count * rows * step != 32:
        return
    digits = [b for s in program.statements if isinstance(s, tree.Axes) for b in s.binders]
    extents = [integer(b.extent, {}) or 0 for b in digits]

    def number(value: int) -> tree.Number:
        found = expression_of(str(value))
        assert isinstance(found, tree.Number)
        return found

    def at(e: tree.Expr, slot: int, index: int) -> int | None:
        env = {"slot": slot, "q": index}
        for binder, extent in zip(reversed(digits), reversed(extents), strict=True):
            env[binder.name] = slot % extent
            slot //= extent
        return integer(e, env)

    blocks = Blocks(Subject(program, {}, 32), number(rows), number(step), rows, step, count, right, alike=False)
    new = blocks.at(expression, "q")
    unit = rows * step
    for slot in range(32):
        block = slot // unit % count
        place = slot - block * unit
        for s in range(rows):
            index = (-block % count if right else block) * rows + s
            assert at(new, slot, s) == at(expression, place, index)


def expression_of(text: str) -> tree.Expr:
    let = parse(Source("e", f"program e\nlet a = {text}\n")).statements[1]
    assert isinstance(let, tree.Let)
    return let.value
