"""Random slot programs, about half of them right.

A draft is a schedule that is right by construction (``_SCHEMES``), at random small sizes and layouts. It is
rewritten in ways that keep its meaning (``_same``), gets claims, and then, more often than not, is edited in
ways that may change it (``_edits``). Edits are made to the text at places found in the syntax tree. What does
not bind is thrown away.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import gcd
from random import Random
from typing import Any

from hypothesis import strategies as st

from slotlang.diagnostics import SlotError
from slotlang.meaning.bind import bind
from slotlang.source import Source
from slotlang.syntax import tree
from slotlang.syntax.parser import parse

EDITED = 0.62
"""Share of programs that get edits which may make them wrong."""
MAX_TEXT = 12_000
"""Longest program made by edits, in characters."""


@dataclass
class _Draft:
    """A program under construction. ``sizes`` make up its header."""

    rng: Random
    sizes: dict[str, int] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def add(self, *lines: str) -> None:
        self.lines += [line for line in lines if line]

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def by(self, what: str) -> str:
        """A random way to evaluate a sum of rotations, of products with rotations, ...; seldom one that can't."""
        ways = {
            "plain": ["", " by tree"],
            "products": ["", " by tree", " by bsgs(2)", " by bsgs(3)"],
            "rotations": ["", " by tree", " by horner"],
            "one vector": ["", " by tree", " by horner", " by doubling", " by doubling(4)", " by doubling(3)"],
        }
        return self.rng.choice(ways[what if self.chance(0.97) else "one vector"])

    def text(self) -> str:
        bare = self.chance(0.1)
        header = ", ".join(name if bare else f"{name} = {value}" for name, value in self.sizes.items())
        return "\n".join([f"program generated({header})", *self.lines]) + "\n"


def _substituted(text: str, by: Mapping[str, str]) -> str:
    """The text with names replaced by expressions, all at once."""
    return re.sub(r"\b(" + "|".join(by) + r")\b", lambda m: f"({by[m[0]]})", text) if by else text


# Tensors with their specifications


def _matrix(draft: _Draft, name: str, rows: str, columns: str) -> tuple[str, Callable[[str, str, str], str]]:
    """A random tensor expression of a shape: its text in a specification, and the text of its elements."""
    rng = draft.rng
    other = f"{name}{name}"
    match rng.choice(["plain"] * 6 + ["transposed", "sum", "product", "whole", "negative", "pattern"]):
        case "transposed":
            draft.add(f"weight {name}[{columns}, {rows}]")
            return f"{name}.T", lambda i, j, pad: f"{name}[{j}, {i}]{pad}"
        case "sum":
            draft.add(f"weight {name}[{rows}, {columns}], {other}[{columns}, {rows}]")
            factor = rng.choice(["2", "1/2", "-3"])
            return f"({name} + {factor} * {other}.T)", (
                lambda i, j, pad: f"({name}[{i}, {j}]{pad} + {factor} * {other}[{j}, {i}]{pad})"
            )
        case "product":
            draft.add(f"weight {name}[{rows}, 2], {other}[2, {columns}]")
            return f"({name} @ {other})", lambda i, j, pad: f"({name} @ {other})[{i}, {j}]{pad}"
        case "whole":
            draft.add(f"weight {name}[{rows}, {columns}], {other}[{rows}, {columns}]")
            return f"({name} - {other})", lambda i, j, pad: f"({name} - {other})[{i}, {j}]{pad}"
        case "negative":
            draft.add(f"weight {name}[{rows}, {columns}]")
            return f"(-{name})", lambda i, j, pad: f"(-{name}[{i}, {j}]{pad})"
        case "pattern":
            where = rng.choice(["ai >= aj", "(ai + aj) % 2 == 0", "ai != aj", "ai // 2 == aj // 2"])
            where = re.sub(r"\ba([ij])\b", rf"{name}\1", where)
            draft.add(f"weight {name}[{name}i < {rows}, {name}j < {columns}] sparse where {where}")
            return name, lambda i, j, pad: f"{name}[{i}, {j}]{pad}"
        case _:
            draft.add(f"weight {name}[{rows}, {columns}]")
            return name, lambda i, j, pad: f"{name}[{i}, {j}]{pad}"


def _scale(draft: _Draft) -> tuple[str, str]:
    """A factor of the specification and the same factor for a plain vector; both may be empty."""
    kind = draft.rng.choice(["", "", "scalar", "number", "both"])
    if kind in ("scalar", "both"):
        draft.add("scalar scale")
    return {
        "": ("", ""),
        "scalar": ("scale * ", "scale * "),
        "number": ("3/2 * ", "1.5 * "),
        "both": ("2 * scale * ", "scale * 2 * "),
    }[kind]


def _pad(draft: _Draft, exact: bool) -> str:
    return "" if exact and draft.chance(0.9) else " else 0"


# Layouts of (channel h < C, token t < batch)


@dataclass
class _Layout:
    """How channels and tokens share the slots, and how a vector is rotated by q channels."""

    c: int
    batch: int
    axes: str
    h: str
    t: str
    carried: bool

    def rotate(self, vector: str, q: str) -> str:
        if not self.carried:
            return f"({vector} << {q}{'*batch' if self.batch > 1 else ''})"
        return f"(({vector} << {q}) * [{self.h} + {q} < C] + ({vector} >> C - {q}) * [{self.h} + {q} >= C])"


def _layout(draft: _Draft, carried: bool = True) -> _Layout:
    """Draws C and batch, declares the digits. With ``carried``, channels may be the inner digit: a rotation
    by channels then takes two masks."""
    rng = draft.rng
    c, batch = rng.choice([2, 3, 4, 4, 4, 5, 6, 8]), rng.choice([1, 1, 2, 2, 3])
    while c * batch > 12:
        batch -= 1
    named = draft.chance(0.3)
    if named:
        draft.sizes.update(slots=c * batch, batch=batch)
        draft.add("let C = slots / batch")
    else:
        draft.sizes.update(C=c, batch=batch)
    kinds = ["outer", "outer", "outer", "other system"] + ["inner"] * (2 * carried) + ["none"] * (batch == 1)
    match rng.choice(kinds):
        case "outer":
            axes = "axes (h < C, t < batch)"
            return _Layout(c, batch, axes, "h", "t", False)
        case "other system":
            axes = "axes flat (u < C * batch)\naxes (h < C, t < batch)"
            return _Layout(c, batch, axes, rng.choice(["h", "(u // batch)"]), rng.choice(["t", "u % batch"]), False)
        case "inner":
            axes = "axes (t < batch, h < C)"
            return _Layout(c, batch, axes, "h", "t", batch > 1)
        case _:
            return _Layout(c, batch, "" if named else "let slots = C", "slot", "0", False)


# Schemes: each a right program


def _matvec(draft: _Draft) -> None:
    """y = A @ x by diagonals; several ciphertexts, or a square, squat or tall matrix; babies and giants."""
    rng = draft.rng
    layout = _layout(draft)
    c = layout.c
    d, e = rng.randint(1, 2 * c), rng.randint(1, 2 * c)
    if draft.chance(0.5):
        d, e = rng.choice([c, 2 * c, c]), rng.choice([c, 2 * c, c])
    divisors = [n for n in range(1, c + 1) if c % n == 0]
    kinds = ["full"] * 3 + ["squat"] * 2 * (not layout.carried) + ["tall"] * 2 + ["giants"] * (not layout.carried)
    kind = rng.choice(kinds)
    if kind == "tall":
        d = rng.randint(1, c)
    if kind == "squat":
        e = rng.randint(1, c)
    draft.sizes.update(d=d, e=e)
    draft.add("let K = (d + C - 1) // C", "let O = (e + C - 1) // C")
    h = layout.h
    vector = draft.sizes["batch"] == 1 and draft.chance(0.4)
    shape, tail = ("d", "") if vector else ("d, batch", f", {layout.t}")
    both = draft.chance(0.2)
    draft.add(f"input  x[{shape}]" + (f", z[{shape}]" if both else ""))
    x_spec = "(x - z)" if both else "x"
    spec, entry = _matrix(draft, "A", "e", "d")
    factor, plain_factor = _scale(draft)
    draft.add(layout.axes)

    def pack(index: str, exact: bool) -> str:
        pad = _pad(draft, exact)
        read = f"x[{index}{tail}]{pad}"
        return f"{read} - z[{index}{tail}]{pad}" if both else read

    exact = d % c == 0 and e % c == 0
    pad = _pad(draft, exact)
    out, target = "c" if draft.chance(0.3) else "o", "Y[{}]"
    match kind:
        case "full":
            draft.add(f"cipher X[c < K] = {pack(f'c*C + {h}', d % c == 0)}")
            weight = plain_factor + entry(f"o*C + {h}", f"c*C + ({h} + q) % C", pad)
            if draft.chance(0.6):
                draft.add(f"plain  W[o < O, q < C, c < K] = {weight}")
                weight = "W[o, q, c]"
            turned = layout.rotate("X[c]", "q")
            if draft.chance(0.5):
                draft.add(f"Z[o < O, c < K] = sum q < C{draft.by('products')}: {turned} * {weight}")
                draft.add(f"Y[o < O] = sum c < K{draft.by('plain')}: Z[o, c]")
            else:
                binders = rng.choice(["c < K, q < C", "q < C, c < K"])
                draft.add(f"Y[o < O] = sum {binders}{draft.by('plain')}: {turned} * {weight}")
        case "giants":
            n1 = rng.choice(divisors)
            draft.add(f"let N = {n1}")
            draft.add(f"cipher X[c < K] = {pack(f'c*C + {h}', d % c == 0)}")
            weight = plain_factor + entry(f"o*C + ({h} - g*N) % C", f"c*C + ({h} + b) % C", pad)
            draft.add(f"plain  W[o < O, g < C // N, b < N, c < K] = {weight}")
            babies = f"sum c < K, b < N: {layout.rotate('X[c]', 'b')} * W[o, g, b, c]"
            draft.add(f"Y[o < O] = sum g < C // N{draft.by('rotations')}: {layout.rotate(f'({babies})', 'g*N')}")
        case "tall":
            rows = min(n for n in divisors if n >= d)
            draft.add(f"let D = {rows}")
            draft.add(f"cipher X = {pack(f'{h} % D', d == rows)}")
            weight = plain_factor + entry(f"o*C + {h}", f"({h} + q) % D", _pad(draft, d == rows and e % c == 0))
            draft.add(f"plain  W[o < O, q < D] = {weight}")
            draft.add(f"Y[o < O] = sum q < D{draft.by('products')}: {layout.rotate('X', 'q')} * W[o, q]")
        case _:
            rows = min(n for n in divisors if n >= e)
            draft.add(f"let D = {rows}")
            draft.add(f"cipher X[c < K] = {pack(f'c*C + {h}', d % c == 0)}")
            weight = plain_factor + entry(f"{h} % D", f"c*C + ({h} + q) % C", _pad(draft, e == rows and d % c == 0))
            draft.add(f"plain  W[q < D, c < K] = {weight}")
            draft.add(f"P = sum q < D, c < K{draft.by('plain')}: {layout.rotate('X[c]', 'q')} * W[q, c]")
            draft.add(f"Y = sum f < C // D{draft.by('one vector')}: {layout.rotate('P', 'f*D')}")
            if e == rows and draft.chance(0.5):
                arguments = f"{h} % D" + tail
                draft.add(f"claim Y == ({factor}{spec} @ {x_spec})[{arguments}]")
            target = "Y"
    row = h if target == "Y" else f"{out}*C + {h}"
    draft.add(f"output y[{row}{tail}] = {rng.choice(['', '', 're '])}{target.format(out)}")
    product = f"{factor}{spec} @ {x_spec}"
    if draft.chance(0.2):
        back = f"{x_spec} @ {spec}.T" if vector else f"({x_spec}.T @ {spec}.T).T"
        product = f"{factor}({back})"
    draft.add(f"prove  y == {product}")


def _lora(draft: _Draft) -> None:
    """y = A @ B @ x through rank space, with or without pairs of ranks in complex slots."""
    rng = draft.rng
    layout = _layout(draft, carried=False)
    c, h, t = layout.c, layout.h, layout.t
    ranks = rng.choice([n for n in range(1, c + 1) if c % n == 0])
    complex_pairs = draft.chance(0.6)
    most = 2 * ranks if complex_pairs else ranks
    r = rng.randint(max(1, most - 2), most)
    d, e = rng.choice([c, 2 * c, rng.randint(1, 2 * c)]), rng.choice([c, c, rng.randint(1, 2 * c)])
    draft.sizes.update(d=d, e=e, r=r)
    draft.add(f"let R = {ranks}", "let K = (d + C - 1) // C", "let O = (e + C - 1) // C", "require C % R == 0")
    draft.add("input  x[d, batch]")
    spec_a, a = _matrix(draft, "A", "e", "r")
    spec_b, b = _matrix(draft, "B", "r", "d")
    factor, plain_factor = _scale(draft)
    draft.add(layout.axes)
    draft.add(f"cipher X[c < K] = x[c*C + {h}, {t}]{_pad(draft, d % c == 0)}")
    pad_b, pad_a = _pad(draft, d % c == 0 and r == most), _pad(draft, e % c == 0 and r == most)
    down = b(f"({h} - q) % R", f"c*C + {h}", pad_b)
    up = a(f"o*C + {h}", f"({h} + q) % R", pad_a)
    unit = rng.choice(["1i", "-1i", "2i"])
    inverse = {"1i": "- 1i", "-1i": "+ 1i", "2i": "- 0.5i"}[unit]
    if complex_pairs:
        down += f" + {unit} * " + b(f"({h} - q) % R + R", f"c*C + {h}", pad_b)
        up = f"({up} {inverse} * " + a(f"o*C + {h}", f"({h} + q) % R + R", pad_a) + ")"
    draft.add(f"plain  W[q < R, c < K] = {down}")
    step = "*batch" if layout.batch > 1 or draft.chance(0.5) else ""
    draft.add(f"P[q < R] = sum c < K{draft.by('plain')}: X[c] * W[q, c]")
    draft.add(f"T = sum q < R{draft.by('rotations')}: P[q] << q{step}")
    draft.add(f"S = sum f < C // R{draft.by('one vector')}: T << f*R{step}")
    if draft.chance(0.6):
        pad = _pad(draft, r == most)
        claim = f"({spec_b} @ x)[{h} % R, {t}]{pad}"
        if complex_pairs:
            claim += f" + {unit} * ({spec_b} @ x)[{h} % R + R, {t}]{pad}"
        where = rng.choice(["", "", "", f" where {h} < R", f" where {h} % 2 == 1"])
        draft.add(f"claim S == {claim}{where}")
    draft.add(f"plain  V[q < R, o < O] = {plain_factor}{up}")
    draft.add(f"Y[o < O] = sum q < R{draft.by('products')}: (S << q{step}) * V[q, o]")
    if complex_pairs and draft.chance(0.3):
        draft.add("U[o < O] = 1/2 * (Y[o] + conj Y[o])")
        draft.add(f"output y[o*C + {h}, {t}] = U[o]")
    else:
        part = "re " if complex_pairs else rng.choice(["re ", ""])
        draft.add(f"output y[o*C + {h}, {t}] = {part}Y[o]")
    draft.add(f"prove  y == {factor}{spec_a} @ {spec_b} @ x")


def _complex(draft: _Draft) -> None:
    """Two results in one complex vector: two matrices, two halves of the rows or two halves of the tokens."""
    rng = draft.rng
    layout = _layout(draft)
    h, t = layout.h, layout.t
    draft.add("let d = C")
    kind = rng.choice(["matrices", "rows", "tokens"])
    tokens = "2 * batch" if kind == "tokens" else "batch"
    rows = "2 * d" if kind == "rows" else "d"
    draft.add(f"input  x[d, {tokens}]")
    spec, a = _matrix(draft, "A", rows, "d")
    unit = rng.choice(["1i", "-1i"])
    sign = "" if unit == "1i" else "-"
    column = f"({h} + q) % C"
    weight, pack = a(h, column, ""), f"x[{h}, {t}]"
    second = ""
    if kind == "matrices":
        second, b = _matrix(draft, "B", "d", "d")
        weight += f" + {unit} * " + b(h, column, "")
    elif kind == "rows":
        weight += f" + {unit} * " + a(f"{h} + C", column, "")
    else:
        pack += f" + {unit} * x[{h}, {t} + batch]"
    draft.add(layout.axes)
    draft.add(f"cipher X = {pack}", f"plain  W[q < C] = {weight}")
    draft.add(f"Y = sum q < C{draft.by('products')}: {layout.rotate('X', 'q')} * W[q]")
    first_value, second_value = "re Y", "im Y"
    if sign or draft.chance(0.5):
        half = "1/2 * 1i" if unit == "1i" else "-1/2 * 1i"
        draft.add("U = 1/2 * (Y + conj Y)", f"V = {half} * (conj Y - Y)")
        first_value, second_value = "U", rng.choice(["V", "re V"])
    places = {"matrices": (h, t), "rows": (f"{h} + C", t), "tokens": (h, f"{t} + batch")}[kind]
    name = "z" if kind == "matrices" else "y"
    draft.add(f"output y[{h}, {t}] = {first_value}")
    draft.add(f"output {name}[{places[0]}, {places[1]}] = {second_value}")
    draft.add(f"prove  y == {spec} @ x")
    if kind == "matrices":
        draft.add(f"prove  z == {second} @ x")


def _permuted(draft: _Draft) -> None:
    """y = x through a chain of permutations and rotations, from one layout to another."""
    rng = draft.rng
    extents = rng.choice([(2, 3, 2), (2, 2, 2), (2, 4, 1), (3, 2, 2), (4, 3, 1), (5, 2, 1)])
    slots = extents[0] * extents[1] * extents[2]
    draft.sizes.update(zip(("a", "b", "c"), extents, strict=True))
    names = ("u", "v", "w")
    size = dict(zip(names, ("a", "b", "c"), strict=True))
    width = rng.choice([n for n in (1, 2, 3, 4) if n <= slots])
    length = slots if draft.chance(0.6) else rng.randint(1, slots)
    rows = min(-(-length // width), slots // width)
    exact = rows * width == slots
    draft.sizes.update(m=rows, n=width)
    draft.add(f"input  x[m, n]{', z[m, n]' if draft.chance(0.2) else ''}")
    draft.add("axes (u < a, v < b, w < c)")
    if draft.chance(0.3):
        draft.add("axes (f < a * b * c)")
        flat = "f"
    else:
        flat = "slot"

    def mixed(order: tuple[str, ...]) -> str:
        text = order[0]
        for name in order[1:]:
            text = f"({text})*{size[name]} + {name}"
        return text

    orders = [tuple(rng.sample(names, 3)) for _ in range(3)]
    step = rng.choice([k for k in range(1, slots) if gcd(k, slots) == 1])
    offset = rng.randint(0, slots - 1)
    layouts = [
        flat,
        *(mixed(o) for o in orders),
        f"({step}*{flat} + {offset}) % {slots}",
        f"{slots - 1} - {flat}",
    ]

    def table(text: str) -> list[int]:
        return [_at(text, s, draft.sizes, extents) for s in range(slots)]

    pad = "" if exact else " else 0"
    start = rng.choice(layouts)
    draft.add(f"cipher X = x[({start}) // n, ({start}) % n]{pad}")
    holds = table(start)
    vector, undo = "X", []
    for number in range(rng.choice([1, 1, 1, 2, 2, 3])):
        name = f"p{number}"
        kind = rng.choice(["digits", "slot", "cycles", "shift", "tuple"])
        if kind == "shift":
            k = rng.randint(1, slots - 1)
            vector = f"({vector} << {k})"
            holds = [holds[(s + k) % slots] for s in range(slots)]
            undo.append(lambda v, k=k: f"({v} >> {k})")
            continue
        if kind in ("digits", "tuple"):
            order = rng.choice(orders)
            targets = [
                rng.choice([i, i, f"({i} + 1) % {size[i]}", f"{size[i]} - 1 - {i}"]) if kind == "digits" else i
                for i in order
            ]
            draft.add(f"perm {name}: (u, v, w) -> ({', '.join(targets)})")
            text = targets[0]
            for i, target in zip(order[1:], targets[1:], strict=True):
                text = f"({text})*{size[i]} + {target}"
            goes = table(text)
        elif kind == "slot":
            target = rng.choice([f"({step}*slot + {offset}) % {slots}", mixed(rng.choice(orders))])
            draft.add(f"perm {name}: slot -> {target}")
            goes = table(target)
        else:
            points = rng.sample(range(slots), rng.randint(2, min(6, slots)))
            cut = rng.randint(1, len(points))
            cycles = [c for c in (points[:cut], points[cut:]) if c]
            written = ", ".join("(" + ", ".join(map(str, c)) + ")" for c in cycles)
            draft.add(f"perm {name}: cycles {written}")
            goes = list(range(slots))
            for cycle in cycles:
                for here, there in zip(cycle, cycle[1:] + cycle[:1], strict=True):
                    goes[here] = there
        inverse = draft.chance(0.3)
        moved = list(holds)
        for s, there in enumerate(goes):
            if inverse:
                moved[s] = holds[there]
            else:
                moved[there] = holds[s]
        holds = moved
        vector = f"permute({vector}, {f'inverse({name})' if inverse else name})"
        back = name if inverse else f"inverse({name})"
        undo.append(lambda v, back=back: f"permute({v}, {back})")
    fitting = [text for text in layouts if table(text) == holds]
    if fitting:
        end = rng.choice(fitting)
    else:
        end = start
        draft.add(f"Z = {vector}")
        vector = "Z"
        for back in reversed(undo):
            vector = back(vector)
    factor = rng.choice(["", "", "2 * ", "-1 * "])
    draft.add(f"Y = {factor}{vector}")
    if draft.chance(0.4):
        draft.add(f"claim Y == {factor}x[({end}) // n, ({end}) % n]{pad}")
    draft.add(f"output y[({end}) // n, ({end}) % n] = {rng.choice(['', 're '])}Y", f"prove  y == {factor}x")
    if length < slots and draft.chance(0.3):
        draft.lines[-2] += f" where {end} < m * n"


def _at(text: str, slot: int, sizes: dict[str, int], extents: tuple[int, int, int]) -> int:
    _, b, c = extents
    digits = {"u": slot // (b * c), "v": slot // c % b, "w": slot % c, "slot": slot, "f": slot}
    return int(eval(text, {"__builtins__": {}}, {**sizes, **digits}))  # only text made above


def _slotwise(draft: _Draft) -> None:
    """y = x + 2 z - A without rotations that matter; products of ciphertexts in claims."""
    rng = draft.rng
    layout = _layout(draft, carried=False)
    h, t = layout.h, layout.t
    draft.add("input  x[C, batch], z[C, batch]", "weight A[C, batch], G[2, C, batch]", layout.axes)
    draft.add(f"cipher X = x[{h}, {t}]", f"cipher Z = z[{h}, {t}]", f"plain  W = A[{h}, {t}]")
    x, z, a = f"x[{h}, {t}]", f"z[{h}, {t}]", f"A[{h}, {t}]"
    step = "*batch" if layout.batch > 1 else ""
    total = f"sum f < C: X << f{step}"
    claims: list[tuple[str, str | None]] = [
        ("(X + Z) * (X - Z)", f"{x} * {x} - {z} * {z}"),
        ("X * Z * W", f"{a} * ({z} * {x})"),
        (f"sum f < C{draft.by('one vector')}: X * X << f{step}", f"sum f < C: x[f, {t}] * x[f, {t}]"),
        (f"sum f < C{draft.by('products')}: X * (X << f{step})", f"{x} * (sum f < C: x[f, {t}])"),
        (f"({total}) * ({total})", f"sum f < C, g < C: x[f, {t}] * x[g, {t}]"),
        (f"sum f < C: (X << f{step}) * (Z << f{step})", f"sum f < C: z[f, {t}] * x[f, {t}]"),
        ("(X + 1i * Z) * conj (X + 1i * Z)", f"{x} * {x} + {z} * {z}"),
        ("(X + Z) * (X + Z) * X", f"{x} * {x} * {x} + 2 * {x} * {x} * {z} + {x} * {z} * {z}"),
        (total, f"sum f < C: x[f, {t}]"),
        (f"sum f < C, g < 3: X << (f + g){step}", f"3 * (sum f < C: x[C - 1 - f, {t}])"),
        ("(X << 1) * [slot < 1] + X * [slot >= 1]", None),
        (f"sum k < 2: X * G[k, {h}, {t}] + Z", f"{x} * G[1, {h}, {t}] + {x} * G[0, {h}, {t}] + 2 * {z}"),
    ]
    for name in ("Q", "M")[: rng.randint(1, 2)]:
        body, claim = rng.choice(claims)
        draft.add(f"{name} = {body}")
        if claim is not None:
            draft.add(f"claim {name} == {claim}{rng.choice(['', '', f' where {h} < 1'])}")
    unit = rng.choice(["1i", "-1i", "(1 + 1i)"])
    draft.add(f"B = X * {unit} + {rng.choice(['Z', 'Z * 0.5', 'Z - Z'])}")
    recover, factor = {
        "1i": ("1/2 * 1i * (conj B - B)", 1),
        "-1i": ("1/2 * 1i * (B - conj B)", 1),
        "(1 + 1i)": ("1i * (conj B - B)", 2),
    }[unit]
    draft.add(f"E = {recover}")
    if draft.chance(0.3):
        draft.add(f"claim E == {factor} * {x}")
    form = rng.choice(["E + 2 * Z - W", "E - W - -2 * Z", "2 * (Z - W / 2) + E"])
    part = rng.choice(["", "re "])
    spec = f"{factor} * x + 2 * z - A"
    if draft.chance(0.5):
        draft.add(f"Y = {form}", f"output y[{h}, {t}] = {part}Y")
    elif draft.chance(0.5):
        draft.add(f"Y[k < 2] = ({form}) * [slot >= 0]")
        draft.add(f"output y[{h}, {t}] = {part}Y[0]")
    else:
        draft.add(f"Y = {form}", f"output y[{h}, {t}] = {part}Y where {h} < 1")
        draft.add(f"output y[{h}, {t}] = {part}Y where {h} >= 1")
    draft.add(f"prove  y == {spec}")


def _banded(draft: _Draft) -> None:
    """y = A @ x with a band or blocks of A known to be zero, and only the diagonals that are left."""
    rng = draft.rng
    layout = _layout(draft)
    h, t = layout.h, layout.t
    c = layout.c
    width = rng.randint(1, c)
    draft.sizes.update(width=width)
    draft.add("input  x[C, batch]")
    if draft.chance(0.5):
        pattern, first = "(k - i) % C < width", "0"
    else:
        pattern, first = "(i - k) % C < width", "C - width + 1"
    draft.add(f"weight A[i < C, k < C] sparse where {pattern}")
    draft.add(layout.axes)
    draft.add(f"cipher X = x[{h}, {t}]")
    shift = "q" if first == "0" else f"(q + {first}) % C"
    draft.add(f"plain  W[q < width] = A[{h}, ({h} + {shift}) % C]")
    if first == "0":
        turned = layout.rotate("X", "q")
    elif layout.carried:
        draft.add(f"X1 = {layout.rotate('X', '(C - width + 1)')}")
        turned = layout.rotate("X1", "q")
    else:
        turned = f"(X << (q + {first}){'*batch' if layout.batch > 1 else ''})"
    draft.add(f"Y = sum q < width{draft.by('products')}: {turned} * W[q]")
    draft.add(f"output y[{h}, {t}] = Y", "prove  y == A @ x")


def _members(draft: _Draft) -> None:
    """y = x with its rows in the members of a family of two indices, and claims about some of them."""
    rng = draft.rng
    n, c = rng.choice([2, 2, 3]), rng.choice([1, 2, 3])
    draft.sizes.update(n=n, C=c)
    draft.add("input  x[n * n, C]", "axes (h < C)")
    row = rng.choice(["a*n + b", "b*n + a", "(a*n + b + 1) % (n * n)", "n*n - 1 - (a*n + b)"])
    draft.add(f"cipher X[a < n, b < n] = x[{row}, h]")
    draft.add(f"P[a < n, b < n] = {rng.choice(['X[a, b] * 1', 'X[a, b] << C', 'X[a, b] + (X[b, a] - X[b, a])'])}")
    for _ in range(rng.randint(1, 2)):
        one, other = rng.choice(["q", "0", "n - 1"]), rng.choice(["q", "s", "0", "(q + 1) % n", "n - 1 - q"])
        if "q" not in one and other not in ("q", "s", "0"):
            other = "q"
        indices = [one, other]
        rng.shuffle(indices)
        place = _substituted(row, dict(zip("ab", indices, strict=True)))
        where = rng.choice(["", "", " where h < 1"])
        if "q" in indices and draft.chance(0.2):
            where = " where q < 1"
        draft.add(f"claim P[{indices[0]}, {indices[1]}] == x[{place}, h]{where}")
    indices = rng.choice([("a", "b"), ("b", "a"), ("q", "s"), ("q", "(s + 1) % n"), ("n - 1 - s", "n - 1 - q")])
    binders = ("a", "b") if "a" in indices else ("q", "s")
    draft.add(f"Y[{binders[0]} < n, {binders[1]} < n] = P[{indices[0]}, {indices[1]}] * 1")
    place = _substituted(row, dict(zip("ab", indices, strict=True)))
    draft.add(f"output y[{place}, h] = Y[{binders[0]}, {binders[1]}]", "prove  y == x")


_SCHEMES = (_matvec,) * 3 + (_lora,) * 3 + (_permuted, _slotwise) * 2 + (_complex, _banded, _members)


# Edits: replacements of places in the text


@dataclass(frozen=True)
class _Edit:
    """Text to put in the place of [start, end)."""

    start: int
    end: int
    text: str


def _place(node: Any, text: str) -> _Edit:
    return _Edit(node.span.start, node.span.end, text)


def _apply(text: str, edit: _Edit) -> str:
    return text[: edit.start] + edit.text + text[edit.end :]


def _parsed(text: str) -> tree.Program | None:
    try:
        return parse(Source("generated", text))
    except SlotError:
        return None


def _binds(text: str, sizes: Mapping[str, int]) -> bool:
    program = _parsed(text)
    if program is None:
        return False
    try:
        bind(program, dict(sizes))
    except SlotError:
        return False
    return True


def _roots(statement: tree.Statement) -> Iterator[tuple[str, tree.Expr]]:
    """The expressions of a statement with what they are: a value, an int, a cond(ition) or a form."""
    match statement:
        case tree.Let(_, value):
            yield "int", value
        case tree.Declare(_, tensors):
            for tensor in tensors:
                if tensor.pattern is not None:
                    yield "cond", tensor.pattern
        case tree.Define(_, _, binders, body):
            for binder in binders:
                yield "int", binder.extent
            yield "value", body
        case tree.DefinePermutation(_, tree.SlotPermutation(_, target)):
            yield "int", target
        case tree.DefinePermutation(_, tree.DigitPermutation(_, targets)):
            for target in targets:
                yield "int", target
        case tree.Claim(target, value, where):
            if isinstance(target, tree.Index):
                for index in target.indices:
                    yield "int", index
            yield "value", value
            if where is not None:
                yield "cond", where
        case tree.Output(_, indices, value, where):
            for index in indices:
                yield "int", index
            yield "part", value
            if where is not None:
                yield "cond", where
        case tree.Prove(_, value):
            yield "form", value
        case _:
            return


def _nodes(role: str, e: tree.Expr) -> Iterator[tuple[str, tree.Expr]]:
    """An expression and all below it, each with its role."""
    yield role, e
    match e:
        case tree.Index(base, indices):
            if not isinstance(base, tree.Name):
                yield from _nodes("form", base)
            for index in indices:
                yield from _nodes("int", index)
        case tree.Transpose(base):
            yield from _nodes("form", base)
        case tree.Unary(_, operand):
            yield from _nodes("value" if role == "part" else role, operand)
        case tree.Binary(op, left, right):
            yield from _nodes(role, left)
            yield from _nodes("int" if op in ("<<", ">>") else "divisor" if op == "/" else role, right)
        case tree.Compare(_, operands):
            for operand in operands:
                yield from _nodes("int", operand)
        case tree.Bracket(condition):
            yield from _nodes("cond", condition)
        case tree.Sum(binders, _, body):
            for binder in binders:
                yield from _nodes("int", binder.extent)
            yield from _nodes(role, body)
        case tree.Permute(value):
            yield from _nodes(role, value)
        case _:
            return


def _random_condition(rng: Random, program: tree.Program) -> str:
    digits = [b.name for s in program.statements if isinstance(s, tree.Axes) for b in s.binders]
    name = rng.choice([*digits, "slot", "slot"])
    return rng.choice([f"{name} < 1", f"{name} % 2 == 0", f"{name} >= 2", f"{name} != 1", f"1 <= {name} < 3"])


def _same(rng: Random, program: tree.Program, e: tree.Expr) -> str:
    """Another text for a slot value, of the same meaning."""
    v = f"({e.span.text})"
    condition = _random_condition(rng, program)
    k = rng.randint(1, 5)
    options = [
        f"({v} << {k} >> {k})",
        f"({v} >> {k} << {k})",
        f"([{condition}] * {v} + [not ({condition})] * {v})",
        f"({v} - [{condition}] * {v} + {v} * [{condition}])",
        f"(conj conj {v})",
        f"(1/2 * ({v} + conj {v}) + 1/2 * ({v} - conj {v}))",
        f"(- -{v})",
        f"(2 * {v} - {v})",
        f"(-1i * (1i * {v}))",
        f"({v} * 3 / 3)",
        f"(sum w0 < 3: 1/3 * {v})",
    ]
    permutations = [s.name for s in program.statements if isinstance(s, tree.DefinePermutation)]
    for name in permutations:
        options += [
            f"permute(permute({v}, {name}), inverse({name}))",
            f"permute(permute({v}, inverse({name})), {name})",
        ]
    match e:
        case tree.Binary("+" | "*" as op, left, right):
            options += [f"(({right.span.text}) {op} ({left.span.text}))"] * 4
        case tree.Binary("<<" | ">>" as op, left, right):
            amount, back = f"({right.span.text})", ">>" if op == "<<" else "<<"
            inner = f"({left.span.text})"
            options += [
                f"({inner} {back} -{amount})",
                f"({inner} {op} {amount} + 1 {back} 1)",
                f"({inner} {op} 2*{amount} {back} {amount})",
            ] * 2
        case tree.Sum((binder,), how, body):
            by = f" by {how.name}" if how is not None and how.argument is None and rng.random() < 0.3 else ""
            extent, name, inner = f"({binder.extent.span.text})", binder.name, body.span.text

            def at(index: str) -> str:
                return _substituted(inner, {name: index})

            options += [
                f"(sum {name} < {extent}{by}: {at(f'{extent} - 1 - {name}')})",
                f"(sum {name} < {extent}{by}: {at(f'({name} + 1) % {extent}')})",
                f"((sum {name} < {extent} - 1{by}: {inner}) + {at(f'{extent} - 1')})",
                f"({at('0')} + sum {name} < {extent} - 1: {at(f'{name} + 1')})",
            ] * 2
        case _:
            pass
    return rng.choice(options)


def _rewrites(rng: Random, program: tree.Program) -> Iterator[_Edit]:
    """Edits that keep the meaning."""
    for statement in program.statements:
        if not isinstance(statement, tree.Define | tree.Claim):
            continue
        for role, root in _roots(statement):
            for kind, node in _nodes(role, root):
                if kind == "value":
                    yield _place(node, _same(rng, program, node))


_OTHER = {
    "<": ["<=", ">="],
    "<=": ["<", ">"],
    ">": [">=", "<="],
    ">=": [">", "<"],
    "==": ["!="],
    "!=": ["=="],
}


def _wrapped(e: tree.Expr) -> str:
    return f"({e.span.text})"


def _node_edits(rng: Random, role: str, e: tree.Expr, names: dict[str, list[str]]) -> Iterator[_Edit]:
    """Edits at one node that may change the meaning."""
    here = _wrapped(e)
    match e:
        case tree.Number(value, imaginary) if value:
            yield _place(e, f"(-{e.span.text})" if imaginary else f"({e.span.text} + 1)")
            if imaginary and role != "form":
                yield _place(e, "1")
        case tree.Name(name):
            for group in names.values():
                if name in group and len(group) > 1:
                    yield _place(e, rng.choice([n for n in group if n != name]))
        case tree.Index(base, indices):
            if len(indices) > 1:
                i, j = rng.sample(range(len(indices)), 2)
                texts = [index.span.text for index in indices]
                texts[i], texts[j] = texts[j], texts[i]
                pad = " else 0" if e.else_zero else ""
                of = base.name if isinstance(base, tree.Name) else _wrapped(base)
                yield _place(e, f"{of}[{', '.join(texts)}]{pad}")
            for index in indices:
                offset = rng.choice(["+ 1", "- 1", "+ 1"])
                yield _place(index, f"{index.span.text} {offset}")
                modulus = rng.choice(names["size"] or ["2"])
                yield _place(index, f"({_wrapped(index)} {offset}) % {modulus}")
                if isinstance(index, tree.Name) and names["loop"]:
                    yield _place(index, rng.choice(names["loop"]))
            if e.else_zero:
                yield _Edit(e.span.end - len("else 0"), e.span.end, "")
        case tree.Transpose(base):
            yield _place(e, base.span.text)
        case tree.Unary("conj" | "-", operand):
            yield _place(e, _wrapped(operand))
        case tree.Unary("re" | "im" as op, operand):
            yield _place(e, f"{'im' if op == 're' else 're'} {operand.span.text}")
            yield _place(e, operand.span.text)
        case tree.Binary("<<" | ">>" as op, left, right):
            back = ">>" if op == "<<" else "<<"
            yield _place(e, f"({_wrapped(left)} {back} {right.span.text})")
            yield _place(e, f"({_wrapped(left)} {op} {right.span.text} {rng.choice('+-')} {rng.randint(1, 3)})")
            yield _place(e, f"({_wrapped(left)} {op} 2*{_wrapped(right)})")
            yield _place(e, _wrapped(left))
        case tree.Binary("+" | "-" as op, left, right):
            yield _place(e, f"({_wrapped(left)} {'-' if op == '+' else '+'} {_wrapped(right)})")
            yield _place(e, _wrapped(rng.choice([left, right])))
        case tree.Binary("*", left, right):
            yield _place(e, _wrapped(rng.choice([left, right])))
        case tree.Binary("%", left, right):
            change = rng.choice(["+ 1", "- 1", "* 2", "// 2"])
            yield _place(e, f"({_wrapped(left)} % ({right.span.text} {change}))")
            yield _place(e, f"({_wrapped(left)} // {_wrapped(right)})")
            yield _place(e, _wrapped(left))
        case tree.Binary("//", left, right):
            yield _place(e, f"({_wrapped(left)} % {_wrapped(right)})")
            yield _place(e, _wrapped(left))
        case tree.Binary("@", left, right):
            yield _place(e, f"({_wrapped(right)} @ {_wrapped(left)})")
            yield _place(e, f"({left.span.text}.T @ {_wrapped(right)})")
        case tree.Compare((op,), (left, right)):
            yield _place(e, f"{left.span.text} {rng.choice(_OTHER[op])} {right.span.text}")
            yield _place(e, f"{left.span.text} {op} {right.span.text} + 1")
        case tree.Sum(binders):
            for binder in binders:
                change = rng.choice(["+ 1", "- 1", "// 2"])
                yield _place(binder.extent, f"({binder.extent.span.text}) {change}")
        case tree.Permute(value, name, inverse):
            yield _place(e, f"permute({value.span.text}, {name if inverse else f'inverse({name})'})")
            yield _place(e, _wrapped(value))
        case _:
            pass
    if role == "value":
        yield _place(e, f"(conj {here})")
        yield _place(e, f"({here} << {rng.choice(['1', '2', *names['size'][:1]])})")
        yield _place(e, f"(-{here})")
        yield _place(e, f"([{rng.choice(['slot', *names['digit']])} >= 1] * {here})")


def _edits(rng: Random, program: tree.Program) -> Iterator[_Edit]:
    """Edits that may change the meaning."""
    names: dict[str, list[str]] = {
        "size": [],
        "digit": [],
        "family": [],
        "tensor": [],
        "perm": [],
        "loop": [],
    }
    for statement in program.statements:
        match statement:
            case tree.Header(_, sizes):
                names["size"] += [s.name for s in sizes]
            case tree.Let(name):
                names["size"].append(name)
            case tree.Axes(_, binders):
                names["digit"] += [b.name for b in binders]
            case tree.Declare(_, tensors):
                names["tensor"] += [t.name for t in tensors]
            case tree.Define(_, name):
                names["family"].append(name)
            case tree.DefinePermutation(name):
                names["perm"].append(name)
            case _:
                pass
    for statement in program.statements:
        if isinstance(statement, tree.Define):
            names["loop"] = [b.name for b in statement.binders]
        if isinstance(statement, tree.Axes) and len(statement.binders) > 1:
            texts = [b.span.text for b in statement.binders]
            yield _Edit(
                statement.binders[0].span.start,
                statement.binders[-1].span.end,
                ", ".join(rng.sample(texts, len(texts))),
            )
        if isinstance(statement, tree.Output):
            for index in statement.indices:
                yield _place(index, f"{index.span.text} {rng.choice('+-')} 1")
            yield _place(statement, f"{statement.span.text}\n{statement.span.text}")
            if statement.where is None:
                yield _place(statement, f"{statement.span.text} where {_random_condition(rng, program)}")
        for role, root in _roots(statement):
            for kind, node in _nodes(role, root):
                yield from _node_edits(rng, kind, node, names)


def _claims(rng: Random, program: tree.Program) -> Iterator[_Edit]:
    """Claims behind families. Most say of all members and slots, or of some, what their bodies say."""
    defined: list[tree.Define] = []
    for statement in program.statements:
        if not isinstance(statement, tree.Define):
            continue
        defined.append(statement)
        about = statement if rng.random() < 0.8 else rng.choice(defined)
        body, values = about.body.span.text, []
        for binder in about.binders:
            extent = f"({binder.extent.span.text})"
            other = rng.choice([b.name for b in about.binders])
            value = rng.choice(
                [binder.name] * 5
                + ["0", f"{extent} - 1", other, f"({other} + 1) % {extent}", f"{extent} - 1 - {other}"]
            )
            values.append(value)
        body = _substituted(body, {b.name: v for b, v in zip(about.binders, values, strict=True)})
        target = about.name + (f"[{', '.join(values)}]" if values else "")
        match rng.choice(["body", "body", "same", "itself", "later"]):
            case "same" if values == [b.name for b in about.binders]:
                body = _same(rng, program, about.body)
            case "itself":
                k = rng.randint(1, 3)
                body = rng.choice(
                    [
                        f"{target} << {k} >> {k}",
                        f"{target} << slots",
                        f"conj {target}",
                        f"2*{target} - {target}",
                    ]
                )
            case "later" if not statement.binders:
                body = f"{statement.name} + ({body}) - {statement.name}"
            case _:
                pass
        where = f" where {_random_condition(rng, program)}" if rng.random() < 0.4 else ""
        yield _place(statement, f"{statement.span.text}\nclaim {target} == {body}{where}")


_Kind = Callable[[Random, tree.Program], Iterator[_Edit]]


def _edited(rng: Random, text: str, sizes: Mapping[str, int], kind: _Kind) -> str:
    """The text with one random edit that leaves it a program, or as it is when none of five does."""
    program = _parsed(text)
    if program is None:
        return text
    edits = list(kind(rng, program))
    for _ in range(5):
        if not edits:
            break
        new = _apply(text, rng.choice(edits))
        if len(new) <= MAX_TEXT and _binds(new, sizes):
            return new
    return text


def mutant(rng: Random, text: str, sizes: Mapping[str, int]) -> str:
    """A program with one edit that may change its meaning, or as it is where none was found that binds."""
    return _edited(rng, text, sizes, _edits)


def rewritten(rng: Random, text: str, sizes: Mapping[str, int]) -> str:
    """A program with one edit that keeps its meaning."""
    return _edited(rng, text, sizes, _rewrites)


def _attempt(rng: Random) -> tuple[str, dict[str, int]] | None:
    draft = _Draft(rng)
    rng.choice(_SCHEMES)(draft)
    text, sizes = draft.text(), dict(draft.sizes)
    if not _binds(text, sizes):
        return None
    for _ in range(rng.choice([0, 0, 1, 1, 2, 3])):
        text = rewritten(rng, text, sizes)
    for _ in range(rng.choice([0, 0, 0, 1, 1, 2])):
        text = _edited(rng, text, sizes, _claims)
    if rng.random() < EDITED:
        for _ in range(rng.choice([1, 1, 1, 2, 3])):
            text = mutant(rng, text, sizes)
    return text, sizes


def random_program(rng: Random) -> tuple[str, dict[str, int]]:
    """The text of a program and its sizes, with which it binds."""
    while True:
        found = _attempt(rng)
        if found is not None:
            return found


@st.composite
def programs(draw: st.DrawFn) -> tuple[str, dict[str, int]]:
    """``random_program`` as a strategy."""
    return random_program(draw(st.randoms(use_true_random=False)))
