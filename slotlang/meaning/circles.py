"""Declarations that read each other in a circle, for the message about a name that is used before it is declared."""

from __future__ import annotations

import re
from collections.abc import Mapping

from slotlang.source import Span

_NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*")


def circle(later: Mapping[str, Span], name: str, use: Span) -> list[str]:
    """The names of a shortest circle of declarations that starts at the one in which ``name`` is used at ``use``: each
    reads the next one, the last reads the first. Empty where there is none. ``later``: places of declarations."""
    starts = [n for n, place in later.items() if place.start <= use.start < place.end]
    for start in starts:
        came: dict[str, str] = {name: start}
        waiting = [name]
        for here in waiting:
            if here == start:
                break
            for read in _read(later, here):
                if read not in came:
                    came[read] = here
                    waiting.append(read)
        if start in came:
            way = [came[start]]
            while way[-1] != start:
                way.append(came[way[-1]])
            return way[::-1]
    return []


def _read(later: Mapping[str, Span], name: str) -> list[str]:
    text = re.sub(r"#[^\n]*", " ", later[name].text)
    return [n for n in dict.fromkeys(_NAME.findall(text)) if n in later and n != name]


def circle_hint(names: list[str], *, families: bool) -> str:
    """Which declarations read each other, and what can be done."""
    reads = ", ".join(f"{a} reads {b}" for a, b in zip(names, [*names[1:], names[0]], strict=True))
    if not families:
        return f"{reads}: say one of them without the others"
    index = f"S[k < K, i < {len(names)}] = (... if i == 0 else ...)"
    return f"{reads}: make them one family with one more index, which may read its own earlier members: {index}"


__all__ = ["circle", "circle_hint"]
