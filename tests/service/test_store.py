"""Sessions and keys that last: quotas, eviction, expiry, damage."""

from __future__ import annotations

import hashlib
import json
import os
import random
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from slotlang.diagnostics import SlotError
from slotlang.service.answers import Answers
from slotlang.service.cache import Cache
from slotlang.service.clock import Clock as Steady
from slotlang.service.problems import Refusal
from slotlang.service.sessions import Session
from slotlang.service.state import state_of_one
from slotlang.service.store import Store
from slotlang.service.tokens import Tokens


class Clock:
    """Time that passes when it is told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def stored(store: Store, tenant: str = "a", keys: bytes = b"keys", **more: Any) -> Session:
    """A session with its keys."""
    session = store.create(tenant, "m", hashlib.sha256(keys).hexdigest(), len(keys), 100.0, **more)
    store.append(session, 0, keys, lambda data: None)
    assert store.ready(session)
    return session


def part_of(store: Store, session: Session) -> Path:
    """Where the session's keys are while they arrive."""
    return store.keys._part(session.tenant, session.keys)


def test_the_longest_unused_session_makes_room(tmp_path: Path) -> None:
    clock = Clock()
    store = Store(tmp_path, quota=30, clock=clock)
    pinned = stored(store, keys=b"0" * 10, pin=True)
    first = stored(store, keys=b"1" * 10)
    clock.now += 1
    second = stored(store, keys=b"2" * 10)
    clock.now += 60
    with store.using(first):
        pass
    clock.now += 1
    stored(store, keys=b"3" * 10)
    left = {s.id for s in store.of("a")}
    assert pinned.id in left and first.id in left and second.id not in left
    assert len(list((tmp_path / "keys").rglob("*"))) == 1 + 3
    # another tenant has a quota of its own
    stored(store, "b", b"4" * 30)


def test_a_session_in_use_is_never_evicted(tmp_path: Path) -> None:
    store = Store(tmp_path, quota=10)
    only = stored(store, keys=b"1" * 10)
    with store.using(only):
        with pytest.raises(Refusal, match="SL574"):
            stored(store, keys=b"2" * 10)
        assert store.ready(store.get("a", only.id))
    stored(store, keys=b"2" * 10)
    with pytest.raises(Refusal, match="SL574"):
        stored(store, keys=b"3" * 11)


def test_a_quota_that_can_not_be_kept_ends_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path, quota=30, most=3)
    pinned, used, free = stored(store, keys=b"0" * 10, pin=True), stored(store, keys=b"1" * 10), stored(store)
    with store.using(used):
        for size in (11, 30, 31, 1 << 40):
            with pytest.raises(Refusal, match="SL574"):
                store.create("a", "m", "0" * 64, size, 100.0)
    assert {s.id for s in store.of("a")} == {pinned.id, used.id, free.id} and store.ready(free)
    with pytest.raises(Refusal, match="SL574: the quota of this tenant is 30 bytes of keys, and these have 31"):
        store.create("a", "m", "0" * 64, 31, 100.0)
    # the number of sessions is no other matter
    with store.using(used), store.using(free), pytest.raises(Refusal, match="SL574"):
        store.create("a", "m", "0" * 64, 1, 100.0)
    assert len(store.of("a")) == 3


def test_sessions_whose_end_makes_no_room_stay(tmp_path: Path) -> None:
    clock = Clock()
    store, made = Store(tmp_path, quota=30, clock=clock), list[Session]()
    stored(store, keys=b"0" * 10, pin=True)
    # the longest unused one has the pinned one's keys
    for keys in (b"0" * 10, b"1" * 5, b"2" * 15):
        clock.now += 1
        made.append(stored(store, keys=keys))
    stored(store, keys=b"3" * 15)
    left = {s.id for s in store.of("a")}
    assert [s.id in left for s in made] == [True, True, False]


def test_a_session_that_has_expired_and_is_in_use_counts(tmp_path: Path) -> None:
    clock = Clock()
    store = Store(tmp_path, quota=10, clock=clock)
    session = stored(store, keys=b"1" * 10)
    with store.using(session):
        clock.now += 101
        with pytest.raises(Refusal, match="SL574"):
            stored(store, keys=b"2" * 10)
    stored(store, keys=b"2" * 10)


def test_the_number_of_sessions_is_bounded(tmp_path: Path) -> None:
    store = Store(tmp_path, most=2)
    for number in range(4):
        stored(store, keys=b"%d" % number)
    assert len(store.of("a")) == 2


def test_sessions_with_the_same_keys_share_a_file(tmp_path: Path) -> None:
    store = Store(tmp_path)
    one, other = stored(store), stored(store)
    assert store.key_file(one) == store.key_file(other)
    # and those of another tenant do not: nobody learns that a file is there
    assert not store.ready(store.create("b", "m", one.keys, 4, 100.0))
    store.delete(one)
    assert store.key_file(other).read_bytes() == b"keys"
    store.delete(other)
    assert not list((tmp_path / "keys").rglob("*" + other.keys))


def test_expired_sessions_go(tmp_path: Path) -> None:
    clock = Clock()
    store = Store(tmp_path, clock=clock)
    session = stored(store)
    with store.using(session):
        clock.now += 101
        assert store.expire() == 0
    with pytest.raises(Refusal, match="SL571"):
        store.get("a", session.id)
    with pytest.raises(Refusal, match="SL571"), store.using(session):
        pass
    assert store.expire() == 1 and store.count == 0
    assert not list((tmp_path / "sessions").iterdir())


def test_keys_that_were_all_there_when_the_process_ended_are_checked_in_the_next(tmp_path: Path) -> None:
    """Found by `make faults`."""
    store = Store(tmp_path)
    session = store.create("a", "m", hashlib.sha256(b"keys").hexdigest(), 4, 100.0)
    store.append(session, 0, b"key", lambda data: None)
    with part_of(store, session).open("ab") as part:
        part.write(b"s")
    store.close()
    again = Store(tmp_path)
    session = again.get("a", session.id)
    assert (again.ready(session), again.received(session)) == (False, 4)
    for _ in range(2):
        # once more changes nothing
        again.append(session, 4, b"", lambda data: None)
        assert again.ready(session)


def test_keys_that_were_checked_when_the_process_ended_are_the_sessions(tmp_path: Path) -> None:
    """Found by `make faults`: they seemed to be gone."""
    store = Store(tmp_path)
    session = store.create("a", "m", hashlib.sha256(b"keys").hexdigest(), 4, 100.0)
    store.append(session, 0, b"key", lambda data: None)
    with part_of(store, session).open("ab") as part:
        part.write(b"s")
    part_of(store, session).replace(part_of(store, session).with_suffix(""))
    for again in (store, Store(tmp_path)):
        assert again.ready(again.get("a", session.id))
        again.append(session, 4, b"", lambda data: None)
        assert [path.name for path in again.key_file(session).parent.iterdir()] == [session.keys]


def test_keys_that_fail_their_check_are_dropped(tmp_path: Path) -> None:
    store = Store(tmp_path)
    session = store.create("a", "m", hashlib.sha256(b"keys").hexdigest(), 4, 100.0)

    def check(data: bytes) -> None:
        raise ValueError("no keys")

    with pytest.raises(ValueError, match="no keys"):
        store.append(session, 0, b"keys", check)
    assert store.received(session) == 0 and not store.ready(session)


DAMAGE: dict[str, Any] = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "something else": lambda path: path.write_bytes(b"x" * 10_000),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "a folder's rights": lambda path: path.write_bytes(b"SQLite format 3\0" + bytes(8000)),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_the_index_is_made_from_the_files(name: str, tmp_path: Path) -> None:
    store = Store(tmp_path)
    sessions = {stored(store, keys=b"%d" % number).id for number in range(30)}
    store.close()
    DAMAGE[name](tmp_path / "index.sqlite")
    again = Store(tmp_path)
    assert {s.id for s in again.of("a")} == sessions


def test_an_index_of_other_columns_is_made_anew(tmp_path: Path) -> None:
    store = Store(tmp_path)
    session = stored(store)
    store.close()
    (tmp_path / "index.sqlite").unlink()
    with sqlite3.connect(tmp_path / "index.sqlite") as other:
        other.execute("CREATE TABLE sessions (id TEXT)")
    other.close()
    assert Store(tmp_path).get("a", session.id).keys == session.keys


def test_what_an_earlier_version_kept_goes_on(tmp_path: Path) -> None:
    """It named keys that were not all there as ``coming``; in a rotation beside those that were."""
    store = Store(tmp_path)
    whole, part, rotated = (stored(store, keys=keys) for keys in (b"whole", b"part", b"rotated"))
    store.close()
    for session, keys, coming in ((whole, "whole", ""), (part, "", "part"), (rotated, "rotated", "others")):
        file = tmp_path / "sessions" / f"{session.id}.json"
        values = json.loads(file.read_text())
        for name, size, content in (("keys", "bytes", keys), ("coming", "coming_bytes", coming)):
            values[name] = hashlib.sha256(content.encode()).hexdigest() if content else ""
            values[size] = len(content)
        file.write_text(json.dumps(values))
    store.key_file(part).rename(part_of(store, part))
    os.truncate(part_of(store, part), 2)
    (tmp_path / "index.sqlite").unlink()
    with sqlite3.connect(tmp_path / "index.sqlite") as index:
        index.execute(
            "CREATE TABLE sessions (id TEXT PRIMARY KEY, tenant TEXT NOT NULL, model TEXT NOT NULL, created REAL NOT "
            "NULL, expires REAL NOT NULL, pinned INTEGER NOT NULL, keys TEXT NOT NULL, bytes INTEGER NOT NULL, coming "
            "TEXT NOT NULL, coming_bytes INTEGER NOT NULL, used REAL NOT NULL) WITHOUT ROWID"
        )
    index.close()
    store = Store(tmp_path)
    assert {s.id: s for s in store.of("a")} == {s.id: s for s in (whole, part, rotated)}
    assert (store.ready(whole), store.ready(part), store.ready(rotated)) == (True, False, True)
    store.append(part, 2, b"rt", lambda data: None)
    assert store.ready(part) and store.ready(stored(store, keys=b"new"))


def test_damage_while_it_runs_is_noticed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    session = stored(store)
    store._index._connection.execute("DROP TABLE sessions")
    assert store.get("a", session.id) == session and store.of("a") == [session]
    assert store.rebuilt == 1


def test_a_session_file_that_is_damaged_is_made_from_the_index(tmp_path: Path) -> None:
    store = Store(tmp_path)
    one, other = stored(store, keys=b"1"), stored(store, keys=b"2")
    file = tmp_path / "sessions" / f"{one.id}.json"
    good = file.read_bytes()
    file.write_text("{")
    # while it runs, and at the start
    assert store.get("a", one.id) == one and file.read_bytes() == good
    file.write_bytes(good[:40])
    store.close()
    again = Store(tmp_path)
    assert again.get("a", one.id) == one and file.read_bytes() == good
    # without the index it costs that session alone, and no keys: nobody knows whose they are
    again.close()
    file.write_text("{")
    (tmp_path / "index.sqlite").unlink()
    assert [s.id for s in Store(tmp_path).of("a")] == [other.id]
    assert len([path for path in (tmp_path / "keys").rglob("*") if path.is_file()]) == 2


def test_random_damage_of_the_index_costs_no_session(tmp_path: Path) -> None:
    rng, clock = random.Random(0), Clock()
    store = Store(tmp_path, clock=clock)
    sessions = {s.id: s for s in (stored(store, keys=b"%d" % number) for number in range(40))}
    index = tmp_path / "index.sqlite"
    for _ in range(12):
        for _ in range(2):
            data = bytearray(index.read_bytes())
            at = rng.randrange(len(data) - 64)
            data[at : at + 64] = rng.randbytes(64)
            with index.open("r+b") as stream:
                stream.write(data)
            # while it runs: what is asked for, and what is swept
            store.expire()
            assert {name: store.get("a", name) for name in sessions} == sessions
        store.close()
        store = Store(tmp_path, clock=clock)
        assert {s.id: s for s in store.of("a")} == sessions
        assert all(store.key_file(session).is_file() for session in sessions.values())
    assert store.rebuilt <= 1


def test_a_disk_that_is_full_is_no_damage(tmp_path: Path) -> None:
    store = Store(tmp_path)
    kept = stored(store)
    store._index._connection.execute("PRAGMA max_page_count=6")
    made: list[str] = []
    with pytest.raises(Refusal, match="SL575: the service's disk is full"):
        for number in range(300):
            made.append(store.create("a", "m", hashlib.sha256(b"%d" % number).hexdigest(), 4, 100.0).id)
    assert made and store.rebuilt == 0 and store.get("a", kept.id) == kept
    store._index._connection.execute("PRAGMA max_page_count=1000000")
    store.create("a", "m", "0" * 64, 4, 100.0)
    assert {*made, kept.id} <= {session.id for session in store.of("a")}


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    kept = stored(store)
    coming = store.create("a", "m", hashlib.sha256(b"more").hexdigest(), 4, 100.0)
    store.append(coming, 0, b"mo", lambda data: None)
    store.close()
    keys = store.key_file(kept).parent
    for path in (keys / ("0" * 64), keys / f"{'1' * 64}.part", tmp_path / "sessions" / ".slotlang.1.aa"):
        path.write_bytes(b"left")
    again = Store(tmp_path)
    assert sorted(path.name for path in keys.iterdir()) == sorted([kept.keys, f"{coming.keys}.part"])
    assert again.received(again.get("a", coming.id)) == 2
    assert not list((tmp_path / "sessions").glob(".*"))


def test_a_clock_that_jumps_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Steady()
    store, answers = Store(tmp_path, clock=clock), Answers(tmp_path / "answers", 10.0, clock=clock)
    session = stored(store)
    answers.store(answers.begin("name", "body"), 0, b"part")
    real = time.time
    for years in (10, -10):
        monkeypatch.setattr("time.time", lambda years=years: real() + years * 3e7)
        assert clock.jumped == pytest.approx(years * 3e7, abs=5)
        assert (store.expire(), answers.expire()) == (0, 0)
        assert store.get("a", session.id) == session and answers.begin("name", "body").parts == {0: b"part"}
    # a service that starts with that clock does not keep an answer for ten years
    assert Answers(tmp_path / "answers", 10.0, clock=Steady()).expire() == 1


def test_one_service_has_a_state(tmp_path: Path) -> None:
    with state_of_one(tmp_path), pytest.raises(SlotError, match="SL564"), state_of_one(tmp_path):
        pass
    with state_of_one(tmp_path):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(SlotError, match="SL564"), state_of_one(tmp_path / "file"):
        pass


@pytest.mark.parametrize("name", ["", "../index", "A" * 21, "A" * 23, "%", "A" * 22])
def test_names_of_sessions_are_no_paths(name: str, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="SL571"):
        Store(tmp_path).get("a", name)


def test_tokens_are_256_random_bits_of_which_a_hash_is_kept(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    token, tenant = tokens.add("a", models=("m",))
    other, _ = tokens.add("a")
    assert token != other and len(token) == 5 + 43
    assert (tmp_path / f"{hashlib.sha256(token.encode()).hexdigest()}.json").stat().st_mode & 0o777 == 0o600
    found = tokens.find(token)
    assert found == tenant and found.sees("m") and not found.sees("n")
    assert tokens.find(token[:-1]) is None and tokens.find(hashlib.sha256(token.encode()).hexdigest()) is None
    # what is known of a file is no longer than the file is the same
    path = tmp_path / f"{hashlib.sha256(other.encode()).hexdigest()}.json"
    assert (second := tokens.find(other)) and second.models is None and tokens.find(other) is second
    path.write_text(path.read_text().replace("null", '["m"]'))
    assert (changed := tokens.find(other)) and changed.models == ("m",)
    assert len(tokens.remove("a")) == 2 and tokens.find(other) is None
    with pytest.raises(SlotError, match="SL005"):
        tokens.add("../a")


def test_what_is_held_is_bounded_and_what_is_in_use_stays() -> None:
    seen: list[bool] = []
    cache: Cache[str] = Cache(10, seen.append)
    loads: list[str] = []

    def load(name: str) -> Any:
        def made() -> tuple[str, int]:
            loads.append(name)
            return name, 6

        return made

    with cache.use("a", load("a")) as a, cache.use("b", load("b")) as b, cache.use("a", load("a")):
        assert (a, b, cache.bytes) == ("a", "b", 12)
    assert cache.bytes == 6
    with cache.use("b", load("b")), pytest.raises(ZeroDivisionError), cache.use("c", lambda: (str(1 // 0), 1)):
        pass
    assert seen == [False, False, True, False, False]
    with cache.use("c", load("c")):
        pass
    assert cache.bytes == 6 and loads[-1] == "c"


def test_what_shall_not_be_pinned_goes_first() -> None:
    cache: Cache[str] = Cache(10, share=0.9)
    with cache.use("gated", lambda: ("gated", 5), pin=False), cache.use("whole", lambda: ("whole", 5)):
        pass
    with cache.use("next", lambda: ("next", 5), pin=False):
        pass
    hits: list[bool] = []
    cache._noted = hits.append
    with cache.use("whole", lambda: ("whole", 5)), cache.use("gated", lambda: ("gated", 5), pin=False):
        pass
    assert hits == [True, False]


def test_a_cyclic_sweep_finds_what_is_pinned() -> None:
    """An LRU of nine tenths of what is swept through never hits."""
    now, hits = [0.0], list[bool]()

    def sweep(cache: Cache[int], names: Sequence[Any]) -> float:
        hits.clear()
        for name in names:
            now[0] += 0.1
            with cache.use(name, lambda: (0, 10)):
                pass
            assert cache.bytes <= 90
        return sum(hits) / len(names)

    plain = Cache[int](90, hits.append, clock=lambda: now[0])
    pinning = Cache[int](90, hits.append, 0.7, clock=lambda: now[0])
    for cache in (plain, pinning):
        sweep(cache, range(10))
    assert sweep(plain, range(10)) == 0.0
    assert sweep(pinning, range(10)) >= 0.6
    # others are swept through: what was pinned stays for a while, and then goes
    sweep(pinning, range(10, 20))
    assert sweep(pinning, range(10, 20)) == 0.0
    now[0] += 100
    sweep(pinning, range(10, 20))
    assert sweep(pinning, range(10, 20)) >= 0.6
