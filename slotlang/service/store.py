"""What lasts: sessions and their evaluation keys. Files are the truth; SQLite is their index, and can be made anew.

    STATE/sessions/ID.json      a session: tenant, model, keys by content, times
    STATE/keys/TENANT/SHA256    evaluation keys by content; SHA256.part while they arrive
    STATE/index.sqlite          the same sessions, and when each was used last

A session is read from its file; the index finds those of a tenant, and those that have expired. A file is written
before the index names it, and taken out of the index before it goes. At the start the index is compared with the files;
one that is damaged is made anew, then or when it is noticed. Only use times are lost with it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from slotlang.service.durable import flush, write_durable
from slotlang.service.fields import Wrong
from slotlang.service.problems import BUSY, MALFORMED, MISSING, NO_KEYS, TOO_LARGE, TOO_MANY, Refusal
from slotlang.service.protocol import SESSION_ID
from slotlang.service.sessions import Session, SessionFiles, read_session
from slotlang_runtime.amounts import count_of

_LOG = logging.getLogger("slotlang.service")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY, tenant TEXT NOT NULL, model TEXT NOT NULL, created REAL NOT NULL, expires REAL NOT NULL,
    pinned INTEGER NOT NULL, keys TEXT NOT NULL, bytes INTEGER NOT NULL, coming TEXT NOT NULL,
    coming_bytes INTEGER NOT NULL, used REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_tenant ON sessions (tenant, used);
CREATE INDEX IF NOT EXISTS by_expiry ON sessions (expires);
"""
_FULL = ("SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_TRUNCATE")
"""What SQLite says of a disk that has no room: no damage."""
_TOUCH = 30.0
"""Seconds by which a session's last use may be known too early."""


_NAMES = [field.name for field in fields(Session)]
_COLUMNS = ", ".join(_NAMES)
_INSERT = f"INSERT OR REPLACE INTO sessions ({_COLUMNS}, used) VALUES ({'?, ' * len(_NAMES)}?)"


class Store:
    """The sessions of a service. Threads may call it at the same time; one process has it (``state_of_one``).
    ``quota``: bytes of keys, and ``most``: sessions, of a tenant."""

    def __init__(
        self, folder: Path, *, quota: int = 1 << 32, most: int = 1000, clock: Callable[[], float] = time.time
    ) -> None:
        self.folder, self.quota, self.most, self.clock = folder, quota, most, clock
        self._lock = threading.RLock()
        self._uses: Counter[str] = Counter()
        self._touched: dict[str, float] = {}
        self._files = SessionFiles()
        for path in (folder, folder / "sessions", folder / "keys"):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.rebuilt = 0
        self._index = self._opened()

    # The index

    def _opened(self) -> sqlite3.Connection:
        try:
            index = self._connected()
            # that the indexes by tenant and by expiry fit to the sessions is checked too
            if index.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("the check of the index failed")
        except sqlite3.DatabaseError as problem:
            _check_room(problem)
            self._set_aside(problem)
            index = self._connected()
        try:
            self._fill(index)
        except sqlite3.DatabaseError as problem:
            index.close()
            _check_room(problem)
            raise
        return index

    @property
    def _path(self) -> Path:
        return self.folder / "index.sqlite"

    def _connected(self) -> sqlite3.Connection:
        index = sqlite3.connect(self._path, timeout=10, check_same_thread=False, isolation_level=None)
        try:
            index.execute("PRAGMA journal_mode=WAL")
            index.execute("PRAGMA synchronous=NORMAL")
            index.executescript(_SCHEMA)
            index.execute(f"SELECT {_COLUMNS}, used FROM sessions LIMIT 1")
        except sqlite3.DatabaseError:
            index.close()
            raise
        return index

    def _set_aside(self, problem: Exception) -> None:
        _LOG.warning("the index of sessions is damaged (%s) and is made anew from the files", problem)
        self.rebuilt += 1
        path = self._path
        for end in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                path.with_name(path.name + end).replace(path.with_name(f"{path.name}.damaged{end}"))

    def _fill(self, index: sqlite3.Connection) -> None:
        """Make the index say what the files say: a process may have ended between the two."""
        rows = {row[0]: row for row in index.execute(f"SELECT {_COLUMNS} FROM sessions")}
        index.execute("BEGIN")
        named: set[Path] | None = set()
        for path in sorted((self.folder / "sessions").glob("*.json")):
            try:
                session = read_session(path)
            except (OSError, ValueError) as problem:
                row = rows.get(path.stem)
                if row is None:
                    _LOG.warning("the session file %s is left out: %s", path.name, problem)
                    named = None
                    continue
                _LOG.warning("the session file %s is damaged and is made anew from the index", path.name)
                session = _of_row(row)
                self._write(session)
            if named is not None:
                named |= {self._keys_of(session.tenant) / name for name in (session.keys, session.coming)}
            values = tuple(asdict(session).values())
            if rows.pop(session.id, None) != values:
                index.execute(_INSERT, (*values, session.created))
        index.executemany("DELETE FROM sessions WHERE id = ?", [(name,) for name in rows])
        index.execute("COMMIT")
        # what a process that was killed left: files half written, and keys that no session names any more. While a
        # session can't be read nobody knows whose keys it has
        half = list((self.folder / "sessions").glob(".slotlang.*"))
        keys = [] if named is None else (self.folder / "keys").glob("*/*")
        for path in (*half, *(path for path in keys if path.with_suffix("") not in (named or ()))):
            path.unlink(missing_ok=True)

    def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._index.execute(sql, values).fetchall()
            except sqlite3.DatabaseError as problem:
                _check_room(problem)
                self._make_anew(problem)
                return self._index.execute(sql, values).fetchall()

    def _make_anew(self, problem: Exception) -> None:
        with suppress(sqlite3.Error):
            self._index.close()
        self._set_aside(problem)
        self._index = self._opened()

    def _sessions(self, where: str, *values: Any) -> list[Session]:
        return [_of_row(row) for row in self._rows(f"SELECT {_COLUMNS} FROM sessions WHERE {where}", *values)]

    # Sessions

    def create(self, tenant: str, model: str, keys: str, size: int, lifetime: float, *, pin: bool = False) -> Session:
        """A new session, for keys of this SHA-256 and size. It has them at once where the tenant has sent them before.
        Raises Refusal SL574 when the tenant's quota does not take it."""
        now = self.clock()
        with self._lock:
            self._make_room(tenant, keys, size, for_session=True)
            session = Session(secrets.token_urlsafe(16), tenant, model, now, now + lifetime, pin, "", 0, keys, size)
            return self._saved(self._arrived(session))

    def rotate(self, session: Session, keys: str, size: int, lifetime: float) -> Session:
        """The session, for new keys; it keeps the present ones until these are there. It lasts longer then."""
        with self._lock:
            self._make_room(session.tenant, keys, size, but=session.id)
            return self._saved(
                self._arrived(replace(session, coming=keys, coming_bytes=size, expires=self.clock() + lifetime))
            )

    def get(self, tenant: str, name: str) -> Session:
        """The tenant's session. Raises Refusal SL571: one of another tenant is missing, as any other."""
        found = None
        with suppress(OSError):
            if SESSION_ID.fullmatch(name):
                try:
                    found = self._files.read(self._file(name))
                except ValueError:
                    found = self._repaired(name)
        if found is not None and found.tenant == tenant and found.expires > self.clock():
            return found
        raise Refusal(MISSING, "there is no such session, or it has expired", hint="make a new one")

    def _repaired(self, name: str) -> Session | None:
        """The session of a damaged file, written anew from the index; None where that does not have it."""
        with self._lock:
            for session in self._sessions("id = ?", name):
                _LOG.warning("the session file %s.json is damaged and is made anew from the index", name)
                self._write(session)
                return session
        return None

    def _file(self, name: str) -> Path:
        return self.folder / "sessions" / f"{name}.json"

    def of(self, tenant: str) -> list[Session]:
        """The tenant's sessions, the longest unused first."""
        return self._sessions("tenant = ? AND expires > ? ORDER BY used, id", tenant, self.clock())

    @property
    def count(self) -> int:
        """Sessions of all tenants."""
        return int(self._rows("SELECT COUNT(*) FROM sessions")[0][0])

    def key_file(self, session: Session) -> Path:
        """Where the session's keys are. Raises Refusal SL578 where they are not there yet."""
        if not session.keys:
            raise Refusal(NO_KEYS, "the keys of this session are not all there yet", hint="send the rest of them")
        return self._keys_of(session.tenant) / session.keys

    @contextmanager
    def using(self, session: Session) -> Iterator[None]:
        """Within, the session is not evicted and its files stay."""
        now = self.clock()
        with self._lock:
            self._uses[session.id] += 1
            if now - self._touched.get(session.id, 0.0) > _TOUCH:
                self._touched[session.id] = now
                self._rows("UPDATE sessions SET used = ? WHERE id = ?", now, session.id)
        try:
            yield
        finally:
            with self._lock:
                self._uses[session.id] -= 1
                if not self._uses[session.id]:
                    del self._uses[session.id]

    def delete(self, session: Session) -> None:
        """End a session. Its keys go with it, unless another session of the tenant has them."""
        with self._lock:
            self._rows("DELETE FROM sessions WHERE id = ?", session.id)
            self._touched.pop(session.id, None)
            self._file(session.id).unlink(missing_ok=True)
            self._drop(session.tenant, {session.keys, session.coming})

    def forget_keys(self, session: Session) -> None:
        """The session's keys turned out to be damaged: they have to be sent again."""
        with self._lock:
            for other in self._sessions("tenant = ? AND keys = ?", session.tenant, session.keys):
                lost = replace(other, keys="", bytes=0, coming=other.keys, coming_bytes=other.bytes)
                self._saved(lost)
            (self._keys_of(session.tenant) / session.keys).unlink(missing_ok=True)

    def expire(self) -> int:
        """Delete sessions that have expired and are not in use; their number."""
        now = self.clock()
        gone = [s for s in self._sessions("expires <= ?", now) if not self._uses[s.id]]
        for session in gone:
            with suppress(OSError, ValueError):
                if read_session(self._file(session.id)).expires > now:
                    with self._lock:
                        self._make_anew(Wrong("it has another expiry than the session's file"))
                    return 0
            self.delete(session)
        return len(gone)

    def close(self) -> None:
        """Write what is left of the index."""
        with self._lock, suppress(sqlite3.Error):
            self._index.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._index.close()

    # Keys

    def received(self, session: Session) -> int:
        """Bytes of the coming keys that are there."""
        with suppress(FileNotFoundError):
            return self._part(session).stat().st_size
        # between two moments they have their own name already, and the session's file does not say so
        return session.coming_bytes if self._arrived(session) is not session else 0

    def append(self, session: Session, offset: int, data: bytes, check: Callable[[bytes], None]) -> Session:
        """Add bytes to the coming keys, at this offset. When they are complete they are checked, and become the
        session's. Raises Refusal SL572 for another offset than the next one, and what ``check`` raises; then the keys
        have to be sent from the start. Where all bytes are there, no bytes ask for the check: a process may have ended
        before it."""
        with self._lock:
            session = self.get(session.tenant, session.id)
            if not session.coming:
                return session
            if (arrived := self._arrived(session)) is not session:
                # checked by a process that ended before it could say so, or sent for another session
                return self._saved(arrived)
            received, path = self.received(session), self._part(session)
            if offset != received:
                raise Refusal(
                    MALFORMED,
                    f"{count_of(received, 'byte')} of these keys are here, and these begin at {offset}",
                    status=409,
                )
            if received + len(data) > session.coming_bytes:
                raise Refusal(
                    TOO_LARGE, f"these keys were said to have {count_of(session.coming_bytes, 'byte')}, and have more"
                )
            path.parent.mkdir(mode=0o700, exist_ok=True)
            with path.open("ab") as stream:
                stream.write(data)
            if received + len(data) < session.coming_bytes:
                return session
        # takes a while, and nobody else waits
        try:
            whole = path.read_bytes()
        except FileNotFoundError:
            # another request has ended it, well or not
            return self.get(session.tenant, session.id)
        try:
            if hashlib.sha256(whole).hexdigest() != session.coming:
                raise Refusal(MALFORMED, "these keys do not have the SHA-256 that was said", status=422)
            check(whole)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        with self._lock:
            session = self.get(session.tenant, session.id)
            if not session.coming or not path.exists():
                return session
            flush(path)
            path.replace(self._keys_of(session.tenant) / session.coming)
            flush(path.parent)
            return self._saved(self._arrived(session))

    def _arrived(self, session: Session) -> Session:
        """The session with the coming keys as its own, where they are all there; the old ones go."""
        if not session.coming or not (self._keys_of(session.tenant) / session.coming).is_file():
            return session
        return replace(session, keys=session.coming, bytes=session.coming_bytes, coming="", coming_bytes=0)

    def _saved(self, session: Session) -> Session:
        before = self._sessions("id = ?", session.id)
        self._write(session)
        self._rows(_INSERT, *asdict(session).values(), self.clock())
        self._drop(session.tenant, {s.keys for s in before} - {session.keys})
        return session

    def _write(self, session: Session) -> None:
        write_durable(self._file(session.id), json.dumps(asdict(session)).encode())

    def _drop(self, tenant: str, keys: set[str]) -> None:
        for name in keys - {""}:
            if not self._sessions("tenant = ? AND (keys = ? OR coming = ?)", tenant, name, name):
                (self._keys_of(tenant) / name).unlink(missing_ok=True)
                (self._keys_of(tenant) / f"{name}.part").unlink(missing_ok=True)

    def _make_room(self, tenant: str, keys: str, size: int, *, for_session: bool = False, but: str = "") -> None:
        """Evict sessions of the tenant, the longest unused first, until the quota takes these keys."""
        own = self.of(tenant)
        while True:
            held = {s.keys: s.bytes for s in own if s.keys} | {s.coming: s.coming_bytes for s in own if s.coming}
            held[keys] = size
            if sum(held.values()) <= self.quota and len(own) + for_session <= self.most:
                return
            idle = next((s for s in own if not s.pinned and not self._uses[s.id] and s.id != but), None)
            if idle is None:
                raise Refusal(
                    TOO_MANY,
                    f"the quota of this tenant is {count_of(self.quota, 'byte')} of keys and "
                    f"{count_of(self.most, 'session')}, and all of its "
                    "sessions are pinned or in use",
                    hint="end sessions that are no longer needed",
                )
            self.delete(idle)
            own.remove(idle)

    def _keys_of(self, tenant: str) -> Path:
        # names of tenants may differ in case alone, which not every file system tells apart
        return self.folder / "keys" / hashlib.sha256(tenant.encode()).hexdigest()[:24]

    def _part(self, session: Session) -> Path:
        return self._keys_of(session.tenant) / f"{session.coming}.part"


def _of_row(row: Sequence[Any]) -> Session:
    session = Session(*row)
    # SQLite keeps a flag as a number
    return replace(session, pinned=bool(session.pinned))


def _check_room(problem: sqlite3.DatabaseError) -> None:
    """Raise Refusal SL575 where it is a disk that has no room."""
    if getattr(problem, "sqlite_errorname", "") in _FULL:
        raise Refusal(BUSY, "the service's disk is full", retry_after=30.0) from None
