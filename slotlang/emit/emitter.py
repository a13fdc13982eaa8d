"""The plan and the names in use, which all parts of an emitted module's text share."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from slotlang.emit.lines import nested_loops, string
from slotlang.emit.numpy_text import Names, ValueText, int_text
from slotlang.meaning.integers import evaluate
from slotlang.meaning.program import Binder, Program
from slotlang.meaning.value import sum_variables
from slotlang.planning.plan import Plan
from slotlang.schedule import ops


def _loop_variables(op: ops.Op) -> Iterator[str]:
    if isinstance(op, ops.Sum | ops.Horner):
        yield op.loop.var
    for child in ops.children(op):
        yield from _loop_variables(child)


def _names(program: Program, schedule: ops.Schedule) -> Names:
    own: list[str] = [
        *program.sizes,
        *program.tensors,
        *program.scalars,
        *program.digits,
        *program.families,
        *program.permutations,
    ]
    for family in program.families.values():
        own += [b.name for b in family.binders]
        own += sum_variables(family.body)
    for output in program.outputs:
        own += [b.name for b in output.binders]
    for theorem in program.theorems.values():
        own += [*theorem.indices, *sum_variables(theorem.value)] if theorem.form is None else []
    for tensor in program.tensors.values():
        own += [i for i in tensor.indices if i.isidentifier()]
    for plain in schedule.plains.values():
        own += [loop.var for loop in plain.loops]
        own += [] if plain.body is None else sum_variables(plain.body)
    for cipher in schedule.ciphers:
        own += [cipher.name, *(loop.var for loop in cipher.loops)]
        own += [] if cipher.body is None else _loop_variables(cipher.body)
    places = [index for theorem in program.theorems.values() for index in theorem.indices]
    return Names(own, RESERVED, program.sizes, [*program.digits, *places])


def encoding_of(plain: ops.PlainFamily) -> tuple[int, int, bool]:
    """Level, products and whether it is added, of a plaintext family."""
    assert plain.encoding is not None, "levels are assigned"
    return plain.encoding.level, plain.encoding.products, plain.encoding.added


RESERVED = frozenset(
    {"FORMAT", "RUNTIME", "LOWERED", "PROGRAM", "SIZES", "PARAMETERS", "KERNEL", "SLOTS", "MODULE", "np", "sys"}
    | {
        "Module",
        "Output",
        "Limit",
        "Packing",
        "Parameters",
        "Plaintexts",
        "Results",
        "main",
        "require",
        "element",
        "table",
        "seal",
    }
    | {"evaluate", "prepare", "reference"}
)
"""Names at the top of every emitted module."""


class Emitter:
    """Texts that several functions of a module need."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        # the graph's program, whose results are what is sent: where conjugates are added, not the plan's
        self.program, self.graph, self.parameters = plan.graph.schedule.program, plan.graph, plan.parameters
        self.counts, self.hiding, self.kernel = plan.counts, plan.hiding, plan.kernel
        self.mask_bits = plan.hiding.bits
        self.schedule = self.graph.schedule
        self.names = _names(self.program, self.schedule)
        self.values = ValueText(self.program, self.names)
        self.families = {f.name: f for f in self.schedule.ciphers}
        # the loops whose indices name a member
        self.named_by = {
            family.name: group.within(family) if group.is_local(family) else family.loops
            for group in self.schedule.groups
            for family in group.families
        }
        # the table of a stage and the list of its steps, by the steps
        self.stages: dict[int, tuple[str, str]] = {}
        for name, network in self.schedule.networks.items():
            stem = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")
            for n, stage in enumerate(network.stages):
                table, steps = (self.names.made(kind, f"{stem}_{n}") for kind in ("stage", "steps"))
                self.stages[id(stage.steps)] = table, steps

    def _ranges(self, loops: Sequence[ops.Loop | Binder]) -> list[str]:
        return [str(loop.size) if loop.extent is None else int_text(loop.extent, self.names) for loop in loops]

    def _nest(self, loops: Sequence[ops.Loop | Binder], indent: str = "    ") -> tuple[list[str], list[str], str]:
        """Loop lines, the loops' variables, and the indentation inside."""
        variables = [self.names(loop.var if isinstance(loop, ops.Loop) else loop.name) for loop in loops]
        lines, inside = nested_loops(variables, self._ranges(loops), indent)
        return lines, variables, inside

    def _member(self, family: str, indices: Sequence[str]) -> str:
        """The key of a member in what is sent: a tuple, the family's name first."""
        return f"{string(family)}, {', '.join(indices)}" if indices else f"{string(family)},"

    def _key(self, family: str, indices: Sequence[str]) -> str:
        return f"{self.names(family)}[{', '.join(indices)}]" if indices else self.names(family)

    def _sent(self) -> dict[str, list[tuple[int, ...]] | None]:
        """The families that results are read from, with the members needed: None for all."""
        needed: dict[str, set[tuple[int, ...]]] = {}
        for output in self.schedule.outputs:
            found = needed.setdefault(output.family.name, set())
            for point in np.ndindex(*(b.size for b in output.binders)):
                env = {b.name: v for b, v in zip(output.binders, point, strict=True)}
                found.add(tuple(int(evaluate(i, self.program.sizes, env)) for i in output.family.indices))
        result: dict[str, list[tuple[int, ...]] | None] = {}
        for name, members in needed.items():
            total = 1
            for loop in self.families[name].loops:
                total *= loop.size
            result[name] = None if len(members) == total else sorted(members)
        return result
