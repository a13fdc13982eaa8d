"""The text around ``evaluate``: unpacking, reference, patterns of zeros, and tables."""

from __future__ import annotations

import re
from collections.abc import Sequence

from slotlang.cost.sizes import packing_gain
from slotlang.emit.emitter import Emitter, encoding_of
from slotlang.emit.lines import docstring, fitted, listed, string
from slotlang.emit.numpy_text import ValueText, cond_text, int_text
from slotlang.meaning.program import Output, Theorem
from slotlang.planning.limits import limits
from slotlang.schedule import ops


def _shape(loops: Sequence[ops.Loop]) -> str:
    return repr(tuple(loop.size for loop in loops))


class OutputText(Emitter):
    """``unpack_*``, ``reference``, ``pattern_*``, and the tables of inputs and results."""

    def unpacking(self) -> list[str]:
        """One function for each output statement."""
        return [self._unpack(number, output) for number, output in enumerate(self.program.outputs)]

    def _unpack_name(self, number: int) -> str:
        name = self.program.outputs[number].name
        before = sum(output.name == name for output in self.program.outputs[:number])
        return self.names.made("unpack", f"{name}_{before}" if before else name)

    def _unpack(self, number: int, output: Output) -> str:
        binders = ", ".join(self.names(b.name) for b in output.binders)
        member = self._member(output.family.name, [int_text(i, self.names) for i in output.family.indices])
        places = ", ".join(int_text(i, self.names) for i in output.indices)
        parts = [f"({member})", f"({places}{',' * (len(output.indices) == 1)})"]
        if output.where is not None:
            parts.append(cond_text(output.where, self.names))
        return "\n".join(
            [
                f"def {self._unpack_name(number)}({binders}):",
                *docstring(f"line {output.span.row}: {output.span.text}"),
                *fitted("    ", "return ", ", ".join(parts)),
            ]
        )

    def reference(self) -> str:
        """The function that computes the expected results in numpy."""
        values = ValueText(self.program, self.names, "term")
        theorems = {name: self._result(theorem, values) for name, theorem in self.program.theorems.items()}
        terms = {name: self.values.form(form) for form, name in values.forms.items()}
        words = set(re.findall(r"[A-Za-z_]\w*", " ".join([*theorems.values(), *terms.values()])))
        lines = ["def reference(inputs, weights):", '    """What the results should be, in double precision."""']
        for tensor in self.program.tensors.values():
            if self.names(tensor.name) in words:
                source = "inputs" if tensor.kind == "input" else "weights"
                lines.append(f"    {self.names(tensor.name)} = {source}[{string(tensor.name)}]")
        for scalar in self.program.scalars:
            if self.names(scalar) in words:
                lines.append(f"    {self.names(scalar)} = weights[{string(scalar)}]")
        for name, text in terms.items():
            lines += fitted("    ", f"{name} = ", text)
        for name, theorem in self.program.theorems.items():
            if theorem.form is None and theorem.indices:
                # another result has indices of the same names
                own = ", ".join(map(self.names, theorem.indices))
                lines.append(
                    f"    {own}{',' * (len(theorem.indices) == 1)} = np.indices({theorem.shape!r}, sparse=True)"
                )
                result = self.names.made("result", name)
                lines += fitted("    ", f"{result} = ", theorems[name])
                theorems[name] = result
        entries = [f"{string(name)}: {text}" for name, text in theorems.items()]
        return "\n".join([*lines, *listed("return ", entries, "{}", "    ")])

    def _result(self, theorem: Theorem, values: ValueText) -> str:
        """A sum of products as such, all else by its elements, over arrays of indices."""
        if theorem.form is not None:
            return self.values.form(theorem.form)
        return f"np.broadcast_to({values.text(theorem.value)}, {theorem.shape!r})"

    def forms(self) -> list[str]:
        """The theorems that are sums of products which end with an input, as ``Module.forms`` has them."""
        found = []
        for name, theorem in self.program.theorems.items():
            if theorem.form is None:
                continue
            chains = []
            for chain in theorem.form.chains:
                last = chain.factors[-1]
                if self.program.tensors[last.tensor].kind != "input" or last.transposed:
                    break
                factors = [string(f.tensor + ".T" * f.transposed) for f in chain.factors]
                scalars = [string(scalar) for scalar in chain.scalars]
                chains.append(f"({', '.join([repr(float(chain.coefficient)), *scalars, *factors])})")
            else:
                found.append(f"{string(name)}: [{', '.join(chains)}]")
        return found

    def patterns(self) -> list[str]:
        """One function for each sparse weight."""
        functions = []
        for tensor in self.program.tensors.values():
            if tensor.pattern is None:
                continue
            own = [
                self.names(i) if i.isidentifier() else self.names.made("axis", n) for n, i in enumerate(tensor.indices)
            ]
            where = cond_text(tensor.pattern, self.names)
            lines = [
                f"def {self.names.made('pattern', tensor.name)}():",
                f'    """Where {self.names(tensor.name)} may be nonzero."""',
                f"    {', '.join(own)}{',' if len(own) == 1 else ''} = np.indices({tensor.shape!r})",
                *fitted("    ", "return ", f"np.broadcast_to({where}, {tensor.shape!r})"),
            ]
            functions.append("\n".join(lines))
        return functions

    def tables(self) -> list[str]:
        """Keyword arguments of ``Module``: inputs and results, by family."""
        packing = []
        for family in self.schedule.ciphers:
            if family.body is None:
                function = self.names.made("pack", family.name)
                largest = {name: limit.largest for name, limit in limits(self.program).items()}
                gain = packing_gain(self.program, self.program.families[family.name], largest)
                more = "" if gain is None else f", gain={gain!r}"
                packing.append(f"{string(family.name)}: Packing({function}, {_shape(family.loops)}{more})")
        plaintexts = []
        for plain in self.schedule.plains.values():
            parts = zip(("level", "products", "added"), encoding_of(plain), strict=True)
            place = "".join(f", {name}={part}" for name, part in parts if part)
            function = self.names.made("plain", plain.name)
            plaintexts.append(f"{string(plain.name)}: Plaintexts({function}, {_shape(plain.loops)}{place})")
        sent = []
        for name, members in self._sent().items():
            state = self.schedule.states[name]
            places = _shape(self.families[name].loops) if members is None else repr(members)
            masks = self.mask_bits.get(name)
            bits = f", mask_bits={masks}" if masks else ""
            bits += ", precise=True" if masks and self.plan.hiding.precise else ""
            sent.append(f"{string(name)}: Results({places}, {state.level}, {state.pending}{bits})")
        outputs = []
        for number, output in enumerate(self.program.outputs):
            part = f", {string(output.part)}" if output.part else ""
            shape = repr(tuple(b.size for b in output.binders))
            outputs.append(f"Output({string(output.name)}, {self._unpack_name(number)}, {shape}{part})")
        return [
            *_table("packing", packing, "{}"),
            *_table("plaintexts", plaintexts, "{}"),
            *_table("sent", sent, "{}"),
            *_table("outputs", outputs, "[]"),
        ]


def _table(name: str, entries: list[str], brackets: str) -> list[str]:
    """``name=`` and its entries, a line each where there are several."""
    if len(entries) < 2:
        return [f"    {name}={brackets[0]}{''.join(entries)}{brackets[1]},"]
    return [f"    {name}={brackets[0]}", *(f"        {entry}," for entry in entries), f"    {brackets[1]},"]
