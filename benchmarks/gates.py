"""Evaluations with some of the ranks: ``python -m benchmarks.gates``.

A module of 4096 x 4096, rank 16, of a random adapter, for 8 tokens at 1e-3, built without gates, with ranks in one
block, in two and in four. Each build is evaluated with all ranks, and with half and a quarter of them, chosen at
random: products and rotations counted, CPU times of one process in turns, the least of ``--rounds``, without reading
and writing of bytes. ``first`` is what encoding the weights for a new gate takes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.adapter_build import LLAMA, RANK, cpu, write_adapter
from slotlang.adapter import read_adapter
from slotlang.adapter.building.build import build
from slotlang.adapter.building.work import Options, prepare
from slotlang.cost.profile import find_profile
from slotlang.emit.loaded import load_module
from slotlang_runtime import Client, EvaluationKeys, Gates, SecretKey, Server, Weights

MODULE = LLAMA.path.removeprefix("base_model.model.") + ".0.self_attn.o_proj"


@dataclass
class Case:
    """A build with some ranks on."""

    blocks: int
    on: tuple[int, ...]
    server: Server
    keys: EvaluationKeys
    client: Client
    first: float = 0.0
    least: float = float("inf")

    def evaluate(self, x: Any) -> None:
        """Once more."""
        inputs = self.server.load(self.client.encrypt(x=x))
        self.least = min(self.least, cpu(lambda: self.server.compute(inputs, self.keys)))


def cases(adapter: Path, folder: Path, blocks: int) -> list[Case]:
    """A build, with all ranks and fewer."""
    work = prepare(adapter, Options(8, 1e-3, (MODULE,), gates=blocks), find_profile())
    built = build(work, folder / f"gates{blocks}", "gates")
    (program,), (group,) = built.manifest.programs, built.manifest.groups
    module = load_module((built.path / program.file.path).read_text(), program.id)
    secret = SecretKey(module.parameters.ring)
    keys, client = EvaluationKeys.from_bytes(secret.evaluation_keys(module)), Client(module, secret)
    whole = Server(Weights.from_bytes(module, (built.path / group.weights.path).read_bytes()))
    found = [Case(blocks, tuple(range(RANK)), whole, keys, client)]
    if group.gates is None:
        return found
    gates = Gates.from_bytes(module, (built.path / group.gates.path).read_bytes())
    gates.arranged(gates.gate({"y0": [0]}))
    rng = np.random.default_rng(0)
    for count in (RANK // 2, RANK // 4):
        on = tuple(sorted(rng.choice(RANK, count, replace=False).tolist()))
        made: list[Weights] = []
        gate = gates.gate({"y0": on})
        gates.encoded(gate)
        first = cpu(lambda gate=gate, made=made: made.append(gates.encoded(gate)))  # type: ignore[misc]
        found.append(Case(blocks, on, Server(made[0]), keys, client, first))
    return found


def error(case: Case, adapter: Path, x: Any) -> float:
    """The relative error of a result."""
    made = read_adapter(adapter).modules[MODULE]
    y = case.client.decrypt(case.server.evaluate(case.client.encrypt(x=x), case.keys).data)
    want = made.scaling * made.up[:, case.on] @ (made.down[list(case.on)] @ x)
    return float(np.sqrt(np.mean((y - want) ** 2) / np.mean(want**2)))


def main() -> None:
    """Print the figures as JSON."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=20)
    given = options.parse_args()
    x = np.random.default_rng(1).standard_normal((4096, 8))
    with tempfile.TemporaryDirectory() as folder:
        adapter = Path(folder) / "adapter"
        write_adapter(LLAMA, adapter, 1)
        found = [case for blocks in (0, 1, 2, 4) for case in cases(adapter, Path(folder), blocks)]
        for _ in range(given.rounds):
            for case in found:
                case.evaluate(x)
        for case in found:
            answer = case.server.evaluate(case.client.encrypt(x=x), case.keys)
            values = {
                "gates": case.blocks,
                "ranks": len(case.on),
                "products": answer.counts["plain_products"],
                "rotations": answer.counts["rotations"],
                "cpu_ms": round(1e3 * case.least, 2),
                "first_ms": round(1e3 * case.first, 1),
                "error": error(case, adapter, x),
            }
            print(json.dumps(values), flush=True)


if __name__ == "__main__":
    main()
