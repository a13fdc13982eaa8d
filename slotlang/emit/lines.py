"""Lines of emitted Python: nothing of a program's text can become code, and no line grows too long."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

WIDTH = 110


def harmless(text: str) -> str:
    """Program text on one line, printable, without backslashes: safe in a comment or, with quotes replaced,
    in a docstring."""
    flat = " ".join(text.split())
    return "".join(ch if ch.isprintable() and ch != "\\" else "?" for ch in flat)


def comment(text: str, indent: str = "") -> list[str]:
    """Program text as comment lines."""
    return _wrapped(harmless(text), f"{indent}# ", f"{indent}#   ")


def docstring(text: str, indent: str = "    ") -> list[str]:
    """Program text as a docstring."""
    lines = _wrapped(harmless(text).replace('"', "'"), f'{indent}"""', indent, WIDTH - 3)
    return [*lines[:-1], f'{lines[-1]}"""']


def paragraph(text: str) -> list[str]:
    """Lines of a module's docstring."""
    return _wrapped(harmless(text).replace('"', "'"), "", "")


def _wrapped(text: str, first: str, rest: str, width: int = WIDTH) -> list[str]:
    return textwrap.wrap(text, width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False) or [
        first.rstrip()
    ]


def string(text: str) -> str:
    """A Python string literal in double quotes."""
    quoted = repr(text)
    return f'"{quoted[1:-1]}"' if quoted[0] == "'" and '"' not in text else quoted


def fitted(indent: str, head: str, expression: str) -> list[str]:
    """``head`` and an expression, in parentheses over several lines when one is too short. Spaces in the
    expression stand between tokens."""
    line = f"{indent}{head}{expression}"
    if len(line) <= WIDTH:
        return [line]
    inner = f"{indent}    "
    body = textwrap.wrap(
        expression,
        WIDTH,
        initial_indent=inner,
        subsequent_indent=inner,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [f"{indent}{head}(", *body, f"{indent})"]


def listed(head: str, items: Iterable[str], brackets: str, indent: str = "", tail: str = "") -> list[str]:
    """A bracketed list, over several lines when one is too short."""
    items = list(items)
    line = f"{indent}{head}{brackets[0]}{', '.join(items)}{brackets[1]}{tail}"
    if len(line) <= WIDTH:
        return [line]
    inner = f"{indent}    "
    body = textwrap.wrap(
        ", ".join(items) + ",",
        WIDTH,
        initial_indent=inner,
        subsequent_indent=inner,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [f"{indent}{head}{brackets[0]}", *body, f"{indent}{brackets[1]}{tail}"]


def long_string(head: str, text: str, width: int = 100) -> list[str]:
    """``head("...")``, the string in pieces of a line each."""
    pieces = [text[i : i + width] for i in range(0, len(text), width)] or [""]
    if len(pieces) == 1 and len(head) + len(text) + 4 <= WIDTH:
        return [f'{head}("{text}")']
    return [f"{head}(", *(f'    "{piece}"' for piece in pieces), ")"]


def nested_loops(variables: Sequence[str], ranges: Sequence[str], indent: str, most: int = 6) -> tuple[list[str], str]:
    """``for`` lines with the indentation of their body. Python nests at most 20 blocks, so more loops become one."""
    if len(variables) > most:
        head = f"for {', '.join(variables)} in np.ndindex"
        return listed(head, ranges, "()", indent, ":"), f"{indent}    "
    lines = []
    for variable, size in zip(variables, ranges, strict=True):
        lines.append(f"{indent}for {variable} in range({size}):")
        indent += "    "
    return lines, indent
