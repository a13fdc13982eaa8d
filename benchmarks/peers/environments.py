"""A virtual environment for every library that is measured, made where it can be, else the reason in one line."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ENVIRONMENTS = ROOT / ".venv-peers"
INSTALLING = 900
"""Seconds."""


@dataclass(frozen=True)
class Peer:
    """A measuring script of this folder. Without ``requirements`` it runs in our own environment; ``pythons`` are the
    versions that its wheels are made for, best first; ``sources`` are built against what ``requirements`` brought."""

    script: str
    requirements: str = ""
    pythons: tuple[str, ...] = ()
    note: str = ""
    sources: str = ""


class Absent(Exception):
    """A library that cannot be used here; the message is one line."""


def interpreter(version: str) -> str | None:
    """A Python of that version: this one, one on the path, or one that pyenv holds."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    held = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}*/bin/python"))
    for path in (shutil.which(f"python{version}"), *held):
        # a pyenv shim is on the path for versions that are not selected, and fails
        if path and subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0:
            return str(path)
    return None


def python_of(peer: Peer, environments: Path = ENVIRONMENTS) -> str:
    """The interpreter that runs a peer's script; makes its environment at first. Raises Absent."""
    if not peer.requirements:
        return sys.executable
    requirements, *sources = (HERE / name for name in (peer.requirements, peer.sources) if name)
    pinned = "".join(path.read_text() for path in (requirements, *sources))
    folder = environments / peer.script
    ready, python = folder / ".ready", str(folder / "bin" / "python")
    if ready.is_file() and ready.read_text() == pinned:
        return python
    base = next(filter(None, map(interpreter, peer.pythons)), None)
    if base is None:
        raise Absent(f"needs Python {' or '.join(peer.pythons)}, which is not installed")
    shutil.rmtree(folder, ignore_errors=True)
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    commands = [[base, "-m", "venv", str(folder)], [*install, "-r", str(requirements)]]
    for path in sources:
        # isolated, a build would not see what it is for; a cached one may be for another version of that
        commands.append([*install, "--no-build-isolation", "--no-cache-dir", "-r", str(path)])
    for command in commands:
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALLING)
        except (OSError, subprocess.TimeoutExpired) as problem:
            raise Absent(f"cannot be installed: {problem}") from None
        if done.returncode:
            raise Absent(f"cannot be installed: {last_line(done.stderr)}")
    ready.write_text(pinned)
    return python


def last_line(text: str) -> str:
    """What a failed command said last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it does not say why"
