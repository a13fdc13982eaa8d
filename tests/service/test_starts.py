"""What can be wrong with the machine when a service starts: each ends in one clear error."""

from __future__ import annotations

import ctypes
import hashlib
import json
import re
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import slotlang
from faulty import call
from served import build

from slotlang.service.clock import Clock
from slotlang_runtime.version import FORMAT, source_hash

_DROPPED = {"DAC_OVERRIDE": 1, "DAC_READ_SEARCH": 2, "NET_BIND_SERVICE": 10}


def without_rights() -> None:
    """From the next command on, root may read and write what modes allow, and no more than others."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in _DROPPED.values():
        # PR_CAPBSET_DROP; whoever is not root has none of them
        libc.prctl(24, capability, 0, 0, 0)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    found = tmp_path / "service"
    build(found)
    yield found
    for path in (found, tmp_path):
        path.chmod(0o700)


def refused(code: str, *words: object, limit: bool = False) -> str:
    """The one error of a command that ends with it."""

    def before() -> None:
        without_rights()
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    ended = call(*words, before=before)
    text = ended.stderr + ended.stdout
    assert ended.returncode == 2, text
    assert text.count("error[") == 1 and f"error[{code}]" in text and "Traceback" not in text, text
    return text


RIGHTS = {
    "a folder that can't be listed": (
        0o100,
        "SL005",
        "is not readable",
        ("serve", "--port", 0, "--state", "elsewhere"),
    ),
    "no writing": (0o500, "SL564", "Permission denied", ("serve", "--port", 0)),
    "no tokens": (0o500, "SL564", "Permission denied", ("token", "add", "alice")),
}


@pytest.mark.parametrize("name", RIGHTS)
def test_folders_without_rights(name: str, folder: Path, tmp_path: Path) -> None:
    mode, code, reason, words = RIGHTS[name]
    folder.chmod(mode)
    given = [tmp_path / word if word == "elsewhere" else word for word in words]
    at = 2 if words[0] == "token" else 1
    assert reason in refused(code, *given[:at], folder, *given[at:])
    folder.chmod(0o700)
    assert not (tmp_path / "elsewhere").exists() and [path.name for path in folder.iterdir()] == ["tiny"]


def test_a_program_that_can_not_be_read(folder: Path) -> None:
    (folder / "tiny" / "programs" / "square.py").chmod(0)
    assert "Permission denied" in refused("SL001", "serve", folder, "--port", 0)


def test_a_disk_without_any_room(folder: Path) -> None:
    assert "can't keep its state here" in refused("SL564", "serve", folder, "--port", 0, limit=True)


def test_a_port_that_needs_rights(folder: Path) -> None:
    lowest = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    if not lowest.exists() or int(lowest.read_text()) <= 81:
        pytest.skip("there is no such port here")
    assert "Permission denied" in refused("SL565", "serve", folder, "--port", 81)


def test_a_build_of_another_runtime_or_format(folder: Path) -> None:
    program = folder / "tiny" / "programs" / "square.py"
    text = program.read_text()
    assert source_hash() in text
    for changed, code in (
        (text.replace(source_hash(), "0" * 64), "SL746"),
        (re.sub(rf"^FORMAT = {FORMAT}$", f"FORMAT = {FORMAT + 1}", text, flags=re.MULTILINE), "SL744"),
    ):
        assert changed != text
        program.write_text(changed)
        _manifest_of(folder / "tiny", changed)
        ended = slotlang("serve", str(folder), "--port", "0")
        assert ended.status == 2 and ended.err.count("error[") == 1, ended.err
        assert f"error[{code}]" in ended.err and "tiny can't be served" in ended.err, ended.err


def _manifest_of(home: Path, program: str) -> None:
    """The manifest for a changed program: what a build with another slotlang would have written."""
    from slotlang.service.manifest import Manifest

    values = json.loads((home / "manifest.json").read_text())
    values["programs"][0]["sha256"] = hashlib.sha256(program.encode()).hexdigest()
    plain = {name: value for name, value in values.items() if name not in ("schema", "name", "version")}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    values["version"] = hashlib.sha256(text.encode()).hexdigest()[:16]
    (home / "manifest.json").write_text(json.dumps(values))
    assert Manifest.read(home).version == values["version"]


def test_a_clock_is_even_while_the_machines_jumps(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    before = clock()
    monkeypatch.setattr("slotlang.service.clock.time.time", lambda: before + 1e9)
    assert before <= clock() < before + 60
    assert clock.jumped == pytest.approx(1e9, abs=60)
