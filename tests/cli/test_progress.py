"""The line of progress: when it is shown, what it says, and that long commands have one."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import slotlang
from repository import PROGRAMS
from terminal import on_terminal

from slotlang.cli import progress
from slotlang.cli.progress import Line, counted, duration, watched
from slotlang.puzzles.book import PUZZLES

RANKS = (str(PROGRAMS / "rank_complex.slot"), str(PROGRAMS / "rank_first.slot"))
SMALL = tuple(word for size in ("d=32", "r=4", "batch=2", "slots=32") for word in ("--set", size))


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0:00"), (7, "0:07"), (59.6, "1:00"), (760, "12:40"), (3723, "1:02:03")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_counts_and_time_left() -> None:
    clock = Clock()
    line = Line(True, clock)
    line.step("proving: 0 of 8")
    clock.seconds += 6
    assert line.text() == "0 of 8, 0:06  proving"
    line.step("proving: 2 of 8")
    # 3 seconds for each, and 6 to go
    assert line.text() == "2 of 8, 0:06, 0:18 left  proving"
    line.step("decrypt")
    clock.seconds += 1
    assert line.text() == "0:01  decrypt"
    # a fraction is of all work, whose steps have names
    line = Line(True, clock)
    clock.seconds += 30
    line.fraction("weights of q", 0.25)
    assert line.text() == "25%, 0:30, 1:30 left  weights of q"
    line.fraction("done", 1.0)
    assert line.text() == "100%, 0:30  done"


def test_short_work_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    line = Line(True, clock)
    line.step("proving")
    line.draw()
    line.end()
    assert capsys.readouterr().err == ""
    line = Line(True, clock)
    line.step("proving")
    clock.seconds += progress.DELAY
    line.draw()
    line.end()
    line.draw()
    assert capsys.readouterr().err == "\r\x1b[2K0:00  proving\r\x1b[2K"


def test_a_line_is_cut_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    line = Line(True, clock)
    line.step("x" * 300)
    clock.seconds += 1
    line.draw()
    assert len(capsys.readouterr().err.removeprefix("\r\x1b[2K")) == 79


def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step takes long enough to be seen."""
    monkeypatch.setattr(progress, "DELAY", 0.0)
    monkeypatch.setattr(progress, "PERIOD", 0.01)
    original = Line.step

    def step(self: Line, what: str) -> None:
        original(self, what)
        time.sleep(0.05)

    monkeypatch.setattr(Line, "step", step)


def test_results_are_not_mixed_with_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    slow(monkeypatch)
    ended = on_terminal("check", *RANKS, *SMALL)
    assert ended.status == 0 and "\x1b[2K" not in ended.out and ended.out.count("\n") == 2
    assert "0 of 2, 0:0" in ended.err and "\x1b[2K1 of 2, 0:0" in ended.err and ended.err.endswith("\r\x1b[2K")


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, None], ids=["TERM=dumb", "no terminal"])
def test_where_a_line_can_not_be_taken_back_there_is_none(
    env: dict[str, str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(monkeypatch)
    words = ("check", *RANKS, *SMALL)
    ended = slotlang(*words) if env is None else on_terminal(*words, env=env)
    assert ended.status == 0 and ended.err == ""


def test_a_call_that_fails_ends_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="no"), counted("working", 2) as step:
        step(lambda: (_ for _ in ()).throw(ValueError("no")))
    with watched() as line:
        assert line.text().endswith("  ")


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def interrupted_at_work(*_: object, progress: Callable[[str], None], **__: object) -> None:
    progress("evaluate: 1 of 2")
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("check", *RANKS, *SMALL), "proving: 1 of 2"),
        (("check", RANKS[0], *SMALL), "proving"),
        (("compare", *RANKS, *SMALL), "proving and counting: 1 of 2"),
        (("cost", RANKS[0], *SMALL), "counting"),
        (("lower", RANKS[0], *SMALL, "-o", "OUT"), "proving, lowering and validating"),
        (("run", RANKS[0], *SMALL), "evaluate: 1 of 2"),
        (("show", RANKS[0], *SMALL), "proving and drawing"),
        (("graph", RANKS[0], *SMALL), "unrolling"),
        (("report", RANKS[0], *SMALL, "-o", "OUT"), "proving, counting and drawing"),
        (("optimize", RANKS[0], *SMALL), "proving what is given"),
        (("synth", "--d-in", "4", "--d-out", "4", "--rank", "1", "--no-cache"), "comparing structures"),
        (("puzzle",), "checking what is solved: 7 of 8"),
    ],
    ids=lambda words: words[0] if isinstance(words, tuple) else "",
)
def test_long_commands_say_what_they_do(
    words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    steps: list[str] = []
    monkeypatch.setattr(Line, "step", lambda self, what: steps.append(what))
    monkeypatch.setattr(Line, "fraction", lambda self, what, done: steps.append(what))
    monkeypatch.chdir(tmp_path)
    if words[0] == "synth":
        # the search itself takes longer than all else here
        monkeypatch.setattr("slotlang.cli.synthesis.search", interrupted)
    if words[0] == "run":
        monkeypatch.setattr("slotlang.run.session.run", interrupted_at_work)
    ended = slotlang(*(str(tmp_path / "out") if word == "OUT" else word for word in words))
    assert ended.status == (130 if words[0] in ("synth", "run") else 0), ended.err
    assert said in steps


def test_one_of_several_steps_tells_no_time_left() -> None:
    """Steps take different times: a third of them is not a third of the work."""
    clock = Clock()
    line = Line(True, clock)
    line.step("counting: step 3 of 3")
    clock.seconds += 2
    assert line.text() == "step 3 of 3, 0:02  counting"
    line.step("drawing: 12 parts")
    line.step("drawing: 13 parts")
    clock.seconds += 1
    assert line.text() == "13 parts, 0:01  drawing"


@pytest.mark.parametrize(
    ("words", "steps"),
    [
        (("puzzle", "check", "broken.slot"), ["proving: step 1 of"]),
        (("lower", RANKS[0], *SMALL, "-o", "made.py"), [f"step {n} of 3" for n in (1, 2, 3)]),
        (("report", RANKS[0], *SMALL, "-o", "made.html"), ["1 part", "2 parts"]),
    ],
)
def test_steps_are_counted(
    words: tuple[str, ...], steps: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    slotlang("puzzle", "start", PUZZLES[0].name, "-o", "broken.slot")
    told: list[str] = []
    plain = Line.step

    def step(line: Line, what: str) -> None:
        told.append(what)
        plain(line, what)

    monkeypatch.setattr(Line, "step", step)
    ended = slotlang(*words)
    assert ended.status in (0, 1), ended.err
    for wanted in steps:
        assert any(wanted in what for what in told), told
