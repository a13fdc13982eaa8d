"""What a terminal shows: tables that fit, colours where they are wanted, pipes that are not wrapped, progress."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import termios
from functools import cache
from itertools import product
from pathlib import Path
from unittest.mock import patch

import pytest
from amounts import one_in
from command_line import slotlang
from faulty import command, environment
from repository import PROGRAMS, ROOT
from terminal import on_terminal

from slotlang.api import check, loads

RANKS = (str(PROGRAMS / "rank_complex.slot"), str(PROGRAMS / "rank_first.slot"))
SMALL = tuple(word for size in ("d=32", "r=4", "batch=2", "slots=32") for word in ("--set", size))
WRONG = str(ROOT / "docs" / "tutorial" / "whole_adds.slot")
SYNTH = ("synth", "--d-in", "4", "--d-out", "4", "--rank", "1")
COMMANDS = {
    "synth": SYNTH,
    "compare": ("compare", *RANKS, *SMALL),
    "cost": ("cost", RANKS[0], *SMALL),
    "adapter show": ("adapter", "show", "examples/minilm_adapter"),
}
STYLED = {
    **COMMANDS,
    "check": ("check", RANKS[0], *SMALL),
    "check, refuted": ("check", WRONG),
    "check, several": ("check", RANKS[0], WRONG),
    "show": ("show", RANKS[0], "X", *SMALL),
    "optimize": ("optimize", str(PROGRAMS / "conjugate.slot"), "--set", "n=8"),
    "lower": ("lower", RANKS[0], *SMALL, "-o", os.devnull),
    "adapter show, no folder": ("adapter", "show", "docs"),
    "run": ("run", RANKS[0], *SMALL),
    "puzzle": ("puzzle",),
    "explain": ("explain", "SL204"),
    "docs": ("docs", "threats"),
    "help": ("check", "--help"),
    "bad input": ("cost", RANKS[0], "--set", "d=7"),
}
"""Commands that print in styles, or could."""

widths = pytest.mark.parametrize("width", [60, 80])
tables = pytest.mark.parametrize("name", COMMANDS)


@pytest.fixture(autouse=True)
def at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@cache
def piped(name: str, columns: int | None = None) -> str:
    """What a command says into a pipe; ``columns``: of COLUMNS."""
    with patch.dict(os.environ, {} if columns is None else {"COLUMNS": str(columns)}):
        ended = slotlang(*COMMANDS[name])
    assert ended.status == 0
    return ended.err if name == "synth" else ended.out


@cache
def shown(name: str, columns: int) -> str:
    """What a command says on a terminal, without styles and lines of progress."""
    ended = on_terminal(*COMMANDS[name], columns=columns)
    assert ended.status == 0
    return plain(ended.err if name == "synth" else ended.out)


def plain(text: str) -> str:
    """A text without styles and without what was taken back."""
    return re.sub(r"\x1b\[[0-9;]*m", "", re.sub(r"\r\x1b\[2K[^\n]*(?=\r\x1b\[2K)|\r\x1b\[2K", "", text))


def words(text: str) -> set[str]:
    """The words of a table, without times that were measured. What a search says before it differs from the first time
    to the next."""
    text = " ".join(text.split())
    return set(re.sub(r"\d+\.\d+ (ms|s)\b", "", text[max(text.rfind("the Pareto front"), 0) :]).split())


@widths
@tables
def test_what_a_terminal_shows_fits(name: str, width: int) -> None:
    assert [line for line in shown(name, width).splitlines() if len(line) > width] == []


@widths
@tables
def test_no_word_is_cut_or_lost(name: str, width: int) -> None:
    if name in ("cost", "adapter show"):
        assert shown(name, width).split() == piped(name).split()
    else:
        # names of columns may stand beside rows, which have no numbers then
        rows = re.findall(r"^(\d+)  \w", piped(name), re.MULTILINE)
        for narrow in (shown(name, width), piped(name, width)):
            assert words(piped(name)) - words(narrow) <= {"program", "structure", *rows}
    assert "…" not in shown(name, width) + piped(name, width)


@widths
def test_tables_in_a_pipe_are_as_wide_as_columns_says(width: int) -> None:
    lengths = [len(line) for line in piped("compare", width).splitlines() if not line.startswith("note: ")]
    assert max(lengths) <= width < max(map(len, piped("compare").splitlines()))


@tables
def test_a_pipe_is_not_wrapped(name: str) -> None:
    heads = {
        "synth": "structure ",
        "compare": "program ",
        "cost": "range: for norm(x[:, t]) <= 32 (the default); weights are checked when they are encoded",
        "adapter show": "2 modules  1536 x 384, rank 16, scaling 2 = alpha_pattern['intermediate.dense'] /",
    }
    (line,) = [line for line in piped(name).splitlines() if line.strip().startswith(heads[name])]
    assert len(line) > 100


def test_the_width_of_a_real_terminal_is_found() -> None:
    found = b""
    child, descriptor = pty.fork()
    if child == 0:
        os.environ.update(environment(), TERM="xterm")
        os.environ.pop("COLUMNS", None)
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 60, 0, 0))
        os.execv(sys.executable, command(*COMMANDS["cost"]))
    try:
        while data := os.read(descriptor, 65536):
            found += data
    except OSError:
        # the command has ended
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    lengths = [len(line) for line in plain(found.decode()).splitlines()]
    assert 50 < max(lengths) <= 60


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["NO_COLOR", "TERM=dumb"])
@pytest.mark.parametrize("name", one_in(3, STYLED))
def test_no_styles_where_none_are_wanted(name: str, env: dict[str, str]) -> None:
    ended = on_terminal(*STYLED[name], env=env)
    said = ended.out + ended.err
    # a line of progress may be taken back, where the terminal can
    assert "\x1b" not in (said if "TERM" in env else plain(said)) and ended.status in (0, 1, 2)
    assert "\x1b[" not in said.replace("\x1b[2K", "")


def test_there_are_styles_elsewhere() -> None:
    assert "\x1b[32m" in on_terminal(*COMMANDS["compare"]).out
    assert "\x1b[3" in on_terminal("check", WRONG).out
    assert "\x1b" not in slotlang("check", WRONG).out + slotlang(*COMMANDS["compare"]).out


@pytest.mark.parametrize(
    ("variable", "name"),
    # each variable and each command at least once
    one_in(
        2,
        product(["FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE"], ["cost", "check, refuted", "show"]),
        lambda case: f"{case[1]}-{case[0]}",
    ),
)
def test_a_pipe_has_no_styles_whatever_the_environment_says(name: str, variable: str) -> None:
    with patch.dict(os.environ, {variable: "1", "TERM": "xterm-256color"}):
        ended = slotlang(*STYLED[name])
    assert "\x1b" not in ended.out + ended.err and ended.out


# Programs on standard output


def is_program(text: str) -> bool:
    return check(loads(text)).proved


@pytest.mark.parametrize("words", [SYNTH, ("optimize", str(PROGRAMS / "conjugate.slot"), "--set", "n=8")])
def test_a_program_that_is_printed_stands_alone(words: tuple[str, ...], tmp_path: Path) -> None:
    printed = slotlang(*words)
    assert printed.status == 0 and is_program(printed.out) and printed.err
    path = tmp_path / "found.slot"
    written = slotlang(*words, "-o", str(path))
    assert written.status == 0 and is_program(path.read_text()) and "\nprogram " not in written.out
    assert written.out and path.read_text() == printed.out
    assert slotlang(*words, "--json").out.startswith("{\n")
