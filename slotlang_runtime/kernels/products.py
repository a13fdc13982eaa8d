"""Kernels of products, sums and differences. Imports numba; only compilation does. Arguments as in ``switching.py``."""

from __future__ import annotations

from typing import Any

from slotlang_runtime.kernels.arithmetic import MOST, Arithmetic, constants_of, row, share
from slotlang_runtime.kernels.lanes import A, N, ahead, inlined, split, word
from slotlang_runtime.kernels.tables import STRIP


def kernels(o: Arithmetic) -> dict[str, Any]:
    """The kernels by name."""
    load, store = o.load, o.store
    add, sub, red, final = o.add, o.sub, o.red, o.final
    begin, gather, fold, factor = o.begin, o.gather, o.fold, o.factor
    constants = constants_of(o)
    most, strip = MOST, STRIP

    def summing(new: bool) -> Any:
        # sums of at most MOST products, of rows j of both polynomials; new: these are read for the first time. What is
        # not in the caches is asked for a strip before it is needed
        @inlined
        def some(x: Any, w: Any, stride: Any, primes: Any, j: Any, b: Any, count: Any, c: Any) -> Any:
            f, g = begin(c), begin(c)
            for r in range(count):
                at, plain = row(word(x, r), stride, j), row(word(w, r), stride, j)
                second = row(at, stride, primes)
                k = load(plain, b)
                ahead(plain, b + strip)
                if new:
                    ahead(at, b + strip)
                    ahead(second, b + strip)
                f = gather(f, load(at, b), k)
                g = gather(g, load(second, b), k)
            return fold(f, c), fold(g, c)

        return some

    first, next_ = summing(True), summing(False)

    @split(9)
    def dotted(x, w, count, out, sums, primes_, n_, stride_, tables, part, parts):  # type: ignore[no-untyped-def]
        # sums over t of ciphertext t, of two polynomials, times plaintext t: several of the same ciphertexts, whose
        # plaintexts follow each other, so that a strip of the ciphertexts is read once for all
        primes, stride, terms = N(primes_), N(stride_), N(count)
        begins, ends = share(N(n_), part, parts)
        for j in range(primes):
            c = constants(tables, j)
            p, v = c[0], c[1]
            for start in range(begins, ends, strip):
                for t in range(0, terms, most):
                    left = terms - t
                    for q in range(N(sums)):
                        to = row(word(out, q), stride, j)
                        second = row(to, stride, primes)
                        xs, ws = x + A(8 * t), w + A(8 * (q * terms + t))
                        for b in range(start, start + strip, 8):
                            if q:
                                s0, s1 = next_(xs, ws, stride, primes, j, b, min(left, most), c)
                            else:
                                s0, s1 = first(xs, ws, stride, primes, j, b, min(left, most), c)
                            if t:
                                s0, s1 = add(s0, load(to, b)), add(s1, load(second, b))
                            s0, s1 = red(s0, v, p), red(s1, v, p)
                            if left <= most:
                                s0, s1 = final(s0, v, p), final(s1, v, p)
                            store(to, b, s0)
                            store(second, b, s1)

    @split(8)
    def multiplied_plain(x, w, out, size, primes_, n_, stride_, tables, part, parts):  # type: ignore[no-untyped-def]
        # a ciphertext of any number of polynomials times a plaintext
        primes, stride = N(primes_), N(stride_)
        begins, ends = share(N(n_), part, parts)
        for j in range(primes):
            c = constants(tables, j)
            p, v = c[0], c[1]
            for k in range(N(size)):
                y, to = row(x, stride, k * primes + j), row(out, stride, k * primes + j)
                for b in range(begins, ends, 8):
                    store(to, b, final(fold(gather(begin(c), load(y, b), load(row(w, stride, j), b)), c), v, p))

    @split(7)
    def multiplied(x, y, out, primes_, n_, stride_, tables, part, parts):  # type: ignore[no-untyped-def]
        # the product of two ciphertexts of two polynomials, of three
        primes, stride = N(primes_), N(stride_)
        begins, ends = share(N(n_), part, parts)
        for j in range(primes):
            c = constants(tables, j)
            p, v = c[0], c[1]
            for b in range(begins, ends, 8):
                x0, x1 = load(row(x, stride, j), b), load(row(x, stride, primes + j), b)
                y0, y1 = factor(load(row(y, stride, j), b)), factor(load(row(y, stride, primes + j), b))
                store(row(out, stride, j), b, final(fold(gather(begin(c), x0, y0), c), v, p))
                middle = fold(gather(gather(begin(c), x0, y1), x1, y0), c)
                store(row(out, stride, primes + j), b, final(middle, v, p))
                store(row(out, stride, 2 * primes + j), b, final(fold(gather(begin(c), x1, y1), c), v, p))

    def elementwise(combined: Any) -> Any:
        # of rows of two ciphertexts

        @split(8)
        def both(x, y, out, polynomials, primes_, n_, stride_, tables, part, parts):  # type: ignore[no-untyped-def]
            primes, stride = N(primes_), N(stride_)
            begins, ends = share(N(n_), part, parts)
            for j in range(primes):
                c = constants(tables, j)
                p, v = c[0], c[1]
                for k in range(N(polynomials)):
                    at = 8 * stride * (k * primes + j)
                    for b in range(begins, ends, 8):
                        store(out + A(at), b, final(combined(load(x + A(at), b), load(y + A(at), b), p), v, p))

        return both

    @inlined
    def plus(x: Any, y: Any, p: Any) -> Any:
        return add(x, y)

    @split(7)
    def negated(x, out, polynomials, primes_, n_, stride_, tables, part, parts):  # type: ignore[no-untyped-def]
        primes, stride = N(primes_), N(stride_)
        begins, ends = share(N(n_), part, parts)
        for j in range(primes):
            c = constants(tables, j)
            p, v = c[0], c[1]
            for k in range(N(polynomials)):
                at = 8 * stride * (k * primes + j)
                for b in range(begins, ends, 8):
                    y = load(x + A(at), b)
                    nothing = final(sub(y, y, p), v, p)
                    store(out + A(at), b, final(sub(nothing, y, p), v, p))

    alone = {f.__name__: f for f in (dotted, multiplied_plain, multiplied, negated)}
    return {**alone, "added": elementwise(plus), "subtracted": elementwise(sub)}
