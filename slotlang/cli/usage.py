"""What is wrong with a command's words, said as all else is: by one diagnostic with a code, on one line and a hint."""

from __future__ import annotations

import re
import sys
from itertools import takewhile
from typing import Any

import typer
from typer.core import TyperGroup

from slotlang.cli.output import BAD_INPUT, say_errors
from slotlang.diagnostics import Diagnostic, closest

_UsageError: type[Exception] = typer.BadParameter.__base__  # type: ignore[assignment]
"""Click's error about words; typer has a copy of click of its own, or not, depending on its version."""


class WholeSummaries(TyperGroup):
    """Commands of which the help says the whole first sentence, on as many lines as it takes."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The list of commands."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, c.get_short_help_str(limit=10_000)) for name, c in commands if c is not None and not c.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def run_app(app: typer.Typer) -> int:
    """Run a command line; the exit status. Words that are wrong are SL005."""
    try:
        status = app(prog_name="slotlang", standalone_mode=False)
    except _UsageError as problem:
        return _said(problem)
    return status if isinstance(status, int) else 0


def _said(problem: Any) -> int:
    context, words = problem.ctx, sys.argv[1:]
    # where there is no context, the words before the first option or file name the command
    name = context.command_path if context is not None else " ".join(["slotlang", *takewhile(str.isalpha, words)])
    if type(problem).__name__ == "NoArgsIsHelpError":
        # a command of commands alone: its help says all
        problem.show()
        return BAD_INPUT
    text = " ".join(problem.format_message().split()).rstrip(".")
    for kind, meant in (("int", "a whole number"), ("float", "a number")):
        text = re.sub(rf"is not a valid {kind}( range)?$", f"is not {meant}", text)
    message = f"{name}: {text[:1].lower()}{text[1:]}"
    hint = ""
    if context is not None and (wrong := getattr(problem, "option_name", "")):
        known = [option for parameter in context.command.params for option in parameter.opts if option != "--help"]
        hint = closest(wrong, known)
    diagnostic = Diagnostic("SL005", message, hint=hint or f"{name} -h shows what it takes")
    command = name.partition(" ")[2].replace(" ", ".") or next((w for w in words if w.isalpha()), "slotlang")
    say_errors([diagnostic], command, "--json" in words)
    return BAD_INPUT
