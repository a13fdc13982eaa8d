"""HTML from elements: every text is escaped, and all drawings share the page's colours.

A notebook is light or dark by its own theme and not by the system's, so a drawing brings its paper along: light, and
dark where a known host says that it is dark.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from itertools import count
from pathlib import Path

from slotlang import page
from slotlang_runtime.amounts import count_of

__all__ = ["MAX_BYTES", "Html", "badge", "card", "code", "details", "lines", "palettes", "picture", "table", "tag"]

MAX_BYTES = 500_000
"""Bytes of a drawing, at most: a notebook's file keeps all of them."""
MAX_ROWS = 200
MAX_TEXT = 20_000
"""Characters of a program or a module that are shown."""

DARK_HOSTS = (
    'body[data-jp-theme-light="false"]',
    "body.vscode-dark",
    "body.vscode-high-contrast",
    "html[theme=dark]",
    "html[data-theme=dark]",
    "body.dark-theme",
    "[data-md-color-scheme=slate]",
)
"""Jupyter, VS Code, Colab, sites of Sphinx, marimo, sites of Zensical and MkDocs."""

# Jupyter's own rules for tables, of two classes and an element, are not to win: hence three times the class
_RULES = """
.slotlang { background: var(--paper); color: var(--ink); font: 14px/1.45 system-ui, sans-serif; padding: .6rem .8rem;
  border: 1px solid var(--line); border-radius: 6px; max-width: 100%; overflow-x: auto; box-sizing: border-box; }
.slotlang p { margin: .2rem 0; }
.slotlang .hint, .slotlang caption { color: var(--pale); font-size: .875rem; text-align: left; }
.slotlang code, .slotlang pre { font: 13px/1.4 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
  background: none; color: inherit; border: 0; padding: 0; margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.slotlang pre.text { white-space: pre; overflow: auto; max-height: 44rem; padding: .3rem 0; }
.slotlang table { border-collapse: collapse; font-size: .875rem; margin: .3rem 0; color: inherit; }
.slotlang.slotlang.slotlang :is(th, td) { text-align: left; vertical-align: top; padding: .15rem .9rem .15rem 0;
  background: none; border: 0; border-bottom: 1px solid var(--line); white-space: normal; max-width: 44rem; }
.slotlang.slotlang.slotlang .number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.slotlang summary { cursor: pointer; color: var(--pale); }
.slotlang .proved { color: var(--right); } .slotlang .refuted, .slotlang .error { color: var(--wrong); }
.slotlang .unknown, .slotlang .tested, .slotlang .warning { color: var(--unsure); }
.slotlang .comment { color: var(--pale); } .slotlang .keyword { color: var(--word); }
.slotlang .digits { color: var(--figure); } .slotlang .string { color: var(--right); }
.slotlang .chosen { background: var(--mark); }
.slotlang svg { max-width: 100%; height: auto; display: block; margin: .3rem 0; }
"""
_DARK_PICTURES = "filter: invert(.88) hue-rotate(180deg);"
"""Pictures are drawn on white; hues stay what they are, so that what is wrong stays red."""


class Html(str):
    """A text that is HTML already."""

    __slots__ = ()


def tag(name: str, *children: str, **attributes: str) -> Html:
    """An element. Children that are not ``Html`` are escaped, and so are attributes; ``class_`` is ``class``."""
    said = "".join(f' {key.rstrip("_")}="{escape(value)}"' for key, value in attributes.items() if value)
    return Html(f"<{name}{said}>{''.join(map(_escaped, children))}</{name}>")


def _escaped(text: str) -> str:
    return text if isinstance(text, Html) else escape(text)


def card(*children: str) -> str:
    """A whole drawing."""
    return tag("div", tag("style", Html(_style())), *children, class_="slotlang")


def badge(status: str) -> Html:
    """A verdict in its colour."""
    return tag("b", status, class_=status)


def code(text: str) -> Html:
    """A piece of a program."""
    return tag("code", text)


def lines(texts: Iterable[str]) -> Html:
    """Lines as they are printed in a terminal."""
    return tag("pre", "\n".join(texts))


def details(summary: str, *children: str) -> Html:
    """What is shown when somebody asks for it."""
    return tag("details", tag("summary", summary), *children)


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    numbers: Sequence[int] = (),
    caption: str = "",
    chosen: int = -1,
) -> Html:
    """A table with at most ``MAX_ROWS`` rows; ``numbers``: columns that hold some; ``chosen``: one that stands out."""
    above = [tag("caption", caption)] if caption else []
    if any(heads):
        head = tag(
            "tr", *(tag("th", h, scope="col", class_="number" if n in numbers else "") for n, h in enumerate(heads))
        )
        above.append(tag("thead", head))
    body = [
        tag(
            "tr",
            *(tag("td", cell, class_="number" if n in numbers else "") for n, cell in enumerate(row)),
            class_="chosen" if number == chosen else "",
        )
        for number, row in enumerate(rows[:MAX_ROWS])
    ]
    if len(rows) > MAX_ROWS:
        body.append(tag("tr", tag("td", f"and {len(rows) - MAX_ROWS:,} more", colspan=str(len(rows[0])))))
    return tag("table", *above, tag("tbody", *body))


_NAME = re.compile(r'<title id="(slots-[^"]*)-title">')
_USES = re.compile(r'((?:\bid|aria-labelledby)="|url\(#)([^")]*)')
_number = count(1)


def picture(svg: str) -> Html:
    """A drawing of ``slotlang.show`` inside of HTML. Its ids get a number: one drawing may stand in a notebook twice,
    and a browser takes no pattern from a part of it that is folded."""
    if len(svg) > MAX_BYTES:
        return tag(
            "p", f"the picture has {count_of(len(svg), 'byte')}, which is too much for a notebook", class_="hint"
        )
    found = _NAME.search(svg)
    if found is None:
        return Html(svg)
    name, new = found[1], f"{found[1]}.{next(_number)}"
    return Html(_USES.sub(lambda use: use[1] + use[2].replace(name, new), svg))


@cache
def palettes() -> tuple[dict[str, str], dict[str, str]]:
    """The page's colours by name: light, dark."""
    css = (Path(page.__file__).parent / "page.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root \{([^}]*)\}", css)
    light, dark = (dict(re.findall(r"--(\w+): (#\w+)", block)) for block in blocks)
    return light, dark


@cache
def _style() -> str:
    # the page's colour of numbers in a program has the name of a class of cells here
    light, dark = ("".join(f"--{name.replace('number', 'figure')}: {c}; " for name, c in p.items()) for p in palettes())
    hosts = ", ".join(f"{host} .slotlang" for host in DARK_HOSTS)
    pictures = ", ".join(f"{host} .slotlang svg" for host in DARK_HOSTS)
    rules = f".slotlang {{ {light}}}\n{hosts} {{ {dark}}}\n{pictures} {{ {_DARK_PICTURES} }}{_RULES}"
    return " ".join(rules.split())
