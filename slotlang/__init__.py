"""slotlang: CKKS slot layouts and schedules that are proved, counted and run. ``slotlang.api`` is the way in."""

from __future__ import annotations

import os
import sys

if sys.version_info < (3, 11):  # noqa: UP036 - a checkout can be on the path of any Python
    _found = ".".join(map(str, sys.version_info[:3]))
    raise ImportError("slotlang needs Python 3.11 or newer, and this is Python " + _found)


def _end_on_interrupt() -> None:
    """In a process of the command line Ctrl-C ends it from here on, with nothing said: what comes until
    ``slotlang.cli.faults`` takes over are imports, and Python would print a traceback of them."""
    script = os.path.basename(sys.argv[0])  # noqa: PTH119 - pathlib takes longer
    module = "".join(sys.orig_argv[-len(sys.argv) :][:1]).removeprefix("-m")
    if script.removesuffix(".exe") != "slotlang" and (script, module) != ("-m", "slotlang"):
        return
    # C's part of `signal`, which is there from Python's start; the rest takes longer
    import _signal  # type: ignore[import-not-found, unused-ignore]

    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, lambda *_: os._exit(130))


if getattr(sys, "argv", None):
    _end_on_interrupt()

from importlib import import_module  # noqa: E402 - an interrupt may come while they are imported
from typing import TYPE_CHECKING, Any  # noqa: E402

if TYPE_CHECKING:
    __version__: str


def load_ipython_extension(shell: Any) -> None:
    """``%load_ext slotlang``: the cell magic ``%%slot``."""
    # by its name: everything imports this module, and so nothing that is above may be imported here
    import_module("slotlang.notebook.magic").register(shell)


def __getattr__(name: str) -> str:
    # looked up when it is asked for: no command has to wait for it
    if name != "__version__":
        raise AttributeError(f"module 'slotlang' has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("slotlang")
    except PackageNotFoundError:
        return "0+unknown"
