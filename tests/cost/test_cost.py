"""Counts and bytes: what ``cost`` says, and what is really executed and sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from amounts import one_in
from small_programs import LORA, case

from slotlang import api
from slotlang.diagnostics import SlotError
from slotlang.planning.parameters import (
    MAX_MODULUS_BITS,
    Parameters,
    check_scales,
    check_security,
    fixed_parameters,
)
from slotlang.planning.target import Target
from slotlang.run.runner import load_module, random_data
from slotlang_runtime import Client, EvaluationKeys, Server, Weights

KEYS = {
    *("program", "sizes", "parameters", "kernel", "counts", "rotation_lower_bound", "rotation_gap", "bounds"),
    *(
        "galois_key_bytes",
        "evaluation_key_bytes",
        "upload_bytes",
        "download_bytes",
        "weight_bytes",
        "compact_weight_bytes",
        "expanding_seconds",
    ),
    *("peak_ciphertext_bytes", "predicted", "predicted_error", "parameters_from", "range", "promise"),
    *("rotation_steps", "composed_rotations"),
}
COUNTS = {
    *("rotations", "conjugations", "key_switches", "galois_keys", "composed_steps", "hoistable", "plain_products"),
    *(
        "relinearizations",
        "cipher_products",
        "additions",
        "negations",
        "rescales",
        "rescales_by_level",
        "depth",
        "masks",
        "plaintexts",
    ),
    *("ciphertexts_in", "ciphertexts_out", "peak_ciphertexts", "decompositions", "mod_downs"),
}


def test_keys_of_the_json(root: Path) -> None:
    values = api.cost(api.load(root / "programs" / "rank_complex.slot")).to_json()
    assert set(values) == KEYS and set(values["counts"]) == COUNTS
    assert json.loads(json.dumps(values)) == values


def test_where_the_parameters_come_from() -> None:
    """In JSON always; in the text where the program or the user had a say."""
    plain, own = api.loads(LORA), api.loads(LORA + "parameters degree 8192 primes 60, 60, 60 scales 30\n")
    given, searched = Parameters(8192, (60, 60, 60), 31), Target(precision=1e-3)
    for cost, origin, note in (
        (api.cost(plain), "fixed", ""),
        (api.cost(plain, given), "given", " (given)"),
        (api.cost(plain, target=searched), "search", ""),
        (api.cost(own), "program", " (the program's own)"),
        (api.cost(own, given), "given", " (given, in place of the program's own)"),
        (api.cost(own, target=searched), "search", " (searched, in place of the program's own)"),
    ):
        assert (cost.to_json()["parameters_from"], cost.parameters_note) == (origin, note)


def test_the_example(root: Path) -> None:
    cost = api.cost(api.load(root / "programs" / "rank_complex.slot"))
    c = cost.counts
    assert (c.rotations, c.key_switches, c.galois_keys, c.plain_products, c.additions) == (20, 20, 7, 128, 125)
    assert (c.ciphertexts_in, c.ciphertexts_out, c.depth, c.rescales, c.cipher_products) == (8, 8, 2, 0, 0)
    assert (c.hoistable, c.plaintexts, c.peak_ciphertexts) == (7, 128, 18)
    assert cost.galois_key_bytes == 7 * 16 * 8192 * 3 * 2
    assert cost.upload_bytes == 8 * 8192 * 2 * 60 // 8
    # of results, three quarters: half of c0, and c1
    assert cost.download_bytes == 8 * 8192 * 2 * 60 // 8 * 3 // 2
    assert (cost.rotation_lower_bound, cost.rotation_gap) == (9, 11)


def test_rescales_are_counted_at_the_level_they_leave() -> None:
    counts = api.plan(api.loads(LORA), Parameters(8192, (60, 40, 40, 60), 40, (1, 2))).counts
    assert counts.rescales_by_level == {0: 2, 1: 4}
    assert counts.rescales == 6


PARAMETERS = [
    Parameters(8192, (60, 60, 60), 30),
    Parameters(8192, (50, 50, 50, 60), 30),
    Parameters(8192, (60, 40, 40, 60), 40, (1, 2)),
    Parameters(8192, (60, 36, 36, 60), 36, (1, 2)),
    Parameters(16384, (60, 40, 40, 40, 60), 40, (1, 2, 3)),
    Parameters(16384, (60, 50, 50, 50, 60), 50, (1, 2, 3)),
]


@pytest.mark.parametrize("parameters", one_in(2, PARAMETERS, Parameters.text))
def test_bytes_are_those_sent(parameters: Parameters) -> None:
    program = api.loads(LORA)
    made = api.lower(program, parameters)
    cost = api.cost(program, parameters)
    module = load_module(made.text)
    inputs, weights = random_data(program, 0)
    client = Client(module)
    keys = client.evaluation_keys()
    server = Server(Weights.encode(module, **weights))
    upload = client.encrypt(**inputs)
    download = server.evaluate(upload, EvaluationKeys.from_bytes(keys)).data
    for found, predicted, objects in (
        (keys, cost.evaluation_key_bytes, 1 + 2 * cost.counts.galois_keys),
        (upload, cost.upload_bytes, cost.counts.ciphertexts_in),
        (download, cost.download_bytes, cost.counts.ciphertexts_out),
    ):
        # heads of 72 bytes, seeds of 64, and names
        assert 0 < len(found) - predicted <= 900 + 170 * objects


def test_a_dense_program_is_counted_fast_and_has_two_keys(root: Path) -> None:
    counts = api.plan(api.load(root / "programs" / "dense_ab_batch.slot")).counts
    assert (counts.plain_products, counts.rotations, counts.galois_keys) == (32768, 368, 2)
    assert counts.hoistable >= 248


# parameters


@pytest.mark.parametrize("slots", [1, 2, 64, 4096, 8192, 16384])
@pytest.mark.parametrize("depth", range(15))
def test_the_fixed_choice_is_sound(slots: int, depth: int) -> None:
    for rescale, turns_fresh in ((None, False), (None, True), (True, False)):
        p = fixed_parameters(slots, depth, rescale=rescale, turns_fresh=turns_fresh)
        check_security(p)
        check_scales(p, depth)
        assert p.slots >= slots
        assert sum(p.primes) <= MAX_MODULUS_BITS[p.degree]


@pytest.mark.parametrize(("slots", "depth", "code"), [(3, 1, "SL405"), (32768, 0, "SL404"), (16, 20, "SL404")])
def test_no_choice(slots: int, depth: int, code: str) -> None:
    with pytest.raises(SlotError, match=code):
        fixed_parameters(slots, depth)


@pytest.mark.parametrize(
    "parameters",
    [
        Parameters(8192, (60, 60, 60, 60), 40),
        Parameters(4096, (60, 60), 40),
        Parameters(8193, (60, 60), 40),
        Parameters(8192, (61, 60), 40),
        Parameters(8192, (5, 60), 40),
        Parameters(8192, (60,), 40),
        Parameters(8192, (), 40),
        Parameters(8192, (60, 60, 60), 60),
        Parameters(8192, (60, 60, 60), 0),
        Parameters(8192, (60, 60, 60), -4),
        Parameters(8192, (60, 40, 60), 40, (1, 2)),
        Parameters(8192, (60, 30, 30, 60), 50, (1, 2)),
        Parameters(16384, (60, 60, 60, 60), 40, (1, 2)),
        Parameters(8192, (60, 60, 60), 44, (), (44, 32)),
        Parameters(8192, (60, 60, 60), 44, (), (60, 32, 32)),
        Parameters(8192, (60, 60, 60), 44, (), (44, 32, 0)),
        Parameters(8192, (60, 40, 40, 60), 40, (1, 2), (40, 10, 40)),
        Parameters(8192, (60, 60, 60), 44, (1,), (44, 40, 60)),
        Parameters(8192, (60, 60, 60), 44, (1,), (44, 25, 20)),
        Parameters(8192, (60, 60, 60), 44, (2,), (44, 40, 40)),
        Parameters(8192, (60, 60, 60), 44, (2,), (30, 20, 20)),
        Parameters(8192, (60, 60, 60), 36, (0,)),
        Parameters(8192, (60, 50, 50, 50), 36, (2, 1)),
    ],
    ids=Parameters.text,
)
def test_parameters_that_are_refused(parameters: Parameters) -> None:
    for action in (api.plan, api.cost, api.lower):
        with pytest.raises(SlotError, match="SL404"):
            action(api.loads(LORA), parameters)


def test_products_of_ciphertexts_have_one_scale() -> None:
    program = api.loads(case("products of ciphertexts").text)
    assert not api.plan(program).parameters.scales
    with pytest.raises(SlotError, match="SL404"):
        api.plan(program, Parameters(8192, (60, 60, 60), 44, (), (44, 32, 32)))
    assert api.plan(program, Parameters(8192, (60, 60, 60), 29, (), (29, 29, 29))).counts.cipher_products == 1


@pytest.mark.parametrize(
    ("name", "scales"),
    [("horner and doubling", ()), ("as written", (52, 40)), ("sums of different depth", (40, 34, 34))],
)
def test_inputs_that_are_rotated_get_a_larger_scale(name: str, scales: tuple[int, ...]) -> None:
    assert api.plan(api.loads(case(name).text)).parameters.scales == scales


def test_slots_that_do_not_fill_the_ring() -> None:
    text = case("as written").text
    with pytest.raises(SlotError, match="SL405"):
        api.plan(api.loads(text, {"slots": 6}))
    with pytest.raises(SlotError, match="SL405"):
        api.plan(api.loads(text, {"slots": 6}), PARAMETERS[0])
    with pytest.raises(SlotError, match="SL405"):
        api.plan(api.loads(text, {"slots": 8192}), PARAMETERS[0])
