"""DESILO FHE on the CPU: the diagonal plan with fixed rotation keys, baby steps rotated together by ``rotate_many``."""

from __future__ import annotations

from typing import Any

import desilofhe
import numpy as np

from benchmarks.peers.common import Configuration, Prepared, Task, serve
from benchmarks.peers.diagonals import Operations, diagonals, evaluate, steps

DEPTH = 2


def candidates(task: Task) -> list[Configuration]:
    """The engine chooses its own primes; made for depth 2 it has no room to rotate at the top."""
    return [{"max_level": DEPTH + 1}]


def prepare(task: Task, configuration: Configuration) -> Prepared:
    """Keys, one ciphertext per token, encoded diagonals."""
    d, r, tokens = task.shape
    engine = desilofhe.Engine(max_level=configuration["max_level"], mode="cpu", thread_count=1)
    slots = engine.slot_count
    plan = steps(d, r, more_babies=True)
    secret = engine.create_secret_key()
    keys = {step: engine.create_fixed_rotation_key(secret, step) for step in plan.rotations()}
    uploaded = [engine.encrypt(np.tile(task.x[:, t], slots // d), secret, DEPTH) for t in range(tokens)]
    weights = [
        [[engine.encode(values, DEPTH - level) for values in row] for row in diagonals(matrix, plan, slots)]
        for level, matrix in enumerate((task.b, task.a))
    ]

    def babies(x: Any, count: int) -> list[Any]:
        return [x, *engine.rotate_many(x, [keys[s] for s in range(1, count)])]

    ops = Operations(
        babies,
        lambda x, step: engine.rotate(x, keys[step]),
        engine.multiply,  # drops a level itself
        engine.add,
        lambda x: x,
    )

    def size(ciphers: list[Any]) -> int:
        return sum(len(engine.serialize_ciphertext(c)) for c in ciphers)

    return Prepared(
        "DESILO",
        f"{2 * slots}, level {configuration['max_level']}",
        lambda: [evaluate(ops, weights[0], weights[1], plan, x) for x in uploaded],
        lambda answer: np.array([engine.decrypt(c, secret)[:d] for c in answer]).T.real,
        lambda answer: (len(answer), size(answer)),
        len(keys),
        sum(len(engine.serialize_fixed_rotation_key(key)) for key in keys.values()),
        tokens,
        size(uploaded),
    )


if __name__ == "__main__":
    serve(candidates, prepare)
