"""Files of several programs, definitions and imports, by commands: each word of the reference, and what goes wrong."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from command_line import slotlang
from repository import ROOT

FUNCTION = """# a named expression; expect: proved
program function_def(n = 64)
def diagonal(M, q) = M[slot, (slot + q) % slots]
input  x[n]
weight M[n, n]
axes (h < n)
cipher X = x[h]
plain D[q < n] = diagonal(M, q)
Y = sum q < n: (X << q) * D[q]
output y[h] = Y
prove  y == M @ x
"""
IMPORTS = FUNCTION.replace("def diagonal(M, q) = M[slot, (slot + q) % slots]", 'import "./layouts.slot"').replace(
    "sum q < n:", "sum q < n by bsgs(8):"
)
LAYOUTS = "# definitions only\ndef diagonal(M, q) = M[slot, (slot + q) % slots]\n"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of two programs that the reference shows."""
    page = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    block = re.search(r"test_several_programs.py runs it as a file -->\n```slot\n(.*?)```", page, re.DOTALL)
    assert block is not None
    path = tmp_path_factory.mktemp("two") / "two.slot"
    path.write_text(block[1])
    return path


@pytest.mark.parametrize("text", [FUNCTION, IMPORTS], ids=["def", "import"])
def test_definitions_are_proved_and_run_encrypted(text: str, tmp_path: Path) -> None:
    path = tmp_path / "p.slot"
    path.write_text(text)
    (tmp_path / "layouts.slot").write_text(LAYOUTS)
    assert slotlang("check", str(path)).status == 0
    ran = json.loads(slotlang("run", str(path), "--json", "--set", "n=16").out)
    assert ran["passed"] if "passed" in ran else ran["report"]["passed"]


def test_check_checks_all_as_each_expects(two: Path) -> None:
    ended = slotlang("check", str(two), "--json")
    assert ended.status == 1
    files = json.loads(ended.out)["files"]
    assert [(f["file"], f["program"], f["verdict"]) for f in files] == [
        (f"{two}:there", "there", "proved"),
        (f"{two}:wrong", "wrong", "refuted"),
    ]
    lines = slotlang("check", str(two)).out.splitlines()
    assert [line.split()[:2] for line in lines] == [["proved", f"{two}:there"], ["refuted", f"{two}:wrong"]]


def test_one_is_checked_by_its_name(two: Path) -> None:
    assert slotlang("check", f"{two}:there").status == 0
    refuted = slotlang("check", f"{two}:wrong")
    assert refuted.status == 1
    # its lines are those of the file
    number = two.read_text().splitlines().index("output y[h] = Y") + 1
    assert f"line {number}" in refuted.out


def test_set_goes_to_every_program_that_has_the_size(two: Path) -> None:
    assert json.loads(slotlang("check", str(two), "--set", "n=16", "--json").out)["files"][0]["verdict"] == "proved"
    files = json.loads(slotlang("check", str(two), "--set", "m=0", "--json").out)["files"]
    assert [f["verdict"] for f in files] == ["proved", "proved"]
    ended = slotlang("check", str(two), "--set", "k=16")
    assert ended.status == 2
    assert "error[SL212]: no program of" in ended.err
    ended = slotlang("check", f"{two}:there", "--set", "m=1")
    assert (ended.status, "SL212" in ended.err) == (2, True)


@pytest.mark.parametrize("command", ["cost", "run", "graph", "show", "optimize"])
def test_other_commands_want_a_name(two: Path, command: str) -> None:
    ended = slotlang(command, str(two))
    assert ended.status == 2
    assert "error[SL120]: this file has 2 programs: there, wrong" in ended.err
    assert f"{two}:there" in ended.err
    assert slotlang(command, f"{two}:there").status == 0
    ended = slotlang(command, f"{two}:their")
    assert (ended.status, "did you mean 'there'?" in ended.err) == (2, True)


def test_a_file_is_not_overwritten_by_its_program(two: Path) -> None:
    before = two.read_text()
    ended = slotlang("lower", f"{two}:there", "-o", str(two))
    assert (ended.status, "SL006" in ended.err) == (2, True)
    assert two.read_text() == before


def test_fmt_formats_the_whole_file(two: Path) -> None:
    assert slotlang("fmt", "--check", str(two)).status == 0
    assert slotlang("fmt", f"{two}:there").status == 2


def test_a_certificate_is_of_one_program(two: Path, tmp_path: Path) -> None:
    certificate = tmp_path / "c.json"
    assert slotlang("check", str(two), "--certificate", str(certificate)).status == 2
    assert slotlang("check", f"{two}:there", "--certificate", str(certificate)).status == 0
    assert slotlang("recheck", str(certificate)).status == 0
    assert "program wrong" not in certificate.read_text()


def test_a_colon_in_a_file_name_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.slot:b"
    path.write_text(FUNCTION)
    assert slotlang("check", str(path)).status == 0


def test_bounds_from_outside_keep_the_places(tmp_path: Path) -> None:
    path = tmp_path / "p.slot"
    bound = "bound |x| <= 2\n"
    path.write_text(FUNCTION.replace("axes", f"{bound}axes").replace("output y[h] = Y", "output y[h] = Z"))
    ended = slotlang("check", str(path), "--bound", "x=1/1024", "--bound", "M=4")
    assert ended.status == 2
    line = path.read_text().splitlines().index("output y[h] = Z") + 1
    assert f"p.slot:{line}:15" in ended.err


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "layouts.slot").write_text(LAYOUTS)
    (inside / "layouts.slot").symlink_to(tmp_path / "layouts.slot")
    (inside / "p.slot").write_text(IMPORTS)
    ended = slotlang("check", str(inside / "p.slot"))
    assert (ended.status, "SL117" in ended.err) == (2, True)


def test_a_text_that_is_in_no_folder_imports_the_library_alone() -> None:
    from slotlang.api import check, loads
    from slotlang.diagnostics import SlotError

    with pytest.raises(SlotError, match="SL117"):
        loads(IMPORTS)
    assert check(loads(IMPORTS.replace("./layouts", "std/layouts"))).proved


def test_proved_for_all_sizes(tmp_path: Path) -> None:
    path = tmp_path / "p.slot"
    path.write_text(FUNCTION)
    ended = slotlang("check", str(path), "--for-all", "n")
    assert ended.status == 0, ended.out + ended.err
