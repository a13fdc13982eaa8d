"""The connections of a service: how many there are, and which of them gives way to a new one.

Whoever reaches the service can open connections and be silent on them. So one counts from the moment in which it is
accepted, before TLS's handshake, and keeps its place only while a request of a known tenant is under way on it. Where
all places are taken, the connection that has been without one for longest is closed.
"""

from __future__ import annotations

import asyncio
import fcntl
import termios
from array import array
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

from slotlang.service.problems import BUSY, Refusal

LINE = "slotlang.line"
"""The request's ``Line``, in its state."""

GATHERED = 1 << 22
"""Bytes of a body that are gathered, at most, before whoever reads them is woken."""


class Line(Protocol):
    """A request's connection, for whoever answers the request."""

    def begun(self, tenant: str) -> None:
        """Until it is answered the request is this tenant's. Raises Refusal SL575 where the tenant has too many."""

    def gather(self) -> None:
        """Wake who reads the request's body when it is whole, or so large that it is taken in parts."""

    async def taken(self) -> None:
        """Wait until the client took what it was sent, but for a little, or is gone."""

    def end(self) -> None:
        """The client gets nothing more."""


def line_of(scope: Mapping[str, Any]) -> Line:
    """A request's connection."""
    line: Line = scope["state"][LINE]
    return line


def waiting_in(transport: asyncio.Transport) -> int:
    """Bytes that the system has for the other side, which has not taken them."""
    found = array("i", [0])
    # one that is closed has none
    with suppress(OSError, ValueError):
        fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, found)
    return found[0]


class Connections:
    """At most ``most`` connections, of which a tenant has half for its requests. Each is known by the transport of its
    socket. ``stopping``: those that are without a request end."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.stopping = False
        # the longest without a request first
        self._idle: dict[asyncio.Transport, None] = {}
        self._busy: dict[asyncio.Transport, str] = {}
        self._of: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._idle) + len(self._busy)

    def opened(self, transport: asyncio.Transport) -> None:
        """One was accepted. Where there is no place, another is closed, or else this one."""
        if len(self) >= self.most:
            last = next(iter(self._idle), None)
            if last is None:
                transport.abort()
                return
            del self._idle[last]
            last.abort()
        self._idle[transport] = None

    def begun(self, transport: asyncio.Transport, tenant: str) -> None:
        """A request of a tenant is under way. Raises Refusal SL575 where the tenant has too many."""
        # of an answer before it that is being taken
        self.answered(transport)
        if self._of[tenant] >= max(1, self.most // 2):
            raise Refusal(BUSY, "these are too many requests at once", hint="try again", retry_after=1.0)
        if transport in self._idle:
            del self._idle[transport]
            self._busy[transport] = tenant
            self._of[tenant] += 1

    def answered(self, transport: asyncio.Transport) -> None:
        """No request is under way."""
        if self._left(transport):
            self._idle[transport] = None

    def closed(self, transport: asyncio.Transport) -> None:
        """It has ended."""
        self._left(transport)
        self._idle.pop(transport, None)

    def _left(self, transport: asyncio.Transport) -> bool:
        tenant = self._busy.pop(transport, None)
        if tenant is None:
            return False
        self._of[tenant] -= 1
        if not self._of[tenant]:
            del self._of[tenant]
        return True
