from __future__ import annotations

import random
from typing import get_args

import pytest

from slotlang.editor.text import Place, Text, Unit


def encoded(text: str, unit: Unit) -> int:
    """Units by the codecs themselves."""
    size = {"utf-8": 1, "utf-16": 2, "utf-32": 4}[unit]
    return len(text.encode({"utf-8": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}[unit])) // size


@pytest.mark.parametrize("unit", get_args(Unit))
def test_places(unit: Unit) -> None:
    plain = "ab\nα𝔖c\n\nlast 𝔖"
    text = Text(plain.replace("\n", "\r\n"))
    for offset in range(len(plain) + 1):
        before = plain[:offset]
        line = before.count("\n")
        expected = Place(line, encoded(before[before.rfind("\n") + 1 :], unit))
        assert text.place(offset, unit) == expected
        assert text.offset(expected, unit) == offset


def test_line_ends_are_those_of_the_protocol() -> None:
    text = Text("a\x0bb\x0cc\u2028d\x85e\rf\r\ng\nh")
    assert text.plain == "a\x0bb\x0cc\u2028d\x85e\nf\ng\nh"
    assert text.place(text.plain.index("h"), "utf-16") == Place(3, 0)


def test_places_beyond_the_text_are_its_ends() -> None:
    text = Text("ab\ncd")
    assert text.offset(Place(0, 99), "utf-16") == 2
    assert text.offset(Place(99, 0), "utf-16") == 5
    assert text.offset(Place(-1, 5), "utf-16") == 0
    assert text.changed(Place(5, 5), Place(0, 0), "x", "utf-16").text == "ab\ncdx"


@pytest.mark.parametrize("unit", get_args(Unit))
def test_changes(unit: Unit) -> None:
    """Random changes, given as places, against the same changes of a list of characters."""
    chance = random.Random(5)
    characters = list("program p\r\nlet α = 𝔖\r\n\nend")
    text = Text("".join(characters))
    for _ in range(300):
        a, b = sorted(chance.randrange(len(characters) + 1) for _ in range(2))
        # no place lies between the two characters of one line end
        if any("".join(characters[k - 1 : k + 1]) == "\r\n" for k in (a, b)):
            continue
        new = "".join(chance.choice(["x", "α", "𝔖", "\n", "\r\n", " "]) for _ in range(chance.randrange(4)))
        before = "".join(characters)
        places = []
        for k in (a, b):
            lines = before[:k].replace("\r\n", "\n").replace("\r", "\n").split("\n")
            places.append(Place(len(lines) - 1, encoded(lines[-1], unit)))
        text = text.changed(*places, new, unit)
        characters[a:b] = new
        assert text.text == "".join(characters)
