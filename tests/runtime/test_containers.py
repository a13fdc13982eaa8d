"""The checksums of containers, and of those that hold containers."""

from __future__ import annotations

import struct

import pytest

from slotlang_runtime.checksums import checksum
from slotlang_runtime.errors import Rejected
from slotlang_runtime.wire import check_inside, pack, unpack

HEAD = 48
INNER = pack("inputs", {"upload": "x"}, {"0": bytes(range(200)), "1": None})
LABEL = {"items": [1, 2]}


def body_of(label: bytes, records: list[tuple[bytes, bytes]], contents: list[bytes]) -> bytes:
    """What follows the head, as docs/bytes.md has it; ``contents``: what stands in the place of each record's."""
    out = struct.pack("<I", len(label)) + label + struct.pack("<I", len(records))
    for (name, data), content in zip(records, contents, strict=True):
        out += struct.pack("<HQ", len(name), len(data)) + name + content
    return out


@pytest.mark.parametrize("kind", ["requests", "answer"])
def test_containers_inside_count_by_their_heads(kind: str) -> None:
    records = [(b"u0", INNER), (b"u1", b"other bytes"), (b"u2", INNER)]
    data = pack(kind, LABEL, {name.decode(): content for name, content in records})
    contents = [content for _, content in records]
    label = b'{"items":[1,2]}'
    assert data[HEAD:] == body_of(label, records, contents)
    heads = [INNER[:HEAD], b"other bytes", INNER[:HEAD]]
    assert data[32:HEAD] == checksum(body_of(label, records, heads))
    check_inside(unpack(kind, data))


def test_all_other_kinds_count_whole() -> None:
    data = pack("client", LABEL, {"program a": INNER})
    assert data[32:HEAD] == checksum(data[HEAD:])


def test_what_only_looks_like_a_container_counts_whole() -> None:
    for record in (INNER + b"\0", INNER[:-1], INNER[:HEAD], b"SLOTBOX4" + INNER[8:], b"SLOTBOX5"):
        data = pack("answer", LABEL, {"results": record})
        assert data[32:HEAD] == checksum(data[HEAD:])


def test_every_bit_is_checked_outside_or_inside() -> None:
    data = bytearray(pack("answer", LABEL, {"results": INNER, "more": b"of other bytes"}))
    inside = bytes(data).index(INNER) + HEAD
    for place in range(len(data)):
        data[place] ^= 1 << place % 8
        with pytest.raises(Rejected):
            box = unpack("answer", bytes(data))
            # only what stands behind the head of a container gets here
            assert inside <= place < inside + len(INNER) - HEAD
            with pytest.raises(Rejected):
                unpack("inputs", box.records["results"])
            check_inside(box)
        data[place] ^= 1 << place % 8


@pytest.mark.parametrize("cut", range(0, 150, 7))
def test_lengths_that_lead_out_of_the_bytes_are_refused(cut: int) -> None:
    whole = pack("requests", LABEL, {"u0": INNER})
    body = bytearray(whole[HEAD : len(whole) - cut])
    for place, form in ((0, "<I"), (4 + 15, "<I"), (4 + 15 + 4, "<H"), (4 + 15 + 6, "<Q")):
        bad = bytearray(body)
        struct.pack_into(form, bad, place, 256 ** struct.calcsize(form) - 2)
        sealed = struct.pack("<8s16sQ16s", b"SLOTBOX5", b"requests", len(bad), checksum(bad)) + bad
        with pytest.raises(Rejected):
            unpack("requests", bytes(sealed))
