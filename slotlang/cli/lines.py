"""Lines of text for a person, without rich: most commands start faster than it is imported."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterable
from typing import TextIO


def has_colours(stream: TextIO) -> bool:
    """Whether styles, colours and bold letters alike, may be printed: not where the environment asks for none
    (no-color.org), nor on a terminal that has none, nor into a file or a pipe, whatever the environment says."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def print_lines(lines: Iterable[str], *, stderr: bool = False) -> None:
    """Lines on standard output, or standard error. On a terminal those that are too long are wrapped at blanks, and
    what follows stands two columns further in."""
    stream = sys.stderr if stderr else sys.stdout
    width = shutil.get_terminal_size().columns if stream.isatty() else 0
    for line in lines:
        indent = line[: len(line) - len(line.lstrip())]
        if len(line) <= width or not width:
            print(line, file=stream)
            continue
        wrapped = textwrap.wrap(
            line[len(indent) :],
            width,
            initial_indent=indent,
            subsequent_indent=f"{indent}  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        print("\n".join(wrapped), file=stream)
    stream.flush()
