"""Adapters on the command line: runs, what ``adapter show`` prints, and options that would be dropped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from adapter_files import PREFIX, factors_layout, write_adapter
from command_line import slotlang
from repository import PROGRAMS

SMALL = ["--set", "slots=64", "--set", "batch=2", "--set", "pairs=2"]
LORA = str(PROGRAMS / "lora.slot")
QKV = """program qkv(d = 16, g = 4, r = 2, slots = 16)
input x[d]
weight Aq[d, r], Bq[r, d], Ak[g, r], Bk[r, d]
scalar sq, sk
cipher X = x[slot]
plain Wq[q < d] = sq * (Aq @ Bq)[slot, (slot + q) % d]
plain Wk[q < d] = sk * ((Ak @ Bk)[slot, (slot + q) % d] else 0)
Yq = sum q < d by bsgs(4): (X << q) * Wq[q]
Yk = sum q < d by bsgs(4): (X << q) * Wk[q]
output yq[slot] = Yq
output yk[slot] = Yk where slot < g
prove yq == sq * Aq @ Bq @ x
prove yk == sk * Ak @ Bk @ x
"""


@pytest.fixture
def qkv(tmp_path: Path) -> list[str]:
    """A program of two results, an adapter for it, and three tokens."""
    (tmp_path / "qkv.slot").write_text(QKV)
    layout = factors_layout("l.0.q_proj", 16, 16, 2) | factors_layout("l.0.k_proj", 4, 16, 2)
    write_adapter(tmp_path / "adapter", layout, r=2, lora_alpha=6, alpha_pattern={"k_proj": 5})
    np.save(tmp_path / "x.npy", np.random.default_rng(1).standard_normal((3, 16)))
    return ["run", str(tmp_path / "qkv.slot"), "--adapter", str(tmp_path / "adapter")]


def values_of(folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    layout = factors_layout("l.0.q_proj", 16, 16, 2) | factors_layout("l.0.k_proj", 4, 16, 2)
    return write_adapter(folder, layout, r=2, lora_alpha=6, alpha_pattern={"k_proj": 5})


def test_several_results_from_one_upload(qkv: list[str], tmp_path: Path) -> None:
    ended = slotlang(*qkv, "--activations", str(tmp_path / "x.npy"), "-o", str(tmp_path / "y.npz"), "--json")
    assert ended.status == 0, ended.err
    found = json.loads(ended.out)
    assert found["schema"] == "slotlang.run/7"
    assert [(m["output"], m["module"], m["scaling"]) for m in found["modules"]] == [
        ("yq", "l.0.q_proj", 3.0),
        ("yk", "l.0.k_proj", 2.5),
    ]
    assert [m["rule"] for m in found["modules"]] == ["lora_alpha / r", "alpha_pattern['k_proj'] / r"]
    assert (found["weights"], found["tokens"], found["evaluations"]) == ("adapter", 3, 3)
    assert found["errors"].keys() == {"yq", "yk"} and max(found["errors"].values()) == found["relative_error"]
    held, x = values_of(tmp_path / "again"), np.load(tmp_path / "x.npy")
    with np.load(tmp_path / "y.npz") as y:
        for name, scaling in (("q", 3.0), ("k", 2.5)):
            down, up = (held[f"{PREFIX}l.0.{name}_proj.lora_{side}.weight"] for side in "AB")
            assert y[f"y{name}"].dtype == np.float64
            np.testing.assert_allclose(y[f"y{name}"], scaling * x @ down.T @ up.T, atol=1e-5)


def test_modules_are_named_for_results(qkv: list[str]) -> None:
    ended = slotlang(*qkv, "--module", "yq=q_proj", "--module", "yk=k_proj")
    assert ended.status == 0
    assert "yk: l.0.k_proj, scaling = alpha_pattern['k_proj'] / r" in ended.out
    ended = slotlang(*qkv, "--module", "yq=k_proj", "--module", "yk=q_proj")
    assert ended.status == 2 and "SL506" in ended.err


def test_a_single_option_given_twice(qkv: list[str], tmp_path: Path) -> None:
    for arguments in (
        [*qkv, "--adapter", str(tmp_path / "other")],
        ["run", LORA, "--activations", "a.npy", "--activations=b.npy"],
        ["run", LORA, "--seed", "1", "--seed", "2"],
        ["lower", LORA, "-o", str(tmp_path / "a.py"), "--output", str(tmp_path / "b.py")],
        ["cost", LORA, "--precision", "1", "--precision", "2"],
    ):
        ended = slotlang(*arguments)
        assert ended.status == 2
        assert ended.err.startswith("error[SL005]: --") and "is given twice, and takes one value" in ended.err
    assert "diagnostics" in json.loads(slotlang("run", LORA, "--seed", "1", "--seed", "2", "--json").out)
    assert not list(tmp_path.glob("*.py"))


def test_two_modules_and_one_result(tmp_path: Path) -> None:
    write_adapter(tmp_path, factors_layout("q", 8, 6) | factors_layout("v", 8, 6))
    ended = slotlang("run", LORA, "--adapter", str(tmp_path), "--module", "q", "--module", "v", *SMALL)
    assert ended.status == 2 and "SL524" in ended.err


def test_a_square_program_and_a_module_that_is_not_square(tmp_path: Path) -> None:
    write_adapter(tmp_path, factors_layout("k_proj", 16, 32))
    program = ["run", str(PROGRAMS / "rank_complex.slot"), "--adapter", str(tmp_path), "--set", "slots=64"]
    for more in ([], ["--set", "d=32"], ["--set", "d=16"]):
        ended = slotlang(*program, "--set", "batch=2", *more)
        assert (ended.status, ended.err.count("error[")) == (2, 1)
        assert "the program is square in d, and module k_proj is not" in ended.err
        assert "--set" not in ended.err


def test_warnings_and_unused_tensors_are_said(tmp_path: Path) -> None:
    layout = factors_layout("q", 8, 6) | {f"{PREFIX}head.weight": ("F32", [2, 2])}
    write_adapter(tmp_path, layout, alpha_pattern={"gate_proj": 8})
    ended = slotlang("run", LORA, "--adapter", str(tmp_path), *SMALL)
    assert ended.status == 0
    assert ended.err.startswith("warning[SL522]: the key 'gate_proj' of alpha_pattern")
    assert "1  tensor of the adapter not used" in ended.out


def test_a_program_without_an_adapter_is_not_told_of_one(qkv: list[str], tmp_path: Path) -> None:
    ended = slotlang("run", qkv[1], "--activations", str(tmp_path / "x.npy"))
    assert ended.status == 0 and "3 real tokens" in ended.out
    assert "adapter" not in ended.out + ended.err
    scores = str(PROGRAMS / "scores.slot")
    ended = slotlang("run", scores, "--activations", str(tmp_path / "x.npy"))
    assert ended.status == 2 and "SL506" in ended.err and "--data" in ended.err
    assert "adapter" not in ended.err.replace(scores, "")


def test_own_arrays_and_results(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sizes = {"d_in": 6, "d_out": 8, "r": 3}
    arrays = {"x": rng.standard_normal((6, 2)), "A": rng.standard_normal((8, 3)), "B": rng.standard_normal((3, 6))}
    np.savez(tmp_path / "data.npz", **arrays, scale=0.5)
    command = ["run", LORA, *SMALL, *(w for n, v in sizes.items() for w in ("--set", f"{n}={v}"))]
    command += ["--data", str(tmp_path / "data.npz")]
    ended = slotlang(*command, "-o", str(tmp_path / "y.npy"))
    assert ended.status == 0, ended.err
    assert "on given weights" in ended.out and f"results are in {tmp_path / 'y.npy'}" in ended.out
    expected = 0.5 * arrays["A"] @ arrays["B"] @ arrays["x"]
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), expected, atol=1e-5)
    # what exists stays when nothing new is made
    before = (tmp_path / "y.npy").read_bytes()
    np.savez(tmp_path / "data.npz", **arrays)
    ended = slotlang(*command, "-o", str(tmp_path / "y.npy"))
    assert ended.status == 2 and "the file has no scale" in ended.err
    assert (tmp_path / "y.npy").read_bytes() == before
    ended = slotlang(*command, "-o", str(tmp_path / "data.npz"))
    assert ended.status == 2 and "is read and written" in ended.err
    ended = slotlang(*command, "--adapter", str(tmp_path))
    assert ended.status == 2 and "--data and --adapter both give weights" in ended.err


def test_a_run_that_failed_writes_nothing(tmp_path: Path) -> None:
    command = ["run", LORA, *SMALL, "--set", "d_in=6", "--set", "d_out=8", "--set", "r=3"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("slotlang.run.session.WORST_ERROR", 1e-30)
        ended = slotlang(*command, "-o", str(tmp_path / "y.npy"))
    assert ended.status == 1
    assert "y.npy is not written: the run failed" in ended.out
    assert not list(tmp_path.iterdir())


def test_adapter_show(tmp_path: Path) -> None:
    layout = factors_layout("l.0.q_proj", 8, 6) | factors_layout("l.1.q_proj", 8, 6)
    write_adapter(tmp_path, layout | {f"{PREFIX}e.lora_embedding_A": ("F32", [4, 9])}, alpha_pattern={"k": 3})
    ended = slotlang("adapter", "show", str(tmp_path))
    assert ended.status == 0
    assert f"{tmp_path}: 2 modules that can be run, 1 that can't" in ended.out
    assert "2 modules  8 x 6, rank 4, scaling 4 = lora_alpha / r, float32" in ended.out
    assert "l.{0-1}.q_proj (2)" in ended.out
    assert "1 module can't be run: it is an embedding" in ended.out
    assert "warning[SL522]" in ended.err
    found = json.loads(slotlang("adapter", "show", str(tmp_path), "--json").out)
    assert (found["schema"], found["modules"]) == ("slotlang.adapter.show/1", 2)
    ended = slotlang("adapter", "show", str(tmp_path / "nowhere"), "--json")
    assert ended.status == 2 and json.loads(ended.out)["diagnostics"][0]["code"] == "SL501"


def test_outliers_are_equalized(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((6, 16))
    x[:, 4] *= 25
    np.save(tmp_path / "x.npy", x)
    found = tmp_path / "e.json"
    ended = slotlang("adapter", "equalize", str(tmp_path / "x.npy"), "-o", str(found), "--power", "1")
    assert ended.status == 0 and ended.out.startswith(f"{found}: ") and "channels of x by up to 2^" in ended.out
    exponents = json.loads(found.read_text())["exponents"]["x"]
    assert len(exponents) == 16 and exponents[4] in (4, 5) and sum(exponents) <= exponents[4] + 4
    np.savez(tmp_path / "own.npz", A=rng.standard_normal((8, 3)), B=rng.standard_normal((3, 16)) / 50, scale=1.0)
    sizes = [word for name in ("d_in=16", "d_out=8", "r=3") for word in ("--set", name)]
    command = ["run", LORA, *SMALL, *sizes, "--data", str(tmp_path / "own.npz"), "--activations"]
    command += [
        str(tmp_path / "x.npy"),
        "--parameters",
        "degree 8192 primes 60,60,60 scales 33",
        "--bound-norm",
        "x=16",
    ]
    ended = slotlang(*command)
    assert ended.status == 2 and "SL531" in ended.err and "takes norms up to 16" in ended.err
    assert f"\n  --> {tmp_path / 'x.npy'}\n" in ended.err
    for given in (found, tmp_path / "x.npy"):
        ended = slotlang(*command, "--equalize", str(given), "--output", str(tmp_path / "y.npy"))
        assert ended.status == 0, ended.err
        assert "equalized: " in ended.out
        with np.load(tmp_path / "own.npz") as own:
            np.testing.assert_allclose(np.load(tmp_path / "y.npy"), (own["A"] @ own["B"] @ x.T).T, atol=1e-3)
    entry = json.loads(slotlang(*command, "--equalize", str(found), "--json").out)["equalized"]
    nonzero = sum(e != 0 for e in exponents)
    assert entry == [{"input": "x", "channels": nonzero, "of": 16, "largest": exponents[4]}]


def test_exponents_that_are_not_there_or_do_not_fit(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((2, 16)))
    np.save(tmp_path / "cube.npy", np.ones((2, 2, 16)))
    (tmp_path / "junk.json").write_text("{}")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe")
    np.save(tmp_path / "wide.npy", np.ones((2, 32)))
    np.savez(tmp_path / "all.npz", A=np.ones((8, 3)), B=np.ones((3, 16)), scale=1.0, x=np.ones((16, 2)))
    np.savez(tmp_path / "own.npz", A=np.ones((8, 3)), B=np.ones((3, 16)), scale=1.0)
    for name, exponents in (("short", {"x": [1, 2]}), ("other", {"z": [1] * 16})):
        text = json.dumps({"schema": "slotlang.equalize/1", "exponents": exponents})
        (tmp_path / f"{name}.json").write_text(text)
    run = ["run", LORA, *SMALL, *(word for n in ("d_in=16", "d_out=8", "r=3") for word in ("--set", n)), "--equalize"]
    for name, code, message in (
        ("none.json", "SL541", "none.json is missing"),
        ("junk.json", "SL541", "this is not a file of exponents"),
        ("binary.json", "SL541", "this is not a text file"),
        ("short.json", "SL541", "short.json holds exponents of 2 channels, and x of 'lora' has 16"),
        ("other.json", "SL541", "other.json has exponents of 'z', which 'lora' has no channels of"),
        ("wide.npy", "SL541", "wide.npy holds activations of 32 channels, and x of 'lora' has 16"),
        ("cube.npy", "SL505", "an array of 3 dimensions"),
    ):
        # whatever else is given: the length is compared before data of another length meets the exponents
        own = ["--data", str(tmp_path / "own.npz"), "--activations", str(tmp_path / "x.npy")]
        for given in ([], ["--data", str(tmp_path / "all.npz")], own):
            ended = slotlang(*run, str(tmp_path / name), *given)
            assert ended.status == 2 and code in ended.err and message in ended.err, ended.err
            assert str(tmp_path / name) in ended.err
    # what powers of two make too large or too small for doubles is refused, and numbers whose squares are too large
    most = json.dumps({"schema": "slotlang.equalize/1", "exponents": {"x": [256] * 16}})
    (tmp_path / "most.json").write_text(most)
    for size, code, message in (
        (1e-300, "SL541", "x[0, 0] is 1e-300"),
        (1e300, "SL541", "B[0, 0] is 1e+300"),
        (1e200, "SL532", "these weights are too large"),
    ):
        values = {"A": np.ones((8, 3)), "B": np.full((3, 16), size), "scale": 1.0}
        np.savez(tmp_path / "own.npz", **values, x=np.full((16, 2), min(size, 1.0)))  # type: ignore[arg-type]
        ended = slotlang(*run, str(tmp_path / "most.json"), "--data", str(tmp_path / "own.npz"))
        assert ended.status == 2 and code in ended.err and message in ended.err, ended.err
    show = ["adapter", "equalize", str(tmp_path / "x.npy"), "-o"]
    assert "written to a .json file" in slotlang(*show, str(tmp_path / "e.npy")).err
    ended = slotlang(*show, str(tmp_path / "e.json"), "--power", "2")
    assert ended.status == 2 and "--power is a number from 0 to 1" in ended.err and not (tmp_path / "e.json").exists()
