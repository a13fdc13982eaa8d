"""Encoded weights on disk: used when they are whole and of this module and these weights, replaced when not."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from small_programs import case

from slotlang import api
from slotlang.diagnostics import SlotError
from slotlang.run.cache import CacheUse, cache_key, encode_cached
from slotlang.run.runner import execute, load_module, random_data
from slotlang_runtime import Rejected, Weights

SMALL = api.Parameters(4096, (36, 36, 37), 20)


@cache
def lowered(name: str = "horner and doubling") -> api.Lowered:
    return api.lower(api.loads(case(name).text), SMALL)


def use(folder: Path, change: Callable[[dict[str, Any]], None] = lambda _: None) -> CacheUse:
    made = lowered()
    inputs, weights = random_data(made.plan.program, 0)
    weights = dict(weights)
    change(weights)
    report = execute(made.text, made.plan.counts.executed(), inputs, weights, cache=folder)
    assert report.relative_error < 0.1
    assert report.cache is not None
    return report.cache


def test_weights_are_kept_and_found(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "here"
    first, second = use(folder), use(folder)
    assert (first.state, second.state) == ("stored", "loaded")
    assert first.file == second.file
    assert [str(p) for p in folder.iterdir()] == [first.file]
    assert Path(first.file).stat().st_size == first.bytes == second.bytes
    assert Path(first.file).stat().st_mode & 0o077 == 0


def test_other_weights_are_other_files(tmp_path: Path) -> None:
    first = use(tmp_path)

    def change(weights: dict[str, Any]) -> None:
        weights["A"] = weights["A"] + 1e-9

    other = use(tmp_path, change)
    assert (other.state, other.file != first.file) == ("stored", True)


def test_the_key_is_of_all_that_is_encoded() -> None:
    text = lowered().text
    _, weights = random_data(lowered().plan.program, 0)
    keys = [
        cache_key(text, weights),
        cache_key(text + "\n", weights),
        cache_key(text, {**weights, "scale": weights["scale"] * 2}),
        cache_key(text, {**weights, "A": weights["A"].T}),
        cache_key(text, {**weights, "A": weights["B"], "B": weights["A"]}),
    ]
    assert len(set(keys)) == len(keys)
    assert cache_key(text, dict(reversed(weights.items()))) == keys[0]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: b"",
        lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:],
        lambda data: b"\0" * len(data),
    ],
    ids=["truncated", "empty", "a bit changed", "zeros"],
)
def test_damaged_files_are_replaced(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = Path(use(tmp_path).file)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    rebuilt = use(tmp_path)
    assert rebuilt.state == "rebuilt"
    assert rebuilt.reason
    assert path.read_bytes() == whole
    assert use(tmp_path).state == "loaded"


def test_weights_of_another_program_are_not_taken(tmp_path: Path) -> None:
    path = Path(use(tmp_path).file)
    other = lowered("as written")
    encoded = Weights.encode(load_module(other.text), **random_data(other.plan.program, 0)[1])
    path.write_bytes(encoded.to_bytes())
    rebuilt = use(tmp_path)
    assert rebuilt.state == "rebuilt"
    assert rebuilt.reason.startswith("these weights are for program dense; lora needs program lora")


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(SlotError, match="No space left") as refused:
        use(tmp_path)
    assert refused.value.diagnostics[0].code == "SL512"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("not a folder")
    with pytest.raises(SlotError, match="SL512"):
        use(path)
    assert path.read_text() == "not a folder"


def test_what_is_refused_is_not_kept(tmp_path: Path) -> None:
    made = lowered()
    _, weights = random_data(made.plan.program, 0)
    with pytest.raises(Rejected):
        encode_cached(load_module(made.text), made.text, {**weights, "A": weights["A"] * 1e30}, tmp_path)
    assert list(tmp_path.iterdir()) == []
