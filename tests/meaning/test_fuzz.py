"""Programs changed at random either bind or are refused with messages: quickly, and in little memory."""

from __future__ import annotations

import re
import resource
import time

import pytest
from amounts import examples
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from repository import program_text

from slotlang.diagnostics import SlotError, render
from slotlang.meaning.bind import bind
from slotlang.meaning.program import Program
from slotlang.source import Source
from slotlang.syntax.parser import parse

EXAMPLE = program_text("rank_complex")
EVERYTHING = """program everything(d = 48, r = 4, batch = 2, slots = 16)
let C = slots / batch
let K = (d + C - 1) // C
require C % r == 0 and not d < r
input  x[d, batch], bias[d]
weight A[d, r], B[i < r, k < d] sparse where k % 2 == i % 2 or i < 3
scalar scale, other
axes (h < C, t < batch)
axes tall (u < 4, v < slots/4)
perm swap: (h, t) -> (t, (h + 1) % C)
perm turn: slot -> (slot*3 + u - u) % slots
perm some: cycles (0, 1, 2), (5, r + 2)
cipher X[c < K] = x[c*C + h, t] else 0
cipher E = (x.T @ x)[t, 0] + bias[h*2] * [h < 3]
plain  W[q < r, c < K] = (B[(h - q) % r, c*C + h] else 0) - 2i/3 * (A @ B)[q, u]
P[q < r] = sum c < K by bsgs(2): X[c] * W[q, c] + conj permute(E, swap)
Q = permute(permute(P[r - 1] >> r - 1, inverse(some)), turn)
claim P[q] == (B @ x)[q, t] where h < 4 and v != 1
claim P[0] == (A @ B @ x)[h, t] * (1/2 - 3i)
S = sum q < r, f < C/r by tree: P[q] << f*r*batch - q
output y[c*C + h, t] = re X[c]
output y[h + d, t] = im S where t == 0
prove  y == scale * (A - 2*B.T) @ (B + A.T/2) @ x
"""
TOKEN = re.compile(r"#[^\n]*|[A-Za-z_]\w*|\d+(?:\.\d+)?i?|<<|>>|[=!<>]=|->|//|\s+|.")
WORDS = [*sorted({t for t in TOKEN.findall(EXAMPLE + EVERYTHING) if t[0].isalpha()}), "zzz", "_", "r_"]
NUMBERS = [
    "0",
    "1",
    "2",
    "7",
    "1/2",
    "0.5",
    "1i",
    "-1",
    "-4096",
    "10000",
    "65536",
    "1000003",
    "536870912",
    "(0-1)",
]
NUMBERS += [str(10**12), str(2**39), str(2**40), str(2**40 + 1), "9" * 40]
SIGNS = ["+", "-", "*", "/", "//", "%", "@", "<<", ">>", "==", "<", "(", ")", "[", "]", ",", ":", "=", "\n"]
SIGNS += [
    ".T",
    " else 0",
    " where h < 2",
    "->",
    "conj ",
    "not ",
    "sum q < 5: ",
    "[h < 2]",
    "permute(X[0], swap)",
]

CHANGES = ["replace"] * 6 + ["delete", "duplicate", "swap", "insert", "line"]
"""Replacing a token by one of its kind is the change that gets past the parser most often."""

MAX_SECONDS = 2.0
MAX_GROWTH_KB = 300_000


def outcome(text: str) -> Program | SlotError:
    """What becomes of a text. Anything but a program or messages that can be shown fails the test."""
    source = Source("fuzz.slot", text)
    started, peak = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result: Program | SlotError
    try:
        result = bind(parse(source), {})
    except SlotError as problem:
        result = problem
        assert problem.diagnostics
        for d in problem.diagnostics:
            assert d.span is not None and d.span.source == source
            assert 0 <= d.span.start <= d.span.end <= len(text)
            assert d.message and render(d).startswith(f"error[{d.code}]: ")
            d.to_json()
    assert time.process_time() - started < MAX_SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < MAX_GROWTH_KB
    return result


@st.composite
def mutants(draw: st.DrawFn) -> str:
    """One of the two programs with a few of its tokens changed."""
    tokens = TOKEN.findall(draw(st.sampled_from([EXAMPLE, EVERYTHING])))
    solid = [i for i, t in enumerate(tokens) if not t.isspace() and not t.startswith("#")]
    for _ in range(draw(st.integers(1, 5))):
        i = draw(st.sampled_from(solid))
        match draw(st.sampled_from(CHANGES)):
            case "delete":
                tokens[i] = ""
            case "duplicate":
                tokens[i] += f" {tokens[i]}"
            case "swap":
                j = draw(st.sampled_from(solid))
                tokens[i], tokens[j] = tokens[j], tokens[i]
            case "replace":
                number = tokens[i][:1].isdigit()
                tokens[i] = draw(st.sampled_from(NUMBERS if number else WORDS if tokens[i].isidentifier() else SIGNS))
            case "insert":
                tokens[i] += draw(st.sampled_from(SIGNS + NUMBERS + WORDS))
            case _:
                lines = "".join(tokens).splitlines(keepends=True)
                a, b = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
                lines[a], lines[b] = lines[b], lines[a]
                return "".join(lines)
    return "".join(tokens)


@st.composite
def resized(draw: st.DrawFn) -> str:
    """One of the two programs with other numbers, most of them far too large: nothing else stops it early."""
    text = draw(st.sampled_from([EXAMPLE, EVERYTHING]))
    size = st.one_of(
        st.integers(0, 40).map(lambda n: str(2**n)), st.sampled_from(NUMBERS), st.integers(-9, 99).map(str)
    )
    header, rest = text.split(")", 1)
    header = re.sub(r"(?<== )\d+", lambda _: draw(size), header)
    if draw(st.booleans()):
        places = list(re.finditer(r"(?<![\w.])\d+(?![\w.])", rest))
        at = draw(st.sampled_from(places)) if places else None
        if at:
            rest = rest[: at.start()] + draw(size) + rest[at.end() :]
    return f"{header}){rest}"


relaxed = examples(150, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("text", [EXAMPLE, EVERYTHING])
def test_the_programs_themselves_bind(text: str) -> None:
    assert isinstance(outcome(text), Program)


@relaxed
@given(mutants())
def test_changed_tokens(text: str) -> None:
    outcome(text)


@relaxed
@given(resized())
def test_changed_sizes(text: str) -> None:
    outcome(text)


@pytest.mark.parametrize(
    ("sizes", "code"),
    [
        ("d = 1000000000000, r = 16, batch = 8, slots = 4096", None),
        ("d = 549755813888, r = 16, batch = 8, slots = 549755813888", None),
        ("d = 549755813888, r = 2, batch = 549755813888, slots = 549755813888", None),
        ("d = 1099511627776, r = 549755813888, batch = 1, slots = 1099511627776", None),
        ("d = 1099511627776, r = 16, batch = 8, slots = 8", "SL214"),
        ("d = 1099511627777, r = 16, batch = 8, slots = 4096", "SL206"),
        ("d = 4096, r = 16, batch = 8, slots = 2199023255552", "SL206"),
        ("d = 4096, r = 16, batch = 8, slots = -4096", "SL206"),
        ("d = 4096, r = 16, batch = 0, slots = 4096", "SL205"),
        ("d = 0, r = 16, batch = 8, slots = 4096", "SL209"),
    ],
)
def test_sizes_beyond_reason(sizes: str, code: str | None) -> None:
    text = re.sub(r"\(d = .*?\)", f"({sizes})", EXAMPLE, count=1)
    result = outcome(text)
    codes = [d.code for d in result.diagnostics] if isinstance(result, SlotError) else []
    assert codes[:1] == ([code] if code else [])


HUGE = "program huge(n = 549755813888, slots = 549755813888)\nweight w[n], v[12]\naxes (h < n/8, t < 8)\n"
HUGE += "axes tall (a < 8, b < n/8)\n"


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("plain V = w[slot]", None),
        ("plain V = w[slot + 1]", "SL308"),
        ("plain V = w[2*slot - slot]", None),
        ("plain V = w[2*slot - slot - 1]", "SL308"),
        ("plain V = w[h*8 + t + a - a]", None),
        ("plain V = v[h % 9999 * b % 7 + (h % 9999 + b) % 7]", "SL306"),
        ("plain V[q < 9999] = v[q*h % 7 + (h + q) % 7]", "SL306"),
        ("plain V[q < n] = w[(q + h) % n]", None),
        ("plain V[q < n] = w[q*q*q % n]", "SL206"),
        ("plain V = sum q < n: w[q]", None),
        ("perm p: slot -> n - 1 - slot", "SL309"),
        ("perm p: (h, t) -> (t, h)", "SL309"),
        ("perm p: cycles (0, n - 1)", "SL309"),
        ("plain V[q < n, p < n, o < n] = 1\nplain U = sum i < n: V[i, n - 1 - i, i]", None),
        ("plain V[q < n] = 1\nplain U = sum i < n: V[i + 1]", "SL305"),
        ("plain V[q < 12] = 1\nplain U = sum i < n, j < n: V[i % 7 * j % 7 + (i + j) % 7]", "SL306"),
        ("require " + " and ".join(["n < n + 1"] * 100), None),
        ("plain V = " + " + ".join(["w[slot + 1]"] * 100), "SL308"),
        ("plain V = " + " * ".join(["9" * 40] * 140), None),
        ("plain V = " + "(" * 70 + "w[h]" + ")" * 70, None),
    ],
)
def test_statements_beyond_reason(statement: str, code: str | None) -> None:
    result = outcome(HUGE + statement + "\n")
    assert isinstance(result, SlotError)
    # nothing is proved in these programs; that message comes when nothing else is wrong
    assert [d.code for d in result.diagnostics] == [code or "SL312"]


def test_many_reads_that_have_to_be_tried_share_one_limit() -> None:
    reads = "".join(f"plain V{i} = v[h*t % 7 + (h + t) % 7]\n" for i in range(100))
    result = outcome(f"program grid(n = 1000)\nweight v[12]\naxes (h < n, t < n)\n{reads}")
    assert isinstance(result, SlotError) and {d.code for d in result.diagnostics} == {"SL306"}


def test_many_wrong_names_are_refused_quickly() -> None:
    lets = "".join(f"let name{i} = {i}\n" for i in range(500))
    uses = "".join(f"let other{i} = nam{i}x\n" for i in range(500))
    result = outcome(f"program long(slots = 8)\n{lets}{uses}")
    assert isinstance(result, SlotError) and len(result.diagnostics) == 20
