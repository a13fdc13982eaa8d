"""Answers that were given, kept for a while: a request that comes again gets the same bytes, and no second evaluation.

Two evaluations of one upload have different masks, and their mean hides less. So a part of an answer is stored before
any of it is sent, and a request is known by tenant, session and idempotency key; another request under the same key is
refused. Parts lie in files, so that this holds over a restart too.

A file for each request: a line with the time at which it came and its digest, then its parts as they were evaluated,
each with its number and length before it, appended by one write. A process that ends while it writes leaves half a
part, which is cut off when the file is read again: nothing of it was sent.

When each came is known here too, in order, so that only files whose window is over are looked at; and they are deleted
a few at a time, for who waits for an answer would feel a thousand at once.
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
import shutil
import struct
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from slotlang.service.problems import BUSY, OTHER_REQUEST, Refusal
from slotlang_runtime.amounts import count_of

_HEAD = struct.Struct("<IQ")
_LINE = 128
"""Bytes of the first line, at most."""
_LOCKS = 64
_PAUSE, _MOST_PAUSE = 0.002, 0.05
"""Seconds between two files that are deleted, at least and at most."""
_GONE = ".gone."
"""What a file's name begins with while it is deleted: where its bytes are just written to the disk, that takes long."""


@dataclass(frozen=True)
class Stored:
    """What is stored of a request's answer. ``name``: of its file; ``begun``: when it first came; ``digest``: of its
    body; ``parts`` by number."""

    name: str
    begun: float
    digest: str
    parts: dict[int, bytes] = field(default_factory=dict, repr=False)


class Answers:
    """Stored answers. ``window``: seconds for which each is kept, from its request on; ``limit``: bytes of all of
    them, beyond which no new request is taken until some have expired."""

    def __init__(
        self, folder: Path, window: float, limit: int = 1 << 34, clock: Callable[[], float] = time.time
    ) -> None:
        self.folder, self.window, self.limit, self.clock = folder, window, limit, clock
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.Lock()
        # a disk that is busy with one file holds up few others
        self._locks = [threading.Lock() for _ in range(_LOCKS)]
        # of files of an earlier process it is not known: each is looked at once
        self._came = OrderedDict[str, float]((path.name, -math.inf) for path in folder.iterdir())
        self._bytes = sum(_bytes(folder / name) for name in self._came)
        self._closed = threading.Event()

    @property
    def size(self) -> int:
        """Bytes that are stored now."""
        return self._bytes

    @staticmethod
    def name(tenant: str, session: str, key: str) -> str:
        """Of a request's file."""
        return hashlib.sha256("\n".join((tenant, session, key)).encode()).hexdigest()[:40]

    def known(self, name: str) -> bool:
        """Whether something is stored under a name."""
        # of every request: a path is made in less time by hand
        return os.path.exists(f"{self.folder}/{name}")  # noqa: PTH110

    def begin(self, name: str, digest: str) -> Stored:
        """What is stored under a name, for a request of this digest: nothing of a new one. Raises Refusal SL576 where
        another request had the name, and SL575 for a new one when all answers have as many bytes as they may."""
        now = self.clock()
        if self.known(name):
            with self._of(name):
                found = self._read(self.folder / name)
            # of one that begins later than now, the machine's clock was another one
            if found is not None and abs(now - found.begun) < self.window:
                return _same(found, digest)
            self._remove(name)
        return self.new(name, digest)

    def new(self, name: str, digest: str) -> Stored:
        """Nothing, for a request of which nothing is stored. Raises Refusal SL575 as ``begin``."""
        if self._bytes >= self.limit:
            raise Refusal(BUSY, "the service keeps as many answers as it may", retry_after=min(self.window, 30.0))
        return Stored(name, self.clock(), digest)

    def store(self, of: Stored, number: int, data: bytes | memoryview) -> None:
        """Store a part, whole or not at all. Raises OSError."""
        path, part = f"{self.folder}/{of.name}", [_HEAD.pack(number, len(data)), data]
        with self._of(of.name):
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                before = os.fstat(descriptor).st_size
                if not before:
                    part.insert(0, f"{of.begun!r} {of.digest}\n".encode())
                    self._note(of.name, of.begun)
                size = sum(map(len, part))
                try:
                    if os.writev(descriptor, part) != size:
                        raise OSError(errno.ENOSPC, f"there is no room for a part of {count_of(size, 'byte')}")
                except OSError:
                    os.ftruncate(descriptor, before)
                    raise
            finally:
                os.close(descriptor)
        self._count(size)

    def _read(self, path: Path) -> Stored | None:
        """What a file says; what is behind its last whole part is cut off."""
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        line, _, _ = data[:_LINE].partition(b"\n")
        begun, _, digest = line.decode("ascii", "replace").partition(" ")
        parts, at = dict[int, bytes](), len(line) + 1
        while at + _HEAD.size <= len(data):
            number, size = _HEAD.unpack_from(data, at)
            if at + _HEAD.size + size > len(data):
                break
            at += _HEAD.size
            parts[number] = data[at : at + size]
            at += size
        try:
            found = Stored(path.name, float(begun), digest, parts)
        except ValueError:
            # not even its first line is whole
            return None
        if at < len(data):
            os.truncate(path, at)
            self._count(at - len(data))
        return found

    def expire(self, seconds: float = 0.0) -> int:
        """Delete answers whose window is over, in about this many seconds, or at once where there is no room for new
        ones; their number."""
        due, gone = self._due(), 0
        pause = max(_PAUSE, min(_MOST_PAUSE, seconds / max(1, len(due))))
        while due:
            name = due.popleft()
            if self._remove(name):
                gone += 1
            else:
                # it is younger than was known, or one of its name came since
                self._note(name, self._begun(name))
            full = self._bytes >= self.limit or not seconds
            if self._closed.wait(0.0 if full else pause):
                break
        with self._lock:
            for name in due:
                # left for the next call
                self._came.setdefault(name, -math.inf)
                self._came.move_to_end(name, last=False)
        return gone

    def close(self) -> None:
        """End an ``expire`` that is under way."""
        self._closed.set()

    def _due(self) -> deque[str]:
        """Names whose window is over, or of which it is not known; they are no longer noted."""
        due, now = deque[str](), self.clock()
        with self._lock:
            while self._came and next(iter(self._came.values())) <= now - self.window:
                due.append(self._came.popitem(last=False)[0])
        return due

    def _note(self, name: str, begun: float) -> None:
        with self._lock:
            self._came.pop(name, None)
            self._came[name] = begun

    def _begun(self, name: str) -> float:
        """When the request came, as its file says; 0 where it says nothing."""
        with suppress(OSError, ValueError), (self.folder / name).open("rb") as stream:
            return float(stream.readline(_LINE).partition(b" ")[0])
        return 0.0

    def _remove(self, name: str) -> bool:
        """Delete what is stored under a name, if its window is over."""
        path = self.folder / name
        with self._of(name):
            if abs(self.clock() - self._begun(name)) < self.window:
                return False
            with self._lock:
                self._came.pop(name, None)
            if not name.startswith(_GONE):
                size, path = _bytes(path), self.folder / f"{_GONE}{name}"
                with suppress(FileNotFoundError):
                    (self.folder / name).replace(path)
                    self._count(-size)
        if path.is_dir():
            # what an earlier version kept
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        return True

    def _of(self, name: str) -> threading.Lock:
        return self._locks[hash(name) % _LOCKS]

    def _count(self, size: int) -> None:
        with self._lock:
            self._bytes = max(0, self._bytes + size)


def _same(found: Stored, digest: str) -> Stored:
    if found.digest != digest:
        raise Refusal(OTHER_REQUEST, "another request had this idempotency key", hint="use a new key")
    return found


def _bytes(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0
