"""Encoded weights in their compact form, as kernels read them, a file for each module or group of modules, mapped into
memory.

A built adapter's files hold weights in the bits of their primes, for any machine. When weights are first used, their
compact form is written beside the service's state, and from then on mapped: no copy is in this process, all threads and
all processes that map a file have the same pages, and weights that were given up come back without being read, checked
and transformed again. A file is checked by its hash when a process first maps it, and when it is another one than
before. Its head says which weights, program, runtime and kernels it is of; it is made anew where one differs.

What is damaged, or does not fit on the disk, costs time and nothing else: weights are then held in memory.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import os
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from slotlang.files import open_regular
from slotlang_runtime.kernels.compact import Compact
from slotlang_runtime.kernels.engine import ResidueEngine
from slotlang_runtime.kernels.operations import Encoded
from slotlang_runtime.kernels.residues import Plaintext, ResidueRing, Rows
from slotlang_runtime.kernels.selftest import tested
from slotlang_runtime.kernels.tables import MOST_BITS
from slotlang_runtime.kernels.unavailable import Unavailable
from slotlang_runtime.module import Module, Name
from slotlang_runtime.seal.ring import Ring
from slotlang_runtime.version import source_hash
from slotlang_runtime.weights import Weights

_LOG = logging.getLogger("slotlang.service")

_MAGIC = b"SLOTMAP2"
_START = struct.Struct("<8sQ")
_PAGE = 4096
_MOST_HEAD = 1 << 20


class _Part(Rows):
    """Rows of a file that is mapped."""

    __slots__ = ()

    def __init__(self, memory: Any, start: int, offset: int, count: int) -> None:
        self.memory, self.start, self.at, self.count = memory, start, start + offset, count

    def __del__(self) -> None:
        """The memory is the file's."""


class Mapped:
    """The files of a folder. Threads may call it at the same time; a name's caller is the only one at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in folder.glob(".*"):
            # what a process that was killed was about to write
            path.unlink(missing_ok=True)
        self._rings: dict[str, ResidueRing | None] = {}
        self._checked: dict[str, tuple[int, ...]] = {}
        self._lock = threading.Lock()

    @staticmethod
    def name(program: str, weights: str) -> str:
        """Of the file, by the SHA-256 of both."""
        return f"{weights[:40]}-{program[:16]}"

    def weights(self, module: Module, program: str, weights: str, load: Callable[[], bytes]) -> Weights | None:
        """The weights of this hash for the program of that one, compact. ``load`` gives what the adapter's file holds,
        and is asked where nothing fits. None where the program's kernels read no such files; raises what ``load``
        raises, and Rejected."""
        ring = self._ring(module, program)
        if ring is None:
            return None
        path, about = self.folder / self.name(program, weights), self._about(ring, program, weights)
        found = self._read(path, module, ring, about)
        if found is None:
            made = Weights.from_bytes(module, load()).compact()
            if not isinstance(made.engine, ResidueEngine):
                return None
            try:
                _write(path, made, made.engine, about)
            except OSError as problem:
                _LOG.warning("compact weights can't be written, and are held in memory: %s", problem)
                return made
            found = self._read(path, module, ring, about) or made
        return found

    def keep(self, names: Iterable[str]) -> None:
        """Remove all files but these."""
        wanted = set(names)
        for path in list(self.folder.iterdir()):
            if path.name not in wanted and not path.name.startswith("."):
                path.unlink(missing_ok=True)
                self._checked.pop(path.name, None)

    def _ring(self, module: Module, program: str) -> ResidueRing | None:
        """What all weights of a program share: its kernels, and the memory that evaluations use again."""
        with self._lock:
            if program not in self._rings:
                ring = None
                if module.kernel == "compiled":
                    try:
                        ring = tested(Ring(module.parameters, module.slots))
                    except Unavailable:
                        ring = None
                self._rings[program] = ring
            return self._rings[program]

    @staticmethod
    def _about(ring: ResidueRing, program: str, weights: str) -> dict[str, Any]:
        return {
            "runtime": source_hash(),
            "program": program,
            "weights": weights,
            "kernels": ring.kernels.kind,
            "degree": ring.degree,
            "stride": ring.stride,
            "primes": list(ring.ring.moduli),
        }

    def _read(self, path: Path, module: Module, ring: ResidueRing, about: Mapping[str, Any]) -> Weights | None:
        """What a file holds; None where it is not there, or is not what it should be."""
        try:
            with open_regular(path) as stream:
                head, start = _head(stream.read(_START.size + _MOST_HEAD))
                if head["about"] != about:
                    return None
                held = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
                stat = os.fstat(stream.fileno())
        except (OSError, ValueError, KeyError, TypeError, struct.error):
            return None
        memory = np.frombuffer(held, np.uint8)
        plain = _plaintexts(module, ring, memory, start, head["forms"])
        if plain is None:
            return None
        file = stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
        if self._checked.get(path.name) != file:
            if hashlib.sha256(memoryview(held)[start:]).hexdigest() != head["sha256"]:
                _LOG.warning("the compact weights %s are damaged, and are made anew", path.name)
                return None
            self._checked[path.name] = file
        engine = ResidueEngine(module, ring, plain)
        return Weights(module, engine, equalized=head["equalized"], grown=head["grown"], lost=head["lost"])


def _head(data: bytes) -> tuple[dict[str, Any], int]:
    """What a file says of itself, and where its rows begin. Raises ValueError and struct.error."""
    magic, size = _START.unpack_from(data)
    if magic != _MAGIC or size > _MOST_HEAD:
        raise ValueError("not a file of weights")
    head = json.loads(data[_START.size : _START.size + size])
    if not isinstance(head, dict):
        raise ValueError("not a head")
    end = _START.size + size
    return head, end + -end % _PAGE


def _plaintexts(
    module: Module, ring: ResidueRing, memory: Any, start: int, forms: list[int]
) -> dict[Name, Encoded | None] | None:
    """The plaintexts that lie one after the other; None where the file has another length, or says what no file says.
    ``forms``: of each the bits of its coefficients, and 256 more where half of them are kept; 0 where it is nothing, -1
    where it is residues."""
    families = module.encoded()
    if len(forms) != len(families):
        return None
    plain: dict[Name, Encoded | None] = {}
    first, at = int(memory.ctypes.data), start
    for (name, family), form in zip(families.items(), forms, strict=True):
        scale, level = ring.ring.plaintext_scale(family.level, family.products, family.added), family.level
        if form == 0:
            plain[name] = None
        elif form == -1:
            plain[name] = Plaintext(_Part(memory, first, at, ring.primes(level)), level, scale)
            at += 8 * ring.stride * ring.primes(level)
        elif 0 < form & 0xFF <= MOST_BITS[ring.kernels.kind] and form >> 8 in (0, 1):
            made = Compact(memory, first + at, form & 0xFF, form >> 8 == 1, level, scale, family.added)
            plain[name] = made
            at += made.size(ring.degree)
        else:
            return None
    return plain if at == len(memory) else None


def _form(plain: Encoded | None) -> int:
    if isinstance(plain, Compact):
        return plain.bits + (plain.half << 8)
    return 0 if plain is None else -1


def _contents(engine: ResidueEngine) -> Iterator[memoryview]:
    """What follows the head."""
    ring = engine.ring
    for plain in engine.plain.values():
        if isinstance(plain, Compact):
            yield plain.content(ring.degree)
        elif plain is not None:
            # the room behind rows holds whatever was there before
            view = ring.view(plain.rows)
            view[:, ring.degree :] = 0
            yield view.data


def _write(path: Path, weights: Weights, engine: ResidueEngine, about: Mapping[str, Any]) -> None:
    """Write a file through a temporary one. Raises OSError."""
    digest = hashlib.sha256()
    for data in _contents(engine):
        digest.update(data)
    head = json.dumps(
        {
            "about": about,
            "forms": [_form(engine.plain[name]) for name in weights.module.encoded()],
            "sha256": digest.hexdigest(),
            "equalized": weights.equalized,
            "grown": weights.grown,
            "lost": weights.lost,
        }
    ).encode()
    temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as stream:  # noqa: PTH123
            stream.write(_START.pack(_MAGIC, len(head)) + head)
            stream.write(bytes(-stream.tell() % _PAGE))
            for data in _contents(engine):
                stream.write(data)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
