"""From a program's text to the text of a cheaper one, proved again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction

from slotlang.cost.profile import Profile
from slotlang.diagnostics import error
from slotlang.displayed import Displayed
from slotlang.meaning.bind import bind
from slotlang.meaning.program import Program
from slotlang.optimize.rewriting import nowhere
from slotlang.optimize.search import Objective, Optimizer, Search
from slotlang.optimize.text import rewritten_text
from slotlang.optimize.why import why_not
from slotlang.planning.target import Target
from slotlang.proof.check import Report, check
from slotlang.proof.verdict import Disagreement
from slotlang.source import Source
from slotlang.syntax import tree
from slotlang.syntax.parser import parse
from slotlang.syntax.tensor_names import without_names
from slotlang_runtime.amounts import count_of


@dataclass(frozen=True)
class Optimized(Displayed):
    """A program that means the same and costs no more.

    ``changes``: rule and what it did, in order; empty when nothing cheaper was found, and then ``text`` is the
    text that was given. ``why_not``: by rule, why it was not taken; None where it was. ``report`` is on the text, read
    again. ``search.exhausted`` is false where the search ended before all was tried.
    """

    text: str
    objective: Objective
    changes: tuple[tuple[str, str], ...]
    why_not: Mapping[str, str | None]
    before: Program = field(repr=False)
    after: Program = field(repr=False)
    report: Report
    search: Search = field(repr=False)

    def __repr__(self) -> str:
        number = len(self.changes)
        return f"<Optimized {self.after.name}: {self.report.status}, {count_of(number, 'change')}>"


def optimize_program(
    syntax: tree.Program,
    sizes: Mapping[str, int] | None,
    objective: Objective,
    profile: Profile,
    *,
    target: Target = Target(),
    allow_packing: bool = False,
    progress: Callable[[str, float], None] = lambda what, done: None,
) -> Optimized:
    """A cheaper program of the same meaning at its sizes; those given become the defaults of its text.

    ``objective``: predicted time by ``profile``, rotations, or Galois keys. ``target``: what each program is
    planned for; with a precision, programs are compared each with the parameters that are chosen for it, and not with
    the fixed ones. ``allow_packing``: the client may have to pack, and to read, otherwise. ``progress`` is told what
    is done and how much of the search has passed, 0 to 1. An interrupt ends the search with the best so far. Raises
    ``SlotError`` SL481 when the program is not proved, and what ``bind`` and ``plan`` raise.
    """
    # costs before and after are compared under parameters that are chosen in the same way
    syntax = without_names(syntax)
    before = replace(bind(syntax, sizes), chosen_parameters=None)
    given = check(before)
    if not given.proved:
        notes = given.counterexample.lines() if given.counterexample else []
        raise error(
            "SL481",
            f"'{before.name}' is {given.status}, and only proved programs are optimized",
            syntax.header.span,
            notes=[given.reason] if given.reason else notes,
            hint="slotlang check shows what is wrong" if given.status == "refuted" else "",
        )
    start = _without_parameters(_with_sizes(syntax, sizes or {}))
    optimizer = Optimizer(
        {},
        objective,
        profile,
        target=target,
        allow_packing=allow_packing,
        progress=progress,
    )
    search = optimizer.search(start)
    reasons = why_not(search, optimizer.subject(search.best))
    changes = tuple((step.rule, step.what) for step in search.best.changes)
    if not changes and start.statements == _without_parameters(syntax).statements:
        return Optimized(syntax.source.text, objective, (), reasons, before, before, given, search)
    remarks = [f"optimized for {objective}: {what}" for _, what in changes]
    if any(isinstance(s, tree.Parameters) for s in syntax.statements):
        remarks.append("without its parameters, which were chosen for the program as it was")
    text = rewritten_text(syntax, search.best.program, remarks)
    after = bind(parse(Source(syntax.source.name, text)))
    report = check(after)
    if not report.proved:
        raise Disagreement(f"'{before.name}' is proved as rewritten, and its text is {report.status}")
    if (after.theorems, after.tensors, after.bounds) != (before.theorems, before.tensors, before.bounds):
        raise Disagreement(f"rewriting '{before.name}' has changed what it proves")
    return Optimized(text, objective, changes, reasons, before, after, report, search)


def _without_parameters(program: tree.Program) -> tree.Program:
    """The program without the parameters that it was chosen for: they were the best for another one."""
    return replace(program, statements=tuple(s for s in program.statements if not isinstance(s, tree.Parameters)))


def _with_sizes(program: tree.Program, sizes: Mapping[str, int]) -> tree.Program:
    """The program with other defaults."""
    header = program.header
    if not sizes:
        return program
    chosen = tuple(
        replace(size, default=tree.Number(Fraction(sizes[size.name]), False, nowhere(size.span)))
        if size.name in sizes
        else size
        for size in header.sizes
    )
    return replace(program, statements=(replace(header, sizes=chosen), *program.statements[1:]))
