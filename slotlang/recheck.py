"""Re-checks a proof from its certificate: ``python slotlang/recheck.py FILE``. It imports nothing of slotlang.

It parses the program's text by the grammar and expands both sides of every claim and output into terms of its own: the
certificate's must be these. Then isl shows that the coefficients of both sides agree on the certificate's regions, and
that these hold every product; or all products at all slots are added up here. Trusted are this file, the grammar, lark
and isl with its Python binding. Texts of indices and conditions, ``((h_0 + q_3) % 8)``, are read by isl and Python.
"""

# fmt: off
from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import islpy as isl
from lark import Lark, Token, Transformer

FORMAT, VERSION = "slotlang certificate", 1
MAX_BYTES, MAX_TEXT, MAX_TERMS, MAX_PRODUCTS = 1 << 24, 1 << 16, 4096, 1 << 22
OPERATIONS = 50_000_000  # of isl, for one goal: some seconds
Index = int | str
Extents = list[tuple[str, int]]  # of variables, each from 0 to below its extent

class Rejected(Exception):
    """Why a certificate proves nothing, a diagnostic's code, and an exit status."""

def need(holds: object, message: str) -> None:
    if not holds: raise Rejected(message, "SL703", 1)

def arith(op: str, a: Index, b: Index) -> Index:
    need(len(f"{a}{b}") < MAX_TEXT and (op in "+-*" or (isinstance(b, int) and b > 0)), f"{op} can't be done")
    if isinstance(a, str) or isinstance(b, str):
        need(op != "/", f"{a} / {b} is not made of sizes")
        return f"floord({a}, {b})" if op == "//" else f"({a} {op} {b})"
    need(op != "/" or a % b == 0, f"{a} is not a multiple of {b}")
    return {"+": a + b, "-": a - b, "*": a * b, "%": b and a % b}.get(op, b and a // b)

def every(conditions: Iterable[str]) -> str:
    return f"({' and '.join(['(0 = 0)', *conditions])})"

def within(indices: Sequence[Index], extents: Sequence[int]) -> str:
    return every(f"(0 <= {i}) and ({i} < {n})" for i, n in zip(indices, extents, strict=True))

def function(text: str, variables: Iterable[str]) -> Callable[..., Any]:
    python = f"lambda {', '.join(variables)}: {text}".replace(" = ", " == ").replace("floord(", "int.__floordiv__(")
    return eval(python, {"__builtins__": {}, "int": int})  # type: ignore[no-any-return]

@dataclass(frozen=True)
class Term:
    """Coefficient * scalars * reads, summed over ``loops`` where ``where`` holds; there ``inside`` has to hold too."""
    re: Fraction = Fraction(1)
    im: Fraction = Fraction(0)
    scalars: tuple[str, ...] = ()
    loops: tuple[tuple[str, int], ...] = ()
    where: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()
    reads: tuple[tuple[str, tuple[Index, ...]], ...] = ()

    def __mul__(self, o: Term) -> Term:
        re, im = self.re * o.re - self.im * o.im, self.re * o.im + self.im * o.re
        reads = sorted(self.reads + o.reads, key=lambda r: r[0])
        lists = (self.loops + o.loops, self.where + o.where, self.inside + o.inside, tuple(reads))
        return Term(re, im, tuple(sorted(self.scalars + o.scalars)), *lists)

Terms = list[Term]
Value = tuple[tuple[int, ...], Callable[[Sequence[Index]], Terms]]  # shape, empty for a number, and elements

def times(a: Terms, b: Terms) -> Terms:
    need(len(a) * len(b) <= MAX_TERMS, "there are too many terms")
    return [x * y for x in a for y in b]

class Program:
    """A program's text at its sizes. Claims and outputs are (family, indices, bare names, where, what they say)."""
    def __init__(self, text: str, sizes: dict[str, int]) -> None:
        self.sizes, self.slots, self.fresh, self.here = sizes, 0, 0, ""
        self.names: dict[str, tuple[str, Any]] = {}
        self.claims, self.outputs, self.digits = list[Any](), list[Any](), Extents()
        self.theorems: dict[str, Value] = {}
        grammar = next(f for p in Path(__file__).resolve().parents if (f := p / "grammar/slot.lark").is_file())
        inline: Any = type("Groups", (Transformer,), {"group": lambda _, parts: parts[0]})()
        lark = Lark(grammar.read_text(), parser="lalr", start="statement", maybe_placeholders=True, transformer=inline)
        chunk, first = "", True
        for line in re.sub(r"#[^\n]*", "", text).split("\n"):
            chunk = f"{chunk} {line}".lstrip()
            if chunk and len(re.findall(r"[(\[]", chunk)) <= len(re.findall(r"[)\]]", chunk)):
                statement: Any = lark.parse(chunk).children[0]
                need(first == (statement.data == "program"), "a program starts with its header and has one")
                self.state(statement.data, *statement.children)
                chunk, first = "", False
        need(not chunk and self.theorems and {s[0] for *_, s in self.outputs} == self.theorems.keys(), "no theorem")

    def get(self, name: str, *kinds: str) -> Any:
        need(self.names.get(name, "?")[0] in kinds, f"'{name}' is no {' or '.join(kinds)} here")
        return self.names[name][1]

    def declare(self, name: str, kind: str, meaning: Any = None) -> None:
        need(name not in self.names and name != "slot", f"'{name}' is declared twice")
        self.names[str(name)] = (kind, meaning)
        if (name, kind) == ("slots", "size"): self.fix_slots([("slot", meaning)])

    def fix_slots(self, digits: Extents) -> None:
        slots = prod(extent for _, extent in digits)
        need(self.slots in (0, slots) and slots > 0, f"there can't be {slots} slots")
        if self.slots == 0 or self.digits == [("slot", slots)]:
            self.slots, self.digits, self.here = slots, digits, "0"
            for name, extent in digits: self.here = f"({self.here} * {extent} + {name}_0)"

    def constant(self, e: Any) -> int:
        return int(f"{self.text(e, {}, None)}")  # fails for what is no constant

    def extents(self, binders: Iterable[Any], env: dict[str, Index]) -> Extents:
        found = {str(b.children[0]): self.constant(b.children[2]) for b in binders if b}
        need(not found.keys() & {*env, *self.names, "slot"} and min(found.values(), default=1) > 0, "a wrong variable")
        return list(found.items())

    def state(self, kind: str, *parts: Any) -> None:
        """Take in one statement."""
        match kind, parts:
            case "program", [_, *sizes]:
                need([s.children[0] for s in sizes if s] == [*self.sizes], "the sizes are not the program's")
                need({*map(type, self.sizes.values())} <= {int}, "a size is no integer")
                for name, value in self.sizes.items(): self.declare(name, "size", value)
            case "let", [name, e]: self.declare(name, "size", self.constant(e))
            case "require", [e]: need(function(self.text(e, {}, None), [])(), "a requirement does not hold")
            case "scalar", names:
                for name in names: self.declare(name, "scalar")
            case "input" | "weight", _:
                for name, *dims, sparse in (tensor.children for tensor in parts):
                    indices = [str(d.children[0].children[0] if d.data == "compare" else i) for i, d in enumerate(dims)]
                    shape = [self.constant(d.children[2] if d.data == "compare" else d) for d in dims]
                    fine = min(shape) > 0 and len({*indices} - self.names.keys()) == len(dims)
                    need(fine and (kind == "weight" or not sparse), f"'{name}' can't be declared so")
                    self.declare(name, "tensor", (tuple(shape), indices, sparse and sparse.children[0]))
            case "axes", [_, *binders]:
                self.fix_slots(digits := self.extents(binders, {}))
                for i, (name, extent) in enumerate(digits):
                    self.declare(name, "digit", (extent, prod(n for _, n in digits[i + 1 :])))
            case "cipher" | "plain" | "compute", [name, family, body]:
                self.declare(name, "family", (self.extents(family.children if family else [], {}), body))
            case "perm", [name, form]: self.declare(name, "perm", self.permutation(form))
            case "claim", [e, _, value, where]: self.claims.append((*self.spoken_of(e), where, value))
            case "output", [name, *places, e, where]:
                if all(name != said[0] for *_, said in self.outputs): self.declare(name, "output")
                part, e = (e.children[0], e.children[1]) if e.data == "part" else ("", e)
                self.outputs.append((*self.spoken_of(e), where, (str(name), places, part)))
            case "prove", [name, _, e]:
                need(name not in self.theorems, f"'{name}' is proved twice")
                self.theorems[str(name)] = self.value(e, {}, None, 0)
            case _: raise Rejected(f"{kind} is no statement", "SL703", 1)

    def spoken_of(self, e: Any) -> tuple[str, list[Any], Extents]:
        """A family, the indices of its member, and the bare new names among them, which run over all indices."""
        base, *indices = e.children[:-1] if e.data == "index" else [e]
        places = [*zip(indices, self.get(base.children[0], "family")[0], strict=True)][::-1]
        bare = {str(i.children[0]): n for i, (_, n) in places if i.data == "name"}
        return str(base.children[0]), indices, [(b, n) for b, n in bare.items() if b not in {*self.names, "slot"}][::-1]

    def permutation(self, form: Any) -> Callable[[Index, Index], str]:
        """The condition that a permutation takes one slot to another."""
        need(self.slots <= 1 << 20, "a permutation has up to 2^20 slots")
        if form.data == "cycles":
            cycles = [[self.constant(e) for e in cycle.children] for cycle in form.children]
            points = [s for cycle in cycles for s in cycle]
            need(len({*points} & {*range(self.slots)}) == len(points), "a cycle leaves the slots or meets another")
            moves = [move for c in cycles for move in zip(c, c[1:] + c[:1], strict=True)]
            return lambda s, t: "({})".format(" or ".join([
                *(f"(({s} = {a}) and ({t} = {b}))" for a, b in moves),
                every([f"({s} = {t})", *(f"({s} != {a})" for a in points)])]))
        def to(slot: Index) -> Index:
            result: Index = 0 if form.data == "digits" else self.text(form.children[1], {}, slot)
            names = {t for t in form.children if form.data == "digits" and isinstance(t, Token)}
            for e in form.children[len(names):] if names else ():
                [name] = {*e.scan_values(lambda t: t in names)}
                result = arith("+", arith("*", result, self.get(name, "digit")[0]), self.text(e, {}, slot))
            return result
        need({*map(function(f"{to('s')}", ["s"]), range(self.slots))} == {*range(self.slots)}, "no permutation")
        return lambda s, t: f"({to(s)} = {t})"

    def named(self, extents: Extents) -> tuple[tuple[tuple[str, int], ...], dict[str, Index]]:
        """Variables under names that nothing else has."""
        self.fresh += 1
        new: dict[str, Index] = {name: f"{name}_{self.fresh}" for name, _ in extents}
        return tuple((str(new[name]), extent) for name, extent in extents), new

    def text(self, e: Any, env: dict[str, Index], slot: Index | None) -> Any:
        """An integer, or the text of one or of a condition; ``slot`` is None where nothing may depend on it."""
        def go(inner: Any) -> Any: return self.text(inner, env, slot)
        match e.data, e.children:
            case "number", [n] if n.isdigit(): return int(n)
            case "sign", [sign, inner]: return arith(sign, 0, go(inner))
            case "binary", [a, ("+" | "-" | "*" | "/" | "//" | "%") as op, b]: return arith(op, go(a), go(b))
            case "either" | "both", [a, b]: return f"({go(a)} {'or' if e.data == 'either' else 'and'} {go(b)})"
            case "negate", [inner]: return f"(not {go(inner)})"
            case "compare", [*parts]:
                values, ops = [*map(go, parts[::2])], [op.replace("==", "=") for op in parts[1::2]]
                return every(f"({a} {op} {b})" for a, op, b in zip(values, ops, values[1:], strict=False))
            case "name", [name] if name in env: return env[name]
            case "name", ["slot"] if slot is not None: return slot
            case "name", [name]:
                value = self.get(name, "size", *(["digit"] if slot is not None else []))
                if isinstance(value, int): return value
                if slot == self.here and (name, value[0]) in self.digits: return f"{name}_0"
                return arith("%", arith("//", slot or 0, value[1]), value[0])
        raise Rejected(f"{e.data} is no integer and no condition", "SL703", 1)

    def value(self, e: Any, env: dict[str, Index], slot: Index | None, known: int) -> Value:
        """A value at ``slot``, where the first ``known`` claims stand for what they speak of."""
        def go(inner: Any) -> Value: return self.value(inner, env, slot, known)
        match e.data, e.children:
            case "number", [n]:
                return (), lambda _: [Term(Fraction(), Fraction(n[:-1])) if n[-1] == "i" else Term(Fraction(n))]
            case "bracket", [inner]: return (), lambda _: [Term(where=(str(self.text(inner, env, slot)),))]
            case "name", [name]:
                kind, meaning = self.names.get(name, ("", None))
                if kind == "size": return (), lambda _: [Term(Fraction(meaning))]
                if kind == "scalar": return (), lambda _: [Term(scalars=(str(name),))]
                if kind == "family": return (), lambda _: self.member(name, [], slot, known, known)
                shape, indices, zeros = self.get(name, "tensor")
                def read(at: Sequence[Index]) -> Terms:
                    env = dict(zip(indices, at, strict=True))
                    where = (str(self.text(zeros, env, None)),) if zeros else ()
                    return [Term(where=where, reads=((str(name), tuple(at)),))]
                return shape, read
            case "index", [base, *indices, padded]:
                if base.data == "name" and self.names.get(base.children[0], "?")[0] == "family" and not padded:
                    at = [self.text(i, env, None) for i in indices]
                    return (), lambda _: self.member(base.children[0], at, slot, known, known)
                (shape, f), at = self.value(base, {}, None, 0), [self.text(i, env, slot) for i in indices]
                inside = (within(at, shape),)
                return (), lambda _: times([Term(where=inside) if padded else Term(inside=inside)], f(at))
            case "part", ["conj", inner]: return (), lambda at: [replace(t, im=-t.im) for t in go(inner)[1](at)]
            case "sign", [sign, inner]:
                return (v := go(inner))[0], lambda at: times([Term(Fraction(f"{sign}1"))], v[1](at))
            case "attribute", [inner, "T"]: return (v := go(inner))[0][::-1], lambda at: v[1](at[::-1])
            case "sum", [*binders, _, body]:
                loops, new = self.named(self.extents(binders, env))
                return (), lambda at: times([Term(loops=loops)], self.value(body, env | new, slot, known)[1](at))
            case "permute", [inner, way] if slot is not None:
                link, ((u, n),) = self.get(way.children[0], "perm"), self.named([("u", self.slots)])[0]
                moved = Term(loops=((u, n),), where=(link(*((u, slot) if way.data == "forward" else (slot, u))),))
                return (), lambda at: times([moved], self.value(inner, env, u, known)[1](at))
            case "binary", [a, ("<<" | ">>") as op, b] if slot is not None:
                step = arith("+" if op == "<<" else "-", slot, self.text(b, env, None))
                return self.value(a, env, arith("%", step, self.slots), known)
            case "binary", [a, "/", b]:
                (s, f), divisors = go(a), go(b)[1](())
                need(all(d == Term(d.re) for d in divisors), "the right side of / is no real constant")
                return s, lambda at: times([Term(1 / sum((d.re for d in divisors), Fraction()))], f(at))
            case "binary", [a, "@", b]:
                (s, f), (t, g) = go(a), go(b)
                need(s and t and s[-1] == t[0] and len(s) + len(t) in (3, 4), "shapes do not fit")
                (loop, new), k, shape = self.named([("m", t[0])]), len(s) - 1, s[:-1] + t[1:]
                m, over = [*new.values()], [Term(loops=loop)]
                return shape, lambda at: times(over, times(f([*at[:k], *m]), g([*m, *at[k:]])))
            case "binary", [a, ("+" | "-" | "*") as op, b]:
                (s, f), (t, g) = go(a), go(b)
                need(s == t if op != "*" else not (s and t), "shapes do not fit")
                if op != "*": return s, lambda at: f(at) + times([Term(Fraction(f"{op}1"))], g(at))
                return s or t, lambda at: times(f(at if s else ()), g(at if t else ()))
        raise Rejected(f"{e.data} is no value", "SL703", 1)

    def member(self, name: str, at: list[Index], slot: Index | None, known: int, top: int) -> Terms:
        """A member of a family by the last of the first ``top`` claims that speaks of it, else by its definition."""
        binders, body = self.get(name, "family")
        inside = [Term(inside=(within(at, [extent for _, extent in binders]),))]
        k = next((k for k in range(top)[::-1] if self.claims[k][0] == name), None)
        if k is None:
            return times(inside, self.value(body, dict(zip(dict(binders), at, strict=True)), slot, known)[1](()))
        _, places, bare, where, says = self.claims[k]
        env, conditions = dict[str, Index](), list[str]()
        for place, index in zip(places, at, strict=True):
            key = str(place.children[0])
            if place.data == "name" and key in dict(bare) and key not in env: env[key] = index
            else: conditions.append(f"({index} = {self.text(place, env, None)})")
        conditions += [str(self.text(where, env, slot))] if where else []
        claimed = times(inside, self.value(says, env, slot, k)[1](()))
        if not conditions: return claimed
        rest, there = self.member(name, at, slot, known, k), every(conditions)
        return times([Term(where=(there,))], claimed) + times([Term(where=(f"(not {there})",))], rest)

    def goals(self) -> Iterator[tuple[str, Extents, dict[str, Terms]]]:
        """What has to be equal, over which variables: claims, outputs, and that each element is carried once."""
        carried: dict[str, Terms] = {name: [] for name in self.theorems}
        for k, (family, indices, bare, where, says) in enumerate([*self.claims, *self.outputs]):
            (free, env), known = self.named(bare), min(k, len(self.claims))
            over = (*free, *((f"{name}_0", extent) for name, extent in self.digits))
            left = self.member(family, [self.text(i, env, None) for i in indices], self.here, known, known)
            only = [str(self.text(where, env, self.here))] if where else []
            if k < len(self.claims): name, right = f"claim {family}", self.value(says, env, self.here, known)[1](())
            else:
                (result, places, part), name = says, f"output {says[0]}"
                (shape, f), at = self.theorems[result], [self.text(i, env, self.here) for i in places]
                only, right = [*only, within(at, shape)], f(at)
                left = [replace(t, re={"re": t.re, "im": t.im}[part], im=Fraction()) for t in left] if part else left
                placed = (f"({i} = element{j}_)" for j, i in enumerate(at))
                carried[result].append(Term(loops=over, where=(*only, *placed)))
            both = {"left": left, "right": right}.items()
            yield name, [*over], {side: times([Term(where=tuple(only))], terms) for side, terms in both}
        for name, terms in carried.items():
            over = tuple((f"element{j}_", n) for j, n in enumerate(self.theorems[name][0]))
            yield f"{name} complete", [*over], {"left": terms, "right": [Term()]}

def image(context: isl.Context, over: Extents, t: Term) -> tuple[int, isl.Set]:
    """Where a term's products are, over the goal's variables: each is reached once, and counts so many times."""
    to, where = [n for n, _ in over] + [str(i) for _, at in t.reads for i in at], every(t.where)
    used = [loop for loop in t.loops if re.search(rf"\b{loop[0]}\b", f"{to} {where}")]
    whole, some = ([n for n, _ in [*over, *loops]] for loops in (t.loops, used))
    box = f"{within(whole, [n for _, n in [*over, *t.loops]])} and {where}"
    outside = f"{{ [{', '.join(whole)}] : {box} and not {every(t.inside)} }}"
    need(isl.Set.read_from_str(context, outside).is_empty(), "an index leaves its tensor or family")
    box = f"{within(some, [n for _, n in [*over, *used]])} and {where}"
    relation = isl.Map.read_from_str(context, f"{{ [{', '.join(some)}] -> [{', '.join(to)}] : {box} }}")
    need(relation.is_injective(), "a product is added up several times")
    return prod(n for _, n in t.loops) // prod(n for _, n in used), relation.range().compute_divs().coalesce()

def by_sets(over: Extents, sides: dict[str, Terms], regions: list[dict[str, Any]]) -> dict[str, Any]:
    """The regions are disjoint, hold all products of both sides, and the coefficients agree on each."""
    context = isl.Context()
    context.set_max_operations(OPERATIONS)
    found: dict[str, list[Any]] = {}
    for side, t in ((side, t) for side, terms in sides.items() for t in terms if t.re or t.im):
        key = json.dumps([t.scalars, [tensor for tensor, _ in t.reads]])
        n, points = image(context, over, t)
        found.setdefault(key, []).append((side, t.re * n, t.im * n, points))
    covered: dict[str, Any] = {}
    for region in regions:
        key, points = json.dumps([region["scalars"], region["tensors"]]), isl.Set.read_from_str(context, region["set"])
        need(len(region) == 4 and not points.is_empty() and key in found, "a region without products")
        need(key not in covered or points.is_disjoint(covered[key]), "two regions meet")
        covered[key], sums = covered.get(key, points) | points, {"left": [0, 0], "right": [0, 0]}
        for side, real, imaginary, held in found[key]:
            if not points.is_disjoint(held):
                need(points.is_subset(held), "a region holds products and others")
                sums[side] = [sums[side][0] + real, sums[side][1] + imaginary]
        need(all(region["coefficient"] == [*map(str, s)] for s in sums.values()), f"{region['set']}: {sums}")
    for key, held in ((key, part[-1]) for key, parts in found.items() for part in parts if not part[-1].is_empty()):
        need(key in covered and held.is_subset(covered[key]), "products outside all regions")
    return {"regions": regions}

def by_products(over: Extents, sides: dict[str, Terms]) -> dict[str, Any]:
    """Add up every product at every point; how many there are."""
    totals: dict[Any, Fraction] = {}
    for sign, t in ((1 if side == "left" else -1, t) for side, terms in sides.items() for t in terms):
        need(prod(n for _, n in [*over, *t.loops]) <= MAX_PRODUCTS, "there are too many products")
        at = "".join(f"({', '.join(map(str, [repr(tensor), *at]))}), " for tensor, at in t.reads)
        f = function(f"{every(t.where)} and ({every(t.inside)}, ({at}))", [n for n, _ in [*over, *t.loops]])
        for point in product(*(range(n) for _, n in [*over, *t.loops])):
            if read := f(*point):
                need(read[0], "an index leaves its tensor or family")
                key = (point[: len(over)], t.scalars, tuple(sorted(read[1])))
                for part, c in (("re", t.re), ("im", t.im)): totals[key, part] = totals.get((key, part), 0) + sign * c
    need(not any(totals.values()), "the two sides differ")
    return {"products": len(totals) // 2}

def certificate(text: str, sizes: dict[str, int], decide: Callable[[int, Extents, dict[str, Terms]], Any]) -> str:
    """The text of a certificate. ``decide`` gives a goal's "regions", or its number of "products"; it may reject."""
    goals: list[dict[str, Any]] = []
    for number, (name, over, sides) in enumerate(Program(text, sizes).goals()):
        terms = [{"side": side, "coefficient": [str(t.re), str(t.im)], "scalars": t.scalars, "loops": t.loops,
                  "reads": [f"{tensor}[{', '.join(map(str, at))}]" for tensor, at in t.reads],
                  "where": every(t.where), "inside": every(t.inside)} for side, ts in sides.items() for t in ts]
        goals.append({"goal": name, "variables": over, "terms": terms, **decide(number, over, sides)})
    method = "exact" if any("products" in goal for goal in goals) else "polyhedral"
    digest = hashlib.sha256(f"{text}\n{','.join(f'{name}={n}' for name, n in sizes.items())}".encode()).hexdigest()
    whole = {"format": FORMAT, "version": VERSION, "method": method, "program": text, "sizes": sizes, "sha256": digest}
    return json.dumps({**whole, "goals": goals}, indent=1) + "\n"

def recheck(data: bytes) -> list[str]:
    """The goals of a certificate that holds. Raises ``Rejected``."""
    try: found = json.loads(data.decode()) if len(data) <= MAX_BYTES else None
    except (ValueError, RecursionError): found = None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise Rejected("this is no certificate, or not all of one", "SL701", 2)
    if (version := json.dumps(found.get("version"))[:40]) != str(VERSION):
        raise Rejected(f"a certificate of version {version}; version {VERSION} is checked here", "SL702", 2)
    def decide(number: int, over: Extents, sides: dict[str, Terms]) -> dict[str, Any]:
        goal = found["goals"][number]
        return by_products(over, sides) if "products" in goal else by_sets(over, sides, goal["regions"])
    try: same = certificate(found["program"], found["sizes"], decide) == data.decode()
    except (Rejected, MemoryError): raise
    except Exception as problem: raise Rejected(f"{type(problem).__name__}: {problem}"[:300], "SL703", 1) from None
    need(same, "it is not what its program, sizes and regions make it")
    return [goal["goal"] for goal in found["goals"]]

if __name__ == "__main__":
    try: status, text = 0, "\n  proved  ".join(["holds", *recheck(Path(sys.argv[-1]).read_bytes())])
    except OSError as problem: status, text = 2, f"can't read it: {problem}"
    except Rejected as problem: status, text = problem.args[2], f"{problem.args[1]}: {problem.args[0]}"
    print(text)
    sys.exit(status)
