"""What each choice of the search is worth, measured: ``python -m benchmarks.choices``; ``--docs`` writes docs/synth.md.

One shape, and schedules that differ from one another in one choice, each run encrypted. Times are CPU time of one
thread, medians; the schedules take turns, so that other work on the machine falls on all alike.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.child import Emitted, Row, Work, row, wants_more  # first: it keeps BLAS to one thread

# isort: split
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.columns import emitted
from benchmarks.schemes import weights_of
from slotlang.api import loads, plan
from slotlang.cost.profile import find_profile
from slotlang.planning.target import KernelChoice, Target
from slotlang.search.candidate import Candidate
from slotlang.search.costed import work_out
from slotlang.search.structure import Shape, Structure

PAGE = Path(__file__).resolve().parents[1] / "docs" / "synth.md"
SHAPE = Shape(4096, 4096, 16, 8)
BASE = Structure(SHAPE, slots=4096, tokens=8, packing="pairs", dense=False, ranks=8)
SMALL = replace(BASE, slots=2048)
WIDE = replace(SMALL, shape=replace(SHAPE, rank=64), packing="real", ranks=64)
HEADS = ("choice", "ms", "predicted", "error", "key switches", "products", "up", "down", "parameters")


@dataclass(frozen=True)
class Choice:
    """A schedule under a precision, and what sets it apart from the one that it stands next to."""

    name: str
    structure: Structure
    precision: float = 1e-3
    kernel: KernelChoice = "auto"


CHOICES = (
    Choice("precision 1e-3 at degree 8192", BASE),
    Choice("the same, products one by one", BASE, kernel="seal"),
    Choice("precision 1e-6", BASE, 1e-6),
    Choice("precision 1e-9", replace(BASE, slots=8192), 1e-9),
    Choice("precision 1e-3 in a ring half as large", SMALL),
    Choice("there: one rank in a slot", replace(SMALL, packing="real", ranks=16)),
    Choice("there: two tokens in a slot", replace(SMALL, packing="tokens", tokens=4, ranks=16)),
    Choice("there: two channels in a slot", replace(SMALL, packing="channels", ranks=16)),
    Choice("there: baby steps past A", replace(SMALL, up=4)),
    Choice("there: shares of y", replace(SMALL, shares=8)),
    Choice("there: 2 copies of x", replace(SMALL, copies=2)),
    Choice("there: ranks in lanes, 8 copies of x", replace(SMALL, copies=8)),
    Choice("there: one token at a time", replace(SMALL, tokens=1)),
    Choice("rank 64, one in a slot, in a block", WIDE),
    Choice("rank 64 in 4 blocks of 16", replace(WIDE, ranks=16)),
)


def worked_out(choice: Choice) -> Candidate:
    """Parameters for a choice. Raises AssertionError where its precision can't be had."""
    found = work_out(choice.structure, Target(precision=choice.precision), find_profile())
    assert isinstance(found, Candidate), f"{choice.name}: the best error is {found.best}"
    return found


def prepared(choice: Choice, found: Candidate) -> Work:
    """What is measured of it."""
    s = choice.structure.shape
    made = plan(loads(found.text), found.parameters, target=Target(kernel=choice.kernel))
    a, b = weights_of(s.d_in, s.rank)
    text = emitted(made)
    return Work((s.d_in, s.rank, s.batch), choice.name, text, a, b, "", "", made.counts.key_switches)


def measure(console: Console) -> list[tuple[Choice, Candidate, Row]]:
    """All of them, in turns."""
    candidates = [worked_out(choice) for choice in track(CHOICES, "parameters", console=console, transient=True)]
    works = [prepared(choice, found) for choice, found in zip(CHOICES, candidates, strict=True)]
    subjects = [Emitted(work) for work in works]
    turns: list[list] = [[] for _ in works]
    for _ in track(range(3), "turns", console=console, transient=True):
        for subject, found in zip(subjects, turns, strict=True):
            if wants_more(found):
                found.append(subject.turn())
    rows = [row(*of, subject.end()) for *of, subject in zip(works, turns, subjects, strict=True)]
    return list(zip(CHOICES, candidates, rows, strict=True))


def cells(choice: Choice, found: Candidate, measured: Row) -> list[str]:
    """A line of the table."""
    p = found.parameters
    predicted = "" if choice.kernel != "auto" else f"{1000 * found.predicted.evaluation:.1f}"
    return [
        choice.name,
        f"{1000 * measured.seconds:.1f}",
        predicted,
        f"{measured.error:.0e}",
        str(measured.key_switches),
        str(found.counts.plain_products),
        str(found.counts.ciphertexts_in),
        str(found.counts.ciphertexts_out),
        f"{p.degree}: {','.join(map(str, p.primes))}{', ' + p.rescales() if p.drops or p.cut else ''}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", action="store_true", help="rewrite the table in docs/synth.md")
    options = parser.parse_args()
    console = Console()
    rows = [cells(*found) for found in measure(console)]
    table = Table(title="4096 to 4096 channels, 8 tokens, one thread", box=None)
    for head in HEADS:
        table.add_column(head, justify="left" if head in ("choice", "parameters") else "right")
    for line in rows:
        table.add_row(*line)
    console.print(table)
    if options.docs:
        marks = ("<!-- choices: begin -->", "<!-- choices: end -->")
        page = PAGE.read_text(encoding="utf-8")
        before, rest = page.split(marks[0])
        after = rest.split(marks[1])[1]
        lines = [HEADS, ["---", *["--:"] * (len(HEADS) - 2), "---"], *rows]
        text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        PAGE.write_text(f"{before}{marks[0]}\n\n{text}\n\n{marks[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
