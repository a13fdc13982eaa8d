"""What a module does when it is run: client and server at work, and one line for what is wrong."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pytest
from small_programs import LORA, case
from worlds import emitted

from slotlang import api
from slotlang.run.runner import load_module, random_data
from slotlang_runtime import weights as runtime_weights
from slotlang_runtime.kernels.unavailable import Unavailable
from slotlang_runtime.module import Module
from slotlang_runtime.script import main


@pytest.fixture(scope="module")
def module() -> Module:
    return load_module(emitted(LORA).text)


def test_random_data(module: Module, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--seed", "3"]):
        assert main(module, arguments) == 0
        out, err = capsys.readouterr()
        assert err == ""
        (found,) = re.findall(r"^y: shape \(32, 2\), relative rms error (\S+)$", out, re.MULTILINE)
        assert float(found) < 1e-5
        counts = re.findall(r"^evaluation: [0-9.]+ ms, (\{.*\})$", out, re.MULTILINE)
        assert {k: v for k, v in ast.literal_eval(counts[0]).items() if v} == module.counts


def test_several_results(capsys: pytest.CaptureFixture[str]) -> None:
    text = case("results of some members").text
    assert main(load_module(emitted(text).text), []) == 0
    out = capsys.readouterr().out
    errors = re.findall(r"^\w+: shape .*, relative rms error (\S+)$", out, re.MULTILINE)
    assert len(errors) > 1 and all(float(e) < 1e-5 for e in errors)


def test_a_kernel_that_is_not_used_is_said(
    module: Module, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(ring: object) -> None:
        raise Unavailable("they are not here")

    monkeypatch.setattr(runtime_weights, "tested", unavailable)
    assert main(module, []) == 0
    assert "evaluated by SEAL's operations: they are not here" in capsys.readouterr().out


def test_data_from_a_file(module: Module, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data.npz"
    program = api.loads(LORA)
    inputs, weights = random_data(program, 5)
    np.savez(data, **inputs, **{**weights, "scale": np.array(0.5)})
    assert main(module, ["--data", str(data)]) == 0
    assert "random" not in capsys.readouterr().err
    np.savez(data, x=inputs["x"], B=weights["B"])
    assert main(module, ["--data", str(data)]) == 0
    assert capsys.readouterr().err == f"note: {data} has no A, scale: random numbers stand there\n"

    def refused(message: str, *arguments: str, code: str = "SL523") -> None:
        assert main(module, list(arguments)) == 2
        out, err = capsys.readouterr()
        assert out == "" and err.startswith(f"error[{code}]: ") and err.count("\n") == 1
        assert message in err

    np.savez(data, x=np.zeros((3, 3)))
    refused(f"{data}: x must have shape (32, 2), not (3, 3)", "--data", str(data))
    np.savez(data, A=np.full((32, 4), np.nan))
    refused("A holds NaN or infinity", "--data", str(data))
    np.savez(data, nobody=np.zeros(3))
    refused("it holds 'nobody'; the names here are x, A, B, scale", "--data", str(data))
    np.savez(data, x=np.array([{}], dtype=object))
    refused("is not an .npz file of arrays", "--data", str(data))
    np.save(tmp_path / "data.npy", np.zeros(3))
    refused("is not an .npz file of arrays", "--data", str(tmp_path / "data.npy"))
    data.write_bytes(b"PK\x03\x04 and then nothing")
    refused("is not an .npz file of arrays", "--data", str(data))
    refused("No such file", "--data", str(tmp_path / "absent.npz"))
    refused("--seed must not be negative", "--seed", "-1", code="SL005")


@pytest.mark.parametrize("arguments", [["--seed", "x"], ["--nothing"], ["more"]])
def test_arguments_that_do_not_exist(module: Module, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(module, arguments)
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err
