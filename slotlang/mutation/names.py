"""What the names of a program stand for, as far as its text shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from slotlang.meaning.integers import SLOT
from slotlang.syntax import tree
from slotlang.syntax.walk import nodes


@dataclass(frozen=True, slots=True)
class Names:
    """Families and tensors with their numbers of indices; digits by coordinate system; ``loops`` are the loop
    variables in scope where an expression stands. ``extents`` are those of the digits; ``shifts`` the different
    rotations, each with its operator and its amount. ``forgotten``: changes put in what a person may have left out."""

    families: Mapping[str, int] = field(default_factory=dict)
    ciphers: frozenset[str] = frozenset()
    tensors: Mapping[str, int] = field(default_factory=dict)
    scalars: tuple[str, ...] = ()
    sizes: tuple[str, ...] = ()
    systems: tuple[tuple[str, ...], ...] = ()
    permutations: tuple[str, ...] = ()
    loops: tuple[str, ...] = ()
    extents: Mapping[str, tree.Expr] = field(default_factory=dict)
    shifts: tuple[tuple[str, tree.Expr], ...] = ()
    forgotten: bool = False

    @property
    def digits(self) -> tuple[str, ...]:
        """The digits of every coordinate system."""
        return tuple(name for system in self.systems for name in system)

    @property
    def variables(self) -> tuple[str, ...]:
        """What may stand in an index: digits and ``slot``, where the place depends on the slot, and loop variables."""
        return (*((*self.digits, SLOT) if self.systems else ()), *self.loops)

    def inside(self, names: Iterable[str]) -> Names:
        """The names where loops over ``names`` are in scope too."""
        return replace(self, loops=(*self.loops, *(n for n in names if n not in self.loops)))

    def others(self, name: str) -> tuple[str, ...]:
        """Names that could stand for an integer in the place of ``name``: variables for a variable, sizes for a
        size."""
        kinds = (self.sizes,) if name in self.sizes else (self.loops, self.digits)
        return tuple(other for kind in kinds for other in kind if other != name)


def names_of(program: tree.Program) -> Names:
    """All names a program declares."""
    families: dict[str, int] = {}
    tensors: dict[str, int] = {}
    extents: dict[str, tree.Expr] = {}
    shifts: dict[tuple[str, tree.Expr], None] = {}
    ciphers, scalars, sizes, systems, permutations = set(), [], [], [], []
    for statement in program.statements:
        match statement:
            case tree.Header(_, parameters):
                sizes += [size.name for size in parameters]
            case tree.Let(name):
                sizes.append(name)
            case tree.Declare(_, declared):
                tensors |= {tensor.name: len(tensor.shape) for tensor in declared}
            case tree.Scalars(declared_scalars):
                scalars += [scalar.name for scalar in declared_scalars]
            case tree.Axes(_, binders):
                systems.append(tuple(binder.name for binder in binders))
                extents |= {binder.name: binder.extent for binder in binders}
            case tree.Define(kind, name, binders, body):
                families[name] = len(binders)
                if kind != "plain":
                    ciphers.add(name)
                for part in nodes(body):
                    if isinstance(part, tree.Binary) and part.op in ("<<", ">>"):
                        shifts[part.op, part.right] = None
            case tree.DefinePermutation(name):
                permutations.append(name)
            case _:
                pass
    return Names(
        families,
        frozenset(ciphers),
        tensors,
        tuple(scalars),
        tuple(sizes),
        tuple(systems),
        tuple(permutations),
        extents=extents,
        shifts=tuple(shifts),
    )
