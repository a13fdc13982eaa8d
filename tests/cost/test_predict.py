"""Predicted times are sums over the graph: each primitive priced at 1 counts itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from amounts import one_in
from invented_prices import only, priced
from small_programs import CASES, LORA, Case

from slotlang import api
from slotlang.cost.predict import encoding_calls, evaluation_calls, predict
from slotlang.cost.profile import Profile
from slotlang.cost.vectors import GUARDED as GUARDED_INDEX
from slotlang.cost.vectors import PRODUCT, VectorShape, plain_shape, vector_shape
from slotlang.planning.parameters import Parameters
from slotlang.planning.target import Kernel, Target
from slotlang.run.runner import load_module

RESCALED = Parameters(16384, (60, 40, 40, 40, 60), 40, (1, 2, 3))
GUARDED = """program guarded(n = 100, slots = 128)
input x[n]
cipher X = x[slot - 3] else 0
Y = X + X
output y[slot - 3] = Y
prove y == 2 * x
"""

_plans: dict[int, api.Plan] = {}


def planned(program: api.Program) -> api.Plan:
    """The plan of a program, which its prices do not change: once for all of them."""
    made = _plans.get(id(program))
    if made is None or made.program is not program:
        made = _plans[id(program)] = api.plan(program)
    return made


def milliseconds(program: api.Program, profile: Profile, part: str = "evaluation") -> int:
    seconds = getattr(planned(program).predicted(profile), part)
    assert 1e3 * seconds == pytest.approx(round(1e3 * seconds))
    return round(1e3 * seconds)


every_case = pytest.mark.parametrize("program", [api.loads(c.text) for c in CASES], ids=[c.name for c in CASES])


@every_case
def test_each_kind_of_operation_is_counted_once(program: api.Program) -> None:
    counts = planned(program).counts
    assert milliseconds(program, only("rotate")) == counts.rotations
    assert milliseconds(program, only("conjugate")) == counts.conjugations
    assert milliseconds(program, only("rotate", "conjugate", "relinearize")) == counts.key_switches
    assert milliseconds(program, only("multiply_plain", "dot_product")) == counts.plain_products
    assert milliseconds(program, only("multiply")) == counts.cipher_products
    one_by_one = milliseconds(program, only("add", "add_inplace", "sub", "add_plain"))
    in_sums = milliseconds(program, only("dot_product")) - milliseconds(program, only("dot"))
    assert one_by_one + in_sums == counts.additions + counts.masks
    assert milliseconds(program, only("negate")) == counts.negations
    assert milliseconds(program, only("rescale")) == counts.rescales


@every_case
def test_what_is_sent_and_encoded(program: api.Program) -> None:
    counts = planned(program).counts
    encodings = only("encode_real", "encode_complex", "encode_constant", "encode_integer")
    assert milliseconds(program, encodings, "encoding") == counts.plaintexts
    assert milliseconds(program, only("send_real", "send_complex"), "encryption") == counts.ciphertexts_in
    received = only("receive", "receive_part", "receive_precise")
    assert milliseconds(program, received, "decryption") == counts.ciphertexts_out
    for name in ("send_real", "receive", "encode_real", "mask_slots"):
        assert milliseconds(program, only(name)) == 0


@pytest.mark.parametrize("small", one_in(2, CASES, lambda c: c.name))
def test_masks_are_made_and_added(small: Case) -> None:
    program = api.loads(small.text)
    hidden = planned(program).hiding
    profile = only("mask_slots", "mask_precise")
    assert milliseconds(program, profile, "masking") == hidden.masks
    halves = {member for member in hidden.halves if not (hidden.precise and member[0] in hidden.bits)}
    assert milliseconds(program, only("receive_part"), "decryption") == len(halves)
    shown = api.cost(program, profile=only("add_plain"), target=Target(hide="none")).predicted.evaluation
    masked = api.cost(program, profile=only("add_plain")).predicted.evaluation
    assert masked - shown == pytest.approx(1e-3 * hidden.masks)
    assert api.cost(program, profile=profile, target=Target(hide="none")).predicted.masking == 0


def test_large_masks_and_results_beside_them_have_their_own_price() -> None:
    """Where masks take twice the digits: of each result that has one, at its level, and of no other."""
    text = (
        "program two(n = 16, slots = 16)\ninput x[n]\nweight v[n], w[n]\naxes (h < n)\ncipher X = x[h]\n"
        "plain V = v[h]\nplain W = w[h]\nY = X * V\nS = sum f < n by doubling: (X * W) << f\n"
        "output y[h] = Y\noutput z = S where h == 0\nprove y[i < n] == v[i] * x[i]\nprove z == w @ x\n"
    )
    coarse = api.plan(api.loads(text))
    fine = api.plan(api.loads(text), coarse.parameters)
    assert (coarse.hiding.precise, fine.hiding.precise) == (False, True)
    assert list(fine.hiding.bits) == ["S"] and {member[0] for member in fine.graph.results()} == {"Y", "S"}

    def found(made: api.Plan, part: str, *names: str) -> float:
        return 1e3 * float(getattr(made.predicted(only(*names)), part))

    for made, mask, received in ((coarse, "mask_slots", 2), (fine, "mask_precise", 1)):
        masks = {name: found(made, "masking", name) for name in ("mask_slots", "mask_precise")}
        assert masks == {name: float(name == mask) for name in masks}
        assert found(made, "decryption", "receive", "receive_part") == pytest.approx(received)
        assert found(made, "decryption", "receive_precise") == pytest.approx(2 - received)
        for name in ("mask_precise", "receive_precise"):
            assert found(made, "evaluation", name) == 0
    # with the kernel of SEAL's operations too: client and masks do not depend on it
    slow = api.plan(api.loads(text), coarse.parameters, target=Target(kernel="seal"))
    assert found(slow, "masking", "mask_precise") == 1 == found(slow, "decryption", "receive_precise")


def test_operations_are_priced_at_their_level() -> None:
    made = api.plan(api.loads(LORA), RESCALED)
    calls = evaluation_calls(made.graph, RESCALED.data_primes)
    leaving = {level: calls["rescale", RESCALED.data_primes - level] for level in made.counts.rescales_by_level}
    assert leaving == made.counts.rescales_by_level
    for kind, names in (("rotate", ["rotate"]), ("mul_plain", ["multiply_plain", "dot_product"])):
        levels = [made.graph.levels[n] for n, node in enumerate(made.graph.nodes) if node.kind == kind]
        for level in set(levels):
            assert sum(calls[name, RESCALED.data_primes - level] for name in names) == levels.count(level)


def test_one_by_one_every_product_and_addition_counts_for_itself() -> None:
    made = api.plan(api.loads(LORA), RESCALED, target=Target(kernel="seal"))
    calls = Counter(dict.fromkeys(("dot", "dot_product"), 0))
    for (name, _), times in evaluation_calls(made.graph, RESCALED.data_primes, compiled=False).items():
        calls[name] += times
    assert calls["multiply_plain"] == made.counts.plain_products and not calls["dot"] + calls["dot_product"]
    assert calls["add"] + calls["add_inplace"] == made.counts.additions
    own = made.predicted(priced(lambda name, _: 1e-3 if name == "multiply_plain" else 0.0)).evaluation
    assert own == pytest.approx(1e-3 * made.counts.plain_products)


SWITCHED = """program switched(slots = 16)
input x[slots]
weight w[slots], v[2, slots]
cipher X = x[slot]
plain W = w[slot]
plain V[q < 2] = v[q, slot]
D = sum q < 2: X * V[q]
S = sum f < 16 by doubling(4): D << f
Z = (S << 2) + conj S
Y = (S << 1) * W + Z * W
output y[slot] = Y
prove y == x
"""


def test_with_compiled_kernels_key_switches_are_paid_for_in_parts() -> None:
    """6 rotations in 2 stages, then 2 rotations and a conjugation of one, of which one is multiplied by itself."""
    times = {"decompose": 1e-3, "key_product": 100e-3, "mod_down": 10.0}
    seal = priced(lambda name, _: 1e4 if name in ("rotate", "conjugate") else 0.0)
    profile = replace(seal, kernels={8192: {name: {2: seconds} for name, seconds in times.items()}})
    program = api.loads(SWITCHED)
    two_primes = Parameters(8192, (60, 60, 60), 36)

    def evaluation(kernel: Kernel, profile: Profile) -> float:
        target = Target(kernel=kernel, hide="none")
        return api.cost(program, two_primes, profile, target=target).predicted.evaluation

    # decompositions: D, the first stage, S; mod-downs: the stages, S << 1, Z
    assert evaluation("compiled", profile) == pytest.approx(3 * 1e-3 + 9 * 100e-3 + 4 * 10.0)
    assert evaluation("compiled", seal) == evaluation("seal", profile) == evaluation("seal", seal) == 9e4


def test_parts_of_key_switches_are_priced_at_their_level() -> None:
    made = api.plan(api.loads(LORA), RESCALED)
    found = evaluation_calls(made.graph, RESCALED.data_primes, parts=True)
    whole = evaluation_calls(made.graph, RESCALED.data_primes)
    apart = ("decompose", "key_product", "mod_down")
    assert {c: n for c, n in found.items() if c[0] not in apart} == {c: n for c, n in whole.items() if c[0] != "rotate"}
    for primes in range(1, RESCALED.data_primes + 1):
        assert found["key_product", primes] == whole["rotate", primes]
    counts = made.counts
    assert sum(n for (name, _), n in found.items() if name == "decompose") == counts.decompositions
    assert sum(n for (name, _), n in found.items() if name == "mod_down") == counts.mod_downs


def test_results_are_decrypted_at_their_level() -> None:
    profile = priced(lambda name, primes: primes * 1e-3 if name in ("receive", "receive_part") else 0.0)
    made = api.plan(api.loads(LORA), RESCALED)
    primes = {o.member: RESCALED.data_primes - made.graph.levels[o.node] for o in made.graph.outputs}
    found = api.cost(api.loads(LORA), RESCALED, profile).predicted
    assert found.decryption == pytest.approx(1e-3 * sum(primes.values()))


def test_complex_vectors_constants_and_masks_are_told_apart() -> None:
    assert milliseconds(api.loads(LORA), only("encode_complex"), "encoding") > 0
    text = (
        "program twice(slots = 16)\ninput x[slots]\ncipher X = x[slot]\nplain W = {}\nY = X * W\noutput y[slot] = Y\n"
    )
    constant = api.loads(text.format("2") + "prove y == 2 * x\n")
    assert milliseconds(constant, only("encode_constant"), "encoding") == 1
    assert (
        milliseconds(
            constant, only("encode_real", "encode_complex", "gather", "vector", "remainder", "list"), "encoding"
        )
        == 0
    )
    imaginary = api.loads(text.format("1i").replace("y[slot] = Y", "y[slot] = im Y") + "prove y == x\n")
    assert milliseconds(imaginary, only("encode_complex"), "encoding") == 1
    mask = api.loads(text.format("2 * [slot < 9] + 2 * [slot >= 9]") + "prove y == 2 * x\n")
    assert milliseconds(mask, only("encode_real"), "encoding") == 1


def test_more_of_everything_is_never_faster(root) -> None:
    path = root / "programs" / "rank_complex.slot"
    times = [api.cost(api.load(path, {"d": d})).predicted for d in (1024, 2048, 4096)]
    assert not any(t.masking for t in times)
    for part in ("evaluation", "encoding", "encryption", "decryption", "reading", "saving", "server", "request"):
        found = [getattr(t, part) for t in times]
        assert found == sorted(found) and found[0] > 0
    by_rank = [api.cost(api.load(path, {"r": r})).predicted.evaluation for r in (4, 8, 16)]
    assert by_rank == sorted(by_rank)


def test_the_prediction_names_its_profile() -> None:
    values = api.cost(api.loads(LORA), profile=only("rotate")).to_json()["predicted"]
    assert set(values) == {
        "profile",
        "evaluation_seconds",
        "encoding_seconds",
        "masking_seconds",
        "encryption_seconds",
        "decryption_seconds",
        "reading_seconds",
        "saving_seconds",
        "server_seconds",
        "request_seconds",
    }
    assert values["profile"] == "priced"


def test_what_numpy_does_is_counted() -> None:
    program = api.load("programs/rank_complex.slot")
    shapes = {name: plain_shape(program, family) for name, family in api.plan(program).graph.schedule.plains.items()}
    # B[(h - q) % R, c*C + h] + 1i * B[(h - q) % R + R, c*C + h]: 2 and 3 operations on indices, and a remainder
    # each; one by the complex number and one sum, each on both parts
    assert shapes["W"] == VectorShape(2, 2 + 3 + 2 + 2, True, True, remainders=2)
    guarded = api.loads(GUARDED)
    (inside,) = api.plan(guarded).graph.of_kind("cipher")
    assert inside.plain is not None
    shape = vector_shape(guarded, guarded.families[inside.plain[0]].body)
    assert (shape.reads, shape.operations) == (1, 1 + GUARDED_INDEX)


def test_products_of_weights_are_computed_once() -> None:
    program = api.load("programs/seed/combined.slot")
    d, r = program.sizes["d"], program.sizes["r"]
    found = milliseconds(program, only("tensor_product"), "encoding")
    assert found == -(-d * d * (r + 64) // PRODUCT)
    assert milliseconds(api.load("programs/rank_complex.slot"), only("tensor_product"), "encoding") == 0


def test_matrix_products_have_integers_for_weights() -> None:
    program = api.load("programs/columns.slot", {"d": 16, "n": 16, "batch": 16})
    made = api.plan(program, target=Target(kernel="matrix"))
    p = made.parameters
    times = predict(made.graph, p.degree, p.data_primes, only("encode_integer", "encode_constant"), matrix=0.25)
    assert times.encoding == pytest.approx(1e-3 * made.counts.plaintexts)
    assert times.evaluation == 0.25
    calls = encoding_calls(made.graph, p.data_primes, matrix=True)
    assert {name for name, _ in calls} == {"encode_integer", "request_encode"}


def test_few_slots_take_less_to_encode_and_to_send() -> None:
    text = (
        "program scaled(slots = {slots})\ninput x[slots]\nweight w[slots]\naxes (h < slots)\ncipher X = x[h]\n"
        "plain W = w[h]\nY = X * W\noutput y[h] = Y\nprove y[i < slots] == w[i] * x[i]\n"
    )
    for slots, blocks in ((64, 1), (256, 1), (1024, 4)):
        made = api.plan(api.loads(text.format(slots=slots)), RESCALED)
        for part, name in (("encoding", "encode_real"), ("encryption", "send_real")):
            assert getattr(made.predicted(only(name)), part) == pytest.approx(1e-3)
            assert getattr(made.predicted(only(f"{name}_slots")), part) == pytest.approx(1e-3 * blocks)


def test_members_that_every_slot_holds_alike_are_constants() -> None:
    """Of three taps the middle one reaches outside nowhere."""
    text = (
        "program taps(n = 16, slots = 16)\ninput x[n]\nweight w[3]\naxes (h < n)\ncipher X = x[h]\n"
        "plain W[a < 3] = w[a] * [0 <= h + a - 1 and h + a - 1 < n]\n"
        "Y = sum a < 3: (X << a - 1) * W[a]\noutput y[h] = Y\n"
        "prove y[i < n] == sum a < 3: w[a] * (x[i + a - 1] else 0)\n"
    )
    program = api.loads(text)
    assert milliseconds(program, only("encode_constant"), "encoding") == 1
    assert milliseconds(program, only("encode_real"), "encoding") == 2
    module = load_module(api.lower(program).text)
    found = [module.plaintexts["W"].function({"w": np.ones(3)}, a) for a in range(3)]
    assert [len(set(np.asarray(values).tolist())) for values in found] == [2, 1, 2]
