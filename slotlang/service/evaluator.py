"""Evaluation behind one small interface: in threads of this process, or wherever else a ``Station`` stands.

A job names everything by content: a program, encoded weights and keys, each a file with its SHA-256. A station loads
what a job names, holds it up to a bound, and evaluates. Nothing here can decrypt.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from slotlang.service.cache import Cache
from slotlang.service.manifest import File
from slotlang.service.problems import NO_KEYS, Refusal
from slotlang.service.programs import checked_bytes, load_program
from slotlang_runtime.errors import Rejected
from slotlang_runtime.keys import EvaluationKeys
from slotlang_runtime.module import Module
from slotlang_runtime.parameters import RingParameters
from slotlang_runtime.server import Server
from slotlang_runtime.weights import Weights


@dataclass(frozen=True)
class Placed:
    """A file of a folder."""

    folder: Path
    file: File


@dataclass(frozen=True)
class Job:
    """One evaluation."""

    program: Placed
    weights: Placed
    keys: Placed
    upload: bytes | memoryview


@dataclass(frozen=True)
class Done:
    """The results of a job, and the seconds that loading, and evaluating with reading and writing of bytes, took."""

    results: bytes
    loading: float
    evaluating: float


class Evaluator(Protocol):
    """Where jobs are evaluated. ``width``: the number of jobs that are worth having under way at a time."""

    width: int

    async def evaluate(self, job: Job) -> Done:
        """Evaluate. Raises Rejected, SlotError and Refusal."""

    async def close(self) -> None:
        """End, after the evaluations under way."""


def words_bytes(ring: RingParameters, packed: int) -> int:
    """The bytes of residues in memory, 8 for each, that take ``packed`` bytes where they travel."""
    return packed * 64 * len(ring.prime_bits) // sum(ring.prime_bits)


class Station:
    """Evaluates jobs in the calling thread, for any number of threads. ``weights`` and ``keys``: bytes that may be
    held; ``noted``: told for each kind whether it was held."""

    def __init__(self, weights: int, keys: int, noted: Callable[[str, bool], None] = lambda kind, hit: None) -> None:
        self.programs: dict[str, Module] = {}
        self.servers: Cache[Server] = Cache(weights, lambda hit: noted("weights", hit))
        self.keys: Cache[EvaluationKeys] = Cache(keys, lambda hit: noted("keys", hit))
        self._lock = threading.Lock()

    def program(self, placed: Placed) -> Module:
        """A program, loaded once."""
        with self._lock:
            found = self.programs.get(placed.file.sha256)
            if found is None:
                found = self.programs[placed.file.sha256] = load_program(placed.folder, placed.file)
            return found

    def evaluate(self, job: Job) -> Done:
        """Evaluate. Raises Rejected, SlotError, and Refusal for keys that are not what they were."""
        start = time.perf_counter()
        module = self.program(job.program)
        server = self.servers.use((job.program.file.sha256, job.weights.file.sha256), lambda: _server(module, job))
        with server as held, self.keys.use(job.keys.file.sha256, lambda: _keys(job.keys)) as keys:
            loaded = time.perf_counter()
            answer = held.evaluate(bytes(job.upload), keys)
            return Done(answer.data, loaded - start, time.perf_counter() - loaded)


def _server(module: Module, job: Job) -> tuple[Server, int]:
    data = checked_bytes(job.weights.folder, job.weights.file)
    size = words_bytes(module.parameters.ring, len(data))
    return Server(Weights.from_bytes(module, data)), size


def _keys(placed: Placed) -> tuple[EvaluationKeys, int]:
    path = placed.folder / placed.file.path
    try:
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != placed.file.sha256:
            raise ValueError("its hash differs")
        keys = EvaluationKeys.from_bytes(data)
    except (OSError, ValueError, Rejected):
        raise Refusal(NO_KEYS, "the keys of this session are damaged", hint="send them again") from None
    # as they came, and as kernels read them: both polynomials
    return keys, len(data) + 2 * words_bytes(keys.ring, len(data))


class Threads:
    """Evaluation in threads of this process: kernels release Python's lock."""

    def __init__(self, station: Station, count: int) -> None:
        self.station, self.width = station, count
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="slotlang evaluation")

    async def evaluate(self, job: Job) -> Done:
        """Evaluate in a thread that is free."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self.station.evaluate, job)

    async def close(self) -> None:
        """Wait for the threads."""
        await asyncio.to_thread(self._pool.shutdown, wait=True)
