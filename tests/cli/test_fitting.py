"""What any command tells a person fits a terminal of 80 and of 60 columns, and says every word that a pipe gets."""

from __future__ import annotations

import os
import re
from itertools import product
from pathlib import Path

import pytest
from amounts import one_in
from command_line import slotlang
from repository import PROGRAMS, ROOT
from terminal import on_terminal

from slotlang.cli.app import app
from slotlang.cli.fitting import wrapped

SMALL = tuple(word for size in ("d=32", "r=4", "batch=2", "slots=32") for word in ("--set", size))
RANKS = str(PROGRAMS / "rank_complex.slot")
REFUTED = str(ROOT / "docs" / "tutorial" / "whole_adds.slot")
LONG = """program long(n = 4)
input x[n]
axes (h < n)
cipher X = x[h] + x[h] + x[h] + x[h] + x[h] + x[h] + x[h] + x[h] + x[h + 100] + x[h] + x[h] + x[h] + x[h] + x[h]
output y[h] = X
prove y == x
"""
COMMANDS = {
    "new": ("new",),
    "new, a file": ("new", "mine", "--template", "pairs"),
    "check": ("check", RANKS, *SMALL),
    "check, refuted": ("check", REFUTED),
    "check, for all": ("check", RANKS, "--for-all", "d"),
    "check, an error": ("check", "long.slot"),
    "check, sizes": ("check", RANKS, "--set", "d=7"),
    "cost": ("cost", RANKS, *SMALL),
    "show": ("show", RANKS, "S", *SMALL),
    "show, all": ("show", RANKS, *SMALL),
    "explain": ("explain", "SL405"),
    "puzzle show": ("puzzle", "show", "broken"),
    "adapter show": ("adapter", "show", str(ROOT / "examples/minilm_adapter")),
    "lower": ("lower", RANKS, *SMALL, "-o", os.devnull),
    "no command": ("chekc",),
    "no file": ("check", "/no/such/folder/with/a/name/that/is/long/enough/for/any/terminal.slot"),
    "no template": ("new", "x", "--template", "nothing"),
}


def names() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = [()]
    found += [(c.name or c.callback.__name__,) for c in app.registered_commands if c.callback]
    for group in app.registered_groups:
        found.append((str(group.name),))
        commands = group.typer_instance.registered_commands if group.typer_instance else []
        found += [(str(group.name), str(c.name or getattr(c.callback, "__name__", ""))) for c in commands]
    return found


HELP = {f"{' '.join(words)} -h".strip(): (*words, "-h") for words in names()}


def plain(text: str) -> str:
    """Without styles and what was taken back."""
    text = re.sub(r"\r\x1b\[2K[^\n\r]*(?=\r\x1b\[2K)|\r\x1b\[2K", "", text)
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("long.slot").write_text(LONG)


def too_long(text: str, width: int) -> list[str]:
    """Lines that could be shorter: one word alone may be longer than a terminal is wide."""
    return [line for line in plain(text).splitlines() if len(line) > width and len(line.split()) > 1 + ("-->" in line)]


@pytest.mark.parametrize(
    ("width", "name"), one_in(5, product([60, 80], [*COMMANDS, *HELP]), lambda case: f"{case[1]}-{case[0]}")
)
def test_what_commands_say_fits(name: str, width: int) -> None:
    ended = on_terminal(*(COMMANDS | HELP)[name], columns=width)
    assert too_long(ended.out, width) == [] and too_long(ended.err, width) == []
    assert ended.out + ended.err


@pytest.mark.parametrize("name", ["explain", "check", "check, for all", "no template", "new"])
def test_no_word_is_lost_and_a_pipe_is_not_wrapped(name: str) -> None:
    said = slotlang(*COMMANDS[name])
    shown = on_terminal(*COMMANDS[name], columns=60)

    def words(text: str) -> list[str]:
        return re.sub(r"\d+ ms", "", plain(text)).split()

    assert words(shown.out + shown.err) == words(said.out + said.err)
    assert max(map(len, (said.out + said.err).splitlines())) > 60


@pytest.mark.parametrize("width", [60, 80])
def test_summaries_are_whole(width: int) -> None:
    for words in ((), ("puzzle",), ("adapter",), ("client",)):
        assert "..." not in on_terminal(*words, "-h", columns=width).out.partition("Commands:")[2]


@pytest.mark.parametrize("width", [60, 80])
def test_the_place_of_an_error_is_marked_where_it_is(width: int) -> None:
    lines = plain(on_terminal("check", "long.slot", columns=width).err).splitlines()
    carets = next(n for n, line in enumerate(lines) if "^" in line)
    start, end = lines[carets].index("^"), lines[carets].rindex("^") + 1
    assert lines[carets - 1][start:end] == "h + 100"[: end - start] and end - start > 3


def test_json_is_never_wrapped() -> None:
    shown = on_terminal("new", "--json", columns=60)
    assert max(map(len, shown.out.splitlines())) > 60


def test_wrapping() -> None:
    assert wrapped("name   one two three four", 16) == ["name   one two", "       three", "       four"]
    assert wrapped("  one two three", 10) == ["  one two", "    three"]
    assert wrapped("\x1b[1mone\x1b[0m two", 7) == ["\x1b[1mone\x1b[0m two"]
    assert wrapped("unbreakable", 5) == ["unbreakable"]
    assert wrapped("", 5) == [""]
