"""``-`` is standard input for every command that takes a program."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import pytest
from amounts import one_in
from command_line import Ended, slotlang
from repository import PROGRAMS

from slotlang.cli.app import app, puzzle_app
from slotlang.syntax import tree

PROGRAM = PROGRAMS / "conjugate.slot"
TEXT = PROGRAM.read_text(encoding="utf-8")
SMALL = ("--set", "n=8")
TAKES = {
    "check": SMALL,
    "cost": SMALL,
    "compare": SMALL,
    "optimize": SMALL,
    "lower": (*SMALL, "-o", "OUT"),
    "show": SMALL,
    "report": (*SMALL, "-o", "OUT"),
    "fmt": ("--check",),
    "graph": SMALL,
}
"""Commands that take a program, and the rest of their words. There are tests of their own for `run`, `view` and `puzzle
check`."""


def fed(monkeypatch: pytest.MonkeyPatch, data: str | bytes, *words: str) -> Ended:
    """A command with this on standard input."""
    raw = data.encode() if isinstance(data, str) else data
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
    return slotlang(*words)


def test_these_are_all_commands_that_take_a_program() -> None:
    found = set()
    for typer_app in (app, puzzle_app):
        for command in typer_app.registered_commands:
            assert command.callback is not None
            hints = command.callback.__annotations__
            if hints.get("file") == "File" or hints.get("files") == "Files":
                found.add(command.name or command.callback.__name__)
    # `puzzle check` has the name of `check`
    assert found == {*TAKES, "run", "view"}


def alike(text: str) -> str:
    """What is printed, without numbers, some of which are times, and the name of the file."""
    for name in (r"\u003cstdin\u003e", "&lt;stdin&gt;", "<stdin>", str(PROGRAM), PROGRAM.name):
        text = text.replace(name, "-")
    return re.sub(r"\d[\d.]*(e[-+]\d+)?", "N", text)


@pytest.mark.parametrize("command", one_in(2, TAKES))
def test_a_program_from_standard_input(command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rest = [str(tmp_path / "out") if word == "OUT" else word for word in TAKES[command]]
    expected = slotlang(command, str(PROGRAM), *rest)
    made = [alike(path.read_text()) for path in tmp_path.iterdir()]
    for path in tmp_path.iterdir():
        path.unlink()
    ended = fed(monkeypatch, TEXT, command, "-", *rest)
    assert ended.status == expected.status == 0, ended.err
    assert re.sub(r"\s+", " ", alike(ended.out)) == re.sub(r"\s+", " ", alike(expected.out))
    assert [alike(path.read_text()) for path in tmp_path.iterdir()] == made


def test_formatted_programs_are_printed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    ended = fed(monkeypatch, TEXT.replace("C = conj Z", "C=conj  Z"), "fmt", "-")
    assert (ended.status, ended.out, ended.err) == (0, TEXT, "")
    ended = fed(monkeypatch, TEXT.replace("C = ", "C="), "fmt", "-", "--check")
    assert (ended.status, ended.out) == (1, "would format -\n")
    (entry,) = json.loads(fed(monkeypatch, TEXT.replace("C = ", "C="), "fmt", "-", "--json").out)["files"]
    assert entry == {"file": "<stdin>", "changed": True, "text": TEXT}
    assert list(tmp_path.iterdir()) == []


def test_one_program_of_several(monkeypatch: pytest.MonkeyPatch) -> None:
    two = "".join(
        f"program {name}(n = 4)\ninput x[n]\naxes (h < n)\ncipher X = x[h]\noutput y[h] = X\nprove y == x\n"
        for name in ("one", "two")
    )
    assert [line.split()[:2] for line in fed(monkeypatch, two, "check", "-").out.splitlines()] == [
        ["proved", "<stdin>:one"],
        ["proved", "<stdin>:two"],
    ]
    assert fed(monkeypatch, two, "cost", "<stdin>:two").out.startswith("two  n = 4\n")
    ended = fed(monkeypatch, two, "cost", "-")
    assert ended.status == 2 and "error[SL120]" in ended.err and "name one of them: -:one" in ended.err


def test_imports_are_looked_for_in_the_working_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.slot").write_text("def same(v) = v[slot]\n")
    text = 'import "./mine.slot"\nprogram p(n = 4, slots = 4)\ninput x[n]\ncipher X = same(x)\n'
    assert fed(monkeypatch, text + "output y[slot] = X\nprove y == x\n", "check", "-").status == 0


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"", "SL108"), (b"\xff\xfe\x00", "SL002"), (b"#" * 1_000_001, "SL003"), (b"program p(\n", "SL101")],
)
def test_bad_input(data: bytes, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = fed(monkeypatch, data, "cost", "-")
    assert ended.status == 2 and f"error[{code}]" in ended.err and "<stdin>" in ended.err


def test_closed_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    ended = slotlang("check", "-")
    assert ended.status == 2 and "error[SL001]: can't read <stdin>: standard input is closed" in ended.err


def test_a_puzzle_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    from slotlang.puzzles.book import PUZZLES

    assert fed(monkeypatch, PUZZLES[0].text, "puzzle", "check", "-").status == 1


def test_a_certificate_from_standard_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    assert slotlang("check", str(PROGRAM), *SMALL, "--certificate", str(path)).status == 0
    ended = fed(monkeypatch, path.read_bytes(), "recheck", "-")
    assert ended.status == 0 and ended.out.startswith("holds  -\n")


def test_a_run_of_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []

    def run(syntax: tree.Program, *_: object, **__: object) -> object:
        given.append(syntax.source.text)
        raise KeyboardInterrupt

    monkeypatch.setattr("slotlang.run.session.run", run)
    assert fed(monkeypatch, TEXT, "run", "-", *SMALL).status == 130 and given == [TEXT]


def test_a_view_of_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    from slotlang.page.sessions import Sessions, Viewed

    given: list[Viewed] = []
    monkeypatch.setattr("slotlang.page.server.serve", lambda viewed, port, listening: given.append(viewed))
    assert fed(monkeypatch, TEXT, "view", "-").status == 0
    # it is read once, and never again
    assert Sessions(given[0]).text == TEXT and not Sessions(given[0]).notice
