"""docs/json.md: the shapes it shows are the shapes that are printed."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from command_line import slotlang
from repository import ROOT

PAGE = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```sh\n(slotlang .*?)(?:  # exit status (\d))?\n```\n\n```json\n(.*?)\n```", PAGE, re.DOTALL)


def shape(value: Any) -> Any:
    """Keys and kinds of values; of a list its first entry. null may stand for anything."""
    if isinstance(value, dict):
        return {key: shape(v) for key, v in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    return "number" if isinstance(value, int | float) else "text"


def agrees(a: Any, b: Any) -> bool:
    if "NoneType" in (a, b):
        return True
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(agrees(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return not a or not b or agrees(a[0], b[0])
    return bool(a == b)


@pytest.mark.parametrize(("command", "status", "example"), EXAMPLES, ids=[e[0] for e in EXAMPLES])
def test_examples(command: str, status: str, example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("programs", "examples"):
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
    found = {tuple(shlex.split(command)[1:3]) for command, _, _ in EXAMPLES}
    assert {words for words in found if words in names} | {words[:1] for words in found if words[:1] in names} == names
    for words in names:
        assert "--json" in slotlang(*words, "--help").out
