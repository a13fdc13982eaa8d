"""Certificates: the evidence that ``slotlang.recheck`` needs to re-check a proof without the prover."""

from __future__ import annotations

import re
from typing import Any

import islpy as isl

from slotlang import recheck
from slotlang.diagnostics import SlotError, error
from slotlang.meaning.integers import evaluate, show
from slotlang.meaning.program import Claim, Family, Program, member_text
from slotlang.meaning.value import SumOver, Value, nodes
from slotlang.proof.check import Report
from slotlang.proof.polyhedral import MAX_REGIONS, Region, overlay
from slotlang_runtime.amounts import count_of

EASY_PRODUCTS = 1 << 18
"""Products of a goal of a program proved by the exact method that are added up at once: about a second."""


def certificate(program: Program, report: Report) -> str:
    """The certificate of a proved program; it has been re-checked.

    A program proved by the polyhedral method gets sets for every goal. One proved by the exact method gets the products
    of every goal that has few of them or that isl does not decide. Raises ``SlotError`` SL704 when the program
    is not proved, SL705 when a goal is too large to be re-checked.
    """
    if not report.proved:
        raise error("SL704", f"there is no certificate: {program.name} is {report.status}, not proved")
    sizes = {name: program.sizes[name] for name in program.parameters}

    def decide(_: int, over: recheck.Extents, sides: dict[str, recheck.Terms]) -> dict[str, Any]:
        attempts = [regions, recheck.by_products]
        if report.method == "exact" and products(over, sides) <= EASY_PRODUCTS:
            attempts.reverse()
        try:
            return attempts[0](over, sides)
        except (recheck.Rejected, isl.Error):
            return attempts[1](over, sides)

    try:
        text = recheck.certificate(program.syntax.source.text, sizes, decide)
        recheck.recheck(text.encode())
    except (recheck.Rejected, isl.Error, RecursionError, MemoryError, SyntaxError) as problem:
        reason = str(problem.args[0]) if problem.args else "isl gives up"
        if isinstance(problem, RecursionError | MemoryError | SyntaxError):
            # the checker is short, and has no other stack than Python's
            reason = "families read each other too many times in a row for the checker"
        line = re.match(r"line (\d+): ", reason)
        clash = _differing(program, int(line[1])) if line else None
        if clash is not None:
            raise clash from None
        raise error(
            "SL705",
            f"the proof of {program.name} can't be re-checked",
            notes=[reason],
            hint="claims between the steps make goals smaller",
        ) from None
    return text


def _differing(program: Program, line: int) -> SlotError | None:
    """SL705 for a statement of this line about several members, where a sum has another extent in one member than in
    another: the checker gives all members of a statement the same extents."""
    first: dict[str, tuple[str, int]] = {}
    for statement in (*program.families.values(), *program.steps):
        if statement.span.line != line:
            continue
        member, value = _said(statement)
        for node in nodes(value):
            if not isinstance(node, SumOver):
                continue
            terms = int(evaluate(node.extent, program.sizes, {}))
            other, before = first.setdefault(node.var, (member, terms))
            if terms == before:
                continue
            hint = f"let the sum run further, and multiply its body by a bracket: [{node.var} < ...] * ..."
            if isinstance(statement, Claim):
                hint = f"claim the members one by one: claim {member} == ... sum {node.var} < {terms}: ..."
            return error(
                "SL705",
                f"the proof of {program.name} can't be re-checked",
                statement.span,
                label=f"the sum over {node.var} has {count_of(before, 'term')} in {other} and {terms:,} in {member}",
                notes=["to the checker a sum has one extent in all members that a statement is about"],
                hint=hint,
            )
    return None


def _said(statement: Family | Claim) -> tuple[str, Value]:
    """The member that a statement is about, and what it says of it."""
    if isinstance(statement, Claim):
        return member_text(statement.family, [show(i) for i in statement.indices]), statement.value
    return member_text(statement.name, [b.name for b in statement.binders]), statement.body


def products(over: recheck.Extents, sides: dict[str, recheck.Terms]) -> int:
    """How many products of a goal there are at most, over all its points."""
    total = 0
    for term in (t for terms in sides.values() for t in terms):
        size = 1
        for _, extent in [*over, *term.loops]:
            size *= extent
        total += size
    return total


def regions(over: recheck.Extents, sides: dict[str, recheck.Terms]) -> dict[str, Any]:
    """Disjoint sets of points and products such that each term covers a set completely or not at all. Raises as
    ``recheck`` does."""
    context = recheck.limited()
    pieces: dict[tuple[tuple[str, ...], tuple[str, ...]], list[Region]] = {}
    for side, terms in sides.items():
        for term in terms:
            if not (term.re or term.im):
                continue
            count, points = recheck.image(context, over, term)
            if points.is_empty():
                continue
            value, zero = (term.re * count, term.im * count), (term.re * 0, term.im * 0)
            new = Region(points, value, zero) if side == "left" else Region(points, zero, value)
            key = term.scalars, tuple(tensor for tensor, _ in term.reads)
            pieces[key] = overlay(pieces.get(key, []), new)
            if len(pieces[key]) > MAX_REGIONS:
                raise recheck.Rejected("there are too many regions", "SL705", 1)
    if any(region.left != region.right for disjoint in pieces.values() for region in disjoint):
        # elements of one tensor in another order: product by product they are found to agree
        raise recheck.Rejected("the two sides have different regions", "SL705", 1)
    parts = [
        {
            "scalars": scalars,
            "tensors": tensors,
            "coefficient": [str(c) for c in region.left],
            "set": str(region.points),
        }
        for (scalars, tensors), disjoint in pieces.items()
        for region in disjoint
    ]
    return {"regions": parts}


__all__ = ["certificate"]
