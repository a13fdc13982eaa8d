"""Memory for requests under way: their bodies, and their answers until the client has taken them."""

from __future__ import annotations

from collections import Counter
from types import TracebackType

from slotlang.service.problems import BUSY, TOO_LARGE, Refusal
from slotlang_runtime.amounts import count_of


class Room:
    """``most`` bytes, of which a tenant has half. No request is taken beyond that, whether or not there are others."""

    def __init__(self, most: int) -> None:
        self.most, self.share = most, most // 2
        self.taken = 0
        self._of: Counter[str] = Counter()

    def take(self, tenant: str, size: int) -> Taken:
        """Room for a request of a tenant, before any of its body is read. Raises Refusal SL573 and SL575."""
        taken = Taken(self, tenant)
        taken.more(size)
        return taken

    def add(self, tenant: str, size: int, own: int) -> None:
        """Count more for a request that has ``own``. Raises Refusal SL573 where it can't have as much, and SL575 where
        there is no room now."""
        if own + size > self.share:
            raise Refusal(
                TOO_LARGE,
                f"this request needs {count_of(own + size, 'byte')} of memory, with its answer, and a tenant has "
                f"{self.share} here",
                hint="send several requests that ask for less",
            )
        if self._of[tenant] + size > self.share or self.taken + size > self.most:
            raise Refusal(BUSY, "the service has no room for this request now", hint="try again", retry_after=1.0)
        self._of[tenant] += size
        self.taken += size

    def give(self, tenant: str, size: int) -> None:
        """Count this much less."""
        self._of[tenant] -= size
        self.taken -= size
        if not self._of[tenant]:
            del self._of[tenant]


class Taken:
    """Room that a request has, as long as anybody holds it: whoever took it, within ``with``, and others."""

    def __init__(self, room: Room, tenant: str) -> None:
        self._room, self._tenant = room, tenant
        self._size, self._holders = 0, 1

    def more(self, size: int) -> None:
        """Take more. Raises Refusal SL573 and SL575."""
        self._room.add(self._tenant, size, self._size)
        self._size += size

    def hold(self) -> Taken:
        """One more holds it, and leaves it with ``with``."""
        self._holders += 1
        return self

    def __enter__(self) -> Taken:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._holders -= 1
        if not self._holders:
            self._room.give(self._tenant, self._size)
