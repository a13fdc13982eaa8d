"""A queue of evaluations: in the order in which requests came, but for tenants that ask for more than their share.

Who came first goes first: any other order makes the longest waits longer, and with them the times of the slowest
requests. A tenant that sends much at once would hold up all others that way. So each tenant has a clock of its own,
which each of its evaluations puts forward by the time that it takes on the tenant's share of the machine. As long as
that clock is not ahead of the real one, the tenant uses no more than its share, and its evaluations stand where they
came. One that is ahead stands where the clock says. A clock that is behind is put forward to ``_CREDIT`` seconds
before the real one, so that a few evaluations at once are no excess.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from slotlang.service.limits import Limits
from slotlang.service.problems import BUSY, Refusal

_CREDIT = 0.5
"""Seconds of its share that a tenant may take at once."""
_UNKNOWN = 0.01
"""Seconds of an evaluation of which nothing is known."""
_CLOCKS = 1000
"""Clocks, above which those that are behind are forgotten."""


@dataclass(order=True)
class _Place:
    """Where an evaluation stands: ``rank`` in seconds of the clock, then in the order in which they came."""

    rank: float
    number: int
    turn: asyncio.Future[None] = field(compare=False)


class Admitted:
    """An evaluation that may wait: it counts as one that does from its admission on, until its turn comes or it
    leaves."""

    def __init__(self, waiting: Counter[str], tenant: str) -> None:
        self._waiting, self._tenant, self._counts = waiting, tenant, True
        waiting[tenant] += 1

    def leave(self) -> None:
        """It waits no more, if it did."""
        if self._counts:
            self._counts = False
            _less(self._waiting, self._tenant)


class Queue:
    """Turns for evaluations, as many at a time as ``width`` says now."""

    def __init__(self, width: Callable[[], int], limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.width, self.limits, self.clock = width, limits, clock
        self.running = 0
        # in order of rank; those whose turn came otherwise, or who left, stay until they are met
        self._places: list[_Place] = []
        self._numbers = itertools.count()
        self._waiting: Counter[str] = Counter()
        self._under_way: Counter[str] = Counter()
        self._clocks: dict[str, float] = {}

    @property
    def waiting(self) -> int:
        """Evaluations that wait, or were admitted and will."""
        return self._waiting.total()

    def admit(self, tenant: str, count: int) -> list[Admitted]:
        """This many more evaluations, which count at once; whoever has them gives each to ``turn``, or leaves. Call it
        before any work is done for them. Raises Refusal SL575 where there is no room for all."""
        if self.waiting + count > self.limits.queue or self._waiting[tenant] + count > self.limits.queue_of_tenant:
            raise Refusal(BUSY, "the service has no room for this request now", hint="try again", retry_after=1.0)
        return [Admitted(self._waiting, tenant) for _ in range(count)]

    @asynccontextmanager
    async def turn(
        self, tenant: str, seconds: float = _UNKNOWN, admitted: Admitted | None = None
    ) -> AsyncIterator[float]:
        """A turn for an evaluation that takes about this many seconds of a thread, after the seconds that it gives.
        Raises Refusal SL575 when it does not come in time."""
        start = self.clock()
        waiting = admitted or Admitted(self._waiting, tenant)
        self._under_way[tenant] += 1
        try:
            rank = self._rank(tenant, seconds, start)
            self.fill()
            # where a turn is free now, nobody waits for it
            if self.running < self.width():
                self.running += 1
            else:
                await self._wait(rank)
            waiting.leave()
            try:
                yield self.clock() - start
            finally:
                self._next()
        finally:
            waiting.leave()
            _less(self._under_way, tenant)

    def _rank(self, tenant: str, seconds: float, now: float) -> float:
        """The moment at which an evaluation stands in the queue."""
        own = max(self._clocks.pop(tenant, 0.0), now - _CREDIT)
        # the share: of as many threads, with as many tenants as are there now
        own += seconds * len(self._under_way) / max(1, self.width())
        self._clocks[tenant] = own
        if len(self._clocks) > _CLOCKS:
            self._clocks = {name: ahead for name, ahead in self._clocks.items() if ahead > now - _CREDIT}
        return max(now, own)

    def settle(self, tenant: str, seconds: float) -> None:
        """Put a tenant's clock forward, or back, by seconds that an evaluation took beyond what its turn was asked for.
        Call it within the turn."""
        if seconds:
            self._rank(tenant, seconds, self.clock())

    async def _wait(self, rank: float) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._places, _Place(rank, next(self._numbers), turn))
        try:
            async with asyncio.timeout(self.limits.wait):
                await turn
        except BaseException as problem:
            if turn.done() and not turn.cancelled():
                # the turn came at the same moment
                self._next()
            turn.cancel()
            if isinstance(problem, TimeoutError):
                raise Refusal(BUSY, "this evaluation waited too long", hint="try again", retry_after=5.0) from None
            raise

    def _next(self) -> None:
        self.running -= 1
        self.fill()

    def fill(self) -> None:
        """Give the turns that are free, each to the first in the queue."""
        while self._places and self.running < self.width():
            turn = heapq.heappop(self._places).turn
            if not turn.done():
                self.running += 1
                turn.set_result(None)


def _less(counts: Counter[str], name: str) -> None:
    counts[name] -= 1
    if not counts[name]:
        del counts[name]
