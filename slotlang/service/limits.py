"""Limits of the service: how large, how many, how often, how long; and a queue in which no tenant waits for another's
work alone."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from slotlang.service.problems import BUSY, TOO_MANY, Refusal


@dataclass(frozen=True)
class Limits:
    """``body``: bytes of a request; ``keys``: bytes of evaluation keys; ``tokens``: of the model, in one request;
    ``requests`` and ``tokens_per_minute``: of a tenant, on average; ``queue``: evaluations that wait, of all tenants,
    and ``queue_of_tenant``; ``wait``: seconds that an evaluation may wait; ``read``: seconds for a body, and ``idle``
    between two parts of one, in either direction; ``lifetime``: of a session; ``window``: in which an answer is
    given again; ``quota``: bytes of keys and ``sessions``: of a tenant; ``answers``: bytes of stored answers;
    ``weights_memory`` and ``keys_memory``: bytes that are held in memory."""

    body: int = 64 << 20
    keys: int = 256 << 20
    tokens: int = 4096
    requests: float = 50.0
    tokens_per_minute: float = 100_000.0
    queue: int = 1024
    queue_of_tenant: int = 512
    wait: float = 120.0
    read: float = 300.0
    idle: float = 20.0
    lifetime: float = 7 * 86400.0
    window: float = 600.0
    quota: int = 1 << 32
    sessions: int = 1000
    answers: int = 1 << 34
    weights_memory: int = 4 << 30
    keys_memory: int = 1 << 30


class Rate:
    """At most ``per_second`` on average, for each tenant by itself; ``burst`` at once."""

    def __init__(self, per_second: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second, self.burst, self.clock = per_second, burst, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, tenant: str, count: float, what: str) -> None:
        """Count some for a tenant. Raises Refusal SL574, with the seconds to wait, when they are too many."""
        now = self.clock()
        left, then = self._left.pop(tenant, (self.burst, now))
        left = min(self.burst, left + (now - then) * self.per_second)
        # more than fit at once are taken when nothing else was: they can't come in smaller parts
        enough = left >= min(count, self.burst)
        self._left[tenant] = (left - count if enough else left, now)
        if len(self._left) > 10_000:
            self._left.popitem(last=False)
        if not enough:
            wait = (min(count, self.burst) - left) / self.per_second
            raise Refusal(TOO_MANY, f"these are too many {what} at a time", hint="wait", retry_after=wait)


class Queue:
    """Turns for evaluations, as many at a time as ``width`` says now. Tenants take turns; a tenant's own are in
    order."""

    def __init__(self, width: Callable[[], int], limits: Limits) -> None:
        self.width, self.limits = width, limits
        self.running = 0
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @property
    def waiting(self) -> int:
        """Evaluations that wait."""
        return sum(map(len, self._waiting.values()))

    def admit(self, tenant: str, count: int) -> None:
        """Raise Refusal SL575 unless this many more may wait. Call it before any work is done for them."""
        own = len(self._waiting.get(tenant, ()))
        if self.waiting + count > self.limits.queue or own + count > self.limits.queue_of_tenant:
            raise Refusal(BUSY, "the service has no room for this request now", hint="try again", retry_after=1.0)

    @asynccontextmanager
    async def turn(self, tenant: str) -> AsyncIterator[float]:
        """A turn, after the seconds that it gives. Raises Refusal SL575 when it does not come in time."""
        start = time.monotonic()
        self.fill()
        if self.running < self.width() and not self._waiting:
            self.running += 1
        else:
            await self._wait(tenant)
        try:
            yield time.monotonic() - start
        finally:
            self._next()

    async def _wait(self, tenant: str) -> None:
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, deque()).append(place)
        try:
            async with asyncio.timeout(self.limits.wait):
                await place
        except BaseException as problem:
            if place.done() and not place.cancelled():
                # the turn came at the same moment
                self._next()
            else:
                self._leave(tenant, place)
            if isinstance(problem, TimeoutError):
                raise Refusal(BUSY, "this evaluation waited too long", hint="try again", retry_after=5.0) from None
            raise

    def _leave(self, tenant: str, place: asyncio.Future[None]) -> None:
        own = self._waiting.get(tenant)
        if own is not None and place in own:
            own.remove(place)
            if not own:
                del self._waiting[tenant]

    def _next(self) -> None:
        self.running -= 1
        self.fill()

    def fill(self) -> None:
        """Give the turns that are free, each to the tenant that has waited longest for one."""
        while self._waiting and self.running < self.width():
            tenant, own = next(iter(self._waiting.items()))
            place = own.popleft()
            del self._waiting[tenant]
            if own:
                self._waiting[tenant] = own
            if not place.done():
                self.running += 1
                place.set_result(None)
