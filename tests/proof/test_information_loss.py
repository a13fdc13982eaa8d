"""The statement that lost what a result needs: told where it is so, not told where it is not."""

from __future__ import annotations

import numpy as np
import pytest
from repository import program_text

from slotlang.api import loads
from slotlang.proof.information_loss import find_loss, rank
from slotlang.proof.size_abstraction import outline

RANKS = program_text("rank_complex")
P = "P[q < R] = sum c < K: X[c] * W[q, c]"
T = "T = sum q < R by horner: P[q] << q*batch"


@pytest.mark.parametrize(
    ("right", "wrong", "statement"),
    [
        (T, "T = sum q < R: P[q]", "T = sum q < R: P[q]"),
        (P, P.replace("c < K:", "c < K - 1:"), P.replace("c < K:", "c < K - 1:")),
        ("x[c*C + h, t]\n", "x[c*C + h, 0]\n", "cipher X[c < K] = x[c*C + h, 0]"),
        # R sums in every slot, of K = R inputs: each input can still be had from P
        ("B[(h - q) % R + R, c*C + h]", "B[(h - q) % R, c*C + h]", T),
    ],
)
def test_the_statement_is_named(right, wrong, statement):
    loss = find_loss(loads(RANKS.replace(right, wrong)))
    assert loss is not None
    assert loss.statement == statement
    assert loss.results == ("y",)
    assert loss.left < loss.needed


def test_the_statement_depends_on_how_sizes_compare():
    """Of K = 2*R inputs in every slot, R sums are too few."""
    wrong = RANKS.replace("B[(h - q) % R + R, c*C + h]", "B[(h - q) % R, c*C + h]")
    loss = find_loss(loads(wrong, {"d": 8192}))
    assert loss is not None
    assert loss.statement == P


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("- 1i * A", "+ 1i * A"),
        ("re Y[c]", "im Y[c]"),
        ("V[q < R, c < K] = scale * (", "V[q < R, c < K] = 2 * scale * ("),
        ("(S << q*batch) * V", "(S >> q*batch) * V"),
    ],
)
def test_nothing_is_said_where_a_later_statement_could_still_make_it_right(right, wrong):
    """The sums S are right, so that whatever is wrong comes after them; and only Y, the last, is made of them."""
    loss = find_loss(loads(RANKS.replace(right, wrong)))
    assert loss is None or loss.before == ("S",)


def test_a_right_program_has_no_loss():
    assert find_loss(loads(RANKS, {"d": 32, "r": 4, "batch": 2, "slots": 16})) is None


SMALL = """program p(n = 4)
input x[n], z[n]
axes (h < n)
cipher X = x[h]
cipher Z = z[h]
Y = BODY
output y[h] = Y
prove y == x + 2 * z
"""


@pytest.mark.parametrize(
    ("body", "left", "mixed"),
    [
        ("X + Z", 0, ("x[0]", "z[0]")),
        ("X * [h < 2] + 2 * Z * [h < 2]", 2, ("x[2]",)),
        ("X + 1i * Z", None, ()),
        ("X + 2 * Z", None, ()),
        # the sum over all slots is right: the sum of x and twice that of z
        ("X + 2 * (Z << 1)", 1, ("x[3]", "z[0]")),
    ],
)
def test_counts_and_witnesses(body, left, mixed):
    loss = find_loss(loads(SMALL.replace("BODY", body)))
    if left is None:
        assert loss is None
        return
    assert loss is not None
    assert (loss.needed, loss.left, loss.mixed) == (4, left, mixed)
    assert (loss.before, loss.after) == (("X", "Z"), ("Y",))


def test_products_of_ciphertexts_are_left_alone():
    assert find_loss(loads(SMALL.replace("BODY", "X * Z").replace("x + 2 * z", "x"))) is None


def test_rank_is_that_of_the_factors():
    rng = np.random.default_rng(1)
    p = 2147483629
    a, b = (rng.integers(0, 1 << 12, shape, dtype=np.uint64) for shape in ((9, 4), (4, 7)))
    assert rank(a @ b % np.uint64(p)) == 4
    assert rank(np.zeros((3, 5), np.uint64)) == 0
    assert rank(np.zeros((0, 5), np.uint64)) == 0


BLOCKS = """program blocks(n = 512, slots = 2048)
let C = slots / n
input  x[n], z[n]
weight M[n, n]
axes (s < C, h < n)
cipher X = x[h] * [s == 0] + z[h] * [s == 1]
plain  W[q < n] = M[h, (h + q) % n]
Y = sum q < n by bsgs(16): (X << q) * W[q]
output u[h] = Y where s == 0
output v[h] = Y where s == 1
prove  u == M @ x
prove  v == M @ z
"""


def test_smaller_sizes_keep_every_block():
    """Halved alone, the slots would hold one block, and x where there are x and z."""
    assert find_loss(loads(BLOCKS)) is None
    loss = find_loss(loads(BLOCKS.replace("z[h] * [s == 1]", "x[h] * [s == 1]")))
    assert loss is not None
    assert loss.results == ("v",)
    assert loss.sizes["slots"] >= 3 * loss.sizes["n"]


def test_smaller_sizes_keep_every_loop():
    """Of slots that are F apart, with F = C / K above 1, sums have to be added up before ranks are picked from them."""
    lazy = program_text("seed/lazy")
    loss = find_loss(loads(lazy))
    assert loss is not None
    assert loss.statement.startswith("S = ")
    sizes = loss.sizes
    positions = sizes["slots"] // sizes["batch"]
    assert positions // (sizes["d"] // positions) > 2


def test_outlines_tell_programs_apart():
    def at(n: int, slots: int):
        return outline(loads(BLOCKS, {"n": n, "slots": slots}))

    assert at(512, 2048) == at(64, 256)
    assert at(512, 2048) != at(64, 64)
    turning = SMALL.replace("BODY", "X + Z << 2").replace("n = 4", "n = 4, slots = 4")
    assert outline(loads(turning, {"n": 8, "slots": 8})) != outline(loads(turning, {"n": 2, "slots": 2}))
