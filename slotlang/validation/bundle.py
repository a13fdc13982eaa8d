"""Files beside a module that Python would run in place of what is checked: names that a module imports, a runtime that
was edited, compiled files that are not their sources'."""

from __future__ import annotations

import marshal
import sys
import warnings
from collections.abc import Iterator
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from types import CodeType

from slotlang.diagnostics import SlotError, error
from slotlang.files import read_regular
from slotlang_runtime.version import hash_of, source_hash

IMPORTED = sys.stdlib_module_names | {
    *("numpy", "tenseal", "numba", "llvmlite"),
    # what those import where it is there
    *("scipy", "cffi", "tbb", "yaml", "google", "typing_extensions", "pygments", "jinja2", "coverage"),
    *("sitecustomize", "usercustomize"),
}
"""Names of modules that a module's code, or what it imports, may import. A script's folder comes first where Python
looks for them."""

_IMPORTABLE = (".py", ".pyc", ".so", ".pyd")
_CACHES = "__pycache__"
_HEADER = 16
"""Bytes of a compiled file before its code."""
MAX_BYTES = 1 << 26
"""Of one file that is compared."""


def check_beside(path: Path) -> None:
    """Raise ``SlotError`` SL746 when something beside a module would be run in place of what is checked."""
    if not path.is_file():
        return
    # a script is looked for where its links end, an imported module where it was found
    for folder in dict.fromkeys((path.parent.absolute(), path.resolve().parent)):
        for entry in _entries(folder):
            name = entry.name.split(".")[0]
            if name in IMPORTED and _is_imported(entry):
                raise _refused(
                    entry,
                    f"{entry.name} beside this module would be imported as {name}",
                    "move the module to a folder of its own, or rename the other file",
                )
            if name == "slotlang_runtime" and entry.suffix in _IMPORTABLE:
                raise _refused(entry, f"{entry.name} beside this module would be imported as its runtime")
        _check_caches(folder, [path.name])
        runtime = folder / "slotlang_runtime"
        if runtime.is_dir():
            _check_runtime(runtime)


def _check_runtime(runtime: Path) -> None:
    for entry in _whole(runtime):
        inside = f"{entry.relative_to(runtime.parent)}"
        if entry.is_symlink() and entry.is_dir():
            raise _refused(entry, f"{inside} is a link to another folder, and not part of the runtime")
        if entry.is_dir() and not entry.name.endswith(".py"):
            _check_caches(entry, [other.name for other in _entries(entry) if other.suffix == ".py"])
        elif not entry.is_file() or (entry.suffix not in (".py", ".xz") and entry.name != "py.typed"):
            raise _refused(entry, f"{inside} is not part of the runtime")
    _check_caches(runtime, [other.name for other in _entries(runtime) if other.suffix == ".py"])
    try:
        found = hash_of(runtime)
    except OSError as problem:
        raise _unreadable(runtime, problem) from None
    if found != source_hash():
        raise _refused(
            runtime,
            f"the runtime beside this module is {found[:16]}; the installed slotlang_runtime is {source_hash()[:16]}",
            "it is of another version or was edited: `slotlang lower --bundle` writes it again",
        )


def _check_caches(folder: Path, sources: list[str]) -> None:
    """Raise unless every compiled file of these sources is what Python compiles them to."""
    caches = folder / _CACHES
    if not caches.is_dir():
        return
    stems = {name.removesuffix(".py"): folder / name for name in sources}
    for entry in _entries(caches):
        stem, *rest = entry.name.split(".")
        if stem in stems and entry.suffix == ".pyc" and not _is_compiled(entry, stems[stem], rest[:-1]):
            raise _refused(
                entry,
                f"{entry.parent.name}/{entry.name} would be run in place of {stem}.py, and is not shown to be compiled "
                "from it",
                f"remove {caches}: Python makes it again",
            )


def _is_compiled(compiled: Path, source: Path, tags: list[str]) -> bool:
    """Whether a compiled file holds the code of a source. Those of another version of Python can't be read here."""
    tag, *levels = tags or [""]
    level = {(): 0, ("opt-1",): 1, ("opt-2",): 2}.get(tuple(levels))
    if tag != sys.implementation.cache_tag or level is None:
        return False
    try:
        data, text = read_regular(compiled, MAX_BYTES), read_regular(source, MAX_BYTES)
        if data[:4] != MAGIC_NUMBER:
            return False
        # neither of these runs any code
        found = marshal.loads(data[_HEADER:])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _same(found, compile(text, str(source), "exec", dont_inherit=True, optimize=level))
    except (OSError, ValueError, TypeError, EOFError, SyntaxError, RecursionError, MemoryError):
        return False


_PARTS = sorted(
    name for name in dir(CodeType) if name.startswith("co_") and name not in ("co_filename", "co_consts", "co_lnotab")
)


def _same(a: object, b: object) -> bool:
    """Whether two constants of code, or two pieces of code, are the same but for the name of their file."""
    if isinstance(a, CodeType) and isinstance(b, CodeType):
        parts = ((getattr(a, name), getattr(b, name)) for name in _PARTS)
        return all(callable(x) or x == y for x, y in parts) and _same(a.co_consts, b.co_consts)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, frozenset) and isinstance(b, frozenset):
        return sorted(map(repr, a)) == sorted(map(repr, b))
    # 0.0 and -0.0 are equal, and 1 and True
    return type(a) is type(b) and repr(a) == repr(b)


def _is_imported(entry: Path) -> bool:
    """Whether Python would import a file or folder by its name, up to the first dot. A folder without ``__init__`` is
    imported only where nothing else of its name is found."""
    if entry.is_dir():
        return "." not in entry.name and any(other.name.split(".")[0] == "__init__" for other in _entries(entry))
    return entry.suffix in _IMPORTABLE


def _whole(folder: Path) -> Iterator[Path]:
    """Everything in a folder and in folders in it, but in those of compiled files; links are not followed."""
    for entry in _entries(folder):
        if entry.name == _CACHES and entry.is_dir() and not entry.is_symlink():
            continue
        yield entry
        if entry.is_dir() and not entry.is_symlink():
            yield from _whole(entry)


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as problem:
        raise _unreadable(folder, problem) from None


def _unreadable(folder: Path, problem: OSError) -> SlotError:
    why = problem.strerror or str(problem)
    return _refused(folder, f"what is beside this module can't be read: {problem.filename or folder}: {why}")


def _refused(path: Path, message: str, hint: str = "") -> SlotError:
    return error("SL746", message, file=str(path), hint=hint)
