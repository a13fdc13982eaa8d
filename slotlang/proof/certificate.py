"""Certificates: the evidence that ``slotlang.recheck`` needs to re-check a proof without the prover."""

from __future__ import annotations

from typing import Any

import islpy as isl

from slotlang import recheck
from slotlang.diagnostics import error
from slotlang.meaning.program import Program
from slotlang.proof.check import Report
from slotlang.proof.polyhedral import MAX_REGIONS, Region, overlay

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
        raise error(
            "SL705",
            f"the proof of {program.name} can't be re-checked",
            notes=[reason],
            hint="claims between the steps make goals smaller",
        ) from None
    return text


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
