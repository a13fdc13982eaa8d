"""The words of the grammar are known wherever words are listed: to colours, hovers, TextMate grammar and Pygments."""

from __future__ import annotations

import json
import re
import tomllib
from importlib import import_module

import pytest
from pygments.token import Token
from repository import ROOT

from slotlang.editor.analysis import analyse
from slotlang.editor.completion import completions
from slotlang.editor.grammars import files, textmate
from slotlang.editor.outline import MODIFIERS
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


def scopes(line: str) -> list[tuple[str, str]]:
    """Parts of a line with their scopes, as an editor finds them: the first match, of several the first pattern's."""
    found, at = [], 0
    while at <= len(line):
        matches = []
        for number, pattern in enumerate(textmate()["patterns"]):  # type: ignore[arg-type, var-annotated]
            match = re.compile(pattern["match"]).search(line, at)
            if match is not None and match.end() > match.start():
                matches.append((match.start(), number, match, pattern))
        if not matches:
            break
        _, _, match, pattern = min(matches, key=lambda entry: entry[:2])
        if "name" in pattern:
            found.append((match[0].strip(), pattern["name"]))
        found += [(match[int(group)], scope["name"]) for group, scope in pattern.get("captures", {}).items()]
        at = match.end()
    return found


@pytest.mark.parametrize("word", sorted(every_word()))
def test_the_textmate_grammar_knows_every_word(word: str) -> None:
    line = CONTEXTS.get(word, "Y = a {} b").format(word)
    (scope,) = [scope for part, scope in scopes(line) if part == word]
    assert scope.split(".")[0] in ("keyword", "support", "variable"), scope


def test_files_of_the_extension_are_made_from_the_words() -> None:
    for path, text in files().items():
        assert path.read_text(encoding="utf-8") == text, "python -m slotlang.editor.grammars writes it anew"


def test_the_extension_names_its_files() -> None:
    folder = ROOT / "editors/vscode"
    package = json.loads((folder / "package.json").read_text())
    given = package["contributes"]
    paths = [given["languages"][0]["configuration"], given["grammars"][0]["path"], given["snippets"][0]["path"]]
    assert all((folder / path).is_file() for path in paths)
    assert given["grammars"][0]["scopeName"] == textmate()["scopeName"]
    assert {m["id"] for m in given["semanticTokenModifiers"]} <= set(MODIFIERS)
    configuration = json.loads((folder / "language-configuration.json").read_text())
    assert configuration["comments"]["lineComment"] == "#"
    assert "slotlang/status" in (folder / "src/extension.js").read_text()


def test_pygments() -> None:
    module, _, name = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][
        "pygments.lexers"
    ]["slot"].partition(":")
    lexer = getattr(import_module(module), name)(ensurenl=False, stripnl=False)
    for path in [*sorted((ROOT / "programs").rglob("*.slot"))[::12], ROOT / "slotlang/std/schedules.slot"]:
        text = path.read_text()
        parts = list(lexer.get_tokens(text))
        assert "".join(part for _, part in parts) == text
        keywords = {part for kind, part in parts if kind in Token.Keyword}
        assert keywords & {"program", "def"}
    hostile = '\0"𝔖 «(((\n' * 20
    assert "".join(part for _, part in lexer.get_tokens(hostile)) == hostile
