"""Small programs in which a rule has to be taken, and such where it must not be."""

from __future__ import annotations

from pathlib import Path

import pytest
from judging import tiny

from slotlang import api
from slotlang.cost.profile import find_profile
from slotlang.diagnostics import SlotError
from slotlang.optimize import search
from slotlang.optimize.optimized import Optimized, optimize_program
from slotlang.optimize.why import why
from slotlang.planning.target import Target
from slotlang.source import Source
from slotlang.syntax.formatter import format_program
from slotlang.syntax.parser import parse

BLOCKS = """program blocks(n = 64, K = 4)
input x[K*n]
weight M[n, K*n]
axes (h < n)
cipher X[c < K] = x[c*n + h]
plain  W[c < K, q < n] = M[h, c*n + (h + q) % n]
"""
DOT = """program dot(n = 64, K = 4)
input x[K*n]
weight w[1, K*n]
axes (h < n)
cipher X[c < K] = x[c*n + h]
plain  W[c < K] = w[0, c*n + h]
"""
AHEAD = """program ahead(n = 64, K = 4)
input x[K*n]
weight w[i < n, k < K*n] sparse where k % n == (i + 5) % n
axes (h < n)
cipher X[c < K] = x[c*n + h]
plain  W[c < K] = w[h, c*n + (h + 5) % n]
"""
PARTS = """program parts(n = 64, m = COUNT)
input x[4*m]
weight M[i < 4, k < 4*m] sparse where k % 4 == i
axes (h < n)
cipher X = x[h] else 0
plain  W = M[h % 4, h] else 0
T = X * W
Y = sum f < m by doubling: T << f*4
output y[h] = Y where h < 4
prove y == M @ x
"""
GATED = """program gated(n = 16)
input x[n]
weight A[n, n], B[n, n], G[i < n, j < n] sparse where i == j
axes (h < n)
cipher X = x[h]
plain  V[q < n] = A[h, (h + q) % n]
plain  U[q < n] = B[h, (h + q) % n]
plain  E = G[h, h]
Z = X * E
"""
MOVED = """program moved(n = 64)
input x[n], z[n]
weight w[n]
axes (h < n)
perm p: slot -> slot * 5 % n
perm q: slot -> slot * 3 % n
cipher X = x[h]
cipher Z = z[h]
"""
TURNED = """program turned(b = 4, n = 16)
input x[n, b]
weight A[n, n]
axes (h < n, t < b)
axes tokens (u < b, g < n)
perm p: (h, t) -> (t, h)
cipher X = x[h, t]
plain  W[q < n] = A[h, (h + q) % n]
S = sum q < n by bsgs(4): (X << q*b) * W[q]
"""
MASKED = """program masked(n = 64, k = 32)
input x[n]
weight A[i < n, j < n] sparse where j < k
axes (h < n)
cipher X = x[(h + 3) % n]
plain  E = [h < k]
plain  W[q < n] = A[h, (h + q) % n]
"""

TAKEN = {
    "giant steps after the sum over ciphertexts": (
        "nested sums",
        BLOCKS + "P[c < K] = sum q < n: (X[c] << q) * W[c, q]\nY = sum c < K: P[c]\n"
        "output y[h] = Y\nprove y == M @ x\n",
        False,
    ),
    "rotate and add after the sum over ciphertexts": (
        "nested sums",
        DOT + "D[c < K] = sum f < n by doubling: X[c] * W[c] << f\nY = sum c < K: D[c]\n"
        "output y[0] = Y where h == 0\nprove y == w @ x\n",
        False,
    ),
    "two sums as one": (
        "nested sums",
        DOT.replace("K = 4", "K = 2") + "D = sum f < n by doubling: X[0] * W[0] << f\n"
        "E = sum g < n by doubling: X[1] * W[1] << g\nY = D + E\noutput y[0] = Y where h == 0\nprove y == w @ x\n",
        False,
    ),
    "two variables": (
        "nested sums",
        DOT.replace("K = 4", "K = 1") + "T = X[0] * W[0]\nY = sum f < 8, g < n/8: T << f*(n/8) + g\n"
        "output y[0] = Y where h == 0\nprove y == w @ x\n",
        False,
    ),
    "fifteen as three times five": ("nested sums", PARTS.replace("COUNT", "15"), False),
    "a rotation behind a sum of products": (
        "distributivity",
        AHEAD + "Y = sum c < K: (X[c] << 5) * W[c]\noutput y[h] = Y\nprove y == w @ x\n",
        False,
    ),
    "a mask into the plaintexts behind it": (
        "rotations",
        GATED + "S = sum q < n by bsgs(4): (Z << q) * V[q]\nY = sum q < n by bsgs(4): (S << q) * U[q]\n"
        "output y[h] = Y\nprove y == B @ A @ G @ x\n",
        False,
    ),
    "a mask into all the plaintexts behind it": (
        "written out",
        GATED + "S = sum q < n by bsgs(4): (Z << q) * V[q]\nT = sum q < n by bsgs(4): (Z << q) * U[q]\n"
        "Y = sum q < n by bsgs(4): (S << q) * U[q]\nH = sum q < n by bsgs(4): (T << q) * V[q]\n"
        "output y[h] = Y\noutput z[h] = H\nprove y == B @ A @ G @ x\nprove z == A @ B @ G @ x\n",
        False,
    ),
    "one permutation for two": (
        "permutations",
        MOVED
        + "Y = permute(X, p) + permute(Z, p)\noutput y[h * 13 % n] = Y\nprove y == x + z\n".replace(
            "output y[h * 5 % n]", "output y[h * 13 % n]"
        ),
        False,
    ),
    "the client packs a rotation and a mask": (
        "packing",
        MASKED + "Z = (X >> 3) * E\nY = sum q < n by bsgs(8): (Z << q) * W[q]\noutput y[h] = Y\nprove y == A @ x\n",
        True,
    ),
    "the client reads what it would have permuted": (
        "packing",
        TURNED + "Y = permute(S, p)\noutput y[g, u] = Y\nprove y == A @ x\n",
        True,
    ),
    "the client reads it from under a plaintext": (
        "packing",
        MOVED + "F = permute(X - Z, p)\nY = F - w[h * 13 % n]\noutput y[h * 13 % n] = Y\nprove y == x - z - w\n",
        True,
    ),
}


LATER = ("a mask into all the plaintexts behind it", "with conditions")
"""Their rules are taken behind many others."""


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """What these programs need of a search comes early."""
    later = any(f"[{name}]" in request.node.name for name in LATER)
    monkeypatch.setattr(search, "WORK", 250_000 if later else 120_000)


def optimized(text: str, allow_packing: bool = False, target: Target = Target(), *, apart: bool = True) -> Optimized:
    """With the shipped profile; where key switches are not taken ``apart``, with its times of SEAL's operations."""
    syntax = parse(Source("small", text))
    profile = find_profile() if apart else find_profile().without_kernels
    return optimize_program(syntax, None, "time", profile, target=target, allow_packing=allow_packing)


FEWER_KEY_SWITCHES = ("fifteen as three times five",)
"""Taken where key switches cost the same each, and not where several of one ciphertext are cheap."""


ALIKE = ("rotate and add after the sum over ciphertexts", "two variables", "no leave to change what is read")
"""Slow: another way to write, or to ask for, what another one does."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in ALIKE)) for name in TAKEN])
def test_taken(name: str) -> None:
    rule, text, allow_packing = TAKEN[name]
    apart = name not in FEWER_KEY_SWITCHES
    found = optimized(text, allow_packing, apart=apart)
    assert rule in [taken for taken, _ in found.changes]
    profile = find_profile() if apart else find_profile().without_kernels
    before, after = (api.cost(p, profile=profile).predicted.evaluation for p in (found.before, found.after))
    assert after < before
    assert api.lower(api.loads(found.text)).validation.status == "proved"


NOT_TAKEN = {
    "the sum over ciphertexts is inside": (
        "nested sums",
        BLOCKS + "Y = sum q < n by bsgs(4): sum c < K: (X[c] << q) * W[c, q]\noutput y[h] = Y\nprove y == M @ x\n",
        False,
    ),
    "two sums of different lengths": (
        "nested sums",
        """program lengths(n = 64)
input x[n]
weight u[1, n], w[i < 1, k < n] sparse where k < 8
axes (h < n)
cipher X = x[h]
plain  U = u[0, h]
plain  W = w[0, h]
D = sum f < n by doubling: X * U << f
E = sum f < 8 by doubling: X * W << f
Y = D + E
output y[0] = Y where h == 0
prove y == u @ x + w @ x
""",
        False,
    ),
    "sixteen, a power of two": ("nested sums", PARTS.replace("COUNT", "16"), False),
    "rotations of unequal amounts": (
        "distributivity",
        AHEAD.replace("(i + 5)", "(i + k // n)").replace("(h + 5)", "(h + c)")
        + "Y = sum c < K: (X[c] << c) * W[c]\noutput y[h] = Y\nprove y == w @ x\n",
        False,
    ),
    "a masked vector that is a result too": (
        "rotations",
        GATED + "S = sum q < n by bsgs(4): (Z << q) * V[q]\noutput z[h] = Z\noutput y[h] = S\n"
        "prove y == A @ G @ x\nprove z == G @ x\n",
        False,
    ),
    "two permutations": (
        "permutations",
        MOVED.replace(
            "w[n]", "U[i < n, j < n] sparse where j == i * 13 % n, V[i < n, j < n] sparse where j == i * 43 % n"
        )
        + "Y = permute(X, p) * U[h, h * 13 % n] + permute(Z, q) * V[h, h * 43 % n]\n"
        "output y[h] = Y\nprove y == U @ x + V @ z\n",
        False,
    ),
    "no leave to change the packing": ("packing", TAKEN["the client packs a rotation and a mask"][1], False),
    "no leave to change what is read": ("packing", TAKEN["the client reads what it would have permuted"][1], False),
    "more ciphertexts would go up": (
        "packing",
        MASKED.replace("sparse where j < k", "").replace("\nweight", "\nweight u[1, n],")
        + "plain  U = u[0, (h + 3) % n]\nZ = X >> 3\nY = sum q < n by bsgs(8): (Z << q) * W[q]\n"
        "D = X * U\nS = sum f < n by doubling: D << f\noutput y[h] = Y\noutput s[0] = S where h == 0\n"
        "prove y == A @ x\nprove s == u @ x\n",
        True,
    ),
}


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in ALIKE)) for name in NOT_TAKEN])
def test_not_taken(name: str) -> None:
    rule, text, allow_packing = NOT_TAKEN[name]
    found = optimized(text, allow_packing)
    assert rule not in [taken for taken, _ in found.changes]
    assert found.report.proved


PAIRED = {
    "by digits": "joint",
    "by digits, a copy for every rank": "lanes",
    "in plaintexts of plaintexts": "gated_ranks",
    "by parts of their number": "sparse_ranks",
    "with conditions": "rank_contiguous_fixed",
    "by loops": "wide_rank",
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, id=how, marks=[pytest.mark.slow] * (name in ("lanes", "rank_contiguous_fixed")))
        for how, name in PAIRED.items()
    ],
)
def test_ranks_paired(name: str, root: Path) -> None:
    """At small sizes with at least four ranks, every way to number them."""
    sizes = {"d": 32, "r": 8, "batch": 2, "slots": 64, "active": 4, "groups": 2, "down": 2, "up": 2}
    sizes |= {"r": 64, "d": 32} if name == "wide_rank" else {}
    path = root / "programs" / "seed" / f"{name}.slot"
    header = api.load(path).parameters
    found = api.optimize(path, {n: v for n, v in sizes.items() if n in header}, profile=find_profile())
    assert "ranks paired" in [rule for rule, _ in found.changes]
    counts = [api.cost(program).counts for program in (found.before, found.after)]
    assert counts[1].plain_products < counts[0].plain_products
    assert counts[1].rotations < counts[0].rotations
    assert counts[1].ciphertexts_in == counts[0].ciphertexts_in
    assert found.report.proved


def test_long_lines_are_broken(root: Path) -> None:
    path = root / "programs" / "sparse_heads.slot"
    found = api.optimize(path, tiny(path)[1], profile=find_profile())
    assert "ranks paired" in [rule for rule, _ in found.changes]
    assert max(map(len, found.text.splitlines())) <= 120
    assert format_program(parse(Source("again", found.text))) == found.text


@pytest.mark.parametrize("name", [pytest.param("two_tokens", marks=pytest.mark.slow), "squat_tall", "lora_xs"])
def test_ranks_not_paired(name: str, root: Path) -> None:
    """Where slots are complex already, and where the client encrypts what every rank is multiplied with."""
    path = root / "programs" / f"{name}.slot"
    found = api.optimize(path, tiny(path)[1], profile=find_profile())
    assert "ranks paired" not in [rule for rule, _ in found.changes]


def test_precision_chooses_parameters_for_every_program() -> None:
    """The same program as before and after, each with the parameters that its precision takes."""
    text = TAKEN["a mask into the plaintexts behind it"][1]
    found = optimized(text, target=Target(precision=1e-3))
    before, after = (api.cost(program, target=Target(precision=1e-3)) for program in (found.before, found.after))
    assert after.parameters != before.parameters
    assert after.predicted.evaluation < before.predicted.evaluation
    assert max(before.predicted_error, after.predicted_error) <= 1e-3
    assert found.search.best.score[0] == after.predicted.evaluation


@pytest.mark.parametrize(
    ("name", "work", "halved"),
    [
        ("one permutation for two", 40_000, (0, 1)),
        pytest.param("one permutation for two", 40_000, (0, 1, 99), marks=pytest.mark.slow),
        pytest.param("a mask into the plaintexts behind it", 20_000, (0, 1, 99), marks=pytest.mark.slow),
    ],
)
def test_keys_are_bounded(name: str, work: int, halved: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs are compared with keys that fit, where steps without one take several rotations."""
    monkeypatch.setattr("slotlang.optimize.search.WORK", work)
    text = TAKEN[name][1]
    syntax, profile = parse(Source("test", text)), find_profile()
    free = api.cost(api.loads(text), target=Target(precision=1e-3), profile=profile)
    for bound in (free.galois_key_bytes >> times for times in halved):
        target = Target(precision=1e-3, max_key_bytes=bound)
        try:
            before = api.cost(api.loads(text), target=target, profile=profile)
        except SlotError as problem:
            with pytest.raises(SlotError) as caught:
                optimize_program(syntax, None, "time", profile, target=target)
            assert [d.message for d in caught.value.diagnostics] == [d.message for d in problem.diagnostics]
            continue
        found = optimize_program(syntax, None, "time", profile, target=target)
        after = api.cost(found.after, target=target, profile=profile)
        assert max(before.galois_key_bytes, after.galois_key_bytes) <= bound
        assert found.search.best.score[0] == pytest.approx(after.predicted.evaluation)
        assert after.predicted.evaluation <= before.predicted.evaluation


def test_precision_out_of_reach() -> None:
    with pytest.raises(SlotError) as caught:
        optimized(PARTS.replace("COUNT", "15"), target=Target(precision=1e-20))
    assert caught.value.diagnostics[0].code == "SL451"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            PARTS.replace("COUNT", "16"),
            "4 rotations, the proved bound; 6 rewrites: ",
        ),
        (MOVED + "Y = X - w[h]\noutput y[h] = Y\nprove y == x - w\n", "no rewrite applies"),
        (MOVED + "Y = conj conj X\nZ2 = Y - w[h]\noutput y[h] = Z2\nprove y == x - w\n", None),
    ],
)
def test_why_nothing_is_cheaper(text: str, reason: str | None) -> None:
    # the proved bound is one of rotations, each as dear as the others
    found = optimized(text, apart=False)
    assert bool(found.changes) is (reason is None)
    if reason is not None:
        assert why(found.search, api.cost(found.before).bounds).startswith(reason)
