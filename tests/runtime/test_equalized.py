"""Equalized channels: exact, folded into the weights that meet them, and refused everywhere else."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from worlds import PAIRS, ROOMY, World, error, relabeled

from slotlang_runtime import Client, EvaluationKeys, Rejected, Server, Weights
from slotlang_runtime.equalized import divided, equalize, from_json, to_json, weights_that_meet
from slotlang_runtime.module import Module

OUTLIERS = {"x": [0, 6, 0, 0, 3, 0, 0, 0]}
"""Of the eight channels of ``PAIRS``."""


@pytest.fixture(scope="module")
def world() -> World:
    return World(PAIRS, ROOMY)


def weights_of(world: World) -> dict[str, Any]:
    """Weights that are small where inputs are large, as trained ones are."""
    weights = {name: np.array(array) for name, array in world.weights.items()}
    weights["B"][:, 1] /= 64
    weights["B"][:, 4] /= 8
    return weights


def outlying(world: World) -> Any:
    return world.inputs["x"] * np.exp2(OUTLIERS["x"])


def test_exponents_are_powers_of_two_of_sizes_over_the_median() -> None:
    rng = np.random.default_rng(0)
    samples = rng.choice([-1.0, 1.0], (9, 50)) * np.array([1, 1, 1, 1, 100, 1000, 0.01, 3, 0])[:, None]
    # log2 of 100, 1000 and 3 are 6.6, 10.0 and 1.6; small channels and zeros stay
    for power, expected in ((1.0, [0, 0, 0, 0, 7, 10, 0, 2, 0]), (0.5, [0, 0, 0, 0, 3, 5, 0, 1, 0]), (0.0, [0] * 9)):
        for sample in (samples, samples[:, 0], samples * 1e-300, samples * 1e300):
            assert equalize(sample, power).tolist() == expected
    assert equalize(samples).tolist() == equalize(samples, 0.5).tolist()
    assert equalize(np.zeros((4, 3))).tolist() == [0] * 4
    assert equalize(np.array([[1e-300], [1e-300], [1e300]]), 1.0).tolist() == [0, 0, 256]


def test_no_norm_grows() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        samples = rng.standard_normal((12, 5)) * 10.0 ** rng.uniform(-6, 6, (12, 1))
        exponents = equalize(samples, rng.uniform(0, 1))
        others = rng.standard_normal((12, 40)) * 10.0 ** rng.uniform(-6, 6, (12, 40))
        assert (np.abs(divided("x", others, exponents)) <= np.abs(others)).all()


@pytest.mark.parametrize("bad", [np.array([1.0, np.nan]), np.zeros((0, 3)), np.array(1.0), np.array(["a"])])
def test_samples_that_are_not_numbers(bad: Any) -> None:
    with pytest.raises(Rejected) as caught:
        equalize(bad)
    assert caught.value.code == "SL541"


@pytest.mark.parametrize("power", [-0.1, 1.1, float("nan")])
def test_powers_beyond_one(power: float) -> None:
    with pytest.raises(Rejected, match="the power is a number from 0 to 1"):
        equalize(np.ones(3), power)


def test_outliers_beyond_the_limit_come_out_right(world: World) -> None:
    weights, x = weights_of(world), outlying(world)
    x[1] = 500.0
    expected = weights["A"] @ weights["B"] @ x
    with pytest.raises(Rejected, match=r"the norm of x is .*; this program takes norms up to 32:"):
        world.client.encrypt(x=x)
    client = Client(world.module, world.client.secret, equalize=OUTLIERS)
    server = Server(Weights.encode(world.module, equalize=OUTLIERS, **weights))
    found = client.decrypt(server.evaluate(client.encrypt(x=x), world.keys).data)
    assert error(found, expected) < 1e-2
    with pytest.raises(Rejected, match=r"the norm of x, equalized, is .*; this program takes norms up to 32:"):
        client.encrypt(x=10 * x)


def test_slots_and_plaintexts_are_those_of_the_quotients_and_products(world: World) -> None:
    client = Client(world.module, world.client.secret, equalize=OUTLIERS)
    x = outlying(world)
    packed = client.pack({"x": x})
    alone = world.client.pack({"x": x / np.exp2(OUTLIERS["x"])})
    assert all(np.array_equal(packed[name], alone[name]) for name in packed)
    folded = Weights.encode(world.module, equalize=OUTLIERS, **weights_of(world))
    products = {**weights_of(world), "B": weights_of(world)["B"] * np.exp2(OUTLIERS["x"])}
    assert folded.engine.records() == Weights.encode(world.module, **products).engine.records()


def test_both_sides_must_have_the_same_exponents(world: World) -> None:
    weights = weights_of(world)
    other = {"x": [0, 5, 0, 0, 3, 0, 0, 0]}
    sides: list[dict[str, Any]] = [{}, {"equalize": OUTLIERS}, {"equalize": other}]
    uploads = [Client(world.module, world.client.secret, **side).encrypt(**world.inputs) for side in sides]
    for number, side in enumerate(sides):
        encoded = Weights.encode(world.module, **side, **weights)
        for server in (Server(encoded), Server(Weights.from_bytes(world.module, encoded.to_bytes()))):
            for place, upload in enumerate(uploads):
                if place == number:
                    server.evaluate(upload, world.keys)
                    continue
                theirs, ours = ("nothing" if n == 0 else "exponents [0-9a-f]{16}" for n in (place, number))
                message = f"x is equalized by {theirs}; the weights of pairs expect {ours}: give client and server"
                with pytest.raises(Rejected, match=message) as caught:
                    server.evaluate(upload, world.keys)
                assert caught.value.code == "SL542"
    for label in ([], "x", {"x": 5}, {"z": "0"}):
        with pytest.raises(Rejected):
            world.server.evaluate(relabeled("inputs", uploads[0], equalized=label or {"": 1}), world.keys)
        with pytest.raises(Rejected, match="do not say how"):
            Weights.from_bytes(world.module, relabeled("weights", world.encoded.to_bytes(), equalized=label or [1]))


def test_exponents_of_zero_are_none(world: World) -> None:
    nothing = {"x": [0] * 8}
    client = Client(world.module, world.client.secret, equalize=nothing)
    assert error(client.decrypt(world.answer(client.encrypt(**world.inputs)).data), world.expected()) < 1e-2
    encoded = Weights.encode(world.module, equalize=nothing, **world.weights)
    assert encoded.to_bytes() == world.encoded.to_bytes()


@pytest.mark.parametrize(
    ("exponents", "message"),
    [
        ({"A": [0] * 8}, "pairs has no input A with channels: it has x"),
        ({"x": [0] * 7}, r"exponents of x are 8 whole numbers, one for each channel, not int64 of shape \(7,\)"),
        ({"x": [0.5] * 8}, "8 whole numbers, one for each channel, not float64"),
        ({"x": [[1] * 8]}, r"not int64 of shape \(1, 8\)"),
        ({"x": [0] * 7 + [257]}, "exponent 7 of x is 257; they go to 256"),
        ({"x": [-1000] + [0] * 7}, "exponent 0 of x is -1000"),
    ],
)
def test_exponents_that_do_not_fit(world: World, exponents: Any, message: str) -> None:
    for action in (
        lambda: Client(world.module, world.client.secret, equalize=exponents),
        lambda: Weights.encode(world.module, equalize=exponents, **world.weights),
    ):
        with pytest.raises(Rejected, match=message) as caught:
            action()
        assert caught.value.code == "SL541"


def test_what_is_not_exact_is_refused(world: World) -> None:
    exponents = {"x": [0, 200, 0, 0, 0, 0, 0, 0]}
    client = Client(world.module, world.client.secret, equalize=exponents)
    x = np.zeros(8)
    x[1] = 1e-260
    with pytest.raises(Rejected, match=r"x\[1\] is 1e-260, and 2\^-200 times that is not exact in double precision"):
        client.encrypt(x=x)
    weights = weights_of(world)
    weights["B"][2, 1] = 1e250
    with pytest.raises(Rejected, match=r"B\[2, 1\] is 1e\+250, and 2\^200 times that is not exact"):
        Weights.encode(world.module, equalize=exponents, **weights)
    tiny = np.array([5e-324, 0.0])
    assert (divided("x", tiny, np.array([-100, 100])) == [5e-324 * 2.0**100, 0.0]).all()


def with_forms(world: World, **forms: Any) -> Module:
    """A module with theorems of these forms, and tensors for them; none of it is run."""
    square = dict.fromkeys("ABG", (4, 4))
    return dataclasses.replace(
        world.module,
        inputs={"x": (4,), "z": (4, 2)},
        weights={**square, "w": (4,)},
        scalars=["scale"],
        results=dict.fromkeys(forms, ((4,), float)),
        forms={name: form for name, form in forms.items() if form is not None},
    )


ONES = np.array([1, 0, 0, 0])


@pytest.mark.parametrize(
    ("forms", "names", "meet"),
    [
        ({"y": [(1.0, "scale", "A", "B", "x")]}, "x", {"B": (1, "x")}),
        ({"y": [(1.0, "A", "B.T", "x")]}, "x", {"B": (0, "x")}),
        ({"y": [(1.0, "w", "x")]}, "x", {"w": (0, "x")}),
        ({"y": [(1.0, "A", "x"), (2.0, "B", "z")]}, "x", {"A": (1, "x")}),
        ({"y": [(1.0, "A", "x"), (2.0, "B", "z")]}, "xz", {"A": (1, "x"), "B": (1, "z")}),
        ({"y": [(1.0, "A", "x")], "u": [(1.0, "G", "A", "x")]}, "x", {"A": (1, "x")}),
        ({"y": [(1.0, "A", "x"), (1.0, "A", "z")]}, "xz", {"A": (1, "z")}),
        ({"y": [(1.0, "A", "x")]}, "", {}),
        ({"y": [(1.0, "A", "x"), (1.0, "A", "z")]}, "x", "A stands in several places"),
        ({"y": [(1.0, "A", "A", "x")]}, "x", "A stands in several places"),
        ({"y": [(1.0, "A", "x")], "u": [(1.0, "A.T", "x")]}, "x", "A stands in several places"),
        ({"y": [(1.0, "A", "x")], "u": [(1.0, "A", "B", "z")]}, "x", "A stands in several places"),
        ({"y": [(1.0, "x")]}, "x", "nothing stands before x in y, and not a weight"),
        ({"y": [(1.0, "scale", "x")]}, "x", "scale stands before x in y, and not a weight"),
        ({"y": [(1.0, "z", "x")]}, "x", "z stands before x in y, and not a weight"),
        ({"y": [(1.0, "x.T", "A", "x")]}, "x", "x does not stand last in y"),
        ({"y": [(1.0, "x.T", "A", "z")]}, "x", "x does not stand last in y"),
        ({"y": [(1.0, "A", "x")], "u": None}, "x", "u is not proved to be a sum of products that end with an input"),
    ],
)
def test_which_weights_meet_the_channels(world: World, forms: Any, names: str, meet: Any) -> None:
    module, exponents = with_forms(world, **forms), dict.fromkeys(names, ONES)
    if isinstance(meet, dict):
        assert weights_that_meet(module, exponents) == meet
        return
    with pytest.raises(Rejected, match=f"x can't be equalized in this program: {meet}") as caught:
        weights_that_meet(module, exponents)
    assert caught.value.code == "SL541"


def test_two_inputs_with_other_exponents_do_not_share_a_weight(world: World) -> None:
    module = with_forms(world, y=[(1.0, "A", "x"), (1.0, "A", "z")])
    with pytest.raises(Rejected, match="A stands in several places"):
        weights_that_meet(module, {"x": ONES, "z": 2 * ONES})


def test_a_weight_may_be_called_equalize() -> None:
    world = World(PAIRS.replace("A[", "equalize[").replace("A @", "equalize @"), ROOMY)
    assert error(world.result(), world.expected()) < 1e-2


def test_exponents_go_through_a_file() -> None:
    text = to_json({"x": np.array([0, 3, -2]), "z": [1]})
    found = from_json(text)
    assert {name: array.tolist() for name, array in found.items()} == {"x": [0, 3, -2], "z": [1]}
    assert to_json(found) == text
    for bad in (
        "", "{}", "[]", "null", text[:-3], text.replace("/1", "/2"), text.replace("3", "3.5"),
        text.replace("3", "true"), text.replace("3", "1" * 400), text.replace("[1]", "1"), "[" * 100_000,
    ):  # fmt: skip
        with pytest.raises(Rejected, match="this is not a file of exponents"):
            from_json(bad)


def test_one_upload_serves_programs_with_the_same_exponents(world: World) -> None:
    other = World(PAIRS.replace("program pairs", "program again"), ROOMY, secret=world.client.secret)
    client = Client(world.module, world.client.secret, equalize=OUTLIERS)
    upload = client.encrypt(x=outlying(world))
    keys = EvaluationKeys.from_bytes(world.client.secret.evaluation_keys(world.module, other.module))
    for here in (world, other):
        weights = weights_of(here)
        server = Server(Weights.encode(here.module, equalize=OUTLIERS, **weights))
        found = Client(here.module, world.client.secret).decrypt(server.evaluate(upload, keys).data)
        assert error(found, weights["A"] @ weights["B"] @ outlying(world)) < 1e-2
