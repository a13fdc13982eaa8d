"""The operations of an evaluation: what emitted code calls, and the Protocol that a backend implements.

``Evaluation`` keeps the books: zeros, counts, shared results, rotations that are composed of others, and sums by trees,
by Horner's rule and by doubling. A backend only computes, on ciphertexts and plaintexts that are not zero. This file
imports neither tenseal nor numba, so that a checker can evaluate on symbols.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, Generic, Protocol, TypeVar

from slotlang_runtime.errors import BYTES_OF_ANOTHER, NOT_EVALUATED, Rejected
from slotlang_runtime.parameters import Parameters

C = TypeVar("C")
P = TypeVar("P")

SCALE_ROUNDING = 2.0**-40
"""Relative difference of two scales that is rounding of doubles."""


class Cancelled(Exception):
    """The ciphertexts in a sum cancel, whatever the inputs, or what was added to a zero is divided: SEAL refuses what
    is left, as nothing hides it.

    ``rest``: a ciphertext that holds the plaintexts that were added, in the clear, and can be added to others; None
    where these cancel too.
    """

    def __init__(self, rest: Any = None) -> None:
        super().__init__()
        self.rest = rest


class Operations(Protocol[C, P]):
    """What a backend computes. ``C`` is its ciphertext, ``P`` its plaintext; neither is ever zero everywhere.

    No operation changes its operands, except ``add`` where ``owned`` allows it. A product of ciphertexts has three
    polynomials until it is relinearised. Those can be added, also to others of two, multiplied with plaintexts, negated
    and rescaled; any other operation refuses them.
    """

    def rotate(self, a: C, step: int) -> C:
        """``a << step``, by one key switch with the key of exactly this step, 0 < step < slots."""

    def conjugate(self, a: C) -> C:
        """The complex conjugate, by one key switch."""

    def multiply_plain(self, a: C, plain: P) -> C:
        """Ciphertext times plaintext; the scales multiply."""

    def multiply(self, a: C, b: C) -> C:
        """Ciphertext times ciphertext, of three polynomials."""

    def relinearize(self, a: C) -> C:
        """``a`` with two polynomials, by one key switch; ``a`` itself where it has two."""

    def rescale(self, a: C) -> C:
        """``a`` at the next level, one prime fewer, at exactly the scale that ``Levels`` has there. Raises Rejected
        where ``a`` does not come to this scale, and ``Cancelled``."""

    def negate(self, a: C) -> C:
        """``-a``."""

    def add(self, total: C, term: C, sign: int, *, owned: bool) -> C:
        """``total + term``, or ``total - term`` for a negative sign. ``owned``: ``total`` may be overwritten. Raises
        ``Cancelled``."""

    def dot(self, pairs: list[tuple[C, P]]) -> C | None:
        """The sum of ciphertexts, each times a plaintext, in one pass; None where this backend can't do it. Raises
        ``Cancelled``."""

    def add_plain(self, a: C, plain: P, sign: int) -> C:
        """``a + plain``, or ``a - plain`` for a negative sign."""

    def zero(self, like: P | C) -> C:
        """A new ciphertext that decrypts to no more than the noise of a fresh one, at the level and scale of a
        plaintext, or of what a sum left."""


class Evaluation(Generic[C, P]):
    """The operations of one evaluation, counted. None stands for a ciphertext or plaintext that is zero everywhere.

    ``slots``: the program's number of slots, at most the ring's.
    """

    def __init__(self, operations: Operations[C, P], parameters: Parameters, slots: int):
        self.operations = operations
        self.slots = slots
        self.counts: Counter[str] = Counter()
        self.vanished = 0
        self._steps = frozenset(parameters.rotations)
        self._routes = parameters.routes
        self._conjugation = parameters.conjugation
        self._relinearization = parameters.relinearization
        self._known: dict[tuple[Any, ...], tuple[C | None, tuple[Any, ...]]] = {}
        self._rotated: C | None = None
        self._rotations: dict[int, C] = {}

    # what is computed once

    def once(self, operation: Callable[..., C | None], *operands: Any) -> C | None:
        """The result of an operation that the program asks for several times, computed once."""
        name = operation.__name__
        if name == "rotate":
            operands = (operands[0], operands[1] % self.slots)
        elif name == "product":
            operands = tuple(sorted(operands, key=id))
        key = (name, *(o if isinstance(o, int | str) else id(o) for o in operands))
        if key not in self._known:
            # the operands are kept: their ids stay theirs
            self._known[key] = (operation(*operands), operands)
        return self._known[key][0]

    # key switches

    def rotate(self, a: C | None, step: int) -> C | None:
        """``a << step``: one key switch with the key of this step, or those of its route."""
        step %= self.slots
        if a is None or step == 0:
            return a
        if not self._routes:
            return self._switch(a, step)
        if self._rotated is not a:
            self._rotated, self._rotations = a, {}
        at = 0
        for part in self._routes.get(step, (step,)):
            # rotations of one ciphertext right after each other share what their routes start with
            at = (at + part) % self.slots
            if at not in self._rotations:
                self._rotations[at] = self._switch(a, part)
            a = self._rotations[at]
        return a

    def _switch(self, a: C, step: int) -> C:
        if step not in self._steps:
            raise Rejected(f"there is no Galois key for a rotation by {step}", BYTES_OF_ANOTHER)
        self.counts["rotations"] += 1
        return self.operations.rotate(a, step)

    def conj(self, a: C | None) -> C | None:
        """Complex conjugate; one key switch."""
        if a is None:
            return None
        if not self._conjugation:
            raise Rejected("there is no Galois key for conjugation", BYTES_OF_ANOTHER)
        self.counts["conjugations"] += 1
        return self.operations.conjugate(a)

    def product(self, a: C | None, b: C | None) -> C | None:
        """Ciphertext times ciphertext, to be relinearised before it is rotated, multiplied with another or returned."""
        if a is None or b is None:
            return None
        self.counts["cipher_products"] += 1
        return self.operations.multiply(a, b)

    def relinearize(self, a: C | None) -> C | None:
        """Back to two polynomials, after products of ciphertexts; one key switch."""
        if a is None:
            return None
        if not self._relinearization:
            raise Rejected("there is no relinearization key", BYTES_OF_ANOTHER)
        two = self.operations.relinearize(a)
        self.counts["relinearizations"] += two is not a
        return two

    # products with plaintexts, and sums

    def multiply(self, a: C | None, plain: P | None) -> C | None:
        """Ciphertext times plaintext."""
        if a is None or plain is None:
            return None
        self.counts["plain_products"] += 1
        return self.operations.multiply_plain(a, plain)

    def rescale(self, a: C | None) -> C | None:
        """Drop a prime."""
        if a is None:
            return None
        self.counts["rescales"] += 1
        try:
            return self.operations.rescale(a)
        except Cancelled as found:
            return None if found.rest is None else self._covered(found.rest)

    def negate(self, a: C | None) -> C | None:
        """``-a``."""
        if a is None:
            return None
        self.counts["negations"] += 1
        return self.operations.negate(a)

    def sum(self, terms: Iterable[C | None]) -> C | None:
        """Sum of ciphertexts."""
        return self._total((1, term) for term in terms)

    def sum_of(self, *terms: C | None) -> C | None:
        """``sum`` of its arguments."""
        return self.sum(terms)

    def dot(self, pairs: Iterable[tuple[C | None, P | None]]) -> C | None:
        """Sum of ciphertexts, each times a plaintext: in one pass where the backend can, and otherwise one by one."""
        kept = [(a, plain) for a, plain in pairs if a is not None and plain is not None]
        if len(kept) > 1:
            rest, cancelled = None, False
            try:
                total = self.operations.dot(kept)
            except Cancelled as found:
                total, rest, cancelled = None, found.rest, True
            if total is not None or cancelled:
                self.counts["plain_products"] += len(kept)
                self.counts["additions"] += len(kept) - 1
                self.vanished += cancelled and rest is None
                return total if rest is None else self._covered(rest)
        return self.sum(self.multiply(a, plain) for a, plain in kept)

    def combine(self, signs: str, *terms: C | None) -> C | None:
        """Signed sum; ``signs`` has a + or - for every term. A term subtracted from itself cancels."""
        signed = [(sign, term) for sign, term in zip(signs, terms, strict=True) if term is not None]
        added = [term for sign, term in signed if sign == "+"]
        subtracted = []
        for term in (term for sign, term in signed if sign == "-"):
            same = next((n for n, other in enumerate(added) if other is term), None)
            if same is None:
                subtracted.append(term)
            else:
                del added[same]
        return self._total([(1, term) for term in added] + [(-1, term) for term in subtracted])

    def _total(self, signed: Iterable[tuple[int, C | None]]) -> C | None:
        # the first addition makes a new ciphertext, later ones go into it
        total: C | None = None
        owned = bare = False
        for sign, term in signed:
            if term is None:
                continue
            if total is None:
                total, owned = (term, False) if sign > 0 else (self.negate(term), True)
                continue
            self.counts["additions"] += 1
            try:
                total, owned, bare = self.operations.add(total, term, sign, owned=owned), True, False
            except Cancelled as found:
                total = found.rest
                owned = bare = total is not None
                self.vanished += not bare
        return self._covered(total) if bare else total

    def _covered(self, rest: Any) -> C:
        """What a sum left in the clear, added to an encrypted zero."""
        return self.operations.add(self.operations.zero(rest), rest, 1, owned=True)

    def add_plain(self, a: C | None, plain: P | None, sign: int = 1) -> C | None:
        """Ciphertext plus or minus plaintext."""
        if plain is None:
            return a
        if a is None:
            a = self.operations.zero(plain)
        else:
            self.counts["additions"] += 1
        return self.operations.add_plain(a, plain, sign)

    def hide(self, a: C | None, masks: Iterable[P]) -> C | None:
        """``a`` plus random plaintexts that hide slots that are not part of the result. A zero that no input changes
        stays zero."""
        if a is None:
            return None
        for plain in masks:
            self.counts["masks"] += 1
            a = self.operations.add_plain(a, plain, 1)
        return a

    # sums of rotations

    def _rotate_and_add(
        self, shared: bool
    ) -> tuple[Callable[[C | None, int], C | None], Callable[[C | None, C | None], C | None]]:
        """Rotation and addition for the sums below; computed once each where the program shares them."""
        if not shared:
            return self.rotate, self.sum_of
        return (lambda a, step: self.once(self.rotate, a, step)), (lambda a, b: self.once(self.sum_of, a, b))

    def tree(self, terms: Iterable[C | None], shared: bool = False) -> C | None:
        """Sum by a balanced tree: neighbours first, then sums of two, and so on."""
        _, add = self._rotate_and_add(shared)
        waiting: list[tuple[int, C | None]] = []
        for total in terms:
            size = 1
            while waiting and waiting[-1][0] == size:
                total, size = add(waiting.pop()[1], total), 2 * size
            waiting.append((size, total))
        _, total = waiting.pop()
        while waiting:
            total = add(waiting.pop()[1], total)
        return total

    def horner(self, terms: Iterable[C | None], step: int, shared: bool = False) -> C | None:
        """``sum v: term(v) << v*step``, the terms given last one first; every rotation is by ``step``."""
        rotate, add = self._rotate_and_add(shared)
        remaining = iter(terms)
        total = next(remaining)
        for term in remaining:
            total = add(rotate(total, step), term)
        return total

    def doubling(self, a: C | None, step: int, count: int, radix: int = 2, shared: bool = False) -> C | None:
        """``sum f < count: a << f*step``, at most ``radix`` copies at a time.

        While the count has a divisor from 2 to the radix, the largest is how many copies are added up, widest rotations
        first. What is left goes by its digits in base ``radix``.
        """
        if type(count) is not int or count < 1:
            raise Rejected(f"a sum of {count!r} rotations", NOT_EVALUATED)
        if type(radix) is not int or radix < 2:
            raise Rejected(f"a sum of {radix!r} rotations at a time", NOT_EVALUATED)
        # the largest divisor; a prime number beyond the radix has none
        copies = next((d for d in range(min(count, radix), 1, -1) if count % d == 0), 0)
        if not copies:
            return self._digits(a, step, count, radix, shared)
        rest = count // copies
        return self.doubling(self._copies(a, a, rest * step, copies, shared), step, rest, radix, shared)

    def _digits(self, a: C | None, step: int, count: int, radix: int, shared: bool) -> C | None:
        """``sum f < count: a << f*step`` by the digits of the count."""
        if count < radix:
            return self._copies(a, a, step, count, shared)
        most, digit = divmod(count, radix)
        total = self._digits(a, step, most, radix, shared)
        total = self._copies(total, total, most * step, radix, shared)
        return self._copies(a, total, step, digit + 1, shared)

    def _copies(self, a: C | None, last: C | None, step: int, copies: int, shared: bool) -> C | None:
        """``a + (a << step) + (a << 2*step) + ...``: this many terms, the last of which is ``last``, rotated as far."""
        if copies == 1:
            return last
        rotate, _ = self._rotate_and_add(shared)
        rotated = (rotate(last if k == copies - 1 else a, k * step) for k in range(1, copies))
        return self.once(self.sum_of, a, *rotated) if shared else self.sum(chain((a,), rotated))
