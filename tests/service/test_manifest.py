"""Manifests of built adapters: written and read again, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slotlang.diagnostics import SlotError
from slotlang.service.manifest import FILE, File, Group, Keys, LoraUpdate, Manifest, Program, Source

HASH = "ab" * 32
MANIFEST = Manifest(
    name="tiny-lora",
    base_model="tiny",
    made_with={"slotlang": "0.1.0"},
    adapter=Source(HASH, 4, ("adapter_model.safetensors",)),
    target={"tokens": 2, "precision": 1e-3},
    parameters={"degree": 8192, "prime_bits": (60, 60, 60)},
    keys=Keys({3: 0, 9: 1}, 1000),
    programs=(Program("q-8x2", File("programs/q-8x2.py", HASH), "proved", "proved"),),
    groups=(Group("q-8x2", "x", 2, File("weights/0.weights", HASH, 9), (LoraUpdate("q_proj", 0, 8, 8, 4, 2),)),),
)


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = MANIFEST.write(tmp_path)
    assert Manifest.read(tmp_path) == written
    assert written.places["q_proj"] == (0, MANIFEST.groups[0].modules[0])
    # written again, from what was read, it is the same file
    before = (tmp_path / FILE).read_bytes()
    assert Manifest.read(tmp_path).write(tmp_path).version == written.version
    assert (tmp_path / FILE).read_bytes() == before


def test_the_version_is_that_of_the_contents_and_not_of_the_name(tmp_path: Path) -> None:
    version = MANIFEST.write(tmp_path).version
    assert replace(MANIFEST, name="other").write(tmp_path).version == version
    assert replace(MANIFEST, keys=Keys({3: 0}, 1000)).write(tmp_path).version != version


EDITS: dict[str, Any] = {
    "no name": (lambda m: m.pop("name"), "`name` is missing"),
    "a name that is a path": (lambda m: m.update(name="../x"), "`name` '../x' is not letters"),
    "a path upwards": (lambda m: m["programs"][0].update(file="programs/../../x.py"), "is not one below the folder"),
    "an absolute path": (lambda m: m["groups"][0]["weights"].update(file="/etc/passwd"), "is not one below the folder"),
    "a path with a backslash": (lambda m: m["programs"][0].update(file="programs\\x.py"), "is not one below"),
    "a short hash": (lambda m: m["programs"][0].update(sha256="ab"), "is not 64 hex digits"),
    "another program": (lambda m: m["groups"][0].update(program="k"), "names the program 'k'"),
    "a flag for a number": (lambda m: m["groups"][0].update(tokens=True), "`groups[0].tokens` is not a whole number"),
    "no tokens": (lambda m: m["groups"][0].update(tokens=0), "has no tokens"),
    "a module twice": (lambda m: m["groups"].append(m["groups"][0]), "'q_proj' is there twice"),
    "something else changed": (lambda m: m["keys"].update(bytes=1), "`version` is"),
    "another schema": (lambda m: m.update(schema="slotlang.adapter/9"), "its schema is 'slotlang.adapter/9'"),
    "groups that are an object": (lambda m: m.update(groups={}), "`groups` is not a list"),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_changed_manifest_is_refused(name: str, tmp_path: Path) -> None:
    values = MANIFEST.write(tmp_path).to_json()
    edit, message = EDITS[name]
    edit(values)
    with pytest.raises(SlotError) as refused:
        Manifest.from_bytes(json.dumps(values).encode())
    assert refused.value.diagnostics[0].code == "SL561"
    assert message in refused.value.diagnostics[0].message


@pytest.mark.parametrize("text", [b"", b"[]", b"[" * 100_000, b"\xff", b'{"schema": 1}'])
def test_what_is_no_manifest_is_refused(text: bytes) -> None:
    with pytest.raises(SlotError, match="SL561"):
        Manifest.from_bytes(text)


def test_a_folder_without_one_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(SlotError, match="adapter build") as refused:
        Manifest.read(tmp_path)
    assert refused.value.diagnostics[0].code == "SL001"
