"""A verdict for all values of some sizes: which method decides, which sizes it covers, what is checked beside it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace

from slotlang.diagnostics import SlotError, closest, error
from slotlang.meaning.bind import bind
from slotlang.meaning.program import Program
from slotlang.meaning.sizes import sizes_span
from slotlang.proof.check import Checker, Method, Report, check
from slotlang.proof.forall.advice import of_sizes_not_meant, of_unknown
from slotlang.proof.forall.condition_kinds import WRITTEN_OUT, Conditions, Defined, sizes_in
from slotlang.proof.forall.conditions import conditions
from slotlang.proof.forall.coverage_report import Covered, condition_texts, values_text
from slotlang.proof.forall.families import LIMITS, Family, Sizes, families_of, in_turn
from slotlang.proof.forall.parametric import OpenPolyhedral, RefutedAt, linear
from slotlang.proof.forall.partial_functions import partial
from slotlang.proof.forall.prover import MixedRadix
from slotlang.proof.forall.size_solver import Empty, Unsolved, cases
from slotlang.proof.polyhedral import MAX_OPERATIONS
from slotlang.proof.verdict import Disagreement, Outcome, Status
from slotlang.refusals import GaveUp
from slotlang.syntax import tree

ALL = "all"
"""Stands for every size of the program that has no value by ``--set``."""
CROSS_CHECKS = 3
"""Concrete sizes of a family at which a proof is checked by itself, while there is time; each family is checked at one
or more."""
CROSS_CHECK_OPERATIONS = MAX_OPERATIONS // 3
"""isl operations for each goal of such a check."""
CROSS_CHECK_STEPS = 200
"""Families and claims of a program, members that are written out one by one, up to which it is checked so."""
MAX_WORK = 3 << 19
"""Work of the methods on a program's graph up to which a counterexample is looked for by them."""
MAX_SECONDS = 1.5
"""No further concrete sizes are looked at after so long of the process's own time: a busy machine changes nothing."""


def check_for_all(
    syntax: tree.Program, names: Sequence[str], fixed: Mapping[str, int] | None = None, seed: int = 0
) -> Report:
    """Decide whether every claim of a program and its theorem hold at all values of the named sizes.

    The other sizes have the values of ``fixed``, or of their defaults. A refutation is one at concrete sizes. Raises
    ``SlotError`` SL720 to SL724 for names and sizes that make no sense, what ``bind`` raises when the program has no
    meaning, and ``Disagreement`` when a proof is contradicted at concrete sizes.
    """
    start = time.perf_counter()
    fixed = dict(fixed or {})
    free = _free(syntax, names, fixed)
    tried = _tried(syntax, fixed, free, seed)
    if tried.reason and tried.written_out:
        kept = _tried(syntax, fixed, free, seed, kept=True)
        # where nothing can be kept, what would have to be known says more
        tried = kept if kept.families else replace(tried, reason="; ".join(filter(None, (tried.reason, kept.reason))))
    found, families = tried.found, tried.families
    program = next((f.program for f in families if f.program is not None), None) or bind(syntax, fixed)
    shown = {c.name: program.sizes[c.name] for c in found.all if isinstance(c, Defined) and c.name in found.parameters}
    dependent = {c.name for c in found.all if isinstance(c, Defined) and sizes_in(c.value)}
    symbols = [f.symbols for f in families]
    covered = Covered(
        free,
        {name: value for name, value in shown.items() if name not in dependent},
        condition_texts(found, symbols, {n: v for n, v in shown.items() if n not in dependent}),
        tuple(s.parametrization(free) for s in symbols),
    )
    steps = tuple((what, o.status) for what, o in tried.results)
    if not tried.reason:
        report = _proved(syntax, fixed, families, tried.method, start, covered, steps)
    else:
        # a family that is not proved is where a counterexample is looked for first
        order = sorted(families, key=lambda other: other is not tried.open)
        last = {name: program.sizes[name] for name in free}
        refuted = _refuted(syntax, fixed, tried.wrong, order, last, covered, start)
        if refuted is None:
            notes: Sequence[str] = of_unknown(syntax, program, fixed, free, tried.reason)
            report = _report("unknown", tried.method, start, covered, reason=tried.reason, steps=steps)
        else:
            notes = _not_meant(syntax, fixed, refuted) if refuted.status == "refuted" else ()
            report = refuted
        report = replace(report, notes=(*report.notes, *notes))
    return replace(report, bounds=program.bounds)


@dataclass(frozen=True)
class _Tried:
    """What came of a proof: the families of sizes, the steps for the last one looked at, which is ``open`` where it is
    not proved, for the ``reason``, and sizes at which something is ``wrong``."""

    found: Conditions
    families: Sequence[Family]
    method: Method = "mixed-radix"
    results: Sequence[tuple[str, Outcome]] = ()
    reason: str = ""
    wrong: Sequence[Sizes] = ()
    open: Family | None = None

    @property
    def written_out(self) -> bool:
        """Whether it may be for loops that are written out that there is no proof."""
        return bool(self.found.undecided) or any(why == WRITTEN_OUT for _, _, why in self.found.valued)


def _tried(
    syntax: tree.Program, fixed: Mapping[str, int], free: tuple[str, ...], seed: int, *, kept: bool = False
) -> _Tried:
    """A proof with loops written out where they choose, or with all of them ``kept``. Raises SL724."""
    found = conditions(syntax, fixed, free, kept=kept)
    try:
        families = families_of(syntax, fixed, free, found, cases(found), seed, kept=kept)
    except Empty as problem:
        raise error(
            "SL724",
            "no sizes meet the conditions of this program",
            syntax.header.span,
            notes=[f"`{problem}` holds for none that meet the conditions before it"],
            hint="drop a `require`, or give other values with --set",
        ) from None
    except (Unsolved, GaveUp) as problem:
        return _Tried(found, (), reason=str(problem))
    tried = _Tried(found, families)
    for here in families:
        method, results, reason, wrong = _decided(found, here, free)
        tried = _Tried(found, families, method, results, reason, wrong, here if reason else None)
        if reason:
            break
    return tried


def _decided(
    found: Conditions, here: Family, free: tuple[str, ...]
) -> tuple[Method, list[tuple[str, Outcome]], str, list[Sizes]]:
    """The goals for a family of sizes: the method, its steps, why they are not proved, and where something fails.

    Where all sizes are linear in the symbols the polyhedral method decides; what it can't, and all else, is rewritten.
    """
    if reason := found.undecided or here.leak(found):
        return "mixed-radix", [], reason, []
    if here.program is None:
        return "mixed-radix", [], f"no sizes of the family {here.text} were found at which to look at the program", []
    if reason := partial(here.program):
        return "mixed-radix", [], reason, []
    symbols = here.symbols
    if linear(symbols):
        try:
            results = OpenPolyhedral(here.program, symbols).run()
        except RefutedAt as problem:
            if symbols.loose:
                return "polyhedral", [], "a function of sizes, such as log2, is not followed exactly", []
            sizes = {name: int(symbols.sizes[name].value(problem.point)) for name in free}
            return "polyhedral", [], f"wrong at {values_text(sizes)}", [sizes]
        if not _open_reason(results):
            return "polyhedral", results, "", []
    results = MixedRadix(here.program, symbols).prove()
    return "mixed-radix", results, _open_reason(results), []


def _open_reason(results: Sequence[tuple[str, Outcome]]) -> str:
    return next((o.reason or o.status for _, o in results if o.status != "proved"), "")


def _report(
    status: Status,
    method: Method,
    start: float,
    covered: Covered,
    reason: str = "",
    steps: tuple[tuple[str, Status], ...] = (),
) -> Report:
    return Report(
        status,
        method,
        time.perf_counter() - start,
        reason=reason,
        steps=steps,
        for_all=covered,
        subject="all sizes",
    )


def _free(syntax: tree.Program, names: Sequence[str], fixed: Mapping[str, int]) -> tuple[str, ...]:
    """The sizes that stay open, in the header's order. Raises SL720, SL721, SL722."""
    header = syntax.header
    known = [size.name for size in header.sizes]
    used = {node.name for s in syntax.statements for node in _names(s)} | {"slots"}
    if ALL in names and ALL not in known:
        free = [name for name in known if name not in fixed and name in used]
        if not free:
            raise error("SL722", "no size of this program is open", sizes_span(header), hint="drop --for-all")
        return tuple(free)
    for name in names:
        if name not in known:
            raise error(
                "SL720",
                f"the program has no size '{name}'",
                sizes_span(header),
                notes=[f"its sizes are {', '.join(known) or 'none'}"],
                hint=closest(name, known) or "name sizes of the header; what `let` defines follows from them",
            )
        if name in fixed:
            raise error(
                "SL721",
                f"'{name}' can't be both free and {fixed[name]}",
                sizes_span(header),
                hint=f"drop --set {name}={fixed[name]}, or take {name} out of --for-all",
            )
        if name not in used:
            place = next(size.span for size in header.sizes if size.name == name)
            raise error("SL722", f"nothing depends on '{name}'", place, hint=f"take {name} out of --for-all")
    return tuple(name for name in known if name in names)


def _names(node: object) -> Iterator[tree.Name]:
    if isinstance(node, tree.Name):
        yield node
    elif isinstance(node, tuple):
        for part in node:
            yield from _names(part)
    elif is_dataclass(node):
        for f in fields(node):
            yield from _names(getattr(node, f.name))


def _proved(
    syntax: tree.Program,
    fixed: Mapping[str, int],
    families: Sequence[Family],
    method: Method,
    start: float,
    covered: Covered,
    steps: tuple[tuple[str, Status], ...],
) -> Report:
    """A proof with what concrete sizes of every family say of it. Raises ``Disagreement``."""
    checking, checked, notes = time.process_time(), list[Sizes](), list[str]()
    for here in families:
        # the largest first: a proof that is wrong at some sizes is more often so at these
        mine = [*here.large[:1], *here.small[:1], *here.large[1:2], *here.small[len(here.small) // 2 :]]
        done = 0
        for sizes in dict.fromkeys(tuple(sizes.items()) for sizes in mine):
            if done == CROSS_CHECKS or (done and time.process_time() - checking > MAX_SECONDS):
                break
            if _agrees(syntax, fixed, dict(sizes)):
                done += 1
                checked.append(dict(sizes))
        if not done:
            notes.append(f"not checked by itself at any sizes of the family {here.text}")
    covered = replace(covered, checked=tuple(checked))
    return replace(_report("proved", method, start, covered, steps=steps), notes=tuple(notes))


def _agrees(syntax: tree.Program, fixed: Mapping[str, int], sizes: Sizes) -> bool:
    """Whether the polyhedral method proves the program at concrete sizes too, every goal of it; False where it can't
    decide. Raises ``Disagreement`` when it refutes one."""
    try:
        program = bind(syntax, {**fixed, **sizes})
        if len(program.steps) > CROSS_CHECK_STEPS:
            return False
        results, _ = Checker(program).polyhedral(CROSS_CHECK_OPERATIONS)
    except SlotError as problem:
        if problem.diagnostics[0].code in LIMITS:
            return False
        raise Disagreement(
            f"proved for all sizes, and at {values_text(sizes)} the program has no meaning: {problem}"
        ) from None
    for what, outcome in results:
        if outcome.status == "refuted":
            raise Disagreement(f"{what}: proved for all sizes, and refuted at {values_text(sizes)}")
    return all(outcome.status == "proved" for _, outcome in results)


def _refuted(
    syntax: tree.Program,
    fixed: Mapping[str, int],
    wrong: Sequence[Sizes],
    families: Sequence[Family],
    last: Sizes,
    covered: Covered,
    start: float,
) -> Report | None:
    """A refutation at concrete sizes: those at which something fails, then those of the families, the first one's
    first."""
    points = [*wrong, *(families[0].small if families else ()), *in_turn(families[1:])]
    points += [sizes for here in families for sizes in here.large]
    looking = time.process_time()
    for sizes in [*points, *([] if last in points else [last])]:
        if sizes not in wrong and sizes is not last and time.process_time() - looking > MAX_SECONDS:
            continue
        try:
            program = bind(syntax, {**fixed, **sizes})
        except SlotError as problem:
            first = problem.diagnostics[0]
            if first.code in LIMITS:
                continue
            note = f"at {values_text(sizes)} the program has no meaning: {first.code}, {first.message}"
            reason = "a condition on the sizes is missing, such as a `require`"
            return replace(_report("unknown", "mixed-radix", start, covered, reason=reason), notes=(note,))
        report = _concrete(program)
        if report is None:
            continue
        if report.proved and sizes in wrong:
            raise Disagreement(f"{values_text(sizes)}: refuted with the sizes left open, and proved at these")
        if report.status == "refuted":
            return replace(
                report,
                seconds=time.perf_counter() - start,
                for_all=replace(covered, refuted_at={**covered.fixed, **sizes}),
                subject="all sizes",
            )
    return None


def _not_meant(syntax: tree.Program, fixed: Mapping[str, int], report: Report) -> Sequence[str]:
    """A note where the program is proved at its own sizes: nobody may mean those of the counterexample."""
    at = report.for_all.refuted_at if report.for_all else None
    try:
        program = bind(syntax, fixed)
    except SlotError:
        # it has no sizes of its own
        return ()
    own = {name: program.sizes[name] for name in program.parameters}
    if at is None or all(own.get(name, value) == value for name, value in at.items()):
        return ()
    found = _concrete(program)
    return () if found is None or not found.proved else (of_sizes_not_meant(own, at),)


def _concrete(program: Program) -> Report | None:
    """The verdict at concrete sizes; None where it takes more than a second or two."""
    checker = Checker(program)
    found = {outcome.status for _, outcome in checker.polyhedral(CROSS_CHECK_OPERATIONS)[0]}
    if "refuted" in found:
        return check(program, "polyhedral")
    if "unknown" not in found:
        return Report("proved", "polyhedral", 0.0)
    try:
        return check(program) if checker.work() <= MAX_WORK else None
    except SlotError:
        # it can't be scheduled
        return None
