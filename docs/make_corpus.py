"""Check, count and prove for all sizes every program of the corpus, and rewrite the tables of corpus.md: a minute.

python docs/make_corpus.py
"""

from __future__ import annotations

import re
from pathlib import Path

from slotlang import api
from slotlang.cost.report import Cost
from slotlang.proof.forall.check import check_for_all
from slotlang.proof.report import Report
from slotlang.syntax.parser import parse, read_source

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = ROOT / "programs"
PAGE = ROOT / "docs" / "corpus.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
FOLDERS = {
    "": "Low-rank updates, and examples of single words",
    "adapters": "Other adapters",
    "matrices": "Products of matrices",
    "attention": "Attention",
    "convolutions": "Convolutions and pooling",
    "layers": "Activations, layers, statistics",
    "theorems": "Forms of theorems",
    "seed": "Schedules of the seed document",
}
"""What stands in each folder, in the order of the page."""
COLUMNS = (
    "program",
    "sizes",
    "verdict",
    "all sizes",
    "rotations",
    "key switches",
    "up",
    "down",
    "in a row",
    "what it is",
)
HEAD = f"| {' | '.join(COLUMNS)} |\n|---|---|---|---|{'--:|' * 5}---|"
FOR_ALL = COLUMNS.index("all sizes")

_SENTENCE = re.compile(r"(.*?\.)(?= [A-Z`]|$)")
_SOURCE = re.compile(r"(?P<authors>[^\"]*?), \".*?(?P<year>\b(?:19|20)\d\d)\b")


def corpus() -> list[Path]:
    """All programs, folder by folder."""
    return [path for folder in FOLDERS for path in sorted((PROGRAMS / folder).glob("*.slot"))]


def name(path: Path) -> str:
    """``rank_complex``, ``seed/hoisted``."""
    return path.relative_to(PROGRAMS).with_suffix("").as_posix()


def head(path: Path) -> tuple[str, str]:
    """The first sentence of a program's comment, and whom it is from: authors and year, empty where it names nobody."""
    comment = re.search(r"^# tiny:.*\n((?:# .*\n)*)", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert comment is not None, path
    text = " ".join(line.removeprefix("# ") for line in comment[1].splitlines())
    what, _, source = text.partition(" Source: ")
    sentence, whom = _SENTENCE.match(what), _SOURCE.match(source)
    assert sentence is not None and (whom is not None or not source), path
    return sentence[1], f"{whom['authors']} {whom['year']}" if whom else ""


def line(path: Path, report: Report, cost: Cost, for_all: str) -> str:
    """A program's line of the table: what it says of itself, and what was measured of it at its own sizes."""
    counts = cost.counts
    what, whom = head(path)
    cells = (
        f"[{name(path)}](../programs/{name(path)}.slot)",
        ", ".join(f"{size} = {cost.sizes[size]}" for size in cost.sizes),
        report.status,
        for_all,
        f"{counts.rotations:,}",
        f"{counts.key_switches:,}",
        f"{counts.ciphertexts_in:,}",
        f"{counts.ciphertexts_out:,}",
        f"{counts.depth}",
        what + (f" ({whom})" if whom else ""),
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def lines() -> dict[str, str]:
    """The lines that the page has, by program."""
    text = PAGE.read_text(encoding="utf-8")
    return {found[1]: found[0] for found in re.finditer(r"^\| \[(\S+)\]\(.*$", text, re.MULTILINE)}


def for_all(said: str) -> str:
    """What a line says of all sizes."""
    return said.split(" | ")[FOR_ALL]


def measured(path: Path) -> str:
    """A program's line, measured."""
    program = api.load(path)
    everywhere = check_for_all(parse(read_source(path)), ["all"])
    return line(path, api.check(program), api.cost(program), everywhere.status)


def main() -> None:
    """Rewrite the region between the marks."""
    parts = []
    for folder, title in FOLDERS.items():
        paths = [path for path in corpus() if path.parent == PROGRAMS / folder]
        parts += [f"### {title}", "", HEAD, *map(measured, paths), ""]
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n" + "\n".join(parts) + f"\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
