"""Texts that are open, and what is known of each as it stands: the engine behind every face.

A change is read at once by a worker process, and proved by another one as soon as nothing has changed for a moment. The
next change ends that proof. What is told about a text always carries the text it is about, so that nothing stale is
shown. No call waits for a worker but ``ask``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

from slotlang.editor.hovering import Known
from slotlang.editor.marks import Mark
from slotlang.editor.measures import Measures
from slotlang.editor.text import Text
from slotlang.editor.verdicts import Verdict
from slotlang.editor.workers import Ended, Failed, Worker

__all__ = ["Document", "Engine", "Stage"]

logger = logging.getLogger(__name__)

PAUSE = 0.1
"""Seconds without a change after which a text is proved."""
PATIENCE = 1.0
"""Seconds after which a text that is still being read makes way for others."""
LONG = 50_000
"""Characters of a text beyond which it is read apart from others from the start."""
MOST_ASKED = 10.0
"""Seconds after which a question stays without an answer."""
MOST_PROVED = 300.0
"""Seconds after which a proof is given up."""

Stage: TypeAlias = Literal["changed", "read", "proving", "verdict", "measures", "settled"]
"""How far a text is. ``settled``: nothing more will be found of it."""


@dataclass(eq=False)
class Document:
    """An open text with what is known of it. ``revision`` counts its changes; ``version`` is the client's number."""

    key: str
    name: str
    folder: str | None
    text: Text
    version: int | None = None
    revision: int = 0
    stage: Stage = "changed"
    marks: tuple[Mark, ...] = ()
    right: bool = False
    imports: tuple[str, ...] = ()
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    measures: dict[str, Measures] = field(default_factory=dict)
    problem: str = ""
    slow: bool = False
    is_read: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def known(self) -> Known:
        """What the background has found of this very text."""
        return Known(tuple(self.verdicts.values()), tuple(self.measures.values()))

    @property
    def all_marks(self) -> tuple[Mark, ...]:
        """Messages about the text, those of verdicts among them."""
        return self.marks + tuple(v.mark for v in self.verdicts.values() if v.mark is not None)


class _Lane:
    """A worker that reads texts, one after another, and the texts that wait for it."""

    def __init__(self, name: str) -> None:
        self.worker = Worker(name)
        self.waiting: dict[str, Document] = {}
        self.reading: Document | None = None
        self.wake = asyncio.Event()
        self.lock = asyncio.Lock()


class Engine:
    """Open texts. ``told`` is called on the event loop whenever more is known of one.

    Texts are read in two lanes: those that take long, or are long, don't keep others waiting.
    """

    def __init__(self, told: Callable[[Document, Stage], None]) -> None:
        self.told = told
        self.documents: dict[str, Document] = {}
        self._quick, self._slow = _Lane("reader"), _Lane("slow reader")
        self._drawer, self._drawing = Worker("drawer"), asyncio.Lock()
        self._prover = Worker("prover")
        self._proving: Document | None = None
        self._unproved: dict[str, Document] = {}
        self._pauses: dict[str, asyncio.TimerHandle] = {}
        self._wake_prover = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def start(self) -> None:
        """Start reading and proving, on the running event loop."""
        for job in (self._read_all(self._quick), self._read_all(self._slow), self._prove_all()):
            self._task(job)

    def _task(self, job: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def stop(self) -> None:
        """End everything that runs."""
        self._closed = True
        for task in tuple(self._tasks):
            task.cancel()
        for pause in self._pauses.values():
            pause.cancel()
        for worker in (self._quick.worker, self._slow.worker, self._drawer, self._prover):
            worker.end()

    # texts

    def open(self, key: str, path: Path | None, text: Text, version: int | None = None) -> Document:
        """A text, of the file at ``path`` if it is one's."""
        self.close(key)
        name, folder = (key, None) if path is None else (str(path), str(path.parent))
        document = self.documents[key] = Document(key, name, folder, text, version)
        self._changed(document)
        return document

    def change(self, key: str, text: Text, version: int | None = None) -> None:
        """Another text in place of the one that is open. Nothing that was known holds any more."""
        document = self.documents[key]
        document.text, document.version = text, version
        self._changed(document)

    def refresh(self, key: str) -> None:
        """Read a text again: a file that it imports may have changed."""
        self._changed(self.documents[key])

    def close(self, key: str) -> None:
        """Forget a text."""
        document = self.documents.pop(key, None)
        if document is not None:
            self._cancel(document)
            document.revision += 1
            document.is_read.set()
            if not self._closed:
                self._task(self._forget(key))

    async def _forget(self, key: str) -> None:
        """Let the workers forget a text, unless it is open again."""
        locked = ((lane.worker, lane.lock) for lane in (self._quick, self._slow))
        for worker, lock in (*locked, (self._drawer, self._drawing)):
            async with lock:
                if key not in self.documents and worker.process_id is not None:
                    with suppress(Ended, Failed):
                        await worker.run(("drop", key))

    def _changed(self, document: Document) -> None:
        self._cancel(document)
        document.revision += 1
        document.stage, document.right, document.problem = "changed", False, ""
        document.marks, document.verdicts, document.measures = (), {}, {}
        document.is_read.clear()
        self._enqueue(document, self._slow if len(document.text.text) > LONG else self._quick)

    def _enqueue(self, document: Document, lane: _Lane) -> None:
        document.slow = lane is self._slow
        lane.waiting[document.key] = document
        lane.wake.set()

    def _cancel(self, document: Document) -> None:
        """End what is done about a text that is none any more. A quick reading ends soon by itself."""
        self._unproved.pop(document.key, None)
        if (pause := self._pauses.pop(document.key, None)) is not None:
            pause.cancel()
        if self._proving is document:
            self._prover.end()
        for lane in (self._quick, self._slow):
            lane.waiting.pop(document.key, None)
            lane.worker.known.discard(document.key)
        self._drawer.known.discard(document.key)
        if self._slow.reading is document:
            self._slow.worker.end()

    # reading

    async def _read_all(self, lane: _Lane) -> None:
        while True:
            await lane.wake.wait()
            lane.wake.clear()
            while lane.waiting:
                document = lane.waiting.pop(next(iter(lane.waiting)))
                async with lane.lock:
                    await self._read(document, lane)

    async def _read(self, document: Document, lane: _Lane) -> None:
        revision = document.revision
        lane.reading = document
        patience = asyncio.get_running_loop().create_task(self._impatient(lane))
        try:
            marks, right, imports = await self._twice(lane.worker, document)
        except Ended:
            if revision == document.revision and lane is self._quick:
                self._enqueue(document, self._slow)
            elif revision == document.revision:
                self._gave_up(document, "this text could not be read: its reader ended")
            return
        except Failed as problem:
            logger.error("reading %s: %s", document.name, problem)
            if revision == document.revision:
                self._gave_up(document, "this text could not be read: that is an error of slotlang")
            return
        finally:
            patience.cancel()
            lane.reading = None
        if revision != document.revision:
            return
        document.marks, document.right, document.imports = marks, right, imports
        self._tell(document, "read")
        document.is_read.set()
        if right:
            loop = asyncio.get_running_loop()
            self._pauses[document.key] = loop.call_later(PAUSE, self._prove_soon, document)
        else:
            self._tell(document, "settled")

    async def _impatient(self, lane: _Lane) -> None:
        """A text that takes long makes way: it goes on in the other lane, if it is still the same."""
        while lane is self._quick:
            await asyncio.sleep(max(PATIENCE - lane.worker.busy, 0.01))
            if lane.worker.busy > PATIENCE:
                lane.worker.end()
                return

    async def _twice(self, worker: Worker, document: Document) -> Any:
        """Let a worker read a text, once more where its process was gone before it began."""
        revision = document.revision
        try:
            return await self._send(worker, document)
        except Ended:
            if worker.lasted > PATIENCE / 2 or self._closed or revision != document.revision:
                raise
            return await self._send(worker, document)

    async def _send(self, worker: Worker, document: Document) -> Any:
        """Let a worker read a text."""
        revision = document.revision
        found = await worker.run(("read", document.key, document.text.plain, document.name, document.folder))
        if revision == document.revision:
            worker.known.add(document.key)
        return found

    def _gave_up(self, document: Document, why: str) -> None:
        document.problem = why
        document.marks = (Mark(0, 1, "error", "server", why),)
        self._tell(document, "settled")
        document.is_read.set()

    def _tell(self, document: Document, stage: Stage) -> None:
        document.stage = stage
        if self.documents.get(document.key) is document:
            self.told(document, stage)

    # questions

    async def read(self, key: str) -> Document | None:
        """The text once it is read as it stands; None where it is closed or can't be read in time."""
        document = self.documents.get(key)
        if document is None:
            return None
        try:
            await asyncio.wait_for(document.is_read.wait(), MOST_ASKED)
        except TimeoutError:
            return None
        return document if self.documents.get(key) is document and document.stage != "changed" else None

    async def ask(self, key: str, question: str, *arguments: Any, slow: bool = False) -> tuple[Text, Any] | None:
        """The answer to one of ``QUESTIONS`` with the text that it is about: the newest one. None where there is none
        in time. ``slow`` ones wait for each other and for nothing else, and their last argument is what the background
        has found of that very text."""
        try:
            return await asyncio.wait_for(self._ask(key, question, arguments, slow), MOST_ASKED)
        except (TimeoutError, Ended):
            return None
        except Failed as problem:
            logger.error("%s of %s: %s", question, key, problem)
            return None

    async def _ask(self, key: str, question: str, arguments: tuple[Any, ...], slow: bool) -> tuple[Text, Any] | None:
        while True:
            document = self.documents.get(key)
            if document is None:
                return None
            await document.is_read.wait()
            lane = self._slow if document.slow else self._quick
            worker, lock = (self._drawer, self._drawing) if slow else (lane.worker, lane.lock)
            async with lock:
                if self.documents.get(key) is not document or document.stage == "changed":
                    continue
                revision, text = document.revision, document.text
                if key not in worker.known:
                    await self._twice(worker, document)
                if revision == document.revision:
                    known = (document.known,) if slow else ()
                    return text, await worker.run(("ask", key, question, (*arguments, *known)))

    # proofs

    def _prove_soon(self, document: Document) -> None:
        self._pauses.pop(document.key, None)
        self._unproved[document.key] = document
        self._wake_prover.set()

    async def _prove_all(self) -> None:
        await asyncio.gather(self._ready(self._quick.worker), self._ready(self._prover))
        while True:
            await self._wake_prover.wait()
            self._wake_prover.clear()
            while self._unproved:
                # what was changed last is looked at now
                key = next(reversed(self._unproved))
                await self._prove(self._unproved.pop(key))

    async def _prove(self, document: Document) -> None:
        revision = document.revision
        self._proving = document

        def found(item: Any) -> None:
            if revision != document.revision:
                return
            if isinstance(item, Verdict):
                document.verdicts[item.program] = item
                self._tell(document, "verdict")
            else:
                document.measures[item.program] = item
                self._tell(document, "measures")

        self._tell(document, "proving")
        job = ("prove", document.text.plain, document.name, document.folder)
        try:
            run = partial(self._prover.run, job, found)
            await asyncio.wait_for(self._prove_once_more(document, revision, run), MOST_PROVED)
        except TimeoutError:
            document.problem = f"no verdict after {MOST_PROVED:.0f} s"
        except (Ended, Failed) as problem:
            if revision == document.revision:
                logger.error("proving %s: %s", document.name, problem)
                document.problem = "no verdict: the proof ended unexpectedly"
        finally:
            self._proving = None
            if not self._closed:
                # the next proof finds a process that is there
                self._task(self._ready(self._prover))
        if revision == document.revision:
            self._tell(document, "settled")

    async def _prove_once_more(
        self, document: Document, revision: int, run: Callable[[], Coroutine[Any, Any, Any]]
    ) -> None:
        """A proof, once more where its process ended and nobody ended it."""
        try:
            await run()
        except Ended:
            if revision != document.revision or self._closed:
                raise
            await run()

    async def _ready(self, worker: Worker) -> None:
        try:
            await worker.start()
        except (Ended, OSError) as problem:
            logger.debug("starting %s: %s", worker.name, problem)
