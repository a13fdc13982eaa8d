"""A store that many use at once: nobody waits for another tenant's keys, and what ended stays ended."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from slotlang.service.problems import Refusal
from slotlang.service.sessions import Session
from slotlang.service.store import Store

KEYS = b"0123456789"
HUNG = 20.0
"""Seconds after which a test that waits has failed: nothing here takes any."""


def sha256(keys: bytes) -> str:
    """What keys are known by."""
    return hashlib.sha256(keys).hexdigest()


def right(data: bytes) -> None:
    """A check that finds nothing."""


def new(store: Store, tenant: str, keys: bytes = KEYS) -> Session:
    """A session whose keys were not sent."""
    return store.create(tenant, "m", sha256(keys), len(keys), 1e6)


@contextmanager
def beside(work: Callable[[], object]) -> Iterator[threading.Thread]:
    """Within, work is under way in another thread; at the end it has ended."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield thread
    thread.join(HUNG)
    assert not thread.is_alive()


def done(work: Callable[[], object]) -> bool:
    """Whether work ends while everything else stays as it is."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(HUNG)
    return not thread.is_alive()


def used(store: Store, session: Session) -> None:
    """Use a session, as an evaluation does."""
    with store.using(store.get(session.tenant, session.id)):
        store.received(session)
        store.ready(session)


@pytest.mark.parametrize("held_up", ["while they are written", "while they are checked"])
def test_a_tenants_keys_hold_up_nobody_else(held_up: str, tmp_path: Path) -> None:
    store, go, inside = Store(tmp_path), threading.Event(), threading.Event()
    alices, bobs, ended = new(store, "alice"), new(store, "bob"), new(store, "bob", b"other")

    def check(data: bytes) -> None:
        inside.set()
        assert go.wait(HUNG)

    part, data = store.keys._part("alice", alices.keys), KEYS
    if held_up == "while they are written":
        # a write that waits for its disk: for whoever reads from this pipe
        part.parent.mkdir(exist_ok=True)
        os.mkfifo(part)
        data = KEYS[:5]
        release: Callable[[], object] = part.read_bytes
    else:
        release = go.set
    with beside(lambda: store.append(alices, 0, data, check)) as thread:
        if held_up == "while they are checked":
            assert inside.wait(HUNG)
        try:
            # the same session may be asked for and used, too
            for session in (alices, bobs):
                assert done(lambda session=session: used(store, session))  # type: ignore[misc]
            assert done(lambda: store.append(bobs, 0, KEYS, right)) and store.ready(bobs)
            assert done(lambda: store.delete(ended)) and done(lambda: new(store, "bob", b"third"))
            assert done(lambda: store.of("alice")) and store.count == 3
            assert thread.is_alive()
        finally:
            release()


def test_keys_are_checked_once_however_many_ask(tmp_path: Path) -> None:
    store, go, inside, checks = Store(tmp_path), threading.Event(), threading.Event(), list[int]()
    session = new(store, "alice")
    store.append(session, 0, KEYS[:-1], right)
    with store.keys._part("alice", session.keys).open("ab") as part:
        part.write(KEYS[-1:])

    def check(data: bytes) -> None:
        checks.append(len(data))
        inside.set()
        assert go.wait(HUNG)

    def ask() -> None:
        store.append(session, len(KEYS), b"", check)

    with beside(ask):
        assert inside.wait(HUNG)
        with beside(ask), beside(ask):
            go.set()
    assert checks == [len(KEYS)] and store.ready(session)


def test_a_tenant_that_waits_for_itself_takes_one_thread(tmp_path: Path) -> None:
    async def main() -> None:
        store, go, under_way = Store(tmp_path), threading.Event(), list[int]()

        def work(number: int) -> int:
            under_way.append(number)
            assert go.wait(HUNG)
            return number

        waiting = [asyncio.create_task(store.in_turn("alice", lambda n=n: work(n))) for n in range(200)]  # type: ignore[misc]
        try:
            # in a thread of the same pool
            assert await asyncio.wait_for(store.in_turn("bob", lambda: "bob"), HUNG) == "bob"
            assert under_way == [0]
        finally:
            go.set()
        assert await asyncio.gather(*waiting) == list(range(200))

    asyncio.run(main())


def test_what_has_ended_stays_ended(tmp_path: Path) -> None:
    store = Store(tmp_path)
    session = new(store, "alice")
    store.append(session, 0, KEYS[:5], right)
    store.delete(session)
    lates: list[Callable[[], object]] = [
        lambda: store.append(session, 5, KEYS[5:], right),
        lambda: store.check_keys(session),
        lambda: used(store, session),
    ]
    for late in lates:
        with pytest.raises(Refusal, match="SL571"):
            late()
    store.delete(session)
    left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert {name.partition("-")[0] for name in left} == {"index.sqlite"} and not store.of("alice")


def test_a_session_that_ends_while_its_keys_are_checked_is_gone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    session = new(store, "alice")
    enders: list[threading.Thread] = []

    def check(data: bytes) -> None:
        thread = threading.Thread(target=store.delete, args=(session,), daemon=True)
        thread.start()
        enders.append(thread)

    store.append(session, 0, KEYS, check)
    enders[0].join(HUNG)
    assert not enders[0].is_alive() and not store.ready(session) and not store.of("alice")
    assert not [path for path in (tmp_path / "keys").rglob("*") if path.is_file()]


def test_a_session_that_is_taken_into_use_is_not_evicted_meanwhile(tmp_path: Path) -> None:
    """Many times: each time it is either used and there, or was gone before."""
    store = Store(tmp_path, most=1)
    for number in range(100):
        session, found = new(store, "alice", b"%d" % number), list[str]()

        def use(session: Session = session, found: list[str] = found) -> None:
            try:
                with store.using(session):
                    found.append("there" if store.get("alice", session.id) else "")
                    with pytest.raises(Refusal, match="SL574"):
                        new(store, "alice", b"another")
                    store.get("alice", session.id)
            except Refusal as problem:
                found.append(problem.code)

        with beside(use):
            try:
                new(store, "alice", b"next")
            except Refusal as problem:
                assert problem.code == "SL574"
        assert found in (["there"], ["SL571"])
        for left in store.of("alice"):
            store.delete(left)


def test_whoever_uses_a_session_does_not_wait_for_the_end_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, go, inside = Store(tmp_path), threading.Event(), threading.Event()
    session, other, plain = new(store, "alice"), new(store, "bob"), Path.unlink

    def slow(path: Path, missing_ok: bool = False) -> None:
        inside.set()
        assert go.wait(HUNG)
        plain(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", slow)
    with beside(lambda: store.delete(session)):
        assert inside.wait(HUNG)
        try:
            assert done(lambda: used(store, other))
            # it is as good as gone
            with pytest.raises(Refusal, match="SL571"), store.using(session):
                pass
        finally:
            go.set()


def test_keys_have_one_size(tmp_path: Path) -> None:
    store = Store(tmp_path, quota=25)
    session = new(store, "alice")
    # while they come, and when they are there
    for part in (KEYS[:5], KEYS[5:]):
        for size in (1, 9, 11):
            with pytest.raises(Refusal, match="SL572: these keys have 10 bytes"):
                store.create("alice", "m", session.keys, size, 1e6)
        store.append(session, store.received(session), part, right)
    # what each session says is what the quota counts
    held = new(store, "alice", b"1" * 10)
    with store.using(session), store.using(held), pytest.raises(Refusal, match="SL574"):
        new(store, "alice", b"2" * 10)
    # nobody else is told
    assert store.create("bob", "m", session.keys, 1, 1e6).bytes == 1


def test_what_has_expired_makes_room_first(tmp_path: Path) -> None:
    now = [1000.0]
    store = Store(tmp_path, quota=20, clock=lambda: now[0])
    kept = store.create("alice", "m", sha256(KEYS), 10, 1e6)
    short = store.create("alice", "m", sha256(b"short"), 10, 5.0, pin=True)
    store.append(short, 0, b"short", right)
    now[0] += 10
    new(store, "alice", b"1" * 10)
    assert store.get("alice", kept.id) == kept
    # and was counted until it went
    assert not list((tmp_path / "keys").rglob(short.keys + "*"))


def test_keys_of_a_session_that_has_ended_are_not_called_damaged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path)
    caplog.set_level(logging.WARNING, "slotlang.service")
    session, other = new(store, "alice"), new(store, "alice")
    store.append(session, 0, KEYS, right)
    store.check_keys(session)
    assert store.ready(session)
    store.delete(session)
    with pytest.raises(Refusal, match="SL571"):
        store.check_keys(session)
    assert not caplog.records and store.ready(other)
    store.key_file(other).write_bytes(b"damaged")
    store.check_keys(other)
    assert not store.ready(other) and "damaged" in caplog.text
    store.append(other, 0, KEYS, right)
    assert store.ready(other)
