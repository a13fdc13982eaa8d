"""The dataflow graph: one node per ciphertext operation that is executed, equal operations shared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from slotlang.meaning.program import Output
from slotlang.schedule.ops import Op, Schedule


class Node(NamedTuple):
    """One operation.

    ``kind``: ``cipher`` (packed by the client), ``rotate``, ``conj``, ``mul_plain``, ``add_plain``, ``mul``, ``sum``,
    ``neg``, ``rescale``. ``operands`` are node numbers; for ``sum`` and ``add_plain``, ``signs`` are theirs.
    ``plain`` is (family, indices) of a plaintext operand; ``step`` a rotation's, in [1, slots). ``cipher``
    nodes carry (family, indices) in ``plain`` too.
    """

    kind: str
    operands: tuple[int, ...]
    signs: tuple[int, ...] = ()
    plain: tuple[str, tuple[int, ...]] | None = None
    step: int = 0


@dataclass(frozen=True, slots=True)
class OutputNode:
    """A member of an output: the statement, the values of its binders, the node that is downloaded."""

    output: Output
    binders: dict[str, int]
    node: int


@dataclass
class Graph:
    """Nodes in an order of evaluation. ``values`` gives the node of each family member; ``levels`` the
    primes dropped before a node; ``shared`` the schedule's operations that meet a node already there;
    ``statement`` the family that first needed a node."""

    schedule: Schedule
    nodes: list[Node] = field(default_factory=list)
    values: dict[tuple[str, tuple[int, ...]], int] = field(default_factory=dict)
    levels: list[int] = field(default_factory=list)
    statement: list[str] = field(default_factory=list)
    outputs: list[OutputNode] = field(default_factory=list)
    shared: set[Op] = field(default_factory=set)

    def live(self) -> list[bool]:
        """Which nodes some output depends on."""
        needed = [False] * len(self.nodes)
        for output in self.outputs:
            needed[output.node] = True
        for number in range(len(self.nodes) - 1, -1, -1):
            if needed[number]:
                for operand in self.nodes[number].operands:
                    needed[operand] = True
        return needed

    def of_kind(self, kind: str) -> Iterator[Node]:
        """Nodes of one kind."""
        return (n for n in self.nodes if n.kind == kind)
