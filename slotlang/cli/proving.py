"""Commands that prove: check, recheck."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slotlang.cli.completion import method_names
from slotlang.cli.options import BoundNorms, Bounds, Files, Json, Sizes
from slotlang.cli.output import OK, emit_json, guarded, parse_bounds, parse_names, parse_sizes
from slotlang.cli.progress import counted
from slotlang.diagnostics import error, pick


def check(
    files: Files,
    set_: Sizes = [],  # noqa: B006
    method: Annotated[
        str,
        typer.Option(
            metavar="METHOD",
            help="auto, polyhedral, exact, or random, which never proves.",
            autocompletion=method_names,
        ),
    ] = "auto",
    seed: Annotated[int | None, typer.Option(help="Seed of the random method.", show_default=False)] = None,
    svg: Annotated[Path | None, typer.Option(help="Write a drawing of what is wrong, if something is.")] = None,
    certificate: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write the certificate of a proved program, for `recheck`.")
    ] = None,
    for_all: Annotated[
        str | None,
        typer.Option("--for-all", metavar="NAMES", help="Prove for every value of these sizes: d,r or all."),
    ] = None,
    bound: Bounds = [],  # noqa: B006
    bound_norm: BoundNorms = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Prove programs, or show the slot that is wrong. Exit status 0 only when all are proved."""
    from slotlang.cli.verdicts import check_file, print_line, print_verdict, programs_in, write_certificate

    status = OK
    with guarded("check", json, reads=files, writes=[svg, certificate]):
        from slotlang.proof.check import METHODS

        chosen = pick(method, METHODS, "SL005", "method", "methods")
        if seed is not None and seed < 0:
            raise error("SL005", "--seed must not be negative")
        sizes, bounds = parse_sizes(set_), parse_bounds(bound, bound_norm)
        programs = [program for path in files for program in programs_in(path, sizes)]
        if svg is not None and len(programs) > 1:
            raise error("SL005", f"--svg draws one program, and {len(programs)} are given")
        if certificate is not None and len(programs) > 1:
            raise error("SL005", "--certificate takes one program")
        open_sizes = None if for_all is None else parse_names(for_all)
        if open_sizes is not None and chosen != "auto":
            raise error("SL723", "--for-all picks its method", hint="drop --method")
        if open_sizes is not None and certificate is not None:
            raise error(
                "SL723",
                "--certificate is of a proof at given sizes, and --for-all proves all of them at once",
                hint="drop --for-all, and give sizes with --set",
            )
        results = []
        with counted("proving", len(programs)) as step:
            for path, own in programs:
                only = len(programs) == 1
                results.append(step(check_file, path, own, chosen, seed, open_sizes, bounds, repair=only))
                if not json:
                    with step.line.paused():
                        (print_verdict if only else print_line)(results[-1])
        status = max(r.exit_status for r in results)
        if svg is not None and results[0].refuted:
            from slotlang.cli.refuted import write_svg

            write_svg(svg, *results[0].refuted, results[0].loss)
        written = certificate is not None and write_certificate(certificate, results[0], quiet=json)
        if json:
            made = str(certificate) if written else None
            emit_json("check", {"files": [r.to_json() for r in results], "certificate": made})
    raise typer.Exit(status)


def recheck(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A certificate of `check`.", show_default=False)],
    json: Json = False,
) -> None:
    """Re-check a certificate without the prover. Exit status 0 when it holds, 1 when it is rejected."""
    status = OK
    with guarded("recheck", json):
        from slotlang.cli.verdicts import recheck_file

        status = recheck_file(file, json=json)
    raise typer.Exit(status)
