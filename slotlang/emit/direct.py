"""Direct calls of ``tenseal.sealapi``: what a standalone module has in place of ``slotlang_runtime``.

All that follows the imports is copied into such a module, so it is short and plain: no kernels, no bytes, no counts.
Ciphertexts are TenSEAL's objects, and client and server are two halves of one process. Use ``slotlang_runtime`` to
serve clients; this file is for reading, and for owning every call.
"""

from __future__ import annotations

import base64
import math
import secrets
import sys
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import tenseal.sealapi as seal

# direct calls start here


class Parameters(NamedTuple):
    """Of CKKS. ``prime_bits``: the key prime last; ``drops``: products after which a prime is dropped, the last
    ``results`` of these of results alone. ``cut`` and ``key_levels``: where slotlang_runtime sends less."""

    degree: int
    prime_bits: tuple[int, ...]
    scale_bits: tuple[int, ...]
    drops: tuple[int, ...]
    rotations: tuple[int, ...]
    routes: dict[int, tuple[int, ...]]
    conjugation: bool
    relinearization: bool
    hide: str
    doubled: tuple[str, ...]
    results: int
    cut: tuple[int, ...]
    key_levels: dict[int, int]


class Packing(NamedTuple):
    """Ciphertexts of the client: ``function(inputs, *indices)`` is what a member holds."""

    function: Callable[..., Any]
    shape: tuple[int, ...]
    gain: float | None = None


class Plaintexts(NamedTuple):
    """Plaintexts of the server, and where they are multiplied or added."""

    function: Callable[..., Any]
    shape: tuple[int, ...]
    level: int = 0
    products: int = 0
    added: bool = False


class Results(NamedTuple):
    """Ciphertexts that the server returns."""

    members: Any
    level: int
    products: int
    mask_bits: int = 0


class Output(NamedTuple):
    """Which element of a result each slot of a member carries, and in which part."""

    name: str
    function: Callable[..., Any]
    shape: tuple[int, ...]
    part: str | None = None


class Limit(NamedTuple):
    """The largest inputs: the Euclidean norm of a token (a column), and each element."""

    norm: float = math.inf
    entry: float = math.inf

    def excess(self, values: Any) -> float:
        """An input's size over its limit: at most 1 where it fits."""
        return float(max(np.linalg.norm(values, axis=0).max() / self.norm, np.abs(values).max() / self.entry))


class Module(NamedTuple):
    """The program's tables."""

    name: str
    program_hash: str
    parameters: Parameters
    slots: int
    kernel: str
    inputs: dict[str, tuple[int, ...]]
    limits: dict[str, Limit]
    weights: dict[str, tuple[int, ...]]
    scalars: list[str]
    results: dict[str, Any]
    packing: dict[str, Packing]
    plaintexts: dict[str, Plaintexts]
    sent: dict[str, Results]
    outputs: list[Output]
    evaluate: Callable[..., Any]
    reference: Callable[..., Any]
    counts: dict[str, int]
    error: dict[str, float]
    precision: float
    assumptions: Any = ()
    forms: Any = None
    prepare: Callable[..., Any] = dict
    patterns: dict[str, Callable[[], Any]] | None = None

    def excess(self, weights: dict[str, Any]) -> float:
        """The largest ratio of a weight to its bound: at most 1 where all fit."""
        found = (
            (np.linalg.norm(weights[n], axis=a) if a is not None else weights[n], b) for n, a, b in self.assumptions
        )
        return max((float(np.max(np.abs(size)) / bound) for size, bound in found), default=0.0)

    def placed(self) -> Iterator[tuple[Output, Any, Any, Any]]:
        """Each member that an output reads: the slots with an element, and the indices of these elements."""
        for output in self.outputs:
            shape, _ = self.results[output.name]
            for binders in np.ndindex(output.shape):
                member, places, *condition = output.function(*binders)
                inside = np.broadcast_to(np.logical_and.reduce(condition or [True]), self.slots)
                for place, size in zip(places, shape, strict=True):
                    inside = inside & (place >= 0) & (place < size)
                yield output, member, inside, tuple(np.broadcast_to(place, self.slots)[inside] for place in places)


class Ring:
    """The context at 128-bit security, the levels with their scales, and encoding."""

    def __init__(self, module: Module) -> None:
        self.module, p = module, module.parameters
        parms = seal.EncryptionParameters(seal.SCHEME_TYPE.CKKS)
        parms.set_poly_modulus_degree(p.degree)
        parms.set_coeff_modulus(seal.CoeffModulus.Create(p.degree, list(p.prime_bits)))
        self.context = seal.SEALContext(parms, True, seal.SEC_LEVEL_TYPE.TC128)
        if not self.context.parameters_set():
            raise ValueError("[SL404] these parameters are invalid or below 128-bit security")
        self.encoder, self.evaluator = seal.CKKSEncoder(self.context), seal.Evaluator(self.context)
        moduli = [m.value() for m in self.context.key_context_data().parms().coeff_modulus()]
        self.levels, data = [], self.context.first_context_data()
        for _ in moduli[:-1]:
            self.levels.append(data.parms_id())
            data = data.next_context_data()
        self.moduli = [moduli[: len(moduli) - 1 - level] for level in range(len(self.levels))]
        self.factors = [2.0**bits for bits in p.scale_bits]
        self.before = [0, *p.drops]
        self.scales = self.factors[:1]
        for level, product in enumerate(p.drops):
            self.scales.append(self.scale(level, product - self.before[level]) / self.moduli[level][-1])

    def factor(self, level: int, products: int) -> float:
        """Scale of a plaintext that multiplies."""
        several = len(self.factors) > 1
        return self.factors[self.before[level] + products + 1] if several else self.scales[level]

    def scale(self, level: int, products: int) -> float:
        """Scale of a ciphertext."""
        return math.prod([self.scales[level], *(self.factor(level, k) for k in range(products))])

    def encode(self, values: Any, level: int = 0, products: int = 0, added: bool = False) -> Any:
        """A plaintext, its slots repeated to fill the ring; None for zero, as SEAL refuses products with zero."""
        half, plain = self.module.parameters.degree // 2, seal.Plaintext()
        content = np.broadcast_to(np.asarray(values, complex), self.module.slots).tolist()
        scale = self.scale(level, products) if added else self.factor(level, products)
        self.encoder.encode(content * (half // self.module.slots), self.levels[level], scale, plain)
        return None if plain.is_zero() else plain

    def zero(self) -> Any:
        """A plaintext of zeros for an input."""
        plain = seal.Plaintext()
        self.encoder.encode(0.0, self.scales[0], plain)
        return plain


class Evaluation:
    """The operations of an evaluation. None stands for zero."""

    def __init__(self, ring: Ring, galois_keys: Any, relin_keys: Any, encrypted_zero: Any) -> None:
        self.ring, self.evaluator = ring, ring.evaluator
        self.galois_keys, self.relin_keys, self.encrypted_zero = galois_keys, relin_keys, encrypted_zero
        self.slots, self.routes = ring.module.slots, ring.module.parameters.routes
        self.known: dict[Any, Any] = {}

    def new(self, operation: Callable[..., Any], *operands: Any) -> Any:
        """The ciphertext that an operation makes of its operands; None if one of these is."""
        if any(operand is None for operand in operands):
            return None
        out = seal.Ciphertext()
        operation(*operands, out)
        return out

    def rotate(self, a: Any, step: int) -> Any:
        """``a << step``."""
        step %= self.slots
        for part in self.routes.get(step, (step,)) if step else ():
            a = self.new(self.evaluator.rotate_vector, a, part, self.galois_keys)
        return a

    def conj(self, a: Any) -> Any:
        """Complex conjugate."""
        return self.new(self.evaluator.complex_conjugate, a, self.galois_keys)

    def multiply(self, a: Any, plain: Any) -> Any:
        """Ciphertext times plaintext."""
        return self.new(self.evaluator.multiply_plain, a, plain)

    def product(self, a: Any, b: Any) -> Any:
        """Ciphertext times ciphertext: three polynomials, until they are relinearised."""
        return self.new(self.evaluator.multiply, a, b)

    def relinearize(self, a: Any) -> Any:
        """Back to two polynomials."""
        return self.new(self.evaluator.relinearize, a, self.relin_keys)

    def rescale(self, a: Any) -> Any:
        """Drop a prime; the scale is set to its exact value, so that sums find equal scales."""
        out = self.new(self.evaluator.rescale_to_next, a)
        if out is not None:
            out.scale = self.ring.scales[self.ring.levels.index(out.parms_id())]
        return out

    def negate(self, a: Any) -> Any:
        """``-a``."""
        return self.new(self.evaluator.negate, a)

    def combine(self, signs: str, *terms: Any) -> Any:
        """Signed sum. Ciphertexts that cancel leave zero, or what plaintexts in them leave, which nothing hides: SEAL
        computes it, and refuses it."""
        total, bare = None, False
        for sign, term in zip(signs, terms, strict=True):
            if term is None:
                continue
            if total is None:
                total = term if sign == "+" else self.new(self.evaluator.negate, term)
                continue
            out, bare = seal.Ciphertext(), False
            try:
                (self.evaluator.add if sign == "+" else self.evaluator.sub)(total, term, out)
            except RuntimeError as problem:
                if "transparent" not in str(problem):
                    raise
                # a residue of what is left is zero by chance with a probability of the order of one over a prime
                out, bare = (out, True) if out.data(0) else (None, False)
            total = out
        return self.sum([total, self.zero(total)]) if bare else total

    def zero(self, like: Any) -> Any:
        """The client's zero, at a plaintext's or ciphertext's level and scale."""
        out = self.new(self.evaluator.mod_switch_to, self.encrypted_zero, like.parms_id())
        out.scale = like.scale
        return out

    def sum_of(self, *terms: Any) -> Any:
        """Sum of its arguments."""
        return self.sum(terms)

    def sum(self, terms: Iterable[Any]) -> Any:
        """Sum of terms."""
        terms = list(terms)
        return self.combine("+" * len(terms), *terms)

    def dot(self, pairs: Iterable[Any]) -> Any:
        """Sum of ciphertexts, each times a plaintext."""
        return self.sum(self.multiply(a, plain) for a, plain in pairs)

    def add_plain(self, a: Any, plain: Any, sign: int = 1) -> Any:
        """Ciphertext plus or minus plaintext."""
        if plain is None:
            return a
        a = self.zero(plain) if a is None else a
        return self.new(self.evaluator.add_plain if sign > 0 else self.evaluator.sub_plain, a, plain)

    def once(self, operation: Callable[..., Any], *operands: Any) -> Any:
        """An operation that the program asks for several times, computed once. Operands are kept: ids stay theirs."""
        key = (operation.__name__, *(o if isinstance(o, int | str) else id(o) for o in operands))
        if key not in self.known:
            self.known[key] = operation(*operands), operands
        return self.known[key][0]

    def tree(self, terms: Iterable[Any], shared: bool = False) -> Any:
        """Sum by a balanced tree."""
        level = list(terms)
        while len(level) > 1:
            level = [self.sum(level[i : i + 2]) for i in range(0, len(level), 2)]
        return level[0]

    def horner(self, terms: Iterable[Any], step: int, shared: bool = False) -> Any:
        """``sum v: term(v) << v*step``, the terms given last one first."""
        total, *others = terms
        for term in others:
            total = self.sum([self.rotate(total, step), term])
        return total

    def doubling(self, a: Any, step: int, count: int, radix: int = 2, shared: bool = False) -> Any:
        """``sum f < count: a << f*step``: by divisors up to the radix, then by the digits of the rest."""
        for copies in range(min(count, radix), 1, -1):
            if count % copies == 0:
                rest = count // copies
                return self.doubling(self.copies(a, a, rest * step, copies), step, rest, radix)
        return self.digits(a, step, count, radix)

    def digits(self, a: Any, step: int, count: int, radix: int) -> Any:
        if count < radix:
            return self.copies(a, a, step, count)
        total = self.digits(a, step, count // radix, radix)
        return self.copies(a, self.copies(total, total, count // radix * step, radix), step, count % radix + 1)

    def copies(self, a: Any, last: Any, step: int, count: int) -> Any:
        turns = [self.rotate(last if k == count - 1 else a, k * step) for k in range(1, count)]
        return self.sum([a, *turns]) if turns else last


class Client:
    """Owns the secret key: makes the evaluation keys, encrypts inputs, decrypts results."""

    def __init__(self, ring: Ring) -> None:
        self.ring, self.module = ring, ring.module
        self.keys = seal.KeyGenerator(ring.context)
        self.encryptor = seal.Encryptor(ring.context, self.keys.secret_key())
        self.decryptor = seal.Decryptor(ring.context, self.keys.secret_key())

    def evaluation_keys(self) -> tuple[Any, Any, Any]:
        """Galois keys of the rotations in use, a relinearization key, and an encrypted zero; for the server."""
        p, galois, relin = self.module.parameters, seal.GaloisKeys(), seal.RelinKeys()
        zero = self.ring.zero(), seal.Ciphertext()
        self.encryptor.encrypt_symmetric(*zero)
        # Galois elements have to be Python ints: SEAL takes anything else for steps
        elements = [pow(3, step, 2 * p.degree) for step in p.rotations] + [2 * p.degree - 1] * p.conjugation
        if elements:
            self.keys.create_galois_keys(elements, galois)
        if p.relinearization:
            self.keys.create_relin_keys(relin)
        return galois, relin, zero[1]

    def encrypt(self, inputs: dict[str, Any]) -> dict[Any, Any]:
        """Ciphertexts by name."""
        sent = {}
        for name, limit in self.module.limits.items():
            if not limit.excess(inputs[name]) <= 1 + 1e-12:
                raise ValueError(f"[SL531] {name} is beyond {limit}: results could wrap around the modulus")
        for name, family in self.module.packing.items():
            for index in np.ndindex(family.shape):
                plain, out = self.ring.encode(family.function(inputs, *index), added=True), seal.Ciphertext()
                self.encryptor.encrypt_symmetric(self.ring.zero() if plain is None else plain, out)
                sent[(name, *index)] = out
        return sent

    def decrypt(self, answer: dict[Any, Any]) -> dict[str, Any]:
        """Results by name."""
        values = {}
        for name, cipher in answer.items():
            plain = seal.Plaintext()
            if cipher is not None:
                self.decryptor.decrypt(cipher, plain)
            slots = [0j] if cipher is None else self.ring.encoder.decode_complex(plain)[: self.module.slots]
            values[name] = np.broadcast_to(np.array(slots), self.module.slots)
        results = {name: np.zeros(shape, kind) for name, (shape, kind) in self.module.results.items()}
        for output, member, inside, places in self.module.placed():
            value = values[member][inside]
            if output.part is not None:
                value = value.real if output.part == "re" else value.imag
            results[output.name][places or ...] = value / 2 if member[0] in self.module.parameters.doubled else value
        for name, value in results.items():
            if 0 < rms(value) < self.module.error[name] / self.module.precision:
                warnings.warn(
                    f"[SL535] {name} is below the precision of these parameters: {rms(value):.1e}", stacklevel=2
                )
        return results


class Server:
    """Holds evaluation keys and encoded weights."""

    def __init__(self, ring: Ring, keys: tuple[Any, Any, Any], weights: dict[str, Any]) -> None:
        self.ring, self.module, self.keys = ring, ring.module, keys
        if not self.module.excess(weights) <= 1 + 2.0**-30:
            raise ValueError(f"[SL534] weights are larger than assumed: {self.module.assumptions}")
        weights, self.plain = self.module.prepare(weights), {}
        for name, family in self.module.plaintexts.items():
            for index in np.ndindex(family.shape):
                value = family.function(weights, *index)
                self.plain[(name, *index)] = ring.encode(value, family.level, family.products, family.added)

    def evaluate(self, sent: dict[Any, Any]) -> dict[Any, Any]:
        """Encrypted results, with a random value added to every slot and part that no output reads."""
        ev = Evaluation(self.ring, *self.keys)
        answer = self.module.evaluate(ev, dict(sent), self.plain)
        if self.module.parameters.hide == "none":
            return dict(answer)
        masked = {name for name, family in self.module.sent.items() if family.mask_bits}
        return {
            n: ev.add_plain(value, self.mask(n)) if value is not None and n[0] in masked else value
            for n, value in answer.items()
        }

    def mask(self, name: Any) -> Any:
        """Random values in the slots and parts of a result that no output reads: of the other part, where conjugates
        were not added, and of slots of a part that is read elsewhere."""
        slots, family = self.module.slots, self.module.sent[name[0]]
        read = np.zeros((2, slots), bool)
        for output, member, inside, _ in self.module.placed():
            if member == name:
                read[{"re": [0], "im": [1], None: [0, 1]}[output.part]] |= inside
        hidden = ~read
        if name[0] in self.module.parameters.doubled:
            hidden &= read.any(axis=1, keepdims=True)
        words = np.frombuffer(secrets.token_bytes(16 * slots), "<u8").reshape(2, slots)
        re, im = ((words >> np.uint64(11)) * 2.0**-52 - 1) * 2.0**family.mask_bits * hidden
        return self.ring.encode(re + 1j * im, family.level, family.products, added=True)


def rms(values: Any) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.abs(values) ** 2)))


def element(array: Any, index: tuple[Any, ...]) -> Any:
    """``array[index]`` for index arrays, and 0 where the index lies outside."""
    places = np.broadcast_arrays(*index)
    inside = np.logical_and.reduce([(i >= 0) & (i < n) for i, n in zip(places, array.shape, strict=True)])
    return np.where(inside, array[tuple(np.where(inside, i, 0) for i in places)], 0.0)


def table(text: str) -> Any:
    """An array of slot numbers."""
    return np.frombuffer(zlib.decompress(base64.b85decode(text)), "<i4").astype(np.int64)


def main(module: Module, promise: dict[str, Any]) -> int:
    """Encrypt, evaluate and decrypt random data, and print the error against numpy. Returns the exit status: 1 where
    a result is not within what was promised, or below the precision, of which nothing is."""
    given = sys.argv[1:] or ["0"]
    if len(given) > 1 or not given[0].isdecimal():
        print(f"usage: {sys.argv[0]} [SEED]: a whole number, for random data; others come by Client", file=sys.stderr)
        return 2
    rng = np.random.default_rng(int(given[0]))
    inputs = {name: rng.standard_normal(shape) for name, shape in module.inputs.items()}
    for name, limit in module.limits.items():
        inputs[name] /= max(limit.excess(inputs[name]), 1.0)
    weights: dict[str, Any] = {n: rng.standard_normal(s) / math.sqrt(s[-1]) for n, s in module.weights.items()}
    for name, pattern in (module.patterns or {}).items():
        weights[name] = weights[name] * pattern()
    weights.update(dict.fromkeys(module.scalars, 1.0))
    weights = {name: value / max(module.excess(weights), 1.0) for name, value in weights.items()}
    ring = Ring(module)
    client = Client(ring)
    server = Server(ring, client.evaluation_keys(), weights)
    results = client.decrypt(server.evaluate(client.encrypt(inputs)))
    # of random data less is promised where the promise is about given weights
    relative = promise["relative_error" if promise["assumed"] in ("unit", "bounds") else "precision"]
    status = 0
    for name, expected in module.reference(inputs, weights).items():
        error, size = rms(results[name] - expected), rms(expected)
        print(f"{name}: shape {expected.shape}, relative rms error {error / size:.1e}")
        # the rms of few numbers scatters
        allowed = max(module.error[name], relative * size) * (1 + 3 / math.sqrt(2 * expected.size))
        if not error <= allowed:
            print(f"{name}: the rms error is {error:.1e}, and at most {allowed:.1e} was promised", file=sys.stderr)
            status = 1
        status = status or int(0 < rms(results[name]) < module.error[name] / module.precision)
    return status
