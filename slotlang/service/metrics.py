"""Figures for Prometheus. No name of a tenant, session or module is among them."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_PARTS = ("read", "wait", "load", "evaluate", "store")
_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


class Metrics:
    """The service's figures, in a registry of their own: several services may run in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own = self.registry
        seconds = Histogram(
            "slotlang_seconds",
            f"Seconds of each part of a request: {', '.join(_PARTS)}",
            ["part"],
            buckets=_SECONDS,
            registry=own,
        )
        self.requests = Counter("slotlang_requests", "Requests by route and status", ["route", "status"], registry=own)
        self.refusals = Counter("slotlang_refusals", "Refusals by code", ["code"], registry=own)
        carried = Counter("slotlang_bytes", "Bytes of bodies", ["direction"], registry=own)
        # looked up once, and not for each request
        self.seconds = {part: seconds.labels(part) for part in _PARTS}
        self.bytes_in, self.bytes_out = carried.labels("in"), carried.labels("out")
        self.evaluations = Counter("slotlang_evaluations", "Evaluations that ended well", registry=own)
        self.gated = Counter("slotlang_gated", "Of these, evaluations with some of the ranks", registry=own)
        self.skipped = Counter("slotlang_skipped", "Products with plaintexts that gates left out", registry=own)
        self.tokens = Counter("slotlang_tokens", "Tokens that were evaluated, for each upload", registry=own)
        self.replays = Counter("slotlang_replays", "Parts of answers that were given again", registry=own)
        self.cache = Counter("slotlang_cache", "Uses of what is held in memory", ["kind", "result"], registry=own)

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A figure that is read when it is asked for."""
        Gauge(name, text, registry=self.registry).set_function(value)

    def cached(self, kind: str, hit: bool) -> None:
        """A use of what is held in memory."""
        self.cache.labels(kind, "hit" if hit else "miss").inc()

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self.registry)
