"""``slotlang new``: a program from a template."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slotlang.cli.completion import template_names
from slotlang.cli.options import Json
from slotlang.cli.output import emit_json, guarded, write_new


def new(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="The program's name; without one, templates are listed."),
    ] = None,
    template: Annotated[
        str,
        typer.Option(
            metavar="TEMPLATE",
            help="layout, column, row, diagonal, ranks, pairs or product.",
            autocompletion=template_names,
        ),
    ] = "diagonal",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The file to write; NAME.slot if left out.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """Start a program from a template that is proved as it stands. A file that is there is left alone."""
    with guarded("new", json):
        from slotlang.templates import TEMPLATES, program_from

        if name is None:
            if json:
                listed = [{"template": key, "what": what} for key, what in TEMPLATES.items()]
                emit_json("new", {"file": None, "name": None, "template": None, "templates": listed})
            else:
                print("\n".join(f"{key:9} {what}" for key, what in TEMPLATES.items()))
                print("\nslotlang new NAME --template TEMPLATE writes NAME.slot")
            return
        path = output or Path(f"{name}.slot")
        write_new(path, program_from(template, name))
        if json:
            emit_json("new", {"file": str(path), "name": name, "template": template, "templates": []})
            return
        print(f"wrote {path}: {TEMPLATES[template]}")
        print("next:")
        for command, what in (
            (f"check {path}", "prove it, or see the slot that is wrong"),
            (f"show {path}", "see what slots hold"),
            (f"cost {path}", "count rotations, keys and time"),
            (f"run {path}", "run it encrypted, on random data"),
        ):
            print(f"  slotlang {command:{len(str(path)) + 6}}  {what}")
