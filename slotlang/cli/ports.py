"""Ports of this machine that commands serve on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from slotlang.diagnostics import error


@contextmanager
def serving(port: int) -> Iterator[None]:
    """Raises SL005 for a number that is not a port's, and for a port that can't be had."""
    if not 0 <= port <= 65_535:
        raise error("SL005", f"--port must be between 0 and 65535, not {port}")
    try:
        yield
    except OSError as problem:
        raise error("SL005", f"can't listen on port {port}: {problem.strerror or problem}") from None
