"""The name of a kernel."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """A kernel, and the number of words it takes."""

    name: str
    words: int
