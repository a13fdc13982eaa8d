"""What the emitted module executes is what was counted, and what it computes is what numpy computes.

Every program here is proved, lowered, and run encrypted at 128-bit security.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from slotlang.api import cost, loads, lower
from slotlang.lowering.parameters import Parameters
from slotlang.proof.goals import goals
from slotlang.proof.random import test_random as at_random_points
from slotlang.run.runner import execute, random_data

EXAMPLE = (Path(__file__).parents[2] / "programs" / "rank_complex.slot").read_text()


def head(n: int = 16) -> str:
    return f"program p(n = {n})\naxes (s < n)\ninput x[n]\nweight A[n, n], D[i < n, j < n] sparse where i == j\n"


DIAGONALS = head() + "cipher X = x[s]\n"
MATVEC = "output y[s] = Y\nprove y == A @ x\n"
DIAGONAL = "output y[s] = Y\nprove y == D @ x\n"

PROGRAMS = {
    "as written": DIAGONALS + "Y = sum k < n: (X << k) * A[s, (s + k) % n]\n" + MATVEC,
    "tree": DIAGONALS + "Y = sum k < n by tree: (X << k) * A[s, (s + k) % n]\n" + MATVEC,
    "horner": DIAGONALS + "Y = sum k < n by horner: X * A[(s - k) % n, s] << k\n" + MATVEC,
    "bsgs, dividing": DIAGONALS + "Y = sum k < n by bsgs(4): (X << k) * A[s, (s + k) % n]\n" + MATVEC,
    "bsgs, with a rest": DIAGONALS + "Y = sum k < n by bsgs(5): (X << k) * A[s, (s + k) % n]\n" + MATVEC,
    "bsgs over several ciphertexts": (
        "program p(n = 16, m = 48)\naxes (s < n)\ninput x[m]\nweight A[n, m]\ncipher X[c < m/n] = x[c*n + s]\n"
        "Y = sum k < n by bsgs(4): sum c < m/n: (X[c] << k) * A[s, c*n + (s + k) % n]\n" + MATVEC
    ),
    "equal rotations in two statements": (
        DIAGONALS + "U = sum k < n/2: (X << 2*k) * A[s, (s + 2*k) % n]\n"
        "V = sum k < n/2: (X << 2*k + 2) * [k >= 0] * A[s, (s + 2*k + 1) % n] << -1\n"
        "Y = U + sum k < n/2: (X << 2*k + 1) * A[s, (s + 2*k + 1) % n]\n" + MATVEC
    ),
    "shifts that coincide": (
        DIAGONALS + "Y = sum k < n: (X << (k % 4)) * ([k < 4] * A[s, (s + k) % n])\n"
        "  + sum k < n: (X << k) * ([k >= 4] * A[s, (s + k) % n])\n"
    )
    .replace("\n  + sum", " + (sum")
    .replace("[k >= 4] * A[s, (s + k) % n])\n", "[k >= 4] * A[s, (s + k) % n]))\n")
    .replace(
        "Y = sum k < n: (X << (k % 4)) * ([k < 4] * A[s, (s + k) % n])",
        "Y = (sum k < n: (X << (k % 4)) * ([k < 4] * A[s, (s + k) % n]))",
    )
    + MATVEC,
    "minus and negation": DIAGONALS + "Y = -(X * D[s, s]) + X - X + 2 * X * D[s, s]\n" + DIAGONAL,
    "depths differ": DIAGONALS + "Y = X * D[s, s] + X - (X * [s < 4] + X * [s >= 4])\n" + DIAGONAL,
    "a plaintext is added": DIAGONALS
    + "Y = (X + D[s, s]) * D[s, s] - X * 0 - (X * D[s, s] * 0 + D[s, s] * D[s, s])\n"
    + DIAGONAL,
    "a product of ciphertexts": (
        DIAGONALS + "U = (X + [s < n]) * (X * D[s, s])\nY = U - (X * X) * D[s, s]\n" + DIAGONAL
    ),
    "conjugation": (DIAGONALS + "Z = X * (A[s, s] + 1i * D[s, s])\nY = 1/2 * ((conj Z - Z) * 1i)\n" + DIAGONAL),
    "a permutation and back": (
        DIAGONALS
        + "perm p: slot -> (5*slot + 3) % n\nY = permute(permute(X, p) * permute(D[s, s], p), inverse(p))\n"
        + DIAGONAL
    ),
    "a permutation by cycles": (
        DIAGONALS
        + "perm p: cycles (0, 3, 1), (2, 7)\nZ = permute(X, p)\nY = permute(Z, inverse(p)) * D[s, s]\n"
        + DIAGONAL
    ),
}
for count in range(2, 14):
    PROGRAMS[f"doubling, {count}"] = (
        f"program p(n = 32, m = {count})\naxes (s < n)\ninput x[n]\nweight w[1, n]\n"
        "cipher X = x[s]\nY = sum f < m by doubling: X * w[0, s] * [s < m] << f\n"
        "claim Y == (sum f < m: w[0, f] * x[f]) where s == 0\n"
        "plain R = [s < m]\nU = sum f < n/2 by tree: X * ([s >= m] * w[0, s]) << 2*f\n"
        "V = U + (U << 1)\nZ = Y + V\noutput y[s] = Z where s == 0\nprove y == w @ x\n"
    )


def run(text, parameters=None, sizes=None, seed=1):
    program = loads(text, sizes)
    made = lower(program, parameters)
    assert made.report.proved
    outcomes = at_random_points(made.plan.graph, goals(program))
    assert {o.status for o in outcomes} == {"tested"}
    inputs, weights = random_data(program, seed)
    return made, execute(made.text, made.plan.counts.executed(), inputs, weights)


@pytest.mark.parametrize("name", PROGRAMS)
def test_counts_and_result(name):
    made, report = run(PROGRAMS[name])
    assert report.executed == made.plan.counts.executed()
    assert report.counts_match
    assert report.relative_error < 1e-5


@pytest.mark.parametrize(
    "parameters",
    [
        Parameters(8192, (60, 60, 60), 36, False),
        Parameters(8192, (60, 40, 40, 60), 40, True),
        Parameters(16384, (60, 40, 40, 60), 40, True),
        Parameters(16384, (60, 60, 60, 60, 60), 45, False),
    ],
    ids=lambda p: p.text(),
)
@pytest.mark.parametrize("sizes", [{"d": 64, "r": 8, "batch": 2, "slots": 32}, {"d": 1024, "r": 8}])
def test_the_example_under_other_parameters(parameters, sizes):
    made, report = run(EXAMPLE, parameters, sizes)
    assert report.executed == made.plan.counts.executed()
    assert report.relative_error < 1e-5
    if parameters.rescale:
        assert report.executed["rescales"] > 0


def test_the_example_at_its_real_sizes():
    made, report = run(EXAMPLE)
    counts = made.plan.counts
    assert (counts.rotations, counts.key_switches, counts.galois_keys, counts.plain_products) == (20, 20, 7, 128)
    assert report.executed == {"rotations": 20, "plain_products": 128, "additions": 125}
    assert report.relative_error < 1e-6


def test_8192_slots_need_a_larger_ring():
    made, report = run(EXAMPLE, None, {"d": 2048, "r": 4, "slots": 8192})
    assert made.plan.parameters.degree == 16384
    assert report.counts_match and report.relative_error < 1e-6


def test_56_shifts_written_are_7_rotations():
    program = loads(EXAMPLE)
    graph = lower(program).plan.graph
    assert program.sizes["K"] * (program.sizes["R"] - 1) == 56
    assert (
        sum(
            1
            for n, family in zip(graph.nodes, graph.statement, strict=True)
            if n.kind == "rotate" and family not in ("T", "S")
        )
        == 7
    )


def test_a_mask_next_to_a_weight_costs_no_product():
    masked = DIAGONALS + "Y = [s < n] * (X * D[s, s])\n" + DIAGONAL
    plain = DIAGONALS + "Y = X * D[s, s]\n" + DIAGONAL
    assert cost(loads(masked)).counts == cost(loads(plain)).counts


def test_a_permutations_masks_merge_into_the_weight_after_it():
    start = DIAGONALS + "perm p: slot -> (3*slot) % n\n".replace("3*slot", "5*slot")
    merged = cost(
        loads(start + "Y = permute(X, p) * permute(D[s, s], p)\noutput y[s] = Y where s == 0\nprove y == D @ x\n")
    ).counts
    named = cost(
        loads(
            start + "Z = permute(X, p)\nY = Z * permute(D[s, s], p)\noutput y[s] = Y where s == 0\nprove y == D @ x\n"
        )
    ).counts
    assert merged.depth == named.depth - 1
    assert merged.plain_products == named.plain_products - 1
    assert merged.rotations == named.rotations


def test_zero_weights_are_dropped_and_zero_is_a_valid_answer():
    import numpy as np

    program = loads(EXAMPLE, {"d": 64, "r": 8, "batch": 2, "slots": 32})
    made = lower(program)
    inputs, weights = random_data(program, 3)
    # a fresh LoRA: the up-projection is zero
    fresh = execute(made.text, made.plan.counts.executed(), inputs, {**weights, "A": np.zeros((64, 8))})
    assert fresh.max_error == 0 and fresh.passed
    assert fresh.executed["plain_products"] == made.plan.counts.plain_products // 2
    nothing = execute(made.text, made.plan.counts.executed(), inputs, {**weights, "B": np.zeros((8, 64))})
    assert nothing.executed == {} and nothing.max_error == 0
