"""Profiles: what is read, what is refused, what lies between the measured numbers of primes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slotlang.cost.primitives import OF_KERNELS, PRIMITIVES
from slotlang.cost.profile import (
    SCHEMA,
    Machine,
    Profile,
    find_profile,
    parse_profile,
    read_profile,
    shipped_profile,
    this_machine,
    user_profile,
)
from slotlang.diagnostics import SlotError
from slotlang.run.request_samples import BESIDE_SLOTS, FIXED

HERE = Machine("a processor", "x86_64", 2, "0.3.18")


def profile(times: dict[int, dict[int, float]], name: str = "made up") -> Profile:
    """A profile in which every primitive takes the given seconds, by degree and primes."""
    return Profile(name, HERE, "2026-01-01", 0.0, {degree: dict.fromkeys(PRIMITIVES, t) for degree, t in times.items()})


def code(path: Path) -> str:
    with pytest.raises(SlotError) as raised:
        read_profile(path)
    return raised.value.diagnostics[0].code


def test_the_shipped_profile_is_whole() -> None:
    shipped = read_profile(shipped_profile())
    assert sorted(shipped.table) == [4096, 8192, 16384, 32768]
    assert shipped.machine.processor in shipped.name and shipped.machine.tenseal in shipped.name
    for primitives in shipped.table.values():
        assert set(primitives) == set(PRIMITIVES)
    for table in (shipped.kernels, *shipped.small.values()):
        assert sorted(table) == sorted(shipped.table)
        assert all(set(primitives) >= set(OF_KERNELS) for primitives in table.values())
        # what sums and calls take besides their products and ciphertexts is a difference, and may vanish beside them
        differences = {"dot", "dot_operand", "far_megabyte", *FIXED, *(f"{name}_slots" for name in BESIDE_SLOTS)}
        times = [
            (name, s) for primitives in table.values() for name, found in primitives.items() for s in found.values()
        ]
        assert all(s >= 0 for _, s in times)
        assert all(s for name, s in times if name not in differences)


def test_a_profile_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = profile({4096: {1: 1e-3, 2: 2.5e-3}})
    (tmp_path / "p.json").write_text(json.dumps(made.to_json()))
    found = read_profile(tmp_path / "p.json")
    assert found == made
    assert found.source == str(tmp_path / "p.json")


def test_measured_times_are_exact_and_a_key_switch_is_quadratic() -> None:
    def law(k: int) -> float:
        return 3e-4 * k * k + 2e-4 * k

    made = profile({8192: {k: law(k) for k in (1, 2, 4)}})
    for k in range(1, 12):
        assert made.seconds("rotate", 8192, k) == pytest.approx(law(k))


def test_what_is_proportional_to_primes_stays_so() -> None:
    made = profile({8192: {2: 2e-3, 3: 3e-3}})
    assert [made.seconds("add", 8192, k) for k in (1, 5, 9)] == pytest.approx([1e-3, 5e-3, 9e-3])


def test_time_never_falls_with_more_primes_beyond_those_measured() -> None:
    made = profile({8192: {1: 5e-3, 2: 5.5e-3}})
    times = [made.seconds("encode_real", 8192, k) for k in range(2, 20)]
    assert times == sorted(times)


def test_the_shipped_times_grow_with_primes_and_degree() -> None:
    shipped = read_profile(shipped_profile())
    for primitive in ("rotate", "multiply_plain", "add", "add_inplace", "rescale", "encode_real", "receive"):
        for degree in shipped.table:
            assert shipped.seconds(primitive, degree, 2) < shipped.seconds(primitive, degree, 5)
        for primes in (2, 5):
            times = [shipped.seconds(primitive, degree, primes) for degree in (2048, 4096, 8192, 16384, 32768)]
            assert times == sorted(times)


def test_a_degree_that_was_not_measured_goes_by_n_log_n() -> None:
    made = profile({8192: {1: 13e-3}, 32768: {1: 1.0}})
    assert made.seconds("add", 2048, 1) == pytest.approx(11e-3 / 4)
    assert made.seconds("add", 8192, 3) == pytest.approx(39e-3)


def kernels(**times: dict[int, float]) -> Profile:
    """A profile in which SEAL takes 1 s for everything, and compiled kernels the given seconds, by primes."""
    return replace(
        profile({8192: {2: 1.0}}),
        kernels={8192: times},
        small={50: {8192: {**times, "mod_down": {2: 1e-3}}}, 45: {8192: {**times, "mod_down": {2: 5e-4}}}},
    )


PARTS = kernels(
    decompose={2: 6e-3, 4: 20e-3},
    key_product={2: 3e-3},
    mod_down={2: 2e-3},
    far_megabyte={1: 1e-4},
    multiply_plain={2: 1e-3},
)


def test_compiled_kernels_are_asked_for_what_they_take() -> None:
    assert PARTS.seconds("decompose", 8192, 2) == 6e-3
    # k digits modulo k + 1 primes
    assert PARTS.seconds("decompose", 8192, 3) == pytest.approx(12e-3)
    assert PARTS.seconds("key_product", 8192, 1) == pytest.approx(1e-3)
    assert PARTS.seconds("mod_down", 8192, 4) == pytest.approx(4e-3)
    # N log N
    assert PARTS.seconds("mod_down", 4096, 2) == pytest.approx(2e-3 * 12 / 26)
    assert PARTS.seconds("multiply_plain", 8192, 2) == 1e-3 and PARTS.seconds("add", 8192, 2) == 1.0
    assert PARTS.key_switch(8192, 2) == pytest.approx(11e-3)
    assert PARTS.of_primes([50, 40]).key_switch(8192, 2) == pytest.approx(10e-3)
    assert PARTS.of_primes([45, 40]).key_switch(8192, 2) == pytest.approx(9.5e-3)
    assert PARTS.of_primes([46, 40]).key_switch(8192, 2) == pytest.approx(10e-3)
    assert PARTS.of_primes([51, 40]) is PARTS
    seal = PARTS.without_kernels
    assert seal.of_primes([50]) is seal
    assert seal.key_switch(8192, 2) == seal.seconds("multiply_plain", 8192, 2) == 1.0
    assert seal.without_kernels is seal and PARTS.without_kernels is seal


def test_times_of_kernels_are_read_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(json.dumps(PARTS.to_json()))
    assert read_profile(tmp_path / "p.json") == PARTS
    assert "kernels" not in PARTS.without_kernels.to_json()
    (tmp_path / "p.json").write_text(json.dumps(PARTS.without_kernels.to_json()))
    assert read_profile(tmp_path / "p.json").kernels == read_profile(tmp_path / "p.json").small == {}


_WHOLE = {part: {"2": 1.0} for part in ("decompose", "key_product", "mod_down", "far_megabyte")}


@pytest.mark.parametrize(
    "section",
    [
        None,
        [],
        {},
        {"60": {"8192": _WHOLE}, "50": None},
        {"60": {"8192": _WHOLE}, "50": {}},
        {"60": {"8192": _WHOLE}, "50": {"8192": {}}},
        {"60": {"8192": _WHOLE}, "50": {"8192": None}},
        {"60": {"8192": _WHOLE}, "50": {"8191": _WHOLE}},
        {"60": {"8192": _WHOLE}, "50": {"8192": {**_WHOLE, "mod_down": {}}}},
        {"60": {"8192": _WHOLE}, "50": {"8192": {**_WHOLE, "mod_down": {"2": -1}}}},
        {"60": {"8192": _WHOLE}, "50": {"8192": {**_WHOLE, "add": {"2": "fast"}}}},
        {"60": {"8192": _WHOLE}, "50": {"8192": {k: _WHOLE[k] for k in ("decompose", "key_product")}}},
        {"60": {"8192": _WHOLE}, "50": {"8192": {**_WHOLE, "add": {"2": 1.0}}, "4096": _WHOLE}},
        {"60": {"8192": _WHOLE}, "50": {"8192": _WHOLE, "4096": {**_WHOLE, "add": {"2": 1.0}}}},
        {"60": {"8192": _WHOLE}},
        {"60": {}, "50": {"8192": _WHOLE}},
    ],
    ids=range(16),
)
def test_what_is_no_section_of_kernels(section: Any, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(spoiled(kernels=section))
    assert code(tmp_path / "p.json") == "SL442"


def test_keys_grow_with_the_square_of_primes() -> None:
    made = profile({8192: {4: 20e-3}})
    assert made.seconds("galois_key", 8192, 1) == pytest.approx(2e-3)
    assert made.seconds("encode_integer", 8192, 1) == pytest.approx(20e-3)


def valid() -> dict[str, Any]:
    return dict(profile({4096: {1: 1e-3}}).to_json())


def spoiled(**changes: Any) -> str:
    return json.dumps({**valid(), **changes})


def timed(degree: str, times: Any) -> str:
    """A profile of one degree, every primitive with these times."""
    return spoiled(microseconds={degree: dict.fromkeys(PRIMITIVES, times)})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing",
        "[]",
        "null",
        "[" * 100_000,
        "{}",
        spoiled(schema="slotlang.profile/1"),
        spoiled(schema=3),
        spoiled(name=None),
        spoiled(machine={}),
        spoiled(machine={**valid()["machine"], "cores": "two"}),
        spoiled(load="high"),
        spoiled(microseconds={}),
        spoiled(microseconds=[]),
        spoiled(microseconds={"4096": {}}),
        timed("4096", {}),
        timed("4096", {"1": -1}),
        timed("4096", {"1": float("nan")}),
        timed("4096", {"1": float("inf")}),
        timed("4096", {"1": True}),
        timed("4096", {"1": "5"}),
        timed("4096", {"0": 5}),
        timed("4096", {"x" * 99: 5}),
        timed("4095", {"1": 5}),
        timed("1", {"1": 5}),
        timed("-4096", {"1": 5}),
    ],
    ids=range(26),
)
def test_what_is_no_profile(text: str, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(text)
    assert code(tmp_path / "p.json") == "SL442"


def test_every_byte_of_a_profile_that_is_cut_off_is_missed(tmp_path: Path) -> None:
    text = json.dumps(valid())
    for length in range(0, len(text), 97):
        (tmp_path / "p.json").write_text(text[:length])
        assert code(tmp_path / "p.json") == "SL442"


def test_files_that_can_not_be_read(tmp_path: Path) -> None:
    assert code(tmp_path / "missing.json") == "SL441"
    assert code(tmp_path) == "SL441"
    (tmp_path / "p.json").write_bytes(b"\xff\xfe")
    assert code(tmp_path / "p.json") == "SL442"
    (tmp_path / "p.json").write_bytes(b" " * (1 << 22) + b"{}")
    assert code(tmp_path / "p.json") == "SL442"


def test_which_profile_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def written(name: str) -> Path:
        path = tmp_path / name / "profile.json"
        path.parent.mkdir()
        path.write_text(json.dumps(profile({4096: {1: 1e-3}}, name).to_json()))
        return path

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("SLOTLANG_PROFILE")
    assert find_profile().source == str(shipped_profile())
    assert user_profile() == written("slotlang")
    assert find_profile().name == "slotlang"
    monkeypatch.setenv("SLOTLANG_PROFILE", str(written("environment")))
    assert find_profile().name == "environment"
    assert find_profile(written("given")).name == "given"


def test_a_named_profile_that_is_missing_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLOTLANG_PROFILE", str(tmp_path / "none.json"))
    with pytest.raises(SlotError, match="SL441"):
        find_profile()


@pytest.mark.parametrize(
    ("here", "codes"),
    [
        (HERE, []),
        (replace(HERE, cores=64), []),
        (replace(HERE, tenseal="0.4.0"), ["SL443"]),
        (replace(HERE, processor="another"), ["SL444"]),
        (replace(HERE, architecture="aarch64", tenseal="1"), ["SL443", "SL444"]),
    ],
)
def test_warnings_name_the_profile(here: Machine, codes: list[str]) -> None:
    found = list(profile({4096: {1: 1e-3}}).warnings(here))
    assert [w.code for w in found] == codes
    assert all("made up" in w.message for w in found)


@pytest.mark.parametrize(("tenseal", "codes"), [(None, []), ("0.0.1", ["SL443"])])
def test_the_package_s_profile_is_noted_and_not_warned_of(tenseal: str | None, codes: list[str]) -> None:
    shipped = read_profile(shipped_profile())
    there = shipped.machine
    here = replace(there, processor="abacus", tenseal=tenseal or there.tenseal)
    assert [w.code for w in shipped.warnings(here)] == codes
    note = shipped.note(here)
    assert note is not None and there.processor in note and "slotlang calibrate" in note
    assert shipped.note(there) is None
    # somebody put it there
    copied = replace(shipped, source="elsewhere.json")
    assert copied.note(here) is None and "SL444" in [w.code for w in copied.warnings(here)]


def test_this_machine_is_described() -> None:
    here = this_machine()
    assert here.processor and here.architecture and here.cores >= 1
    assert here.tenseal[0].isdigit()


def test_the_schema_is_versioned() -> None:
    assert SCHEMA == "slotlang.profile/11"
    assert parse_profile(valid(), Path("p.json")).name == "made up"


def test_what_goes_by_slots_and_what_by_number_alone() -> None:
    alike = {primitive: {1: 1e-3} for primitive in PRIMITIVES}
    table = {d: {**alike, "gather": {d // 2: d * 1e-9}} for d in (4096, 8192)}
    found = Profile("made up", HERE, "2026-01-01", 0.0, table)
    # of a program with 1,024 slots, in whatever ring
    assert found.seconds("gather", 32768, 1024) == pytest.approx(2048e-9)
    assert found.seconds("gather", 4096, 4096) == pytest.approx(8192e-9)
    assert found.seconds("encode_integer", 32768, 5) == 1e-3
    assert found.seconds("send_real", 32768, 1) > 4e-3
