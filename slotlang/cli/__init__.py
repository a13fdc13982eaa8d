"""The command line."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point. What is wrong with a program, an argument or the machine ends in a message, never in a traceback."""
    try:
        # before all that takes time to import: Ctrl-C ends the process from here on
        from slotlang.cli.faults import protected

        protected(_command_line)
    except KeyboardInterrupt:
        sys.exit(130)


def _command_line() -> int:
    from slotlang.cli.app import command_line

    return command_line()


__all__ = ["main"]
