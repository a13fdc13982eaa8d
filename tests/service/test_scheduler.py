"""``slotlang serve --scheduler`` over real HTTP, with a real scheduler and real workers, each a process of its own."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from command_line import slotlang
from served import LAYERS, Process, build, update_of
from workers_of_dask import Cluster, certificates

from slotlang.client import Session

X = np.random.default_rng(7).standard_normal((6, 32))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    found = Cluster(tmp_path_factory.mktemp("cluster"))
    found.join()
    found.join()
    found.wait(2)
    yield found
    found.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("scheduled") / "service"
    build(found)
    return found


def check(session: Session, x: np.ndarray = X) -> None:
    """The updates of all modules are those of numpy."""
    for layer, found in session.updates(list(LAYERS), x).items():
        assert np.abs(found - update_of(layer, x)).max() < 1e-5


def evaluations_of(cluster: Cluster, session: Session, seconds: float) -> dict[int, float]:
    """CPU seconds of each worker while updates are asked for."""
    before, until = {w.pid: cpu_of(w.pid) for w in cluster.workers if w.poll() is None}, time.monotonic() + seconds
    while time.monotonic() < until:
        check(session)
    return {pid: cpu_of(pid) - then for pid, then in before.items()}


def cpu_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
def test_workers_of_a_scheduler_give_the_values_of_threads(cluster: Cluster, folder: Path) -> None:
    """The same values; a worker that is killed costs time and nothing else; one that joins is used."""
    process = Process(folder, *cluster.options())
    try:
        token = process.token("alice")
        with Session(process.url, token) as session:
            check(session)
            # a thread each, and weights of three modules: both have work
            assert all(seconds > 0.02 for seconds in evaluations_of(cluster, session, 1.0).values())
            own = cpu_of(process.process.pid)
            used = evaluations_of(cluster, session, 1.0)
            assert sum(used.values()) > cpu_of(process.process.pid) - own, "the service evaluates by itself"
            threading.Timer(0.3, cluster.workers[0].send_signal, [signal.SIGKILL]).start()
            until = time.monotonic() + 2.0
            while time.monotonic() < until:
                check(session)
            assert cluster.workers[0].wait() == -signal.SIGKILL
            joined = cluster.join()
            cluster.wait(3)
            # it is seen at the next look
            time.sleep(1.5)
            assert evaluations_of(cluster, session, 1.0)[joined.pid] > 0.02
            # and the last of the first ones goes, with what it had
            cluster.workers[1].kill()
            check(session)
    finally:
        process.close()
    threads = Process(folder)
    try:
        with Session(threads.url, token) as session:
            check(session)
    finally:
        threads.close()


@pytest.mark.slow
def test_a_scheduler_with_tls_and_certificates_of_ones_own(tmp_path: Path, folder: Path) -> None:
    tls = certificates(tmp_path)
    foreign = certificates(tmp_path, "foreign")
    if tls is None or foreign is None:
        pytest.skip("openssl makes no certificates")
    cluster = Cluster(tmp_path, tls)
    process = None
    try:
        cluster.join()
        cluster.wait(1)
        process = Process(folder, *cluster.options())
        with Session(process.url, process.token("alice")) as session:
            check(session)
        process.stop()
        # a certificate of somebody else, and none: nobody is let in
        cluster.tls = foreign
        ended = slotlang("serve", str(folder), "--port", "0", *cluster.options())
        assert ended.status == 2 and "error[SL584]" in ended.err, ended.err
        plain = ["--scheduler", cluster.address.replace("tls", "tcp")]
        ended = slotlang("serve", str(folder), "--port", "0", *plain)
        assert ended.status == 2 and "error[SL584]" in ended.err, ended.err
    finally:
        if process is not None:
            process.close()
        cluster.close()


@pytest.mark.slow
def test_a_scheduler_that_ends_and_comes_back(tmp_path: Path, folder: Path) -> None:
    cluster = Cluster(tmp_path)
    process = None
    try:
        cluster.join()
        cluster.wait(1)
        process = Process(folder, *cluster.options(), "--wait", "60")
        with Session(process.url, process.token("alice")) as session:
            check(session)
            cluster.scheduler.kill()
            cluster.scheduler.wait()
            assert httpx.get(f"{process.url}/health", trust_env=False).status_code == 200
            # its workers end with it; a supervisor starts all of them again
            cluster.workers[0].kill()
            cluster.scheduler = cluster._started("scheduler", "--host", "tcp://127.0.0.1", "--port", str(cluster.port))
            cluster.join()
            check(session)
    finally:
        if process is not None:
            process.close()
        cluster.close()
