"""--bound, --bound-norm and --parameters, where a program is read, and what a lowered module keeps of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import slotlang
from repository import PROGRAMS, program_text

from slotlang import api
from slotlang.mutation.mutants import mutants
from slotlang.source import Source
from slotlang.syntax import tree
from slotlang.syntax.parser import parse

PROGRAM = str(PROGRAMS / "rank_complex.slot")
SIZES = ("--set", "d=32", "--set", "r=4", "--set", "batch=2", "--set", "slots=16")
BOUNDS = ("--bound", "A=1/4", "--bound", "scale=2", "--bound-norm", "x=64", "--bound-norm", "B=2^2")
SAID = ["norm(x[:, t]) <= 64", "|A| <= 0.25", "norm(B[i, :]) <= 4", "|scale| <= 2"]
"""In the order in which what they are about is declared."""
OWN = "parameters degree 8192 primes 60, 60, 60 scales 40, 30, 28\n"


@pytest.fixture
def own(tmp_path: Path) -> str:
    """A program with a bound and parameters of its own."""
    path = tmp_path / "own.slot"
    path.write_text(f"{program_text('rank_complex')}bound |x| <= 4*r\n{OWN}")
    return str(path)


def said(*arguments: str) -> dict[str, object]:
    ended = slotlang(*arguments, *SIZES, "--json")
    assert ended.status == 0, ended.err
    found: dict[str, object] = json.loads(ended.out)
    return found


def test_check_says_them_as_assumptions(own: str) -> None:
    ended = slotlang("check", PROGRAM, *SIZES, *BOUNDS)
    assert ended.status == 0
    assert f"not for this verdict: {', '.join(SAID)}\n" in ended.out
    assert "assumed" not in slotlang("check", PROGRAM, *SIZES).out
    report = json.loads(slotlang("check", own, *SIZES, "--json").out)["files"][0]["report"]
    assert report["bounds"] == [
        {"of": "x", "kind": "entry", "axis": None, "limit": "16", "text": "|x| <= 4*r = 16"},
    ]
    everywhere = json.loads(slotlang("check", own, "--for-all", "all", "--json").out)["files"][0]["report"]
    assert everywhere["bounds"] == [{"of": "x", "kind": "entry", "axis": None, "limit": None, "text": "|x| <= 4*r"}]


def test_a_certificate_carries_them(tmp_path: Path) -> None:
    certificate = str(tmp_path / "c.json")
    assert slotlang("check", PROGRAM, *SIZES, *BOUNDS, "--certificate", certificate).status == 0
    assert slotlang("recheck", certificate).status == 0
    text = json.loads(Path(certificate).read_text())["program"]
    assert text.splitlines()[-4:] == [f"bound {bound}" for bound in SAID]


def test_a_module_carries_them(tmp_path: Path) -> None:
    module = tmp_path / "m.py"
    values = said("lower", PROGRAM, "-o", str(module), *BOUNDS)
    assert [b["text"] for b in values["bounds"]] == SAID  # type: ignore[attr-defined]
    checked = json.loads(slotlang("check", str(module), "--json").out)["files"][0]
    assert checked["verdict"] == "proved"
    assert [b["text"] for b in checked["report"]["bounds"]] == SAID
    for option in (("--bound", "x=3"), ("--bound-norm", "x=3")):
        refused = slotlang("check", str(module), *option)
        assert refused.status == 2
        assert "SL743" in refused.err
    # a bound that is edited is another program's
    module.write_text(module.read_text().replace("bound |scale| <= 2", "bound |scale| <= 3"))
    edited = slotlang("check", str(module))
    assert edited.status == 2
    assert "SL742" in edited.err


def test_own_bounds_are_replaced(own: str) -> None:
    report = json.loads(slotlang("check", own, *SIZES, "--bound", "x=3", "--json").out)["files"][0]["report"]
    assert [b["text"] for b in report["bounds"]] == ["|x| <= 3"]


@pytest.mark.parametrize("command", ["cost", "run"])
def test_parameters_of_the_program_and_of_the_command(command: str, own: str) -> None:
    values = said(command, own, *BOUNDS)
    assert values["parameters_from"] == "program"
    assert values["parameters"] == {
        "degree": 8192,
        "primes": [60, 60, 60],
        "scale_bits": 40,
        "drops": [],
        "scales": [40, 30, 28],
        "keys": [],
        "results": 0,
        "cut": [],
    }
    given = said(command, own, "--parameters", "degree 8192 primes 60,60,60 scales 36")
    assert given["parameters_from"] == "given"
    assert given["parameters"]["scale_bits"] == 36  # type: ignore[index]
    assert said(command, own, "--precision", "1e-2")["parameters_from"] == "search"
    assert said(command, PROGRAM)["parameters_from"] == "fixed"


def test_which_parameters_were_used_is_said(own: str) -> None:
    assert "(the program's own)" in slotlang("cost", own, *SIZES).out
    given = ("--parameters", "degree 8192 primes 60,60,60 scales 36")
    assert "(given, in place of the program's own)" in slotlang("cost", own, *SIZES, *given).out
    assert "(given)" in slotlang("cost", PROGRAM, *SIZES, *given).out
    assert "(searched, in place of the program's own)" in slotlang("cost", own, *SIZES, "--precision", "1e-2").out
    assert "'s own)" not in slotlang("cost", PROGRAM, *SIZES, "--precision", "1e-2").out


@pytest.mark.parametrize("norm", ["x", "x[:, t]", "norm(x)", "norm (x[:, t])"])
def test_a_norm_may_be_written_out(norm: str) -> None:
    assert "norm(x[:, t]) <= 3" in slotlang("cost", PROGRAM, *SIZES, "--bound-norm", f"{norm}=3").out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--bound", "x"), "SL005"),
        (("--bound", "=3"), "SL005"),
        (("--bound", "x="), "SL005"),
        (("--bound", "x=1", "--bound", "x=2"), "SL005"),
        (("--bound", "x=-1"), "SL217"),
        (("--bound", "x=nan"), "SL217"),
        (("--bound-norm", "x=1e99"), "SL217"),
        (("--bound", "xx=1"), "SL201"),
        (("--bound-norm", "scale=1"), "SL223"),
        (("--parameters", "degree 4096 primes 60,60 scales 40"), "SL404"),
        (("--parameters", "degree 8192 primes 60,60 moduli 40"), "SL109"),
        (("--parameters", "degree 8192 primes 60,60,60 scales 36", "--precision", "1e-3"), "SL005"),
    ],
)
def test_wrong_arguments(arguments: tuple[str, ...], code: str, tmp_path: Path) -> None:
    commands = [("cost",), ("run",), ("lower", "-o", str(tmp_path / "m.py"))]
    for command, *rest in [*commands, *([("check",)] if arguments[0] != "--parameters" else [])]:
        ended = slotlang(command, PROGRAM, *rest, *SIZES, *arguments)
        assert ended.status == 2
        assert f"error[{code}]" in ended.err
    assert not (tmp_path / "m.py").exists()


def test_check_refuses_insecure_parameters(tmp_path: Path) -> None:
    path = tmp_path / "p.slot"
    path.write_text(f"{program_text('rank_complex')}parameters degree 4096 primes 60, 60 scales 36\n")
    ended = slotlang("check", str(path), *SIZES)
    assert ended.status == 2
    assert "error[SL404]" in ended.err or "error[SL404]" in ended.out


def test_python(own: str) -> None:
    sizes = {"d": 32, "r": 4, "batch": 2, "slots": 16}
    loaded = api.load(own, sizes, bounds={"x": 3, "norm(x)": 0.5})
    assert [(b.name, b.kind, str(b.limit)) for b in loaded.bounds] == [("x", "entry", "3"), ("x", "norm", "1/2")]
    assert api.loads(program_text("rank_complex"), sizes, bounds={"scale": 2}).bounds[0].text == "|scale| <= 2"
    session = api.run(
        own, sizes, bounds={"A": 1}, parameters=api.parameters_named("degree 8192 primes 60,60,60 scales 36")
    )
    assert session.report.passed
    assert [b.name for b in session.program.bounds] == ["x", "A"]


def test_they_are_not_mutated(own: str) -> None:
    """A change of a bound or of parameters would leave the theorem as it is."""
    program = parse(Source("own", Path(own).read_text()))
    said = [s for s in program.statements if isinstance(s, tree.Bound | tree.Parameters)]
    assert len(said) == 2
    for mutation in mutants(program):
        assert [s for s in mutation.program.statements if isinstance(s, tree.Bound | tree.Parameters)] == said


def test_optimize_keeps_bounds_and_drops_parameters_with_what_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "p.slot"
    path.write_text(f"{program_text('seed/hoisted_fixed')}bound norm(x[:, t]) <= 9\n{OWN}")
    found = api.optimize(path, {"d": 32, "r": 4, "batch": 2, "slots": 16}, objective="rotations")
    assert found.changes
    assert "\nbound norm(x[:, t]) <= 9\n" in found.text
    assert "\nparameters" not in found.text
    assert "# without its parameters" in found.text
    assert found.after.bounds == found.before.bounds != ()
