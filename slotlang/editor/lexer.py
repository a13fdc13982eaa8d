"""A Pygments lexer: coloured programs in Sphinx, MkDocs, LaTeX and terminals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pygments.lexer import Lexer
from pygments.token import Comment, Keyword, Name, Number, Operator, Punctuation, String, Text

from slotlang.editor.tokens import PUNCTUATION, tokens

__all__ = ["SlotLexer"]

_KINDS: dict[str, Any] = {
    "comment": Comment.Single,
    "string": String.Double,
    "number": Number,
    "keyword": Keyword,
    "name": Name,
    "sign": Operator,
}


class SlotLexer(Lexer):  # type: ignore[misc]
    """For ``.slot`` programs."""

    name = "slot"
    aliases = ("slot", "slotlang")
    filenames = ("*.slot",)

    def get_tokens_unprocessed(self, text: str) -> Iterator[tuple[int, Any, str]]:
        """Every character, in order, as a part of some token."""
        done = 0
        for token in tokens(text):
            if token.start > done:
                yield done, Text, text[done : token.start]
            kind = _KINDS[token.kind]
            if token.text in PUNCTUATION:
                kind = Punctuation
            elif token.text in ("slot", "slots") and token.kind == "name":
                kind = Name.Builtin.Pseudo
            yield token.start, kind, token.text
            done = token.end
        if done < len(text):
            yield done, Text, text[done:]
