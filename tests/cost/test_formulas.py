"""Counts as formulas, compared with the counts of the graph at sizes drawn at random."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from math import prod
from random import Random

import pytest
import sympy
from amounts import ALL, drawn, one_in
from command_line import slotlang
from repository import GOLDEN, PROGRAMS, bind_text, program_text

from slotlang.api import cost
from slotlang.cost.bound_cases import bounds_of
from slotlang.cost.bounds import rotation_lower_bound
from slotlang.cost.counts import Counts
from slotlang.cost.symbolic.comparison import compared
from slotlang.cost.symbolic.conditions import simplified
from slotlang.cost.symbolic.formulas import Formulas
from slotlang.cost.symbolic.functions import DEFINITIONS, function, multiples, of_doubling, steps_of, value
from slotlang.cost.symbolic.sizes import AllSizes, Decisions, symbol
from slotlang.diagnostics import SlotError
from slotlang.graph.unroll import operations
from slotlang.meaning.bind import bind
from slotlang.meaning.integers import Cmp, IntConst, IntSize, evaluate, mul
from slotlang.meaning.program import Program
from slotlang.meaning.value import SumOver, nodes
from slotlang.planning.formulas import formulas
from slotlang.planning.parameters import UNRESCALED_DEPTH, Parameters
from slotlang.planning.plan import Draft
from slotlang.proof.forall import size_points
from slotlang.proof.forall.check import check_for_all
from slotlang.schedule import doubling
from slotlang.schedule.build import EVERY, schedule
from slotlang.source import Source
from slotlang.syntax import tree
from slotlang.syntax.parser import parse

NAMES = sorted(str(path.relative_to(PROGRAMS).with_suffix("")) for path in PROGRAMS.rglob("*.slot"))
SLOW = {"seed/wide_rank", "seed/rank_block_fixed", "lora", "nonsquare", "permuted", "flipped", "squat_tall_real"}
SLOW |= {"layers/bilinear_unit", "adapters/loha_ranks", "adapters/vera"}
"""Programs that take the longest, those like others of the corpus."""
CORPUS = one_in(3, [name for name in NAMES if name not in SLOW]) + [
    pytest.param(name, marks=pytest.mark.slow) for name in NAMES if name in SLOW
]

_REASONS = {
    "may be zero": "adapters/dora adapters/lokr flat_diagonals flat_hybrid matrices/e2dm matrices/e2dm_rectangular "
    "matrices/e2dm_rolled",
    "past a full turn": "theorems/tied_convolution",
    "of one vector by several statements": "theorems/without_diagonal",
    "may be equal": "convolutions/depthwise_convolution convolutions/image_convolution "
    "convolutions/multiplexed_convolution convolutions/strided_convolution",
    "where products of ciphertexts are relinearised": "theorems/causal_scores theorems/fourth_power "
    "attention/causal_attention attention/linear_attention attention/power_attention layers/chebyshev "
    "layers/layer_statistics layers/logistic_regression layers/newton_root layers/paterson_stockmeyer",
}
REFUSED = {name: reason for reason, names in _REASONS.items() for name in names.split()}
"""Programs without formulas at the sizes that they have, and why."""
MAX_OPERATIONS = 3_000
MAX_VECTORS = 1 << 17
"""Largest graphs, and slots of all vectors together, that sizes are compared at."""


def _sizes(syntax: tree.Program, number: int, seed: int) -> Iterator[dict[str, int]]:
    """Sizes that a program admits, drawn at random, small and large ones in turn; up to so many."""
    every, draw = AllSizes(syntax), Random(seed)
    found: dict[tuple[int, ...], None] = {}
    for family in every.families:
        names = sorted(family.names() | family.domain.least.keys())
        for points in (size_points.small, size_points.large):
            for point in points(family.domain, names, 2 * number, seed):
                sizes = {name: int(family.sizes[name].value(point)) for name in every.parameters}
                if max(sizes.values()) <= 1 << 12 and every.conditions.hold(sizes):
                    found[tuple(sizes.values())] = None
    order = list(found)
    draw.shuffle(order)
    return (dict(zip(every.parameters, values, strict=True)) for values in order)


def _counted(program: Program) -> Counts | None:
    """The counts of a program's graph as `cost` has them; None for a graph too large to build many."""
    built = schedule(program)
    vectors = 0
    for family in program.families.values():
        sums = (node.extent for node in nodes(family.body) if isinstance(node, SumOver))
        vectors += family.size * (prod(evaluate(e, program.sizes, {}) for e in sums) if family.kind == "plain" else 1)
    if operations(built) > MAX_OPERATIONS or program.slots * vectors > MAX_VECTORS:
        return None
    return Draft.of(program, "mask", EVERY if built.depth > UNRESCALED_DEPTH else ()).counts


def _agrees(found: Formulas, counts: Counts, sizes: dict[str, int]) -> list[str]:
    """The names of the counts that formulas hold for, each of which is compared."""
    said = {name: number for name, number in found.at(sizes).items() if number is not None}
    assert said == {name: getattr(counts, name) for name in said}, (sizes, found.counts)
    return list(said)


@drawn
@pytest.mark.parametrize("name", CORPUS)
def test_corpus_at_random_sizes(name: str) -> None:
    """The formulas of the default sizes wherever they say something, and elsewhere those that are derived there."""
    syntax = parse(Source(f"{name}.slot", program_text(name)))
    if name in REFUSED:
        with pytest.raises(SlotError, match=f"SL447.*{REFUSED[name]}"):
            formulas(bind(syntax))
        return
    found = [formulas(bind(syntax))]
    # a network of a permutation is planned anew for each choice of sizes
    wanted = (25 if bind(syntax).permutations else 100) if ALL else 2
    compared = 0
    for sizes in _sizes(syntax, 2 * wanted, 1):
        program = bind(syntax, sizes)
        counts = _counted(program)
        if counts is None:
            continue
        left = set(found[0].counts)
        for known in found:
            left -= set(_agrees(known, counts, sizes))
        if left:
            try:
                found.append(formulas(program))
            except SlotError as problem:
                assert [d.code for d in problem.diagnostics] == ["SL447"]
            else:
                # what is derived at some sizes says something about all counts there
                assert _agrees(found[-1], counts, sizes) == list(found[-1].counts)
        compared += 1
        if compared == wanted:
            return
    assert compared, name


def test_doubling() -> None:
    """What formulas say of doubling is what its stages are."""
    n, k = symbol("n"), symbol("k")
    for count, radix in product([*range(1, 90), *range(90, 600, 13)], (2, 3, 4, 8, 11)):
        stages = doubling.stages(count, radix)
        additions = sum(len(stage.multiples) for stage in stages)
        steps = {m for stage in stages for m in stage.multiples}
        # each stage rotates what the last one left, and those that append also what the digits began with
        base = 1 + max((i for i, stage in enumerate(stages) if stage.marks), default=-1)
        turned = {
            (i if stage.kind == "repeat" or m == stage.multiples[-1] else base, m)
            for i, stage in enumerate(stages)
            for m in stage.multiples
        }
        for given in {k, sympy.Integer(radix)}:
            at = {"n": count, "k": radix}
            assert value(of_doubling("doubling_additions", n, given), at) == additions
            assert value(of_doubling("doubling_rotations", n, given), at) == len(turned)
            assert value(of_doubling("doubling_steps", n, given), at) == len(steps) == len(multiples(count, radix))
            assert value(function("distinct")(10**9, steps_of(5, n, given)), at) == len(steps)


def test_functions_at_numbers() -> None:
    n, s = symbol("n"), symbol("s")
    steps, numbers, ranges = function("steps"), function("numbers"), function("range_steps")
    distinct = function("distinct")(64, steps(s, n), numbers(1, 65, 64), ranges(2, 3, 4))
    # 6 is 2 * 3, so doubling rotates by 3*s, s and s; then 1 twice, 0 never, and 2, 5, 8, 11
    assert value(distinct, {"n": 6, "s": 5}) == len({15, 1, 2, 5, 8, 11})
    split = function("split")(n, 1, 3)
    for count in range(1, 40):
        best = min((k - 1) + 3 * (m - 1) for k in range(1, count + 1) for m in range(1, count + 1) if k * m >= count)
        assert value(split, {"n": count}) == best
    clog2 = function("clog2")(n)
    assert [value(clog2, {"n": k}) for k in (1, 2, 3, 4, 5, 8, 9)] == [0, 1, 2, 2, 3, 3, 4]
    assert {"steps", "distinct", "log2", "ones", "split"} <= DEFINITIONS.keys()


LORA = """program p(d = 32, r = 4, batch = 2, slots = 16)
let C = slots / batch
let K = d / C
require C % r == 0
input x[d, batch]
weight A[d, r], B[r, d]
axes (h < C, t < batch)
cipher X[c < K] = x[c*C + h, t]
plain W[q < r, c < K] = B[(h - q) % r, c*C + h]
P[q < r] = sum c < K: X[c] * W[q, c]
T = sum q < r by horner: P[q] << q*batch
S = sum f < C/r by doubling: T << f*r*batch
plain V[q < r, c < K] = A[c*C + h, (h + q) % r]
Y[c < K] = sum q < r: (S << q*batch) * V[q, c]
output y[c*C + h, t] = Y[c]
prove y == A @ B @ x
"""


def test_formulas_of_a_projection() -> None:
    """By hand: r - 1 rotations to gather the ranks, doubling, r - 1 past A; a step for both, and those of doubling."""
    counts = formulas(bind_text(LORA)).counts
    d = {name: symbol(name) for name in ("K", "C", "r")}
    doubling = function("log2")(d["C"] / d["r"]) + function("ones")(d["C"] / d["r"]) - 1
    assert counts["rotations"].expr.equals(2 * (d["r"] - 1) + doubling)
    assert counts["rotations"].where == ()
    assert counts["galois_keys"].expr.equals(1 + function("log2")(d["C"] / d["r"]))
    assert [c.text for c in counts["galois_keys"].where] == ["r >= 2"]
    assert counts["plain_products"].expr.equals(2 * d["r"] * d["K"])
    assert counts["additions"].expr.equals(d["r"] * (d["K"] - 1) + d["r"] - 1 + doubling + d["K"] * (d["r"] - 1))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("X[c] * W[q, c]", "X[c // 2] * W[q, c]"), ""),
        (("sum q < r: (S << q*batch) * V[q, c]", "sum q < r: (S << q*q*batch) * V[q, c]"), "not linear"),
        (("sum q < r: (S << q*batch) * V[q, c]", "sum q < r: (S << q*slots) * V[q, c]"), "past a full turn"),
        (("= B[(h - q) % r, c*C + h]", "= B[(h - q) % r, c*C + h] - B[(h - q) % r, c*C + h]"), "may be zero"),
        (("(S << q*batch) * V[q, c]", "(S << q*batch) * V[q // 2, c]"), ""),
        (("P[q] << q*batch", "P[q // 2] << q*batch"), ""),
    ],
    ids=["member twice", "square", "full turn", "cancels", "plaintext twice", "vector twice"],
)
def test_refused_or_right(change: tuple[str, str], reason: str) -> None:
    """What is not understood is refused with a reason; what is not refused is right."""
    text = LORA.replace(*change)
    assert text != LORA
    syntax = parse(Source("t.slot", text))
    try:
        found = formulas(bind(syntax))
    except SlotError as problem:
        assert [d.code for d in problem.diagnostics] == ["SL447"]
        assert reason in problem.diagnostics[0].message
        return
    assert not reason
    for sizes in _sizes(syntax, 10, 3):
        counts = _counted(bind(syntax, sizes))
        if counts is not None:
            _agrees(found, counts, sizes)


RADIX = """program radix(n = 8, k = 4)
input x[n]
axes (h < n)
cipher X = x[h]
S = sum f < n by doubling(k): X << f
output y[h] = S
prove y == ones(n, n) @ x
"""


def test_the_radix_may_be_a_size() -> None:
    """One formula for every radix, and a condition of it for every size."""
    found = formulas(bind_text(RADIX))
    assert str(found.counts["rotations"].expr) == "doubling_rotations(n, k)"
    for n, k in ((1, 2), (2, 9), (7, 4), (11, 2), (11, 3), (12, 5), (30, 6)):
        sizes = {"n": n, "k": k}
        counts = _counted(bind_text(RADIX, sizes))
        assert counts is not None
        named = {"rotations", "additions", "galois_keys", "decompositions"} | ({"mod_downs"} if n > 1 else set())
        assert named <= set(_agrees(found, counts, sizes))
    proved = check_for_all(parse(Source("radix", RADIX)), ("n", "k"))
    assert proved.proved and proved.for_all is not None and "k >= 2" in proved.for_all.conditions


def test_sizes_that_enter_as_numbers_are_fixed() -> None:
    """A factor of 1 is no product, so what a size does as a factor is known of its value alone."""
    text = LORA.replace("Y[c < K] = sum", "Y[c < K] = r * sum").replace("y == A", "y == r * A")
    found = formulas(bind_text(text))
    assert [c.text for c in found.counts["plain_products"].where] == ["r == 4"]
    for r in (1, 2, 4):
        program = bind_text(text, {"r": r})
        counts = _counted(program)
        assert counts is not None
        _agrees(found, counts, {"r": r})
        _agrees(formulas(program), counts, {"r": r})


def test_equal_statements_are_one() -> None:
    """Two statements that compute the same are counted once, as the graph has them once."""
    double = LORA.replace(
        "output y", "Q[q < r] = sum c < K: X[c] * W[q, c]\nU = T + sum q < r by horner: Q[q] << q*batch\noutput y"
    )
    double = double.replace("T << f*r*batch", "U << f*r*batch").replace("S = sum f", "@").replace("U = T", "&")
    lines = double.splitlines()
    moved = [line for line in lines if line.startswith(("Q[", "&"))]
    rest = [line for line in lines if line not in moved]
    at = next(n for n, line in enumerate(rest) if line.startswith("@"))
    text = "\n".join([*rest[:at], *moved, *rest[at:]]).replace("@", "S = sum f").replace("&", "U = T") + "\n"
    text = text.replace("prove y == A S = sum f B S = sum f x", "prove y == A @ B @ x")
    syntax = parse(Source("t.slot", text))
    for sizes in (None, {"r": 1}, {"d": 8}, {"r": 8, "d": 16}):
        program = bind(syntax, sizes)
        counts = _counted(program)
        assert counts is not None
        _agrees(formulas(program), counts, {name: program.sizes[name] for name in program.parameters})


@pytest.mark.parametrize(
    ("y", "decompositions"),
    [
        # X and X << 1 are decomposed for their conjugates; the rotation shares X's decomposition
        ("conj X + conj (X << 1)", 2),
        # the same two, and the product
        ("X * (X << 1) + conj X + conj (X << 1)", 3),
    ],
)
def test_conjugates_of_single_vectors(y: str, decompositions: int) -> None:
    """Neither a conjugate nor a product of vectors without indices has an amount that it goes with."""
    lines = ["program p(n = 16)", "input x[n]", "axes (h < n)", "cipher X = x[h]"]
    text = "\n".join([*lines, f"Y = {y}", "output y[h] = Y", "prove y == x"]) + "\n"
    found = formulas(bind_text(text))
    assert found.at({})["decompositions"] == decompositions
    for n in (2, 8, 64):
        counts = _counted(bind_text(text, {"n": n}))
        assert counts is not None
        assert "decompositions" in _agrees(found, counts, {"n": n})


def test_conditions_are_simplified() -> None:
    program = bind_text(LORA)
    decisions = Decisions(AllSizes(program.syntax), program.sizes)
    r, batch, slots = IntSize("r"), IntSize("batch"), IntSize("slots")
    found = simplified(
        [
            Cmp("<", batch, mul(r, batch)),
            Cmp(">=", r, IntConst(2)),
            Cmp("<", r, slots),
            Cmp("==", IntSize("d"), IntConst(32)),
        ],
        decisions,
    )
    assert [c.text for c in found] == ["d == 32", "r >= 2", "slots > r"]
    # of what is asked of sizes, this follows: C = slots/batch is a multiple of r
    assert decisions.compare(mul(r, batch), "<=", slots)
    assert not decisions.conditions
    assert decisions.compare(r, "<", slots)
    assert len(decisions.conditions) == 1


def test_bytes_are_counts_times_units() -> None:
    """Under given parameters, bytes are those of `cost`."""
    parameters = Parameters(8192, (60, 60, 60), 36)
    for name in ("rank_complex", "rank_first", "seed/lanes", "scores", "conjugate"):
        program = bind_text(program_text(name))
        wanted, found = cost(program, parameters), formulas(program, parameters)
        sizes = dict(program.sizes)
        assert not found.units
        for key, line in found.bytes.items():
            assert value(line.expr, sizes) == getattr(wanted, key), (name, key)


def test_json_and_latex() -> None:
    found = formulas(bind_text(LORA))
    data = json.loads(json.dumps(found.to_json()))
    assert data["definitions"] == {"C": "slots / batch", "K": "d / C"}
    rotations = data["counts"]["rotations"]
    assert rotations["formula"] == "2*r + log2(C/r) + ones(C/r) - 3"
    assert rotations["latex"].startswith("2 r + ")
    assert {"log2", "ones"} <= data["functions"].keys()


BOUNDED = ["rank_complex", "rank_first", "two_tokens", "two_channels", "several_outputs", "columns", "squat_tall_real"]
BOUNDED += ["seed/lanes", "seed/joint", "seed/wide_rank", "seed/combined_fixed", "seed/column_major", "nonsquare"]


@drawn
@pytest.mark.parametrize("name", one_in(2, BOUNDED))
def test_bounds_at_random_sizes(name: str) -> None:
    """The bounds that have formulas are those that are found slot by slot, and so are the gaps."""
    syntax = parse(Source(f"{name}.slot", program_text(name)))
    found = formulas(bind(syntax))
    assert {"spread", "products"} <= {bound.theorem for bound in found.bounds} and found.bounds
    compared, wanted = 0, 40 if ALL else 2
    for sizes in _sizes(syntax, 120 if ALL else 40, 2):
        program = bind(syntax, sizes)
        counts = _counted(program)
        if counts is None:
            continue
        draft = Draft.of(program, "mask", EVERY if schedule(program).depth > UNRESCALED_DEPTH else ())
        known = bounds_of(program, draft.graph, counts, rotation_lower_bound(program))
        by_theorem = {(b.of, b.theorem, b.proved): b for b in known}
        every = found.known(sizes)
        for bound in found.bounds:
            if not bound.at_least.holds(every):
                continue
            other = by_theorem.get((bound.of, bound.theorem, bound.proved))
            if other is None:
                # a conjecture is said where it is more than what is proved
                assert not bound.proved
                assert value(bound.at_least.expr, every) <= by_theorem[bound.of, bound.theorem, True].at_least
                continue
            assert value(bound.at_least.expr, every) == other.at_least, (bound, sizes)
            if bound.gap.holds(every):
                assert value(bound.gap.expr, every) == other.gap, (bound, sizes)
            compared += 1
        if compared >= wanted:
            break
    assert compared


def test_bounds_without_formula_say_why() -> None:
    assert "more than one input" in formulas(bind_text(program_text("scores"))).missing["spread"]
    assert "not a dense matrix" in formulas(bind_text(program_text("sparse_heads"))).missing["products"]
    mixed = formulas(bind_text(program_text("seed/rank_contiguous_fixed")))
    assert not mixed.bounds and "whole periods" in mixed.missing["two-products"]


def test_where_a_program_beats_another() -> None:
    """Along each size, who has fewer is who has fewer by the graph."""
    first = bind_text(program_text("dense_ab"), {"d": 64, "r": 8, "steps": 4})
    second = bind_text(program_text("squat_tall"), {"d": 64, "r": 8, "steps": 4})
    found = {c.count: c for c in compared(formulas(first), formulas(second))}
    rotations = found["rotations"]
    assert rotations.values == tuple(Draft.of(p, "mask").counts.rotations for p in (first, second))
    texts = [program_text(name) for name in ("dense_ab", "squat_tall")]
    for run in rotations.along["d"]:
        for d in {run.first, run.last}:
            if d > 256:
                continue
            a, b = (Draft.of(bind_text(t, {"d": d, "r": 8, "steps": 4}), "mask").counts.rotations for t in texts)
            assert {"first": a < b, "second": a > b, "equal": a == b}[run.less], (run, a, b)
    assert {run.less for run in rotations.along["d"]} >= {"second"}


def test_commands() -> None:
    small = ["--set", "d=32", "--set", "r=4", "--set", "batch=2", "--set", "slots=16"]
    files = [str(PROGRAMS / f"{name}.slot") for name in ("rank_first", "rank_complex")]
    text = slotlang("cost", files[1], *small, "--symbolic")
    assert text.status == 0 and "2*R + log2(C/R) + ones(C/R) - 3  rotations" in text.out
    assert slotlang("cost", files[1], *small, "--symbolic", "--latex").out.startswith("\\begin{align*}")
    both = slotlang("compare", *files, *small, "--symbolic")
    assert both.status == 0 and "rank_complex has fewer" in both.out
    data = json.loads(slotlang("compare", *files, *small, "--symbolic", "--json").out)
    assert data["schema"] == "slotlang.compare-formulas/1" and len(data["programs"]) == 2
    for wrong in (["--latex"], ["--symbolic", "--precision", "1e-3"], ["--symbolic", "--kernel", "seal"]):
        assert slotlang("cost", files[1], *wrong).status == 2
    assert slotlang("compare", files[0], "--symbolic").status == 2
    refused = slotlang("cost", str(GOLDEN / "symbolic" / "plaintext_may_be_zero.slot"), "--symbolic")
    assert refused.status == 2 and "SL447" in refused.err
