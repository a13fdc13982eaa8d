"""Limits of the service: how large, how many, how often, how long."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from slotlang.diagnostics import error
from slotlang.service.problems import TOO_MANY, Refusal


@dataclass(frozen=True)
class Limits:
    """``body``: bytes of a request; ``keys``: bytes of evaluation keys; ``tokens``: of the model, in one request;
    ``requests`` and ``tokens_per_minute``: of a tenant, on average; ``queue``: evaluations that wait, of all tenants,
    and ``queue_of_tenant``; ``wait``: seconds that an evaluation may wait; ``read``: seconds for a body, and ``idle``
    between two parts of one, in either direction; ``lifetime``: of a session; ``window``: in which an answer is
    given again; ``quota``: bytes of keys and ``sessions``: of a tenant; ``answers``: bytes of stored answers;
    ``weights_memory`` and ``keys_memory``: bytes that are held in memory, ``requests_memory``: of bodies and answers;
    ``connections``: at a time."""

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
    requests_memory: int = 1 << 30
    connections: int = 1024

    def check(self) -> None:
        """Raise ``SlotError`` SL005 where the largest body with an answer of its size, or the largest key set, has no
        room in a tenant's half."""
        if (least := 2 * max(2 * self.body, self.keys)) > self.requests_memory:
            raise error(
                "SL005",
                f"--requests-memory {self.requests_memory} is too little: a tenant has half of it, which takes two "
                "bodies of --max-body and a key set of --max-keys",
                hint=f"give it {least}, or less to --max-body and --max-keys",
            )


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
