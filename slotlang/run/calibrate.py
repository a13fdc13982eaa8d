"""Measuring the primitives: what TenSEAL takes for each, at every degree and number of primes that matters.

Operations are those of an emitted module, run as it runs them. Plaintexts and operands change from call to call, as
they do in a program: one plaintext used again and again would stay in the nearest cache.
"""

from __future__ import annotations

import gc
import itertools
import math
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from slotlang.cost.profile import BY_SLOTS, Profile, this_machine
from slotlang.cost.vectors import product_work
from slotlang.diagnostics import error
from slotlang.lower import lower
from slotlang.meaning.bind import bind
from slotlang.meaning.program import Program
from slotlang.planning.parameters import Parameters
from slotlang.planning.target import Kernel, Target
from slotlang.run.runner import load_module, random_data
from slotlang.source import Source
from slotlang.syntax.parser import parse

Points = Mapping[int, tuple[tuple[int, ...], tuple[int, ...]]]

POINTS: Points = {
    4096: ((36, 36, 37), (1, 2)),
    8192: ((60, 60, 33, 32, 33), (1, 2, 3, 4)),
    16384: ((60, *[40] * 7, 60), (1, 2, 3, 4, 6, 8)),
    32768: ((60, *[40] * 7, 60), (1, 2, 4, 8)),
}
"""By degree: primes in bits, as programs have them, and the numbers of data primes measured. More than 8 are
extrapolated: one Galois key of degree 32768 with 14 primes has 110 MB."""

SECONDS = 30.0
"""Measuring stops when so much time has passed, after one round at least; preparing takes some seconds besides."""
MOST_ROUNDS = 15
SCALE = 2.0**10
"""Products of two such scales fit the smallest prime; the time of an operation does not depend on scales."""
OPERANDS = 8
"""Ciphertexts that operations take in turn."""
PLAINTEXT_BYTES = 1 << 24
"""Plaintexts taken in turn, in all: beyond the second-level cache of most processors."""
SUMS = 4, 16
"""Products of the sums that are measured: what one more takes is the difference, and what none takes is the rest."""
KEYS = 3
"""Galois keys that rotations take in turn."""

Progress = Callable[[str, float], None]
"""Told what is done, and how much of all is done, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class _Sample:
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

    def seconds(self) -> float:
        """CPU time of one call: other processes on the machine disturb it least. Of this thread: those of BLAS spin for
        a while after their work, through whatever is measured next.

        One more call goes before, untimed: tables of the degree and code are then in the caches, as they are
        within a program.
        """
        self.action(self.before())
        given = [self.before() for _ in range(self.calls)]
        start = self.clock()
        for one in given:
            self.action(one)
        return (self.clock() - start) / (self.calls * self.parts)


PROGRAM = """program calibration(slots = {slots}, d = {channels})
input x[d, slots]
weight W[d, d]
cipher X[k < d] = x[k, slot]
plain V[j < d, k < d] = W[j, k]
Y[j < d] = sum k < d: X[k] * V[j, k]
output y[j, slot] = Y[j]
prove y == W @ x
"""
"""What is lowered, so that its module's functions can be measured: one channel in a ciphertext."""

CHANNELS, MATRIX_CHANNELS = 2, 32
"""Of the program that SEAL evaluates, and of the one that matrix products do: weights enough that their number
decides."""


def _lowered(degree: int, bits: tuple[int, ...], channels: int, kernel: Kernel) -> tuple[Program, Any]:
    """The program, and its module."""
    program = bind(parse(Source("calibration", PROGRAM.format(slots=degree // 2, channels=channels))))
    parameters = Parameters(degree, bits, round(math.log2(SCALE)))
    return program, load_module(lower(program, parameters, target=Target(kernel=kernel)).text)


class _Ring:
    """An emitted module, keys and operands at one degree."""

    def __init__(self, degree: int, bits: tuple[int, ...]) -> None:
        import tenseal.sealapi as seal

        self.seal, self.degree, self.top = seal, degree, len(bits) - 1
        self.slots = degree // 2
        _, self.module = _lowered(degree, bits, CHANNELS, "fused")
        self.client = self.module.Client()
        self.ring = self.client.ring
        # the program stays at the first level, and what is measured does not
        self.ring.scales = [SCALE] * self.top
        self.maker, self.encryptor, self.decryptor = self.client.keys, self.client.encryptor, self.client.decryptor
        self.evaluator = seal.Evaluator(self.ring.context)
        # as the module's server has it: SEAL's operations where the kernel can't be had
        sums = self.module.Server(self.client.evaluation_keys()).sums
        self.evaluation = self.module.Evaluation(self.ring, None, None, sums)
        self.conjugation = 2 * degree - 1
        self.rng = np.random.default_rng(0)

    def encode(self, values: npt.NDArray[Any], level: int) -> Any:
        return self.ring.encode(values, level, added=True)

    def galois_keys(self, elements: list[int], data: bytes) -> Any:
        wanted = {(element - 1) // 2 for element in elements}
        return self.module.load_keys(self.ring, self.seal.GaloisKeys, data, self.degree, wanted)

    def samples(self, primes: tuple[int, ...]) -> Iterator[_Sample]:
        """Every primitive at every number of primes."""
        elements = [*(pow(3, k, 2 * self.degree) for k in range(1, KEYS + 1)), self.conjugation]
        galois = self.galois_keys(elements, self.module._saved(self.maker.create_galois_keys(elements)))
        relin = self.module.load_keys(
            self.ring, self.seal.RelinKeys, self.module._saved(self.maker.create_relin_keys()), 1, {0}
        )
        for k in primes:
            yield from self._evaluation(k, galois, relin)
            yield from self._transfer(k)
        yield from self._keys()
        yield from self._arrays()

    def _plains(self, primes: int) -> list[Any]:
        real = self.rng.standard_normal(self.slots)
        count = max(OPERANDS, PLAINTEXT_BYTES // (8 * self.degree * primes))
        return [self.encode(real * (1 + n), self.top - primes) for n in range(count)]

    def _ciphers(self, plains: list[Any], level: int) -> list[Any]:
        sent = (self.module._saved(self.encryptor.encrypt_symmetric(p)) for p in plains[:OPERANDS])
        return [self.module.load_ciphertext(self.ring, data, level) for data in sent]

    def _evaluation(self, primes: int, galois: Any, relin: Any) -> Iterator[_Sample]:
        ev, make = self.evaluator, self.seal.Ciphertext
        plains = self._plains(primes)
        ciphers = self._ciphers(plains, self.top - primes)
        turn, fresh = itertools.cycle(ciphers), itertools.cycle(plains)
        pairs = zip(turn, fresh, strict=False)
        step = itertools.cycle(range(1, KEYS + 1))
        total = make()
        ev.add(ciphers[0], ciphers[1], total)

        def product() -> Any:
            out = make()
            ev.multiply(next(turn), next(turn), out)
            return out

        def dot(terms: int) -> Any:
            return self.evaluation.dot(itertools.islice(pairs, terms))

        def sample(primitive: str, calls: int, action: Callable[[], object]) -> _Sample:
            return _Sample(primitive, self.degree, primes, calls, lambda _: action())

        yield sample("rotate", 2, lambda: ev.rotate_vector(next(turn), next(step), galois, make()))
        yield sample("conjugate", 1, lambda: ev.complex_conjugate(next(turn), galois, make()))
        yield sample("multiply_plain", 16, lambda: ev.multiply_plain(next(turn), next(fresh), make()))
        for terms in SUMS:
            yield sample(_sum_of(terms), 4, partial(dot, terms))
        yield sample("add_plain", 8, lambda: ev.add_plain(next(turn), next(fresh), make()))
        yield sample("add", 8, lambda: ev.add(next(turn), next(turn), make()))
        yield sample("sub", 8, lambda: ev.sub(next(turn), next(turn), make()))
        yield sample("negate", 8, lambda: ev.negate(next(turn), make()))
        yield sample("add_inplace", 16, lambda: ev.add_inplace(total, next(turn)))
        yield sample("multiply", 2, product)
        yield _Sample("relinearize", self.degree, primes, 1, lambda c: ev.relinearize_inplace(c, relin), product)
        if primes > 1:
            yield sample("rescale", 2, lambda: ev.rescale_to_next(next(turn), make()))
            yield sample("mod_switch", 4, lambda: ev.mod_switch_to_next(next(turn), make()))

    def _transfer(self, primes: int) -> Iterator[_Sample]:
        """Everything between arrays, plaintexts, ciphertexts and bytes."""
        module, ring, level = self.module, self.ring, self.top - primes
        plains = self._plains(primes)[:OPERANDS]
        ciphers = self._ciphers(plains, level)
        turn, fresh = itertools.cycle(ciphers), itertools.cycle(plains)
        real = self.rng.standard_normal(self.slots)
        both = real + 1j * real[::-1]
        some = np.array([np.arange(self.slots) % 2 == 1, np.zeros(self.slots, bool)])
        weights = self.rng.standard_normal((self.slots, 8))
        places = itertools.product(range(self.slots), range(8))
        scale = ring.scale(level)
        sent = module._saved(self.encryptor.encrypt_symmetric(plains[0]))
        result, plain = module.pack("results", {"Y": module._saved(ciphers[0])}), module._saved(plains[0])
        numbers, complex_numbers = real.tolist(), both.tolist()

        def encode(values: list[Any]) -> None:
            made = self.seal.Plaintext()
            ring.encoder.encode(values, ring.levels[level], scale, made)
            made.is_zero()

        def send(values: list[Any]) -> None:
            made = self.seal.Plaintext()
            ring.encoder.encode(values, ring.levels[level], scale, made)
            module.pack("inputs", {"X": module._saved(self.encryptor.encrypt_symmetric(made))})

        def receive(part: str = "") -> None:
            made = self.seal.Plaintext()
            data = module.unpack("results", result, ["Y"])["Y"]
            self.decryptor.decrypt(module.load_ciphertext(ring, data, level), made)
            ring.decode(module.alone_doubled(ring, made, level, part) if part else made)

        def sample(primitive: str, action: Callable[[], object], calls: int = 1) -> _Sample:
            return _Sample(primitive, self.degree, primes, calls, lambda _: action())

        yield sample("encode_real", lambda: encode(numbers), 2)
        yield sample("encode_complex", lambda: encode(complex_numbers), 2)
        yield sample("encode_constant", lambda: self.encode(weights[next(places)], level), 8)
        yield sample("encrypt", lambda: self.encryptor.encrypt_symmetric(next(fresh)))
        yield sample("decrypt", lambda: self.decryptor.decrypt(next(turn), self.seal.Plaintext()), 2)
        yield sample("decode", lambda: ring.decode(next(fresh)))
        yield sample("mask_part", lambda: module.part_mask(ring, level, scale, "re"))
        yield sample("mask_slots", lambda: module.slot_mask(ring, level, 0, some))
        yield sample("send_real", lambda: send(numbers))
        yield sample("send_complex", lambda: send(complex_numbers))
        yield sample("receive", receive)
        yield sample("receive_part", lambda: receive("re"))
        yield sample("load_input", lambda: module.load_ciphertext(ring, sent, level))
        yield sample("save_ciphertext", lambda: module._saved(next(turn)))
        yield sample("save_plaintext", lambda: module._saved(next(fresh)))
        yield sample("load_plaintext", lambda: module.load_plaintext(ring, plain, level, scale))

    def _keys(self) -> Iterator[_Sample]:
        """Keys, which have all primes."""
        conjugation = [self.conjugation]
        key = self.module._saved(self.maker.create_galois_keys(conjugation))

        def sample(primitive: str, action: Callable[[], object]) -> _Sample:
            return _Sample(primitive, self.degree, self.top, 1, lambda _: action())

        yield sample("galois_key", lambda: self.maker.create_galois_keys(conjugation))
        yield sample("relin_key", self.maker.create_relin_keys)
        yield sample("save_key", lambda: self.module._saved(self.maker.create_galois_keys(conjugation)))
        yield sample("load_key", lambda: self.galois_keys(conjugation, key))

    def _arrays(self) -> Iterator[_Sample]:
        """What numpy and Python do beside SEAL, whatever the primes."""
        slots, slot = self.slots, np.arange(self.slots)
        tensor = self.rng.standard_normal((4, slots))
        row, column, value = slot % 4, slot[::-1].copy(), tensor[0]
        left, right = self.rng.standard_normal((2048, 16)), self.rng.standard_normal((16, 2048))
        decoded = {("Y", j): value + 1j * value for j in range(CHANNELS)}
        program, matrices = _lowered(self.degree, POINTS[self.degree][0], MATRIX_CHANNELS, "matrix")
        _, weights = random_data(program, 0)
        server = matrices.Server(matrices.Client().evaluation_keys())
        server.encode(**weights)

        def vector() -> None:
            slot % 4
            slot + row
            value * value

        def checked() -> None:
            if np.isfinite(value).all() and value.any() and not (value == value.flat[0]).all():
                np.broadcast_to(value, (slots,)).tolist()

        def sample(primitive: str, action: Callable[[], object], calls: int, parts: int = 1) -> _Sample:
            number = slots if primitive in BY_SLOTS else 1
            return _Sample(primitive, self.degree, number, calls, lambda _: action(), parts=parts)

        yield sample("gather", lambda: tensor[row, column], 8)
        yield sample("list", checked, 4)
        yield sample("vector", vector, 8, 3)
        yield sample("collect", lambda: self.module.collect(decoded), 1, len(decoded))
        yield sample("encode_integer", lambda: server.encode(**weights), 1, weights["W"].size)
        # all threads' work
        work = product_work(2048, 16, 2048)
        clock = time.process_time
        yield _Sample("tensor_product", self.degree, 1, 1, lambda _: left @ right, parts=work, clock=clock)


def _sum_of(terms: int) -> str:
    """Name of a sum of products while it is measured."""
    return f"dot of {terms}"


class Yardstick:
    """How fast the machine is at a moment, by one short operation, and how fast it was at best.

    Where cores are shared, by threads of one core or by virtual machines, everything takes up to twice as long while
    others work, in CPU time too. Times over the yardstick's time at that moment hardly change.
    """

    def __init__(self) -> None:
        bits, (_, primes) = POINTS[4096]
        self._rotation = next(_Ring(4096, bits).samples((primes,)))
        self.fastest = math.inf

    def now(self) -> float:
        """Seconds that the operation takes now."""
        seconds = self._rotation.seconds()
        self.fastest = min(self.fastest, seconds)
        return seconds


def calibrate(
    progress: Progress = lambda _, __: None,
    seconds: float = SECONDS,
    degrees: Sequence[int] = (),
    yardstick: Yardstick | None = None,
) -> Profile:
    """Measure this machine: medians over rounds that visit every primitive at every degree and number of primes, so
    that other work falls on all alike; each time is taken over the yardstick's, so that they are those of the
    machine's fast moments. Without ``degrees`` all of ``POINTS``; a profile scales what it does not have from the
    nearest degree it has. ``yardstick``: one that was used before, so that its fastest moments count here too.

    Raises SL445 when TenSEAL is missing, SL446 for a degree that is not measured.
    """
    try:
        import tenseal.sealapi  # noqa: F401
    except ImportError as problem:
        raise error("SL445", f"TenSEAL can't be imported: {problem}") from None
    wanted = sorted(set(degrees or POINTS))
    for degree in wanted:
        if degree not in POINTS:
            raise error("SL446", f"degree {degree} is not measured", hint=f"degrees are {', '.join(map(str, POINTS))}")
    start = time.perf_counter()
    samples: list[_Sample] = []
    for number, degree in enumerate(wanted):
        progress(f"preparing degree {degree}", 0.1 * number / len(wanted))
        bits, primes = POINTS[degree]
        samples += _Ring(degree, bits).samples(primes)
    yardstick = yardstick or Yardstick()
    prepared = time.perf_counter()
    found: dict[tuple[int, str, int], list[float]] = defaultdict(list)
    gc.collect()
    for number in range(MOST_ROUNDS):
        for at, sample in enumerate(samples):
            passed = (time.perf_counter() - prepared) / max(seconds, 1e-9)
            if number and passed > 1:
                break
            before, measured, after = yardstick.now(), sample.seconds(), yardstick.now()
            found[sample.degree, sample.primitive, sample.primes].append(2 * measured / (before + after))
            if at % 32 == 0:
                rounds = number + at / len(samples)
                progress(f"round {number + 1}", 0.1 + 0.9 * max(min(passed, rounds, 1.0), rounds / MOST_ROUNDS))
    progress(f"measured in {time.perf_counter() - start:.0f} s", 1.0)
    table: dict[int, dict[str, dict[int, float]]] = {}
    for (degree, primitive, count), times in found.items():
        table.setdefault(degree, {}).setdefault(primitive, {})[count] = yardstick.fastest * statistics.median(times)
    for primitives in table.values():
        few, many = (primitives.pop(_sum_of(terms)) for terms in SUMS)
        each = {k: max(many[k] - few[k], 0.0) / (SUMS[1] - SUMS[0]) for k in few}
        primitives["dot_product"] = each
        primitives["dot"] = {k: max(few[k] - SUMS[0] * each[k], 0.0) for k in few}
    machine = this_machine()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    name = f"{machine.processor}, TenSEAL {machine.tenseal}"
    return Profile(name, machine, datetime.now(UTC).date().isoformat(), load, table)
