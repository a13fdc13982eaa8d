"""The client's side: its secret key, encryption of inputs, decryption of results."""

from __future__ import annotations

import math
import os
import secrets
import threading
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import tenseal.sealapi as seal

from slotlang_runtime.arrays import check_array
from slotlang_runtime.coding import Coder
from slotlang_runtime.equalized import Exponents, checked, digests, divided, weights_that_meet
from slotlang_runtime.errors import (
    BAD_ARRAY,
    BELOW_PRECISION,
    BYTES_OF_ANOTHER,
    DAMAGED_BYTES,
    LOWER,
    RESULT_OUT_OF_RANGE,
    BelowPrecision,
    Rejected,
)
from slotlang_runtime.exchange import Wire, answer_from_seal, check_wire, upload_to_seal
from slotlang_runtime.expected import assumed_sizes, grown_by_inputs, times_assumed
from slotlang_runtime.keys import KIND
from slotlang_runtime.labels import (
    check_label,
    check_ring,
    grown_errors,
    inputs_label,
    limits_label,
    module_label,
    ring_label,
    ring_of,
)
from slotlang_runtime.limits import Limit
from slotlang_runtime.masks import hidden_in
from slotlang_runtime.messages import LEAST_ROOM
from slotlang_runtime.module import Module, Name, Results, root_mean_square, small_results
from slotlang_runtime.parameters import RELINEARIZATION, RingParameters
from slotlang_runtime.records import fresh_record, key_record, read_result
from slotlang_runtime.residues import Words, added
from slotlang_runtime.seal.halves import doubled_part
from slotlang_runtime.seal.memory import Seeded, ciphertext_of, key_words, residues_of, seeded_words
from slotlang_runtime.seal.ring import Ring, context_of
from slotlang_runtime.seal.saved import load_secret, saved
from slotlang_runtime.seal.written import seeded_keys
from slotlang_runtime.wire import pack, unpack

REMEMBERED = 1 << 16
"""Uploads whose results may still come."""
_BLOCK = 1 << 15
"""Coefficients of results that are decrypted at once, so that what numpy makes of them stays in the nearer caches."""


class SecretKey:
    """A secret key of a ring, new or given. All programs with this ring can share it."""

    def __init__(self, ring: RingParameters, key: Any = None) -> None:
        ring.check()
        self.ring = ring
        self.context = context_of(ring)
        if key is not None and not seal.is_valid_for(key, self.context.context):
            raise Rejected("this secret key was made for other parameters", BYTES_OF_ANOTHER)
        self._generator = seal.KeyGenerator(self.context.context, *([] if key is None else [key]))
        self._key = self._generator.secret_key()
        self._sizes: dict[str, Mapping[str, float]] = {}
        self.encryptor = seal.Encryptor(self.context.context, self._key)
        self.decryptor = seal.Decryptor(self.context.context, self._key)

    @classmethod
    def from_bytes(cls, data: bytes) -> SecretKey:
        """The key whose ``to_bytes`` these are."""
        box = unpack("secret keys", data)
        ring = ring_of(box)
        (record,) = box.exactly(["secret"])
        if set(box.label) != set(ring_label(ring)) or record is None:
            raise Rejected("there is no secret key in these bytes", DAMAGED_BYTES)
        return cls(ring, load_secret(context_of(ring), record))

    def to_bytes(self) -> bytes:
        """The key, for the client's own storage: whoever has these bytes can decrypt."""
        return pack("secret keys", ring_label(self.ring), {"secret": saved(self._key)})

    def remember(self, upload: str, sizes: Mapping[str, float]) -> None:
        """The root mean squares of the inputs of an upload. Results say which upload they are of, and nothing else
        outside of the client tells sizes. Several programs may read an upload, and each assumes its own sizes. Of
        ``REMEMBERED`` uploads, the last ones."""
        self._sizes[upload] = sizes
        if len(self._sizes) > REMEMBERED:
            self._sizes.pop(next(iter(self._sizes)), None)

    def sizes_of(self, upload: Any) -> Mapping[str, float]:
        """What is remembered of an upload; nothing of others."""
        return self._sizes.get(upload, {}) if isinstance(upload, str) else {}

    def zero(self) -> Seeded:
        """A fresh encryption of zero: the first polynomial, primes x degree, and the seed of the second one."""
        return seeded_words(self.context, self.encryptor.encrypt_zero_symmetric())

    def decrypted(self, ring: Ring, words: Words, level: int, scale: float) -> Words:
        """The residues of the message, primes x degree, of a ciphertext, polynomials x primes x degree."""
        plain = seal.Plaintext()
        self.decryptor.decrypt(ciphertext_of(ring, words, level, scale), plain)
        return residues_of(ring, plain)

    def evaluation_keys(self, *modules: Module, wire: Wire = "slotlang") -> bytes:
        """Bytes for the server: a Galois key for each rotation that some of these programs do, one for conjugation and
        one for products if used; each from the first level on at which some program uses it. On the wire seal:
        SEAL's Galois keys and relinearisation keys, which are for all levels (``EvaluationKeys.from_seal``)."""
        levels: dict[int, int] = {}
        for module in modules:
            check_ring("keys", self.ring, module)
            for element, level in module.parameters.first_levels.items():
                levels[element] = min(level, levels.get(element, level))
        found: dict[int, list[Seeded]] = {}
        rotations = sorted(set(levels) - {RELINEARIZATION})
        if RELINEARIZATION in levels:
            (found[RELINEARIZATION],) = key_words(self.context, self._generator.create_relin_keys(), [0])
        if rotations:
            made = self._generator.create_galois_keys(rotations)
            keys = key_words(self.context, made, [(element - 1) // 2 for element in rotations])
            found.update(zip(rotations, keys, strict=True))
        if wire == "seal":
            return self._as_seal(found)
        records = {str(element): key_record(self.context, found[element], levels[element]) for element in found}
        return pack(KIND, {**ring_label(self.ring), "keys": [[e, levels[e]] for e in found]}, records)

    def _as_seal(self, found: Mapping[int, list[Seeded]]) -> bytes:
        galois = {(element - 1) // 2: key for element, key in found.items() if element != RELINEARIZATION}
        relin = found.get(RELINEARIZATION)
        data = seeded_keys(self.context, self.ring.degree, galois) if galois else b""
        return data if relin is None else data + seeded_keys(self.context, 1, {0: relin})


class Client:
    """One program's client: encrypts its inputs and decrypts its results, with a new secret key or a given one.

    ``limits``: smaller limits of inputs than the module's, for uploads that several programs read. ``equalize``:
    exponents by input (``equalized.py``); the server's weights must be encoded with the same ones, and limits are those
    of the inputs divided by these powers of two. ``wire``: seal, for a server that exchanges objects of SEAL: its
    answers do not say by how much errors are larger than promised.
    """

    def __init__(
        self,
        module: Module,
        secret: SecretKey | None = None,
        *,
        limits: Mapping[str, Limit] | None = None,
        equalize: Exponents | None = None,
        wire: Wire = "slotlang",
    ) -> None:
        self.module, self.wire = module, wire
        self.exponents = checked(module, equalize)
        weights_that_meet(module, self.exponents)
        self.limits = {name: limit.meet((limits or {}).get(name)) for name, limit in module.limits.items()}
        # checks the parameters before there is a key
        self.ring = Ring(module.parameters, module.slots)
        check_wire(wire, module)
        self._grown: dict[float, dict[str, float]] = {}
        self.secret = SecretKey(module.parameters.ring) if secret is None else secret
        check_ring("secret keys", self.secret.ring, module)
        self._prepared: list[tuple[int, list[Seeded]]] = []
        self._lock = threading.Lock()

    @cached_property
    def coder(self) -> Coder:
        """What encodes inputs and decodes results."""
        return Coder(self.ring)

    @cached_property
    def assumed(self) -> Mapping[str, float]:
        """The sizes of inputs that the module's promise is about."""
        return assumed_sizes(self.module)

    def evaluation_keys(self) -> bytes:
        """Bytes for the server, for this program alone."""
        return self.secret.evaluation_keys(self.module, wire=self.wire)

    def pack(self, inputs: dict[str, Any]) -> dict[Name, npt.NDArray[Any]]:
        """The slots of each ciphertext, from the inputs by name. Raises Rejected."""
        return self._packed(self._checked(inputs))

    def _packed(self, arrays: dict[str, Any]) -> dict[Name, npt.NDArray[Any]]:
        return {name: function(arrays, *indices) for name, (function, indices) in self.module.packed().items()}

    def _checked(self, inputs: dict[str, Any]) -> dict[str, Any]:
        shapes = self.module.inputs
        if sorted(inputs) != sorted(shapes):
            raise Rejected(f"inputs are {', '.join(shapes)}, not {', '.join(inputs) or 'none'}", BAD_ARRAY)
        arrays = {name: check_array(name, inputs[name], shape) for name, shape in shapes.items()}
        for name, exponents in self.exponents.items():
            arrays[name] = divided(name, arrays[name], exponents)
        beyond = []
        for name, limit in self.limits.items():
            try:
                limit.check(name, arrays[name], equalized=name in self.exponents)
            except Rejected as problem:
                beyond.append(problem)
        if beyond:
            # all inputs at once: their limits are lowered together
            if len(beyond) == 1:
                raise beyond[0]
            what, hint = ("; and ".join(texts) for texts in zip(*((p.what, p.hint) for p in beyond), strict=True))
            raise Rejected(what, beyond[0].code, hint)
        return arrays

    def encrypt(self, /, **inputs: Any) -> bytes:
        """Bytes of the encrypted inputs, given by name; symmetric encryption, seeded: half the size. Raises
        Rejected."""
        arrays, upload = self._checked(inputs), secrets.token_hex(8)
        self.secret.remember(upload, {name: root_mean_square(values) for name, values in arrays.items()})
        encoded = self.coder.encode_all(list(self._packed(arrays).values()), added=True)
        records = {}
        for number, (message, (first, seed)) in enumerate(zip(encoded, self._zeros(), strict=True)):
            masked = first if message is None else added(first, message, self.ring.column(0))
            records[str(number)] = fresh_record(self.ring, masked, seed)
        label = {**inputs_label(self.module), "limits": limits_label(self.limits), "upload": upload}
        if self.exponents:
            label["equalized"] = digests(self.exponents)
        data = pack("inputs", label, records)
        return upload_to_seal(self.module, data) if self.wire == "seal" else data

    def prepare(self) -> None:
        """Make the encryptions of zero of one more upload before its inputs are there. An upload without prepared ones
        makes its own."""
        made = os.getpid(), self._new_zeros()
        with self._lock:
            self._prepared.append(made)

    def _new_zeros(self) -> list[Seeded]:
        return [self.secret.zero() for _ in self.module.packed()]

    def _zeros(self) -> list[Seeded]:
        # used twice, by a forked process too, one would cancel in the difference of two inputs
        while True:
            with self._lock:
                process, zeros = self._prepared.pop() if self._prepared else (0, [])
            if process == os.getpid():
                return zeros
            if process == 0:
                return self._new_zeros()

    def decrypt(self, data: bytes) -> Any:
        """Results from the server's bytes: an array, or several by name. Raises Rejected. Warns (``BelowPrecision``) of
        results that are too small for the parameters."""
        values: dict[Name, npt.NDArray[Any]] = {}
        hidden, families, ring = hidden_in(self.module), self.module.returned(), self.ring
        box = unpack("results", answer_from_seal(self.module, data) if self.wire == "seal" else data)
        check_label(box, module_label(self.module), self.module)
        records = box.exactly(map(repr, families))
        alike: dict[tuple[int, int], list[tuple[Name, Any]]] = defaultdict(list)
        for (name, family), record in zip(families.items(), records, strict=True):
            if record is None:
                values[name] = np.zeros(self.module.slots, complex)
            else:
                alike[family.level, family.products].append((name, record))
        at_once = max(1, _BLOCK // ring.degree)
        for (level, products), group in alike.items():
            for start in range(0, len(group), at_once):
                values |= self._decrypted(group[start : start + at_once], level, products, hidden)
        results = self.module.collect(values)
        # the error grows with the inputs too: which these were, the client alone knows
        times = times_assumed(self.secret.sizes_of(box.label.get("upload")), self.assumed)
        if times not in self._grown:
            self._grown[times] = grown_by_inputs(self.module, self.ring, times)
        own, theirs = self._grown[times], grown_errors(box, self.module)
        grown = {n: own.get(n, 1.0) * theirs.get(n, 1.0) for n in {**own, **theirs}}
        self._check_precision(results, grown, bool(box.label.get("lost")))
        return results if len(results) > 1 else next(iter(results.values()))

    def _decrypted(
        self, group: Sequence[tuple[Name, Any]], level: int, products: int, hidden: Any
    ) -> dict[Name, npt.NDArray[Any]]:
        """The slots of results of one level and scale, from their records. Raises Rejected."""
        ring, scale, families = self.ring, self.ring.scale(level, products), self.module.returned()
        parts = [hidden[name].read_part if name in hidden else None for name, _ in group]
        messages = []
        for (_, record), part in zip(group, parts, strict=True):
            words = read_result(record, ring, level, products, part, self.coder.transformed)
            message = self.secret.decrypted(ring, words, level, scale)
            messages.append(doubled_part(ring, message, words[0], level, part) if part else message)
        precise = [families[name].precise for name, _ in group]
        plain = [message for message, of_two in zip(messages, precise, strict=True) if not of_two]
        doubles = iter(zip(*self.coder.decode_all(np.array(plain), level, scale), strict=True) if plain else ())
        values = {}
        for (name, _), part, message, of_two in zip(group, parts, messages, precise, strict=True):
            row, most = self.coder.decode_precisely(message, level, scale) if of_two else next(doubles)
            self._check_range(name, families[name], float(most))
            values[name] = row[: self.module.slots] / (2 if part else 1)
        return values

    def _check_precision(self, results: Mapping[str, npt.NDArray[Any]], grown: Mapping[str, float], lost: bool) -> None:
        """Warn of results below the precision of the parameters: CKKS's error is absolute. ``grown``: by how much
        errors may exceed the module's promise, for these weights and inputs. ``lost``: weights were rounded to zero."""
        for name, size, error, least in small_results(self.module, results, grown, lost=lost):
            # what is lost beside larger data, more of it would not bring back
            larger, advice = ("", ", or scale the inputs up and the result down")
            if name in grown:
                larger, advice = ", as inputs or weights are larger than promised for", ""
            warnings.warn(
                f"[{BELOW_PRECISION}] {name} is below the precision of these parameters: its rms is {size:.1e}, and a "
                f"relative error of {self.module.precision:.1e} needs {least:.1e}; the rms error is at most "
                f"{error:.1e}{larger}. {LOWER.capitalize()} again with --data FILE of arrays like these, its bounds "
                f"and --precision{advice}",
                BelowPrecision,
                stacklevel=3,
            )

    def _check_range(self, name: Name, family: Results, most: float) -> None:
        """Raise Rejected for a coefficient that no guaranteed evaluation has (``LEAST_ROOM``). A tripwire:
        a message can wrap to small coefficients, which it does not see."""
        allowed = math.prod(self.ring.primes(family.level)) / 2 / 2**LEAST_ROOM
        if most > allowed * (1 + 2.0**-20):
            raise Rejected(
                f"the result {name[0]} has a coefficient of 2^{math.log2(most):.1f}; the guarantee allows "
                f"2^{math.log2(allowed):.1f}: these are not the results of weights and inputs within the limits, or "
                "they do not fit this client's keys",
                RESULT_OUT_OF_RANGE,
            )
