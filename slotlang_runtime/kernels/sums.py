"""Sums of products in one pass.

SEAL writes every product to memory, reduces it, and reads it again to add it up. Here products of residues are added up
as integers of 128 bits, a tile of the polynomials at a time so that the sums stay in the nearest cache, and reduced
once: the same residues, bit for bit, in a quarter of the time. Primes have at most 60 bits, so that MOST_TERMS products
stay below 2^127.

TenSEAL gives the residues of an object one by one, or in a compressed file. So the kernel reads and writes SEAL's own
arrays where they lie in memory. A self-test, once for each ring, checks that they lie there, and the kernel checks
every object before it touches it. Without numba, or where a check fails, SEAL's operations are used.
"""

from __future__ import annotations

import ctypes
import math
import struct
import sys
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import tenseal.sealapi as seal

from slotlang_runtime.seal.ring import Context, Ring

MOST_TERMS = 128
STRIP = 256  # coefficients: their sums take 8 KB
_FIRST_WORD = 2  # of what a Python object of TenSEAL holds: the address of SEAL's object
# words of SEAL's objects: parameters, then the fields that are checked, then where the array's address stands
_CIPHERTEXT = {"parms": 0, "ntt": 4, "size": 5, "degree": 6, "primes": 7, "scale": 8, "words": 13, "array": 14}
_PLAINTEXT = {"parms": 0, "words": 4, "scale": 5, "array": 10}


_CHECKED: WeakKeyDictionary[Context, Any] = WeakKeyDictionary()
"""Rings on which this process has checked the kernel, with the kernel."""


class Unavailable(Exception):
    """Why SEAL's operations compute sums of products."""


@cache
def compiled() -> Any:
    """The kernel, compiled once for all programs of a process. Raises ``Unavailable``."""
    try:
        return _kernel()
    except ImportError as problem:
        raise Unavailable(f"numba can't be imported: {problem}") from None


def _kernel() -> Any:  # numba compiles what stands inside, and knows its types
    from llvmlite import ir
    from numba import extending, njit, types

    # the types of numba's decorators do not say what they make
    intrinsic: Any = extending.intrinsic
    u64: Any = types.uint64
    word, wide = ir.IntType(64), ir.IntType(128)
    cipher_array, cipher_scale = _CIPHERTEXT["array"], _CIPHERTEXT["scale"]
    cipher_ntt, cipher_size = _CIPHERTEXT["ntt"], _CIPHERTEXT["size"]
    cipher_degree, cipher_primes, cipher_words = _CIPHERTEXT["degree"], _CIPHERTEXT["primes"], _CIPHERTEXT["words"]
    plain_array, plain_scale, plain_words = _PLAINTEXT["array"], _PLAINTEXT["scale"], _PLAINTEXT["words"]

    @intrinsic  # type: ignore[untyped-decorator]
    def at(typing: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], ir.PointerType(word))

        pointer: Any = types.CPointer
        return pointer(u64)(u64), generate

    @intrinsic  # type: ignore[untyped-decorator]
    def multiplied(typing: Any, low: Any, high: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            low, high, a, b = (builder.zext(argument, wide) for argument in arguments)
            shift = ir.Constant(wide, 64)
            total = builder.add(builder.or_(low, builder.shl(high, shift)), builder.mul(a, b))
            halves = [builder.trunc(total, word), builder.trunc(builder.lshr(total, shift), word)]
            return context.make_tuple(builder, signature.return_type, halves)

        pair: Any = types.UniTuple
        return pair(u64, 2)(u64, u64, u64, u64), generate

    @njit
    def reduced(low: Any, high: Any, prime: Any, ratio_low: Any, ratio_high: Any) -> Any:
        # Barrett's reduction of 128 bits: the quotient by floor(2^128 / prime) is right or one too small
        _, carry = multiplied(u64(0), u64(0), low, ratio_low)
        middle, over = multiplied(carry, u64(0), low, ratio_high)
        _, more = multiplied(middle, u64(0), high, ratio_low)
        rest = low - (high * ratio_high + over + more) * prime
        return rest - prime if rest >= prime else rest

    @njit("boolean(uint64, uint64[::1], uint64[::1], uint64[::1], uint64[:, ::1], uint64)")
    def dot(out: Any, ciphers: Any, plains: Any, parms: Any, moduli: Any, degree: Any) -> bool:
        """Write a sum of products into a ciphertext; False, and nothing written, where objects are of another kind.
        ``out``, ``ciphers`` and ``plains``: Python's objects' addresses. ``moduli``: a prime a row, and its ratio."""
        terms, primes = len(ciphers), len(moduli)
        half = primes * degree
        x, w = np.empty(terms, np.uint64), np.empty(terms, np.uint64)
        for t in range(-1, terms):
            one = at(at(out if t < 0 else ciphers[t])[_FIRST_WORD])
            first = at(at(ciphers[0])[_FIRST_WORD])
            fits = one[cipher_ntt] & u64(255) == 1 and one[cipher_size] == 2 and one[cipher_degree] == degree
            fits = fits and one[cipher_primes] == primes and one[cipher_words] == 2 * half
            for n in range(4):
                fits = fits and one[n] == parms[n]
            if t >= 0:
                other, like = at(at(plains[t])[_FIRST_WORD]), at(at(plains[0])[_FIRST_WORD])
                fits = fits and one[cipher_scale] == first[cipher_scale] and other[plain_words] == half
                fits = fits and other[plain_scale] == like[plain_scale]
                for n in range(4):
                    fits = fits and other[n] == parms[n]
            if not fits:
                return False
            if t >= 0:
                x[t], w[t] = one[cipher_array], other[plain_array]
        to = at(at(at(out)[_FIRST_WORD])[cipher_array])
        low, high = np.zeros(STRIP, np.uint64), np.zeros(STRIP, np.uint64)
        low2, high2 = np.zeros(STRIP, np.uint64), np.zeros(STRIP, np.uint64)
        for row in range(primes):
            prime, ratio_low, ratio_high = moduli[row, 0], moduli[row, 1], moduli[row, 2]
            for start in range(row * degree, (row + 1) * degree, STRIP):
                low[:], high[:], low2[:], high2[:] = 0, 0, 0, 0
                t = 0
                while t < terms:
                    # four products at a time: sums are read and written a quarter as often
                    if t + 4 <= terms:
                        x0, x1, x2, x3 = at(x[t]), at(x[t + 1]), at(x[t + 2]), at(x[t + 3])
                        w0, w1, w2, w3 = at(w[t]), at(w[t + 1]), at(w[t + 2]), at(w[t + 3])
                        for i in range(STRIP):
                            a = start + i
                            b = a + half
                            p, q, r, s = w0[a], w1[a], w2[a], w3[a]
                            l0, h0 = multiplied(low[i], high[i], x0[a], p)
                            l0, h0 = multiplied(l0, h0, x1[a], q)
                            l0, h0 = multiplied(l0, h0, x2[a], r)
                            low[i], high[i] = multiplied(l0, h0, x3[a], s)
                            l0, h0 = multiplied(low2[i], high2[i], x0[b], p)
                            l0, h0 = multiplied(l0, h0, x1[b], q)
                            l0, h0 = multiplied(l0, h0, x2[b], r)
                            low2[i], high2[i] = multiplied(l0, h0, x3[b], s)
                        t += 4
                    else:
                        x0, w0 = at(x[t]), at(w[t])
                        for i in range(STRIP):
                            a = start + i
                            low[i], high[i] = multiplied(low[i], high[i], x0[a], w0[a])
                            low2[i], high2[i] = multiplied(low2[i], high2[i], x0[a + half], w0[a])
                        t += 1
                    if t % MOST_TERMS == 0:
                        for i in range(STRIP):
                            low[i], high[i] = reduced(low[i], high[i], prime, ratio_low, ratio_high), 0
                            low2[i], high2[i] = reduced(low2[i], high2[i], prime, ratio_low, ratio_high), 0
                for i in range(STRIP):
                    to[start + i] = reduced(low[i], high[i], prime, ratio_low, ratio_high)
                    to[start + i + half] = reduced(low2[i], high2[i], prime, ratio_low, ratio_high)
        return True

    return dot


class Sums:
    """Sums of products by the kernel, for a ring. Raises ``Unavailable`` where the kernel can't be compiled, or fails
    its self-test. The object never changes, so threads share it."""

    def __init__(self, ring: Ring) -> None:
        if sys.implementation.name != "cpython" or object.__basicsize__ != 16:
            raise Unavailable("this Python keeps its objects otherwise")
        self.ring, self.degree = ring, ring.degree
        self.dot = compiled()
        ratios = [divmod((1 << 128) // prime, 1 << 64) for prime in ring.moduli]
        moduli = [(prime, low, high) for prime, (high, low) in zip(ring.moduli, ratios, strict=True)]
        self.moduli = np.array(moduli, np.uint64)
        self.places = {}
        for level, parms in enumerate(ring.levels):
            self.places[tuple(parms)] = np.array(parms, np.uint64), self.moduli[: len(ring.primes(level))]
        # a ring is checked once for all programs that use it
        if _CHECKED.get(ring.shared) is not self.dot:
            self._check()
            _CHECKED[ring.shared] = self.dot

    def __call__(self, evaluator: Any, pairs: list[tuple[Any, Any]]) -> Any:
        """The sum of ciphertexts times plaintexts; None where SEAL has to do it, or to say what is wrong."""
        first, plain = pairs[0]
        parms = first.parms_id()
        place = self.places.get(tuple(parms))
        if place is None:
            return None
        ciphers = np.array([id(a) for a, _ in pairs], np.uint64)
        plains = np.array([id(p) for _, p in pairs], np.uint64)
        # a copy, to be written over: SEAL makes no empty ciphertext that is transformed
        out = seal.Ciphertext()
        evaluator.mod_switch_to(first, parms, out)
        if not self.dot(id(out), ciphers, plains, *place, self.degree):
            return None
        out.scale = first.scale * plain.scale
        return out

    def residues(self, cipher: Any, level: int, products: int) -> npt.NDArray[np.uint64] | None:
        """A copy of a ciphertext's residues, polynomials x primes x degree; None where it is of another kind, level or
        scale."""
        primes, at = len(self.ring.primes(level)), _CIPHERTEXT
        words = self._words(int(self._words(id(cipher), _FIRST_WORD + 1)[_FIRST_WORD]), at["array"] + 1)
        shape = 2, primes, self.degree
        fields = [words[at[name]] for name in ("size", "primes", "degree", "words", "scale")]
        (scale,) = struct.unpack("<Q", struct.pack("<d", self.ring.scale(level, products)))
        if words[:4].tolist() != self.ring.levels[level] or not int(words[at["ntt"]]) & 255:
            return None
        if fields != [*shape, math.prod(shape), scale]:
            return None
        return self._words(int(words[at["array"]]), math.prod(shape)).reshape(shape).copy()

    def _check(self) -> None:
        """Check that arrays lie where the kernel looks for them, and that sums of random residues are those of Python's
        integers. Raises ``Unavailable``."""
        ring, rng = self.ring, np.random.default_rng()
        parms, degree, rows = ring.levels[0], self.degree, len(ring.levels)
        pairs, contents = [], []
        for _ in range(5):
            plain, cipher = seal.Plaintext(), seal.Ciphertext()
            ring.encoder.encode(rng.standard_normal(ring.encoder.slot_count()).tolist(), ring.factor(0), plain)
            cipher.resize(ring.context, parms, 2)
            sides = []
            for thing, fields, count in ((plain, _PLAINTEXT, rows), (cipher, _CIPHERTEXT, 2 * rows)):
                words = self._words(id(thing), _FIRST_WORD + 1)
                words = self._words(int(words[_FIRST_WORD]), fields["array"] + 1)
                scale = struct.unpack("<Q", struct.pack("<d", thing.scale))[0]
                here = words[:4].tolist(), words[fields["words"]], words[fields["scale"]]
                if here != (parms, count * degree, scale):
                    raise Unavailable("this TenSEAL keeps its objects otherwise")
                sides.append(self._words(int(words[fields["array"]]), count * degree))
            for row in range(2 * rows):
                prime = ring.moduli[row % rows]
                sides[1][row * degree : (row + 1) * degree] = rng.integers(0, prime, degree, np.uint64)
            if [cipher.data(0), cipher.data(1)] != sides[1][:: rows * degree].tolist() or plain.data(1) != sides[0][1]:
                raise Unavailable("this TenSEAL keeps its objects otherwise")
            seal.Evaluator(ring.context).transform_to_ntt_inplace(cipher)
            pairs.append((cipher, plain))
            contents.append(sides)
        found = self(seal.Evaluator(ring.context), pairs)
        if found is None:
            raise Unavailable("the compiled kernel does not take this TenSEAL's objects")
        words = self._words(int(self._words(id(found), _FIRST_WORD + 1)[_FIRST_WORD]), _CIPHERTEXT["array"] + 1)
        result = self._words(int(words[_CIPHERTEXT["array"]]), 2 * rows * degree)
        for place in [0, 2 * rows * degree - 1, *rng.integers(0, 2 * rows * degree, 64).tolist()]:
            products = (int(x[place]) * int(w[place % (rows * degree)]) for w, x in contents)
            if result[place] != sum(products) % ring.moduli[place // degree % rows]:
                raise Unavailable("the compiled kernel computes wrong sums")

    def _words(self, address: int, count: int) -> npt.NDArray[np.uint64]:
        return np.ctypeslib.as_array((ctypes.c_uint64 * count).from_address(address))
