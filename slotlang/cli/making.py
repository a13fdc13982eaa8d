"""Commands that make modules and run them: lower, run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slotlang.cli.options import (
    AdapterFolder,
    BaseChanged,
    BoundNorms,
    Bounds,
    DataFile,
    File,
    GivenParameters,
    Hiding,
    Json,
    KernelOption,
    KeyBytes,
    Modules,
    Precision,
    Sizes,
    WireOption,
)
from slotlang.cli.output import FAILED, OK, emit_json, guarded, parse_bounds, parse_sizes, write_file
from slotlang.cli.progress import working
from slotlang.cli.reading import given_parameters, known, parsed_file, with_bounds
from slotlang.diagnostics import error
from slotlang.files import path_text
from slotlang_runtime.amounts import field_count

if TYPE_CHECKING:
    from slotlang.lower import Lowered

MOST_SECONDS = 120.0
"""A run of all tokens of a file that is predicted to take longer has to be asked for, with --tokens or --yes."""


def lower(
    file: File,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The Python file to write.")] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="A new folder for the module and the runtime: it needs tenseal and numpy only.")
    ] = None,
    standalone: Annotated[
        bool, typer.Option("--standalone", help="One file of direct TenSEAL calls, without the runtime.")
    ] = False,
    set_: Sizes = [],  # noqa: B006
    unproved: Annotated[bool, typer.Option("--unproved", help="Lower what is not proved, and say so in it.")] = False,
    hide: Hiding = "mask",
    kernel: KernelOption = "auto",
    wire: WireOption = "slotlang",
    adapter: AdapterFolder = None,
    module: Modules = [],  # noqa: B006
    base_changed: BaseChanged = False,
    data: DataFile = None,
    precision: Precision = None,
    max_key_bytes: KeyBytes = None,
    parameters: GivenParameters = None,
    bound: Bounds = [],  # noqa: B006
    bound_norm: BoundNorms = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Emit a module that runs a proved program with TenSEAL: a client, a server and a main."""
    with guarded("lower", json, reads=[file, data, adapter], writes=[output]):
        from slotlang.lower import lower as lower_program
        from slotlang.lower import write_bundle
        from slotlang.planning.target import Target

        if standalone and wire != "slotlang":
            raise error("SL005", "a standalone module sends nothing, so that --wire does not go with --standalone")
        if (output is None) == (bundle is None) or (bundle and standalone):
            raise error("SL005", "lower takes --output FILE or --bundle DIR, and --standalone with --output only")
        target = Target.named(kernel, hide, precision, max_key_bytes, wire)
        given = given_parameters(parameters, precision)
        program, target = known(
            file, set_, parse_bounds(bound, bound_norm), target, adapter, module, base_changed, data
        )
        with working("proving, lowering and validating") as line:
            made = lower_program(
                program, given, unproved=unproved, target=target, standalone=standalone, progress=line.step
            )
        range_ = made.range
        if target.data.weights and not standalone:
            from slotlang.run.exact_range import exact_range
            from slotlang.run.given import Source

            range_ = exact_range(made, target, Source(adapter, module, base_changed, data))
        if output is not None:
            write_file(output, made.text)
        files = write_bundle(made, bundle) if bundle is not None else [output]
        if json:
            emit_json(
                "lower",
                {
                    "file": path_text(file),
                    "output": str(output or bundle),
                    "files": [str(path) for path in files],
                    "standalone": standalone,
                    "verdict": made.report.status,
                    "method": made.report.method,
                    "parameters": made.plan.parameters.to_json(),
                    "parameters_from": made.plan.origin,
                    "bounds": [b.to_json() for b in program.bounds],
                    "range": range_.to_json(),
                    "hide": made.plan.hiding.mode,
                    "kernel": made.plan.kernel,
                    "counts": made.plan.counts.to_json(),
                    "predicted_error": made.plan.promise.relative_error,
                    "promise": made.plan.promise.to_json(),
                    "validation": made.validation.to_json(),
                },
            )
        else:
            from slotlang.cli.lines import print_lines

            print_lines(_lowered_lines(made, program.name, str(output or bundle), range_.line(), standalone=standalone))


def _lowered_lines(made: Lowered, name: str, path: str, range_: str, *, standalone: bool) -> list[str]:
    """What is said of a module that was written to ``path``."""
    plan = made.plan
    counts = ", ".join(field_count(v, k) for k, v in plan.counts.executed().items())
    lines = [f"{path}: {name}, {made.report.status} by the {made.report.method} method"]
    lines += [f"  {text}" for text in (plan.used, plan.promise.sentence, range_, counts)]
    if made.validation.status == "proved":
        lines.append("  validated: the module computes what the program says")
    else:
        lines.append(f"  not validated: {made.validation.what}")
    if plan.kernel != "seal":
        how = "by matrix products" if plan.kernel == "matrix" else "by compiled kernels"
        lines.append(f"  evaluated {how} over residues (--kernel seal: by SEAL's operations)")
    if not standalone:
        lines.append(f"  {plan.hiding.sentence()}")
    return lines


def run(
    file: File,
    set_: Sizes = [],  # noqa: B006
    adapter: Annotated[Path | None, typer.Option(help="A PEFT adapter folder.")] = None,
    module: Modules = [],  # noqa: B006
    base_changed: BaseChanged = False,
    data: Annotated[
        Path | None, typer.Option(help="A .npz file with the program's inputs, weights and scalars by name.")
    ] = None,
    activations: Annotated[
        Path | None, typer.Option(help="A .npy, .npz or .safetensors file, a token per row.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Write results: .npy, or .npz for several by name.", show_default=False),
    ] = None,
    equalize: Annotated[
        Path | None,
        typer.Option(
            help="Divide channels of the input by powers of two: a .json of exponents, or sample activations."
        ),
    ] = None,
    tokens: Annotated[
        int | None, typer.Option(metavar="N", help="How many tokens, in as many evaluations as they need.")
    ] = None,
    workers: Annotated[int, typer.Option(metavar="N", help="Threads that share the evaluations.")] = 1,
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep encoded weights in this folder for the next run.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Run all tokens of a file, even if that takes more than two minutes.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of random inputs and weights.")] = 0,
    unproved: Annotated[bool, typer.Option("--unproved", help="Run what is not proved.")] = False,
    hide: Hiding = "mask",
    kernel: KernelOption = "auto",
    wire: WireOption = "slotlang",
    precision: Precision = None,
    max_key_bytes: KeyBytes = None,
    parameters: GivenParameters = None,
    bound: Bounds = [],  # noqa: B006
    bound_norm: BoundNorms = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Prove, lower, encrypt, evaluate, decrypt, and compare with numpy."""
    status = OK
    with guarded("run", json, reads=[file, data, activations, equalize, adapter], writes=[output]):
        if seed < 0:
            raise error("SL005", "--seed must not be negative")
        for option, value in (("--workers", workers), ("--tokens", tokens)):
            if value is not None and value < 1:
                raise error("SL005", f"{option} must be at least 1, not {value}")
        from slotlang.cli.running import watched
        from slotlang.planning.target import Target
        from slotlang.run.session import run as run_program

        target = Target.named(kernel, hide, precision, max_key_bytes, wire)
        given = given_parameters(parameters, precision)
        with watched() as progress:
            session = run_program(
                with_bounds(parsed_file(file), parse_bounds(bound, bound_norm)),
                parse_sizes(set_),
                adapter=adapter,
                modules=module,
                base_changed=base_changed,
                data=data,
                activations_file=activations,
                output=output,
                equalize=equalize,
                seed=seed,
                parameters=given,
                target=target,
                unproved=unproved,
                tokens=tokens,
                workers=workers,
                cache=cache,
                progress=progress,
                most_seconds=None if yes else MOST_SECONDS,
            )
        from slotlang.cli.running import say

        say(session, output, json)
        status = OK if session.report.passed else FAILED
    raise typer.Exit(status)
