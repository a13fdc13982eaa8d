"""How every command ends: results as JSON or text, errors as diagnostics, exit statuses."""

from __future__ import annotations

import json
import math
import os
import re
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import typer

from slotlang.diagnostics import Diagnostic, SlotError, error, render

OK, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


def _finite(value: Any) -> Any:
    """The value with NaN and infinities, which JSON does not have, as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value


_VERSIONS = {"check": 2, "cost": 3, "compare": 3, "lower": 2, "optimize": 2, "run": 3, "synth": 3}
"""Of the shapes that are not the first any more: reports, counts, parameters and kernels are spelled one way."""


def emit_json(command: str, values: dict[str, Any]) -> None:
    """One object on standard output; ``schema`` names its documented, versioned shape."""
    schema = f"slotlang.{command}/{_VERSIONS.get(command, 1)}"
    print(json.dumps({"schema": schema, **_finite(values)}, indent=2, allow_nan=False))


def report(diagnostics: Sequence[Diagnostic], kind: str = "error") -> None:
    """Diagnostics on standard error."""
    print("\n\n".join(render(d, kind) for d in diagnostics), file=sys.stderr)


def problems(problem: BaseException, file: str = "") -> tuple[Diagnostic, ...] | None:
    """What is said of an exception that ends a command; None for one that is not a program's fault."""
    from slotlang.proof.verdict import Disagreement

    match problem:
        case SlotError():
            return problem.diagnostics
        case Disagreement():
            message = f"slotlang contradicts itself: {problem}"
            hint = "this is a bug in slotlang; please report it with the program"
            return (Diagnostic("SL901", message, hint=hint, file=file),)
        case MemoryError():
            return (Diagnostic("SL309", "memory ran out", hint="choose smaller sizes with --set", file=file),)
        case RecursionError():
            hint = "name the parts of deep expressions in statements of their own"
            return (Diagnostic("SL104", "the program nests too deeply", hint=hint, file=file),)
        case _:
            return None


@contextmanager
def guarded(command: str, as_json: bool) -> Iterator[None]:
    """Turns bad input into exit status 2, with the diagnostics as JSON on standard output under ``--json``."""
    try:
        yield
        sys.stdout.flush()
        return
    except BrokenPipeError:
        # the reader has gone; nothing more can be said to it
        silence()
        raise typer.Exit(OK) from None
    except Exception as problem:
        diagnostics = problems(problem)
        if diagnostics is None:
            raise
    if as_json:
        emit_json(command, {"diagnostics": [d.to_json() for d in diagnostics]})
    report(diagnostics)
    raise typer.Exit(BAD_INPUT)


def silence() -> None:
    """Point standard output at nothing, so that what is still buffered is no error when the process ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def write_file(path: Path, text: str) -> None:
    """Write a whole file or nothing; devices and pipes are written to. Raises SL004."""
    temporary = None
    try:
        if path.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        if path.exists() and not path.is_file():
            with path.open("w", encoding="utf-8") as stream:
                stream.write(text)
            return
        target = path.resolve()
        mode = 0o666 & ~_umask()
        if target.exists():
            mode = stat.S_IMODE(target.stat().st_mode)
            # replacing a file asks for no permission to write to it, so it is asked for here
            if not mode & 0o222 or not os.access(target, os.W_OK):
                raise PermissionError(0, "it is read-only")
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=target.parent, prefix=".slotlang.", delete=False
        ) as stream:
            temporary = Path(stream.name)
            stream.write(text)
        temporary.chmod(mode)
        temporary.replace(target)
        temporary = None
    except (OSError, ValueError, RuntimeError) as problem:
        reason = getattr(problem, "strerror", None) or str(problem)
        raise error("SL004", f"can't write {path}: {reason}", file=str(path)) from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


_SIZE = re.compile(r"\s*([A-Za-z_][A-Za-z_0-9]*)\s*=\s*(-?[0-9]{1,30})\s*")


def parse_sizes(items: Sequence[str]) -> dict[str, int]:
    """``["d=8192"]`` as sizes. Raises SL005."""
    sizes: dict[str, int] = {}
    for item in items:
        match = _SIZE.fullmatch(item)
        if match is None:
            shown = item if len(item) <= 60 else f"{item[:57]}..."
            raise error("SL005", f"--set {shown!r} is not name=integer", hint="for example --set d=8192")
        name, value = match.groups()
        if name in sizes:
            raise error("SL005", f"size '{name}' is set twice")
        sizes[name] = int(value)
    return sizes


def parse_names(text: str) -> list[str]:
    """``"d,r"`` as names. Raises SL005."""
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if not name.isidentifier():
            raise error("SL005", f"--for-all {text!r:.60} is not a list of names", hint="for example --for-all d,r")
        if names.count(name) > 1:
            raise error("SL005", f"size '{name}' is named twice")
    return names
