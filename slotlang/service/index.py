"""The index of sessions: SQLite, made anew from the sessions' files where it is damaged."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import astuple, fields, replace
from pathlib import Path
from typing import Any

from slotlang.service.problems import BUSY, Refusal
from slotlang.service.sessions import Session

_LOG = logging.getLogger("slotlang.service")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY, tenant TEXT NOT NULL, model TEXT NOT NULL, created REAL NOT NULL, expires REAL NOT NULL,
    pinned INTEGER NOT NULL, keys TEXT NOT NULL, bytes INTEGER NOT NULL, used REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_tenant ON sessions (tenant, used);
CREATE INDEX IF NOT EXISTS by_expiry ON sessions (expires);
"""
_NAMES = [field.name for field in fields(Session)]
_COLUMNS = ", ".join(_NAMES)
_INSERT = f"INSERT OR REPLACE INTO sessions ({_COLUMNS}, used) VALUES ({'?, ' * len(_NAMES)}?)"

_FAULTS = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
}
"""What SQLite says of the system, and not of the index."""
_SHORT = (sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS)
"""And what it says of the index all the same: it ends too early."""
_NO_ROOM = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_TRUNCATE,
)
"""What it says of a disk that has no room."""
_LOCKED = 10.0
"""Seconds for which another process may lock the index."""


class Index:
    """The index in a file. ``every`` gives the sessions that the files have, when it is made anew. Threads may call it
    at the same time. All of it raises Refusal SL575 where the system fails, and what ``every`` raises."""

    def __init__(self, path: Path, every: Callable[[], Iterable[Session]]) -> None:
        self.path, self._every = path, every
        self._lock = threading.Lock()
        self.rebuilt, self._doubted = 0, False
        self._connection = self._opened()

    def _opened(self) -> sqlite3.Connection:
        try:
            found = self._connected()
            # that the indexes by tenant and by expiry fit to the sessions is checked too
            if found.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                found.close()
                raise sqlite3.DatabaseError("the check of the index failed")
        except sqlite3.DatabaseError as problem:
            return self._anew(problem)
        return found

    def _connected(self) -> sqlite3.Connection:
        found = sqlite3.connect(self.path, timeout=_LOCKED, check_same_thread=False, isolation_level=None)
        try:
            found.execute("PRAGMA journal_mode=WAL")
            found.execute("PRAGMA synchronous=NORMAL")
            found.executescript(_SCHEMA)
            if [row[1] for row in found.execute("PRAGMA table_info(sessions)")] != [*_NAMES, "used"]:
                raise sqlite3.DatabaseError("it has other columns")
        except sqlite3.DatabaseError:
            found.close()
            raise
        return found

    def _anew(self, problem: Exception) -> sqlite3.Connection:
        """Another index in the place of one that is damaged, from the files."""
        _check_damage(problem)
        _LOG.warning("the index of sessions can't be used (%s) and is made anew from the files", problem)
        self.rebuilt += 1
        for end in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                self.path.with_name(self.path.name + end).replace(self.path.with_name(f"{self.path.name}.damaged{end}"))
        try:
            found = self._connected()
        except sqlite3.DatabaseError as again:
            _check_damage(again)
            raise
        try:
            found.execute("BEGIN")
            found.executemany(_INSERT, [(*astuple(session), session.created) for session in self._every()])
            found.execute("COMMIT")
        except BaseException as again:
            found.close()
            _check_damage(again)
            raise
        return found

    def make_anew(self, problem: Exception) -> None:
        """Make the index anew: what it says is not so."""
        with self._lock:
            self._replace(problem)

    def doubt(self) -> None:
        """What it says may not be what the files say, as the system failed meanwhile: it is made anew when it is used
        next."""
        self._doubted = True

    def _replace(self, problem: Exception) -> None:
        _check_damage(problem)
        with suppress(sqlite3.Error):
            self._connection.close()
        self._connection = self._anew(problem)
        self._doubted = False

    def _rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                if self._doubted:
                    raise sqlite3.DatabaseError("it may not say what the files say")
                return self._connection.execute(sql, values).fetchall()
            except sqlite3.DatabaseError as problem:
                self._replace(problem)
            try:
                return self._connection.execute(sql, values).fetchall()
            except sqlite3.DatabaseError as problem:
                _check_damage(problem)
                raise

    def sessions(self, where: str, *values: Any) -> list[Session]:
        """The sessions of which this holds, in this order."""
        return [_of_row(row) for row in self._rows(f"SELECT {_COLUMNS} FROM sessions WHERE {where}", *values)]

    @property
    def count(self) -> int:
        """Sessions."""
        return int(self._rows("SELECT COUNT(*) FROM sessions")[0][0])

    def add(self, session: Session, used: float) -> None:
        """Add a session, or what is different of one. ``used``: when, last."""
        self._rows(_INSERT, *astuple(session), used)

    def remove(self, name: str) -> None:
        """Remove a session, if it is there."""
        self._rows("DELETE FROM sessions WHERE id = ?", name)

    def used(self, name: str, when: float) -> None:
        """A session was used."""
        self._rows("UPDATE sessions SET used = ? WHERE id = ?", when, name)

    def close(self) -> None:
        """Write what is left."""
        with self._lock, suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.close()


def _of_row(row: Sequence[Any]) -> Session:
    session = Session(*row)
    # SQLite keeps a flag as a number
    return replace(session, pinned=bool(session.pinned))


def _check_damage(problem: BaseException) -> None:
    """Raise Refusal SL575 where it is the system that failed: no damage."""
    code = getattr(problem, "sqlite_errorcode", 0)
    if code & 0xFF not in _FAULTS or code in _SHORT:
        return
    if code in _NO_ROOM:
        raise Refusal(BUSY, "the service's disk is full", retry_after=30.0) from None
    _LOG.error("the index of sessions can't be used now: %s", problem)
    raise Refusal(BUSY, "the service can't use its files now", hint="try again", retry_after=5.0) from None
