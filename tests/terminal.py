"""Commands in this process whose output is a terminal."""

from __future__ import annotations

import os
import pty
import threading
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from unittest.mock import patch

from command_line import Ended

from slotlang.cli import main


class _Terminal:
    """A stream that is a terminal, and what was written to it."""

    def __init__(self) -> None:
        self._master, slave = pty.openpty()
        self.stream = os.fdopen(slave, "w", encoding="utf-8")
        self._read = b""
        self._reader = threading.Thread(target=self._follow, daemon=True)
        self._reader.start()

    def _follow(self) -> None:
        try:
            while data := os.read(self._master, 65536):
                self._read += data
        except OSError:
            # the other end is closed
            pass

    def close(self) -> str:
        self.stream.close()
        self._reader.join(10)
        os.close(self._master)
        return self._read.decode().replace("\r\n", "\n")


def on_terminal(*words: str, columns: int = 80, env: Mapping[str, str] | None = None) -> Ended:
    """Run a command; both streams are terminals, as wide as ``columns``."""
    out, err = _Terminal(), _Terminal()
    status: object = 0
    variables = {"TERM": "xterm-256color", "COLUMNS": str(columns), **(env or {})}
    with (
        patch.dict(os.environ, variables),
        redirect_stdout(out.stream),
        redirect_stderr(err.stream),
        patch("sys.argv", ["slotlang", *words]),
    ):
        try:
            main()
        except SystemExit as end:
            status = end.code
    return Ended(status if isinstance(status, int) else int(status is not None), out.close(), err.close())
