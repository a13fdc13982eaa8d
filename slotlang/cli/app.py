"""The commands, each of which imports what it needs when it runs, so that ``slotlang check`` starts fast."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from copy import copy
from typing import Annotated

import typer

from slotlang.cli.adapters import adapter_app
from slotlang.cli.clients import client_app
from slotlang.cli.completion import prepare, script
from slotlang.cli.counting import calibrate, compare, cost
from slotlang.cli.documents import docs
from slotlang.cli.editing import lsp
from slotlang.cli.fitting import fitting_streams
from slotlang.cli.making import lower, run
from slotlang.cli.once import OnceCommand
from slotlang.cli.output import BAD_INPUT, guarded
from slotlang.cli.paging import report, view
from slotlang.cli.proving import check, recheck
from slotlang.cli.puzzling import puzzle_app
from slotlang.cli.searching import optimize, synth
from slotlang.cli.serving import serve, token_app
from slotlang.cli.starting import new
from slotlang.cli.usage import WholeSummaries, run_app
from slotlang.cli.viewing import explain, fmt, graph, show

app = typer.Typer(
    cls=WholeSummaries,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A language for CKKS slot layouts: programs are proved, counted, lowered to TenSEAL and run encrypted. "
    "Exit status: 0 fine, 1 not proved or a run that failed, 2 bad input.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from slotlang import __version__

        print(f"slotlang {__version__}")
        raise typer.Exit


def _completion(shell: str | None) -> None:
    if shell is not None:
        with guarded("slotlang", False):
            print(script(shell))
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    completion: Annotated[
        str | None,
        typer.Option(
            "--completion",
            metavar="SHELL",
            callback=_completion,
            is_eager=True,
            help="Print what makes bash, zsh or fish complete commands, and exit.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Options of slotlang itself."""


# in the order of the help
for _function in (
    new,
    check,
    recheck,
    cost,
    compare,
    calibrate,
    optimize,
    synth,
    lower,
    run,
    show,
    report,
    view,
    fmt,
    explain,
    docs,
    graph,
    lsp,
    serve,
):
    app.command()(_function)
app.add_typer(puzzle_app, name="puzzle")
app.add_typer(adapter_app, name="adapter")
app.add_typer(token_app, name="token")
app.add_typer(client_app, name="client")
for _command in (
    *app.registered_commands,
    *puzzle_app.registered_commands,
    *adapter_app.registered_commands,
    *token_app.registered_commands,
    *client_app.registered_commands,
):
    _command.cls = OnceCommand


def _named(words: Sequence[str]) -> typer.Typer:
    """The app with the command alone that the first word names, and whole where it names none: to build all commands
    takes longer than to parse and bind a program."""
    name, alone = next(iter(words), ""), copy(app)
    alone.registered_commands = [c for c in app.registered_commands if c.callback and c.callback.__name__ == name]
    alone.registered_groups = [group for group in app.registered_groups if group.name == name]
    return alone if alone.registered_commands or alone.registered_groups else app


def command_line() -> int:
    """Run the command that the process's arguments name; the exit status."""
    digits = sys.get_int_max_str_digits()
    # products of a program's constants may be longer than Python prints
    sys.set_int_max_str_digits(10_000)
    prepare()
    try:
        with fitting_streams(sys.argv[1:]):
            return run_app(_named(sys.argv[1:]))
    finally:
        sys.set_int_max_str_digits(digits)


__all__ = ["BAD_INPUT", "app", "command_line"]
