"""Trees at other places: a statement whose text is known already is not parsed again."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from slotlang.source import Source, Span

_FIELDS: dict[type, tuple[str, ...] | None] = {}


def _fields(kind: type) -> tuple[str, ...] | None:
    """The fields of a node's class, in order; None for what holds no places."""
    if kind not in _FIELDS:
        _FIELDS[kind] = tuple(f.name for f in fields(kind)) if is_dataclass(kind) else None
    return _FIELDS[kind]


def moved(node: Any, source: Source, by: int) -> Any:
    """A tree, or a part of one, whose places are ``by`` characters further on, in another text."""
    kind = node.__class__
    if kind is Span:
        return Span(source, node.start + by, node.end + by)
    if kind is tuple:
        return tuple([moved(part, source, by) for part in node])
    names = _fields(kind)
    if names is None:
        return node
    return kind(*[moved(getattr(node, name), source, by) for name in names])
