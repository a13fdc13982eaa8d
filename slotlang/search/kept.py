"""Results of searches, kept between runs by their whole question: which structures and parameters were found.

No proof and no number of a program is kept. What is found here is proved, planned and costed again before anybody sees
it, so that a file says no more than where to look first.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import slotlang
from slotlang.cost.profile import Profile
from slotlang.diagnostics import SlotError
from slotlang.files import read_regular, write_whole
from slotlang.planning.parameters import Parameters
from slotlang.schedule.doubling import RADICES
from slotlang.search.candidate import Found
from slotlang.search.search import Work
from slotlang.search.space import PACKINGS, SLOTS
from slotlang.search.structure import Structure
from slotlang_runtime.version import hash_of, source_hash

SCHEMA = "slotlang.search/1"

FOLDER = "SLOTLANG_SEARCH_CACHE"
"""The environment variable that names the folder in place of ``slotlang/synth`` in the user's folder of caches."""

MAX_BYTES = 1 << 20
"""Largest file that is read: what is written has a few thousand bytes."""

_PACKAGES = ("numpy", "islpy", "sympy", "lark")
"""What proofs and numbers are made with, beside the sources."""


@dataclass(frozen=True)
class Kept:
    """What is kept of a search beside its candidates: how many structures it compared, how many it worked out, and from
    how many tokens on column packing wins."""

    compared: int
    worked: int
    columns: int | None


def folder() -> Path | None:
    """The folder of kept results, made where it is missing; None where there is none that only this user can open."""
    if not hasattr(os, "getuid"):
        return None
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        path = Path(os.environ.get(FOLDER) or Path(base or Path.home() / ".cache") / "slotlang" / "synth")
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = path.lstat()
    except (OSError, RuntimeError, ValueError):
        return None
    private = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
    return path if private else None


@cache
def _sources() -> str:
    """SHA-256 of the sources of compiler and runtime, and the versions of what they are made with."""
    root = Path(next(iter(slotlang.__path__)))
    # programs of the library are data beside the code
    library = [(path.name, path.read_bytes()) for path in sorted(root.rglob("*.slot"))]
    versions = []
    for name in _PACKAGES:
        try:
            versions.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            versions.append((name, ""))
    about = source_hash(), hash_of(root), library, sys.version, versions
    return hashlib.sha256(repr(about).encode()).hexdigest()


def question(asked: Found, profile: Profile, finalists: int) -> str:
    """SHA-256 of all that a result depends on: what is asked, the profile's times, and the sources."""
    target, link = asked.target, asked.link
    parts: list[object] = [
        SCHEMA,
        _sources(),
        asdict(asked.shape),
        asked.objective,
        (target.kernel, target.hide, target.precision, target.max_key_bytes),
        asdict(asked.limits),
        sorted((name, repr(limit)) for name, limit in asked.bounds.items()),
        None if link is None else asdict(link),
        finalists,
        json.dumps(profile.to_json(), sort_keys=True),
    ]
    digest = hashlib.sha256(repr(parts).encode())
    if asked.weights is not None:
        w = asked.weights
        digest.update(repr((w.name, w.scale, w.up.shape, w.down.shape)).encode())
        digest.update(w.up.astype("<f8").tobytes() + w.down.astype("<f8").tobytes())
    return digest.hexdigest()


def store(place: Path, key: str, result: Found, columns: int | None) -> None:
    """Keep a complete result; where it can't be written, nothing is kept."""
    # a runner-up, which the program's comment names, need not be on the front
    first = result.ranked[:2]
    chosen = [*first, *(c for c in result.pareto if all(c is not other for other in first))]
    entries = [{"structure": _numbers(c.structure), "parameters": c.parameters.to_json()} for c in chosen]
    values = {
        "schema": SCHEMA,
        "question": key,
        "compared": result.sketched,
        "worked": result.worked,
        "columns": columns,
        "found": entries,
    }
    try:
        write_whole(place / f"{key}.json", json.dumps(values).encode(), 0o600)
    except OSError:
        return


def restore(
    place: Path,
    key: str,
    result: Found,
    profile: Profile,
    progress: Callable[[str, float], None],
) -> Kept | None:
    """Fill a result with what was kept for its question, proved and costed again. None, and the result as it was, where
    nothing is kept or the file is damaged."""
    try:
        kept, found = _read(place / f"{key}.json", key, result)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    work = Work(result, profile)
    try:
        for number, (structure, parameters) in enumerate(found):
            progress(f"proving again {structure.name()}", number / len(found))
            work.add(structure, parameters)
        work.unroll()
    except (AssertionError, ArithmeticError, SlotError):
        result.candidates.clear()
    if not result.candidates:
        result.refused.clear()
        return None
    result.sketched, result.earlier, result.complete = kept.compared, kept.worked, True
    return kept


def _numbers(s: Structure) -> dict[str, Any]:
    return {f.name: getattr(s, f.name) for f in fields(s) if f.name != "shape"}


def _read(path: Path, key: str, result: Found) -> tuple[Kept, list[tuple[Structure, Parameters]]]:
    """Raises OSError, ValueError, TypeError and KeyError for anything but what ``store`` wrote."""
    data = read_regular(path, MAX_BYTES)
    if len(data) > MAX_BYTES:
        raise ValueError("too large")
    values = json.loads(data)
    if (values["schema"], values["question"]) != (SCHEMA, key):
        raise ValueError("it is the answer to another question")
    columns = None if values["columns"] is None else _count(values["columns"])
    kept = Kept(_count(values["compared"]), _count(values["worked"]), columns)
    found = [(_structure(entry["structure"], result), _parameters(entry["parameters"])) for entry in values["found"]]
    if not found or len(found) > kept.worked:
        raise ValueError("it holds no candidates, or too many")
    return kept, found


def _count(value: Any, least: int = 1) -> int:
    if type(value) is not int or not least <= value < 1 << 32:
        raise ValueError(f"{value!r} is not a number from {least}")
    return value


def _structure(values: Mapping[str, Any], result: Found) -> Structure:
    """A structure of the result's shape that a search could have drawn."""
    names = {f.name: str(f.type) for f in fields(Structure) if f.name != "shape"}
    if set(values) != set(names):
        raise ValueError("a structure has other numbers")
    for name, kind in names.items():
        if kind == "bool" and type(values[name]) is not bool:
            raise ValueError(f"{name} is not a truth value")
        if kind == "int":
            _count(values[name], 0 if name in ("down", "up") else 1)
    s = Structure(result.shape, **values)
    fits = s.slots in SLOTS and s.packing in PACKINGS and s.radix in RADICES
    powers = (s.tokens, s.ranks, s.copies, s.shares)
    fits = fits and s.tokens <= s.slots and not any(n & (n - 1) for n in powers)
    if not (fits and s.ranks <= s.positions and max(s.copies, s.shares) <= s.ranks):
        raise ValueError("there is no such structure")
    if s.down >= max(s.diagonals, 2) or s.up >= max(s.views, 2):
        raise ValueError("there is no such structure")
    return s


def _parameters(values: Mapping[str, Any]) -> Parameters:
    if set(values) != {f.name for f in fields(Parameters)}:
        raise ValueError("parameters have other numbers")

    def several(name: str) -> tuple[int, ...]:
        return tuple(_count(n) for n in list(values[name]))

    degree, scale, results = _count(values["degree"]), _count(values["scale_bits"]), _count(values["results"], 0)
    cut = tuple(_count(n, 0) for n in list(values["cut"]))
    return Parameters(
        degree, several("primes"), scale, several("drops"), several("scales"), several("keys"), results, cut
    )
