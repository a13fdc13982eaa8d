"""The folder that a build writes: what is done, so that a build that was stopped goes on, and nothing twice.

``build.json`` says what is built and which files are whole, with a hash of what it says; ``manifest.json`` is there
when all are. Every file is written through a temporary one. Names of files carry a part of the build's key: those of an
older build stay until the new manifest is there.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from slotlang.diagnostics import error
from slotlang.files import open_regular, read_regular, write_whole
from slotlang.service import manifest
from slotlang.service.manifest import File

SCHEMA: Final = "slotlang.adapter.build/3"
STATE: Final = "build.json"
MOST_BYTES: Final = 1 << 26


@dataclass
class State:
    """What a build has done. ``key``: a hash of all that it is made from; ``made_with``: versions; ``adapter``: a hash
    of the adapter's files. ``programs``, ``parameters`` and ``keys``: as the manifest has them, empty until they are
    chosen. ``groups``: by number as text, the file of a group's weights and what was noticed of them."""

    key: str
    made_with: Mapping[str, str]
    adapter: str
    programs: list[dict[str, Any]] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    keys: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)


class Folder:
    """A build's folder, which no other process builds into."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder where it is missing, and hold it. Raises SL552 for one that holds something else, and for one
        that another process builds into; SL004 where it can't be written."""
        try:
            if self.path.exists() and not self.path.is_dir():
                raise _foreign(self.path, "it is not a folder")
            ours = {STATE, manifest.FILE, ".lock", "programs", "weights"}
            if self.path.is_dir():
                found = sorted(f.name for f in self.path.iterdir() if not f.name.startswith(".slotlang."))
                strange = [name for name in found if name not in ours]
                if strange:
                    raise _foreign(self.path, f"it holds {strange[0]}")
                if manifest.FILE in found and STATE not in found:
                    raise _foreign(self.path, f"it holds {manifest.FILE} without {STATE}")
            for folder in (self.path, self.path / "programs", self.path / "weights"):
                folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as problem:
            raise self.unwritable(problem) from None
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                message = f"{self.path} is being built by another process"
                raise error("SL552", message, hint="wait for it, or stop it", file=str(self.path)) from None
            yield
        finally:
            os.close(descriptor)

    def unwritable(self, problem: OSError) -> Exception:
        """What is said of a folder or file that can't be written."""
        return error("SL004", f"can't write {problem.filename or self.path}: {problem.strerror}", file=str(self.path))

    def state(self, key: str, made_with: Mapping[str, str], adapter: str, *, force: bool = False) -> State:
        """What an earlier build of the same did; an empty one where there was none, or one of the same adapter with
        other options. Raises SL551 for a folder of another version of slotlang, SL552 for a damaged one and for that of
        another adapter; ``force`` takes the place of other versions and adapters."""
        path = self.path / STATE
        hint = f"remove {self.path}, or give another folder with -o"
        anew = State(key, dict(made_with), adapter)
        if not path.exists():
            return anew
        try:
            values = json.loads(read_regular(path, MOST_BYTES))
            schema, theirs = values.pop("schema"), values["made_with"]
            other = schema != SCHEMA or theirs != dict(made_with)
            if not other and values.pop("sha256") != _hash(values):
                raise ValueError("damaged")
            found = None if other else State(**values)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise error("SL552", f"{path} is not what a build wrote", hint=hint, file=str(path)) from None
        if found is None and force:
            return anew
        if found is None:
            names = sorted({*theirs, *made_with}) if isinstance(theirs, dict) else []
            notes = [
                f"{name}: built with {str(theirs.get(name))[:16]}, and this is {made_with.get(name, 'none')[:16]}"
                for name in names
                if theirs.get(name) != made_with.get(name)
            ]
            raise error(
                "SL551",
                "the folder was built by another slotlang",
                notes=notes,
                hint=f"{hint}; --force replaces it",
                file=str(path),
            )
        if found.key == key:
            return found
        if found.adapter != adapter and not force:
            hint = "name another one with -o or --name; --force replaces it, as by the same adapter, retrained"
            raise error("SL552", f"{self.path} holds the build of another adapter", hint=hint, file=str(path))
        return anew

    def save(self, state: State) -> None:
        """Write what is done."""
        values = asdict(state)
        whole = {"schema": SCHEMA, "sha256": _hash(values), **values}
        self.write(STATE, json.dumps(whole, indent=1).encode() + b"\n")

    def write(self, name: str, data: bytes) -> File:
        """A whole file of the folder, and what it is known by."""
        try:
            write_whole(self.path / name, data, 0o644)
        except OSError as problem:
            raise self.unwritable(problem) from None
        return File(name, hashlib.sha256(data).hexdigest(), len(data))

    def holds(self, file: File) -> bool:
        """Whether a file is there, whole."""
        path = self.path / file.path
        try:
            if file.bytes is not None and path.stat().st_size != file.bytes:
                return False
            with open_regular(path) as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256
        except OSError:
            return False

    def clean(self, kept: set[str]) -> None:
        """Remove files that the manifest does not name: of earlier builds, and of ones that were killed."""
        kept = {*kept, STATE, manifest.FILE, ".lock"}
        for path in [*self.path.iterdir(), *(self.path / "programs").iterdir(), *(self.path / "weights").iterdir()]:
            if path.is_file() and path.relative_to(self.path).as_posix() not in kept:
                path.unlink(missing_ok=True)


def _hash(values: Mapping[str, Any]) -> str:
    """A hash of plain data: what is read again is what was written."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _foreign(path: Path, why: str) -> Exception:
    return error("SL552", f"{path} is not the folder of a build: {why}", hint="give a new folder", file=str(path))
