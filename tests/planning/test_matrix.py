"""Where matrix products fit: which programs have the form, and what the plan and its cost say of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from slotlang import api
from slotlang.cost.matrix import MatrixForm
from slotlang.diagnostics import SlotError
from slotlang.planning.parameters import Parameters
from slotlang.planning.target import KernelChoice, Target
from slotlang.refusals import GaveUp

COLUMNS = (Path(__file__).resolve().parents[2] / "programs/columns.slot").read_text(encoding="utf-8")
SMALL = Parameters(4096, (36, 36, 37), 24, (), (24, 20, 18))
SIZES = {"d": 40, "n": 35, "r": 3, "batch": 2048}
SIGNS = """program signs(n = 4, slots = 16)
input x[n, slots]
weight A[n, n]
cipher X[k < n] = x[k, slot]
plain W[i < n, k < n] = A[i, k]
S[i < n] = sum k < n: X[k] * W[i, k]
Z[i < n] = S[i] * W[i, 0] - S[0] - X[i] * W[i, i] * W[i, i]
output y[i, slot] = Z[i]
prove y == x
"""


@pytest.mark.parametrize(("kernel", "used"), [("auto", None), ("seal", False), ("matrix", True)])
def test_cost_predicts_what_is_lowered(kernel: KernelChoice, used: bool | None) -> None:
    program = api.loads(COLUMNS, SIZES)
    found = api.cost(program, SMALL, target=Target(kernel=kernel))
    plan = api.plan(program, SMALL, target=Target(kernel=kernel))
    assert isinstance(plan.matrix, MatrixForm)
    used = plan.matrix.faster if used is None else used
    assert found.kernel == plan.kernel == (kernel if kernel != "auto" else "matrix" if used else "compiled")
    coefficients = SIZES["r"] * (SIZES["d"] + SIZES["n"])
    assert found.weight_bytes == coefficients * (8 if used else SMALL.plaintext_bytes())
    other = api.cost(program, SMALL, target=Target(kernel="compiled" if used else "matrix")).predicted
    assert (found.predicted.evaluation != other.evaluation) and (found.predicted.encoding < other.encoding) == used


def test_where_matrices_fit() -> None:
    def form(text: str) -> MatrixForm | GaveUp:
        return api.plan(api.loads(text)).matrix

    sizes = {"d": 384, "n": 384, "batch": 2048}
    wide, narrow = (api.plan(api.loads(COLUMNS, sizes | {"r": rank}), SMALL).matrix for rank in (16, 4))
    assert isinstance(wide, MatrixForm) and wide.faster
    # cutting operands into pieces pays when each is used in many products
    assert isinstance(narrow, MatrixForm) and not narrow.faster
    assert [(s.rows, s.columns) for s in wide.stages] == [(16, 384), (384, 16)]
    assert "more than one real number" in str(form(SIGNS.replace("= A[i, k]", "= A[i, k] * [slot < 3]")))
    assert "rotation" in str(form(SIGNS.replace("- S[0]", "- (S[0] << 1)")))


def test_what_has_no_matrices_is_an_error() -> None:
    with pytest.raises(SlotError) as refused:
        api.plan(api.loads(SIGNS.replace("- S[0]", "- (S[0] << 1)")), target=Target(kernel="matrix"))
    assert refused.value.diagnostics[0].code == "SL472"
