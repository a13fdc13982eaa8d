"""Optimize every program of the corpus and rewrite the tables of optimize.md. It takes some minutes.

python docs/make_optimize_table.py
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slotlang import api
from slotlang.cost.profile import Profile
from slotlang.cost.report import Cost
from slotlang.diagnostics import SlotError
from slotlang.optimize.why import why

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "optimize.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
COLUMNS = ("program", "ms before", "ms after", "rotations", "keys", "products", "degree", "changes")
PACKED = ("flipped", "permuted")
"""Programs that cost less where the client may pack otherwise."""
PRECISION = 1e-3
AT_PRECISION = (
    "two_channels",
    "seed/lazy_fixed",
    "seed/outer_products_broadcast",
    "seed/rank_contiguous_fixed",
)
"""Programs that the fixed parameters rescale, and one that they do not."""
HEAD = f"| {' | '.join(COLUMNS)} |\n|---|{'--:|' * (len(COLUMNS) - 2)}---|"


@dataclass(frozen=True)
class Row:
    """What optimizing a program for time came to: a line of the table, or why there is none."""

    name: str
    line: str
    why: str


def row(
    path: Path, profile: Profile, *, allow_packing: bool = False, precision: float | None = None, option: str = ""
) -> Row | None:
    """None where the program is refuted."""
    target = api.Target(precision=precision)
    try:
        found = api.optimize(path, profile=profile, allow_packing=allow_packing, target=target)
    except SlotError as problem:
        code = problem.diagnostics[0].code
        if code == "SL481":
            return None
        if code == "SL411" and precision is None:
            # the fixed parameters do not hold its bounds
            return row(path, profile, precision=PRECISION, option=f" `--precision {PRECISION:g}`")
        raise
    name = str(path.relative_to(ROOT / "programs").with_suffix(""))
    before, after = (api.cost(program, profile=profile, target=target) for program in (found.before, found.after))
    if not found.changes:
        return Row(name + option, "", why(found.search, before.bounds))
    assert found.report.proved and after.predicted.evaluation <= before.predicted.evaluation
    figures = [
        [c.counts.rotations, c.counts.galois_keys, c.counts.plain_products, _parameters(c, precision)]
        for c in (before, after)
    ]
    pairs = [f"{a} → {b}" if a != b else f"{a}" for a, b in zip(*figures, strict=True)]
    times = [f"{1000 * c.predicted.evaluation:.1f}" for c in (before, after)]
    option = " `--allow-packing`" if allow_packing else option
    rules = ", ".join(dict.fromkeys(rule for rule, _ in found.changes))
    return Row(name, "| " + " | ".join([name + option, *times, *pairs, rules]) + " |", "")


def _parameters(cost: Cost, precision: float | None) -> str:
    """The degree; with a precision the primes too."""
    degree, primes = cost.parameters["degree"], cost.parameters["primes"]
    assert isinstance(primes, list)
    return str(degree) if precision is None else f"{degree}: {','.join(map(str, primes))}"


def corpus() -> list[Path]:
    """All programs."""
    return sorted((ROOT / "programs").rglob("*.slot"), key=lambda path: (len(path.parts), path))


def table() -> str:
    """The programs that get cheaper, and why the others do not."""
    profile = api.find_profile()
    rows, refuted = [], 0
    for path in corpus():
        if "# expect: refuted" in path.read_text(encoding="utf-8"):
            refuted += 1
            continue
        found = row(path, profile)
        assert found is not None
        rows.append(found)
    cheaper, others = [r for r in rows if r.line], [r for r in rows if not r.line]

    def again(names: tuple[str, ...], *, allow_packing: bool = False, precision: float | None = None) -> list[str]:
        paths = [ROOT / "programs" / f"{name}.slot" for name in names]
        found = [row(path, profile, allow_packing=allow_packing, precision=precision) for path in paths]
        return [r.line for r in found if r is not None and r.line]

    return "\n".join(
        [
            HEAD,
            *(r.line for r in cheaper),
            *again(PACKED, allow_packing=True),
            "",
            f"{len(cheaper)} of {len(rows)} proved programs get cheaper; {refuted} are refuted, and left out. Others:",
            "",
            "| program | why nothing cheaper is found |",
            "|---|---|",
            *(f"| {r.name} | {r.why} |" for r in others),
            "",
            f"With `--precision {PRECISION:g}`, before and after each at the parameters that it takes:",
            "",
            HEAD.replace("| degree |", "| parameters |"),
            *again(AT_PRECISION, precision=PRECISION),
        ]
    )


def main() -> None:
    """Rewrite the region between the marks."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
