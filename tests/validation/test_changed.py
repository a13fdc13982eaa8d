"""What is said of a module whose constants were edited: the constant that was, and not what follows from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import slotlang
from repository import PROGRAMS

SIZES = [word for size in ("d=32", "r=4", "batch=2", "slots=16") for word in ("--set", size)]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("changed") / "module.py"
    ended = slotlang("lower", str(PROGRAMS / "rank_complex.slot"), *SIZES, "--kernel", "compiled", "-o", str(out))
    assert ended.status == 0, ended.err
    return out.read_text()


@pytest.mark.parametrize(
    ("old", "new", "code", "said"),
    [
        ('hide="mask"', 'hide="none"', "SL745", "`PARAMETERS` has hide='none', and all else is emitted for 'mask'"),
        ('hide="mask"', 'hide="exact"', "SL745", "`PARAMETERS` has hide='exact', and all else is emitted for 'mask'"),
        ('"verdict": "proved"', '"verdict": "unknown"', "SL745", "`LOWERED` has verdict='unknown', and all else is"),
        ('"verdict": "proved"', '"verdict": "tested"', "SL745", "`LOWERED` has verdict='tested', and all else is"),
        ('"method": "polyhedral"', '"method": "exact"', "SL745", "`LOWERED` has method='exact', and all else is"),
        ('"validated": True', '"validated": False', "SL745", "`LOWERED` has validated=False, and all else is emitted"),
        ('"by": "', '"by": "9', "SL745", "`LOWERED` has by='9"),
        (
            'KERNEL = "compiled"',
            'KERNEL = "seal"',
            "SL745",
            "`KERNEL` has 'seal', and all else is emitted for 'compiled'",
        ),
        ('"range": "conditional"', '"range": "proved"', "SL745", "`LOWERED` was changed"),
        ("(36,)", "(35,)", "SL745", "`PROMISE` is not what is predicted for `PARAMETERS`"),
        ('SIZES = {"d": 32', 'SIZES = {"d": 64', "SL742", "`SIZES` has d = 64, and the hash is that of d = 32"),
        ('SIZES = {"d": 32', 'SIZES = {"d": 3', "SL742", "`SIZES` has d = 3, and the hash is that of d = 32"),
        ('"program rank', '"program  rank', "SL742", "`PROGRAM`, `SIZES` or the hash in `MODULE` was changed"),
        ('"""rank_complex: enc', '"""rank_complex: Enc', "SL745", "the docstring does not say what `LOWERED`"),
    ],
)
def test_the_constant_that_was_changed_is_named(
    text: str, tmp_path: Path, old: str, new: str, code: str, said: str
) -> None:
    assert text.count(old) >= 1
    path = tmp_path / "module.py"
    edited = text.replace(old, new, 1)
    path.write_text(edited)
    ended = slotlang("check", str(path))
    assert ended.status == 2 and f"error[{code}]" in ended.err and said in ended.err, ended.err
    # the place is the line that was edited, or the start of its statement
    line = next(n for n, (a, b) in enumerate(zip(text.split("\n"), edited.split("\n"), strict=True), 1) if a != b)
    if "PROMISE" not in said and "PROGRAM" not in said:
        assert f"{path}:{line}:" in ended.err


def test_two_changes_name_the_constants(text: str, tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(text.replace('hide="mask"', 'hide="none"').replace('"validated": True', '"validated": False'))
    ended = slotlang("check", str(path))
    assert ended.status == 2 and "SL745" in ended.err and "`LOWERED`, `PARAMETERS` and `PROMISE`" in ended.err
