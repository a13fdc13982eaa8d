"""An encrypted run: the emitted module's own client and server, compared with numpy in double precision."""

from __future__ import annotations

import math
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from slotlang.diagnostics import error
from slotlang.emit.loaded import load_module as load_module
from slotlang.meaning.program import Program
from slotlang.planning.limits import assumptions, limits
from slotlang.refusals import refused
from slotlang.run.cache import CacheUse, encode_cached
from slotlang_runtime.amounts import count_of
from slotlang_runtime.client import Client
from slotlang_runtime.data import within
from slotlang_runtime.equalized import Exponents
from slotlang_runtime.errors import BelowPrecision, BeyondPromise, Rejected, WorkerFailed
from slotlang_runtime.exchange import Wire
from slotlang_runtime.kernels.library import compiling
from slotlang_runtime.keys import EvaluationKeys
from slotlang_runtime.messages import Point
from slotlang_runtime.module import Module, root_mean_square, small_results
from slotlang_runtime.server import Server
from slotlang_runtime.weights import Weights, load_kernels
from slotlang_runtime.workers import Pool

Arrays = Mapping[str, npt.NDArray[np.float64]]

WORST_ERROR = 1e-3
"""Relative rms error above which a run has failed when no precision was asked for: the parameters do not hold these
values."""


@dataclass(frozen=True)
class RunReport:
    """Times in seconds, bytes as sent, operations as counted: sums over all ``evaluations``.

    "evaluate with transfer" is the time from all uploads to all downloads, by this many ``workers``; "read",
    "evaluate", "mask" and "save" are the sums of the parts of all requests. ``worker_cpu_seconds``: CPU time of each
    worker. ``errors``: rms error over rms of each result, ``rms`` the rms of each, ``below`` those that decryption
    warned of, and ``relative_error`` the largest of the errors; ``max_error``: largest absolute error. All against
    numpy. ``allowed_error``: the relative error above which the run has failed. ``counts_match`` compares what was
    executed with what was predicted; ``dropped`` says how many plaintexts and sums were zero; operations on them are
    left out, which only lowers the counts. ``shapes``: of each result in one evaluation. ``note``: why SEAL's
    operations are used although the module has a faster kernel; empty where they are not. ``tightest``: the message
    with the least room, with these weights; None for weights from a cache. ``results``: each result's parts, one for
    each evaluation, without padding, and real where the theorem is. ``beyond``: by result, how many times its error can
    be larger than promised with these weights, where that is noticed. ``compiling``: seconds within other steps in
    which the run compiled kernels, 0 where it loaded them; ``unkept``: why the next process compiles them again, else
    empty.
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
    errors: Mapping[str, float] = field(default_factory=dict)
    rms: Mapping[str, float] = field(default_factory=dict)
    below: tuple[str, ...] = ()
    tightest: Point | None = None
    results: Mapping[str, Sequence[npt.NDArray[Any]]] = field(default_factory=dict, repr=False, compare=False)
    beyond: Mapping[str, float] = field(default_factory=dict)
    compiling: float = 0.0
    unkept: str = ""

    def __repr__(self) -> str:
        verdict = "passed" if self.passed else "failed"
        what = f"{count_of(self.evaluations, 'evaluation')}, relative rms error {self.relative_error:.1e}"
        return f"<RunReport {', '.join(self.shapes)}: {verdict}, {what}>"

    @property
    def passed(self) -> bool:
        """Whether the counts are as predicted (or fewer, where zero weights were dropped) and the result is right."""
        fits = self.counts_match or (
            self.dropped > 0 and all(self.executed.get(k, 0) <= v for k, v in self.predicted.items())
        )
        return fits and self.relative_error <= self.allowed_error


def random_data(program: Program, seed: int) -> tuple[Arrays, Arrays]:
    """Standard normal inputs and weights, each weight scaled by one over the root of its last dimension so
    that products stay near 1; scalars are 1. Declared zero patterns are respected, and so are bounds and limits."""
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
    return within(inputs, weights, limits(program), assumptions(program))


@dataclass(frozen=True)
class Batches:
    """Inputs of one evaluation after the other; the last result ends in ``padding`` tokens that do not count."""

    inputs: Sequence[Arrays] = field(repr=False)
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
    equalize: Exponents | None = None,
    wire: Wire = "slotlang",
) -> RunReport:
    """Run an emitted module end to end through bytes, as client and server would: one evaluation of the inputs, or one
    for each of several, by this many processes. ``cache``: a folder for the encoded weights. ``equalize``: exponents of
    inputs, for both sides; ``wire``: what they exchange.

    Raises the code of the module's own refusal, such as SL531 for inputs beyond their limit, SL511 when a worker ends
    before its work is done, and SL512 when the cache can't be used.
    """
    module = load_module(text)
    batches = inputs if isinstance(inputs, Batches) else Batches([inputs])

    def encode() -> tuple[Weights, CacheUse | None]:
        with warnings.catch_warnings():
            # the run is compared with numpy, and says whether the result has the precision
            warnings.simplefilter("ignore", BelowPrecision)
            warnings.simplefilter("ignore", BeyondPromise)
            if cache is not None:
                return encode_cached(module, text, weights, cache, equalize)
            return Weights.encode(module, equalize=equalize, **weights), None

    try:
        client = partial(Client, module, equalize=equalize, wire=wire)
        return _executed(module, predicted, batches, weights, client, encode, progress, workers, allowed_error)
    except Rejected as problem:
        raise refused(problem, "run the program") from None
    except WorkerFailed as problem:
        raise error(
            "SL511",
            str(problem),
            notes=[f"{count_of(workers, 'worker')} for {count_of(len(batches.inputs), 'evaluation')}"],
            hint="try fewer --workers",
        ) from None


def _encrypted(client: Client, inputs: Sequence[Arrays]) -> list[bytes]:
    """An upload for each evaluation. A refusal says which one it is, where there are several."""
    uploads: list[bytes] = []
    for arrays in inputs:
        try:
            uploads.append(client.encrypt(**arrays))
        except Rejected as problem:
            if len(inputs) == 1:
                raise
            what = f"evaluation {len(uploads) + 1} of {len(inputs)}: {problem.what}"
            raise Rejected(what, problem.code, problem.hint) from None
    return uploads


def _executed(
    module: Module,
    predicted: Mapping[str, int],
    batches: Batches,
    weights: Arrays,
    new_client: Callable[[], Client],
    encode: Callable[[], tuple[Weights, CacheUse | None]],
    progress: Callable[[str], None],
    workers: int,
    allowed_error: float,
) -> RunReport:
    seconds: dict[str, float] = {}
    count, before = len(batches.inputs), compiling()[0]

    def timed(name: str, action: Callable[[], Any]) -> Any:
        progress(name)
        start = time.perf_counter()
        result = action()
        seconds[name] = time.perf_counter() - start
        return result

    def done(ready: int) -> None:
        progress(f"evaluate: {ready} of {count}")

    client = timed("key generation", new_client)
    sent_keys = timed("evaluation keys", client.evaluation_keys)
    own = client.wire == "slotlang"
    keys = EvaluationKeys.from_bytes(sent_keys) if own else EvaluationKeys.from_seal(client.secret.ring, sent_keys)
    if module.kernel == "compiled":
        timed("load kernels", lambda: load_kernels(module))
    encoded, used = timed("encode weights", encode)
    server = Server(encoded, wire=client.wire)
    pool: Pool | None = None
    try:
        if workers > 1:
            pool = timed("start workers", lambda: Pool(server, keys, workers))
        uploads = timed("encrypt", lambda: _encrypted(client, batches.inputs))
        start = time.process_time()
        if pool is None:
            answers = timed("evaluate with transfer", lambda: server.evaluate_many(uploads, keys, done))
        else:
            answers = timed("evaluate with transfer", lambda: pool.evaluate(uploads, done))
        worker_seconds = pool.cpu_seconds if pool else [time.process_time() - start]
    finally:
        if pool is not None:
            pool.close()
    parts_of_all = {"read": "reading", "evaluate": "seconds", "mask": "masking", "save": "saving"}
    seconds |= {name: sum(getattr(answer, part) for answer in answers) for name, part in parts_of_all.items()}
    with warnings.catch_warnings():
        # it is said of all evaluations together
        warnings.simplefilter("ignore", BelowPrecision)
        results = timed("decrypt", lambda: [client.decrypt(answer.data) for answer in answers])
    parts: dict[str, list[Any]] = {}
    wanted: dict[str, list[Any]] = {}
    for number, (inputs, result) in enumerate(zip(batches.inputs, results, strict=True), 1):
        expected = module.reference(dict(inputs), dict(weights))
        # a result that is a number has no tokens
        kept: Any = (..., slice(-batches.padding)) if batches.padding and number == count else ...
        for name, value in expected.items():
            parts.setdefault(name, []).append((result[name] if len(expected) > 1 else result)[kept])
            wanted.setdefault(name, []).append(value[kept])
    relative: dict[str, float] = {}
    sizes: dict[str, float] = {}
    largest = 0.0
    for name in parts:
        values = np.concatenate([part.ravel() for part in wanted[name]])
        difference = np.abs(np.concatenate([part.ravel() for part in parts[name]]) - values)
        size = sizes[name] = root_mean_square(values)
        relative[name] = root_mean_square(difference) / (size or 1.0)
        # a NaN is the largest error
        largest = float(np.max([largest, difference.max()]))
    counts = sum((answer.counts for answer in answers), Counter[str]())
    executed = {k: int(v) for k, v in counts.items() if v}
    expected_counts = {k: count * v for k, v in predicted.items()}
    compiled, unkept = compiling()
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
        float(np.max(list(relative.values()))),
        largest,
        allowed_error,
        {name: tuple(int(n) for n in values[0].shape) for name, values in wanted.items()},
        count,
        len(worker_seconds),
        tuple(worker_seconds),
        used,
        server.note,
        relative,
        sizes,
        tuple(
            small.name
            for small in small_results(
                module, {n: np.concatenate([p.ravel() for p in parts[n]]) for n in parts}, lost=encoded.lost
            )
        ),
        None if encoded.ranges is None else next(iter(encoded.ranges.points), None),
        {
            name: [a if np.iscomplexobj(b) else a.real for a, b in zip(parts[name], wanted[name], strict=True)]
            for name in parts
        },
        encoded.grown,
        compiled - before,
        unkept if compiled > before else "",
    )
