"""Operations on bounds of what ciphertexts hold: an evaluation run on these bounds every message.

While a value is linear in the inputs, it is known, for each slot, which input slots it adds up and the sum of squares
of their coefficients. So the inequality of Cauchy and Schwarz bounds it by the Euclidean norm of a token, which the
client checks. Sums over different input slots add squares; other sums add roots (Minkowski). Products of ciphertexts
multiply bounds. Imports neither tenseal nor numba, so that the compiler bounds its graph with the same operations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang_runtime.errors import NOT_EVALUATED, Rejected
from slotlang_runtime.limits import Limit
from slotlang_runtime.module import Name
from slotlang_runtime.noise import (
    ERROR_VARIANCE,
    LARGEST_ROUNDING,
    ROUNDING,
    SECRET_VARIANCE,
    SIGMAS,
    Rounding,
    cut_variance,
    vector_rounding,
)
from slotlang_runtime.parameters import Levels

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

MOST_PAIRS = 1 << 22
"""Input slots times slots that are looked at one by one for elements that occur several times."""

OUTWARDS = 1 + 2.0**-30
"""Covers the rounding of double precision: at most 2^20 operations with a relative error of 2^-53 each."""


@dataclass(frozen=True, slots=True)
class Linear:
    """What a value adds up of one input. ``codes``: the input slots, ascending, each as number of the ciphertext times
    slots plus the offset from the own slot. ``square``: for each slot, a bound on the sum of |coefficient|^2 over
    them; ``total``: on the sum of |coefficient|. One number stands for all slots where they are equal. ``token``: the
    only token that a slot depends on, or -1; ``tokens``: a bound on their number."""

    codes: Ints = field(repr=False)
    square: Floats = field(repr=False)
    total: Floats = field(repr=False)
    token: Ints = field(repr=False)
    tokens: Ints = field(repr=False)


@dataclass(frozen=True, slots=True)
class Magnitude:
    """Bounds on what a ciphertext holds: its linear parts by input; ``rest``, a bound on |slot| of everything else; the
    scale and the level. ``noise``: the standard deviation of a coefficient of what no input changes. ``error``: what
    rounding can add for certain: a bound on the mean of |slot| of it, times the scale, and so on each coefficient.
    ``spread``: a bound on the root mean square of the slots of the message, which may be better than the one that
    follows from each slot. ``open``: it has three polynomials, as a product has until it is relinearised."""

    linear: Mapping[str, Linear]
    rest: Floats = field(repr=False)
    scale: float
    level: int
    noise: float
    error: float = 0.0
    spread: float = math.inf
    open: bool = False


@dataclass(frozen=True, slots=True)
class Plain:
    """Magnitudes of a plaintext's slots, one number for all where they are equal, its scale and level, and what is
    rounded when it is encoded."""

    size: Floats = field(repr=False)
    scale: float
    level: int
    rounding: Rounding


def compact(values: Any) -> Floats:
    """One number where all are equal."""
    array: Floats = np.asarray(values, np.float64)
    return array[:1] if array.size > 1 and (array == array[0]).all() else array


def _rolled(values: Any, step: int) -> Any:
    return values if values.size == 1 else np.roll(values, -step)


def _joined(a: Linear, b: Linear) -> tuple[Ints, Ints]:
    """The token, and the number of tokens, of a sum."""
    if a.token is b.token and a.tokens is b.tokens and (a.tokens <= 1).all():
        return a.token, a.tokens
    token = np.where(a.token == b.token, a.token, -1)
    token = np.where(a.tokens == 0, b.token, np.where(b.tokens == 0, a.token, token))
    return token, np.where(token >= 0, np.maximum(a.tokens, b.tokens), a.tokens + b.tokens)


def _root_sum(a: Floats, b: Floats) -> Floats:
    return (np.sqrt(a) + np.sqrt(b)) ** 2


def added(a: Linear, b: Linear) -> Linear:
    """The sum of two linear parts of one input."""
    codes = np.union1d(a.codes, b.codes)
    disjoint = codes.size == a.codes.size + b.codes.size
    square = a.square + b.square if disjoint else _root_sum(a.square, b.square)
    return Linear(codes, square, a.total + b.total, *_joined(a, b))


def numbered(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Floats]:
    """Inputs whose elements are numbered from 1, over all inputs."""
    found, count = {}, 1
    for name, shape in shapes.items():
        size = math.prod(shape)
        found[name] = np.arange(count, count + size, dtype=np.float64).reshape(shape)
        count += size
    return found


class Inputs:
    """Which element of which input each slot of the uploaded ciphertexts holds. ``packed``: for each ciphertext the
    slots that ``numbered`` elements are packed into, if every slot holds an element, or an element plus i times
    another, or zero; otherwise a number: |slot| is at most this many times the largest |element| of any input."""

    def __init__(
        self,
        shapes: Mapping[str, tuple[int, ...]],
        slots: int,
        packed: Mapping[Name, npt.NDArray[Any] | float],
        limits: Mapping[str, Limit],
    ) -> None:
        self.shapes, self.slots = shapes, slots
        self.limits = {name: limits[name].within(shape[0] if shape else 1) for name, shape in shapes.items()}
        self.columns = {name: math.prod(shape[1:]) for name, shape in shapes.items()}
        self.held: dict[int, Ints] = {}
        self.values: dict[Name, tuple[dict[str, Linear], Floats, float]] = {}
        self._interned: dict[bytes, Ints] = {}
        for number, (name, content) in enumerate(packed.items()):
            if isinstance(content, float):
                largest = max((limit.largest for limit in self.limits.values()), default=0.0)
                self.values[name] = {}, np.array([content * largest]), content * largest
                continue
            full = np.broadcast_to(np.asarray(content, np.complex128), slots)
            # signs do not matter here
            held = np.abs(np.stack([full.real, full.imag])).astype(np.int64)
            self.held[number] = held
            self.values[name] = self._linear(number, held), np.zeros(1), self._spread(held)
        self.repeated = self._repeated()

    def _linear(self, number: int, held: Ints) -> dict[str, Linear]:
        parts, start = {}, 1
        for name, shape in self.shapes.items():
            first, start = start, start + math.prod(shape)
            here = (held >= first) & (held < start)
            if not here.any():
                continue
            token = np.where(here, (held - first) % self.columns[name], -1)
            several = here.all(axis=0) & (token[0] != token[1])
            one = np.where(several, -1, token.max(axis=0))
            parts[name] = Linear(
                np.array([number * self.slots]),
                compact(here.any(axis=0).astype(np.float64)),
                compact(np.sqrt(np.asarray(here.sum(axis=0), np.float64))),
                self.interned(one),
                self.interned(here.any(axis=0) + several.astype(np.int64)),
            )
        return parts

    def _spread(self, held: Ints) -> float:
        """A bound on the root mean square of the slots of a ciphertext, of which each token has its norm."""
        square, start = 0.0, 1
        for name, shape in self.shapes.items():
            first, start = start, start + math.prod(shape)
            own = held[(held >= first) & (held < start)] - first
            if own.size:
                tokens = np.unique(own % self.columns[name]).size
                square += float(np.bincount(own).max()) * tokens * self.limits[name].norm ** 2
        return math.sqrt(square / self.slots) * OUTWARDS

    def spread(self, value: Magnitude) -> float:
        """A bound on the root mean square of the slots."""
        return min(value.spread, math.sqrt(float(np.mean(self.bound(value) ** 2))))

    def frobenius(self, name: str) -> float:
        """A bound on the Frobenius norm of an input: all its tokens together."""
        return self.limits[name].norm * math.sqrt(self.columns[name])

    def interned(self, array: Ints) -> Ints:
        """The same array for equal contents, which makes comparisons fast."""
        return self._interned.setdefault(array.tobytes(), array)

    def _repeated(self) -> int:
        """How often the most frequent element occurs in all uploaded slots."""
        if not self.held:
            return 1
        elements = np.concatenate([held.ravel() for held in self.held.values()])
        return max(int(np.bincount(elements[elements > 0], minlength=1).max(initial=1)), 1)

    def bound(self, value: Magnitude) -> Floats:
        """A bound on |slot|, for each slot."""
        bound = value.rest
        for name, part in value.linear.items():
            limit = self.limits[name]
            tokens = np.minimum(part.tokens, self.columns[name])
            by_norm = np.sqrt(part.square * tokens * self._times(part)) * limit.norm
            bound = bound + np.minimum(by_norm, part.total * limit.largest)
        return bound * OUTWARDS

    def _times(self, part: Linear) -> Any:
        """How often one element occurs among the input slots that a slot adds up."""
        if self.repeated == 1:
            return 1
        if part.codes.size * self.slots * 2 > MOST_PAIRS:
            return min(self.repeated, 2 * part.codes.size)
        here = np.arange(self.slots)
        elements = np.concatenate(
            [self.held[code // self.slots][:, (here + code) % self.slots] for code in part.codes.tolist()]
        )
        elements.sort(axis=0)
        most = run = (elements[0] > 0).astype(np.int64)
        for above, row in pairwise(elements):
            run = np.where(row == above, run + 1, 1) * (row > 0)
            most = np.maximum(most, run)
        return most


class MagnitudeOperations:
    """``Operations`` on magnitudes. ``read`` is called where a message is read before the results are."""

    def __init__(self, inputs: Inputs, levels: Levels, degree: int, read: Callable[[Magnitude, str], None]) -> None:
        self.inputs, self.levels, self.degree, self.read = inputs, levels, degree, read
        self.slots = inputs.slots
        # what is rounded, and what the digits of a key switch are, weights alone may decide where inputs vanish
        secret = degree * SECRET_VARIANCE
        self.dropped, self.dropped_open = (math.sqrt(s * LARGEST_ROUNDING) for s in (secret, secret + 2 * secret**2))
        self.dropped_error = math.sqrt(degree * LARGEST_ROUNDING)

    def rounded(self, norm: float, spread: float = 1.0) -> tuple[float, float]:
        """The noise and the error that a rounding of this norm adds, times a message with this spread and its scale:
        an error, since inputs may be chosen along it."""
        return 0.0, norm * spread

    def fresh(self, linear: Mapping[str, Linear], rest: Floats, spread: float) -> Magnitude:
        """A ciphertext that the client has just encrypted, from a vector that it has rounded."""
        scale = self.levels.scale(0)
        value = Magnitude(linear, rest, scale, 0, 0.0, spread=spread)
        noise, error = self.rounded(vector_rounding(2 * self.slots, scale * self.inputs.spread(value)).norm)
        return replace(value, noise=math.hypot(math.sqrt(ERROR_VARIANCE), noise), error=error)

    def rotate(self, a: Magnitude, step: int) -> Magnitude:
        """Slots move; the noise of a key switch is added."""
        base = self.slots
        linear = {
            name: Linear(
                np.sort(part.codes // base * base + (part.codes + step) % base),
                _rolled(part.square, step),
                _rolled(part.total, step),
                self.inputs.interned(_rolled(part.token, step)),
                self.inputs.interned(_rolled(part.tokens, step)),
            )
            for name, part in a.linear.items()
        }
        return replace(self._switched(a), linear=linear, rest=_rolled(a.rest, step))

    def conjugate(self, a: Magnitude) -> Magnitude:
        """Magnitudes stay."""
        return self._switched(a)

    def _switched(self, a: Magnitude) -> Magnitude:
        noise, error = self.rounded(self.dropped_error)
        return replace(
            a, noise=a.noise + math.hypot(self.switch_noise(a.level), self.dropped) + noise, error=a.error + error
        )

    def switch_noise(self, level: int) -> float:
        """The noise of the digits of a key switch, which are residues in [0, q)."""
        key = self.levels.moduli[-1]
        digits = sum((prime / key) ** 2 for prime in self.levels.primes(level))
        return math.sqrt(self.degree * ERROR_VARIANCE * digits)

    def multiply_plain(self, a: Magnitude, plain: Plain) -> Magnitude:
        """Coefficients times magnitudes. The plaintext is rounded: so much of the message, and of what it is off by,
        is added."""
        size, largest = plain.size, float(plain.size.max())
        linear = {n: replace(p, square=p.square * size**2, total=p.total * size) for n, p in a.linear.items()}
        if size.size > 1 and not size.all():
            # masked slots depend on no token
            linear = {
                name: replace(part, tokens=self.inputs.interned(np.where(size > 0, part.tokens, 0)))
                for name, part in linear.items()
            }
        spread = self.inputs.spread(a)
        noise, error = self.rounded(plain.rounding.norm, spread * a.scale)
        noise += a.noise * largest * plain.scale
        error += a.error * largest * plain.scale + (SIGMAS * a.noise + a.error) * plain.rounding.total
        return Magnitude(linear, a.rest * size, a.scale * plain.scale, a.level, noise, error, spread * largest, a.open)

    def multiply(self, a: Magnitude, b: Magnitude) -> Magnitude:
        """Bounds multiply; then nothing is known to be linear."""
        left, right = self.inputs.bound(a), self.inputs.bound(b)
        most_left, most_right = float(left.max()), float(right.max())
        noise = a.noise * most_right * b.scale + b.noise * most_left * a.scale
        error = a.error * most_right * b.scale + b.error * most_left * a.scale
        # no coefficient of a product exceeds the product of the norms, each at most sqrt(N) times its coefficients
        error += self.degree * (SIGMAS * a.noise + a.error) * (SIGMAS * b.noise + b.error)
        spread = min(self.inputs.spread(a) * most_right, self.inputs.spread(b) * most_left)
        return Magnitude({}, left * right, a.scale * b.scale, a.level, noise, error, spread, open=True)

    def relinearize(self, a: Magnitude) -> Magnitude:
        """Magnitudes stay; the noise of a key switch is added."""
        return replace(self._switched(a), open=False)

    def rescale(self, a: Magnitude) -> Magnitude:
        """A message is read: it is divided by a prime. That of a result that is complete is read at the end alone: a
        division maps residues modulo all primes to residues modulo all but the last, whatever wraps."""
        level = a.level + 1
        if level >= len(self.levels.scales):
            raise Rejected(f"a ciphertext is rescaled to level {level}, and there is none", NOT_EVALUATED)
        if a.level < self.levels.complete:
            self.read(a, f"the prime dropped before level {level}")
        prime = self.levels.primes(a.level)[-1]
        noise, error = self.rounded(self.dropped_error)
        noise += a.noise / prime + (self.dropped_open if a.open else self.dropped)
        return replace(a, scale=self.levels.scales[level], level=level, noise=noise, error=a.error / prime + error)

    def cut(self, a: Magnitude) -> Magnitude:
        """What a result is when its last bits are not sent: c0, and c1 times the secret key, are rounded."""
        bits = self.levels.cut(a.level)
        if bits is None:
            return a
        first, second = bits
        # no coefficient of c0 is off by more than half of what is cut off; of h, which is twice as large, by a quarter
        error = 2.0 ** (first - 1) if first else 0.0
        noise = self.dropped * math.sqrt(cut_variance(second) / ROUNDING)
        return replace(a, noise=a.noise + noise, error=a.error + error)

    def negate(self, a: Magnitude) -> Magnitude:
        """Magnitudes stay."""
        return a

    def add(self, total: Magnitude, term: Magnitude, sign: int, *, owned: bool) -> Magnitude:
        """The sum, whatever the sign."""
        linear = dict(total.linear)
        for name, part in term.linear.items():
            linear[name] = added(linear[name], part) if name in linear else part
        return replace(
            total,
            linear=linear,
            rest=total.rest + term.rest,
            noise=total.noise + term.noise,
            error=total.error + term.error,
            spread=total.spread + term.spread,
            open=total.open or term.open,
        )

    def dot(self, pairs: list[tuple[Magnitude, Plain]]) -> Magnitude | None:
        """Many terms at once, where they are linear parts of different input slots."""
        terms = [self.multiply_plain(a, plain) for a, plain in pairs]
        linear: dict[str, Linear] = {}
        for name in dict.fromkeys(name for term in terms for name in term.linear):
            parts = [term.linear[name] for term in terms if name in term.linear]
            codes = np.unique(np.concatenate([part.codes for part in parts]))
            disjoint = codes.size == sum(part.codes.size for part in parts)
            if disjoint:
                square = sum((part.square for part in parts), np.zeros(1))
            else:
                square = sum((np.sqrt(part.square) for part in parts), np.zeros(1)) ** 2
            total = sum((part.total for part in parts), np.zeros(1))
            joined = parts[0]
            for part in parts[1:]:
                token, tokens = _joined(joined, part)
                joined = replace(joined, token=token, tokens=tokens)
            linear[name] = Linear(codes, square, total, joined.token, joined.tokens)
        rest = sum((term.rest for term in terms), np.zeros(1))
        noise, error, spread = (sum(getattr(t, name) for t in terms) for name in ("noise", "error", "spread"))
        opened = any(term.open for term in terms)
        return Magnitude(linear, rest, terms[0].scale, terms[0].level, noise, error, spread, opened)

    def add_plain(self, a: Magnitude, plain: Plain, sign: int) -> Magnitude:
        """A constant is added to what is not linear. ``a`` may be zero when it is computed, which its magnitude does
        not tell: then a zero stands for it."""
        noise, error = self.rounded(plain.rounding.norm)
        return replace(
            a,
            rest=a.rest + plain.size,
            noise=max(a.noise, math.sqrt(ERROR_VARIANCE)) + noise,
            error=a.error + error,
            spread=a.spread + math.sqrt(float(np.mean(plain.size**2))),
        )

    def zero(self, like: Plain | Magnitude) -> Magnitude:
        """Fresh noise and nothing else, whatever the kernel makes it of."""
        return Magnitude({}, np.zeros(1), like.scale, like.level, math.sqrt(ERROR_VARIANCE), spread=0.0)


def row_norms(matrices: Sequence[Floats]) -> Floats:
    """Bounds on the Euclidean norms of the rows of a product of matrices; 1 for an empty one. By Gram matrices from the
    right, which are as small as the ranks between the factors."""
    if not matrices:
        return np.ones(1)
    first, *others = matrices
    if not others:
        norms: Floats = np.sqrt((first**2).sum(axis=1))
        return norms
    gram, norms = others[-1] @ others[-1].T, np.sqrt((others[-1] ** 2).sum(axis=1))
    for matrix in reversed(others[:-1]):
        gram, norms = matrix @ gram @ matrix.T, np.abs(matrix) @ norms
    squares = ((first @ gram) * first).sum(axis=1)
    # sums may cancel: their rounding is relative to the magnitudes of their terms
    terms = 4 * sum(sum(matrix.shape) for matrix in matrices)
    found: Floats = np.sqrt(squares.clip(0) + 2.0**-52 * terms * (np.abs(first) @ norms) ** 2)
    return found
