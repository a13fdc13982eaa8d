"""What is promised of a result: warnings of results below it, the status of ``main``, and the text of a module."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import slotlang
from worlds import DIAGONALS, PAIRS, ROOMY, SCORE, World

from slotlang import api
from slotlang.cost.data import DataPowers
from slotlang.diagnostics import SlotError
from slotlang.emit.head import Lowering
from slotlang.emit.standalone import emit_standalone
from slotlang.lower import Lowered, lower
from slotlang.planning.parameters import Parameters
from slotlang.planning.target import KernelChoice, Target
from slotlang.run.runner import load_module, random_data
from slotlang.source import Source
from slotlang.validation.check import check_module
from slotlang_runtime import BelowPrecision, BeyondPromise, Client, EvaluationKeys, Module, Server, Weights, main
from slotlang_runtime.data import within_promise
from slotlang_runtime.errors import BELOW_PRECISION
from slotlang_runtime.module import small_results

WIDE = Parameters(8192, (60, 60, 60), 28)
"""Has room for masks of parts."""


@pytest.fixture(scope="module")
def world() -> World:
    return World(PAIRS, ROOMY)


def decrypted(world: World, size: float) -> Any:
    inputs = {name: array * size for name, array in world.inputs.items()}
    return world.client.decrypt(world.answer(world.client.encrypt(**inputs)).data)


def test_a_result_that_is_too_small_comes_back_with_a_warning(world: World) -> None:
    least = world.module.error["y"] / world.module.precision
    large = np.sqrt(np.mean(world.expected() ** 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decrypted(world, 2 * least / large)
    with pytest.warns(BelowPrecision, match=r"\[SL535\] y is below the precision of these parameters") as caught:
        decrypted(world, least / large / 2)
    assert caught[0].filename == __file__
    with pytest.warns(BelowPrecision):
        decrypted(world, 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", BelowPrecision)
        decrypted(world, 0.0)


def test_a_result_that_is_exactly_zero_is_right(world: World) -> None:
    zero = {name: 0 * np.asarray(array) for name, array in world.weights.items()}
    server = Server(Weights.encode(world.module, **zero))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = world.client.decrypt(server.evaluate(world.upload, world.keys).data)
    assert not found.any()


def test_which_results_are_small(world: World) -> None:
    module = changed(world.module, error={"y": 1e-3}, precision=1e-2)
    assert [small.name for small in small_results(module, {"y": np.full(8, 0.099)})] == ["y"]
    assert not list(small_results(module, {"y": np.full(8, 0.101)}))
    assert not list(small_results(module, {"y": np.zeros(8)}))
    assert [small.size for small in small_results(module, {"y": np.zeros(8)}, lost=True)] == [0.0]
    # squares of these vanish, or overflow
    assert [small.size for small in small_results(module, {"y": np.full(8, 1e-200)})] == [pytest.approx(1e-200)]
    assert not list(small_results(module, {"y": np.full(8, 1e200)}))


def changed(module: Module, **values: Any) -> Module:
    return replace(module, **values)


def test_what_is_within_a_promise(world: World) -> None:
    module = changed(world.module, error={"y": 1e-3}, precision=1e-2)
    many = np.zeros(20_000)
    assert within_promise(module, "y", many + 0.9e-3, many)[0]
    assert not within_promise(module, "y", many + 1.1e-3, many)[0]
    # for larger results the error is relative
    assert within_promise(module, "y", many + 1 + 0.9e-2, many + 1)[0]
    assert not within_promise(module, "y", many + 1 + 1.1e-2, many + 1)[0]
    # one number exceeds its own rms in a third of runs
    assert within_promise(module, "y", np.array([2e-3]), np.zeros(1))[0]
    assert not within_promise(module, "y", np.array([np.nan]), np.zeros(1))[0]


def test_main_ends_with_status_1_when_it_breaks_its_promise(
    world: World, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(world.module, []) == 0
    assert "promised" not in capsys.readouterr().err
    broken = changed(world.module, error={"y": 1e-30}, precision=1e-30)
    assert main(broken, []) == 1
    assert "y: the rms error is" in capsys.readouterr().err
    small = {**world.inputs, **world.weights, "x": world.inputs["x"] * 1e-9}
    np.savez(tmp_path / "small.npz", **small)
    # the absolute error holds, and the relative one that was asked for is not known to
    assert main(world.module, ["--data", str(tmp_path / "small.npz")]) == 1
    assert capsys.readouterr().err.startswith("warning[SL535]: y is below the precision")


def test_a_standalone_file_does_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = api.plan(api.loads(PAIRS), WIDE, target=Target(kernel="seal", standalone=True))
    text = emit_standalone(made, Lowering("0", "proved", "exact", validated=True))
    namespace: dict[str, Any] = {"__name__": "standalone"}
    exec(compile(text, "<standalone>", "exec"), namespace)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["standalone.py"])
        promise = namespace["PROMISE"]
        assert namespace["main"](namespace["MODULE"], promise) == 0
        namespace["MODULE"].error["y"] = 1e-30
        # whatever precision was asked for, the relative error is promised
        assert namespace["MODULE"].precision > 1e-4
        assert namespace["main"](namespace["MODULE"], {**promise, "relative_error": 1e-30}) == 1
        assert "was promised" in capsys.readouterr().err
        # within an error as large as the result, and below the precision
        namespace["MODULE"].error["y"] = 1.0
        with pytest.warns(UserWarning, match=r"\[SL535\] y is below the precision"):
            assert namespace["main"](namespace["MODULE"], promise) == 1
        assert "was promised" not in capsys.readouterr().err


def lowered(target: Target) -> Lowered:
    return lower(api.loads(PAIRS), target=target)


def test_the_header_says_what_a_promise_is_about() -> None:
    unit = lowered(Target(precision=1e-3)).text
    assert "for inputs of variance 1 and weights of variance 1/(last size); rms error of y at most" in " ".join(
        unit.split()
    )
    _, weights = random_data(api.loads(PAIRS), 0)
    given = lowered(Target(precision=1e-3, data=DataPowers({n: w / 1000 for n, w in weights.items()}))).text
    assert "for these weights and inputs of unit variance" in " ".join(given.split())
    module = load_module(given)
    assert module.precision == 1e-3
    # A and B are a thousand times smaller
    assert module.error["y"] < 1e-3 * load_module(unit).error["y"]
    server = Server(Weights.encode(module, **{n: w / 1000 for n, w in weights.items()}))
    client = Client(module)
    answer = server.evaluate(client.encrypt(x=np.ones(8)), EvaluationKeys.from_bytes(client.evaluation_keys()))
    wanted = module.reference({"x": np.ones(8)}, {n: w / 1000 for n, w in weights.items()})["y"]
    assert within_promise(module, "y", client.decrypt(answer.data), wanted)[0]


def test_check_reads_a_promise_about_weights_and_predicts_others() -> None:
    _, weights = random_data(api.loads(PAIRS), 0)
    for target in (Target(), Target(data=DataPowers({n: w / 1000 for n, w in weights.items()}))):
        text = lowered(target).text
        assert check_module(Source("/nowhere/module.py", text)).validation.proved
    text = lowered(Target()).text
    error = repr(load_module(text).error["y"])
    assert text.count(f'"y": {error}') == 2
    for old, new in (
        (f'"y": {error}', '"y": 1e-30'),
        ('"precision": 0.001', '"precision": 1e-30'),
        ('"assumed": "unit"', '"assumed": "all"'),
        ("    precision=0.001,", "    precision=0.1,"),
    ):
        assert old in text
        with pytest.raises(SlotError, match="SL745"):
            check_module(Source("/nowhere/module.py", text.replace(old, new)))


@pytest.mark.parametrize(("size", "warned"), [(1.0, False), (1e-3, True), (3e-5, True), (0.0, False)])
def test_weights_that_are_too_small_are_said_to_be(size: float, warned: bool, capsys: Any, tmp_path: Path) -> None:
    """Large inputs make results that are large, and wrong: decryption sees nothing small."""
    module = load_module(lower(api.loads(DIAGONALS), target=Target(precision=1e-3)).text)
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((8, 8)) * size
    inputs = rng.choice([-1.0, 1.0], 8) * 1e6
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        encoded = Weights.encode(module, w=weights)
    # weights of 1 are larger than of unit variance, which is another warning
    assert [w.category for w in seen if w.category is not BeyondPromise] == [BelowPrecision] * warned
    client = Client(module)
    keys = EvaluationKeys.from_bytes(client.evaluation_keys())
    result = client.decrypt(Server(encoded).evaluate(client.encrypt(x=inputs), keys).data)
    off = np.abs(result - weights @ inputs).max()
    assert (off > 1e-3 * np.abs(weights @ inputs).max()) == warned
    np.savez(tmp_path / "data.npz", w=weights, x=inputs)
    assert main(module, ["--data", str(tmp_path / "data.npz")]) == warned
    assert ("warning[SL535]: these weights" in capsys.readouterr().err) == warned


TWO = """program two(n = 8, slots = 8)
input x[n]
weight u[n], v[n]
axes (h < slots)
cipher X = x[h]
plain W[k < 2] = [k == 0] * u[h] + [k == 1] * v[h]
P[k < 2] = X * W[k]
output a[h] = re P[0]
output b[h] = re P[1]
prove a == u * x
prove b == v * x
"""


@pytest.mark.parametrize("kernel", ["compiled", "seal"])
@pytest.mark.parametrize("stored", [False, True])
def test_a_result_whose_weights_are_rounded_to_nothing(kernel: KernelChoice, stored: bool) -> None:
    """Beside a large one of the same family, whose size hides it where weights are encoded."""
    world = World(TWO, kernel=kernel)
    x, u = np.linspace(-1, 1, 8), np.linspace(0.1, 1, 8)
    for v, lost in ((1e-30 * u, True), (0 * u, False)):
        weights = Weights.encode(world.module, u=u, v=v)
        if stored:
            weights = Weights.from_bytes(world.module, weights.to_bytes())
        data = Server(weights).evaluate(world.client.encrypt(x=x), world.keys).data
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = world.client.decrypt(data)
        assert not found["b"].any() and np.abs(found["a"] - u * x).max() < 5e-3
        assert [f"[{BELOW_PRECISION}] b is below" in str(w.message) for w in said] == [True] * lost


def test_what_is_advised_for_large_inputs_leads_to_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The bound alone is lowered for data of unit variance, and says what is missing: the data beside it."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((16, 4))
    x *= 87000 / np.linalg.norm(x, axis=0).max()
    data, file = str(tmp_path / "table.npz"), tmp_path / "score.slot"
    np.savez(data, x=x, w=rng.uniform(-0.02, 0.02, (1, 16)))
    file.write_text(SCORE)

    def ended(*options: str) -> tuple[int, str]:
        """How the module that is lowered with these options ends with the data, and what it says."""
        out = tmp_path / "score.py"
        assert slotlang("lower", str(file), "--precision", "1e-3", *options, "-o", str(out)).status == 0
        status = main(load_module(out.read_text()), ["--data", data])
        return status, capsys.readouterr().err

    status, said = ended()
    bound = re.search(r"lower the program with (--bound-norm) (\S+) and --data FILE", said)
    assert status == 2 and bound is not None
    status, said = ended(*bound.groups())
    assert status == 1
    (line,) = (line for line in said.splitlines() if line.startswith("warning[SL535]: y is below"))
    assert ". Lower the program again with --data FILE of arrays like these, its bounds and --precision" in line
    assert ended(*bound.groups(), "--data", data) == (0, "")
