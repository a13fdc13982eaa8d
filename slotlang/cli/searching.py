"""Commands that search programs: optimize, synth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slotlang.cli.completion import objective_names
from slotlang.cli.options import (
    AdapterFolder,
    BaseChanged,
    BoundNorms,
    Bounds,
    File,
    Json,
    KeyBytes,
    Precision,
    ProfileFile,
    Sizes,
)
from slotlang.cli.output import OK, guarded, parse_bounds, parse_sizes
from slotlang.cli.reading import parsed_file


def optimize(
    file: File,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File to write; standard output if left out.", show_default=False),
    ] = None,
    objective: Annotated[
        str,
        typer.Option(
            metavar="WHAT",
            help="What to save: time, rotations or keys.",
            autocompletion=objective_names,
        ),
    ] = "time",
    allow_packing: Annotated[
        bool, typer.Option("--allow-packing", help="The client may have to pack inputs and read results otherwise.")
    ] = False,
    precision: Precision = None,
    max_key_bytes: KeyBytes = None,
    set_: Sizes = [],  # noqa: B006
    profile: ProfileFile = None,
    json: Json = False,
) -> None:
    """Rewrite a proved program into a cheaper one that means the same, and prove that."""
    with guarded("optimize", json, reads=[file, profile], writes=[output]):
        from slotlang.cli.calibration import chosen_profile
        from slotlang.cli.optimizing import optimize_file
        from slotlang.optimize.search import objective_named
        from slotlang.planning.target import Target

        chosen, target = objective_named(objective), Target(precision=precision, max_key_bytes=max_key_bytes)
        sizes, times = parse_sizes(set_), chosen_profile(profile)
        parsed = parsed_file(file)
        optimize_file(file, parsed, sizes, output, chosen, target, allow_packing, times, json)


def synth(
    d_in: Annotated[int | None, typer.Option("--d-in", help="Channels of x.", show_default=False)] = None,
    d_out: Annotated[int | None, typer.Option("--d-out", help="Channels of y.", show_default=False)] = None,
    rank: Annotated[int | None, typer.Option(help="Rows of B and columns of A.", show_default=False)] = None,
    adapter: AdapterFolder = None,
    module: Annotated[
        str | None, typer.Option(metavar="NAME", help="The adapter's module, whose shape it is.", show_default=False)
    ] = None,
    base_changed: BaseChanged = False,
    batch: Annotated[int, typer.Option(help="Tokens.")] = 1,
    precision: Annotated[float, typer.Option(help="Largest predicted relative rms error.")] = 1e-3,
    objective: Annotated[
        str,
        typer.Option(
            metavar="WHAT",
            help="time (of the server), latency, rotations, keys or traffic.",
            autocompletion=objective_names,
        ),
    ] = "time",
    link: Annotated[
        str | None, typer.Option(metavar="RATE", help="Of the link, for latency: 100Mbit.", show_default=False)
    ] = None,
    rtt: Annotated[
        str | None, typer.Option(metavar="TIME", help="The link's round trip, for latency: 20ms.", show_default=False)
    ] = None,
    copies: Annotated[int, typer.Option(help="The client may send so many times the ciphertexts of x.")] = 1,
    max_key_bytes: Annotated[int | None, typer.Option(help="Bytes of Galois keys in memory.")] = None,
    max_memory: Annotated[int | None, typer.Option(help="Bytes of keys, weights and ciphertexts at the peak.")] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="The .slot file to write; printed if left out, the table on standard error.",
            show_default=False,
        ),
    ] = None,
    svg: Annotated[Path | None, typer.Option(help="Write a plot of the Pareto front.", show_default=False)] = None,
    profile: ProfileFile = None,
    bound: Bounds = [],  # noqa: B006
    bound_norm: BoundNorms = [],  # noqa: B006
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Search again; read no earlier result, and keep none.")
    ] = False,
    json: Json = False,
) -> None:
    """Search the cheapest schedule, layout and parameters for y = scale * A @ B @ x, and write it as a program."""
    status = OK
    with guarded("synth", json, reads=[profile, adapter], writes=[output, svg]):
        from slotlang.cli.calibration import chosen_profile
        from slotlang.cli.console import console_for_tables
        from slotlang.cli.synthesis import shape_and_weights, synthesize
        from slotlang.cost.link import Link
        from slotlang.planning.target import Target
        from slotlang.search.candidate import Limits, objective_named
        from slotlang.search.report import checked_bounds
        from slotlang.search.search import start

        target = Target(precision=precision, max_key_bytes=max_key_bytes)
        shape, weights = shape_and_weights(d_in, d_out, rank, batch, adapter, module, base_changed=base_changed)
        limits, between = Limits(max_memory, copies), Link.named(link, rtt)
        found = start(shape, objective_named(objective), target, limits)
        found.weights = weights
        found.link = between
        found.bounds = checked_bounds(parse_bounds(bound, bound_norm))
        # without a file the program alone goes to standard output
        out = console_for_tables(stderr=output is None)
        status = synthesize(found, chosen_profile(profile), output, svg, json, out, cached=not no_cache)
    raise typer.Exit(status)
