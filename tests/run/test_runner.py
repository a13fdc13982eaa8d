"""Encrypted runs at 128-bit security: what is executed is what was counted, and the result is numpy's."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from amounts import one_in
from small_programs import CASES, Case, case

from slotlang import api
from slotlang.diagnostics import SlotError
from slotlang.planning.parameters import MAX_MODULUS_BITS, Parameters
from slotlang.run.roles import roles
from slotlang.run.runner import RunReport, execute, load_module, random_data
from slotlang.source import Source
from slotlang.syntax.parser import parse
from slotlang_runtime import Client, EvaluationKeys, Server, Weights
from slotlang_runtime.kernels import library
from slotlang_runtime.kernels.processor import processor

WORST_ERROR = 1e-5
HEADERS = 700
"""Bytes of headers around one saved object, name and seed included; of a container some 400."""

RESCALING = Parameters(8192, (60, 40, 40, 60), 40, (1, 2))
RESCALING_WITH_ROOM = Parameters(16384, (60, 40, 40, 40, 60), 40, (1, 2))
"""With room for masks of slots whose contents no weights bound."""
SCALES_GROW = Parameters(16384, (60, 60, 60, 60, 60), 40)
SHARED_OUT = Parameters(8192, (60, 60, 60), 44, (), (44, 30, 34))
"""A scale for the inputs, and one for the plaintexts of each product in a row."""
AFTER_TWO = Parameters(8192, (60, 60, 60), 40, (2,), (40, 34, 34))
AFTER_TWO_AND_FOUR = Parameters(16384, (60, 60, 60, 60, 60), 39, (2, 4))


@cache
def lowered(text: str, parameters: Parameters | None = None) -> api.Lowered:
    return api.lower(api.loads(text), parameters)


def run(text: str, parameters: Parameters | None = None, seed: int = 0) -> RunReport:
    made = lowered(text, parameters)
    inputs, weights = random_data(made.plan.program, seed)
    return execute(made.text, made.plan.counts.executed(), inputs, weights)


def check_run(text: str, parameters: Parameters | None = None) -> None:
    report = run(text, parameters)
    assert report.counts_match, (report.executed, report.predicted)
    assert report.relative_error < WORST_ERROR
    assert report.passed
    made = lowered(text, parameters)
    cost = api.cost(made.plan.program, made.plan.parameters)
    counts, sent = cost.counts, report.bytes
    assert sum(cost.parameters["primes"]) <= MAX_MODULUS_BITS[cost.parameters["degree"]]
    for found, predicted, objects in (
        (sent["upload"], cost.upload_bytes, counts.ciphertexts_in),
        (sent["download"], cost.download_bytes, counts.ciphertexts_out),
        (sent["evaluation keys"], cost.evaluation_key_bytes, counts.galois_keys + 1),
    ):
        assert abs(found - predicted) <= 0.03 * predicted + 400 + HEADERS * objects


@pytest.mark.parametrize("small", one_in(2, CASES[::-1], lambda c: c.name))
def test_small_programs(small: Case) -> None:
    """Those that always run are not those of ``tests/emit/test_standalone.py``: together they are all."""
    check_run(small.text)


@pytest.mark.parametrize(
    ("name", "parameters"),
    one_in(
        2,
        [
            ("horner and doubling", RESCALING),
            ("sums of different depth", RESCALING),
            ("signs and plain additions", RESCALING),
            ("padding", RESCALING),
            ("products of ciphertexts", RESCALING_WITH_ROOM),
            ("a permutation of several levels", RESCALING),
            ("products of products", SCALES_GROW),
            ("horner and doubling", SHARED_OUT),
            ("sums of different depth", SHARED_OUT),
            ("signs and plain additions", SHARED_OUT),
            ("horner and doubling", AFTER_TWO),
            ("sums of different depth", AFTER_TWO),
            ("signs and plain additions", AFTER_TWO),
            ("products of products", AFTER_TWO_AND_FOUR),
            ("a permutation of several levels", AFTER_TWO_AND_FOUR),
        ],
        lambda case: f"{case[0]}-{case[1]}",
    ),
)
def test_parameters_given(name: str, parameters: Parameters) -> None:
    check_run(case(name).text, parameters)


@pytest.mark.parametrize("slots", [1, 2, 8192, 16384])
def test_numbers_of_slots(slots: int) -> None:
    text = f"""program wide(slots = {slots})
input x[slots]
weight b[slots]
cipher X = x[slot]
plain B = b[(slot + 3) % slots]
Y = 1/2 * ((X << 3) + X) - 1/2 * X + B
output y[(slot + 3) % slots] = Y
prove y == 1/2 * x + b
"""
    check_run(text)


def test_the_example_at_its_default_sizes(root: Path) -> None:
    session = api.run(root / "programs" / "rank_complex.slot")
    counts, report = session.lowered.plan.counts, session.report
    assert (counts.rotations, counts.key_switches, counts.galois_keys, counts.plain_products) == (20, 20, 7, 128)
    assert counts.hoistable == 7
    assert report.executed == {"rotations": 20, "plain_products": 128, "additions": 125}
    assert report.counts_match
    assert report.relative_error < 1e-6


def test_shifts_that_many_products_write_are_few_rotations(root: Path) -> None:
    graph = api.plan(api.load(root / "programs" / "rank_complex.slot")).graph
    written = sum(node.kind == "mul_plain" for node in graph.nodes if node.plain is not None and node.plain[0] == "V")
    unshifted = sum(
        1 for node in graph.nodes if node.plain is not None and node.plain[0] == "V" and node.plain[1][0] == 0
    )
    assert written - unshifted == 56
    assert sum(node.kind == "rotate" and graph.statement[n] == "S_rotated" for n, node in enumerate(graph.nodes)) == 7


def test_an_independent_reference() -> None:
    made = lowered(case("horner and doubling").text)
    inputs, weights = random_data(made.plan.program, 3)
    module = load_module(made.text)
    client = Client(module)
    server = Server(Weights.encode(module, **{**weights, "scale": 0.75}))
    keys = EvaluationKeys.from_bytes(client.evaluation_keys())
    found = client.decrypt(server.evaluate(client.encrypt(**inputs), keys).data)
    expected = 0.75 * np.einsum("ij,jk,kt->it", weights["A"], weights["B"], inputs["x"])
    assert np.abs(found - expected).max() < 1e-6


@pytest.mark.parametrize("zero", ["A", "B", "scale"])
def test_weights_that_are_zero_give_a_zero_answer(zero: str) -> None:
    """A fresh adapter has one zero matrix; SEAL refuses products with zero plaintexts."""
    made = lowered(case("horner and doubling").text)
    inputs, weights = random_data(made.plan.program, 0)
    report = execute(made.text, made.plan.counts.executed(), inputs, {**weights, zero: 0 * weights[zero]})
    assert report.passed
    assert report.dropped > 0
    assert report.max_error == 0
    assert report.executed.get("plain_products", 0) <= 8


def test_a_plaintext_added_to_what_zero_weights_leave() -> None:
    text = """program affine(slots = 4)
input x[slots]
weight A[slots, slots], b[slots], D[slots, slots]
cipher X = x[slot]
plain W[q < 4] = A[slot, (slot + q) % 4]
plain B = b[slot]
plain V[q < 4] = D[slot, (slot + q) % 4]
S = (sum q < 4: (X << q) * W[q]) - B
Y = sum q < 4: (S << q) * V[q]
output s[slot] = S
output y[slot] = Y
prove s == A @ x - b
prove y == D @ A @ x - D @ b
"""
    for parameters in (None, RESCALING):
        made = lowered(text, parameters)
        inputs, weights = random_data(made.plan.program, 1)
        weights = {**weights, "A": 0 * weights["A"]}
        report = execute(made.text, made.plan.counts.executed(), inputs, weights)
        assert report.passed
        assert report.relative_error < WORST_ERROR


def test_terms_that_cancel_give_a_zero_answer() -> None:
    text = """program cancelling(slots = 4)
input x[slots]
weight A[slots, slots]
cipher X = x[slot]
plain W = A[0, slot]
P = X * W
T = P + (P << 1)
Y = T - ((P << 1) + P)
output y[slot] = Y
prove y == A @ x - A @ x
"""
    report = run(text)
    assert report.passed
    # key switches are added up before any is divided, and what is left is (0, 1): the secret, of coefficients -1, 0, 1
    parameters = lowered(text).plan.parameters
    secret = parameters.degree / 2.0 ** parameters.carried_bits(0, 1)
    assert report.max_error <= secret
    # two ciphertexts of the same data do not cancel: their noise is left
    apart = text.replace("plain W", "cipher Z = x[slot]\nplain W").replace("+ P)", "+ Z * W)")
    assert run(apart).max_error > 1000 * secret


def test_data_too_large_for_the_scale_are_refused() -> None:
    made = lowered(case("horner and doubling").text)
    inputs, weights = random_data(made.plan.program, 0)
    for data, code in (
        ((inputs, {**weights, "A": weights["A"] * 1e30}), "SL532"),
        (({**inputs, "x": inputs["x"] * 1e30}, weights), "SL531"),
    ):
        with pytest.raises(SlotError) as refused:
            execute(made.text, made.plan.counts.executed(), *data)
        assert refused.value.diagnostics[0].code == code


def test_a_result_that_is_wrong_does_not_pass() -> None:
    made = lowered(case("as written").text)
    inputs, weights = random_data(made.plan.program, 0)
    broken = made.text.replace("return A[slot, (slot + q) % slots]", "return A[slot, (slot + q + 1) % slots]")
    assert broken != made.text
    report = execute(broken, made.plan.counts.executed(), inputs, weights)
    assert report.counts_match
    assert not report.passed


def test_predicted_counts_are_compared() -> None:
    made = lowered(case("as written").text)
    inputs, weights = random_data(made.plan.program, 0)
    report = execute(made.text, {**made.plan.counts.executed(), "rotations": 14}, inputs, weights)
    assert not report.counts_match
    assert not report.passed
    assert replace(report, executed={**report.executed, "rotations": 14}, counts_match=True).passed


@pytest.mark.parametrize(
    ("theorem", "fits"),
    [
        ("scale * A @ B @ x", True),
        ("A @ B @ x", True),
        ("A @ (B @ x) * scale", True),
        ("2 * A @ B @ x", False),
        ("A @ x", False),
        ("scale * scale * A @ B @ x", False),
        ("A @ A @ x", False),
        ("A @ B @ x + x", False),
    ],
)
def test_programs_that_take_adapters(theorem: str, fits: bool) -> None:
    text = f"""program p(d = 4, r = 4, slots = 4)
input x[d]
weight A[d, r], B[r, d]
scalar scale
cipher X = x[slot]
output y[slot] = X
prove y == {theorem}
"""
    syntax = parse(Source("p", text))
    if fits:
        (role,) = roles(syntax)
        assert (role.output, role.up.name) == ("y", "A")
    else:
        with pytest.raises(SlotError, match="SL506"):
            roles(syntax)


def test_a_run_says_why_products_are_left_to_seal(monkeypatch: pytest.MonkeyPatch) -> None:
    program = api.loads(case("horner and doubling").text)
    assert run(case("horner and doubling").text).note == ""
    # as in a new process
    monkeypatch.setattr(library, "_LOADED", {})
    monkeypatch.setattr(library, "processor", processor.__wrapped__)
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    made = api.lower(program)
    inputs, weights = random_data(program, 0)
    report = execute(made.text, made.plan.counts.executed(), inputs, weights)
    assert report.passed and "llvmlite can't be imported" in report.note
