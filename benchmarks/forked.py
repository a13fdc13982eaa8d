"""Processes that start in a moment: forks of one that has imported what they need.

``python -m benchmarks.forked`` imports the service, Dask and the client, reads a line of JSON for each process, forks,
and says its number. A fork runs the same code as a process that was started by a shell; it only skips the imports.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

_NEEDED = (
    "benchmarks.fault_clients",
    "distributed.cli.dask_scheduler",
    "distributed.cli.dask_worker",
    "slotlang.cli.app",
    "slotlang.cli.serving",
    "slotlang.service.dask",
    "slotlang.service.serving",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
)

ROOT = Path(__file__).resolve().parent.parent


class Forks:
    """Starts processes. Each writes what it prints into a file."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.forked"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=ROOT,
        )
        self._running: set[int] = set()

    def start(self, words: Sequence[str], log: Path, file_bytes: int | None = None) -> int:
        """A process of a command: ``slotlang``, ``dask`` or ``upload``, and its arguments; its number. ``file_bytes``:
        the largest file that it may write."""
        assert self._process.stdin is not None and self._process.stdout is not None
        request = {"words": list(words), "log": str(log), "file_bytes": file_bytes}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        number = int(self._process.stdout.readline())
        self._running.add(number)
        return number

    def kill(self, number: int, how: int = signal.SIGKILL) -> None:
        """Send a signal, and wait until the process is gone."""
        with suppress(ProcessLookupError):
            os.kill(number, how)
        while is_running(number):
            time.sleep(0.002)
        self._running.discard(number)

    def close(self) -> None:
        """End all that still runs."""
        for number in list(self._running):
            self.kill(number)
        self._process.terminate()
        self._process.wait()


def is_running(number: int) -> bool:
    """Whether a process is there."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def free_port() -> int:
    """A port that nobody listens to now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _run(words: list[str]) -> None:
    what, *arguments = words
    sys.argv = words
    if what == "slotlang":
        from slotlang.cli import main

        main()
    elif what == "dask":
        from dask.cli import run_cli

        run_cli()
    else:
        from benchmarks.fault_clients import upload

        upload(*arguments)


def _main() -> None:
    for name in _NEEDED:
        import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        request = json.loads(line)
        number = os.fork()
        if number:
            print(number, flush=True)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for descriptor in (1, 2):
            os.dup2(log, descriptor)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        if request["file_bytes"] is not None:
            import resource

            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_bytes"],) * 2)
        try:
            _run(request["words"])
        except SystemExit as ended:
            sys.stdout.flush()
            os._exit(ended.code if isinstance(ended.code, int) else 1)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(70)
        os._exit(0)


if __name__ == "__main__":
    _main()
