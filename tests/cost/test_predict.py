"""Predicted times are sums over the graph: each primitive priced at 1 counts itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from small_programs import CASES, LORA

from slotlang import api
from slotlang.cost.predict import evaluation_calls
from slotlang.cost.profile import PRIMITIVES, Machine, Profile
from slotlang.lowering.parameters import Parameters

RESCALED = Parameters(16384, (60, 40, 40, 40, 60), 40, True)
Price = Callable[[str, int], float]


def priced(price: Price) -> Profile:
    """A profile in which a primitive at a number of primes takes what ``price`` says, at every degree."""
    machine = Machine("none", "none", 1, "none")
    table = {d: {p: {k: price(p, k) for k in range(1, 9)} for p in PRIMITIVES} for d in (8192, 16384)}
    return Profile("priced", machine, "2026-01-01", 0.0, table)


def only(*names: str) -> Profile:
    """1 ms for some primitives, nothing for all others."""
    return priced(lambda name, _: 1e-3 if name in names else 0.0)


def milliseconds(program: api.Program, profile: Profile, part: str = "evaluation") -> int:
    seconds = getattr(api.cost(program, profile=profile).predicted, part)
    assert 1e3 * seconds == pytest.approx(round(1e3 * seconds))
    return round(1e3 * seconds)


every_case = pytest.mark.parametrize("program", [api.loads(c.text) for c in CASES], ids=[c.name for c in CASES])


@every_case
def test_each_kind_of_operation_is_counted_once(program: api.Program) -> None:
    counts = api.plan(program).counts
    assert milliseconds(program, only("rotate")) == counts.rotations
    assert milliseconds(program, only("conjugate")) == counts.conjugations
    assert milliseconds(program, only("rotate", "conjugate", "relinearize")) == counts.key_switches
    assert milliseconds(program, only("multiply_plain")) == counts.plain_products
    assert milliseconds(program, only("multiply")) == counts.cipher_products
    assert milliseconds(program, only("add", "add_inplace", "sub", "add_plain")) == counts.additions
    assert milliseconds(program, only("negate")) == counts.negations
    assert milliseconds(program, only("rescale")) == counts.rescales


@every_case
def test_what_is_sent_and_encoded(program: api.Program) -> None:
    counts = api.plan(program).counts
    encodings = only("encode_real", "encode_complex", "encode_constant")
    assert milliseconds(program, encodings, "encoding") == counts.plaintexts
    assert milliseconds(program, encodings, "encryption") == counts.ciphertexts_in
    assert milliseconds(program, only("save_input"), "encryption") == counts.ciphertexts_in
    for name in ("load_ciphertext", "decrypt", "decode"):
        assert milliseconds(program, only(name), "decryption") == counts.ciphertexts_out
    for name in ("save_input", "decode", "encode_real"):
        assert milliseconds(program, only(name)) == 0


def test_operations_are_priced_at_their_level() -> None:
    made = api.plan(api.loads(LORA), RESCALED)
    calls = evaluation_calls(made.graph, RESCALED.data_primes)
    leaving = {level: calls["rescale", RESCALED.data_primes - level] for level in made.counts.rescales_by_level}
    assert leaving == made.counts.rescales_by_level
    for kind, name in (("rotate", "rotate"), ("mul_plain", "multiply_plain")):
        levels = [made.graph.levels[n] for n, node in enumerate(made.graph.nodes) if node.kind == kind]
        for level in set(levels):
            assert calls[name, RESCALED.data_primes - level] == levels.count(level)


def test_results_are_decrypted_at_their_level() -> None:
    profile = priced(lambda name, primes: primes * 1e-3 if name == "decode" else 0.0)
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
    assert milliseconds(constant, only("encode_real", "encode_complex", "gather"), "encoding") == 0
    mask = api.loads(text.format("2 * [slot < 9] + 2 * [slot >= 9]") + "prove y == 2 * x\n")
    assert milliseconds(mask, only("encode_real"), "encoding") == 1


def test_more_of_everything_is_never_faster(root) -> None:
    path = root / "programs" / "rank_complex.slot"
    times = [api.cost(api.load(path, {"d": d})).predicted for d in (1024, 2048, 4096)]
    for part in ("evaluation", "encoding", "encryption", "decryption"):
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
        "encryption_seconds",
        "decryption_seconds",
    }
    assert values["profile"] == "priced"
