"""Tables for the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from slotlang.cli.console import SideBySide
from slotlang.cost.report import Cost
from slotlang.run.session import Session
from slotlang.show.compared import HEADS, Comparison
from slotlang.show.quantities import field_noun, size_text, time_text
from slotlang.show.ran import run_lines, run_rows
from slotlang_runtime.amounts import count_of, noun_of


def _grid() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def parameters_text(p: Any) -> str:
    """``8192: 60,60,60, scales 2^44,32,32, no rescale``."""
    from slotlang.planning.parameters import Parameters

    return Parameters(**p).text()


def cost_table(cost: Cost) -> RenderableType:
    """What one program costs."""
    c = cost.counts
    table = _grid()
    table.add_row(str(c.rotations), noun_of(c.rotations, "rotation"))
    composed = f"; {count_of(c.composed_steps, 'step')} composed without one" if c.composed_steps else ""
    keys = f"{count_of(c.galois_keys, 'Galois key')} ({size_text(cost.galois_key_bytes)} in memory){composed}"
    table.add_row(str(c.key_switches), f"{noun_of(c.key_switches, 'key switch')}, with {keys}")
    table.add_row(str(c.hoistable), "rotations that share an operand (hoistable)")
    apart = (
        f"{noun_of(c.decompositions, 'decomposition')} and {count_of(c.mod_downs, 'mod-down')}, "
        f"where compiled kernels take key switches apart"
    )
    table.add_row(str(c.decompositions), apart)
    table.add_row(
        str(c.plain_products),
        f"{noun_of(c.plain_products, 'ciphertext-plaintext product')}, "
        f"{count_of(c.plaintexts, 'plaintext')} ({size_text(cost.weight_bytes)})",
    )
    relinearised = f", {count_of(c.relinearizations, 'relinearisation')}" if c.cipher_products else ""
    table.add_row(
        str(c.cipher_products), f"{noun_of(c.cipher_products, 'ciphertext-ciphertext product')}{relinearised}"
    )
    table.add_row(str(c.additions), noun_of(c.additions, "addition"))
    levels = ", ".join(f"{n} at level {level}" for level, n in c.rescales_by_level.items())
    table.add_row(str(c.masks), f"{noun_of(c.masks, 'random mask')} on results")
    table.add_row(str(c.rescales), f"{noun_of(c.rescales, 'rescale')}{f' ({levels})' if levels else ''}")
    table.add_row(str(c.depth), f"{noun_of(c.depth, 'product')} in a row")
    table.add_row(
        str(c.ciphertexts_in), f"{noun_of(c.ciphertexts_in, 'ciphertext')} up ({size_text(cost.upload_bytes)}, seeded)"
    )
    table.add_row(
        str(c.ciphertexts_out), f"{noun_of(c.ciphertexts_out, 'ciphertext')} down ({size_text(cost.download_bytes)})"
    )
    table.add_row(
        str(c.peak_ciphertexts),
        f"{noun_of(c.peak_ciphertexts, 'ciphertext')} alive at the peak ({size_text(cost.peak_ciphertext_bytes)})",
    )
    times = cost.predicted
    how = {"matrix": " by matrix products", "compiled": " by compiled kernels"}.get(cost.kernel, "")
    table.add_row(time_text(times.encoding), "to encode the weights once")
    table.add_row(time_text(times.encryption), "to encrypt")
    table.add_row(time_text(times.evaluation), f"to evaluate{how}" + (", masks added" if c.masks else ""))
    if cost.expanding is not None and cost.compact_weight_bytes is not None:
        compact = f"with compact weights, about {size_text(cost.compact_weight_bytes)}"
        table.add_row(time_text(times.evaluation + cost.expanding), f"to evaluate {compact}")
    if c.masks:
        table.add_row(time_text(times.masking), "to make masks before")
    table.add_row(time_text(times.reading), "to read the request")
    table.add_row(time_text(times.saving), "to write the results")
    table.add_row(time_text(times.server), "the server's part of a request: to read, evaluate, mask and write")
    table.add_row(time_text(times.decryption), "to decrypt")
    table.add_row("", f"predicted for one thread by the profile {times.profile}")
    promise = cost.promise
    assert promise is not None, "a cost that is shown has a promise"
    table.add_row(f"{promise.relative_error:.1e}", f"relative rms error at most, predicted {promise.about}")
    for name, error in promise.error.items():
        table.add_row(f"{error:.1e}", f"rms error of {name} at most, for such data")
    sizes = ", ".join(f"{k} = {v}" for k, v in cost.sizes.items())
    parameters = parameters_text(cost.parameters) + cost.parameters_note
    # counting is no proof, and takes no time for one
    verdict = "not proved by cost: `slotlang check` says whether the program is right"
    head = Text.assemble((cost.program, "bold"), f"  {sizes}\n{verdict}\n{parameters}\n{cost.range_text}\n")
    return Group(head, table, Text("\nat least, by the theorems of docs/bounds.md:"), _bounds_table(cost))


def _bounds_table(cost: Cost) -> RenderableType:
    if not cost.bounds:
        return Text("  no bound is known: the layout is too large, or no theorem speaks of it")
    table = _grid()
    for bound in cost.bounds:
        theorem = f"{bound.theorem} theorem" if bound.proved else "conjectured, not proved"
        what = field_noun(bound.at_least, bound.of).replace("plain product", "ciphertext-plaintext product")
        table.add_row(str(bound.at_least), f"{what} ({bound.gap_text}; {theorem}): {bound.among}")
    return table


def compare_table(comparison: Comparison) -> SideBySide:
    """Several programs side by side, by their names, or by their files where two have the same name."""
    colours = {"proved": "green", "refuted": "red"}
    entries = [
        (Text(name), Text(verdict, style=colours.get(verdict, "yellow")), *map(Text, cells))
        for name, verdict, *cells in comparison.rows
    ]
    return SideBySide(HEADS, entries, left=2)


def run_table(session: Session) -> RenderableType:
    """An encrypted run: times, counts and errors."""
    table = _grid()
    for number, noun in run_rows(session):
        table.add_row(number, Text(noun))
    status = Text("passed", style="green bold") if session.report.passed else Text("FAILED", style="red bold")
    title, *more = run_lines(session)
    return Group(Text.assemble(status, f"  {title}\n", *(f"{line}\n" for line in more)), table)
