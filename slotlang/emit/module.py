"""The emitted module: its text is a function of the plan and of how it was lowered."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from math import inf

import numpy as np
import numpy.typing as npt

from slotlang.cost.promise import Promise
from slotlang.diagnostics import error
from slotlang.emit.evaluation import EvaluationText
from slotlang.emit.head import HeadText, Lowering
from slotlang.emit.lines import comment, docstring, fitted, listed, long_string, string
from slotlang.emit.numpy_text import int_text
from slotlang.emit.outputs import OutputText
from slotlang.graph.key_levels import key_levels
from slotlang.meaning.integers import IntVar, evaluate
from slotlang.meaning.program import Family, Program, program_hash
from slotlang.meaning.value import FamilyRef, SumOver, TensorForm, Value, children, leaves
from slotlang.planning.limits import assumptions, limits
from slotlang.planning.plan import Plan
from slotlang.schedule import ops
from slotlang_runtime.parameters import RELINEARIZATION
from slotlang_runtime.version import FORMAT, source_hash

MAX_PLAIN_DEPTH = 200
"""Plain families that read each other in a row, at most: a module has a function for each, on Python's stack."""
MAX_PLAIN_CALLS = 1 << 16
"""Calls of these functions for one plaintext, at most: some seconds."""


def _program_text(text: str) -> list[str]:
    """``PROGRAM``: the program's text, a line of the program in a line of its own, or in several."""
    pieces = []
    for line in text.splitlines(keepends=True):
        pieces += [line[i : i + 90] for i in range(0, len(line), 90)]
    return ["PROGRAM = (", *(f"    {string(piece)}" for piece in pieces or [""]), ")"]


class ModuleText(HeadText, EvaluationText, OutputText):
    """A module, top to bottom."""

    def parts(self, runtime: str) -> list[str]:
        """Everything below the imports. ``runtime``: the hash of the runtime that the module is for."""
        functions = [*self._packing(), *self._plains(), self.evaluate(), *self.unpacking(), *self.patterns()]
        # the functions come first, as they find out which products of weights and which tables are read
        settings = self._settings(runtime)
        ends = [self.reference(), self._description(), self.call()]
        return [settings, self._tables(), self._prepare(), *functions, *ends]

    def module(self) -> str:
        """The whole text."""
        text = "\n\n\n".join(part.strip("\n") for part in self.parts(source_hash()) if part.strip())
        runtime = ["Limit", "Module", "Output", "Packing", "Parameters", "Results", "main", "require"]
        runtime += [name for name in ("Plaintexts", "element", "table") if re.search(rf"\b{name}\(", text)]
        names = sorted(runtime, key=lambda name: (name.islower(), name))
        imports = ["import sys", "", "import numpy as np", "", *_imported("slotlang_runtime", names)]
        return "\n".join([self.head(), "", *imports, "", text]) + "\n"

    def _settings(self, runtime: str) -> str:
        program, names = self.program, self.names
        lines = [
            f"FORMAT = {FORMAT}",
            f'RUNTIME = "{runtime}"',
            *(["require(__name__, FORMAT, RUNTIME)", ""] if runtime == source_hash() else []),
            *listed("LOWERED = ", [f"{string(k)}: {_literal(v)}" for k, v in self.lowered().items()], "{}"),
            *_program_text(program.syntax.source.text),
            *listed("SIZES = ", [f"{string(n)}: {program.sizes[n]}" for n in program.parameters], "{}"),
            *self._parameters(),
            *self._promise(),
            f"KERNEL = {string(self.kernel)}",
            f"SLOTS = {program.slots}",
            "",
            *(f"{names(name)} = {value}" for name, value in program.sizes.items()),
            "slot = np.arange(SLOTS)",
        ]
        for digit in program.digits.values():
            lines += fitted("", f"{names(digit.name)} = ", int_text(digit.of(IntVar("slot")), names))
        return "\n".join(lines)

    def _promise(self) -> list[str]:
        p, error = self.promise, ", ".join(self._errors())
        entries = {
            "assumed": string(p.assumed),
            "relative_error": repr(p.relative_error),
            "precision": repr(p.precision),
            "error": f"{{{error}}}",
            **({"sizes": f"{{{', '.join(self._sizes())}}}"} if self.promise.sizes else {}),
        }
        return listed("PROMISE = ", [f"{string(name)}: {text}" for name, text in entries.items()], "{}")

    def call(self) -> str:
        """What runs where the module does."""
        return run_text("MODULE")

    def _sizes(self) -> list[str]:
        return _by_name(self.promise.sizes)

    def _errors(self) -> list[str]:
        return _by_name(self.promise.error)

    def _parameters(self) -> list[str]:
        p = self.parameters
        rotations = sorted({n.step for n in self.graph.of_kind("rotate")})
        routes = [f"{step}: {_tuple(route)}" for step, route in self.schedule.routes.items()]
        return [
            "PARAMETERS = Parameters(",
            f"    degree={p.degree},",
            f"    prime_bits={_tuple(p.primes)},",
            f"    scale_bits={_tuple(p.scales or [p.scale_bits])},",
            f"    drops={_tuple(self.schedule.drops)},",
            *_numbers("rotations", rotations),
            *listed("routes=", routes, "{}", "    ", ","),
            f"    conjugation={self.graph.switches('conjugation')},",
            f"    relinearization={self.graph.switches('relinearization')},",
            f"    hide={string(self.hiding.mode)},",
            f"    doubled={_tuple(string(name) for name in sorted(self.hiding.doubled))},",
            f"    results={self.schedule.results},",
            f"    cut={_tuple(p.cut)},",
            *listed("key_levels=", self._key_levels(), "{}", "    ", ","),
            ")",
        ]

    def _key_levels(self) -> list[str]:
        keys, degree = key_levels(self.graph), self.parameters.degree
        levels = {
            RELINEARIZATION: keys.relinearization or 0,
            **{pow(3, step, 2 * degree): level for step, level in keys.steps.items()},
            2 * degree - 1: keys.conjugation or 0,
        }
        return [f"{element}: {level}" for element, level in sorted(levels.items()) if level]

    def _description(self) -> str:
        program = self.program

        def shapes(kind: str) -> list[str]:
            return [f"{string(t.name)}: {t.shape!r}" for t in program.tensors.values() if t.kind == kind]

        results = []
        for name, theorem in program.theorems.items():
            outputs = [o for o in program.outputs if o.name == name]
            kind = "complex" if any(o.part is None for o in outputs) else "float"
            results.append(f"{string(name)}: ({theorem.shape!r}, {kind})")
        executed = [f"{string(k)}: {v}" for k, v in self.counts.executed().items()]
        patterns = [
            f"{string(t.name)}: {self.names.made('pattern', t.name)}"
            for t in program.tensors.values()
            if t.pattern is not None
        ]
        return "\n".join(
            [
                "MODULE = Module(",
                f"    name={string(program.name)},",
                f'    program_hash="{program_hash(program)}",',
                "    parameters=PARAMETERS,",
                "    slots=SLOTS,",
                "    kernel=KERNEL,",
                *listed("inputs=", shapes("input"), "{}", "    ", ","),
                *listed("limits=", self._limits(), "{}", "    ", ","),
                *listed("weights=", shapes("weight"), "{}", "    ", ","),
                *listed("scalars=", map(string, program.scalars), "[]", "    ", ","),
                *listed("results=", results, "{}", "    ", ","),
                *listed("error=", self._errors(), "{}", "    ", ","),
                f"    precision={self.promise.precision!r},",
                *(listed("sizes=", self._sizes(), "{}", "    ", ",") if self.promise.sizes else []),
                *self.tables(),
                "    evaluate=evaluate,",
                "    reference=reference,",
                *(listed("assumptions=", self._assumptions(), "[]", "    ", ",") if assumptions(self.program) else []),
                *(listed("forms=", self.forms(), "{}", "    ", ",") if self.lowering.verdict == "proved" else []),
                *(["    prepare=prepare,"] if self._prepared() else []),
                *(listed("patterns=", patterns, "{}", "    ", ",") if patterns else []),
                *listed("counts=", executed, "{}", "    ", ","),
                ")",
            ]
        )

    def _tables(self) -> str:
        masks = {(m.network, m.stage) for f in self.schedule.plains.values() for m, _ in f.masks}
        wanted = sorted(self.values.permutations)
        if not masks and not wanted:
            return ""
        lines: list[str] = []
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
                doc = f"line {family.span.row}: {family.span.text}"
                functions.append(self._function(name, "inputs", binders, doc, self.values.text(family.body)))
        return functions

    def _limits(self) -> list[str]:
        found = []
        for name, limit in limits(self.program).items():
            values = [f"{key}={value!r}" for key, value in asdict(limit).items() if value < inf]
            found.append(f"{string(name)}: Limit({', '.join(values)})")
        return found

    def _assumptions(self) -> list[str]:
        return [f"({string(name)}, {axis}, {limit!r})" for name, axis, limit in assumptions(self.program)]

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
            doc = f"line {family.span.row}: {family.span.text}"
            name = self.names.made("plain", family.name)
            functions[family.name] = self._function(name, "weights", binders, doc, self.values.text(family.body))

        for plain in self.schedule.plains.values():
            if plain.declared:
                declared(self.program.families[plain.name])
            else:
                doc = f"made for line {plain.span.row}: {plain.span.text}"
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

    def _prepared(self) -> list[tuple[TensorForm, str]]:
        return [(form, name) for form, name in self.values.forms.items() if self._encoded_form(form)]

    def _prepare(self) -> str:
        """Tensor expressions of weights that plaintexts read."""
        if not self._prepared():
            return ""
        lines = ["def prepare(weights):", '    """The weights, with the products of them that plaintexts read."""']
        texts = {name: self.values.form(form) for form, name in self._prepared()}
        lines += self._locals(" ".join(texts.values()), "weights")
        for form, name in self._prepared():
            lines += comment(form.text, "    ")
            lines += fitted("    ", f"{name} = ", texts[name])
        entries = ["**weights", *(f"{string(name)}: {name}" for name in texts)]
        return "\n".join([*lines, *listed("return ", entries, "{}", "    ")])


def run_text(arguments: str) -> str:
    """The call of ``main``."""
    return f'if __name__ == "__main__":\n    sys.exit(main({arguments}))'


def _literal(value: object) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{string(name)}: {part!r}' for name, part in value.items())}}}"
    return string(value) if isinstance(value, str) else repr(value)


def _tuple(items: Iterable[object]) -> str:
    texts = list(map(str, items))
    return f"({', '.join(texts)}{',' * (len(texts) == 1)})"


def _by_name(numbers: Mapping[str, float]) -> list[str]:
    return [f"{string(name)}: {number!r}" for name, number in numbers.items()]


def _numbers(name: str, numbers: list[int]) -> list[str]:
    """A keyword argument that is a tuple of numbers, over several lines where it is long."""
    line = f"    {name}={_tuple(numbers)},"
    return [line] if len(line) <= 110 else listed(f"{name}=", map(str, numbers), "()", "    ", ",")


def _imported(package: str, names: list[str]) -> list[str]:
    line = f"from {package} import {', '.join(names)}"
    return [line] if len(line) <= 110 else [f"from {package} import (", *(f"    {name}," for name in names), ")"]


def _packed(values: npt.NDArray[np.int64]) -> str:
    return base64.b85encode(zlib.compress(values.astype("<i4").tobytes(), 9)).decode()


def emit(plan: Plan, lowering: Lowering, promise: Promise | None = None) -> str:
    """Source text of the module that runs a plan's program. ``promise``: another than the plan's.

    Raises SL309 when the program nests deeper than Python can read.
    """
    return compiled(plan, ModuleText(plan, lowering, promise).module())


def _calls(program: Program, value: Value, known: Mapping[str, int]) -> int:
    """Calls that the text of a plaintext makes. ``known``: of families."""
    match value:
        case FamilyRef(name):
            return known[name]
        case SumOver(extent=extent, body=body):
            return int(evaluate(extent, program.sizes, {})) * _calls(program, body, known)
        case _:
            return sum(_calls(program, child, known) for child in children(value))


def _check_calls(program: Program) -> None:
    """Raises SL309 where the functions of plain families call each other deeper than Python's stack allows, or more
    often than weights can be encoded: what a family's member holds is computed anew wherever another one reads it."""
    depths: dict[str, int] = {}
    calls: dict[str, int] = {}
    for family in program.families.values():
        if family.kind == "plain":
            read = {leaf.name for leaf in leaves(family.body) if isinstance(leaf, FamilyRef)}
            depths[family.name] = depth = 1 + max((depths[name] for name in read), default=0)
            if depth > MAX_PLAIN_DEPTH:
                raise error(
                    "SL309",
                    f"plain families read each other more than {MAX_PLAIN_DEPTH} times in a row",
                    family.span,
                    hint="say what a plaintext holds by reads of tensors: a module computes each by those it reads",
                )
            calls[family.name] = 1 + _calls(program, family.body, calls)
            if calls[family.name] > MAX_PLAIN_CALLS:
                raise error(
                    "SL309",
                    f"plain families read each other along more than {MAX_PLAIN_CALLS:,} ways",
                    family.span,
                    hint="say what a plaintext holds by reads of tensors, or read the member before once in each: "
                    "2 * P[k - 1] for P[k - 1] + P[k - 1]",
                    notes=(f"{family.name} is the first such member",),
                )


def compiled(plan: Plan, text: str) -> str:
    """A module's text, which Python can read and run. Raises SL309 otherwise."""
    program = plan.program
    _check_calls(program)
    try:
        compile(text, "<lowered>", "exec", dont_inherit=True)
    except (SyntaxError, RecursionError, MemoryError) as problem:
        if "nested" not in str(problem) and not isinstance(problem, RecursionError | MemoryError):
            raise
        raise error(
            "SL309",
            f"'{program.name}' nests too deeply to be written as Python",
            program.span,
            hint="name the parts of deep expressions in statements of their own",
        ) from None
    return text
