"""Measuring the primitives: what TenSEAL takes for each, at every degree and number of primes that matters.

Operations run as emitted modules run them. Plaintexts and operands change from call to call, as they do in a program:
one plaintext used again and again would stay in the nearest cache.
"""

from __future__ import annotations

import gc
import itertools
import math
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from slotlang.cost.profile import Profile, this_machine
from slotlang.diagnostics import error

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
KEYS = 3
"""Galois keys that rotations take in turn."""

Progress = Callable[[str, float], None]
"""Told what is done, and how much of all is done, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class _Sample:
    """``action`` runs a primitive once, on what ``before`` makes, which is not timed."""

    primitive: str
    degree: int
    primes: int
    calls: int
    action: Callable[[Any], object]
    before: Callable[[], Any] = lambda: None

    def seconds(self) -> float:
        """Process CPU time of one call: other processes on the machine disturb it least.

        One more call goes before, untimed: tables of the degree and code are then in the caches, as they are
        within a program.
        """
        self.action(self.before())
        given = [self.before() for _ in range(self.calls)]
        start = time.process_time()
        for one in given:
            self.action(one)
        return (time.process_time() - start) / self.calls


class _Ring:
    """Context, keys and operands at one degree."""

    def __init__(self, degree: int, bits: tuple[int, ...]) -> None:
        import tenseal.sealapi as seal

        self.seal, self.degree, self.top = seal, degree, len(bits) - 1
        parameters = seal.EncryptionParameters(seal.SCHEME_TYPE.CKKS)
        parameters.set_poly_modulus_degree(degree)
        parameters.set_coeff_modulus(seal.CoeffModulus.Create(degree, list(bits)))
        self.context = seal.SEALContext(parameters, True, seal.SEC_LEVEL_TYPE.TC128)
        self.levels = []
        data = self.context.first_context_data()
        for _ in range(self.top):
            self.levels.append(data.parms_id())
            data = data.next_context_data()
        self.encoder = seal.CKKSEncoder(self.context)
        self.maker = seal.KeyGenerator(self.context)
        secret = self.maker.secret_key()
        self.encryptor = seal.Encryptor(self.context, secret)
        self.decryptor = seal.Decryptor(self.context, secret)
        self.evaluator = seal.Evaluator(self.context)
        self.conjugation = 2 * degree - 1
        self.rng = np.random.default_rng(0)

    def encode(self, values: npt.NDArray[Any], level: int) -> Any:
        """As emitted modules do: values are checked, and become lists."""
        if not np.isfinite(values).all() or not values.any():
            raise AssertionError("operands are finite and not zero")
        plain = self.seal.Plaintext()
        if np.iscomplexobj(values) and not values.imag.any():
            values = values.real
        if values.ndim and not (values == values.flat[0]).all():
            self.encoder.encode(values.tolist(), self.levels[level], SCALE, plain)
        else:
            self.encoder.encode(float(values.flat[0]), self.levels[level], SCALE, plain)
        plain.is_zero()
        return plain

    def saved(self, thing: Any) -> bytes:
        """Bytes of an object; sealapi writes to files only."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "x"
            thing.save(str(path))
            return path.read_bytes()

    def loaded(self, make: Callable[[], Any], data: bytes) -> Any:
        """The object of these bytes."""
        thing = make()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "x"
            path.write_bytes(data)
            thing.load(self.context, str(path))
        return thing

    def samples(self, primes: tuple[int, ...]) -> Iterator[_Sample]:
        """Every primitive at every number of primes."""
        elements = [*(pow(3, k, 2 * self.degree) for k in range(1, KEYS + 1)), self.conjugation]
        galois = self.loaded(self.seal.GaloisKeys, self.saved(self.maker.create_galois_keys(elements)))
        relin = self.loaded(self.seal.RelinKeys, self.saved(self.maker.create_relin_keys()))
        for k in primes:
            yield from self._evaluation(k, galois, relin)
            yield from self._transfer(k)
        yield from self._keys()

    def _plains(self, primes: int) -> list[Any]:
        real = self.rng.standard_normal(self.degree // 2)
        count = max(OPERANDS, PLAINTEXT_BYTES // (8 * self.degree * primes))
        return [self.encode(real * (1 + n), self.top - primes) for n in range(count)]

    def _ciphers(self, plains: list[Any]) -> list[Any]:
        sent = (self.saved(self.encryptor.encrypt_symmetric(p)) for p in plains[:OPERANDS])
        return [self.loaded(self.seal.Ciphertext, data) for data in sent]

    def _evaluation(self, primes: int, galois: Any, relin: Any) -> Iterator[_Sample]:
        ev, make = self.evaluator, self.seal.Ciphertext
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

        def sample(primitive: str, calls: int, action: Callable[[], object]) -> _Sample:
            return _Sample(primitive, self.degree, primes, calls, lambda _: action())

        yield sample("rotate", 2, lambda: ev.rotate_vector(next(turn), next(step), galois, make()))
        yield sample("conjugate", 1, lambda: ev.complex_conjugate(next(turn), galois, make()))
        yield sample("multiply_plain", 16, lambda: ev.multiply_plain(next(turn), next(fresh), make()))
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
        seal, level = self.seal, self.top - primes
        plains = self._plains(primes)[:OPERANDS]
        ciphers = self._ciphers(plains)
        turn, fresh = itertools.cycle(ciphers), itertools.cycle(plains)
        real = self.rng.standard_normal(self.degree // 2)
        both = real + 1j * real[::-1]
        sent = self.saved(self.encryptor.encrypt_symmetric(plains[0]))
        cipher, plain = self.saved(ciphers[0]), self.saved(plains[0])

        def decoded() -> Any:
            return np.array(self.encoder.decode_complex(next(fresh)))

        def sample(primitive: str, action: Callable[[], object], calls: int = 1) -> _Sample:
            return _Sample(primitive, self.degree, primes, calls, lambda _: action())

        yield sample("encode_real", lambda: self.encode(real, level), 2)
        yield sample("encode_complex", lambda: self.encode(both, level), 2)
        yield sample("encode_constant", lambda: self.encode(_element(real, (level,)), level), 4)
        yield sample("encrypt", lambda: self.encryptor.encrypt_symmetric(next(fresh)))
        yield sample("decrypt", lambda: self.decryptor.decrypt(next(turn), seal.Plaintext()), 2)
        yield sample("decode", decoded)
        yield sample("save_input", lambda: self.saved(self.encryptor.encrypt_symmetric(next(fresh))))
        yield sample("load_input", lambda: self.loaded(seal.Ciphertext, sent))
        yield sample("save_ciphertext", lambda: self.saved(next(turn)))
        yield sample("load_ciphertext", lambda: self.loaded(seal.Ciphertext, cipher))
        yield sample("save_plaintext", lambda: self.saved(next(fresh)))
        yield sample("load_plaintext", lambda: self.loaded(seal.Plaintext, plain))

    def _keys(self) -> Iterator[_Sample]:
        """What does not go by level: keys, and reading tensors."""
        slots = self.degree // 2
        tensor = self.rng.standard_normal((4, slots))
        slot = np.arange(slots)
        key = self.saved(self.maker.create_galois_keys([self.conjugation]))

        def sample(primitive: str, action: Callable[[], object], calls: int = 1) -> _Sample:
            return _Sample(primitive, self.degree, self.top, calls, lambda _: action())

        yield sample("gather", lambda: _element(tensor, (slot % 4, (slot + 1) % slots)), 4)
        yield sample("galois_key", lambda: self.maker.create_galois_keys([self.conjugation]))
        yield sample("relin_key", self.maker.create_relin_keys)
        yield sample("save_key", lambda: self.saved(self.maker.create_galois_keys([self.conjugation])))
        yield sample("load_key", lambda: self.loaded(self.seal.GaloisKeys, key))


def _element(array: npt.NDArray[Any], index: tuple[Any, ...]) -> npt.NDArray[Any]:
    """``array[index]``, 0 outside: as emitted modules read tensors."""
    index = np.broadcast_arrays(*index)
    inside = np.logical_and.reduce([(i >= 0) & (i < n) for i, n in zip(index, array.shape, strict=True)])
    return np.where(inside, array[tuple(np.where(inside, i, 0) for i in index)], 0.0)


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
    progress: Progress = lambda _, __: None, seconds: float = SECONDS, degrees: Sequence[int] = ()
) -> Profile:
    """Measure this machine: medians over rounds that visit every primitive at every degree and number of primes, so
    that other work falls on all alike; each time is taken over the yardstick's, so that they are those of the
    machine's fast moments. Without ``degrees`` all of ``POINTS``; a profile scales what it does not have from the
    nearest degree it has.

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
    yardstick = Yardstick()
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
    machine = this_machine()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    name = f"{machine.processor}, TenSEAL {machine.tenseal}"
    return Profile(name, machine, datetime.now(UTC).date().isoformat(), load, table)
