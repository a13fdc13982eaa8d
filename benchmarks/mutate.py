"""``make mutate``: how good the verifier is.

Single changes of the programs of the corpus, at the small sizes of their `# tiny:` lines. Whether a changed
program is right is decided by the brute-force oracle, tests/oracle.py, which shares the syntax tree with the prover
and nothing else: it writes out what every slot holds as a polynomial and compares it, goal by goal of the changed text
(its claims, its outputs, completeness of its results), with what the text says. A changed claim that is false is wrong
though the outputs may be right.

Exit status 0 only if no wrong program or goal is proved, none that is right is refuted, every counterexample is
one, and less than 2 % are unknown to ``check`` as it runs without options.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from random import Random

from rich.console import Console
from rich.progress import track
from rich.table import Table

from slotlang.diagnostics import SlotError
from slotlang.meaning.bind import bind
from slotlang.mutation.mutants import Mutation, mutants
from slotlang.proof.check import Method
from slotlang.source import Source
from slotlang.syntax.parser import parse

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import oracle  # noqa: E402
from judging import disagreement, tiny, verdict  # noqa: E402

OUT = Path(__file__).resolve().parent / "mutation.json"
CORPUS = sorted((ROOT / "programs").glob("**/*.slot"))
METHODS: tuple[Method, ...] = ("auto", "polyhedral", "exact")
COUNT, SEED = 2400, 1
MAX_UNKNOWN = 0.02


@dataclass(frozen=True)
class Result:
    """One changed program: whether it is right, each method's verdict, and what a method got wrong."""

    program: str
    kind: str
    change: str
    right: bool
    statuses: dict[str, str]
    seconds: dict[str, float]
    problems: dict[str, str]


def bound_mutants(path: Path) -> list[Mutation]:
    """The single changes of a program that have a meaning at its small sizes."""
    text, sizes = tiny(path)
    found = []
    for mutation in mutants(parse(Source(path.stem, text))):
        try:
            bind(mutation.program, sizes)
        except SlotError:
            continue
        found.append(mutation)
    return found


def spread(choices: list[tuple[Path, Mutation]], count: int, seed: int) -> list[tuple[Path, Mutation]]:
    """``count`` of them, kinds and programs taking turns, so that rare kinds are not drowned."""
    rng = Random(seed)
    piles: dict[tuple[str, str], list[tuple[Path, Mutation]]] = {}
    for path, mutation in choices:
        piles.setdefault((mutation.kind, path.stem), []).append((path, mutation))
    for pile in piles.values():
        rng.shuffle(pile)
    kinds: dict[str, list[tuple[Path, Mutation]]] = {}
    rounds = max(map(len, piles.values()))
    for turn in range(rounds):
        for (kind, _), pile in piles.items():
            if turn < len(pile):
                kinds.setdefault(kind, []).append(pile[turn])
    order = [pile[turn] for turn in range(max(map(len, kinds.values()))) for pile in kinds.values() if turn < len(pile)]
    return order[:count]


def judge(choice: tuple[Path, Mutation]) -> Result:
    """What is true of one changed program, and what the methods say."""
    path, mutation = choice
    _, sizes = tiny(path)
    program = bind(mutation.program, sizes)
    statuses, seconds, problems = {}, {}, {}
    try:
        judged = oracle.judge(mutation.program, sizes)
    except oracle.Invalid as problem:
        # binding has let pass what has no meaning
        return Result(path.stem, mutation.kind, mutation.description, False, {}, {}, {"bind": str(problem)})
    for method in METHODS:
        start = time.perf_counter()
        try:
            said = verdict(program, method)
            statuses[method], problem = said.status, disagreement(program, said, judged)
        except Exception as failure:
            statuses[method], problem = "failed", f"{type(failure).__name__}: {failure}"[:300]
        seconds[method] = time.perf_counter() - start
        if problem:
            problems[method] = problem
    return Result(path.stem, mutation.kind, mutation.description, judged.correct, statuses, seconds, problems)


def measure(choices: list[tuple[Path, Mutation]], jobs: int, console: Console) -> Iterator[Result]:
    """Results in the order of the choices; progress is shown."""
    bar = partial(track, total=len(choices), console=console, description="changed programs")
    if jobs == 1:
        yield from bar(map(judge, choices))
        return
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        yield from bar(pool.imap(judge, choices, chunksize=8))


def main() -> int:
    options = argparse.ArgumentParser(description="Mutation score of the verifier.")
    options.add_argument("--count", type=int, default=COUNT, help=f"how many changed programs ({COUNT}); 0 for all")
    options.add_argument("--seed", type=int, default=SEED)
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options.add_argument("-o", "--output", type=Path, default=OUT)
    chosen = options.parse_args()
    console = Console(highlight=False)
    choices = [(path, mutation) for path in CORPUS for mutation in bound_mutants(path)]
    picked = spread(choices, chosen.count or len(choices), chosen.seed)
    start = time.perf_counter()
    results = list(measure(picked, chosen.jobs, console))
    print(time.perf_counter() - start)
    c = Counter((m, r.right, r.statuses.get(m)) for r in results for m in METHODS)
    for k, v in sorted(c.items(), key=str): print(k, v)
    for r in results:
        if r.problems: print(r)
    unk = [r for r in results if r.statuses.get("auto") not in ("proved","refuted")]
    for r in unk: print("UNK", r.program, r.kind, r.change, r.statuses)
    for r in sorted(results, key=lambda r: -max(r.seconds.values(), default=0))[:10]: print(r)
    chosen.output.write_text(json.dumps([asdict(r) for r in results], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
