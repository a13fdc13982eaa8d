"""What shells complete: scripts for bash, zsh and fish, and the names that commands take."""

from __future__ import annotations

import os
from pathlib import Path

from slotlang.diagnostics import pick

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


def code_names(incomplete: str) -> list[tuple[str, str]]:
    """Codes of diagnostics with their titles."""
    from slotlang.diagnostics import EXPLANATIONS

    titles = {code: text.partition("\n")[0] for code, text in EXPLANATIONS.items()}
    return [(code, title) for code, title in titles.items() if code.startswith(incomplete.upper())]
