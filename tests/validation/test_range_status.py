"""The range theorem in a module: its header and tables say it, and the check decides it again."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import slotlang
from faulty import environment
from repository import PROGRAMS

SIZES = ["--set", "d=32", "--set", "r=4", "--set", "batch=2", "--set", "slots=32"]
BOUNDS = ["--bound", "A=1/2", "--bound", "B=1/4", "--bound", "scale=2", "--bound-norm", "x=8"]
PROGRAM = str(PROGRAMS / "rank_complex.slot")


def lowered(folder: Path, *options: str) -> Path:
    path = folder / "module.py"
    ended = slotlang("lower", PROGRAM, *SIZES, *options, "-o", str(path))
    assert ended.status == 0, ended.err
    return path


def checked(path: Path) -> dict[str, object]:
    (entry,) = json.loads(slotlang("check", str(path), "--json").out)["files"]
    return dict(entry)


def test_a_module_with_bounds_says_that_it_is_proved(tmp_path: Path) -> None:
    path = lowered(tmp_path, *BOUNDS)
    text = " ".join(path.read_text(encoding="utf-8").split())
    assert "Largest inputs: norm(x[:, t]) <= 8. Range: proved." in text
    assert '"range": "proved"' in text
    found = checked(path)["range"]
    assert isinstance(found, dict) and found["status"] == "proved" and found["room_bits"] >= 1
    assert "range: proved for norm(x[:, t]) <= 8, |A| <= 0.5" in slotlang("check", str(path)).out


def test_a_module_without_bounds_says_who_checks_weights(tmp_path: Path) -> None:
    path = lowered(tmp_path)
    text = " ".join(path.read_text(encoding="utf-8").split())
    assert (
        "Largest inputs: norm(x[:, t]) <= 32 (the default). Range: weights are checked when they are encoded." in text
    )
    found = checked(path)["range"]
    assert isinstance(found, dict) and (found["status"], found["room_bits"]) == ("conditional", None)


def test_edited_bodies_are_another_schedule(tmp_path: Path) -> None:
    path = lowered(tmp_path, *BOUNDS)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("def evaluate(", "# by hand\ndef evaluate("), encoding="utf-8")
    assert checked(path)["range"] == checked(lowered(tmp_path, *BOUNDS))["range"]
    edited = re.sub(
        r"^(def evaluate\(.*?\):\n(?:    \"\"\".*?\"\"\"\n)?)", r"\1    unused = 1\n", text, flags=re.M | re.S
    )
    assert edited != text
    path.write_text(edited, encoding="utf-8")
    entry = checked(path)
    assert entry["verdict"] == "proved", entry
    found = entry["range"]
    assert isinstance(found, dict) and found["status"] == "conditional" and "edited" in found["reason"]


@pytest.mark.parametrize(
    ("old", "new"), [('"range": "proved"', '"range": "conditional"'), ('"range": "proved"', '"range": 1')]
)
def test_the_status_is_not_believed(tmp_path: Path, old: str, new: str) -> None:
    path = lowered(tmp_path, *BOUNDS)
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")
    ended = slotlang("check", str(path))
    assert ended.status == 2 and "SL745" in ended.err and "LOWERED" in ended.err


def test_no_module_says_proved_without_bounds(tmp_path: Path) -> None:
    path = lowered(tmp_path)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"range": "conditional"', '"range": "proved"'), encoding="utf-8")
    assert slotlang("check", str(path)).status == 2


def test_commands_agree(tmp_path: Path) -> None:
    options = [*SIZES, *BOUNDS, "--json"]
    lower = json.loads(slotlang("lower", PROGRAM, *options, "-o", str(tmp_path / "m.py")).out)["range"]
    cost = json.loads(slotlang("cost", PROGRAM, *options).out)["range"]
    run = json.loads(slotlang("run", PROGRAM, *options).out)["range"]
    assert lower["status"] == cost["status"] == run["status"] == "proved"
    assert lower["limits"] == cost["limits"] == run["limits"] == ["norm(x[:, t]) <= 8"]
    assert lower["assumptions"] == ["|A| <= 0.5", "|B| <= 0.25", "|scale| <= 2"]
    # real weights leave more room than their bounds
    assert run["assumptions"] == ["these weights"]
    assert run["room_bits"] >= lower["room_bits"] >= cost["room_bits"] >= 1


def test_cost_proves_nothing_of_results() -> None:
    """By the operations alone results could be larger than what they are proved to be."""
    bounds = ["--bound-norm", "A=1", "--bound-norm", "B=1", "--bound", "scale=2"]
    options = ["--set", "d=4096", *bounds, "--precision", "1e-3", "--json"]
    found = json.loads(slotlang("cost", PROGRAM, *options).out)["range"]
    assert found["status"] == "conditional" and "lower has it" in found["reason"]


def test_a_standalone_module_refuses_weights_beyond_bounds(tmp_path: Path) -> None:
    path = lowered(tmp_path, *BOUNDS, "--standalone")
    text = path.read_text(encoding="utf-8")
    # it sends the part that nobody reads too
    assert "Range: NOT proved. With large weights a message could wrap" in " ".join(text.split())
    whole = lowered(tmp_path, *BOUNDS, "--standalone", "--hide", "none").read_text(encoding="utf-8")
    assert "Range: proved." in whole
    larger = text.replace("max(module.excess(weights), 1.0)", "(module.excess(weights) * 0.99)")
    assert larger != text
    for source, status in ((text, 0), (larger, 1)):
        path.write_text(source, encoding="utf-8")
        ended = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, env=environment())
        assert ended.returncode == status
    assert "weights are larger than assumed" in ended.stderr


def test_weights_that_are_given_take_the_place_of_bounds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = {"A": rng.standard_normal((32, 4)) / 8, "B": rng.standard_normal((4, 32)), "scale": np.array(2.0)}
    np.savez(tmp_path / "own.npz", **weights)
    command = ["lower", PROGRAM, *SIZES, "--data", str(tmp_path / "own.npz"), "-o", str(tmp_path / "m.py"), "--json"]
    found = json.loads(slotlang(*command).out)["range"]
    assert (found["status"], found["assumptions"]) == ("proved", ["these weights"])
    # 120 bits of primes, the scale of three factors, a sign, twice a part; rows 0 to 15 are in one ciphertext
    rows = np.sqrt(((2 * weights["A"] @ weights["B"]) ** 2).sum(axis=1)) * 32
    assert found["room_bits"] == pytest.approx(
        120 - 3 * 36 - 2 - np.log2(rows.reshape(2, 16).mean(axis=1).max()), abs=0.01
    )
    np.savez(tmp_path / "own.npz", **{**weights, "A": weights["A"] * 1e30})
    assert "SL532" in json.loads(slotlang(*command).out)["diagnostics"][0]["code"]
