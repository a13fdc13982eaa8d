"""Evaluation on the workers of a Dask scheduler: the ``Evaluator`` behind ``slotlang serve --scheduler``.

The scheduler says which workers there are, and nothing else: jobs and their results travel between the service and the
workers, so that the scheduler's one thread bounds neither their number nor their bytes (docs/scaling.md).

What a worker holds, it holds by content, in a ``Station`` of its own: it is told hashes, and asks for what it lacks.
So a worker that starts, or starts again, needs nothing but jobs, and one that ends takes nothing with it that is not
elsewhere. A job goes to the worker that its weights belong to, by a hash of both, while that one has a thread free, and
else to the one with the least to do.

Dask's messages are pickles: whoever reaches a scheduler runs code there. So its address, and those of its workers, are
on the loopback, or TLS with certificates on both sides.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import pickle
import threading
from collections import Counter, OrderedDict
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from distributed import Security
from distributed.core import ConnectionPool
from distributed.protocol import to_serialize

from slotlang import __version__
from slotlang.diagnostics import SlotError, error
from slotlang.files import reason_of
from slotlang.service.addresses import is_loopback
from slotlang.service.evaluator import Done, Gated, Hashes, Job, Kind, Station
from slotlang.service.problems import BUSY, Refusal, refusal
from slotlang_runtime.errors import Rejected
from slotlang_runtime.ranks import Gate
from slotlang_runtime.version import hash_of, source_hash

_LOG = logging.getLogger("slotlang.service")

_JOB = "slotlang_evaluate"
"""The kind of message that a job is to a worker."""
_EXCHANGES = 8
"""Times that a worker is given what it lacks for a job: it may have dropped something meanwhile."""
_ENDS = 3
"""Workers that may end while they have one job: it may be the job that ends them."""
_CONNECT = 10.0
"""Seconds for a scheduler or a worker to answer."""
_READY = 3.0
"""Seconds for a new worker to answer: others wait to be looked at meanwhile, and the next look asks it again."""
_CONNECTIONS = 8192
"""To workers, at a time; those that are idle are closed first."""
_LOOK = 1.0
"""Seconds between two looks at which workers there are."""
_GATES = 1000
"""Gates that are remembered as evaluated with, so that encoding is not expected for them."""


@dataclass(frozen=True)
class Memory:
    """Bytes that each worker may hold."""

    weights: int
    keys: int


@dataclass(frozen=True)
class Lacking:
    """What a worker answers in place of results: what it does not have."""

    kind: Kind


@dataclass(frozen=True)
class Leaving:
    """What a worker answers in place of results when it is about to end."""


Answer = Done | Lacking | Leaving | Rejected | Refusal


@cache
def build() -> str:
    """What has to be the same in the service and on its workers: the version, and hashes of what runs there."""
    return f"{__version__}, runtime {source_hash()[:16]}, service {hash_of(Path(__file__).resolve().parent)[:16]}"


# On a worker


class _Lacks(Exception):
    pass


_stations: dict[Memory, Station] = {}
_lock = threading.Lock()


def get_ready(dask_worker: Any) -> str:
    """Make the worker that this is called on take jobs; its build. A job is a message of its own kind, for Dask
    logs each function that is run on a worker."""

    async def evaluate(
        hashes: Hashes, weights: int, keys: int, upload: bytes, given: Mapping[Kind, bytes], gate: Gate
    ) -> Any:
        loop, memory = asyncio.get_running_loop(), Memory(weights, keys)
        try:
            evaluated = loop.run_in_executor(
                dask_worker.executors["default"], evaluate_here, hashes, memory, upload, given, gate
            )
        except RuntimeError:
            # no thread takes anything any more
            return to_serialize(Leaving())
        return to_serialize(await evaluated)

    dask_worker.handlers[_JOB] = evaluate
    return build()


def evaluate_here(
    hashes: Hashes, memory: Memory, upload: bytes, given: Mapping[Kind, bytes], gate: Gate = ()
) -> Answer:
    """Evaluate in this thread. ``given``: what was lacking. What is refused is returned: it is nothing that a worker
    logs."""
    with _lock:
        station = _stations.setdefault(memory, Station(memory.weights, memory.keys))

    def load(kind: Kind) -> bytes:
        if kind not in given:
            raise _Lacks(kind)
        data = given[kind]
        if hashlib.sha256(data).hexdigest() != hashes[kind]:
            raise Refusal("SL562", f"the {kind} that a worker was given are others")
        return data

    try:
        return station.evaluate(hashes, upload, load, gate)
    except _Lacks as lacks:
        return Lacking(lacks.args[0])
    except (Rejected, Refusal) as problem:
        return problem
    except SlotError as problem:
        return refusal(problem)


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
        files = {"--scheduler-ca": self.ca, "--scheduler-cert": self.certificate, "--scheduler-key": self.key}
        if parts.scheme == "tcp":
            if not is_loopback(parts.hostname):
                message = f"the scheduler {self.address} is not on this machine, and whoever reaches it runs code"
                raise error("SL563", message, hint="use tls:// with certificates")
            if given := [name for name, file in files.items() if file is not None]:
                raise error("SL005", f"{given[0]} is for tls://, and the scheduler's address is {self.address}")
            return None
        if None in files.values():
            raise error("SL005", "tls:// needs --scheduler-ca, --scheduler-cert and --scheduler-key")
        for name, file in files.items():
            try:
                Path(str(file)).read_bytes()
            except OSError as problem:
                raise error("SL565", f"{name} can't be read: {reason_of(problem)}", file=str(file)) from None
        ca, certificate, key = map(str, files.values())
        return Security(tls_ca_file=ca, tls_client_cert=certificate, tls_client_key=key, require_encryption=True)


def _may_be_sent_to(worker: str) -> bool:
    parts = urlsplit(worker)
    return parts.scheme == "tls" or (parts.scheme == "tcp" and is_loopback(parts.hostname or ""))


class Workers:
    """The workers of a scheduler. ``seconds``: that one job may take, waiting for a worker included."""

    def __init__(self, scheduler: Scheduler, memory: Memory, seconds: float) -> None:
        self.scheduler, self.memory, self.seconds = scheduler, memory, seconds
        self.security = scheduler.security()
        self._pool: Any = None
        self._watcher: asyncio.Task[None] | None = None
        self._threads: dict[str, int] = {}
        self._refused: dict[str, str] = {}
        self._orders: dict[str, list[str]] = {}
        self._busy: Counter[str] = Counter()
        self._gates: OrderedDict[Gated, None] = OrderedDict()

    @property
    def width(self) -> int:
        """The threads of all workers, and one more each, so that none waits for its next job."""
        return sum(self._threads.values()) + len(self._threads) or 1

    async def start(self) -> None:
        """Connect. Raises ``SlotError`` SL584, and SL585 where all workers are of another build."""
        try:
            arguments = (self.security or Security(require_encryption=False)).get_connection_args("client")
            self._pool = await ConnectionPool(limit=_CONNECTIONS, connection_args=arguments, timeout=_CONNECT)
            await self._look()
        except (OSError, TimeoutError, RuntimeError, ValueError) as problem:
            await self.close()
            why = " ".join(str(problem).split())[:200]
            raise error("SL584", f"the scheduler {self.scheduler.address} can't be reached: {why}") from None
        if self._refused and not self._threads:
            worker, why = next(iter(self._refused.items()))
            await self.close()
            raise error("SL585", f"no worker of the scheduler can be used; {worker} {why}")
        self._watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        well = True
        while True:
            await asyncio.sleep(_LOOK)
            try:
                await self._look()
                well = True
            except Exception as problem:
                # workers go on without it for a while, and it may come back
                if well:
                    _LOG.warning("the scheduler %s does not answer: %s", self.scheduler.address, problem)
                well = False

    async def _look(self) -> None:
        """Learn which workers there are."""
        there: dict[str, int] = await self._pool(self.scheduler.address).ncores_running(workers=None)
        new = [worker for worker in there if worker not in self._threads and worker not in self._refused]
        ready = {
            worker
            for worker, is_ready in zip(new, await asyncio.gather(*map(self._ready, new)), strict=True)
            if is_ready
        }
        self._refused = {worker: why for worker, why in self._refused.items() if worker in there}
        # one that has ended meanwhile is met again, or is no longer there, at the next look
        used = {worker: int(count) for worker, count in there.items() if worker in self._threads or worker in ready}
        if used.keys() != self._threads.keys():
            self._orders = {}
        self._threads = used

    async def _ready(self, worker: str) -> bool:
        """Whether a worker takes jobs now. Why it never will is logged, once."""
        why = ""
        if not _may_be_sent_to(worker):
            why = "is on another machine, and has no TLS"
        else:
            try:
                async with asyncio.timeout(_READY):
                    answer = await self._pool(worker).run(function=pickle.dumps(get_ready))
            except OSError:
                return False
            except Exception as problem:
                answer = {"status": "error", "exception_text": repr(problem)}
            if answer["status"] == "error":
                why = f"has another slotlang, or none: {answer.get('exception_text', '')}"[:200]
            elif answer["result"] != build():
                why = f"has slotlang {answer['result']}, and this is {build()}"
        if why:
            self._refused[worker] = why
            _LOG.error("SL585: the worker %s is not used: it %s", worker, why)
        return not why

    def holds(self, gated: Gated) -> bool:
        """Whether a worker evaluated with these weights not long ago: it may have given them up since."""
        return gated in self._gates

    def _noted(self, gated: Gated) -> None:
        self._gates[gated] = None
        self._gates.move_to_end(gated)
        if len(self._gates) > _GATES:
            self._gates.popitem(last=False)

    def _place(self, weights: str, avoided: Collection[str]) -> str | None:
        """The worker for a job with these weights; None where there is none."""
        order = self._orders.get(weights)
        if order is None:
            order = sorted(self._threads, key=lambda worker: hashlib.sha256(f"{worker} {weights}".encode()).digest())
            self._orders[weights] = order
        for worker in order:
            if worker not in avoided and self._busy[worker] < self._threads.get(worker, 0):
                return worker
        there = (worker for worker in order if worker in self._threads and worker not in avoided)
        return min(there, key=lambda worker: self._busy[worker] / self._threads[worker], default=None)

    async def evaluate(self, job: Job) -> Done:
        """Evaluate on a worker; on another one when it ends meanwhile."""
        try:
            async with asyncio.timeout(self.seconds):
                return await self._evaluated(job)
        except TimeoutError:
            raise Refusal(BUSY, "no worker ended this evaluation in time", hint="try again", retry_after=5.0) from None

    async def _evaluated(self, job: Job) -> Done:
        ended = list[str]()
        while len(ended) < _ENDS:
            # to another one, or to one that is there again
            weights = job.hashes["weights"]
            worker = self._place(weights, ended) or self._place(weights, ())
            if worker is None:
                # one may join
                await asyncio.sleep(_LOOK / 5)
                continue
            self._busy[worker] += 1
            try:
                return await self._on(worker, job)
            except OSError as problem:
                _LOG.warning("a job is given out again, %s does not answer: %s", worker, problem)
                ended.append(worker)
                # until the scheduler says that it is there
                self._threads.pop(worker, None)
            finally:
                self._busy[worker] -= 1
                if not self._busy[worker]:
                    del self._busy[worker]
        raise Refusal(BUSY, f"{_ENDS} workers ended while they had this evaluation", retry_after=5.0)

    async def _on(self, worker: str, job: Job) -> Done:
        """Evaluate on this worker. Raises OSError when it ends."""
        hashes, upload, given, asked = dict(job.hashes), bytes(job.upload), dict[Kind, bytes](), set[Kind]()
        for _ in range(_EXCHANGES):
            found: Answer | None = await getattr(self._pool(worker), _JOB)(
                hashes=hashes,
                weights=self.memory.weights,
                keys=self.memory.keys,
                upload=upload,
                given=given,
                gate=job.gate,
            )
            match found:
                case Done():
                    if job.gated is not None:
                        self._noted(job.gated)
                    return found
                case Lacking(kind):
                    # what it was given before it holds by now, unless it holds too little for one job
                    given = given if kind in asked else {}
                    asked.add(kind)
                    given = {**given, kind: await asyncio.to_thread(job.load, kind)}
                case Leaving():
                    raise OSError("it is about to end")
                case None:
                    # another process has its address, which has not heard of jobs
                    raise OSError("it has started again")
                case _:
                    raise found
        raise Refusal(BUSY, "a worker lacks again and again what it was given", retry_after=5.0)

    async def close(self) -> None:
        """Leave; workers keep what they hold."""
        if self._watcher is not None:
            self._watcher.cancel()
            with suppress(asyncio.CancelledError):
                await self._watcher
        if self._pool is not None:
            await self._pool.close()
