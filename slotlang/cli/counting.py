"""Commands that count and predict: cost, compare, calibrate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slotlang.cli.options import (
    AdapterFolder,
    BaseChanged,
    BoundNorms,
    Bounds,
    DataFile,
    File,
    Files,
    GivenParameters,
    Hiding,
    Json,
    KernelOption,
    KeyBytes,
    Modules,
    Precision,
    ProfileFile,
    Sizes,
    Symbolic,
    WireOption,
)
from slotlang.cli.output import emit_json, guarded, parse_bounds, parse_sizes
from slotlang.cli.progress import counted, working
from slotlang.cli.reading import console, given_parameters, known, loaded_program, symbolic_only
from slotlang_runtime.amounts import count_of


def cost(
    file: File,
    set_: Sizes = [],  # noqa: B006
    profile: ProfileFile = None,
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
    symbolic: Symbolic = False,
    latex: Annotated[bool, typer.Option("--latex", help="With --symbolic: print LaTeX.")] = False,
    json: Json = False,
) -> None:
    """Count rotations, key switches, keys, products and bytes; bounds; predicted times."""
    with guarded("cost", json):
        if symbolic or latex:
            beside = (profile, kernel != "auto", adapter, module, data, precision, max_key_bytes, wire != "slotlang")
            names = ("profile", "kernel", "adapter", "module", "data", "precision", "max-key-bytes", "wire")
            symbolic_only({f"--{name}": given for name, given in zip(names, beside, strict=True)})
            symbolic_only({"--latex without --symbolic": not symbolic, "--latex with --json": latex and json})
            from slotlang.cli.formulas import show_formulas

            bounds = parse_bounds(bound, bound_norm)
            show_formulas(
                loaded_program(file, set_, bounds), given_parameters(parameters, None), hide, latex=latex, json=json
            )
            return
        from slotlang.api import cost as cost_of
        from slotlang.cli.calibration import chosen_profile, say_where_measured
        from slotlang.planning.target import Target

        target, times = Target.named(kernel, hide, precision, max_key_bytes, wire), chosen_profile(profile)
        given = given_parameters(parameters, precision)
        program, target = known(
            file, set_, parse_bounds(bound, bound_norm), target, adapter, module, base_changed, data
        )
        with working("counting"):
            result = cost_of(program, given, profile=times, target=target)
        if json:
            emit_json("cost", result.to_json())
        else:
            from slotlang.cli.tables import cost_table

            console().print(cost_table(result))
            say_where_measured(times, console())


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
            symbolic_only({"--profile": profile, f"a list of {count_of(len(files), 'program')}": len(files) != 2})
            from slotlang.cli.formulas import show_comparison

            show_comparison(programs_to_compare(files, parse_sizes(set_)), json=json)
            return
        from slotlang.api import Comparison
        from slotlang.api import check as check_program
        from slotlang.api import cost as cost_of
        from slotlang.cli.calibration import chosen_profile, say_where_measured

        times = chosen_profile(profile)
        programs = programs_to_compare(files, parse_sizes(set_))
        with counted("proving and counting", len(files)) as step:
            worked = [step(lambda p: (check_program(p), cost_of(p, profile=times)), program) for program in programs]
        reports, costs = zip(*worked, strict=True)
        found = Comparison(reports, costs, tuple(map(str, files)))
        if json:
            both = zip(found.files, found.reports, found.costs, strict=True)
            entries = [{"file": file, "verdict": r.status, **c.to_json()} for file, r, c in both]
            emit_json("compare", {"programs": entries})
        else:
            from slotlang.cli.tables import compare_table

            console().print(compare_table(found))
            say_where_measured(times, console())


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
