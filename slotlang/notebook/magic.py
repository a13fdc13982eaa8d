"""The cell magic ``%%slot``: a cell holds a program, which is checked and given a name."""

from __future__ import annotations

import argparse
import keyword
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any, NoReturn

from slotlang import api
from slotlang.diagnostics import Diagnostic, SlotError, error, render
from slotlang.displayed import Displayed
from slotlang.meaning.bind import bind
from slotlang.meaning.program import Program
from slotlang.meaning.unused import unused
from slotlang.planning.given_parameters import program_parameters
from slotlang.proof.check import METHODS, check
from slotlang.proof.report import Report
from slotlang.source import Source
from slotlang.syntax.definitions import unused_definitions
from slotlang.syntax.parser import parse

if TYPE_CHECKING:
    from slotlang.mutation.repair import Repair

__all__ = ["CellError", "Checked", "checked", "register"]


class CellError(SlotError):
    """What is wrong with a cell: its messages, with places and carets, stand in place of a traceback."""

    def _render_traceback_(self) -> list[str]:
        return "\n\n".join(map(render, self.diagnostics)).split("\n")


@dataclass(frozen=True)
class Checked(Displayed):
    """A cell's program with its verdict, and what was asked for besides: ``parts``, each a result or the messages that
    stand in its place. ``repairs``: single changes with which a refuted one proves."""

    program: Program
    report: Report
    parts: tuple[Displayed | SlotError, ...] = ()
    warnings: tuple[Diagnostic, ...] = field(default=(), repr=False)
    repairs: tuple[Repair, ...] = ()

    @property
    def repair_lines(self) -> list[str]:
        """A line for each repair, and below it the statement as it would be, where anything is left of it."""
        pairs = [(repair.description(), repair.after()) for repair in self.repairs]
        return [
            line for said, after in pairs for line in (f"{said}:" if after else said, *([f"  {after}"] * bool(after)))
        ]

    def __repr__(self) -> str:
        return f"<Checked {self.program.name}: {self.report.status}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """In a terminal: what ``slotlang check`` says."""
        lines = [f"{self.report.status}  {self.program.name}", *self.report.lines(), *self.repair_lines]
        lines += [render(d, "warning") for d in self.warnings]
        lines += [str(part).rstrip("\n") for part in self.parts]
        printer.text(indent("\n".join(lines), "  ").lstrip())


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise error("SL005", f"%%slot: {message}", hint=" ".join(self.format_usage().split()[1:]))


def _options() -> _Parser:
    parser = _Parser("%%slot", add_help=False, allow_abbrev=False)
    parser.add_argument("name", nargs="?")
    parser.add_argument("--size", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--cost", action="store_true")
    parser.add_argument("--show", action="append", default=[], metavar="VALUE")
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--method", default="auto", choices=METHODS)
    return parser


def checked(line: str, cell: str, place: str = "cell") -> tuple[str | None, Checked]:
    """The name on the magic's line, and the cell's program, checked. ``place``: what messages call the cell. Raises
    ``SlotError`` for a wrong program, and SL005 for a wrong line."""
    try:
        words = shlex.split(line)
    except ValueError as problem:
        raise error("SL005", f"%%slot: {problem}") from None
    options = _options().parse_args(words)
    if options.name is not None and (not options.name.isidentifier() or keyword.iskeyword(options.name)):
        raise error("SL005", f"%%slot: {options.name!r:.60} is no name in Python", hint="for example %%slot layout")
    # the magic's own line is the cell's first one, so that lines are those of the cell
    source = Source(place, f"\n{cell}", str(Path.cwd()))
    program = bind(parse(source), _sizes(options.size))
    program_parameters(program)
    report = check(program, options.method)
    repairs: Sequence[Repair] = ()
    if report.status == "refuted":
        from slotlang.mutation.repair import nearest_repairs

        repairs = nearest_repairs(program, report)
    warnings = (*unused_definitions(source), *unused(program))
    return options.name, Checked(program, report, tuple(_parts(program, report, options)), warnings, tuple(repairs))


def _sizes(items: Sequence[str]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for item in (part for given in items for part in given.split(",")):
        name, _, value = (part.strip() for part in item.partition("="))
        if not name.isidentifier() or not value.removeprefix("-").isdecimal():
            raise error("SL005", f"--size {item!r:.60} is not name=integer", hint="for example --size n=64")
        if name in sizes:
            raise error("SL005", f"size '{name}' is set twice")
        sizes[name] = int(value)
    return sizes


def _parts(program: Program, report: Report, options: argparse.Namespace) -> list[Displayed | SlotError]:
    """What was asked for besides the verdict. What can't be had is said in its place: the verdict stands."""
    from slotlang.notebook.live import page
    from slotlang.show.shown import shown

    wanted: list[Callable[[], Displayed]] = [partial(shown, program, name, report=report) for name in options.show]
    if options.cost:
        wanted.append(partial(api.cost, program))
    if options.page:
        wanted.append(partial(page, program))
    found: list[Displayed | SlotError] = []
    for make in wanted:
        try:
            found.append(make())
        except SlotError as problem:
            found.append(problem)
    return found


def register(shell: Any) -> None:
    """Give an IPython shell the magic."""

    def slot(line: str, cell: str) -> Checked:
        try:
            name, found = checked(line, cell, f"In[{shell.displayhook.prompt_count}]")
        except SlotError as problem:
            raise CellError(problem.diagnostics) from None
        if name is not None:
            shell.push({name: found.program})
        return found

    slot.__doc__ = HELP
    shell.register_magic_function(slot, "cell", "slot")


HELP = """Check the program in this cell, show the verdict and, of a wrong one, the wrong slots.

%%slot [NAME] [--size NAME=VALUE]... [--cost] [--show VALUE]... [--page] [--method METHOD]

NAME           the program gets this name in Python, also where it is refuted
--size n=64    another size than the program's own; --size n=64,m=8 for two
--cost         what the program costs
--show X       a picture of what the slots of X hold; --show "W[2, 5]" of a member
--page         the page of `slotlang report`, to click through
--method exact one of auto, polyhedral, exact, random

A program that can't be read is an error of the cell, with its places. A refuted one is a result.
"""
