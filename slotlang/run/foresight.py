"""What a run will need, from its plan: memory, compared with the memory available, and time."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from slotlang.cost.profile import find_profile
from slotlang.cost.rows import peak_rows
from slotlang.diagnostics import error
from slotlang.planning.plan import Plan
from slotlang.run.activations import open_activations
from slotlang.run.roles import token_input
from slotlang.run.room import Room, margin, rooms
from slotlang_runtime.amounts import count_of
from slotlang_runtime.kernels.tables import PAD

SEAL = {"address space": 55_000_000, "memory": 25_000_000}
"""Bytes that TenSEAL takes when it is loaded and its context made: measured with version 0.3.18 on x86-64."""

KERNEL = {"address space": 200_000_000, "memory": 120_000_000}
"""Bytes that numba takes, and the kernel while it is compiled: measured with numba 0.61 to 0.65 on x86-64."""

BLAS_BUFFER = 32 << 20
"""Address space of OpenBLAS for each of its threads. It ends the process when it gets none."""

SLACK = 1.05
"""What runs took at most beyond the sum of their parts, as measured over programs of 16 MB to 1.1 GB."""


@dataclass(frozen=True)
class Need:
    """Bytes of memory that a run needs at its peak, beside what the process has already."""

    keys: int
    weights: int
    ciphertexts: int
    arrays: int

    @property
    def total(self) -> int:
        """The sum, without libraries."""
        return self.keys + self.weights + self.ciphertexts + self.arrays


def memory_needed(plan: Plan, evaluations: int, workers: int, *, cached: bool) -> Need:
    """The peak of a run with this many evaluations and ``workers``; ``cached``: encoded weights go to a file."""
    p, counts, program = plan.parameters, plan.counts, plan.program
    # the client's, their bytes twice while they are joined, and the server's
    keys = 2 * (plan.switching_key_bytes + plan.evaluation_key_bytes)
    threads = max(1, min(workers, evaluations))
    weights = plan.weight_bytes
    each = counts.peak_ciphertexts * p.ciphertext_bytes()
    if plan.kernel == "compiled":
        # each thread may be at the residues of a key, of which it makes the copy that kernels read
        keys += threads * max(map(p.key_bytes, plan.key_levels.switching), default=0)
        # rows have room behind them
        weights += weights * PAD // p.degree
        each = 8 * (p.degree + PAD) * peak_rows(plan.graph, p.data_primes)
        # an input as it was read, and results as they are written
        each += (1 + counts.ciphertexts_out) * p.ciphertext_bytes()
    # as bytes they are written and checked beside the encoded ones
    weights *= 3 if cached else 1
    transfer = plan.upload_bytes + plan.download_bytes
    alive = each * threads
    elements = dict.fromkeys(("input", "weight"), 0)
    for tensor in program.tensors.values():
        elements[tensor.kind] += math.prod(tensor.shape)
    # values, their scaled copy, and as much again for the product that results are compared with
    arrays = 8 * (3 * elements["weight"] + 3 * evaluations * elements["input"])
    return Need(keys, weights, evaluations * transfer + alive, arrays)


def check_run(
    plan: Plan, activations: Path | None, tokens: int | None, workers: int, *, cached: bool, most_seconds: float | None
) -> None:
    """Raises SL802 for a run that needs more memory than there is, and SL514 where all tokens of a file are predicted
    to take longer than ``most_seconds``. Only the file's header is read."""
    held, batch = 0, 1
    if activations is not None or tokens is not None:
        name = token_input(plan.program.syntax).name
        shape = plan.program.tensors[name].shape
        batch = shape[1] if len(shape) == 2 else 1
        held = open_activations(activations, shape[0], name).tokens if activations is not None else 0
    evaluations = math.ceil((tokens or held or 1) / batch)
    if tokens is None and held > 1 and activations is not None and most_seconds is not None:
        check_time(plan, held, evaluations, workers, most_seconds, activations)
    check_memory(plan, evaluations, workers, cached=cached)


def check_memory(plan: Plan, evaluations: int, workers: int, *, cached: bool) -> None:
    """Raises SL802 when a run needs more memory than a limit or the machine leaves."""
    need = memory_needed(plan, evaluations, workers, cached=cached)
    for room in rooms():
        libraries = _libraries(room, compiled=plan.kernel == "compiled")
        wanted = round(SLACK * need.total) + libraries
        if room.kind == "address space":
            wanted += margin(wanted)
        if wanted > room.free:
            parts = ", ".join(f"{_size(n)} for {name}" for name, n in _parts(need) if n)
            raise error(
                "SL802",
                f"this run needs about {_size(wanted)} of {room.kind}, and {_size(room.free)} are free",
                plan.program.span,
                notes=[room.why, f"{parts}, and {_size(libraries)} for libraries"],
                hint="choose smaller sizes with --set, or fewer --tokens or --workers",
            )


def _parts(need: Need) -> Iterator[tuple[str, int]]:
    yield from (("keys", need.keys), ("weights", need.weights))
    yield from (("ciphertexts", need.ciphertexts), ("arrays", need.arrays))


def _libraries(room: Room, *, compiled: bool) -> int:
    """Bytes of libraries that are not loaded yet."""
    seal = 0 if "tenseal" in sys.modules else SEAL[room.kind]
    kernel = KERNEL[room.kind] if compiled and "numba" not in sys.modules else 0
    threads = BLAS_BUFFER * min(os.cpu_count() or 1, 64) if room.kind == "address space" else 0
    return seal + kernel + threads


def seconds_needed(plan: Plan, evaluations: int, workers: int) -> tuple[float, str]:
    """Predicted seconds of all evaluations with encryption and decryption, and the profile's name.

    Raises as ``find_profile``.
    """
    predicted = plan.predicted(find_profile())
    share = max(1, min(workers, evaluations, os.cpu_count() or 1))
    each = predicted.encryption + predicted.decryption + (predicted.evaluation + predicted.masking) / share
    return predicted.encoding + evaluations * each, predicted.profile


def check_time(plan: Plan, tokens: int, evaluations: int, workers: int, most_seconds: float, file: Path) -> None:
    """Raises SL514 when all tokens of a file are predicted to take longer than ``most_seconds``."""
    seconds, profile = seconds_needed(plan, evaluations, workers)
    if seconds > most_seconds:
        raise error(
            "SL514",
            f"{count_of(tokens, 'token')} in {count_of(evaluations, 'evaluation')} will take about {duration(seconds)}",
            notes=[f"predicted by the profile {profile}, for {count_of(workers, 'worker')}"],
            hint="--tokens N runs the first N of them; --yes runs them all",
            file=str(file),
        )


def duration(seconds: float) -> str:
    """Seconds as a person says them: 40 s, 12 min, 3.5 h, 2.1 days."""
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            value = seconds / unit
            return f"{value:.0f} {name}" if name != "h" else f"{value:.1f} h"
    return f"{seconds / 86_400:,.1f} days"


def _size(count: int) -> str:
    """Bytes with three digits."""
    for limit, unit, name in ((1e6, 1e3, "kB"), (1e9, 1e6, "MB"), (1e12, 1e9, "GB")):
        if count < limit:
            return f"{count / unit:.3g} {name}"
    return f"{count / 1e12:,.4g} TB"
