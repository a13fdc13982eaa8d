"""What a file holds beside the statements of programs: definitions and imports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from slotlang.source import Source, Span
from slotlang.syntax import tree
from slotlang.syntax.tree import _span


@dataclass(frozen=True, slots=True)
class Definition:
    """``def name(a, b) = expression``, or ``def name(a, b):`` with statements and an ``end``.

    ``head`` and ``end``: the places of the first and the last line of one with statements; the whole of another.
    """

    name: str
    parameters: tuple[tree.Name, ...]
    body: tree.Expr | tuple[tree.Statement, ...]
    span: Span = _span()
    head: Span = _span()
    end: Span = _span()


@dataclass(frozen=True, slots=True)
class Import:
    """``import "path" [as alias]``; ``place`` is that of the path."""

    path: str
    alias: str | None
    span: Span = _span()
    place: Span = _span()


@dataclass(frozen=True, slots=True)
class End:
    """The line ``end``; in no ``File``: it belongs to the definition that it closes."""

    span: Span = _span()


Item: TypeAlias = tree.Statement | Definition | Import


@dataclass(frozen=True, slots=True)
class File:
    """A text as it is written: programs, definitions and imports in order, and comments for the formatter."""

    source: Source = field(compare=False, repr=False)
    statements: tuple[Item, ...]
    comments: tuple[tree.Comment, ...] = field(compare=False)
