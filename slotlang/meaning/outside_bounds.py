"""Bounds from outside of a program: ``--bound x=8`` on the command line, ``bounds=`` in Python.

They become statements of the program's text. So everything later looks at the program alone, and an emitted module,
which carries the text, carries them too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from typing import TypeAlias

from slotlang.diagnostics import SlotError, closest, error
from slotlang.meaning.bind import bind
from slotlang.meaning.bind_value import count
from slotlang.meaning.bounds import MAX_LIMIT_BITS, power_text
from slotlang.meaning.program import Program
from slotlang.source import Origin, Source, Span
from slotlang.syntax import tree
from slotlang.syntax.parser import parse
from slotlang.syntax.printer import bounded_text, statement_text

Limit: TypeAlias = int | float | Fraction | str
"""A limit; a text is a number such as ``8``, ``0.25``, ``1/64``, ``1e-3`` or ``2^10``."""

_NUMBER = re.compile(r"\s*(-?[0-9]{1,40})(?:\.([0-9]{1,40}))?(?:[eE]([-+]?[0-9]{1,3}))?(?:\s*/\s*([0-9]{1,40}))?\s*")
_KEY = re.compile(r"[A-Za-z_]\w*|\|\s*[A-Za-z_]\w*\s*\||norm\s*\([^()|#\n]*\)", re.ASCII)
_POWER = re.compile(r"\s*2\s*(?:\^|\*\*)\s*(-?[0-9]{1,3})\s*")


def with_bounds(program: Program, bounds: Mapping[str, Limit]) -> Program:
    """The program with these bounds, in place of its own of the same magnitudes.

    A key is what a ``bound`` statement has on its left: ``|x|``, or ``x`` for short, and ``norm(x)``: of every token of
    an input (along its first dimension) and of every row of a weight (along its last), or ``norm(A[:, j])``. Raises as
    ``with_bound_statements``.
    """
    if not bounds:
        return program
    sizes = {name: program.sizes[name] for name in program.parameters}
    return bind(with_bound_statements(program.syntax, bounds), sizes)


def with_bound_statements(program: tree.Program, bounds: Mapping[str, Limit]) -> tree.Program:
    """The tree with statements for these bounds: those of the same magnitudes are replaced where they stand, others
    follow at the end, so that no other line changes its number. The order in which bounds are given changes nothing:
    a client and a server that are lowered apart have the same text, and its hash.

    Raises ``SlotError`` SL201 (a name of nothing that can be bounded), SL217 (limit), SL218 (bounded twice), SL223
    (norm), SL303 (number of indices), and SL102 for a key that is not the left side of a bound.
    """
    if not bounds:
        return program
    given: dict[tuple[str, int | None], tree.Bound] = {}
    for key, limit in bounds.items():
        bound, axis = _statement(program, key, _limit(key, limit))
        about = bound.name.name, axis
        if about in given:
            raise error("SL218", f"{key} is bounded twice", hint="give one limit")
        given[about] = bound
    source, added = program.source, dict(given)
    edits: list[tuple[int, int, str]] = []
    written: list[tree.Bound] = []
    own = [s for s in program.statements if isinstance(s, tree.Bound)]
    for statement in sorted(own, key=lambda s: s.span.start):
        new = given.get((statement.name.name, _axis(program, statement)))
        if new is not None:
            edits.append((statement.span.start, statement.span.end, statement_text(new)))
            written.append(new)
            added.pop((new.name.name, _axis(program, new)), None)
    end = len(source.text)
    declared = list(_tensors(program))
    added = {
        about: added[about]
        for about in sorted(added, key=lambda a: (declared.index(a[0]), -1 if a[1] is None else a[1]))
    }
    if added and not source.text.endswith("\n"):
        edits.append((end, end, "\n"))
    edits += [(end, end, f"{statement_text(new)}\n") for new in added.values()]
    return parse(_with_origins(source, edits, [*written, *added.values()]))


def _with_origins(source: Source, edits: Sequence[tuple[int, int, str]], bounds: Sequence[tree.Bound]) -> Source:
    """The edited text, where each bound is known to come from its option: it is not in the file."""
    edited, shift, left = source.edited(edits), 0, list(bounds)
    origins = list(edited.origins)
    for start, end, new in edits:
        if new.strip():
            bound, text = left.pop(0), new.rstrip("\n")
            option = f"--bound{'' if bound.kind == 'entry' else '-norm'} {bound.name.name}"
            at = start + shift
            origins.append(Origin(at, at + len(text), Span(Source(option, text), 0, len(text))))
        shift += len(new) - (end - start)
    return replace(edited, origins=tuple(sorted(origins, key=lambda origin: origin.start)))


def _tensors(program: tree.Program) -> dict[str, tuple[str, int]]:
    """Kind and number of dimensions of what can be bounded; a scalar has none."""
    found: dict[str, tuple[str, int]] = {}
    for statement in program.statements:
        match statement:
            case tree.Declare(kind, tensors):
                found |= {t.name: (kind, len(t.shape)) for t in tensors}
            case tree.Scalars(names):
                found |= {n.name: ("scalar", 0) for n in names}
            case _:
                pass
    return found


def _axis(program: tree.Program, bound: tree.Bound) -> int | None:
    """The dimension that a norm goes along, as far as it is written rightly; None for all elements."""
    if bound.kind == "entry":
        return None
    return bound.places.index(None) if None in bound.places else 0


def _statement(program: tree.Program, key: str, limit: Fraction) -> tuple[tree.Bound, int | None]:
    """The statement of a bound, and the dimension that its norm goes along."""
    about = key.strip()
    if not _KEY.fullmatch(about):
        raise error("SL005", f"{key!r:.60} is not what a bound is about", hint="for example x, or norm(x)")
    source = Source(f"--bound {about}", f"bound {f'|{about}|' if about.isidentifier() else about} <= 1")
    bound = parse(source).statements[0]
    assert isinstance(bound, tree.Bound)
    name, known = bound.name.name, _tensors(program)
    if name not in known:
        hint = closest(name, known) or f"it has {', '.join(known) or 'none'}"
        raise error("SL201", f"the program has no input, weight or scalar '{name}' to bound", hint=hint)
    kind, dimensions = known[name]
    places = bound.places
    if bound.kind == "norm":
        if kind == "scalar":
            raise error(
                "SL223", f"'{name}' is one number, and has no norm", hint=f"bound its magnitude: --bound {name}="
            )
        if not places and dimensions > 1:
            along = 0 if kind == "input" else dimensions - 1
            names = _free_names(program, dimensions - 1, "t" if kind == "input" else "i")
            places = tuple(tree.Name(name, bound.span) for name in names)
            places = (*places[:along], None, *places[along:])
        if len(places or (None,)) != dimensions or (places or (None,)).count(None) != 1:
            raise error(
                "SL303",
                f"'{name}' has {count(dimensions, 'dimension')}, and a norm goes along one of them",
                notes=[f"given: {bounded_text(bound)}"],
                hint='name the others: norm(A[:, j]) has a ":" and a name',
            )
    number = tree.Number(limit, False, Span(source, 0, 0))
    bound = replace(bound, places=places, limit=number)
    return bound, _axis(program, bound)


def _free_names(program: tree.Program, wanted: int, first: str) -> list[str]:
    """Names for indices, of which none has another meaning that it could be mistaken for."""
    taken: set[str] = set()
    for statement in program.statements:
        match statement:
            case tree.Header(_, sizes):
                taken |= {size.name for size in sizes}
            case tree.Declare(_, tensors):
                taken |= {tensor.name for tensor in tensors}
            case tree.Scalars(scalars):
                taken |= {scalar.name for scalar in scalars}
            case tree.Let(name) | tree.NameTensor(name) | tree.Define(_, name) | tree.DefinePermutation(name):
                taken.add(name)
            case tree.Output(name):
                taken.add(name)
            case _:
                pass
    letters = [first, *(c for c in "ijk" if c != first)]
    names = (f"{letter}{n}" for n in ("", *range(len(taken) + wanted)) for letter in letters)
    return [*islice((name for name in names if name not in taken), wanted)]


def _limit(key: str, limit: Limit) -> Fraction:
    """The limit as an exact number; a float is the decimal number that it is shown as. Raises SL217."""
    shown = str(limit)
    value = limit if isinstance(limit, int | Fraction) and not isinstance(limit, bool) else _read(shown)
    if value is None:
        raise _wrong(key, f"{shown[:60]} is not a number")
    value = Fraction(value)
    if value <= 0:
        raise _wrong(key, f"{shown[:60]} is not positive")
    if not Fraction(1, 1 << MAX_LIMIT_BITS) <= value <= 1 << MAX_LIMIT_BITS:
        raise _wrong(key, f"about {power_text(value)} does not lie between 2^-{MAX_LIMIT_BITS} and 2^{MAX_LIMIT_BITS}")
    if max(value.numerator, value.denominator) >= 10**40:
        raise _wrong(key, f"{shown[:60]} has more than 40 digits")
    return value


def _read(text: str) -> Fraction | None:
    if power := _POWER.fullmatch(text):
        return Fraction(2) ** int(power[1])
    if (number := _NUMBER.fullmatch(text)) is None:
        return None
    whole, decimals, exponent, divisor = number.groups()
    value = Fraction(f"{whole}.{decimals or 0}") * Fraction(10) ** int(exponent or 0)
    return None if divisor is not None and not int(divisor) else value / int(divisor or 1)


def _wrong(key: str, why: str) -> SlotError:
    return error("SL217", f"the bound of {key} is wrong: {why}", hint="for example x=8, x=0.25, x=1/64 or x=2^10")
