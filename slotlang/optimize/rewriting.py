"""What rewriting needs of syntax trees: places, substitution, names, families, and statements put in and taken out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from fractions import Fraction
from typing import Any, TypeAlias

from slotlang.source import Span
from slotlang.syntax import tree
from slotlang.syntax.walk import names, nodes


@dataclass(frozen=True, slots=True)
class Rewrite:
    """A program that may be cheaper and may mean the same. ``what``: a clause that says what was changed."""

    rule: str
    what: str
    program: tree.Program


@dataclass(frozen=True)
class Subject:
    """A program to rewrite, with its sizes. ``allow_packing``: what the client packs may change. ``few_keys``: Galois
    keys count for more than rotations. ``apart``: rotations of one ciphertext take less time than those of several."""

    program: tree.Program
    sizes: Mapping[str, int]
    slots: int
    allow_packing: bool = False
    few_keys: bool = False
    apart: bool = False

    @property
    def families(self) -> dict[str, tree.Define]:
        """Definitions by name."""
        return {s.name: s for s in self.program.statements if isinstance(s, tree.Define)}

    def value(self, e: tree.Expr) -> int | None:
        """An integer expression of sizes; None for any other."""
        return integer(e, self.sizes)

    def is_plain(self, e: tree.Expr) -> bool:
        """Whether a slot value holds no ciphertext."""
        families = self.families
        return not any(families[n].kind != "plain" for n in names(e) if n in families)

    def put(self, *changed: tree.Statement, before: str = "", new: tuple[tree.Statement, ...] = ()) -> tree.Program:
        """The program with definitions of the same names (and claims, outputs of the same places) replaced, and new
        statements before the definition of ``before``."""
        by_place = {s.span.start: s for s in changed}
        statements: list[tree.Statement] = []
        for s in self.program.statements:
            if new and isinstance(s, tree.Define) and s.name == before:
                statements.extend(new)
            statements.append(by_place.get(s.span.start, s) if s.span.start < s.span.end else s)
        for s in changed:
            # a statement of an earlier rewrite has no place of its own: it is found by its name
            if s.span.start == s.span.end and isinstance(s, tree.Define):
                statements = [s if isinstance(o, tree.Define) and o.name == s.name else o for o in statements]
        return replace(self.program, statements=tuple(statements))


def integer(e: tree.Expr, sizes: Mapping[str, int]) -> int | None:
    """The value of an integer expression of sizes; None for any other."""
    match e:
        case tree.Number(value, False) if value.denominator == 1:
            return int(value)
        case tree.Name(name):
            return sizes.get(name)
        case tree.Unary("-", operand):
            inner = integer(operand, sizes)
            return None if inner is None else -inner
        case tree.Binary(op, left, right):
            a, b = integer(left, sizes), integer(right, sizes)
            if a is None or b is None or (op in ("/", "//", "%") and not b):
                return None
            match op:
                case "+":
                    return a + b
                case "-":
                    return a - b
                case "*":
                    return a * b
                case "//" | "/":
                    return a // b
                case "%":
                    return a % b
    return None


def mapped(node: Any, change: Callable[[Any], Any]) -> Any:
    """A tree with ``change`` applied to every node, operands before what they are operands of."""
    if isinstance(node, tuple):
        return tuple(mapped(part, change) for part in node)
    if not is_dataclass(node) or isinstance(node, Span):
        return node
    values = {f.name: mapped(getattr(node, f.name), change) for f in fields(node) if f.compare}
    changed = {name: v for name, v in values.items() if v is not getattr(node, name) and v != getattr(node, name)}
    return change(replace(node, **changed) if changed else node)  # type: ignore[type-var]


def substituted(node: Any, values: Mapping[str, tree.Expr]) -> Any:
    """A tree with names replaced by expressions. Loop variables inside keep their names: a capture would make a
    program that means something else, which its proof finds."""

    def change(part: Any) -> Any:
        return values.get(part.name, part) if isinstance(part, tree.Name) else part

    return mapped(node, change)


Put: TypeAlias = Callable[[tree.Expr], tree.Expr]
"""The whole with another expression in a place."""


def places(e: tree.Expr) -> Iterator[tuple[tree.Expr, Put]]:
    """Every slot value in an expression, itself among them, and how to put another there."""

    def walk(part: tree.Expr, back: Put) -> Iterator[tuple[tree.Expr, Put]]:
        yield part, back
        match part:
            case tree.Unary(_, operand):
                yield from walk(operand, lambda new: back(replace(part, operand=new)))
            case tree.Binary(op, left, right):
                yield from walk(left, lambda new: back(replace(part, left=new)))
                if op not in ("<<", ">>", "**"):
                    yield from walk(right, lambda new: back(replace(part, right=new)))
            case tree.Choice(_, yes, no):
                yield from walk(yes, lambda new: back(replace(part, yes=new)))
                yield from walk(no, lambda new: back(replace(part, no=new)))
            case tree.Sum(_, _, body):
                yield from walk(body, lambda new: back(replace(part, body=new)))
            case tree.Permute(value):
                yield from walk(value, lambda new: back(replace(part, value=new)))
            case _:
                return

    yield from walk(e, lambda new: new)


def computed(subject: Subject) -> Iterator[tuple[str, tree.Expr, Callable[[tree.Expr], tree.Program]]]:
    """Every slot value in what the server computes: its family's name, itself, and the program with another there."""
    for family in subject.families.values():
        if family.kind == "compute":
            for part, put in places(family.body):

                def program(new: tree.Expr, family: tree.Define = family, put: Put = put) -> tree.Program:
                    return subject.put(replace(family, body=put(new)))

                yield family.name, part, program


def nowhere(like: Span) -> Span:
    """The span of what stands in no text."""
    return Span(like.source, like.start, like.start)


def binary(op: str, left: tree.Expr, right: tree.Expr) -> tree.Binary:
    """A new operation."""
    return tree.Binary(op, left, right, nowhere(left.span))


def number(value: int, like: tree.Expr, imaginary: bool = False) -> tree.Number:
    """A new constant."""
    return tree.Number(Fraction(value), imaginary, nowhere(like.span))


def name(text: str, like: Any) -> tree.Name:
    """A new name."""
    return tree.Name(text, nowhere(like.span))


def member(family: str, indices: tuple[tree.Expr, ...], like: Any) -> tree.Expr:
    """A member of a family."""
    base = name(family, like)
    return tree.Index(base, indices, False, nowhere(like.span)) if indices else base


def read(e: tree.Expr) -> tuple[str, tuple[tree.Expr, ...]] | None:
    """The name and the indices of ``F[i]`` or ``F``."""
    match e:
        case tree.Name(family):
            return family, ()
        case tree.Index(tree.Name(family), indices, False):
            return family, indices
        case _:
            return None


def shift_of(e: tree.Expr) -> tuple[tree.Expr, tree.Expr] | None:
    """``v << k`` as (v, k), ``v >> k`` as (v, -k)."""
    match e:
        case tree.Binary("<<", value, amount):
            return value, amount
        case tree.Binary(">>", value, amount):
            return value, tree.Unary("-", amount, nowhere(amount.span))
        case _:
            return None


def shifted(value: tree.Expr, amount: tree.Expr) -> tree.Expr:
    """``value << amount``; a rotation of a rotation is one."""
    inner = shift_of(value)
    if inner is not None:
        value, before = inner
        if cancels(before, amount):
            return value
        amount = binary("+", before, amount)
    match amount:
        case tree.Unary("-", back):
            return binary(">>", value, back)
        case tree.Number(number_) if not number_:
            return value
        case _:
            return binary("<<", value, amount)


def terms(e: tree.Expr) -> list[tuple[int, tree.Expr]]:
    """The terms of a sum or difference, each with its sign."""
    match e:
        case tree.Binary("+" | "-" as op, left, right):
            return terms(left) + [(sign if op == "+" else -sign, term) for sign, term in terms(right)]
        case tree.Unary("-", operand):
            return [(-sign, term) for sign, term in terms(operand)]
        case _:
            return [(1, e)]


def summed(parts: list[tuple[int, tree.Expr]]) -> tree.Expr | None:
    """The sum of terms with their signs; None where there is none."""
    result: tree.Expr | None = None
    for sign, term in parts:
        if result is None:
            result = term if sign > 0 else negated(term)
        else:
            result = binary("+" if sign > 0 else "-", result, term)
    return result


def divided(amount: tree.Expr, own: frozenset[str]) -> tuple[tree.Expr | None, tree.Expr | None]:
    """The part of a rotation's amount that depends on the variables, and the rest; None in place of a part without
    terms."""
    parts = terms(amount)
    return summed([p for p in parts if own & names(p[1])]), summed([p for p in parts if not own & names(p[1])])


def rotated(e: tree.Expr, amount: tree.Expr | None) -> tree.Expr:
    """``e << amount``, or ``e`` where there is none."""
    return e if amount is None else shifted(e, amount)


def negated(e: tree.Expr) -> tree.Expr:
    """``-e``."""
    return e.operand if isinstance(e, tree.Unary) and e.op == "-" else tree.Unary("-", e, nowhere(e.span))


def cancels(a: tree.Expr, b: tree.Expr) -> bool:
    """Whether two amounts are each other's negative, as written."""
    return a == negated(b) or b == negated(a)


def step_of(amount: tree.Expr, variable: str) -> tree.Expr | None:
    """``k`` of ``variable*k``."""
    match amount:
        case tree.Name(written) if written == variable:
            return number(1, amount)
        case tree.Binary("*", left, right):
            inner = step_of(left, variable)
            if inner is not None and variable not in names(right):
                return right if inner == number(1, amount) else binary("*", inner, right)
            inner = step_of(right, variable)
            if inner is not None and variable not in names(left):
                return left if inner == number(1, amount) else binary("*", left, inner)
    return None


def product(e: tree.Expr) -> list[tree.Expr]:
    """The factors of a product."""
    if isinstance(e, tree.Binary) and e.op == "*":
        return product(e.left) + product(e.right)
    return [e]


def times(factors: list[tree.Expr]) -> tree.Expr:
    """The product of factors, at least one."""
    result = factors[0]
    for factor in factors[1:]:
        result = binary("*", result, factor)
    return result


def inlined(e: tree.Expr, family: tree.Define) -> tree.Expr:
    """An expression with a family's members written out."""

    def change(part: Any) -> Any:
        if isinstance(part, tree.Index) and part.base == tree.Name(family.name, part.span) and family.binders:
            values = dict(zip((b.name for b in family.binders), part.indices, strict=True))
            return substituted(family.body, values)
        if isinstance(part, tree.Name) and part.name == family.name and not family.binders:
            return family.body
        return part

    return mapped(e, change)  # type: ignore[no-any-return]


def all_names(program: tree.Program) -> set[str]:
    """Every name that a program gives to something, or uses."""
    taken = set(names(program.statements))
    for part in nodes(program.statements):
        for attribute in ("name", "names", "indices", "permutation"):
            value = getattr(part, attribute, None)
            if isinstance(value, str):
                taken.add(value)
            elif attribute == "indices" and isinstance(part, tree.Tensor):
                taken.update(n for n in part.indices if n)
    return taken


def fresh(program: tree.Program, stems: str, taken: set[str] | None = None) -> str:
    """A name that is free: one of the letters, or the first of them with a number. It is added to ``taken``."""
    used = all_names(program) | (taken or set())
    choices = [*stems, *(f"{stems[0]}{n}" for n in range(2, len(used) + 3))]
    choice: str = next(n for n in choices if n not in used)
    if taken is not None:
        taken.add(choice)
    return choice


def claim_of(statement: tree.Statement) -> str | None:
    """The family that a claim speaks of."""
    if not isinstance(statement, tree.Claim):
        return None
    target = read(statement.target)
    return target[0] if target else None


def tidied(program: tree.Program, *, clients: bool = False) -> tree.Program:
    """The program without the families that no result needs, and claims that speak of them. What the client packs
    stays, unless ``clients``."""
    families = {s.name: s for s in program.statements if isinstance(s, tree.Define)}
    wanted = {n for s in program.statements if isinstance(s, tree.Output) for n in names(s.value)}
    if not clients:
        wanted |= {f.name for f in families.values() if f.kind == "cipher"}
    todo = [n for n in wanted if n in families]
    while todo:
        for n in names(families[todo.pop()].body):
            if n in families and n not in wanted:
                wanted.add(n)
                todo.append(n)

    def kept(s: tree.Statement) -> bool:
        if isinstance(s, tree.Define):
            return s.name in wanted
        return not isinstance(s, tree.Claim) or wanted >= names((s.target, s.value, s.where)) & families.keys()

    return replace(program, statements=tuple(s for s in program.statements if kept(s)))
