"""``slotlang docs``: the pages of the documents."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from slotlang.cli.completion import page_names
from slotlang.cli.options import Json
from slotlang.cli.output import emit_json, guarded


def docs(
    page: Annotated[
        str | None,
        typer.Argument(
            metavar="[PAGE]",
            help="As messages name it: proof, docs/proof.md, docs/proof.md#what-runs; all are listed without one.",
            autocompletion=page_names,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """List the pages of the documents, or show one. In a pipe it is Markdown."""
    with guarded("docs", json):
        from slotlang import docs

        if page is None:
            pages = [docs.page(name) for name in docs.page_names()]
            if json:
                listed = [{"page": p.name, "file": p.file, "title": p.title, "text": None} for p in pages]
                emit_json("docs", {"pages": listed})
            else:
                width = max(len(p.name) for p in pages)
                print("\n".join(f"{p.name:{width}}  {p.title}" for p in pages))
                print("\nslotlang docs PAGE shows one")
            return
        shown = docs.found(page)
        if json:
            entry = {"page": shown.name, "file": shown.file, "title": shown.title, "text": shown.text}
            emit_json("docs", {"pages": [entry]})
        elif sys.stdout.isatty():
            from slotlang.cli.console import console_for_drawings
            from slotlang.cli.markdown import TerminalMarkdown

            console_for_drawings().print(TerminalMarkdown(shown.text))
        else:
            print(shown.text, end="")
