"""How large the weights of an adapter are: what bounds and precision are chosen by.

A schedule serves many layers. Its bounds hold for the largest weights of all of them, and its precision for the
smallest. ``balanced`` makes all B alike before that: A and B of one module are multiplied by a power of two and divided
by it, which changes their product not at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from slotlang.adapter.adapter import LoraModule
from slotlang.adapter.building.shared import Group
from slotlang.adapter.config import Obstacle
from slotlang.cost.data import DataPowers
from slotlang.diagnostics import error
from slotlang.meaning.bounds import MAX_LIMIT_BITS
from slotlang_runtime.equalized import equalize

Array = npt.NDArray[np.float64]

SPARE = 2.0
"""How many times as large as the largest sampled activation an input may be."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Activations of a group's input, channels x tokens, and the exponents by which clients divide them (zeros where
    they are not equalized)."""

    x: Array = field(repr=False)
    exponents: npt.NDArray[np.int64] = field(repr=False)

    @classmethod
    def of(cls, x: Array, *, equalized: bool) -> Sample:
        """``x`` as it is, or equalized by its own channels."""
        exponents = equalize(x) if equalized else np.zeros(len(x), np.int64)
        return cls(np.ldexp(x, -exponents[:, None]), exponents)

    @property
    def equalize(self) -> dict[str, npt.NDArray[np.int64]]:
        """The exponents by input, as clients and ``Weights.encode`` take them; empty where all are zero."""
        return {"x": self.exponents} if self.exponents.any() else {}


Samples = Mapping[str, Sample]
"""By the input of a group."""


def balanced(module: LoraModule, sample: Sample | None = None) -> tuple[Array, Array]:
    """A and B of ``A @ B == up @ down``, exactly: rows of B have a norm of about 1 on the average. Zeros stay. Where
    the sample is equalized B is what meets the channels afterwards: ``Weights.encode`` multiplies it by the same
    powers of two."""
    met = module.down if sample is None else np.ldexp(module.down, sample.exponents[None, :])
    mean = float(np.sqrt((met**2).sum() / len(met)))
    if not 0 < mean < math.inf or not module.up.any():
        return module.up, module.down
    power = -round(math.log2(mean))
    return np.ldexp(module.up, -power), np.ldexp(module.down, power)


@dataclass
class _Largest:
    a: float = 0.0
    b: float = 0.0
    scale: float = 0.0
    least: float = math.inf
    smallest: LoraModule | None = None
    sample: Sample | None = None


@dataclass(frozen=True)
class Sizes:
    """Of all groups with one program. ``bounds``: of norms of rows and of scalars, as ``with_bound_statements`` takes
    them; ``data``: of each weight the smallest, which precision is chosen for."""

    bounds: Mapping[str, str]
    data: DataPowers = field(repr=False)


def sizes_of(groups: Sequence[Group], samples: Samples | None = None) -> Sizes:
    """The sizes of groups of one shape. ``samples``: activations of some of the groups; then the bound on inputs is
    theirs. Raises ``SlotError`` SL554 for weights beyond what bounds hold."""
    samples = samples or {}
    largest = [_Largest() for _ in groups[0].modules]
    for group in groups:
        sample = samples.get(group.input)
        for found, module in zip(largest, group.modules, strict=True):
            up, down = _met(module, sample)
            rows = largest_rows(up, down)
            if why := beyond(module, rows):
                # activations have made the weights so
                raise error(why.code, f"{module.name} can't be built: {why.reason}", hint=why.hint)
            found.a, found.b = max(found.a, rows[0]), max(found.b, rows[1])
            found.scale = max(found.scale, abs(module.scaling))
            size = float(np.sqrt(np.mean(up**2))) * abs(module.scaling)
            if 0 < size < found.least:
                found.least, found.smallest, found.sample = size, module, sample
    bounds: dict[str, str] = {}
    weights: dict[str, Any] = {}
    for m, found in enumerate(largest):
        # an update that is zero everywhere needs a bound too
        norms = found.a or 1.0, found.b or 1.0, found.scale or 1.0
        bounds |= dict(zip((f"norm(A{m})", f"norm(B{m})", f"s{m}"), map(_above, norms), strict=True))
        if found.smallest is not None:
            up, down = _met(found.smallest, found.sample)
            weights |= {f"A{m}": up, f"B{m}": down, f"s{m}": np.array(found.smallest.scaling)}
    inputs: dict[str, Array] = {}
    given = [samples[group.input].x for group in groups if group.input in samples]
    if given:
        bounds["norm(x)"] = _above(SPARE * max(float(np.sqrt((x**2).sum(axis=0)).max()) for x in given) or 1.0)
        # of larger inputs the relative error is smaller
        inputs = {"x": min(given, key=lambda x: float(np.mean(x**2)))}
    whole = len(weights) == 3 * len(largest)
    return Sizes(bounds, DataPowers(weights if whole else {}, inputs if whole and given and inputs["x"].any() else {}))


def largest_rows(up: Array, down: Array) -> list[float]:
    """The largest norm of a row of A and of B."""
    return [float(np.sqrt((side**2).sum(axis=1)).max()) for side in (up, down)]


def beyond(module: LoraModule, rows: Sequence[float]) -> Obstacle | None:
    """Why a module can't be encrypted: its scaling, or its ``largest_rows``, are beyond what bounds hold. Zero is not
    beyond them."""
    # half of it, as bounds are rounded up
    least, most = 2.0**-MAX_LIMIT_BITS, 2.0 ** (MAX_LIMIT_BITS - 1)
    between = f"between 2^-{MAX_LIMIT_BITS} and 2^{MAX_LIMIT_BITS - 1} are encrypted"
    for what, sizes in (("rows of norm", rows), ("a scaling of", (abs(module.scaling),))):
        for size in sizes:
            if size and not least < size < most:
                hint = "mend the adapter, or leave the module out (--module names those that are built)"
                return Obstacle("SL554", f"it has {what} {size:.1e}, and {between}", (), hint)
    return None


def _met(module: LoraModule, sample: Sample | None) -> tuple[Array, Array]:
    """A, and B as it meets the input."""
    up, down = balanced(module, sample)
    return up, down if sample is None else np.ldexp(down, sample.exponents[None, :])


def weights_of(group: Group, samples: Samples | None = None) -> dict[str, Any]:
    """The weights of a group's program, balanced, as ``Weights.encode`` takes them beside the exponents."""
    sample = (samples or {}).get(group.input)
    found: dict[str, Any] = {}
    for m, module in enumerate(group.modules):
        up, down = balanced(module, sample)
        found |= {f"A{m}": up, f"B{m}": down, f"s{m}": module.scaling}
    return found


def _above(value: float) -> str:
    """A decimal of three digits that is not smaller."""
    digits = 2 - math.floor(math.log10(value))
    return f"{math.ceil(value * (1 + 1e-9) * 10.0**digits)}e{-digits}"
