"""What ``slotlang synth`` finds over a grid of shapes: ``python -m benchmarks.grid`` writes docs/synth-grid.md.

All of it takes about an hour; ``--seconds`` stops earlier, after the shape at hand, and every option leaves a part out.
Shapes are taken from small to large, and what was not reached is said.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from slotlang.cost.profile import find_profile
from slotlang.diagnostics import SlotError
from slotlang.search.search import Candidate, Limits, search, start
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
        primes + (f", {c.parameters.rescales()}" if c.parameters.drops else ""),
        f"{ms:,.1f}",
        f"{ms / shape.batch:,.2f}",
        c.key_switches,
        c.keys,
        f"{c.products:,}",
        c.ciphertexts_in,
        c.ciphertexts_out,
        f"{c.error:.0e}",
    )
    return f"| {' | '.join(map(str, cells))} |\n"


def main() -> None:
    """Search, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--precision", type=float, default=1e-3)
    parser.add_argument("--finalists", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--ranks", default=",".join(map(str, RANKS)))
    parser.add_argument("--batches", default=",".join(map(str, BATCHES)))
    options = parser.parse_args()
    profile = find_profile()
    ranks, batches = ([int(n) for n in text.split(",")] for text in (options.ranks, options.batches))
    shapes = [Shape(*widths, rank, batch) for widths in WIDTHS for rank in ranks for batch in batches]
    shapes.sort(key=lambda s: (s.d_in + s.d_out) * s.rank * s.batch)
    rows: dict[Shape, str] = {}
    ends = time.monotonic() + options.seconds
    for shape in shapes:
        if time.monotonic() > ends:
            break
        found = start(shape, "time", options.precision, Limits())
        try:
            search(found, profile, finalists=options.finalists)
        except SlotError as problem:
            print(f"{shape}: {problem}", file=sys.stderr)
            continue
        rows[shape] = row(shape, found.ranked[0])
        print(rows[shape], end="", file=sys.stderr, flush=True)
    missing = len(shapes) - len(rows)
    preface = PREFACE.format(
        profile=profile.name,
        precision=options.precision,
        command=" ".join(["python -m benchmarks.grid", *sys.argv[1:]]),
        finalists=options.finalists,
        missing=f" {missing} of the {len(shapes)} shapes, the largest, were not reached." if missing else "",
    )
    order = {widths: n for n, widths in enumerate(WIDTHS)}
    ordered = sorted(rows, key=lambda s: (order[s.d_in, s.d_out], s.rank, s.batch))
    head = f"| {' | '.join(HEADS)} |\n|{'---|' * len(HEADS)}\n"
    PAGE.write_text(preface + head + "".join(rows[s] for s in ordered), encoding="utf-8")


if __name__ == "__main__":
    main()
