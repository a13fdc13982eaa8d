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
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice, zip_longest
from pathlib import Path
from random import Random
from typing import TypeAlias, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from slotlang.diagnostics import SlotError
from slotlang.meaning.bind import bind
from slotlang.mutation.mutants import Mutation, mutants
from slotlang.mutation.repair import nearest_repairs
from slotlang.proof.check import Method, check
from slotlang.source import Source
from slotlang.syntax.parser import parse

from .module_score import ModuleResult
from .module_score import choices as module_choices
from .module_score import judge as judge_module
from .module_score import table as modules_table
from .module_score import wrong as wrong_modules
from .pages import markdown, rewrite

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import oracle  # noqa: E402
from judging import disagreement, tiny, verdict  # noqa: E402

OUT = Path(__file__).resolve().parent / "mutation.json"
CORPUS = sorted((ROOT / "programs").glob("**/*.slot"))
METHODS: tuple[Method, ...] = ("auto", "polyhedral", "exact")
PAGE = ROOT / "docs" / "proof.md"
COUNT, SEED = 10_000, 1
MODULES = 1500
"""Changed modules that are checked."""
REPAIRED = 40
"""Wrong programs for which repairs are looked for."""
MAX_UNKNOWN = 0.02

Choice: TypeAlias = tuple[Path, Mutation]
C = TypeVar("C")
T = TypeVar("T")


@dataclass(frozen=True)
class Result:
    """One changed program: whether it is right, each method's verdict, and what a method got wrong."""

    program: str
    kind: str
    change: str
    right: bool
    statuses: dict[str, str]
    problems: dict[str, str]


def choices(count: int, seed: int) -> list[Choice]:
    """``count`` changed programs that have a meaning at their small sizes, or all if there are fewer. Kinds take
    turns, and within a kind programs do, so that rare kinds are not drowned."""
    rng = Random(seed)
    kinds: dict[str, dict[str, list[Choice]]] = {}
    for path in CORPUS:
        for mutation in mutants(parse(Source(path.stem, tiny(path)[0]))):
            kinds.setdefault(mutation.kind, {}).setdefault(path.stem, []).append((path, mutation))
    for programs in kinds.values():
        for pile in programs.values():
            rng.shuffle(pile)
    by_kind = [in_turn(list(programs.values())) for programs in kinds.values()]
    return list(islice(filter(has_meaning, in_turn([list(pile) for pile in by_kind])), count or None))


def in_turn(piles: list[list[Choice]]) -> Iterator[Choice]:
    """The first of every pile, the second of every pile, and so on."""
    return (choice for row in zip_longest(*piles) for choice in row if choice is not None)


def has_meaning(choice: Choice) -> bool:
    """Whether a changed program binds at its small sizes."""
    path, mutation = choice
    try:
        bind(mutation.program, tiny(path)[1])
    except SlotError:
        return False
    return True


def judge(choice: Choice) -> Result:
    """What is true of one changed program, and what the methods say."""
    path, mutation = choice
    _, sizes = tiny(path)
    program = bind(mutation.program, sizes)
    statuses, problems = {}, {}
    try:
        judged = oracle.judge(mutation.program, sizes)
    except oracle.Invalid as problem:
        # binding let pass what has no meaning
        return Result(path.stem, mutation.kind, mutation.description, False, {}, {"bind": str(problem)})
    for method in METHODS:
        try:
            said = verdict(program, method)
            statuses[method], problem = said.status, disagreement(program, said, judged)
        except Exception as failure:
            statuses[method], problem = "failed", f"{type(failure).__name__}: {failure}"[:300]
        if problem:
            problems[method] = problem
    return Result(path.stem, mutation.kind, mutation.description, judged.correct, statuses, problems)


def repaired(choice: Choice) -> tuple[bool, int] | None:
    """Of a proved program, changed and refuted at its own sizes: whether repairs were found, and the place of the
    unchanged program among them (-1: not there). None where it is not refuted."""
    path, mutation = choice
    text = tiny(path)[0]
    try:
        program = bind(parse(Source(path.stem, mutation.text())))
    except SlotError:
        return None
    report = check(program, "polyhedral")
    if report.status != "refuted":
        return None
    found = [repair.mutation.program for repair in nearest_repairs(program, report)]
    original = parse(Source(path.stem, text))
    return bool(found), found.index(original) if original in found else -1


def repairs(chosen: list[Choice], results: list[Result], run: Runner) -> dict[str, int]:
    """How often the change of a wrong program is undone by the repairs that ``check`` shows."""
    proved = {path.stem for path in CORPUS if "# expect: proved" in tiny(path)[0]}
    usable = [
        choice
        for choice, result in zip(chosen, results, strict=True)
        if result.program in proved and not result.right and result.kind not in ("theorem", "sparsity", "size")
    ]
    found = [place for place in run(repaired, usable[:REPAIRED], "repairs") if place is not None]
    return {
        "refuted": len(found),
        "repaired": sum(some for some, _ in found),
        "restored": sum(place >= 0 for _, place in found),
        "restored_first": sum(place == 0 for _, place in found),
    }


def unknown(results: list[Result]) -> float:
    """The share of changed programs of which ``check`` without options says nothing."""
    return sum(r.statuses.get("auto") not in ("proved", "refuted") for r in results) / len(results)


def score(results: list[Result]) -> list[str]:
    """What is wrong with the verifier, a line each; empty when it is as required."""
    found = [f"{r.program}, {r.change}, {method}: {problem}" for r in results for method, problem in r.problems.items()]
    if unknown(results) >= MAX_UNKNOWN:
        found.append(f"{unknown(results):.1%} are unknown")
    return found


def kinds_table(results: list[Result]) -> list[list[str]]:
    """A row for each kind: changed programs, those still right, and the verdicts of ``check``."""
    rows = [["kind of change", "programs", "right", "proved", "refuted", "unknown"]]
    kinds = sorted({r.kind for r in results})
    for name, part in [(k, [r for r in results if r.kind == k]) for k in kinds] + [("all", results)]:
        said = Counter(r.statuses.get("auto") for r in part)
        rest = len(part) - said["proved"] - said["refuted"]
        rows.append([name, *map(str, (len(part), sum(r.right for r in part), said["proved"], said["refuted"], rest))])
    return rows


def methods_table(results: list[Result]) -> list[list[str]]:
    """A row for each method: what it says of the right and of the wrong programs."""
    rows = [["method", "right: proved", "right: refuted", "wrong: proved", "wrong: refuted", "unknown", "no schedule"]]
    for method in METHODS:
        said = Counter((r.right, r.statuses.get(method, "failed")) for r in results)
        each = [said[right, status] for right in (True, False) for status in ("proved", "refuted")]
        none = said[True, "unscheduled"] + said[False, "unscheduled"]
        rows.append([method, *map(str, (*each, len(results) - sum(each) - none, none))])
    return rows


def write_page(results: list[Result], fixed: dict[str, int], modules: list[ModuleResult]) -> None:
    """Rewrite the measured region of docs/proof.md."""
    lines = [*markdown(kinds_table(results)), *markdown(methods_table(results))[1:]]
    lines += [
        f"Of {fixed['refuted']} wrong programs at their own sizes, for {fixed['repaired']} a repair was found, for "
        f"{fixed['restored']} the unchanged",
        f"program was among the three shown, and for {fixed['restored_first']} it was the first.",
        "",
        f"Of modules that `lower` wrote, with one change each, {len(modules)} were checked as `check` checks modules:",
        *markdown(modules_table(modules)),
    ]
    rewrite(PAGE, lines)


class Runner:
    """Calls a function for every choice, in their order, on several processes; progress is shown."""

    def __init__(self, jobs: int, console: Console) -> None:
        self.jobs, self.console = jobs, console

    def __call__(self, work: Callable[[C], T], items: Sequence[C], what: str) -> list[T]:
        bar = partial(track, total=len(items), console=self.console, description=what)
        if self.jobs == 1:
            return list(bar(map(work, items)))
        # processes inherit the choices, which would take long to send
        global _work
        _work = [partial(work, item) for item in items]
        with multiprocessing.get_context("fork").Pool(self.jobs) as pool:
            return list(bar(pool.imap(_call, range(len(items)), chunksize=4)))


_work: list[Callable[[], object]] = []


def _call(number: int) -> object:
    return _work[number]()


def main() -> int:
    """Measure, print the tables, write the JSON."""
    options = argparse.ArgumentParser(description="Mutation score of the verifier.")
    options.add_argument("--count", type=int, default=COUNT, help=f"changed programs ({COUNT} if left out); 0: all")
    options.add_argument("--modules", type=int, default=MODULES, help=f"changed modules ({MODULES} if left out)")
    options.add_argument("--seed", type=int, default=SEED, help="seed of the choice")
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    options.add_argument("--docs", action="store_true", help="rewrite the figures in docs/proof.md")
    given = options.parse_args()
    console = Console(highlight=False)
    run = Runner(given.jobs, console)
    chosen = choices(given.count, given.seed)
    results = run(judge, chosen, "changed programs")
    fixed = repairs(chosen, results, run)
    proved = [(path, *tiny(path)) for path in CORPUS if "# expect: proved" in tiny(path)[0]]
    warnings.simplefilter("ignore")  # a changed module may well divide by zero
    changed = run(judge_module, module_choices(proved, given.modules, given.seed), "changed modules")
    for title, rows in (
        ("verdicts of check", kinds_table(results)),
        ("by method", methods_table(results)),
        ("modules", modules_table(changed)),
    ):
        table = Table(title=title, box=None)
        for number, head in enumerate(rows[0]):
            table.add_column(head, justify="right" if number else "left")
        for row in rows[1:]:
            table.add_row(*row)
        console.print(table)
    console.print(f"repairs at the programs' own sizes: {fixed}")
    content = {"seed": given.seed, "unknown": unknown(results), "repairs": fixed}
    content |= {"programs": [*map(asdict, results)], "modules": [*map(asdict, changed)]}
    OUT.write_text(json.dumps({"schema": "slotlang.mutate/1", **content}, indent=1) + "\n", encoding="utf-8")
    console.print(f"written to {OUT.relative_to(ROOT)}")
    if given.docs:
        write_page(results, fixed, changed)
    wrong = score(results) + wrong_modules(changed)
    for line in wrong:
        console.print(f"[red]wrong[/red] {escape(line)}", soft_wrap=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
