"""Bytes, times and counts for a person."""

from __future__ import annotations

from slotlang_runtime.amounts import count_of, field_count

__all__ = ["field_noun", "size_text", "time_text"]


def size_text(count: int) -> str:
    """Bytes for a person: ``12.6 MB`` (millions)."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return count_of(count, "byte")


def time_text(seconds: float) -> str:
    """A time for a person: ``52.6 ms``."""
    return f"{seconds:.2f} s" if seconds >= 10 else f"{1000 * seconds:.1f} ms"


def field_noun(number: int, field: str) -> str:
    """What stands beside a count in a table, by its field's name: ``plain product`` for 1 of ``plain_products``."""
    return field_count(number, field).partition(" ")[2]
