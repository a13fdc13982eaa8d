"""The programs that ``slotlang compare`` puts side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from slotlang.diagnostics import SlotError, closest, error
from slotlang.meaning.bind import bind
from slotlang.meaning.program import Program
from slotlang.syntax import tree
from slotlang.syntax.parser import parse
from slotlang.syntax.program_file import read_program


def programs_to_compare(files: Sequence[Path], sizes: Mapping[str, int]) -> list[Program]:
    """The programs of files, each at those of the sizes that it has.

    Raises SL212 for a size that none of them has, SL009 for programs whose inputs and results have other shapes than
    those of the first one, and what reading and binding raise.
    """
    programs = []
    for file in files:
        syntax = parse(read_program(file))
        header = {size.name for s in syntax.statements if isinstance(s, tree.Header) for size in s.sizes}
        programs.append(bind(syntax, {name: n for name, n in sizes.items() if name in header}))
    known = {name for program in programs for name in program.parameters}
    for name in sizes:
        if name not in known:
            raise error("SL212", f"no program has a size '{name}' to set", hint=closest(name, known))
    for file, program in zip(files, programs, strict=True):
        if _shapes(program) != _shapes(programs[0]):
            raise _not_alike(files[0], programs[0], file, program, sizes)
    return programs


def _shapes(program: Program) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """The shapes of inputs and of results, whatever their names."""
    inputs = [tensor.shape for tensor in program.tensors.values() if tensor.kind == "input"]
    return sorted(inputs), sorted(theorem.shape for theorem in program.theorems.values())


def _theorem(program: Program) -> str:
    """``x[64, 8] to y[32, 8]``."""
    inputs = [(t.name, t.shape) for t in program.tensors.values() if t.kind == "input"]
    results = [(theorem.name, theorem.shape) for theorem in program.theorems.values()]
    sides = (", ".join(f"{name}[{', '.join(map(str, shape))}]" for name, shape in side) for side in (inputs, results))
    return " to ".join(sides)


def _not_alike(first: Path, one: Program, file: Path, other: Program, sizes: Mapping[str, int]) -> SlotError:
    notes = [f"{path} computes {_theorem(program)}" for path, program in ((first, one), (file, other))]
    hints = []
    for path, program in ((first, one), (file, other)):
        without = [name for name in sizes if name not in program.parameters]
        if without:
            hints.append(f"{path} has no size {', '.join(without)}; its sizes are {', '.join(program.parameters)}")
    hint = "; ".join(hints) or "give them the same sizes with --set"
    return error(
        "SL009", "the inputs and results of these programs differ in shape", file=str(file), notes=notes, hint=hint
    )
