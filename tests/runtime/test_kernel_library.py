"""Where compiled kernels can't be had, or are not what they should be, they are compiled again or left to SEAL, and the
results are the same."""

from __future__ import annotations

import ast
import ctypes
import errno
import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from exact_residues import filled, primes
from faulty import environment
from repository import ROOT
from worlds import PAIRS, World, error

from slotlang_runtime import Server, Weights, kernels
from slotlang_runtime.kernels import compiler, library, processor, residues, selftest, texts
from slotlang_runtime.kernels.library import FOLDER, Kernels
from slotlang_runtime.kernels.processor import known
from slotlang_runtime.kernels.residues import ResidueRing
from slotlang_runtime.kernels.tables import PAD
from slotlang_runtime.kernels.unavailable import Unavailable

FEATURES = {"avx2": True, "fma": True, "avx512f": True, "avx512dq": True, "avx512vl": True, "bmi2": True}

Made = Callable[[], Kernels]


def ring(degree: int = 4096, bits: tuple[int, ...] = (60, 40, 60)) -> Any:
    return SimpleNamespace(degree=degree, moduli=primes(degree, bits))


@pytest.fixture(scope="module")
def kept() -> Kernels:
    """Kernels from the folder of all tests."""
    return library.kernels("words")


@pytest.fixture
def folder(kept: Kernels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of object code of this test alone."""
    path = tmp_path / "kernels"
    monkeypatch.setenv(FOLDER, str(path))
    return path


@pytest.fixture
def compilations(kept: Kernels, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was compiled; what this session has compiled before stands for it, to save time."""
    key = library._key("words", processor.processor())
    code = library._read(Path(kept.folder) / f"words-{key[:40]}.kernels", key)
    assert code is not None
    made: list[str] = []

    def compiled(kind: str, here: Any) -> Any:
        made.append(kind)
        return code

    monkeypatch.setattr(library, "_compiled", compiled)
    return made


def load() -> Kernels:
    """Kernels as a new process gets them."""
    return library._made("words", processor.processor())


def right(found: Kernels, monkeypatch: pytest.MonkeyPatch, bits: tuple[int, ...] = (60, 40, 60)) -> None:
    """The kernels compute what they should."""
    with monkeypatch.context() as patch:
        patch.setattr(residues, "kernels_of", lambda ring: found)
        assert list(selftest._wrong(ResidueRing(ring(4096, bits)))) == []


def only(folder: Path) -> Path:
    (path,) = folder.glob("words-*.kernels")
    return path


# the folder


def test_object_code_is_kept(folder: Path, compilations: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for count in range(2):
        found = load()
        right(found, monkeypatch)
        assert (found.seconds > 0) == (count == 0) and found.folder == str(folder)
    assert compilations == ["words"]
    assert folder.stat().st_mode & 0o777 == 0o700 and only(folder).stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in folder.iterdir()) == ["lock", only(folder).name]


def damaged(data: bytes) -> dict[str, bytes]:
    """Files that are not what was written."""
    at = {
        name: data[:n] + bytes([data[n] ^ 1]) + data[n + 1 :] for name, n in (("magic", 3), ("sum", 30), ("code", 999))
    }
    at["last"] = data[:-1] + bytes([data[-1] ^ 128])
    at["version"] = data.replace(b"slotlang kernels 2", b"slotlang kernels 0")
    cut = {f"cut at {n}": data[:n] for n in (0, 10, 40, 51, 60, len(data) // 2, len(data) - 1)}
    return {**at, **cut, "longer": data + b"\0", "foreign": b"\x7fELF" + data, "zeros": bytes(len(data))}


def test_damaged_files_are_compiled_anew(
    folder: Path, compilations: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load()
    whole = only(folder).read_bytes()
    for name, data in damaged(whole).items():
        only(folder).write_bytes(data)
        compilations.clear()
        found = load()
        assert compilations == ["words"] and only(folder).read_bytes() == whole, name
    right(found, monkeypatch)


def test_object_code_of_another_processor_is_not_used(folder: Path, compilations: list[str]) -> None:
    # whatever its name says: it could end the process
    load()
    here, other = processor.processor(), known("another", FEATURES, "avx2")
    path = only(folder)
    library._write(path, library._key("words", other), library._compiled("words", other))
    compilations.clear()
    load()
    assert compilations == ["words"]
    assert library._read(path, library._key("words", here)) and library._key("words", here) != library._key(
        "words", other
    )


def test_object_code_of_another_version_has_another_name(
    folder: Path, compilations: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load()
    monkeypatch.setattr(library.metadata, "version", lambda package: "0.0.1")
    load()
    assert len(compilations) == 2 and len(list(folder.glob("words-*.kernels"))) == 2


def test_two_processes_at_once(folder: Path, compilations: list[str], tmp_path: Path) -> None:
    # the second waits for the first, and finds what it wrote
    load()
    stored = tmp_path / "stored"
    only(folder).rename(stored)
    script = f"""
import time
from pathlib import Path
from slotlang_runtime.kernels import library, processor
code = library._read(Path({str(stored)!r}), library._key("words", processor.processor()))
def compiled(kind, here):
    print("compiled", flush=True)
    time.sleep(1)
    return code
library._compiled = compiled
print(library._made("words", processor.processor()).folder)
"""
    started = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment())
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=60)[0].split() for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert sorted(outputs) == sorted([[str(folder)], ["compiled", str(folder)]])


def test_a_process_that_hangs_is_not_waited_for(
    folder: Path, compilations: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "PATIENCE", 0.2)
    folder.mkdir(mode=0o700)
    with (folder / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        found = load()
    assert compilations == ["words"] and found.folder == str(folder)


def test_readers_see_whole_files(folder: Path, compilations: list[str]) -> None:
    load()
    path, key = only(folder), library._key("words", processor.processor())
    code, seen = library._read(path, key), []
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            library._write(path, key, code or {})

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    for _ in range(50):
        seen.append(library._read(path, key) == code)
    stop.set()
    for writer in writers:
        writer.join()
    assert all(seen) and code and sorted(p.name for p in folder.iterdir()) == ["lock", path.name]


# folders that are not used


def not_used(folder: Path, compilations: list[str], monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    """Kernels are compiled, nothing is read there, and why is said."""
    before = sorted(folder.iterdir()) if folder.is_dir() else []
    compilations.clear()
    found = load()
    right(found, monkeypatch)
    assert compilations == ["words"] and reason in found.folder
    assert (sorted(folder.iterdir()) if folder.is_dir() else []) == before


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o755, 0o701, 0o1777])
def test_a_folder_that_others_can_open(
    folder: Path, compilations: list[str], monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    # with an intact file in it, which anyone may have put there
    load()
    folder.chmod(mode)
    not_used(folder, compilations, monkeypatch, "can be opened by them")


def test_a_folder_of_others(folder: Path, compilations: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    load()
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    not_used(folder, compilations, monkeypatch, "belongs to others")


def test_a_link_to_a_folder(folder: Path, compilations: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    load()
    elsewhere = folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to(elsewhere)
    not_used(folder, compilations, monkeypatch, "is no folder")


def test_a_file_in_place_of_the_folder(folder: Path, compilations: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write_bytes(b"")
    not_used(folder, compilations, monkeypatch, "no folder for them: File exists")


def test_a_folder_that_can_not_be_made(
    compilations: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(FOLDER, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    not_used(Path("/proc/none"), compilations, monkeypatch, "no folder for them")
    monkeypatch.delenv("XDG_CACHE_HOME")

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    not_used(tmp_path / "none", compilations, monkeypatch, "no folder for them: Could not determine home")


def test_without_a_variable_it_lies_in_the_cache_of_the_user(
    compilations: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(FOLDER, raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load().folder == str(tmp_path / ".cache" / "slotlang" / "kernels")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    assert load().folder == str(tmp_path / "other" / "slotlang" / "kernels")


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_a_folder_that_can_not_be_written(
    folder: Path, compilations: list[str], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    folder.mkdir(mode=0o700)
    opened = os.open

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    def open_only(path: Any, flags: int, *rest: Any) -> int:
        return refuse() if flags & os.O_CREAT else opened(path, flags, *rest)

    monkeypatch.setattr(library.tempfile, "mkstemp", refuse)
    monkeypatch.setattr(os, "open", open_only)
    not_used(folder, compilations, monkeypatch, os.strerror(number))


def test_a_disk_that_fills_up(folder: Path, compilations: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)
    found = load()
    assert "No space left" in found.folder and [path.name for path in folder.iterdir()] == ["lock"]


# files that are not used


@pytest.mark.parametrize("kind", ["readable", "of others", "link", "pipe", "folder"])
def test_a_file_that_is_not_this_users_own(
    folder: Path, compilations: list[str], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    load()
    path = only(folder)
    if kind == "readable":
        path.chmod(0o644)
    elif kind == "of others":
        fstat, uid = os.fstat, os.getuid()
        monkeypatch.setattr(os, "fstat", lambda fd: SimpleNamespace(**stat_of(fstat(fd)), st_uid=uid + 1))
    elif kind == "link":
        path.rename(folder.with_name("elsewhere"))
        path.symlink_to(folder.with_name("elsewhere"))
    else:
        path.unlink()
        os.mkfifo(path, 0o600) if kind == "pipe" else path.mkdir(mode=0o700)
    compilations.clear()
    right(load(), monkeypatch)
    assert compilations == ["words"]


def stat_of(found: os.stat_result) -> dict[str, Any]:
    return {name: getattr(found, name) for name in ("st_mode", "st_size")}


# processors


@pytest.mark.parametrize(
    ("features", "most", "reason"),
    [
        ({"avx2": True}, "", "the processor has no FMA"),
        ({"fma": True}, "", "the processor has no AVX2"),
        ({"sse2": True}, "", "the processor has no AVX2 and no FMA"),
        ({}, "avx2", "the processor has no AVX2 and no FMA"),
        ({**FEATURES, "fma": False}, "avx512", "the processor has no FMA"),
        (FEATURES, "seal", "SLOTLANG_KERNELS says so"),
        ({**FEATURES, "avx512dq": False}, "avx512", "SLOTLANG_KERNELS asks for AVX-512, and the processor has none"),
        (FEATURES, "AVX2", "SLOTLANG_KERNELS is avx512, avx2 or seal, not 'AVX2'"),
    ],
)
def test_processors_without_kernels(features: dict[str, bool], most: str, reason: str) -> None:
    with pytest.raises(Unavailable) as found:
        known("invented", features, most)
    assert str(found.value) == reason


def test_processors_with_kernels() -> None:
    assert known("invented", FEATURES).avx512 and known("invented", FEATURES, "avx512").label == "AVX-512"
    ifma = known("invented", {**FEATURES, "avx512ifma": True})
    assert [ifma.kind(bits) for bits in (60, 51, 50, 46, 45, 20)] == ["words"] * 2 + ["ifma50"] * 2 + ["ifma45"] * 2
    for without in (known("invented", FEATURES), known("invented", {**FEATURES, "avx512ifma": True}, "avx2")):
        assert [without.kind(bits) for bits in (60, 50, 45)] == ["words", "doubles", "doubles"]
    for features, most in (
        (FEATURES, "avx2"),
        ({**FEATURES, "avx512vl": False}, ""),
        ({"avx2": True, "fma": True}, ""),
    ):
        found = known("invented", features, most)
        assert not found.avx512 and found.label == "AVX2" and "+avx512" not in found.features
        assert "+avx2" in found.features and "+fma" in found.features


@pytest.fixture(scope="module")
def world() -> World:
    return World(PAIRS, kernel="compiled")


def evaluated(world: World, weights: Weights) -> None:
    """A server with these weights gives the right results."""
    answer = Server(weights).evaluate(world.upload, world.keys)
    assert error(world.client.decrypt(answer.data), world.expected()) < 1e-2


def test_kernels_are_used_where_nothing_is_said(world: World) -> None:
    assert world.encoded.note == "" and type(world.encoded.engine).__name__ == "ResidueEngine"
    evaluated(world, world.encoded)


def test_without_kernels_seal_evaluates(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    data = world.encoded.to_bytes()
    for features, most, reason in (
        ({"avx2": True}, "", "the processor has no FMA"),
        ({}, "", "the processor has no AVX2 and no FMA"),
        (FEATURES, "seal", "SLOTLANG_KERNELS says so"),
    ):
        monkeypatch.setattr(library, "_LOADED", {})
        monkeypatch.setattr(library, "processor", lambda f=features, m=most: known("invented", f, m))
        for weights in (Weights.encode(world.module, **world.weights), Weights.from_bytes(world.module, data)):
            assert weights.note == f"evaluated by SEAL's operations: {reason}"
            assert type(weights.engine).__name__ == "SealEngine"
            evaluated(world, weights)


def test_without_numba(folder: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "_LOADED", {})

    def missing(*_: Any) -> Any:
        raise ImportError("No module named 'numba'")

    def broken(*_: Any) -> Any:
        raise ValueError("LLVM has no such function")

    monkeypatch.setattr(texts, "stored", lambda kind, here: None)
    for written, reason in (
        (missing, "numba can't be imported: No module named 'numba'"),
        (broken, "this numba can't compile the kernels: LLVM has no such function"),
    ):
        monkeypatch.setattr(compiler, "texts", written)
        weights = Weights.encode(world.module, **world.weights)
        assert weights.note == f"evaluated by SEAL's operations: {reason}"
        evaluated(world, weights)
    monkeypatch.setitem(sys.modules, "slotlang_runtime.kernels.compiler", None)
    monkeypatch.delattr(kernels, "compiler")
    weights = Weights.encode(world.module, **world.weights)
    assert "llvmlite can't be imported" in weights.note
    evaluated(world, weights)


# the test at start


def spoilt(real: Any, number: int, row: int, listed: bool) -> Any:
    """A kernel that writes a wrong row: of what its argument of this number says, or the address there."""

    def wrong(*given: int) -> int:
        real(*given)
        at = ctypes.c_uint64.from_address(given[number]).value if listed else given[number]
        for n in range(4096):
            ctypes.c_uint64.from_address(at + 8 * ((4096 + PAD) * row + n)).value ^= 1 << 20
        return 0

    return wrong


@pytest.mark.parametrize(
    ("name", "number", "row", "what"),
    [
        ("transform", 1, 0, "a transform"),
        ("untransform", 1, 0, "an inverse transform"),
        ("dotted", 3, 2, "a sum of products"),
        ("divided", 1, 0, "a division"),
        ("decomposed", 1, 2, "a key switch"),
        ("switched", 7, 2, "a key switch"),
    ],
)
def test_wrong_kernels_are_found_and_left_to_seal(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, number: int, row: int, what: str
) -> None:
    monkeypatch.setattr(selftest, "_TESTED", set())
    used = world.encoded.engine.ring.kernels  # type: ignore[attr-defined]
    monkeypatch.setitem(used._functions, name, spoilt(used._functions[name], number, row, name == "dotted"))
    # a client that is used already has tested its own before
    world.client.__dict__.pop("coder", None)
    for _ in range(2):
        weights = Weights.encode(world.module, **world.weights)
        assert weights.note == f"evaluated by SEAL's operations: {what} of compiled kernels is wrong on this machine"
        evaluated(world, weights)


def test_a_ring_is_tested_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(selftest, "_TESTED", set())
    monkeypatch.setattr(selftest, "_wrong", lambda ring: calls.append(ring) or iter(()))
    for _ in range(3):
        selftest.tested(world.encoded.engine.ring.ring)  # type: ignore[attr-defined]
    assert len(calls) == 1


@pytest.mark.parametrize("bits", [(60, 60), (60, 40, 30, 60), (50, 50, 50), (36, 37)], ids=str)
def test_right_kernels_pass(bits: tuple[int, ...]) -> None:
    for degree in (4096, 16384):
        assert list(selftest._wrong(selftest.tested(ring(degree, bits)))) == []


@pytest.mark.slow
@pytest.mark.parametrize("bits", [(60, 40, 60), (50, 40, 50)], ids=["words", "doubles"])
def test_avx2_gives_the_same(folder: Path, bits: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    here = processor.processor()
    features = {name.lstrip("+-"): name[0] == "+" for name in here.features.split(",")}
    # words of 52 bits are other numbers than doubles, of the same residues
    wider = known(here.name, features | {"avx512ifma": False})
    usual = ResidueRing(ring(4096, bits), library._made(wider.kind(max(bits)), wider))
    less = known(here.name, features, "avx2")
    other = library._made(less.kind(max(bits)), less)
    right(other, monkeypatch, bits)
    monkeypatch.setattr(residues, "kernels_of", lambda ring: other)
    rings = usual, ResidueRing(ring(4096, bits))
    assert rings[1].kernels is other
    words = np.array([filled("random", usual.ring.moduli[:2], 4096, np.random.default_rng(0))])
    found = []
    for one in rings:
        a, digits, room = one.taken(words, 0, 1.0), one.rows(6), one.rows(2)
        one.view(digits)[:] = 0
        one.kernels.decomposed(a.rows.at, digits.at, 2, 3, 4096, one.stride, one.table, one.pairs, room.at)
        found.append(one.view(digits)[:, :4096].copy())
    assert np.array_equal(*found)


def test_object_code_is_named_by_all_that_it_is_made_of() -> None:
    """Whatever the compiler imports of the package, itself or by what it imports."""
    folder = Path(library.__file__).parent
    prefix, seen, waiting = "slotlang_runtime.kernels", set[str](), ["compiler"]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for node in ast.walk(ast.parse((folder / f"{name}.py").read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == prefix:
                waiting += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(f"{prefix}."):
                waiting.append(node.module.removeprefix(f"{prefix}."))
    assert seen - {"unavailable"} == set(texts.SOURCES)
