"""Markdown on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from markdown_it.token import Token
from rich.markdown import Markdown


class TerminalMarkdown(Markdown):
    """A page as rich shows it, but that links to other files are their words alone, and pictures what they show: from
    a terminal neither can be followed. Addresses of the web stand behind their words."""

    def __init__(self, text: str) -> None:
        # a theme of the terminal's own colours, without a background
        super().__init__(text, code_theme="ansi_dark", hyperlinks=False)
        for token in self.parsed:
            if token.children:
                token.children = list(_in_words(token.children))


def _in_words(tokens: Sequence[Token]) -> Iterator[Token]:
    """The tokens without links to files, and with words in the place of pictures."""
    left_out = False
    for token in tokens:
        match token.type:
            case "link_open":
                left_out = not urlsplit(str(token.attrs.get("href", ""))).scheme
                if not left_out:
                    yield token
            case "link_close":
                if not left_out:
                    yield token
                left_out = False
            case "image":
                yield Token("text", "", 0, content=f"[picture: {token.content}]")
            case _:
                yield token
