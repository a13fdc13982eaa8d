"""A service: what all requests share, from its start to its end."""

from __future__ import annotations

import asyncio
import itertools
import logging
from contextlib import suppress
from pathlib import Path

from slotlang.diagnostics import SlotError
from slotlang.service.adapters import Adapters
from slotlang.service.answers import Answers
from slotlang.service.clock import Clock
from slotlang.service.connections import Connections
from slotlang.service.evaluations import Evaluations
from slotlang.service.evaluator import Evaluator, Station, Threads
from slotlang.service.limits import Limits, Rate
from slotlang.service.mapped import Mapped
from slotlang.service.metrics import Metrics
from slotlang.service.room import Room
from slotlang.service.sessions import Session
from slotlang.service.store import Store, no_session
from slotlang.service.tokens import Tenant, Tokens

_LOG = logging.getLogger("slotlang.service")

STATE = ".state"
"""The state's folder, in the service's, where no other is named."""

_SWEEP, _SESSIONS = 1.0, 15
"""Seconds between two looks for answers that have expired, in which those that were found are deleted; and how many of
these pass between two looks for sessions."""
_JUMP = 5.0
"""Seconds by which a clock that jumped is worth a warning."""


class Service:
    """Adapters, sessions, answers and evaluations of one folder. ``state``: where sessions, tokens and answers are."""

    def __init__(
        self, folder: Path, state: Path, limits: Limits, threads: int, evaluator: Evaluator | None = None
    ) -> None:
        self.limits, self.metrics, self.clock = limits, Metrics(), Clock()
        self.tokens = Tokens(state / "tokens")
        self.store = Store(state, quota=limits.quota, most=limits.sessions, clock=self.clock)
        self.answers = Answers(state / "answers", limits.window, limits.answers, clock=self.clock)
        mapped = Mapped(state / "weights")
        station = Station(limits.weights_memory, limits.keys_memory, self.metrics.cached, mapped)
        self.adapters = Adapters(folder, station)
        self.evaluator = evaluator or Threads(station, threads)
        self.evaluations = Evaluations(self.adapters, self.store, self.answers, self.evaluator, limits, self.metrics)
        self.request_rate = Rate(limits.requests, 4 * limits.requests)
        self.room = Room(limits.requests_memory)
        self.connections = Connections(limits.connections)
        self._sweeper: asyncio.Task[None] | None = None
        self._jumped = 0.0
        gauge, queue = self.metrics.gauge, self.evaluations.queue
        gauge("slotlang_queue", "Evaluations that wait", lambda: queue.waiting)
        gauge("slotlang_running", "Evaluations under way", lambda: queue.running)
        gauge("slotlang_requests_bytes", "Bodies and answers under way", lambda: self.room.taken)
        gauge("slotlang_connections", "Connections", lambda: len(self.connections))
        gauge("slotlang_sessions", "Sessions", lambda: self.store.count)
        gauge("slotlang_adapters", "Adapters", lambda: len(self.adapters))
        gauge("slotlang_weights_bytes", "Encoded weights in memory", lambda: station.servers.bytes)
        gauge("slotlang_keys_bytes", "Evaluation keys in memory", lambda: station.keys.bytes)

    def session(self, tenant: Tenant, name: str) -> Session:
        """The tenant's session. Raises Refusal SL571: one of an adapter that the token is not for is missing, as any
        that is not there."""
        found = self.store.get(tenant.name, name)
        if not tenant.sees(found.model):
            raise no_session()
        return found

    async def start(self) -> None:
        """Load the adapters. Raises ``SlotError`` where there is none, or none that can be served."""
        await self.evaluator.start()
        problems = await self.adapters.scan()
        if not len(self.adapters) and problems:
            raise SlotError([d for problem in problems for d in problem.diagnostics])
        for problem in problems:
            _LOG.error("an adapter is not served: %s", problem)
        # answers first: they are what makes room on a full disk
        self._sweep(self.answers.expire())
        self._sweeper = asyncio.create_task(self._sweep_often())

    def _sweep(self, answers: int) -> None:
        sessions = self.store.expire()
        if answers or sessions:
            _LOG.info("%d sessions and %d answers have expired", sessions, answers)
        if (jumped := self.clock.jumped) and abs(jumped - self._jumped) > _JUMP:
            _LOG.warning("the machine's clock jumped by %+.0f s; times of sessions and answers do not", jumped)
            self._jumped = jumped

    async def _sweep_often(self) -> None:
        answers = 0
        for turn in itertools.count(1):
            await asyncio.sleep(_SWEEP)
            try:
                # answers first: they are what makes room on a full disk
                answers += await asyncio.to_thread(self.answers.expire, _SWEEP)
                if turn % _SESSIONS == 0:
                    await asyncio.to_thread(self._sweep, answers)
                    answers = 0
                    # there may be more workers than before
                    self.evaluations.queue.fill()
            except Exception:
                # the next look may find a disk that has room again
                _LOG.exception("what has expired could not be deleted")

    async def close(self) -> None:
        """Wait for the requests under way, and close all files."""
        self.answers.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeper
        await self.evaluations.close()
        await self.evaluator.close()
        self.store.close()
