"""A service that is told to stop while an evaluation does not end."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from served import LAYERS, D, Process, build

from slotlang.client import ServiceProblem, Session

_HANGING = """
import runpy, sys, time
from slotlang.service import serving
from slotlang.service.evaluator import Station

def evaluate(*given):
    print("an evaluation has begun", file=sys.stderr, flush=True)
    time.sleep(1e6)

Station.evaluate = evaluate
*others, _ = serving.Address.__init__.__defaults__
serving.Address.__init__.__defaults__ = (*others, STOPPING)
runpy.run_module("slotlang", run_name="__main__")
"""


def when(holds: Callable[[], bool]) -> None:
    for _ in range(6000):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("it does not come")


@contextmanager
def hanging(folder: Path, stopping: float) -> Iterator[Process]:
    """A service that evaluates, without an end."""
    build(folder)
    process = Process(folder, program=("-c", _HANGING.replace("STOPPING", str(stopping))))
    session = Session(process.url, process.token("alice"), tries=1)

    def ask() -> None:
        with suppress(ServiceProblem):
            session.update(LAYERS[0], np.ones((1, D)))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        when(lambda: "an evaluation has begun" in process.log.read_text())
        yield process
    finally:
        process.close()
        asking.join()
        session.close()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_stop_ends_whatever_is_under_way(number: int, status: int, tmp_path: Path) -> None:
    with hanging(tmp_path / "service", 3) as process:
        process.process.send_signal(number)
        assert process.process.wait(120) == status
        assert "Traceback" not in process.log.read_text()


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupt_of_a_stop_does_not_wait(first: int, tmp_path: Path) -> None:
    with hanging(tmp_path / "service", 100_000) as process:
        process.process.send_signal(first)
        # it is heard, and clients have ended or not
        time.sleep(1)
        assert process.process.poll() is None
        process.process.send_signal(signal.SIGINT)
        assert process.process.wait(120) == 130
        assert "Traceback" not in process.log.read_text()
