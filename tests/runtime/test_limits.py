"""The largest inputs: what is refused and how that is said, which uploads programs share, and bounds of weights."""

from __future__ import annotations

import re
from math import inf, nan, sqrt
from typing import Any

import numpy as np
import pytest
from worlds import PAIRS, ROOMY, World, emitted, error, layer, relabeled

from slotlang import api
from slotlang.codes import EXPLANATIONS
from slotlang.meaning.bounds import MAX_LIMIT_BITS
from slotlang.planning.limits import default_limit, limits
from slotlang.run import runner
from slotlang.run.runner import load_module
from slotlang_runtime import Client, EvaluationKeys, Rejected, Server, Weights, errors
from slotlang_runtime.data import random_data
from slotlang_runtime.labels import limits_label
from slotlang_runtime.limits import LARGEST_BOUND, Limit, told_apart, written
from slotlang_runtime.script import main
from slotlang_runtime.wire import unpack


def refused(limit: Limit, values: Any) -> str:
    """The message about an input called x."""
    with pytest.raises(Rejected) as found:
        limit.check("x", values)
    assert found.value.code == "SL531"
    return str(found.value)


# what is refused


def test_an_element_beyond_its_limit() -> None:
    down = "scale x down and the result up, or lower the program with"
    assert (
        refused(Limit(entry=8.0), np.array([1.0, -9.375, 2.0]))
        == f"x[1] is -9.375; this program takes elements up to 8: {down} --bound x=9.38{errors.FOR_DATA}"
    )
    values = np.zeros((3, 2))
    values[2, 1] = 123456.0
    assert (
        refused(Limit(entry=0.25), values)
        == f"x[2, 1] is 1.235e+05; this program takes elements up to 0.25: {down} --bound x=1.24e+05{errors.FOR_DATA}"
    )


def test_a_norm_beyond_its_limit() -> None:
    down = "scale x down and the result up, or lower the program with"
    assert (
        refused(Limit(norm=4.0), np.array([3.0, -4.0]))
        == f"the norm of x is 5; this program takes norms up to 4: {down} --bound-norm x=5{errors.FOR_DATA}"
    )
    # the second token, and not the first row
    values = np.array([[3.0, 6.0], [3.0, 8.0]])
    hint = f"{down} --bound-norm x=10{errors.FOR_DATA}"
    message = f"the norm of token 1 of x is 10; this program takes norms up to 8: {hint}"
    assert refused(Limit(norm=8.0), values) == message
    cube = np.zeros((2, 3, 4))
    cube[:, 2, 1] = 6, 8
    assert refused(Limit(norm=8.0), cube) == message.replace("token 1", "token [2, 1]")
    Limit(norm=10.0).check("x", values)


def test_the_limit_itself_is_taken_and_a_percent_more_is_not() -> None:
    rng = np.random.default_rng(0)
    for shape in ((1,), (5,), (64,), (7, 3), (48, 8)):
        for size in (1e-6, 1.0, 37.5, 1e6):
            values = rng.standard_normal(shape)
            flat = values * (size / np.abs(values).max())
            flat[np.abs(flat) > size] = size
            Limit(entry=size).check("x", flat)
            assert "elements" in refused(Limit(entry=size), 1.01 * flat)
            tall = values * (size / np.sqrt((values**2).sum(axis=0)))
            Limit(norm=size).check("x", tall)
            assert "norms" in refused(Limit(norm=size), 1.01 * tall)


def test_both_limits_hold() -> None:
    both = Limit(norm=5.0, entry=4.0)
    both.check("x", np.array([3.0, 4.0]))
    assert "elements up to 4" in refused(both, np.array([4.5, 0.0]))
    assert "norms up to 5" in refused(both, np.array([4.0, 4.0]))


@pytest.mark.parametrize("limit", [Limit(), Limit(norm=8.0), Limit(entry=8.0), Limit(8.0, 8.0)])
@pytest.mark.parametrize("value", [nan, inf, -inf])
def test_what_is_not_a_number_is_refused(limit: Limit, value: float) -> None:
    message = refused(limit, np.array([[1.0, 2.0], [3.0, value]]))
    assert message.startswith(f"x[1, 1] is {value:g}; this program takes ") and "--bound" not in message


def test_huge_and_tiny_values() -> None:
    huge, tiny = np.full((3, 2), 1e300), np.full((3, 2), 1e-300)
    with np.errstate(all="raise"):
        # no bound is that large, so none is proposed
        assert refused(Limit(norm=8.0), huge).endswith(
            f"is {sqrt(3) * 1e300:.4g}; this program takes norms up to 8: scale x down and the result up"
        )
        assert "x[0, 0] is 1e+300" in refused(Limit(entry=8.0), huge)
        Limit().check("x", huge)
        Limit(norm=1.8e300, entry=1e300).check("x", huge)
        assert "norms" in refused(Limit(norm=1.7e300), huge)
        Limit(norm=8.0).check("x", tiny)
        Limit(norm=1.8e-300, entry=1e-300).check("x", tiny)
        assert "norm of token 0 of x is 1.732e-300" in refused(Limit(norm=1.7e-300), tiny)
        assert "norms" in refused(Limit(norm=8.0), np.full(9, 1.7e308))
        for smallest in (5e-324, 0.0):
            Limit(norm=8.0).check("x", np.full((3, 2), smallest))
        Limit(norm=8.0).check("x", np.zeros((0, 2)))


def test_the_bound_that_is_proposed_takes_the_input() -> None:
    assert LARGEST_BOUND == 2**MAX_LIMIT_BITS
    rng = np.random.default_rng(1)
    for _ in range(40):
        values = rng.standard_normal(3) * 10.0 ** rng.uniform(-5, 30)
        for limit, entry in ((Limit(entry=1e-9), True), (Limit(norm=1e-9), False)):
            found = re.search(r"--bound(-norm)? x=(\S+) and --data", refused(limit, values))
            assert found is not None and (found[1] is None) == entry
            bound = float(found[2])
            (Limit(entry=bound) if entry else Limit(norm=bound)).check("x", values)
            size = np.abs(values).max() if entry else sqrt((values**2).sum())
            assert bound <= size * 1.011
            # and a program can say so
            program = api.loads(layer("q"), bounds={"x" if entry else "norm(x)": found[2]})
            assert limits(program)["x"].largest == pytest.approx(bound)


# arithmetic of limits


def test_limits_meet_and_imply_each_other() -> None:
    a, b = Limit(norm=8.0, entry=2.0), Limit(norm=4.0, entry=3.0)
    assert a.meet(b) == b.meet(a) == Limit(4.0, 2.0)
    assert a.meet(None) == a and Limit().meet(a) == a
    assert a.times(0.5) == Limit(4.0, 1.0)
    assert (a.largest, Limit(norm=3.0).largest, Limit(entry=3.0).largest) == (2.0, 3.0, 3.0)
    # four elements of 2 have a norm of 4, and no element of a token of norm 1 exceeds 1
    assert a.within(4) == Limit(4.0, 2.0) and a.within(100) == Limit(8.0, 2.0)
    assert Limit(norm=1.0, entry=2.0).within(9) == Limit(1.0, 1.0)
    assert Limit(entry=2.0).within(9) == Limit(6.0, 2.0)


def test_limits_as_a_program_writes_them() -> None:
    assert Limit(norm=256.0, entry=8.0).text("x", 2) == "norm(x[:, t]) <= 256 and |x| <= 8"
    assert Limit(entry=0.5).text("x", 1) == "|x| <= 0.5"
    assert Limit(norm=3.0).text("x", 1) == "norm(x) <= 3"
    assert Limit().text("x", 2) == "any x"


def test_values_are_fitted_to_a_limit() -> None:
    values = np.array([[3.0, 0.3], [4.0, -0.4]])
    for limit in (Limit(norm=2.0), Limit(entry=1.5), Limit(norm=2.0, entry=1.9), Limit(norm=1e-3), Limit(entry=1e-30)):
        found = limit.fitted(values)
        limit.check("x", found)
        # of the same direction, and as large as allowed
        assert np.allclose(found / found[0, 0], values / 3)
        assert refused(limit, found * 1.01)
    assert Limit(5.0, 4.0).fitted(values) is values and Limit().fitted(values) is values


def test_limits_of_a_program() -> None:
    # a root mean square of 4; in tokens of less than 64 elements more
    assert default_limit((256, 3)) == Limit(norm=64.0)
    assert default_limit((64,)) == default_limit((16, 3)) == default_limit((1, 8)) == Limit(norm=32.0)
    text = layer("q")
    assert limits(api.loads(text))["x"] == Limit(norm=32.0)
    for bounds, limit in (
        ({"x": "1/4"}, Limit(entry=0.25)),
        ({"norm(x)": 3}, Limit(norm=3.0)),
        ({"norm(x)": 3, "x": 2}, Limit(norm=3.0, entry=2.0)),
    ):
        program = api.loads(text, bounds=bounds)
        assert limits(program) == load_module(emitted(program).text).limits == {"x": limit}


# clients, servers and labels


def smaller(limit: float, text: str = layer("q"), **options: Any) -> World:
    """A program with a bound of norms of x."""
    return World(text + f"bound norm(x) <= {limit:g}\n", **options)


@pytest.fixture(scope="module")
def world() -> World:
    return smaller(8)


def test_a_client_refuses_what_is_too_large(world: World) -> None:
    x = np.full(8, sqrt(8))
    assert error(world.result(world.client.encrypt(x=x)), world.expected(x=x)) < 1e-2
    with pytest.raises(Rejected, match=r"norm of x is 8.08; .* norms up to 8: .*-norm x=8.09 and --data") as found:
        world.client.encrypt(x=1.01 * x)
    assert found.value.code == "SL531"
    modest = Client(world.module, world.client.secret, limits={"x": Limit(entry=1.0)})
    assert modest.limits == {"x": Limit(norm=8.0, entry=1.0)}
    with pytest.raises(Rejected, match="takes elements up to 1:"):
        modest.encrypt(x=1.01 * np.ones(8))
    # a client does not raise the limit of its module
    assert Client(world.module, world.client.secret, limits={"x": Limit(norm=99.0)}).limits == world.module.limits


def test_limits_are_part_of_an_upload(world: World) -> None:
    assert unpack("inputs", world.upload).label["limits"] == {"x": [8.0, None]} == limits_label(world.module.limits)
    assert limits_label({"x": Limit(entry=2.0), "z": Limit()}) == {"x": [None, 2.0], "z": [None, None]}


@pytest.mark.parametrize(
    ("claimed", "message"),
    [
        ({"x": [8.0, None]}, ""),
        ({"x": [8, 3]}, ""),
        ({"x": [0.5, 1e300]}, ""),
        (
            {"x": [8.5, None]},
            "these inputs were encrypted with norms of x up to 8.5; q takes 8: give the client the small",
        ),
        ({"x": [None, None]}, "with norms of x up to any size; q takes 8"),
        ({"x": [None, 1.0]}, "with norms of x up to any size"),
        ({"x": [-1.0, None]}, "norms of x up to -1"),
        ({"x": [nan, None]}, "norms of x up to nan"),
        ({"x": [True, None]}, r"norms of x up to \?"),
        ({"x": [10**400, None]}, r"norms of x up to \?"),
        ({"x": ["8", None]}, r"norms of x up to \?"),
        ({"x": [8.0]}, "do not say how large x may be"),
        ({"x": 8.0}, "do not say how large x may be"),
        ({"z": [8.0, None]}, "do not say how large x may be"),
        ({}, "do not say how large x may be"),
        ([], "do not say how large x may be"),
        (None, "do not say how large x may be"),
    ],
)
def test_limits_that_an_upload_claims(world: World, claimed: Any, message: str) -> None:
    upload = relabeled("inputs", world.upload, limits=claimed)
    if not message:
        assert error(world.result(upload), world.expected()) < 1e-2
        return
    with pytest.raises(Rejected, match=message) as found:
        world.answer(upload)
    assert found.value.code == ("SL531" if "norms" in message else "SL543")


def test_elements_are_compared_too() -> None:
    here = World(layer("q") + "bound |x| <= 4\n")
    assert here.module.limits == {"x": Limit(entry=4.0)}
    for claimed, fits in (([None, 4.0], True), ([9.0, 3.5], True), ([9.0, 4.5], False), ([9.0, None], False)):
        upload = relabeled("inputs", here.upload, limits={"x": claimed})
        if fits:
            here.answer(upload)
            continue
        with pytest.raises(Rejected, match=r"encrypted with elements of x up to .*; q takes 4"):
            here.answer(upload)


def test_limits_stand_in_labels_of_inputs_only(world: World) -> None:
    answer = relabeled("results", world.answer().data, limits={"x": [8.0, None]})
    with pytest.raises(Rejected, match="these results are for limits"):
        world.client.decrypt(answer)


def test_programs_share_an_upload_under_the_smaller_limit() -> None:
    q = smaller(8)
    v = smaller(4, layer("v"), secret=q.client.secret)
    assert q.module.packing_digest == v.module.packing_digest
    x = np.full(8, 1.25)
    own = q.client.encrypt(x=x)
    with pytest.raises(Rejected, match="encrypted with norms of x up to 8; v takes 4") as found:
        v.answer(own)
    assert found.value.code == "SL531"
    shared = Client(q.module, q.client.secret, limits=v.module.limits).encrypt(x=x)
    for one in (q, v):
        assert error(one.result(shared), one.expected(x=x)) < 1e-2
    # the smaller program's own upload is within both
    q.answer(v.client.encrypt(x=x))


def test_results_of_a_program_with_other_limits_are_another_program_s(world: World) -> None:
    other = smaller(4, secret=world.client.secret)
    with pytest.raises(Rejected, match="these results are for hash of program, functions and parameters"):
        world.client.decrypt(other.answer().data)


# weights


def test_weights_are_within_what_the_program_assumes() -> None:
    text = PAIRS + "bound |A| <= 1/2\nbound norm(B[q, :]) <= 2\n"
    here = World(text)
    assert list(here.module.assumptions) == [("A", None, 0.5), ("B", 1, 2.0)]
    a, b = np.full((8, 4), -0.5), np.full((4, 8), 2 / sqrt(8))
    Weights.encode(here.module, A=a, B=b)
    for name, weights, message in (
        (
            "A",
            {"A": 1.01 * a, "B": b},
            r"\|A\| is 0.505, and this program assumes at most 0.5: lower the program with .*--bound A=0.505$",
        ),
        (
            "B",
            {"A": a, "B": 1.01 * b},
            r"a norm of B along its dimension 1 is 2.02, and this program assumes at most 2: "
            r'.*--bound-norm "B\[i0, :\]=2.02"$',
        ),
    ):
        with pytest.raises(Rejected, match=message) as found:
            Weights.encode(here.module, **weights)
        assert (name, found.value.code) == (name, "SL534")


@pytest.mark.parametrize("name", ["A", "B"])
@pytest.mark.parametrize("value", [1e9, 1e30, 1e150, 1e200, 1e300, 1.7e308])
def test_weights_for_which_a_message_could_wrap_are_refused(name: str, value: float) -> None:
    here = World(PAIRS)
    with pytest.raises(Rejected) as found:
        Weights.encode(here.module, **{**here.weights, name: np.full(here.weights[name].shape, value)})
    assert found.value.code == "SL532"


def test_bounds_that_are_proposed_would_do() -> None:
    """The message about weights names limits of inputs under which they are taken, and no much smaller ones."""
    here = World(PAIRS, ROOMY)
    weights = {**here.weights, "A": here.weights["A"] * 3e4}
    with pytest.raises(Rejected, match=r"could need .* bits more than the modulus has") as found:
        Weights.encode(here.module, **weights)
    (proposed,) = re.findall(r"smaller bounds \(norm\(x\) <= (\S+)\)", str(found.value))
    program = api.loads(PAIRS, bounds={"norm(x)": proposed})
    module = load_module(emitted(program, here.plan.parameters).text)
    x = module.limits["x"].fitted(np.full(8, 100.0))
    client = Client(module)
    server = Server(Weights.encode(module, **weights))
    answer = server.evaluate(client.encrypt(x=x), EvaluationKeys.from_bytes(client.evaluation_keys()))
    expected = weights["A"] @ (weights["B"] @ x)
    assert error(client.decrypt(answer.data), expected) < 1e-2 * np.abs(expected).max()
    larger = api.loads(PAIRS, bounds={"norm(x)": float(proposed) * 1.01})
    with pytest.raises(Rejected, match="bits more than the modulus has"):
        Weights.encode(load_module(emitted(larger, here.plan.parameters).text), **weights)


def test_no_bounds_are_proposed_where_none_would_do() -> None:
    """Weights so large that noise alone outgrows the modulus."""
    here = World(PAIRS)
    with pytest.raises(Rejected, match="could need") as found:
        Weights.encode(here.module, **{**here.weights, "A": np.full((8, 4), 1e30)})
    assert "smaller bounds" not in str(found.value)
    assert "lower the program for these weights, or scale the weights down and the result up" in str(found.value)


# random data, and codes


def test_random_data_are_within_limits_and_assumptions(capsys: pytest.CaptureFixture[str]) -> None:
    text = PAIRS + "bound norm(x) <= 1/8\nbound |B| <= 1/64\nbound norm(A[:, q]) <= 1/4\n"
    made = emitted(text)
    module = load_module(made.text)
    for inputs, weights in (random_data(module, 0), runner.random_data(made.plan.program, 0)):
        assert sqrt((inputs["x"] ** 2).sum()) == pytest.approx(1 / 8)
        assert np.abs(weights["B"]).max() == pytest.approx(1 / 64)
        assert np.sqrt((weights["A"] ** 2).sum(axis=0)).max() == pytest.approx(1 / 4)
        Client(module).encrypt(**inputs)
        Weights.encode(module, **weights)
    assert main(module, []) == 0
    assert capsys.readouterr().err == ""


def test_codes_of_the_runtime_are_explained() -> None:
    codes = {name: value for name, value in vars(errors).items() if isinstance(value, str) and value.startswith("SL")}
    assert codes == {
        "BAD_ARGUMENT": "SL005",
        "BAD_ARRAY": "SL523",
        "DAMAGED_BYTES": "SL543",
        "BYTES_OF_ANOTHER": "SL544",
        "NOT_EVALUATED": "SL545",
        "OTHER_FORMAT": "SL744",
        "OTHER_RUNTIME": "SL746",
        "INPUT_BEYOND_LIMIT": "SL531",
        "WEIGHTS_TOO_LARGE": "SL532",
        "RESULT_OUT_OF_RANGE": "SL533",
        "WEIGHTS_BREAK_BOUND": "SL534",
        "BELOW_PRECISION": "SL535",
        "BEYOND_PROMISE": "SL538",
        "NOT_EQUALIZED": "SL541",
        "EQUALIZED_OTHERWISE": "SL542",
        "BAD_RANKS": "SL586",
    }
    titles = {code: EXPLANATIONS[code].split("\n")[0] for code in codes.values()}
    assert titles == {
        "SL005": "A command-line argument is wrong.",
        "SL523": "An array of --data, or one for a module, can't be used.",
        "SL543": "These bytes are not what was written.",
        "SL544": "These bytes belong to something else.",
        "SL545": "A module can't be evaluated as it stands.",
        "SL744": "A module has another format.",
        "SL746": "A module's runtime is another one.",
        "SL531": "An input is larger than the program takes.",
        "SL532": "With these weights a message could wrap around the modulus.",
        "SL533": "A decrypted result is larger than the guarantee allows.",
        "SL534": "Weights are larger than the program assumes.",
        "SL535": "A result is below the precision of the parameters.",
        "SL538": "With these weights errors are larger than promised.",
        "SL541": "This input can't be equalized by these exponents.",
        "SL542": "An upload is equalized otherwise than the weights expect.",
        "SL586": "Ranks of a module can't be chosen so.",
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1020.0, "1020"),
        (0.25, "0.25"),
        (8.0, "8"),
        (1e15, "1000000000000000"),
        (7.25e19, "7.25 * 10 ** 19"),
        (1e20, "1 * 10 ** 20"),
        (2.0**128, "3.4 * 10 ** 38"),
        (7.25e-19, "7.25 / 10 ** 19"),
        (0.000123, "0.000123"),
        (9.996, "10"),
    ],
)
def test_numbers_are_written_as_programs_write_them(value: float, text: str) -> None:
    assert written(value, 3) == text
    bound = api.loads(f"{BOUNDED}bound |x| <= {written(value, 3)}\n").bounds[0]
    assert float(bound.limit) == pytest.approx(value, rel=5e-3)


def test_limits_can_be_put_into_a_program() -> None:
    for limit in (Limit(1020.0, 0.0001), Limit(norm=7.2512e19), Limit(entry=1.5e-30), Limit(123456.0, 87100.0)):
        lines = "".join(f"bound {part}\n" for part in limit.text("x", 2).split(" and "))
        own = limits(api.loads(BOUNDED + lines))["x"]
        assert (own.norm, own.entry) == pytest.approx((limit.norm, limit.entry), rel=1e-3)


BOUNDED = """program bounded(n = 4, m = 2, slots = 8)
input x[n, m]
axes (h < n, t < m)
cipher X = x[h, t]
output y[h, t] = X
prove y == x
"""


@pytest.mark.parametrize(("value", "limit"), [(1.0, 1 - 2.0**-52), (-8.00001, 8.0), (64.0000001, 64.0), (5.0, 4.0)])
def test_numbers_beside_a_limit_are_told_apart(value: float, limit: float) -> None:
    first, second = told_apart(value, limit)
    assert first != second and first.lstrip("-") != second
    assert abs(float(first)) >= float(second)
    with pytest.raises(Rejected) as refused:
        Limit(entry=limit).check("x", np.array([0.0, value]))
    assert f"x[1] is {first}; this program takes elements up to {second}:" in str(refused.value)
