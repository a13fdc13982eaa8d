"""A service, its workers and its clients are killed again and again, its disk fills up, its files are damaged: results
stay right, and what the service has acknowledged stays.

``make faults`` runs all parts; ``--docs`` writes their table to docs/serving.md, ``--kills`` says how many of the
service. Exit status 1 where something was lost or wrong. Clients (``benchmarks.fault_clients``) compare every update
with numpy, every answer that is given again with the first one, and every list of sessions with those that they were
told of. Processes are forks of one that has imported all they need (``benchmarks.forked``), so that a kill and a
restart take a fraction of a second; some are started the ordinary way.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.fault_clients import LAYERS, Clients, D, Seen, build_once, check
from benchmarks.fault_service import Serving, damage_pages, fill, flip, small_disk, wait_for
from benchmarks.forked import ROOT, Forks, free_port
from benchmarks.pages import markdown, rewrite
from slotlang.client import Session
from slotlang.diagnostics import SlotError
from slotlang_runtime import SecretKey

X = np.random.default_rng(11).standard_normal((3, D))


class Faults:
    """All parts. ``rows`` of the table."""

    def __init__(self, home: Path, seed: int) -> None:
        self.home, self.rng, self.forks, self.seen = home, random.Random(seed), Forks(), Seen()
        self.rows: list[tuple[str, int, str]] = []
        self.kills = 0

    def serving(self, name: str, *options: str, **more: Any) -> Serving:
        """A service of a folder of its own, that runs."""
        folder = self.home / name
        build_once(folder)
        found = Serving(self.forks, folder, *options, **more)
        found.start()
        found.wait()
        return found

    def row(self, fault: str, times: int, came_of_it: str) -> None:
        self.rows.append((fault, times, came_of_it))
        print(f"{times:5}  {fault}: {came_of_it}", flush=True)

    def server_kills(self, kills: int, servers: int) -> None:
        """The service is killed at random moments, during its start too; its index is damaged now and then."""
        seconds, starting, damaged = list[float](), 0, 0
        for number in range(servers):
            serving, done = self.serving(f"killed-{number}"), threading.Event()
            clients = Clients(self.seen, serving.url, serving.tokens.add("alice")[0], done.is_set, self.rng.random())
            for _ in range(kills // servers):
                # mostly after it has done something, and then in the middle of something else
                if self.rng.random() < 0.8:
                    self._progress(self.rng.randrange(1, 12))
                time.sleep(self.rng.uniform(0.0, 0.2))
                if self.rng.random() < 0.2:
                    serving.kill()
                    damaged += damage_pages(serving.state / "index.sqlite", self.rng)
                    serving.start()
                    time.sleep(self.rng.uniform(0.0, 0.3))
                    starting += 1
                    # and again, while it starts
                seconds.append(serving.restart())
                self.kills += 1
                if self.seen.wrong:
                    break
            done.set()
            clients.join()
            serving.kill()
        self.kills += starting
        counts = self.seen.counts
        self.row(
            "SIGKILL of the service while clients work",
            len(seconds) + starting,
            f"{counts['updates that were compared with numpy']} updates right, "
            f"{counts['parts of answers that were given again']} parts of answers given again byte for byte, "
            f"{counts['lists of sessions that were compared']} lists of sessions complete; "
            f"it answers again after {statistics.median(seconds):.2f} s (median)",
        )
        self.row("of these while it started", starting, "as above")
        self.row("pages of the index damaged meanwhile", damaged, "made anew from the sessions' files")

    def _progress(self, steps: int, seconds: float = 5.0) -> None:
        """Wait until clients have got some answers."""
        wanted, until = self.seen.counts.total() + steps, time.monotonic() + seconds
        while self.seen.counts.total() < wanted and time.monotonic() < until and not self.seen.wrong:
            time.sleep(0.005)

    def upload_kills(self, kills: int) -> None:
        """A client is killed while it sends its keys, and goes on as another process."""
        serving = self.serving("uploads")
        token, other = (serving.tokens.add(name)[0] for name in ("alice", "bob"))
        done, made, ended = threading.Event(), 0, 0
        busy = threading.Thread(target=self._busy, args=(serving, other, done), daemon=True)
        busy.start()
        while ended < kills and not self.seen.wrong:
            with serving.session(token, secret=None) as session:
                adapter = session.adapter()
                secret = SecretKey(adapter.ring)
                keys = secret.evaluation_keys(*adapter.programs.values())
                file = self.home / "keys"
                file.write_bytes(keys)
            about = {"sha256": hashlib.sha256(keys).hexdigest(), "bytes": len(keys)}
            headers = {"Authorization": f"Bearer {token}"}
            http = httpx.Client(base_url=serving.url, headers=headers, trust_env=False, timeout=20)
            name = http.post("/v1/sessions", json={"model": "tiny", "keys": about}).json()["id"]
            received, path = 0, f"/v1/sessions/{name}"
            while not (state := http.get(path).json())["ready"] and not self.seen.wrong:
                self.seen.expect(state["received"] >= received, "bytes of keys that were acknowledged are gone")
                received = state["received"]
                words = ["upload", serving.url, token, name, str(file), str(1 << 17)]
                client, until = self.forks.start(words, self.home / "upload.log"), time.monotonic() + 30.0
                # when it has sent something, and in the middle of the next part
                while (state := http.get(path).json())["received"] == received and not state["ready"]:
                    if time.monotonic() > until:
                        raise SystemExit(f"no keys arrive: {(self.home / 'upload.log').read_text()[-2000:]}")
                    time.sleep(0.005)
                received = state["received"]
                time.sleep(self.rng.uniform(0.0, 0.02))
                if self.rng.random() < 0.1:
                    serving.restart()
                    self.kills += 1
                self.forks.kill(client)
                ended += 1
            with serving.session(token, secret=secret) as session:
                session._inner._session = name
                check(self.seen, session, list(LAYERS), X)
            made += 1
            http.close()
        done.set()
        busy.join()
        serving.kill()
        self.kills += ended
        self.row(
            "SIGKILL of a client in the middle of its keys",
            ended,
            f"{made} uploads went on where they were and ended well; others were served meanwhile",
        )

    def _busy(self, serving: Serving, token: str, done: threading.Event) -> None:
        """A client that goes on; every call has to end well."""
        with serving.session(token) as session:
            while not done.is_set() and not self.seen.wrong:
                try:
                    check(self.seen, session, list(LAYERS), X)
                except SlotError as problem:
                    self.seen.expect(False, f"a client was not served: {problem}")

    def worker_kills(self, kills: int) -> None:
        """Workers of a scheduler are killed while clients work, and others join."""
        port, log = free_port(), self.home / "workers.log"
        address = f"tcp://127.0.0.1:{port}"
        words = ["dask", "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
        scheduler = self.forks.start(words, self.home / "scheduler.log")
        options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1", "--memory-limit", "0"]

        def join() -> int:
            return self.forks.start(["dask", "worker", address, *options], log)

        workers = [join(), join()]
        wait_for(lambda: log.read_text().count("Registered to:") >= 2)
        serving = self.serving("scheduled", "--scheduler", address)
        done = threading.Event()
        busy = [
            threading.Thread(target=self._busy, args=(serving, serving.tokens.add(name)[0], done), daemon=True)
            for name in ("alice", "bob")
        ]
        for thread in busy:
            thread.start()
        before = self.seen.counts["updates that were compared with numpy"]
        for number in range(kills):
            # when it has something to do
            self._progress(self.rng.randrange(1, 6))
            time.sleep(self.rng.uniform(0.0, 0.3))
            self.forks.kill(workers.pop(self.rng.randrange(2)))
            workers.append(join())
            wait_for(lambda number=number: log.read_text().count("Registered to:") >= 3 + number)
        time.sleep(1.5)
        done.set()
        for thread in busy:
            thread.join()
        for process in (*workers, serving.number, scheduler):
            self.forks.kill(process)
        self.kills += kills
        count = self.seen.counts["updates that were compared with numpy"] - before
        self.row("SIGKILL of one of two workers", kills, f"{count} updates right, none refused; others joined")

    def full_disk(self) -> None:
        """The state lies on a disk that fills up."""
        folder = self.home / "full"
        with small_disk(folder, 48 << 20) as mounted:
            serving = self.serving("on-a-full-disk", "--window", "3600", state=folder / "state")
            token, late = (serving.tokens.add(name)[0] for name in ("alice", "bob"))
            with serving.session(token) as session:
                check(self.seen, session, list(LAYERS), X)
                known = session.keys()
                if mounted:
                    fill(folder / "filler")
                else:
                    serving.kill()
                    serving.file_bytes = 4096
                    serving.start()
                    serving.wait()
                refused = 0
                for who in (token, token, late):
                    with Session(
                        serving.url, who, tries=1, secret=None if who == late else session._inner._secret
                    ) as one:
                        try:
                            one.update(LAYERS[0], X)
                            self.seen.expect(False, "an update on a full disk was not refused")
                        except SlotError as problem:
                            message = str(problem)
                            self.seen.expect("SL575" in message and "disk is full" in message, message)
                            refused += 1
                self.seen.expect(session.keys() == known, "a session is not what it was before the disk was full")
                if mounted:
                    (folder / "filler").unlink()
                else:
                    serving.kill()
                    serving.file_bytes = None
                    serving.start()
                    serving.wait()
                check(self.seen, session, list(LAYERS), X)
                self.seen.expect(session.keys()["id"] == known["id"], "a session was lost on a full disk")
            serving.restart()
            with serving.session(late) as other:
                check(self.seen, other, list(LAYERS), X)
            serving.kill()
        how = "a disk of 48 MB (tmpfs)" if mounted else "files of at most 4 kB (a limit: no disk could be mounted)"
        self.row("a full disk", refused, f"{how}: requests refused with SL575, 503; afterwards the same sessions work")

    def damage(self, times: int) -> None:
        """Files are damaged while the service runs, and between two runs."""
        # nothing is held, so that what is damaged is noticed at once
        serving = self.serving("damaged", "--weights-memory", "1k", "--keys-memory", "1k")
        token, other = (serving.tokens.add(name)[0] for name in ("alice", "bob"))
        state = serving.state
        with serving.session(token) as session, serving.session(other) as well:
            for one in (session, well):
                check(self.seen, one, list(LAYERS), X)
            for number in range(times):
                state_of = session.keys()
                (keys,) = (state / "keys").rglob(state_of["keys"])
                flip(keys, self.rng)
                check(self.seen, well, list(LAYERS), X)
                check(self.seen, session, list(LAYERS), X)
                self.seen.expect(session.keys()["id"] == state_of["id"], "damaged keys cost a session")
                weights = serving.folder / "tiny" / "weights" / f"{number % 3}.weights"
                before = weights.read_bytes()
                expanded = list((state / "weights").glob(f"{hashlib.sha256(before).hexdigest()[:40]}-*"))
                for path in expanded:
                    flip(path, self.rng)
                check(self.seen, session, list(LAYERS), X)
                flip(weights, self.rng)
                for path in expanded:
                    path.unlink()
                others = [layer for n, layer in enumerate(LAYERS) if n != number % 3]
                check(self.seen, session, others, X)
                try:
                    session.update(LAYERS[number % 3], X)
                    self.seen.expect(False, "damaged weights were used")
                except SlotError as problem:
                    self.seen.expect("SL562" in str(problem), str(problem))
                weights.write_bytes(before)
                check(self.seen, session, list(LAYERS), X)
                name = state / "sessions" / f"{session.keys()['id']}.json"
                flip(name, self.rng)
                name.write_bytes(name.read_bytes()[: self.rng.randrange(100)])
                check(self.seen, session, list(LAYERS), X)
                self.seen.expect(session.keys()["id"] == name.stem, "a damaged file cost a session")
                # of the index, while it runs and while it does not
                damage_pages(state / "index.sqlite", self.rng)
                check(self.seen, session, list(LAYERS), X)
                serving.kill()
                damage_pages(state / "index.sqlite", self.rng)
                serving.start()
                serving.wait()
                self.kills += 1
                for one, it in ((session, state_of), (well, well.keys())):
                    check(self.seen, one, list(LAYERS), X)
                    self.seen.expect(one.keys()["id"] == it["id"], "a damaged page cost a session")
        serving.kill()
        self.row("a byte of a key file damaged", times, "asked for again (SL578) and sent again by the client itself")
        self.row("a byte of expanded weights damaged", times, "made anew from the adapter's file")
        self.row("a byte of an adapter's weight file damaged", times, "that module is refused (SL562), others go on")
        self.row("a session's file cut off", times, "written anew from the index")
        self.row(
            "pages of the index damaged, before and after a SIGKILL", 2 * times, "made anew from the sessions' files"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 1 where something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=160, help="of the service, while clients work")
    parser.add_argument("--servers", type=int, default=4, help="one after the other")
    parser.add_argument("--uploads", type=int, default=40, help="kills of clients")
    parser.add_argument("--workers", type=int, default=20, help="kills of workers")
    parser.add_argument("--damages", type=int, default=10, help="of files of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--docs", action="store_true", help="rewrite the table in docs/serving.md")
    options = parser.parse_args(arguments)
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="slotlang-faults-") as home:
        faults = Faults(Path(home), options.seed)
        try:
            faults.server_kills(options.kills, options.servers)
            faults.upload_kills(options.uploads)
            faults.worker_kills(options.workers)
            faults.full_disk()
            faults.damage(options.damages)
        finally:
            faults.forks.close()
    seconds = time.monotonic() - start
    for what, count in sorted(faults.seen.counts.items()):
        print(f"{count:7} {what}")
    print(f"{faults.kills} kills in {seconds:.0f} s")
    for what in faults.seen.wrong:
        print(f"WRONG: {what}", file=sys.stderr)
    if options.docs and not faults.seen.wrong:
        table = [("fault", "times", "what came of it"), *((a, str(b), c) for a, b, c in faults.rows)]
        head = f"`make faults`, {faults.kills} kills in {seconds:.0f} s; nothing wrong, nothing acknowledged lost:"
        rewrite(ROOT / "docs" / "serving.md", ["", head, *markdown(table, ("what came of it",))], "faults")
    return 1 if faults.seen.wrong or not faults.seen.counts["updates that were compared with numpy"] else 0


if __name__ == "__main__":
    sys.exit(main())
