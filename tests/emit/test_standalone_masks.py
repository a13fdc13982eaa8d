"""What a standalone module promises beside large masks, which it encodes and decodes in double precision."""

from __future__ import annotations

import json
import re
import sys
import types
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import slotlang
from repository import PROGRAMS
from runtime.test_mask_sizes import SCORE

from slotlang import api
from slotlang.cost.data import DataPowers
from slotlang.diagnostics import SlotError
from slotlang.lower import Lowered
from slotlang.meaning.program import Program
from slotlang.planning import choose
from slotlang.planning.parameters import Parameters
from slotlang.planning.target import Target
from slotlang.source import Source
from slotlang.validation.check import check_module
from slotlang_runtime.messages import HIDING_BITS

ALONE = Target(kernel="seal", standalone=True)

HALVES = """program halves(n = 64, slots = 64)
input x[n]
bound |x| <= 1000
weight a[n]
bound |a| <= 1
cipher X = x[slot]
Y = X * a[slot]
output y[slot] = re Y
prove y == x * a
"""
"""One part is read in all slots; the other may hold up to 1000, as far as the operations tell."""

TIGHT = Parameters(8192, (54, 54, 60), 40)
"""28 bits are left above the scale of the product."""


@cache
def program(name: str) -> Program:
    """Programs whose masks hide slots: of sums of 16 products, of one token's values, and of other rows' products."""
    if name == "score":
        return api.loads(SCORE)
    if name == "linear_attention":
        found = api.load(PROGRAMS / "attention" / "linear_attention.slot", {"m": 2, "w": 4})
        return api.with_bounds(found, {"q": 100, "k": 100, "v": 100})
    found = api.load(PROGRAMS / "matrices" / "e2dm_rectangular.slot", {"d": 4, "l": 2})
    return api.with_bounds(found, {"a": 1000, "b": 1000})


CASES = [("score", None), ("score", 1e-3), ("linear_attention", None), ("e2dm_rectangular", None)]


@cache
def lowered(name: str, precision: float | None) -> Lowered:
    return api.lower(program(name), target=Target(precision=precision), standalone=True)


def loaded(text: str) -> Any:
    made = types.ModuleType("standalone_masks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, made.__name__, made)
        exec(compile(text, "<standalone>", "exec"), made.__dict__)
    return made


def ran(made: Any, capsys: pytest.CaptureFixture[str], seed: int = 1, **promise: float) -> tuple[int, float]:
    """The exit status, and the relative rms error of the result, which is the only one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["module.py", str(seed)])
        status = made.main(made.MODULE, {**made.PROMISE, **promise})
    (found,) = re.findall(r"relative rms error (\S+)$", capsys.readouterr().out, re.MULTILINE)
    return status, float(found)


@pytest.mark.parametrize(("name", "precision"), CASES)
def test_errors_are_within_the_promise(name: str, precision: float | None, capsys: pytest.CaptureFixture[str]) -> None:
    """Of real runs; and of the score the promise of a module with the runtime would be broken."""
    plan = lowered(name, precision).plan
    made, promise = loaded(lowered(name, precision).text), plan.promise
    assert made.PROMISE["relative_error"] == promise.relative_error and made.MODULE.error == promise.error
    assert max(plan.hiding.bits.values()) >= 36
    status, measured = ran(made, capsys)
    # a promise is an rms, and a run of a few slots may be above it
    assert status == 0 and measured <= 2 * promise.relative_error
    assert precision is None or promise.relative_error <= precision
    if (name, precision) == ("score", None):
        # as with the runtime, whose promise main() must not let through
        own = api.plan(program(name), plan.parameters, target=Target(kernel="seal")).promise
        assert own.relative_error < measured / 100
        made.MODULE.error.update(own.error)
        assert ran(made, capsys, relative_error=own.relative_error)[0] == 1


@pytest.mark.parametrize(("name", "precision"), CASES)
def test_check_proves_it(name: str, precision: float | None) -> None:
    made = lowered(name, precision)
    assert made.validation.status == "proved"
    found = check_module(Source("module.py", made.text))
    assert found.validation.status == "proved" and found.range.status == made.range.status == "proved"
    smaller = re.sub(r'"relative_error": \S+,', '"relative_error": 1e-09,', made.text)
    assert smaller != made.text
    with pytest.raises(SlotError, match="SL745"):
        check_module(Source("module.py", smaller))


def test_the_command_line_promises_the_same(tmp_path: Path) -> None:
    path, out = tmp_path / "score.slot", tmp_path / "score.py"
    path.write_text(SCORE, encoding="utf-8")
    found = slotlang("lower", str(path), "-o", str(out), "--standalone", "--json")
    promise = loaded(out.read_text(encoding="utf-8")).PROMISE
    said = json.loads(found.out)
    assert said["promise"] == promise and said["predicted_error"] == promise["relative_error"] > 1e-6
    found = slotlang("lower", str(path), "-o", str(out), "--standalone")
    assert f"relative rms error at most {promise['relative_error']:.1e} for" in found.out
    assert f"relative rms error at most {promise['relative_error']:.1e} for" in out.read_text(encoding="utf-8")


def test_the_search_leaves_room_for_masks_of_parts() -> None:
    """Parameters with less room are refused, with a hint that holds."""
    halves = api.loads(HALVES)
    own, made = (api.plan(halves, target=Target("seal", precision=1e-2, standalone=alone)) for alone in (False, True))
    assert not own.hiding.bits and made.hiding.bits == {"Y": HIDING_BITS + 10}
    with pytest.raises(SlotError, match="SL407") as refused:
        api.plan(halves, TIGHT, target=ALONE)
    (problem,) = refused.value.diagnostics
    assert problem.notes[0] == "slots and parts of 'Y' may hold up to 1,000, and masks are 2^16 times that: 2^26"
    assert "--precision 0.001 finds parameters" in (problem.hint or "")
    assert api.plan(halves, TIGHT, target=Target("seal")).range.proved
    assert api.plan(halves, target=Target("seal", precision=1e-3, standalone=True)).promise.relative_error <= 1e-3


@pytest.mark.parametrize("target", [ALONE, Target(wire="seal")], ids=["standalone", "wire"])
@pytest.mark.parametrize("primes", [4, pytest.param(12, marks=pytest.mark.slow)])
def test_a_precision_out_of_reach_says_why(primes: int, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "MAX_PRIMES", primes)
    with pytest.raises(SlotError, match="SL412") as refused:
        api.plan(program("score"), target=replace(target, precision=1e-6))
    text = str(refused.value)
    assert "in double precision such values show by some 2.7e-05" in text and "twice the digits" in text
    (best,) = re.findall(r"the best with these bounds is (\S+)", text)
    found = api.plan(program("score"), target=replace(target, precision=float(best)))
    assert found.promise.relative_error <= float(best)
    # and with the runtime it is in reach
    assert api.plan(program("score"), target=Target(precision=1e-6)).promise.relative_error <= 1e-6


def test_it_has_no_wire() -> None:
    with pytest.raises(SlotError, match="SL005: a standalone module sends nothing"):
        Target(standalone=True, wire="seal")


@pytest.mark.parametrize("target", [ALONE, Target(wire="seal")], ids=["standalone", "wire"])
def test_masks_do_not_follow_weights_that_the_module_does_not_hold(target: Target) -> None:
    """So that ``check`` finds the same masks without the weights."""
    free = api.loads(SCORE.replace("bound |w| <= 1\n", "").replace("<= 87100", "<= 16"))
    known = replace(target, data=DataPowers({"w": np.full((1, 16), 20.0)}))
    made = api.lower(free, target=known, standalone=target.standalone)
    assert made.plan.hiding.bits == api.plan(free, target=target).hiding.bits
    assert check_module(Source("module.py", made.text)).validation.status == "proved"
