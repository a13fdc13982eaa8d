"""Evaluations by several threads: the same results in the same order, and no thread left when a pool is closed."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import worlds

from slotlang.planning.target import Hide, KernelChoice
from slotlang_runtime import EvaluationKeys, Rejected, Weights, WorkerFailed, workers
from slotlang_runtime.kernels.team import Team
from slotlang_runtime.workers import Pool, check_workers

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


NO_ROTATIONS = """program scaled(d = 8, slots = 8)
input x[d]
weight w[d]
cipher X = x[slot]
plain W = w[slot]
Y = X * W
output y[slot] = re Y
prove y == w * x
"""


class World(worlds.World):
    """With five encrypted inputs."""

    def __init__(self, hide: Hide = "mask", text: str = PAIRS, kernel: KernelChoice = "compiled") -> None:
        super().__init__(text, hide=hide, kernel=kernel)
        self.uploads = [self.client.encrypt(x=self.inputs["x"] + n / 2) for n in range(5)]

    def data(self) -> list[bytes]:
        """What one thread answers."""
        return [answer.data for answer in self.server.evaluate_many(self.uploads, self.keys)]

    def check(self, answers: list[Any], numbers: Any = range(5)) -> None:
        """Each answer is that of its upload."""
        for n, answer in zip(numbers, answers, strict=True):
            expected = self.expected(x=self.inputs["x"] + n / 2)
            assert np.abs(self.client.decrypt(answer.data) - expected).max() < 0.1
            assert answer.counts == self.plan.counts.executed() and answer.seconds > 0


def no_thread_left() -> bool:
    return not any(thread.name.startswith("slotlang worker") for thread in threading.enumerate())


@pytest.mark.parametrize("hide", ["mask", "none"])
def test_workers_compute_what_one_does(hide: Hide) -> None:
    world = World(hide)
    seen: list[int] = []
    alone = world.server.evaluate_many(world.uploads, world.keys)
    with Pool(world.server, world.keys, 3) as pool:
        shared = pool.evaluate(iter(world.uploads), seen.append)
        assert (len(pool.cpu_seconds), pool.workers, seen) == (3, 3, [1, 2, 3, 4, 5])
    world.check(alone)
    world.check(shared)
    for a, b in zip(alone, shared, strict=True):
        assert a.data == b.data  # nothing is random where all slots are read
        assert (a.counts, a.vanished) == (b.counts, b.vanished)
    assert no_thread_left()


def test_seals_operations_keep_one_thread() -> None:
    world = World(kernel="seal")
    with Pool(world.server, world.keys, 3) as pool:
        assert pool.workers == 1
        world.check(pool.evaluate(world.uploads))


def test_a_free_worker_helps_with_the_last_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    world, helped, here = World(), list[str](), threading.Event()
    monkeypatch.setattr(workers, "_CORES", 2)
    alone = world.server.evaluate(world.uploads[0], world.keys)
    help_, run = Team.help, world.server.engine.run

    def noted(team: Team) -> bool:
        helped.append(threading.current_thread().name)
        here.set()
        return help_(team)

    def waiting(*given: Any) -> Any:
        assert here.wait(30)
        return run(*given)

    monkeypatch.setattr(Team, "help", noted)
    monkeypatch.setattr(world.server.engine, "run", waiting)
    with Pool(world.server, world.keys, 2) as pool:
        for _ in range(5):
            here.clear()
            (shared,) = pool.evaluate(world.uploads[:1])
            assert (shared.data, shared.counts) == (alone.data, alone.counts)
    assert all(name.startswith("slotlang worker") for name in helped)


def test_one_core_has_no_helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    monkeypatch.setattr(workers, "_CORES", 1)
    monkeypatch.setattr(Team, "help", lambda team: pytest.fail("a helper would take the time of the other thread"))
    with Pool(world.server, world.keys, 2) as pool:
        world.check(pool.evaluate(world.uploads[:1]), [0])


def test_helpers_go_where_an_evaluation_is_refused() -> None:
    world = World()
    with Pool(world.server, world.keys, 3) as pool:
        for _ in range(3):
            with pytest.raises(Rejected):
                pool.evaluate([world.uploads[0][:-1]])
        world.check(pool.evaluate(world.uploads))
    assert no_thread_left()


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
    assert no_thread_left()


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "2", None])
def test_a_number_of_workers(count: Any) -> None:
    world = World()
    with pytest.raises(Rejected, match="workers are a whole number from 1, not"):
        Pool(world.server, world.keys, count)
    with pytest.raises(Rejected, match="whole number from 1"):
        check_workers(count)
    check_workers(1)


def test_keys_are_checked_before_a_thread_starts() -> None:
    world = World()
    none = EvaluationKeys.from_bytes(worlds.World(NO_ROTATIONS).sent_keys)
    with pytest.raises(Rejected, match="pairs needs Galois keys"):
        Pool(world.server, none, 2)
    assert no_thread_left()


def test_workers_are_used_until_they_are_closed() -> None:
    world = World()
    pool = Pool(world.server, world.keys, 2)
    for _ in range(3):
        world.check(pool.evaluate(world.uploads))
    pool.close()
    pool.close()
    assert no_thread_left()
    with pytest.raises(WorkerFailed, match="these workers have ended"):
        pool.evaluate(world.uploads)


def test_two_clients_at_once() -> None:
    """Pools of one server, each with its own keys, used by threads of their own."""
    first, second = World(), World()
    keys = EvaluationKeys.from_bytes(second.client.evaluation_keys())
    with Pool(first.server, first.keys, 2) as one, Pool(first.server, keys, 2) as two:
        found: dict[str, list[Any]] = {}
        threads = [
            threading.Thread(target=lambda p=pool, w=world, n=name: found.update({n: p.evaluate(w.uploads)}))
            for name, pool, world in (("one", one, first), ("two", two, second))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    first.check(found["one"])
    for n, answer in enumerate(found["two"]):
        expected = first.expected(x=second.inputs["x"] + n / 2)
        assert np.abs(second.client.decrypt(answer.data) - expected).max() < 0.1


def test_a_refused_upload_ends_the_call_and_no_worker() -> None:
    world = World()
    with Pool(world.server, world.keys, 2) as pool:
        with pytest.raises(Rejected, match="truncated"):
            pool.evaluate([world.uploads[0], world.uploads[1][:-7], *world.uploads])
        assert pool.workers == 2
        world.check(pool.evaluate(world.uploads))


def test_what_is_left_of_a_refused_call_is_not_evaluated() -> None:
    world = World()
    began: list[bytes] = []
    evaluate = world.server.evaluate_with

    def slow(weights: Weights, upload: bytes, keys: EvaluationKeys, team: Any) -> Any:
        began.append(upload)
        return evaluate(weights, upload, keys, team)

    world.server.evaluate_with = slow  # type: ignore[method-assign]
    with Pool(world.server, world.keys, 1) as pool:
        with pytest.raises(Rejected):
            pool.evaluate([b"no upload", *world.uploads])
        world.check(pool.evaluate(world.uploads))
    assert began[0] == b"no upload" and len(began) < 1 + 2 * len(world.uploads)


def test_threads_that_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    started: list[threading.Thread] = []
    start = threading.Thread.start

    def failing(thread: threading.Thread) -> None:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", failing)
    with pytest.raises(WorkerFailed, match="worker 2 can't start: can't start new thread"):
        Pool(world.server, world.keys, 3)
    monkeypatch.undo()
    assert no_thread_left()
