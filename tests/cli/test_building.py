"""``adapter build`` on the command line: what it prints before and after, and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from adapter_files import factors_layout, write_adapter
from command_line import slotlang
from terminal import on_terminal

from slotlang.adapter.building import build as build_module
from slotlang.api import parameters_named
from slotlang.cli import progress
from slotlang.diagnostics import error


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A command for an adapter of one module that can be built, and one that can't. Parameters are not searched."""
    found = parameters_named("degree 4096 primes 39, 39, 27 scales 20, 20, 16")
    monkeypatch.setattr(build_module, "common", lambda *given: found)
    monkeypatch.setattr(build_module, "certificate", lambda *given: "{}")
    layout = factors_layout("l.0.q_proj", 8, 8, 2) | factors_layout("l.1.q_proj", 8, 8, 2)
    layout |= {"base_model.model.conv.lora_A.weight": ("F32", [2, 3, 3, 3])}
    layout |= {"base_model.model.conv.lora_B.weight": ("F32", [8, 2, 1, 1])}
    write_adapter(tmp_path / "my adapter", layout, r=2)
    return ["adapter", "build", str(tmp_path / "my adapter"), "-o", str(tmp_path / "service"), "--tokens", "256"]


def test_what_is_printed(command: list[str], tmp_path: Path) -> None:
    ended = slotlang(*command)
    assert ended.status == 0, ended.err
    lines = ended.out.splitlines()
    assert lines[0] == "2 modules, 2 inputs, 1 program for 256 tokens:"
    assert lines[1] == "  8 -> 8 (rank 2): l.{0-1}.q_proj#in"
    assert lines[2].startswith("  skipped, 1: conv: it is a convolution")
    assert lines[3].startswith("about ") and "in a server's memory" in lines[3]
    assert lines[5].startswith(f"{tmp_path / 'service' / 'my-adapter'}: version ")
    assert "  q_proj-8x256: proved, range proved; 2 inputs, 1 result, " in ended.out
    again = slotlang(*command, "--json")
    found = json.loads(again.out)
    assert (found["schema"], found["changed"], found["reused"]) == ("slotlang.adapter.build/1", False, 2)
    assert found["estimate"]["modules"] == 2 and found["skipped"][0]["module"] == "conv"
    assert (
        found["version"] == json.loads((tmp_path / "service" / "my-adapter" / "manifest.json").read_text())["version"]
    )
    assert "2 modules, 2 inputs" in again.err
    assert slotlang("check", str(tmp_path / "service" / "my-adapter" / found["programs"][0]["file"])).status == 0


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--module", "conv"], "SL504"),
        (["--module", "l.7"], "SL502"),
        (["--tokens", "0"], "SL005"),
        (["--precision", "2"], "SL005"),
        (["--name", "../up"], "SL005"),
        (["--shared-inputs", "FILE"], "SL553"),
        (["--activations", "FILE"], "SL505"),
    ],
)
def test_refusals(command: list[str], tmp_path: Path, options: list[str], code: str) -> None:
    (tmp_path / "file.json").write_text("{}")
    ended = slotlang(*command, *(str(tmp_path / "file.json") if word == "FILE" else word for word in options))
    assert ended.status == 2 and f"error[{code}]" in ended.err
    assert not (tmp_path / "service").exists()


def test_what_many_tokens_take_is_said_before_the_work(
    command: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def stop(*given: object, **more: object) -> None:
        raise error("SL552", "not built here")

    monkeypatch.setattr(build_module, "build", stop)
    lines = slotlang(*command).out.splitlines()
    assert len(lines) == 5 and lines[4].startswith("all inputs once, 2 evaluations of 256 tokens or fewer: ")
    lines = slotlang(*command[:-1], "5000").out.splitlines()
    assert lines[4].startswith("all inputs once, 2 evaluations of 5,000 tokens or fewer: ")
    assert lines[5].startswith("  3,192 of 8,192 places stay empty")
    assert lines[6].endswith("slotlang serve --max-tokens 5000 takes it")
    wide = factors_layout("l.0.q_proj", 8, 4096, 2)
    write_adapter(tmp_path / "my adapter", wide, r=2)
    assert "--max-tokens 4097 --max-body " in slotlang(*command[:-1], "4097").out


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_takes_lines_back_on_a_terminal_alone(
    command: list[str], terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "DELAY", 0.0)
    monkeypatch.setattr(progress, "PERIOD", 0.001)
    ended = on_terminal(*command) if terminal else slotlang(*command)
    assert ended.status == 0 and ("\x1b" in ended.err) == terminal
    assert not terminal or "weights of l." in ended.err
    assert not any(c in ended.out for c in "\x1b\r") and (terminal or ended.err == "")


def test_another_adapter_of_the_same_name_is_left_alone(command: list[str], tmp_path: Path) -> None:
    assert slotlang(*command).status == 0
    before = (tmp_path / "service" / "my-adapter" / "manifest.json").read_text()
    write_adapter(tmp_path / "my adapter", factors_layout("l.0.q_proj", 8, 8, 2), r=2)
    ended = slotlang(*command)
    assert ended.status == 2 and "error[SL552]" in ended.err and "--force" in ended.err
    assert (tmp_path / "service" / "my-adapter" / "manifest.json").read_text() == before
    assert slotlang(*command, "--force").status == 0
    assert (tmp_path / "service" / "my-adapter" / "manifest.json").read_text() != before


def test_the_hint_shows_a_name_that_is_allowed(command: list[str]) -> None:
    assert ": a-b\n" in slotlang(*command, "--name", "a/b").err


def test_activations_of_unknown_modules(command: list[str], tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **{"l.0.q_proj": np.ones((3, 8)), "l.9": np.ones((3, 8))})
    ended = slotlang(*command, "--activations", str(tmp_path / "x.npz"))
    assert ended.status == 2 and "there are activations of 'l.9'" in ended.err
    np.savez(tmp_path / "x.npz", **{"l.0.q_proj": np.ones((8, 3))})
    ended = slotlang(*command, "--activations", str(tmp_path / "x.npz"))
    assert ended.status == 2 and "have 3 channels" in ended.err


def test_a_warning_of_a_list_without_modules(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "shared.json").write_text('[["a", "b"]]')
    ended = slotlang(*command, "--shared-inputs", str(tmp_path / "shared.json"))
    assert ended.status == 0 and "warning[SL553]" in ended.err
