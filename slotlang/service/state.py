"""The folder of a service's state: one process has it."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slotlang.diagnostics import SlotError, error
from slotlang.files import reason_of
from slotlang.service.problems import Refusal


@contextmanager
def state_of_one(folder: Path) -> Iterator[None]:
    """Within, this process alone has the state of a service. Raises ``SlotError`` SL564 for a folder that can't hold
    it, or that another service has."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except (OSError, ValueError) as problem:
        raise unusable(folder, reason_of(problem)) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            hint = "end that one, or serve another folder"
            raise unusable(folder, "another service has it", hint) from None
        except OSError as problem:
            raise unusable(folder, reason_of(problem)) from None
        yield
    finally:
        os.close(descriptor)


@contextmanager
def opening(folder: Path) -> Iterator[None]:
    """Within, what the disk refuses is said as SL564."""
    try:
        yield
    except (OSError, sqlite3.Error) as problem:
        raise unusable(folder, reason_of(problem)) from None
    except Refusal as problem:
        raise unusable(folder, problem.diagnostic.message) from None


def unusable(folder: Path, reason: str, hint: str = "") -> SlotError:
    """SL564, with a reason."""
    return error("SL564", f"the service can't keep its state here: {reason}", hint=hint, file=str(folder))
