"""The primitives that ``calibrate`` measures: the runtime's own functions, on operands and keys of one ring.

Plaintexts and operands change from call to call, as they do in a program: one plaintext used again and again would stay
in the nearest cache.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import tenseal.sealapi as seal

from slotlang.cost.primitives import BY_SLOTS, NEAR_MEGABYTES
from slotlang.cost.vectors import product_work
from slotlang_runtime.client import SecretKey
from slotlang_runtime.keys import EvaluationKeys
from slotlang_runtime.limits import Limit
from slotlang_runtime.matrix.engine import MatrixEngine
from slotlang_runtime.module import Kernel, Module, Output, Packing, Plaintexts, Results
from slotlang_runtime.operations import Evaluation
from slotlang_runtime.parameters import SUMS_TOGETHER, Parameters
from slotlang_runtime.seal.operations import SealOperations
from slotlang_runtime.seal.ring import Ring, context_of

SCALE = 2.0**10
"""Products of two such scales fit the smallest prime; the time of an operation does not depend on scales."""
OPERANDS = 16
"""Ciphertexts that operations take in turn."""
PLAINTEXT_BYTES = NEAR_MEGABYTES << 20
"""Plaintexts taken in turn, in all: beyond the second-level cache of most processors."""
SUMS = (1, 4), (1, 16), (SUMS_TOGETHER, 16)
"""Sums of products that are measured, their number and the products of each: one more product takes the difference of
the first two, none the rest, and the last say what a ciphertext takes that is read once for all sums."""
WARM, LEAST = 1e-2, 1e-3
"""Seconds for which a primitive runs before it is timed, and for which it is timed, about. With its widest registers a
processor takes so long to be as fast as it becomes: by a quarter."""
LEAST_SLOTS = 8
"""Slots of an operation of numpy whose time is that of the call."""
KEYS = 3
"""Galois keys that rotations take in turn."""
CHANNELS, MATRIX_CHANNELS = 2, 32
"""Channels of the module whose results are collected, and of the module that matrix products evaluate: enough weights
that their number decides the time."""


@dataclass(frozen=True, slots=True)
class Sample:
    """``action`` runs a primitive at a number of primes (of slots), on what ``before`` makes, which is not timed."""

    primitive: str
    degree: int
    primes: int
    calls: int
    action: Callable[[Any], object]
    before: Callable[[], Any] = lambda: None
    parts: int = 1
    """How many times one call does it."""
    clock: Callable[[], float] = time.thread_time

    def seconds(self, warm: float = WARM) -> float:
        """CPU time of one call: other processes on the machine disturb it least. It is the time of this thread only:
        threads of BLAS spin for a while after their work, into the next measurement.

        For a while calls go before, untimed: tables of the degree and code are then in the caches, and the processor
        is as fast with its widest registers, as within a program that is evaluated again and again.
        """
        start, count = self.clock(), 0
        while (passed := self.clock() - start) < warm or not count:
            self.action(self.before())
            count += 1
        calls = max(self.calls, min(count, round(LEAST * count / passed)))
        given = [self.before() for _ in range(calls)]
        start = self.clock()
        for one in given:
            self.action(one)
        return (self.clock() - start) / (calls * self.parts)


def column_module(parameters: Parameters, channels: int, kernel: Kernel) -> Module:
    """``y == W @ x`` with one channel in a ciphertext, as a module: what containers, results and the encoding of
    constants are measured on."""
    slots = parameters.degree // 2
    slot = np.arange(slots)

    def evaluate(ev: Any, cipher: Any, plain: Any) -> dict[tuple[Any, ...], Any]:
        return {("Y", j): ev.dot((cipher["X", k], plain["V", j, k]) for k in range(channels)) for j in range(channels)}

    return Module(
        name="calibration",
        program_hash="",
        parameters=parameters,
        slots=slots,
        kernel=kernel,
        inputs={"x": (channels, slots)},
        limits={"x": Limit(entry=64.0)},
        weights={"W": (channels, channels)},
        scalars=[],
        results={"y": ((channels, slots), float)},
        packing={"X": Packing(lambda inputs, k: inputs["x"][k, slot], (channels,))},
        plaintexts={"V": Plaintexts(lambda weights, j, k: weights["W"][j, k], (channels, channels))},
        sent={"Y": Results((channels,), products=1)},
        outputs=[Output("y", lambda j: (("Y", j), (j, slot)), (channels,), "re")],
        evaluate=evaluate,
        reference=lambda inputs, weights: {"y": weights["W"] @ inputs["x"]},
        counts={},
    )


class RingSamples:
    """Keys and operands of one ring: ``prime_bits`` with the key prime last."""

    def __init__(self, degree: int, prime_bits: tuple[int, ...]) -> None:
        self.degree, self.top = degree, len(prime_bits) - 1
        self.slots = degree // 2
        steps = tuple(range(1, KEYS + 1))
        self.parameters = Parameters(
            degree,
            prime_bits,
            (round(math.log2(SCALE)),),
            rotations=steps,
            conjugation=True,
            relinearization=True,
        )
        self.context = context_of(self.parameters.ring)
        self.ring = Ring(self.parameters, self.slots)
        # a program without rescales stays at the first level, and what is measured does not
        self.ring.scales = [SCALE] * self.top
        self.module = column_module(self.parameters, CHANNELS, "compiled")
        self.maker = seal.KeyGenerator(self.context.context)
        self.secret = SecretKey(self.parameters.ring, self.maker.secret_key())
        self.encryptor, self.decryptor = self.secret.encryptor, self.secret.decryptor
        self.evaluator = seal.Evaluator(self.context.context)
        self.conjugation = 2 * degree - 1
        self.rng = np.random.default_rng(0)

    def encode(self, values: npt.NDArray[Any], level: int) -> Any:
        return self.ring.encode(values, level, added=True)

    def samples(self, primes: tuple[int, ...]) -> Iterator[Sample]:
        """Every primitive at every number of primes."""
        keys = EvaluationKeys.from_bytes(self.secret.evaluation_keys(self.module))
        for k in primes:
            yield from self._evaluation(k, keys.galois, keys.relin)
        yield from self._keys()
        yield from self._arrays()

    def _plains(self, primes: int) -> list[Any]:
        real = self.rng.standard_normal(self.slots)
        count = max(OPERANDS, PLAINTEXT_BYTES // (8 * self.degree * primes))
        return [self.encode(real * (1 + n), self.top - primes) for n in range(count)]

    def _ciphers(self, plains: list[Any]) -> list[Any]:
        made = [seal.Ciphertext() for _ in plains[:OPERANDS]]
        for plain, cipher in zip(plains, made, strict=False):
            self.encryptor.encrypt_symmetric(plain, cipher)
        return made

    def _evaluation(self, primes: int, galois: Any, relin: Any) -> Iterator[Sample]:
        ev, make = self.evaluator, seal.Ciphertext
        plains = self._plains(primes)
        ciphers = self._ciphers(plains)
        turn, fresh = itertools.cycle(ciphers), itertools.cycle(plains)
        step = itertools.cycle(range(1, KEYS + 1))
        total = make()
        ev.add(ciphers[0], ciphers[1], total)

        def product() -> Any:
            out = make()
            ev.multiply(next(turn), next(turn), out)
            return out

        dots = sums_of_products(
            Evaluation(SealOperations(self.ring, None, None), self.parameters, self.slots), ciphers, plains
        )

        def sample(primitive: str, calls: int, action: Callable[[], object]) -> Sample:
            return Sample(primitive, self.degree, primes, calls, lambda _: action())

        yield sample("rotate", 2, lambda: ev.rotate_vector(next(turn), next(step), galois, make()))
        yield sample("conjugate", 1, lambda: ev.complex_conjugate(next(turn), galois, make()))
        yield sample("multiply_plain", 16, lambda: ev.multiply_plain(next(turn), next(fresh), make()))
        for count, terms in SUMS:
            yield sample(sums_of(count, terms), 4, partial(dots, count, terms))
        yield sample("add_plain", 8, lambda: ev.add_plain(next(turn), next(fresh), make()))
        yield sample("add", 8, lambda: ev.add(next(turn), next(turn), make()))
        yield sample("sub", 8, lambda: ev.sub(next(turn), next(turn), make()))
        yield sample("negate", 8, lambda: ev.negate(next(turn), make()))
        yield sample("add_inplace", 16, lambda: ev.add_inplace(total, next(turn)))
        yield sample("multiply", 2, product)
        yield Sample("relinearize", self.degree, primes, 1, lambda c: ev.relinearize_inplace(c, relin), product)
        if primes > 1:
            yield sample("rescale", 2, lambda: ev.rescale_to_next(next(turn), make()))
            yield sample("mod_switch", 4, lambda: ev.mod_switch_to_next(next(turn), make()))

    def _keys(self) -> Iterator[Sample]:
        """Keys, which have all primes."""
        conjugation = [self.conjugation]
        module = column_module(replace(self.parameters, rotations=(), relinearization=False), CHANNELS, "compiled")
        key = self.secret.evaluation_keys(module)

        def sample(primitive: str, action: Callable[[], object]) -> Sample:
            return Sample(primitive, self.degree, self.top, 1, lambda _: action())

        yield sample("galois_key", lambda: self.maker.create_galois_keys(conjugation))
        yield sample("relin_key", self.maker.create_relin_keys)
        yield sample("save_key", lambda: self.secret.evaluation_keys(module))
        yield sample("load_key", lambda: EvaluationKeys.from_bytes(key).galois)

    def _arrays(self) -> Iterator[Sample]:
        """What numpy and Python do beside SEAL, whatever the primes."""
        slots, slot = self.slots, np.arange(self.slots)
        tensor = self.rng.standard_normal((4, slots))
        row, column, value = slot % 4, slot[::-1].copy(), tensor[0]
        left, right = self.rng.standard_normal((2048, 16)), self.rng.standard_normal((16, 2048))
        matrices = column_module(self.parameters, MATRIX_CHANNELS, "matrix")
        weights = self.rng.standard_normal((MATRIX_CHANNELS, MATRIX_CHANNELS)) / math.sqrt(MATRIX_CHANNELS)
        ring = Ring(matrices.parameters, matrices.slots)

        few = slice(LEAST_SLOTS)

        def vector(slot: Any = slot, row: Any = row, value: Any = value) -> None:
            slot + row
            value * value

        def sample(primitive: str, action: Callable[[], object], calls: int, parts: int = 1) -> Sample:
            number = slots if primitive in BY_SLOTS else 1
            return Sample(primitive, self.degree, number, calls, lambda _: action(), parts=parts)

        yield sample("gather", lambda: tensor[row, column], 8)
        yield sample("vector", vector, 8, 2)
        yield sample("remainder", lambda: slot % 4, 8)
        yield sample("array_call", partial(vector, slot[few], row[few], value[few]), 8, 2)
        yield sample("encode_integer", lambda: MatrixEngine.encode(matrices, ring, {"W": weights}), 1, weights.size)
        # all threads' work
        work = product_work(2048, 16, 2048)
        clock = time.process_time
        yield Sample("tensor_product", self.degree, 1, 1, lambda _: left @ right, parts=work, clock=clock)


def sums_of(count: int, terms: int) -> str:
    """Name of sums of products while they are measured."""
    return f"{count} x dot of {terms}"


def sums_of_products(
    evaluation: Evaluation[Any, Any], ciphers: Sequence[Any], plains: Sequence[Any]
) -> Callable[[int, int], Any]:
    """A function that makes so many sums of so many products, as emitted modules write them, and returns the last. All
    have the same ciphertexts, and each its own plaintexts; the next call takes the next of both."""
    width = len(ciphers)
    cipher = dict(enumerate(ciphers))
    plain = {("W", *divmod(n, width)): one for n, one in enumerate(plains)}
    rows = itertools.cycle(range(len(plains) // width))
    first = 0

    def make(count: int, terms: int) -> Any:
        nonlocal first
        made = None
        for row in itertools.islice(rows, count):
            made = evaluation.dot((cipher[n % width], plain["W", row, n % width]) for n in range(first, first + terms))
        first = (first + terms) % width
        return made

    return make
