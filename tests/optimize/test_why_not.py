"""One reason for every rule that was not taken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import slotlang

from slotlang.cost.profile import find_profile
from slotlang.optimize import search
from slotlang.optimize.optimized import Optimized, optimize_program
from slotlang.optimize.rules import BY_NAME
from slotlang.source import Source
from slotlang.syntax.parser import parse

HEAD = """program small(n = 16, r = 4)
input x[n], z[n]
weight W[r, n], V[n]
axes (h < n)
perm p: slot -> n - 1 - slot
cipher X = x[h]
cipher Z = z[h]
plain  D[q < r] = W[q, h]
plain  E = V[h]
"""
SUM = "sum k < r: W[k, i] * x[i]"
PLAIN = HEAD + f"Y = sum q < r: X * D[q]\noutput y[h] = Y\nprove y[i < n] == {SUM}\n"
BEST = HEAD + "Y = X * E\noutput y[h] = Y\nprove y[i < n] == V[i] * x[i]\n"


def optimized(text: str, allow_packing: bool = False) -> Optimized:
    return optimize_program(parse(Source("small", text)), None, "time", find_profile(), allow_packing=allow_packing)


def test_nothing_applies() -> None:
    """What the program lacks, by every rule but the one that is taken."""
    found = optimized(BEST)
    reasons = dict(found.why_not)
    assert list(reasons) == list(BY_NAME)
    assert [rule for rule, _ in found.changes] == ["unused"]
    assert reasons.pop("unused") is None
    assert reasons == {
        "packing": "what the client packs and reads stays, without --allow-packing",
        "same": "2 rewrites: 2 cheaper and refuted",
        "joined": "no rotation of a rotation or by whole turns, no conj conj, no permutation of its own inverse",
        "ranks packed": "no family of sums by doubling over all slots is added up with weights",
        "fold": "no sum rotates ciphertexts by its index times a step",
        "ranks paired": "no loop over plaintexts has an even size with a name for its extent",
        "evaluation": "no sum of two or more terms that is not by doubling already",
        "distributivity": "no rotation or factor is the same in all terms of a sum",
        "nested sums": "no sums in or beside each other, of several variables, or by doubling with a better split",
        "rotations": "no product with a rotation, and no rotation of one",
        "permutations": "no sum or product of permuted vectors",
        "written out": "no computed family that another reads",
    }


@pytest.mark.parametrize(
    ("rule", "text", "reason"),
    [
        ("unused", PLAIN.replace("plain  E = V[h]\n", "").replace(", V[n]", ""), "every family is needed for a result"),
        ("ranks paired", BEST.replace("plain  E = V[h]", "plain  E = V[h] + 0*1i"), "slots are complex already"),
        (
            "ranks paired",
            HEAD
            + f"Y = sum q < r: (X << 1) * D[q]\noutput y[(h + 1) % n] = Y\nprove y[i < n] == {SUM}\n".replace(
                "W[k, i]", "W[k, (i - 1) % n]"
            ),
            "no plaintexts, of an index over an even size, multiply what other such plaintexts gave",
        ),
    ],
)
def test_what_is_missing(rule: str, text: str, reason: str) -> None:
    assert optimized(text).why_not[rule] == reason


def test_packing_with_leave() -> None:
    reason = optimized(BEST, allow_packing=True).why_not["packing"]
    assert reason == "nothing is made of one packed vector alone by moves and masks, and no permutation is only read"


def test_a_rule_is_taken_or_has_a_reason() -> None:
    found = optimized(PLAIN)
    taken = {rule for rule, _ in found.changes}
    assert "distributivity" in taken
    assert {rule for rule, reason in found.why_not.items() if reason is None} == taken


def test_a_search_that_ends_early_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no rewrite is known for then is not said to be missing where there is one."""
    monkeypatch.setattr(search, "WORK", 0)
    found = optimized(PLAIN)
    assert not found.search.exhausted
    assert found.why_not["evaluation"] == found.why_not["distributivity"] == "the search ended before all was tried"
    assert found.why_not["permutations"] == "no sum or product of permuted vectors"


def test_in_text_and_json(tmp_path: Path) -> None:
    path = tmp_path / "small.slot"
    path.write_text(BEST, encoding="utf-8")
    said = json.loads(slotlang("optimize", str(path), "--json").out)["rules"]
    assert [rule["rule"] for rule in said] == list(BY_NAME)
    assert [rule["taken"] for rule in said] == [rule["why_not"] is None for rule in said]
    lines = slotlang("optimize", str(path)).err.splitlines()
    first = lines.index("rules that were not taken:")
    shown = dict(line.strip().split("  ", 1) for line in lines[first + 1 :])
    assert {rule: reason.strip() for rule, reason in shown.items()} == {
        rule["rule"]: rule["why_not"] for rule in said if not rule["taken"]
    }
