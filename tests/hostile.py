"""Requests that nobody honest sends: ``python tests/hostile.py 5000`` sends that many to a service of its own.

Truncated and oversized bodies, other tenants' sessions, replays, bodies that come slowly or not at all, wrong lengths
at every place where one stands, tricks in names, forged containers, and bytes that are not HTTP. For each kind it is
known which answers are right. What must hold besides: the process lives and logs no failure, nothing of a session or
adapter of another tenant differs from one that does not exist, answers and connections end within the limits of time,
memory stays bounded, and an honest client gets right updates all the while.
"""

from __future__ import annotations

import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from hostile_kinds import CLOSED, IDLE, OPTIONS, Attack, Kinds
from served import LAYERS, D, Process, build, update_of

from slotlang.client import Session


class Hostile(Kinds):
    """Sends attacks, and looks at what comes back: ``counts`` of it, and what is ``wrong``."""

    def __init__(self, process: Process, seed: int = 0) -> None:
        super().__init__(process, seed)
        self.counts, self.wrong = Counter[str](), list[str]()
        self._lock = threading.Lock()

    def send(self, attack: Attack) -> None:
        """Send it, and see whether what comes back is right."""
        start = time.monotonic()
        status, body = self.answer(attack)
        seconds = time.monotonic() - start
        kind = attack.kind.split()[0] if attack.kind.startswith("replayed ") else attack.kind
        problem = ""
        if status not in attack.right:
            problem = f"got {status}, {body[:200]!r}"
        elif attack.like and status:
            other = self.answer(Attack(kind, (attack.like,), attack.right))
            mine, theirs = attack.words
            if (status, body.replace(mine, theirs) if mine else body) != other:
                problem = f"differs from what is missing: {body[:200]!r} and {other!r:.300}"
        elif seconds > 6 * IDLE + 4:
            problem = f"took {seconds:.1f} s"
        with self._lock:
            if attack.kind.startswith("replayed ") and status == 200:
                key = attack.kind.split()[1]
                sent, before = self.replays[key]
                self.replays[key] = (sent, before or body)
                if before and before != body:
                    problem = "another answer than the first one"
            self.counts[f"{kind}: {status or 'closed'}"] += 1
            if problem:
                self.wrong.append(f"{kind}: {problem}, to {attack.pieces[0][:300]!r}")

    def answer(self, attack: Attack) -> tuple[int, bytes]:
        """Status and body; ``CLOSED`` where the connection ends without one."""
        data = b""
        try:
            with socket.create_connection((self.host.host, self.host.port or 0), timeout=30) as connection:
                try:
                    for number, piece in enumerate(attack.pieces):
                        if number and attack.pause:
                            time.sleep(attack.pause)
                        connection.sendall(piece)
                    if attack.ends:
                        connection.shutdown(socket.SHUT_WR)
                except (BrokenPipeError, ConnectionResetError):
                    # refused before all was sent; the answer may be there
                    pass
                bodiless = attack.pieces[0].startswith(b"HEAD ")
                while not _whole(data, bodiless):
                    part = connection.recv(1 << 16)
                    if not part:
                        break
                    data += part
        except ConnectionResetError:
            pass
        head, _, body = data.partition(b"\r\n\r\n")
        words = head.split(b" ", 2)
        return (int(words[1]), body) if len(words) > 1 and words[1].isdigit() else (CLOSED, data)

    def run(self, count: int, threads: int = 8) -> None:
        """Send this many, some at a time."""
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(self.send, self.attacks(count)):
                pass


def _whole(data: bytes, bodiless: bool) -> bool:
    """Whether this is an answer with its body."""
    head, end, body = data.partition(b"\r\n\r\n")
    if bodiless:
        return bool(end)
    lines = head.lower().split(b"\r\n")
    for line in lines:
        if line.startswith(b"content-length:"):
            return bool(end) and len(body) >= int(line.partition(b":")[2])
    return bool(end) and body.endswith(b"0\r\n\r\n")


class Honest(threading.Thread):
    """A client that asks for updates while others do what they do. ``problems``: what it should not have seen."""

    def __init__(self, process: Process) -> None:
        super().__init__(daemon=True)
        self.process, self.token = process, process.token("alice")
        self.ended, self.updates, self.problems = threading.Event(), 0, list[str]()
        self.longest = 0.0

    def run(self) -> None:
        rng = np.random.default_rng(1)
        with Session(self.process.url, self.token, model="tiny") as session:
            session.keys()
            while not self.ended.wait(0.05):
                x, start = rng.standard_normal((2, D)), time.monotonic()
                try:
                    y = session.update(LAYERS[0], x)
                except Exception as problem:
                    self.problems.append(f"an honest client got {problem}")
                    continue
                self.longest = max(self.longest, time.monotonic() - start)
                self.updates += 1
                if np.abs(y - update_of(LAYERS[0], x)).max() > 1e-5:
                    self.problems.append("an honest client got a wrong update")

    def stop(self) -> None:
        self.ended.set()
        self.join()


def memory_of(pid: int, line: str = "VmRSS") -> int:
    """Bytes that a process holds, or held at most (``VmHWM``)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * next(int(text.split()[1]) for text in lines if text.startswith(line))


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    with tempfile.TemporaryDirectory(prefix="slotlang-hostile-") as home:
        folder = Path(home) / "service"
        build(folder)
        build(folder, "others", layers=LAYERS[:1], seed=1)
        process = Process(folder, *OPTIONS)
        try:
            honest, hostile = Honest(process), Hostile(process)
            honest.start()
            hostile.run(50)
            before, start = memory_of(process.process.pid), time.monotonic()
            hostile.run(count)
            seconds = time.monotonic() - start
            honest.stop()
            most = memory_of(process.process.pid, "VmHWM")
            alive = process.process.poll() is None and process.stop() == 0
            log = process.log.read_text()
        finally:
            process.close()
    wrong = [*hostile.wrong, *honest.problems]
    wrong += [] if alive else ["the service did not end well"]
    wrong += ["a failure is in the log"] if "Traceback" in log or "failed" in log else []
    for what, number in sorted(hostile.counts.items()):
        print(f"{number:6} {what}")
    print(f"{count} hostile requests in {seconds:.0f} s")
    print(f"an honest client got {honest.updates} updates meanwhile, each within {1000 * honest.longest:.0f} ms")
    print(f"memory: {before / 1e6:.0f} MB before, {most / 1e6:.0f} MB at most")
    for problem in wrong[:20]:
        print(f"WRONG: {problem}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
