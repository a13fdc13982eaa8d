"""The name of a kernel."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """A kernel, and the number of words it takes. ``split``: its work can be split into parts; its object code then
    takes where the words stand, the number of a part, and how many there are."""

    name: str
    words: int
    split: bool = False
