"""Ctrl-C ends long commands with exit status 130, whatever they are doing: a real SIGINT to a real process."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import pytest
from amounts import one_in
from faulty import children, command, environment
from interrupted import started, when
from repository import PROGRAMS, ROOT
from served import Process

BIG = PROGRAMS / "rank_complex.slot"
LONG = {
    # the module that is imported when the work begins
    "check, all sizes": (
        ("check", *sorted(PROGRAMS.glob("*.slot")), "--for-all", "all"),
        "slotlang.proof.forall.check",
    ),
    "check, many": (("check", *sorted(PROGRAMS.glob("*.slot"))), "slotlang.proof.check"),
    "optimize": (("optimize", PROGRAMS / "dense_ab.slot", "-o", "OUT"), "slotlang.cli.optimizing"),
    "synth": (
        ("synth", "--d-in", "384", "--d-out", "384", "--rank", "16", "--no-cache", "-o", "OUT"),
        "slotlang.cli.synthesis",
    ),
    "calibrate": (("calibrate", "-o", "OUT"), "slotlang.run.calibrate"),
    "lower": (("lower", PROGRAMS / "rank_first.slot", "--precision", "1e-4", "-o", "OUT"), "slotlang.lower"),
    "report": (("report", BIG, "-o", "OUT"), "slotlang.page.document"),
    "adapter build": (
        ("adapter", "build", ROOT / "examples" / "minilm_adapter", "-o", "OUT"),
        "slotlang.adapter.building.work",
    ),
}
"""Commands that take more than two seconds."""


@pytest.mark.parametrize("name", one_in(3, LONG))
def test_a_long_command_is_interrupted(name: str, tmp_path: Path) -> None:
    words, module = LONG[name]
    process = started(tuple(tmp_path / "out" if word == "OUT" else word for word in words), tmp_path)
    process.imports(module)
    time.sleep(0.2)
    process.interrupt()
    status, out, err = process.end()
    assert status == 130 and "Traceback" not in out + err
    assert err.startswith("interrupted: ") or "\ninterrupted: " in err
    # nothing is left but the folder of a build, which goes on where it was stopped
    assert [path.name for path in tmp_path.iterdir()] in ([], ["out"])
    assert not list(tmp_path.rglob(".slotlang.*"))
    assert not children(process.process.pid)


@pytest.mark.parametrize("words", [("fmt", "-"), ("check", "-")], ids=" ".join)
def test_a_command_that_waits_for_its_input_is_interrupted(words: tuple[str, ...]) -> None:
    with subprocess.Popen(
        command(*words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        # it sleeps where it reads
        when(lambda: "pipe_read" in Path(f"/proc/{process.pid}/wchan").read_text() or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert process.wait(20) == 130 and process.stderr.read().startswith(b"interrupted: ")


def test_a_view_is_interrupted() -> None:
    with subprocess.Popen(
        command("view", BIG), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert b"Ctrl-C ends it" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        # it was there to be interrupted, and says nothing of it
        assert process.wait(20) == 130 and process.stderr.read() == b""


def test_a_service_ends_its_requests_and_says_that_it_was_interrupted(served: Process) -> None:
    assert served.stop(signal.SIGINT) == 130
    served.start()
    assert served.stop(signal.SIGTERM) == 0
    assert "Traceback" not in served.log.read_text()


def test_keys_of_a_terminal_interrupt_and_leave_it_as_it_was(tmp_path: Path) -> None:
    child, descriptor = pty.fork()
    if child == 0:
        os.environ.update(environment(), TERM="xterm", COLUMNS="80")
        os.chdir(ROOT)
        os.execv(command()[0], command("calibrate", "-o", tmp_path / "out"))
    said = b""
    while b"preparing degree" not in said:
        said += os.read(descriptor, 4096)
    os.write(descriptor, b"\x03")
    try:
        while data := os.read(descriptor, 4096):
            said += data
    except OSError:
        # the command has ended
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 130
    # the line of progress is taken back
    assert said.endswith(b"\r\x1b[2Kinterrupted: nothing was computed to the end\r\n")
    assert not (tmp_path / "out").exists()


def test_a_second_interrupt_of_a_search_does_not_wait(tmp_path: Path) -> None:
    words, module = LONG["synth"]
    process = started(tuple(tmp_path / "out" if word == "OUT" else word for word in words), tmp_path)
    process.imports(module)
    time.sleep(0.2)
    process.interrupt()
    process.interrupt()
    assert process.end()[0] == 130
