"""Programs for one job side by side: what ``slotlang compare`` prints, as data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slotlang.cost.report import Cost
from slotlang.diagnostics import SlotError, error
from slotlang.displayed import Pictured
from slotlang.meaning.program import Program
from slotlang.proof.report import Report
from slotlang.show.quantities import size_text, time_text

__all__ = ["HEADS", "Comparison", "cells", "check_alike"]

HEADS = (
    "program",
    "verdict",
    "rotations",
    "bound",
    "key sw.",
    "decomp.",
    "mod-downs",
    "keys",
    "key memory",
    "pt prod.",
    "ct prod.",
    "depth",
    "up",
    "down",
    "degree",
    "predicted",
)


@dataclass(frozen=True)
class Comparison(Pictured):
    """Programs with their verdicts and costs, in the order given; ``files``: by which they are told apart where two
    have one name."""

    reports: tuple[Report, ...]
    costs: tuple[Cost, ...]
    files: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<Comparison: {', '.join(self.names)}>"

    @property
    def names(self) -> tuple[str, ...]:
        """The programs' names, or their files where two have the same."""
        times = Counter(cost.program for cost in self.costs)
        pairs = zip(self.costs, self.files, strict=True)
        return tuple(cost.program if times[cost.program] == 1 else file for cost, file in pairs)

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The cells below ``HEADS``."""
        return [
            (name, report.status, *cells(cost))
            for name, report, cost in zip(self.names, self.reports, self.costs, strict=True)
        ]


def cells(cost: Cost) -> tuple[str, ...]:
    """A program's costs as texts, below ``HEADS`` from the third on."""
    c = cost.counts
    return (
        str(c.rotations),
        "?" if cost.rotation_lower_bound is None else str(cost.rotation_lower_bound),
        str(c.key_switches),
        str(c.decompositions),
        str(c.mod_downs),
        str(c.galois_keys),
        size_text(cost.galois_key_bytes),
        str(c.plain_products),
        str(c.cipher_products),
        str(c.depth),
        size_text(cost.upload_bytes),
        size_text(cost.download_bytes),
        str(cost.parameters["degree"]),
        time_text(cost.predicted.evaluation),
    )


def check_alike(programs: Sequence[Program], files: Sequence[str], sizes: Mapping[str, int]) -> None:
    """Raises SL009 for programs whose inputs and results have other shapes than those of the first one. ``files``: what
    they are called in the message; ``sizes``: those that were set."""
    for file, program in zip(files, programs, strict=True):
        if _shapes(program) != _shapes(programs[0]):
            raise _not_alike(files[0], programs[0], file, program, sizes)


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


def _not_alike(first: str, one: Program, file: str, other: Program, sizes: Mapping[str, int]) -> SlotError:
    notes = [f"{path} computes {_theorem(program)}" for path, program in ((first, one), (file, other))]
    hints = []
    for path, program in ((first, one), (file, other)):
        without = [name for name in sizes if name not in program.parameters]
        if without:
            hints.append(f"{path} has no size {', '.join(without)}; its sizes are {', '.join(program.parameters)}")
    hint = "; ".join(hints) or "give them the same sizes with --set"
    return error("SL009", "the inputs and results of these programs differ in shape", file=file, notes=notes, hint=hint)
