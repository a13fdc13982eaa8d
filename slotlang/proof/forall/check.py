"""A verdict for all values of some sizes: which method decides, which sizes it covers, what is checked beside it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace

from slotlang.diagnostics import SlotError, closest, error
from slotlang.meaning.bind import bind
from slotlang.meaning.program import Program
from slotlang.proof.check import Checker, Method, Report, check
from slotlang.proof.forall.conditions import Conditions, Defined, conditions, sizes_in
from slotlang.proof.forall.coverage_report import Covered, condition_texts, values_text
from slotlang.proof.forall.parametric import OpenPolyhedral, RefutedAt, linear
from slotlang.proof.forall.prover import MixedRadix
from slotlang.proof.forall.size_solver import Symbols, Unsolved, cases
from slotlang.proof.verdict import Disagreement, Outcome
from slotlang.syntax import tree

ALL = "all"
"""Stands for every size of the program that has no value by ``--set``."""
CROSS_CHECKS = 3
"""Concrete sizes at which a proof is checked by itself."""
SAMPLES = 24
"""Concrete sizes that are looked at for a counterexample."""
MAX_SECONDS = 1.5
"""No further concrete sizes are looked at after so long."""
MAX_POINT = 1 << 12
"""Largest size that is looked at beside a proof."""


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
    found = conditions(syntax, fixed, free)
    reason, families = "", list[Symbols]()
    try:
        families = cases(found)
        if not families:
            raise error("SL724", "no sizes meet the conditions of this program", syntax.statements[0].span)
    except Unsolved as problem:
        reason = str(problem)
    program = _witness(syntax, fixed, free, families, seed)
    shown = {c.name: program.sizes[c.name] for c in found.all if isinstance(c, Defined) and c.name in found.parameters}
    dependent = {c.name for c in found.all if isinstance(c, Defined) and sizes_in(c.value)}
    covered = Covered(
        free,
        {name: value for name, value in shown.items() if name not in dependent},
        condition_texts(found, families, {n: v for n, v in shown.items() if n not in dependent}),
        tuple(s.parametrization(free) for s in families),
    )
    reason = reason or _fixed_structure(found, families)
    points = _points(found, free, families, seed) or [{name: program.sizes[name] for name in free}]
    method: Method = "mixed-radix"
    results: list[tuple[str, Outcome]] = []
    wrong: list[dict[str, int]] = []
    if not reason:
        method, results, reason, wrong = _decided(syntax, fixed, program, free, families)
        points = [*wrong, *points]
    if not reason:
        checked = tuple(_cross_checked(syntax, fixed, points))
        steps = tuple((what, o.status) for what, o in results)
        return _report("proved", method, start, replace(covered, checked=checked), steps=steps)
    return _refuted(syntax, fixed, points, program, free, covered, start, wrong) or _report(
        "unknown", method, start, covered, reason=reason, steps=tuple((what, o.status) for what, o in results)
    )


def _decided(
    syntax: tree.Program,
    fixed: Mapping[str, int],
    program: Program,
    free: tuple[str, ...],
    families: Sequence[Symbols],
) -> tuple[Method, list[tuple[str, Outcome]], str, list[dict[str, int]]]:
    """The goals for all families of sizes: the method, its steps, why they are not proved, and where something fails.

    Where all sizes are linear in the symbols the polyhedral method decides; what it can't, and all else, is rewritten.
    """
    method: Method = "polyhedral"
    results: list[tuple[str, Outcome]] = []
    for symbols in families:
        results, reason = [], "sizes are multiplied"
        if linear(symbols):
            try:
                # several families have constant sizes that differ: each is looked at bound at sizes of its own
                here = program if len(families) == 1 else _witness(syntax, fixed, free, [symbols], 0, program)
                results = OpenPolyhedral(here, symbols).run()
                reason = _open_reason(results)
            except RefutedAt as wrong:
                sizes = {name: int(symbols.sizes[name].value(wrong.point)) for name in free}
                return "polyhedral", [], f"wrong at {values_text(sizes)}", [sizes]
        if reason:
            method = "mixed-radix"
            results = MixedRadix(program, symbols).prove()
            reason = _open_reason(results)
        if reason:
            return method, results, reason, []
    return method, results, "", []


def _open_reason(results: Sequence[tuple[str, Outcome]]) -> str:
    return next((o.reason or o.status for _, o in results if o.status != "proved"), "")


def _report(
    status: str,
    method: Method,
    start: float,
    covered: Covered,
    reason: str = "",
    steps: tuple[tuple[str, str], ...] = (),
) -> Report:
    return Report(
        status,  # type: ignore[arg-type]
        method,
        time.perf_counter() - start,
        reason=reason,
        steps=steps,  # type: ignore[arg-type]
        for_all=covered,
        subject="all sizes",
    )


def _free(syntax: tree.Program, names: Sequence[str], fixed: Mapping[str, int]) -> tuple[str, ...]:
    """The sizes that stay open, in the header's order. Raises SL720, SL721, SL722."""
    header = next((s for s in syntax.statements if isinstance(s, tree.Header)), None)
    if header is None:
        bind(syntax)
        raise AssertionError("a program without a header")
    known = [size.name for size in header.sizes]
    used = {node.name for s in syntax.statements for node in _names(s)} | {"slots"}
    if ALL in names and ALL not in known:
        free = [name for name in known if name not in fixed and name in used]
        if not free:
            raise error("SL722", "no size of this program is open", header.span, hint="drop --for-all")
        return tuple(free)
    for name in names:
        if name not in known:
            raise error(
                "SL720",
                f"the program has no size '{name}'",
                header.span,
                notes=[f"its sizes are {', '.join(known) or 'none'}"],
                hint=closest(name, known) or "name sizes of the header; what `let` defines follows from them",
            )
        if name in fixed:
            raise error(
                "SL721",
                f"'{name}' can't be both free and {fixed[name]}",
                header.span,
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


def _witness(
    syntax: tree.Program,
    fixed: Mapping[str, int],
    free: tuple[str, ...],
    families: Sequence[Symbols],
    seed: int,
    default: Program | None = None,
) -> Program:
    """The program at some sizes: small ones of the families, or its defaults."""
    for sizes in (p for s in families for p in _sizes(s, free, seed)):
        try:
            return bind(syntax, {**fixed, **sizes})
        except SlotError:
            continue
    return default or bind(syntax, fixed)


def _fixed_structure(found: Conditions, families: Sequence[Symbols]) -> str:
    """Why the terms of the program depend on its sizes; empty when they do not."""
    for name, span in found.valued:
        if any(s.sizes[name].number() is None for s in families):
            return f"line {span.line}: '{name}' is used as a number, and it is open"
    return ""


def _sizes(symbols: Symbols, free: tuple[str, ...], seed: int) -> Iterator[dict[str, int]]:
    """Concrete values of the free sizes that meet the conditions."""
    for point in symbols.points(4 * SAMPLES, seed):
        values = {name: symbols.sizes[name].value(point) for name in free}
        if all(value <= MAX_POINT for value in values.values()):
            yield {name: int(value) for name, value in values.items()}


def _points(found: Conditions, free: tuple[str, ...], families: Sequence[Symbols], seed: int) -> list[dict[str, int]]:
    points: list[dict[str, int]] = []
    for symbols in families:
        points += _sizes(symbols, free, seed)
    points = [dict(p) for p in dict.fromkeys(tuple(p.items()) for p in points)]
    points = sorted((p for p in points if found.hold(p)), key=lambda p: sum(p.values()))
    return points[:SAMPLES]


def _cross_checked(
    syntax: tree.Program, fixed: Mapping[str, int], points: Sequence[dict[str, int]]
) -> Iterator[dict[str, int]]:
    """Sizes at which the polyhedral method proves the program too. Raises ``Disagreement`` when one is refuted."""
    start = time.perf_counter()
    done = 0
    for sizes in points[:: max(1, len(points) // (2 * CROSS_CHECKS))]:
        if done == CROSS_CHECKS or (done and time.perf_counter() - start > MAX_SECONDS):
            return
        try:
            results, _ = Checker(bind(syntax, {**fixed, **sizes})).polyhedral()
        except SlotError as problem:
            raise Disagreement(
                f"proved for all sizes, and at {values_text(sizes)} the program has no meaning: {problem}"
            ) from None
        for what, outcome in results:
            if outcome.status == "refuted":
                raise Disagreement(f"{what}: proved for all sizes, and refuted at {values_text(sizes)}")
        if all(outcome.status == "proved" for _, outcome in results):
            done += 1
            yield sizes


def _refuted(
    syntax: tree.Program,
    fixed: Mapping[str, int],
    points: Sequence[dict[str, int]],
    witness: Program,
    free: tuple[str, ...],
    covered: Covered,
    start: float,
    wrong: Sequence[dict[str, int]],
) -> Report | None:
    """A refutation at concrete sizes: those drawn, then those of the witness."""
    last = {name: witness.sizes[name] for name in free}
    for sizes in [*points, *([] if last in points else [last])]:
        if time.perf_counter() - start > MAX_SECONDS and sizes is not last:
            continue
        try:
            report = check(bind(syntax, {**fixed, **sizes}))
        except SlotError as problem:
            first = problem.diagnostics[0]
            note = f"at {values_text(sizes)} the program has no meaning: {first.code}, {first.message}"
            reason = "a condition on the sizes is missing, such as a `require`"
            return replace(_report("unknown", "mixed-radix", start, covered, reason=reason), notes=(note,))
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
