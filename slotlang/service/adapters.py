"""The adapters that are served: loaded from below the service's folder, unloaded while others are at work."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from slotlang.diagnostics import SlotError, error
from slotlang.service.evaluator import Placed, Station
from slotlang.service.fields import Wrong
from slotlang.service.interface import check_update, interface_bytes, most_bytes
from slotlang.service.manifest import FILE, NAME, NAME_RULE, Group, Manifest, name_like
from slotlang.service.problems import MALFORMED, MISSING, NO_RANKS, OTHER_VERSION, Refusal
from slotlang.service.programs import MOST_BYTES, checked_bytes
from slotlang.service.protocol import Item
from slotlang.service.tokens import Tenant
from slotlang_runtime.errors import Rejected
from slotlang_runtime.module import Module
from slotlang_runtime.ranks import Gate, checked_ranks, ranked
from slotlang_runtime.weights import load_kernels
from slotlang_runtime.wire import pack

_UNKNOWN = 10.0
"""Milliseconds of an evaluation of which the build says nothing."""
_ENCODING = 2.0
"""Milliseconds of encoding one plaintext for a gate, before any was encoded: docs/adapters.md has 0.9 to 1.8."""
_SHOWN = 20
"""Names that a message lists at most."""
_REMEMBERED = 16
"""Evaluations of a program whose mean is what the next one is expected to take, about."""


@dataclass(eq=False)
class Adapter:
    """An adapter that is served under a name. ``root``: its folder's name; ``programs`` by id; ``client``: what clients
    need of it, as bytes."""

    name: str
    root: str
    folder: Path
    manifest: Manifest
    programs: Mapping[str, Module]
    client: bytes = field(repr=False)
    loaded: float = field(default_factory=time.time)
    uses: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    _seconds: dict[str, float] = field(default_factory=dict, repr=False)
    _encoding: dict[str, float] = field(default_factory=dict, repr=False)
    _bytes: dict[str, int] = field(default_factory=dict, repr=False)

    @property
    def version(self) -> str:
        """The version of the build."""
        return self.manifest.version

    @contextmanager
    def use(self) -> Iterator[None]:
        """Within, an unload of this adapter waits."""
        self.uses += 1
        self.idle.clear()
        try:
            yield
        finally:
            self.uses -= 1
            if not self.uses:
                self.idle.set()

    def expected(self, group: Group) -> float:
        """Seconds that an evaluation is expected to take: as the last ones of its program did, and before there were
        any, as the cost model says."""
        predicted = self.manifest.by_id[group.program].predicted
        return self._seconds.get(group.program) or predicted.get("server_ms", _UNKNOWN) / 1e3

    def took(self, group: Group, seconds: float) -> None:
        """Learn what an evaluation took. Of two threads that call it at once, one may be forgotten."""
        _learn(self._seconds, group.program, seconds)

    def expected_encoding(self, group: Group) -> float:
        """Seconds that encoding the weights for a new gate is expected to take, as the last ones of its program did."""
        plaintexts = len(self.programs[group.program].encoded())
        return self._encoding.get(group.program) or plaintexts * _ENCODING / 1e3

    def encoded(self, group: Group, seconds: float) -> None:
        """Learn what encoding the weights for a gate took."""
        _learn(self._encoding, group.program, seconds)

    def expected_bytes(self, group: Group) -> int:
        """Bytes that the results of an evaluation have, at most."""
        if group.program not in self._bytes:
            self._bytes[group.program] = most_bytes(self.programs[group.program])
        return self._bytes[group.program]

    def program(self, group: Group) -> Placed:
        """The file of a group's program."""
        return Placed(self.folder, self.manifest.by_id[group.program].file)

    def weights(self, group: Group) -> Placed:
        """The file of a group's weights."""
        return Placed(self.folder, group.weights)

    def gates(self, group: Group, item: Item) -> tuple[Placed | None, Gate]:
        """The file of a group's weights in the clear, and the gate of an item's ranks; none where all ranks are on.
        Raises Refusal SL586."""
        if not item.ranks:
            return None, ()
        if group.gates is None:
            hint = "build it with --gates"
            raise Refusal(NO_RANKS, f"ranks of {self.name} can't be chosen: it was built without gates", hint=hint)
        results, gate = list(self.programs[group.program].results), list[tuple[str, tuple[int, ...]]]()
        for update in group.modules:
            if update.name in item.ranks:
                on = checked_ranks(update.name, item.ranks[update.name], update.rank)
                if len(on) < update.rank:
                    gate.append((results[update.output], on))
        return (Placed(self.folder, group.gates) if gate else None), tuple(sorted(gate))

    def group(self, modules: tuple[str, ...]) -> Group:
        """The group that all these modules are in. Raises Refusal SL571 and SL572."""
        places = self.manifest.places
        for module in modules:
            if module not in places:
                raise Refusal(MISSING, f"{self.name} has no module {module!r:.200}")
        numbers = {places[module][0] for module in modules}
        if len(numbers) > 1:
            raise Refusal(MALFORMED, "the modules of an item are not of one group: ask for each group by itself")
        return self.manifest.groups[numbers.pop()]


def _learn(means: dict[str, float], program: str, seconds: float) -> None:
    known = means.get(program, seconds)
    means[program] = known + (seconds - known) / _REMEMBERED


class Adapters:
    """The adapters of a service's folder, by name."""

    def __init__(self, folder: Path, station: Station) -> None:
        self.folder, self.station = folder.resolve(), station
        self._served: dict[str, Adapter] = {}

    def __len__(self) -> int:
        return len(self._served)

    def seen_by(self, tenant: Tenant) -> list[Adapter]:
        """The adapters that a tenant may use."""
        return [adapter for name, adapter in sorted(self._served.items()) if tenant.sees(name)]

    def check_seen(self, tenant: Tenant, name: str) -> None:
        """Raise Refusal SL571 where a tenant may not use an adapter of this name, whether or not it is served."""
        if not tenant.sees(name):
            raise self._missing(tenant, name)

    def get(self, tenant: Tenant, name: str, version: str | None = None) -> Adapter:
        """The adapter of a name. Raises Refusal SL571 where it is not served, or not to this tenant, and SL577 where it
        has another version."""
        self.check_seen(tenant, name)
        found = self._served.get(name)
        if found is None:
            raise self._missing(tenant, name)
        if version is not None and version != found.version:
            message = f"{name} has the version {found.version} here, not {version!r:.40}"
            raise Refusal(OTHER_VERSION, message, hint="get /v1/models/NAME/client again")
        return found

    async def scan(self) -> list[SlotError]:
        """Load all that the folder holds; what is wrong with those that can't be served. Raises ``SlotError`` SL561
        where there is none."""
        problems = []
        for folder in built_in(self.folder):
            try:
                adapter = await asyncio.to_thread(self._read, folder, None)
            except SlotError as problem:
                problems.append(problem)
            else:
                self._served[adapter.name] = adapter
        self._forget()
        return problems

    def _missing(self, tenant: Tenant, name: str) -> Refusal:
        """The refusal of a name that is not served, with those that are, as far as the tenant sees them."""
        hint = _those("adapters here", (adapter.name for adapter in self.seen_by(tenant)))
        return Refusal(MISSING, f"there is no adapter {name!r:.120} here", hint=hint)

    async def load(self, tenant: Tenant, name: str, path: str) -> Adapter:
        """Serve the adapter in a folder below the service's, under a name. One that had this name before ends its
        requests and is gone. Raises ``SlotError`` SL561 and others, and Refusal SL572 for what is not a name, SL571 for
        a path that leads elsewhere."""
        if not NAME.fullmatch(name):
            hint = f"{NAME_RULE}: {name_like(name)}"
            raise Refusal(MALFORMED, f"`lora_name` {name!r:.120} is not a name", hint=hint, status=422)
        self.check_seen(tenant, name)
        adapter = await asyncio.to_thread(self._read, self._below(tenant, path), name)
        before = self._served.get(name)
        self._served[name] = adapter
        if before is not None:
            await _idle(before)
            self._forget()
        return adapter

    async def unload(self, tenant: Tenant, name: str) -> None:
        """No longer serve an adapter; returns when the requests that it is in have ended. Raises Refusal SL571."""
        self.check_seen(tenant, name)
        if name not in self._served:
            raise self._missing(tenant, name)
        await _idle(self._served.pop(name))
        self._forget()

    def _forget(self) -> None:
        """Remove expanded weights that no adapter has."""
        mapped = self.station.mapped
        if mapped is not None:
            mapped.keep(
                mapped.name(adapter.program(group).file.sha256, group.weights.sha256)
                for adapter in self._served.values()
                for group in adapter.manifest.groups
            )

    def _below(self, tenant: Tenant, path: str) -> Path:
        parts = PurePosixPath(path).parts
        folder = self.folder.joinpath(*parts)
        named = parts and all(map(NAME.fullmatch, parts))
        # links in a circle
        with suppress(RuntimeError):
            # a link may lead anywhere
            if named and folder.resolve().is_relative_to(self.folder) and (folder / FILE).is_file():
                return folder
        below = (folder.name for folder in _folders(self.folder) if tenant.sees(folder.name))
        hint = f"`lora_path` is a folder's path from there, without `..`; {_those('built adapters there', below)}"
        raise Refusal(MISSING, f"there is no built adapter {path!r:.120} in the service's folder", hint=hint)

    def _read(self, folder: Path, name: str | None) -> Adapter:
        manifest = Manifest.read(folder)
        name = manifest.name if name is None else name
        where = str(folder / FILE)
        try:
            programs = {}
            for program in manifest.programs:
                # one that is held already by its hash is looked at too
                data = checked_bytes(folder, program.file, MOST_BYTES)
                programs[program.id] = self.station.program(program.file.sha256, partial(bytes, data))
            _check(manifest, programs, folder)
            for module in programs.values():
                load_kernels(module)
            return Adapter(name, folder.name, folder, manifest, programs, client_bytes(name, manifest, programs))
        except Rejected as problem:
            raise error(problem.code, f"{folder.name} can't be served: {problem}", file=where) from None


def built_in(folder: Path) -> list[Path]:
    """The built adapters of a service's folder: those below it, or the folder itself. Raises ``SlotError`` SL561 where
    there is none."""
    if (folder / FILE).is_file():
        return [folder]
    found = _folders(folder)
    if not found:
        hint = "`slotlang adapter build DIR -o FOLDER` makes one"
        closed = [path.name for path in folder.glob("*") if path.is_dir() and not os.access(path, os.X_OK)]
        notes = [f"what is in {', '.join(sorted(closed)[:_SHOWN])} can't be read: Permission denied"] if closed else []
        message = f"there is no built adapter in {folder.name}"
        raise error("SL561", message, notes=notes, hint=hint, file=str(folder))
    return found


def _folders(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob(f"*/{FILE}") if not path.parent.name.startswith("."))


def _those(what: str, names: Iterable[str]) -> str:
    """``adapters here: mail, summaries``."""
    listed = list(names)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return f"{what}: {', '.join(listed[:_SHOWN]) or 'none'}{more}"


async def _idle(adapter: Adapter) -> None:
    while adapter.uses:
        await adapter.idle.wait()


def _check(manifest: Manifest, programs: Mapping[str, Module], folder: Path) -> None:
    """Raise ``SlotError`` where programs and manifest do not fit together."""

    def wrong(why: str) -> SlotError:
        return error("SL561", f"the manifest does not fit its files: {why}", file=str(folder / FILE))

    ring = (manifest.parameters["degree"], tuple(manifest.parameters["prime_bits"]))
    for name, module in programs.items():
        p = module.parameters
        if (p.degree, p.prime_bits) != ring:
            raise wrong(f"{name} has {p.ring}")
        levels = manifest.keys.levels
        if any(levels.get(element, level + 1) > level for element, level in p.first_levels.items()):
            raise wrong(f"{name} needs keys that the manifest does not name")
    for group in manifest.groups:
        for update in group.modules:
            try:
                check_update(programs[group.program], update, group.tokens)
            except Wrong as problem:
                raise wrong(str(problem)) from None
        for file in filter(None, (group.weights, group.gates)):
            path = folder / file.path
            size = path.stat().st_size if path.is_file() else None
            if size is None or size != file.bytes:
                raise wrong(f"{file.path} {'is missing' if size is None else f'has {size:,} of its bytes'}")
        if group.gates is not None:
            module = programs[group.program]
            counts = [found.ranks for found in ranked(module).values()]
            if counts != [u.rank for u in sorted(group.modules, key=lambda u: u.output)]:
                raise wrong(f"the program {group.program} has no ranks that can be chosen, or others")


def client_bytes(name: str, manifest: Manifest, programs: Mapping[str, Module]) -> bytes:
    """What a client needs of an adapter that is served under a name, one container: the manifest without files and
    weights, and the interface of each program."""
    groups: list[dict[str, Any]] = []
    for group in manifest.groups:
        values = asdict(group)
        del values["weights"]
        # a client asks for ranks where it knows that they can be chosen
        if values.pop("gates") is not None:
            values["gates"] = True
        groups.append(values)
    label = {
        "name": name,
        "version": manifest.version,
        "base_model": manifest.base_model,
        "precision": manifest.target.get("precision"),
        "keys_bytes": manifest.keys.bytes,
    }
    records: dict[str, bytes] = {f"program {key}": interface_bytes(module) for key, module in programs.items()}
    # a label holds a megabyte at most
    records["groups"] = json.dumps(groups, separators=(",", ":")).encode()
    return pack("client", label, records)
