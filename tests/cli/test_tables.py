"""Tables at every width: nothing is cut, and what is compared is alike."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import slotlang
from repository import PROGRAMS
from rich.console import Console
from rich.text import Text

from slotlang.api import check, loads
from slotlang.cli.console import SideBySide

RANKS = [str(PROGRAMS / "rank_complex.slot"), str(PROGRAMS / "rank_first.slot")]
SMALL = [word for size in ("d=32", "r=4", "batch=2", "slots=32") for word in ("--set", size)]


def printed(table: SideBySide, width: int) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(table)
    return [line.rstrip() for line in captured.get().splitlines()]


def table(names: list[str], **options: bool) -> SideBySide:
    entries = [[Text(name), Text(f"{k}.5 ms"), Text(str(1000 * k))] for k, name in enumerate(names, 1)]
    return SideBySide(("program", "predicted", "rotations"), entries, **options)


def test_a_table_that_fits_has_a_row_for_each_entry() -> None:
    assert printed(table(["a", "long"]), 40) == [
        "program  predicted  rotations",
        "a           1.5 ms       1000",
        "long        2.5 ms       2000",
    ]


def test_a_table_that_is_too_wide_has_a_column_for_each_entry() -> None:
    assert printed(table(["a", "b"]), 26) == [
        "                a       b",
        "predicted  1.5 ms  2.5 ms",
        "rotations    1000    2000",
    ]


def test_names_that_do_not_fit_over_columns_are_listed() -> None:
    name = "a_name_of_28_characters.slot"
    assert printed(table([name, "b", "c"], numbered=True), 31) == [
        f"1  {name}",
        "2  b",
        "3  c",
        "",
        "                1       2",
        "predicted  1.5 ms  2.5 ms",
        "rotations    1000    2000",
        "",
        "                3",
        "predicted  3.5 ms",
        "rotations    3000",
    ]


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("command", [["compare", *RANKS], ["cost", RANKS[0]], ["show", RANKS[0]]], ids=lambda c: c[0])
def test_no_text_is_cut(command: list[str], width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    ended = slotlang(*command, *SMALL)
    assert ended.status == 0 and "…" not in ended.out
    assert not [line for line in ended.out.splitlines() if line != line.rstrip()]
    if command[0] == "compare":
        assert "rank_complex  rank_first" in ended.out and max(map(len, ended.out.splitlines()[:14])) <= width


def test_programs_of_one_name_are_named_by_their_files(tmp_path: Path) -> None:
    copy = tmp_path / "copy.slot"
    copy.write_text(Path(RANKS[0]).read_text(encoding="utf-8"), encoding="utf-8")
    out = slotlang("compare", RANKS[0], str(copy), RANKS[1], *SMALL).out
    starts = [line.split()[0] for line in out.splitlines()[1:4]]
    assert starts == [RANKS[0], str(copy), "rank_first"]


@pytest.mark.parametrize("symbolic", [[], ["--symbolic"]])
def test_programs_of_different_shapes_are_not_compared(symbolic: list[str]) -> None:
    # lora has d_in and d_out in place of d, and keeps its 4096
    lora, other = str(PROGRAMS / "lora.slot"), RANKS[0]
    ended = slotlang("compare", lora, other, "--set", "d=1024", *symbolic)
    assert ended.status == 2 and ended.err.startswith("error[SL009]")
    assert f"note: {lora} computes x[4096, 8] to y[4096, 8]" in ended.err
    assert f"note: {other} computes x[1024, 8] to y[1024, 8]" in ended.err
    assert f"{lora} has no size d; its sizes are d_in, d_out" in ended.err


def test_programs_with_other_names_for_one_shape_are_compared() -> None:
    sizes = ["--set", "d=1024", "--set", "d_in=1024", "--set", "d_out=1024"]
    ended = slotlang("compare", str(PROGRAMS / "lora.slot"), RANKS[0], *sizes, "--json")
    assert ended.status == 0, ended.err
    assert [p["verdict"] for p in json.loads(ended.out)["programs"]] == ["proved", "proved"]


def test_a_program_that_is_printed_stands_alone() -> None:
    ended = slotlang("synth", "--d-in", "4", "--d-out", "4", "--rank", "1")
    assert ended.status == 0 and "structures compared" in ended.err
    assert check(loads(ended.out)).proved
