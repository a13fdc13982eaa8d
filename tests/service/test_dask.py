"""Evaluation on Dask's workers: by content, and over the end of a worker."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
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
from slotlang.service.evaluator import Job, Placed, Station
from slotlang.service.manifest import File
from slotlang.service.problems import Refusal
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


class Future:
    def __init__(self, value: Any) -> None:
        self.value = value

    def __await__(self) -> Any:
        async def given() -> Any:
            await asyncio.sleep(0)
            if isinstance(self.value, BaseException):
                raise self.value
            return self.value

        return given().__await__()

    def release(self) -> None:
        pass


class Pretended:
    """A Dask client with workers in this process, each with a station of its own; ``faults``: what jobs end with
    instead."""

    def __init__(self, *workers: str) -> None:
        self.workers, self.faults = {name: {"nthreads": 1} for name in workers}, list[BaseException]()
        self.stations: dict[str, dict[Memory, Station]] = {name: {} for name in workers}
        self.sent = Counter[str]()
        self.scattered: list[int] = []
        self.scheduler = self

    async def identity(self, n_workers: int) -> Any:
        return {"workers": self.workers}

    async def scatter(self, data: bytes, workers: list[str] | None, hash: bool) -> Future:
        self.scattered.append(len(data))
        return Future(data)

    def submit(self, function: Any, hashes: Any, memory: Any, upload: Any, placed: Any, **how: Any) -> Future:
        if self.faults:
            return Future(self.faults.pop(0))
        (name,) = how["workers"]
        self.sent[name] += 1
        kept, dask._stations = dask._stations, self.stations[name]
        try:
            given = {kind: future.value for kind, future in placed.items()}
            return Future(function(hashes, memory, upload, given))
        except BaseException as problem:
            return Future(problem)
        finally:
            dask._stations = kept

    async def close(self) -> None:
        pass


def workers_of(client: Pretended, monkeypatch: pytest.MonkeyPatch) -> Workers:
    class Here:
        @property
        def address(self) -> str:
            # the one whose stations are in force
            return next(name for name, kept in client.stations.items() if kept is dask._stations)

    monkeypatch.setattr(dask, "get_worker", Here)
    found = Workers(Scheduler("tcp://127.0.0.1:1"), Memory(1 << 30, 1 << 30), 20.0)
    found._client = client
    return found


def test_a_worker_is_sent_what_it_lacks_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Pretended("tcp://a", "tcp://b")
    workers = workers_of(client, monkeypatch)

    async def main() -> None:
        for number in (0, 1, 2, 0, 1, 2, 0):
            done = await workers.evaluate(world.job(number))
            # no masks are drawn for this program: the same bytes
            assert done.results == world.serial(world.job(number))
            world.check(number, done.results)

    asyncio.run(main())
    sizes = Counter(client.scattered)
    weights = world.adapter.manifest.groups[0].weights.bytes
    # weights of three modules once each; program and keys once for each worker
    assert sizes[weights] == 3
    assert len(client.scattered) == 3 + 2 * len(client.sent)
    before = len(client.scattered)
    asyncio.run(workers.evaluate(world.job(1)))
    assert len(client.scattered) == before
    assert not +workers._busy


def test_a_job_is_given_out_again_when_its_worker_ends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Pretended("tcp://a")
    workers = workers_of(client, monkeypatch)
    client.faults = [RuntimeError("worker died"), asyncio.CancelledError()]
    world.check(0, asyncio.run(workers.evaluate(world.job(0))).results)
    # and not for ever
    client.faults = [RuntimeError("worker died")] * 100
    monkeypatch.setattr(dask, "_TRIES", 2)
    with pytest.raises(Refusal, match="SL575"):
        asyncio.run(workers.evaluate(world.job(0)))


def test_what_a_client_did_wrong_is_not_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Pretended("tcp://a")
    workers = workers_of(client, monkeypatch)
    with pytest.raises(Rejected, match="truncated"):
        asyncio.run(workers.evaluate(world.job(0, world.upload[:-1])))
    assert client.sent["tcp://a"] <= 4
    damaged = Job(world.job(0).program, world.job(0).weights, Placed(Path("/nowhere"), File("k", "0" * 64)), b"x")
    with pytest.raises(Refusal, match="SL578"):
        asyncio.run(workers.evaluate(damaged))


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


@pytest.mark.slow
def test_two_worker_processes_of_which_one_is_killed(world: World) -> None:
    from distributed import LocalCluster

    async def main() -> None:
        cluster = await LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, asynchronous=True, dashboard_address=None
        )
        async with cluster:
            workers = Workers(Scheduler(cluster.scheduler_address), Memory(1 << 30, 1 << 30), 120.0)
            await workers.start()
            assert len(workers._threads) == 2 and workers.width == 4
            expected = [world.serial(world.job(number)) for number in range(3)]

            async def all_right(count: int) -> None:
                done = await asyncio.gather(*(workers.evaluate(world.job(number)) for number in range(count)))
                for number, one in enumerate(done):
                    assert one.results == expected[number % 3]
                    world.check(number, one.results)

            await all_right(6)
            pids = await workers._client.run(os.getpid)
            under_way = asyncio.create_task(all_right(60))
            await asyncio.sleep(0.1)
            os.kill(next(iter(pids.values())), signal.SIGKILL)
            await under_way
            # its nanny starts another, and one more joins: both are used
            cluster.scale(3)
            for _ in range(100):
                workers._looked = -1e9
                await workers._look()
                if len(workers._threads) == 3:
                    break
                await asyncio.sleep(0.2)
            await all_right(30)
            used = await workers._client.run(_evaluated)
            assert len(used) == 3 and all(used.values())
            await workers.close()

    asyncio.run(main())


def _evaluated() -> int:
    """On a worker: how many weights it holds."""
    import slotlang.service.dask as there

    return sum(len(station.servers) for station in there._stations.values())
