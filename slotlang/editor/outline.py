"""The shape of a text: what it declares, what can be folded, and how its words are coloured."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from slotlang.editor.analysis import Analysis, ProgramView
from slotlang.editor.names import Symbol, declared_symbols, mentions
from slotlang.editor.tokens import PUNCTUATION, tokens
from slotlang.syntax import items, tree

__all__ = ["KINDS", "MODIFIERS", "Colour", "Entry", "Fold", "colours", "folds", "outline"]


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the outline: a name with its declaration's place, and what is inside it."""

    name: str
    sort: str
    detail: str
    start: int
    end: int
    name_start: int
    name_end: int
    inside: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Fold:
    """Lines, counted from 0, that can be folded."""

    first: int
    last: int
    comment: bool = False


def outline(analysis: Analysis) -> list[Entry]:
    """Programs with what they declare, and definitions."""
    found = [_definition(s) for s in analysis.file.statements if isinstance(s, items.Definition)]
    for view in analysis.programs:
        inside = tuple(_entries(view))
        if view.header is None:
            found += inside
            continue
        symbol = next(s for s in declared_symbols(view.header) if s.sort == "program")
        sizes = ", ".join(s.span.text for s in view.header.sizes)
        end = max([view.header.span.end, *(s.span.end for s in view.statements)])
        found.append(Entry(view.name, "program", sizes, view.header.span.start, end, symbol.start, symbol.end, inside))
    if not analysis.programs:
        for item in analysis.file.statements:
            if not isinstance(item, items.Definition | items.Import):
                found += _statement(item)
    return sorted(found, key=lambda e: e.start)


def _definition(item: items.Definition) -> Entry:
    at = item.head.text.find(item.name, len("def"))
    start = item.head.start + max(at, 0)
    parameters = ", ".join(p.name for p in item.parameters)
    inside = tuple(e for s in item.body for e in _statement(s)) if isinstance(item.body, tuple) else ()
    name_end = start + len(item.name)
    return Entry(item.name, "definition", f"({parameters})", item.span.start, item.span.end, start, name_end, inside)


def _entries(view: ProgramView) -> Iterator[Entry]:
    for item in view.statements:
        if not isinstance(item, items.Definition | items.Import):
            yield from _statement(item)


def _statement(item: items.Item) -> Iterator[Entry]:
    for symbol in declared_symbols(item):
        if symbol.sort != "program":
            yield _entry(symbol, item)
    if isinstance(item, tree.Claim | tree.Prove):
        span = item.span
        text = " ".join(span.text.split())
        sort = "claim" if isinstance(item, tree.Claim) else "theorem"
        yield Entry(text if len(text) <= 60 else text[:59] + "…", sort, "", span.start, span.end, span.start, span.end)


def _entry(symbol: Symbol, item: items.Item) -> Entry:
    detail: str = symbol.sort
    if isinstance(item, tree.Define) and item.binders:
        detail += f"[{', '.join(b.span.text for b in item.binders)}]"
    return Entry(symbol.name, symbol.sort, detail, *symbol.whole, symbol.start, symbol.end)


def folds(analysis: Analysis) -> list[Fold]:
    """Definitions, statements of several lines, and runs of comment lines."""
    source = analysis.source
    text = source.text
    found = []
    for item in analysis.starts.values():
        first, last = _line(source.line_starts, item.span.start), _line(source.line_starts, item.span.end)
        if last > first:
            found.append(Fold(first, last))
    for view in analysis.programs:
        if view.header is not None and len(analysis.programs) > 1:
            last = _line(source.line_starts, max(s.span.end for s in view.statements))
            found.append(Fold(_line(source.line_starts, view.header.span.start), last))
    run: int | None = None
    lines = text.split("\n")
    for number, line in enumerate([*lines, ""]):
        if line.lstrip().startswith("#"):
            run = number if run is None else run
        else:
            if run is not None and number - run > 1:
                found.append(Fold(run, number - 1, True))
            run = None
    return sorted(set(found), key=lambda f: (f.first, f.last))


def _line(starts: tuple[int, ...], offset: int) -> int:
    return bisect_right(starts, offset) - 1


KINDS = (
    "comment",
    "string",
    "number",
    "keyword",
    "operator",
    "namespace",
    "variable",
    "parameter",
    "property",
    "class",
    "function",
    "enumMember",
)
"""What a word can be, in the protocol's names."""
MODIFIERS = ("declaration", "readonly", "encrypted", "plain")
"""What more can be said of it; the last two are slotlang's own."""

_COLOURS: dict[str, tuple[str, tuple[str, ...]]] = {
    "program": ("namespace", ()),
    "import": ("namespace", ()),
    "size": ("enumMember", ("readonly",)),
    "input": ("class", ("encrypted",)),
    "weight": ("class", ("plain",)),
    "tensor": ("class", ()),
    "scalar": ("variable", ("readonly", "plain")),
    "digit": ("property", ()),
    "cipher": ("variable", ("encrypted",)),
    "compute": ("variable", ("encrypted",)),
    "plain": ("variable", ("plain",)),
    "permutation": ("function", ()),
    "result": ("variable", ()),
    "loop": ("parameter", ()),
    "parameter": ("parameter", ()),
    "definition": ("function", ()),
}
_LEXICAL = {"comment": "comment", "string": "string", "number": "number", "keyword": "keyword", "sign": "operator"}


@dataclass(frozen=True, slots=True)
class Colour:
    """What a part of the text is: one of ``KINDS``, and some of ``MODIFIERS``. It lies in one line."""

    start: int
    end: int
    kind: str
    modifiers: tuple[str, ...] = ()


def colours(analysis: Analysis) -> list[Colour]:
    """Every word and sign that has a colour, in order. Words of a statement that does not parse have those that the
    signs alone tell."""
    meant = {m.start: m for m in mentions(analysis)}
    families = {}
    for view in analysis.programs:
        program = view.bound
        if program is not None:
            families.update({name: program.encrypted(family.body) for name, family in program.families.items()})
    found = []
    for token in tokens(analysis.source.text):
        mention = meant.get(token.start)
        if mention is not None and mention.end == token.end:
            symbol = mention.symbol
            kind, modifiers = _COLOURS[symbol.sort]
            if symbol.sort == "compute" and families.get(symbol.name) is False:
                modifiers = ()
            declares = ("declaration",) if mention.declares else ()
            found.append(Colour(token.start, token.end, kind, (*declares, *modifiers)))
        elif token.kind == "name":
            if token.text in ("slot", "slots"):
                found.append(Colour(token.start, token.end, "property", ("readonly",)))
        elif token.text not in PUNCTUATION:
            found.append(Colour(token.start, token.end, _LEXICAL[token.kind]))
    return found
