"""Counts, bytes and bounds of a graph in one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from slotlang.cost.counts import Counts
from slotlang.cost.predict import Prediction
from slotlang.cost.promise import Promise
from slotlang.cost.theorems import Bound
from slotlang.displayed import Pictured
from slotlang_runtime.amounts import count_of


@dataclass(frozen=True)
class Cost(Pictured):
    """What a program costs under parameters.

    ``galois_key_bytes``, ``weight_bytes`` and ``peak_ciphertext_bytes`` are residue words, as the server holds
    them. ``evaluation_key_bytes``, ``upload_bytes`` and ``download_bytes`` are what is sent: residues in the bits of
    their primes, without headers. Keys and uploads are seeded, so half the size. ``rotation_lower_bound`` is None where
    the layout is too large to tell. ``bounds``: this one and every other that speaks of the program.
    ``predicted_error``: relative rms error that a run is expected not to exceed; ``promise``: on which data, and the
    absolute error of each result. ``kernel``: what
    multiplies ciphertexts with plaintexts; with "matrix" ``weight_bytes`` are those of the coefficients.
    ``parameters_from``: the plan's origin, and ``parameters_note`` in words where there is something to say. ``range``:
    the plan's range theorem, as data and in words. ``compact_weight_bytes``: of the weights in their compact form,
    where there is one; ``expanding``: seconds by which an evaluation with them takes longer. ``rotation_steps``: slots
    by which ciphertexts are rotated, each with a Galois key; ``composed_rotations``: the program's other steps, each
    with those it is composed of.
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
    kernel: str
    parameters_from: str = "fixed"
    parameters_note: str = ""
    range: Mapping[str, object] = field(default_factory=dict)
    range_text: str = ""
    promise: Promise | None = None
    compact_weight_bytes: int | None = None
    expanding: float | None = None
    rotation_steps: tuple[int, ...] = ()
    composed_rotations: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

    def __repr__(self) -> str:
        c, ms = self.counts, 1e3 * self.predicted.evaluation
        return (
            f"<Cost {self.program}: {count_of(c.rotations, 'rotation')}, "
            f"{count_of(c.galois_keys, 'Galois key')}, {ms:.3g} ms predicted>"
        )

    @property
    def rotation_gap(self) -> int | None:
        """Rotations above the lower bound."""
        if self.rotation_lower_bound is None:
            return None
        return self.counts.rotations - self.rotation_lower_bound

    def to_json(self) -> dict[str, object]:
        """Plain data; keys as in ``cost --json``."""
        return {
            "program": self.program,
            "sizes": dict(self.sizes),
            "parameters": dict(self.parameters),
            "parameters_from": self.parameters_from,
            "kernel": self.kernel,
            "counts": self.counts.to_json(),
            "rotation_steps": list(self.rotation_steps),
            "composed_rotations": {str(step): list(route) for step, route in self.composed_rotations.items()},
            "galois_key_bytes": self.galois_key_bytes,
            "evaluation_key_bytes": self.evaluation_key_bytes,
            "upload_bytes": self.upload_bytes,
            "download_bytes": self.download_bytes,
            "weight_bytes": self.weight_bytes,
            "compact_weight_bytes": self.compact_weight_bytes,
            "expanding_seconds": self.expanding,
            "peak_ciphertext_bytes": self.peak_ciphertext_bytes,
            "predicted": self.predicted.to_json(),
            "predicted_error": self.predicted_error,
            "promise": None if self.promise is None else self.promise.to_json(),
            "rotation_lower_bound": self.rotation_lower_bound,
            "rotation_gap": self.rotation_gap,
            "bounds": [asdict(bound) for bound in self.bounds],
            "range": dict(self.range),
        }
