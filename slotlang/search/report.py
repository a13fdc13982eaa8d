"""The program that a search found best, with the reason in its header."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap

from slotlang.meaning.outside_bounds import Limit, with_bound_statements
from slotlang.planning.given_parameters import statement_of
from slotlang.search.candidate import Candidate, Found
from slotlang.source import Source
from slotlang.syntax.parser import parse
from slotlang_runtime.amounts import count_of, noun_of

_NAMES = """program synth
input x[1, 1]
weight A[1, 1], B[1, 1]
scalar scale
"""
"""What every program that is searched for declares."""


def checked_bounds(bounds: Mapping[str, Limit]) -> Mapping[str, Limit]:
    """The bounds themselves. Raises as ``with_bound_statements``, before anything is searched."""
    with_bound_statements(parse(Source("synth", _NAMES)), bounds)
    return bounds


def program_text(result: Found) -> str:
    """The best candidate as a ``.slot`` text, with the bounds of magnitudes and the parameters it was chosen for."""
    ranked = result.ranked
    best, shape = ranked[0], result.shape
    tokens = count_of(shape.batch, "token")
    ended = "" if result.complete else " The search was interrupted before it was through."
    lines = [
        f"y = scale * A @ B @ x: {shape.d_in} to {shape.d_out} {noun_of(shape.d_out, 'channel')}, "
        f"rank {shape.rank}, {tokens}. "
        f"Found by slotlang synth, {best.verdict}.",
        f"Structure: {best.structure.name()}; {_groups(best)}{_numbers(best)}.",
        f"Parameters: {best.parameters.text()}. Predicted relative error {best.error:.1e}, "
        f"{result.about}; at most {result.precision:g} was asked for.",
        f"Predicted: {_parts(best)}, by the profile {best.predicted.profile}.",
        f"Chosen for the least {result.objective} among {count_of(result.sketched, 'structure')}, "
        f"{result.worked} of them proved and costed.{ended}",
    ]
    if len(ranked) > 1:
        second = ranked[1]
        lines.append(f"Runner-up: {second.structure.name()}; {_milliseconds(second)}, {_numbers(second)}.")
    comment = [f"# {part}" for line in lines for part in wrap(line, 116)]
    text = "\n".join([*comment, best.text, statement_of(best.parameters), ""])
    return with_bound_statements(parse(Source("synth", text)), result.bounds).source.text


def _groups(c: Candidate) -> str:
    s = c.structure
    return f"{count_of(s.groups, 'group')} of {count_of(s.held, 'token')}, " if s.groups > 1 else ""


def _milliseconds(c: Candidate) -> str:
    return f"{1e3 * c.predicted.server:.1f} ms"


def _parts(c: Candidate) -> str:
    """What a request takes the server, by part."""
    p = c.predicted
    parts = {"to read": p.reading, "to evaluate": p.evaluation, "to make masks": p.masking, "to write": p.saving}
    text = ", ".join(f"{1e3 * seconds:.1f} {what}" for what, seconds in parts.items() if seconds)
    return f"{_milliseconds(c)} of the server for a request ({text})"


def _numbers(c: Candidate) -> str:
    counts = c.counts
    return (
        f"{count_of(counts.key_switches, 'key switch')}, {count_of(counts.galois_keys, 'Galois key')}, "
        f"{count_of(counts.plain_products, 'product')}, "
        f"{count_of(counts.ciphertexts_in, 'ciphertext')} up and {counts.ciphertexts_out} down"
    )
