"""Which sessions a file's secret key has at which services: a small folder beside the key's file, with a file for each
session, so that the next process goes on with it, and a rotation ends it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from slotlang.diagnostics import error
from slotlang.files import read_regular, reason_of, write_whole
from slotlang.service.protocol import SESSION_ID

_MOST = 64
"""Sessions that are written down: of more, the latest."""
_LOOK = 0.05
"""Seconds until it is looked again whether another rotation has ended."""


def _beside(secret: Path) -> Path:
    # the same for all links to a file
    file = Path(os.path.realpath(secret))
    return file.with_name(f"{file.name}.sessions")


def _written(secret: Path) -> list[Path]:
    """A file for each session, the latest first. Raises OSError."""
    _take_over(secret)
    found = list[tuple[int, Path]]()
    for path in _beside(secret).iterdir():
        if SESSION_ID.fullmatch(path.name):
            with suppress(FileNotFoundError):
                found.append((path.stat().st_mtime_ns, path))
    return [path for _, path in sorted(found, reverse=True)]


def _take_over(secret: Path) -> None:
    """Take the session into the folder that an earlier slotlang wrote down in a file of its own, one for each name of
    the key's file. What is no session stays where it is."""
    for name in {secret, Path(os.path.realpath(secret))}:
        old = name.with_name(f"{name.name}.session")
        with suppress(OSError, ValueError, TypeError, KeyError):
            kept = dict(json.loads(read_regular(old, 1 << 16)))
            session = str(kept.pop("session"))
            if SESSION_ID.fullmatch(session):
                _beside(secret).mkdir(mode=0o700, exist_ok=True)
                with suppress(FileExistsError):
                    write_whole(_beside(secret) / session, json.dumps(kept).encode(), 0o600, new=True)
                old.unlink(missing_ok=True)


def remember(secret: Path, url: str, model: str, session: str, key: str) -> None:
    """Write down a session, with the name of the secret key whose evaluation keys it has. A file that can't be written
    costs the next process its keys, and nothing else."""
    with suppress(OSError):
        _beside(secret).mkdir(mode=0o700, exist_ok=True)
        text = json.dumps({"url": url, "model": model, "key": key})
        write_whole(_beside(secret) / session, text.encode(), 0o600)
        for path in _written(secret)[_MOST:]:
            path.unlink(missing_ok=True)


def remembered(secret: Path, url: str, model: str | None = None, key: str | None = None) -> list[str]:
    """The sessions that were written down for this service, the latest first; with ``model`` those of this adapter,
    with ``key`` those of the secret key of this name: the file may hold another one by now, which can't decrypt what
    the session's keys give."""
    wanted = {"url": url} | ({} if model is None else {"model": model}) | ({} if key is None else {"key": key})
    found = list[str]()
    with suppress(OSError):
        for path in _written(secret):
            with suppress(OSError, ValueError, TypeError):
                kept = dict(json.loads(read_regular(path, 1 << 16)))
                if wanted.items() <= kept.items():
                    found.append(path.name)
    return found


def forget(secret: Path, session: str) -> None:
    """Remove what was written down of a session."""
    with suppress(OSError):
        (_beside(secret) / session).unlink(missing_ok=True)


@asynccontextmanager
async def alone(secret: Path | None) -> AsyncIterator[None]:
    """One at a time, of all processes that have the secret key's file, where the system has locks. Raises ``SlotError``
    SL582 where nothing can be written down beside the file: nobody would know which sessions a rotation has to end."""
    if secret is None:
        yield
        return
    folder = _beside(secret)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as problem:
        hint = "move away what stands there, or take a key's file in a folder that you may write to"
        message = f"sessions can't be written down: {reason_of(problem)}"
        raise error("SL582", message, file=str(folder), hint=hint) from None
    with os.fdopen(handle):
        try:
            from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock
        except ImportError:
            yield
            return
        while True:
            try:
                flock(handle, LOCK_EX | LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(_LOOK)
            except OSError:
                break
        try:
            yield
        finally:
            # a process that was forked meanwhile has the file open, too
            with suppress(OSError):
                flock(handle, LOCK_UN)
