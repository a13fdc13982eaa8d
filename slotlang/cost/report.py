"""Counts, bytes and bounds of a graph in one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from slotlang.cost.counts import Counts
from slotlang.cost.predict import Prediction
from slotlang.cost.theorems import Bound


@dataclass(frozen=True)
class Cost:
    """What a program costs under parameters.

    ``galois_key_bytes``, ``weight_bytes`` and ``peak_ciphertext_bytes`` are residue words, as the server holds
    them. ``evaluation_key_bytes``, ``upload_bytes`` and ``download_bytes`` are what is sent, as SEAL saves it
    and without headers: keys and uploads are seeded, so half the size. ``rotation_lower_bound`` is None where
    the layout is too large to tell. ``bounds``: this one and every other that speaks of the program.
    ``predicted_error``: relative rms error that a run on random data does not exceed. ``products``: whether ciphertexts
    are multiplied by "seal" or as a "matrix", whose ``weight_bytes`` are those of its coefficients.
    """

    program: str
    sizes: Mapping[str, int]
    parameters: Mapping[str, object]
    counts: Counts
    rotation_lower_bound: int | None
    bounds: tuple[Bound, ...]
    galois_key_bytes: int
    evaluation_key_bytes: int
    upload_bytes: int
    download_bytes: int
    weight_bytes: int
    peak_ciphertext_bytes: int
    predicted: Prediction
    predicted_error: float
    products: str

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
        values["predicted"] = self.predicted.to_json()
        counts["rescales_by_level"] = {str(k): v for k, v in counts["rescales_by_level"].items()}
        bounds = [dict(bound) for bound in values.pop("bounds")]
        return {**values, **counts, "rotation_gap": self.rotation_gap, "bounds": bounds}
