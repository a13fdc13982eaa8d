"""Forged, damaged and foreign bytes for everything that is loaded: run as a program, it prints what became of them.

Each input is either rejected with the runtime's own error, or it is what it claims to be: it means the same as the
genuine bytes, or, where a checksum was made anew after a change, it is a well-formed object of these parameters. A
crash, a hang or another exception is a failure; that is why it runs in a process of its own.
"""

from __future__ import annotations

import io
import json
import random
import struct
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from test_bytes import KINDS, PROGRAM, Sender

from slotlang.adapter import read_adapter
from slotlang.diagnostics import SlotError
from slotlang.run.activations import read_activations
from slotlang_runtime import Client, EvaluationKeys, Rejected, SecretKey, Server, Weights
from slotlang_runtime.checksums import checksum
from slotlang_runtime.data import read_data
from slotlang_runtime.seal import saved
from slotlang_runtime.wire import pack, unpack

Bytes = bytes | bytearray
HEAD = 48
"""Bytes before what the checksum is of."""

SLOWEST = 20.0
"""Seconds that no input may take, on the slowest machine there is."""


def sealed(data: Bytes) -> bytes:
    """With length and checksum made anew, as a forger would."""
    body = bytes(data[HEAD:])
    return bytes(data[:24]) + struct.pack("<Q", len(body)) + checksum(body) + body


def damaged(data: bytes, others: list[bytes], rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """One input of each sort, for ever."""
    while True:
        place = rng.randrange(len(data))
        yield "truncated", data[:place]
        yield "truncated and sealed", sealed(data[: max(place, HEAD)])
        flipped = bytearray(data)
        flipped[place] ^= 1 << rng.randrange(8)
        yield "flipped", bytes(flipped)
        yield "extended", data + rng.randbytes(rng.randrange(1, 64))
        yield "extended and sealed", sealed(data + rng.randbytes(rng.randrange(1, 64)))
        other = rng.choice(others)
        yield "other kind", other
        yield "other kind, head changed", sealed(data[:HEAD] + other[HEAD:])
        yield "noise", rng.randbytes(rng.choice([0, 1, 26, HEAD, 200, 4000]))
        yield "noise behind the head", sealed(data[:HEAD] + rng.randbytes(rng.randrange(400)))
        if len(data) > 800:
            spliced = bytearray(data)
            length, at = rng.randrange(1, 64), rng.randrange(HEAD, len(data) - 64)
            spliced[at : at + length] = rng.randbytes(rng.choice([length, 0, 2 * length]))
            yield "spliced and sealed", sealed(spliced)
            huge = bytearray(data)
            at = HEAD + rng.randrange(700)
            huge[at : at + 8] = rng.choice([b"\xff" * 8, b"\xff" * 7 + b"\x7f", struct.pack("<Q", 1 << 40), bytes(8)])
            yield "huge length", sealed(huge)


def labels(kind: str, data: bytes, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Labels that say something else, or are none."""
    box = unpack(kind, data)
    values = [None, True, 0, -1, 3.5, 1 << 70, "", "x" * 2000, [], [0] * 9, {}, [[]], "4096", [36, 36], 8192]
    # more than a double holds, where numbers stand, and half of a character
    values += [{"x": [10**400] * 2}, {"y": 10**400}, {"x": [[0], 0]}, 10**400, "\ud800"]
    while True:
        label = dict(box.label)
        name = rng.choice(list(label))
        label[name] = rng.choice(values)
        yield "label", pack(kind, label, box.records)
        label = {k: v for k, v in box.label.items() if k != name}
        yield "label without an entry", pack(kind, label, box.records)
        if isinstance(box.label[name], list) and box.label[name]:
            entries = list(box.label[name])
            entries[rng.randrange(len(entries))] = rng.choice([*values, 3, 5, 60, 61])
            yield "label with another number", pack(kind, {**box.label, name: entries}, box.records)


def objects(kind: str, data: bytes, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Changes inside the records, all sealed anew; the secret key's is an object of SEAL, compressed or not."""
    box = unpack(kind, data)
    names = list(box.records)
    records = {name: r for name, r in box.records.items() if r is not None}
    seals = kind == "secret keys"
    bodies = {n: bytes(saved._expanded(r[16:], 1 << 26) if seals else r) for n, r in records.items()}
    marks = [b"fresh\0\0\0", b"whole\0\0\0", b"plain\0\0\0", b"key\0\0\0\0\0", b"half re\0", b"half im\0"]
    fields = [0, 8, 32, 33, 40, 41, 49, 57, 65, 73, 89] if seals else [0, 8, 32, 40, 48, 56, 64, 72, 136]

    def made(name: str, record: bytes | memoryview) -> bytes:
        return pack(kind, box.label, {**dict.fromkeys(names), **records, name: record})

    def bare(body: Bytes, size: int | None = None) -> bytes:
        if not seals:
            return bytes(body) if size is None else bytes(body[:64]) + struct.pack("<Q", size) + bytes(body[72:])
        return saved.header() + struct.pack("<Q", 16 + len(body) if size is None else size) + bytes(body)

    while True:
        name = rng.choice(list(records))
        record, body = bytearray(records[name]), bytearray(bodies[name])
        bit = 1 << rng.randrange(8)
        record[rng.randrange(min(len(record), rng.choice([16, 72, len(record)])))] ^= bit
        yield "bit of a record", made(name, bytes(record))
        body[rng.randrange(min(len(body), rng.choice([130, 400, len(body)])))] ^= bit
        yield "bit of an object", made(name, bare(body))
        cut = rng.randrange(len(bodies[name]))
        yield "object cut off", made(name, bare(bodies[name][:cut]))
        yield "object extended", made(name, bare(bodies[name] + rng.randbytes(rng.randrange(1, 99))))
        yield "object of another length", made(name, bare(bodies[name], rng.choice([0, 16, 1 << 40, (1 << 64) - 1])))
        field, at = bytearray(bodies[name]), rng.choice(fields)
        field[at : at + 8] = rng.choice([bytes(8), b"\xff" * 8, struct.pack("<Q", 1 << 33), struct.pack("<d", np.nan)])
        yield "field of an object", made(name, bare(field))
        yield "another mark", made(name, bare(rng.choice(marks) + bodies[name][8:]))
        yield "another's object", made(name, records[rng.choice(list(records))])
        zeros, at = bytearray(bodies[name]), rng.randrange(len(bodies[name]))
        zeros[at:] = bytes(len(zeros) - at)
        yield "zeros in an object", made(name, bare(zeros))
        ones, at = bytearray(bodies[name]), rng.randrange(len(bodies[name]))
        ones[at : at + 9] = b"\xff" * len(ones[at : at + 9])
        yield "ones in an object", made(name, bare(ones))
        seal = rng.choice([saved.header() + struct.pack("<Q", 16 + 200), b"\x5e\xa1\x10\x04\x00\x02\0\0"])
        yield "an object of SEAL", made(name, seal + rng.randbytes(200))


def arrays(world: Sender, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Damaged .npz files, and .npy members that say they are huge."""
    stream = io.BytesIO()
    np.savez(stream, **world.inputs, **world.weights)
    data = stream.getvalue()
    yield from [("npz as it is", data)]
    for n, (sort, changed) in enumerate(damaged(data, [b"PK\x05\x06" + bytes(18), data[:50]], rng)):
        yield f"npz {sort}", changed
        if n % 4 == 0:
            forged = io.BytesIO()
            with zipfile.ZipFile(forged, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as archive:
                shape = rng.choice([(1 << 40,), (4, 4), (-1,), (1 << 62, 4), (4,) * 40])
                kind = rng.choice(["<f8", "|O", "<c16", "|V999999999", "<U8", "nonsense"])
                head = repr({"descr": kind, "fortran_order": rng.random() < 0.5, "shape": shape}).ljust(117) + "\n"
                content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode()
                archive.writestr(
                    rng.choice(["b.npy", "q.npy", "z.npy", "../b.npy"]), content + bytes(rng.randrange(999))
                )
            yield "npz forged", forged.getvalue()


def fuzz(count: int, seed: int) -> dict[str, Any]:
    """About ``count`` inputs; what became of them. Raises at the first wrong one."""
    # of one result both parts are read, of the other one: their plaintexts are read in different ways
    world, rng = Sender(PROGRAM.replace("] = U", "] = re U")), random.Random(seed)
    module = world.module
    tally: Counter[str] = Counter()
    slowest = 0.0

    def one(sort: str, read: Callable[[Any], Any], refused: type[Exception], data: Any) -> Any:
        nonlocal slowest
        start, result = time.perf_counter(), None
        try:
            result = read(data)
            tally["accepted"] += 1
        except refused:
            tally["rejected"] += 1
        taken = time.perf_counter() - start
        slowest = max(slowest, taken)
        if taken > SLOWEST:
            raise AssertionError(f"{sort} took {taken:.0f} s")
        return result

    def use(kind: str, data: bytes) -> Any:
        """Load, and work with what was accepted as one would; results, or None where there are none."""
        if kind == "secret keys":
            return Client(module, SecretKey.from_bytes(data)).decrypt(world.sent["results"])
        if kind == "results":
            return world.client.decrypt(data)
        keys = EvaluationKeys.from_bytes(data) if kind == "evaluation keys" else world.keys
        server = Server(Weights.from_bytes(module, data)) if kind == "weights" else world.server
        return world.client.decrypt(server.evaluate(data if kind == "inputs" else world.sent["inputs"], keys).data)

    expected = world.client.decrypt(world.sent["results"])
    sources = {
        k: [
            damaged(world.sent[k], [world.sent[o] for o in KINDS if o != k], rng),
            objects(k, world.sent[k], rng),
            labels(k, world.sent[k], rng),
        ]
        for k in KINDS
    }
    files = arrays(world, rng)
    for n in range(count * 5 // 7):
        kind = KINDS[n % len(KINDS)]
        sort, data = next(sources[kind][(0, 1, 0, 1, 2)[n // len(KINDS) % 5]])
        found = one(f"{kind}, {sort}", partial(use, kind), Rejected, data)
        if found is not None:
            assert sort not in ("truncated", "flipped", "extended", "noise", "other kind"), f"{kind}, {sort}: accepted"
            shapes = {name: value.shape for name, value in found.items()}
            assert shapes == {name: value.shape for name, value in expected.items()}, sort
    assert np.abs(world.result()["y"] - expected["y"]).max() < 1e-8

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.npz"
        for _ in range(count // 7):
            sort, data = next(files)
            path.write_bytes(data)
            taken = partial(read_data, inputs=dict(world.inputs), weights=dict(world.weights))
            one(sort, taken, Rejected, path)
        adapter = Path(__file__).resolve().parents[2] / "examples" / "minilm_adapter"
        genuine = {name: (adapter / name).read_bytes() for name in ("adapter_config.json", "activations.npy")}
        genuine["adapter_model.safetensors"] = small_safetensors(adapter / "adapter_model.safetensors")
        streams = {name: damaged(data, list(genuine.values()), rng) for name, data in genuine.items()}
        for name, data in genuine.items():
            (Path(folder) / name).write_bytes(data)
        for n in range(count // 7):
            name = list(genuine)[n % 3]
            sort, data = next(streams[name])
            (Path(folder) / name).write_bytes(data)
            if name == "activations.npy":
                one(f"{name}, {sort}", lambda p: read_activations(p, 384, None), SlotError, Path(folder) / name)
            else:
                one(f"{name}, {sort}", read_adapter, SlotError, Path(folder))
            (Path(folder) / name).write_bytes(genuine[name])
    total = tally["accepted"] + tally["rejected"]
    return {"inputs": total, **tally, "slowest_seconds": round(slowest, 2)}


def small_safetensors(path: Path) -> bytes:
    """A header and data as PEFT writes them, of a few kilobytes."""
    shapes = {"lora_A": (2, 8), "lora_B": (8, 2)}
    head, data = {}, b""
    for side, shape in shapes.items():
        size = 4 * shape[0] * shape[1]
        entry = {"dtype": "F32", "shape": list(shape), "data_offsets": [len(data), len(data) + size]}
        head[f"base_model.model.layer.{side}.weight"] = entry
        data += np.ones(size // 4, "<f4").tobytes()
    text = json.dumps(head).encode()
    assert path.exists()
    return struct.pack("<Q", len(text)) + text + data


if __name__ == "__main__":
    report = fuzz(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    print(json.dumps(report))
