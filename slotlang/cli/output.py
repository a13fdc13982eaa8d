"""How every command ends: results as JSON or text, errors as diagnostics, exit statuses."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer

from slotlang.diagnostics import Diagnostic, SlotError, error, render

OK, FAILED, BAD_INPUT = 0, 1, 2


def emit_json(command: str, values: dict[str, Any]) -> None:
    """One object on standard output; ``schema`` names its documented, versioned shape."""
    print(json.dumps({"schema": f"slotlang.{command}/1", **values}, indent=2))


def report(diagnostics: tuple[Diagnostic, ...]) -> None:
    """Diagnostics on standard error."""
    print("\n\n".join(render(d) for d in diagnostics), file=sys.stderr)


@contextmanager
def guarded(command: str, as_json: bool) -> Iterator[None]:
    """Turns bad input into exit status 2, with the diagnostics as JSON on standard output under ``--json``."""
    from slotlang.proof.disagreement import Disagreement

    try:
        yield
        sys.stdout.flush()
    except SlotError as problem:
        diagnostics = problem.diagnostics
    except Disagreement as problem:
        diagnostics = (
            Diagnostic(
                "SL901",
                f"two methods contradict each other: {problem}",
                hint="this is a bug in slotlang; please report it with the program",
            ),
        )
    except MemoryError:
        diagnostics = (Diagnostic("SL309", "memory ran out", hint="choose smaller sizes with --set"),)
    except BrokenPipeError:
        # the reader has gone; nothing more can be said to it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(OK) from None
    else:
        return
    if as_json:
        emit_json(command, {"diagnostics": [d.to_json() for d in diagnostics]})
    report(diagnostics)
    raise typer.Exit(BAD_INPUT)


def write_file(path: Path, text: str) -> None:
    """Write a whole file or nothing. Raises SL004."""
    try:
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as stream:
            temporary = Path(stream.name)
            stream.write(text)
        temporary.chmod(mode)
        temporary.replace(path)
    except OSError as problem:
        if "temporary" in locals():
            temporary.unlink(missing_ok=True)
        raise error("SL004", f"can't write {path}: {problem.strerror or problem}", file=str(path)) from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def parse_sizes(items: list[str]) -> dict[str, int]:
    """``["d=8192"]`` as sizes. Raises SL005."""
    sizes: dict[str, int] = {}
    for item in items:
        name, sign, value = item.partition("=")
        digits = value.strip()
        if not sign or not name.strip().isidentifier() or not digits.lstrip("-").isdigit() or len(digits) > 30:
            raise error("SL005", f"--set {item!r} is not name=integer", hint="for example --set d=8192")
        if name.strip() in sizes:
            raise error("SL005", f"size '{name.strip()}' is set twice")
        sizes[name.strip()] = int(digits)
    return sizes
