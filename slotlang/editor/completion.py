"""What could be written at a place, and what a call that is being written takes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, TypeAlias

from slotlang.editor.analysis import Analysis, ProgramView
from slotlang.editor.names import declared_symbols
from slotlang.editor.places import place_of
from slotlang.editor.tokens import Token, tokens
from slotlang.editor.vocabulary import SNIPPETS, WORDS
from slotlang.syntax import items, tree
from slotlang.syntax.imports import LIBRARY
from slotlang.words import (
    HOW_NAMES,
    HOW_WITH_NUMBER,
    PARAMETER_WORDS,
    SOFT_FORMS,
    STATEMENT_WORDS,
    TRANSPOSE_WORDS,
)

Sort: TypeAlias = Literal["keyword", "function", "variable", "size", "tensor", "digit", "loop", "file", "result"]

MOST = 400
"""Most proposals for one place."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """``insert``: a snippet, where ``snippet`` says so. ``order``: what comes first."""

    label: str
    sort: Sort
    detail: str = ""
    insert: str = ""
    snippet: bool = False
    order: int = 1


@dataclass(frozen=True, slots=True)
class Signature:
    """A call that is being written. ``active``: the number of the argument at the place."""

    label: str
    parameters: tuple[str, ...]
    active: int
    text: str


def completions(analysis: Analysis, offset: int) -> tuple[int, list[Proposal]]:
    """What could be written at a place, and where the word starts that it takes the place of."""
    text = analysis.source.text
    found = _completions(analysis, offset)
    pattern = r'[^"\s]*\Z' if found and found[0].sort == "file" and "/" in found[0].label else r"[A-Za-z_0-9]*\Z"
    line = text[text.rfind("\n", 0, offset) + 1 : offset]
    match = re.search(pattern, line)
    return offset - (len(match[0]) if match else 0), found


def _completions(analysis: Analysis, offset: int) -> list[Proposal]:
    before = _before(analysis.source.text, offset)
    if before and before[-1].kind in ("name", "keyword") and before[-1].end == offset:
        before.pop()
    if before and before[-1].kind in ("comment", "number") and before[-1].end >= offset:
        return []
    if before and before[-1].kind == "string" and before[-1].end >= offset:
        return list(_files(analysis, before))
    found = dict.fromkeys(_proposals(analysis, offset, before))
    return list(found)[:MOST]


def _proposals(analysis: Analysis, offset: int, before: list[Token]) -> Iterator[Proposal]:
    view = analysis.program_at(offset)
    last = before[-1].text if before else ""
    if not before or (before[-1].end <= analysis.source.text.rfind("\n", 0, offset) and not _open(before)):
        for word in (*STATEMENT_WORDS, *SOFT_FORMS):
            yield _word(word)
        yield from (p for p in _names(analysis, view) if p.sort == "variable")
    elif last == "by":
        for how in HOW_NAMES:
            number = f"{how}(${{1:n}})" if how in HOW_WITH_NUMBER and how != "doubling" else ""
            yield Proposal(how, "keyword", WORDS[how], number or how, bool(number), 0)
    elif last == ".":
        yield from _members(analysis, before[-2].text if len(before) > 1 else "")
    elif before[0].text == "parameters":
        for word in PARAMETER_WORDS:
            yield Proposal(word, "keyword", WORDS[word], word)
    elif before[0].text in ("program", "let", "scalar", "def", "import") and len(before) == 1:
        return
    else:
        yield from _expression(analysis, view, before)


def _expression(analysis: Analysis, view: ProgramView | None, before: list[Token]) -> Iterator[Proposal]:
    place = place_of(before, analysis.definitions)
    for name in dict.fromkeys(_loops(before)):
        yield Proposal(name, "loop", "an index of this statement", name, order=0)
    yield from _names(analysis, view, place.sorts)
    for name in analysis.definitions:
        yield _call(analysis, name, name)
    for word in place.words:
        yield _word(word, 2)
    for word in place.functions:
        yield Proposal(word, "function", WORDS[word], f"{word}($1)", True, 2)


def _word(word: str, order: int = 1) -> Proposal:
    return Proposal(word, "keyword", WORDS[word], SNIPPETS.get(word, word), word in SNIPPETS, order)


def _names(analysis: Analysis, view: ProgramView | None, sorts: frozenset[str] | None = None) -> Iterator[Proposal]:
    """The names of a program, with what they are; of some sorts alone, where these are given."""
    scope = view.scope if view is not None else None
    for item in view.statements if view is not None else analysis.file.statements:
        for symbol in declared_symbols(item):
            name = symbol.name
            if symbol.sort == "program" or (symbol.sort == "result" if sorts is None else symbol.sort not in sorts):
                continue
            if symbol.sort == "size":
                value = scope.sizes.get(name) if scope is not None else None
                yield Proposal(name, "size", "a size" if value is None else f"{name} = {value}", name)
            elif symbol.sort in ("input", "weight", "tensor"):
                yield Proposal(name, "tensor", _shape(symbol.sort, name, item), name)
            elif symbol.sort == "digit":
                yield Proposal(name, "digit", "a digit of the slot index", name)
            else:
                sort: Sort = "result" if symbol.sort == "result" else "variable"
                yield Proposal(name, sort, _family(item, name) or f"a {symbol.sort}", name)
    for item in analysis.file.statements:
        if isinstance(item, items.Import) and item.alias is not None:
            yield Proposal(item.alias, "file", item.path, item.alias)
    if sorts is None or "digit" in sorts:
        yield Proposal("slot", "digit", WORDS["slot"], "slot", order=2)


def _shape(sort: str, name: str, item: items.Item) -> str:
    if isinstance(item, tree.Declare):
        tensor = next(t for t in item.tensors if t.name == name)
        return f"{sort} {name}[{', '.join(e.span.text for e in tensor.shape)}]"
    return " ".join(item.span.text.split())


def _family(item: items.Item, name: str) -> str:
    if not isinstance(item, tree.Define):
        return ""
    kind = "" if item.kind == "compute" else f"{item.kind} "
    return f"{kind}{name}" + (f"[{', '.join(b.span.text for b in item.binders)}]" if item.binders else "")


def _call(analysis: Analysis, name: str, label: str, order: int = 1) -> Proposal:
    """A definition, written ``label``, with places for its arguments."""
    parameters = [p.name for p in analysis.definitions[name].syntax.parameters]
    places = ", ".join(f"${{{n}:{p}}}" for n, p in enumerate(parameters, 1))
    return Proposal(label, "function", f"{name}({', '.join(parameters)})", f"{label}({places})", True, order)


def _members(analysis: Analysis, alias: str) -> Iterator[Proposal]:
    inside = [n for n in analysis.definitions if n.startswith(f"{alias}.")]
    for name in inside:
        yield _call(analysis, name, name.rpartition(".")[2], 0)
    if not inside:
        for word in TRANSPOSE_WORDS:
            yield Proposal(word, "keyword", WORDS[word], word, order=0)


def _files(analysis: Analysis, before: list[Token]) -> Iterator[Proposal]:
    if before[0].text != "import":
        return
    for path in sorted(LIBRARY.glob("*.slot")):
        yield Proposal(f"std/{path.name}", "file", "the library", f"std/{path.name}")
    folder = analysis.source.folder
    if folder is not None:
        for path in sorted(Path(folder).glob("*.slot"))[:MOST]:
            yield Proposal(f"./{path.name}", "file", "beside this file", f"./{path.name}")


def _before(text: str, offset: int) -> list[Token]:
    """The tokens of the statement that is being written, up to a place."""
    start = text.rfind("\n", 0, offset) + 1
    found = list(tokens(text, start, offset))
    # a statement goes on in the next line while a bracket is open: some lines back there is one that ends it
    for _ in range(20):
        if start == 0:
            break
        above = text.rfind("\n", 0, start - 1) + 1
        longer = list(tokens(text, above, offset))
        if not _open([t for t in longer if t.end <= start]):
            break
        start, found = above, longer
    return found


def _open(before: list[Token]) -> bool:
    """Whether some bracket is open."""
    depth = 0
    for token in before:
        if token.kind == "sign":
            depth += (token.text in "([") - (token.text in ")]")
    return depth > 0


def _loops(before: list[Token]) -> Iterator[str]:
    for token, following in pairwise(before):
        if token.kind == "name" and following.text == "<":
            yield token.text


def signature(analysis: Analysis, offset: int) -> Signature | None:
    """The call around a place, with the argument that is being written."""
    before = _before(analysis.source.text, offset)
    depth, active = 0, 0
    for at in range(len(before) - 1, 0, -1):
        text = before[at].text if before[at].kind == "sign" else ""
        if text in (")", "]"):
            depth += 1
        elif text in ("(", "["):
            if depth:
                depth -= 1
            elif text == "(":
                return _called(analysis, before[:at], active)
            else:
                active = 0
        elif text == "," and not depth:
            active += 1
    return None


_BUILT_IN: Mapping[str, tuple[str, ...]] = {
    "permute": ("value", "permutation"),
    "min": ("a", "b"),
    "max": ("a", "b"),
    "log2": ("n",),
    "ones": ("n", "m"),
    "zeros": ("n", "m"),
    "eye": ("n",),
    "bsgs": ("n",),
    "doubling": ("k",),
}


def _called(analysis: Analysis, before: list[Token], active: int) -> Signature | None:
    name = before[-1].text if before else ""
    if len(before) > 2 and before[-2].text == ".":
        name = f"{before[-3].text}.{name}"
    defined = analysis.definitions.get(name)
    if defined is not None:
        parameters = tuple(p.name for p in defined.syntax.parameters)
        text = comment_above(defined.syntax.head.source.text, defined.syntax.span.start)
    elif name in _BUILT_IN:
        parameters, text = _BUILT_IN[name], WORDS[name]
    else:
        return None
    return Signature(f"{name}({', '.join(parameters)})", parameters, min(active, len(parameters) - 1), text)


def comment_above(text: str, start: int) -> str:
    """The comment lines right above a statement."""
    lines: list[str] = []
    for line in reversed(text[:start].split("\n")[:-1]):
        match = re.match(r"\s*#\s?(.*)", line)
        if match is None:
            break
        lines.append(match[1])
    return "\n".join(reversed(lines))
