"""The file of a secret key: its owner's alone. It is made when it is not there."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from slotlang.diagnostics import SlotError, error
from slotlang.files import open_regular, reason_of, write_whole
from slotlang_runtime.client import SecretKey
from slotlang_runtime.parameters import RingParameters


def secret_key(path: Path, ring: RingParameters) -> SecretKey:
    """The secret key in a file, which is made for this ring where there is no file. Raises ``SlotError`` SL582."""
    try:
        found = read_secret(path)
    except FileNotFoundError:
        found = SecretKey(ring)
        try:
            write_secret(path, found, new=True)
        except FileExistsError:
            # of a process that started at the same time
            try:
                found = read_secret(path)
            except FileNotFoundError:
                raise _unusable(path, "it leads to a file that is not there") from None
    if found.ring != ring:
        raise _unusable(
            path,
            f"its key is for {found.ring}, and the adapter has {ring}",
            f"`slotlang client keys URL --secret {path} --rotate` makes new keys in its place; another file leaves it",
        )
    return found


def read_secret(path: Path) -> SecretKey:
    """The secret key in a file. Raises FileNotFoundError, and ``SlotError`` SL582 for a file that others may read."""
    try:
        with open_regular(path) as stream:
            # of what was opened: the name may stand for another file by now
            status, data = os.fstat(stream.fileno()), stream.read(1 << 26)
            try:
                found = SecretKey.from_bytes(data)
            except ValueError as problem:
                hint = "name a secret key's file; one that is not there is made"
                raise _unusable(path, reason_of(problem), hint) from None
            mode = stat.S_IMODE(status.st_mode)
            if mode & 0o077:
                raise _unusable(path, f"its mode is {mode:04o}: others may use it", hint=f"chmod 600 {path}")
            if status.st_uid != os.geteuid():
                raise _unusable(path, "it belongs to somebody else")
            return found
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as problem:
        raise _unusable(path, reason_of(problem)) from None


def write_secret(path: Path, secret: SecretKey, *, new: bool = False) -> None:
    """Write a secret key to a file of mode 0600. ``new``: there must be none yet, else FileExistsError. Raises
    ``SlotError`` SL582."""
    try:
        # of a link, what it leads to: whoever uses the file by another name has the new key too
        write_whole(path if new else path.resolve(), secret.to_bytes(), 0o600, new=new)
    except FileExistsError:
        raise
    except (OSError, RuntimeError) as problem:
        raise _unusable(path, reason_of(problem)) from None


def name_of(secret: SecretKey) -> str:
    """What tells a secret key from others, and nothing else of it."""
    return hashlib.sha256(b"slotlang secret key\0" + secret.to_bytes()).hexdigest()


def absent(path: Path) -> SlotError:
    """There is no file of this name, where one is needed."""
    return _unusable(path, "there is no such file", "check the name: it is that of the file that --secret has made")


def _unusable(path: Path, why: str, hint: str = "") -> SlotError:
    return error("SL582", f"this secret key can't be used: {why}", file=str(path), hint=hint)
