"""The container of all bytes: what is packed comes back, and nothing that ``pack`` does not write is opened."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import pytest

from slotlang_runtime.errors import Rejected
from slotlang_runtime.wire import Box, pack, unpack

LABEL: dict[str, Any] = {"degree": 4096, "name": "é", "list": [1, 2]}
RECORDS: dict[str, bytes | None] = {"a": b"one", "b": None, "('Y', 1)": b"", "c": bytes(range(256))}


def sealed(body: bytes, kind: bytes = b"inputs", magic: bytes = b"SLOTBOX4") -> bytes:
    """A container around any body, with the right length and checksum."""
    head = struct.pack("<8s16sQ32s", magic, kind, len(body), hashlib.sha256(body).digest())
    return head + body


def body(label: bytes = b"{}", *records: bytes, count: int | None = None) -> bytes:
    entries = struct.pack("<I", len(records) if count is None else count) + b"".join(records)
    return struct.pack("<I", len(label)) + label + entries


def record(name: bytes, content: bytes, size: int | None = None) -> bytes:
    return struct.pack("<HQ", len(name), len(content) if size is None else size) + name + content


def plain(box: Box) -> dict[str, bytes | None]:
    return {name: None if content is None else bytes(content) for name, content in box.records.items()}


def test_what_is_packed_comes_back() -> None:
    data = pack("inputs", LABEL, RECORDS)
    for form in (data, bytearray(data), memoryview(data)):
        box = unpack("inputs", form)
        assert (box.kind, dict(box.label), plain(box)) == ("inputs", LABEL, RECORDS)
    assert list(unpack("inputs", data).records) == list(RECORDS)


def test_the_same_content_is_the_same_bytes() -> None:
    assert pack("inputs", LABEL, RECORDS) == pack("inputs", dict(reversed(LABEL.items())), RECORDS)
    assert pack("inputs", LABEL, RECORDS) == sealed(
        body(b'{"degree":4096,"list":[1,2],"name":"\\u00e9"}', *(
            record(name.encode(), content or b"", (1 << 64) - 1 if content is None else None)
            for name, content in RECORDS.items()
        ))
    )  # fmt: skip


def test_bytes_that_can_change_are_copied_first() -> None:
    data = bytearray(pack("inputs", LABEL, RECORDS))
    box = unpack("inputs", data)
    data[:] = bytes(len(data))
    assert plain(box) == RECORDS


def test_records_by_name() -> None:
    box = unpack("inputs", pack("inputs", LABEL, RECORDS))
    wanted = ["c", "('Y', 1)", "b", "a"]
    assert [r if r is None else bytes(r) for r in box.exactly(iter(wanted))] == [bytes(range(256)), b"", None, b"one"]
    with pytest.raises(Rejected, match="d is missing from these inputs"):
        box.exactly([*wanted, "d"])
    with pytest.raises(Rejected, match="unexpected c among these inputs"):
        box.exactly(wanted[1:])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "these bytes are not inputs of a slot program"),
        (sealed(body(), magic=b"SLOTBIX3"), "these bytes are not inputs of a slot program"),
        (sealed(body())[:63], "these bytes are not inputs of a slot program"),
        (sealed(body(), magic=b"SLOTBOX5"), "these bytes are version 5 of the format; this is 4"),
        (sealed(body(), magic=b"SLOTBOX\xff"), "these bytes are version \ufffd of the format; this is 4"),
        (sealed(body(), b"results"), "expected inputs, got results"),
        (sealed(body(), b"\xff" * 16), "expected inputs, got " + "\ufffd" * 16),
        (sealed(body())[:-1], "these inputs are truncated: 9 of 10 bytes"),
        (sealed(body()) + b"x", "these inputs are truncated: 11 of 10 bytes"),
        (sealed(body())[:-1] + b"x", "these inputs are damaged: the checksum does not match"),
    ],
)
def test_heads(data: bytes, message: str) -> None:
    with pytest.raises(Rejected) as refused:
        unpack("inputs", data)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    "inside",
    [
        b"",
        body(b""),
        body(b"[]"),
        body(b"null"),
        body(b"{ }"),  # not as it is written
        body(b'{"b":1,"a":2}'),
        body(b'{"a":1,"a":1}'),
        body(b'{"a":"\xc3\xa9"}'),
        body(b"\xff\xfe"),
        body(b"{" + b'"a":[' * 100_000),
        body(b'{"a":1' + b"0" * 5000 + b"}"),
        struct.pack("<I", 1 << 31) + b"{}",
        body(b'{"a":"' + b"x" * (1 << 20) + b'"}'),  # too long
        body(b"{}", count=1),
        body(b"{}", count=(1 << 32) - 1),
        body(b"{}", record(b"a", b"x"), record(b"a", b"x")),
        body(b"{}", record(b"a", b"x", 2)),
        body(b"{}", record(b"a", b"x", (1 << 64) - 2)),
        body(b"{}", record(b"\xff", b"x")),
        body(b"{}", record(b"a", b"x")[:5]),
    ],
    ids=range(20),
)
def test_bodies_that_are_never_written(inside: bytes) -> None:
    with pytest.raises(Rejected, match=r"these inputs are damaged$"):
        unpack("inputs", sealed(inside))


def test_bytes_behind_the_records() -> None:
    with pytest.raises(Rejected, match="bytes left over behind these inputs"):
        unpack("inputs", sealed(body(b"{}", record(b"a", b"x")) + b"y"))


@pytest.mark.parametrize("thing", ["text", None, 5, [1], object()])
def test_other_types(thing: Any) -> None:
    with pytest.raises(Rejected, match=f"inputs are bytes, not {type(thing).__name__}"):
        unpack("inputs", thing)
