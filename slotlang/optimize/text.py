"""A rewritten program as text: lines and comments that the rewriting did not touch stay as they are."""

from __future__ import annotations

import re
from collections.abc import Sequence

from slotlang.source import Source
from slotlang.syntax import tree
from slotlang.syntax.formatter import MAX_WIDTH, format_program
from slotlang.syntax.parser import parse
from slotlang.syntax.printer import expression_text, statement_text


def rewritten_text(original: tree.Program, program: tree.Program, remarks: Sequence[str]) -> str:
    """The text of ``program``, which was made from ``original``, with ``remarks`` as comments above its header.

    A statement that is gone takes the comment behind it along. A text in canonical form stays so.
    """
    source = original.source
    text = _spliced(original, program, remarks)
    if parse(Source(source.name, text)).statements != program.statements:
        text = "\n".join(f"# {remark}" for remark in remarks) + "\n" + format_program(program)
    if format_program(original) == source.text:
        text = format_program(parse(Source(source.name, text)))
    return text


def _spliced(original: tree.Program, program: tree.Program, remarks: Sequence[str]) -> str:
    source = original.source
    old = {s.span.start: s for s in original.statements}
    kept = {s.span.start: s for s in program.statements if s.span.start < s.span.end and s.span.source == source}
    after: dict[int | None, list[tree.Statement]] = {}
    place: int | None = None
    for s in program.statements:
        if s.span.start < s.span.end and s.span.start in old:
            place = s.span.start
        else:
            after.setdefault(place, []).append(s)
    edits: list[tuple[int, int, str]] = []
    for start, before in old.items():
        first, last = _line(source.text, before.span.start, before.span.end)
        now = kept.get(start)
        if now is None:
            edits.append((first, last, ""))
        elif now != before:
            inside = [c.text for c in original.comments if start < c.span.start < before.span.end]
            edits.append((start, before.span.end, "".join(f"{c}\n" for c in inside) + _text(now)))
        if start in after:
            edits.append((last, last, _new_lines(now or before, after[start])))
    header = original.header.span.start
    edits.append((header, header, "".join(f"# {remark}\n" for remark in remarks)))
    result, done = [], 0
    for first, last, new in sorted(edits, key=lambda edit: edit[:2]):
        result += [source.text[done:first], new]
        done = last
    return re.sub(r"\n{3,}", "\n\n", "".join(result) + source.text[done:])


def _line(text: str, start: int, end: int) -> tuple[int, int]:
    """The lines that a statement takes, its line end included."""
    last = text.find("\n", end)
    return text.rfind("\n", 0, start) + 1, len(text) if last < 0 else last + 1


def _new_lines(before: tree.Statement, statements: list[tree.Statement]) -> str:
    """New statements on lines of their own, vectors of the server apart from what is computed with them."""
    lines = []
    for s in statements:
        if _packs(s) is not _packs(before) and not isinstance(s, tree.Let):
            lines.append("")
        lines.append(_text(s))
        before = s
    return "".join(f"{line}\n" for line in lines)


def _text(s: tree.Statement) -> str:
    """A statement; one that is too long for a line, and whose body is a sum or a sum times something, with the two
    summands on lines of their own."""
    line = statement_text(s)
    body = s.body if isinstance(s, tree.Define) else s.value if isinstance(s, tree.Claim) else None
    summands = body.right if isinstance(body, tree.Binary) and body.op == "*" else body
    if len(line) <= MAX_WIDTH or not (isinstance(summands, tree.Binary) and summands.op in ("+", "-")):
        return line
    tail = expression_text(summands)
    start = line.rfind(tail)
    if start < 0 or line[start + len(tail) :] not in ("", ")"):
        return line
    left = expression_text(summands.left)
    if not tail.startswith(f"{left} {summands.op} "):
        left = f"({left})"
    rest = tail[len(left) :].strip()
    return f"{line[:start].removesuffix('(')}(\n    {left}\n    {rest}\n)"


def _packs(s: tree.Statement) -> bool:
    return isinstance(s, tree.Define) and s.kind != "compute"
