"""Files: only regular ones are read, and what is written is there whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import sys
from io import BufferedReader
from pathlib import Path
from typing import Any

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)

STDIN_NAME = "<stdin>"

"""What messages call standard input."""
_stdin: tuple[object, bytes] | None = None
"""The stream and what came on it."""
_unfinished: set[Path] = set()
"""Temporary and new files that are being written now."""


def path_text(path: Path) -> str:
    """What a file is called in all that is said of it: standard input, which is given as ``-``, by its name."""
    head, colon, program = str(path).partition(":")
    return f"{STDIN_NAME}{colon}{program}" if head == "-" else str(path)


class NotRegular(OSError):
    """The path names a folder, a pipe, a socket or a device; ``strerror`` says which."""


def reason_of(problem: Exception) -> str:
    """Why a file or an address can't be used, in words that follow a colon: without the number and the path that the
    text of an ``OSError`` has."""
    return getattr(problem, "strerror", None) or str(problem)


def check_regular(path: Path, mode: int) -> None:
    """Raises ``NotRegular`` unless ``mode``, of ``os.stat``, is that of a regular file."""
    if not stat.S_ISREG(mode):
        kind = next((name for test, name in _KINDS if test(mode)), "something else")
        raise NotRegular(0, f"it is {kind}, not a regular file", str(path))


def read_regular(path: Path, limit: int | None = None) -> bytes:
    """The bytes of a regular file; of one that is longer than ``limit``, the first ``limit + 1``.

    Opening never waits for a writer, as it would at the end of a pipe. Raises ``NotRegular`` and ``OSError``, and
    ``ValueError`` for a path that no file can have.
    """
    with open_regular(path) as stream:
        return stream.read() if limit is None else stream.read(limit + 1)


def read_stdin(limit: int) -> bytes:
    """What comes on standard input, read once: whoever asks again gets the same. Of what is longer than ``limit``, the
    first ``limit + 1`` bytes. Raises ``OSError``."""
    global _stdin
    stream: Any = sys.stdin
    if stream is None or stream.closed:
        raise OSError(0, "standard input is closed")
    if _stdin is None or _stdin[0] is not stream:
        binary = getattr(stream, "buffer", None)
        _stdin = stream, stream.read(limit + 1).encode() if binary is None else binary.read(limit + 1)
    return _stdin[1]


def open_regular(path: Path) -> BufferedReader:
    """A regular file, opened for reading; raises as ``read_regular``."""
    # a device may act when it is opened, so the path is looked at first; what was opened is looked at again below
    check_regular(path, os.stat(path).st_mode)  # noqa: PTH116
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    stream = open(descriptor, "rb")  # noqa: PTH123, SIM115
    try:
        check_regular(path, os.fstat(descriptor).st_mode)
    except OSError:
        stream.close()
        raise
    return stream


def write_whole(path: Path, data: bytes, mode: int, *, new: bool = False) -> None:
    """Write a regular file through a temporary one beside it, so that no reader and no fault ever meets half of it.

    ``mode``: the new file's permissions. ``new``: there must be none yet. Raises ``OSError``, of which
    ``FileExistsError`` is one; then ``path`` is as it was.
    """
    temporary = path.parent / f".slotlang.{os.getpid()}.{os.urandom(6).hex()}"
    # noted before it is made: a signal may end the process between any two lines
    _unfinished.add(temporary)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
        with open(descriptor, "wb") as stream:  # noqa: PTH123
            stream.write(data)
        temporary.chmod(mode)
        if new:
            _link(temporary, path)
        else:
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        _unfinished.discard(temporary)


def _link(temporary: Path, path: Path) -> None:
    """Give a file its name, which no other has."""
    try:
        path.hardlink_to(temporary)
        temporary.unlink()
    except FileExistsError:
        raise
    except OSError:
        # of a file system without links; between two processes the last one wins there
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        temporary.replace(path)


def write_new(path: Path, data: bytes) -> None:
    """Write a file that is not there yet. Raises ``OSError``: ``FileExistsError`` where something is; nothing is left
    of what could not be written whole."""
    with path.open("xb") as stream:
        _unfinished.add(path)
        try:
            stream.write(data)
            stream.flush()
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        finally:
            _unfinished.discard(path)


def remove_unfinished() -> None:
    """Remove temporary files of this process. Call it before the process ends without unwinding."""
    for path in list(_unfinished):
        try:
            path.unlink(missing_ok=True)
        except OSError:
            continue
