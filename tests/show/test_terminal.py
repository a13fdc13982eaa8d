"""What the terminal shows: the whole text of a small program at 80 columns, and what holds at any width."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from amounts import examples
from hypothesis import given
from hypothesis import strategies as st
from repository import bind_text
from rich.console import Console, RenderableType

from slotlang.meaning.program import Program
from slotlang.proof.check import check
from slotlang.show.content import contents
from slotlang.show.grid import picked
from slotlang.show.overview import overview
from slotlang.show.terminal import draw, draw_overview, draw_refutation, strip
from slotlang.show.wrong import mark_wrong, refutation, wrong_slots

FOLDER = Path(__file__).resolve().parent
TEXT = (FOLDER / "rank_complex.slot").read_text(encoding="utf-8")
SMALL = {"d": 32, "r": 4, "batch": 4, "slots": 32}


def bound(text: str = TEXT, **sizes: int) -> Program:
    return bind_text(text, sizes)


def printed(
    what: RenderableType, width: int = 80, colour: bool = False, encoding: str = "utf-8", *, soft_wrap: bool = False
) -> str:
    """Lines without the spaces at their ends."""
    import io

    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    system = "standard" if colour else None
    console = Console(file=stream, width=width, color_system=system, force_terminal=colour, legacy_windows=False)
    console.print(what, soft_wrap=soft_wrap)
    stream.flush()
    text = stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines())


def test_a_plain_vector() -> None:
    assert printed(draw(contents(bound(**SMALL), "W", (1, 2)))) == (
        "W[1, 2]  plaintext, 32 slots (h < 8, t < 4)\n"
        "  W[q, c] = B[(h - q) % R, c*C + h] + 1i * B[(h - q) % R + R, c*C + h]\n"
        "\n"
        "       t = 0–3\n"
        "h = 0  B[1,16] + 1i*B[3,16]\n"
        "h = 1  B[0,17] + 1i*B[2,17]\n"
        "h = 2  B[1,18] + 1i*B[3,18]\n"
        "h = 3  B[0,19] + 1i*B[2,19]\n"
        "h = 4  B[1,20] + 1i*B[3,20]\n"
        "h = 5  B[0,21] + 1i*B[2,21]\n"
        "h = 6  B[1,22] + 1i*B[3,22]\n"
        "h = 7  B[0,23] + 1i*B[2,23]\n"
        "\n"
        "8 distinct contents, each 4 times, the same for every t"
    )


def test_a_claimed_vector_of_4096_slots() -> None:
    assert printed(draw(contents(bound(), "S"), rows=10)) == (
        "S  computed, 4,096 slots (h < 512, t < 8)\n"
        "  S = sum f < C/R by doubling: T << f*R*batch\n"
        "  as claimed in line 23: S == (B @ x)[h % R, t] + 1i * (B @ x)[h % R + R, t]\n"
        "\n"
        "         t = 0                        …  t = 7\n"
        + "".join(
            f"  h = {h}  {f'(B@x)[{h},0] + 1i*(B@x)[{h + 8},0]':27}  …  (B@x)[{h},7] + 1i*(B@x)[{h + 8},7]\n"
            for h in range(8)
        )
        + "      ⋮  these 8 rows again, 64 times in all\n"
        "h = 511  (B@x)[7,0] + 1i*(B@x)[15,0]  …  (B@x)[7,7] + 1i*(B@x)[15,7]\n"
        "\n"
        "64 distinct contents, each 64 times, period 64"
    )


def test_empty_slots_and_slots_without_digits() -> None:
    text = "program p(n = 18, slots = 24)\ninput x[n]\nweight A[n]\ncipher X = x[slot] else 0\n"
    program = bound(text + "output y[slot] = X\nprove y == x\n")
    assert printed(draw(contents(program, "X"))) == (
        "X  packed by the client, 24 slots\n"
        "  X = x[slot] else 0\n"
        "\n"
        "         +0     +1     +2     +3     +4     +5     +6     +7\n"
        " slot 0  x[0]   x[1]   x[2]   x[3]   x[4]   x[5]   x[6]   x[7]\n"
        " slot 8  x[8]   x[9]   x[10]  x[11]  x[12]  x[13]  x[14]  x[15]\n"
        "slot 16  x[16]  x[17]  ·      ·      ·      ·      ·      ·\n"
        "\n"
        "no two slots hold the same; 6 slots empty"
    )


def test_overview() -> None:
    program = bound(**SMALL)
    text = printed(draw_overview(program.name, program.slots, overview(program)))
    assert text == (
        "rank_complex  32 slots\n"
        "\n"
        "family           kind      vectors  ciphertexts  distinct  empty\n"
        "X[c < 4]         cipher          4            4        32      0\n"
        "    X[c] = x[c*C + h, t]\n"
        "W[q < 2, c < 4]  plain           8            -         8      0\n"
        "    W[q, c] = B[(h - q) % R, c*C + h] + 1i * B[(h - q) % R + R, c*C + h]\n"
        "P[q < 2]         computed        2            2        32      0\n"
        "    P[q] = sum c < K: X[c] * W[q, c]\n"
        "T                computed        1            1        32      0\n"
        "    T = sum q < R by horner: P[q] << q*batch\n"
        "S                computed        1            1         8      0\n"
        "    S = sum f < C/R by doubling: T << f*R*batch\n"
        "    claimed in line 23: S == (B @ x)[h % R, t] + 1i * (B @ x)[h % R + R, t]\n"
        "V[q < 2, c < 4]  plain           8            -         8      0\n"
        "    V[q, c] = scale * (A[c*C + h, (h + q) % R] - 1i * A[c*C + h, (h + q) % R +\n"
        "    R])\n"
        "Y[c < 4]         computed        4            4        32      0\n"
        "    Y[c] = sum q < R: (S << q*batch) * V[q, c]\n"
        "\n"
        "distinct and empty: contents of the slots of a family's first vector"
    )


def test_a_narrow_overview_cuts_nothing() -> None:
    program = bound(**SMALL)
    lines = printed(
        draw_overview(program.name, program.slots, overview(program)), width=40, soft_wrap=True
    ).splitlines()
    at = lines.index("W[q < 2, c < 4]  plain")
    assert lines[at + 1] == "    vectors 8, ciphertexts -, distinct 8, empty 0"
    assert lines[at + 2] == "    W[q, c] = B[(h - q) % R, c*C + h] + 1i * B[(h - q) % R + R, c*C + h]"
    assert "…" not in "".join(lines)


BROKEN = TEXT.replace("cipher X[c < K] = x[c*C + h, t]", "cipher X[c < K] = x[c*C + h, t] * [t != 3]")


def test_refutation() -> None:
    program = bound(BROKEN, d=32, r=4, batch=8, slots=32)
    report = check(program, "polyhedral")
    text = printed(draw_refutation(refutation(program, report)))
    assert text.startswith("claim S is refuted (line 23)\n\n  slot 3 of S  (h = 0, t = 3)\n    product")
    _, _, below = text.partition("at this slot\n\n")
    assert below == (
        "     slot  h  t  should hold                 holds\n"
        "        0  0  0  (B@x)[0,0] + 1i*(B@x)[2,0]  as it should\n"
        "        1  0  1  (B@x)[0,1] + 1i*(B@x)[2,1]  as it should\n"
        "        2  0  2  (B@x)[0,2] + 1i*(B@x)[2,2]  as it should\n"
        "  ✗     3  0  3  (B@x)[0,3] + 1i*(B@x)[2,3]  0\n"
        "        4  0  4  (B@x)[0,4] + 1i*(B@x)[2,4]  as it should\n"
        "        5  0  5  (B@x)[0,5] + 1i*(B@x)[2,5]  as it should\n"
        "        6  0  6  (B@x)[0,6] + 1i*(B@x)[2,6]  as it should\n"
        "\n"
        "4 of 32 slots of S are wrong: exactly those with t = 3\n"
        "  slot 0  ···█·······█·······█·······█····  31"
    )


def test_wrong_slots_are_in_sight() -> None:
    program = bound(BROKEN)
    found = mark_wrong(contents(program, "S"), wrong_slots(program, check(program, "polyhedral").failure))
    text = printed(draw(found))
    assert "✗ (B@x)[0,3]" in text
    assert "512 of 4,096 slots of S are wrong" in text
    wrong = np.zeros(4096, bool)
    wrong[2500] = True
    text = printed(draw(replace(contents(program, "X"), wrong=wrong)))
    assert "✗ x[312,4]" in text
    assert "h = 0" in text
    assert "h = 511" in text


def test_without_unicode_everything_is_ascii() -> None:
    program = bound(BROKEN)
    report = check(program, "polyhedral")
    found = refutation(program, report)
    for what in (
        draw(mark_wrong(contents(program, "S"), found.wrong)),
        draw(contents(program, "W")),
        draw_refutation(found),
        draw_overview(program.name, program.slots, overview(program)),
    ):
        text = printed(what, encoding="ascii")
        assert text.isascii()
        assert "?" not in text
    assert "! " in printed(draw_refutation(found), encoding="ascii")


def test_repeats_share_a_colour() -> None:
    program = bound(**SMALL)
    text = printed(draw(contents(program, "S")), width=200, colour=True)
    first, third = (next(line for line in text.splitlines() if f"h = {h}" in line) for h in (0, 2))
    assert first.replace("h = 0", "") == third.replace("h = 2", "")
    assert "\x1b[36m(B@x)[0,0]" in text
    assert "\x1b[36mx[0,0]" not in printed(draw(contents(program, "X")), colour=True)


@pytest.mark.parametrize("width", [20, 33, 40, 80, 120, 250])
@pytest.mark.parametrize("name", ["X", "W", "S", "Y"])
def test_nothing_is_wider_than_the_terminal(name: str, width: int) -> None:
    for line in printed(draw(contents(bound(), name)), width).splitlines():
        assert len(line) <= width


@pytest.mark.parametrize("slots", [1, 2, 3, 7, 12, 13, 26, 65])
def test_any_number_of_slots(slots: int) -> None:
    text = (
        f"program p(n = {slots}, slots = {slots})\ninput x[n]\ncipher X = x[slot]\noutput y[slot] = X\nprove y == x\n"
    )
    shown = printed(draw(contents(bound(text), "X"), rows=100), width=200)
    assert all(f"x[{k}]" in shown for k in range(slots))


@examples()
@given(st.integers(1, 60), st.integers(2, 20), st.none() | st.integers(0, 59))
def test_picked(count: int, limit: int, around: int | None) -> None:
    if around is not None:
        around = min(around, count - 1)
    chosen = picked(count, limit, around)
    numbers = [n for n in chosen if n is not None]
    assert numbers == sorted(set(numbers))
    assert len(numbers) <= max(limit, 3)
    assert around is None or around in numbers
    assert numbers[-1] == count - 1
    gaps = [a for a, b in pairwise(numbers) if b > a + 1]
    assert len(chosen) - len(numbers) == len(gaps) + (numbers[0] > 0)
    if count <= limit:
        assert numbers == list(range(count))


def test_strip() -> None:
    assert strip(np.array([True, False, False, True]), 2) == "▄▄"
    assert strip(np.array([True, False]), 64) == "█·"
    assert strip(np.zeros(4096, bool), 64) == "·" * 64
    assert strip(np.arange(4096) == 9, 64)[0] == "▁"
