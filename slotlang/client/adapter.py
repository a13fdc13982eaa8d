"""An adapter as a client sees it: groups of modules, and how each program packs, encrypts, decrypts and unpacks."""

from __future__ import annotations

import json
import operator
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang.client.problems import ServiceProblem, otherwise
from slotlang.diagnostics import closest
from slotlang.service.fields import Fields, Wrong
from slotlang.service.interface import Interface, Room, check_update, interface
from slotlang.service.manifest import LoraUpdate
from slotlang.service.problems import MISSING, NO_RANKS
from slotlang.service.protocol import Ranks
from slotlang_runtime.client import Client, SecretKey
from slotlang_runtime.equalized import digests, divided
from slotlang_runtime.errors import BELOW_PRECISION, Rejected
from slotlang_runtime.expected import MOST
from slotlang_runtime.labels import inputs_label
from slotlang_runtime.limits import Limit
from slotlang_runtime.module import small_results
from slotlang_runtime.parameters import RingParameters
from slotlang_runtime.ranks import checked_ranks
from slotlang_runtime.wire import unpack

Array = npt.NDArray[np.float64]
Bytes: TypeAlias = bytes | memoryview


@dataclass(frozen=True)
class Group:
    """Modules that are evaluated together, by one program from one upload. ``upload``: groups of which this is equal
    take each other's uploads. ``gates``: ranks of its modules can be chosen."""

    number: int
    program: str
    tokens: int
    updates: tuple[LoraUpdate, ...]
    equalize: Mapping[str, Sequence[int]]
    upload: str
    gates: bool = False


@dataclass(frozen=True)
class Adapter:
    """One version of a served adapter."""

    name: str
    version: str
    base_model: str | None
    programs: Mapping[str, Interface]
    groups: tuple[Group, ...]

    @classmethod
    def from_bytes(cls, data: bytes) -> Adapter:
        """The adapter of what ``GET /v1/models/{id}/client`` gives, checked: it is data, and none of it is executed.
        Raises ``ServiceProblem``."""
        try:
            box = unpack("client", data)
            of, programs, room = Fields(dict(box.label)), dict[str, Interface](), Room()
            for name, record in box.records.items():
                if name.startswith("program ") and record is not None:
                    programs[name.removeprefix("program ")] = interface(bytes(record), room)
            groups = Fields({"groups": json.loads(bytes(box.records.get("groups") or b""))}).parts("groups")
            return cls(
                of.text("name"),
                of.text("version"),
                of.optional_text("base_model"),
                programs,
                tuple(_group(number, group, programs) for number, group in enumerate(groups)),
            )
        except (Wrong, Rejected, ValueError, RecursionError) as problem:
            raise otherwise(str(problem)) from None

    @cached_property
    def ring(self) -> RingParameters:
        """That of all programs."""
        rings = {program.parameters.ring for program in self.programs.values()}
        if len(rings) != 1:
            raise otherwise("its programs have different parameters")
        return rings.pop()

    @cached_property
    def places(self) -> Mapping[str, tuple[Group, LoraUpdate]]:
        """Modules by name."""
        return {update.name: (group, update) for group in self.groups for update in group.updates}

    def place(self, module: str) -> tuple[Group, LoraUpdate]:
        """The group and the update of a module. Raises ``ServiceProblem`` SL571."""
        found = self.places.get(module)
        if found is None:
            ends = [name for name in self.places if name.endswith(f".{module}")]
            hint = f"did you mean '{ends[0]}'?" if len(ends) == 1 else closest(module, self.places)
            if len(ends) > 1:
                more = f" and {len(ends) - 4} more" if len(ends) > 4 else ""
                hint = f"the whole name is needed: {', '.join(ends[:4])}{more}"
            hint = hint or "`slotlang client modules URL` lists them, and `Session.adapter().places` has them"
            raise ServiceProblem(MISSING, f"{self.name} has no module {module!r:.200}", hint)
        return found

    def chosen(self, names: Sequence[str], ranks: Mapping[str, Any]) -> Ranks:
        """The ranks that are on, of those of these modules that do not have all. Raises as ``ranks``."""
        for name in ranks:
            if name not in names:
                raise ServiceProblem(NO_RANKS, f"there are ranks of {name!r:.200}, whose update is not asked for")
        found = {name: self.ranks(name, on) for name, on in ranks.items()}
        return {name: on for name, on in found.items() if on is not None}

    def ranks(self, module: str, on: Any) -> tuple[int, ...] | None:
        """Ranks of a module, whole numbers in any order, as requests name them; None where all are on. Raises
        ``ServiceProblem`` SL571, and SL586 for a module whose ranks can't be chosen; Rejected for anything else but
        ranks, each once."""
        group, update = self.place(module)
        if on is None:
            return None
        values = on.tolist() if isinstance(on, np.ndarray) else on
        try:
            # numbers of NumPy are whole too; a flag is not
            given = [value if isinstance(value, bool) else operator.index(value) for value in values]
        except TypeError:
            given = values
        in_order = sorted(given) if isinstance(given, list) and all(type(v) is int for v in given) else given
        found = checked_ranks(module, in_order, update.rank)
        if len(found) == update.rank:
            return None
        if not group.gates:
            hint = "an adapter that is built with `slotlang adapter build --gates` has ranks to choose"
            raise ServiceProblem(NO_RANKS, f"ranks of {module!r:.200} can't be chosen", hint)
        return found


def _group(number: int, of: Fields, programs: Mapping[str, Interface]) -> Group:
    program, equalize = of.text("program"), of.part("equalize")
    if program not in programs:
        raise Wrong(f"a group names the program {program!r:.60}, which is not there")
    module, exponents = programs[program], {name: equalize.wholes(name) for name in equalize.values}
    updates, tokens = tuple(map(LoraUpdate.of, of.parts("modules"))), of.whole("tokens")
    if not updates or tokens < 1:
        raise Wrong("a group has no modules or no tokens")
    for update in updates:
        check_update(module, update, tokens)
    kept = {name: np.asarray(values) for name, values in exponents.items() if any(values)}
    upload = json.dumps([inputs_label(module), digests(kept)], sort_keys=True)
    return Group(number, program, tokens, updates, exponents, upload, "gates" in of.values and of.flag("gates"))


class Crypto:
    """Encryption and decryption for an adapter, with a secret key. Threads that call it wait for each other."""

    def __init__(self, adapter: Adapter, secret: SecretKey) -> None:
        self.adapter, self.secret = adapter, secret
        self._lock = threading.Lock()
        self._encrypting: dict[tuple[str, ...], Client] = {}
        self._decrypting: dict[str, _Decrypting] = {}

    def evaluation_keys(self) -> bytes:
        """Keys for all programs of the adapter."""
        with self._lock:
            return self.secret.evaluation_keys(*self.adapter.programs.values())

    def encrypt(self, group: Group, x: Array, *others: Group) -> bytes:
        """The upload of columns x tokens, for this group and ``others`` of equal ``upload`` that will read it. Raises
        Rejected for inputs beyond the limits of any of them: the server compares these, which stand in the upload, with
        those of each program. Groups that read another input have limits of their own, and don't count."""
        with self._lock:
            client = self._encrypting_for(group, *others)
            ((name, shape),) = client.module.inputs.items()
            return client.encrypt(**{name: x.reshape(shape)})

    def check(self, group: Group, x: Array, *others: Group) -> None:
        """Raise Rejected for a token of columns x any number of tokens that ``encrypt`` would refuse, by its number
        among all of them."""
        with self._lock:
            client = self._encrypting_for(group, *others)
        (name,) = client.module.inputs
        if equalized := name in client.exponents:
            x = divided(name, x, client.exponents[name])
        client.limits.get(name, Limit()).check(name, x, equalized=equalized)

    def _encrypting_for(self, group: Group, *others: Group) -> Client:
        programs = sorted({one.program for one in (group, *others)})
        key = (group.upload, *programs)
        client = self._encrypting.get(key)
        if client is None:
            module, limits = self.adapter.programs[group.program], dict[str, Limit]()
            for program in programs:
                for name, limit in self.adapter.programs[program].limits.items():
                    limits[name] = limit.meet(limits.get(name))
            client = Client(module, self.secret, limits=limits, equalize=group.equalize)
            self._encrypting[key] = client
        return client

    def decrypt(
        self,
        group: Group,
        data: Bytes,
        used: int | None = None,
        small: list[str] | None = None,
        names: Collection[str] | None = None,
    ) -> list[Array]:
        """The updates of a group's modules, each rows x tokens. ``used``: the tokens that somebody asked for, where
        others fill up a batch. ``small`` gets what is to be said of updates below the precision, of ``names`` alone, if
        given: of the modules that somebody asked for. Raises Rejected."""
        with self._lock:
            client = self._decrypting.get(group.program)
            if client is None:
                module = self.adapter.programs[group.program]
                client = self._decrypting[group.program] = _Decrypting(module, self.secret)
            client.updates = [u for u in group.updates if names is None or u.name in names]
            client.used = group.tokens if used is None else used
            client.small = [] if small is None else small
            found = client.decrypt(data)  # type: ignore[arg-type]
        named = found if isinstance(found, dict) else {next(iter(client.module.results)): found}
        values = list(named.values())
        return [np.asarray(values[u.output]).real.reshape(u.rows, group.tokens) for u in group.updates]


class _Decrypting(Client):
    """A client of an interface, which can't evaluate: errors grow at most as inputs do, for updates are linear.
    ``updates`` and ``used``: the updates and the tokens that are looked at; ``small``: what is said of updates below
    the precision, by whoever knows the user's line."""

    updates: Sequence[LoraUpdate] = ()
    used = 0

    def __init__(self, module: Interface, secret: SecretKey) -> None:
        super().__init__(module, secret)
        self.small = list[str]()
        for power in range(1, 1 + round(np.log2(MOST))):
            self._grown[2.0**power] = dict.fromkeys(module.error, 2.0**power)

    def _check_precision(self, results: Mapping[str, Any], grown: Mapping[str, float], lost: bool) -> None:
        """Note updates below the precision that the adapter was built for. Tokens that fill up a batch are zero, and
        would make all of it look small."""
        names = list(results)
        for update in self.updates:
            name = names[update.output]
            part = {name: np.asarray(results[name]).real.reshape(update.rows, -1)[:, : self.used]}
            for small in small_results(self.module, part, grown, lost=lost):
                larger = ", as inputs or weights are larger than promised for" if name in grown else ""
                self.small.append(
                    f"[{BELOW_PRECISION}] the update of {update.name} is below the precision that its adapter was "
                    f"built for: its rms is {small.size:.1e}, and a relative error of {self.module.precision:.1e} "
                    f"needs {small.least:.1e}; the rms error is at most {small.error:.1e}{larger}. "
                    "`slotlang adapter build` takes --activations like these, and a smaller --precision"
                )
