"""``slotlang`` in this process: the entry point, with what it prints."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from io import StringIO
from typing import Any
from unittest.mock import patch

import typer

from slotlang.cli import main
from slotlang.cli.app import app


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str


def slotlang(*arguments: str) -> Ended:
    """Run a command. Anything but an ordinary end is raised, and so is a hint of an option that it does not have."""
    out, err = StringIO(), StringIO()
    status: object = 0
    with redirect_stdout(out), redirect_stderr(err), patch.object(sys, "argv", ["slotlang", *arguments]):
        try:
            main()
        except SystemExit as end:
            status = end.code
    ended = Ended(status if isinstance(status, int) else int(status is not None), out.getvalue(), err.getvalue())
    strange = [*strange_options(ended.err, arguments)]
    assert not strange, (
        f"slotlang {' '.join(arguments[:2])} has no {', '.join(strange)}, which it advises:\n{ended.err}"
    )
    return ended


@cache
def _commands() -> dict[str, frozenset[str]]:
    """The options of each command: ``run``, ``adapter build``."""
    found: dict[str, frozenset[str]] = {}

    def collect(command: Any, name: str) -> None:
        options = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
        found[name] = frozenset(options | {"--help"})
        for word, inner in getattr(command, "commands", {}).items():
            collect(inner, f"{name} {word}".strip())

    collect(typer.main.get_command(app), "")
    return found


def strange_options(said: str, arguments: tuple[str, ...]) -> Iterator[str]:
    """Options in the hints of a command's messages that the command does not have. A hint that names another command
    speaks of that one's."""
    own = next((name for n in (2, 1) if (name := " ".join(arguments[:n])) in _commands()), "")
    for hint in re.findall(r"^ +hint: (.*)$", said, re.MULTILINE):
        known = set(_commands()[own])
        for name, options in _commands().items():
            if name and re.search(rf"(?:slotlang|`|\bof) ?{name}\b", hint):
                known |= options
        yield from (option for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", hint) if option not in known)
