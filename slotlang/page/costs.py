"""Costs and bounds as rows of a table."""

from __future__ import annotations

from typing import Any

from slotlang.cost.report import Cost

__all__ = ["cost_rows"]


def _bytes(count: int) -> str:
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} bytes"


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 10 else f"{1000 * seconds:.1f} ms"


def cost_rows(cost: Cost) -> dict[str, Any]:
    """``rows``: number and noun of each count, size and predicted time; ``bounds``: what is at least needed, with the
    gap; ``parameters`` and ``range`` in words."""
    c, times = cost.counts, cost.predicted
    rows: list[tuple[str, str]] = [
        (f"{c.rotations:,}", "rotations"),
        (f"{c.key_switches:,}", "key switches"),
        (f"{c.galois_keys:,}", f"Galois keys, {_bytes(cost.galois_key_bytes)}"),
        (f"{c.hoistable:,}", "rotations that share an operand (hoistable)"),
        (f"{c.plain_products:,}", "products with plaintexts"),
        (f"{c.plaintexts:,}", f"plaintexts, {_bytes(cost.weight_bytes)}"),
        (f"{c.cipher_products:,}", "products of ciphertexts"),
        (f"{c.additions:,}", "additions"),
        (f"{c.rescales:,}", "rescales"),
        (f"{c.depth:,}", "products in a row"),
        (f"{c.ciphertexts_in:,}", f"ciphertexts up, {_bytes(cost.upload_bytes)}, seeded"),
        (f"{c.ciphertexts_out:,}", f"ciphertexts down, {_bytes(cost.download_bytes)}"),
        (f"{c.peak_ciphertexts:,}", f"ciphertexts alive at the peak, {_bytes(cost.peak_ciphertext_bytes)}"),
        (_time(times.evaluation), f"to evaluate on one thread, predicted by the profile {times.profile}"),
        (_time(times.server), "the server's part of a request, predicted"),
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
        "rows": rows,
        "bounds": bounds,
        "parameters": str(cost.parameters.get("degree", "")),
        "primes": [str(p) for p in _listed(cost.parameters.get("primes"))],
        "range": cost.range_text,
        "steps": list(cost.rotation_steps),
    }


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []
