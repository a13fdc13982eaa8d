"""The container of all bytes that travel or are kept: what it holds, what its records belong to, then the records.

``SLOTBOX5`` (8 bytes), kind (16, padded with zeros), length of the rest (8), checksum of the rest (16), then the rest:
length of the label (4), the label, the number of records (4), and for each record the length of its name (2), that of
its content (8; all ones: there is none), the name and the content. The label is JSON with sorted keys: what the records
belong to. Numbers are little-endian.

Requests to a service and its answers hold containers. In the checksum of these two, a record that is a container counts
by its head, in which its own checksum is: that one is checked when the record is opened, and nothing is read twice.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from slotlang_runtime.amounts import count_of
from slotlang_runtime.checksums import SIZE, checksum
from slotlang_runtime.errors import BYTES_OF_ANOTHER, DAMAGED_BYTES, Rejected

Records: TypeAlias = Mapping[str, bytes | memoryview | None]
Label: TypeAlias = Mapping[str, Any]

_MAGIC = b"SLOTBOX"
_VERSION = b"5"
_HEAD = struct.Struct(f"<8s16sQ{SIZE}s")
HEAD_BYTES = _HEAD.size
"""Bytes of a container's head."""
_ABSENT = 0xFFFFFFFFFFFFFFFF
_LIMIT = 1 << 36
_LABEL_LIMIT = 1 << 20
_OUTER = ("requests", "answer")
"""Kinds in which records that are containers count by their heads."""
_MOST, _MOST_OUTER = 1 << 18, 1 << 12
"""Records of a container, and of one of these kinds. An empty record takes ten times as much memory as bytes."""


@dataclass(frozen=True)
class Box:
    """An opened container: what its records belong to, and the records by name, None where a record has no content."""

    kind: str
    label: Label
    records: Mapping[str, memoryview | None] = field(repr=False)

    def exactly(self, names: Iterable[str]) -> list[memoryview | None]:
        """The records of these names, in this order; Rejected when one is missing, or there are others."""
        wanted = list(names)
        known = set(wanted)
        for name in self.records:
            if name not in known:
                raise Rejected(f"unexpected {name[:60]} among these {self.kind}", DAMAGED_BYTES)
        for name in wanted:
            if name not in self.records:
                raise Rejected(f"{name} is missing from these {self.kind}", DAMAGED_BYTES)
        return [self.records[name] for name in wanted]


def _dumped(label: Label) -> bytes:
    return json.dumps(label, sort_keys=True, separators=(",", ":")).encode()


def pack(kind: str, label: Label, records: Records) -> bytes:
    """A container of records that belong to what the label says."""
    return b"".join(pieces_of(kind, label, records))


def pieces_of(kind: str, label: Label, records: Records) -> list[bytes | memoryview]:
    """The same in pieces, for a caller that puts something before or behind them. Records are not copied."""
    text = _dumped(label)
    assert len(records) <= _most(kind), "a container has too many records"
    pieces: list[bytes | memoryview] = [struct.pack("<I", len(text)), text, struct.pack("<I", len(records))]
    for name, data in records.items():
        key, content = name.encode(), b"" if data is None else data
        pieces += [struct.pack("<HQ", len(key), _ABSENT if data is None else len(content)) + key, content]
    counted = pieces
    if kind in _OUTER:
        counted = [piece[:HEAD_BYTES] if _is_container(piece) else piece for piece in pieces]
    found = checksum(b"".join(counted))
    head = _HEAD.pack(_MAGIC + _VERSION, kind.encode().ljust(16, b"\0"), sum(map(len, pieces)), found)
    return [head, *pieces]


def unpack(kind: str, data: Any) -> Box:
    """Open a container of a kind. Raises Rejected for anything that ``pack`` does not write."""
    try:
        view = memoryview(data).cast("B")
    except TypeError:
        raise Rejected(f"{kind} are bytes, not {type(data).__name__}", DAMAGED_BYTES) from None
    if type(view.obj) is not bytes:
        # records are parts of these bytes, and what is checked must not change before it is used
        view = memoryview(view.tobytes())
    if len(view) < HEAD_BYTES or bytes(view[:7]) != _MAGIC:
        raise Rejected(f"these bytes are not {kind} of a slot program", DAMAGED_BYTES)
    magic, padded, length, given = _HEAD.unpack_from(view)
    if magic[7:] != _VERSION:
        raise Rejected(
            f"these bytes are version {magic[7:].decode('ascii', 'replace')} of the format; this is "
            f"{_VERSION.decode()}",
            BYTES_OF_ANOTHER,
        )
    inside = padded.rstrip(b"\0").decode("ascii", "replace")
    if inside != kind:
        raise Rejected(f"expected {kind}, got {inside}", BYTES_OF_ANOTHER)
    body = view[HEAD_BYTES:]
    if length != len(body) or length > _LIMIT:
        raise Rejected(f"these {kind} are truncated: {len(body):,} of {count_of(length, 'byte')}", DAMAGED_BYTES)
    if checksum_of(kind, body) != given:
        raise Rejected(f"these {kind} are damaged: the checksum does not match", DAMAGED_BYTES)
    try:
        label, at = _label(body)
        records, at = _records(body, at, _most(kind))
    except (struct.error, ValueError, RecursionError):
        raise Rejected(f"these {kind} are damaged", DAMAGED_BYTES) from None
    if at != len(body):
        raise Rejected(f"there are bytes left over behind these {kind}", DAMAGED_BYTES)
    return Box(kind, label, records)


def check_inside(box: Box) -> None:
    """Raise Rejected where a record that is a container is damaged."""
    for record in box.records.values():
        if record is not None and _is_container(record):
            _, _, _, given = _HEAD.unpack_from(record)
            if checksum(record[HEAD_BYTES:]) != given:
                raise Rejected(f"these {box.kind} are damaged: the checksum does not match", DAMAGED_BYTES)


def _is_container(data: bytes | memoryview) -> bool:
    """Whether bytes begin as a container of their length does."""
    if len(data) < HEAD_BYTES or bytes(data[:8]) != _MAGIC + _VERSION:
        return False
    _, _, length, _ = _HEAD.unpack_from(data)
    return bool(length == len(data) - HEAD_BYTES)


def checksum_of(kind: str, body: bytes | memoryview) -> bytes:
    """The checksum that stands in the head of a container of a kind, of what follows the head."""
    body = memoryview(body)
    if kind not in _OUTER:
        return checksum(body)
    counted, at = list[memoryview](), 0
    for start, end in _containers(body):
        counted.append(body[at : start + HEAD_BYTES])
        at = end
    return checksum(b"".join([*counted, body[at:]]))


def given_checksum(data: bytes | memoryview) -> bytes:
    """The checksum that a container's head says, of bytes that begin with a head."""
    return bytes(data[HEAD_BYTES - SIZE : HEAD_BYTES])


def _containers(body: memoryview) -> list[tuple[int, int]]:
    """Where the records are that are containers; none where the records can't be read."""
    try:
        (size,) = struct.unpack_from("<I", body)
        spans = [span for _, span in _walked(body, 4 + size, _MOST_OUTER) if span is not None]
    except (struct.error, ValueError):
        return []
    return [(start, end) for start, end in spans if _is_container(body[start:end])]


def _most(kind: str) -> int:
    """How many records a container of a kind has at most. Weights are no client's: a plaintext each, as many as a
    program has."""
    return _MOST_OUTER if kind in _OUTER else 1 << 32 if kind == "weights" else _MOST


def _label(body: memoryview) -> tuple[dict[str, Any], int]:
    (size,) = struct.unpack_from("<I", body)
    text = bytes(body[4 : 4 + size])
    label = json.loads(text) if size <= _LABEL_LIMIT else None
    if not isinstance(label, dict) or _dumped(label) != text:
        raise ValueError("not a label")
    if b"\\u" in text:
        # messages name what it says: half of a character is an escape in JSON, and no text
        json.dumps(label, ensure_ascii=False).encode()
    return label, 4 + size


def _records(body: memoryview, at: int, most: int) -> tuple[dict[str, memoryview | None], int]:
    records: dict[str, memoryview | None] = {}
    end = at + 4
    for key, span in _walked(body, at, most):
        name = bytes(body[key]).decode()
        if name in records:
            raise ValueError("a record twice")
        records[name] = None if span is None else body[slice(*span)]
        end = key.stop if span is None else span[1]
    return records, end


def _walked(body: memoryview, at: int, most: int) -> Iterator[tuple[slice, tuple[int, int] | None]]:
    """Where names of records and their contents stand, from their number on; None for no content. Raises ValueError for
    more than ``most`` of them."""
    (count,) = struct.unpack_from("<I", body, at)
    if count > most:
        raise ValueError("too many records")
    at += 4
    for _ in range(count):
        key_size, size = struct.unpack_from("<HQ", body, at)
        key = slice(at + 10, at + 10 + key_size)
        at = key.stop
        if size == _ABSENT:
            yield key, None
            continue
        if at + size > len(body):
            raise ValueError("a record ends too early")
        yield key, (at, at + size)
        at += size
