"""Where products of ciphertexts are relinearised: sums of products once, not once a product.

A product has three polynomials until it is relinearised. It can be added, multiplied with plaintexts and rescaled as it
is, so a sum of products is relinearised when it is complete, and a family of products that only sums read may be left
as it is. Where several sums add up the same products it takes fewer key switches to relinearise those.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

from slotlang.meaning.integers import Int, evaluate
from slotlang.meaning.program import Program
from slotlang.schedule import ops

MAX_NUMBERED = 1 << 16
"""Most operations executed for which equal ones are recognised when relinearisations are counted."""


@dataclass
class _Placement:
    """``opened``: families that are not relinearised. ``eager``: families in which products are relinearised one by
    one. ``sites``: operations of which the results are relinearised."""

    opened: frozenset[str]
    eager: frozenset[str]

    def __post_init__(self) -> None:
        self.sites: list[ops.Op] = []
        self._open: dict[ops.Op, bool] = {}

    def family(self, family: ops.CipherFamily) -> ops.Op:
        """The body with its relinearisations."""
        assert family.body is not None, "the family is computed"
        late = family.name not in self.eager
        return self.left(family.body, late) if family.name in self.opened else self.closed(family.body, late)

    def is_open(self, op: ops.Op) -> bool:
        """Whether the result has three polynomials unless something is relinearised."""
        known = self._open.get(op)
        if known is None:
            match op:
                case ops.Mul():
                    known = True
                case ops.Ref(name):
                    known = name in self.opened
                case ops.Neg() | ops.MulPlain() | ops.AddPlain() | ops.Add() | ops.Sum():
                    known = any(map(self.is_open, ops.children(op)))
                case _:
                    known = False
            self._open[op] = known
        return known

    def closed(self, op: ops.Op, late: bool) -> ops.Op:
        """With two polynomials."""
        if not self.is_open(op):
            return ops.rebuilt(op, lambda o: self.closed(o, late))
        match op:
            case ops.Mul() | ops.Ref():
                here = True
            case ops.Sum():
                here = late
            case ops.Add(operands):
                here = late and sum(self.is_open(o) for _, o in operands) > 1
            case _:
                # products with plaintexts cost less after it
                here = False
        if not here:
            return ops.rebuilt(op, lambda o: self.closed(o, late))
        self.sites.append(op)
        return ops.Relinearize(self.left(op, late))

    def left(self, op: ops.Op, late: bool) -> ops.Op:
        """With three polynomials, where it has them."""
        if not self.is_open(op) or isinstance(op, ops.Mul):
            return ops.rebuilt(op, lambda o: self.closed(o, late))
        return ops.rebuilt(op, lambda o: self.left(o, late))


class _Results:
    """The results of each operation, by number: equal ones have the same."""

    def __init__(self, families: Sequence[ops.CipherFamily], program: Program) -> None:
        self.sizes, self.slots = program.sizes, program.slots
        self.of: dict[ops.Op, set[int]] = defaultdict(set)
        self._members: dict[tuple[str, tuple[int, ...]], int] = {}
        self._numbers: dict[tuple[object, ...], int] = {}
        for family in families:
            for point in product(*(range(loop.size) for loop in family.loops)):
                env = {loop.var: v for loop, v in zip(family.loops, point, strict=True)}
                key = (family.name, point)
                self._members[key] = self._new("input", key) if family.body is None else self._op(family.body, env)

    def _new(self, *key: object) -> int:
        return self._numbers.setdefault(key, len(self._numbers))

    def _value(self, e: Int, env: Mapping[str, int]) -> int:
        return int(evaluate(e, self.sizes, env))

    def _indices(self, indices: Sequence[Int], env: Mapping[str, int]) -> tuple[int, ...]:
        return tuple(self._value(i, env) for i in indices)

    def _op(self, op: ops.Op, env: Mapping[str, int]) -> int:
        number = self._number(op, env)
        self.of[op].add(number)
        return number

    def _number(self, op: ops.Op, env: Mapping[str, int]) -> int:
        match op:
            case ops.Ref(name, indices):
                return self._members[name, self._indices(indices, env)]
            case ops.Sum(loop, body) | ops.Horner(loop, body):
                terms = [self._op(body, {**env, loop.var: v}) for v in range(loop.size)]
                step = op.step if isinstance(op, ops.Horner) else 0
                return self._new("sum", step, *(terms if step else sorted(terms)))
            case ops.Mul(left, right):
                return self._new("product", *sorted((self._op(left, env), self._op(right, env))))
            case ops.Add(operands):
                return self._new("signed", *sorted((sign, self._op(o, env)) for sign, o in operands))
            case ops.MulPlain(value, plain):
                return self._new("times", self._op(value, env), plain.family, self._indices(plain.indices, env))
            case ops.AddPlain(value, plain, sign):
                return self._new("plus", self._op(value, env), plain.family, self._indices(plain.indices, env), sign)
            case ops.Rotate(value, amount, table):
                step = self._value(amount, env)
                return self._rotated(self._op(value, env), step if table is None else table[step])
            case ops.Ladder(value, var, step):
                return self._rotated(self._op(value, env), env[var] * step)
            case ops.Doubling(value, step, count, radix):
                return self._new("doubling", self._op(value, env), step, count, radix)
            case ops.Neg(value) | ops.Conjugate(value):
                return self._new(op.kind, self._op(value, env))
            case ops.Relinearize() | ops.Rescale():
                raise AssertionError("products are relinearised, and rescales placed, after this")

    def _rotated(self, value: int, step: int) -> int:
        step %= self.slots
        return self._new("rotated", value, step) if step else value


def _times(families: Sequence[ops.CipherFamily]) -> dict[ops.Op, int]:
    """How often each operation is executed, shared or not."""
    found: dict[ops.Op, int] = {}

    def visit(op: ops.Op, times: int) -> None:
        found[op] = times
        inside = times * op.loop.size if isinstance(op, ops.Sum | ops.Horner) else times
        for child in ops.children(op):
            visit(child, inside)

    for family in families:
        if family.body is not None:
            visit(family.body, prod(loop.size for loop in family.loops))
    return found


def _operations(op: ops.Op) -> Iterator[ops.Op]:
    yield op
    for child in ops.children(op):
        yield from _operations(child)


def relinearised(families: tuple[ops.CipherFamily, ...], program: Program) -> tuple[ops.CipherFamily, ...]:
    """The families with relinearisations where they are fewest, as far as a search of one family after the other
    finds. What is multiplied with ciphertexts, rotated, conjugated or returned has two polynomials."""
    computed = [f for f in families if f.body is not None]
    if not any(isinstance(op, ops.Mul) for f in computed if f.body is not None for op in _operations(f.body)):
        return families
    times = _times(families)
    executed = sum(prod(loop.size for loop in f.loops) * ops.executions(f.body) for f in computed if f.body is not None)
    results = _Results(families, program).of if executed <= MAX_NUMBERED else None

    products, touched = _with_products(computed)
    reads = {f.name: frozenset((f.name, *ops.references(f.body))) for f in touched}
    known: dict[tuple[str, frozenset[str], bool], tuple[ops.Op, tuple[ops.Op, ...]]] = {}

    def family(f: ops.CipherFamily, opened: frozenset[str], eager: frozenset[str]) -> tuple[ops.Op, tuple[ops.Op, ...]]:
        """The body and the sites of a family: they depend on few of the others."""
        key = (f.name, opened & reads[f.name], f.name in eager)
        if key not in known:
            placement = _Placement(key[1], eager)
            known[key] = placement.family(f), tuple(placement.sites)
        return known[key]

    def placed(opened: frozenset[str], eager: frozenset[str]) -> tuple[int, dict[str, ops.Op]]:
        """The number of relinearisations, and the bodies that may have some."""
        found = {f.name: family(f, opened, eager) for f in touched}
        sites = [op for _, here in found.values() for op in here]
        bodies = {name: body for name, (body, _) in found.items()}
        if results is None:
            return sum(times[op] for op in sites), bodies
        return len(set().union(*(results[op] for op in sites))), bodies

    opened = eager = frozenset[str]()
    fewest, _ = placed(opened, eager)
    returned = {output.family.name for output in program.outputs}
    names = [f.name for f in computed if f.name in products and f.name not in returned]
    # a family alone may gain nothing where it gains with others: what gains nothing in the end is taken back
    for name in names:
        count, _ = placed(opened | {name}, eager)
        if count <= fewest:
            opened, fewest = opened | {name}, count
    for name in reversed(names):
        if name in opened and placed(opened - {name}, eager)[0] <= fewest:
            opened -= {name}
    for name in reads:
        count, _ = placed(opened, eager | {name})
        if count < fewest:
            eager, fewest = eager | {name}, count
    _, bodies = placed(opened, eager)
    return tuple(ops.CipherFamily(f.name, f.loops, bodies.get(f.name, f.body), f.source, f.span) for f in families)


def _with_products(computed: Sequence[ops.CipherFamily]) -> tuple[frozenset[str], list[ops.CipherFamily]]:
    """The families whose members may have three polynomials, by name, and those in which any operation may have them.
    In the others nothing is relinearised, whatever is decided elsewhere."""
    products, touched = frozenset[str](), []
    for family in computed:
        assert family.body is not None, "the family is computed"
        placement = _Placement(products, frozenset())
        if placement.is_open(family.body):
            products |= {family.name}
        if any(map(placement.is_open, _operations(family.body))):
            touched.append(family)
    return products, touched
