"""Single changes of a program: each is one change, and its text says what its tree says."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from judging import tiny
from repository import PROGRAMS

from slotlang.mutation.mutants import Mutation, mutants
from slotlang.source import Source
from slotlang.syntax.parser import parse
from slotlang.words import SLOTWISE_WORDS

CORPUS = sorted(PROGRAMS.glob("**/*.slot"))


def found(*statements: str) -> dict[str, set[str]]:
    """The statements that changes of a small program make, by kind."""
    text = "program small(n = 4)\ninput x[n]\nweight A[n, n]\nscalar s\naxes (h < n)\ncipher X = x[h]\n"
    text += "\n".join(statements) + "\noutput y[h] = X\nprove y == x\n"
    kinds: dict[str, set[str]] = {}
    for mutation in mutants(parse(Source("small", text))):
        kinds.setdefault(mutation.kind, set()).add("\n".join(mutation.lines()))
    return kinds


@pytest.mark.parametrize(
    ("theorem", "changed"),
    [
        ("y == x ** 2", "y == x"),
        ("y == x ** 2", "y == x ** 3"),
        ("y == eye(n) @ x", "y == eye(n + 1) @ x"),
        ("y == ones(n) * x", "y == zeros(n) * x"),
        ("y == Q[0] * x", ""),
        ("y == Q @ x", "y == Q.mT @ x"),
        ("y[i < n] == x[i] + s", "y[i < n + 1] == x[i] + s"),
        ("y[i < n] == x[i] + s", "y[i < n] == x[i] - s"),
        ("y[i < n] == x[i] + s", "y[i < n] == x[i + 1] + s"),
        ("y[i < n] == x[i] ** 2", "y[i < n] == x[i] ** 1"),
        ("y[i < n] == sum k < n: A[i, k] * x[k]", "y[i < n] == sum k < n: A[k, i] * x[k]"),
        ("y[i < n] == [i < 2] * x[i]", "y[i < n] == [i <= 2] * x[i]"),
        ("y[i < n] == (x[i - 1] else 0)", "y[i < n] == x[i - 1]"),
    ],
)
def test_theorems(theorem: str, changed: str) -> None:
    text = "program small(n = 4)\ninput x[n]\nweight A[n, n], Q[n, n, n]\nscalar s\naxes (h < n)\ncipher X = x[h]\n"
    made = mutants(parse(Source("small", f"{text}output y[h] = X\nprove {theorem}\n")))
    lines = {"".join(line.split()) for m in made if m.kind in ("theorem", "order") for line in m.lines()}
    assert "".join(f"prove{changed}".split()) in lines or not changed


@pytest.mark.parametrize(
    ("statement", "kind", "changed"),
    [
        ("Z = X << 1", "shift direction", "Z = X >> 1"),
        ("Z = X << 1", "shift amount", "Z = X << 2"),
        ("Z = X << 1", "shift amount", "Z = X"),
        *(("Z = X + X", "conjugate", f"Z = {word} X + X") for word in SLOTWISE_WORDS),
        *((f"Z = {word} X", "conjugate", "Z = X") for word in SLOTWISE_WORDS),
        ("Z = X - X", "sign", "Z = X + X"),
        ("plain W = A[h, (h + 1) % n]", "index", "plain W = A[(h + 1) % n, h]"),
        ("plain W = A[h, (h + 1) % n]", "modulus", "plain W = A[h, (h + 1) % (n + 1)]"),
        ("plain W = A[h, (h + 1) % n]", "modulus", "plain W = A[h, h + 1]"),
        ("plain W = s * A[h, 0]", "scale", "plain W = A[h, 0]"),
        ("plain W = [h < 2] * A[h, 0]", "mask", "plain W = [h <= 2] * A[h, 0]"),
        ("plain W = [h < 2] * A[h, 0]", "mask", "plain W = A[h, 0]"),
        ("Z = sum q < n: X << q", "bound", "Z = sum q < n - 1: X << q"),
        ("Z = (X + X) * X", "operand", "Z = X * X"),
        ("axes (a < 2, b < 2)", "layout", "axes (b < 2, a < 2)"),
        ("axes (a < 2, b < 2)\ncipher Z = x[a*2 + b]", "layout", "cipher Z = x[b*2 + a]"),
        ("perm p: slot -> (slot + 1) % n\nZ = permute(X, p)", "permutation", "Z = permute(X, inverse(p))"),
        ("Z[q < 2] = X << q\nU[q < 2] = Z[q]", "family index", "U[q < 2] = Z[q + 1]"),
        ("claim X == x[h]", "claim", "claim X == x[h + 1]"),
        ("", "output map", "output y[h + 1] = X"),
        ("", "part", "output y[h] = im X"),
    ],
)
def test_kinds(statement: str, kind: str, changed: str) -> None:
    squeezed = {"".join(text.split()) for text in found(statement)[kind]}
    assert "".join(changed.split()) in squeezed


@pytest.mark.parametrize("path", CORPUS[::6], ids=lambda p: p.stem)
def test_text_and_tree_agree(path: Path) -> None:
    """The rest of the text stays as it is, comments and columns too."""
    source = Source(path.stem, tiny(path)[0])
    for mutation in Random(0).sample(list(mutants(parse(source))), 12):
        text = mutation.text()
        assert parse(Source(path.stem, text)) == mutation.program, mutation.description
        _only_the_statement_changed(mutation, text)


def _only_the_statement_changed(mutation: Mutation, text: str) -> None:
    """Of the text with its definitions expanded, which is what is changed."""
    source, span = mutation.span.source, mutation.span
    old, new = source.text.split("\n"), text.split("\n")
    first = source.text.count("\n", 0, span.start)
    assert old[:first] == new[:first]
    assert len(old) == len(new)
    last = first + source.text.count("\n", span.start, span.end) + 1
    assert old[last:] == new[last:]


def test_each_once() -> None:
    program = parse(Source("lora", tiny(PROGRAMS / "lora.slot")[0]))
    programs = [mutation.program for mutation in mutants(program)]
    assert len(set(programs)) == len(programs)
    assert program not in programs
