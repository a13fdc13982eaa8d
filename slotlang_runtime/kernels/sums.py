"""Sums of products in one pass.

SEAL writes every product to memory, reduces it, and reads it again to add it up. Here products of residues are added up
as integers of 128 bits, a tile of the polynomials at a time so that the sums stay in the nearest cache, and reduced
once: the same residues, bit for bit, in a quarter of the time. Primes have at most 60 bits, so that MOST_TERMS products
stay below 2^127.

The kernel reads and writes SEAL's own arrays where they lie in memory (``seal.memory``), and checks every object before
it touches it. A self-test, once for each ring, checks its sums. Without numba, or where a check fails, SEAL's
operations are used.
"""

from __future__ import annotations

from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import tenseal.sealapi as seal

from slotlang_runtime.seal.memory import (
    CIPHERTEXT,
    FIRST_WORD,
    PLAINTEXT,
    ciphertext_of,
    known,
    plaintext_of,
    polynomials_of,
)
from slotlang_runtime.seal.ring import Context, Ring

MOST_TERMS = 128
STRIP = 256  # coefficients: their sums take 8 KB

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
    cipher_array, cipher_scale = CIPHERTEXT["array"], CIPHERTEXT["scale"]
    cipher_ntt, cipher_size = CIPHERTEXT["ntt"], CIPHERTEXT["size"]
    cipher_degree, cipher_primes, cipher_words = CIPHERTEXT["degree"], CIPHERTEXT["primes"], CIPHERTEXT["words"]
    plain_array, plain_scale, plain_words = PLAINTEXT["array"], PLAINTEXT["scale"], PLAINTEXT["words"]

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
            one = at(at(out if t < 0 else ciphers[t])[FIRST_WORD])
            first = at(at(ciphers[0])[FIRST_WORD])
            fits = one[cipher_ntt] & u64(255) == 1 and one[cipher_size] == 2 and one[cipher_degree] == degree
            fits = fits and one[cipher_primes] == primes and one[cipher_words] == 2 * half
            for n in range(4):
                fits = fits and one[n] == parms[n]
            if t >= 0:
                other, like = at(at(plains[t])[FIRST_WORD]), at(at(plains[0])[FIRST_WORD])
                fits = fits and one[cipher_scale] == first[cipher_scale] and other[plain_words] == half
                fits = fits and other[plain_scale] == like[plain_scale]
                for n in range(4):
                    fits = fits and other[n] == parms[n]
            if not fits:
                return False
            if t >= 0:
                x[t], w[t] = one[cipher_array], other[plain_array]
        to = at(at(at(out)[FIRST_WORD])[cipher_array])
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

    def _check(self) -> None:
        """Check that SEAL's arrays lie where the kernel looks for them, and that sums of random residues are those of
        Python's integers. Raises ``Unavailable``."""
        ring, rng = self.ring, np.random.default_rng()
        if not known(ring.shared):
            raise Unavailable("this TenSEAL keeps its objects otherwise")
        primes = ring.primes(0)
        draws = [[rng.integers(0, prime, (3, self.degree), np.uint64) for prime in primes] for _ in range(5)]
        contents = [np.stack(rows, axis=1) for rows in draws]
        pairs = [(ciphertext_of(ring, x[:2], 0, 2.0), plaintext_of(ring, x[2], 0, 3.0)) for x in contents]
        found = self(seal.Evaluator(ring.context), pairs)
        if found is None:
            raise Unavailable("the compiled kernel does not take this TenSEAL's objects")
        result = polynomials_of(ring, found)
        for _ in range(64):
            k, j, place = rng.integers(2), rng.integers(len(primes)), rng.integers(self.degree)
            products = (int(x[k, j, place]) * int(x[2, j, place]) for x in contents)
            if result[k, j, place] != sum(products) % primes[j]:
                raise Unavailable("the compiled kernel computes wrong sums")
