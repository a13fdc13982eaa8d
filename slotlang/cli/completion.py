"""What shells complete: scripts for bash, zsh and fish, and the names that commands take."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import typer

from slotlang.diagnostics import SlotError, pick

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_SLOTLANG_COMPLETE"
"""By which a shell's script asks for completions."""


def script(shell: str) -> str:
    """The script that makes a shell complete ``slotlang``. Raises SL005 for another shell."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    known = pick(shell, SHELLS, "SL005", "shell", "shells")
    return str(get_completion_script(prog_name="slotlang", complete_var=VARIABLE, shell=known))


def prepare() -> None:
    """Before the command line is read: where a shell asks for completions, typer has to know how it wants them."""
    if VARIABLE in os.environ:
        from typer.completion import completion_init  # type: ignore[attr-defined]

        completion_init()


def program_files(incomplete: str) -> list[str]:
    """Files of programs that start like this. None where folders do too: the shell goes into them better by itself."""
    folder, _, start = incomplete.rpartition("/")
    place = Path(f"{folder}/" if incomplete.startswith("/") else folder or ".")
    try:
        inside = [path for path in place.iterdir() if path.name.startswith(start) and not path.name.startswith(".")]
    except OSError:
        return []
    if any(path.is_dir() for path in inside):
        return []
    before = incomplete[: len(incomplete) - len(start)]
    return sorted(f"{before}{path.name}" for path in inside if path.suffix == ".slot")


def puzzle_names(incomplete: str) -> list[tuple[str, str]]:
    """Puzzles with what they teach."""
    from slotlang.puzzles.book import PUZZLES

    return [(puzzle.name, puzzle.teaches) for puzzle in PUZZLES if puzzle.name.startswith(incomplete)]


def template_names(incomplete: str) -> list[tuple[str, str]]:
    """Templates with what they are."""
    from slotlang.templates import TEMPLATES

    return [(name, what) for name, what in TEMPLATES.items() if name.startswith(incomplete)]


def page_names(incomplete: str) -> list[tuple[str, str]]:
    """Pages of the documents with their titles."""
    from slotlang import docs

    try:
        return [(name, docs.page(name).title) for name in docs.page_names() if name.startswith(incomplete)]
    except SlotError:
        return []


def code_names(incomplete: str) -> list[tuple[str, str]]:
    """Codes of diagnostics with their titles."""
    from slotlang.diagnostics import EXPLANATIONS

    titles = {code: text.partition("\n")[0] for code, text in EXPLANATIONS.items()}
    return [(code, title) for code, title in titles.items() if code.startswith(incomplete.upper())]


def method_names(incomplete: str) -> list[tuple[str, str]]:
    """Ways to decide."""
    what = {
        "auto": "the first that decides",
        "polyhedral": "for all numbers, by isl",
        "exact": "product by product",
        "random": "at random points, which never proves",
    }
    return [(name, text) for name, text in what.items() if name.startswith(incomplete)]


def objective_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """What ``optimize`` or ``synth`` can save."""
    from slotlang.optimize import search as optimizing
    from slotlang.search import candidate as searching

    known = searching.OBJECTIVES if ctx.info_name == "synth" else optimizing.OBJECTIVES
    return [name for name in known if name.startswith(incomplete)]


def _statements() -> list[Any]:
    """Statements of the program that the words so far name; none where it can't be read. Standard input is the
    shell's. Words are the shell's own: click drops those before an option that has no value yet."""
    from slotlang.syntax.parser import parse_file
    from slotlang.syntax.program_file import read_program

    words = (os.environ.get("_TYPER_COMPLETE_ARGS") or os.environ.get("COMP_WORDS") or "").split()
    given = next((word for word in words if word.partition(":")[0].endswith(".slot")), None)
    if given is None:
        return []
    try:
        return list(parse_file(read_program(Path(given))).statements)
    except (SlotError, OSError, ValueError):
        return []


def size_names(incomplete: str) -> list[tuple[str, str]]:
    """Sizes of the program that is named before, each with ``=`` behind it."""
    from slotlang.syntax import tree

    sizes = [size for s in _statements() if isinstance(s, tree.Header) for size in s.sizes]
    texts = {f"{size.name}=": size.span.text for size in sizes}
    return [(name, text) for name, text in texts.items() if name.startswith(incomplete)]


def value_names(incomplete: str) -> list[tuple[str, str]]:
    """Values of the program that is named before, which ``show`` draws."""
    from slotlang.syntax import tree

    found = {s.name: s.span.text.partition("\n")[0] for s in _statements() if isinstance(s, tree.Define)}
    return [(name, text) for name, text in found.items() if name.startswith(incomplete)]
