"""The bytes of requests and answers, for both sides: containers of the runtime (docs/protocol.md).

A request is one container ``requests``: the label names adapter, version and items, the records are uploads. An answer
is a stream of frames, each 8 bytes of length (little-endian) and a container: ``answer`` for each item in order, then
``end``; or ``problem``, after which nothing comes.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from slotlang.service.fields import Fields, Wrong
from slotlang_runtime.errors import BAD_RANKS, Rejected
from slotlang_runtime.ranks import checked_ranks
from slotlang_runtime.wire import HEAD_BYTES, Box, pack, pieces_of, unpack

VERSION = 1
HEADER = "Slotlang-Protocol"
ADAPTER_HEADER = "Slotlang-Adapter"
KEY_HEADER = "Idempotency-Key"
BINARY = "application/octet-stream"

IDEMPOTENCY_KEY = re.compile(r"[A-Za-z0-9_-]{16,100}")
SESSION_ID = re.compile(r"[A-Za-z0-9_-]{22}")
MOST_ITEMS = 4096
MOST_MODULES, MOST_NAME = 4096, 1024
"""Modules that an item names, and characters of each name."""
MOST_RANKS = 1 << 16

LENGTH = struct.Struct("<Q")
MOST_FRAME = 1 << 28
_SMALL, _SMALL_LABEL = 1 << 20, 1 << 14
"""Bytes of a request, and of its label, that are read in less time than a thread takes to be asked."""


Ranks: TypeAlias = Mapping[str, tuple[int, ...]]
"""By module, the ranks that are on, ascending."""


def ranks_json(ranks: Ranks) -> dict[str, list[int]]:
    """Plain data."""
    return {module: list(on) for module, on in ranks.items()}


@dataclass(frozen=True)
class Item:
    """One evaluation: the record that holds its upload, and the modules, all of one group, whose updates are meant.
    ``ranks``: of some of these modules the ranks that are on; of all others all are."""

    upload: str
    modules: tuple[str, ...]
    ranks: Ranks = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain data, as in a request."""
        values: dict[str, Any] = {"upload": self.upload, "modules": list(self.modules)}
        return {**values, "ranks": ranks_json(self.ranks)} if self.ranks else values

    @classmethod
    def of(cls, part: Fields) -> Item:
        """From plain data, its form checked. Raises Wrong, and Rejected for what is no ranks."""
        if strange := sorted(part.values.keys() - {"upload", "modules", "ranks"}):
            raise Wrong(f"an item has upload, modules and ranks, and not {strange[0]!r:.40}")
        if (count := part.count("modules")) > MOST_MODULES:
            raise Wrong(f"an item names at most {MOST_MODULES} modules, not {count}")
        modules, ranks = tuple(part.text_list("modules")), dict[str, tuple[int, ...]]()
        if any(len(module) > MOST_NAME for module in modules):
            raise Wrong(f"a module's name has at most {MOST_NAME} characters")
        named = set(modules)
        if not modules or len(named) != len(modules):
            raise Wrong("an item names no module, or one twice")
        given = part.part("ranks").values if "ranks" in part.values else {}
        for module, on in given.items():
            if module not in named:
                raise Rejected(f"an item has ranks of {module!r:.200}, and does not ask for its update", BAD_RANKS)
            ranks[module] = checked_ranks(module, on, MOST_RANKS)
        return cls(part.text("upload"), modules, ranks)


@dataclass(frozen=True)
class Request:
    """What is asked of one version of an adapter. Two items may have one upload."""

    adapter: str
    version: str
    items: tuple[Item, ...]
    uploads: Mapping[str, bytes | memoryview] = field(repr=False)

    def to_bytes(self) -> bytes:
        """The body of the request."""
        items = [item.to_json() for item in self.items]
        label = {"adapter": self.adapter, "version": self.version, "items": items}
        return pack("requests", label, self.uploads)

    @classmethod
    def from_bytes(cls, data: bytes) -> Request:
        """The request of a body, its form checked. Raises Rejected and Wrong."""
        box = unpack("requests", data)
        label = Fields(dict(box.label))
        if set(label.values) != {"adapter", "version", "items"}:
            raise Wrong("a request has adapter, version and items")
        if not 0 < (count := label.count("items")) <= MOST_ITEMS:
            raise Wrong(f"a request has 1 to {MOST_ITEMS} items, not {count}")
        items = []
        for part in label.parts("items"):
            item = Item.of(part)
            if box.records.get(item.upload) is None:
                raise Wrong(f"an item names the upload {item.upload!r:.40}, which is not there")
            items.append(item)
        if set(box.records) != {item.upload for item in items}:
            raise Wrong("a request has uploads that no item names")
        uploads = {name: record for name, record in box.records.items() if record is not None}
        return cls(label.text("adapter"), label.text("version"), tuple(items), uploads)


def is_small(data: bytes) -> bool:
    """Whether the bytes of a request are read in a moment. A label is text, and takes a hundred times as long."""
    label = data[HEAD_BYTES : HEAD_BYTES + 4]
    return len(data) <= _SMALL and int.from_bytes(label, "little") <= _SMALL_LABEL


def frame(
    kind: str, label: Mapping[str, Any], records: Mapping[str, bytes] | None = None, behind: bytes = b""
) -> bytes:
    """One frame of an answer, and what comes ``behind`` it."""
    pieces = pieces_of(kind, label, records or {})
    return b"".join([LENGTH.pack(sum(map(len, pieces))), *pieces, behind])


def answer_label(adapter: str, version: str, number: int, item: Item) -> dict[str, Any]:
    """What the answer to an item says it is: with the ranks, where some were asked for."""
    label: dict[str, Any] = {"adapter": adapter, "version": version, "item": number, "modules": list(item.modules)}
    return {**label, "ranks": ranks_json(item.ranks)} if item.ranks else label


def answer_frame(adapter: str, version: str, number: int, item: Item, results: bytes, behind: bytes = b"") -> bytes:
    """The results of an item, and what comes ``behind`` them."""
    return frame("answer", answer_label(adapter, version, number, item), {"results": results}, behind)


class Frames:
    """Frames from a stream, as its bytes come, each of at most ``most`` bytes. Raises Rejected and Wrong for anything
    that is not one."""

    def __init__(self, most: int = MOST_FRAME) -> None:
        self._most = min(most, MOST_FRAME)
        self._held: list[bytes] = []
        self._size, self._needed = 0, LENGTH.size

    def take(self, data: bytes) -> list[tuple[str, Box]]:
        """The kinds and containers of the frames that these bytes complete."""
        self._held.append(data)
        self._size += len(data)
        found: list[tuple[str, Box]] = []
        if self._size < self._needed:
            return found
        # one copy of all that came, and none where it came at once: frames are parts of it
        whole = data if len(self._held) == 1 else b"".join(self._held)
        at, view = 0, memoryview(whole)
        self._needed = LENGTH.size
        while len(whole) - at >= LENGTH.size:
            (size,) = LENGTH.unpack_from(whole, at)
            if size > self._most:
                raise Wrong("a frame is too long")
            if len(whole) - at < LENGTH.size + size:
                self._needed = LENGTH.size + size
                break
            start, at = at + LENGTH.size, at + LENGTH.size + size
            kind = whole[start + 8 : start + 24].rstrip(b"\0").decode("ascii", "replace")
            if kind not in ("answer", "end", "problem"):
                raise Wrong(f"a frame is of kind {kind!r:.30}")
            found.append((kind, unpack(kind, view[start:at])))
        self._held = [whole[at:]]
        self._size = len(whole) - at
        return found
