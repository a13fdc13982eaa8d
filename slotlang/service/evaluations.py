"""Requests under way: each evaluated once, however often it comes, and whether or not somebody still listens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from slotlang.service.adapters import Adapter, Adapters
from slotlang.service.answers import Answers
from slotlang.service.evaluator import Evaluator, Job, Placed
from slotlang.service.fields import Wrong
from slotlang.service.limits import Limits, Queue, Rate
from slotlang.service.manifest import File, Group
from slotlang.service.metrics import Metrics
from slotlang.service.problems import FAILED, MALFORMED, NO_KEYS, TOO_LARGE, Refusal, refusal
from slotlang.service.protocol import Request, answer_frame, frame
from slotlang.service.store import Session, Store
from slotlang.service.tokens import Tenant

_LOG = logging.getLogger("slotlang.service")


@dataclass(eq=False)
class Run:
    """A request under way, or one that is answered from what is stored: a task or bytes for each item."""

    adapter: str
    version: str
    parts: list[asyncio.Task[bytes] | bytes] = field(default_factory=list)

    async def frames(self) -> AsyncIterator[bytes]:
        """The frames of the answer, in order. A problem with the first item is raised; with a later one it is the last
        frame."""
        for number, part in enumerate(self.parts):
            try:
                # who listens may go away, and the evaluation goes on
                yield part if isinstance(part, bytes) else await asyncio.shield(part)
            except Exception as problem:
                if number == 0:
                    raise
                yield frame("problem", {"item": number, **_logged(problem).to_json()["error"]})
                return
        yield frame("end", {"adapter": self.adapter, "version": self.version, "items": len(self.parts)})


def _logged(problem: BaseException) -> Refusal:
    told = refusal(problem)
    if told.code == FAILED:
        _LOG.error("an evaluation failed", exc_info=problem)
    return told


async def _until_all_end(run: Run, held: ExitStack) -> None:
    """Hold on to what a run needs until all its parts have ended."""
    with held:
        await asyncio.gather(*(p for p in run.parts if not isinstance(p, bytes)), return_exceptions=True)


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
        self._tasks: set[asyncio.Task[None]] = set()

    async def begin(self, tenant: Tenant, session: Session, key: str, body: bytes) -> Run:
        """Start a request, or find the one that this one repeats. Raises Refusal and Rejected."""
        folder = await asyncio.to_thread(self.answers.begin, tenant.name, session.id, key, body)
        try:
            return await self._begun(tenant, session, folder, body)
        except BaseException:
            if folder.name not in self._runs:
                self.answers.forget(folder)
            raise

    async def _begun(self, tenant: Tenant, session: Session, folder: Path, body: bytes) -> Run:
        try:
            request = await asyncio.to_thread(Request.from_bytes, body)
        except Wrong as problem:
            raise Refusal(MALFORMED, f"this is not a request: {problem}") from None
        stored = await asyncio.to_thread(lambda: [self.answers.part(folder, n) for n in range(len(request.items))])
        # from here on nothing waits: of two requests with one key, one starts
        if (run := self._runs.get(folder.name)) is not None:
            return run
        run = Run(request.adapter, request.version)
        missing = [number for number, part in enumerate(stored) if part is None]
        self.metrics.replays.inc(len(stored) - len(missing))
        run.parts = [part or b"" for part in stored]
        if not missing:
            return run
        adapter = self.adapters.get(tenant, request.adapter, request.version)
        groups = [adapter.group(item.modules) for item in request.items]
        tokens = sum(groups[number].tokens for number in missing)
        if tokens > self.limits.tokens:
            hint = "send several requests"
            raise Refusal(TOO_LARGE, f"{tokens} tokens are more than the {self.limits.tokens} of a request", hint=hint)
        path = self.store.key_file(session)
        keys = Placed(path.parent, File(path.name, session.keys))
        self.queue.admit(tenant.name, len(missing))
        self.token_rate.take(tenant.name, tokens, "tokens")
        for number in missing:
            item, group = request.items[number], groups[number]
            job = Job(adapter.program(group), adapter.weights(group), keys, request.uploads[item.upload])
            work = self._part(tenant, session, adapter, group, job, folder, number, item.modules)
            run.parts[number] = asyncio.create_task(work)
        self._runs[folder.name] = run
        held = ExitStack()
        held.callback(self._runs.pop, folder.name)
        held.enter_context(adapter.use())
        held.enter_context(self.store.using(session))
        task = asyncio.create_task(_until_all_end(run, held))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return run

    async def _part(
        self,
        tenant: Tenant,
        session: Session,
        adapter: Adapter,
        group: Group,
        job: Job,
        folder: Path,
        number: int,
        modules: tuple[str, ...],
    ) -> bytes:
        seconds = self.metrics.seconds
        async with self.queue.turn(tenant.name) as waited:
            seconds.labels("wait").observe(waited)
            try:
                done = await self.evaluator.evaluate(job)
            except Refusal as problem:
                if problem.code == NO_KEYS:
                    _LOG.warning("keys of a session are damaged, and are asked for again")
                    self.store.forget_keys(session)
                raise
        seconds.labels("load").observe(done.loading)
        seconds.labels("evaluate").observe(done.evaluating)
        data = answer_frame(adapter.name, adapter.version, number, modules, done.results)
        with seconds.labels("store").time():
            # before any of it is sent
            await asyncio.to_thread(self.answers.store, folder, number, data)
        self.metrics.evaluations.inc()
        self.metrics.tokens.inc(group.tokens)
        return data

    @property
    def under_way(self) -> int:
        """Requests that are not all evaluated."""
        return len(self._runs)

    async def close(self) -> None:
        """Wait for the requests under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
