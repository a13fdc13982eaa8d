"""Emitted modules against their programs: what is right is proved, and nothing that was made wrong ever is."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import pytest
from command_line import slotlang
from small_programs import CASES

from slotlang.lower import Lowered, lower
from slotlang.meaning.bind import bind
from slotlang.planning.parameters import Parameters
from slotlang.proof.verdict import Disagreement
from slotlang.source import Source
from slotlang.syntax.parser import parse, read_source
from slotlang.validation.check import check_module, validate

ROOT = Path(__file__).resolve().parents[2]
TINY = {"d": 32, "r": 8, "batch": 2, "slots": 16}


@cache
def lowered(name: str = "rank_complex") -> Lowered:
    return lower(bind(parse(read_source(ROOT / f"programs/{name}.slot")), TINY))


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_small_programs(case) -> None:  # type: ignore[no-untyped-def]
    assert lower(bind(parse(Source("t.slot", case.text)), {})).validation.status == "proved"


def test_the_header_says_so() -> None:
    assert "Validated: executed on expressions" in lowered().text.split('"""')[1]


# Each changes what the module computes, breaks a rule of the library, or makes it fail.
WRONG = [
    ("horner((P[q] for q in reversed(range(R))), batch)", "horner((P[q] for q in range(R)), batch)"),
    ("ev.doubling(T, batch*R, C // R)", "ev.doubling(T, batch*R, C // R - 1)"),
    ("ev.doubling(T, batch*R, C // R)", "ev.doubling(T, batch, C // R)"),
    ("ev.rotate(S_rotated[q - 1], batch)", "ev.rotate(S_rotated[q - 1], -batch)"),
    ("ev.rotate(S_rotated[q - 1], batch) if q else S", "ev.rotate(S_rotated[q - 1], batch) if q > 1 else S"),
    ('plain["V", q, c]) for q in range(R))', 'plain["V", q, c]) for q in range(R - 1))'),
    ('plain["W", q, c]) for c', 'plain["W", c % R, c]) for c'),
    ("B[(h - q) % R, c*C + h] + 1j", "B[(h + q) % R, c*C + h] + 1j"),
    ("1j * B[(h - q) % R + R", "-1j * B[(h - q) % R + R"),
    ("- 1j * A", "+ 1j * A"),
    ("return x[c*C + h, t]", "return x[c*C + h, t] * (h < 5)"),
    ("return x[c*C + h, t]", "return x[c*C + h, 1 - t]"),
    ('values["Y", c].real', 'values["Y", c].imag'),
    ('values["Y", c].real', 'values["Y", 0].real'),
    ("for i in (c*C + h, t))", "for i in (c*C + h, 1 - t))"),
    ("scale * (A[", "(A["),
    ('"rotations": [2, ', '"rotations": ['),
    ("ring.encode(value, products=1)", "ring.encode(value, level=1)"),
    ("value = plain_W(weights, q, c)", "value = plain_W(weights, c, q)"),
    ("Y[c] = ev.dot(", "Y[c] = ev.negate(ev.dot("),
    ("total = self.sums(self.evaluator, pairs)", "total = self.sums(self.evaluator, pairs[1:])"),
    ("for a, plain in pairs)", "for a, plain in pairs[1:])"),
    ("pairs = [(a, plain) for a, plain in pairs", "pairs = [(a, plain) for a, plain in [*pairs][1:]"),
    ("out.scale = self.ring", "out.scale = 2 * self.ring"),
    ('self.counts["rotations"] += 1', "step += 2"),
    ("self.evaluator.add_inplace(total, term)", "pass"),
    ("plain = self.ring.encode(function(arrays, *indices)", "plain = self.ring.encode(2 * function(arrays, *indices)"),
]


@pytest.mark.parametrize(("old", "new"), WRONG, ids=range(len(WRONG)))
def test_a_changed_module_is_refuted(old: str, new: str) -> None:
    made = lowered()
    if "negate" in new:
        old, new = r"(Y\[c\] = )(ev\.dot\(.*\))\n", r"\1ev.negate(\2)\n"
        text = re.sub(old, new, made.text)
    elif old in made.text:
        text = made.text.replace(old, new)
    else:
        raise AssertionError(old)
    assert text != made.text
    found = validate(text, made.plan.program)
    if "self.ring.levels.index" in text and "2 * self.ring" in new:
        assert found.status == "proved"  # nothing is rescaled in this module
        return
    assert found.status == "refuted", found
    assert found.what


@pytest.mark.parametrize("drops", [(1,), (2,), (1, 2)])
def test_the_products_that_a_prime_is_dropped_after(drops: tuple[int, ...]) -> None:
    parameters = Parameters(16384, (60, 60, 40, 40, 60), 40, drops, (45, 35, 30))
    made = lower(lowered().plan.program, parameters)
    assert made.validation.status == "proved"
    for wrong in ([], [1], [2], [1, 2]):
        if wrong[: len(drops)] != list(drops):  # what comes behind is a level that nothing is at
            changed = made.text.replace(f'"drops": {list(drops)},', f'"drops": {wrong},')
            assert validate(changed, made.plan.program).status == "refuted"


# Each leaves the meaning as it is.
SAME = [
    ("for c in range(K))\n    del X", "for c in reversed(range(K)))\n    del X"),
    (
        'ev.dot((X[c], plain["W", q, c]) for c in range(K))',
        'ev.sum(ev.multiply(X[c], plain["W", q, c]) for c in [*range(1, K), 0])',
    ),
    (
        "ev.rotate(S_rotated[q - 1], batch) if q else S",
        "ev.rotate(S, 0) if q == 0 else ev.rotate(S_rotated[q - 1], batch)",
    ),
    ("return x[c*C + h, t]", "return np.roll(np.roll(x[c*C + h, t], 3), -3)"),
    ("- 1j * A[c*C + h, (h + q) % R + R]", "- 0.5j * A[c*C + h, (h + q) % R + R] * 2"),
    ("[c*C + h, t]", "[h + C*c, slot % batch]"),
]


@pytest.mark.parametrize(("old", "new"), SAME, ids=range(len(SAME)))
def test_a_module_with_the_same_meaning_is_proved(old: str, new: str) -> None:
    made = lowered()
    assert old in made.text
    assert validate(made.text.replace(old, new), made.plan.program).status == "proved"


def test_a_wrong_lowering_is_a_bug_and_is_never_written(monkeypatch: pytest.MonkeyPatch) -> None:
    from slotlang.lowering import lower as module

    def wrong(*arguments: object) -> str:
        return emit(*arguments).replace("- 1j * A", "+ 1j * A")  # type: ignore[arg-type]

    emit = module.emit
    monkeypatch.setattr(module, "emit", wrong)
    program = lowered().plan.program
    with pytest.raises(Disagreement, match="rank_complex"):
        lower(program)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("residues = (residues + (conjugate", "residues = (conjugate + (conjugate"),
        ("MASK_MARGIN, MASK_BITS = 3, 16", "MASK_MARGIN, MASK_BITS = 3, 16\n\n\ndef _saved(thing):\n    return b''"),
        ("def uniform(bound, count):", "def uniform(bound, count):\n    return np.zeros(count, np.uint64)"),
    ],
)
def test_what_is_not_executed_must_not_be_changed(old: str, new: str) -> None:
    made = lowered()
    assert old in made.text
    found = validate(made.text.replace(old, new), made.plan.program)
    assert found.status == "unknown" and "was changed" in found.what


def test_a_secret_key_among_what_is_sent_is_refuted() -> None:
    made, old = lowered(), '{"galois": galois, "relin": relin}'
    assert old in made.text
    found = validate(made.text.replace(old, '{"galois": galois, "relin": _saved(self.secret)}'), made.plan.program)
    assert found.status == "refuted" and "a secret key is among the evaluation keys" in found.what


def test_a_context_without_security_is_not_proved() -> None:
    made = lowered()
    text = made.text
    for old, new in (
        ("SEC_LEVEL_TYPE.TC128)\n    if not context", "SEC_LEVEL_TYPE.NONE)\n    if not context"),
        ("    check_parameters()\n    try:", "    try:"),
        ('"prime_bits": [60, 60, 60]', '"prime_bits": [60, 60, 60, 60]'),
    ):
        assert old in text
        text = text.replace(old, new)
    found = validate(text, made.plan.program)
    assert found.status == "unknown" and "128-bit" in found.what


def test_a_module_that_ends_the_process_is_not_proved(tmp_path: Path) -> None:
    path = tmp_path / "out.py"
    for old, status in (("PARAMETERS = {", 2), ('    """Every plaintext the evaluation', 1)):
        path.write_text(lowered().text.replace(old, f"{'    ' * (status == 1)}sys.exit(0)\n{old}", 1))
        assert slotlang("check", str(path)).status == status


def test_what_the_stand_in_does_not_know_is_unknown() -> None:
    made = lowered()
    text = made.text.replace("self.evaluator.rotate_vector(", "self.evaluator.transform_from_ntt(")
    found = validate(text, made.plan.program)
    assert found.status == "unknown" and "transform_from_ntt" in found.what


def test_a_value_too_large_to_compare_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    from slotlang.validation import sweep

    monkeypatch.setattr(sweep, "MAX_MONOMIALS", 3)
    made = lowered()
    found = validate(made.text, made.plan.program)
    assert found.status == "unknown" and "3 monomials" in found.what


def test_plaintexts_multiplied_beforehand() -> None:
    """Two products in the program, one in the module, with a mask that the program multiplies with later."""
    text = """program masked(n = 8)
let slots = n
input x[n]
weight A[n, n], B[n, n]
cipher X = x[slot]
plain W = B[slot, slot]
plain V = A[slot, slot] * [slot < 5]
P = X * W
Y = P * V
output y[slot] = Y
prove y == A @ x
"""
    program = bind(parse(Source("t.slot", text)), {})
    made = lower(program, unproved=True)
    assert made.validation.status == "proved"
    assert "ev.multiply(P, " in made.text
    once = re.sub(r"ev\.multiply\(P, ", "ev.multiply(X, ", made.text).replace("    del X\n", "")
    once = once.replace("value = plain_V(weights)", "value = plain_V(weights) * plain_W(weights)")
    once = once.replace('"Y": ((), 0, 2)', '"Y": ((), 0, 1)')
    found = validate(once, program, proved=False)
    assert found.status == "proved", found
    twice = once.replace("plain_V(weights) * plain_W", "plain_V(weights) * plain_V")
    assert validate(twice, program, proved=False).status == "unknown"


# The command


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "                return made\n        return masks(self.ring)",
            "                return {}\n        return {}",
        ),
        ("result[name] = ev.hide(result[name], fresh.get(name, ()))", "pass"),
        ("fresh = self._masks()", "fresh = self._masks(); fresh = dict.fromkeys(fresh, next(iter(fresh.values())))"),
    ],
)
def test_what_is_sent_without_its_mask_is_not_proved(old: str, new: str) -> None:
    made = lowered()
    assert made.text.count(old) == 1
    found = validate(made.text.replace(old, new), made.plan.program)
    assert found.status == "unknown"
    assert "masked" in found.reason


def test_check_of_a_module(tmp_path: Path) -> None:
    path = tmp_path / "out.py"
    path.write_text(lowered().text)
    ended = slotlang("check", str(path))
    assert ended.status == 0
    assert "the module computes what the program says" in ended.out
    path.write_text(lowered().text.replace("- 1j * A", "+ 1j * A"))
    ended = slotlang("check", str(path), "--json")
    assert ended.status == 1
    entry = json.loads(ended.out)["files"][0]
    assert entry["verdict"] == "refuted" and entry["module"]["verdict"] == "refuted"
    assert entry["module"]["counterexample"]["kind"] == "wrong_element"
    assert re.fullmatch(r"y\[\d+, \d+\]", entry["module"]["counterexample"]["element"])
    assert entry["module"].keys() == entry["report"].keys()


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("PARAMETERS = {", "PARAMETER = {", "SL741"),
        ("def evaluate(", "def evaluate(:", "SL741"),
        ("SLOTS = 16", "SLOTS = 1 / 0", "SL741"),
        ("FORMAT = 2", "FORMAT = 1", "SL744"),
        ("FORMAT = 2\n", "", "SL741"),
        ('"r": 8', '"r": 4', "SL742"),
        ("let C = slots / batch", "let C = slots / (1*batch)", "SL742"),
        ("let C = slots / batch", "let C = slots / ", "SL103"),
    ],
)
def test_what_is_no_module(old: str, new: str, code: str, tmp_path: Path) -> None:
    text = lowered().text
    assert old in text
    path = tmp_path / "out.py"
    path.write_text(text.replace(old, new))
    ended = slotlang("check", str(path))
    assert ended.status == 2
    assert code in ended.err


def test_sizes_of_a_module_are_fixed(tmp_path: Path) -> None:
    path = tmp_path / "out.py"
    path.write_text(lowered().text)
    ended = slotlang("check", str(path), "--set", "d=64")
    assert ended.status == 2 and "SL743" in ended.err


def test_check_module_reports_the_program() -> None:
    found = check_module(Source("out.py", lowered().text))
    assert found.report.proved and found.validation.status == "proved"
    examined = found.validation.examined
    assert examined["members_found"] > 0 and examined["operations"] > 20
