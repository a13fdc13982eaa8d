"""Files that hold parts of many answers: a head and bytes for each part, appended by one write.

A process that ends while it writes leaves half a part at a file's end. A walk over the heads ends there, or at a
damaged head. A head has a checksum, so that a walk goes from part to part and nowhere else; the bytes of a part are
for their reader to check. Only the process that made a file appends to it.
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from slotlang_runtime.amounts import count_of

_MARK = b"SLOTPART"
_FIELDS = struct.Struct("<8sd40s64sIQ")
"""Of a head: a mark, the fields of ``Head``; then comes a checksum."""
_CHECK = 16
HEAD = _FIELDS.size + _CHECK
"""Bytes of a head."""


class Head(NamedTuple):
    """What is said of a part. ``begun``: when its request first came; ``name``, at most 40 bytes, and ``digest``, at
    most 64: of the request; ``number``: of the part, which has ``size`` bytes."""

    begun: float
    name: str
    digest: str
    number: int
    size: int

    def to_bytes(self) -> bytes:
        """The bytes that stand before the part."""
        name, digest = self.name.encode(), self.digest.encode()
        fields = _FIELDS.pack(_MARK, self.begun, name, digest, self.number, self.size)
        return fields + _checksum(fields)

    @classmethod
    def from_bytes(cls, data: bytes) -> Head | None:
        """None of bytes that are no head."""
        fields = data[: _FIELDS.size]
        if len(data) < HEAD or not data.startswith(_MARK) or data[_FIELDS.size :] != _checksum(fields):
            return None
        _, begun, name, digest, number, size = _FIELDS.unpack(fields)
        return cls(begun, name.rstrip(b"\0").decode(), digest.rstrip(b"\0").decode(), number, size)


@dataclass(eq=False, slots=True)
class Segment:
    """A file with parts. ``made``: when; ``open``: it takes more; ``going``: somebody deletes it; ``size``: bytes;
    ``torn``: half a part is at its end, behind which nothing would be found. ``first`` and ``last``: when the requests
    of its parts came; ``names`` of these requests, which are all one tenant's: ``tenant``."""

    path: str
    made: float = 0.0
    tenant: str = ""
    open: bool = False
    going: bool = False
    size: int = 0
    torn: bool = False
    first: float = math.inf
    last: float = -math.inf
    names: list[str] = field(default_factory=list)

    @classmethod
    def create(cls, path: str, made: float, tenant: str) -> Segment:
        """A new one. Raises OSError."""
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        return cls(path, made, tenant, open=True)

    def append(self, head: Head, data: bytes | memoryview) -> int:
        """Append a part, whole or not at all; where it begins. By one thread at a time. Raises OSError; then it may be
        ``torn``, and its ``size`` counts what is there of the part."""
        before, size = self.size, HEAD + head.size
        # many tenants have a segment that takes parts, and each would hold a descriptor
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            if os.writev(descriptor, [head.to_bytes(), data]) != size:
                raise OSError(errno.ENOSPC, f"there is no room for a part of {count_of(size, 'byte')}")
        except OSError:
            try:
                os.ftruncate(descriptor, before)
            except OSError:
                self.torn = True
                with suppress(OSError):
                    self.size = os.fstat(descriptor).st_size
            raise
        finally:
            os.close(descriptor)
        self.size += size
        return before

    def read(self, at: int, head: Head) -> bytes | None:
        """The bytes of the part with this head; None where they are not there. Raises OSError."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            if os.pread(descriptor, HEAD, at) != head.to_bytes():
                return None
            data = os.pread(descriptor, head.size, at + HEAD)
        finally:
            os.close(descriptor)
        return data if len(data) == head.size else None

    def walk(self) -> Iterator[tuple[int, Head]]:
        """Where the whole parts are, with their heads, up to the first that is not whole. Raises OSError."""
        at = 0
        with Path(self.path).open("rb", buffering=0) as stream:
            while (head := Head.from_bytes(stream.read(HEAD))) is not None and at + HEAD + head.size <= self.size:
                yield at, head
                at += HEAD + head.size
                stream.seek(at)

    def cut(self, size: int) -> None:
        """Delete the file, or all but its first bytes. Raises OSError."""
        if size:
            os.truncate(self.path, size)
        else:
            Path(self.path).unlink(missing_ok=True)
        self.size = size


def _checksum(fields: bytes) -> bytes:
    return hashlib.blake2b(fields, digest_size=_CHECK).digest()
