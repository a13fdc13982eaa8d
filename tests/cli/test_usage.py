"""What is wrong with a command's words, and small things about arguments and files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import slotlang
from repository import PROGRAMS, ROOT

LORA = str(PROGRAMS / "lora.slot")
SMALL = [word for n in ("d_in=32", "d_out=48", "r=4", "slots=256") for word in ("--set", n)]

SUM = """program total(n = 4, slots = 4)
input x[n], z[n]
axes (h < n)
cipher X = x[h]
cipher Z = z[h]
Y = X + Z
output y[h] = Y
prove y == x + z
"""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", LORA, "--tokens", "x"], "slotlang run: invalid value for '--tokens': 'x' is not a whole number"),
        (["run", LORA, "--tokens"], "option '--tokens' requires an argument"),
        (["adapter", "equalize", "x.npy"], "slotlang adapter equalize: missing option '-o' / '--output'"),
        (["check"], "slotlang check: missing argument 'FILE...'"),
        (["run", LORA, "--token", "3"], "slotlang run: no such option: --token"),
        (["show", LORA, "X", "Y"], "got unexpected extra argument"),
        (["serve", ".", "--port", "x"], "slotlang serve: invalid value for '--port': 'x' is not a whole number"),
        (["serve", ".", "--rate", "x"], "slotlang serve: invalid value for '--rate': 'x' is not a number"),
        (["synth", "--d-in", "1.5"], "'--d-in': '1.5' is not a whole number"),
        (["chekc", LORA], "no such command 'chekc'"),
        (["adapter", "frob"], "slotlang adapter: no such command 'frob'"),
        (["--frob"], "slotlang: no such option: --frob"),
    ],
)
def test_words_that_are_wrong_have_a_code(words: list[str], said: str) -> None:
    ended = slotlang(*words)
    assert ended.status == 2 and ended.out == ""
    message, hint = ended.err.splitlines()
    assert message.startswith("error[SL005]: ") and said in message and hint.startswith("  hint: ")
    values = json.loads(slotlang(*words, "--json").out)
    assert [d["code"] for d in values["diagnostics"]] == ["SL005"] and values["schema"].startswith("slotlang.")


def test_help_and_versions_are_no_errors() -> None:
    for words in (["-h"], ["run", "--help"], ["--version"], ["adapter", "-h"]):
        ended = slotlang(*words)
        assert ended.status == 0 and ended.out and not ended.err


@pytest.mark.parametrize("command", [["run", LORA], ["cost", LORA], ["optimize", LORA]])
@pytest.mark.parametrize("precision", ["2", "1", "0", "nan", "-0.5"])
def test_a_precision_lies_between_0_and_1(command: list[str], precision: str) -> None:
    ended = slotlang(*command, f"--precision={precision}")
    assert ended.status == 2 and "error[SL005]: a precision lies between 0 and 1" in ended.err


def test_codes_are_listed_in_order_and_far_ones_are_not_suggested() -> None:
    codes = [line[:5] for line in slotlang("explain").out.splitlines()]
    assert codes == sorted(codes) and len(codes) > 50
    assert codes == [entry["code"] for entry in json.loads(slotlang("explain", "--json").out)["codes"]]
    assert "did you mean" not in slotlang("explain", "sl999").err
    assert "did you mean 'SL505'?" in slotlang("explain", "sl5055").err


@pytest.mark.parametrize(
    ("name", "array", "hint"),
    [
        ("scale", np.ones(1), "save one number, array.reshape(())"),
        ("scale", np.ones((1, 1)), "save one number, array.reshape(())"),
        ("A", np.ones((1, 48, 4)), "save an array of that shape, array.reshape((48, 4))"),
        ("A", np.ones((4, 48)), "save the transpose, array.T"),
        ("A", np.ones((5, 4)), "set the sizes with --set, or save the array in the program's shape"),
    ],
)
def test_shapes_that_are_nearly_right(tmp_path: Path, name: str, array: object, hint: str) -> None:
    right = {"A": np.ones((48, 4)), "B": np.ones((4, 32)), "scale": 0.5, "x": np.ones((32, 8))}
    np.savez(tmp_path / "own.npz", **{**right, name: array})  # type: ignore[arg-type]
    ended = slotlang("run", LORA, *SMALL, "--data", str(tmp_path / "own.npz"))
    assert ended.status == 2 and "SL523" in ended.err and hint in ended.err


def test_an_output_without_an_ending(tmp_path: Path) -> None:
    for name, said in (("build", "build has no ending"), ("y.txt", "the ending of y.txt is .txt")):
        ended = slotlang("run", LORA, *SMALL, "--output", str(tmp_path / name))
        assert ended.status == 2 and f"--output writes .npy and .npz files, and {said}\n" in ended.err
        assert f"hint: for example --output {(tmp_path / name).with_suffix('.npy')}" in ended.err


def test_weights_beyond_their_bounds_are_named_with_their_file(tmp_path: Path) -> None:
    rng, file = np.random.default_rng(0), tmp_path / "own.npz"
    weights = {"A": np.full((64, 4), 1e3), "B": rng.standard_normal((4, 64)), "scale": 1.0}
    np.savez(file, x=rng.standard_normal((64, 2)), **weights)
    sizes = [word for name in ("d=64", "r=4", "batch=2", "slots=128") for word in ("--set", name)]
    for command in (["run"], ["lower", "-o", str(tmp_path / "m.py")]):
        ended = slotlang(*command, "programs/rank_complex.slot", *sizes, "--data", str(file), "--bound", "A=3")
        assert ended.status == 2 and ended.err.startswith("error[SL534]: |A| is 1000"), ended.err
        assert f"\n  --> {file}\n" in ended.err


def test_inputs_beyond_their_limits_are_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "total.slot").write_text(SUM)
    np.savez(tmp_path / "own.npz", x=np.full(4, 1e3), z=np.full(4, 1e4))
    ended = slotlang("run", str(tmp_path / "total.slot"), "--data", str(tmp_path / "own.npz"))
    assert ended.status == 2 and ended.err.count("error[SL531]") == 1
    assert f"\n  --> {tmp_path / 'own.npz'}\n" in ended.err
    assert "norm of x is 2000" in ended.err and "norm of z is 2e+04" in ended.err
    hint = ended.err.partition("  hint: ")[2]
    assert "run the program with --bound-norm x=2e+03; and " in hint and "--bound-norm z=2e+04" in hint
    assert "lower" not in ended.err
    np.savez(tmp_path / "own.npz", x=np.full(4, 1.0), z=np.full(4, 1e4))
    ended = slotlang("run", str(tmp_path / "total.slot"), "--data", str(tmp_path / "own.npz"))
    assert "norm of x" not in ended.err and "norm of z is 2e+04" in ended.err


def test_sizes_that_an_adapter_does_not_give_are_named() -> None:
    adapter = ["--adapter", str(ROOT / "examples" / "minilm_adapter"), "--module", "layer.0.attention.self.query"]
    square = str(PROGRAMS / "rank_complex.slot")
    ended = slotlang("run", square, *adapter)
    assert ended.status == 2 and "error[SL204]" in ended.err
    assert "hint: d = 384, r = 8 are the adapter's: choose batch, slots for that, with --set slots=..." in ended.err
    # sizes that were given are nobody else's
    ended = slotlang("cost", square, *adapter, "--set", "d=384", "--set", "r=8")
    assert "error[SL204]" in ended.err and "the adapter's" not in ended.err


@pytest.mark.parametrize(
    "command", [["cost", LORA], ["compare", LORA, str(PROGRAMS / "rank_first.slot")], ["run", LORA]]
)
def test_lines_of_tables_end_with_their_text(command: list[str]) -> None:
    sizes = SMALL if command[0] != "compare" else []
    ended = slotlang(*command, *sizes)
    assert ended.status == 0, ended.err
    assert [line for line in ended.out.splitlines() if line != line.rstrip()] == []


def test_of_several_arrays_the_sample_is_asked_for(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "own.npz", x=rng.standard_normal((6, 16)), A=np.ones((2, 2)))
    command = ["adapter", "equalize", str(tmp_path / "own.npz"), "-o", str(tmp_path / "e.json")]
    ended = slotlang(*command)
    assert ended.status == 2 and "own.npz holds 2 arrays" in ended.err and "--input NAME" in ended.err
    assert not (tmp_path / "e.json").exists()
    assert slotlang(*command, "--input", "x").status == 0
    assert len(json.loads((tmp_path / "e.json").read_text())["exponents"]["x"]) == 16
    # one array needs no name, and is of x
    np.savez(tmp_path / "own.npz", hidden=rng.standard_normal((6, 8)))
    assert slotlang(*command).status == 0
    assert len(json.loads((tmp_path / "e.json").read_text())["exponents"]["x"]) == 8
