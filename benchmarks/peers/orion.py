"""Orion, on the Lattigo that its wheel carries: HEIR's plan in Lattigo's linear transforms, and Orion's own layers."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import orion
import torch
from orion import nn
from orion.backend.python.tensors import CipherTensor
from orion.core.orion import scheme

from benchmarks.peers.common import Configuration, Prepared, Task, serve
from benchmarks.peers.diagonals import Steps, diagonals, steps

MOST_BITS = {4096: 109, 8192: 218}
"""128 bits of security, the key's primes included; less is asked for, for a prime may be above its power of two."""
PARAMETERS: tuple[Configuration, ...] = (
    {"degree": 8192, "ring": "standard", "primes": [55, 45, 45], "key": [60]},
    {"degree": 8192, "ring": "standard", "primes": [47, 38, 38], "key": [47, 47]},
    # real slots, as many as coefficients
    {"degree": 4096, "ring": "conjugateinvariant", "primes": [28, 25, 25], "key": [30]},
)
Evaluate = Callable[[Any], Any]


class Layers(nn.Module):
    """What a user of Orion writes."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        d, r, _ = task.shape
        self.down, self.up = nn.Linear(d, r, bias=False), nn.Linear(r, d, bias=False)
        self.down.weight.data, self.up.weight.data = torch.tensor(task.b).float(), torch.tensor(task.a).float()

    def forward(self, x: Any) -> Any:
        return self.up(self.down(x))


def candidates(task: Task) -> list[Configuration]:
    """Layers for a single token: they are many times slower, and take each one alone."""
    plans = ("transforms", "layers") if task.shape[2] == 1 else ("transforms",)
    return [{**parameters, "plan": plan} for plan in plans for parameters in PARAMETERS]


def of_layers(task: Task) -> tuple[Evaluate, list[int], list[int]]:
    """The evaluation, its transforms, and rotations beside them.

    Orion multiplies by the last matrix as by a square one, which has as many diagonals as there are slots.
    """
    net = Layers(task)
    net.eval()
    orion.fit(net, torch.tensor(task.x.T).float())
    orion.compile(net)
    net.he()
    transforms = [made for layer in (net.down, net.up) for made in layer.transform_ids.values()]
    return net, transforms, [scheme.params.get_slots() >> i for i in range(1, net.down.output_rotations + 1)]


def of_transforms(task: Task) -> tuple[Evaluate, list[int], list[int]]:
    """The same; Lattigo makes baby and giant steps of diagonals as they are, and hoists both."""
    d, r, _ = task.shape
    ladder = steps(d, r).ladder
    backend = scheme.backend

    def transform(matrix: np.ndarray, level: int) -> int:
        (rows,) = diagonals(matrix, Steps(r, 1, ladder), scheme.params.get_slots())
        made = backend.GenerateLinearTransform(list(range(r)), np.concatenate(rows).tolist(), level, 2.0, "none")
        scheme.lt_evaluator.generate_rotation_keys(made)
        return int(made)

    b, a = transform(task.b, 2), transform(task.a, 1)

    def apply(made: int, x: Any) -> Any:
        return CipherTensor(scheme, backend.Rescale(backend.EvaluateLinearTransform(made, x.ids[0])), x.shape)

    def evaluate(x: Any) -> Any:
        u = apply(b, x)
        for step in ladder:
            u += u.roll(step)
        return apply(a, u)

    return evaluate, [b, a], list(ladder)


def key_bytes(elements: Iterable[int]) -> int:
    """Of rotation keys, made anew: Orion serializes no others."""
    total = 0
    for element in elements:
        data, pointer = scheme.backend.GenerateAndSerializeRotationKey(element)
        total += len(data)
        scheme.backend.FreeCArray(pointer)
    return total


def prepare(task: Task, configuration: Configuration) -> Prepared:
    """Keys, one ciphertext per token, encoded diagonals."""
    d, _, tokens = task.shape
    degree, ring, primes, key, plan = (configuration[name] for name in ("degree", "ring", "primes", "key", "plan"))
    if sum(primes + key) >= MOST_BITS[degree]:
        raise ValueError(f"{degree}: {primes} and {key} are below 128-bit security")
    given = {"LogN": degree.bit_length() - 1, "LogQ": primes, "LogP": key, "LogScale": primes[-1], "RingType": ring}
    given["H"] = 2 * degree // 3  # a uniform secret's; Orion's 192 nonzero coefficients are less secure
    with contextlib.redirect_stdout(sys.stderr):  # standard output is for results
        orion.delete_scheme()  # the library would take rotation keys of the last configuration
        orion.init_scheme({"ckks_params": given, "orion": {"debug": False}})
        # entries of at most 1: the smaller ring reaches 1e-3 so, and not with B as it is
        largest = np.abs(task.a).max(), np.abs(task.b).max()
        scaled = Task(task.a / largest[0], task.b / largest[1], task.x, task.repeats)
        evaluate, transforms, rotations = (of_layers if plan == "layers" else of_transforms)(scaled)
    order = 2 * degree if ring == "standard" else 4 * degree
    used = {pow(5, step, order) for step in rotations}
    used.update(*map(scheme.backend.GetLinearTransformRotationKeys, transforms))

    def encrypt(values: np.ndarray) -> Any:
        # layers take zeros after x
        packed = values if plan == "layers" else np.tile(values, scheme.params.get_slots() // d)
        return orion.encrypt(orion.encode(torch.tensor(packed)))

    def decrypt(answer: list[Any]) -> np.ndarray:
        values = np.array([y.decrypt().decode().flatten().numpy()[:d] for y in answer]).T
        return values * (largest[0] * largest[1])

    def size(ciphers: list[Any]) -> int:
        # Orion serializes no ciphertext: two polynomials of 8-byte residues
        return sum(2 * 8 * degree * (cipher.level() + 1) for cipher in ciphers)

    uploaded = [encrypt(task.x[:, t]) for t in range(tokens)]
    return Prepared(
        "Orion, its layers" if plan == "layers" else "Orion",
        f"{degree}: {','.join(map(str, primes))} + key, rescaled" + (", real slots" if ring != "standard" else ""),
        lambda: [evaluate(x) for x in uploaded],
        decrypt,
        lambda answer: (len(answer), size(answer)),
        len(used),
        key_bytes(used),
        tokens,
        size(uploaded),
    )


if __name__ == "__main__":
    serve(candidates, prepare)
