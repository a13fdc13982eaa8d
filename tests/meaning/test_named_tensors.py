"""``tensor u = M @ x``: a name for a tensor expression."""

from __future__ import annotations

import oracle
import pytest

from slotlang.api import loads
from slotlang.diagnostics import SlotError
from slotlang.meaning.bind import bind
from slotlang.meaning.unused import unused
from slotlang.mutation.mutants import mutants
from slotlang.proof.check import check
from slotlang.proof.forall.check import check_for_all
from slotlang.run.roles import roles
from slotlang.source import Source
from slotlang.syntax import tree
from slotlang.syntax.parser import parse
from slotlang.syntax.tensor_names import without_names

LAYER = """\
program layer(n = 4)
input  x[n]
weight M[n, n]
tensor u = M @ x
tensor v = u * u
axes (h < n)
cipher X = x[h]
plain  D[q < n] = M[h, (h + q) % n]
U = sum q < n: (X << q) * D[q]
claim U == u[h]
Y = U * U
output y[h] = Y
prove  y == v
"""


def problem(text: str) -> SlotError:
    with pytest.raises(SlotError) as caught:
        loads(text)
    return caught.value


def test_a_name_stands_for_its_tensor() -> None:
    named, written = loads(LAYER), loads(LAYER.replace("== v", "== (M @ x) ** 2").replace("u[h]", "(M @ x)[h]"))
    assert check(named).proved and check(written).proved
    assert oracle.judge(parse(Source("t.slot", LAYER)), {}).correct
    assert named.theorems["y"].shape == (4,)


@pytest.mark.parametrize("method", ["auto", "polyhedral", "exact"])
@pytest.mark.parametrize("change", [("Y = U * U", "Y = U * X"), ("u[h]", "u[(h + 1) % n]"), ("y == v", "y == u")])
def test_what_is_wrong_of_it_is_refuted(change: tuple[str, str], method: str) -> None:
    text = LAYER.replace(*change)
    assert not oracle.judge(parse(Source("t.slot", text)), {}).correct
    assert check(loads(text), method).status == "refuted"  # type: ignore[arg-type]


def test_it_is_proved_for_all_sizes() -> None:
    assert check_for_all(parse(Source("t.slot", LAYER)), ["n"]).proved


def test_mutants_of_the_expression_are_judged_as_the_oracle_does() -> None:
    program = parse(Source("t.slot", LAYER))
    changed = [m for m in mutants(program) if isinstance(program.statements[m.statement], tree.NameTensor)]
    assert len(changed) >= 3
    for mutation in changed:
        try:
            judged = oracle.judge(mutation.program, {})
        except oracle.Invalid:
            continue
        assert check(bind(mutation.program)).proved == judged.correct


def test_without_names_nothing_is_named() -> None:
    program = without_names(parse(Source("t.slot", LAYER)))
    written = LAYER.replace("tensor u = M @ x\ntensor v = u * u\n", "")
    written = written.replace("u[h]", "(M @ x)[h]").replace("== v", "== (M @ x) * (M @ x)")
    assert program.statements == parse(Source("t.slot", written)).statements


def test_an_adapter_finds_its_weights_behind_a_name() -> None:
    text = "\n".join(
        [
            "program lora(d = 4, r = 2)",
            "input  x[d]",
            "weight A[d, r], B[r, d]",
            "tensor u = B @ x",
            "prove  y == A @ u",
        ]
    )
    (role,) = roles(parse(Source("t.slot", text)))
    assert (role.up.name, role.down.name, role.input.name) == ("A", "B", "x")


def test_a_name_that_nothing_uses_is_warned_of() -> None:
    assert [w.code for w in unused(loads(LAYER.replace("y == v", "y == u * u")))] == ["SL331"]
    behind = LAYER.replace("tensor u = M @ x", "tensor u = M @ x\ntensor w = 2 * x").replace("X = x[h]", "X = w[h] / 2")
    assert unused(loads(behind)) == ()


@pytest.mark.parametrize(
    ("statement", "code", "part"),
    [
        ("tensor u = M @ x\ntensor u = x", "SL202", "already a named tensor"),
        ("tensor u = 3 * n", "SL221", "this is a number"),
        ("tensor u = x @ x", "SL221", "this is a number"),
        ("tensor u = M @ z", "SL201", "'z' is not known"),
        ("tensor u = M @ M.T @ M @ x + M", "SL220", "equal shapes"),
        ("bound |u| <= 3\ntensor u = M @ x", "SL201", "declared in line 5"),
        ("tensor u = M @ x\nbound |u| <= 3", "SL219", "can't be bounded"),
        ("tensor u[n] = M @ x", "SL102", "can't stand here"),
        ("tensor u == M @ x", "SL102", "can't stand here"),
    ],
)
def test_what_can_not_be_named(statement: str, code: str, part: str) -> None:
    told = problem(LAYER.replace("tensor u = M @ x", statement)).diagnostics[0]
    assert told.code == code
    assert part in " ".join([told.message, told.label, told.hint, *told.notes])


def test_reads_of_a_name_are_checked() -> None:
    assert problem(LAYER.replace("U == u[h]", "U == u[h + 1]")).diagnostics[0].code == "SL308"
    assert problem(LAYER.replace("U == u[h]", "U == u[h, h]")).diagnostics[0].code == "SL303"
    assert problem(LAYER.replace("U == u[h]", "U == u")).diagnostics[0].code == "SL303"
    assert problem(LAYER.replace("X = x[h]", "X = u[h]")).diagnostics[0].code.startswith("SL3")


def test_the_word_stays_a_name_elsewhere() -> None:
    text = LAYER.replace("Y", "tensor").replace("M", "tensors")
    assert check(loads(text)).proved
