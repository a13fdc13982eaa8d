"""The library of the package, ``import "std/layouts.slot"``, and the hashes of its files.

A proof of a program that imports a definition rests on what the definition says. So a file of the library is read only
as slotlang was released with it: ``std/SHA256SUMS`` has the hash of each, in the form that ``sha256sum --check`` reads.
``make library`` writes it anew.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

from slotlang.diagnostics import SlotError, error
from slotlang.files import read_regular, reason_of
from slotlang.source import Span

LIBRARY = Path(__file__).resolve().parent.parent / "std"
"""The library's folder."""
SUMS = "SHA256SUMS"

MAX_SUMS = 1 << 16
"""Bytes of the list of hashes, at most."""

_REINSTALL = "install slotlang again"


def sums_text(folder: Path = LIBRARY) -> str:
    """What ``SHA256SUMS`` must hold: a line for each file of the library, ``HASH  NAME``."""
    files = sorted(folder.rglob("*.slot"))
    return "".join(f"{_hash(path.read_bytes())}  {path.relative_to(folder).as_posix()}\n" for path in files)


def check_library_file(folder: Path, name: str, place: Span) -> None:
    """Raises ``SlotError`` SL121 unless a file of the library is there and is the one that slotlang was released with,
    or for hashes that can't be read. A name that the library does not have is left to whoever reads the file."""
    shown = f"std/{name}"
    try:
        expected = _sums(folder).get(name)
    except (OSError, ValueError) as problem:
        message = f"{shown} can't be checked: the list of the library's files is missing or damaged"
        notes = [f"{folder / SUMS}: {reason_of(problem)}"]
        raise error("SL121", message, place, notes=notes, hint=_REINSTALL) from None
    try:
        found = _hash(read_regular(folder / name))
    except (OSError, ValueError) as problem:
        if expected is None:
            return
        notes = [f"{folder / name}: {reason_of(problem)}"]
        raise error("SL121", f"{shown} is missing from the library", place, notes=notes, hint=_REINSTALL) from None
    if found != expected:
        raise _changed(shown, folder / name, found, expected, place)


def _changed(shown: str, path: Path, found: str, expected: str | None, place: Span) -> SlotError:
    what = (
        "is not in the list of the library's files"
        if expected is None
        else "is not the file that slotlang was released with"
    )
    wanted = "none of that name" if expected is None else f"sha256 {expected}"
    own = f'copy the file beside your program and import it as "./{path.name}"'
    hint = f"{_REINSTALL}; to change it, {own}"
    if expected is None:
        hint = f"to have definitions of your own, {own}; {_REINSTALL} if it came with it"
    notes = [str(path), f"expected {wanted}", f"found sha256 {found}"]
    return error("SL121", f"{shown} {what}", place, notes=notes, hint=hint)


@cache
def _sums(folder: Path) -> dict[str, str]:
    """The hashes of the library's files by their names. Raises ``OSError``, and ``ValueError`` for another text."""
    sums: dict[str, str] = {}
    data = read_regular(folder / SUMS, MAX_SUMS)
    if len(data) > MAX_SUMS:
        raise ValueError(f"it has more than {MAX_SUMS:,} bytes")
    for number, line in enumerate(data.splitlines(), 1):
        match = re.fullmatch(rb"([0-9a-f]{64})  ([!-~]+)", line)
        if match is None:
            raise ValueError(f"line {number} is not a hash and a name")
        sums[match[2].decode()] = match[1].decode()
    if not sums:
        raise ValueError("it is empty")
    return sums


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    (LIBRARY / SUMS).write_text(sums_text(), encoding="ascii")
