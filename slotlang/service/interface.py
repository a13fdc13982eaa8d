"""What a client needs of a program, as data: no code and no weights travel to a client.

Packing is a table: which element of the inputs each slot holds in its real and its imaginary part. Unpacking is one
too: which element of a result each slot carries. The service makes both from the module's functions; the client makes a
``Module`` of them that can encrypt and decrypt and can't evaluate.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from slotlang.service.fields import Fields, Wrong
from slotlang.service.manifest import LoraUpdate
from slotlang_runtime.amounts import count_of
from slotlang_runtime.errors import DAMAGED_BYTES, NOT_EVALUATED, Rejected
from slotlang_runtime.labels import limits_label
from slotlang_runtime.limits import Limit
from slotlang_runtime.module import Module, Output, Packing, Results, members
from slotlang_runtime.parameters import Parameters
from slotlang_runtime.wire import pack, unpack

KIND = "program"
Table = npt.NDArray[np.int32]

_MOST_ENTRIES = 1 << 26
"""Of all tables that are read together: that of a thousand ciphertexts of 16,384 slots has 2^25."""


class Room:
    """How many entries tables may still have: their bytes are compressed, and don't say how many they become."""

    def __init__(self, entries: int = _MOST_ENTRIES) -> None:
        self._left = entries

    def take(self, entries: int) -> None:
        """Have a table of so many. Raises Rejected where there is no room for it."""
        if not 0 < entries <= self._left:
            raise Rejected("a table of this program is missing or too large", DAMAGED_BYTES)
        self._left -= entries


_LABEL, _RECORD = 1 << 12, 1 << 9
"""Bytes that results have beside ciphertexts, at most, and beside each of these."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Interface(Module):
    """A program without its evaluation. ``digest`` and ``label`` stand for what the module's functions say, which are
    not here."""

    digest: str
    label: Mapping[str, Any]

    @cached_property
    def packing_digest(self) -> str:
        """As the module has it."""
        return self.digest

    @cached_property
    def identity(self) -> dict[str, Any]:
        """As the module has it."""
        return dict(self.label)


def check_update(module: Module, update: LoraUpdate, tokens: int) -> None:
    """Raise Wrong unless a program's only input is columns x tokens, and its result of this number rows x tokens."""
    if len(module.inputs) != 1:
        raise Wrong(f"{module.name} has {count_of(len(module.inputs), 'input')}, and an update has one")
    (read,), results = module.inputs.values(), list(module.results.values())
    result = results[update.output][0] if update.output < len(results) else ()
    if _tokens(result) != (update.rows, tokens) or _tokens(read) != (update.columns, tokens):
        shapes = f"{update.rows} x {update.columns} for {count_of(tokens, 'token')}"
        raise Wrong(f"{update.name!r:.200} is {shapes}, and {module.name} gives {result} from {read}")


def _tokens(shape: tuple[int, ...]) -> tuple[int, int]:
    """Channels and tokens of an input or a result; a vector is one token."""
    return (shape[0], math.prod(shape[1:])) if shape else (0, 0)


def most_bytes(module: Module) -> int:
    """Bytes that the results of an evaluation have, at most: two polynomials each."""
    p, size = module.parameters, _LABEL
    for family in module.returned().values():
        primes = p.prime_bits[: len(p.prime_bits) - 1 - family.level]
        # one bit more than is left of a coefficient that is cut off
        bits = 2 * sum(primes) - (sum(p.cut) - 2 if p.cut and len(primes) == 1 else 0)
        size += p.degree * bits // 8 + _RECORD
    return size


def interface_bytes(module: Module) -> bytes:
    """A program's interface. Raises Rejected for one whose packing is more than a choice of elements."""
    p = module.parameters
    packing, outputs, records = {}, [], dict[str, bytes]()
    for name, family in module.packing.items():
        packing[name] = list(family.shape)
        records[f"pack {name}"] = _squeezed(_packing_table(module, name, family))
    for number, output in enumerate(module.outputs):
        names, table = _output_table(module, output)
        outputs.append({"name": output.name, "shape": list(output.shape), "part": output.part, "members": names})
        records[f"unpack {number}"] = _squeezed(table)
    label = {
        "name": module.name,
        "program_hash": module.program_hash,
        "parameters": {
            **asdict(p),
            "routes": [[step, list(route)] for step, route in p.routes.items()],
            "key_levels": [[element, level] for element, level in p.key_levels.items()],
        },
        "slots": module.slots,
        "inputs": {name: list(shape) for name, shape in module.inputs.items()},
        "limits": limits_label(module.limits),
        "results": {name: [list(shape), kind is complex] for name, (shape, kind) in module.results.items()},
        "error": dict(module.error),
        "precision": module.precision,
        # of the inputs alone: those of weights would tell of them
        "sizes": {name: size for name, size in module.sizes.items() if name in module.inputs},
        "weights": {name: list(shape) for name, shape in module.weights.items()},
        "forms": {name: [list(term) for term in terms] for name, terms in module.forms.items()},
        "packing": packing,
        "sent": {
            name: [
                *([list(index) for index in members(family.members)], family.level, family.products),
                *(family.mask_bits, family.precise),
            ]
            for name, family in module.sent.items()
        },
        "outputs": outputs,
        "digest": module.packing_digest,
        "identity": module.identity,
    }
    return pack(KIND, label, records)


def _squeezed(table: Table) -> bytes:
    """Differences of neighbours, compressed: most tables are sums of ramps."""
    flat = np.ascontiguousarray(table, "<i4").reshape(-1)
    return zlib.compress(np.diff(flat, prepend=np.int32(0)).astype("<i4").tobytes(), 6)


def _table(record: memoryview | None, shape: tuple[int, ...], below: int, room: Room) -> Table:
    size = math.prod(shape)
    room.take(0 if record is None else size)
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(record or b"", 4 * size + 1)
    except zlib.error:
        data = b""
    if len(data) != 4 * size or not unpacker.eof or unpacker.unused_data:
        raise Rejected("a table of this program is damaged", DAMAGED_BYTES)
    # sums of what the service makes never wrap, and those of anybody else are looked at as they are
    table = np.cumsum(np.frombuffer(data, "<i4"), dtype=np.int32)
    if table.min() < -1 or table.max() >= below:
        raise Rejected("a table of this program names elements that do not exist", DAMAGED_BYTES)
    return table.reshape(shape)


def _elements(shapes: Mapping[str, tuple[int, ...]]) -> int:
    return sum(math.prod(shape) for shape in shapes.values())


def _spread(flat: npt.NDArray[np.float64], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """The inputs of which all elements in a row are these."""
    found, at = {}, 0
    for name, shape in shapes.items():
        size = math.prod(shape)
        found[name] = flat[at : at + size].reshape(shape)
        at += size
    return found


def _packing_table(module: Module, name: str, family: Packing) -> Table:
    """Members x (re, im) x slots: the number of the element that is there, -1 for zero."""
    count = _elements(module.inputs)
    drawn = np.random.default_rng(0).standard_normal(count)
    numbered, random = (_spread(v, module.inputs) for v in (np.arange(1, count + 1, dtype=np.float64), drawn))
    rows = []
    for index in np.ndindex(family.shape):
        slots = np.broadcast_to(np.asarray(family.function(numbered, *index), np.complex128), module.slots)
        parts = np.stack([slots.real, slots.imag])
        table = np.clip(np.rint(parts), 0, count).astype(np.int32) - 1
        again = np.broadcast_to(np.asarray(family.function(random, *index), np.complex128), module.slots)
        if (table + 1 != parts).any() or (_chosen(drawn, table) != np.stack([again.real, again.imag])).any():
            raise Rejected(
                f"the packing of {name} in {module.name} is more than a choice of elements, and only such programs are "
                "served",
                NOT_EVALUATED,
            )
        rows.append(table)
    return np.array(rows, np.int32).reshape(-1, 2, module.slots)


def _chosen(flat: npt.NDArray[np.float64], table: Table) -> npt.NDArray[np.float64]:
    return np.where(table < 0, 0.0, flat[np.maximum(table, 0)])


def _output_table(module: Module, output: Output) -> tuple[list[list[Any]], Table]:
    """The members that an output reads, and for each and every slot the number of the element, -1 where there is
    none."""
    names, rows = [], []
    shape, _ = module.results[output.name]
    for other, member, inside, places in module.placed():
        if other is not output:
            continue
        row = np.full(module.slots, -1, np.int32)
        row[inside] = np.ravel_multi_index(places, shape) if shape else 0
        names.append([member[0], *map(int, member[1:])])
        rows.append(row)
    return names, np.array(rows, np.int32).reshape(-1, module.slots)


def interface(data: bytes, room: Room | None = None) -> Interface:
    """The program of its interface, checked. ``room``: for its tables, of several programs that are read together.
    Raises Rejected."""
    box = unpack(KIND, data)
    of = Fields(dict(box.label))
    try:
        return _interface(of, dict(box.records), room or Room())
    except (Wrong, TypeError, KeyError, ValueError, IndexError) as problem:
        if isinstance(problem, Rejected):
            raise
        raise Rejected(f"this program's interface is wrong: {problem}"[:300], DAMAGED_BYTES) from None


def _interface(of: Fields, records: dict[str, memoryview | None], room: Room) -> Interface:
    slots, inputs = of.whole("slots"), _shapes(of.part("inputs"))
    parameters = _parameters(of.part("parameters"))
    # before anything is made of these sizes
    parameters.check(slots)
    results = {
        name: (tuple(shape), complex if of_complex else float) for name, (shape, of_complex) in _items(of, "results")
    }
    count, packing = _elements(inputs), {}
    for name, shape in _shapes(of.part("packing")).items():
        table = _table(records.pop(f"pack {name}", None), (math.prod(shape), 2, slots), count, room)
        packing[name] = Packing(_Pack(table, shape, inputs), shape)
    outputs = []
    for number, part in enumerate(of.parts("outputs")):
        names = [tuple(member) for member in part.values["members"]]
        shape, (result, _) = tuple(part.wholes("shape")), results[part.text("name")]
        table = _table(records.pop(f"unpack {number}", None), (len(names), slots), math.prod(result), room)
        if math.prod(shape) != len(names):
            raise Wrong("an output names other members than it has")
        read = part.optional_text("part")
        if read not in ("re", "im", None):
            raise Wrong("an output reads a part that does not exist")
        outputs.append(Output(part.text("name"), _Unpack(table, shape, names, result), shape, read))  # type: ignore[arg-type]
    if records:
        raise Wrong("there are records that nothing names")
    for name, (shape, _) in results.items():
        carried = sum(output.function.table.size for output in outputs if output.name == name)  # type: ignore[attr-defined]
        if any(type(size) is not int or size < 1 for size in shape) or math.prod(shape) > carried:
            raise Wrong("a result has elements that no slot carries")
    return Interface(
        name=of.text("name"),
        program_hash=of.text("program_hash"),
        parameters=parameters,
        slots=slots,
        kernel="seal",
        inputs=inputs,
        limits={
            name: Limit(*(math.inf if v is None else float(v) for v in both)) for name, both in _items(of, "limits")
        },
        weights=_shapes(of.part("weights")),
        scalars=(),
        results=results,
        error=of.part("error").numbers(),
        precision=of.number("precision"),
        sizes=of.part("sizes").numbers(),
        forms={name: [tuple(term) for term in terms] for name, terms in _items(of, "forms")},
        packing=packing,
        plaintexts={},
        sent={
            name: Results([tuple(index) for index in indices], int(level), int(products), int(bits), bool(precise))
            for name, (indices, level, products, bits, precise) in _items(of, "sent")
        },
        outputs=outputs,
        evaluate=_not_here,
        reference=_not_here,
        counts={},
        digest=of.text("digest"),
        label=of.part("identity").texts(),
    )


def _items(of: Fields, name: str) -> list[tuple[str, Any]]:
    return list(of.part(name).values.items())


def _shapes(of: Fields) -> dict[str, tuple[int, ...]]:
    shapes = {name: tuple(of.wholes(name)) for name in of.values}
    if any(size < 1 for shape in shapes.values() for size in shape):
        raise Wrong("a size is below 1")
    if any(math.prod(shape) > _MOST_ENTRIES for shape in shapes.values()):
        raise Wrong("a size is too large")
    return shapes


def _parameters(of: Fields) -> Parameters:
    values = {**of.values, "routes": {int(step): tuple(route) for step, route in of.values["routes"]}}
    values["key_levels"] = {int(element): int(level) for element, level in of.values["key_levels"]}
    for name in ("prime_bits", "scale_bits", "drops", "rotations", "cut"):
        values[name] = tuple(of.wholes(name))
    values["doubled"] = tuple(of.text_list("doubled"))
    return Parameters(**values)


def _not_here(*_: Any) -> Any:
    raise Rejected("a client has a program's interface and can't evaluate it", NOT_EVALUATED)


class _Pack:
    """What a member of a family holds, by its table."""

    def __init__(self, table: Table, shape: tuple[int, ...], inputs: Mapping[str, tuple[int, ...]]) -> None:
        self.table, self.shape, self.inputs = table, shape, inputs

    def __call__(self, arrays: Mapping[str, Any], *index: int) -> npt.NDArray[Any]:
        flat = np.concatenate([np.asarray(arrays[name], np.float64).reshape(-1) for name in self.inputs])
        re, im = self.table[np.ravel_multi_index(index, self.shape) if index else 0]
        real = _chosen(flat, re)
        return real + 1j * _chosen(flat, im) if (im >= 0).any() else real


class _Unpack:
    """Which elements a member carries, by its table."""

    def __init__(
        self, table: Table, shape: tuple[int, ...], names: list[tuple[Any, ...]], result: tuple[int, ...]
    ) -> None:
        self.table, self.shape, self.names, self.result = table, shape, names, result

    def __call__(self, *binders: int) -> tuple[Any, ...]:
        number = int(np.ravel_multi_index(binders, self.shape)) if binders else 0
        row = self.table[number]
        places = np.unravel_index(np.maximum(row, 0), self.result) if self.result else ()
        return self.names[number], tuple(places), row >= 0
