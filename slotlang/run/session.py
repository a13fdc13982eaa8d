"""What ``slotlang run`` and the Python API's ``run`` do: bind, prove, lower, execute, compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from slotlang.cost.noise import predicted_error
from slotlang.diagnostics import SlotError, error
from slotlang.lowering.choose import parameters_for
from slotlang.lowering.hiding import Hide
from slotlang.lowering.lower import Lowered, Products, lower, plan
from slotlang.lowering.parameters import Parameters
from slotlang.meaning.bind import bind
from slotlang.meaning.program import Program
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
        values = asdict(self.report)
        p = self.lowered.plan.parameters
        return {
            "program": self.program.name,
            "sizes": {n: self.program.sizes[n] for n in self.program.parameters},
            "verdict": self.lowered.report.status,
            "method": self.lowered.report.method,
            "module": self.module,
            "tokens": self.tokens,
            "tokens_in_file": self.tokens_in_file,
            "parameters": p.to_json(),
            "hide": self.lowered.plan.hiding.mode,
            "products": self.lowered.plan.products,
            "predicted_error": predicted_error(self.lowered.plan),
            **values,
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
    unproved: bool = False,
    hide: Hide = "mask",
    tokens: int | None = None,
    workers: int = 1,
    cache: Path | None = None,
    products: Products = "auto",
    precision: float | None = None,
    max_key_bytes: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
    most_seconds: float | None = None,
) -> Session:
    """Run a program encrypted, on an adapter's module or on random weights.

    Activations of more tokens than the program takes are split into several evaluations: all of a file, or as many as
    ``tokens`` says, random ones without a file. ``workers``: processes that evaluate. ``cache``: a folder for encoded
    weights. ``most_seconds``: all tokens of a file are refused when they are predicted to take longer.

    Sizes that stand alone as a dimension of a weight follow from the adapter, unless they are given. Without
    ``parameters`` those chosen for ``precision`` are used, which the run's error must then not exceed. Raises
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
    if parameters is None:
        parameters = parameters_for(program, precision, max_key_bytes=max_key_bytes, hide=hide)
    try:
        planned = plan(program, parameters, hide=hide, products=products)
    except SlotError:
        planned = None  # ``lower`` says why, after a program that is not proved
    if planned is not None:
        check_run(planned, activations_file, tokens, workers, cached=cache is not None, most_seconds=most_seconds)
    lowered = lower(program, parameters, unproved=unproved, hide=hide, products=products)
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
        allowed_error=precision or WORST_ERROR,
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
