"""Requests under way: each evaluated once, however often it comes, and whether or not somebody still listens."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from slotlang.service.adapters import Adapter, Adapters
from slotlang.service.answers import Answers, Stored
from slotlang.service.evaluator import Done, Evaluator, Gated, Job, Placed, Threads
from slotlang.service.fields import Wrong
from slotlang.service.limits import Limits, Rate
from slotlang.service.manifest import File, Group
from slotlang.service.metrics import Metrics
from slotlang.service.problems import FAILED, MALFORMED, NO_KEYS, OTHER_REQUEST, TOO_LARGE, Refusal, refusal
from slotlang.service.protocol import LENGTH, Item, Request, answer_frame, frame, is_small
from slotlang.service.room import Taken
from slotlang.service.sessions import Session
from slotlang.service.store import Store
from slotlang.service.tokens import Tenant
from slotlang.service.turns import Admitted, Queue
from slotlang_runtime.amounts import count_of
from slotlang_runtime.errors import Rejected
from slotlang_runtime.wire import check_inside, given_checksum, unpack

_LOG = logging.getLogger("slotlang.service")

_SAID = 1 << 9
"""Bytes that the answer to an item has, at most, beside its results and what the request says of it."""


@dataclass(eq=False)
class Run:
    """A request under way, or one that is answered from what is stored: a task or bytes for each item. The task of the
    last one gives the end of the answer, too. ``digest``: of the request's body; ``size``: bytes that the answer is
    expected to have."""

    adapter: str
    version: str
    digest: str = ""
    size: int = 0
    parts: list[asyncio.Task[bytes] | bytes] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        """Whether all parts are there, or failed."""
        return all(isinstance(part, bytes) or part.done() for part in self.parts)

    async def frames(self) -> AsyncIterator[bytes]:
        """The answer, a piece for each item, in order; the last one has the frame that ends it, too. A problem with the
        first item is raised; with a later one it is the last frame."""
        last = len(self.parts) - 1
        for number, part in enumerate(self.parts):
            try:
                # who listens may go away, and the evaluation goes on
                piece = part if isinstance(part, bytes) else await asyncio.shield(part)
            except Exception as problem:
                if number == 0:
                    raise
                yield frame("problem", {"item": number, **_logged(problem).to_json()["error"]})
                return
            yield piece + self.end if number == last and isinstance(part, bytes) else piece

    @property
    def end(self) -> bytes:
        """The frame that ends the answer."""
        return frame("end", {"adapter": self.adapter, "version": self.version, "items": len(self.parts)})


def _logged(problem: BaseException) -> Refusal:
    told = refusal(problem)
    if told.code == FAILED:
        _LOG.error("an evaluation failed", exc_info=problem)
    return told


async def _read(body: bytes) -> Request:
    """The request of a body: of a small one at once, of others in a thread. Raises Rejected and Wrong."""
    return Request.from_bytes(body) if is_small(body) else await asyncio.to_thread(Request.from_bytes, body)


def _whole(stored: Stored) -> Stored:
    """Without parts that are damaged, as a power failure leaves them."""
    for number, data in list(stored.parts.items()):
        try:
            check_inside(unpack("answer", data[LENGTH.size :]))
        except Rejected:
            del stored.parts[number]
    return stored


class Evaluations:
    """The evaluations of a service."""

    def __init__(
        self,
        adapters: Adapters,
        store: Store,
        answers: Answers,
        evaluator: Evaluator,
        limits: Limits,
        metrics: Metrics,
    ) -> None:
        self.adapters, self.store, self.answers, self.evaluator = adapters, store, answers, evaluator
        self.limits, self.metrics = limits, metrics
        self.queue = Queue(lambda: evaluator.width, limits)
        self.token_rate = Rate(limits.tokens_per_minute / 60, limits.tokens_per_minute)
        self._runs: dict[str, Run] = {}
        # each request's, while it begins
        self._beginning = WeakValueDictionary[str, asyncio.Lock]()
        self._tasks: set[asyncio.Task[bytes]] = set()
        self._encoding: Counter[Gated] = Counter()

    async def begin(self, tenant: Tenant, session: Session, key: str, body: bytes, room: Taken) -> Run:
        """Start a request, or find the one that this one repeats. Its body has ``room``, and its answer takes more.
        Raises Refusal and Rejected."""
        try:
            # a checked container is known by its head, which has the checksum of the rest
            request = await _read(body)
        except Wrong as problem:
            raise Refusal(MALFORMED, f"this is not a request: {problem}") from None
        # what is stored, too
        self.adapters.check_seen(tenant, request.adapter)
        name, digest = self.answers.name(tenant.name, session.id, key), given_checksum(body).hex()
        # of requests with one key, those that come meanwhile wait until the first has begun, or has given up
        async with self._beginning.setdefault(name, asyncio.Lock()):
            if (run := self._run(name, digest, room)) is not None:
                return run
            stored, size = self.answers.new(name, digest), 0
            # of most there is nothing to be read
            if self.answers.known(name):
                size = self.answers.bytes_of(name)
                room.more(size)
                stored = await asyncio.to_thread(lambda: _whole(self.answers.begin(name, digest)))
            # what answers say of items is what the request says
            said = len(body) - sum(map(len, request.uploads.values())) + _SAID * len(request.items)
            return self._begun(tenant, session, stored, request, room, size, said)

    def _run(self, name: str, digest: str, room: Taken) -> Run | None:
        """The run of a request that is under way; ``room`` is that of one more who waits for it. One whose parts have
        all ended is not: those that failed are evaluated anew."""
        run = self._runs.get(name)
        if run is not None and run.ended:
            return None
        if run is not None and run.digest != digest:
            raise Refusal(OTHER_REQUEST, "another request has this idempotency key", hint="use a new key")
        if run is not None:
            room.more(run.size)
        return run

    def _begun(
        self, tenant: Tenant, session: Session, stored: Stored, request: Request, room: Taken, size: int, said: int
    ) -> Run:
        """``size``: bytes that were taken of its room for what is stored; ``said``: those that the answer has beside
        results, at most."""
        numbers = range(len(request.items))
        run = Run(request.adapter, request.version, stored.digest)
        missing = [number for number in numbers if number not in stored.parts]
        if stored.parts:
            self.metrics.replays.inc(len(numbers) - len(missing))
        run.parts = [stored.parts.get(number, b"") for number in numbers]
        run.size = size
        if not missing:
            return run
        adapter = self.adapters.get(tenant, request.adapter, request.version)
        groups = [adapter.group(item.modules) for item in request.items]
        gates = [adapter.gates(group, item) for group, item in zip(groups, request.items, strict=True)]
        tokens = sum(groups[number].tokens for number in missing)
        if tokens > self.limits.tokens:
            hint = "send several requests"
            raise Refusal(
                TOO_LARGE, f"{count_of(tokens, 'token')} are more than the {self.limits.tokens} of a request", hint=hint
            )
        path = self.store.key_file(session)
        keys = Placed(path.parent, File(path.name, session.keys))
        with ExitStack() as begun:
            admitted = dict(zip(missing, self.queue.admit(tenant.name, len(missing)), strict=True))
            for one in admitted.values():
                begun.callback(one.leave)
            expected = said + sum(adapter.expected_bytes(groups[number]) for number in missing)
            room.more(expected)
            run.size += expected
            self.token_rate.take(tenant.name, tokens, "tokens")
            # it may have ended meanwhile
            begun.enter_context(self.store.using(session))
            begun.enter_context(adapter.use())
            # whether or not somebody still listens
            begun.enter_context(room.hold())
            begun.callback(self._left, stored.name, run)
            held = begun.pop_all()
        for number in missing:
            item, group = request.items[number], groups[number]
            upload = request.uploads[item.upload]
            job = Job(adapter.program(group), adapter.weights(group), keys, upload, *gates[number])
            end = run.end if number == numbers[-1] else b""
            work = self._part(tenant, session, adapter, group, job, admitted[number], stored, number, item, end)
            run.parts[number] = asyncio.create_task(work)
        self._runs[stored.name] = run

        def ended(task: asyncio.Task[bytes]) -> None:
            self._tasks.discard(task)
            # who asked for it may have gone away: nobody else wants to know
            if not task.cancelled():
                task.exception()
            if run.ended:
                held.close()

        for part in run.parts:
            if not isinstance(part, bytes):
                self._tasks.add(part)
                part.add_done_callback(ended)
        return run

    async def _part(
        self,
        tenant: Tenant,
        session: Session,
        adapter: Adapter,
        group: Group,
        job: Job,
        admitted: Admitted,
        stored: Stored,
        number: int,
        item: Item,
        end: bytes,
    ) -> bytes:
        seconds, encoding = self.metrics.seconds, 0.0

        def kept(done: Done) -> bytes:
            """The part, stored before any of it is sent."""
            nonlocal encoding
            encoding = done.encoding
            with seconds["store"].time():
                data = answer_frame(adapter.name, adapter.version, number, item, done.results, end)
                # without the end: another answer with this part may have more
                self.answers.store(stored, number, memoryview(data)[: len(data) - len(end)])
            seconds["load"].observe(done.loading)
            seconds["evaluate"].observe(done.evaluating)
            if encoding:
                adapter.encoded(group, encoding)
            if job.gate:
                self.metrics.gated.inc()
                self.metrics.skipped.inc(done.skipped)
            else:
                adapter.took(group, done.evaluating)
            return data

        with self._to_encode(job) as is_new:
            expected = adapter.expected_encoding(group) if is_new else 0.0
            async with self.queue.turn(tenant.name, adapter.expected(group) + expected, admitted) as waited:
                seconds["wait"].observe(waited)
                data = await self._evaluated(session, job, kept)
                self.queue.settle(tenant.name, encoding - expected)
        self.metrics.evaluations.inc()
        self.metrics.tokens.inc(group.tokens)
        return data

    @contextmanager
    def _to_encode(self, job: Job) -> Iterator[bool]:
        """Within, an evaluation of this job waits and runs: whether it is the one that has to encode the weights for
        its gate, being the first of those under way that need them."""
        gated = job.gated
        if gated is None:
            yield False
            return
        self._encoding[gated] += 1
        try:
            yield self._encoding[gated] == 1 and not self.evaluator.holds(gated)
        finally:
            self._encoding[gated] -= 1
            if not self._encoding[gated]:
                del self._encoding[gated]

    async def _evaluated(self, session: Session, job: Job, kept: Callable[[Done], bytes]) -> bytes:
        """The part, evaluated and ``kept``."""
        try:
            if isinstance(self.evaluator, Threads):
                # one way to a thread and back
                return await self.evaluator.evaluate_then(job, kept)
            done = await self.evaluator.evaluate(job)
            return await asyncio.to_thread(kept, done)
        except Refusal as problem:
            if problem.code == NO_KEYS:
                await self.store.in_turn(session.tenant, lambda: self.store.check_keys(session))
            raise

    def _left(self, name: str, run: Run) -> None:
        # the next run of this request may have begun
        if self._runs.get(name) is run:
            del self._runs[name]

    @property
    def under_way(self) -> int:
        """Requests that are not all evaluated."""
        return len(self._runs)

    async def close(self) -> None:
        """Wait for the requests under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
