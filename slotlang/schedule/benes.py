"""Routes: ways through which every slot of a ciphertext can reach its destination.

A route is a list of position arrays, each an int64 permutation of 0..n-1 of shape (n,): where the content
of slot e stands before the first move, after the first, ..., and at the end; the first array is 0..n-1, the
last is the destination. Any two arrays of a route are the two sides of one possible stage, so whoever
prices a route may leave out any array between the first and the last. The generators here place the arrays
so that few distinct distances lie between neighbours; ``slotlang.schedule.permutation`` merges and prices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Positions",
    "benes_routes",
    "bit_routes",
    "matched_route",
    "shift_routes",
    "split_sizes",
    "with_rotation",
]

Positions = NDArray[np.int64]


def _is_permutation(positions: Positions) -> bool:
    return bool(np.all(np.bincount(positions, minlength=len(positions)) == 1))


def _inverse(permutation: Positions) -> Positions:
    inverse = np.empty_like(permutation)
    inverse[permutation] = np.arange(len(permutation))
    return inverse


def benes_routes(destination: Positions) -> Iterator[list[Positions]]:
    """The Benes networks of a permutation of n = m * 2^k slots, m odd: 2k-1 layers if m = 1, else 2k+1.

    A layer swaps slots at one distance 2^j, so its shifts are among {0, 2^j, -2^j}; with m > 1 the layer
    in the middle moves by multiples of 2^k. Yields the orders of j ascending and descending towards the
    middle, each with the free choice of every loop made for few swaps in its first or in its second half.
    Nothing for odd n. Source: V. Benes, Mathematical Theory of Connecting Networks (1965); the merging of
    layers under cyclic shifts is Halevi and Shoup, Algorithms in HElib (2014).
    """
    n = len(destination)
    twos = (n & -n).bit_length() - 1
    orders = [list(range(twos)), list(range(twos - 1, -1, -1))]
    if n == 1 << twos:
        orders = [order[:-1] for order in orders]
    for bits in orders:
        if bits:
            yield _benes(destination, bits, spare_second_half=False)
            yield _benes(destination, bits, spare_second_half=True)


def _benes(destination: Positions, bits: Sequence[int], spare_second_half: bool) -> list[Positions]:
    """The looping algorithm on all subnetworks of a layer at once.

    Both halves of the network are built from the outside: ``front`` and ``back`` come to agree on one more
    bit in each round, and the bit they agree on is a 2-colouring: slots that differ only in that bit, in
    front or in back, get different colours. The loops of that constraint are cycles of a permutation, found
    by pointer doubling in log2(n) numpy steps.
    """
    n = len(destination)
    front, back = np.arange(n), destination
    fronts, backs = [front], [back]
    for bit in bits:
        front_mate = _inverse(front)[front ^ (1 << bit)]
        back_mate = _inverse(back)[back ^ (1 << bit)]
        jump = front_mate[back_mate]
        label = np.arange(n)
        for _ in range(n.bit_length()):
            least = np.minimum(label, label[jump])
            if np.array_equal(least, label):
                # the least of a stretch is that of the next one everywhere, so that it is that of the loop
                break
            label, jump = least, jump[jump]
        side = label > label[front_mate]
        loop = np.minimum(label, label[front_mate])
        # Swapped slots minus straight ones in each loop, first and second half.
        first = np.bincount(loop, weights=np.where((front >> bit & 1) != side, 1, -1), minlength=n)
        second = np.bincount(loop, weights=np.where((back >> bit & 1) != side, 1, -1), minlength=n)
        if spare_second_half:
            first, second = second, first
        crossed = (first > 0) | ((first == 0) & (second > 0))
        colour = (side ^ crossed[loop]).astype(np.int64) << bit
        front, back = front & ~(1 << bit) | colour, back & ~(1 << bit) | colour
        fronts.append(front)
        backs.append(back)
    return fronts + backs[::-1]


def shift_routes(destination: Positions) -> Iterator[list[Positions]]:
    """Log-shift networks: each slot's shift is written in digits and moved digit by digit.

    The shift from slot e is c + g*x with g the common divisor of the differences of shifts; x is cut by a
    chain of moduli (powers of two; for other n also the prime factors of n/g), low digits first and high
    digits first, for two choices of c. An array in which two contents would collide is left out; a route
    in which all collide is not yielded.
    """
    n = len(destination)
    start = np.arange(n)
    shifts = (start - destination) % n
    unit = int(np.gcd.reduce(shifts - shifts[0], initial=n))
    size = n // unit
    least = int(shifts[0]) % unit
    used = np.unique((shifts - least) // unit)
    gaps = np.diff(used, append=used[0] + size)
    behind_gap = int(used[(int(np.argmax(gaps)) + 1) % len(used)])
    for origin in dict.fromkeys((0, behind_gap)):
        digits = ((shifts - least) // unit - origin) % size
        for chain in _moduli(size):
            for parts in ([digits % q for q in chain], [digits - digits % q for q in reversed(chain)]):
                moved = [(start - unit * part) % n for part in parts]
                inner = [positions for positions in moved if _is_permutation(positions)]
                if inner:
                    yield [start, *inner, (start - unit * digits) % n, destination]


def _moduli(size: int) -> list[list[int]]:
    """Increasing chains of moduli below ``size``, in which digits are cut."""
    factors, rest, prime = [], size, 2
    while rest > 1:
        if prime * prime > rest:
            prime = rest
        while rest % prime == 0:
            factors.append(prime)
            rest //= prime
        prime += 1
    chains = [[1 << j for j in range(1, (size - 1).bit_length())]]
    for order in (factors, factors[::-1]):
        chain = [int(q) for q in np.cumprod(order[:-1], dtype=np.int64)]
        if chain not in chains:
            chains.append(chain)
    return chains


def bit_routes(destination: Positions) -> Iterator[list[Positions]]:
    """Routes of a slot permutation that permutes and complements the bits of the slot number.

    n = 2^k; transpositions of power-of-two axes, shuffles, bit reversal and s -> n-1-s are of this kind;
    nothing is yielded for others. One layer swaps bits i < j, so its shifts are {0, 2^j-2^i, 2^i-2^j}; then
    one layer for each complemented bit. A cycle of bits is a chain of swaps begun at its lowest or highest
    bit; disjoint cycles commute and are taken one after the other or in turns.
    """
    n = len(destination)
    k = n.bit_length() - 1
    if n != 1 << k:
        return
    start = np.arange(n)
    flips = int(destination[0])
    images = [int(destination[1 << i]) ^ flips for i in range(k)]
    rebuilt = np.full(n, flips)
    for i, image in enumerate(images):
        rebuilt ^= (start >> i & 1) * image
    if not np.array_equal(rebuilt, destination) or any(image.bit_count() != 1 for image in images):
        return
    target = [image.bit_length() - 1 for image in images]
    for first in (min, max):
        cycles: list[list[int]] = []
        for i in range(k):
            cycle = [i]
            while target[cycle[-1]] != i:
                cycle.append(target[cycle[-1]])
            at = cycle.index(first(cycle))
            if i == min(cycle):
                cycles.append(cycle[at:] + cycle[:at])
        chains = [list(zip(c[-2::-1], c[:0:-1], strict=True)) for c in cycles]
        one_by_one = [swap for chain in chains for swap in chain]
        in_turns = [swap for group in zip_longest(*chains) for swap in group if swap is not None]
        for swaps in (one_by_one, in_turns):
            route = [start]
            for i, j in swaps:
                differs = (route[-1] >> i ^ route[-1] >> j) & 1
                route.append(route[-1] ^ (differs << i | differs << j))
            for i in range(k):
                if flips >> i & 1:
                    route.append(route[-1] ^ 1 << i)
            yield route


def with_rotation(
    routes: Callable[[Positions], Iterator[list[Positions]]], destination: Positions
) -> Iterator[list[Positions]]:
    """``routes`` of the destination, and of what is left of it without a rotation at its end or its start.

    The rotations tried are those that leave slot 0 in place or in exchange with slot n-1, as permutations
    of bits with none or all of them complemented do.
    """
    n = len(destination)
    yield from routes(destination)
    first, last = int(destination[0]), -int(np.argmin(destination))
    turns = [(0, 0), (0, first), (0, (first + 1) % n), (last % n, 0), ((last - 1) % n, 0)]
    for before, after in list(dict.fromkeys(turns))[1:]:
        for route in routes((np.roll(destination, before) - after) % n):
            yield [np.arange(n), *(np.roll(positions, -before) for positions in route), destination]


_SHIFTS_PER_RESIDUE = 4.5
"""What ``_settle`` needs on random permutations of 4096 and 16384 slots: measured, 3.6 to 5.5."""

_WORK = 1 << 24
"""Most (content, slot) pairs that ``_settle`` looks at; 64 MiB of int32."""


@cache
def split_sizes(n: int, levels: int) -> tuple[float, tuple[int, ...]]:
    """Rotations expected of ``matched_route`` with ``levels`` levels, and the sizes that promise the fewest.

    ``levels`` - 1 sizes at most, descending, whose product divides n: the expectation is 4.5 times their sum
    plus n over their product.
    """
    best: tuple[float, tuple[int, ...]] = (float(n), ())
    if levels > 1:
        for size in range(2, n // 2 + 1):
            if _SHIFTS_PER_RESIDUE * size >= best[0]:
                break
            if n % size == 0:
                rotations, sizes = split_sizes(n // size, levels - 1)
                rotations += _SHIFTS_PER_RESIDUE * size
                best = min(best, (rotations, tuple(sorted((size, *sizes), reverse=True))))
    return best


def matched_route(destination: Positions, sizes: Sequence[int]) -> list[Positions] | None:
    """Settle the destination modulo sizes[0], then modulo sizes[0]*sizes[1], ..., then the rest.

    The product of ``sizes`` divides n. Where a Benes network or a Clos network needs two layers for a digit,
    one on either side of the middle, this takes one: among the slots of the right residue each content is
    matched to one that few shared shifts reach. None when n is too large for the matching.
    """
    route, span = [np.arange(len(destination))], 1
    for size in sizes:
        if len(destination) ** 2 // (span * size) > _WORK:
            return None
        route.append(_settle(route[-1], destination, span, size))
        span *= size
    return [*route, destination]


def _settle(position: Positions, destination: Positions, span: int, size: int) -> Positions:
    """Positions congruent to ``destination`` modulo span*size, few distinct shifts after ``position``.

    ``position`` is already right modulo ``span``. Contents and slots of one residue modulo span*size form a
    class, and each class needs a perfect matching along the chosen shifts. Shifts are chosen first for the
    most contents that they settle directly; near the end, where those are few, for the most classes in
    which they complete an augmenting path.
    """
    n = len(position)
    classes, each, ring = span * size, n // (span * size), n // span
    content = np.argsort(destination % classes, kind="stable").reshape(classes, each)
    residue = np.arange(classes)[:, None] // span
    here = position[content] // span
    there = residue + size * np.arange(each)[None, :]
    shift = (there.astype(np.int32)[:, None, :] - here.astype(np.int32)[:, :, None]) % ring
    # Flat numbers of contents and slots are class * each + place in the class; -1 is unmatched.
    slot_of = np.full((classes, each), -1)
    content_of = np.full((classes, each), -1)
    tails: list[Positions] = []
    heads: list[Positions] = []

    def add(step: int) -> tuple[Positions, Positions, Positions]:
        reached = (here + step) % ring
        cls, tail = np.nonzero(reached % size == residue)
        head = reached[cls, tail] // size
        tails.append(cls * each + tail)
        heads.append(cls * each + head)
        return cls, tail, head

    gain = np.bincount(shift.ravel(), minlength=ring)
    unmatched = n
    while unmatched > 0.15 * n:
        cls, tail, head = add(int(np.argmax(gain)))
        new = (slot_of[cls, tail] < 0) & (content_of[cls, head] < 0)
        cls, tail, head = cls[new], tail[new], head[new]
        gain -= np.bincount(shift[cls, tail][content_of[cls] < 0], minlength=ring)
        slot_of[cls, tail] = cls * each + head
        gain -= np.bincount(shift[cls, :, head][slot_of[cls] < 0], minlength=ring)
        content_of[cls, head] = cls * each + tail
        unmatched -= len(cls)

    shape, flat_slots, flat_contents = (classes, each), slot_of.reshape(-1), content_of.reshape(-1)
    while True:
        tail, head = np.concatenate(tails), np.concatenate(heads)
        open_contents = _augment(tail, head, flat_slots, flat_contents).reshape(shape)
        missing = np.count_nonzero(slot_of < 0, axis=1)
        short = np.flatnonzero(missing)
        if not len(short):
            break
        open_slots = _reaching(tail, head, flat_slots, flat_contents).reshape(shape)
        completes = np.zeros((len(short), ring), dtype=np.float32)
        for row, c in enumerate(short):
            completes[row, shift[c][np.ix_(open_contents[c], open_slots[c])]] = 1
        # Several shifts a round, as a matching costs more than a vote: an eighth of what a class lacks.
        for step in _vote(completes, -(-missing[short] // 8)):
            add(step)

    settled = np.empty(n, dtype=np.int64)
    place = slot_of % each
    settled[content] = np.take_along_axis(there, place, axis=1) * span + np.arange(classes)[:, None] % span
    return settled


def _vote(completes: NDArray[np.float32], wanted: Positions) -> list[int]:
    """Steps that help most classes, until each class c has got ``wanted[c]`` or all that help it.

    ``completes[c, step]`` is 1 where the step helps, else 0; overwritten.
    """
    steps: list[int] = []
    while np.any(wanted):
        votes = (wanted > 0).astype(np.float32) @ completes
        step = int(np.argmax(votes))
        if not votes[step]:
            break
        steps.append(step)
        wanted = np.maximum(wanted - completes[:, step].astype(np.int64), 0)
        completes[:, step] = 0
    return steps


def _augment(tail: Positions, head: Positions, slot_of: Positions, content_of: Positions) -> NDArray[np.bool_]:
    """Make the matching maximum in place; return the contents on alternating paths from unmatched ones.

    Edges join content ``tail[i]`` to slot ``head[i]``. Each round grows disjoint trees from all unmatched
    contents, breadth first, and turns one path in each tree that meets a free slot.
    """
    n = len(slot_of)
    while True:
        root = np.where(slot_of < 0, np.arange(n), -1)
        parent, end = np.full(n, -1), np.full(n, -1)
        front = slot_of < 0
        while True:
            live = np.flatnonzero(front[tail] & (parent[head] < 0))
            live = live[end[root[tail[live]]] < 0]
            if not len(live):
                break
            parent[head[live]] = tail[live]
            met = np.unique(head[live])
            met_root = root[parent[met]]
            free = content_of[met] < 0
            end[met_root[free]] = met[free]
            following = content_of[met[~free]]
            root[following] = met_root[~free]
            front = np.zeros(n, dtype=np.bool_)
            front[following] = True
        slots = end[end >= 0]
        if not len(slots):
            return root >= 0
        while len(slots):
            contents = parent[slots]
            freed = slot_of[contents]
            slot_of[contents] = slots
            content_of[slots] = contents
            slots = freed[freed >= 0]


def _reaching(tail: Positions, head: Positions, slot_of: Positions, content_of: Positions) -> NDArray[np.bool_]:
    """The slots that an alternating path joins to a free slot; the matching is maximum."""
    reaching = content_of < 0
    while True:
        slots = slot_of[tail[reaching[head]]]
        slots = slots[~reaching[slots]]
        if not len(slots):
            return reaching
        reaching[slots] = True
