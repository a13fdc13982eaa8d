"""``make prover``: how long it takes to check every right program of the corpus, at its own and at ten times its sizes.

Seconds of the process's CPU, imports apart: the second of two checks counts, from the text to the verdict. Ten times
means every size of the header times ten; where the program does not admit that, times the next number that it admits,
for as many of the sizes as can be.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path

from rich.console import Console
from rich.table import Table

from slotlang.diagnostics import SlotError
from slotlang.meaning.bind import bind
from slotlang.meaning.program import Program
from slotlang.meaning.rebind import sizes_of
from slotlang.proof.check import Report, check
from slotlang.source import Source
from slotlang.syntax import tree
from slotlang.syntax.parser import parse, read_source

PROGRAMS = Path(__file__).resolve().parent.parent / "programs"
LIMIT = 0.3
"""Seconds of CPU that a check should take, at most."""
FACTORS = range(10, 33)


def corpus() -> list[Path]:
    """The programs that are to be proved."""
    return [path for path in sorted(PROGRAMS.rglob("*.slot")) if "# expect: proved" in path.read_text()]


def larger(syntax: tree.Program) -> Program | None:
    """The program at about ten times its sizes."""
    defaults = dict(bind(syntax).sizes)
    names = [size.name for size in syntax.header.sizes]
    for sizes in _grown({name: defaults[name] for name in names}):
        if sizes_of(syntax, sizes) is None:
            continue
        try:
            return bind(syntax, sizes)
        except SlotError:
            continue
    return None


def _grown(sizes: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """All sizes times ten, times eleven, ...; then all but one, and so on."""
    for count in range(len(sizes), 0, -1):
        for chosen in combinations(sizes, count):
            for factor in FACTORS:
                yield {name: value * factor if name in chosen else value for name, value in sizes.items()}


def seconds(source: Source, sizes: Mapping[str, int]) -> tuple[float, Report]:
    """CPU of a check that is not the first of its kind, and what it says."""
    for _ in range(2):
        start = time.process_time()
        report = check(bind(parse(source), sizes))
        taken = time.process_time() - start
    return taken, report


def main() -> None:
    """Print the table, and name what takes longer than ``LIMIT``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names of programs; all without")
    wanted = parser.parse_args().names
    table = Table("program", "s", "sizes times ten", "s", "verdicts", title="checks, seconds of CPU")
    slow = []
    for path in corpus():
        name = str(path.relative_to(PROGRAMS).with_suffix(""))
        if wanted and not any(part in name for part in wanted):
            continue
        source = read_source(path)
        syntax = parse(source)
        own, report = seconds(source, {})
        grown = larger(syntax)
        cells, verdicts = ["-", "-"], [report.status]
        if grown is not None:
            sizes = {n: grown.sizes[n] for n in grown.parameters}
            ten, report = seconds(source, sizes)
            verdicts.append(report.status)
            cells = [" ".join(f"{n}={value}" for n, value in sizes.items()), f"{ten:.3f}"]
            slow += [f"{name} at {cells[0]}: {ten:.2f} s"] * (ten > LIMIT)
        slow += [f"{name}: {own:.2f} s"] * (own > LIMIT)
        table.add_row(name, f"{own:.3f}", *cells, ", ".join(dict.fromkeys(verdicts)))
    console = Console(width=150)
    console.print(table)
    for line in slow or [f"none takes more than {LIMIT} s"]:
        console.print(line)


if __name__ == "__main__":
    main()
