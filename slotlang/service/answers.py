"""Answers that were given, kept for a while: a request that comes again gets the same bytes, and no second evaluation.

Two evaluations of one upload have different masks, and their mean hides less. So a part of an answer is stored before
any of it is sent, and a request is known by tenant, session and idempotency key; another request under the same key is
refused. Parts lie in files, so that this holds over a restart too.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from slotlang.files import write_whole
from slotlang.service.problems import BUSY, OTHER_REQUEST, Refusal


class Answers:
    """Stored answers. ``window``: seconds for which each is kept, from its request on; ``limit``: bytes of all of
    them, beyond which no new request is taken until some have expired."""

    def __init__(
        self, folder: Path, window: float, limit: int = 1 << 34, clock: Callable[[], float] = time.time
    ) -> None:
        self.folder, self.window, self.limit, self.clock = folder, window, limit, clock
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._bytes = sum(map(_bytes, folder.iterdir()))

    @property
    def size(self) -> int:
        """Bytes that are stored now."""
        return self._bytes

    def begin(self, tenant: str, session: str, key: str, body: bytes) -> Path:
        """The folder of a request's answer. Raises Refusal SL576 where another request had its key."""
        name = hashlib.sha256("\n".join((tenant, session, key)).encode()).hexdigest()[:40]
        folder, digest = self.folder / name, hashlib.sha256(body).hexdigest()
        for _ in range(3):
            folder.mkdir(mode=0o700, exist_ok=True)
            with suppress(FileNotFoundError):
                if self._begun(folder) != digest:
                    raise Refusal(OTHER_REQUEST, "another request had this idempotency key", hint="use a new key")
                return folder
            if self._bytes >= self.limit:
                folder.rmdir()
                raise Refusal(BUSY, "the service keeps as many answers as it may", retry_after=min(self.window, 30.0))
            with suppress(FileNotFoundError):
                # the folder may just have expired
                write_whole(folder / "request", f"{self.clock()} {digest}".encode(), 0o600)
        return folder

    @staticmethod
    def _begun(folder: Path) -> str:
        return (folder / "request").read_text().rpartition(" ")[2]

    @staticmethod
    def part(folder: Path, number: int) -> bytes | None:
        """A part that is stored; None where it is not."""
        try:
            return (folder / str(number)).read_bytes()
        except FileNotFoundError:
            return None

    def store(self, folder: Path, number: int, data: bytes) -> None:
        """Store a part, whole or not at all."""
        write_whole(folder / str(number), data, 0o600)
        with self._lock:
            self._bytes += len(data)

    def expire(self) -> int:
        """Delete answers whose window is over; their number."""
        gone = 0
        for folder in list(self.folder.iterdir()):
            begun = 0.0
            with suppress(OSError, ValueError):
                begun = float((folder / "request").read_text().partition(" ")[0])
            if begun + self.window <= self.clock():
                size = _bytes(folder)
                shutil.rmtree(folder, ignore_errors=True)
                with self._lock:
                    self._bytes = max(0, self._bytes - size)
                gone += 1
        return gone

    def forget(self, folder: Path) -> None:
        """Delete an answer nothing of which was sent."""
        with suppress(OSError):
            if [path.name for path in folder.iterdir()] == ["request"]:
                shutil.rmtree(folder, ignore_errors=True)


def _bytes(folder: Path) -> int:
    with suppress(OSError):
        return sum(path.stat().st_size for path in folder.iterdir() if path.name != "request")
    return 0
