"""What ``recheck`` takes for a program is what the front end takes for one: no text that is none is called proved."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import islpy as isl
import pytest
from amounts import one_in
from repository import PROGRAMS, ROOT
from token_edits import edited_programs

from slotlang import recheck
from slotlang.diagnostics import Diagnostic, SlotError
from slotlang.meaning.bind import bind
from slotlang.proof.certificate import regions
from slotlang.proof.check import check
from slotlang.recheck.program import Program
from slotlang.source import Source
from slotlang.syntax.parser import parse, read_source

BAD = sorted(
    path for stage in ("syntax", "meaning") for path in (ROOT / "tests" / "diagnostics" / stage).glob("*.slot")
)
HEADER = re.compile(r"\s*program\s+\w+\s*\(([^()]*)\)")


def refusals(text: str, sizes: Mapping[str, int]) -> list[Diagnostic]:
    """The front end's messages about a text at these sizes."""
    try:
        bind(parse(Source("edited.slot", text)), sizes)
    except SlotError as problem:
        return list(problem.diagnostics)
    return []


def rejection(text: str, sizes: Mapping[str, int]) -> str:
    """Why the re-checker takes the text for no program at these sizes; empty when it does."""
    try:
        Program(text, dict(sizes))
    except recheck.Rejected as problem:
        assert problem.args[1:] == ("SL703", 1)
        return str(problem.args[0])
    return ""


def honest(over: recheck.Extents, sides: dict[str, recheck.Terms]) -> dict[str, Any]:
    """A goal's evidence, worked out by the re-checker's own means; raises where the sides differ."""
    try:
        return regions(over, sides)
    except (recheck.Rejected, isl.Error):
        return recheck.by_products(over, sides)


def own_sizes(text: str) -> dict[str, int]:
    """The sizes of a header that have a number as default."""
    header = HEADER.match(text)
    return {name: int(n) for name, n in re.findall(r"(\w+)\s*=\s*(\d+)\s*(?:,|$)", header[1])} if header else {}


@pytest.mark.parametrize("path", one_in(3, BAD, lambda p: f"{p.parent.name}/{p.stem}"))
def test_every_bad_program(path: Path) -> None:
    """It is refused, whatever evidence is given for it, and at a line that the front end complains of too."""
    text = read_source(path).text
    sizes = own_sizes(text)
    messages = refusals(text, sizes)
    assert messages
    reason = rejection(text, sizes)
    assert reason
    with pytest.raises(recheck.Rejected):
        recheck.certificate(text, sizes, lambda *_: {"regions": []})
    line = re.match(r"line (\d+): ", reason)
    if line is None:
        # about the whole: outputs and theorems, or there is nothing
        assert {d.code for d in messages} <= {"SL312", "SL303", "SL108"}
    elif path.parent.name == "meaning":
        assert int(line[1]) in {d.span.line for d in messages if d.span}


BASE = """program p(n = 4)
input x[n]
weight A[n, n], u[n]
scalar s
axes (h < n)
cipher X = x[h]
Y = 2 * X
output y[h] = Y
prove y == 2 * x
"""

NO_PROGRAMS = {
    "a digit twice": ("axes (h < n)", "axes (h < n, h < 1)"),
    "digits again": ("axes (h < n)", "axes (h < n)\naxes (h < n)"),
    "a padding that is not 0": ("x[h]\n", "x[h] else 7\n"),
    "a variable twice": ("2 * X", "sum q < 2, q < 1: X"),
    "a variable twice, nested": ("2 * X", "sum q < 2: sum q < 1: X"),
    "a variable with a digit's name": ("2 * X", "sum h < 2: X"),
    "a variable with a later name": ("2 * X\n", "sum q < 2: X\nscalar q\n"),
    "a family in a theorem": (
        "Y = 2 * X\noutput y[h] = Y\nprove y == 2 * x",
        "plain c = 2\noutput y[h] = X\nprove y == c * x",
    ),
    "an element in a theorem": ("prove y == 2 * x", "prove y == 2 * x[h]"),
    "an input read by the server": ("Y = 2 * X", "Y = 2 * x[h] + 0 * X"),
    "a weight packed by the client": ("cipher X = x[h]", "cipher X = x[h] + 0 * u[h]"),
    "a scalar packed by the client": ("cipher X = x[h]", "cipher X = (s * x)[h]"),
    "a ciphertext in what the client packs": ("Y = 2 * X", "cipher Y = 2 * X"),
    "an encrypted plain family": ("Y = 2 * X", "plain Y = 2 * X"),
    "a computed family without ciphertext": ("Y = 2 * X", "Z = u[h]\nY = 2 * X"),
    "an output that is not encrypted": (
        "output y[h] = Y\nprove y == 2 * x",
        "plain V = u[h]\noutput y[h] = V\nprove y == u",
    ),
    "a bound below zero": ("scalar s", "scalar s\nbound |s| <= -1"),
    "a bound of zero": ("scalar s", "scalar s\nbound |s| <= n - 4"),
    "a bound by a scalar": ("scalar s", "scalar s\nbound |s| <= 0 * s + 1"),
    "a bound beyond all": ("scalar s", "scalar s\nbound |s| <= 1" + 39 * "0"),
    "a bound that may not be reached": ("scalar s", "scalar s\nbound |s| < 1"),
    "a bound of a ciphertext": ("Y = 2 * X", "bound |X| <= 1\nY = 2 * X"),
    "a bound twice": ("scalar s", "scalar s\nbound |s| <= 1\nbound |s| <= 1"),
    "a norm bounded twice": ("scalar s", "scalar s\nbound norm(A[:, i]) <= 1\nbound norm(A[:, j]) <= 1"),
    "a norm of a scalar": ("scalar s", "scalar s\nbound norm(s) <= 1"),
    "a norm of all": ("scalar s", "scalar s\nbound norm(A[:, :]) <= 1"),
    "a norm of a matrix": ("scalar s", "scalar s\nbound norm(A) <= 1"),
    "a norm at a size": ("scalar s", "scalar s\nbound norm(A[n, :]) <= 1"),
    "parameters twice": ("scalar s", "scalar s" + 2 * "\nparameters degree 4096 primes 20, 20 scales 3"),
    "a parameter twice": ("scalar s", "scalar s\nparameters degree 4096 primes 20, 20 scales 3 primes 20, 20"),
    "a parameter missing": ("scalar s", "scalar s\nparameters degree 4096 primes 20, 20"),
    "a parameter unknown": ("scalar s", "scalar s\nparameters degree 4096 primes 20, 20 scales 3 moduli 3"),
    "a parameter that is no integer": ("scalar s", "scalar s\nparameters degree 4096 primes 20, 20 scales 3.0"),
    "two degrees": ("scalar s", "scalar s\nparameters degree 4096, 8192 primes 20, 20 scales 3"),
    "an extent of a sum that differs with the slot": ("2 * X", "2 * X + 0 * (sum q < h + 1: X)"),
    "an extent that differs from member to member": ("Y = 2 * X", "Z[k < 3] = sum q < k + 1: X\nY = 2 * X"),
    "such an extent before the choice by the same": (
        "Y = 2 * X",
        "Z[k < 3] = (sum q < k + 1: X) * (X if k == 0 else 2 * X)\nY = 2 * X",
    ),
    "such an extent in a claim": ("Y = 2 * X", "Z[k < 3] = X\nclaim Z[k] == sum q < k + 1: [q < 1] * x[h]\nY = 2 * X"),
    "such an extent by an index that is not written out": (
        "Y = 2 * X",
        "Z[k < 2, i < 2] = (X if k == 0 else 2 * X)\n"
        "claim Z[k, i] == (sum q < k + 1: x[h]) + 0 * (sum p < i + 1: x[h])\nY = 2 * X",
    ),
    "a later name": ("Y = 2 * X", "Y = k * X\nlet k = 2"),
    "its own name": ("Y = 2 * X", "Y = 2 * X + 0 * Y"),
    "a dimension that is at most": ("weight A[n, n]", "weight A[n, i <= n]"),
    "a dimension between": ("weight A[n, n]", "weight A[n, 0 < i < n]"),
    "a read outside, masked": ("cipher X = x[h]", "cipher X = x[h] + [h < 0] * x[h + 1]"),
    "a read outside in a family without use": ("Y = 2 * X", "plain V = u[h + 1]\nY = 2 * X"),
    "a member outside": ("Y = 2 * X", "Z[q < 2] = X\nY = 2 * Z[0] + 0 * (sum q < 3: Z[q])"),
    "an index that is no integer": ("cipher X = x[h]", "cipher X = x[h + (h < 2)]"),
    "a condition that is a number": ("Y = 2 * X", "Y = 2 * X * [h]"),
    "a rotation by slots": ("Y = 2 * X", "Y = 2 * X + 0 * (X << h)"),
    "a condition for a value": ("Y = 2 * X", "Y = 2 * X * (h < n)"),
    "a division with a rest": ("Y = 2 * X", "let k = n / 3\nY = 2 * X"),
    "a variable divided": ("Y = 2 * X", "W[q < 2] = u[q / 2] * X\nY = 2 * X"),
    "a real part before decryption": ("Y = 2 * X", "Y = 2 * re X"),
    "a divisor that is a member": ("Y = 2 * X", "plain c = 2\nY = 4 * X / c"),
    "a divisor with a conjugate": ("Y = 2 * X", "Y = 4 * X / (conj 2)"),
    "too large a constant": ("Y = 2 * X", "let k = 2000000 * 2000000\nY = 2 * X"),
    "an empty sum": ("Y = 2 * X", "Y = 2 * X + (sum q < 0: X)"),
    "a reserved name": ("Y = 2 * X\noutput y[h] = Y", "where = 2 * X\noutput y[h] = where"),
    "an unknown way to add up": ("2 * X", "sum q < 2 by hand: X"),
    "no baby steps": ("2 * X", "sum q < 2 by bsgs(0): X"),
    "one copy at a time": ("2 * X", "sum q < 2 by doubling(1): X"),
    "a radix of a loop variable": ("2 * X", "sum q < 2 by doubling(q + 2): X"),
    "half a radix": ("2 * X", "sum q < 2 by doubling(5/2): X"),
    "a number of horner's": ("2 * X", "sum q < 2 by horner(2): X"),
    "half a transpose": ("prove y == 2 * x", "prove y == 2 * A.T.t @ x"),
    "two headers": ("input x[n]", "program q(n = 4)\ninput x[n]"),
    "a theorem twice": ("prove y == 2 * x", "prove y == 2 * x\nprove y == 2 * x"),
    "a theorem without output": ("prove y == 2 * x", "prove y == 2 * x\nprove z == x"),
    "an output without theorem": ("prove y == 2 * x", "output z[h] = X\nprove y == 2 * x"),
    "one index too many": ("output y[h] = Y", "output y[h, 0] = Y"),
    "slots known already": ("cipher X", "let slots = 4\ncipher X"),
    "slots unknown": ("axes (h < n)\ncipher X = x[h]", "cipher X = x[slot]\naxes (h < n)"),
    "a number for a vector": ("prove y == 2 * x", "prove y == x @ x"),
    "a vector and a matrix": ("prove y == 2 * x", "prove y == x * (x @ (ones(n, n) + eye(n) * ones(n)))"),
    "too many factors": ("prove y == 2 * x", "prove y == x ** 33 * x ** 32"),
    "a line that ends in a comment": ("Y = 2 * X", "Y = 2 * X # \r + X"),
    "too deep": ("2 * X", "-" * 151 + "X"),
    "brackets too deep": ("2 * X", "(" * 151 + "2 * X" + ")" * 151),
    "plus signs too deep": ("2 * X", "+" * 151 + "2 * X"),
    "too long a number": ("2 * X", "2" + 40 * "0" + " * X"),
}


@pytest.mark.parametrize("what", NO_PROGRAMS)
def test_no_program(what: str) -> None:
    right, wrong = NO_PROGRAMS[what]
    text = BASE.replace(right, wrong, 1)
    assert text != BASE
    assert rejection(text, {"n": 4})
    if "\r" not in text:  # a file's line ends are made alike before it is parsed
        assert refusals(text, {"n": 4})


@pytest.mark.parametrize(
    "sizes", [{}, {"n": 4, "m": 1}, {"n": -1}, {"n": True}, {"n": 4.0}, {"n": 1 << 41}, {"m": 4}, {"n": "4"}]
)
def test_sizes_that_are_none(sizes: dict[str, Any]) -> None:
    assert not rejection(BASE, {"n": 4})
    assert rejection(BASE, sizes)


@pytest.mark.parametrize(
    "text",
    [
        BASE.replace("n]\nscalar", "n]\n\n  # a comment (\nscalar").replace("\n", "\r\n"),
        BASE.replace("(h < n)", "(\n  h < 2.0 * n / 2 # half (\n)").replace("2 * X", "+(+((2))) * X / (3 - 2)"),
        BASE.replace("= Y", "= re Y"),
        BASE.replace("2 * X", "2 * X + 0 * (sum q < 2: sum r < 2: X << q*r) + 0 * (A @ u)[h] * X"),
        BASE.replace("cipher X = x[h]", "perm p: (h) -> (n - 1 - h)\ncipher X = permute(permute(x[h], p), inverse(p))"),
        BASE.replace(
            "scalar s", "scalar s\nbound |s| <= 1/4\nbound |x| <= 2*n\nbound norm(x) <= 3\nbound norm(A[:, t]) <= 1"
        ),
        BASE.replace(
            "scalar s", "scalar s\nparameters scales 3, 4 keys 1 drops 1 results 1 cut 7, 2 primes 20, 20 degree 4096"
        ),
        BASE.replace("Y", "bound").replace("X", "parameters").replace("cipher", "bound |A| <= 1\ncipher"),
        BASE.replace("cipher X = x[h]", "cipher X = x[(h*h - h*h + h) % n + 0 * (5 - 2*h) // 9]"),
        BASE.replace("2 * X", "2 * X + 0 * X * (sum q < 3: A[h**q % n, h])"),
        BASE.replace("scalar s", "scalar s\ntensor At = A.T\ntensor w = At @ x").replace(
            "2 * X", "2 * X + 0 * X * At[h, 0]"
        ),
    ],
)
def test_programs_in_other_clothes(text: str) -> None:
    """Comments, line ends, brackets, plus signs, and indices that isl or points decide, are no reason to refuse."""
    assert refusals(text, {"n": 4}) == []
    assert rejection(text, {"n": 4}) == ""
    assert recheck.recheck(recheck.certificate(text, {"n": 4}, lambda _, *goal: honest(*goal)).encode())


def compare(seed: int, count: int) -> tuple[int, int]:
    """Edited programs, of which both say the same; how many are programs, and how many of these are proved."""
    programs = proved = 0
    for text, sizes in edited_programs(PROGRAMS, seed, count):
        messages, reason = refusals(text, sizes), rejection(text, sizes)
        assert bool(messages) == bool(reason), (text, sizes, messages, reason)
        if reason:
            continue
        programs += 1
        try:
            data = recheck.certificate(text, dict(sizes), lambda _, *goal: honest(*goal)).encode()
            assert recheck.recheck(data).sizes == sizes
        except (recheck.Rejected, isl.Error):
            continue
        proved += 1
        try:
            report = check(bind(parse(Source("edited.slot", text)), sizes), "random")
        except SlotError as problem:
            # what a program means does not depend on its schedule, and this one has none
            assert {d.code for d in problem.diagnostics} == {"SL401"}, text
        else:
            assert report.status != "refuted", text
    return programs, proved


def test_edited_programs() -> None:
    programs, proved = compare(0, 30)
    assert programs >= 5
    assert proved >= 1


@pytest.mark.slow
def test_many_edited_programs() -> None:
    programs, proved = compare(1, 2500)
    assert programs >= 400
    assert proved >= 100


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("axes", "def f(a) = a\naxes"),
        ("axes", "def f(a):\naxes"),
        ("output", "end\noutput"),
        ("axes", 'import "std/layouts.slot"\naxes'),
        ("2 * X", "f(X)"),
        ("2 * X", "l.f(X)"),
        ("x[h]", "x[f(h)]"),
        ("output", "require f(n)\noutput"),
        ("prove y == 2 * x", "prove y == f(x)"),
    ],
)
def test_definitions_are_no_part_of_what_is_proved(old: str, new: str) -> None:
    """They are expanded before: nothing in a certificate says what a definition, an import or its use stands for."""
    assert not rejection(BASE, {"n": 4})
    assert rejection(BASE.replace(old, new, 1), {"n": 4})
