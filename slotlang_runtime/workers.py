"""Evaluations by several threads: compiled kernels and matrix products release Python's lock, so that threads compute
beside each other and share weights, keys and caches. Where there are more threads than evaluations, those that have
none help with the others'. SEAL's operations hold the lock: they keep one thread.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from slotlang_runtime.engine import Team
from slotlang_runtime.errors import BAD_ARGUMENT, Rejected, WorkerFailed
from slotlang_runtime.keys import EvaluationKeys
from slotlang_runtime.server import Answer, Server
from slotlang_runtime.weights import Weights

_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_workers(count: object) -> None:
    """Raise Rejected for anything but a number of workers."""
    if type(count) is not int or count < 1:
        raise Rejected(f"workers are a whole number from 1, not {count!r}", BAD_ARGUMENT)


class _Batch:
    """The uploads of one call and the weights that it takes, their answers as they come, the teams that compute them,
    and whether anybody still waits for them."""

    def __init__(self, uploads: list[bytes], weights: Weights, workers: int) -> None:
        self.uploads, self.weights = uploads, weights
        self.answers: queue.SimpleQueue[tuple[int, Answer | BaseException]] = queue.SimpleQueue()
        self.stopped = False
        self.seconds = [0.0] * workers
        self._changed = threading.Condition()
        self._taken = self._done = 0
        self._teams: list[Team] = []

    def next(self) -> int | None:
        """The number of an upload that nobody has taken, which is the caller's now."""
        with self._changed:
            if self.stopped or self._taken == len(self.uploads):
                return None
            self._taken += 1
            return self._taken - 1

    def started(self, team: Team | None) -> None:
        """Helpers may come to a team."""
        with self._changed:
            if team is not None:
                self._teams.append(team)
            self._changed.notify_all()

    def ended(self, team: Team | None) -> None:
        """An evaluation is done."""
        with self._changed:
            self._done += 1
            if team is not None:
                team.leave()
                self._teams.remove(team)
            self._changed.notify_all()

    def team(self) -> Team | None:
        """A team that helpers can go to, as soon as there is one; None when all that was taken is done."""
        with self._changed:
            self._changed.wait_for(lambda: self._teams or self._done == self._taken)
            if not self._teams:
                return None
            # the next helper goes to another one
            self._teams.append(self._teams.pop(0))
            return self._teams[-1]


class Pool:
    """Threads that evaluate for one client. They wait until there is work. ``close``, or the end of a ``with``, ends
    them. Threads may call ``evaluate`` at the same time.

    Raises Rejected for a count below 1, and WorkerFailed where a thread can't start. ``cpu_seconds``: CPU time of each
    worker in the last ``evaluate``, reading and writing of bytes included.
    """

    def __init__(self, server: Server, keys: EvaluationKeys, count: int) -> None:
        check_workers(count)
        keys.check(server.module)
        self.server, self.keys = server, keys
        self.cpu_seconds: list[float] = []
        self._work: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        for number in range(count if server.engine.parallel else 1):
            # daemons: a process that ends does not wait for an evaluation
            thread = threading.Thread(
                target=self._run, args=(number,), daemon=True, name=f"slotlang worker {number + 1}"
            )
            try:
                thread.start()
            except RuntimeError as problem:
                self.close()
                raise WorkerFailed(f"worker {number + 1} can't start: {problem}") from None
            self._threads.append(thread)

    @property
    def workers(self) -> int:
        """The number of threads."""
        return len(self._threads)

    def evaluate(
        self,
        uploads: Iterable[bytes],
        done: Callable[[int], None] = lambda count: None,
        *,
        ranks: Mapping[str, Sequence[int]] | None = None,
    ) -> list[Answer]:
        """``Server.evaluate`` of each upload, in order, all with the same ranks; ``done`` is called with the number of
        answers so far. Weights of a gate that is not held are encoded first, in the thread that calls. Raises what an
        evaluation raises; evaluations that have not begun are then left out. Raises WorkerFailed after ``close``."""
        if not self._threads:
            raise WorkerFailed("these workers have ended")
        batch = _Batch(list(uploads), self.server.weights_for(ranks), self.workers)
        try:
            for _ in self._threads if batch.uploads else ():
                self._work.put(batch)
            answers: dict[int, Answer] = {}
            while len(answers) < len(batch.uploads):
                number, answer = batch.answers.get()
                if isinstance(answer, BaseException):
                    raise answer
                answers[number] = answer
                done(len(answers))
        finally:
            batch.stopped = True
        self.cpu_seconds = batch.seconds
        return [answers[number] for number in range(len(batch.uploads))]

    def _run(self, worker: int) -> None:
        while (batch := self._work.get()) is not None:
            start = time.thread_time()
            while (number := batch.next()) is not None:
                answer = self._answer(batch, number)
                batch.seconds[worker] += time.thread_time() - start
                start = time.thread_time()
                batch.answers.put((number, answer))
            while (team := batch.team()) is not None and self._helped(team):
                pass

    def _helped(self, team: Team) -> bool:
        """Help until the evaluation has ended; False where another call waits for this worker."""
        while team.help():
            if not self._work.empty():
                return False
        return True

    def _answer(self, batch: _Batch, number: int) -> Answer | BaseException:
        # the last ones get help from workers that find no more
        last = len(batch.uploads) - number < self.workers
        team = batch.weights.engine.team() if last and _CORES > 1 else None
        batch.started(team)
        try:
            return self.server.evaluate_with(batch.weights, batch.uploads[number], self.keys, team)
        except BaseException as problem:
            return problem
        finally:
            batch.ended(team)

    def close(self) -> None:
        """End the workers, each after the evaluation that it is at."""
        threads, self._threads = self._threads, []
        for _ in threads:
            self._work.put(None)
        for thread in threads:
            thread.join()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()
