"""The installed command in a process of its own, which a test interrupts."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from faulty import environment


def when(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never held")


class Started:
    """The installed command in a process of its own. Python says on standard error what it has imported."""

    def __init__(self, words: tuple[object, ...], folder: Path) -> None:
        self.said = folder / "stderr"
        script = Path(sys.executable).with_name("slotlang")
        arguments = [str(folder if word == "CACHE" else word) for word in words]
        with self.said.open("w") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-X", "importtime", script, *arguments],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env=environment(),
                start_new_session=True,
            )

    def imports(self, module: str) -> None:
        """Wait until a module is imported."""
        when(lambda: re.search(rf"\| +{re.escape(module)}\n", self.said.read_text()) is not None)

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def end(self) -> tuple[int, str, str]:
        """Exit status and what was printed on both streams."""
        out, _ = self.process.communicate(timeout=60)
        lines = self.said.read_text().splitlines(keepends=True)
        self.said.unlink()
        return self.process.returncode, out, "".join(line for line in lines if not line.startswith("import time:"))


def started(words: tuple[object, ...], folder: Path) -> Started:
    """A command that has entered ``slotlang.cli.main``: it imports this module first. What comes before is Python's own
    start, and ``test_an_interrupt_before_slotlang_runs`` says what an interrupt does then."""
    command = Started(words, folder)
    command.imports("slotlang.files")
    return command
