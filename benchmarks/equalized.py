"""Outliers and the cost of the guarantee on the MiniLM adapter's real activations: ``python -m benchmarks.equalized``.

Outliers: a few channels of the activations are multiplied by 100 and by 1,000. Each row is measured at degree 8192 with
three primes of 60 bits, with the largest scale for which ``Weights.encode`` guarantees that nothing wraps. Without
exponents the limit of inputs is the largest norm of a token; with exponents it is that of the divided token.

Guarantee: log2 of the bound on the largest coefficient of a result over the largest that occurs with the real
activations, for each module of the adapter. ``--docs`` rewrites the tables of docs/numbers.md.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.columns import emitted
from benchmarks.pages import markdown, rewrite
from benchmarks.sides import sides
from slotlang.adapter import read_adapter
from slotlang.api import load, plan
from slotlang.planning.parameters import Parameters
from slotlang.run.activations import read_activations
from slotlang.run.runner import load_module
from slotlang_runtime import Client, EvaluationKeys, Limit, Module, Server, Weights
from slotlang_runtime.data import relative_error
from slotlang_runtime.embedding import coefficients, largest_coefficient
from slotlang_runtime.equalized import divided, equalize, folded
from slotlang_runtime.parameters import Levels
from slotlang_runtime.ranges import ranges
from slotlang_runtime.seal.ring import context_of

ROOT = Path(__file__).resolve().parent.parent
ADAPTER = ROOT / "examples" / "minilm_adapter"
OUT = Path(__file__).resolve().parent / "equalized.json"
RING = (8192, (60, 60, 60))
BATCH = 16
OUTLIERS = 4
"""Channels that are multiplied."""
RUNS = 4
"""Each with new keys; errors are pooled."""


def pairs_of(rank: int) -> int:
    """Complex rank slots of ``lora.slot``."""
    return max(2, 1 << math.ceil(math.log2(rank) - 1))


def module_of(shape: tuple[int, int, int], scale_bits: int, limit: float) -> Module:
    """``lora.slot`` for a shape (d_in, d_out, rank) under a scale and a limit on the norm of a token."""
    d_in, d_out, rank = shape
    sizes = {"d_in": d_in, "d_out": d_out, "r": rank, "pairs": pairs_of(rank), "batch": BATCH, "slots": 4096}
    program = load(ROOT / "programs" / "lora.slot", sizes)
    module = load_module(emitted(plan(program, Parameters(*RING, scale_bits))))
    return replace(module, limits={"x": Limit(norm=limit)})


def room(module: Module, weights: Mapping[str, Any]) -> float:
    """Bits that the guarantee leaves beyond the half that must stay empty."""
    levels = Levels(module.parameters, context_of(module.parameters.ring).moduli)
    return ranges(module, levels, weights, module.limits).room - 1


@dataclass(frozen=True)
class Row:
    """One measurement. ``weights``: as they are, or divided where inputs are multiplied. ``power``: of the
    channels' sizes; 0 without exponents."""

    factor: int
    weights: str
    power: float
    limit: float
    scale_bits: int
    error: float


def measured(
    shape: tuple[int, int, int], weights: dict[str, Any], x: Any, exponents: Any, label: tuple[int, str, float]
) -> Row:
    """The error with the largest scale that is guaranteed."""
    inside = divided("x", x, exponents)
    limit = float(np.sqrt((inside**2).sum(axis=0)).max()) * (1 + 2.0**-20)
    start = 30
    module = module_of(shape, start, limit)
    inner = folded(module, {"x": exponents}, weights)
    # three factors carry the scale: of the input and of two plaintexts
    scale_bits = start + math.floor(room(module, inner) / 3)
    module = module_of(shape, scale_bits, limit)
    assert room(module, inner) >= 0
    given = {"x": exponents}
    expected = module.reference({"x": x}, weights)["y"]
    encoded = Weights.encode(module, equalize=given, **weights)
    errors = []
    for _ in range(RUNS):
        client = Client(module, equalize=given)
        keys = EvaluationKeys.from_bytes(client.evaluation_keys())
        found = client.decrypt(Server(encoded).evaluate(client.encrypt(x=x), keys).data)
        errors.append(relative_error(found, expected))
    return Row(*label, limit, scale_bits, math.sqrt(np.mean(np.square(errors))))


def outliers() -> Iterator[Row]:
    """The query projection of layer 0."""
    adapter = read_adapter(ADAPTER)
    lora = adapter.module("encoder.layer.0.attention.self.query")
    x = read_activations(ADAPTER / "activations.npy", lora.d_in, None)
    channels = np.random.default_rng(0).choice(lora.d_in, OUTLIERS, replace=False)
    for factor in (1, 100, 1000):
        big = x.copy()
        big[channels] *= factor
        small = np.array(lora.down)
        small[:, channels] /= factor
        for words, down in (("as they are", lora.down), ("divided", small)):
            if factor == 1 and words == "divided":
                continue
            weights = {"A": lora.up, "B": down, "scale": lora.scaling}
            shape = (lora.d_in, lora.d_out, lora.rank)
            for power in (0.0, 0.5, 1.0):
                exponents = equalize(big, power)
                yield measured(shape, weights, big, exponents, (factor, words, power))


@dataclass(frozen=True)
class Cost:
    """What the guarantee costs for one module, in bits. ``value``: the largest bound on a slot over the largest
    |slot| that occurs. ``coefficient``: the bound on a coefficient over the largest one that occurs; it is the sum
    of ``direction``, from the mean of |slot| that occurs to the mean of the bounds, and ``phases``, from the
    largest coefficient to the mean of |slot|. ``rows``: what a bound of each coefficient by its own row would cost.
    ``default``: how much more the default limit takes than the largest norm of these tokens, which is the limit
    here."""

    module: str
    shape: tuple[int, int, int]
    value: float
    coefficient: float
    direction: float
    phases: float
    rows: float
    default: float


def guarantee() -> Iterator[Cost]:
    """Every module, with the limit that its own activations need. The real part alone is read, twice as large."""
    adapter = read_adapter(ADAPTER)
    for name, lora in adapter.modules.items():
        path = ADAPTER / ("activations.npy" if lora.d_in == 384 else "activations_1536.npy")
        x = read_activations(path, lora.d_in, None)
        norm = float(np.sqrt((x**2).sum(axis=0)).max())
        shape = (lora.d_in, lora.d_out, lora.rank)
        module = module_of(shape, 30, norm)
        weights = {"A": lora.up, "B": lora.down, "scale": lora.scaling}
        levels = Levels(module.parameters, context_of(module.parameters.ring).moduli)
        found = ranges(module, levels, weights, module.limits)
        point = next(p for p in found.points if p.where.startswith("the result"))
        client, _, keys, server = sides(module, weights)
        held = np.array([*decrypted(client, server, keys, x).values()])
        bound = 2.0**point.bits / levels.scale(0, 2) / 2
        mean = max(float(np.abs(v).mean()) for v in held)
        largest = max(map(largest_coefficient, held))
        slot = max(float(np.max(b)) for b in found.results.values())
        by_rows = coefficient_bound(module, lora.up, lora.scaling * lora.down) * norm
        ratios = slot / np.abs(held).max(), bound / largest, bound / mean, mean / largest, by_rows / largest
        yield Cost(name, shape, *map(math.log2, ratios), math.log2(4 * math.sqrt(lora.d_in) / norm))


def coefficient_bound(module: Module, up: Any, down: Any) -> float:
    """The largest coefficient of a result for tokens of norm 1, each coefficient bounded by the norms of its own rows:
    a row for each token, the transform of the slots' rows."""
    values, vectors = np.linalg.eigh(down @ down.T)
    rows = up @ (vectors * np.sqrt(values.clip(0)))
    half = module.parameters.degree // 2
    largest = 0.0
    for _, _, inside, (channels, tokens) in module.placed():
        bound = np.zeros(2 * half)
        for token in np.unique(tokens):
            slots = np.zeros((half, rows.shape[1]))
            slots[np.flatnonzero(inside)[tokens == token]] = rows[channels[tokens == token]]
            columns = [coefficients(column) for column in slots.T]
            bound += np.sqrt(sum(column**2 for column in columns))
        largest = max(largest, float(bound.max()))
    return largest


def decrypted(client: Client, server: Server, keys: EvaluationKeys, x: Any) -> dict[Any, Any]:
    """All slots of the returned ciphertexts, real parts alone, by the client's own decryption."""
    kept: dict[Any, Any] = {}
    decode = client._decoded

    def keep(group: Any, level: int, products: int) -> Any:
        slots, most = decode(group, level, products)
        kept.update({name: row / copies for (name, copies, _), row in zip(group, slots, strict=True)})
        return slots, most

    client._decoded = keep  # type: ignore[method-assign]
    client.decrypt(server.evaluate(client.encrypt(x=x), keys).data)
    return kept


def cost_table(found: Sequence[Cost]) -> list[list[str]]:
    """Bits of the guarantee by module."""
    head = ["module", "d_out x d_in, rank", "over the largest value", "over the largest coefficient"]
    rows = [[*head, "direction", "phases", "by own rows", "default limit"]]
    for cost in found:
        d_in, d_out, rank = cost.shape
        bits = (cost.value, cost.coefficient, cost.direction, cost.phases, cost.rows, cost.default)
        rows.append([f"`{cost.module}`", f"{d_out} x {d_in}, {rank}", *(f"{b:.1f}" for b in bits)])
    return rows


def outlier_table(found: Sequence[Row]) -> list[list[str]]:
    """Errors with and without exponents, and the scale that the guarantee leaves."""
    shares = {0.0: "without", 0.5: "power 1/2", 1.0: "power 1"}
    head = ["outliers", "weights of these channels", *(f"{text}: scale" for text in shares.values())]
    rows = [[*head, *(f"{text}: error" for text in shares.values())]]
    for factor, weights in dict.fromkeys((row.factor, row.weights) for row in found):
        own = [row for row in found if (row.factor, row.weights) == (factor, weights)]
        name = f"{factor:,}" if factor > 1 else "none"
        rows.append([name, weights, *(f"2^{row.scale_bits}" for row in own), *(f"{row.error:.1e}" for row in own)])
    return rows


def main() -> int:
    """Measure, print both tables, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", type=Path, default=OUT, help="the file to write")
    parser.add_argument("--docs", action="store_true", help="rewrite the figures in docs/numbers.md")
    options = parser.parse_args()
    costs, rows = list(guarantee()), list(outliers())
    console = Console()
    tables = {"guarantee": cost_table(costs), "outliers": outlier_table(rows)}
    for title, (head, *body) in tables.items():
        table = Table(title=title, box=None)
        for name in head:
            table.add_column(name, justify="right")
        for row in body:
            table.add_row(*row)
        console.print(table)
        if options.docs:
            left = ("weights of these channels", "d_out x d_in, rank")
            rewrite(ROOT / "docs" / "numbers.md", markdown([head, *body], left), title)
    content = {"schema": "slotlang.equalized/1", "guarantee": [*map(asdict, costs)], "outliers": [*map(asdict, rows)]}
    options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
