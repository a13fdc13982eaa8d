"""The file of a program, told from what slotlang itself writes."""

from __future__ import annotations

import re
from pathlib import Path

from slotlang.diagnostics import SlotError, error
from slotlang.files import STDIN_NAME
from slotlang.source import Source
from slotlang.syntax.statements import STDIN, program_path, read_source

_MODULE = re.compile(r'"""[^\n]*: encrypted evaluation of|"""(?:[^"]|"(?!""))*\nEmitted by slotlang ')


def read_program(path: Path) -> Source:
    """The text of a ``.slot`` file. Raises as ``read_source``, and SL008 for Python, and for what slotlang wrote: a
    module, a bundle or a certificate."""
    file, _ = program_path(path)
    name = STDIN_NAME if file == STDIN else str(file)
    if file != STDIN and file.is_dir() and (file / "slotlang_runtime").is_dir():
        (module, *_) = [*sorted(file.glob("*.py")), file / "MODULE.py"]
        raise _not_a_program(f"{name} is a bundle that `lower` wrote", str(module), name)
    source = read_source(path)
    head = source.text.lstrip()
    if _MODULE.match(head):
        raise _not_a_program(f"{name} is a module that `lower` wrote", name, name)
    if head.startswith("{") and '"slotlang certificate"' in head[:200]:
        raise error("SL008", f"{name} is a certificate", file=name, hint=f"slotlang recheck {name} checks it")
    if file.suffix == ".py":
        raise error("SL008", f"{name} is Python, and not a program", file=name, hint="programs are .slot files")
    return source


def _not_a_program(what: str, module: str, file: str) -> SlotError:
    hint = f"python {module} runs it, and slotlang check {module} checks it"
    return error("SL008", f"{what}, and not a program", file=file, hint=hint)
