"""Encoded weights on disk: used when they are whole and of this module and these weights, replaced when not."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from small_programs import case

from slotlang import api
from slotlang.diagnostics import SlotError
from slotlang.files import write_whole
from slotlang.run.cache import MAGIC, CacheUse, cache_key, encode_cached
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


def test_other_exponents_are_other_files() -> None:
    _, weights = random_data(lowered().plan.program, 0)
    keys = [cache_key("text", weights, e) for e in (None, {"x": [0, 1]}, {"x": [1, 0]}, {"z": [0, 1]})]
    assert len(set(keys)) == 4 and cache_key("text", weights, {}) == keys[0] == cache_key("text", weights)


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
    head, data = path.read_bytes()[: len(MAGIC) + 32], encoded.to_bytes()
    reasons = "it is not a file of", "these weights are for program dense; lora needs program lora"
    for stored, reason in zip((data, head + data), reasons, strict=True):
        path.write_bytes(stored)
        rebuilt = use(tmp_path)
        assert rebuilt.state == "rebuilt" and rebuilt.reason.startswith(reason)


def test_weights_of_another_key_are_not_taken(tmp_path: Path) -> None:
    def change(weights: dict[str, Any]) -> None:
        weights["A"] = weights["A"] * 0.5

    # the same module and shapes: nothing but the key says that these are others, and the result would be wrong
    path, other = Path(use(tmp_path).file), Path(use(tmp_path, change).file)
    assert path != other
    path.write_bytes(other.read_bytes())
    rebuilt = use(tmp_path)
    assert (rebuilt.state, rebuilt.reason) == ("rebuilt", "it holds the weights of another key")
    assert use(tmp_path).state == "loaded"


@pytest.mark.parametrize("kind", ["pipe", "link to a pipe", "socket", "device", "folder"])
def test_what_is_no_file_is_not_waited_for(kind: str, tmp_path: Path) -> None:
    path = Path(use(tmp_path).file)
    path.unlink()
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "link to a pipe":
            os.mkfifo(tmp_path / "pipe")
            path.symlink_to(tmp_path / "pipe")
        case "socket":
            # its own path has to be short
            with socket.socket(socket.AF_UNIX) as made, TemporaryDirectory(dir="/tmp") as short:
                made.bind(f"{short}/s")
                Path(short, "s").rename(path)
        case "device":
            path.symlink_to("/dev/zero")
        case _:
            path.mkdir()
    used = use(tmp_path)
    if kind == "folder":
        assert (used.state, used.bytes, used.reason) == ("unsaved", 0, "Is a directory")
    else:
        assert used.state == "rebuilt" and "not a regular file" in used.reason
        assert use(tmp_path).state == "loaded"


def test_a_full_disk_leaves_weights_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def limited(*arguments: Any) -> None:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, before[1]))
        try:
            write_whole(*arguments)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    monkeypatch.setattr("slotlang.run.cache.write_whole", limited)
    used = use(tmp_path)
    assert (used.state, used.bytes, used.reason) == ("unsaved", 0, "File too large")
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
