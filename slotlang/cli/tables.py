"""Tables for the terminal."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from slotlang.cli.console import SideBySide
from slotlang.cost.report import Cost
from slotlang.proof.check import Report
from slotlang.run.equalizing import summary_text
from slotlang.run.session import Session
from slotlang.show.quantities import size_text, time_text


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
    table.add_row(str(c.rotations), "rotations")
    composed = f"; {c.composed_steps} steps have none and are composed" if c.composed_steps else ""
    keys = f"{c.galois_keys} Galois keys ({size_text(cost.galois_key_bytes)}){composed}"
    table.add_row(str(c.key_switches), f"key switches, with {keys}")
    table.add_row(str(c.hoistable), "rotations that share an operand (hoistable)")
    apart = f"decompositions and {c.mod_downs} mod-downs, where compiled kernels take key switches apart"
    table.add_row(str(c.decompositions), apart)
    table.add_row(
        str(c.plain_products),
        f"ciphertext-plaintext products, {c.plaintexts} plaintexts ({size_text(cost.weight_bytes)})",
    )
    relinearised = f", {c.relinearizations} relinearisations" if c.cipher_products else ""
    table.add_row(str(c.cipher_products), f"ciphertext-ciphertext products{relinearised}")
    table.add_row(str(c.additions), "additions")
    levels = ", ".join(f"{n} at level {level}" for level, n in c.rescales_by_level.items())
    table.add_row(str(c.masks), "random masks on results")
    table.add_row(str(c.rescales), f"rescales{f' ({levels})' if levels else ''}")
    table.add_row(str(c.depth), "products in a row")
    table.add_row(str(c.ciphertexts_in), f"ciphertexts up ({size_text(cost.upload_bytes)}, seeded)")
    table.add_row(str(c.ciphertexts_out), f"ciphertexts down ({size_text(cost.download_bytes)})")
    table.add_row(str(c.peak_ciphertexts), f"ciphertexts alive at the peak ({size_text(cost.peak_ciphertext_bytes)})")
    times = cost.predicted
    how = {"matrix": " by matrix products", "compiled": " by compiled kernels"}.get(cost.kernel, "")
    table.add_row(time_text(times.encoding), "to encode the weights once")
    table.add_row(time_text(times.encryption), "to encrypt")
    table.add_row(time_text(times.evaluation), f"to evaluate{how}" + (", masks added" if c.masks else ""))
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
        table.add_row(f"{error:.1e}", f"rms error of {name} at most")
    sizes = ", ".join(f"{k} = {v}" for k, v in cost.sizes.items())
    parameters = parameters_text(cost.parameters) + cost.parameters_note
    head = Text.assemble((cost.program, "bold"), f"  {sizes}\n{parameters}\n{cost.range_text}\n")
    return Group(head, table, Text("\nat least, by the theorems of docs/bounds.md:"), _bounds_table(cost))


def _bounds_table(cost: Cost) -> RenderableType:
    if not cost.bounds:
        return Text("  no bound is known: the layout is too large, or no theorem speaks of it")
    table = _grid()
    for bound in cost.bounds:
        theorem = f"{bound.theorem} theorem" if bound.proved else "conjectured, not proved"
        what = bound.of.replace("_", " ").replace("plain products", "ciphertext-plaintext products")
        table.add_row(str(bound.at_least), f"{what} (gap {bound.gap}; {theorem}): {bound.among}")
    return table


def compare_table(rows: list[tuple[Path, Report, Cost]]) -> SideBySide:
    """Several programs side by side, by their names, or by their files where two have the same name."""
    heads = (
        "program",
        "verdict",
        "rotations",
        "bound",
        "key sw.",
        "decomp.",
        "mod-downs",
        "keys",
        "key bytes",
        "pt prod.",
        "ct prod.",
        "depth",
        "up",
        "down",
        "degree",
        "predicted",
    )
    colours = {"proved": "green", "refuted": "red"}
    times = Counter(cost.program for _, _, cost in rows)
    entries = []
    for path, report, cost in rows:
        c = cost.counts
        cells = (
            "?" if cost.rotation_lower_bound is None else str(cost.rotation_lower_bound),
            str(c.key_switches),
            str(c.decompositions),
            str(c.mod_downs),
            str(c.galois_keys),
            size_text(cost.galois_key_bytes),
            str(c.plain_products),
            str(c.cipher_products),
            str(c.depth),
            size_text(cost.upload_bytes),
            size_text(cost.download_bytes),
            str(cost.parameters["degree"]),
            time_text(cost.predicted.evaluation),
        )
        name = cost.program if times[cost.program] == 1 else str(path)
        verdict = Text(report.status, style=colours.get(report.status, "yellow"))
        entries.append((Text(name), verdict, Text(str(c.rotations)), *map(Text, cells)))
    return SideBySide(heads, entries, left=2)


def run_table(session: Session) -> RenderableType:
    """An encrypted run: times, counts and errors."""
    r = session.report
    table = _grid()
    steps = {
        **{name: name for name in ("key generation", "evaluation keys", "load kernels", "encode weights", "encrypt")},
        "read": "read the request",
        "evaluate": "evaluate" + (", masks added" if r.executed.get("masks") else ""),
        "mask": "make masks",
        "save": "write the results",
        "decrypt": "decrypt",
    }
    parts = ("read", "evaluate", "mask", "save")
    steps = {name: text for name, text in steps.items() if name in r.seconds}
    if not r.executed.get("masks"):
        steps.pop("mask", None)
    if r.cache is not None:
        what = {
            "loaded": "load weights from",
            "stored": "encode weights, kept in",
            "rebuilt": "encode weights anew, kept in",
            "unsaved": "encode weights, not kept in",
        }
        size = f" ({size_text(r.cache.bytes)})" if r.cache.bytes else ""
        steps["encode weights"] = f"{what[r.cache.state]} the cache{size}"
    loaded = r.cache is not None and r.cache.state == "loaded"
    foretold = ("encrypt", *parts, "decrypt", *(() if loaded else ("encode weights",)))
    if r.evaluations > 1:
        times = ", ".join(map(time_text, r.worker_cpu_seconds))
        by = f"{r.workers} workers" if r.workers > 1 else "1 worker"
        steps["evaluate with transfer"] = f"evaluate {r.evaluations} times with transfer by {by} (CPU {times})"
        steps["decrypt"] = steps.pop("decrypt")
    for name, text in steps.items():
        said = f", {time_text(session.predicted_seconds[name])} predicted" if name in foretold else ""
        table.add_row(f"{1000 * r.seconds[name]:.1f} ms", f"{text}{said}")
    server, foreseen = (sum(seconds[name] for name in parts) for seconds in (r.seconds, session.predicted_seconds))
    requests = "a request" if r.evaluations == 1 else "all requests"
    table.add_row(f"{1000 * server:.1f} ms", f"the server's part of {requests}, {time_text(foreseen)} predicted")
    for name, count in r.bytes.items():
        table.add_row(size_text(count), name)
    for name, count in r.executed.items():
        predicted = r.predicted.get(name, 0)
        note = "as predicted" if count == predicted else f"predicted {predicted}"
        table.add_row(str(count), f"{name.replace('_', ' ')}, {note}")
    if r.note:
        table.add_row("", r.note)
    if r.dropped:
        table.add_row(str(r.dropped), "plaintexts are zero, and their products were left out")
    for pair in session.pairs:
        rule = f" = {pair.module.rule.text}" if pair.module.rule else ""
        scaled = f"{pair.role.output}: {pair.module.name}, scaling" if len(session.pairs) > 1 else "scaling"
        table.add_row(f"{pair.module.scaling:.6g}", Text(f"{scaled}{rule}"))
    if session.exponents:
        table.add_row("", f"equalized: {summary_text(session.exponents)}")
    if session.unused:
        tensors = "tensor" if len(session.unused) == 1 else "tensors"
        table.add_row(str(len(session.unused)), f"{tensors} of the adapter not used (slotlang adapter show lists them)")
    if len(r.errors) > 1:
        for name, value in r.errors.items():
            table.add_row(f"{value:.1e}", f"relative rms error of {name}")
    table.add_row(
        f"{r.relative_error:.1e}", "relative rms error against numpy" + (", the largest" * (len(r.errors) > 1))
    )
    table.add_row(f"{r.max_error:.1e}", "largest error")
    promise = session.lowered.plan.promise
    table.add_row(f"{promise.relative_error:.1e}", f"relative rms error promised, {promise.about}")
    status = Text("passed", style="green bold") if r.passed else Text("FAILED", style="red bold")
    modules = ", ".join(pair.module.name for pair in session.pairs)
    title = session.program.name + {"data": " on given weights", "random": " on random weights"}.get(
        session.weights, f" on {modules}"
    )
    sizes = ", ".join(f"{n} = {session.program.sizes[n]}" for n in session.program.parameters)
    if session.tokens is not None:
        title += f", {session.tokens} {'random' if session.tokens_in_file is None else 'real'} tokens"
    verdict = f"{session.lowered.report.status} by the {session.lowered.report.method} method"
    head = Text.assemble(
        status, f"  {title}  ({sizes})\n{verdict}; {session.lowered.plan.used}\n{session.range.line()}\n"
    )
    return Group(head, table)
