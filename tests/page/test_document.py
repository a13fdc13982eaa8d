"""The page as a file: nothing is loaded, everything is there, and no text ends an element."""

from __future__ import annotations

import json
import re

from command_line import slotlang
from page_reader import Reader
from repository import PROGRAMS, ROOT

from slotlang.page.document import SCRIPTS, document
from slotlang.page.parts import whole

HOSTILE = "</script><script>alert(1)</script><!-- {{data}} {{script}} ]]> \u2028 & ' \""
SMALL = ["--set", "d=16", "--set", "r=4", "--set", "batch=2", "--set", "slots=16"]
TEXT = "# {}\nprogram p(n = 4)\ninput x[n]\naxes (h < n)\ncipher X = x[h]\noutput y[h] = X\nprove y == x\n"


def test_the_page_needs_nothing_else():
    data = whole(TEXT.format("quiet"), "p.slot", None)
    text = document("report", "p", data, TEXT)
    page = Reader(text)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r"^\s*//.*$", "", text, flags=re.M))
    assert all(not {"src", "srcset", "data", "action"} & a.keys() for _, a in page.elements)
    assert [a["href"] for _, a in page.elements if "href" in a] == ["#slots"]
    (policy,) = [a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy and "connect-src" not in policy
    assert page.data == {"mode": "report", "data": json.loads(json.dumps(data))}


def test_hostile_texts_and_names_stay_texts():
    text = TEXT.format(HOSTILE.replace("\u2028", ""))
    data = whole(text, HOSTILE, None)
    page = Reader(document("report", HOSTILE, data, text))
    assert len(page.of("script")) == 2 and len(page.of("style")) == 1
    assert page.of("title") == [HOSTILE]
    assert page.data["data"]["file"] == HOSTILE
    assert "".join(p for p, _, _ in page.data["data"]["pieces"]) == text
    assert page.of("pre") == [text]
    # the data is one line of ASCII without signs that HTML or JavaScript could take for something else
    (plain,) = [t for t in page.of("script") if t.startswith('{"mode"')]
    assert plain.isascii() and not set("<>&\n") & set(plain)


def test_names_for_screen_readers_and_keys():
    page = Reader(document("report", "p", {}))
    assert ("html", {"lang": "en"}) in page.elements
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    for tag, a in page.elements:
        for name in ("aria-labelledby", "aria-describedby"):
            assert all(i in ids for i in a.get(name, "").split()), (tag, a)
        if tag in ("canvas", "textarea"):
            assert "aria-label" in a or "aria-describedby" in a
        if tag == "section":
            assert "aria-labelledby" in a
    canvas = next(a for t, a in page.elements if t == "canvas")
    assert canvas["tabindex"] == "0"
    # every element that the scripts look for is there
    scripts = "".join((ROOT / "slotlang" / "page" / name).read_text() for name in SCRIPTS)
    assert set(re.findall(r'byId\("([^"]+)"\)', scripts)) <= set(ids)
    assert "innerHTML" not in scripts and "eval(" not in scripts


def test_report_writes_the_page(tmp_path):
    out = tmp_path / "page.html"
    ended = slotlang("report", str(PROGRAMS / "rank_complex.slot"), "-o", str(out), *SMALL, "--json")
    said = json.loads(ended.out)
    assert ended.status == 0 and said["schema"] == "slotlang.report/1"
    assert said["bytes"] == out.stat().st_size
    assert said["programs"] == [{"program": "rank_complex", "verdict": "proved", "values": 16, "complete": True}]
    page = Reader(out.read_text())
    assert page.data["data"]["programs"][0]["sizes"] == {"d": 16, "r": 4, "batch": 2, "slots": 16}
    # where the file was is nobody's business
    assert str(ROOT) not in out.read_text()


def test_report_refuses_with_a_code_and_writes_nothing(tmp_path):
    out = tmp_path / "page.html"
    good = str(PROGRAMS / "rank_complex.slot")
    broken = tmp_path / "broken.slot"
    broken.write_text("program p(n = 4)\ninput x[m]\n")
    for arguments, code in [
        ([str(tmp_path / "none.slot"), "-o", str(out)], "SL001"),
        ([str(broken), "-o", str(out)], "SL201"),
        ([good, "-o", str(out), "--set", "z=1"], "SL212"),
        ([good, "-o", str(out), "--set", "d"], "SL005"),
        ([good], "SL005"),
        ([str(broken), "-o", str(broken)], "SL006"),
        ([good, *SMALL, "-o", str(tmp_path / "no" / "page.html")], "SL004"),
    ]:
        ended = slotlang("report", *arguments)
        assert ended.status == 2 and code in ended.err, (arguments, ended)
        assert not out.exists()
