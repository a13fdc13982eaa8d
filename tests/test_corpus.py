"""Every program under programs/: its verdict at real and tiny sizes, its encrypted run, its text, its counts."""

from __future__ import annotations

import importlib.util
import json
import re
import types
from functools import cache
from pathlib import Path

import pytest
from amounts import one_in
from repository import PROGRAMS, ROOT

from slotlang import api, recheck
from slotlang.cost.report import Cost
from slotlang.planning.parameters import check_security
from slotlang.proof.certificate import certificate
from slotlang.proof.check import METHODS, Method
from slotlang.syntax.formatter import format_program
from slotlang.syntax.parser import parse_file, read_source

CORPUS = sorted(PROGRAMS.rglob("*.slot"))
WORST_ERROR = 1e-5
MAX_TINY = 32
"""Largest number of slots and largest tensor dimension at tiny sizes, so that brute force works."""


@cache
def head(path: Path) -> tuple[str, dict[str, int]]:
    """The verdict a program expects, and its tiny sizes."""
    comments = [line for line in path.read_text(encoding="utf-8").split("\n") if line.startswith("# ")]
    expect = re.fullmatch(r"# expect: (proved|refuted)", comments[0])
    assert expect is not None, f"{path.name} starts with its verdict"
    tiny = [c for c in comments if c.startswith("# tiny:")]
    assert len(tiny) == 1, f"{path.name} has one line of tiny sizes"
    sizes = [pair.split("=") for pair in tiny[0].removeprefix("# tiny:").split()]
    return expect[1], {name: int(value) for name, value in sizes}


_reports: dict[tuple[str, tuple[tuple[str, int], ...]], api.Report] = {}


def checked(program: api.Program) -> api.Report:
    """``check``, once per program and sizes."""
    key = program.name, tuple((name, program.sizes[name]) for name in program.parameters)
    if key not in _reports:
        _reports[key] = api.check(program)
    return _reports[key]


_costs: dict[tuple[str, tuple[tuple[str, int], ...]], api.Cost] = {}


def cost_of(program: api.Program) -> api.Cost:
    """``cost``, once per program and sizes."""
    key = program.name, tuple((name, program.sizes[name]) for name in program.parameters)
    if key not in _costs:
        _costs[key] = api.cost(program)
    return _costs[key]


def costed(path: Path) -> Cost:
    """``cost`` at a program's own sizes."""
    return cost_of(api.load(path))


@pytest.fixture(scope="module")
def index() -> types.ModuleType:
    """docs/make_corpus.py."""
    return script("make_corpus")


def ids(path: Path) -> str:
    return path.relative_to(PROGRAMS).with_suffix("").as_posix()


PROVED = [path for path in CORPUS if path.read_text(encoding="utf-8").startswith("# expect: proved")]
every = pytest.mark.parametrize("path", CORPUS, ids=ids)
proved = pytest.mark.parametrize("path", PROVED, ids=ids)


# texts


def test_names_are_unique() -> None:
    assert len({path.stem for path in CORPUS}) == len(CORPUS) >= 90


@every
def test_head(path: Path) -> None:
    _, sizes = head(path)
    program = api.load(path, sizes)
    assert program.name == path.stem
    assert program.slots <= MAX_TINY
    assert max(size for tensor in program.tensors.values() for size in tensor.shape) <= MAX_TINY


@every
def test_formatted(path: Path) -> None:
    assert format_program(parse_file(read_source(path))) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", [p for p in CORPUS if p not in PROVED], ids=ids)
def test_a_wrong_scheme_has_its_corrected_form_beside_it(path: Path) -> None:
    alone = {
        "hoisted_literal": "hoisted_fixed",
        "rank_summed": "rank_block_fixed",
    }
    beside = path.with_stem(alone.get(path.stem, f"{path.stem}_fixed"))
    assert beside in PROVED


# verdicts


@every
def test_verdict(path: Path) -> None:
    expect, _ = head(path)
    report = checked(api.load(path))
    assert report.status == expect, report.reason
    if expect == "refuted":
        example = report.counterexample
        assert example is not None
        assert example.confirmed or example.kind in ("not_carried", "carried_twice")
        assert example.lines()


@pytest.mark.parametrize("path", one_in(3, [p for p in PROVED if p.parent in (PROGRAMS, PROGRAMS / "seed")], ids))
def test_certificate(path: Path) -> None:
    program = api.load(path)
    proof = certificate(program, checked(program))
    assert recheck.recheck(proof.encode()).goals[-1].endswith(" complete")
    assert "products" not in json.loads(proof)["goals"][0]


@pytest.mark.parametrize("method", [m for m in METHODS if m != "auto"])
@pytest.mark.parametrize("path", one_in(4, CORPUS, ids))
def test_every_method_agrees_at_tiny_sizes(path: Path, method: Method) -> None:
    expect, sizes = head(path)
    report = api.check(api.load(path, sizes), method)
    fine = {expect}
    if method == "polyhedral":
        fine.add("unknown")
    if method == "random" and expect == "proved":
        fine = {"tested"}
    assert report.status in fine, report.reason
    if expect == "refuted" and report.status == "refuted":
        assert report.counterexample is not None


def test_the_polyhedral_method_decides_the_whole_corpus() -> None:
    """By itself too, where a random point shows sooner that a program is wrong."""
    undecided = []
    for path in CORPUS:
        report = checked(api.load(path))
        if report.method == "random" and report.status == "refuted":
            report = api.check(api.load(path), "polyhedral")
        if (report.method, report.status) != ("polyhedral", head(path)[0]):
            undecided.append(ids(path))
    assert undecided == []


# docs/corpus.md; what it says of all sizes is compared in tests/proof/forall/test_check.py


@pytest.mark.parametrize("path", one_in(7, CORPUS, ids))
def test_line_of_the_index(path: Path, index: types.ModuleType) -> None:
    shown = index.lines()[ids(path)]
    found = index.line(path, checked(api.load(path)), costed(path), index.for_all(shown))
    assert found == shown, "figures have changed: run python docs/make_corpus.py"


def test_the_index_has_every_program_once(index: types.ModuleType) -> None:
    assert list(index.lines()) == [ids(path) for path in index.corpus()]
    assert sorted(index.corpus()) == CORPUS


# runs


@pytest.mark.parametrize("path", PROVED, ids=ids)
def test_encrypted_run(path: Path) -> None:
    """With the fixed parameters, or with those for a tenth of the error asked for where the fixed ones promise more: a
    promise is an rms over inputs, and a run of four slots, one of which has most of the error, may be at seven times of
    it."""
    _, sizes = head(path)
    program, part = api.load(path, sizes), WORST_ERROR / 10
    precise = api.plan(program).promise.relative_error > part
    parameters = api.plan(program, target=api.Target(precision=part)).parameters if precise else None
    session = api.run(path, sizes, parameters=parameters)
    report = session.report
    check_security(session.lowered.plan.parameters)
    assert report.passed
    assert report.executed == report.predicted
    # without weights all plaintexts are masks, and those of a loop's first or last turn may be empty
    assert report.dropped == 0 or all(decl.kind == "input" for decl in session.program.tensors.values())
    assert report.relative_error < WORST_ERROR


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["matrices/e2dm", "matrices/e2dm_rolled", "attention/causal_attention", "attention/power_attention"],
)
def test_encrypted_products_and_attention_at_full_size(name: str) -> None:
    """64 x 64 matrices, and 32 tokens of 64 channels."""
    session = api.run(PROGRAMS / f"{name}.slot", target=api.Target(precision=1e-4))
    assert session.report.passed
    assert session.report.executed == session.report.predicted
    assert session.report.relative_error < 1e-4


# counts


@pytest.mark.parametrize(
    ("name", "sizes", "expected"),
    [
        ("squat_tall", {"r": 8, "steps": 2}, {"key_switches": 14}),
        ("squat_tall", {}, {"key_switches": 17, "plain_products": 16}),
        ("squat_tall", {"r": 64, "steps": 4}, {"key_switches": 27}),
        ("squat_tall_real", {}, {"key_switches": 20}),
        ("rank_complex", {}, {"key_switches": 20, "galois_keys": 7, "plain_products": 128}),
        ("rank_complex_unclaimed", {}, {"key_switches": 20, "galois_keys": 7, "plain_products": 128}),
        ("rank_first", {}, {"key_switches": 35, "galois_keys": 6, "plain_products": 256}),
        ("two_channels", {}, {"conjugations": 1, "rotations": 35, "ciphertexts_in": 4, "ciphertexts_out": 4}),
        ("two_tokens", {}, {"rotations": 35, "ciphertexts_in": 8}),
        ("columns", {}, {"key_switches": 0, "galois_keys": 0, "plain_products": 2 * 384 * 8}),
        ("dense_ab", {}, {"key_switches": 126, "plain_products": 4096}),
        ("dense_ab_batch", {}, {"rotations": 368, "plain_products": 32768}),
        ("conjugate", {}, {"key_switches": 1, "rotations": 0}),
        ("lora_xs", {}, {"cipher_products": 16}),
        ("scores", {}, {"cipher_products": 1, "rotations": 7}),
        ("sparse_heads", {}, {"rotations": 21, "plain_products": 144}),
        ("flat_diagonals", {}, {"rotations": 31 + 31, "plain_products": 784 + 128 - 1}),
        ("flat_hybrid", {}, {"rotations": 11 + 10 + 3, "plain_products": 128}),
        ("flat_hybrid", {"steps": 128}, {"rotations": 127 + 3}),
    ],
)
def test_counts(name: str, sizes: dict[str, int], expected: dict[str, int]) -> None:
    counts = cost_of(api.load(PROGRAMS / f"{name}.slot", sizes)).counts
    assert {key: getattr(counts, key) for key in expected} == expected


@pytest.mark.parametrize("path", one_in(4, PROVED, ids))
def test_counts_are_not_below_the_bounds(path: Path) -> None:
    for sizes in ({}, head(path)[1]):
        cost = cost_of(api.load(path, sizes))
        assert cost.rotation_gap is None or cost.rotation_gap >= 0
        # a negative gap to a conjecture would be a counterexample to it
        assert all(bound.gap >= 0 for bound in cost.bounds)


# docs/seed-claims.md


def script(name: str = "make_seed_claims") -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_page_on_the_seed_document_has_the_measured_figures() -> None:
    module = script()
    assert module.page(checked, cost_of) == module.PAGE.read_text(encoding="utf-8"), (
        "figures have changed: run python docs/make_seed_claims.py"
    )


def test_the_page_names_every_program_of_the_seed_document() -> None:
    named = {name for claim in script().CLAIMS for name in claim.programs}
    assert named >= {ids(path) for path in CORPUS if path.parent.name == "seed"}
