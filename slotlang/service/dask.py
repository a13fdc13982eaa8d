"""Evaluation on the workers of a Dask scheduler: the ``Evaluator`` behind ``slotlang serve --scheduler``.

What a worker holds, it holds by content, in a ``Station`` of its own: it is told hashes, and asks for what it lacks.
So a worker that starts, or starts again, needs nothing but jobs, and one that ends takes nothing with it that is not
elsewhere. A job goes to the worker that its weights belong to, by a hash of both, while that one has a thread free, and
else to the one with the least to do.

Dask's messages are pickles: whoever reaches a scheduler runs code there. So its address is on the loopback, or TLS with
certificates on both sides.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from distributed import Client, Security, get_worker

from slotlang.diagnostics import SlotError, error
from slotlang.service.addresses import is_loopback
from slotlang.service.evaluator import Done, Hashes, Job, Kind, Station
from slotlang.service.problems import BUSY, Refusal, refusal
from slotlang_runtime.errors import Rejected

_LOG = logging.getLogger("slotlang.service")

_TRIES = 8
"""Times that a job is given out, when workers lack something or end."""
_CONNECT = 10.0
"""Seconds for a scheduler to answer."""
_LOOK = 1.0
"""Seconds between two looks at which workers there are."""


@dataclass(frozen=True)
class Memory:
    """Bytes that each worker may hold."""

    weights: int
    keys: int


@dataclass(frozen=True)
class Lacking:
    """What a worker answers in place of results: who it is, and what it does not have."""

    worker: str
    kind: Kind


# On a worker


class _Lacks(Exception):
    pass


_stations: dict[Memory, Station] = {}
_lock = threading.Lock()


def evaluate_here(hashes: Hashes, memory: Memory, upload: bytes, given: Mapping[Kind, bytes]) -> Done | Lacking:
    """Evaluate on the worker that runs this. ``given``: what some worker lacked."""
    with _lock:
        station = _stations.setdefault(memory, Station(memory.weights, memory.keys))

    def load(kind: Kind) -> bytes:
        if kind not in given:
            raise _Lacks(kind)
        data = bytes(given[kind])
        if hashlib.sha256(data).hexdigest() != hashes[kind]:
            raise Refusal("SL562", f"the {kind} that a worker was given are others")
        return data

    try:
        return station.evaluate(hashes, upload, load)
    except _Lacks as lacks:
        return Lacking(str(get_worker().address), lacks.args[0])
    except SlotError as problem:
        raise refusal(problem) from None


# In the service


@dataclass(frozen=True)
class Scheduler:
    """A scheduler's address. ``ca``, ``certificate`` and ``key``: files, for ``tls://``."""

    address: str
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def security(self) -> Security | None:
        """Raise ``SlotError`` SL005 for what is not an address, and SL563 for another machine without TLS."""
        parts = urlsplit(self.address)
        if parts.scheme not in ("tcp", "tls") or not parts.hostname:
            raise error("SL005", f"--scheduler {self.address!r:.120} is not tcp://HOST:PORT or tls://HOST:PORT")
        if parts.scheme == "tcp":
            if not is_loopback(parts.hostname):
                message = f"the scheduler {self.address} is not on this machine, and whoever reaches it runs code"
                raise error("SL563", message, hint="use tls:// with certificates")
            return None
        files = [self.ca, self.certificate, self.key]
        if None in files:
            raise error("SL005", "tls:// needs --scheduler-ca, --scheduler-cert and --scheduler-key")
        ca, certificate, key = map(str, files)
        return Security(tls_ca_file=ca, tls_client_cert=certificate, tls_client_key=key, require_encryption=True)


class Workers:
    """The workers of a scheduler. ``seconds``: that one job may take, waiting for a worker included."""

    def __init__(self, scheduler: Scheduler, memory: Memory, seconds: float) -> None:
        self.scheduler, self.memory, self.seconds = scheduler, memory, seconds
        self.security = scheduler.security()
        self._client: Any = None
        self._threads: dict[str, int] = {}
        self._looked = -_LOOK
        self._busy: Counter[str] = Counter()

    @property
    def width(self) -> int:
        """The threads of all workers, and one more each, so that none waits for its next job."""
        return sum(self._threads.values()) + len(self._threads) or 1

    async def start(self) -> None:
        """Connect. Raises ``SlotError`` SL584."""
        try:
            self._client = await Client(
                self.scheduler.address,
                asynchronous=True,
                security=self.security,
                timeout=_CONNECT,
                set_as_default=False,
            )
            await self._look()
        except (OSError, TimeoutError, RuntimeError) as problem:
            why = " ".join(str(problem).split())[:200]
            raise error("SL584", f"the scheduler {self.scheduler.address} can't be reached: {why}") from None

    async def _look(self) -> None:
        if time.monotonic() - self._looked >= _LOOK:
            self._looked = time.monotonic()
            info = await self._client.scheduler.identity(n_workers=-1)
            self._threads = {str(name): int(of["nthreads"]) for name, of in info["workers"].items()}

    def _place(self, weights: str) -> str | None:
        """The worker for a job with these weights; None where there is none."""
        order = sorted(self._threads, key=lambda worker: hashlib.sha256(f"{worker} {weights}".encode()).digest())
        free = [worker for worker in order if self._busy[worker] < self._threads[worker]]
        if free:
            return free[0]
        return min(order, key=lambda worker: self._busy[worker] / self._threads[worker], default=None)

    async def evaluate(self, job: Job) -> Done:
        """Evaluate on a worker; on another one when it ends meanwhile."""
        try:
            async with asyncio.timeout(self.seconds):
                return await self._evaluated(job)
        except TimeoutError:
            raise Refusal(BUSY, "no worker ended this evaluation in time", hint="try again", retry_after=5.0) from None

    async def _evaluated(self, job: Job) -> Done:
        placed: dict[Kind, Any] = {}
        try:
            return await self._tried(job, placed)
        finally:
            _release(placed)

    async def _tried(self, job: Job, placed: dict[Kind, Any]) -> Done:
        hashes, upload, given = dict(job.hashes), bytes(job.upload), dict[Kind, bytes]()
        worker, reason = "", "workers lack what they were given"
        for _ in range(_TRIES):
            await self._look()
            worker = worker if worker in self._threads else self._place(hashes["weights"]) or ""
            self._busy[worker] += 1
            try:
                found = await self._sent(worker, hashes, upload, given, placed)
            except (Rejected, Refusal):
                raise
            except (asyncio.CancelledError, Exception) as problem:
                task = asyncio.current_task()
                if isinstance(problem, asyncio.CancelledError) and task is not None and task.cancelling():
                    raise
                # Dask tells of workers that ended by exceptions of many kinds; what was sent to them went with them
                reason = f"{type(problem).__name__}: {problem}"[:200]
                _LOG.warning("a job is given out again: %s", reason)
                worker, given, self._looked = "", {}, -_LOOK
                _release(placed)
                await asyncio.sleep(0.2)
                continue
            finally:
                self._busy[worker] -= 1
            if isinstance(found, Done):
                return found
            # to the same one, which has the rest by now
            worker = found.worker
            given[found.kind] = await asyncio.to_thread(job.load, found.kind)
        raise Refusal(BUSY, f"no worker could evaluate this: {reason}", retry_after=5.0)

    async def _sent(
        self, worker: str, hashes: Hashes, upload: bytes, given: Mapping[Kind, bytes], placed: dict[Kind, Any]
    ) -> Done | Lacking:
        """What a worker answers. ``placed``: what earlier tries sent of ``given``; this adds the rest."""
        there = [worker] if worker else None
        for kind, data in given.items():
            if kind not in placed:
                # straight to the worker, and not through the scheduler
                placed[kind] = await self._client.scatter(data, workers=there, hash=False)
        future = self._client.submit(
            evaluate_here,
            hashes,
            self.memory,
            upload,
            placed,
            pure=False,
            workers=there,
            allow_other_workers=True,
            retries=0,
        )
        try:
            found: Done | Lacking = await future
            return found
        finally:
            future.release()

    async def close(self) -> None:
        """Leave the scheduler; workers keep what they hold."""
        if self._client is not None:
            await self._client.close()


def _release(placed: dict[Kind, Any]) -> None:
    """Let workers drop data that was sent to them."""
    while placed:
        placed.popitem()[1].release()
