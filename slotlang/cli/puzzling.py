"""``slotlang puzzle``: programs with a goal, for learning by doing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from slotlang.cli.completion import puzzle_names
from slotlang.cli.options import File, Json
from slotlang.cli.output import FAILED, OK, emit_json, guarded, write_new
from slotlang.cli.ports import serving
from slotlang.cli.progress import working
from slotlang.cli.usage import WholeSummaries
from slotlang.diagnostics import SlotError, closest, error
from slotlang.files import path_text

if TYPE_CHECKING:
    from slotlang.puzzles.book import Puzzle

puzzle_app = typer.Typer(
    cls=WholeSummaries,
    add_completion=False,
    rich_markup_mode=None,
    help="Puzzles: small programs with a goal, which teach the tutorial by doing. Without a command: the list.",
)

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="A puzzle, or its number in the list.", show_default=False, autocompletion=puzzle_names
    ),
]
Progress = Literal["new", "started", "solved"]


def _named(name: str) -> Puzzle:
    """By its name, or its number in the list. Raises SL005 for what no puzzle has."""
    from slotlang.puzzles.book import PUZZLES, puzzle_named

    number = int(name) if name.isascii() and name.isdigit() and len(name) < 4 else 0
    found = PUZZLES[number - 1] if 1 <= number <= len(PUZZLES) else puzzle_named(name)
    if found is None:
        names = [puzzle.name for puzzle in PUZZLES]
        hint = closest(name, names) or f"puzzles are {', '.join(names)}"
        raise error("SL005", f"there is no puzzle '{name}'", hint=hint)
    return found


def progress_of(puzzle: Puzzle, folder: Path) -> Progress:
    """How far a puzzle is in a folder, by its file there and nothing else."""
    path = folder / f"{puzzle.name}.slot"
    if not path.exists():
        return "new"
    from slotlang.puzzles.judge import judge_file

    try:
        judged = judge_file(path)
    except SlotError:
        return "started"
    return "solved" if judged.solved and judged.puzzle is puzzle else "started"


def _entry(puzzle: Puzzle) -> dict[str, object]:
    return {
        "puzzle": puzzle.name,
        "goal": puzzle.goal,
        "teaches": puzzle.teaches,
        "tutorial": puzzle.link,
    }


@puzzle_app.callback(invoke_without_command=True)
def list_puzzles(context: typer.Context, json: Json = False) -> None:
    """Puzzles: small programs with a goal, which teach the tutorial by doing. Without a command: the list, with what is
    solved in this folder."""
    if context.invoked_subcommand is not None:
        return
    with guarded("puzzle", json):
        from slotlang.cli.progress import counted
        from slotlang.puzzles.book import PUZZLES

        with counted("checking what is solved", len(PUZZLES)) as step:
            states = [step(progress_of, puzzle, Path()) for puzzle in PUZZLES]
        if json:
            entries = [{**_entry(p), "progress": state} for p, state in zip(PUZZLES, states, strict=True)]
            emit_json("puzzle", {"solved": states.count("solved"), "puzzles": entries})
            return
        from slotlang.cli.lines import print_lines

        print_lines(
            f"{number}  {puzzle.name:9}  {'' if state == 'new' else state:7}  {puzzle.teaches}"
            for number, (puzzle, state) in enumerate(zip(PUZZLES, states, strict=True), 1)
        )
        following = next((p.name for p, state in zip(PUZZLES, states, strict=True) if state != "solved"), None)
        print(f"\n{states.count('solved')} of {len(PUZZLES)} solved in this folder")
        if following is not None:
            print(f"next: slotlang puzzle show {following}")


@puzzle_app.command("show")
def show_puzzle(name: Name, json: Json = False) -> None:
    """Show a puzzle: its goal, its program, what it teaches."""
    with guarded("puzzle.show", json):
        puzzle = _named(name)
        if json:
            emit_json("puzzle.show", {**_entry(puzzle), "limits": dict(puzzle.limits), "program": puzzle.text})
            return
        print(f"{puzzle.name}: {puzzle.teaches}")
        print(f"goal: {puzzle.goal}")
        print(f"tutorial: {puzzle.link}\n")
        print(puzzle.text)
        print(f"next: slotlang puzzle start {puzzle.name}")


@puzzle_app.command("start")
def start_puzzle(
    name: Name,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The file to write; NAME.slot if left out.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """Write a puzzle's program into a new file, to be worked on."""
    with guarded("puzzle.start", json):
        puzzle = _named(name)
        path = output or Path(f"{puzzle.name}.slot")
        write_new(path, puzzle.text)
        if json:
            emit_json("puzzle.start", {**_entry(puzzle), "file": str(path)})
            return
        print(f"{path}: {puzzle.goal}")
        print(f"what the program does now: slotlang check {path}")
        print(f"whether it is solved:      slotlang puzzle check {path}")


@puzzle_app.command("view")
def view_puzzle(
    name: Name,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Your file of it; NAME.slot if left out.", show_default=False),
    ] = None,
    port: Annotated[int, typer.Option(metavar="N", help="Serve on this port of 127.0.0.1; 0: a free one.")] = 0,
    json: Json = False,
) -> None:
    """Serve a puzzle as a page with an editor, to this machine alone, until Ctrl-C: what is missing, hints, the slots.
    It is started first where there is no file of it; the file is written again when you press the button for that."""
    with guarded("puzzle.view", json):
        from slotlang.page.server import Viewed, serve
        from slotlang.syntax.program_file import read_program

        puzzle = _named(name)
        path = output or Path(f"{puzzle.name}.slot")
        if not path.exists():
            write_new(path, puzzle.text)
        read_program(path)

        def listening(address: str) -> None:
            if json:
                emit_json("puzzle.view", {**_entry(puzzle), "file": str(path), "address": address})
            else:
                print(f"{path}: {puzzle.goal}")
                print(f"{address} shows it; Ctrl-C ends it")
            sys.stdout.flush()

        with serving(port):
            serve(Viewed(path, puzzle=puzzle.name), port, listening)


@puzzle_app.command("check")
def check_puzzle(file: File, json: Json = False) -> None:
    """Check a file against the goal of its puzzle. Exit status 0 when it is solved, 1 when it is not."""
    status = OK
    with guarded("puzzle.check", json, reads=[file]):
        from slotlang.puzzles.book import PUZZLES
        from slotlang.puzzles.judge import judge_file

        with working("reading") as line:
            judged = judge_file(file, line.step)
        status = OK if judged.solved else FAILED
        if json:
            emit_json("puzzle.check", {"file": path_text(file), **judged.to_json()})
        else:
            from slotlang.cli.lines import print_lines

            puzzle = judged.puzzle
            print_lines([f"{'solved' if judged.solved else 'not solved'}  {puzzle.name}: {puzzle.goal}"])
            print_lines(f"  {line}" for line in judged.lines())
            if judged.hint:
                print_lines([f"hint: {judged.hint}", f"tutorial: {puzzle.link}"])
            else:
                rest = PUZZLES[PUZZLES.index(puzzle) + 1 :]
                print(f"next: slotlang puzzle show {rest[0].name}" if rest else "this was the last one")
    raise typer.Exit(status)
