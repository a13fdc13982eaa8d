"""Numbers of things as messages say them: what the compiler and the runtime both count with."""

from __future__ import annotations

import re

__all__ = ["count_of", "field_count", "noun_of", "plural"]

_IRREGULAR = {"index": "indices", "axis": "axes"}


def plural(noun: str) -> str:
    """``rotations``, ``key switches``, ``indices``, of a noun that ends with its head."""
    before, blank, head = noun.rpartition(" ")
    if head not in _IRREGULAR and re.search(r"[^aeiou]y$", head):
        return f"{before}{blank}{head[:-1]}ies"
    ending = "es" if head.endswith(("ch", "s", "x")) else "s"
    return f"{before}{blank}{_IRREGULAR.get(head) or head + ending}"


def noun_of(number: int, noun: str) -> str:
    """``rotation`` for 1, ``rotations`` for every other number: where the number stands elsewhere, as in a table."""
    return noun if number == 1 else plural(noun)


def count_of(number: int, noun: str) -> str:
    """``1 rotation``, ``0 rotations``, ``2,048 rotations``. ``noun``: in the singular; what belongs behind its head, as
    in "products with plaintexts", is left to the message."""
    return f"{number:,} {noun_of(number, noun)}"


def field_count(number: int, field: str) -> str:
    """``1 plain product``, ``3 ciphertexts in``: a count by the name of its field, ``plain_products``, which is in the
    plural."""
    words = field.split("_")
    if number == 1:
        place = max((p for p, word in enumerate(words) if word.endswith("s")), default=-1)
        if place >= 0:
            words[place] = words[place].removesuffix("es" if words[place].endswith("ches") else "s")
    return f"{number:,} {' '.join(words)}"
