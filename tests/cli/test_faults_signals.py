"""Ctrl-C at any moment, signals to workers, and searches that keep what they have."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import slotlang
from faulty import PROGRAM, SMALL, children, command, environment

MOMENTS = int(os.environ.get("SLOTLANG_MOMENTS", "4"))
"""Of each kind of process: 40 take minutes."""

# ``slotlang`` as installed, which says when its first line runs: what comes before is Python's own start
START = "import os; os.write(2, b'.'); from slotlang.cli import main; main()"
CHECK = ("check", PROGRAM, *SMALL)
# the kernel for sums of products is compiled, and there are several evaluations
RUN = ("run", PROGRAM, "--set", "d=64", "--set", "slots=512", "--tokens", "40", "--workers", "2", "--cache", "CACHE")


def started(words: tuple[object, ...], cache: Path) -> subprocess.Popen[str]:
    import sys

    arguments = [str(cache if word == "CACHE" else word) for word in words]
    process = subprocess.Popen(
        [sys.executable, "-c", START, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    )
    assert process.stderr is not None and process.stderr.read(1) == "."
    return process


def gone(numbers: list[int]) -> bool:
    for _ in range(200):
        if not any(Path(f"/proc/{number}").exists() for number in numbers):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("words", [CHECK, RUN], ids=["check", "run"])
def test_interrupts_at_random_moments(words: tuple[object, ...], tmp_path: Path) -> None:
    begun = time.perf_counter()
    process = started(words, tmp_path)
    out, err = process.communicate(timeout=60)
    life = time.perf_counter() - begun
    assert (process.returncode, err) == (0, "")
    rng = random.Random(0)
    moments = [0.0, 0.02, *(rng.uniform(0, 0.9 * life) for _ in range(MOMENTS - 2))]
    ends = []
    for moment in moments:
        process = started(words, tmp_path)
        time.sleep(moment)
        workers = list(children(process.pid))
        process.send_signal(signal.SIGINT)
        told, err = process.communicate(timeout=30)
        ends.append(process.returncode)
        if process.returncode == 0:
            # it was done before
            assert (len(told.splitlines()), err) == (len(out.splitlines()), "")
        else:
            assert process.returncode == 130, (moment, process.returncode, told, err)
            assert err.count("\n") <= 1 and "Traceback" not in told + err, (moment, err)
        assert gone(workers)
        assert not list(tmp_path.glob(".slotlang.*"))
    assert ends.count(130) > MOMENTS // 2


def when(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never held")


WORKERS = ("run", PROGRAM, "--set", "d=1024", "--tokens", "1600", "--workers", "2")


def test_a_killed_worker_is_no_bad_input(tmp_path: Path) -> None:
    process = started(WORKERS, tmp_path)
    when(lambda: len(children(process.pid)) == 2)
    first, second = children(process.pid)
    os.kill(first, signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.startswith("error[SL511]: a worker was ended by signal 9")
    assert gone([first, second])


def test_workers_end_with_a_process_that_is_killed(tmp_path: Path) -> None:
    process = started(WORKERS, tmp_path)
    when(lambda: len(children(process.pid)) == 2)
    workers = list(children(process.pid))
    process.kill()
    process.communicate()
    assert gone(workers)


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
    import sys

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
    "words",
    [
        ("synth", "--d-in", "384", "--d-out", "384", "--rank", "16", "--batch", "4"),
        ("optimize", PROGRAM.parent / "dense_ab.slot", "--set", "d=256"),
    ],
    ids=["synth", "optimize"],
)
def test_an_interrupted_search_says_so(words: tuple[object, ...], tmp_path: Path) -> None:
    process = started(words, tmp_path)
    time.sleep(2.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (0, 130) and "Traceback" not in err


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
