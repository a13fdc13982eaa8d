"""Numbers of things are written by one helper, so that no message says "1 rotations"."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest
from repository import ROOT

from slotlang import api
from slotlang.cli.formulas import formulas_text
from slotlang_runtime.amounts import count_of, field_count, noun_of, plural

NOT_COUNTED = {
    "slotlang/client/asynchronous.py: widths columns",
    "slotlang/cost/profile.py: primes[:9] primes",
    "slotlang/editor/vocabulary.py: 1:8192 primes",
    "slotlang/graph/unroll.py: many ciphertext operations",
    "slotlang/meaning/bind_value.py:  baby steps",
    "slotlang/proof/terms.py: factors factors",
    "slotlang/notebook/displays.py: primes bits",
    "slotlang/planning/parameters.py: ' and '.join(map(str, self.cut)) bits",
    "slotlang/planning/parameters.py: PRIME_BITS[-1] bits",
    "slotlang/planning/range_refusal.py: _up(missing) bits",
    "slotlang/proof/field.py: ' x '.join(map(str, form.shape)) elements",
    "slotlang/validation/normal_form.py: (): complex(numbers[0]) if numbers",
    "slotlang_runtime/operations.py: count!r rotations",
    "slotlang_runtime/operations.py: radix!r rotations",
    "slotlang_runtime/parameters.py: ', '.join(map(str, self.prime_bits)) bits",
}
"""Texts, lists, numbers that are never 1, and what is no message."""


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (0, "rotation", "0 rotations"),
        (1, "rotation", "1 rotation"),
        (2, "plain product", "2 plain products"),
        (1, "plain product", "1 plain product"),
        (1234, "slot", "1,234 slots"),
        (2, "key switch", "2 key switches"),
        (3, "index", "3 indices"),
        (2, "axis", "2 axes"),
        (2, "family", "2 families"),
        (2, "copy", "2 copies"),
        (2, "key", "2 keys"),
    ],
)
def test_a_number_and_its_noun(number: int, noun: str, text: str) -> None:
    assert count_of(number, noun) == text
    assert text.endswith(noun_of(number, noun))


@pytest.mark.parametrize(
    ("number", "field", "text"),
    [
        (1, "rotations", "1 rotation"),
        (2, "plain_products", "2 plain products"),
        (1, "plain_products", "1 plain product"),
        (1, "ciphertexts_in", "1 ciphertext in"),
        (1, "key_switches", "1 key switch"),
        (1, "members_found", "1 member found"),
        (1, "depth", "1 depth"),
    ],
)
def test_a_count_by_the_name_of_its_field(number: int, field: str, text: str) -> None:
    assert field_count(number, field) == text


COUNTED = re.compile(r"""(?:count_of|noun_of)\([^"']*(?:'[^']*'[^"']*)?, (?:"([\w -]+)"|'([\w -]+)')\)""")
BETWEEN = r"(?!(?:\w+ )?(?:are|from|has|have|holds|in|is|must|needs|no|of|takes|where|with) )"
"""What stands between a number and its noun is no verb and no preposition."""


def _sources() -> dict[str, str]:
    found = {}
    for package in ("slotlang", "slotlang_runtime"):
        for path in sorted((ROOT / package).rglob("*.py")):
            # what re-checks certificates shares no code with the rest
            if "recheck" not in path.parts:
                found[path.relative_to(ROOT).as_posix()] = path.read_text()
    return found


def _by_hand(source: str, nouns: set[str]) -> Iterator[str]:
    """Numbers in f-strings before a noun in the plural; limits, which are large, have names in capitals."""
    pattern = re.compile(
        rf"{{([^{{}}\"]*?)(?::,|:d)?}} {BETWEEN}((?:[A-Za-z-]+ ){{0,2}}?(?:{'|'.join(sorted(nouns))}))\b"
    )
    for number, noun in pattern.findall(source):
        if not re.fullmatch(r"[A-Z_]+", number) and not re.search(r":\.\d*[efg%]$", number) and "_of(" not in number:
            yield f"{number} {noun}"


def _nouns(sources: dict[str, str]) -> set[str]:
    return {plural(a or b).split()[-1] for text in sources.values() for a, b in COUNTED.findall(text)}


def test_no_message_counts_by_hand() -> None:
    sources = _sources()
    nouns = _nouns(sources)
    assert {"rotations", "slots", "tokens", "bytes", "families"} < nouns
    found = {f"{name}: {text}" for name, source in sources.items() for text in _by_hand(source, nouns)}
    assert sorted(found ^ NOT_COUNTED) == []


def _rows_by_hand(source: str, nouns: set[str]) -> Iterator[str]:
    """Rows of tables, a number and its noun, whose noun is written in the plural or made of a field's name."""
    if not re.search(r"\brows?\b|\"_\", \" \"", source):
        return
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(attr="replace"), args=[ast.Constant("_"), ast.Constant(" ")]):
                yield ast.unparse(node)
            case ast.Tuple([number, noun]) | ast.Call(args=[number, noun]):
                first = noun.values[0] if isinstance(noun, ast.JoinedStr) and noun.values else noun
                counted = ast.unparse(number).startswith(("f'{", "str("))
                if counted and isinstance(first, ast.Constant) and isinstance(first.value, str):
                    words = first.value.partition(",")[0].split()
                    if nouns & set(words[:2]):
                        yield first.value


HEADINGS = {
    "slotlang/cli/optimizing.py: name.replace('_', ' ')",
    "slotlang/cli/tables.py: rotations that share an operand (hoistable)",
    "slotlang/page/costs.py: rotations that share an operand (hoistable)",
}
"""Heads of rows that hold several numbers, and rotations that are never one alone."""


def test_no_row_of_a_table_counts_by_hand() -> None:
    sources = _sources()
    nouns = _nouns(sources)
    found = {f"{name}: {text}" for name, source in sources.items() for text in _rows_by_hand(source, nouns)}
    assert sorted(found ^ HEADINGS) == []


def test_the_search_sees_rows_that_count_by_hand() -> None:
    text = """
rows = [(f"{n:,}", "slots left"), (str(n), f"{name.replace('_', ' ')}, as predicted"), ("slots", "more")]
table.add_row(str(n), f"free slots of {name}")
table.add_row(str(n), noun_of(n, "slot"))
"""
    found = sorted(_rows_by_hand(text, {"slots"}))
    assert found == ["free slots of ", "name.replace('_', ' ')", "slots left"]


def test_no_text_of_the_page_counts_by_hand() -> None:
    nouns = "|".join(sorted(_nouns(_sources())))
    page = {path.name: path.read_text() for path in (ROOT / "slotlang/page").glob("*.js")}
    del page["codemirror.js"]
    assert "plural(s.batch, " in page["knobs.js"]
    found = {
        text for text in page.values() for text in re.findall(rf"\$\{{[^{{}}]*\}} (?:[a-z]+ )?(?:{nouns})\b", text)
    }
    assert found == {
        *("${steps.length} steps", "${moved.size} values", "${program.stages.length} stages"),
        '${c.primes.join(", ")} bits',
    }, "each of these is more than one, or a list"


ONE_OF_EACH = """
program one(slots = 8)
input x[slots], z[slots]
cipher X = x[slot]
cipher Z = z[slot]
Y = X * Z + (X << 1)
output y[slot] = re Y
prove y[i < slots] == x[i] * z[i] + x[(i + 1) % slots]
"""


def test_a_formula_that_is_1_has_a_noun_in_the_singular() -> None:
    lines = formulas_text(api.formulas(api.loads(ONE_OF_EACH))).splitlines()
    nouns = [line.strip()[3:] for line in lines if line.strip().startswith("1  ")]
    assert {"rotation", "relinearization", "ciphertext-ciphertext product", "ciphertext down"} <= set(nouns)
    assert not any(noun.removeprefix("Galois ").partition(",")[0].partition(" ")[0].endswith("s") for noun in nouns)


def test_the_search_sees_what_is_counted_by_hand() -> None:
    text = (
        "f\"{n:,} plain products, {count_of(m, 'slot')} free, {x:.1f} slots, {k} slots, {MOST} slots, {j} takes slots\""
    )
    assert list(_by_hand(text, {"products", "slots"})) == ["n plain products", "k slots"]
    assert COUNTED.findall(text) == [("", "slot")]
