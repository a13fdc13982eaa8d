"""A stand-in for ``tenseal.sealapi``: real parameters, contexts and rules, and no encryption.

Ciphertexts carry the number of the step that made them, their level, scale and size; in a run on numbers they carry
their slot values too. Everything SEAL refuses is refused here with SEAL's exception and message: operands at
different levels or scales, a rotation without its key, a third polynomial, a scale above the modulus, a transparent
result. Contexts, moduli and security levels are TenSEAL's own. What has no counterpart here raises Unsupported.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable
from typing import Any

import numpy as np
import tenseal.sealapi as sealapi

from slotlang.validation.numpy_stand_in import Places
from slotlang.validation.recorder import Recorder
from slotlang.validation.symbolic import Filling, Unsupported, Vector, vector
from slotlang.validation.trace import Step, Trace

_MODULUS = (1 << 61) - 1
"""Of the numbers that stand for the second polynomial: a result is transparent when they cancel."""

UNCHANGED = 2.0**-40
VANISHED = 2.0**-18
"""Factors of values when a scale is set: so close to 1 is no change, below is zero (see ``Ciphertext.scale``)."""

CoeffModulus = sealapi.CoeffModulus
EncryptionParameters = sealapi.EncryptionParameters
SCHEME_TYPE = sealapi.SCHEME_TYPE
SEC_LEVEL_TYPE = sealapi.SEC_LEVEL_TYPE
SEALContext = sealapi.SEALContext


class Seal:
    """The module's ``seal``: one per run, writing one trace. ``recorder`` gives each encoded expression the number
    that steps carry; without it the run is on numbers."""

    CoeffModulus, EncryptionParameters = CoeffModulus, EncryptionParameters
    SCHEME_TYPE, SEC_LEVEL_TYPE = SCHEME_TYPE, SEC_LEVEL_TYPE

    def __init__(self, slots: int, recorder: Recorder | None = None) -> None:
        self.trace = Trace(slots)
        self.recorder = recorder
        bound = self

        class _Evaluator(Evaluator):
            def __init__(self, context: Any) -> None:
                super().__init__(bound, context)

        class _Encoder(Encoder):
            def __init__(self, context: Any) -> None:
                super().__init__(bound, context)

        class _Encryptor(Encryptor):
            def __init__(self, context: Any, key: Any) -> None:
                super().__init__(bound, context, key)

        self.Evaluator, self.CKKSEncoder, self.Encryptor = _Evaluator, _Encoder, _Encryptor
        self.Decryptor, self.KeyGenerator = Decryptor, KeyGenerator
        self.Plaintext, self.Ciphertext = Plaintext, Ciphertext
        self.GaloisKeys, self.RelinKeys, self.SecretKey = GaloisKeys, RelinKeys, SecretKey
        self.is_valid_for, self.SEALContext = _is_valid_for, _context


def _context(parameters: Any, expand: bool = True, level: Any = SEC_LEVEL_TYPE.TC128) -> Any:
    if level == SEC_LEVEL_TYPE.NONE:
        raise Unsupported("a context without 128-bit security")
    return SEALContext(parameters, expand, level)


def _is_valid_for(thing: Any, context: Any) -> bool:
    return isinstance(thing, SecretKey) and thing.identity > 0


class _StandIn:
    def __getattr__(self, name: str) -> Any:
        raise Unsupported(f"'{name}' of tenseal.sealapi's {type(self).__name__.strip('_')}")


class SecretKey(_StandIn):
    """Which of all keys it is."""

    def __init__(self) -> None:
        self.identity = 0


class GaloisKeys(_StandIn):
    """Galois elements there is a key for."""

    def __init__(self) -> None:
        self.elements: frozenset[int] = frozenset()
        self.secret = 0

    def has_key(self, element: int) -> bool:
        """Whether there is a key for a Galois element."""
        return element in self.elements


class RelinKeys(_StandIn):
    """The key for products, or none."""

    def __init__(self) -> None:
        self.secret = 0

    def has_key(self, power: int) -> bool:
        """Whether there is a key for a power of the secret key."""
        return bool(self.secret) and power == 2


class KeyGenerator(_StandIn):
    """Makes keys of one secret key."""

    def __init__(self, context: Any, secret: SecretKey | None = None) -> None:
        self._secret = secret or SecretKey()
        self._secret.identity = self._secret.identity or secrets.randbits(62) + 1

    def secret_key(self) -> SecretKey:
        """The secret key."""
        return self._secret

    def create_galois_keys(self, elements: Iterable[int], out: GaloisKeys | None = None) -> GaloisKeys:
        """Keys for Galois elements. SEAL reads a list with anything else in it as steps: refused here."""
        elements = list(elements)
        if any(type(e) is not int or e < 1 or not e % 2 for e in elements):
            raise ValueError("Galois element is not valid")
        keys = GaloisKeys() if out is None else out
        keys.elements, keys.secret = frozenset(elements), self._secret.identity
        return keys

    def create_relin_keys(self, out: RelinKeys | None = None) -> RelinKeys:
        """The key for products of two ciphertexts."""
        keys = RelinKeys() if out is None else out
        keys.secret = self._secret.identity
        return keys


class Plaintext(_StandIn):
    """An encoded vector: an expression or numbers."""

    def __init__(self) -> None:
        self.content: Any = None
        self.identity: Any = None
        self.zero = True
        self.scale = 1.0
        self._parms: list[int] = [0, 0, 0, 0]

    def parms_id(self) -> list[int]:
        """The parameters it is encoded for."""
        return self._parms

    def is_zero(self) -> bool:
        """Whether every coefficient rounds to zero."""
        return self.zero


class Ciphertext(_StandIn):
    """One ciphertext; empty until something is written into it."""

    def __init__(self) -> None:
        self.step = -1
        self.values: Any = None
        self.second = 0
        self.key = 0
        self._scale = 1.0
        self._size = 0
        self._parms: list[int] = [0, 0, 0, 0]
        self._trace: Trace | None = None

    def write(
        self, trace: Trace, step: int, values: Any, like: tuple[list[int], float, int], second: int, size: int = 2
    ) -> None:
        """Take a result; ``like`` has its parameters, scale and secret key."""
        if second == 0:
            raise RuntimeError("result ciphertext is transparent")
        self._trace, self.step, self.values, self.second, self._size = trace, step, values, second, size
        self._parms, self._scale, self.key = like

    @property
    def scale(self) -> float:
        """What slot values are multiplied by."""
        return self._scale

    @scale.setter
    def scale(self, scale: float) -> None:
        """Another scale makes other values of the same polynomials: larger by old over new. A change in the last
        digits, such as the exact scale after a rescale, is none; what shrinks below the noise counts as zero."""
        if self._trace is not None and scale > 0:
            factor = self._scale / scale
            if abs(factor - 1) > UNCHANGED:
                factor = 0.0 if factor < VANISHED else factor
                self.step = self._trace.add(Step("factor", (self.step,), factor=factor))
                self.values = None if self.values is None else self.values * factor
        self._scale = scale

    def size(self) -> int:
        """Polynomials."""
        return self._size

    def parms_id(self) -> list[int]:
        """The parameters it is at."""
        return self._parms

    def is_ntt_form(self) -> bool:
        """Always, in CKKS."""
        return True

    def is_transparent(self) -> bool:
        """Never: a transparent result is refused."""
        return self._size == 0


def _close(a: float, b: float) -> bool:
    return abs(a - b) < 2.0**-52 * max(abs(a), abs(b), 1.0)


def _hash(*parts: Any) -> int:
    return hash(parts) % (_MODULUS - 1) + 1


class _Levels:
    """The chain of parameters of a context: primes of each, and which one follows."""

    def __init__(self, context: Any) -> None:
        self.degree = context.key_context_data().parms().poly_modulus_degree()
        self.primes: dict[tuple[int, ...], list[int]] = {}
        self.order: list[list[int]] = []
        data = context.first_context_data()
        while data is not None:
            self.order.append(data.parms_id())
            self.primes[tuple(data.parms_id())] = [m.value() for m in data.parms().coeff_modulus()]
            data = data.next_context_data()

    def check(self, thing: Any, name: str) -> list[int]:
        if not isinstance(thing, Plaintext if name.startswith("plain") else Ciphertext):
            raise TypeError("incompatible function arguments")
        if tuple(thing.parms_id()) not in self.primes:
            raise ValueError(f"{name} is not valid for encryption parameters")
        found: list[int] = self.primes[tuple(thing.parms_id())]
        return found

    def check_scale(self, parms: list[int], scale: float) -> None:
        bits = math.prod(self.primes[tuple(parms)]).bit_length()
        if scale <= 0 or int(math.log2(scale)) >= bits:
            raise ValueError("scale out of bounds")

    def level(self, parms: list[int]) -> int:
        return self.order.index(parms)


class Encoder(_StandIn):
    """Encodes expressions and numbers."""

    def __init__(self, seal: Seal, context: Any) -> None:
        self._seal, self._levels = seal, _Levels(context)
        self.slots = self._levels.degree // 2

    def encode(self, values: Any, *place: Any) -> None:
        """Write an encoding of a list, a number, or what stands for a list in a run on expressions: at parameters (the
        first ones when they are left out), with a scale, into a plaintext."""
        parms_id, scale, out = place if len(place) == 3 else (self._levels.order[0], *place)
        if not isinstance(out, Plaintext) or not isinstance(scale, int | float):
            raise TypeError("encode(): incompatible function arguments")
        slots = self._levels.degree // 2
        if tuple(parms_id) not in self._levels.primes:
            raise ValueError("parms_id is not valid for encryption parameters")
        if isinstance(values, list) and len(values) > slots:
            raise ValueError("values_size is too large")
        self._levels.check_scale(parms_id, scale)
        if isinstance(values, Filling):
            if values.content.shape != (self._seal.trace.slots,) or values.content.size * values.copies != slots:
                raise ValueError("values do not fill the slots")
            content: Any = values.content
        elif isinstance(values, Vector):
            if values.shape != ():
                raise TypeError("encode(): incompatible function arguments")
            content = values
        elif isinstance(values, int | float | complex) or (
            isinstance(values, list) and all(isinstance(v, int | float | complex) for v in values)
        ):
            content = self._numbers(values, slots, parms_id, scale)
        else:
            raise TypeError("encode(): incompatible function arguments")
        out.scale, out._parms = scale, list(parms_id)
        if self._seal.recorder is not None:
            out.content, out.identity = None, self._seal.recorder.identify(vector(content))
            out.zero = not content.any()
        else:
            out.content, out.identity = content, hash(content.tobytes())
            out.zero = not bool(np.rint(np.abs(content) * scale).any())

    def _numbers(self, values: Any, slots: int, parms_id: list[int], scale: float) -> Any:
        numbers = np.asarray(values, np.complex128)
        bits = math.prod(self._levels.primes[tuple(parms_id)]).bit_length()
        if numbers.size and np.abs(numbers).max() * scale >= 2.0 ** min(bits - 1, 1000):
            raise ValueError("encoded value is too large")
        full = np.zeros(slots, np.complex128)
        full[: numbers.size] = numbers
        if not numbers.ndim:
            full[:] = numbers
        if self._seal.recorder is None:
            return full
        period = self._seal.trace.slots
        if (full.reshape(-1, period) != full[:period]).any():
            raise ValueError("values do not repeat with the program's slots")
        return vector(full[:period])

    def decode_complex(self, plain: Plaintext) -> Any:
        """All slots."""
        return plain.content if isinstance(plain.content, Places) else plain.content.tolist()


class Encryptor(_StandIn):
    """Encrypts with the secret key."""

    def __init__(self, seal: Seal, context: Any, key: SecretKey) -> None:
        self._seal, self._levels, self._key = seal, _Levels(context), key

    def encrypt_symmetric(self, plain: Plaintext, out: Ciphertext | None = None) -> Ciphertext:
        """A fresh ciphertext."""
        self._levels.check(plain, "plain")
        made = Ciphertext() if out is None else out
        trace = self._seal.trace
        step = trace.add(Step("fresh", content=plain.identity))
        values = plain.content
        made.write(
            trace,
            step,
            values,
            (plain.parms_id(), plain.scale, self._key.identity),
            secrets.randbelow(_MODULUS - 1) + 1,
        )
        return made


class Decryptor(_StandIn):
    """Decrypts with the secret key."""

    def __init__(self, context: Any, key: SecretKey) -> None:
        self._levels, self._key = _Levels(context), key

    def decrypt(self, cipher: Ciphertext, out: Plaintext) -> None:
        """Write the content: in a run on expressions, which ciphertext it was."""
        self._levels.check(cipher, "encrypted")
        if cipher.key != self._key.identity:
            raise ValueError("a ciphertext of another secret key")
        if cipher.values is None:
            out.content = Places.whole(cipher.step, self._levels.degree // 2)
        else:
            out.content = cipher.values
        out.scale, out._parms = cipher.scale, cipher.parms_id()


class Evaluator(_StandIn):
    """SEAL's evaluator: its rules, its messages, and a step in the trace for each operation."""

    def __init__(self, seal: Seal, context: Any) -> None:
        self._trace, self._levels = seal.trace, _Levels(context)

    def _like(self, a: Ciphertext, scale: float | None = None) -> tuple[list[int], float, int]:
        return a.parms_id(), a.scale if scale is None else scale, a.key

    def _both(self, a: Ciphertext, b: Any, names: tuple[str, str], *, scales: bool) -> None:
        self._levels.check(a, names[0])
        self._levels.check(b, names[1])
        if a.parms_id() != b.parms_id():
            raise ValueError(f"{names[0]} and {names[1]} parameter mismatch")
        if scales and not _close(a.scale, b.scale):
            raise ValueError("scale mismatch")
        if isinstance(b, Ciphertext) and b.key != a.key:
            raise ValueError("ciphertexts of different secret keys")

    def _sum(self, a: Ciphertext, b: Ciphertext, out: Ciphertext, sign: int) -> None:
        self._both(a, b, ("encrypted1", "encrypted2"), scales=True)
        values = None if a.values is None else a.values + sign * b.values
        second = (a.second + sign * b.second) % _MODULUS
        step = Step("add", (a.step, b.step), (1, sign))
        out.write(self._trace, self._trace.add(step), values, self._like(a), second, max(a.size(), b.size()))

    def add(self, a: Ciphertext, b: Ciphertext, out: Ciphertext) -> None:
        """a + b."""
        self._sum(a, b, out, 1)

    def add_inplace(self, a: Ciphertext, b: Ciphertext) -> None:
        """a + b, into a."""
        self._sum(a, b, a, 1)

    def sub(self, a: Ciphertext, b: Ciphertext, out: Ciphertext) -> None:
        """a - b."""
        self._sum(a, b, out, -1)

    def sub_inplace(self, a: Ciphertext, b: Ciphertext) -> None:
        """a - b, into a."""
        self._sum(a, b, a, -1)

    def negate(self, a: Ciphertext, out: Ciphertext) -> None:
        """-a."""
        self._levels.check(a, "encrypted")
        values = None if a.values is None else -a.values
        out.write(
            self._trace, self._trace.add(Step("neg", (a.step,))), values, self._like(a), -a.second % _MODULUS, a.size()
        )

    def negate_inplace(self, a: Ciphertext) -> None:
        """-a, into a."""
        self.negate(a, a)

    def _with_plain(self, a: Ciphertext, plain: Plaintext, out: Ciphertext, sign: int) -> None:
        self._both(a, plain, ("encrypted", "plain"), scales=True)
        values = None if a.values is None else a.values + sign * plain.content
        step = Step("add_plain", (a.step,), (sign,), content=plain.identity)
        out.write(self._trace, self._trace.add(step), values, self._like(a), a.second, a.size())

    def add_plain(self, a: Ciphertext, plain: Plaintext, out: Ciphertext) -> None:
        """A plaintext added."""
        self._with_plain(a, plain, out, 1)

    def add_plain_inplace(self, a: Ciphertext, plain: Plaintext) -> None:
        """A plaintext added, into a."""
        self._with_plain(a, plain, a, 1)

    def sub_plain(self, a: Ciphertext, plain: Plaintext, out: Ciphertext) -> None:
        """A plaintext subtracted."""
        self._with_plain(a, plain, out, -1)

    def sub_plain_inplace(self, a: Ciphertext, plain: Plaintext) -> None:
        """A plaintext subtracted, into a."""
        self._with_plain(a, plain, a, -1)

    def multiply_plain(self, a: Ciphertext, plain: Plaintext, out: Ciphertext) -> None:
        """Product with a plaintext."""
        self._both(a, plain, ("encrypted_ntt", "plain_ntt"), scales=False)
        scale = a.scale * plain.scale
        self._levels.check_scale(a.parms_id(), scale)
        if plain.is_zero():
            raise RuntimeError("result ciphertext is transparent")
        content = plain.identity
        values = None if a.values is None else a.values * plain.content
        step = self._trace.add(Step("plain_product", (a.step,), content=content))
        second = a.second * _hash("plain", content, plain.scale) % _MODULUS
        out.write(self._trace, step, values, self._like(a, scale), second, a.size())

    def multiply_plain_inplace(self, a: Ciphertext, plain: Plaintext) -> None:
        """Product with a plaintext, into a."""
        self.multiply_plain(a, plain, a)

    def multiply(self, a: Ciphertext, b: Ciphertext, out: Ciphertext) -> None:
        """Product of two ciphertexts: one polynomial more than both have together, less one."""
        self._both(a, b, ("encrypted1", "encrypted2"), scales=False)
        scale = a.scale * b.scale
        self._levels.check_scale(a.parms_id(), scale)
        values = None if a.values is None else a.values * b.values
        step = self._trace.add(Step("product", (a.step, b.step)))
        second = _hash("product", *sorted((a.second, b.second)))
        out.write(self._trace, step, values, self._like(a, scale), second, a.size() + b.size() - 1)

    def multiply_inplace(self, a: Ciphertext, b: Ciphertext) -> None:
        """Product of two ciphertexts, into the first."""
        self.multiply(a, b, a)

    def relinearize_inplace(self, a: Ciphertext, keys: RelinKeys) -> None:
        """Back to two polynomials."""
        self._levels.check(a, "encrypted")
        if not isinstance(keys, RelinKeys) or (a.size() > 2 and not keys.has_key(2)):
            raise ValueError("relin_keys is not valid for encryption parameters")
        if a.size() > 3:
            raise ValueError("not enough relinearization keys")
        if keys.secret != a.key:
            raise ValueError("keys of another secret key")
        a._size = 2

    def _turned(self, a: Ciphertext, element: int, keys: GaloisKeys) -> None:
        self._levels.check(a, "encrypted")
        if not isinstance(keys, GaloisKeys) or not keys.has_key(element):
            raise ValueError("Galois key not present")
        if a.size() > 2:
            raise ValueError("encrypted size must be 2")
        if keys.secret != a.key:
            raise ValueError("keys of another secret key")

    def rotate_vector(self, a: Ciphertext, steps: int, keys: GaloisKeys, out: Ciphertext) -> None:
        """``a << steps``. A rotation without its own key would be taken apart into several by SEAL: refused here, for
        modules bring the key of every step they use."""
        slots = self._levels.degree // 2
        if type(steps) is not int:
            raise TypeError("rotate_vector(): incompatible function arguments")
        if abs(steps) >= slots:
            raise ValueError("step count too large")
        if steps == 0:
            out.write(self._trace, a.step, a.values, self._like(a), a.second, a.size())
            return
        self._turned(a, pow(3, steps % slots, 4 * slots), keys)
        values = None if a.values is None else np.roll(a.values, -steps)
        step = self._trace.add(Step("rotate", (a.step,), amount=steps % self._trace.slots))
        out.write(self._trace, step, values, self._like(a), _hash("rotate", a.second, steps % slots))

    def rotate_vector_inplace(self, a: Ciphertext, steps: int, keys: GaloisKeys) -> None:
        """``a << steps``, into a."""
        self.rotate_vector(a, steps, keys, a)

    def complex_conjugate(self, a: Ciphertext, keys: GaloisKeys, out: Ciphertext) -> None:
        """Complex conjugate."""
        self._turned(a, 2 * self._levels.degree - 1, keys)
        values = None if a.values is None else a.values.conj()
        out.write(self._trace, self._trace.add(Step("conj", (a.step,))), values, self._like(a), _hash("conj", a.second))

    def complex_conjugate_inplace(self, a: Ciphertext, keys: GaloisKeys) -> None:
        """Complex conjugate, into a."""
        self.complex_conjugate(a, keys, a)

    def rescale_to_next(self, a: Ciphertext, out: Ciphertext) -> None:
        """Drop a prime and divide the scale by it."""
        primes = self._levels.check(a, "encrypted")
        self._drop(a, out, a.scale / primes[-1])

    def rescale_to_next_inplace(self, a: Ciphertext) -> None:
        """Drop a prime, in a."""
        self.rescale_to_next(a, a)

    def _drop(self, a: Ciphertext, out: Ciphertext, scale: float) -> None:
        level = self._levels.level(a.parms_id())
        if level + 1 == len(self._levels.order):
            raise ValueError("end of modulus switching chain reached")
        parms = self._levels.order[level + 1]
        if scale == a.scale:
            self._levels.check_scale(parms, scale)
        out.write(self._trace, a.step, a.values, (parms, scale, a.key), _hash("drop", a.second), a.size())

    def mod_switch_to_next(self, a: Ciphertext, out: Ciphertext) -> None:
        """Drop a prime and keep the scale."""
        self._levels.check(a, "encrypted")
        self._drop(a, out, a.scale)

    def mod_switch_to(self, a: Ciphertext, parms_id: list[int], out: Ciphertext) -> None:
        """Drop primes down to given parameters, keeping the scale."""
        self._levels.check(a, "encrypted")
        if tuple(parms_id) not in self._levels.primes:
            raise ValueError("parms_id is not valid for encryption parameters")
        if self._levels.level(parms_id) < self._levels.level(a.parms_id()):
            raise ValueError("cannot switch to higher level modulus")
        out.write(self._trace, a.step, a.values, self._like(a), a.second, a.size())
        while out.parms_id() != parms_id:
            self._drop(out, out, out.scale)
