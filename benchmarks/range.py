"""Random cases in and beyond the range of their parameters: ``make range`` (``python -m benchmarks.range``).

A case is a program, a set of parameters, weights, and inputs. Weights and inputs have magnitudes from 1e-6 to 1e6, or
are scaled to their limits; they are normal, sparse, constant, or all positive, and inputs also lie in the direction of
the row of the weights that has the largest norm. Each case is run encrypted. It is refused before anything is sent, or
its result is compared with numpy: ``promise`` says what is right. Inputs in the worst direction must be right at their
limit and refused 1 % beyond it. Exit status 1 where something is wrong.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.columns import emitted
from benchmarks.pages import markdown, rewrite
from slotlang.api import load, plan
from slotlang.diagnostics import SlotError
from slotlang.planning.parameters import Parameters
from slotlang.planning.target import Target
from slotlang.run.runner import load_module
from slotlang_runtime import Client, EvaluationKeys, Limit, Module, Rejected, Server, Weights
from slotlang_runtime import ranges as runtime_ranges
from slotlang_runtime.magnitudes import Magnitude, MagnitudeOperations
from slotlang_runtime.noise import ERROR_VARIANCE, ROUNDING, cut_variance
from slotlang_runtime.parameters import Levels
from slotlang_runtime.ranges import Ranges, ranges
from slotlang_runtime.seal.ring import context_of

ROOT = Path(__file__).resolve().parent.parent
OUT = Path(__file__).resolve().parent / "range.json"
PROGRAMS: Mapping[str, Mapping[str, int]] = {
    "columns": {"d": 6, "n": 5, "r": 2, "batch": 8},
    "conjugate": {"n": 8},
    "dense_ab": {"d": 8, "r": 2, "steps": 4},
    "flipped": {"n": 8},
    "gated": {"d": 16, "r": 4, "batch": 2, "slots": 8},
    "lora": {"d_in": 12, "d_out": 20, "r": 3, "pairs": 2, "batch": 2, "slots": 16},
    "nonsquare": {"d_in": 7, "d_out": 13, "r": 3, "R": 2, "batch": 2, "slots": 8},
    "permuted": {"d": 8, "r": 2, "batch": 4, "slots": 16},
    "rank_complex": {"d": 16, "r": 4, "batch": 2, "slots": 16},
    "rank_first": {"d": 16, "r": 2, "batch": 2, "slots": 8},
    "scores": {"d": 8, "queries": 2, "slots": 16},
    "several_outputs": {"d": 8, "r": 2},
    "sparse_heads": {"d": 16, "r": 4, "heads": 2, "batch": 2, "slots": 16},
    "squat_tall": {"d": 16, "r": 4, "steps": 2},
    "two_tokens": {"d": 16, "r": 2, "batch": 4, "slots": 8},
}
"""With small sizes, so that a case takes some milliseconds. The ring is as large as ever."""
PRECISIONS = (1e-2, 1e-3, 1e-4, 1e-6)
KINDS = ("normal", "sparse", "constant", "positive")
LARGEST = 6.0
"""log10 of the largest magnitude; the smallest is 1 over it."""
MOST_SCALED = 1e12
"""Weights are not scaled beyond this: where they count for nothing, no factor brings them to their limit."""
SIGMAS = 6.0
"""How many standard deviations an error may have."""


SETS = (*(f"{precision:g}" for precision in PRECISIONS), "fixed", "by hand")


def lowered(name: str, parameters: str) -> Module:
    """A program with one of ``SETS``: what is chosen for a precision, the fixed choice, or the largest scale that fits
    a ring given by hand."""
    program = load(ROOT / "programs" / f"{name}.slot", PROGRAMS[name])
    if parameters == "fixed":
        return load_module(emitted(plan(program)))
    if parameters != "by hand":
        return load_module(emitted(plan(program, target=Target(precision=float(parameters)))))
    depth = plan(program).counts.depth
    for bits in range(96 // (depth + 1), 16, -2):
        with suppress(SlotError):
            return load_module(emitted(plan(program, Parameters(8192, (60, 60, 60), bits))))
    raise ValueError(f"no scale fits {name}")


def drawn(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> Any:
    """An array of a kind whose largest elements are near 1."""
    values = rng.standard_normal(shape)
    if kind == "sparse":
        values = values * (rng.random(shape) < 0.15)
    return (
        np.full(shape, rng.choice([-1.0, 1.0])) if kind == "constant" else abs(values) if kind == "positive" else values
    )


def magnitude(rng: np.random.Generator) -> float:
    """From 1e-6 to 1e6."""
    return float(10.0 ** rng.uniform(-LARGEST, LARGEST))


def random_weights(module: Module, rng: np.random.Generator, kind: str) -> dict[str, Any]:
    """Weights and scalars, each of a magnitude of its own."""
    found = {name: drawn(rng, shape, kind) * magnitude(rng) for name, shape in module.weights.items()}
    for name, pattern in module.patterns.items():
        found[name] = found[name] * pattern()
    return {**found, **{name: magnitude(rng) for name in module.scalars}}


def bounds_of(module: Module, weights: Mapping[str, Any]) -> Ranges:
    """Bounds of messages, as ``Weights.encode`` computes them."""
    return ranges(module, Levels(module.parameters, context_of(module.parameters.ring).moduli), weights, module.limits)


def at_their_limit(module: Module, weights: dict[str, Any]) -> dict[str, Any]:
    """The weights, all times one factor, as large as they may be; or as they are, where no factor helps."""
    for _ in range(60 if weights else 0):
        room = bounds_of(module, weights).room - 1
        if 0 <= room < 0.1 or not math.isfinite(room):
            break
        step = 2.0 ** (room / len(weights) - 1e-3)
        larger = {name: value * step for name, value in weights.items()}
        if max(float(np.abs(value).max()) for value in larger.values()) > MOST_SCALED:
            break
        weights = larger
    return weights


def worst(module: Module, weights: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs at their limit in the direction of the row with the largest norm: of the product that stands before the
    last factor of a theorem. Others than the last are constant."""
    found = {name: np.asarray(value, np.float64) for name, value in inputs.items()}
    for name, limit in module.limits.items():
        found[name] = fitted(np.ones(module.inputs[name]), limit)
    best, row, last = -1.0, None, ""
    for chains in module.forms.values():
        maps: dict[str, Any] = {}
        for coefficient, *factors in chains:
            product: Any = coefficient
            for factor in factors[:-1]:
                array = np.asarray({**weights, **found}[factor.removesuffix(".T")], np.float64)
                array = array.T if factor.endswith(".T") else array
                product = product @ array if np.ndim(product) and array.ndim else product * array
            if np.ndim(product) == 2:
                maps[factors[-1]] = maps.get(factors[-1], 0.0) + product
        for name, matrix in maps.items():
            norms = np.sqrt((matrix**2).sum(axis=1))
            if norms.max() > best:
                best, row, last = float(norms.max()), matrix[int(norms.argmax())], name
    if row is not None and best > 0:
        direction = row / np.abs(row).max()
        shape = module.inputs[last]
        found[last] = fitted(
            np.broadcast_to(direction.reshape(-1, *[1] * (len(shape) - 1)), shape), module.limits[last]
        )
    return found


def fitted(values: Any, limit: Any) -> Any:
    """Scaled so that the largest token is at its limit."""
    sizes = np.sqrt((values**2).sum(axis=0)).max()
    return values * (min(limit.norm / sizes, limit.entry / np.abs(values).max()) * (1 - 2.0**-40))


class SlotOperations(MagnitudeOperations):
    """Bounds the noise of the worst slot in place of the mean one. The digits of a key switch have a mean, which puts
    nearly all of its noise into one slot: its deviation is 2/pi times the root of the degree larger there."""

    def fresh(self, linear: Any, rest: Any, spread: float) -> Magnitude:
        """A slot can be much larger than the root mean square of all."""
        return super().fresh(linear, rest, math.inf)

    def switch_noise(self, level: int) -> float:
        """The noise in the worst slot of the digits of a key switch."""
        digits = sum((prime / self.levels.moduli[-1]) ** 2 for prime in self.levels.primes(level))
        peaked = 1 / 12 + 1 / 4 * (2 / math.pi) ** 2 * self.degree
        return math.sqrt(self.degree * ERROR_VARIANCE * digits * peaked)

    def rounded(self, norm: float, spread: float = 1.0) -> tuple[float, float]:
        """Inputs are not chosen along what is rounded: it is noise as any other."""
        return spread * math.sqrt(ROUNDING), 0.0

    def cut(self, a: Magnitude) -> Magnitude:
        """Nor along the last bits of c0 that are not sent."""
        bits, found = self.levels.cut(a.level), super().cut(a)
        if bits is None or not bits[0]:
            return found
        return replace(found, noise=found.noise + math.sqrt(cut_variance(bits[0])))


def promise(module: Module, weights: Mapping[str, Any], inputs: Mapping[str, Any]) -> float:
    """The largest absolute error of an element that is right: ``SIGMAS`` standard deviations of the noise in the worst
    slot, which ``ranges`` bounds for inputs as large as these. Added are 2^-44 times the largest result, for transforms
    in double precision, and the rounding of masks."""
    limits = {name: Limit(size_of(value), float(np.abs(value).max())) for name, value in inputs.items()}
    with patch.object(runtime_ranges, "MagnitudeOperations", SlotOperations):
        found = bounds_of(replace(module, limits=limits), weights)
    size = max((float(np.max(size)) for size in found.results.values()), default=0.0)
    masks = max((family.mask_bits for family in module.sent.values()), default=0)
    deviation = max(found.noise.values(), default=0.0)
    return SIGMAS * deviation + 2.0**-44 * size + 2.0**-46 * 2.0**masks


def size_of(values: Any) -> float:
    """The largest norm of a token, rounded up."""
    return float(np.sqrt((np.asarray(values) ** 2).sum(axis=0)).max()) * (1 + 2.0**-40)


def wrap(client: Client) -> float:
    """By how much a coefficient that wraps around the modulus changes each slot of a result, at least."""
    families = client.module.returned().values()
    ring = client.ring
    return min(math.prod(ring.primes(f.level)) / ring.scale(f.level, f.products) for f in families) / 2


@dataclass
class Tally:
    """Of one program with one set of parameters: cases by outcome, and by kind; the largest error over the promise.
    ``sharp``: cases that were right where the promise is below what one coefficient that wraps would change each
    slot by. ``wrong``: what was not as it must be, in words."""

    program: str
    parameters: str
    outcomes: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    over_promise: float = 0.0
    sharp: int = 0

    def case(self, client: Client, server: Server, keys: EvaluationKeys, weights: Any, inputs: Any, what: str) -> str:
        """Run one case and count its outcome."""
        module = client.module
        try:
            upload = client.encrypt(**inputs)
        except Rejected as problem:
            return self.counted("inputs refused" if problem.code == "SL531" else f"refused: {problem}", what)
        try:
            results = client.decrypt(server.evaluate(upload, keys).data)
        except Rejected as problem:
            return self.counted(f"refused after it was sent: {problem}", what)
        expected = module.reference(dict(inputs), dict(weights))
        values = results if len(expected) > 1 else {next(iter(expected)): results}
        error = max(float(np.abs(values[name] - expected[name]).max()) for name in expected)
        allowed = promise(module, weights, inputs)
        if not error <= allowed:
            return self.counted(f"wrong by {error:.3g}, promised {allowed:.3g}", what)
        self.sharp += allowed < wrap(client)
        self.over_promise = max(self.over_promise, error / allowed)
        return self.counted("right", what)

    def counted(self, outcome: str, what: str) -> str:
        """Count an outcome. At the limit only ``right`` is right, and beyond it only a refusal of the inputs."""
        wanted = {"at the limit": ("right",), "beyond the limit": ("inputs refused",)}
        good = wanted.get(what, ("right", "inputs refused", "weights refused"))
        if outcome not in good:
            self.wrong.append(f"{what}: {outcome}")
            outcome = "wrong"
        elif what in wanted:
            outcome = f"{what}: {outcome}"
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        return outcome


def cases(name: str, text: str, module: Module, rng: np.random.Generator, draws: int) -> Tally:
    """``draws`` weights with inputs of all kinds each; every other one is scaled to its limit."""
    tally = Tally(name, text)
    client = Client(module)
    keys = EvaluationKeys.from_bytes(client.evaluation_keys())
    for number in range(draws):
        kind = KINDS[number // 2 % len(KINDS)]
        weights = random_weights(module, rng, kind)
        if number % 2:
            weights = at_their_limit(module, weights)
        inputs = [{n: drawn(rng, shape, k) * magnitude(rng) for n, shape in module.inputs.items()} for k in KINDS]
        try:
            encoded = Weights.encode(module, **weights)
        except Rejected as problem:
            outcome = "weights refused" if problem.code == "SL532" else f"refused: {problem}"
            for _ in range(len(inputs) + 1):
                tally.counted(outcome, kind)
            continue
        server = Server(encoded)
        limit = worst(module, weights, inputs[0])
        for given in inputs:
            tally.case(client, server, keys, weights, given, kind)
        # aligned, and small: within the limit, which random magnitudes are half of the time
        share = min(magnitude(rng), 1.0)
        tally.case(client, server, keys, weights, scaled(limit, share), "aligned")
        tally.case(client, server, keys, weights, limit, "at the limit")
        tally.case(client, server, keys, weights, scaled(limit, 1.01), "beyond the limit")
    return tally


def scaled(inputs: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """All inputs times one factor."""
    return {name: value * factor for name, value in inputs.items()}


OUTCOMES = (
    "right",
    "inputs refused",
    "weights refused",
    "wrong",
    "at the limit: right",
    "beyond the limit: inputs refused",
)
HEADS = ("program", "cases", *OUTCOMES, "promise below a wrap", "largest error / promise")


def rows(found: Sequence[Tally]) -> list[list[str]]:
    """A line for each program, and one for all."""
    lines = []
    for name in [*dict.fromkeys(t.program for t in found), "all"]:
        own = [t for t in found if name in (t.program, "all")]
        counts = sum((Counter(t.outcomes) for t in own), Counter[str]())
        ratio = max(t.over_promise for t in own)
        numbers = [counts.total(), *(counts[outcome] for outcome in OUTCOMES), sum(t.sharp for t in own)]
        lines.append([name, *(f"{n:,}" for n in numbers), f"{ratio:.1g}"])
    return lines


def main() -> int:
    """Run, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="programs; all if left out")
    parser.add_argument("--draws", type=int, default=24, help="weights of each program with each set of parameters")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=OUT, help="the file to write")
    parser.add_argument("--docs", action="store_true", help="rewrite the figures in docs/numbers.md")
    options = parser.parse_args()
    for name in sorted({*options.names} - {*PROGRAMS}):
        parser.error(f"there is no program {name} among those that are run")
    console, start, found = Console(width=200), time.monotonic(), []
    for number, name in enumerate(track(options.names or [*PROGRAMS], "programs", console=console, transient=True)):
        for place, text in enumerate(SETS):
            rng = np.random.default_rng([options.seed, number, place])
            found.append(cases(name, text, lowered(name, text), rng, options.draws))
    table = Table(box=None)
    for head in HEADS:
        table.add_column(head, justify="left" if head == "program" else "right")
    for row in rows(found):
        table.add_row(*row)
    console.print(table)
    for tally in found:
        for line in tally.wrong[:5]:
            console.print(f"{tally.program}, {tally.parameters}: {line}")
    content = {"schema": "slotlang.range/1", "seconds": time.monotonic() - start, "cases": [*map(asdict, found)]}
    options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    console.print(f"{time.monotonic() - start:.0f} s")
    if options.docs:
        rewrite(ROOT / "docs" / "numbers.md", markdown([list(HEADS), *rows(found)]), "range")
    return 1 if any(tally.wrong for tally in found) else 0


if __name__ == "__main__":
    sys.exit(main())
