"""What is held in memory up to a bound, the longest unused given up first, and never what is in use."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

Value = TypeVar("Value")


@dataclass
class _Entry(Generic[Value]):
    value: Value
    bytes: int
    uses: int = 0


class Cache(Generic[Value]):
    """Values by name, each loaded once however many threads ask for it. ``limit``: bytes that may be held; while more
    are in use, more are held. ``noted`` is told of every use: whether the value was there."""

    def __init__(self, limit: int, noted: Callable[[bool], None] = lambda hit: None) -> None:
        self.limit, self._noted = limit, noted
        self._held: OrderedDict[Hashable, _Entry[Value]] = OrderedDict()
        self._loading: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()
        self._bytes = 0

    @property
    def bytes(self) -> int:
        """Held now."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._held)

    @contextmanager
    def use(self, name: Hashable, load: Callable[[], tuple[Value, int]]) -> Iterator[Value]:
        """The value of a name, which ``load`` makes with its size in bytes where it is not held. It stays until the end
        of the ``with``. What ``load`` raises is raised, and nothing is held."""
        entry = self._taken(name)
        self._noted(entry is not None)
        if entry is None:
            entry = self._loaded(name, load)
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
                self._held.move_to_end(name)
            return entry

    def _loaded(self, name: Hashable, load: Callable[[], tuple[Value, int]]) -> _Entry[Value]:
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
                entry = self._held[name] = _Entry(value, size, uses=1)
                self._bytes += size
                self._shrink()
            return entry

    def _shrink(self) -> None:
        for name in list(self._held):
            if self._bytes <= self.limit:
                return
            if not self._held[name].uses:
                self._bytes -= self._held.pop(name).bytes
