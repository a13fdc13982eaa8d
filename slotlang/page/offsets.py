"""Places in a text as a browser counts them, in UTF-16 units, and as the compiler does, in characters."""

from __future__ import annotations

__all__ = ["character", "unit"]


def unit(text: str, offset: int) -> int:
    """The UTF-16 units before a character."""
    before = text[:offset]
    return len(before) if before.isascii() else len(before.encode("utf-16-le", "surrogatepass")) // 2


def character(text: str, units: int) -> int:
    """The character at a place in UTF-16 units; the end of the text for what is beyond it."""
    if text.isascii():
        return max(0, min(units, len(text)))
    before = text.encode("utf-16-le", "surrogatepass")[: 2 * max(0, units)]
    return len(before.decode("utf-16-le", "ignore"))
