"""A process that reads, answers and proves, one job after another, and that can be ended at any time."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import threading
import time
import traceback
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, TypeAlias

from slotlang.diagnostics import SlotError
from slotlang.syntax import items
from slotlang.syntax.definitions import imported_paths

if TYPE_CHECKING:
    from slotlang.editor.analysis import Analysis

Job: TypeAlias = tuple[Any, ...]
"""``("read", key, text, name, folder)``, ``("ask", key, question, arguments)``,
``("prove", text, name, folder)``, ``("stream", function, arguments)`` or ``("drop", key)``."""

_MOST_DIGITS = 10_000
_MOST_JOBS = 50
"""Jobs after which garbage is collected, even if the next one waits."""


def serve(connection: Connection) -> None:
    """Do jobs until the other side is gone. Each ends with ``("done", value)`` or ``("failed", text)``; ``prove`` and
    ``stream`` send ``("found", value)`` on the way: each thing that a function yields."""
    _apart()
    import slotlang.editor.preloaded  # noqa: F401
    from slotlang.editor.analysis import analyse
    from slotlang.editor.questions import answer, background

    # a collection of garbage in the middle of a keystroke takes longer than the rest of it
    gc.freeze()
    gc.disable()
    known: dict[str, Analysis] = {}
    since = 0
    while True:
        try:
            job: Job = connection.recv()
        except (EOFError, OSError):
            return
        try:
            match job:
                case ("read", str(key), text, name, folder):
                    known[key] = found = analyse(text, name, folder)
                    reply: Any = ("done", (found.marks, found.right, _imports(found)))
                case ("ask", str(key), question, arguments):
                    reply = ("done", answer(known[key], question, *arguments))
                case ("prove", text, name, folder):
                    gc.enable()
                    analysis = analyse(text, name, folder)
                    for item in background(analysis) if analysis.right else ():
                        connection.send(("found", item))
                    reply = ("done", None)
                case ("stream", function, arguments):
                    gc.enable()
                    for item in function(*arguments):
                        connection.send(("found", item))
                    reply = ("done", None)
                case ("drop", str(key)):
                    known.pop(key, None)
                    reply = ("done", None)
                case _:
                    reply = ("failed", f"there is no job {job[0]!r}")
        except MemoryError:
            known.clear()
            reply = ("failed", "out of memory")
        except Exception:
            reply = ("failed", traceback.format_exc())
        with contextlib.suppress(OSError):
            connection.send(reply)
        del reply, job
        gc.disable()
        since += 1
        if since > _MOST_JOBS or not connection.poll(0.02):
            since = 0
            gc.collect()


def _imports(analysis: Analysis) -> tuple[str, ...]:
    """The files that a text imports, by others or at once; none where that can't be told."""
    if not any(isinstance(item, items.Import) for item in analysis.file.statements):
        return ()
    with contextlib.suppress(SlotError):
        return tuple(map(str, imported_paths(analysis.source)))
    return ()


def _apart() -> None:
    """Nothing that is printed reaches the protocol's stream, Ctrl-C is the server's, and no worker outlives it."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(2, 1)
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.set_int_max_str_digits(_MOST_DIGITS)
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
