"""Definitions put in place of their uses, from syntax tree to syntax tree.

The expansion is hygienic. What a definition declares gets a new name where another thing has that name, so it catches
no name of its arguments; and no loop of the use catches a name of the definition. Every node of the result knows where
it was written: the place of the use, and the places in the definitions that it passed through.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from slotlang.diagnostics import SlotError, error
from slotlang.source import Span
from slotlang.syntax import tree
from slotlang.syntax.definitions import Defined, Space, bare_names
from slotlang.syntax.walk import declared, nodes, parts, rebuilt
from slotlang.words import MAX_DEPTH, RESERVED

MAX_EXPANDED = 50_000
"""Most names, numbers and operators that definitions put into a program."""

Node = TypeVar("Node")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node was written, as ``Origin`` says it."""

    span: Span
    definitions: tuple[tuple[str, Span], ...]


@dataclass(frozen=True)
class _Argument:
    """What stands for a name inside a definition, with its size, its depth and the names in it."""

    value: tree.Expr
    size: int
    depth: int
    names: frozenset[str]


@dataclass(frozen=True)
class _Frame:
    """One use of a definition: what its names mean, the names of loops around, and how the use was reached."""

    defined: Defined
    use: Span
    chain: tuple[tuple[str, Span], ...]
    meaning: Mapping[str, _Argument]
    loops: frozenset[str] = frozenset()
    lifted: tuple[tree.Binder, ...] = field(default=())

    def place(self, span: Span) -> Place:
        return Place(self.use, (*self.chain, (self.defined.syntax.name, span)))


class Expansion:
    """The expansion of one program's statements. ``places``: of every node that a definition brought, by its id."""

    def __init__(self, space: Space, statements: tuple[tree.Statement, ...]) -> None:
        self.space = space
        self.statements = statements
        self.places: dict[int, Place] = {}
        self._kept: list[object] = []
        self._size = 0
        self._declared = {name for s in statements for name, _ in declared(s)}
        self._above: set[str] = set()
        self._axes: tree.Axes | None = None
        self._words = frozenset[str]()
        self._taken = set(_names(space.source.text))
        self._check_names()

    def _check_names(self) -> None:
        """Raises SL114 when the program declares the name of a definition or of an import."""
        for statement in self.statements:
            for name, place in declared(statement):
                if name in self.space.places:
                    note = f"it is a definition's or an import's name at {self.space.places[name]}"
                    hint = 'choose another name, or give an import one of its own: import "..." as l'
                    raise error("SL114", f"'{name}' has a meaning already", place, notes=[note], hint=hint)

    def run(self) -> Iterator[tuple[tree.Statement, list[tree.Statement]]]:
        """Each statement with what stands for it: itself, alone, where it uses no definition.

        Raises ``SlotError`` SL111 (no such definition, number of arguments), SL112 (a name that is not known at the
        use), SL115 (too large or too deep), SL116 (statements where an expression is needed).
        """
        for statement in self.statements:
            if any(isinstance(node, tree.Call) for node in nodes(statement)):
                self._words = frozenset(_names(statement.span.text))
                made = self._statement(statement)
            else:
                made = [statement]
            yield statement, made
            for one in made:
                self._above |= {name for name, _ in declared(one)}
                if isinstance(one, tree.Axes) and self._axes is None:
                    self._axes = one

    def _statement(self, statement: tree.Statement) -> list[tree.Statement]:
        template = self._template_of(statement, self.space)
        if template is not None:
            define, call, found = template
            binders = rebuilt(define, lambda node: node if node is call else self._node(node, None, 1)).binders
            return self._templated(define, binders, call, found, None, 0)
        return [rebuilt(statement, lambda node: self._node(node, None, 1))]

    def _template_of(self, statement: tree.Statement, space: Space) -> tuple[tree.Define, tree.Call, Defined] | None:
        if isinstance(statement, tree.Define) and isinstance(statement.body, tree.Call):
            found = space.find(statement.body)
            if found is not None and found.statements:
                return statement, statement.body, found
        return None

    # expressions

    def _node(self, node: Any, frame: _Frame | None, depth: int) -> Any:
        """A node of a statement, with calls expanded and, inside a definition, names replaced by what they mean."""
        if depth > MAX_DEPTH:
            raise self._too_large(node.span, frame, f"nests more than {MAX_DEPTH} deep")
        if isinstance(node, tree.Call):
            space = self.space if frame is None else frame.defined.space
            found = space.find(node)
            if found is not None:
                return self._call(node, found, frame, depth)
        if frame is None:
            return rebuilt(node, lambda part: self._node(part, None, depth + 1))
        match node:
            case tree.Name(name):
                return self._name(name, node, frame, depth)
            case tree.Index(tree.Name() as name):
                of, indices = self._name(name.name, name, frame, depth + 1), self._nodes(node.indices, frame, depth)
                if isinstance(of, tree.Index) and not of.else_zero:
                    # a member of a family that was given in part
                    node = replace(node, base=of.base, indices=of.indices + indices)
                else:
                    node = replace(node, base=of, indices=indices)
                return self._new(node, node.span, frame)
            case tree.Sum(binders, how, body):
                binders, inner = self._bind(binders, frame, depth)
                how = self._node(how, frame, depth + 1) if how is not None else None
                new_sum = tree.Sum(binders, how, self._node(body, inner, depth + 1), node.span)
                return self._new(new_sum, node.span, frame)
            case tree.Permute(value, permutation):
                permutation = self._plain_name(permutation, node.span, frame)
                value = self._node(value, frame, depth + 1)
                return self._new(replace(node, value=value, permutation=permutation), node.span, frame)
            case _:
                new_node = rebuilt(node, lambda part: self._node(part, frame, depth + 1))
                return self._new(new_node if new_node is not node else replace(node), node.span, frame)

    def _nodes(self, several: tuple[Any, ...], frame: _Frame, depth: int) -> tuple[Any, ...]:
        return tuple(self._node(node, frame, depth + 1) for node in several)

    def _new(self, node: Node, span: Span, frame: _Frame) -> Node:
        self._grow(1, frame)
        self.places[id(node)] = frame.place(span)
        self._kept.append(node)  # ids stay unique while every node lives
        return node

    def _grow(self, size: int, frame: _Frame) -> None:
        self._size += size
        if self._size > MAX_EXPANDED:
            raise self._too_large(frame.use, None, f"makes more than {MAX_EXPANDED:,} names, numbers and operators")

    def _too_large(self, span: Span, frame: _Frame | None, what: str) -> SlotError:
        place = frame.use if frame is not None else span
        hint = "name the parts of what is repeated in statements of their own"
        return error("SL115", f"what the definitions stand for {what}", place, hint=hint)

    def _name(self, name: str, node: tree.Name, frame: _Frame, depth: int) -> tree.Expr:
        argument = frame.meaning.get(name)
        if argument is None and name == "slots" and "slots" not in self._declared and self._axes is not None:
            extents = [binder.extent for binder in self._axes.binders]
            product = extents[0]
            for extent in extents[1:]:
                product = self._new(tree.Binary("*", product, extent, node.span), node.span, frame)
            argument = _argument(product)
        if argument is None:
            return self._new(replace(node), node.span, frame)
        if depth + argument.depth > MAX_DEPTH:
            raise self._too_large(node.span, frame, f"nests more than {MAX_DEPTH} deep")
        self._grow(argument.size, frame)
        return argument.value

    def _plain_name(self, name: str, span: Span, frame: _Frame) -> str:
        """A name that must stay one: of a permutation, or of a digit that one is given by."""
        argument = frame.meaning.get(name)
        if argument is None:
            return name
        if not isinstance(argument.value, tree.Name):
            note = f"it takes the place of '{name}' at {span}"
            raise error("SL116", "a name is needed here", argument.value.span, notes=[note])
        return argument.value.name

    def _bind(
        self, binders: tuple[tree.Binder, ...], frame: _Frame, depth: int
    ) -> tuple[tuple[tree.Binder, ...], _Frame]:
        """The loops of a definition under names that nothing else has, and the frame inside of them."""
        made = []
        for binder in binders:
            extent = self._node(binder.extent, frame, depth + 1)
            frame = self._loop(binder.name, binder.span, frame)
            new = frame.meaning[binder.name].value
            assert isinstance(new, tree.Name)
            made.append(self._new(tree.Binder(new.name, extent, binder.span), binder.span, frame))
        return tuple(made), frame

    def _loop(self, name: str, span: Span, frame: _Frame) -> _Frame:
        elsewhere = (self._declared, self._words, frame.loops, *(a.names for a in frame.meaning.values()))
        new = _free_name(name, lambda n: any(n in names for names in elsewhere))
        self._taken.add(new)
        argument = _argument(self._new(tree.Name(new, span), span, frame))
        return replace(frame, meaning={**frame.meaning, name: argument}, loops=frame.loops | {new})

    def _call(self, call: tree.Call, found: Defined, frame: _Frame | None, depth: int) -> tree.Expr:
        if found.statements:
            raise error(
                "SL116",
                f"'{call.name}' stands for statements, and an expression is needed here",
                call.span if frame is None else frame.use,
                notes=[] if frame is None else [f"it is used at {call.span}"],
                hint=f"give it a line of its own: T = {call.name}(...)",
            )
        inner = self._entered(call, found, frame, depth)
        assert not isinstance(found.syntax.body, tuple)
        made: tree.Expr = self._node(found.syntax.body, inner, depth + 1)
        return made

    def _entered(self, call: tree.Call, found: Defined, frame: _Frame | None, depth: int) -> _Frame:
        """The frame of a use: arguments are expanded where they stand."""
        use = call.span if frame is None else frame.use
        chain = () if frame is None else (*frame.chain, (frame.defined.syntax.name, call.span))
        for name, place in found.free.items():
            if name not in self._above:
                hint = f"make '{name}' a parameter"
                if name in self._declared:
                    hint = f"move '{name}' above this line, or {hint}"
                elif name in self._words:
                    hint = f"no loop of the use reaches into a definition: {hint}"
                raise error(
                    "SL112",
                    f"'{found.syntax.name}' uses '{name}', which is not declared above this use",
                    use,
                    notes=[f"the definition has it at {place}", *(f"'{n}' is used at {s}" for n, s in chain)],
                    hint=hint,
                )
        arguments = [_argument(self._node(a, frame, depth + 1)) for a in call.arguments]
        names = [p.name for p in found.syntax.parameters]
        loops = frozenset[str]() if frame is None else frame.loops
        return _Frame(found, use, chain, dict(zip(names, arguments, strict=True)), loops)

    # statements

    def _templated(
        self,
        define: tree.Define,
        lifted: tuple[tree.Binder, ...],
        call: tree.Call,
        found: Defined,
        frame: _Frame | None,
        depth: int,
    ) -> list[tree.Statement]:
        """The statements of a template: the last family takes the name, and all take the loops, of the use."""
        if depth > MAX_DEPTH // 3:
            raise self._too_large(call.span, frame, f"nests more than {MAX_DEPTH // 3} deep")
        inner = self._entered(call, found, frame, depth)
        loops = inner.loops | {b.name for b in lifted}
        inner = replace(inner, lifted=lifted, loops=loops)
        *_, result = (s for s in found.statements if isinstance(s, tree.Define))
        if result.kind != define.kind:
            word = {"compute": "", "plain": "plain ", "cipher": "cipher "}
            raise error(
                "SL116",
                f"'{found.syntax.name}' defines {_KINDS[result.kind]}, and {_KINDS[define.kind]} is defined here",
                inner.use,
                notes=[f"its result is defined at {result.span}"],
                hint=f"write {word[result.kind]}{define.name} = {call.name}(...)",
            )
        made: list[tree.Statement] = []
        for statement in found.statements:
            inner, statements = self._inner(
                statement, inner, define.name if statement is result else None, define, depth
            )
            made += statements
        return made

    def _inner(
        self, statement: tree.Statement, frame: _Frame, name: str | None, use: tree.Define, depth: int
    ) -> tuple[_Frame, list[tree.Statement]]:
        """One statement of a template, and the frame in which what it declares is known."""
        span = statement.span
        match statement:
            case tree.Define(kind, own, binders, body):
                name = name or self._fresh(use.name, own)
                frame = self._local(own, name, frame, lifted=True)
                outer, frame_inside = self._bind(binders, frame, depth)
                new: tree.Statement = tree.Define(kind, name, (*frame.lifted, *outer), body, span)
                template = self._template_of(new, frame.defined.space)
                if template is not None:
                    define, call, found = template
                    return frame, self._templated(define, define.binders, call, found, frame_inside, depth + 1)
                new = replace(new, body=self._node(body, frame_inside, depth + 1))
            case tree.Let(own, value) | tree.NameTensor(own, value):
                value = self._node(value, frame, depth + 1)
                name = self._fresh(use.name, own)
                new = replace(statement, name=name, value=value)
                frame = self._local(own, name, frame)
            case tree.DefinePermutation(own, form):
                name = self._fresh(use.name, own)
                new = tree.DefinePermutation(name, self._permutation(form, frame, depth), span)
                frame = self._local(own, name, frame)
            case tree.Claim(target, value, where):
                inside = frame
                for bare in sorted(bare_names(target, frozenset(frame.meaning) | self._above)):
                    inside = self._loop(bare, target.span, inside)
                sides = self._nodes((target, value), inside, depth)
                where = where if where is None else self._node(where, inside, depth + 1)
                new = tree.Claim(sides[0], sides[1], where, span)
            case _:
                new = rebuilt(statement, lambda node: self._node(node, frame, depth + 1))
                new = replace(new) if new is statement else new
        return frame, [self._new(new, span, frame)]

    def _permutation(self, form: tree.PermutationForm, frame: _Frame, depth: int) -> tree.PermutationForm:
        if isinstance(form, tree.DigitPermutation):
            source = tuple(tree.Name(self._plain_name(n.name, n.span, frame), n.span) for n in form.source)
            target = tuple(self._node(e, frame, depth + 1) for e in form.target)
            return self._new(tree.DigitPermutation(source, target, form.span), form.span, frame)
        made: tree.PermutationForm = self._node(form, frame, depth + 1)
        return made

    def _fresh(self, use: str, own: str) -> str:
        """A name for what a template declares, that the program has nowhere."""
        name = _free_name(f"{use}_{own}", lambda n: n in self._taken or n in self._declared)
        self._taken.add(name)
        self._declared.add(name)
        return name

    def _local(self, own: str, name: str, frame: _Frame, lifted: bool = False) -> _Frame:
        place = frame.defined.syntax.head
        value: tree.Expr = self._new(tree.Name(name, place), place, frame)
        if lifted and frame.lifted:
            indices = tuple(self._new(tree.Name(b.name, b.span), place, frame) for b in frame.lifted)
            value = self._new(tree.Index(value, indices, False, place), place, frame)
        return replace(frame, meaning={**frame.meaning, own: _argument(value)})


_KINDS = {"compute": "a computed family", "plain": "a plain family", "cipher": "a cipher family"}


def _names(text: str) -> list[str]:
    return re.findall(r"[A-Za-z_]\w*", text)


def _free_name(name: str, taken: Any) -> str:
    if not taken(name):
        return name
    number = 2
    while taken(f"{name}_{number}") or f"{name}_{number}" in RESERVED:
        number += 1
    return f"{name}_{number}"


def _argument(value: tree.Expr) -> _Argument:
    size = depth = 0
    names = set[str]()
    layer: list[Any] = [value]
    while layer:
        size, depth = size + len(layer), depth + 1
        for node in layer:
            match node:
                case tree.Name(name) | tree.Binder(name):
                    names.add(name)
                case tree.Permute(permutation=name):
                    names.add(name)
                case _:
                    pass
        layer = [part for node in layer for part in parts(node)]
    return _Argument(value, size, depth, frozenset(names))


__all__ = ["MAX_EXPANDED", "Expansion", "Place"]
