"""Optimize every program of the corpus and rewrite the tables of optimize.md. It takes two minutes.

python docs/make_optimize_table.py
"""

from __future__ import annotations

from pathlib import Path

from slotlang import api
from slotlang.cost.profile import Profile
from slotlang.diagnostics import SlotError

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "optimize.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
COLUMNS = ("program", "ms before", "ms after", "rotations", "keys", "products", "degree", "changes")
HEAD = f"| {' | '.join(COLUMNS)} |\n|---|{'--:|' * (len(COLUMNS) - 2)}---|"


def row(path: Path, profile: Profile, *, allow_packing: bool = False) -> str | None:
    """What optimizing a program for time changes, as a line of a table; None where it changes nothing, or where the
    program is refuted."""
    try:
        found = api.optimize(path, profile=profile, allow_packing=allow_packing)
    except SlotError as problem:
        if problem.diagnostics[0].code == "SL481":
            return None
        raise
    if not found.changes:
        return None
    before, after = (api.cost(program, profile=profile) for program in (found.before, found.after))
    assert found.report.proved and after.predicted.evaluation <= before.predicted.evaluation
    figures = [
        [c.counts.rotations, c.counts.galois_keys, c.counts.plain_products, c.parameters["degree"]]
        for c in (before, after)
    ]
    pairs = [f"{a} → {b}" if a != b else f"{a}" for a, b in zip(*figures, strict=True)]
    times = [f"{1000 * c.predicted.evaluation:.1f}" for c in (before, after)]
    name = str(path.relative_to(ROOT / "programs").with_suffix("")) + (" `--allow-packing`" if allow_packing else "")
    rules = ", ".join(dict.fromkeys(rule for rule, _ in found.changes))
    return "| " + " | ".join([name, *times, *pairs, rules]) + " |"


def corpus() -> list[Path]:
    """All programs."""
    return sorted((ROOT / "programs").glob("*.slot")) + sorted((ROOT / "programs" / "seed").glob("*.slot"))


def table() -> str:
    """The programs that get cheaper, and how many do not."""
    profile = api.find_profile()
    rows, kept, refuted = [], [], 0
    for path in corpus():
        if "# expect: refuted" in path.read_text(encoding="utf-8"):
            refuted += 1
            continue
        found = row(path, profile)
        if found is None:
            kept.append(f"`{path.stem}`")
        else:
            rows.append(found)
    packed = row(ROOT / "programs" / "permuted.slot", profile, allow_packing=True)
    tail = (
        f"{len(rows)} of {len(rows) + len(kept)} proved programs get cheaper; {refuted} are refuted and left out. "
        f"Nothing cheaper is found for {', '.join(kept)}."
    )
    return "\n".join([HEAD, *rows, *([packed] if packed else []), "", tail])


def main() -> None:
    """Rewrite the region between the marks."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
