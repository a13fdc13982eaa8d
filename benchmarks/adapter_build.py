"""Whole adapters of Llama-3-8B's and ChatGLM2-6B's shapes, built and evaluated: ``python -m benchmarks.adapter_build``.

Random weights in PEFT's layout, bfloat16: of Llama 32 layers of q, k, v, o, gate, up and down at rank 16, 84 MB; of
ChatGLM2 what PEFT adapts by default, 28 layers of its one projection to q, k and v, at rank 8. The build is timed by
its parts, with its largest memory. Then every distinct program is evaluated with the weights of one layer, expanded and
compact in turns, and its time counts as often as there are layers: all expanded weights together take 5.4 GB. q, k and
v of Llama from one upload are compared with three requests, each by a program for one module, whole requests:
encryption, reading, evaluation, saving, decryption.

Times are CPU times of one process, the least of ``--rounds``: other work on the machine disturbs it least. Memory is
what the process held at most; that of a second client is by how much the process grows when it evaluates every program
for one more. ``--docs`` writes the figures to docs/adapters.md.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import resource
import struct
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.pages import markdown, rewrite
from slotlang.adapter import read_adapter
from slotlang.adapter.building.build import Built, build
from slotlang.adapter.building.work import Options, prepare
from slotlang.cost.keys import key_bytes
from slotlang.cost.profile import find_profile
from slotlang.emit.loaded import load_module
from slotlang_runtime import Client, EvaluationKeys, SecretKey, Server, Weights
from slotlang_runtime.module import Module

PAGE = Path(__file__).resolve().parent.parent / "docs" / "adapters.md"
HIDDEN, KEYS, INNER, RANK = 4096, 1024, 14336, 16


@dataclass(frozen=True)
class Base:
    """A base model: rows and columns of the modules of a layer, and what their names begin with."""

    name: str
    layers: int
    rank: int
    modules: Mapping[str, tuple[int, int]]
    path: str


LLAMA = Base(
    "Llama-3-8B",
    32,
    RANK,
    {
        "self_attn.q_proj": (HIDDEN, HIDDEN),
        "self_attn.k_proj": (KEYS, HIDDEN),
        "self_attn.v_proj": (KEYS, HIDDEN),
        "self_attn.o_proj": (HIDDEN, HIDDEN),
        "mlp.gate_proj": (INNER, HIDDEN),
        "mlp.up_proj": (INNER, HIDDEN),
        "mlp.down_proj": (HIDDEN, INNER),
    },
    "base_model.model.model.layers",
)
# 32 heads of 128 for q, and 2 each for k and v
CHATGLM = Base(
    "ChatGLM2-6B",
    28,
    8,
    {"self_attention.query_key_value": (4096 + 2 * 2 * 128, 4096)},
    "base_model.model.transformer.encoder.layers",
)


def bfloat16(array: npt.NDArray[Any]) -> bytes:
    """Numbers as bfloat16: the upper halves of float32."""
    return (array.astype(np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()


def write_adapter(base: Base, folder: Path, layers: int, seed: int = 0) -> None:
    """An adapter of random numbers as PEFT saves it: lora_A uniform as it is initialised, lora_B normal."""
    rng = np.random.default_rng(seed)
    header: dict[str, Any] = {}
    parts, at = [], 0
    for layer in range(layers):
        for name, (rows, columns) in base.modules.items():
            a = rng.uniform(-1, 1, (base.rank, columns)) / np.sqrt(columns)
            b = 0.01 * rng.standard_normal((rows, base.rank))
            for side, array in (("A", a), ("B", b)):
                data = bfloat16(array)
                place = {"dtype": "BF16", "shape": list(array.shape), "data_offsets": [at, at + len(data)]}
                header[f"{base.path}.{layer}.{name}.lora_{side}.weight"] = place
                parts.append(data)
                at += len(data)
    text = json.dumps(header).encode()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))
    config = {
        "peft_type": "LORA",
        "r": base.rank,
        "lora_alpha": 2 * base.rank,
        "target_modules": [n.split(".")[1] for n in base.modules],
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))


def peak() -> float:
    """The most memory that the process has held, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def held() -> float:
    """The memory that the process holds now, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def timed_build(adapter: Path, service: Path, options: Options, name: str) -> tuple[Built, dict[str, float]]:
    """Build, with seconds of CPU time and of the clock: until the first weights are encoded, and in all."""
    start, clock = time.process_time(), time.monotonic()
    programs = [0.0, 0.0]

    def progress(what: str, done: float) -> None:
        if not what.startswith("weights"):
            programs[:] = time.process_time() - start, time.monotonic() - clock

    work = prepare(adapter, options, find_profile())
    built = build(work, service / name, name, progress)
    manifest = built.manifest
    files = sum(group.weights.bytes or 0 for group in manifest.groups)
    held = {program.id: program.predicted["weight_bytes"] for program in manifest.programs}
    return built, {
        "search_and_proofs_cpu": programs[0],
        "search_and_proofs": programs[1],
        "build_cpu": time.process_time() - start,
        "build": time.monotonic() - clock,
        "peak_gb": peak(),
        "weight_files_gb": files / 1e9,
        "weights_in_memory_gb": sum(held[group.program] for group in manifest.groups) / 1e9,
    }


class Side:
    """A program with the weights of one group, a client and a server."""

    def __init__(self, built: Built, number: int, secret: SecretKey, keys: EvaluationKeys, module: Module) -> None:
        group = built.manifest.groups[number]
        weights = Weights.from_bytes(module, (built.path / group.weights.path).read_bytes())
        self.server, self.compact = Server(weights), Server(weights.compact())
        self.client, self.keys, self.module = Client(module, secret), keys, module
        self.x = np.random.default_rng(number).standard_normal((group.modules[0].columns, group.tokens))
        self.modules = group.modules

    def evaluation(self, server: Server) -> float:
        """Seconds of an evaluation of loaded inputs."""
        inputs = server.load(self.client.encrypt(x=self.x))
        return cpu(lambda: server.compute(inputs, self.keys))

    def request(self) -> float:
        """Seconds of a whole request."""
        return cpu(lambda: self.client.decrypt(self.server.evaluate(self.client.encrypt(x=self.x), self.keys).data))

    def error(self, adapter: Path) -> float:
        """The largest relative error of the results."""
        modules = read_adapter(adapter).modules
        found = self.client.decrypt(self.server.evaluate(self.client.encrypt(x=self.x), self.keys).data)
        worst = 0.0
        for update in self.modules:
            made = modules[update.name]
            y = found if isinstance(found, np.ndarray) else found[f"y{update.output}"]
            want = made.scaling * made.up @ (made.down @ self.x)
            worst = max(worst, float(np.sqrt(np.mean((y - want) ** 2) / np.mean(want**2))))
        return worst


def cpu(action: Callable[[], Any]) -> float:
    """Seconds of process CPU time."""
    start = time.process_time()
    action()
    return time.process_time() - start


def sides_of(built: Built) -> dict[str, Side]:
    """For each program, the first group that it serves; with one set of keys."""
    modules = {p.id: load_module((built.path / p.file.path).read_text(), p.id) for p in built.manifest.programs}
    secret = SecretKey(next(iter(modules.values())).parameters.ring)
    keys = EvaluationKeys.from_bytes(secret.evaluation_keys(*modules.values()))
    first: dict[str, int] = {}
    for number, group in enumerate(built.manifest.groups):
        first.setdefault(group.program, number)
    return {name: Side(built, number, secret, keys, modules[name]) for name, number in first.items()}


def second_client(sides: Mapping[str, Side], modules: Sequence[Module]) -> float:
    """By how many MB a server grows that has evaluated every program for one client, and does so for another."""
    clients = []
    for _ in range(2):
        secret = SecretKey(modules[0].parameters.ring)
        uploads = [(side.server, Client(side.module, secret).encrypt(x=side.x)) for side in sides.values()]
        clients.append((secret.evaluation_keys(*modules), uploads))

    def serve(number: int, keys: EvaluationKeys | None = None) -> EvaluationKeys:
        sent, uploads = clients[number]
        # a copy, as one that has come
        keys = keys or EvaluationKeys.from_bytes(bytes(memoryview(sent)))
        for server, upload in uploads:
            server.evaluate(upload, keys)
        gc.collect()
        return keys

    first = serve(0)
    # memory that the process has and does not use goes back; what evaluations take for themselves is there again
    ctypes.CDLL(None).malloc_trim(0)
    serve(0, first)
    before = held()
    second = serve(1)
    grown = held() - before
    assert second is not first
    return grown


def evaluations(built: Built, rounds: int, adapter: Path) -> dict[str, Any]:
    """Seconds of CPU time of one evaluation of every module of the adapter, by program, and its errors."""
    sides = sides_of(built)
    times = {name: float("inf") for name in sides}
    compact = dict(times)
    for _ in range(rounds):
        for name, side in sides.items():
            times[name] = min(times[name], side.evaluation(side.server))
            compact[name] = min(compact[name], side.evaluation(side.compact))
    counts = Counter(group.program for group in built.manifest.groups)
    predicted = {p.id: p.predicted["evaluation_ms"] / 1e3 for p in built.manifest.programs}
    return {
        "all_modules_cpu": sum(counts[name] * seconds for name, seconds in times.items()),
        "all_modules_predicted": sum(counts[name] * seconds for name, seconds in predicted.items()),
        "all_modules_compact_cpu": sum(counts[name] * seconds for name, seconds in compact.items()),
        "all_modules_compact_predicted": sum(
            counts[p.id] * p.predicted["compact_ms"] / 1e3 for p in built.manifest.programs
        ),
        "expanded_gb": sum(counts[name] * side.server.weights.memory_bytes for name, side in sides.items()) / 1e9,
        "second_client_mb": second_client(sides, [side.module for side in sides.values()]),
        "compact_gb": sum(counts[name] * side.compact.weights.memory_bytes for name, side in sides.items()) / 1e9,
        "by_program": {
            name: {
                "groups": counts[name],
                "cpu": times[name],
                "compact_cpu": compact[name],
                "predicted": predicted[name],
                "error": side.error(adapter),
            }
            for name, side in sides.items()
        },
    }


def uploads(built: Built, alone: Built, rounds: int) -> dict[str, float]:
    """Whole requests for q, k and v of a layer: from one upload, and three."""
    together = next(side for side in sides_of(built).values() if len(side.modules) == 3)
    single = sides_of(alone)
    names = {g.modules[0].name: g.program for g in alone.manifest.groups}
    three = [single[names[update.name]] for update in together.modules]
    best = [float("inf"), float("inf")]
    for _ in range(rounds):
        best[0] = min(best[0], together.request())
        best[1] = min(best[1], sum(side.request() for side in three))
    return {"one_upload_cpu": best[0], "three_requests_cpu": best[1], "ratio": best[0] / best[1]}


def measure(base: Base, layers: int, given: Options, rounds: int, folder: Path) -> dict[str, Any]:
    """All figures of one base model."""
    adapter, service = folder / base.name, folder / "service"
    write_adapter(base, adapter, layers)
    built, times = timed_build(adapter, service, given, base.name.lower())
    manifest = built.manifest
    names = tuple(f"{base.path.removeprefix('base_model.model.')}.0.self_attn.{n}_proj" for n in "qkv")
    together: dict[str, float] = {}
    if base is LLAMA:
        # a table without these modules: each is a program of its own
        one = replace(given, modules=names, table=(("nothing", "shared"),))
        alone, _ = timed_build(adapter, service, one, "alone")
        together = uploads(built, alone, rounds)
    return {
        "base": base.name,
        "rank": base.rank,
        "layers": layers,
        "modules": sum(len(group.modules) for group in manifest.groups),
        "programs": len(manifest.programs),
        "verdicts": sorted({f"{p.verdict}, range {p.range}" for p in manifest.programs}),
        "parameters": manifest.parameters["text"],
        "keys": len(manifest.keys.elements),
        "sent_key_mb": manifest.keys.bytes / 1e6,
        "keys_in_memory_mb": len(manifest.keys.levels)
        * key_bytes(manifest.parameters["degree"], len(manifest.parameters["prime_bits"]))
        / 1e6,
        **times,
        **evaluations(built, rounds, adapter),
        **together,
    }


def table(found: Sequence[Mapping[str, Any]], tokens: int) -> list[list[str]]:
    """The figures of all base models, for the page."""

    def row(name: str, shown: Callable[[Mapping[str, Any]], str]) -> list[str]:
        return [name, *map(shown, found)]

    return [
        row("", lambda f: f"{f['base']}, rank {f['rank']}"),
        row("modules", lambda f: f"{f['modules']}"),
        row("programs", lambda f: f"{f['programs']}, {', '.join(f['verdicts'])}"),
        row("parameters", lambda f: f["parameters"]),
        row("Galois keys", lambda f: f"{f['keys']}, {f['sent_key_mb']:.1f} MB sent"),
        row("memory of a second client", lambda f: f"{f['second_client_mb']:.1f} MB"),
        row("weights in files", lambda f: f"{f['weight_files_gb']:.2f} GB"),
        row("weights encoded in memory", lambda f: f"{f['expanded_gb']:.2f} GB"),
        row("weights compact", lambda f: f"{f['compact_gb']:.2f} GB"),
        row("build", lambda f: f"{f['build_cpu']:.0f} s"),
        row("of which search, proofs and certificates", lambda f: f"{f['search_and_proofs_cpu']:.0f} s"),
        row("memory of the build, at most", lambda f: f"{f['peak_gb']:.2f} GB"),
        row(f"evaluation of all modules, {tokens} tokens", lambda f: f"{f['all_modules_cpu']:.2f} s"),
        row("the same, predicted", lambda f: f"{f['all_modules_predicted']:.2f} s"),
        row("the same, compact weights", lambda f: f"{f['all_modules_compact_cpu']:.2f} s"),
        row("a token, encoded weights", lambda f: f"{f['all_modules_cpu'] / tokens:.3f} s"),
        row("a token, compact weights", lambda f: f"{f['all_modules_compact_cpu'] / tokens:.3f} s"),
        row("q, k, v from one upload, of three requests", lambda f: f"{f['ratio']:.2f}" if "ratio" in f else ""),
        row("largest relative error", lambda f: f"{max(p['error'] for p in f['by_program'].values()):.1e}"),
    ]


def lines(found: Mapping[str, Any]) -> list[str]:
    """The figures as text."""
    out = [
        f"{name}: {value:.3g}" if isinstance(value, float) else f"{name}: {value}"
        for name, value in found.items()
        if name != "by_program"
    ]
    for name, values in found["by_program"].items():
        out.append(
            f"  {name}: {values['groups']} x {1e3 * values['cpu']:.1f} ms, predicted "
            f"{1e3 * values['predicted']:.1f} ms, compact {1e3 * values['compact_cpu']:.1f} ms, "
            f"error {values['error']:.1e}"
        )
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, help="of each model, in place of all")
    parser.add_argument("--tokens", type=int, default=8)
    parser.add_argument("--precision", type=float, default=1e-3)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--folder", type=Path, help="keep what is built here; the next run goes on with it")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--docs", action="store_true", help="write the table to docs/adapters.md")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder, options = given.folder or Path(temporary), Options(given.tokens, given.precision)
        # the smaller one first: memory at most is the process's
        found = [measure(base, given.layers or base.layers, options, given.rounds, folder) for base in (CHATGLM, LLAMA)]
    found.reverse()
    print("\n\n".join("\n".join(lines(each)) for each in found))
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n")
    if given.docs:
        rewrite(PAGE, markdown(table(found, given.tokens)), "adapters")


if __name__ == "__main__":
    main()
