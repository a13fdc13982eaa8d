"""Whatever the text: a tree, or a SlotError whose messages can be shown."""

from __future__ import annotations

import random
import re

import pytest
from amounts import examples
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from slotlang.diagnostics import SlotError, render
from slotlang.source import Source
from slotlang.syntax.formatter import format_program
from slotlang.syntax.parser import MAX_BYTES, MAX_ERRORS, parse, parse_file, read_source
from slotlang.words import HOW_NAMES, RESERVED

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]

WORDS = [*sorted(RESERVED), *HOW_NAMES, "x", "X", "A", "h", "q", "R", "T", "slots", "lett", "_", "é"]
SIGNS = [
    *"()[],:=<>+-*/%@.#",
    "==",
    "!=",
    "<=",
    ">=",
    "<<",
    ">>",
    "->",
    "//",
    "**",
    ":=",
    "&&",
    '"',
    "≤",
    "$",
]
NUMBERS = ["0", "1", "16", "0.5", "1i", "2x", "1e5", ".5", "5.", "9" * 50]
SPACES = [" ", " ", " ", " ", "\n", "\n", "\n  ", "\t", "\u00a0", "\r", "\0"]
TOKENS = st.sampled_from([*WORDS, *SIGNS, *NUMBERS, *SPACES])

STATEMENTS = [
    "program p(d = 8, r = 2)",
    "let C = d / r - 2*(d + 1)",
    "require C % R == 0 and not a < b <= 3",
    "input  x[d, batch]",
    "weight A[i < d, r] sparse where i < r, B[r]",
    "scalar scale, s",
    "axes blocks (h < C, t < r)",
    "cipher X[c < r] = x[c*C + h, t] else 0",
    "plain  W[q < r] = A[(h + q) % C, q] + 1i * [h < 2]",
    "T = sum q < r by bsgs(2): (X[q] << q*C) * conj W[q]",
    "perm p: (h, t) -> (t, h)",
    "perm p: slot -> (slot + 1) % slots",
    "perm p: cycles (0, 1, 2), (5, 7)",
    "claim T == permute(T, inverse(p)) where h < 2",
    "output y[h, t] = re T",
    "bound |x| <= 4*d + 1/2",
    "bound norm(A[:, j]) <= 64",
    "def diagonal(M, q) = M[slot, (slot + q) % slots]",
    "plain  V[q < 2] = diagonal(u, q)",
    "Z = product(T, V, diagonal(T, 2))",
    "def product(S, D, n):\n    G[q < n] = (S << q) * D[q]\n    Y = sum q < n: G[q]\nend",
    'import "std/layouts.slot" as l',
    "end",
    "parameters degree 4096 primes 42, 42, 25 scales 25, 27, 23 drops 1, 2 results 1 cut 7, 2 keys 8, 64",
    "prove  y == scale * A.T @ B @ x",
]
PIECE = re.compile(r"\s+|[0-9]+\.[0-9]+i?|\w+|==|!=|<=|>=|<<|>>|->|//|.", re.DOTALL)


def check(text: str) -> None:
    source = Source("fuzz.slot", text)
    try:
        program = parse(source)
    except SlotError as problem:
        assert 1 <= len(problem.diagnostics) <= MAX_ERRORS
        for diagnostic in problem.diagnostics:
            span = diagnostic.span
            assert span is not None
            assert span.source == source
            assert 0 <= span.start <= span.end <= len(text)
            assert diagnostic.code.startswith("SL1") or diagnostic.code == "SL211"
            shown = render(diagnostic)
            assert diagnostic.message in shown
            assert not diagnostic.label.endswith("expected ")
            assert len(max(shown.split("\n"), key=len)) < 400
        return
    assert parse(program.source).statements == program.statements
    file = parse_file(source)
    text = format_program(file)
    again = parse_file(Source("again.slot", text))
    assert again.statements == file.statements
    assert format_program(again) == text


@examples(200, suppress_health_check=SLOW)
@given(st.binary(max_size=200))
def test_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.slot"
    path.write_bytes(data)
    try:
        source = read_source(path)
    except SlotError as problem:
        assert all(render(d) for d in problem.diagnostics)
        return
    check(source.text)


@examples(200, suppress_health_check=SLOW)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
@example("\r\r#\r=\r")
@example("let x = 1 # \x85\x1c\nlet y = 2")
def test_text(text: str) -> None:
    check(text)


@examples(400, suppress_health_check=SLOW)
@given(st.lists(TOKENS, max_size=25), st.booleans())
@example(["T = x ", "else ", "0" * 5000], False)
@example(["T = x[1] ", "else ", "9" * 5000], False)
@example(["let x = ", "9" * 5000], False)
@example(["by by by"], False)
@example(["T = x else"], False)
@example(["T = 0 . "], False)
@example(["T = . ."], False)
def test_token_soup(tokens: list[str], spaced: bool) -> None:
    check((" " if spaced else "").join(tokens))


@examples(300, suppress_health_check=SLOW)
@given(
    st.sampled_from(["let x = ", "T[q < R] = ", "claim ", "output y[", "perm p: ", "sum "]),
    st.lists(TOKENS, max_size=8),
)
def test_statements_that_begin_well(start: str, tokens: list[str]) -> None:
    check(start + " ".join(tokens))


@examples(400, suppress_health_check=SLOW)
@given(
    st.lists(st.sampled_from(STATEMENTS), min_size=1, max_size=3).map("\n".join),
    st.lists(
        st.tuples(st.sampled_from(["delete", "double", "replace", "swap"]), st.integers(0, 200), TOKENS),
        min_size=1,
        max_size=4,
    ),
)
def test_mutated_programs(text: str, changes: list[tuple[str, int, str]]) -> None:
    pieces = PIECE.findall(text)
    for change, place, token in changes:
        i = place % len(pieces)
        match change:
            case "delete":
                pieces[i] = ""
            case "double":
                pieces[i] = f"{pieces[i]} {pieces[i]}"
            case "replace":
                pieces[i] = token
            case "swap":
                pieces[i], pieces[0] = pieces[0], pieces[i]
    check("".join(pieces))


def test_every_statement_cut_short() -> None:
    for statement in STATEMENTS:
        pieces = PIECE.findall(statement)
        for n in range(len(pieces)):
            check("".join(pieces[:n]))
            check("".join(pieces[:n] + pieces[n + 1 :]))


@pytest.mark.parametrize(
    ("opening", "depth"),
    [
        pytest.param(opening, depth, marks=[pytest.mark.slow] * (opening.startswith("sum") and depth >= 1000))
        for opening in ["(", "[", "x[", "-", "+", "not ", "re ", "sum q < ", "sum q < R: ", "permute(", "1 + ", "A.T"]
        for depth in [149, 150, 151, 1000, 5_000]
    ],
)
def test_nesting(opening: str, depth: int) -> None:
    closing = {"(": ")", "[": "]", "x[": "]", "permute(": ", p)", "sum q < ": ": 1"}.get(opening, "")
    check(f"let x = {opening * depth}1{closing * depth}")
    check(f"let x = {opening * depth}")
    check(f"let x = 1{closing * depth}")


@pytest.mark.parametrize(
    "unit",
    [
        "a+",
        ")\n",
        "-",
        "let a = $\n",
        "a ",
        "\0",
        "x[",
        '"',
        *(
            pytest.param(unit, marks=pytest.mark.slow)
            for unit in ("#\n", "(\n", "let a = (\n", "\n", "a,", "1", "x", "(1,")
        ),
    ],
)
def test_a_megabyte_of_one_thing(unit: str) -> None:
    check(f"let x = {unit * (MAX_BYTES // len(unit))}")


def test_a_megabyte_of_junk() -> None:
    rng = random.Random(7)
    check(rng.randbytes(MAX_BYTES).decode("latin-1"))
    tokens = [*WORDS, *SIGNS, *NUMBERS, *SPACES]
    check("".join(rng.choice(tokens) for _ in range(MAX_BYTES // 3)))
