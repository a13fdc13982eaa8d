"""What people use now against what slotlang makes, side by side in one run: same weights and inputs, 128-bit security.

- dense: A @ B multiplied out, diagonals with baby and giant steps, which the project's first design document starts
  from; a token at a time;
- TenSEAL: its own CKKSVector.matmul twice, the way a user would write it; a token at a time;
- tutorial: squat B and tall A with rank pairs, 8 tokens at a time (``programs/rank_complex.slot``), at the
  parameters of tutorials, 8192: 60,40,40,60, rescaled after products;
- fixed: the same at slotlang's fixed parameters;
- synth 1e-3, synth 1e-6: what ``slotlang synth`` picks for that precision.

Every scheme runs in a process of its own, and those of one shape take turns (``benchmarks/child.py``). Times are CPU
time of one thread. ``python -m benchmarks.schemes`` writes benchmarks/schemes.json; ``--docs`` rewrites the figures in
docs/benchmarks.md and their plot.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path

from benchmarks.child import (  # first: it keeps BLAS to one thread
    TENSEAL_DEGREE,
    TENSEAL_PRIMES,
    TENSEAL_SCALE,
    Child,
    Emitted,
    Ended,
    Row,
    Work,
    inputs_of,
    row,
    wants_more,
)

# isort: split
import numpy as np
from rich.console import Console
from rich.progress import Progress

from benchmarks.columns import emitted
from benchmarks.figures import SCHEMA, ms, terminal_tables, write_docs
from slotlang.adapter import read_adapter
from slotlang.api import loads, plan
from slotlang.cost.profile import find_profile, this_machine
from slotlang.meaning.program import Program
from slotlang.planning.parameters import Parameters
from slotlang.planning.plan import Plan
from slotlang.planning.target import Target
from slotlang.search.candidate import Limits
from slotlang.search.search import search, start
from slotlang.search.structure import Shape, Structure
from slotlang.search.text import text

__all__ = ["QUICK", "SHAPES", "Row", "inputs_of", "measured", "weights_of"]

ROOT = Path(__file__).resolve().parent.parent
OUT = Path(__file__).resolve().parent / "schemes.json"
TUTORIAL = Parameters(TENSEAL_DEGREE, tuple(TENSEAL_PRIMES), TENSEAL_SCALE, (1, 2))
REAL = 384
"""Channels for which there are weights of a real transformer."""
SHAPES = sorted(
    [
        *((d, r, tokens) for d in (REAL, 4096) for r in (8, 16, 64) for tokens in (1, 8, 64, 2048)),
        (1024, 8, 1),
        (4096, 16, 512),
    ]
)
QUICK = [(REAL, 8, 1), (REAL, 8, 8), (1024, 8, 1)]
PRECISIONS = (1e-3, 1e-6)
HELD = 8
"""Tokens of an evaluation of the schedule that is not searched."""
LARGEST_TENSEAL = 1024
"""Beyond, one token takes most of a minute."""
SLOTS_HELD = 4096
"""Of the ring of degree 8192, which the schedules that are not searched run in."""


def weights_of(d: int, r: int) -> tuple[np.ndarray, np.ndarray]:
    """A[d, r] and B[r, d]. At d = 384 those of a real transformer, derived by SVD: the adapter's modules side by side,
    cut to that size, the first r ranks; else random."""
    if d == REAL:
        modules = read_adapter(ROOT / "examples" / "minilm_adapter").modules.values()
        a = np.hstack([module.up[:d] for module in modules])
        b = np.vstack([module.down[:, :d] for module in modules])
        if a.shape[1] >= r:
            return a[:, :r].copy(), b[:r].copy()
    rng = np.random.default_rng(d + r)
    return rng.standard_normal((d, r)) / math.sqrt(r), rng.standard_normal((r, d)) / math.sqrt(d)


def measured(program: Program, parameters: Parameters | None, shape: tuple[int, int, int], scheme: str) -> Row:
    """One program on a shape, encrypted, in this process. Its weights are A and B; it has one input, and holds as many
    tokens as that has columns."""
    work = _work(plan(program, parameters), shape, scheme, program.name)
    subject, turns = Emitted(work), []
    while wants_more(turns):
        turns.append(subject.turn())
    return row(work, turns, subject.end())


def _work(made: Plan, shape: tuple[int, int, int], scheme: str, schedule: str) -> Work:
    counts = made.counts
    module = emitted(made)
    a, b = weights_of(*shape[:2])
    return Work(shape, scheme, module, a, b, schedule, made.parameters.text(), counts.key_switches, counts.galois_keys)


def schemes(shape: tuple[int, int, int], *, long: bool = False) -> list[str]:
    """Those that are measured on a shape. Dense diagonals and TenSEAL's product take a token after the other, and are
    measured on one; ``long``: the product on large shapes too."""
    d, _, tokens = shape
    alone = []
    if tokens == 1:
        alone = ["dense", "TenSEAL"] if d <= LARGEST_TENSEAL or long else ["dense"]
    return [*alone, "tutorial", "fixed", *map(_synth, PRECISIONS)]


def _synth(precision: float) -> str:
    return f"synth {precision:.0e}".replace("e-0", "e-")


def prepare(task: tuple[tuple[int, int, int], str]) -> Work:
    """Choose and lower a scheme's schedule for a shape."""
    shape, scheme = task
    d, r, tokens = shape
    if scheme == "TenSEAL":
        a, b = weights_of(d, r)
        primes = ",".join(map(str, TENSEAL_PRIMES))
        about = f"{TENSEAL_DEGREE}: {primes}, scale 2^{TENSEAL_SCALE}"
        return Work(shape, scheme, "", a, b, "CKKSVector.matmul", about)
    parameters = TUTORIAL if scheme == "tutorial" else None
    channels = 1 << (d - 1).bit_length()
    if scheme == "dense":
        baby = math.isqrt(channels)
        structure = Structure(Shape(d, d, r, 1), channels, 1, "real", True, channels, down=baby)
    elif scheme in ("tutorial", "fixed"):
        held = min(tokens, HELD)
        slots = min(SLOTS_HELD, channels * held)
        structure = Structure(Shape(d, d, r, held), slots, held, "pairs", False, 1 << (-(-r // 2) - 1).bit_length())
    else:
        precision = next(p for p in PRECISIONS if _synth(p) == scheme)
        found = start(Shape(d, d, r, tokens), "time", Target(precision=precision), Limits())
        search(found, find_profile())
        best = found.ranked[0]
        structure, parameters = best.structure.one_group(), best.parameters
    return _work(plan(loads(text(structure)), parameters), shape, scheme, structure.name())


def prepared(tasks: Sequence[tuple[tuple[int, int, int], str]], progress: Progress) -> dict[tuple, Work]:
    """All of them, by as many processes as there are processors: nothing is measured meanwhile."""
    bar = progress.add_task("choosing schedules", total=len(tasks))
    found = {}
    # the longest, those of many tokens, first
    order = sorted(tasks, key=lambda task: -math.prod(task[0]))
    with multiprocessing.get_context("fork").Pool(os.cpu_count() or 1) as pool:
        for work in pool.imap_unordered(prepare, order):
            found[work.shape, work.scheme] = work
            progress.advance(bar)
    return found


def side_by_side(works: Sequence[Work], say) -> Iterator[Row]:
    """The schemes of one shape in turns; one whose process ends early, for want of memory perhaps, is said, and left
    out."""
    children: list[Child] = []

    def tried(child: Child, action) -> None:
        try:
            action()
        except Ended as problem:
            say(f"{child.work.scheme} on {child.work.shape} is left out: {problem}")
            children.remove(child)
            child.close()

    try:
        children += [Child(work) for work in works]
        for child in [*children]:
            tried(child, child.ready)
        while waiting := [child for child in children if wants_more(child.turns)]:
            for child in waiting:
                tried(child, child.turn)
        done: list[Row] = []
        for child in [*children]:
            tried(child, lambda child=child: done.append(child.finish()))
        yield from done
    finally:
        for child in children:
            child.close()


def measure(shapes: Sequence[tuple[int, int, int]], *, long: bool = False) -> list[Row]:
    """Every scheme on every shape."""
    tasks = [(shape, scheme) for shape in shapes for scheme in schemes(shape, long=long)]
    done: list[Row] = []
    with Progress(console=Console(stderr=True, highlight=False), transient=True) as progress:
        works = prepared(tasks, progress)
        bar = progress.add_task("measuring", total=len(tasks))
        for shape in shapes:
            progress.update(bar, description="measuring d={}, r={}, tokens={}".format(*shape))
            say = progress.console.print
            found = [*side_by_side([works[shape, scheme] for scheme in schemes(shape, long=long)], say)]
            for made in found:
                say(f"{made.scheme} on {made.shape}: {ms(made.seconds)} ms")
            progress.advance(bar, len(schemes(shape, long=long)))
            done += found
    return done


def _shape(given: str) -> tuple[int, int, int]:
    d, r, tokens = map(int, given.split("x"))
    return d, r, tokens


def main() -> None:
    """Measure, print the tables, write the JSON."""
    options = argparse.ArgumentParser(description="slotlang's schedules against what people use now.")
    options.add_argument("shapes", nargs="*", type=_shape, metavar="DxRxTOKENS", help="such as 4096x16x8")
    options.add_argument("--quick", action="store_true", help="a few small shapes only: about a minute")
    options.add_argument("--long", action="store_true", help="TenSEAL's own product at d = 4096 too: minutes more")
    options.add_argument("--docs", action="store_true", help="rewrite the figures in docs/benchmarks.md, and the plot")
    options.add_argument("--redraw", action="store_true", help="measure nothing: the last run's figures again")
    given = options.parse_args()
    # what does not fit the terminal is broken into lines, and not cut off
    console = Console(highlight=False, width=max(shutil.get_terminal_size().columns, 170))
    if given.redraw:
        values = json.loads(OUT.read_text(encoding="utf-8"))
        rows = [Row(**{**fields, "shape": tuple(fields["shape"])}) for fields in values.pop("rows")]
    else:
        rows = measure(given.shapes or (QUICK if given.quick else SHAPES), long=given.long)
        machine = this_machine()
        values = {
            "schema": SCHEMA,
            "date": date.today().isoformat(),
            "machine": {name: getattr(machine, name) for name in machine.__slots__},
            "load": os.getloadavg()[0],
        }
        OUT.write_text(json.dumps({**values, "rows": [asdict(r) for r in rows]}, indent=1) + "\n", encoding="utf-8")
    for table in terminal_tables(rows):
        console.print(table)
    if not given.redraw:
        console.print(f"written to {OUT.relative_to(ROOT)}")
    if given.docs:
        write_docs(rows, values)


if __name__ == "__main__":
    main()
