"""One server, many threads: each client gets its own results, and no mask is used twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from worlds import PAIRS, World, error

from slotlang.planning.target import KernelChoice
from slotlang_runtime import Answer, Client, EvaluationKeys, Server
from slotlang_runtime.kernels.residues import Plaintext
from slotlang_runtime.seal.saved import saved

SUMS = """program sums(n = 4, m = 3, slots = 16)
input x[n, slots]
weight A[m, n]
cipher X[k < n] = x[k, slot]
plain W[i < m, k < n] = A[i, k]
Y[i < m] = sum k < n: X[k] * W[i, k]
output y[i, slot] = re Y[i] where slot < 8
prove y == A @ x
"""
"""Proves nothing of the slots that are hidden, and runs by every kernel."""

THREADS = 8


def spread(task: Callable[[int], Any], count: int) -> list[Any]:
    """Tasks by number, all of them started at the same moment."""
    gate = threading.Barrier(count)

    def started(number: int) -> Any:
        gate.wait()
        return task(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(started, range(count)))


def content(engine: Any, mask: Any) -> bytes:
    if isinstance(mask, Plaintext):
        return bytes(engine.ring.plaintext_words(mask, added=True))
    return mask.tobytes() if isinstance(mask, np.ndarray) else saved(mask)


@pytest.mark.parametrize(("kernel", "text"), [("seal", PAIRS), ("seal", SUMS), ("compiled", SUMS), ("matrix", SUMS)])
def test_clients_at_once(kernel: KernelChoice, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(text, kernel=kernel)
    assert world.server.note == "" and world.module.kernel == kernel
    rng = np.random.default_rng(0)
    clients = [Client(world.module) for _ in range(THREADS)]
    keys = [EvaluationKeys.from_bytes(client.evaluation_keys()) for client in clients]
    inputs = [rng.standard_normal(world.inputs["x"].shape) for _ in clients]
    used: list[bytes] = []
    run = world.server.engine.run

    def recording(inputs: Any, keys: Any, masks: Any, team: Any) -> Any:
        used.extend(content(world.server.engine, mask) for several in masks.values() for mask in several)
        return run(inputs, keys, masks, team)

    monkeypatch.setattr(world.server.engine, "run", recording)
    for _ in range(THREADS // 2):
        # half of them find masks made before, and the threads get in each other's way for them
        world.server.prepare()

    def task(number: int) -> list[Answer]:
        upload = clients[number].encrypt(x=inputs[number])
        return [world.server.evaluate(upload, keys[number]) for _ in range(3)]

    for number, answers in enumerate(spread(task, THREADS)):
        for answer in answers:
            found = clients[number].decrypt(answer.data)
            expected = world.expected(x=inputs[number])
            if text is SUMS:
                found, expected = found[:, :8], expected[:, :8]
            assert error(found, expected) < 2e-2
            assert answer.counts == world.plan.counts.executed()
    assert len(used) == 3 * THREADS * world.plan.counts.masks
    assert len(set(used)) == len(used)


def test_masks_made_before_go_to_one_evaluation_each() -> None:
    world = World(PAIRS)
    server = Server(world.encoded)
    for _ in range(3 * THREADS - 1):
        server.prepare()
    masks = spread(lambda number: [server._masks() for _ in range(3)], THREADS)
    assert len({id(one) for several in masks for one in several}) == 3 * THREADS
    assert not server._prepared


def test_weights_are_encoded_and_loaded_at_once() -> None:
    world = World(PAIRS)
    data = world.encoded.to_bytes()
    found = spread(lambda number: type(world.encoded).from_bytes(world.module, data).to_bytes(), 4)
    assert found == [data] * 4


def test_one_client_encrypts_and_decrypts_in_threads() -> None:
    world = World(PAIRS)

    def task(number: int) -> float:
        x = world.inputs["x"] * ((number + 1) / THREADS)
        return error(world.result(world.client.encrypt(x=x)), world.expected(x=x))

    assert max(spread(task, THREADS)) < 1e-2
