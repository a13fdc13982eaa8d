"""Measuring the primitives: what TenSEAL takes for each, at every degree and number of primes that matters.

Operations run as emitted modules run them, through the text those start with. Plaintexts and operands change from
call to call, as they do in a program: one plaintext used again and again would stay in the nearest cache.
"""

from __future__ import annotations

import gc
import itertools
import os
import statistics
import time
import types
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from slotlang.cost.profile import Profile, this_machine
from slotlang.diagnostics import error
from slotlang.lowering.emit import runtime_text
from slotlang.run.runner import load_module

POINTS: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {
    4096: ((36, 36, 37), (1, 2)),
    8192: ((43,) * 5, (1, 2, 3, 4)),
    16384: ((48,) * 9, (1, 2, 3, 4, 6, 8)),
    32768: ((60,) * 9, (1, 2, 4, 8)),
}
"""By degree: primes in bits, at most what 128 bits of security allow, and the numbers of data primes measured.
More than 8 primes are extrapolated: one Galois key of 32768 with 14 primes has 110 MB."""

SECONDS = 40.0
"""Measuring stops after the round in which so much time has passed; preparing takes some seconds more."""
FEWEST_ROUNDS, MOST_ROUNDS = 3, 15
SCALE_BITS = 10
"""Products of two such scales fit the smallest prime; the time of an operation does not depend on scales."""
OPERANDS = 8
"""Ciphertexts that operations take in turn."""
PLAINTEXT_BYTES = 1 << 24
"""Plaintexts taken in turn, in all: beyond the second-level cache of most processors."""
KEYS = 3
"""Galois keys that rotations take in turn."""

Progress = Callable[[str, float], None]
"""Told what is done, and how much of all is done, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class _Sample:
    """``action`` runs a primitive ``calls`` times; ``before`` is not timed, its result is handed to ``action``."""

    primitive: str
    degree: int
    primes: int
    calls: int
    action: Callable[[Any], object]
    before: Callable[[], Any] = lambda: None

    def seconds(self) -> float:
        """Process CPU time of one call: other processes on the machine disturb it least."""
        given = self.before()
        start = time.process_time()
        self.action(given)
        return (time.process_time() - start) / self.calls


def _repeated(action: Callable[[], object], calls: int) -> Callable[[Any], None]:
    def repeated(_: Any) -> None:
        for _ in range(calls):
            action()

    return repeated


class _Ring:
    """Context, keys and operands at one degree."""

    def __init__(self, degree: int, bits: tuple[int, ...]) -> None:
        self.module = module = load_module(runtime_text(), "calibration")
        # the settings that an emitted module gives its own text
        module.PARAMETERS = {
            "degree": degree,
            "prime_bits": list(bits),
            "scale_bits": [SCALE_BITS],
            "rescale": False,
        }
        module.SLOTS = degree // 2
        self.degree, self.top = degree, len(bits) - 1
        self.ring = module.Ring()
        self.context = self.ring.context
        seal = module.seal
        self.maker = seal.KeyGenerator(self.context)
        secret = self.maker.secret_key()
        self.encryptor = seal.Encryptor(self.context, secret)
        self.decryptor = seal.Decryptor(self.context, secret)
        self.evaluator = seal.Evaluator(self.context)
        self.element = 2 * degree - 1
        elements = [pow(3, k, 2 * degree) for k in range(1, KEYS + 1)]
        self.galois = self._sent(seal.GaloisKeys, self.maker.create_galois_keys([*elements, self.element]))
        self.relin = self._sent(seal.RelinKeys, self.maker.create_relin_keys())
        self.key_bytes = module._saved(self.maker.create_galois_keys([self.element]))
        self.rng = np.random.default_rng(0)

    def _sent(self, make: Callable[[], Any], thing: Any) -> Any:
        return self.module._loaded(make, self.module._saved(thing), self.context)

    def samples(self, primes: tuple[int, ...]) -> Iterator[_Sample]:
        """Every primitive at every number of primes."""
        for k in primes:
            yield from self._at(k)
        yield from self._keys()

    def _at(self, primes: int) -> Iterator[_Sample]:
        module, ring, ev, context = self.module, self.ring, self.evaluator, self.context
        seal, make = module.seal, module.seal.Ciphertext
        level = self.top - primes
        real = self.rng.standard_normal(module.SLOTS)
        imaginary = real + 1j * real[::-1]
        count = max(OPERANDS, PLAINTEXT_BYTES // (8 * self.degree * primes))
        plains = [ring.encode(real * (1 + n), level) for n in range(count)]
        ciphers = [self._sent(make, self.encryptor.encrypt_symmetric(p)) for p in plains[:OPERANDS]]
        turn = itertools.cycle(ciphers)
        fresh = itertools.cycle(plains)
        step = itertools.cycle(range(1, KEYS + 1))
        saved = module._saved(self.encryptor.encrypt_symmetric(plains[0]))
        saved_cipher, saved_plain = module._saved(ciphers[0]), module._saved(plains[0])

        def sample(primitive: str, calls: int, action: Callable[[], object]) -> _Sample:
            return _Sample(primitive, self.degree, primes, calls, _repeated(action, calls))

        yield sample("rotate", 2, lambda: ev.rotate_vector(next(turn), next(step), self.galois, make()))
        yield sample("conjugate", 1, lambda: ev.complex_conjugate(next(turn), self.galois, make()))
        yield sample("multiply_plain", 16, lambda: ev.multiply_plain(next(turn), next(fresh), make()))
        yield sample("add_plain", 8, lambda: ev.add_plain(next(turn), next(fresh), make()))
        yield sample("add", 8, lambda: ev.add(next(turn), next(turn), make()))
        yield sample("sub", 8, lambda: ev.sub(next(turn), next(turn), make()))
        yield sample("negate", 8, lambda: ev.negate(next(turn), make()))
        yield sample("multiply", 2, lambda: ev.multiply(next(turn), next(turn), make()))
        total = make()
        ev.add(ciphers[0], ciphers[1], total)
        yield sample("add_inplace", 16, lambda: ev.add_inplace(total, next(turn)))

        def product() -> Any:
            out = make()
            ev.multiply(next(turn), next(turn), out)
            return out

        relinearize = lambda c: ev.relinearize_inplace(c, self.relin)  # noqa: E731
        yield _Sample("relinearize", self.degree, primes, 1, relinearize, product)
        if primes > 1:
            yield sample("rescale", 2, lambda: ev.rescale_to_next(next(turn), make()))
            yield sample("mod_switch", 4, lambda: ev.mod_switch_to_next(next(turn), make()))
        yield sample("encode_real", 2, lambda: ring.encode(real, level))
        yield sample("encode_complex", 2, lambda: ring.encode(imaginary, level))
        yield sample("encode_constant", 4, lambda: ring.encode(1.5, level))
        yield sample("encrypt", 1, lambda: self.encryptor.encrypt_symmetric(next(fresh)))
        yield sample("decrypt", 2, lambda: self.decryptor.decrypt(next(turn), seal.Plaintext()))
        yield sample("decode", 1, lambda: ring.decode(next(fresh)))
        yield sample("save_input", 1, lambda: module._saved(self.encryptor.encrypt_symmetric(next(fresh))))
        yield sample("load_input", 1, lambda: module._loaded(make, saved, context))
        yield sample("save_ciphertext", 1, lambda: module._saved(next(turn)))
        yield sample("load_ciphertext", 1, lambda: module._loaded(make, saved_cipher, context))
        yield sample("save_plaintext", 1, lambda: module._saved(next(fresh)))
        yield sample("load_plaintext", 1, lambda: module._loaded(seal.Plaintext, saved_plain, context))

    def _keys(self) -> Iterator[_Sample]:
        """What does not go by level: keys, and reading tensors."""
        module, slots = self.module, self.module.SLOTS
        tensor = self.rng.standard_normal((4, slots))
        slot = np.arange(slots)

        def sample(primitive: str, action: Callable[[], object], calls: int = 1) -> _Sample:
            return _Sample(primitive, self.degree, self.top, calls, _repeated(action, calls))

        yield sample("gather", lambda: module.element(tensor, (slot % 4, (slot + 1) % slots)), 4)
        yield sample("galois_key", lambda: self.maker.create_galois_keys([self.element]))
        yield sample("relin_key", lambda: self.maker.create_relin_keys())
        yield sample("save_key", lambda: module._saved(self.maker.create_galois_keys([self.element])))
        yield sample("load_key", lambda: module._loaded(module.seal.GaloisKeys, self.key_bytes, self.context))


def calibrate(progress: Progress = lambda _, __: None, seconds: float = SECONDS) -> Profile:
    """Measure this machine: medians over rounds that visit every primitive at every degree and number of primes, so
    that a burst of other work falls on one round of all and not on all rounds of one.

    Raises SL445 when TenSEAL is missing.
    """
    try:
        import tenseal.sealapi  # noqa: F401
    except ImportError as problem:
        raise error("SL445", f"TenSEAL can't be imported: {problem}") from None
    start = time.perf_counter()
    samples: list[_Sample] = []
    for number, (degree, (bits, primes)) in enumerate(POINTS.items()):
        progress(f"preparing degree {degree}", 0.1 * number / len(POINTS))
        samples += _Ring(degree, bits).samples(primes)
    prepared = time.perf_counter()
    found: dict[tuple[int, str, int], list[float]] = defaultdict(list)
    gc.collect()
    for number in range(MOST_ROUNDS):
        for at, sample in enumerate(samples):
            found[sample.degree, sample.primitive, sample.primes].append(sample.seconds())
            if at % 32 == 0:
                passed = (time.perf_counter() - prepared) / max(seconds, 1e-9)
                rounds = (number + at / len(samples)) / FEWEST_ROUNDS
                progress(f"round {number + 1}", 0.1 + 0.9 * min(passed, rounds, 1.0))
        if number + 1 >= FEWEST_ROUNDS and time.perf_counter() - prepared >= seconds:
            break
    progress(f"measured in {time.perf_counter() - start:.0f} s", 1.0)
    table: dict[int, dict[str, dict[int, float]]] = {}
    for (degree, primitive, primes), times in found.items():
        table.setdefault(degree, {}).setdefault(primitive, {})[primes] = statistics.median(times)
    machine = this_machine()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    name = f"{machine.processor}, TenSEAL {machine.tenseal}"
    return Profile(name, machine, datetime.now(UTC).date().isoformat(), load, table)
