"""Stored answers: what a request that comes again is given, whatever happened to the files meanwhile."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from slotlang.service import answers as module
from slotlang.service.answers import Answers
from slotlang.service.problems import Refusal
from slotlang.service.segments import HEAD, Segment


class Clock:
    """Time that passes when it is told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def answers(tmp_path: Path, clock: Clock) -> Answers:
    return Answers(tmp_path / "answers", 100.0, clock=clock)


def again(answers: Answers, limit: int = 1 << 34) -> Answers:
    """Those of the next process."""
    return Answers(answers.folder, answers.window, limit, answers.clock)


def give(answers: Answers, name: str, *parts: bytes) -> None:
    """Store an answer of these parts."""
    stored = answers.begin(name, "body")
    for number, part in enumerate(parts):
        answers.store(stored, number, part)


def parts(answers: Answers, name: str) -> list[bytes]:
    """The parts that are stored, in order."""
    return [part for _, part in sorted(answers.begin(name, "body").parts.items())]


def files(answers: Answers) -> list[Path]:
    """The segments, in the order in which they were made."""
    return sorted(answers.folder.iterdir())


def test_answers_are_kept_for_their_window(answers: Answers, clock: Clock) -> None:
    names = [answers.name(*who) for who in (("a", "s", "k"), ("b", "s", "k"), ("a", "t", "k"))]
    # keys of other sessions and tenants are others
    assert len(set(names)) == 3
    for name in names:
        new = answers.begin(name, "d" * 64)
        assert (new.parts, answers.known(name)) == ({}, False)
        answers.store(new, 1, b"part")
        answers.store(new, 0, b"")
    # also for the next process
    for one in (answers, again(answers)):
        assert one.known(names[0]) and one.begin(names[0], "d" * 64).parts == {1: b"part", 0: b""}
        assert one.begin(names[0], "d" * 64).begun == 1000.0
        with pytest.raises(Refusal, match="SL576"):
            one.begin(names[0], "another body")
    clock.now += 99
    assert answers.expire() == 0
    clock.now += 2
    # over, whether it was swept away or not
    assert answers.begin(names[0], "another body").parts == {} and not answers.known(names[0])
    assert answers.expire() == 2 and answers.size == 0 and files(answers) == []


def test_nobody_else_reads_them(answers: Answers) -> None:
    give(answers, "name", b"part")
    (path,) = files(answers)
    assert (path.stat().st_mode & 0o777, answers.folder.stat().st_mode & 0o777) == (0o600, 0o700)


def test_many_answers_share_a_file(answers: Answers, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FULL", 4 * (HEAD + 10))
    for number in range(8):
        give(answers, f"{number}", b"1234567890")
    assert [path.stat().st_size for path in files(answers)] == [4 * (HEAD + 10)] * 2
    assert answers.size == 8 * (HEAD + 10)
    # none takes parts for long: what it holds would be kept for as long as the youngest of them
    for _ in range(8):
        clock.now += 2
        give(answers, f"at {clock.now}", b"")
    assert len(files(answers)) > 4


def test_files_are_closed(answers: Answers) -> None:
    # each tenant has one, and there may be many
    for tenant in ("alice", "bob", "carol"):
        give(answers, answers.name(tenant, "session", "key"), b"part")
    answers.close()
    # requests that are under way are stored even then
    give(answers, "last", b"part")
    assert not [path for path in Path("/proc/self/fd").iterdir() if answers.folder in path.resolve().parents]
    assert parts(again(answers), "last") == [b"part"] and len(files(answers)) == 4


def test_an_answer_may_lie_in_two_files(answers: Answers, clock: Clock) -> None:
    give(answers, "name", b"first")
    clock.now += 50
    answers.store(answers.begin("name", "body"), 1, b"second")
    assert len(files(answers)) == 2
    for one in (answers, again(answers)):
        assert parts(one, "name") == [b"first", b"second"]
    clock.now += 51
    # both go when its window is over, and it counts once
    assert answers.expire() == 1 and files(answers) == [] and not answers.known("name")


def test_a_file_goes_as_a_whole_while_others_are_in_use(answers: Answers, clock: Clock) -> None:
    give(answers, "old", b"old")
    clock.now += 4
    give(answers, "younger", b"younger")
    clock.now += 94
    give(answers, "new", b"new")
    clock.now += 3
    first, second = files(answers)
    # its youngest answer has three seconds left
    assert answers.expire() == 0 and first.exists()
    assert parts(answers, "younger") == [b"younger"] and parts(answers, "old") == []
    clock.now += 3
    assert answers.expire() == 1 and files(answers) == [second]
    assert answers.size == second.stat().st_size and parts(answers, "new") == [b"new"]


def test_a_name_that_comes_again_after_its_window_begins_anew(answers: Answers, clock: Clock) -> None:
    give(answers, "name", b"first", b"more")
    clock.now += 101
    new = answers.begin("name", "another")
    assert new.parts == {}
    answers.store(new, 0, b"second")
    for one in (answers, again(answers)):
        assert one.begin("name", "another").parts == {0: b"second"}
        # the older file is deleted, and what came since stays
        one.expire()
        assert one.begin("name", "another").parts == {0: b"second"} and len(files(one)) == 1


@pytest.mark.parametrize("jump", [1e6, -1e6])
def test_what_another_clock_wrote_is_forgotten(jump: float, answers: Answers, clock: Clock) -> None:
    give(answers, "name", b"part")
    clock.now += jump
    after = again(answers)
    assert parts(after, "name") == []
    give(after, "other", b"part")
    assert after.expire() == 0 and parts(after, "other") == [b"part"] and len(files(after)) == 1


def test_half_a_part_hides_none_before_it(answers: Answers) -> None:
    give(answers, "name", b"first")
    (path,) = files(answers)
    whole = path.stat().st_size
    answers.store(answers.begin("name", "body"), 1, b"second")
    data = path.read_bytes()
    for size in range(whole, len(data)):
        path.write_bytes(data[:size])
        after = again(answers)
        assert parts(after, "name") == [b"first"] and after.size == size
        after.store(after.begin("name", "body"), 1, b"again")
        # in a file of its own: behind half a part nobody would find it
        assert parts(after, "name") == parts(again(after), "name") == [b"first", b"again"]
        files(after)[1].unlink()
    for size in range(whole):
        path.write_bytes(data[:size])
        after = again(answers)
        assert parts(after, "name") == [] and after.expire() == 0 and files(after) == []


def test_a_part_that_lost_its_end_is_not_given(answers: Answers) -> None:
    give(answers, "name", b"first", b"second")
    (path,) = files(answers)
    os.truncate(path, path.stat().st_size - 1)
    assert parts(answers, "name") == [b"first"]


def test_a_damaged_head_hides_none_before_it_and_gives_nothing_wrong(answers: Answers) -> None:
    written = {name: name.encode() * 9 for name in "abcd"}
    for name, part in written.items():
        give(answers, name, part)
    (path,) = files(answers)
    data, step = path.read_bytes(), HEAD + 9
    for at in range(2 * step, 2 * step + HEAD):
        damaged = bytearray(data)
        damaged[at] ^= 1 << at % 8
        path.write_bytes(damaged)
        after = again(answers)
        assert [parts(after, name) for name in written] == [[written["a"]], [written["b"]], [], []]
        # nor does the process that knows all places
        assert [parts(answers, name) for name in written] == [[written["a"]], [written["b"]], [], [written["d"]]]


def test_whatever_is_damaged_parts_are_those_that_were_stored_or_not_there(answers: Answers) -> None:
    rng, names = random.Random(5), [f"{number}" for number in range(20)]
    for name in names:
        # the bytes of a part look like a head
        inner = files(answers)[0].read_bytes()[:HEAD] if files(answers) else b""
        give(answers, name, inner + name.encode())
    given = {name: parts(answers, name) for name in names}
    (path,) = files(answers)
    data = path.read_bytes()
    for _ in range(300):
        damaged = bytearray(data)
        at = rng.randrange(len(data))
        del damaged[at : at + rng.choice([0, 1, HEAD, 1000])]
        damaged[at:at] = rng.choice([b"", b"\0", data[:HEAD], data[: rng.randrange(500)]])
        path.write_bytes(damaged)
        after = again(answers)
        for name in names:
            found = parts(after, name)
            whole = found == given[name] or found == []
            # a part's own bytes are for the reader to check
            assert whole or [len(part) for part in found] == [len(part) for part in given[name]]


def test_what_an_earlier_version_kept_is_deleted(tmp_path: Path) -> None:
    (tmp_path / ("0" * 40)).write_bytes(b"1000.0 digest\n")
    (tmp_path / ".gone.1").write_bytes(b"1")
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    answers = Answers(tmp_path, 10.0)
    assert files(answers) == [] and answers.size == 0


def short(file: int, pieces: Sequence[bytes]) -> int:
    """A write to a disk that has room for some bytes."""
    return os.write(file, b"".join(pieces)[: HEAD + 2])


def test_a_part_that_does_not_fit_leaves_nothing(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    give(answers, "name", b"first")
    (path,) = files(answers)
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "writev", short)
        with pytest.raises(OSError, match="no room"):
            answers.store(answers.begin("name", "body"), 1, b"second")
        with pytest.raises(OSError, match="no room"):
            give(answers, "other", b"part")
    assert not answers.known("other") and path.read_bytes() == before and answers.size == len(before)
    # and what follows is found
    give(answers, "last", b"part")
    for one in (answers, again(answers)):
        assert parts(one, "name") == [b"first"] and parts(one, "last") == [b"part"]


def test_nothing_follows_what_could_not_be_cut_back(
    answers: Answers, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(answers, "name", b"first")

    def failed(*given: object) -> None:
        raise OSError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(os, "writev", short)
        patch.setattr(os, "ftruncate", failed)
        with pytest.raises(OSError, match="no room"):
            give(answers, "other", b"part")
    # half a part stays, and counts
    assert answers.size == sum(path.stat().st_size for path in files(answers)) > 2 * HEAD
    give(answers, "last", b"part")
    for one in (answers, again(answers)):
        assert parts(one, "name") == [b"first"] and parts(one, "last") == [b"part"]
        assert one.size == sum(path.stat().st_size for path in files(answers))
    clock.now += 101
    answers.expire()
    assert answers.size == 0 and files(answers) == []


PART = b"1" * 1000
LIMIT = 100 * (HEAD + len(PART))
"""Bytes for 100 answers of one part."""


def kept(answers: Answers, tenant: str) -> list[int]:
    """The numbers of the tenant's answers that are stored."""
    return [number for number in range(1000) if answers.known(answers.name(tenant, "session", f"{number}"))]


def give_many(answers: Answers, tenant: str, numbers: range) -> None:
    """Store answers with these numbers."""
    for number in numbers:
        give(answers, answers.name(tenant, "session", f"{number}"), PART)


def test_a_tenant_that_stores_much_loses_its_oldest_answers_and_others_none(tmp_path: Path, clock: Clock) -> None:
    answers = Answers(tmp_path, 100.0, LIMIT, clock)
    give_many(answers, "bob", range(10))
    give_many(answers, "alice", range(300))
    # all of the room that nobody else uses
    assert kept(answers, "bob") == [*range(10)] and kept(answers, "alice") == [*range(210, 300)]
    assert answers.size == LIMIT == sum(path.stat().st_size for path in files(answers))
    # those who come later have their share, which ends at an equal one; also in the next process
    give_many(answers, "bob", range(10, 40))
    answers = again(answers, LIMIT)
    give_many(answers, "bob", range(40, 100))
    assert kept(answers, "bob") == [*range(50, 100)] and kept(answers, "alice") == [*range(250, 300)]
    give_many(answers, "carol", range(30))
    assert kept(answers, "carol") == [*range(30)]
    assert (len(kept(answers, "alice")), len(kept(answers, "bob"))) == (35, 35) and answers.size == LIMIT
    for tenant in ("alice", "bob", "carol"):
        for number in kept(answers, tenant):
            assert parts(answers, answers.name(tenant, "session", f"{number}")) == [PART]
    # what is gone is a new request
    assert parts(answers, answers.name("alice", "session", "0")) == []


def test_what_is_over_makes_room_first(tmp_path: Path, clock: Clock) -> None:
    answers = Answers(tmp_path, 100.0, LIMIT, clock)
    give_many(answers, "bob", range(10))
    clock.now += 101
    give_many(answers, "alice", range(100))
    assert kept(answers, "alice") == [*range(100)] and not kept(answers, "bob") and answers.size == LIMIT


def test_an_answer_that_is_larger_than_all_room_is_stored(tmp_path: Path, clock: Clock) -> None:
    answers = Answers(tmp_path, 10.0, 5, clock)
    for name in ("name", "other"):
        give(answers, name, b"12345")
        assert parts(answers, name) == [b"12345"] and len(files(answers)) == 1
    clock.now += 11
    assert answers.expire() == 1 and answers.size == 0


def test_threads_of_many_tenants_keep_to_the_bound(tmp_path: Path, clock: Clock) -> None:
    answers, failed = Answers(tmp_path, 1e6, LIMIT, clock), list[BaseException]()

    def work(tenant: str) -> None:
        try:
            give_many(answers, tenant, range(150))
        except BaseException as problem:
            failed.append(problem)

    give_many(answers, "quiet", range(5))
    threads = [threading.Thread(target=work, args=(f"{number % 3}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed and kept(answers, "quiet") == [*range(5)]
    # each of them may have written while all others did
    assert sum(path.stat().st_size for path in files(answers)) == answers.size <= LIMIT + 5 * (HEAD + len(PART))
    assert {kind for path in files(answers) for kind in [path.stat().st_size % (HEAD + len(PART))]} == {0}


def test_a_large_file_is_deleted_bit_by_bit(answers: Answers, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CUT", 1000)
    give(answers, "name", b"1" * 4500)
    (path,) = files(answers)
    size = answers.size
    clock.now += 101
    answers.close()
    # a closed one deletes one bit, and the next call goes on
    assert answers.expire(1.0) == 1 and not answers.known("name")
    assert path.stat().st_size == answers.size == size - 1000
    # an end in the middle leaves a file that the next process deletes
    assert again(answers).size == size - 1000
    assert sum(answers.expire(1.0) for _ in range(4)) == 0 and files(answers) == [] and answers.size == 0


def test_threads_do_not_wait_for_each_others_files(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, inside, go = os.writev, threading.Event(), threading.Event()

    def slow(file: int, pieces: Sequence[bytes]) -> int:
        if b"slow" in bytes(pieces[1]):
            inside.set()
            assert go.wait(20)
        return plain(file, pieces)

    monkeypatch.setattr(os, "writev", slow)
    busy = threading.Thread(target=give, args=(answers, "busy", b"slow"))
    busy.start()
    try:
        assert inside.wait(20)
        # this one returns while the other one writes, and nothing of that is there
        give(answers, "quick", b"part")
        answers.expire()
        assert parts(answers, "quick") == [b"part"] and not answers.known("busy")
    finally:
        go.set()
        busy.join()
    assert parts(answers, "busy") == [b"slow"] and len(files(answers)) == 2
    # one after the other needs no more files
    give(answers, "next", b"part")
    assert len(files(answers)) == 2


def test_many_threads_store_and_read_at_once(tmp_path: Path) -> None:
    answers, failed = Answers(tmp_path, 1e6, clock=time.time), list[object]()

    def content(name: str) -> list[bytes]:
        return [f"{name} {number} ".encode() * 500 for number in range(3)]

    def work(thread: int) -> None:
        try:
            for number in range(30):
                name = f"{thread}-{number}"
                give(answers, name, *content(name))
                back = f"{thread}-{number // 2}"
                assert parts(answers, back) == content(back)
        except BaseException as problem:
            failed.append(problem)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed and len(files(answers)) <= 8
    after = again(answers)
    assert after.size == answers.size == sum(path.stat().st_size for path in files(answers))
    for name in (f"{thread}-{number}" for thread in range(8) for number in range(30)):
        assert parts(after, name) == content(name)


def test_a_walk_reads_heads_alone(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        give(answers, f"{number}", b"1" * 100_000)
    (path,) = files(answers)
    with path.open("r+b") as stream:
        # one that ends behind the last head finds nothing more
        stream.truncate(path.stat().st_size - 1)
    heads = [at for at, _ in Segment(str(path), size=path.stat().st_size).walk()]
    assert heads == [number * (HEAD + 100_000) for number in range(4)]
