"""A stranger's text, names and files in messages, and the one way in which a stranger's file is read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from slotlang.diagnostics import error
from slotlang.files import NotRegular, read_regular
from slotlang_runtime.amounts import count_of


def plain(text: str, limit: int = 80) -> str:
    """A stranger's text in a message: short, on one line, and unable to move the cursor."""
    text = ascii(text)[1:-1]
    return text if len(text) <= limit else f"{text[:limit]}..."


def shown(value: object) -> str:
    """A value of a JSON file in a message."""
    match value:
        case str():
            return f"'{plain(value)}'"
        case None | bool() | int() | float():
            return plain(json.dumps(value))
        case _:
            return "an array" if isinstance(value, list) else "an object"


def listed(names: Iterable[str], limit: int = 20) -> str:
    """The first names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(plain(name) for name in names[:limit]) + more


def size_text(shape: Iterable[int]) -> str:
    """A shape: ``4 x 64``."""
    return plain(" x ".join(str(n) for n in shape)) or "a single number"


def first_line(reason: Exception) -> str:
    """What an exception says, on one line."""
    return plain(str(reason).partition("\n")[0], 200) or type(reason).__name__


def read_file(path: Path, limit: int, code: str, first: int | None = None) -> bytes:
    """The bytes of a regular file of at most ``limit`` bytes, or the ``first`` bytes of it. Raises ``code``."""
    fail = partial(error, code, file=str(path))
    name = plain(path.name)
    try:
        if not path.exists():
            raise fail(f"{name} is missing")
        size = path.stat().st_size
        if size > limit:
            notes = [f"it has {count_of(size, 'byte')}; at most {limit} are read"]
            raise fail(f"{name} is too large", notes=notes)
        wanted = size if first is None else min(size, first)
        return read_regular(path, wanted)[:wanted]
    except NotRegular:
        raise fail(f"{name} is not a regular file") from None
    except (OSError, ValueError) as reason:
        raise fail(f"{name} can't be read", notes=[first_line(reason)]) from None
