"""The operations of an evaluation on residues, by compiled kernels.

A key switch has three parts: digits of the polynomial that is switched, products of digits with the key, and a division
by the key prime. They are put off: a rotation returns a sum that waits (``Pending``), and additions put sums together.
So digits are computed once for all rotations of a ciphertext (hoisting), and sums of rotations are divided once.

Sums of products of the same ciphertexts wait for each other too, if they come one after the other: so ciphertexts that
the nearer caches do not hold are read once for several sums.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import Any, TypeAlias

from slotlang_runtime.errors import NOT_EVALUATED, Rejected
from slotlang_runtime.kernels.compact import Compact, expand
from slotlang_runtime.kernels.residues import (
    ArrangedKey,
    Ciphertext,
    Pending,
    Plaintext,
    ResidueRing,
    Rows,
    Switch,
    addresses,
)
from slotlang_runtime.kernels.tables import STRIP
from slotlang_runtime.operations import SCALE_ROUNDING, Cancelled
from slotlang_runtime.parameters import RELINEARIZATION, SUMS_TOGETHER

Value: TypeAlias = Ciphertext | Pending
Encoded: TypeAlias = Plaintext | Compact

EXPANDED = 16
"""Rows of plaintexts that are expanded at a time, and used while they are in the nearer caches."""


class ResidueOperations:
    """``Operations`` on residues. ``key``: the key of a Galois element. ``kernels``: the ring's, as a team shares
    them."""

    def __init__(self, ring: ResidueRing, key: Callable[[int], ArrangedKey], kernels: Any = None) -> None:
        self.ring, self.key = ring, key
        self._kernels = kernels or ring.kernels
        self._elements: dict[int, int] = {}
        self._switches: dict[int, tuple[int, int, int, int]] = {}
        self._keys: list[ArrangedKey] = []
        # sums that wait, of products of these ciphertexts: plaintexts, their addresses, and where the sum goes
        self._sources: list[Ciphertext] = []
        self._at = addresses([])
        self._waiting: list[tuple[list[Plaintext], array[int], Ciphertext]] = []

    # key switches

    def rotate(self, a: Value, step: int) -> Value:
        """By the key of exactly this step."""
        self.ring.ring.check_rotation(step, a.level)
        if step not in self._elements:
            self._elements[step] = pow(3, step, 2 * self.ring.degree)
        return self._switched(a, self._elements[step])

    def conjugate(self, a: Value) -> Value:
        """By the key of the conjugation."""
        self.ring.ring.check_conjugation(a.level)
        return self._switched(a, 2 * self.ring.degree - 1)

    def _switched(self, a: Value, element: int) -> Pending:
        source = self.settled(a)
        self._of_two(source)
        return Pending(source.level, source.scale, [Switch(source, element)])

    def relinearize(self, a: Value) -> Value:
        """The last polynomial of three is switched."""
        if isinstance(a, Pending) or a.size == 2:
            return a
        self.ring.ring.check_relinearization(a.level)
        return Pending(a.level, a.scale, [Switch(a, RELINEARIZATION)])

    def settled(self, a: Value) -> Ciphertext:
        """The ciphertext: sums of key products divided by the key prime, and added to the rest."""
        if isinstance(a, Ciphertext):
            if a.waits:
                self._compute()
            return a
        if a.value is None:
            a.value = self._settled(a)
            a.switches, a.plus, a.minus = [], [], []
        return a.value

    def _settled(self, a: Pending) -> Ciphertext:
        # some of what is added may wait
        self._compute()
        ring, primes = self.ring, self.ring.primes(a.level)
        out = ring.ciphertext(2, a.level, a.scale)
        sums = ring.rows(2 * (primes + 1) + 2)
        shape = primes, ring.count
        layout = ring.degree, ring.stride, ring.table
        by_source: dict[int, list[Switch]] = {}
        for switch in a.switches:
            by_source.setdefault(id(switch.source), []).append(switch)
        firsts, orders, places, plus = list[int](), list[int](), list[int](), [one.rows.at for one in a.plus]
        minus = addresses([one.rows.at for one in a.minus])
        for number, switches in enumerate(by_source.values()):
            source, count = switches[0].source, len(switches)
            keys, held, sources, lanes = zip(*[self._switching(switch.element) for switch in switches], strict=True)
            if source.size == 2:
                firsts += [source.rows.at] * count
                orders += sources
                places += lanes
            else:
                plus += [source.rows.at] * count
            table = addresses([*keys, *held, *sources, *lanes])
            last = source.rows.at + 8 * ring.stride * primes * (source.size - 1)
            # held here: another thread may put digits of its own in their place, which would free these
            digits = self.digits(source)
            self._kernels.switched(
                last, digits.at, *(table[1] + 8 * n * count for n in range(4)), count,
                sums.at, number > 0, *shape, *layout,
            )  # fmt: skip
        # one list: of what is moved, how, and what is added
        moved = addresses([*firsts, *orders, *places, *plus])
        at_firsts, at_sources, at_lanes, at_plus = (moved[1] + 8 * n * len(firsts) for n in range(4))
        self._kernels.settled(
            sums.at, at_firsts, at_sources, at_lanes, len(firsts), at_plus, len(plus), minus[1], len(a.minus),
            out.rows.at, *shape, *layout, ring.pairs,
        )  # fmt: skip
        if self._bare(out):
            # digits and keys have cancelled, and only what was added in the clear may be left: the pair (0, 1) hides it
            ring.view(out.rows)[primes:] = 1
        return out

    def _switching(self, element: int) -> tuple[int, int, int, int]:
        """Of a Galois element: where its key is, its digits, and how lanes are moved. The key is there as long as this
        object is."""
        found = self._switches.get(element)
        if found is None:
            key = self.key(element)
            self._keys.append(key)
            found = self._switches[element] = (key.at, key.digits, *self.ring.tables.move(element))
        return found

    def digits(self, source: Ciphertext) -> Rows:
        """The digits of a ciphertext's last polynomial, computed once."""
        digits = source.digits
        if digits is None:
            ring, primes = self.ring, self.ring.primes(source.level)
            polynomial = source.rows.at + 8 * ring.stride * primes * (source.size - 1)
            digits, rooms = ring.rows(primes * (primes + 1)), ring.rows(primes)
            self._kernels.decomposed(
                polynomial, digits.at, primes, ring.count, ring.degree, ring.stride, ring.table, ring.pairs, rooms.at
            )
            source.digits = digits
        return digits

    # products

    def multiply_plain(self, a: Value, plain: Encoded) -> Ciphertext:
        """The scales multiply."""
        a = self.settled(a)
        self._same_level(a.level, plain.level)
        out = self.ring.ciphertext(a.size, a.level, a.scale * plain.scale)
        (at,), _held = self._expanded([plain])
        self._kernels.multiplied_plain(a.rows.at, at, out.rows.at, a.size, *self._layout(a.level))
        return out

    def dot(self, pairs: list[tuple[Value, Encoded]]) -> Ciphertext | None:
        """In one pass, which may wait for others; one by one where a product was not relinearised."""
        settled = [(self.settled(a), plain) for a, plain in pairs]
        first, factor = settled[0]
        for a, plain in settled:
            if a.size > 2:
                return None
            # called once for each plaintext of an evaluation: only what differs is looked at closer
            if not first.level == a.level == plain.level:
                self._same_level(first.level, a.level, plain.level)
            if a.scale != first.scale:
                self._same_scale(first.scale, a.scale)
            if plain.scale != factor.scale:
                self._same_scale(factor.scale, plain.scale)
        out = self.ring.ciphertext(2, first.level, first.scale * factor.scale)
        sources, plains = [a for a, _ in settled], [plain for _, plain in settled if isinstance(plain, Plaintext)]
        if len(plains) == len(sources) and self._waits(sources, plains, out):
            return out
        self._dotted(settled, out)
        if self._bare(out):
            raise self._cancelled(out)
        return out

    def _waits(self, sources: list[Ciphertext], plains: list[Plaintext], out: Ciphertext) -> bool:
        """Put a sum off, unless it may cancel, which the program has to know before it goes on: by its first residues,
        which are computed now."""
        if sources != self._sources:
            self._compute()
            self._sources, self._at = sources, addresses([a.rows.at for a in sources])
        w, to = addresses([plain.rows.at for plain in plains]), addresses([out.rows.at])
        primes, _, *layout = self._layout(out.level)
        self.ring.kernels.dotted(self._at[1], w[1], len(sources), to[1], 1, primes, STRIP, *layout)
        if not self.ring.view(out.rows)[primes, 0]:
            return False
        self._waiting.append((plains, w[0], out))
        out.waits = True
        if len(self._waiting) == SUMS_TOGETHER:
            # more of the same may follow
            held = self._sources, self._at
            self._compute()
            self._sources, self._at = held
        return True

    def _compute(self) -> None:
        """Compute the sums of products that wait."""
        waiting, sources, (_held, at) = self._waiting, self._sources, self._at
        self._waiting, self._sources = [], []
        if not waiting:
            return
        factors = array("Q")
        for _, w, _ in waiting:
            factors += w
        to = addresses(out.rows.at for _, _, out in waiting)
        level = sources[0].level
        self._kernels.dotted(at, factors.buffer_info()[0], len(sources), to[1], len(waiting), *self._layout(level))
        for _, _, out in waiting:
            out.waits = False

    def _dotted(self, pairs: list[tuple[Ciphertext, Encoded]], out: Ciphertext) -> None:
        """A sum of products: all at once, or as many at a time as plaintexts are expanded. Residues are the same."""
        layout, part, count = self._layout(out.level), out, len(pairs)
        if any(type(plain) is Compact for _, plain in pairs):
            count = max(1, EXPANDED // layout[0])
        for start in range(0, len(pairs), count):
            some = pairs[start : start + count]
            plains, _held = self._expanded([plain for _, plain in some])
            x, w = addresses(a.rows.at for a, _ in some), addresses(plains)
            if start:
                part = self.ring.ciphertext(2, out.level, out.scale)
            to = addresses([part.rows.at])
            self._kernels.dotted(x[1], w[1], len(some), to[1], 1, *layout)
            if start:
                self._kernels.added(out.rows.at, part.rows.at, out.rows.at, 2, *layout)

    def _expanded(self, plains: list[Encoded]) -> tuple[list[int], Rows | None]:
        """Addresses of plaintexts of one level, at most as many as are expanded at a time where one is compact; and
        what has to be held as long as they are used."""
        compact = [plain for plain in plains if isinstance(plain, Compact)]
        if not compact:
            return [plain.rows.at for plain in plains if isinstance(plain, Plaintext)], None
        ring, primes = self.ring, self.ring.primes(compact[0].level)
        # always as many rows, so that their memory is used again
        rows = ring.rows(max(EXPANDED, primes))
        expand(ring, self._kernels, compact, rows)
        free = iter(range(rows.at, rows.at + 8 * ring.stride * rows.count, 8 * ring.stride * primes))
        return [plain.rows.at if isinstance(plain, Plaintext) else next(free) for plain in plains], rows

    def multiply(self, a: Value, b: Value) -> Ciphertext:
        """Three polynomials."""
        a, b = self.settled(a), self.settled(b)
        self._of_two(a)
        self._of_two(b)
        self._same_level(a.level, b.level)
        out = self.ring.ciphertext(3, a.level, a.scale * b.scale)
        self._kernels.multiplied(a.rows.at, b.rows.at, out.rows.at, *self._layout(a.level))
        return out

    def rescale(self, a: Value) -> Ciphertext:
        """Drop a prime; the scale is set to its exact value, so that sums find equal scales."""
        a = self.settled(a)
        ring, level = self.ring, a.level + 1
        scales, divisor = ring.ring.scales, ring.ring.moduli[ring.primes(a.level) - 1]
        if level >= len(scales) or abs(a.scale / divisor / scales[level] - 1) > SCALE_ROUNDING:
            raise Rejected(
                f"a ciphertext that is rescaled to level {level} does not come to the scale there", NOT_EVALUATED
            )
        out, rooms = ring.ciphertext(a.size, level, scales[level]), ring.rows(2 * a.size)
        primes, *layout = self._layout(a.level)
        self._kernels.divided(a.rows.at, out.rows.at, a.size, primes, ring.count, *layout, ring.pairs, rooms.at)
        if self._bare(out):
            raise self._cancelled(out)
        return out

    # sums

    def negate(self, a: Value) -> Ciphertext:
        """A new ciphertext."""
        a = self.settled(a)
        out = self.ring.ciphertext(a.size, a.level, a.scale)
        self._kernels.negated(a.rows.at, out.rows.at, a.size, *self._layout(a.level))
        return out

    def add(self, total: Value, term: Value, sign: int, *, owned: bool) -> Value:
        """Sums that wait are put together; others are added up, into ``total`` where it is owned. What is subtracted
        does not wait."""
        self._same_level(total.level, term.level)
        self._same_scale(total.scale, term.scale)
        a = self._joinable(total, owned)
        b = self._joinable(term, False) if sign > 0 else self.settled(term)
        owned = owned and a is total
        if (isinstance(a, Pending) or isinstance(b, Pending)) and self._size(a) == self._size(b) == 2:
            return self._joined(a, b, sign, owned)
        first, second = self.settled(a), self.settled(b)
        return self._added(first, second, sign, owned and first is a)

    def _joinable(self, a: Value, owned: bool) -> Value:
        """A sum that waits can become part of one other sum; after that its ciphertext is."""
        if isinstance(a, Pending) and (a.value is not None or (a.merged and not owned)):
            return self.settled(a)
        return a

    def _size(self, a: Value) -> int:
        return a.size if isinstance(a, Ciphertext) else 2

    def _joined(self, a: Value, b: Value, sign: int, owned: bool) -> Pending:
        if owned and isinstance(a, Pending):
            out = a
        else:
            out = Pending(a.level, a.scale, [])
            self._join(out, a)
        if sign > 0:
            self._join(out, b)
        else:
            out.minus.append(self.settled(b))
        return out

    def _join(self, out: Pending, part: Value) -> None:
        if isinstance(part, Ciphertext):
            out.plus.append(part)
        else:
            part.merged = True
            out.switches += part.switches
            out.plus += part.plus
            out.minus += part.minus

    def _added(self, a: Ciphertext, b: Ciphertext, sign: int, owned: bool) -> Ciphertext:
        size, common = max(a.size, b.size), min(a.size, b.size)
        out = a if owned and a.size == size else self.ring.ciphertext(size, a.level, a.scale)
        out.digits = None
        kernel = self._kernels.added if sign > 0 else self._kernels.subtracted
        kernel(a.rows.at, b.rows.at, out.rows.at, common, *self._layout(a.level))
        if size > common and out is not a:
            # the third polynomial of one of them
            start = self.ring.primes(a.level) * common
            if b.size > a.size and sign < 0:
                at = 8 * self.ring.stride * start
                self._kernels.negated(b.rows.at + at, out.rows.at + at, size - common, *self._layout(a.level))
            else:
                longer = a if a.size > b.size else b
                self.ring.view(out.rows)[start:] = self.ring.view(longer.rows)[start:]
        if self._bare(out):
            raise self._cancelled(out)
        return out

    def add_plain(self, a: Value, plain: Encoded, sign: int) -> Ciphertext:
        """A new ciphertext."""
        a = self.settled(a)
        self._same_level(a.level, plain.level)
        self._same_scale(a.scale, plain.scale)
        ring = self.ring
        out = ring.ciphertext(a.size, a.level, a.scale)
        ring.view(out.rows)[:] = ring.view(a.rows)
        kernel = self._kernels.added if sign > 0 else self._kernels.subtracted
        (at,), _held = self._expanded([plain])
        kernel(a.rows.at, at, out.rows.at, 1, *self._layout(a.level))
        return out

    def zero(self, like: Encoded | Value) -> Ciphertext:
        """The pair (0, 1), which decrypts to the secret key: its coefficients are -1, 0 and 1, at any scale."""
        out = self.ring.ciphertext(2, like.level, like.scale)
        view = self.ring.view(out.rows)
        view[: self.ring.primes(like.level)] = 0
        view[self.ring.primes(like.level) :] = 1
        return out

    # checks

    def _layout(self, level: int) -> tuple[int, int, int, int]:
        ring = self.ring
        return ring.primes(level), ring.degree, ring.stride, ring.table

    def _bare(self, a: Ciphertext) -> bool:
        """Whether nothing hides the first polynomial: all others are zero."""
        view = self.ring.view(a.rows)
        rest = view[self.ring.primes(a.level) :]
        return not rest[0, 0] and not rest[:, : self.ring.degree].any()

    def _cancelled(self, a: Ciphertext) -> Cancelled:
        """What to raise for a bare ciphertext."""
        primes, degree = self.ring.primes(a.level), self.ring.degree
        if not self.ring.view(a.rows)[:primes, :degree].any():
            return Cancelled(None)
        if a.size == 2:
            return Cancelled(a)
        rest = self.ring.ciphertext(2, a.level, a.scale)
        self.ring.view(rest.rows)[:] = self.ring.view(a.rows)[: 2 * primes]
        return Cancelled(rest)

    def _of_two(self, a: Ciphertext) -> None:
        if a.size > 2:
            raise Rejected("a product of ciphertexts is used before it is relinearised", NOT_EVALUATED)

    def _same_level(self, *levels: int) -> None:
        if len(set(levels)) > 1:
            raise Rejected(f"operands are at levels {' and '.join(map(str, sorted(set(levels))))}", NOT_EVALUATED)

    def _same_scale(self, scale: float, other: float) -> None:
        if abs(scale / other - 1) > SCALE_ROUNDING:
            raise Rejected(f"operands have scales {scale:.6g} and {other:.6g}", NOT_EVALUATED)
