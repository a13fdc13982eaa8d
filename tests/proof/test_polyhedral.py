"""The polyhedral method: what it proves, what it refutes and with which counterexample."""

from __future__ import annotations

import re

import islpy as isl
import pytest
from repository import program_text

from slotlang.api import loads
from slotlang.proof.goals import goals
from slotlang.proof.polyhedral import Polyhedral
from slotlang.proof.sets import coordinates
from slotlang.proof.verdict import Uncovered, Wrong

EXAMPLE = program_text("rank_complex")
SMALL = {"d": 32, "r": 4, "batch": 2, "slots": 16}


def verdicts(text, sizes=None):
    program = loads(text, sizes)
    prover = Polyhedral(program)
    results = [prover.prove(goal) for goal in goals(program)]
    return results + [prover.covered(name) for name in program.theorems]


def status(text, sizes=None):
    found = {r.status for r in verdicts(text, sizes)}
    return next(s for s in ("refuted", "unknown", "proved") if s in found)


@pytest.mark.parametrize("sizes", [{}, SMALL, {"d": 1 << 20}, {"d": 512, "r": 2}, {"d": 8192, "r": 128, "batch": 1}])
def test_the_example_is_proved(sizes):
    assert status(EXAMPLE, sizes) == "proved"


def test_the_example_needs_no_claim():
    assert status(re.sub(r"claim.*", "", EXAMPLE)) == "proved"


@pytest.mark.parametrize(
    ("old", "new", "goal"),
    [
        ("P[q] << q*batch", "P[q] >> q*batch", 0),
        ("P[q] << q*batch", "P[q] << (q + 1)*batch", 0),
        ("(h - q) % R, c*C + h]", "(h + q) % R, c*C + h]", 0),
        ("+ 1i * B", "- 1i * B", 0),
        ("T << f*R*batch", "T << f*batch", 0),
        ("(S << q*batch)", "(S >> q*batch)", 1),
        ("- 1i * A", "+ 1i * A", 1),
        ("scale * (A", "(A", 1),
        ("re Y[c]", "im Y[c]", 1),
        ("== scale * A @ B @ x", "== 2 * scale * A @ B @ x", 1),
        ("(h + q) % R + R]", "(h + q) % R]", 1),
        ("(S << q*batch) * V[q, c]", "(conj S << q*batch) * V[q, c]", 1),
    ],
)
def test_an_edit_is_refuted_where_it_is_wrong(old, new, goal):
    assert EXAMPLE.count(old) == 1
    results = verdicts(EXAMPLE.replace(old, new), {"d": 64, "r": 8, "batch": 2, "slots": 32})
    assert [r.status for r in results[: goal + 1]] == ["proved"] * goal + ["refuted"]
    failure = results[goal].failure
    assert isinstance(failure, Wrong)
    assert failure.holds != failure.should


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("T << f*R*batch", "T >> f*R*batch"),  # a full turn in equal steps, either way round
        ("sum q < R by horner", "sum q < R by tree"),
        ("(h - q) % R, c*C", "(h - q + R) % R, c*C"),
    ],
)
def test_an_edit_that_keeps_the_meaning_is_proved(old, new):
    assert old in EXAMPLE
    assert status(EXAMPLE.replace(old, new)) == "proved"


def test_an_element_that_no_slot_carries():
    results = verdicts(EXAMPLE.replace("y[c*C + h, t] =", "y[c*C + h + 1, t] ="), SMALL)
    failure = results[-1].failure
    assert isinstance(failure, Uncovered)
    assert failure.element[0] == 0
    assert failure.carriers == ()


def test_an_element_that_two_slots_carry():
    results = verdicts(EXAMPLE.replace("y[c*C + h, t] =", "y[c*C + h, t // 2] ="), SMALL)
    failure = results[-1].failure
    assert isinstance(failure, Uncovered)
    slots = [slot for _, _, slot in failure.carriers]
    assert len(slots) == 2 and slots[0] // 2 == slots[1] // 2 and slots[0] != slots[1]


def test_two_output_lines_may_not_overlap():
    text = EXAMPLE + "output y[c*C + h, t] = re Y[c] where h < 1 and t < 1\n"
    failure = verdicts(text, SMALL)[-1].failure
    assert isinstance(failure, Uncovered) and len(failure.carriers) == 2


def test_a_claim_that_repeats_a_bare_name_speaks_of_the_diagonal_only():
    text = """program p(n = 4)
axes (s < n)
input x[n]
weight A[n, n]
cipher X = x[s]
plain D[k < n, m < n] = [k == m] * A[s, (s + k) % n] + [k != m] * A[s, s]
P[k < n, m < n] = (X << k) * D[k, m]
claim P[q, q] == A[s, (s + q) % n] * x[(s + q) % n]
Y = sum k < n: P[k, INDEX]
output y[s] = re Y
prove y == A @ x
"""
    assert status(text.replace("INDEX", "k")) == "proved"
    assert status(text.replace("INDEX", "0")) == "refuted"


def test_a_claim_holds_only_where_it_says():
    text = """program p(n = 8)
axes (s < n)
input x[n]
weight A[n, n]
cipher X = x[s]
M = [s < 4] * X
claim M == x[s] where s < LIMIT
Y = sum k < n: (M + [s >= 4] * X << k) * A[s, (s + k) % n]
output y[s] = Y
prove y == A @ x
"""
    assert status(text.replace("LIMIT", "4")) == "proved"
    assert status(text.replace("LIMIT", "5")) == "refuted"


def test_products_of_one_tensor_commute():
    text = """program p(n = 4)
axes (s < n)
input x[n]
weight A[n, n]
cipher X = x[s]
plain L = A[s, 0] * A[0, s] - A[0, s] * A[s, 0]
Y = X * L + sum k < n: (X << k) * A[s, (s + k) % n]
output y[s] = Y
prove y == A @ x
"""
    assert status(text) == "proved"
    assert status(text.replace("A[0, s] * A[s, 0]", "A[0, s] * A[s, 1]")) == "refuted"


def test_repeated_terms_are_counted():
    # multiplicity 2 through a condition, which injectivity alone does not settle
    square = """program p(n = 8)
axes (s < n)
input x[n]
weight A[n, n]
cipher X = x[s]
Y = sum f < 4: 1/2 * [s % 2 == f % 2] * sum k < n: (X << k) * A[s, (s + k) % n]
output y[s] = Y
prove y == A @ x
"""
    assert status(square) == "proved"
    assert status(square.replace("1/2 *", "1/4 *")) == "refuted"


def test_a_loop_whose_variable_is_multiplied_by_itself_is_unrolled():
    text = """program p(n = 8)
axes (s < n)
input x[n]
weight A[n, n]
cipher X = x[s]
Y = sum k < n: (X << k*(k + 1)//2) * A[s, (s + k*(k + 1)//2) % n]
output y[s] = Y
prove y == A @ x
"""
    assert status(text) == "proved"  # triangular numbers reach every residue modulo a power of two
    assert status(text.replace("k*(k + 1)//2", "k*k")) == "refuted"


def test_a_product_of_a_familys_indices_is_unknown_and_never_guessed():
    text = """program p(n = 8)
axes (s < n)
input x[n]
cipher X = x[s]
Z[k < n] = X << k*k
claim Z[k] == x[(s + k*k) % n]
output y[s] = Z[0]
prove y == x
"""
    assert verdicts(text)[0].status == "unknown"


@pytest.mark.parametrize("n", [512, 600, 1 << 20])
def test_loops_that_repeat_themselves_are_counted_whatever_their_length(n):
    text = f"""program p(n = {n})
axes (s < n)
input x[n]
cipher X = x[s]
Y = sum f < n: 1/n * [f % 4 < 2] * X
output y[s] = Y
prove y == 1/2 * x
"""
    assert status(text) == "proved"
    assert status(text.replace("f % 4 < 2", "f % 4 < 3")) == "refuted"
    assert status(text.replace("f % 4 < 2", "f < n - 1")) in ("refuted", "unknown")


@pytest.mark.parametrize("form", ["slot -> (5*slot + 3) % n", "cycles (0, 3, 1), (2, 7)"])
def test_permutations_and_their_inverses_cancel(form):
    text = f"""program p(n = 8)
axes (s < n)
input x[n]
weight A[n]
perm p: {form}
cipher X = x[s]
Y = permute(permute(X, p) * permute(A[s], p), inverse(p))
output y[s] = Y
prove y == D @ x
""".replace("weight A[n]", "weight A[n], D[i < n, j < n] sparse where i == j").replace(
        "permute(A[s], p)", "permute(D[s, s], p)"
    )
    assert status(text) == "proved"
    assert status(text.replace("inverse(p)", "p")) == "refuted"


def test_a_claim_may_speak_of_its_own_family():
    text = """program p(n = 4)
axes (s < n)
input x[n]
weight A[n, n]
cipher X = x[s]
claim X == 2 * X - x[s]
claim X == X + X - x[s]
Y = sum k < n: (X << k) * A[s, (s + k) % n]
output y[s] = Y
prove y == A @ x
"""
    assert status(text) == "proved"
    assert status(text.replace("2 * X -", "3 * X -")) == "refuted"


def test_what_a_diagonal_claim_says_is_not_used_off_the_diagonal():
    text = """program p(n = 4)
axes (s < n)
input x[n]
weight A[2, n], D[n, n] sparse
cipher X = x[s]
plain W[a < 2, b < 2] = A[a, s] + A[b, s]
P[a < 2, b < 2] = X * W[a, b]
claim P[q, q] == 2 * A[q, s] * x[s]
Q = P[0, 1] + P[0, 1]
claim Q == 4 * A[1, s] * x[s]
Y = sum k < n: (X << k) * D[s, (s + k) % n]
output y[s] = Y
prove y == D @ x
"""
    assert [r.status for r in verdicts(text)] == ["proved", "refuted", "proved", "proved"]


def test_operations_that_run_out_anywhere_are_an_error_of_isl():
    context = isl.Context()
    point = isl.Set.read_from_str(context, "{ [i, j] : 3 <= i <= 9 and j = 2i }").sample_point()
    found = set()
    for operations in range(1, 100):
        context.set_max_operations(operations)
        context.reset_operations()
        try:
            found.add(tuple(coordinates(point, 2)))
        except isl.Error:
            found.add(())
    assert found == {(), (3, 6)}
