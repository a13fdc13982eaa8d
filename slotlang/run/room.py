"""How much memory this process may still take: by its own limits, its control group's, and the machine's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from slotlang_runtime.amounts import count_of

_UNLIMITED = 1 << 60


@dataclass(frozen=True)
class Room:
    """A limit: ``free`` bytes of address space or of memory, and ``why`` there are no more."""

    kind: Literal["address space", "memory"]
    free: int
    why: str


def rooms() -> Iterator[Room]:
    """Every limit that is known here. Systems without ``/proc`` have fewer of them."""
    yield from _process_limits()
    yield from _group_limits()
    meminfo = _numbers(Path("/proc/meminfo"))
    if "MemAvailable" in meminfo:
        free = 1024 * (meminfo["MemAvailable"] + meminfo.get("SwapFree", 0))
        yield Room("memory", free, f"the machine has {count_of(1024 * meminfo.get('MemTotal', 0), 'byte')} of memory")


def _process_limits() -> Iterator[Room]:
    try:
        import resource
    except ImportError:  # not a POSIX system
        return
    used = _numbers(Path("/proc/self/status"))
    for limit, field, option in ((resource.RLIMIT_AS, "VmSize", "-v"), (resource.RLIMIT_DATA, "VmData", "-d")):
        soft, _ = resource.getrlimit(limit)
        if soft != resource.RLIM_INFINITY and field in used:
            taken = 1024 * used[field]
            why = f"ulimit {option} allows this process {count_of(soft, 'byte')}, of which it has {taken:,}"
            yield Room("address space", max(0, soft - taken), why)


def _group_limits() -> Iterator[Room]:
    """Limits of control groups: the process's own and those above it, in both versions of the interface."""
    root = Path("/sys/fs/cgroup")
    for line in _text(Path("/proc/self/cgroup")).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        if number == "0":
            base, files, cached = root, ("memory.max", "memory.current"), "inactive_file"
        elif "memory" in controllers.split(","):
            base = root / "memory"
            files, cached = ("memory.limit_in_bytes", "memory.usage_in_bytes"), "total_inactive_file"
        else:
            continue
        folder = base / name.lstrip("/")
        for group in (folder, *folder.parents):
            limit, used = (_text(group / file).strip() for file in files)
            if limit.isdigit() and used.isdigit() and int(limit) < _UNLIMITED:
                # pages of files that nobody uses are given up when memory is short
                taken = int(used) - _numbers(group / "memory.stat").get(cached, 0)
                why = f"the control group {group} allows {count_of(int(limit), 'byte')}, of which {taken:,} are taken"
                yield Room("memory", max(0, int(limit) - taken), why)
            if group == base:
                break


def margin(taken: int) -> int:
    """Bytes of address space that must stay free while SEAL computes, where the process has ``taken`` others: SEAL's
    memory pools grow by a twentieth at a time."""
    return (48 << 20) + taken // 16


def nearly_out() -> bool:
    """Whether a limit leaves this process so little address space that whatever fails, fails for want of it."""
    return any(room.kind == "address space" and room.free < 48 << 20 for room in _process_limits())


def _text(path: Path) -> str:
    try:
        with path.open(encoding="ascii", errors="replace") as stream:
            return stream.read(1 << 16)
    except OSError:
        return ""


def _numbers(path: Path) -> dict[str, int]:
    """Lines such as ``VmSize:  1024 kB`` as numbers by name."""
    found = {}
    for line in _text(path).splitlines():
        name, *values = line.replace(":", " ").split() or [""]
        if values and values[0].isdigit():
            found[name] = int(values[0])
    return found


__all__ = ["Room", "margin", "nearly_out", "rooms"]
