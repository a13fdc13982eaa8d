"""Which runtime this is: the format of the modules it runs, and a hash of its own source."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

FORMAT = 3
"""Version of what emitted modules define. It changes when this runtime no longer runs, or the checker no longer checks,
the modules of before."""


def hash_of(folder: Path) -> str:
    """SHA-256 of a runtime's source: the names and contents of its Python files."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py"), key=lambda p: p.relative_to(folder).as_posix()):
        text = path.read_bytes().replace(b"\r\n", b"\n")
        name = path.relative_to(folder).as_posix().encode()
        digest.update(b"%d %s %d\n" % (len(name), name, len(text)) + text)
    return digest.hexdigest()


@cache
def source_hash() -> str:
    """The hash of this runtime; an emitted module names it and refuses another."""
    return hash_of(Path(__file__).resolve().parent)
