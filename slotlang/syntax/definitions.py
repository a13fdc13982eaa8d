"""The definitions that a file can use: its own and those it imports, checked before anything is expanded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slotlang.diagnostics import Diagnostic, SlotError, closest, error
from slotlang.source import Source, Span
from slotlang.syntax import items, tree
from slotlang.syntax.imports import Opened, opened, root_of
from slotlang.syntax.statements import MAX_DEFINITIONS, parse_file, too_many_definitions
from slotlang.syntax.walk import declared, nodes, parts
from slotlang.words import CONSTANT_WORDS, INTEGER_FUNCTIONS
from slotlang_runtime.amounts import count_of

OF_SLOTS = ("slot", "slots")
"""What every definition can read: the index of a slot, and how many there are."""
_READABLE = "every definition can read slot and slots"


@dataclass(eq=False)
class Space:
    """The names that a file's definitions and programs can use: ``diagonal``, ``l.diagonal``.

    ``own``: whether programs stand in the file, whose names its definitions can use. ``places``: of the names in
    front of parentheses, and of the imports' own names.
    """

    source: Source
    own: bool
    names: dict[str, Defined] = field(default_factory=dict)
    places: dict[str, Span] = field(default_factory=dict)

    def take(self, name: str, place: Span) -> None:
        """Raises SL114 when the name has a meaning already."""
        if name in self.places:
            raise error(
                "SL114",
                f"'{name}' has a meaning already",
                place,
                notes=[f"the first one is at {self.places[name]}"],
                hint='choose another name, or give an import one of its own: import "..." as l',
            )
        self.places[name] = place

    def find(self, call: tree.Call) -> Defined | None:
        """The definition that a call means; None for one of another kind.

        Raises SL111 for a name of an import that it does not have, or with a likely slip, and for a wrong number of
        arguments.
        """
        found = self.names.get(call.name)
        if found is None:
            near = "" if call.name in INTEGER_FUNCTIONS else closest(call.name, self.names)
            if "." in call.name or near:
                raise unknown_definition(call, self.names)
            return None
        wanted, given = len(found.syntax.parameters), len(call.arguments)
        if wanted != given:
            names = ", ".join(p.name for p in found.syntax.parameters)
            raise error(
                "SL111",
                f"'{call.name}' takes {count_of(wanted, 'argument')}, and {given} "
                f"{'is' if given == 1 else 'are'} given",
                call.span,
                notes=[f"it is defined as {call.name}({names}) at {found.syntax.head}"],
            )
        return found


_ROTATES = re.compile(r"rot(?![a-z])|rotat|rotl|rotr|(?<![a-z])roll|shift|circ", re.IGNORECASE)
"""What other libraries call their rotations."""


def unknown_definition(call: tree.Call, known: Iterable[str]) -> SlotError:
    """SL111 for a call of what is neither a function of integers nor a definition. ``known``: what can be called."""
    known = list(known)
    hint = closest(call.name, known)
    if not hint and _ROTATES.search(call.name):
        hint = "rotations are written X << k, where slot s takes what stood in slot s + k, and X >> k"
    elif not hint and "." in call.name:
        hint = f"known here: {', '.join(known) or 'nothing'}"
    elif not hint:
        hint = f"def {call.name}({', '.join('abcdefgh'[: len(call.arguments)])}) = ... defines it"
    place = Span(call.span.source, call.span.start, call.span.start + len(call.name))
    return error("SL111", f"there is no definition '{call.name}'", place, hint=hint)


@dataclass(eq=False)
class Defined:
    """A definition with the names it can use. ``free``: those of the program around it. ``calls``: in its body."""

    syntax: items.Definition
    space: Space
    free: dict[str, Span] = field(default_factory=dict)
    calls: list[tree.Call] = field(default_factory=list)

    @property
    def statements(self) -> tuple[tree.Statement, ...]:
        """The statements of a template; none for a named expression."""
        return self.syntax.body if isinstance(self.syntax.body, tuple) else ()


def space_of(file: items.File) -> Space:
    """What a file that holds programs can use.

    Raises ``SlotError``: SL110 to SL115 for definitions, SL117 to SL119 for imports, and what files that are imported
    are refused for.
    """
    loader = _Loader()
    space = loader.space(file, own=True, importing=root_of(file))
    loader.check()
    return space


def unused_definitions(source: Source) -> tuple[Diagnostic, ...]:
    """Warnings (SL331) about a file's own definitions that none of its programs uses, by others or at once. A file
    without programs is there to be imported, and has none. Of several programs the first one has them."""
    file = parse_file(source)
    programs = [s.name for s in file.statements if isinstance(s, tree.Header)]
    if not programs or source.program not in (None, programs[0]):
        return ()
    own = [s for s in file.statements if isinstance(s, items.Definition)]
    bodies = {definition.name: definition.body for definition in own}
    used: set[str] = set()
    waiting = _calls(tuple(s for s in file.statements if not isinstance(s, items.Definition)))
    while waiting:
        name = waiting.pop()
        if name in bodies and name not in used:
            used.add(name)
            waiting += _calls(bodies[name])
    hint = "leave it out, or use it"
    return tuple(
        Diagnostic("SL331", f"definition '{d.name}' is never used", d.head, hint=hint)
        for d in own
        if d.name not in used
    )


def _calls(syntax: Any) -> list[str]:
    return [node.name for node in nodes(syntax) if isinstance(node, tree.Call)]


def check_importable(file: items.File) -> None:
    """Raises what a program that imports the file would meet, as ``space_of``."""
    loader = _Loader()
    loader.space(file, own=False, importing=root_of(file))
    loader.check()


def imported_paths(source: Source) -> tuple[Path, ...]:
    """The files that a file imports, by others or at once. Raises as ``space_of``."""
    file, loader = parse_file(source), _Loader()
    loader.space(file, own=True, importing=root_of(file))
    return tuple(map(Path, loader.spaces))


class _Loader:
    def __init__(self) -> None:
        self.spaces: dict[str, Space] = {}
        self.all: list[Defined] = []

    def space(self, file: items.File, own: bool, importing: tuple[Opened, ...]) -> Space:
        space = Space(file.source, own)
        for item in file.statements:
            if isinstance(item, items.Import):
                self._import(space, item, importing)
        for item in file.statements:
            if isinstance(item, items.Definition):
                if item.name in CONSTANT_WORDS:
                    message = f"'{item.name}(...)' is a tensor of the language, and no definition"
                    raise error("SL114", message, item.head, hint="choose another name")
                space.take(item.name, item.head)
                defined = Defined(item, space)
                space.names[item.name] = defined
                self.all.append(defined)
                if len(self.all) > MAX_DEFINITIONS:
                    raise too_many_definitions(item.head)
        return space

    def _import(self, space: Space, item: items.Import, importing: tuple[Opened, ...]) -> None:
        found = opened(item, space.source, importing)
        if found.key not in self.spaces:
            self.spaces[found.key] = self.space(found.file, False, (*importing, found))
        inner = self.spaces[found.key]
        own = [(name, defined) for name, defined in inner.names.items() if defined.space is inner]
        if item.alias is not None:
            space.take(item.alias, item.span)
        for name, defined in own:
            if item.alias is None:
                space.take(name, item.span)
            space.names[name if item.alias is None else f"{item.alias}.{name}"] = defined

    def check(self) -> None:
        for defined in self.all:
            _Scan(defined).run()
            if defined.free and not defined.space.own:
                name, place = next(iter(defined.free.items()))
                raise error(
                    "SL112",
                    f"'{defined.syntax.name}' uses '{name}', which is not its own",
                    place,
                    hint="a definition that is imported uses its parameters, slot, slots and definitions: "
                    f"make '{name}' a parameter",
                )
        self._circles()

    def _circles(self) -> None:
        """Raises SL113 when definitions call each other in a circle. Not recursive: chains may be long."""
        done: set[Defined] = set()
        for start in self.all:
            if start in done:
                continue
            path: list[Defined] = [start]
            waiting = [_called(start)]
            on_path = {start}
            while waiting:
                following = next(waiting[-1], None)
                if following is None:
                    waiting.pop()
                    last = path.pop()
                    on_path.discard(last)
                    done.add(last)
                    continue
                call, inner = following
                if inner in on_path:
                    names = [d.syntax.name for d in path[path.index(inner) :]]
                    raise error(
                        "SL113",
                        f"'{inner.syntax.name}' is defined by itself"
                        + (f": {' -> '.join([*names[:8], names[0]])}" if len(names) > 1 else ""),
                        call.span,
                        hint="a definition is expanded where it is used, so it can't use itself; "
                        "sum q < n: ... repeats a term",
                    )
                if inner not in done:
                    path.append(inner)
                    on_path.add(inner)
                    waiting.append(_called(inner))


def _called(defined: Defined) -> Iterator[tuple[tree.Call, Defined]]:
    for call in defined.calls:
        inner = defined.space.find(call)
        if inner is not None:
            yield call, inner


class _Scan:
    """Which names a definition uses, and whether it declares each of its own once."""

    def __init__(self, defined: Defined) -> None:
        self.defined = defined
        self.own: dict[str, Span] = {}

    def run(self) -> None:
        """Fills ``free`` and ``calls``. Raises SL110 (parameters), SL111 (calls), SL114 (a name of two meanings)."""
        syntax = self.defined.syntax
        for parameter in syntax.parameters:
            if parameter.name in OF_SLOTS:
                raise error("SL110", f"'{parameter.name}' can't be a parameter", parameter.span, hint=_READABLE)
            self._declare(parameter.name, parameter.span)
        if not isinstance(syntax.body, tuple):
            self._visit(syntax.body, frozenset(self.own))
            return
        for statement in syntax.body:
            self._statement(statement)

    def _declare(self, name: str, place: Span) -> None:
        space = self.defined.space
        if name in self.own or name in space.places or name == "slots":
            first = self.own.get(name) or space.places.get(name)
            notes = [f"the first one is at {first}"] if first else []
            hint = "choose another name"
            raise error("SL114", f"'{name}' has a meaning already", place, notes=notes, hint=hint)
        self.own[name] = place

    def _statement(self, statement: tree.Statement) -> None:
        known = frozenset(self.own)
        match statement:
            case tree.Define(_, name, binders, body):
                # a family may read its own members
                self._visit(body, self._bind(binders, known) | {name})
            case tree.Claim(target, value, where):
                inner = known | bare_names(target, known)
                for part in (target, value, where):
                    self._visit(part, inner)
            case tree.DefinePermutation(_, tree.SlotPermutation(_, target)):
                self._visit(target, known)
            case _:
                for part in parts(statement):
                    self._visit(part, known)
        for name, place in declared(statement):
            self._declare(name, place)

    def _bind(self, binders: tuple[tree.Binder, ...], known: frozenset[str]) -> frozenset[str]:
        for binder in binders:
            self._visit(binder.extent, known)
            if binder.name in self.own or binder.name == "slots":
                self._declare(binder.name, binder.span)
            known |= {binder.name}
        return known

    def _visit(self, node: Any, known: frozenset[str]) -> None:
        match node:
            case tree.Name(name, span):
                self._read(name, span, known)
            case tree.Sum(binders, how, body):
                inner = self._bind(binders, known)
                self._visit(body, inner)
                if how is not None and how.argument is not None:
                    self._visit(how.argument, known)
            case tree.Permute(value, permutation, _, span):
                self._visit(value, known)
                self._read(permutation, span, known)
            case tree.Call():
                self.defined.space.find(node)
                self.defined.calls.append(node)
                for argument in node.arguments:
                    self._visit(argument, known)
            case None:
                pass
            case _:
                for part in parts(node):
                    self._visit(part, known)

    def _read(self, name: str, span: Span, known: frozenset[str]) -> None:
        if name not in known and name not in OF_SLOTS:
            self.defined.free.setdefault(name, span)


def bare_names(target: tree.Expr, known: frozenset[str]) -> frozenset[str]:
    """The new names in the brackets of a claim's family, which stand for its indices."""
    indices = target.indices if isinstance(target, tree.Index) else ()
    names = (i.name for i in indices if isinstance(i, tree.Name))
    return frozenset(name for name in names if name not in known and name not in OF_SLOTS)
