"""A wheel and an editable install both find the grammar and emit modules."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from repository import PROGRAMS, ROOT

from slotlang.puzzles.book import PUZZLES
from slotlang.templates import TEMPLATES

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
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
import slotlang
from slotlang.puzzles.book import PUZZLES
from slotlang.templates import TEMPLATES, program_from
assert all(puzzle.text for puzzle in PUZZLES)
assert all(program_from(template, "mine") for template in TEMPLATES)
assert slotlang.__version__[:1].isdigit() or slotlang.__version__ == "0+unknown"
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
    assert {"slotlang/std/layouts.slot", "slotlang/std/schedules.slot", "slotlang/std/SHA256SUMS"} <= set(names)
    assert {"slotlang/py.typed", "slotlang/programs/rank_complex.slot", "slotlang/programs/seed/lazy.slot"} <= set(
        names
    )
    assert {f"slotlang/page/page.{kind}" for kind in ("html", "css", "js")} <= set(names)
    assert not [n for n in names if n.startswith(("tests/", "programs/"))]


def test_the_wheel_holds_templates_and_puzzles_without_solutions(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {f"slotlang/templates/{name}.slot" for name in TEMPLATES} <= set(names)
    puzzles = {name for name in names if name.startswith("slotlang/puzzles/") and name.endswith(".slot")}
    assert puzzles == {f"slotlang/puzzles/{puzzle.name}.slot" for puzzle in PUZZLES}
    assert not [name for name in names if "solution" in name]
    # nor does a solution stand in another file
    solutions = [path.read_text() for path in (ROOT / "tests" / "puzzles" / "solutions").glob("*.slot")]
    texts = {zipfile.ZipFile(wheel).read(name).decode() for name in names if name.endswith(".slot")}
    assert len(solutions) == len(PUZZLES) and not texts & set(solutions)


def test_the_wheel_holds_the_pages_of_the_documents(wheel, tmp_path):
    files = zipfile.ZipFile(wheel)
    inside = {name for name in files.namelist() if name.startswith("slotlang/docs/") and name.endswith(".md")}
    pages = sorted((ROOT / "docs").glob("*.md"))
    assert inside == {f"slotlang/docs/{path.name}" for path in pages}
    assert all(files.read(f"slotlang/docs/{path.name}") == path.read_bytes() for path in pages)
    assert not [name for name in files.namelist() if "pictures/" in name or "/make_" in name]
    # and the command finds them, away from the checkout
    target = tmp_path / "site"
    files.extractall(target)
    env = {**os.environ, "PYTHONPATH": str(target)}
    said = run(sys.executable, "-m", "slotlang", "docs", "docs/proof.md", cwd=tmp_path, env=env)
    assert said == (ROOT / "docs" / "proof.md").read_text(encoding="utf-8")
    folder = "import slotlang.docs as d; print(d._folder())"
    assert run(sys.executable, "-c", folder, cwd=tmp_path, env=env).strip() == str(target / "slotlang" / "docs")


def test_the_wheel_says_what_it_is(wheel):
    files = zipfile.ZipFile(wheel)
    (metadata,) = [files.read(n).decode() for n in files.namelist() if n.endswith(".dist-info/METADATA")]
    assert "\nRequires-Python: >=3.11\n" in metadata and f"\nVersion: {VERSION}\n" in metadata
    (scripts,) = [files.read(n).decode() for n in files.namelist() if n.endswith("entry_points.txt")]
    assert "slotlang = slotlang.cli:main" in scripts


def test_the_version_is_that_of_the_package(wheel, tmp_path):
    target = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(target)
    env = {**os.environ, "PYTHONPATH": str(target)}
    found = run(sys.executable, "-c", "import slotlang; print(slotlang.__version__)", cwd=tmp_path, env=env)
    assert found.strip() == VERSION
    assert run(sys.executable, "-m", "slotlang", "--version", cwd=tmp_path, env=env) == f"slotlang {VERSION}\n"
    # away from the checkout, a first program is started and proved
    run(sys.executable, "-m", "slotlang", "new", "mine", cwd=tmp_path, env=env)
    assert run(sys.executable, "-m", "slotlang", "check", "mine.slot", cwd=tmp_path, env=env).startswith("proved")


@pytest.mark.parametrize("version", [(3, 8, 10), (3, 10, 14)])
def test_an_older_python_is_told_so(version, monkeypatch):
    text = (ROOT / "slotlang" / "__init__.py").read_text()
    monkeypatch.setattr(sys, "version_info", version)
    with pytest.raises(ImportError, match=f"needs Python 3.11 or newer, and this is Python {version[0]}.{version[1]}"):
        exec(compile(text, "slotlang/__init__.py", "exec"), {"__name__": "slotlang"})


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
