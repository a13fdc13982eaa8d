"""What ``slotlang run`` shows while it runs and afterwards, and the file of its results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from slotlang.cli.faults import guard_native_code
from slotlang.cli.output import emit_json, report, warn_of_cache, write_file
from slotlang.cli.progress import working

if TYPE_CHECKING:
    from slotlang.run.session import Session


STEPS = (
    "prove",
    "make data",
    "key generation",
    "evaluation keys",
    "load kernels",
    "encode weights",
    "encrypt",
    "evaluate",
    "decrypt",
)
"""What a run goes through, in order; one that needs no kernels, or evaluates several times, says less or more."""


@contextmanager
def watched() -> Iterator[Callable[[str], None]]:
    """What takes the names of steps, and shows them with the time each has taken where a person watches."""
    guard_native_code()
    with working("starting") as line:

        def step(name: str) -> None:
            line.step(f"{name}: step {STEPS.index(name) + 1} of {len(STEPS)}" if name in STEPS else name)

        yield step


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
    from slotlang.cli.console import console_for_tables
    from slotlang.cli.tables import run_table

    console_for_tables().print(run_table(session))
    if output is not None:
        print(f"results are in {output}" if written else f"{output} is not written: the run failed")
