"""A fault of the system says nothing of what is stored: it is told, and nothing is remembered or deleted."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from slotlang.diagnostics import SlotError
from slotlang.service import durable, index
from slotlang.service.evaluator import Job, Placed
from slotlang.service.index import Index
from slotlang.service.manifest import File
from slotlang.service.problems import Refusal, refusal
from slotlang.service.sessions import Session
from slotlang.service.state import state_of_one
from slotlang.service.store import Store
from slotlang.service.tokens import Tokens


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Within, this process opens no file: EMFILE."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_fault_of_the_system_is_told_as_one() -> None:
    for number in (errno.EMFILE, errno.EIO, errno.ESTALE, errno.EACCES):
        told = refusal(OSError(number, "why"))
        assert (told.code, told.status) == ("SL575", 503) and told.retry_after and "why" not in str(told)


def test_a_token_that_could_not_be_read_is_read_again(tmp_path: Path) -> None:
    token, tenant = Tokens(tmp_path).add("alice")
    tokens = Tokens(tmp_path)
    with no_descriptors(), pytest.raises(OSError, match="Too many open files"):
        tokens.find(token)
    assert tokens.find(token) == tenant
    # what is not a token's file is none, and what is gone is gone
    (path,) = tmp_path.iterdir()
    path.write_text("{")
    assert tokens.find(token) is None
    path.unlink()
    assert tokens.find(token) is None


def test_a_file_that_can_not_be_read_is_neither_damaged_nor_missing(tmp_path: Path) -> None:
    data = b"keys"
    placed = Placed(tmp_path, File("file", hashlib.sha256(data).hexdigest(), len(data)))
    job = Job(placed, placed, placed, b"")
    (tmp_path / "file").write_bytes(data)
    for kind in ("keys", "weights", "program"):
        with no_descriptors(), pytest.raises(Refusal, match="SL575"):
            job.load(kind)
        assert job.load(kind) == data
    (tmp_path / "file").write_bytes(b"other")
    for code, problem in (("keys", "SL578"), ("weights", "SL562")):
        with pytest.raises((Refusal, SlotError), match=problem):
            job.load(code)  # type: ignore[arg-type]
    (tmp_path / "file").unlink()
    for code, problem in (("keys", "SL578"), ("weights", "SL001")):
        with pytest.raises((Refusal, SlotError), match=problem):
            job.load(code)  # type: ignore[arg-type]


def test_a_state_that_can_not_be_locked_is_not_said_to_be_anothers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*given: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(SlotError, match="No locks available"), state_of_one(tmp_path):
        pass


def stored(store: Store, keys: bytes) -> Session:
    """A session with its keys."""
    session = store.create("alice", "m", hashlib.sha256(keys).hexdigest(), len(keys), 1e6)
    store.append(session, 0, keys, lambda data: None)
    return session


def test_a_session_that_can_not_be_read_is_not_missing(tmp_path: Path) -> None:
    session = stored(Store(tmp_path), b"keys")
    store = Store(tmp_path)
    with no_descriptors(), pytest.raises(OSError, match="Too many open files"):
        store.get("alice", session.id)
    assert store.get("alice", session.id) == session and store.ready(session)


def test_keys_that_can_not_be_read_are_neither_damaged_nor_wrong(tmp_path: Path) -> None:
    store = Store(tmp_path)
    session = stored(store, b"keys")
    with no_descriptors(), pytest.raises(OSError, match="Too many open files"):
        store.check_keys(session)
    assert store.ready(session)

    # nor are those whose check the system does not let end
    coming = store.create("alice", "m", hashlib.sha256(b"more").hexdigest(), 4, 1e6)
    for problem in (OSError(errno.EIO, "Input/output error"), MemoryError()):

        def failed(data: bytes, problem: Exception = problem) -> None:
            raise problem

        with pytest.raises(type(problem)):
            store.append(coming, store.received(coming), b"more"[store.received(coming) :], failed)
        assert store.received(coming) == 4
    store.append(coming, 4, b"", lambda data: None)
    assert store.ready(coming)


def test_an_index_that_can_not_be_made_anew_now_is_made_anew_later(tmp_path: Path) -> None:
    store = Store(tmp_path)
    sessions = {session.id: session for session in (stored(store, b"%d" % number) for number in range(5))}
    store._index._connection.execute("DROP TABLE sessions")
    for _ in range(3):
        with no_descriptors(), pytest.raises((OSError, Refusal)) as problem:
            store.of("alice")
        assert refusal(problem.value).status == 503
    assert {session.id: session for session in store.of("alice")} == sessions
    # a session that was not found would take keys with it that others have
    assert all(store.ready(session) for session in sessions.values())


def test_a_start_keeps_what_it_can_not_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    one, other = stored(store, b"1"), stored(store, b"2")
    store.close()
    path = tmp_path / "sessions" / f"{one.id}.json"
    data = path.read_bytes()
    path.unlink()
    # reading it fails, whoever reads
    path.mkdir()
    store = Store(tmp_path)
    assert {session.id for session in store.of("alice")} == {one.id, other.id} and store.ready(one)
    with pytest.raises(OSError, match="Is a directory"):
        store.get("alice", one.id)
    store.close()
    # nobody knows whose keys it has, and without its name in the index they would be nobody's
    (tmp_path / "index.sqlite").unlink()
    with pytest.raises(OSError, match="Is a directory"):
        Store(tmp_path)
    path.rmdir()
    path.write_bytes(data)
    store = Store(tmp_path)
    assert store.get("alice", one.id) == one and store.ready(one) and len(store.of("alice")) == 2


class Faults:
    """From the ``number``-th change on, everything that changes a session's files or the index fails, until it is
    ``over``; ``once``: that one alone."""

    def __init__(self, number: int, once: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left, self.once, self.over, self.met = number, once, False, False
        for of, name in (
            *((Path, name) for name in ("unlink", "replace")),
            *((Index, name) for name in ("add", "remove", "sessions")),
            (durable, "flush"),
            (durable, "write_whole"),
        ):
            monkeypatch.setattr(of, name, self.failing(getattr(of, name)))

    def failing(self, real: Callable[..., object]) -> Callable[..., object]:
        """What this does, or fails in place of it."""

        def call(*given: object, **more: object) -> object:
            if not self.over:
                self.left -= 1
                if self.left < 0:
                    self.met, self.over = True, self.once
                    raise OSError(errno.EIO, "Input/output error")
            return real(*given, **more)

        return call


@pytest.mark.parametrize("once", [True, False])
@pytest.mark.parametrize("ends", [True, False])
def test_a_session_is_there_or_not_whatever_fails(
    ends: bool, once: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it begins to fail: for who asks for it, in the list, and for a service that starts then."""
    for number in range(100):
        store = Store(tmp_path / f"{number}")
        kept, ended = stored(store, b"kept"), stored(store, b"ended")
        with monkeypatch.context() as patch:
            faults = Faults(number, once, patch)
            try:
                if ends:
                    store.delete(ended)
                else:
                    store.create("alice", "m", "0" * 64, 1, 1e6)
            except OSError:
                assert faults.met
            faults.over = True
            names = {path.stem for path in (tmp_path / f"{number}" / "sessions").glob("*.json")}
            assert {session.id for session in store.of("alice")} == names >= {kept.id}
            assert all(store.get("alice", name).id == name for name in names) and store.count == len(names)
            if ended.id not in names:
                with pytest.raises(Refusal, match="SL571"):
                    store.get("alice", ended.id)
            again = Store(tmp_path / f"{number}")
            assert {session.id for session in again.of("alice")} == names
            keys = {session.keys for session in again.of("alice")}
            assert {path.name for path in (tmp_path / f"{number}" / "keys").glob("*/*")} <= keys
            assert again.ready(kept) and (again.ready(ended) or ended.id not in names)
        if not faults.met:
            assert number > 3 and (ended.id in names) != ends
            return
    raise AssertionError("it never ends well")


def test_a_session_that_can_not_be_forgotten_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And can be ended again, on a disk that has room."""
    store = Store(tmp_path)
    session = stored(store, b"keys")
    with monkeypatch.context() as patch:

        def full(*given: object) -> None:
            raise Refusal("SL575", "the service's disk is full")

        patch.setattr(Index, "remove", full)
        with pytest.raises(Refusal, match="the service's disk is full"):
            store.delete(session)
    assert store.of("alice") == [session] == [store.get("alice", session.id)] and store.ready(session)
    store.delete(session)
    assert not store.of("alice") and store.rebuilt == 0
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and "index" not in path.name]


def test_a_list_needs_no_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is a use forgotten that the index did not take."""
    store = Store(tmp_path)
    first, second = stored(store, b"1"), stored(store, b"2")
    with store.using(first):
        pass
    with monkeypatch.context() as patch:

        def full(*given: object) -> None:
            raise Refusal("SL575", "the service's disk is full")

        patch.setattr(Index, "used", full)
        assert {session.id for session in store.of("alice")} == {first.id, second.id}
    assert store.of("alice") == [second, first]


def test_an_index_that_another_process_has_locked_is_not_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "_LOCKED", 0.0)
    store = Store(tmp_path)
    session = stored(store, b"keys")
    other = sqlite3.connect(tmp_path / "index.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Refusal, match="SL575"):
        stored(store, b"more")
    # what needs no index goes on
    with store.using(session):
        assert store.get("alice", session.id) == session and store.ready(session)
    other.execute("ROLLBACK")
    other.close()
    assert store.of("alice") == [session] and store.rebuilt == 0
    assert [path.stem for path in (tmp_path / "sessions").iterdir()] == [session.id]
    assert store.ready(stored(store, b"more"))
