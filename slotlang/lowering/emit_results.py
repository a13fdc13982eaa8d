"""The text of what surrounds an evaluation: results, what is read of them, references and tables."""

from __future__ import annotations

import re
from collections.abc import Sequence

from slotlang.lowering.emitter import Emitter, encoding_of
from slotlang.lowering.numpy_text import cond_text, int_text
from slotlang.lowering.text import comment, fitted, listed, string
from slotlang.meaning.program import Output
from slotlang.proof.polyhedral import in_range
from slotlang.schedule import ops


class ResultsText(Emitter):
    """``collect``, ``returned``, ``reference``, ``pattern`` and the tables of what goes in and out."""

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
            place = ", ".join(map(str, encoding_of(plain)))
            lines.append(f"    {string(plain.name)}: ({shape(plain.loops)}, {place}),")
        lines += ["}", "# family: shape or members, level, products not rescaled", "RESULTS = {"]
        for name, members in self._sent().items():
            state = self.schedule.states[name]
            places = [shape(self.families[name].loops)] if members is None else [repr(members)]
            lines += listed(f"{string(name)}: ", [*places, str(state.level), str(state.pending)], "()", "    ", ",")
        return "\n".join([*lines, "}"])
