"""Views of a file, each with the text that somebody types in it, and the file as it changes."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slotlang.diagnostics import SlotError
from slotlang.editor.workers import Ended, Failed, Worker
from slotlang.page.imports import Imports, imports_of
from slotlang.page.parts import Part, merged, one_value, parts
from slotlang.source import Source
from slotlang.syntax.program_file import read_program

__all__ = ["NoSession", "Session", "Sessions", "Viewed"]

logger = logging.getLogger(__name__)

LOOK = 0.5
"""Seconds between two looks at the file."""
MOST_SESSIONS = 8
"""Views that are served at once: the one that asked least lately makes way."""
IDLE = 90.0
"""Seconds without a question after which a view's process is ended."""
MOST_PROVED = 300.0
"""Seconds after which a text is given up."""
DRAWN = 1 << 16
"""Slots that are drawn of every text; other values are drawn when they are asked for."""


class NoSession(Exception):
    """What is asked for a view that there is not."""


@dataclass(frozen=True)
class Viewed:
    """The file that is shown, the program in it that is meant, or all, and sizes in place of those in the text."""

    path: Path
    program: str | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Where its imports look for files."""
        return str(self.path.parent)


@dataclass(eq=False)
class Session:
    """One view: its text, what is known of it, and ``version``, which grows when one of them changes. ``edited``: the
    text is not the file's. ``number``: of the text; it grows with every text, and with every change of what a text
    imports. ``read``: the number of what ``data`` is about. ``imports``: the files that the text
    was found to import."""

    key: str
    text: str
    edited: bool = False
    version: int = 0
    number: int = 0
    read: int = 0
    imports: Imports = field(default_factory=Imports)
    data: dict[str, Any] | None = None
    problem: str = ""
    worker: Worker = field(default_factory=lambda: Worker("page"))
    drawer: Worker = field(default_factory=lambda: Worker("page's drawer"))
    drawing: asyncio.Lock = field(default_factory=asyncio.Lock)
    job: asyncio.Task[None] | None = None
    seen: float = field(default_factory=time.monotonic)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

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
            "data": self.data if new else None,
        }

    def end(self) -> None:
        """End what is computed for it."""
        if self.job is not None:
            self.job.cancel()
        self.worker.end()
        self.drawer.end()


class Sessions:
    """All views of one file. For one event loop."""

    def __init__(self, viewed: Viewed) -> None:
        self.viewed = viewed
        self.notice = ""
        self.sessions: dict[str, Session] = {}
        self.text = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._look()

    def start(self) -> None:
        """Follow the file, on the running event loop."""
        self._task(self._follow())

    def stop(self) -> None:
        """End everything that runs."""
        for task in self._tasks:
            task.cancel()
        for session in self.sessions.values():
            session.end()

    def _task(self, job: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # the file

    def _look(self) -> bool:
        """Read the file; whether its text or what is said of it is new."""
        before = self.text, self.notice
        try:
            self.text, self.notice = read_program(self.viewed.path).text, ""
        except SlotError as problem:
            found = problem.diagnostics[0]
            gone = "" if self.viewed.path.exists() else " The file is gone: what is shown is the last text."
            self.notice = f"{found.code}: {found.message}.{gone}"
        return before != (self.text, self.notice)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            if await asyncio.to_thread(self._look):
                self._told()
            for session in list(self.sessions.values()):
                number = session.number
                if await asyncio.to_thread(session.imports.changed) and number == session.number:
                    self._set(session, session.text)
            for session in list(self.sessions.values()):
                if time.monotonic() - session.seen > IDLE:
                    del self.sessions[session.key]
                    session.end()

    def _told(self) -> None:
        """The file or what is said of it is new: views that are not edited take its text."""
        for session in self.sessions.values():
            if not session.edited and session.text != self.text:
                self._set(session, self.text)
            session.edited = session.text != self.text
            session.changed()

    # views

    def open(self) -> Session:
        """A new view of the file. The one that asked least lately makes way where there are too many."""
        while len(self.sessions) >= MOST_SESSIONS:
            oldest = min(self.sessions.values(), key=lambda s: s.seen)
            del self.sessions[oldest.key]
            oldest.end()
            oldest.changed()
        session = Session(secrets.token_urlsafe(12), self.text)
        self.sessions[session.key] = session
        self._set(session, self.text)
        return session

    def session(self, key: object) -> Session:
        """The view of that key. Raises ``NoSession``."""
        session = self.sessions.get(key) if isinstance(key, str) else None
        if session is None:
            raise NoSession("this view is not open any more")
        session.seen = time.monotonic()
        return session

    def change(self, session: Session, text: str) -> None:
        """A text that somebody typed."""
        session.edited = text != self.text
        self._set(session, text)

    def revert(self, session: Session) -> None:
        """The file's text again."""
        session.edited = False
        self._set(session, self.text)

    def _set(self, session: Session, text: str) -> None:
        """Look at another text, or again at one whose imports have changed: what is computed so far is ended."""
        session.text, session.problem = text, ""
        session.number += 1
        if session.job is not None and not session.job.done():
            session.job.cancel()
        session.job = self._task(self._compute(session, session.number))
        session.changed()

    async def _compute(self, session: Session, number: int) -> None:
        viewed = self.viewed

        def found(item: Part | Imports) -> None:
            if session.number != number:
                return
            if isinstance(item, Imports):
                session.imports = item
                return
            # until a text is read, what was drawn of the one before stays: the first part takes the place of it all
            session.data = merged(session.data or {}, item)
            session.read = number
            session.changed()

        text = session.text.replace("\r\n", "\n")
        arguments = (text, viewed.path.name, viewed.folder, dict(viewed.sizes), viewed.program, DRAWN)
        try:
            await asyncio.wait_for(session.worker.run(("stream", watched, arguments), found), MOST_PROVED)
            return
        except TimeoutError:
            problem = f"This text was given up after {MOST_PROVED:.0f} s."
        except Ended:
            problem = "The process that looked at this text ended."
        except Failed as failed:
            logger.error("looking at %s: %s", viewed.path, failed)
            problem = "This text could not be looked at: that is an error of slotlang."
        if session.number == number:
            session.problem = problem
            session.changed()

    async def value(self, session: Session, program: str, family: str, member: list[int]) -> dict[str, Any] | None:
        """A value that is not among those that are drawn of every text; None where there is none, and while the text is
        being read: until then it is not known which of its claims hold."""
        if not session.current:
            return None
        viewed, text, number = self.viewed, session.text.replace("\r\n", "\n"), session.number
        known = (session.data or {}).get("programs", [])
        verdicts = [p["verdict"] for p in known if p["name"] == program and "verdict" in p]
        goals = [(g["what"], g["status"]) for v in verdicts for g in v["goals"]]
        found: list[dict[str, Any]] = []
        about = (text, viewed.path.name, viewed.folder, dict(viewed.sizes), program, family, tuple(member), goals)
        async with session.drawing:
            try:
                await asyncio.wait_for(session.drawer.run(("stream", one_value, about), found.append), 60)
            except (TimeoutError, Ended, Failed) as problem:
                logger.error("drawing %s: %s", family, problem)
        return found[0] if found and number == session.number else None


def watched(
    text: str, name: str, folder: str, sizes: Mapping[str, int], only: str | None, drawn: int
) -> Iterator[Part | Imports]:
    """The files that a text imports, then its parts."""
    # these are as new as the files' times or newer: a file that changes between the two is looked at once more
    yield imports_of(Source(name, text, folder))
    yield from parts(text, name, folder, sizes, only, drawn)
