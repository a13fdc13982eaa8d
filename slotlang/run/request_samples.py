"""The parts of a request that ``calibrate`` measures: whole calls of a client and a server, of modules that only send.

A call with several ciphertexts takes what each of them takes, and what the call itself does: checking labels, opening
containers, drawing names. The second is measured in a small ring, by calls of few and of many, and is the same in all.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from slotlang.cost.primitives import SLOT_BLOCK
from slotlang.run.primitives import SCALE, Sample
from slotlang_runtime.client import Client, SecretKey
from slotlang_runtime.engine import SealEngine
from slotlang_runtime.kernels.engine import ResidueEngine
from slotlang_runtime.keys import EvaluationKeys
from slotlang_runtime.labels import module_label
from slotlang_runtime.limits import Limit
from slotlang_runtime.messages import DOUBLE_MASK_BITS
from slotlang_runtime.module import Kernel, Module, Output, Packing, Plaintexts, Results
from slotlang_runtime.parameters import Parameters
from slotlang_runtime.seal.ring import Ring
from slotlang_runtime.server import Server
from slotlang_runtime.weights import Weights
from slotlang_runtime.wire import pack

SEVERAL = 4
"""Ciphertexts of the calls that are measured."""
FAR_BYTES = {"encode_constant": 1 << 25, "save_ciphertext": 1 << 21, "save_part": 1 << 21, "save_cut": 1 << 21}
"""Primitives that take little more than the time of the memory, as the nearer caches do not hold weights when they are
encoded, nor results when they are written: bytes of a polynomial for each of those in a call."""
FEW, MANY = 1, 9
"""Ciphertexts of the calls of a small ring, whose difference says what a call takes without any."""
CUT = 7, 1
"""Bits of both polynomials that are not sent, of results that are cut."""

FIXED: Mapping[str, tuple[str, ...]] = {
    "request_encrypt": ("send_real", "send_complex"),
    "request_read": ("load_input",),
    "request_evaluate": ("return_result",),
    "request_mask": ("mask_slots", "mask_precise"),
    "request_save": ("save_ciphertext", "save_part", "save_cut"),
    "request_decrypt": ("receive", "receive_part", "receive_cut", "receive_precise"),
    "request_encode": ("encode_real", "encode_complex", "encode_constant"),
}
"""What a call takes without ciphertexts, and which primitives it is a part of."""

BESIDE_SLOTS = ("send_real", "send_complex", "encode_real", "encode_complex")
"""Primitives that a program with few slots takes less time for, as its vectors are repeated after their transform."""
FEWER = 8
"""They are measured with all slots, and with this part of them."""

COLLECT = "collect"
"""The part of decryption that goes with the slots of the program, whatever the ring has."""


def call_of(primitive: str, count: int) -> str:
    """Name of a call with so many ciphertexts while it is measured."""
    return f"{primitive} of {count}"


def fewer(primitive: str) -> str:
    """Name of a primitive with few slots while it is measured."""
    return f"{primitive} of few slots"


def several(primitive: str, degree: int, primes: int) -> int:
    """Ciphertexts (plaintexts) of the calls that are measured."""
    return max(SEVERAL, FAR_BYTES.get(primitive, 0) // (8 * degree * primes))


def is_call(name: str) -> bool:
    """Whether this is a name of ``call_of``."""
    primitive, _, count = name.rpartition(" of ")
    kinds = (*FIXED.values(), (COLLECT,), tuple(map(fewer, BESIDE_SLOTS)))
    return count.isdigit() and any(primitive in primitives for primitives in kinds)


@dataclass(frozen=True)
class _Sent:
    """What a module sends: ``values`` in every slot of an input, real or complex; of results one part or both, and half
    of the slots masked."""

    values: Any
    part: str | None = None
    masked: bool = False
    precise: bool = False


def sending_module(parameters: Parameters, kernel: Kernel, count: int, sent: _Sent, plains: Any = None) -> Module:
    """A program that returns its ``count`` inputs. ``plains``: what each of as many plaintexts holds. Its slots are as
    many as values are sent."""
    slots = len(sent.values)
    slot = np.arange(slots)
    half = slot % 2 == 0
    complex_results = sent.part is None
    bits = DOUBLE_MASK_BITS + sent.precise

    def unpack(j: int) -> tuple[Any, ...]:
        return (("Y", j), (np.full(slots, j), slot), half) if sent.masked else (("Y", j), (np.full(slots, j), slot))

    encoded = {} if plains is None else {"V": Plaintexts(lambda weights, j: plains, (count,))}
    return Module(
        name="calibration",
        program_hash="",
        parameters=parameters,
        slots=slots,
        kernel=kernel,
        inputs={"x": (1,)},
        limits={"x": Limit(entry=64.0)},
        weights={},
        scalars=[],
        results={"y": ((count, slots), complex if complex_results else float)},
        packing={"X": Packing(lambda inputs, k: sent.values, (count,))},
        plaintexts=encoded,
        sent={"Y": Results((count,), mask_bits=bits if sent.masked else 0, precise=sent.precise)},
        outputs=[Output("y", unpack, (count,), sent.part)],  # type: ignore[arg-type]
        evaluate=lambda ev, cipher, plain: {("Y", j): cipher["X", j] for j in range(count)},
        reference=lambda inputs, weights: {"y": inputs["x"]},
        counts={},
    )


class RequestSamples:
    """Clients and servers of rings with the key prime last, by compiled kernels or by SEAL's operations. Raises
    Unavailable where kernels are asked for and there are none."""

    def __init__(self, degree: int, prime_bits: tuple[int, ...], kernel: Kernel) -> None:
        self.degree, self.bits, self.kernel = degree, prime_bits, kernel
        rng = np.random.default_rng(0)
        self.real = rng.standard_normal(degree // 2)
        self.both = self.real + 1j * self.real[::-1]
        self.engine = ResidueEngine if kernel == "compiled" else SealEngine

    def samples(self, primes: tuple[int, ...], counts: tuple[int, ...] = (SEVERAL,)) -> Iterator[Sample]:
        """Every call with so many ciphertexts, at every number of primes: ``SEVERAL`` stands for ``several``."""
        for k in primes:
            bits = (*self.bits[:k], self.bits[-1])
            parameters = Parameters(self.degree, bits, (round(math.log2(SCALE)),))
            secret = SecretKey(parameters.ring)
            for count in counts:
                yield from self._at(parameters, secret, count)

    def _server(self, module: Module) -> Server:
        ring = Ring(module.parameters, module.slots)
        return Server(Weights(module, self.engine.encode(module, ring, {})))

    def _at(self, parameters: Parameters, secret: SecretKey, count: int) -> Iterator[Sample]:
        def sample(primitive: str, action: Callable[[], object]) -> Sample:
            return Sample(call_of(primitive, count), self.degree, primes, 1, lambda _: action())

        def made(sent: _Sent, plains: Any = None, primitive: str = "") -> Module:
            number = several(primitive, self.degree, primes) if count == SEVERAL else count
            return sending_module(parameters, self.kernel, number, sent, plains)

        primes = len(parameters.prime_bits) - 1
        x = np.ones(1)
        few = self.degree // 2 // FEWER
        for name, values in (("send_real", self.real), ("send_complex", self.both)):
            for primitive, sent_values in ((name, values), (fewer(name), values[:few])):
                client = Client(made(_Sent(sent_values)), secret)
                yield sample(primitive, partial(client.encrypt, x=x))
        received = {
            "receive": _Sent(self.both),
            "receive_part": _Sent(self.both, "re"),
            "receive_precise": _Sent(self.both, "re", masked=True, precise=True),
        }
        saved = {"receive": "save_ciphertext", "receive_part": "save_part", "receive_cut": "save_cut"}
        if primes == 1:
            received["receive_cut"] = _Sent(self.both, "re")

        def receiving(name: str, primitive: str = "") -> Module:
            module = made(received[name], primitive=primitive)
            return replace(module, parameters=replace(parameters, cut=CUT)) if name == "receive_cut" else module

        far: dict[Any, Any] = {}
        for name in received:
            module = receiving(name)
            client, server = Client(module, secret), self._server(module)
            keys = EvaluationKeys.from_bytes(client.evaluation_keys())
            upload = client.encrypt(x=x)
            loaded = {("Y", j): cipher for (_, j), cipher in server.load(upload).items()}

            def save(server: Server, loaded: Mapping[Any, Any]) -> bytes:
                return pack("results", module_label(server.weights.module), server.engine.save(dict(loaded)))

            yield sample(name, partial(client.decrypt, save(server, loaded)))
            if name == "receive":
                yield sample("load_input", partial(server.load, upload))
                yield sample("return_result", partial(server.compute, server.load(upload), keys))
                yield sample(COLLECT, partial(module.collect, dict.fromkeys(loaded, self.both)))
            if name in saved:
                others = receiving(name, saved[name])
                server = self._server(others)
                if not far:
                    inputs = server.load(Client(others, secret).encrypt(x=x))
                    far = {("Y", j): cipher for (_, j), cipher in inputs.items()}
                yield sample(saved[name], partial(save, server, far))
        for name, precise in (("mask_slots", False), ("mask_precise", True)):
            module = made(_Sent(self.both, "re", masked=True, precise=precise))
            if precise:
                # such masks fill the modulus: numbers that do not fit words are reduced in parts
                scale = max(sum(parameters.prime_bits[:-1]) - module.sent["Y"].mask_bits, *parameters.scale_bits)
                module = replace(module, parameters=replace(parameters, scale_bits=(scale,)))
            yield sample(name, self._server(module).engine.masks)
        plains: dict[str, Any] = {"encode_constant": 1.5}
        for name, values in (("encode_real", self.real), ("encode_complex", self.both)):
            plains |= {name: values, fewer(name): values[:few]}
        for name, content in plains.items():
            slots = np.size(content) if np.ndim(content) else self.degree // 2
            module = made(_Sent(self.both[:slots]), content, name)
            yield sample(name, partial(self.engine.encode, module, Ring(parameters, module.slots), {}))


def split(
    calls: Mapping[str, Mapping[int, float]], fixed: Mapping[str, float], slots: int
) -> dict[str, dict[int, float]]:
    """Times of one ciphertext, by primitive and number of primes, from those of calls with several; and what calls
    take without any. What collecting takes, by number of slots, is no part of receiving."""
    found: dict[str, dict[int, float]] = {name: {1: seconds} for name, seconds in fixed.items()}
    collecting = min(calls[call_of(COLLECT, SEVERAL)].values()) / SEVERAL
    found[COLLECT] = {slots: collecting}
    for name, primitives in FIXED.items():
        besides = collecting if name == "request_decrypt" else 0.0
        for primitive in primitives:
            times = calls[call_of(primitive, SEVERAL)]
            found[primitive] = {
                k: max((seconds - fixed[name]) / several(primitive, 2 * slots, k) - besides, 0.0)
                for k, seconds in times.items()
            }
    for primitive in BESIDE_SLOTS:
        whole, few = (calls[call_of(name, SEVERAL)] for name in (primitive, fewer(primitive)))
        blocks = slots // SLOT_BLOCK
        each = {k: max(whole[k] - few[k], 0.0) / SEVERAL / (blocks - blocks // FEWER) for k in whole}
        found[f"{primitive}_slots"] = each
        found[primitive] = {k: max(seconds - blocks * each[k], 0.0) for k, seconds in found[primitive].items()}
    return found


def fixed_of(calls: Mapping[str, float]) -> dict[str, float]:
    """What each kind of call takes without ciphertexts, from calls with few and with many: the median of the
    primitives that are parts of it."""
    found = {}
    for name, primitives in FIXED.items():
        each = []
        for primitive in primitives:
            few, many = calls[call_of(primitive, FEW)], calls[call_of(primitive, MANY)]
            each.append(max(few - FEW * (many - few) / (MANY - FEW), 0.0))
        found[name] = statistics.median(each)
    return found
