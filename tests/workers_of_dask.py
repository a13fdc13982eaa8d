"""A real Dask scheduler and its workers, each a process of its own, and certificates for them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from repository import ROOT

_AUTHORITY = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={0}"


def certificates(folder: Path, name: str = "cluster") -> list[Path] | None:
    """Files of an authority, and of a certificate of it with its key; None where openssl can't make them."""
    ca, request, certificate, key = (folder / f"{name}-{end}.pem" for end in ("ca", "request", "cert", "key"))
    ca_key, extensions = folder / f"{name}-ca-key.pem", folder / f"{name}.ext"
    extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    for words in (
        f"{_AUTHORITY.format(name)} -keyout {ca_key} -out {ca}",
        "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost "
        f"-keyout {key} -out {request}",
        f"openssl x509 -req -days 2 -in {request} -CA {ca} -CAkey {ca_key} -CAcreateserial -extfile {extensions} "
        f"-out {certificate}",
    ):
        try:
            subprocess.run(words.split(), check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            return None
    return [ca, certificate, key]


def free_port() -> int:
    """A port that nobody listens to now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Cluster:
    """A scheduler on the loopback, with workers that are started and killed one by one. ``tls``: files of an authority,
    a certificate and its key."""

    def __init__(self, folder: Path, tls: list[Path] | None = None) -> None:
        self.folder, self.tls = folder, tls
        self.port = free_port()
        self.address = f"{'tls' if tls else 'tcp'}://127.0.0.1:{self.port}"
        self.workers: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._started("scheduler", "--host", self.address.rpartition(":")[0], "--port", str(self.port))

    def _started(self, what: str, *words: str) -> subprocess.Popen[bytes]:
        tls = ["--tls-ca-file", "--tls-cert", "--tls-key"]
        files = [str(word) for pair in zip(tls, self.tls or [], strict=False) for word in pair]
        command = [sys.executable, "-m", "dask", what, *words, "--no-dashboard", *files]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with (self.folder / f"{what}.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, env=environment)

    def join(self, *words: str) -> subprocess.Popen[bytes]:
        """A worker with one thread that joins; it does so a second or two later."""
        options = ["--nthreads", "1", "--no-nanny", "--host", "127.0.0.1", "--memory-limit", "0", *words]
        worker = self._started("worker", self.address, *options)
        self.workers.append(worker)
        return worker

    def wait(self, count: int, seconds: float = 60.0) -> None:
        """Wait until this many workers have said that they have joined."""
        until = time.monotonic() + seconds
        while (self.folder / "worker.log").read_text().count("Registered to:") < count:
            assert time.monotonic() < until, (self.folder / "worker.log").read_text()
            time.sleep(0.05)

    def options(self) -> list[str]:
        """Those of ``slotlang serve`` for it."""
        names = ["--scheduler", "--scheduler-ca", "--scheduler-cert", "--scheduler-key"]
        values = [self.address, *map(str, self.tls or [])]
        return [word for pair in zip(names, values, strict=False) for word in pair]

    def close(self) -> None:
        """End all of it."""
        for process in (*self.workers, self.scheduler):
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()
