"""Compact weights in files that are mapped: made once, shared, and never believed when they are damaged; and which
weights a station holds in which form."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import LAYERS, D, build, update_of

from slotlang.client.adapter import Adapter as ClientAdapter
from slotlang.client.adapter import Crypto
from slotlang.service.adapters import Adapter, Adapters
from slotlang.service.evaluator import Job, Kind, Placed, Station
from slotlang.service.manifest import File
from slotlang.service.mapped import Mapped
from slotlang.service.tokens import Tenant
from slotlang_runtime import SecretKey
from slotlang_runtime.weights import Weights

ALICE = Tenant("alice", False, None, 0.0)
X = np.random.default_rng(0).standard_normal((D, 2))


class World:
    """A folder of an adapter, and a client of it."""

    def __init__(self, folder: Path) -> None:
        build(folder / "service")
        self.files, self.folder = folder / "mapped", folder / "service"
        client = ClientAdapter.from_bytes(self.adapters(None)[0].client)
        self.groups = client.groups
        self.crypto = Crypto(client, SecretKey(client.ring))
        keys = self.crypto.evaluation_keys()
        (folder / "keys").write_bytes(keys)
        self.keys = Placed(folder, File("keys", hashlib.sha256(keys).hexdigest()))
        self.upload = self.crypto.encrypt(client.groups[0], X)

    def adapters(self, mapped: Mapped | None, limit: int = 1 << 30) -> tuple[Adapter, Adapters]:
        found = Adapters(self.folder, Station(limit, 1 << 30, mapped=mapped))
        asyncio.run(found.scan())
        return found.get(ALICE, "tiny"), found

    def check(self, mapped: Mapped, number: int = 0) -> list[Kind]:
        """An update by a new station is right; what was read of the adapter's files for it."""
        adapter, adapters = self.adapters(mapped)
        group, read = adapter.manifest.groups[number], list[Kind]()
        job = Job(adapter.program(group), adapter.weights(group), self.keys, self.upload)

        def load(kind: Kind) -> bytes:
            read.append(kind)
            return job.load(kind)

        done = adapters.station.evaluate(job.hashes, self.upload, load)
        (y,) = self.crypto.decrypt(self.groups[number], done.results)
        assert np.abs(y.T - update_of(LAYERS[number], X.T)).max() < 1e-5
        # compact, and expanded, as there is room
        held = self.sizes(number)
        assert adapters.station.servers.bytes == sum(held) and len(adapters.station.servers) == 2
        return read

    def sizes(self, number: int) -> tuple[int, int]:
        """Bytes of a group's weights, compact and expanded."""
        adapter, adapters = self.adapters(None)
        group = adapter.manifest.groups[number]
        job = Job(adapter.program(group), adapter.weights(group), self.keys, self.upload)
        module = adapters.station.program(job.hashes["program"], lambda: job.load("program"))
        whole = Weights.from_bytes(module, job.load("weights"))
        return whole.compact().memory_bytes, whole.memory_bytes

    def file(self) -> Path:
        (found,) = self.files.iterdir()
        return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("mapped"))


def test_compact_weights_are_made_once_and_mapped_by_all(world: World) -> None:
    mapped = Mapped(world.files)
    assert world.check(mapped) == ["keys", "weights"]
    assert world.file().stat().st_mode & 0o777 == 0o600
    # another process reads nothing of the adapter's weights
    assert world.check(Mapped(world.files)) == ["keys"]
    # and the coefficients are those of the file, not of this process's memory
    adapter, adapters = world.adapters(mapped)
    group = adapter.manifest.groups[0]
    program = adapter.manifest.by_id[group.program].file.sha256
    weights = mapped.weights(adapters.station.programs[program], program, group.weights.sha256, lambda: b"")
    assert weights is not None and weights.memory_bytes == world.sizes(0)[0] < world.file().stat().st_size
    memory = {id(plain.memory): plain.memory for plain in weights.engine.plain.values()}  # type: ignore[attr-defined]
    (only,) = memory.values()
    assert only.nbytes == world.file().stat().st_size and not only.flags.writeable


def test_what_is_damaged_or_of_another_is_made_anew(world: World) -> None:
    world.check(Mapped(world.files))
    path = world.file()
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-40_000] ^= 1
    head = json.loads(whole[16 : 16 + int.from_bytes(whole[8:16], "little")])
    other = json.dumps({**head, "about": {**head["about"], "runtime": "0" * 64}}).encode()
    changed: dict[str, bytes] = {
        "one bit": bytes(flipped),
        "too short": whole[:-1],
        "too long": whole + b"\0",
        "nothing": b"",
        "half a head": whole[:100],
        "another runtime's": whole[:8] + len(other).to_bytes(8, "little") + other + whole[4096:],
        "no weights": b"x" * len(whole),
    }
    for name, data in changed.items():
        path.write_bytes(data)
        assert world.check(Mapped(world.files)) == ["keys", "weights"], name
        assert world.file().read_bytes() == whole, name
        # also by a process that had checked it before
        assert world.check(Mapped(world.files)) == ["keys"]


def test_without_room_on_the_disk_weights_are_held_in_memory(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    import slotlang.service.mapped as module

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_write", full)
    assert world.check(Mapped(world.files), 1) == ["keys", "weights"]
    assert not any(path.name.startswith(".") for path in world.files.iterdir())


def test_files_go_with_their_adapter(world: World) -> None:
    mapped = Mapped(world.files)
    world.check(mapped)
    path, left = world.file(), world.files / ".half.of.a.killed.process"
    left.write_bytes(b"x")
    _, adapters = world.adapters(Mapped(world.files))
    assert path.exists() and not left.exists()
    asyncio.run(adapters.unload(ALICE, "tiny"))
    assert not path.exists()


def test_what_has_no_room_expanded_is_held_compact(world: World) -> None:
    """However often all of them are used in turn: the first keep their place, the others are not read again."""
    (compact, whole), (other, _) = world.sizes(0), world.sizes(1)
    limit = int(1.5 * whole) + compact + other
    adapter, adapters = world.adapters(Mapped(world.files), limit)
    read, station = list[tuple[int, Kind]](), adapters.station
    for turn in range(3):
        for number in (0, 1):
            group = adapter.manifest.groups[number]
            job = Job(adapter.program(group), adapter.weights(group), world.keys, world.upload)

            def load(kind: Kind, job: Job = job, number: int = number) -> bytes:
                read.append((number, kind))
                return job.load(kind)

            done = station.evaluate(job.hashes, world.upload, load)
            (y,) = world.crypto.decrypt(world.groups[number], done.results)
            assert np.abs(y.T - update_of(LAYERS[number], X.T)).max() < 1e-5
            assert station.servers.bytes <= limit
        if turn:
            assert station.servers.bytes == whole + compact + other
    assert [kind for _, kind in read].count("weights") <= 2 and len(station.servers) == 3


@pytest.mark.parametrize("mapped", [True, False])
def test_memory_for_less_than_one_module(world: World, mapped: bool) -> None:
    """What is in use is held, and nothing else."""
    files = Mapped(world.files) if mapped else None
    adapter, adapters = world.adapters(files, world.sizes(0)[0] - 1)
    group = adapter.manifest.groups[0]
    job = Job(adapter.program(group), adapter.weights(group), world.keys, world.upload)
    for _ in range(2):
        done = adapters.station.evaluate(job.hashes, world.upload, job.load)
        (y,) = world.crypto.decrypt(world.groups[0], done.results)
        assert np.abs(y.T - update_of(LAYERS[0], X.T)).max() < 1e-5
        assert adapters.station.servers.bytes == 0
