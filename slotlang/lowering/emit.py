"""The emitted module: one readable file that needs tenseal and numpy only."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from slotlang.cost.counts import Counts
from slotlang.diagnostics import error
from slotlang.graph.graph import Graph
from slotlang.lowering.emit_evaluation import EvaluationText
from slotlang.lowering.emit_results import ResultsText
from slotlang.lowering.emitter import encoding_of
from slotlang.lowering.numpy_text import int_text
from slotlang.lowering.parts import masks_text, roles_text, runtime_text, transfer_text, workers_text
from slotlang.lowering.text import (
    comment,
    docstring,
    fitted,
    listed,
    long_string,
    paragraph,
    string,
)
from slotlang.meaning.integers import IntVar
from slotlang.meaning.program import Family, TensorForm, program_hash
from slotlang.planning.hiding import Hiding
from slotlang.planning.parameters import Parameters
from slotlang.planning.target import Kernel
from slotlang.proof.check import SCOPE, Report
from slotlang.schedule import ops
from slotlang.validation.module import FORMAT

VALIDATED = (
    "Validated: executed on expressions in place of weights, with a stand-in for tenseal.sealapi, this module computes "
    "what the program says; `slotlang check` of this file does it again."
)

WAYS: Mapping[Kernel, str] = {
    "matrix": (
        "The server evaluates by matrix products of integers modulo the primes, on the ciphertexts' residues: bit for "
        "bit what SEAL's operations give."
    ),
    "fused": (
        "Where numba can be imported, the server computes sums of products in one pass over the residues: bit for bit "
        "what SEAL's operations give."
    ),
}


def _program_text(text: str) -> list[str]:
    """``PROGRAM``: the program's text, a line of the program in a line of its own, or in several."""
    pieces = []
    for line in text.splitlines(keepends=True):
        pieces += [line[i : i + 90] for i in range(0, len(line), 90)]
    return ["PROGRAM = (", *(f"    {string(piece)}" for piece in pieces or [""]), ")"]


class _Module(EvaluationText, ResultsText):
    # the module, top to bottom

    def module(self) -> str:
        functions = [*self._packing(), *self._plains(), self._encode()]
        tables = self._tables()
        parts = [
            self._head(),
            runtime_text(tables=bool(tables)),
            transfer_text(),
            self._settings(),
            tables,
            *functions,
            self._evaluate(),
            self._collect(),
            self._returned(),
            self._reference(),
            self._pattern(),
            self._places(),
            masks_text(),
            workers_text(),
            roles_text(self.products),
        ]
        return "\n\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"

    def _head(self) -> str:
        program = self.program
        sizes = ", ".join(f"{n} = {program.sizes[n]}" for n in program.parameters)
        if self.report.proved:
            verdict = f"Proved by the {self.report.method} method at these sizes: {SCOPE}."
        else:
            verdict = "NOT PROVED: lowered with --unproved; nothing is known of what this computes."
        theorems = "; ".join(f"{t.name} == {t.form.text}" for t in program.theorems.values())
        title = docstring(f"{program.name}: encrypted evaluation of {theorems}.", "")
        lines = [
            *title[:-1],
            title[-1].removesuffix('"""'),
            "",
            *paragraph(f"Emitted by slotlang {self.version} from program {program.name} ({sizes or 'no sizes'})."),
            f"SHA-256 of the program's text and sizes: {program_hash(program)}.",
            *paragraph(verdict),
            *paragraph(self.validated),
            *paragraph(self.hiding.sentence()),
            *(paragraph(WAYS[self.products]) if self.products in WAYS else []),
            "",
            *paragraph(
                "Client holds the secret key, encrypts inputs and decrypts results. Server holds evaluation "
                "keys and encoded weights, and evaluates. Run this file to see both at work on random data."
            ),
            '"""',
        ]
        return "\n".join([*lines, "# ruff: noqa: E741"] if self.names.ambiguous else lines)

    def _settings(self) -> str:
        program, p, names = self.program, self.parameters, self.names
        rotations = sorted({n.step for n in self.graph.of_kind("rotate")})
        routes = [f"{step}: {list(route)}" for step, route in self.schedule.routes.items()]

        def shapes(kind: str) -> list[str]:
            found = [t for t in program.tensors.values() if t.kind == kind]
            return [f"{string(t.name)}: {t.shape!r}" for t in found]

        executed = [f"{string(k)}: {v}" for k, v in self.counts.executed().items()]
        scalars = [string(s) for s in program.scalars]
        lines = [
            f"# The program {program.name}",
            "",
            "PARAMETERS = {",
            f'    "degree": {p.degree},',
            f'    "prime_bits": {list(p.primes)},',
            f'    "scale_bits": {list(p.scales or [p.scale_bits])},',
            f'    "drops": {list(self.schedule.drops)},',
            '    "security": 128,',
            f'    "hide": {string(self.hiding.mode)},',
            *listed('"doubled": ', map(string, sorted(self.hiding.doubled)), "[]", "    ", ","),
            *listed('"rotations": ', map(str, rotations), "[]", "    ", ","),
            *listed('"routes": ', routes, "{}", "    ", ","),
            f'    "conjugation": {any(True for _ in self.graph.of_kind("conj"))},',
            f'    "relinearization": {any(True for _ in self.graph.of_kind("mul"))},',
            f'    "program": "{program_hash(program)}",',
            "}",
            f"FORMAT = {FORMAT}",
            f"SLOTS = {program.slots}",
            *listed("SIZES = ", [f"{string(n)}: {program.sizes[n]}" for n in program.parameters], "{}"),
            *_program_text(program.syntax.source.text),
            *listed("INPUTS = ", shapes("input"), "{}"),
            *listed("WEIGHTS = ", shapes("weight"), "{}"),
            *listed("SCALARS = ", scalars, "[]"),
            *listed("COUNTS = ", executed, "{}"),
            "",
        ]
        lines += [f"{names(name)} = {value}" for name, value in program.sizes.items()]
        lines += ["slot = np.arange(SLOTS)"]
        for digit in program.digits.values():
            lines += fitted("", f"{names(digit.name)} = ", int_text(digit.of(IntVar("slot")), names))
        return "\n".join(lines)

    def _tables(self) -> str:
        masks = {(m.network, m.stage) for f in self.schedule.plains.values() for m, _ in f.masks}
        wanted = sorted(self.values.permutations)
        if not masks and not wanted:
            return ""
        lines = [
            "def table(text):",
            '    """An array of slot numbers."""',
            '    return np.frombuffer(zlib.decompress(base64.b85decode(text)), "<i4").astype(np.int64)',
            "",
            "",
        ]
        for name in wanted:
            lines.append(f"# what slot s holds goes to slot {self.names.made('permutation', name)}[s]")
            lines += long_string(
                f"{self.names.made('permutation', name)} = table",
                _packed(self.program.permutations[name].destination),
            )
        for network, number in sorted(masks):
            stage = self.schedule.networks[network].stages[number]
            name, steps = self.stages[id(stage.steps)]
            lines.append(f"# stage {number} of {network}: slot s takes what slot {name}[s] holds, by these steps")
            lines += long_string(f"{name} = table", _packed(stage.source))
            lines += listed(f"{steps} = ", map(str, stage.steps), "[]")
        return "\n".join(lines)

    # packing and plain families

    def _function(self, name: str, source: str, loops: Iterable[str], doc: str, text: str) -> str:
        arguments = "".join(f", {self.names(v)}" for v in loops)
        return "\n".join(
            [
                f"def {name}({source}{arguments}):",
                *docstring(doc),
                *self._locals(text, source),
                *fitted("    ", "return ", text),
            ]
        )

    def _packing(self) -> list[str]:
        functions = []
        for family in self.program.families.values():
            if family.kind == "cipher" and family.name in self.families:
                name = self.names.made("pack", family.name)
                binders = [b.name for b in family.binders]
                doc = f"line {family.span.line}: {family.span.text}"
                functions.append(self._function(name, "inputs", binders, doc, self.values.text(family.body)))
        return functions

    def _locals(self, text: str, source: str) -> list[str]:
        """Assignments of the tensors, scalars and products that a text reads."""
        words = set(re.findall(r"[A-Za-z_]\w*", text))
        kind = "input" if source == "inputs" else "weight"
        products = [form for form, name in self.values.forms.items() if name in words]
        inline = [form for form in products if source == "inputs" or not self._encoded_form(form)]
        for form in inline:
            words.update(re.findall(r"[A-Za-z_]\w*", self.values.form(form)))
        lines = []
        for tensor in self.program.tensors.values():
            if tensor.kind == kind and self.names(tensor.name) in words:
                lines.append(f"    {self.names(tensor.name)} = {source}[{string(tensor.name)}]")
        if source == "weights":
            for scalar in self.program.scalars:
                if self.names(scalar) in words:
                    lines.append(f"    {self.names(scalar)} = {source}[{string(scalar)}]")
        for form in products:
            name = self.values.forms[form]
            if form in inline:
                lines += fitted("    ", f"{name} = ", self.values.form(form))
            else:
                lines.append(f"    {name} = {source}[{string(name)}]")
        return lines

    def _encoded_form(self, form: TensorForm) -> bool:
        """Whether a tensor expression is made of weights, and so computed once when they are encoded."""
        tensors = {factor.tensor for chain in form.chains for factor in chain.factors}
        return all(self.program.tensors[t].kind == "weight" for t in tensors)

    def _plains(self) -> list[str]:
        functions: dict[str, str] = {}

        def declared(family: Family) -> None:
            binders = [b.name for b in family.binders]
            doc = f"line {family.span.line}: {family.span.text}"
            name = self.names.made("plain", family.name)
            functions[family.name] = self._function(name, "weights", binders, doc, self.values.text(family.body))

        for plain in self.schedule.plains.values():
            if plain.declared:
                declared(self.program.families[plain.name])
            else:
                doc = f"made for line {plain.span.line}: {plain.span.text}"
                loops = [loop.var for loop in plain.loops]
                name = self.names.made("plain", plain.name)
                functions[plain.name] = self._function(name, "weights", loops, doc, self._plain_text(plain))
        # plain families that others are made of
        while missing := self.values.families - functions.keys():
            for name in sorted(missing):
                declared(self.program.families[name])
        return list(functions.values())

    def _plain_text(self, plain: ops.PlainFamily) -> str:
        factors = ["1.0"] if plain.body is None else [self.values.text(plain.body, 2)]
        for mask, shift in plain.masks:
            stage, steps = self.stages[id(self.schedule.networks[mask.network].stages[mask.stage].steps)]
            chosen = f"((({stage} - slot) % SLOTS) == {steps}[{int_text(mask.index, self.names)}])"
            moved = int_text(shift, self.names, 3)
            factors.append(chosen if moved == "0" else f"np.roll({chosen}, -{moved})")
        return " * ".join(factors)

    def _encode(self) -> str:
        lines = [
            "def encode(ring, weights):",
            '    """Every plaintext the evaluation multiplies or adds, by name."""',
            "    plain = {}",
        ]
        for form, name in self.values.forms.items():
            if not self._encoded_form(form):
                continue
            text = self.values.form(form)
            lines += comment(form.text, "    ")
            lines += self._locals(text, "weights")
            lines += fitted("    ", f"{name} = ", text)
            lines.append(f"    weights = {{**weights, {string(name)}: {name}}}")
        for plain in self.schedule.plains.values():
            loops, variables, indent = self._nest(plain.loops)
            lines += loops
            parts = zip(("level", "products", "added"), encoding_of(plain), strict=True)
            place = "".join(f", {name}={part}" for name, part in parts if part)
            arguments = "".join(f", {v}" for v in variables)
            lines += [
                f"{indent}value = {self.names.made('plain', plain.name)}(weights{arguments})",
                f"{indent}plain[{self._member(plain.name, variables)}] = ring.encode(value{place})",
            ]
        return "\n".join([*lines, "    return plain"])


def _packed(values: npt.NDArray[np.int64]) -> str:
    return base64.b85encode(zlib.compress(values.astype("<i4").tobytes(), 9)).decode()


def emit(
    graph: Graph,
    parameters: Parameters,
    report: Report,
    counts: Counts,
    hiding: Hiding,
    version: str,
    validated: str = "NOT VALIDATED.",
    products: Kernel = "seal",
) -> str:
    """Source text of the module that runs a graph's program with these parameters. ``validated`` is what its header
    says of itself; ``products``: how they are computed (``cost.columns`` says when matrices can).

    Raises SL309 when the program nests deeper than Python can read.
    """
    program = graph.schedule.program
    text = _Module(program, graph, parameters, report, counts, hiding, version, validated, products).module()
    try:
        compile(text, "<lowered>", "exec", dont_inherit=True)
    except (SyntaxError, RecursionError, MemoryError) as problem:
        if "nested" not in str(problem) and not isinstance(problem, RecursionError | MemoryError):
            raise
        raise error(
            "SL309",
            f"'{program.name}' nests too deeply to be written as Python",
            program.syntax.statements[0].span,
            hint="name the parts of deep expressions in statements of their own",
        ) from None
    return text
