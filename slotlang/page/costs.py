"""Costs and bounds as rows of a table."""

from __future__ import annotations

from typing import Any

from slotlang.cost.report import Cost
from slotlang.show.quantities import size_text, time_text

__all__ = ["cost_rows"]


def cost_rows(cost: Cost) -> dict[str, Any]:
    """``rows``: number and noun of each count, size and predicted time; ``bounds``: what is at least needed, with the
    gap; ``parameters`` and ``range`` in words."""
    c, times = cost.counts, cost.predicted
    rows: list[tuple[str, str]] = [
        (f"{c.rotations:,}", "rotations"),
        (f"{c.key_switches:,}", "key switches"),
        (f"{c.galois_keys:,}", f"Galois keys, {size_text(cost.galois_key_bytes)}"),
        (f"{c.hoistable:,}", "rotations that share an operand (hoistable)"),
        (f"{c.plain_products:,}", "products with plaintexts"),
        (f"{c.plaintexts:,}", f"plaintexts, {size_text(cost.weight_bytes)}"),
        (f"{c.cipher_products:,}", "products of ciphertexts"),
        (f"{c.additions:,}", "additions"),
        (f"{c.rescales:,}", "rescales"),
        (f"{c.depth:,}", "products in a row"),
        (f"{c.ciphertexts_in:,}", f"ciphertexts up, {size_text(cost.upload_bytes)}, seeded"),
        (f"{c.ciphertexts_out:,}", f"ciphertexts down, {size_text(cost.download_bytes)}"),
        (f"{c.peak_ciphertexts:,}", f"ciphertexts alive at the peak, {size_text(cost.peak_ciphertext_bytes)}"),
        (time_text(times.evaluation), f"to evaluate on one thread, predicted by the profile {times.profile}"),
        (time_text(times.server), "the server's part of a request, predicted"),
    ]
    if cost.promise is not None:
        rows.append((f"{cost.predicted_error:.1e}", f"relative rms error at most, predicted {cost.promise.about}"))
    bounds = [
        {
            "of": bound.of.replace("_", " "),
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
        _many(counts.rotations, "rotation") + limits.get("rotations", ""),
        f"{_many(counts.galois_keys, 'key')} of {size_text(cost.galois_key_bytes)}",
        _many(counts.plain_products, "product") + limits.get("plain_products", ""),
        f"{time_text(cost.predicted.evaluation)} to evaluate",
        f"degree {cost.parameters.get('degree', '')}",
    ]
    if cost.promise is not None:
        parts.append(f"error at most {cost.predicted_error:.1e}")
    return ", ".join(parts)


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []
