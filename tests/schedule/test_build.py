"""From programs to schedules: which operations, in which loops, and that the emitted module executes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import product
from random import Random

import generate
import numpy as np
import pytest
from amounts import examples, one_in
from exact_slots import Run, meant
from hypothesis import given
from hypothesis import strategies as st
from small_programs import CASES, LORA, Case

from slotlang import api
from slotlang.cost.counts import count
from slotlang.diagnostics import SlotError
from slotlang.emit.head import Lowering
from slotlang.emit.module import emit
from slotlang.graph.unroll import unroll
from slotlang.meaning.integers import IntConst, IntOp, IntSize, IntVar, evaluate
from slotlang.meaning.program import Program
from slotlang.planning.hiding import Hiding
from slotlang.planning.parameters import Parameters
from slotlang.planning.plan import Plan
from slotlang.planning.zeros import zero_plaintexts
from slotlang.refusals import GaveUp
from slotlang.schedule import doubling, ops
from slotlang.schedule.build import EVERY, schedule

PROVED = Lowering("0", "proved", "exact", validated=True)


def every(op: ops.Op) -> Iterator[ops.Op]:
    yield op
    for child in ops.children(op):
        yield from every(child)


def operations(made: ops.Schedule, kind: type) -> list[ops.Op]:
    return [op for f in made.ciphers if f.body is not None for op in every(f.body) if isinstance(op, kind)]


MODES: dict[str, Sequence[int]] = {
    "scales grow": (),
    "rescale": EVERY,
    "rescale after 1": (1,),
    "rescale after 2": (2,),
    "rescale after 1 and 3": (1, 3),
}


def executed(program: Program, mode: str, seed: int = 0) -> Run:
    """The emitted module on exact slots: what it holds is what the program means, what it does what was counted."""
    made = schedule(program, MODES[mode])
    graph = unroll(made, zero_plaintexts(made))
    counts = count(graph)
    primes = (*[60] * (made.depth + 2), *[40] * len(made.drops), 60)
    parameters = Parameters(2 * program.slots, primes, 40, tuple(made.drops))
    text = emit(Plan(program, graph, parameters, counts, Hiding("none"), GaveUp("not asked for"), "seal"), PROVED)
    run = Run(text, program, seed)
    for name, value in meant(graph, run).items():
        assert np.allclose(run.values[name], value, rtol=1e-9, atol=1e-9), name
    if not run.vanished:
        assert run.counts == counts.executed()
        # what is written more than once counts until the end, and may go before
        assert run.peak - 2 <= counts.peak_ciphertexts <= 1.5 * run.peak + 2
    return run


@examples(40)
@given(st.integers(0, 2**32), st.sampled_from(sorted(MODES)))
def test_random_programs_execute_what_is_counted(seed: int, mode: str) -> None:
    text, sizes = generate.random_program(Random(seed))
    try:
        executed(api.loads(text, sizes), mode, seed % 1000)
    except SlotError as problem:
        assert {d.code for d in problem.diagnostics} <= {"SL401", "SL403"}


@pytest.mark.parametrize(
    ("small", "mode"),
    # of each program's modes at least one
    one_in(len(MODES) - 1, product(CASES, MODES), lambda case: f"{case[0].name}-{case[1]}"),
)
def test_small_programs(small: Case, mode: str) -> None:
    executed(api.loads(small.text), mode)


# sums of rotations


@pytest.mark.parametrize("radix", [2, 3, 4, 8, 100])
def test_doubling(radix: int) -> None:
    for terms in range(1, 140):
        total = base = Counter({0: 1})

        def rotated(a: Counter[int], by: int) -> Counter[int]:
            return Counter({k + by: times for k, times in a.items()})

        for stage in doubling.stages(terms, radix):
            assert 2 <= 1 + stage.additions <= radix + (stage.kind == "append")
            *others, last = stage.multiples
            first = total if stage.kind == "repeat" else base
            total = sum((rotated(first, k) for k in others), first) + rotated(total, last)
            base = total if stage.marks else base
        assert total == Counter(range(terms)), terms


@pytest.mark.parametrize(
    ("terms", "radix", "copies"),
    [
        (64, 4, [4, 4, 4]),
        (32, 4, [4, 4, 2]),
        (48, 4, [4, 4, 3]),
        (36, 8, [6, 6]),
        (6, 100, [6]),
        (10, 4, [2, 4, "append 1"]),
        (11, 4, [2, 4, "append 3"]),
        (3, 2, [2, "append 1"]),
        (1, 4, []),
    ],
)
def test_stages_of_doubling(terms: int, radix: int, copies: list[int | str]) -> None:
    """As the table in docs/language.md has them."""
    stages = doubling.stages(terms, radix)
    assert [s.copies if s.kind == "repeat" else f"append {s.copies}" for s in stages] == copies


def test_doubling_by_two_takes_what_binary_digits_do() -> None:
    for terms in range(1, 140):
        odd = terms
        while odd % 2 == 0:
            odd //= 2
        assert doubling.additions(terms) == len(doubling.turns(terms)) == terms.bit_length() - 1 + odd.bit_count() - 1


@pytest.mark.parametrize("terms", [2**40, 2**39 - 7, 2**40 - 87])
def test_counts_of_a_huge_doubling_are_not_listed(terms: int) -> None:
    for radix in (2, 1000, 2**30, terms - 1, terms):
        assert doubling.additions(terms, radix) < terms


@examples()
@given(
    st.recursive(
        st.sampled_from([IntConst(2), IntConst(-3), IntConst(0), IntSize("n"), IntVar("i"), IntVar("j")]),
        lambda e: st.builds(IntOp, st.sampled_from("+-*"), e, e),
        max_leaves=8,
    )
)
def test_linear(e: ops.Int) -> None:
    split = ops.linear(e, "i")
    if split is None:
        return
    step, base = split
    for i in range(3):
        for j in range(3):
            env = {"i": i, "j": j}
            assert evaluate(e, {"n": 5}, env) == evaluate(step, {"n": 5}, {}) * i + evaluate(base, {"n": 5}, {"j": j})


def dense(by: str, slots: int = 16) -> ops.Schedule:
    return schedule(
        api.loads(f"""program dense(slots = {slots})
input x[slots]
weight A[slots, slots]
cipher X = x[slot]
plain W[q < slots] = A[slot, (slot + q) % slots]
Y = sum q < slots{by}: (X << q) * W[q]
output y[slot] = Y
prove y == A @ x
""")
    )


def test_rotations_in_equal_steps_are_a_ladder() -> None:
    made = dense("")
    (ladder,) = operations(made, ops.Ladder)
    assert isinstance(ladder, ops.Ladder)
    assert (ladder.var, ladder.step) == ("q", 1)
    assert not operations(made, ops.Rotate)


def test_baby_steps_are_a_ladder_and_giant_steps_are_horner() -> None:
    made = dense(" by bsgs(4)")
    (ladder,) = operations(made, ops.Ladder)
    (horner,) = operations(made, ops.Horner)
    assert isinstance(ladder, ops.Ladder)
    assert isinstance(horner, ops.Horner)
    assert (ladder.step, horner.step, horner.loop.size) == (1, 4, 4)
    counts = count(unroll(made))
    assert (counts.rotations, counts.galois_keys, counts.hoistable) == (6, 2, 3)


def test_a_rotation_needed_elsewhere_is_shared_rather_than_part_of_a_ladder() -> None:
    def made(other: str) -> ops.Schedule:
        return schedule(
            api.loads(f"""program p(slots = 8)
input x[slots], z[slots]
weight A[slots, slots]
cipher X = x[slot]
cipher Z[k < 2] = z[slot]
plain W[q < 4] = A[slot, (slot + q) % slots]
Y = sum q < 4: (X << q) * W[q]
V = {other}
output y[slot] = Y
output v[slot] = V
prove y == A @ x
prove v == x
""")
        )

    shared = count(unroll(made("X << 2")))
    assert (shared.rotations, shared.galois_keys) == (3, 3)
    first_rung = count(unroll(made("X << 1")))
    assert (first_rung.rotations, first_rung.galois_keys) == (3, 1)
    same_ladder = count(unroll(made("sum q < 3: X << q")))
    assert (same_ladder.rotations, same_ladder.galois_keys) == (3, 1)
    another_step = count(unroll(made("sum q < 3: X << 2*q")))
    # 1, 2 and 3 directly, and 4 from 2
    assert (another_step.rotations, another_step.galois_keys) == (4, 3)
    elsewhere = count(unroll(made("Z[0] << 2")))
    assert (elsewhere.rotations, elsewhere.galois_keys) == (4, 2)
    # the same ladder, one rung up; two rungs up all are computed from X
    next_rung = count(unroll(made("sum q < 4: X << q + 1")))
    assert (next_rung.rotations, next_rung.galois_keys) == (4, 1)
    higher = count(unroll(made("sum q < 4: X << q + 2")))
    assert (higher.rotations, higher.galois_keys) == (5, 5)


@pytest.mark.parametrize(
    ("amount", "rotations", "keys", "rungs"),
    [
        ("q + 5", 4, 2, True),  # 5, 6, 7, 8: by 5, then by 1
        ("q - 5", 4, 2, True),  # 11 to 14
        ("12 - q", 4, 2, True),
        ("3*q + 3", 4, 1, True),  # 3, 6, 9, 12
        ("q + 16", 3, 3, False),  # the first is X itself
        ("q - 3", 3, 3, False),  # the last is X itself
        ("q - 1", 3, 3, False),  # the second is X itself
        ("5*q + 1", 3, 3, False),  # 1, 6, 11, and X itself again
        ("8*q + 1", 2, 2, False),  # 1 and 9, twice each
    ],
)
def test_a_ladder_may_start_at_a_rotation(amount: str, rotations: int, keys: int, rungs: bool) -> None:
    """Where no rotation in it is one by a multiple of the slots, which would be free, and no two are equal."""
    made = schedule(
        api.loads(f"""program p(slots = 16)
input x[slots]
weight a[4]
cipher X = x[slot]
Y = sum q < 4: (X << {amount}) * a[q]
output y[slot] = Y
prove y == x
""")
    )
    counts = count(unroll(made))
    assert (counts.rotations, counts.galois_keys, bool(operations(made, ops.Ladder))) == (rotations, keys, rungs)


def test_ladders_do_not_go_past_a_full_turn() -> None:
    made = schedule(
        api.loads("""program p(slots = 4)
input x[slots]
weight A[slots, slots]
cipher X = x[slot]
plain W[q < 6] = A[slot, (slot + 2*q) % slots]
Y = sum q < 6: (X << 2*q) * W[q]
output y[slot] = Y
prove y == A @ x
""")
    )
    assert not operations(made, ops.Ladder)
    assert count(unroll(made)).rotations == 1


# plaintext factors


def body(statement: str, extra: str = "") -> ops.Schedule:
    return schedule(
        api.loads(f"""program p(slots = 8)
input x[slots]
weight A[slots, slots], b[slots]
scalar s
cipher X = x[slot]
plain W[q < 8] = A[slot, (slot + q) % slots]
plain B = b[slot]
{extra}
{statement}
output y[slot] = Y
prove y == x
""")
    )


@pytest.mark.parametrize(
    ("statement", "products", "depth"),
    [
        ("Y = s * (X * B)", 1, 1),
        ("Y = (X * B) * [slot < 3]", 1, 1),
        ("Y = ((X * B) << 2) * W[1]", 1, 1),
        ("Y = -(X * B) * W[1]", 1, 1),
        ("Y = (X * B + (X << 1) * W[1]) * W[2]", 2, 1),
        ("Y = (X + X * B) * W[2]", 3, 2),
        ("Y = (sum q < 8: (X << q) * W[q]) * B", 8, 1),
        ("Y = 1 * X", 0, 0),
        ("Y = -1 * X", 0, 0),
        ("Y = X * 1 * B", 1, 1),
        ("Y = 1i * X", 1, 1),
    ],
)
def test_factors_merge(statement: str, products: int, depth: int) -> None:
    made = body(statement)
    assert (count(unroll(made)).plain_products, made.depth) == (products, depth)


def test_a_factor_that_changes_in_an_outer_loop_does_not_multiply_products() -> None:
    made = body("Z[c < 3] = (sum q < 8: (X << q) * W[q]) * W[c]\nY = Z[0] + Z[1] + Z[2]")
    assert (count(unroll(made)).plain_products, made.depth) == (8 + 3, 2)


def test_a_merged_plaintext_holds_the_shifted_product() -> None:
    executed(api.loads(CASES[0].text), "scales grow")
    text = """program p(slots = 8)
input x[slots]
weight A[slots, slots], b[slots]
cipher X = x[slot]
plain W[q < 8] = A[slot, (slot + q) % slots]
plain B[k < 2] = b[(slot + k) % slots]
Y = (((X << 3) * W[3]) >> 2) * B[1] * [slot % 2 == 0]
output y[slot] = Y
prove y == x
"""
    for mode in MODES:
        executed(api.loads(text), mode)


# what a loop does not change


def test_invariant_operations_are_lifted() -> None:
    made = body("Z[c < 4] = (conj X << 1) * W[c]\nY = sum c < 4: Z[c]")
    counts = count(unroll(made))
    assert (counts.rotations, counts.conjugations) == (1, 1)
    assert [f.name for f in made.ciphers if f.source == "Z"] == ["Z_part", "Z"]


def test_what_no_output_needs_is_left_out() -> None:
    made = body("U = X << 3\nY = X + X", "")
    assert [f.name for f in made.ciphers] == ["X", "Y"]
    assert not made.plains


def test_fresh_names_avoid_those_of_the_program() -> None:
    made = body("Z[c < 3] = (X << 1) * W[c]\nX_rotated = Z[0] + Z[1]\nY = X_rotated + Z[2]")
    names = [f.name for f in made.ciphers]
    assert len(set(names)) == len(names)
    assert "X_rotated2" in names


# what can't be evaluated


@pytest.mark.parametrize(
    ("statement", "code", "words"),
    [
        ("Y = sum q < 4 by horner: X * W[q]", "SL401", "needs a sum of rotations"),
        ("Y = sum q < 4 by doubling: X * W[q]", "SL401", "needs a sum of rotations"),
        ("Y = sum q < 4 by doubling: (X * W[q]) << q", "SL401", "depends on the loop"),
        ("Y = sum q < 4 by horner: (X * W[q]) << q*q", "SL401", "equal steps"),
        ("Y = sum q < 4 by bsgs(2): X * W[q]", "SL401", "equal steps"),
        ("Y = sum q < 4 by bsgs(2): (X << q) * W[q] + (X << 2*q) * W[q]", "SL401", "one step"),
        ("Y = sum q < 4 by bsgs(2): (permute(X, p) << q) * W[q]", "SL403", "across a permutation"),
    ],
)
def test_sums_that_can_not_be_evaluated_as_they_say(statement: str, code: str, words: str) -> None:
    with pytest.raises(SlotError) as problem:
        body(statement, "perm p: cycles (0, 1)")
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.code == code
    assert words in diagnostic.message
    assert diagnostic.span is not None


def test_a_permutation_too_deep_for_the_parameters() -> None:
    program = api.loads(
        """program p(slots = 8)
input x[slots]
perm p: slot -> (3*slot) % 8
cipher X = x[slot]
Y = permute(X, p)
output y[slot] = Y
prove y == x
"""
    )
    with pytest.raises(SlotError, match="SL402"):
        schedule(program, max_levels=0)
    assert schedule(program, max_levels=1).depth == 1


# levels


def test_levels_and_scales() -> None:
    made = schedule(api.loads(LORA), EVERY)
    assert made.states["Y"] == ops.State(2, 0)
    assert made.plains["V"].encoding == ops.Encoding(1, 0, False)
    assert made.drops == (1, 2)
    between = schedule(api.loads(LORA), (1,))
    assert between.states["Y"] == ops.State(1, 1)
    assert between.plains["V"].encoding == ops.Encoding(1, 0, False)
    last = schedule(api.loads(LORA), (2, 5))
    assert last.states["Y"] == ops.State(1, 0)
    assert last.plains["V"].encoding == ops.Encoding(0, 1, False)
    assert last.drops == (2,)
    grown = schedule(api.loads(LORA))
    assert grown.states["Y"] == ops.State(0, 2)
    assert not operations(grown, ops.Rescale)


def test_a_plaintext_used_at_two_levels_is_encoded_twice() -> None:
    made = schedule(
        api.loads("""program p(slots = 4)
input x[slots]
weight b[slots]
cipher X = x[slot]
plain B = b[slot]
S = X * B
T = S * S
Y = T * B
output y[slot] = Y
prove y == x
"""),
        EVERY,
    )
    encodings = sorted(p.encoding.level for p in made.plains.values() if p.encoding)
    assert encodings == [0, 2]


def test_products_of_products_need_levels_not_powers() -> None:
    """((x*x)*(x*x)) has the fourth power of the scale without rescaling, and two levels with it."""
    text = """program p(slots = 4)
input x[slots, slots]
bound |x| <= 4
cipher X = x[0, slot]
S = X * X
Y = S * S
output y[slot, slot] = Y
prove y == x
"""
    program = api.loads(text)
    assert schedule(program).depth == 3
    plan = api.plan(program)
    assert plan.counts.depth == 2
    assert plan.parameters.primes == (60, 40, 40, 60)
