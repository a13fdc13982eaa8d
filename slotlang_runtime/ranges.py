"""Whether every message fits its modulus, for all inputs within their limits: the guarantee of ``Weights.encode``.

Sums, rotations and products modulo Q are exact, whatever wraps on the way. A message is read as a number where a prime
is dropped with division, and at decryption. There each coefficient, noise and masks included, must lie below half of
the modulus of that moment. A coefficient is at most the scale times the mean of |slot| over all slots.

``evaluate`` of the module itself is run on magnitudes in place of ciphertexts (``magnitudes.py``).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from slotlang_runtime.errors import LOWER, NOT_EVALUATED, WEIGHTS_BREAK_BOUND, WEIGHTS_TOO_LARGE, Rejected
from slotlang_runtime.limits import Limit, bound_option, rounded_up, told_apart
from slotlang_runtime.magnitudes import (
    OUTWARDS,
    Floats,
    Inputs,
    Magnitude,
    MagnitudeOperations,
    Plain,
    compact,
    numbered,
    row_norms,
)
from slotlang_runtime.masks import hidden_in
from slotlang_runtime.messages import (
    HIDING_BITS,
    LEAST_ROOM,
    Point,
    Reader,
    hidden_bound,
    mask_mean,
    read_sizes,
    tighten,
)
from slotlang_runtime.module import Module, Name, root_mean_square
from slotlang_runtime.noise import ROUNDING, constant_rounding, vector_rounding
from slotlang_runtime.operations import Evaluation
from slotlang_runtime.parameters import Levels
from slotlang_runtime.seal.ring import context_of


class Plaintexts(Mapping[Name, "Plain | None"]):
    """Magnitudes of the plaintexts by name, from weights, each computed when it is asked for. ``held`` and ``rounded``:
    by family of factors, the root mean squares of what was asked for, and of what rounding adds to it in a slot.
    ``zeros``: names of those that are zero everywhere."""

    def __init__(self, module: Module, levels: Levels, weights: Mapping[str, Any]) -> None:
        self.levels, self.families, self.slots = levels, module.encoded(), module.slots
        self.weights = module.prepare(dict(weights))
        self.held: defaultdict[str, float] = defaultdict(float)
        self.rounded: defaultdict[str, float] = defaultdict(float)
        self.zeros: set[Name] = set()

    def __getitem__(self, name: Name) -> Plain | None:
        family = self.families[name]
        values = np.asarray(family.function(self.weights, *name[1:]))
        size = np.atleast_1d(np.abs(values)).astype(np.float64)
        if not size.any():
            self.zeros.add(name)
            return None
        scale = self.levels.plaintext_scale(family.level, family.products, family.added)
        first = complex(values.flat[0])
        if (values == first).all():
            rounding = constant_rounding(first, scale)
            expected = rounding.norm
        else:
            coefficients = 2 * self.slots
            rounding = vector_rounding(coefficients, scale * float(size.max()))
            expected = math.sqrt(coefficients * ROUNDING)
        if not family.added:
            # not squares, which vanish for weights below 1e-154
            self.held[name[0]] = math.hypot(self.held[name[0]], root_mean_square(size))
            self.rounded[name[0]] = math.hypot(self.rounded[name[0]], expected / scale)
        return Plain(compact(size), scale, family.level, rounding)

    def coarse(self, precision: float) -> tuple[str, ...]:
        """Families of factors to which rounding alone adds a larger relative error than this."""
        return tuple(name for name, held in self.held.items() if self.rounded[name] > held * precision)

    def __iter__(self) -> Iterator[Name]:
        return iter(self.families)

    def __len__(self) -> int:
        return len(self.families)


@dataclass(frozen=True)
class Ranges:
    """Bounds of one program with given weights and limits. ``points``: where messages are read, the least room first.
    ``results``: a bound on |slot|, for each slot, of each returned ciphertext, without noise; ``noise``: the standard
    deviation of its noise in a slot, bounded; ``errors``: a bound on each coefficient, and on the mean of |slot|, of
    what rounding adds, however the inputs are chosen. ``coarse``: families of plaintexts that the module's precision is
    lost in when they are rounded, since the weights are small. ``zeros``: how many plaintexts are zero everywhere.
    ``hidden``: by family of results, a bound on what masked slots hold."""

    points: tuple[Point, ...]
    results: Mapping[Name, Floats] = field(repr=False)
    noise: Mapping[Name, float] = field(repr=False)
    errors: Mapping[Name, float] = field(repr=False)
    coarse: tuple[str, ...] = ()
    zeros: int = 0
    hidden: Mapping[str, float] = field(default_factory=dict, repr=False)

    @property
    def room(self) -> float:
        """Bits of room of the tightest point."""
        return self.points[0].room if self.points else math.inf


def ranges(module: Module, levels: Levels, weights: Mapping[str, Any], limits: Mapping[str, Limit]) -> Ranges:
    """Bounds of every message that is read, for all inputs within ``limits``, with these checked weights."""
    plaintexts = Plaintexts(module, levels, weights)
    degree = module.parameters.degree
    inputs = Inputs(module.inputs, module.slots, packed_elements(module, limits), limits)
    reader = Reader(inputs, levels)
    operations = MagnitudeOperations(inputs, levels, degree, reader)
    ciphers = {name: operations.fresh(*held) for name, held in inputs.values.items()}
    ev: Evaluation[Magnitude, Plain] = Evaluation(operations, module.parameters, module.slots)
    returned: dict[Name, Magnitude | None] = module.evaluate(ev, ciphers, plaintexts)
    proved = proved_sizes(module, weights, inputs)
    results: dict[Name, Floats] = {}
    noise: dict[Name, float] = {}
    errors: dict[Name, float] = {}
    hidden: dict[str, float] = {}
    for name, value in returned.items():
        results[name], noise[name], errors[name] = np.zeros(1), 0.0, 0.0
        if value is not None:
            value = operations.cut(value)
            factor, mask = reading(module, name)
            size = np.broadcast_to(inputs.bound(value), module.slots)
            if mask:
                largest = hidden_bound(size, hidden_in(module)[name].slots)
                hidden[name[0]] = max(hidden.get(name[0], 0.0), largest)
            if name in proved:
                size = read_sizes(size, proved[name], [factor == 1 or bool(part.any()) for part in module.read[name]])
            reader(value, f"the result {name[0]}", factor, mask, size)
            results[name] = size
            noise[name] = value.noise * math.sqrt(degree) / value.scale
            errors[name] = value.error / value.scale
    coarse = plaintexts.coarse(module.precision) if module.precision else ()
    return Ranges(reader.ordered(), results, noise, errors, coarse, len(plaintexts.zeros), hidden)


TRIED = 32
"""How many inputs a packing is tried with: half with all elements at their limits, half within."""


def packed_elements(module: Module, within: Mapping[str, Limit]) -> dict[Name, Any]:
    """What each uploaded ciphertext holds, as ``Inputs`` takes it for limits ``within`` those of the module. Raises
    Rejected where that is not what its gain says: functions may have been edited, and a checked module can pack other
    numbers than it was lowered with."""
    # new for each module: nothing can be edited to hold what it should for these inputs alone
    rng = np.random.default_rng()
    probes = numbered(module.inputs)
    limits = {name: module.limits[name].within(shape[0] if shape else 1) for name, shape in module.inputs.items()}
    most = max((limit.largest for limit in limits.values()), default=0.0)
    here = max((limit.largest for limit in within.values()), default=0.0)
    tried = [
        {
            name: (rng.uniform(-1, 1, shape) if number % 2 else rng.choice([-1.0, 1.0], shape)) * limits[name].largest
            for name, shape in module.inputs.items()
        }
        for number in range(TRIED if any(family.gain is not None for family in module.packing.values()) else 2)
    ]
    known = [np.concatenate([np.zeros(1), *(np.abs(values).ravel() for values in of.values())]) for of in tried]
    packed: dict[Name, Any] = {}
    for name, (function, indices) in module.packed().items():
        gain = module.packing[name[0]].gain
        if gain is None:
            packed[name] = held = np.asarray(function(probes, *indices), np.complex128)
            kept = all(
                _same_elements(held, np.asarray(function(inputs, *indices), np.complex128), elements)
                for inputs, elements in zip(tried[:2], known, strict=False)
            )
        else:
            # constants do not get smaller as inputs do
            packed[name] = float(gain) * max(most / here, 1.0)
            kept = all(np.abs(function(inputs, *indices)).max() <= gain * most * OUTWARDS for inputs in tried)
        if not kept:
            raise Rejected(
                f"the packing of {name[0]} was edited: its slots hold other numbers than those it was lowered with, "
                "and how large they can be is not known; change the program and lower it again",
                NOT_EVALUATED,
            )
    return packed


def _same_elements(held: Any, values: Any, known: Floats) -> bool:
    """Whether the parts of slots are the elements with these numbers up to signs, or zero (number 0), for ``known``
    elements too."""
    if held.shape != values.shape:
        return False
    for numbers, found in ((np.abs(held.real), values.real), (np.abs(held.imag), values.imag)):
        if numbers.max(initial=0) >= known.size:
            return False
        places = numbers.astype(np.int64)
        if not ((places == numbers).all() and (known[places] == np.abs(found)).all()):
            return False
    return True


def proved_sizes(module: Module, weights: Mapping[str, Any], inputs: Inputs) -> dict[Name, Floats]:
    """Bounds that follow from what the results are proved to be, by returned ciphertext: of the real and of the
    imaginary part of each slot (2 x slots), infinite where no output reads it."""
    rows = {name: result_sizes(chains, weights, inputs) for name, chains in module.forms.items()}
    found: dict[Name, Floats] = {}
    for output, member, inside, places in module.placed():
        # of the part of doubled results that is not read only the operations tell that it is zero
        if output.name not in rows or member[0] in module.parameters.doubled:
            continue
        row = rows[output.name]
        element = np.full(module.slots, math.inf)
        element[inside] = (row[places[0]] if row.size > 1 else row[0]) * OUTWARDS
        tighten(found.setdefault(member, np.full((2, module.slots), math.inf)), output.part, element)
    return found


SMALLEST_SQUARE = -1000.0
"""log2 of the smallest product of squares that norms are computed from: a double below 2^-1022 vanishes."""


def result_sizes(chains: Sequence[tuple[Any, ...]], weights: Mapping[str, Any], inputs: Inputs) -> Floats:
    """A bound on |element| of a result, for each row of it, that is a sum of products of matrices. Infinite where a
    square could vanish in double precision: then large factors would not make up for it."""
    total: Any = 0.0
    for coefficient, *factors in chains:
        size = abs(float(coefficient))
        if 2 * sum(_smallest(weights, factor) for factor in factors) < SMALLEST_SQUARE:
            return np.array([math.inf])
        matrices: list[tuple[str, Floats | None]] = []
        for name in factors[:-1]:
            plain = name.removesuffix(".T")
            if plain in inputs.limits:
                matrices.append((name, None))
            elif (array := np.asarray(weights[plain], np.float64)).ndim == 0:
                size *= abs(float(array))
            elif array.ndim == 2:
                matrices.append((name, array.T if name != plain else array))
            else:
                return np.array([math.inf])
        size *= inputs.limits[factors[-1]].norm
        leading = next((n for n, (_, matrix) in enumerate(matrices) if matrix is None), len(matrices))
        # beyond the first input: the Frobenius norm bounds what a matrix does to the norm of a vector
        for name, matrix in matrices[leading:]:
            size *= (
                float(np.sqrt((matrix**2).sum())) if matrix is not None else inputs.frobenius(name.removesuffix(".T"))
            )
        total = total + size * row_norms([matrix for _, matrix in matrices[:leading] if matrix is not None])
    return np.asarray(total, np.float64)


def _smallest(weights: Mapping[str, Any], factor: str) -> float:
    """log2 of the smallest |element| of a weight that is not zero, and 0 where that is more than 1."""
    sizes = np.abs(np.asarray(weights.get(factor.removesuffix(".T"), 1.0), np.float64))
    return math.log2(float(sizes.min(initial=1.0, where=sizes > 0)))


def reading(module: Module, name: Name) -> tuple[float, float]:
    """How a result is read: by which factor its message is multiplied (2 where a part is read alone, since the
    conjugate is added), and the mean of the largest masks over its slots."""
    hidden = hidden_in(module).get(name)
    if hidden is None:
        return 1.0, 0.0
    masks = mask_mean(hidden.slots, module.sent[name[0]].mask_bits) if hidden.slots.any() else 0.0
    return (2.0 if hidden.read_part else 1.0), masks


def levels_of(module: Module) -> Levels:
    """The module's levels, with the primes of its ring."""
    return Levels(module.parameters, context_of(module.parameters.ring).moduli)


def check_range(module: Module, weights: Mapping[str, Any]) -> Ranges:
    """Bounds with checked weights. Raises Rejected unless every message has ``LEAST_ROOM``, and masks hide what is in
    their slots."""
    module.parameters.check(module.slots)
    for name, axis, limit in module.assumptions:
        sizes = np.abs(np.asarray(weights[name], np.float64))
        largest = float((sizes if axis is None else np.sqrt((sizes**2).sum(axis=axis))).max(initial=0.0))
        if not largest <= limit * OUTWARDS:
            if axis is None:
                what, option = f"|{name}|", bound_option(f"--bound {name}", largest, ": {}")
            else:
                what = f"a norm of {name} along its dimension {axis}"
                places = ", ".join(":" if n == axis else f"i{n}" for n in range(sizes.ndim))
                option = bound_option(f'--bound-norm "{name}[{places}]', largest, ': {}"')
            value, most = told_apart(largest, limit, 6)
            raise Rejected(
                f"{what} is {value}, and this program assumes at most {most}",
                WEIGHTS_BREAK_BOUND,
                f"{LOWER} with a bound that holds for these weights{option}",
            )
    ring = levels_of(module)
    with np.errstate(over="ignore", invalid="ignore"):
        # what is beyond a double is too large, and so is what is not a number
        found = ranges(module, ring, weights, module.limits)
    if found.room >= LEAST_ROOM:
        _check_hidden(module, found.hidden, weights)
        return found
    tightest, missing = found.points[0], LEAST_ROOM - found.room
    if not math.isfinite(missing):
        what = f"these weights are too large for {tightest.where}"
        raise Rejected(what, WEIGHTS_TOO_LARGE, "scale the weights down and the result up")
    fitting = fitting_limits(module, ring, weights, missing)
    smaller = f", or with smaller bounds ({limits_text(module, fitting)})" if fitting else ""
    raise Rejected(
        f"with these weights {tightest.where} could need {math.ceil(10 * missing) / 10:.1f} bits more than the modulus "
        f"has, for inputs with {limits_text(module, module.limits)}",
        WEIGHTS_TOO_LARGE,
        f"{LOWER} for these weights{smaller}, or scale the weights down and the result up",
    )


def _check_hidden(module: Module, hidden: Mapping[str, float], weights: Mapping[str, Any]) -> None:
    """Raises Rejected where slots that no output reads could hold more than their masks are made for."""
    for name, size in hidden.items():
        bits = module.sent[name].mask_bits
        made_for = 2.0 ** (bits - HIDING_BITS)
        if not size <= made_for * OUTWARDS:
            raise Rejected(
                f"with these weights slots of {name} that no output reads could hold {size:.6g}, for inputs with "
                f"{limits_text(module, module.limits)}, and masks of at most 2^{bits} hide up to {made_for:.6g}",
                WEIGHTS_TOO_LARGE,
                f"{LOWER} for these weights (--data){_with_all_bounds(module, weights)} or with --hide none",
            )


def _with_all_bounds(module: Module, weights: Mapping[str, Any]) -> str:
    """Bounds, which these weights keep, of all that have none, as advice: then masks follow the bounds, and one weight
    without a bound leaves all of them as large as there was room for. Empty where none lacks one, or none can be
    given."""
    known = {name for name, _, _ in module.assumptions}
    missing = [name for name in (*module.weights, *module.scalars) if name not in known]
    sizes = {name: float(np.abs(np.asarray(weights[name], np.float64)).max(initial=0.0)) for name in missing}
    bounds = {name: rounded_up(size or 1.0) for name, size in sizes.items()}
    if not missing or None in bounds.values():
        return ""
    options = " ".join(f"--bound {name}={bound:.3g}" for name, bound in bounds.items())
    python = ", ".join(f'"{name}": {bound:.3g}' for name, bound in bounds.items())
    names = " and ".join(filter(None, [", ".join(missing[:-1]), missing[-1]]))
    which = f"bounds of {names}, which have" if missing[1:] else f"a bound of {names}, which has"
    return f", with {which} none ({options}, in Python bounds={{{python}}})"


def fitting_limits(
    module: Module, ring: Levels, weights: Mapping[str, Any], missing: float
) -> Mapping[str, Limit] | None:
    """Smaller limits, for which nothing is ``missing`` with these weights. None where noise and masks alone, which do
    not get smaller, need too much."""
    # a thousandth less, as limits are shown with four digits
    factor = 2.0**-missing * (1 - 2.0**-10)
    for _ in range(3):
        limits = {name: limit.times(factor) for name, limit in module.limits.items()}
        with np.errstate(over="ignore", invalid="ignore"):
            room = ranges(module, ring, weights, limits).room
        if room >= LEAST_ROOM:
            return limits
        if not math.isfinite(room):
            return None
        factor *= 2.0 ** (room - LEAST_ROOM - 0.5)
    return None


def limits_text(module: Module, limits: Mapping[str, Limit]) -> str:
    """Limits as a program writes them."""
    return ", ".join(limit.text(name, len(module.inputs[name])) for name, limit in limits.items())
