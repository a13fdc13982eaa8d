"""How every command ends: results as JSON or text, errors as diagnostics, exit statuses."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from slotlang.cli.faults import (
    INTERRUPTED,
    check_libraries_fit,
    give_back_reserve,
    is_whole,
    leave,
    memory_ran_out,
    out_of_memory,
    starts,
)
from slotlang.cli.fitting import width_of
from slotlang.diagnostics import Diagnostic, SlotError, error, render
from slotlang.files import reason_of, write_whole

if TYPE_CHECKING:
    from slotlang.run.cache import CacheUse

OK, FAILED, BAD_INPUT = 0, 1, 2

_WITHOUT_ARRAYS = ("docs", "explain", "fmt", "recheck")
"""Commands that need no numpy."""

_STATUS = {"SL406": FAILED, "SL511": FAILED}
"""Exit statuses of errors that are not the input's: a program that is not proved, a worker that was killed."""


def _finite(value: Any) -> Any:
    """The value with NaN and infinities, which JSON does not have, as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value


_VERSIONS = {
    "check": 4,
    "cost": 6,
    "compare": 6,
    "lower": 5,
    "optimize": 5,
    "recheck": 2,
    "run": 7,
    "synth": 5,
    "token.list": 2,
}
"""Versions of the shapes that are not at version 1: reports, counts, parameters and kernels are spelled one way."""


def emit_json(command: str, values: dict[str, Any]) -> None:
    """One object on standard output; ``schema`` names its documented, versioned shape."""
    schema = f"slotlang.{command}/{_VERSIONS.get(command, 1)}"
    print(json.dumps({"schema": schema, **_finite(values)}, indent=2, allow_nan=False))


def report(diagnostics: Sequence[Diagnostic], kind: str = "error") -> None:
    """Diagnostics on standard error."""
    width = width_of(sys.stderr)
    print("\n\n".join(render(d, kind, width) for d in diagnostics), file=sys.stderr)


def problems(problem: BaseException, file: str = "") -> tuple[Diagnostic, ...] | None:
    """What is said of an exception that ends a command; None for one that is not a program's fault."""
    from slotlang.proof.verdict import Disagreement

    if isinstance(problem, SlotError) and all(d.code != "SL511" for d in problem.diagnostics):
        return problem.diagnostics
    if (asked := memory_ran_out(problem)) is not None:
        return (out_of_memory(asked, file),)
    match problem:
        case SlotError():
            return problem.diagnostics
        case RuntimeError() if str(problem) == "I/O error":
            # SEAL's words for a stream that takes no more
            hint = "allow larger files (ulimit -f): files in memory count as well"
            return (Diagnostic("SL804", "SEAL could not write keys or ciphertexts", hint=hint, file=file),)
        case Disagreement():
            message = f"slotlang contradicts itself: {problem}"
            hint = "this is a bug in slotlang; please report it with the program"
            return (Diagnostic("SL901", message, hint=hint, file=file),)
        case RecursionError():
            hint = "name the parts of deep expressions in statements of their own"
            return (Diagnostic("SL104", "the program nests too deeply", hint=hint, file=file),)
        case _:
            return None


@contextmanager
def guarded(
    command: str, as_json: bool, *, reads: Iterable[Path | None] = (), writes: Iterable[Path | None] = ()
) -> Iterator[None]:
    """Turns bad input and the machine's faults into exit statuses, with the diagnostics as JSON on standard output
    under ``--json``. ``reads`` and ``writes``: the files that the options name; none may be both, which is checked
    first."""
    starts(command, as_json)
    try:
        check_distinct(reads, writes)
        if command not in _WITHOUT_ARRAYS:
            check_libraries_fit()
        yield
        return
    except typer.Exit:
        raise
    except KeyboardInterrupt:
        print("interrupted: nothing was computed to the end", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    except Exception as problem:
        # arrays of the frames that failed are given back
        problem.__traceback__ = None if isinstance(problem, MemoryError) else problem.__traceback__
        give_back_reserve()
        diagnostics = problems(problem)
        if diagnostics is None:
            raise
    say_errors(diagnostics, command, as_json)
    if is_whole() and any(d.code == "SL801" for d in diagnostics):
        # SEAL's memory pool may hold a lock for ever, which its destructors would wait for
        sys.stdout.flush()
        leave(BAD_INPUT)
    raise typer.Exit(max(_STATUS.get(d.code, BAD_INPUT) for d in diagnostics))


def say_errors(diagnostics: Sequence[Diagnostic], command: str, as_json: bool) -> None:
    """Errors that end a command."""
    if as_json:
        emit_json(command, {"diagnostics": [d.to_json() for d in diagnostics]})
    report(diagnostics)


def say_unexpected(problem: Exception) -> int:
    """What no command expects: memory ran out outside of one, or a bug. The exit status."""
    diagnostics = problems(problem)
    if diagnostics is None:
        if os.environ.get("SLOTLANG_TRACEBACK"):
            raise problem
        message = f"slotlang failed: {type(problem).__name__}: {problem}"[:300]
        hint = "this is a bug in slotlang; please report it with the program and the command"
        diagnostics = (Diagnostic("SL902", message, hint=hint),)
    report(diagnostics)
    return BAD_INPUT


def warn_of_cache(used: CacheUse) -> None:
    """A warning on standard error when a run could not use its cache, or not keep what it encoded."""
    if used.state == "rebuilt":
        message = f"cached weights could not be used and were made anew: {used.reason}"
        report([Diagnostic("SL513", message, file=used.file)], "warning")
    elif used.state == "unsaved":
        message = f"encoded weights were not kept: {used.reason}"
        report([Diagnostic("SL515", message, file=used.file)], "warning")


def check_distinct(reads: Iterable[Path | None], writes: Iterable[Path | None]) -> None:
    """Raises SL006 when a file is to be written that is read too, under whatever name, or two are the same."""
    outputs = [path for path in writes if path is not None]
    if not outputs:
        return
    from slotlang.syntax.statements import STDIN, program_path

    inputs = [file for path in reads if path is not None and (file := program_path(path)[0]) != STDIN]
    known = {identity: what for path in inputs for file, what in _read_with(path) for identity in _identities(file)}
    with suppress(OSError, RuntimeError):
        from slotlang.cost.profile import user_profile

        inputs += [Path(named)] if (named := os.environ.get("SLOTLANG_PROFILE")) else [user_profile()]
    known |= {identity: f"is read and written, as {path} too" for path in inputs for identity in _identities(path)}
    for path in outputs:
        for identity in _identities(path):
            if identity in known:
                what = known[identity].removesuffix(f", as {path} too")
                raise error("SL006", f"{path} {what}", file=str(path), hint="name another file to write")
            known[identity] = f"is written twice, as {path} too"


def _read_with(path: Path) -> list[tuple[Path, str]]:
    """What is read with a path, and why it is not to be written: the files in an adapter's folder, and those that a
    program imports. What is wrong with them is said where they are read."""
    from slotlang.syntax.definitions import imported_paths
    from slotlang.syntax.program_file import read_program

    with suppress(SlotError, OSError, ValueError):
        if path.is_dir():
            return [(file, f"is written, and {path} is read") for file in path.iterdir()]
        return [(file, f"is written, and {path} imports it") for file in imported_paths(read_program(path))]
    return []


def _identities(path: Path) -> list[object]:
    """What a regular file is known by, however it is named: its inode, or where there is none yet, its full path."""
    try:
        found = path.stat()
    except FileNotFoundError:
        with suppress(OSError, RuntimeError):
            return [path.resolve()]
        return []
    except (OSError, ValueError):
        return []
    return [(found.st_dev, found.st_ino)] if stat.S_ISREG(found.st_mode) else []


def write_file(path: Path, text: str | bytes) -> None:
    """Write a whole file or nothing; devices, and pipes that are read, are written to. Raises SL004."""
    try:
        if path.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        data = text.encode() if isinstance(text, str) else text
        if path.exists() and not path.is_file():
            _write_through(path, data)
            return
        target = path.resolve()
        mode = 0o666 & ~_umask()
        if target.exists():
            mode = stat.S_IMODE(target.stat().st_mode)
            # replacing a file asks for no permission to write to it, so it is asked for here
            if not mode & 0o222 or not os.access(target, os.W_OK):
                raise PermissionError(0, "it is read-only")
        write_whole(target, data, mode)
    except (OSError, ValueError, RuntimeError) as problem:
        if memory_ran_out(problem) is not None:
            raise
        raise error("SL004", f"can't write {path}: {reason_of(problem)}", file=str(path)) from None


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there. Raises SL010 where something is, which stays as it is, and SL004."""
    from slotlang.files import write_new as write

    try:
        write(path, text.encode())
    except FileExistsError:
        hint = "name another file with -o, or remove this one"
        raise error("SL010", f"{path} is there already", file=str(path), hint=hint) from None
    except (OSError, ValueError) as problem:
        raise error("SL004", f"can't write {path}: {reason_of(problem)}", file=str(path)) from None


def _write_through(path: Path, data: bytes) -> None:
    """Write to a device or a pipe. Opening one that nobody reads fails in place of waiting for a reader."""
    try:
        descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as problem:
        if problem.errno == errno.ENXIO:
            raise OSError(0, "nobody reads from it") from None
        raise
    with open(descriptor, "wb") as stream:  # noqa: PTH123
        os.set_blocking(descriptor, True)
        stream.write(data)


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


def parse_bounds(elements: Sequence[str], norms: Sequence[str]) -> dict[str, str]:
    """``["x=8"]`` of ``--bound`` and ``["x=64"]`` of ``--bound-norm`` as ``{"x": "8", "norm(x)": "64"}``. Raises
    SL005."""
    bounds: dict[str, str] = {}
    for option, items in (("--bound", elements), ("--bound-norm", norms)):
        for item in items:
            name, sign, limit = (part.strip() for part in item.rpartition("="))
            if not (sign and name and limit):
                raise error("SL005", f"{option} {item!r:.60} is not name=limit", hint=f"for example {option} x=8")
            key = name if option == "--bound" or re.match(r"norm\s*\(", name) else f"norm({name})"
            if key in bounds:
                raise error("SL005", f"{option} {name} is given twice")
            bounds[key] = limit
    return bounds


def parse_names(text: str) -> list[str]:
    """``"d,r"`` as names. Raises SL005."""
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if not name.isidentifier():
            raise error("SL005", f"--for-all {text!r:.60} is not a list of names", hint="for example --for-all d,r")
        if names.count(name) > 1:
            raise error("SL005", f"size '{name}' is named twice")
    return names
