"""Random programs for all sizes at once, whose sizes also enter as numbers; about half of them right.

Some sizes are *counts*: a ``require`` makes each of them divide a number, so that there are several families of sizes,
in each of which it is constant. Expressions in counts serve as coefficients, shifts, offsets of indices, moduli, bounds
and conditions. Those that are 0 in every family keep a program right; those that are 0 in some families only make it
wrong in the others. The other sizes stay *open*; conditions on them hold at all sizes, or not at small or large ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from random import Random

import generate

from slotlang.diagnostics import SlotError
from slotlang.meaning.bind import bind
from slotlang.meaning.integers import divisors
from slotlang.source import Source
from slotlang.syntax.parser import parse

EDITED = 0.25
"""Share of programs that get an edit of any kind on top."""
SLIGHTLY_WRONG = 0.35
"""Share of expressions that are not 0 in some family."""

Sizes = dict[str, int]


@dataclass
class Draft:
    """A program under construction. ``counts`` has the values of sizes that are constant within a family; ``derived``
    what `let`s say of them, family by family."""

    rng: Random
    header: Sizes = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    counts: list[Sizes] = field(default_factory=list)
    derived: list[Sizes] = field(default_factory=list)

    def add(self, *lines: str) -> None:
        self.lines += [line for line in lines if line]

    def chance(self, share: float) -> bool:
        return self.rng.random() < share


@dataclass(frozen=True)
class Generated:
    """A program: its text, the default sizes, the counts of each family, and the open sizes."""

    text: str
    defaults: Sizes
    families: tuple[Sizes, ...]
    open: tuple[str, ...]

    def sizes(self, rng: Random, family: Mapping[str, int], most: int) -> Sizes:
        """Sizes of a family, open ones up to ``most``; they need not meet the program's conditions."""
        shape = {name: rng.randint(1, most) for name in self.open}
        if "n" in shape and rng.random() < 0.9:
            # most programs divide n into K parts of C
            shape["n"] = shape.get("C", 1) * rng.randint(1, max(1, most // shape.get("C", 1)))
        return {**shape, **family}


# Counts and expressions in them


def _counts(draft: Draft) -> None:
    rng = draft.rng
    number = rng.choice([4, 6, 8, 12, 16, 24, 64, 64, 36, 7 * 11, 4099, 2 * 521])
    values = [{"r": d} for d in divisors(number)]
    draft.header["r"] = rng.choice(divisors(number))
    draft.add(rng.choice([f"require {number} % r == 0", f"require {number} % r == 0", f"let p = {number} / r"]))
    if "let" not in draft.lines[-1]:
        draft.add(f"let p = {number} / r")
    match rng.choice(["", "", "", "own", "of r", "bounded"]):
        case "own":
            draft.header["s"] = 1
            draft.add("require 6 % s == 0")
            values = [{**v, "s": s} for v, s in product(values, divisors(6))]
        case "of r":
            draft.header["s"] = 1
            draft.add("require r % s == 0")
            values = [{**v, "s": s} for v in values for s in divisors(v["r"])]
        case "bounded":
            bound = rng.choice(divisors(number))
            draft.header["r"] = bound
            draft.add(f"require r >= {bound}")
            values = [v for v in values if v["r"] >= bound]
        case _:
            pass
    draft.counts = values
    draft.derived = [{**v, "p": number // v["r"]} for v in values]
    for name in ("k", "w")[: rng.randint(0, 2)]:
        text, found = _expression(draft, 1)
        if min(found) >= 0:
            draft.add(f"let {name} = {text}")
            draft.derived = [{**v, name: x} for v, x in zip(draft.derived, found, strict=True)]


def _expression(draft: Draft, depth: int) -> tuple[str, list[int]]:
    """An expression in counts, with its value in every family."""
    rng = draft.rng
    if not depth or draft.chance(0.15):
        name = rng.choice([*draft.derived[0], ""])
        if name:
            return name, [v[name] for v in draft.derived]
        value = rng.choice([0, 1, 2, 3, 5, 32])
        return str(value), [value] * len(draft.derived)
    op = rng.choice(["+", "-", "*", "//", "//", "%", "%"])
    left, a = _expression(draft, depth - 1)
    right, b = _expression(draft, depth - 1)
    if op in ("//", "%"):
        if min(b) < 1 or draft.chance(0.3):
            number = rng.choice([2, 3, 4, 8, 32])
            right, b = str(number), [number] * len(b)
        values = [x // y if op == "//" else x % y for x, y in zip(a, b, strict=True)]
    else:
        values = [x + y if op == "+" else x - y if op == "-" else x * y for x, y in zip(a, b, strict=True)]
    return f"({left} {op} {right})", values


def _zero(draft: Draft) -> str:
    """An expression that is 0 in every family, or, some of the time, in most of them."""
    rng = draft.rng
    wrong = draft.chance(SLIGHTLY_WRONG)
    for _ in range(200):
        text, values = _expression(draft, 2)
        if wrong and max(values) != min(values):
            common = max(set(values), key=values.count)
            return f"({text} - {common})" if common >= 0 else f"({text} + {-common})"
        if not wrong:
            if max(values) == min(values) and any(name in text for name in draft.derived[0]):
                return f"({text} - {values[0]})" if values[0] >= 0 else f"({text} + {-values[0]})"
            ways = [f"({text} - {text})", f"({text} - 1 * {text})", f"(r*p - p*r) * {text}", "(r*p - p*r)"]
            if draft.chance(0.3):
                return rng.choice(ways)
            if max(values) - min(values) in (1, 2) and min(values) >= 0 and max(values) <= 2:
                return f"({text} * ({text} - 1) * ({text} - 2))"
    return "(r - r)"


def _one(draft: Draft) -> str:
    """A coefficient that is 1 wherever an expression is 0."""
    zero = _zero(draft)
    # a slot value has no // and %; a `let` does, and a size is a number
    name = f"z{len(draft.lines)}"
    draft.add(f"let {name} = {zero} * {zero}")
    return draft.rng.choice(
        [f"(1 - {name}/2)", f"(1 + {name})", f"[{zero} == 0]", f"(3 * [{name} < 1] - 2 * [{zero} == 0])"]
    )


# Open sizes


def _open_condition(draft: Draft, size: str) -> tuple[str, str]:
    """A condition on an open size and its opposite. Neither holds always."""
    rng = draft.rng
    bound = rng.choice([2, 3, 9, 20, 33])
    return rng.choice(
        [
            (f"{size} < {bound}", f"{size} >= {bound}"),
            (f"{size} % 2 == 0", f"{size} % 2 == 1"),
            (f"{size} % r == 0", f"{size} % r != 0"),
            (f"{size} <= r", f"{size} > r"),
            (f"{size} // {bound} == 0", f"{size} // {bound} >= 1"),
        ]
    )


def _split(draft: Draft, value: str, size: str) -> str:
    """A slot value in two cases that make up the whole; some of the time they differ."""
    yes, no = _open_condition(draft, size)
    other = value if draft.chance(0.75) else f"({value} + {value})"
    return draft.rng.choice(
        [f"([{yes}] * {value} + [{no}] * {other})", f"([{yes}] * {value} + [not ({yes})] * {other})"]
    )


def _wrapped(draft: Draft, value: str, slots: str) -> str:
    """A slot value written in another way, right wherever the expression used is 0."""
    rng = draft.rng
    zero = _zero(draft)
    by, _ = _expression(draft, 1)
    return rng.choice(
        [
            f"({_one(draft)} * {value})",
            f"({_one(draft)} * {value})",
            f"({value} << {zero})",
            f"(({value} << {by}) >> {by} + {zero})",
            f"(({value} << {slots} * {by}) << {zero})",
            f"(sum w1 < 1 + {zero} * {zero} % 5: {value})",
            f"(1/p * (sum w2 < p + {zero} * {zero} % 7: {value}))",
            f"(sum w3 < r: [w3 == {zero} % r] * {value})",
            f"(r * p * {value} - (r * p - 1) * {value})",
            _split(draft, value, "n"),
            value,
        ]
    )


# Schemes


def _diagonal(draft: Draft) -> None:
    draft.header.update(n=4, C=2)
    draft.add("let K = n / C", "input x[n]", "weight A[i < n, j < n] sparse where i == j", "axes (h < C)")
    draft.add(f"cipher X[c < K] = x[c*C + (h + {_zero(draft)}) % C]")
    draft.add(f"plain V[c < K] = A[c*C + h, c*C + h] * {_one(draft)}")
    draft.add(f"Y[c < K] = {_wrapped(draft, '(X[c] * V[c])', 'C')}")
    if draft.chance(0.4):
        draft.add(f"claim Y[c] == {_one(draft)} * A[c*C + h, c*C + h] * x[c*C + h]")
    draft.add("output y[c*C + h] = Y[c]", "prove y == A @ x")


def _matvec(draft: Draft) -> None:
    draft.header.update(n=4, C=2)
    name, coefficient = draft.rng.choice([("", "1"), ("p * ", "p"), ("(r + 1) * ", "(r + 1)"), ("r/2 * ", "r/2")])
    draft.add("let K = n / C", "input x[n]", "weight A[n, n]", "axes (h < C)", "cipher X[c < K] = x[c*C + h]")
    turn = draft.rng.choice(["q", f"(q + {_zero(draft)})"])
    entry = f"A[o*C + h, c*C + (h + {turn}) % C]"
    draft.add(f"Z[o < K] = sum c < K, q < C: (X[c] << q) * {entry} * {coefficient}")
    draft.add(f"Y[o < K] = {_wrapped(draft, 'Z[o]', 'C')}")
    if draft.chance(0.5):
        draft.add(f"claim Z[o] == {_one(draft)} * {name}(A @ x)[o*C + h]")
    draft.add("output y[o*C + h] = Y[o]", f"prove y == {name}A @ x")


def _tokens(draft: Draft) -> None:
    draft.header.update(n=3, T=2)
    draft.add("input x[n, T]", "axes (h < n, t < T)", "scalar a")
    draft.add(f"cipher X = x[h, (t + {_zero(draft)}) % T]")
    draft.add(f"Y = {_wrapped(draft, '(a * X)', 'n*T')}")
    number = draft.rng.choice(["", "r", "(p - r)", "r*p/3"])
    draft.add(f"Z = {_wrapped(draft, 'Y', 'n*T')}" + (f" * {number}" if number else ""))
    if draft.chance(0.4):
        draft.add(f"claim Y == a * x[h, t] where {draft.rng.choice(['h', 't', 'slot'])} >= {_zero(draft)}")
        draft.add(f"claim Y == {_one(draft)} * a * x[h, t]")
    draft.add("output y[h, t] = Z", f"prove y == {number + ' * ' if number else ''}a * x")


def _permuted(draft: Draft) -> None:
    draft.header.update(n=3, C=2)
    by, _ = _expression(draft, 1)
    draft.add("input x[n, C]", "axes (h < n, t < C)")
    form = draft.rng.choice(
        [
            f"slot -> (slot + {by}) % (n*C)",
            f"(h, t) -> ((h + {by}) % n, t)",
            f"(h, t) -> (h, (t + {_zero(draft)}) % C)",
            f"slot -> (slot * (1 + {_zero(draft)})) % (n*C)",
            f"slot -> n*C - 1 - (slot + {by}) % (n*C)",
            f"cycles (0, {_zero(draft)} * {_zero(draft)} % 2)",
        ]
    )
    if form.startswith("cycles"):
        draft.add("require n >= 3")
    draft.add(f"perm f: {form}", "cipher X = x[h, t]")
    back = draft.rng.choice(["inverse(f)", "inverse(f)", "inverse(f)", "f"])
    draft.add("Z = permute(X, f)", f"Y = {_wrapped(draft, f'permute(Z, {back})', 'n*C')}")
    draft.add("output y[h, t] = Y", "prove y == x")


def _ranges(draft: Draft) -> None:
    """A result in two outputs, cut at a count or an open size."""
    draft.header.update(n=5)
    cut = draft.rng.choice(["r", "p", "(n // 2)", "(n % r)", f"(1 + {_zero(draft)})", "(r // 2)"])
    draft.add("input x[n]", "axes (h < n)", "cipher X = x[h]", f"Y = {_wrapped(draft, 'X', 'n')}")
    draft.add(f"Z = {_wrapped(draft, '(X + X)', 'n')}")
    draft.add(f"output y[h] = Y where h < {cut}", f"W = 1/2 * {_one(draft)} * Z")
    rest = draft.rng.choice([f"h >= {cut}", f"not (h < {cut})", f"h >= {cut} + {_zero(draft)}"])
    draft.add(f"output y[h] = W where {rest}", "prove y == x")


SCHEMES = (_diagonal, _diagonal, _matvec, _tokens, _tokens, _permuted, _ranges)


def random_families(rng: Random) -> Generated:
    """A program that binds at its default sizes."""
    while True:
        draft = Draft(rng)
        _counts(draft)
        rng.choice(SCHEMES)(draft)
        if draft.chance(0.15):
            # must stand before what depends on it, and any place before the axes does
            draft.lines.insert(
                1, rng.choice(["require n >= 2", "require n % 2 == 0", "require n >= r", "require n > 40"])
            )
        names = list(draft.header)
        rng.shuffle(names)
        header = ", ".join(f"{name} = {draft.header[name]}" for name in names)
        text = "\n".join([f"program generated({header})", *draft.lines]) + "\n"
        found = Generated(text, draft.header, tuple(draft.counts), tuple(n for n in names if n not in draft.counts[0]))
        sizes = next(_bindable(rng, found), None)
        if sizes is None:
            continue
        if rng.random() < EDITED:
            text = generate.mutant(rng, text, sizes)
        return Generated(text, sizes, found.families, found.open)


def _bindable(rng: Random, program: Generated) -> Iterator[Sizes]:
    try:
        syntax = parse(Source("generated", program.text))
    except SlotError:
        return
    for most in (4, 4, 6, 6, 12, 60):
        sizes = program.sizes(rng, rng.choice(program.families), most)
        try:
            bind(syntax, sizes)
        except SlotError:
            continue
        yield sizes
