"""Cells of a notebook, run as Jupyter runs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from IPython.core.displayhook import DisplayHook
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config


class _Hook(DisplayHook):
    """Keeps results in all their forms, where a terminal's prints their text."""

    def write_output_prompt(self) -> None:
        """Nothing is printed."""

    def write_format_data(self, format_dict: dict[str, str], md_dict: Any = None) -> None:
        self.shell.shown.append(format_dict)

    def finish_displayhook(self) -> None:
        """Nothing was printed."""


class _Shell(InteractiveShell):
    displayhook_class = _Hook
    shown: list[dict[str, str]]


@contextmanager
def shell(folder: Path) -> Iterator[InteractiveShell]:
    """A shell that keeps nothing of what was run before and writes nothing outside of ``folder``."""
    config = Config()
    config.HistoryManager.enabled = False
    made = _Shell.instance(config=config, ipython_dir=str(folder), colors="nocolor")
    try:
        yield made
    finally:
        _Shell.clear_instance()


def run(made: InteractiveShell, source: str) -> tuple[Any, str, list[dict[str, str]]]:
    """How a cell ended, what it printed, and the results it shows, each in all its forms."""
    made.shown = []
    with capture_output() as captured:
        result = made.run_cell(source, store_history=True)
    return result, captured.stdout + captured.stderr, [*(o.data for o in captured.outputs), *made.shown]
