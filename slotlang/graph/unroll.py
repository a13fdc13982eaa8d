"""Unrolling: the schedule is executed on node numbers instead of ciphertexts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product
from math import prod

from slotlang.diagnostics import SlotError, error
from slotlang.graph.graph import Graph, Member, Node, OutputNode
from slotlang.graph.kinds import KINDS
from slotlang.meaning.integers import Int, IntConst, IntVar, evaluate
from slotlang.schedule import doubling, ops

MAX_NODES = 3_000_000
"""Largest graph built: some gigabytes and half a minute."""
MAX_STEPS = 8 * MAX_NODES
"""Most operations executed, those included that turn out to be shared."""


def _never(_: Member) -> bool:
    return False


class _Unroller:
    """A ciphertext that is zero is None here, as it is in the emitted module."""

    def __init__(self, schedule: ops.Schedule, is_zero: Callable[[Member], bool]) -> None:
        self.schedule = schedule
        self.is_zero = is_zero
        self.sizes = schedule.program.sizes
        self.slots = schedule.program.slots
        self.graph = Graph(schedule)
        self._members: dict[Member, int | None] = {}
        # members of local families that are there, by their place in a turn
        self._places: dict[Member, Member] = {}
        self._numbers: dict[Node, int] = {}
        self._creator: list[ops.Op | None] = []
        # composed rotations: those asked for, and what the last ciphertext was rotated to, by step
        self._rotations: dict[tuple[int, int], tuple[int, ops.Op]] = {}
        self._rotating: int | None = None
        self._turns: dict[int, int] = {}
        self._family = ""

    def run(self) -> Graph:
        graph = self.graph
        steps = operations(self.schedule)
        results = sum(output.size for output in self.schedule.outputs)
        if steps + results > MAX_STEPS:
            raise self._too_large(f"{steps + results:,}")
        for group in self.schedule.groups:
            for turn in product(*(range(loop.size) for loop in group.loops)):
                shared = {loop.var: v for loop, v in zip(group.loops, turn, strict=True)}
                for family in group.families:
                    self._turn_of(group, family, shared)
        for output in self.schedule.outputs:
            for env in output.envs():
                member = (output.family.name, self._indices(output.family.indices, env))
                if member in graph.values:
                    graph.outputs.append(OutputNode(output, env, member, graph.values[member]))
        for number, creator in enumerate(self._creator):
            if creator in graph.shared:
                graph.kept.update((number, *graph.nodes[number].operands))
        for (value, _), (number, creator) in self._rotations.items():
            if creator in graph.shared:
                graph.kept.update((number, value))
        self._turn(None)
        self._find_dots()
        return graph

    def _turn_of(self, group: ops.Group, family: ops.CipherFamily, shared: dict[str, int]) -> None:
        """The members of a family in one turn of its group."""
        graph = self.graph
        self._family = family.name
        within = group.within(family)
        for point in product(*(range(loop.size) for loop in within)):
            inside = shared | {loop.var: v for loop, v in zip(within, point, strict=True)}
            env = {loop.var: inside[loop.var] for loop in family.loops}
            member = (family.name, tuple(env.values()))
            if family.body is None:
                number: int | None = self._node(Node("cipher", (), plain=member), 0, None)
            else:
                number = self._op(family.body, env)
            self._members[member] = number
            if number is not None:
                graph.values[member] = number
            if group.is_local(family):
                before = self._places.get((family.name, point))
                if before is not None:
                    graph.replaced[before] = len(graph.nodes) - 1
                self._places[family.name, point] = member

    def _find_dots(self) -> None:
        """Sums of products, the outermost of nested ones."""
        graph, creator = self.graph, self._creator
        for number, node in enumerate(graph.nodes):
            op = creator[number]
            if node.kind != "sum" or not isinstance(op, ops.Sum) or not ops.sum_of_products(op, graph.shared):
                continue
            if number in graph.open:
                continue
            products = 0
            for operand in node.operands:
                products += graph.dots.pop(operand, 1)
            graph.dots[number] = products
            graph.in_dots.update(node.operands)

    def _too_large(self, many: str) -> SlotError:
        return error(
            "SL309",
            f"this program needs {many} ciphertext operations; {MAX_NODES:,} are the limit",
            self.schedule.program.span,
            hint="choose smaller sizes with --set; the polyhedral method proves it at any size",
        )

    def _value(self, e: Int, env: dict[str, int]) -> int:
        # most indices are a bare variable or a constant
        if type(e) is IntVar:
            return env[e.name]
        if type(e) is IntConst:
            return e.value
        return int(evaluate(e, self.sizes, env))

    def _indices(self, indices: tuple[Int, ...], env: dict[str, int]) -> tuple[int, ...]:
        return tuple([self._value(i, env) for i in indices])

    def _node(self, node: Node, level: int, op: ops.Op | None) -> int:
        number = self._numbers.get(node)
        if number is None:
            number = self._numbers[node] = self._made(node, level, op)
        elif op is not None:
            self.graph.shared.add(op)
            first = self._creator[number]
            if first is not None:
                self.graph.shared.add(first)
        return number

    def _made(self, node: Node, level: int, op: ops.Op | None) -> int:
        number = len(self.graph.nodes)
        if number >= MAX_NODES:
            raise self._too_large(f"more than {MAX_NODES:,}")
        self.graph.nodes.append(node)
        if node.kind == "mul" or (KINDS[node.kind].key is None and not self.graph.open.isdisjoint(node.operands)):
            self.graph.open.add(number)
        self.graph.levels.append(level)
        self.graph.statement.append(self._family)
        self._creator.append(op)
        return number

    def _rotated(self, value: int | None, step: int, op: ops.Op) -> int | None:
        step %= self.slots
        if value is None or step == 0:
            return value
        if self.schedule.routes:
            return self._composed(value, step, op)
        return self._node(Node("rotate", (value,), step=step), self.graph.levels[value], op)

    def _composed(self, value: int, step: int, op: ops.Op) -> int:
        """A rotation by steps that have keys. What routes start with is shared as long as one ciphertext is rotated,
        and dropped when the next one is: kept for good it could take far more memory than the keys that are saved."""
        if (value, step) in self._rotations:
            number, first = self._rotations[value, step]
            self.graph.shared.update((first, op))
            return number
        if value != self._rotating:
            self._turn(value)
        number, at = value, 0
        for part in self.schedule.routes.get(step, (step,)):
            at = (at + part) % self.slots
            if at not in self._turns:
                rotation = Node("rotate", (number,), step=part)
                self._turns[at] = self._made(rotation, self.graph.levels[value], None)
            number = self._turns[at]
        self._rotations[value, step] = number, op
        return number

    def _turn(self, value: int | None) -> None:
        now = len(self.graph.nodes)
        self.graph.held.update(dict.fromkeys(self._turns.values(), now))
        if self._rotating is not None:
            self.graph.held[self._rotating] = now
        self._rotating, self._turns = value, {}

    def _added(self, terms: Iterable[tuple[int, int | None]], op: ops.Op) -> int | None:
        """The sum of (sign, node): zeros are left out, what is subtracted from itself cancels, and a sum of
        one operand is that operand."""
        present: list[tuple[int, int]] = []
        for sign, node in terms:
            if node is None:
                continue
            # positive operands come first
            if sign < 0 and (1, node) in present:
                present.remove((1, node))
            else:
                present.append((sign, node))
        if not present:
            return None
        sign, first = present[0]
        level = self.graph.levels[first]
        if len(present) == 1:
            return first if sign > 0 else self._node(Node("neg", (first,)), level, op)
        operands, signs = tuple([n for _, n in present]), tuple([s for s, _ in present])
        return self._node(Node("sum", operands, signs), level, op)

    def _op(self, op: ops.Op, env: dict[str, int]) -> int | None:
        levels = self.graph.levels
        match op:
            case ops.Ref(name, indices):
                return self._members[(name, self._indices(indices, env))]
            case ops.MulPlain(value, plain):
                number = self._op(value, env)
                key = (plain.family, self._indices(plain.indices, env))
                if number is None or self.is_zero(key):
                    return None
                return self._node(Node("mul_plain", (number,), (), key), levels[number], op)
            case ops.Sum(loop, body, tree):
                if tree:
                    return self._tree((self._op(body, {**env, loop.var: v}) for v in range(loop.size)), op)
                inner = dict(env)
                terms = []
                for v in range(loop.size):
                    inner[loop.var] = v
                    terms.append((1, self._op(body, inner)))
                return self._added(terms, op)
            case ops.Add(operands):
                number = self._added([(s, self._op(o, env)) for s, o in operands], op)
                if number is not None:
                    self.graph.at_once.add(number)
                return number
            case ops.AddPlain(value, plain, sign):
                return self._plus(self._op(value, env), plain, sign, env, op)
            case ops.Mul(left, right):
                a, b = self._op(left, env), self._op(right, env)
                if a is None or b is None:
                    return None
                return self._node(Node("mul", (min(a, b), max(a, b))), levels[a], op)
            case ops.Rotate(value, amount, table):
                step = self._value(amount, env)
                return self._rotated(self._op(value, env), step if table is None else table[step], op)
            case ops.Ladder():
                return self._rung(op, env)
            case ops.Relinearize(value):
                number = self._op(value, env)
                # where the products vanish there is nothing to do
                return self._node(Node(op.kind, (number,)), levels[number], op) if number in self.graph.open else number
            case ops.Rescale(value):
                number = self._op(value, env)
                if number is None:
                    return None
                return self._node(Node("rescale", (number,)), levels[number] + 1, op)
            case ops.Horner(loop, body, step):
                total = self._op(body, {**env, loop.var: loop.size - 1})
                for v in range(loop.size - 2, -1, -1):
                    # the emitted program has the term before it turns the sum
                    term = self._op(body, {**env, loop.var: v})
                    total = self._added([(1, self._rotated(total, step, op)), (1, term)], op)
                return total
            case ops.Doubling(value):
                return self._doubling(self._op(value, env), op)
            case _:
                unary: ops.Unary = op
                number = self._op(unary.value, env)
                return None if number is None else self._node(Node(unary.kind, (number,)), levels[number], op)

    def _plus(self, number: int | None, plain: ops.PlainRef, sign: int, env: dict[str, int], op: ops.Op) -> int | None:
        key = (plain.family, self._indices(plain.indices, env))
        if self.is_zero(key):
            return number
        if number is None:
            encoding = self.schedule.plains[plain.family].encoding
            return self._node(Node("plain", (), (sign,), key), encoding.level if encoding else 0, op)
        return self._node(Node("add_plain", (number,), (sign,), key), self.graph.levels[number], op)

    def _rung(self, op: ops.Ladder, env: dict[str, int]) -> int | None:
        if env[op.var] == 0:
            return self._op(op.value, env)
        before = tuple(v - (name == op.var) for name, v in env.items())
        start = tuple(0 if name == op.var else v for name, v in env.items())
        base = self._members[(self._family, start)]
        number = self._rotated(self._members[(self._family, before)], op.step, op)
        if number is not None and base is not None:
            self.graph.bases[number] = base
        return number

    def _tree(self, numbers: Iterable[int | None], op: ops.Op) -> int | None:
        """Neighbours are added first, then sums of two, and so on; at most one sum of a size waits."""
        waiting: list[tuple[int, int | None]] = []
        for number in numbers:
            size = 1
            while waiting and waiting[-1][0] == size:
                number = self._added([(1, waiting.pop()[1]), (1, number)], op)
                size *= 2
            waiting.append((size, number))
        _, total = waiting.pop()
        while waiting:
            total = self._added([(1, waiting.pop()[1]), (1, total)], op)
        return total

    def _doubling(self, value: int | None, op: ops.Doubling) -> int | None:
        total = base = value
        for stage in doubling.stages(op.count, op.radix):
            first = total if stage.kind == "repeat" else base
            *others, last = stage.multiples
            terms = [first, *(self._rotated(first, k * op.step, op) for k in others)]
            terms.append(self._rotated(total, last * op.step, op))
            total = self._added([(1, term) for term in terms], op)
            base = total if stage.marks else base
        return total


def operations(schedule: ops.Schedule) -> int:
    """Operations that a schedule executes, shared or not; it takes no time, whatever their number."""
    return sum(
        prod(loop.size for loop in family.loops) * (1 if family.body is None else ops.executions(family.body))
        for family in schedule.ciphers
    )


def unroll(schedule: ops.Schedule, is_zero: Callable[[Member], bool] = _never) -> Graph:
    """The graph of a schedule. Raises ``SlotError`` SL309 beyond ``MAX_NODES`` operations.

    ``is_zero`` tells which members of plaintext families are zero whatever the weights; products with them
    are dropped, and so is what is then zero. Without it the graph is what the schedule says, zeros and all.
    """
    return _Unroller(schedule, is_zero).run()
