"""``slotlang adapter build``: a whole adapter as a folder that a server serves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slotlang.cli.options import BaseChanged, Json, ProfileFile
from slotlang.cli.output import emit_json, guarded, report
from slotlang.cli.progress import watched, working
from slotlang_runtime.amounts import count_of

if TYPE_CHECKING:
    from slotlang.adapter.building.build import Built
    from slotlang.adapter.building.work import Work


def build_adapter(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a PEFT adapter.", show_default=False)],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The folder of the service; DIR's name goes below it.")
    ],
    tokens: Annotated[int, typer.Option(help="Tokens of one evaluation.")] = 8,
    precision: Annotated[float, typer.Option(help="Largest predicted relative rms error.")] = 1e-3,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="The adapter's name; DIR's if left out.", show_default=False)
    ] = None,
    module: Annotated[
        list[str], typer.Option(metavar="NAME", help="Build this module only; repeatable. All, if left out.")
    ] = [],  # noqa: B006
    activations: Annotated[
        Path | None,
        typer.Option(
            help="A .npz file of sample activations, an array per module, a token per row.", show_default=False
        ),
    ] = None,
    equalize: Annotated[
        bool, typer.Option("--equalize", help="Even out the channels of inputs with activations.")
    ] = False,
    shared_inputs: Annotated[
        Path | None,
        typer.Option(
            "--shared-inputs",
            metavar="FILE",
            help="A .json list of lists of modules that read one input.",
            show_default=False,
        ),
    ] = None,
    gates: Annotated[
        int,
        typer.Option(
            metavar="BLOCKS",
            help="Requests may choose ranks, of which this many blocks can be skipped each; 0: no choice.",
        ),
    ] = 0,
    base_changed: BaseChanged = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace what another adapter, or another version of slotlang, built there.")
    ] = False,
    profile: ProfileFile = None,
    json: Json = False,
) -> None:
    """Build a whole adapter for a server: programs, proved, one set of keys, and encoded weights. Goes on where it was
    stopped."""
    with guarded("adapter.build", json, reads=[profile, activations, shared_inputs]):
        from slotlang.adapter.building.shared import read_table
        from slotlang.adapter.building.work import Options, checked_name, default_name, prepare
        from slotlang.cli.calibration import chosen_profile
        from slotlang.cli.lines import print_lines
        from slotlang.run.activations import read_module_activations

        named = checked_name(name if name is not None else default_name(folder))
        options = Options(
            tokens,
            precision,
            tuple(module),
            None if shared_inputs is None else read_table(shared_inputs),
            "" if shared_inputs is None else str(shared_inputs),
            {} if activations is None else read_module_activations(activations),
            equalize,
            base_changed,
            gates,
        )
        times = chosen_profile(profile)
        with working("choosing layouts and parameters"):
            work = prepare(folder, options, times)
        if work.warnings:
            report(work.warnings, "warning")
        print_lines(before(work), stderr=json)
        built = _with_progress(work, output / named, named, force)
        if built.warnings:
            report(built.warnings, "warning")
        if json:
            emit_json("adapter.build", to_json(work, built))
        else:
            print_lines(after(built))


def _with_progress(work: Work, path: Path, name: str, force: bool) -> Built:
    """Build, with progress on standard error."""
    from slotlang.adapter.building.build import build

    with watched() as line:
        return build(work, path, name, line.fraction, force=force)


def before(work: Work) -> list[str]:
    """What is said before any work: what is built and skipped, how long it takes, how large it is."""
    from slotlang.adapter.messages import plain
    from slotlang.adapter.summary import names_together
    from slotlang.show.quantities import size_text

    programs, inputs = len(work.by_shape), len(work.groups)
    counts = [count_of(work.modules, "module"), count_of(inputs, "input"), count_of(programs, "program")]
    lines = [f"{', '.join(counts)} for {count_of(work.options.tokens, 'token')}:"]
    for shape, held in work.by_shape.items():
        names = names_together(group.input for group in held)
        shown = ", ".join(plain(name, 100) for name, _ in names[:3]) + (", ..." if len(names) > 3 else "")
        lines.append(f"  {shape.text}: {shown}")
    lines += [f"  {note}" for note in work.adapter.notes]
    reasons: dict[str, list[str]] = {}
    for unusable in work.skipped:
        reasons.setdefault(unusable.obstacle.reason, []).append(unusable.name)
    for reason, skipped in reasons.items():
        together = names_together(skipped)
        shown = ", ".join(plain(name, 100) for name, _ in together[:4]) + (", ..." if len(together) > 4 else "")
        lines.append(f"  skipped, {len(skipped)}: {shown}: {reason}")
    lines.append(
        f"about {_duration(work.seconds)}; weights of about {size_text(work.file_bytes)} in files, "
        f"{size_text(work.memory_bytes)} in a server's memory"
    )
    return lines + _requests(work)


def _requests(work: Work) -> list[str]:
    """What a client will send for the tokens of one evaluation, and where a service has to be told that it is much."""
    from slotlang.service.limits import Limits
    from slotlang.show.quantities import size_text

    tokens, (up, down) = work.options.tokens, work.ciphertexts
    sent, returned = up * work.ciphertext_bytes, down * work.ciphertext_bytes
    lines = [
        f"all inputs once, {count_of(len(work.groups), 'evaluation')} of {count_of(tokens, 'token')} or fewer: "
        f"{count_of(up, 'ciphertext')} up, about {size_text(sent)}; {down:,} down, {size_text(returned)} to "
        f"{size_text(2 * returned)}"
    ]
    if work.places > tokens:
        empty = f"{work.places - tokens:,} of {work.places:,} places stay empty"
        lines.append(f"  {empty}: programs have room for a power of two of tokens")
    limits, needed = Limits(), []
    if tokens > limits.tokens:
        needed.append(f"--max-tokens {tokens}")
    if work.largest_upload > limits.body:
        needed.append(f"--max-body {-(-work.largest_upload * 5 // 4 >> 20)}M")
    if needed:
        lines.append(f"  more than a service takes in a request by default: slotlang serve {' '.join(needed)} takes it")
    return lines


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} minutes"


def after(built: Built) -> list[str]:
    """What was built."""
    from slotlang.show.quantities import size_text

    found = built.manifest
    lines = [f"{built.path}: version {found.version}{'' if built.changed else ', nothing to do'}"]
    lines.append(f"  {found.parameters['text']}")
    lines.append(
        f"  {count_of(len(found.keys.elements), 'Galois key')} for all programs: "
        f"a client sends {size_text(found.keys.bytes)}"
    )
    for program in found.programs:
        p = program.predicted
        groups = [group for group in found.groups if group.program == program.id]
        outputs = count_of(len(groups[0].modules), "result")
        earlier = "" if program.id in built.proved else " by an earlier build"
        lines.append(
            f"  {program.id}: {program.verdict}, range {program.range}{earlier}; "
            f"{count_of(len(groups), 'input')}, {outputs}, {p['evaluation_ms']:.1f} ms, "
            f"{size_text(round(p['upload_bytes']))} up, {size_text(round(p['download_bytes']))} down"
        )
    total = sum(group.weights.bytes or 0 for group in found.groups)
    kept = f", {built.reused} of them from before" if built.reused and built.changed else ""
    lines.append(f"  weights: {size_text(total)} in {count_of(len(found.groups), 'file')}{kept}")
    if gated := [group.gates.bytes or 0 for group in found.groups if group.gates is not None]:
        lines.append(f"  weights in the clear, for ranks by request: {size_text(sum(gated))}")
    predicted = {program.id: program.predicted for program in found.programs}
    small = all("compact_ms" in p and "compact_bytes" in p for p in predicted.values())

    def of_all(figure: str) -> float:
        return sum(predicted[group.program][figure] for group in found.groups)

    if small:
        lines.append(
            f"  in a server's memory: {size_text(round(of_all('weight_bytes')))}, "
            f"or about {size_text(round(of_all('compact_bytes')))} compact"
        )
    if built.zeros:
        lines.append(
            f"  {built.zeros:,} of {count_of(built.plaintexts, 'plaintext')} are zero: their products are left out"
        )
    tokens, every = found.target["tokens"], of_all("evaluation_ms")
    compact = f"; {of_all('compact_ms'):,.1f} ms with compact weights" if small else ""
    each = every / tokens
    lines.append(
        f"  all modules for {count_of(tokens, 'token')}: {every:,.1f} ms, "
        f"{f'{each:,.1f}' if each >= 1 else f'{each:.2g}'} ms a token{compact}, predicted"
    )
    return lines


def to_json(work: Work, built: Built) -> dict[str, Any]:
    """Plain data; keys as in ``adapter build --json``."""
    values = built.manifest.to_json()
    del values["schema"]
    return {
        "output": str(built.path),
        "estimate": work.estimate(),
        "skipped": [
            {"module": u.name, "code": u.obstacle.code, "reason": u.obstacle.reason, "hint": u.obstacle.hint}
            for u in work.skipped
        ],
        "changed": built.changed,
        "reused": built.reused,
        "zero_plaintexts": built.zeros,
        "plaintexts": built.plaintexts,
        "warnings": [warning.to_json() for warning in (*work.warnings, *built.warnings)],
        **values,
    }
