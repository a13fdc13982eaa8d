"""A program's statements, which keep the language's rules, and the terms of both sides of its claims and outputs.

The front end has the same rules. They are written anew here, so that nothing is called proved that is not a program.
"""

# fmt: off
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import partial, reduce
from math import prod
from typing import Any

from lark import Token

from .integers import Env, Integers, chooses, instead, points, unfit
from .reader import Rejected, need, statements
from .tensors import MAX_EXPONENT, MAX_FACTORS, MAX_POWER, TENSORS, Form, form, note, real, tensor
from .terms import MAX_SIZE, Extents, Int, Term, Terms, arith, every, function, number, times, variable, within

MODULUS_BITS = {1024: 27, 2048: 54, 4096: 109, 8192: 218, 16384: 438, 32768: 881}  # the standard's, by degree
MAX_TABLE, FAMILIES = 1 << 20, ("cipher", "plain", "compute")
UNREADABLE = {"cipher": {"weight", "scalar", *FAMILIES}, "plain": {"input", "cipher", "compute"}, "compute": {"input"}}
class Program(Integers):
    """A program's text at its sizes. ``names`` are (kind, meaning), claims and outputs (family, indices, bare names,
    condition, what they say). ``read`` is what a statement reads while it is taken in: rules are looked at then, and
    families are not expanded. It is None when all are in."""
    def __init__(self, text: str, sizes: dict[str, int]) -> None:
        self.name, self.sizes, self.slots, self.fresh, self.here = "", sizes, 0, 0, number(0)
        self.names: dict[str, tuple[str, Any]] = {}
        self.loops: set[str] = set()  # names of variables, which nothing else may have
        self.axes, self.claims, self.outputs, self.digits = list[list[str]](), list[Any](), list[Any](), Extents()
        self.theorems: dict[str, Form] = {}
        self.read: set[str] | None = None
        self.written_out: set[str] = set()  # families whose members differ by more than their index
        self.before: Any = None  # such a family while it is looked at, and the indices of the member
        for line, statement in statements(text):
            fresh, self.read = self.fresh, set()
            try:
                need((not self.name) == (statement.data == "program"), "a program starts with its header and has one")
                self.state(statement.data, *statement.children)
            except Rejected as problem: raise Rejected(f"line {line}: {problem.args[0]}", *problem.args[1:]) from None
            if statement.data != "prove": self.fresh = fresh  # variables of other statements are in no term yet
        self.read = None
        carried = {(name, len(at)) for *_, (name, at, _) in self.outputs}
        proved = {(name, len(shape)) for name, (shape, _) in self.theorems.items()}
        need(carried == proved != set(), f"outputs and theorems do not match: {carried}, {proved}")

    def free(self, name: str) -> None:
        need(name not in {*self.names, *self.loops, "slot"}, f"'{name}' is declared twice")

    def declare(self, name: str, kind: str, meaning: Any = None) -> None:
        self.free(name)
        self.names[str(name)] = (kind, meaning)
        if (name, kind) == ("slots", "size"):
            need(self.slots == 0, "the number of slots is known already")
            self.fix_slots([("slot", meaning)])

    def fix_slots(self, digits: Extents) -> None:
        slots = prod(extent for _, extent in digits)
        need(self.slots in (0, slots) and 1 <= slots <= MAX_SIZE, f"there can't be {slots} slots")
        if self.slots == 0 or self.digits == [("slot", slots)]:
            self.slots, self.digits, text = slots, digits, "0"
            for name, extent in digits: text = f"({text} * {extent} + {name}_0)"
            self.here = Int(text, 0, slots - 1, frozenset((f"{name}_0", n) for name, n in digits))

    def named(self, extents: Extents) -> tuple[tuple[tuple[str, int], ...], Env]:
        """Variables under names that nothing else has."""
        self.fresh += 1
        new = {name: variable(f"{name}_{self.fresh}", extent) for name, extent in extents}
        return tuple((v.text, v.high + 1) for v in new.values()), new

    def bound(self, extents: Extents, env: Env) -> Env:
        """The variables in ``env`` and those that a statement introduces."""
        for name, extent in extents:
            need(name not in env and extent > 0, f"'{name}' is a variable already, or runs over nothing")
            if name not in self.loops: self.free(name)
            self.loops.add(str(name))
            env = env | {name: variable(f"{name}_", extent)}
        return env

    def binders(self, binders: Any) -> Extents:
        return [(str(b.children[0]), self.constant(b.children[2])) for b in binders if b]

    # tensor expressions and values of slots

    def terms(self, e: Any, env: Env, slot: Any, known: int) -> Terms:
        """The terms of a value at ``slot``, where the first ``known`` claims stand for what they speak of; in theorems,
        where ``slot`` is None, nothing depends on it."""
        def go(inner: Any, slot: Any = slot) -> Terms: return self.terms(inner, env, slot, known)
        match e.data, e.children:
            case "number", [n] if n[-1] != "i": return [Term(Fraction(n))]
            case "number", [n] if slot: return [Term(Fraction(), Fraction(n[:-1]))]
            case "bracket", [inner]: return [Term(where=(self.condition(inner, env, slot),))]
            case "name", [name] if self.kind(name) in ("size", "scalar"): return form(self, e)[1](())
            case ("name" | "index"), _:
                base, *indices, padded = e.children if e.data == "index" else [e, None]
                kind = self.kind(name := base.children[0]) if base.data == "name" else ""
                if self.before and kind == "unknown" and name == self.before[0] and not padded:
                    at = [self.integer(i, env, None) for i in indices]
                    self.inside(at, [n for _, n in self.before[1]])
                    own = [i.low for i in self.before[2].values()]
                    stands = not any(i.used for i in at) and [i.low for i in at] < own
                    need(stands, f"'{name}' reads a member of itself that does not stand before")
                    return [Term(scalars=(note(self, name),))]
                if kind in FAMILIES and not padded:
                    at = [self.integer(i, env, None) for i in indices]
                    if self.read is None: return self.member(name, at, slot, known, known)
                    self.inside(at, [n for _, n in self.names[name][1][0]])
                    return [Term(scalars=(note(self, name),))]
                shape, f = tensor(self, name) if kind in TENSORS else form(self, base)
                at = [self.integer(i, env, slot) for i in indices]
                need(shape and len(at) == len(shape), f"the indices are {len(at)}, not {len(shape)}")
                if self.read is not None and not padded: self.inside(at, shape)
                inside = (within(at, shape),)
                return times([Term(where=inside) if padded else Term(inside=inside)], f(at))
            case "choice", [yes, test, no]: return go(yes if self.holds(test, env) else no)
            case "call", _: return form(self, e)[1](())
            case "part", ["conj", inner] if slot: return [replace(t, im=-t.im) for t in go(inner)]
            case "sign", [_, inner]: return times([Term(Fraction(-1))], go(inner))
            case "sum", [*binders, by, body]:
                extents = self.binders(binders)
                if self.read is not None: self.bound(extents, env)
                if by and by.children[1]:
                    given, least = self.constant(by.children[1]), 1 + (by.children[0] == "doubling")
                    need(given >= least, f"'by {by.children[0]}({given})' is not a way to add up terms")
                if chooses(body, dict(extents)):
                    need(not by or by.children[0] == "tree", "the terms of a sum that chooses are added up one by one")
                    return [t for at in points(extents) for t in self.terms(body, env | at, slot, known)]
                loops, new = self.named(extents)
                return times([Term(loops=loops)], self.terms(body, env | new, slot, known))
            case "permute", [inner, way] if slot:
                link, (loops, new) = self.get(way.children[0], "perm"), self.named([("u", self.slots)])
                there = link(*((new["u"], slot) if way.data == "forward" else (slot, new["u"])))
                return times([Term(loops=loops, where=(there,))], go(inner, new["u"]))
            case "binary", [a, ("<<" | ">>") as op, b] if slot:
                step = self.integer(b, env, None)
                if self.read is not None: return go(a)  # whatever the slot is
                return go(a, arith("%", arith("+" if op == "<<" else "-", slot, step), number(self.slots)))
            case "binary", [a, "/", b]: return times([Term(1 / real(self, b))], go(a))
            case "binary", [a, "**", b]:
                n, base = self.integer(b, env, None), go(a)
                most = MAX_EXPONENT if base == [Term(base[0].re)] else MAX_POWER
                need(not n.used and 0 <= n.low <= most, f"an exponent is a number between 0 and {most}")
                factors = n.low * max(len(t.reads) + len(t.scalars) for t in base)
                need(self.read is None or factors <= MAX_FACTORS, "this is a product of too many factors")
                # anew each time: sums in it need variables of their own
                return reduce(times, (go(a) for _ in range(n.low)), [Term(Fraction(1))])
            case "binary", [a, "*", b]: return times(go(a), go(b))
            case "binary", [a, ("+" | "-") as op, b]: return go(a) + times([Term(Fraction(f"{op}1"))], go(b))
            case "binary", [_, "@", _] if not (number_of := form(self, e))[0]: return number_of[1](())
        raise unfit("a value of a slot", e)

    def member(self, name: str, at: list[Int], slot: Int, known: int, top: int) -> Terms:
        """A member of a family by the last of the first ``top`` claims that speaks of it, else by its definition."""
        binders, body = self.names[name][1]
        inside = [Term(inside=(within(at, [n for _, n in binders]),))]
        # that they are inside is in the goal: bounds need not be wider
        at = [replace(i, low=max(i.low, 0), high=min(i.high, n - 1)) for i, (_, n) in zip(at, binders, strict=True)]
        k = next((k for k in range(top)[::-1] if self.claims[k][0] == name), None)
        if k is None:
            here = dict(zip(dict(binders), at, strict=True))
            vary = [j for j, i in enumerate(at) if i.used and name in self.written_out]
            if not vary: return times(inside, self.terms(body, here, slot, known))
            j = vary[0]
            cases = [number(v) for v in range(at[j].low, at[j].high + 1)]  # a member for each value
            return [t for v in cases for t in times([Term(where=(f"({at[j]} = {v})",))],
                    self.member(name, [*at[:j], v, *at[j + 1 :]], slot, known, top))]
        _, places, bare, where, says = self.claims[k]
        env, conditions = Env(), list[str]()
        for place, index in zip(places, at, strict=True):
            key = str(place.children[0])
            if place.data == "name" and key in dict(bare) and key not in env: env[key] = index
            else: conditions.append(f"({index} = {self.integer(place, env, None)})")
        conditions += [self.condition(where, env, slot)] if where else []
        claimed = times(inside, self.terms(says, env, slot, k))
        if not conditions: return claimed
        rest, there = self.member(name, at, slot, known, k), every(conditions)
        return times([Term(where=(there,))], claimed) + times([Term(where=(f"(not {there})",))], rest)

    # statements

    def state(self, kind: str, *parts: Any) -> None:
        """Take in one statement."""
        slot = variable("slot_", self.slots)
        match kind, parts:
            case "program", [name, *sizes]:
                self.name = str(name)
                need([s.children[0] for s in sizes if s] == [*self.sizes], "the sizes are not the program's")
                for size, value in self.sizes.items():
                    need(type(value) is int and 0 <= value <= MAX_SIZE, f"'{size}' can't be {value}")
                    self.declare(size, "size", value)
            case "let", [name, e]: self.declare(name, "size", self.constant(e))
            case "require", [e]: need(function(self.condition(e, {}, None), [])(), "a requirement does not hold")
            case "tensor_name", [name, e]:
                need(form(self, e)[0], "a tensor is needed, and this is a number")
                self.declare(name, "tensor", e)
            case "scalar", names:
                for name in names: self.declare(name, "scalar")
            case ("input" | "weight"), tensors:
                for tensor in tensors: self.declare_tensor(kind, *tensor.children)
            case "bound", [about, sign, limit]:
                (name, *places), norm = about.children, about.data == "norm"
                shape = self.get(name, *TENSORS)[0] if norm or self.kind(name) != "scalar" else ()
                numbers = {self.kind(token) for token in limit.scan_values(bool)} <= {"size", "unknown"}
                need(sign == "<=" and numbers and 1 <= real(self, limit) * 2**128 <= 2**256, "a bound is '<=' a number")
                at, free = [str(t) for t in places] or [":"], [str(t) for t in places if t != ":"]
                one = len(at) == len(shape) == len(free) + 1 == len({*free}) + 1
                need(one or not norm, f"a norm goes along one dimension of '{name}', and gives the others names")
                need(all(self.kind(i) in ("unknown", "digit") for i in free), "an index has a name of its own")
                about = (str(name), at.index(":") if norm else -1, real(self, limit))
                self.declare(f"norm of {name} along {about[1]}" if norm else f"|{name}|", "bound", about)
            case "parameters", settings:
                given = {str(s.children[0]): [*map(int, s.children[1:])] for s in settings}
                need({"degree", "primes", "scales"} <= {*given} and len(given) == len(settings), "no parameters")
                most, bits = MODULUS_BITS.get(given["degree"][0], 0), given["primes"]
                need(sum(bits) <= most and len(bits) > 1 and 18 <= min(bits) <= max(bits) <= 60, "not 128-bit security")
                self.declare("the parameters", "parameters", given)
            case "axes", [_, *binders]:
                self.fix_slots(digits := self.binders(binders))
                for i, (name, extent) in enumerate(digits):
                    need(extent > 0, f"'{name}' has no values")
                    self.declare(name, "digit", (extent, prod(n for _, n in digits[i + 1 :])))
                self.axes.append([name for name, _ in digits])
            case ("cipher" | "plain" | "compute"), [name, family, body]:
                need(self.slots, "the number of slots is not known yet")
                extents = self.binders(family.children if family else [])
                env = self.bound(extents, {})
                several = chooses(body, None, {name, *self.written_out})
                if several: self.written_out.add(str(name))
                # member by member where it chooses, or reads members that stand before
                for here in points(extents) if several else [env]:
                    self.read, self.before = set(), (str(name), extents, here) if several else None
                    self.terms(body, here, slot, 0)
                    kinds = {kind if other == name else self.kind(other) for other in self.read}
                    bad = kinds & UNREADABLE[kind]
                    need(not bad, f"{kind} '{name}' can't read {' or '.join(sorted(bad))}")
                    need(kind != "compute" or kinds & {"cipher", "compute"}, f"no ciphertext takes part in '{name}'")
                self.before = None
                self.declare(name, kind, (extents, body))
            case "perm", [name, moves]:
                need(0 < self.slots <= MAX_TABLE, "a permutation has up to 2^20 slots")
                self.declare(name, "perm", self.permutation(moves, slot))
            case "claim", [e, _, value, where]:
                env, (name, at, bare, *_) = self.spoken_of(e, where, slot)
                # a claim for each member, where they differ by more than their index
                for here in points(bare) if (several := chooses(value, dict(bare))) else [env]:
                    self.terms(value, here, slot, 0)
                    put = partial(instead, here if several else {})
                    spoken = name, [*map(put, at)], [] if several else bare, where and put(where)
                    self.claims.append((*spoken, put(value)))
            case "output", [name, *places, e, where]:
                places = [place for place in places if place]
                part, e = e.children if e.data == "part" and e.children[0] in ("re", "im") else ("", e)
                env, spoken = self.spoken_of(e, where, slot)
                need(self.kind(spoken[0]) != "plain", f"'{spoken[0]}' is not encrypted")
                for place in places: self.integer(place, env, slot)
                if self.kind(name) != "output" or name in self.loops: self.declare(name, "output")
                self.outputs.append((*spoken, (str(name), places, part)))
            case "prove", [name, family, _, e]:
                need(name not in self.theorems, f"'{name}' is proved twice")
                by = family or any(part.data in ("index", "sum", "bracket") for part in e.iter_subtrees())
                shape, f = self.by_elements(self.binders(family.children if family else []), e) if by else form(self, e)
                need(shape or any(t.reads for t in f(())), "a tensor is needed, and this is a number")
                self.theorems[str(name)] = shape, f

    def by_elements(self, extents: Extents, e: Any) -> Form:
        """What a theorem says of each element. A variable may have the name of a digit, which means nothing in it."""
        digits = {name: self.names.pop(name) for name in [*self.names] if self.kind(name) == "digit"}
        try: self.terms(e, self.bound(extents, {}), None, 0)
        finally: self.names |= digits
        self.loops -= digits.keys()
        kinds = {self.kind(name) for name in self.read or ()}
        need(kinds <= {"input", "weight", "scalar"}, "a theorem is about tensors")
        names = [name for name, _ in extents]
        return tuple(n for _, n in extents), lambda at: self.terms(e, dict(zip(names, at, strict=True)), None, 0)

    def declare_tensor(self, kind: str, name: str, *parts: Any) -> None:
        *dims, sparse = parts
        extents, shape = Extents(), list[int]()
        for i, dim in enumerate(dims):
            index, op, extent, *more = [*dim.children, None, None] if dim.data == "compare" else [dim, "", dim]
            named = op == "<" and not any(more) and index.data == "name"
            shape.append(self.constant(extent if named else dim))
            extents.append((str(index.children[0]) if named else f"#{i}", shape[-1]))
        need(min(shape) > 0, f"'{name}' has no elements")
        env, zeros = self.bound([(v, n) for v, n in extents if v[0] != "#"], {}), sparse and sparse.children[0]
        need(kind == "weight" or not sparse, f"'{name}' is encrypted, and its zeros can't be known")
        if zeros: self.condition(zeros, env, None)
        self.declare(name, kind, (tuple(shape), [v for v, _ in extents], zeros))

    def spoken_of(self, e: Any, where: Any, slot: Int) -> tuple[Env, tuple[Any, ...]]:
        """A member of a family that a claim or an output is about. Bare new names in it run over all indices."""
        base, *indices, padded = e.children if e.data == "index" else [e, None]
        if base.data != "name" or padded: raise unfit("a family or a member of one", e)
        extents, bare = self.get(base.children[0], *FAMILIES)[0], Extents()
        for index, (_, n) in zip(indices, extents, strict=False):
            new = index.data == "name" and index.children[0] not in {*self.names, *dict(bare), "slot"}
            if new: bare.append((str(index.children[0]), n))
        env = self.bound(bare, {})
        self.inside([self.integer(i, env, None) for i in indices], [n for _, n in extents])
        if where: self.condition(where, env, slot)
        return env, (str(base.children[0]), indices, bare, where)

    def permutation(self, form: Any, slot: Int) -> Callable[[Int, Int], str]:
        """The condition that a permutation takes one slot to another."""
        if form.data == "cycles":
            cycles = [[self.constant(e) for e in cycle.children] for cycle in form.children]
            points = [s for cycle in cycles for s in cycle]
            need(len({*points} & {*range(self.slots)}) == len(points), "a cycle leaves the slots or meets another")
            moves = [move for c in cycles for move in zip(c, c[1:] + c[:1], strict=True)]
            return lambda s, t: "({})".format(" or ".join([
                *(f"(({s} = {a}) and ({t} = {b}))" for a, b in moves),
                every([f"({s} = {t})", *(f"({s} != {a})" for a in points)])]))
        source = [str(t) for t in form.children if isinstance(t, Token) and t.type == "NAME"]
        targets, digits = [t for t in form.children if not isinstance(t, Token)], list[str]()
        if form.data == "digits":
            need(source in self.axes and len(source) == len(targets), "all digits of an axes are needed, in order")
            for target in targets:
                used = {str(t) for t in target.scan_values(lambda t: t == "slot" or self.kind(t) == "digit")}
                need(len(used) == 1 and used <= {*source}, "a target is made of one digit")
                digits += used
                self.inside([self.integer(target, {}, slot)], [self.names[digits[-1]][1][0]])
            need(len({*digits}) == len(digits), "a digit is used twice")
        else: need(source == ["slot"], "a permutation is of 'slot' or of digits")
        def to(slot: Int) -> Int:
            result = number(0) if digits else self.integer(targets[0], {}, slot)
            for digit, e in zip(digits, targets, strict=False):
                result = arith("+", arith("*", result, number(self.names[digit][1][0])), self.integer(e, {}, slot))
            return result
        moved = map(function(f"{to(slot)}", ["slot_"]), range(self.slots))
        need({*moved} == {*range(self.slots)}, "two slots meet, or one leaves the vector")
        return lambda s, t: f"({to(s)} = {t})"

    def goals(self) -> Iterator[tuple[str, Extents, dict[str, Terms]]]:
        """What has to be equal, over which variables: claims, outputs, and that each element is carried once."""
        carried: dict[str, Terms] = {name: [] for name in self.theorems}
        for k, (family, indices, bare, where, says) in enumerate([*self.claims, *self.outputs]):
            (free, env), known = self.named(bare), min(k, len(self.claims))
            over = (*free, *((f"{name}_0", extent) for name, extent in self.digits))
            left = self.member(family, [self.integer(i, env, None) for i in indices], self.here, known, known)
            only = [self.condition(where, env, self.here)] if where else []
            if k < len(self.claims): name, right = f"claim {family}", self.terms(says, env, self.here, known)
            else:
                (result, places, part), name, (shape, f) = says, f"output {says[0]}", self.theorems[says[0]]
                at = [self.integer(i, env, self.here) for i in places]
                only, right = [*only, within(at, shape)], f(at)
                left = [replace(t, re={"re": t.re, "im": t.im}[part], im=Fraction()) for t in left] if part else left
                placed = (f"({i} = element{j}_)" for j, i in enumerate(at))
                carried[result].append(Term(loops=over, where=(*only, *placed)))
            both = {"left": left, "right": right}.items()
            yield name, [*over], {side: times([Term(where=tuple(only))], terms) for side, terms in both}
        for name, terms in carried.items():
            over = tuple((f"element{j}_", n) for j, n in enumerate(self.theorems[name][0]))
            yield f"{name} complete", [*over], {"left": terms, "right": [Term()]}
