"""What ``benchmarks.service_faults`` kills and damages: a service as a process, its disk and its files."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from benchmarks.forked import Forks, free_port
from slotlang.client import Session
from slotlang.service.tokens import Tokens


class Serving:
    """``slotlang serve`` of a folder on a fixed port, as a process that is killed and started again."""

    def __init__(self, forks: Forks, folder: Path, *options: str, state: Path | None = None) -> None:
        self.forks, self.folder, self.state = forks, folder, state or folder / ".state"
        self.port, self.log, self.number = free_port(), folder.parent / f"{folder.name}.log", 0
        self.url = f"http://127.0.0.1:{self.port}"
        self.words = ["slotlang", "serve", str(folder), "--port", str(self.port), "--state", str(self.state)]
        self.words += ["--rate", "10000", "--token-rate", "100000000", *options]
        self.file_bytes: int | None = None
        self.tokens = Tokens(self.state / "tokens")

    def start(self) -> None:
        self.number = self.forks.start(self.words, self.log, self.file_bytes)

    def wait(self, seconds: float = 30.0) -> None:
        """Wait until it answers."""
        until = time.monotonic() + seconds
        while True:
            try:
                if httpx.get(f"{self.url}/health", trust_env=False, timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            if time.monotonic() > until:
                raise SystemExit(f"the service does not start: {self.log.read_text()[-2000:]}")
            time.sleep(0.005)

    def kill(self, how: int = signal.SIGKILL) -> None:
        self.forks.kill(self.number, how)

    def restart(self, how: int = signal.SIGKILL) -> float:
        """Kill it and start it again; the seconds until it answers."""
        begun = time.monotonic()
        self.kill(how)
        self.start()
        self.wait()
        return time.monotonic() - begun

    def session(self, token: str, **more: Any) -> Session:
        return Session(self.url, token, tries=60, **more)


def damage_pages(path: Path, rng: random.Random) -> int:
    """Overwrite some bytes of a random page; 1 where there was one."""
    try:
        data = bytearray(path.read_bytes())
    except FileNotFoundError:
        return 0
    if len(data) < 4096:
        return 0
    at = rng.randrange(len(data) // 4096) * 4096 + rng.randrange(4000)
    data[at : at + 96] = rng.randbytes(96)
    with path.open("r+b") as stream:
        stream.write(data)
    return 1


def flip(path: Path, rng: random.Random) -> None:
    """Change a byte."""
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 + rng.randrange(255)
    # another file, as a disk that gives other bytes than before: what is mapped stays as it was
    damaged = path.with_name(f"{path.name}.damaged")
    damaged.write_bytes(data)
    damaged.replace(path)


def fill(path: Path) -> None:
    """Write until there is no room."""
    with path.open("wb", buffering=0) as stream:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    stream.write(bytes(size))
            except OSError:
                continue


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[bool]:
    """A folder on a disk of its own; gives whether that could be had."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(folder)]
    mounted = shutil.which("mount") is not None and subprocess.run(mount, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def wait_for(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something holds."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            raise SystemExit("a worker did not join in time")
        time.sleep(0.01)
