"""Calibration: every primitive is measured, and the file it writes is a profile. No test depends on a time."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from command_line import slotlang
from json_shapes import EXAMPLES, agrees, shape

from slotlang.cost.primitives import PRIMITIVES
from slotlang.cost.profile import Machine, Profile, find_profile, read_profile, this_machine
from slotlang.planning.parameters import MAX_MODULUS_BITS
from slotlang.run import calibrate, primitives
from slotlang.run.request_samples import BESIDE_SLOTS, FIXED

((COMMAND, _, SHOWN),) = (example for example in EXAMPLES if example[0].startswith("slotlang calibrate "))
QUICK = ("--degree", "4096", "--seconds", "0")


def test_every_degree_is_secure_and_measured_at_primes_it_has() -> None:
    for degree, (bits, primes) in calibrate.POINTS.items():
        assert sum(bits) <= MAX_MODULUS_BITS[degree]
        assert set(primes) <= set(range(1, len(bits)))
        assert {1, 2} <= set(primes)


@dataclass(frozen=True)
class Measured:
    """What `slotlang calibrate` printed and wrote, what it told of its progress, and the profile it measured."""

    output: Path
    printed: dict[str, Any]
    progress: list[float]
    profile: Profile


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """One real calibration, by the command that docs/json.md shows, for the tests of this file: it takes seconds."""
    folder = tmp_path_factory.mktemp("calibrated")
    (folder / "build").mkdir()
    seen: list[float] = []
    made: list[Profile] = []
    real = calibrate.calibrate

    def observed(progress: calibrate.Progress, *others: Any, **named: Any) -> Profile:
        def told(what: str, done: float) -> None:
            seen.append(done)
            progress(what, done)

        made.append(real(told, *others, **named))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibrate, "calibrate", observed)
        patch.chdir(folder)
        found = slotlang(*shlex.split(COMMAND)[1:])
    assert found.status == 0
    (profile,) = made
    return Measured(folder / "build" / "profile.json", json.loads(found.out), seen, profile)


def test_what_is_printed_has_the_shape_that_is_shown(measured: Measured) -> None:
    shown = json.loads(SHOWN)
    assert shown["schema"] == measured.printed["schema"]
    assert list(shown) == list(measured.printed)
    assert agrees(shape(shown), shape(measured.printed))


def test_every_primitive_is_measured(measured: Measured) -> None:
    printed = measured.printed
    assert printed["output"] == "build/profile.json"
    assert printed["degrees"] == [4096]
    profile = read_profile(measured.output)
    assert set(profile.table) == {4096}
    assert set(profile.table[4096]) == set(PRIMITIVES)
    assert sorted(profile.table[4096]["rotate"]) == [1, 2]
    # parts of sums and of calls are differences of times, and one round on a busy machine may leave nothing of one
    differences = {"dot", "dot_product", "dot_operand", "gather", "vector", "remainder", *FIXED}
    differences |= {name for names in FIXED.values() for name in names} | {f"{name}_slots" for name in BESIDE_SLOTS}
    parts = {name: profile.table[4096][name] for name in differences}
    assert all(s >= 0 for times in parts.values() for s in times.values())
    assert all(s > 0 for name, times in profile.table[4096].items() if name not in parts for s in times.values())
    assert profile.machine == this_machine()
    assert list(profile.warnings(this_machine())) == []


def test_progress_runs_from_start_to_end(measured: Measured) -> None:
    seen = measured.progress
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0, 1)


def test_without_a_file_it_is_the_users(
    measured: Measured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "new"))
    monkeypatch.delenv("SLOTLANG_PROFILE")
    # where it is written does not depend on what was measured
    monkeypatch.setattr(calibrate, "calibrate", lambda *_, **__: measured.profile)
    assert slotlang("calibrate", *QUICK).status == 0
    assert (tmp_path / "new" / "slotlang" / "profile.json").is_file()
    program = str(root / "programs" / "rank_complex.slot")
    values = json.loads(slotlang("cost", program, "--json").out)
    assert values["predicted"]["profile"] == read_profile(tmp_path / "new" / "slotlang" / "profile.json").name


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--degree", "5000"), "SL446"),
        (("--seconds", "-1"), "SL005"),
        (("--seconds", "nan"), "SL005"),
        (("-o", "no/such/folder/p.json"), "SL004"),
        (("-o", "."), "SL004"),
    ],
)
def test_bad_arguments(arguments: tuple[str, ...], code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    found = slotlang("calibrate", *arguments, "--json")
    assert found.status == 2
    assert json.loads(found.out)["diagnostics"][0]["code"] == code
    assert not list(tmp_path.rglob("*.json"))


def test_without_tenseal_there_is_nothing_to_measure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delitem(sys.modules, "slotlang.run.primitives")
    monkeypatch.setitem(sys.modules, "tenseal.sealapi", None)
    found = slotlang("calibrate", *QUICK, "-o", str(tmp_path / "p.json"), "--json")
    assert found.status == 2
    assert json.loads(found.out)["diagnostics"][0]["code"] == "SL445"
    assert not list(tmp_path.iterdir())


def test_an_interrupt_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    before = tmp_path / "p.json"
    before.write_text("as it was")
    monkeypatch.setattr(primitives.Sample, "seconds", interrupted)
    found = slotlang("calibrate", *QUICK, "-o", str(before))
    assert found.status == 130
    assert "interrupted" in found.err and "Traceback" not in found.err
    assert [p.name for p in tmp_path.iterdir()] == ["p.json"]
    assert before.read_text() == "as it was"


def test_a_profile_of_another_machine_is_a_warning(tmp_path: Path, root: Path, shipped_times: Path) -> None:
    values = json.loads(shipped_times.read_text())
    values["machine"] = {**values["machine"], "processor": "abacus", "tenseal": "0.0.1"}
    path = tmp_path / "p.json"
    path.write_text(json.dumps({**values, "name": "the abacus"}))
    program = str(root / "programs" / "rank_complex.slot")
    found = slotlang("cost", program, "--profile", str(path), "--json")
    assert found.status == 0
    assert json.loads(found.out)["predicted"]["profile"] == "the abacus"
    assert "warning[SL443]" in found.err and "warning[SL444]" in found.err and "abacus" in found.err
    assert "by the profile the abacus" in slotlang("cost", program, "--profile", str(path)).out
    assert not slotlang("cost", program).err


TIMED = {
    "cost": ("cost", "PROGRAM"),
    "compare": ("compare", "PROGRAM", "PROGRAM"),
    "optimize": ("optimize", "PROGRAM", "-o", "OUT"),
    "synth": ("synth", "--d-in", "2", "--d-out", "2", "--rank", "1", "-o", "OUT"),
}


@pytest.mark.parametrize("name", TIMED)
def test_the_package_s_profile_is_noted_once(
    name: str, tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine that nobody calibrated: below the times, and in no way for scripts that read JSON."""
    monkeypatch.delenv("SLOTLANG_PROFILE")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    words = {"PROGRAM": str(root / "programs" / "conjugate.slot"), "OUT": str(tmp_path / "out.slot")}
    command = [words.get(word, word) for word in TIMED[name]]
    there = find_profile().machine
    monkeypatch.setattr("slotlang.cli.calibration.this_machine", lambda: replace(there, processor="abacus"))
    found = slotlang(*command)
    assert found.status == 0 and "SL444" not in found.err
    assert found.out.count("note: these times are of another machine") == found.out.count(f"{there.processor} (") == 1
    found = slotlang(*command, "--json")
    assert found.status == 0 and "SL444" not in found.err and "note: these" not in found.out


def test_a_damaged_profile_is_an_error_in_every_command_that_predicts(tmp_path: Path, root: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text("{")
    program = str(root / "programs" / "rank_complex.slot")
    for command in ("cost", "compare"):
        found = slotlang(command, program, "--profile", str(path), "--json")
        assert found.status == 2
        assert json.loads(found.out)["diagnostics"][0]["code"] == "SL442"


def test_machines_differ_by_what_times_depend_on() -> None:
    assert Machine("a", "b", 1, "c") != Machine("a", "b", 1, "d")
