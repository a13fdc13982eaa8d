"""Results that are kept between runs: found by the whole question, and proved again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import Ended, slotlang

from slotlang.cost.link import Link
from slotlang.cost.profile import find_profile
from slotlang.planning.target import Target
from slotlang.search import costed, kept
from slotlang.search import search as search_module
from slotlang.search.candidate import Found, Limits, Objective
from slotlang.search.search import start
from slotlang.search.structure import Shape

WORDS = ("synth", "--d-in", "16", "--d-out", "8", "--rank", "2", "--objective", "keys", "--json")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where results are kept, and a search of one structure by each order."""
    monkeypatch.setattr(search_module, "FINALISTS", 2)
    path = tmp_path / "synth"
    monkeypatch.setenv(kept.FOLDER, str(path))
    return path


def asked(*more: str) -> tuple[Ended, dict[str, Any]]:
    ended = slotlang(*WORDS, *more)
    assert ended.status == 0, ended.err
    return ended, json.loads(ended.out)


def test_what_was_found_is_proved_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proofs: list[object] = []

    def counted(*arguments: Any) -> Any:
        proofs.append(arguments)
        return check(*arguments)

    check: Callable[..., Any] = costed.check
    monkeypatch.setattr(costed, "check", counted)
    first, before = asked()
    assert "best so far: " in first.err and not before["cached"]
    proved = len(proofs)
    again, after = asked()
    assert after["cached"] and "proved and costed again" in again.err
    assert len(proofs) - proved == after["proved"] >= 1
    for name in ("program", "best", "compared", "pareto"):
        assert after[name] == before[name], name
    (file,) = folder.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700 and file.stat().st_mode & 0o777 == 0o600


def damaged(values: dict[str, Any], how: str) -> bytes:
    found = values["found"][0]
    match how:
        case "structure":
            found["structure"]["ranks"] = 3
        case "words":
            found["structure"]["ranks"] = "many"
        case "primes":
            found["parameters"]["primes"] = [1, 2]
        case "question":
            values["question"] = "0" * 64
        case "none":
            values["found"] = []
    text = json.dumps(values).encode()
    return text[: len(text) // 2] if how == "half" else text


@pytest.mark.parametrize("how", ["structure", "words", "question", "none", "half"])
def test_a_damaged_file_is_as_none(folder: Path, how: str) -> None:
    _, before = asked()
    (file,) = folder.iterdir()
    file.write_bytes(damaged(json.loads(file.read_bytes()), how))
    again, after = asked()
    assert not after["cached"] and after["program"] == before["program"]
    assert "error" not in again.err and "warning" not in again.err


def test_parameters_that_do_not_fit_are_looked_for_again(folder: Path) -> None:
    _, before = asked()
    (file,) = folder.iterdir()
    file.write_bytes(damaged(json.loads(file.read_bytes()), "primes"))
    assert asked()[1]["best"] == before["best"]


def test_nothing_is_kept_or_read_where_that_is_asked_for(folder: Path) -> None:
    assert not asked("--no-cache")[1]["cached"] and not folder.exists()
    asked()
    assert not asked("--no-cache")[1]["cached"]


def test_a_folder_that_others_can_open_is_not_used(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    asked()
    assert not list(folder.iterdir()) and kept.folder() is None


def test_the_question_is_all_that_is_asked() -> None:
    shape, target, profile = Shape(16, 8, 2, 1), Target(precision=1e-3), find_profile()

    def key(
        shape: Shape = shape,
        objective: Objective = "time",
        target: Target = target,
        copies: int = 1,
        finalists: int = 2,
        link: Link | None = None,
        bounds: dict[str, float] | None = None,
    ) -> str:
        found: Found = start(shape, objective, target, Limits(copies=copies))
        found.link, found.bounds = link, bounds or {}
        return kept.question(found, profile, finalists)

    keys = [
        key(),
        key(shape=Shape(16, 8, 2, 2)),
        key(objective="keys"),
        key(target=Target(precision=1e-4)),
        key(target=Target(precision=1e-3, max_key_bytes=10)),
        key(copies=2),
        key(finalists=3),
        key(link=Link(1e8)),
        key(link=Link(1e8, 0.01)),
        key(bounds={"norm(x)": 64}),
    ]
    assert len(set(keys)) == len(keys) and key() == keys[0]
