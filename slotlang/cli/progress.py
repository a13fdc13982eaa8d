"""A line on standard error that says what is being done, how much of it, and how long it will still take.

It is shown where a person watches: on a terminal that can take a line back, once the work has taken half a second.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import ParamSpec, TypeVar

from slotlang.cli.faults import at_step

DELAY = 0.5
"""Seconds of work before anything is shown."""
PERIOD = 0.25
"""Seconds between two looks at the clock."""
_CLEAR = "\r\x1b[2K"
_COUNTED = re.compile(r"(.*): (\d+) of (\d+)")
_STEP = re.compile(r"(.*): (step \d+ of \d+|\d+ parts)")
"""One of several steps, which take different times: how much of all work is done, it does not tell."""

P = ParamSpec("P")
R = TypeVar("R")


def controls(stream: object) -> bool:
    """Whether a stream is a terminal that can take a line back."""
    isatty = getattr(stream, "isatty", None)
    return isatty is not None and isatty() and os.environ.get("TERM") != "dumb"


def duration(seconds: float) -> str:
    """``0:07``, ``12:40``, ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Line:
    """What is being done. ``now``: the clock, in seconds."""

    def __init__(self, shown: bool, now: Callable[[], float] = time.monotonic) -> None:
        self._shown, self._now = shown, now
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._what, self._count = "", ""
        self._fraction = 0.0
        self._begun = self._step_begun = now()
        self._drawn = False

    def fraction(self, what: str, done: float) -> None:
        """This part of all work is done, from 0 to 1."""
        self._set(what, f"{100 * done:.0f}%", done, self._begun)

    def step(self, what: str) -> None:
        """A step begins, or goes on: ``evaluate``, or with counts, ``evaluate: 3 of 8``, or as one of several,
        ``counting: step 3 of 3``."""
        counted, one = _COUNTED.fullmatch(what), _STEP.fullmatch(what)
        named = counted or one
        name = named[1] if named else what
        with self._lock:
            if name != self._what:
                self._step_begun = self._now()
        if counted:
            done, total = int(counted[2]), int(counted[3])
            self._set(name, f"{done} of {total}", done / total if total else 0.0, self._step_begun)
        else:
            self._set(name, one[2] if one else "", 0.0, self._step_begun)

    def _set(self, what: str, count: str, fraction: float, begun: float) -> None:
        with self._lock:
            self._what, self._count, self._fraction, self._step_begun = what, count, fraction, begun
        at_step(f"{what}: {count}" if fraction or count[:1].isdigit() else what)

    def text(self) -> str:
        """The line: how much, the time that it has taken and, where that can be told, the time left; then what."""
        passed = self._now() - self._step_begun
        parts = [self._count, duration(passed)]
        if 0 < self._fraction < 1:
            parts.append(f"{duration(passed / self._fraction * (1 - self._fraction))} left")
        return f"{', '.join(filter(None, parts))}  {self._what}"

    def draw(self) -> None:
        """Show the line as it is now, where it is shown at all."""
        with self._lock:
            if not self._shown or not self._what or self._now() - self._begun < DELAY:
                return
            width = 80
            with suppress(OSError, ValueError, AttributeError):
                width = os.get_terminal_size(sys.stderr.fileno()).columns or 80
            self._write(f"{_CLEAR}{self.text()[: width - 1]}")
            self._drawn = True

    def clear(self) -> None:
        """Take the line away; it comes back with the next look at the clock."""
        with self._lock:
            if self._drawn:
                self._write(_CLEAR)
                self._drawn = False

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Within, something else is printed."""
        with self._lock:
            self.clear()
            yield
            sys.stdout.flush()

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(text)
            sys.stderr.flush()

    def look(self) -> None:
        """Draw again and again until ``end``."""
        while not self._ended.wait(PERIOD):
            self.draw()

    def end(self) -> None:
        """Take the line away for good."""
        self._ended.set()
        with self._lock:
            self._shown = False
            self.clear()


@contextmanager
def watched() -> Iterator[Line]:
    """A line for the work within."""
    line = Line(controls(sys.stderr))
    if not line._shown:
        yield line
        return
    looking = threading.Thread(target=line.look, daemon=True)
    looking.start()
    try:
        yield line
    finally:
        line.end()
        looking.join()


@contextmanager
def working(what: str) -> Iterator[Line]:
    """A line for one step whose length is not known."""
    with watched() as line:
        line.step(what)
        yield line


class Counted:
    """Calls that are counted. ``line`` shows how many are done."""

    def __init__(self, line: Line, what: str, total: int) -> None:
        self.line, self._what, self._total, self._done = line, what, total, 0

    def __call__(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        self.line.step(f"{self._what}: {self._done} of {self._total}" if self._total > 1 else self._what)
        result = function(*args, **kwargs)
        self._done += 1
        return result


@contextmanager
def counted(what: str, total: int) -> Iterator[Counted]:
    """A line for ``total`` calls of some length: ``proving: 3 of 40``."""
    with watched() as line:
        yield Counted(line, what, total)
