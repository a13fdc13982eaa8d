"""What is held in memory up to a bound, the longest unused given up first, and never what is in use.

Who goes through all of a model's layers again and again, and holds less than all, finds none of them: each was given up
just before it is asked for. So a share of the bound is pinned: what came first into it stays until nobody has used it
for a while.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

Value = TypeVar("Value")

_UNUSED = 60.0
"""Seconds without a use, after which what is pinned is held as everything else is."""


_OFTEN = 1.0
"""Seconds between two looks for what nobody uses."""


@dataclass
class _Entry(Generic[Value]):
    value: Value
    bytes: int
    uses: int = 0
    pinned: bool = False
    used: float = 0.0


class Cache(Generic[Value]):
    """Values by name, each loaded once however many threads ask for it. ``limit``: bytes that may be held; while more
    are in use, more are held. ``share``: of the limit, that is pinned. ``noted`` is told of every use: whether the
    value was there."""

    def __init__(
        self,
        limit: int,
        noted: Callable[[bool], None] = lambda hit: None,
        share: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit, self._noted, self._clock = limit, noted, clock
        self._pinnable, self._pinned = int(share * limit), 0
        self._held: OrderedDict[Hashable, _Entry[Value]] = OrderedDict()
        self._loading: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()
        self._bytes = 0
        self._looked = -_OFTEN

    @property
    def bytes(self) -> int:
        """Held now."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._held)

    def holds(self, name: Hashable) -> bool:
        """Whether the value of a name is held now."""
        return name in self._held

    def has_room(self, size: int) -> bool:
        """Whether so many bytes more may be pinned."""
        with self._lock:
            return self._room(size)

    @contextmanager
    def use(self, name: Hashable, load: Callable[[], tuple[Value, int]], *, pin: bool = True) -> Iterator[Value]:
        """The value of a name, which ``load`` makes with its size in bytes where it is not held. It stays until the end
        of the ``with``. ``pin``: longer, where it may be pinned. What ``load`` raises is raised, and nothing is
        held."""
        entry = self._taken(name)
        self._noted(entry is not None)
        if entry is None:
            entry = self._loaded(name, load, pin)
        try:
            yield entry.value
        finally:
            with self._lock:
                entry.uses -= 1
                self._shrink()

    def _taken(self, name: Hashable) -> _Entry[Value] | None:
        with self._lock:
            entry = self._held.get(name)
            if entry is not None:
                entry.uses += 1
                entry.used = self._clock()
                self._held.move_to_end(name)
            return entry

    def _loaded(self, name: Hashable, load: Callable[[], tuple[Value, int]], pin: bool) -> _Entry[Value]:
        with self._lock:
            loading = self._loading.setdefault(name, threading.Lock())
        with loading:
            # another thread may have loaded it meanwhile
            entry = self._taken(name)
            if entry is not None:
                return entry
            value, size = load()
            with self._lock:
                self._loading.pop(name, None)
                entry = self._held[name] = _Entry(value, size, uses=1, used=self._clock())
                self._bytes += size
                entry.pinned = pin and self._room(size)
                self._pinned += size * entry.pinned
                self._shrink()
            return entry

    def _room(self, size: int) -> bool:
        """Whether this much more may be pinned, once what nobody uses any more is let go."""
        if self._pinned + size > self._pinnable and size <= self._pinnable and self._looked + _OFTEN <= self._clock():
            self._looked = self._clock()
            for entry in self._held.values():
                if entry.pinned and not entry.uses and entry.used + _UNUSED <= self._clock():
                    entry.pinned = False
                    self._pinned -= entry.bytes
        return self._pinned + size <= self._pinnable

    def _shrink(self) -> None:
        for name, entry in list(self._held.items()):
            if self._bytes <= self.limit:
                return
            if not entry.uses and not entry.pinned:
                self._bytes -= self._held.pop(name).bytes
