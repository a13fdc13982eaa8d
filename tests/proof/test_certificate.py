"""Certificates: every proof has one, it is re-checked without the prover, and nothing in it can be changed."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import islpy as isl
import pytest
from amounts import one_in
from command_line import slotlang
from repository import PROGRAMS, ROOT, program_text

from slotlang import recheck
from slotlang.api import loads
from slotlang.diagnostics import SlotError
from slotlang.meaning.program import program_hash
from slotlang.proof.certificate import certificate
from slotlang.proof.check import check

CHECKER = ROOT / "slotlang" / "recheck"
PROVED = [path for path in sorted(PROGRAMS.glob("*.slot")) if "expect: proved" in path.read_text(encoding="utf-8")]

SMALL = """program small(n = 4, batch = 2)
input  x[n, batch]
weight A[n, n], Z[i < n, j < n] sparse where i == j
scalar a
axes (h < n, t < batch)
cipher X = x[h, t] + 1i * x[h, t]
plain  W[q < n] = a * A[h, (h + q) % n]
P[q < n] = (X << q*batch) * W[q]
claim P[q] == (1 + 1i) * a * A[h, (h + q) % n] * x[(h + q) % n, t]
Y = sum q < n: P[q]
output y[h, t] = re Y
prove  y == a * A @ x
"""


def certified(text: str, method: str, sizes: dict[str, int] | None = None) -> str:
    program = loads(text, sizes)
    return certificate(program, check(program, method))


@pytest.mark.parametrize("path", one_in(3, PROVED, lambda p: p.stem))
def test_corpus(path: Path) -> None:
    """By the exact method; ``test_corpus.py`` has the polyhedral method, at real sizes."""
    text = path.read_text(encoding="utf-8")
    tiny = re.search(r"# tiny:(.*)", text)
    assert tiny is not None
    proof = certified(text, "exact", {name: int(n) for name, n in re.findall(r"(\w+)=(\d+)", tiny[1])})
    assert json.loads(proof)["method"] == "exact"


def test_size_does_not_matter() -> None:
    text = program_text("rank_complex")
    lengths = [len(certified(text, "polyhedral", {"d": d})) for d in (4096, 1 << 20)]
    assert max(lengths) < 40_000
    assert max(lengths) - min(lengths) < 500


def test_products_where_isl_can_not() -> None:
    text = (ROOT / "docs" / "tutorial" / "squares.slot").read_text(encoding="utf-8")
    goals = json.loads(certified(text, "auto"))["goals"]
    assert "products" in goals[0]


def test_hash_is_that_of_emitted_modules() -> None:
    assert json.loads(certified(SMALL, "polyhedral"))["sha256"] == program_hash(loads(SMALL))


def test_nothing_for_what_is_not_proved() -> None:
    program = loads(SMALL.replace("(X << q*batch)", "(X >> q*batch)"))
    with pytest.raises(Exception, match="SL704"):
        certificate(program, check(program, "polyhedral"))


def test_alone(tmp_path: Path) -> None:
    """A copy of the folder beside the grammar runs by itself, and imports nothing of slotlang."""
    proof = tmp_path / "small.json"
    proof.write_text(certified(SMALL, "polyhedral"), encoding="utf-8")
    shutil.copytree(CHECKER, tmp_path / "recheck", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "grammar", tmp_path / "grammar")
    code = (
        f"import runpy, sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "try: runpy.run_module('recheck', run_name='__main__')\n"
        "finally: assert not [m for m in sys.modules if m.split('.')[0] == 'slotlang']"
    )
    ended = subprocess.run(
        [sys.executable, "-I", "-c", code, str(proof)], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[:2] == ["holds", "  program small(n = 4, batch = 2)"]


def test_says_what_it_speaks_of(tmp_path: Path) -> None:
    """A program that is refuted at its own sizes has a certificate for sizes 1: the sizes and the hash are said."""
    text = program_text("seed/hoisted")
    sizes = {"d": 1, "r": 1, "batch": 1, "slots": 1}
    file = tmp_path / "hoisted.json"
    file.write_text(certified(text, "polyhedral", sizes), encoding="utf-8")
    digest = program_hash(loads(text, sizes))
    ended = slotlang("recheck", str(file))
    assert ended.status == 0
    assert ended.out.splitlines()[1:3] == [
        "  program hoisted(d = 1, r = 1, batch = 1, slots = 1)",
        f"  sha256 {digest}",
    ]
    said = json.loads(slotlang("recheck", str(file), "--json").out)
    assert (said["program"], said["sizes"], said["sha256"]) == ("hoisted", sizes, digest)

    file.write_text(file.read_text(encoding="utf-8").replace("+ q) %", "- q) %"), encoding="utf-8")
    ended = slotlang("recheck", str(file), "--json")
    assert ended.status == 1
    said = json.loads(ended.out)
    assert (said["holds"], said["program"], said["sizes"], said["goals"]) == (False, None, {}, [])


RECURSIVE = """program recursive(n = 8)
input x[n]
axes (h < n)
cipher X = x[h]
S[k < 4] = (X if k == 0 else S[k - 1] + (S[k - 1] << 2**(k - 1)))
claim S[k] == sum j < 2**k: x[(h + j) % n]
T[k < 3] = (X if k == 0 else sum j < 3: [j < k] * (X << j))
output y[h] = S[3]
output z[h] = T[2]
prove y[i < n] == sum j < n: x[j]
prove z[i < n] == x[i] + x[(i + 1) % n]
"""


@pytest.mark.parametrize(
    ("old", "new", "label", "hint"),
    [
        (
            "",
            "",
            "the sum over j has 1 term in S[0] and 2 in S[1]",
            "claim the members one by one: claim S[1] == ... sum j < 2: ...",
        ),
        (
            "sum j < 3: [j < k] * (X << j)",
            "sum j < k: X << j",
            "the sum over j has 1 term in T[1] and 2 in T[2]",
            "let the sum run further, and multiply its body by a bracket: [j < ...] * ...",
        ),
    ],
)
def test_extents_that_differ_between_members_are_told(old: str, new: str, label: str, hint: str) -> None:
    """With both members, and what is advised has a certificate."""
    claims = "".join(f"claim S[{k}] == sum j < {2**k}: x[(h + j) % n]\n" for k in range(4))
    advised = re.sub("claim S.*\n", claims, RECURSIVE)
    assert certified(advised, "polyhedral")
    with pytest.raises(SlotError) as caught:
        certified(advised.replace(old, new) if old else RECURSIVE, "polyhedral")
    (found,) = caught.value.diagnostics
    assert (found.code, found.label, found.hint) == ("SL705", label, hint)
    assert found.notes == ("to the checker a sum has one extent in all members that a statement is about",)


def test_small_enough_to_be_read() -> None:
    """900 lines that say something, imports apart, and less than 400 in each file."""
    texts = [path.read_text(encoding="utf-8").splitlines() for path in CHECKER.glob("*.py")]
    assert max(map(len, texts)) < 400
    said = [line for text in texts for line in text if line.strip() and not line.startswith(("import ", "from "))]
    assert len(said) <= 900


# tampering


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value, the whole included."""
    yield path
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], (*path, key))


def changes(value: Any) -> Iterator[Any]:
    """Other values in place of one: other types, other values, other orders."""
    yield None
    yield {"nothing": 0}
    if isinstance(value, bool | int):
        yield from (value + 1, -value - 1, str(value), float(value), value > 0)
    elif isinstance(value, str):
        yield value + " "
        yield value[:-1] if value else "x"
        yield 3
        for found in list(re.finditer(r"\d+", value))[:4]:
            yield value[: found.start()] + str(int(found[0]) + 1) + value[found.end() :]
    elif isinstance(value, list):
        yield [*value, *value[-1:]] if value else [1]
        if value:
            yield value[:-1]
        if value != value[::-1]:
            yield value[::-1]
    elif isinstance(value, dict):
        yield {**value, "more": 1}
        for key in value:
            yield {k: v for k, v in value.items() if k != key}


def put(whole: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    whole = copy.deepcopy(whole)
    inner = whole
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return whole


def same_set(path: tuple[Any, ...], before: Any, after: Any) -> bool:
    """Whether isl says that a changed region is the set that it was."""
    if path[-1:] != ("set",) or not isinstance(after, str):
        return False
    try:
        return isl.Set(before).is_equal(isl.Set(after))
    except isl.Error:
        return False


def dumped(value: Any) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()


def tampered(whole: Any) -> Iterator[bytes]:
    """A certificate with one value changed, for every place; what means the same is left out."""
    for path in places(whole):
        before = whole
        for key in path:
            before = before[key]
        if "terms" in path[:-1] and path[path.index("terms") + 1] != 0:
            continue
        of_term = "terms" in path[:-1]
        for after in list(changes(before))[2 : 4 if of_term else None]:
            regions = path[-1:] == ("regions",) and isinstance(after, list) and after == before[::-1]
            if not (same_set(path, before, after) or regions):
                yield dumped(put(whole, path, after))


def check_tampering(method: str, every: int) -> int:
    """One of so many changes is tried; how many were."""
    whole = json.loads(certified(SMALL, method))
    assert recheck.recheck(dumped(whole))
    tried = 0
    for data in list(tampered(whole))[::every]:
        tried += 1
        with pytest.raises(recheck.Rejected) as rejected:
            recheck.recheck(data)
        assert rejected.value.args[2] in (1, 2)
    return tried


@pytest.mark.parametrize("method", ["polyhedral", "exact"])
def test_some_fields(method: str) -> None:
    assert check_tampering(method, 17) > 5


@pytest.mark.slow
@pytest.mark.parametrize("method", ["polyhedral", "exact"])
def test_every_field(method: str) -> None:
    assert check_tampering(method, 1) > 80


@pytest.mark.parametrize("method", ["polyhedral", "exact"])
def test_text(method: str) -> None:
    """Cut off, padded, written otherwise, or with a key twice."""
    text = certified(SMALL, method)
    data = text.encode()
    others = [data[:cut] for cut in range(0, len(data), 97)]
    others += [data + b" ", data[:-1], json.dumps(json.loads(text)).encode(), b"\xff" + data, b"[" * 100_000]
    others += [text.replace('"version": 1,', '"version": 1,\n "version": 1,', 1).encode()]
    for other in others:
        with pytest.raises(recheck.Rejected):
            recheck.recheck(other)


def test_version() -> None:
    whole = json.loads(certified(SMALL, "polyhedral"))
    with pytest.raises(recheck.Rejected, match="version 2; version 1 is checked") as rejected:
        recheck.recheck(dumped({**whole, "version": 2}))
    assert rejected.value.args[1:] == ("SL702", 2)


WRONG = [
    ("(X << q*batch)", "(X >> q*batch)"),
    ("A[h, (h + q) % n]\nP", "A[h, (h + q + 1) % n]\nP"),
    ("a * A @ x", "2 * a * A @ x"),
    ("a * A @ x", "a * A.T @ x"),
    ("output y[h, t]", "output y[h, 1 - t + t % 1]"),
    ("output y[h, t] = re Y", "output y[h, t] = re Y where h > 0"),
    ("sum q < n: P", "sum q < n - 1: P"),
    ("claim P[q] == (1 + 1i)", "claim P[q] == (1 - 1i)"),
    ("P[q]\noutput", "P[q + 1]\noutput"),
    ("a * A @ x", "a * Z @ x"),
    ("weight A[n, n]", "weight A[n, n] sparse where i == j"),
    ("X = x[h, t] + 1i * x[h, t]", "X = x[h, t] + 1i * x[h + 1, t]"),
    ("axes (h < n, t < batch)", "require n > batch * 2\naxes (h < n, t < batch)"),
    ("re Y", "conj Y"),
    ("prove  y == a * A @ x", "prove  y == a * A @ x << 1"),
]


@pytest.mark.parametrize(
    ("method", "wrong"),
    # each with one of the methods
    one_in(2, product(["polyhedral", "exact"], WRONG), lambda case: f"{' - '.join(case[1])}-{case[0]}"),
)
def test_forged(method: str, wrong: tuple[str, str]) -> None:
    """A wrong program's text under a right program's evidence, and with the terms that this text has."""
    whole = json.loads(certified(SMALL, method))
    text = SMALL.replace(*wrong)
    assert text != SMALL
    with pytest.raises(recheck.Rejected):
        recheck.recheck(dumped({**whole, "program": text}))

    def decide(number: int, _: Any, sides: Any) -> Any:
        goal = whole["goals"][number]
        return {key: goal[key] for key in ("regions", "products") if key in goal}

    try:
        forged = recheck.certificate(text, {"n": 4, "batch": 2}, decide)
    except Exception:
        return
    with pytest.raises(recheck.Rejected):
        recheck.recheck(forged.encode())


@pytest.mark.parametrize("more", ["; proved for all n", " ", "{ [i0] }", " }"])
def test_nothing_follows_a_region(more: str) -> None:
    """isl reads a set, and leaves what stands behind it."""
    whole = json.loads(certified(SMALL, "polyhedral"))
    place = next(path for path in places(whole) if path[-1:] == ("set",))
    text = whole
    for key in place:
        text = text[key]
    with pytest.raises(recheck.Rejected, match="it is not what its program"):
        recheck.recheck(dumped(put(whole, place, str(text) + more)))


@pytest.mark.parametrize("exponent", [64, 70, 128])
def test_a_bound_may_be_any_that_a_program_may_have(exponent: int) -> None:
    text = SMALL.replace("scalar a\n", f"scalar a\nbound |x| <= 2**{exponent}\n")
    assert recheck.recheck(certified(text, "polyhedral").encode())
