"""An emitted module loaded for validation: its bytes functions replaced, everything else run as it stands."""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import Any

from slotlang.diagnostics import SlotError, error
from slotlang.meaning.bind import bind
from slotlang.meaning.program import Program, program_hash
from slotlang.source import Source, Span
from slotlang.syntax.parser import parse
from slotlang.validation.numpy_stand_in import Numpy
from slotlang.validation.seal import Seal

NEEDED = (
    "PROGRAM", "SIZES", "PARAMETERS", "SLOTS", "INPUTS", "WEIGHTS", "SCALARS",
    "Client", "Server", "Rejected", "_saved", "_loaded", "pack", "unpack",
)  # fmt: skip
"""Names every emitted module defines."""


def load(source: Source) -> types.ModuleType:
    """Execute a module's text, not as a script. Raises ``SlotError`` SL741 when that fails or names are missing."""
    module = types.ModuleType("module")
    try:
        exec(compile(source.text, source.name, "exec"), module.__dict__)
    except Exception as problem:
        raise _broken(source, f"{type(problem).__name__}: {problem}") from None
    missing = [name for name in NEEDED if not hasattr(module, name)]
    if missing:
        raise _broken(source, f"it does not define {missing[0]}")
    return module


def _broken(source: Source, why: str) -> SlotError:
    return error(
        "SL741",
        f"this is no module that `slotlang lower` wrote: {why}",
        Span(source, 0, 0),
        hint="lower the program again, or check the .slot program itself",
    )


def program_of(module: types.ModuleType, source: Source) -> Program:
    """The program a module carries, bound to the sizes it carries.

    Raises ``SlotError`` SL742 when the hash in its parameters is of another program, and what parsing and binding
    raise.
    """
    text, sizes = module.PROGRAM, module.SIZES
    if not isinstance(text, str) or not isinstance(sizes, dict):
        raise _broken(source, "PROGRAM or SIZES is of another kind")
    program = bind(parse(Source(f"{source.name}:PROGRAM", text)), sizes)
    if module.PARAMETERS.get("program") != program_hash(program):
        raise error(
            "SL742",
            "the program in this module is not the one whose hash its parameters carry",
            Span(source, 0, 0),
            notes=[f"PARAMETERS has {module.PARAMETERS.get('program')}", f"PROGRAM has {program_hash(program)}"],
            hint="a module whose program was changed is another module: lower the changed program",
        )
    return program


def stand_ins(module: types.ModuleType, seal: Seal) -> None:
    """Put the stand-ins in place: SEAL always, numpy for a run on expressions, and bytes as the objects themselves."""
    module.seal = seal  # type: ignore[attr-defined]
    if seal.symbolic:
        module.np = Numpy()  # type: ignore[attr-defined]
    rejected: type[Exception] = module.Rejected

    def saved(thing: Any) -> Any:
        return thing

    def loaded(make: Any, data: Any, context: Any) -> Any:
        if not isinstance(data, make):
            raise rejected(f"expected {make.__name__}, got {type(data).__name__}")
        return data

    def pack(kind: str, records: dict[Any, Any]) -> Any:
        return kind, records

    def unpack(kind: str, data: Any, names: Iterable[Any]) -> Any:
        found, records = data
        if found != kind or set(records) != set(names):
            raise rejected(f"expected {kind}, got {found}, or other records")
        return dict(records)

    module._saved, module._loaded, module.pack, module.unpack = saved, loaded, pack, unpack  # type: ignore[attr-defined]
