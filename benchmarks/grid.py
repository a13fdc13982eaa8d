"""What ``slotlang synth`` finds over a grid of shapes: ``python -m benchmarks.grid`` writes docs/synth-grid.md.

Shapes are taken from small to large, one for each process. The page is written again with every row, so that a run that
is interrupted, or ends after ``--seconds``, keeps what it has; what was not reached is said.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from multiprocessing import Pool
from pathlib import Path

from slotlang.cost.profile import find_profile
from slotlang.diagnostics import SlotError
from slotlang.planning.target import Target
from slotlang.search.candidate import Candidate, Limits
from slotlang.search.search import search, start
from slotlang.search.structure import Shape

PAGE = Path(__file__).resolve().parents[1] / "docs" / "synth-grid.md"
RANKS = (4, 8, 16, 32, 64, 128)
WIDTHS = ((384, 384), (2048, 2048), (4096, 4096), (8192, 8192), (4096, 14336), (14336, 4096), (4096, 1024))
BATCHES = (1, 2, 8, 64, 512)

PREFACE = """\
# What the search finds

Predicted evaluation time of what `slotlang synth` picks for the least time, at a relative error of at most
{precision:g}, with no more ciphertexts up than x needs. Every row is a proved program, which `slotlang synth` with the
row's shape writes. Times are predicted, for one thread, by the profile *{profile}*. The rows come from

```text
{command}
```

which works out {finalists} structures of the best by formula for each shape; the command line works out more of them,
for the Pareto front. Primes leave 128 bits of security, the last is the key prime.{missing}

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
    ms = 1e3 * c.predicted.evaluation
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


def searched(shape: Shape, precision: float, finalists: int) -> tuple[Shape, str | SlotError]:
    """A shape with its row, or why it has none."""
    found = start(shape, "time", Target(precision=precision), Limits())
    try:
        search(found, find_profile(), finalists=finalists)
    except SlotError as problem:
        return shape, problem
    return shape, row(shape, found.ranked[0])


def page(options: argparse.Namespace, rows: Mapping[Shape, str], refused: int, shapes: int) -> str:
    """All of it, with what is missing."""
    left = shapes - len(rows) - refused
    missing = f" {left} of the {shapes} shapes, the largest, were not reached." if left else ""
    missing += f" For {refused} there is no schedule of that precision." if refused else ""
    preface = PREFACE.format(
        profile=find_profile().name,
        precision=options.precision,
        command=" ".join(["python -m benchmarks.grid", *sys.argv[1:]]),
        finalists=options.finalists,
        missing=missing,
    )
    order = {widths: n for n, widths in enumerate(WIDTHS)}
    ordered = sorted(rows, key=lambda s: (order[s.d_in, s.d_out], s.rank, s.batch))
    head = f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}\n"
    return preface + head + "".join(rows[s] for s in ordered)


def main() -> None:
    """Search, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precision", type=float, default=1e-3)
    parser.add_argument("--finalists", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--ranks", default=",".join(map(str, RANKS)))
    parser.add_argument("--batches", default=",".join(map(str, BATCHES)))
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args()
    ranks, batches = ([int(n) for n in text.split(",")] for text in (options.ranks, options.batches))
    shapes = [Shape(*widths, rank, batch) for widths in WIDTHS for rank in ranks for batch in batches]
    shapes.sort(key=lambda s: (s.d_in + s.d_out) * s.rank * s.batch)
    rows: dict[Shape, str] = {}
    refused = 0
    ends = time.monotonic() + options.seconds
    work = partial(searched, precision=options.precision, finalists=options.finalists)
    # an interrupt is for this process, which ends the others
    with suppress(KeyboardInterrupt), Pool(options.jobs, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        for shape, found in pool.imap_unordered(work, shapes):
            if isinstance(found, SlotError):
                refused += 1
                print(f"{shape}: {found}", file=sys.stderr)
            else:
                rows[shape] = found
                print(f"{len(rows) + refused}/{len(shapes)} {found}", end="", file=sys.stderr, flush=True)
            options.page.write_text(page(options, rows, refused, len(shapes)), encoding="utf-8")
            if time.monotonic() > ends:
                break


if __name__ == "__main__":
    main()
