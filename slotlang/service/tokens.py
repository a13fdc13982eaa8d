"""Bearer tokens: 256 random bits each, of which the service keeps the SHA-256 and nothing else.

``tokens/HASH.json`` below the service's state says whose it is. It is looked up for every request, so that a token that
is added or removed counts at once, in a service that runs too.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from slotlang.diagnostics import error
from slotlang.service.durable import write_durable
from slotlang.service.fields import Fields, Wrong
from slotlang.service.manifest import NAME, NAME_RULE, name_like

PREFIX = "slot_"
TOKEN = re.compile(PREFIX + r"[A-Za-z0-9_-]{43}")
TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Tenant:
    """Whom a token belongs to. ``models``: names of the adapters that the tenant sees; None for all. ``admin``: may
    load and unload adapters, and read metrics. ``id``: the first hex digits of the token's hash, to name it by."""

    name: str
    admin: bool
    models: tuple[str, ...] | None
    created: float
    id: str = ""

    def sees(self, model: str) -> bool:
        """Whether the tenant may use an adapter."""
        return self.models is None or model in self.models


class Tokens:
    """The tokens of a service, in a folder of its state."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[str, tuple[tuple[int, int, int], Tenant | None]] = {}

    def add(self, name: str, *, admin: bool = False, models: tuple[str, ...] | None = None) -> tuple[str, Tenant]:
        """A new token, which is told once, and its tenant. Raises ``SlotError`` SL005 for names that are none."""
        if not TENANT.fullmatch(name):
            hint = f"it has at most 64 letters, digits, `.`, `_` and `-`, the first a letter or digit: {_like(name)}"
            raise error("SL005", f"{name!r:.80} is not a tenant's name", hint=hint)
        for model in models or ():
            if not NAME.fullmatch(model):
                hint = f"{NAME_RULE}: {name_like(model)}"
                raise error("SL005", f"{model!r:.120} is not the name of an adapter", hint=hint)
        token = PREFIX + secrets.token_urlsafe(32)
        digest = _hash(token)
        tenant = Tenant(name, admin, models, time.time(), digest[:12])
        values = asdict(tenant)
        del values["id"]
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durable(self.folder / f"{digest}.json", json.dumps(values).encode())
        return token, tenant

    def find(self, token: str) -> Tenant | None:
        """Whose token this is; None for any that was not given out. Found by its hash: nothing is compared with a
        secret. Raises OSError."""
        return self._read(_hash(token)) if TOKEN.fullmatch(token) else None

    def every(self) -> list[Tenant]:
        """Whose tokens there are, the oldest first."""
        digests = [path.stem for path in self.folder.glob("*.json")]
        found = [tenant for digest in digests if (tenant := self._read(digest)) is not None]
        return sorted(found, key=lambda tenant: (tenant.created, tenant.id))

    def remove(self, start: str) -> list[Tenant]:
        """Remove the token whose id this is, or all of the tenant of this name; those that were removed."""
        gone = [t for t in self.every() if t.id == start] or [t for t in self.every() if t.name == start]
        for tenant in gone:
            for path in self.folder.glob(f"{tenant.id}*.json"):
                path.unlink(missing_ok=True)
        return gone

    def _read(self, digest: str) -> Tenant | None:
        """Looked up each time, and read again when the file is another. Raises OSError, after which nothing is known of
        the file."""
        try:
            stat = os.stat(f"{self.folder}/{digest}.json")  # noqa: PTH116
            file = stat.st_ino, stat.st_mtime_ns, stat.st_size
            known = self._known.get(digest)
            if known is None or known[0] != file:
                known = self._known[digest] = file, self._parsed(digest)
        except FileNotFoundError:
            self._known.pop(digest, None)
            return None
        return known[1]

    def _parsed(self, digest: str) -> Tenant | None:
        data = (self.folder / f"{digest}.json").read_bytes()
        try:
            of = Fields(json.loads(data))
            models = None if of.values.get("models") is None else tuple(of.text_list("models"))
            return Tenant(of.text("name"), of.flag("admin"), models, of.number("created"), digest[:12])
        except (ValueError, Wrong):
            return None


def _like(name: str) -> str:
    return name_like(name, "tenant")[:64]


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
