"""What a person reads on a name: what it is, what its slots hold, its level, scale and cost, and its claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slotlang.editor.analysis import Analysis
from slotlang.editor.completion import comment_above
from slotlang.editor.layout import layout_table
from slotlang.editor.marks import line_end
from slotlang.editor.measures import Measures
from slotlang.editor.names import Mention, Symbol, mention_at, mentions
from slotlang.editor.tokens import tokens
from slotlang.editor.verdicts import Verdict
from slotlang.editor.vocabulary import WORDS
from slotlang.meaning.integers import evaluate
from slotlang.meaning.program import Claim, Program, of_member, written_name
from slotlang.syntax import tree
from slotlang.syntax.walk import nodes

__all__ = ["Hover", "Known", "hover"]


@dataclass(frozen=True, slots=True)
class Known:
    """What was found in the background about the same text, as far as it has been."""

    verdicts: tuple[Verdict, ...] = ()
    measures: tuple[Measures, ...] = ()


@dataclass(frozen=True, slots=True)
class Hover:
    """Markdown about the text from ``start`` to ``end``."""

    start: int
    end: int
    text: str


def hover(analysis: Analysis, offset: int, known: Known = Known()) -> Hover | None:
    """What there is to say of the word at a place."""
    at = mention_at(mentions(analysis), offset)
    if at is not None:
        return Hover(at.start, at.end, _about(analysis, at, known))
    text = analysis.source.text
    start = text.rfind("\n", 0, offset) + 1
    for token in tokens(text, start, line_end(text, offset)):
        if token.start <= offset <= token.end and token.kind in ("keyword", "name") and token.text in WORDS:
            return Hover(token.start, token.end, WORDS[token.text])
    return None


def _code(text: str) -> str:
    return f"```slot\n{text}\n```"


def _about(analysis: Analysis, at: Mention, known: Known) -> str:
    symbol, view = at.symbol, analysis.program_at(at.start)
    if symbol.sort == "definition":
        return _definition(analysis, symbol)
    start, end = symbol.whole
    declared = analysis.source.text[start:end]
    program = view.bound if view is not None else None
    lines = [_code(declared if symbol.sort != "program" else declared.partition("\n")[0])]
    if program is None:
        scope = view.scope if view is not None else None
        if symbol.sort == "size" and scope is not None and symbol.name in scope.sizes:
            lines.append(f"{symbol.name} = {scope.sizes[symbol.name]}")
        return "\n\n".join(lines)
    match symbol.sort:
        case "size":
            lines.append(f"{symbol.name} = {program.sizes[symbol.name]:,}")
        case "input" | "weight":
            decl = program.tensors[symbol.name]
            shape = " × ".join(f"{n:,}" for n in decl.shape) or "one number"
            lines.append(f"{symbol.sort}, {shape}{', sparse' if decl.sparse else ''}")
            lines += [f"assumed: {b.text}" for b in program.bounds if b.name == symbol.name]
        case "digit":
            digit = program.digits[symbol.name]
            stride = int(evaluate(digit.stride, program.sizes, {}))
            apart = f"{stride:,} slot{'s' * (stride != 1)} apart"
            lines.append(f"a digit of the slot index: 0 to {digit.size - 1:,}, {apart}")
        case "loop" | "parameter":
            lines = [_code(declared), "an index of this statement" if symbol.sort == "loop" else "a parameter"]
        case "cipher" | "plain" | "compute":
            lines += _family(analysis, program, symbol, at, known)
        case "result":
            theorem = program.theorems.get(symbol.name)
            if theorem is not None:
                lines.append(f"a result of shape {' × '.join(map(str, theorem.shape)) or '1'}: {theorem.text}")
            lines += _verdict(program, known)
        case "program":
            lines.append(f"{program.slots:,} slots, {len(program.outputs)} outputs")
            lines += _verdict(program, known)
            lines += [m.sentence for m in known.measures if m.program == program.name]
        case "permutation":
            moves = program.permutations[symbol.name].destination[:6].tolist()
            lines.append(", ".join(f"{slot} → {to}" for slot, to in enumerate(moves)) + ", …")
        case _:
            pass
    return "\n\n".join(lines)


def _definition(analysis: Analysis, symbol: Symbol) -> str:
    defined = analysis.definitions.get(symbol.name)
    if defined is None:
        return _code(analysis.source.text[slice(*symbol.whole)])
    span = defined.syntax.span
    comment = comment_above(span.source.text, span.start)
    return "\n\n".join([_code(span.text), *([comment] if comment else []), f"{span}"])


def _verdict(program: Program, known: Known) -> list[str]:
    return [f"**{v.sentence}**, {v.method}" for v in known.verdicts if v.program == program.name]


def _family(analysis: Analysis, program: Program, symbol: Symbol, at: Mention, known: Known) -> list[str]:
    lines = []
    members = [f for f in program.families.values() if written_name(f.name) == symbol.name]
    count = sum(f.size for f in members)
    kind = {"cipher": "ciphertext", "plain": "plaintext", "compute": "value"}[symbol.sort]
    for measures in known.measures:
        for m in measures.statements:
            if measures.program == program.name and m.family == symbol.name:
                parts = [f"level {m.level}", f"scale 2^{m.scale:.0f}"]
                counts = {
                    "rotation": m.rotations,
                    "product with plaintexts": m.plain_products,
                    "product of ciphertexts": m.cipher_products,
                    "addition": m.additions,
                }
                parts += [f"{n:,} {_plural(what, n)}" for what, n in counts.items() if n]
                lines.append(" · ".join(parts))
    lines.insert(0, f"{count:,} {kind}{'s' * (count != 1)} of {program.slots:,} slots")
    held = _held(program, known)
    member = _member(analysis, program, symbol.name, at)
    table = layout_table(program, *member, claims=held)
    if isinstance(table, str):
        lines.append(table)
    else:
        lines += [f"slots of `{table.title}`", table.markdown()]
        lines += [table.summary] if table.summary else []
        lines += [f"by the claim in line {n}" for n in table.claims]
    for claim in program.steps:
        if isinstance(claim, Claim) and written_name(claim.family) == symbol.name:
            status = _status(program, claim, known)
            text = " ".join(claim.span.text.split())
            lines.append(f"`{text}`: {status}")
    return lines


def _plural(what: str, n: int) -> str:
    head, space, rest = what.partition(" ")
    return f"{head}{'s' * (n != 1)}{space}{rest}"


def _member(analysis: Analysis, program: Program, name: str, at: Mention) -> tuple[str, tuple[int, ...]]:
    """The member that is written at a place, by numbers, or else the first one."""
    statement = analysis.statement_at(at.start)
    for node in nodes(statement) if statement is not None else ():
        if isinstance(node, tree.Index) and isinstance(node.base, tree.Name) and node.base.span.start == at.start:
            if all(isinstance(i, tree.Number) and i.value.denominator == 1 for i in node.indices):
                indices = tuple(int(i.value) for i in node.indices if isinstance(i, tree.Number))
                found = of_member(program, name, indices)
                if found is not None:
                    return found[0].name, found[1]
    first = next(f for f in program.families.values() if written_name(f.name) == name)
    return first.name, (0,) * len(first.binders)


def _held(program: Program, known: Known) -> Sequence[Claim]:
    """The claims that were proved. Before there is a verdict none is taken at its word."""
    return [s for s in program.steps if isinstance(s, Claim) and _status(program, s, known) == "proved"]


def _status(program: Program, claim: Claim, known: Known) -> str:
    place = claim.span.written
    found = {
        g.status
        for v in known.verdicts
        if v.program == program.name
        for g in v.goals
        if (g.start, g.end) == (place.start, place.end)
    }
    for status in ("refuted", "unknown", "tested", "proved"):
        if status in found:
            return status
    return "not decided yet"
