"""The model of many workers: arithmetic that a reader can check, and placement by the service's own function."""

from __future__ import annotations

import pytest

from benchmarks.scaling_model import THREADS, Measured, Traffic, capacities, heartbeats, placement
from slotlang.service.limits import Limits

MEASURED = Measured(service=0.005, worker=0.02, idle=0.001, heartbeat=0.0004, task=0.002, look=30_000)
TRAFFIC = Traffic(up=400_000, down=100_000, keys=3_000_000, keys_held=11_000_000, weights=40_000_000, files=25_000_000)


def test_what_each_part_can_do() -> None:
    found = {name: rate for name, (rate, _) in capacities(MEASURED, TRAFFIC, 10).items()}
    assert found["threads of all workers"] == pytest.approx(10 * THREADS / 0.02)
    assert found["the service's process"] == pytest.approx(200.0)
    assert found["the service's link"] == pytest.approx(1.25e9 / 500_000)
    assert found["space for answers"] == pytest.approx((16 << 30) / 600 / 100_000)
    # whatever there is of workers: the least of these
    assert min(found.values()) == found["the service's process"]


def test_heartbeats_are_as_dask_asks_for_them() -> None:
    scheduler = pytest.importorskip("distributed.scheduler")
    for count in (1, 10, 11, 49, 50, 199, 200, 1000):
        assert heartbeats(count) == pytest.approx(count / scheduler.heartbeat_interval(count))


def test_weights_stay_together_and_keys_do_not() -> None:
    few = placement(TRAFFIC, 16, 50, 6000)
    # at random, each of the groups would lie on almost all workers; all sessions' keys fit
    assert 1 <= few.copies < 8 and few.weights < 0.05 and few.keys < 0.05
    many = placement(TRAFFIC, 16, 500, 6000)
    # about 97 of 500 sessions have their keys where their next job goes
    held = Limits().keys_memory // TRAFFIC.keys_held
    assert many.keys == pytest.approx(1 - held / 500, abs=0.05)
