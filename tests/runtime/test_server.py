"""The server: one upload for several programs, several evaluations, and what it refuses."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from worlds import PAIRS, SMALL, World, error, layer

from slotlang.planning.parameters import Parameters
from slotlang_runtime import EvaluationKeys, Rejected
from slotlang_runtime.labels import inputs_label, limits_label
from slotlang_runtime.wire import pack, unpack


@pytest.fixture(scope="module")
def world() -> World:
    return World(PAIRS)


def test_programs_that_pack_alike_share_an_upload() -> None:
    """Query, key and value of one x: it is encrypted once, and one set of keys does for all."""
    query = World(layer("q", 3))
    key, value = (World(layer(name, n), secret=query.client.secret) for name, n in (("k", 3), ("v", 2)))
    modules = [world.module for world in (query, key, value)]
    assert len({module.packing_digest for module in modules}) == 1
    assert len({module.identity["hash"] for module in modules}) == 3
    keys = EvaluationKeys.from_bytes(query.client.secret.evaluation_keys(*modules))
    upload = query.client.encrypt(**query.inputs)
    for world in (query, key, value):
        found = world.client.decrypt(world.server.evaluate(upload, keys).data)
        assert error(found, world.expected(**query.inputs)) < 1e-2


@pytest.mark.parametrize(
    ("text", "parameters", "message"),
    [
        # another place of each element
        (layer("k").replace("x[slot % d]", "x[(slot + 1) % d]"), SMALL, "packing [0-9a-f]{16}...; k needs packing "),
        # the same slots, read from another input
        (layer("k").replace("x[", "z[").replace("@ x", "@ z"), SMALL, r"input shapes \{'x': \[8\]\}; k needs"),
        (layer("k").replace("x[d]", "x[d], z[d]"), SMALL, r"input shapes \{'x': \[8\]\}; k needs input shapes \{'x': "),
        (layer("k").replace("slots = 16", "slots = 32"), SMALL, "slots 16; k needs slots 32"),
        (layer("k"), Parameters(4096, (36, 36, 37), 21), "bits of scale 20; k needs bits of scale 21"),
        (layer("k"), Parameters(4096, (36, 36, 36), 20), r"bits of primes \[36, 36, 37\]; k needs bits of primes"),
        (layer("k"), Parameters(8192, (60, 60, 60), 36), "degree 4096; k needs degree 8192"),
    ],
)
def test_programs_that_pack_otherwise_refuse_it(text: str, parameters: Parameters, message: str) -> None:
    query, other = World(layer("q")), World(text, parameters)
    with pytest.raises(Rejected, match=f"these inputs are for {message}"):
        other.answer(query.upload)


def test_bytes_of_keys_are_not_keys(world: World) -> None:
    data = world.client.evaluation_keys()
    for evaluate in (
        lambda: world.server.evaluate(world.upload, data),  # type: ignore[arg-type]
        lambda: world.server.compute(world.server.load(world.upload), data),  # type: ignore[arg-type]
    ):
        with pytest.raises(Rejected, match="keys are bytes, not EvaluationKeys") as refused:
            evaluate()
        assert refused.value.code == "SL544"


def test_a_digest_does_not_depend_on_names_of_the_program() -> None:
    plain = World(layer("q"))
    renamed = World(layer("q").replace("X", "Cipher").replace("= x[slot % d]", "= x[(slot + 16) % d]"))
    assert plain.module.packing_digest == renamed.module.packing_digest
    swapped = """program two(n = 8, slots = 8)
input x[n], z[n]
cipher A = {a}[slot]
cipher B = {b}[slot]
Y = A + B
output y[slot] = Y
prove y == x
"""
    one, two = (World(swapped.format(a=a, b=b)) for a, b in ("xz", "zx"))
    assert one.module.packing_digest != two.module.packing_digest


def test_several_evaluations_in_a_row_with_different_inputs(world: World) -> None:
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal(8) for _ in range(5)]
    seen: list[int] = []
    uploads = [world.client.encrypt(x=x) for x in inputs]
    answers = world.server.evaluate_many(iter(uploads), world.keys, seen.append)
    assert seen == [1, 2, 3, 4, 5]
    for x, answer in zip(inputs, answers, strict=True):
        assert error(world.client.decrypt(answer.data), world.expected(x=x)) < 1e-2
        assert answer.counts == answers[0].counts == world.plan.counts.executed()
        assert answer.vanished == 0 and answer.seconds > 0
    backwards = world.server.evaluate_many(uploads[::-1], world.keys)
    for x, answer in zip(inputs[::-1], backwards, strict=True):
        assert error(world.client.decrypt(answer.data), world.expected(x=x)) < 1e-2
    assert world.server.evaluate_many([], world.keys) == []


def test_loaded_inputs_are_evaluated_again(world: World) -> None:
    loaded = world.server.load(world.upload)
    before = dict(loaded)
    first, _ = world.server.compute(loaded, world.keys)
    second, seconds = world.server.compute(loaded, world.keys)
    assert loaded == before and seconds > 0
    assert first.counts == second.counts == Counter(world.plan.counts.executed())


def test_an_upload_that_is_refused_stops_the_row(world: World) -> None:
    seen: list[int] = []
    with pytest.raises(Rejected, match="truncated"):
        world.server.evaluate_many([world.upload, world.upload[:-9], world.upload], world.keys, seen.append)
    assert seen == [1]


def test_records_of_inputs_that_are_missing(world: World) -> None:
    label = {**inputs_label(world.module), "limits": limits_label(world.module.limits)}
    for records, message in (
        ({}, "0 is missing from these inputs"),
        ({"0": None}, "an input is missing"),
        ({"0": b"x"}, r"an input ends too early: it has 1 byte\b"),
        ({"0": unpack("inputs", world.upload).records["0"], "1": b""}, "unexpected 1 among these inputs"),
    ):
        with pytest.raises(Rejected, match=message):
            world.answer(pack("inputs", label, records))


def test_inputs_that_do_not_say_their_limits(world: World) -> None:
    with pytest.raises(Rejected, match="these inputs do not say how large x may be"):
        world.answer(pack("inputs", inputs_label(world.module), unpack("inputs", world.upload).records))


def test_answers_do_not_show_their_bytes(world: World) -> None:
    assert len(repr(world.answer())) < 300


def test_what_seal_can_not_evaluate_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    from slotlang_runtime.seal.operations import SealOperations

    world = World(PAIRS, kernel="seal")

    def wrong(self: object, *_: object, **__: object) -> None:
        raise ValueError("scale mismatch")

    monkeypatch.setattr(SealOperations, "add", wrong)
    with pytest.raises(Rejected, match="SEAL can't evaluate these ciphertexts: scale mismatch"):
        world.answer()
