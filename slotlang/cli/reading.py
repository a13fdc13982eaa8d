"""What the words of a command name: programs, weights, parameters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from slotlang.cli.output import parse_sizes
from slotlang.diagnostics import error

if TYPE_CHECKING:
    from rich.console import Console

    from slotlang.meaning.program import Program
    from slotlang.planning.parameters import Parameters
    from slotlang.planning.target import Target
    from slotlang.syntax import tree


def parsed_file(path: Path) -> tree.Program:
    """The syntax tree of a file, or of one program in it. Raises ``SlotError``."""
    from slotlang.syntax.parser import parse
    from slotlang.syntax.program_file import read_program

    return parse(read_program(path))


def loaded_program(path: Path, sizes: list[str], bounds: dict[str, str] | None = None) -> Program:
    """The program of a file at these sizes, with bounds that are not in its text. Raises ``SlotError``."""
    from slotlang.meaning.bind import bind

    return bind(with_bounds(parsed_file(path), bounds or {}), parse_sizes(sizes))


def known(
    path: Path,
    sizes: list[str],
    bounds: dict[str, str],
    target: Target,
    adapter: Path | None,
    modules: list[str],
    base_changed: bool,
    data: Path | None,
) -> tuple[Program, Target]:
    """The program, and the target with the weights of an adapter or a file; warnings about an adapter are shown."""
    if adapter is None and data is None and not modules:
        return loaded_program(path, sizes, bounds), target
    from dataclasses import replace

    from slotlang.cli.output import report
    from slotlang.run.given import Source, given

    source = Source(adapter, modules, base_changed, data)
    found = given(with_bounds(parsed_file(path), bounds), parse_sizes(sizes), source, inputs="optional")
    if found.adapter is not None and found.adapter.warnings:
        report(found.adapter.warnings, "warning")
    return found.program, replace(target, data=found.powers)


def with_bounds(syntax: tree.Program, bounds: dict[str, str]) -> tree.Program:
    """The tree with statements for the bounds of ``--bound`` and ``--bound-norm``."""
    if not bounds:
        return syntax
    from slotlang.meaning.outside_bounds import with_bound_statements

    return with_bound_statements(syntax, bounds)


def given_parameters(text: str | None, precision: float | None) -> Parameters | None:
    """The parameters of ``--parameters``. Raises SL005 with ``--precision``, which searches them."""
    if text is None:
        return None
    from slotlang.planning.given_parameters import parameters_named

    if precision is not None:
        raise error("SL005", "--precision searches parameters, and --parameters gives them", hint="drop one of them")
    return parameters_named(text)


def symbolic_only(others: Mapping[str, object]) -> None:
    """Raises SL005 for what says nothing about formulas."""
    wrong = [name for name, given in others.items() if given]
    if wrong:
        hint = "formulas are of counts and bytes: they have no times and no errors"
        raise error("SL005", f"{wrong[0]} does not go with --symbolic", hint=hint)


def console() -> Console:
    """The console for tables; it imports rich."""
    from slotlang.cli.console import console_for_tables

    return console_for_tables()
