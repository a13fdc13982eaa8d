"""Files that are there after the machine loses power, or are not there at all."""

from __future__ import annotations

import os
from pathlib import Path

from slotlang.files import write_whole


def write_durable(path: Path, data: bytes) -> None:
    """Write a file that its owner alone can read, through to the disk. Raises OSError."""
    write_whole(path, data, 0o600)
    flush(path)
    flush(path.parent)


def flush(path: Path) -> None:
    """Wait until a file or a folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
