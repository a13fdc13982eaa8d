"""Answers that were given, kept for a while: a request that comes again gets the same bytes, and no second evaluation.

Two evaluations of one upload have different masks, and their mean hides less. So a part of an answer is stored before
any of it is sent, and a request is known by tenant, session and idempotency key; another request under the same key is
refused. Parts lie in files, so that this holds over a restart too.

Making a file for each request takes time, and its caller waits. So a file, called a segment, holds parts of many
answers of a tenant. Which parts there are, and where, is held in memory, and read from the segments' heads at the
start. A process that ends while it writes leaves half a part at a segment's end: nothing of it was sent.

A segment takes parts for a small part of the window, and is deleted as a whole when the window of all its answers is
over. That is done a few megabytes at a time: a disk that deletes more holds up those that wait for answers.

Where there is no room for a part, the tenant that has the most bytes, with this part, loses its oldest segment, before
its window is over. So nobody who has no more than an equal share of the room loses anything to others.
"""

from __future__ import annotations

import hashlib
import itertools
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from slotlang.service.problems import OTHER_REQUEST, Refusal
from slotlang.service.segments import HEAD, Head, Segment

_PREFIX = "segment-"
_FULL, _COUNT, _AGE = 64 << 20, 1024, 1 / 20
"""Bytes from which on a segment takes no more parts, the number of such segments that there is room for at least, and
the part of the window after which a segment takes none."""
_CUT = 4 << 20
"""Bytes of a segment that are deleted at once."""
_PAUSE, _MOST_PAUSE = 0.002, 0.05
"""Seconds between two of these, at least and at most."""


@dataclass(frozen=True)
class Stored:
    """What is stored of a request's answer. ``name``: the request's; ``begun``: when it first came; ``digest``: of its
    body; ``parts`` by number."""

    name: str
    begun: float
    digest: str
    parts: dict[int, bytes] = field(default_factory=dict, repr=False)


class _Place(NamedTuple):
    number: int
    segment: Segment
    at: int
    size: int


@dataclass(slots=True)
class _Kept:
    """Where the parts of a request's answer are, in the order in which they were stored."""

    begun: float
    digest: str
    places: list[_Place] = field(default_factory=list)


class Answers:
    """Stored answers. ``window``: seconds for which each is kept, from its request on; ``limit``: bytes of all of
    them, beyond which the oldest of the tenant that has most of them go. Raises OSError."""

    def __init__(
        self, folder: Path, window: float, limit: int = 1 << 34, clock: Callable[[], float] = time.time
    ) -> None:
        self.folder, self.window, self.limit, self.clock = folder, window, limit, clock
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._index = dict[str, _Kept]()
        # the oldest first
        self._segments = list[Segment]()
        self._bytes, self._of_tenant = 0, Counter[str]()
        # of each tenant, those that take parts, and to which nobody writes now
        self._free = dict[str, list[Segment]]()
        self._closed = threading.Event()
        last = 0
        for path in sorted(folder.iterdir()):
            number = path.name.removeprefix(_PREFIX)
            if path.is_file() and path.name != number and number.isdecimal():
                # in the order in which they were made: of two requests that had a name, the later one counts
                segment, last = Segment(str(path), size=path.stat().st_size), int(number)
                for at, head in segment.walk():
                    segment.tenant = _tenant(head.name)
                    self._add(segment, at, head)
                self._segments.append(segment)
                self._count(segment, segment.size)
            elif path.is_dir():
                # what an earlier version kept
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        self._numbers = itertools.count(last + 1)

    @property
    def size(self) -> int:
        """Bytes that are stored now."""
        return self._bytes

    @staticmethod
    def name(tenant: str, session: str, key: str) -> str:
        """Of a request: ten hexadecimal digits for its tenant, a dot, and 29 for all of it."""
        whole = "\n".join((tenant, session, key))
        of, request = (hashlib.sha256(text.encode()).hexdigest() for text in (tenant, whole))
        return f"{of[:10]}.{request[:29]}"

    def known(self, name: str) -> bool:
        """Whether something is stored under a name."""
        return name in self._index

    def bytes_of(self, name: str) -> int:
        """Bytes that are stored under a name, now."""
        with self._lock:
            kept = self._index.get(name)
            return 0 if kept is None else sum(place.size for place in kept.places)

    def begin(self, name: str, digest: str) -> Stored:
        """What is stored under a name, for a request of this digest: nothing of a new one. Raises Refusal SL576 where
        another request had the name, and OSError."""
        with self._lock:
            kept = self._index.get(name)
            if kept is not None and self._over(kept.begun, kept.begun):
                del self._index[name]
                kept = None
            places = [] if kept is None else list(kept.places)
        if kept is None:
            return self.new(name, digest)
        if kept.digest != digest:
            raise Refusal(OTHER_REQUEST, "another request had this idempotency key", hint="use a new key")
        stored = Stored(name, kept.begun, digest)
        for place in places:
            head = Head(kept.begun, name, digest, place.number, place.size)
            if (data := place.segment.read(place.at, head)) is not None:
                stored.parts[place.number] = data
        return stored

    def new(self, name: str, digest: str) -> Stored:
        """Nothing, for a request of which nothing is stored."""
        return Stored(name, self.clock(), digest)

    def store(self, of: Stored, number: int, data: bytes | memoryview) -> None:
        """Store a part, whole or not at all. Raises OSError."""
        tenant = _tenant(of.name)
        self._make_room(tenant, HEAD + len(data))
        segment = self._taken(tenant)
        before = segment.size
        try:
            head = Head(of.begun, of.name, of.digest, number, len(data))
            at = segment.append(head, data)
            with self._lock:
                self._add(segment, at, head)
        finally:
            with self._lock:
                self._count(segment, segment.size - before)
                self._freed(segment)

    def expire(self, seconds: float = 0.0) -> int:
        """Delete segments whose answers' window is over, in about this many seconds, or at once where there is no room
        for new ones; the number of these answers."""
        with self._lock:
            self._close_old()
            due = [s for s in self._segments if not s.open and not s.going and self._over(s.first, s.last)]
            for segment in due:
                segment.going = True
        pieces, gone = sum(segment.size // _CUT + 1 for segment in due), 0
        pause = max(_PAUSE, min(_MOST_PAUSE, seconds / max(1, pieces)))
        try:
            for segment in due:
                gone += self._forget(segment)
                while segment in self._segments:
                    self._cut(segment)
                    full = self._bytes >= self.limit or not seconds
                    if self._closed.wait(0.0 if full else pause):
                        # the rest is left for the next call
                        return gone
        finally:
            for segment in due:
                segment.going = False
        return gone

    def close(self) -> None:
        """End an ``expire`` that is under way."""
        self._closed.set()

    def _over(self, first: float, last: float) -> bool:
        """Whether the window of all requests that came between these times is over. Of those that come later than now,
        the machine's clock was another one."""
        return not first - self.window < self.clock() < last + self.window

    def _cut(self, segment: Segment) -> None:
        """Delete the last bytes of a segment, and in the end its file. Raises OSError."""
        before = segment.size
        segment.cut(max(0, before - _CUT))
        with self._lock:
            self._count(segment, segment.size - before)
            if not segment.size:
                self._segments.remove(segment)

    def _count(self, segment: Segment, more: int) -> None:
        """Count bytes. Within the lock, or before there are threads."""
        self._bytes += more
        self._of_tenant[segment.tenant] += more
        if not self._of_tenant[segment.tenant]:
            del self._of_tenant[segment.tenant]

    def _make_room(self, tenant: str, size: int) -> None:
        """Delete segments until there is room for a part of this tenant, as far as nobody writes to them. Raises
        OSError."""
        while self._bytes + size > self.limit:
            with self._lock:
                segment = self._least(tenant, size)
                if segment is None:
                    return
                segment.going = True
                if segment.open:
                    self._free[segment.tenant].remove(segment)
                    segment.open = False
            try:
                self._forget(segment)
                while segment in self._segments:
                    self._cut(segment)
            finally:
                segment.going = False

    def _least(self, tenant: str, size: int) -> Segment | None:
        """The segment that makes room for a part of this tenant. Within the lock."""
        most = max((*self._of_tenant, tenant), key=lambda name: self._of_tenant[name] + (size if name == tenant else 0))
        still = [s for s in self._segments if not s.going and (not s.open or s in self._free.get(s.tenant, ()))]
        over = (s for s in still if not s.open and self._over(s.first, s.last))
        return next(over, None) or next((s for s in still if s.tenant == most), None)

    def _taken(self, tenant: str) -> Segment:
        """A segment of the tenant that takes parts and to which nobody else writes: a disk that is busy with one file
        holds up no others. Raises OSError."""
        with self._lock:
            self._close_old()
            if free := self._free.get(tenant):
                return free.pop()
            path = f"{self.folder}/{_PREFIX}{next(self._numbers):012}"
        segment = Segment.create(path, self.clock(), tenant)
        with self._lock:
            self._segments.append(segment)
        return segment

    def _freed(self, segment: Segment) -> None:
        """Nobody writes to this segment now: others may, or it takes no more. Within the lock."""
        if segment.torn or segment.size >= min(_FULL, self.limit // _COUNT):
            segment.open = False
        else:
            self._free.setdefault(segment.tenant, []).append(segment)

    def _close_old(self) -> None:
        """Segments that took parts for long enough take no more. Within the lock."""
        now = self.clock()
        for tenant, free in list(self._free.items()):
            for segment in free:
                segment.open = abs(now - segment.made) < self.window * _AGE
            free[:] = [segment for segment in free if segment.open]
            if not free:
                del self._free[tenant]

    def _add(self, segment: Segment, at: int, head: Head) -> None:
        """Note a part. Within the lock, or before there are threads."""
        kept = self._index.get(head.name)
        if kept is None or (kept.begun, kept.digest) != (head.begun, head.digest):
            self._index[head.name] = kept = _Kept(head.begun, head.digest)
        kept.places.append(_Place(head.number, segment, at, head.size))
        segment.first, segment.last = min(segment.first, head.begun), max(segment.last, head.begun)
        segment.names.append(head.name)

    def _forget(self, segment: Segment) -> int:
        """Forget what came when the segment's parts came; the number of answers."""
        gone = 0
        with self._lock:
            for name in segment.names:
                # one of its name may have come since
                if (kept := self._index.get(name)) and segment.first <= kept.begun <= segment.last:
                    del self._index[name]
                    gone += 1
            segment.names.clear()
        return gone


def _tenant(name: str) -> str:
    """What the tenant of a request with this name is known by; one that an earlier version named tells of none."""
    return name[: name.find(".") + 1]
