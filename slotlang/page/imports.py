"""The files that a text imports, and whether they are still the same."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from slotlang.diagnostics import SlotError
from slotlang.source import Source
from slotlang.syntax import items
from slotlang.syntax.statements import parse_broken, read_source

__all__ = ["Imports", "imports_of"]


@dataclass(frozen=True, slots=True)
class Imports:
    """Files by their paths, each with the time of its last change, in nanoseconds, and its bytes; None for a file that
    is not there."""

    files: tuple[tuple[str, tuple[int, int] | None], ...] = ()

    def changed(self) -> bool:
        """Whether one of the files is another one now."""
        return _stamped(path for path, _ in self.files) != self


def imports_of(source: Source) -> Imports:
    """The files that a text imports, by others or at once, as they are now. What is wrong with one of them, or that it
    is not there, keeps no other from being found. The library stays as it is, and is left out."""
    paths: set[Path] = set()
    waiting = [source]
    while waiting:
        importer = waiting.pop()
        for path in _named(importer) - paths:
            paths.add(path)
            with suppress(SlotError):
                waiting.append(replace(read_source(path), folder=str(path.parent)))
    return _stamped(map(str, sorted(paths)))


def _named(source: Source) -> set[Path]:
    """The files that a text names in its imports."""
    if source.folder is None:
        return set()
    with suppress(SlotError):
        statements = parse_broken(source)[0].statements
        own = [s.path for s in statements if isinstance(s, items.Import) and s.path.startswith("./")]
        return {Path(source.folder, path).resolve() for path in own}
    return set()


def _stamped(paths: Iterable[str]) -> Imports:
    found: list[tuple[str, tuple[int, int] | None]] = []
    for path in paths:
        try:
            state = Path(path).stat()
            found.append((path, (state.st_mtime_ns, state.st_size)))
        except OSError:
            found.append((path, None))
    return Imports(tuple(found))
