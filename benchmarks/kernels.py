"""Compiled kernels beside SEAL's operations, in one process, taking turns: ``python -m benchmarks.kernels``.

For each ring, one of several rotations, each with a key of its own: of different ciphertexts, each for itself, by SEAL
and by kernels; of one ciphertext, each for itself; and of both, added up, each sum divided by the key prime once. Least
CPU time of one thread over rounds: other work on the machine disturbs it least.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tenseal.sealapi as seal
from rich.console import Console
from rich.table import Table

from slotlang_runtime.client import SecretKey
from slotlang_runtime.kernels.operations import ResidueOperations
from slotlang_runtime.kernels.residues import ResidueRing
from slotlang_runtime.masks import uniform
from slotlang_runtime.parameters import Parameters
from slotlang_runtime.seal.ring import Ring

RINGS = (
    (8192, (60, 60, 60)),
    (8192, (60, 60)),
    (8192, (50, 50, 50)),
    (4096, (36, 36, 37)),
    (4096, (54, 55)),
    (16384, (50, 50, 50, 50)),
    (16384, (60, 60, 60, 60)),
)
MANY = 7
ROUNDS = 40


def least(actions: dict[str, Callable[[], Any]], rounds: int = ROUNDS) -> dict[str, float]:
    """The least CPU time of each, in seconds; they take turns."""
    found = dict.fromkeys(actions, float("inf"))
    for _ in range(rounds):
        for name, action in actions.items():
            start = time.thread_time()
            action()
            found[name] = min(found[name], time.thread_time() - start)
    return found


def measure(degree: int, bits: tuple[int, ...]) -> dict[str, Any]:
    """Seconds of a rotation in each of its uses."""
    parameters = Parameters(degree, bits, (20,), rotations=tuple(range(1, MANY + 1)))
    ring = Ring(parameters, degree // 2)
    secret = SecretKey(parameters.ring)
    plain = ring.encode(np.random.default_rng(0).standard_normal(degree // 2), added=True)
    ciphers, out = [seal.Ciphertext() for _ in range(MANY)], seal.Ciphertext()
    for cipher in ciphers:
        secret.encryptor.encrypt_symmetric(plain, cipher)
    keys = seal.GaloisKeys()
    seal.KeyGenerator(ring.context).create_galois_keys(list(parameters.galois_elements), keys)
    evaluator = seal.Evaluator(ring.context)
    own = ResidueRing(ring)
    shape = len(bits) - 1, 2, len(bits), degree
    words = np.array([[[uniform(p, degree) for p in ring.moduli] for _ in range(2)] for _ in range(shape[0])])
    # each step its own key: keys that are read again and again would stay in the nearest cache
    held = [own.key(words) for _ in range(MANY)]
    steps = {pow(3, step, 2 * degree): held[step - 1] for step in range(1, MANY + 1)}
    operations = ResidueOperations(own, steps.__getitem__)
    rows = np.array([[uniform(p, degree) for p in ring.primes(0)] for _ in range(2)])
    several = [own.taken(rows, 0, 1.0) for _ in range(MANY)]

    def rotated(sources: list[Any]) -> list[Any]:
        for source in sources:
            source.digits = None
        return [operations.rotate(a, step) for step, a in enumerate(sources, 1)]

    def together(sources: list[Any]) -> None:
        total, *others = rotated(sources)
        for other in others:
            total = operations.add(total, other, 1, owned=total is not others[0])
        operations.settled(total)

    found = least(
        {
            "seal": lambda: [evaluator.rotate_vector(a, step, keys, out) for step, a in enumerate(ciphers, 1)],
            "alone": lambda: [operations.settled(a) for a in rotated(several)],
            "of_one": lambda: [operations.settled(a) for a in rotated([several[0]] * MANY)],
            "sum_of_one": lambda: together([several[0]] * MANY),
            "sum_of_many": lambda: together(several),
        }
    )
    seconds = {name: value / MANY for name, value in found.items()}
    return {"degree": degree, "primes": bits, "kind": own.kernels.kind, **seconds}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = [measure(degree, bits) for degree, bits in RINGS]
    table = Table(title=f"one of {MANY} rotations, us of one thread, and as a part of SEAL's", box=None)
    for head in ("ring", "kernels", "SEAL", "alone", "of one", "sum of one's", "sum of different ones'"):
        table.add_column(head, justify="right" if head not in ("ring", "kernels") else "left")
    for row in rows:
        base = row["seal"]
        cells = [f"{1e6 * row[n]:.0f} ({row[n] / base:.2f})" for n in ("alone", "of_one", "sum_of_one", "sum_of_many")]
        ring = f"{row['degree']}: {','.join(map(str, row['primes']))}"
        table.add_row(ring, row["kind"], f"{1e6 * base:.0f}", *cells)
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
