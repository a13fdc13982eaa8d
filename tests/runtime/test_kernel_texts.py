"""Kernels in LLVM's language come with the package: object code is made of them without numba."""

from __future__ import annotations

import hashlib
import lzma
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from slotlang_runtime.kernels import library, texts
from slotlang_runtime.kernels.entry import packed, unpacked
from slotlang_runtime.kernels.processor import known, processor
from slotlang_runtime.kernels.texts import FOLDER, VARIANTS, processors, read, stored, variant
from slotlang_runtime.kernels.unavailable import Unavailable

FILES = [(kind, name) for kind, names in VARIANTS.items() for name in names]


def test_every_text_is_of_the_present_source() -> None:
    here = dict(processors())
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(f"{kind}-{name}.xz" for kind, name in FILES)
    for kind, name in FILES:
        data = stored(kind, here[name])
        assert data is not None, f"{kind}-{name}.xz is of another source: make kernels"
        found = read(data)
        assert all(f"@slotlang_{entry.name}(" in text for entry, text in found.items())
        # of the machine and the process that wrote it nothing is left
        assert not any("_ZN" in text or "/" in text for text in found.values())


@pytest.mark.parametrize(
    ("kind", "most", "ifma", "text"),
    [
        ("words", "", True, "ifma"),
        ("words", "", False, "avx512"),
        ("words", "avx2", True, "avx2"),
        ("doubles", "", True, "avx512"),
        ("bytes", "", True, "avx2"),
        ("ifma45", "", True, "ifma"),
    ],
)
def test_a_processor_takes_what_asks_for_most(kind: str, most: str, ifma: bool, text: str) -> None:
    features = dict.fromkeys(("avx2", "fma", "avx512f", "avx512dq", "avx512vl"), True) | {"avx512ifma": ifma}
    assert variant(kind, known("some", features, most)) == text


def test_a_kind_that_a_processor_or_the_package_lacks() -> None:
    less = known("some", {"avx2": True, "fma": True})
    with pytest.raises(ValueError, match="no kernels of kind 'ifma50'"):
        variant("ifma50", less)
    assert stored("ifma50", less) is None and stored("floats", less) is None


def test_entries_are_read_as_they_were_packed() -> None:
    made = {library.Entry("one", 3): b"", library.Entry("other", 9, True): b"\0some\xff"}
    assert dict(unpacked(packed(made))) == made


SCRIPT = """
import sys
sys.modules["numba"] = None
from slotlang_runtime.kernels import library
found = library.kernels("words")
print(found.seconds > 0, found.folder, "numba.core" in sys.modules)
"""


def run(script: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={**os.environ, library.FOLDER: str(folder)},
    )
    return done.stdout.strip()


def test_object_code_is_made_without_numba(tmp_path: Path) -> None:
    try:
        processor()
    except Unavailable as reason:
        pytest.skip(str(reason))
    assert run(SCRIPT, tmp_path / "kernels") == f"True {tmp_path / 'kernels'} False"


def damaged(data: bytes) -> dict[str, bytes]:
    body = texts._MAGIC + texts.source_digest()
    return {
        "a byte": data[:-20] + bytes([data[-20] ^ 1]) + data[-19:],
        "cut": data[: len(data) // 2],
        "another language": body + lzma.compress(packed({library.Entry("team", 1): b"define nonsense"})),
        "no text": body + lzma.compress(b"nonsense"),
        "another source": data.replace(texts.source_digest(), bytes(32)),
    }


def test_numba_writes_what_is_damaged_or_of_another_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        here = processor()
    except Unavailable as reason:
        pytest.skip(str(reason))
    whole = (FOLDER / "team-avx2.xz").read_bytes()
    asked: list[str] = []

    def written(kind: str, _: Any) -> dict[library.Entry, str]:
        asked.append(kind)
        return read(whole)

    monkeypatch.setattr("slotlang_runtime.kernels.compiler.texts", written)
    monkeypatch.setattr(texts, "FOLDER", tmp_path)
    key = library._key("team", here)
    for what, data in damaged(whole).items():
        (tmp_path / "team-avx2.xz").write_bytes(data)
        asked.clear()
        assert library._compiled("team", here) and asked == ["team"], what
    (tmp_path / "team-avx2.xz").write_bytes(whole)
    asked.clear()
    assert library._compiled("team", here) and asked == []
    # object code that numba's text led to has another name
    assert library._key("team", here) != key


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) if kind == "team" else pytest.param(kind, name, marks=pytest.mark.slow) for kind, name in FILES],
)
def test_numba_writes_the_same(kind: str, name: str) -> None:
    script = f"""
import hashlib
from slotlang_runtime.kernels import texts
made = texts.read(texts.written({kind!r}, dict(texts.processors())[{name!r}]))
print(hashlib.sha256(repr(made).encode()).hexdigest())
"""
    lock = (Path(__file__).resolve().parents[2] / "requirements.lock").read_text()
    versions = {package: library.metadata.version(package) for package in ("numba", "llvmlite")}
    if not all(f"{package}=={version}" in lock for package, version in versions.items()):
        pytest.skip("another numba writes other texts")
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300)
    kept = read((FOLDER / f"{kind}-{name}.xz").read_bytes())
    assert found.stdout.strip() == hashlib.sha256(repr(kept).encode()).hexdigest()
