"""The files that editors colour and complete with, made from the words of the language.

``python -m slotlang.editor.grammars`` writes them anew below ``editors/vscode``; a test compares.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from slotlang.editor.vocabulary import SNIPPETS, WORDS
from slotlang.words import (
    CONSTANT_WORDS,
    EXPRESSION_WORDS,
    HOW_NAMES,
    INTEGER_FUNCTIONS,
    PARAMETER_WORDS,
    PART_WORDS,
    SOFT_START,
    SOFT_WORDS,
    STATEMENT_WORDS,
    TRANSPOSE_WORDS,
)

__all__ = ["files", "snippets", "textmate"]

FOLDER = Path(__file__).resolve().parents[2] / "editors/vscode"


def _any(words: Iterable[str]) -> str:
    return "|".join(sorted(words, key=lambda word: (-len(word), word)))


def textmate() -> dict[str, object]:
    """The TextMate grammar: ``syntaxes/slot.tmLanguage.json``."""
    operators = set(EXPRESSION_WORDS) - {"sum", "permute", "inverse", "slot", "cycles", *PART_WORDS}
    # the groups are for the parser: here they would be captures
    soft = re.sub(r"\((\w+)\)", r"\1", SOFT_START.pattern)
    functions = _any((*CONSTANT_WORDS, *INTEGER_FUNCTIONS, "norm"))
    patterns: list[dict[str, object]] = [
        {"name": "comment.line.number-sign.slot", "match": "#.*$"},
        {"name": "string.quoted.double.slot", "match": r'"[^"\n]*"'},
        {
            "match": r"^\s*(program)\s+([A-Za-z_]\w*)",
            "captures": {"1": {"name": "keyword.control.slot"}, "2": {"name": "entity.name.namespace.slot"}},
        },
        {
            "match": r"^\s*(def)\s+([A-Za-z_]\w*)",
            "captures": {"1": {"name": "keyword.control.slot"}, "2": {"name": "entity.name.function.slot"}},
        },
        {"name": "keyword.control.slot", "match": rf"^\s*(?:{soft})"},
        {"name": "keyword.control.slot", "match": r"^\s*end(?=\s*(?:#|$))"},
        {"name": "keyword.control.slot", "match": rf"(?<![\w.])(?:{_any(STATEMENT_WORDS)})(?!\w)"},
        {
            "match": rf"(?<!\w)(by)\s+({_any(HOW_NAMES)})(?!\w)",
            "captures": {"1": {"name": "keyword.operator.word.slot"}, "2": {"name": "support.function.how.slot"}},
        },
        {"name": "keyword.operator.word.slot", "match": rf"(?<![\w.])(?:{_any({*operators, *SOFT_WORDS})})(?!\w)"},
        {"name": "keyword.operator.word.slot", "match": r'(?<=")\s*as(?!\w)'},
        {
            "name": "support.function.slot",
            "match": rf"(?<![\w.])(?:{_any(('sum', 'permute', 'inverse', 'cycles', *PART_WORDS))})(?!\w)",
        },
        {"name": "support.function.slot", "match": rf"(?<![\w.])(?:{functions})(?=\s*\()"},
        {"name": "support.type.property-name.slot", "match": rf"(?<!\w)(?:{_any(PARAMETER_WORDS)})(?=[ \t]+[0-9])"},
        {"name": "support.function.transpose.slot", "match": rf"(?<=\.)(?:{_any(TRANSPOSE_WORDS)})(?!\w)"},
        {"name": "variable.language.slot", "match": r"(?<![\w.])slots?(?!\w)"},
        {"name": "constant.numeric.slot", "match": r"(?<!\w)[0-9]+(?:\.[0-9]+)?i?(?!\w)"},
        {"name": "entity.name.function.call.slot", "match": r"[A-Za-z_]\w*(?=\s*\()"},
        {
            "match": r"^\s*([A-Za-z_]\w*)(?=\s*(?:\[[^\]=\n]*\])?\s*=(?!=))",
            "captures": {"1": {"name": "variable.other.definition.slot"}},
        },
        {"name": "keyword.operator.slot", "match": r"->|==|!=|<=|>=|<<|>>|//|\*\*|[-+*/%@^=<>]"},
    ]
    return {
        "$schema": "https://raw.githubusercontent.com/martinring/tmlanguage/master/tmlanguage.json",
        "name": "slot",
        "scopeName": "source.slot",
        "fileTypes": ["slot"],
        "patterns": patterns,
    }


def snippets() -> dict[str, object]:
    """``snippets/slot.json``."""
    return {
        word: {"prefix": word, "body": text.split("\n"), "description": WORDS[word].replace("`", "")}
        for word, text in SNIPPETS.items()
    }


def files() -> dict[Path, str]:
    """The files with their texts."""
    made = {"syntaxes/slot.tmLanguage.json": textmate(), "snippets/slot.json": snippets()}
    return {FOLDER / name: json.dumps(value, indent=2, ensure_ascii=False) + "\n" for name, value in made.items()}


if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
