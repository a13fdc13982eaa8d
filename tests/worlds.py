"""A program's module with client, keys, weights and server: what tests of the runtime start from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from slotlang import api
from slotlang.emit.head import Lowering
from slotlang.emit.module import emit
from slotlang.meaning.program import Program
from slotlang.planning.parameters import Parameters
from slotlang.planning.plan import Plan
from slotlang.planning.target import Hide, KernelChoice, Target
from slotlang.run.runner import load_module, random_data
from slotlang_runtime import Client, EvaluationKeys, SecretKey, Server, Weights
from slotlang_runtime.records import read_fresh, read_result
from slotlang_runtime.seal.halves import Part, doubled_part
from slotlang_runtime.seal.memory import ciphertext_of, plaintext_of, residues_of
from slotlang_runtime.seal.ring import Ring
from slotlang_runtime.seal.saved import Saved, saved
from slotlang_runtime.server import Answer
from slotlang_runtime.wire import pack, unpack

SMALL = Parameters(4096, (36, 36, 37), 20)
"""The smallest ring with two primes of data: an evaluation takes milliseconds."""

ROOMY = Parameters(4096, (40, 40, 29), 20)
"""The same with room for masks of slots behind two products: 20 bits."""

SUMS = """program sums(n = 4, slots = 16)
input x[n, slots]
weight A[2, n]
cipher X[k < n] = x[k, slot]
plain W[i < 2, k < n] = A[i, k]
Y[i < 2] = sum k < n: X[k] * W[i, k]
output y[i, slot] = re Y[i]
prove y == A @ x
"""
"""A program that every kernel evaluates."""

PAIRS = """program pairs(d = 8, r = 4, slots = 16)
input x[d]
weight A[d, r], B[r, d]
axes (g < slots / d, h < d)
cipher X = x[h]
plain W[q < r/2] = B[q, h] + 1i * B[q + r/2, h]
S[q < r/2] = sum f < d by doubling: (X * W[q]) << f
plain V[q < r/2] = A[h, q] - 1i * A[h, q + r/2]
Y = sum q < r/2: S[q] * V[q]
output y[h] = re Y where g == 0
prove y == A @ B @ x
"""
"""The real part of eight slots is the result; imaginary parts and the other slots are not."""

DIAGONALS = """program diagonals(n = 8, slots = 8)
input x[n]
weight w[n, n]
bound |x| <= 1000000
axes (h < n)
cipher X = x[h]
plain W[q < n] = w[h, (h + q) % n]
Y = sum q < n: (X << q) * W[q]
output y[h] = Y
prove y == w @ x
"""
"""Inputs whose limit is far above what promises assume."""

SCORE = """program score(n = 16, rows = 4, slots = 64)
input x[n, rows]
weight w[1, n]
axes (t < rows, h < n)
cipher X = x[h, t]
plain W = w[0, h]
P = X * W
S = sum f < n by doubling: P << f
output y[0, t] = S where h == 0
prove y == w @ x
"""
"""One slot of sixteen holds a result; the others hold sums that cross two rows."""

LAYER = """program {name}(d = 8, n = {n}, slots = 16)
input x[d]
weight {weight}[n, d]
cipher X = x[slot % d]
plain W[i < n] = {weight}[i, slot] else 0
Y[i < n] = sum f < d by doubling: (X * W[i]) << f
output {result}[i] = re Y[i] where slot == 0
prove {result} == {weight} @ x
"""
"""One of several products of the same x."""


def layer(name: str, n: int = 3) -> str:
    """The program ``name``, with a weight and a result of its own and the packing of all others."""
    return LAYER.format(name=name, n=n, weight=f"W{name}", result=f"y{name}")


@dataclass(frozen=True)
class Emitted:
    """A plan and the text of its module, which is neither proved nor validated."""

    plan: Plan
    text: str


def emitted(program: Program | str, parameters: Parameters | None = None, target: Target = Target()) -> Emitted:
    """The module of a program, or of a program's text."""
    plan = api.plan(api.loads(program) if isinstance(program, str) else program, parameters, target=target)
    return Emitted(plan, emit(plan, Lowering("0", "proved", "exact", validated=True)))


class World:
    """One client of one program, with everything that is sent."""

    def __init__(
        self,
        text: str,
        parameters: Parameters | None = SMALL,
        *,
        sizes: dict[str, int] | None = None,
        hide: Hide = "mask",
        kernel: KernelChoice = "auto",
        secret: SecretKey | None = None,
    ) -> None:
        self.program = api.loads(text, sizes)
        made = emitted(self.program, parameters, Target(kernel=kernel, hide=hide))
        self.plan, self.text = made.plan, made.text
        self.module = load_module(self.text)
        inputs, weights = random_data(self.program, 0)
        self.inputs: dict[str, Any] = dict(inputs)
        self.weights: dict[str, Any] = dict(weights)
        self.client = Client(self.module, secret)
        self.sent_keys = self.client.evaluation_keys()
        self.keys = EvaluationKeys.from_bytes(self.sent_keys)
        self.encoded = Weights.encode(self.module, **self.weights)
        self.server = Server(self.encoded)
        self.upload = self.client.encrypt(**self.inputs)

    @property
    def ring(self) -> Ring:
        """The client's ring."""
        return self.client.ring

    def answer(self, upload: bytes | None = None) -> Answer:
        """What the server makes of an upload."""
        return self.server.evaluate(self.upload if upload is None else upload, self.keys)

    def result(self, upload: bytes | None = None) -> Any:
        """The decrypted results of an upload."""
        return self.client.decrypt(self.answer(upload).data)

    def expected(self, **inputs: Any) -> Any:
        """In numpy: an array, or several by name."""
        found = self.module.reference({**self.inputs, **inputs}, self.weights)
        return found if len(found) > 1 else next(iter(found.values()))


def error(found: Any, expected: Any) -> float:
    """The largest difference."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        return max(error(found[name], expected[name]) for name in expected)
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max())


def relabeled(kind: str, data: bytes, **changes: Any) -> bytes:
    """A container whose label says something else, with a right checksum; None takes an entry out."""
    box = unpack(kind, data)
    label = {**box.label, **changes}
    return pack(kind, {k: v for k, v in label.items() if v is not None}, box.records)


def rerecorded(kind: str, data: bytes, **changes: Any) -> bytes:
    """A container with other records, with a right checksum."""
    box = unpack(kind, data)
    return pack(kind, box.label, {**box.records, **changes})


def sent_cipher(
    ring: Ring, record: bytes | memoryview, level: int, products: int, part: Part | None = None
) -> tuple[Any, Any]:
    """SEAL's ciphertext (c0, c1) of a result, or (h, c1) where one part is read, and the residues of c0 or h."""
    words = read_result(record, ring, level, products, part)
    return ciphertext_of(ring, words, level, ring.scale(level, products)), words[0]


def decoded_twice(ring: Ring, plain: Any, half: Any, level: int, products: int, part: Part) -> Any:
    """The slots of twice the part that is read, from the plaintext of (h, c1) and the residues of h."""
    twice = doubled_part(ring, residues_of(ring, plain), half, level, part)
    return ring.decode(plaintext_of(ring, twice, level, ring.scale(level, products)))


def input_cipher(ring: Ring, record: bytes | memoryview) -> Any:
    """SEAL's ciphertext of an input."""
    return ciphertext_of(ring, read_fresh(record, ring), 0, ring.scale(0))


def residues(ring: Ring, cipher: Any, level: int = 0) -> Any:
    """The residues of a SEAL ciphertext, polynomials x primes x degree."""
    record = Saved(ring.shared, saved(cipher), 1 << 30)
    record.at = 97
    return record.words(2, ring.primes(level))
