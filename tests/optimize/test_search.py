"""Whole searches: what they find, and that they never make a program worse, whatever stops them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from command_line import slotlang
from compiled_profile import compiled_profile
from judging import tiny
from repository import PROGRAMS

from slotlang import api
from slotlang.cost.profile import Profile, find_profile
from slotlang.diagnostics import SlotError
from slotlang.optimize import search
from slotlang.optimize.optimized import optimize_program
from slotlang.optimize.search import OBJECTIVES, Objective, Optimizer
from slotlang.planning.target import Target
from slotlang.source import Source
from slotlang.syntax.parser import parse, read_source

CORPUS = sorted(PROGRAMS.glob("**/*.slot"))
PROVED = [p for p in CORPUS if "# expect: proved" in p.read_text(encoding="utf-8")]


@pytest.fixture(scope="module")
def profile() -> Profile:
    return find_profile()


@pytest.mark.parametrize(
    ("name", "best"),
    [
        pytest.param("seed/lazy_fixed", "rank_complex", marks=pytest.mark.slow),
        ("squat_tall_real", "squat_tall"),
    ],
)
def test_finds_the_best_hand_written(name: str, best: str, profile: Profile) -> None:
    """Best where every rotation costs the same: kernels take several of one ciphertext for less."""
    profile = profile.without_kernels
    wanted_program = api.load(PROGRAMS / f"{best}.slot")
    sizes = {n: 1024 for n in ("d", "slots") if n in wanted_program.parameters}
    found = api.optimize(PROGRAMS / f"{name}.slot", sizes, profile=profile)
    wanted = api.cost(api.load(PROGRAMS / f"{best}.slot", sizes), profile=profile)
    reached = api.cost(found.after, profile=profile)
    assert reached.predicted.evaluation <= wanted.predicted.evaluation * 1.001
    assert reached.counts.rotations == wanted.counts.rotations
    assert api.check(api.loads(found.text)).proved


def test_the_radix_is_the_one_that_is_cheapest(profile: Profile) -> None:
    """Rotations of one ciphertext are cheap where kernels take key switches apart, and as dear as others in SEAL."""
    sizes = {"d": 256, "r": 8, "batch": 1, "slots": 256}
    found = api.optimize(PROGRAMS / "rank_complex.slot", sizes, profile=compiled_profile())
    by_hand = api.cost(api.load(PROGRAMS / "rank_complex_radix.slot", sizes), profile=compiled_profile())
    radix = re.search(r"by doubling\((\d+)\): T << f\*R\*batch", found.text)
    assert radix is not None and int(radix[1]) in (4, 8)
    reached = api.cost(found.after, profile=compiled_profile())
    assert reached.predicted.evaluation <= by_hand.predicted.evaluation
    assert reached.counts.decompositions < reached.counts.key_switches
    back = api.optimize(PROGRAMS / "rank_complex_radix.slot", sizes, profile=profile.without_kernels)
    assert "by doubling: T << f*R*batch" in back.text
    # the keys are those of SEAL's operations too
    seal = Target(kernel="seal")
    unchanged = api.optimize(PROGRAMS / "rank_complex.slot", sizes, profile=compiled_profile(), target=seal)
    assert "doubling(" not in unchanged.text


def objectives() -> Iterator[Any]:
    """Some programs with one objective each, and, slow, others and with all."""
    for number, (path, objective) in enumerate(product(PROVED[::12], OBJECTIVES)):
        program, turn = divmod(number, len(OBJECTIVES))
        slow = program % 2 > 0 or turn != program % len(OBJECTIVES)
        yield pytest.param(path, objective, id=f"{objective}-{path.stem}", marks=[pytest.mark.slow] * slow)


@pytest.mark.parametrize(("path", "objective"), list(objectives()))
def test_never_worse(path: Path, objective: Objective, profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "WORK", 150_000)
    found = optimize_program(parse(read_source(path)), tiny(path)[1], objective, profile)
    costs = [api.cost(program, profile=profile) for program in (found.before, found.after)]
    figures = [
        {"time": c.predicted.evaluation, "rotations": c.counts.rotations, "keys": c.counts.galois_keys}[objective]
        for c in costs
    ]
    assert figures[1] <= figures[0]
    assert found.report.proved
    assert found.after.theorems == found.before.theorems
    assert found.after.tensors == found.before.tensors
    assert costs[1].sizes == costs[0].sizes


def test_result_lowers(profile: Profile) -> None:
    """What is emitted for it is proved to compute what the rewritten text says, and that proves the theorem."""
    path = PROGRAMS / "seed" / "lazy_fixed.slot"
    found = optimize_program(parse(read_source(path)), tiny(path)[1], "time", profile)
    assert found.changes
    assert api.lower(found.after).validation.status == "proved"


def test_same_text_every_time(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "WORK", 150_000)
    path = PROGRAMS / "several_outputs.slot"
    texts = {optimize_program(parse(read_source(path)), tiny(path)[1], "rotations", profile).text for _ in range(2)}
    assert len(texts) == 1


def test_refuted_is_refused(profile: Profile) -> None:
    with pytest.raises(SlotError) as caught:
        api.optimize(PROGRAMS / "seed" / "rank_summed.slot", profile=profile)
    assert caught.value.diagnostics[0].code == "SL481"
    assert any("should occur" in note for note in caught.value.diagnostics[0].notes)


def test_interrupt_keeps_the_best_so_far(profile: Profile) -> None:
    path = PROGRAMS / "seed" / "lazy_fixed.slot"
    seen = []

    def progress(what: str, done: float) -> None:
        seen.append(done)
        if " 1 taken" in what:
            raise KeyboardInterrupt

    found = optimize_program(parse(read_source(path)), tiny(path)[1], "time", profile, progress=progress)
    assert found.search.interrupted
    assert len(found.changes) == 1
    assert found.report.proved
    assert seen == sorted(seen)


def test_packing_only_when_allowed(profile: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "WORK", 150_000)
    path = PROGRAMS / "permuted.slot"
    sizes = tiny(path)[1]
    syntax = parse(read_source(path))
    for allowed in (False, True):
        found = optimize_program(syntax, sizes, "time", profile, allow_packing=allowed)
        packed = "x[c*C + h, t]" in next(s for s in found.text.splitlines() if s.startswith("cipher"))
        assert packed is allowed
        assert ("permute(" in found.text) is not allowed


WRONG_CLAIMLESS = """program small(n = 8)
input x[n]
axes (h < n)
cipher X = x[h]
Y = X << 1
Z = Y << 7
output y[h] = Z
prove y == x
"""


def test_wrong_candidates_are_not_taken(profile: Profile) -> None:
    """Y, which holds something else, is proposed in the place of Z, and is as cheap."""
    syntax = parse(Source("small", WRONG_CLAIMLESS))
    optimizer = Optimizer({}, "time", profile)
    wrong = parse(Source("small", WRONG_CLAIMLESS.replace("= Z", "= Y")))
    assert optimizer.verdict(wrong) == "refuted"
    assert optimizer.verdict(syntax) == "proved"
    found = optimize_program(syntax, None, "time", profile)
    assert api.cost(found.after, profile=profile).counts.rotations == 0


def test_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "WORK", 40_000)
    path, out = PROGRAMS / "seed" / "rank_summed.slot", tmp_path / "out.slot"
    refused = slotlang("optimize", str(path), "-o", str(out))
    assert refused.status == 1
    assert "SL481" in refused.err
    assert not out.exists()
    assert slotlang("optimize", str(path), "--objective", "speed").status == 2
    good = PROGRAMS / "squat_tall_real.slot"
    small = [f"{k}={v}" for k, v in tiny(good)[1].items()]
    sets = [a for item in small for a in ("--set", item)]
    assert slotlang("optimize", str(good), "-o", str(out), *sets).status == 0
    assert slotlang("check", str(out)).status == 0
    printed = slotlang("optimize", str(good), *sets)
    assert printed.out == out.read_text(encoding="utf-8")
    assert "before" in printed.err
    precise = json.loads(slotlang("optimize", str(good), *sets, "--precision", "1e-3", "--json").out)
    assert precise["precision"] == 1e-3
    assert precise["after"]["predicted_error"] <= 1e-3
    assert precise["after"]["predicted"]["evaluation_seconds"] <= precise["before"]["predicted"]["evaluation_seconds"]
    bound = precise["before"]["galois_key_bytes"] // 2
    bounded = ("--precision", "1e-3", "--max-key-bytes", str(bound))
    few = json.loads(slotlang("optimize", str(good), *sets, *bounded, "--json").out)
    assert few["max_key_bytes"] == bound
    assert max(few[when]["galois_key_bytes"] for when in ("before", "after")) <= bound
    assert few["after"]["predicted"]["evaluation_seconds"] <= few["before"]["predicted"]["evaluation_seconds"]
    alone = slotlang("optimize", str(good), *sets, "--max-key-bytes", "1000000")
    assert alone.status == 2
    assert "SL005" in alone.err
    reached = slotlang("optimize", str(good), *sets, "--precision", "1e-30")
    assert reached.status == 2
    assert "SL451" in reached.err
