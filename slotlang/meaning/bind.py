"""Binding: sizes get values, names get meanings, every statement is checked; many messages per run."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import assert_never

from slotlang.diagnostics import Diagnostic, SlotError, error
from slotlang.meaning.bind_value import OF_A_SLOT, binder_extent, family_ref, not_padded, slot_value
from slotlang.meaning.bounds import bind_bound
from slotlang.meaning.checks import check_kinds, check_tensors, what_family
from slotlang.meaning.integers import SLOT
from slotlang.meaning.kept import Kept
from slotlang.meaning.permutations import permutation
from slotlang.meaning.program import (
    Binder,
    Bound,
    ChosenParameters,
    Claim,
    Family,
    Output,
    Program,
    Theorem,
    written_name,
)
from slotlang.meaning.recursion import kept_family
from slotlang.meaning.scope import (
    Local,
    Poisoned,
    Scope,
    condition,
    constant,
    integer,
    name_span,
    text_of,
    unknown_name,
)
from slotlang.meaning.sizes import bind_axes, bind_header, bind_tensor, require, set_slots
from slotlang.meaning.tensors import name_tensor
from slotlang.meaning.theorems import theorem
from slotlang.meaning.unroll import Split, at_each_value
from slotlang.meaning.whole import check_whole
from slotlang.source import Span
from slotlang.syntax import tree
from slotlang.words import COMMENTS

__all__ = ["Binding", "bind", "bind_kept", "parts"]

MAX_PROBLEMS = 20
"""Most messages of one run: later ones are of little use."""


def bind(syntax: tree.Program, overrides: Mapping[str, int] | None = None) -> Program:
    """The program with its sizes bound, ``overrides`` taking the place of defaults.

    Raises ``SlotError`` with a message for every wrong statement (codes SL2xx and SL3xx), in the order of the
    text. A statement that only uses what another got wrong has no message of its own.
    """
    return Binding(syntax, overrides or {}).run()


def bind_kept(syntax: tree.Program, overrides: Mapping[str, int]) -> Program:
    """A program that ``bind`` takes, with nothing written out (``kept``): for proofs at all sizes, which show what is
    not checked here, that reads stay inside. Raises ``SlotError`` and ``GaveUp``."""
    return Binding(syntax, overrides, Kept()).run()


class Binding:
    """A program as far as its statements are bound."""

    def __init__(self, syntax: tree.Program, overrides: Mapping[str, int], kept: Kept | None = None) -> None:
        self.syntax = syntax
        self.overrides = overrides
        self.scope = Scope(later=_declarations(syntax), kept=kept)
        self.problems: list[Diagnostic] = []
        self.parameters: tuple[str, ...] = ()
        self.steps: list[Family | Claim] = []
        self.outputs: list[Output] = []
        self.theorems: dict[str, Theorem] = {}
        self.bounds: list[Bound] = []
        self.chosen: ChosenParameters | None = None

    def run(self) -> Program:
        header = self._header()
        self.parameters = tuple(size.name for size in header.sizes)
        rest = (s for s in self.syntax.statements if s is not header)
        for part in (header, *(part for s in rest for part in parts(s))):
            try:
                self.statement(part)
            except SlotError as problem:
                self.problems.extend(problem.diagnostics)
                self._poison(part, header)
            except Poisoned:
                self._poison(part, header)
            if len(self.problems) >= MAX_PROBLEMS:
                break
        else:
            check_whole(self.syntax, self.outputs, self.theorems, self.problems)
        if self.problems:
            raise SlotError(sorted(self.problems, key=lambda d: d.span.start if d.span else 0))
        scope = self.scope
        assert scope.slots is not None
        return Program(
            self.syntax,
            header.name,
            scope.sizes,
            self.parameters,
            scope.value(scope.slots),
            scope.slots,
            scope.digits,
            tuple(scope.axes),
            scope.tensors,
            tuple(scope.scalars),
            scope.permutations,
            tuple(self.steps),
            scope.families,
            tuple(self.outputs),
            self.theorems,
            tuple(self.bounds),
            self.chosen,
        )

    def _poison(self, statement: tree.Statement, header: tree.Header) -> None:
        """Mark the names a wrong statement should have defined; the header sees to its own."""
        if statement is not header:
            names = {name for name, _ in _defined(statement)}
            self.scope.poisoned |= names if self.scope.slots is None else names - {SLOT}

    def _header(self) -> tree.Header:
        """The header, which comes first. That there is none is the only message."""
        header = self.syntax.header
        if self.syntax.statements[0] is not header:
            self.problems.append(
                Diagnostic("SL211", "the header is a program's first statement", header.span, hint="move it up")
            )
        return header

    def copy(self) -> Binding:
        """The same as far, to be bound on in another way."""
        new = copy(self)
        new.scope = self.scope.copy()
        for name in ("problems", "steps", "outputs", "theorems", "bounds"):
            setattr(new, name, copy(getattr(self, name)))
        return new

    def statement(self, statement: tree.Statement) -> None:
        """Bind one more. Raises ``SlotError``, and ``Poisoned`` for one that uses what another got wrong."""
        scope = self.scope
        match statement:
            case tree.Header():
                bind_header(scope, statement, self.overrides)
            case tree.Let(name, value, span):
                scope.free(name, name_span(name, span))
                size = constant(scope, value, "a size")
                scope.declare(name, "a size", name_span(name, span))
                scope.sizes[name] = size
                if name == "slots":
                    set_slots(scope, span)
            case tree.Require():
                require(scope, statement, self.parameters)
            case tree.Declare(kind, tensors):
                for tensor in tensors:
                    bind_tensor(scope, kind, tensor)
            case tree.NameTensor():
                name_tensor(scope, statement)
            case tree.Scalars(names):
                for n in names:
                    scope.declare(n.name, "a scalar", n.span)
                    scope.scalars[n.name] = n.span
            case tree.Bound():
                self.bounds.append(bind_bound(scope, statement, self.bounds))
            case tree.Axes():
                bind_axes(scope, statement)
            case tree.Define():
                self._define(statement)
            case tree.DefinePermutation(name, _, span):
                scope.free(name, name_span(name, span))
                scope.permutations[name] = permutation(scope, self._slots(span), statement)
                scope.declare(name, "a permutation", name_span(name, span))
            case tree.Claim():
                self._claim(statement)
            case tree.Output():
                self._output(statement)
            case tree.Prove():
                self._prove(statement)
            case tree.Parameters():
                self._parameters(statement)
            case _:
                assert_never(statement)

    def _slots(self, span: Span) -> int:
        """The number of slots. Raises SL210 when nothing has fixed it."""
        if self.scope.slots is None:
            if not self.scope.poisoned.isdisjoint((SLOT, "slots")):
                raise Poisoned(SLOT)
            raise error(
                "SL210",
                "the number of slots is not known yet",
                span,
                hint="declare `axes (h < C, t < batch)`, or a size named slots, before the first vector",
            )
        return self.scope.value(self.scope.slots)

    # vectors

    def _define(self, define: tree.Define) -> None:
        place = name_span(define.name, define.span)
        self.scope.free(define.name, place)
        self._slots(place)
        local = Local({}, True)
        binders: list[Binder] = []
        for binder in define.binders:
            extent, size = binder_extent(self.scope, local, binder)
            local = local.bind(binder.name, size)
            binders.append(Binder(binder.name, extent, size))
        self.scope.defining = define.kind
        try:
            self.steps += self._members(define, local, tuple(binders))
        finally:
            self.scope.defining = ""
        self.scope.declare(define.name, what_family(define.kind), place)

    def _members(self, define: tree.Define, local: Local, binders: tuple[Binder, ...]) -> list[Family]:
        """The family, or, where it is written out, the families of its members."""
        scope, name = self.scope, define.name
        if scope.kept is not None:
            return [kept_family(scope, define, local, binders)]
        made: list[Family] = []
        split = Split(name, binders)

        def restart(positions: tuple[int, ...]) -> None:
            for family in made:
                del scope.families[family.name]
            made.clear()
            split.positions = positions

        def member(at: Local, values: tuple[int, ...]) -> None:
            split.point = values
            body = slot_value(scope, at, define.body)
            own = split.member(values) if values else name
            check_kinds(scope, define.kind, own, body, define.body.span)
            check_tensors(scope, define.kind, body)
            rest = tuple(b for b in binders if b.name not in at.values)
            family = Family(define.kind, own, rest, body, define.span)
            scope.families[family.name] = family
            made.append(family)

        scope.splits[name] = split
        try:
            at_each_value(local, binders, member, restart)
        finally:
            if not split.positions:
                del scope.splits[name]
        split.point = None
        return made

    def _member(
        self, e: tree.Expr, code: str, message: str, hint: str
    ) -> tuple[str, tuple[tree.Expr, ...], tuple[Binder, ...], Local]:
        """The family a claim or output is about. Bare new names in its brackets stand for every index."""
        scope = self.scope
        base, indices = (e.base, e.indices) if isinstance(e, tree.Index) else (e, ())
        if not isinstance(base, tree.Name):
            comment = isinstance(base, tree.Binary) and base.op == "//"
            raise error(code, message, e.span, hint=f"{hint}; {COMMENTS}" if comment else hint)
        name = base.name
        scope.sure(name)
        indexed = scope.binders(name)
        if indexed is None:
            if name in scope.declared:
                raise error(code, message, base.span, label=f"is {scope.what_is(name)}", hint=hint)
            raise unknown_name(scope, name, base.span, scope.families)
        if isinstance(e, tree.Index) and e.else_zero:
            raise not_padded(name, e.span)
        local = Local({}, True)
        binders: list[Binder] = []
        # a wrong number of indices is reported by family_ref
        for index, binder in zip(indices, indexed, strict=False):
            if (
                isinstance(index, tree.Name)
                and index.name != SLOT
                and index.name not in local.extents
                and index.name not in scope.declared
                and index.name not in scope.poisoned
            ):
                scope.loop(index.name, index.span)
                local = local.bind(index.name, binder.size)
                binders.append(Binder(index.name, binder.extent, binder.size))
                if scope.kept is not None:
                    scope.kept.loop(index.name, binder.extent)
        return name, indices, tuple(binders), local

    def _claim(self, claim: tree.Claim) -> None:
        scope, target = self.scope, claim.target
        name, indices, binders, local = self._member(
            target,
            "SL310",
            "a claim is about a family or a member of it",
            "claim S == ... or claim P[q] == ...",
        )

        def claimed(at: Local, _: tuple[int, ...]) -> Claim:
            ref = family_ref(scope, at, name, indices, target.span)
            value = slot_value(scope, Local(at.extents, True, OF_A_SLOT, at.values, at.given), claim.value)
            where = None if claim.where is None else condition(scope, at, claim.where)
            rest = tuple(b for b in binders if b.name not in at.values)
            return Claim(ref.name, rest, ref.indices, value, where, len(rest) == len(ref.indices), claim.span)

        self.steps += at_each_value(local, binders, claimed)

    def _output(self, output: tree.Output) -> None:
        scope, value, part = self.scope, output.value, None
        if isinstance(value, tree.Unary) and value.op in ("re", "im"):
            part, value = value.op, value.operand
        name, indices, binders, local = self._member(
            value,
            "SL311",
            "an output reads a ciphertext, or its real or imaginary part",
            "output y[c*C + h, t] = re Y[c]; compute anything else in a family first",
        )
        if self._plain(name):
            raise error(
                "SL311",
                "an output is decrypted, and this is not encrypted",
                value.span,
                label=f"'{name}' is a plain family",
                hint="output a cipher family or a computed one",
            )
        place = name_span(output.name, output.span)
        if not any(o.name == output.name for o in self.outputs):
            scope.free(output.name, place)

        def read(at: Local, _: tuple[int, ...]) -> Output:
            ref = family_ref(scope, at, name, indices, value.span)
            places = tuple(integer(scope, at, e) for e in output.indices)
            where = None if output.where is None else condition(scope, at, output.where)
            rest = tuple(b for b in binders if b.name not in at.values)
            return Output(output.name, rest, places, part, ref, where, output.span)

        outputs = at_each_value(local, binders, read)
        if output.name not in scope.declared:
            scope.declare(output.name, "an output", place)
        self.outputs += outputs

    def _plain(self, name: str) -> bool:
        """Whether a family is plain; one that is written out has that of its members."""
        return any(f.kind == "plain" for f in self.scope.families.values() if written_name(f.name) == name)

    def _prove(self, prove: tree.Prove) -> None:
        if prove.name in self.theorems:
            raise error(
                "SL202",
                f"'{prove.name}' is proved twice",
                name_span(prove.name, prove.span),
                notes=[f"first in line {self.theorems[prove.name].span.line}"],
                hint="a result has one meaning; give another output a name of its own",
            )
        self.theorems[prove.name] = theorem(self.scope, prove)

    def _parameters(self, given: tree.Parameters) -> None:
        if self.chosen is not None:
            raise error(
                "SL224",
                "a program has parameters once",
                given.span,
                notes=[f"line {self.chosen.span.line} says {text_of(self.chosen.span)}"],
                hint="keep one of the two: --parameters gives others for one command",
            )
        self.chosen = ChosenParameters(
            given.degree,
            given.primes,
            given.scales,
            given.drops,
            given.keys,
            sum(given.results),
            given.cut,
            given.span,
        )


def parts(statement: tree.Statement) -> tuple[tree.Statement, ...]:
    """A declaration of several things, as declarations of one thing each: each has messages of its own."""
    match statement:
        case tree.Declare(kind, tensors, span):
            return tuple(tree.Declare(kind, (tensor,), span) for tensor in tensors)
        case tree.Scalars(names, span):
            return tuple(tree.Scalars((name,), span) for name in names)
        case _:
            return (statement,)


def _defined(statement: tree.Statement) -> list[tuple[str, Span]]:
    """The names a statement gives a meaning that expressions can use, with the places that define them."""
    match statement:
        case tree.Let(name, _, span) | tree.NameTensor(name, _, span) | tree.DefinePermutation(name, _, span):
            return [(name, span)]
        case tree.Define(_, name, _, _, span):
            return [(name, span)]
        case tree.Declare(_, tensors):
            return [(t.name, t.span) for t in tensors]
        case tree.Scalars(names):
            return [(n.name, n.span) for n in names]
        case tree.Axes(_, binders):
            return [*((b.name, b.span) for b in binders), (SLOT, statement.span)]
        case tree.Header(_, sizes):
            return [(s.name, s.span) for s in sizes]
        case _:
            return []


def _declarations(syntax: tree.Program) -> dict[str, Span]:
    """Every name the program gives a meaning, with the first place that does."""
    places: dict[str, Span] = {}
    for statement in syntax.statements:
        for name, span in _defined(statement):
            places.setdefault(name, span)
    return places
