"""A session, and the file that says what it is."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from slotlang.service.fields import Fields, Wrong
from slotlang.service.protocol import SESSION_ID

_KNOWN = 4096
"""Sessions whose files are not read again for each request."""


@dataclass(frozen=True)
class Session:
    """A tenant's session. Nothing of it changes from its start to its end. ``keys``: SHA-256 of its evaluation keys,
    with their ``bytes``; whether they are there, their file says."""

    id: str
    tenant: str
    model: str
    created: float
    expires: float
    pinned: bool
    keys: str
    bytes: int


def read_session(path: Path) -> Session:
    """The session of a file. Raises OSError, and ValueError for one that is damaged."""
    of = Fields(json.loads(path.read_bytes()))
    keys = "keys"
    if not of.text("keys"):
        # an earlier version called keys that were not all there otherwise
        of, keys = Fields({**of.values, "bytes": of.values.get("coming_bytes")}), "coming"
    found = Session(
        of.text("id"),
        of.text("tenant"),
        of.text("model"),
        of.number("created"),
        of.number("expires"),
        of.flag("pinned"),
        of.text(keys),
        of.whole("bytes"),
    )
    if found.id != path.stem or not SESSION_ID.fullmatch(found.id):
        raise Wrong("its name is not that of its session")
    return found


class SessionFiles:
    """The sessions of files that are read again and again."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, int, int], Session]] = {}

    def read(self, path: Path) -> Session:
        """The session of a file, which is looked at each time, and read when it is another one than before. Raises
        OSError and ValueError."""
        stat = os.stat(path)  # noqa: PTH116
        file = stat.st_ino, stat.st_mtime_ns, stat.st_size
        known = self._known.get(path)
        if known is None or known[0] != file:
            known = file, read_session(path)
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[path] = known
        return known[1]
