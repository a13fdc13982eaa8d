"""The checksums of containers, and of those that hold containers."""

from __future__ import annotations

import struct

import pytest

from slotlang_runtime.checksums import checksum
from slotlang_runtime.errors import Rejected
from slotlang_runtime.wire import Box, check_inside, pack, unpack

HEAD = 48
INNER = pack("inputs", {"upload": "x"}, {"0": bytes(range(200)), "1": None})
LABEL = {"items": [1, 2]}


def body_of(label: bytes, records: list[tuple[bytes, bytes]], contents: list[bytes]) -> bytes:
    """What follows the head, as docs/bytes.md has it; ``contents``: what stands in the place of each record's."""
    pieces = [struct.pack("<I", len(label)) + label + struct.pack("<I", len(records))]
    for (name, data), content in zip(records, contents, strict=True):
        pieces += [struct.pack("<HQ", len(name), len(data)) + name, content]
    return b"".join(pieces)


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


def sealed(kind: str, body: bytes) -> bytes:
    """A container of a body of which no record is a container."""
    return struct.pack("<8s16sQ16s", b"SLOTBOX5", kind.encode(), len(body), checksum(body)) + body


@pytest.mark.parametrize("text", [b'"\\ud800"', b'["\\udc00"]', b'{"\\ud800":1}'])
def test_half_of_a_character_is_no_text_of_a_label(text: bytes) -> None:
    # a message that named it could not be sent
    label = b'{"items":' + text + b"}"
    with pytest.raises(Rejected, match="damaged"):
        unpack("inputs", sealed("inputs", body_of(label, [], [])))
    label = b'{"items":"\\ud83d\\ude00"}'
    assert unpack("inputs", sealed("inputs", body_of(label, [], []))).label == {"items": "\U0001f600"}


@pytest.mark.parametrize(("kind", "most"), [("requests", 1 << 12), ("answer", 1 << 12), ("inputs", 1 << 18)])
def test_more_records_than_there_can_be_are_refused(kind: str, most: int) -> None:
    names = [b"%06d" % number for number in range(most + 1)]
    empty = [(name, b"") for name in names]
    assert len(unpack(kind, sealed(kind, body_of(b"{}", empty[1:], [b""] * most))).records) == most
    with pytest.raises(Rejected, match="damaged"):
        unpack(kind, sealed(kind, body_of(b"{}", empty, [b""] * len(empty))))
    # a program of many plaintexts has them all
    assert len(unpack("weights", sealed("weights", body_of(b"{}", empty, [b""] * len(empty)))).records) == most + 1


@pytest.mark.parametrize("checked", [True, False])
def test_a_request_of_many_records_is_not_walked_through(checked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither before its checksum is checked, nor after that."""
    walked = list[int]()

    def counted(form: str, *given: object) -> tuple[int, ...]:
        walked.append(struct.calcsize(form))
        return unpack_from(form, *given)  # type: ignore[arg-type]

    unpack_from = struct.unpack_from
    data = sealed("requests", body_of(b"{}", [(b"", b"")] * 100_000, [b""] * 100_000))
    if not checked:
        data = data[:-1] + b"\x01"
    monkeypatch.setattr(struct, "unpack_from", counted)
    with pytest.raises(Rejected):
        unpack("requests", data)
    assert len(walked) < 10


class Name(str):
    """A name that counts how often it is looked up."""

    lookups = 0

    def __hash__(self) -> int:
        Name.lookups += 1
        return super().__hash__()


def test_records_are_looked_up_once_each() -> None:
    names = [Name(number) for number in range(500)]
    box = Box("inputs", {}, dict.fromkeys(map(str, names)))
    Name.lookups = 0
    assert box.exactly(names) == [None] * 500
    assert 500 <= Name.lookups <= 5 * 500
