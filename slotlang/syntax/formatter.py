"""Canonical text of a program.

One statement a line, one way to write each; blank lines and comments are the author's. The text parses to an
equal tree, and formatting it again changes nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from slotlang.diagnostics import SlotError
from slotlang.source import Source, Span
from slotlang.syntax import items, tree
from slotlang.syntax.printer import head_text, statement_text
from slotlang.syntax.statements import parse_file

MAX_WIDTH = 110
"""A statement longer than this that was written on several lines keeps them."""
COMMENT_COLUMN = 33
"""Where trailing comments stand (0-based), unless a line of their block needs more room."""
INDENT = "    "
"""What stands before the statements of a definition, and the comments between them."""


@dataclass(frozen=True, slots=True)
class _Item:
    """A statement or an own-line comment, with its trailing comment and whether a blank line goes before."""

    text: str
    comment: str
    blank: bool


def _group(statement: items.Item) -> str:
    """Statements without a place in the text are set in paragraphs of one group each."""
    match statement:
        case tree.Let() | tree.Require():
            return "sizes"
        case tree.Declare() | tree.NameTensor() | tree.Scalars() | tree.Bound():
            return "tensors"
        case tree.Axes() | tree.DefinePermutation():
            return "slots"
        case tree.Define(kind=kind):
            return "vectors" if kind == "compute" else "packing"
        case tree.Output() | tree.Prove():
            return "result"
        case _:
            return type(statement).__name__


_BLANK_LINE = re.compile(r"\n[^\S\n]*\n")


class _Layout:
    """Puts statements and comments in order.

    Statements of a program that a pass changed may have no place in its source, or one out of order; they
    take the lines where they stand in the program, and comments whose statement is gone become lines of their
    own.
    """

    def __init__(self, program: tree.Program | items.File) -> None:
        self.source = program.source
        self.text = program.source.text
        self.items: list[_Item] = []
        self._comments = [c for c in program.comments if self._is_here(c.span)]
        self._next = 0
        self._end: int | None = None
        self._group = ""
        self._indent = ""
        for comment in program.comments:
            if not self._is_here(comment.span):
                self.items.append(_Item(comment.text, "", blank=False))
        for statement in program.statements:
            if isinstance(statement, items.Definition) and isinstance(statement.body, tuple):
                self._add_block(statement, statement.body)
            else:
                self._add(statement, statement_text(statement), statement.span)
        self._own_lines(len(self.text) + 1)

    def _is_here(self, span: Span) -> bool:
        return span.source == self.source and 0 <= span.start < span.end <= len(self.text)

    def _comments_before(self, offset: int) -> list[tree.Comment]:
        first = self._next
        while self._next < len(self._comments) and self._comments[self._next].span.start < offset:
            self._next += 1
        return self._comments[first : self._next]

    def _blank_before(self, start: int) -> bool:
        if self._end is None:
            return False
        return _BLANK_LINE.search(self.text, self._end, start) is not None

    def _own_lines(self, offset: int) -> None:
        for comment in self._comments_before(offset):
            self.items.append(_Item(self._indent + comment.text, "", self._blank_before(comment.span.start)))
            self._end = comment.span.end
            self._group = ""

    def _add_block(self, definition: items.Definition, body: tuple[tree.Statement, ...]) -> None:
        """A definition of several statements: its first line, they, and its last line."""
        self._add(definition, f"{head_text(definition)}:", definition.head)
        self._indent = INDENT
        for statement in body:
            self._add(statement, statement_text(statement), statement.span)
        self._own_lines(definition.end.start)
        self._indent = ""
        self._add(definition, "end", definition.end)

    def _add(self, statement: items.Item, line: str, span: Span) -> None:
        group = _group(statement)
        line = self._indent + line
        if not self._is_here(span) or span.start < (self._end or 0):
            self.items.append(_Item(line, "", bool(self._group) and group != self._group))
            self._group = group
            return
        unplaced = bool(self.items) and self._end is None
        self._own_lines(span.start)
        blank = self._group not in ("", group) if unplaced else self._blank_before(span.start)
        inside = self._comments_before(span.end)
        if "\n" in span.text and (inside or len(line) > MAX_WIDTH):
            kept = _as_written(statement, span)
            if kept is None:
                for comment in inside:
                    self.items.append(_Item(self._indent + comment.text, "", blank))
                    blank = False
            line = line if kept is None else self._indent + kept
        self._end = span.end
        trailing = ""
        if self._next < len(self._comments):
            comment = self._comments[self._next]
            if "\n" not in self.text[span.end : comment.span.start]:
                trailing = comment.text
                self._next += 1
                self._end = comment.span.end
        self.items.append(_Item(line, trailing, blank))
        self._group = group


def _as_written(statement: items.Item, span: Span) -> str | None:
    """The statement's own text without trailing blanks; None when a pass has changed what it says."""
    lines = [line.rstrip() for line in span.text.split("\n")]
    text = "\n".join(line for i, line in enumerate(lines) if line or lines[i - 1])
    try:
        same = parse_file(Source(span.source.name, text)).statements == (statement,)
    except SlotError:
        same = False
    return text if same else None


def _with_comments(items: list[_Item]) -> list[str]:
    """The items' texts; trailing comments of consecutive lines stand in one column."""
    lines: list[str] = []
    block: list[_Item] = []

    def close_block() -> None:
        widths = [len(item.text.rpartition("\n")[2]) for item in block]
        column = max(COMMENT_COLUMN, max(widths, default=0) + 2)
        for item, width in zip(block, widths, strict=True):
            lines.extend([""] if item.blank else [])
            lines.append(f"{item.text}{' ' * (column - width)}{item.comment}")
        block.clear()

    for item in items:
        if item.blank or not item.comment or "\n" in item.text:
            close_block()
        if item.comment:
            block.append(item)
        else:
            lines.extend([""] if item.blank else [])
            lines.append(item.text)
    close_block()
    return lines


def format_program(program: tree.Program | items.File) -> str:
    """The canonical text of a program or a file, with its comments and its author's blank lines. Definitions stay."""
    lines = _with_comments(_Layout(program).items)
    while lines and not lines[0]:
        lines.pop(0)
    return "\n".join(lines) + "\n" if lines else ""
