"""Requests for evaluation: what each asks for, the body that says it, and what its answer must be."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

from slotlang.client.adapter import Adapter, Array, Bytes, Crypto, Group
from slotlang.client.problems import kept_to_protocol
from slotlang.client.tokens import Tokens
from slotlang.service.fields import Wrong
from slotlang.service.interface import most_bytes
from slotlang.service.protocol import Item, Ranks, Request, answer_label
from slotlang_runtime.amounts import count_of
from slotlang_runtime.errors import INPUT_BEYOND_LIMIT, BelowPrecision, Rejected
from slotlang_runtime.wire import Box

Answers: TypeAlias = dict[tuple[int, int], Bytes]
"""Encrypted results by group and batch."""

_REQUEST_BYTES, _REQUEST_TOKENS, _REQUEST_ITEMS = 8 << 20, 1024, 256
_ANSWER_BYTES = 32 << 20
"""Of one request, and of its answer, at most, but for the last item."""
_BESIDE = 1 << 16
"""Bytes of a part of an answer beside its label and its results, and of the part that ends it or says a problem."""


@dataclass(frozen=True)
class _Asked:
    """An item with the group and the batch that it is about. ``size``: bytes that its results have, at most."""

    group: Group
    batch: int
    item: Item
    size: int


@dataclass
class _Filling:
    """A request that is being filled."""

    asked: list[_Asked] = field(default_factory=list)
    uploads: dict[str, bytes] = field(default_factory=dict)

    @property
    def full(self) -> bool:
        """Whether nothing more goes into it."""
        return (
            sum(map(len, self.uploads.values())) >= _REQUEST_BYTES
            or sum(asked.group.tokens for asked in self.asked) >= _REQUEST_TOKENS
            or sum(asked.size for asked in self.asked) >= _ANSWER_BYTES
            or len(self.asked) >= _REQUEST_ITEMS
        )

    def ended(self, adapter: Adapter) -> Asking:
        """The request, which has all that it asks for."""
        items = tuple(asked.item for asked in self.asked)
        body = Request(adapter.name, adapter.version, items, self.uploads).to_bytes()
        return Asking(adapter, tuple(self.asked), body)


@dataclass(frozen=True)
class Asking:
    """A request with its ``body``."""

    adapter: Adapter
    asked: tuple[_Asked, ...]
    body: bytes = field(repr=False)

    @cached_property
    def most_bytes(self) -> int:
        """The most that its answer can have."""
        found = _BESIDE
        for number, asked in enumerate(self.asked):
            label = answer_label(self.adapter.name, self.adapter.version, number, asked.item)
            found += _BESIDE + len(json.dumps(label)) + asked.size
        return found

    def answers(self, parts: Sequence[Box]) -> Answers:
        """The results that the parts of an answer are. Raises ``ServiceProblem`` SL581 unless they are what was asked
        for."""
        found = Answers()
        with kept_to_protocol():
            if len(parts) != len(self.asked):
                raise Wrong(f"it has {count_of(len(parts), 'part')} for {count_of(len(self.asked), 'item')}")
            for number, (part, asked) in enumerate(zip(parts, self.asked, strict=True)):
                wanted = answer_label(self.adapter.name, self.adapter.version, number, asked.item)
                (results,) = part.exactly(["results"])
                if dict(part.label) != wanted or results is None:
                    raise Wrong(f"part {number} is not what was asked for")
                found[asked.group.number, asked.batch] = results
        return found


@dataclass(frozen=True)
class Updates:
    """Updates by module. ``small``: what is to be said of those below the precision that the adapter was built for."""

    values: dict[str, Any]
    small: Sequence[str] = ()

    def told(self) -> dict[str, Any]:
        """The updates. Warns (``BelowPrecision``) at the line that called the caller: whatever thread they were
        decrypted in, this is the user's."""
        for text in self.small:
            warnings.warn(text, BelowPrecision, stacklevel=3)
        return self.values


@dataclass(frozen=True)
class Call:
    """Updates of several modules of an adapter: how x becomes requests, and their answers become arrays. ``ranks``:
    those that are on, of modules that do not have all."""

    adapter: Adapter
    crypto: Crypto
    names: Sequence[str]
    tokens: Tokens
    ranks: Ranks

    @cached_property
    def _groups(self) -> Mapping[str, list[Group]]:
        """By upload: groups that take each other's share them."""
        groups: dict[str, dict[int, Group]] = {}
        for name in self.names:
            group, _ = self.adapter.place(name)
            groups.setdefault(group.upload, {})[group.number] = group
        return {upload: [*found.values()] for upload, found in groups.items()}

    @property
    def one_upload(self) -> bool:
        """Whether one upload has all of x, so that there is one request."""
        counts = [len(self.tokens.rows) / groups[0].tokens for groups in self._groups.values()]
        return len(counts) == 1 and 0 < counts[0] <= 1

    def requests(self) -> list[Asking]:
        """Those for all batches and groups, encrypted. Raises Rejected."""
        made, filling = list[Asking](), _Filling()
        programs = {group.program for groups in self._groups.values() for group in groups}
        sizes = {program: most_bytes(self.adapter.programs[program]) for program in programs}
        for groups in self._groups.values():
            for batch, x in enumerate(self.tokens.batches(groups[0].tokens)):
                if filling.full:
                    made.append(filling.ended(self.adapter))
                    filling = _Filling()
                upload = str(len(filling.uploads))
                try:
                    filling.uploads[upload] = self.crypto.encrypt(groups[0], x, *groups[1:])
                except Rejected as problem:
                    if problem.code == INPUT_BEYOND_LIMIT:
                        # a batch numbers its own tokens: whoever gave x counts all
                        self.crypto.check(groups[0], self.tokens.rows.T, *groups[1:])
                    raise
                for group in groups:
                    modules = tuple(name for name in self.names if self.adapter.place(name)[0] is group)
                    item = Item(upload, modules, {name: self.ranks[name] for name in modules if name in self.ranks})
                    filling.asked.append(_Asked(group, batch, item, sizes[group.program]))
        return [*made, filling.ended(self.adapter)] if filling.asked else made

    def updates(self, answers: Answers) -> Updates:
        """The updates, of the answers to all requests. Raises Rejected."""
        parts: dict[str, list[Array]] = {name: [] for name in self.names}
        small = list[str]()
        for (number, batch), data in sorted(answers.items()):
            group = self.adapter.groups[number]
            used = min(group.tokens, len(self.tokens.rows) - batch * group.tokens)
            found = self.crypto.decrypt(group, data, used, small, self.names)
            for update, values in zip(group.updates, found, strict=True):
                if update.name in parts:
                    parts[update.name].append(values)
        places = {name: self.adapter.place(name)[1] for name in self.names}
        return Updates({name: self.tokens.joined(parts[name], of.rows) for name, of in places.items()}, small)
