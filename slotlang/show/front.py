"""What a search has found, as rows of a table and as a drawing: time against key bytes, traffic and error, the Pareto
front numbered."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from slotlang.search.candidate import Candidate, Found
from slotlang.show.axis import Axis
from slotlang.show.canvas import INK, PALE, Canvas
from slotlang.show.colours import NEUTRAL, spectrum
from slotlang.show.quantities import size_text, time_text
from slotlang_runtime.amounts import count_of, noun_of

__all__ = ["front_heads", "front_lines", "front_rows", "front_svg"]

WIDTH, HEIGHT, GAP, LEFT, TOP = 330, 260, 84, 84, 108
RADIUS = 9


def front_lines(found: Found) -> list[str]:
    """In words: the shape; what was asked for; how much was looked at; what the table is sorted by."""
    shape, best = found.shape, found.ranked[0]
    worked = f"{found.earlier} by an earlier search and {len(found.candidates)} now" if found.earlier else found.worked
    tokens = count_of(shape.batch, "token")
    return [
        f"{shape.d_in} to {shape.d_out} {noun_of(shape.d_out, 'channel')}, rank {shape.rank}, {tokens}",
        f"precision {found.precision:g}, least {found.objective}; errors are predicted {found.about}",
        f"{count_of(found.sketched, 'structure')} compared, {worked} proved and costed"
        f"{'' if found.complete else ', interrupted'}",
        f"by predicted time ({best.predicted.profile})",
    ]


def front_heads(found: Found) -> tuple[str, ...]:
    """Heads of the columns that ``front_rows`` has."""
    time = "latency" if found.objective == "latency" else "server"
    names = ("structure", "parameters", "tokens", time, "rotations", "keys", "key memory", "products", "up", "down")
    return (*names, "error")


def front_rows(found: Found) -> list[tuple[Candidate, tuple[str, ...]]]:
    """The Pareto front, by time, with the best before it where it is not on it."""
    best, front = found.ranked[0], found.pareto
    rows: list[tuple[Candidate, tuple[str, ...]]] = []
    for c in front if best in front else [best, *front]:
        parameters = f"{c.parameters.degree}: {','.join(map(str, c.parameters.primes))}"
        cells = (
            c.structure.name() + ("" if c.unrolled else " (by formula)"),
            parameters + (f", {c.parameters.rescales()}" if c.parameters.drops or c.parameters.cut else ""),
            str(c.structure.held),
            time_text(c.latency(found.link) if found.objective == "latency" else c.predicted.server),
            str(c.counts.key_switches),
            str(c.counts.galois_keys),
            size_text(c.key_bytes),
            f"{c.counts.plain_products:,}",
            f"{c.counts.ciphertexts_in}, {size_text(c.upload_bytes)}",
            f"{c.counts.ciphertexts_out}, {size_text(c.download_bytes)}",
            f"{c.error:.1e}",
        )
        rows.append((c, cells))
    return rows


def front_svg(result: Found) -> str:
    """A document with a panel for each measure that stands against time; both axes logarithmic."""
    shape, pareto = result.shape, result.pareto
    title = (
        f"{shape.d_in} to {shape.d_out} {noun_of(shape.d_out, 'channel')}, rank "
        f"{shape.rank}, {count_of(shape.batch, 'token')}"
    )
    canvas = Canvas("front")
    canvas.text(28, 40, f"Schedules for {title}", 20, bold=True)
    about = f"{result.sketched:,} compared, {len(result.candidates)} proved and costed, numbers as in the table"
    canvas.text(28, 62, f"{about}; precision {result.precision:g}; pale: another is as good in everything", 12.5, PALE)
    panels: list[tuple[str, Callable[[Candidate], float]]] = [
        ("Galois keys, MB", lambda c: c.key_bytes / 1e6),
        ("bytes up and down, MB", lambda c: c.traffic_bytes / 1e6),
        ("relative error", lambda c: c.error),
    ]
    for n, (name, measure) in enumerate(panels):
        _panel(canvas, LEFT + n * (WIDTH + GAP), result, pareto, name, measure)
    x: float = LEFT
    for slots in sorted({c.structure.slots for c in pareto}):
        canvas.circle(x + RADIUS, TOP + HEIGHT + 62, RADIUS, _colour(slots), count_of(slots, "slot"))
        canvas.text(x + 2 * RADIUS + 8, TOP + HEIGHT + 66, count_of(slots, "slot"), 12, PALE)
        x += 120
    width = LEFT + 3 * WIDTH + 2 * GAP + 28
    return canvas.finish(width, TOP + HEIGHT + 88, f"Pareto front: {title}", f"{about}.")


def _panel(
    canvas: Canvas,
    left: float,
    result: Found,
    pareto: Sequence[Candidate],
    name: str,
    measure: Callable[[Candidate], float],
) -> None:
    candidates, latency = result.candidates, result.objective == "latency"

    def seconds(c: Candidate) -> float:
        return c.latency(result.link) if latency else c.predicted.server

    across = Axis([1e3 * seconds(c) for c in candidates], left, left + WIDTH)
    up = Axis([measure(c) for c in candidates], TOP + HEIGHT, TOP)
    canvas.text(left, TOP - 16, name, 13, INK, bold=True)
    for value, place in across.ticks():
        canvas.line(place, TOP, place, TOP + HEIGHT)
        canvas.text(place, TOP + HEIGHT + 18, f"{value:g}", 11, PALE, anchor="middle")
    for value, place in up.ticks():
        canvas.line(left, place, left + WIDTH, place)
        canvas.text(left - 8, place + 4, f"{value:g}", 11, PALE, anchor="end")
    canvas.text(
        left + WIDTH / 2,
        TOP + HEIGHT + 38,
        f"{'latency' if latency else 'server'}, ms, predicted",
        12,
        PALE,
        anchor="middle",
    )
    numbers = {id(c): n for n, c in enumerate(pareto, 1)}
    # the fastest on top
    for c in sorted(candidates, key=lambda c: -numbers.get(id(c), len(numbers) + 1)):
        x, y = across.place(1e3 * seconds(c)), up.place(measure(c))
        tip = f"{c.structure.name()}: {1e3 * seconds(c):.3g} ms, {name} {measure(c):.3g}"
        if id(c) not in numbers:
            canvas.circle(x, y, RADIUS / 2, NEUTRAL, tip, stroke=PALE)
            continue
        canvas.circle(x, y, RADIUS, _colour(c.structure.slots), tip)
        canvas.text(x, y + 4, str(numbers[id(c)]), 11, INK, anchor="middle")


def _colour(slots: int) -> str:
    """The colour of a ring's candidates."""
    return spectrum((slots.bit_length() % 6) / 6)
