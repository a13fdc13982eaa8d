"""Random bodies in the small language, right and wrong ones, for comparison of the interpreter with CPython."""

from __future__ import annotations

from random import Random

SLOTS = 8


class Bodies:
    """A generator of function bodies: ``plain`` ones that compute on arrays, ``evaluate`` ones that call ``ev``."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.ints = ["n", "m", "SLOTS"]
        self.arrays = ["slot", "h", "t", "moved"]
        self.floats: list[str] = []
        self.dicts: list[str] = []
        self.generators: list[str] = []
        self.fresh = 0

    def pick(self, *choices: str) -> str:
        return self.random.choice(choices)

    def new(self, kind: str) -> str:
        self.fresh += 1
        # now and then a name that hides another
        return self.pick(f"{kind}{self.fresh}", f"{kind}{self.fresh}", f"{kind}{self.fresh}", "n", "h", "slot")

    # expressions

    def int_(self, depth: int = 2) -> str:
        if not depth or self.random.random() < 0.3:
            return self.pick(*self.ints, "0", "1", "2", "3", "7", "(-1)", "(-5)", "12345678901", "True")
        a, b = self.int_(depth - 1), self.int_(depth - 1)
        return self.pick(
            f"({a} + {b})",
            f"({a} - {b})",
            f"{a}*{b}",
            f"({a} // {b})",
            f"({a} % {b})",
            f"({a} ^ {b})",
            f"({a} ** {self.pick('0', '2', '3')})",
            f"(-{a})",
            f"({a} if {self.bool_(depth - 1)} else {b})",
            f"sum({a} for {self.new('v')} in {self.range_()})",
            f"steps[{a}]",
        )

    def bool_(self, depth: int = 1) -> str:
        return f"({self.int_(depth)} {self.pick('<', '<=', '>', '>=', '==', '!=')} {self.int_(depth)})"

    def range_(self) -> str:
        n = f"{self.int_(1)} % 4"
        return self.pick(
            f"range({n})",
            f"reversed(range({n}))",
            f"range(1, {n})",
            f"range({n}, -1, -1)",
            f"[*range({n}), 1]",
            "steps",
        )

    def array(self, depth: int = 2) -> str:
        if not depth or self.random.random() < 0.3:
            return self.pick(*self.arrays)
        a, b = self.array(depth - 1), self.pick(self.array(depth - 1), self.int_(1))
        return self.pick(
            f"({a} + {b})",
            f"({a} - {b})",
            f"{a}*{b}",
            f"({a} // {b})",
            f"({b} % {a})",
            f"({a} % {b})",
            f"(-{a})",
            f"({a} ^ {b})",
            f"(2 ** ({a} % {self.pick('5', '70')}))",
            f"({a} ** {a})",
            f"np.{self.pick('minimum', 'maximum')}({a}, {b})",
            f"np.where({a} {self.pick('<', '==')} {b}, {a}, {b})",
            f"np.roll({a}, {self.int_(1)})",
            f"moved[{a} % SLOTS]",
            f"np.argsort({a})",
            f"np.broadcast_to({b}, SLOTS)",
        )

    def where(self, depth: int = 2) -> str:
        a, b = self.array(1), self.pick(self.array(1), self.int_(1))
        simple = f"({a} {self.pick('<', '<=', '>', '>=', '==', '!=')} {b})"
        if not depth or self.random.random() < 0.5:
            return simple
        return self.pick(
            f"({simple} & {self.where(depth - 1)})",
            f"({simple} | {self.where(depth - 1)})",
            f"np.logical_not({simple})",
            f"np.roll({simple}, 1)",
        )

    def float_(self, depth: int = 3) -> str:
        if not depth or self.random.random() < 0.25:
            return self.pick(
                *self.floats,
                "0.5",
                "(-1.5)",
                "1j",
                "(1 / 3)",
                "scale",
                f"A[{self.array(1)} % 4, {self.array(1)} % SLOTS]",
                f"A[{self.array(1)}, {self.int_(1)}]",
                f"A[{self.array(1)} % 4 - 4, {self.array(1)} % SLOTS]",
                f"element(A, ({self.array(1)}, {self.array(1)}))",
                f"element(A, ({self.array(1)}, {self.int_(1)}))",
                f"P[{self.array(1)} % 4, slot]",
                f"x[{self.array(1)}]",
                f"1.0 * {self.where()}",
            )
        a, b = self.float_(depth - 1), self.float_(depth - 1)
        return self.pick(
            f"({a} + {b})",
            f"({a} - {b})",
            f"{a} * {b}",
            f"{a} * {self.int_(1)}",
            f"(-{a})",
            f"np.conj({a})",
            f"np.roll(np.broadcast_to({a}, SLOTS), {self.int_(1)})",
            f"np.broadcast_to({a}, SLOTS)[moved]",
            f"sum({a} for {self.new('v')} in range(3))",
            f"sum(A[i, slot] * {a} for i in range(4))",
            f"({a} if {self.bool_()} else {b})",
        )

    # statements

    def statement(self, indent: str, depth: int = 2) -> list[str]:
        choice = self.random.randrange(9)
        if choice == 0:
            line = f"{self.name('i', self.ints)} = {self.int_()}"
        elif choice == 1:
            line = f"{self.name('a', self.arrays)} = {self.array()}"
        elif choice == 2:
            line = f"{self.name('f', self.floats)} = {self.float_()}"
        elif choice == 3 and depth:
            name = self.new("i")
            lines = [f"{indent}for {name} in {self.range_()}:"]
            self.ints.append(name)
            for _ in range(self.random.randint(1, 2)):
                lines += self.statement(f"{indent}    ", depth - 1)
            return lines
        elif choice == 4:
            name = self.new("d")
            self.dicts.append(name)
            line = f"{name} = " + self.pick("{}", f"{{v: {self.int_()} for v in range(3)}}", *self.dicts[:1])
        elif choice == 5 and self.dicts:
            line = f"{self.pick(*self.dicts)}[{self.int_(1)}] = {self.int_()}"
        elif choice == 6 and self.dicts:
            line = f"{self.name('i', self.ints)} = {self.pick(*self.dicts)}[{self.int_(1)}]"
        elif choice == 7 and self.random.random() < 0.2:
            line = f"del {self.pick(*self.ints, *self.arrays, *self.floats)}"
        else:
            line = f"{self.name('i', self.ints)} = sum({self.int_()} for i in {self.range_()} for j in range(i))"
        return [indent + line]

    def name(self, kind: str, names: list[str]) -> str:
        found = self.new(kind)
        names.append(found)
        return found

    def plain(self) -> str:
        """A function of weights and an index."""
        lines = ["def f(weights, n):", '    A = weights["A"]', '    x = weights["x"]', '    scale = weights["scale"]']
        lines.append(
            self.pick("    P = A @ A.T @ A", "    P = scale * A", "    P = A + A", "    P = 2 * (A - A * scale)")
        )
        for _ in range(self.random.randint(0, 4)):
            lines += self.statement("    ")
        return "\n".join([*lines, f"    return {self.float_()}"])

    # evaluations

    def cipher(self, depth: int = 3) -> str:
        if not depth or self.random.random() < 0.25:
            return self.pick("X[0]", "X[1]", f"X[{self.int_(1)} % 3]", *self.floats)
        a, b, c = self.cipher(depth - 1), self.cipher(depth - 1), self.cipher(depth - 1)
        n = f"{self.int_(1)} % 3"
        step = self.pick("1", "2", "4", self.int_(1))
        method, operands = self.random.choice(
            [
                ("rotate", f"{a}, {step}"),
                ("conj", a),
                ("negate", a),
                ("sum_of", f"{a}, {b}, {c}"),
                ("combine", f'"{self.pick("+-", "--", "-+", "++")}", {a}, {b}'),
                ("product", f"{a}, {b}"),
                ("multiply", f'{a}, plain["W", {n}]'),
                ("add_plain", f'{a}, plain["V",], {self.pick("1", "-1")}'),
                ("sum_of", f"*[X[i % 3] for i in range({n} + 1)]"),
            ]
        )
        call = f"ev.once(ev.{method}, {operands})" if self.random.random() < 0.3 else f"ev.{method}({operands})"
        return self.pick(
            call,
            call,
            f"ev.sum(ev.rotate(X[q], q) for q in range({n} + 1))",
            f'ev.dot((X[q], plain["W", q]) for q in {self.pick("range(3)", "reversed(range(2))")})',
            f"ev.horner((X[q] for q in reversed(range({n} + 1))), {step})",
            f"ev.tree((X[q % 3] for q in range({n} + 1)), shared=True)",
            f"ev.tree(X[q] for q in range({n}))",
            f"ev.doubling({a}, {step}, {n} + 1)",
            f"ev.doubling({a}, {step}, {n} + 1, {n} + {self.pick('1', '2')})",
            f"({a} if {self.bool_()} else {b})",
            *(f"ev.sum({name})" for name in self.generators),
            *(f"ev.horner({name}, {step})" for name in self.generators),
        )

    def evaluate(self) -> str:
        """A function of an evaluation, ciphertexts and plaintexts."""
        lines = ["def f(ev, cipher, plain):", '    X = {q: cipher.pop(("X", q)) for q in range(3)}', "    n = 2"]
        for _ in range(self.random.randint(0, 3)):
            if self.random.random() < 0.5:
                lines += self.statement("    ")
            else:
                lines.append(f"    {self.name('c', self.floats)} = {self.cipher()}")
            if self.random.random() < 0.3:
                lines.append(f"    {self.name('g', self.generators)} = ({self.cipher(1)} for i in {self.range_()})")
        lines += ["    result = {}", "    for i in range(2):", f'        result["Y", i] = {self.cipher()}']
        return "\n".join([*lines, "    return result"])
