"""Claims about families that read their own members, by induction for all sizes."""

from __future__ import annotations

from random import Random

import oracle
import pytest
from amounts import drawn, one_in, some

from slotlang.diagnostics import SlotError
from slotlang.meaning.bind import bind, bind_kept
from slotlang.meaning.deep import walked
from slotlang.meaning.integers import SLOT, IntVar
from slotlang.meaning.kept import branches
from slotlang.meaning.program import Claim
from slotlang.proof.forall.check import check_for_all
from slotlang.proof.goals import goals
from slotlang.proof.induction import falling
from slotlang.proof.report import Report
from slotlang.proof.terms import Expander
from slotlang.refusals import GaveUp
from slotlang.source import Source
from slotlang.syntax import tree
from slotlang.syntax.parser import parse

CHAIN = """program p(n = 8, K = 3)
input x[n]
axes (h < n)
cipher X = x[h]
S[k < K] = (X if k == 0 else S[k - 1] << 1)
claim S[k] == x[(h + k) % n]
output y[(h + K - 1) % n] = S[K - 1]
prove y == x
"""
SUM = """program p(n = 8, K = 3)
input x[n]
axes (h < n)
cipher X = x[h]
S[k < K] = (X if k == 0 else X + (S[k - 1] << 1))
claim S[k] == sum j < k + 1: x[(h + j) % n]
output y[h] = S[K - 1]
prove y[i < n] == sum j < K: x[(i + j) % n]
"""
DOUBLING = """program p(C = 8, batch = 2)
let steps = log2(C)
input x[C, batch]
axes (h < C, t < batch)
cipher X = x[h, t]
S[k < steps + 1] = (X if k == 0 else S[k - 1] + (S[k - 1] << 2**(k - 1)*batch))
claim S[k] == sum j < 2**k: x[(h + j) % C, t]
output y[t] = S[steps] where h == 0
prove y[t < batch] == sum j < C: x[j, t]
"""
PRODUCTS = """program p(n = 4, K = 3)
input x[K, n]
weight w[K, n]
axes (h < n)
cipher X[c < K] = x[c, h]
plain  W[c < K] = w[c, h]
S[k < K] = (X[0] * W[0] if k == 0 else S[k - 1] + X[k] * W[k])
claim S[k] == sum j < k + 1: w[j, h] * x[j, h]
output y[h] = S[K - 1]
prove y[i < n] == sum j < K: w[j, i] * x[j, i]
"""
HORNER = """program p(n = 4)
input x[n]
weight A[n, n]
axes (h < n)
cipher X = x[h]
plain  D[q < n] = A[(h - q) % n, h]
P[q < n] = X * D[q]
H[k < n] = (P[n - 1] if k == 0 else P[n - 1 - k] + (H[k - 1] << 1))
claim H[k] == sum j < k + 1: P[(n - 1 - k + j) % n] << j
output y[h] = H[n - 1]
prove y == A @ x
"""
TWO_INDICES = """program p(n = 8, K = 3, C = 2)
input x[C, n]
axes (h < n)
cipher X[c < C] = x[c, h]
S[c < C, k < K] = (X[c] if k == 0 else S[c, k - 1] << 1)
claim S[c, k] == x[c, (h + k) % n]
output y[c, (h + K - 1) % n] = S[c, K - 1]
prove y == x
"""
TWO_BACK = """program p(n = 8, K = 3)
input x[n]
axes (h < n)
cipher X = x[h]
S[k < K] = (X << k if k < 2 else S[k - 2] << 2)
claim S[k] == x[(h + k) % n]
output y[(h + K - 1) % n] = S[K - 1]
prove y == x
"""
USED = """program p(n = 8)
input x[n]
weight A[n, n]
axes (h < n)
cipher X = x[h]
plain  D[q < n] = A[h, (h + q) % n]
R[q < n] = (X if q == 0 else R[q - 1] << 1)
claim R[q] == X << q
Y = sum q < n: R[q] * D[q]
output y[h] = Y
prove y == A @ x
"""
RIGHT = {
    "chain": CHAIN,
    "sum": SUM,
    "doubling": DOUBLING,
    "products": PRODUCTS,
    "horner": HORNER,
    "two indices": TWO_INDICES,
    "two back": TWO_BACK,
    "used in a sum": USED,
}


def decided(text: str) -> Report:
    return check_for_all(parse(Source("p.slot", text)), ["all"])


def true_at(syntax: tree.Program, sizes: dict[str, int]) -> bool:
    """Whether every claim and output is true, by brute force: members are computed one after the other."""
    return oracle.judge(syntax, sizes).correct


@pytest.mark.parametrize("name", RIGHT)
def test_right_programs(name):
    report = decided(RIGHT[name])
    assert report.proved, report.reason
    family = "R" if name == "used in a sum" else "H" if name == "horner" else "S"
    said = [goal for goal, status in report.steps]
    assert said[0] == "reads stay inside" and said[1] == f"{family} reads members before its own"
    assert [s.split("], ", 1)[1].split()[0] for s in said if s.startswith(f"claim {family}")] == ["base", "step"]
    assert all(status == "proved" for _, status in report.steps)
    assert report.for_all is not None and report.for_all.checked


def test_goals_and_conditions_are_said():
    said = [goal for goal, _ in decided(TWO_BACK).steps]
    assert "claim S[k], base k < 2" in said
    assert "claim S[k], step k >= 2, from S[k - 2]" in said
    steps = decided(CHAIN).to_json()["steps"]
    assert {"goal": "claim S[k], step k >= 1, from S[k - 1]", "verdict": "proved"} in steps


NEAR_MISSES = [
    # the step is off by one
    (CHAIN, "S[k - 1] << 1", "S[k - 1] << 2", "refuted"),
    (SUM, "X + (S[k - 1] << 1)", "X + S[k - 1]", "refuted"),
    (SUM, "X + (S[k - 1] << 1)", "(X << 1) + (S[k - 1] << 1)", "refuted"),
    (DOUBLING, "S[k - 1] << 2**(k - 1)*batch", "S[k - 1] << 2**k*batch", "refuted"),
    (DOUBLING, "S[k - 1] << 2**(k - 1)*batch", "S[k - 1] << 2**(k - 1)", "refuted"),
    (PRODUCTS, "X[k] * W[k])", "X[k] * W[k - 1])", "refuted"),
    (PRODUCTS, "X[k] * W[k])", "X[k - 1] * W[k - 1])", "refuted"),
    # the base is wrong, and the step right
    (CHAIN, "X if k == 0", "X << 1 if k == 0", "refuted"),
    (SUM, "X if k == 0", "2*X if k == 0", "refuted"),
    (PRODUCTS, "X[0] * W[0] if", "X[0] if", "refuted"),
    # the claim is
    (CHAIN, "claim S[k] == x[(h + k) % n]", "claim S[k] == x[(h + k + 1) % n]", "refuted"),
    (SUM, "j < k + 1:", "j < K:", "refuted"),
    (SUM, "j < k + 1:", "j < 2*k + 1:", "refuted"),
    (DOUBLING, "j < 2**k:", "j < 2**k: 2 *", "refuted"),
    (DOUBLING, "j < 2**k:", "j < k + 1:", "refuted"),
    # the claim, or what is read of it, is true at the sizes of the header
    (CHAIN, "S[k - 1] << 1", "S[k - 1] << n - 7", "refuted"),
    (CHAIN, "claim S[k] == x[(h + k) % n]", "claim S[k] == x[(h + k + K - 3) % n]", "refuted"),
    (SUM, "prove y[i < n] == sum j < K", "prove y[i < n] == sum j < 3", "refuted"),
    # one more case, which small sizes do not meet
    (CHAIN, "else S[k - 1] << 1", "else (S[k - 1] << 2 if k == 4 else S[k - 1] << 1)", "refuted"),
    (CHAIN, "else S[k - 1] << 1", "else (S[k - 1] << 2 if k == n + 4 else S[k - 1] << 1)", "refuted"),
    (CHAIN, "else S[k - 1] << 1", "else (S[k - 1] << 2 if k > 1000000 else S[k - 1] << 1)", "unknown"),
    # members are read that do not stand before, or do at some sizes
    (CHAIN, "S[k - 1] <<", "S[k] <<", "unknown"),
    (CHAIN, "S[k - 1] <<", "S[(k + 1) % K] <<", "unknown"),
    (CHAIN, "S[k - 1] <<", "S[k - K + 2] <<", "unknown"),
    (CHAIN, "S[k - 1] <<", "S[(k + 2) % 3] <<", "refuted"),
    (CHAIN, "if k == 0 else S[k - 1]", "if k >= 3 else S[k + 1]", "SL241"),
    # two back, with a base for one
    (TWO_BACK, "k < 2", "k < 1", "unknown"),
    (TWO_BACK, "S[k - 2] << 2", "S[k - 2] << 1", "refuted"),
    (TWO_BACK, "S[k - 2] << 2", "S[k - 1] << 2", "refuted"),
    (TWO_BACK, "X << k if k < 2", "X if k < 2", "refuted"),
    # a read leaves its family in one case only
    (PRODUCTS, "X[k] * W[k])", "X[k + 1] * W[k])", "unknown"),
    (PRODUCTS, "X[k] * W[k])", "(X[k + 1] if k + 2 < K else X[k]) * W[k])", "refuted"),
    (DOUBLING, "2**(k - 1)*batch", "2**(k - 2)*batch", "unknown"),
    # nothing is said of all members, or of all slots of them, or too late
    (CHAIN, "claim S[k] == x[(h + k) % n]\n", "", "unknown"),
    (CHAIN, "claim S[k] ==", "claim S[0] ==", "SL201"),
    (CHAIN, "claim S[k] == x[(h + k) % n]", "claim S[K - 1] == x[(h + K - 1) % n]", "unknown"),
    (CHAIN, "% n]\noutput", "% n] where h < 1\noutput", "unknown"),
    (CHAIN, "% n]\noutput", "% n] where k < 1\noutput", "unknown"),
]


@pytest.mark.parametrize(
    ("text", "old", "new", "said"), one_in(5, NEAR_MISSES, lambda miss: f"{miss[1]} - {miss[2]}"[:70])
)
def test_near_misses(text, old, new, said):
    assert text.count(old) == 1
    if said.startswith("SL"):
        with pytest.raises(SlotError) as problem:
            decided(text.replace(old, new))
        assert problem.value.diagnostics[0].code == said
    else:
        report = decided(text.replace(old, new))
        assert report.status == said
        assert (report.counterexample is not None) == (said == "refuted")


def test_a_claim_that_is_needed_is_asked_for():
    reason = decided(CHAIN.replace("claim S[k] == x[(h + k) % n]\n", "")).reason
    assert "S[K - 1] is read here, and 'S' reads its own members (line 5)" in reason
    assert "a claim about all of them, S[k] == ..., has to stand between" in reason


CIRCLES = [
    # a claim that speaks of its own family, or of one that is made from it
    "S[k < K] = (X if k == 0 else S[k - 1] << 1)\nclaim S[k] == S[k]\n",
    "S[k < K] = (X if k == 0 else S[k - 1] << 1)\nT[k < K] = S[k] << 0\nclaim S[k] == T[k]\n",
    "S[k < K] = (X if k == 0 else S[k - 1] << 1)\nT[k < K] = S[k] << 0\nclaim S[k] == T[k]\nclaim T[k] == S[k]\n",
    # two families whose claims would prove each other
    "S[k < K] = (X if k == 0 else S[k - 1] << 1)\nT[k < K] = (X if k == 0 else T[k - 1] << 1)\n"
    "claim S[k] == T[k]\nclaim T[k] == S[k]\n",
    "S[k < K] = (X if k == 0 else S[k - 1] << 1)\nT[k < K] = (X if k == 0 else S[k - 1] << 1)\n"
    "claim S[k] == T[k]\nclaim T[k] == S[k]\n",
]


@pytest.mark.parametrize("lines", CIRCLES)
def test_circles_prove_nothing(lines):
    """Each of these claims is true, and none of them says what a member is: that all are would prove anything."""
    text = CHAIN.replace("S[k < K] = (X if k == 0 else S[k - 1] << 1)\nclaim S[k] == x[(h + k) % n]\n", lines)
    assert text != CHAIN and true_at(parse(Source("p", text)), {"n": 3, "K": 3})
    assert decided(text).status == "unknown"


def test_claims_of_two_families_in_a_row():
    """The second one is proved with the first, which says what its members are."""
    lines = (
        "S[k < K] = (X if k == 0 else S[k - 1] << 1)\nclaim S[k] == x[(h + k) % n]\n"
        "T[k < K] = (X if k == 0 else T[k - 1] << 1)\nclaim T[k] == S[k]\n"
    )
    text = CHAIN.replace("S[k < K] = (X if k == 0 else S[k - 1] << 1)\nclaim S[k] == x[(h + k) % n]\n", lines)
    text = text.replace("= S[K - 1]", "= T[K - 1]")
    assert decided(text).proved
    assert decided(text.replace("T[k - 1] << 1", "T[k - 1] << 2")).status == "refuted"


def test_a_claim_about_one_member_does_not_stand_for_all():
    """S[0] and S[1] are what their cases say. What is claimed of them is no hypothesis for others."""
    more = "claim S[0] == X\nclaim S[1] == X << 1\n"
    text = CHAIN.replace("n = 8, K = 3)", "n = 8, K = 3)\nrequire K > 2").replace("claim S[k]", more + "claim S[k]")
    assert decided(text).proved
    assert decided(text.replace("claim S[k] == x[(h + k) % n]\n", "")).status == "unknown"
    assert decided(text.replace("S[1] == X << 1", "S[1] == X")).status == "refuted"


def kept(text: str = CHAIN):
    return bind_kept(parse(Source("p", text)), {})


def test_the_claim_holds_for_what_a_case_reads_alone():
    """While a case is looked at the claim stands for the members it reads, and for no others, not even in claims."""
    program = kept()
    expander, here = Expander(program), IntVar(SLOT)
    (base, step) = [g.induction for g in goals(program) if g.induction]
    assert base is not None and step is not None
    (term,) = expander.case(step, here)
    assert term.reads[0][0] == "x"
    with pytest.raises(GaveUp, match="reads its own members"):
        expander.member("S", (IntVar("k"),), here)
    claim = next(s for s in program.steps if isinstance(s, Claim))
    with pytest.raises(GaveUp, match="reads its own members"):
        expander._assumed = claim
        walked(expander._claimed(Claim("X", (), (), program.families["S"].body, None, True, claim.span), {}, here))


def test_a_claim_counts_once_all_its_cases_are_proved():
    program = kept()
    expander, here = Expander(program), IntVar(SLOT)
    base, step, *_ = goals(program)
    for goal in (base, base):
        expander.proved(goal)
    with pytest.raises(GaveUp):
        expander.member("S", (IntVar("k"),), here)
    expander.proved(step)
    assert expander.member("S", (IntVar("k"),), here)


def test_what_is_kept():
    program = kept(TWO_INDICES)
    family = program.families["S"]
    assert [b.name for b in family.binders] == ["c", "k"] and falling(family) == 1 and len(family.cases) == 2
    assert not branches(family.cases[0].body) and len(branches(family.body)) == 1
    assert not bind(program.syntax, {}).families["S[:, 0]"].cases


@pytest.mark.parametrize(
    ("body", "code"),
    [
        # at some k a member would be a plaintext
        ("(X if k == 0 else (W if k == 7 else S[k - 1] << 1))", "no ciphertext takes part"),
        ("(X if k == 0 else 2 * (W if k == 7 else S[k - 1] << 1))", "between a ciphertext and a plaintext"),
        # no bound over sizes is known of the sum's extent
        ("(X if k == 0 else sum j < k * k: S[k - 1] << j)", r"whether the extent k\*k of a sum grows with 'k'"),
    ],
)
def test_members_of_another_kind_at_sizes_that_were_not_looked_at(body, code):
    text = CHAIN.replace("(X if k == 0 else S[k - 1] << 1)", body).replace(
        "cipher X", "plain W = 2 * [h < 4]\ncipher X"
    )
    report = decided(text)
    assert report.status != "proved"
    with pytest.raises((SlotError, GaveUp), match=code):
        bind_kept(parse(Source("p", text)), {})


# right and wrong ones, against brute force

SHIFT = ["1", "1", "1", "2", "0", "n - 1"]


def random_program(draw: Random) -> str:
    """A recursion of a random form with a claim that is right or nearly so."""
    form = draw.choice(["chain", "sum", "doubling", "products"])
    pick = draw.choice
    if form == "chain":
        first, step, claim = pick(["k", "0"]), pick(SHIFT), pick(["k", "k", "2*k", "k + 1", "0", "(n - 1)*k"])
        lines = f"S[k < K] = (X if k == 0 else S[k - 1] << {step})\nclaim S[k] == x[(h + {claim}) % n]\n"
        said = f"x[(i + {pick(['K - 1', 'K - 1', '2*K - 2', 'K', '0'])}) % n]"
        lines = lines.replace("(X if", f"(X << {first} if")
    elif form == "sum":
        term, step = pick(["X", "X", "X << 1", "X << k"]), pick(SHIFT)
        count, place = pick(["k + 1", "k + 1", "k + 1", "k + 2", "K"]), pick(["j", "j", "2*j", "0*j", "k - j"])
        lines = (
            f"S[k < K] = (X if k == 0 else ({term}) + (S[k - 1] << {step}))\n"
            f"claim S[k] == sum j < {count}: x[(h + {place}) % n]\n"
        )
        said = f"sum j < {pick(['K', 'K', 'K + 1'])}: x[(i + {pick(['j', 'j', '2*j'])}) % n]"
    elif form == "doubling":
        step, count = pick(["2**(k - 1)", "2**(k - 1)", "2**k", "k"]), pick(["2**k", "2**k", "2**(k + 1)", "k + 1"])
        sign = pick(["+", "+", "-"])
        lines = (
            f"S[k < K] = (X if k == 0 else S[k - 1] {sign} (S[k - 1] << {step}))\n"
            f"claim S[k] == sum j < {count}: x[(h + j) % n]\n"
        )
        said = f"sum j < {pick(['2**(K - 1)', '2**(K - 1)', '2**K'])}: x[(i + j) % n]"
    else:
        one, other = pick(["k", "k", "k", "k - 1"]), pick(["k", "k", "K - k"])
        factor = pick(["j", "j", "0"])
        lines = (
            f"S[k < K] = (Z[0] * W[0] if k == 0 else S[k - 1] + Z[{one}] * W[{other}])\n"
            f"claim S[k] == sum j < k + 1: w[{factor}, h] * z[j, h]\n"
        )
        said = "sum j < K: w[j, i] * z[j, i]"
    return (
        "program p(n = 4, K = 3)\ninput x[n], z[K, n]\nweight w[K, n]\naxes (h < n)\ncipher X = x[h]\n"
        "cipher Z[c < K] = z[c, h]\nplain W[c < K] = w[c, h]\n"
        f"{lines}output y[h] = S[K - 1]\nprove y[i < n] == {said}\n"
    )


@drawn
@pytest.mark.parametrize("seed", range(some(120, share=12)))
def test_verdicts_against_members_computed_one_by_one(seed):
    draw = Random(seed)
    text = random_program(draw)
    syntax = parse(Source("p.slot", text))
    points = [(1, 1), (2, 3), (3, 4), (5, 2), *((draw.randint(1, 6), draw.randint(1, 5)) for _ in range(3))]
    right = all(true_at(syntax, {"n": n, "K": k}) for n, k in points)
    report = decided(text)
    assert right or report.status == "refuted", text
    assert not report.proved or right
    assert report.status != "refuted" or not right or not true_at(syntax, dict(report.for_all.refuted_at)), text


def test_random_programs_are_right_and_wrong():
    """Or the test above would say little."""
    status = set[str]()
    for seed in range(24):
        status.add(decided(random_program(Random(seed))).status)
        if {"proved", "refuted"} <= status:
            return
    pytest.fail(f"all are {status}")
