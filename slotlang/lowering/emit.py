"""The emitted module: one readable file that needs tenseal and numpy only."""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from slotlang.cost.counts import Counts
from slotlang.diagnostics import error
from slotlang.graph.graph import Graph
from slotlang.lowering.hiding import Hiding
from slotlang.lowering.numpy_text import Names, ValueText, cond_text, int_text
from slotlang.lowering.parameters import Parameters
from slotlang.lowering.parts import masks_text, reserved_names, roles_text, runtime_text, transfer_text
from slotlang.lowering.text import (
    comment,
    docstring,
    fitted,
    listed,
    long_string,
    nested_loops,
    paragraph,
    string,
)
from slotlang.meaning.integers import Int, IntVar, evaluate
from slotlang.meaning.program import Binder, Family, Output, Program, TensorForm
from slotlang.proof.check import SCOPE, Report
from slotlang.proof.polyhedral import in_range
from slotlang.schedule import ops
from slotlang.schedule.build import sum_variables


def program_hash(program: Program) -> str:
    """SHA-256 of the program's text and the sizes it is bound to."""
    sizes = ",".join(f"{name}={program.sizes[name]}" for name in program.parameters)
    return hashlib.sha256(f"{program.syntax.source.text}\n{sizes}".encode()).hexdigest()


def _loop_variables(op: ops.Op) -> Iterator[str]:
    if isinstance(op, ops.Sum | ops.Horner):
        yield op.loop.var
    for child in ops.children(op):
        yield from _loop_variables(child)


def _names(program: Program, schedule: ops.Schedule) -> Names:
    own: list[str] = [
        *program.sizes,
        *program.tensors,
        *program.scalars,
        *program.digits,
        *program.families,
        *program.permutations,
    ]
    for family in program.families.values():
        own += [b.name for b in family.binders]
        own += sum_variables(family.body)
    for output in program.outputs:
        own += [b.name for b in output.binders]
    for tensor in program.tensors.values():
        own += [i for i in tensor.indices if i.isidentifier()]
    for plain in schedule.plains.values():
        own += [loop.var for loop in plain.loops]
        own += [] if plain.body is None else sum_variables(plain.body)
    for cipher in schedule.ciphers:
        own += [cipher.name, *(loop.var for loop in cipher.loops)]
        own += [] if cipher.body is None else _loop_variables(cipher.body)
    return Names(own, reserved_names())


@dataclass
class _Emitter:
    program: Program
    graph: Graph
    parameters: Parameters
    report: Report
    counts: Counts
    hiding: Hiding
    version: str

    def __post_init__(self) -> None:
        self.schedule = self.graph.schedule
        self.names = _names(self.program, self.schedule)
        self.values = ValueText(self.program, self.names)
        self.families = {f.name: f for f in self.schedule.ciphers}
        # the table of a stage and the list of its steps, by the steps
        self.stages: dict[int, tuple[str, str]] = {}
        for name, network in self.schedule.networks.items():
            stem = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")
            for n, stage in enumerate(network.stages):
                table, steps = (self.names.made(kind, f"{stem}_{n}") for kind in ("stage", "steps"))
                self.stages[id(stage.steps)] = table, steps

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
            roles_text(),
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
            *paragraph(self.hiding.sentence()),
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
            f'    "rescale": {p.rescale},',
            '    "security": 128,',
            f'    "hide": {string(self.hiding.mode)},',
            *listed('"rotations": ', map(str, rotations), "[]", "    ", ","),
            f'    "conjugation": {any(True for _ in self.graph.of_kind("conj"))},',
            f'    "relinearization": {any(True for _ in self.graph.of_kind("mul"))},',
            f'    "program": "{program_hash(program)}",',
            "}",
            f"SLOTS = {program.slots}",
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

    def _ranges(self, loops: Sequence[ops.Loop | Binder]) -> list[str]:
        return [str(loop.size) if loop.extent is None else int_text(loop.extent, self.names) for loop in loops]

    def _nest(self, loops: Sequence[ops.Loop | Binder], indent: str = "    ") -> tuple[list[str], list[str], str]:
        """Loop lines, the loops' variables, and the indentation inside."""
        variables = [self.names(loop.var if isinstance(loop, ops.Loop) else loop.name) for loop in loops]
        lines, inside = nested_loops(variables, self._ranges(loops), indent)
        return lines, variables, inside

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
            parts = zip(("level", "products", "added"), _encoding(plain), strict=True)
            place = "".join(f", {name}={part}" for name, part in parts if part)
            arguments = "".join(f", {v}" for v in variables)
            lines += [
                f"{indent}value = {self.names.made('plain', plain.name)}(weights{arguments})",
                f"{indent}plain[{self._member(plain.name, variables)}] = ring.encode(value{place})",
            ]
        return "\n".join([*lines, "    return plain"])

    # evaluation

    def _member(self, family: str, indices: Sequence[str]) -> str:
        """The key of a member in what is sent: a tuple, the family's name first."""
        return f"{string(family)}, {', '.join(indices)}" if indices else f"{string(family)},"

    def _key(self, family: str, indices: Sequence[str]) -> str:
        return f"{self.names(family)}[{', '.join(indices)}]" if indices else self.names(family)

    def _evaluate(self) -> str:
        lines = [
            "def evaluate(ev, cipher, plain):",
            '    """The schedule: ciphertexts of the client in, ciphertexts of the results out, by name."""',
        ]
        if any(_adds_plain(f.body) for f in self.schedule.ciphers if f.body is not None):
            lines.append("    ev.spare = next(iter(cipher.values()))")
        last = self._last_use()
        for number, family in enumerate(self.schedule.ciphers):
            lines += self._received(family) if family.body is None else self._computed(family)
            for name in [n for n, at in last.items() if at == number and n != family.name]:
                lines.append(f"    del {self.names(name)}")
        lines.append("    result = {}")
        for family_name, places in self._sent().items():
            lines += self._sending(family_name, places)
        return "\n".join([*lines, "    return result"])

    def _last_use(self) -> dict[str, int]:
        last: dict[str, int] = {}

        def visit(op: ops.Op, at: int) -> None:
            if isinstance(op, ops.Ref):
                last[op.family] = at
            for child in ops.children(op):
                visit(child, at)

        for number, family in enumerate(self.schedule.ciphers):
            if family.body is not None:
                visit(family.body, number)
        for output in self.schedule.outputs:
            last.pop(output.family.name, None)
        return last

    def _received(self, family: ops.CipherFamily) -> list[str]:
        name = self.names(family.name)
        if not family.loops:
            return [f"    {name} = cipher.pop(({self._member(family.name, [])}))"]
        loops, variables, indent = self._nest(family.loops)
        taken = f"cipher.pop(({self._member(family.name, variables)}))"
        if len(loops) > 1:
            return [f"    {name} = {{}}", *loops, f"{indent}{self._key(family.name, variables)} = {taken}"]
        return [f"    {name} = {{{variables[0]}: {taken} {loops[0].strip().removesuffix(':')}}}"]

    def _computed(self, family: ops.CipherFamily) -> list[str]:
        assert family.body is not None
        source = self.program.families[family.source]
        lines = comment(f"line {source.span.line}: {source.span.text}", "    ")
        if not family.loops:
            return [*lines, *fitted("    ", f"{self.names(family.name)} = ", self._op(family.body))]
        lines.append(f"    {self.names(family.name)} = {{}}")
        loops, variables, indent = self._nest(family.loops)
        key = self._key(family.name, variables)
        if isinstance(family.body, ops.Ladder):
            ladder = family.body
            var = self.names(ladder.var)
            before = self._key(family.name, [f"{v} - 1" if v == var else v for v in variables])
            turned = self._call(ladder, "rotate", before, self._written(ladder.written, ladder.step))
            text = f"{turned} if {var} else {self._op(ladder.value)}"
        else:
            text = self._op(family.body)
        return [*lines, *loops, *fitted(indent, f"{key} = ", text)]

    def _sent(self) -> dict[str, list[tuple[int, ...]] | None]:
        """The families that results are read from, with the members needed: None for all."""
        needed: dict[str, set[tuple[int, ...]]] = {}
        for output in self.schedule.outputs:
            found = needed.setdefault(output.family.name, set())
            for point in np.ndindex(*(b.size for b in output.binders)):
                env = {b.name: v for b, v in zip(output.binders, point, strict=True)}
                found.add(tuple(int(evaluate(i, self.program.sizes, env)) for i in output.family.indices))
        result: dict[str, list[tuple[int, ...]] | None] = {}
        for name, members in needed.items():
            total = 1
            for loop in self.families[name].loops:
                total *= loop.size
            result[name] = None if len(members) == total else sorted(members)
        return result

    def _sending(self, family: str, places: list[tuple[int, ...]] | None) -> list[str]:
        if places is None:
            loops, variables, indent = self._nest(self.families[family].loops)
            source = self._key(family, variables)
            return [*loops, f"{indent}result[{self._member(family, variables)}] = {source}"]
        lines = []
        for output in self.schedule.outputs:
            if output.family.name == family:
                loops, _, indent = self._nest(output.binders)
                indices = [int_text(i, self.names) for i in output.family.indices]
                source = self._key(family, indices)
                lines += [*loops, f"{indent}result[{self._member(family, indices)}] = {source}"]
        return lines

    def _call(self, op: ops.Op, method: str, *arguments: str) -> str:
        if op in self.graph.shared:
            return f"ev.once(ev.{method}, {', '.join(arguments)})"
        return f"ev.{method}({', '.join(arguments)})"

    def _plain_ref(self, ref: ops.PlainRef) -> str:
        return f"plain[{self._member(ref.family, [int_text(i, self.names) for i in ref.indices])}]"

    def _terms(self, loop: ops.Loop, body: ops.Op, *, backwards: bool = False) -> str:
        (size,) = self._ranges([loop])
        steps = f"reversed(range({size}))" if backwards else f"range({size})"
        return f"{self._op(body)} for {self.names(loop.var)} in {steps}"

    def _written(self, e: Int | None, value: int) -> str:
        return str(value) if e is None else int_text(e, self.names)

    def _op(self, op: ops.Op) -> str:
        shared = ", shared=True" if op in self.graph.shared else ""
        match op:
            case ops.Ref(name, indices):
                return self._key(name, [int_text(i, self.names) for i in indices])
            case ops.Add(operands):
                parts = [self._op(o) for _, o in operands]
                if all(s > 0 for s, _ in operands):
                    return self._call(op, "sum_of", *parts)
                signs = "".join("+" if s > 0 else "-" for s, _ in operands)
                return self._call(op, "combine", f'"{signs}"', *parts)
            case ops.Neg(value):
                return self._call(op, "negate", self._op(value))
            case ops.AddPlain(value, plain, sign):
                return self._call(op, "add_plain", self._op(value), self._plain_ref(plain), str(sign))
            case ops.MulPlain(value, plain):
                return self._call(op, "multiply", self._op(value), self._plain_ref(plain))
            case ops.Mul(left, right):
                return self._call(op, "product", self._op(left), self._op(right))
            case ops.Rotate(value, amount, table):
                step = int_text(amount, self.names)
                if table is not None:
                    step = f"{self.stages[id(table)][1]}[{step}]"
                return self._call(op, "rotate", self._op(value), step)
            case ops.Conjugate(value):
                return self._call(op, "conj", self._op(value))
            case ops.Rescale(value):
                return self._call(op, "rescale", self._op(value))
            case ops.Sum(loop, body, tree):
                if tree:
                    terms = self._terms(loop, body)
                    return f"ev.tree(({terms}){shared})" if shared else f"ev.tree({terms})"
                if shared:
                    return f"ev.once(ev.sum_of, *[{self._terms(loop, body)}])"
                return f"ev.sum({self._terms(loop, body)})"
            case ops.Horner(loop, body, step, written):
                terms = self._terms(loop, body, backwards=True)
                return f"ev.horner(({terms}), {self._written(written, step)}{shared})"
            case ops.Doubling(value, step, count, written):
                by, times = written or (None, None)
                steps = f"{self._written(by, step)}, {self._written(times, count)}"
                return f"ev.doubling({self._op(value)}, {steps}{shared})"
            case ops.Ladder():
                raise AssertionError("a ladder is the whole body of its family")

    # results

    def _collect(self) -> str:
        lines = [
            "def collect(values):",
            '    """Results from the decrypted vectors, by name."""',
            "    results = {}",
        ]
        for name, theorem in self.program.theorems.items():
            outputs = [o for o in self.program.outputs if o.name == name]
            kind = "complex" if any(o.part is None for o in outputs) else "float"
            lines.append(f"    results[{string(name)}] = np.zeros({theorem.form.shape!r}, {kind})")
            for output in outputs:
                lines += self._collected(output)
        if len(self.program.theorems) == 1:
            return "\n".join([*lines, f"    return results[{string(next(iter(self.program.theorems)))}]"])
        return "\n".join([*lines, "    return results"])

    def _inside(self, output: Output) -> tuple[list[str], str, str]:
        """Loops over an output's ciphertexts, the key of each, and the text of which of its slots are read."""
        loops, _, _ = self._nest(output.binders)
        member = self._member(output.family.name, [int_text(i, self.names) for i in output.family.indices])
        return loops, member, f"np.broadcast_to({cond_text(in_range(self.program, output), self.names)}, SLOTS)"

    def _collected(self, output: Output) -> list[str]:
        lines = comment(f"line {output.span.line}: {output.span.text}", "    ")
        _, _, indent = self._nest(output.binders)
        loops, member, inside = self._inside(output)
        part = {"re": ".real", "im": ".imag", None: ""}[output.part]
        places = ", ".join(int_text(i, self.names) for i in output.indices)
        at = f"tuple(np.broadcast_to(i, SLOTS)[inside] for i in ({places}{',' * (len(output.indices) == 1)}))"
        half = " / 2" if output.family.name in self.hiding.doubled else ""
        return [
            *lines,
            *loops,
            *fitted(indent, "inside = ", inside),
            *fitted(indent, "at = ", at),
            *fitted(indent, f"results[{string(output.name)}][at] = ", f"values[{member}]{part}[inside]{half}"),
        ]

    def _returned(self) -> str:
        lines = [
            "def returned():",
            '    """Slots of each result whose real and whose imaginary part an output reads: two rows, by name."""',
            "    read = {name: np.zeros((2, SLOTS), bool) for name in table_of(RESULTS)}",
        ]
        for output in self.program.outputs:
            _, _, indent = self._nest(output.binders)
            loops, member, inside = self._inside(output)
            row = {"re": "[0]", "im": "[1]", None: ""}[output.part]
            lines += [*loops, *fitted(indent, f"read[{member}]{row} |= ", inside)]
        return "\n".join([*lines, "    return read"])

    def _reference(self) -> str:
        theorems = {n: self.values.form(t.form) for n, t in self.program.theorems.items()}
        words = set(re.findall(r"[A-Za-z_]\w*", " ".join(theorems.values())))
        lines = ["def reference(inputs, weights):", '    """What the results should be, in double precision."""']
        for tensor in self.program.tensors.values():
            if self.names(tensor.name) in words:
                source = "inputs" if tensor.kind == "input" else "weights"
                lines.append(f"    {self.names(tensor.name)} = {source}[{string(tensor.name)}]")
        for scalar in self.program.scalars:
            if self.names(scalar) in words:
                lines.append(f"    {self.names(scalar)} = weights[{string(scalar)}]")
        if len(theorems) == 1:
            return "\n".join([*lines, *fitted("    ", "return ", next(iter(theorems.values())))])
        entries = [f"{string(name)}: {text}" for name, text in theorems.items()]
        return "\n".join([*lines, *listed("return ", entries, "{}", "    ")])

    def _pattern(self) -> str:
        lines = ["def pattern(name, shape):", '    """Where a weight may be nonzero; None: everywhere."""']
        for tensor in self.program.tensors.values():
            if tensor.pattern is None:
                continue
            own = [
                self.names(i) if i.isidentifier() else self.names.made("axis", n) for n, i in enumerate(tensor.indices)
            ]
            where = cond_text(tensor.pattern, self.names)
            lines += [
                f"    if name == {string(tensor.name)}:",
                f"        {', '.join(own)}{',' if len(own) == 1 else ''} = np.indices(shape)",
                *fitted("        ", "return ", f"np.broadcast_to({where}, shape)"),
            ]
        return "\n".join([*lines, "    return None"])

    def _places(self) -> str:
        """What goes in and out, by family: shapes, levels and scales."""

        def shape(loops: Sequence[ops.Loop]) -> str:
            return repr(tuple(loop.size for loop in loops))

        lines = ["# family: how it is packed, shape", "PACKING = {"]
        for family in self.schedule.ciphers:
            if family.body is None:
                pack = self.names.made("pack", family.name)
                lines.append(f"    {string(family.name)}: ({pack}, {shape(family.loops)}),")
        lines += [
            "}",
            "# family: shape, level and products of the ciphertext, added to it or multiplied",
            "PLAINTEXTS = {",
        ]
        for plain in self.schedule.plains.values():
            place = ", ".join(map(str, _encoding(plain)))
            lines.append(f"    {string(plain.name)}: ({shape(plain.loops)}, {place}),")
        lines += ["}", "# family: shape or members, level, products not rescaled", "RESULTS = {"]
        for name, members in self._sent().items():
            state = self.schedule.states[name]
            places = [shape(self.families[name].loops)] if members is None else [repr(members)]
            lines += listed(f"{string(name)}: ", [*places, str(state.level), str(state.pending)], "()", "    ", ",")
        return "\n".join([*lines, "}"])


def _encoding(plain: ops.PlainFamily) -> tuple[int, int, bool]:
    assert plain.encoding is not None, "levels are assigned"
    return plain.encoding.level, plain.encoding.products, plain.encoding.added


def _adds_plain(op: ops.Op) -> bool:
    return isinstance(op, ops.AddPlain) or any(map(_adds_plain, ops.children(op)))


def _packed(values: npt.NDArray[np.int64]) -> str:
    return base64.b85encode(zlib.compress(values.astype("<i4").tobytes(), 9)).decode()


def emit(graph: Graph, parameters: Parameters, report: Report, counts: Counts, hiding: Hiding, version: str) -> str:
    """Source text of the module that runs a graph's program with these parameters.

    Raises SL309 when the program nests deeper than Python can read.
    """
    program = graph.schedule.program
    text = _Emitter(program, graph, parameters, report, counts, hiding, version).module()
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
