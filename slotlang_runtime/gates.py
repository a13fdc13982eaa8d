"""Gates: which ranks of a module are on, in the clear, chosen anew for each evaluation.

Of a result that is proved to be ``s * A @ B @ x`` for all A and B, the ranks that are on give ``s * A[:, on] @ B[on, :]
@ x``. That is the same theorem for other weights: columns of A and rows of B that are zero, in any order, for ``A[:, p]
@ B[p, :] == A @ B`` for every permutation p. So the program stays the one that was proved, and its keys are enough.
Ranks that are on are put where they leave most plaintexts zero everywhere; these are not multiplied.

Weights for a gate are encoded as all weights are: bounds, range and expected errors are those of the weights with these
ranks. Which plaintexts are zero is seen by their values.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from slotlang_runtime.equalized import Exponents, checked
from slotlang_runtime.errors import BAD_RANKS, DAMAGED_BYTES, Rejected
from slotlang_runtime.labels import check_label, module_label
from slotlang_runtime.module import Module, Name
from slotlang_runtime.ranks import Gate, checked_ranks, ranked
from slotlang_runtime.weights import Weights, checked_weights
from slotlang_runtime.wire import pack, unpack

Array: TypeAlias = npt.NDArray[Any]

KIND = "gates"
MEMORY = 1 << 28
"""Bytes of encoded weights that a ``Gates`` holds, unless it is told otherwise."""
_KINDS = ("<f2", "<f4", "<f8")
_MOST = 1000
"""Ranks that powers of two in double precision tell apart."""


class Gates:
    """The weights of one program in the clear, and encoded for the gates that were used last, up to ``memory`` bytes.
    Threads may call it at the same time."""

    def __init__(self, module: Module, /, *, equalize: Exponents | None = None, **weights: Any) -> None:
        """From what ``Weights.encode`` takes. Raises Rejected, also for a program without ranks that can be chosen."""
        self.module, self.ranked, self.memory = module, ranked(module), MEMORY
        if not self.ranked:
            why = "no result is proved to be s * A @ B @ x with A and B of its own"
            raise Rejected(f"{module.name} has no ranks that can be chosen: {why}", BAD_RANKS)
        if equalize is not None and "equalize" in (*module.weights, *module.scalars):
            # a program may call a weight so
            weights, equalize = {**weights, "equalize": equalize}, None
        self.exponents = checked(module, equalize)
        self.arrays = checked_weights(module, weights)
        self._held: OrderedDict[Gate, Weights] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def from_bytes(cls, module: Module, data: bytes | memoryview) -> Gates:
        """What ``to_bytes`` of the same program made. Raises Rejected."""
        box = unpack(KIND, data)
        check_label(box, module_label(module), module)
        shapes = {**module.weights, **dict.fromkeys(module.scalars, ())}
        kinds, equalize = box.label.get("kinds"), box.label.get("equalize", {})
        wrong = Rejected("these gates do not say what they hold", DAMAGED_BYTES)
        if not isinstance(kinds, dict) or set(kinds) != set(shapes) or not isinstance(equalize, dict):
            raise wrong
        arrays: dict[str, Any] = {}
        for (name, shape), record in zip(shapes.items(), box.exactly(shapes), strict=True):
            size = int(np.prod(shape, dtype=np.int64))
            if kinds[name] not in _KINDS or record is None or len(record) != size * np.dtype(kinds[name]).itemsize:
                raise wrong
            arrays[name] = np.frombuffer(record, kinds[name]).astype(np.float64).reshape(shape)
        try:
            exponents = {name: np.asarray(values) for name, values in equalize.items()}
        except ValueError:
            # lists that are no array
            raise wrong from None
        return cls(module, **({"equalize": exponents} if exponents else {}), **arrays)

    def to_bytes(self) -> bytes:
        """The weights, each in the shortest kind of number that holds it exactly."""
        records = {name: _shortest(array) for name, array in self.arrays.items()}
        label: dict[str, Any] = {
            **module_label(self.module),
            "kinds": {name: array.dtype.str for name, array in records.items()},
        }
        if self.exponents:
            label["equalize"] = {name: values.tolist() for name, values in self.exponents.items()}
        return pack(KIND, label, {name: array.tobytes() for name, array in records.items()})

    def gate(self, ranks: Mapping[str, Sequence[int]]) -> Gate:
        """The gate of the ranks that are on, by result; results that are not named have all. Raises Rejected."""
        if not isinstance(ranks, Mapping):
            raise Rejected(f"ranks are given by result, not as {type(ranks).__name__}", BAD_RANKS)
        found = []
        for result, given in sorted(ranks.items(), key=lambda pair: str(pair[0])):
            if result not in self.ranked:
                raise Rejected(f"{self.module.name} has no result {result!r:.60} with ranks", BAD_RANKS)
            count = self.ranked[result].ranks
            on = checked_ranks(result, given, count)
            if len(on) < count:
                found.append((result, on))
        return tuple(found)

    def arranged(self, gate: Gate) -> dict[str, Any]:
        """The weights with these ranks alone, put where most plaintexts are zero everywhere."""
        arrays, touched = dict(self.arrays), set[Name]()
        for result, on in gate:
            up, down, count = self.ranked[result]
            places = _places(on, self._plaintexts_of[result], count, touched)
            for name, axis in ((up, 1), (down, 0)):
                kept = np.zeros_like(self.arrays[name])
                np.moveaxis(kept, axis, 0)[list(places)] = np.moveaxis(self.arrays[name], axis, 0)[list(on)]
                arrays[name] = kept
        return arrays

    def encoded(self, gate: Gate) -> Weights:
        """The weights for a gate, encoded and checked as all weights are. Raises Rejected."""
        exponents = {"equalize": self.exponents} if self.exponents else {}
        return Weights.encode(self.module, **exponents, **self.arranged(gate))

    def weights(self, gate: Gate) -> Weights:
        """``encoded``, or the same weights as last time. Raises Rejected."""
        with self._lock:
            found = self._held.get(gate)
            if found is not None:
                self._held.move_to_end(gate)
                return found
        made = self.encoded(gate)
        with self._lock:
            self._held[gate] = made
            while len(self._held) > 1 and sum(w.memory_bytes for w in self._held.values()) > self.memory:
                self._held.popitem(last=False)
        return made

    @cached_property
    def _plaintexts_of(self) -> Mapping[str, Sequence[frozenset[Name]]]:
        """By result, the plaintexts that each rank is in: found by packing weights that are 2^n for the n-th rank. It
        decides where ranks are put, and not what is left out: values do."""
        first, starts = 0, dict[str, int]()
        arrays: dict[str, Any] = {name: np.zeros_like(array) for name, array in self.arrays.items()}
        arrays |= dict.fromkeys(self.module.scalars, np.float64(1.0))
        for result, (up, down, count) in self.ranked.items():
            starts[result] = first
            powers = np.ldexp(1.0, np.minimum(np.arange(first, first + count), _MOST))
            arrays[up] = np.broadcast_to(powers[None, :], arrays[up].shape).copy()
            arrays[down] = np.broadcast_to(powers[:, None], arrays[down].shape).copy()
            first += count
        found: list[set[Name]] = [set() for _ in range(first)]
        with np.errstate(over="ignore", invalid="ignore"):
            prepared = self.module.prepare(arrays)
            for member, family in self.module.encoded().items():
                values = np.atleast_1d(np.asarray(family.function(prepared, *member[1:]), np.complex128))
                for rank in _ranks_in(values, first):
                    found[rank].add(member)
        return {
            result: tuple(map(frozenset, found[start : start + self.ranked[result].ranks]))
            for result, start in starts.items()
        }


def _ranks_in(values: Array, count: int) -> Sequence[int]:
    """The ranks whose powers of two stand in slots; all of them where other numbers do."""
    parts = np.concatenate([values.real, values.imag])
    mantissas, exponents = np.frexp(np.abs(parts[parts != 0]))
    if count > _MOST or (mantissas != 0.5).any() or (exponents > count).any() or (exponents < 1).any():
        return range(count)
    seen = np.zeros(count, np.bool_)
    seen[exponents - 1] = True
    return [int(rank) for rank in np.flatnonzero(seen)]


def _places(on: Sequence[int], plaintexts: Sequence[frozenset[Name]], count: int, touched: set[Name]) -> Sequence[int]:
    """Where each rank that is on is put. Ranks that are in the same plaintexts are taken together, each time those that
    add the fewest plaintexts to the ones that are ``touched``; a rank whose own place is taken stays there."""
    units: dict[frozenset[Name], list[int]] = {}
    for rank in range(count):
        units.setdefault(plaintexts[rank], []).append(rank)
    chosen: set[int] = set()
    while len(chosen) < len(on):
        best = min(units, key=lambda names: (len(names - touched) / len(units[names]), units[names][0]))
        chosen.update(units.pop(best))
        touched |= best
    stay = {rank for rank in on if rank in chosen}
    free = iter(sorted(chosen - stay))
    return [rank if rank in stay else next(free) for rank in on]


def _shortest(array: Any) -> Array:
    values = np.asarray(array, np.float64)
    for kind in _KINDS[:-1]:
        with np.errstate(over="ignore"):
            short = values.astype(kind)
        if np.array_equal(short.astype(np.float64), values):
            return short
    return values.astype(_KINDS[-1])
