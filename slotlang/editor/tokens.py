"""The words and signs of a text, broken or not: what colours and completions rest on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from slotlang.words import (
    CONSTANT_WORDS,
    EXPRESSION_WORDS,
    HOW_NAMES,
    INTEGER_FUNCTIONS,
    PARAMETER_WORDS,
    SOFT_FORMS,
    SOFT_START,
    SOFT_WORDS,
    STATEMENT_WORDS,
    TRANSPOSE_WORDS,
)

Kind: TypeAlias = Literal["comment", "string", "number", "keyword", "name", "sign"]

_TOKEN = re.compile(
    r"(?P<comment>\#[^\n]*)"
    r'|(?P<string>"[^"\n]*"?)'
    r"|(?P<number>[0-9]+(?:\.[0-9]+)?i?(?![A-Za-z_0-9]))"
    r"|(?P<name>[A-Za-z_][A-Za-z_0-9]*)"
    r"|(?P<sign>->|==|!=|<=|>=|<<|>>|//|\*\*|[-+*/%@^=<>()\[\],:.|])"
)

_ENDS = re.compile(r"[ \t]*(?:#|$)", re.MULTILINE)

KEYWORDS = frozenset([*STATEMENT_WORDS, *EXPRESSION_WORDS, *SOFT_WORDS]) - {"slot"}
"""Words that are always the language's own."""
PUNCTUATION = frozenset("()[],.:|")
"""Signs that compute nothing."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word or a sign, from ``start`` to ``end``; ``first``: the first one of a line."""

    kind: Kind
    start: int
    end: int
    text: str
    first: bool


def tokens(text: str, start: int = 0, end: int | None = None) -> Iterator[Token]:
    """The tokens of a text, or of the part from the line start ``start`` to ``end``. What is no token is left out."""
    last_line = -1
    before = ""
    line_end = start
    for match in _TOKEN.finditer(text, start, len(text) if end is None else end):
        kind, word = match.lastgroup, match.group()
        first = match.start() >= line_end and last_line != line_end
        if first:
            last_line = line_end
            new = text.find("\n", match.start())
            line_end = len(text) if new < 0 else new + 1
        found: Kind = kind  # type: ignore[assignment]
        if kind == "name" and _is_keyword(text, match.end(), word, first, before):
            found = "keyword"
        yield Token(found, match.start(), match.end(), word, first)
        before = word


def _is_keyword(text: str, end: int, word: str, first: bool, before: str) -> bool:
    """Whether a word is the language's own where it stands."""
    if word in KEYWORDS:
        return True
    if first and word == "end":
        return _ENDS.match(text, end) is not None
    if first and word in SOFT_FORMS:
        return SOFT_START.match(text, end - len(word)) is not None
    if word in HOW_NAMES:
        return before == "by"
    if word in CONSTANT_WORDS or word in INTEGER_FUNCTIONS or word == "norm":
        return text[end : end + 20].lstrip(" \t").startswith("(")
    if word == "as":
        return before.startswith('"')
    if word in TRANSPOSE_WORDS:
        return before == "."
    return word in PARAMETER_WORDS and text[text.rfind("\n", 0, end) + 1 : end].lstrip().startswith("parameters")
