"""Evaluations split over forked processes.

TenSEAL keeps Python's lock while it computes, so threads gain nothing. Forked processes share what is in memory.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import multiprocessing.connection
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from typing import IO, Any, TypeAlias, cast

from slotlang_runtime.engine import SealEngine
from slotlang_runtime.errors import BAD_ARGUMENT, Rejected, WorkerFailed
from slotlang_runtime.keys import EvaluationKeys
from slotlang_runtime.seal.saved import memory_file
from slotlang_runtime.server import Answer, Server

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # as malloc.h numbers them

Pipe: TypeAlias = "multiprocessing.connection.Connection[Any, Any]"
Action: TypeAlias = Callable[[bytes], tuple[bytes, Any]]


def check_workers(count: object) -> None:
    """Raise Rejected for anything but a number of workers."""
    if type(count) is not int or count < 1:
        raise Rejected(f"workers are a whole number from 1, not {count!r}", BAD_ARGUMENT)


class Pool:
    """Forked processes that evaluate for one client: they share a server's encoded weights and the client's keys. They
    wait until there is work, and warm up meanwhile. ``close``, or the end of a ``with``, ends them.

    Raises Rejected for a count below 1, and WorkerFailed where a process can't start. ``cpu_seconds``: CPU time of each
    worker in the last ``evaluate``, transfers included.
    """

    def __init__(self, server: Server, keys: EvaluationKeys, count: int) -> None:
        check_workers(count)
        keys.check(server.module)
        self.server, self.keys = server, keys
        if isinstance(server.engine, SealEngine):
            # SEAL's objects are made of keys once, and shared
            server.engine.operations(keys)
        self.cpu_seconds: list[float] = []

        def action(upload: bytes) -> tuple[bytes, Any]:
            answer = server.evaluate(upload, keys)
            return answer.data, (answer.counts, answer.vanished, answer.seconds)

        self.workers = Workers(action, count, lambda: server.rehearse(keys))

    def evaluate(self, uploads: Iterable[bytes], done: Callable[[int], None] = lambda count: None) -> list[Answer]:
        """``Server.evaluate`` of each upload, in order; ``done`` is called with the number of answers so far. Raises
        Rejected, and WorkerFailed."""
        if not self.workers.running:
            raise WorkerFailed("these workers have ended")
        results, self.cpu_seconds = self.workers.map(uploads, done)
        return [Answer(data, *beside) for data, beside in results]

    def close(self) -> None:
        """End the workers."""
        self.workers.end()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()


class Workers:
    """A number of forked processes, each of which does ``action(data)`` for one item after the other, until ``end``.

    ``action`` returns bytes and a small object. Items and results go through files in memory. ``first`` is what each
    does before it looks for items. Raises WorkerFailed where a process can't start; then none is left.
    """

    def __init__(self, action: Action, count: int, first: Callable[[], None] = lambda: None) -> None:
        try:
            fork = multiprocessing.get_context("fork")
        except ValueError:
            raise WorkerFailed("this system can't fork processes: use one worker") from None
        self.running: dict[Pipe, Any] = {}
        self._files: dict[Pipe, list[IO[bytes]]] = {}
        self._used: dict[Pipe, float] = {}
        self._opened = ExitStack()
        try:
            for _ in range(count):
                ours, theirs = fork.Pipe()
                # one for items, and two for results, so that a worker fills one while the other is read
                files = self._files[ours] = [self._opened.enter_context(memory_file())[0] for _ in range(3)]
                process = fork.Process(
                    target=_work, args=(theirs, [ours, *self.running], files, action, first), daemon=True
                )
                # Ctrl-C reaches workers too; they inherit that it is blocked, and who started them ends them
                before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
                try:
                    process.start()
                    self.running[ours], self._used[ours] = process, 0.0
                except OSError as problem:
                    raise WorkerFailed(f"worker {len(self.running) + 1} can't start: {problem.strerror}") from None
                finally:
                    signal.pthread_sigmask(signal.SIG_SETMASK, before)
                theirs.close()
        except BaseException:
            self.end()
            raise

    def map(self, items: Iterable[bytes], done: Callable[[int], None]) -> tuple[list[tuple[bytes, Any]], list[float]]:
        """``action`` of each item, in order; the next one goes to the first worker free.

        Returns the results of ``action``, and the seconds of CPU that each worker took. ``done`` is called with the
        number of results so far. Raises Rejected where ``action`` does. All workers are ended where this raises.
        """
        try:
            return self._map(list(items), done)
        except BaseException:
            self.end()
            raise

    def _map(self, items: list[bytes], done: Callable[[int], None]) -> tuple[list[tuple[bytes, Any]], list[float]]:
        results: dict[int, tuple[bytes, Any]] = {}
        waiting = iter(enumerate(items))
        at: dict[Pipe, int] = {}
        seconds = dict.fromkeys(self.running, 0.0)
        for idle in self.running:
            self._ask(idle, waiting, at)
        while at:
            for ready in multiprocessing.connection.wait(list(at)):
                pipe = cast(Pipe, ready)
                try:
                    size, beside, refused, failed, used = pipe.recv()
                except (EOFError, OSError):
                    raise WorkerFailed(_ended(self.running[pipe], at[pipe], len(items))) from None
                if refused is not None:
                    raise Rejected(*refused)
                if failed is not None:
                    raise WorkerFailed(f"a worker failed at item {at[pipe] + 1} of {len(items)}: {failed}")
                seconds[pipe] += used - self._used[pipe]
                self._used[pipe] = used
                number, (given, file, other) = at.pop(pipe), self._files[pipe]
                self._files[pipe] = [given, other, file]
                self._ask(pipe, waiting, at)
                results[number] = _read(file, size), beside
                done(len(results))
        return [results[number] for number in range(len(items))], list(seconds.values())

    def _ask(self, pipe: Pipe, waiting: Iterator[tuple[int, bytes]], at: dict[Pipe, int]) -> None:
        """Give a worker its next item, if there is one."""
        for number, data in waiting:
            at[pipe] = number
            _write(self._files[pipe][0], data)
            # to a worker that has ended nothing can be sent; reading from it says so
            with suppress(OSError):
                pipe.send(len(data))
            return

    def end(self) -> None:
        """End all workers at once."""
        for process in self.running.values():
            process.kill()
        for pipe, process in self.running.items():
            process.join()
            process.close()
            pipe.close()
        self.running = {}
        self._opened.close()


def _write(file: IO[bytes], data: bytes) -> None:
    file.seek(0)
    file.write(data)
    file.flush()


def _read(file: IO[bytes], size: int) -> bytes:
    # a reader of its own: the file's may hold what was there before in its buffer
    with open(file.fileno(), "rb", closefd=False) as reader:
        reader.seek(0)
        return reader.read(size)


def _ended(process: Any, number: int, count: int) -> str:
    process.join(1)
    code = process.exitcode
    how = "closed its pipe" if code is None else f"ended with status {code}"
    if code is not None and code < 0:
        how = f"was ended by signal {-code}{' (out of memory?)' if -code == signal.SIGKILL else ''}"
    return f"a worker {how} at item {number + 1} of {count}"


def _work(pipe: Pipe, others: list[Pipe], files: list[IO[bytes]], action: Action, first: Callable[[], None]) -> None:
    # the ends that the first process keeps: while a worker held them, the others would not see that it is gone
    for other in others:
        other.close()
    _keep_memory()
    given, *results = files
    first()
    begun = time.process_time()
    with suppress(EOFError, OSError):
        while True:
            item = _read(given, pipe.recv())
            data, beside, refused, failed = b"", None, None, None
            try:
                data, beside = action(item)
            except Rejected as problem:
                refused = str(problem), problem.code
            except Exception as problem:
                failed = f"{type(problem).__name__}: {problem}"
            _write(results[0], data)
            results.reverse()
            pipe.send((len(data), beside, refused, failed, time.process_time() - begun))


def _keep_memory() -> None:
    """Make the C library keep freed memory, because the next evaluation needs it again and new memory costs time.
    Exempt shared objects from garbage collection, which would copy their pages."""
    gc.freeze()
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        for option, size in ((_TRIM_THRESHOLD, 1 << 30), (_MMAP_THRESHOLD, 1 << 25)):
            mallopt(option, size)
