"""The search for parameters: what it finds meets what was asked for, and nothing tried by hand is cheaper."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import replace
from itertools import combinations, pairwise, product
from math import floor
from pathlib import Path

import pytest
from command_line import slotlang
from small_programs import LORA

from slotlang import api
from slotlang.diagnostics import SlotError
from slotlang.planning.choose import SLOWER
from slotlang.planning.parameters import MAX_MODULUS_BITS, Parameters
from slotlang.planning.target import Target

PROGRAM = api.loads(LORA, {"d": 1024, "r": 4, "batch": 4, "slots": 1024})
WIDE = api.loads(LORA, {"d": 4096, "r": 4, "batch": 4, "slots": 4096})
PROFILE = api.find_profile()


def seconds(made: api.Plan) -> float:
    """Of an evaluation, and of what is done with its results: those that drop primes take longer, and save more than
    that where they are written and read."""
    target = Target(hide=made.hiding.mode)
    found = api.cost(made.program, made.parameters, PROFILE, target=target).predicted
    return found.evaluation + found.saving + found.decryption


def request(made: api.Plan) -> float:
    """Seconds of a whole request."""
    return api.cost(made.program, made.parameters, PROFILE, target=Target(hide=made.hiding.mode)).predicted.request


@pytest.mark.parametrize("precision", [1e-1, 1e-3, 1e-6, 1e-9])
def test_what_is_chosen_is_precise_and_secure(precision: float) -> None:
    made = api.plan(PROGRAM, target=Target(precision=precision))
    p = made.parameters
    assert api.predicted_error(made) <= precision
    assert sum(p.primes) <= MAX_MODULUS_BITS[p.degree]
    assert max(p.primes) <= 60
    assert p.slots >= PROGRAM.slots


def test_a_run_keeps_the_precision_that_was_asked_for() -> None:
    from slotlang.run.runner import execute, random_data

    made = api.plan(PROGRAM, target=Target(precision=1e-3))
    text = api.lower(PROGRAM, made.parameters).text
    report = execute(text, made.counts.executed(), *random_data(PROGRAM, 3))
    assert report.counts_match
    assert report.relative_error <= api.predicted_error(made) <= 1e-3


def test_a_run_with_fewer_keys() -> None:
    from slotlang.run.runner import execute, random_data

    free = api.plan(PROGRAM, target=Target(precision=1e-3))
    made = api.plan(
        PROGRAM, target=Target(precision=1e-3, max_key_bytes=free.counts.galois_keys * free.parameters.key_bytes() // 2)
    )
    lowered = api.lower(PROGRAM, made.parameters)
    report = execute(lowered.text, made.counts.executed(), *random_data(PROGRAM, 3))
    assert report.counts_match
    assert made.counts.rotations > free.counts.rotations
    assert report.relative_error <= api.predicted_error(made) <= 1e-3


def test_less_precision_is_never_slower() -> None:
    times = [seconds(api.plan(PROGRAM, target=Target(precision=p))) for p in (1e-1, 1e-3, 1e-6, 1e-9, 1e-12)]
    # what is fastest is decided before results drop primes, which some of these do
    assert all(before < (SLOWER + 0.05) * after for before, after in pairwise(times))
    assert times[0] < times[-1]


def test_a_degree_has_to_hold_the_slots() -> None:
    assert api.plan(PROGRAM, target=Target(precision=1e-2)).parameters.degree == 4096
    assert api.plan(WIDE, target=Target(precision=1e-2)).parameters.degree == 8192


def test_nothing_tried_by_hand_is_faster() -> None:
    """But for what a request may take longer where its results take fewer bytes."""
    chosen = request(api.plan(PROGRAM, target=Target(precision=1e-3)))
    tried = 0
    for degree, primes, scales in product(
        (4096, 8192), ((36, 36), (54, 55), (36, 36, 37), (60, 60, 60)), ((22, 22, 20), (25, 20, 19), (15, 13, 14))
    ):
        try:
            made = api.plan(PROGRAM, Parameters(degree, primes, scales[0], scales=scales))
        except SlotError:
            continue
        if api.predicted_error(made) <= 1e-3:
            tried += 1
            assert chosen <= SLOWER * request(made)
    assert tried


def test_a_prime_goes_between_products_where_later_rotations_outweigh_the_rescales() -> None:
    made = api.plan(WIDE, target=Target(precision=2e-3))
    never = Parameters(8192, (60, 60, 60), 37, (), (37, 39, 35))
    each = Parameters(8192, (60, 40, 40, 60), 40, (1, 2))
    assert made.parameters.early == (1,)
    assert api.predicted_error(made) <= 2e-3
    assert all(seconds(made) < seconds(api.plan(WIDE, other)) for other in (never, each))
    assert made.counts.rescales < made.counts.plain_products


def test_no_prime_goes_where_the_others_would_not_hold_the_message() -> None:
    """Behind the drop one prime is left. It holds the scale, and above it 12.5 bits: a token's norm is at most 256
    times the rms of an element, 4 bits are the guard's, and a slot holds two numbers. Nothing that leaves as much is
    precise."""
    assert api.plan(WIDE, target=Target(precision=1e-3)).parameters.early == ()
    errors = {}
    for first, last in product(range(41, 48), range(14, 22)):
        # the scale at the end: 60 bits are gone
        scales = (first, floor(60 - 12.5) + 60 - first - last, last)
        errors[scales] = api.predicted_error(api.plan(WIDE, Parameters(8192, (60, 60, 60), first, (1,), scales)))
    best = min(errors.values())
    assert best > 1e-3
    assert api.predicted_error(api.plan(WIDE, target=Target(precision=best * 1.0001))) == pytest.approx(best, rel=1e-3)
    # half the norm takes a bit less, and that is enough
    sizes = {"d": 4096, "r": 4, "batch": 4, "slots": 4096}
    made = api.plan(api.loads(LORA, sizes, bounds={"norm(x)": 128}), target=Target(precision=1e-3))
    assert made.parameters.early == (1,)


def test_a_prime_goes_after_the_last_product_where_rotations_follow_it() -> None:
    """A in column-major order, one channel of x in a slot: all rotations are made behind the products."""
    text = """program shares(d = 64, r = 32, slots = 2048)
input x[d]
weight A[d, r]
weight B[r, d]
axes (c < d, q < r)
cipher X = x[c]
plain W = B[q, c]
plain V = A[c, q]
T = X * W
S = sum f < d by doubling: T << f*r
U = S * V
Y = sum f < r by doubling: U << f
output y[c] = re Y where q == 0
prove y == A @ B @ x
"""
    program = api.loads(text)
    assert api.check(program).proved
    # by SEAL's operations: kernels make rotations cheap
    made = api.plan(program, target=Target(kernel="seal", precision=1e-6, hide="none"))
    assert made.parameters.early == (2,)
    assert made.counts.rescales == 1
    never = api.plan(program, replace(made.parameters, drops=()), target=Target(kernel="seal", hide="none"))
    assert made.download_bytes < never.download_bytes
    assert seconds(made) < seconds(never)
    # where the prime is gone before the second product, its plaintexts and the rotations have too few bits, if any
    between = replace(made.parameters, drops=(1,))
    try:
        error = api.predicted_error(api.plan(program, between, target=Target(kernel="seal", hide="none")))
    except SlotError as refused:
        assert refused.diagnostics[0].code == "SL404"
    else:
        assert error > 1e-6


def test_what_is_out_of_reach_names_the_best() -> None:
    with pytest.raises(SlotError) as found:
        api.plan(PROGRAM, target=Target(precision=1e-25))
    (diagnostic,) = found.value.diagnostics
    assert diagnostic.code == "SL451"
    reach = re.search(r"--precision (\S+),", diagnostic.hint or "")
    assert reach is not None
    assert api.predicted_error(api.plan(PROGRAM, target=Target(precision=float(reach[1])))) <= float(reach[1])


def test_keys_stay_within_their_bytes() -> None:
    free = api.plan(PROGRAM, target=Target(precision=1e-6))
    bytes_of = free.counts.galois_keys * free.parameters.key_bytes()
    assert api.plan(PROGRAM, target=Target(precision=1e-6, max_key_bytes=bytes_of)).parameters == free.parameters
    last = seconds(free)
    for bound in (bytes_of - 1, bytes_of // 2, bytes_of // 3):
        made = api.plan(PROGRAM, target=Target(precision=1e-6, max_key_bytes=bound))
        assert made.counts.galois_keys * made.parameters.key_bytes() <= bound
        assert made.counts.key_switches > free.counts.key_switches
        assert last < seconds(made)
        last = seconds(made)
        assert api.predicted_error(made) <= 1e-6


def test_nothing_with_as_few_keys_is_faster() -> None:
    free = api.plan(PROGRAM, target=Target(precision=1e-6))
    steps = [n.step for n in free.graph.of_kind("rotate")]
    for many in (2, 3):
        bound = many * free.parameters.key_bytes()
        made = seconds(api.plan(PROGRAM, target=Target(precision=1e-6, max_key_bytes=bound)))
        for keys in combinations(sorted(set(steps)), many):
            with suppress(SlotError):
                assert made <= seconds(api.plan(PROGRAM, replace(free.parameters, keys=keys))) * (1 + 1e-9)


def test_a_bound_below_the_smallest_keys_names_them() -> None:
    with pytest.raises(SlotError, match="keys") as found:
        api.plan(PROGRAM, target=Target(precision=1e-6, max_key_bytes=1))
    (diagnostic,) = found.value.diagnostics
    assert diagnostic.code == "SL451"
    named = re.search(r"--max-key-bytes (\d+)", diagnostic.hint or "")
    assert named is not None
    made = api.plan(PROGRAM, target=Target(precision=1e-6, max_key_bytes=int(named[1])))
    assert made.counts.galois_keys * made.parameters.key_bytes() == int(named[1])
    with pytest.raises(SlotError, match="SL451"):
        api.plan(PROGRAM, target=Target(precision=1e-6, max_key_bytes=int(named[1]) - 1))


def test_conjugations_and_products_keep_their_keys() -> None:
    text = """program p(slots = 16)
input x[slots]
weight A[slots, slots]
cipher X = x[slot]
plain W[q < slots] = A[slot, (slot + q) % slots]
Z = sum q < slots by bsgs(4): (X << q) * W[q]
Y = (Z + conj(Z)) * X
output y[slot] = Y
prove y == x
"""
    # what it computes is not what it says, which costs nothing
    program = api.loads(text)
    free = api.plan(program, target=Target(precision=1e-3))
    assert (free.counts.galois_keys, free.counts.cipher_products) == (3, 1)
    each = free.parameters.key_bytes()
    made = api.plan(program, target=Target(precision=1e-3, max_key_bytes=3 * each))
    assert (made.counts.galois_keys, made.counts.conjugations) == (2, 1)
    with pytest.raises(SlotError, match="SL451"):
        api.plan(program, target=Target(precision=1e-3, max_key_bytes=2 * each))


@pytest.mark.parametrize("precision", [0.0, -1.0, float("nan"), float("inf")])
def test_a_precision_is_positive(precision: float) -> None:
    with pytest.raises(SlotError) as found:
        api.plan(PROGRAM, target=Target(precision=precision))
    assert found.value.diagnostics[0].code == "SL005"


def test_the_command_line_asks_for_a_precision(root: Path) -> None:
    program = str(root / "programs" / "rank_complex.slot")
    values = json.loads(slotlang("cost", program, "--precision", "1e-3", "--set", "slots=2048", "--json").out)
    assert values["predicted_error"] <= 1e-3
    assert values["parameters"]["degree"] == 4096
    for options in (("--max-key-bytes", "1000000"), ("--precision", "0")):
        found = slotlang("cost", program, *options)
        assert found.status == 2
        assert "SL005" in found.err


@pytest.mark.parametrize("size", [49, 48, 60])
def test_rounding_does_not_refuse_parameters(size: int) -> None:
    # the rms of a sum of 48 or 60 products comes out as 1 and a last digit; for that alone nothing fitted without
    # rescaling
    columns = Path(__file__).resolve().parents[2] / "programs" / "columns.slot"
    program = api.load(columns, {"d": size, "n": 1, "r": size, "batch": 2048})
    assert api.plan(program, target=Target(precision=4e-4)).parameters.primes == (60, 49)
