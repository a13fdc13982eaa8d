"""Memory for requests under way: their bodies, and their answers until the client has taken them."""

from __future__ import annotations

from collections import Counter
from types import TracebackType

from starlette.requests import ClientDisconnect

from slotlang.service.gate import Receive
from slotlang.service.problems import BUSY, TOO_LARGE, Refusal
from slotlang_runtime.amounts import count_of


class Room:
    """``most`` bytes, of which a tenant has half. No request is taken beyond that, whether or not there are others."""

    def __init__(self, most: int) -> None:
        self.most, self.share = most, most // 2
        self.taken = 0
        self._of: Counter[str] = Counter()

    def take(self, tenant: str, size: int = 0) -> Taken:
        """Room for a request of a tenant. Raises Refusal SL573 and SL575."""
        taken = Taken(self, tenant)
        taken.more(size)
        return taken

    def check(self, tenant: str, size: int, own: int) -> None:
        """Whether a request that has ``own`` may have more. Raises Refusal SL573 where it never may, and SL575 where
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

    def add(self, tenant: str, size: int, own: int) -> None:
        """Count more for a request that has ``own``. Raises Refusal SL573 and SL575."""
        self.check(tenant, size, own)
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

    def only(self, size: int) -> None:
        """Have this much, and no more or less. Raises Refusal SL573 and SL575."""
        if size >= self._size:
            self.more(size - self._size)
        else:
            self._room.give(self._tenant, self._size - size)
            self._size = size

    async def body(self, receive: Receive, length: int, ahead: int = 0) -> bytes:
        """A request's body. What its client says of its length takes no room: what comes does, and ``ahead`` of it as
        much as may come at once. Raises ClientDisconnect, and Refusal SL573 and SL575 before it comes or meanwhile."""
        self._room.check(self._tenant, length, self._size)
        before, came, pieces, more = self._size, 0, list[bytes](), True
        while more:
            self.only(before + max(came, min(length, came + ahead)))
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            pieces.append(message.get("body", b""))
            came += len(pieces[-1])
            more = message.get("more_body", False)
        self.only(before + came)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

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
