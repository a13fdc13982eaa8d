"""What is right in every statement and wrong in the program as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slotlang.diagnostics import Diagnostic
from slotlang.meaning.bind_value import count, given
from slotlang.meaning.program import Output, Theorem
from slotlang.meaning.scope import name_span
from slotlang.meaning.tensors import shape_text
from slotlang.source import Span
from slotlang.syntax import tree


def _indices_hint(output: Output, of_a_tensor: bool) -> str:
    if not of_a_tensor:
        return "a number has no indices: output y = S where slot == 0"
    one_number = f", or say what one number is: prove {output.name} == a[0] * b[0]"
    return f"give each dimension one index{'' if output.indices else one_number}"


def check_whole(
    syntax: tree.Program, outputs: Sequence[Output], theorems: Mapping[str, Theorem], problems: list[Diagnostic]
) -> None:
    """Add what is wrong to the ``problems`` of the statements."""

    def problem(code: str, message: str, span: Span, hint: str, *notes: str) -> None:
        problems.append(Diagnostic(code, message, span, notes=notes, hint=hint))

    for output in outputs:
        said = theorems.get(output.name)
        if said is not None and len(output.indices) != len(said.shape):
            shape = said.shape
            problem(
                "SL303",
                f"'{output.name}' has {count(len(shape), 'dimension')}, and {given(output.indices)}",
                name_span(output.name, output.span),
                _indices_hint(output, bool(shape)),
                f"line {said.span.line} proves it equal to {said.text}, "
                + (f"whose shape is {shape_text(shape)}" if shape else "which is a number"),
            )
    statements = syntax.statements
    written = {s.name: name_span(s.name, s.span) for s in statements[::-1] if isinstance(s, tree.Output)}
    proofs = {s.name: name_span(s.name, s.span) for s in statements[::-1] if isinstance(s, tree.Prove)}
    unsaid = {name: place for name, place in written.items() if name not in proofs}
    for name, place in proofs.items():
        if name not in written:
            near = next(iter(unsaid), "") if len(unsaid) == 1 else ""
            unsaid.pop(near, None)
            hint = f"the output is called '{near}'" if near else f"output {name}[...] = ..."
            problem("SL312", f"'{name}' is proved and never output", place, hint)
    for name, place in unsaid.items():
        problem("SL312", f"'{name}' is output and nothing is said of it", place, f"prove {name} == ...")
    if not problems and not proofs:
        last = statements[-1].span
        problem(
            "SL312",
            "the program proves nothing",
            last,
            "end it with `output y[...] = ...` and `prove y == A @ B @ x`",
        )
