"""``slotlang synth``: the search with its progress, the table, and the files it writes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.text import Text

from slotlang.cli.calibration import say_where_measured
from slotlang.cli.console import SideBySide
from slotlang.cli.faults import INTERRUPTED, may_stop
from slotlang.cli.lines import print_lines
from slotlang.cli.output import OK, emit_json, report, write_file
from slotlang.cli.progress import watched
from slotlang.cost.link import Link
from slotlang.cost.profile import Profile
from slotlang.diagnostics import error
from slotlang.planning.target import Target
from slotlang.search import kept
from slotlang.search.candidate import Candidate, Found
from slotlang.search.crossover import columns_from
from slotlang.search.report import program_text
from slotlang.search.search import bounds, finalists_for, search
from slotlang.search.structure import Shape
from slotlang.search.weights import GivenWeights
from slotlang.show.front import front_heads, front_lines, front_rows, front_svg
from slotlang.show.quantities import size_text, time_text
from slotlang_runtime.amounts import count_of, field_count


def shape_and_weights(
    d_in: int | None,
    d_out: int | None,
    rank: int | None,
    batch: int,
    adapter: Path | None,
    module: str | None,
    *,
    base_changed: bool,
) -> tuple[Shape, GivenWeights | None]:
    """What is searched for: the shape that is named, or that of an adapter's module, with its weights. Warnings about
    the adapter are shown. Raises SL005, and what reading the adapter raises."""
    sizes = {"--d-in": d_in, "--d-out": d_out, "--rank": rank}
    if adapter is None:
        if module is not None:
            raise error("SL005", "--module needs --adapter")
        missing = [name for name, size in sizes.items() if size is None]
        if d_in is None or d_out is None or rank is None:
            hint = "or --adapter DIR --module NAME, which has the shape"
            raise error("SL005", f"synth needs {', '.join(missing)}", hint=hint)
        return Shape(d_in, d_out, rank, batch), None
    from slotlang.adapter import read_adapter

    found = read_adapter(adapter, base_changed=base_changed)
    if found.warnings:
        report(found.warnings, "warning")
    chosen = found.only() if module is None else found.module(module)
    own = {"--d-in": chosen.d_in, "--d-out": chosen.d_out, "--rank": chosen.rank}
    for name, size in sizes.items():
        if size not in (None, own[name]):
            message = f"{name} is {size}, and module {chosen.name} has {own[name]}"
            raise error("SL005", message, hint=f"leave out {name}: it follows from the module")
    weights = GivenWeights(chosen.name, chosen.up, chosen.down, chosen.scaling)
    return Shape(chosen.d_in, chosen.d_out, chosen.rank, batch), weights


def synthesize(
    found: Found,
    profile: Profile,
    output: Path | None,
    svg: Path | None,
    as_json: bool,
    console: Console,
    *,
    cached: bool = True,
) -> int:
    """Search, or take what was found before and prove it again, print and write; the exit status: 130 when interrupted,
    with the best so far. ``cached``: earlier results may be read, and this one kept."""
    columns = None
    status = OK

    try:
        with may_stop(), watched() as line:

            def improved(best: Candidate) -> None:
                time = time_text(best.latency(found.link) if found.objective == "latency" else best.predicted.server)
                with line.paused():
                    print_lines([f"best so far: {time}, {best.structure.name()}, {best.verdict}"], stderr=True)

            line.fraction("comparing structures", 0.0)
            finalists = finalists_for(found.shape)
            place = kept.folder() if cached else None
            key = kept.question(found, profile, finalists)
            earlier = None if place is None else kept.restore(place, key, found, profile, line.fraction)
            if earlier is not None:
                columns = earlier.columns
            else:
                search(found, profile, line.fraction, improved, finalists=finalists)
                if found.objective == "time":
                    line.fraction("column packing for more tokens", 1.0)
                    columns = columns_from(found.shape, Target(precision=found.precision), profile, found.weights)
                if place is not None:
                    kept.store(place, key, found, columns)
    except KeyboardInterrupt:
        kept_so_far = "what follows is the best so far" if found.candidates else "nothing was found yet"
        print(f"interrupted: {kept_so_far}", file=sys.stderr)
        status = INTERRUPTED
        if not found.candidates:
            return status
    if found.earlier:
        count = len(found.candidates)
        print_lines(
            [f"an earlier search found these {count_of(count, 'program')}; they are proved and costed again"],
            stderr=True,
        )
    best = found.ranked[0]
    program = program_text(found)
    if output is not None:
        write_file(output, program)
    if svg is not None:
        write_file(svg, front_svg(found))
    limits = bounds(best)
    if as_json:
        values: dict[str, Any] = {
            "shape": asdict(found.shape),
            "precision": found.precision,
            "assumed": found.assumed,
            "module": None if found.weights is None else found.weights.name,
            "objective": found.objective,
            "link": None if found.link is None else asdict(found.link),
            "cached": found.earlier > 0,
            "complete": found.complete,
            "compared": found.sketched,
            "proved": len(found.candidates),
            "output": None if output is None else str(output),
            "best": best.to_json(found.link),
            "program": program,
            "bounds": [asdict(b) for b in limits],
            "column_packing_from": columns,
            "pareto": [c.to_json(found.link) for c in found.pareto],
        }
        emit_json("synth", values)
        return status
    console.print(_table(found))
    for part in _request(best, found.link):
        console.print(f"  {part}")
    for bound in limits:
        theorem = f"{bound.theorem} theorem" if bound.proved else "conjectured, not proved"
        least = field_count(bound.at_least, bound.of).replace("plain product", "ciphertext-plaintext product")
        console.print(f"  at least {least} for a group of tokens ({bound.gap_text}; {theorem})")
    if columns is not None:
        tokens = count_of(1, "token") if columns == 1 else f"about {count_of(columns, 'token')}"
        console.print(f"  column packing is the fastest from {tokens} on")
    say_where_measured(profile, console)
    if output is not None:
        console.print(f"\n{output}: {best.structure.name()}, {best.verdict}")
    else:
        print(program, end="")
    return status


def _request(c: Candidate, link: Link | None) -> Iterator[str]:
    """A request by part: what server, client and link take."""
    p = c.predicted
    masks = f"make masks {time_text(p.masking)}, " if p.masking else ""
    evaluated = f"read {time_text(p.reading)}, evaluate {time_text(p.evaluation)}, {masks}write {time_text(p.saving)}"
    yield f"the best: {time_text(p.server)} of the server ({evaluated})"
    client = p.encryption + p.decryption
    yield f"{time_text(client)} of the client (encrypt {time_text(p.encryption)}, decrypt {time_text(p.decryption)})"
    if link is not None:
        sent = f"{size_text(c.upload_bytes)} up and {size_text(c.download_bytes)} down"
        yield f"{time_text(link.seconds(c.upload_bytes, c.download_bytes))} of the link ({sent})"
        yield f"{time_text(c.latency(link))} in all"


def _table(found: Found) -> RenderableType:
    best = found.ranked[0]
    entries = [[Text(cell, "bold green" if c is best else "") for cell in cells] for c, cells in front_rows(found)]
    title, *more = front_lines(found)
    heading = Text.assemble((title, "bold"), f"  {more[0]}\n{more[1]}; the Pareto front, {more[2]}:\n")
    return Group(heading, SideBySide(front_heads(found), entries, left=2, numbered=True))
