"""Bytes and times for a person."""

from __future__ import annotations

from slotlang_runtime.amounts import count_of

__all__ = ["size_text", "time_text"]


def size_text(count: int) -> str:
    """Bytes for a person: ``12.6 MB`` (millions)."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return count_of(count, "byte")


def time_text(seconds: float) -> str:
    """A time for a person: ``52.6 ms``."""
    return f"{seconds:.2f} s" if seconds >= 10 else f"{1000 * seconds:.1f} ms"
