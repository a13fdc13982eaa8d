"""The pages of docs/, which messages and ``--help`` name: beside this file in a wheel, in docs/ in a checkout."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from slotlang.diagnostics import closest, error

_FENCE = re.compile(r"^(```+).*?^\1$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#+) (.*)$", re.MULTILINE)
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


@dataclass(frozen=True)
class Heading:
    """A heading of a page: how deep, its words, the anchor that links name, and where its line starts."""

    level: int
    words: str
    anchor: str
    start: int


@dataclass(frozen=True)
class Page:
    """A page. ``name``: of its file, without ``.md``. ``text``: Markdown, whole or one section."""

    name: str
    text: str

    @property
    def file(self) -> str:
        """What messages call it."""
        return f"docs/{self.name}.md"

    @property
    def title(self) -> str:
        """The first heading."""
        return self.headings[0].words if self.headings else self.name

    @cached_property
    def headings(self) -> tuple[Heading, ...]:
        """All headings, in order; their anchors are those that GitHub makes."""
        return tuple(self._headings())

    def _headings(self) -> Iterator[Heading]:
        # in programs and shells # starts a comment
        prose = _FENCE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), self.text)
        for match in _HEADING.finditer(prose):
            words = re.sub(r"[`*]", "", _LINK.sub(r"\1", match[2])).strip()
            anchor = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
            yield Heading(len(match[1]), words, anchor, match.start())

    def section(self, anchor: str) -> Page:
        """The part below the heading of this anchor, with the heading, up to the next one that is not deeper. Raises
        SL005."""
        for number, heading in enumerate(self.headings):
            if heading.anchor == anchor:
                after = (other.start for other in self.headings[number + 1 :] if other.level <= heading.level)
                return Page(self.name, f"{self.text[heading.start : next(after, len(self.text))].rstrip()}\n")
        hint = closest(anchor, [heading.anchor for heading in self.headings])
        message = f"{self.file} has no section '{anchor:.60}'"
        raise error("SL005", message, hint=hint or f"slotlang docs {self.name} shows all of it")


def _folder() -> Path:
    """Where the pages are. Raises SL001 where they are not installed."""
    package = Path(__file__).resolve().parent
    for folder in (package, package.parent.parent / "docs"):
        if any(folder.glob("*.md")):
            return folder
    raise error("SL001", "the pages of docs/ are not there", file=str(package), hint="install slotlang again")


def page_names() -> list[str]:
    """The names of all pages, sorted. Raises SL001."""
    return sorted(path.stem for path in _folder().glob("*.md"))


def page(name: str) -> Page:
    """A page by its name. Raises SL001 and SL005."""
    known = page_names()
    if name not in known:
        hint = closest(name, known) or "slotlang docs lists them"
        raise error("SL005", f"there is no page '{name:.60}'", hint=hint)
    return Page(name, (_folder() / f"{name}.md").read_text(encoding="utf-8"))


def found(words: str) -> Page:
    """What messages point to: ``proof``, ``docs/proof.md``, ``docs/proof.md#what-runs``. Raises SL001 and SL005."""
    file, _, anchor = words.partition("#")
    whole = page(file.removeprefix("docs/").removesuffix(".md"))
    return whole.section(anchor) if anchor else whole
