"""Which sessions and keys are left after rotations: by many, of links, given up, and of other rings."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from served import LAYERS, D, Process, build, update_of

from slotlang.client import AsyncSession, ServiceProblem, Session
from slotlang.client.connection import Connection
from slotlang.client.kept import alone
from slotlang.client.secrets import name_of, read_secret
from slotlang.diagnostics import SlotError

X = np.random.default_rng(7).standard_normal((2, D))
_numbers = count()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("rotations") / "adapters"
    build(folder, "one")
    build(folder, "two")
    process = Process(folder)
    yield process
    process.close()


@pytest.fixture
def token(service: Process) -> str:
    """Of a tenant that has no session yet."""
    return service.token(f"tenant{next(_numbers)}")


def ids(service: Process, token: str) -> list[str]:
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx.get(f"{service.url}/v1/sessions", headers=headers, trust_env=False).json()
    return [one["id"] for one in answer["data"]]


def load(service: Process, name: str, **more: Any) -> None:
    build(service.folder, name, **more)
    service.load(name)


def right(session: Session) -> bool:
    return bool(np.abs(session.update(LAYERS[0], X) - update_of(LAYERS[0], X)).max() < 1e-2)


# Sessions of one file


def test_adapters_that_share_a_file_keep_their_sessions(service: Process, token: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"

    def keys(model: str) -> str:
        with Session(service.url, token, model=model, secret=file) as session:
            return str(session.keys()["id"])

    assert len({(model, keys(model)) for model in ["one", "two"] * 2}) == len(ids(service, token)) == 2
    # the key of both is replaced
    with Session(service.url, token, model="one", secret=file) as session:
        rotated = session.rotate()["id"]
        assert ids(service, token) == [rotated]
    with Session(service.url, token, model="two", secret=file) as session:
        assert right(session) and len(ids(service, token)) == 2
        # and those of the other one stay
        assert session.end()
    assert ids(service, token) == [keys("one")]


def test_a_session_that_went_takes_no_other_with_it(service: Process, token: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    with (
        Session(service.url, token, model="one", secret=file) as session,
        Session(service.url, token, model="two", secret=file) as other,
    ):
        gone, stays = session.keys()["id"], other.keys()["id"]
        session.end()
        assert gone not in ids(service, token)
        with Session(service.url, token, model="two", secret=file) as third:
            assert third.keys()["id"] == stays


def test_what_one_process_ends_are_the_sessions_of_all(service: Process, token: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    with (
        Session(service.url, token, model="one", secret=file) as session,
        Session(service.url, token, model="one", secret=file) as stale,
    ):
        session.keys()
        stale.keys()
        session.rotate()
        assert len(ids(service, token)) == 1
        assert stale.end()
        assert ids(service, token) == []
        with Session(service.url, token, model="one", secret=file) as third:
            assert not third.end()
        assert right(session) and right(stale)


def test_rotations_at_the_same_time_leave_one_session(service: Process, token: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    sessions = [Session(service.url, token, model="one", secret=file) for _ in range(3)]
    for session in sessions:
        session.keys()
    with ThreadPoolExecutor(6) as threads:
        rotated = [*threads.map(Session.rotate, sessions * 2)]
    assert len({state["id"] for state in rotated}) == 6
    assert len(ids(service, token)) == 1
    for session in sessions:
        assert right(session)
        session.close()
    assert len(ids(service, token)) == 1


def test_sessions_are_written_down_up_to_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import slotlang.client.kept as module

    monkeypatch.setattr(module, "_MOST", 3)
    file = tmp_path / "secret"
    names = [f"{n:022d}" for n in range(5)]
    for n, name in enumerate(names):
        module.remember(file, "http://a", "one" if n % 2 else "two", name, f"key{n}")
    assert module.remembered(file, "http://a") == names[:1:-1]
    assert module.remembered(file, "http://a", "one") == names[3:4]
    assert module.remembered(file, "http://a", "two", "key2") == names[2:3]
    assert module.remembered(file, "http://b") == module.remembered(file, "http://a", "one", "key2") == []
    module.forget(file, names[3])
    (tmp_path / "secret.sessions" / names[4]).write_text("[]")
    assert module.remembered(file, "http://a") == names[2:3]


@pytest.mark.parametrize(
    ("after", "made"),
    [(False, False), (True, False), (True, True)],
    ids=["before the key is replaced", "after that", "while it is made"],
)
def test_who_read_the_old_key_within_a_rotation_takes_the_new_one(
    service: Process, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool, made: bool
) -> None:
    """Its session is made before the key is replaced, and after the old sessions were listed; or after all that."""
    file, plain, asked = tmp_path / "secret", Connection.json, list[str]()

    async def main() -> None:
        async with (
            AsyncSession(service.url, token, model="one", secret=file) as session,
            AsyncSession(service.url, token, model="two", secret=file) as other,
        ):
            await session.keys()
            old = name_of(read_secret(file))

            async def json(self: Connection, method: str, *arguments: Any) -> Any:
                if method != "POST" or asked:
                    return await plain(self, method, *arguments)
                asked.append(method)
                if not after:
                    # of the rotation: its old sessions are listed
                    await other.keys()
                    assert other._secret is not None and name_of(other._secret) == old
                    return await plain(self, method, *arguments)
                # of the other one
                answer = await plain(self, method, *arguments) if made else None
                await session.rotate()
                return answer or await plain(self, method, *arguments)

            monkeypatch.setattr(Connection, "json", json)
            await (other.keys() if after else session.rotate())
            y = await other.update(LAYERS[0], X)
            assert np.abs(y - update_of(LAYERS[0], X)).max() < 1e-2
            new = name_of(read_secret(file))
            assert other._secret is not None and name_of(other._secret) == new != old
            assert set(ids(service, token)) == {(await one.keys())["id"] for one in (session, other)}

    asyncio.run(main())
    assert asked


# Links


def test_a_rotation_keeps_a_link_to_the_file(service: Process, token: str, tmp_path: Path) -> None:
    file, link = tmp_path / "there" / "secret", tmp_path / "link"
    file.parent.mkdir()
    with Session(service.url, token, model="one", secret=file) as session:
        first = session.keys()["id"]
        before = file.read_bytes()
        link.symlink_to(file)
        with Session(service.url, token, model="one", secret=link) as other:
            # of the same file
            assert other.keys()["id"] == first
            rotated = other.rotate()["id"]
        assert link.is_symlink() and file.read_bytes() == link.read_bytes() != before
        assert right(session)
        assert session.keys()["id"] == rotated and ids(service, token) == [rotated]


# Rotations that are given up or whose answers are lost


@pytest.mark.parametrize("kept", [True, False], ids=["with a file", "in memory"])
@pytest.mark.parametrize("sent", [True, False], ids=["sent", "not sent"])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_rotation_that_is_cancelled_leaves_one_session(
    service: Process, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, sent: bool, kept: bool
) -> None:
    """When it asks for a session, sends the keys, or ends the old session."""
    asked = list[str]()

    def watched(plain: Any) -> Any:
        async def request(self: Connection, *arguments: Any) -> Any:
            asked.append(str(arguments[0]))
            now = len(asked) == number + 1
            task = asyncio.current_task()
            assert task is not None
            if now and not sent:
                task.cancel()
            answer = await plain(self, *arguments)
            if now:
                task.cancel()
                await asyncio.sleep(0)
            return answer

        return request

    async def main() -> None:
        secret = tmp_path / "secret" if kept else None
        async with AsyncSession(service.url, token, model="one", secret=secret) as session:
            await session.keys()
            with monkeypatch.context() as patch:
                for name in ("json", "put"):
                    patch.setattr(Connection, name, watched(getattr(Connection, name)))
                with pytest.raises(asyncio.CancelledError):
                    await asyncio.create_task(session.rotate())
            assert len(ids(service, token)) == 1
            y = await session.update(LAYERS[0], X)
            assert np.abs(y - update_of(LAYERS[0], X)).max() < 1e-2
            assert ids(service, token) == [(await session.keys())["id"]]

    asyncio.run(main())
    assert [a[:4] for a in asked[:3]][number] == ["POST", "/v1/", "DELE"][number]


def test_a_session_that_is_closed_within_a_rotation_leaves_one_session(
    service: Process, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, there = Connection.put, threading.Event()

    async def put(self: Connection, *arguments: Any) -> Any:
        await plain(self, *arguments)
        there.set()
        await asyncio.Event().wait()

    session = Session(service.url, token, model="one", secret=tmp_path / "secret")
    before = session.keys()["id"]
    monkeypatch.setattr(Connection, "put", put)
    with ThreadPoolExecutor(1) as thread, closing(session):
        rotated = thread.submit(session.rotate)
        assert there.wait(30)
        session.close()
        with pytest.raises(RuntimeError, match="closed"):
            rotated.result(30)
    assert ids(service, token) == [before]


def test_a_new_session_whose_name_was_lost_ends(
    service: Process, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Connection.json

    async def json(self: Connection, method: str, *arguments: Any) -> Any:
        answer = await plain(self, method, *arguments)
        if method == "POST":
            raise ServiceProblem("SL580", "the answer is lost")
        return answer

    with Session(service.url, token, model="one", secret=tmp_path / "secret") as session:
        before = session.keys()["id"]
        with monkeypatch.context() as patch:
            patch.setattr(Connection, "json", json)
            with pytest.raises(ServiceProblem, match="lost"):
                session.rotate()
        assert ids(service, token) == [before]
        assert right(session)


def test_a_session_that_was_asked_for_twice_is_one_in_the_end(
    service: Process, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first answer was lost, so that the request is sent again."""
    plain, asked = Connection.json, list[str]()

    async def json(self: Connection, method: str, *arguments: Any) -> Any:
        if method == "POST":
            asked.append((await plain(self, method, *arguments))["id"])
        return await plain(self, method, *arguments)

    with Session(service.url, token, model="one") as session:
        session.keys()
        monkeypatch.setattr(Connection, "json", json)
        rotated = session.rotate()["id"]
        assert len(asked) == 1 and ids(service, token) == [rotated]
        assert right(session)


def test_a_session_whose_keys_never_came_ends_with_the_next_rotation(
    service: Process, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network fails within a rotation, or a first upload, until the process ends."""
    plain, file = Connection.json, tmp_path / "secret"

    async def json(self: Connection, method: str, *arguments: Any) -> Any:
        if method != "POST":
            raise ServiceProblem("SL580", "ends here")
        return await plain(self, method, *arguments)

    async def put(*_: Any) -> Any:
        raise ServiceProblem("SL580", "ends here")

    for number, call in enumerate((Session.keys, Session.rotate, Session.rotate), 1):
        with (
            Session(service.url, token, model="one", secret=file) as session,
            monkeypatch.context() as patch,
        ):
            patch.setattr(Connection, "put", put)
            patch.setattr(Connection, "json", json)
            with pytest.raises(ServiceProblem, match="ends here"):
                call(session)
        assert len(ids(service, token)) == number
    with Session(service.url, token, model="one", secret=file) as session:
        assert right(session)
        rotated = session.rotate()["id"]
        assert ids(service, token) == [rotated]
        assert right(session)


def test_a_rotation_that_is_done_says_so_though_the_network_fails(
    service: Process, token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old session ends with the next rotation."""
    plain = Connection.json

    async def json(self: Connection, method: str, *arguments: Any) -> Any:
        if method != "POST":
            raise ServiceProblem("SL580", "ends here")
        return await plain(self, method, *arguments)

    file = tmp_path / "secret"
    with Session(service.url, token, model="one", secret=file) as session:
        before = session.keys()["id"]
        with monkeypatch.context() as patch:
            patch.setattr(Connection, "json", json)
            rotated = session.rotate()
        assert rotated["ready"] and set(ids(service, token)) == {before, rotated["id"]}
        assert right(session)
    with Session(service.url, token, model="one", secret=file) as session:
        assert session.keys()["id"] == rotated["id"]
        again = session.rotate()["id"]
        assert ids(service, token) == [again]


# Other rings


@pytest.mark.parametrize("first", ["update", "keys"])
@pytest.mark.parametrize("refused", [True, False], ids=["was refused", "hears of it now"])
def test_a_rotation_to_another_ring_is_taken_by_other_processes(
    service: Process, token: str, tmp_path: Path, first: str, refused: bool
) -> None:
    file, name = tmp_path / "secret", f"ring-{first}-{refused}".lower()
    load(service, name)
    with (
        Session(service.url, token, model=name, secret=file) as session,
        Session(service.url, token, model=name, secret=file) as other,
    ):
        assert right(session) and right(other)
        ring = session.adapter().ring
        for more in ({"precision": 1e-3}, {}):
            load(service, name, **more)
            for one in (session, other) if refused else (session,):
                with pytest.raises(SlotError, match="SL544"):
                    one.update(LAYERS[0], X)
            session.rotate()
            assert (session.adapter().ring == ring) == (not more)
            if first == "keys":
                assert other.keys()["ready"]
            assert right(other) and right(session)
            assert other.keys()["id"] == session.keys()["id"]
        assert len(ids(service, token)) == 1


def test_processes_that_share_a_session_whose_keys_are_too_few_share_the_next(
    service: Process, token: str, tmp_path: Path
) -> None:
    """Whoever notices it first ends the old one."""
    load(service, "shared")
    with (
        Session(service.url, token, model="shared", secret=tmp_path / "secret") as session,
        Session(service.url, token, model="shared", secret=tmp_path / "secret") as other,
    ):
        assert right(session) and right(other)
        before = session.keys()["id"]
        assert other.keys()["id"] == before
        load(service, "shared", slots=2 * D)
        assert right(session) and right(other)
        assert ids(service, token) == [session.keys()["id"]] == [other.keys()["id"]] != [before]


def test_a_key_of_a_later_version_is_taken_by_who_knows_the_earlier_one(
    service: Process, token: str, tmp_path: Path
) -> None:
    """The file came after the adapter was fetched."""
    file = tmp_path / "secret"
    load(service, "later")
    with (
        Session(service.url, token, model="later", secret=file) as session,
        Session(service.url, token, model="later", secret=file) as other,
    ):
        session.adapter()
        load(service, "later", precision=1e-3)
        assert right(other) and right(session)


# What stands beside a file


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_process_forked_within_a_rotation_holds_up_no_other(tmp_path: Path) -> None:
    async def held() -> int:
        async with alone(tmp_path / "secret"):
            child = os.fork()
            if not child:
                time.sleep(60)
                os._exit(0)
            return child

    async def again() -> None:
        async with asyncio.timeout(30), alone(tmp_path / "secret"):
            pass

    child = asyncio.run(held())
    try:
        asyncio.run(again())
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_rotation_whose_sessions_can_not_be_written_down_is_refused(
    service: Process, token: str, tmp_path: Path
) -> None:
    """It would leave those of the old key, and nobody would know."""
    file = tmp_path / "secret"
    (tmp_path / "secret.sessions").write_text("of somebody else")
    with Session(service.url, token, model="one", secret=file) as session:
        assert right(session)
        before = file.read_bytes()
        with pytest.raises(SlotError, match="SL582: sessions can't be written down"):
            session.rotate()
        assert file.read_bytes() == before and len(ids(service, token)) == 1
        assert right(session)
