"""slotlang: CKKS slot layouts and schedules that are proved, counted and run. ``slotlang.api`` is the way in."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if sys.version_info < (3, 11):  # noqa: UP036 - a checkout can be on the path of any Python
    _found = ".".join(map(str, sys.version_info[:3]))
    raise ImportError("slotlang needs Python 3.11 or newer, and this is Python " + _found)

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
