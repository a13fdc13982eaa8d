"""A fault of the system says nothing of what is stored: it is told, and nothing is remembered or deleted."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from slotlang.diagnostics import SlotError
from slotlang.service.evaluator import Job, Placed
from slotlang.service.manifest import File
from slotlang.service.problems import Refusal, refusal
from slotlang.service.state import state_of_one
from slotlang.service.tokens import Tokens


@contextmanager
def no_descriptors() -> Iterator[None]:
    """Within, this process opens no file: EMFILE."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_fault_of_the_system_is_told_as_one() -> None:
    for number in (errno.EMFILE, errno.EIO, errno.ESTALE, errno.EACCES):
        told = refusal(OSError(number, "why"))
        assert (told.code, told.status) == ("SL575", 503) and told.retry_after and "why" not in str(told)


def test_a_token_that_could_not_be_read_is_read_again(tmp_path: Path) -> None:
    token, tenant = Tokens(tmp_path).add("alice")
    tokens = Tokens(tmp_path)
    with no_descriptors(), pytest.raises(OSError, match="Too many open files"):
        tokens.find(token)
    assert tokens.find(token) == tenant
    # what is not a token's file is none, and what is gone is gone
    (path,) = tmp_path.iterdir()
    path.write_text("{")
    assert tokens.find(token) is None
    path.unlink()
    assert tokens.find(token) is None


def test_a_file_that_can_not_be_read_is_neither_damaged_nor_missing(tmp_path: Path) -> None:
    data = b"keys"
    placed = Placed(tmp_path, File("file", hashlib.sha256(data).hexdigest(), len(data)))
    job = Job(placed, placed, placed, b"")
    (tmp_path / "file").write_bytes(data)
    for kind in ("keys", "weights", "program"):
        with no_descriptors(), pytest.raises(Refusal, match="SL575"):
            job.load(kind)
        assert job.load(kind) == data
    (tmp_path / "file").write_bytes(b"other")
    for code, problem in (("keys", "SL578"), ("weights", "SL562")):
        with pytest.raises((Refusal, SlotError), match=problem):
            job.load(code)  # type: ignore[arg-type]
    (tmp_path / "file").unlink()
    for code, problem in (("keys", "SL578"), ("weights", "SL001")):
        with pytest.raises((Refusal, SlotError), match=problem):
            job.load(code)  # type: ignore[arg-type]


def test_a_state_that_can_not_be_locked_is_not_said_to_be_anothers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*given: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(SlotError, match="No locks available"), state_of_one(tmp_path):
        pass
