"""The command for editors: lsp."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from slotlang.cli.output import guarded
from slotlang.cli.ports import serving
from slotlang.diagnostics import error


def lsp(
    port: Annotated[
        int | None,
        typer.Option(metavar="N", help="Serve on this port of 127.0.0.1, in place of stdin and stdout; 0: a free one."),
    ] = None,
    stdio: Annotated[bool, typer.Option("--stdio", help="Serve on stdin and stdout, as without options.")] = False,
) -> None:
    """Serve editors: messages, verdicts, completions and more, by the Language Server Protocol."""
    with guarded("lsp", False):
        if port is not None and stdio:
            raise error("SL005", "--port and --stdio exclude each other", hint="drop one of them")
        from slotlang.editor.server import serve_stdio, serve_tcp

        if port is None:
            serve_stdio()
            return
        with serving(port):
            serve_tcp(port, lambda found: print(f"listening on 127.0.0.1:{found}", file=sys.stderr, flush=True))
