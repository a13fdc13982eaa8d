"""Compiled kernels of a process, and their object code kept on disk.

The folder of object code holds native code that gets executed. It is used only where it belongs to this user and
nobody else can open it; files are named by all that their content depends on. A checksum, of these too, finds damage
and files of other names, and defends nothing. A process that finds no intact file compiles, and puts its own in place
at once; one that starts meanwhile waits for it.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import stat
import tempfile
import threading
import time
from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from slotlang_runtime.kernels import texts
from slotlang_runtime.kernels.entry import Entry, packed, unpacked
from slotlang_runtime.kernels.processor import Processor, processor
from slotlang_runtime.kernels.unavailable import Unavailable

FOLDER = "SLOTLANG_KERNEL_CACHE"
"""The environment variable that names another folder."""

PATIENCE = 60.0
"""Seconds for which a process waits for another one that compiles, before it compiles too."""

_MAGIC = b"slotlang kernels 2\n"
_MOST = 1 << 24

Function = Callable[..., Any]


class Kernels:
    """The kernels of a kind. A call takes words (addresses and numbers), releases Python's lock, and checks nothing.

    ``seconds``: what compiling took; 0 where they were loaded. ``folder``: where they are kept, or why they are not,
    which ``unkept`` says too.
    """

    def __init__(
        self, kind: str, engine: Any, addresses: Mapping[Entry, int], seconds: float, folder: str, unkept: str = ""
    ) -> None:
        self.kind, self.seconds, self.folder, self.unkept = kind, seconds, folder, unkept
        self._engine = engine
        # what numba's way of calling wants: a place for a result and one for an exception, never used
        self._room = (ctypes.c_uint64 * 2)()
        self.splits = {entry.name: address for entry, address in addresses.items() if entry.split}
        self._functions = {entry.name: self._function(entry, address) for entry, address in addresses.items()}

    def _function(self, entry: Entry, address: int) -> Function:
        call = ctypes.CFUNCTYPE(ctypes.c_int32, *[ctypes.c_uint64] * ((3 if entry.split else entry.words) + 2))(address)
        room = ctypes.addressof(self._room)
        if not entry.split:
            return partial(call, room, room + 8)

        def whole(*words: int) -> None:
            held = array("Q", words)
            call(room, room + 8, held.buffer_info()[0], 0, 1)

        return whole

    def __getattr__(self, name: str) -> Function:
        try:
            return self._functions[name]
        except KeyError:
            raise AttributeError(name) from None


_LOADED: dict[str, Kernels] = {}
_LOCK = threading.Lock()


def kernels(kind: str) -> Kernels:
    """The kernels of a kind, made once in a process. Raises Unavailable."""
    with _LOCK:
        if kind not in _LOADED:
            _LOADED[kind] = _made(kind, processor())
        return _LOADED[kind]


def compiling() -> tuple[float, str]:
    """Seconds that this process has spent on compiling kernels, and why they are not kept for the next process; empty
    where they are kept, or none were compiled."""
    with _LOCK:
        compiled = [made for made in _LOADED.values() if made.seconds]
    return sum(made.seconds for made in compiled), next((made.unkept for made in compiled if made.unkept), "")


def _made(kind: str, here: Processor) -> Kernels:
    try:
        # llvmlite; numba only where it has to compile
        from slotlang_runtime.kernels import compiler
    except ImportError as problem:
        raise Unavailable(f"llvmlite can't be imported: {problem}") from None
    key = _key(kind, here)
    where, reason = _folder()
    path = None if where is None else where / f"{kind}-{key[:40]}.kernels"
    code, seconds = _read(path, key), 0.0
    if code is None:
        with _alone(where):
            # a process that was here before has left it
            code = _read(path, key)
            if code is None:
                started = time.perf_counter()
                code = _compiled(kind, here)
                seconds = time.perf_counter() - started
                if path is not None:
                    try:
                        _write(path, key, code)
                    except OSError as problem:
                        where, reason = None, problem.strerror or str(problem)
    engine, addresses = compiler.loaded(code, here)
    if where is None:
        return Kernels(kind, engine, addresses, seconds, reason, reason)
    return Kernels(kind, engine, addresses, seconds, str(where))


def _compiled(kind: str, here: Processor) -> dict[Entry, bytes]:
    from slotlang_runtime.kernels import compiler

    if (data := texts.stored(kind, here)) is not None:
        # damage, and another LLVM's language, are left to numba
        with suppress(Exception):
            return compiler.objects(texts.read(data), here)
    try:
        return compiler.objects(compiler.texts(kind, here), here)
    except ImportError as problem:
        raise Unavailable(f"numba can't be imported: {problem}") from None
    except Exception as problem:  # numba and LLVM have no common error, and other versions have other ones
        raise Unavailable(
            f"this numba can't compile the kernels: {str(problem)[:200] or type(problem).__name__}"
        ) from None


@contextmanager
def _alone(folder: Path | None) -> Iterator[None]:
    """One process at a time, where the system has locks."""
    try:
        import fcntl

        handle = -1 if folder is None else os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except (ImportError, OSError):
        handle = -1
    if handle < 0:
        yield
        return
    with os.fdopen(handle):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.05)
            except OSError:
                break
        yield


def _key(kind: str, here: Processor) -> str:
    """SHA-256 of all that object code depends on."""
    data = texts.stored(kind, here)
    versions = []
    for package in ("llvmlite",) if data else ("numba", "llvmlite"):
        try:
            versions.append(metadata.version(package))
        except metadata.PackageNotFoundError:
            raise Unavailable(f"{package} is not installed") from None
    digest = hashlib.sha256(repr((kind, here, versions)).encode())
    digest.update(data or texts.source_digest())
    return digest.hexdigest()


def _folder() -> tuple[Path | None, str]:
    """The folder of object code, made where it is missing; else None, and why it is not used."""
    base = os.environ.get("XDG_CACHE_HOME")
    if not hasattr(os, "getuid"):
        return None, "this system does not say whose a folder is"
    try:
        path = Path(os.environ.get(FOLDER) or Path(base or Path.home() / ".cache") / "slotlang" / "kernels")
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = path.lstat()
    except (OSError, RuntimeError, ValueError) as problem:
        return None, f"no folder for them: {getattr(problem, 'strerror', None) or problem}"
    if not stat.S_ISDIR(found.st_mode):
        return None, f"{path} is no folder"
    if not _private(found):
        return None, f"{path} belongs to others, or can be opened by them"
    return path, ""


def _private(found: os.stat_result) -> bool:
    return found.st_uid == os.getuid() and not found.st_mode & 0o077


def _read(path: Path | None, key: str) -> dict[Entry, bytes] | None:
    """Object code by kernel; None where there is no intact file of this user and key."""
    if path is None:
        return None
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode) or not _private(found) or found.st_size > _MOST:
                return None
            with os.fdopen(handle, "rb", closefd=False) as file:
                data = file.read(_MOST)
        finally:
            os.close(handle)
    except OSError:
        return None
    start = len(_MAGIC) + 32
    body = data[start:]
    if not data.startswith(_MAGIC) or _checksum(key, body) != data[len(_MAGIC) : start]:
        return None
    return dict(unpacked(body))


def _checksum(key: str, body: bytes) -> bytes:
    return hashlib.sha256(key.encode() + body).digest()


def _write(path: Path, key: str, code: Mapping[Entry, bytes]) -> None:
    """Write a file at once: another process sees the old one, or all of the new one."""
    body = packed(code)
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_MAGIC + _checksum(key, body) + body)
        Path(temporary).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise
