"""What ``slotlang run`` and the Python API's ``run`` do: bind, prove, lower, execute, compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from slotlang.cost.counts import executed_to_json
from slotlang.cost.profile import find_profile
from slotlang.diagnostics import Diagnostic, SlotError, error
from slotlang.displayed import Displayed
from slotlang.lower import Lowered, lower
from slotlang.meaning.program import Program
from slotlang.planning.parameters import Parameters
from slotlang.planning.plan import Plan
from slotlang.planning.ranges import Range
from slotlang.planning.target import Target
from slotlang.run.cache import check_folder
from slotlang.run.equalizing import Exponents, check_exponents, read_exponents, summary
from slotlang.run.failure import below_precision, beyond_promise, failure, with_parameters
from slotlang.run.foresight import check_run
from slotlang.run.given import Source, equalized, given, with_activations
from slotlang.run.pairing import Pair
from slotlang.run.results import check_output, joined
from slotlang.run.roles import token_input
from slotlang.run.runner import WORST_ERROR, Batches, RunReport, execute, random_data
from slotlang.run.tokens import split_tokens
from slotlang.syntax import tree


@dataclass(frozen=True)
class Session(Displayed):
    """A finished run with what it was made of. ``pairs``: the adapter's module of each result; ``weights``: where they
    are from; ``unused``: tensors of the adapter that are not used; ``warnings`` about the adapter and
    of results below the precision; ``exponents`` of
    equalized inputs; ``failure``: why a result is not what was asked for."""

    program: Program
    lowered: Lowered
    report: RunReport
    pairs: tuple[Pair, ...] = ()
    weights: Literal["adapter", "data", "random"] = "random"
    tokens: int | None = None
    tokens_in_file: int | None = None
    unused: tuple[str, ...] = ()
    warnings: tuple[Diagnostic, ...] = ()
    exponents: Exponents = field(default_factory=dict)
    failure: Diagnostic | None = None

    def __repr__(self) -> str:
        ended = "passed" if self.report.passed else "failed"
        return f"<Session {self.program.name}: {ended}, relative rms error {self.report.relative_error:.1e}>"

    def results(self) -> dict[str, npt.NDArray[Any]]:
        """The decrypted results by name: in the program's shape, or where the run is over tokens, (tokens x d)."""
        return {name: joined(parts, self.tokens) for name, parts in self.report.results.items()}

    @property
    def range(self) -> Range:
        """The range theorem for the weights of this run."""
        tightest = self.report.tightest
        room, where = (None, "") if tightest is None else (tightest.room, tightest.where)
        return self.lowered.range.of_weights(room, where)

    @cached_property
    def predicted_seconds(self) -> Mapping[str, float]:
        """Seconds by step, of all evaluations, as ``cost`` predicts them: for one thread, by the profile in use."""
        times, each = self.lowered.plan.predicted(find_profile()), self.report.evaluations
        return {
            "encode weights": times.encoding,
            "encrypt": each * times.encryption,
            "read": each * times.reading,
            "evaluate": each * times.evaluation,
            "mask": each * times.masking,
            "save": each * times.saving,
            "decrypt": each * times.decryption,
        }

    def to_json(self) -> dict[str, object]:
        """Plain data; keys as in ``run --json``."""
        plan = self.lowered.plan
        report = asdict(replace(self.report, results={}))
        del report["results"], report["tightest"], report["beyond"]
        return {
            "program": self.program.name,
            "sizes": {n: self.program.sizes[n] for n in self.program.parameters},
            "verdict": self.lowered.report.status,
            "method": self.lowered.report.method,
            "weights": self.weights,
            "modules": [pair.to_json() for pair in self.pairs],
            "unused_tensors": list(self.unused),
            "warnings": [warning.to_json() for warning in self.warnings],
            "equalized": summary(self.exponents),
            "tokens": self.tokens,
            "tokens_in_file": self.tokens_in_file,
            "parameters": plan.parameters.to_json(),
            "parameters_from": plan.origin,
            "hide": plan.hiding.mode,
            "wire": plan.wire,
            "kernel": plan.kernel,
            "predicted_error": plan.promise.relative_error,
            "promise": plan.promise.to_json(),
            "failure": None if self.failure is None else self.failure.to_json(),
            "range": self.range.to_json(),
            "seconds": report["seconds"],
            "bytes": report["bytes"],
            "predicted_seconds": dict(self.predicted_seconds),
            **report,
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
    modules: Sequence[str] = (),
    base_changed: bool = False,
    data: Path | None = None,
    activations_file: Path | None = None,
    output: Path | None = None,
    equalize: Path | None = None,
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
    """Run a program encrypted, on modules of an adapter, on the arrays of a file, or on random ones.

    ``modules``: the values of --module (``pair_modules``); ``base_changed`` as in ``read_adapter``. ``data``: a .npz
    file with inputs, weights and scalars by name. ``output``: a file that the caller will write results to, checked
    before any work. ``equalize``: a file of exponents of inputs, or of sample activations (``equalizing.py``).

    Activations of more tokens than the program takes are split into several evaluations: all of a file, or as many as
    ``tokens`` says, random ones without a file. ``workers``: processes that evaluate. ``cache``: a folder for encoded
    weights. ``most_seconds``: all tokens of a file are refused when they are predicted to take longer.

    Sizes that stand alone as a dimension of a weight follow from the adapter, unless they are given. ``parameters`` and
    ``target`` as in ``plan``; the run's error must not exceed the target's precision, if there is one. Raises
    ``SlotError`` for anything wrong with program, adapter or arrays, and before anything is emitted when the run
    needs more memory than there is (SL802) or too much time (SL514).
    """
    if workers < 1 or (tokens is not None and tokens < 1):
        raise error("SL005", "workers and tokens are whole numbers from 1")
    sizes = dict(sizes or {})
    if cache is not None:
        check_folder(cache)
    source = Source(adapter, modules, base_changed, data)
    source.check()
    by_tokens = activations_file is not None or tokens is not None
    if by_tokens:
        token_input(syntax)
    if output is not None:
        check_output(output, [s.name for s in syntax.statements if isinstance(s, tree.Prove)])
    exponents = {} if equalize is None else read_exponents(equalize, syntax)
    progress("prove")
    known = given(syntax, sizes, source, inputs="elsewhere" if by_tokens else "needed")
    if activations_file is not None:
        known = with_activations(known, activations_file, tokens)
    program = known.program
    if equalize is not None:
        check_exponents(exponents, program, equalize)
    powers = equalized(program, known.powers, exponents)
    target = replace(target, data=powers)

    def look(plan: Plan) -> None:
        check_run(plan, activations_file, tokens, workers, cached=cache is not None, most_seconds=most_seconds)

    lowered = lower(program, parameters, unproved=unproved, target=target, look=look)
    progress("make data")
    inputs, weights = random_data(program, seed)
    if data is not None:
        inputs = {**inputs, **known.inputs}
    chosen: dict[str, npt.NDArray[np.float64]] = {**weights, **known.weights}
    batches, held = Batches([inputs]), None
    if by_tokens:
        batches, tokens, held = split_tokens(program, inputs, activations_file, tokens, seed)
    try:
        report = execute(
            lowered.text,
            lowered.plan.counts.executed(),
            batches,
            chosen,
            progress,
            workers=workers,
            cache=cache,
            allowed_error=target.precision or WORST_ERROR,
            equalize=exponents,
            wire=target.wire,
        )
    except SlotError as problem:
        raise source.named(with_parameters(problem, lowered.plan, target), activations_file) from None
    failed = failure(lowered.plan, report, target, lowered.report.status)
    return Session(
        program,
        lowered,
        report,
        known.pairs,
        source.origin,
        tokens,
        held,
        known.adapter.extra if known.adapter else (),
        (
            *(known.adapter.warnings if known.adapter else ()),
            *([] if failed else below_precision(lowered.plan, report)),
            *beyond_promise(report),
        ),
        exponents,
        failed,
    )
