"""The emitted module: one readable file that needs tenseal and numpy only."""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slotlang.cost.counts import Counts
from slotlang.graph.graph import Graph
from slotlang.lowering.numpy_text import Names, ValueText, cond_text, int_text
from slotlang.lowering.parameters import Parameters
from slotlang.meaning.integers import IntVar
from slotlang.meaning.program import Family, Output, Program
from slotlang.proof.check import SCOPE, Report
from slotlang.proof.polyhedral import in_range
from slotlang.schedule import ops


def program_hash(program: Program) -> str:
    """SHA-256 of the program's text and the sizes it is bound to."""
    sizes = ",".join(f"{name}={program.sizes[name]}" for name in program.parameters)
    return hashlib.sha256(f"{program.syntax.source.text}\n{sizes}".encode()).hexdigest()


def _comment(text: str) -> str:
    """Program text as the inside of a one-line comment: printable ASCII or letters, no line breaks."""
    flat = " ".join(text.split())
    clean = "".join(ch if ch.isprintable() and ch not in "\\" else "?" for ch in flat)
    return clean if len(clean) <= 160 else clean[:157] + "..."


def _docstring(text: str) -> str:
    return _comment(text).replace('"', "'")


@dataclass
class _Emitter:
    program: Program
    graph: Graph
    parameters: Parameters
    report: Report
    counts: Counts
    version: str

    def __post_init__(self) -> None:
        self.schedule = self.graph.schedule
        loops = {loop.var for f in self.schedule.ciphers for loop in f.loops}
        self.names = Names(self.program, [*self.schedule.plains, *(f.name for f in self.schedule.ciphers), *loops])
        self.values = ValueText(self.program, self.names)

    # the module, top to bottom

    def module(self) -> str:
        functions = self._packing() + self._plains()
        parts = [
            self._head(),
            runtime_text(),
            self._settings(),
            self._tables(),
            *functions,
            self._encode(),
            self._evaluate(),
            self._unpack(),
            self._reference(),
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
        lines = [
            f'"""{program.name}: encrypted evaluation of {_docstring("; ".join(self._theorems()))}.',
            "",
            f"Emitted by slotlang {self.version} from program {program.name} ({sizes or 'no sizes'}),",
            f"SHA-256 of program and sizes {program_hash(program)}.",
            *_wrapped(verdict),
            "",
            "Client holds the secret key, encrypts inputs and decrypts results. Server holds evaluation keys and",
            'encoded weights, and evaluates. Run this file to see both at work on random data."""',
        ]
        return "\n".join(lines)

    def _theorems(self) -> list[str]:
        return [f"{t.name} == {t.form.text}" for t in self.program.theorems.values()]

    def _settings(self) -> str:
        program, p, names = self.program, self.parameters, self.names
        rotations = sorted({n.step for n in self.graph.of_kind("rotate")})
        inputs = {t.name: t.shape for t in program.tensors.values() if t.kind == "input"}
        weights = {t.name: t.shape for t in program.tensors.values() if t.kind == "weight"}
        lines = [
            f"# The program {_comment(program.name)}",
            "",
            "PARAMETERS = {",
            f'    "degree": {p.degree},',
            f'    "prime_bits": {list(p.primes)},',
            f'    "scale_bits": {p.scale_bits},',
            f'    "rescale": {p.rescale},',
            '    "security": 128,',
            f'    "rotations": {rotations},',
            f'    "conjugation": {any(True for _ in self.graph.of_kind("conj"))},',
            f'    "relinearization": {any(True for _ in self.graph.of_kind("mul"))},',
            f'    "program": "{program_hash(program)}",',
            "}",
            f"SLOTS = {program.slots}",
            f"INPUTS = {inputs!r}",
            f"WEIGHTS = {weights!r}",
            f"SCALARS = {tuple(program.scalars)!r}",
            f"COUNTS = {self.counts.executed()!r}",
            "",
        ]
        lines += [f"{names(name)} = {value}" for name, value in program.sizes.items()]
        lines += ["slot = np.arange(SLOTS)"]
        for digit in program.digits.values():
            lines.append(f"{names(digit.name)} = {int_text(digit.of(IntVar('slot')), names)}")
        return "\n".join(lines)

    def _tables(self) -> str:
        lines = []
        stages = sorted({(m.network, m.stage) for f in self.schedule.plains.values() for m, _ in f.masks})
        wanted = sorted(self.values.permutations)
        if stages or wanted:
            lines += [
                "import base64",
                "import zlib",
                "",
                "",
                "def table(text):",
                '    """An array of slot numbers."""',
                '    return np.frombuffer(zlib.decompress(base64.b85decode(text)), "<i4").astype(np.int64)',
                "",
            ]
        for name in wanted:
            lines.append(f"{self.names(f'permutation_{name}')} = {_packed(self.program.permutations[name].destination)}")
        for network, number in stages:
            stage = self.schedule.networks[network].stages[number]
            lines.append(f"{self._stage(network, number)} = {_packed(stage.source)}  # stage {number} of {network}: slot s takes from here")
            lines.append(f"{self._stage(network, number)}_steps = {list(stage.steps)}")
        return "\n".join(lines)

    def _stage(self, network: str, number: int) -> str:
        return self.names(f"stage_{network}_{number}")

    # packing and plain families

    def _source_line(self, family: Family) -> str:
        return f"line {family.span.line}: {_docstring(family.span.text)}"

    def _packing(self) -> list[str]:
        functions = []
        for family in self.program.families.values():
            if family.kind != "cipher" or not any(c.name == family.name for c in self.schedule.ciphers):
                continue
            text = self.values.text(family.body)
            arguments = "".join(f", {self.names(b.name)}" for b in family.binders)
            lines = [f"def pack_{family.name}(inputs{arguments}):", f'    """{self._source_line(family)}"""']
            lines += self._locals(text, "inputs")
            functions.append("\n".join([*lines, f"    return {text}"]))
        return functions

    def _locals(self, text: str, source: str) -> list[str]:
        words = set(re.findall(r"[A-Za-z_]\w*", text))
        kind = "input" if source == "inputs" else "weight"
        lines = []
        for tensor in self.program.tensors.values():
            if tensor.kind == kind and self.names(tensor.name) in words:
                lines.append(f"    {self.names(tensor.name)} = {source}[{tensor.name!r}]")
        if source == "weights":
            for scalar in self.program.scalars:
                if self.names(scalar) in words:
                    lines.append(f"    {self.names(scalar)} = {source}[{scalar!r}]")
        for name in self.values.forms.values():
            if name in words:
                lines.append(f"    {name} = {source}[{name!r}]")
        return lines

    def _plains(self) -> list[str]:
        functions: dict[str, str] = {}

        def declared(family: Family) -> None:
            name = f"plain_{family.name}"
            if name in functions:
                return
            text = self.values.text(family.body)
            arguments = "".join(f", {self.names(b.name)}" for b in family.binders)
            lines = [f"def {self.names(name)}(weights{arguments}):", f'    """{self._source_line(family)}"""']
            functions[name] = "\n".join([*lines, *self._locals(text, "weights"), f"    return {text}"])

        for plain in self.schedule.plains.values():
            if plain.declared:
                declared(self.program.families[plain.name])
                continue
            body = self.values.text(plain.body, 2) if plain.body is not None else "np.ones(SLOTS)"
            factors = [] if plain.body is None and plain.masks else [body]
            for mask, shift in plain.masks:
                stage = self._stage(mask.network, mask.stage)
                text = f"(({stage} - slot) % SLOTS == {stage}_steps[{int_text(mask.index, self.names)}])"
                moved = int_text(shift, self.names)
                factors.append(text if moved == "0" else f"np.roll({text}, -({moved}))")
            text = " * ".join(["1.0", *factors] if not factors or plain.body is None else factors)
            arguments = "".join(f", {self.names(loop.var)}" for loop in plain.loops)
            lines = [
                f"def {self.names(f'plain_{plain.name}')}(weights{arguments}):",
                f'    """made for line {plain.span.line}: {_docstring(plain.span.text)}"""',
            ]
            functions[f"plain_{plain.name}"] = "\n".join(
                [*lines, *self._locals(text, "weights"), f"    return {text}"]
            )
        # plain families that others are made of
        pending = True
        while pending:
            pending = False
            words = set(re.findall(r"plain_(\w+)", "\n".join(functions.values())))
            for family in self.program.families.values():
                if family.kind == "plain" and family.name in words and f"plain_{family.name}" not in functions:
                    declared(family)
                    pending = True
        return list(functions.values())

    def _encode(self) -> str:
        lines = [
            "def encode(ring, weights):",
            '    """Every plaintext the evaluation multiplies or adds, by name."""',
            "    plain = {}",
        ]
        for form, name in self.values.forms.items():
            text = self.values.form(form)
            lines += [f"    # {_comment(form.text)}"]
            lines += self._locals(text, "weights")
            lines.append(f"    weights = {{**weights, {name!r}: {text}}}")
        for plain in self.schedule.plains.values():
            indent = "    "
            for loop in plain.loops:
                lines.append(f"{indent}for {self.names(loop.var)} in range({loop.size}):")
                indent += "    "
            arguments = "".join(f", {self.names(loop.var)}" for loop in plain.loops)
            encoding = plain.encoding or ops.Encoding(0, None)
            products = encoding.added_to or 0
            place = f", {encoding.level}, {products}" if encoding.level or products else ""
            lines.append(f"{indent}value = {self.names(f'plain_{plain.name}')}(weights{arguments})")
            lines.append(f"{indent}plain[{plain.name!r}{arguments}] = ring.encode(value{place})")
        return "\n".join([*lines, "    return plain"])

    # evaluation

    def _key(self, family: str, indices: list[str]) -> str:
        return f"{self.names(family)}[{', '.join(indices)}]" if indices else self.names(family)

    def _evaluate(self) -> str:
        lines = [
            "def evaluate(ev, cipher, plain):",
            '    """The schedule: ciphertexts of the client in, ciphertexts of the results out, by name."""',
        ]
        ciphers = self.schedule.ciphers
        last = self._last_use()
        for number, family in enumerate(ciphers):
            if family.body is None:
                lines += self._received(family)
            else:
                lines += self._computed(family)
            for name in [n for n, at in last.items() if at == number and n != family.name]:
                lines.append(f"    del {self.names(name)}")
        lines.append("    result = {}")
        for name in dict.fromkeys(o.family.name for o in self.schedule.outputs):
            lines += self._sent(name)
        return "\n".join([*lines, "    return result"])

    def _loops(self, family: str) -> tuple[ops.Loop, ...]:
        return next(f.loops for f in self.schedule.ciphers if f.name == family)

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
            return [f"    {name} = cipher[{family.name!r},]"]
        variables = [self.names(loop.var) for loop in family.loops]
        inside = ", ".join(variables)
        loops = " ".join(
            f"for {v} in range({loop.size})" for v, loop in zip(variables, family.loops, strict=True)
        )
        key = inside if len(variables) == 1 else f"({inside})"
        return [f"    {name} = {{{key}: cipher[{family.name!r}, {inside}] {loops}}}"]

    def _computed(self, family: ops.CipherFamily) -> list[str]:
        assert family.body is not None
        source = self.program.families[family.source]
        lines = [f"    # line {source.span.line}: {_comment(source.span.text)}"]
        if not family.loops:
            return [*lines, f"    {self.names(family.name)} = {self._op(family.body)}"]
        lines.append(f"    {self.names(family.name)} = {{}}")
        indent = "    "
        for loop in family.loops:
            lines.append(f"{indent}for {self.names(loop.var)} in range({loop.size}):")
            indent += "    "
        key = self._key(family.name, [self.names(loop.var) for loop in family.loops])
        if isinstance(family.body, ops.Ladder):
            ladder = family.body
            var = self.names(ladder.var)
            before = self._key(
                family.name,
                [f"{var} - 1" if loop.var == ladder.var else self.names(loop.var) for loop in family.loops],
            )
            turned = self._call(ladder, "rotate", before, str(ladder.step))
            return [*lines, f"{indent}{key} = {turned} if {var} else {self._op(ladder.value)}"]
        return [*lines, f"{indent}{key} = {self._op(family.body)}"]

    def _sent(self, name: str) -> list[str]:
        loops = self._loops(name)
        lines, indent = [], "    "
        for loop in loops:
            lines.append(f"{indent}for {self.names(loop.var)} in range({loop.size}):")
            indent += "    "
        variables = [self.names(loop.var) for loop in loops]
        key = "".join(f", {v}" for v in variables) or ","
        return [*lines, f"{indent}result[{name!r}{key}] = {self._key(name, variables)}"]

    def _call(self, op: ops.Op, method: str, *arguments: str) -> str:
        if op in self.graph.shared:
            return f"ev.once(ev.{method}, {', '.join(arguments)})"
        return f"ev.{method}({', '.join(arguments)})"

    def _plain_ref(self, ref: ops.PlainRef) -> str:
        indices = [int_text(i, self.names) for i in ref.indices]
        return f"plain[{', '.join([repr(ref.family), *indices])}]" if indices else f"plain[{ref.family!r},]"

    def _op(self, op: ops.Op) -> str:
        names = self.names
        shared = ", shared=True" if op in self.graph.shared else ""
        match op:
            case ops.Ref(name, indices):
                return self._key(name, [int_text(i, names) for i in indices])
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
            case ops.Rotate(value, amount, None):
                return self._call(op, "rotate", self._op(value), int_text(amount, names))
            case ops.Rotate(value, amount, _):
                return self._call(op, "rotate", self._op(value), self._table_step(op, int_text(amount, names)))
            case ops.Conjugate(value):
                return self._call(op, "conj", self._op(value))
            case ops.Rescale(value):
                return self._call(op, "rescale", self._op(value))
            case ops.Sum(loop, body, tree):
                terms = f"{self._op(body)} for {names(loop.var)} in range({loop.size})"
                if tree:
                    return f"ev.tree([{terms}]{shared})"
                if shared:
                    return f"ev.once(ev.sum_of, *[{terms}])"
                return f"ev.sum({terms})"
            case ops.Horner(loop, body, step):
                terms = f"{self._op(body)} for {names(loop.var)} in range({loop.size})"
                return f"ev.horner([{terms}], {step}{shared})"
            case ops.Doubling(value, step, count):
                return f"ev.doubling({self._op(value)}, {step}, {count}{shared})"
            case ops.Ladder():
                raise AssertionError("a ladder is the whole body of its family")

    def _table_step(self, op: ops.Rotate, index: str) -> str:
        for network, net in self.schedule.networks.items():
            for number, stage in enumerate(net.stages):
                if stage.steps is op.table:
                    return f"{self._stage(network, number)}_steps[{index}]"
        raise AssertionError("a rotation's steps belong to a stage")

    # results

    def _unpack(self) -> str:
        lines = ["def collect(values):", '    """Results from the decrypted vectors, by name."""', "    results = {}"]
        for name, theorem in self.program.theorems.items():
            outputs = [o for o in self.program.outputs if o.name == name]
            kind = "complex" if any(o.part is None for o in outputs) else "float"
            lines.append(f"    results[{name!r}] = np.zeros({theorem.form.shape!r}, {kind})")
            for output in outputs:
                lines += self._collected(output)
        if len(self.program.theorems) == 1:
            return "\n".join([*lines, f"    return results[{next(iter(self.program.theorems))!r}]"])
        return "\n".join([*lines, "    return results"])

    def _collected(self, output: Output) -> list[str]:
        names = self.names
        lines = [f"    # line {output.span.line}: {_comment(output.span.text)}"]
        indent = "    "
        for binder in output.binders:
            lines.append(f"{indent}for {names(binder.name)} in range({binder.size}):")
            indent += "    "
        indices = [int_text(i, names) for i in output.family.indices]
        key = "".join(f", {i}" for i in indices) or ","
        part = {"re": ".real", "im": ".imag", None: ""}[output.part]
        inside = cond_text(in_range(self.program, output), names)
        places = ", ".join(f"np.broadcast_to({int_text(i, names)}, SLOTS)[inside]" for i in output.indices)
        return [
            *lines,
            f"{indent}inside = np.broadcast_to({inside}, SLOTS)",
            f"{indent}results[{output.name!r}][{places}] = values[{output.family.name!r}{key}]{part}[inside]",
        ]

    def _reference(self) -> str:
        lines = ["def reference(inputs, weights):", '    """What the results should be, in double precision."""']
        for tensor in self.program.tensors.values():
            source = "inputs" if tensor.kind == "input" else "weights"
            lines.append(f"    {self.names(tensor.name)} = {source}[{tensor.name!r}]")
        lines += [f"    {self.names(s)} = weights[{s!r}]" for s in self.program.scalars]
        theorems = [f"{n!r}: {self.values.form(t.form)}" for n, t in self.program.theorems.items()]
        if len(theorems) == 1:
            lines.append(f"    return {theorems[0].split(': ', 1)[1]}")
        else:
            lines.append(f"    return {{{', '.join(theorems)}}}")
        lines += ["", "", "def pattern(name, shape):", '    """Where a weight may be nonzero; None: everywhere."""']
        for tensor in self.program.tensors.values():
            if tensor.pattern is None:
                continue
            own = [self.names(i) if not i.startswith("#") else f"axis{n}" for n, i in enumerate(tensor.indices)]
            lines.append(f"    if name == {tensor.name!r}:")
            lines.append(f"        {', '.join(own)}{',' if len(own) == 1 else ''} = np.indices(shape)")
            lines.append(f"        return np.broadcast_to({cond_text(tensor.pattern, self.names)}, shape)")
        lines.append("    return None")
        return "\n".join([*lines, "", "", *self._places()])

    def _places(self) -> list[str]:
        """What goes in and out, by family: shapes, levels and scales."""
        lines = ["# family: how it is packed, shape", "PACKING = {"]
        for family in self.schedule.ciphers:
            if family.body is None:
                shape = tuple(loop.size for loop in family.loops)
                lines.append(f"    {family.name!r}: (pack_{family.name}, {shape!r}),")
        lines += ["}", "# family: shape, level, products not rescaled", "PLAINTEXTS = {"]
        for plain in self.schedule.plains.values():
            encoding = plain.encoding or ops.Encoding(0, None)
            shape = tuple(loop.size for loop in plain.loops)
            lines.append(f"    {plain.name!r}: ({shape!r}, {encoding.level}, {encoding.added_to or 0}),")
        lines += ["}", "RESULTS = {"]
        for name in dict.fromkeys(o.family.name for o in self.schedule.outputs):
            shape = tuple(loop.size for loop in self._loops(name))
            state = self.schedule.states[name]
            lines.append(f"    {name!r}: ({shape!r}, {state.level}, {state.pending}),")
        return [*lines, "}"]


def _packed(values: np.ndarray) -> str:
    text = base64.b85encode(zlib.compress(values.astype("<i4").tobytes(), 9)).decode()
    return f'table("{text}")'


def _wrapped(text: str, width: int = 108) -> list[str]:
    import textwrap

    return textwrap.wrap(text, width)


def runtime_text() -> str:
    """The operations every module starts with."""
    text = (Path(__file__).parent / "runtime.py").read_text(encoding="utf-8")
    # placeholders that make runtime.py importable; the emitted settings take their place
    return text.replace("PARAMETERS: dict = {}\nSLOTS = 0\n\n\n", "\n")


def roles_text() -> str:
    """Client, Server and main."""
    text = (Path(__file__).parent / "roles.py").read_text(encoding="utf-8")
    return text.split("# roles start here\n", 1)[1]


def emit(
    graph: Graph, parameters: Parameters, report: Report, counts: Counts, version: str
) -> str:
    """Source text of the module that runs a graph's program with these parameters."""
    return _Emitter(graph.schedule.program, graph, parameters, report, counts, version).module()
