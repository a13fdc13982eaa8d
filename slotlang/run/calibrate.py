"""Measuring the primitives: what TenSEAL takes for each, at every degree and number of primes that matters."""

from __future__ import annotations

import gc
import math
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from slotlang.cost.primitives import FAR_MEGABYTE, KINDS_OF_KERNELS
from slotlang.cost.profile import Profile, this_machine
from slotlang.diagnostics import error
from slotlang_runtime.parameters import DOUBLE_BITS, LARGEST_PRIME, LAZY_BITS

if TYPE_CHECKING:
    from slotlang.run.primitives import Sample
    from slotlang_runtime.module import Kernel

Points = Mapping[int, tuple[tuple[int, ...], tuple[int, ...]]]

POINTS: Points = {
    4096: ((36, 36, 37), (1, 2)),
    8192: ((60, 60, 33, 32, 33), (1, 2, 3, 4)),
    16384: ((60, *[40] * 7, 60), (1, 2, 3, 4, 6, 8)),
    32768: ((60, *[40] * 7, 60), (1, 2, 4, 8)),
}
"""By degree: primes in bits, as programs have them, and the numbers of data primes measured. More than 8 are
extrapolated: one Galois key of degree 32768 with 14 primes has 110 MB."""

KERNEL_POINTS: Mapping[int, Points] = {
    LARGEST_PRIME: {
        4096: ((51, 29, 29), (1, 2)),
        8192: POINTS[8192],
        16384: POINTS[16384],
        32768: POINTS[32768],
    },
    DOUBLE_BITS: {
        4096: ((50, 29, 30), (1, 2)),
        8192: ((50, *[42] * 4), (1, 2, 3, 4)),
        16384: ((48,) * 9, (1, 2, 3, 4, 6, 8)),
        32768: ((50,) * 9, (1, 2, 4, 8)),
    },
    LAZY_BITS: {
        4096: POINTS[4096],
        8192: ((44, 44, 43, 43, 44), (1, 2, 3, 4)),
        16384: ((45,) * 9, (1, 2, 3, 4, 6, 8)),
        32768: ((45,) * 9, (1, 2, 4, 8)),
    },
}
"""The same for each kind of compiled kernels, by bits of its largest prime."""

SECONDS = 40.0
"""Measuring stops when so much time has passed, after one round at least; preparing takes some seconds besides."""
MOST_ROUNDS = 15

SHORT = 2e-3
"""Seconds for which the reference operation runs before it is timed."""

Progress = Callable[[str, float], None]
"""Told what is done, and how much of all is done, from 0 to 1."""


class Yardstick:
    """How fast the machine is at a moment, by one short reference operation, and how fast it was at best.

    Where cores are shared, by threads of one core or by virtual machines, everything takes up to twice as long while
    others work, in CPU time too. A time divided by that of the reference operation at the same moment hardly changes.
    """

    def __init__(self) -> None:
        from slotlang.run.primitives import RingSamples

        bits, (_, primes) = POINTS[4096]
        self._rotation = next(RingSamples(4096, bits).samples((primes,)))
        self.fastest = math.inf

    def now(self) -> float:
        """Seconds that the operation takes now."""
        seconds = self._rotation.seconds(SHORT)
        self.fastest = min(self.fastest, seconds)
        return seconds


def calibrate(
    progress: Progress = lambda _, __: None,
    seconds: float = SECONDS,
    degrees: Sequence[int] = (),
    yardstick: Yardstick | None = None,
) -> Profile:
    """Measure this machine: ring after ring, medians over rounds that visit every primitive at every number of primes,
    in the calmer half of the moments. Each time is divided by that of a reference rotation measured just before and
    after, and given for the machine's fast moments. Without ``degrees`` all of ``POINTS``; a profile scales what it
    does not have from the nearest degree it has. ``yardstick``: one that was used before, so that its fastest moments
    count here too.

    Raises SL445 when TenSEAL is missing, SL446 for a degree that is not measured.
    """
    try:
        from slotlang.run.kernel_samples import KernelSamples, parts
        from slotlang.run.primitives import RingSamples
        from slotlang.run.request_samples import FEW, MANY, RequestSamples, fixed_of, is_call, split
        from slotlang_runtime.kernels.processor import processor
        from slotlang_runtime.kernels.unavailable import Unavailable
    except ImportError as problem:
        raise error("SL445", f"TenSEAL can't be imported: {problem}") from None
    wanted = sorted(set(degrees or POINTS))
    for degree in wanted:
        if degree not in POINTS:
            raise error("SL446", f"degree {degree} is not measured", hint=f"degrees are {', '.join(map(str, POINTS))}")
    start = time.perf_counter()
    # 0 stands for SEAL's operations
    rings: list[tuple[int, int, Callable[[], Iterable[Sample]]]] = []

    def operations(samples: type[RingSamples | KernelSamples], degree: int, points: Points) -> Iterable[Sample]:
        bits, primes = points[degree]
        return samples(degree, bits).samples(primes)

    def requests(kernel: Kernel, degree: int, points: Points) -> Iterable[Sample]:
        bits, primes = points[degree]
        found = RequestSamples(degree, bits, kernel)
        yield from found.samples(primes)
        if degree == wanted[0]:
            yield from found.samples((1,), (FEW, MANY))

    kinds: dict[int, Points] = {}
    with suppress(Unavailable):
        # a processor that has one kind for several sizes of primes is measured once
        kinds = {
            most: KERNEL_POINTS[most] for most in {processor().kind(n): n for n in reversed(KINDS_OF_KERNELS)}.values()
        }
    for degree in wanted:
        rings.append((0, degree, partial(operations, RingSamples, degree, POINTS)))
        rings.append((0, degree, partial(requests, "seal", degree, POINTS)))
        for most, points in kinds.items():
            rings.append((most, degree, partial(operations, KernelSamples, degree, points)))
            rings.append((most, degree, partial(requests, "compiled", degree, points)))
    yardstick = yardstick or Yardstick()
    found: dict[tuple[int, int, str, int], list[tuple[float, float]]] = defaultdict(list)
    spent = 0.0
    for number, (most, degree, make) in enumerate(rings):
        progress(f"preparing degree {degree}", number / len(rings))
        # one ring after the other: operands of all at once take 12 GB
        try:
            samples = list(make())
        except Unavailable:
            continue
        gc.collect()
        begun, until = time.perf_counter() - spent, seconds * (number + 1) / len(rings)
        for visit in range(MOST_ROUNDS):
            for at, sample in enumerate(samples):
                spent = time.perf_counter() - begun
                if visit and spent > until:
                    break
                before, measured, after = yardstick.now(), sample.seconds(), yardstick.now()
                key = most, degree, sample.primitive, sample.primes
                found[key].append((before + after, 2 * measured / (before + after)))
                if at % 32 == 0:
                    done = (visit + at / len(samples)) / MOST_ROUNDS
                    progress(f"degree {degree}: round {visit + 1}", (number + done) / len(rings))
        spent = time.perf_counter() - begun
        del samples
    progress(f"measured in {time.perf_counter() - start:.0f} s", 1.0)
    tables: dict[int, dict[int, dict[str, dict[int, float]]]] = {}
    for (most, degree, primitive, count), times in found.items():
        column = tables.setdefault(most, {}).setdefault(degree, {}).setdefault(primitive, {})
        column[count] = yardstick.fastest * calm(times)
    for table in tables.values():
        fixed = fixed_of({name: times[1] for name, times in table[wanted[0]].items() if 1 in times})
        for degree, primitives in table.items():
            _split_sums(primitives, degree)
            primitives |= split(primitives, fixed, degree // 2)
            _split_arrays(primitives)
            for name in [name for name in primitives if is_call(name)]:
                del primitives[name]
    seal = tables.pop(0)
    kernels = {most: {n: parts(primitives) for n, primitives in table.items()} for most, table in tables.items()}
    machine = this_machine()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    name = f"{machine.processor}, TenSEAL {machine.tenseal}"
    date = datetime.now(UTC).date().isoformat()
    return Profile(name, machine, date, load, seal, "", kernels.pop(LARGEST_PRIME, {}), kernels)


def calm(measured: Iterable[tuple[float, float]]) -> float:
    """The median of what was measured in the calmer half of the moments; each is given with how slow it was."""
    found = sorted(measured)
    return statistics.median(value for _, value in found[: -(-len(found) // 2)])


def _split_sums(primitives: dict[str, dict[int, float]], degree: int) -> None:
    """What a sum of products takes, in place of the sums that were measured: for each product, for each ciphertext that
    is read, besides, and for each megabyte that comes from the memory."""
    from slotlang.run.primitives import SUMS, sums_of

    few, many, together = (primitives.pop(sums_of(*shape)) for shape in SUMS)
    (_, least), (_, most), (sums, terms) = SUMS
    columns: tuple[dict[int, float], ...] = ({}, {}, {})
    for primes in few:
        # of a sum alone, a product and its ciphertext
        both = max(many[primes] - few[primes], 0.0) / (most - least)
        besides = max(few[primes] - least * both, 0.0)
        # sums * besides + sums * terms * product + terms * (both - product)
        product = (together[primes] - sums * besides - terms * both) / ((sums - 1) * terms)
        product = min(max(product, 0.0), both)
        for column, seconds in zip(columns, (besides, product, both - product), strict=True):
            column[primes] = seconds
    primitives |= zip(("dot", "dot_product", "dot_operand"), columns, strict=True)
    for primes, seconds in primitives.get(FAR_MEGABYTE, {}).items():
        megabytes = 8 * degree * primes * sums * terms / (1 << 20)
        primitives[FAR_MEGABYTE] = {1: max(seconds - together[primes], 0.0) / megabytes}


def _split_arrays(primitives: dict[str, dict[int, float]]) -> None:
    """What operations of numpy take besides their call."""
    for call in primitives.get("array_call", {}).values():
        for name in ("gather", "vector", "remainder"):
            primitives[name] = {slots: max(seconds - call, 0.0) for slots, seconds in primitives[name].items()}
