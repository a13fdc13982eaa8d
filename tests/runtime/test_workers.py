"""Evaluations by several processes: the same results in the same order, and no process left however it ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import worlds

from slotlang.planning.target import Hide
from slotlang_runtime import EvaluationKeys, Rejected, Server, WorkerFailed
from slotlang_runtime.workers import Pool, Workers, check_workers

PAIRS = """program pairs(d = 4, r = 4, batch = 2, slots = 8)
let R = r / 2
input x[d, batch]
weight A[d, r], B[r, d]
scalar scale
axes (h < d, t < batch)
cipher X = x[h, t]
plain W[q < R] = B[(h - q) % R, h] + 1i * B[(h - q) % R + R, h]
P[q < R] = X * W[q]
T = sum q < R by horner: P[q] << q*batch
S = sum f < d/R by doubling: T << f*R*batch
plain V[q < R] = scale * (A[h, (h + q) % R] - 1i * A[h, (h + q) % R + R])
Y = sum q < R: (S << q*batch) * V[q]
output y[h, t] = re Y
prove y == scale * A @ B @ x
"""
LOOP = """
import os, signal, sys, time
from slotlang_runtime.workers import Workers
# started in the background, it would ignore Ctrl-C
signal.signal(signal.SIGINT, signal.default_int_handler)
def wait(item):
    os.write(1, b"at work\\n")
    time.sleep(600)
try:
    Workers(wait, 2).map([b"1", b"2", b"3", b"4"], lambda count: None)
except KeyboardInterrupt:
    sys.exit(130)
"""


class World(worlds.World):
    """With five encrypted inputs."""

    def __init__(self, hide: Hide = "mask", text: str = PAIRS) -> None:
        super().__init__(text, hide=hide)
        self.uploads = [self.client.encrypt(x=self.inputs["x"] + n / 2) for n in range(5)]

    def data(self) -> list[bytes]:
        """What this process answers."""
        return [answer.data for answer in self.server.evaluate_many(self.uploads, self.keys)]

    def check(self, answers: list[Any], numbers: Any = range(5)) -> None:
        """Each answer is that of its upload."""
        for n, answer in zip(numbers, answers, strict=True):
            expected = self.expected(x=self.inputs["x"] + n / 2)
            assert np.abs(self.client.decrypt(answer.data) - expected).max() < 0.1
            assert answer.counts == self.plan.counts.executed() and answer.seconds > 0


def no_process_left() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return not multiprocessing.active_children()
    return False


@pytest.mark.parametrize("hide", ["mask", "none"])
def test_workers_compute_what_one_does(hide: Hide) -> None:
    world = World(hide)
    seen: list[int] = []
    alone = world.server.evaluate_many(world.uploads, world.keys)
    with Pool(world.server, world.keys, 3) as pool:
        shared = pool.evaluate(iter(world.uploads), seen.append)
        assert (len(pool.cpu_seconds), seen) == (3, [1, 2, 3, 4, 5])
    world.check(alone)
    world.check(shared)
    for a, b in zip(alone, shared, strict=True):
        assert a.data == b.data  # nothing is random where all slots are read
        assert np.array_equal(world.client.decrypt(a.data), world.client.decrypt(b.data))
        assert (a.counts, a.vanished) == (b.counts, b.vanished)
    assert no_process_left()


def test_uploads_in_another_order() -> None:
    world = World()
    with Pool(world.server, world.keys, 2) as pool:
        world.check(pool.evaluate(world.uploads[::-1]), range(4, -1, -1))
        order = [3, 0, 4, 0, 2, 1, 3]
        world.check(pool.evaluate([world.uploads[n] for n in order]), order)


def test_more_workers_than_work() -> None:
    world = World()
    with Pool(world.server, world.keys, 4) as pool:
        assert pool.evaluate([]) == []
        world.check(pool.evaluate(world.uploads[:2]), range(2))
        assert len(pool.cpu_seconds) == 4
    assert no_process_left()


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "2", None])
def test_a_number_of_workers(count: Any) -> None:
    world = World()
    with pytest.raises(Rejected, match="workers are a whole number from 1, not"):
        Pool(world.server, world.keys, count)
    with pytest.raises(Rejected, match="whole number from 1"):
        check_workers(count)
    check_workers(1)


def test_keys_are_checked_before_a_process_starts() -> None:
    world = World()
    none = EvaluationKeys(world.keys.ring, {})
    with pytest.raises(Rejected, match="pairs needs Galois keys"):
        Pool(world.server, none, 2)
    assert no_process_left()


def test_workers_are_used_until_they_are_closed() -> None:
    world = World("none")
    alone = world.data()
    pool = Pool(world.server, world.keys, 2)
    processes = {process.pid for process in multiprocessing.active_children()}
    assert len(processes) == 2
    for _ in range(3):
        assert [answer.data for answer in pool.evaluate(world.uploads)] == alone
        assert len(pool.cpu_seconds) == 2 and all(seconds >= 0 for seconds in pool.cpu_seconds)
        assert sum(pool.cpu_seconds) > 0
    assert [answer.data for answer in pool.evaluate(world.uploads[:1])] == alone[:1]
    assert {process.pid for process in multiprocessing.active_children()} == processes
    pool.close()
    pool.close()
    assert no_process_left()
    with pytest.raises(WorkerFailed, match="these workers have ended"):
        pool.evaluate(world.uploads)


def test_two_pools_for_two_clients_share_the_weights() -> None:
    world = World("none")
    other = type(world.client)(world.module)
    keys = EvaluationKeys.from_bytes(other.evaluation_keys())
    with Pool(world.server, world.keys, 1) as one, Pool(world.server, keys, 1) as two:
        world.check(one.evaluate(world.uploads))
        answers = two.evaluate([other.encrypt(x=world.inputs["x"])])
        assert np.abs(other.decrypt(answers[0].data) - world.expected()).max() < 0.1
    assert no_process_left()


def test_workers_that_fail_are_gone() -> None:
    world = World()
    pool = Pool(world.server, world.keys, 2)
    with pytest.raises(Rejected, match="truncated"):
        pool.evaluate([world.uploads[0][:-9]] * 3)
    assert no_process_left()
    with Pool(world.server, world.keys, 2) as again:
        world.check(again.evaluate(world.uploads))


def test_no_mask_is_used_in_two_processes() -> None:
    world = World(text=worlds.layer("v"))
    server, upload = Server(world.encoded), world.uploads[0]
    server.prepare()
    prepared = list(server._prepared)
    assert len(prepared) == 2
    with Pool(server, world.keys, 2) as pool:
        found = [answer.data for answer in pool.evaluate([upload] * 4)]
    assert server._prepared == prepared
    found += [server.evaluate(upload, world.keys).data for _ in prepared]
    assert not server._prepared
    assert len(set(found)) == len(found)


def test_what_a_worker_rejects_is_rejected() -> None:
    world = World()
    with Pool(world.server, world.keys, 2) as pool, pytest.raises(Rejected, match="truncated"):
        pool.evaluate([*world.uploads[:3], world.uploads[3][:-9], world.uploads[4]])
    assert no_process_left()


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), r"ended by signal 9 \(out of memory\?\) at item [23] of 5"),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), r"ended by signal 15 at item [23] of 5"),
        (lambda: os._exit(3), "ended with status 3 at item [23] of 5"),
        (lambda: 1 // 0, "failed at item [23] of 5: ZeroDivisionError"),
    ],
)
def test_a_worker_that_ends_early(end: Callable[[], Any], message: str) -> None:
    with pytest.raises(WorkerFailed, match=message):
        workers = Workers(lambda item: end() if item in (b"1", b"2") else (b"", item), 2)
        workers.map([b"%d" % n for n in range(5)], lambda count: None)
    assert no_process_left()


def test_workers_that_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    start = multiprocessing.get_context("fork").Process.start

    def second_fails(process: Any) -> None:
        if multiprocessing.active_children():
            raise OSError(11, "Resource temporarily unavailable")
        start(process)

    monkeypatch.setattr(multiprocessing.get_context("fork").Process, "start", second_fails)
    with pytest.raises(WorkerFailed, match="worker 2 can't start: Resource"):
        Workers(lambda item: (b"", item), 3)
    monkeypatch.undo()
    assert no_process_left()


def test_a_system_that_can_not_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> Any:
        raise ValueError(f"cannot find context for {name!r}")

    monkeypatch.setattr(multiprocessing, "get_context", refuse)
    with pytest.raises(WorkerFailed, match="this system can't fork processes: use one worker"):
        Workers(lambda item: (b"", item), 2)


def test_an_interrupt_leaves_no_worker() -> None:
    def interrupt(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Workers(lambda item: (b"", item), 2).map([b"item"] * 50, interrupt)
    assert no_process_left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_signals_leave_no_worker(number: signal.Signals) -> None:
    """Ctrl-C reaches all processes. Killed alone, the first leaves workers that end with their item."""
    command = [sys.executable, "-c", LOOP.replace("600", "20 if sys.argv[1] == '2' else 0.1"), str(int(number))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"at work\n"
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        # workers hold the other end of both pipes: these end when the last one has
        _, err = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -number), err.decode()
    assert err == b""


def test_results_of_other_lengths_follow_each_other() -> None:
    sizes = [70_000, 3, 0, 9_000, 8_192, 5, 1, 200_000, 2]
    items = [bytes([n % 251]) * n for n in sizes]
    workers = Workers(lambda item: (item[::-1] + b"!", -len(item)), 2)
    for given in (items, items[::-1], [], items[:1]):
        found, seconds = workers.map(given, lambda count: None)
        assert found == [(item[::-1] + b"!", -len(item)) for item in given]
        assert len(seconds) == 2
    workers.end()
    assert no_process_left()
