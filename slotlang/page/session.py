"""One view of a file: its text, what is known of it, and the processes that look at it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slotlang.editor.measures import Measures
from slotlang.editor.verdicts import Verdict
from slotlang.editor.workers import Worker
from slotlang.page.imports import Imports
from slotlang.page.knobs import Knobs

__all__ = ["NoSession", "Session", "Viewed"]

PRELOADED = "slotlang.page.preloaded"
"""What workers of a page have before they start: importing it takes longer than looking at a small text."""


class NoSession(Exception):
    """What is asked for a view that there is not."""


@dataclass(frozen=True)
class Viewed:
    """The file that is shown, the program in it that is meant, or all, and sizes in place of those in the text.
    ``puzzle``: the puzzle that the file is of; its file alone is written, when somebody asks for that."""

    path: Path
    program: str | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    puzzle: str | None = None

    @property
    def folder(self) -> str:
        """Where its imports look for files."""
        return str(self.path.parent)


@dataclass(eq=False)
class Session:
    """One view: its text, what is known of it, and ``version``, which grows when one of them changes. ``base``: the
    file's text that this one was made from; ``edited``: the text is not the file's. ``number``: of the text; it grows
    with every text, and with every change of what a text imports. ``read``: the number of what ``data`` is about.
    ``imports``: the files that the text was found to import. ``knobs``: what was set beside the text. ``known``: what
    the engine has found of it. ``search``: the last one for the program's shape, with its ``state``: ``running``,
    ``done``, ``stopped`` or ``failed``. ``judged``: of a puzzle's text, what keeps its goal from being met; None until
    that is known."""

    key: str
    text: str
    base: str = ""
    edited: bool = False
    version: int = 0
    number: int = 0
    read: int = 0
    imports: Imports = field(default_factory=Imports)
    knobs: Knobs = field(default_factory=Knobs)
    known: list[Verdict | Measures] = field(default_factory=list)
    search: dict[str, Any] | None = None
    data: dict[str, Any] | None = None
    problem: str = ""
    worker: Worker = field(default_factory=lambda: Worker("page", PRELOADED))
    drawer: Worker = field(default_factory=lambda: Worker("page's drawer", PRELOADED))
    drawing: asyncio.Lock = field(default_factory=asyncio.Lock)
    asker: Worker = field(default_factory=lambda: Worker("page's asker", PRELOADED))
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)
    searcher: Worker = field(default_factory=lambda: Worker("page's search", PRELOADED))
    judge: Worker = field(default_factory=lambda: Worker("page's judge", PRELOADED))
    judging: asyncio.Task[None] | None = None
    judged: dict[str, Any] | None = None
    job: asyncio.Task[None] | None = None
    searching: asyncio.Task[None] | None = None
    seen: float = field(default_factory=time.monotonic)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def plain(self) -> str:
        """The text as the compiler and the page's editor have it."""
        return self.text.replace("\r\n", "\n")

    @property
    def current(self) -> bool:
        """Whether ``data`` is about the text as it stands, and not about the one before."""
        return self.read == self.number

    def changed(self) -> None:
        """Something is new."""
        self.version += 1
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def newer(self, after: int) -> None:
        """Wait until something is newer than ``after``."""
        while self.version <= after:
            await self._news.wait()

    def state(self, notice: str, after: int) -> dict[str, Any]:
        """What a page needs to know; the data only where something is newer than ``after``."""
        said = " ".join(filter(None, [notice, self.problem]))
        new = self.version > after
        return {
            "version": self.version,
            "text": self.text,
            "edited": self.edited,
            "notice": said,
            "read": self.read,
            "current": self.current,
            "knobs": {"sizes": dict(self.knobs.sizes), "precision": self.knobs.precision},
            "search": self.search,
            "judged": self.judged,
            "data": self.data if new else None,
        }

    def end(self) -> None:
        """End what is computed for it."""
        for job in (self.job, self.searching, self.judging):
            if job is not None:
                job.cancel()
        for worker in (self.worker, self.drawer, self.asker, self.searcher, self.judge):
            worker.end()
