"""Evaluation behind one small interface: in threads of this process, or wherever else a ``Station`` stands.

A job names everything by content: a program, encoded weights and keys, each a file with its SHA-256. A station loads
what a job names, holds it up to a bound, and evaluates. Nothing here can decrypt.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, TypeVar

from slotlang.diagnostics import SlotError, error
from slotlang.service.cache import Cache
from slotlang.service.manifest import File
from slotlang.service.mapped import Mapped
from slotlang.service.problems import NO_KEYS, Refusal, refusal
from slotlang.service.programs import held_bytes, program_of
from slotlang_runtime.gates import Gates
from slotlang_runtime.keys import EvaluationKeys
from slotlang_runtime.module import Module
from slotlang_runtime.parameters import RingParameters
from slotlang_runtime.ranks import Gate
from slotlang_runtime.server import Server
from slotlang_runtime.weights import Weights

Result = TypeVar("Result")


@dataclass(frozen=True)
class Placed:
    """A file of a folder."""

    folder: Path
    file: File


Kind = Literal["program", "weights", "keys", "gates"]
Hashes: TypeAlias = Mapping[Kind, str]
"""What a job is about: the SHA-256 of each."""
Gated: TypeAlias = tuple[str, str, Gate]
"""What the weights for a gate are known by: the SHA-256 of program and of weights in the clear, and the gate."""


@dataclass(frozen=True)
class Job:
    """One evaluation. ``gates``: the weights in the clear, for a ``gate`` that leaves ranks out."""

    program: Placed
    weights: Placed
    keys: Placed
    upload: bytes | memoryview = field(repr=False)
    gates: Placed | None = None
    gate: Gate = ()

    @property
    def hashes(self) -> Hashes:
        """What it is about."""
        return {kind: placed.file.sha256 for kind, placed in self._placed().items()}

    @property
    def gated(self) -> Gated | None:
        """What its weights are known by, where some ranks are off."""
        return _gated(self.hashes, self.gate) if self.gate else None

    def _placed(self) -> dict[Kind, Placed]:
        found: dict[Kind, Placed] = {"program": self.program, "weights": self.weights, "keys": self.keys}
        return found if self.gates is None else {**found, "gates": self.gates}

    def placed(self, kind: Kind) -> Placed:
        """Where that is."""
        return self._placed()[kind]

    def load(self, kind: Kind) -> bytes:
        """The bytes of a file, whose hash was checked. Raises ``SlotError``, Refusal SL578 for keys that are damaged or
        not there, and SL575 where the system fails, which says nothing of the file."""
        placed = self.placed(kind)
        try:
            return held_bytes(placed.folder, placed.file)
        except (FileNotFoundError, SlotError) as problem:
            if kind == "keys":
                message = "the keys of this session are damaged, or not there"
                raise Refusal(NO_KEYS, message, hint="send them again") from None
            if isinstance(problem, SlotError):
                raise
            raise error("SL001", f"{placed.file.path} of this adapter is missing") from None
        except OSError as problem:
            # not as OSError, which a worker that ends is told by
            raise refusal(problem) from problem


def _gated(hashes: Hashes, gate: Gate) -> Gated:
    return hashes["program"], hashes["gates"], gate


@dataclass(frozen=True)
class Done:
    """The results of a job, and the seconds that loading, and evaluating with reading and writing of bytes, took.
    ``skipped``: products that its gate left out. ``encoding``: the seconds of loading in which the weights for its gate
    were encoded; 0 where they were held."""

    results: bytes = field(repr=False)
    loading: float
    evaluating: float
    skipped: int = 0
    encoding: float = 0.0


class Evaluator(Protocol):
    """Where jobs are evaluated."""

    @property
    def width(self) -> int:
        """The number of jobs that are worth having under way now."""

    async def start(self) -> None:
        """Get ready. Raises ``SlotError``."""

    def holds(self, gated: Gated) -> bool:
        """Whether the weights for a gate are encoded already, as far as is known here."""

    async def evaluate(self, job: Job) -> Done:
        """Evaluate. Raises Rejected, SlotError and Refusal."""

    async def close(self) -> None:
        """End, after the evaluations under way."""


PINNED = 0.75
"""The share of the memory for weights that is pinned, by expanded weights. Compact ones have the rest."""


def words_bytes(ring: RingParameters, packed: int) -> int:
    """The bytes of residues in memory, 8 for each, that take ``packed`` bytes where they travel."""
    return packed * 64 * len(ring.prime_bits) // sum(ring.prime_bits)


class Station:
    """Evaluates in the calling thread, for any number of threads, and holds what it evaluated with. Weights are held
    compact. Those that come first are expanded too, and pinned, while there is room for that. ``weights`` and ``keys``:
    bytes that may be held; ``noted``: told for each kind whether it was held; ``mapped``: where compact weights lie,
    without which they are in memory of this process."""

    def __init__(
        self,
        weights: int,
        keys: int,
        noted: Callable[[str, bool], None] = lambda kind, hit: None,
        mapped: Mapped | None = None,
    ) -> None:
        self.programs: dict[str, Module] = {}
        self.mapped = mapped
        self.servers: Cache[Server] = Cache(weights, lambda hit: noted("weights", hit), PINNED)
        self.keys: Cache[EvaluationKeys] = Cache(keys, lambda hit: noted("keys", hit))
        self._lock = threading.Lock()

    def program(self, sha256: str, load: Callable[[], bytes]) -> Module:
        """The program of this hash, loaded once."""
        with self._lock:
            found = self.programs.get(sha256)
            if found is None:
                found = self.programs[sha256] = program_of(load(), sha256)
            return found

    def evaluate(
        self, hashes: Hashes, upload: bytes | memoryview, load: Callable[[Kind], bytes], gate: Gate = ()
    ) -> Done:
        """Evaluate. ``load`` gives the bytes of what is not held, which have the hash. ``gate``: the ranks that are on,
        where some are not. Raises Rejected, and what ``load`` raises."""
        start = time.perf_counter()
        module = self.program(hashes["program"], lambda: load("program"))

        def own_keys() -> tuple[EvaluationKeys, int]:
            data = load("keys")
            made = EvaluationKeys.from_bytes(data)
            # as they came, and as kernels read them: both polynomials
            return made, len(data) + 2 * words_bytes(made.ring, len(data))

        encoding = list[float]()
        held = self._gated(module, hashes, gate, load, encoding) if gate else self._server(module, hashes, load)
        # keys first: where they are lacking, nothing was encoded in vain, or is told of no more
        with self.keys.use(hashes["keys"], own_keys) as keys, held as evaluating:
            loaded = time.perf_counter()
            # a part of a request's bytes as it lies there
            answer = evaluating.evaluate(upload, keys)  # type: ignore[arg-type]
            skipped = max(0, module.counts.get("plain_products", 0) - answer.counts["plain_products"]) if gate else 0
            return Done(answer.data, loaded - start, time.perf_counter() - loaded, skipped, sum(encoding))

    def holds(self, gated: Gated) -> bool:
        """Whether the weights for a gate are encoded already."""
        return self.servers.holds(gated)

    def _gated(
        self, module: Module, hashes: Hashes, gate: Gate, load: Callable[[Kind], bytes], encoding: list[float]
    ) -> AbstractContextManager[Server]:
        """A server with the weights for a gate. Whoever asks for many gates takes nobody's pinned room. ``encoding``
        gets the seconds that this takes where they are not held."""

        def server() -> tuple[Server, int]:
            data, start = load("gates"), time.perf_counter()
            weights = Gates.from_bytes(module, data).encoded(gate)
            made = Server(weights), weights.memory_bytes
            encoding.append(time.perf_counter() - start)
            return made

        return self.servers.use(_gated(hashes, gate), server, pin=False)

    @contextmanager
    def _server(self, module: Module, hashes: Hashes, load: Callable[[Kind], bytes]) -> Iterator[Server]:
        """A server with the weights that a job names: expanded where they are, or where there is room."""
        name = hashes["program"], hashes["weights"]

        def compact() -> tuple[Server, int]:
            found = None
            if self.mapped is not None:
                found = self.mapped.weights(module, *name, lambda: load("weights"))
            if found is None:
                found = Weights.from_bytes(module, load("weights")).compact()
            return Server(found), found.memory_bytes

        expanded, one_form = (*name, "expanded"), module.kernel != "compiled"
        held: Server | None = None
        with ExitStack() as stack:
            if not self.servers.holds(expanded):
                held = stack.enter_context(self.servers.use(name, compact, pin=one_form))
                if one_form or not self.servers.has_room(held.weights.expanded_bytes):
                    yield held
                    return

            def whole() -> tuple[Server, int]:
                # given up by another thread a moment ago, where it is not held
                made = (held or compact()[0]).weights.expanded()
                return Server(made), made.memory_bytes

            yield stack.enter_context(self.servers.use(expanded, whole))


class Threads:
    """Evaluation in threads of this process: kernels release Python's lock."""

    def __init__(self, station: Station, count: int) -> None:
        self.station, self.count = station, count
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="slotlang evaluation")

    @property
    def width(self) -> int:
        """The number of threads."""
        return self.count

    async def start(self) -> None:
        """Threads start when they are needed."""

    def holds(self, gated: Gated) -> bool:
        """Whether the weights for a gate are encoded already."""
        return self.station.holds(gated)

    async def evaluate(self, job: Job) -> Done:
        """Evaluate in a thread that is free."""
        return await self.evaluate_then(job, lambda done: done)

    async def evaluate_then(self, job: Job, then: Callable[[Done], Result]) -> Result:
        """Evaluate in a thread that is free, and go on there; the result of ``then``. Raises what both raise."""

        def work() -> Result:
            return then(self.station.evaluate(job.hashes, job.upload, job.load, job.gate))

        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def close(self) -> None:
        """Wait for the threads."""
        await asyncio.to_thread(self._pool.shutdown, wait=True)
