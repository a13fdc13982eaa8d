"""Which runtime this is: the format of the modules it runs, and a hash of its own source."""

from __future__ import annotations

import hashlib
import sys
from functools import cache
from pathlib import Path

from slotlang_runtime.errors import OTHER_FORMAT, OTHER_RUNTIME, Rejected

FORMAT = 8
"""The format of emitted modules. It changes when this runtime no longer runs, or the checker no longer checks, earlier
modules."""


def hash_of(folder: Path) -> str:
    """SHA-256 of a runtime's source: the names and contents of its Python files and of its kernels' texts, and the
    names of what else Python would import. Raises OSError for what can't be read."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*"), key=lambda p: p.relative_to(folder).as_posix()):
        name = path.relative_to(folder).as_posix().encode()
        if path.is_dir():
            # what a link leads to is not looked at, and Python would import it
            if path.is_symlink():
                digest.update(b"link %d %s\n" % (len(name), name))
            continue
        if path.suffix in (".so", ".pyd", ".pyc") and path.parent.name != "__pycache__":
            digest.update(b"compiled %d %s\n" % (len(name), name))
        if path.suffix not in (".py", ".xz") or not path.is_file():
            continue
        text = path.read_bytes()
        if path.suffix == ".py":
            text = text.replace(b"\r\n", b"\n")
        digest.update(b"%d %s %d\n" % (len(name), name, len(text)) + text)
    return digest.hexdigest()


@cache
def source_hash() -> str:
    """The hash of this runtime; an emitted module names it and refuses another."""
    return hash_of(Path(__file__).resolve().parent)


def require(name: str, form: int, runtime: str) -> None:
    """What an emitted module asks for first: its format, and the runtime that it was emitted for. ``name``: the
    module's ``__name__``; one that runs as a script ends with a message and exit status 2.

    Raises Rejected for another format or runtime.
    """
    problem, code = "", OTHER_RUNTIME
    if form != FORMAT:
        problem = f"this module has emission format {form}, and slotlang_runtime runs format {FORMAT}"
        code = OTHER_FORMAT
    elif runtime != source_hash():
        problem = (
            f"this module was emitted for runtime {runtime[:16]}, and slotlang_runtime is {source_hash()[:16]}: it is "
            "of another version, or was edited"
        )
    if problem and name == "__main__":
        print(f"error[{code}]: {problem}; lower the program again", file=sys.stderr)
        sys.exit(2)
    if problem:
        raise Rejected(f"{problem}; lower the program again", code)
