"""Evaluations by several threads: compiled kernels and matrix products release Python's lock, so that threads compute
beside each other and share weights, keys and caches. SEAL's operations hold the lock: they keep one thread.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable

from slotlang_runtime.errors import BAD_ARGUMENT, Rejected, WorkerFailed
from slotlang_runtime.keys import EvaluationKeys
from slotlang_runtime.server import Answer, Server


def check_workers(count: object) -> None:
    """Raise Rejected for anything but a number of workers."""
    if type(count) is not int or count < 1:
        raise Rejected(f"workers are a whole number from 1, not {count!r}", BAD_ARGUMENT)


class _Batch:
    """The uploads of one call, their answers as they come, and whether anybody still waits for them."""

    def __init__(self, uploads: list[bytes], workers: int) -> None:
        self.uploads = uploads
        self.answers: queue.SimpleQueue[tuple[int, Answer | BaseException]] = queue.SimpleQueue()
        self.stopped = False
        self.seconds = [0.0] * workers


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
        self._work: queue.SimpleQueue[tuple[_Batch, int] | None] = queue.SimpleQueue()
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

    def evaluate(self, uploads: Iterable[bytes], done: Callable[[int], None] = lambda count: None) -> list[Answer]:
        """``Server.evaluate`` of each upload, in order; ``done`` is called with the number of answers so far. Raises
        what an evaluation raises; evaluations that have not begun are then left out. Raises WorkerFailed after
        ``close``."""
        if not self._threads:
            raise WorkerFailed("these workers have ended")
        batch = _Batch(list(uploads), self.workers)
        try:
            for number in range(len(batch.uploads)):
                self._work.put((batch, number))
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
        while (item := self._work.get()) is not None:
            batch, number = item
            if batch.stopped:
                continue
            start = time.thread_time()
            answer: Answer | BaseException
            try:
                answer = self.server.evaluate(batch.uploads[number], self.keys)
            except BaseException as problem:
                answer = problem
            batch.seconds[worker] += time.thread_time() - start
            batch.answers.put((number, answer))

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
