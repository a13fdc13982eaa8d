"""What ``slotlang synth`` finds over a grid of shapes: ``python -m benchmarks.grid`` writes docs/synth-grid.md.

Shapes are taken from small to large, one for each process. The page is written again with every row, so that a run that
is interrupted, or ends after ``--seconds``, keeps what it has; what was not reached is said.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pool
from pathlib import Path

from slotlang.cost.profile import find_profile
from slotlang.diagnostics import SlotError
from slotlang.planning.target import Target
from slotlang.search.candidate import Candidate, Limits
from slotlang.search.crossover import columns_from
from slotlang.search.search import finalists_for, search, start
from slotlang.search.structure import Shape

PAGE = Path(__file__).resolve().parents[1] / "docs" / "synth-grid.md"
RANKS = (4, 8, 16, 32, 64, 128)
WIDTHS = ((384, 384), (2048, 2048), (4096, 4096), (8192, 8192), (4096, 14336), (14336, 4096), (4096, 1024))
BATCHES = (1, 2, 8, 64, 512)

PREFACE = """\
# What the search finds

What `slotlang synth` picks for the least time of a server's request, at a relative error of at most
{precision:g}, with no more ciphertexts up than x needs. Every row is a proved program, which `slotlang synth` with the
row's shape writes. Times are predicted, for one thread, by the profile *{profile}*: *ms* of a request at the
server (to read, evaluate and write), and of them for a token. Primes leave 128 bits of security, the last is the
key prime. The rows come from

```text
{command}
```

which searches as the command line does.{missing} {searching}

"""

HEADS = (
    "channels",
    "rank",
    "tokens",
    "structure",
    "degree: primes",
    "ms",
    "ms per token",
    "key switches",
    "keys",
    "products",
    "up",
    "down",
    "error",
)


def row(shape: Shape, c: Candidate) -> str:
    """A line of the table."""
    ms = 1e3 * c.predicted.server
    widths = f"{shape.d_in}" if shape.d_in == shape.d_out else f"{shape.d_in} → {shape.d_out}"
    groups = f", {c.structure.groups} groups of {c.structure.held} tokens" if c.structure.groups > 1 else ""
    primes = f"{c.parameters.degree}: {','.join(map(str, c.parameters.primes))}"
    cells = (
        widths,
        shape.rank,
        shape.batch,
        c.structure.name() + groups,
        primes + (f", {c.parameters.rescales()}" if c.parameters.drops or c.parameters.cut else ""),
        f"{ms:,.1f}",
        f"{ms / shape.batch:,.2f}",
        c.counts.key_switches,
        c.counts.galois_keys,
        f"{c.counts.plain_products:,}",
        c.counts.ciphertexts_in,
        c.counts.ciphertexts_out,
        f"{c.error:.0e}",
    )
    return f"| {' | '.join(map(str, cells))} |\n"


@dataclass(frozen=True)
class Searched:
    """A shape's row, or why it has none, with the seconds of CPU until the first proved program and to the end."""

    shape: Shape
    row: str
    first: float
    whole: float
    problem: str = ""


def searched(shape: Shape, precision: float) -> Searched:
    """What the command line searches, in a process whose imports are done."""
    found, profile, firsts = start(shape, "time", Target(precision=precision), Limits()), find_profile(), []
    began = time.process_time()

    def improved(_: Candidate) -> None:
        firsts.append(time.process_time() - began)

    try:
        search(found, profile, improved=improved, finalists=finalists_for(shape))
        columns_from(shape, Target(precision=precision), profile)
    except SlotError as problem:
        return Searched(shape, "", 0.0, time.process_time() - began, str(problem))
    return Searched(shape, row(shape, found.ranked[0]), firsts[0], time.process_time() - began)


def span(values: Sequence[float]) -> str:
    """Least to largest, and the median."""
    return f"{min(values):.1f} to {max(values):.1f} s (median {statistics.median(values):.1f})"


def page(options: argparse.Namespace, found: Sequence[Searched], shapes: int) -> str:
    """All of it, with what is missing."""
    rows = [f for f in found if f.row]
    left, refused = shapes - len(found), len(found) - len(rows)
    missing = f" {left} of the {shapes} shapes, the largest, were not reached." if left else ""
    missing += f" For {refused} there is no schedule of that precision." if refused else ""
    searching = (
        f"A search took {span([f.whole for f in rows])} of one thread's CPU time, imports apart; its first proved "
        f"program stood after {span([f.first for f in rows])}."
        if rows
        else ""
    )
    preface = PREFACE.format(
        profile=find_profile().name,
        precision=options.precision,
        command=" ".join(["python -m benchmarks.grid", *sys.argv[1:]]),
        missing=missing,
        searching=searching,
    )
    order = {widths: n for n, widths in enumerate(WIDTHS)}
    rows.sort(key=lambda f: (order[f.shape.d_in, f.shape.d_out], f.shape.rank, f.shape.batch))
    head = f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}\n"
    return preface + head + "".join(f.row for f in rows)


def main() -> None:
    """Search, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precision", type=float, default=1e-3)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--ranks", default=",".join(map(str, RANKS)))
    parser.add_argument("--batches", default=",".join(map(str, BATCHES)))
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args()
    ranks, batches = ([int(n) for n in text.split(",")] for text in (options.ranks, options.batches))
    shapes = [Shape(*widths, rank, batch) for widths in WIDTHS for rank in ranks for batch in batches]
    shapes.sort(key=lambda s: (s.d_in + s.d_out) * s.rank * s.batch)
    found: list[Searched] = []
    ends = time.monotonic() + options.seconds
    work = partial(searched, precision=options.precision)
    # an interrupt is for this process, which ends the others
    with suppress(KeyboardInterrupt), Pool(options.jobs, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        for one in pool.imap_unordered(work, shapes):
            found.append(one)
            said = one.row or f"{one.shape}: {one.problem}\n"
            print(f"{len(found)}/{len(shapes)} {one.first:.1f} {one.whole:.1f} s {said}", end="", file=sys.stderr)
            sys.stderr.flush()
            options.page.write_text(page(options, found, len(shapes)), encoding="utf-8")
            if time.monotonic() > ends:
                break


if __name__ == "__main__":
    main()
