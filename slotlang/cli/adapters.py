"""``slotlang adapter``: what a PEFT adapter holds, and a whole one built for a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slotlang.cli.building import build_adapter
from slotlang.cli.output import emit_json, guarded, report, write_file
from slotlang.cli.usage import WholeSummaries
from slotlang.diagnostics import error
from slotlang_runtime.amounts import count_of

if TYPE_CHECKING:
    from slotlang.adapter import Adapter

adapter_app = typer.Typer(
    cls=WholeSummaries,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="PEFT LoRA adapters: show what one holds, build one.",
)


@adapter_app.callback()
def adapter_options() -> None:
    """PEFT LoRA adapters: show what one holds, build one."""


adapter_app.command("build")(build_adapter)


@adapter_app.command("show")
def show_adapter(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a PEFT adapter.", show_default=False)],
    base_changed: Annotated[
        bool, typer.Option("--base-changed", help="The base was changed as the adapter needs it (SL520).")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON; docs/json.md has the shapes.")] = False,
) -> None:
    """List an adapter's modules by shape, rank, scaling and dtype, and those that can't be run with the reason."""
    with guarded("adapter.show", json):
        from slotlang.adapter import read_adapter
        from slotlang.adapter.summary import to_json

        found = read_adapter(folder, base_changed=base_changed)
        if json:
            emit_json("adapter.show", to_json(found))
        else:
            from slotlang.cli.lines import print_lines

            print_lines(lines(found))
            if found.warnings:
                report(found.warnings, "warning")


@adapter_app.command("equalize")
def equalize_input(
    activations: Annotated[
        Path, typer.Argument(metavar="FILE", help="Sample activations, a token per row.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .json file of exponents to write.")],
    name: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="NAME",
            help="The program's input, x if left out; of a file with several arrays the one with this name.",
            show_default=False,
        ),
    ] = None,
    power: Annotated[
        float, typer.Option(help="Of a channel's size over the median one: 1/2 shares outliers with the weights.")
    ] = 0.5,
    json: Annotated[bool, typer.Option("--json", help="Print JSON; docs/json.md has the shapes.")] = False,
) -> None:
    """Find powers of two that even out the channels of an input, for `run --equalize`, clients and servers."""
    with guarded("adapter.equalize", json, reads=[activations], writes=[output]):
        from slotlang.run.equalizing import exponents_of, summary, summary_text
        from slotlang_runtime.equalized import to_json as exponents_text

        if output.suffix.lower() != ".json":
            raise error("SL005", f"exponents are written to a .json file, not {output.name}")
        if not 0 <= power <= 1:
            raise error("SL005", f"--power is a number from 0 to 1, not {power}")
        found = exponents_of(activations, name, power)
        write_file(output, exponents_text(found))
        if json:
            emit_json("adapter.equalize", {"output": str(output), "equalized": summary(found)})
        else:
            print(f"{output}: {summary_text(found)}")


MOST_NAMES = 12
"""Lines of names under one group."""


def lines(adapter: Adapter) -> list[str]:
    """What is printed: a few lines for each group of modules, however many they are."""
    from slotlang.adapter.messages import plain
    from slotlang.adapter.summary import groups
    from slotlang.show.quantities import size_text

    total, unusable = len(adapter.modules), len(adapter.unusable)
    head = f"{adapter.path}: {count_of(total, 'module')} that can be run"
    head += f", {unusable} that can't" if unusable else ""
    out = [f"{head}; {size_text(adapter.bytes)}"]
    if adapter.base_model:
        out.append(f"base model: {plain(adapter.base_model)}")
    out += [f"read: {note}" for note in adapter.notes]
    for group in groups(adapter):
        out.append("")
        what = f"{group.d_out} x {group.d_in}, rank {group.rank}, scaling {group.scaling:.6g} = {group.rule}"
        out.append(f"{count_of(len(group.modules), 'module')}  {what}, {group.dtype}, {size_text(group.bytes)}")
        out += _names(group.modules)
    reasons: dict[tuple[str, str], list[str]] = {}
    shapes: dict[tuple[str, str], dict[str, None]] = {}
    for u in adapter.unusable:
        key = (u.obstacle.reason, u.obstacle.hint)
        reasons.setdefault(key, []).append(u.name)
        shapes.setdefault(key, {})[u.shapes] = None
    for (reason, hint), names in reasons.items():
        out += ["", f"{count_of(len(names), 'module')} can't be run: {reason}"]
        out += _names(names)
        if len(shapes[reason, hint]) <= 3:
            out += [f"    {text}" for text in shapes[reason, hint] if text]
        if hint:
            out.append(f"    hint: {hint}")
    if adapter.extra:
        out += ["", f"{count_of(len(adapter.extra), 'tensor')} beside the LoRA matrices, not used:"]
        out += _names(adapter.extra)
    return out


def _names(names: tuple[str, ...] | list[str]) -> list[str]:
    from slotlang.adapter.messages import plain
    from slotlang.adapter.summary import names_together

    together = names_together(names)
    out = [f"    {plain(text, 160)}{f' ({count})' if count > 1 else ''}" for text, count in together[:MOST_NAMES]]
    return out if len(together) <= MOST_NAMES else [*out, f"    and {len(together) - MOST_NAMES} more"]
