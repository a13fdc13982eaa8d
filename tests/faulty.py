"""Commands in processes of their own, where a test makes a fault: limits, closed streams, signals."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "programs" / "rank_complex.slot"
SMALL = ("--set", "d=32", "--set", "r=4", "--set", "batch=2", "--set", "slots=16")


def environment() -> dict[str, str]:
    """The environment of a process: as it is now, and not when this file is imported, before any fixture."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def command(*arguments: object) -> list[str]:
    """The command line of a command."""
    return [sys.executable, "-m", "slotlang", *map(str, arguments)]


def call(
    *arguments: object, before: Callable[[], object] | None = None, seconds: float = 60, **streams: object
) -> subprocess.CompletedProcess[str]:
    """Run a command; ``before`` is called in its process first."""
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        command(*arguments), preexec_fn=before, text=True, timeout=seconds, env=environment(), check=False, **given
    )


def script(text: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a Python program."""
    return subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, timeout=seconds, env=environment(), check=False
    )


def limited(kind: int, amount: int) -> Callable[[], None]:
    """Sets a limit of the process, for ``before``."""
    return lambda: resource.setrlimit(kind, (amount, amount))


def closed(*descriptors: int) -> Callable[[], None]:
    """Closes descriptors, for ``before``."""

    def close() -> None:
        for descriptor in descriptors:
            os.close(descriptor)

    return close


def children(number: int) -> Sequence[int]:
    """Processes that a process has started and that are still there."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == number:
            found.append(int(path.parent.name))
    return found
