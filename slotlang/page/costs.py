"""Costs and bounds as rows of a table."""

from __future__ import annotations

from typing import Any

from slotlang.cost.report import Cost
from slotlang.show.quantities import field_noun, size_text, time_text
from slotlang_runtime.amounts import count_of, noun_of

__all__ = ["cost_rows"]


def cost_rows(cost: Cost) -> dict[str, Any]:
    """``rows``: number and noun of each count, size and predicted time; ``bounds``: what is at least needed, with the
    gap; ``parameters`` and ``range`` in words."""
    c, times = cost.counts, cost.predicted
    rows: list[tuple[str, str]] = [
        (f"{c.rotations:,}", noun_of(c.rotations, "rotation")),
        (f"{c.key_switches:,}", noun_of(c.key_switches, "key switch")),
        (f"{c.galois_keys:,}", f"{noun_of(c.galois_keys, 'Galois key')}, {size_text(cost.galois_key_bytes)}"),
        (f"{c.hoistable:,}", "rotations that share an operand (hoistable)"),
        (f"{c.plain_products:,}", f"{noun_of(c.plain_products, 'product')} with plaintexts"),
        (f"{c.plaintexts:,}", f"{noun_of(c.plaintexts, 'plaintext')}, {size_text(cost.weight_bytes)}"),
        (f"{c.cipher_products:,}", f"{noun_of(c.cipher_products, 'product')} of ciphertexts"),
        (f"{c.additions:,}", noun_of(c.additions, "addition")),
        (f"{c.rescales:,}", noun_of(c.rescales, "rescale")),
        (f"{c.depth:,}", f"{noun_of(c.depth, 'product')} in a row"),
        (
            f"{c.ciphertexts_in:,}",
            f"{noun_of(c.ciphertexts_in, 'ciphertext')} up, {size_text(cost.upload_bytes)}, seeded",
        ),
        (
            f"{c.ciphertexts_out:,}",
            f"{noun_of(c.ciphertexts_out, 'ciphertext')} down, {size_text(cost.download_bytes)}",
        ),
        (
            f"{c.peak_ciphertexts:,}",
            f"{noun_of(c.peak_ciphertexts, 'ciphertext')} alive at the peak, {size_text(cost.peak_ciphertext_bytes)}",
        ),
        (time_text(times.evaluation), f"to evaluate on one thread, predicted by the profile {times.profile}"),
        (time_text(times.server), "the server's part of a request, predicted"),
    ]
    if cost.promise is not None:
        rows.append((f"{cost.predicted_error:.1e}", f"relative rms error at most, predicted {cost.promise.about}"))
    bounds = [
        {
            "of": field_noun(bound.at_least, bound.of),
            "at_least": bound.at_least,
            "gap": bound.gap,
            "theorem": f"{bound.theorem} theorem" if bound.proved else "conjectured, not proved",
            "among": bound.among,
        }
        for bound in cost.bounds
    ]
    return {
        "line": _line(cost),
        "rows": rows,
        "bounds": bounds,
        "parameters": str(cost.parameters.get("degree", "")),
        "primes": [str(p) for p in _listed(cost.parameters.get("primes"))],
        "range": cost.range_text,
        "steps": list(cost.rotation_steps),
    }


def _line(cost: Cost) -> str:
    """What matters most, in one line."""
    # of several the tightest one; one that a wrong program is below says nothing
    proved = sorted((b for b in cost.bounds if b.proved and b.gap >= 0), key=lambda b: b.at_least)
    limits = {b.of: f" (at least {b.at_least:,}, a gap of {b.gap:,})" for b in proved}
    counts = cost.counts
    parts = [
        count_of(counts.rotations, "rotation") + limits.get("rotations", ""),
        f"{count_of(counts.galois_keys, 'key')} of {size_text(cost.galois_key_bytes)}",
        count_of(counts.plain_products, "product") + limits.get("plain_products", ""),
        f"{time_text(cost.predicted.evaluation)} to evaluate",
        f"degree {cost.parameters.get('degree', '')}",
    ]
    if cost.promise is not None:
        parts.append(f"error at most {cost.predicted_error:.1e}")
    return ", ".join(parts)


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []
