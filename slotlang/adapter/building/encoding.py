"""The weights of a group as bytes: encoded, and in the clear where gates choose ranks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from slotlang.adapter.building.shared import Group
from slotlang.adapter.building.sizes import Samples, weights_of
from slotlang.refusals import refused
from slotlang.service.manifest import File
from slotlang_runtime.errors import Rejected
from slotlang_runtime.gates import Gates
from slotlang_runtime.module import Module
from slotlang_runtime.weights import Weights

Bytes: TypeAlias = tuple[bytes, bytes | None]
"""The encoded weights of a group, and those in the clear where gates choose ranks."""


def files_of(record: Mapping[str, Any]) -> list[File]:
    """The files of a group's weights."""
    written = [record, record["gates"]] if "gates" in record else [record]
    return [File(one["file"], one["sha256"], one["bytes"]) for one in written]


def written(file: File) -> dict[str, Any]:
    """How a build's state names a file."""
    return {"file": file.path, "sha256": file.sha256, "bytes": file.bytes}


def encoded(
    module: Module, group: Group, samples: Samples, *, gates: bool = False, compact: bool = False
) -> tuple[Bytes, dict[str, Any]]:
    """The encoded weights of a group as bytes, with those in the clear for ``gates``, and what was noticed: ``zeros``
    of its ``plaintexts``, results whose errors have ``grown``, families that are too ``coarse``; with ``compact``, the
    bytes of the compact form in memory. Raises ``SlotError`` with the runtime's code for weights that it refuses."""
    sample = samples.get(group.input)
    exponents = None if sample is None else sample.equalize
    weights = weights_of(group, samples)
    try:
        made = Weights.encode(module, equalize=exponents, **weights)
        clear = Gates(module, equalize=exponents, **weights).to_bytes() if gates else None
    except Rejected as problem:
        raise refused(problem, "", f"the weights of {group.input} can't be encoded: {{}}") from None
    coarse = () if made.ranges is None else made.ranges.coarse
    record = {
        "plaintexts": len(module.encoded()),
        "zeros": made.engine.zeros,
        "grown": dict(made.grown),
        "coarse": list(coarse),
        "compact": made.compact().memory_bytes if compact else None,
    }
    return (made.to_bytes(), clear), record
