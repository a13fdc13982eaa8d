"""Binding: sizes get values, names get meanings, every statement is checked; many messages per run."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from slotlang.diagnostics import Diagnostic, SlotError, closest, error
from slotlang.meaning.checks import check_reads, check_tensors
from slotlang.meaning.integers import (
    And,
    Cmp,
    Cond,
    Int,
    IntConst,
    IntOp,
    IntSize,
    Not,
    Or,
    evaluate,
    holds,
    mul,
    show,
)
from slotlang.meaning.permutations import permutation
from slotlang.meaning.program import (
    Binder,
    Claim,
    Digit,
    Family,
    FamilyRef,
    Output,
    Program,
    TensorDecl,
    Theorem,
    Value,
)
from slotlang.meaning.scope import (
    MAX_INTEGER,
    Local,
    Poisoned,
    Scope,
    condition,
    constant,
    integer,
    unknown_name,
)
from slotlang.meaning.tensors import tensor_form
from slotlang.meaning.values import binder_extent, family_ref, is_cipher, no_cipher, slot_value
from slotlang.source import Span
from slotlang.syntax import tree

MAX_SLOTS = 1 << 40


class _Binder:
    def __init__(self, syntax: tree.Program, overrides: Mapping[str, int]) -> None:
        self.syntax = syntax
        self.overrides = dict(overrides)
        self.scope = Scope()
        self.problems: list[Diagnostic] = []
        self.steps: list[Family | Claim] = []
        self.outputs: list[Output] = []
        self.theorems: dict[str, Theorem] = {}
        self.parameters: tuple[str, ...] = ()

    # every statement goes through here: what fails is reported once and poisons the names it would define

    def run(self) -> Program:
        statements = self.syntax.statements
        for index, statement in enumerate(statements):
            try:
                self._statement(statement, index)
            except SlotError as problem:
                self.problems.extend(problem.diagnostics)
                self._poison(statement)
            except Poisoned:
                self._poison(statement)
        if not self.problems:
            self._whole()
        if self.problems:
            raise SlotError(self.problems)
        header = statements[0]
        assert isinstance(header, tree.Header) and self.scope.slots is not None
        return Program(
            self.syntax,
            header.name,
            self.scope.sizes,
            self.parameters,
            int(evaluate(self.scope.slots, self.scope.sizes, {})),
            self.scope.slots,
            self.scope.digits,
            tuple(self.scope.axes),
            self.scope.tensors,
            tuple(self.scope.scalars),
            self.scope.permutations,
            tuple(self.steps),
            self.scope.families,
            tuple(self.outputs),
            self.theorems,
        )

    def _poison(self, statement: tree.Statement) -> None:
        names: list[str] = []
        match statement:
            case tree.Let(name) | tree.Define(_, name) | tree.DefinePermutation(name):
                names = [name]
            case tree.Declare(_, tensors):
                names = [t.name for t in tensors]
            case tree.Scalars(found):
                names = [n.name for n in found]
            case tree.Axes(_, binders):
                names = [b.name for b in binders] + ["slot"]
            case tree.Header(_, sizes):
                names = [s.name for s in sizes]
            case _:
                pass
        self.scope.poisoned.update(n for n in names if n not in self.scope.declared)
        for name in names:
            kind = self.scope.declared.get(name)
            if kind and name not in self._usable():
                self.scope.poisoned.add(name)
                del self.scope.declared[name]

    def _usable(self) -> set[str]:
        s = self.scope
        return {*s.sizes, *s.digits, *s.tensors, *s.scalars, *s.families, *s.permutations}

    def _statement(self, statement: tree.Statement, index: int) -> None:
        if index == 0 and not isinstance(statement, tree.Header):
            self.problems.append(
                Diagnostic(
                    "SL211",
                    "a program starts with its header",
                    statement.span,
                    hint="program NAME(size = default, ...)",
                )
            )
        match statement:
            case tree.Header():
                self._header(statement, index)
            case tree.Let(name, value, span):
                self.scope.declare(name, "a size", span)
                self.scope.sizes[name] = constant(self.scope, value, "a size")
                if name == "slots":
                    self._slots(span)
            case tree.Require(cond, span):
                self._require(cond, span)
            case tree.Declare(kind, tensors):
                for tensor in tensors:
                    self._tensor(kind, tensor)
            case tree.Scalars(names):
                for n in names:
                    self.scope.declare(n.name, "a scalar", n.span)
                    self.scope.scalars[n.name] = n.span
            case tree.Axes():
                self._axes(statement)
            case tree.Define():
                self._define(statement)
            case tree.DefinePermutation(name, _, span):
                self.scope.declare(name, "a permutation", span)
                self.scope.permutations[name] = permutation(
                    self.scope, self._need_slots(span), statement
                )
            case tree.Claim():
                self._claim(statement)
            case tree.Output():
                self._output(statement)
            case tree.Prove():
                self._prove(statement)

    # sizes

    def _header(self, header: tree.Header, index: int) -> None:
        if index:
            raise error("SL211", "a program has one header, at its start", header.span)
        known = [s.name for s in header.sizes]
        for name, value in self.overrides.items():
            if name not in known:
                self.problems.append(
                    Diagnostic(
                        "SL212",
                        f"the program has no size '{name}' to set",
                        header.span,
                        notes=(f"its sizes are {', '.join(known) or 'none'}",),
                        hint=closest(name, known),
                    )
                )
            if not 0 <= value <= MAX_INTEGER:
                raise error("SL206", f"{name} = {value} is not between 0 and 2^40", header.span)
        for size in header.sizes:
            self.scope.declare(size.name, "a size", size.span)
            if size.name in self.overrides:
                self.scope.sizes[size.name] = self.overrides[size.name]
            elif size.default is not None:
                self.scope.sizes[size.name] = constant(self.scope, size.default, "a default")
            else:
                self.scope.poisoned.add(size.name)
                self.problems.append(
                    Diagnostic(
                        "SL213",
                        f"size '{size.name}' has no value",
                        size.span,
                        hint=f"give it one with --set {size.name}=..., or a default in the header",
                    )
                )
        self.parameters = tuple(known)
        if "slots" in self.scope.sizes:
            self._slots(header.span)

    def _slots(self, span: Span) -> None:
        value = self.scope.sizes["slots"]
        if not 1 <= value <= MAX_SLOTS:
            raise error("SL210", f"there can't be {value} slots", span)
        self.scope.slots = IntSize("slots")

    def _need_slots(self, span: Span) -> int:
        if self.scope.slots is None:
            if "slot" in self.scope.poisoned or "slots" in self.scope.poisoned:
                raise Poisoned("slots")
            raise error(
                "SL210",
                "the number of slots is not known yet",
                span,
                hint="declare `axes (h < C, t < batch)`, or a size named slots, before the first vector",
            )
        return int(evaluate(self.scope.slots, self.scope.sizes, {}))

    def _require(self, e: tree.Expr, span: Span) -> None:
        cond = condition(self.scope, Local({}, False, "a requirement"), e)
        if not holds(cond, self.scope.sizes, {}):
            raise error(
                "SL214",
                f"the requirement `{' '.join(e.span.text.split())}` does not hold",
                span,
                notes=[*_values(cond, self.scope.sizes), _sizes_text(self.parameters, self.scope.sizes)],
                hint="choose other sizes with --set",
            )

    def _tensor(self, kind: str, tensor: tree.Tensor) -> None:
        what = "an input" if kind == "input" else "a weight"
        self.scope.declare(tensor.name, what, tensor.span)
        fixed = Local({}, False, "a shape")
        extents = tuple(integer(self.scope, fixed, e) for e in tensor.shape)
        shape = tuple(int(evaluate(e, self.scope.sizes, {})) for e in extents)
        for size, place in zip(shape, tensor.shape, strict=True):
            if size < 1:
                raise error("SL209", f"'{tensor.name}' would have no elements", place.span, label=f"is {size}")
        local = Local({}, False, "a zero pattern")
        names: list[str] = []
        for position, (name, size) in enumerate(zip(tensor.indices, shape, strict=True)):
            if name is None:
                names.append(f"#{position}")
                continue
            if name in self.scope.declared or name in names:
                raise error("SL202", f"'{name}' is already in use", tensor.span, hint="choose another name")
            names.append(name)
            local = local.bind(name, size)
        pattern: Cond | None = None
        if tensor.sparse and kind == "input":
            raise error("SL215", "an input is encrypted, so its zeros can't be known", tensor.span)
        if tensor.pattern is not None:
            pattern = condition(self.scope, local, tensor.pattern)
        self.scope.tensors[tensor.name] = TensorDecl(
            tensor.name, kind, shape, extents, tuple(names), tensor.sparse, pattern, tensor.span
        )

    def _axes(self, axes: tree.Axes) -> None:
        fixed = Local({}, False, "an extent")
        extents = [integer(self.scope, fixed, b.extent) for b in axes.binders]
        sizes = [int(evaluate(e, self.scope.sizes, {})) for e in extents]
        total = 1
        for binder, size in zip(axes.binders, sizes, strict=True):
            if size < 1:
                raise error("SL209", f"'{binder.name}' would run over {size} values", binder.span)
            total *= size
        whole: Int = IntConst(1)
        for extent in extents:
            whole = mul(whole, extent)
        if self.scope.slots is None:
            if total > MAX_SLOTS:
                raise error("SL210", f"there can't be {total} slots", axes.span)
            self.scope.slots = whole
        slots = self._need_slots(axes.span)
        if total != slots:
            raise error(
                "SL216",
                f"these digits make {total} slots, and there are {slots}",
                axes.span,
                notes=[" * ".join(f"{b.name}: {s}" for b, s in zip(axes.binders, sizes, strict=True))],
                hint="the product of the extents is the number of slots",
            )
        stride: Int = IntConst(1)
        built: list[Digit] = []
        for position in reversed(range(len(extents))):
            binder = axes.binders[position]
            self.scope.declare(binder.name, "a slot digit", binder.span)
            built.append(Digit(binder.name, extents[position], stride, sizes[position], position == 0))
            stride = mul(extents[position], stride)
        for digit in reversed(built):
            self.scope.digits[digit.name] = digit
        self.scope.axes.append(tuple(b.name for b in axes.binders))

    # vectors

    def _binders(self, binders: tuple[tree.Binder, ...]) -> tuple[tuple[Binder, ...], Local]:
        local = Local({}, True)
        result: list[Binder] = []
        for binder in binders:
            extent, size = binder_extent(self.scope, local, binder)
            local = local.bind(binder.name, size)
            result.append(Binder(binder.name, extent, size))
        return tuple(result), local

    def _define(self, define: tree.Define) -> None:
        self._need_slots(define.span)
        kind = {"cipher": "a packed ciphertext", "plain": "a plain family", "compute": "a ciphertext"}
        if define.name in self.scope.declared:
            self.scope.declare(define.name, "", define.span)
        binders, local = self._binders(define.binders)
        body = slot_value(self.scope, local, define.body)
        self._kinds(define, body)
        check_tensors(self.scope, define.kind, body)
        check_reads(self.scope, self._need_slots(define.span), local.extents, body)
        self.scope.declare(define.name, kind[define.kind], define.span)
        family = Family(define.kind, define.name, binders, body, define.span)
        self.scope.families[define.name] = family
        self.steps.append(family)

    def _kinds(self, define: tree.Define, body: Value) -> None:
        if define.kind == "compute":
            if not is_cipher(self.scope, body):
                raise error(
                    "SL307",
                    f"no ciphertext takes part in '{define.name}'",
                    define.body.span,
                    hint=f"write `plain {define.name}` (the server's) or `cipher {define.name}` (packed by the client)",
                )
            return
        problem = no_cipher(self.scope, body)
        if problem is not None:
            raise problem

    def _claim(self, claim: tree.Claim) -> None:
        target = claim.target
        base, indices = (target.base, target.indices) if isinstance(target, tree.Index) else (target, ())
        if not isinstance(base, tree.Name):
            raise error("SL310", "a claim is about a family or a member of it", target.span, hint="claim S == ...")
        if base.name not in self.scope.families:
            if base.name in self.scope.declared:
                raise error("SL310", f"'{base.name}' is {self.scope.declared[base.name][0]}, not a family", base.span)
            raise unknown_name(self.scope, base.name, base.span)
        local, binders, every = self._bare(base.name, indices, target.span)
        ref = family_ref(self.scope, local, base.name, indices, target.span)
        value = slot_value(self.scope, local, claim.value)
        check_reads(self.scope, self._need_slots(claim.span), local.extents, value)
        where = None if claim.where is None else condition(self.scope, local, claim.where)
        self.steps.append(Claim(base.name, binders, ref.indices, value, where, every, claim.span))

    def _bare(
        self, name: str, indices: tuple[tree.Expr, ...], span: Span
    ) -> tuple[Local, tuple[Binder, ...], bool]:
        """Bare new names in a family's brackets stand for every index of it."""
        family = self.scope.families[name]
        if len(indices) != len(family.binders):
            family_ref(self.scope, Local({}, True), name, indices, span)
        local = Local({}, True)
        binders: list[Binder] = []
        for index, binder in zip(indices, family.binders, strict=True):
            if (
                isinstance(index, tree.Name)
                and index.name not in self.scope.declared
                and index.name not in local.extents
                and index.name not in self.scope.poisoned
                and index.name != "slot"
            ):
                local = local.bind(index.name, binder.size)
                binders.append(Binder(index.name, binder.extent, binder.size))
        return local, tuple(binders), len(binders) == len(family.binders)

    def _output(self, output: tree.Output) -> None:
        value, part = output.value, None
        if isinstance(value, tree.Unary) and value.op in ("re", "im"):
            part, value = value.op, value.operand
        base, indices = (value.base, value.indices) if isinstance(value, tree.Index) else (value, ())
        if not isinstance(base, tree.Name):
            raise error(
                "SL311",
                "an output reads a family, or its real or imaginary part",
                value.span,
                hint="output y[c*C + h, t] = re Y[c]; compute anything else in a family first",
            )
        if base.name not in self.scope.families:
            if base.name in self.scope.declared:
                raise error("SL311", f"'{base.name}' is {self.scope.declared[base.name][0]}, not a family", base.span)
            raise unknown_name(self.scope, base.name, base.span)
        if self.scope.families[base.name].kind == "plain":
            raise error("SL311", f"'{base.name}' is plain; an output is decrypted from a ciphertext", base.span)
        if output.name in self.scope.declared and self.scope.declared[output.name][0] != "an output":
            kind, first = self.scope.declared[output.name]
            raise error("SL202", f"'{output.name}' is already {kind}", output.span, notes=[f"in line {first.line}"])
        local, binders, _ = self._bare(base.name, indices, value.span)
        ref = family_ref(self.scope, local, base.name, indices, value.span)
        places = tuple(integer(self.scope, local, e) for e in output.indices)
        where = None if output.where is None else condition(self.scope, local, output.where)
        if output.name not in self.scope.declared:
            self.scope.declare(output.name, "an output", output.span)
        self.outputs.append(Output(output.name, binders, places, part, ref, where, output.span))

    def _prove(self, prove: tree.Prove) -> None:
        if prove.name in self.theorems:
            raise error("SL202", f"'{prove.name}' is proved twice", prove.span)
        form = tensor_form(self.scope, prove.value)
        for output in self.outputs:
            if output.name == prove.name and len(output.indices) != len(form.shape):
                raise error(
                    "SL303",
                    f"'{prove.name}' has {len(form.shape)} dimensions and its output {len(output.indices)} indices",
                    output.span,
                    notes=[f"the shape of {form.text} is {' x '.join(map(str, form.shape))}"],
                )
        self.theorems[prove.name] = Theorem(prove.name, form, prove.span)

    # the program as a whole

    def _whole(self) -> None:
        last = self.syntax.statements[-1].span
        if self.scope.slots is None:
            self._whole_problem("SL210", "the program has no slots", last, "declare axes, or a size named slots")
            return
        names = {o.name for o in self.outputs}
        for name, theorem in self.theorems.items():
            if name not in names:
                known = closest(name, names)
                self._whole_problem(
                    "SL312", f"'{name}' is proved and never output", theorem.span, known or f"output {name}[...] = ..."
                )
        for output in self.outputs:
            if output.name not in self.theorems:
                self._whole_problem(
                    "SL312",
                    f"'{output.name}' is output and nothing is said of it",
                    output.span,
                    f"prove {output.name} == ...",
                )
        if not self.theorems and not self.problems:
            self._whole_problem(
                "SL312", "the program proves nothing", last, "output y[...] = ... and prove y == A @ B @ x"
            )

    def _whole_problem(self, code: str, message: str, span: Span, hint: str) -> None:
        self.problems.append(Diagnostic(code, message, span, hint=hint))


def _values(cond: Cond, sizes: Mapping[str, int]) -> list[str]:
    """The two sides of each comparison with their values."""
    match cond:
        case Cmp(op, a, b):
            return [f"{show(a)} = {evaluate(a, sizes, {})}, and it must be {op} {show(b)} = {evaluate(b, sizes, {})}"]
        case And(parts):
            return [text for part in parts if not holds(part, sizes, {}) for text in _values(part, sizes)]
        case Or(parts):
            return [text for part in parts for text in _values(part, sizes)]
        case Not():
            return []


def _sizes_text(parameters: tuple[str, ...], sizes: Mapping[str, int]) -> str:
    return "sizes: " + ", ".join(f"{name} = {sizes[name]}" for name in parameters if name in sizes)


def bind(syntax: tree.Program, overrides: Mapping[str, int] | None = None) -> Program:
    """The program with its sizes bound, ``overrides`` taking the place of defaults.

    Raises ``SlotError`` with every wrong statement's message (codes SL2xx and SL3xx).
    """
    return _Binder(syntax, overrides or {}).run()


__all__ = ["bind"]
_ = (Fraction, FamilyRef, IntOp)
