"""Parameters that are written down: in a program's ``parameters`` statement, or on the command line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from slotlang.diagnostics import SlotError, error
from slotlang.meaning.program import ChosenParameters, Program
from slotlang.planning.parameters import Parameters, check_security
from slotlang.source import Source, Span
from slotlang.syntax import tree
from slotlang.syntax.parser import parse
from slotlang.syntax.printer import statement_text

OPTION = "--parameters"


def program_parameters(program: Program) -> Parameters | None:
    """The parameters that a program names; None for one that names none. Raises SL404 where they are not secure."""
    chosen = program.chosen_parameters
    return None if chosen is None else _secure(chosen)


def parameters_named(text: str) -> Parameters:
    """The parameters that a text names in the words of the statement: ``degree 8192 primes 60, 60, 60 scales 36``.

    Raises SL102, SL103 and SL109 where it is written wrongly, SL404 where they are not secure.
    """
    if not re.match(r"\s*\w[^\n#]*\Z", text, re.ASCII):
        hint = f'for example {OPTION} "degree 8192 primes 60, 60, 60 scales 36"'
        raise error("SL005", f"{OPTION} {text!r:.60} does not name parameters", hint=hint)
    given = parse(Source(OPTION, f"parameters {text.strip()}")).statements[0]
    assert isinstance(given, tree.Parameters)
    return _secure(given)


def statement_of(parameters: Parameters) -> str:
    """The ``parameters`` statement that names these."""
    p = parameters
    nowhere = Span(Source("", ""), 0, 0)
    scales, results = p.scales or (p.scale_bits,), (p.results,) if p.results else ()
    return statement_text(tree.Parameters(p.degree, p.primes, scales, p.drops, p.keys, results, p.cut, nowhere))


@contextmanager
def at(span: Span | None) -> Iterator[None]:
    """Diagnostics without a place get this one: where the parameters that they are about are written."""
    try:
        yield
    except SlotError as problem:
        raise SlotError(d if d.span is not None else replace(d, span=span) for d in problem.diagnostics) from None


def _secure(given: ChosenParameters | tree.Parameters) -> Parameters:
    own = given.scales if len(given.scales) > 1 else ()
    results = given.results if isinstance(given, ChosenParameters) else sum(given.results)
    found = Parameters(given.degree, given.primes, given.scales[0], given.drops, own, given.keys, results, given.cut)
    with at(given.span):
        check_security(found)
    return found
