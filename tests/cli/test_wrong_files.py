"""What is given in the place of a program, and where errors of options point to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from amounts import one_in
from command_line import slotlang

DIAGONALS = """program diagonals(n = 4, slots = 4)
input x[n]
weight W[n, n]
bound |x| <= 4   # mine
axes (h < n)
cipher X = x[h]
plain P[q < n] = W[h, (h + q) % n]
Y = sum q < n: P[q] * (X << q)
output y[h] = Y
prove y == W @ x
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "diagonals.slot"
    path.write_text(DIAGONALS)
    return path


@pytest.mark.parametrize(
    "command", one_in(4, ["run", "cost", "lower -o {}/new.py", "optimize", "fmt", "show", "compare", "graph", "check"])
)
def test_what_slotlang_wrote_is_not_a_program(program: Path, tmp_path: Path, command: str) -> None:
    module, alone, bundle, proof = (tmp_path / n for n in ("module.py", "alone.py", "bundle", "proof.json"))
    assert slotlang("lower", str(program), "-o", str(module)).status == 0
    assert slotlang("lower", str(program), "--standalone", "-o", str(alone)).status == 0
    assert slotlang("lower", str(program), "--bundle", str(bundle)).status == 0
    assert slotlang("check", str(program), "--certificate", str(proof)).status == 0
    python, renamed = tmp_path / "own.py", tmp_path / "module.slot"
    python.write_text("print(1)\n")
    renamed.write_text(module.read_text())
    words = command.format(tmp_path).split()
    for path, hint in (
        (module, f"python {module} runs it, and slotlang check {module} checks it"),
        (alone, f"slotlang check {alone} checks it"),
        (bundle, f"python {bundle / 'diagonals.py'} runs it, and slotlang check {bundle / 'diagonals.py'} checks it"),
        (proof, f"slotlang recheck {proof} checks it"),
        (python, "programs are .slot files"),
        (renamed, "is a module that `lower` wrote"),
    ):
        if command == "check" and path.suffix == ".py":
            continue
        before = path.read_bytes() if path.is_file() else b""
        ended = slotlang(words[0], str(path), *words[1:])
        assert ended.status == 2 and ended.err.count("error[") == 1 and "error[SL008]: " in ended.err, ended.err
        assert hint in ended.err and str(path) in ended.err
        assert not path.is_file() or path.read_bytes() == before
        assert not (tmp_path / "new.py").exists()


@pytest.mark.parametrize("option", ["--bound", "--bound-norm"])
def test_errors_about_bounds_point_to_what_gave_them(program: Path, tmp_path: Path, option: str) -> None:
    """Whether the program has a bound of the same, which the option replaces, or of another size or of nothing."""
    out = str(tmp_path / "module.py")
    about = "|x|" if option == "--bound" else "norm(x)"
    text = DIAGONALS.replace("|x|", about)
    program.write_text(text)
    for given in (["x=1e38"], ["x=1e38", "W=2"], ["W=1e38"]):
        options = [word for value in given for word in (option, value)]
        ended = slotlang("lower", str(program), *options, "-o", out, "--json")
        assert ended.status == 2, ended.err
        (problem,) = json.loads(ended.out)["diagnostics"]
        name = given[0].partition("=")[0]
        assert problem["place"] == {"file": f"{option} {name}", "line": 1, "column": 1}
        shown = "|" if option == "--bound" else "norm("
        assert f"--> {option} {name}:1:1\n" in ended.err and f" 1 | bound {shown}{name}" in ended.err
        assert str(program) not in ended.err
    # the program's own statement is in its file, above and below the place of a statement that an option replaced
    program.write_text(text.replace("<= 4", f"<= 1{'0' * 38}"))
    ended = slotlang("lower", str(program), option, "W=1", "-o", out)
    assert f"--> {program}:4:1\n" in ended.err and " 4 | bound " in ended.err
    program.write_text(text.replace("X << q", "X << r"))
    ended = slotlang("lower", str(program), option, "x=2", "-o", out)
    assert f"--> {program}:8:" in ended.err and "X << r" in ended.err
