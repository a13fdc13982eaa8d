"""Integer expressions and conditions of a program, as texts that isl and Python read."""

# fmt: off
from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product
from math import prod
from typing import Any

from lark import Tree

from .reader import Rejected, need
from .terms import MAX_INDEX, MAX_SIZE, MAX_TERMS, MAX_TEXT, Extents, Int, arith, every, never, number, variable, within

Env = dict[str, Int]  # what the variables of a statement are

def unfit(what: str, e: Any) -> Rejected:
    return Rejected(f"{what} is needed where '{' '.join(e.scan_values(bool))}' stands", "SL703", 1)

def call(name: str, args: list[Int]) -> Int:
    """``min``, ``max``, ``log2``, ``**`` or ``^``, of constants, or as a text of sums, floors, ``min`` and ``max``."""
    low, used = args[0].low, frozenset[tuple[str, int]]().union(*(a.used for a in args))
    if name in ("min", "max"):
        best = {"min": min, "max": max}[name]
        bounds, text = (best(a.low for a in args), best(a.high for a in args)), args[0].text
        for a in args[1:]: text = f"{name}({text}, {a})"
    elif name == "log2":
        need(len(args) == 1 and not used and low > 0 and low & (low - 1) == 0, f"log2 of {args[0]} is not whole")
        bounds, text = (low.bit_length() - 1,) * 2, ""
    elif name == "**":
        base, exponent = args
        need(exponent.low >= 0 and exponent.high <= 62, f"the power {base} ** {exponent}")
        exponents = range(exponent.low, exponent.high + 1)
        ends = [n**e for e in exponents for n in (low, base.high, 0) if low <= n <= base.high]
        powers = [f"({' * '.join(['1', *[str(base)] * e])})" if base.used else str(low**e) for e in exponents]
        if exponent.used: powers = [f"{n} * max(0, 1 - max({exponent} - {e}, {e} - {exponent}))"
                                    for e, n in zip(exponents, powers, strict=True)]
        bounds, text = (min(ends), max(ends)), f"({' + '.join(powers)})"
    else:
        bad = name != "^" or any(a.low < 0 or a.high > MAX_SIZE for a in args)
        need(not bad, f"'{name}' is not known, or is of what may be negative")
        bits = range(max(a.high for a in args).bit_length())
        parts = (f"{1 << i} * ((floord({args[0]}, {1 << i}) + floord({args[1]}, {1 << i})) % 2)" for i in bits)
        bounds = (0, (1 << len(bits)) - 1) if used else (low ^ args[1].low,) * 2
        text = f"({' + '.join(['0', *parts])})"
    limit = MAX_INDEX if used else MAX_SIZE
    need(max(-bounds[0], bounds[1]) <= limit and len(text) <= MAX_TEXT, f"an integer is too large: {name}")
    return Int(text, *bounds, used) if used else number(bounds[0])

def chooses(body: Any, variables: Any, families: Any = ()) -> bool:
    """Whether a choice or the exponent of a value depends on some variables (None: on any), or one of some families is
    mentioned."""
    tests = [*(n.children[1] for n in body.iter_subtrees() if n.data == "choice"), *exponents(body)]
    by = [str(t) for test in tests for t in test.scan_values(bool)]
    return (bool(by) if variables is None else not {*by}.isdisjoint(variables)) or any(
        n.data == "name" and n.children[0] in families for n in body.iter_subtrees())

def exponents(e: Any) -> Iterator[Any]:
    """What values are raised to."""
    match e.data, e.children:
        case ("index" | "bracket"), _: return
        case "binary", [a, ("<<" | ">>" | "**") as op, b]: parts, own = [a], [b] if op == "**" else []
        case "sum", [*_, body]: parts, own = [body], []
        case "choice", [yes, _, no]: parts, own = [yes, no], []
        case _: parts, own = [c for c in e.children if isinstance(c, Tree)], []
    yield from own
    for part in parts: yield from exponents(part)

def instead(env: Env, e: Any) -> Any:
    """An expression with numbers in the place of variables."""
    if not isinstance(e, Tree): return e
    if e.data == "name" and (name := str(e.children[0])) in env: return Tree("number", [str(env[name].low)])
    return Tree(e.data, [instead(env, child) for child in e.children])

def points(extents: Extents) -> Iterator[Env]:
    """Values of variables, the last running fastest."""
    need(prod(n for _, n in extents) <= MAX_TERMS, "what chooses is written out too often")
    for values in product(*(range(n) for _, n in extents)):
        yield {name: number(v) for (name, _), v in zip(extents, values, strict=True)}

def compared(op: str, a: Int, b: Int) -> Int:
    """1 where a comparison holds, and 0 elsewhere."""
    none, one, up, down = number(0), number(1), arith("-", b, a), arith("-", a, b)
    match op:
        case "<": return call("min", [one, call("max", [none, up])])
        case ">": return compared("<", b, a)
        case "!=": return call("min", [one, call("max", [up, down])])
    return arith("-", one, compared({"<=": ">", ">=": "<", "==": "!="}[op], a, b))

def pick(one: Int, yes: Int, no: Int) -> Int:
    """``yes`` where ``one`` is 1, ``no`` where it is 0: each counts from its least value on, and up to 0 elsewhere."""
    total = number(0)
    for way, e in ((one, yes), (arith("-", number(1), one), no)):
        least, span = number(e.low), number(e.high - e.low)
        rise = call("min", [arith("-", e, least), arith("*", span, way)])
        total = arith("+", total, arith("+", arith("*", least, way), rise))
    return Int(total.text, min(yes.low, no.low), max(yes.high, no.high), total.used)

class Integers:
    """What stands in indices. ``names`` are (kind, meaning); ``here`` is the slot, made of ``digits``."""
    here: Int
    digits: Extents
    names: dict[str, tuple[str, Any]]

    def kind(self, name: str) -> str:
        return self.names.get(name, ("unknown",))[0]

    def get(self, name: str, *kinds: str) -> Any:
        need(self.kind(name) in kinds, f"'{name}' is {self.kind(name)} here, and not {' or '.join(kinds)}")
        return self.names[name][1]

    # integers and conditions: ``slot`` is None where nothing may depend on it

    def integer(self, e: Any, env: Env, slot: Int | None) -> Int:
        match e.data, e.children:
            case "number", [n] if n[-1] != "i" and (value := Fraction(n)) <= MAX_SIZE and value.denominator == 1:
                return number(int(value))
            case "sign", [_, inner]: return arith("-", number(0), self.integer(inner, env, slot))
            case "binary", [a, ("+" | "-" | "*" | "/" | "//" | "%") as op, b]:
                return arith(op, self.integer(a, env, slot), self.integer(b, env, slot))
            case "binary" | "xor", [a, ("**" | "^") as op, b]:
                return call(op, [self.integer(i, env, slot) for i in (a, b)])
            case "call", [name, *args]: return call(name, [self.integer(i, env, slot) for i in args])
            case "choice", [yes, test, no]:
                one = self.indicator(test, env, slot)
                if not one.used: return self.integer(yes if one.low else no, env, slot)
                return pick(one, self.integer(yes, env, slot), self.integer(no, env, slot))
            case "name", [name] if name in env: return env[name]
            case "name", ["slot"] if slot: return slot
            case "name", [name]:
                value = self.get(name, *(["size", "digit"] if slot else ["size"]))
                if isinstance(value, int): return number(value)
                if slot == self.here and (name, value[0]) in self.digits: return variable(f"{name}_0", value[0])
                return arith("%", arith("//", slot or self.here, number(value[1])), number(value[0]))
        raise unfit("an integer", e)

    def constant(self, e: Any) -> int:
        return self.integer(e, {}, None).low

    def condition(self, e: Any, env: Env, slot: Int | None) -> str:
        match e.data, e.children:
            case "either", [a, b]: return f"({self.condition(a, env, slot)} or {self.condition(b, env, slot)})"
            case "both", [a, b]: return f"({self.condition(a, env, slot)} and {self.condition(b, env, slot)})"
            case "negate", [inner]: return f"(not {self.condition(inner, env, slot)})"
            case "compare", [*parts]:
                values = [self.integer(part, env, slot) for part in parts[::2]]
                triples = zip(values, parts[1::2], values[1:], strict=False)
                return every(f"({a} {op.replace('==', '=')} {b})" for a, op, b in triples)
        raise unfit("a condition", e)

    def indicator(self, e: Any, env: Env, slot: Int | None) -> Int:
        """1 where a condition holds, and 0 elsewhere."""
        match e.data, e.children:
            case "either", [a, b]: return call("max", [self.indicator(i, env, slot) for i in (a, b)])
            case "both", [a, b]: return call("min", [self.indicator(i, env, slot) for i in (a, b)])
            case "negate", [inner]: return arith("-", number(1), self.indicator(inner, env, slot))
            case "compare", [*parts]:
                values = [self.integer(part, env, slot) for part in parts[::2]]
                triples = zip(values, parts[1::2], values[1:], strict=False)
                return call("min", [number(1), *(compared(op, a, b) for a, op, b in triples)])
        raise unfit("a condition", e)

    def holds(self, e: Any, env: Env) -> bool:
        """Which way a choice of values goes: nothing in its condition may vary."""
        one = self.indicator(e, env, None)
        need(not one.used, f"a choice depends on {', '.join(sorted(name for name, _ in one.used))}")
        return bool(one.low)

    def inside(self, at: list[Int], shape: Sequence[int]) -> None:
        """Each index lies between 0 and its extent, whatever the variables in it are."""
        need(len(at) == len(shape), f"the indices are {len(at)}, not {len(shape)}")
        for i, n in zip(at, shape, strict=True):
            stays = (i.low >= 0 and i.high < n) or never(f"(not {within([i], [n])})", [*i.used])
            need(stays, f"an index leaves 0 to {n - 1}: {i}")
