"""The words of the grammar are known wherever words are listed: to colours, hovers, TextMate grammar and Pygments."""

from __future__ import annotations

import re

import pytest
from repository import ROOT

from slotlang.editor.analysis import analyse
from slotlang.editor.completion import completions
from slotlang.editor.tokens import tokens
from slotlang.editor.vocabulary import SNIPPETS, WORDS
from slotlang.words import HOW_NAMES, INTEGER_FUNCTIONS, PARAMETER_WORDS, SOFT_FORMS, STATEMENT_WORDS, TRANSPOSE_WORDS

GRAMMAR = (ROOT / "grammar/slot.lark").read_text()


def grammar_words() -> set[str]:
    """Every word that stands in the grammar between quotes or in a terminal's pattern."""
    rules = re.sub(r"//[^\n]*", "", GRAMMAR)
    found = set(re.findall(r'"([a-z]+)"', rules))
    for pattern in re.findall(r"^_?[A-Z]+(?:\.\d)?: /(.*)/$", rules, re.MULTILINE):
        found |= {word for word in re.match(r"\(?([a-z|]*)", pattern)[1].split("|") if word}  # type: ignore[index]
    return found


def test_the_grammar_has_words() -> None:
    assert {"program", "prove", "sum", "if", "inverse", "conj", "eye", "def", "import", "end", "as"} <= grammar_words()
    assert set(STATEMENT_WORDS) | set(SOFT_FORMS) <= grammar_words()


def every_word() -> set[str]:
    more = (HOW_NAMES, INTEGER_FUNCTIONS, PARAMETER_WORDS, TRANSPOSE_WORDS)
    return grammar_words().union(*more)


@pytest.mark.parametrize("word", sorted(every_word()))
def test_words_are_explained(word: str) -> None:
    assert len(WORDS[word]) > 10


def test_nothing_else_is_explained() -> None:
    assert set(WORDS) - every_word() == {"slot", "slots"}


CONTEXTS = {
    "by": "Y = sum q < n {}: X",
    "as": 'import "std/layouts.slot" {} l',
    "T": "prove y == A.{} @ x",
    "mT": "prove y == A.{} @ x",
    "end": "{}",
    "bound": "{} |x| <= 8",
    "norm": "bound {}(x[:, t]) <= 8",
    "parameters": "{} degree 8192",
    "tensor": "{} u = A @ x",
    "def": "{} f(a) = a",
    "import": '{} "std/layouts.slot"',
    **dict.fromkeys(PARAMETER_WORDS, "parameters {} 60"),
    **dict.fromkeys(HOW_NAMES, "Y = sum q < n by {}: X"),
    **dict.fromkeys(INTEGER_FUNCTIONS, "let a = {}(n, 2)"),
    **dict.fromkeys(("ones", "eye", "zeros"), "prove y == {}(n, n) @ x"),
    **dict.fromkeys(STATEMENT_WORDS, "{} a"),
}


@pytest.mark.parametrize("word", sorted(every_word()))
def test_words_are_coloured(word: str) -> None:
    text = CONTEXTS.get(word, "Y = a {} b").format(word)
    assert [t.text for t in tokens(text) if t.kind == "keyword" and t.text == word] == [word]


def test_words_that_are_names_here_have_no_colour() -> None:
    text = "bound = x\nnorm[q < 2] = x\ntensor = bound\nY = tree + keys + as + degree + T\nend = 2\n"
    assert not [t for t in tokens(text) if t.kind == "keyword"]


def test_every_statement_is_proposed() -> None:
    _, found = completions(analyse("\n"), 0)
    assert {p.label for p in found} >= {*STATEMENT_WORDS, *SOFT_FORMS}


@pytest.mark.parametrize("word", sorted(SNIPPETS))
def test_snippets_are_statements(word: str) -> None:
    """What a snippet inserts, with what stands in its places, parses."""
    from slotlang.syntax.tables import parser

    text = re.sub(r"\$\{\d+:([^}]*)\}", r"\1", SNIPPETS[word])
    parser().parse(f"Z = {text}" if word in ("sum", "permute") else text)
