"""Rules one by one: what they propose at small programs, and that the text keeps what they did not touch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from slotlang.meaning.bind import bind
from slotlang.optimize.families import same, unused, written_out
from slotlang.optimize.nested import nested
from slotlang.optimize.permutations import permutations_moved
from slotlang.optimize.rewriting import Rewrite, Subject, integer, substituted
from slotlang.optimize.sums import (
    baby_steps,
    evaluation,
    joined,
    rotations_moved,
    taken_out,
)
from slotlang.optimize.text import rewritten_text
from slotlang.proof.check import check
from slotlang.source import Source
from slotlang.syntax import tree
from slotlang.syntax.parser import parse

HEAD = """program small(n = 8, r = 4)
input x[n]
weight W[r, n], V[n]
axes (h < n)
perm p: slot -> n - 1 - slot
cipher X = x[h]
plain  D[q < r] = W[q, h]
plain  E = V[h]
"""


def texts(rule: Callable[[Subject], Iterator[Rewrite]], *statements: str, apart: bool = False) -> list[str]:
    """The statements after the packing in each program that a rule makes, without spaces."""
    source = HEAD + "\n".join(statements) + "\noutput y[h] = Y\nprove y == x\n"
    program = parse(Source("small", source))
    bound = bind(program)
    found = []
    for rewrite in rule(Subject(program, bound.sizes, bound.slots, apart=apart)):
        text = rewritten_text(program, rewrite.program, [])
        body = text.partition("plain  E")[2].partition("\n")[2].partition("\noutput")[0]
        found.append("; ".join(line.strip() for line in body.splitlines() if line.strip()))
    return found


@pytest.mark.parametrize(
    ("way", "apart", "others"),
    [
        ("", False, [" by horner", " by doubling"]),
        ("", True, [" by horner", " by doubling", " by doubling(4)", " by doubling(8)"]),
        (" by doubling", False, []),
        (" by doubling", True, [" by doubling(4)", " by doubling(8)"]),
        (" by doubling(4)", False, [" by doubling"]),
        (" by doubling(4)", True, [" by doubling", " by doubling(8)"]),
        (" by doubling(3)", True, [" by doubling", " by doubling(4)", " by doubling(8)"]),
    ],
)
def test_more_copies_at_a_time_only_where_they_share_work(way: str, apart: bool, others: list[str]) -> None:
    found = texts(evaluation, f"Y = sum q < n{way}: X << q", apart=apart)
    assert [t for t in found if "bsgs" not in t] == [f"Y = sum q < n{other}: X << q" for other in others]


@pytest.mark.parametrize(
    ("rule", "statement", "proposed"),
    [
        (evaluation, "Y = sum q < r: (X << q) * D[q]", "Y = sum q < r by bsgs(2): (X << q) * D[q]"),
        (evaluation, "Y = sum q < r, k < 2: (X << q) * D[k]", "Y = sum q < r: sum k < 2: (X << q) * D[k]"),
        (taken_out, "Y = sum q < r: (X * D[q]) << 2", "Y = (sum q < r: X * D[q]) << 2"),
        (taken_out, "Y = sum q < r: X * D[q]", "Y = (sum q < r: D[q]) * X"),
        (taken_out, "Y = (X << 1) + (X * E << 1)", "Y = X + X*E << 1"),
        (rotations_moved, "Y = (X << 1) * E", "Y = X * (E >> 1) << 1"),
        (rotations_moved, "Y = X * (E >> 1) << 1", "Y = (X << 1) * E"),
        (taken_out, "Y = sum q < r: X * D[q] << q + 2", "Y = (sum q < r: X * D[q] << q) << 2"),
        (taken_out, "Y = (X << 1) * E - (X << 1)", "Y = X * (E >> 1) - X << 1"),
        (nested, "Y = sum q < r: sum k < 2: (X << k) * D[q]", "Y = sum k < 2 by bsgs(1): sum q < r: (X << k) * D[q]"),
        (nested, "Y = sum q < r: sum k < 2 by doubling: X << k", "Y = sum k < 2 by doubling: (sum q < r: X) << k"),
        (
            nested,
            "Y = sum q < r, k < 2: X * D[q] << q + k*4",
            "Y = sum q < r by horner: (sum k < 2 by doubling: X * D[q] << k*4) << q",
        ),
        (nested, "Y = (sum q < r: X << q) + (sum k < r: E * X << k)", "Y = sum q < r by horner: X + E*X << q"),
        (joined, "Y = (X << 1) << 2", "Y = X << 1 + 2"),
        (joined, "Y = (X << 1) >> 1", "Y = X"),
        (joined, "Y = X << 8", "Y = X"),
        (joined, "Y = permute(permute(X, p), inverse(p))", "Y = X"),
        (permutations_moved, "Y = permute(X, p) - E", "Y = permute(X - permute(E, inverse(p)), p)"),
        (permutations_moved, "Y = permute(X, p) * E * 2", "Y = permute(X * permute(E, inverse(p)) * 2, p)"),
        (
            permutations_moved,
            "Y = sum q < r: permute(X, p) * D[q]",
            "Y = permute(sum q < r: X * permute(D[q], inverse(p)), p)",
        ),
    ],
)
def test_proposes(rule: Callable[[Subject], Iterator[Rewrite]], statement: str, proposed: str) -> None:
    assert proposed in texts(rule, statement)


@pytest.mark.parametrize(
    "rule", [evaluation, rotations_moved, taken_out, nested, joined, permutations_moved, written_out]
)
@pytest.mark.parametrize(
    "body",
    ["(X << q) * D[q]", "X * (D[q] >> q) << q", "(X * E + X * D[q]) << 3", "permute(X, p) * D[q]", "P * D[q] << 1"],
)
def test_keeps_the_meaning(rule: Callable[[Subject], Iterator[Rewrite]], body: str) -> None:
    """These rules never guess: the old and the new value, side by side in one program, are equal at every slot."""
    source = f"{HEAD}P = X * E\nY = sum q < r: {body}\noutput y[h] = Y\nprove y == x\n"
    program = parse(Source("small", source))
    bound = bind(program)
    old = next(s for s in program.statements if isinstance(s, tree.Define) and s.name == "Y")
    opened = substituted(old.body, {"P": parse(Source("p", "program p\nP = X * E\n")).statements[1].body})
    for rewrite in rule(Subject(program, bound.sizes, bound.slots)):
        new = next(s for s in rewrite.program.statements if isinstance(s, tree.Define) and s.name == "Y")
        before = tree.Define("compute", "Z", (), opened, old.span)
        difference = tree.Define("compute", "F", (), _minus(old), old.span)
        claim = parse(Source("c", "program c\nclaim F == 0 * x[0]\n")).statements[1]
        together = []
        for s in rewrite.program.statements:
            together.append(s)
            if s is new:
                together += [before, difference, claim]
        try:
            report = check(bind(tree.Program(program.source, tuple(together), ())))
        except Exception as problem:
            assert "SL401" in str(problem) or "SL403" in str(problem), rewrite.what
            continue
        assert ("claim F", "proved") in report.steps, rewrite.what


def _minus(like: tree.Define) -> tree.Expr:
    return tree.Binary("-", tree.Name("Z", like.span), tree.Name("Y", like.span), like.span)


def test_same_and_unused() -> None:
    kept = "Y = sum q < r: (X << 1) * D[q] * E"
    assert texts(unused, kept, "Z = Y << 1", "claim Z == x[(h + 2) % n]") == [kept]
    assert texts(unused, "Y = X * E", "plain  F[k < 2] = V[h]", "claim Y == F[0] * X") == ["Y = X * E"]
    assert "Z = X << 1; Y = X << 2" in texts(same, "Z = X << 1", "Y = Z << 2")


def test_written_out() -> None:
    assert "Y = X << 1 << 2" in texts(written_out, "Z = X << 1", "Y = Z << 2")
    assert "Y = X << 1 + 2" in texts(written_out, "Z = X << 1", "Y = Z << 2")
    assert "Y = (X << 2) * (E << 2)" in texts(written_out, "Z = X * E", "Y = Z << 2")


@pytest.mark.parametrize("extent", [2, 7, 16, 512])
def test_baby_steps(extent: int) -> None:
    for now in (None, 1, extent // 2 or 1):
        found = list(baby_steps(extent, now))
        assert all(1 <= n < extent for n in found)
        assert {1 << p for p in range(12) if 1 << p < extent} <= set(found)
    assert len(list(baby_steps(extent, 1))) <= 12


def test_integers() -> None:
    program = parse(Source("s", "program s(a = 12)\nlet b = (a - 2) // 3 % 2 * -a\n"))
    let = program.statements[1]
    assert isinstance(let, tree.Let)
    assert integer(let.value, {"a": 12}) == (12 - 2) // 3 % 2 * -12
    assert integer(let.value, {}) is None


def test_text_keeps_lines_and_comments() -> None:
    source = "# head\nprogram  small(n=8) # odd spacing\ninput x[n]\naxes (h<n)\n\n# packed\ncipher X = x[h]   # one\n"
    source += "Z = X<<1  # gone\nY = Z<<7 # stays\noutput y[h]=Y\nprove y == x\n"
    program = parse(Source("small", source))
    bound = bind(program)
    rewrite = next(iter(written_out(Subject(program, bound.sizes, bound.slots))))
    text = rewritten_text(program, rewrite.program, ["why"])
    for line in ("# head", "# why", "program  small(n=8) # odd spacing", "# packed", "output y[h]=Y"):
        assert line in text.splitlines()
    assert "# stays" in text
    assert "# gone" not in text
    assert parse(Source("small", text)).statements == rewrite.program.statements


@pytest.mark.parametrize("left", ["E * E", "(sum q < r: D[q] * D[q])", "(E - E)", "-E"])
@pytest.mark.parametrize("factor", ["", "E * E * "])
def test_long_statements_are_broken_at_their_sum(left: str, factor: str) -> None:
    """Whatever stands on its left, and with a factor before it."""
    long = f"{left} - {' * '.join(['E'] * 40)}"
    statements = f"Z = X << 1\nY = Z * {factor}({long})\noutput y[h] = Y\nprove y == x\n"
    program = parse(Source("small", HEAD + statements))
    bound = bind(program)
    for rewrite in written_out(Subject(program, bound.sizes, bound.slots)):
        text = rewritten_text(program, rewrite.program, [])
        assert parse(Source("small", text)).statements == rewrite.program.statements
        assert max(map(len, text.splitlines())) < 180
        assert text.startswith(HEAD)
