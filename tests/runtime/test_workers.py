"""Several evaluations, by one process or more: the same results, and no process left however it ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_programs import case

from slotlang import api
from slotlang.diagnostics import SlotError
from slotlang.planning.target import Hide, Target
from slotlang.run.runner import Batches, execute, load_module, random_data, split_tokens

SMALL = api.Parameters(4096, (36, 36, 37), 20)
PAIRS = """program pairs(d = 4, r = 4, batch = 2, slots = 8)
let R = r / 2
input x[d, batch]
weight A[d, r], B[r, d]
scalar scale
axes (h < d, t < batch)
cipher X = x[h, t]
plain W[q < R] = B[(h - q) % R, h] + 1i * B[(h - q) % R + R, h]
P[q < R] = X * W[q]
T = sum q < R by horner: P[q] << q*batch
S = sum f < d/R by doubling: T << f*R*batch
plain V[q < R] = scale * (A[h, (h + q) % R] - 1i * A[h, (h + q) % R + R])
Y = sum q < R: (S << q*batch) * V[q]
output y[h, t] = re Y
prove y == scale * A @ B @ x
"""
LOOP = """
import os, signal, sys, time
from slotlang.api import Parameters, load, loads, lower
from slotlang.run.runner import load_module
# started in the background, it would ignore Ctrl-C
signal.signal(signal.SIGINT, signal.default_int_handler)
module = load_module(lower(loads(sys.argv[1]), Parameters(4096, (36, 36, 37), 20)).text)
def wait(item):
    os.write(1, b"at work\\n")
    time.sleep(600)
try:
    module.Workers(wait, 2).map([b"1", b"2", b"3", b"4"], lambda count: None)
except KeyboardInterrupt:
    sys.exit(130)
"""


@cache
def lowered(hide: Hide = "mask") -> api.Lowered:
    return api.lower(api.loads(PAIRS), SMALL, target=Target(hide=hide))


class World:
    """A client, its server with weights, and five encrypted inputs."""

    def __init__(self, hide: Hide = "mask") -> None:
        self.module: Any = load_module(lowered(hide).text)
        self.inputs, self.weights = random_data(lowered().plan.program, 0)
        self.client = self.module.Client()
        self.server = self.module.Server(self.client.evaluation_keys())
        self.server.encode(**self.weights)
        self.uploads = [self.client.encrypt(x=self.inputs["x"] + n) for n in range(5)]


def no_process_left() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return not multiprocessing.active_children()
    return False


@pytest.mark.parametrize("hide", ["mask", "none"])
def test_workers_compute_what_one_does(hide: Hide) -> None:
    world = World(hide)
    server, seen = world.server, []
    alone = server.evaluate_many(world.uploads)
    counts = server.counts
    assert counts == {k: 5 * v for k, v in lowered(hide).plan.counts.executed().items()}
    shared = server.evaluate_many(iter(world.uploads), 3, seen.append)
    assert (server.counts, len(server.worker_seconds), seen) == (counts, 3, [1, 2, 3, 4, 5])
    for n, (a, b) in enumerate(zip(alone, shared, strict=True)):
        assert (a == b) == (hide == "none")  # masks are new for each evaluation
        assert np.array_equal(world.client.decrypt(a), world.client.decrypt(b))
        expected = world.weights["A"] @ world.weights["B"] @ (world.inputs["x"] + n)
        assert np.abs(world.client.decrypt(b) - expected).max() < 0.1
    assert no_process_left()


def test_more_workers_than_work() -> None:
    world = World()
    assert world.server.evaluate_many([], 2) == []
    world.server.evaluate_many(world.uploads[:2], 50)
    assert len(world.server.worker_seconds) == 2
    for workers in (0, -1, 1.5, True, "2"):
        with pytest.raises(world.module.Rejected, match="whole number from 1"):
            world.server.evaluate_many(world.uploads, workers)


def test_workers_that_were_started_are_used_until_they_are_stopped() -> None:
    world = World("none")
    server = world.server
    alone = server.evaluate_many(world.uploads)
    server.start(2)
    processes = {process.pid for process in multiprocessing.active_children()}
    for _ in range(3):
        assert server.evaluate_many(world.uploads) == alone
        assert len(server.worker_seconds) == 2 and all(seconds > 0 for seconds in server.worker_seconds)
    assert server.evaluate_many([]) == [] and server.evaluate_many(world.uploads[:1]) == alone[:1]
    assert server.evaluate_many(world.uploads, 1) == alone and len(server.worker_seconds) == 1
    assert server.evaluate_many(world.uploads, 3) == alone and len(server.worker_seconds) == 3
    assert {process.pid for process in multiprocessing.active_children()} == processes
    server.stop()
    server.stop()
    assert no_process_left() and server.evaluate_many(world.uploads) == alone


def test_workers_do_not_outlive_the_weights_they_have() -> None:
    world = World("none")
    world.server.start(2)
    world.server.encode(**{**world.weights, "A": 2 * world.weights["A"]})
    assert world.server.workers is None and no_process_left()
    (found,) = world.server.evaluate_many(world.uploads[:1])
    expected = 2 * world.weights["A"] @ world.weights["B"] @ world.inputs["x"]
    assert np.abs(world.client.decrypt(found) - expected).max() < 0.1


def test_started_workers_that_fail_are_gone_and_can_be_started_again() -> None:
    world = World()
    world.server.start(2)
    with pytest.raises(world.module.Rejected, match="truncated"):
        world.server.evaluate_many([world.uploads[0][:-9]] * 3)
    assert world.server.workers is None and no_process_left()
    world.server.start(2)
    assert len(world.server.evaluate_many(world.uploads)) == 5
    world.server.stop()


def test_no_mask_is_used_in_two_processes() -> None:
    world = World()
    server, upload = world.server, world.uploads[0]
    server.prepare()
    server.prepare()
    prepared = list(server.prepared)
    found = server.evaluate_many([upload] * 4, 2)
    assert server.prepared == prepared
    found += [server.evaluate(upload) for _ in prepared]
    assert not server.prepared
    assert len(set(found)) == len(found)


def test_what_a_worker_rejects_is_rejected() -> None:
    world = World()
    world.uploads[3] = world.uploads[3][:-9]
    with pytest.raises(world.module.Rejected, match="truncated"):
        world.server.evaluate_many(world.uploads, 2)
    assert no_process_left()
    world.server.evaluate_many(world.uploads[:3], 2)


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), r"ended by signal 9 \(out of memory\?\) at item [23] of 5"),
        (lambda: os._exit(3), "ended with status 3 at item [23] of 5"),
        (lambda: 1 // 0, "failed at item [23] of 5: ZeroDivisionError"),
    ],
)
def test_a_worker_that_ends_early(end: Any, message: str) -> None:
    module: Any = load_module(lowered().text)
    with pytest.raises(module.WorkerFailed, match=message):
        workers = module.Workers(lambda item: end() if item in (b"1", b"2") else (b"", item), 2)
        workers.map([b"%d" % n for n in range(5)], lambda count: None)
    assert no_process_left()


def test_a_worker_that_ends_early_is_a_diagnostic() -> None:
    made = lowered()
    text = made.text.replace(
        "    def _evaluated(self, data):\n", "    def _evaluated(self, data):\n        os._exit(7)\n"
    )
    assert text != made.text
    inputs, weights = random_data(made.plan.program, 0)
    with pytest.raises(SlotError) as failed:
        execute(text, made.plan.counts.executed(), Batches([inputs] * 3), weights, workers=2)
    assert failed.value.diagnostics[0].code == "SL511"
    assert "status 7" in failed.value.diagnostics[0].message
    assert no_process_left()


def test_workers_that_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = load_module(lowered().text)
    start = multiprocessing.get_context("fork").Process.start

    def second_fails(process: Any) -> None:
        if multiprocessing.active_children():
            raise OSError(11, "Resource temporarily unavailable")
        start(process)

    monkeypatch.setattr(multiprocessing.get_context("fork").Process, "start", second_fails)
    with pytest.raises(module.WorkerFailed, match="worker 2 can't start: Resource"):
        module.Workers(lambda item: (b"", item), 3)
    monkeypatch.undo()
    assert no_process_left()


def test_an_interrupt_leaves_no_worker() -> None:
    module: Any = load_module(lowered().text)

    def interrupt(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        module.Workers(lambda item: (b"", item), 2).map([b"item"] * 50, interrupt)
    assert no_process_left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_signals_leave_no_worker(number: signal.Signals) -> None:
    """Ctrl-C reaches all processes. Killed alone, the first leaves workers that end with their item."""
    command = [sys.executable, "-c", LOOP.replace("600", "20 if sys.argv[2] == '2' else 0.1"), PAIRS, str(int(number))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"at work\n"
        (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
        # workers hold the other end of both pipes: these end when the last one has
        _, err = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -number), err.decode()
    assert err == b""


def test_matrix_products_by_workers_and_from_the_cache(tmp_path: Path) -> None:
    parameters = api.Parameters(4096, (36, 36, 37), 24, (), (24, 20, 18))
    sizes = {"d": 8, "n": 6, "r": 3, "batch": 2048}
    states = []
    for number in range(3):
        found = api.run(
            "programs/columns.slot",
            sizes,
            parameters=parameters,
            tokens=5000,
            workers=2,
            cache=tmp_path,
            target=Target(kernel="matrix"),
        )
        assert found.lowered.plan.kernel == "matrix"
        report = found.report
        assert report.cache is not None
        states.append(report.cache.state)
        assert (report.passed, report.counts_match, report.evaluations, report.workers) == (True, True, 3, 2)
        if number == 1:
            path = Path(report.cache.file)
            path.write_bytes(path.read_bytes()[:-1])
    assert states == ["stored", "loaded", "rebuilt"]
    assert no_process_left()


def test_results_of_other_lengths_follow_each_other() -> None:
    module: Any = load_module(lowered().text)
    sizes = [70_000, 3, 0, 9_000, 8_192, 5, 1, 200_000, 2]
    items = [bytes([n % 251]) * n for n in sizes]
    workers = module.Workers(lambda item: (item[::-1] + b"!", -len(item)), 2)
    for given in (items, items[::-1], [], items[:1]):
        found, seconds = workers.map(given, lambda count: None)
        assert found == [(item[::-1] + b"!", -len(item)) for item in given]
        assert len(seconds) == 2
    workers.end()
    assert no_process_left()


# tokens


@pytest.mark.parametrize(("tokens", "padding"), [(1, 1), (2, 0), (5, 1)])
def test_tokens_are_split_and_padded(tokens: int, padding: int, tmp_path: Path) -> None:
    made = lowered()
    values = np.random.default_rng(3).standard_normal((tokens + 2, 4))
    np.save(tmp_path / "x.npy", values)
    program = made.plan.program
    inputs, weights = random_data(program, 0)
    batches, count, held = split_tokens(program, inputs, tmp_path / "x.npy", tokens, 0)
    assert (count, held, batches.padding, len(batches.inputs)) == (tokens, tokens + 2, padding, -(-tokens // 2))
    joined = np.concatenate([b["x"] for b in batches.inputs], axis=1)
    assert np.array_equal(joined[:, :tokens], values[:tokens].T)
    assert not joined[:, tokens:].any()
    report = execute(made.text, made.plan.counts.executed(), batches, weights, workers=2)
    assert report.counts_match
    assert report.evaluations == -(-tokens // 2)
    assert report.relative_error < 0.05
    assert report.max_error > 0


def test_a_wrong_evaluation_among_right_ones_is_seen() -> None:
    made = lowered()
    inputs, weights = random_data(made.plan.program, 0)
    batches = Batches([inputs, {"x": -inputs["x"]}, inputs])
    predicted = made.plan.counts.executed()
    assert execute(made.text, predicted, batches, weights).relative_error < 0.05
    text = made.text.replace("return [data for data, _ in found]", "return [found[0][0] for _ in found]")
    assert text != made.text
    wrong = execute(text, predicted, batches, weights)
    assert wrong.counts_match
    assert wrong.relative_error > 0.5


def test_padding_does_not_count_as_error() -> None:
    made = lowered()
    inputs, weights = random_data(made.plan.program, 0)
    kept = {"x": np.concatenate([inputs["x"][:, :1], np.zeros((4, 1))], axis=1)}
    text = made.text.replace('return results["y"]', 'results["y"][:, 1] += 1\n    return results["y"]')
    assert text != made.text
    predicted = made.plan.counts.executed()
    assert execute(text, predicted, Batches([kept], padding=1), weights).relative_error < 0.05
    assert execute(text, predicted, Batches([kept]), weights).relative_error > 0.5
    assert execute(text, predicted, Batches([kept, kept], padding=1), weights).relative_error > 0.5


def test_programs_of_one_token_take_several(tmp_path: Path) -> None:
    text = PAIRS.replace("x[d, batch]", "x[d]").replace("x[h, t]", "x[h]").replace("y[h, t]", "y[h]")
    text = text.replace("batch = 2, slots = 8", "batch = 1, slots = 4")
    program = api.loads(text)
    inputs, _ = random_data(program, 0)
    batches, count, held = split_tokens(program, inputs, None, 3, 0)
    assert (count, held, batches.padding) == (3, None, 0)
    assert [b["x"].shape for b in batches.inputs] == [(4,)] * 3
    assert len({b["x"].tobytes() for b in batches.inputs}) == 3


def test_tokens_that_cannot_be_had(tmp_path: Path) -> None:
    program = lowered().plan.program
    inputs, _ = random_data(program, 0)
    np.save(tmp_path / "x.npy", np.ones((3, 4)))
    with pytest.raises(SlotError, match="4 tokens are asked for, and the file holds 3"):
        split_tokens(program, inputs, tmp_path / "x.npy", 4, 0)
    other = api.loads(case("products of ciphertexts").text)
    with pytest.raises(SlotError, match="SL506"):
        split_tokens(other, random_data(other, 0)[0], None, 4, 0)
