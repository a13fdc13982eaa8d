"""Walks over syntax trees that do not ask which node they meet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any

from slotlang.source import Span
from slotlang.syntax import items, tree


@cache
def _parts(kind: Any) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind) if f.compare)


def parts(node: Any) -> Iterator[Any]:
    """The nodes right below a node, in order."""
    for name in _parts(node.__class__):
        value = getattr(node, name)
        for part in value if isinstance(value, tuple) else (value,):
            yield from (p for p in (part if isinstance(part, tuple) else (part,)) if is_dataclass(p))


def rebuilt(node: Any, change: Callable[[Any], Any]) -> Any:
    """The node with ``change`` of every node right below it; the node itself where nothing changes."""

    def new(value: Any) -> Any:
        if isinstance(value, tuple):
            values = tuple(map(new, value))
            return values if any(a is not b for a, b in zip(values, value, strict=True)) else value
        return change(value) if is_dataclass(value) else value

    values = {name: getattr(node, name) for name in _parts(node.__class__)}
    changed = {name: v for name, value in values.items() if (v := new(value)) is not value}
    return replace(node, **changed) if changed else node


def renamed(node: Any, names: Mapping[str, str]) -> Any:
    """A tree with other names for some."""
    if isinstance(node, tree.Name):
        return replace(node, name=names.get(node.name, node.name))
    return rebuilt(node, lambda part: renamed(part, names))


def nodes(node: Any) -> Iterator[Any]:
    """The node and all below it, in order. Several may be given, as a tuple, nested or not."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, tuple):
            waiting.extend(reversed(one))
        elif is_dataclass(one):
            yield one
            waiting.extend(reversed(tuple(parts(one))))


def by_elements(prove: tree.Prove) -> bool:
    """Whether a theorem says what elements of the result are: each one, by its indices, or a number's only one."""
    return bool(prove.binders) or any(isinstance(e, tree.Index | tree.Sum | tree.Bracket) for e in nodes(prove.value))


def names(node: Any) -> frozenset[str]:
    """Names used in a tree or in several, those of permutations too."""
    used = set()
    for part in nodes(node):
        if isinstance(part, tree.Name):
            used.add(part.name)
        elif isinstance(part, tree.Permute):
            used.add(part.permutation)
    return frozenset(used)


def declared(statement: items.Item) -> Iterator[tuple[str, Span]]:
    """The names that a statement declares for the whole program, with the places that do."""
    match statement:
        case tree.Header(_, sizes):
            yield from ((s.name, s.span) for s in sizes)
        case tree.Declare(_, tensors):
            yield from ((t.name, t.span) for t in tensors)
        case tree.Scalars(names):
            yield from ((n.name, n.span) for n in names)
        case tree.Axes(_, binders):
            yield from ((b.name, b.span) for b in binders)
        case tree.Let(name, span=span) | tree.NameTensor(name, span=span):
            yield name, span
        case tree.Define(_, name, span=span) | tree.DefinePermutation(name, span=span):
            yield name, span
        case tree.Output(name, span=span):
            yield name, span
        case _:
            pass
