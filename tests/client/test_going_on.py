"""Sessions that go on: with other calls beside them, other versions, other processes, and after interruptions."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from repository import ROOT
from served import LAYERS, D, Process, build, update_of

from slotlang.client import AsyncSession, ServiceProblem, Session
from slotlang.client.adapter import Crypto
from slotlang.client.connection import Connection
from slotlang.client.straight import Straight, _Line
from slotlang.diagnostics import SlotError
from slotlang_runtime import SecretKey

X = np.random.default_rng(6).standard_normal((5, D))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("changes") / "adapters"
    build(folder)
    build(folder, "gated", gates=True)
    process = Process(folder)
    yield process
    process.close()


def right(y: Any, x: Any = X, seed: int = 0, **more: Any) -> bool:
    """Of an adapter for 1e-3 some updates in a hundred are off by 1e-3 somewhere; those of another one, by 1."""
    return bool(np.abs(y - update_of(LAYERS[0], x, seed, **more)).max() < 1e-2)


# What is given once


def given() -> dict[str, Any]:
    return {"modules": iter(LAYERS[:1]), "ranks": {LAYERS[0]: iter([0, 2])}}


@pytest.mark.parametrize("count", [1, 5])
def test_modules_and_ranks_may_be_iterators(service: Process, alice: str, count: int) -> None:
    """Calls may start anew, with the same modules and ranks: an iterator that had ended would turn all ranks off."""
    x = X[:count]

    async def main() -> Any:
        async with AsyncSession(service.url, alice, model="gated") as session:
            return await session.updates(**given(), x=x)

    with Session(service.url, alice, model="gated") as session:
        for _ in range(2):
            found = session.updates(**given(), x=x)
            assert right(found[LAYERS[0]], x, ranks=[0, 2])
    assert right(asyncio.run(main())[LAYERS[0]], x, ranks=[0, 2])


# Threads


@pytest.mark.parametrize("version", [{"precision": 1e-3}, {"slots": 2 * D}], ids=["another ring", "more keys"])
def test_calls_of_many_threads_go_on_with_another_version(
    service: Process, alice: str, version: dict[str, Any]
) -> None:
    build(service.folder, "busy")
    service.load("busy")
    with Session(service.url, alice, model="busy") as session, ThreadPoolExecutor(8) as threads:
        session.update(LAYERS[0], X)
        for seed, more in ((1, version), (2, {})):
            build(service.folder, "busy", seed=seed, **more)
            service.load("busy")
            for y in threads.map(lambda n: session.update(LAYERS[0], X[: 1 + n % 3]), range(8)):
                assert right(y, X[: len(y)], seed)


# Other processes


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_does_not_share_a_session(service: Process, alice: str) -> None:
    """Its requests would mix with those of its parent on one connection, and each would get the other's answers."""

    def child(session: Session, pipe: Any) -> None:
        said = []
        for call in (lambda: session.update(LAYERS[0], X[:1]), session.keys, session.close):
            try:
                call()
                said.append("done")
            except RuntimeError as problem:
                said.append(str(problem))
        pipe.send(said)

    with Session(service.url, alice, model="tiny") as session:
        session.update(LAYERS[0], X[:1])
        assert right(session.update(LAYERS[0], X[:1]), X[:1])
        mine, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("fork").Process(target=child, args=(session, theirs), daemon=True)
        process.start()
        try:
            assert mine.poll(30)
            first, second, third = mine.recv()
        finally:
            process.kill()
            process.join()
        assert "process" in first and "process" in second and third == "done"
        assert right(session.update(LAYERS[0], X[:1]), X[:1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_does_not_share_a_session_of_asyncio(service: Process, alice: str) -> None:
    def child(session: AsyncSession, pipe: Any) -> None:
        said = []
        for x in (X[:1], X):
            try:
                asyncio.run(session.update(LAYERS[0], x))
            except RuntimeError as problem:
                said.append(str(problem))
        asyncio.run(session.close())
        pipe.send(said)

    async def main() -> list[str]:
        async with AsyncSession(service.url, alice, model="tiny") as session:
            await session.update(LAYERS[0], X[:1])
            mine, theirs = multiprocessing.Pipe()
            process = multiprocessing.get_context("fork").Process(target=child, args=(session, theirs), daemon=True)
            # asyncio takes one loop in another for a mistake, and forgets that it has forked
            with ThreadPoolExecutor(1) as thread:
                thread.submit(process.start).result()
            try:
                assert mine.poll(30)
                said: list[str] = mine.recv()
            finally:
                process.kill()
                process.join()
            assert right(await session.update(LAYERS[0], X), X)
            return said

    assert ["process" in said for said in asyncio.run(main())] == [True, True]


def test_processes_that_start_together_have_one_secret_key(
    service: Process, alice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each finds no file, and makes one: who comes second takes the first one's."""
    import slotlang.client.secrets as module

    both, plain, file = threading.Barrier(2), module.write_secret, tmp_path / "secret"

    def write(*arguments: Any, **more: Any) -> None:
        both.wait(30)
        plain(*arguments, **more)

    monkeypatch.setattr(module, "write_secret", write)
    with Session(service.url, alice, model="tiny") as session:
        parameters = session.adapter().ring
    with ThreadPoolExecutor(2) as threads:
        one, two = threads.map(lambda _: module.secret_key(file, parameters), range(2))
    assert one.to_bytes() == two.to_bytes() == file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600 and [p.name for p in tmp_path.iterdir()] == ["secret"]


def test_a_secret_key_is_made_where_files_have_no_second_names(
    service: Process, alice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from slotlang.client.secrets import read_secret, write_secret

    def no_links(path: Path, _: Path) -> None:
        raise PermissionError(1, "not here", str(path))

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    file = tmp_path / "secret"
    with Session(service.url, alice, model="tiny", secret=file) as session:
        assert right(session.update(LAYERS[0], X))
        before = file.read_bytes()
    with pytest.raises(FileExistsError):
        write_secret(file, read_secret(file), new=True)
    assert file.read_bytes() == before and not list(tmp_path.glob(".slotlang*"))


def test_another_key_in_the_file_does_not_go_on_with_the_session(service: Process, alice: str, tmp_path: Path) -> None:
    """Of a copy that was put back, say: the service's keys belong to the other one."""
    file = tmp_path / "secret"
    with Session(service.url, alice, model="tiny", secret=file) as session:
        session.update(LAYERS[0], X)
        old = file.read_bytes()
        session.rotate()
        assert right(session.update(LAYERS[0], X))
    file.write_bytes(old)
    with Session(service.url, alice, model="tiny", secret=file) as session:
        assert right(session.update(LAYERS[0], X))


def test_a_process_takes_the_key_that_another_one_has_made(service: Process, alice: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    with (
        Session(service.url, alice, model="tiny", secret=file) as session,
        Session(service.url, alice, model="tiny", secret=file) as other,
    ):
        for x in (X, X[:1]):
            assert right(session.update(LAYERS[0], x), x)
            made = other.rotate()
            assert right(session.update(LAYERS[0], x), x)
            # what it asks for now is encrypted by the file's key
            assert session.keys()["id"] == made["id"]
            assert right(other.update(LAYERS[0], x), x)


@pytest.mark.parametrize("call", ["keys", "rotate", "end"])
@pytest.mark.parametrize("linked", [False, True])
def test_a_session_that_an_earlier_version_wrote_down_is_known(
    service: Process, alice: str, tmp_path: Path, call: str, linked: bool
) -> None:
    """It stood in a file beside the key's, by the name that the command had for this."""
    file = tmp_path / "secret"
    with Session(service.url, alice, model="tiny", secret=file) as session:
        before = session.keys()["id"]
    (written,) = [path for path in (tmp_path / "secret.sessions").iterdir() if path.name == before]
    kept = json.loads(written.read_text())
    shutil.rmtree(tmp_path / "secret.sessions")
    if linked:
        file.rename(tmp_path / "key")
        file.symlink_to("key")
    old = tmp_path / "secret.session"
    old.write_text(json.dumps({**kept, "session": before}))
    with Session(service.url, alice, model="tiny", secret=file) as session:
        if call == "keys":
            assert session.keys()["id"] == before
            assert right(session.update(LAYERS[0], X))
        else:
            assert getattr(session, call)()
            headers = {"Authorization": f"Bearer {alice}"}
            answer = httpx.get(f"{service.url}/v1/sessions/{before}", headers=headers, trust_env=False)
            assert answer.status_code == 404
    assert not old.exists()


@pytest.mark.parametrize("text", ["", "{}", "[]", "\0", '{"session": 1}', '{"session": "../x"}', '{"session": "x"}'])
def test_a_file_that_is_no_session_stays(service: Process, alice: str, tmp_path: Path, text: str) -> None:
    old = tmp_path / "secret.session"
    old.write_text(text)
    with Session(service.url, alice, model="tiny", secret=tmp_path / "secret") as session:
        assert session.keys()["ready"]
    assert old.read_text() == text


# Keys


def test_calls_of_one_upload_take_the_rotated_key(service: Process, alice: str) -> None:
    with Session(service.url, alice, model="tiny") as session:
        for _ in range(2):
            assert right(session.update(LAYERS[0], X[:1]), X[:1])
        for _ in range(2):
            session.rotate()
            assert right(session.update(LAYERS[0], X[:1]), X[:1])


def test_a_key_that_was_given_is_replaced_by_rotate_alone(service: Process, alice: str) -> None:
    build(service.folder, "given")
    service.load("given")
    with Session(service.url, alice, model="given") as session:
        secret = SecretKey(session.adapter().ring)
    build(service.folder, "given", precision=1e-3)
    service.load("given")
    with Session(service.url, alice, model="given", secret=secret) as session:
        for _ in range(2):
            with pytest.raises(ServiceProblem, match="SL544"):
                session.update(LAYERS[0], X[:1])
        session.rotate()
        assert right(session.update(LAYERS[0], X[:1]), X[:1])
        # what rotate makes is the session's own
        build(service.folder, "given", seed=1)
        service.load("given")
        assert right(session.update(LAYERS[0], X[:1]), X[:1], 1)
        session.rotate()
    with Session(service.url, alice, model="given", secret=secret) as session:
        session.rotate()
        build(service.folder, "given", seed=2, precision=1e-3)
        service.load("given")
        assert right(session.update(LAYERS[0], X[:1]), X[:1], 2)


def test_a_module_that_is_missing_costs_no_keys(service: Process, alice: str) -> None:
    with Session(service.url, alice, model="tiny") as session:
        before = session.keys()["id"]
        for x in (X[:1], X):
            with pytest.raises(ServiceProblem, match="SL571"):
                session.update("layers.9.q_proj", x)
        assert session.keys()["id"] == before


def test_calls_go_by_the_event_loop_where_a_proxy_stands_between(service: Process, alice: str) -> None:
    with Session(service.url, alice, model="tiny") as session:
        session._inner._connection.straight = None
        for _ in range(2):
            assert right(session.update(LAYERS[0], X[:1]), X[:1])


@pytest.mark.parametrize("tries", [1, 3])
def test_the_thread_that_calls_makes_the_first_of_the_tries(
    service: Process, alice: str, monkeypatch: pytest.MonkeyPatch, tries: int
) -> None:
    sent, waits = list[str](), list[float]()

    def refuse(*_: Any) -> Any:
        sent.append(threading.current_thread().name)
        raise ServiceProblem("SL575", "busy", again=True, wait=7.0)

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    with Session(service.url, alice, model="tiny", tries=tries) as session:
        assert right(session.update(LAYERS[0], X[:1]), X[:1])
        monkeypatch.setattr(Straight, "_posted", refuse)
        monkeypatch.setattr("slotlang.client.connection.asyncio.sleep", sleep)
        with pytest.raises(ServiceProblem, match="SL575"):
            session.update(LAYERS[0], X[:1])
    assert len(sent) == tries and sent[0] == threading.current_thread().name and sent[0] not in sent[1:]
    # as long as the service says, at least
    assert len(waits) == tries - 1 and all(7.0 <= wait <= 10.5 for wait in waits)


def test_a_secret_file_that_leads_nowhere_is_refused(service: Process, alice: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.symlink_to(tmp_path / "nothing" / "here")
    with Session(service.url, alice, model="tiny", secret=file) as session, pytest.raises(SlotError, match="SL582"):
        session.keys()


# Interruptions


@pytest.mark.parametrize("moment", ["before any part", "after the last part", "writing the file"])
@pytest.mark.parametrize("kept", [True, False])
def test_nobody_is_stuck_after_half_a_rotation(
    service: Process, alice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str, kept: bool
) -> None:
    """``kept``: the session of the same process goes on, else one that starts with the file."""
    import slotlang.client.rotation as module

    file, plain = tmp_path / "secret", Connection.put
    session = Session(service.url, alice, model="tiny", secret=file)
    assert right(session.update(LAYERS[0], X))

    async def put(self: Connection, *arguments: Any) -> Any:
        if moment == "after the last part":
            await plain(self, *arguments)
        raise ServiceProblem("SL580", "ends here")

    def write(*_: Any) -> None:
        raise ServiceProblem("SL582", "ends here")

    with monkeypatch.context() as patch:
        if moment == "writing the file":
            patch.setattr(module, "write_secret", write)
        else:
            patch.setattr(Connection, "put", put)
        with pytest.raises(ServiceProblem, match="ends here"):
            session.rotate()
    if not kept:
        session.close()
        session = Session(service.url, alice, model="tiny", secret=file)
    with session:
        assert right(session.update(LAYERS[0], X))
        session.rotate()
        session.rotate()
        assert right(session.update(LAYERS[0], X))
    with Session(service.url, alice, model="tiny", secret=file) as session:
        assert right(session.update(LAYERS[0], X))


ROTATES = """
import sys
from slotlang.client import Session
with Session(sys.argv[1], sys.argv[2], model="tiny", secret=sys.argv[3]) as session:
    session.keys()
    print("ready", flush=True)
    while True:
        session.rotate()
"""


@pytest.mark.parametrize("after", [0.0, 0.03, 0.07, 0.12, 0.2])
def test_a_process_that_is_killed_while_it_rotates_leaves_a_key_that_works(
    service: Process, alice: str, tmp_path: Path, after: float
) -> None:
    """At moments that differ by more than a step of a rotation takes: whichever step it is, nobody may be stuck."""
    file = tmp_path / "secret"
    command = [sys.executable, "-c", ROTATES, service.url, alice, str(file)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as child:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        time.sleep(after)
        child.kill()
    assert child.returncode == -signal.SIGKILL
    with Session(service.url, alice, model="tiny", secret=file) as session:
        assert right(session.update(LAYERS[0], X))


def test_keys_that_were_sent_in_part_are_sent_whole(
    service: Process, alice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import slotlang.client.sessions as module

    monkeypatch.setattr(module, "_CHUNK", 300_000)
    plain, parts = Connection.put, list[int]()

    async def put(self: Connection, *arguments: Any) -> Any:
        if len(parts) == 1:
            raise ServiceProblem("SL580", "ends here")
        parts.append(1)
        return await plain(self, *arguments)

    with Session(service.url, alice, model="tiny") as session:
        with monkeypatch.context() as patch:
            patch.setattr(Connection, "put", put)
            with pytest.raises(ServiceProblem, match="ends here"):
                session.keys()
        assert session.keys()["ready"]


@pytest.mark.parametrize("call", ["keys", "rotate"])
def test_keys_are_made_anew_for_a_session_that_has_ended(service: Process, alice: str, call: str) -> None:
    headers = {"Authorization": f"Bearer {alice}"}
    with Session(service.url, alice, model="tiny") as session:
        gone = session.keys()["id"]
        assert httpx.delete(f"{service.url}/v1/sessions/{gone}", headers=headers, trust_env=False).status_code == 204
        state = getattr(session, call)()
        assert state["ready"] and state["id"] != gone
        assert right(session.update(LAYERS[0], X))


@pytest.mark.parametrize("moment", ["encrypts", "waits", "decrypts"])
def test_a_call_that_is_interrupted_leaves_the_session_whole(
    service: Process, alice: str, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    def stop(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with Session(service.url, alice, model="tiny") as session:
        assert right(session.update(LAYERS[0], X[:2]), X[:2])
        assert right(session.update(LAYERS[0], X[:2]), X[:2])
        with monkeypatch.context() as patch:
            target: Any = _Line if moment == "waits" else Crypto
            patch.setattr(target, {"encrypts": "encrypt", "waits": "received", "decrypts": "decrypt"}[moment], stop)
            with pytest.raises(KeyboardInterrupt):
                session.update(LAYERS[0], X[2:4])
        # not with the answer to the other
        assert right(session.update(LAYERS[0], X[:2]), X[:2])
