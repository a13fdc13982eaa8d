"""One verdict from three methods, and counterexamples a person can use."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import slotlang
from repository import ROOT, program_text

from slotlang.api import check, loads
from slotlang.proof import check as module
from slotlang.proof.verdict import Disagreement, Outcome

EXAMPLE = program_text("rank_complex")
SMALL = {"d": 32, "r": 4, "batch": 2, "slots": 16}
WRONG = EXAMPLE.replace("P[q] << q*batch", "P[q] << (q + 1)*batch")


def test_auto_proves_and_tests_beside():
    report = check(loads(EXAMPLE, SMALL))
    assert (report.status, report.method) == ("proved", "polyhedral")
    assert report.random_error_bound is not None and 0 < report.random_error_bound < 1e-30


@pytest.mark.parametrize("method", ["auto", "polyhedral", "exact"])
def test_deterministic_methods_agree_on_right_and_wrong(method):
    assert check(loads(EXAMPLE, SMALL), method).status == "proved"
    report = check(loads(WRONG, SMALL), method)
    assert report.status == "refuted"
    assert report.counterexample is not None and report.counterexample.confirmed


def test_random_alone_never_proves():
    report = check(loads(EXAMPLE, SMALL), "random")
    assert report.status == "tested" and not report.proved
    assert check(loads(WRONG, SMALL), "random").status == "refuted"


def brute_force_slot(binders, slot, program_text):
    """Products in a slot of S, added up directly from the definitions of X, W, P, T and S at SMALL."""
    batch, slots, r = SMALL["batch"], SMALL["slots"], SMALL["r"]
    C, R = slots // batch, r // 2
    K = SMALL["d"] // C
    offset = 1 if "(q + 1)" in program_text else 0
    total = {}
    for f in range(C // R):
        for q in range(R):
            s = (slot + f * R * batch + (q + offset) * batch) % slots
            h, t = divmod(s, batch)
            for c in range(K):
                for row, factor in (((h - q) % R, 1), ((h - q) % R + R, 1j)):
                    key = f"B[{row}, {c * C + h}] * x[{c * C + h}, {t}]"
                    total[key] = total.get(key, 0) + factor
    return total


def test_a_counterexample_tells_the_truth():
    example = check(loads(WRONG, SMALL), "polyhedral").counterexample
    assert example.statement == "claim S" and example.family == "S"
    actual = brute_force_slot({}, example.slot, WRONG)
    wanted = brute_force_slot({}, example.slot, EXAMPLE)
    read = {"0": 0, "1": 1, "1i": 1j}
    assert read[example.holds] == actual.get(example.monomial, 0)
    assert read[example.should_hold] == wanted.get(example.monomial, 0)
    assert example.holds != example.should_hold
    missing = [k for k in wanted if actual.get(k, 0) != wanted[k]]
    extra = [k for k in actual if k not in wanted]
    assert (example.products_missing, example.products_extra) == (len(missing), len(extra))
    assert example.products_right == len(wanted) - len(missing)
    assert example.example_extra in extra


def test_a_false_claim_is_refuted_at_the_claim_although_the_theorem_holds():
    text = EXAMPLE.replace("claim S == (B @ x)[h % R, t]", "claim S == 2 * (B @ x)[h % R, t]")
    report = check(loads(text, SMALL))
    assert report.status == "refuted"
    assert report.counterexample.statement == "claim S"
    assert report.counterexample.line == text[: text.index("claim S ==")].count("\n") + 1


def test_what_the_polyhedral_method_cannot_decide_goes_to_the_exact_one():
    text = """program p(n = 8)
axes (s < n)
input x[n]
weight A[n, n]
cipher X = x[s]
Z[k < n] = X << k*(k + 1)//2
claim Z[k] == x[(s + k*(k + 1)//2) % n]
Y = sum k < n: Z[k] * A[s, (s + k*(k + 1)//2) % n]
output y[s] = Y
prove y == A @ x
"""
    report = check(loads(text))  # triangular numbers reach every residue modulo a power of two
    assert (report.status, report.method) == ("proved", "exact")
    assert "could not decide" in report.notes[0]
    assert check(loads(text, {"n": 6})).status == "refuted"


def test_a_proof_that_a_random_point_contradicts_is_a_bug_and_says_so(monkeypatch):
    monkeypatch.setattr(module.Polyhedral, "prove", lambda self, goal: Outcome("proved"))
    with pytest.raises(Disagreement):
        check(loads(WRONG, SMALL))


def test_a_refutation_that_does_not_evaluate_wrong_is_a_bug_and_says_so(monkeypatch):
    wrong = module.Polyhedral(loads(WRONG, SMALL)).prove(module.goals_of(loads(WRONG, SMALL))[0])
    monkeypatch.setattr(module.Polyhedral, "prove", lambda self, goal: wrong)
    program = loads(EXAMPLE, SMALL)
    wrong = Outcome("refuted", type(wrong.failure)(module.goals_of(program)[0], {}, wrong.failure.slot))
    with pytest.raises(Disagreement):
        check(program)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's accounting")
def test_the_process_stays_small():
    """Memory of a whole ``slotlang check`` on the example: below 300 MB."""
    code = (
        "import sys; sys.argv = ['slotlang', 'check', '--json', 'programs/rank_complex.slot']\n"
        "from slotlang.cli import main\n"
        "try:\n    main()\nexcept SystemExit as e:\n"
        # not ru_maxrss, which a process inherits from the one that started it
        "    peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1]\n"
        "    print(peak, e.code, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    kilobytes, status = done.stderr.split()
    assert status == "0" and int(kilobytes) < 300_000
    (entry,) = json.loads(done.stdout)["files"]
    assert entry["verdict"] == "proved" and entry["report"]["method"] == "polyhedral"


def test_confirmation_is_of_the_slot_that_is_named():
    """Another slot of the same claim being wrong does not make this one wrong."""
    from slotlang.proof.goals import goals
    from slotlang.proof.random import confirmed
    from slotlang.proof.verdict import Wrong

    text = """program p(n = 4)
axes (s < n)
input x[n]
weight A[n, n]
cipher X = x[s]
M = [s != 2] * X
claim M == x[s]
Y = sum k < n: (X << k) * A[s, (s + k) % n]
output y[s] = Y
prove y == A @ x
"""
    program = loads(text.replace("Y = sum", "Z = M - M\nY = Z + (sum").replace("% n]\noutput", "% n])\noutput"))
    goal = goals(program)[0]
    assert [confirmed(program, Wrong(goal, {}, slot)) for slot in range(4)] == [False, False, True, False]


@pytest.mark.parametrize("carriers", ["none", "two"])
def test_completeness_is_confirmed_by_looking_at_every_slot(carriers, monkeypatch):
    from slotlang.proof.coverage import confirmed_uncovered
    from slotlang.proof.verdict import Uncovered

    index = {"none": "y[c*C + h + 1, t] =", "two": "y[c*C + h, t // 2] ="}[carriers]
    program = loads(EXAMPLE.replace("y[c*C + h, t] =", index), SMALL)
    found = module.Polyhedral(program).covered("y").failure
    assert isinstance(found, Uncovered) and confirmed_uncovered(program, found)
    # the same place of the right program is neither missing nor carried twice
    right = loads(EXAMPLE, SMALL)
    assert confirmed_uncovered(right, found) is False
    monkeypatch.setattr(module.Polyhedral, "covered", lambda self, name: Outcome("refuted", found))
    with pytest.raises(Disagreement):
        check(right, "polyhedral")


TWO_CLAIMS = """program agree(H = 2, T = 2)
input x[H*T]
axes (h < H, t < T)
cipher X = x[slot]
Y = X + X
claim Y == FIRST * x[slot]
claim Y == SECOND * x[slot] where h*t >= t + t
output y[slot] = Y
prove y == 2 * x
"""


@pytest.mark.parametrize(
    ("first", "second", "steps"),
    [
        ("2", "2", ["proved", "proved"]),
        ("2", "0", ["tested", "refuted"]),
        ("0", "2", ["refuted"]),
    ],
)
def test_two_claims_on_one_family_are_two_goals(first, second, steps):
    """The second is beyond the polyhedral method: its condition multiplies digits."""
    report = check(loads(TWO_CLAIMS.replace("FIRST", first).replace("SECOND", second)))
    assert report.status == ("refuted" if "0" in (first, second) else "proved")
    assert [status for _, status in report.steps][: len(steps)] == steps
    if report.status == "refuted":
        assert report.counterexample is not None and report.counterexample.line == (6 if first == "0" else 7)


HUGE = """program huge(n = 1099511627776, m = 16777216)
input  x[4]
weight A[n, n]
axes (h < 4)
cipher X = x[h]
plain V = A[m, 0]
Y = X * V
claim Y == x[h] * A[CLAIMED, 0]
output y[h] = X
prove y == x
"""


@pytest.mark.parametrize("claimed", ["m", "0"])
@pytest.mark.parametrize("method", ["auto", "polyhedral", "exact", "random"])
def test_a_tensor_of_more_elements_than_64_bits_count(claimed, method):
    """Element (2^24, 0) of a matrix of 2^40 columns has the number 2^64, which is no other element's."""
    report = check(loads(HUGE.replace("CLAIMED", claimed)), method)
    if method in ("auto", "polyhedral"):
        assert report.status == ("proved" if claimed == "m" else "refuted")
    else:
        assert report.status == "unknown"


def test_a_refutation_in_a_huge_tensor_is_shown(tmp_path):
    path = tmp_path / "p.slot"
    path.write_text(HUGE.replace("CLAIMED", "0"))
    found = slotlang("check", str(path))
    assert found.status == 1 and "A[0, 0] * x[0]" in found.out


def test_a_theorem_of_long_sums_is_proved_and_not_evaluated() -> None:
    """Each slot of the product is a sum of a million terms; the graph is small."""
    report = check(loads(program_text("layers/bilinear_unit")))
    assert report.proved
    assert any("left out" in note for note in report.notes)
    small = check(loads(program_text("layers/bilinear_unit"), {"d": 8, "steps": 2}))
    assert small.proved and not small.notes
