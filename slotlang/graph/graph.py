"""The dataflow graph: one node per ciphertext operation that is executed, equal operations shared."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from slotlang.graph.kinds import KINDS, Key
from slotlang.meaning.program import Output
from slotlang.schedule.ops import Op, Schedule

Member: TypeAlias = tuple[str, tuple[int, ...]]
"""A family's name and the indices of one of its members."""


class Node(NamedTuple):
    """One operation.

    ``kind``: one of ``KINDS``; ``cipher`` is packed by the client, and ``plain``, which occurs only where products with
    zero plaintexts are dropped, is a plaintext that was added to nothing. ``operands`` are node numbers; for ``sum``
    and ``add_plain``, ``signs`` are theirs. ``plain`` is the member of a plaintext operand, or the member that a
    ``cipher`` node is; ``step`` a rotation's, in [1, slots).
    """

    kind: str
    operands: tuple[int, ...]
    signs: tuple[int, ...] = ()
    plain: Member | None = None
    step: int = 0


@dataclass(frozen=True, slots=True)
class OutputNode:
    """A member of an output: the statement, the values of its binders, the family member and the node that
    is downloaded."""

    output: Output
    binders: dict[str, int]
    member: Member
    node: int


@dataclass
class Graph:
    """Nodes in an order of evaluation.

    ``values`` gives the node of each family member, those left out that are zero; ``levels`` the primes
    dropped before a node; ``statement`` the family that first needed it. ``bases`` has, for each rotation
    that is made from another one in equal steps (a ladder), the node that both are rotations of. ``shared``
    are the schedule's operations that meet a node already there, ``kept`` the nodes that are remembered for
    them until the end. ``held`` are rotations, and what they rotate, that routes of later ones may start with, and the
    number of nodes there are when that ends. ``at_once`` are sums whose operands are all there before the first is
    added. ``dots`` are sums of two or more products with plaintexts that can be computed in one pass, with how many
    products they have, and ``in_dots`` the products, and sums of some of them, that are then computed nowhere else.
    ``replaced`` are members whose place another one takes before its group is complete, with the last node made until
    then. ``open`` are products of ciphertexts, and what is computed of them, before they are relinearised: they have
    three polynomials.
    """

    schedule: Schedule
    nodes: list[Node] = field(default_factory=list)
    values: dict[Member, int] = field(default_factory=dict)
    levels: list[int] = field(default_factory=list)
    statement: list[str] = field(default_factory=list)
    outputs: list[OutputNode] = field(default_factory=list)
    bases: dict[int, int] = field(default_factory=dict)
    shared: set[Op] = field(default_factory=set)
    kept: set[int] = field(default_factory=set)
    held: dict[int, int] = field(default_factory=dict)
    at_once: set[int] = field(default_factory=set)
    dots: dict[int, int] = field(default_factory=dict)
    in_dots: set[int] = field(default_factory=set)
    replaced: dict[Member, int] = field(default_factory=dict)
    open: set[int] = field(default_factory=set)

    def ancestors(self, numbers: Iterable[int], ends: Container[int] = ()) -> set[int]:
        """The given nodes and everything they depend on; what ``ends`` depend on is left out."""
        ancestors = set(numbers)
        stack = list(ancestors)
        while stack:
            number = stack.pop()
            new = set() if number in ends else set(self.nodes[number].operands) - ancestors
            ancestors |= new
            stack.extend(new)
        return ancestors

    def results(self) -> dict[Member, int]:
        """The ciphertexts that are returned, and how many primes each has dropped."""
        return {o.member: self.levels[o.node] for o in self.outputs}

    def plaintexts(self) -> set[tuple[Member, int]]:
        """The plaintexts that are used, each with the primes dropped where it is."""
        return {
            (n.plain, level) for n, level in zip(self.nodes, self.levels, strict=True) if n.plain and n.kind != "cipher"
        }

    def of_kind(self, kind: str) -> Iterator[Node]:
        """Nodes of one kind."""
        return (n for n in self.nodes if n.kind == kind)

    def switches(self, key: Key) -> bool:
        """Whether some node switches with a key of this kind."""
        return any(KINDS[n.kind].key == key for n in self.nodes)
