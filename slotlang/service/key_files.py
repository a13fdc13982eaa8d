"""Files of evaluation keys, each known by its tenant and its SHA-256.

    TENANT/SHA256         keys that are all there, and were checked
    TENANT/SHA256.part    while they arrive

Anybody may ask which are there. Whoever changes files of a tenant is the only one at that time.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Collection, Mapping, Set
from contextlib import suppress
from pathlib import Path

from slotlang.service.durable import flush
from slotlang.service.problems import MALFORMED, TOO_LARGE, Refusal
from slotlang_runtime.amounts import count_of

_LOG = logging.getLogger("slotlang.service")

_PART = ".part"


class KeyFiles:
    """The files of a folder. Every method raises OSError where the system fails."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, tenant: str, keys: str) -> Path:
        """Where keys are when they are all there."""
        return self._of(tenant) / keys

    def _of(self, tenant: str) -> Path:
        # names of tenants may differ in case alone, which not every file system tells apart
        return self.folder / hashlib.sha256(tenant.encode()).hexdigest()[:24]

    def _part(self, tenant: str, keys: str) -> Path:
        return self.path(tenant, keys).with_name(keys + _PART)

    def ready(self, tenant: str, keys: str) -> bool:
        """Whether keys are all there."""
        return _size(self.path(tenant, keys)) is not None

    def received(self, tenant: str, keys: str) -> int:
        """Bytes that are there of keys that are not ready."""
        return _size(self._part(tenant, keys)) or 0

    def sizes(self, tenant: str) -> tuple[Set[str], Mapping[str, int]]:
        """The tenant's keys that are all there, and of others how many bytes are: one look at all of them."""
        ready, coming = set[str](), dict[str, int]()
        with suppress(FileNotFoundError), os.scandir(self._of(tenant)) as entries:
            for entry in entries:
                name = entry.name.removesuffix(_PART)
                if name == entry.name:
                    ready.add(name)
                else:
                    with suppress(FileNotFoundError):
                        coming[name] = entry.stat().st_size
        return ready, coming

    def check_part(self, tenant: str, keys: str, size: int, offset: int, more: int) -> None:
        """Whether ``more`` bytes at this offset may be added to keys of this size. Raises Refusal."""
        received = self.received(tenant, keys)
        if offset != received:
            raise Refusal(
                MALFORMED,
                f"{count_of(received, 'byte')} of these keys are here, and these begin at {offset}",
                status=409,
            )
        if received + more > size:
            raise Refusal(TOO_LARGE, f"these keys were said to have {count_of(size, 'byte')}, and have more")

    def append(
        self, tenant: str, keys: str, size: int, offset: int, data: bytes, check: Callable[[bytes], None] | None
    ) -> None:
        """Add bytes to keys of this size, at this offset. When they are complete they are checked, and then ready; with
        None they are left as they are, and no bytes ask for the check. Keys that fail it have to be sent from the
        start. Raises Refusal, and what ``check`` raises."""
        if self.ready(tenant, keys):
            return
        self.check_part(tenant, keys, size, offset, len(data))
        part = self._part(tenant, keys)
        part.parent.mkdir(mode=0o700, exist_ok=True)
        with part.open("ab") as stream:
            stream.write(data)
        if offset + len(data) < size or check is None:
            return
        whole = part.read_bytes()
        try:
            if hashlib.sha256(whole).hexdigest() != keys:
                raise Refusal(MALFORMED, "these keys do not have the SHA-256 that was said", status=422)
            check(whole)
        except (OSError, MemoryError):
            # nothing is wrong with them: the check can be asked for again
            raise
        except Exception:
            part.unlink(missing_ok=True)
            raise
        flush(part)
        part.replace(self.path(tenant, keys))
        flush(part.parent)

    def remove(self, tenant: str, keys: str) -> None:
        """Remove keys, whole or not."""
        self.path(tenant, keys).unlink(missing_ok=True)
        self._part(tenant, keys).unlink(missing_ok=True)

    def remove_damaged(self, tenant: str, keys: str) -> None:
        """Remove keys whose bytes have another hash."""
        path = self.path(tenant, keys)
        try:
            damaged = hashlib.sha256(path.read_bytes()).hexdigest() != keys
        except FileNotFoundError:
            return
        if damaged:
            _LOG.warning("keys of a session are damaged, and are asked for again")
            path.unlink(missing_ok=True)

    def keep(self, named: Collection[tuple[str, str]]) -> None:
        """Remove all keys but those of these tenants and hashes: a process that was killed left them."""
        paths = {self.path(*one) for one in named}
        for folder in self.folder.iterdir():
            if folder.is_dir():
                for path in folder.iterdir():
                    if path.with_suffix("") not in paths:
                        path.unlink(missing_ok=True)


def _size(path: Path) -> int | None:
    """The bytes of a file; None where it is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None
