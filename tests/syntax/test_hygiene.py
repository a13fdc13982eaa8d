"""Random definitions whose names collide, expanded, and evaluated as if names were looked up where they are written.

The evaluation here does not expand: an argument is evaluated where the use stands, a body with its parameters alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from random import Random

import pytest
from amounts import drawn, some

from slotlang.source import Source, Span
from slotlang.syntax import items, tree
from slotlang.syntax.parser import parse, parse_file

Meaning = Mapping[str, Callable[[], int]]
"""What names mean: evaluated when they are read, as the arguments of a macro are."""

NAMES = ["a", "b", "q", "r", "q_2", "c"]
SIZES = {"n": 3, "q_3": 5}


def value(node: tree.Expr, meaning: Meaning, definitions: Mapping[str, items.Definition]) -> int:
    match node:
        case tree.Number(number):
            assert isinstance(number, Fraction)
            return int(number)
        case tree.Name(name):
            return meaning[name]()
        case tree.Binary(op, left, right):
            a, b = value(left, meaning, definitions), value(right, meaning, definitions)
            return {"+": a + b, "-": a - b, "*": a * b}[op]
        case tree.Sum((binder,), _, body):
            extent = value(binder.extent, meaning, definitions)
            terms = ({**meaning, binder.name: lambda i=i: i} for i in range(extent))
            return sum(value(body, inner, definitions) for inner in terms)
        case tree.Call(name, arguments):
            definition = definitions[name]
            given = {
                parameter.name: lambda argument=argument: value(argument, meaning, definitions)
                for parameter, argument in zip(definition.parameters, arguments, strict=True)
            }
            assert not isinstance(definition.body, tuple)
            sizes = {name: lambda size=size: size for name, size in SIZES.items()}
            return value(definition.body, {**sizes, **given}, definitions)
    raise AssertionError(node)


class Writer:
    """Random expressions that read the names they may."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.parameters: dict[str, list[str]] = {}

    def expression(self, known: list[str], depth: int, callable_: list[str]) -> str:
        r = self.random
        kind = r.choice(["read", "read", "sum", "binary", "call", "call"]) if depth else "read"
        if kind == "call" and callable_:
            name = r.choice(callable_)
            arguments = [self.expression(known, depth - 1, callable_) for _ in self.parameters[name]]
            return f"{name}({', '.join(arguments)})"
        if kind == "sum":
            loop = r.choice([name for name in NAMES if name not in known] or ["z"])
            extent = r.choice(["2", "n"])
            return f"(sum {loop} < {extent}: {self.expression([*known, loop], depth - 1, callable_)})"
        if kind == "binary":
            sides = [self.expression(known, depth - 1, callable_) for _ in range(2)]
            return f"({sides[0]} {r.choice('+-*')} {sides[1]})"
        return r.choice([*known, str(r.randrange(4))])

    def program(self) -> str:
        lines = []
        for number in range(self.random.randrange(1, 5)):
            parameters = self.random.sample(NAMES, self.random.randrange(1, 3))
            body = self.expression([*parameters, *SIZES], 3, list(self.parameters))
            lines.append(f"def f{number}({', '.join(parameters)}) = {body}")
            self.parameters[f"f{number}"] = parameters
        use = self.expression(list(SIZES), 4, list(self.parameters))
        return "\n".join([*lines, f"program p({', '.join(f'{n} = {v}' for n, v in SIZES.items())})", f"Y = {use}\n"])


@drawn
def test_names_mean_what_they_mean_where_they_are_written() -> None:
    expanded = 0
    for seed in range(some(600)):
        text = Writer(Random(seed)).program()
        written = parse_file(Source("t.slot", text)).statements
        definitions = {item.name: item for item in written if isinstance(item, items.Definition)}
        sizes: Meaning = {name: lambda size=size: size for name, size in SIZES.items()}
        (use,) = (item for item in written if isinstance(item, tree.Define))
        made = parse(Source("t.slot", text)).statements[-1]
        assert isinstance(made, tree.Define)
        assert value(made.body, sizes, {}) == value(use.body, sizes, definitions), text
        loops_differ(made.body, frozenset(SIZES))
        expanded += made != use
    assert expanded > 20


def loops_differ(node: object, around: frozenset[str]) -> None:
    """No loop has the name of a size or of a loop around it, which binding refuses."""
    match node:
        case tree.Sum((binder,), _, body):
            assert binder.name not in around
            loops_differ(body, around | {binder.name})
        case tree.Binary(_, left, right):
            loops_differ(left, around)
            loops_differ(right, around)


def test_places_survive_edits() -> None:
    text = "def f(a) = a << 1\nprogram p(n = 4)\ninput x[n]\naxes (h < n)\ncipher X = x[h]\nY = f(X) + X\nZ = Y\n"
    source = parse(Source("t.slot", text)).source
    random, compared = Random(1), 0
    for _ in range(300):
        cuts = sorted(random.sample(range(len(source.text) + 1), 4))
        edits = [(cuts[0], cuts[1], "new"), (cuts[2], cuts[3], "")]
        changed = source.edited(edits)
        before = after = 0
        for start, end, new in [*edits, (len(source.text), len(source.text), "")]:
            for _ in range(before, start):
                old, now = Span(source, before, before + 1), Span(changed, after, after + 1)
                assert source.text[before] == changed.text[after]
                # an expanded statement that was cut into is nobody's any more
                if changed.origin(after, after + 1) is not None:
                    assert (old.written, old.definitions) == (now.written, now.definitions)
                    compared += 1
                before, after = before + 1, after + 1
            before, after = end, after + len(new)
    assert compared > 300 * len(source.text) / 4


@pytest.mark.parametrize("text", ["def f(a) = a\nprogram p\n", "program p\n", "program p\nprogram q\n"])
def test_every_span_of_an_expansion_leads_to_the_file(text: str) -> None:
    for name in ("p", "q"):
        if f"program {name}" in text:
            program = parse(Source("t.slot", text, program=name))
            for statement in program.statements:
                assert statement.span.written.source.text == text
                assert statement.span.written.text == f"program {name}"
