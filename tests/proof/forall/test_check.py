"""Verdicts for all sizes: what they cover, and that concrete sizes agree."""

from __future__ import annotations

import json
from itertools import product
from random import Random

import pytest
from amounts import one_in
from command_line import slotlang
from repository import PROGRAMS, bind_text, program_text
from test_corpus import CORPUS, ids, script

from slotlang.diagnostics import SlotError
from slotlang.meaning.bind import bind
from slotlang.proof.check import Checker
from slotlang.proof.forall import check as module
from slotlang.proof.forall.check import check_for_all
from slotlang.proof.forall.conditions import conditions
from slotlang.proof.forall.size_solver import cases
from slotlang.proof.verdict import Disagreement, Outcome
from slotlang.source import Source
from slotlang.syntax import tree
from slotlang.syntax.parser import parse, read_source

INDEX = script("make_corpus")
SAID = {name: INDEX.for_all(line) for name, line in INDEX.lines().items()}
"""What docs/corpus.md says of all sizes. It says why what is right is not shown."""


def header(syntax: tree.Program) -> tuple[str, ...]:
    return tuple(size.name for s in syntax.statements if isinstance(s, tree.Header) for size in s.sizes)


@pytest.mark.parametrize("path", one_in(6, CORPUS, lambda p: p.stem))
def test_corpus(path):
    text = path.read_text()
    report = check_for_all(parse(read_source(path)), ["all"])
    expected = SAID[ids(path)]
    assert (expected == "refuted") == ("expect: refuted" in text)
    assert report.status == expected, f"{report.reason}; where this is better, run python docs/make_corpus.py"
    assert report.for_all is not None
    if expected == "proved":
        assert report.for_all.checked
    if expected == "refuted":
        assert report.counterexample is not None and report.for_all.refuted_at is not None


def small(names: tuple[str, ...], seed: int) -> list[dict[str, int]]:
    """Small choices of sizes, those that many conditions like among them."""
    draw = Random(seed)
    found = [dict(zip(names, values, strict=True)) for values in product((1, 2, 4), repeat=len(names))]
    found = draw.sample(found, min(len(found), 20))
    for _ in range(30):
        found.append({name: draw.choice((0, 1, 2, 3, 4, 6, 8, 12)) for name in names})
    return found


@pytest.mark.parametrize("path", one_in(6, CORPUS, lambda p: p.stem))
def test_what_is_covered_is_what_has_a_meaning(path):
    syntax = parse(read_source(path))
    names = header(syntax)
    found = conditions(syntax, {}, names)
    proofs = 0
    for sizes in small(names, 1):
        try:
            program = bind(syntax, sizes)
        except SlotError:
            assert not found.hold(sizes), sizes
            continue
        assert found.hold(sizes), sizes
        if "expect: proved" in path.read_text() and proofs < 2:
            proofs += 1
            results, _ = Checker(program).polyhedral()
            assert {outcome.status for _, outcome in results} == {"proved"}, sizes


@pytest.mark.parametrize("name", ["rank_complex", "lora_xs", "seed/joint", "seed/lanes", "seed/combined", "two_tokens"])
def test_symbols_reach_every_size(name):
    syntax = parse(read_source(PROGRAMS / f"{name}.slot"))
    names = header(syntax)
    found = conditions(syntax, {}, names)
    most = 8
    meant = {v for v in product(range(1, most + 1), repeat=len(names)) if found.hold(dict(zip(names, v, strict=True)))}
    reached = set()
    for symbols in cases(found):
        own = sorted(symbols.names())
        for values in product(range(1, most + 1), repeat=len(own)):
            point = dict(zip(own, values, strict=True))
            sizes = tuple(int(symbols.sizes[n].value(point)) for n in names)
            if max(sizes) <= most:
                reached.add(sizes)
    assert meant and reached == meant


def test_a_quotient_of_a_product():
    """t divides s*u in more than one way: every one is reached."""
    syntax = parse(Source("p", "program p(s = 2, u = 6, t = 4)\nlet k = s * u / t\ninput x[s, u, t, k]\n"))
    found = conditions(syntax, {}, ("s", "u", "t"))
    (symbols,) = cases(found)
    own = sorted(symbols.names())
    reached = set()
    for values in product(range(1, 13), repeat=len(own)):
        point = dict(zip(own, values, strict=True))
        reached.add(tuple(int(symbols.sizes[n].value(point)) for n in ("s", "u", "t")))
    assert all(s * u % t == 0 for s, u, t in reached)
    for s, u, t in product(range(1, 13), repeat=3):
        assert s * u % t or (s, u, t) in reached


EXAMPLE = program_text("rank_complex")
WRONG = [
    ("P[q] << q*batch", "P[q] << (q + 1)*batch"),
    ("P[q] << q*batch", "P[q] >> q*batch"),
    ("T << f*R*batch", "T << f*batch"),
    ("f < C/R", "f < C"),
    ("B[(h - q) % R, c*C + h] +", "B[(h + q) % R, c*C + h] +"),
    ("(h - q) % R + R, c*C", "(h - q) % R, c*C"),
    ("- 1i * A", "+ 1i * A"),
    ("re Y[c]", "im Y[c]"),
    ("(S << q*batch) * V", "(S << q) * V"),
    ("y[c*C + h, t]", "y[h*K + c, t]"),
    ("cipher X[c < K] = x[c*C + h, t]", "cipher X[c < K] = x[h*K + c, t]"),
]


@pytest.mark.parametrize(("right", "wrong"), one_in(2, WRONG, " - ".join))
@pytest.mark.parametrize("names", [["all"], pytest.param(["d"], marks=pytest.mark.slow)])
def test_wrong_programs_are_refuted(right, wrong, names):
    assert EXAMPLE.count(right) == 1
    report = check_for_all(parse(Source("p", EXAMPLE.replace(right, wrong))), names)
    assert report.status == "refuted"
    assert report.for_all is not None and report.for_all.refuted_at is not None


def test_wrong_at_some_sizes_only():
    """Without its requirement the program is right where C % R is 0 by chance."""
    text = EXAMPLE.replace("require C % R == 0\n", "").replace("f < C/R", "f < C//R")
    assert bind_text(text)
    assert check_for_all(parse(Source("p", text)), ["all"]).status == "refuted"


HALVES = """program halves(k = 2, l = 3, n = 4)
input a[k + l, n]
axes (t < n)
cipher X[c < k] = a[c, t]
cipher Z[c < l] = a[c + k, t]
output y[c, t] = X[c]
output y[c + k, t] = Z[c]
prove y == a
"""


def test_binders_of_one_name_and_different_extents():
    assert check_for_all(parse(Source("p", HALVES)), ["all"]).status == "proved"
    missing = HALVES.replace("Z[c < l] = a[c + k", "Z[c < l] = a[c + l").replace("y[c + k", "y[c + l")
    assert check_for_all(parse(Source("p", missing)), ["all"]).status != "proved"
    short = HALVES.replace("cipher Z[c < l]", "cipher Z[c < k]").replace("l = 3", "l = 2")
    assert check_for_all(parse(Source("p", short)), ["all"]).status != "proved"


def test_cycles_that_move_with_a_size():
    text = "program p(n = 4)\ninput x[n]\naxes (h < n)\nperm q: cycles (0, n - 1)\ncipher X = x[h]\n"
    text += "Y = permute(permute(X, q), q)\noutput y[h] = Y\nprove y == x\n"
    assert check_for_all(parse(Source("p", text)), ["n"]).status == "unknown"


def test_methods():
    syntax = parse(Source("p", EXAMPLE))
    linear = check_for_all(syntax, ["d"])
    assert (linear.status, linear.method) == ("proved", "polyhedral")
    assert linear.for_all is not None and linear.for_all.symbols == ({"d": "512*K"},)
    assert check_for_all(syntax, ["d", "batch", "slots"]).method == "mixed-radix"
    ranks = check_for_all(syntax, ["r"])
    assert ranks.status == "proved" and ranks.for_all is not None
    assert [int(s["r"]) for s in ranks.for_all.symbols] == [2 << n for n in range(10)]


def test_a_contradiction_is_an_error(monkeypatch):
    wrong = parse(Source("p", EXAMPLE.replace("- 1i * A", "+ 1i * A")))
    monkeypatch.setattr(module.MixedRadix, "prove", lambda self: [("output y", Outcome("proved"))])
    with pytest.raises(Disagreement):
        check_for_all(wrong, ["all"])


def test_a_read_that_leaves_its_tensor_at_some_sizes():
    text = "program p(n = 4, m = 4)\ninput x[n]\naxes (h < m)\ncipher X = x[h]\noutput y[h] = X\nprove y == x\n"
    report = check_for_all(parse(Source("p", text)), ["n", "m"])
    assert report.status == "unknown" and any("SL308" in note for note in report.notes)


def test_a_size_used_as_a_number():
    text = "program p(n = 4)\ninput x[n]\naxes (h < n)\ncipher X = n * x[h]\noutput y[h] = X\nprove y == n * x\n"
    report = check_for_all(parse(Source("p", text)), ["n"])
    assert report.status == "unknown" and "'n' is used as a number" in report.reason


@pytest.mark.parametrize(
    ("claim", "open_", "said"),
    [
        ("x[(h + k) % n]", "all", ""),
        ("x[(h + k) % n]", "n", ""),
        ("sum i < k + 1: [i == k] * x[(h + i) % n]", "n", ""),
        (
            "sum i < k * k + 1: [i == 0] * x[(h + k) % n]",
            "n",
            "line 6: `k*k + 1 >= 1` is asked for at each value of a loop that is written out; whether the extent",
        ),
    ],
)
def test_recursion(claim, open_, said):
    """Members are written out where their number is known, and kept whole where it is not."""
    text = f"""program p(n = 8, K = 3)
input x[n]
axes (h < n)
cipher X = x[h]
S[k < K] = (X if k == 0 else S[k - 1] << 1)
claim S[k] == {claim}
output y[(h + K - 1) % n] = S[K - 1]
prove y == x
"""
    report = check_for_all(parse(Source("p", text)), [open_])
    assert report.status == ("unknown" if said else "proved")
    assert report.reason.startswith(said)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--for-all", "D"], "SL720"),
        (["--for-all", "K"], "SL720"),
        (["--for-all", "d", "--set", "d=512"], "SL721"),
        (["--for-all", "d", "--method", "exact"], "SL723"),
        (["--for-all", "d", "--certificate", "never.json"], "SL723"),
        (["--for-all", "d,,r"], "SL005"),
        (["--for-all", "d,d"], "SL005"),
        (["--for-all", "d", "--set", "slots=12"], "SL724"),
    ],
)
def test_bad_arguments(options, code):
    found = slotlang("check", str(PROGRAMS / "rank_complex.slot"), *options, "--json")
    assert found.status == 2
    assert code in found.out


def test_a_size_without_a_role(tmp_path):
    path = tmp_path / "p.slot"
    path.write_text(
        "program p(n = 4, k = 3)\ninput x[n]\naxes (h < n)\ncipher X = x[h]\noutput y[h] = X\nprove y == x\n"
    )
    found = slotlang("check", str(path), "--for-all", "k", "--json")
    assert found.status == 2 and "SL722" in found.out


def test_what_a_person_and_a_program_read():
    path = str(PROGRAMS / "rank_complex.slot")
    shown = slotlang("check", path, "--for-all", "all")
    assert shown.status == 0
    for text in ("d, r, batch, slots >= 1", "C = slots / batch", "C % R == 0", "that is, d = K*R*n1"):
        assert text in shown.out
    (entry,) = json.loads(slotlang("check", path, "--for-all", "all", "--json").out)["files"]
    assert entry["report"]["method"] == "mixed-radix" and entry["report"]["subject"] == "all sizes"
    covered = entry["report"]["for_all"]
    assert covered["sizes"] == ["d", "r", "batch", "slots"] and covered["fixed"] == {}
    assert "C % R == 0" in covered["conditions"]


@pytest.mark.parametrize(
    ("theorem", "code"),
    [("sum j < n: x[j]", "SL303"), ("x[0]", "SL303"), ("2 @ x", "SL220"), ("x + [0 == 0]", "SL221")],
)
def test_a_theorem_that_is_none_is_refused_at_every_size_as_at_one(theorem: str, code: str) -> None:
    text = "program p(n = 4)\ninput x[n]\naxes (h < n)\ncipher X = x[h]\noutput y[h] = X\n"
    syntax = parse(Source("t.slot", f"{text}prove y == {theorem}\n"))
    for refused in (lambda: bind(syntax), lambda: check_for_all(syntax, ["all"])):
        with pytest.raises(SlotError) as raised:
            refused()
        assert [d.code for d in raised.value.diagnostics] == [code]


@pytest.mark.parametrize("divisor", [2, 3])
def test_sizes_that_meet_no_condition_are_told(divisor: int) -> None:
    """What is required contradicts a quotient: an error of the user's, and no failure of the solver."""
    text = f"program p(n = 7)\ninput x[n]\nrequire n % {divisor} == {divisor - 1}\nlet m = n / {divisor}\n"
    text += "axes (h < n)\ncipher X = x[h]\noutput y[h] = X\nprove y == x\n"
    with pytest.raises(SlotError) as raised:
        check_for_all(parse(Source("t.slot", text)), ["all"])
    assert {d.code for d in raised.value.diagnostics} <= {"SL204", "SL214"}
