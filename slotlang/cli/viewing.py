"""Commands that show, format and explain: show, fmt, explain, graph."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slotlang.cli.completion import code_names, value_names
from slotlang.cli.options import File, Files, Json, Sizes
from slotlang.cli.output import FAILED, OK, emit_json, guarded, write_file
from slotlang.cli.progress import working
from slotlang.cli.reading import loaded_program
from slotlang.diagnostics import EXPLANATIONS, closest, error
from slotlang.files import path_text


def show(
    file: File,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="What to draw: X, X[3], W[2, 5]; all families if left out.",
            autocompletion=value_names,
        ),
    ] = None,
    svg: Annotated[Path | None, typer.Option(help="Write the drawing as SVG too.")] = None,
    set_: Sizes = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Draw what the slots of a layout or a value hold, and a refuted program's wrong slots."""
    with guarded("show", json, reads=[file], writes=[svg]):
        from slotlang.cli.drawing import show_program

        show_program(file, loaded_program(file, set_), name, svg, json)


def fmt(
    files: Files,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit 1 when a file would change.")] = False,
    json: Json = False,
) -> None:
    """Format programs in place; comments stay where they are. What comes from standard input is printed."""
    changed = False
    with guarded("fmt", json):
        from slotlang.syntax.formatter import format_program
        from slotlang.syntax.program_file import read_program
        from slotlang.syntax.statements import STDIN, parse_file

        texts = []
        for path in files:
            source = read_program(path)
            if source.program is not None:
                raise error("SL120", "fmt formats all programs of a file", file=str(path), hint=f"name {source.name}")
            texts.append((path, source.text, format_program(parse_file(source))))
        for path, before, after in texts:
            if before != after:
                changed = True
                if not check and path != STDIN:
                    write_file(path, after)
                if not json and (check or path != STDIN):
                    print(f"{'would format' if check else 'formatted'} {path}")
            if path == STDIN and not check and not json:
                print(after, end="")
        if json:
            entries = [
                {"file": path_text(path), "changed": before != after, "text": after if path == STDIN else None}
                for path, before, after in texts
            ]
            emit_json("fmt", {"check": check, "files": entries})
    raise typer.Exit(FAILED if check and changed else OK)


def explain(
    code: Annotated[
        str | None,
        typer.Argument(help="A diagnostic's code, such as SL204; all of them without one.", autocompletion=code_names),
    ] = None,
    json: Json = False,
) -> None:
    """What a diagnostic's code means."""
    with guarded("explain", json):
        key = None if code is None else code.upper()
        if key is not None and key not in EXPLANATIONS:
            # codes share three letters and most digits: one letter may be wrong
            hint = closest(key, EXPLANATIONS, 0.8) or "slotlang explain lists them"
            raise error("SL005", f"there is no code '{code}'", hint=hint)
        wanted = dict(sorted(EXPLANATIONS.items())) if key is None else {key: EXPLANATIONS[key]}
        if json:
            parts = [(c, *text.partition("\n\n")) for c, text in wanted.items()]
            emit_json("explain", {"codes": [{"code": c, "title": t, "text": text} for c, t, _, text in parts]})
        elif key is None:
            for c, text in wanted.items():
                print(f"{c}: {text.partition(chr(10))[0]}")
        else:
            print(f"{key}: {EXPLANATIONS[key]}")


def graph(
    file: File,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File to write; standard output if left out.", show_default=False),
    ] = None,
    format_: Annotated[str, typer.Option("--format", metavar="FORMAT", help="dot, graphml or json.")] = "dot",
    set_: Sizes = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Export the unrolled dataflow graph."""
    with guarded("graph", json, reads=[file], writes=[output]):
        from slotlang.graph.views import FORMATS, export, node_link
        from slotlang.planning.planner import plan

        if format_ not in FORMATS:
            raise error("SL005", f"there is no format '{format_}'", hint=f"formats are {', '.join(FORMATS)}")
        with working("unrolling"):
            made = plan(loaded_program(file, set_)).graph
        if output is not None:
            write_file(output, export(made, format_) + "\n")
        if json:
            links = node_link(made)
            if output is None:
                emit_json("graph", links)
            else:
                sizes = {"nodes": len(links["nodes"]), "edges": len(links["edges"])}
                emit_json("graph", {"file": path_text(file), "output": str(output), "format": format_, **sizes})
        elif output is None:
            print(export(made, format_))
