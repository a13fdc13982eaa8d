"""Powers, exclusive ors, min, max, log2 and choices of integers: their values everywhere, against Python's own."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

import islpy as isl
import numpy as np
import pytest
from amounts import drawn, some
from repository import bind_text

from slotlang.diagnostics import SlotError
from slotlang.emit.numpy_text import Names, int_text
from slotlang.meaning.integers import Int, evaluate, interval, show, variables
from slotlang.meaning.program import Program
from slotlang.meaning.value import Shift
from slotlang.mutation.mutants import mutants
from slotlang.proof.sets import Box
from slotlang.recheck.decision import by_products
from slotlang.recheck.program import Program as Rechecked
from slotlang.refusals import GaveUp
from slotlang.syntax.formatter import format_program
from slotlang.syntax.parser import Source, parse

HEAD = """program p(n = 8, m = 4, min = 3, log2 = 5, if = 2)
input x[n, m]
axes (h < n, t < m)
cipher X = x[h, t]
"""
TAIL = "output y[h, t] = X\nprove y == x\n"
LOOPS = {"i": 3, "j": 4}
ENV = {"n": 8, "m": 4, "min": 3, "log2": 5, "if": 2}


def expression(rng: random.Random, depth: int, names: list[str]) -> str:
    """An integer expression that Python reads too, but for what its functions are called."""
    if not depth or rng.random() < 0.2:
        return rng.choice([*names, *names, "0", "1", "2", "3", "5"])
    a, b, c = (expression(rng, depth - 1, names) for _ in range(3))
    sign = rng.choice(["<", "<=", "==", "!=", ">", ">="])
    return rng.choice(
        [
            f"({a} + {b})",
            f"({a} - {b})",
            f"{a} * {rng.choice(['2', '3', 'm'])}",
            f"({a}) % {rng.choice(['3', '4', 'n'])}",
            f"({a}) // {rng.choice(['2', '3'])}",
            f"2**(({a}) % 5)",
            f"(({a}) % 3)**2",
            f"(({a}) % 8 ^ ({b}) % 6)",
            f"min({a}, {b})",
            f"max({a}, {b}, {c})",
            f"log2(n) * {a}",
            f"({a} if {b} {sign} {c} else {a})",
            f"({a} if {b} {sign} {c} and not {a} {sign} 2 else {c})",
            f"({a} if {b} {sign} {c} or 1 < {a} <= 3 else 2**(({b}) % 2))",
        ]
    )


def python(text: str, env: dict[str, int]) -> int:
    functions = {"log2": lambda v: v.bit_length() - 1}
    # a size may be called as a function is
    for name in ("min", "log2"):
        text = text.replace(f"{name}(", f"{name}_(")
    text = text.replace("max(", "max_(")
    names = {"min_": min, "max_": max, "log2_": functions["log2"], **env}
    return int(eval(text, {"__builtins__": {}}, names))


def amount(text: str, names: str = "i < 3, j < 4") -> tuple[Program, Int]:
    """The expression as an amount of a rotation."""
    program = bind_text(f"{HEAD}S[{names}] = X << {text}\n{TAIL}")
    body = program.families["S"].body
    assert isinstance(body, Shift)
    return program, body.amount


def points() -> Iterator[dict[str, int]]:
    for values in itertools.product(*(range(extent) for extent in LOOPS.values())):
        yield dict(zip(LOOPS, values, strict=True))


@drawn
@pytest.mark.parametrize("start", range(0, 120, 40))
def test_values_everywhere_are_those_of_python(start: int) -> None:
    """As numbers, as arrays, in intervals, as slot text, as emitted text, as isl sees them, and as the checker does."""
    decided = 0
    for seed in range(start, start + some(40)):
        rng = random.Random(seed)
        text = expression(rng, 3, ["i", "j", "n", "m", "min"])
        program, e = amount(text)
        wanted = {tuple(p.values()): python(text, {**ENV, **p}) for p in points()}
        # numbers, arrays
        assert {tuple(p.values()): evaluate(e, ENV, p) for p in points()} == wanted, text
        grid: Any = np.meshgrid(*(np.arange(n) for n in LOOPS.values()), indexing="ij")
        arrays = np.broadcast_to(evaluate(e, ENV, dict(zip(LOOPS, grid, strict=True))), tuple(LOOPS.values()))
        assert {p: int(arrays[p]) for p in wanted} == wanted, text
        # intervals
        low, high = interval(e, ENV, {name: (0, extent - 1) for name, extent in LOOPS.items()})
        assert low <= min(wanted.values()) and max(wanted.values()) <= high, text
        for p, value in wanted.items():
            at = {name: (v, v) for name, v in zip(LOOPS, p, strict=True)}
            assert interval(e, ENV, at) == (value, value), text
        # texts
        again = amount(show(e))[1]
        assert {tuple(p.values()): evaluate(again, ENV, p) for p in points()} == wanted, show(e)
        for digits in ((), ("i",), ("i", "j")):
            names = Names([*ENV, *LOOPS], [], ENV, digits)
            emitted = int_text(e, names)
            for p, value in wanted.items():
                loops = {names(k): np.array([v]) if k in digits else v for k, v in zip(LOOPS, p, strict=True)}
                found = eval(emitted, {"np": np, **{names(k): v for k, v in ENV.items()}, **loops})
                assert int(np.broadcast_to(found, 1)[0]) == value, (text, emitted)
                assert digits or type(found) is int, (text, emitted)
        # isl
        box = Box(program, isl.Context(), list(LOOPS.items()), (), with_slot=False)
        try:
            known = isl.Map.from_pw_aff(box.aff(e)).intersect_domain(box.points(()))
        except GaveUp:
            continue
        decided += 1
        graph = isl.Map.read_from_str(
            known.get_ctx(), "{ " + "; ".join(f"[{i}, {j}] -> [{v}]" for (i, j), v in wanted.items()) + " }"
        )
        assert known.is_equal(graph), text
    assert decided


@drawn
@pytest.mark.parametrize("start", range(0, 60, 20))
def test_the_checker_reads_the_same_values(start: int) -> None:
    for seed in range(start, start + some(20)):
        text = expression(random.Random(seed), 2, ["i", "j", "n", "m", "min"])
        condition = f"{text} == {python(text, {**ENV, 'i': 1, 'j': 2})}"
        source = f"{HEAD}S[i < 3, j < 4] = X * [{condition}]\noutput y[h, t] = S[1, 2]\nprove y == x\n"
        for _, over, sides in Rechecked(source, ENV).goals():
            assert by_products(over, sides)
        wrong = source.replace("S[1, 2]", "S[1, 2] where h == 0")
        held = {
            p: python(text, {**ENV, **dict(zip(LOOPS, p, strict=True))}) for p in itertools.product(range(3), range(4))
        }
        other = next((p for p, v in held.items() if v != held[1, 2]), None)
        if other is not None:
            wrong = source.replace("S[1, 2]", f"S[{other[0]}, {other[1]}]")
            with pytest.raises(Exception, match="differ"):
                for _, over, sides in Rechecked(wrong, ENV).goals():
                    by_products(over, sides)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 ** 3", 8),
        ("2 ** 3 ** 2", 512),
        ("-2 ** 2 + n", 4),
        ("(-2) ** 3 + 10", 2),
        ("0 ** 0", 1),
        ("min(n, m)", 4),
        ("min(n)", 8),
        ("max(n, m, 9)", 9),
        ("log2(n * m)", 5),
        ("log2(1)", 0),
        ("min + log2 * if", 13),
        ("n if n > m else m", 8),
        ("log2(n + 1) if n < m else log2(n)", 3),
        ("1 if n < m else 2 if n < m else 3", 3),
        ("(nothing if n < m else (n ^ m))", 12),
        ("(n ^ n + 1)", 1),
    ],
)
def test_sizes(text: str, value: int) -> None:
    program = bind_text(f"{HEAD}let z = {text}\n{TAIL}")
    assert program.sizes["z"] == value
    header = bind_text(f"program q(n = 8, m = 4, min = 3, log2 = 5, if = 2, z = {text})\ninput x[n]\naxes (h < n)\n"
                       "cipher X = x[h]\noutput y[h] = X\nprove y == x\n")  # fmt: skip
    assert header.sizes["z"] == value


def test_a_branch_that_is_not_taken_is_not_looked_at_slot_by_slot() -> None:
    amount("(2**(i - 1) if i > 0 else 2**(1 - i))")
    with pytest.raises(SlotError, match="SL240"):
        amount("(2**(i - 1) if i >= 0 else 2**(1 - i))")
    with pytest.raises(SlotError, match="SL240"):
        amount("(2**(i - 1) if i > 0 and j > 4 else 2**(1 - i))")
    # both conditions around it hold
    amount("((2**(i - 1) if i > 0 else 1) if j > 2 else 2**j)")


def test_words_stay_names() -> None:
    text = (
        "program p(min = 4, max = 2, log2 = 3)\nlet if = min(min, max)\ninput x[min, max]\naxes (h < min, t < max)\n"
        "cipher X = x[h, t if t < if else if]\noutput y[h, t] = X\nprove y == x\n"
    )
    program = bind_text(text)
    assert program.sizes["if"] == 2
    assert bind_text(format_program(program.syntax)).sizes == program.sizes
    assert not variables(program.tensors["x"].extents[0])


def test_mutants_reach_into_choices_and_functions() -> None:
    text = (
        "program p(n = 8)\ninput x[n]\naxes (h < n)\ncipher X = x[h]\n"
        "S[k < 3] = X if k == 0 else S[k - 1] << min(k, 2**k, (k ^ 1))\noutput y[h] = S[0]\nprove y == x\n"
    )
    found = {format_program(m.program) for m in mutants(parse(Source("p", text)))}
    for change in ("S[k < 3] = X\n", "k != 0", "max(k, 2**k", "min(k, 3**k", "(k ^ 2)", "S[k - 1] << k\n"):
        assert any(change in other for other in found), change
