"""The name of a kernel, and how several are put into a file."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_HEAD = struct.Struct("<HHHI")


class Entry(NamedTuple):
    """A kernel, and the number of words it takes. ``split``: its work can be split into parts; its object code then
    takes where the words stand, the number of a part, and how many there are."""

    name: str
    words: int
    split: bool = False


def packed(code: Mapping[Entry, bytes]) -> bytes:
    """What kernels have, one after another."""
    return b"".join(
        _HEAD.pack(len(entry.name), entry.words, entry.split, len(data)) + entry.name.encode() + data
        for entry, data in code.items()
    )


def unpacked(data: bytes) -> Iterator[tuple[Entry, bytes]]:
    """What ``packed`` was given."""
    at = 0
    while at < len(data):
        name, words, split, size = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        yield Entry(data[at : at + name].decode(), words, split > 0), data[at + name : at + name + size]
        at += name + size
