"""An encrypted run: the emitted module's own client and server, compared with numpy in double precision."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from slotlang.diagnostics import error
from slotlang.meaning.program import Program
from slotlang.run.adapter import LoraModule
from slotlang.run.cache import CacheUse, encode_cached
from slotlang.syntax import tree
from slotlang_runtime.client import Client
from slotlang_runtime.errors import Rejected, WorkerFailed
from slotlang_runtime.keys import EvaluationKeys
from slotlang_runtime.module import Module
from slotlang_runtime.server import Server
from slotlang_runtime.weights import Weights, load_kernel
from slotlang_runtime.workers import Pool

Arrays = Mapping[str, npt.NDArray[np.float64]]

WORST_ERROR = 1e-3
"""Relative rms error above which a run has failed when no precision was asked for: the parameters do not hold these
values."""


@dataclass(frozen=True)
class RunReport:
    """Times in seconds, bytes as sent, operations as counted: sums over all ``evaluations``.

    "evaluate with transfer" is the time from all uploads to all downloads, by this many ``workers``, and "evaluate" the
    sum over the evaluations without transfers. ``worker_cpu_seconds``: CPU time of each worker. ``relative_error``: rms
    error over rms of the result; ``max_error``: largest absolute error. Both against numpy. ``allowed_error``: the
    relative error above which the run has failed. ``counts_match`` compares what was executed with what was predicted;
    ``dropped`` says how many plaintexts and sums were zero; operations on them are left out, which only lowers the
    counts. ``note``: why SEAL's operations are used although the module has a faster kernel; empty where they are not.
    """

    seconds: Mapping[str, float]
    bytes: Mapping[str, int]
    executed: Mapping[str, int]
    predicted: Mapping[str, int]
    counts_match: bool
    dropped: int
    relative_error: float
    max_error: float
    allowed_error: float
    shapes: Mapping[str, tuple[int, ...]]
    evaluations: int
    workers: int
    worker_cpu_seconds: tuple[float, ...]
    cache: CacheUse | None
    note: str

    @property
    def passed(self) -> bool:
        """Whether the counts are as predicted (or fewer, where zero weights were dropped) and the result is right."""
        fits = self.counts_match or (
            self.dropped > 0 and all(self.executed.get(k, 0) <= v for k, v in self.predicted.items())
        )
        return fits and self.relative_error <= self.allowed_error


def load_module(text: str, name: str = "lowered") -> Module:
    """The module that a text defines, which was just emitted: its code is executed."""
    namespace: dict[str, Any] = {"__name__": name}
    exec(compile(text, f"<{name}>", "exec"), namespace)
    module: Module = namespace["MODULE"]
    return module


def random_data(program: Program, seed: int) -> tuple[Arrays, Arrays]:
    """Standard normal inputs and weights, each weight scaled by one over the root of its last dimension so
    that products stay near 1; scalars are 1. Declared zero patterns are respected."""
    from slotlang.proof.field import pattern_mask

    rng = np.random.default_rng(seed)
    inputs: dict[str, npt.NDArray[np.float64]] = {}
    weights: dict[str, npt.NDArray[np.float64]] = {}
    for name, decl in program.tensors.items():
        if decl.kind == "input":
            inputs[name] = rng.standard_normal(decl.shape)
            continue
        values = rng.standard_normal(decl.shape) / math.sqrt(decl.shape[-1])
        mask = pattern_mask(program, name)
        weights[name] = values if mask is None else values * mask.reshape(decl.shape)
    for scalar in program.scalars:
        weights[scalar] = np.array(1.0)
    return inputs, weights


@dataclass(frozen=True)
class Batches:
    """Inputs of one evaluation after the other; the last result ends in ``padding`` tokens that do not count."""

    inputs: Sequence[Arrays]
    padding: int = 0


def execute(
    text: str,
    predicted: Mapping[str, int],
    inputs: Arrays | Batches,
    weights: Arrays,
    progress: Callable[[str], None] = lambda _: None,
    *,
    workers: int = 1,
    cache: Path | None = None,
    allowed_error: float = WORST_ERROR,
) -> RunReport:
    """Run an emitted module end to end through bytes, as client and server would: one evaluation of the inputs, or one
    for each of several, by this many processes. ``cache``: a folder for the encoded weights.

    Raises SL507 when the module refuses its data, such as values too large for the scale of the parameters, SL511 when
    a worker ends before its work is done, and SL512 when the cache can't be used.
    """
    module = load_module(text)
    batches = inputs if isinstance(inputs, Batches) else Batches([inputs])

    def encode() -> tuple[Weights, CacheUse | None]:
        if cache is not None:
            return encode_cached(module, text, weights, cache)
        return Weights.encode(module, **weights), None

    try:
        return _executed(module, predicted, batches, weights, encode, progress, workers, allowed_error)
    except Rejected as problem:
        if problem.code:
            raise error(problem.code, str(problem)) from None
        raise error(
            "SL507",
            f"the encrypted run was refused: {problem}",
            hint="scale the data down, or choose parameters with more room",
        ) from None
    except WorkerFailed as problem:
        raise error(
            "SL511",
            str(problem),
            notes=[f"{len(batches.inputs)} evaluations were split over {workers} workers; all workers were ended"],
            hint="try fewer --workers: each needs memory for its own ciphertexts",
        ) from None


def _executed(
    module: Module,
    predicted: Mapping[str, int],
    batches: Batches,
    weights: Arrays,
    encode: Callable[[], tuple[Weights, CacheUse | None]],
    progress: Callable[[str], None],
    workers: int,
    allowed_error: float,
) -> RunReport:
    seconds: dict[str, float] = {}
    count = len(batches.inputs)

    def timed(name: str, action: Callable[[], Any]) -> Any:
        progress(name)
        start = time.perf_counter()
        result = action()
        seconds[name] = time.perf_counter() - start
        return result

    def done(ready: int) -> None:
        progress(f"evaluate: {ready} of {count}")

    client = timed("key generation", lambda: Client(module))
    sent_keys = timed("evaluation keys", client.evaluation_keys)
    keys = EvaluationKeys.from_bytes(sent_keys)
    if module.kernel == "fused":
        timed("compile kernel", lambda: load_kernel(module))
    encoded, used = timed("encode weights", encode)
    server = Server(encoded)
    pool: Pool | None = None
    try:
        if min(workers, count) > 1:
            pool = timed("start workers", lambda: Pool(server, keys, min(workers, count)))
        uploads = timed("encrypt", lambda: [client.encrypt(**inputs) for inputs in batches.inputs])
        start = time.process_time()
        if pool is None:
            answers = timed("evaluate with transfer", lambda: server.evaluate_many(uploads, keys, done))
        else:
            answers = timed("evaluate with transfer", lambda: pool.evaluate(uploads, done))
        worker_seconds = pool.cpu_seconds if pool else [time.process_time() - start]
    finally:
        if pool is not None:
            pool.close()
    seconds["evaluate"] = sum(answer.seconds for answer in answers)
    results = timed("decrypt", lambda: [client.decrypt(answer.data) for answer in answers])
    pairs: list[tuple[Any, Any]] = []
    for number, (inputs, result) in enumerate(zip(batches.inputs, results, strict=True), 1):
        expected = module.reference(dict(inputs), dict(weights))
        both = [(result[name] if len(expected) > 1 else result, expected[name]) for name in expected]
        kept = slice(-batches.padding) if batches.padding and number == count else slice(None)
        pairs += [(a[..., kept], b[..., kept]) for a, b in both]
    difference = np.concatenate([np.abs(a - b).ravel() for a, b in pairs])
    size = np.concatenate([np.abs(b).ravel() for _, b in pairs])
    rms = float(np.sqrt(np.mean(size**2)))
    counts = sum((answer.counts for answer in answers), Counter[str]())
    executed = {k: int(v) for k, v in counts.items() if v}
    expected_counts = {k: count * v for k, v in predicted.items()}
    error_rms = float(np.sqrt(np.mean(difference**2)))
    return RunReport(
        seconds,
        {
            "evaluation keys": len(sent_keys),
            "upload": sum(map(len, uploads)),
            "download": sum(len(answer.data) for answer in answers),
        },
        executed,
        expected_counts,
        executed == expected_counts,
        encoded.engine.zeros + sum(answer.vanished for answer in answers),
        error_rms / (rms or 1.0),
        float(difference.max()),
        allowed_error,
        {"results": tuple(int(n) for n in pairs[0][1].shape)},
        count,
        len(worker_seconds),
        tuple(worker_seconds),
        used,
        server.note,
    )


# Adapters


@dataclass(frozen=True)
class Roles:
    """Which of a program's tensors is the input, the down- and the up-projection, and the scalar."""

    input: tree.Tensor
    down: tree.Tensor
    up: tree.Tensor
    scalar: str | None


def roles(syntax: tree.Program) -> Roles:
    """The roles, read off the program's theorem, ``scale * A @ B @ x``. Raises SL506 when it has another form."""
    tensors: dict[str, tuple[str, tree.Tensor]] = {}
    scalars: set[str] = set()
    theorems = []
    for statement in syntax.statements:
        match statement:
            case tree.Declare(kind, declared):
                tensors.update({t.name: (kind, t) for t in declared})
            case tree.Scalars(declared_scalars):
                scalars.update(n.name for n in declared_scalars)
            case tree.Prove():
                theorems.append(statement)
            case _:
                pass
    shape_hint = "adapters run with programs that prove y == scale * A @ B @ x"
    if len(theorems) != 1:
        raise error("SL506", "an adapter needs a program with one theorem", hint=shape_hint)
    names = _factors(theorems[0].value)
    factors = [tensors[n] for n in names if n in tensors]
    used = [n for n in names if n in scalars]
    kinds = [kind for kind, _ in factors]
    if kinds != ["weight", "weight", "input"] or len(used) > 1 or len(set(names)) != len(factors) + len(used):
        raise error("SL506", "this program does not compute an adapter's update", theorems[0].span, hint=shape_hint)
    return Roles(factors[2][1], factors[1][1], factors[0][1], used[0] if used else None)


def _factors(e: tree.Expr) -> list[str]:
    match e:
        case tree.Name(name):
            return [name]
        case tree.Binary("@" | "*", left, right):
            return _factors(left) + _factors(right)
        case _:
            return ["?"]


def adapter_sizes(syntax: tree.Program, module: LoraModule, tokens: int | None) -> dict[str, int]:
    """Header sizes that the adapter's shapes determine: those that stand alone as a dimension."""
    known = {s.name for s in syntax.header.sizes}
    role = roles(syntax)
    sizes: dict[str, int] = {}
    shapes = [(role.up, module.up.shape), (role.down, module.down.shape)]
    if tokens is not None and len(role.input.shape) == 2:
        shapes.append((role.input, (module.d_in, tokens)))
    for tensor, shape in shapes:
        for extent, value in zip(tensor.shape, shape, strict=False):
            if isinstance(extent, tree.Name) and extent.name in known:
                sizes.setdefault(extent.name, int(value))
    return sizes


def adapter_weights(program: Program, module: LoraModule) -> dict[str, npt.NDArray[np.float64]]:
    """The module's matrices under the program's names. Raises SL506 when shapes differ."""
    role = roles(program.syntax)
    weights: dict[str, npt.NDArray[np.float64]] = {}
    up, down = module.up, module.down
    if role.scalar is None:
        up = up * module.scaling
    else:
        weights[role.scalar] = np.array(module.scaling)
    for tensor, array, what in ((role.up, up, "up-projection"), (role.down, down, "down-projection")):
        declared = program.tensors[tensor.name].shape
        if declared != array.shape:
            raise error(
                "SL506",
                f"'{tensor.name}' is {' x '.join(map(str, declared))} in the program, and the module's {what} "
                f"is {' x '.join(map(str, array.shape))}",
                tensor.span,
                notes=[f"module {module.name}: d_in = {module.d_in}, d_out = {module.d_out}, rank = {module.rank}"],
                hint="set the sizes with --set",
            )
        weights[tensor.name] = array
    return weights


def split_tokens(
    program: Program, inputs: Arrays, path: Path | None, tokens: int | None, seed: int
) -> tuple[Batches, int, int | None]:
    """This many tokens as evaluations of the program: those of a file, one per row, or random ones.

    Without ``tokens`` all of the file. The last evaluation is padded with zeros. Returns how many tokens that is, too,
    and how many the file holds. Raises SL505 when the file does not fit or holds fewer tokens, and SL506 when the
    program's result is not computed token by token.
    """
    from slotlang.run.adapter import read_activations

    name = roles(program.syntax).input.name
    shape = program.tensors[name].shape
    held = None
    if path is None:
        # a stream of its own: random weights come from the one of the seed alone
        values = np.random.default_rng([seed, 1]).standard_normal((shape[0], tokens or 1))
    else:
        values = read_activations(path, shape[0], None)
        held = int(values.shape[1])
        if tokens is not None and held < tokens:
            message = f"{tokens} tokens are asked for, and the file holds {held}"
            raise error("SL505", message, file=str(path), hint="ask for fewer with --tokens, or give more rows")
        values = values[:, :tokens]
    batch = shape[1] if len(shape) == 2 else 1
    count = int(values.shape[1])
    padding = -count % batch
    values = np.pad(values, ((0, 0), (0, padding)))
    parts = np.split(values, values.shape[1] // batch, axis=1)
    made = [{**inputs, name: part if len(shape) == 2 else part[:, 0]} for part in parts]
    return Batches(made, padding), count, held
