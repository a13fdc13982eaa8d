"""What a program says beside its arithmetic: bounds of magnitudes, and parameters. No goal rests on them."""

# fmt: off
from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from lark import Token

from .reader import need

WORDS, ALL = ("degree", "primes", "scales", "drops", "keys"), Token("COLON", ":")

def bound(kind: Callable[[str], str], shape: tuple[int, ...], about: Any, sign: str, limit: Any) -> str:
    """The magnitudes that a bound is about, in words that are not a name: each is bounded once."""
    name, *places = about.children
    names = limit.scan_values(lambda t: isinstance(t, Token) and t.type == "NAME")
    need(sign == "<=" and all(kind(name) == "size" for name in names), "a bound is '<=' a number made of sizes")
    if about.data == "entry": return f"|{name}|"
    free = [str(t) for t in places if t != ALL]
    need(len(places or [ALL]) == len(shape) == len(free) + 1, f"the norm of '{name}' goes along one of its dimensions")
    need(len({*free}) == len(free), "an index stands twice")
    for index in free: need(kind(index) in ("unknown", "digit"), f"'{index}' is {kind(index)} here")
    return f"norm of {name} along {(places or [ALL]).index(ALL)}"

def parameters(settings: tuple[Any, ...]) -> str:
    given = {str(s.children[0]): s.children[1:] for s in settings}
    need(len(given) == len(settings) and {*WORDS[:3]} <= given.keys() <= {*WORDS}, "these are not parameters")
    whole = all(re.fullmatch("[0-9]{1,9}", n) for numbers in given.values() for n in numbers)
    need(whole and len(given["degree"]) == 1, "parameters are whole numbers, and one degree")
    return "the parameters"
