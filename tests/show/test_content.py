"""What slots are said to hold, against the reference meaning of values; repetition by brute force."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import generate
import numpy as np
import pytest
from amounts import examples
from hypothesis import given
from hypothesis import strategies as st
from repository import bind_text

from slotlang.diagnostics import SlotError
from slotlang.graph.ring import PlainEvaluator
from slotlang.meaning.bind import bind
from slotlang.meaning.integers import SLOT, IntConst, IntVar
from slotlang.meaning.program import Claim, Program
from slotlang.meaning.value import FamilyRef
from slotlang.proof.field import PRIMES, Field, random_field
from slotlang.show import holding
from slotlang.show.content import contents, parse_target
from slotlang.show.overview import overview
from slotlang.show.repetition import repetition
from slotlang.show.symbolic import Named, polynomials
from slotlang.syntax.parser import parse, read_source

FOLDER = Path(__file__).resolve().parent
P = PRIMES[0]


def program(text: str, **sizes: int) -> Program:
    return bind_text(text, sizes)


def rank_complex(**sizes: int) -> Program:
    return bind(parse(read_source(FOLDER / "rank_complex.slot")), sizes)


SMALL = {"d": 32, "r": 4, "batch": 4, "slots": 32}

ODD = """program odd(n = 10, slots = 16)
input x[n]
weight A[n, n]
scalar g
axes (a < 2, b < 2, c < 4)
perm p: (a, b, c) -> (c, b, a)
cipher X = x[slot] else 0
plain M = [slot < 5] + 1/2 * [slot >= 14] - 1/3 * 1i * [slot == 7]
plain W[k < 3] = g * (A[k, slot // 2] - 1/2 * A[slot // 2, k]) * [b == 0]
plain N = 3/4 * (2 - 1i) * A[slot % 5, 0] - A[0, slot % 10]
Z = permute(X, p) * M
U = permute(Z, inverse(p)) * X
S = sum i < 16: X << i
V = S * S - permute(S, p) * S
R = conj (X * N) + 1i * X * N
output y[slot] = Z
prove y == A @ x
"""


class Gaussian:
    """``2i`` in a text: an integer times a square root of -1 modulo P."""

    def __init__(self, field: Field, root: int) -> None:
        self.names: dict[str, Any] = {"F": Fraction, "J": int(field.i[0, root, 0])}
        for name, decl in field.program.tensors.items():
            values = [int(v) for v in field.tensors[name][0]]
            self.names[name] = np.array(values, object).reshape(decl.shape)
        self.names.update((name, int(field.scalars[name][0])) for name in field.program.scalars)

    def value(self, text: str) -> int:
        """A text such as ``1/2 * (A[0, 1] - 2i * x[3])``, evaluated as Python."""
        text = re.sub(r"\b(\d+)i\b", r"(\1 * J)", text)
        text = re.sub(r"(\b\d+)/(\d+\b)", r"F(\1, \2)", text)
        value = Fraction(eval(text, {"__builtins__": {}}, self.names))
        return value.numerator * pow(value.denominator, -1, P) % P


def reference(p: Program, field: Field, name: str, member: tuple[int, ...]) -> Any:
    """The value of a member by its definition, (roots, slots)."""
    evaluator = PlainEvaluator(p, field)
    ref = FamilyRef(name, tuple(IntConst(i) for i in member), p.families[name].span)
    value = evaluator.value(ref, {}, evaluator.all_slots)
    return np.broadcast_to(value[0], (2, p.slots))


def check_texts(p: Program, monkeypatch: pytest.MonkeyPatch, claims: list[Claim] | None) -> int:
    """Every slot of the first and last member of every family: text, emptiness and groups. Counts slots."""
    field = random_field(p, PRIMES[:1], 7)
    gaussians = [Gaussian(field, root) for root in (0, 1)]
    checked = 0
    for name, family in p.families.items():
        for member in {(0,) * len(family.binders), tuple(b.size - 1 for b in family.binders)}:
            values = reference(p, field, name, member)
            found = contents(p, name, member, claims=claims)
            with monkeypatch.context() as patch:
                patch.setattr(holding, "MAX_WRITTEN", 10**9)
                held = found.holdings(range(p.slots))
            assert found.compared == "exact"
            assert found.groups is not None
            for slot, h in enumerate(held):
                for root, gaussian in enumerate(gaussians):
                    assert gaussian.value(h.text) == int(values[root, slot]), (name, member, slot, h)
                    assert gaussian.value(h.short) == int(values[root, slot]), (name, member, slot, h)
                assert h.empty == (h.text == "0") == (found.groups[slot] < 0) == (not values[:, slot].any())
                checked += 1
            same_text = [[a.text == b.text for b in held] for a in held]
            same_value = [[bool((values[:, a] == values[:, b]).all()) for b in range(p.slots)] for a in range(p.slots)]
            same_group = (found.groups[:, None] == found.groups[None, :]).tolist()
            assert same_text == same_value == same_group
    return checked


@pytest.mark.parametrize("text", [ODD], ids=["odd"])
def test_texts_mean_what_slots_hold(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_texts(program(text), monkeypatch, []) > 100


@pytest.mark.parametrize("claims", [None, []], ids=["claimed", "defined"])
def test_rank_complex(claims: list[Claim] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    check_texts(rank_complex(d=16, r=4, batch=2, slots=8), monkeypatch, claims)


@pytest.mark.parametrize("seed", range(16))
def test_random_programs(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text, _ = generate.random_program(Random(seed))
    check_texts(program(text), monkeypatch, [])


def test_texts() -> None:
    p = rank_complex()
    assert contents(p, "X", (3,)).text(9) == "x[1537, 1]"
    assert contents(p, "W", (2, 5)).text(8) == "B[7, 2561] + 1i * B[15, 2561]"
    assert contents(p, "V").text(0) == "scale * (A[0, 0] - 1i * A[0, 8])"
    assert contents(p, "S").text(24) == "(B @ x)[3, 0] + 1i * (B @ x)[11, 0]"
    assert contents(p, "S", claims=()).text(0) == "sum of 8,192 products, e.g. B[0, 0] * x[0, 0]"
    assert contents(p, "Y").text(0) == "sum of 32 products, e.g. scale * A[0, 0] * (B @ x)[0, 0]"
    odd = program(ODD)
    assert [contents(odd, "M").text(s) for s in (0, 6, 7, 15)] == ["1", "0", "-1/3 * 1i", "1/2"]
    assert contents(odd, "W", (2,)).text(4) == "0"
    assert contents(odd, "N").text(5) == "(3/2 - 3/4 * 1i) * A[0, 0] - A[0, 5]"
    assert contents(odd, "X").holdings([3])[0].short == "x[3]"


def test_the_same_product_written_twice() -> None:
    p = program(
        "program p(n = 4, slots = 4)\ninput x[n]\nweight A[n, n]\nscalar g\ncipher X = x[slot]\n"
        "plain W = (A @ A)[slot, 0] - (A.T @ A.T)[0, slot] + 2 * (g * A @ A + A)[0, slot] + (A.T)[slot, 0]\n"
        "output y[slot] = X\nprove y == x\n"
    )
    found = contents(p, "W")
    assert found.text(1) == "3 * A[0, 1] + 2 * g * (A @ A)[0, 1]"
    field = random_field(p, PRIMES[:1], 3)
    values = reference(p, field, "W", ())
    assert [Gaussian(field, 0).value(found.text(s)) for s in range(4)] == [int(v) for v in values[0]]
    assert "A.T" not in found.text(1)
    assert found.holdings([1])[0].products == 2


def test_sparse_zeros_are_empty() -> None:
    p = program(
        "program p(n = 4, slots = 4)\ninput x[n]\nweight A[i < n, j < n] sparse where i == j\ncipher X = x[slot]\n"
        "plain W = A[slot, 1]\noutput y[slot] = X\nprove y == x\n"
    )
    assert [contents(p, "W").text(s) for s in range(4)] == ["0", "A[1, 1]", "0", "0"]


def test_claims_are_taken_at_their_word_and_named() -> None:
    p = rank_complex()
    assert [line for line, _ in contents(p, "S").claims] == [23]
    assert contents(p, "S").claims[0][1] == "S == (B @ x)[h % R, t] + 1i * (B @ x)[h % R + R, t]"
    assert contents(p, "T").claims == ()
    assert contents(p, "Y", (2,)).claims == contents(p, "S").claims
    assert contents(p, "S", claims=()).claims == ()


def test_claims_about_some_slots() -> None:
    p = program(
        "program p(n = 4, slots = 4)\ninput x[n]\nweight A[n]\ncipher X = x[slot]\nplain W = A[slot]\nY = X * W\n"
        "claim Y == A[0] * x[slot] where slot < 2\noutput y[slot] = Y\nprove y == x\n"
    )
    found = contents(p, "Y")
    assert [found.text(s) for s in range(4)] == ["A[0] * x[0]", "A[0] * x[1]", "A[2] * x[2]", "A[3] * x[3]"]


def test_claims_that_speak_of_their_own_family() -> None:
    p = program(
        "program p(n = 4, slots = 4)\ninput x[n]\nweight A[n]\ncipher X = x[slot]\nplain W = A[slot]\nY = X * W\n"
        "claim Y == Y + X - X\nclaim Y == 2 * Y - A[slot] * x[slot] where slot != 1\nclaim X == X\nclaim Y == Y\n"
        "output y[slot] = Y\nprove y == x\n"
    )
    found = contents(p, "Y")
    assert [found.text(s) for s in range(4)] == [f"A[{s}] * x[{s}]" for s in range(4)]


# repetition


def test_repetition_of_rank_complex() -> None:
    p = rank_complex()
    assert contents(p, "X").summary() == "no two slots hold the same"
    assert contents(p, "W", (2, 5)).summary() == "512 distinct contents, each 8 times, the same for every t"
    assert contents(p, "S").summary() == "64 distinct contents, each 64 times, period 64"
    by_value = contents(p, "S", claims=())
    assert by_value.compared == "random"
    assert by_value.summary() == "64 distinct contents, each 64 times, period 64 (compared by values at a random point)"
    skipped = contents(p, "S", claims=(), compare=False)
    assert skipped.groups is None
    assert "8,192 products" in skipped.summary()


@examples(150)
@given(st.lists(st.integers(-1, 2), min_size=1, max_size=24))
def test_repetition_by_brute_force(values: list[int]) -> None:
    first: dict[int, int] = {}
    groups = [-1 if v < 0 else first.setdefault(v, len(first)) for v in values]
    n = len(groups)
    found = repetition(np.array(groups, np.int64), (("i", n),))
    counts = [groups.count(g) for g in set(groups) - {-1}]
    assert (found.distinct, found.empty) == (len(counts), groups.count(-1))
    assert (found.least, found.most) == (min(counts, default=0), max(counts, default=0))
    assert found.period == min(k for k in range(1, n + 1) if groups[k % n :] + groups[: k % n] == groups)
    assert found.stride == min(k for k in range(1, n + 1) if groups[k:] == groups[: n - k])
    aligned = [k for k in range(1, n + 1) if n % k == 0 and all(g == groups[i - i % k] for i, g in enumerate(groups))]
    assert found.run == max(aligned)
    assert found.sentence()


@examples()
@given(st.tuples(*[st.integers(1, 4)] * 3), st.sets(st.integers(0, 2)))
def test_digits_that_do_not_matter(extents: tuple[int, int, int], used: set[int]) -> None:
    points = list(product(*(range(e) for e in extents)))
    first: dict[tuple[int, ...], int] = {}
    groups = [first.setdefault(tuple(p[k] for k in sorted(used)), len(first)) for p in points]
    found = repetition(np.array(groups, np.int64), tuple(zip("abc", extents, strict=True)))
    assert found.free == tuple("abc"[k] for k in range(3) if extents[k] > 1 and k not in used)


def test_sentences() -> None:
    def sentence(groups: list[int], *axes: tuple[str, int]) -> str:
        return repetition(np.array(groups, np.int64), axes).sentence()

    assert sentence([-1, -1]) == "every slot is empty"
    assert sentence([0, 0, 0]) == "every slot holds the same"
    assert sentence([0, 1, -1]) == "no two slots hold the same; 1 slot empty"
    assert sentence([0, 0, 0, -1]) == "3 slots hold the same; 1 slot empty"
    assert sentence([0, 0, 1, 1]) == "2 distinct contents, each 2 times, in runs of 2"
    assert sentence([0, 1, 2, 0, 1, 2, 0]) == (
        "3 distinct contents, each 2 or 3 times, repeating every 3 slots, cut short at the end"
    )
    assert sentence([0, 0, 1, 1, 0, 0, 1, 1], ("a", 2), ("b", 2), ("c", 2)) == (
        "2 distinct contents, each 4 times, the same for every a and c, period 4"
    )


# names, limits, data


def test_targets() -> None:
    assert parse_target("X") == ("X", ())
    assert parse_target(" W[2, 5] ") == ("W", (2, 5))
    assert parse_target("W [ 2,-5 ]") == ("W", (2, -5))
    for bad in ("", "W[", "W[]", "W[1,]", "W[q]", "W]", "1", "W[1][2]", "W[1 2]", "W[" + "9" * 5000 + "]", "W[²]"):
        with pytest.raises(SlotError) as caught:
            parse_target(bad)
        assert caught.value.diagnostics[0].code == "SL602"


@pytest.mark.parametrize(
    ("name", "member", "message", "hint"),
    [
        ("PP", (), "the program has no family 'PP'", "did you mean 'P'?"),
        ("weights", (), "the program has no family 'weights'", ""),
        ("w", (), "the program has no family 'w'", "did you mean 'W'?"),
        ("x", (), "'x' is an input, and families are drawn", "did you mean 'X'?"),
        ("scale", (), "'scale' is a scalar, and families are drawn", ""),
        ("y", (), "'y' is a result, and families are drawn", "did you mean 'Y'?"),
        ("W", (1,), "'W' has 2 indices, and 1 index given", "write W[q < 8, c < 8]"),
        ("S", (1,), "'S' has no indices, and 1 index given", "write S"),
        ("X", (8,), "'X' has no member c = 8", "members are X[c < 8]"),
        ("X", (-1,), "'X' has no member c = -1", "members are X[c < 8]"),
    ],
)
def test_unknown_families(name: str, member: tuple[int, ...], message: str, hint: str) -> None:
    with pytest.raises(SlotError) as caught:
        contents(rank_complex(), name, member)
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.code, diagnostic.message, diagnostic.hint) == ("SL601", message, hint)


def test_without_indices_the_first_member() -> None:
    p = rank_complex()
    assert contents(p, "W").title == "W[0, 0]"
    assert contents(p, "S").title == "S"


def test_too_large_to_draw() -> None:
    with pytest.raises(SlotError) as caught:
        contents(rank_complex(d=1 << 22, slots=1 << 22, batch=8), "X")
    assert caught.value.diagnostics[0].code == "SL603"
    huge = "program p(n = 1099511627776, slots = 4)\ninput x[n, n]\ncipher X = x[slot, slot]\n"
    with pytest.raises(SlotError) as caught:
        contents(program(huge + "output y[slot, slot] = X\nprove y == x\n"), "X")
    assert caught.value.diagnostics[0].code == "SL603"


def test_large_numbers_are_exact() -> None:
    big = 2**36 + 1
    text = (
        "program p(n = 4, slots = 4)\ninput x[n]\ncipher X = x[slot]\n"
        + f"Y = {big} * {big} * {big} * X - 1/{big} * X\n"
    )
    p = program(text + "output y[slot] = Y\nprove y == x\n")
    assert contents(p, "Y").text(1) == f"{Fraction(big**3) - Fraction(1, big)} * x[1]"
    wide = Named(
        program(
            "program p(n = 2097152, slots = 2)\ninput x[n, 1024]\ncipher X = x[slot, slot]\n"
            "Y = X * X * X * X * (X << 1)\noutput y[slot, slot] = Y\nprove y == x\n"
        )
    )
    terms = wide.member("Y", (), IntVar(SLOT))
    found = polynomials(wide, terms, np.arange(2))
    assert [found.atoms.text(a) for a in found.polynomial(0)[0][0]] == ["x[0, 0]"] * 4 + ["x[1, 1]"]
    assert [found.atoms.text(a) for a in found.polynomial(1)[0][0]] == ["x[0, 0]"] + ["x[1, 1]"] * 4


def test_json() -> None:
    p = rank_complex(**SMALL)
    data = contents(p, "W", (1, 2)).to_json(limit=5)
    assert json.loads(json.dumps(data)) == data
    assert (data["family"], data["member"], data["kind"], data["slots"]) == ("W", [1, 2], "plain", 32)
    assert data["axes"] == [{"name": "h", "extent": 8}, {"name": "t", "extent": 4}]
    assert (data["compared"], data["distinct"], data["free"]) == ("exact", 8, ["t"])
    listed = data["contents"]
    assert isinstance(listed, list)
    assert len(listed) == 5
    assert data["truncated"] is True
    assert listed[4] == {
        "slot": 4,
        "digits": {"h": 1, "t": 0},
        "holds": "B[0, 17] + 1i * B[2, 17]",
        "products": 2,
        "counted": True,
        "group": 1,
        "wrong": None,
    }
    assert contents(p, "W").to_json(limit=32)["truncated"] is False
    assert set(contents(p, "Y", claims=()).to_json()) == set(data)


def test_overview() -> None:
    rows = {row.family: row for row in overview(rank_complex(**SMALL))}
    assert list(rows) == ["X", "W", "P", "T", "S", "V", "Y"]
    assert (rows["W"].members, rows["W"].ciphertexts, rows["W"].distinct, rows["W"].empty) == (8, 0, 8, 0)
    assert (rows["X"].members, rows["X"].ciphertexts, rows["X"].distinct) == (4, 4, 32)
    assert (rows["S"].distinct, [line for line, _ in rows["S"].claims]) == (8, [23])
    assert json.dumps([row.to_json() for row in rows.values()])
