"""Parameters that are written down, in a program or on the command line."""

from __future__ import annotations

import pytest
from repository import bind_text, program_text

from slotlang.diagnostics import SlotError
from slotlang.lower import lower
from slotlang.meaning.program import Program
from slotlang.planning.given_parameters import parameters_named, program_parameters, statement_of
from slotlang.planning.parameters import Parameters
from slotlang.planning.planner import plan
from slotlang.planning.target import Target

SIZES = {"d": 32, "r": 4, "batch": 2, "slots": 16}
OWN = "parameters degree 8192 primes 60, 60, 60 scales 40, 30, 28"
PARAMETERS = Parameters(8192, (60, 60, 60), 40, scales=(40, 30, 28))


def program(statement: str) -> Program:
    return bind_text(f"{program_text('rank_complex')}\n{statement}\n", SIZES)


@pytest.mark.parametrize(
    "parameters",
    [
        PARAMETERS,
        Parameters(8192, (60, 60, 60), 36),
        Parameters(16384, (60, 40, 40, 60), 40, (1, 2)),
        Parameters(8192, (42, 42, 25), 25, (1,), (25, 27, 23), (1, 8, 64)),
    ],
)
def test_written_and_read(parameters: Parameters) -> None:
    text = statement_of(parameters)
    assert program_parameters(program(text)) == parameters
    assert parameters_named(text.removeprefix("parameters ")) == parameters


def test_what_is_used() -> None:
    assert plan(program(OWN)).parameters == PARAMETERS
    assert plan(program(OWN)).origin == "program"
    other = Parameters(8192, (60, 60, 60), 36)
    given = plan(program(OWN), other)
    assert (given.parameters, given.origin) == (other, "given")
    searched = plan(program(OWN), target=Target(precision=1e-3))
    assert searched.parameters == plan(program(""), target=Target(precision=1e-3)).parameters
    assert searched.origin == "search"
    assert plan(program("")).origin == "fixed"


def test_a_module_has_them() -> None:
    lowered = lower(program(OWN))
    assert lowered.validation.proved
    assert lowered.plan.parameters == PARAMETERS
    assert OWN in lowered.text


@pytest.mark.parametrize(
    "text",
    [
        "degree 4096 primes 60, 60 scales 36",
        "degree 5000 primes 20, 20 scales 18",
        "degree 8192 primes 61, 60 scales 36",
        "degree 8192 primes 60 scales 36",
    ],
)
def test_insecure(text: str) -> None:
    for read in (lambda: parameters_named(text), lambda: program_parameters(program(f"parameters {text}"))):
        with pytest.raises(SlotError) as caught:
            read()
        (found,) = caught.value.diagnostics
        assert found.code == "SL404"
        assert found.span is not None
        assert found.span.text == f"parameters {text}"


@pytest.mark.parametrize("text", ["degree 8192 primes 60, 60 scales 36", "degree 4096 primes 54, 54 scales 30, 30"])
def test_too_few_for_the_program(text: str) -> None:
    """Secure, and without room for two products in a row: the place is that of the statement."""
    with pytest.raises(SlotError) as caught:
        plan(program(f"parameters {text}"))
    (found,) = caught.value.diagnostics
    assert found.code == "SL404"
    assert found.span is not None
    assert found.span.text == f"parameters {text}"


@pytest.mark.parametrize("text", ["", "  ", "?", "degree 8192\nprimes 60, 60 scales 36", "degree 8192 # primes", "|"])
def test_not_even_a_word(text: str) -> None:
    with pytest.raises(SlotError) as caught:
        parameters_named(text)
    assert [d.code for d in caught.value.diagnostics] == ["SL005"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("degree 8192 primes 60, 60", "SL109"),
        ("degree 8192 prime 60, 60 scales 36", "SL109"),
        ("8192", "SL102"),
        ("degree 8192 primes 60, scales 36", "SL102"),
        ("degree 8192 primes 60, 60 scales", "SL103"),
        ("= X", "SL005"),
    ],
)
def test_written_wrongly(text: str, code: str) -> None:
    with pytest.raises(SlotError) as caught:
        parameters_named(text)
    assert [d.code for d in caught.value.diagnostics] == [code]
