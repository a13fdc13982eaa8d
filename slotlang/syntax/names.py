"""The nodes of a syntax tree, and the names that it uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from slotlang.source import Span
from slotlang.syntax import tree


def parts(node: Any) -> Iterator[Any]:
    """Every node of a tree, itself first."""
    if isinstance(node, tuple):
        for part in node:
            yield from parts(part)
    elif is_dataclass(node) and not isinstance(node, Span):
        yield node
        for f in fields(node):
            if f.compare:
                yield from parts(getattr(node, f.name))


def names(node: Any) -> frozenset[str]:
    """Names used in a tree, those of permutations too."""
    used = set()
    for part in parts(node):
        if isinstance(part, tree.Name):
            used.add(part.name)
        elif isinstance(part, tree.Permute):
            used.add(part.permutation)
    return frozenset(used)
