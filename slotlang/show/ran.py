"""An encrypted run as rows of a table: what ``slotlang run`` prints, as data."""

from __future__ import annotations

from slotlang.run.equalizing import summary_text
from slotlang.run.session import Session
from slotlang.show.quantities import field_noun, size_text, time_text
from slotlang_runtime.amounts import count_of, noun_of

__all__ = ["run_lines", "run_rows"]


def run_lines(session: Session) -> list[str]:
    """What was run, how it was proved, and its range, in words."""
    modules = ", ".join(pair.module.name for pair in session.pairs)
    title = session.program.name + {"data": " on given weights", "random": " on random weights"}.get(
        session.weights, f" on {modules}"
    )
    sizes = ", ".join(f"{n} = {session.program.sizes[n]}" for n in session.program.parameters)
    if session.tokens is not None:
        title += f", {count_of(session.tokens, 'random token' if session.tokens_in_file is None else 'real token')}"
    verdict = f"{session.lowered.report.status} by the {session.lowered.report.method} method"
    return [f"{title}  ({sizes})", f"{verdict}; {session.lowered.plan.used}", session.range.line()]


def run_rows(session: Session) -> list[tuple[str, str]]:
    """Number and noun of each time, size, count and error."""
    r = session.report
    rows = _times(session)
    for name, count in r.bytes.items():
        rows.append((size_text(count), "evaluation keys as sent" if name == "evaluation keys" else name))
    for name, count in r.executed.items():
        predicted = r.predicted.get(name, 0)
        note = "as predicted" if count == predicted else f"predicted {predicted}"
        rows.append((str(count), f"{field_noun(count, name)}, {note}"))
    if r.note:
        rows.append(("", r.note))
    if r.dropped:
        zero = "is zero, and its products" if r.dropped == 1 else "are zero, and their products"
        rows.append((str(r.dropped), f"{noun_of(r.dropped, 'plaintext')} {zero} were left out"))
    for pair in session.pairs:
        rule = f" = {pair.module.rule.text}" if pair.module.rule else ""
        scaled = f"{pair.role.output}: {pair.module.name}, scaling" if len(session.pairs) > 1 else "scaling"
        rows.append((f"{pair.module.scaling:.6g}", f"{scaled}{rule}"))
    if session.exponents:
        rows.append(("", f"equalized: {summary_text(session.exponents)}"))
    if session.unused:
        tensors = noun_of(len(session.unused), "tensor")
        rows.append((str(len(session.unused)), f"{tensors} of the adapter not used (slotlang adapter show lists them)"))
    if len(r.errors) > 1:
        rows += [(f"{value:.1e}", f"relative rms error of {name}") for name, value in r.errors.items()]
    largest = ", the largest" * (len(r.errors) > 1)
    rows.append((f"{r.relative_error:.1e}", "relative rms error against numpy" + largest))
    rows.append((f"{r.max_error:.1e}", "largest error"))
    promise = session.lowered.plan.promise
    rows.append((f"{promise.relative_error:.1e}", f"relative rms error promised, {promise.about}"))
    return rows


def _times(session: Session) -> list[tuple[str, str]]:
    r = session.report
    rows: list[tuple[str, str]] = []
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
        by = count_of(r.workers, "worker")
        steps["evaluate with transfer"] = f"evaluate {r.evaluations} times with transfer by {by} (CPU {times})"
        steps["decrypt"] = steps.pop("decrypt")
    for name, text in steps.items():
        said = f", {time_text(session.predicted_seconds[name])} predicted" if name in foretold else ""
        rows.append((f"{1000 * r.seconds[name]:.1f} ms", f"{text}{said}"))
    server, foreseen = (sum(seconds[name] for name in parts) for seconds in (r.seconds, session.predicted_seconds))
    if r.compiling:
        kept = f"they are not kept: {r.unkept}" if r.unkept else "later runs load them"
        rows.append((f"{1000 * r.compiling:.1f} ms", f"of this to compile kernels for this machine; {kept}"))
    requests = "a request" if r.evaluations == 1 else "all requests"
    rows.append((f"{1000 * server:.1f} ms", f"the server's part of {requests}, {time_text(foreseen)} predicted"))
    return rows
