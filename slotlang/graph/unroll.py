"""Unrolling: the schedule is executed on node numbers instead of ciphertexts."""

from __future__ import annotations

from itertools import product

from slotlang.diagnostics import error
from slotlang.graph.graph import Graph, Node, OutputNode
from slotlang.meaning.integers import Int, evaluate
from slotlang.schedule import ops

MAX_NODES = 3_000_000
"""Largest graph built: some gigabytes and half a minute."""


class _Unroller:
    def __init__(self, schedule: ops.Schedule) -> None:
        self.schedule = schedule
        self.sizes = schedule.program.sizes
        self.slots = schedule.program.slots
        self.graph = Graph(schedule)
        self._numbers: dict[Node, int] = {}
        self._creator: list[ops.Op | None] = []
        self._family = ""

    def run(self) -> Graph:
        for family in self.schedule.ciphers:
            self._family = family.name
            for point in product(*(range(loop.size) for loop in family.loops)):
                env = {loop.var: v for loop, v in zip(family.loops, point, strict=True)}
                if family.body is None:
                    node = self._node(Node("cipher", (), plain=(family.name, point)), 0, None)
                else:
                    node = self._op(family.body, env)
                self.graph.values[(family.name, point)] = node
        for output in self.schedule.outputs:
            for point in product(*(range(b.size) for b in output.binders)):
                env = {b.name: v for b, v in zip(output.binders, point, strict=True)}
                indices = self._indices(output.family.indices, env)
                self.graph.outputs.append(
                    OutputNode(output, env, self.graph.values[(output.family.name, indices)])
                )
        return self.graph

    def _indices(self, indices: tuple[Int, ...], env: dict[str, int]) -> tuple[int, ...]:
        return tuple(int(evaluate(i, self.sizes, env)) for i in indices)

    def _node(self, node: Node, level: int, op: ops.Op | None) -> int:
        number = self._numbers.get(node)
        if number is None:
            number = len(self.graph.nodes)
            if number >= MAX_NODES:
                raise error(
                    "SL309",
                    f"this program needs more than {MAX_NODES:,} ciphertext operations",
                    hint="choose smaller sizes with --set; the polyhedral method proves it at any size",
                )
            self._numbers[node] = number
            self.graph.nodes.append(node)
            self.graph.levels.append(level)
            self.graph.statement.append(self._family)
            self._creator.append(op)
        elif op is not None:
            self.graph.shared.add(op)
            first = self._creator[number]
            if first is not None:
                self.graph.shared.add(first)
        return number

    def _rotated(self, value: int, step: int, op: ops.Op) -> int:
        step %= self.slots
        if step == 0:
            return value
        return self._node(Node("rotate", (value,), step=step), self.graph.levels[value], op)

    def _added(self, operands: tuple[int, ...], signs: tuple[int, ...], op: ops.Op) -> int:
        if len(operands) == 1 and signs[0] > 0:
            return operands[0]
        level = self.graph.levels[operands[0]]
        return self._node(Node("sum", operands, signs), level, op)

    def _op(self, op: ops.Op, env: dict[str, int]) -> int:
        levels = self.graph.levels
        match op:
            case ops.Ref(name, indices):
                return self.graph.values[(name, self._indices(indices, env))]
            case ops.Add(operands):
                numbers = tuple(self._op(o, env) for _, o in operands)
                return self._added(numbers, tuple(s for s, _ in operands), op)
            case ops.Neg(value):
                number = self._op(value, env)
                return self._node(Node("neg", (number,)), levels[number], op)
            case ops.AddPlain(value, plain, sign):
                number = self._op(value, env)
                key = (plain.family, self._indices(plain.indices, env))
                return self._node(Node("add_plain", (number,), (sign,), key), levels[number], op)
            case ops.MulPlain(value, plain):
                number = self._op(value, env)
                key = (plain.family, self._indices(plain.indices, env))
                return self._node(Node("mul_plain", (number,), (), key), levels[number], op)
            case ops.Mul(left, right):
                a, b = sorted((self._op(left, env), self._op(right, env)))
                return self._node(Node("mul", (a, b)), levels[a], op)
            case ops.Rotate(value, amount, table):
                number = self._op(value, env)
                step = int(evaluate(amount, self.sizes, env))
                return self._rotated(number, step if table is None else table[step], op)
            case ops.Ladder(value, var, step):
                if env[var] == 0:
                    return self._op(value, env)
                before = tuple(v - (name == var) for name, v in env.items())
                return self._rotated(self.graph.values[(self._family, before)], step, op)
            case ops.Conjugate(value):
                number = self._op(value, env)
                return self._node(Node("conj", (number,)), levels[number], op)
            case ops.Rescale(value):
                number = self._op(value, env)
                return self._node(Node("rescale", (number,)), levels[number] + 1, op)
            case ops.Sum(loop, body, tree):
                numbers = tuple(self._op(body, {**env, loop.var: v}) for v in range(loop.size))
                if not tree:
                    return self._added(numbers, (1,) * len(numbers), op)
                return self._tree(numbers, op)
            case ops.Horner(loop, body, step):
                total = self._op(body, {**env, loop.var: loop.size - 1})
                for v in range(loop.size - 2, -1, -1):
                    total = self._rotated(total, step, op)
                    total = self._added((total, self._op(body, {**env, loop.var: v})), (1, 1), op)
                return total
            case ops.Doubling(value, step, count):
                return self._doubling(self._op(value, env), step, count, op)

    def _tree(self, numbers: tuple[int, ...], op: ops.Op) -> int:
        row = list(numbers)
        while len(row) > 1:
            paired = [self._added((a, b), (1, 1), op) for a, b in zip(row[::2], row[1::2], strict=False)]
            row = paired + row[len(row) - len(row) % 2 :]
        return row[0]

    def _doubling(self, value: int, step: int, count: int, op: ops.Op) -> int:
        total = base = value
        for kind, amount in ops.doubling_steps(step, count):
            if kind == "mark":
                base = total
                continue
            other = total if kind == "double" else base
            total = self._added((other, self._rotated(total, amount, op)), (1, 1), op)
        return total


def unroll(schedule: ops.Schedule) -> Graph:
    """The graph of a schedule. Raises ``SlotError`` SL309 beyond ``MAX_NODES`` operations."""
    return _Unroller(schedule).run()
