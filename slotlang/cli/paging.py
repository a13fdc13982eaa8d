"""Commands that make pages: report, view."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from slotlang.cli.options import File, Json, Sizes
from slotlang.cli.output import emit_json, guarded, parse_sizes, write_file
from slotlang.cli.ports import serving
from slotlang.cli.progress import working
from slotlang.cli.reading import parsed_file
from slotlang.files import path_text
from slotlang.source import Source
from slotlang_runtime.amounts import count_of


def report(
    file: File,
    output: Annotated[Path, typer.Option("-o", "--output", help="The HTML file to write.", show_default=False)],
    set_: Sizes = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Write a program as a page: its slots, where they came from, rotations, costs, proof. One file, for a browser."""
    with guarded("report", json, reads=[file], writes=[output]):
        from slotlang.page.document import document
        from slotlang.page.parts import whole

        sizes = parse_sizes(set_)
        source = _checked(file, sizes)
        name = Path(source.name).name
        with working("proving, counting and drawing") as line:
            data = whole(source.text, name, source.folder, sizes, source.program, line.step)
        programs = data["programs"]
        title = programs[0]["name"] if len(programs) == 1 else name
        text = document("report", title, data, source.text)
        write_file(output, text)
        if json:
            entries = [
                {
                    "program": p["name"],
                    "verdict": p["verdict"]["status"],
                    "values": len(p["values"]),
                    "complete": p["complete"],
                }
                for p in programs
            ]
            emit_json(
                "report",
                {"file": path_text(file), "output": str(output), "bytes": len(text.encode()), "programs": entries},
            )
            return
        print(f"wrote {output}, {len(text.encode()) / 1e3:,.0f} kB")
        for p in programs:
            left = (
                ""
                if p["complete"]
                else f"; it has room for {count_of(len(p['values']), 'value')}, and slotlang view shows all"
            )
            print(f"{p['name']}: {p['verdict']['status']}{left}")


def view(
    file: File,
    port: Annotated[int, typer.Option(metavar="N", help="Serve on this port of 127.0.0.1; 0: a free one.")] = 0,
    set_: Sizes = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Serve a program as a page with an editor, to this machine alone, until Ctrl-C. The file is followed, never
    written."""
    with guarded("view", json, reads=[file]):
        from slotlang.page.server import Viewed, serve
        from slotlang.syntax.program_file import read_program
        from slotlang.syntax.statements import program_path

        sizes = parse_sizes(set_)
        # a program that is not right yet is what an editor is for
        source = read_program(file)

        def listening(address: str) -> None:
            if json:
                emit_json("view", {"file": path_text(file), "address": address})
            else:
                print(f"{address} shows {path_text(file)}; Ctrl-C ends it")
            sys.stdout.flush()

        with serving(port):
            serve(Viewed(program_path(file)[0], source.program, sizes), port, listening)


def _checked(file: Path, sizes: Mapping[str, int]) -> Source:
    """The file's text. Raises ``SlotError`` for what is wrong with one of the programs that are meant."""
    from slotlang.cli.verdicts import programs_in
    from slotlang.meaning.bind import bind
    from slotlang.planning.given_parameters import program_parameters
    from slotlang.syntax.program_file import read_program

    source = read_program(file)
    for path, own in programs_in(file, sizes):
        program_parameters(bind(parsed_file(path), own))
    return source
