"""What ``slotlang run`` shows while it runs and afterwards, and the file of its results."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from slotlang.cli.faults import at_step, guard_native_code
from slotlang.cli.output import emit_json, report, warn_of_cache, write_file

if TYPE_CHECKING:
    from rich.console import Console

    from slotlang.run.session import Session


class _WithoutBlanks:
    """A stream whose lines end where their text does: cells of tables are filled up with blanks."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write whole lines, as rich does."""
        return self._stream.write(re.sub(r"[ \t]+(?=\n)", "", text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def console_for_tables() -> Console:
    """Standard output; a table in a file or a pipe is as wide as it is, and its lines end with their text."""
    from rich.console import Console

    if sys.stdout.isatty():
        return Console(highlight=False, soft_wrap=True)
    width = None if "COLUMNS" in os.environ else 240
    return Console(highlight=False, soft_wrap=True, width=width, file=cast("TextIO", _WithoutBlanks(sys.stdout)))


@contextmanager
def watched(json: bool) -> Iterator[Callable[[str], None]]:
    """What takes the names of steps, and shows them where a person watches."""
    console = None if json else console_for_tables()
    steps = console.status("starting") if console and console.is_terminal else None

    def progress(what: str) -> None:
        at_step(what)
        if steps:
            steps.update(what)

    guard_native_code()
    if steps:
        steps.start()
    try:
        yield progress
    finally:
        if steps:
            steps.stop()


def say(session: Session, output: Path | None, json: bool) -> None:
    """Write the results where the run passed, warn, and print the report."""
    written = False
    if output is not None and session.report.passed:
        from slotlang.run.results import result_bytes

        write_file(output, result_bytes(output, session.results()))
        written = True
    if session.warnings:
        report(session.warnings, "warning")
    if session.failure is not None:
        report([session.failure])
    if session.report.cache is not None:
        warn_of_cache(session.report.cache)
    if json:
        emit_json("run", {**session.to_json(), "output": str(output) if written else None})
        return
    from slotlang.cli.tables import run_table

    console_for_tables().print(run_table(session))
    if output is not None:
        print(f"results are in {output}" if written else f"{output} is not written: the run failed")
