"""Runs on small and large weights: parameters that are chosen for them, and reasons of those that fail."""

from __future__ import annotations

import json
import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from adapter_files import factors_layout, write_adapter
from amounts import one_in
from command_line import slotlang
from repository import ROOT
from small_programs import LORA

from slotlang import api
from slotlang.planning.target import Target

SIZES = {"d": 64, "r": 4, "batch": 2, "slots": 64}
COARSE = "degree 4096 primes 32, 32, 24 scales 17, 17, 17"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "lora.slot"
    sizes = ", ".join(f"{name} = {value}" for name, value in SIZES.items())
    path.write_text(re.sub(r"\(d = .*?\)", f"({sizes})", LORA, count=1))
    return path


def saved(folder: Path, a: float, b: float, x: float = 1.0) -> Path:
    rng = np.random.default_rng(1)
    path = folder / f"{a}_{b}_{x}.npz"
    np.savez(
        path,
        A=a * rng.standard_normal((64, 4)),
        B=b * rng.standard_normal((4, 64)),
        scale=2.0,
        x=x * rng.standard_normal((64, 2)),
    )
    return path


@pytest.mark.parametrize(("a", "b"), [(0.005, 0.02), (1e-3, 1e-3), (0.005, 1e-4)])
def test_a_precision_is_kept_for_small_weights(program: Path, tmp_path: Path, a: float, b: float) -> None:
    made = api.run(program, data=saved(tmp_path, a, b), target=Target(precision=1e-3))
    assert made.report.passed and not made.warnings and made.failure is None
    promise = made.lowered.plan.promise
    assert promise.assumed == "weights and inputs"
    assert promise.relative_error <= 1e-3


def test_small_inputs_too(program: Path, tmp_path: Path) -> None:
    made = api.run(program, data=saved(tmp_path, 0.1, 0.1, 1e-4), target=Target(precision=1e-3))
    assert made.report.passed and not made.warnings


def test_a_run_below_the_noise_says_so_and_what_would_do(program: Path, tmp_path: Path) -> None:
    data = saved(tmp_path, 1e-3, 1e-3)
    command = ("run", str(program), "--data", str(data))
    ended = slotlang(*command, "--parameters", COARSE)
    assert ended.status == 1
    assert "error[SL536]: y is below the noise" in ended.err
    assert "SL535" not in ended.err
    found = re.search(r'--parameters "(.*?)" would do', ended.err)
    assert found is not None
    again = slotlang(*command, "--parameters", found[1])
    assert again.status == 0, again.err
    values = json.loads(slotlang(*command, "--parameters", COARSE, "--json").out)
    assert values["failure"]["code"] == "SL536" and not values["passed"]
    assert values["promise"]["assumed"] == "weights and inputs"


def test_weights_that_are_too_large_name_parameters(program: Path, tmp_path: Path) -> None:
    ended = slotlang("run", str(program), "--data", str(saved(tmp_path, 200.0, 200.0)), "--parameters", COARSE)
    assert ended.status == 2 and "SL532" in ended.err
    found = re.search(r'--parameters "(.*?)" would do', ended.err)
    assert found is not None
    again = slotlang("run", str(program), "--data", str(saved(tmp_path, 200.0, 200.0)), "--parameters", found[1])
    assert again.status == 0, again.err


@pytest.mark.parametrize(
    ("size", "hide"), one_in(2, product([20.0, 300.0], ["mask", "exact", "none"]), lambda case: f"{case[0]}-{case[1]}")
)
def test_fixed_scales_are_smaller_for_weights_that_need_it(
    program: Path, tmp_path: Path, size: float, hide: str
) -> None:
    """As small as they must be, and no smaller; by the same choice in every command that knows the weights."""
    with np.load(saved(tmp_path, size, size)) as arrays:
        np.savez(tmp_path / "weights.npz", **{name: arrays[name] for name in ("A", "B", "scale")})
    command = (str(program), "--data", str(tmp_path / "weights.npz"), "--hide", hide)
    ended = slotlang("run", *command, "--tokens", "3", "--json")
    values = json.loads(ended.out)
    assert ended.status == 0 and values["parameters_from"] == "fixed" and values["range"]["status"] == "proved"
    own = json.loads(slotlang("cost", str(program), "--json").out)["parameters"]
    scale = values["parameters"]["scale_bits"]
    assert values["parameters"] == own | {"scale_bits": scale} and scale < own["scale_bits"]
    assert json.loads(slotlang("cost", *command, "--json").out)["parameters"] == values["parameters"]
    out = tmp_path / "module.py"
    made = json.loads(slotlang("lower", *command, "-o", str(out), "--json").out)
    assert made["parameters"] == values["parameters"] and made["range"] == values["range"]
    again = slotlang(
        "run", *command, "--tokens", "3", "--parameters", f"degree 8192 primes 60,60,60 scales {scale + 1}"
    )
    assert again.status == 2 and "SL532" in again.err


def test_weights_that_no_fixed_scale_holds(program: Path, tmp_path: Path) -> None:
    """They were lowered for these weights: no advice to lower for them."""
    for command in ("run",), ("lower", "-o", str(tmp_path / "module.py")):
        ended = slotlang(*command, str(program), "--data", str(saved(tmp_path, 1e15, 1e15)))
        assert ended.status == 2 and "SL532" in ended.err and "Lower the program for these" not in ended.err
        assert "--precision 0.001 finds them" in ended.err
        ended = slotlang(*command, str(program), "--data", str(saved(tmp_path, 300.0, 1.0)), "--parameters", COARSE)
        assert "note: smaller bounds would do: norm(x[:, t]) <= " in ended.err


def test_an_error_that_noise_does_not_explain(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from slotlang_runtime.client import Client

    decrypt = Client.decrypt
    monkeypatch.setattr(Client, "decrypt", lambda self, data: -decrypt(self, data))
    ended = slotlang("run", str(program), "--precision", "1e-3")
    assert ended.status == 1 and "error[SL537]: y is wrong by more than noise explains" in ended.err


def test_results_below_the_precision_are_warned_of(program: Path, tmp_path: Path) -> None:
    """Parameters as precise as is asked for, for weights that are known and inputs that are not."""
    with np.load(saved(tmp_path, 0.1, 0.1)) as arrays:
        weights = {name: arrays[name] for name in ("A", "B", "scale")}
    np.savez(tmp_path / "weights.npz", **weights)
    np.save(tmp_path / "x.npy", np.full((2, 64), 1e-3))
    command = ("run", str(program), "--data", str(tmp_path / "weights.npz"))
    chosen = json.loads(slotlang(*command, "--tokens", "2", "--precision", "1e-3", "--json").out)["parameters"]
    assert chosen["scales"]
    numbers = {name: ", ".join(map(str, chosen[name])) for name in ("primes", "scales")}
    option = f"degree {chosen['degree']} primes {numbers['primes']} scales {numbers['scales']}"
    ended = slotlang(*command, "--activations", str(tmp_path / "x.npy"), "--parameters", option, "--json")
    values = json.loads(ended.out)
    assert ended.status == 1 and values["failure"]["code"] == "SL536" and values["below"] == []


def test_lower_and_cost_take_weights(program: Path, tmp_path: Path) -> None:
    data = saved(tmp_path, 1e-3, 1e-3)
    out = tmp_path / "module.py"
    ended = slotlang("lower", str(program), "--data", str(data), "--precision", "1e-3", "-o", str(out))
    assert ended.status == 0, ended.err
    assert "for these weights and inputs" in ended.out and "rms error of y at most" in ended.out
    costs = [json.loads(slotlang("cost", str(program), *o, "--json").out) for o in ((), ("--data", str(data)))]
    assert [c["promise"]["assumed"] for c in costs] == ["unit", "weights and inputs"]
    assert costs[0]["parameters"] == costs[1]["parameters"]
    assert costs[0]["promise"]["relative_error"] < costs[1]["promise"]["relative_error"] / 5
    with np.load(data) as arrays:
        np.savez(tmp_path / "weights.npz", **{name: arrays[name] for name in ("A", "B", "scale")})
    ended = slotlang("cost", str(program), "--data", str(tmp_path / "weights.npz"))
    assert "predicted for these weights and inputs of unit variance" in ended.out
    assert slotlang("cost", str(program), "--module", "q").status == 2


@pytest.mark.parametrize("real", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_an_adapter_gives_shape_and_weights_to_a_search(
    real: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not real:
        monkeypatch.setattr("slotlang.search.search.FINALISTS", 8)
    if real:
        adapter, module = ROOT / "examples" / "minilm_adapter", "layer.0.attention.self.query"
    else:
        adapter, module = tmp_path / "adapter", "query"
        write_adapter(adapter, factors_layout("layer.0.query", 24, 32))
    out = tmp_path / "found.slot"
    options = ("--adapter", str(adapter), "--module", module, "--precision", "1e-2", "--batch", "2", "-o", str(out))
    ended = slotlang("synth", *options, "--json")
    assert ended.status == 0, ended.err
    values = json.loads(ended.out)
    assert values["assumed"] == "weights" and values["module"].endswith(module)
    assert "inputs of unit variance" in " ".join(out.read_text().replace("\n# ", " ").split())
    run = slotlang("run", str(out), "--adapter", str(adapter), "--module", module, "--json")
    found = json.loads(run.out)
    assert found["parameters_from"] == "program"
    # one run of a few numbers may be above an rms
    assert found["promise"]["relative_error"] <= 1e-2 and found["relative_error"] <= 4e-2
    refused = slotlang("synth", *options, "--d-in", "5")
    assert refused.status == 2 and "--d-in is 5, and module" in refused.err
    assert "synth needs --d-out, --rank" in slotlang("synth", "--d-in", "5").err
