"""A page as a program reads it: its scripts, and the data in it."""

from __future__ import annotations

import json
from html.parser import HTMLParser

VOID = {"meta", "input", "link", "br", "img"}


class Reader(HTMLParser):
    """Elements with their attributes, and the text of scripts and styles. Raises where tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
            self.texts.append((tag, dict(attributes), []))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag
        self.texts.append(("", {}, []))

    def handle_data(self, data):
        if self.texts:
            self.texts[-1][2].append(data)

    def of(self, tag):
        return ["".join(parts) for name, _, parts in self.texts if name == tag]

    @property
    def data(self):
        (text,) = ["".join(p) for name, a, p in self.texts if name == "script" and a.get("id") == "data"]
        return json.loads(text)


def expand(coded):
    """A column's numbers, one by one."""
    length, period, *runs = coded
    out, before = [], 0
    for start, step, count in zip(runs[::3], runs[1::3], runs[2::3], strict=True):
        before += start
        out += [before + step * k for k in range(count)]
    assert len(out) == period
    return [out[n % period] for n in range(length)]


def slot_texts(value, slots):
    """What each slot of a page's value holds."""
    coded = value["texts"]
    which, seen, texts = expand(coded["which"]), {}, []
    numbers = [[expand(c) for c in columns] for columns in coded["numbers"]]
    for t in which:
        k = seen[t] = seen.get(t, -1) + 1
        first, *rest = coded["templates"][t].split("\0")
        texts.append(first + "".join(f"{c[k]}{part}" for c, part in zip(numbers[t], rest, strict=True)))
    if value["described"] == "slots":
        return texts
    return ["0" if g < 0 else texts[g] for g in expand(value["groups"])][:slots]
