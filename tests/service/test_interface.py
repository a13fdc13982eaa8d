"""A program as data for clients: what it says is what the module does, and what is damaged is refused."""

from __future__ import annotations

import json
import zlib
from typing import Any

import numpy as np
import pytest
from repository import ROOT
from served import SIZES

from slotlang.api import load, loads, lower
from slotlang.emit.loaded import load_module
from slotlang.service.fields import Wrong
from slotlang.service.interface import interface, interface_bytes
from slotlang.service.protocol import (
    LENGTH,
    MOST_ITEMS,
    MOST_MODULES,
    MOST_NAME,
    Frames,
    Item,
    Request,
    answer_frame,
    frame,
    is_small,
)
from slotlang_runtime import Client, EvaluationKeys, Rejected, Server, Weights
from slotlang_runtime.data import random_data
from slotlang_runtime.module import Module
from slotlang_runtime.wire import pack, unpack

PROGRAMS: dict[str, dict[str, int]] = {
    "rank_complex": SIZES,
    "several_outputs": {},
    "two_tokens": {},
}


def emitted(name: str) -> Module:
    return load_module(lower(load(str(ROOT / f"programs/{name}.slot"), PROGRAMS[name])).text)


@pytest.mark.parametrize("name", PROGRAMS)
def test_tables_say_what_functions_do(name: str) -> None:
    module = emitted(name)
    known = interface(interface_bytes(module))
    inputs, _ = random_data(module, 1)
    for (member, (function, index)), (same, (other, index_too)) in zip(
        module.packed().items(), known.packed().items(), strict=True
    ):
        assert (member, index) == (same, index_too)
        assert (np.broadcast_to(function(inputs, *index), module.slots) == other(inputs, *index)).all()
    rng = np.random.default_rng(0)
    values = {n: rng.standard_normal(module.slots) + 1j * rng.standard_normal(module.slots) for n in module.returned()}
    theirs = known.collect(values)
    for result, value in module.collect(values).items():
        assert (theirs[result] == value).all()
    assert {n: r.tolist() for n, r in known.read.items()} == {n: r.tolist() for n, r in module.read.items()}
    # the digest, computed from the tables, is the module's
    assert Module.packing_digest.func(known) == known.packing_digest == module.packing_digest  # type: ignore[attr-defined]
    assert known.identity == module.identity and known.parameters == module.parameters


def test_a_client_of_the_data_understands_a_server_of_the_module() -> None:
    module = emitted("rank_complex")
    client = Client(interface(interface_bytes(module)))
    inputs, weights = random_data(module, 2)
    keys = EvaluationKeys.from_bytes(client.evaluation_keys())
    answer = Server(Weights.encode(module, **weights)).evaluate(client.encrypt(**inputs), keys)
    assert np.abs(client.decrypt(answer.data) - module.reference(inputs, weights)["y"]).max() < 1e-6
    with pytest.raises(Rejected, match="can't evaluate"):
        client.module.evaluate(None, {}, {})


def test_sizes_of_weights_are_left_out() -> None:
    module = emitted("rank_complex")
    object.__setattr__(module, "sizes", {"A": 0.1234, "x": 2.0})
    data = interface_bytes(module)
    assert b"0.1234" not in data and interface(data).sizes == {"x": 2.0}


def test_a_packing_that_is_more_than_a_choice_is_not_served() -> None:
    text = (ROOT / "programs/rank_complex.slot").read_text().replace("cipher X[c < K] = x[", "cipher X[c < K] = 2*x[")
    text = text.replace("plain  W[q < R, c < K] = B[", "plain  W[q < R, c < K] = 0.5*B[").replace(
        "+ 1i * B[", "+ 0.5i * B["
    )
    module = load_module(lower(loads(text, SIZES)).text)
    with pytest.raises(Rejected, match="more than a choice"):
        interface_bytes(module)


def changed(edit: Any) -> bytes:
    box = unpack("program", interface_bytes(emitted("rank_complex")))
    label, records = json.loads(json.dumps(box.label)), {n: bytes(r or b"") for n, r in box.records.items()}
    edit(label, records)
    return pack("program", label, records)


def table(values: Any) -> bytes:
    return zlib.compress(np.diff(np.asarray(values, "<i4"), prepend=np.int32(0)).astype("<i4").tobytes())


EDITS: dict[str, Any] = {
    "a table that is gone": lambda o, r: r.pop("pack X"),
    "a table too many": lambda o, r: r.update(more=b""),
    "a table that is no zlib": lambda o, r: r.update({"pack X": b"x"}),
    "a table that is too short": lambda o, r: r.update({"pack X": table(np.zeros(127, int))}),
    "a table that grows": lambda o, r: r.update({"pack X": zlib.compress(bytes(1 << 24))}),
    "an element that is not there": lambda o, r: r.update({"pack X": table(np.full(128, 64))}),
    "an element below": lambda o, r: r.update({"unpack 0": table(np.full(64, -2))}),
    "a ring below 128 bits": lambda o, r: o["parameters"].update(prime_bits=[60] * 4),
    "a ring that is none": lambda o, r: o["parameters"].update(degree=1 << 40),
    "slots beyond the ring": lambda o, r: o.update(slots=1 << 30),
    "a size that is enormous": lambda o, r: o["inputs"].update(x=[1 << 40, 2]),
    "a size below one": lambda o, r: o["inputs"].update(x=[0, 2]),
    "a part that is none": lambda o, r: o["outputs"][0].update(part="both"),
    "a result that is not there": lambda o, r: o["outputs"][0].update(name="z"),
    "members that are missing": lambda o, r: o["outputs"][0].update(members=[]),
    "limits that are text": lambda o, r: o["limits"].update(x=["a", "b"]),
    "something missing": lambda o, r: o.pop("sent"),
}


@pytest.mark.parametrize("name", EDITS)
def test_damaged_interfaces_are_refused(name: str) -> None:
    with pytest.raises(Rejected):
        interface(changed(EDITS[name]))


def test_frames_come_in_any_pieces() -> None:
    data = answer_frame("a", "v", 0, Item("u", ("m",)), b"results") + frame("end", {"items": 1})
    for size in (1, 7, 8, 50, len(data)):
        frames = Frames()
        found = [f for at in range(0, len(data), size) for f in frames.take(data[at : at + size])]
        assert [kind for kind, _ in found] == ["answer", "end"]
        assert bytes(found[0][1].records["results"] or b"") == b"results"


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(Wrong, match="too long"):
        Frames().take(LENGTH.pack(1 << 40))
    with pytest.raises(Wrong, match="of kind"):
        Frames().take(frame("weights", {}))
    with pytest.raises(Rejected):
        Frames().take(LENGTH.pack(100) + pack("end", {}, {})[:24] + bytes(76))


def test_a_request_is_read_as_it_was_written() -> None:
    request = Request("a", "v", (Item("0", ("m", "n")), Item("0", ("o",))), {"0": b"upload"})
    read = Request.from_bytes(request.to_bytes())
    assert (read.adapter, read.version, read.items) == ("a", "v", request.items)
    assert bytes(read.uploads["0"]) == b"upload"


@pytest.mark.parametrize(
    ("items", "why"),
    [
        # each is refused by its count, before an entry is read: these would be refused for another reason
        ([0] * (MOST_ITEMS + 1), "1 to 4096 items, not 4097"),
        ([], "1 to 4096 items, not 0"),
        ([{"upload": "0", "modules": [0] * (MOST_MODULES + 1)}], "at most 4096 modules, not 4097"),
        ([{"upload": "0", "modules": ["m" * (MOST_NAME + 1)]}], "at most 1024 characters"),
    ],
    ids=["items", "none", "modules", "name"],
)
def test_a_request_is_counted_before_it_is_read(items: list[Any], why: str) -> None:
    data = pack("requests", {"adapter": "a", "version": "v", "items": items}, {"0": b"upload"})
    with pytest.raises(Wrong, match=why):
        Request.from_bytes(data)


def test_a_request_that_takes_long_to_read_is_not_small() -> None:
    def size(items: int, upload: int) -> bool:
        request = Request("a", "v", tuple(Item("0", (f"m{n}",)) for n in range(items)), {"0": bytes(upload)})
        return is_small(request.to_bytes())

    assert size(1, 100) and size(100, 1 << 19)
    assert not size(1, 1 << 20) and not size(1000, 100)
    assert is_small(b"")
