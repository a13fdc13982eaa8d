"""Lines that fit a terminal: those that are too long are wrapped at blanks. Files and pipes get lines as they are."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO, cast

_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_CONTROL = re.compile(r"\r|\x1b\[[0-9;]*[A-Za-ln-z]")
_TWO_COLUMNS = re.compile(r"(\s*\S+(?: \S+)*?\s{2,})\S")
_CARET = re.compile(r" *\d* \|")
_FOR_PROGRAMS = ("fmt", "graph", "synth", "optimize", "--completion")
"""Commands whose standard output is for a program to read, or is a program."""


def width_of(stream: TextIO) -> int:
    """Columns of a terminal; 0 for what is none. COLUMNS comes first, where it is set."""
    if not stream.isatty():
        return 0
    named = os.environ.get("COLUMNS", "")
    if named.isdecimal() and int(named):
        return int(named)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError, AttributeError):
        return shutil.get_terminal_size().columns


def _length(text: str) -> int:
    return len(_STYLE.sub("", text))


def wrapped(line: str, width: int) -> list[str]:
    """A line in as many as it needs. What follows stands below the second of two columns, or two blanks further in.
    Words are never broken, nor are lines of source with a place marked below them."""
    if _length(line) <= width or _CARET.match(line):
        return [line]
    plain = _STYLE.sub("", line)
    columns = _TWO_COLUMNS.match(plain)
    indent = len(columns[1]) if columns else 0
    if not columns or indent > width // 2:
        indent = len(plain) - len(plain.lstrip()) + 2
    found, current = [], ""
    for part in re.findall(r"\s*\S+", line):
        if current.strip() and _length(current) + _length(part) > width:
            found.append(current)
            current = " " * indent + part.lstrip()
        else:
            current += part
    return [*found, current]


class Fitting:
    """A terminal's stream whose lines fit. A line is written when it ends, or when the stream is flushed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._line = ""

    def write(self, text: str) -> int:
        """Write whole lines; what takes lines back goes through as it is."""
        if _CONTROL.search(text):
            self._pass_on()
            self._stream.write(text)
            return len(text)
        *lines, self._line = (self._line + text).split("\n")
        width = width_of(self._stream)
        for line in lines:
            self._stream.write("\n".join(wrapped(line, width) if width else [line]) + "\n")
        return len(text)

    def writelines(self, lines: Sequence[str]) -> None:
        """Write one after another."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Write what there is of a line."""
        self._pass_on()
        self._stream.flush()

    def _pass_on(self) -> None:
        line, self._line = self._line, ""
        if line:
            self._stream.write(line)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":
            self.flush()
        return getattr(self._stream, name)


@contextmanager
def fitting_streams(words: Sequence[str]) -> Iterator[None]:
    """Within, lines for a person fit where standard output and error are terminals. ``words``: of the command."""
    out, err = sys.stdout, sys.stderr
    programs = "--json" in words or any(word in _FOR_PROGRAMS for word in words[:1])
    new_out = out if programs or not out.isatty() else cast("TextIO", Fitting(out))
    new_err = cast("TextIO", Fitting(err)) if err.isatty() else err
    sys.stdout, sys.stderr = new_out, new_err
    try:
        yield
    finally:
        for new in (new_out, new_err):
            if isinstance(new, Fitting):
                new.flush()
        if sys.stdout is new_out:
            sys.stdout = out
        if sys.stderr is new_err:
            sys.stderr = err
