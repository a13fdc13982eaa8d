"""A wheel and an editable install both find the grammar and emit modules."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from repository import PROGRAMS, ROOT

PROBE = """
import sys
from slotlang.syntax.tables import grammar_path
from slotlang.api import cost, load, lower
print(grammar_path())
program = load(sys.argv[1], {"d": 32, "r": 4, "batch": 2, "slots": 16})
assert cost(program).predicted.evaluation > 0
assert "MODULE = Module(" in lower(program).text
from slotlang.api import loads
text = 'import "std/layouts.slot"\\nprogram p(n = 4)\\ninput x[n]\\naxes (h < n)\\ncipher X = padded(x)\\n'
assert loads(text + "output y[h] = X\\nprove y == x\\n").name == "p"
from slotlang.api import programs_path
assert (programs_path() / "rank_complex.slot").is_file()
"""


def run(*command: str, **more) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, **more).stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", str(folder), str(ROOT))
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_grammar_and_runtime(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert "slotlang/grammar/slot.lark" in names
    assert "slotlang/cost/profiles/default.json" in names
    assert {"slotlang_runtime/server.py", "slotlang_runtime/seal/ring.py", "slotlang_runtime/py.typed"} <= set(names)
    assert "slotlang/emit/direct.py" in names
    assert {"slotlang/std/layouts.slot", "slotlang/std/schedules.slot"} <= set(names)
    assert {"slotlang/py.typed", "slotlang/programs/rank_complex.slot", "slotlang/programs/seed/lazy.slot"} <= set(
        names
    )
    assert {f"slotlang/page/page.{kind}" for kind in ("html", "css", "js")} <= set(names)
    assert not [n for n in names if n.startswith(("tests/", "programs/"))]


def test_an_installed_wheel_works_away_from_the_checkout(wheel, tmp_path):
    target = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(target)
    env = {**os.environ, "PYTHONPATH": str(target)}
    program = PROGRAMS / "rank_complex.slot"
    found = run(sys.executable, "-c", PROBE, str(program), cwd=tmp_path, env=env)
    assert Path(found.strip()) == target / "slotlang" / "grammar" / "slot.lark"


def test_an_editable_install_finds_the_grammar_beside_the_package(tmp_path):
    program = PROGRAMS / "rank_complex.slot"
    found = run(sys.executable, "-c", PROBE, str(program), cwd=tmp_path)
    assert Path(found.strip()) == ROOT / "grammar" / "slot.lark"
