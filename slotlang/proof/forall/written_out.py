"""Which loops of a program are written out, as far as its text shows: their extents enter it as numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass

from slotlang.syntax import tree


@dataclass
class WrittenOut:
    """``families`` that may be written out, with the positions of the indices that have values in them; ``names`` are
    the loop variables of the statement taken last that may have values."""

    families: dict[str, set[int]] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)

    def take(self, statement: tree.Statement) -> None:
        """The next statement of the program."""
        self.names = set()
        match statement:
            case tree.Define(_, name, binders, body):
                own = [b.name for b in binders]
                self.names = _chosen_by(body)
                for mention in _mentions(body, name):
                    pairs = zip(mention.indices, own, strict=False)
                    self.names |= {b for index, b in pairs if not (isinstance(index, tree.Name) and index.name == b)}
                positions = {p for p, b in enumerate(own) if b in self.names}
                self._read(body, {**self.families, name: positions})
                if any(b in self.names for b in own):
                    self.families[name] = {p for p, b in enumerate(own) if b in self.names}
            case tree.Claim(target, value):
                self.names = _chosen_by(value)
                self._read((target, value), self.families)
            case tree.Output(_, _, value):
                self._read(value, self.families)
            case tree.Prove(_, value):
                self.names = _chosen_by(value)
            case _:
                pass

    def _read(self, e: object, families: Mapping[str, set[int]]) -> None:
        """Variables at the positions of families that have values there."""
        for name, positions in families.items():
            for mention in _mentions(e, name):
                for position in positions & {*range(len(mention.indices))}:
                    self.names |= {n.name for n in _nodes(mention.indices[position]) if isinstance(n, tree.Name)}


def _nodes(node: object) -> Iterator[object]:
    if isinstance(node, tuple):
        for part in node:
            yield from _nodes(part)
    elif is_dataclass(node):
        yield node
        for f in fields(node):
            yield from _nodes(getattr(node, f.name))


def _mentions(e: object, name: str) -> list[tree.Index]:
    """Every member of a family in an expression."""
    members = [node for node in _nodes(e) if isinstance(node, tree.Index)]
    return [m for m in members if isinstance(m.base, tree.Name) and m.base.name == name]


def _chosen_by(e: object) -> set[str]:
    """Names in the conditions of choices, and in the exponents of values."""
    tests: list[object] = [node.condition for node in _nodes(e) if isinstance(node, tree.Choice)]
    return {n.name for n in _nodes((*tests, *_exponents(e))) if isinstance(n, tree.Name)}


def _exponents(e: object) -> Iterator[tree.Expr]:
    """What values are raised to; the exponents of integers are not."""
    match e:
        case tree.Binary("**", left, right):
            yield right
            yield from _exponents(left)
        case tree.Binary("<<" | ">>", left):
            yield from _exponents(left)
        case tree.Index() | tree.Bracket():
            return
        case tree.Sum(body=body):
            yield from _exponents(body)
        case tree.Choice(_, yes, no):
            yield from _exponents((yes, no))
        case tuple():
            for part in e:
                yield from _exponents(part)
        case _:
            for f in fields(e) if is_dataclass(e) else ():
                yield from _exponents(getattr(e, f.name))
