"""Kernels on ciphertexts: key switches, divisions by a prime, products and sums. Imports numba; only compilation does.

Every argument is a word: an address, or a number. A row is a polynomial modulo a prime; a polynomial at address x has
the row of prime j at ``x + 8·stride·j``, and a ciphertext has polynomials of ``primes`` rows one after another.
``tables`` and ``pairs`` are those of ``tables.Tables``, ``all`` is the number of primes, the key prime last.
"""

from __future__ import annotations

from typing import Any

from slotlang_runtime.kernels.arithmetic import MOST, Arithmetic, constants_of, row, share
from slotlang_runtime.kernels.lanes import WORDS, A, N, U, ahead, inlined, kernel, loaded, operation, split, word
from slotlang_runtime.kernels.transforms import transforms

AHEAD = 1024
"""Words between what is read and what is asked for: the processor's guesses end with a page."""


def kernels(o: Arithmetic) -> dict[str, Any]:
    """The kernels by name."""
    load, store, peek, splat, moved = o.load, o.store, o.peek, o.splat, o.moved
    add, sub, mul, red, final = o.add, o.sub, o.mul, o.red, o.final
    begin, gather, fold, factor = o.begin, o.gather, o.fold, o.factor
    constants = constants_of(o)
    centred, lowered, take, give = o.centred, o.lowered, o.take, o.give
    forward_of, _, inverse = transforms(o)

    @inlined
    def digit(x: Any, j: Any, p: Any, v: Any, other: Any) -> Any:
        return centred(load(x, j), p, v, other)

    @inlined
    def quotient(x: Any, j: Any, p: Any, v: Any, other: Any) -> Any:
        return lowered(load(x, j), p, v, other)

    forward, forward_digit = forward_of(final), forward_of(o.light, digit)
    forward_quotient = forward_of(o.loose, quotient)
    order = operation(U, (A, N), loaded(WORDS))
    most = MOST

    @inlined
    def table(tables: Any, j: Any) -> Any:
        return tables + A(40 * j)

    @inlined
    def pair(pairs: Any, i: Any, j: Any, count: Any) -> Any:
        c, at = pairs, 8 * (i * count + j)
        return (
            splat(peek(c, at)),
            splat(peek(c, at + 1)),
            splat(peek(c, at + 2)),
            splat(peek(c, at + 3)),
            splat(peek(c, at + 4)),
            splat(peek(c, at + 5)),
        )

    @inlined
    def turned(x: Any, source: Any, lanes: Any, b: Any) -> Any:
        s = N(word(source, b >> 3))
        return moved(x, s & ~7, order(lanes, (s & 7) << 3))

    @kernel(4)
    def transform(x, y, n, table):  # type: ignore[no-untyped-def]
        forward(x, y, N(n), table, 0)

    @kernel(4)
    def untransform(x, y, n, table):  # type: ignore[no-untyped-def]
        inverse(x, y, N(n), table)

    @kernel(7)
    def read_rows(x, y, rows, n_, stride_, first, tables):  # type: ignore[no-untyped-def]
        # from words, rows without room between them, of primes from ``first`` on
        n, stride = N(n_), N(stride_)
        for j in range(N(rows)):
            c = word(tables, 5 * (N(first) + j) + 4)
            p, v = splat(peek(c, 0)), splat(peek(c, 1))
            for b in range(0, n, 8):
                store(row(y, stride, j), b, take(x, n * j + b, v, p))

    @kernel(7)
    def write_rows(x, y, rows, n_, stride_, first, tables):  # type: ignore[no-untyped-def]
        n, stride = N(n_), N(stride_)
        for j in range(N(rows)):
            c = word(tables, 5 * (N(first) + j) + 4)
            p, v = splat(peek(c, 0)), splat(peek(c, 1))
            for b in range(0, n, 8):
                give(y, n * j + b, load(row(x, stride, j), b), v, p)

    @kernel(6)
    def factors(x, y, rows, n_, stride_, tables):  # type: ignore[no-untyped-def]
        # factors for sums of products, from words without room between rows
        n, stride = N(n_), N(stride_)
        for j in range(N(rows)):
            c = word(tables, 5 * j + 4)
            p, v = splat(peek(c, 0)), splat(peek(c, 1))
            for b in range(0, n, 8):
                store(row(y, stride, j), b, factor(take(x, n * j + b, v, p)))

    @kernel(6)
    def arranged(x, y, digits_, all_, n_, tables):  # type: ignore[no-untyped-def]
        # a key's words, [digit, 2, prime, n], in the order in which they are read: [prime, block, digit, 2, 8]; its
        # primes are as many as its digits, and the key prime
        digits, n, at = N(digits_), N(n_), 0
        count = digits + 1
        for k in range(count):
            j = k if k < digits else N(all_) - 1
            c = word(tables, 5 * j + 4)
            p, v = splat(peek(c, 0)), splat(peek(c, 1))
            for b in range(0, n, 8):
                for i in range(digits):
                    store(y, at, factor(take(x, (2 * i * count + k) * n + b, v, p)))
                    store(y, at + 8, factor(take(x, ((2 * i + 1) * count + k) * n + b, v, p)))
                    at += 16

    @split(9)
    def decomposed(x, digits, primes_, all_, n_, stride_, tables, pairs, rooms, part, parts):  # type: ignore[no-untyped-def]
        # digit i of the polynomial x modulo prime j to row i·(primes + 1) + j of ``digits``, the key prime at the end;
        # ``rooms``: a row for each prime
        primes, count, n, stride = N(primes_), N(all_), N(n_), N(stride_)
        for i in range(part, primes, parts):
            room = row(rooms, stride, i)
            inverse(row(x, stride, i), room, n, table(tables, i))
            for k in range(primes + 1):
                j = k if k < primes else count - 1
                if j != i:
                    to = row(digits, stride, i * (primes + 1) + k)
                    forward_digit(room, to, n, table(tables, j), pair(pairs, i, j, count))

    @split(14)
    def switched(  # type: ignore[no-untyped-def]
        x, digits, keys, held, sources, lanes, count_, sums, more, primes_, all_, n_, stride_, tables, part, parts
    ):
        # the sum over r of the digits of polynomial x, moved by automorphism r, times key r, which has ``held`` digits;
        # to what is there, if more
        primes, count, n, stride = N(primes_), N(all_), N(n_), N(stride_)
        terms = N(count_)
        begins, ends = share(n, part, parts)
        for k in range(primes + 1):
            j = k if k < primes else count - 1
            c = constants(tables, j)
            p, v = c[0], c[1]
            nothing = final(sub(p, p, p), v, p)
            first, second = row(sums, stride, k), row(sums, stride, primes + 1 + k)
            for b in range(begins, ends, 8):
                s, t, got = begin(c), begin(c), 0
                s0, s1 = nothing, nothing
                if more:
                    s0, s1 = load(first, b), load(second, b)
                for r in range(terms):
                    key, width = word(keys, r), N(word(held, r))
                    at = ((k if k < primes else width) * n + b) * 2 * width
                    source = N(word(word(sources, r), b >> 3))
                    turn, block = order(word(lanes, r), (source & 7) << 3), source & ~7
                    for i in range(primes):
                        ahead(key, at + 16 * i + AHEAD)
                        ahead(key, at + 16 * i + 8 + AHEAD)
                        if i == k:
                            d = moved(row(x, stride, i), block, turn)
                        else:
                            d = moved(row(digits, stride, i * (primes + 1) + k), block, turn)
                        s = gather(s, d, load(key, at + 16 * i))
                        t = gather(t, d, load(key, at + 16 * i + 8))
                        got += 1
                        if got == most:
                            s0, s1 = red(add(s0, fold(s, c)), v, p), red(add(s1, fold(t, c)), v, p)
                            s, t, got = begin(c), begin(c), 0
                store(first, b, red(add(s0, fold(s, c)), v, p))
                store(second, b, red(add(s1, fold(t, c)), v, p))

    @split(16)
    def settled(  # type: ignore[no-untyped-def]
        sums,
        firsts,
        sources,
        lanes,
        count_,
        plus,
        more_,
        minus,
        less_,
        out,
        primes_,
        all_,
        n_,
        stride_,
        tables,
        pairs,
        part,
        parts,
    ):
        # sums divided by the key prime; first polynomials ``firsts``, each moved, and ciphertexts ``plus`` added,
        # ciphertexts ``minus`` subtracted
        primes, count, n, stride = N(primes_), N(all_), N(n_), N(stride_)
        last = count - 1
        for k in range(part, 2, parts):
            room = row(sums, stride, 2 * (primes + 1) + k)
            low = row(sums, stride, k * (primes + 1) + primes)
            inverse(low, low, n, table(tables, last))
            for j in range(primes):
                c, of = word(tables, 5 * j + 4), pair(pairs, last, j, count)
                p, v = splat(peek(c, 0)), splat(peek(c, 1))
                forward_quotient(low, room, n, table(tables, j), of)
                high, to = row(sums, stride, k * (primes + 1) + j), row(out, stride, k * primes + j)
                for b in range(0, n, 8):
                    x = mul(sub(load(high, b), load(room, b), p), of[3], of[4], p)
                    if k == 0:
                        for r in range(N(count_)):
                            x = red(
                                add(x, turned(row(word(firsts, r), stride, j), word(sources, r), word(lanes, r), b)),
                                v,
                                p,
                            )
                    for r in range(N(more_)):
                        x = red(add(x, load(row(word(plus, r), stride, k * primes + j), b)), v, p)
                    for r in range(N(less_)):
                        x = red(sub(x, load(row(word(minus, r), stride, k * primes + j), b), p), v, p)
                    store(to, b, final(x, v, p))

    @split(10)
    def divided(x, out, size, primes_, all_, n_, stride_, tables, pairs, rooms, part, parts):  # type: ignore[no-untyped-def]
        # a ciphertext divided by its last prime, rounded as SEAL does; ``rooms``: two rows for each polynomial
        primes, count, n, stride = N(primes_), N(all_), N(n_), N(stride_)
        last = primes - 1
        for k in range(part, N(size), parts):
            room, other = row(rooms, stride, 2 * k), row(rooms, stride, 2 * k + 1)
            inverse(row(x, stride, k * primes + last), room, n, table(tables, last))
            for j in range(last):
                c, of = word(tables, 5 * j + 4), pair(pairs, last, j, count)
                p, v = splat(peek(c, 0)), splat(peek(c, 1))
                forward_quotient(room, other, n, table(tables, j), of)
                high, to = row(x, stride, k * primes + j), row(out, stride, k * last + j)
                for b in range(0, n, 8):
                    store(to, b, final(mul(sub(load(high, b), load(other, b), p), of[3], of[4], p), v, p))

    return {
        f.__name__: f
        for f in (
            transform,
            untransform,
            read_rows,
            write_rows,
            factors,
            arranged,
            decomposed,
            switched,
            settled,
            divided,
        )
    }
