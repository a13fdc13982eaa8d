"""Which session a secret key has at which service: a small file beside the key's, so that the next process goes on."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from slotlang.files import read_regular, write_whole
from slotlang.service.protocol import SESSION_ID


def _beside(secret: Path) -> Path:
    return secret.with_name(f"{secret.name}.session")


def remember(secret: Path, url: str, model: str, session: str, key: str) -> None:
    """Write down a session, with the name of the secret key whose evaluation keys it has. A file that can't be written
    costs the next process its keys, and nothing else."""
    with suppress(OSError):
        text = json.dumps({"url": url, "model": model, "session": session, "key": key})
        write_whole(_beside(secret), text.encode(), 0o600)


def remembered(secret: Path, url: str, model: str, key: str | None = None) -> str | None:
    """The session that was written down for this service and adapter, and for the secret key of this name: the file
    may hold another one by now, which can't decrypt what the session's keys give."""
    with suppress(OSError, ValueError, TypeError, AttributeError):
        kept = json.loads(read_regular(_beside(secret), 1 << 16))
        if key is not None and kept.get("key") != key:
            return None
        if kept.get("url") == url and kept.get("model") == model and SESSION_ID.fullmatch(kept.get("session", "")):
            return str(kept["session"])
    return None


def forget(secret: Path) -> None:
    """Remove what was written down."""
    with suppress(OSError):
        _beside(secret).unlink(missing_ok=True)
