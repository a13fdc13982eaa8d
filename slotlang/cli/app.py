"""Commands. Each imports what it needs when it runs, so that ``slotlang check`` starts fast."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slotlang.cli.adapters import adapter_app
from slotlang.cli.once import OnceCommand
from slotlang.cli.output import (
    BAD_INPUT,
    FAILED,
    OK,
    emit_json,
    guarded,
    parse_bounds,
    parse_names,
    parse_sizes,
    write_file,
)
from slotlang.cli.usage import run_app
from slotlang.diagnostics import EXPLANATIONS, closest, error, pick

if TYPE_CHECKING:
    from rich.console import Console

    from slotlang.meaning.program import Program
    from slotlang.planning.parameters import Parameters
    from slotlang.planning.target import Target
    from slotlang.syntax import tree

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A language for CKKS slot layouts: programs are proved, counted, lowered to TenSEAL and run encrypted. "
    "Exit status: 0 fine, 1 not proved or a run that failed, 2 bad input.",
)

Sizes = Annotated[list[str], typer.Option("--set", metavar="NAME=N", help="Give a size another value; repeatable.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON; docs/json.md has the shapes.")]
ProfileFile = Annotated[
    Path | None,
    typer.Option("--profile", help="Measured times to predict by: what calibrate wrote.", show_default=False),
]
Hiding = Annotated[
    str,
    typer.Option(
        "--hide",
        metavar="HOW",
        help="How results keep to themselves what is no result: mask (random plaintexts), exact (conjugates), or none.",
    ),
]
KernelOption = Annotated[
    str,
    typer.Option(
        "--kernel",
        metavar="HOW",
        help="What multiplies ciphertexts: seal, fused (sums in one pass), matrix (without rotations), or auto.",
    ),
]
Precision = Annotated[
    float | None,
    typer.Option(
        "--precision",
        metavar="P",
        help="Search the fastest parameters with this relative rms error.",
        show_default=False,
    ),
]
KeyBytes = Annotated[
    int | None,
    typer.Option("--max-key-bytes", metavar="N", help="Most bytes of keys, with --precision.", show_default=False),
]
Bounds = Annotated[
    list[str],
    typer.Option(
        "--bound",
        metavar="NAME=LIMIT",
        help="Assume that no element of an input, a weight or a scalar is larger: x=8, A=1/64; repeatable.",
    ),
]
BoundNorms = Annotated[
    list[str],
    typer.Option(
        "--bound-norm",
        metavar="NAME=LIMIT",
        help="Assume that no Euclidean norm is larger: of a token of an input (over axis 0), of a row of a weight "
        "(over its last axis); B[:, j]=2 names another; repeatable.",
    ),
]
GivenParameters = Annotated[
    str | None,
    typer.Option(
        "--parameters",
        metavar="TEXT",
        help='These and no others: "degree 8192 primes 60,60,60 scales 36", as in a program\'s own statement.',
        show_default=False,
    ),
]
AdapterFolder = Annotated[
    Path | None, typer.Option(help="A PEFT adapter folder: its weights are what errors are predicted for.")
]
Modules = Annotated[
    list[str],
    typer.Option(metavar="[RESULT=]NAME", help="The adapter's module; one for each result, or a layer's path."),
]
BaseChanged = Annotated[
    bool, typer.Option("--base-changed", help="The base was changed as the adapter needs it (SL520).")
]
DataFile = Annotated[
    Path | None,
    typer.Option(help="A .npz file with weights and scalars by name, and inputs: errors are predicted for these."),
]
Symbolic = Annotated[bool, typer.Option("--symbolic", help="Formulas in the program's sizes, and where they hold.")]
File = Annotated[
    Path, typer.Argument(metavar="FILE", help="A .slot program; FILE:name, of several in it.", show_default=False)
]
Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help=".slot programs.", show_default=False)]


MOST_SECONDS = 120.0
"""A run of all tokens of a file that is predicted to take longer has to be asked for, with --tokens or --yes."""


def _version(wanted: bool) -> None:
    if wanted:
        from slotlang import __version__

        print(f"slotlang {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of slotlang itself."""


def _parsed(path: Path) -> tree.Program:
    from slotlang.syntax.parser import parse
    from slotlang.syntax.program_file import read_program

    return parse(read_program(path))


def _loaded(path: Path, sizes: list[str], bounds: dict[str, str] | None = None) -> Program:
    from slotlang.meaning.bind import bind

    return bind(_bounded(_parsed(path), bounds or {}), parse_sizes(sizes))


def _known(
    path: Path,
    sizes: list[str],
    bounds: dict[str, str],
    target: Target,
    adapter: Path | None,
    modules: list[str],
    base_changed: bool,
    data: Path | None,
) -> tuple[Program, Target]:
    """The program, and the target with the weights of an adapter or a file; warnings about an adapter are shown."""
    if adapter is None and data is None and not modules:
        return _loaded(path, sizes, bounds), target
    from dataclasses import replace

    from slotlang.cli.output import report
    from slotlang.run.given import Source, given

    source = Source(adapter, modules, base_changed, data)
    found = given(_bounded(_parsed(path), bounds), parse_sizes(sizes), source, inputs="optional")
    if found.adapter is not None and found.adapter.warnings:
        report(found.adapter.warnings, "warning")
    return found.program, replace(target, data=found.powers)


def _bounded(syntax: tree.Program, bounds: dict[str, str]) -> tree.Program:
    if not bounds:
        return syntax
    from slotlang.meaning.outside_bounds import with_bound_statements

    return with_bound_statements(syntax, bounds)


def _given(text: str | None, precision: float | None) -> Parameters | None:
    """The parameters of ``--parameters``. Raises SL005 with ``--precision``, which searches them."""
    if text is None:
        return None
    from slotlang.planning.given_parameters import parameters_named

    if precision is not None:
        raise error("SL005", "--precision searches parameters, and --parameters gives them", hint="drop one of them")
    return parameters_named(text)


def _symbolic_only(others: Mapping[str, object]) -> None:
    """Raises SL005 for what says nothing about formulas."""
    wrong = [name for name, given in others.items() if given]
    if wrong:
        hint = "formulas are of counts and bytes: they have no times and no errors"
        raise error("SL005", f"{wrong[0]} does not go with --symbolic", hint=hint)


def _console() -> Console:
    from slotlang.cli.console import console_for_tables

    return console_for_tables()


def _status(what: str, json: bool) -> AbstractContextManager[object]:
    """A sign of work where a person watches; elsewhere nothing, and rich is not imported."""
    return _console().status(what) if sys.stdout.isatty() and not json else nullcontext()


@app.command()
def check(
    files: Files,
    set_: Sizes = [],  # noqa: B006
    method: Annotated[
        str, typer.Option(metavar="METHOD", help="auto, polyhedral, exact, or random, which never proves.")
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
        for path, own in programs:
            results.append(check_file(path, own, chosen, seed, open_sizes, bounds, repair=len(programs) == 1))
            if not json and len(programs) == 1:
                print_verdict(results[-1])
            elif not json:
                print_line(results[-1])
        status = max(r.exit_status for r in results)
        if svg is not None and results[0].refuted:
            from slotlang.cli.refuted import write_svg

            write_svg(svg, *results[0].refuted, results[0].loss)
        written = certificate is not None and write_certificate(certificate, results[0], quiet=json)
        if json:
            made = str(certificate) if written else None
            emit_json("check", {"files": [r.to_json() for r in results], "certificate": made})
    raise typer.Exit(status)


@app.command()
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


@app.command()
def cost(
    file: File,
    set_: Sizes = [],  # noqa: B006
    profile: ProfileFile = None,
    hide: Hiding = "mask",
    kernel: KernelOption = "auto",
    adapter: AdapterFolder = None,
    module: Modules = [],  # noqa: B006
    base_changed: BaseChanged = False,
    data: DataFile = None,
    precision: Precision = None,
    max_key_bytes: KeyBytes = None,
    parameters: GivenParameters = None,
    bound: Bounds = [],  # noqa: B006
    bound_norm: BoundNorms = [],  # noqa: B006
    symbolic: Symbolic = False,
    latex: Annotated[bool, typer.Option("--latex", help="With --symbolic: print LaTeX.")] = False,
    json: Json = False,
) -> None:
    """Count rotations, key switches, keys, products and bytes; bounds; predicted times."""
    with guarded("cost", json):
        if symbolic or latex:
            beside = (profile, kernel != "auto", adapter, module, data, precision, max_key_bytes)
            names = ("profile", "kernel", "adapter", "module", "data", "precision", "max-key-bytes")
            _symbolic_only({f"--{name}": given for name, given in zip(names, beside, strict=True)})
            _symbolic_only({"--latex without --symbolic": not symbolic, "--latex with --json": latex and json})
            from slotlang.cli.formulas import show_formulas

            bounds = parse_bounds(bound, bound_norm)
            show_formulas(_loaded(file, set_, bounds), _given(parameters, None), hide, latex=latex, json=json)
            return
        from slotlang.api import cost as cost_of
        from slotlang.cli.calibration import chosen_profile, say_where_measured
        from slotlang.planning.target import Target

        target, times = Target.named(kernel, hide, precision, max_key_bytes), chosen_profile(profile)
        given = _given(parameters, precision)
        program, target = _known(
            file, set_, parse_bounds(bound, bound_norm), target, adapter, module, base_changed, data
        )
        result = cost_of(program, given, profile=times, target=target)
        if json:
            emit_json("cost", result.to_json())
        else:
            from slotlang.cli.tables import cost_table

            _console().print(cost_table(result))
            say_where_measured(times, _console())


@app.command()
def compare(
    files: Files,
    set_: Sizes = [],  # noqa: B006
    profile: ProfileFile = None,
    symbolic: Symbolic = False,
    json: Json = False,
) -> None:
    """The costs of programs of the same shapes, side by side, with their verdicts."""
    with guarded("compare", json):
        from slotlang.cli.comparing import programs_to_compare

        if symbolic:
            _symbolic_only({"--profile": profile, f"a list of {len(files)} programs": len(files) != 2})
            from slotlang.cli.formulas import show_comparison

            show_comparison(programs_to_compare(files, parse_sizes(set_)), json=json)
            return
        from slotlang.api import check as check_program
        from slotlang.api import cost as cost_of
        from slotlang.cli.calibration import chosen_profile, say_where_measured

        times = chosen_profile(profile)
        programs = programs_to_compare(files, parse_sizes(set_))
        rows = [(f, check_program(p), cost_of(p, profile=times)) for f, p in zip(files, programs, strict=True)]
        if json:
            entries = [{"file": str(p), "verdict": r.status, **c.to_json()} for p, r, c in rows]
            emit_json("compare", {"programs": entries})
        else:
            from slotlang.cli.tables import compare_table

            _console().print(compare_table(rows))
            say_where_measured(times, _console())


@app.command()
def calibrate(
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The file to write; yours if left out: see docs.", show_default=False),
    ] = None,
    degree: Annotated[list[int], typer.Option(help="Measure only this degree; repeatable.")] = [],  # noqa: B006
    seconds: Annotated[float, typer.Option(help="How long to measure, one round at least.")] = 30.0,
    json: Json = False,
) -> None:
    """Measure TenSEAL's operations on this machine, for predicted times."""
    with guarded("calibrate", json):
        from slotlang.cli.calibration import calibrate_machine

        calibrate_machine(output, degree, seconds, json)


@app.command()
def optimize(
    file: File,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File to write; standard output if left out.", show_default=False),
    ] = None,
    objective: Annotated[str, typer.Option(metavar="WHAT", help="What to save: time, rotations or keys.")] = "time",
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
        parsed = _parsed(file)
        optimize_file(file, parsed, sizes, output, chosen, target, allow_packing, times, json)


@app.command()
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
    objective: Annotated[str, typer.Option(metavar="WHAT", help="time, rotations, keys or traffic.")] = "time",
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
    json: Json = False,
) -> None:
    """Search the cheapest schedule, layout and parameters for y = scale * A @ B @ x, and write it as a program."""
    status = OK
    with guarded("synth", json, reads=[profile, adapter], writes=[output, svg]):
        from slotlang.cli.calibration import chosen_profile
        from slotlang.cli.console import console_for_tables
        from slotlang.cli.synthesis import shape_and_weights, synthesize
        from slotlang.planning.target import Target
        from slotlang.search.candidate import Limits, objective_named
        from slotlang.search.report import checked_bounds
        from slotlang.search.search import start

        target = Target(precision=precision, max_key_bytes=max_key_bytes)
        shape, weights = shape_and_weights(d_in, d_out, rank, batch, adapter, module, base_changed=base_changed)
        limits = Limits(max_memory, copies)
        found = start(shape, objective_named(objective), target, limits)
        found.weights = weights
        found.bounds = checked_bounds(parse_bounds(bound, bound_norm))
        # without a file the program alone goes to standard output
        console = console_for_tables(stderr=output is None)
        status = synthesize(found, chosen_profile(profile), output, svg, json, console)
    raise typer.Exit(status)


@app.command()
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

        if (output is None) == (bundle is None) or (bundle and standalone):
            raise error("SL005", "lower takes --output FILE or --bundle DIR, and --standalone with --output only")
        target = Target.named(kernel, hide, precision, max_key_bytes)
        given = _given(parameters, precision)
        program, target = _known(
            file, set_, parse_bounds(bound, bound_norm), target, adapter, module, base_changed, data
        )
        with _status("proving, lowering and validating", json):
            made = lower_program(program, given, unproved=unproved, target=target, standalone=standalone)
        range_ = made.range
        if target.data.weights and not standalone:
            from slotlang.run.exact_range import exact_range

            range_ = exact_range(made, target)
        if output is not None:
            write_file(output, made.text)
        files = write_bundle(made, bundle) if bundle is not None else [output]
        if json:
            emit_json(
                "lower",
                {
                    "file": str(file),
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
            counts = ", ".join(f"{v} {k.replace('_', ' ')}" for k, v in made.plan.counts.executed().items())
            print(f"{output or bundle}: {program.name}, {made.report.status} by the {made.report.method} method")
            print(f"  {made.plan.used}")
            print(f"  {made.plan.promise.sentence}")
            print(f"  {range_.line()}")
            print(f"  {counts}")
            if made.validation.status == "proved":
                print("  validated: the module computes what the program says")
            else:
                print(f"  not validated: {made.validation.what}")
            if made.plan.kernel != "seal":
                how = "by matrix products" if made.plan.kernel == "matrix" else "with sums of products in one pass"
                print(f"  evaluated {how} over residues (--kernel seal: by SEAL's operations)")
            if not standalone:
                print(f"  {made.plan.hiding.sentence()}")


@app.command()
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
    workers: Annotated[int, typer.Option(metavar="N", help="Processes that share the evaluations.")] = 1,
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

        target = Target.named(kernel, hide, precision, max_key_bytes)
        given = _given(parameters, precision)
        with watched(json) as progress:
            session = run_program(
                _bounded(_parsed(file), parse_bounds(bound, bound_norm)),
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


@app.command()
def show(
    file: File,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="What to draw: X, X[3], W[2, 5]; all families if left out.")
    ] = None,
    svg: Annotated[Path | None, typer.Option(help="Write the drawing as SVG too.")] = None,
    set_: Sizes = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Draw what the slots of a layout or a value hold, and a refuted program's wrong slots."""
    with guarded("show", json, reads=[file], writes=[svg]):
        from slotlang.cli.drawing import show_program

        show_program(file, _loaded(file, set_), name, svg, json)


@app.command()
def fmt(
    files: Files,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit 1 when a file would change.")] = False,
    json: Json = False,
) -> None:
    """Format programs in place; comments stay where they are."""
    changed = False
    with guarded("fmt", json):
        from slotlang.syntax.formatter import format_program
        from slotlang.syntax.program_file import read_program
        from slotlang.syntax.statements import parse_file

        texts = []
        for path in files:
            source = read_program(path)
            if source.program is not None:
                raise error("SL120", "fmt formats all programs of a file", file=str(path), hint=f"name {source.name}")
            texts.append((path, source.text, format_program(parse_file(source))))
        for path, before, after in texts:
            if before != after:
                changed = True
                if not check:
                    write_file(path, after)
                if not json:
                    print(f"{'would format' if check else 'formatted'} {path}")
        if json:
            entries = [{"file": str(path), "changed": before != after} for path, before, after in texts]
            emit_json("fmt", {"check": check, "files": entries})
    raise typer.Exit(FAILED if check and changed else OK)


@app.command()
def explain(
    code: Annotated[
        str | None, typer.Argument(help="A diagnostic's code, such as SL204; all of them without one.")
    ] = None,
    json: Json = False,
) -> None:
    """What a diagnostic's code means."""
    with guarded("explain", json):
        key = None if code is None else code.upper()
        if key is not None and key not in EXPLANATIONS:
            # codes share three letters and most digits: one letter may be wrong
            hint = closest(key, EXPLANATIONS, 0.8) or "slotlang explain lists them"
            raise error("SL005", f"there is no code '{code}'", hint=hint)
        wanted = dict(sorted(EXPLANATIONS.items())) if key is None else {key: EXPLANATIONS[key]}
        if json:
            parts = [(c, *text.partition("\n\n")) for c, text in wanted.items()]
            emit_json("explain", {"codes": [{"code": c, "title": t, "text": text} for c, t, _, text in parts]})
        elif key is None:
            for c, text in wanted.items():
                print(f"{c}: {text.partition(chr(10))[0]}")
        else:
            print(f"{key}: {EXPLANATIONS[key]}")


@app.command()
def graph(
    file: File,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File to write; standard output if left out.", show_default=False),
    ] = None,
    format_: Annotated[str, typer.Option("--format", metavar="FORMAT", help="dot, graphml or json.")] = "dot",
    set_: Sizes = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Export the unrolled dataflow graph."""
    with guarded("graph", json, reads=[file], writes=[output]):
        from slotlang.graph.views import FORMATS, export, node_link
        from slotlang.planning.planner import plan

        if format_ not in FORMATS:
            raise error("SL005", f"there is no format '{format_}'", hint=f"formats are {', '.join(FORMATS)}")
        made = plan(_loaded(file, set_)).graph
        if output is not None:
            write_file(output, export(made, format_) + "\n")
        if json:
            links = node_link(made)
            if output is None:
                emit_json("graph", links)
            else:
                sizes = {"nodes": len(links["nodes"]), "edges": len(links["edges"])}
                emit_json("graph", {"file": str(file), "output": str(output), "format": format_, **sizes})
        elif output is None:
            print(export(made, format_))


app.add_typer(adapter_app, name="adapter")
for _command in (*app.registered_commands, *adapter_app.registered_commands):
    _command.cls = OnceCommand


def command_line() -> int:
    """Run the command that the process's arguments name; the exit status."""
    digits = sys.get_int_max_str_digits()
    # products of a program's constants may be longer than Python prints
    sys.set_int_max_str_digits(10_000)
    try:
        return run_app(app)
    finally:
        sys.set_int_max_str_digits(digits)


__all__ = ["BAD_INPUT", "app", "command_line"]
