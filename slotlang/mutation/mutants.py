"""Every single change of a program, in the order of its text."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import reduce
from itertools import chain, combinations, pairwise

from slotlang.diagnostics import SlotError
from slotlang.meaning.integers import SLOT
from slotlang.mutation.edits import (
    Edit,
    binder_edits,
    condition_edits,
    each,
    integer_edits,
    put,
    swapped,
    tensor_edits,
    value_edits,
    where_edits,
    within,
)
from slotlang.mutation.names import Names, names_of
from slotlang.mutation.rotated import rotated_edits
from slotlang.source import Source, Span
from slotlang.syntax import tree
from slotlang.syntax.parser import parse
from slotlang.syntax.printer import expression_text, statement_text
from slotlang.syntax.walk import by_elements, nodes, renamed
from slotlang.syntax.walk import names as names_in

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")


def one_line(text: str) -> str:
    """A text without comments on one line."""
    lines = (line.partition("#")[0].strip() for line in text.split("\n"))
    return " ".join(line for line in lines if line)


def _shared(a: str, b: str) -> int:
    """How many characters two texts start with alike."""
    return next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


@dataclass(frozen=True, slots=True)
class Mutation:
    """A program with one change.

    ``span`` is what the change replaces, ``after`` what it puts there, ``statement`` the number of the
    statement it is in. ``program`` is the changed tree; its spans are those of the unchanged text.
    """

    kind: str
    span: Span
    after: str
    statement: int
    program: tree.Program = field(repr=False)

    @property
    def description(self) -> str:
        """``"`>>` for `<<` in line 14"``."""
        return self.described("")

    def described(self, which: str) -> str:
        """The same, with ``which`` of several alike is changed: ``"`X` for the second `X2` in line 6"``."""
        before = f"{which}`{one_line(self.span.text)}`"
        what = f"`{self.after}` for {before}" if self.after else f"without {before}"
        places = [f", in the definition of '{name}' ({place})" for name, place in self.span.definitions[-1:]]
        return f"{what} in line {self.span.line}{''.join(places)}"

    @property
    def occurrence(self) -> str:
        """``the second `` where the line has what is changed several times; else empty."""
        source, here = self.span.source.text, self.span.text
        start = source.rfind("\n", 0, self.span.start) + 1
        line = source[start:].partition("\n")[0].partition("#")[0]
        edges = [r"\b" if re.match(r"\w", sign) else "" for sign in (here[:1], here[-1:])]
        places = [start + found.start() for found in re.finditer(edges[0] + re.escape(here) + edges[1], line)]
        if len(places) < 2 or self.span.start not in places:
            return ""
        number = places.index(self.span.start)
        return f"the {_ORDINALS[number] if number < len(_ORDINALS) else f'{number + 1}th'} "

    def text(self) -> str:
        """The text of the changed program; outside the changed place it is the author's, sign by sign."""
        places = [(self.span, self.after), (self.span, f"({self.after})")]
        source, start, end = self.span.source, self.span.start, self.span.end
        if source.text[start - 1 : start] + source.text[end : end + 1] == "()":
            places.insert(0, (Span(source, start - 1, end + 1), self.after))
        for span, after in places:
            text = source.text[: span.start] + after + source.text[span.end :]
            try:
                if parse(Source(source.name, text)) == self.program:
                    return text
            except SlotError:
                continue
        whole = self.whole
        return (
            source.text[: whole.start]
            + statement_text(self.program.statements[self.statement])
            + source.text[whole.end :]
        )

    def lines(self) -> tuple[str, ...]:
        """The changed statement as it would read."""
        whole, text = self.whole, self.text()
        grown = len(text) - len(whole.source.text)
        return tuple(text[whole.start : whole.end + grown].splitlines())

    @property
    def size(self) -> int:
        """How many characters a person has to type or to take away, whichever is more, blanks and comments apart."""
        before, after = one_line(self.span.text), self.after
        same = _shared(before, after)
        before, after = before[same:], after[same:]
        return max(len(before), len(after)) - _shared(before[::-1], after[::-1])

    @property
    def whole(self) -> Span:
        """The statement that is changed, in the unchanged text."""
        statements = parse(self.span.source).statements
        return next(s.span for s in statements if s.span.start <= self.span.start < s.span.end)


def mutants(
    program: tree.Program, *, forgotten: bool = False, only: Container[int] | None = None
) -> Iterator[Mutation]:
    """Every single change, each once. They may have no meaning, or the meaning of the program itself. ``forgotten``:
    those too that put in a factor or a summand of an integer. ``only``: the numbers of the statements to change."""
    names = replace(names_of(program), forgotten=forgotten)
    statements = program.statements
    for number, statement in enumerate(statements):
        if only is not None and number not in only:
            continue
        seen: set[object] = {statement}
        for edit in _statement_edits(statement, names):
            if edit.node not in seen:
                seen.add(edit.node)
                changed = replace(program, statements=(*statements[:number], edit.node, *statements[number + 1 :]))
                yield Mutation(edit.kind, edit.span, edit.after, number, changed)
        if isinstance(statement, tree.Claim):
            left = replace(program, statements=(*statements[:number], *statements[number + 1 :]))
            yield Mutation("claim", statement.span, "", number, left)


def _statement_edits(s: tree.Statement, names: Names) -> Iterator[Edit]:
    match s:
        case tree.Header() | tree.Scalars() | tree.Require() | tree.Bound() | tree.Parameters():
            return
        case tree.Let(_, value):
            alone = replace(names, forgotten=False)
            yield from within(integer_edits(value, "size", alone), lambda new: replace(s, value=new))
        case tree.Declare(_, tensors):
            edits = each(tensors, lambda tensor: _pattern_edits(tensor, names))
            yield from within(edits, lambda new: replace(s, tensors=new))
        case tree.NameTensor(_, value):
            yield from within(tensor_edits(value, "tensor", names), lambda new: replace(s, value=new))
        case tree.Axes(_, binders):
            yield from _axes_edits(s, binders)
        case tree.Define(kind, _, binders, body):
            inside = names.inside(b.name for b in binders)
            yield from within(binder_edits(binders, names), lambda new: replace(s, binders=new))
            if kind != "compute":
                yield from within(_exchanged_digits(body, names), lambda new: replace(s, body=new))
            if kind == "plain" and names.forgotten:
                yield from within(rotated_edits(s, names), lambda new: replace(s, body=new))
            yield from within([put("sign", body, tree.Unary("-", body, body.span))], lambda new: replace(s, body=new))
            yield from within(value_edits(body, inside), lambda new: replace(s, body=new))
        case tree.DefinePermutation(_, form):
            yield from within(_permutation_edits(form, names), lambda new: replace(s, form=new))
        case tree.Claim():
            for edit in _claim_edits(s, names):
                yield replace(edit, kind="claim")
        case tree.Output():
            yield from _output_edits(s, names)
        case tree.Prove(_, value, binders=binders) if by_elements(s):
            inside = replace(names.inside(b.name for b in binders), systems=())
            edits = chain(
                within(binder_edits(binders, names), lambda new: replace(s, binders=new)),
                within(value_edits(value, inside), lambda new: replace(s, value=new)),
            )
            yield from (replace(edit, kind="theorem") for edit in edits)
        case tree.Prove(_, value):
            yield from within(tensor_edits(value, "theorem", names), lambda new: replace(s, value=new))


def _pattern_edits(tensor: tree.Tensor, names: Names) -> Iterator[Edit]:
    if tensor.pattern is not None:
        inside = replace(names.inside(n for n in tensor.indices if n is not None), systems=())
        edits = condition_edits(tensor.pattern, "sparsity", inside)
        yield from within(edits, lambda new: replace(tensor, pattern=new))


def _axes_edits(s: tree.Axes, binders: tuple[tree.Binder, ...]) -> Iterator[Edit]:
    """The order of the digits, and which extent belongs to which."""
    for a, b in pairwise(binders):
        at = binders.index(a)
        rest = binders[:at], binders[at + 2 :]
        span = a.span.to(b.span)
        old_a, old_b = a.span.text, b.span.text
        yield Edit("layout", span, f"{old_b}, {old_a}", replace(s, binders=(*rest[0], b, a, *rest[1])))
        renamed = replace(a, name=b.name), replace(b, name=a.name)
        text = f"{b.name}{old_a[len(a.name) :]}, {a.name}{old_b[len(b.name) :]}"
        yield Edit("layout", span, text, replace(s, binders=(*rest[0], *renamed, *rest[1])))


def _exchanged_digits(body: tree.Expr, names: Names) -> Iterator[Edit]:
    """Two digits of a coordinate system exchanged all over a layout."""
    for system in names.systems:
        for a, b in combinations(system, 2):
            yield put("layout", body, renamed(body, {a: b, b: a}))


def _permutation_edits(form: tree.PermutationForm, names: Names) -> Iterator[Edit]:
    match form:
        case tree.DigitPermutation(_, target):
            for other in swapped(target):
                span = target[0].span.to(target[-1].span)
                text = ", ".join(e.span.text for e in other)
                yield Edit("permutation", span, text, replace(form, target=other))
            edits = each(target, lambda e: integer_edits(e, "permutation", names))
            yield from within(edits, lambda new: replace(form, target=new))
        case tree.SlotPermutation(source, target_slot):
            inside = names.inside([source.name])
            edits = integer_edits(target_slot, "permutation", inside)
            yield from within(edits, lambda new: replace(form, target=new))
        case tree.CyclePermutation(cycles):
            exchanged = each(cycles, _cycle_edits)
            yield from within(exchanged, lambda new: replace(form, cycles=new))
            inner = each(cycles, lambda cycle: each(cycle, lambda e: integer_edits(e, "permutation", names)))
            yield from within(inner, lambda new: replace(form, cycles=new))


def _cycle_edits(cycle: tuple[tree.Expr, ...]) -> Iterator[Edit]:
    for other in swapped(cycle):
        text = ", ".join(e.span.text for e in other)
        yield Edit("permutation", cycle[0].span.to(cycle[-1].span), text, other)


def _new_names(target: tree.Expr, names: Names) -> Names:
    """Where a claim or output names all members of a family by new names, those are loop variables."""
    indices = target.indices if isinstance(target, tree.Index) else ()
    known = (*names.sizes, *names.digits)
    return names.inside(i.name for i in indices if isinstance(i, tree.Name) and i.name not in known)


def _claim_edits(s: tree.Claim, names: Names) -> Iterator[Edit]:
    inside = _new_names(s.target, names)
    if isinstance(s.target, tree.Index):
        edits = value_edits(s.target, inside)
        members = (e for e in edits if isinstance(e.node, tree.Index))
        yield from within(members, lambda new: replace(s, target=new))
    yield from within(value_edits(s.value, inside), lambda new: replace(s, value=new))
    yield from within(where_edits(s.where, "claim", inside), lambda new: replace(s, where=new))


def _output_edits(s: tree.Output, names: Names) -> Iterator[Edit]:
    value = s.value
    operand = value.operand if isinstance(value, tree.Unary) else value
    inside = _new_names(operand, names)
    edits = each(s.indices, lambda index: integer_edits(index, "output map", inside))
    yield from within(edits, lambda new: replace(s, indices=new))
    for indices in swapped(s.indices):
        span = s.indices[0].span.to(s.indices[-1].span)
        text = ", ".join(e.span.text for e in indices)
        yield Edit("output map", span, text, replace(s, indices=indices))
    for part in ("re", "im"):
        if not (isinstance(value, tree.Unary) and value.op == part):
            new = tree.Unary(part, operand, value.span)
            yield from within([put("part", value, new)], lambda new: replace(s, value=new))
    if operand is not value:
        yield from within([put("part", value, operand)], lambda new: replace(s, value=new))
    if isinstance(operand, tree.Index):
        members = (e for e in value_edits(operand, inside) if isinstance(e.node, tree.Index))

        def rebuilt(new: tree.Expr) -> tree.Output:
            return replace(s, value=replace(value, operand=new) if isinstance(value, tree.Unary) else new)

        yield from within(members, rebuilt)
    if s.where is not None and names.forgotten:
        span = Span(s.span.source, s.value.span.end, s.where.span.end)
        yield Edit("output map", span, "", replace(s, where=None))
    if s.where is None and names.forgotten:
        for where in _slots_of_one(s.indices, names, value.span):
            text = f"{expression_text(value)} where {expression_text(where)}"
            yield Edit("where", value.span, text, replace(s, where=where))
    yield from within(where_edits(s.where, "output map", inside), lambda new: replace(s, where=new))


def _slots_of_one(indices: tuple[tree.Expr, ...], names: Names, span: Span) -> Iterator[tree.Expr]:
    """Conditions that leave one slot of those that carry the same element: a digit that no index has is 0, or all such
    digits; or a digit is below the modulus that it is taken by. A number is carried by the first slot."""
    used = names_in(indices)
    zero = tree.Number(Fraction(0), False, span)
    if not indices:
        yield tree.Compare(("==",), (tree.Name(SLOT, span), zero), span)
        return
    for system in names.systems or ((SLOT,),):
        unused: list[tree.Expr] = [
            tree.Compare(("==",), (tree.Name(digit, span), zero), span) for digit in system if digit not in used
        ]
        yield from unused
        if len(unused) > 1:
            yield reduce(lambda a, b: tree.Binary("and", a, b, span), unused)
    for part in nodes(indices):
        if isinstance(part, tree.Binary) and part.op == "%":
            for name in sorted(names_in(part.left) & {*names.digits, SLOT}):
                yield tree.Compare(("<",), (tree.Name(name, span), part.right), span)


__all__ = ["Mutation", "mutants"]
