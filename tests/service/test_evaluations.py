"""Requests under way: one evaluation however often a request comes, unloads that wait, turns of tenants."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from served import LAYERS, D, build, update_of

from slotlang.client.adapter import Adapter, Crypto
from slotlang.service.adapters import Adapters
from slotlang.service.answers import Stored
from slotlang.service.app import sessions
from slotlang.service.evaluations import Run
from slotlang.service.evaluator import Done, Gated, Job, Placed, Station, Threads
from slotlang.service.index import Index
from slotlang.service.limits import Limits, Rate
from slotlang.service.manifest import File
from slotlang.service.problems import Refusal, refusal
from slotlang.service.protocol import Frames, Item, Request, frame
from slotlang.service.service import Service
from slotlang.service.tokens import Tenant
from slotlang.service.turns import Queue
from slotlang_runtime import SecretKey
from slotlang_runtime.wire import given_checksum, pack

ALICE = Tenant("alice", False, None, 0.0)
KEY = "k" * 16


class Slow:
    """An evaluator that ends when it is told to. ``held``: gates of which it has the weights; others it encodes, which
    takes ``encoding`` seconds, it says."""

    width = 2

    async def start(self) -> None:
        pass

    def __init__(self) -> None:
        self.begun, self.encoding = 0, 0.0
        self.go = asyncio.Event()
        self.held = set[Gated]()

    def holds(self, gated: Gated) -> bool:
        return gated in self.held

    async def evaluate(self, job: Job) -> Done:
        self.begun += 1
        await self.go.wait()
        new = job.gated is not None and job.gated not in self.held
        if job.gated is not None:
            self.held.add(job.gated)
        return Done(bytes(job.upload[:4]), 0.0, 0.0, encoding=self.encoding if new else 0.0)

    async def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("evaluations")
    build(found)
    return found


class World:
    """A service without HTTP, and a session in it."""

    def __init__(self, folder: Path, state: Path, **limits: float) -> None:
        self.evaluator = Slow()
        self.service = Service(folder, state, Limits(**limits), 1, self.evaluator)  # type: ignore[arg-type]

    async def start(self) -> None:
        await self.service.start()
        client = Adapter.from_bytes(self.service.adapters.get(ALICE, "tiny").client)
        self.version = client.version
        keys = b"keys"
        name = hashlib.sha256(keys).hexdigest()
        self.session = self.service.store.create("alice", "tiny", name, len(keys), 100.0)
        self.service.store.append(self.session, 0, keys, lambda data: None)

    def body(self, *modules: str, ranks: tuple[int, ...] | None = None) -> bytes:
        items = tuple(Item("0", (module,), {} if ranks is None else {module: ranks}) for module in modules)
        return Request("tiny", self.version, items, {"0": b"upload"}).to_bytes()

    async def begin(self, body: bytes, key: str = KEY) -> Run:
        with self.service.room.take(ALICE.name, len(body)) as room:
            return await self.service.evaluations.begin(ALICE, self.session, key, body, room)


async def whole(run: Run) -> bytes:
    return b"".join([frame async for frame in run.frames()])


def test_a_request_that_comes_again_is_not_evaluated_again(folder: Path, tmp_path: Path) -> None:
    async def main() -> None:
        world = World(folder, tmp_path)
        await world.start()
        body = world.body(*LAYERS[:2])
        first, second = await asyncio.gather(world.begin(body), world.begin(body))
        # whoever asked first went away
        listening = asyncio.create_task(whole(first))
        await asyncio.sleep(0.05)
        listening.cancel()
        world.evaluator.go.set()
        answer = await whole(second)
        assert world.evaluator.begun == 2
        while world.service.evaluations.under_way:
            await asyncio.sleep(0.01)
        assert await whole(await world.begin(body)) == answer
        assert world.evaluator.begun == 2
        with pytest.raises(Refusal, match="SL576"):
            await world.begin(world.body(LAYERS[2]))
        # after the adapter is gone, too
        await world.service.adapters.unload(ALICE, "tiny")
        assert await whole(await world.begin(body)) == answer
        await world.service.close()

    asyncio.run(main())


def test_a_request_whose_answer_has_no_room_is_not_evaluated(folder: Path, tmp_path: Path) -> None:
    """Whether or not the tenant has another one, and also where the answer is stored."""

    async def main() -> None:
        world = World(folder, tmp_path, requests_memory=1 << 20)
        await world.start()
        room, body = world.service.room, world.body(*LAYERS)
        with pytest.raises(Refusal, match=r"SL573: this request needs .* with its answer") as problem:
            await world.begin(body)
        assert (problem.value.status, world.evaluator.begun, room.taken) == (413, 0, 0)
        run = await world.begin(world.body(LAYERS[0]), "another-key-here")
        adapter = world.service.adapters.get(ALICE, "tiny")
        assert room.taken == run.size + len(world.body(LAYERS[0])) > adapter.expected_bytes(adapter.manifest.groups[0])
        world.evaluator.go.set()
        await whole(run)
        name = world.service.answers.name(ALICE.name, world.session.id, KEY)
        stored = world.service.answers.new(name, given_checksum(body).hex())
        for number in range(3):
            world.service.answers.store(stored, number, bytes(1 << 18))
        with pytest.raises(Refusal, match="SL573"):
            await world.begin(body)
        assert room.taken == 0
        await world.service.close()

    asyncio.run(main())


@pytest.mark.parametrize("leaves", [False, True], ids=["both stay", "the first leaves"])
def test_repeats_that_come_together_evaluate_what_is_missing_once(leaves: bool, folder: Path, tmp_path: Path) -> None:
    """One part is stored, the other one failed. What one repeat finds stored is old when the other one has ended."""

    async def main() -> None:
        world = World(folder, tmp_path, requests_memory=1 << 30)
        await world.start()
        evaluator, answers, body = world.evaluator, world.service.answers, world.body(*LAYERS[:2])
        evaluate, begin = evaluator.evaluate, answers.begin
        reading, read, go, late = threading.Event(), list[int](), threading.Event(), threading.Event()

        async def failing(job: Job) -> Done:
            if evaluator.begun:
                raise OSError(errno.EIO, "a disk fails")
            return await evaluate(job)

        def slowly(name: str, digest: str) -> Stored:
            found = begin(name, digest)
            read.append(1)
            reading.set()
            (go if len(read) == 1 else late).wait(60)
            return found

        evaluator.go.set()
        evaluator.evaluate = failing  # type: ignore[method-assign]
        assert b"problem" in await whole(await world.begin(body))
        evaluator.evaluate = evaluate  # type: ignore[method-assign]
        answers.begin = slowly  # type: ignore[method-assign]
        assert evaluator.begun == 1
        repeats = [asyncio.create_task(world.begin(body)) for _ in range(2)]
        await asyncio.to_thread(reading.wait, 60)
        if leaves:
            repeats.pop(0).cancel()
        # long enough for the other one to read too, if it does
        await asyncio.sleep(0.05)
        go.set()
        if leaves:
            late.set()
        ended, _ = await asyncio.wait(repeats, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        answer = await whole(ended.pop().result())
        late.set()
        for repeat in repeats:
            assert await whole(await repeat) == answer
        assert evaluator.begun == 2 and b"problem" not in answer and world.service.room.taken == 0
        await world.service.close()

    asyncio.run(main())


def test_a_list_of_sessions_is_made_in_a_thread(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, with one look at the index and one at the files of keys."""

    async def main() -> None:
        world = World(folder, tmp_path)
        await world.start()
        store, loop, looks = world.service.store, threading.get_ident(), list[str]()
        parts = {b"%d" % n: store.create("alice", "tiny", sha256(b"%d" % n), 4, 100.0).id for n in range(30)}
        store.append(store.get("alice", parts[b"7"]), 0, b"pa", lambda data: None)

        def noted(of: object, name: str) -> None:
            real = getattr(of, name)

            def look(*given: object, **more: object) -> object:
                assert threading.get_ident() != loop
                looks.append(name)
                return real(*given, **more)

            monkeypatch.setattr(of, name, look)

        noted(os, "stat")
        noted(os, "scandir")
        noted(Index, "_rows")
        answer = await sessions(world.service, ALICE)
        monkeypatch.undo()
        listed = {state["id"]: state for state in json.loads(bytes(answer.body))["data"]}
        assert len(listed) == 31 and looks == ["_rows", "scandir"]
        for name, state in listed.items():
            found = store.get("alice", name)
            told = (True, found.keys, None) if name == world.session.id else (False, None, found.keys)
            assert (state["ready"], state["keys"], state["coming"]) == told
            assert state["received"] == (2 if name == parts[b"7"] else 0)
        assert world.service.room.taken == len(answer.body)
        await world.service.close()

    asyncio.run(main())


def test_what_is_stored_has_room_before_it_is_read(folder: Path, tmp_path: Path) -> None:
    async def main() -> None:
        world = World(folder, tmp_path)
        await world.start()
        world.evaluator.go.set()
        body, room = world.body(LAYERS[0]), world.service.room
        answer = await whole(await world.begin(body))
        taken, begin = list[int](), world.service.answers.begin

        def noted(name: str, digest: str) -> Stored:
            taken.append(room.taken)
            return begin(name, digest)

        world.service.answers.begin = noted  # type: ignore[method-assign]
        assert await whole(await world.begin(body)) == answer
        (during,) = taken
        assert room.taken == 0 and len(answer) - len(frame("end", {})) - 100 < during - len(body) < len(answer)
        await world.service.close()

    asyncio.run(main())


def sha256(keys: bytes) -> str:
    return hashlib.sha256(keys).hexdigest()


def test_an_unload_waits_for_requests_under_way(folder: Path, tmp_path: Path) -> None:
    async def main() -> None:
        world = World(folder, tmp_path)
        await world.start()
        run = await world.begin(world.body(LAYERS[0]))
        unloading = asyncio.create_task(world.service.adapters.unload(ALICE, "tiny"))
        await asyncio.sleep(0.05)
        assert not unloading.done()
        with pytest.raises(Refusal, match="SL571"):
            await world.begin(world.body(LAYERS[0]), "another-key-here")
        world.evaluator.go.set()
        assert len(await whole(run)) > 100
        await asyncio.wait_for(unloading, 5)
        await world.service.close()

    asyncio.run(main())


def test_a_failure_after_the_first_part_ends_the_answer(folder: Path, tmp_path: Path) -> None:
    async def main() -> None:
        world = World(folder, tmp_path, wait=0.2)
        await world.start()
        run = await world.begin(world.body(*LAYERS))
        frames = run.frames()
        await asyncio.sleep(0.4)
        # the third waited too long while two were evaluated
        world.evaluator.go.set()
        kinds = [kind for kind, _ in Frames().take(b"".join([frame async for frame in frames]))]
        assert kinds == ["answer", "answer", "problem"]
        # sent again, the parts that are stored are given, and the third is evaluated now
        assert b"problem" not in await whole(await world.begin(world.body(*LAYERS)))
        assert world.evaluator.begun == 3
        await world.service.close()

    asyncio.run(main())


def test_a_full_queue_refuses_before_any_work(folder: Path, tmp_path: Path) -> None:
    async def main() -> None:
        world = World(folder, tmp_path, queue=4, queue_of_tenant=2)
        await world.start()
        with pytest.raises(Refusal, match="SL575") as refused:
            await world.begin(world.body(*LAYERS))
        assert refused.value.retry_after and world.evaluator.begun == 0
        # and the key may be used again, for another request
        world.evaluator.go.set()
        assert await whole(await world.begin(world.body(LAYERS[0])))
        await world.service.close()

    asyncio.run(main())


def test_requests_that_come_together_are_admitted_one_after_the_other(folder: Path, tmp_path: Path) -> None:
    async def main() -> None:
        world = World(folder, tmp_path, queue=4, queue_of_tenant=2)
        await world.start()
        queue = world.service.evaluations.queue
        asked = [world.begin(world.body(LAYERS[0]), f"{number:016}") for number in range(9)]
        begun = await asyncio.gather(*asked, return_exceptions=True)
        runs = [run for run in begun if isinstance(run, Run)]
        # none had had a turn when they were asked
        assert len(runs) == 2
        assert {one.code for one in begun if isinstance(one, Refusal)} == {"SL575"}
        world.evaluator.go.set()
        await asyncio.gather(*map(whole, runs))
        assert queue.waiting == 0 and world.evaluator.begun == 2
        await world.service.close()

    asyncio.run(main())


def test_who_was_admitted_and_does_not_wait_leaves_its_place(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(tenant: str, wanted: object, *of: int) -> None:
        # of a session, or of more than no bytes
        if wanted:
            raise OSError

    async def main() -> None:
        world = World(folder, tmp_path, queue_of_tenant=2, tokens_per_minute=2.0)
        await world.start()
        evaluations, store = world.service.evaluations, world.service.store
        # two evaluations of two tokens each
        run = await world.begin(world.body(*LAYERS[:2]))
        assert evaluations.queue.waiting == 2
        for part in run.parts:
            assert isinstance(part, asyncio.Task)
            # before it has begun
            part.cancel()
        await asyncio.gather(*run.parts, return_exceptions=True)
        await asyncio.sleep(0)
        assert evaluations.queue.waiting == 0
        # the rate, then the room, then the session
        with pytest.raises(Refusal, match="SL574"):
            await world.begin(world.body(LAYERS[0]))
        evaluations.token_rate = Rate(1e9, 1e9)
        for owner, name in ((world.service.room, "add"), (store, "get")):
            with monkeypatch.context() as patch:
                room = world.service.room.take(ALICE.name, 0)
                patch.setattr(owner, name, fail)
                with pytest.raises(OSError):
                    await evaluations.begin(ALICE, world.session, KEY, world.body(LAYERS[0]), room)
            assert evaluations.queue.waiting == 0 and evaluations.under_way == 0
        await world.service.close()

    asyncio.run(main())


def order_of(asked: list[tuple[str, float, float]], width: int = 1) -> list[str]:
    """The order in which evaluations run that come one after the other: tenants, the moments at which they come, and
    the seconds that they take, one at a time."""

    async def main() -> list[str]:
        now, order, held = [0.0], list[str](), asyncio.Event()
        queue = Queue(lambda: width, Limits(), lambda: now[0])

        async def work(tenant: str, seconds: float) -> None:
            async with queue.turn(tenant, seconds):
                await held.wait()
                order.append(tenant)

        tasks = []
        for tenant, moment, seconds in asked:
            now[0] = moment
            tasks.append(asyncio.create_task(work(tenant, seconds)))
            await asyncio.sleep(0)
        held.set()
        await asyncio.gather(*tasks)
        assert queue.running == 0 and queue.waiting == 0
        return order

    return asyncio.run(main())


def test_evaluations_of_tenants_within_their_shares_are_in_the_order_in_which_they_came() -> None:
    asked = [("ab"[number % 3 > 0], 0.1 * number, 0.04) for number in range(12)]
    assert order_of(asked) == [tenant for tenant, _, _ in asked]


def test_a_tenant_that_asks_for_more_than_its_share_does_not_hold_up_others() -> None:
    order = order_of([*[("a", 10.0, 0.3)] * 10, ("b", 10.2, 0.3), ("b", 10.2, 0.3)])
    # one of a's runs already, and one more is its credit; b's second one is no excess either
    assert order[:4] == ["a", "a", "b", "a"] and order.index("b", 3) < 6


def test_long_evaluations_count_for_more_than_short_ones() -> None:
    asked = [("a", 0.0, 1.0), *[("a", 0.0, 1.0), ("b", 0.0, 0.1)] * 4]
    # after the one that runs, b's are all within its credit
    assert order_of(asked)[:5] == ["a", "b", "b", "b", "b"]


def test_a_queue_keeps_nothing_of_who_left() -> None:
    async def main() -> None:
        queue, done = Queue(lambda: 1, Limits(wait=0.05)), asyncio.Event()

        async def hold() -> None:
            async with queue.turn("a"):
                await done.wait()

        async def take(tenant: str) -> None:
            async with queue.turn(tenant):
                pass

        holding = asyncio.create_task(hold())
        await asyncio.sleep(0)
        ended = await asyncio.gather(*(take(f"tenant-{n}") for n in range(5)), return_exceptions=True)
        assert all(isinstance(problem, Refusal) and problem.code == "SL575" for problem in ended)
        assert queue.waiting == 0 and queue.running == 1
        done.set()
        await holding
        assert queue.running == 0 and not queue._places and not queue._under_way

    asyncio.run(main())


def test_a_turn_is_settled_by_what_it_took() -> None:
    async def main() -> None:
        now = [100.0]
        queue = Queue(lambda: 2, Limits(), lambda: now[0])
        for beyond in (0.0, 3.0, -1.0):
            before = queue._clocks.get("a", 99.5)
            async with queue.turn("a", 1.0), queue.turn("b", 1.0):
                queue.settle("a", beyond)
            # two tenants on two threads
            assert queue._clocks["a"] == pytest.approx(before + 0.5 + beyond)

    asyncio.run(main())


def test_a_turn_counts_the_encoding_of_weights_for_a_new_gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for all evaluations under way that need them, and not where they are held; in the end as it took."""
    build(tmp_path / "service", gates=True)
    priced, settled = list[float](), list[float]()
    turn, settle = Queue.turn, Queue.settle
    monkeypatch.setattr(
        Queue, "turn", lambda q, tenant, seconds, *of: priced.append(seconds) or turn(q, tenant, seconds, *of)
    )
    monkeypatch.setattr(Queue, "settle", lambda q, tenant, more: settled.append(more) or settle(q, tenant, more))

    async def main() -> None:
        world = World(tmp_path / "service", tmp_path / "state")
        await world.start()
        adapter = world.service.adapters.get(ALICE, "tiny")
        group, plaintexts = adapter.manifest.groups[0], len(adapter.programs["square"].encoded())
        each, first = adapter.expected(group), adapter.expected_encoding(group)
        # before any was encoded: some milliseconds for each plaintext
        assert plaintexts * 1e-3 < first < plaintexts * 1e-2
        numbers = iter(range(100))

        async def asked(*bodies: bytes) -> list[float]:
            """The prices of requests that are under way together, beside that of their evaluation."""
            priced.clear()
            settled.clear()
            world.evaluator.go.clear()
            runs = [await world.begin(body, f"key-{next(numbers):020}") for body in bodies]
            await asyncio.sleep(0.01)
            world.evaluator.go.set()
            await asyncio.gather(*map(whole, runs))
            return [round(seconds - each, 9) for seconds in priced]

        new, other = world.body(LAYERS[0], ranks=(1,)), world.body(LAYERS[0], ranks=(0, 2))
        world.evaluator.encoding = 0.7
        assert await asked(world.body(LAYERS[0]), new, new) == [0, pytest.approx(first), 0]
        assert sorted(settled) == [0, 0, pytest.approx(0.7 - first)]
        # the last one took 0.7 s, and so may the next
        assert await asked(new, other, other) == [0, 0.7, 0] and settled == [0, 0, 0]
        assert await asked(other) == [0]
        # all ranks of a module are no gate, and another module has weights of its own
        assert await asked(world.body(LAYERS[0], ranks=(0, 1, 2, 3)), world.body(LAYERS[1], ranks=(1,))) == [0, 0.7]
        # what was given up meanwhile is paid for afterwards
        monkeypatch.setattr(world.evaluator, "holds", lambda gated: True)
        world.evaluator.held.clear()
        assert await asked(new) == [0] and settled == [0.7]
        await world.service.close()

    asyncio.run(main())


def test_threads_know_which_gates_they_hold(tmp_path: Path) -> None:
    build(tmp_path / "service", gates=True)
    station = Station(1 << 30, 1 << 30)
    adapters = Adapters(tmp_path / "service", station)
    asyncio.run(adapters.scan())
    adapter = adapters.get(ALICE, "tiny")
    client = Adapter.from_bytes(adapter.client)
    crypto, group = Crypto(client, SecretKey(client.ring)), adapter.manifest.groups[0]
    keys = crypto.evaluation_keys()
    (tmp_path / "keys").write_bytes(keys)
    placed = Placed(tmp_path, File("keys", hashlib.sha256(keys).hexdigest()))
    upload = crypto.encrypt(client.groups[0], np.ones((D, 2)))

    async def main() -> None:
        evaluator = Threads(station, 1)
        for ranks, new in (((1,), True), ((1,), False), ((2,), True), (None, False)):
            item = Item("0", (LAYERS[0],), {} if ranks is None else {LAYERS[0]: ranks})
            job = Job(adapter.program(group), adapter.weights(group), placed, upload, *adapter.gates(group, item))
            assert (job.gated is None) == (ranks is None)
            assert job.gated is None or evaluator.holds(job.gated) != new
            done = await evaluator.evaluate(job)
            assert (done.encoding > 0) == new and done.encoding <= done.loading
            assert job.gated is None or evaluator.holds(job.gated)
        await evaluator.close()

    asyncio.run(main())


def test_a_turn_that_is_given_up_goes_to_the_next() -> None:
    async def main() -> None:
        queue, done = Queue(lambda: 1, Limits(wait=5)), asyncio.Event()

        async def hold() -> None:
            async with queue.turn("a"):
                await done.wait()

        async def take() -> str:
            async with queue.turn("a"):
                return "taken"

        holding = asyncio.create_task(hold())
        await asyncio.sleep(0)
        gone, waits = asyncio.create_task(take()), asyncio.create_task(take())
        await asyncio.sleep(0)
        gone.cancel()
        done.set()
        assert await asyncio.wait_for(waits, 2) == "taken"
        await holding
        assert queue.running == 0

    asyncio.run(main())


def test_rates_are_each_tenants_own() -> None:
    now = [0.0]
    rate = Rate(1.0, 2.0, lambda: now[0])
    rate.take("a", 1, "requests")
    rate.take("a", 1, "requests")
    with pytest.raises(Refusal, match="too many requests") as refused:
        rate.take("a", 1, "requests")
    assert refused.value.retry_after == pytest.approx(1.0)
    rate.take("b", 2, "requests")
    now[0] = 1.0
    rate.take("a", 1, "requests")
    # more than fit at once are not refused for ever
    now[0] = 10.0
    rate.take("a", 5, "requests")
    with pytest.raises(Refusal):
        rate.take("a", 1, "requests")


def test_a_station_evaluates_in_many_threads_what_it_holds_once(folder: Path, tmp_path: Path) -> None:
    """Memory for one weights file: they take turns in it, and answers are right."""
    station = Station(1, 1)
    adapters = Adapters(folder, station)
    asyncio.run(adapters.scan())
    adapter = adapters.get(ALICE, "tiny")
    client = Adapter.from_bytes(adapter.client)
    crypto = Crypto(client, SecretKey(client.ring))
    keys = crypto.evaluation_keys()
    (tmp_path / "keys").write_bytes(keys)
    placed = Placed(tmp_path, File("keys", hashlib.sha256(keys).hexdigest()))
    x = np.random.default_rng(0).standard_normal((D, 2))
    upload = crypto.encrypt(client.groups[0], x)
    results: dict[int, bytes] = {}

    def work(number: int) -> None:
        group = adapter.manifest.groups[number % 3]
        job = Job(adapter.program(group), adapter.weights(group), placed, upload)
        results[number] = station.evaluate(job.hashes, upload, job.load).results

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(6):
        (y,) = crypto.decrypt(client.groups[number % 3], results[number])
        assert np.abs(y.T - update_of(LAYERS[number % 3], x.T)).max() < 1e-5
    assert len(station.servers) == 0 and station.servers.bytes == 0


def test_a_stored_part_that_is_damaged_inside_is_evaluated_again(folder: Path, tmp_path: Path) -> None:
    results = pack("results", {}, {"y": b"y" * 100})

    async def main() -> None:
        world = World(folder, tmp_path)
        await world.start()

        async def evaluate(job: Job) -> Done:
            world.evaluator.begun += 1
            return Done(results, 0.0, 0.0)

        world.evaluator.evaluate = evaluate  # type: ignore[method-assign]
        body = world.body(LAYERS[0])
        answer = await whole(await world.begin(body))
        (path,) = world.service.answers.folder.iterdir()
        data = bytearray(path.read_bytes())
        data[data.index(b"y" * 100)] ^= 1
        path.write_bytes(data)
        assert await whole(await world.begin(body)) == answer and world.evaluator.begun == 2
        await world.service.close()

    asyncio.run(main())


def test_on_a_full_disk_what_is_stored_is_given_and_nothing_else(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    async def main() -> None:
        world = World(folder, tmp_path)
        await world.start()
        world.evaluator.go.set()
        body, new = world.body(*LAYERS[:2]), "n" * 16
        answer = await whole(await world.begin(body))
        # nothing of a part that could not be stored is given, whether the disk took some of it or none
        for writev in (full, lambda file, parts: os.write(file, parts[0])):
            with monkeypatch.context() as patch:
                patch.setattr(os, "writev", writev)
                assert await whole(await world.begin(body)) == answer
                with pytest.raises(OSError, match=r"No space|no room") as problem:
                    await whole(await world.begin(body, new))
                while world.service.evaluations.under_way:
                    await asyncio.sleep(0.01)
            told = refusal(problem.value)
            assert (told.code, told.status) == ("SL575", 503) and "disk is full" in str(told)
        # with room again the same key is taken
        assert (await whole(await world.begin(body, new))).count(b"answer") == 2
        await world.service.close()

    asyncio.run(main())
