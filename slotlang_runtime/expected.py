"""The errors that a module's results are expected to have with given weights, and by how much they exceed its promise.

``evaluate`` of the module is run on slots of random inputs, each with an error beside it, to which every operation adds
noise at random, as large as it is in encryption. So rows that are aligned, outliers, powers and zeros count as what
they are. The noise model of the compiler (``docs/cost.md``) has the same variances, and no weights where it promises.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang_runtime.data import random_data, random_inputs
from slotlang_runtime.masks import hidden_in
from slotlang_runtime.module import Module, Name, root_mean_square
from slotlang_runtime.noise import (
    DOUBLE,
    ERROR_VARIANCE,
    ROUNDING,
    SAFETY,
    cut_variances,
    dropped_variance,
    peak_shape,
)
from slotlang_runtime.operations import Evaluation
from slotlang_runtime.parameters import Levels

Slots: TypeAlias = npt.NDArray[np.complex128]

NUMBERS = 1 << 10
"""Numbers of an input that are drawn at least, by up to ``DRAWS`` and at least two random inputs."""
DRAWS = 8

SEEN = 1e-2
"""Slots in which key switches have less than this part of their mean peak have none."""

NOTICED = 2.0
"""Errors that are at most as many times as large as promised are within what either side scatters."""

ADVICE = "Lower the program for these weights (--data, --adapter), for larger ones (--bound), or for a smaller error"
"""What to do about a promise that does not hold."""

MOST = 2.0**1000
"""Ratios beyond are not told apart."""


@dataclass(frozen=True, slots=True)
class Noisy:
    """What the slots of a ciphertext hold, inputs x 1 x slots, and the error in all slots of the ring, inputs x copies
    x slots. A product has three polynomials until it is relinearised."""

    values: Slots
    error: Slots
    level: int
    scale: float
    polynomials: int = 2


@dataclass(frozen=True, slots=True)
class Plain:
    """What the slots of a plaintext hold, and what rounding adds to it."""

    values: Slots
    error: Slots
    scale: float
    level: int


class NoisyOperations:
    """``Operations`` on slots with errors, for several inputs at once."""

    def __init__(self, levels: Levels, degree: int, inputs: int, slots: int) -> None:
        self.levels, self.degree, self.slots = levels, degree, slots
        self.shape = inputs, degree // 2 // slots, slots
        self.rng = np.random.default_rng(0)
        peak = peak_shape(degree)
        self.peaked = np.flatnonzero(peak > SEEN)
        self.peak = np.sqrt(peak[self.peaked])

    def normal(self, variance: float, shape: tuple[int, ...], rng: np.random.Generator | None = None) -> Slots:
        """Random complex numbers with this mean square, which is divided by a scale twice: squares of scales may be
        beyond a double."""
        parts = (rng or self.rng).standard_normal((*shape, 2)) * math.sqrt(variance / 2)
        numbers: Slots = parts.view(np.complex128)[..., 0]
        return numbers

    def rounded(self, values: Slots, scale: float) -> Slots:
        """What encoding adds to values. A vector is a polynomial of as many coefficients as twice the slots; that of a
        real one is symmetric, and so is what is rounded."""
        first = complex(values.flat[0])
        same = bool((values == first).all())
        if same and not first.imag:
            exact = first.real * scale
            return np.full(1, (round(exact) - exact) / scale if abs(exact) < MOST else 0.0, np.complex128)
        variance = (3 if same else 2 * self.slots) * ROUNDING / scale / scale
        variance += DOUBLE**2 * float(np.mean(np.abs(values) ** 2))
        shape = np.broadcast_shapes(values.shape, (1, 1, self.slots))
        error = self.normal(variance if values.imag.any() else 2 * variance, shape)
        return error if values.imag.any() else error.real.astype(np.complex128)

    def fresh(self, values: Slots) -> Noisy:
        """A ciphertext that the client has just encrypted."""
        zero = self._fresh(0, self.levels.scale(0))
        return replace(zero, values=values, error=zero.error + self.rounded(values, zero.scale))

    def _fresh(self, level: int, scale: float) -> Noisy:
        error = self.normal(self.degree * ERROR_VARIANCE / scale**2, self.shape)
        return Noisy(np.zeros((1, 1, 1), np.complex128), error, level, scale)

    def _switched(self, a: Noisy, key: int) -> Noisy:
        """``key``: the step of a rotation, 0 for products, -1 for the conjugate. Digits are not centred: the mean of
        each times the key's own error is a peak, which is the same whenever this key is used."""
        n, primes = self.degree, self.levels.primes(a.level)
        digits = [prime / self.levels.moduli[-1] for prime in primes]
        even = n * (n * ERROR_VARIANCE * sum(d**2 for d in digits) / 12 + dropped_variance(n))
        error = a.error + self.normal(even / a.scale / a.scale, self.shape)
        flat = error.reshape(self.shape[0], -1)
        for number, digit in enumerate(digits):
            rng = np.random.default_rng([key + 1, number])
            own = self.normal(n * n * ERROR_VARIANCE * (digit / a.scale) ** 2 / 4, (len(flat), self.peaked.size), rng)
            flat[:, self.peaked] += own * self.peak
        return replace(a, error=error)

    def rotate(self, a: Noisy, step: int) -> Noisy:
        """Slots move."""
        error = np.roll(a.error.reshape(self.shape[0], -1), -step, 1).reshape(self.shape)
        return self._switched(replace(a, values=_rolled(a.values, step), error=error), step)

    def conjugate(self, a: Noisy) -> Noisy:
        """The complex conjugate."""
        return self._switched(replace(a, values=a.values.conj(), error=a.error.conj()), -1)

    def multiply_plain(self, a: Noisy, plain: Plain) -> Noisy:
        """Both are off."""
        error = a.error * (plain.values + plain.error) + a.values * plain.error
        return replace(a, values=a.values * plain.values, error=error, scale=a.scale * plain.scale)

    def multiply(self, a: Noisy, b: Noisy) -> Noisy:
        """Both are off."""
        error = a.error * (b.values + b.error) + a.values * b.error
        return Noisy(a.values * b.values, error, a.level, a.scale * b.scale, 3)

    def relinearize(self, a: Noisy) -> Noisy:
        """A key switch, where there is a third polynomial."""
        return a if a.polynomials == 2 else self._switched(replace(a, polynomials=2), 0)

    def rescale(self, a: Noisy) -> Noisy:
        """All polynomials are rounded."""
        level, scale = a.level + 1, self.levels.scales[a.level + 1]
        variance = self.degree * dropped_variance(self.degree, a.polynomials) / scale / scale
        error = a.error + self.normal(variance, self.shape)
        return replace(a, error=error, level=level, scale=scale)

    def cut(self, a: Noisy, halved: bool) -> Noisy:
        """What a result is when its last bits are not sent; ``halved``: half of h is sent for c0."""
        bits = self.levels.cut(a.level)
        if bits is None:
            return a
        variance = self.degree * sum(cut_variances(self.degree, bits, halved=halved)) / a.scale / a.scale
        return replace(a, error=a.error + self.normal(variance, self.shape))

    def negate(self, a: Noisy) -> Noisy:
        """``-a``."""
        return replace(a, values=-a.values, error=-a.error)

    def add(self, total: Noisy, term: Noisy, sign: int, *, owned: bool) -> Noisy:
        """The sum, or the difference."""
        operation = np.add if sign > 0 else np.subtract
        error = operation(total.error, term.error, out=total.error if owned else None)
        polynomials = max(total.polynomials, term.polynomials)
        return replace(total, values=operation(total.values, term.values), error=error, polynomials=polynomials)

    def dot(self, pairs: list[tuple[Noisy, Plain]]) -> Noisy | None:
        """Products are computed one by one."""
        return None

    def add_plain(self, a: Noisy, plain: Plain, sign: int) -> Noisy:
        """A constant is added."""
        return replace(a, values=a.values + sign * plain.values, error=a.error + sign * plain.error)

    def zero(self, like: Plain | Noisy) -> Noisy:
        """Fresh noise and nothing else."""
        return self._fresh(like.level, like.scale)


def _rolled(values: Slots, step: int) -> Slots:
    return values if values.shape[-1] == 1 else np.roll(values, -step, -1)


class _Plaintexts(Mapping[Name, "Plain | None"]):
    """Plaintexts by name, each computed when it is asked for."""

    def __init__(self, module: Module, operations: NoisyOperations, weights: Mapping[str, Any]) -> None:
        self.families, self.operations, self.weights = module.encoded(), operations, module.prepare(dict(weights))

    def __getitem__(self, name: Name) -> Plain | None:
        family, levels = self.families[name], self.operations.levels
        values = np.asarray(family.function(self.weights, *name[1:]), np.complex128).reshape(1, 1, -1)
        if not values.any():
            return None
        scale = levels.plaintext_scale(family.level, family.products, family.added)
        return Plain(values, self.operations.rounded(values, scale), scale, family.level)

    def __iter__(self) -> Iterator[Name]:
        return iter(self.families)

    def __len__(self) -> int:
        return len(self.families)


def expected_errors(module: Module, levels: Levels, weights: Mapping[str, Any], times: float = 1.0) -> dict[str, float]:
    """The rms error to expect of each result, for random inputs that are so many times as large as those that the
    module's promise is about, with these checked weights. A pure function of them."""
    count = min(max(NUMBERS // module.slots, 2), DRAWS)
    operations = NoisyOperations(levels, module.parameters.degree, count, module.slots)
    drawn = [random_inputs(module, operations.rng) for _ in range(count)]
    inputs = [{name: values * times for name, values in of.items()} for of in drawn]
    ciphers = {
        name: operations.fresh(
            np.stack([[np.broadcast_to(np.asarray(function(of, *at), np.complex128), module.slots)] for of in inputs])
        )
        for name, (function, at) in module.packed().items()
    }
    ev: Evaluation[Noisy, Plain] = Evaluation(operations, module.parameters, module.slots)
    with np.errstate(over="ignore", invalid="ignore"):
        returned: dict[Name, Noisy | None] = module.evaluate(ev, ciphers, _Plaintexts(module, operations, weights))
        hidden = hidden_in(module)
        returned = {
            name: value and operations.cut(value, halved=name in hidden and hidden[name].read_part is not None)
            for name, value in returned.items()
        }
        zero = np.zeros(module.slots, np.complex128)
        found: dict[str, float] = {}
        for number in range(count):
            errors = {name: zero if value is None else value.error[number, 0] for name, value in returned.items()}
            for name, error in module.collect(errors).items():
                found[name] = math.hypot(found.get(name, 0.0), root_mean_square(error) / math.sqrt(count))
    return found


@dataclass(frozen=True)
class Excess:
    """``times``: by result, a power of two that bounds by how much its error can exceed the promise, where that is
    noticed. ``larger``: weights that are larger than the promise assumes, as text."""

    times: Mapping[str, float]
    larger: tuple[str, ...] = ()

    def text(self) -> str:
        """What a warning says."""
        which = "; ".join(self.larger) or "none is larger than assumed, but rows are aligned, or powers have long tails"
        errors = " and ".join(f"the error of {name} can be {times:.3g} times" for name, times in self.times.items())
        return f"with these weights {errors} as large as promised: {which}. {ADVICE}"


def excess(module: Module, levels: Levels, weights: Mapping[str, Any]) -> Excess:
    """By how much errors can exceed what the module promises, with these checked weights."""
    times = {}
    for name, error in expected_errors(module, levels, weights).items() if module.error and weights else ():
        ratio = _ratio(SAFETY * error, module.error.get(name, math.inf))
        if ratio > NOTICED:
            times[name] = 2.0 ** math.ceil(math.log2(ratio))
    return Excess(times, _larger(module, weights) if times else ())


def assumed_sizes(module: Module) -> dict[str, float]:
    """The root mean squares of inputs as the module's promise assumes them."""
    return {name: root_mean_square(of) for name, of in random_inputs(module, np.random.default_rng(0)).items()}


def times_assumed(sizes: Mapping[str, float], assumed: Mapping[str, float]) -> float:
    """How many times as large as assumed the largest of some inputs is, by root mean squares: a power of two, and 1
    where that is not noticed."""
    most = max((_ratio(size, assumed[name]) for name, size in sizes.items()), default=0.0)
    return 2.0 ** math.ceil(math.log2(most)) if most > NOTICED else 1.0


def grown_by_inputs(module: Module, levels: Levels, times: float) -> dict[str, float]:
    """By result, how many times as large as promised its error can be for inputs that are so many times as large as
    assumed, and weights as assumed."""
    if times <= 1 or not module.error:
        return {}
    weights = random_data(module, 0)[1]
    before, after = (expected_errors(module, levels, weights, many) for many in (1.0, times))
    return {name: max(_ratio(error, before[name]), 1.0) for name, error in after.items()}


def _larger(module: Module, weights: Mapping[str, Any]) -> tuple[str, ...]:
    """Weights and scalars that are larger than those assumed, the one with the largest ratio first."""
    _, drawn = random_data(module, 0)
    sizes = {name: (root_mean_square(value), root_mean_square(drawn[name])) for name, value in weights.items()}
    ratios = {name: _ratio(*both) for name, both in sizes.items()}
    return tuple(
        f"the rms of {name} is {sizes[name][0]:.1e}, and {sizes[name][1]:.1e} is assumed"
        for name in sorted(ratios, key=lambda name: -ratios[name])
        if ratios[name] > math.sqrt(NOTICED)
    )


def _ratio(size: float, known: float) -> float:
    if not size:
        return 0.0
    # not a number: beyond what doubles hold
    return min(size / known, MOST) if known and math.isfinite(size) else MOST
