"""Programs whose sizes enter as numbers, checked for all sizes and by brute force at concrete ones: run as a program,
it prints how many of each verdict there were, and every verdict that is wrong.

A program that is proved is right at sizes of every one of its families, small and larger, by the oracle's account; one
that is refuted is wrong at the sizes it is refuted at. Anything but a verdict is a failure too, except that some edited
programs have no meaning at their default sizes.
"""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import oracle
from generate_families import Generated, Sizes, random_families

from slotlang.diagnostics import SlotError
from slotlang.meaning.bind import bind
from slotlang.proof.forall.check import check_for_all
from slotlang.proof.forall.conditions import Conditions, conditions
from slotlang.proof.forall.families import LIMITS
from slotlang.source import Source
from slotlang.syntax import tree
from slotlang.syntax.parser import parse

SMALL, LARGE = 6, 48
"""Largest open sizes that are swept: many small ones, one larger for every family."""
SECONDS = 2.0
"""Processor time that the oracle gets for one choice of sizes."""
TRIES = 24
"""Draws for admitted sizes of a family."""
MAX_FAMILIES = 12
"""Families that are swept, the first and the last ones among them."""


@dataclass(frozen=True)
class Judged:
    """A verdict with what is wrong with it, empty when nothing is. ``wrong_at`` are sizes at which the program is wrong
    by the oracle's account; None where none of those swept are."""

    verdict: str
    problem: str
    wrong_at: Sizes | None
    reason: str = ""


def judged(program: Generated, seed: int, thorough: bool = True) -> Judged:
    """What the prover says of a program for all sizes, compared with the oracle."""
    syntax = parse(Source("generated", program.text))
    try:
        report = check_for_all(syntax, ["all"])
    except Exception as problem:
        if isinstance(problem, SlotError) and not _binds(syntax, {}):
            return Judged("error", "", {})
        return Judged("failed", f"{type(problem).__name__}: {problem}", None)
    if report.status == "refuted":
        assert report.for_all is not None and report.for_all.refuted_at is not None
        at = dict(report.for_all.refuted_at)
        right = _cheap(syntax, at) and _right(syntax, at)
        return Judged("refuted", f"refuted at {at}, where it is right" if right else "", at)
    wrong = None
    if thorough or report.proved:
        covered = conditions(syntax, {}, (*program.families[0], *program.open))
        for sizes in _swept(syntax, program, seed):
            if _right(syntax, sizes) is False or (report.proved and _meaningless(syntax, covered, sizes)):
                wrong = sizes
                break
    problem = f"proved, and wrong or without meaning at {wrong}" if report.proved and wrong else ""
    return Judged(report.status, problem, wrong, report.reason)


def _right(syntax: tree.Program, sizes: Sizes) -> bool | None:
    """Whether a program is right at some sizes; None where it means nothing, or the oracle takes too long."""

    def late(*_: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGVTALRM, late)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        return oracle.judge(syntax, sizes).correct
    except (oracle.Invalid, TimeoutError):
        return None
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _meaningless(syntax: tree.Program, covered: Conditions, sizes: Sizes) -> bool:
    """Whether the front end finds no meaning at sizes that a proof for all sizes covers."""
    return covered.hold(sizes) and not _binds(syntax, sizes)


def _binds(syntax: tree.Program, sizes: Sizes) -> bool:
    try:
        bind(syntax, sizes)
    except SlotError as problem:
        return problem.diagnostics[0].code in LIMITS
    return True


def _swept(syntax: tree.Program, program: Generated, seed: int) -> Iterator[Sizes]:
    """Admitted sizes of every family, small ones and one that is larger."""
    draw = Random(seed)
    families = list(program.families)
    if len(families) > MAX_FAMILIES:
        ends = families[:2] + families[-4:]
        families = ends + draw.sample(families[2:-4], MAX_FAMILIES - len(ends))
    for family in families:
        for most, wanted in ((SMALL, 3), (LARGE, 1)):
            drawn = (program.sizes(draw, family, most) for _ in range(TRIES))
            admitted = [sizes for sizes in drawn if _means_something(syntax, sizes)]
            yield from admitted[:wanted]


def _means_something(syntax: tree.Program, sizes: Sizes) -> bool:
    """Whether the header, the `let`s and the requirements hold, and the oracle is quick."""
    sizes_only = (tree.Header, tree.Let, tree.Require)
    known = replace(syntax, statements=tuple(s for s in syntax.statements if isinstance(s, sizes_only)))
    try:
        oracle.judge(known, sizes)
    except oracle.Invalid as problem:
        if "proves nothing" not in str(problem):
            return False
    return _cheap(syntax, sizes)


def _cheap(syntax: tree.Program, sizes: Sizes) -> bool:
    """Whether the oracle takes a second at most."""
    n, parts = sizes.get("n", 1), sizes.get("C", 1) * sizes.get("T", 1)
    matrix = any(isinstance(s, tree.Declare) and len(s.tensors[0].shape) == 2 for s in syntax.statements)
    return (n * n if matrix else n) * parts <= 2500


def main(count: int, first: int) -> int:
    """Sweep so many programs, from one seed on; how many verdicts are wrong."""
    verdicts, wrong, undecided = Counter(), 0, Counter()
    start = time.perf_counter()
    for seed in range(first, first + count):
        program = random_families(Random(seed))
        found = judged(program, seed)
        verdicts[found.verdict, found.wrong_at is None] += 1
        if found.problem:
            wrong += 1
            print(f"seed {seed}: {found.verdict}: {found.problem}\n{program.text}", flush=True)
        if found.verdict == "unknown" and found.wrong_at is None:
            undecided[found.reason[:60]] += 1
        if (seed - first) % 100 == 99:
            print(f"{seed - first + 1} programs, {time.perf_counter() - start:.0f} s, {dict(verdicts)}", flush=True)
    right = sum(n for (_, ok), n in verdicts.items() if ok)
    print(f"{count} programs in {time.perf_counter() - start:.0f} s, {wrong} wrong verdicts")
    for verdict in ("proved", "refuted", "unknown", "error", "failed"):
        print(f"  {verdict}: {verdicts[verdict, True]} right, {verdicts[verdict, False]} wrong programs")
    print(f"  unknown: {verdicts['unknown', True] / max(1, right):.1%} of the {right} programs that are right")
    for reason, n in undecided.most_common(12):
        print(f"    {n} {reason}")
    return wrong


if __name__ == "__main__":
    numbers = [int(a) for a in sys.argv[1:]]
    sys.exit(bool(main(*[*numbers, *(2000, 0)[len(numbers) :]])))
