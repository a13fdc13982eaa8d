"""Counts, bytes and bounds of a graph in one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from slotlang.cost.counts import Counts


@dataclass(frozen=True)
class Cost:
    """What a program costs under parameters. Bytes are residue words, without headers; ``galois_key_bytes`` are
    uncompressed, as the server holds them; ``upload_bytes`` are seeded ciphertexts, half the size."""

    program: str
    sizes: Mapping[str, int]
    parameters: Mapping[str, object]
    counts: Counts
    rotation_lower_bound: int | None
    galois_key_bytes: int
    upload_bytes: int
    download_bytes: int
    weight_bytes: int
    peak_ciphertext_bytes: int

    @property
    def rotation_gap(self) -> int | None:
        """Rotations above the lower bound."""
        if self.rotation_lower_bound is None:
            return None
        return self.counts.rotations - self.rotation_lower_bound

    def to_json(self) -> dict[str, object]:
        """Plain data; keys as in ``cost --json``."""
        values = asdict(self)
        counts = values.pop("counts")
        counts["rescales_by_level"] = {str(k): v for k, v in counts["rescales_by_level"].items()}
        return {**values, **counts, "rotation_gap": self.rotation_gap}
