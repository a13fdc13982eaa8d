"""Ctrl-C at any moment, and searches that keep what they have."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import slotlang
from faulty import PROGRAM, SMALL, command, environment, script
from interrupted import Started, started

MOMENTS = int(os.environ.get("SLOTLANG_MOMENTS", "3"))
"""Of each kind of process, in the tests that run always: 40 take minutes."""

CHECK = ("check", PROGRAM, *SMALL)
# the kernel for sums of products is compiled, and there are several evaluations
RUN = ("run", PROGRAM, "--set", "d=64", "--set", "slots=512", "--tokens", "40", "--workers", "2", "--cache", "CACHE")


@pytest.mark.parametrize(
    ("words", "many"),
    [
        pytest.param(CHECK, MOMENTS, id="check"),
        # nothing is compiled
        pytest.param((*RUN, "--kernel", "seal"), MOMENTS, id="run"),
        pytest.param(CHECK, 4 * MOMENTS, id="check, more moments", marks=pytest.mark.slow),
        pytest.param(RUN, 4 * MOMENTS, id="run, more moments", marks=pytest.mark.slow),
    ],
)
def test_interrupts_at_random_moments(words: tuple[object, ...], many: int, tmp_path: Path) -> None:
    """Of the time in which slotlang runs: from the first module that ``main`` imports to the end."""
    command = started(words, tmp_path)
    begun = time.perf_counter()
    status, out, err = command.end()
    life = time.perf_counter() - begun
    assert (status, err) == (0, "")
    rng = random.Random(0)
    moments = [0.0, 0.02, *(rng.uniform(0, 0.9 * life) for _ in range(many - 2))]
    ends = []
    for moment in moments:
        command = started(words, tmp_path)
        time.sleep(moment)
        command.interrupt()
        status, told, err = command.end()
        ends.append(status)
        if status == 0:
            # it was done before
            assert (len(told.splitlines()), err) == (len(out.splitlines()), "")
        else:
            assert status == 130, (moment, status, told, err)
            assert err.count("\n") <= 1 and "Traceback" not in told + err, (moment, err)
        assert not list(tmp_path.glob(".slotlang.*"))
    assert ends.count(130) > many // 3


def test_an_interrupt_before_slotlang_runs(tmp_path: Path) -> None:
    """Python's own start, and what an installer writes around ``main``, is not slotlang's: it may end by the signal or
    with a traceback of Python. It does end, prints no result and leaves no file."""
    for moment in (0.0, 0.003, 0.01):
        command = Started(RUN, tmp_path)
        time.sleep(moment)
        command.interrupt()
        status, out, _ = command.end()
        assert status in (-signal.SIGINT, 1, 130) and out == ""
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("moment", [0.0, 0.001, 0.003, 0.01, 0.02, 0.04])
def test_an_interrupt_while_slotlang_is_imported(moment: float, tmp_path: Path) -> None:
    command = Started(RUN, tmp_path)
    # the first module that slotlang imports, and nothing before it
    command.imports("typing")
    time.sleep(moment)
    command.interrupt()
    status, out, err = command.end()
    assert (status, out) == (130, "") and "Traceback" not in err and err.count("\n") <= 1
    assert not list(tmp_path.iterdir())


def test_a_library_leaves_interrupts_as_they_are() -> None:
    text = "import signal, slotlang.api; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    assert script(text).stdout == "True\n"


def test_an_ignored_interrupt_stays_ignored() -> None:
    process = subprocess.Popen(
        command(*CHECK),
        stdout=subprocess.PIPE,
        env=environment(),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    for _ in range(5):
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and out.startswith(b"proved")


def test_an_interrupt_that_c_code_swallows_ends_the_process() -> None:
    # as in a function that numba's compiler calls back: what it raises is printed and forgotten
    text = """
import ctypes, os, signal
from slotlang.cli import faults
def work():
    back = ctypes.CFUNCTYPE(None)(lambda: os.kill(os.getpid(), signal.SIGINT))
    back()
    return 0
faults.protected(work)
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 130 and done.stderr.startswith("interrupted: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "module"),
    [
        (("synth", "--d-in", "384", "--d-out", "384", "--rank", "16", "--batch", "4"), "slotlang.cli.synthesis"),
        (("optimize", PROGRAM.parent / "dense_ab.slot", "--set", "d=256"), "slotlang.cli.optimizing"),
    ],
    ids=["synth", "optimize"],
)
def test_an_interrupted_search_says_so(words: tuple[object, ...], module: str, tmp_path: Path) -> None:
    command = started(words, tmp_path)
    command.imports(module)
    time.sleep(1)
    command.interrupt()
    status, _, err = command.end()
    assert status in (0, 130) and "Traceback" not in err


def test_a_swallowed_interrupt_of_a_search_is_raised_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from slotlang.cli import faults

    with faults.may_stop():
        with pytest.raises(KeyboardInterrupt):
            faults._on_interrupt(signal.SIGINT, None)
        with pytest.raises(KeyboardInterrupt):
            faults.at_step("the next")
        left: list[int] = []
        monkeypatch.setattr(faults, "leave", lambda status, line="": left.append(status))
        faults._on_interrupt(signal.SIGINT, None)
        assert left == [130]
    faults.at_step("another search")


def test_calibrate_is_interrupted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupted(*_: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr("slotlang.run.calibrate.calibrate", interrupted)
    ended = slotlang("calibrate", "-o", str(tmp_path / "p.json"))
    assert (ended.status, ended.out) == (130, "") and ended.err.lstrip().startswith("interrupted: ")
    assert list(tmp_path.iterdir()) == []
