"""Hostile requests: some of the kinds that ``make hostile`` sends 5,000 of."""

from __future__ import annotations

from pathlib import Path

import pytest
from hostile import Honest, Hostile, memory_of
from hostile_kinds import OPTIONS
from served import LAYERS, Process, build


def attacked(folder: Path, count: int, threads: int = 8) -> None:
    build(folder)
    build(folder, "others", layers=LAYERS[:1], seed=1)
    process = Process(folder, *OPTIONS)
    try:
        honest, hostile = Honest(process), Hostile(process)
        honest.start()
        hostile.run(18)
        before = memory_of(process.process.pid)
        hostile.run(count, threads)
        honest.stop()
        assert hostile.wrong == [] and honest.problems == []
        assert honest.updates > 0 and len(hostile.counts) > 18
        # what threads hold at a time is bounded by --max-body, and given back
        assert memory_of(process.process.pid, "VmHWM") < before + 100e6
        assert process.process.poll() is None and process.stop() == 0
        log = process.log.read_text()
        assert "Traceback" not in log and "failed" not in log
    finally:
        process.close()


def test_no_hostile_request_does_harm(tmp_path: Path) -> None:
    attacked(tmp_path / "service", 90)


@pytest.mark.slow
def test_no_hostile_request_does_harm_among_many(tmp_path: Path) -> None:
    attacked(tmp_path / "service", 1500)
