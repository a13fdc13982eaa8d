"""What ``slotlang run`` and the Python API's ``run`` do: bind, prove, lower, execute, compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from slotlang.cost.counts import executed_to_json
from slotlang.cost.noise import predicted_error
from slotlang.diagnostics import error
from slotlang.lower import Lowered, lower
from slotlang.meaning.bind import bind
from slotlang.meaning.program import Program
from slotlang.planning.parameters import Parameters
from slotlang.planning.target import Target
from slotlang.run.adapter import read_adapter
from slotlang.run.cache import check_folder
from slotlang.run.foresight import check_run
from slotlang.run.runner import (
    WORST_ERROR,
    Batches,
    RunReport,
    adapter_sizes,
    adapter_weights,
    execute,
    random_data,
    split_tokens,
)
from slotlang.syntax import tree


@dataclass(frozen=True)
class Session:
    """A finished run with what it was made of."""

    program: Program
    lowered: Lowered
    report: RunReport
    module: str | None
    tokens: int | None = None
    tokens_in_file: int | None = None

    def to_json(self) -> dict[str, object]:
        """Plain data; keys as in ``run --json``."""
        plan = self.lowered.plan
        return {
            "program": self.program.name,
            "sizes": {n: self.program.sizes[n] for n in self.program.parameters},
            "verdict": self.lowered.report.status,
            "method": self.lowered.report.method,
            "module": self.module,
            "tokens": self.tokens,
            "tokens_in_file": self.tokens_in_file,
            "parameters": plan.parameters.to_json(),
            "parameters_from": plan.origin,
            "hide": plan.hiding.mode,
            "kernel": plan.kernel,
            "predicted_error": predicted_error(plan),
            **asdict(self.report),
            "executed": executed_to_json(self.report.executed),
            "predicted": executed_to_json(self.report.predicted),
            "shapes": {k: list(v) for k, v in self.report.shapes.items()},
            "passed": self.report.passed,
        }


def run(
    syntax: tree.Program,
    sizes: Mapping[str, int] | None = None,
    *,
    adapter: Path | None = None,
    module: str | None = None,
    activations_file: Path | None = None,
    seed: int = 0,
    parameters: Parameters | None = None,
    target: Target = Target(),
    unproved: bool = False,
    tokens: int | None = None,
    workers: int = 1,
    cache: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
    most_seconds: float | None = None,
) -> Session:
    """Run a program encrypted, on an adapter's module or on random weights.

    Activations of more tokens than the program takes are split into several evaluations: all of a file, or as many as
    ``tokens`` says, random ones without a file. ``workers``: processes that evaluate. ``cache``: a folder for encoded
    weights. ``most_seconds``: all tokens of a file are refused when they are predicted to take longer.

    Sizes that stand alone as a dimension of a weight follow from the adapter, unless they are given. ``parameters`` and
    ``target`` as in ``plan``; the run's error must not exceed the target's precision, if there is one. Raises
    ``SlotError`` for anything wrong with program, adapter or arrays, and before keys and weights are made when the run
    needs more memory than there is (SL802) or too much time (SL514).
    """
    if workers < 1 or (tokens is not None and tokens < 1):
        raise error("SL005", "workers and tokens are whole numbers from 1")
    sizes = dict(sizes or {})
    if cache is not None:
        check_folder(cache)
    lora = None
    if adapter is not None:
        found = read_adapter(adapter)
        lora = found.module(module or _only(found.modules))
        sizes = {**adapter_sizes(syntax, lora, None), **sizes}
    progress("prove")
    program = bind(syntax, sizes)
    lowered = lower(program, parameters, unproved=unproved, target=target)
    check_run(lowered.plan, activations_file, tokens, workers, cached=cache is not None, most_seconds=most_seconds)
    progress("make data")
    inputs, weights = random_data(program, seed)
    chosen: dict[str, npt.NDArray[np.float64]] = dict(weights)
    if lora is not None:
        chosen = {**chosen, **adapter_weights(program, lora)}
    batches, held = Batches([inputs]), None
    if activations_file is not None or tokens is not None:
        batches, tokens, held = split_tokens(program, inputs, activations_file, tokens, seed)
    report = execute(
        lowered.text,
        lowered.plan.counts.executed(),
        batches,
        chosen,
        progress,
        workers=workers,
        cache=cache,
        allowed_error=target.precision or WORST_ERROR,
    )
    return Session(program, lowered, report, lora.name if lora else None, tokens, held)


def _only(modules: Mapping[str, object]) -> str:
    if len(modules) != 1:
        raise error(
            "SL502",
            "this adapter has several modules",
            notes=[", ".join(modules)],
            hint="name one with --module",
        )
    return next(iter(modules))
