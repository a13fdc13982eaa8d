"""Expanded weights in files that are mapped: made once, shared, and never believed when they are damaged."""

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
from slotlang_runtime.kernels.residues import Rows

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

    def adapters(self, mapped: Mapped | None) -> tuple[Adapter, Adapters]:
        found = Adapters(self.folder, Station(1 << 30, 1 << 30, mapped=mapped))
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
        assert (adapters.station.servers.bytes > 0) and len(adapters.station.servers) == 1
        return read

    def file(self) -> Path:
        (found,) = self.files.iterdir()
        return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("mapped"))


def test_weights_are_expanded_once_and_mapped_by_all(world: World) -> None:
    mapped = Mapped(world.files)
    assert world.check(mapped) == ["weights", "keys"]
    assert world.file().stat().st_mode & 0o777 == 0o600
    # another process reads nothing of the adapter's weights
    assert world.check(Mapped(world.files)) == ["keys"]
    # and the rows are those of the file, not of this process's memory
    adapter, adapters = world.adapters(mapped)
    group = adapter.manifest.groups[0]
    program = adapter.manifest.by_id[group.program].file.sha256
    weights, size = mapped.weights(adapters.station.programs[program], program, group.weights.sha256, lambda: b"") or (
        None,
        0,
    )
    assert weights is not None and size % 4096 <= size
    kinds = {type(plain.rows) for plain in weights.engine.plain.values()}  # type: ignore[attr-defined]
    assert len(kinds) == 1 and Rows not in kinds


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
        assert world.check(Mapped(world.files)) == ["weights", "keys"], name
        assert world.file().read_bytes() == whole, name
        # also by a process that had checked it before
        assert world.check(Mapped(world.files)) == ["keys"]


def test_without_room_on_the_disk_weights_are_held_in_memory(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    import slotlang.service.mapped as module

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_write", full)
    assert world.check(Mapped(world.files), 1) == ["weights", "keys"]
    assert not any(path.name.startswith(".") for path in world.files.iterdir())


def test_files_go_with_their_adapter(world: World) -> None:
    mapped = Mapped(world.files)
    world.check(mapped)
    path, left = world.file(), world.files / ".half.of.a.killed.process"
    left.write_bytes(b"x")
    _, adapters = world.adapters(Mapped(world.files))
    assert path.exists() and not left.exists()
    asyncio.run(adapters.unload("tiny"))
    assert not path.exists()
