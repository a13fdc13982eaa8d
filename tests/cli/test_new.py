"""``slotlang new``: every template is a proved program, and no file is ever overwritten."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import slotlang

from slotlang.api import check, loads
from slotlang.source import Source
from slotlang.syntax.formatter import format_program
from slotlang.syntax.statements import parse_file
from slotlang.templates import TEMPLATES, program_from


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_is_proved_and_formatted(template: str) -> None:
    text = program_from(template, "mine")
    program = loads(text)
    assert program.name == "mine" and check(program).proved
    assert format_program(parse_file(Source("mine.slot", text))) == text
    assert text.startswith("# ")


def test_a_program_is_started(folder: Path) -> None:
    ended = slotlang("new", "mine", "--template", "row")
    assert ended.status == 0 and ended.out.startswith("wrote mine.slot: ")
    assert (folder / "mine.slot").read_text() == program_from("row", "mine")
    commands = [line.strip().partition("  ")[0] for line in ended.out.splitlines() if line.startswith("  slotlang ")]
    assert commands.pop() == "slotlang run mine.slot" and len(commands) == 3
    for command in commands:
        assert slotlang(*command.split()[1:]).status == 0, command


@pytest.mark.parametrize("there", ["file", "folder", "link", "dangling link"])
def test_what_is_there_stays(there: str, folder: Path) -> None:
    path = folder / "mine.slot"
    (folder / "other").write_text("precious")
    {
        "file": lambda: path.write_text("precious"),
        "folder": path.mkdir,
        "link": lambda: path.symlink_to("other"),
        "dangling link": lambda: path.symlink_to("nowhere"),
    }[there]()
    before = sorted(folder.iterdir())
    ended = slotlang("new", "mine")
    assert ended.status == 2 and "error[SL010]: mine.slot is there already" in ended.err
    assert sorted(folder.iterdir()) == before and (folder / "other").read_text() == "precious"
    if there == "file":
        assert path.read_text() == "precious"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("2x", "slotlang new p2x"),
        ("mine.slot", "slotlang new mine"),
        ("a-b", "slotlang new a_b"),
        ("prove", "'prove' is a word of the language: slotlang new my_prove"),
        ("", "a name is made of letters, digits and _"),
        ("../up", "slotlang new up"),
        ("größe", "slotlang new gr_e"),
        ("x" * 65, "a name is made of letters"),
    ],
)
def test_names_that_a_program_can_not_have(name: str, hint: str, folder: Path) -> None:
    ended = slotlang("new", name)
    assert ended.status == 2 and "error[SL005]" in ended.err and hint in ended.err
    assert list(folder.iterdir()) == []


def test_bad_templates_and_folders(folder: Path) -> None:
    ended = slotlang("new", "mine", "--template", "colum")
    assert ended.status == 2 and "there is no template 'colum'" in ended.err and "'column'" in ended.err
    ended = slotlang("new", "mine", "-o", "no/mine.slot")
    assert ended.status == 2 and "error[SL004]" in ended.err
    assert list(folder.iterdir()) == []


def test_templates_are_listed(folder: Path) -> None:
    ended = slotlang("new")
    assert ended.status == 0 and [line.split()[0] for line in ended.out.splitlines()[: len(TEMPLATES)]] == [*TEMPLATES]
    values = json.loads(slotlang("new", "--json").out)
    assert [entry["template"] for entry in values["templates"]] == [*TEMPLATES]
    # the option's help names them too
    assert all(name in slotlang("new", "--help").out for name in TEMPLATES)


def test_json(folder: Path) -> None:
    values = json.loads(slotlang("new", "mine", "-o", "a.slot", "--json").out)
    assert (values["file"], values["name"], values["template"]) == ("a.slot", "mine", "diagonal")
    assert (folder / "a.slot").exists()
