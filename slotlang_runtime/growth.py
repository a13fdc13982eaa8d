"""By how much errors exceed what a module promises, with weights larger than those that the promise is about.

A source of noise changes an input, a weight, or a product of some of them, by an amount that the parameters set. What
that does to a result depends on the weights. So the error grows as the largest effect of such a change does: of an
input, of each weight, of each scalar. Both sides are measured on ``reference`` with random inputs: no analysis of a
theorem is needed, and rows that are aligned, outliers and powers count as what they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from slotlang_runtime.data import Arrays, random_data, within
from slotlang_runtime.module import Module, root_mean_square

Gains = Mapping[str, Mapping[str, float]]
"""By result: the rms of what a change of each input, weight and scalar does to it."""

DRAWS = 8
"""Random inputs, of which one may have one token: effects scatter by a quarter at most then."""

NOTICED = 2.0
"""Errors that grow by no more are within what a promise leaves for its own scatter."""

MOST = 2.0**1000
"""The largest growth that is told apart."""

_NEGLIGIBLE = 1e-9
"""Effects that are smaller, compared with the largest on a result, may be nothing but rounding."""


@dataclass(frozen=True)
class Growth:
    """``errors``: by result, a power of two that bounds the growth of its error, where that is noticed. ``weights``: what
    is larger than the promise assumes, as text."""

    errors: Mapping[str, float]
    weights: tuple[str, ...] = ()

    def text(self) -> str:
        """What the warning says."""
        larger = "; ".join(self.weights) or "no rms of a weight is, but their rows or signs are aligned"
        errors = " and ".join(f"errors of {name} up to {times:.3g} times" for name, times in self.errors.items())
        return (
            f"these weights are larger than those that this program's promise of errors is about: {larger}. They make "
            f"{errors} as large as promised. Lower the program for these weights (--data, --adapter), or for weights "
            "within a bound (--bound)"
        )


def gains(module: Module, weights: Mapping[str, Any] | None = None) -> Gains:
    """What changes do to the results, with these checked weights; those that are not given are as ``random_data`` draws
    them. Changes are as large as what is drawn, whatever the weights are. A pure function of both."""
    _, drawn = random_data(module, 0)
    arrays = {**drawn, **(weights or {})}
    rng = np.random.default_rng(0)
    found: dict[str, dict[str, float]] = {name: {} for name in module.results}
    # what nobody encodes can't grow
    draws = DRAWS if arrays else 0
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(draws):
            inputs = _inputs(module, rng)
            changes = {**_inputs(module, rng), **{name: _signs(rng, value) for name, value in drawn.items()}}
            before = module.reference(inputs, arrays)
            for leaf, change in changes.items():
                if leaf in inputs:
                    after = module.reference({**inputs, leaf: inputs[leaf] + change}, arrays)
                else:
                    after = module.reference(inputs, {**arrays, leaf: arrays[leaf] + change})
                for name, value in after.items():
                    effect = root_mean_square(value - before[name]) / math.sqrt(DRAWS)
                    found[name][leaf] = math.hypot(found[name].get(leaf, 0.0), effect)
    return found


def growth(module: Module, weights: Mapping[str, Any]) -> Growth:
    """How errors grow with checked weights, compared with those that the module's promise is about."""
    assumed = module.gains or gains(module)
    errors = {}
    for name, effects in gains(module, weights).items():
        known = assumed.get(name, {})
        least = _NEGLIGIBLE * max(known.values(), default=0.0)
        most = max((_ratio(effect, max(known.get(leaf, 0.0), least)) for leaf, effect in effects.items()), default=1.0)
        if most > NOTICED:
            errors[name] = 2.0 ** math.ceil(math.log2(min(most, MOST)))
    return Growth(errors, _larger(module, weights) if errors else ())


def _ratio(effect: float, known: float) -> float:
    # not a number: beyond what doubles hold
    if not math.isfinite(effect):
        return MOST
    return (effect / known if known else MOST) if effect else 0.0


def _larger(module: Module, weights: Mapping[str, Any]) -> tuple[str, ...]:
    """Weights and scalars that are larger than those assumed, the one with the largest ratio first."""
    _, drawn = random_data(module, 0)
    sizes = {name: (root_mean_square(value), root_mean_square(drawn[name])) for name, value in weights.items()}
    ratios = {name: _ratio(*both) for name, both in sizes.items()}
    return tuple(
        f"the rms of {name} is {sizes[name][0]:.1e}, for {sizes[name][1]:.1e}"
        for name in sorted(ratios, key=lambda name: -ratios[name])
        if ratios[name] > math.sqrt(NOTICED)
    )


def _inputs(module: Module, rng: np.random.Generator) -> Arrays:
    """Standard normal inputs within their limits."""
    inputs = {name: rng.standard_normal(shape) for name, shape in module.inputs.items()}
    return within(inputs, {}, module.limits, ())[0]


def _signs(rng: np.random.Generator, values: Any) -> Any:
    """The values with random signs."""
    return np.asarray(values) * (1.0 - 2.0 * rng.integers(0, 2, np.shape(values), np.int8))
