"""What is promised of a result: its error, relative and absolute, and the data that this is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil, floor, isfinite, log10
from typing import Protocol

from slotlang.cost.data import Assumed, DataPowers, assumed_text
from slotlang.cost.gains import gains
from slotlang.cost.hidden import Hidden
from slotlang.cost.noise import Gains, Setting
from slotlang.graph.graph import Graph

DEFAULT_PRECISION = 1e-3
"""The relative error below which a result counts as known, when no precision was asked for."""

UNBOUNDED = 1e300
"""Stands for an error of which nothing is known."""

DIGITS = 3
"""Digits of a promise, which is rounded up."""


class Planned(Protocol):
    """A graph under parameters; ``Plan`` of the lowering is one."""

    @property
    def graph(self) -> Graph:
        """What is executed."""

    @property
    def parameters(self) -> Setting:
        """What it is executed with."""

    @property
    def hiding(self) -> Hidden:
        """What is hidden in results."""

    @property
    def data(self) -> DataPowers:
        """What is known of the data."""


@dataclass(frozen=True)
class Promise:
    """``relative_error``: relative rms error that a run is expected not to exceed, in any result. ``precision``: the
    relative error that was asked for, or else one that results half as large as expected have too. ``error``: the rms
    error of each result, by name, which holds for smaller inputs too. ``assumed``: the data that this is about.
    ``sizes``: rms of the elements that may be nonzero, by what is given of it."""

    assumed: Assumed
    relative_error: float
    precision: float
    error: Mapping[str, float]
    sizes: Mapping[str, float] = field(default_factory=dict)

    @property
    def about(self) -> str:
        """The data, as it is said wherever the promise is shown."""
        return assumed_text(self.assumed)

    @property
    def absolute(self) -> str:
        """The absolute errors: ``rms error of y at most 1.2e-05 for such data``."""
        errors = ", ".join(f"{name} at most {error:.1e}" for name, error in self.error.items())
        return f"rms error of {errors} for such data"

    @property
    def sentence(self) -> str:
        """The relative and the absolute errors, and the data they are about."""
        return f"relative rms error at most {self.relative_error:.1e} {self.about}; {self.absolute}"

    def to_json(self) -> dict[str, object]:
        """Plain data; keys as in ``cost --json``."""
        return {
            "assumed": self.assumed,
            "relative_error": self.relative_error,
            "precision": self.precision,
            "error": dict(self.error),
        }


def plan_gains(plan: Planned) -> Gains:
    """The gains of a plan's graph, in its ring and for its data."""
    hiding = plan.hiding
    return gains(
        plan.graph,
        plan.parameters.degree,
        hiding.doubled,
        masked=hiding.mode != "none",
        zero=hiding.zero,
        bits=hiding.bits,
        whole=hiding.whole,
        doubles=hiding.doubles,
        data=plan.data,
    )


def predicted_error(plan: Planned) -> float:
    """Relative rms error (rms error over rms of the result) that a run of a plan is expected not to exceed, in any of
    its results, on the plan's data: without any, standard normal inputs, and weights scaled by one over the root of
    their last dimension."""
    return plan_gains(plan).error(plan.parameters)


def promised(
    found: Gains,
    setting: Setting,
    results: list[str],
    assumed: Assumed,
    sizes: Mapping[str, float],
    wanted: float | None,
) -> Promise:
    """The promise of parameters. ``wanted``: the precision that was asked for; what is promised is no more than what is
    predicted."""
    relative = found.error(setting)
    parts = found.results or {results[0]: found}
    error = {name: rounded_up(parts[name].absolute(setting)) for name in results}
    precision = (
        max(DEFAULT_PRECISION, 2 * rounded_up(relative)) if wanted is None else max(wanted, rounded_up(relative))
    )
    rounded = {name: rounded_up(size) for name, size in sizes.items()}
    return Promise(assumed, rounded_up(relative), precision, error, rounded)


def rounded_up(value: float) -> float:
    """Rounded up to a few digits. NaN and infinity, which constants beyond a double give, count as ``UNBOUNDED``."""
    if not value:
        return 0.0
    if not isfinite(value) or value > UNBOUNDED:
        return UNBOUNDED
    exponent = floor(log10(value)) - DIGITS + 1
    return float(f"{ceil(value / 10.0**exponent * (1 - 1e-9))}e{exponent}")
