"""A second opinion: what a slot program means at tiny sizes, by brute force.

Written from the description of the language alone. Of slotlang it uses the syntax tree and nothing else,
so a mistake in binding, in the term lists or in a prover is not repeated here. Indices are Python ints; a
vector is the list of what its slots hold; what a slot holds is a polynomial in the tensors' elements and the
scalars, with complex rational coefficients (``engine="dict"``), or the same as a sympy expression
(``engine="sympy"``).

Every sum, product and rotation is carried out slot by slot. No claim is ever used: each is compared with the
actual value of its family.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from math import prod
from typing import Any, Protocol, TypeAlias

from slotlang.syntax import tree


class Invalid(Exception):
    """The program has no meaning at these sizes: it reads outside a tensor, a division leaves a rest, ..."""


Terms: TypeAlias = dict[tuple[str, ...], tuple[Fraction, Fraction]]
"""A polynomial written out: sorted names of the factors of each monomial, and its coefficient (re, im)."""
Place: TypeAlias = tuple[int, tuple[tuple[str, int], ...], int]
"""Line of a claim or output, values of its bare names (sorted), slot."""


@dataclass
class Judgement:
    """What is true of a program.

    ``claims`` follows the order of the claims. ``outputs[name][element]`` lists the values that slots carry
    for an element: one value each when the program is right. ``wrong`` gives, for every place at which a claim
    or an output is false, what is there and what should be.
    """

    correct: bool
    first_wrong: str
    claims: list[bool]
    outputs: dict[str, dict[tuple[int, ...], list[Any]]] = field(repr=False)
    wrong: dict[Place, tuple[Terms, Terms]] = field(repr=False)


# Rings: what a slot can hold


class Ring(Protocol):
    """Arithmetic on what a slot holds; symbols stand for real numbers."""

    def constant(self, re: Fraction | int, im: Fraction | int) -> Any: ...
    def symbol(self, name: str) -> Any: ...
    def add(self, values: Iterable[Any]) -> Any: ...
    def scale(self, value: Any, factor: Fraction | int) -> Any: ...
    def mul(self, a: Any, b: Any) -> Any: ...
    def conj(self, a: Any) -> Any: ...
    def equal(self, a: Any, b: Any) -> bool: ...
    def real_constant(self, a: Any) -> Fraction | None: ...
    def terms(self, a: Any) -> Terms: ...


Coefficient = tuple[Fraction | int, Fraction | int]
Polynomial = dict[tuple[int, ...], Coefficient]


class DictRing:
    """Polynomials as dicts from monomials, sorted tuples of symbol numbers, to coefficients (re, im) != 0."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._names: list[str] = []

    def constant(self, re: Fraction | int, im: Fraction | int) -> Polynomial:
        return {(): (_short(re), _short(im))} if re or im else {}

    def symbol(self, name: str) -> Polynomial:
        number = self._numbers.setdefault(name, len(self._numbers))
        if number == len(self._names):
            self._names.append(name)
        return {(number,): (1, 0)}

    def add(self, values: Iterable[Polynomial]) -> Polynomial:
        total: Polynomial = {}
        for value in values:
            for monomial, (re, im) in value.items():
                if monomial in total:
                    old_re, old_im = total[monomial]
                    re, im = re + old_re, im + old_im
                total[monomial] = (re, im)
        return {m: c for m, c in total.items() if c[0] or c[1]}

    def scale(self, value: Polynomial, factor: Fraction | int) -> Polynomial:
        factor = _short(factor)
        return {m: (re * factor, im * factor) for m, (re, im) in value.items()} if factor else {}

    def mul(self, a: Polynomial, b: Polynomial) -> Polynomial:
        return self.add(
            {tuple(sorted(m + n)): (x * u - y * v, x * v + y * u)} for m, (x, y) in a.items() for n, (u, v) in b.items()
        )

    def conj(self, a: Polynomial) -> Polynomial:
        return {m: (re, -im) for m, (re, im) in a.items()}

    def equal(self, a: Polynomial, b: Polynomial) -> bool:
        return a == b

    def real_constant(self, a: Polynomial) -> Fraction | None:
        if any(monomial for monomial in a):
            return None
        re, im = a.get((), (0, 0))
        return None if im else Fraction(re)

    def terms(self, a: Polynomial) -> Terms:
        return {
            tuple(sorted(self._names[symbol] for symbol in monomial)): (Fraction(re), Fraction(im))
            for monomial, (re, im) in a.items()
        }


class SympyRing:
    """The same with sympy expressions."""

    def __init__(self) -> None:
        import sympy

        self._sympy = sympy

    def constant(self, re: Fraction | int, im: Fraction | int) -> Any:
        rational = self._sympy.Rational
        re, im = Fraction(re), Fraction(im)
        whole = rational(re.numerator, re.denominator)
        return whole + self._sympy.I * rational(im.numerator, im.denominator)

    def symbol(self, name: str) -> Any:
        return self._sympy.Symbol(name, real=True)

    def add(self, values: Iterable[Any]) -> Any:
        return self._sympy.Add(*values)

    def scale(self, value: Any, factor: Fraction | int) -> Any:
        return self.constant(factor, 0) * value

    def mul(self, a: Any, b: Any) -> Any:
        return self._sympy.expand(a * b)

    def conj(self, a: Any) -> Any:
        return self._sympy.conjugate(a)

    def equal(self, a: Any, b: Any) -> bool:
        return bool(self._sympy.expand(a - b) == 0)

    def real_constant(self, a: Any) -> Fraction | None:
        a = self._sympy.expand(a)
        return Fraction(int(a.p), int(a.q)) if a.is_Rational else None

    def terms(self, a: Any) -> Terms:
        a = self._sympy.expand(a)
        symbols = sorted(a.free_symbols, key=str)
        result = {}
        for exponents, coefficient in self._sympy.Poly(a, *symbols, self._sympy.Dummy()).terms():
            names = [str(s) for s, n in zip(symbols, exponents, strict=False) for _ in range(n)]
            re, im = coefficient.as_real_imag()
            if re or im:
                result[tuple(sorted(names))] = (Fraction(int(re.p), int(re.q)), Fraction(int(im.p), int(im.q)))
        return result


ENGINES: dict[str, Callable[[], Ring]] = {"dict": DictRing, "sympy": SympyRing}


def _short(value: Fraction | int) -> Fraction | int:
    """Whole numbers as ints, which are some times faster."""
    return int(value) if value.denominator == 1 else value


def show(terms: Terms) -> str:
    """A value as text, cut where it gets long."""
    parts = []
    for names, (re, im) in sorted(terms.items()):
        coefficient = f"({re} + {im}i)" if im else str(re)
        parts.append("*".join([coefficient, *names]))
    text = " + ".join(parts) or "0"
    return text if len(text) <= 200 else text[:200] + " ..."


# The interpreter


@dataclass(frozen=True)
class _Tensor:
    shape: tuple[int, ...]
    element: Callable[[tuple[int, ...]], Any]


@dataclass(frozen=True)
class _Matrix:
    """The value of a tensor expression; a number has shape None and is held at ()."""

    shape: tuple[int, ...] | None
    values: dict[tuple[int, ...], Any]


@dataclass(frozen=True)
class _Family:
    extents: tuple[int, ...]
    members: dict[tuple[int, ...], list[Any]]


@dataclass(frozen=True)
class _Axis:
    extent: int
    stride: int


Env = Mapping[str, int]
_MAX_SLOTS = 4096


def judge(program: tree.Program, sizes: Mapping[str, int], engine: str = "dict") -> Judgement:
    """Whether every claim and every theorem of the program is true at the given sizes.

    ``sizes`` take the place of the header's defaults. Raises ``Invalid`` when the program means nothing.
    """
    return _Oracle(program, dict(sizes), ENGINES[engine]()).judge()


class _Oracle:
    def __init__(self, program: tree.Program, sizes: dict[str, int], ring: Ring) -> None:
        self.program = program
        self.given = sizes
        self.ring = ring
        self.sizes: dict[str, int] = {}
        self.axes: dict[str, _Axis] = {}
        self.systems: list[tuple[str, ...]] = []
        self.tensors: dict[str, _Tensor] = {}
        self.scalars: set[str] = set()
        self.families: dict[str, _Family] = {}
        self.permutations: dict[str, list[int]] = {}
        self.wrong: dict[Place, tuple[Terms, Terms]] = {}
        self.complaints: list[str] = []
        self.claims: list[bool] = []
        self.carried: dict[str, dict[tuple[int, ...], list[Any]]] = {}
        self._slots: int | None = None
        self._matrices: dict[int, _Matrix] = {}

    @property
    def slots(self) -> int:
        if self._slots is None:
            raise Invalid("the number of slots is not known yet")
        return self._slots

    def judge(self) -> Judgement:
        theorems = {s.name: s for s in self.program.statements if isinstance(s, tree.Prove)}
        outputs: dict[str, list[tree.Output]] = {name: [] for name in theorems}
        for statement in self.program.statements:
            match statement:
                case tree.Header():
                    for size in statement.sizes:
                        if size.name in self.given:
                            self._size(size.name, self.given[size.name])
                        elif size.default is not None:
                            self._size(size.name, self._integer(size.default, {}, None))
                        else:
                            raise Invalid(f"size {size.name} has no value")
                case tree.Let(name, value):
                    self._size(name, self._integer(value, {}, None))
                case tree.Require(condition):
                    if not self._holds(condition, {}, None):
                        raise Invalid(f"line {statement.span.line}: the requirement does not hold")
                case tree.Declare(_, tensors):
                    for tensor in tensors:
                        self._declare(tensor)
                case tree.NameTensor(name, value):
                    matrix = self._matrix(value)
                    if not matrix.shape:
                        raise Invalid(f"{value.span.text} is a number")
                    self.tensors[name] = _Tensor(matrix.shape, matrix.values.__getitem__)
                case tree.Scalars(names):
                    self.scalars.update(n.name for n in names)
                case tree.Axes():
                    self._system(statement)
                case tree.Define(_, name, binders, body):
                    extents = tuple(self._integer(b.extent, {}, None) for b in binders)
                    names = [b.name for b in binders]
                    # a member may read those before it
                    self.families[name] = _Family(extents, {})
                    for p in _points(extents):
                        self.families[name].members[p] = self._vector(body, _bound(names, p))
                case tree.DefinePermutation(name, form):
                    self.permutations[name] = self._permutation(form)
                case tree.Claim():
                    self._claim(statement)
                case tree.Output(name):
                    if name not in outputs:
                        raise Invalid(f"nothing is said of output {name}")
                    outputs[name].append(statement)
                case tree.Prove():
                    pass
        for name, theorem in theorems.items():
            self._theorem(theorem, outputs[name])
        if not theorems:
            raise Invalid("the program proves nothing")
        first = self.complaints[0] if self.complaints else ""
        return Judgement(not self.complaints, first, self.claims, self.carried, self.wrong)

    # declarations

    def _size(self, name: str, value: int) -> None:
        self.sizes[name] = value
        if name == "slots":
            if not 1 <= value <= _MAX_SLOTS:
                raise Invalid(f"{value} slots")
            self._slots = value

    def _declare(self, tensor: tree.Tensor) -> None:
        shape = tuple(self._integer(e, {}, None) for e in tensor.shape)

        def element(indices: tuple[int, ...]) -> Any:
            if tensor.pattern is not None:
                env = {n: i for n, i in zip(tensor.indices, indices, strict=True) if n is not None}
                if not self._holds(tensor.pattern, env, None):
                    return self.ring.constant(0, 0)
            return self.ring.symbol(f"{tensor.name}[{','.join(map(str, indices))}]")

        self.tensors[tensor.name] = _Tensor(shape, element)

    def _system(self, axes: tree.Axes) -> None:
        extents = [self._integer(b.extent, {}, None) for b in axes.binders]
        if self._slots is None:
            self._slots = prod(extents)
        if prod(extents) != self.slots:
            raise Invalid(f"line {axes.span.line}: the digits make {prod(extents)} slots, not {self.slots}")
        for position, binder in enumerate(axes.binders):
            self.axes[binder.name] = _Axis(extents[position], prod(extents[position + 1 :]))
        self.systems.append(tuple(b.name for b in axes.binders))

    def _permutation(self, form: tree.PermutationForm) -> list[int]:
        """Where the content of each slot goes."""
        match form:
            case tree.SlotPermutation(_, target):
                goes = [self._integer(target, {}, s) for s in range(self.slots)]
            case tree.CyclePermutation(cycles):
                goes = list(range(self.slots))
                for cycle in cycles:
                    points = [self._integer(e, {}, None) for e in cycle]
                    for here, there in zip(points, points[1:] + points[:1], strict=True):
                        goes[here] = there
            case tree.DigitPermutation(source, target):
                names = tuple(n.name for n in source)
                if names not in self.systems or len(target) != len(names):
                    raise Invalid("a digit permutation names the digits of one axes statement")
                owners = [next(n for n in names if n in set(_names(e))) for e in target]
                goes = []
                for s in range(self.slots):
                    there = 0
                    for owner, e in zip(owners, target, strict=True):
                        digit = self._integer(e, {}, s)
                        if not 0 <= digit < self.axes[owner].extent:
                            raise Invalid("a digit leaves its range")
                        there = there * self.axes[owner].extent + digit
                    goes.append(there)
        if sorted(goes) != list(range(self.slots)):
            raise Invalid("not a permutation")
        return goes

    # integers and conditions; ``slot`` is None where an expression can't depend on it

    def _integer(self, e: tree.Expr, env: Env, slot: int | None) -> int:
        match e:
            case tree.Number(value, imaginary):
                if imaginary or value.denominator != 1:
                    raise Invalid(f"{value} is no integer")
                return int(value)
            case tree.Name(name):
                return self._variable(name, env, slot)
            case tree.Unary("-", operand):
                return -self._integer(operand, env, slot)
            case tree.Choice(condition, yes, no):
                return self._integer(yes if self._holds(condition, env, slot) else no, env, slot)
            case tree.Call(name, arguments):
                return _function(name, [self._integer(a, env, slot) for a in arguments])
            case tree.Binary(op, left, right):
                a, b = self._integer(left, env, slot), self._integer(right, env, slot)
                return _arithmetic(op, a, b)
            case _:
                raise Invalid(f"{e.span.text} is no integer expression")

    def _variable(self, name: str, env: Env, slot: int | None) -> int:
        if name in env:
            return env[name]
        if name in self.sizes:
            return self.sizes[name]
        if slot is not None:
            if name == "slot":
                return slot
            if name in self.axes:
                axis = self.axes[name]
                return slot // axis.stride % axis.extent
        raise Invalid(f"{name} is not an integer here")

    def _holds(self, e: tree.Expr, env: Env, slot: int | None) -> bool:
        match e:
            case tree.Compare(ops, operands):
                values = [self._integer(o, env, slot) for o in operands]
                return all(_compare(op, a, b) for op, a, b in zip(ops, values, values[1:], strict=False))
            case tree.Binary("and", left, right):
                return self._holds(left, env, slot) and self._holds(right, env, slot)
            case tree.Binary("or", left, right):
                return self._holds(left, env, slot) or self._holds(right, env, slot)
            case tree.Unary("not", operand):
                return not self._holds(operand, env, slot)
            case _:
                raise Invalid(f"{e.span.text} is no condition")

    # vectors: what every slot holds

    def _each(self, at: Callable[[int], Any]) -> list[Any]:
        return [at(slot) for slot in range(self.slots)]

    def _vector(self, e: tree.Expr, env: Env) -> list[Any]:
        ring = self.ring
        match e:
            case tree.Number(value, imaginary):
                return [ring.constant(0, value) if imaginary else ring.constant(value, 0)] * self.slots
            case tree.Name(name):
                if name in self.families:
                    return self._member(name, (), env)
                if name in self.scalars:
                    return [ring.symbol(name)] * self.slots
                if name in self.sizes:
                    return [ring.constant(self.sizes[name], 0)] * self.slots
                raise Invalid(f"{name} is no value")
            case tree.Index(tree.Name(name), indices) if name in self.families:
                return self._member(name, indices, env)
            case tree.Index():
                return self._read(e, env)
            case tree.Unary("-", operand):
                return [ring.scale(v, -1) for v in self._vector(operand, env)]
            case tree.Unary("conj", operand):
                return [ring.conj(v) for v in self._vector(operand, env)]
            case tree.Choice(condition, yes, no):
                return self._vector(yes if self._holds(condition, env, None) else no, env)
            case tree.Call():
                return [ring.constant(self._integer(e, env, None), 0)] * self.slots
            case tree.Binary("**", left, right):
                exponent = self._integer(right, env, None)
                if exponent < 0:
                    raise Invalid("a negative power")
                result = [ring.constant(1, 0)] * self.slots
                for _ in range(exponent):
                    result = [ring.mul(a, b) for a, b in zip(result, self._vector(left, env), strict=True)]
                return result
            case tree.Bracket(condition):
                return self._each(lambda s: ring.constant(int(self._holds(condition, env, s)), 0))
            case tree.Sum(binders, _, body):
                extents = [self._integer(b.extent, env, None) for b in binders]
                names = [b.name for b in binders]
                rows = [self._vector(body, {**env, **_bound(names, p)}) for p in _points(extents)]
                return [ring.add(column) for column in zip(*rows, strict=True)]
            case tree.Permute(value, name, inverse):
                goes = self.permutations[name]
                values = self._vector(value, env)
                if inverse:
                    return [values[goes[s]] for s in range(self.slots)]
                result = list(values)
                for s, there in enumerate(goes):
                    result[there] = values[s]
                return result
            case tree.Binary("@"):
                return [self._number(e)] * self.slots
            case tree.Binary("<<" | ">>" as op, left, right):
                values = self._vector(left, env)
                amount = self._integer(right, env, None)
                step = amount if op == "<<" else -amount
                return [values[(s + step) % self.slots] for s in range(self.slots)]
            case tree.Binary(op, left, right):
                pairs = zip(self._vector(left, env), self._vector(right, env), strict=True)
                return [self._slotwise(op, a, b) for a, b in pairs]
            case _:
                raise Invalid(f"{e.span.text} is no slot value")

    def _slotwise(self, op: str, a: Any, b: Any) -> Any:
        ring = self.ring
        match op:
            case "+":
                return ring.add((a, b))
            case "-":
                return ring.add((a, ring.scale(b, -1)))
            case "*":
                return ring.mul(a, b)
            case "/":
                divisor = ring.real_constant(b)
                if not divisor:
                    raise Invalid("a division by something that is no real constant")
                return ring.scale(a, 1 / divisor)
            case _:
                raise Invalid(f"{op} does not work on slot values")

    def _member(self, name: str, indices: Sequence[tree.Expr], env: Env) -> list[Any]:
        point = tuple(self._integer(i, env, None) for i in indices)
        family = self.families[name]
        if point not in family.members:
            raise Invalid(f"{name}{list(point)} is outside the family")
        return family.members[point]

    def _read(self, e: tree.Index, env: Env) -> list[Any]:
        if isinstance(e.base, tree.Name):
            if e.base.name not in self.tensors:
                raise Invalid(f"{e.base.name} has no elements")
            tensor = self.tensors[e.base.name]
        else:
            matrix = self._matrix(e.base)
            if matrix.shape is None:
                raise Invalid(f"{e.base.span.text} is a number")
            tensor = _Tensor(matrix.shape, matrix.values.__getitem__)
        if len(e.indices) != len(tensor.shape):
            raise Invalid(f"{e.span.text}: wrong number of indices")

        def at(slot: int) -> Any:
            point = tuple(self._integer(i, env, slot) for i in e.indices)
            if _inside(point, tensor.shape):
                return tensor.element(point)
            if e.else_zero:
                return self.ring.constant(0, 0)
            raise Invalid(f"line {e.span.line}: {e.span.text} reads element {point} at slot {slot}")

        return self._each(at)

    # tensor expressions

    def _matrix(self, e: tree.Expr) -> _Matrix:
        found = self._matrices.get(id(e))
        if found is None:
            found = self._matrices[id(e)] = self._whole_matrix(e)
        return found

    def _whole_matrix(self, e: tree.Expr) -> _Matrix:
        ring = self.ring
        match e:
            case tree.Number(value, False):
                return _Matrix(None, {(): ring.constant(value, 0)})
            case tree.Name(name) if name in self.tensors:
                tensor = self.tensors[name]
                return _Matrix(tensor.shape, {p: tensor.element(p) for p in _points(tensor.shape)})
            case tree.Name(name) if name in self.scalars:
                return _Matrix(None, {(): ring.symbol(name)})
            case tree.Name(name) if name in self.sizes:
                return _Matrix(None, {(): ring.constant(self.sizes[name], 0)})
            case tree.Call():
                return _Matrix(None, {(): ring.constant(self._integer(e, {}, None), 0)})
            case tree.Transpose(base, word=word):
                inner = self._matrix(base)
                if inner.shape is None or len(inner.shape) < 2 or (word == "T" and len(inner.shape) > 2):
                    raise Invalid("only matrices are transposed")
                return _Matrix(_exchanged(inner.shape), {_exchanged(p): v for p, v in inner.values.items()})
            case tree.Constant(kind, arguments):
                return self._constant(kind, [self._integer(a, {}, None) for a in arguments])
            case tree.Binary("**", left, right):
                base, exponent = self._matrix(left), self._integer(right, {}, None)
                return _Matrix(base.shape, {p: self._power(v, exponent) for p, v in base.values.items()})
            case tree.Unary("-", operand):
                inner = self._matrix(operand)
                return _Matrix(inner.shape, {p: ring.scale(v, -1) for p, v in inner.values.items()})
            case tree.Binary("@", left, right):
                return self._matmul(self._matrix(left), self._matrix(right))
            case tree.Binary("*" | "/" as op, left, right):
                a, b = self._matrix(left), self._matrix(right)
                if a.shape and b.shape and op == "*" and a.shape == b.shape:
                    return _Matrix(a.shape, {p: ring.mul(v, b.values[p]) for p, v in a.values.items()})
                if (a.shape and b.shape) or (op == "/" and b.shape is not None):
                    raise Invalid("tensors of different shapes are not multiplied")
                shape = b.shape if b.shape else a.shape if a.shape is not None else b.shape
                values = {
                    p + q: self._slotwise(op, v, w) for (p, v), (q, w) in product(a.values.items(), b.values.items())
                }
                return _Matrix(shape, values)
            case tree.Binary("+" | "-" as op, left, right):
                a, b = self._matrix(left), self._matrix(right)
                if (a.shape or ()) != (b.shape or ()):
                    raise Invalid("the shapes of a sum differ")
                return _Matrix(a.shape, {p: self._slotwise(op, v, b.values[p]) for p, v in a.values.items()})
            case _:
                raise Invalid(f"{e.span.text} is no tensor expression")

    def _number(self, e: tree.Expr) -> Any:
        product = self._matrix(e)
        if product.shape:
            raise Invalid(f"{e.span.text} is no number")
        return product.values[()]

    def _matmul(self, a: _Matrix, b: _Matrix) -> _Matrix:
        """As numpy does it, without broadcasting: a vector is a row on the left, and a column on the right."""
        if not a.shape or not b.shape:
            raise Invalid("a product with a number")
        left = a if len(a.shape) > 1 else _Matrix((1, *a.shape), {(0, *p): v for p, v in a.values.items()})
        right = b if len(b.shape) > 1 else _Matrix((*b.shape, 1), {(*p, 0): v for p, v in b.values.items()})
        assert left.shape is not None and right.shape is not None
        stacks = {m.shape[:-2] for m, n in ((left, a), (right, b)) if len(n.shape or ()) > 1 and m.shape is not None}
        if left.shape[-1] != right.shape[-2] or len(stacks) > 1:
            raise Invalid("the shapes of a product do not fit")
        stack, inner = next(iter(stacks), ()), left.shape[-1]
        shape: tuple[int, ...] = stack
        if len(a.shape) > 1:
            shape += left.shape[-2:-1]
        if len(b.shape) > 1:
            shape += right.shape[-1:]
        values = {}
        for s in _points(stack):
            # a vector is in every matrix of a stack
            front, back = (s if len(m.shape or ()) > 1 else () for m in (a, b))
            for i, j in product(range(left.shape[-2]), range(right.shape[-1])):
                terms = (self.ring.mul(left.values[(*front, i, k)], right.values[(*back, k, j)]) for k in range(inner))
                place = (*s, *((i,) if len(a.shape) > 1 else ()), *((j,) if len(b.shape) > 1 else ()))
                values[place] = self.ring.add(terms)
        return _Matrix(shape, values)

    def _constant(self, kind: str, shape: Sequence[int]) -> _Matrix:
        if min(shape) < 1 or (kind == "eye" and len(shape) != 1):
            raise Invalid(f"{kind} has no such shape")
        if kind == "eye":
            shape = [*shape, *shape]
        one = {p: kind == "ones" or (kind == "eye" and p[0] == p[1]) for p in _points(shape)}
        return _Matrix(tuple(shape), {p: self.ring.constant(int(v), 0) for p, v in one.items()})

    def _power(self, value: Any, exponent: int) -> Any:
        if exponent < 1:
            raise Invalid(f"a power of {exponent}")
        result = value
        for _ in range(exponent - 1):
            result = self.ring.mul(result, value)
        return result

    def _said(self, theorem: tree.Prove) -> _Matrix:
        """What a theorem says of every element."""
        if not theorem.binders:
            expected = self._matrix(theorem.value)
            if expected.shape is None:
                raise Invalid("a theorem is about a tensor")
            return expected
        names = [b.name for b in theorem.binders]
        shape = tuple(self._integer(b.extent, {}, None) for b in theorem.binders)
        if min(shape) < 1 or len(set(names)) < len(names):
            raise Invalid("the indices of a theorem")
        return _Matrix(shape, {p: self._said_of(theorem.value, _bound(names, p)) for p in _points(shape)})

    def _said_of(self, e: tree.Expr, env: Env) -> Any:
        """A value that depends on indices and not on slots."""
        ring = self.ring
        match e:
            case tree.Number(value, False):
                return ring.constant(value, 0)
            case tree.Name(name) if name in self.scalars:
                return ring.symbol(name)
            case tree.Name(name) if name in self.sizes:
                return ring.constant(self.sizes[name], 0)
            case tree.Index(base, indices, else_zero):
                point = tuple(self._integer(i, env, None) for i in indices)
                if isinstance(base, tree.Name) and base.name in self.tensors:
                    tensor = self.tensors[base.name]
                elif isinstance(base, tree.Name):
                    raise Invalid(f"{base.name} is not a tensor")
                else:
                    matrix = self._matrix(base)
                    tensor = _Tensor(matrix.shape or (), matrix.values.__getitem__)
                if len(point) != len(tensor.shape):
                    raise Invalid(f"{e.span.text}: wrong number of indices")
                if _inside(point, tensor.shape):
                    return tensor.element(point)
                if else_zero:
                    return ring.constant(0, 0)
                raise Invalid(f"{e.span.text} reads element {point}")
            case tree.Bracket(condition):
                return ring.constant(int(self._holds(condition, env, None)), 0)
            case tree.Unary("-", operand):
                return ring.scale(self._said_of(operand, env), -1)
            case tree.Sum(binders, _, body):
                extents = [self._integer(b.extent, env, None) for b in binders]
                names = [b.name for b in binders]
                return ring.add([self._said_of(body, {**env, **_bound(names, p)}) for p in _points(extents)])
            case tree.Binary("**", left, right):
                base, exponent = self._said_of(left, env), self._integer(right, env, None)
                return self._power(base, exponent) if exponent else self.ring.constant(1, 0)
            case tree.Call():
                return self.ring.constant(self._integer(e, {}, None), 0)
            case tree.Binary("@"):
                return self._number(e)
            case tree.Choice(condition, yes, no):
                return self._said_of(yes if self._holds(condition, {}, None) else no, env)
            case tree.Binary("+" | "-" | "*" | "/" as op, left, right):
                return self._slotwise(op, self._said_of(left, env), self._said_of(right, env))
            case _:
                raise Invalid(f"{e.span.text} can't be part of a theorem")

    # what is to be true

    def _bare(self, target: tree.Expr) -> tuple[str, tuple[tree.Expr, ...], Iterator[dict[str, int]]]:
        """A family named in a claim or output, its indices, and the values of the new bare names in them."""
        base, indices = (target.base, target.indices) if isinstance(target, tree.Index) else (target, ())
        if not isinstance(base, tree.Name) or base.name not in self.families:
            raise Invalid(f"{target.span.text} is no member of a family")
        family = self.families[base.name]
        if len(indices) != len(family.extents):
            raise Invalid(f"{target.span.text}: wrong number of indices")
        known = {
            "slot",
            *self.sizes,
            *self.axes,
            *self.tensors,
            *self.scalars,
            *self.families,
            *self.permutations,
        }
        new: dict[str, int] = {}
        for index, extent in zip(indices, family.extents, strict=True):
            if isinstance(index, tree.Name) and index.name not in known:
                new.setdefault(index.name, extent)
        values = (_bound(list(new), point) for point in _points(tuple(new.values())))
        return base.name, indices, values

    def _claim(self, claim: tree.Claim) -> None:
        name, indices, environments = self._bare(claim.target)
        complaints = len(self.complaints)
        for env in environments:
            actual, claimed = self._member(name, indices, env), self._vector(claim.value, env)
            for slot in range(self.slots):
                if claim.where is None or self._holds(claim.where, env, slot):
                    self._expect(claim, f"claim about {name}", env, slot, actual[slot], claimed[slot])
        self.claims.append(len(self.complaints) == complaints)

    def _expect(
        self, statement: tree.Claim | tree.Output, what: str, env: Env, slot: int, actual: Any, expected: Any
    ) -> None:
        if self.ring.equal(actual, expected):
            return
        line, terms = statement.span.line, (self.ring.terms(actual), self.ring.terms(expected))
        self.wrong[line, tuple(sorted(env.items())), slot] = terms
        at = "".join(f"{name} = {value}, " for name, value in env.items())
        holds = f"holds {show(terms[0])}, should be {show(terms[1])}"
        self.complaints.append(f"line {line}, {what}: {at}slot {slot}: {holds}")

    def _theorem(self, theorem: tree.Prove, outputs: Sequence[tree.Output]) -> None:
        expected = self._said(theorem)
        assert expected.shape is not None
        name = theorem.name
        carried: dict[tuple[int, ...], list[Any]] = {p: [] for p in _points(expected.shape)}
        for output in outputs:
            value, part = output.value, ""
            if isinstance(value, tree.Unary) and value.op in ("re", "im"):
                value, part = value.operand, value.op
            family, indices, environments = self._bare(value)
            if len(output.indices) != len(expected.shape):
                raise Invalid(f"{output.span.text}: wrong number of indices")
            for env in environments:
                member = self._member(family, indices, env)
                for slot in range(self.slots):
                    element = tuple(self._integer(i, env, slot) for i in output.indices)
                    if not _inside(element, expected.shape):
                        continue
                    if output.where is not None and not self._holds(output.where, env, slot):
                        continue
                    actual = self._part(member[slot], part)
                    carried[element].append(actual)
                    what = f"output {name}{list(element)}"
                    self._expect(output, what, env, slot, actual, expected.values[element])
        self.carried[name] = carried
        for element, values in carried.items():
            if len(values) != 1:
                self.complaints.append(f"{name}{list(element)} is carried by {len(values)} slots")

    def _part(self, value: Any, part: str) -> Any:
        if not part:
            return value
        ring = self.ring
        conjugate = ring.conj(value)
        if part == "re":
            return ring.scale(ring.add((value, conjugate)), Fraction(1, 2))
        difference = ring.add((value, ring.scale(conjugate, -1)))
        return ring.mul(ring.constant(0, Fraction(-1, 2)), difference)


def _points(extents: Sequence[int]) -> Iterator[tuple[int, ...]]:
    return product(*(range(extent) for extent in extents))


def _bound(names: Sequence[str], point: Sequence[int]) -> dict[str, int]:
    return dict(zip(names, point, strict=True))


def _exchanged(items: tuple[int, ...]) -> tuple[int, ...]:
    return (*items[:-2], items[-1], items[-2])


def _inside(point: Sequence[int], shape: Sequence[int]) -> bool:
    return all(0 <= i < size for i, size in zip(point, shape, strict=True))


def _names(e: tree.Expr) -> Iterator[str]:
    match e:
        case tree.Name(name):
            yield name
        case tree.Unary(_, operand):
            yield from _names(operand)
        case tree.Binary(_, left, right):
            yield from _names(left)
            yield from _names(right)
        case tree.Call(_, arguments):
            for argument in arguments:
                yield from _names(argument)
        case tree.Choice(condition, yes, no):
            for part in (condition, yes, no):
                yield from _names(part)
        case tree.Compare(_, operands):
            for operand in operands:
                yield from _names(operand)
        case _:
            return


def _function(name: str, arguments: list[int]) -> int:
    if name in ("min", "max"):
        return sorted(arguments)[0 if name == "min" else -1]
    if name == "log2" and len(arguments) == 1:
        for power in range(63):
            if 2**power == arguments[0]:
                return power
    raise Invalid(f"{name} of {arguments}")


def _arithmetic(op: str, a: int, b: int) -> int:
    match op:
        case "+":
            return a + b
        case "-":
            return a - b
        case "*":
            return a * b
        case "**" if b >= 0:
            return prod([a] * b)
        case "^" if a >= 0 and b >= 0:
            return sum(2**i for i in range(64) if a // 2**i % 2 != b // 2**i % 2)
    if b <= 0:
        raise Invalid(f"{a} {op} {b}")
    match op:
        case "//":
            return a // b
        case "%":
            return a % b
        case "/" if a % b == 0:
            return a // b
        case _:
            raise Invalid(f"{a} {op} {b} is no integer")


def _compare(op: str, a: int, b: int) -> bool:
    match op:
        case "==":
            return a == b
        case "!=":
            return a != b
        case "<":
            return a < b
        case "<=":
            return a <= b
        case ">":
            return a > b
        case ">=":
            return a >= b
        case _:
            raise Invalid(op)
