"""Which name in a text means which thing: definitions, uses, renaming."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

from slotlang.editor.analysis import Analysis, analyse
from slotlang.editor.marks import elsewhere, own
from slotlang.meaning.scope import last_mention, name_span
from slotlang.source import Span
from slotlang.syntax import items, tree
from slotlang.syntax.walk import declared, parts
from slotlang.words import RESERVED

Sort: TypeAlias = Literal[
    "program",
    "size",
    "input",
    "weight",
    "tensor",
    "scalar",
    "digit",
    "cipher",
    "plain",
    "compute",
    "permutation",
    "result",
    "loop",
    "parameter",
    "definition",
    "import",
]


@dataclass(frozen=True, slots=True)
class Symbol:
    """A thing that a name stands for. ``start``, ``end``: its name where it is declared; ``whole``: the range of the
    declaration. ``file``: of one that is declared elsewhere."""

    name: str
    sort: Sort
    start: int
    end: int
    whole: tuple[int, int]
    file: str | None = None


@dataclass(frozen=True, slots=True)
class Mention:
    """A name at a place of the text."""

    start: int
    end: int
    symbol: Symbol
    declares: bool = False


_Names: TypeAlias = Mapping[str, Symbol]

_SORTS: dict[type, Sort] = {
    tree.Header: "size",
    tree.Scalars: "scalar",
    tree.Axes: "digit",
    tree.Let: "size",
    tree.NameTensor: "tensor",
    tree.DefinePermutation: "permutation",
    tree.Output: "result",
}


def mentions(analysis: Analysis) -> list[Mention]:
    """Every name of a text that means something, in order of the text."""
    found = _Finder(analysis).run()
    return sorted(dict.fromkeys(found), key=lambda m: (m.start, m.end))


def mention_at(found: list[Mention], offset: int) -> Mention | None:
    """The name at a place, or right before it."""
    return next((m for m in found if m.start <= offset <= m.end), None)


class _Finder:
    def __init__(self, analysis: Analysis) -> None:
        self.analysis = analysis
        self.found: list[Mention] = []

    def run(self) -> list[Mention]:
        file = self.analysis.file
        calls = dict(self._definitions())
        groups = [view.statements for view in self.analysis.programs] or [file.statements]
        for number, group in enumerate(groups):
            known = {**calls, **self._globals(group)}
            for item in group:
                if not isinstance(item, items.Definition | items.Import):
                    self._statement(item, known)
                elif number == 0 or len(groups) == 1:
                    self._item(item, known)
        return self.found

    # what is declared

    def _definitions(self) -> Iterator[tuple[str, Symbol]]:
        file = self.analysis.file
        for name, defined in self.analysis.definitions.items():
            head = defined.syntax.head
            place = name_span(defined.syntax.name, head)
            whole = (defined.syntax.span.start, defined.syntax.span.end)
            path = None if own(head, file.source) else _path(head)
            yield name, Symbol(name, "definition", place.start, place.end, whole, path)
        for item in file.statements:
            if isinstance(item, items.Definition) and item.name not in self.analysis.definitions:
                place = name_span(item.name, item.head)
                yield item.name, _symbol(item.name, "definition", place, item.span)
            elif isinstance(item, items.Import) and item.alias is not None:
                yield item.alias, _symbol(item.alias, "import", last_mention(item.alias, item.span), item.span)

    def _globals(self, group: tuple[items.Item, ...]) -> dict[str, Symbol]:
        known: dict[str, Symbol] = {}
        for item in group:
            for symbol in declared_symbols(item):
                known.setdefault(symbol.name, symbol)
        return known

    # where it is used

    def _add(self, start: int, end: int, symbol: Symbol | None) -> None:
        if symbol is not None and end - start == len(symbol.name.rpartition(".")[2]):
            declares = symbol.file is None and start == symbol.start
            self.found.append(Mention(start, end, symbol, declares))

    def _use(self, name: str, span: Span, known: _Names) -> None:
        """A name that ``span`` starts with."""
        if span.source.text.startswith(name, span.start):
            self._add(span.start, span.start + len(name), known.get(name))

    def _item(self, item: items.Definition | items.Import, known: _Names) -> None:
        symbol = known.get(item.name) if isinstance(item, items.Definition) else known.get(item.alias or "")
        if symbol is not None and symbol.file is None:
            self._add(symbol.start, symbol.end, symbol)
        if isinstance(item, items.Definition):
            inner = {**known, **{p.name: _symbol(p.name, "parameter", p.span, p.span) for p in item.parameters}}
            for parameter in item.parameters:
                self._use(parameter.name, parameter.span, inner)
            if not isinstance(item.body, tuple):
                self._visit(item.body, inner)
                return
            for statement in item.body:
                inner |= {s.name: s for s in declared_symbols(statement)}
                self._statement(statement, inner)

    def _statement(self, s: tree.Statement, known: _Names) -> None:
        for symbol in declared_symbols(s):
            at = known.get(symbol.name, symbol)
            self._add(symbol.start, symbol.end, at)
        match s:
            case tree.Header(_, sizes):
                for size in sizes:
                    self._visit(size.default, known)
            case tree.Declare(_, tensors):
                for tensor in tensors:
                    self._tensor(tensor, known)
            case tree.Bound(_, name, _, limit):
                self._visit((name, limit), known)
            case tree.Axes(_, binders):
                for binder in binders:
                    self._visit(binder.extent, known)
            case tree.Define(_, _, binders, body):
                self._visit(body, self._bind(binders, known))
            case tree.DefinePermutation(_, form):
                self._permutation(form, known)
            case tree.Claim(target, value, where):
                inner = self._bare(target, known)
                self._visit((target, value, where), inner)
            case tree.Output(_, indices, value, where):
                operand = value.operand if isinstance(value, tree.Unary) else value
                inner = self._bare(operand, known)
                self._visit((indices, value, where), inner)
            case tree.Prove(name, value, span, binders):
                place = name_span(name, Span(span.source, span.start + len("prove"), span.end))
                self._add(place.start, place.end, known.get(name))
                self._visit(value, self._bind(binders, known))
            case _:
                self._visit(tuple(parts(s)), known)

    def _tensor(self, tensor: tree.Tensor, known: _Names) -> None:
        self._visit(tensor.shape, known)
        inner = dict(known)
        for name in tensor.indices:
            if name is not None:
                at = re.search(rf"(?<!\w){re.escape(name)}\s*<", tensor.span.text)
                if at:
                    start = tensor.span.start + at.start()
                    place = Span(tensor.span.source, start, start + len(name))
                    inner[name] = _symbol(name, "loop", place, tensor.span)
                    self._add(place.start, place.end, inner[name])
        self._visit(tensor.pattern, inner)

    def _permutation(self, form: tree.PermutationForm, known: _Names) -> None:
        if isinstance(form, tree.SlotPermutation) and form.source.name not in {*known, "slot"}:
            source = form.source
            known = {**known, source.name: _symbol(source.name, "loop", source.span, form.span)}
        self._visit(form, known)

    def _bare(self, target: tree.Expr, known: _Names) -> _Names:
        """New names in the brackets of a claim or an output stand for every index."""
        inner = dict(known)
        for index in target.indices if isinstance(target, tree.Index) else ():
            if isinstance(index, tree.Name) and index.name != "slot" and index.name not in inner:
                inner[index.name] = _symbol(index.name, "loop", index.span, index.span)
        return inner

    def _bind(self, binders: tuple[tree.Binder, ...], known: _Names) -> _Names:
        for binder in binders:
            self._visit(binder.extent, known)
            place = name_span(binder.name, binder.span)
            known = {**known, binder.name: _symbol(binder.name, "loop", place, binder.span)}
            self._add(place.start, place.end, known[binder.name])
        return known

    def _visit(self, node: Any, known: _Names) -> None:
        match node:
            case None:
                return
            case tuple():
                for part in node:
                    self._visit(part, known)
            case tree.Name(name, span):
                self._use(name, span, known)
            case tree.Sum(binders, how, body):
                self._visit((how.argument if how is not None else None, body), self._bind(binders, known))
            case tree.Permute(value, permutation, _, span):
                self._visit(value, known)
                place = last_mention(permutation, span)
                self._add(place.start, place.end, known.get(permutation))
            case tree.Call(name, arguments, span):
                self._call(name, span, known)
                self._visit(arguments, known)
            case _:
                self._visit(tuple(parts(node)), known)

    def _call(self, name: str, span: Span, known: _Names) -> None:
        alias, dot, _ = name.rpartition(".")
        if not dot:
            self._use(name, span, known)
        elif span.source.text.startswith(name, span.start):
            self._add(span.start, span.start + len(alias), known.get(alias))
            self._add(span.start + len(alias) + 1, span.start + len(name), known.get(name))


def declared_symbols(item: items.Item) -> Iterator[Symbol]:
    """What a statement declares for the whole program, with the places of the names."""
    match item:
        case tree.Header(name, _, span):
            after = Span(span.source, span.start + len("program"), span.end)
            yield _symbol(name, "program", name_span(name, after), span)
        case tree.Declare(kind):
            for name, place in declared(item):
                yield _symbol(name, "input" if kind == "input" else "weight", name_span(name, place), item.span)
            return
        case tree.Define(kind, name, _, _, span):
            after = span if kind == "compute" else Span(span.source, span.start + len(kind), span.end)
            yield _symbol(name, cast(Sort, kind), name_span(name, after), span)
            return
        case _:
            pass
    for name, place in declared(item):
        inside = place
        words = {tree.Let: "let", tree.DefinePermutation: "perm", tree.Output: "output", tree.NameTensor: "tensor"}
        if (word := words.get(item.__class__)) is not None:
            inside = Span(place.source, place.start + len(word), place.end)
        yield _symbol(name, _SORTS[item.__class__], name_span(name, inside), item.span)


def _symbol(name: str, sort: Sort, place: Span, whole: Span) -> Symbol:
    return Symbol(name, sort, place.start, place.start + len(name), (whole.start, whole.end))


def _path(span: Span) -> str:
    return elsewhere(span, "").file or span.source.name


class CantRename(Exception):
    """A name that can't be changed, or not to this; the text says why."""


def renamed(analysis: Analysis, offset: int, new: str | None) -> tuple[Symbol, list[tuple[int, int, str]]]:
    """The thing whose name is at a place, and the edits that give it another name; without ``new`` the one that leaves
    the name there as it is.

    Every name of the new text means what it meant before: that is compared. Raises ``CantRename``.
    """
    found = mentions(analysis)
    at = mention_at(found, offset)
    if at is None:
        raise CantRename("no name stands here that could be changed")
    symbol = at.symbol
    if symbol.file is not None:
        raise CantRename(f"'{symbol.name}' is defined in another file, {symbol.file}")
    if "." in symbol.name:
        raise CantRename("this is the name of an import's definition")
    if new is None:
        return symbol, [(at.start, at.end, symbol.name)]
    if not re.fullmatch(r"[A-Za-z_][A-Za-z_0-9]*", new):
        raise CantRename(f"'{new}' is not a name: letters, digits and _, no digit first")
    if new in RESERVED:
        raise CantRename(f"'{new}' is a word of the language")
    same = [m for m in found if m.symbol == symbol]
    # outputs of one result declare it together
    edits = [(m.start, m.end, new) for m in same]
    _check_meaning(analysis, found, edits, symbol, new)
    return symbol, edits


def _check_meaning(
    analysis: Analysis, found: list[Mention], edits: list[tuple[int, int, str]], symbol: Symbol, new: str
) -> None:
    text, shifts = apply(analysis.source.text, edits), _Shift(edits)
    again = analyse(text, analysis.source.name, analysis.source.folder)
    taken = CantRename(f"'{new}' has a meaning already where '{symbol.name}' is used")
    if len(again.marks) > len(analysis.marks):
        raise taken
    after = mentions(again)
    wanted = [
        (shifts(m.start), shifts(m.symbol.start) if m.symbol.file is None else m.symbol.start, m.symbol.file)
        for m in found
    ]
    if [(m.start, m.symbol.start, m.symbol.file) for m in after] != wanted:
        raise taken


class _Shift:
    def __init__(self, edits: list[tuple[int, int, str]]) -> None:
        self.edits = sorted(edits)

    def __call__(self, offset: int) -> int:
        """Where an offset is after the edits."""
        return offset + sum(len(new) - (end - start) for start, end, new in self.edits if end <= offset)


def apply(text: str, edits: list[tuple[int, int, str]]) -> str:
    """A text with other ones at some ranges."""
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


__all__ = ["CantRename", "Mention", "Symbol", "apply", "declared_symbols", "mention_at", "mentions", "renamed"]
