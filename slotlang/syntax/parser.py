"""From a text to the programs in it, their definitions expanded."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from slotlang.diagnostics import closest, error
from slotlang.files import STDIN_NAME
from slotlang.source import Source, Span
from slotlang.syntax import items, tree
from slotlang.syntax.definitions import check_importable, space_of
from slotlang.syntax.expand import Expansion
from slotlang.syntax.expanded_text import ExpandedText
from slotlang.syntax.statements import MAX_BYTES, MAX_ERRORS, SHORT, parse_file, program_path, read_source
from slotlang.words import HOW_NAMES, MAX_DEPTH, RESERVED, STATEMENT_WORDS
from slotlang_runtime.amounts import count_of

__all__ = [
    "HOW_NAMES",
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_ERRORS",
    "RESERVED",
    "STATEMENT_WORDS",
    "parse",
    "parse_file",
    "program_names",
    "program_path",
    "read_source",
]


def parse(source: Source) -> tree.Program:
    """The syntax tree of a program, definitions and imports expanded: of the text's only one, or of ``source.program``.

    Raises ``SlotError`` with every syntax error found, at most one per statement and ``MAX_ERRORS`` in all (codes SL101
    to SL110); the first error of definitions and imports (SL110 to SL119); SL120 when it is open which program is
    meant, and SL211 when there are definitions alone.
    """
    file = parse_file(source)
    names = _names(file)
    if len(names) < 2 and source.program is None and all(_stands(item) for item in file.statements):
        return _kept(source) if len(source.text) <= SHORT and not source.origins else _program(file)
    return _expanded(file, names)


def program_names(source: Source) -> tuple[str, ...]:
    """The names of a text's programs, in order. Raises as ``parse``: SL101 to SL110, SL120."""
    return _names(parse_file(source))


def _names(file: items.File) -> tuple[str, ...]:
    headers = [s for s in file.statements if isinstance(s, tree.Header)]
    names = tuple(h.name for h in headers)
    for number, header in enumerate(headers):
        if header.name in names[:number]:
            raise error("SL120", f"two programs are named '{header.name}'", header.span, hint="give each its own name")
    return names


def _stands(item: items.Item) -> bool:
    return not isinstance(item, items.Definition | items.Import)


@lru_cache(maxsize=128)
def _kept(source: Source) -> tree.Program:
    return _program(parse_file(source))


def _program(file: items.File) -> tree.Program:
    statements = tuple(s for s in file.statements if not isinstance(s, items.Definition | items.Import))
    return tree.Program(file.source, statements, file.comments)


def _expanded(file: items.File, names: tuple[str, ...]) -> tree.Program:
    source = file.source
    if all(not _stands(item) for item in file.statements):
        check_importable(file)
        hint = f'a program imports it: import "./{Path(source.name).name}"' if source.folder else "a program imports it"
        raise error("SL211", "this file has definitions and no program", file.statements[0].span, hint=hint)
    _check_order(file, names)
    wanted = _wanted(file, names)
    starts = [n for n, s in enumerate(file.statements) if isinstance(s, tree.Header)]
    first = starts[wanted] if wanted else 0
    last = starts[wanted + 1] if wanted + 1 < len(names) else len(file.statements)
    space = space_of(file)
    inside = file.statements[first:last]
    statements = tuple(s for s in inside if not isinstance(s, items.Definition | items.Import))
    text = ExpandedText(
        source, _cut(file, first), len(source.text) if last == len(file.statements) else _cut(file, last)
    )
    made = Expansion(space, statements)
    expanded = made.run()
    for item in inside:
        if isinstance(item, items.Definition | items.Import):
            text.leave_out(item)
        else:
            text.put(*next(expanded), made)
    new = parse_file(text.source()) if statements else items.File(source, (), ())
    return _program(new)


def _cut(file: items.File, index: int) -> int:
    """Where a program's text starts: below the line of the statement before it."""
    if index == 0:
        return 0
    text, before = file.source.text, file.statements[index - 1].span.end
    return text.find("\n", before) + 1


def _wanted(file: items.File, names: tuple[str, ...]) -> int:
    """The number of the program that is meant. Raises SL120."""
    source = file.source
    headers = [s for s in file.statements if isinstance(s, tree.Header)]
    if source.program is not None:
        if source.program in names:
            return names.index(source.program)
        hint = closest(source.program, names) or f"it has {', '.join(names) or 'none'}"
        place = headers[0].span if headers else Span(source, 0, 0)
        raise error("SL120", f"there is no program '{source.program}' in this file", place, hint=hint)
    if len(names) > 1:
        path = "-" if source.name == STDIN_NAME else source.name
        hint = f"name one of them: {path}:{names[0]}"
        raise error(
            "SL120", f"this file has {count_of(len(names), 'program')}: {', '.join(names)}", headers[1].span, hint=hint
        )
    return 0


def _check_order(file: items.File, names: tuple[str, ...]) -> None:
    """Raises SL120 for a definition or an import between several programs: it would be one program's or all's."""
    met = False
    for item in file.statements:
        met = met or isinstance(item, tree.Header)
        if met and len(names) > 1 and not _stands(item):
            hint = "move it above the first program"
            raise error(
                "SL120", "in a file of several programs definitions and imports come first", item.span, hint=hint
            )
