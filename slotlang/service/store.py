"""What lasts: sessions and their evaluation keys. Files are the truth; SQLite is their index, and can be made anew.

    STATE/sessions/ID.json      a session: tenant, model, its keys by content, times
    STATE/keys/TENANT/SHA256    evaluation keys by content; SHA256.part while they arrive
    STATE/index.sqlite          the same sessions, and when each was used last

A session is read from its file; the index finds those of a tenant, and those that have expired. A file is written
before the index names it, and loses its name before the index forgets it. Where the index can't be written, the file is
as it was before; where that fails too, the index is made anew from the files when it is used next. At the start it is
compared with them; one that is damaged is made anew, then or when it is noticed. Only use times are lost with it.

A session is made and ends, and does not change in between; it is ready when the file of its keys is there. Of a tenant
one thread at a time makes and ends sessions, and writes and checks keys: that may take long, and holds up nobody but
that tenant. Whoever asks for a session, and whoever uses one, waits for none of this.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar
from weakref import WeakValueDictionary

from slotlang.service.durable import write_durable
from slotlang.service.fields import Wrong
from slotlang.service.index import Index
from slotlang.service.key_files import KeyFiles
from slotlang.service.problems import MALFORMED, MISSING, NO_KEYS, TOO_MANY, Refusal
from slotlang.service.protocol import SESSION_ID
from slotlang.service.sessions import Session, SessionFiles, read_session
from slotlang_runtime.amounts import count_of

_LOG = logging.getLogger("slotlang.service")

Result = TypeVar("Result")

_UNFINISHED = ".slotlang."
"""How files begin that are not whole yet, or not needed any more."""


def no_session() -> Refusal:
    """What is said of a session that is not there, and of one that is not for whoever asks."""
    return Refusal(MISSING, "there is no such session, or it has expired", hint="make a new one")


class Store:
    """The sessions of a service. Threads may call it at the same time; one process has it (``state_of_one``).
    ``quota``: bytes of keys, and ``most``: sessions, of a tenant. Every method raises OSError, and Refusal SL575, where
    the system fails: that says nothing of what is stored."""

    def __init__(
        self, folder: Path, *, quota: int = 1 << 32, most: int = 1000, clock: Callable[[], float] = time.time
    ) -> None:
        self.folder, self.quota, self.most, self.clock = folder, quota, most, clock
        for path in (folder, folder / "sessions"):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.keys = KeyFiles(folder / "keys")
        self._files = SessionFiles()
        # each tenant's, while somebody has it
        self._locks = WeakValueDictionary[str, threading.RLock]()
        self._turns = WeakValueDictionary[str, asyncio.Lock]()
        # held for a moment only: the event loop takes it
        self._moment = threading.Lock()
        self._uses: Counter[str] = Counter()
        self._used: dict[str, float] = {}
        self._ending: set[str] = set()
        self._index = Index(folder / "index.sqlite", self._every)
        self._compare()

    def _every(self) -> Iterator[Session]:
        """The sessions that the files have, but those that are damaged."""
        for path in sorted((self.folder / "sessions").iterdir()):
            if path.suffix == ".json":
                try:
                    yield read_session(path)
                except FileNotFoundError:
                    # it has ended just now
                    continue
                except ValueError as problem:
                    _LOG.warning("the session file %s is left out: %s", path.name, problem)

    def _compare(self) -> None:
        """Make the index say what the files say, and remove what a process that was killed left."""
        indexed, named, whole = {s.id: s for s in self._index.sessions("TRUE")}, set[tuple[str, str]](), True
        for path in sorted((self.folder / "sessions").iterdir()):
            if path.name.startswith(_UNFINISHED):
                # half written, or of a session that has half ended
                path.unlink(missing_ok=True)
            if path.suffix != ".json":
                continue
            known = indexed.pop(path.stem, None)
            try:
                session = read_session(path)
            except OSError:
                if known is None:
                    # its keys would be taken for nobody's
                    raise
                session = known
            except ValueError as problem:
                if known is None:
                    _LOG.warning("the session file %s is left out: %s", path.name, problem)
                    whole = False
                    continue
                _LOG.warning("the session file %s is damaged and is made anew from the index", path.name)
                session = known
                self._write(session)
            named.add((session.tenant, session.keys))
            if session != known:
                self._index.add(session, session.created)
        for name in indexed:
            self._index.remove(name)
        if whole:
            # while a session can't be read nobody knows whose keys it has
            self.keys.keep(named)

    def _of_one(self, tenant: str) -> threading.RLock:
        """Whoever has it may change what the tenant has."""
        with self._moment:
            return self._locks.setdefault(tenant, threading.RLock())

    def turn(self, tenant: str) -> asyncio.Lock:
        """Whoever has it may ask a thread for work on what the tenant has: those that wait take no thread."""
        return self._turns.setdefault(tenant, asyncio.Lock())

    async def in_turn(self, tenant: str, work: Callable[[], Result]) -> Result:
        """The result of work on what a tenant has, in a thread, in a ``turn``."""
        async with self.turn(tenant):
            return await asyncio.to_thread(work)

    # Sessions

    def create(self, tenant: str, model: str, keys: str, size: int, lifetime: float, *, pin: bool = False) -> Session:
        """A new session, for keys of this SHA-256 and size. It is ready at once where the tenant has sent them before.
        Raises Refusal SL574 when the tenant's quota does not take it, and SL572 for another size than these keys
        have."""
        now = self.clock()
        with self._of_one(tenant):
            self._make_room(tenant, keys, size)
            session = Session(secrets.token_urlsafe(16), tenant, model, now, now + lifetime, pin, keys, size)
            with self._undone(lambda: self._file(session.id).unlink(missing_ok=True)):
                self._write(session)
                self._index.add(session, now)
            return session

    @contextmanager
    def _undone(self, undo: Callable[[], object]) -> Iterator[None]:
        """Within, a session's file and the index change. What fails is undone of the file."""
        rebuilt = self._index.rebuilt
        try:
            yield
        except BaseException:
            try:
                undo()
            except OSError as problem:
                _LOG.error("what failed of a session could not be undone: %s", problem)
                self._index.doubt()
            if self._index.rebuilt != rebuilt:
                # of the files as they were meanwhile
                self._index.doubt()
            raise

    def get(self, tenant: str, name: str) -> Session:
        """The tenant's session. Raises Refusal SL571: one of another tenant is missing, as any other."""
        found = None
        if SESSION_ID.fullmatch(name):
            try:
                found = self._files.read(self._file(name))
            except FileNotFoundError:
                pass
            except ValueError:
                found = self._repaired(name)
        if found is not None and found.tenant == tenant and found.expires > self.clock() and name not in self._ending:
            return found
        raise no_session()

    def _repaired(self, name: str) -> Session | None:
        """The session of a damaged file, from the index; None where that does not have it."""
        found = next(iter(self._index.sessions("id = ?", name)), None)
        if found is not None and (lock := self._of_one(found.tenant)).acquire(blocking=False):
            # else whoever asks next writes it: the event loop may ask, and does not wait
            try:
                # it may have ended meanwhile
                found = next(iter(self._index.sessions("id = ?", name)), None)
                if found is not None:
                    _LOG.warning("the session file %s.json is damaged and is made anew from the index", name)
                    self._write(found)
            finally:
                lock.release()
        return found

    def _file(self, name: str) -> Path:
        return self.folder / "sessions" / f"{name}.json"

    def _write(self, session: Session) -> None:
        write_durable(self._file(session.id), json.dumps(asdict(session)).encode())

    def of(self, tenant: str) -> list[Session]:
        """The tenant's sessions, the longest unused first, as far as the index could be told."""
        with suppress(Refusal):
            # it may be that it can be read and not written
            self._note_uses()
        return self._index.sessions("tenant = ? AND expires > ? ORDER BY used, id", tenant, self.clock())

    @property
    def count(self) -> int:
        """Sessions of all tenants."""
        return self._index.count

    @property
    def rebuilt(self) -> int:
        """How often the index was made anew."""
        return self._index.rebuilt

    @contextmanager
    def using(self, session: Session) -> Iterator[None]:
        """Within, the session is not evicted and its files stay. Raises Refusal SL571 where it has ended. Waits for
        nobody."""
        with self._moment:
            self._uses[session.id] += 1
            self._used[session.id] = self.clock()
        try:
            self.get(session.tenant, session.id)
            yield
        finally:
            with self._moment:
                self._uses[session.id] -= 1
                if not self._uses[session.id]:
                    del self._uses[session.id]

    def _note_uses(self) -> None:
        """Tell the index which sessions were used, and when: what it does not take, another time."""
        with self._moment:
            used, self._used = self._used, {}
        try:
            for name in list(used):
                self._index.used(name, used[name])
                del used[name]
        finally:
            with self._moment:
                self._used = used | self._used

    def delete(self, session: Session) -> None:
        """End a session. Its keys go with it, unless another session of the tenant has them."""
        with self._of_one(session.tenant):
            self._end([session])

    def _end(self, sessions: Sequence[Session], *, idle: bool = False) -> bool:
        """Whether sessions were ended. ``idle``: none of them where one is in use."""
        names = {session.id for session in sessions}
        with self._moment:
            if idle and not names.isdisjoint(self._uses):
                return False
            # from here on nobody begins to use one
            self._ending |= names
        try:
            for session in sessions:
                self._remove(session)
        finally:
            with self._moment:
                self._ending -= names
        return True

    def _remove(self, session: Session) -> None:
        alike = self._index.sessions("tenant = ? AND keys = ?", session.tenant, session.keys)
        file = self._file(session.id)
        # as a start removes it
        gone = file.with_name(f"{_UNFINISHED}{session.id}")

        def back() -> None:
            with suppress(FileNotFoundError):
                gone.replace(file)

        with self._undone(back):
            with suppress(FileNotFoundError):
                file.replace(gone)
            self._index.remove(session.id)
        # from here on it has ended, whatever is left
        if all(other.id == session.id for other in alike):
            self.keys.remove(session.tenant, session.keys)
        gone.unlink(missing_ok=True)

    def expire(self) -> int:
        """End sessions that have expired and are not in use; their number."""
        self._note_uses()
        return self._expired(self._index.sessions("expires <= ?", self.clock()))

    def _expired(self, sessions: Iterable[Session]) -> int:
        ended = 0
        for session in sessions:
            with self._of_one(session.tenant):
                try:
                    expires = read_session(self._file(session.id)).expires
                except (FileNotFoundError, ValueError):
                    expires = session.expires
                if expires > self.clock():
                    self._index.make_anew(Wrong("it has another expiry than the session's file"))
                    return ended
                ended += self._end([session], idle=True)
        return ended

    def _make_room(self, tenant: str, keys: str, size: int) -> None:
        """End sessions of the tenant, the longest unused first, so that the quota takes one more, with these keys; none
        where that is not enough. Raises Refusal."""
        if size > self.quota:
            raise Refusal(
                TOO_MANY, f"the quota of this tenant is {count_of(self.quota, 'byte')} of keys, and these have {size}"
            )
        self._expired(self._index.sessions("tenant = ? AND expires <= ?", tenant, self.clock()))
        self._note_uses()
        # those too that have expired and are in use
        own = self._index.sessions("tenant = ? ORDER BY used, id", tenant)
        if other := next((s.bytes for s in own if s.keys == keys and s.bytes != size), None):
            raise Refusal(MALFORMED, f"these keys have {count_of(other, 'byte')}, and not {size}", status=422)
        while True:
            with self._moment:
                in_use = set(self._uses)
            ending = self._chosen(own, keys, size, in_use)
            if ending is None:
                raise Refusal(
                    TOO_MANY,
                    f"the quota of this tenant is {count_of(self.quota, 'byte')} of keys and "
                    f"{count_of(self.most, 'session')}, and sessions that are pinned or in use leave no room for "
                    f"{count_of(size, 'byte')} more",
                    hint="end sessions that are no longer needed",
                )
            if self._end(ending, idle=True):
                return

    def _chosen(self, own: Sequence[Session], keys: str, size: int, in_use: Container[str]) -> list[Session] | None:
        """The sessions of a tenant's ``own``, the longest unused first, that have to end for one more with these keys;
        None where even all would not make room."""
        sizes = {keys: size, **{s.keys: s.bytes for s in own}}
        held = Counter([keys, *(s.keys for s in own)])
        count, total, chosen = len(own) + 1, sum(sizes.values()), list[Session]()
        for session in own:
            if total <= self.quota and count <= self.most:
                break
            if not session.pinned and session.id not in in_use:
                chosen.append(session)
                held[session.keys] -= 1
                count, total = count - 1, total - (0 if held[session.keys] else session.bytes)
        if total > self.quota or count > self.most:
            return None
        ending = list[Session]()
        for session in reversed(chosen):
            # those stay that have made no room, as others have their keys, or none that was needed after all
            more = 0 if held[session.keys] else session.bytes
            if total + more <= self.quota and count < self.most:
                held[session.keys] += 1
                count, total = count + 1, total + more
            else:
                ending.append(session)
        return ending[::-1]

    def close(self) -> None:
        """Write what is left of the index."""
        with suppress(Refusal):
            self._note_uses()
        self._index.close()

    # Keys

    def ready(self, session: Session) -> bool:
        """Whether the session's keys are all there."""
        return self.keys.ready(session.tenant, session.keys)

    def received(self, session: Session) -> int:
        """Bytes that are there of keys that are not ready."""
        return self.keys.received(session.tenant, session.keys)

    def key_file(self, session: Session) -> Path:
        """Where the session's keys are. Raises Refusal SL578 where they are not there yet."""
        if not self.ready(session):
            raise Refusal(NO_KEYS, "the keys of this session are not all there yet", hint="send the rest of them")
        return self.keys.path(session.tenant, session.keys)

    def check_part(self, session: Session, offset: int, size: int) -> None:
        """Whether so many bytes at this offset may be added to the session's keys. Raises Refusal."""
        self.keys.check_part(session.tenant, session.keys, session.bytes, offset, size)

    def append(self, session: Session, offset: int, data: bytes, check: Callable[[bytes], None] | None = None) -> None:
        """Add bytes to the session's keys, at this offset. When they are complete they are checked, and the session is
        ready. Keys that fail the check have to be sent from the start. Where all bytes are there, no bytes ask for the
        check: it was left for later, or a process ended before it. Raises Refusal, and what ``check`` raises."""
        with self._of_one(session.tenant):
            # it may have ended meanwhile
            session = self.get(session.tenant, session.id)
            self.keys.append(session.tenant, session.keys, session.bytes, offset, data, check)

    def check_keys(self, session: Session) -> None:
        """The session's keys seem to be damaged, or gone: damaged ones have to be sent again. Raises Refusal SL571
        where the session has ended."""
        with self._of_one(session.tenant):
            session = self.get(session.tenant, session.id)
            self.keys.remove_damaged(session.tenant, session.keys)
