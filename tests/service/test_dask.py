"""Evaluation on Dask's workers: by content, and over the end of a worker."""

from __future__ import annotations

import asyncio
import hashlib
import pickletools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import LAYERS, D, build, update_of

import slotlang.service.dask as dask
from slotlang.client.adapter import Adapter, Crypto
from slotlang.diagnostics import SlotError
from slotlang.service.adapters import Adapters
from slotlang.service.dask import Memory, Scheduler, Workers
from slotlang.service.evaluator import Done, Job, Placed, Station
from slotlang.service.manifest import File
from slotlang.service.problems import Refusal
from slotlang.service.protocol import Item
from slotlang.service.tokens import Tenant
from slotlang_runtime import Rejected, SecretKey


class World:
    """A built adapter, a client with keys in a file, and jobs."""

    def __init__(self, folder: Path) -> None:
        build(folder / "service")
        self.station = Station(1 << 30, 1 << 30)
        adapters = Adapters(folder / "service", self.station)
        asyncio.run(adapters.scan())
        self.adapter = adapters.get(Tenant("a", False, None, 0.0), "tiny")
        self.client = Adapter.from_bytes(self.adapter.client)
        self.crypto = Crypto(self.client, SecretKey(self.client.ring))
        keys = self.crypto.evaluation_keys()
        (folder / "keys").write_bytes(keys)
        self.keys = Placed(folder, File("keys", hashlib.sha256(keys).hexdigest()))
        self.x = np.random.default_rng(0).standard_normal((D, 2))
        self.upload = self.crypto.encrypt(self.client.groups[0], self.x)

    def job(self, number: int, upload: bytes = b"") -> Job:
        group = self.adapter.manifest.groups[number % 3]
        return Job(self.adapter.program(group), self.adapter.weights(group), self.keys, upload or self.upload)

    def serial(self, job: Job) -> bytes:
        return self.station.evaluate(job.hashes, bytes(job.upload), job.load).results

    def check(self, number: int, results: bytes) -> None:
        (y,) = self.crypto.decrypt(self.client.groups[number % 3], results)
        assert np.abs(y.T - update_of(LAYERS[number % 3], self.x.T)).max() < 1e-5


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("dask"))


class Remote:
    """The scheduler, or a worker."""

    def __init__(self, pool: Pretended, address: str) -> None:
        self.pool, self.address = pool, address

    async def ncores_running(self, workers: Any) -> dict[str, int]:
        if self.pool.silent:
            raise OSError("nobody listens")
        return dict(self.pool.workers)

    async def run(self, function: bytes) -> dict[str, Any]:
        self.pool.asked[self.address] += 1
        if self.address in self.pool.foreign:
            return {"status": "OK", "result": "0.0.9, another one"}
        assert "get_ready" in pickletools_names(function)
        return {"status": "OK", "result": dask.build()}

    async def slotlang_evaluate(self, weights: int, keys: int, **job: Any) -> Any:
        self.pool.sent[self.address] += 1
        for kind, data in job["given"].items():
            self.pool.given.append((self.address, kind, len(data)))
        await asyncio.sleep(0)
        if self.pool.answers:
            found = self.pool.answers.pop(0)
            if isinstance(found, BaseException):
                raise found
            return found
        kept, dask._stations = dask._stations, self.pool.stations.setdefault(self.address, {})
        try:
            return dask.evaluate_here(memory=Memory(weights, keys), **job)
        finally:
            dask._stations = kept


def pickletools_names(data: bytes) -> list[str]:
    """The texts in a pickle."""
    return [str(argument) for _, argument, _ in pickletools.genops(data) if isinstance(argument, str)]


class Pretended:
    """Connections to a scheduler and to workers in this process, each with a station of its own. ``answers``: what the
    next jobs get instead; ``foreign``: workers of another build."""

    def __init__(self, *workers: str, threads: int = 1) -> None:
        self.workers = dict.fromkeys(workers, threads)
        self.stations: dict[str, dict[Memory, Station]] = {}
        self.sent, self.asked = Counter[str](), Counter[str]()
        self.given: list[tuple[str, str, int]] = []
        self.answers: list[Any] = []
        self.foreign: set[str] = set()
        self.silent = False

    def __call__(self, address: str) -> Remote:
        return Remote(self, address)

    async def close(self) -> None:
        pass


A, B = "tcp://127.0.0.1:1001", "tcp://127.0.0.1:1002"


def evaluated(pool: Pretended, *jobs: Job, seconds: float = 20.0, held: int = 1 << 30) -> list[Done]:
    """What workers answer to jobs, one after the other."""
    workers = Workers(Scheduler("tcp://127.0.0.1:1"), Memory(held, held), seconds)
    workers._pool = pool

    async def main() -> list[Done]:
        await workers._look()
        try:
            return [await workers.evaluate(job) for job in jobs]
        finally:
            assert not workers._busy

    return asyncio.run(main())


def test_a_worker_is_sent_what_it_lacks_once(world: World) -> None:
    pool, numbers = Pretended(A, B), (0, 1, 2, 0, 1, 2, 0)
    done = evaluated(pool, *(world.job(number) for number in numbers))
    for number, one in zip(numbers, done, strict=True):
        # no masks are drawn for this program: the same bytes
        assert one.results == world.serial(world.job(number))
        world.check(number, one.results)
    kinds = Counter(kind for _, kind, _ in pool.given)
    # weights of three modules once each; program and keys once for each worker
    assert kinds == {"weights": 3, "program": len(pool.sent), "keys": len(pool.sent)}
    before = len(pool.given)
    evaluated(pool, world.job(1))
    assert len(pool.given) == before


def test_a_worker_that_holds_nothing_evaluates(world: World) -> None:
    pool = Pretended(A)
    (one,) = evaluated(pool, world.job(0), held=0)
    world.check(0, one.results)


def test_a_job_is_given_out_again_when_its_worker_ends(world: World) -> None:
    for ended in (OSError("closed"), dask.Leaving(), None):
        pool = Pretended(A, B)
        pool.answers = [ended]
        (one,) = evaluated(pool, world.job(0))
        world.check(0, one.results)
        # to the other one: the first is known to have ended
        assert sorted(count for count in pool.sent.values()) == [1, 4]


def test_a_job_does_not_end_worker_after_worker(world: World) -> None:
    pool = Pretended(*(f"tcp://127.0.0.1:{port}" for port in range(1000, 1010)))
    pool.answers = [OSError("closed")] * 100
    with pytest.raises(Refusal, match="SL575: 3 workers ended"):
        evaluated(pool, world.job(0))
    assert set(pool.sent.values()) == {1} and len(pool.sent) == 3


def test_the_only_worker_is_used_again_when_it_is_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask, "_LOOK", 0.05)
    pool, workers = Pretended(A), Workers(Scheduler("tcp://127.0.0.1:1"), Memory(1 << 30, 1 << 30), 20.0)
    workers._pool, pool.answers = pool, [OSError("closed"), None]

    async def main() -> None:
        await workers._look()
        workers._watcher = asyncio.create_task(workers._watch())
        world.check(0, (await workers.evaluate(world.job(0))).results)
        await workers.close()

    asyncio.run(main())
    assert pool.asked[A] == 3


def test_a_job_waits_for_a_worker_and_not_for_ever(world: World) -> None:
    with pytest.raises(Refusal, match="SL575: no worker ended this"):
        evaluated(Pretended(), world.job(0), seconds=0.1)


def test_a_worker_asks_for_the_weights_in_the_clear_for_a_gate(tmp_path: Path) -> None:
    """And not for the encoded ones."""
    build(tmp_path / "service", gates=True)
    adapters = Adapters(tmp_path / "service", Station(1 << 30, 1 << 30))
    asyncio.run(adapters.scan())
    adapter = adapters.get(Tenant("a", False, None, 0.0), "tiny")
    client = Adapter.from_bytes(adapter.client)
    crypto = Crypto(client, SecretKey(client.ring))
    keys = crypto.evaluation_keys()
    (tmp_path / "keys").write_bytes(keys)
    x, group = np.random.default_rng(1).standard_normal((D, 2)), adapter.manifest.groups[0]
    placed = Placed(tmp_path, File("keys", hashlib.sha256(keys).hexdigest()))
    upload, pool = crypto.encrypt(client.groups[0], x), Pretended(A)
    encoded = []
    for ranks in ((1,), (1,), (0, 2)):
        item = Item("0", (LAYERS[0],), {LAYERS[0]: ranks})
        job = Job(adapter.program(group), adapter.weights(group), placed, upload, *adapter.gates(group, item))
        (done,) = evaluated(pool, job)
        (y,) = crypto.decrypt(client.groups[0], done.results)
        assert np.abs(y.T - update_of(LAYERS[0], x.T, ranks=list(ranks))).max() < 1e-3
        assert done.skipped == 4
        encoded.append(done.encoding > 0)
    # told with the results, though keys were lacking too
    assert encoded == [True, False, True]
    given = Counter(kind for _, kind, _ in pool.given)
    assert given["gates"] == 2 and given["weights"] == 0


def test_gates_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask, "_GATES", 2)
    workers = Workers(Scheduler("tcp://127.0.0.1:1"), Memory(1, 1), 1.0)
    gates = [("program", "gates", (("y", (rank,)),)) for rank in range(3)]
    for gate in (*gates[:2], gates[0], gates[2]):
        workers._noted(gate)
    # the one that was used longest ago is forgotten
    assert [workers.holds(gate) for gate in gates] == [True, False, True]


def test_what_a_client_did_wrong_is_not_tried_again(world: World) -> None:
    pool = Pretended(A)
    with pytest.raises(Rejected, match="truncated"):
        evaluated(pool, world.job(0, world.upload[:-1]))
    assert pool.sent[A] <= 4
    damaged = Job(world.job(0).program, world.job(0).weights, Placed(Path("/nowhere"), File("k", "0" * 64)), b"x")
    with pytest.raises(Refusal, match="SL578"):
        evaluated(pool, damaged)


def test_workers_of_another_build_or_without_tls_are_not_used(world: World, caplog: pytest.LogCaptureFixture) -> None:
    elsewhere = "tcp://192.0.2.7:1001"
    pool = Pretended(A, B, elsewhere)
    pool.foreign = {B}
    evaluated(pool, world.job(0), world.job(1), world.job(2))
    assert set(pool.sent) == {A} and elsewhere not in pool.asked
    text = caplog.text
    assert f"SL585: the worker {B} is not used: it has slotlang 0.0.9, another one, and this is" in text
    assert f"{elsewhere} is not used: it is on another machine" in text


def test_jobs_go_on_while_the_scheduler_is_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask, "_LOOK", 0.01)
    pool, workers = Pretended(A), Workers(Scheduler("tcp://127.0.0.1:1"), Memory(1 << 30, 1 << 30), 20.0)
    workers._pool = pool

    async def main() -> None:
        await workers._look()
        pool.silent = True
        watching = workers._watcher = asyncio.create_task(workers._watch())
        await asyncio.sleep(0.05)
        world.check(0, (await workers.evaluate(world.job(0))).results)
        # it comes back, with another worker
        pool.workers, pool.silent = {B: 3}, False
        while set(workers._threads) != {B}:
            await asyncio.sleep(0.01)
        assert workers.width == 4 and not watching.done()
        world.check(0, (await workers.evaluate(world.job(0))).results)
        await workers.close()

    asyncio.run(main())
    assert pool.sent[A] and pool.sent[B]


def test_schedulers_are_on_the_loopback_or_have_tls() -> None:
    for address in ("tcp://192.0.2.1:8786", "tcp://scheduler:8786"):
        with pytest.raises(SlotError, match="SL563"):
            Scheduler(address).security()
    for address in ("127.0.0.1:8786", "http://127.0.0.1", "tcp://", "tls://192.0.2.1:8786"):
        with pytest.raises(SlotError, match="SL005"):
            Scheduler(address).security()
    assert Scheduler("tcp://127.0.0.1:8786").security() is None


def test_a_scheduler_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask, "_CONNECT", 0.5)
    workers = Workers(Scheduler("tcp://127.0.0.1:9"), Memory(1, 1), 1.0)
    with pytest.raises(SlotError, match="SL584"):
        asyncio.run(workers.start())


def test_certificates_of_a_scheduler(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("ca.pem", "cert.pem", "key.pem")]
    with pytest.raises(SlotError, match="SL565: --scheduler-ca can't be read"):
        Scheduler("tls://127.0.0.1:1", *files).security()
    with pytest.raises(SlotError, match="SL005: --scheduler-cert is for tls://"):
        Scheduler("tcp://127.0.0.1:1", certificate=files[1]).security()
    for file in files:
        file.write_text("not a certificate")
    workers = Workers(Scheduler("tls://127.0.0.1:1", *files), Memory(1, 1), 1.0)
    with pytest.raises(SlotError, match="SL584"):
        asyncio.run(workers.start())
