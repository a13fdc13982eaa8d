"""The library: every definition is documented and used here in a small program, which is proved and which the oracle
finds true."""

from __future__ import annotations

import re

import oracle
import pytest
from repository import ROOT

from slotlang.meaning.bind import bind
from slotlang.proof.check import check
from slotlang.source import Source
from slotlang.syntax import items
from slotlang.syntax.formatter import format_program
from slotlang.syntax.imports import LIBRARY
from slotlang.syntax.parser import parse, parse_file, read_source

IMPORT = 'import "std/layouts.slot" as l\nimport "std/schedules.slot" as s\n'
SQUARE = "program p(n = 4)\ninput x[n]\nweight M[n, n]\naxes (h < n)\ncipher X = x[h]\n"
DIAGONALS = "plain D[q < n] = l.diagonal(M, q)\n"
RESULT = "output y[h] = Y\nprove y == M @ x\n"

PROGRAMS = {
    "row": "program p(n = 4, m = 3)\ninput x[n]\nweight A[m, n]\naxes (h < n)\ncipher X = x[h]\n"
    "plain R[i < m] = l.row(A, i)\nY[i < m] = s.rotate_and_add(X * R[i], n, 1)\n"
    "output y[i] = Y[i] where h == 0\nprove y == A @ x\n",
    "column": "program p(m = 4, n = 3)\ninput x[n]\nweight A[m, n]\naxes (h < m)\ncipher X[j < n] = x[j]\n"
    "plain C[j < n] = l.column(A, j)\nY = sum j < n: X[j] * C[j]\noutput y[h] = Y\nprove y == A @ x\n",
    "diagonal": SQUARE + DIAGONALS + "Y = sum q < n: (X << q) * D[q]\n" + RESULT,
    "generalized_diagonal": "program p(n = 6, m = 2)\ninput x[n]\nweight A[m, n]\naxes (h < n)\ncipher X = x[h]\n"
    "plain D[q < m] = l.generalized_diagonal(A, q, m)\nY = s.hybrid_product(X, D, m, n)\n"
    "output y[h] = Y where h < m\nprove y == A @ x\n",
    "tile": "program p(rows = 2, columns = 3)\ninput X[3, 4]\nweight W[3, 4]\naxes (i < rows, j < columns)\n"
    "cipher T[a < 2, b < 2] = l.tile(X, a, b, rows, columns)\nplain V[a < 2, b < 2] = l.tile(W, a, b, rows, columns)\n"
    "claim T[a, b] == X[a*rows + i, b*columns + j] else 0\nY[a < 2, b < 2] = T[a, b] + V[a, b]\n"
    "output y[a*rows + i, b*columns + j] = Y[a, b]\nprove y == X + W\n",
    "roll": "program p(n = 3)\ninput X[n, n]\naxes (i < n, j < n)\ncipher R = l.roll(X, n)\n"
    "claim R == X[i, (i + j) % n]\noutput y[i, (i + j) % n] = R\nprove y == X\n",
    "interleaved": "program p(d = 4, t = 2)\ninput x[2*d, t]\naxes (h < d, b < t)\n"
    "cipher X[c < 2] = l.interleaved(x, c*d, t)\nclaim X[c] == x[c*d + h, b]\n"
    "output y[c*d + h, b] = X[c]\nprove y == x\n",
    "replicated": "program p(n = 2, k = 3)\ninput x[n]\naxes (g < k, h < n)\ncipher X = l.replicated(x, n)\n"
    "claim X == x[h]\nclaim X == X << n\noutput y[h] = X where g == 1\nprove y == x\n",
    "stretched": "program p(n = 2, k = 3)\ninput x[n]\naxes (g < n, h < k)\ncipher X = l.stretched(x, k)\n"
    "claim X == x[g]\noutput y[g] = X where h == 2\nprove y == x\n",
    "padded": "program p(n = 3)\ninput x[n]\naxes (h < 5)\ncipher X = l.padded(x)\nclaim X == x[h] else 0\n"
    "output y[h] = X\nprove y == x\n",
    "first_slots": "program p(n = 3, k = 2)\ninput x[n]\naxes (g < k, h < n)\ncipher X = l.replicated(x, n)\n"
    "Z = s.first_slots(X, n)\nclaim Z == [g == 0] * x[h]\noutput y[h] = Z where g == 0\nprove y == x\n",
    "rotate_and_add": "program p(n = 12, k = 3)\ninput x[n]\naxes (h < n)\ncipher X = x[h]\n"
    "Y = s.rotate_and_add(X, k, 4)\nclaim Y == x[h] + x[(h + 4) % n] + x[(h + 8) % n]\noutput y[h] = X\nprove y == x\n",
    "block_sums": "program p(n = 6, k = 3)\ninput x[n]\naxes (g < n/k, h < k)\ncipher X = x[slot]\n"
    "Y = s.block_sums(X, k)\nclaim Y == [h == 0] * (sum f < k: x[(k*g + f) % n])\noutput y[slot] = X\nprove y == x\n",
    "diagonal_product": SQUARE + DIAGONALS + "Y = s.diagonal_product(X, D, n)\n" + RESULT,
    "horner_product": SQUARE + DIAGONALS + "Y = s.horner_product(X, D, n)\n" + RESULT,
    "bsgs_product": SQUARE + DIAGONALS + "Y = s.bsgs_product(X, D, n, 2)\n" + RESULT,
    "hybrid_product": "program p(n = 4, m = 2, k = 2)\ninput x[k, n]\nweight A[m, n]\naxes (h < n)\n"
    "cipher X[c < k] = x[c, h]\nplain D[q < m] = l.generalized_diagonal(A, q, m)\n"
    "Y[c < k] = s.hybrid_product(X[c], D, m, n)\noutput y[c, h] = Y[c] where h < m\nprove y == (A @ x.T).T\n",
}
FILES = sorted(LIBRARY.glob("*.slot"))


def definitions() -> dict[str, items.Definition]:
    found = {}
    for path in FILES:
        for item in parse_file(read_source(path)).statements:
            assert isinstance(item, items.Definition), f"{path.name} has more than definitions"
            assert item.name not in found, "two files can be imported together"
            found[item.name] = item
    return found


def test_every_definition_is_used_in_a_program() -> None:
    assert set(PROGRAMS) == set(definitions())
    assert len(PROGRAMS) >= 12


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_that_uses_it_is_proved(name: str) -> None:
    text = PROGRAMS[name]
    assert re.search(rf"\b[ls]\.{name}\(", text)
    syntax = parse(Source("t.slot", IMPORT + text))
    assert oracle.judge(syntax, {}).correct
    report = check(bind(syntax))
    assert report.proved, report.lines()


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_is_documented(name: str) -> None:
    """By a comment right above it."""
    definition = definitions()[name]
    lines = definition.span.source.text.splitlines()
    above = lines[definition.head.line - 2]
    assert above.startswith("# ")
    assert above.endswith(".")


def test_files_are_formatted_and_named_in_the_reference() -> None:
    for one in FILES:
        text = one.read_text(encoding="utf-8")
        assert format_program(parse_file(Source(one.name, text))) == text
        assert f"std/{one.name}" in (ROOT / "docs" / "language.md").read_text(encoding="utf-8")


def test_a_wrong_use_is_refuted() -> None:
    wrong = SQUARE + "plain D[q < n] = l.diagonal(M.T, q)\n" + "Y = s.bsgs_product(X, D, n, 2)\n" + RESULT
    syntax = parse(Source("t.slot", IMPORT + wrong))
    assert not oracle.judge(syntax, {}).correct
    assert check(bind(syntax)).status == "refuted"


@pytest.mark.parametrize("sizes", [{"n": 6}, {"n": 9}, {"n": 64}])
@pytest.mark.parametrize("name", ["diagonal_product", "horner_product"])
def test_it_holds_at_other_sizes(name: str, sizes: dict[str, int]) -> None:
    assert check(bind(parse(Source("t.slot", IMPORT + PROGRAMS[name])), sizes)).proved
