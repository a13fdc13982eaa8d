"""docs/json.md: the shapes it shows are the shapes that are printed."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from command_line import slotlang
from json_shapes import EXAMPLES, PAGE, agrees, shape
from repository import ROOT

ELSEWHERE = re.compile(r"slotlang (serve|client|token remove|calibrate)\b")
"""Commands that need a service, which tests/service/test_commands.py runs, and the one that takes seconds to measure,
which tests/cost/test_calibrate.py runs."""
HERE = [example for example in EXAMPLES if not ELSEWHERE.match(example[0])]


@pytest.mark.parametrize(("command", "status", "example"), HERE, ids=[e[0] for e in HERE])
def test_examples(command: str, status: str, example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("programs", "examples", "slotlang"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "build").mkdir()
    monkeypatch.chdir(tmp_path)
    found = slotlang(*shlex.split(command)[1:])
    assert found.status == int(status or 0)
    shown, printed = json.loads(example), json.loads(found.out)
    assert shown["schema"] == printed["schema"]
    assert list(shown) == list(printed)
    assert agrees(shape(shown), shape(printed)), command


def test_every_command_of_the_page_is_an_example() -> None:
    # tests/test_docs.py leaves them to this file
    assert re.findall(r"^slotlang .*?(?=  #|$)", PAGE, re.MULTILINE) == [command for command, _, _ in EXAMPLES]


def test_every_command_is_documented() -> None:
    from slotlang.cli.app import app

    names = {(c.name or c.callback.__name__,) for c in app.registered_commands if c.callback}
    for group in app.registered_groups:
        commands = group.typer_instance.registered_commands if group.typer_instance else []
        names |= {(str(group.name), str(c.name)) for c in commands}
    # it speaks a protocol of its own
    names.remove(("lsp",))
    found = {tuple(shlex.split(command)[1:3]) for command, _, _ in EXAMPLES}
    assert {words for words in found if words in names} | {words[:1] for words in found if words[:1] in names} == names
    for words in names:
        assert "--json" in slotlang(*words, "--help").out
