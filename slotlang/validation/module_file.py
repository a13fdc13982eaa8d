"""An emitted module as data: its text is parsed, never executed, and what it says of itself is read as literals."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, get_args

from slotlang.diagnostics import SlotError, error
from slotlang.emit.standalone import STANDALONE
from slotlang.meaning.bind import bind
from slotlang.meaning.program import Program, program_hash
from slotlang.source import Source, Span
from slotlang.syntax.parser import parse
from slotlang_runtime.module import Kernel
from slotlang_runtime.parameters import Parameters
from slotlang_runtime.version import FORMAT, source_hash

MAX_CHARACTERS = 1 << 26
"""Of a module; the largest ones that are emitted, with tables of every slot, have some hundred thousand."""

_COOKIE = re.compile(r"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
"""How a file names its encoding, in one of its first two lines: Python reads the file as this says."""


@dataclass(frozen=True)
class ModuleFile:
    """What a module says of itself, not believed. ``lowered``: who emitted it, and the verdicts of then. ``sizes``: of
    the program. ``promise``: of the results' errors. ``tree``: the whole text. ``standalone``: it has its own
    operations in place of the runtime."""

    source: Source = field(repr=False)
    tree: ast.Module = field(repr=False)
    program_text: str = field(repr=False)
    lowered: Mapping[str, Any]
    sizes: Mapping[str, int]
    parameters: Parameters
    kernel: Kernel
    promise: Mapping[str, Any]
    standalone: bool = False

    def span(self, node: ast.AST) -> Span:
        """The first line of a node of the tree."""
        return line_span(self.source, getattr(node, "lineno", 1))

    def program(self) -> Program:
        """The program a module carries, bound to its sizes. Raises ``SlotError`` SL742 when the hash in the module is
        that of another program, and what parsing and binding raise."""
        hashes: list[ast.expr] = []
        match assigned(self.tree, "MODULE"):
            case ast.Assign(value=ast.Call(keywords=keywords)):
                hashes = [k.value for k in keywords if k.arg == "program_hash"]
        found = next((h.value for h in hashes if isinstance(h, ast.Constant) and isinstance(h.value, str)), None)
        try:
            program = bind(parse(Source(f"{self.source.name}:PROGRAM", self.program_text)), dict(self.sizes))
        except SlotError:
            # sizes that were changed may be none of the program's
            if found is not None and self._changed(found)[1] == "SIZES":
                raise self._another(found, "nothing that is a program") from None
            raise
        if found is not None and found != program_hash(program):
            raise self._another(found, program_hash(program))
        return program

    def _another(self, found: str, has: str) -> SlotError:
        message, place = self._changed(found)
        return error(
            "SL742",
            f"the program in this module is not the one whose hash it carries: {message}",
            self.span(assigned(self.tree, place) or self.tree),
            notes=[f"MODULE has {found}", f"PROGRAM and SIZES have {has}"],
            hint="a module whose program was changed is another module: lower the changed program",
        )

    def _changed(self, found: str) -> tuple[str, str]:
        """What was changed where the hash is ``found``, and the constant to look at. The module has its sizes twice."""
        stated = {name: self._stated(name, value) for name, value in self.sizes.items()}
        for name, value in self.sizes.items():
            if stated[name] != value and self._hash(stated) == found:
                return f"`SIZES` has {name} = {value}, and the hash is that of {name} = {stated[name]}", "SIZES"
        return "`PROGRAM`, `SIZES` or the hash in `MODULE` was changed", "PROGRAM"

    def _stated(self, name: str, value: int) -> int:
        """A size as the module defines it for its functions; ``value`` where it does not."""
        match assigned(self.tree, name):
            case ast.Assign(value=ast.Constant(value=int() as own)):
                return own
        return value

    def _hash(self, sizes: Mapping[str, int]) -> str:
        try:
            return program_hash(bind(parse(Source("", self.program_text)), dict(sizes)))
        except SlotError:
            return ""


def line_span(source: Source, line: int) -> Span:
    """All of a line, without its indentation."""
    line = min(max(line, 1), len(source.line_starts))
    text = source.line_text(line)
    start = source.line_starts[line - 1] + len(text) - len(text.lstrip())
    return Span(source, start, max(start + len(text.strip()), start))


def assigned(tree: ast.Module, name: str) -> ast.Assign | None:
    """The first statement at the top that assigns to a name alone."""
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=found)]) if found == name:
                return statement
    return None


def read_module(source: Source) -> ModuleFile:
    """Read a module's text.

    Raises ``SlotError`` SL741 for what is not an emitted module, SL744 for one of another format, SL746 for one of
    another runtime than the one that is installed.
    """
    tree = _parsed(source)
    found = _literal(source, tree, "FORMAT", int)
    if found != FORMAT:
        raise error(
            "SL744",
            f"this module has format {found}; format {FORMAT} is checked",
            _span(source, tree, "FORMAT"),
            hint="lower the program again, or check the module with the slotlang that wrote it",
        )
    runtime = _literal(source, tree, "RUNTIME", str)
    if runtime not in (source_hash(), STANDALONE):
        raise error(
            "SL746",
            f"this module was emitted for runtime {runtime[:16]}; the installed slotlang_runtime is "
            f"{source_hash()[:16]}",
            _span(source, tree, "RUNTIME"),
            hint="what a module computes is what its runtime does: lower the program again, or install that version",
        )
    sizes = _literal(source, tree, "SIZES", dict)
    if not all(type(k) is str and type(v) is int for k, v in sizes.items()):
        raise _broken(source, "SIZES holds something other than integers by name", _span(source, tree, "SIZES"))
    lowered = _literal(source, tree, "LOWERED", dict)
    text = _literal(source, tree, "PROGRAM", str)
    kernel = _literal(source, tree, "KERNEL", str)
    if kernel not in get_args(Kernel):
        raise _broken(source, f"there is no kernel '{kernel}'", _span(source, tree, "KERNEL"))
    promise = _literal(source, tree, "PROMISE", dict)
    parameters = _parameters(source, tree)
    return ModuleFile(source, tree, text, lowered, sizes, parameters, kernel, promise, runtime == STANDALONE)


def _parsed(source: Source) -> ast.Module:
    if len(source.text) > MAX_CHARACTERS:
        raise _broken(source, f"it has more than {MAX_CHARACTERS:,} characters")
    for number, line in enumerate(source.text.split("\n", 2)[:2], 1):
        cookie = _COOKIE.match(line)
        if cookie and cookie[1].lower().replace("_", "-") not in ("utf-8", "utf8"):
            raise _broken(source, f"its encoding is {cookie[1]}", line_span(source, number))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source.text, source.name)
            # what Python parses and does not compile, as loops that nest too deeply, can't be imported; nothing is run
            compile(source.text, source.name, "exec", dont_inherit=True, optimize=0)
        return tree
    except SyntaxError as problem:
        raise _broken(source, f"it is not Python: {problem.msg}", line_span(source, problem.lineno or 1)) from None
    except (ValueError, RecursionError, MemoryError) as problem:
        why = "it nests too deeply" if isinstance(problem, RecursionError | MemoryError) else str(problem)
        raise _broken(source, why) from None


def _literal(source: Source, tree: ast.Module, name: str, kind: type) -> Any:
    statement = assigned(tree, name)
    if statement is None:
        raise _broken(source, f"it does not define {name}")
    value = _evaluated(source, statement.value, name)
    if type(value) is not kind:
        raise _broken(source, f"{name} is not a {kind.__name__}", line_span(source, statement.lineno))
    return value


def _evaluated(source: Source, node: ast.expr, name: str) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise _broken(source, f"{name} is not a literal", line_span(source, node.lineno)) from None


def _parameters(source: Source, tree: ast.Module) -> Parameters:
    """The arguments of the call of ``Parameters``, each of its type; whether they are sound is planning's to say."""
    statement = assigned(tree, "PARAMETERS")
    match statement:
        case ast.Assign(value=ast.Call(func=ast.Name(id="Parameters"), args=[], keywords=keywords)):
            pass
        case _:
            raise _broken(source, "it does not define PARAMETERS", _span(source, tree, "PARAMETERS"))
    names = [f.name for f in fields(Parameters)]
    found = {k.arg: _evaluated(source, k.value, f"PARAMETERS, {k.arg},") for k in keywords}
    if list(found) != names or len(keywords) != len(names):
        raise _broken(source, f"PARAMETERS does not have {', '.join(names)}", line_span(source, statement.lineno))
    for name, value in found.items():
        if not _FITS[str(name)](value):
            raise _broken(source, f"{name} in PARAMETERS is {value!r}", line_span(source, statement.lineno))
    return Parameters(**found)  # type: ignore[arg-type]


def _whole(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 32


def _several(value: object) -> bool:
    return type(value) is tuple and len(value) < 1 << 16 and all(map(_whole, value))


def _flag(value: object) -> bool:
    return type(value) is bool


_FITS: Mapping[str, Callable[[Any], bool]] = {
    "degree": _whole,
    "prime_bits": _several,
    "scale_bits": lambda v: _several(v) and len(v) > 0,
    "drops": _several,
    "results": _whole,
    "cut": _several,
    "rotations": _several,
    "routes": lambda v: type(v) is dict and all(_whole(k) and _several(r) for k, r in v.items()),
    "conjugation": _flag,
    "relinearization": _flag,
    "hide": lambda v: v in ("mask", "exact", "none"),
    "doubled": lambda v: type(v) is tuple and all(type(name) is str for name in v),
    "key_levels": lambda v: type(v) is dict and all(_whole(k) and _whole(level) for k, level in v.items()),
}


def _span(source: Source, tree: ast.Module, name: str) -> Span:
    statement = assigned(tree, name)
    return line_span(source, statement.lineno if statement else 1)


def _broken(source: Source, why: str, span: Span | None = None) -> SlotError:
    return error(
        "SL741",
        f"this is not a module that `slotlang lower` wrote: {why}",
        span or Span(source, 0, 0),
        hint="lower the program again, or check the .slot program itself",
    )
