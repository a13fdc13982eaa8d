"""fhelium on the CPU: the diagonal plan with baby steps hoisted, as its examples do."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import fhelium
import numpy as np
import torch
from fhelium.config import CkksConfig
from fhelium.eager import Engine
from sympy import prevprime  # PyTorch brings it

from benchmarks.peers.common import Configuration, Prepared, Task, serve
from benchmarks.peers.diagonals import Operations, diagonals, evaluate, steps


def candidates(task: Task) -> list[Configuration]:
    """What 8192 has room for, and 32-bit residues in the smaller ring where that holds x."""
    found: list[Configuration] = [{"degree": 8192, "first": 55, "scaling": 45, "key": 60}]
    if task.shape[0] <= 2048:
        found.append({"degree": 4096, "first": 28, "scaling": 25, "key": 28})
    return found


def primes(bits: list[int], degree: int) -> list[int]:
    """The largest below each power of two that there are number-theoretic transforms for, no prime twice."""
    found: list[int] = []
    for width in bits:
        prime = prevprime(2**width)
        while prime % (2 * degree) != 1 or prime in found:
            prime = prevprime(prime)
        found.append(int(prime))
    return found


def size(value: Any) -> int:
    """Bytes as saved."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "value.safetensors"
        fhelium.save_value(value, path)
        return path.stat().st_size


def prepare(task: Task, configuration: Configuration) -> Prepared:
    """Keys, one ciphertext per token, encoded diagonals."""
    torch.set_num_threads(1)
    d, r, tokens = task.shape
    degree, first, scaling, key = (configuration[name] for name in ("degree", "first", "scaling", "key"))
    special, last, top, middle = primes([key, first, scaling, scaling], degree)
    # refuses what has less than 128 bits of security
    engine = Engine(
        CkksConfig(
            default_scale=2.0**scaling,
            q_depth_groups=((top,), (middle,), (last,)),
            p_moduli=(special,),
            logN=degree.bit_length() - 1,
        )
    )
    slots = engine.num_slots
    plan = steps(d, r, more_babies=True)
    keys = {step: engine.rotation_key(-step) for step in plan.rotations()}  # it turns the other way
    # entries of at most 1: the smaller scale reaches 1e-3 so, and not with B as it is
    largest = np.abs(task.b).max(), np.abs(task.a).max()

    def encode(values: np.ndarray, level: int) -> Any:
        scale = float((top, middle)[level])
        made = engine.encode(torch.tensor(values / largest[level]), depth=level, scale=scale)
        return engine.prepare_plaintext_for_multiplication(made)

    def encrypt(token: np.ndarray) -> Any:
        return engine.encrypt_message(torch.tensor(np.tile(token, slots // d)), output_domain="ntt")

    uploaded = [encrypt(task.x[:, t]) for t in range(tokens)]
    weights = [
        [[encode(values, level) for values in row] for row in diagonals(matrix, plan, slots)]
        for level, matrix in enumerate((task.b, task.a))
    ]

    def babies(x: Any, count: int) -> list[Any]:
        wanted = [keys[s] for s in range(1, count)]
        coefficients = engine.ntt_domain_to_coefficient_domain(x)  # 0.30.0 hoists wrongly in the other domain
        return [x, *engine.rotate_many_with_keys(coefficients, wanted, output_domain="ntt")]

    ops = Operations(
        babies,
        lambda x, step: engine.rotate_with_key(x, keys[step], output_domain="ntt"),
        engine.multiply_plaintext,
        engine.add,
        engine.rescale_to_next_depth,
    )

    def decrypt(answer: list[Any]) -> np.ndarray:
        plain = [engine.decrypt_message(engine.ntt_domain_to_coefficient_domain(y), is_real=True) for y in answer]
        return np.array([values.numpy()[:d] for values in plain]).T * (largest[0] * largest[1])

    return Prepared(
        "fhelium",
        f"{degree}: {first},{scaling},{scaling} + key, rescaled",
        lambda: [evaluate(ops, weights[0], weights[1], plan, x) for x in uploaded],
        decrypt,
        lambda answer: (len(answer), sum(map(size, answer))),
        len(keys),
        sum(map(size, keys.values())),
        tokens,
        sum(map(size, uploaded)),
    )


if __name__ == "__main__":
    serve(candidates, prepare)
