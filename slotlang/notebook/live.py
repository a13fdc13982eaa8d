"""The page of a program inside of a notebook: what ``slotlang report`` writes, in a frame."""

from __future__ import annotations

from dataclasses import dataclass, field

from slotlang.displayed import Displayed
from slotlang.meaning.program import Program
from slotlang.page.document import document
from slotlang.page.parts import merged, parts

__all__ = ["Page", "page"]

MAX_DRAWN = 1 << 16
"""Slots of all values in a page: a notebook's file keeps them."""


@dataclass(frozen=True)
class Page(Displayed):
    """A page that can be clicked through, ``height`` pixels high."""

    program: str
    height: int
    document: str = field(repr=False)


def page(program: Program, *, height: int = 640) -> Page:
    """The page of a program: slots to point at, rotations, dataflow, proof, costs. It holds the whole program and up to
    ``MAX_DRAWN`` slots; the frame runs its own scripts and reaches nothing else."""
    source = program.span.written.source
    sizes = {name: program.sizes[name] for name in program.parameters}
    data: dict[str, object] = {}
    for part in parts(source.text, source.name, source.folder, sizes, program.name, MAX_DRAWN):
        data = merged(data, part)
    return Page(program.name, height, document("report", program.name, data, source.text))
