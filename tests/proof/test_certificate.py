"""Certificates: every proof has one, it is re-checked without the prover, and nothing in it can be changed."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import islpy as isl
import pytest

from slotlang import recheck
from slotlang.api import loads
from slotlang.lowering.emit import program_hash
from slotlang.proof.certificate import certificate
from slotlang.proof.check import check

ROOT = Path(__file__).resolve().parents[2]
CHECKER = ROOT / "slotlang" / "recheck.py"
PROVED = [
    path
    for path in sorted([*(ROOT / "programs").glob("*.slot"), *(ROOT / "programs" / "seed").glob("*.slot")])
    if "expect: proved" in path.read_text(encoding="utf-8")
]

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


LARK = recheck.Lark
PARSERS: list[Any] = []


def keep(parser: Any) -> Any:
    PARSERS.append(parser)
    return parser


@pytest.fixture(autouse=True)
def one_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    """The grammar is read once for all certificates of a test."""
    monkeypatch.setattr(recheck, "Lark", lambda text, **how: PARSERS[0] if PARSERS else keep(LARK(text, **how)))


def certified(text: str, method: str, sizes: dict[str, int] | None = None) -> str:
    program = loads(text, sizes)
    return certificate(program, check(program, method))


@pytest.mark.parametrize("path", PROVED, ids=lambda p: p.stem)
def test_corpus(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    proof = certified(text, "polyhedral")
    assert recheck.recheck(proof.encode())[-1].endswith(" complete")
    assert "products" not in json.loads(proof)["goals"][0]
    if path.parent.name == "seed":
        return
    tiny = re.search(r"# tiny:(.*)", text)
    assert tiny is not None
    proof = certified(text, "exact", {name: int(n) for name, n in re.findall(r"(\w+)=(\d+)", tiny[1])})
    assert json.loads(proof)["method"] == "exact"


def test_size_does_not_matter() -> None:
    text = (ROOT / "programs" / "rank_complex.slot").read_text(encoding="utf-8")
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
    """The file runs by itself and imports nothing of slotlang."""
    proof = tmp_path / "small.json"
    proof.write_text(certified(SMALL, "polyhedral"), encoding="utf-8")
    code = (
        "import runpy, sys; sys.argv = ['recheck.py', sys.argv[1]]\n"
        f"try: runpy.run_path({str(CHECKER)!r}, run_name='__main__')\n"
        "finally: assert not [m for m in sys.modules if m.split('.')[0] == 'slotlang']"
    )
    ended = subprocess.run(
        [sys.executable, "-I", "-c", code, str(proof)], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("holds")
    assert len(CHECKER.read_text(encoding="utf-8").splitlines()) < 400


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


@pytest.mark.parametrize("method", ["polyhedral", "exact"])
def test_every_field(method: str) -> None:
    whole = json.loads(certified(SMALL, method))
    assert recheck.recheck(dumped(whole))
    tried = 0
    for path in places(whole):
        before = whole
        for key in path:
            before = before[key]
        if "terms" in path[:-1] and path[path.index("terms") + 1] != 0:
            continue
        of_term = "terms" in path[:-1]
        for after in list(changes(before))[2 : 4 if of_term else None]:
            tried += 1
            regions = path[-1:] == ("regions",) and isinstance(after, list) and after == before[::-1]
            if same_set(path, before, after) or regions:
                continue
            with pytest.raises(recheck.Rejected) as rejected:
                recheck.recheck(dumped(put(whole, path, after)))
            assert rejected.value.args[2] in (1, 2)
    assert tried > 80


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


@pytest.mark.parametrize("method", ["polyhedral", "exact"])
@pytest.mark.parametrize(("right", "wrong"), WRONG)
def test_forged(method: str, right: str, wrong: str) -> None:
    """A wrong program's text under a right program's evidence, and with the terms that this text has."""
    whole = json.loads(certified(SMALL, method))
    text = SMALL.replace(right, wrong)
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
