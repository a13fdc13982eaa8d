"""The files that an ``import`` names: beside the importing one, or in the library of the package."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from slotlang.diagnostics import SlotError, error
from slotlang.source import Source
from slotlang.syntax import items
from slotlang.syntax.library import LIBRARY, check_library_file
from slotlang.syntax.statements import parse_file, read_source

MAX_DEEP = 32
"""Most files that import each other in a row."""

_PATH = re.compile(r"(\./|std/)[\w .+/-]*\.slot")
_FORMS = 'write import "./mine.slot" for a file beside this one, import "std/layouts.slot" for one of the library'


@dataclass(frozen=True)
class Opened:
    """A file that is imported. ``key``: the same for every way to name it."""

    key: str
    name: str
    file: items.File


def opened(item: items.Import, importer: Source, importing: tuple[Opened, ...]) -> Opened:
    """The file of an import. ``importing``: the files whose imports led here.

    Raises ``SlotError`` SL117 for a path outside of the two roots, SL118 for a file that can't be read or that holds
    more than definitions, SL119 for one that imports itself, SL121 for one of the library that is missing or changed,
    and what parsing it raises.
    """
    folder, inside = _root(item, importer)
    path = folder / inside
    key = os.path.realpath(path)
    if not Path(key).is_relative_to(os.path.realpath(folder)):
        raise _outside(item, f"{item.path} leads out of the folder of the file that imports it", "links count as well")
    _check_circle(item, key, importing)
    shown = item.path if item.path.startswith("std/") else os.path.join(os.path.dirname(importer.name), inside)  # noqa: PTH118, PTH120
    if folder == LIBRARY:
        check_library_file(LIBRARY, Path(inside).as_posix(), item.place)
    try:
        text = read_source(path).text
    except SlotError as problem:
        message = problem.diagnostics[0].message.replace(str(path), shown)
        raise error("SL118", f"{item.path} can't be imported", item.place, notes=[message]) from None
    try:
        file = parse_file(Source(shown, text, str(path.parent)))
    except SlotError as problem:
        note = f"it is imported at {item.span}"
        raise SlotError(replace(d, notes=(*d.notes, note)) for d in problem.diagnostics) from None
    for statement in file.statements:
        if not isinstance(statement, items.Definition | items.Import):
            raise error(
                "SL118",
                "a file that is imported holds definitions and imports, and nothing else",
                statement.span,
                notes=[f"it is imported at {item.span}"],
                hint="move the definitions into a file of their own",
            )
    return Opened(key, shown, file)


def _root(item: items.Import, importer: Source) -> tuple[Path, str]:
    """The folder that an import stays in, and the way from there."""
    if not _PATH.fullmatch(item.path):
        raise _outside(item, f'"{item.path}" is not a path that can be imported', _FORMS)
    root, _, rest = item.path.partition("/")
    if rest.startswith("/"):
        once = f"{root}/{rest.lstrip('/')}"
        raise _outside(
            item, f'"{item.path}" is not a path that can be imported', f'write import "{once}", with one slash'
        )
    inside = os.path.normpath(rest)
    if inside.startswith(("..", "/")):
        hint = "a file imports what lies in its own folder, or below it"
        raise _outside(item, f"{item.path} leads out of the folder of the file that imports it", hint)
    if root == "std":
        return LIBRARY, inside
    if importer.folder is None:
        hint = 'save it in a file, or import from the library: import "std/layouts.slot"'
        raise _outside(item, f"this text is in no folder, so {item.path} names nothing", hint)
    return Path(importer.folder), inside


def root_of(file: items.File) -> tuple[Opened, ...]:
    """The file that starts to import, where it is one: it must not be imported by what it imports."""
    source = file.source
    if source.folder is None:
        return ()
    return (Opened(os.path.realpath(Path(source.folder) / Path(source.name).name), source.name, file),)


def _check_circle(item: items.Import, key: str, importing: tuple[Opened, ...]) -> None:
    """Raises SL119 when a file imports itself, by others or at once, or when files import each other too deeply."""
    keys = [o.key for o in importing]
    names = [o.name for o in importing]
    if key in keys:
        way = " -> ".join([*names[keys.index(key) :], names[keys.index(key)]])
        hint = "move what both need into a third file"
        raise error("SL119", "these files import each other", item.place, notes=[way], hint=hint)
    if len(importing) >= MAX_DEEP:
        raise error("SL119", f"more than {MAX_DEEP} files import each other in a row", item.place)


def _outside(item: items.Import, message: str, hint: str) -> SlotError:
    return error("SL117", message, item.place, hint=hint)


__all__ = ["LIBRARY", "Opened", "opened", "root_of"]
