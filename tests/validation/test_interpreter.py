"""The interpreter of module bodies against CPython, and what it does not take."""

from __future__ import annotations

import ast
from collections import Counter
from typing import Any

import numpy as np
import pytest
from amounts import drawn, some
from validation.random_bodies import SLOTS, Bodies

from slotlang.validation import arithmetic, interpreter
from slotlang.validation.interpreter import Function
from slotlang.validation.language import Outside, check_body
from slotlang.validation.methods import Evaluator
from slotlang.validation.operations import CheckedOperations, Cipher, ExactSlots, Plain, nominal
from slotlang.validation.program_forms import scalar
from slotlang.validation.scopes import BUILTINS, NUMPY, Failed, Given
from slotlang.validation.symbolic import Tensor, Vector, vector
from slotlang_runtime.arrays import element
from slotlang_runtime.operations import Evaluation
from slotlang_runtime.parameters import Parameters

slot = np.arange(SLOTS)
TABLES: dict[str, Any] = {
    "SLOTS": SLOTS,
    "m": 3,
    "steps": [1, 2, 4],
    "slot": slot,
    "h": slot // 2,
    "t": slot % 2,
    "moved": np.array([3, 1, 4, 0, 7, 2, 6, 5]),
}
rng = np.random.default_rng(5)
DATA = {"A": rng.standard_normal((4, SLOTS)), "x": rng.standard_normal(SLOTS), "scale": np.float64(1.25)}
SYMBOLS = {
    "A": Tensor((4, SLOTS), [(1, (), ("A",))]),
    "x": Tensor((SLOTS,), [(1, (), ("x",))]),
    "scale": scalar("scale"),
}
PARAMETERS = Parameters(
    8192, (60, 60, 60), (20,), rotations=(1, 2, 3, 4, 5), routes={6: (2, 4)}, conjugation=True, relinearization=True
)


def function(text: str, **names: Any) -> Function:
    (definition,) = ast.parse(text).body
    assert isinstance(definition, ast.FunctionDef)
    return Function(definition, {**BUILTINS, "np": NUMPY, "element": arithmetic.element, **TABLES, **names})


def executed(text: str, *arguments: Any) -> Any:
    names = {"np": np, "element": element, **TABLES}
    exec(text, names)
    with np.errstate(all="ignore"):
        return names["f"](*arguments)


def number(value: Any) -> Any:
    """A vector of expressions on the data."""
    if not isinstance(value, Vector | Tensor):
        return value
    found = vector(value)
    total: Any = np.zeros(found.shape, complex)
    arrays = {"A": DATA["A"], "A.T": DATA["A"].T, "x": DATA["x"], "scale": DATA["scale"]}
    for term in found.terms:
        part = term.coefficient
        for atom, at in term.reads:
            product = arrays[atom[0]]
            for name in atom[1:]:
                product = product @ arrays[name]
            part = part * np.asarray(product).reshape(-1)[at]
        total = total + part
    return total


def same(a: Any, b: Any, tolerance: float = 0.0) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(same(a[key], b[key], tolerance) for key in a)
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or not (tolerance or a.dtype == b.dtype):
        return False
    return bool(np.allclose(a, b, tolerance, tolerance * 10) if tolerance else np.array_equal(a, b, equal_nan=True))


@drawn
@pytest.mark.parametrize("start", range(0, 1500, 300))
def test_arithmetic_on_arrays_is_that_of_python_and_numpy(start: int) -> None:
    ended: Counter[str] = Counter()
    for seed in range(start, start + some(300)):
        text = Bodies(seed).plain()
        try:
            wanted: Any = executed(text, dict(DATA), 2)
        except Exception as problem:
            wanted = problem
        for weights in (DATA, SYMBOLS):
            try:
                found = function(text)(Given(dict(weights)), 2)
            except Outside:
                ended["outside"] += 1
                continue
            except Failed as problem:
                # with numbers nothing fails that does not really fail
                assert weights is SYMBOLS or isinstance(wanted, Exception), (text, problem)
                ended["failed"] += 1
                continue
            assert not isinstance(wanted, Exception), (text, wanted)
            ended["equal"] += 1
            if weights is DATA:
                assert same(found, wanted), (seed, text)
            elif (
                not isinstance(wanted, dict)
                and np.isfinite(np.asarray(wanted)).all()
                and np.abs(wanted).max(initial=0) < 1e12
            ):
                assert same(number(found), wanted, 1e-9), (seed, text)
    assert ended["equal"] > some(300) / 4, ended


def ciphertexts() -> tuple[Evaluation[Any, Any], dict[Any, Any], dict[Any, Any]]:
    levels = nominal(PARAMETERS)
    rng = np.random.default_rng(7)

    def values() -> Any:
        return rng.standard_normal(SLOTS) + 1j * rng.standard_normal(SLOTS)

    cipher = {("X", q): Cipher(values(), 0, levels.scale(0)) for q in range(3)}
    plain: dict[Any, Any] = {("W", q): Plain(values(), 0, levels.factor(0), False) for q in range(2)}
    plain.update({("W", 2): None, ("V",): Plain(values(), 0, levels.scale(0), False)})
    operations = CheckedOperations(ExactSlots(SLOTS), levels, "seal")
    return Evaluation(operations, PARAMETERS, SLOTS), cipher, plain


@drawn
def test_evaluations_are_those_of_python() -> None:
    ended: Counter[str] = Counter()
    for seed in range(some(1500)):
        text = Bodies(seed).evaluate()
        ev, cipher, plain = ciphertexts()
        try:
            wanted: Any = executed(text, ev, cipher, plain)
        except Exception as problem:
            wanted = problem
        mine, cipher, plain = ciphertexts()
        try:
            found = function(text)(Evaluator(mine), Given(cipher, popped=True), Given(plain))
        except Outside:
            ended["outside"] += 1
            continue
        except Failed as problem:
            assert isinstance(wanted, Exception), (seed, text, problem)
            ended["failed"] += 1
            continue
        assert not isinstance(wanted, Exception), (seed, text, wanted)
        ended["equal"] += 1
        assert list(found) == list(wanted) and mine.counts == ev.counts, (seed, text)
        for name, value in found.items():
            other = wanted[name]
            assert type(value) is type(other), (seed, text)
            if isinstance(value, Cipher):
                assert same(value.content, other.content, 1e-12) and value.scale == other.scale, (seed, text)
            elif arithmetic.kind(value):
                assert same(value, other), (seed, text)
    assert ended["equal"] > some(1500) * 4 / 15, ended


# What can't be said, with the line that says so

OUTSIDE = [
    "while n:\n        pass",
    "if n:\n        n = 2",
    "try:\n        n = 2\n    finally:\n        n = 3",
    "with open('x') as n:\n        n = 2",
    "import os",
    "from os import path",
    "global slot",
    "nonlocal n",
    "def g():\n        return 1",
    "class G:\n        a = 1",
    "async def g():\n        return 1",
    "slot += 1",
    "n += 1",
    "n: int = 3",
    "a = b = n",
    "a, b = n, n",
    "slot[0] = 1",
    "weights['A'] = 2",
    "steps[0] = 1",
    "x = weights['A']\n    x[0, 0] = 1",
    "for q in range(2):\n        n = q\n    else:\n        n = 3",
    "for q in range(2):\n        break",
    "for q in range(2):\n        return 1.0",
    "for q in [1, 2][0:1]:\n        n = q",
    "for slot[0] in range(2):\n        n = 1",
    "for q, *r in np.ndindex(1, 2):\n        n = q",
    "for q in weights:\n        n = q",
    "for q in (1, 2):\n        n = q",
    "for q in 'ab':\n        n = q",
    "del weights['A']",
    "del slot[0]",
    "assert n",
    "raise ValueError",
    "print(n)",
    "n",
    "weights.pop('A')",
    "weights.update({})",
    "yield 1",
    "a = yield",
    "a = (n := 3)",
    "a = lambda q: q",
    "a = [q for q in range(3) if q]",
    "a = {q for q in range(3)}",
    "a = sum([1, 2])",
    "a = sum(slot)",
    "a = sum((q for q in range(3)), 1)",
    "a = f'{n}'",
    "a = '%s' % n",
    "a = 'a' + 'b'",
    "a = 'a' * 3",
    "a = [1] * 3",
    "a = (1, 2) + (3,)",
    "a = n ** (n - 3)",
    "a = n ** 63",
    "a = weights['x'] ** 2",
    "a = 2.0 ** n",
    "a = n << 2",
    "a = True ^ False",
    "a = weights['x'] ^ 2",
    "a = np.minimum(weights['x'], 2)",
    "a = np.minimum(n, 2, slot)",
    "a = np.where(slot, 1, 0)",
    "a = np.where(slot > 2, weights['x'], 0)",
    "a = np.where(slot > 2)",
    "a = ~n",
    "a = not n",
    "a = n and m",
    "a = 0 < n < 3",
    "a = n in steps",
    "a = n is m",
    "a = None",
    "a = ...",
    "a = b'x'",
    "a = slot[:3]",
    "a = slot[None]",
    "a = slot[...]",
    "a = slot[slot > 2]",
    "a = slot[True]",
    "a = steps[True]",
    "a = weights['A'][0]",
    "a = weights['A'][slot % 4 == 0, 0]",
    "a = weights['A'].shape",
    "a = weights['A'].astype(int)",
    "a = slot.astype(int)",
    "a = slot.T",
    "a = slot.real",
    "a = slot.sum()",
    "a = np.int64(3)",
    "a = np.zeros(3)",
    "a = np.roll(slot, 1, 0)",
    "a = np.roll(slot, shift=1)",
    "a = np.roll(slot, slot)",
    "a = np.roll(slot, True)",
    "a = np.argsort(h)",
    "a = np.argsort(weights['x'])",
    "a = np.broadcast_to(slot, (1000000, 1000000))",
    "a = np.broadcast_to(n, (100000000000))",
    "a = np.random",
    "np.roll = n",
    "a = int(1.5)",
    "a = float('nan')",
    "a = abs(n)",
    "a = range(1.5)",
    "a = eval('1')",
    "a = getattr(np, 'roll')",
    "a = __import__('os')",
    "a = slot.__class__",
    "__a = 1",
    "a = weights['x'] > 0",
    "a = weights['x'] == weights['x']",
    "a = weights['x'] // 1",
    "a = weights['x'] % 1",
    "a = 1 / weights['x']",
    "a = n if slot else m",
    "a = n if weights['scale'] else m",
    "a = slot & 1",
    "a = element(weights['A'], (slot > 2, 0))",
    "a = element(slot, (slot,))",
    "a = 99999999999999999999",
    "a = 4611686018427387904 + 4611686018427387904",
    "a = {n: 1, **{2: 3}, **n}",
    "a = {1.5: 2}",
    "a = {(1, (2, 3)): 2}",
    "a = {True: 2}",
    "a = {}[*steps]",
    "a = {slot: 2}",
    "a = open",
    "a = sum(q for q in range(10**9))",
    "a = sum(q for q in range(1000000000))",
    "for q in range(1000000000):\n        n = q",
    "for q in np.ndindex(1000000000, 1):\n        n = q",
    "a = [q for q in range(1000000000)]",
]


@pytest.mark.parametrize("body", OUTSIDE)
def test_outside(body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slotlang.validation.scopes.MAX_STEPS", 20_000)
    for weights in (DATA, SYMBOLS):
        with pytest.raises(Outside) as problem:
            function(f"def f(weights, n):\n    {body}\n    return 1.0")(Given(dict(weights)), 2)
        assert problem.value.line >= 2 and problem.value.what


FAILS = [
    "n = q\n    q = 1",
    "slot = slot + 1",
    "del n\n    n = n",
    "del q\n    q = 1",
    "for q in range(0):\n        r = 1\n    n = q",
    "a = {}[3]",
    "a = weights['B']",
    "a = steps[3]",
    "a = steps[-4]",
    "a = moved[slot + 1]",
    "a = weights['A'][slot, slot]",
    "a = weights['A'][slot - 9, slot]",
    "a = n // 0",
    "a = n % (n - 2)",
    "a = range(1, 2, 0)",
    "a = slot + moved[np.broadcast_to(0, 3)]",
    "for q, r in np.ndindex(1, 2, 3):\n        n = q",
    "a = np.broadcast_to(slot, 5)",
]


@pytest.mark.parametrize("body", FAILS)
def test_what_fails_in_python_fails(body: str) -> None:
    text = f"def f(weights, n):\n    {body}\n    return 1.0"
    with pytest.raises(Exception):  # noqa: B017
        executed(text, dict(DATA), 2)
    for weights in (DATA, SYMBOLS):
        with pytest.raises(Failed):
            function(text)(Given(dict(weights)), 2)


EVALUATE_OUTSIDE = [
    "result = ev.counts",
    "ev.spare = X",
    "X = ev._known",
    "X = ev.operations.rotate(X, 1)",
    "X = ev.hide(X, [])",
    "X = ev.rotate(X, True)",
    "X = ev.rotate(X, slot)",
    "X = ev.rotate(X, slot[1])",
    "X = ev.rotate(X, 1.0)",
    "X = ev.rotate(step=1, a=X)",
    "X = ev.add_plain(X, plain['V',], 5)",
    "X = ev.add_plain(X, plain['V',], 0)",
    "X = ev.combine('+*', X, X)",
    "X = ev.combine(1, X)",
    "X = ev.doubling(X, 1, 0)",
    "X = ev.doubling(X, 1, -1)",
    "X = ev.doubling(X, 1, 1000000000)",
    "X = ev.once(ev.sum, [X, X], shared=True)",
    "X = ev.once(ev.sum, (X for q in range(2)))",
    "X = ev.once(ev.once, ev.sum, X)",
    "X = ev.once(np.roll, X, 1)",
    "X = ev.once(plain, X)",
    "X = ev.sum_of(X, shared=True)",
    "X = ev.tree([X], shared=1)",
    "X = ev.tree([X], other=True)",
    "X = ev.dot([X])",
    "X = ev.dot([(X, plain['V',], 1)])",
    "X = ev.dot([(plain['V',], X)])",
    "plain['V',] = X",
    "cipher['X', 0] = X",
    "X = cipher.pop(('X', 1), 3)",
    "X = plain.pop(('V',))",
    "X = cipher.popitem()",
    "X = X if X else X",
    "X = -X",
    "X = X.content",
    "result = {'Y': X}\n    result.update(result)",
]


@pytest.mark.parametrize("body", EVALUATE_OUTSIDE)
def test_outside_of_evaluations(body: str) -> None:
    ev, cipher, plain = ciphertexts()
    text = f"def f(ev, cipher, plain):\n    X = cipher.pop(('X', 0))\n    {body}\n    return {{}}"
    with pytest.raises(Outside) as problem:
        function(text)(Evaluator(ev), Given(cipher, popped=True), Given(plain))
    assert problem.value.line >= 3


EVALUATE_FAILS = [
    "X = ev.rotate(plain['V',], 1)",
    "X = ev.multiply(X, X)",
    "X = ev.multiply(plain['V',], X)",
    "X = ev.multiply(X, 2)",
    "X = ev.sum([X, 3])",
    "X = ev.sum(X)",
    "X = Y(X)",
    "X = ev.rotate(1, X)",
    "X = ev.rotate(X, X)",
    "X = ev.sum(None_)",
    "n = 1\n    X = n[0]",
    "X = X[0]",
    "X = (q for q in range(3))[0]",
    "X = ev.conj((X for q in range(2)))",
    "X = ev.horner((X for q in range(0)), 1)",
    "X = ev.tree([])",
    "X = ev.rotate(X, 7)",
    "X = ev.rescale(X)",
    "X = X + 1",
    "X = 2*plain['V',]",
    "g = (Z for q in range(2))\n    X = ev.sum(g)\n    Z = X",
]


@pytest.mark.parametrize("body", EVALUATE_FAILS)
def test_evaluations_that_fail_in_python_fail(body: str) -> None:
    text = f"def f(ev, cipher, plain):\n    X = cipher.pop(('X', 0))\n    {body}\n    return {{}}"
    ev, cipher, plain = ciphertexts()
    with pytest.raises(Exception):  # noqa: B017
        executed(text, ev, cipher, plain)
    ev, cipher, plain = ciphertexts()
    with pytest.raises(Failed):
        function(text)(Evaluator(ev), Given(cipher, popped=True), Given(plain))


def test_every_node_of_python_is_listed_or_outside() -> None:
    from slotlang.validation.language import EXPRESSIONS, OPERATORS, STATEMENTS

    listed = {*EXPRESSIONS, *STATEMENTS, *OPERATORS}
    assert all(issubclass(node, ast.AST) and meaning for node, meaning in {**EXPRESSIONS, **STATEMENTS}.items())
    for kind in (ast.expr, ast.stmt, ast.operator, ast.unaryop, ast.cmpop):
        for node in kind.__subclasses__():
            if node not in listed and not node.__name__.startswith(("Num", "Str", "Bytes", "NameConst", "Ellipsis")):
                assert node.__name__ not in {n.__name__ for n in listed}


def test_functions_that_call_each_other_without_end() -> None:
    names: dict[str, Any] = {}
    names["f"] = function("def f(weights, n):\n    return f(weights, n)", **names)
    looped = Function(names["f"].definition, {**names["f"].names, "f": names["f"]})
    names["f"].names["f"] = looped  # type: ignore[index]
    with pytest.raises(Outside, match="without end"):
        looped(Given({}), 1)


def test_deep_nesting_is_outside() -> None:
    text = "def f(weights, n):\n    return " + "-" * 500 + "n"
    with pytest.raises(Outside, match="nesting"):
        check_body(ast.parse(text).body[0])  # type: ignore[arg-type]


def test_steps_are_spent_by_what_is_called_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slotlang.validation.scopes.MAX_STEPS", 5_000)
    inner = function("def g(weights):\n    return sum(q for q in range(1000))")
    outer = function("def f(weights, n):\n    return sum(g(weights) for q in range(1000))", g=inner)
    with pytest.raises(Outside, match="steps"):
        outer(Given({}), 1)
    assert interpreter.MAX_CALLS < 100
