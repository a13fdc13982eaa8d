"""Folders of built adapters for tests, made of small real programs."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from repository import ROOT

from slotlang.adapter.building.layout import GroupShape, Layout, Part, Update
from slotlang.adapter.building.text import text as text_of
from slotlang.api import load, loads, lower
from slotlang.emit.loaded import load_module
from slotlang.meaning.program import Program as BoundProgram
from slotlang.planning.target import Target
from slotlang.service.manifest import File, Group, Keys, LoraUpdate, Manifest, Program, Source
from slotlang.service.tokens import Tokens
from slotlang_runtime import Gates, SecretKey, Weights
from slotlang_runtime.module import Module

D, RANK, TOKENS = 32, 4, 2
SIZES = {"d": D, "r": RANK, "batch": TOKENS, "slots": 32}
SCALING = 0.5


@cache
def _program(blocks: bool, precision: float | None, slots: int) -> tuple[str, Module]:
    sizes = {**SIZES, "slots": slots}
    program = in_blocks() if blocks else load(str(ROOT / "programs/rank_complex.slot"), sizes)
    text = lower(program, target=Target(precision=precision)).text
    return text, load_module(text)


def in_blocks() -> BoundProgram:
    """A program of the same sizes, of which ranks 0 and 2 lie in one block and 1 and 3 in another."""
    shape = GroupShape(D, TOKENS, (Update(D, RANK),))
    layout = Layout(shape, SIZES["slots"], TOKENS, "pairs", (Part((0,), 1, 2, True),))
    return loads(text_of(layout, "blocks"))


def weights_of(layer: str, seed: int = 0) -> dict[str, Any]:
    """A and B of a module."""
    digest = hashlib.sha256(f"{layer} {seed}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:4], "little"))
    return {"A": rng.standard_normal((D, RANK)) / RANK, "B": rng.standard_normal((RANK, D)) / D**0.5}


def update_of(layer: str, x: Any, seed: int = 0, ranks: Sequence[int] | slice = slice(None)) -> Any:
    """The update in numpy, with some of the ranks: tokens x channels."""
    w = weights_of(layer, seed)
    return SCALING * x @ w["B"][ranks].T @ w["A"][:, ranks].T


LAYERS = ("layers.0.q_proj", "layers.0.v_proj", "layers.1.q_proj")


def build(
    folder: Path,
    name: str = "tiny",
    *,
    layers: tuple[str, ...] = LAYERS,
    seed: int = 0,
    gates: bool = False,
    precision: float | None = None,
    slots: int = SIZES["slots"],
) -> Manifest:
    """Write a built adapter with one group for each layer, of one program. ``gates``: requests may choose ranks, which
    lie in two blocks. ``precision``: parameters are chosen for it. More ``slots`` take more keys of the same ring."""
    text, module = _program(gates, precision, slots)
    home = folder / name
    (home / "programs").mkdir(parents=True, exist_ok=True)
    (home / "weights").mkdir(exist_ok=True)
    (home / "programs" / "square.py").write_text(text)
    groups = []
    for number, layer in enumerate(layers):
        own = weights_of(layer, seed)
        weights = dict(zip((*module.weights, *module.scalars), (own["A"], own["B"], SCALING), strict=True))
        files = {"weights": Weights.encode(module, **weights).to_bytes()}
        if gates:
            files["gates"] = Gates(module, **weights).to_bytes()
        written = []
        for kind, data in files.items():
            (home / "weights" / f"{number}.{kind}").write_bytes(data)
            written.append(File(f"weights/{number}.{kind}", hashlib.sha256(data).hexdigest(), len(data)))
        update = LoraUpdate(layer, 0, D, D, RANK, SCALING)
        group = Group("square", f"{layer.rpartition('.')[0]}#in", TOKENS, written[0], (update,))
        groups.append(replace(group, gates=written[1]) if gates else group)
    p = module.parameters
    keys = SecretKey(p.ring).evaluation_keys(module)
    return Manifest(
        name=name,
        base_model="tiny-base",
        made_with={"slotlang": "0.1.0"},
        adapter=Source("0" * 64, RANK),
        target={"tokens": TOKENS, "precision": 1e-3},
        parameters={"degree": p.degree, "prime_bits": list(p.prime_bits)},
        keys=Keys(p.first_levels, len(keys)),
        programs=(
            Program(
                "square", File("programs/square.py", hashlib.sha256(text.encode()).hexdigest()), "proved", "proved"
            ),
        ),
        groups=tuple(groups),
    ).write(home)


class Process:
    """A real ``slotlang serve`` of a folder, on a free port of the loopback. ``program``: runs slotlang's command."""

    def __init__(self, folder: Path, *options: str, program: Sequence[str] = ("-m", "slotlang")) -> None:
        self.folder, self.options, self.program, self.port = folder, options, program, 0
        self.log = folder.parent / f"{folder.name}.log"
        self.tokens = Tokens(folder / ".state" / "tokens")
        self.start()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = [sys.executable, *self.program, "serve", str(self.folder), "--json", *self.options]
        command += ["--port", str(self.port)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=environment, text=True)
        lines = iter(self.process.stdout or [])
        text = ""
        for line in lines:
            text += line
            if line == "}\n":
                break
        assert text, self.log.read_text()
        self.ready = json.loads(text)
        self.url = str(self.ready.get("url"))

    def token(self, tenant: str, **more: Any) -> str:
        """A new token."""
        return self.tokens.add(tenant, **more)[0]

    def load(self, name: str) -> None:
        """Serve an adapter of the folder under its name, in its present version."""
        headers = {"Authorization": f"Bearer {self.token('root', admin=True)}"}
        wanted, url = {"lora_name": name, "lora_path": name}, f"{self.url}/v1/load_lora_adapter"
        answer = httpx.post(url, json=wanted, headers=headers, trust_env=False, timeout=30)
        assert answer.status_code == 200, answer.text

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop it; the exit status."""
        self.process.send_signal(number)
        return self.process.wait(30)

    def restart(self, number: int = signal.SIGTERM) -> None:
        """Stop it, and start it again, on another port."""
        self.stop(number)
        self.start()

    def close(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
