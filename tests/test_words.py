"""The words of the language have one list each for the compiler and the re-checker; the grammar is the measure."""

from __future__ import annotations

import re

import pytest

from slotlang.codes import EXPLANATIONS
from slotlang.diagnostics import SlotError
from slotlang.recheck import reader
from slotlang.source import Source
from slotlang.syntax.parser import parse, parse_file
from slotlang.syntax.tables import grammar_path
from slotlang.words import (
    EXPRESSION_WORDS,
    MAX_DEPTH,
    PART_WORDS,
    RESERVED,
    SLOTWISE_WORDS,
    SOFT_FORMS,
    SOFT_START,
    SOFT_WORDS,
)

GRAMMAR = re.sub(r"//.*", "", grammar_path().read_text())
(PART,) = re.findall(r"^PART[^/]*/\(([a-z|]+)\)", GRAMMAR, re.MULTILINE)


def test_reserved_words_are_those_that_the_grammar_spells() -> None:
    spelled = set(re.findall(r'"([a-z]+)"', GRAMMAR)) | set(PART.split("|")) | {"slot"}
    assert spelled == RESERVED | SOFT_WORDS
    assert set(reader.reserved().pattern.split("|")) == RESERVED


def test_the_words_before_one_operand_are_the_terminal_part() -> None:
    assert set(PART_WORDS) == set(PART.split("|")) == set(reader.parts())
    assert set(PART_WORDS) - set(SLOTWISE_WORDS) == {"re", "im"}


@pytest.mark.parametrize("word", SOFT_FORMS)
def test_words_that_may_be_names_start_statements_where_the_grammar_says(word: str) -> None:
    (terminal,) = re.findall(rf"^_{word.upper()}[^/]*/(.*)/$", GRAMMAR, re.MULTILINE)
    assert terminal.replace(word, f"({word})", 1) in SOFT_START.pattern
    assert word not in RESERVED
    parse_file(Source("p.slot", SOFT_FORMS[word].removeprefix("write ").partition(", or ")[0]))


@pytest.mark.parametrize("word", ["-", "+", "not", *PART.split("|")])
def test_a_long_run_of_prefixes_is_refused_before_it_is_parsed(word: str) -> None:
    program = f"program p(n = 2)\nrequire {f'{word} ' * (MAX_DEPTH + 1)}n\n"
    with pytest.raises(SlotError) as caught:
        parse(Source("p.slot", program))
    assert [d.code for d in caught.value.diagnostics] == ["SL104"]
    assert reader.prefixes().search(program)
    assert not reader.prefixes().search(program.replace(f"{word} ", "", 1))


def test_the_explanation_of_sl105_names_every_word_of_expressions() -> None:
    text = EXPLANATIONS["SL105"]
    assert set(re.findall("[a-z]+", text.partition("keywords and ")[2])) == set(EXPRESSION_WORDS)
    assert max(map(len, text.splitlines())) <= 115


def test_a_name_that_is_a_word_is_refused_by_the_re_checker() -> None:
    for word in RESERVED - {"slot"}:
        with pytest.raises(reader.Rejected):
            list(reader.statements(f"let {word} = 2"))
