"""Emitted modules against their programs: what is right is proved, and nothing that was made wrong ever is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from amounts import one_in
from command_line import slotlang
from small_programs import CASES

from slotlang.lower import Lowered, lower
from slotlang.meaning.bind import bind
from slotlang.planning.parameters import Parameters
from slotlang.planning.target import Target
from slotlang.proof.verdict import Disagreement
from slotlang.source import Source
from slotlang.syntax.parser import parse, read_source
from slotlang.validation.check import check_module, validate
from slotlang_runtime.version import source_hash

ROOT = Path(__file__).resolve().parents[2]
TINY = {"d": 32, "r": 8, "batch": 2, "slots": 16}
COLUMNS = {"d": 6, "n": 5, "r": 2, "batch": 8}
DOT = """program dot(n = 8, slots = 8)
input x[n]
weight w[n]
axes (h < slots)
cipher X = x[h]
plain W = w[h]
P = X * W
S = sum k < n by doubling: P << k
output y = re S where h == 0
prove y == w @ x
"""


@cache
def lowered(name: str = "rank_complex") -> Lowered:
    return lower(bind(parse(read_source(ROOT / f"programs/{name}.slot")), TINY))


@pytest.mark.parametrize("case", one_in(2, CASES, lambda c: c.name))
def test_small_programs(case) -> None:  # type: ignore[no-untyped-def]
    assert lower(bind(parse(Source("t.slot", case.text)), {})).validation.status == "proved"


@pytest.mark.parametrize("hide", ["exact", "none"])
@pytest.mark.parametrize("case", CASES[::3], ids=lambda c: c.name)
def test_small_programs_hidden_otherwise(case, hide) -> None:  # type: ignore[no-untyped-def]
    program = bind(parse(Source("t.slot", case.text)), {})
    assert lower(program, target=Target(hide=hide)).validation.status == "proved"


def test_the_header_says_so() -> None:
    assert "Validated: what this module computes" in lowered().text.split('"""')[1]


@pytest.mark.parametrize("drops", [(1,), (2,), (1, 2)])
def test_the_products_that_a_prime_is_dropped_after(drops: tuple[int, ...]) -> None:
    parameters = Parameters(16384, (60, 60, 40, 40, 60), 40, drops, (45, 35, 30))
    made = lower(lowered().plan.program, parameters)
    assert made.validation.status == "proved"
    # a rescale too many, or too few, is seen by levels and scales alone
    for old, new in ((".rescale(", ".sum_of("), ("ev.rescale(", "ev.rescale(ev.rescale(")):
        changed = made.text.replace(old, new) if "sum_of" in new else _doubled_call(made.text)
        found = validate(changed, made.plan)
        assert found.status == "refuted" and "Rejected" in found.what, (old, found.what)


def _doubled_call(text: str) -> str:
    return re.sub(r"\n( *)del T\n", r"\n\1T = ev.rescale(ev.rescale(T))\n\1S = T\n\1del T\n", text, count=1)


def test_a_wrong_lowering_is_a_bug_and_is_never_written(monkeypatch: pytest.MonkeyPatch) -> None:
    from slotlang import lower as module

    def wrong(*arguments: object) -> str:
        return emit(*arguments).replace("- 1j * A", "+ 1j * A")  # type: ignore[arg-type]

    # before what lowers it is wrong
    program, emit = lowered().plan.program, module.emit
    monkeypatch.setattr(module, "emit", wrong)
    with pytest.raises(Disagreement, match="rank_complex"):
        lower(program)


def test_a_value_too_large_to_compare_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    from slotlang.validation import matching

    monkeypatch.setattr(matching, "MAX_MONOMIALS", 3)
    made = lowered()
    found = validate(made.text, made.plan)
    assert found.status == "unknown" and "3 monomials" in found.what


def test_operations_without_end_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    from slotlang.validation import operations

    monkeypatch.setattr(operations, "MAX_OPERATIONS", 200)
    made = lowered()
    assert validate(made.text, made.plan).status == "proved"
    text = made.text.replace("    del T\n", "    T = ev.horner((T for q in range(1000)), 2)\n    del T\n")
    found = validate(text, made.plan)
    assert found.status == "unknown" and "200 operations" in found.what


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
    one = "Y = ev.multiply(P, "
    assert one in made.text
    both = """    Q = ev.multiply(X, plain["V",])
    Y = ev.multiply(Q, plain["W",])
    del Q
"""
    # the plaintexts change places, though each has the scale of its place
    lines = made.text.splitlines(keepends=True)
    (at,) = [n for n, line in enumerate(lines) if one in line]
    (gone,) = [n for n, line in enumerate(lines) if line == "    del X\\n" or line.strip() == "del X"]
    changed = "".join(line for n, line in enumerate([*lines[:at], both, *lines[at + 1 :]]) if n != gone)
    found = validate(changed, made.plan, proved=False)
    assert found.status == "proved", found.what
    twice = changed.replace('plain["W",])\n    del Q', 'plain["V",])\n    del Q')
    assert validate(twice, made.plan, proved=False).status == "unknown"


def test_matrix_products_can_not_rotate() -> None:
    """What matrix products can't evaluate never runs, right as it may be."""
    program = bind(parse(read_source(ROOT / "programs/columns.slot")), COLUMNS)
    made = lower(program, target=Target(kernel="matrix"))
    assert made.validation.status == "proved"
    text = made.text.replace(
        "    return result\n", '    result["Y", 0] = ev.rotate(result["Y", 0], 0)\n    return result\n'
    )
    assert validate(text, made.plan).status == "proved"
    end = "    return result\n"
    assert made.text.count(end) == 1
    member = 'result["y", 0]'.replace("y", next(iter(made.plan.graph.results()))[0])
    for call, status in (("ev.rotate({}, 0)", "proved"), ("ev.rotate({}, 1)", "refuted"), ("ev.conj({})", "refuted")):
        text = made.text.replace(end, f"    {member} = {call.format(member)}\n{end}")
        assert validate(text, made.plan).status == status
    several = made.text.replace("return B[i_, k]", "return (1.0 + (t > 0)) * B[i_, k]")
    assert several != made.text
    found = validate(several, made.plan)
    assert found.status == "refuted" and "one real number in all slots" in found.what


@pytest.mark.parametrize(("condition", "slots"), [("h != 0", 7), ("h > 9", 0), ("h >= 0", 8)])
def test_a_result_of_one_number_is_read_from_one_slot(condition: str, slots: int, tmp_path: Path) -> None:
    path, text = tmp_path / "out.py", lower(bind(parse(Source("dot", DOT)))).text
    assert text.count("(h == 0)") == 1
    path.write_text(text.replace("(h == 0)", f"({condition})"))
    ended = slotlang("check", str(path))
    assert ended.status == 1 and f"{slots} slots in place of one" in " ".join((ended.out + ended.err).split())


# The command


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
    assert re.match(r"y\[\d+, \d+\]", entry["module"]["counterexample"]["element"])


def test_nothing_of_a_module_is_executed(tmp_path: Path) -> None:
    """Not at the top, in a body, a default or a decorator: each would leave a file behind."""
    trace = tmp_path / "executed"
    say = f"open({str(trace)!r}, 'w')"
    path = tmp_path / "out.py"
    for old, new, status in (
        ("import sys\n", f"import sys\n{say}\n", 2),
        ("    result = {}\n", f"    {say}\n    result = {{}}\n", 1),
        ("def evaluate(ev, cipher, plain):", f"def evaluate(ev, cipher, plain={say}):", 2),
        ("def evaluate(", f"@{say}\ndef evaluate(", 2),
        ("FORMAT = 8", f"FORMAT = {say} and 4", 2),
        ("SIZES = {", f"SIZES = {{{say}: 1, ", 2),
        ('"""\n\nimport sys', f'"""\n{say}\nimport sys', 2),
    ):
        assert old in lowered().text
        path.write_text(lowered().text.replace(old, new, 1))
        assert slotlang("check", str(path)).status == status, old
        assert not trace.exists()


def test_an_error_shows_the_line(tmp_path: Path) -> None:
    path = tmp_path / "out.py"
    text = lowered().text.replace("import numpy as np\n", "import numpy as np\nimport os\n", 1)
    path.write_text(text)
    ended = slotlang("check", str(path))
    line = text.split("import os\n")[0].count("\n") + 1
    assert ended.status == 2
    assert "SL745" in ended.err and "the import of os was added" in ended.err and f"{path.name}:{line}:1" in ended.err


def test_what_the_language_can_not_say_shows_the_line(tmp_path: Path) -> None:
    path = tmp_path / "out.py"
    text = lowered().text.replace("    result = {}\n", "    while True:\n        pass\n    result = {}\n")
    path.write_text(text)
    ended = slotlang("check", str(path), "--json")
    line = text.split("    while True")[0].count("\n") + 1
    assert ended.status == 1
    reason = json.loads(ended.out)["files"][0]["module"]["reason"]
    assert reason.startswith(f"line {line}:") and "While" in reason


def test_modules_of_other_formats_and_runtimes(tmp_path: Path) -> None:
    path = tmp_path / "out.py"
    path.write_text('"""Old."""\nPARAMETERS = {}\nFORMAT = 2\nSLOTS = 16\n')
    ended = slotlang("check", str(path))
    assert ended.status == 2 and "SL744" in ended.err and "format 2" in ended.err and "format 8" in ended.err
    path.write_text(lowered().text.replace(source_hash(), "0" * 64))
    ended = slotlang("check", str(path))
    assert ended.status == 2 and "SL746" in ended.err and "0" * 16 in ended.err and source_hash()[:16] in ended.err


def test_a_bundle_has_the_runtime_that_is_installed(tmp_path: Path) -> None:
    import slotlang_runtime

    folder = tmp_path / "slotlang_runtime"
    shutil.copytree(Path(slotlang_runtime.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__"))
    path = tmp_path / "out.py"
    path.write_text(lowered().text)
    assert slotlang("check", str(path)).status == 0
    file = folder / "masks.py"
    whole = file.read_text()
    file.write_text(whole.replace("def slot_mask", "def slot_mask2"))
    ended = slotlang("check", str(path))
    assert ended.status == 2 and "SL746" in ended.err and source_hash()[:16] in ended.err
    file.write_text(whole)
    (folder / "masks.cpython-311-x86_64-linux-gnu.so").write_text("")
    assert "SL746" in slotlang("check", str(path)).err
    shutil.rmtree(folder)
    (tmp_path / "slotlang_runtime.py").write_text("")
    assert "SL746" in slotlang("check", str(path)).err


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("PARAMETERS = Parameters(", "PARAMETER = Parameters(", "SL741"),
        ("def evaluate(", "def evaluate(:", "SL741"),
        ("FORMAT = 8", "FORMAT = 1", "SL744"),
        ("FORMAT = 8\n", "", "SL741"),
        ('"r": 8', '"r": 4', "SL742"),
        ("let C = slots / batch", "let C = slots / (1*batch)", "SL742"),
        ("let C = slots / batch", "let C = slots / ", "SL103"),
    ],
)
def test_what_is_not_a_module(old: str, new: str, code: str, tmp_path: Path) -> None:
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
    assert found.validation.examined["members_found"] > 0 and found.validation.examined["operations"] > 20


def test_lowering_imports_neither_tenseal_nor_numba() -> None:
    code = (
        "import sys; from slotlang.lower import lower; from slotlang.meaning.bind import bind;"
        "from slotlang.syntax.parser import parse, read_source; from pathlib import Path;"
        f"lower(bind(parse(read_source(Path({str(ROOT / 'programs/rank_complex.slot')!r}))), {TINY!r}));"
        "print([m for m in ('tenseal', 'numba') if m in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"
