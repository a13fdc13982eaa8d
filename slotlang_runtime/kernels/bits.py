"""Kernels on bytes: residues packed to the bits of their prime, and SEAL's uniform polynomials from seeds. Imports
numba; only compilation does."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types

from slotlang_runtime.kernels import blake
from slotlang_runtime.kernels.lanes import (
    BACKWARDS,
    INDEX,
    LANES,
    WORD,
    WORDS,
    A,
    N,
    U,
    call,
    constant,
    inlined,
    kernel,
    operation,
    place,
    stored,
    word,
)
from slotlang_runtime.kernels.lanes import splat as splatted
from slotlang_runtime.kernels.words import words

PRIME = 0x9E3779B1
"""XXH3's factor between blocks."""


def _lanes(b: Any) -> blake.Lanes:
    def rotated(x: Any, count: int) -> Any:
        return call(b, "llvm.fshr.v8i64", WORDS, x, x, constant(WORD, count))

    return blake.Lanes(b.add, b.xor, rotated, lambda value: constant(WORD, value))


def _transposed(b: Any, rows: list[Any]) -> list[Any]:
    # lane n of row k becomes lane k of row n, in three steps of pairs, fours and eights
    for lanes in ((0, 8, 2, 10, 4, 12, 6, 14), (0, 1, 8, 9, 4, 5, 12, 13), (0, 1, 2, 3, 8, 9, 10, 11)):
        span = next(n for n in range(1, LANES) if lanes[n] == LANES)
        moved = list(rows)
        for n in range(LANES):
            if not n & span:
                for side, at in ((n, 0), (n + span, span)):
                    chosen = ir.Constant(ir.VectorType(INDEX, LANES), [lane + at for lane in lanes])
                    moved[side] = b.shuffle_vector(rows[n], rows[n + span], chosen)
        rows = moved
    return rows


def _negative(b: Any, x: Any) -> Any:
    return b.icmp_signed("<", x, constant(WORD, 0))


def _restored(b: Any, r: Any, x: Any, p: Any) -> Any:
    # the residue of x from that of its size: p less it, but for 0
    other = b.and_(_negative(b, x), b.icmp_unsigned("!=", r, constant(WORD, 0)))
    return b.select(other, b.sub(p, r), r)


def _taken(b: Any, y: Any, group: Any, bits: Any, last: Any) -> Any:
    # the eight residues of a group. Where they end with a word, the next one is not used; behind the last none is read
    at = b.mul(group, bits)
    first = b.lshr(at, WORD(6))
    second = b.add(first, WORD(1))
    second = b.select(b.icmp_unsigned(">", second, last), last, second)
    low, high = (b.load(place(b, y, b.shl(row, WORD(3)), WORDS), align=8) for row in (first, second))
    both = call(b, "llvm.fshr.v8i64", WORDS, high, low, splatted(b, b.and_(at, WORD(63))))
    return b.and_(both, splatted(b, b.sub(b.shl(WORD(1), bits), WORD(1))))


def _halved(b: Any, x: Any, bits: Any, less: Any) -> Any:
    # x / 2^bits, rounded half to even; ``less``: 2^(bits - 1) - 1
    even = b.and_(b.lshr(x, bits), constant(WORD, 1))
    return b.lshr(b.add(b.add(x, less), even), bits)


def _vector(b: Any, address: Any) -> Any:
    # eight words that begin at any byte
    return b.load(b.inttoptr(address, ir.PointerType(WORDS)), align=1)


def _stripe(b: Any, total: Any, data: Any, secret: Any) -> Any:
    # XXH3: what stands beside a word is added as it is
    mixed, low = b.xor(data, secret), constant(WORD, (1 << 32) - 1)
    product = b.mul(b.and_(mixed, low), b.lshr(mixed, constant(WORD, 32)))
    beside = b.shuffle_vector(data, data, ir.Constant(ir.VectorType(INDEX, LANES), [1, 0, 3, 2, 5, 4, 7, 6]))
    return b.add(b.add(total, beside), product)


def _scrambled(b: Any, total: Any, secret: Any) -> Any:
    mixed = b.xor(b.xor(total, b.lshr(total, constant(WORD, 47))), secret)
    return b.mul(mixed, constant(WORD, PRIME))


def kernels(avx512: bool) -> dict[str, Any]:
    """The kernels by name."""
    # residues are drawn in rings of any degree, whose primes IFMA's shorter products do not all take
    o = words(avx512, ifma=False)
    load, store, peek, splat, add, mul, last = o.load, o.store, o.peek, o.splat, o.add, o.mul, o.last
    eight: Any = types.UniTuple
    roots = operation(eight(U, 8), (U,) * 9, lambda b, *w: blake.root(_lanes(b), w[:8], w[8]))
    leaves = operation(eight(U, 8), (U,) * 9, lambda b, *w: _transposed(b, blake.leaf(_lanes(b), w[:8], w[8])))
    larger = operation(U, (U, U), lambda b, x, y: call(b, "llvm.umax.v8i64", WORDS, x, y))
    counting = operation(U, (A,), lambda b, x: ir.Constant(WORDS, list(range(LANES))))
    none = operation(U, (A,), lambda b, x: constant(WORD, 0))
    one = operation(U, (A,), lambda b, x: constant(WORD, 1))
    put = operation(N, (A, N, A), stored)
    minus = operation(U, (U, U), lambda b, x, y: b.sub(x, y))
    magnitude = operation(U, (U,), lambda b, x: b.select(_negative(b, x), b.neg(x), x))
    restored = operation(U, (U, U, U), _restored)
    left = operation(U, (U, U), lambda b, x, count: b.shl(x, count))
    right = operation(U, (U, U), lambda b, x, count: b.lshr(x, count))
    either = operation(U, (U, U), lambda b, x, y: b.or_(x, y))
    below = operation(U, (U, U), lambda b, x, y: b.select(b.icmp_unsigned("<", x, y), x, constant(WORD, 0)))
    smaller = operation(U, (U, U), lambda b, x, y: call(b, "llvm.umin.v8i64", WORDS, x, y))
    back = operation(U, (U,), lambda b, x: b.shuffle_vector(x, x, BACKWARDS))
    taken, halved = operation(U, (A, N, N, N), _taken), operation(U, (U, U, U), _halved)
    vector = operation(U, (A,), _vector)
    stripe, scrambled = operation(U, (U, U, U), _stripe), operation(U, (U, U), _scrambled)
    size = blake.BLOCK

    @inlined
    def four(x: Any, at: Any, stride: Any) -> Any:
        return (
            splat(peek(x, at)),
            splat(peek(x, at + stride)),
            splat(peek(x, at + 2 * stride)),
            splat(peek(x, at + 3 * stride)),
        )

    @inlined
    def reduced(out: Any, at: Any, x: Any, y: Any, v: Any, p: Any) -> Any:
        # two vectors of draws modulo p; the larger draws
        store(out, at, last(mul(x, one(out), v, p), v, p))
        store(out, at + 8, last(mul(y, one(out), v, p), v, p))
        return larger(x, y)

    @kernel(4)
    def packed(x, y, n, bits_):  # type: ignore[no-untyped-def]
        # n residues, a multiple of 512, to as many bits each
        bits, to, have, made = N(bits_), 0, 0, none(x)
        for b in range(0, N(n), 8):
            value = load(x, b)
            made = either(made, left(value, splat(A(have))))
            have += bits
            if have >= 64:
                store(y, to, made)
                to += 8
                have -= 64
                # by as many bits as the residue has, nothing of it is left
                made = right(value, splat(A(bits - have)))

    @kernel(5)
    def unpacked(y, x, n, bits, most):  # type: ignore[no-untyped-def]
        # and back; the largest residue of each lane is written to ``most``
        largest, end = none(y), (N(n) >> 9) * N(bits) - 1
        for group in range(N(n) >> 3):
            value = taken(y, group, N(bits), end)
            largest = larger(largest, value)
            store(x, group << 3, value)
        store(most, 0, largest)

    @kernel(5)
    def cut(x, y, n, bits, limit):  # type: ignore[no-untyped-def]
        # coefficients / 2^bits, rounded half to even; 0 from the limit on. There is at least one bit
        shift, less, most = splat(bits), splat((A(1) << (bits - A(1))) - A(1)), splat(limit)
        for b in range(0, N(n), 8):
            store(y, b, below(halved(load(x, b), shift, less), most))

    @kernel(5)
    def folded(x, y, n_, prime, negative):  # type: ignore[no-untyped-def]
        # the first half of n residues, plus the second half from its end (or less it)
        n, p = N(n_), splat(prime)
        for b in range(0, n >> 1, 8):
            a, mirrored = load(x, b), back(load(x, n - 8 - b))
            if negative:
                total = minus(add(a, p), mirrored)
            else:
                total = add(a, mirrored)
            store(y, b, smaller(total, minus(total, p)))

    @kernel(4)
    def accumulated(x, size, secret, out):  # type: ignore[no-untyped-def]
        # XXH3's eight words for more than 240 bytes, from those in ``out``; ``secret``: its 192 bytes
        total, blocks = load(out, 0), (N(size) - 1) >> 10
        for block in range(blocks):
            for n in range(16):
                data = vector(x + A((block << 10) + (n << 6)))
                total = stripe(total, data, vector(secret + A(n << 3)))
            total = scrambled(total, vector(secret + A(128)))
        rest = x + A(blocks << 10)
        for n in range((N(size) - 1 - (blocks << 10)) >> 6):
            total = stripe(total, vector(rest + A(n << 6)), vector(secret + A(n << 3)))
        store(out, 0, stripe(total, vector(x + size - A(64)), vector(secret + A(121))))

    @kernel(7)
    def expanded(seed, out, rows, n_, step, moduli, room):  # type: ignore[no-untyped-def]
        # rows of n words, ``step`` words from one to the next, modulo primes: of each ``moduli`` has three words, the
        # prime, floor(2^64 / prime), and the place for the largest of what was drawn
        n, blocks = N(n_), N(rows) * N(n_) // size
        s0, s1, s2, s3 = four(seed, 0, 1)
        s4, s5, s6, s7 = four(seed, 4, 1)
        lanes, largest = counting(seed), none(seed)
        for group in range(0, blocks, 8):
            r = roots(s0, s1, s2, s3, s4, s5, s6, s7, add(lanes, splat(A(group))))
            store(room, 0, r[0])
            store(room, 8, r[1])
            store(room, 16, r[2])
            store(room, 24, r[3])
            store(room, 32, r[4])
            store(room, 40, r[5])
            store(room, 48, r[6])
            store(room, 56, r[7])
            for block in range(group, min(group + 8, blocks)):
                k, j = block & 7, block * size // n
                p, v = splat(word(moduli, 3 * j)), splat(word(moduli, 3 * j + 1))
                t0, t1, t2, t3 = four(room, k, 8)
                t4, t5, t6, t7 = four(room, 32 + k, 8)
                if block * size % n == 0:
                    largest = none(seed)
                for c in range(0, size, 64):
                    leaf = leaves(t0, t1, t2, t3, t4, t5, t6, t7, add(lanes, splat(A(c >> 3))))
                    to = j * N(step) + block * size - j * n + c
                    largest = larger(largest, reduced(out, to, leaf[0], leaf[1], v, p))
                    largest = larger(largest, reduced(out, to + 16, leaf[2], leaf[3], v, p))
                    largest = larger(largest, reduced(out, to + 32, leaf[4], leaf[5], v, p))
                    largest = larger(largest, reduced(out, to + 48, leaf[6], leaf[7], v, p))
                if (block + 1) * size % n == 0:
                    store(room, 64, largest)
                    most = A(0)
                    for i in range(64, 72):
                        most = max(most, word(room, i))
                    put(moduli, 3 * j + 2, most)

    @kernel(5)
    def signed(x, y, n_, prime, ratio):  # type: ignore[no-untyped-def]
        # integers of 64 bits with a sign, modulo a prime
        p, v = splat(prime), splat(ratio)
        for b in range(0, N(n_), 8):
            value = load(x, b)
            size = magnitude(value)
            store(y, b, restored(last(mul(size, one(prime), v, p), v, p), value, p))

    @kernel(8)
    def multiplied(x, less, y, n_, factor, quotient, prime, lift):  # type: ignore[no-untyped-def]
        # (x + lift - less) times a factor modulo a prime; the first factor is below 2^64
        w, w1, p, more = splat(factor), splat(quotient), splat(prime), splat(lift)
        for b in range(0, N(n_), 8):
            value = minus(add(load(x, b), more), load(less, b))
            store(y, b, last(mul(value, w, w1, p), p, p))

    return {f.__name__: f for f in (packed, unpacked, cut, folded, accumulated, expanded, signed, multiplied)}
