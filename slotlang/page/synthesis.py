"""``synth`` for the shape of the program on the page: progress, the best so far, and the result as a program."""

from __future__ import annotations

from collections.abc import Iterator
from queue import SimpleQueue
from threading import Thread
from typing import Any

from slotlang.cost.profile import find_profile
from slotlang.diagnostics import SlotError
from slotlang.planning.target import Target
from slotlang.refusals import GaveUp
from slotlang.search import kept
from slotlang.search.candidate import Candidate, Found, Limits, objective_named
from slotlang.search.report import program_text
from slotlang.search.search import bounds, finalists_for, search, start
from slotlang.search.structure import Shape
from slotlang.show.quantities import field_noun, size_text, time_text
from slotlang_runtime.amounts import noun_of

__all__ = ["searched"]


def searched(shape: dict[str, int], precision: float, objective: str) -> Iterator[dict[str, Any]]:
    """Search the cheapest program for a shape. Yields ``what`` and ``done``, from 0 to 1, on the way; ``best``, a row
    of figures and ``program``, a text, whenever a better one was found; at last ``state``: ``done``, or ``failed``
    with a ``problem``. A generator that is left ends with its process alone."""
    told: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
    Thread(target=_search, args=(shape, precision, objective, told), daemon=True).start()
    while (item := told.get()) is not None:
        yield item


def _search(shape: dict[str, int], precision: float, objective: str, told: SimpleQueue[dict[str, Any] | None]) -> None:
    try:
        found = start(Shape(**shape), objective_named(objective), Target(precision=precision), Limits())
        profile, finalists = find_profile(), finalists_for(found.shape)

        def progress(what: str, done: float) -> None:
            told.put({"what": what, "done": round(done, 3)})

        def improved(best: Candidate) -> None:
            told.put(_result(found, best))

        place = kept.folder()
        key = kept.question(found, profile, finalists)
        if place is None or kept.restore(place, key, found, profile, progress) is None:
            search(found, profile, progress, improved, finalists=finalists)
        told.put({**_result(found, found.ranked[0]), "what": "", "done": 1.0, "state": "done"})
    except SlotError as refused:
        first = refused.diagnostics[0]
        hint = f" ({first.hint})" if first.hint else ""
        told.put({"state": "failed", "problem": f"{first.code}: {first.message}{hint}"})
    except GaveUp as gave_up:
        told.put({"state": "failed", "problem": gave_up.reason})
    finally:
        told.put(None)


def _result(found: Found, best: Candidate) -> dict[str, Any]:
    c = best.counts
    rows = [
        (time_text(best.predicted.server), "the server's part of a request, predicted"),
        (f"{c.rotations:,}", noun_of(c.rotations, "rotation")),
        (f"{c.galois_keys:,}", f"{noun_of(c.galois_keys, 'Galois key')}, {size_text(best.key_bytes)}"),
        (f"{c.plain_products:,}", f"{noun_of(c.plain_products, 'product')} with plaintexts"),
        (f"{c.ciphertexts_in:,}", f"{noun_of(c.ciphertexts_in, 'ciphertext')} up, {size_text(best.upload_bytes)}"),
        (
            f"{c.ciphertexts_out:,}",
            f"{noun_of(c.ciphertexts_out, 'ciphertext')} down, {size_text(best.download_bytes)}",
        ),
        (f"{best.error:.1e}", "relative rms error at most, predicted"),
    ]
    limits = [
        {"of": field_noun(b.at_least, b.of), "at_least": b.at_least, "gap": b.gap, "proved": b.proved}
        for b in (bounds(best) if found.complete else ())
    ]
    return {
        "best": {"name": best.structure.name(), "verdict": best.verdict, "rows": rows, "bounds": limits},
        "program": program_text(found),
    }
