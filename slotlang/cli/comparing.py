"""The programs that ``slotlang compare`` puts side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from slotlang.diagnostics import closest, error
from slotlang.files import path_text
from slotlang.meaning.bind import bind
from slotlang.meaning.program import Program
from slotlang.show.compared import check_alike
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
    check_alike(programs, [path_text(file) for file in files], sizes)
    return programs
