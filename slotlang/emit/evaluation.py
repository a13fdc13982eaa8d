"""The text of ``evaluate``: the schedule, its loops kept."""

from __future__ import annotations

from collections.abc import Sequence

from slotlang.emit.emitter import Emitter
from slotlang.emit.lines import comment, fitted
from slotlang.emit.numpy_text import int_text
from slotlang.meaning.integers import Int
from slotlang.schedule import ops
from slotlang.schedule.doubling import RADIX


class EvaluationText(Emitter):
    """The text of ``evaluate``, with the ciphertexts that it receives and sends."""

    def evaluate(self) -> str:
        lines = [
            "def evaluate(ev, cipher, plain):",
            '    """The schedule: ciphertexts of the client in, ciphertexts of the results out, by name."""',
        ]
        last = self._last_use()
        for number, group in enumerate(self.schedule.groups):
            family = group.families[-1]
            lines += self._received(family) if family.body is None else self._computed(group)
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

        for number, group in enumerate(self.schedule.groups):
            for family in group.families:
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

    def _computed(self, group: ops.Group) -> list[str]:
        # a ladder reads what the turn before has left under its name
        filled = [
            f for f in group.families if self.named_by[f.name] or (group.loops and isinstance(f.body, ops.Ladder))
        ]
        made = [f"    {self.names(family.name)} = {{}}" for family in filled]
        turns, _, indent = self._nest(group.loops)
        lines: list[str] = []
        cited: list[str] = []
        for family in group.families:
            source = self.program.families[family.source]
            before, cited = cited, comment(f"line {source.span.row}: {source.span.text}", indent)
            lines += cited if cited != before else []
            if not group.loops:
                # what a family alone is put into stands below the line that it cites
                lines += made
            lines += self._members(group, family, indent)
        return lines if not group.loops else [*made, *turns, *lines]

    def _members(self, group: ops.Group, family: ops.CipherFamily, indent: str) -> list[str]:
        """The members of a family in one turn of its group."""
        assert family.body is not None, "the family is computed"
        loops, _, inside = self._nest(group.within(family), indent)
        variables = [self.names(loop.var) for loop in self.named_by[family.name]]
        key = self._key(family.name, variables)
        if isinstance(family.body, ops.Ladder):
            ladder = family.body
            var = self.names(ladder.var)
            before = self._key(family.name, [f"{v} - 1" if v == var else v for v in variables])
            turned = self._call(ladder, "rotate", before, self._written(ladder.written, ladder.step))
            text = f"{turned} if {var} else {self._op(ladder.value)}"
        else:
            text = self._op(family.body)
        return [*loops, *fitted(inside, f"{key} = ", text)]

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

    def _dot(self, loops: Sequence[ops.Loop], product: ops.MulPlain) -> str:
        """A sum of products in one pass."""
        steps = "".join(
            f" for {self.names(loop.var)} in range({size})"
            for loop, size in zip(loops, self._ranges(loops), strict=True)
        )
        return f"ev.dot(({self._op(product.value)}, {self._plain_ref(product.plain)}){steps})"

    def _written(self, e: Int | None, value: int) -> str:
        return str(value) if e is None else int_text(e, self.names)

    def _op(self, op: ops.Op) -> str:
        shared = ", shared=True" if op in self.graph.shared else ""
        match op:
            case ops.Ref(name, indices):
                loops = zip(self.families[name].loops, indices, strict=True)
                named = [index for loop, index in loops if loop in self.named_by[name]]
                return self._key(name, [int_text(i, self.names) for i in named])
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
            case ops.Relinearize(value):
                return self._call(op, "relinearize", self._op(value))
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
                if self.kernel == "compiled" and (found := ops.sum_of_products(op, self.graph.shared)):
                    return self._dot(*found)
                if tree:
                    terms = self._terms(loop, body)
                    return f"ev.tree(({terms}){shared})" if shared else f"ev.tree({terms})"
                if shared:
                    return f"ev.once(ev.sum_of, *[{self._terms(loop, body)}])"
                return f"ev.sum({self._terms(loop, body)})"
            case ops.Horner(loop, body, step, written):
                terms = self._terms(loop, body, backwards=True)
                return f"ev.horner(({terms}), {self._written(written, step)}{shared})"
            case ops.Doubling(value, step, count, radix, written):
                numbers = zip(written or (None, None, None), (step, count, radix), strict=True)
                texts = [self._written(e, number) for e, number in numbers]
                # the runtime takes copies two at a time unless told otherwise
                texts = texts[:2] if radix == RADIX else texts
                return f"ev.doubling({self._op(value)}, {', '.join(texts)}{shared})"
            case ops.Ladder():
                raise AssertionError("a ladder is the whole body of its family")
