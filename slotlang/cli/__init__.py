"""The command line."""

from slotlang.cli.app import main

__all__ = ["main"]
