"""``slotlang`` in this process: the entry point, with what it prints."""

from __future__ import annotations

import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from unittest.mock import patch

from slotlang.cli import main


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str


def slotlang(*arguments: str) -> Ended:
    """Run a command. Anything but an ordinary end is raised."""
    out, err = StringIO(), StringIO()
    status: object = 0
    with redirect_stdout(out), redirect_stderr(err), patch.object(sys, "argv", ["slotlang", *arguments]):
        try:
            main()
        except SystemExit as end:
            status = end.code
    return Ended(status if isinstance(status, int) else int(status is not None), out.getvalue(), err.getvalue())
