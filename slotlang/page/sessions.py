"""Views of a file, each with the text that somebody types in it, and the file as it changes."""

from __future__ import annotations

import asyncio
import logging
import secrets
import stat
import time
from collections.abc import Coroutine, Iterator, Mapping
from typing import Any

from slotlang.diagnostics import SlotError
from slotlang.editor.measures import Measures
from slotlang.editor.verdicts import Verdict
from slotlang.editor.workers import Ended, Failed
from slotlang.files import reason_of, write_whole
from slotlang.page.asking import asked
from slotlang.page.goals import judged
from slotlang.page.imports import Imports, imports_of
from slotlang.page.knobs import Knobs, known_sizes
from slotlang.page.parts import Part, merged, one_value, parts
from slotlang.page.session import NoSession, Session, Viewed
from slotlang.page.synthesis import searched
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
MOST_ASKED = 3.0
"""Seconds after which a question about a place stays without an answer."""
MOST_SEARCHED = 1800.0
"""Seconds after which a search is stopped."""
DRAWN = 1 << 12
"""Slots that are drawn of every text, one value at least; other values are drawn when they are asked for."""


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
            session.edited = session.plain != _plain(self.text)
            session.base = session.base if session.edited else self.text
            session.changed()

    # views

    def open(self) -> Session:
        """A new view of the file. The one that asked least lately makes way where there are too many."""
        while len(self.sessions) >= MOST_SESSIONS:
            oldest = min(self.sessions.values(), key=lambda s: s.seen)
            del self.sessions[oldest.key]
            oldest.end()
            oldest.changed()
        session = Session(secrets.token_urlsafe(12), self.text, self.text)
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
        session.edited = _plain(text) != _plain(self.text)
        self._set(session, text)

    def turn(self, session: Session, knobs: Knobs) -> None:
        """Other sizes or another precision for a view's text."""
        if knobs != session.knobs:
            session.knobs = knobs
            self._set(session, session.text)

    def revert(self, session: Session) -> None:
        """The file's text again."""
        session.edited, session.base = False, self.text
        self._set(session, self.text)

    def _set(self, session: Session, text: str) -> None:
        """Look at another text, or again at one whose imports have changed: what is computed so far is ended."""
        if self.viewed.puzzle is not None and (text != session.text or session.judging is None):
            if session.judging is not None and not session.judging.done():
                session.judging.cancel()
            session.judged = None
            session.judging = self._task(self._judge(session, self.viewed.puzzle, _plain(text)))
        session.text, session.problem = text, ""
        session.number += 1
        session.known = []
        if session.job is not None and not session.job.done():
            session.job.cancel()
        session.job = self._task(self._compute(session, session.number))
        session.changed()

    async def _compute(self, session: Session, number: int) -> None:
        viewed = self.viewed

        def found(item: Part | Imports | Verdict | Measures) -> None:
            if session.number != number:
                return
            if isinstance(item, Verdict | Measures):
                session.known.append(item)
                return
            if isinstance(item, Imports):
                session.imports = item
                return
            # until a text is read, what was drawn of the one before stays: the first part takes the place of it all
            session.data = merged(session.data or {}, item)
            session.read = number
            session.changed()

        named = session.plain, viewed.path.name, viewed.folder
        # a repair of a puzzle would be its solution
        repairs = viewed.puzzle is None
        arguments = (*named, dict(viewed.sizes), viewed.program, DRAWN, session.knobs, repairs)
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

    async def _judge(self, session: Session, puzzle: str, text: str) -> None:
        """What keeps the goal of a puzzle from being met, beside the rest: in a process of its own."""

        def found(item: dict[str, Any]) -> None:
            if session.plain == text:
                session.judged = item
                session.changed()

        about = (puzzle, text, self.viewed.path.name, self.viewed.folder)
        try:
            await asyncio.wait_for(session.judge.run(("stream", judged, about), found), MOST_PROVED)
        except TimeoutError:
            found({"solved": False, "lines": [f"not decided within {MOST_PROVED:.0f} s"], "hint": ""})
        except Ended:
            found({"solved": False, "lines": ["not decided: the process that looked at it ended"], "hint": ""})
        except Failed as failed:
            logger.error("judging %s: %s", self.viewed.path, failed)
            found({"solved": False, "lines": ["not decided: that is an error of slotlang"], "hint": ""})

    def keep(self, session: Session, text: str) -> str:
        """Write a puzzle's text into its file, as a whole; why not, where that can't be done. A file that somebody else
        has changed stays as it is."""
        path = self.viewed.path
        if self.viewed.puzzle is None:
            return "a file that is no puzzle's is never written"
        if self._look():
            self._told()
        if _plain(session.base) != _plain(self.text):
            return f"{path.name} has changed meanwhile: take its text first, and Ctrl+Z brings yours back"
        if self.notice and path.exists():
            return self.notice
        try:
            mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o644
            if not mode & 0o200:
                return f"{path.name} is read-only"
            write_whole(path.resolve(), text.encode(), mode)
        except (OSError, ValueError) as problem:
            return f"can't write {path.name}: {reason_of(problem)}"
        session.base = text
        self._look()
        self._told()
        return ""

    async def value(self, session: Session, program: str, family: str, member: list[int]) -> dict[str, Any] | None:
        """A value that is not among those that are drawn of every text; None where there is none, and while the text is
        being read: until then it is not known which of its claims hold."""
        if not session.current:
            return None
        viewed, text, number = self.viewed, session.plain, session.number
        known = (session.data or {}).get("programs", [])
        verdicts = [p["verdict"] for p in known if p["name"] == program and "verdict" in p]
        goals = [(g["what"], g["status"]) for v in verdicts for g in v["goals"]]
        found: list[dict[str, Any]] = []
        sizes = {**viewed.sizes, **known_sizes(Source(viewed.path.name, text), session.knobs.sizes)}
        about = (text, viewed.path.name, viewed.folder, sizes, program, family, tuple(member), goals)
        async with session.drawing:
            try:
                await asyncio.wait_for(session.drawer.run(("stream", one_value, about), found.append), 60)
            except (TimeoutError, Ended, Failed) as problem:
                logger.error("drawing %s: %s", family, problem)
        return found[0] if found and number == session.number else None

    async def ask(self, session: Session, text: str, question: str, units: int) -> dict[str, Any] | None:
        """What the engine says of a place in a text, which may be newer than the view's; None for nothing, and where it
        takes too long."""
        viewed, found = self.viewed, list[dict[str, Any]]()
        known = tuple(session.known) if text == session.plain else ()
        sizes = {**viewed.sizes, **known_sizes(Source(viewed.path.name, text), session.knobs.sizes)}
        about = (text, viewed.path.name, viewed.folder, sizes, question, units, known)
        async with session.asking:
            try:
                await asyncio.wait_for(session.asker.run(("stream", asked, about), found.append), MOST_ASKED)
            except (TimeoutError, Ended):
                return None
            except Failed as problem:
                logger.error("answering %s: %s", question, problem)
        return found[0] if found else None

    # searches

    def search(self, session: Session, program: str, precision: float, objective: str) -> bool:
        """Search a cheaper program for the shape of a view's program; whether it has one that is searched."""
        if self.viewed.puzzle is not None:
            # what is found would be a solution
            return False
        known = (session.data or {}).get("programs", [])
        shape = next((p["knobs"]["shape"] for p in known if p["name"] == program and "knobs" in p), None)
        if shape is None:
            return False
        if session.searching is not None:
            session.searching.cancel()
            session.searcher.end()
        session.search = {"state": "running", "shape": shape, "precision": precision, "what": "starting", "done": 0.0}
        session.searching = self._task(self._search(session, session.search, objective))
        session.changed()
        return True

    def stop_search(self, session: Session) -> None:
        """End a search; what it found so far stays."""
        if session.search is not None and session.search["state"] == "running":
            session.search["state"] = "stopped"
            if session.searching is not None:
                session.searching.cancel()
            session.searcher.end()
            session.changed()

    async def _search(self, session: Session, search: dict[str, Any], objective: str) -> None:
        def found(item: dict[str, Any]) -> None:
            if search["state"] == "running":
                search.update(item)
                session.changed()

        job = ("stream", searched, (search["shape"], search["precision"], objective))
        try:
            await asyncio.wait_for(session.searcher.run(job, found), MOST_SEARCHED)
        except TimeoutError:
            found({"state": "stopped", "problem": f"It was stopped after {MOST_SEARCHED:.0f} s."})
        except Ended:
            found({"state": "failed", "problem": "The process that searched ended."})
        except Failed as problem:
            logger.error("searching: %s", problem)
            found({"state": "failed", "problem": "The search failed: that is an error of slotlang."})


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n")


def watched(
    text: str,
    name: str,
    folder: str,
    sizes: Mapping[str, int],
    only: str | None,
    drawn: int,
    knobs: Knobs,
    repairs: bool = True,
) -> Iterator[Part | Imports | Verdict | Measures]:
    """The files that a text imports, then its parts, and before each what the engine has found."""
    source = Source(name, text, folder)
    # these are as new as the files' times or newer: a file that changes between the two is looked at once more
    yield imports_of(source)
    known = list[Verdict | Measures]()
    usable = Knobs(known_sizes(source, knobs.sizes), knobs.precision)
    for part in parts(text, name, folder, sizes, only, drawn, knobs=usable, known=known.append, repairs=repairs):
        yield from known
        known.clear()
        yield part
