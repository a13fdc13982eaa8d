"""What the machine does to a command: signals, streams that are closed or full, memory that runs out.

One place for all commands. ``protected`` is around a whole process; ``may_stop`` is around a search that keeps what it
has when it is interrupted; ``at_step`` names what is being done, for the message when memory runs out.
"""

from __future__ import annotations

import errno
import io
import mmap
import os
import re
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from slotlang.files import remove_unfinished
from slotlang_runtime.amounts import count_of

INTERRUPTED, READER_GONE = 130, 141
"""Exit statuses as a shell gives them to SIGINT and SIGPIPE."""
_SERVING = ("lsp", "view", "puzzle.view")
"""Commands that go on until they are interrupted, and have nothing to say of it."""


@dataclass
class _Process:
    """What is known of the command under way."""

    step: str = "starting"
    command: str = ""
    as_json: bool = False
    stoppable: bool = False
    interrupted: bool = False
    number: int = 0
    """The id of the process that runs the command; one that it forks has another."""
    reserve: mmap.mmap | None = None
    """Address space that is given back so that running out of it can be said."""
    kept: list[Any] = field(default_factory=list)
    """What C code calls back."""


_process = _Process()


def starts(command: str, as_json: bool) -> None:
    """A command begins."""
    _process.command, _process.as_json, _process.step = command, as_json, command


def at_step(step: str) -> None:
    """The command is at this step. Raises KeyboardInterrupt when one was swallowed by what came before."""
    _process.step = step
    if _process.stoppable and _process.interrupted:
        raise KeyboardInterrupt


# Signals


@contextmanager
def may_stop() -> Iterator[None]:
    """Within, the first Ctrl-C raises KeyboardInterrupt, so that what was found is kept; the second ends the process.

    Elsewhere Ctrl-C ends the process at once: an exception can be lost in code that C calls back, as numba's compiler.
    """
    _process.stoppable, _process.interrupted = True, False
    try:
        yield
    finally:
        _process.stoppable = False


def _on_interrupt(number: int, frame: FrameType | None) -> None:
    if _process.stoppable and not _process.interrupted:
        _process.interrupted = True
        raise KeyboardInterrupt
    computed = _process.command not in _SERVING
    leave(INTERRUPTED, "interrupted: nothing was computed to the end\n" if computed else "")


def leave(status: int, line: str = "") -> None:
    """End the process now, without unwinding: no temporary file is left."""
    _end_watch()
    remove_unfinished()
    for descriptor in (1, 2):
        with suppress(OSError):
            if os.isatty(descriptor) and os.environ.get("TERM") != "dumb":
                # there may be a line of progress
                os.write(descriptor, b"\r\x1b[2K")
    with suppress(OSError):
        os.write(2, line.encode())
    os._exit(status)


# Streams


class _Output(io.FileIO):
    """A descriptor whose first failure is kept and ends no command: what is to be done is done all the same."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.problem: OSError | None = None

    def write(self, data: Any) -> int:
        while self.problem is None:
            try:
                written = super().write(data)
            except BrokenPipeError as problem:
                if self.fileno() == 1:
                    leave(READER_GONE)
                self.problem = problem
            except OSError as problem:
                self.problem = problem
            else:
                if written is not None:
                    return written
                # the descriptor does not block, and is full
                select.select([], [self], [])
        return memoryview(data).nbytes


def _fill_descriptors() -> None:
    """Open what was closed, so that no file that is opened later becomes standard output. Writing to what was standard
    output fails as before."""
    for descriptor, flags in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, flags)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)


def _text(descriptor: int, like: Any) -> tuple[_Output, io.TextIOWrapper]:
    raw = _Output(descriptor)
    encoding = getattr(like, "encoding", None) or sys.getfilesystemencoding()
    lines = descriptor == 2 or raw.isatty()
    # names of files may hold bytes that are no text
    text = io.TextIOWrapper(io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=lines)
    return raw, text


# Memory

_WORDS = re.compile(
    r"MemoryError|bad_alloc|bad allocation|Cannot allocate memory|failed to map segment|Unable to allocate|ENOMEM", re.I
)
"""What C and C++ libraries say when they get no memory, in exceptions of other kinds."""


def memory_ran_out(problem: BaseException) -> str | None:
    """What was asked for when memory ran out, mostly empty; None when something else went wrong."""
    from slotlang.diagnostics import SlotError
    from slotlang.proof.verdict import Disagreement

    # what an emitted module raised comes as text in an error of these kinds
    kinds = (ImportError, OSError, RuntimeError, SystemError, SlotError, Disagreement)
    chain: list[BaseException] = []
    link: BaseException | None = problem
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    for link in chain:
        said = str(link)
        if isinstance(link, MemoryError):
            return said if "llocate" in said else ""
        if isinstance(link, OSError) and link.errno == errno.ENOMEM:
            return ""
        if isinstance(link, kinds) and _WORDS.search(said):
            return ""
    from slotlang.run.room import nearly_out

    return "" if isinstance(problem, ImportError | OSError | RuntimeError | SystemError) and nearly_out() else None


def out_of_memory(asked: str, file: str = "") -> Any:
    """The diagnostic."""
    from slotlang.diagnostics import Diagnostic
    from slotlang.run.room import rooms

    asked = " ".join(asked.split()).removesuffix(".")
    notes = [asked] if asked else []
    with suppress(OSError, MemoryError):
        tightest = min(rooms(), key=lambda room: room.free, default=None)
        notes += [tightest.why] if tightest else []
    message = f"memory ran out at this step: {_process.step}"
    return Diagnostic("SL801", message, notes=tuple(notes), hint="choose smaller sizes with --set", file=file)


ARRAYS = (120_000_000, 40_000_000)
"""Address space that numpy takes when it is loaded, and OpenBLAS for each of its threads: it ends the process, with a
status of its own, when it gets none."""


def check_libraries_fit() -> None:
    """Raises MemoryError where the address space is too small for numpy."""
    from slotlang.run.room import rooms

    needed = ARRAYS[0] + ARRAYS[1] * min(os.cpu_count() or 1, 64)
    if "numpy" not in sys.modules:
        for room in rooms():
            if room.kind == "address space" and room.free < needed:
                at_step("load libraries")
                raise MemoryError(f"to allocate: {count_of(needed, 'byte')} of address space, for numpy")


def give_back_reserve() -> None:
    """Make room for saying that memory ran out."""
    reserve, _process.reserve = _process.reserve, None
    if reserve is not None:
        reserve.close()


_LOOK = 0.005
"""Seconds between two looks at the address space: SEAL's calls take about as long, and none takes 100 MB."""


def guard_native_code() -> None:
    """Before SEAL is called: its memory pool keeps a lock when an allocation fails and then waits for itself for ever,
    in C++, where no signal is heard. So where the address space is limited the process looks at it all the time, and
    ends before SEAL gets none."""
    if _process.number != os.getpid() or _process.kept:
        return
    import ctypes

    with suppress(OSError, AttributeError):
        library = "libc++.1.dylib" if sys.platform == "darwin" else "libstdc++.so.6"
        set_handler = ctypes.CDLL(library)._ZSt15set_new_handlerPFvvE
        set_handler.restype = ctypes.c_void_p
        handler = ctypes.CFUNCTYPE(None)(_no_memory)
        set_handler(handler)
        _process.kept.append(handler)
    _watch_address_space()


def _watch_address_space() -> None:
    from slotlang.run.room import margin

    try:
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        with open("/proc/self/statm", "rb"):  # noqa: PTH123
            page = resource.getpagesize()
    except (ImportError, OSError):
        return

    def look(number: int, frame: FrameType | None) -> None:
        with open("/proc/self/statm", "rb") as stream:  # noqa: PTH123
            taken = page * int(stream.read().split()[0])
        if limit - taken < margin(taken):
            _no_memory()

    if limit != resource.RLIM_INFINITY:
        signal.signal(signal.SIGALRM, look)
        signal.setitimer(signal.ITIMER_REAL, _LOOK, _LOOK)


def _end_watch() -> None:
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0)


def _no_memory() -> None:
    """End the process and say why; C++ calls it in place of raising an exception."""
    _end_watch()
    give_back_reserve()
    try:
        from slotlang.cli.output import say_errors

        say_errors([out_of_memory("")], _process.command, _process.as_json)
        sys.stdout.flush()
    except BaseException:
        leave(2, "error[SL801]: memory ran out\n")
    leave(2)


# A whole process


def is_whole() -> bool:
    """Whether this process is a command's own; tests call commands from within another."""
    return _process.number == os.getpid()


def protected(command: Callable[[], int]) -> None:
    """Run a command line, say what ended it if it did not end by itself, and exit with its status."""
    raw = None
    if sys.stdout is sys.__stdout__:
        if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
            signal.signal(signal.SIGINT, _on_interrupt)
        _process.number = os.getpid()
        _process.reserve = mmap.mmap(-1, 16 << 20)
        _fill_descriptors()
        raw, sys.stdout = _text(1, sys.stdout)
        _, sys.stderr = _text(2, sys.stderr)
    try:
        status = command()
    except Exception as problem:
        give_back_reserve()
        from slotlang.cli.output import say_unexpected

        status = say_unexpected(problem)
    sys.stdout.flush()
    if raw is not None and raw.problem is not None:
        from slotlang.cli.output import report
        from slotlang.diagnostics import Diagnostic

        reason = raw.problem.strerror or str(raw.problem)
        closed = "start the command with a standard output: a file, a pipe or a terminal"
        hint = closed if raw.problem.errno == errno.EBADF else ""
        report([Diagnostic("SL803", f"standard output can't be written to: {reason}", hint=hint)])
        status = 2
    sys.stderr.flush()
    if is_whole():
        # all is done and said: an interrupt comes too late
        _end_watch()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(status)
